"""Which records have changed: many webhooks, one change a record."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import anyio
import pytest

from tests.support.clock import VirtualClock
from tests.support.hang import HANG_SECONDS
from vismanet_async._webhooks.changes import Change, Changes
from vismanet_async._webhooks.events import WebhookEvent
from vismanet_async.errors import RequestRefused


def changed(key: str | None = "1", resource: str | None = "customer", **more: Any) -> WebhookEvent:
    return WebhookEvent(**{"name": "Customer Changed", **more}, resource=resource, key=key)


async def test_many_webhooks_about_a_record_are_one_change() -> None:
    clock = VirtualClock()
    changes = Changes(clock=clock)
    begun = clock.utc_now()
    await changes(changed())
    clock.advance(5)
    changes.add(changed(name="Customer Updated"))
    changes.add(changed("2"))
    changes.add(changed("1", tenant_id="other"))
    changes.add(changed(resource=None))
    assert len(changes) == 3
    first, second, third = await changes.take()
    assert first == Change(
        resource="customer",
        key="1",
        tenant_id=None,
        events=("Customer Changed", "Customer Updated"),
        times=2,
        first_at=begun,
        last_at=begun + timedelta(seconds=5),
    )
    assert [(each.key, each.tenant_id) for each in (second, third)] == [("2", None), ("1", "other")]
    assert len(changes) == 0


async def test_taking_waits_for_a_change_and_for_what_follows_it() -> None:
    clock = VirtualClock()
    changes = Changes(clock=clock)
    taken: list[Change] = []

    async def take() -> None:
        taken.extend(await changes.take(wait_seconds=30))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take)
        await clock.sleep(100)
        changes.add(changed("1"))
        await clock.sleep(29)
        changes.add(changed("2"))
        assert taken == []
    assert [change.key for change in taken] == ["1", "2"]


async def test_each_change_is_taken_by_one_of_many() -> None:
    clock = VirtualClock()
    changes = Changes(clock=clock)
    taken: list[str | None] = []

    async def take() -> None:
        while True:
            taken.extend(change.key for change in await changes.take(wait_seconds=1))

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(take)
        for number in range(20):
            await clock.sleep(random.Random(number).uniform(0, 2))
            changes.add(changed(str(number)))
        await clock.sleep(5)
        tasks.cancel_scope.cancel()
    assert sorted(taken, key=lambda key: int(key or 0)) == [str(number) for number in range(20)]


async def test_a_cancelled_take_loses_nothing() -> None:
    clock = VirtualClock()
    changes = Changes(clock=clock)
    changes.add(changed("1"))
    with clock.move_on_after(5) as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(clock.sleep, 10)
            await changes.take(wait_seconds=60)
    assert scope.cancelled_caught
    assert [change.key for change in await changes.take()] == ["1"]


async def test_what_could_not_be_dealt_with_is_put_back() -> None:
    changes = Changes()
    changes.add(changed("1"))
    batch = await changes.take()
    changes.add(changed("1"))
    changes.put_back(batch)
    [change] = await changes.take()
    assert change.times == 2


async def test_beyond_the_limit_a_resource_counts_as_a_whole() -> None:
    changes = Changes(limit=3)
    for key in ("1", "2", "3"):
        changes.add(changed(key))
    changes.add(changed("9", "supplier"))
    for more in ("1", "7", None):
        changes.add(changed(more))
    assert len(changes) == 2
    found = {(change.resource, change.key): change.times for change in await changes.take()}
    assert found == {("customer", None): 6, ("supplier", "9"): 1}
    small = Changes(limit=1)
    for resource in ("customer", "supplier", "project"):
        small.add(changed("1", resource))
    assert len(small) == 3, "nothing is dropped, whatever the limit"


async def test_a_batch_says_how_each_resource_is_read_again() -> None:
    changes = Changes()
    for resource in ("customer", "dimension", "customer", "sales_order_service", "background"):
        changes.add(changed("1", resource))
    async with changes.batch() as batch:
        assert [change.times for change in batch.changes] == [2, 1, 1, 1]
        assert batch.incremental == ("customer",)
        assert batch.whole == ("dimension", "sales_order_service")
        assert batch.unlisted == ("background",)
    assert len(changes) == 0


async def test_a_batch_that_fails_or_is_cancelled_comes_again() -> None:
    clock = VirtualClock()
    changes = Changes(clock=clock)
    changes.add(changed("1"))
    with pytest.raises(OSError, match="full"):
        async with changes.batch():
            raise OSError("full")
    assert len(changes) == 1
    with clock.move_on_after(5) as scope:
        async with anyio.create_task_group() as tasks, changes.batch():
            tasks.start_soon(clock.sleep, 10)
            changes.add(changed("2"))
            await clock.sleep(60)
    assert scope.cancelled_caught
    assert len(changes) == 2
    assert sorted(change.key or "" for change in await changes.take()) == ["1", "2"]


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(RequestRefused):
        Changes(limit=0)


async def test_each_of_two_waiting_tasks_gets_a_change() -> None:
    clock = VirtualClock()
    changes = Changes(clock=clock)
    taken: list[str | None] = []

    async def take() -> None:
        taken.extend(change.key for change in await changes.take())

    with anyio.fail_after(HANG_SECONDS):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(take)
            tasks.start_soon(take)
            for key in ("1", "2"):
                await clock.sleep(1)
                changes.add(changed(key))
    assert taken == ["1", "2"]

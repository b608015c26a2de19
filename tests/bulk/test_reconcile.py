"""Rows of an upsert that an earlier run was sending: nothing counts as unchanged while that may still land."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from tests.bulk.company import on_a_clock
from tests.bulk.test_background import again, opened
from tests.support.clock import VirtualClock
from vismanet_async._bulk.journal import SqliteJournal
from vismanet_async._bulk.sending import Pauses
from vismanet_async._bulk.transitions import RowState
from vismanet_async._bulk.upserting import Upsert
from vismanet_async.errors import NotSent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from vismanet_async import VismaNet
    from vismanet_async.bulk import BulkRun
    from vismanet_async.simulator import Simulator

NUMBER = "10000"


class Load:
    """An upsert of one customer, and one run of it that is cut off while its update is worked on."""

    def __init__(self, simulator: Simulator, visma: VismaNet, path: Path, clock: VirtualClock) -> None:
        self.simulator = simulator
        self.visma = visma
        self.path = path / "nightly.sqlite"
        self.clock = clock

    def run(self, row: dict[str, Any]) -> BulkRun:
        return self.visma.bulk.upsert("customer", [row], key="number", journal=self.path)

    async def cut_off(self, row: dict[str, Any]) -> None:
        send = type(self.visma.sender).send

        async def killed(sender: Any, request: Any, /) -> Any:
            if request.method != "GET":
                raise RuntimeError("killed here")
            return await send(sender, request)

        with mock.patch.object(type(self.visma.sender), "send", killed), pytest.raises(ExceptionGroup):
            await self.run(row)
        assert await self.state() is RowState.SENDING

    async def state(self) -> RowState:
        journal = SqliteJournal(self.path)
        [entry] = [each async for each in journal.entries()]
        await journal.aclose()
        return entry.state

    async def meanwhile(self, row: dict[str, Any], happens: Callable[[], object]) -> Any:
        """Run it, and let something happen while it waits."""
        wait = Pauses.wait

        async def waited(pauses: Pauses, clock: Any, seconds: float) -> bool:
            if seconds > 0:
                happens()
            return await wait(pauses, clock, seconds)

        with mock.patch.object(Pauses, "wait", waited):
            [result] = [each async for each in self.run(row)]
        return result


@pytest.fixture
async def load(tmp_path: Path) -> AsyncIterator[Load]:
    clock = VirtualClock()
    async with on_a_clock(clock) as (simulator, visma):
        yield Load(simulator, visma, tmp_path, clock)


async def test_a_change_that_was_taken_back_is_taken_back_once_it_has_landed(load: Load) -> None:
    name = (await load.visma.customer.get(NUMBER)).name
    await load.cut_off({"number": NUMBER, "name": "B AS"})
    before = load.clock.monotonic()
    result = await load.meanwhile(
        {"number": NUMBER, "name": name}, lambda: load.simulator.touch("customer", NUMBER, name="B AS")
    )
    assert result.outcome == "updated"
    assert (await load.visma.customer.get(NUMBER)).name == name
    assert load.clock.monotonic() - before == pytest.approx(240, abs=1)


async def test_what_is_sent_is_what_differs_after_the_earlier_write(load: Load) -> None:
    name = (await load.visma.customer.get(NUMBER)).name
    await load.cut_off({"number": NUMBER, "name": "B AS"})
    wanted = {"number": NUMBER, "name": name, "credit_limit": 77}
    result = await load.meanwhile(wanted, lambda: load.simulator.touch("customer", NUMBER, name="B AS"))
    assert result.outcome == "updated"
    found = await load.visma.customer.get(NUMBER)
    assert (found.name, found.credit_limit) == (name, Decimal(77))


async def test_a_create_that_lands_late_is_not_repeated(load: Load) -> None:
    new = {"number": "90000", "override_number_series": True, "name": "Vega AS"}
    await load.cut_off(new)
    result = await load.meanwhile(new, lambda: load.simulator.add("customer", number="90000", name="Vega AS"))
    assert result.outcome == "created"
    assert not load.simulator.ledger
    [result] = [each async for each in load.run(new)]
    assert result.outcome == "unchanged"


async def test_a_create_that_never_came_is_sent(load: Load) -> None:
    new = {"number": "90000", "override_number_series": True, "name": "Vega AS"}
    await load.cut_off(new)
    result = await load.meanwhile(new, lambda: None)
    assert (result.outcome, len(load.simulator.ledger)) == ("created", 1)


async def test_a_row_whose_record_cannot_be_read_afterwards_stays_unknown(load: Load) -> None:
    name = (await load.visma.customer.get(NUMBER)).name
    await load.cut_off({"number": NUMBER, "name": "B AS"})
    with mock.patch.object(Upsert, "compare_again", side_effect=NotSent("no route")):
        result = await load.meanwhile({"number": NUMBER, "name": name}, lambda: None)
    assert (result.outcome, result.error) == ("unknown", "no route")
    assert await load.state() is RowState.UNKNOWN


async def test_a_job_that_waits_in_the_queue_is_followed_before_its_row_is_compared(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        visma, journal = company.visma, tmp_path / "nightly.sqlite"
        name = (await visma.customer.get(NUMBER)).name
        company.simulator.background.script(pending_polls=3)
        run = visma.bulk.upsert(
            "customer", [{"number": NUMBER, "name": "B AS"}], key="number", journal=journal, via="background"
        )
        follow = visma.jobs.wait

        async def stop_when_it_is_under_way(*arguments: Any, **options: Any) -> Any:
            run.stop()
            return await follow(*arguments, **options)

        with mock.patch.object(visma.jobs, "wait", stop_when_it_is_under_way):
            assert (await run).unknown == 1
        async with again(company, tmp_path) as later:
            rows = [{"number": NUMBER, "name": name}]
            summary = await later.visma.bulk.upsert("customer", rows, key="number", journal=journal, via="background")
            assert summary.updated == 1
            assert (await later.visma.customer.get(NUMBER)).name == name
        assert len(company.simulator.background) == 2, "the change, and the change back"


async def test_a_job_whose_end_is_not_known_keeps_its_row_unknown(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        visma, journal = company.visma, tmp_path / "nightly.sqlite"
        name = (await visma.customer.get(NUMBER)).name
        company.simulator.background.script(lose_answer=True, outcome="hang")
        for row in ({"number": NUMBER, "name": "B AS"}, {"number": NUMBER, "name": name}):
            run = visma.bulk.upsert(
                "customer", [row], key="number", journal=journal, via="background", settle_seconds=0
            )
            summary = await run
            assert summary.unknown == 1
            assert "may wait in the queue for a day" in (summary.problems[0].error or "")
        [record] = await visma.jobs.list()
        await visma.jobs.settle(record.id, outcome="failed", note="it was never executed")
        summary = await visma.bulk.upsert("customer", [row], key="number", journal=journal, via="background")
        assert summary.complete

"""What users of asyncio write works with the SDK's calls; a write that is dropped unsent warns."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import tracemalloc
import warnings
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from tests.support.hang import HANG_SECONDS
from vismanet_async import ClientCredentials, VismaNet
from vismanet_async._deferred import DeferredCall
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
    from pathlib import Path


class Counted(DeferredCall[int]):
    """Counts how often it was made, and gives that number after a turn of the event loop."""

    def __init__(self, *, fails: bool = False) -> None:
        self.made = 0
        self.ended: list[str] = []
        self.fails = fails

    def __await__(self) -> Generator[Any, Any, int]:
        return self.call().__await__()

    async def call(self) -> int:
        self.made += 1
        number = self.made
        try:
            await asyncio.sleep(0)
            if self.fails:
                raise LookupError(str(number))
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        self.ended.append("done")
        return number


async def as_it_is(call: Any) -> Any:
    return await call


async def first_of(call: Any) -> Any:
    return (await call)[0]


async def in_a_group(call: Coroutine[Any, Any, Any]) -> Any:
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(call)
    return task.result()


async def from_another_thread(call: Coroutine[Any, Any, Any]) -> Any:
    loop = asyncio.get_running_loop()
    given: list[Any] = []
    thread = threading.Thread(target=lambda: given.append(asyncio.run_coroutine_threadsafe(call, loop).result(30)))
    thread.start()
    await asyncio.to_thread(thread.join)
    return given[0]


WAYS: dict[str, Callable[[Any], Coroutine[Any, Any, Any]]] = {
    "await": as_it_is,
    "gather": lambda call: first_of(asyncio.gather(call)),
    "as_completed": lambda call: as_it_is(next(iter(asyncio.as_completed([call])))),
    "wait_for": lambda call: asyncio.wait_for(call, HANG_SECONDS),
    "shield": lambda call: as_it_is(asyncio.shield(call)),
    "ensure_future": lambda call: as_it_is(asyncio.ensure_future(call)),
    "create_task": lambda call: as_it_is(asyncio.create_task(call)),
    "TaskGroup": in_a_group,
    "run_coroutine_threadsafe": from_another_thread,
}


@pytest.fixture
async def visma(tmp_path: Path) -> AsyncIterator[VismaNet]:
    async with Simulator(seed=1, rows={"customer": 5}) as simulator:
        credentials = ClientCredentials(simulator.client_id, simulator.client_secret, tenant_id=simulator.tenant_id)
        async with VismaNet(
            credentials,
            base_url=simulator.base_url,
            token_url=simulator.token_url,
            job_store=tmp_path / "jobs.sqlite",
        ) as client:
            yield client


@pytest.mark.parametrize("way", WAYS)
async def test_asyncio_takes_calls_lists_and_exports(way: str, visma: VismaNet, tmp_path: Path) -> None:
    made = WAYS[way]
    assert (await made(visma.customer.get("10000"))).number == "10000"
    assert (await made(visma.customer.list()))[0].number == "10000"
    assert (await made(visma.export("customer", to=tmp_path / "one"))).rows == 5
    many = visma.export_many([str(visma.tenant_id)], ["customer"], to=tmp_path / "many")
    assert (await made(many)).failed == ()


async def test_a_job_is_awaited_in_every_way(visma: VismaNet) -> None:
    job = await visma.jobs.submit(visma.customer.get("10000"))
    for made in WAYS.values():
        assert (await made(job)).number == "10000"


def test_a_program_of_one_call(tmp_path: Path) -> None:
    call = Counted()
    assert asyncio.run(call) == 1
    assert asyncio.run(call) == 2


async def test_equal_calls_stay_two(visma: VismaNet) -> None:
    twice = [visma.customer.create({"name": "Nordlys AS"}) for _ in range(2)]
    assert twice[0] != twice[1]
    first, second = await asyncio.gather(*twice)
    assert first.id != second.id
    assert len({*twice}) == 2
    downloads = [visma.attachment.download("1") for _ in range(2)]
    assert downloads[0] != downloads[1]
    assert len({*downloads}) == 2


async def test_one_value_in_several_tasks_is_a_call_in_each() -> None:
    call = Counted()
    assert {*await asyncio.gather(*(asyncio.create_task(call) for _ in range(3)))} == {1, 2, 3}
    assert await call == 4
    assert [*await asyncio.gather(call, call)] == [5, 5], "one value named twice is one call, as with a coroutine"


async def test_errors_and_cancelling_reach_the_call_of_their_own_task() -> None:
    failing = Counted(fails=True)
    with pytest.raises(LookupError, match="1"):
        await asyncio.create_task(failing)
    call = Counted()
    cancelled, kept, not_begun = (asyncio.create_task(call) for _ in range(3))
    not_begun.cancel()
    await asyncio.sleep(0)
    cancelled.cancel()
    assert await kept == 2
    for task in (cancelled, not_begun):
        with pytest.raises(asyncio.CancelledError):
            await task
    assert (call.made, sorted(call.ended)) == (2, ["cancelled", "done"])


async def test_closing_one_that_was_begun_by_hand() -> None:
    call = Counted()
    call.send(None)
    call.close()
    call.close()
    assert (call.made, call.ended) == (1, [])
    assert await call == 2


def test_without_an_event_loop_it_is_stepped_by_hand() -> None:
    call = Counted()
    assert call.send(None) is None
    with pytest.raises(StopIteration) as ended:
        call.send(None)
    assert ended.value.value == 1
    call.send(None)
    with pytest.raises(LookupError, match="thrown"):
        call.throw(LookupError("thrown"))


async def test_a_task_shows_what_it_runs(visma: VismaNet) -> None:
    task = asyncio.create_task(visma.customer.get("10000"))
    assert "Operation" in repr(task)
    await task


async def test_cancel_scopes_end_a_task_of_a_call(visma: VismaNet) -> None:
    async def cancelled() -> None:
        with anyio.move_on_after(0):
            await asyncio.create_task(visma.customer.list())
        with anyio.CancelScope() as scope:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(visma.customer.get("10000"))
                scope.cancel()

    await cancelled()
    assert (await visma.customer.get("10000")).number == "10000"


# --- dropped -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", autouse=True)
def collect_little() -> Iterator[None]:
    """Collect what these tests make, not all that is left of a thousand tests before: that takes a second each time."""
    gc.freeze()
    yield
    gc.unfreeze()


def dropped(make: Callable[[], Any]) -> list[warnings.WarningMessage]:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        make()
        gc.collect()
    return told


WRITES: dict[str, Callable[[VismaNet], Any]] = {
    "create": lambda visma: visma.customer.create({"name": "A"}),
    "update": lambda visma: visma.customer.update("10000", {"name": "A"}),
    "act": lambda visma: visma.supplier_invoice.release("1"),
    "delete": lambda visma: visma.request("DELETE", "/v1/customer/1"),
    "by hand": lambda visma: visma.request("POST", "/v1/customer", json={}),
    "changed": lambda visma: visma.customer.create({"name": "A"}).with_options(timeout_seconds=1),
    "export": lambda visma: visma.export("customer", to="out"),
    "exports": lambda visma: visma.export_many(["1=2"], "customer", to="out"),
}


@pytest.mark.parametrize("name", WRITES)
async def test_what_is_dropped_unsent_warns_once(name: str, visma: VismaNet) -> None:
    (told,) = dropped(lambda: WRITES[name](visma))
    assert told.category is RuntimeWarning
    assert "was never awaited" in str(told.message)
    assert "secret" not in str(told.message)
    assert told.filename == __file__, "it points to the line that forgot it"


READS: dict[str, Callable[[VismaNet], Any]] = {
    "get": lambda visma: visma.customer.get("10000"),
    "list": lambda visma: visma.customer.list(),
    "download": lambda visma: visma.attachment.download("1"),
    "by hand": lambda visma: visma.request("GET", "/v1/customer"),
}


@pytest.mark.parametrize("name", READS)
async def test_reads_are_dropped_in_silence(name: str, visma: VismaNet) -> None:
    assert dropped(lambda: READS[name](visma)) == []


async def test_what_was_used_is_dropped_in_silence(visma: VismaNet, tmp_path: Path) -> None:
    def make() -> Any:
        return visma.customer.create({"name": "Nordlys AS"})

    for use in (
        lambda: make().preview(),
        lambda: make().body,
        lambda: make().request(),
        lambda: make().close(),
        lambda: visma.export("customer", to=tmp_path).close(),
    ):
        assert dropped(use) == []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        await make()
        await make().send()
        await asyncio.create_task(make())
        await (await visma.jobs.submit(make()))
        await visma.jobs.submit_many([make()])
        await visma.export("customer", to=tmp_path)
        async for _ in visma.export("customer", to=tmp_path):
            pass
        gc.collect()
    never_awaited = dropped(lambda: make().send())
    assert ["coroutine" in str(one.message) for one in never_awaited] == [True], "then Python itself says so"


async def test_the_warning_says_where_the_call_was_made(visma: VismaNet) -> None:
    async def forget() -> list[warnings.WarningMessage]:
        return dropped(lambda: visma.customer.create({"name": "made here"}))

    before = sys.get_coroutine_origin_tracking_depth()
    sys.set_coroutine_origin_tracking_depth(20)
    try:
        (told,) = await forget()
    finally:
        sys.set_coroutine_origin_tracking_depth(before)
    assert "Made at" in str(told.message)
    assert 'visma.customer.create({"name": "made here"})' in str(told.message)
    tracemalloc.start(10)
    try:
        (told,) = await forget()
        assert told.source is not None
        assert tracemalloc.get_object_traceback(told.source) is not None
        told.source.close()
        del told
    finally:
        tracemalloc.stop()

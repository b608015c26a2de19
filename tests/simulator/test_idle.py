"""Virtual time moves when the event loop has nothing left to do, and not before."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest
import uvloop

from tests.support.clock import VirtualClock as ClientClock
from vismanet_async._simulator.idle import when_idle
from vismanet_async.simulator import VirtualClock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Made = VirtualClock | ClientClock


@pytest.fixture(params=[VirtualClock, ClientClock])
def clock(request: pytest.FixtureRequest) -> Made:
    made: Made = request.param()
    return made


async def at_once(clock: Made, work: Callable[[], Awaitable[None]]) -> float:
    """Return how late it is when `work` is done, which begins beside somebody who sleeps for an hour."""
    before = clock.monotonic()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(clock.sleep, 3600)
        await work()
        passed = clock.monotonic() - before
    assert clock.monotonic() - before == 3600
    return passed


async def test_it_waits_for_a_task_however_many_turns_that_takes(clock: Made) -> None:
    async def work() -> None:
        for _ in range(5_000):
            await anyio.lowlevel.checkpoint()

    assert await at_once(clock, work) == 0


async def test_it_waits_for_what_is_on_its_way_between_sockets_of_the_loop(clock: Made) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)

    async def work() -> None:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        for number in range(200):
            writer.write(number.to_bytes(4, "big") * 10_000)
            await reader.readexactly(40_000)
        writer.close()
        await writer.wait_closed()

    assert await at_once(clock, work) == 0
    server.close()


async def test_it_stands_still_while_a_thread_works() -> None:
    """No loop can know of that: it has to be told."""
    clock, go_on = VirtualClock(), threading.Event()

    async def work() -> None:
        with clock.hold():
            thread = asyncio.create_task(asyncio.to_thread(go_on.wait))
            await asyncio.sleep(0.05)  # real time, in which the loop is idle
            go_on.set()
            await thread

    assert await at_once(clock, work) == 0


async def test_sleepers_wake_in_order_each_at_its_time(clock: Made) -> None:
    began, woken = clock.monotonic(), []

    async def sleeper(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((seconds, clock.monotonic() - began))

    async with anyio.create_task_group() as tasks:
        for seconds in (30, 10, 7200, 20):
            tasks.start_soon(sleeper, seconds)
    assert woken == [(10, 10), (20, 20), (30, 30), (7200, 7200)]


def test_a_loop_that_cannot_be_looked_into_moves_it_all_the_same(clock: Made) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        before = clock.monotonic()
        runner.run(clock.sleep(3600))
        assert clock.monotonic() - before == 3600


async def test_the_loop_is_as_before_when_nobody_sleeps_any_more(clock: Made) -> None:
    """This fails where asyncio no longer keeps its selector under this name: `when_idle` would only guess then."""
    loop = asyncio.get_running_loop()
    selector = loop._selector  # type: ignore[attr-defined]
    stop = when_idle(lambda: False)
    assert loop._selector is not selector  # type: ignore[attr-defined]
    await clock.sleep(3600)
    stop()
    assert loop._selector is selector  # type: ignore[attr-defined]


async def test_who_is_cancelled_leaves_nothing_behind(clock: Made) -> None:
    loop = asyncio.get_running_loop()
    selector = loop._selector  # type: ignore[attr-defined]
    with clock.move_on_after(0):
        await clock.sleep(60)
    task = asyncio.create_task(clock.sleep(60))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert loop._selector is selector  # type: ignore[attr-defined]

from __future__ import annotations

from datetime import UTC

import anyio

from tests.support.clock import VirtualClock
from vismanet_async._clock import SystemClock


async def test_the_system_clock() -> None:
    clock = SystemClock()
    before = clock.monotonic()
    await clock.sleep(-1)
    await clock.sleep(0.001)
    assert clock.monotonic() > before
    assert clock.utc_now().tzinfo is UTC
    with clock.move_on_after(-1) as scope:
        await anyio.sleep_forever()
    assert scope.cancelled_caught
    with clock.move_on_after(60) as scope:
        await clock.sleep(0)
    assert not scope.cancelled_caught


async def test_the_virtual_clock_keeps_order() -> None:
    clock, order = VirtualClock(), []

    async def sleeper(seconds: float) -> None:
        await clock.sleep(seconds)
        order.append((seconds, clock.monotonic()))

    async with anyio.create_task_group() as tasks:
        for seconds in (30, 10, 7200, 20):
            tasks.start_soon(sleeper, seconds)
    assert order == [(10, 1010), (20, 1020), (30, 1030), (7200, 8200)]
    assert clock.utc_now().hour == 14


async def test_the_virtual_clock_ends_scopes_on_the_way() -> None:
    clock = VirtualClock()
    with clock.move_on_after(5) as scope:
        await clock.sleep(10)
    assert (scope.cancelled_caught, clock.monotonic()) == (True, 1005)
    with clock.move_on_after(0) as scope:
        await clock.sleep(10)
    assert scope.cancelled_caught
    still = VirtualClock(auto=False)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(still.sleep, 5)
        await anyio.wait_all_tasks_blocked()
        assert still.monotonic() == 1000
        still.advance(5)
    assert still.slept == [5]

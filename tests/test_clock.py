from __future__ import annotations

import asyncio
from datetime import UTC

import anyio
import pytest

from tests.support.clock import VirtualClock
from vismanet_async._clock import SystemClock, TimeLimit


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


async def test_a_time_limit_cuts_off_what_takes_too_long() -> None:
    clock = VirtualClock()
    with TimeLimit(clock, 5) as limit:
        await clock.sleep(10)
    assert (limit.expired, clock.monotonic()) == (True, 1005)
    with TimeLimit(clock, 5) as limit:
        await clock.sleep(1)
    assert not limit.expired
    assert clock.waited_for == []
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await clock.sleep(100)  # what was cut off does not cut off what follows


async def test_a_time_limit_lets_an_error_pass() -> None:
    clock = VirtualClock()
    with pytest.raises(ZeroDivisionError), TimeLimit(clock, 5):
        raise ZeroDivisionError


async def test_a_time_limit_lets_an_error_of_the_cleaning_up_pass() -> None:
    clock = VirtualClock()

    async def clean_up_badly() -> None:
        try:
            await clock.sleep(10)
        finally:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), TimeLimit(clock, 5):
        await clean_up_badly()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


@pytest.mark.parametrize("late", [True, False])
async def test_a_time_limit_leaves_the_cancellation_of_others_to_them(late: bool) -> None:
    """That of a scope around it, of a scope within it, and of the task itself, at the same moment or alone."""
    clock, seconds = VirtualClock(), 5 if late else 60
    with anyio.CancelScope() as around:
        with TimeLimit(clock, seconds) as limit:
            timer = clock.call_later(5, around.cancel)
            await clock.sleep(50)
        await clock.sleep(1)
        raise AssertionError("it went on in a cancelled scope")
    timer.cancel()
    assert (around.cancelled_caught, limit.expired) == (True, late)
    with TimeLimit(clock, seconds) as limit:
        with anyio.CancelScope() as within:
            timer = clock.call_later(5, within.cancel)
            await clock.sleep(50)
        assert not late
        await clock.sleep(1)
    timer.cancel()
    assert (within.cancelled_caught, limit.expired) == (not late, late)
    reached = []

    async def cut_off() -> None:
        with TimeLimit(clock, seconds):
            await clock.sleep(50)
        reached.append("the end")

    task = asyncio.ensure_future(cut_off())
    timer = clock.call_later(5, task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task
    timer.cancel()
    assert not reached


async def test_two_time_limits_end_in_order() -> None:
    clock = VirtualClock()
    with TimeLimit(clock, 10) as outer:
        with TimeLimit(clock, 5) as inner:
            await clock.sleep(50)
        await clock.sleep(50)
    assert (inner.expired, outer.expired, clock.monotonic()) == (True, True, 1010)

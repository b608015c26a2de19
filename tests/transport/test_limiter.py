from __future__ import annotations

import asyncio
import heapq

import anyio
import pytest
from hypothesis import given, settings, strategies as st

from tests.support.clock import VirtualClock
from vismanet_async._http.limiter import MAX_AUTO, AdaptiveLimit, ConcurrencyLimiter, read_concurrency
from vismanet_async.errors import SettingsError


@pytest.mark.parametrize(("value", "number"), [(1, 1), (8, 8), ("8", 8), ("auto", None)])
def test_settings_that_are_read(value: int | str, number: int | None) -> None:
    assert read_concurrency(value) == number


@pytest.mark.parametrize("value", [0, -1, "0", "many", "", True, 2.5, None])
def test_settings_that_are_refused(value: object) -> None:
    with pytest.raises(SettingsError, match="concurrency must be a number from 1 up, or auto"):
        read_concurrency(value)  # type: ignore[arg-type]


def run(rule: AdaptiveLimit, *, capacity: int, seconds: float, now: float = 0.0) -> float:
    """A server that does `capacity` requests at once, a tenth of a second each, always asked for `limit` at once."""
    end = now + seconds
    free = [now] * capacity
    under_way: list[tuple[float, float]] = []
    while now < end:
        while len(under_way) < rule.limit:
            ends_at = max(now, heapq.heappop(free)) + 0.1
            heapq.heappush(free, ends_at)
            heapq.heappush(under_way, (ends_at, now))
        now, started_at = heapq.heappop(under_way)
        rule.finished(started_at=started_at, now=now, overloaded=False, busy=True)
    return now


def test_it_climbs_to_the_top_while_it_pays() -> None:
    rule = AdaptiveLimit()
    assert rule.limit == 8
    run(rule, capacity=64, seconds=5)
    assert rule.limit == MAX_AUTO == 16


def test_it_steps_back_when_it_does_not_pay_and_tries_again_later() -> None:
    rule = AdaptiveLimit()
    now = run(rule, capacity=8, seconds=5)
    assert rule.limit == 8
    seen = set()
    end = now + 25
    while now < end:
        now = run(rule, capacity=8, seconds=0.1, now=now)
        seen.add(rule.limit)
    assert seen == {8}, "held"
    run(rule, capacity=64, seconds=40, now=now)
    assert rule.limit == 16


def test_a_slow_spell_after_a_climb_that_paid_does_not_undo_it() -> None:
    rule = AdaptiveLimit()
    now = run(rule, capacity=64, seconds=5)
    run(rule, capacity=2, seconds=20, now=now)
    assert rule.limit == 16


def test_it_doubles_after_one_round_whose_answers_agree() -> None:
    rule = AdaptiveLimit(limit=4)
    for number in range(4):
        rule.finished(started_at=0.0, now=0.3 + number / 100, overloaded=False, busy=True)
    assert rule.limit == 8
    for number in range(8):
        rule.finished(started_at=0.1, now=0.4 + number / 100, overloaded=False, busy=True)
    assert rule.limit == 8, "those were sent under the limit before"
    for number in range(8):
        rule.finished(started_at=0.4, now=0.7 + number / 100, overloaded=False, busy=True)
    assert rule.limit == 16


@pytest.mark.parametrize(
    ("heads", "bodies", "limit"), [(0.0, 0.012, 16), (0.1, 0.012, 8), (0.0, 0.05, 8), (None, 0.012, 8)]
)
def test_bodies_that_are_read_one_after_the_other_do_not_disagree(
    heads: float | None, bodies: float, limit: int
) -> None:
    """Unless the heads come late as well, or the time goes into the bodies."""
    rule = AdaptiveLimit()
    for number in range(8):
        began = None if heads is None else 0.1 + (number >= 6) * heads
        rule.finished(started_at=0.0, answered_at=began, now=0.11 + number * bodies, overloaded=False, busy=True)
    assert rule.limit == limit


@pytest.mark.parametrize(("capacity", "limit"), [(1, 4), (2, 4), (4, 4), (6, 8), (8, 8), (12, 16), (64, 16)])
def test_it_finds_what_the_server_can_use(capacity: int, limit: int) -> None:
    rule = AdaptiveLimit()
    run(rule, capacity=capacity, seconds=5)
    assert rule.limit == limit


def test_a_burst_of_overload_halves_once() -> None:
    rule = AdaptiveLimit(limit=16)
    for number in range(16):  # all had left before the first refusal came, the last of them takes 8 s
        rule.finished(started_at=9.9, now=10 + number / 2, overloaded=True, busy=True)
    assert rule.limit == 8
    rule.finished(started_at=18, now=18.2, overloaded=True, busy=True)
    assert rule.limit == 4


def test_overload_never_goes_below_one_and_is_recovered_from_after_a_hold() -> None:
    rule = AdaptiveLimit()
    for now in range(10):
        rule.finished(started_at=float(now), now=now + 0.5, overloaded=True, busy=True)
    assert rule.limit == 1
    later = run(rule, capacity=64, seconds=29, now=10)
    assert rule.limit == 1
    run(rule, capacity=64, seconds=60, now=later)
    assert rule.limit == 16


def test_idle_places_say_nothing_about_the_limit() -> None:
    rule = AdaptiveLimit()
    for number in range(1000):
        rule.finished(started_at=number / 10, now=number / 10 + 0.1, overloaded=False, busy=number % 8 != 0)
    assert rule.limit == 8


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10), st.booleans(), st.booleans()), max_size=300))
def test_the_limit_stays_in_bounds(events: list[tuple[float, float, bool, bool]]) -> None:
    rule, now = AdaptiveLimit(), 0.0
    for step, took, overloaded, busy in events:
        now += step
        rule.finished(started_at=now - took, now=now, overloaded=overloaded, busy=busy)
        assert 1 <= rule.limit <= MAX_AUTO


async def test_first_come_first_served_within_the_limit() -> None:
    limiter, order, clock = ConcurrencyLimiter(2), [], VirtualClock()

    async def work(number: int) -> None:
        await limiter.acquire()
        order.append(number)
        assert limiter.in_flight <= 2
        await clock.sleep(1)
        limiter.release()

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(work, number)
    assert order == list(range(20))
    assert (limiter.in_flight, limiter.maximum, limiter.limit) == (0, 2, 2)


async def test_nobody_overtakes_who_waits() -> None:
    limiter = ConcurrencyLimiter(1)
    assert limiter.acquire_nowait()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(limiter.acquire)
        await anyio.wait_all_tasks_blocked()
        limiter.release()
        assert not limiter.acquire_nowait()
    assert limiter.in_flight == 1


@pytest.mark.parametrize("given", ["before", "meanwhile", "afterwards"])
async def test_a_cancelled_waiter_leaves_no_trace(given: str) -> None:
    limiter = ConcurrencyLimiter(1)
    limiter.acquire_nowait()
    first, second = asyncio.ensure_future(limiter.acquire()), asyncio.ensure_future(limiter.acquire())
    await anyio.wait_all_tasks_blocked()
    if given == "before":
        limiter.release()  # the place is given to the first, which is cancelled before it notices
    first.cancel()
    if given == "meanwhile":
        limiter.release()  # the first is still in the queue, and does not want it any more
    with pytest.raises(asyncio.CancelledError):
        await first
    if given == "afterwards":
        assert not second.done()
        limiter.release()
    await second
    assert limiter.in_flight == 1
    limiter.release()
    assert limiter.acquire_nowait()


async def test_who_waits_too_long_leaves_the_queue() -> None:
    limiter, clock = ConcurrencyLimiter(1), VirtualClock()
    assert await limiter.acquire(clock=clock, seconds=5)
    assert not await limiter.acquire(clock=clock, seconds=0)
    late = asyncio.ensure_future(limiter.acquire(clock=clock, seconds=5))
    patient = asyncio.ensure_future(limiter.acquire(clock=clock, seconds=60))
    await anyio.wait_all_tasks_blocked()
    clock.advance(4.9)
    assert not late.done()
    clock.advance(0.1)
    assert not await late
    limiter.release()
    assert await patient
    assert (limiter.in_flight, clock.waited_for) == (1, [])


async def test_a_window_near_its_end_caps_the_limit() -> None:
    limiter = ConcurrencyLimiter(4)
    limiter.cap(2)
    assert limiter.limit == 2
    assert [limiter.acquire_nowait() for _ in range(3)] == [True, True, False]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(limiter.acquire)
        await anyio.wait_all_tasks_blocked()
        assert limiter.in_flight == 2
        limiter.cap(None)
        assert limiter.in_flight == 3


async def test_a_raised_limit_wakes_waiters() -> None:
    limiter = ConcurrencyLimiter()
    for _ in range(8):
        limiter.acquire_nowait()
    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(limiter.acquire)
        await anyio.wait_all_tasks_blocked()
        now = 0.0
        for _ in range(60):
            limiter.finished(started_at=now, now=now + 0.1, overloaded=False)
            now += 0.1
        assert limiter.limit == 16
        await anyio.wait_all_tasks_blocked()
        assert limiter.in_flight == 16
    assert limiter.maximum == 16
    assert limiter.like_this().limit == 8
    assert ConcurrencyLimiter(3).like_this().maximum == 3
    limiter.finished(started_at=1e9, now=1e9, overloaded=True)
    assert limiter.limit == 8
    ConcurrencyLimiter(3).finished(started_at=0, now=0, overloaded=True)

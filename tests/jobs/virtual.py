"""A server and its clients in virtual time: one heap of moments, no sleeping, no IO."""

from __future__ import annotations

import heapq
import itertools
import statistics
from typing import TYPE_CHECKING

import attrs

from vismanet_async._jobs.schedule import Rules, Schedule

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

WINDOW = 3600.0


@attrs.define(kw_only=True)
class Work:
    """One job: when it is submitted, how long it runs, and what was seen of it."""

    key: str
    submitted_at: float
    seconds: float
    arrivals: list[float] = attrs.field(factory=list)
    detected_at: float | None = None

    @property
    def delay(self) -> float:
        assert self.detected_at is not None
        return self.detected_at - self.submitted_at - self.seconds


@attrs.define(kw_only=True)
class Outcome:
    works: list[Work]
    refused: int
    left: list[tuple[float, int]]
    """(time, remaining) at each poll, as the server counted."""

    @property
    def mean_delay(self) -> float:
        return statistics.fmean(work.delay for work in self.works)

    @property
    def polls_per_job(self) -> float:
        return sum(len(work.arrivals) for work in self.works) / len(self.works)

    @property
    def polls(self) -> int:
        return sum(len(work.arrivals) for work in self.works)

    def most_in_a_minute(self) -> int:
        """The most arrivals of one URL in any 60 seconds."""
        most = 0
        for work in self.works:
            start = 0
            for end, when in enumerate(work.arrivals):
                while work.arrivals[start] <= when - 60.0:
                    start += 1
                most = max(most, end - start + 1)
        return most


@attrs.define
class _Server:
    quota: int | None
    used: int = 0
    window: int = 0
    refused: int = 0

    def ask(self, now: float) -> bool:
        if int(now // WINDOW) != self.window:
            self.window, self.used = int(now // WINDOW), 0
        if self.quota is not None and self.used >= self.quota:
            self.refused += 1
            return False
        self.used += 1
        return True

    def left(self, now: float) -> int:
        assert self.quota is not None
        return self.quota - (self.used if int(now // WINDOW) == self.window else 0)


def run(  # noqa: C901, PLR0912 - one loop over all that can happen
    works: Sequence[Work],
    *,
    randomness: random.Random,
    quota: int | None = None,
    webhook_after: Callable[[], float] | None = None,
    rules: Rules | None = None,
    restart_every: float | None = None,
    fail_one_in: int = 0,
    learned: Sequence[float] = (),
    latency: tuple[float, float] = (0.02, 0.4),
) -> Outcome:
    """Submit, poll and finish all works; the scheduler knows nothing of their run times.

    A restart forgets the schedule and makes a new one from what a store would hold: submission and poll times.
    """
    server = _Server(quota)
    order = itertools.count()
    agenda: list[tuple[float, int, str, Work | None]] = []
    taken_over: dict[str, float] = {}
    unanswered: dict[str, float] = {}
    stamps: dict[str, list[float]] = {work.key: [] for work in works}
    live: dict[str, Work] = {}
    left: list[tuple[float, int]] = []
    asking: set[str] = set()
    generation = 0
    tick = float("inf")

    def at(when: float, what: str, work: Work | None = None) -> None:
        heapq.heappush(agenda, (when, next(order), what, work))

    def fresh() -> Schedule:
        schedule = Schedule(rules=rules)
        schedule.know("op", learned)
        return schedule

    def observe(now: float) -> None:
        if quota is not None:
            schedule.observe(now=now, remaining=server.left(now), resets_at=(now // WINDOW + 1) * WINDOW)

    def answered(key: str, now: float) -> None:
        del unanswered[key]
        stamps[key].append(now)

    def follow(work: Work, now: float, *, missed: bool = False) -> None:
        taken_over[work.key] = now
        schedule.add(
            work.key,
            now=now,
            operation="op",
            began_at=work.submitted_at,
            expires_at=work.submitted_at + 86400,
            webhook=webhook_after is not None,
            missed=missed,
            asked=stamps[work.key],
            unanswered_since=unanswered.get(work.key),
        )

    schedule = fresh()
    for each in works:
        at(each.submitted_at, "submit", each)
    if restart_every is not None:
        at(restart_every, "restart")
    while agenda:
        now, _, what, work = heapq.heappop(agenda)
        if what == "tick" and now >= tick:
            tick = float("inf")
        if what == "restart" and len(live) + sum(1 for entry in agenda if entry[2] == "submit"):
            schedule, asking, generation = fresh(), set(), generation + 1
            for open_work in live.values():
                # what was still on its way dies with the connection
                open_work.arrivals = [when for when in open_work.arrivals if when <= now]
                follow(open_work, now, missed=True)
            assert restart_every is not None
            at(now + restart_every * randomness.uniform(0.5, 1.5), "restart")
        elif what == "submit":
            assert work is not None
            server.ask(now)
            observe(now)
            live[work.key] = work
            follow(work, now)
            if webhook_after is not None:
                at(now + work.seconds + webhook_after(), "webhook", work)
        elif what == "webhook":
            assert work is not None
            if work.key in live:
                schedule.hint(work.key, now)
        elif what.startswith("answer"):
            assert work is not None
            if what != f"answer{generation}" or work.key not in live:
                pass  # the process that asked is gone
            elif fail_one_in and randomness.randrange(fail_one_in) == 0:
                asking.discard(work.key)
                answered(work.key, now)
                schedule.fault(work.key, now, randomness=randomness.random())
            elif work.arrivals[-1] >= work.submitted_at + work.seconds:
                work.detected_at = work.arrivals[-1]
                server.ask(now)  # its content
                observe(now)
                schedule.remove(work.key, ran_seconds=work.seconds)
                del live[work.key]
            else:
                observe(now)
                answered(work.key, now)
                schedule.pending(work.key, now)
        while (key := schedule.take(now)) is not None:
            polled = live[key]
            if key in unanswered:
                stamps[key].append(taken_over[key])
            unanswered[key] = now
            travel = randomness.uniform(*latency)
            arrival = now + travel * randomness.random()
            if quota is not None:
                left.append((now, server.left(now)))
            server.ask(now)
            polled.arrivals.append(arrival)
            at(now + travel, f"answer{generation}", polled)
        wakeup = schedule.wakeup(now)
        if live and wakeup < tick and wakeup < float("inf"):
            tick = max(wakeup, now + 1e-3)
            at(tick, "tick")
    return Outcome(works=list(works), refused=server.refused, left=left)


def best_delay(  # noqa: C901 - tables, the programme and the search for the price belong together
    durations: Sequence[float], polls_per_job: float, *, step: float = 1.0
) -> float:
    """The least mean delay that any schedule can have with so many polls a job, knowing the run times' distribution.

    A dynamic programme over a grid, for a price per poll; the price is then chosen to meet the budget. No schedule
    for jobs that look alike can do better, since each can only choose the next moment to ask.
    """
    longest = max(durations)
    size = int(longest / step) + 2
    ends = sorted(durations)
    count = len(ends)
    # alive[i]: share not ended at i * step; area[i]: integral of the ended share up to there
    alive = [1.0] * size
    ended = [0.0] * size
    pointer = 0
    for index in range(size):
        while pointer < count and ends[pointer] <= index * step:
            pointer += 1
        alive[index] = 1 - pointer / count
        ended[index] = pointer / count
    mass_time = [0.0] * size
    total = 0.0
    pointer = 0
    for index in range(size):
        while pointer < count and ends[pointer] <= index * step:
            total += ends[pointer]
            pointer += 1
        mass_time[index] = total / count

    def solve(price: float) -> tuple[float, float]:
        cost = [0.0] * size
        polls = [0.0] * size
        delay = [0.0] * size
        for start in range(size - 2, -1, -1):
            if alive[start] == 0:
                continue
            best = (float("inf"), 0.0, 0.0)
            for after in range(start + 1, size):
                waited = (ended[after] - ended[start]) * after * step - (mass_time[after] - mass_time[start])
                this = price * alive[start] + waited + cost[after]
                if this < best[0]:
                    best = (this, alive[start] + polls[after], waited + delay[after])
            cost[start], polls[start], delay[start] = best
        return polls[0], delay[0]

    low, high = 0.1, 1000.0
    for _ in range(14):
        middle = (low * high) ** 0.5
        if solve(middle)[0] > polls_per_job:
            low = middle
        else:
            high = middle
    # between two prices the mixture of their schedules is available: interpolate
    (more, less_delay), (fewer, more_delay) = solve(low), solve(high)
    if more <= polls_per_job:
        return less_delay
    share = (polls_per_job - fewer) / (more - fewer) if more > fewer else 0.0
    return more_delay + share * (less_delay - more_delay)

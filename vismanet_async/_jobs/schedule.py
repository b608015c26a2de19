"""When to poll which job. Pure: monotonic times in seconds and randomness come in as arguments.

Three limits meet here (docs/facts.md 3):

* *the same request at most 5 times a minute*: one window per job, counted from the moment the answer came, so that
  a slow request followed by a quick one cannot be closer at the server than it looks from here;
* *the hourly quota is shared*: polls may use half of what is left of a window, spread evenly over its rest. Of that a
  quarter may be used at once for jobs that are overdue because no process followed them: each takes a poll anyway;
* *all requests pause after a 429*.

Within them the delay between a job's end and its detection is kept small: the first polls are dense, because the
first gaps of a window are free, then equal gaps follow, which no schedule beats while nothing is known of a job.
If run times of the same operation are known, polls begin when the first jobs can have ended, and scarce polls go to
the jobs that are likelier to have ended. Some are kept for jobs still to come: if a hundred will be open soon, the
first ten may not use up what all could share.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from typing import TYPE_CHECKING

import attrs

from vismanet_async._jobs.duration_stats import PollDemand
from vismanet_async._jobs.poll_budget import PollBudget

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Rules", "Schedule", "earliest"]


@attrs.frozen(kw_only=True)
class Rules:
    """The parameters of the schedule, each with its reason."""

    same_request: int = 5
    """The same request at most so often ..."""
    window_seconds: float = 60.25
    """... in a minute (docs/facts.md 3), with a margin for clocks that tick differently."""
    first_gaps_seconds: tuple[float, ...] = (3.0, 5.0, 8.0, 12.0, 16.0, 19.0)
    """From the quiet start on; sums up to the window, then the steady gap follows."""
    steady_gap_seconds: float = 12.05
    """The window shared out evenly."""
    share: float = 0.5
    """The part of the remaining quota that polls may use."""
    burst: int = 10
    """Polls that may be sent at once before they are spread evenly."""
    at_once_share: float = 0.25
    """The part of the polls of a window that jobs may take at once which no process followed and which are due."""
    unknown_quota_per_second: float = 1.0
    """Polls per second while no answer has reported the quota yet."""
    with_webhook_seconds: float = 900.0
    """If a webhook is expected, polls are only a safety net: the first after this, then doubling ..."""
    with_webhook_cap_seconds: float = 3600.0
    """... up to this."""
    fault_seconds: float = 15.0
    """The wait after a poll that could not be read, doubling ..."""
    fault_cap_seconds: float = 300.0
    """... up to this."""
    refused_seconds: float = 151.0
    """After a client error: a failed request may be repeated twice in five minutes (docs/facts.md 3)."""
    last_call_seconds: float = 600.0
    """However scarce polls are, one is made this long before the server forgets the job."""


def earliest(asked: Iterable[float], *, rules: Rules) -> float:
    """Return the first moment at which the same request may be sent once more.

    Args:
        asked: when it was answered before (or sent, if no answer came yet), oldest first.
        rules: the limit and its window.
    """
    recent = list(asked)[-rules.same_request :]
    return recent[0] + rules.window_seconds if len(recent) == rules.same_request else -math.inf


@attrs.define(kw_only=True)
class _Followed:
    key: str
    operation: str
    anchor: float
    """Start of the first gaps: submission, or the last hint."""
    began_at: float
    expires_at: float
    deadline_at: float
    webhook: bool
    missed: bool
    unseen: bool
    """No process followed it for a while, and this one has not asked for it yet."""
    asked: deque[float]
    last_at: float
    """When it was asked for last; gaps count from here."""
    urgent: bool = False
    in_flight: bool = False
    faults: int = 0
    seen_until: float = 0.0
    """The age up to which it was seen running."""
    safety_polls: int = 0
    due_at: float = 0.0
    version: int = 0


class Schedule:
    """The plan of polls for all jobs that this process follows. Not thread-safe; has no IO and no clock.

    `take` returns the next job that may be polled now; each job taken is returned with `pending`, `fault` or
    `remove`. Costs O(log n) a call.
    """

    def __init__(self, *, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self.budget = PollBudget(self.rules)
        self._demand = PollDemand()
        self._jobs: dict[str, _Followed] = {}
        self._queue: list[tuple[float, int, str]] = []
        self._urgent: list[tuple[float, int, str]] = []
        self._versions = 0

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, key: str) -> bool:
        return key in self._jobs

    # -- jobs ------------------------------------------------------------------------------------------------------

    def add(
        self,
        key: str,
        *,
        now: float,
        operation: str,
        began_at: float,
        expires_at: float = math.inf,
        deadline_at: float = math.inf,
        webhook: bool = False,
        missed: bool = False,
        asked: Iterable[float] = (),
        unanswered_since: float | None = None,
    ) -> None:
        """Follow a job.

        Args:
            key: any name for it; a job that is followed already is left as it is.
            now: the present moment.
            operation: jobs of the same operation share their learned run times.
            began_at: when it was submitted.
            expires_at: when the server forgets it.
            deadline_at: a poll is made then, whatever else.
            webhook: whether a webhook will come.
            missed: no process followed it for a while. It may have ended, and webhooks may have arrived: what should
                have been asked meanwhile is asked now.
            asked: when it was asked for before, by whichever process; later than now counts as now.
            unanswered_since: when the last request was sent, if its answer never came (its process ended). It counts
                as sent now, because it may have reached the server that late. Later than now counts as now.
        """
        if key in self._jobs:
            return
        past = [min(when, now) for when in asked]
        last_at = past[-1] if past else began_at
        if unanswered_since is not None:
            past.append(now)
            last_at = min(unanswered_since, now)
        followed = _Followed(
            key=key,
            operation=operation,
            anchor=began_at,
            began_at=began_at,
            expires_at=expires_at,
            deadline_at=deadline_at,
            webhook=webhook,
            missed=missed,
            unseen=missed,
            asked=deque(past, maxlen=self.rules.same_request),
            last_at=last_at,
        )
        self._jobs[key] = followed
        if not webhook:
            self._demand.arrivals[operation].add(began_at)
        self._plan(followed, now)

    def remove(self, key: str, *, ran_seconds: float | None = None) -> None:
        """Stop following a job.

        Args:
            key: the job; one that is not followed is ignored.
            ran_seconds: how long it ran, if it has ended: to learn from.
        """
        followed = self._jobs.pop(key, None)
        if followed is None:
            return
        self._demand.weigh(key, 0.0)
        if ran_seconds is not None:
            run_times = self._demand.run_times[followed.operation]
            run_times.ran(min(followed.seen_until, ran_seconds), ran_seconds)
            run_times.ended(ran_seconds)

    def hint(self, key: str, now: float) -> None:
        """Poll a job as soon as the rules allow, because a hint says that it has ended."""
        followed = self._jobs.get(key)
        if followed is None:
            return
        followed.anchor = now
        followed.urgent = True
        if not followed.in_flight:
            self._put(followed, max(now, earliest(followed.asked, rules=self.rules)))

    def switch(self, key: str, *, now: float, asked: Iterable[float]) -> None:
        """Switch a job in flight to its content, at once: another request, with a window of its own."""
        followed = self._jobs.get(key)
        if followed is None:  # its lease was lost meanwhile
            return
        followed.asked = deque([*(min(when, now) for when in asked), now], maxlen=self.rules.same_request)

    def know(self, operation: str, seconds: Iterable[float]) -> None:
        """Record run times that were learned earlier."""
        self._demand.run_times[operation].know(seconds)

    def observe(self, *, now: float, remaining: int, resets_at: float) -> None:
        """Record what an answer says about the quota; jobs that waited for want of knowing it are planned anew."""
        was_known = self.budget.is_known(now)
        self.budget.observe(now=now, remaining=remaining, resets_at=resets_at)
        if was_known:
            return
        waiting = [
            followed
            for followed in self._jobs.values()
            if not (followed.in_flight or followed.urgent or self._relies_on_webhook(followed, now))
        ]
        for followed in waiting:
            self._demand.weigh(followed.key, 0.0)
        for followed in sorted(waiting, key=lambda followed: followed.due_at):
            self._plan(followed, now)

    # -- asking ----------------------------------------------------------------------------------------------------

    def take(self, now: float) -> str | None:
        """Return the job to poll now, if any is due; it is in flight until it is returned."""
        if now < self.budget.open_at(now):
            return None
        self._clean()
        queue = self._urgent if self._urgent and self._urgent[0][0] <= now else self._queue
        if not queue or queue[0][0] > now:
            return None
        followed = self._jobs[queue[0][2]]
        at_once = followed.unseen and self.budget.at_once >= 1
        if queue is self._queue and now < self.budget.paced_at(now) and not at_once:
            return None
        heapq.heappop(queue)
        followed.in_flight, followed.urgent, followed.unseen = True, False, False
        followed.asked.append(now)
        self.budget.spend(now, at_once=at_once)
        return followed.key

    def wakeup(self, now: float) -> float:
        """Return the moment at which `take` should be called again; infinity if nothing is scheduled."""
        self._clean()
        urgent = self._urgent[0][0] if self._urgent else math.inf
        queued = math.inf
        if self._queue:
            due_at, _, key = self._queue[0]
            at_once = self._jobs[key].unseen and self.budget.at_once >= 1
            queued = due_at if at_once else max(due_at, self.budget.paced_at(now))
        return max(min(urgent, queued), self.budget.open_at(now))

    def pending(self, key: str, now: float, *, times: int = 1) -> None:
        """Return a job that has not ended to the schedule.

        Args:
            key: the job.
            now: when its answer came.
            times: how often it was asked for on the way (a renewed token repeats the request).
        """
        followed = self._given_back(key, now, times)
        if followed is not None:
            followed.faults = 0
            age = max(now - followed.began_at, followed.seen_until)
            self._demand.run_times[followed.operation].ran(followed.seen_until, age)
            followed.seen_until = age
            self._plan(followed, now)

    def fault(
        self,
        key: str,
        now: float,
        *,
        randomness: float,
        refused: bool = False,
        times: int = 1,
        at_least_seconds: float = 0.0,
    ) -> None:
        """Return a job that could not be read to the schedule.

        Args:
            key: the job.
            now: when that became clear.
            randomness: 0 to 1; spreads the next attempts of many jobs.
            refused: it was answered with a client error; else there was a server error or no answer.
            times: how often it was asked for on the way.
            at_least_seconds: the wait is no shorter.
        """
        followed = self._given_back(key, now, times)
        if followed is None:
            return
        followed.faults += 1
        wait = min(self.rules.fault_cap_seconds, self.rules.fault_seconds * 2 ** min(followed.faults - 1, 20))
        if refused:
            wait = max(wait, self.rules.refused_seconds)
        wait = max(wait, at_least_seconds)
        self._put(followed, max(now + wait * (1 + randomness / 2), earliest(followed.asked, rules=self.rules)))

    # -- inside ----------------------------------------------------------------------------------------------------

    def _given_back(self, key: str, now: float, times: int) -> _Followed | None:
        followed = self._jobs.get(key)
        if followed is None:
            return None
        followed.in_flight = False
        if followed.asked:
            followed.asked.pop()
        followed.asked.extend([now] * max(1, times))
        followed.last_at = now
        return followed

    def _plan(self, followed: _Followed, now: float) -> None:
        allowed = max(now, earliest(followed.asked, rules=self.rules))
        if followed.urgent:
            self._put(followed, allowed)
            return
        due = self._safety_net(followed, now) if self._relies_on_webhook(followed, now) else self._wish(followed, now)
        last_call = followed.expires_at - self.rules.last_call_seconds
        if now < last_call:
            due = min(due, last_call)
        if now < followed.deadline_at:
            due = min(due, followed.deadline_at)
        self._put(followed, max(due, allowed))

    def _relies_on_webhook(self, followed: _Followed, now: float) -> bool:
        hinted = followed.anchor > followed.began_at
        return followed.webhook and not (hinted and now < followed.anchor + self.rules.window_seconds)

    def _safety_net(self, followed: _Followed, now: float) -> float:
        self._demand.weigh(followed.key, 0.0)
        if followed.missed:
            followed.missed = False
            return now
        wait: float = self.rules.with_webhook_seconds * 2.0 ** min(followed.safety_polls, 20)
        followed.safety_polls += 1
        return max(followed.last_at, followed.anchor) + min(wait, self.rules.with_webhook_cap_seconds)

    def _wish(self, followed: _Followed, now: float) -> float:
        """Return when to poll next: as densely as its age allows, or as rarely as the quota demands."""
        run_times = self._demand.run_times[followed.operation]
        gaps = self.rules.first_gaps_seconds
        at = followed.anchor + gaps[0]
        if followed.anchor == followed.began_at:
            at = followed.anchor + run_times.quiet_seconds(gaps[0])
        # gaps count from the last poll, not from now: restarts in quick succession must not put it off for ever
        last = max(followed.anchor, followed.last_at)
        age = max(0.0, last - followed.began_at)
        self._demand.weigh(followed.key, run_times.weight(age))
        effort = self._demand.total(now) / self.budget.rate(now)
        scarce = min(run_times.stretch(age, effort), 2.5 * len(self._jobs) / self.budget.rate(now))
        self._demand.weigh(followed.key, effort / scarce)
        if at <= last:
            for gap in gaps[1:]:
                at += gap
                if at > last:
                    break
            else:
                at = last + self.rules.steady_gap_seconds
        # what is used up now is there again after the reset
        due = max(at, last + scarce)
        return min(due, max(self.budget.resets_at, at)) if now < self.budget.resets_at else due

    def _put(self, followed: _Followed, due_at: float) -> None:
        self._versions += 1
        followed.version, followed.due_at = self._versions, due_at
        heapq.heappush(self._urgent if followed.urgent else self._queue, (due_at, followed.version, followed.key))

    def _clean(self) -> None:
        for queue in (self._urgent, self._queue):
            while queue and self._stale(queue[0]):
                heapq.heappop(queue)

    def _stale(self, entry: tuple[float, int, str]) -> bool:
        followed = self._jobs.get(entry[2])
        return followed is None or followed.in_flight or followed.version != entry[1]

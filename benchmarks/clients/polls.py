"""Background jobs in virtual time: how often they are asked for, and how late their end is noticed.

Nothing goes over a network here: the SDK's schedule is a pure state machine, and the server it is played against is
that of its own tests. Run times are drawn from a fixed seed, so that a figure is the same wherever it is made.
"""

from __future__ import annotations

import math
from random import Random
from typing import TYPE_CHECKING

from benchmarks.job import Outcome
from tests.jobs.virtual import Work, best_delay, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.job import Task

_QUOTA = 5000
_EVERY_SECONDS = 12.0
"""The service answers the same question five times a minute."""


def short_jobs(task: Task) -> Outcome:
    """Median 8 seconds, one after the other; nothing is known of them."""
    return _one_by_one(task, lambda random: 8 * math.exp(random.gauss(0, 0.8)))


def long_jobs(task: Task) -> Outcome:
    """Two minutes and more, ten on average."""
    return _one_by_one(task, lambda random: 120 + random.expovariate(1 / 480))


def under_a_quota(task: Task) -> Outcome:
    """Within an hour, 5 to 600 seconds each, with 5,000 requests an hour for all."""
    return _together(task, webhooks=False)


def with_webhooks(task: Task) -> Outcome:
    """The same with a webhook for each, up to five seconds late."""
    return _together(task, webhooks=True)


def every_twelve_seconds(task: Task) -> Outcome:
    """The same jobs as under the quota, asked for as often as the service allows."""
    random, polls, delay = Random(1), 0, 0.0
    for _ in range(task.job.rows):
        random.uniform(0, 3600)
        seconds = random.uniform(5, 600)
        asked = math.ceil(seconds / _EVERY_SECONDS)
        polls, delay = polls + asked, delay + asked * _EVERY_SECONDS - seconds
    return _outcome(task, polls / task.job.rows, delay / task.job.rows)


def _one_by_one(task: Task, seconds: Callable[[Random], float]) -> Outcome:
    random = Random(1)
    works = [Work(key=str(number), submitted_at=0.0, seconds=seconds(random)) for number in range(task.job.rows)]
    polls, delay = 0, 0.0
    for work in works:
        seen = run([work], randomness=random)
        polls, delay = polls + seen.polls, delay + seen.mean_delay
    return _outcome(task, polls / len(works), delay / len(works))


def _together(task: Task, *, webhooks: bool) -> Outcome:
    random = Random(1)
    works = [
        Work(key=str(number), submitted_at=random.uniform(0, 3600), seconds=random.uniform(5, 600))
        for number in range(task.job.rows)
    ]
    late = (lambda: random.uniform(0.2, 5)) if webhooks else None
    seen = run(works, randomness=random, quota=_QUOTA, webhook_after=late)
    bound = None if webhooks else best_delay([work.seconds for work in works], seen.polls_per_job, step=6.0)
    return _outcome(task, seen.polls_per_job, seen.mean_delay, bound=bound)


def _outcome(task: Task, polls: float, delay_seconds: float, *, bound: float | None = None) -> Outcome:
    figures = {"polls_a_job": polls, "delay_seconds": delay_seconds, "delay_of_bound": 0.0}
    if bound:
        figures["delay_of_bound"] = delay_seconds / bound
    return Outcome(rows=task.job.rows, figures=figures)

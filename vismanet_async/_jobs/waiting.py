"""Wait for a job's end, whether this process follows it, another one, or none."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from vismanet_async._jobs.core.states import State
from vismanet_async._jobs.leased_jobs import can_follow
from vismanet_async._jobs.store import StoreNotUsable

if TYPE_CHECKING:
    from collections.abc import Callable

    from vismanet_async._jobs.core.records import JobRecord
    from vismanet_async._jobs.leased_jobs import LeasedJobs

__all__ = ["wait_for_end"]

_log = logging.getLogger("vismanet_async.jobs")


async def wait_for_end(
    jobs: LeasedJobs, own_id: str, *, timeout_seconds: float | None, until_certain: bool, alive: Callable[[], None]
) -> JobRecord:
    """Wait until a job is settled, following it here unless another process does.

    A warning is logged once if the job does not advance by itself: an uncertain job, a job of another process, a store
    that is out of reach since the wait began.

    Args:
        jobs: the jobs of this process.
        own_id: the job.
        timeout_seconds: how long; None for as long as it takes.
        until_certain: whether an uncertain job ends the wait, too.
        alive: raises if this process no longer follows jobs.

    Raises:
        TimeoutError: it was not settled in time; the message has its state.
        JobUnknown: it is not stored, or not any more.
        StoreNotUsable: the store is out of reach from the beginning.
    """
    clock = jobs.clock
    deadline = None if timeout_seconds is None else clock.monotonic() + timeout_seconds
    looked, waits_for = False, ""
    while True:
        alive()
        try:
            record = await jobs.record(own_id)
            looked = True
            if record.settled or (until_certain and record.state is State.UNCERTAIN):
                jobs.notifier.notify_waiters(own_id)  # others may wait for it as well
                return record
            jobs.watched.add(own_id)
            if own_id not in jobs and (record.state is not State.UNCERTAIN or can_follow(record)):
                await jobs.take_over([own_id])
            here = own_id in jobs
            first_poll_seconds = jobs.schedule.rules.with_webhook_seconds
            now_for = _standing(record, here=here, first_poll_seconds=first_poll_seconds)
            level = logging.DEBUG if here else logging.WARNING
        except StoreNotUsable as error:
            if not looked:
                raise
            now_for, level = f"the job store is out of reach: {error}", logging.WARNING
        if now_for != waits_for:
            waits_for = now_for
            facts = {"company": jobs.company, "job": own_id}
            _log.log(level, "waiting for job %s: %s", own_id, waits_for, extra=facts)
        left = None if deadline is None else deadline - clock.monotonic()
        if left is not None and left <= 0:
            raise TimeoutError(
                f"job {own_id} was not settled within {timeout_seconds} s: {waits_for}. It goes on and may be waited "
                "for again."
            )
        await jobs.wait_for_news(own_id, at_most_seconds=left)


def _standing(record: JobRecord, *, here: bool, first_poll_seconds: float) -> str:
    if record.state is State.UNCERTAIN and not here:
        return f"it is uncertain ({record.error}); a webhook that names it ends that, or what you say with `settle`"
    if not here:
        who = "another process works on it, or did until its lease ends"
    elif record.notify == "subscription":
        who = f"its webhook is awaited here; without one it is polled rarely, first after {first_poll_seconds:.0f} s"
    else:
        who = "this process follows it"
    return f"it is {record.state.value}, {who}"

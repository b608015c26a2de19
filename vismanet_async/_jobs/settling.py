"""What a user says about an uncertain job: the event that it is, and how it is written down."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from vismanet_async._arguments import expect
from vismanet_async._jobs.core.answers import is_job_id
from vismanet_async._jobs.core.events import Found, Settled
from vismanet_async._jobs.core.states import Outcome
from vismanet_async._jobs.core.transitions import advance
from vismanet_async._jobs.store import LeaseLost
from vismanet_async.errors import RequestRefused, VismaNetError

if TYPE_CHECKING:
    from datetime import datetime

    from vismanet_async._jobs.core.records import JobRecord
    from vismanet_async._jobs.leased_jobs import LeasedJobs

__all__ = ["event_of", "settle"]


def event_of(*, outcome: Outcome | None, job_id: str | None, note: str, at: datetime) -> Settled | Found:
    """Return the event that an outcome or a server's id is.

    Raises:
        RequestRefused: neither or both are given, or one is not valid.
    """
    expect("note", note, str)
    for name, chosen in (("outcome", outcome), ("job_id", job_id)):
        expect(name, chosen, str, type(None))
    if outcome is not None and outcome not in get_args(Outcome):
        raise RequestRefused(f"outcome is one of {', '.join(get_args(Outcome))}, not {outcome!r}; nothing changed.")
    if (outcome is None) == (job_id is None):
        raise RequestRefused("settle takes an outcome or a job_id, one of both; nothing was changed.")
    if job_id is not None and not is_job_id(job_id):
        raise RequestRefused(f"{job_id!r} is not an id of the server's; nothing was changed.")
    if outcome is None and note:
        raise RequestRefused("a note says why an outcome is believed, and goes with one; nothing was changed.")
    return Found(at=at, job_id=job_id or "") if outcome is None else Settled(at=at, outcome=outcome, note=note)


async def settle(jobs: LeasedJobs, own_id: str, event: Settled | Found) -> JobRecord:
    """Write down what the user says about a job, and follow it where it is not settled by that.

    Raises:
        TransitionError: the job is not uncertain.
        LeaseLost: another process is working on it right now.
        JobUnknown: no such job.
        JobIdTaken: another job has that id.
    """
    advance(await jobs.record(own_id), event)
    current = jobs.get(own_id)
    claimed = [current] if current else list(await jobs.claim([own_id]))
    if not claimed:
        raise LeaseLost(f"job {own_id} is being worked on by another process; try again.")
    try:
        leased = await jobs.apply(claimed[0], event)
    except VismaNetError:
        if current is None:
            await jobs.try_release([own_id])
        raise
    if leased.record.settled:
        await jobs.finish(leased)
    else:
        jobs.watched.add(own_id)
        jobs.follow(leased)
    return leased.record

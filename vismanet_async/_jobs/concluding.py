"""`Conclusions`: stores the outcomes of submissions, however long the store is out of reach.

Only this process knows the outcome (an id, an answer, that nothing was sent). It is kept in memory until it is stored,
even if the caller was cancelled or got the error. Then the job is followed here, or its lease is released.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import anyio
import attrs

from vismanet_async._jobs.core.events import Accepted, Answered, Lost, NeverSent
from vismanet_async._jobs.core.states import State
from vismanet_async._jobs.core.transitions import TransitionError, advance
from vismanet_async._jobs.store import JobIdTaken, LeaseLost, StoreNotUsable
from vismanet_async._tasks import run_to_completion

if TYPE_CHECKING:
    from vismanet_async._jobs.core.records import JobRecord, JobResult
    from vismanet_async._jobs.course import Ending
    from vismanet_async._jobs.leased_jobs import LeasedJobs
    from vismanet_async._jobs.store import Leased

__all__ = ["Conclusion", "Conclusions"]

_FIRST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 5.0
_log = logging.getLogger("vismanet_async.jobs")


@attrs.frozen(kw_only=True)
class Conclusion:
    """The outcome of a submission."""

    leased: Leased
    """The job as it was stored last, or as its intent may have been stored."""
    event: Ending
    result: JobResult | None = None

    @property
    def record(self) -> JobRecord:
        """The job with this outcome, whether or not it is stored."""
        return advance(self.leased.record, self.event)

    @property
    def job_id(self) -> str | None:
        """The server's id, if it is known."""
        return self.event.job_id if isinstance(self.event, Accepted) else None


class Conclusions:
    """The outcomes that are not stored yet, and their retries."""

    def __init__(self, jobs: LeasedJobs) -> None:
        self._jobs = jobs
        self._unwritten: dict[str, Conclusion] = {}
        self._added = anyio.Event()

    def __len__(self) -> int:
        return len(self._unwritten)

    @run_to_completion
    async def conclude(self, conclusion: Conclusion) -> JobRecord:
        """Store the outcome of a submission, and follow its job.

        Raises:
            StoreNotUsable: it could not be stored yet; `run` retries. `job_id` is the server's id if known.
        """
        try:
            return await self._write(conclusion)
        except StoreNotUsable as error:
            own_id = conclusion.leased.record.id
            self._unwritten[own_id] = conclusion
            self._added.set()
            _log.log(
                logging.INFO if conclusion.job_id is None else logging.WARNING,
                "the outcome of submitting job %s (%s, id at the server %s) is stored when the job store is back: %s",
                own_id,
                type(conclusion.event).__name__,
                conclusion.job_id,
                error,
                extra={"company": self._jobs.company, "job": own_id, "job_id": conclusion.job_id},
            )
            error.job_id = conclusion.job_id
            raise

    async def run(self) -> None:
        """Retry what could not be stored, until the task is cancelled."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            if not self._unwritten:
                self._added = anyio.Event()
                await self._added.wait()
                pause = _FIRST_PAUSE_SECONDS
            await self._jobs.clock.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            if await self.flush():
                pause = _FIRST_PAUSE_SECONDS

    @run_to_completion
    async def flush(self) -> bool:
        """Retry once what could not be stored; return whether nothing is left."""
        for own_id, conclusion in [*self._unwritten.items()]:
            try:
                await self._write(conclusion)
            except StoreNotUsable:
                return False
            del self._unwritten[own_id]
        return not self._unwritten

    def report(self) -> None:
        """Log what is not stored at the end, so that no id of the server is lost."""
        for own_id, conclusion in self._unwritten.items():
            _log.error(
                "job %s (%s %s) is %s, its id at the server is %s, and that could not be stored",
                own_id,
                conclusion.leased.record.operation.method,
                conclusion.leased.record.operation.path,
                conclusion.record.state.value,
                conclusion.job_id,
                extra={"company": self._jobs.company, "job": own_id, "job_id": conclusion.job_id},
            )

    async def _write(self, conclusion: Conclusion) -> JobRecord:
        jobs, event = self._jobs, conclusion.event
        own_id = conclusion.leased.record.id
        try:
            leased = await jobs.apply(conclusion.leased, event, result=conclusion.result)
        except LeaseLost:
            return await self._hand_over(conclusion)
        except JobIdTaken as error:
            lost = Lost(at=event.at, reason=f"the server gave an id that is in use: {error}")
            leased = await jobs.apply(conclusion.leased, lost)
        record = leased.record
        if record.job_id is None or record.settled or jobs.closed:
            jobs.abandon(own_id)
            await jobs.try_release([own_id])
            return record
        jobs.follow(leased)
        if record.notify == "subscription":
            try:
                # its webhook may have arrived before the answer
                await jobs.apply_hint(own_id)
            except StoreNotUsable as error:
                _log.warning("webhook hints for job %s are read later: %s", own_id, error)
        jobs.notifier.notify_waiters(own_id)
        return record

    async def _hand_over(self, conclusion: Conclusion) -> JobRecord:
        """Record the outcome for a job whose lease another process has taken over, because this one seemed dead."""
        jobs, event = self._jobs, conclusion.event
        own_id = conclusion.leased.record.id
        if isinstance(event, Accepted):
            # a hint, by which the process that leases the job now finds it at the server
            await jobs.store.hint(own_id=own_id, job_ids=[event.job_id], at=event.at)
        record = await jobs.store.get(own_id)
        jobs.abandon(own_id)
        if record is None:
            return conclusion.record  # its intent was never stored, or it was forgotten
        if isinstance(event, Answered | NeverSent) and record.state is State.UNCERTAIN and record.job_id is None:
            return await self._correct(conclusion, record)
        return record

    async def _correct(self, conclusion: Conclusion, record: JobRecord) -> JobRecord:
        """Settle a job that another process had to call uncertain, unless a process has leased it."""
        jobs = self._jobs
        for claimed in await jobs.claim([record.id]):
            leased = claimed
            with suppress(LeaseLost, TransitionError):
                leased = await jobs.apply(claimed, conclusion.event, result=conclusion.result)
            await jobs.finish(leased)
            return leased.record
        return record

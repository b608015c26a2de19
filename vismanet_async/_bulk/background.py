"""Rows as background jobs: which go that way, how they are sent and followed, and what their ends mean.

A row's own job id is in the journal before the job is submitted; the job store has the job before its request leaves,
and everything after that (docs/jobs.md). So a process that dies leaves a row whose job says how it stands.
"""

from __future__ import annotations

import hashlib
import statistics
import uuid
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

import anyio
import attrs

from vismanet_async._bulk.judging import answered, ended_in, trouble_of
from vismanet_async._bulk.transitions import Answered, Lost, Missing, NotSent, Refused, Trouble
from vismanet_async._jobs.core.states import State
from vismanet_async._jobs.core.transitions import GIVEN_UP_AFTER, TransitionError
from vismanet_async._jobs.results import error_of, value_of
from vismanet_async._jobs.store import JobUnknown, LeaseLost
from vismanet_async.errors import RequestRefused, VismaNetError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from vismanet_async._clock import Clock
    from vismanet_async._jobs.core.records import JobRecord, JobResult
    from vismanet_async._jobs.manager import JobManager
    from vismanet_async._operation import Operation

__all__ = ["AT_ONCE", "QUEUED_SECONDS", "Background", "End", "Via", "end_of"]

Via = Literal["request", "background", "auto"]
AT_ONCE: Final = 64
"""Jobs of one run that are followed at a time."""
_SLOW_SECONDS: Final = 60.0
"""An operation whose jobs ran so long in the median goes through the queue: a plain request ends after four minutes
(docs/facts.md 1.8)."""
QUEUED_SECONDS: Final = GIVEN_UP_AFTER.total_seconds()
"""How long a job whose id got lost may wait in the queue: as long as the server knows jobs."""
_MARK_CHARS: Final = 12
_NOT_THERE: Final = (
    "It may have been executed: it was to be sent as background job {}, which this job store does not have. Give the "
    "client the job store of the run that sent it, or look it up."
)
_LOOKED_UP: Final = "looked up by a bulk run"

End = Answered | Refused | NotSent | Lost | Missing


class Background:
    """The background jobs of one run."""

    def __init__(self, jobs: Callable[[], JobManager], *, via: Via, clock: Clock, reference: str | None = None) -> None:
        self._jobs_of = jobs
        self._via = via
        self._clock = clock
        self._reference = reference
        self._mark = uuid.uuid4().hex[:_MARK_CHARS]
        self._slow: frozenset[str] = frozenset()
        self._ended = False
        self._scopes: set[anyio.CancelScope] = set()

    @property
    def at_once(self) -> int:
        """How many rows may be under way; as many as requests where none goes through the queue."""
        return 0 if self._via == "request" else AT_ONCE

    @property
    def _jobs(self) -> JobManager:
        return self._jobs_of()

    async def begin(self) -> None:
        """Mark the job store with what all jobs of this run are called by.

        So a job that a later run looks for in vain was never sent, if the store has the mark; if not, it is another
        store, or a new one in its place, and says nothing.

        Raises:
            SettingsError: there is no job store.
            StoreNotUsable: it is out of reach; nothing was sent.
        """
        if self._via == "request":
            return
        store, now = self._jobs.store, self._clock.utc_now()
        await store.remember(_digest(self._mark), at=now)
        times = await store.run_times(company=self._jobs.company)
        self._slow = frozenset(name for name, each in times.items() if statistics.median(each) >= _SLOW_SECONDS)

    def end(self) -> None:
        """Follow no job any longer; they go on, and the next run follows them."""
        self._ended = True
        for scope in self._scopes:
            scope.cancel()

    def takes(self, operation: Operation[Any]) -> bool:
        """Return whether an operation goes through the queue."""
        if self._via != "auto" or not operation.spec.background:
            return self._via == "background"
        return "/action/" in operation.spec.path.casefold() or operation.spec.id in self._slow

    def new_id(self) -> str:
        """Return our own id for a job of this run."""
        return self._mark + uuid.uuid4().hex[_MARK_CHARS:]

    async def send(self, operation: Operation[Any], own_id: str) -> End | None:
        """Submit an operation and follow it; return how it ended, or None where that is for a later run to say.

        Raises:
            StoreNotUsable: the job store failed. Where it stands its job says when the store is back.
        """
        try:
            submitted = await self._jobs.submission(reference=self._reference).submit(operation, own_id=own_id)
        except RequestRefused as error:
            return Refused(attempts=0, trouble=trouble_of(error))
        record = submitted.record
        if record.settled or record.state is State.UNCERTAIN:
            at = self._clock.utc_now()
            return end_of(record, submitted.result, operation, at=at, failure=submitted.failure)
        return await self.follow(operation, own_id, sent_by=self._clock.utc_now())

    async def follow(
        self, operation: Operation[Any], own_id: str, *, sent_by: datetime, sends_for: float = 0.0
    ) -> End | None:
        """Wait for the end of a job, whoever submitted it; return as `send` does.

        Args:
            operation: what was submitted.
            own_id: the job's.
            sent_by: when its request had left at the latest, if the job store does not say.
            sends_for: how many seconds a request may take to leave.
        """
        record: JobRecord | None = None
        with anyio.CancelScope() as scope:
            self._scopes.add(scope)
            try:
                if not self._ended:
                    record = await self._jobs.wait(own_id, timeout_seconds=None, until_certain=True)
            except JobUnknown:
                return await self._never_written(own_id, sent_by)
            finally:
                self._scopes.discard(scope)
        if record is None:
            return None
        result = await self._jobs.kept_result(own_id)
        at = sent_by if record.sending_at is None else record.sending_at + timedelta(seconds=sends_for)
        return end_of(record, result, operation, at=at)

    async def _never_written(self, own_id: str, sent_by: datetime) -> Missing | Lost:
        """Return what it means that the store has no such job: an intent is written before its request leaves."""
        if await self._jobs.store.seen(_digest(own_id[:_MARK_CHARS]), at=self._clock.utc_now()):
            return Missing()
        trouble = Trouble(kind="JobUnknown", text=_NOT_THERE.format(own_id))
        return Lost(at=sent_by, attempts=0, trouble=trouble)

    async def settle(self, own_id: str, *, executed: bool) -> None:
        """Say of an uncertain job what a look has shown, so that it holds up no other job on its document."""
        with suppress(TransitionError, JobUnknown, LeaseLost):
            await self._jobs.settle(own_id, outcome="succeeded" if executed else "failed", note=_LOOKED_UP)


def _digest(mark: str) -> bytes:
    return hashlib.sha256(f"bulk run {mark}".encode()).digest()


def end_of(
    record: JobRecord,
    result: JobResult | None,
    operation: Operation[Any],
    *,
    at: datetime,
    failure: VismaNetError | None = None,
) -> End:
    """Return what the end of a job means for its row. Pure.

    Args:
        record: settled, or uncertain.
        result: the server's answer about it.
        operation: what was submitted, for its decoder.
        at: now.
        failure: what its submission raised, if it did.
    """
    if record.state is State.SUCCEEDED:
        try:
            return answered(value_of(record, result, decode=operation.decode))
        except VismaNetError:  # it was executed, and its content is not to be had
            return Answered(attempts=1)
    if record.state is State.FAILED and (record.sending_at is None or (record.error or "").startswith("never sent")):
        trouble = Trouble(kind="NotSent", text=f"job {record.id} was {record.error}.")
        return NotSent(attempts=0, trouble=trouble_of(failure) if failure is not None else trouble)
    error = error_of(record, result, decode=operation.decode)
    if error is None:
        raise RuntimeError(f"job {record.id} is {record.state} and has neither a result nor an error")
    ended = ended_in(error, at=at, conditional=False)
    ended = attrs.evolve(ended, attempts=max(1, ended.attempts))
    # one whose id is not known may still wait in the queue; any other has come to its end
    over = record.state is not State.UNCERTAIN or record.job_id is not None
    return attrs.evolve(ended, at=None) if isinstance(ended, Lost) and over else ended

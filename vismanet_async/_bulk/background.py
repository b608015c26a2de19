"""Rows as background jobs: which go that way, how they are sent and followed, and what their ends mean.

The job store has the job before the journal has its id, and the journal has that before the request leaves. So a row
whose journal names no job was never sent, and one that a process left on its way has a job that says how it stands
(docs/jobs.md). Where the store has no such job it was forgotten, pruned or lost, and nobody knows.
"""

from __future__ import annotations

import statistics
import uuid
from contextlib import suppress
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
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from vismanet_async._clock import Clock
    from vismanet_async._http.message import Response
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
"""How long a job whose end is not known may be executed: as long as the server knows jobs."""
_NOT_THERE: Final = (
    "It may have been executed: it was sent as background job {}, which this job store does not have (any more). Give "
    "the client the job store of the run that sent it, or look it up."
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
        """Read from the job store what was slow.

        Raises:
            SettingsError: there is no job store.
            StoreNotUsable: it is out of reach; nothing was sent.
        """
        if self._via == "request":
            return
        times = await self._jobs.store.run_times(company=self._jobs.company)
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
        """Return our own id for a job."""
        return uuid.uuid4().hex

    async def send(self, operation: Operation[Any], own_id: str, *, ready: Callable[[], Awaitable[None]]) -> End | None:
        """Submit an operation and follow it; return how it ended, or None where that is for a later run to say.

        Args:
            operation: what to run.
            own_id: the job's.
            ready: writes the job's id into the journal. It is called when the job store has the job, and before the
                request leaves; where it raises nothing is sent.

        Raises:
            StoreNotUsable: the job store failed. Where it stands its job says when the store is back.
        """
        submission = self._jobs.submission(reference=self._reference)
        try:
            submitted = await submission.submit(operation, own_id=own_id, ready=ready)
        except RequestRefused as error:
            return Refused(attempts=0, trouble=trouble_of(error))
        record = submitted.record
        if record.settled or record.state is State.UNCERTAIN:
            at, failure = self._clock.utc_now(), submitted.failure
            return end_of(record, submitted.result, decode=operation.decode, at=at, failure=failure)
        return await self.follow(own_id, decode=operation.decode)

    async def follow(self, own_id: str, *, decode: Callable[[Response], Any]) -> End | None:
        """Wait for the end of a job, whoever submitted it; return as `send` does.

        Args:
            own_id: the job's.
            decode: the decoder of what was submitted.
        """
        record: JobRecord | None = None
        with anyio.CancelScope() as scope:
            self._scopes.add(scope)
            try:
                if not self._ended:
                    record = await self._jobs.wait(own_id, timeout_seconds=None, until_certain=True)
            except JobUnknown:
                trouble = Trouble(kind="JobUnknown", text=_NOT_THERE.format(own_id))
                return Lost(at=self._clock.utc_now(), attempts=0, trouble=trouble)
            finally:
                self._scopes.discard(scope)
        if record is None:
            return None
        result = await self._jobs.result_of(record)
        return end_of(record, result, decode=decode, at=self._clock.utc_now())

    async def settle(self, own_id: str, *, executed: bool) -> None:
        """Say of an uncertain job what a look has shown, so that it holds up no other job on its document."""
        with suppress(TransitionError, JobUnknown, LeaseLost):
            await self._jobs.settle(own_id, outcome="succeeded" if executed else "failed", note=_LOOKED_UP)


def end_of(
    record: JobRecord,
    result: JobResult | None,
    *,
    decode: Callable[[Response], Any],
    at: datetime,
    failure: VismaNetError | None = None,
) -> End:
    """Return what the end of a job means for its row. Pure.

    Only the ERP's own answer to the executed request is an end of that. A gateway that gave up on it, a queue that
    failed and a job that the server forgot leave it where it was: it may still be worked on.

    Args:
        record: settled, or uncertain.
        result: the server's answer about it.
        decode: the decoder of what was submitted.
        at: now.
        failure: what its submission raised, if it did.
    """
    if record.state is State.FAILED and record.settled_by == "user":
        return Missing()  # a person has looked
    if record.state is State.SUCCEEDED:
        try:
            return answered(value_of(record, result, decode=decode), at=at)
        except VismaNetError:  # it was executed, and its content is not to be had
            return Answered(attempts=1)
    if record.state is State.FAILED and (record.sending_at is None or (record.error or "").startswith("never sent")):
        trouble = Trouble(kind="NotSent", text=f"job {record.id} was {record.error}.")
        return NotSent(attempts=0, trouble=trouble_of(failure) if failure is not None else trouble)
    error = error_of(record, result, decode=decode)
    if error is None:
        raise RuntimeError(f"job {record.id} is {record.state} and has neither a result nor an error")
    ended = ended_in(error, at=at, conditional=False)
    return attrs.evolve(ended, attempts=max(1, ended.attempts))

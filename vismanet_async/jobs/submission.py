"""`Submission`: one operation on its way into the queue, from the intent that is written first to what came back.

Between any two lines the process may die. Before `Sending` is written nothing has left; after it the request counts as
sent, and is never sent again.
"""

from __future__ import annotations

import uuid
from contextlib import nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.lowlevel
import attrs

from vismanet_async.errors import (
    DeadlineExceeded,
    HostNotAllowed,
    JobUncertain,
    NotSent,
    RateLimited,
    RequestRefused,
    TokenRefused,
    VismaNetError,
)
from vismanet_async.jobs.model import (
    FINAL,
    Accepted,
    Answered,
    Lost,
    NeverSent,
    OperationNote,
    Record,
    Result,
    Sending,
    State,
    background_header,
    document_key,
)
from vismanet_async.jobs.outcome import error_of, kept_headers
from vismanet_async.jobs.store import LeaseLost
from vismanet_async.jobs.submitter import job_id_in
from vismanet_async.transport.problem import read_problem

if TYPE_CHECKING:
    from vismanet_async.jobs.held import HeldJobs
    from vismanet_async.jobs.model import Event, Notify
    from vismanet_async.jobs.store import Leased
    from vismanet_async.jobs.submitter import Answer, Submitter
    from vismanet_async.operation import Operation
    from vismanet_async.transport.message import Request

__all__ = ["Submission"]

_NEVER_SENT: Final = (NotSent, RequestRefused, TokenRefused, RateLimited, HostNotAllowed)
_ACCEPTED: Final = 202


@attrs.frozen(kw_only=True)
class Submission:
    """How operations are submitted: the same for one and for many."""

    submitter: Submitter
    held: HeldJobs
    reference: str | None = None
    notify: Notify = "none"
    deadline_seconds: float | None = None
    document: str | None = "auto"
    limiter: anyio.CapacityLimiter | None = None
    """How many requests may be under way at once. Waiting for one's turn takes no place."""

    def check(self, operation: Operation[Any], own_id: str = "0") -> str:
        """Refuse what cannot be sent; gives the value of the background header.

        Raises:
            RequestRefused: nothing was sent or written.
        """
        header = background_header(notify=self.notify, own_id=own_id, reference=self.reference)
        body = operation.request(background=header).body
        if body is not None and not isinstance(body, bytes):
            raise RequestRefused(
                f"{operation.spec.id}: a streamed body cannot run in the background; nothing was sent."
            )
        return header

    async def submit(self, operation: Operation[Any]) -> tuple[Record, VismaNetError | None]:
        """Write down, wait for the turn, send, and write down what came of it.

        Returns:
            The record, and what the transport raised if it did. Only cancellation and errors of the store are raised.
        """
        own_id = uuid.uuid4().hex
        header = self.check(operation, own_id)
        request = operation.request(background=header)
        document = self.document
        if document == "auto":
            document = document_key(method=request.method, path=request.path)
        if document is None:
            async with self.limiter or nullcontext():
                leased = await self.held.write_intent(self._intent(request, own_id, document=None))
                return await self._send(leased, operation, header)
        leased = await self.held.write_intent(self._intent(request, own_id, document=document))
        leased = await self._wait_for_turn(leased)
        if leased.record.settled:
            await self.held.finish(leased)
            return leased.record, None
        async with self.limiter or nullcontext():
            leased = await self.held.apply(leased, Sending(at=self.held.clock.utc_now()))
            return await self._send(leased, operation, header)

    def _intent(self, request: Request, own_id: str, *, document: str | None) -> Record:
        now = self.held.clock.utc_now()
        return Record(
            id=own_id,
            company=self.held.company,
            operation=OperationNote.of(
                operation_id=request.operation,
                method=request.method,
                path=request.path,
                query=request.query,
                headers=request.headers,
                body=request.body if isinstance(request.body, bytes) else None,
            ),
            document=document,
            reference=self.reference,
            notify=self.notify,
            created_at=now,
            deadline_at=None if self.deadline_seconds is None else now + timedelta(seconds=self.deadline_seconds),
            # it is sent at once unless it has to wait for others
            sending_at=now if document is None else None,
        )

    async def _wait_for_turn(self, leased: Leased) -> Leased:
        """Wait until no earlier job on the same document is open; gives the settled record when that is hopeless."""
        try:
            while (ahead := await self.held.store.ahead(leased.record.id)) is not None:
                if ahead.state is State.UNCERTAIN:
                    reason = f"job {ahead.id} on the same document is uncertain; settle it first"
                    return await self.held.apply(leased, NeverSent(at=self.held.clock.utc_now(), reason=reason))
                await self.held.adopt([ahead.id])
                await self.held.wait_a_while(ahead.id)
        except BaseException:
            # cancelled, or the store failed: nothing was sent, and that is worth writing down
            await self._answered(leased, NeverSent(at=self.held.clock.utc_now(), reason="given up in the queue"), None)
            raise
        return leased

    async def _send(
        self, leased: Leased, operation: Operation[Any], header: str
    ) -> tuple[Record, VismaNetError | None]:
        event: Event
        result: Result | None = None
        failure: VismaNetError | None = None
        try:
            await anyio.lowlevel.checkpoint_if_cancelled()
        except BaseException:
            await self._answered(leased, NeverSent(at=self.held.clock.utc_now(), reason="cancelled"), None)
            raise
        try:
            answer = await self.submitter.submit(operation, background=header)
        except VismaNetError as error:
            failure = error
            never = isinstance(error, _NEVER_SENT) or (isinstance(error, DeadlineExceeded) and not error.sent)
            kind = NeverSent if never else Lost
            event = kind(at=self.held.clock.utc_now(), reason=str(error))
        except BaseException as error:
            await self._answered(leased, Lost(at=self.held.clock.utc_now(), reason=type(error).__name__), None)
            raise
        else:
            event, result = self._read(answer)
        return await self._answered(leased, event, result), failure

    def _read(self, answer: Answer) -> tuple[Event, Result | None]:
        at = self.held.clock.utc_now()
        if answer.status == _ACCEPTED:
            job_id = job_id_in(answer)
            if job_id is None:
                return Lost(at=at, reason="a 202 without a job id"), None
            return Accepted(at=at, job_id=job_id), None
        problem = read_problem(answer.headers, answer.body)
        kept = kept_headers(answer.headers.items())
        result = Result(status_code=answer.status, content=answer.body, headers=kept, read_at=at)
        return Answered(at=at, status_code=answer.status, error=problem.detail), result

    async def _answered(self, leased: Leased, event: Event, result: Result | None) -> Record:
        """Write down what became of a submission; not to be cancelled half-way."""
        with anyio.CancelScope(shield=True):
            record = await self._write_down(leased, event, result)
        return record  # noqa: RET504 - a scope may swallow, as far as types know

    async def _write_down(self, leased: Leased, event: Event, result: Result | None) -> Record:
        own_id = leased.record.id
        try:
            leased = await self.held.apply(leased, event, result=result)
        except LeaseLost:
            # this process was taken for dead meanwhile; what it knows is left as evidence for its successor
            if isinstance(event, Accepted):
                await self.held.store.hint(own_id=own_id, job_ids=[event.job_id], at=event.at)
            self.held.drop(own_id)
            return await self.held.record(own_id)
        record = leased.record
        if record.job_id is None or record.settled:
            self.held.drop(own_id)
            await self.held.release([own_id])
            return record
        self.held.follow(leased)
        if record.notify == "subscription":
            # its webhook may have overtaken the answer
            await self.held.take_in_hint(own_id)
        return record

    async def error(self, record: Record) -> VismaNetError | None:
        """Give what `submit` raises for a job that it has written down; None when it is under way or has succeeded."""
        if record.state is State.SUCCEEDED or record.state not in {*FINAL, State.UNCERTAIN}:
            return None
        error = error_of(record, await self.held.store.result(record.id))
        if isinstance(error, NotSent) and record.document is not None:
            blocker = await self.held.store.ahead(record.id)
            if blocker is not None and blocker.state is State.UNCERTAIN:
                error = JobUncertain(f"job {record.id} was {record.error}. Nothing was sent.")
                error.job_id = blocker.id
        return error

"""`Submission`: sends operations to the queue, from the stored intent to the stored outcome.

Between any two lines the process may die, the caller may be cancelled, and the store may fail. `Course` knows the
outcome at each step; `Conclusions` stores it.
"""

from __future__ import annotations

import logging
import uuid
from contextlib import nullcontext, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypedDict

import anyio
import anyio.lowlevel
import attrs

from vismanet_async._jobs.concluding import Conclusion
from vismanet_async._jobs.core.background_header import background_header, ordering_key
from vismanet_async._jobs.core.events import NeverSent, Sending
from vismanet_async._jobs.core.records import JobRecord, OperationSummary
from vismanet_async._jobs.core.states import State
from vismanet_async._jobs.core.transitions import advance
from vismanet_async._jobs.course import Course, Step, Submitted
from vismanet_async._jobs.store import LeaseLost, StoreNotUsable
from vismanet_async._operation import refuse_other_client
from vismanet_async.errors import RequestRefused, VismaNetError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import datetime

    from vismanet_async._http.message import Request
    from vismanet_async._jobs.background_api import Submitter
    from vismanet_async._jobs.concluding import Conclusions
    from vismanet_async._jobs.core.records import JobResult
    from vismanet_async._jobs.core.states import Notify
    from vismanet_async._jobs.course import Ending
    from vismanet_async._jobs.leased_jobs import LeasedJobs
    from vismanet_async._jobs.store import Leased
    from vismanet_async._operation import Operation
    from vismanet_async._paging.listing import Listing

__all__ = ["Submission", "SubmitOptions"]

_NONE_FROM: Final = timedelta(days=1000)
"""A deadline from then on is none: the server has forgotten every job long before (docs/facts.md 7.6)."""
_log = logging.getLogger("vismanet_async.jobs")


class SubmitOptions(TypedDict, total=False):
    """The options of `JobManager.submit`, which describes them."""

    reference: str | None
    notify: Notify
    headers: Mapping[str, str] | None
    deadline_seconds: float | None
    document: str | None


@attrs.frozen(kw_only=True)
class Submission:
    """The options with which one operation, or many, are submitted."""

    submitter: Submitter
    jobs: LeasedJobs
    conclusions: Conclusions
    reference: str | None = None
    notify: Notify = "none"
    headers: Mapping[str, str] | None = None
    deadline_seconds: float | None = None
    ordering_key: str | None = "auto"
    limiter: anyio.CapacityLimiter | None = None
    """Bounds the concurrent requests. Waiting for a predecessor does not count."""

    def check(self, operation: Operation[Any], own_id: str = "0") -> str:
        """Return the value of the background header.

        Raises:
            RequestRefused: the operation cannot run in the background; nothing was sent or written.
        """
        header = background_header(notify=self.notify, own_id=own_id, reference=self.reference, headers=self.headers)
        body = operation.request(background=header).body
        if body is not None and not isinstance(body, bytes):
            raise RequestRefused(
                f"{operation.spec.id}: a streamed body cannot run in the background; nothing was sent."
            )
        return header

    def refuse_other_client(self, *calls: Operation[Any] | Listing[Any]) -> None:
        """Refuse calls of another client: their jobs would run in the company of this one.

        Raises:
            RequestRefused: one of them is; nothing was sent.
        """
        if (sender := self.submitter.sender) is None:
            return
        for call in calls:
            refuse_other_client(call, sender, what=f"{call.spec.id} is a call")

    async def submit(
        self,
        operation: Operation[Any],
        *,
        own_id: str | None = None,
        at: datetime | None = None,
        ready: Callable[[], Awaitable[None]] | None = None,
    ) -> Submitted:
        """Store the intent, wait for predecessors, send, and store the outcome.

        Args:
            operation: what to run.
            own_id: the job's id, which no other job may have; a random one if it is not given.
            at: the moment of its creation; now if it is not given.
            ready: is called when the job is written down and may go, and before it is stored as sent. Where it raises
                nothing is sent.

        However it ends, also by cancellation at any await, the job is certainly not sent, followed here, or free for
        the next process. If the store is out of reach, the outcome is stored when it is back.

        Raises:
            RequestRefused: it cannot be sent that way; nothing was sent or written.
            StoreNotUsable: nothing was sent; or, with `job_id`, the job was accepted and is written down later.
        """
        own_id = own_id or uuid.uuid4().hex
        header = self.check(operation, own_id)
        request = operation.request(background=header)
        key = self.ordering_key
        if key == "auto":
            key = ordering_key(method=request.method, path=request.path)
        course = Course(record=self._intent(request, own_id, key=key, at=at, waits=ready is not None))
        failure: VismaNetError | None = None
        try:
            await self._run(course, operation, header, ready)
        except VismaNetError as error:
            failure = error
        except BaseException as error:
            if course.step is not Step.NEW:
                with suppress(StoreNotUsable):  # it was logged, and is written when the store is back
                    await self._conclude(self._lease(course), self._ending(course, error), course.result)
            raise
        leased, ending = self._lease(course), self._ending(course, failure)
        known = advance(leased.record, ending)
        try:
            record = await self._conclude(leased, ending, course.result)
        except StoreNotUsable as error:
            record = known
            if known.state is State.SUBMITTED or known.state is State.SUCCEEDED:
                _raise_not_stored(known, error)
        if isinstance(failure, StoreNotUsable):
            raise StoreNotUsable(f"{failure} Nothing was sent.") from failure
        if isinstance(ending, NeverSent):
            record = known  # the store may not have it yet, or another process may not have handled it yet
        return Submitted(record=record, result=course.result, failure=failure, blocked_by=course.blocked_by)

    async def _run(
        self, course: Course, operation: Operation[Any], header: str, ready: Callable[[], Awaitable[None]] | None
    ) -> None:
        """Run a submission from step to step."""
        if course.record.document is None and ready is None:
            async with self.limiter or nullcontext():
                await self._write_intent(course)
                course.step = Step.READY
                await self._send(course, operation, header)
            return
        await self._write_intent(course)
        course.step = Step.QUEUED
        if course.record.document is not None:
            course.blocked_by = await self._wait_for_predecessor(course.record)
        if course.blocked_by is not None:
            return
        async with self.limiter or nullcontext():
            if ready is not None:
                await ready()
            leased = self.jobs.get(course.record.id)
            if leased is None:
                raise LeaseLost(f"another process has taken job {course.record.id} over")
            # kept here, too: the lease may be lost while the request is under way
            course.record = (await self.jobs.apply(leased, Sending(at=self.jobs.clock.utc_now()))).record
            course.step = Step.READY
            await self._send(course, operation, header)

    async def _write_intent(self, course: Course) -> None:
        course.step = Step.WRITING
        await self.jobs.write_intent(course.record)

    async def _wait_for_predecessor(self, record: JobRecord) -> str | None:
        """Wait until no earlier job with the same key is open; return the id of one that is uncertain."""
        waits_for: str | None = None
        while (earlier := await self.jobs.store.predecessor(record.id)) is not None:
            if earlier.state is State.UNCERTAIN:
                return earlier.id
            if waits_for != earlier.id:
                waits_for = earlier.id
                text = "job %s waits for job %s on the same document, which is %s"
                facts = {"company": record.company, "job": record.id}
                _log.info(text, record.id, earlier.id, earlier.state.value, extra=facts)
            await self.jobs.take_over([earlier.id])
            await self.jobs.wait_for_news(earlier.id)
        return None

    async def _send(self, course: Course, operation: Operation[Any], header: str) -> None:
        await anyio.lowlevel.checkpoint_if_cancelled()
        course.step = Step.SENT
        answer = await self.submitter.submit(operation, background=header)
        course.answered(answer, at=self.jobs.clock.utc_now(), decode=operation.decode)

    def _ending(self, course: Course, error: BaseException | None) -> Ending:
        return course.ending(at=self.jobs.clock.utc_now(), error=error)

    def _lease(self, course: Course) -> Leased:
        return self.jobs.get(course.record.id) or self.jobs.lease_of(course.record)

    async def _conclude(self, leased: Leased, event: Ending, result: JobResult | None) -> JobRecord:
        """Store the outcome, now or when the store is back; a cancellation waits for it."""
        return await self.conclusions.conclude(Conclusion(leased=leased, event=event, result=result))

    def _intent(self, request: Request, own_id: str, *, key: str | None, at: datetime | None, waits: bool) -> JobRecord:
        now, seconds = at or self.jobs.clock.utc_now(), self.deadline_seconds
        if seconds is None or seconds >= _NONE_FROM.total_seconds():
            deadline_at = None
        else:
            deadline_at = now + timedelta(seconds=seconds)
        return JobRecord(
            id=own_id,
            company=self.jobs.company,
            operation=OperationSummary.of(
                operation_id=request.operation,
                method=request.method,
                path=request.path,
                query=request.query,
                headers=request.headers,
                body=request.body if isinstance(request.body, bytes) else None,
            ),
            document=key,
            reference=self.reference,
            notify=self.notify,
            created_at=now,
            deadline_at=deadline_at,
            # sent at once unless it has to wait: for predecessors, or for its caller to write something down
            sending_at=now if key is None and not waits else None,
        )


def _raise_not_stored(record: JobRecord, error: StoreNotUsable) -> NoReturn:
    """Raise the error for a job that the server has accepted and that is not stored yet."""
    what = "was executed at once" if record.job_id is None else f"was accepted as job {record.job_id}"
    failure = StoreNotUsable(
        f"{error} {record.operation.id} {what}, and that is written down as soon as the store is back: job "
        f"{record.id}. Do not submit it again."
    )
    failure.job_id = record.job_id
    raise failure from error

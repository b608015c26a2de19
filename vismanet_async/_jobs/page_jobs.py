"""`PageJobs`: answers the page requests of one read of a list with background jobs, old ones where they fit.

The proof of a list rests on an order: an answer must be younger than every answer that was received before it was asked
for. A job that an earlier read submitted may have run at any time since. So a job's id is made of its request *and* of
the answers that were known when it was submitted (`name_of`). A read that knows the same answers finds the job again;
one that knows others does not, and submits a new one. No clock is compared.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, NoReturn

import anyio
import attrs
from anyio.lowlevel import checkpoint

from vismanet_async._jobs.core.states import State
from vismanet_async._jobs.results import error_of, value_of
from vismanet_async._jobs.store import StoreNotUsable
from vismanet_async._jobs.waiting import wait_for_end
from vismanet_async._operation import Operation
from vismanet_async.errors import JobError, RequestRefused, ResponseLost

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime

    from vismanet_async._http.message import Request, Response, StreamedResponse
    from vismanet_async._jobs.core.records import JobRecord
    from vismanet_async._jobs.submission import Submission
    from vismanet_async._operation import OperationSpec

__all__ = ["PageJobs", "is_page", "name_of"]


def name_of(own_id: str, request: str, *, known: str, occurrence: int, attempt: int) -> str:
    """Return the id of a page's job.

    Args:
        own_id: of the list.
        request: method, path and query.
        known: digest of the answers that the read had when it asked.
        occurrence: how often it had asked for the same with the same answers.
        attempt: how many jobs for it ended without an answer.

    Examples:
        >>> name_of("0a", "GET /v1/customer ()", known="", occurrence=0, attempt=0)
        '09b67dfa4d882a5c8aca1ec0ffb3776e'
    """
    text = "\n".join([own_id, known, str(occurrence), str(attempt), request])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def is_page(record: JobRecord, request: Request) -> bool:
    """Return whether a job was submitted for this request."""
    stored = record.operation
    return (stored.method, stored.path, stored.query) == (request.method, request.path, request.query)


@attrs.define(kw_only=True)
class PageJobs:
    """The sender of one read. A read asks in waves; what it asks for together is asked with the same knowledge."""

    own_id: str
    """Of the list, and of the job of its first page."""
    began_at: datetime
    opening: Request
    spec: OperationSpec
    submission: Submission
    alive: Callable[[], None]
    """Raises if this process no longer follows jobs."""
    locks: MutableMapping[str, anyio.Lock]
    """Of the reads in this process, so that two of them do not submit one job."""
    used: dict[str, JobRecord] = attrs.field(factory=dict)
    """The jobs that answered, by id, in the order of their answers."""
    _known: str = ""
    _news: list[str] = attrs.field(factory=list)
    """Answers since the last wave."""
    _in_flight: int = 0
    _asked: Counter[str] = attrs.field(factory=Counter)

    async def send(self, request: Request, /) -> Response:
        """Return the answer of the job of a page, which is submitted unless an earlier read did so.

        Raises:
            ResponseLost: its job ended without an answer. A page only reads: the read may ask for it again.
            VismaNetError: what the request was answered with, or why it could not be submitted.
        """
        if not self._in_flight and self._news:
            self._known = hashlib.sha256("\n".join([self._known, *sorted(self._news)]).encode()).hexdigest()
            self._news.clear()
            self._asked.clear()
        text = f"{request.method} {request.path} {request.query}"
        name = partial(name_of, self.own_id, text, known=self._known, occurrence=self._asked[text])
        opens = not self._known and not self._asked[text] and request.query == self.opening.query
        self._asked[text] += 1
        self._in_flight += 1
        try:
            await checkpoint()  # so that the requests of a wave have their names before any of them is answered
            attempt = 0
            while True:
                own_id = self.own_id if opens and not attempt else name(attempt=attempt)
                if (response := await self._answer(request, own_id)) is not None:
                    return response
                attempt += 1
        except BaseException:
            self._asked[text] -= 1  # asked again, it is the same request: its next attempt
            raise
        finally:
            self._in_flight -= 1

    def stream(self, request: Request, /) -> AbstractAsyncContextManager[StreamedResponse]:
        """Refuse: a job's answer is read whole."""
        raise RequestRefused(f"{request.operation}: a stream cannot run in the background; nothing was sent.")

    def check(self) -> None:
        """Refuse a list that cannot be submitted that way; nothing is sent or written."""
        self.submission.check(self._operation(self.opening))

    async def open(self) -> None:
        """Submit the first page, unless that was done."""
        await self._submitted(self.opening, self.own_id)

    async def _answer(self, request: Request, own_id: str) -> Response | None:
        """Return the answer of a job; None if it was submitted earlier, and has no answer or one that is an error."""
        is_new = await self._submitted(request, own_id)
        jobs = self.submission.jobs
        record = await wait_for_end(jobs, own_id, timeout_seconds=None, until_certain=True, alive=self.alive)
        result = await jobs.store.result(own_id)
        error = error_of(record, result)
        if error is None and result is not None and record.state is State.SUCCEEDED:
            response: Response | None = value_of(record, result, decode=lambda answer: answer)
            if response is not None:
                self.used[own_id] = record
                self._news.append(f"{own_id} {record.job_id} {record.settled_at}")
                return response
        if is_new:
            _raise(error, record)
        return None

    async def _submitted(self, request: Request, own_id: str) -> bool:
        """Submit a page unless its job is stored already; return whether that was done."""
        store = self.submission.jobs.store
        async with self.locks.setdefault(own_id, anyio.Lock()):
            if await store.get(own_id) is not None:
                return False
            operation = self._operation(request)
            began_at = self.began_at if own_id == self.own_id else None
            try:
                submitted = await self.submission.submit(operation, own_id=own_id, at=began_at)
            except StoreNotUsable:
                if await store.get(own_id) is None:
                    raise
                return False  # another process submitted it at the same moment
            if submitted.record.state is not State.UNCERTAIN:
                submitted.raise_failure(operation.decode)
            return True

    def _operation(self, request: Request) -> Operation[Response]:
        """Return the request for a page as an operation; its result is the answer as it came."""
        return Operation(
            spec=self.spec,
            path=request.path,
            query=request.query,
            decode=lambda response: response,
            sender=self,
            deadline_seconds=request.deadline_seconds,
        )


def _raise(error: Exception | None, record: JobRecord) -> NoReturn:
    if error is not None and not isinstance(error, JobError):
        raise error
    reason = error or f"it is {record.state}"
    raise ResponseLost(f"{record.operation.id}: job {record.id} brought no page: {reason}") from error

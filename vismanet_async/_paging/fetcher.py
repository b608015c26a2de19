"""Fetch the pages of a list: keep requests in flight, buffer what they deliver.

Which page comes next is decided in `paginator.py`; here are only the tasks and the buffers.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Final

import anyio
import attrs
from anyio.lowlevel import checkpoint

from vismanet_async._http.answer import page_text
from vismanet_async._http.rate_limit import http_date
from vismanet_async._http.retry import NOT_IMPLEMENTED
from vismanet_async._paging.buffer_pool import BufferPool
from vismanet_async._paging.page_formats import PageFormatError
from vismanet_async._paging.prefetch import PrefetchWindow
from vismanet_async.errors import DeadlineExceeded, ResponseLost, ServerError, UnexpectedResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from vismanet_async._clock import Clock
    from vismanet_async._http.message import Request, Sender
    from vismanet_async._paging.delivery import Delivery
    from vismanet_async._paging.page_formats import PageReader
    from vismanet_async._paging.paginator import Paginator
    from vismanet_async._paging.request_log import PageRequest

__all__ = ["Fetcher", "Progress", "first_error", "page_errors"]

_RETRY_PAUSE_SECONDS: Final = 15.0
"""Before a page is asked for again after the transport has used its tries: the service counts them (facts 3.4)."""
_LOOP_ITERATIONS_TO_SEND: Final = 4
"""Iterations of the event loop until a request has left over an open connection."""
_LOOP_ITERATIONS_TO_CONNECT: Final = 16
"""Iterations of the event loop until a request has left over a new connection."""


@attrs.frozen(kw_only=True)
class Progress:
    """How far a read has come, for a progress bar."""

    rows: int
    total: int | None
    requests: int
    in_flight: int


class Fetcher:
    """Keeps the requests of one paginator in flight and buffers what they deliver.

    One task of its own supervises the requests in a task group, because the consumer is an iterator and must not keep
    a task group open between two rows. `aclose` ends that task and everything under it.
    """

    def __init__(
        self,
        *,
        paginator: Paginator,
        request: Callable[[Mapping[str, str], Callable[[int], bytearray]], Request],
        reader: PageReader,
        operation: str,
        sender: Sender,
        clock: Clock,
        max_bytes: int,
        rows_wanted: int | None,
        page_size: int,
        total_timeout_seconds: float | None,
    ) -> None:
        self.paginator = paginator
        self._request = request
        self._reader = reader
        self._operation = operation
        self._sender = sender
        self._clock = clock
        self._max_bytes = max_bytes
        self._rows_wanted = rows_wanted
        self._page_size = page_size
        self._total_timeout_seconds = total_timeout_seconds
        self._ready: deque[tuple[Delivery, int]] = deque()
        self._received: deque[tuple[PageRequest, bytes | bytearray]] = deque()
        self._buffered_bytes = 0
        self._largest_bytes = 0
        self._in_flight = 0
        self._requests = 0
        self._prefetch = PrefetchWindow()
        self._buffer_pool = BufferPool()
        self._delivered_at: float | None = None
        self._busy_until = 0.0
        self._wakeup = anyio.Event()
        self._ready_event = anyio.Event()
        self._received_event = anyio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the task."""
        self._busy_until = time.thread_time()
        self._task = asyncio.get_running_loop().create_task(self._supervise())

    async def aclose(self) -> None:
        """Cancel the task and everything under it, and wait for its end. Safe to call twice."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        with anyio.CancelScope(shield=True):
            await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # retrieve it so that asyncio does not warn: the consumer has seen it or is gone
        self._buffer_pool.clear()  # a listing outlives its reads

    def progress(self) -> Progress:
        """Return how far the read has come."""
        return Progress(
            rows=self.paginator.rows_delivered,
            total=self.paginator.live_total,
            requests=self._requests,
            in_flight=self._in_flight,
        )

    async def next(self) -> Delivery | None:
        """Return the next delivery; None at the end, or when enough rows were delivered. Raises what ended the read."""
        if self._rows_wanted is not None and self._rows_wanted <= 0:
            return None
        if self._delivered_at is not None:
            self._prefetch.consumer_time(anyio.current_time() - self._delivered_at)
            self._delivered_at = None
        while not self._ready:
            task = self._task
            if task is None:
                return None
            if task.done():
                task.result()
                return None
            self._ready_event = anyio.Event()
            await self._ready_event.wait()
        delivery, size = self._ready.popleft()
        self._buffered_bytes -= size
        if self._rows_wanted is not None:
            self._rows_wanted -= len(delivery.rows)
        self._wakeup.set()
        self._delivered_at = anyio.current_time()
        return delivery

    async def _supervise(self) -> None:
        seconds = self._total_timeout_seconds
        try:
            with nullcontext() if seconds is None else self._clock.move_on_after(seconds) as scope:
                await self._read_all()
            if seconds is not None and scope is not None and scope.cancelled_caught:
                raise DeadlineExceeded(
                    f"{self._operation}: the list was not read within {seconds:g} seconds "
                    f"(total_timeout_seconds); {self.paginator.rows_delivered:,} rows were delivered before. "
                    "Read it again with more time, or with filters."
                )
        except BaseExceptionGroup as group_error:
            raise first_error(group_error) from None
        finally:
            self._ready_event.set()

    async def _read_all(self) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self._parse_loop)
            while not self.paginator.done:
                self._wakeup = anyio.Event()
                while self._can_request():
                    if (request := self.paginator.next_request()) is None:
                        self._check_that_it_goes_on()
                        break
                    self._in_flight += 1
                    self._requests += 1
                    group.start_soon(self._fetch, request)
                    await checkpoint()  # one after the other: to begin a wave at once would hold the loop
                if not self.paginator.done:
                    await self._wakeup.wait()
            # what is still in flight was asked for by a plan that was given up
            group.cancel_scope.cancel()

    def _check_that_it_goes_on(self) -> None:
        if not (self._in_flight or self._received or self.paginator.done):
            raise RuntimeError(f"{self._operation}: the read waits for an answer although nothing was asked")

    def _can_request(self) -> bool:
        limiter = getattr(self._sender, "limiter", None)
        wanted = limiter.limit if limiter is not None else 1
        if self._in_flight >= wanted or self._limit_reached():
            return False
        pages = self._in_flight + len(self._received) + len(self._ready)
        if pages == 0:
            return True  # pages that are buffered wait for this one
        needed = self._buffered_bytes + (self.paginator.buffered + self._in_flight + 1) * self._largest_bytes
        return pages + self.paginator.buffered < self._prefetch.pages(in_flight=wanted) and needed <= self._max_bytes

    def _limit_reached(self) -> bool:
        """Return whether the pages in flight and buffered will reach the limit, if they are full."""
        if self._rows_wanted is None:
            return False
        pages = self._in_flight + len(self._received)
        if pages:
            pages += self.paginator.buffered  # they wait for one of these
        return pages * self._page_size + sum(len(delivery.rows) for delivery, _ in self._ready) >= self._rows_wanted

    async def _fetch(self, request: PageRequest) -> None:
        """Fetch one page. Its slot is free before the page is parsed, so that the next request is sent first."""
        begun = anyio.current_time()
        try:
            response = await self._sender.send(self._request(request.query, self._buffer_pool.acquire))
        except (ServerError, ResponseLost, UnexpectedResponse) as error:
            if isinstance(error, ServerError) and error.status == NOT_IMPLEMENTED:
                raise
            if self.paginator.may_fail(request) and not isinstance(error, UnexpectedResponse):
                await self._clock.sleep(_RETRY_PAUSE_SECONDS)
            self._in_flight -= 1
            if not self.paginator.receive_error(request, error):
                raise
        else:
            self._in_flight -= 1
            if (made_at := http_date(response.headers.get("Date"))) is not None:
                self.paginator.note_server_time(made_at)
            if response.attempts:
                self._prefetch.response_time(anyio.current_time() - begun)
            else:
                self._prefetch.served_from_cache()
            body = page_text(response.headers, response.content)
            self._largest_bytes = max(self._largest_bytes, len(body))
            self._buffered_bytes += len(body)
            self._received.append((request, body))
            self._received_event.set()
        self._wakeup.set()

    async def _parse_loop(self) -> None:
        """Parse received pages step by step, yielding to the loop so that follow-up requests are sent first."""
        while not self.paginator.done:
            if not self._received:
                self._received_event = anyio.Event()
                await self._received_event.wait()
            await _yield_to_loop(_LOOP_ITERATIONS_TO_SEND)
            await self._parse(*self._received[0])

    async def _parse(self, request: PageRequest, body: bytes | bytearray) -> None:
        metadata = self._reader.peek_metadata(body)
        if metadata is not None and self.paginator.peek_metadata(request, metadata):
            self._wakeup.set()
            # to read a page for the first time takes longer than ever after
            await _yield_to_loop(_LOOP_ITERATIONS_TO_CONNECT)
        try:
            with page_errors(self._operation):
                answer = self._reader.read(body, page_size=_page_size(request))
        except UnexpectedResponse as error:
            self._received.popleft()
            self._buffered_bytes -= len(body)
            if not self.paginator.receive_error(request, error):
                raise
        else:
            await checkpoint()  # each step takes a millisecond or two, and other tasks run between them
            with page_errors(self._operation):
                keys = self.paginator.read_keys(request, answer)
            await checkpoint()
            with page_errors(self._operation):
                deliveries = self.paginator.receive_page(request, answer, keys)
            before, self._busy_until = self._busy_until, time.thread_time()
            self._prefetch.loop_time(self._busy_until - before)
            self._received.popleft()
            self._enqueue(deliveries, len(body))
        self._wakeup.set()

    def _enqueue(self, deliveries: list[Delivery], size: int) -> None:
        self._buffered_bytes += (len(deliveries) - 1) * size
        self._ready += [(delivery, size) for delivery in deliveries]
        self._ready_event.set()


async def _yield_to_loop(iterations: int) -> None:
    for _ in range(iterations):
        await checkpoint()


@contextmanager
def page_errors(operation: str) -> Iterator[None]:
    """Raise `UnexpectedResponse` for a body that is not a page."""
    try:
        yield
    except PageFormatError as error:
        raise UnexpectedResponse(f"{operation}: {error}") from error


def _page_size(request: PageRequest) -> int | None:
    asked = request.query.get("pageSize")
    return int(asked) if asked else None


def first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error that caused the others: the first that is not a cancellation."""
    for error in group.exceptions:
        return first_error(error) if isinstance(error, BaseExceptionGroup) else error
    return group

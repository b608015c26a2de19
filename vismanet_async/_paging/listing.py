"""`Listing[T]`: a paged read as a value. Awaiting or iterating it reads the list, pages concurrently.

The rules (which page next, what may be claimed) are in `walk` and `completeness`; here are only tasks and buffers.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import asynccontextmanager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeVar, get_args

import anyio
import attrs
from anyio.lowlevel import checkpoint

from vismanet_async._arguments import expect_seconds
from vismanet_async._codec.decode import decode_rows
from vismanet_async._deferred import DeferredCall
from vismanet_async._http.message import Request
from vismanet_async._paging.buffer_pool import PageBuffers
from vismanet_async._paging.guarantee import Completeness, safe_boundary
from vismanet_async._paging.keys import RowKeys
from vismanet_async._paging.page_formats import (
    STYLES,
    PageAnswer,
    PageFormatError,
    PageReader,
    PageStyle,
    merge_batches,
)
from vismanet_async._paging.paginator import Delivery, ModifiedFilter, PageRequest, Walk
from vismanet_async._paging.prefetch import Window
from vismanet_async.errors import (
    DeadlineExceeded,
    IncompleteListing,
    RequestRefused,
    ResponseLost,
    ServerError,
    UnexpectedResponse,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence

    from vismanet_async._clock import Clock
    from vismanet_async._http.message import Sender
    from vismanet_async._paging.list_spec import ListSource
    from vismanet_async._paging.row_scanner import RawRow

__all__ = ["Listing", "Page", "Progress"]

T = TypeVar("T")
Mode = Literal["best", "prove", "count", "none"]

_DEFAULT_PAGE_SIZE: Final = 1000
_SLICE_ROWS: Final = 100
"""Rows decoded in one turn of the event loop: about 3 ms of typed customers."""
_REASK_PAUSE_SECONDS: Final = 15.0
"""Before a page is asked for again after the transport has used its tries: the service counts them (facts 3.4)."""
_TURNS_TO_LEAVE: Final = 4
"""Turns of the event loop until a request has left over a connection that stands."""
_TURNS_TO_CONNECT: Final = 16
"""Turns of the event loop until a request has left over a connection that is made for it."""
_MAX_BYTES: Final = 256 * 1024 * 1024
"""Bodies in flight and waiting together, whatever their number."""


@attrs.frozen
class Page(Generic[T]):
    """Rows that arrived together.

    Examples:
        >>> pages = [page async for page in visma.customer.list().with_options(page_size=25).pages()]
        >>> [(page.number, len(page.rows), page.total) for page in pages]
        [(1, 25, 40), (2, 15, 40)]
    """

    rows: list[T]
    number: int | None
    """The page number asked for; None where rows of several pages were merged."""
    total: int | None
    """Rows in the whole list, as last told."""


@attrs.frozen(kw_only=True)
class Progress:
    """Where a walk stands, for a progress bar."""

    rows: int
    total: int | None
    requests: int
    in_flight: int


def _one_of(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value not in get_args(Mode):
        words = ", ".join(repr(mode) for mode in get_args(Mode))
        raise RequestRefused(f"{attribute.name} must be one of {words}, not {value!r}; nothing was sent.")


def _flag(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, bool):
        raise RequestRefused(f"{attribute.name} must be True or False, not {value!r}; nothing was sent.")


def _whole(least: int) -> Callable[[object, attrs.Attribute[Any], object], None]:
    def check(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value is None and attribute.default is None:
            return
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise RequestRefused(f"{attribute.name} must be {least} or more, not {value!r}; nothing was sent.")

    return check


def _seconds(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    expect_seconds(attribute.name, value)


@attrs.frozen(kw_only=True)
class ListingOptions:
    """How a listing is read; each changes by `Listing.with_options`."""

    completeness: Mode = attrs.field(default="best", validator=_one_of)
    strict: bool = attrs.field(default=False, validator=_flag)
    allow_uncertain: bool = attrs.field(default=False, validator=_flag)
    ordered: bool = attrs.field(default=True, validator=_flag)
    limit: int | None = attrs.field(default=None, validator=_whole(1))
    page_size: int | None = attrs.field(default=None, validator=_whole(1))
    expected_rows: int | None = attrs.field(default=None, validator=_whole(0))
    timeout_seconds: float | None = attrs.field(default=None, validator=_seconds)
    total_timeout_seconds: float | None = attrs.field(default=None, validator=_seconds)
    max_bytes: int = attrs.field(default=_MAX_BYTES, validator=_whole(1))


class Listing(DeferredCall[list[T]], Generic[T]):
    """A list call as a value; building it sends nothing.

    - `async for row in listing`: rows one by one; pages are fetched concurrently ahead of the reader.
    - `await listing` (or `listing.all()`): all rows in a list.
    - `listing.pages()`: rows page by page. `listing.first()`, `listing.count()`: one small request.
    - `listing.completeness`: what the last finished read can claim.

    Rows come in page order unless `ordered=False`. Each row comes once; a row that somebody changed while the list
    was read may come a second time, later, in its newer version (`all()` keeps only that one).

    Memory: the pages that are handled while an answer is on its way, and a small stock (`_paging/prefetch.py`): at most
    twice as many as requests may be in flight, and never more than `max_bytes`.

    Raises:
        IncompleteListing: while reading: the list could not be shown complete; all that was read was delivered before.
        VismaNetError: while reading: what a request can raise. Rows delivered before are right, but not all.

    Concurrency: every read is a walk of its own, so several tasks may read one listing. asyncio takes a listing
    wherever it takes a coroutine (`gather`, `create_task`, ...), for `all()`. Leaving a loop early, or cancelling,
    stops the requests under way; `async with aclosing(listing.pages())` does so at once.

    Examples:
        >>> active = visma.customer.list(status="Active")
        >>> async for customer in active:
        ...     pass
        >>> active.completeness.verdict, active.completeness.rows
        ('proven', 36)
    """

    def __init__(
        self, source: ListSource, *, sender: Sender, clock: Clock, options: ListingOptions | None = None
    ) -> None:
        self._source = source
        self._sender = sender
        self._clock = clock
        self._options = options or ListingOptions(page_size=source.page_size)
        self._completeness: Completeness | None = None
        self._fetcher: _Fetcher | None = None

    def with_options(self, **changes: Any) -> Listing[T]:
        """Give a copy that reads in another way.

        Args:
            changes: any of
                `completeness`: `"best"` (proven where the list allows it, else counted), `"prove"` (proven, or
                `IncompleteListing`), `"count"` or `"none"` (docs/paging.md);
                `strict`: True has a proof bear two false answers, for one or two requests more;
                `allow_uncertain`: True reads every page once and returns what came where `IncompleteListing` would be
                raised;
                `ordered`: False hands out pages as they arrive;
                `limit`: at most this many rows, and no claim about the rest;
                `page_size`: rows a request; the server lowers what is too large;
                `expected_rows`: a good guess lets the first requests go out together;
                `timeout_seconds`: for one page, waits for the quota included;
                `total_timeout_seconds`: for the whole list, until its last row is delivered;
                `max_bytes`: answers held at once.

        Raises:
            RequestRefused: no such option, or a value that it cannot have; nothing was sent.

        Examples:
            >>> [customer.number for customer in await visma.customer.list().with_options(limit=2)]
            ['10000', '10001']
        """
        known = [field.name for field in attrs.fields(ListingOptions)]
        for name in changes:
            if name not in known:
                raise RequestRefused(f"a listing has no option {name!r}; it has {', '.join(known)}. Nothing was sent.")
        options = attrs.evolve(self._options, **changes)
        return Listing(self._source, sender=self._sender, clock=self._clock, options=options)

    def through(self, wrap: Callable[[Sender], Sender], *, clock: Clock | None = None) -> Listing[T]:
        """Give a copy whose requests go through another sender, such as one that knows some of the answers.

        Args:
            wrap: takes the present sender and gives the one to use.
            clock: instead of the present one; its wall clock decides where the list is frozen to be proven.
        """
        return Listing(self._source, sender=wrap(self._sender), clock=clock or self._clock, options=self._options)

    @property
    def operation_id(self) -> str:
        """The catalog's id of the list operation."""
        return self._source.spec.id

    @property
    def completeness(self) -> Completeness | None:
        """The report of the last read that came to its end; None before."""
        return self._completeness

    @property
    def progress(self) -> Progress:
        """Where the latest read stands; zeros before the first."""
        fetcher = self._fetcher
        if fetcher is None:
            return Progress(rows=0, total=None, requests=0, in_flight=0)
        return fetcher.progress()

    def __repr__(self) -> str:
        return f"<Listing {self._source.spec.id} {self._source.path}>"

    def __await__(self) -> Generator[Any, Any, list[T]]:
        return self.all().__await__()

    async def __aiter__(self) -> AsyncGenerator[T, None]:
        """Yield the rows one by one."""
        async with self.raw_pages() as deliveries:
            left = self._options.limit
            async for delivery in deliveries:
                async for rows in self._decoded(delivery):
                    for row in rows if left is None else rows[:left]:
                        yield row
                    if left is not None and (left := left - len(rows)) <= 0:
                        return

    async def pages(self) -> AsyncGenerator[Page[T], None]:
        """Yield the rows page by page, decoded.

        Examples:
            >>> [len(page.rows) async for page in visma.customer.list().with_options(page_size=25).pages()]
            [25, 15]
        """
        async with self.raw_pages() as deliveries:
            left = self._options.limit
            async for delivery in deliveries:
                rows = [row async for part in self._decoded(delivery) for row in part]
                rows = rows if left is None else rows[:left]
                yield Page(rows, delivery.page, self.progress.total)
                if left is not None and (left := left - len(rows)) <= 0:
                    return

    async def all(self) -> list[T]:
        """Read the whole list into memory, each row once in its newest version."""
        if self._options.limit is not None:
            return [row async for row in self]
        rows: list[T] = []
        starts: dict[int, int] = {}
        replaced: set[int] = set()
        async with self.raw_pages() as deliveries:
            async for delivery in deliveries:
                starts[delivery.number] = len(rows)
                replaced.update(starts[old.delivery] + old.row for old in delivery.supersedes)
                async for part in self._decoded(delivery):
                    rows += part
        return [row for index, row in enumerate(rows) if index not in replaced] if replaced else rows

    async def first(self) -> T | None:
        """Read the first row, or None of an empty list, with one request.

        Raises:
            UnexpectedResponse: a journal batch that goes on beyond its page; read the list instead.

        Examples:
            >>> (await visma.customer.list().first()).number
            '10000'
        """
        by_line = self._style.by_line
        answer = await self._ask(self._page_size if by_line else 1)
        if by_line and len(answer.rows) == 1 and merge_batches(answer.rows)[1] != answer.total:
            raise UnexpectedResponse(f"{self._source.spec.id}: the first batch is longer than a page; read the list.")
        rows = await self._decode_slice(answer.rows[:1])
        return rows[0] if rows else None

    async def count(self) -> int:
        """Ask how many rows there are now, with one request. Lists that do not page are read whole for it.

        Raises:
            RequestRefused: journals tell lines, not batches (docs/facts.md 4.12); nothing was sent.
            UnexpectedResponse: the endpoint answers rows without saying how many there are.

        Examples:
            >>> await visma.customer.list(status="Active").count()
            36
        """
        if self._style.by_line:
            raise RequestRefused(f"{self._source.spec.id} counts lines, not batches; read the list. Nothing was sent.")
        answer = await self._ask(1)
        if answer.total is not None:
            return answer.total
        if answer.rows and self._source.style != "unpaged":
            raise UnexpectedResponse(f"{self._source.spec.id} does not tell how many rows there are; count them.")
        return len(answer.rows)

    @asynccontextmanager
    async def raw_pages(
        self, *, completeness: Mode | None = None, ordered: bool | None = None
    ) -> AsyncIterator[AsyncIterator[Delivery]]:
        """Read the list undecoded: an async context manager around an iterator of deliveries.

        The iterator yields `Delivery` values: the answer's rows as raw JSON, duplicates taken out, and which rows
        delivered earlier are superseded by newer versions. Leaving the block stops the requests under way.

        Args:
            completeness: instead of the listing's own.
            ordered: instead of the listing's own.
        """
        options = self._options
        mode = completeness or ("none" if options.limit is not None else options.completeness)
        in_order = options.ordered if ordered is None else ordered
        fetcher = self._fetcher = _Fetcher(
            walk=self._walk(mode, ordered=in_order),
            request=self._request,
            reader=PageReader(self._style),
            operation=self._source.spec.id,
            sender=self._sender,
            clock=self._clock,
            max_bytes=options.max_bytes,
            rows_wanted=options.limit,
            page_size=self._page_size,
            total_timeout_seconds=options.total_timeout_seconds,
        )
        fetcher.start()
        try:
            yield self._checked(fetcher, mode)
        finally:
            await fetcher.aclose()

    async def _checked(self, fetcher: _Fetcher, mode: Mode) -> AsyncIterator[Delivery]:
        while (delivery := await fetcher.next()) is not None:
            yield delivery
            del delivery  # not held while the next one is waited for
        if not fetcher.walk.done:
            return  # the limit was reached
        self._completeness = report = fetcher.walk.report()
        if report.verdict == "uncertain" and mode != "none" and not self._options.allow_uncertain:
            raise IncompleteListing(
                f"{self._source.spec.id}: the list cannot be shown complete: {report.reason}. "
                f"{report.unique:,} rows were read and delivered. {_advice(report)}",
                completeness=report,
            )

    def _walk(self, mode: Mode, *, ordered: bool) -> Walk:
        source, options = self._source, self._options
        frozen = source.frozen_filter
        return Walk(
            style=self._style,
            completeness=mode,
            page_size=self._page_size,
            keys=RowKeys(source.identity, frozen.row_field if frozen else None),
            boundary=safe_boundary(self._clock.utc_now()) if frozen and mode in {"best", "prove"} else None,
            modified=self._own_filter(),
            ordered=ordered,
            expected_rows=options.expected_rows,
            strict=options.strict,
            reads_on=options.allow_uncertain,
        )

    @property
    def _page_size(self) -> int:
        options = self._options
        size = options.page_size or self._source.max_page_size or _DEFAULT_PAGE_SIZE
        # sizes of journals count lines: a small page would cut every batch
        return size if options.page_size or options.limit is None or self._style.by_line else min(size, options.limit)

    def _own_filter(self) -> ModifiedFilter | None:
        """Find the caller's own filter on the moment by which the walk freezes the list."""
        frozen = self._source.frozen_filter
        if frozen is None:
            return None
        query = dict(self._source.query)
        value, condition = query.get(frozen.parameter), query.get(f"{frozen.parameter}Condition")
        if value is None or condition is None:
            return None
        return ModifiedFilter(condition, value)  # type: ignore[arg-type]  # conditions come from `conditions`

    @property
    def _style(self) -> PageStyle:
        return STYLES[self._source.style]

    def _request(self, query: Mapping[str, str], buffer: Callable[[int], bytearray] | None = None) -> Request:
        source = self._source
        kept = tuple(pair for pair in source.query if pair[0] not in query)
        return Request(
            operation=source.spec.id,
            template=source.spec.template,
            method=source.spec.method,
            path=source.path,
            query=kept + tuple(query.items()),
            service=source.spec.service,
            deadline_seconds=self._options.timeout_seconds,
            buffer=buffer,
        )

    async def _ask(self, page_size: int) -> PageAnswer:
        response = await self._sender.send(self._request(self._style.query(page=1, page_size=page_size)))
        with _page_errors(self._source.spec.id):
            return self._style.read(response.content)

    async def _decoded(self, delivery: Delivery) -> AsyncIterator[list[T]]:
        for start in range(0, len(delivery.rows), _SLICE_ROWS):
            yield await self._decode_slice(delivery.rows[start : start + _SLICE_ROWS])

    async def _decode_slice(self, rows: Sequence[RawRow]) -> list[T]:
        decoded: list[T] = decode_rows(rows, self._source.model())
        # the loop gets its turn between slices, so that requests leave and others are served
        await checkpoint()
        return decoded


class _Fetcher:
    """Keeps requests in flight for one walk and buffers what they deliver.

    One task of its own supervises the requests in a task group, because the reader is an iterator and must not hold
    a task group open between two rows. `aclose` ends that task and everything under it.
    """

    def __init__(
        self,
        *,
        walk: Walk,
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
        self.walk = walk
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
        self._landed: deque[tuple[PageRequest, bytes | bytearray]] = deque()
        self._held_bytes = 0
        self._largest_bytes = 0
        self._in_flight = 0
        self._requests = 0
        self._window = Window()
        self._buffers = PageBuffers()
        self._handed_at: float | None = None
        self._worked_until = 0.0
        self._changed = anyio.Event()
        self._arrived = anyio.Event()
        self._landing = anyio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._worked_until = time.thread_time()
        self._task = asyncio.get_running_loop().create_task(self._supervise())

    async def aclose(self) -> None:
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        with anyio.CancelScope(shield=True):
            await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # told to the reader already, or the reader left
        self._buffers.let_go()  # a listing outlives its reads

    def progress(self) -> Progress:
        return Progress(
            rows=self.walk.rows_delivered,
            total=self.walk.live_total,
            requests=self._requests,
            in_flight=self._in_flight,
        )

    async def next(self) -> Delivery | None:
        """Give the next delivery, None at the end or when enough rows were given; raises what ended the walk."""
        if self._rows_wanted is not None and self._rows_wanted <= 0:
            return None
        if self._handed_at is not None:
            self._window.handled(anyio.current_time() - self._handed_at)
            self._handed_at = None
        while not self._ready:
            task = self._task
            if task is None:
                return None
            if task.done():
                task.result()
                return None
            self._arrived = anyio.Event()
            await self._arrived.wait()
        delivery, size = self._ready.popleft()
        self._held_bytes -= size
        if self._rows_wanted is not None:
            self._rows_wanted -= len(delivery.rows)
        self._changed.set()
        self._handed_at = anyio.current_time()
        return delivery

    async def _supervise(self) -> None:
        seconds = self._total_timeout_seconds
        try:
            with nullcontext() if seconds is None else self._clock.move_on_after(seconds) as scope:
                await self._read_all()
            if seconds is not None and scope is not None and scope.cancelled_caught:
                raise DeadlineExceeded(
                    f"{self._operation}: the list was not read within {seconds:g} seconds "
                    f"(total_timeout_seconds); {self.walk.rows_delivered:,} rows were delivered before. "
                    "Read it again with more time, or with filters."
                )
        except BaseExceptionGroup as group_error:
            raise _first(group_error) from None
        finally:
            self._arrived.set()

    async def _read_all(self) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self._take_in)
            while not self.walk.done:
                self._changed = anyio.Event()
                while self._may_ask() and (request := self.walk.next_request()) is not None:
                    self._in_flight += 1
                    self._requests += 1
                    group.start_soon(self._fetch, request)
                if not self.walk.done:
                    await self._changed.wait()
            # what is still under way was asked for by a reading that was given up
            group.cancel_scope.cancel()

    def _may_ask(self) -> bool:
        limiter = getattr(self._sender, "limiter", None)
        wanted = limiter.limit if limiter is not None else 1
        if self._in_flight >= wanted or self._enough():
            return False
        moving = self._in_flight + len(self._landed) + len(self._ready)
        if moving == 0:
            return True  # pages that are held wait for this one
        held = self._held_bytes + (self.walk.held + self._in_flight + 1) * self._largest_bytes
        return moving + self.walk.held < self._window.pages(in_flight=wanted) and held <= self._max_bytes

    def _enough(self) -> bool:
        """Whether what is under way and waiting will reach the limit, if its pages come full."""
        if self._rows_wanted is None:
            return False
        coming = (self._in_flight + len(self._landed)) * self._page_size
        return coming + sum(len(delivery.rows) for delivery, _ in self._ready) >= self._rows_wanted

    async def _fetch(self, request: PageRequest) -> None:
        """Get one page. Its place is free before it is read, so that the next request leaves first."""
        begun = anyio.current_time()
        try:
            response = await self._sender.send(self._request(request.query, self._buffers.take))
        except (ServerError, ResponseLost, UnexpectedResponse) as error:
            if self.walk.may_fail(request) and not isinstance(error, UnexpectedResponse):
                await self._clock.sleep(_REASK_PAUSE_SECONDS)
            self._in_flight -= 1
            if not self.walk.failed(request, error):
                raise
        else:
            self._in_flight -= 1
            if response.attempts:
                self._window.answered(anyio.current_time() - begun)
            else:
                self._window.replayed()
            self._largest_bytes = max(self._largest_bytes, len(response.content))
            self._held_bytes += len(response.content)
            self._landed.append((request, response.content))
            self._landing.set()
        self._changed.set()

    async def _take_in(self) -> None:
        """Read the pages that have landed, half of one a turn of the event loop; what may follow them leaves first."""
        while not self.walk.done:
            if not self._landed:
                self._landing = anyio.Event()
                await self._landing.wait()
            await _let_leave(_TURNS_TO_LEAVE)
            await self._read(*self._landed[0])

    async def _read(self, request: PageRequest, body: bytes | bytearray) -> None:
        metadata = self._reader.glimpse(body)
        if metadata is not None and self.walk.glimpsed(request, metadata):
            self._changed.set()
            await _let_leave(_TURNS_TO_CONNECT)  # to read a page for the first time takes longer than ever after
        try:
            with _page_errors(self._operation):
                answer = self._reader.read(body, page_size=_page_size(request))
        except UnexpectedResponse as error:
            self._landed.popleft()
            self._held_bytes -= len(body)
            if not self.walk.failed(request, error):
                raise
        else:
            await checkpoint()  # requests may leave between the halves
            with _page_errors(self._operation):
                deliveries = self.walk.answered(request, answer)
            before, self._worked_until = self._worked_until, time.thread_time()
            self._window.worked(self._worked_until - before)
            self._landed.popleft()
            self._hand_over(deliveries, len(body))
        self._changed.set()

    def _hand_over(self, deliveries: list[Delivery], size: int) -> None:
        self._held_bytes += (len(deliveries) - 1) * size
        self._ready += [(delivery, size) for delivery in deliveries]
        self._arrived.set()


async def _let_leave(turns: int) -> None:
    for _ in range(turns):
        await checkpoint()


@contextmanager
def _page_errors(operation: str) -> Iterator[None]:
    try:
        yield
    except PageFormatError as error:
        raise UnexpectedResponse(f"{operation}: {error}") from error


def _advice(report: Completeness) -> str:
    """Say what to do about a list that could not be shown complete."""
    accept = "accept what was read with .with_options(allow_uncertain=True)"
    if report.total_last is None:  # another read cannot tell more
        return f"This endpoint cannot tell more: {accept}, and compare two reads where it matters."
    return f"Read it again when fewer write to it, or {accept}."


def _page_size(request: PageRequest) -> int | None:
    asked = request.query.get("pageSize")
    return int(asked) if asked else None


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Give the error that made the others: the first that is no cancellation."""
    for error in group.exceptions:
        return _first(error) if isinstance(error, BaseExceptionGroup) else error
    return group

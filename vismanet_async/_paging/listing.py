"""`Listing[T]`: a paged read as a value. Awaiting or iterating it reads the list, pages concurrently.

Which page comes next and what may be claimed is decided in `paginator.py`; pages are fetched in `fetcher.py`.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import attrs
from anyio.lowlevel import checkpoint

from vismanet_async._codec.decode import decode_rows
from vismanet_async._deferred import DeferredCall
from vismanet_async._operation import with_extra
from vismanet_async._paging.fetcher import Fetcher, Progress
from vismanet_async._paging.first_answer import first_answer
from vismanet_async._paging.frames import ListFrames
from vismanet_async._paging.journals import merge_batches
from vismanet_async._paging.list_requests import ListRequests
from vismanet_async._paging.options import ListingOptions
from vismanet_async._paging.page_formats import PageAnswer, PageReader
from vismanet_async._paging.row_scanner import lengths
from vismanet_async._paging.wave_fetcher import WaveFetcher
from vismanet_async.errors import IncompleteListing, RequestRefused, UnexpectedResponse

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Sequence

    from vismanet_async._clock import Clock
    from vismanet_async._http.message import Request, Sender
    from vismanet_async._operation import OperationSpec
    from vismanet_async._paging.delivery import Delivery
    from vismanet_async._paging.guarantee import Completeness, Mode
    from vismanet_async._paging.list_spec import ListSource
    from vismanet_async._paging.row_scanner import RawRow

__all__ = ["Listing", "Page"]

T = TypeVar("T")

_SLICE_BYTES: Final = 128 * 1024
"""Rows decoded in one iteration of the event loop, by their JSON text: 50 customers, which take 1.5 ms."""
_OWN_PARAMETERS: Final = frozenset(
    {"pageNumber", "pageSize", "pageIndex", "lastModifiedDateTime", "lastModifiedDateTimeCondition"}
)
"""What a reading sets: another value would make its argument false."""


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
    """Rows in the whole list, as last stated."""


class Listing(DeferredCall[list[T]], ListFrames, Generic[T]):
    """A list call as a value; building it sends nothing.

    - `async for row in listing`: rows one by one; pages are fetched concurrently ahead of the consumer.
    - `await listing` (or `listing.all()`): all rows in a list.
    - `await listing.to_arrow()`, `to_polars()`, `to_pandas()`: the whole list as a table, several times as fast.
    - `listing.pages()`: rows page by page. `listing.first()`, `listing.count()`: one small request.
    - `listing.completeness`: what the last finished read can claim.

    Rows come in page order unless `ordered=False`. Each row comes once; a row that somebody changed while the list
    was read may come a second time, later, in its newer version (`all()` keeps only that one).

    Memory: the pages consumed during one response time, and a small reserve (`_paging/prefetch.py`): at most twice the
    requests that may be in flight, and never more than `max_bytes`.

    Raises:
        IncompleteListing: while reading: the list could not be shown complete; all that was read was delivered before.
        VismaNetError: while reading: what a request can raise. Rows delivered before are right, but not all.

    Concurrency: every read is independent, so several tasks may read one listing. asyncio accepts a listing
    wherever it accepts a coroutine (`gather`, `create_task`, ...), for `all()`. Leaving a loop early, or cancelling,
    stops the requests in flight; `async with aclosing(listing.pages())` does so at once.

    Examples:
        >>> active = visma.customer.list(status="Active")
        >>> async for customer in active:
        ...     pass
        >>> active.completeness.verdict, active.completeness.rows
        ('proven', 36)
    """

    def __init__(
        self,
        source: ListSource,
        *,
        sender: Sender,
        clock: Clock,
        options: ListingOptions | None = None,
        in_waves: bool = False,
    ) -> None:
        self._source = source
        self._sender = sender
        self._clock = clock
        self._options = options or ListingOptions(page_size=source.page_size)
        self._requests = ListRequests(source, self._options)
        self._in_waves = in_waves
        self._completeness: Completeness | None = None
        self._fetcher: Fetcher | None = None

    def with_options(self, **changes: Any) -> Listing[T]:
        """Return a copy that reads with other options.

        Args:
            changes: any of
                `completeness`: `"best"` (proven where the list allows it, else counted), `"prove"` (proven, or
                `IncompleteListing`), `"count"` or `"none"` (docs/paging.md);
                `strict`: True makes a proof bear two false answers, for one or two requests more;
                `allow_uncertain`: True reads every page once and returns what came where `IncompleteListing` would be
                raised;
                `ordered`: False delivers pages as they arrive;
                `limit`: at most this many rows, and no claim about the rest;
                `page_size`: rows a request; the server lowers what is too large;
                `expected_rows`: a good guess lets the first requests go out together;
                `timeout_seconds`: for one page, waits for the quota included;
                `total_timeout_seconds`: for the whole list, until its last row is delivered;
                `max_bytes`: answers in flight and buffered at once;
                `extra_query`: parameters newer than the catalog, by the API's own names; nothing checks them.

        Raises:
            RequestRefused: no such option, or a value that it cannot have; nothing was sent.

        Examples:
            >>> [customer.number for customer in await visma.customer.list().with_options(limit=2)]
            ['10000', '10001']
        """
        source = self._source
        if (extra := changes.pop("extra_query", None)) is not None:
            source = attrs.evolve(source, query=with_extra(source.query, extra, owned=_OWN_PARAMETERS))
        known = [field.name for field in attrs.fields(ListingOptions)]
        for name in changes:
            if name not in known:
                known.append("extra_query")
                raise RequestRefused(f"a listing has no option {name!r}; it has {', '.join(known)}. Nothing was sent.")
        options = attrs.evolve(self._options, **changes)
        return Listing(source, sender=self._sender, clock=self._clock, options=options, in_waves=self._in_waves)

    def with_sender(
        self, wrap: Callable[[Sender], Sender], *, clock: Clock | None = None, in_waves: bool = False
    ) -> Listing[T]:
        """Return a copy whose requests go through another sender, such as one that replays some of the answers.

        Args:
            wrap: receives the present sender and returns the one to use.
            clock: instead of the present one; its wall clock decides where the list is divided to be proven.
            in_waves: send a few requests together and the next ones when all of them are answered, so that a read
                with the same answers sends the same requests again, in whatever order the answers come.
        """
        sender, clock = wrap(self._sender), clock or self._clock
        return Listing(self._source, sender=sender, clock=clock, options=self._options, in_waves=in_waves)

    def opening_request(self) -> Request:
        """Return the request that a read begins with; sends nothing."""
        paginator = self._requests.paginator(self._mode, ordered=self._options.ordered, clock=self._clock)
        opening = paginator.next_request()
        paginator.close()
        assert opening is not None
        return self._requests.page(opening.query)

    @property
    def spec(self) -> OperationSpec:
        """What the description of the API says about the list operation."""
        return self._source.spec

    @property
    def sender(self) -> Sender:
        """What its requests go through: that of the client."""
        return self._sender

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
        """How far the latest read has come; zeros before the first."""
        fetcher = self._fetcher
        if fetcher is None:
            return Progress(rows=0, total=None, requests=0, in_flight=0)
        return fetcher.progress()

    def __repr__(self) -> str:
        return f"<Listing {self._source.spec.id} {self._source.path}>"

    def _repr_html_(self) -> str:
        from vismanet_async._html import html_table  # noqa: PLC0415 - only notebooks ask for it

        rows: list[tuple[object, ...]] = [(name, value) for name, value in self._source.query]
        report = self._completeness
        if report is not None:
            rows += [("read", f"{report.rows:,} rows, {report.verdict}"), ("because", report.reason)]
        elif self._fetcher is not None:
            rows.append(("read so far", f"{self.progress.rows:,} rows"))
        else:
            rows.append(("", "not read yet: await it"))
        return html_table(f"{self._source.spec.id} {self._source.path}", rows)

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
        """Return the whole list, each row once in its newest version."""
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
        """Return the first row, or None of an empty list, with one request; three where the list looks empty.

        Raises:
            UnexpectedResponse: the answers contradict themselves; or a journal batch goes on beyond its page: read the
                list instead.

        Examples:
            >>> (await visma.customer.list().first()).number
            '10000'
        """
        by_line = self._requests.style.by_line
        answer = await self._first_answer(self._requests.page_size if by_line else 1)
        if by_line and len(answer.rows) == 1 and merge_batches(answer.rows)[1] != answer.total:
            raise UnexpectedResponse(f"{self._source.spec.id}: the first batch is longer than a page; read the list.")
        rows = await self._decode_slice(answer.rows[:1])
        return rows[0] if rows else None

    async def count(self) -> int:
        """Return how many rows there are now, with one request; three where the list looks empty.

        Lists that do not page are read for it, as `all` reads them: one answer shows neither a total nor whether the
        endpoint has begun to page. That is two requests, and more where it has.

        Raises:
            IncompleteListing: a list that does not page cannot be shown complete, so nobody knows how many there are.
            RequestRefused: journals count lines, not batches (docs/facts.md 4.12); nothing was sent.
            UnexpectedResponse: the endpoint answers rows without saying how many there are, or with a total that
                contradicts them.

        Examples:
            >>> await visma.customer.list(status="Active").count()
            36
        """
        if self._requests.style.by_line:
            raise RequestRefused(f"{self._source.spec.id} counts lines, not batches; read the list. Nothing was sent.")
        if self._source.style == "unpaged":
            return await self._count_by_reading()
        answer = await self._first_answer(1)
        if answer.total is not None:
            return answer.total
        if answer.rows:
            raise UnexpectedResponse(f"{self._source.spec.id} does not tell how many rows there are; count them.")
        return 0

    async def _count_by_reading(self) -> int:
        rows, replaced = 0, set[tuple[int, int]]()
        # a copy: the listing itself may be read meanwhile, and says how complete that was
        reading = self.with_options()
        async with reading.raw_pages(completeness="best" if self._mode == "none" else None) as deliveries:
            async for delivery in deliveries:
                rows += len(delivery.rows)
                replaced.update((old.delivery, old.row) for old in delivery.supersedes)
        return rows - len(replaced)

    async def _first_answer(self, page_size: int) -> PageAnswer:
        return await first_answer(self._requests, page_size, sender=self._sender, operation=self._source.spec.id)

    @asynccontextmanager
    async def raw_pages(
        self, *, completeness: Mode | None = None, ordered: bool | None = None
    ) -> AsyncIterator[AsyncIterator[Delivery]]:
        """Read the list undecoded: an async context manager around an iterator of deliveries.

        The iterator yields `Delivery` values: the answer's rows as raw JSON without duplicates, and which rows
        delivered earlier are superseded by newer versions. Leaving the block stops the requests in flight.

        Args:
            completeness: instead of the listing's own.
            ordered: instead of the listing's own.
        """
        options = self._options
        mode = completeness or self._mode
        in_order = options.ordered if ordered is None else ordered
        fetcher = self._fetcher = (WaveFetcher if self._in_waves else Fetcher)(
            paginator=self._requests.paginator(mode, ordered=in_order, clock=self._clock),
            request=self._requests.page,
            reader=PageReader(self._requests.style),
            operation=self._source.spec.id,
            sender=self._sender,
            clock=self._clock,
            max_bytes=options.max_bytes,
            rows_wanted=options.limit,
            page_size=self._requests.page_size,
            total_timeout_seconds=options.total_timeout_seconds,
        )
        fetcher.start()
        try:
            yield self._checked(fetcher, mode)
        finally:
            await fetcher.aclose()

    async def _checked(self, fetcher: Fetcher, mode: Mode) -> AsyncIterator[Delivery]:
        while (delivery := await fetcher.next()) is not None:
            yield delivery
            del delivery  # so that its memory is free while the next one is awaited
        if not fetcher.paginator.done:
            return  # the limit was reached
        self._completeness = report = fetcher.paginator.report()
        if report.verdict == "uncertain" and mode != "none" and not self._options.allow_uncertain:
            raise IncompleteListing(
                f"{self._source.spec.id}: the list cannot be shown complete: {report.reason}. "
                f"{report.unique:,} rows were read and delivered. {_advice(report)}",
                completeness=report,
            )

    @property
    def _mode(self) -> Mode:
        return "none" if self._options.limit is not None else self._options.completeness

    async def _decoded(self, delivery: Delivery) -> AsyncIterator[list[T]]:
        rows = delivery.rows
        slice_rows = max(1, len(rows) * _SLICE_BYTES // max(1, sum(lengths(rows))))
        for start in range(0, len(rows), slice_rows):
            yield await self._decode_slice(rows[start : start + slice_rows])

    async def _decode_slice(self, rows: Sequence[RawRow]) -> list[T]:
        decoded: list[T] = decode_rows(rows, self._source.model())
        # other tasks run between slices, so that requests are sent
        await checkpoint()
        return decoded


def _advice(report: Completeness) -> str:
    """Return what to do about a list that could not be shown complete."""
    accept = "accept what was read with .with_options(allow_uncertain=True)"
    if report.total_last is None:  # another read would not show more
        return f"This endpoint cannot tell more: {accept}, and compare two reads where it matters."
    return f"Read it again when fewer write to it, or {accept}."

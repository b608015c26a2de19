"""Run an export: resources side by side, pages through bounded queues to the sinks, the manifest last.

For each resource one task reads pages and another writes them in a worker thread, one page waiting between them. A
slow disk fills that place, then the listing's own window, and then no more pages are asked for.
"""

from __future__ import annotations

import contextlib
from contextlib import AbstractAsyncContextManager
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import anyio
import attrs
from anyio import to_thread

from vismanet_async.clock import Clock, SystemClock
from vismanet_async.errors import IncompleteListing, VismaNetError
from vismanet_async.export.manifest import Manifest, ResourceEntry, Verdict
from vismanet_async.export.sinks import Page, Sink
from vismanet_async.export.sinks.jsonl import JsonlSink
from vismanet_async.export.target import Target

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
    from pathlib import Path

    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

    from vismanet_async.export.plan import Completeness, ExportPlan, Format

__all__ = ["Event", "Export", "PageWritten", "Published", "ResourceDone", "one_error", "tool_version"]

T = TypeVar("T")

_RESOURCES_AT_ONCE: Final = 4
"""Each keeps a window of pages in memory; more of them would not make the server faster."""
_EVENTS_WAITING: Final = 16
_SINKS: Final[dict[Format, type[JsonlSink]]] = {"jsonl": JsonlSink}


class Progress(Protocol):
    """How far a listing has come."""

    rows: int
    total: int | None
    requests: int
    in_flight: int
    rows_per_second: float


class Report(Protocol):
    """What a listing can say about its completeness once it was read to the end."""

    verdict: Verdict
    rows: int
    unique: int | None
    total_first: int | None
    total_last: int | None
    requests: int


class Listing(Protocol):
    @property
    def progress(self) -> Progress: ...
    @property
    def completeness(self) -> Report: ...
    def raw_pages(
        self, *, completeness: Completeness, ordered: bool
    ) -> AbstractAsyncContextManager[AsyncIterator[Page]]: ...


class Source(Protocol):
    def list_by_name(self, name: str, filters: Mapping[str, Any], *, page_size: int | None = None) -> Listing: ...


@attrs.frozen(kw_only=True)
class PageWritten:
    """A page's rows are in the files (not published yet)."""

    resource: str
    rows: int
    """Rows of this resource written so far."""
    total: int | None
    """The server's latest total."""


@attrs.frozen(kw_only=True)
class ResourceDone:
    """All of a resource's parts are whole (not published yet)."""

    resource: str
    entry: ResourceEntry


@attrs.frozen(kw_only=True)
class Published:
    """The manifest stands; the last event."""

    manifest: Manifest


Event = PageWritten | ResourceDone | Published


class Export:
    """One export as a value: building it opens and sends nothing, awaiting it runs it.

    `await export` gives the manifest. `async with export.events() as events` runs it and yields what happens, page by
    page; an events consumer that does not read holds the export up. Leaving the block early cancels it.

    Nothing is published until every resource is whole; then all of it is, the manifest last. When the run fails or is
    cancelled, what stood published at the target still stands, and no task or temporary file is left.

    Memory: a few pages for each resource being read, at most four of them at a time. Run one export once at a time;
    several exports may share a client.

    Errors: `UnknownName` and `RequestRefused` before anything is opened, `TargetNotWritable` and `TargetBusy` before
    anything is sent, `IncompleteListing` when a list could not be shown complete and the plan does not allow that,
    else those of the reads.
    """

    def __init__(
        self, source: Source, plan: ExportPlan, *, company: str | None = None, clock: Clock | None = None
    ) -> None:
        self.plan = plan
        self._source = source
        self._company = company
        self._clock = clock or SystemClock()
        self._listings: dict[str, Listing] = {}
        self._at_once = anyio.Semaphore(_RESOURCES_AT_ONCE)
        self._threads = anyio.CapacityLimiter(_RESOURCES_AT_ONCE)
        self._events: MemoryObjectSendStream[Event] | None = None

    @property
    def progress(self) -> Mapping[str, Progress]:
        """How far each resource has come, as of now; empty before the start."""
        return {name: listing.progress for name, listing in self._listings.items()}

    def __await__(self) -> Generator[Any, Any, Manifest]:
        return self.run().__await__()

    async def run(self) -> Manifest:
        """Run it; the same as awaiting the export."""
        plan = self.plan
        self._listings = {
            name: self._source.list_by_name(name, filters, page_size=plan.page_size)
            for name, filters in plan.resources.items()
        }
        target = await self._in_thread(Target.open, plan.to, tuple(plan.resources))
        try:
            await self._in_thread(target.recover)
            await self._in_thread(target.start)
            with one_error():
                manifest = await self._read_and_publish(target)
        finally:
            with anyio.CancelScope(shield=True):
                await self._in_thread(target.close)
        await self._emit(Published(manifest=manifest))
        return manifest

    @contextlib.asynccontextmanager
    async def events(self) -> AsyncIterator[AsyncIterator[Event]]:
        """Run it and give an iterator of what happens; `Published` is the last event.

        >>> async def follow(export):
        ...     async with export.events() as events:
        ...         async for event in events:
        ...             print(event)
        """
        send, receive = anyio.create_memory_object_stream[Event](_EVENTS_WAITING)
        self._events = send
        try:
            with one_error():
                async with anyio.create_task_group() as tasks, receive:
                    tasks.start_soon(self._run_and_close, send)
                    yield receive
                    tasks.cancel_scope.cancel()
        finally:
            self._events = None

    async def _run_and_close(self, events: MemoryObjectSendStream[Event]) -> None:
        async with events:
            await self.run()

    async def _read_and_publish(self, target: Target) -> Manifest:
        started_at = self._clock.utc_now()
        entries: dict[str, ResourceEntry] = {}

        async def read(name: str) -> None:
            async with self._at_once:
                entries[name] = await self._read(name, target.staging / name)
            await self._emit(ResourceDone(resource=name, entry=entries[name]))

        async with anyio.create_task_group() as tasks:
            for name in self._listings:
                tasks.start_soon(read, name, name=f"export {name}")

        before = await self._in_thread(target.published)
        manifest = Manifest(
            resources={**(before.resources if before else {}), **{name: entries[name] for name in self._listings}},
            tool=f"vismanet-async {tool_version()}",
            started_at=started_at,
            finished_at=self._clock.utc_now(),
            company=self._company,
        )
        await self._in_thread(target.publish, manifest)
        return manifest

    async def _read(self, name: str, directory: Path) -> ResourceEntry:
        started_at = self._clock.utc_now()
        listing = self._listings[name]
        sink = _SINKS[self.plan.format](directory, part_bytes=self.plan.part_bytes)
        try:
            send, receive = anyio.create_memory_object_stream[Page](1)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._write, name, receive, sink)
                async with send, listing.raw_pages(completeness=self.plan.completeness, ordered=True) as pages:
                    async for page in pages:
                        await send.send(page)
            report = listing.completeness
            self._check(name, report)
            parts = await self._in_thread(sink.finish)
        finally:
            sink.abandon()
        return ResourceEntry(
            rows=sum(part.rows for part in parts),
            unique=report.unique,
            verdict=report.verdict,
            total_first=report.total_first,
            total_last=report.total_last,
            requests=report.requests,
            parts=parts,
            format=self.plan.format,
            filters={key: str(value) for key, value in self.plan.resources[name].items()},
            started_at=started_at,
            finished_at=self._clock.utc_now(),
        )

    async def _write(self, name: str, pages: MemoryObjectReceiveStream[Page], sink: Sink) -> None:
        listing = self._listings[name]
        async with pages:
            async for page in pages:
                await self._in_thread(sink.write, page)
                await self._emit(PageWritten(resource=name, rows=sink.rows, total=listing.progress.total))

    def _check(self, name: str, report: Report) -> None:
        if report.verdict != "uncertain" or self.plan.allow_uncertain or self.plan.completeness == "none":
            return
        raise IncompleteListing(
            f"{name} could not be shown complete: {report.rows} rows, the server's total went from "
            f"{report.total_first} to {report.total_last}. Nothing was published. Run it again when fewer changes are "
            "made, or allow an uncertain list.",
            completeness=report,
        )

    async def _emit(self, event: Event) -> None:
        if self._events is not None:
            await self._events.send(event)

    async def _in_thread(self, work: Callable[..., T], /, *args: Any) -> T:
        return await to_thread.run_sync(work, *args, limiter=self._threads)


@contextlib.contextmanager
def one_error() -> Iterator[None]:
    """Raise the first of the SDK's own errors that side-by-side tasks ended with; bugs come through as they are."""
    try:
        yield
    except BaseExceptionGroup as group:
        errors = list(_leaves(group))
        if not all(isinstance(error, VismaNetError) for error in errors):
            raise
        for other in errors[1:]:
            errors[0].add_note(f"also: {other}")
        raise errors[0] from None


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def tool_version() -> str:
    """Name the version that writes; the source tree has none."""
    try:
        return metadata.version("vismanet-async")
    except metadata.PackageNotFoundError:
        return "from source"

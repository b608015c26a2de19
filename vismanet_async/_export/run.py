"""Run an export: resources side by side, pages through bounded queues to the sinks, the manifest last.

Each resource has one task, which takes pages from its listing and gives them to a worker thread, which writes them one
after the other. Meanwhile the listing goes on fetching into its own bounded window: a slow disk fills that, and then no
more pages are asked for.
"""

from __future__ import annotations

import contextlib
import logging
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import anyio
import attrs
from anyio import to_thread

from vismanet_async._clock import Clock, SystemClock
from vismanet_async._conditions import on_or_after
from vismanet_async._deferred import DeferredCall, mark_used
from vismanet_async._export.checkpoint import BegunAt, Checkpoint, Journal, NoJournal, Question, Recorder
from vismanet_async._export.events import events_of
from vismanet_async._export.files import writing
from vismanet_async._export.incremental import (
    Changes,
    Start,
    added_to,
    first_run,
    known_rows,
    latest_stamp,
    modified_filter,
    start_of,
)
from vismanet_async._export.locations import RemotePath
from vismanet_async._export.manifest import Manifest, Part, ResourceEntry
from vismanet_async._export.observed_sender import RequestEnded, Watch
from vismanet_async._export.remote import RemoteTarget
from vismanet_async._export.sinks.opening import columns_written, open_sink
from vismanet_async._export.target import OVERLAP_NAME, Target
from vismanet_async._export.writer_thread import working
from vismanet_async._observer import ExportFacts, Observer
from vismanet_async._paging.guarantee import Completeness  # noqa: TC001 - looked up by whoever asks for the types
from vismanet_async._version import __version__
from vismanet_async.errors import IncompleteListing, RequestRefused, VismaNetError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from anyio.streams.memory import MemoryObjectSendStream

    from vismanet_async._export.plan import ExportPlan
    from vismanet_async._export.sinks import Sink
    from vismanet_async._http.message import Sender
    from vismanet_async._paging.listing import Listing
    from vismanet_async._paging.paginator import Delivery

__all__ = [
    "Event",
    "Export",
    "PageWritten",
    "Published",
    "RequestEnded",
    "ResourceDone",
    "ResourceIncomplete",
    "one_error",
]

T = TypeVar("T")
_log = logging.getLogger("vismanet_async._export")

_RESOURCES_AT_ONCE: Final = 4
"""Each keeps a window of pages in memory; more of them would not make the server faster."""


class Source(Protocol):
    """What an export needs of a client."""

    def list_by_name(self, name: str, filters: Mapping[str, Any]) -> Listing[Any]:
        """Give the listing of a resource; raises `UnknownName` for a name or a filter that there is not."""
        ...


@attrs.frozen(kw_only=True)
class Progress:
    """How far one resource has come."""

    rows: int
    """Rows read so far."""
    total: int | None
    """The server's latest total."""
    requests: int
    in_flight: int
    rows_per_second: float
    """Since the resource was begun."""


@attrs.frozen(kw_only=True)
class PageWritten:
    """A page's rows are in the files (not published yet)."""

    resource: str
    progress: Progress
    at_seconds: float
    """Since the export began."""


@attrs.frozen(kw_only=True)
class ResourceDone:
    """All of a resource's parts are whole (not published yet)."""

    resource: str
    entry: ResourceEntry
    completeness: Completeness
    """What the walk did, and what it may claim."""
    at_seconds: float
    """Since the export began."""


@attrs.frozen(kw_only=True)
class ResourceIncomplete:
    """A list could not be shown complete, and the plan does not allow that: the export is about to fail."""

    resource: str
    completeness: Completeness
    at_seconds: float
    """Since the export began."""


@attrs.frozen(kw_only=True)
class Published:
    """The manifest stands; the last event."""

    manifest: Manifest


Event = RequestEnded | PageWritten | ResourceDone | ResourceIncomplete | Published


class Export(DeferredCall[Manifest]):
    """One export as a value: building it opens and sends nothing, awaiting it runs it.

    `await export` gives the manifest. `async for event in export` runs it and yields what happens, page by page; who
    does not go on reading events holds the export up. Leaving the loop early cancels it, at once with
    `async with aclosing(aiter(export)) as events`.

    Nothing is published until every resource is whole; then all of it is, the manifest last. When the run fails, is
    cancelled or killed, what stood published at the target still stands. What it had read stays in `PATH/.export` when
    the company is known: the next run of the same plan goes on from there, and writes the same bytes.

    Args:
        source: the client.
        plan: what to do.
        company: its tenant id, for the manifest; without it a stopped run cannot be gone on with.
        base_url: where the rows come from, for the manifest.
        observer: is told of the run and of each resource.
        clock: for tests.

    Memory: a few pages for each resource being read, at most four of them at a time. Run one export once at a time;
    several exports may share a client.

    Errors: `UnknownName` and `RequestRefused` before anything is opened, `TargetNotWritable` and `TargetBusy` before
    anything is sent, `IncompleteListing` when a list could not be shown complete and the plan does not allow that,
    else those of the reads.

    Examples:
        >>> export = visma.export("customer", to="out")
        >>> async for event in export:
        ...     print(type(event).__name__)
        RequestEnded
        PageWritten
        ResourceDone
        Published
    """

    def __init__(
        self,
        source: Source,
        plan: ExportPlan,
        *,
        company: str | None = None,
        base_url: str | None = None,
        observer: Observer | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.plan = plan
        self._source = source
        self._company = company
        self._base_url = base_url
        self._observer = observer or Observer()
        self._clock = clock or SystemClock()
        self._listings: dict[str, Listing[Any]] = {}
        self._starts: dict[str, Start] = {}
        self._started = 0.0
        self._began: dict[str, float] = {}
        self._ended: dict[str, float] = {}
        self._at_once = anyio.Semaphore(_RESOURCES_AT_ONCE)
        self._threads = anyio.CapacityLimiter(_RESOURCES_AT_ONCE)
        self._writers = anyio.CapacityLimiter(_RESOURCES_AT_ONCE)
        self._events: MemoryObjectSendStream[Event] | None = None

    @property
    def progress(self) -> Mapping[str, Progress]:
        """How far each resource has come, as of now; empty before the start."""
        return {name: self._progress_of(name) for name in self._listings}

    def __await__(self) -> Generator[Any, Any, Manifest]:
        return self.run().__await__()

    async def run(self) -> Manifest:
        """Run it; the same as awaiting the export."""
        mark_used(self)
        facts = ExportFacts(resources=tuple(self.plan.resources), format=self.plan.format, company=self._company)
        with self._observer.export(facts):
            return await self._run()

    async def _run(self) -> Manifest:
        plan = self.plan
        self._started = self._clock.monotonic()
        self._listings = {name: self._listing(name, filters) for name, filters in plan.resources.items()}
        opened: list[Target | RemoteTarget] = []
        keep_work = True
        try:
            await self._in_thread(self._open_target, opened)
            target = opened[0]
            begun: list[Checkpoint] = []
            try:
                await self._in_thread(self._begin, target, begun)
                self._listings |= {
                    name: self._listing(name, self._filters_from(name, start.since))
                    for name, start in self._starts.items()
                    if start.since is not None
                }
                with one_error():
                    manifest = await self._read_and_publish(target, begun[0])
                keep_work = False
            except IncompleteListing:
                keep_work = False  # what was read is why it is incomplete: the next run must read it anew
                raise
            finally:
                with anyio.CancelScope(shield=True):
                    for checkpoint in begun:
                        await self._in_thread(checkpoint.close)
        finally:
            with anyio.CancelScope(shield=True):
                for target in opened:
                    await self._in_thread(partial(target.close, keep_work=keep_work))
        await self._emit(Published(manifest=manifest))
        return manifest

    async def __aiter__(self) -> AsyncGenerator[Event, None]:
        """Run it and yield what happens; `Published` is the last event."""
        async with aclosing(events_of(self._run_telling)) as events:
            async for event in events:
                yield event

    async def _run_telling(self, events: MemoryObjectSendStream[Event]) -> None:
        self._events = events
        try:
            await self.run()
        finally:
            self._events = None

    def _listing(self, name: str, filters: Mapping[str, Any]) -> Listing[Any]:
        plan = self.plan
        return self._source.list_by_name(name, filters).with_options(
            page_size=plan.page_size, allow_uncertain=plan.allow_uncertain, completeness=plan.completeness
        )

    def _filters_from(self, name: str, since: str) -> dict[str, Any]:
        filters = self.plan.resources[name]
        return {**filters, modified_filter(name, filters)[0]: on_or_after(since)}

    def _begin(self, target: Target | RemoteTarget, begun: list[Checkpoint]) -> None:
        """Find out where this run begins; blocks."""
        target.recover()
        self._starts = self._find_starts(target)
        target.mark()
        begun.append(self._open_checkpoint(target))

    def _find_starts(self, target: Target | RemoteTarget) -> dict[str, Start]:
        """Find what this run adds to; blocks."""
        plan = self.plan
        manifest = target.published() if plan.incremental else None
        if manifest is None:
            return dict.fromkeys(plan.resources, Start())
        for what, here, asked in (
            ("company", manifest.company, self._company),
            ("server", manifest.base_url, self._base_url),
        ):
            if here is not None and asked is not None and here != asked:
                raise RequestRefused(
                    f"{plan.to} holds an export of {what} {here}, and this one is of {asked}; nothing was sent. Give "
                    "each company a directory of its own."
                )
        starts = {}
        for name in plan.resources:
            like = {
                "format": plan.format,
                "format_options": plan.options_for_readers,
                "filters": plan.filter_texts(name),
            }
            before = manifest.resources.get(name)
            start = starts[name] = start_of(
                before,
                name,
                like,
                overlap=plan.overlap,
                now=self._clock.utc_now(),
                columns=self._columns(name),
            )
            if start.before is not None:
                starts[name] = attrs.evolve(start, known=known_rows(plan.place, start.before))
        return starts

    def _columns(self, name: str) -> dict[str, str]:
        return columns_written(self.plan.format, self._listings[name].operation_id)

    def _open_target(self, opened: list[Target | RemoteTarget]) -> None:
        place, resources = self.plan.place, tuple(self.plan.resources)
        if isinstance(place, RemotePath):
            opened.append(RemoteTarget.open(place, resources, spool=self.plan.spool))
        else:
            opened.append(Target.open(place, resources))

    def _open_checkpoint(self, target: Target | RemoteTarget) -> Checkpoint:
        # without a known company nobody can tell whether an earlier run was of the same one
        known = self.plan.resume and self._company is not None
        plan = self.plan.fingerprint(company=self._company, base_url=self._base_url)
        with writing(target.work):
            return Checkpoint.open(
                target.work,
                # what was read before another export was published is older than that
                fingerprint=f"{plan} {target.upon}" if known else None,
                now=self._clock.utc_now(),
            )

    async def _read_and_publish(self, target: Target | RemoteTarget, checkpoint: Checkpoint) -> Manifest:
        entries: dict[str, ResourceEntry] = {}

        async def read(name: str) -> None:
            async with self._at_once:
                with self._observer.resource(name) as watch:
                    entry, report = await self._read(name, checkpoint)
                    watch.done(rows=entry.rows, requests=entry.requests, verdict=entry.verdict)
            entries[name] = entry
            named = {"operation": self._listings[name].operation_id, "company": self._company, "verdict": entry.verdict}
            _log.info("%s: %d rows read, %s", name, entry.rows, entry.verdict, extra={**named, "rows": entry.rows})
            await self._emit(ResourceDone(resource=name, entry=entry, completeness=report, at_seconds=self._seconds()))

        async with anyio.create_task_group() as tasks:
            for name in self._listings:
                tasks.start_soon(read, name, name=f"export {name}")

        return await self._in_thread(self._publish, target, checkpoint, entries)

    def _publish(
        self, target: Target | RemoteTarget, checkpoint: Checkpoint, entries: Mapping[str, ResourceEntry]
    ) -> Manifest:
        """Publish what was read beside what stands there of other resources; blocks."""
        before = target.published()
        manifest = Manifest(
            resources={**(before.resources if before else {}), **{name: entries[name] for name in self._listings}},
            tool=f"vismanet-async {__version__}",
            started_at=checkpoint.begun_at,
            finished_at=self._clock.utc_now(),
            company=self._company,
            base_url=self._base_url,
        )
        return target.publish(manifest, checkpoint.staging)

    async def _read(self, name: str, checkpoint: Checkpoint) -> tuple[ResourceEntry, Completeness]:
        self._began[name] = self._clock.monotonic()
        journal = await self._in_thread(checkpoint.journal, name)
        recorder = Recorder(checkpoint.answers.get(name, {}), journal, threads=self._threads)
        listing = self._listings[name] = self._listings[name].through(
            lambda sender: recorder.around(self._watched(name, sender)), clock=BegunAt(self._clock, checkpoint.begun_at)
        )
        sink = open_sink(
            self.plan.format,
            checkpoint.staging / name,
            operation_id=listing.operation_id,
            part_bytes=self.plan.part_bytes,
            first_part=self._starts[name].first_part,
            resumable=checkpoint.known,
            options=self.plan.format_options,
        )
        writer = _Writer(sink, journal, checkpoint, self._changes(name))
        try:
            try:
                with one_error():  # it reads and writes side by side
                    await self._fill(name, writer, recorder)
            except IncompleteListing as error:
                incomplete = error.completeness
                await self._emit(ResourceIncomplete(resource=name, completeness=incomplete, at_seconds=self._seconds()))
                raise
            report = listing.completeness
            if report is None:
                raise RuntimeError(f"the listing of {name} ended without a report")
            parts = await self._in_thread(partial(sink.finish, dropped=writer.dropped))
        finally:
            with anyio.CancelScope(shield=True):
                await self._in_thread(recorder.flush)
            sink.close()
        times = (checkpoint.begun_at, self._clock.utc_now())
        entry = _entry(report, parts, plan=self.plan, name=name, times=times, columns=self._columns(name))
        if writer.changes is None:
            return first_run(entry), report
        overlap = checkpoint.staging / OVERLAP_NAME / f"{name}-{self._starts[name].runs:05}.bin"
        return await self._in_thread(self._after, self._starts[name], entry, writer.changes, overlap), report

    def _changes(self, name: str) -> Changes | None:
        plan = self.plan
        if not plan.incremental:
            return None
        return Changes(
            modified_filter(name, plan.resources[name])[1],
            known=self._starts[name].known,
            overlap=plan.overlap,
            latest=latest_stamp(self._clock.utc_now()),
        )

    def _after(self, start: Start, entry: ResourceEntry, changes: Changes, path: Path) -> ResourceEntry:
        """Give a resource's entry after an incremental run; blocks."""
        assert entry.started_at is not None
        assert entry.finished_at is not None
        with writing(path):
            path.parent.mkdir(exist_ok=True)
            overlap = changes.write(path, took=entry.finished_at - entry.started_at)
        entry = attrs.evolve(
            entry, watermark=changes.watermark, overlap=overlap, reason=f"{entry.reason}{changes.remark}"
        )
        if start.before is None or start.since is None:
            return first_run(entry)
        return added_to(start.before, entry, since=start.since, repeated=changes.repeated)

    async def _fill(self, name: str, writer: _Writer, recorder: Recorder) -> None:
        """Have pages written one by one in a worker thread, while the listing fetches and reads the next ones."""
        told = 0

        async def tell() -> None:
            nonlocal told
            while told < worker.done:
                told += 1
                progress = self._progress_of(name)
                await self._emit(PageWritten(resource=name, progress=progress, at_seconds=self._seconds()))

        async with (
            working(writer.write, threads=self._writers) as worker,
            self._listings[name].raw_pages(ordered=True) as pages,
        ):
            async for page in pages:
                await worker.give(page, *recorder.settle(page))
                del page  # not held while the next one is waited for: pages are what memory goes to
                await tell()
        self._ended[name] = self._clock.monotonic()
        await tell()

    def _progress_of(self, name: str) -> Progress:
        at = self._listings[name].progress
        now = self._ended.get(name, self._clock.monotonic())
        seconds = now - self._began.get(name, now)
        return Progress(
            rows=at.rows,
            total=at.total,
            requests=at.requests,
            in_flight=at.in_flight,
            rows_per_second=at.rows / seconds if seconds else 0.0,
        )

    def _watched(self, name: str, sender: Sender) -> Sender:
        # without a reader of events nobody is told, and nothing is measured
        return sender if self._events is None else Watch(sender, name, seconds=self._seconds, tell=self._emit)

    def _seconds(self) -> float:
        return self._clock.monotonic() - self._started

    async def _emit(self, event: Event) -> None:
        if self._events is not None:
            await self._events.send(event)

    async def _in_thread(self, work: Callable[..., T], /, *args: Any) -> T:
        """Have blocking work done, to its end once it has begun; a cancellation is raised after that.

        A shielded scope alone holds against other scopes, not against `asyncio.Task.cancel()`: the thread would go on
        while the target is given up.
        """
        done: list[T] = []
        failed: list[BaseException] = []

        async def run() -> None:
            with anyio.CancelScope(shield=True):
                try:
                    done.append(await to_thread.run_sync(work, *args, limiter=self._threads))
                except BaseException as error:  # noqa: BLE001 - raised below, without a group around it
                    failed.append(error)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
        if failed:
            raise failed[0]
        return done[0]


@attrs.define
class _Writer:
    """What happens to one resource's pages in the worker thread, one after the other."""

    sink: Sink
    journal: Journal | NoJournal
    checkpoint: Checkpoint
    changes: Changes | None = None
    """Of an incremental run."""
    dropped: set[int] = attrs.field(factory=set)
    """Numbers of the written rows that later ones have replaced, or that an earlier run has published."""
    _starts: dict[int, int] = attrs.field(factory=dict)

    def write(self, page: Delivery, answers: Question | None, kept: list[tuple[Question, bytes | bytearray]]) -> None:
        """Write a page and note what was written.

        Args:
            page: the next one.
            answers: the question that its rows answer in full, if they do.
            kept: answers to keep as they are.
        """
        self.checkpoint.begun()  # runs of another plan have no answers for this one: the server gave this page
        self._starts[page.number] = self.sink.rows
        self.dropped.update(self._starts[old.delivery] + old.row for old in page.supersedes)
        if self.changes is not None:
            self.dropped.update(self.sink.rows + place for place in self.changes.repeats(page.rows))
        for question, body in kept:
            self.journal.keep(question, body)  # as the server sent it: the sink may make lines of it
        written = self.sink.write(page)
        if written is not None and answers is not None:
            self.journal.note(answers, written)


def _entry(
    report: Completeness,
    parts: tuple[Part, ...],
    *,
    plan: ExportPlan,
    name: str,
    times: tuple[datetime, datetime],
    columns: dict[str, str],
) -> ResourceEntry:
    return ResourceEntry(
        rows=sum(part.rows for part in parts),
        unique=report.unique,
        verdict=report.verdict,
        reason=report.reason,
        total_first=report.total_first,
        total_last=report.total_last,
        requests=report.requests,
        parts=parts,
        format=plan.format,
        format_options=plan.options_for_readers,
        filters=plan.filter_texts(name),
        columns=columns,
        window=report.window,
        watermark=report.watermark,
        started_at=times[0],
        finished_at=times[1],
    )


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

"""One resource of an export: its pages are read, written in a thread, and become an entry of the manifest."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio
import attrs

from vismanet_async._clock import FrozenClock
from vismanet_async._export.deletions import identity_of
from vismanet_async._export.events import Event, PageWritten, Progress, ResourceIncomplete
from vismanet_async._export.files import writing
from vismanet_async._export.incremental import (
    DeltaTracker,
    StartPoint,
    first_run,
    known_rows,
    merged_with,
    modified_filter,
    require_plausible,
    start_of,
)
from vismanet_async._export.key_index import KeyIndex, KeysOfRows
from vismanet_async._export.observed_sender import ObservedSender
from vismanet_async._export.page_writer import KeyTracker, PageWriter
from vismanet_async._export.replay import ReplayingSender
from vismanet_async._export.server_clock import ServerClock
from vismanet_async._export.sinks.opening import columns_written, open_sink
from vismanet_async._export.stored_rows import published_keys
from vismanet_async._export.sweep import BudgetedSender, KeySweep, Swept
from vismanet_async._export.target.local import KEYS_NAME, OVERLAP_NAME
from vismanet_async._export.target.manifest import ResourceEntry, Sweep
from vismanet_async._export.writer_thread import serial_writer
from vismanet_async._paging.guarantee import safe_boundary
from vismanet_async._tasks import T, run_blocking, unwrap_group
from vismanet_async.errors import IncompleteListing

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from anyio.streams.memory import MemoryObjectSendStream

    from vismanet_async._clock import Clock
    from vismanet_async._export.checkpoint import Checkpoint
    from vismanet_async._export.plan import ExportPlan
    from vismanet_async._export.target.manifest import Part
    from vismanet_async._http.message import Sender
    from vismanet_async._paging.guarantee import Completeness
    from vismanet_async._paging.listing import Listing

__all__ = ["RESOURCES_AT_ONCE", "ResourceRun", "RunContext"]

RESOURCES_AT_ONCE: Final = 4
"""Each keeps a window of pages in memory; more of them would not make the server faster."""


def _limiter() -> anyio.CapacityLimiter:
    return anyio.CapacityLimiter(RESOURCES_AT_ONCE)


@attrs.frozen(kw_only=True)
class RunContext:
    """What the resources of one run share."""

    plan: ExportPlan
    clock: Clock
    events: MemoryObjectSendStream[Event] | None
    """None if events are not read."""
    started: float
    """By the monotonic clock."""
    threads: anyio.CapacityLimiter = attrs.field(factory=_limiter, init=False)
    writers: anyio.CapacityLimiter = attrs.field(factory=_limiter, init=False)

    def seconds(self) -> float:
        """Seconds since the export began."""
        return self.clock.monotonic() - self.started

    async def emit(self, event: Event) -> None:
        """Send an event to the reader, if there is one; waits while the stream is full."""
        if self.events is not None:
            await self.events.send(event)

    async def run_blocking(self, work: Callable[..., T], /, *args: Any) -> T:
        """Return what blocking work returns, run in a thread and to its end once it has begun."""
        return await run_blocking(work, *args, limiter=self.threads)


@attrs.define(kw_only=True)
class ResourceRun:
    """The run of one resource."""

    name: str
    listing: Listing[Any]
    context: RunContext
    whole: Listing[Any] | None = None
    """The list without a filter on changes, which a sweep reads; None: deletions are not looked for."""
    start: StartPoint = attrs.field(factory=StartPoint)
    _began: float | None = attrs.field(default=None, init=False)
    _ended: float | None = attrs.field(default=None, init=False)
    _sweeping: Listing[Any] | None = attrs.field(default=None, init=False)

    @property
    def progress(self) -> Progress:
        """How far the resource has come, as of now."""
        at = self.listing.progress
        now = self.context.clock.monotonic() if self._ended is None else self._ended
        seconds = 0.0 if self._began is None else now - self._began
        sweep = None if self._sweeping is None else self._sweeping.progress
        return Progress(
            rows=at.rows,
            total=at.total,
            requests=at.requests + (sweep.requests if sweep else 0),
            in_flight=at.in_flight + (sweep.in_flight if sweep else 0),
            rows_per_second=at.rows / seconds if seconds else 0.0,
        )

    @property
    def _columns(self) -> dict[str, str]:
        return columns_written(self.context.plan.format, self.listing.operation_id)

    def find_start(self, before: ResourceEntry | None) -> None:
        """Find where an incremental run begins. Blocks.

        Args:
            before: what is published of the resource.

        Raises:
            RequestRefused: what is published was exported in another way.
            ExportError: what is published is damaged, or its watermark cannot be trusted.
        """
        plan = self.context.plan
        like = {
            "format": plan.format,
            "format_options": plan.options_for_readers,
            "filters": plan.filter_texts(self.name),
        }
        now = self.context.clock.utc_now()
        start = start_of(before, self.name, like, overlap=plan.overlap, now=now, columns=self._columns)
        if start.before is not None:
            start = attrs.evolve(start, known=known_rows(plan.location, start.before))
        self.start = start

    async def read(self, checkpoint: Checkpoint) -> tuple[ResourceEntry, Completeness]:
        """Return the manifest's entry of the resource and the report of its listing, when all parts are written.

        Raises:
            IncompleteListing: the list could not be shown complete, and the plan does not allow that.
        """
        context, plan = self.context, self.context.plan
        self._began = context.clock.monotonic()
        journal = await context.run_blocking(checkpoint.journal, self.name)
        replay = ReplayingSender(checkpoint.answers.get(self.name, {}), journal, threads=context.threads)
        server = ServerClock(safe_boundary(checkpoint.started_at))
        self.listing = self.listing.with_sender(
            lambda sender: replay.wrap(server.wrap(self._observed(sender))),
            clock=FrozenClock(context.clock, checkpoint.started_at),
        )
        sink = open_sink(
            plan.format,
            checkpoint.staging / self.name,
            operation_id=self.listing.operation_id,
            part_bytes=plan.part_bytes,
            first_part=self.start.first_part,
            resumable=checkpoint.known,
            options=plan.format_options,
            identity=identity_of(self.name),
        )
        writer = PageWriter(sink, journal, checkpoint, self._delta_tracker(server))
        opened: list[KeyIndex] = []
        try:
            if self._tracks_keys:
                await context.run_blocking(self._open_keys, writer, opened)
            report = await self._write_pages(writer, replay)
            await context.run_blocking(replay.flush)
            swept = await self._sweep(writer, checkpoint, report, resumed=replay.all_known)
            parts = await context.run_blocking(partial(sink.finish, dropped=writer.dropped))
            # the next run goes back as far as this one took, also where the wall clock was set back meanwhile
            took = timedelta(seconds=context.clock.monotonic() - self._began)
            finished_at = max(context.clock.utc_now(), checkpoint.started_at + took)
            entry = self._entry(report, parts, writer=writer, times=(checkpoint.started_at, finished_at))
            entry = await context.run_blocking(self._after_run, entry, writer, checkpoint, swept)
        finally:
            with anyio.CancelScope(shield=True):
                await context.run_blocking(replay.flush)
            sink.close()
            for index in opened:
                index.close()
        return entry, report

    @property
    def _tracks_keys(self) -> bool:
        """Whether keys are kept: where deletions are looked for now, or may be again."""
        before = self.start.before
        return self.whole is not None or (before is not None and before.keys is not None)

    def _open_keys(self, writer: PageWriter, opened: list[KeyIndex]) -> None:
        """Have the writer track keys, from those that are published. Blocks."""
        index = KeyIndex()
        opened.append(index)
        before, location = self.start.before, self.context.plan.location
        if before is not None:
            index.add(published_keys(location, self.name, before))
        writer.keys = KeyTracker(index, KeysOfRows(identity_of(self.name)))

    async def _sweep(
        self, writer: PageWriter, checkpoint: Checkpoint, report: Completeness, *, resumed: bool
    ) -> Swept | None:
        """Return what a sweep after the changes found; None if deletions are not looked for.

        Args:
            writer: of the changes.
            checkpoint: of the run.
            report: on the changes.
            resumed: all changes were answered by the earlier run. Else its answers to a sweep are older than these
                changes, and what was added since would look deleted.
        """
        deletions, start = self.context.plan.deletions, self.start
        if self.whole is None or deletions is None:
            return None
        if start.before is None:  # the whole list was read just now
            proven = report.verdict == "proven"
            read = Sweep(verdict=report.verdict, reason="the whole list was read", requests=0)
            return Swept(sweep=read, at=checkpoint.started_at if proven else None)
        name = f"{self.name}.sweep"
        journal = await self.context.run_blocking(checkpoint.journal, name)
        answers = checkpoint.answers.get(name, {}) if resumed else {}
        replay = ReplayingSender(answers, journal, threads=self.context.threads)
        sweep = KeySweep(
            name=self.name,
            listing=self.whole.with_sender(
                lambda sender: replay.wrap(BudgetedSender(deletions.max_requests).wrap(self._observed(sender))),
                clock=FrozenClock(self.context.clock, checkpoint.started_at),
            ),
            replay=replay,
            journal=journal,
            context=self.context,
            deletions=deletions,
            before=start.before,
            number=start.runs,
            checkpoint=checkpoint,
            writer=writer,
        )
        self._sweeping = sweep.listing
        return await sweep.run()

    async def _write_pages(self, writer: PageWriter, replay: ReplayingSender) -> Completeness:
        """Return the listing's report when all of its pages are written."""
        try:
            with unwrap_group():  # reading and writing run concurrently
                await self._read_pages(writer, replay)
        except IncompleteListing as error:
            completeness, seconds = error.completeness, self.context.seconds()
            await self.context.emit(
                ResourceIncomplete(resource=self.name, completeness=completeness, at_seconds=seconds)
            )
            raise
        report = self.listing.completeness
        if report is None:
            raise RuntimeError(f"the listing of {self.name} ended without a report")
        return report

    async def _read_pages(self, writer: PageWriter, replay: ReplayingSender) -> None:
        """Write pages one by one in a worker thread, while the listing fetches and parses the next ones."""
        emitted = 0

        async def emit_written() -> None:
            nonlocal emitted
            while emitted < thread.done:
                emitted += 1
                event = PageWritten(resource=self.name, progress=self.progress, at_seconds=self.context.seconds())
                await self.context.emit(event)

        async with (
            serial_writer(writer.write, threads=self.context.writers) as thread,
            self.listing.raw_pages(ordered=True) as pages,
        ):
            async for page in pages:
                await thread.submit(page, *replay.match_page(page))
                del page  # not held while the next one is waited for: pages are what memory goes to
                await emit_written()
        self._ended = self.context.clock.monotonic()
        await emit_written()

    def _observed(self, sender: Sender) -> Sender:
        context = self.context
        if context.events is None:  # without a reader of events, nothing is measured
            return sender
        return ObservedSender(self.name, seconds=context.seconds, emit=context.emit).wrap(sender)

    def _delta_tracker(self, server: ServerClock) -> DeltaTracker | None:
        plan = self.context.plan
        if not plan.incremental:
            return None
        return DeltaTracker(
            modified_filter(self.name, plan.resources[self.name])[1],
            known=self.start.known,
            overlap=plan.overlap,
            edge=lambda: server.edge,
        )

    def _entry(
        self, report: Completeness, parts: tuple[Part, ...], *, writer: PageWriter, times: tuple[datetime, datetime]
    ) -> ResourceEntry:
        plan = self.context.plan
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
            filters=plan.filter_texts(self.name),
            columns=self._columns,
            identity=identity_of(self.name),
            unfit=writer.sink.notes.unfit.counts(without=writer.dropped),
            neutralised=sum(writer.sink.notes.neutralised.counts(without=writer.dropped).values()),
            window=report.window,
            watermark=report.watermark,
            started_at=times[0],
            finished_at=times[1],
        )

    def _after_run(
        self, entry: ResourceEntry, writer: PageWriter, checkpoint: Checkpoint, swept: Swept | None
    ) -> ResourceEntry:
        """Return the entry after the run, merged with what is published. Blocks."""
        start, delta = self.start, writer.delta
        if writer.keys is not None:
            path = checkpoint.staging / KEYS_NAME / f"{self.name}-{start.runs:05}.jsonl.gz"
            entry = attrs.evolve(entry, keys=writer.keys.index.write(path))
        if swept is not None:
            tombstones = () if swept.tombstones is None else (swept.tombstones,)
            requests = entry.requests + swept.sweep.requests
            entry = attrs.evolve(entry, tombstones=tombstones, swept_at=swept.at, requests=requests)
        sweep = None if swept is None else swept.sweep
        if delta is None:
            return first_run(entry, sweep=sweep)
        assert entry.started_at is not None
        assert entry.finished_at is not None
        if start.before is not None and start.since is not None:
            require_plausible(self.name, start.before, since=start.since, delta=delta)
        path = checkpoint.staging / OVERLAP_NAME / f"{self.name}-{start.runs:05}.bin"
        with writing(path):
            path.parent.mkdir(exist_ok=True)
            overlap = delta.write(path, took=entry.finished_at - entry.started_at)
        entry = attrs.evolve(
            entry, watermark=delta.watermark, overlap=overlap, reason=f"{entry.reason}{delta.note}{start.note}"
        )
        if start.before is None or start.since is None:
            return first_run(entry, sweep=sweep)
        return merged_with(start.before, entry, since=start.since, repeated=delta.repeated, sweep=sweep)

"""Runs an export: resources concurrently, pages through bounded queues to the sinks, the manifest last.

Each resource has a task that takes pages from its listing and submits them to a thread (`resource_run`). Meanwhile the
listing fetches into its own bounded window: a slow disk fills that, and then no more pages are requested.
"""

from __future__ import annotations

import logging
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import anyio

from vismanet_async._clock import Clock, SystemClock
from vismanet_async._deferred import DeferredCall, mark_used
from vismanet_async._export.checkpoint import Checkpoint
from vismanet_async._export.events import Event, Progress, Published, ResourceDone
from vismanet_async._export.files import writing
from vismanet_async._export.incremental import changed_since, whole_filters
from vismanet_async._export.resource_run import RESOURCES_AT_ONCE, ResourceRun, RunContext
from vismanet_async._export.target.local import Target
from vismanet_async._export.target.locations import RemotePath
from vismanet_async._export.target.manifest import Manifest, ResourceEntry, require_same_source
from vismanet_async._export.target.remote import RemoteTarget
from vismanet_async._observer import ExportInfo, Observer
from vismanet_async._tasks import iterate_events, unwrap_group
from vismanet_async._version import __version__
from vismanet_async.errors import IncompleteListing

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Mapping

    from anyio.streams.memory import MemoryObjectSendStream

    from vismanet_async._export.plan import ExportPlan
    from vismanet_async._paging.listing import Listing

__all__ = ["Export", "Source"]

_log = logging.getLogger("vismanet_async.export")


class Source(Protocol):
    """What an export needs of a client."""

    def list_by_name(self, name: str, filters: Mapping[str, Any]) -> Listing[Any]:
        """Return the listing of a resource; raises `UnknownName` for a name or a filter that there is not."""
        ...


class Export(DeferredCall[Manifest]):
    """One export as a value: building it opens and sends nothing, awaiting it runs it.

    `await export` returns the manifest. `async for event in export` runs it and yields its events, page by page; a slow
    reader of events blocks the export. Leaving the loop early cancels it, at once with
    `async with aclosing(aiter(export)) as events`.

    Nothing is published until every resource is whole; then all of it is, the manifest last. When the run fails, is
    cancelled or killed, what was published before still stands. If the company is known, what was read stays in
    `PATH/.export`: the next run of the same plan resumes it, and writes the same bytes.

    Args:
        source: the client.
        plan: what to do.
        company: its tenant id, for the manifest; without it a stopped run cannot be resumed.
        base_url: of the service, for the manifest.
        observer: observes the run and each resource.
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
        self._resources: dict[str, ResourceRun] = {}

    @property
    def progress(self) -> Mapping[str, Progress]:
        """How far each resource has come, as of now; empty before the start."""
        return {name: resource.progress for name, resource in self._resources.items()}

    def _repr_html_(self) -> str:
        from vismanet_async._html import html_table  # noqa: PLC0415 - only notebooks ask for it

        at = self.progress
        rows = [(name, f"{at[name].rows:,} rows" if name in at else "not begun") for name in self.plan.resources]
        return html_table(f"Export to {self.plan.to}", rows)

    def __await__(self) -> Generator[Any, Any, Manifest]:
        return self.run().__await__()

    async def run(self) -> Manifest:
        """Run the export and return its manifest; the same as awaiting it."""
        return await self._observe(None)

    async def __aiter__(self) -> AsyncGenerator[Event, None]:
        """Run the export and yield what happens; `Published` is the last event."""
        async with aclosing(iterate_events(self._observe)) as events:
            async for event in events:
                yield event

    async def _observe(self, events: MemoryObjectSendStream[Event] | None) -> Manifest:
        mark_used(self)
        facts = ExportInfo(resources=tuple(self.plan.resources), format=self.plan.format, company=self._company)
        with self._observer.export(facts):
            context = RunContext(plan=self.plan, clock=self._clock, events=events, started=self._clock.monotonic())
            return await self._run(context)

    async def _run(self, context: RunContext) -> Manifest:
        self._resources = {
            name: ResourceRun(name=name, listing=self._listing(name, self._whole(name, filters)), context=context)
            for name, filters in self.plan.resources.items()
        }
        if self.plan.deletions is not None:
            for resource in self._resources.values():  # less than proven shows nothing
                resource.whole = resource.listing.with_options(completeness="prove", allow_uncertain=False)
        opened: list[Target | RemoteTarget] = []
        keep_work = True
        try:
            await context.run_blocking(self._open_target, opened)
            target = opened[0]
            checkpoints: list[Checkpoint] = []
            try:
                await context.run_blocking(self._begin, target, checkpoints)
                for name, resource in self._resources.items():
                    if resource.start.since is not None:
                        resource.listing = self._listing(name, self._filters_from(name, resource.start.since))
                with unwrap_group():
                    entries = await self._read(context, checkpoints[0])
                manifest = await context.run_blocking(self._publish, target, checkpoints[0], entries)
                keep_work = False
            except IncompleteListing:
                keep_work = False  # the rows that were read are incomplete: the next run must read them anew
                raise
            finally:
                with anyio.CancelScope(shield=True):
                    for checkpoint in checkpoints:
                        await context.run_blocking(checkpoint.close)
        finally:
            with anyio.CancelScope(shield=True):
                for target in opened:
                    await context.run_blocking(partial(target.close, keep_work=keep_work))
        await context.emit(Published(manifest=manifest))
        return manifest

    def _listing(self, name: str, filters: Mapping[str, Any]) -> Listing[Any]:
        plan = self.plan
        return self._source.list_by_name(name, filters).with_options(
            page_size=plan.page_size, allow_uncertain=plan.allow_uncertain, completeness=plan.completeness
        )

    def _whole(self, name: str, filters: Mapping[str, Any]) -> Mapping[str, Any]:
        return whole_filters(name, filters) if self.plan.incremental else filters

    def _filters_from(self, name: str, since: str) -> dict[str, Any]:
        return changed_since(name, self.plan.resources[name], since)

    def _open_target(self, opened: list[Target | RemoteTarget]) -> None:
        location, resources = self.plan.location, tuple(self.plan.resources)
        if isinstance(location, RemotePath):
            opened.append(RemoteTarget.open(location, resources, spool=self.plan.spool))
        else:
            opened.append(Target.open(location, resources))

    def _begin(self, target: Target | RemoteTarget, checkpoints: list[Checkpoint]) -> None:
        """Find where this run begins. Blocks."""
        target.recover()
        self._find_starts(target)
        target.mark()
        checkpoints.append(self._open_checkpoint(target))

    def _find_starts(self, target: Target | RemoteTarget) -> None:
        """Find the published entries that this run adds to. Blocks."""
        plan = self.plan
        manifest = target.published()
        if manifest is None:
            return
        if plan.incremental or manifest.resources.keys() - plan.resources.keys():
            company, base_url = self._company, self._base_url
            require_same_source(manifest, where=plan.to, company=company, base_url=base_url, adds=plan.incremental)
        if plan.incremental:
            for name, resource in self._resources.items():
                resource.find_start(manifest.resources.get(name))

    def _open_checkpoint(self, target: Target | RemoteTarget) -> Checkpoint:
        # without a known company an earlier run may have been of another one
        known = self.plan.resume and self._company is not None
        plan = self.plan.fingerprint(company=self._company, base_url=self._base_url)
        with writing(target.work):
            return Checkpoint.open(
                target.work,
                # rows read before another export was published are older than its rows
                fingerprint=f"{plan} {target.upon}" if known else None,
                now=self._clock.utc_now(),
            )

    async def _read(self, context: RunContext, checkpoint: Checkpoint) -> dict[str, ResourceEntry]:
        """Return the entries of all resources, read concurrently."""
        entries: dict[str, ResourceEntry] = {}
        at_once = anyio.Semaphore(RESOURCES_AT_ONCE)

        async def read(name: str, resource: ResourceRun) -> None:
            async with at_once:
                with self._observer.resource(name) as observed:
                    entry, report = await resource.read(checkpoint)
                    observed.done(rows=entry.rows, requests=entry.requests, verdict=entry.verdict)
            entries[name] = entry
            facts: dict[str, Any] = {"operation": resource.listing.operation_id, "company": self._company}
            facts |= {"resource": name, "rows": entry.rows, "requests": entry.requests, "verdict": entry.verdict}
            _log.info("%s: %d rows read, %s", name, entry.rows, entry.verdict, extra=facts)
            seconds = context.seconds()
            await context.emit(ResourceDone(resource=name, entry=entry, completeness=report, at_seconds=seconds))

        async with anyio.create_task_group() as tasks:
            for name, resource in self._resources.items():
                tasks.start_soon(read, name, resource, name=f"export {name}")
        return entries

    def _publish(
        self, target: Target | RemoteTarget, checkpoint: Checkpoint, entries: Mapping[str, ResourceEntry]
    ) -> Manifest:
        """Publish what was read, beside the published entries of other resources. Blocks."""
        before = target.published()
        manifest = Manifest(
            resources={**(before.resources if before else {}), **{name: entries[name] for name in self._resources}},
            tool=f"vismanet-async {__version__}",
            started_at=checkpoint.started_at,
            finished_at=self._clock.utc_now(),
            company=self._company,
            base_url=self._base_url,
        )
        return target.publish(manifest, checkpoint.staging)

"""An export spread over a Dask cluster: companies, lists and date ranges, published with the same manifest.

Needs the extra `dask`. The process that starts the export, the coordinator, opens the target as any export does and
submits *partitions*: one list of one company, or a date range of it. A worker reads a partition into a directory, which
gets its name when the partition is whole (`_partitions`). When all are there, the coordinator collects the parts and
publishes them, the manifest last. The coordinator needs no sign-in and reads nothing itself.

**A lost worker**: Dask runs the partition again elsewhere. The first attempt that is whole counts, so a worker that was
only believed dead does no harm. **A lost coordinator** leaves the whole partitions behind: the same export goes on from
there within a day.

**Secrets.** Partitions hold none. A worker signs in with its own environment or profile file. Settings that are passed
travel inside the tasks; nothing prints them, but anyone who can connect to the scheduler can get them (and can run any
code): use TLS there, or leave them out.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import shutil
import uuid
from concurrent.futures import CancelledError
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio
import attrs
import msgspec
from anyio import to_thread

from vismanet_async._api.registry import method_facts
from vismanet_async._clock import SystemClock
from vismanet_async._export.batch import CompanyOutcome, ManyOutcome
from vismanet_async._export.checkpoint import is_old
from vismanet_async._export.companies import companies_of
from vismanet_async._export.files import write_atomically, writing
from vismanet_async._export.incremental import StartPoint, changed_since, known_rows, start_of
from vismanet_async._export.plan import ExportPlan
from vismanet_async._export.sinks.opening import columns_written
from vismanet_async._export.target.local import OVERLAP_NAME, Target
from vismanet_async._export.target.locations import RemotePath, join
from vismanet_async._export.target.manifest import Manifest, require_same_source
from vismanet_async._export.target.remote import RemoteTarget
from vismanet_async._tasks import unwrap_group
from vismanet_async._version import __version__
from vismanet_async.contrib._partition_results import ReadList, StoredPlan, collect_parts
from vismanet_async.contrib._partitions import (
    Access,
    Failure,
    Partition,
    PartitionDone,
    owner_of,
    plan_partition,
    read_partition,
    result_of,
    without_newer,
)
from vismanet_async.errors import ExportError, RequestRefused, SettingsError, VismaNetError

try:
    import distributed
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        "Dask is not installed. Install it with: python -m pip install 'vismanet-async[dask]'", name="distributed"
    ) from missing

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from vismanet_async._export.companies import Company
    from vismanet_async._export.target.locations import Location
    from vismanet_async.contrib._partition_bounds import PartitionPlan

    OnDone = Callable[[Partition, PartitionDone], object]

__all__ = ["Access", "Partition", "PartitionDone", "export_many_on_dask", "export_on_dask"]

T = TypeVar("T")

_RANGE_ROWS: Final = 20_000
"""Some 20 pages: fewer rows are not worth the counting requests."""
_MOST_RANGES: Final = 8
_SHARED: Final = ".export-dask"
"""In a store: what workers have read and nobody has published; in a folder for each run."""
_CONNECT_SECONDS: Final = 15
_RELEASE_SECONDS: Final = 5
"""An abandoned task ends at once, unless Dask is fetching its result."""
_connect: Any = distributed.Client  # Dask has no types for it


async def export_on_dask(
    resources: str | Sequence[str] | Mapping[str, Mapping[str, Any]],
    *,
    to: str | os.PathLike[str],
    cluster: str | distributed.Client,
    access: Access | None = None,
    range_rows: int = _RANGE_ROWS,
    most_ranges: int = _MOST_RANGES,
    on_done: OnDone | None = None,
    **options: Any,
) -> Manifest:
    """Export lists of the company in the workers' settings on a Dask cluster, and return the manifest.

    Args:
        resources: names, or names with their filters, as for `VismaNet.export`.
        to: a directory with the same path on the coordinator and all workers, or the URL of a folder in a store.
        cluster: the scheduler's address, or an asynchronous `distributed.Client`.
        access: how workers sign in.
        range_rows: a list is divided if its ranges have at least so many rows each.
        most_ranges: of one list; 1 divides no list.
        on_done: called for each partition that is whole.
        options: those of `ExportPlan`.

    Increments: with `incremental=True` what was changed is one partition a list, and a list that is read for the first
    time is divided as ever. An export whose deletions were looked for is refused: go on with it without a cluster.

    Stores: workers sign in to the store by themselves, as the coordinator does. `storage_options` travel inside the
    tasks, secrets and all. What the workers upload goes through the coordinator's disk once more (`spool`).

    Load: the requests in flight are the cluster's worker threads times `access.concurrency`. Each worker finds out by
    itself that a quota is exhausted, and pauses.

    Errors: those of an export, `SettingsError` when no scheduler answers. The first error ends the export and cancels
    its tasks. Nothing is published before all lists are whole. Whole partitions stay, and the same export uses them
    within a day.
    """
    plan = _plan(resources, to, options)
    async with _connected(cluster) as client:
        submitter = _Submitter(client, access or Access(), on_done)
        return await _Run(plan, None, submitter, range_rows=range_rows, most_ranges=most_ranges).run()


async def export_many_on_dask(
    companies: Iterable[str | Company] | Mapping[str, str],
    resources: str | Sequence[str] | Mapping[str, Mapping[str, Any]],
    *,
    to: str | os.PathLike[str],
    cluster: str | distributed.Client,
    access: Access | None = None,
    range_rows: int = _RANGE_ROWS,
    most_ranges: int = _MOST_RANGES,
    on_done: OnDone | None = None,
    **options: Any,
) -> ManyOutcome:
    """Export the same lists of many companies on a Dask cluster, each to a folder below `to`.

    Args:
        companies: tenant ids, names with their tenant ids, or companies from `read_companies`. The environment
            variables that a company names for its sign-in are those of the workers.
        resources: as for `export_on_dask`, like all further arguments.
        to: the directory above the companies' folders.
        cluster: the scheduler.
        access: how workers sign in.
        range_rows: rows of a range at least.
        most_ranges: of one list.
        on_done: called for each partition that is whole.
        options: those of `ExportPlan`.

    Returns:
        the outcome of each company; one that failed does not stop the others.
    """
    chosen = companies_of(companies)
    plans = [_plan(resources, join(to, company.name), options) for company in chosen]
    outcomes: dict[str, CompanyOutcome] = {}
    clock = SystemClock()
    async with _connected(cluster) as client:
        submitter = _Submitter(client, access or Access(), on_done)

        async def export(company: Company, plan: ExportPlan) -> None:
            began = clock.monotonic()
            manifest, error = None, None
            try:
                manifest = await _Run(plan, company, submitter, range_rows=range_rows, most_ranges=most_ranges).run()
            except VismaNetError as failure:
                error = failure
            seconds = clock.monotonic() - began
            outcomes[company.name] = CompanyOutcome(company=company, manifest=manifest, error=error, seconds=seconds)

        async with anyio.create_task_group() as tasks:
            for company, plan in zip(chosen, plans, strict=True):
                tasks.start_soon(export, company, plan)
    return ManyOutcome(outcomes=tuple(outcomes[company.name] for company in chosen))


def _plan(resources: Any, to: str | os.PathLike[str], options: Mapping[str, Any]) -> ExportPlan:
    plan = ExportPlan(resources=resources, to=to, **options)
    if plan.deletions is not None:
        raise RequestRefused(
            "an export on Dask does not look for deletions: that is one reading, which no cluster makes faster. "
            "Nothing was sent. Export without a cluster to look for them."
        )
    for name in plan.resources if plan.incremental else ():
        if "changed_since" in method_facts(name, "list"):
            raise RequestRefused(
                f"{name} is not exported incrementally on Dask: its changes are one reading in any case. Nothing was "
                "sent. Export it without a cluster."
            )
    return plan


@contextlib.asynccontextmanager
async def _connected(cluster: str | distributed.Client) -> AsyncIterator[distributed.Client]:
    if not isinstance(cluster, str):
        yield cluster
        return
    try:
        client = await _connect(cluster, asynchronous=True, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise SettingsError(f"no Dask scheduler answers at {cluster}: {error}. Nothing was sent.") from error
    try:
        yield client
    finally:
        with anyio.CancelScope(shield=True):
            await client.close()


@attrs.frozen
class _Submitter:
    """Submits work to the cluster, and cancels it when its result is no longer awaited."""

    client: distributed.Client
    access: Access
    on_done: OnDone | None
    _run: str = attrs.field(factory=lambda: uuid.uuid4().hex[:8], init=False)

    async def read(self, partition: Partition) -> PartitionDone:
        done = await self._ask(read_partition, partition, self.access)
        if self.on_done is not None:
            self.on_done(partition, done)
        return done

    async def owner(self, partition: Partition) -> tuple[str | None, str]:
        return await self._ask(owner_of, partition, self.access)

    async def divide(self, partition: Partition, *, least_rows: int, most: int) -> PartitionPlan | None:
        return await self._ask(plan_partition, partition, self.access, least_rows=least_rows, most=most)

    async def without_newer(self, partition: Partition, newer: PartitionDone) -> PartitionDone:
        return await self._ask(without_newer, partition, newer)

    async def _ask(self, work: Callable[..., T], partition: Partition, *args: Any, **options: Any) -> T:
        where = hashlib.sha256(str(partition.directory).encode()).hexdigest()[:16]
        # Dask identifies work by its key; another run must not get the result of this one
        key = f"vismanet-{work.__name__}-{where}-{self._run}"
        future: Any = self.client.submit(result_of, work, partition, *args, key=key, **options)
        # in a task of its own: Dask fetches several futures in one task, and cancelling one would cancel the others
        waiting: asyncio.Task[T | Failure] = asyncio.ensure_future(_awaited(future))
        try:
            result = await asyncio.shield(waiting)
        except distributed.KilledWorker as error:
            raise ExportError(
                f"{partition}: every worker that read it died. Nothing was published. Look at their logs and memory, "
                "then start the export again: it goes on where it was."
            ) from error
        except CancelledError as error:  # Dask's own, not that of asyncio
            raise ExportError(
                f"{partition}: the cluster gave it up ({error}). Nothing was published; start it again."
            ) from error
        finally:
            future.release()
            waiting.add_done_callback(_retrieve_error)
            with anyio.move_on_after(_RELEASE_SECONDS, shield=True):
                await asyncio.wait([waiting])
        if isinstance(result, Failure):
            raise result.error()
        return result


async def _awaited(future: Awaitable[T]) -> T:
    return await future


def _retrieve_error(waiting: asyncio.Task[Any]) -> None:
    """Retrieve an error, so that asyncio does not warn: it was raised already, or nobody awaits it."""
    if not waiting.cancelled():
        waiting.exception()


@attrs.define
class _Run:
    """The export of one company."""

    plan: ExportPlan
    company: Company | None
    submitter: _Submitter
    range_rows: int = attrs.field(kw_only=True)
    most_ranges: int = attrs.field(kw_only=True)
    _work: Path = attrs.field(init=False)
    """Of the coordinator alone."""
    _shared: Location = attrs.field(init=False)
    """Where the partitions are."""
    _begun_at: datetime = attrs.field(init=False)
    _owner: tuple[str | None, str] = attrs.field(init=False)
    """The company, None if it is not known, and its server."""
    _starts: dict[str, StartPoint] = attrs.field(factory=dict, init=False)

    async def run(self) -> Manifest:
        target = await to_thread.run_sync(self._open_target)
        published = False
        try:
            await to_thread.run_sync(target.recover)
            self._owner = await self.submitter.owner(
                Partition(
                    directory=self.plan.location,
                    company=self.company,
                    resource=next(iter(self.plan.resources)),
                    plan=self.plan,
                )
            )
            await to_thread.run_sync(self._prepare, target)
            lists: dict[str, ReadList] = {}

            async def read(name: str) -> None:
                lists[name] = await self._read(name)

            with unwrap_group():
                async with anyio.create_task_group() as tasks:
                    for name in self.plan.resources:
                        tasks.start_soon(read, name)
            manifest = await to_thread.run_sync(self._publish, target, lists)
            published = True
        finally:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(lambda: target.close(keep_work=not published))
        return manifest

    def _open_target(self) -> Target | RemoteTarget:
        location, resources = self.plan.location, tuple(self.plan.resources)
        if isinstance(location, RemotePath):
            return RemoteTarget.open(location, resources, spool=self.plan.spool)
        return Target.open(location, resources)

    def _prepare(self, target: Target | RemoteTarget) -> None:
        """Resume from what an earlier run of the same plan left, or begin anew. Blocks."""
        self._find_starts(target)
        work, location = target.work, self.plan.location
        self._work = work / "dask"
        path = self._work / "plan.json"
        company, base_url = self._owner
        # what was read before another export was published is older than its rows
        fingerprint = f"{self.plan.fingerprint(company=company, base_url=base_url)} {target.upon}"
        now = datetime.now(UTC)
        run = uuid.uuid4().hex[:12]
        with contextlib.suppress(FileNotFoundError, msgspec.MsgspecError):
            known, begun, earlier = msgspec.json.decode(path.read_bytes(), type=tuple[str, datetime, str])
            # without a known company an earlier run may have been of another one
            if self.plan.resume and company is not None and known == fingerprint and not is_old(begun, now):
                self._begun_at = begun
                self._shared = location / _SHARED / earlier if isinstance(location, RemotePath) else self._work
                return
        if isinstance(location, RemotePath):
            (location / _SHARED).remove_folder()
        with writing(work):
            shutil.rmtree(work, ignore_errors=True)
            self._work.mkdir(parents=True)
            write_atomically(path, msgspec.json.encode((fingerprint, now, run)))
        self._begun_at = now
        self._shared = location / _SHARED / run if isinstance(location, RemotePath) else self._work

    def _find_starts(self, target: Target | RemoteTarget) -> None:
        """Find the published entries that an incremental run adds to. Blocks."""
        plan, before = self.plan, target.published()
        if before is None:
            return
        if plan.incremental or before.resources.keys() - plan.resources.keys():
            company, base_url = self._owner
            require_same_source(before, where=plan.to, company=company, base_url=base_url, adds=plan.incremental)
        for name in plan.resources if plan.incremental else ():
            entry = before.resources.get(name)
            if entry is not None and (entry.keys is not None or entry.tombstones):
                raise RequestRefused(
                    f"{plan.to} holds {name} with its deletions, which an export on Dask does not keep up. Nothing was "
                    "sent. Go on without a cluster, or export to another place."
                )
            like = {
                "format": plan.format,
                "format_options": plan.options_for_readers,
                "filters": plan.filter_texts(name),
            }
            columns = columns_written(plan.format, method_facts(name, "list")["id"])
            now = datetime.now(UTC)
            start = start_of(entry, name, like, overlap=plan.overlap, now=now, columns=columns)
            if start.before is not None:
                start = attrs.evolve(start, known=known_rows(plan.location, start.before))
            self._starts[name] = start

    async def _read(self, name: str) -> ReadList:
        """Return a list that the cluster has read, in ranges if that is worth it."""
        whole = Partition(directory=self._shared / name, company=self.company, resource=name, plan=self.plan)
        start = self._starts.get(name, StartPoint())
        if start.since is not None:
            changed = changed_since(name, {}, start.since)
            done = await self.submitter.read(attrs.evolve(whole, range=changed, known=start.known))
            return ReadList([done], [done.completeness], None)
        partition_plan = await self._partition_plan(whole)
        if partition_plan is None:
            done = await self.submitter.read(whole)
            return ReadList([done], [done.completeness], None)
        whole = attrs.evolve(whole, divided=True, edge=partition_plan.edge)
        ranges = [
            attrs.evolve(whole, directory=self._shared / f"{name}-{number}", range=each)
            for number, each in enumerate(partition_plan.ranges)
        ]
        read = await _all(self.submitter.read, ranges)
        # after all ranges: it has the rows that moved between them
        rest = await self.submitter.read(
            attrs.evolve(whole, directory=self._shared / f"{name}-rest", range=partition_plan.rest)
        )
        final = await _all(lambda partition: self.submitter.without_newer(partition, rest), ranges)
        return ReadList([*final, rest], [done.completeness for done in (*read, rest)], partition_plan)

    async def _partition_plan(self, whole: Partition) -> PartitionPlan | None:
        """Return the partition plan of an earlier run, or a new one; None for a list that is not divided."""
        path = self._work / f"{whole.resource}-division.json"
        if path.exists():
            known = msgspec.json.decode(await anyio.Path(path).read_bytes(), type=StoredPlan | None)
            return None if known is None else known.meant()
        partition_plan = await self.submitter.divide(whole, least_rows=self.range_rows, most=self.most_ranges)
        with writing(path):
            content = msgspec.json.encode(None if partition_plan is None else StoredPlan.of(partition_plan))
            await to_thread.run_sync(write_atomically, path, content)
        return partition_plan

    def _publish(self, target: Target | RemoteTarget, lists: dict[str, ReadList]) -> Manifest:
        """Publish the parts of all partitions under their final names, and return the manifest. Blocks."""
        before = target.published()
        others = {(one.company, one.base_url) for read in lists.values() for one in read.partitions} - {self._owner}
        if others:
            raise ExportError(
                f"{self.plan.to}: one worker signs in to {_named(self._owner)}, another to "
                f"{', '.join(sorted(map(_named, others)))}. Nothing was published. Give all workers the same settings, "
                "or pass them with access=Access(settings=...), and start it again with resume=False (--restart)."
            )
        staging = target.work / "1"
        now = datetime.now(UTC)
        entries = {}
        with writing(staging):
            shutil.rmtree(staging, ignore_errors=True)
            for name in self.plan.resources:
                (staging / name).mkdir(parents=True)
                start, read = self._starts.get(name, StartPoint()), lists[name]
                parts = collect_parts(read.partitions, staging / name, plan=self.plan, first=start.first_part)
                overlap = None
                if self.plan.incremental:
                    overlap = read.overlap(self.plan, staging / OVERLAP_NAME / f"{name}-{start.runs:05}.bin")
                times = (self._begun_at, now)
                entries[name] = read.entry(self.plan, name, parts, times=times, start=start, overlap=overlap)
        manifest = Manifest(
            resources={**(before.resources if before else {}), **entries},
            tool=f"vismanet-async {__version__}",
            started_at=self._begun_at,
            finished_at=now,
            company=self._owner[0],
            base_url=self._owner[1],
        )
        published = target.publish(manifest, staging)
        if isinstance(self._shared, RemotePath):
            self._shared.with_name("").remove_folder()
        return published


def _named(owner: tuple[str | None, str]) -> str:
    return f"the company {owner[0] or 'unknown'} of {owner[1]}"


async def _all(work: Callable[[Partition], Any], partitions: Sequence[Partition]) -> list[PartitionDone]:
    """Return the results of work on all partitions, done concurrently."""
    results: dict[int, PartitionDone] = {}

    async def one(number: int, partition: Partition) -> None:
        results[number] = await work(partition)

    async with anyio.create_task_group() as tasks:
        for number, partition in enumerate(partitions):
            tasks.start_soon(one, number, partition)
    return [results[number] for number in range(len(partitions))]

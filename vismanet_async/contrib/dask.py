"""An export spread over a Dask cluster: companies, lists and date ranges, published with the same manifest.

Needs the extra `dask`. The process that starts the export, the coordinator, opens the target as any export does and
submits *partitions*: one list of one company, or a date range of it. A worker reads a partition into a directory, which
gets its name when the partition is whole (`_partitions`). When all are there, the coordinator collects the parts and
publishes them, the manifest last. The coordinator needs no sign-in and reads nothing itself.

**A lost worker**: Dask runs the partition again elsewhere. The first attempt that is whole counts, so a worker that was
only believed dead does no harm. **A lost coordinator** leaves the whole partitions behind: the same export goes on from
there within a day.

**Secrets.** Partitions hold none. A worker signs in with its own environment or profile file. Settings that are passed
travel inside the tasks; nothing prints them, but whoever can connect to the scheduler can get them (and can run any
code): use TLS there, or leave them out.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import uuid
from collections import Counter
from concurrent.futures import CancelledError
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio
import attrs
import msgspec
from anyio import to_thread

from vismanet_async._clock import SystemClock
from vismanet_async._conditions import Condition
from vismanet_async._export.batch import CompanyOutcome, ManyOutcome
from vismanet_async._export.companies import companies_of
from vismanet_async._export.files import write_atomically, writing
from vismanet_async._export.incremental import first_run
from vismanet_async._export.plan import ExportPlan
from vismanet_async._export.target.local import Target
from vismanet_async._export.target.locations import join
from vismanet_async._export.target.manifest import Manifest, Part, ResourceEntry
from vismanet_async._export.tasks import unwrap_group
from vismanet_async._paging.keys import stamp_of
from vismanet_async._version import __version__
from vismanet_async.contrib._partition_bounds import PartitionPlan
from vismanet_async.contrib._partitions import (
    Access,
    Failure,
    Partition,
    PartitionDone,
    link_or_copy,
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
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence

    from vismanet_async._export.companies import Company
    from vismanet_async._paging.guarantee import Completeness

    Told = Callable[[Partition, PartitionDone], object]

__all__ = ["Access", "Partition", "PartitionDone", "export_many_on_dask", "export_on_dask"]

T = TypeVar("T")

_RANGE_ROWS: Final = 20_000
"""Some 20 pages: less is not worth the counting."""
_MOST_RANGES: Final = 8
_LONGEST_PAUSE: Final = timedelta(hours=24)
_CONNECT_SECONDS: Final = 15
_LETTING_GO_SECONDS: Final = 5
"""What is no longer waited for ends at once, unless Dask is just fetching it."""
_VERDICTS: Final = ("proven", "counted", "uncertain")
"""Weakest last."""
_connect: Any = distributed.Client  # Dask tells type checkers nothing about it


async def export_on_dask(
    resources: str | Sequence[str] | Mapping[str, Mapping[str, Any]],
    *,
    to: str | os.PathLike[str],
    cluster: str | distributed.Client,
    access: Access | None = None,
    range_rows: int = _RANGE_ROWS,
    most_ranges: int = _MOST_RANGES,
    told: Told | None = None,
    **options: Any,
) -> Manifest:
    """Export lists of the company that the workers' settings name, on a Dask cluster.

    Args:
        resources: names, or names with their filters, as for `VismaNet.export`.
        to: a directory that the coordinator and all workers see under this path.
        cluster: the scheduler's address, or an asynchronous `distributed.Client`.
        access: how workers sign in.
        range_rows: a list is divided where its ranges have at least so many rows each.
        most_ranges: of one list; 1 divides none.
        told: called for each share that is whole.
        options: those of `ExportPlan`.

    Politeness: requests in flight are the cluster's worker threads times `access.concurrency`. Workers learn of an
    exhausted quota each by itself, and pause then.

    Errors: those of an export, `SettingsError` when no scheduler answers. The first one ends the export and takes back
    what was handed out. Nothing is published before all lists are whole; whole shares stay, and the same export goes
    on with them within a day.
    """
    plan = _plan(resources, to, options)
    async with _connected(cluster) as client:
        handing = _Handing(client, access or Access(), told)
        return await _Run(plan, None, handing, range_rows=range_rows, most_ranges=most_ranges).run()


async def export_many_on_dask(
    companies: Iterable[str | Company] | Mapping[str, str],
    resources: str | Sequence[str] | Mapping[str, Mapping[str, Any]],
    *,
    to: str | os.PathLike[str],
    cluster: str | distributed.Client,
    access: Access | None = None,
    range_rows: int = _RANGE_ROWS,
    most_ranges: int = _MOST_RANGES,
    told: Told | None = None,
    **options: Any,
) -> ManyOutcome:
    """Export the same lists of many companies on a Dask cluster, each to a folder of its own below `to`.

    Args:
        companies: tenant ids, names with their tenant ids, or what `read_companies` gives. Variables that a company
            names for its own sign-in are those of the workers.
        resources: as for `export_on_dask`, like all that follow.
        to: the directory above the companies' folders.
        cluster: the scheduler.
        access: how workers sign in.
        range_rows: from which a list is divided.
        most_ranges: of one list.
        told: called for each share that is whole.
        options: those of `ExportPlan`.

    Returns:
        how each company ended; one that failed does not stop the others.
    """
    chosen = companies_of(companies)
    plans = [_plan(resources, join(to, company.name), options) for company in chosen]
    outcomes: dict[str, CompanyOutcome] = {}
    clock = SystemClock()
    async with _connected(cluster) as client:
        handing = _Handing(client, access or Access(), told)

        async def export(company: Company, plan: ExportPlan) -> None:
            began = clock.monotonic()
            manifest, error = None, None
            try:
                manifest = await _Run(plan, company, handing, range_rows=range_rows, most_ranges=most_ranges).run()
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
    if plan.incremental or not isinstance(plan.to, Path):
        raise RequestRefused(
            "an export on Dask writes whole lists to a directory that all workers see: it is neither incremental nor "
            "to an object store yet. Nothing was sent."
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
class _Handing:
    """Hands work out to the cluster, and takes it back when the answer is no longer waited for."""

    client: distributed.Client
    access: Access
    told: Told | None
    _run: str = attrs.field(factory=lambda: uuid.uuid4().hex[:8], init=False)

    async def read(self, partition: Partition) -> PartitionDone:
        done = await self._ask(read_partition, partition, self.access)
        if self.told is not None:
            self.told(partition, done)
        return done

    async def divide(self, partition: Partition, *, least_rows: int, most: int) -> PartitionPlan | None:
        return await self._ask(plan_partition, partition, self.access, least_rows=least_rows, most=most)

    async def without_newer(self, partition: Partition, newer: PartitionDone) -> PartitionDone:
        return await self._ask(without_newer, partition, Path(newer.directory))

    async def _ask(self, work: Callable[..., T], partition: Partition, *args: Any, **options: Any) -> T:
        where = hashlib.sha256(os.fsencode(partition.directory)).hexdigest()[:16]
        # Dask knows it by its key as one piece of work, wherever it runs; another run must not get this one's result
        key = f"vismanet-{work.__name__}-{where}-{self._run}"
        future: Any = self.client.submit(result_of, work, partition, *args, key=key, **options)
        # by itself, since Dask has futures share what fetches them: cancelling one would cancel the others' as well
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
            waiting.add_done_callback(_told)
            with anyio.move_on_after(_LETTING_GO_SECONDS, shield=True):
                await asyncio.wait([waiting])
        if isinstance(result, Failure):
            raise result.error()
        return result


async def _awaited(future: Awaitable[T]) -> T:
    return await future


def _told(waiting: asyncio.Task[Any]) -> None:
    """Take an error as told: it was, or nobody is left to be told."""
    if not waiting.cancelled():
        waiting.exception()


@attrs.define
class _Run:
    """One company's export."""

    plan: ExportPlan
    company: Company | None
    handing: _Handing
    range_rows: int = attrs.field(kw_only=True)
    most_ranges: int = attrs.field(kw_only=True)
    _work: Path = attrs.field(init=False)
    _begun_at: datetime = attrs.field(init=False)

    async def run(self) -> Manifest:
        target = await to_thread.run_sync(Target.open, Path(str(self.plan.to)), tuple(self.plan.resources))
        published = False
        try:
            await to_thread.run_sync(target.recover)
            await to_thread.run_sync(self._prepare, target.work)
            lists: dict[str, _List] = {}

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

    def _prepare(self, work: Path) -> None:
        """Take up what an earlier run of the same plan left, or begin afresh. Blocks."""
        self._work = work / "dask"
        path = self._work / "plan.json"
        tenant_id = None if self.company is None else self.company.tenant_id
        fingerprint, now = self.plan.fingerprint(company=tenant_id), datetime.now(UTC)
        with contextlib.suppress(FileNotFoundError, msgspec.MsgspecError):
            known, begun = msgspec.json.decode(path.read_bytes(), type=tuple[str, datetime])
            if self.plan.resume and known == fingerprint and now - begun < _LONGEST_PAUSE:
                self._begun_at = begun
                return
        with writing(work):
            shutil.rmtree(work, ignore_errors=True)
            self._work.mkdir(parents=True)
            write_atomically(path, msgspec.json.encode((fingerprint, now)))
        self._begun_at = now

    async def _read(self, name: str) -> _List:
        """Have one list read by the cluster, in ranges where that is worth it."""
        whole = Partition(directory=self._work / name, company=self.company, resource=name, plan=self.plan)
        partition_plan = await self._partition_plan(whole)
        if partition_plan is None:
            done = await self.handing.read(whole)
            return _List([done], [done.completeness], None)
        ranges = [
            attrs.evolve(whole, directory=self._work / f"{name}-{number}", range=each, divided=True)
            for number, each in enumerate(partition_plan.ranges)
        ]
        read = await _all(self.handing.read, ranges)
        # not before all ranges have been read: it is what catches the rows that moved between them
        rest = await self.handing.read(
            attrs.evolve(whole, directory=self._work / f"{name}-rest", range=partition_plan.rest, divided=True)
        )
        final = await _all(lambda partition: self.handing.without_newer(partition, rest), ranges)
        return _List([*final, rest], [done.completeness for done in (*read, rest)], partition_plan)

    async def _partition_plan(self, whole: Partition) -> PartitionPlan | None:
        """Divide a list as an earlier run did, or anew."""
        path = whole.directory.with_name(f"{whole.resource}-division.json")
        if path.exists():
            known = msgspec.json.decode(await anyio.Path(path).read_bytes(), type=_StoredPlan | None)
            return None if known is None else known.meant()
        partition_plan = await self.handing.divide(whole, least_rows=self.range_rows, most=self.most_ranges)
        with writing(path):
            content = msgspec.json.encode(None if partition_plan is None else _StoredPlan.of(partition_plan))
            await to_thread.run_sync(write_atomically, path, content)
        return partition_plan

    def _publish(self, target: Target, lists: dict[str, _List]) -> Manifest:
        """Put the shares' parts together under their final names, and publish them. Blocks."""
        staging = target.work / "1"
        now = datetime.now(UTC)
        entries = {}
        with writing(staging):
            shutil.rmtree(staging, ignore_errors=True)
            for name in self.plan.resources:
                (staging / name).mkdir(parents=True)
                entries[name] = lists[name].entry(
                    self.plan, name, _put_together(lists[name].partitions, staging / name), times=(self._begun_at, now)
                )
        before = target.published()
        any_partition = next(iter(lists.values())).partitions[0]
        manifest = Manifest(
            resources={**(before.resources if before else {}), **entries},
            tool=f"vismanet-async {__version__}",
            started_at=self._begun_at,
            finished_at=now,
            company=any_partition.company,
            base_url=any_partition.base_url,
        )
        target.publish(manifest, staging)
        return manifest


@attrs.frozen
class _List:
    """One list, all shares of it whole."""

    partitions: list[PartitionDone]
    reports: list[Completeness]
    partition_plan: PartitionPlan | None

    def entry(
        self, plan: ExportPlan, name: str, parts: tuple[Part, ...], *, times: tuple[datetime, datetime]
    ) -> ResourceEntry:
        """Say what is published of it."""
        reports, partition_plan = self.reports, self.partition_plan
        weakest = max(reports, key=lambda report: _VERDICTS.index(report.verdict))
        rows = sum(part.rows for part in parts)
        window, reason, unique = weakest.window, weakest.reason, weakest.unique
        if partition_plan is not None:
            (boundary,) = (condition.value for condition in partition_plan.rest.values())
            window, unique = str(boundary), rows
            counts = Counter(report.verdict for report in reports)
            told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in _VERDICTS if counts[verdict])
            reason = (
                f"read in {len(partition_plan.ranges)} date ranges, counted to hold every row that was unchanged since "
                f"the window, and afterwards what was changed since ({told}); {weakest.reason}"
            )
        entry = ResourceEntry(
            rows=rows,
            unique=unique,
            verdict=weakest.verdict,
            reason=reason,
            total_first=_sum(report.total_first for report in reports),
            total_last=_sum(report.total_last for report in reports),
            requests=sum(report.requests for report in reports) + (partition_plan.requests if partition_plan else 0),
            parts=parts,
            format=plan.format,
            format_options=plan.options_for_readers,
            filters=plan.filter_texts(name),
            window=window,
            watermark=max((report.watermark for report in reports if report.watermark), key=stamp_of, default=None),
            started_at=times[0],
            finished_at=times[1],
        )
        return first_run(entry)


@attrs.frozen
class _StoredPlan:
    """A division as it is written down."""

    ranges: list[dict[str, tuple[str, str]]]
    rest: dict[str, tuple[str, str]]
    requests: int

    @classmethod
    def of(cls, partition_plan: PartitionPlan) -> _StoredPlan:
        def words(filters: Mapping[str, Condition[str]]) -> dict[str, tuple[str, str]]:
            return {name: (one.operator, one.value) for name, one in filters.items()}

        return cls([words(each) for each in partition_plan.ranges], words(partition_plan.rest), partition_plan.requests)

    def meant(self) -> PartitionPlan:
        def conditions(words: Mapping[str, tuple[Any, str]]) -> dict[str, Condition[str]]:
            return {name: Condition(operator, value) for name, (operator, value) in words.items()}

        return PartitionPlan(tuple(conditions(each) for each in self.ranges), conditions(self.rest), self.requests)


def _put_together(partitions: Iterable[PartitionDone], staging: Path) -> tuple[Part, ...]:
    """Number the parts of all shares through; empty ones are left out if there are others."""
    found = [(Path(done.directory, part.file), part) for done in partitions for part in done.parts]
    found = [(path, part) for path, part in found if part.rows] or found[:1]
    parts = []
    for number, (path, part) in enumerate(found):
        name = f"part-{number:05}{''.join(path.suffixes)}"
        link_or_copy(path, staging / name)
        parts.append(attrs.evolve(part, file=f"{staging.name}/{name}"))
    return tuple(parts)


async def _all(work: Callable[[Partition], Any], partitions: Sequence[Partition]) -> list[PartitionDone]:
    """Do something for all shares at once; results in their order."""
    results: dict[int, PartitionDone] = {}

    async def one(number: int, partition: Partition) -> None:
        results[number] = await work(partition)

    async with anyio.create_task_group() as tasks:
        for number, partition in enumerate(partitions):
            tasks.start_soon(one, number, partition)
    return [results[number] for number in range(len(partitions))]


def _sum(totals: Iterable[int | None]) -> int | None:
    known = list(totals)
    return None if None in known else sum(total for total in known if total is not None)

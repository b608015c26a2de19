"""An export spread over a Dask cluster: companies, lists and date ranges, published with the same manifest.

Needs the extra `dask`. Whoever starts it, the coordinator, takes the target as any export does, and hands out *shares*:
one list of one company, or a date range of it. A worker reads its share into a directory of its own and gives it its
name when it is whole (`shares`). When all are there, the coordinator puts the parts together and publishes them, the
manifest last. The coordinator needs no sign-in and reads nothing itself.

**A lost worker** is Dask's own matter: it runs the share again elsewhere. The first attempt that is whole counts, so a
worker that was only believed dead does no harm. **A lost coordinator** leaves the whole shares behind: the same export
goes on from there within a day.

**Secrets.** Shares hold none. A worker signs in with its own environment or profile file. Settings that are given
travel inside the tasks; nothing prints them, but who can connect to the scheduler can get them (and can run any code):
use TLS there, or leave them out.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio
import attrs
import msgspec
from anyio import to_thread

from vismanet_async.conditions import Condition
from vismanet_async.contrib.ranges import Division
from vismanet_async.contrib.shares import Access, Share, ShareDone, divide_share, place, read_share, without_newer
from vismanet_async.errors import ExportError, RequestRefused, SettingsError
from vismanet_async.export.files import write_atomically, writing
from vismanet_async.export.manifest import Manifest, Part, ResourceEntry
from vismanet_async.export.places import RemotePath
from vismanet_async.export.plan import ExportPlan
from vismanet_async.export.run import one_error
from vismanet_async.export.target import Target
from vismanet_async.paging.keys import stamp_of
from vismanet_async.version import __version__

try:
    import distributed
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        "Dask is not installed. Install it with: python -m pip install 'vismanet-async[dask]'", name="distributed"
    ) from missing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence

    from vismanet_async.paging.completeness import Completeness

__all__ = ["Access", "Share", "ShareDone", "export_on_dask"]

T = TypeVar("T")

_RANGE_ROWS: Final = 20_000
"""Some 20 pages: less is not worth the counting."""
_MOST_RANGES: Final = 8
_LONGEST_PAUSE: Final = timedelta(hours=24)
_CONNECT_SECONDS: Final = 15
_VERDICTS: Final = ("proven", "counted", "uncertain")
"""Weakest last."""
_connect: Any = distributed.Client  # Dask tells type checkers nothing about it
_FOLDER: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


async def export_on_dask(
    resources: str | Sequence[str] | Mapping[str, Mapping[str, Any]],
    *,
    to: str | os.PathLike[str],
    cluster: str | distributed.Client,
    companies: Sequence[str] | Mapping[str, str] | None = None,
    access: Access | None = None,
    range_rows: int = _RANGE_ROWS,
    most_ranges: int = _MOST_RANGES,
    told: Callable[[Share, ShareDone], object] | None = None,
    **options: Any,
) -> dict[str | None, Manifest]:
    """Export lists on a Dask cluster.

    Args:
        resources: names, or names with their filters, as for `VismaNet.export`.
        to: a directory that the coordinator and all workers see under this path.
        cluster: the scheduler's address, or an asynchronous `distributed.Client`.
        companies: tenant ids, or folder names with their tenant ids; each is written to its folder below `to`. None:
            the one company that the workers' settings name, written to `to` itself.
        access: how workers sign in.
        range_rows: a list is divided where its ranges have at least so many rows each.
        most_ranges: of one list; 1 divides none.
        told: called for each share that is whole.
        options: those of `ExportPlan`.

    Returns:
        the manifests by the companies' folders; by None where no companies were given.

    Politeness: requests in flight are the cluster's worker threads times `access.concurrency`. Workers learn of an
    exhausted quota each by itself, and pause then.

    Errors: those of an export, `SettingsError` when no scheduler answers. The first one ends the export and takes back
    what was handed out. A company is published when all of its lists are whole; whole shares of the others stay, and
    the same export goes on with them within a day.
    """
    targets = _targets(companies, Path(os.fspath(to)))
    plans = {name: ExportPlan(resources=resources, to=path, **options) for name, (_, path) in targets.items()}
    for plan in plans.values():
        if plan.incremental or isinstance(plan.place, RemotePath):
            raise RequestRefused(
                "an export on Dask writes whole lists to a directory that all workers see: it is neither incremental "
                "nor to an object store yet. Nothing was sent."
            )
    manifests: dict[str | None, Manifest] = {}
    async with _connected(cluster) as client:

        async def export(name: str | None, company: str | None) -> None:
            handing = _Handing(client, access or Access(), told)
            run = _Run(plans[name], company, handing, range_rows=range_rows, most_ranges=most_ranges)
            manifests[name] = await run.run()

        with one_error():
            async with anyio.create_task_group() as tasks:
                for name, (company, _) in targets.items():
                    tasks.start_soon(export, name, company)
    return {name: manifests[name] for name in targets}


def _targets(
    companies: Sequence[str] | Mapping[str, str] | None, to: Path
) -> dict[str | None, tuple[str | None, Path]]:
    if companies is None:
        return {None: (None, to)}
    named = companies if isinstance(companies, Mapping) else {tenant: tenant for tenant in companies}
    if not named:
        raise RequestRefused("there is no company to export; nothing was sent. Name at least one.")
    for name in named:
        if not _FOLDER.fullmatch(name):
            raise RequestRefused(f"{name!r} cannot be the name of a company's folder; nothing was sent.")
    return {name: (tenant, to / name) for name, tenant in named.items()}


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
    told: Callable[[Share, ShareDone], object] | None

    async def read(self, share: Share) -> ShareDone:
        done = await self._ask(read_share, share, self.access)
        if self.told is not None:
            self.told(share, done)
        return done

    async def divide(self, share: Share, *, least_rows: int, most: int) -> Division | None:
        return await self._ask(divide_share, share, self.access, least_rows=least_rows, most=most)

    async def without_newer(self, share: Share, newer: ShareDone) -> ShareDone:
        return await self._ask(without_newer, share, Path(newer.directory))

    async def _ask(self, work: Callable[..., T], share: Share, *args: Any, **options: Any) -> T:
        # the same share always has the same key: Dask knows it as one piece of work, wherever it runs
        place = hashlib.sha256(os.fsencode(share.directory)).hexdigest()[:16]
        future: Any = self.client.submit(work, share, *args, key=f"vismanet-{work.__name__}-{place}", **options)
        try:
            result: T = await future
        except distributed.KilledWorker as error:
            raise ExportError(
                f"{share}: every worker that read it died. Nothing was published. Look at their logs and memory, "
                "then start the export again: it goes on where it was."
            ) from error
        finally:
            future.release()
        return result


@attrs.define
class _Run:
    """One company's export."""

    plan: ExportPlan
    company: str | None
    handing: _Handing
    range_rows: int = attrs.field(kw_only=True)
    most_ranges: int = attrs.field(kw_only=True)
    _work: Path = attrs.field(init=False)
    _begun_at: datetime = attrs.field(init=False)

    async def run(self) -> Manifest:
        assert isinstance(self.plan.to, Path)
        target = await to_thread.run_sync(Target.open, self.plan.to, tuple(self.plan.resources))
        published = False
        try:
            await to_thread.run_sync(target.recover)
            await to_thread.run_sync(self._prepare, target.work)
            lists: dict[str, _List] = {}

            async def read(name: str) -> None:
                lists[name] = await self._read(name)

            with one_error():
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
        fingerprint, now = self.plan.fingerprint(company=self.company), datetime.now(UTC)
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
        whole = Share(directory=self._work / name, company=self.company, resource=name, plan=self.plan)
        division = await self._division(whole)
        if division is None:
            done = await self.handing.read(whole)
            return _List([done], [done.completeness], None)
        ranges = [
            attrs.evolve(whole, directory=self._work / f"{name}-{number}", range=each, divided=True)
            for number, each in enumerate(division.ranges)
        ]
        read = await _all(self.handing.read, ranges)
        # not before all ranges have been read: it is what catches the rows that moved between them
        rest = await self.handing.read(
            attrs.evolve(whole, directory=self._work / f"{name}-rest", range=division.rest, divided=True)
        )
        final = await _all(lambda share: self.handing.without_newer(share, rest), ranges)
        return _List([*final, rest], [done.completeness for done in (*read, rest)], division)

    async def _division(self, whole: Share) -> Division | None:
        """Divide a list as an earlier run did, or anew."""
        path = whole.directory.with_name(f"{whole.resource}-division.json")
        if path.exists():
            known = msgspec.json.decode(await anyio.Path(path).read_bytes(), type=_Division | None)
            return None if known is None else known.meant()
        division = await self.handing.divide(whole, least_rows=self.range_rows, most=self.most_ranges)
        with writing(path):
            content = msgspec.json.encode(None if division is None else _Division.of(division))
            await to_thread.run_sync(write_atomically, path, content)
        return division

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
                    self.plan, name, _put_together(lists[name].shares, staging / name), times=(self._begun_at, now)
                )
        before = target.published()
        any_share = next(iter(lists.values())).shares[0]
        manifest = Manifest(
            resources={**(before.resources if before else {}), **entries},
            tool=f"vismanet-async {__version__}",
            started_at=self._begun_at,
            finished_at=now,
            company=any_share.company,
            base_url=any_share.base_url,
        )
        target.publish(manifest, staging)
        return manifest


@attrs.frozen
class _List:
    """One list, all shares of it whole."""

    shares: list[ShareDone]
    reports: list[Completeness]
    division: Division | None

    def entry(
        self, plan: ExportPlan, name: str, parts: tuple[Part, ...], *, times: tuple[datetime, datetime]
    ) -> ResourceEntry:
        """Say what is published of it."""
        reports, division = self.reports, self.division
        weakest = max(reports, key=lambda report: _VERDICTS.index(report.verdict))
        rows = sum(part.rows for part in parts)
        window, reason, unique = weakest.window, weakest.reason, weakest.unique
        if division is not None:
            (boundary,) = (condition.value for condition in division.rest.values())
            window, unique = str(boundary), rows
            counts = Counter(report.verdict for report in reports)
            told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in _VERDICTS if counts[verdict])
            reason = (
                f"read in {len(division.ranges)} date ranges, counted to hold every row that was unchanged since the "
                f"window, and afterwards what was changed since ({told}); {weakest.reason}"
            )
        return ResourceEntry(
            rows=rows,
            unique=unique,
            verdict=weakest.verdict,
            reason=reason,
            total_first=_sum(report.total_first for report in reports),
            total_last=_sum(report.total_last for report in reports),
            requests=sum(report.requests for report in reports) + (division.requests if division else 0),
            parts=parts,
            format=plan.format,
            format_options=plan.format_options,
            filters=plan.filter_texts(name),
            window=window,
            watermark=max((report.watermark for report in reports if report.watermark), key=stamp_of, default=None),
            started_at=times[0],
            finished_at=times[1],
        )


@attrs.frozen
class _Division:
    """A division as it is written down."""

    ranges: list[dict[str, tuple[str, str]]]
    rest: dict[str, tuple[str, str]]
    requests: int

    @classmethod
    def of(cls, division: Division) -> _Division:
        def words(filters: Mapping[str, Condition[str]]) -> dict[str, tuple[str, str]]:
            return {name: (one.operator, one.value) for name, one in filters.items()}

        return cls([words(each) for each in division.ranges], words(division.rest), division.requests)

    def meant(self) -> Division:
        def conditions(words: Mapping[str, tuple[Any, str]]) -> dict[str, Condition[str]]:
            return {name: Condition(operator, value) for name, (operator, value) in words.items()}

        return Division(tuple(conditions(each) for each in self.ranges), conditions(self.rest), self.requests)


def _put_together(shares: Iterable[ShareDone], staging: Path) -> tuple[Part, ...]:
    """Number the parts of all shares through; empty ones are left out if there are others."""
    found = [(Path(done.directory, part.file), part) for done in shares for part in done.parts]
    found = [(path, part) for path, part in found if part.rows] or found[:1]
    parts = []
    for number, (path, part) in enumerate(found):
        name = f"part-{number:05}{''.join(path.suffixes)}"
        place(path, staging / name)
        parts.append(attrs.evolve(part, file=f"{staging.name}/{name}"))
    return tuple(parts)


async def _all(work: Callable[[Share], Any], shares: Sequence[Share]) -> list[ShareDone]:
    """Do something for all shares at once; results in their order."""
    results: dict[int, ShareDone] = {}

    async def one(number: int, share: Share) -> None:
        results[number] = await work(share)

    async with anyio.create_task_group() as tasks:
        for number, share in enumerate(shares):
            tasks.start_soon(one, number, share)
    return [results[number] for number in range(len(shares))]


def _sum(totals: Iterable[int | None]) -> int | None:
    known = list(totals)
    return None if None in known else sum(total for total in known if total is not None)

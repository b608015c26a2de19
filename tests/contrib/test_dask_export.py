"""Exports on a local Dask cluster of two processes, one of which is killed."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from types import NoneType
from typing import TYPE_CHECKING, Any, cast

import anyio
import anyio.lowlevel
import attrs
import msgspec
import pytest
from anyio import to_thread
from anyio.from_thread import start_blocking_portal
from distributed import Client, LocalCluster
from distributed.client import FutureCancelledError

from tests.export.stores import STORES, Store
from vismanet_async._clock import SystemClock
from vismanet_async._conditions import before
from vismanet_async._export.compact import compact
from vismanet_async._export.plan import ExportPlan
from vismanet_async._export.target.locations import RemotePath, parse_location
from vismanet_async._export.target.manifest import Manifest, validate
from vismanet_async._paging.delivery import Delivery, Replaced
from vismanet_async._paging.guarantee import safe_boundary
from vismanet_async._paging.page_formats import PAGE_NUMBER
from vismanet_async._paging.paginator import Paginator
from vismanet_async._settings import Settings
from vismanet_async.contrib import dask as dask_export
from vismanet_async.contrib._partition_results import ReadList
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
from vismanet_async.contrib.dask import export_many_on_dask, export_on_dask
from vismanet_async.errors import (
    ExportError,
    Forbidden,
    IncompleteListing,
    RequestRefused,
    SettingsError,
    TokenRefused,
)
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Iterator
    from pathlib import Path

    from anyio.from_thread import BlockingPortal

# Dask tells type checkers nothing about these
_client: Any = Client
_cluster: Any = LocalCluster

PAGE_SIZE = 50
OTHER = "22222222-2222-4333-8444-555555555555"


@attrs.frozen
class Company:
    """A simulator in a thread of its own."""

    simulator: Simulator
    portal: BlockingPortal

    @property
    def access(self) -> Access:
        one = self.simulator
        return Access(
            settings=Settings(
                client_id=one.client_id,
                client_secret=one.client_secret,
                tenant_id=one.tenant_id,
                base_url=one.base_url,
                token_url=one.token_url,
            )
        )

    def pages_asked(self) -> int:
        """Requests that read, and do not only count."""
        return sum(one.query.get("pageSize") == str(PAGE_SIZE) for one in self.simulator.requests)

    def others(self, change: str, resource: str, **options: Any) -> Any:
        return self.portal.call(lambda: getattr(self.simulator, change)(resource, **options))

    def truth(self, resource: str, tenant: str | None = None) -> list[str]:
        return sorted(self.simulator.company(tenant).truth(resource).keys)


@pytest.fixture
def company() -> Iterator[Company]:
    rows = {"customer": 1_200, "customer_invoice": 600, "supplier": 60}
    simulator = Simulator(rows=rows, companies=[OTHER])
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(simulator):
        yield Company(simulator, portal)


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with _cluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        dashboard_address="127.0.0.1:0",
        host="127.0.0.1",
    ) as local:
        yield local


def files(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


def exported(root: Path, name: str, identity: tuple[str, ...]) -> list[str]:
    parts = Manifest.read(root).resources[name].parts
    rows = [msgspec.json.decode(line) for part in parts for line in (root / part.file).read_bytes().splitlines()]
    return sorted("/".join(row[field] for field in identity) for row in rows)


async def test_a_killed_worker_loses_nothing(company: Company, cluster: LocalCluster, tmp_path: Path) -> None:
    company.simulator.latency = 0.02
    before_it = {name: set(company.truth(name)) for name in ("customer", "customer_invoice", "supplier")}
    on_done: list[Partition] = []
    killed: list[int] = []

    async def asked(pages: int) -> None:
        while company.pages_asked() < pages:  # noqa: ASYNC110 - another thread counts them
            await anyio.sleep(0.02)

    async def kill_one() -> None:
        await asked(1)  # so one list at least has been divided
        be_busy(company)
        await asked(6)
        worker = cluster.workers[0]
        killed.append(worker.process.pid)
        os.kill(worker.process.pid, signal.SIGKILL)
        be_busy(company)

    async with (
        _client(cluster.scheduler_address, asynchronous=True, set_as_default=False) as client,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(kill_one)
        manifest = await export_on_dask(
            ["customer", "customer_invoice", "supplier"],
            to=tmp_path,
            cluster=client,
            access=company.access,
            range_rows=100,
            page_size=PAGE_SIZE,
            on_done=lambda partition, _: on_done.append(partition),
        )
        assert killed
    assert validate(tmp_path) == manifest
    for name, entry in manifest.resources.items():
        found = exported(tmp_path, name, company.simulator.truth(name).identity)
        assert len(set(found)) == len(found) == entry.rows  # each once
        assert (before_it[name] & set(company.truth(name))) <= set(found)  # none that stayed is lost
        assert (entry.verdict, entry.reason) == ("proven", entry.reason)
    # which of the other lists could be divided while others wrote, is a matter of luck
    divided = [name for name, entry in manifest.resources.items() if "date ranges" in entry.reason]
    assert divided
    for name in divided:
        assert sum(partition.resource == name for partition in on_done) >= 3
    assert files(tmp_path) == sorted([*before_it, "manifest.json"])  # nothing else stays


def be_busy(company: Company) -> None:
    """Be the other users, who write once: who writes on and on can keep a list from ever being proven."""
    for name in ("customer", "customer_invoice"):
        company.others("touch", name, count=2)
        company.others("remove", name, count=1)
        company.others("add", name, count=1, where="random")


class OneByOne:
    """Stands in for a cluster: does the work here, one piece after the other, each with its turn told."""

    def __init__(self) -> None:
        self._turn = anyio.Lock()

    def submit(self, work: Any, *args: Any, key: str, **options: Any) -> Any:
        return _Piece(self._turn, partial(work, *args, **options))


@attrs.define
class _Piece:
    turn: anyio.Lock
    work: Any

    def __await__(self) -> Any:
        return self._done().__await__()

    async def _done(self) -> Any:
        async with self.turn:
            return await to_thread.run_sync(self.work)

    def release(self) -> None:
        """Nothing is held."""


@pytest.mark.parametrize("output_format", ["jsonl", "parquet"])
async def test_rows_that_move_between_ranges_are_there_once(
    company: Company, tmp_path: Path, output_format: str
) -> None:
    moved: list[str] = []

    def on_done(partition: Partition, done: PartitionDone) -> None:
        """After the first range: one of its rows, and one of a later range, change places."""
        if moved or "created_date_time" not in partition.range:
            return
        cut = partition.range["created_date_time"]
        rows = list(company.simulator.truth("customer").rows())
        below = [row["number"] for row in rows if row["createdDateTime"] < cut.value]
        beyond = [row["number"] for row in rows if row["createdDateTime"] >= cut.value]
        if cut.operator != "<":
            below, beyond = beyond, below  # `below` has been read
        early, late = "2001-01-01T00:00:00", "2026-01-01T00:00:00"
        company.others("touch", "customer", key=below[3], createdDateTime=late if cut.operator == "<" else early)
        company.others("touch", "customer", key=beyond[3], createdDateTime=early if cut.operator == "<" else late)
        company.others("touch", "customer", key=below[5], name="Nytt navn")
        moved.extend([below[3], beyond[3], below[5]])

    manifest = await export_on_dask(
        ["customer"],
        to=tmp_path,
        cluster=OneByOne(),  # type: ignore[arg-type]  # as much of a client as is asked for
        access=company.access,
        range_rows=100,
        page_size=100,
        on_done=on_done,
        format=output_format,
    )
    entry = manifest.resources["customer"]
    assert validate(tmp_path).rows == entry.rows == 1_200
    assert (entry.verdict, entry.unique) == ("proven", 1_200)
    assert len(moved) == 3
    if output_format == "jsonl":
        assert exported(tmp_path, "customer", ("number",)) == company.truth("customer")
        text = b"".join((tmp_path / part.file).read_bytes() for part in entry.parts)
        assert text.count(b"Nytt navn") >= 1


async def test_companies_failures_and_going_on(company: Company, cluster: LocalCluster, tmp_path: Path) -> None:
    simulator = company.simulator
    read: list[str] = []

    async def export(to: str, resources: Any, **options: Any) -> Any:
        async with _client(cluster.scheduler_address, asynchronous=True, set_as_default=False) as client:
            export_them = (
                partial(export_many_on_dask, options.pop("companies")) if "companies" in options else export_on_dask
            )
            return await export_them(
                resources,
                to=tmp_path / to,
                cluster=client,
                access=company.access,
                on_done=lambda partition, _: read.append(str(partition)),
                **options,
            )

    # three companies, a folder each, of which one cannot be signed in to
    tenants = {"fjord": simulator.tenant_id, "berg": OTHER}
    some = await export("both", ["supplier", "branch"], companies={**tenants, "nobody": "no-such-tenant"})
    assert [type(one.error) for one in some.outcomes] == [NoneType, NoneType, TokenRefused]
    for name, tenant in tenants.items():
        assert validate(tmp_path / "both" / name) == some.manifests[name]
        assert some.manifests[name].company == tenant
        found = exported(tmp_path / "both" / name, "supplier", ("number",))
        assert found == company.truth("supplier", tenant)

    # a refused list: nothing is published, what was whole stays, and the next run asks for the rest alone
    company.portal.call(lambda: simulator.faults.add("status", status=403, path="/v1/supplier"))
    read.clear()
    with pytest.raises(Forbidden):
        await export("again", ["branch", "supplier"], range_rows=10**6)
    assert not (tmp_path / "again" / "manifest.json").exists()
    company.portal.call(simulator.faults.clear)
    whole = list(read)
    asked = len(simulator.requests.matching(operation="Branch_GetAllBranches"))
    await export("again", ["branch", "supplier"], range_rows=10**6)
    assert validate(tmp_path / "again").rows == len(company.truth("supplier")) + len(company.truth("branch"))
    if "branch" in whole:
        assert len(simulator.requests.matching(operation="Branch_GetAllBranches")) == asked

    # the same rows in Parquet, in ranges
    await export("parquet", ["customer"], format="parquet", range_rows=100, page_size=100)
    assert validate(tmp_path / "parquet").resources["customer"].rows == len(company.truth("customer"))

    company.portal.call(lambda: simulator.behaviours.set(list_order="unstable"))
    with pytest.raises(IncompleteListing) as raised:
        await export("unstable", ["customer"], page_size=50, range_rows=10**6)
    assert raised.value.completeness.verdict == "uncertain"


@pytest.fixture
def s3() -> Iterator[Store]:
    with STORES["s3"]() as store:
        yield store


async def test_increments_in_a_store_end_as_the_truth(company: Company, s3: Store, tmp_path: Path) -> None:
    to, simulator = f"{s3.bucket()}/out", company.simulator
    options: dict[str, Any] = {
        "to": to, "storage_options": s3.options, "spool": tmp_path / "spool", "incremental": True,
        "cluster": OneByOne(), "access": company.access, "range_rows": 400, "page_size": 400,
    }  # fmt: skip
    done: list[Partition] = []
    location: Any = parse_location(to, s3.options)
    for number in range(2):
        done.clear()
        manifest = await export_on_dask(["customer", "supplier"], **options, on_done=lambda one, _: done.append(one))
        # the second time only what was changed is read
        assert len(done) == (2 if number else len(done)) > 1
        assert validate(location) == manifest
        latest = compact(location, to=str(tmp_path / f"latest{number}"))
        for name in ("customer", "supplier"):
            runs = manifest.resources[name].runs
            assert len(runs) == number + 1
            assert runs[-1].verdict == "proven"
            assert number == 0 or 0 < runs[-1].rows < 10  # what the overlap brings again is left out
            parts = [tmp_path / f"latest{number}" / part.file for part in latest.resources[name].parts]
            rows = [msgspec.json.decode(line) for part in parts for line in part.read_bytes().splitlines()]
            truth = {row["number"]: row["lastModifiedDateTime"] for row in simulator.truth(name).rows()}
            assert {row["number"]: row["lastModifiedDateTime"] for row in rows} == truth
            company.others("touch", name, count=3)
            company.others("add", name, count=2, where="random")
    found = s3.filesystem().find(to, withdirs=False)
    assert not [path for path in found if ".export-dask" in path]

    manifest = await to_thread.run_sync(partial(Manifest.read, location))
    company.portal.call(lambda: simulator.faults.add("status", status=403, path="/v1/supplier"))
    with pytest.raises(Forbidden):
        await export_on_dask(["customer", "supplier"], **options)
    assert Manifest.read(location) == manifest  # as it stood
    company.portal.call(simulator.faults.clear)
    assert company.access.settings is not None
    other = Access(settings=attrs.evolve(company.access.settings, tenant_id=OTHER))
    with pytest.raises(RequestRefused, match="nothing was sent"):
        await export_on_dask(["customer", "supplier"], **(options | {"access": other, "resume": False}))
    assert Manifest.read(location) == manifest


def test_the_first_whole_attempt_counts_in_a_store(company: Company, s3: Store, tmp_path: Path) -> None:
    plan = ExportPlan(resources=["supplier"], to=f"{s3.bucket()}/out", storage_options=s3.options)
    assert isinstance(plan.location, RemotePath)
    partition = Partition(directory=plan.location / "share", company=None, resource="supplier", plan=plan)
    partition = pickle.loads(pickle.dumps(partition))  # as a worker gets it
    first = read_partition(partition, company.access)
    assert read_partition(partition, company.access) == first
    looked: list[bool] = []

    class Late(Partition):
        def done(self) -> PartitionDone | None:
            looked.append(True)
            return super().done() if len(looked) > 1 else None

    assert read_partition(Late(**attrs.asdict(partition, recurse=False)), company.access) == first
    found = s3.filesystem().find(str(partition.directory))
    assert len(found) == 1 + len(first.parts)  # the later attempt has removed what it uploaded


class SharedClient:
    """As Dask's client fetches results: all that are asked for at a time with one future of asyncio."""

    def __init__(self) -> None:
        self.fetching: asyncio.Future[PartitionDone] = asyncio.get_running_loop().create_future()
        self.released = 0

    def submit(self, *_: object, **__: object) -> SharedClient:
        return self

    def __await__(self) -> Generator[Any, None, PartitionDone]:
        return self.fetching.__await__()

    def release(self) -> None:
        self.released += 1


async def test_one_that_is_no_longer_waited_for_takes_no_other_with_it(tmp_path: Path) -> None:
    client = SharedClient()
    submitter = dask_export._Submitter(cast("Any", client), Access(settings=Settings()), None)
    plan = ExportPlan(resources=["supplier"], to=tmp_path)
    partition = Partition(directory=tmp_path, company=None, resource="supplier", plan=plan)
    done: list[PartitionDone] = []
    rows = cast("PartitionDone", object())

    async def ask(scope: anyio.CancelScope) -> None:
        with scope:
            done.append(await submitter.read(partition))

    given_up = anyio.CancelScope()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, given_up)
        tasks.start_soon(ask, anyio.CancelScope())
        await anyio.wait_all_tasks_blocked()
        given_up.cancel()
        await anyio.wait_all_tasks_blocked()
        client.fetching.set_result(rows)
    assert done == [rows]
    assert client.released == 2


async def test_what_the_cluster_gave_up_is_told(tmp_path: Path) -> None:
    client = SharedClient()
    client.fetching.set_exception(FutureCancelledError("key", "scheduler-restart"))
    submitter = dask_export._Submitter(cast("Any", client), Access(settings=Settings()), None)
    plan = ExportPlan(resources=["supplier"], to=tmp_path)
    partition = Partition(directory=tmp_path, company=None, resource="supplier", plan=plan)
    with pytest.raises(ExportError, match=r"gave it up .*scheduler-restart.* start it again"):
        await submitter.read(partition)
    assert client.released == 1


def test_the_first_whole_attempt_counts(company: Company, tmp_path: Path) -> None:
    """A worker that was only believed dead finishes after the one that took its place."""
    plan = ExportPlan(resources=["supplier"], to=tmp_path)
    partition = Partition(directory=tmp_path / "share", company=None, resource="supplier", plan=plan)
    first = read_partition(partition, company.access)
    asked = company.simulator.requests.total
    assert read_partition(partition, company.access) == first
    assert company.simulator.requests.total == asked  # it is there: nothing is read
    # the other attempt began before: it does not look again before its end
    late = attrs.evolve(partition, directory=tmp_path / "late")
    read_partition(late, company.access)
    content = (tmp_path / "late" / "share.json").read_bytes()

    class Late(Partition):
        looked = False

        def done(self) -> PartitionDone | None:
            looked, Late.looked = Late.looked, True
            return super().done() if looked else None

    assert read_partition(Late(**attrs.asdict(late, recurse=False)), company.access).rows == first.rows
    assert (tmp_path / "late" / "share.json").read_bytes() == content
    assert sorted(path.name for path in tmp_path.iterdir()) == ["late", "share"]


def test_what_columns_could_not_hold_is_counted(company: Company, tmp_path: Path) -> None:
    company.others("touch", "customer", count=2, creditLimit=Decimal("0.00001"))
    plan = ExportPlan(resources=["customer"], to=tmp_path, format="parquet")
    partition = Partition(directory=tmp_path / "share", company=None, resource="customer", plan=plan)
    done = read_partition(partition, company.access)
    assert done.unfit == {"creditLimit": 2}
    read = ReadList([done, attrs.evolve(done, directory="elsewhere")], [done.completeness], None)
    entry = read.entry(plan, "customer", done.parts, times=(2 * (datetime(2025, 5, 25, tzinfo=UTC),)))
    assert entry.unfit == {"creditLimit": 4}
    assert entry.columns["creditLimit"] == "decimal(18, 4)"


def test_rows_with_newer_versions_elsewhere_are_taken_out(company: Company, tmp_path: Path) -> None:
    plan = ExportPlan(resources=["supplier"], to=tmp_path)
    window = Partition(
        directory=tmp_path / "window",
        company=None,
        resource="supplier",
        plan=plan,
        range={"last_modified_date_time": before("2026-01-01")},
        divided=True,
    )
    read_partition(window, company.access)
    touched = company.others("touch", "supplier", count=3)
    rest = attrs.evolve(window, directory=tmp_path / "rest", range={})
    few = attrs.evolve(
        rest, plan=attrs.evolve(plan, resources={"supplier": {"last_modified_date_time": ">=2026-01-01"}})
    )
    newer = read_partition(few, company.access)
    assert newer.rows == 3
    final = without_newer(window, newer)
    assert final.rows == 57
    assert without_newer(window, newer) == final
    lines = (tmp_path / "window-final" / final.parts[0].file).read_bytes().splitlines()
    assert not {msgspec.json.decode(line)["number"] for line in lines} & set(touched)


def test_rows_are_told_apart_behind_others_that_came_twice(
    company: Company, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parts hold the newer version alone, and whoever takes rows out counts what the parts hold."""

    class Twice:
        operation_id = "Supplier_GetAll"
        completeness = Paginator(style=PAGE_NUMBER).report()

        def __init__(self, pages: list[list[str]]) -> None:
            self.pages = pages

        def with_sender(self, _: object) -> Twice:
            return self

        @asynccontextmanager
        async def raw_pages(self, *, ordered: bool) -> AsyncIterator[AsyncIterator[Delivery]]:
            async def deliveries() -> AsyncIterator[Delivery]:
                for number, page in enumerate(self.pages):
                    rows = [msgspec.Raw(b'{"number":%b}' % row.encode()) for row in page]
                    yield Delivery(number, None, rows, None, (Replaced(0, 0),) if number else ())

            yield deliveries()

    def read(name: str, pages: list[list[str]]) -> tuple[Partition, PartitionDone]:
        monkeypatch.setattr(Partition, "listing", lambda partition, visma: Twice(pages))
        plan = ExportPlan(resources=["supplier"], to=tmp_path)
        partition = Partition(directory=tmp_path / name, company=None, resource="supplier", plan=plan, divided=True)
        return partition, read_partition(partition, company.access)

    window, _ = read("window", [['"1"', '"2"', '"sø"', '"4"', '""'], ['"1"']])
    _, newer = read("rest", [['"s\\u00f8"']])  # another server, which escapes
    final = without_newer(window, newer)
    lines = (tmp_path / "window-final" / final.parts[0].file).read_bytes().splitlines()
    assert [msgspec.json.decode(line)["number"] for line in lines] == ["2", "4", "", "1"]
    _, newer = read("other", [['""']])  # that one, or another
    with pytest.raises(ExportError, match="nothing tells which of them was changed"):
        without_newer(window, newer)


@attrs.define
class Here:
    """A cluster of one worker, in this process."""

    access: Access
    fails: str = ""
    read_: list[str] = attrs.field(factory=list)

    async def owner(self, partition: Partition) -> tuple[str | None, str]:
        return await to_thread.run_sync(owner_of, partition, self.access)

    async def divide(self, partition: Partition, **_: Any) -> None:
        return None

    async def read(self, partition: Partition) -> PartitionDone:
        if partition.resource == self.fails:
            while not self.read_:
                await anyio.lowlevel.checkpoint()
            raise ExportError("stopped")
        there = await to_thread.run_sync(partition.done)
        done = await to_thread.run_sync(read_partition, partition, self.access)
        if there is None:
            self.read_.append(partition.resource)
        return done


async def test_only_the_same_company_goes_on(company: Company, tmp_path: Path) -> None:
    """Two tokens look the same, and so do two companies of which nothing is known."""

    def here(tenant: str, *, known: bool, fails: str = "") -> Here:
        token = company.portal.call(company.simulator.issue_token, tenant)
        url = company.simulator.base_url
        return Here(Access(settings=Settings(token=token, base_url=url, tenant_id=tenant if known else None)), fails)

    async def run(worker: Any, to: str, **options: Any) -> Manifest:
        plan = ExportPlan(resources=["supplier", "branch"], to=tmp_path / to, **options)
        return await dask_export._Run(plan, None, worker, range_rows=10**6, most_ranges=1).run()

    one = company.simulator.tenant_id
    for to, known, other, read in (
        ("same", True, one, ["branch"]), ("other", True, OTHER, ["branch", "supplier"]),
        ("unknown", False, OTHER, ["branch", "supplier"]),
    ):  # fmt: skip
        with pytest.raises(ExportError, match="stopped"):
            await run(here(one, known=known, fails="branch"), to)
        worker = here(other, known=known)
        manifest = await run(worker, to)
        assert sorted(worker.read_) == read
        assert manifest.company == (other if known else None)
    with pytest.raises(RequestRefused, match="an unknown company, and this one is of an unknown one, too"):
        await run(here(one, known=False), "unknown", incremental=True)

    class Two(Here):
        async def owner(self, partition: Partition) -> tuple[str | None, str]:
            return "another", company.simulator.base_url

    with pytest.raises(ExportError, match="one worker signs in to the company another of"):
        await run(Two(here(one, known=True).access), "two")
    assert not (tmp_path / "two" / "manifest.json").exists()


def test_a_clock_that_is_ahead_divides_nothing_ahead_of_the_server(
    company: Company, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = datetime.now(UTC) + timedelta(days=3)
    monkeypatch.setattr(SystemClock, "utc_now", lambda _: ahead)
    plan = ExportPlan(resources=["customer"], to=tmp_path)
    whole = Partition(directory=tmp_path / "share", company=None, resource="customer", plan=plan)
    found = plan_partition(whole, company.access, least_rows=100, most=2)
    assert found is not None
    assert found.edge <= safe_boundary(datetime.now(UTC))
    rest = attrs.evolve(whole, range=found.rest, divided=True, edge=found.edge)
    assert read_partition(rest, company.access).rows == 0
    # the edge of a clock that no answer bounded
    late = attrs.evolve(rest, directory=tmp_path / "late", edge=safe_boundary(ahead))
    with pytest.raises(ExportError, match="a clock of the server is behind"):
        read_partition(late, company.access)
    assert not (tmp_path / "late").exists()


def test_errors_travel_as_they_are() -> None:
    error = Forbidden("Supplier_GetAll", status=403, detail="no scope")
    error.__context__ = error  # as an error may look that several tasks raised
    failed = result_of(_raise, error)
    assert isinstance(failed, Failure)
    there = pickle.loads(pickle.dumps(failed)).error()
    assert (type(there), str(there), there.status) == (Forbidden, str(error), 403)


def _raise(error: Exception) -> None:
    raise error


def test_no_secret_is_shown(company: Company) -> None:
    access = company.access
    assert company.simulator.client_secret not in f"{access!r} {access}"
    assert pickle.loads(pickle.dumps(access)) == access
    assert company.simulator.client_secret.encode() not in pickle.dumps(Access(profile="nightly"))


async def test_what_cannot_work_is_refused_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vismanet_async.contrib.dask._CONNECT_SECONDS", 0.5)
    with pytest.raises(SettingsError, match="no Dask scheduler"):
        await export_on_dask(["customer"], to=tmp_path / "out", cluster="tcp://127.0.0.1:9")
    for companies in ([], ["../x=1"], {"a/b": "t"}):
        with pytest.raises(RequestRefused, match="company"):
            await export_many_on_dask(companies, ["customer"], to=tmp_path / "out", cluster="tcp://127.0.0.1:9")
    options: dict[str, Any] = {"to": tmp_path / "out", "cluster": "tcp://127.0.0.1:9"}
    with pytest.raises(RequestRefused, match="does not look for deletions"):
        await export_on_dask(["customer"], **options, incremental=True, deletions=True)
    assert not (tmp_path / "out").exists()

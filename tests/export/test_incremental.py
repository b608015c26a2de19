"""Incremental exports, with the real client on the simulator."""

from __future__ import annotations

import csv
import gzip
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import duckdb
import msgspec
import polars as pl
import pyarrow.dataset
import pyarrow.parquet
import pytest

from tests.export.pages import FakeListing, FakeSource, page
from vismanet_async._client import VismaNet
from vismanet_async._clock import FrozenClock, SystemClock
from vismanet_async._columns.schema import Column, columns_of
from vismanet_async._conditions import on_or_after
from vismanet_async._export.events import PageWritten
from vismanet_async._export.incremental import DeltaTracker, StartPoint, start_of
from vismanet_async._export.plan import ExportPlan
from vismanet_async._export.run import Export
from vismanet_async._export.status import status_of
from vismanet_async._export.target.manifest import MANIFEST_NAME, Manifest, Part, ResourceEntry, validate
from vismanet_async._http.auth.credentials import ClientCredentials, StaticToken
from vismanet_async._paging.keys import stamp_of
from vismanet_async.errors import ExportError, RequestRefused
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

ROWS = {"customer": 350, "supplier": 120}
NOW = datetime(2026, 11, 22, 13, 30, tzinfo=UTC)


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(seed=9, rows=ROWS) as running:
        yield running


async def export(simulator: Simulator, to: Path, *, stop_after: int | None = None, **plan: Any) -> Manifest:
    options = {"resources": list(ROWS), "page_size": 100, "incremental": True, **plan}
    async with VismaNet(StaticToken(simulator.issue_token()), base_url=simulator.base_url, concurrency=2) as visma:
        run = Export(visma, ExportPlan(to=to, **options), company=simulator.tenant_id, base_url=simulator.base_url)
        if stop_after is None:
            return await run
        pages = 0
        with anyio.CancelScope() as scope:
            async for event in run:
                pages += isinstance(event, PageWritten)
                if pages == stop_after:
                    scope.cancel()
        return Manifest.read(to)


def lines(root: Path, manifest: Manifest, name: str, *, run: int | None = None) -> list[dict[str, Any]]:
    entry = manifest.resources[name]
    files = [part.file for part in entry.parts] if run is None else entry.runs[run].parts
    return [msgspec.json.decode(line) for file in files for line in (root / file).read_bytes().splitlines()]


def newest(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What a reader makes of the parts: the last version of each record counts."""
    return {row["number"]: row for row in rows}


def same(rows: dict[str, dict[str, Any]], simulator: Simulator, name: str) -> bool:
    truth = {row["number"]: row for row in simulator.truth(name).rows()}
    return all(rows[key]["lastModifiedDateTime"] == truth[key]["lastModifiedDateTime"] for key in truth)


async def test_a_run_adds_what_was_changed_and_nothing_else(simulator: Simulator, tmp_path: Path) -> None:
    first = await export(simulator, tmp_path)
    assert [run.since for run in first.resources["customer"].runs] == [None]
    before = {path.name: path.read_bytes() for path in (tmp_path / "customer").glob("part-*")}

    changed = {*simulator.touch("customer", count=7), *simulator.add("customer", 3)}
    second = await export(simulator, tmp_path)
    entry = second.resources["customer"]
    assert validate(tmp_path) == second
    assert {row["number"] for row in lines(tmp_path, second, "customer", run=1)} == changed
    assert entry.rows == 350 + len(changed)
    assert entry.runs[0] == first.resources["customer"].runs[0]
    assert entry.runs[1].since is not None
    assert entry.verdict == "proven"
    assert same(newest(lines(tmp_path, second, "customer")), simulator, "customer")
    # parts that were published stay as they are
    assert all((tmp_path / "customer" / name).read_bytes() == content for name, content in before.items())
    # of suppliers nothing was changed: no file, but the run is on record
    assert second.resources["supplier"].parts == first.resources["supplier"].parts
    assert second.resources["supplier"].runs[1].rows == 0

    third = await export(simulator, tmp_path)
    assert third.resources["customer"].runs[2].rows == 0
    # the changed rows were read again, and so is whatever else the overlap holds
    assert third.resources["customer"].runs[2].repeated >= len(changed)
    assert third.resources["customer"].parts == entry.parts
    assert validate(tmp_path) == third
    assert not (tmp_path / ".export").exists()


async def test_the_server_is_asked_only_for_what_may_be_new(simulator: Simulator, tmp_path: Path) -> None:
    await export(simulator, tmp_path, resources=["customer"])
    asked = simulator.requests.total
    manifest = await export(simulator, tmp_path, resources=["customer"])
    since = manifest.resources["customer"].runs[1].since
    watermark = manifest.resources["customer"].runs[0].watermark
    assert since is not None
    assert watermark is not None
    gap = datetime.fromisoformat(watermark) - datetime.fromisoformat(since)
    assert timedelta(days=1) <= gap < timedelta(days=1, minutes=5)  # the overlap, and the time that the run took
    for request in list(simulator.requests.matching(operation="Customer_GetAll"))[asked:]:
        assert request.query["lastModifiedDateTime"] >= since
        assert request.query["lastModifiedDateTimeCondition"] in {">=", "<"}


@pytest.mark.parametrize("completeness", ["prove", "count"])
@pytest.mark.parametrize("seed", range(3))
async def test_night_after_night_nothing_is_lost(
    simulator: Simulator, tmp_path: Path, seed: int, completeness: str
) -> None:
    chance = Random(seed)
    manifest = await export(simulator, tmp_path, completeness=completeness)
    for _ in range(4):
        for name in ROWS:
            simulator.add(name, chance.randint(0, 4), where=chance.choice(["start", "random", "end"]))
            simulator.touch(name, count=chance.randint(0, 130))
        manifest = await export(simulator, tmp_path, completeness=completeness)
    validate(tmp_path)
    for name in ROWS:
        rows = lines(tmp_path, manifest, name)
        assert same(newest(rows), simulator, name)
        versions = [(row["number"], row["lastModifiedDateTime"]) for row in rows]
        assert len(set(versions)) == len(versions), "a version was published twice"
        assert len(manifest.resources[name].runs) == 5


async def test_a_query_finds_the_last_versions(simulator: Simulator, tmp_path: Path) -> None:
    """The one of docs/exports.md."""
    for _ in range(4):
        simulator.touch("customer", count=40)
        simulator.add("customer")
        await export(simulator, tmp_path, resources=["customer"])
    query = f"""
        SELECT number, lastModifiedDateTime::VARCHAR FROM read_json('{tmp_path}/customer/*.jsonl', filename = true)
        QUALIFY row_number() OVER (PARTITION BY number ORDER BY filename DESC) = 1
    """
    rows: Any = duckdb.sql(query)
    found = {number: stamp_of(stamp) for number, stamp in rows.fetchall()}
    assert found == {row["number"]: stamp_of(row["lastModifiedDateTime"]) for row in simulator.truth("customer").rows()}


async def test_two_changes_in_one_instant_are_two(simulator: Simulator, tmp_path: Path) -> None:
    """A key and its time do not tell that a row is the same."""
    number = simulator.truth("customer").keys[0]
    simulator.touch("customer", number, name="First AS")
    await export(simulator, tmp_path, resources=["customer"])
    stamped = next(row for row in simulator.truth("customer").rows() if row["number"] == number)
    simulator.touch("customer", number, name="Second AS", lastModifiedDateTime=stamped["lastModifiedDateTime"])
    manifest = await export(simulator, tmp_path, resources=["customer"])
    assert [row["name"] for row in lines(tmp_path, manifest, "customer", run=1)] == ["Second AS"]


async def test_a_plain_export_can_be_gone_on_from(simulator: Simulator, tmp_path: Path) -> None:
    await export(simulator, tmp_path, incremental=False)
    changed = set(simulator.touch("supplier", count=4))
    manifest = await export(simulator, tmp_path)
    # what the overlap holds is not known to be published, so it comes once more
    assert changed <= {row["number"] for row in lines(tmp_path, manifest, "supplier", run=1)}
    again = await export(simulator, tmp_path)
    assert again.resources["supplier"].runs[2].rows == 0


async def test_a_whole_export_begins_the_history_anew(simulator: Simulator, tmp_path: Path) -> None:
    await export(simulator, tmp_path)
    simulator.touch("customer", count=5)
    await export(simulator, tmp_path)
    manifest = await export(simulator, tmp_path, incremental=False)
    assert len(manifest.resources["customer"].runs) == 1
    assert manifest.resources["customer"].rows == 350
    names = sorted(path.name for path in (tmp_path / "customer").iterdir())
    assert names == [part.file.partition("/")[2] for part in manifest.resources["customer"].parts]


@pytest.mark.parametrize("fmt", ["jsonl.gz", "csv", "parquet"])
async def test_every_format_takes_what_repeats_out(simulator: Simulator, tmp_path: Path, fmt: str) -> None:
    simulator.touch("customer", count=20)
    await export(simulator, tmp_path, resources=["customer"], format=fmt)
    changed = sorted(simulator.touch("customer", count=6))
    manifest = await export(simulator, tmp_path, resources=["customer"], format=fmt)
    run = manifest.resources["customer"].runs[1]
    assert (run.rows, run.repeated >= 20 - 6) == (6, True)
    (file,) = [tmp_path / name for name in run.parts]
    if fmt == "parquet":
        found = pyarrow.parquet.read_table(file)["number"].to_pylist()
    elif fmt == "csv":
        found = [row["number"] for row in csv.DictReader(file.read_text("utf-8").splitlines())]
    else:
        found = [json.loads(line)["number"] for line in gzip.decompress(file.read_bytes()).splitlines()]
    assert sorted(found) == changed
    validate(tmp_path)


async def test_stopped_it_goes_on(simulator: Simulator, tmp_path: Path) -> None:
    await export(simulator, tmp_path / "out")
    await export(simulator, tmp_path / "whole")
    simulator.touch("customer", count=250)
    await export(simulator, tmp_path / "whole")
    stopped = await export(simulator, tmp_path / "out", stop_after=2)
    assert len(stopped.resources["customer"].runs) == 1  # what stood published still stands
    status = status_of(tmp_path / "out", now=datetime.now(UTC))
    assert status.state == "resumable"
    assert status.unfinished is not None
    assert status.unfinished.answers["customer"] >= 1
    manifest = await export(simulator, tmp_path / "out")
    assert validate(tmp_path / "out") == manifest
    assert sorted(newest(lines(tmp_path / "out", manifest, "customer", run=1))) == sorted(
        newest(lines(tmp_path / "whole", Manifest.read(tmp_path / "whole"), "customer", run=1))
    )
    assert status_of(tmp_path / "out", now=datetime.now(UTC)).state == "published"


async def test_killed_while_publishing_the_old_manifest_stands(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await export(simulator, tmp_path)
    changed = set(simulator.touch("customer", count=5))
    before = Manifest.read(tmp_path)
    with monkeypatch.context() as patch:

        def killed(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        patch.setattr("vismanet_async._export.target.directory_steps.DirectorySteps._commit", killed)
        patch.setattr("vismanet_async._export.target.local.Target.close", lambda self, **_: self._lock.release())
        with pytest.raises(KeyboardInterrupt):
            await export(simulator, tmp_path)
    assert validate(tmp_path) == before
    assert status_of(tmp_path, now=NOW).state == "publishing"
    after = await export(simulator, tmp_path)
    assert {row["number"] for row in lines(tmp_path, after, "customer", run=1)} == changed
    assert after.resources["customer"].runs[2].rows == 0


async def test_other_readers_read_the_folder_of_a_list(simulator: Simulator, tmp_path: Path) -> None:
    """Nothing of ours lies beside the parts: not before, not after, not while a run was stopped."""
    for _ in range(2):
        await export(simulator, tmp_path, format="parquet")
        simulator.touch("customer", count=5)
    folder = tmp_path / "customer"
    assert {path.suffix for path in folder.iterdir()} == {".parquet"}
    rows = Manifest.read(tmp_path).resources["customer"].rows
    assert rows == 355
    assert pyarrow.dataset.dataset(folder).count_rows() == rows
    assert pyarrow.parquet.read_table(folder).num_rows == rows
    assert pl.read_parquet(folder).height == rows
    counted: Any = duckdb.sql(f"SELECT count(*) FROM read_parquet('{folder}/*')")
    assert counted.fetchall() == [(rows,)]


async def test_what_an_earlier_version_put_beside_the_parts_is_taken_away(simulator: Simulator, tmp_path: Path) -> None:
    manifest = await export(simulator, tmp_path, resources=["customer"])
    entry = manifest.resources["customer"]
    assert entry.overlap is not None
    (tmp_path / "_overlap" / "customer-00000.bin").rename(tmp_path / "customer" / "overlap-00000.bin")
    overlap = attrs.evolve(entry.overlap, file="customer/overlap-00000.bin")
    entry = attrs.evolve(entry, overlap=overlap)
    (tmp_path / MANIFEST_NAME).write_bytes(attrs.evolve(manifest, resources={"customer": entry}).to_json())
    after = await export(simulator, tmp_path, resources=["customer"])
    assert after.resources["customer"].runs[1].rows == 0  # it knew what was in the overlap
    assert [path.name for path in (tmp_path / "customer").iterdir()] == ["part-00000.jsonl"]
    validate(tmp_path)


@pytest.mark.parametrize("fmt", ["csv", "parquet"])
@pytest.mark.parametrize("change", ["new", "gone", "of another kind", "in another order"])
async def test_parts_of_another_shape_do_not_get_into_one_folder(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fmt: str, change: str
) -> None:
    real = columns_of

    def other(operation: str) -> tuple[Column, ...]:
        columns = real(operation)
        if change == "new":
            return tuple(one for one in columns if one.name != "name")
        if change == "gone":
            return (*columns, Column("yesterday", "text"))
        if change == "in another order":
            return columns[::-1]
        return tuple(attrs.evolve(one, kind="json") if one.name == "name" else one for one in columns)

    plan: dict[str, Any] = {"resources": ["customer"], "format": fmt}
    with monkeypatch.context() as patch:
        patch.setattr("vismanet_async._export.sinks.opening.columns_of", other)
        before = await export(simulator, tmp_path, **plan)
    simulator.touch("customer", count=3)
    after = await export(simulator, tmp_path, **plan)
    entry = after.resources["customer"]
    assert "name" in entry.columns
    assert change in entry.reason
    assert [(run.since, run.rows) for run in entry.runs] == [(None, before.rows)]
    assert {part.file for part in entry.parts} == {
        f"customer/{path.name}" for path in (tmp_path / "customer").iterdir()
    }
    validate(tmp_path)
    again = await export(simulator, tmp_path, **plan)
    assert again.resources["customer"].runs[-1].since is not None
    assert again.resources["customer"].runs[-1].rows == 0


async def test_an_export_of_other_types_is_read_whole_and_no_file_mixes_them(
    simulator: Simulator, tmp_path: Path
) -> None:
    plan: dict[str, Any] = {"resources": ["customer"], "format": "parquet"}
    manifest = await export(simulator, tmp_path, **plan)
    entry = manifest.resources["customer"]
    older = attrs.evolve(entry, columns=entry.columns | {"creditLimit": "decimal"})
    (tmp_path / MANIFEST_NAME).write_bytes(attrs.evolve(manifest, resources={"customer": older}).to_json())
    entry = (await export(simulator, tmp_path, **plan)).resources["customer"]
    assert "read whole" in entry.reason
    assert "of another kind: creditLimit" in entry.reason
    assert [run.since for run in entry.runs] == [None]


async def test_what_columns_could_not_hold_is_counted_over_all_runs(simulator: Simulator, tmp_path: Path) -> None:
    plan: dict[str, Any] = {"resources": ["customer"], "format": "parquet"}
    simulator.touch("customer", count=2, creditLimit=Decimal("0.12345"))
    assert (await export(simulator, tmp_path, **plan)).resources["customer"].unfit == {"creditLimit": 2}
    simulator.touch("customer", count=1, creditLimit=Decimal("0.12345"))
    assert (await export(simulator, tmp_path, **plan)).resources["customer"].unfit == {"creditLimit": 3}


async def test_rows_from_before_time_have_the_whole_list_read(tmp_path: Path) -> None:
    """The API stamps some rows 0001-01-01, the first moment that there is: nothing can be asked for before that."""
    plan = ExportPlan(resources=["supplier"], to=tmp_path, incremental=True, completeness="count")
    rows = b'[{"number":"1","lastModifiedDateTime":"0001-01-01T00:00:00"}]'
    for _ in range(3):
        source = FakeSource({"supplier": FakeListing([page(rows)])})
        manifest = await Export(source, plan, company="tenant-1")
        assert source.asked == [("supplier", {})]
        assert [(run.since, run.rows) for run in manifest.resources["supplier"].runs] == [(None, 1)]
    later = b'[{"number":"1","lastModifiedDateTime":"2026-11-20T00:00:00"}]'
    await Export(FakeSource({"supplier": FakeListing([page(later)])}), plan, company="tenant-1")
    source = FakeSource({"supplier": FakeListing([page(later)])})
    manifest = await Export(source, plan, company="tenant-1")
    assert [filters for _, filters in source.asked if filters]
    assert [run.rows for run in manifest.resources["supplier"].runs] == [1, 0]


@pytest.mark.parametrize("watermark", ["0001-01-01T00:00:00", "0001-01-01T23:59:59.999", "0001-01-02T00:30:00"])
def test_a_start_before_the_first_moment_is_none(watermark: str) -> None:
    start = start_of(entry(watermark=watermark), "supplier", {}, overlap=timedelta(days=1), now=NOW)
    assert (start.since, start.before) == (None, None)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"resources": ["country"]}, "no condition on when its rows were changed"),
        ({"resources": ["general_ledger_balance"]}, "no condition"),
        ({"completeness": "none"}, "completeness none"),
        ({"resources": {"customer": {"lastModifiedDateTime": "x"}}}, "sets last_modified_date_time itself"),
        ({"overlap": timedelta(hours=-1)}, "negative"),
        ({"overlap": timedelta.max}, "longer than 3660 days"),
        ({"spool": "a\0b"}, "spool holds a NUL"),
    ],
)
def test_what_cannot_be_incremental_is_refused_with_the_reason(
    tmp_path: Path, wrong: dict[str, Any], said: str
) -> None:
    with pytest.raises(RequestRefused, match=said):
        ExportPlan(**{"resources": ["customer"], "to": tmp_path, "incremental": True, **wrong})


@pytest.mark.parametrize(
    ("change", "said"),
    [({"format": "csv"}, "format jsonl"), ({"resources": {"customer": {"status": "Active"}}}, "filters none")],
)
async def test_what_would_not_belong_together_is_refused(
    simulator: Simulator, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    await export(simulator, tmp_path)
    asked = simulator.requests.total
    with pytest.raises(RequestRefused, match=said):
        await export(simulator, tmp_path, **change)
    assert simulator.requests.total == asked
    validate(tmp_path)


async def test_another_company_is_refused(simulator: Simulator, tmp_path: Path) -> None:
    manifest = await export(simulator, tmp_path)
    (tmp_path / MANIFEST_NAME).write_bytes(attrs.evolve(manifest, company="another").to_json())
    with pytest.raises(RequestRefused, match="directory of its own"):
        await export(simulator, tmp_path)


@pytest.mark.parametrize("harm", ["part gone", "overlap changed"])
async def test_what_was_harmed_is_not_added_to(simulator: Simulator, tmp_path: Path, harm: str) -> None:
    await export(simulator, tmp_path)
    if harm == "part gone":
        (tmp_path / "customer" / "part-00000.jsonl").unlink()
    else:
        (tmp_path / "_overlap" / "customer-00000.bin").write_bytes(b"")
    with pytest.raises(ExportError, match="Export the whole list again"):
        await export(simulator, tmp_path)


def entry(**more: Any) -> ResourceEntry:
    facts: dict[str, Any] = {
        "rows": 1, "unique": 1, "verdict": "counted", "reason": "", "total_first": 1, "total_last": 1, "requests": 1,
        "parts": (Part(file="customer/part-00041.jsonl.gz", rows=1, bytes=1, sha256=""),),
        "started_at": NOW - timedelta(hours=2), "finished_at": NOW, **more,
    }  # fmt: skip
    return ResourceEntry(**facts)


def test_the_time_that_a_run_took_counts_as_overlap() -> None:
    start = start_of(entry(watermark="2026-11-22T12:00:00.5"), "customer", {}, overlap=timedelta(hours=1), now=NOW)
    assert start.since == "2026-11-22T09:00:00"
    assert start.first_part == 42


def test_a_watermark_in_the_future_is_not_trusted() -> None:
    with pytest.raises(ExportError, match="2099"):
        start_of(entry(watermark="2099-01-01T00:00:00"), "customer", {}, overlap=timedelta(hours=1), now=NOW)
    # the server's zone may be ahead of ours
    assert start_of(entry(watermark="2026-11-23T03:30:00"), "customer", {}, overlap=timedelta(0), now=NOW).since


def test_an_empty_list_begins_again_from_the_beginning() -> None:
    assert start_of(entry(watermark=None), "customer", {}, overlap=timedelta(0), now=NOW) == StartPoint()


def row(number: int, at: str | None, total: int = 1) -> msgspec.Raw:
    facts = {"number": str(number), "lastModifiedDateTime": at, "metadata": {"totalCount": total, "note": "}{"}}
    return msgspec.Raw(msgspec.json.encode(facts))


def changes(known: bytes = b"", edge: str = "2098-01-01", overlap: timedelta = timedelta(hours=1)) -> DeltaTracker:
    return DeltaTracker("lastModifiedDateTime", known=known, overlap=overlap, edge=lambda: edge)


def test_rows_are_the_same_whatever_the_total_is(tmp_path: Path) -> None:
    first = changes()
    assert first.repeats([row(1, "2026-01-01T10:00:00", 1), row(2, "2026-01-01T08:00:00", 1)]) == []
    part = first.write(tmp_path / "overlap-00001.bin", took=timedelta(minutes=5))
    assert (part.rows, part.bytes) == (1, 16)  # the other one will not be read again
    second = changes((tmp_path / "overlap-00001.bin").read_bytes())
    assert second.repeats([row(1, "2026-01-01T10:00:00", 2), row(3, "2026-01-01T10:00:00", 2)]) == [0]
    assert second.repeated == 1


def test_impossible_times_do_not_move_the_watermark() -> None:
    seen = changes()
    seen.repeats([row(1, "2099-01-01T00:00:00"), row(2, "2020-01-01T10:00:00.1234567"), row(3, None)])
    assert seen.watermark == "2020-01-01T10:00:00.1234567"
    assert "1 rows do not tell" in seen.note


def test_what_is_remembered_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vismanet_async._export.incremental._MOST_DIGESTS", 10)
    seen = changes()
    for number in range(60):
        seen.repeats([row(number, f"2026-01-01T10:00:{number:02}")])
    assert 5 <= seen.write(tmp_path / "some.bin", took=timedelta(0)).rows <= 10
    for number in range(60, 90):
        seen.repeats([row(number, "2026-01-02T10:00:00")])
    assert seen.write(tmp_path / "none.bin", took=timedelta(0)).rows <= 10


async def test_companies_are_not_mixed_in_one_directory(tmp_path: Path) -> None:
    async with Simulator(
        seed=1, tenant_id="aaaa", companies=["bbbb"], rows={"customer": 5, "supplier": 5}
    ) as simulator:

        def client(tenant_id: str) -> VismaNet:
            credentials = ClientCredentials(simulator.client_id, simulator.client_secret, tenant_id=tenant_id)
            return VismaNet(credentials, base_url=simulator.base_url, token_url=simulator.token_url)

        unknown = VismaNet(StaticToken(simulator.issue_token()), base_url=simulator.base_url)
        async with client("aaaa") as one, client("bbbb") as other, unknown:
            before = await one.export("customer", to=tmp_path / "out", incremental=True)
            asked = simulator.requests.total
            for visma in (other, unknown):
                for resource, incremental in (("customer", True), ("supplier", False), ("supplier", True)):
                    with pytest.raises(RequestRefused, match="holds an export of company aaaa"):
                        await visma.export(resource, to=tmp_path / "out", incremental=incremental)
            assert simulator.requests.total == asked
            assert validate(tmp_path / "out").resources == before.resources
            replaced = await other.export("customer", to=tmp_path / "out")  # nothing of the other is left
            assert replaced.company == "bbbb"


def test_rows_with_half_a_pair_are_tracked() -> None:
    half = rb'{"number":"1","name":"\ud800","lastModifiedDateTime":"2025-01-01T00:00:00"}'
    other = half.replace(rb"\ud800", rb"\ud801")
    tracker = DeltaTracker("lastModifiedDateTime", known=b"", overlap=timedelta(hours=1), edge=lambda: "2026-01-01")
    assert tracker.repeats([half, other]) == []
    assert (tracker.watermark, tracker.unstamped, len(tracker._seen)) == ("2025-01-01T00:00:00", 0, 2)
    with pytest.raises(msgspec.DecodeError):
        tracker.repeats([b'{"number":'])


@pytest.mark.parametrize("days", [0, 3])
async def test_a_row_stamped_ahead_hides_no_change(simulator: Simulator, tmp_path: Path, days: int) -> None:
    """Nothing tells it from a row of a server in another zone; and this machine's clock may be ahead, too."""
    clock = FrozenClock(SystemClock(), datetime.now(UTC) + timedelta(days=days))
    simulator.touch("customer", "10007", stamp_offset_seconds=6 * 3600)
    plan = ExportPlan(resources="customer", to=tmp_path, incremental=True, overlap=timedelta(hours=1))
    async with VismaNet(StaticToken(simulator.issue_token()), base_url=simulator.base_url, clock=clock) as visma:

        async def run() -> Manifest:
            return await Export(visma, plan, company=simulator.tenant_id, base_url=simulator.base_url, clock=clock)

        listing = visma.customer.list()
        await listing.all()
        await run()
        simulator.touch("customer", "10011", name="changed meanwhile")
        assert listing.completeness is not None
        assert listing.completeness.watermark is not None
        changed = visma.customer.list(last_modified_date_time=on_or_after(listing.completeness.watermark))
        assert "10011" in {one.number for one in await changed.all()}
        manifest = await run()
    assert newest(lines(tmp_path, manifest, "customer"))["10011"]["name"] == "changed meanwhile"
    assert manifest.resources["customer"].runs[1].rows == 1  # all the others were left out


def test_an_edge_that_goes_back_bounds_the_watermark() -> None:
    edges = iter(["2026-01-02T00:00:00", "2026-01-01T00:00:00", "2026-01-01T00:00:00"])
    seen = DeltaTracker("lastModifiedDateTime", known=b"", overlap=timedelta(hours=1), edge=lambda: next(edges))
    marks: list[str | None] = []
    for rows in (
        [row(1, "2026-01-02T01:00:01")],
        [row(2, "2026-01-01T01:00:01"), row(3, "2026-01-01T01:00:00")],
        [row(4, "2026-01-01T00:30:00")],
    ):
        assert seen.repeats(rows) == []
        marks.append(seen.watermark)
    assert marks == [None, "2026-01-01T01:00:00", "2026-01-01T01:00:00"]


async def test_a_clock_that_is_set_back_during_a_run_hides_no_change(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_back = timedelta(0)
    real = SystemClock.utc_now
    monkeypatch.setattr(SystemClock, "utc_now", lambda self: real(self) - set_back)
    simulator.touch("customer", count=1)  # so that the watermark is now
    async with VismaNet(StaticToken(simulator.issue_token()), base_url=simulator.base_url) as visma:
        plan = ExportPlan(resources=["customer"], to=tmp_path, incremental=True)
        async for event in Export(visma, plan, company="a"):
            if isinstance(event, PageWritten):
                set_back = timedelta(hours=30)
        set_back = timedelta(0)
        (run,) = Manifest.read(tmp_path).resources["customer"].runs
        assert run.finished_at >= run.started_at
        simulator.touch("customer", count=5)
        manifest = await Export(visma, plan, company="a")
    assert manifest.resources["customer"].runs[-1].rows >= 5


async def test_what_may_be_of_two_companies_does_not_grow(tmp_path: Path) -> None:
    """A token of another company looks the same where neither tells its company."""
    two = "bbbb"
    async with Simulator(seed=1, tenant_id="aaaa", companies=[two], rows={"customer": 3, "supplier": 3}) as simulator:
        async with VismaNet(StaticToken(simulator.issue_token("aaaa")), base_url=simulator.base_url) as visma:
            before = await visma.export("customer", to=tmp_path / "out", incremental=True)
        async with VismaNet(StaticToken(simulator.issue_token(two)), base_url=simulator.base_url) as visma:
            asked = simulator.requests.total
            for resource in ("customer", "supplier"):
                with pytest.raises(RequestRefused, match="Give StaticToken its tenant_id"):
                    await visma.export(resource, to=tmp_path / "out", incremental=True)
            assert simulator.requests.total == asked
            assert validate(tmp_path / "out").resources == before.resources
            assert (await visma.export("customer", to=tmp_path / "out")).company is None  # a whole one
        token = StaticToken(simulator.issue_token(two), tenant_id=two)
        async with VismaNet(token, base_url=simulator.base_url) as known:
            with pytest.raises(RequestRefused, match="holds an export of company unknown"):
                await known.export("customer", to=tmp_path / "out", incremental=True)
            await known.export("customer", to=tmp_path / "out")
            grown = await known.export("customer", to=tmp_path / "out", incremental=True)
            assert len(grown.resources["customer"].runs) == 2

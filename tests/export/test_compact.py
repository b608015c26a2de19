"""`compact`: the latest state of an export, the same bytes for the same state, killed at any file and started again."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import sqlite3
from datetime import UTC, datetime
from shutil import copytree
from typing import TYPE_CHECKING, Any, get_args

import attrs
import polars as pl
import pyarrow.parquet
import pytest
import zstandard
from anyio import to_thread

from vismanet_async._client import VismaNet
from vismanet_async._export import compact as compact_module, compact_files
from vismanet_async._export.compact import compact
from vismanet_async._export.formats.csv import CsvOptions
from vismanet_async._export.formats.parquet import Compression, ParquetOptions
from vismanet_async._export.latest_rows import LatestRows
from vismanet_async._export.plan import ExportPlan
from vismanet_async._export.run import Export
from vismanet_async._export.stored_rows import row_reader
from vismanet_async._export.target.manifest import Manifest, Part, ResourceEntry, Run, Sweep, validate
from vismanet_async._http.auth.credentials import StaticToken
from vismanet_async.errors import ExportError, RequestRefused
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
FORMATS = ("jsonl", "jsonl.gz", "jsonl.zst", "csv", "parquet")


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(seed=9, rows={"customer": 230}) as running:
        yield running


async def export(simulator: Simulator, to: Any, **plan: Any) -> Manifest:
    options = {"resources": "customer", "page_size": 100, "incremental": True, "deletions": True, **plan}
    async with VismaNet(StaticToken(simulator.issue_token()), base_url=simulator.base_url, concurrency=2) as visma:
        made = ExportPlan(to=to, **options)
        return await Export(visma, made, company=simulator.tenant_id, base_url=simulator.base_url)


async def some_history(simulator: Simulator, to: Any, **plan: Any) -> Manifest:
    manifest = await export(simulator, to, **plan)
    for _ in range(3):
        simulator.touch("customer", count=9)
        simulator.add("customer", 3, where="random")
        simulator.remove("customer", count=4)
        manifest = await export(simulator, to, **plan)
    return manifest


def content(root: Path, manifest: Manifest, name: str = "customer") -> list[bytes]:
    return [(root / part.file).read_bytes() for part in manifest.resources[name].parts]


def files_below(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def stamps(root: Path, manifest: Manifest, fmt: str) -> list[tuple[str, str]]:
    """Key and time of change of each row, with what other people read such files with."""
    found: list[tuple[str, str]] = []
    for part in manifest.resources["customer"].parts:
        path = root / part.file
        if fmt == "parquet":
            table = pyarrow.parquet.read_table(path).select(["number", "lastModifiedDateTime", "metadata"])
            assert table["metadata"].null_count == table.num_rows
            rows = table.to_pylist()
            found += [(row["number"], row["lastModifiedDateTime"].isoformat(timespec="milliseconds")) for row in rows]
        elif fmt == "csv":
            table = pl.read_csv(path, infer_schema=False)
            assert table["metadata.totalCount"].null_count() == table.height
            found += list(zip(table["number"], table["lastModifiedDateTime"], strict=True))
        else:
            raw = path.read_bytes()
            if fmt == "jsonl.gz":
                raw = gzip.decompress(raw)
            elif fmt == "jsonl.zst":
                raw = zstandard.ZstdDecompressor().stream_reader(raw).read()
            rows = [json.loads(line) for line in raw.splitlines()]
            assert not any("metadata" in row for row in rows)
            found += [(row["number"], row["lastModifiedDateTime"]) for row in rows]
    return found


def truth(simulator: Simulator, fmt: str) -> list[tuple[str, str]]:
    def stamp(row: dict[str, Any]) -> str:
        text = str(row["lastModifiedDateTime"])
        return f"{text[:19]}{(text[19:] or '.')[:4]:0<4}" if fmt == "parquet" else text

    return sorted((row["number"], stamp(row)) for row in simulator.truth("customer").rows())


@pytest.mark.parametrize("fmt", FORMATS)
async def test_it_is_the_servers_truth_in_the_same_bytes_whatever_the_history(
    simulator: Simulator, tmp_path: Path, fmt: str
) -> None:
    plan = {"format": fmt, "part_bytes": 60_000}
    await some_history(simulator, tmp_path / "grown", **plan)
    await export(simulator, tmp_path / "whole", **plan)
    await export(simulator, tmp_path / "pages", page_size=37, **plan)
    made = await to_thread.run_sync(lambda: compact(tmp_path / "grown", to=tmp_path / "a", part_bytes=60_000))
    other = await to_thread.run_sync(lambda: compact(tmp_path / "whole", to=tmp_path / "b", part_bytes=60_000))
    third = await to_thread.run_sync(lambda: compact(tmp_path / "pages", to=tmp_path / "c", part_bytes=60_000))
    assert validate(tmp_path / "a") == made
    entry = made.resources["customer"]
    assert (entry.rows, entry.unique, len(entry.runs), entry.tombstones) == (226 + 1, 227, 1, ())
    assert stamps(tmp_path / "a", made, fmt) == truth(simulator, fmt)
    assert len(entry.parts) > 1 or fmt in {"jsonl.gz", "jsonl.zst", "parquet"}
    assert content(tmp_path / "a", made) == content(tmp_path / "b", other) == content(tmp_path / "c", third)
    again = await to_thread.run_sync(lambda: compact(tmp_path / "a", to=tmp_path / "d", part_bytes=60_000))
    assert content(tmp_path / "d", again) == content(tmp_path / "a", made)
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        "_keys", "_overlap", "customer", "manifest.json"
    ]  # fmt: skip


@pytest.mark.parametrize("fmt", FORMATS)
async def test_in_place_and_on_from_there(simulator: Simulator, tmp_path: Path, fmt: str) -> None:
    before = await some_history(simulator, tmp_path, format=fmt)
    made = await to_thread.run_sync(compact, tmp_path)
    assert validate(tmp_path) == made
    assert made.resources["customer"].watermark == before.resources["customer"].watermark
    assert files_below(tmp_path) == {"manifest.json", *(part.file for part in made.resources["customer"].files)}

    changed = simulator.touch("customer", count=4)
    gone = simulator.remove("customer", count=2)
    after = await export(simulator, tmp_path, format=fmt)
    run = after.resources["customer"].runs[-1]
    assert run.since is not None
    assert run.rows == len(set(changed) - set(gone))  # nothing of before comes again
    assert run.sweep is not None
    assert run.sweep.deleted == 2
    made = await to_thread.run_sync(compact, tmp_path)
    assert stamps(tmp_path, made, fmt) == truth(simulator, fmt)


async def test_a_record_that_came_back_is_there(simulator: Simulator, tmp_path: Path) -> None:
    number = simulator.truth("customer").keys[7]
    row = next(row for row in simulator.truth("customer").rows() if row["number"] == number)
    await export(simulator, tmp_path)
    simulator.remove("customer", number)
    await export(simulator, tmp_path)
    simulator.add("customer", where="random", **row)
    await export(simulator, tmp_path)
    made = await to_thread.run_sync(compact, tmp_path)
    assert number in dict(stamps(tmp_path, made, "jsonl"))


def test_tombstones_count_after_the_rows_of_their_run(tmp_path: Path) -> None:
    """A record can be changed and deleted within one run, and come back in the next."""

    def part(name: str, *rows: dict[str, Any]) -> Part:
        content = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
        return Part(file=name, rows=len(rows), bytes=len(content), sha256=hashlib.sha256(content).hexdigest())

    def ran(file: str, tombstones: str | None = None) -> Run:
        sweep = Sweep(verdict="proven", reason="", requests=1, tombstones=tombstones)
        return Run(
            since=None, rows=1, verdict="proven", reason="", total_first=1, total_last=1, requests=1, parts=(file,),
            sweep=sweep, started_at=NOW, finished_at=NOW,
        )  # fmt: skip

    parts = (
        part("customer/part-00000.jsonl", {"number": "1"}, {"number": "2", "name": "a"}),
        part("customer/part-00001.jsonl", {"number": "2", "name": "b"}, {"number": "3"}),
    )
    gone = part("_deleted/customer-00000.jsonl", {"key": {"number": "2"}, "noticed_at": "2026-11-29T00:00:00Z"})
    entry = ResourceEntry(
        rows=4, unique=None, verdict="proven", reason="", total_first=1, total_last=1, requests=1, parts=parts,
        tombstones=(gone,), runs=(ran(parts[0].file, gone.file), ran(parts[1].file)),
    )  # fmt: skip
    found = []
    for runs in (1, 2):
        with LatestRows() as latest:
            latest.apply(row_reader(tmp_path, "customer", entry), runs=runs)
            found.append([json.loads(content) for _, content in latest.rows()])
    assert found == [[{"number": "1"}], [{"number": "1"}, {"number": "2", "name": "b"}, {"number": "3"}]]


async def test_csv_keys_that_look_like_formulas_and_another_delimiter(simulator: Simulator, tmp_path: Path) -> None:
    options = CsvOptions(delimiter=";", byte_order_mark=True, decimal_comma=True)
    odd = ["=1+1", "a,=2", "-x", "'y", 'q"r', "s;t"]
    for number in odd:
        simulator.add("customer", number=number)
    plan = {"format": "csv", "format_options": options}
    await export(simulator, tmp_path, **plan)
    for number in odd[::2]:
        simulator.remove("customer", number)
    manifest = await export(simulator, tmp_path, **plan)
    sweep = manifest.resources["customer"].runs[-1].sweep
    assert sweep is not None
    assert sweep.deleted == 3
    made = await to_thread.run_sync(compact, tmp_path)
    (raw,) = content(tmp_path, made)
    rows = list(csv.DictReader(raw.decode("utf-8-sig").splitlines(), delimiter=";"))
    found = {row["number"] for row in rows}
    assert len(rows) == 233
    assert {"a,'=2", "'y", "s;t"} < found
    assert not {"'=1+1", "'-x", 'q"r'} & found


@pytest.mark.parametrize("dies_at", range(1, 8))
async def test_killed_and_started_again(
    simulator: Simulator, tmp_path: Path, dies_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    await some_history(simulator, tmp_path / "grown", part_bytes=60_000)
    whole = await to_thread.run_sync(lambda: compact(tmp_path / "grown", to=tmp_path / "a", part_bytes=60_000))
    taken: list[str] = []
    put = LatestRows._put

    class Killed(BaseException):
        """Nothing but the operating system sees that coming."""

    def counted(self: LatestRows, keys: Any, contents: Any) -> None:
        taken.append(keys[0])
        if len(taken) == dies_at:
            raise Killed
        put(self, keys, contents)

    def written(*_: Any, **__: Any) -> None:
        raise Killed

    monkeypatch.setattr(LatestRows, "_put", counted)
    if dies_at == 7:
        monkeypatch.setattr(compact_module, "write_parts", written)
    with pytest.raises(Killed):
        compact(tmp_path / "grown", to=tmp_path / "b", part_bytes=60_000)
    assert not (tmp_path / "b" / "manifest.json").exists()
    monkeypatch.undo()
    again: list[str] = []

    def noted(self: LatestRows, keys: Any, contents: Any) -> None:
        again.append(keys[0])
        put(self, keys, contents)

    monkeypatch.setattr(LatestRows, "_put", noted)
    made = compact(tmp_path / "grown", to=tmp_path / "b", part_bytes=60_000)
    assert content(tmp_path / "b", made) == content(tmp_path / "a", whole)
    assert len(again) == 6 - (dies_at - 1)  # whole files are not taken in again
    assert not (tmp_path / "b" / ".export").exists()


async def test_what_another_compaction_left_is_thrown_away(simulator: Simulator, tmp_path: Path) -> None:
    await export(simulator, tmp_path)
    staging = tmp_path / ".export" / "compact"
    staging.mkdir(parents=True)
    (staging.parent / "README.txt").write_bytes(b"An export")
    (staging / "compact.json").write_bytes(b"[]")
    with sqlite3.connect(staging / "customer.sqlite") as database:
        database.execute("CREATE TABLE latest (x)")
    database.close()
    (staging.parent / "README.txt").unlink()
    with pytest.raises(ExportError, match="was not made by an export"):
        await to_thread.run_sync(compact, tmp_path)


async def test_to_a_store_and_back(simulator: Simulator, tmp_path: Path) -> None:
    await some_history(simulator, "memory://compact-test/grown", spool=tmp_path / "spool")
    made = await to_thread.run_sync(lambda: compact("memory://compact-test/grown", to=tmp_path / "out"))
    assert stamps(tmp_path / "out", made, "jsonl") == truth(simulator, "jsonl")
    there = await to_thread.run_sync(lambda: compact(tmp_path / "out", to="memory://compact-test/again"))
    assert validate("memory://compact-test/again") == there
    parts = [part.sha256 for part in there.resources["customer"].parts]
    assert parts == [part.sha256 for part in made.resources["customer"].parts]


async def test_a_damaged_export_is_refused_and_nothing_is_published(simulator: Simulator, tmp_path: Path) -> None:
    manifest = await export(simulator, tmp_path / "a")
    path = tmp_path / "a" / manifest.resources["customer"].parts[0].file
    path.write_bytes(path.read_bytes()[:-1] + b" ")
    with pytest.raises(ExportError, match=r"another sha256; nothing was written"):
        await to_thread.run_sync(lambda: compact(tmp_path / "a", to=tmp_path / "b"))
    assert not (tmp_path / "b" / "manifest.json").exists()


async def test_more_parts_than_may_be_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One part a night: after some years there are more of them than a process may have open files."""
    async with Simulator(rows={"customer": 20}) as small:
        grown = await some_history(small, tmp_path / "grown", format="parquet", deletions=False)
    monkeypatch.setattr(compact_files, "_PARQUET_ROWS", 5)  # each row group takes rows of several parts
    whole = await to_thread.run_sync(lambda: compact(tmp_path / "grown", to=tmp_path / "a"))
    monkeypatch.setattr(compact_files, "_MOST_OPEN", 2)
    real, opened, most = type(tmp_path).open, list[Any](), 0

    def counted(path: Path, *args: Any, **kwargs: Any) -> Any:
        nonlocal most
        file = real(path, *args, **kwargs)
        if path.is_relative_to(tmp_path / "grown"):
            opened.append(file)
            most = max(most, sum(not one.closed for one in opened))
        return file

    monkeypatch.setattr(type(tmp_path), "open", counted)
    made = await to_thread.run_sync(lambda: compact(tmp_path / "grown", to=tmp_path / "b"))
    assert len(grown.resources["customer"].parts) == 4
    assert most == 2
    assert all(file.closed for file in opened)
    monkeypatch.undo()
    assert content(tmp_path / "b", made) == content(tmp_path / "a", whole)


async def test_it_keeps_the_compression_of_parquet(tmp_path: Path) -> None:
    async with Simulator(rows={"customer": 2}) as small:
        for compression in ("zstd", "snappy"):  # the last run tells
            plan = {"format": "parquet", "format_options": ParquetOptions(compression=compression), "deletions": False}
            await export(small, tmp_path, **plan)
            small.add("customer", 1)
    assert len(Manifest.read(tmp_path).resources["customer"].parts) == 2
    made = await to_thread.run_sync(compact, tmp_path)
    file = pyarrow.parquet.read_metadata(tmp_path / made.resources["customer"].parts[0].file)
    assert file.row_group(0).column(0).compression == "SNAPPY"


@pytest.mark.parametrize("compression", get_args(Compression))
def test_each_compression_is_known_by_its_name_in_the_file(compression: Any) -> None:
    sink = io.BytesIO()
    pyarrow.parquet.write_table(
        pyarrow.table({"a": [1]}), sink, **ParquetOptions(compression=compression).writer_options
    )
    column = pyarrow.parquet.read_metadata(sink).row_group(0).column(0)
    assert compact_files._COMPRESSIONS[column.compression] == compression


async def test_companies_and_servers_are_not_mixed(simulator: Simulator, tmp_path: Path) -> None:
    """A company has the same id on the server for tests; the next run would go on with the rows of both."""
    made = await export(simulator, tmp_path / "one")
    customers = made.resources["customer"]

    def publish(name: str, company: str | None, base_url: str | None, *more: str) -> Path:
        copytree(tmp_path / "one", tmp_path / name, dirs_exist_ok=True)
        resources = dict.fromkeys(("customer", *more), customers)
        manifest = attrs.evolve(made, resources=resources, company=company, base_url=base_url)
        (tmp_path / name / "manifest.json").write_bytes(manifest.to_json())
        return tmp_path / name

    here = simulator.tenant_id, simulator.base_url
    stage = publish("stage", here[0], "https://stage.example")
    for source in (stage, publish("other", "bbbb", here[1]), publish("unknown", None, here[1])):
        for more in ((), ("supplier",)):
            target = publish("target", *here, *more)
            before = (target / "manifest.json").read_bytes()
            if source.name == "unknown" and not more:
                assert compact(source, to=target).company is None  # nothing of the other is left
                continue
            what = "server" if source is stage else "company"
            with pytest.raises(RequestRefused, match=f"holds an export of {what} .*nothing was written"):
                compact(source, to=target)
            assert (target / "manifest.json").read_bytes() == before
    assert compact(stage, to=publish("target", None, None)).base_url == "https://stage.example"


async def test_refused(simulator: Simulator, tmp_path: Path) -> None:
    await export(simulator, tmp_path / "a")
    with pytest.raises(RequestRefused, match="supplier is not in the export, which has customer"):
        compact(tmp_path / "a", to=tmp_path / "b", resources=["supplier"])
    with pytest.raises(RequestRefused, match="nothing is not in the export"):
        compact(tmp_path / "a", to=tmp_path / "b", resources=[])
    await export(
        simulator,
        tmp_path / "c",
        resources="customer_payment_method",
        completeness="none",
        incremental=False,
        deletions=False,
    )
    with pytest.raises(RequestRefused, match="rows of customer_payment_method have no key"):
        compact(tmp_path / "c", to=tmp_path / "b")
    assert not (tmp_path / "b").exists()
    with pytest.raises(ExportError, match="nothing is published there"):
        compact(tmp_path / "nothing", to=tmp_path / "b")

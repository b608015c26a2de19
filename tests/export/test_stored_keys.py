"""A record's key survives every format: nothing is merged, deleted or lost because a column cannot hold the key."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from anyio import to_thread

from tests.export.pages import page, put_in_place
from tests.paging.live import live
from vismanet_async._export.formats.csv import CsvOptions
from vismanet_async._export.key_index import KeyIndex, key_of_name
from vismanet_async._export.latest_rows import LatestRows
from vismanet_async._export.sinks.opening import columns_written, open_sink
from vismanet_async._export.stored_rows import row_reader
from vismanet_async._export.target.manifest import ResourceEntry
from vismanet_async.errors import ExportError
from vismanet_async.exports import compact, diff, open_duckdb, open_polars

if TYPE_CHECKING:
    from pathlib import Path

FORMATS = ("jsonl", "csv", "parquet")
TEXTS = ["a", "7", "=1+1", "'=1+1", "a;=1", "a;'=1", "'x", "a,b", 'q"x', "null", "", "007", "+47 22", "\\", "sø"]
ODD = ["7", 7, -7, 2**70, 7.5, True, False, None, "null", "", {"a": 1}, [1], "=1", "'=1", "Sø\u2028"]


def entry_of(directory: Path, name: str, rows: list[dict[str, Any]], format: str) -> ResourceEntry:  # noqa: A002 - what it is called everywhere
    operation, identity = {
        "customer": ("Customer_GetAll", ("number",)),
        "contact": ("Contact_GetAllContacts", ("contactId",)),
    }[name]
    sink: Any = open_sink(format, directory / name, operation_id=operation, part_bytes=1 << 20, identity=identity)
    for start in range(0, len(rows), 4):
        sink.write(page(json.dumps(rows[start : start + 4]).encode()))
    parts = sink.finish()
    put_in_place(directory / name)
    return ResourceEntry(
        rows=len(rows), unique=None, verdict="proven", reason="", total_first=None, total_last=None, requests=1,
        parts=parts, format=format, columns=columns_written(format, operation), identity=identity,
        unfit=sink.notes.unfit.counts(),
    )  # fmt: skip


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(("name", "field"), [("customer", "number"), ("contact", "contactId")])
def test_every_key_is_read_as_it_was_sent(tmp_path: Path, name: str, field: str, format: str) -> None:  # noqa: A002
    """Whatever JSON a server sends as the key: a column that cannot hold it takes nothing from it."""
    keys = [*TEXTS, *ODD] if name == "customer" else [*range(5), *ODD]
    rows = [{field: key, "unknown": key} for key in keys]
    entry = entry_of(tmp_path, name, rows, format)
    reader = row_reader(tmp_path, name, entry)
    for read in (reader.keys(entry.parts[0]), (keys for keys, _ in reader.batches(entry.parts[0]))):
        assert [json.loads(key) for some in read for key in some] == [[key] for key in keys]


def test_cells_that_tell_their_key_cost_nothing(tmp_path: Path) -> None:
    entry = entry_of(tmp_path, "customer", [{"number": key} for key in ("a", "-1", "+47 22", "x,y", None)], "csv")
    rows = (tmp_path / entry.parts[0].file).read_text().splitlines()[1:]
    assert all(row.endswith(",") for row in rows)  # nothing in `_extra`


@pytest.mark.parametrize(
    ("spellings", "key"),
    [
        ("7 7.0 7e0 70E-1", "7"), ("0 -0 0.00 -0e5", "0"), ("7.5 7.50 75e-1", "7.5"),
        ("1e999999999 10e999999998", "1E+999999999"),
        (f"{'1' * 40}.5 {'1' * 40}.50", f"{'1' * 40}.5"), (f"{2**70}", f"{2**70}"), ("1e99999999999999999999", None),
        ('"sø" "s\\u00f8"', '"sø"'), ('"7.0"', None), ('"a,7.0"', None), ('{"a":7.0}', None),
        ('"\\ud800"', None), ("true", None),
    ],
)  # fmt: skip
def test_a_key_has_one_spelling(spellings: str, key: str | None) -> None:
    for spelling in spellings.split():
        made = key_of_name(b"\0".join((b'"a"', spelling.encode(), b"7")))
        assert made.decode() == f'["a",{key or spelling},7]'


@pytest.mark.parametrize("format", FORMATS)
async def test_a_number_that_is_written_in_another_way_is_the_same_record(tmp_path: Path, format: str) -> None:  # noqa: A002
    async with live(rows={"project": 2}) as site:
        plan: dict[str, Any] = {"to": tmp_path / "o", "format": format, "incremental": True, "deletions": True}
        await site.visma.export("project", **plan)
        for row in [*site.sim.truth("project").rows()]:
            site.sim.touch("project", row["projectID"], internalID=float(row["internalID"]), description="new")
        (sweep,) = [run.sweep for run in (await site.visma.export("project", **plan)).resources["project"].runs[1:]]
    assert sweep is not None
    assert (sweep.verdict, sweep.deleted, sweep.restored) == ("proven", 0, 0)
    assert (await to_thread.run_sync(lambda: compact(tmp_path / "o", to=tmp_path / "c"))).rows == 2
    if format != "csv":
        with open_duckdb(tmp_path / "o") as db:
            assert db.sql("SELECT description FROM project").fetchall() == [("new",), ("new",)]
        assert open_polars(tmp_path / "o")["project"].collect()["description"].to_list() == ["new", "new"]


def opened_names(root: Path) -> list[str]:
    with open_duckdb(root) as db:
        relation = db.sql("SELECT * FROM customer")
        names = sorted(name for (name,) in db.sql("SELECT name FROM customer").fetchall())
        frame = open_polars(root)["customer"].collect()
        assert relation.columns == frame.columns
    assert sorted(frame["name"]) == names
    return names


def compacted_keys(root: Path, to: Path) -> set[Any]:
    entry = compact(root, to=to).resources["customer"]
    assert list(diff(to, root)) == []
    with LatestRows() as latest:
        latest.apply(row_reader(to, "customer", entry))
        return {json.loads(key)[0] for key, _ in latest.rows()}


@pytest.mark.parametrize("format", FORMATS)
async def test_records_stay_apart_run_after_run(tmp_path: Path, format: str) -> None:  # noqa: A002
    async with live(rows={"customer": 0}) as site:
        keys: list[Any] = [*range(1000, 1006), "=1+1", "a;'=1"]
        for key in keys:
            site.sim.add("customer", number=str(key), name="old")
            site.sim.touch("customer", str(key), number=key)  # a number where the catalog has a text
        plan: dict[str, Any] = {"to": tmp_path / "o", "format": format, "incremental": True}
        await site.visma.export("customer", **plan)
        site.sim.touch("customer", "1000", name="changed")
        site.sim.add("customer", number="a;=1", name="new")
        keys.append("a;=1")
        await site.visma.export("customer", **plan)
        if format != "csv":
            assert opened_names(tmp_path / "o") == ["changed", "new", *["old"] * 7]
        assert await to_thread.run_sync(compacted_keys, tmp_path / "o", tmp_path / "c") == set(keys)
        gone = [1001, "=1+1"]
        for key in gone:
            site.sim.remove("customer", str(key))
        manifest = await site.visma.export("customer", **plan, deletions=True)  # no file has the keys but the rows' own
    sweep = manifest.resources["customer"].runs[-1].sweep
    assert sweep is not None
    assert (sweep.verdict, sweep.deleted, sweep.restored) == ("proven", 2, 0)
    if format != "csv":
        assert opened_names(tmp_path / "o") == ["changed", "new", *["old"] * 5]
    assert await to_thread.run_sync(compacted_keys, tmp_path / "o", tmp_path / "d") == {*keys} - {*gone}


@pytest.mark.parametrize("format", FORMATS)
def test_rows_without_a_key_are_not_merged(tmp_path: Path, format: str) -> None:  # noqa: A002
    for number, empty in enumerate((None, "")):
        root = tmp_path / str(number)
        rows: list[dict[str, Any]] = [{"number": empty, "name": "a"}, {"number": "1"}]
        entry = entry_of(root, "customer", rows, format)
        with LatestRows() as latest:
            latest.apply(row_reader(root, "customer", entry))  # that may be one record
            assert len(latest) == 2
        entry = entry_of(root / "several", "customer", [*rows, {"number": empty, "name": "b"}], format)
        with LatestRows() as latest, pytest.raises(ExportError, match="left empty") as caught:
            latest.apply(row_reader(root / "several", "customer", entry))
        assert "may take the place of another" in str(caught.value)


@pytest.mark.parametrize("format", ["jsonl", "parquet"])
@pytest.mark.parametrize(
    ("name", "fields"),
    [("customer", {"number": ""}), ("discount", {"discountCode": "D1", "series": None})],
)
async def test_rows_without_a_key_are_not_opened_as_if_they_had_one(
    tmp_path: Path,
    name: str,
    fields: dict[str, Any],
    format: str,  # noqa: A002
) -> None:
    """A key that lacks one of its parts names no record either."""
    async with live(rows={name: 0}) as site:
        plan: dict[str, Any] = {"to": tmp_path / "o", "format": format, "incremental": True}
        (first,) = site.sim.add(name, **fields)
        await site.visma.export(name, **plan)
        await to_thread.run_sync(lambda: compact(tmp_path / "o", to=tmp_path / "first"))
        site.sim.add(name)
        await site.visma.export(name, **plan)
        assert open_polars(tmp_path / "o")[name].collect().height == 2  # that may be one record
        with open_duckdb(tmp_path / "o") as db:
            assert db.sql(f"SELECT count(*) FROM {name}").fetchall() == [(2,)]
        site.sim.remove(name, first)
        # another, which nothing tells apart
        site.sim.touch(name, *site.sim.add(name, **fields), createdDateTime="2020-01-01T00:00:00")
        await site.visma.export(name, **plan)
        await site.visma.export(name, to=tmp_path / "other", format=format)
    for opened in (open_duckdb, open_polars):
        with pytest.raises(ExportError, match=rf"has several rows whose .*{[*fields][-1]} the server left empty"):
            opened(tmp_path / "o")
    with pytest.raises(ExportError, match="left empty"):
        list(diff(tmp_path / "first", tmp_path / "other"))


def test_a_key_that_lacks_a_part_is_no_tombstone() -> None:
    keys = [b'["1"]', b'["D1,null"]', b'["null"]', b'["a,\\"\\",b"]']
    with KeyIndex() as index:
        index.add([*keys, b"[null]", b'[""]', b'["D1",null]', b'["","D1"]', b"[null,null]", b'["D1","",7]'])
        assert list(index.unseen()) == sorted(keys)


@pytest.mark.parametrize("options", [{}, {"neutralise_formulas": False}, {"delimiter": ";"}])
def test_keys_of_csv_with_other_options(tmp_path: Path, options: dict[str, Any]) -> None:
    chosen = CsvOptions(**options)
    sink: Any = open_sink(
        "csv",
        tmp_path / "customer",
        operation_id="Customer_GetAll",
        part_bytes=1 << 20,
        options=chosen,
        identity=["number"],
    )
    sink.write(page(json.dumps([{"number": key} for key in TEXTS]).encode()))
    parts = sink.finish()
    put_in_place(tmp_path / "customer")
    entry = ResourceEntry(
        rows=len(TEXTS), unique=None, verdict="proven", reason="", total_first=None, total_last=None, requests=1,
        parts=parts, format="csv", format_options=chosen.for_readers, columns=columns_written("csv", "Customer_GetAll"),
    )  # fmt: skip
    (keys,) = row_reader(tmp_path, "customer", entry).keys(parts[0])
    assert [json.loads(key) for key in keys] == [[key] for key in TEXTS]

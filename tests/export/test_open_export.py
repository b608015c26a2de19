"""Exports opened in DuckDB and polars: exact, each record once, in its latest version."""

from __future__ import annotations

from decimal import Decimal
from shutil import copytree
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from tests.paging.live import Live, live
from vismanet_async.errors import ExportError, RequestRefused
from vismanet_async.exports import Manifest, open_duckdb, open_polars

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

AMOUNT = Decimal("12345678901234.5678")


@pytest.fixture
async def site() -> AsyncIterator[Live]:
    async with live(rows={"customer": 40}) as made:
        yield made


async def three_runs(site: Live, to: Path, format: str, *, deletions: bool = False) -> dict[str, Any]:  # noqa: A002 - what it is called everywhere
    """Export incrementally while rows change; returns the credit limits by number as they are in the end."""
    plan: dict[str, Any] = {"to": to, "format": format, "incremental": True, "deletions": deletions}
    await site.visma.export("customer", **plan)
    for amount in (Decimal("1.5"), AMOUNT):
        site.sim.touch("customer", count=3, creditLimit=amount)
        site.sim.add("customer", count=1)
        if deletions:
            site.sim.remove("customer", count=2)
        await site.visma.export("customer", **plan)
    return {row["number"]: row.get("creditLimit") for row in site.sim.truth("customer").rows()}


@pytest.mark.parametrize("deletions", [False, True])
@pytest.mark.parametrize("format", ["parquet", "jsonl", "jsonl.gz", "jsonl.zst"])
async def test_each_record_is_there_once_in_its_latest_version(
    site: Live,
    tmp_path: Path,
    format: str,  # noqa: A002 - as above
    *,
    deletions: bool,
) -> None:
    truth = await three_runs(site, tmp_path, format, deletions=deletions)
    assert AMOUNT in truth.values()
    assert bool(Manifest.read(tmp_path).resources["customer"].tombstones) == deletions
    with open_duckdb(tmp_path) as db:
        found = db.sql("select number, creditLimit from customer").fetchall()
        assert len(found) == len(truth)
        assert dict(found) == truth
        assert db.sql("select distinct typeof(creditLimit) from customer").fetchall() == [("DECIMAL(18,4)",)]
        columns = [name for name, *_ in db.sql("describe customer").fetchall()]
    frame = open_polars(tmp_path)["customer"].collect()
    assert frame.schema["creditLimit"] == pl.Decimal(18, 4)
    assert dict(zip(frame["number"], frame["creditLimit"], strict=True)) == truth
    assert frame.columns == columns


@pytest.mark.parametrize("format", ["parquet", "jsonl"])
async def test_a_record_whose_key_lacks_a_part_is_not_reported_as_gone(tmp_path: Path, format: str) -> None:  # noqa: A002 - as above
    async with live(rows={"discount": 3}) as site:
        plan: dict[str, Any] = {"to": tmp_path, "format": format, "incremental": True, "deletions": True}
        lacking, whole = (site.sim.add("discount", discountCode="D1", series=series)[0] for series in (None, "None"))
        await site.visma.export("discount", **plan)
        truth = {(row["discountCode"], row["series"]) for row in site.sim.truth("discount").rows()} - {("D1", "None")}
        site.sim.remove("discount", lacking)
        site.sim.remove("discount", whole)
        entry = (await site.visma.export("discount", **plan)).resources["discount"]
    assert [part.rows for part in entry.tombstones] == [1]
    assert ("D1", None) in truth
    with open_duckdb(tmp_path) as db:
        assert {*db.sql("select discountCode, series from discount").fetchall()} == truth
    assert {*open_polars(tmp_path)["discount"].select("discountCode", "series").collect().rows()} == truth


@pytest.mark.parametrize("format", ["parquet", "jsonl"])
async def test_a_list_whose_records_are_all_gone_has_its_columns_and_no_row(
    site: Live,
    tmp_path: Path,
    format: str,  # noqa: A002 - as above
) -> None:
    plan: dict[str, Any] = {"to": tmp_path, "format": format, "incremental": True, "deletions": True}
    await site.visma.export("customer", **plan)
    site.sim.remove("customer", count=40)
    entry = (await site.visma.export("customer", **plan)).resources["customer"]
    assert (entry.rows, [part.rows for part in entry.tombstones]) == (40, [40])
    with open_duckdb(tmp_path) as db:
        found = db.sql("select * from customer")
        assert found.fetchall() == []
        columns = found.columns
    frame = open_polars(tmp_path)["customer"].collect()
    assert (frame.height, frame.schema["creditLimit"], frame.columns) == (0, pl.Decimal(18, 4), columns)


async def test_only_the_files_of_the_manifest_are_read(site: Live, tmp_path: Path) -> None:
    manifest = await site.visma.export(["customer", "supplier"], to=tmp_path, format="parquet")
    part = tmp_path / "customer" / "part-00000.parquet"
    (tmp_path / "customer" / "part-00001.parquet").write_bytes(part.read_bytes())  # of a run that is not published
    assert manifest.files("customer") == ["customer/part-00000.parquet"]
    assert Manifest.read(tmp_path).files("customer", within=str(tmp_path)) == [str(part)]
    with open_duckdb(tmp_path) as db:
        assert db.sql("select count(*) from customer").fetchall() == [(40,)]
    frames = open_polars(tmp_path)
    assert set(frames) == {"customer", "supplier"}
    assert frames["customer"].collect().height == 40
    with pytest.raises(RequestRefused, match="only customer, supplier"):
        manifest.files("invoice")


@pytest.mark.parametrize("opened", [open_duckdb, open_polars])
async def test_what_cannot_be_read_exactly_is_refused(site: Live, tmp_path: Path, opened: Any) -> None:
    with pytest.raises(ExportError, match="nothing is published"):
        opened(tmp_path)
    await site.visma.export("customer", to=tmp_path, format="csv")
    with pytest.raises(RequestRefused, match="csv, which has no types"):
        opened(tmp_path)
    await site.visma.export("customer", to=tmp_path, format="parquet")
    part = tmp_path / "customer" / "part-00000.parquet"
    part.write_bytes(part.read_bytes() + b"\0")
    with pytest.raises(ExportError, match=r"part-00000\.parquet has \d+ bytes"):
        opened(tmp_path)
    part.unlink()
    with pytest.raises(ExportError, match=r"part-00000\.parquet is missing"):
        opened(tmp_path)
    with pytest.raises(RequestRefused, match="is in a store"):
        opened("memory://there")


async def test_a_path_is_neither_a_pattern_nor_does_it_hold_columns(site: Live, tmp_path: Path) -> None:
    """DuckDB takes paths for patterns, and `status=all` in one for the value of a column; so may other readers."""
    for name in ("one", "other"):
        for _ in range(2):  # of one run, and of several
            site.sim.add("customer", 1)
            await site.visma.export("customer", to=tmp_path / name, format="parquet", incremental=True)
    places = {"acme[1]": "acme1", "a*": "ab", "a?": "ac", "x**[!b]": "xa", "w]x[": "w", "status=all/company=fjord": "c"}
    for place, matching in places.items():
        copytree(tmp_path / "one", tmp_path / "in" / place)
        copytree(tmp_path / "other", tmp_path / "in" / matching)
    for place in places:
        frame = open_polars(tmp_path / "in" / place)["customer"].collect()
        with open_duckdb(tmp_path / "in" / place) as db:
            assert db.sql("SELECT count(*) FROM customer").fetchall() == [(42,)]
            assert db.sql("SELECT * FROM customer").columns == frame.columns
            found = [status for (status,) in db.sql("SELECT status FROM customer ORDER BY number").fetchall()]
        assert found == frame.sort("number")["status"].to_list()
        assert frame.height == 42
        assert "all" not in found
    copytree(tmp_path / "one", tmp_path / "b\\[1]")
    with pytest.raises(RequestRefused, match="open it with open_polars"):
        open_duckdb(tmp_path / "b\\[1]")
    assert open_polars(tmp_path / "b\\[1]")["customer"].collect().height == 42
    assert open_polars(copytree(tmp_path / "one", tmp_path / "b\\1"))["customer"].collect().height == 42


async def test_names_with_quotes_are_only_names(site: Live, tmp_path: Path) -> None:
    to = tmp_path / 'o\'clock "x"'
    await site.visma.export("customer", to=to, format="parquet")
    with open_duckdb(to) as db:
        assert db.sql("select count(*) from customer").fetchall() == [(40,)]
    assert open_polars(to)["customer"].collect().height == 40

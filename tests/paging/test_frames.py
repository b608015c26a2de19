"""Whole lists as tables: the rows of an export to Parquet, with the verdict, whatever happens meanwhile."""

# mypy: disable-error-code="unused-awaitable"
# listings are values here

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import anyio
import duckdb
import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from anyio import to_thread

from tests.api.support import Recorder, reply
from tests.paging.live import Live, live
from tests.support.clock import VirtualClock
from vismanet_async._columns.schema import arrow_schema, columns_of
from vismanet_async._operation import OperationSpec
from vismanet_async._paging import frames
from vismanet_async._paging.frames import VERDICT_KEY
from vismanet_async._paging.list_spec import ListSource
from vismanet_async._paging.listing import Listing
from vismanet_async.errors import IncompleteListing, RequestRefused, UnexpectedResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

ROWS = 95
SCHEMA = arrow_schema(columns_of("Customer_GetAll"))


@pytest.fixture
async def site() -> AsyncIterator[Live]:
    async with live(rows={"customer": ROWS}) as made:
        yield made


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "_BATCH_BYTES", 20_000)
    monkeypatch.setattr(frames, "_BATCHES_JOINED", 2)


def customers(site: Live, **options: Any) -> Listing[Any]:
    return site.visma.customer.list(page_size=10).with_options(**options)


def said(table: pa.Table) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(table.schema.metadata[VERDICT_KEY.encode()])
    return found


async def test_the_table_is_what_an_export_to_parquet_writes(site: Live, tmp_path: Path) -> None:
    listing = customers(site)
    table = await listing.to_arrow()
    assert table.column("number").num_chunks > 2
    await site.visma.export("customer", to=tmp_path, format="parquet")
    there = pq.read_table(tmp_path / "customer" / "part-00000.parquet")
    assert table.schema.remove_metadata() == there.schema == SCHEMA
    # the total in the metadata of a row belongs to its answer
    assert table.drop_columns("metadata").to_pylist() == there.drop_columns("metadata").to_pylist()
    table.validate(full=True)


async def test_the_metadata_hold_the_verdict(site: Live) -> None:
    listing = customers(site, completeness="prove")
    table = await listing.to_arrow()
    assert listing.completeness is not None
    assert {name: said(table)[name] for name in ("operation", "rows", "verdict", "watermark", "unfit")} == {
        "operation": "Customer_GetAll",
        "rows": ROWS,
        "verdict": "proven",
        "watermark": listing.completeness.watermark,
        "unfit": {},
    }


async def test_records_and_tables_hold_the_same(site: Live) -> None:
    rows = await customers(site)
    table = await customers(site).to_arrow()
    assert table["number"].to_pylist() == [row.number for row in rows]
    assert table["creditLimit"].to_pylist() == [row.credit_limit for row in rows]
    assert table["mainAddress"].combine_chunks().field("city").to_pylist() == [row.main_address.city for row in rows]


async def test_amounts_that_do_not_fit_are_counted(site: Live) -> None:
    (key,) = site.sim.touch("customer", count=1, creditLimit=Decimal("0.123456789"))
    table = await customers(site).to_arrow()
    assert said(table)["unfit"] == {"creditLimit": 1}
    (row,) = (row for row in table.to_pylist() if row["number"] == key)
    assert (row["creditLimit"], row["_extra"]) == (None, '{"creditLimit":0.123456789}')


async def test_other_libraries_take_it(site: Live) -> None:
    table = await customers(site).to_arrow()
    total = sum(value for value in table["creditLimit"].to_pylist() if value is not None)
    with duckdb.connect() as db:
        db.register("customer", table)
        assert db.execute("select count(*), sum(creditLimit) from customer").fetchone() == (ROWS, total)
    frame = await customers(site).to_polars()
    assert frame.schema["creditLimit"] == pl.Decimal(18, 4)
    assert frame["creditLimit"].to_list() == table["creditLimit"].to_pylist()


async def test_pandas_keeps_the_types(site: Live) -> None:
    pandas = pytest.importorskip("pandas")
    frame = await customers(site).to_pandas()
    assert frame["creditLimit"].dtype == pandas.ArrowDtype(pa.decimal128(18, 4))
    assert frame["creditDaysPastDue"].dtype == pandas.ArrowDtype(pa.int64())
    assert frame["number"].tolist() == site.sim.truth("customer").keys
    assert frame.attrs[VERDICT_KEY]["verdict"] == "proven"


async def test_a_library_that_takes_arrow_reads_the_list_from_a_worker_thread(site: Live) -> None:
    listing = customers(site)
    frame = await to_thread.run_sync(pl.DataFrame, listing)
    assert frame.height == ROWS
    asked = site.sim.requests.total
    with pytest.raises(RuntimeError, match=r"await listing.to_arrow\(\).*Nothing was sent"):
        pa.table(listing)
    assert site.sim.requests.total == asked


async def test_an_empty_list_has_the_columns() -> None:
    async with live(rows={"customer": 0}) as site:
        table = await customers(site).to_arrow()
        assert table.schema.remove_metadata() == SCHEMA
        assert (table.num_rows, said(table)["rows"]) == (0, 0)


async def test_a_limit_is_kept_and_claims_nothing(site: Live) -> None:
    site.sim.touch("customer", count=ROWS, creditLimit=Decimal("0.00001"))
    table = await customers(site, limit=12).to_arrow()
    assert table.num_rows == 12
    assert said(table)["verdict"] is None
    assert said(table)["unfit"] == {"creditLimit": 12}


async def test_a_newer_version_of_a_row_replaces_the_older_one() -> None:
    async with live(rows={"customer": 120}, concurrency=1) as site:
        site.sim.behaviours.list_order = "last_modified"
        site.sim.touch("customer", count=60, creditLimit=Decimal("0.00001"))
        churn = site.sim.churn("customer", every_requests=2, touch=2)
        listing = site.visma.customer.list(page_size=20).with_options(completeness="prove")
        table = await listing.to_arrow()
        assert listing.completeness is not None
        assert listing.completeness.superseded > 0
        assert churn.seen > 2
        assert sorted(table["number"].to_pylist()) == sorted(site.sim.truth("customer").keys)
        # rows that are not in the table do not count
        assert said(table)["unfit"] == {"creditLimit": 60}


async def test_an_incomplete_list_makes_no_table() -> None:
    async with live(rows={"customer": 90}, behaviours={"list_order": "unstable"}) as site:
        with pytest.raises(IncompleteListing):
            await customers(site).to_arrow()
        table = await customers(site, allow_uncertain=True).to_arrow()
        assert said(table)["verdict"] == "uncertain"


async def test_a_row_that_cannot_be_read_is_an_error_with_its_place(site: Live) -> None:
    source = ListSource(
        spec=customers(site)._source.spec, path="/v1/customer", style="unpaged", model=lambda: dict, identity=()
    )
    body = b'[{"number":"1"},{"number":"\xff"}]'
    broken = Recorder(reply(body), reply(body), reply(body))
    listing: Listing[Any] = Listing(source, sender=broken, clock=VirtualClock())
    with pytest.raises(UnexpectedResponse, match=r"Customer_GetAll: row 1 .* cannot be read: .* No table was made\."):
        await listing.to_arrow()


@pytest.mark.parametrize("library", ["pyarrow", "polars", "pandas"])
async def test_a_missing_library_is_asked_for_before_anything_is_sent(
    site: Live, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_module = __import__("importlib").import_module

    def missing(module: str) -> Any:
        if module.partition(".")[0] == library:
            raise ModuleNotFoundError(f"No module named {module!r}")
        return import_module(module)

    monkeypatch.setattr("vismanet_async._extras.importlib.import_module", missing)
    asked = site.sim.requests.total
    method = {"pyarrow": "to_arrow", "polars": "to_polars", "pandas": "to_pandas"}[library]
    extra = {"pyarrow": "arrow"}.get(library, library)
    with pytest.raises(
        RequestRefused, match=rf"{library} is not installed.*nothing was sent.*vismanet-async\[{extra}\]"
    ):
        await getattr(customers(site), method)()
    assert site.sim.requests.total == asked


async def test_a_list_without_columns_is_refused() -> None:
    spec = OperationSpec(id="Nothing_Here", method="GET", path="/v1/nothing")
    source = ListSource(spec=spec, path="/v1/nothing", style="unpaged", model=lambda: dict, identity=())
    sender = Recorder()
    listing: Listing[Any] = Listing(source, sender=sender, clock=VirtualClock())
    with pytest.raises(RequestRefused, match="nothing was sent"):
        await listing.to_arrow()
    assert sender.requests == []


async def test_cancelling_at_any_moment_leaves_nothing() -> None:
    async with live(rows={"customer": ROWS}, latency=0.5) as site:
        await site.visma.customer.list().count()  # the token is there
        for turns in (0, 1, 3, 8, 21, 55, 144, 377):
            async with anyio.create_task_group() as group:
                group.start_soon(customers(site).to_arrow)
                for _ in range(turns):
                    await asyncio.sleep(0)
                group.cancel_scope.cancel()
            assert site.visma.sender.limiter.in_flight == 0
            await site.rest()

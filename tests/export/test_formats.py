"""Whole exports in every format, with the real client on the simulator."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import anyio
import duckdb
import msgspec
import polars as pl
import pytest

from tests.transport.wire import answer, wire_server
from vismanet_async._client import VismaNet
from vismanet_async._export.events import PageWritten
from vismanet_async._export.formats.csv import CsvOptions
from vismanet_async._export.formats.parquet import ParquetOptions
from vismanet_async._export.formats.registry import FORMATS
from vismanet_async._export.plan import ExportPlan
from vismanet_async._export.run import Export
from vismanet_async._export.target.manifest import validate
from vismanet_async._http.auth.credentials import StaticToken
from vismanet_async.errors import RequestRefused
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

RESOURCE = "customer_invoice"
ROWS = {RESOURCE: 300, "supplier": 120}


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(seed=5, rows=ROWS) as running:
        yield running


async def export(simulator: Simulator, to: Path, *, stop_after: int | None = None, **plan: Any) -> None:
    token = StaticToken(simulator.issue_token())
    options: dict[str, Any] = {"resources": list(ROWS), "to": to, "page_size": 50, "completeness": "count", **plan}
    async with VismaNet(token, base_url=simulator.base_url, concurrency=2) as visma:
        run = Export(visma, ExportPlan(**options), company=simulator.tenant_id)
        if stop_after is None:
            await run
            return
        pages = 0
        with anyio.CancelScope() as scope:
            async for event in run:
                pages += isinstance(event, PageWritten)
                if pages == stop_after:
                    scope.cancel()


def content(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("part-*")}


@pytest.mark.parametrize("output_format", FORMATS)
async def test_a_stopped_export_goes_on_and_writes_the_same_bytes(
    simulator: Simulator, tmp_path: Path, output_format: str
) -> None:
    await export(simulator, tmp_path / "whole", format=output_format)
    asked = simulator.requests.total
    await export(simulator, tmp_path / "out", format=output_format, stop_after=4)
    assert not (tmp_path / "out" / "manifest.json").exists()
    await export(simulator, tmp_path / "out", format=output_format)
    manifest = validate(tmp_path / "out")
    assert {name: entry.format for name, entry in manifest.resources.items()} == dict.fromkeys(ROWS, output_format)
    assert content(tmp_path / "out") == content(tmp_path / "whole")
    assert all(name.endswith(f".{output_format}") for name in content(tmp_path / "out"))
    assert simulator.requests.total - asked < asked + 7  # what was written was not asked for again
    assert not (tmp_path / "out" / ".export").exists()


@pytest.mark.parametrize(
    ("options", "fingerprint"),
    [
        ({"format": "jsonl"}, "9462ad213958f5f4"),
        ({"format": "csv"}, "2882347c4eaafcbb"),
        (
            {"format": "csv", "format_options": CsvOptions(delimiter=";", header=False, decimal_comma=True)},
            "d43723e543c0f58c",
        ),
        (
            {"format": "parquet", "format_options": ParquetOptions(compression="none", row_group_bytes=7)},
            "6c1bd5cad3b36eeb",
        ),
    ],
)
def test_fingerprints_are_those_of_earlier_versions(options: dict[str, Any], fingerprint: str, tmp_path: Path) -> None:
    plan = ExportPlan(resources={"customer": {"status": "Active"}, "supplier": {}}, to=tmp_path, **options)
    assert plan.fingerprint(company="c", base_url="https://a") == fingerprint


@pytest.mark.parametrize("output_format", ["jsonl", "parquet"])
def test_options_of_another_format_are_refused(output_format: str, tmp_path: Path) -> None:
    with pytest.raises(RequestRefused, match=r"format_options takes .*None, not CsvOptions; nothing was sent"):
        ExportPlan(resources="customer", to=tmp_path, format=output_format, format_options=CsvOptions())


async def test_every_format_holds_the_same_amounts(simulator: Simulator, tmp_path: Path) -> None:
    for output_format in FORMATS:
        await export(simulator, tmp_path / output_format, format=output_format)
    lines = (tmp_path / "jsonl" / RESOURCE / "part-00000.jsonl").read_bytes().splitlines()
    rows = [msgspec.json.decode(line, type=_Invoice) for line in lines]
    assert len(rows) == ROWS[RESOURCE]
    assert any(row.invoiceLines for row in rows)
    expected = [(row.referenceNumber, row.amount, [line.unitPrice for line in row.invoiceLines]) for row in rows]

    parquet = str(tmp_path / "parquet" / RESOURCE / "*.parquet")
    frame = pl.read_parquet(parquet).select("referenceNumber", "amount", "invoiceLines", "_extra")
    assert [
        (number, amount, [line["unitPrice"] for line in lines]) for number, amount, lines, _ in frame.iter_rows()
    ] == expected
    assert frame["_extra"].null_count() == len(rows)  # the catalog knows all that came
    table = f"read_parquet('{parquet}')"
    query = f"select referenceNumber, amount, [l.unitPrice for l in invoiceLines] from {table}"
    with duckdb.connect() as db:
        assert db.execute(query).fetchall() == expected
    comma = pl.read_csv(tmp_path / "csv" / RESOURCE / "*.csv", infer_schema=False)
    assert [(number, Decimal(amount)) for number, amount in comma.select("referenceNumber", "amount").iter_rows()] == [
        one[:2] for one in expected
    ]


class _Line(msgspec.Struct):
    unitPrice: Decimal | None = None  # noqa: N815 - the API's name


class _Invoice(msgspec.Struct):
    referenceNumber: str  # noqa: N815 - as above
    amount: Decimal
    invoiceLines: list[_Line] = []  # noqa: N815 - as above


@pytest.mark.parametrize(("charset", "encoding"), [("iso-8859-1", "latin-1"), ("utf-16", "utf-16")])
async def test_pages_in_another_character_set_are_written_as_utf8(charset: str, encoding: str, tmp_path: Path) -> None:
    row = '{"number":"1","name":"Blåbær","lastModifiedDateTime":"2025-01-01T00:00:00","metadata":{"totalCount":1}}'
    body = answer(200, f"[{row}]".encode(encoding), Content_Type=f"application/json; charset={charset}")
    async with wire_server() as wire, VismaNet(StaticToken("t"), base_url=wire.url) as visma:
        wire.default = (body,)
        assert [customer.name for customer in await visma.customer.list()] == ["Blåbær"]
        first = await visma.customer.list().first()
        assert first is not None
        assert first.name == "Blåbær"
        manifest = await visma.export("customer", to=tmp_path, format="jsonl")
    (part,) = manifest.resources["customer"].parts
    assert (tmp_path / part.file).read_text("utf-8") == f"{row}\n"

"""The recipes of `docs/how-to/warehouses.md`: after each run the table is the server's truth, to the last digit."""

from __future__ import annotations

import importlib.util
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from tests.docs.blocks import ROOT, pages
from tests.jobs.postgres import new_database, postgres
from vismanet_async import ClientCredentials, VismaNet
from vismanet_async.exports import open_duckdb
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

NAMES = {"customer": ("number",), "customer_invoice": ("documentType", "referenceNumber")}
FIELDS = ("amount", "balance", "creditLimit", "exchangeRate", "description", "name")
Row = dict[str, Any]


def recipe(name: str) -> Any:
    """Return the function of this name that the page defines."""
    page = next(page for page in pages() if page.path == ROOT / "docs/how-to/warehouses.md")
    code = next(block.code for block in page.blocks if f"def {name}(" in block.code)
    known: dict[str, Any] = {}
    exec(compile(code, name, "exec", dont_inherit=True), known)
    return known[name]


class Books:
    """A company, an export of it, and what the export has to hold."""

    def __init__(self, simulator: Simulator, visma: VismaNet, out: Path) -> None:
        self.simulator = simulator
        self.visma = visma
        self.out = str(out)

    async def change(self) -> None:
        """Be the others, and export what became of it."""
        self.simulator.touch("customer_invoice", count=1, amount=Decimal("99999999999999.9999"))
        for name in NAMES:
            self.simulator.remove(name, count=3)
            self.simulator.touch(name, count=3)
            self.simulator.add(name, count=2, where="random")
        await self.export()

    async def export(self) -> None:
        await self.visma.export([*NAMES], to=self.out, format="parquet", incremental=True, deletions=True)

    def truth(self, name: str) -> dict[tuple[str, ...], Row]:
        rows = self.simulator.truth(name).rows()
        return {
            tuple(row[key] for key in NAMES[name]): {field: row.get(field) for field in FIELDS if field in row}
            for row in rows
        }


@pytest.fixture
async def books(tmp_path: Path) -> AsyncIterator[Books]:
    async with Simulator(rows={"customer": 60, "customer_invoice": 60}) as simulator:
        credentials = ClientCredentials(simulator.client_id, simulator.client_secret, tenant_id=simulator.tenant_id)
        async with VismaNet(credentials, base_url=simulator.base_url, token_url=simulator.token_url) as visma:
            made = Books(simulator, visma, tmp_path / "out")
            await made.export()
            yield made


def as_truth(books: Books, name: str, rows: list[Row]) -> dict[tuple[str, ...], Row]:
    """Return rows as `Books.truth` has them."""
    truth = books.truth(name)
    fields = {field for row in truth.values() for field in row}
    found = {tuple(row[key] for key in NAMES[name]): row for row in rows}
    assert len(found) == len(rows)
    return {
        key: {field: row[field] for field in FIELDS if field in truth.get(key, fields)} for key, row in found.items()
    }


@pytest.fixture(scope="module")
def postgres_server() -> Iterator[str]:
    with postgres() as url:
        yield url


async def test_postgresql(books: Books, postgres_server: str) -> None:
    mirror = recipe("mirror_in_postgresql")
    async with new_database(postgres_server) as address:
        url = address.replace("+asyncpg", "")
        for number in range(2):
            if number:
                await books.change()
            for name in NAMES:
                await mirror(books.out, name, url)
            connection = await asyncpg.connect(url)
            for name in NAMES:
                rows = [dict(row) for row in await connection.fetch(f'SELECT * FROM "{name}"')]
                assert as_truth(books, name, rows) == books.truth(name)
            amounts = await connection.fetch("SELECT amount::text, pg_typeof(amount)::text FROM customer_invoice")
            assert ("99999999999999.9999", "numeric") in [tuple(row) for row in amounts] or not number
            (lines,) = await connection.fetchrow('SELECT "invoiceLines"::text FROM customer_invoice LIMIT 1')
            assert isinstance(json.loads(lines), list)
            await connection.close()


def need(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed: the recipe for it is not run (python -m pip install {package})")


async def mirrored(books: Books, mirror: Callable[[str], None], read: Callable[[str], list[Row]]) -> None:
    for number in range(2):
        if number:
            await books.change()
        for name in NAMES:
            mirror(name)
            rows = read(name)
            assert as_truth(books, name, rows) == books.truth(name)
            with open_duckdb(books.out) as db:  # nested values, too
                assert len(rows) == len(db.sql(f'FROM "{name}"').fetchall())


async def test_delta(books: Books, tmp_path: Path) -> None:
    need("deltalake")
    import deltalake
    import pyarrow.compute as pc

    def table(name: str) -> Any:
        return deltalake.DeltaTable(str(tmp_path / "lake" / name))

    mirror = recipe("mirror_in_delta")
    await mirrored(
        books,
        lambda name: mirror(books.out, name, str(tmp_path / "lake" / name)),
        lambda name: table(name).to_pyarrow_table().to_pylist(),
    )
    large = table("customer_invoice").to_pyarrow_dataset().filter(pc.field("amount") == Decimal("99999999999999.9999"))
    assert large.count_rows() == 1


async def test_iceberg(books: Books, tmp_path: Path) -> None:
    need("pyiceberg")
    from pyiceberg.catalog.sql import SqlCatalog

    catalog = SqlCatalog("books", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{tmp_path}")
    catalog.create_namespace("erp")
    mirror = recipe("mirror_in_iceberg")
    await mirrored(
        books,
        lambda name: mirror(books.out, name, catalog, f"erp.{name}"),
        lambda name: catalog.load_table(f"erp.{name}").scan().to_arrow().to_pylist(),
    )

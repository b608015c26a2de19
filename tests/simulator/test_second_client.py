"""A client that shares no code with the SDK: generated from the simulator's own OpenAPI document by another tool."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.support.hang import HANG_SECONDS
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OPERATIONS = {
    "Customer_GetAll", "Customer_GetBycustomerCd", "Customer_Post", "Customer_PutBycustomerCd",
    "CustomerInvoice_GetByinvoiceNumber", "CustomerInvoice_Create", "CustomerInvoice_ReleaseInvoiceByinvoiceNumber",
}  # fmt: skip
"""Of 509: generating them all takes a minute."""


def part_of(document: dict[str, Any]) -> dict[str, Any]:
    """Leave out the other operations, and the schemas that only they need."""
    paths = {
        path: kept
        for path, methods in document["paths"].items()
        if (kept := {method: one for method, one in methods.items() if one["operationId"] in OPERATIONS})
    }
    schemas, needed, waiting = document["components"]["schemas"], {}, references(paths)
    while waiting:
        name = waiting.pop()
        needed[name] = schemas[name]
        waiting |= references(schemas[name]) - needed.keys()
    return {**document, "paths": paths, "components": {**document["components"], "schemas": needed}}


def references(part: Any) -> set[str]:
    return set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(part)))


@pytest.fixture
def generated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Generate the package `visma_client` from a document; returns what imports its modules."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def generate(document: dict[str, Any]) -> Any:
        (tmp_path / "openapi.json").write_text(json.dumps(part_of(document)), "utf-8")
        (tmp_path / "settings.yaml").write_text("post_hooks: []\n", "utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "openapi_python_client", "generate", "--path", "openapi.json", "--meta", "none",
             "--output-path", "visma_client", "--config", "settings.yaml", "--fail-on-warning"],
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=HANG_SECONDS,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return lambda name: importlib.import_module(f"visma_client.{name}")

    yield generate
    for name in [name for name in sys.modules if name.partition(".")[0] == "visma_client"]:
        del sys.modules[name]


async def fetched(simulator: Simulator) -> dict[str, Any]:
    async with aiohttp.ClientSession() as session, session.get(f"{simulator.base_url}/openapi.json") as answer:
        document: dict[str, Any] = await answer.json()
        return document


async def test_a_generated_client_reads_creates_updates_and_releases(generated: Any) -> None:
    async with Simulator(rows={"customer": 12}) as simulator:
        load = generated(await fetched(simulator))
        client = load("client").AuthenticatedClient(base_url=simulator.base_url, token=simulator.issue_token())
        customer, invoice, models = "api.customer.customer", "api.customer_invoice.customer_invoice", load("models")

        async with client as api:
            pages = [
                (await load(f"{customer}_get_all").asyncio(client=api, page_number=number, page_size=5)) or []
                for number in (1, 2, 3, 4)
            ]
            assert [len(page) for page in pages] == [5, 5, 2, 0]
            assert [row.number for page in pages for row in page] == simulator.truth("customer").keys
            assert pages[0][0].metadata.total_count == 12

            body = models.CustomerUpdateDto.from_dict({"name": {"value": "Blåbær AS"}})
            made = await load(f"{customer}_post").asyncio_detailed(client=api, body=body)
            assert (made.status_code, made.content) == (201, b"")
            number = made.headers["Location"].rpartition("/")[2]
            read = await load(f"{customer}_get_bycustomer_cd").asyncio_detailed(number, client=api)
            assert (read.parsed.name, read.headers["ETag"]) == ("Blåbær AS", made.headers["ETag"])

            body = models.CustomerUpdateDto.from_dict({"name": {"value": "Tyttebær AS"}})
            put = load(f"{customer}_put_bycustomer_cd").asyncio_detailed
            changed = await put(number, client=api, body=body, if_match=read.headers["ETag"])
            stale = await put(number, client=api, body=body, if_match=read.headers["ETag"])
            assert (changed.status_code, stale.status_code) == (204, 412)

            body = models.CustomerInvoiceUpdateDto.from_dict({"customerNumber": {"value": number}})
            made = await load(f"{invoice}_create").asyncio_detailed(client=api, body=body)
            assert made.status_code == 201
            invoice_number = made.headers["Location"].rpartition("/")[2]
            release = load(f"{invoice}_release_invoice_byinvoice_number").asyncio_detailed
            done = await release(invoice_number, client=api)
            assert done.parsed.action_result == "Done"
            assert (await release(invoice_number, client=api)).status_code == 400
            read = await load(f"{invoice}_get_byinvoice_number").asyncio(invoice_number, client=api)
            assert read.status in {"Open", "Closed"}

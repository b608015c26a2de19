"""A client that shares no code with the SDK: generated from the simulator's own OpenAPI document by another tool."""

from __future__ import annotations

import importlib
import json
import pkgutil
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
        (tmp_path / "openapi.json").write_text(json.dumps(document), "utf-8")
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


async def fetched(url: str) -> dict[str, Any]:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        document: dict[str, Any] = await answer.json()
        return document


async def test_a_generated_client_reads_creates_updates_and_releases(generated: Any) -> None:
    async with Simulator(rows={"customer": 12}) as simulator:
        load = generated(part_of(await fetched(f"{simulator.base_url}/openapi.json")))
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


# --- the Sales Order service, whole ---------------------------------------------------------------------------------


def filled(document: dict[str, Any], schema: dict[str, Any], known: dict[str, Any], name: str = "") -> Any:
    """Build a value with everything that a schema has, from the document alone; `known` names what must exist."""
    schema = resolved(document, schema)
    if name in known:
        return known[name]
    if "enum" in schema:
        return next(value for value in schema["enum"] if value)
    if schema["type"] == "object":
        fields = schema.get("properties", {})
        return {key: filled(document, one, known, key) for key, one in fields.items()} or {"1": "000"}
    if schema["type"] == "array":
        return [filled(document, schema["items"], known)]
    text = "2025-05-25T13:30:00Z" if schema.get("format") == "date-time" else name[: schema.get("maxLength")]
    plain = {"string": text, "boolean": True}
    return plain.get(schema["type"], schema.get("maximum", 7))


def resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("allOf", [schema])[0].get("$ref")
    found: dict[str, Any] = document["components"]["schemas"][reference.rpartition("/")[2]] if reference else schema
    return found


_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


def faults(document: dict[str, Any], schema: dict[str, Any], value: Any, place: str) -> Iterator[str]:
    """Yield where a value is not what its schema says."""
    nullable, schema = schema.get("nullable"), resolved(document, schema)
    if value is None:
        yield from () if nullable else (f"{place} is null",)
    elif not isinstance(value, _TYPES[schema["type"]]) or (schema["type"] != "boolean" and isinstance(value, bool)):
        yield f"{place} is {value!r}, no {schema['type']}"
    elif isinstance(value, list):
        for index, one in enumerate(value):
            yield from faults(document, schema["items"], one, f"{place}[{index}]")
    elif isinstance(value, dict):
        other = schema.get("additionalProperties")
        for name, one in value.items():
            inner = schema.get("properties", {}).get(name, other)
            yield from faults(document, inner, one, f"{place}.{name}") if inner else (f"{place}.{name} is unknown",)


class OrderClient:
    """The generated client, called by operation ids as the document has them."""

    def __init__(self, document: dict[str, Any], load: Any, simulator: Simulator) -> None:
        self.document = document
        self.called: set[str] = set()
        self._load = load
        self._operations = {
            one["operationId"]: (one, method) for ways in document["paths"].values() for method, one in ways.items()
        }
        self._modules = {
            self._plain(found.name): f"api.{self._plain(tag)}.{found.name}"
            for tag in ("customers", "inventory", "sales_orders")
            for found in pkgutil.iter_modules(load(f"api.{tag}").__path__)
        }
        self._folders = {"customers": "customers", "inventory": "inventory", "salesorders": "sales_orders"}
        self.api = load("client").AuthenticatedClient(
            base_url=simulator.sales_order_url, token=simulator.issue_token(), raise_on_unexpected_status=True
        )

    @staticmethod
    def _plain(name: str) -> str:
        return name.replace("_", "").lower()

    async def call(self, operation_id: str, *ids: Any, known: dict[str, Any] | None = None, **arguments: Any) -> Any:
        """Call an operation with a full body if it takes one; the answer must be one that the document tells."""
        operation, _ = self._operations[operation_id]
        _, folder, module = self._modules[self._plain(operation_id)].split(".")
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if content:
            name = content["schema"]["$ref"].rpartition("/")[2]
            body = filled(self.document, content["schema"], known or {})
            arguments["body"] = getattr(self._load("models"), name).from_dict(body)
        function = self._load(f"api.{self._folders[folder]}.{module}").asyncio_detailed
        answer = await function(*ids, client=self.api, **arguments)
        told = operation["responses"][str(int(answer.status_code))].get("content")
        assert bool(told) is bool(answer.content)
        if told:
            (schema, *_) = (one["schema"] for one in told.values())
            assert not list(faults(self.document, schema, json.loads(answer.content), operation_id))
        self.called.add(operation_id)
        return answer


async def test_a_generated_client_calls_every_operation_of_the_sales_order_service(generated: Any) -> None:
    rows = {"customer": 12, "inventory": 12, "sales_order": 12}
    async with Simulator(rows=rows) as simulator:
        document = await fetched(f"{simulator.sales_order_url}/swagger/v3/swagger.json")
        client = OrderClient(document, generated(document), simulator)
        async with client.api:
            key = await reads(client, simulator)
            await writes(client, *key)
        assert client.called == {one["operationId"] for ways in document["paths"].values() for one in ways.values()}
        assert len(client.called) == 19


async def reads(client: OrderClient, simulator: Simulator) -> tuple[str, str]:
    kind, number = simulator.truth("sales_order").keys[0].split("/")
    customers = (await client.call("Customers_GetList_", page_size=5, page_index=1)).parsed
    assert [one.id for one in customers.value] == simulator.truth("customer").keys[5:10]
    assert customers.total_count == 12
    assert "pageIndex=2" in customers.next_page
    (place,) = (
        await client.call("Customers_GetCustomerLocationList_customerIdlocations", customers.value[0].id)
    ).parsed
    assert place.address.city
    items = (await client.call("Inventory_GetList_", inventory_id=["V000001", "V000002"])).parsed
    assert [one.inventory_id for one in items.value] == ["V000001", "V000002"]
    orders = (await client.call("SalesOrders_GetList_", order_by="orderId desc")).parsed
    assert sorted(f"{one.type_}/{one.order_id}" for one in orders.value) == sorted(simulator.truth("sales_order").keys)
    of_type = (await client.call("SalesOrders_GetList_type", kind)).parsed
    assert {one.type_ for one in of_type.value} == {kind}
    order = (await client.call("SalesOrders_GetItemAsync_typeorderId", kind, number)).parsed
    total = order.totals.order_total
    lines = (await client.call("SalesOrders_GetItemLines_typeorderIdlines", kind, number)).parsed.value
    line = (await client.call("SalesOrders_GetItemLine_typeorderIdlineslineId", kind, number, lines[-1].line_id)).parsed
    assert line == lines[-1]
    commissions = await client.call("SalesOrders_GetItemCommissions_typeorderIdcommissions", kind, number)
    assert all(one.commissionable_amount == total for one in commissions.parsed)
    assert (await client.call("SalesOrders_GetItemDiscounts_typeorderIddiscounts", kind, number)).parsed
    rot = (await client.call("SalesOrders_GetItemRotRut_typeorderIdrotrut", kind, number)).parsed
    assert isinstance(rot.distributed_automatically, bool)
    assert (await client.call("SalesOrders_GetSalesOrderShipment_typeorderIdshipment", kind, number)).parsed[0].date
    (tax,) = (await client.call("SalesOrders_GetItemTax_typeorderIdtax", kind, number)).parsed
    assert tax.taxable_amount == total
    return kind, number


async def writes(client: OrderClient, kind: str, number: str) -> None:
    known = {"type": kind, "id": "10003", "inventoryId": "V000001", "lineId": 1, "status": "Open"}
    made = await client.call("SalesOrders_CreateNewItem_", known=known)
    assert (made.status_code, made.content) == (201, b"")
    *_, kind, number = made.headers["Location"].split("/")
    read = await client.call("SalesOrders_GetItemAsync_typeorderId", kind, number)
    assert read.headers["ETag"] == made.headers["ETag"] == f'"{read.parsed.version}"'
    key, etag = (kind, number), read.headers["ETag"]
    for operation in (
        "SalesOrders_Patch_typeorderId",
        "SalesOrders_AddLines_typeorderIdlines",
        "SalesOrders_PatchLines_typeorderIdlines",
    ):
        stale = await client.call(operation, *key, known=known, if_match='"AAAA"')
        done = await client.call(operation, *key, known=known, if_match=etag)
        assert (stale.status_code, done.status_code, done.content) == (412, 202, b"")
        assert stale.parsed.status == 412
        etag = done.headers["ETag"]
    done = await client.call("SalesOrders_DeleteLines_typeorderIdlines", *key, ids=[1], if_match=etag)
    assert done.status_code == 202
    refused = await client.call("SalesOrders_CreateNewItem_", known=known | {"id": "none", "orderId": "X"})
    assert refused.status_code == 400
    (detail,) = refused.parsed.details
    assert detail.code == "1400-CustomerLookupException"
    done = await client.call("SalesOrders_Delete_typeorderId", *key, if_match=done.headers["ETag"])
    gone = await client.call("SalesOrders_GetItemAsync_typeorderId", *key)
    assert (done.status_code, gone.status_code) == (202, 404)

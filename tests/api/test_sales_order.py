"""The Sales Order service: its own paths, paging, query forms and mandatory If-Match."""

# mypy: disable-error-code="unused-awaitable"
# operations are values here: most are looked at, not sent

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tests.api.support import Client, reply
from vismanet_async._api.results import Created, Updated
from vismanet_async._codec.decode import decode_rows
from vismanet_async.errors import RequestRefused, UnknownName
from vismanet_async.models import NewOrder, NewOrderCustomer, NewOrderLine, OrderLinePatch, OrderPatch, OrderSummary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vismanet_async._http.message import Request


def body_of(request: Request) -> Any:
    assert isinstance(request.body, bytes)
    return json.loads(request.body, parse_float=Decimal)


def test_lists() -> None:
    client = Client()
    source: Any = client.sales_order_service.list(
        customer_id="10000", status="Open", order_by="created desc", filter="00", page_size=50,
        modified_since=datetime(2025, 5, 25, 12, tzinfo=UTC),
    )  # fmt: skip
    assert (source.path, source.spec.service, source.style) == ("/api/v3/SalesOrders", "sales_order", "page_index")
    assert dict(source.query) == {
        "customerId": "10000",
        "status": "Open",
        "modifiedSince": "2025-05-25T12:00:00Z",
        "orderBy": "created desc",
        "filter": "00",
    }
    assert (source.identity, source.page_size, source.max_page_size) == (("type", "orderId"), 50, 100)
    orders: Any = client.sales_order_service
    for source in (
        orders.list(order_type="SO", modified_since="2025-05-25T14:00:00+02:00", expand=["Lines"]),
        orders.list_by_type("SO", modified_since="2025-05-25T14:00:00+02:00", expand=["Lines"]),
    ):
        assert (source.spec.id, source.path) == ("SalesOrders_GetList_type", "/api/v3/SalesOrders/SO")
        assert dict(source.query) == {"modifiedSince": "2025-05-25T12:00:00Z", "expand": "Lines"}
    source = orders.list_lines("SO", "000223")
    assert (source.path, source.max_page_size) == ("/api/v3/SalesOrders/SO/000223/lines", 1000)
    source = orders.list_inventory(inventory_id=["1", "2"], expand=["location", "Attribute"])
    assert source.query == (("inventoryId", "1"), ("inventoryId", "2"), ("expand", "location,Attribute"))
    assert source.max_page_size == 100
    assert orders.list_inventory().max_page_size == 10_000
    source = orders.list_customers(filter="visma")
    assert source.path == "/api/v3/Customers"


@pytest.mark.parametrize("value", [datetime(2025, 5, 25), "2025-05-25", "soon", 5])
def test_moments_without_a_zone_are_refused(value: Any) -> None:
    with pytest.raises(RequestRefused):
        Client().sales_order_service.list(modified_since=value)


async def test_an_order_is_read_with_its_parts() -> None:
    body = {
        "type": "SO", "orderId": "000223", "version": "AAA=", "status": {"description": "Open", "hold": False},
        "date": "2025-05-25T00:00:00Z", "totals": {"orderTotal": 12.5}, "customer": {"id": "10000"}, "fresh": {"a": 1},
    }  # fmt: skip
    client = Client(reply(body), reply(body, ETag='"BBB="'))
    order = await client.sales_order_service.get("SO", "000223", expand=["Customer", "Payment"])
    assert client.recorder.requests[0].path == "/api/v3/SalesOrders/SO/000223"
    assert client.recorder.requests[0].query == (("expand", "Customer,Payment"),)
    assert order.totals
    assert order.totals.order_total == Decimal("12.5")
    assert order.date == datetime(2025, 5, 25, tzinfo=UTC)
    assert order.extra == {"fresh": {"a": 1}}
    assert order.etag == "AAA="
    assert (await client.sales_order_service.get("SO", "000223")).etag == "BBB="
    assert client.recorder.requests[1].query == ()


@pytest.mark.parametrize("read", ["list", "get"])
async def test_moments_are_utc_with_and_without_an_offset(read: str) -> None:
    """Both decoders: what has no offset is left to the tolerant one."""
    noon = datetime(2025, 5, 25, 12, tzinfo=UTC)
    for text in ("2025-05-25T12:00:00", "2025-05-25T12:00:00Z", "2025-05-25T14:00:00+02:00"):
        body = json.dumps({"orderId": "1", "lastModified": text, "requestOn": None}).encode()
        if read == "get":
            order: Any = await Client(reply(body)).sales_order_service.get("SO", "1")
        else:
            (order,) = decode_rows([body], OrderSummary)
        assert (order.last_modified, order.request_on) == (noon, None)
        assert order.last_modified.utcoffset() is not None


async def test_writes() -> None:
    accepted = reply(status=202, ETag='"CCC="')
    created = reply(status=201, Location="https://salesorder.visma.net/api/v3/SalesOrders/SO/000223")
    client = Client(created, *[accepted] * 5)
    orders = client.sales_order_service
    new = NewOrder(
        type="SO",
        customer=NewOrderCustomer(id="10000"),
        date=datetime(2025, 5, 25, tzinfo=UTC),
        order_lines=[NewOrderLine(inventory_id="Item1", quantity=Decimal(4), unit_price=Decimal("101.25"))],
    )
    made = await orders.create(new)
    assert made == Created(id="000223", key=("SO", "000223"), location_path=created.headers["Location"])
    assert await orders.update("SO", "000223", OrderPatch(description=None, note="x"), if_match="AAA=") == Updated(
        etag="CCC="
    )
    await orders.add_lines("SO", "000223", [{"inventoryId": "1"}], if_match=made if made.etag else "AAA=")
    await orders.update_lines("SO", "000223", [OrderLinePatch(line_id=1, quantity=Decimal(2))], if_match="AAA=")
    await orders.delete_lines("SO", "000223", [1, 2], if_match="AAA=")
    await orders.delete("SO", "000223", if_match="AAA=")
    sent = client.recorder.requests
    assert [(one.method, one.path.removeprefix("/api/v3/SalesOrders")) for one in sent] == [
        ("POST", ""),
        ("PATCH", "/SO/000223"),
        ("POST", "/SO/000223/lines"),
        ("PATCH", "/SO/000223/lines"),
        ("DELETE", "/SO/000223/lines"),
        ("DELETE", "/SO/000223"),
    ]
    assert body_of(sent[0]) == {
        "type": "SO",
        "customer": {"id": "10000"},
        "date": "2025-05-25T00:00:00+00:00",
        "orderLines": [{"inventoryId": "Item1", "quantity": 4, "unitPrice": Decimal("101.25")}],
    }
    assert body_of(sent[1]) == {"description": None, "note": "x"}
    assert body_of(sent[3]) == {"lines": [{"quantity": 2, "lineId": 1}]}
    assert sent[4].query == (("ids", "1,2"),)
    assert client.recorder.requests[-1].body is None
    assert all(one.headers["If-Match"] == '"AAA="' for one in sent[1:])
    assert {one.service for one in sent} == {"sales_order"}


def test_what_cannot_work_is_refused() -> None:
    orders = Client().sales_order_service
    with pytest.raises(RequestRefused, match=r"lines\[1\].line_id \(lines\[1\].lineId\) is missing"):
        orders.update_lines("SO", "1", [{"line_id": 1}, {"quantity": 1}], if_match="A=")
    with pytest.raises(RequestRefused, match=r"lines\[0\].inventory_id \(lines\[0\].inventoryId\) is missing"):
        orders.add_lines("SO", "1", [NewOrderLine(inventory_id=None, quantity=1)], if_match="A=")
    with pytest.raises(RequestRefused, match="customer is missing"):
        orders.create({"type": "SO"})
    too_few_and_many: list[Sequence[int]] = [[], range(1001)]
    for ids in too_few_and_many:
        with pytest.raises(RequestRefused, match="1 to 1000 numbers"):
            orders.delete_lines("SO", "1", ids, if_match="A=")
    with pytest.raises(RequestRefused, match="list of whole numbers"):
        orders.delete_lines("SO", "1", "12", if_match="A=")  # type: ignore[arg-type]  # text is a sequence, too
    with pytest.raises(RequestRefused, match="did you mean 'Lines'"):
        orders.list(expand=["Line"])  # type: ignore[list-item]  # a typing error as well
    with pytest.raises(UnknownName, match="no field 'lines' in OrderPatch"):
        orders.update("SO", "1", {"lines": [{"lineId": 1}]}, if_match="A=")
    with pytest.raises(UnknownName, match="costomer"):
        orders.create({"costomer": {"id": "1"}})
    with pytest.raises(RequestRefused, match="background"):
        orders.get("SO", "1").request(background="none")


async def test_modify_holds_the_version() -> None:
    body = {"type": "SO", "orderId": "1", "version": "AAA=", "note": "a"}
    client = Client(reply(body), reply(status=202, ETag='"BBB="'))
    result = await client.sales_order_service.modify("SO", "1", lambda now: {"note": f"{now.note}b"})
    assert result == Updated(etag="BBB=")
    assert client.recorder.requests[1].headers["If-Match"] == '"AAA="'

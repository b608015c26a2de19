"""The Sales Order service: its own paths, paging, query forms and mandatory If-Match."""

# mypy: disable-error-code="unused-awaitable"
# operations are values here: most are looked at, not sent

from __future__ import annotations

import inspect
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tests.api.support import Client, reply
from vismanet_async._api.registry import registry
from vismanet_async._api.results import Created, Updated
from vismanet_async._api.sales_order import SalesOrderService
from vismanet_async._api.sales_order_models import NewOrder, NewOrderCustomer, NewOrderLine, OrderLinePatch, OrderPatch
from vismanet_async.errors import RequestRefused, UnknownName

if TYPE_CHECKING:
    from vismanet_async._http.message import Request


def test_the_registry_says_what_the_methods_take_and_send() -> None:
    """The command line goes by the registry; each of its methods is called here with what the registry tells."""
    told = registry()["resources"]["sales_order_service"]
    public = {name for name, one in vars(SalesOrderService).items() if inspect.isfunction(one) and name[0] != "_"}
    assert {*told["methods"]} == public - {"modify"}
    service, words = Client().sales_order_service, {"str": "7", "int": 7, "list[int]": [7, 8]}
    for name, facts in told["methods"].items():
        names = [one["name"] for one in facts.get("parameters", ())]
        offered = inspect.signature(getattr(SalesOrderService, name)).parameters
        assert [one for one in offered if one not in {"self", "body", "lines", "if_match", "page_size"}] == [
            *(one for one, _ in facts.get("ids", ())),
            *names,
        ]
        needed = offered["if_match"].default is inspect.Parameter.empty if "if_match" in offered else None
        assert facts.get("if_match") == {True: "needed", False: "always", None: None}[needed]
        content = [{"lineId": 7}] if name == "update_lines" else [{}] if "list[" in facts.get("body", "") else {}
        built: Any = getattr(service, name)(
            *(words[kind] for _, kind in facts.get("ids", ())),
            *([content] if "body" in facts else []),
            **({"if_match": "AAAA"} if "if_match" in offered else {}),
        )
        assert (built.spec.id, built.spec.method, built.spec.path) == (facts["id"], facts["method"], facts["path"])
        assert built.spec.background is facts["background"] is False
        if facts["call"] == "list":
            assert (built.style, built.max_page_size) == (facts["style"], facts["max_page_size"])
            assert list(built.identity) == facts.get("identity", [])
            assert built.model().__name__ == facts["result"]
        else:
            built.close()  # it is not sent on purpose


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
    source = client.sales_order_service.list(order_type="SO", modified_since="2025-05-25T14:00:00+02:00")
    assert source.path == "/api/v3/SalesOrders/SO"
    assert dict(source.query) == {"modifiedSince": "2025-05-25T12:00:00Z"}
    source = client.sales_order_service.list_lines("SO", "000223")
    assert (source.path, source.max_page_size) == ("/api/v3/SalesOrders/SO/000223/lines", 1000)
    source = client.sales_order_service.list_inventory(inventory_id=["1", "2"], expand=["location", "attribute"])
    assert source.query == (("inventoryId", "1"), ("inventoryId", "2"), ("expand", "location,attribute"))
    assert source.max_page_size == 100
    assert client.sales_order_service.list_inventory().max_page_size == 10_000  # type: ignore[attr-defined]  # a source
    source = client.sales_order_service.list_customers(filter="visma")
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


async def test_writes() -> None:
    accepted = reply(status=202, ETag='"CCC="')
    created = reply(status=201, Location="https://salesorder.visma.net/api/v3/SalesOrders/SO/000223")
    client = Client(created, *[accepted] * 4, reply(status=204))
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
    assert all(one.headers["If-Match"] == '"AAA="' for one in sent[1:])
    assert {one.service for one in sent} == {"sales_order"}


def test_what_cannot_work_is_refused() -> None:
    orders = Client().sales_order_service
    with pytest.raises(RequestRefused, match="which line"):
        orders.update_lines("SO", "1", [{"quantity": 1}], if_match="A=")
    with pytest.raises(RequestRefused, match="1 to 1000 lines"):
        orders.delete_lines("SO", "1", [], if_match="A=")
    with pytest.raises(RequestRefused, match="1 to 1000 lines"):
        orders.delete_lines("SO", "1", range(1001), if_match="A=")
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

"""All 19 operations of the Sales Order service, each by its name, against the simulator: full bodies, and what came of
them."""

# mypy: disable-error-code="union-attr"
# parts of an order may be missing; the assertions say that they are not

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from tests.api.support import sales_order, sample
from vismanet_async import Other
from vismanet_async._client import VismaNet
from vismanet_async._http.auth.credentials import StaticToken
from vismanet_async.errors import (
    ApiError,
    BadRequest,
    Conflict,
    NotFound,
    PreconditionFailed,
    PreconditionRequired,
    UnknownName,
)
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from vismanet_async.models import Order, OrderSummary

ITEM, OTHER = "V000001", "V000002"
NOON = datetime(2025, 5, 25, 13, 30, tzinfo=UTC)


@pytest_asyncio.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(seed=1, rows={"customer": 30, "inventory": 30, "sales_order": 250}) as simulator:
        yield simulator


@pytest_asyncio.fixture
async def visma(sim: Simulator) -> AsyncIterator[VismaNet]:
    async with VismaNet(
        StaticToken(sim.issue_token()), base_url=sim.base_url, sales_order_url=sim.sales_order_url
    ) as client:
        yield client


def line(**fields: Any) -> dict[str, Any]:
    """A line to add, with every field there is."""
    full = sample("v3.NewSalesOrderLineDto") | {
        "inventoryId": ITEM, "quantity": Decimal("4.5"), "unitPrice": Decimal("101.25"), "discountPercent": 10,
        "overshipThreshold": 110, "undershipThreshold": 90, "operation": "Issue", "purchaseOrderSource": "dropShip",
        "shippingRule": "BackOrderAllowed", "subaccount": {"1": "000"},
    }  # fmt: skip
    return shortened(full, "NewSalesOrderLineDto") | fields


def shortened(values: dict[str, Any], schema: str) -> dict[str, Any]:
    """The same with texts as long as the service takes them."""
    fields = sales_order()["schemas"][schema]["fields"]
    made: dict[str, Any] = {}
    for name, value in values.items():
        inner, most = fields[name].get("ref"), fields[name].get("maxLength")
        if isinstance(value, dict) and inner:
            made[name] = shortened(value, inner)
        else:
            made[name] = value[:most] if most and isinstance(value, str) else value
    return made


def order(**fields: Any) -> dict[str, Any]:
    """An order to create, with every field there is."""
    full = sample("v3.NewSalesOrderCommand") | {"type": "SO", "orderId": "000900", "status": "Hold"}
    full["customer"] |= {"id": "10003"}
    return shortened(full, "NewSalesOrderCommand") | {"orderLines": [line(), line(inventoryId=OTHER)]} | fields


async def created(visma: VismaNet, **fields: Any) -> tuple[tuple[str, str], Order]:
    made = await visma.sales_order_service.create(order(**fields))
    kind, number = made.key
    read = await visma.sales_order_service.get(kind, number, expand=["All"])
    assert made.etag == read.etag
    return (kind, number), read


async def customers_get_list(sim: Simulator, visma: VismaNet) -> None:
    rows: Any = await visma.sales_order_service.list_customers()
    assert [row.id for row in rows] == sim.truth("customer").keys
    assert all(row.default_location.id and not row.extra for row in rows)
    (found,) = await visma.sales_order_service.list_customers(filter=str(rows[4].name))
    assert found.internal_id == rows[4].internal_id


async def customers_get_customer_location_list(sim: Simulator, visma: VismaNet) -> None:
    key = sim.truth("customer").keys[3]
    (place,) = await visma.sales_order_service.list_customer_locations(key)
    assert place.address.city
    assert place.shipping_rule == "BackOrderAllowed"
    with pytest.raises(NotFound):
        await visma.sales_order_service.list_customer_locations("nobody")


async def inventory_get_list(sim: Simulator, visma: VismaNet) -> None:
    keys = sim.truth("inventory").keys
    rows: Any = await visma.sales_order_service.list_inventory(
        inventory_id=keys[:9], expand=["Location", "Attribute"], modified_since=datetime(2000, 1, 1, tzinfo=UTC)
    )
    assert [row.inventory_id for row in rows] == keys[:9]
    places = [one for row in rows for one in row.availability]
    assert all(one.last_modified.tzinfo and one.locations for one in places)
    assert isinstance(places[0].quantity_on_hand, Decimal)
    plain: Any = await visma.sales_order_service.list_inventory(warehouse_id=[places[0].warehouse_id])
    assert plain[0].availability[0].locations is None
    with pytest.raises(ApiError, match="attributeFilter"):
        await visma.sales_order_service.list_inventory(attribute_filter=["no colon"])


async def sales_orders_get_list(sim: Simulator, visma: VismaNet) -> None:
    listing = visma.sales_order_service.list(status="Open", order_by="orderId desc", page_size=40)
    rows: Any = await listing
    assert rows
    assert {row.status for row in rows} == {"Open"}
    assert [row.order_id for row in rows] == sorted((row.order_id for row in rows), reverse=True)
    assert rows[0].last_modified.tzinfo is not None


async def sales_orders_create_new_item(sim: Simulator, visma: VismaNet) -> None:
    key, read = await created(visma)
    sent = order()
    assert (read.type, read.order_id) == key == ("SO", sent["orderId"])
    assert (read.description, read.note, read.currency_id) == (sent["description"], sent["note"], sent["currencyId"])
    assert read.date == read.request_on == read.cancel_by == NOON
    assert (read.status.description, read.status.hold) == ("OnHold", True)
    assert (read.customer.id, read.customer.order) == ("10003", sent["customer"]["order"])
    assert read.customer.tax_zone.id == sent["taxZoneId"]
    assert read.customer.location.id == sent["customer"]["locationId"]
    assert (read.owner.id, read.branch.id) == (sent["ownerId"], sent["branchId"])
    assert (read.project.id, read.sales_person.id) == (sent["projectId"], sent["salesPersonId"])
    assert read.billing.address.line1 == sent["billing"]["address"]["line1"]
    assert read.billing.address.country.id == sent["billing"]["address"]["countryId"]
    assert read.billing.address.county.id == sent["billing"]["address"]["stateId"]
    assert read.shipping.ship_via.id == sent["shipping"]["shipViaId"]
    assert read.shipping.scheduled_date == NOON
    assert read.shipping.intrastat_transaction_type.id == sent["shipping"]["intrastatTransactionTypeId"]
    assert read.payment_settings.payment_method.id == sent["paymentSettings"]["paymentMethodId"]
    assert read.freight.cost == sent["freight"]["cost"]
    assert read.financial_information.post_period == sent["financialInformation"]["postPeriod"]
    assert read.financial_information.terms.id == sent["customer"]["termsId"]
    assert read.original_order_id == sent["originalOrderId"]
    assert read.print.note_on_external_documents is True
    assert read.totals.order_total == Decimal("911.25")
    with pytest.raises(Conflict):
        await visma.sales_order_service.create(sent)
    minimal = await visma.sales_order_service.create({"type": "CS", "customer": {"id": "10000"}})
    assert minimal.key[0] == "CS"


async def sales_orders_get_list_type(sim: Simulator, visma: VismaNet) -> None:
    rows: Any = await visma.sales_order_service.list_by_type("RM", customer_id=sim.truth("customer").keys[1])
    assert all((row.type, row.customer_id) == ("RM", sim.truth("customer").keys[1]) for row in rows)
    every: Any = await visma.sales_order_service.list_by_type("RM", expand=["Lines", "Shipping"])
    assert [f"{row.type}/{row.order_id}" for row in every] == [
        key for key in sim.truth("sales_order").keys if key.startswith("RM")
    ]
    assert {"lines", "shipping"} <= set(every[0].extra)


async def sales_orders_delete(sim: Simulator, visma: VismaNet) -> None:
    key, read = await created(visma)
    with pytest.raises(PreconditionFailed):
        await visma.sales_order_service.delete(*key, if_match="AAAAAAAAAAA=")
    await visma.sales_order_service.delete(*key, if_match=read)
    with pytest.raises(NotFound):
        await visma.sales_order_service.get(*key)


async def sales_orders_get_item(sim: Simulator, visma: VismaNet) -> None:
    kind, number = sim.truth("sales_order").keys[0].split("/")
    bare = await visma.sales_order_service.get(kind, number)
    assert not bare.extra
    assert "customer" not in dict(bare.__rich_repr__())
    part = await visma.sales_order_service.get(kind, number, expand=["Customer", "RotRut"])
    assert part.customer.id
    assert set(part.extra) == {"rotRut"}
    assert bare.etag == part.etag == part.version


async def sales_orders_patch(sim: Simulator, visma: VismaNet) -> None:
    key, read = await created(visma)
    change = shortened(sample("v3.PatchSalesOrderCommand") | {"status": "Open"}, "PatchSalesOrderCommand")
    change["customer"] = {"id": "10004", "refNo": "R"}
    done = await visma.sales_order_service.update(*key, change, if_match=read)
    after = await visma.sales_order_service.get(*key, expand=["All"])
    assert done.etag == after.etag != read.etag
    assert (after.status.description, after.customer.id, after.customer.ref_no) == ("Open", "10004", "R")
    assert after.billing.contact.email == change["billing"]["contact"]["email"]
    only = await visma.sales_order_service.update(*key, {"shipping": {"rule": "ShipComplete"}}, if_match=done)
    kept = await visma.sales_order_service.get(*key, expand=["Shipping"])
    assert (kept.shipping.rule, kept.shipping.ship_via) == ("ShipComplete", after.shipping.ship_via)
    with pytest.raises(PreconditionFailed):
        await visma.sales_order_service.update(*key, change, if_match=done)
    assert only.etag == kept.etag


async def sales_orders_get_item_commissions(sim: Simulator, visma: VismaNet) -> None:
    key, read = await created(visma)
    rows: Any = await visma.sales_order_service.list_commissions(*key)
    assert all(row.commissionable_amount == read.totals.order_total for row in rows)
    kind, number = sim.truth("sales_order").keys[0].split("/")
    rows = await visma.sales_order_service.list_commissions(kind, number)
    (row,) = rows
    assert row.amount == row.commissionable_amount * row.percent / 100


async def sales_orders_get_item_discounts(sim: Simulator, visma: VismaNet) -> None:
    kind, number = sim.truth("sales_order").keys[0].split("/")
    rows: Any = await visma.sales_order_service.list_discounts(kind, number)
    assert rows
    assert all(row.discount_id and isinstance(row.is_manual, bool) for row in rows)


async def sales_orders_delete_lines(sim: Simulator, visma: VismaNet) -> None:
    key, read = await created(visma)
    done = await visma.sales_order_service.delete_lines(*key, [1], if_match=read)
    assert [one.line_id async for one in visma.sales_order_service.list_lines(*key)] == [2]
    with pytest.raises(ApiError, match="no line 1"):
        await visma.sales_order_service.delete_lines(*key, [2, 1], if_match=done)
    assert [one.line_id async for one in visma.sales_order_service.list_lines(*key)] == [2]


async def sales_orders_get_item_lines(sim: Simulator, visma: VismaNet) -> None:
    key, _ = await created(visma)
    first, second = await visma.sales_order_service.list_lines(*key)
    sent = line()
    assert not first.extra
    assert (first.inventory.id, second.inventory.id) == (ITEM, OTHER)
    assert (first.quantity, first.unit_price, first.extended_price) == (
        Decimal("4.5"),
        Decimal("101.25"),
        Decimal("455.625"),
    )
    assert (first.description, first.note, first.unit_of_measure) == (
        sent["description"],
        sent["note"],
        sent["unitOfMeasure"],
    )
    assert first.request_date == first.ship_date == NOON
    assert (first.sales_person.id, first.supplier.id) == (sent["salesPersonId"], sent["supplierId"])
    assert (first.warehouse_id, first.warehouse_location.id) == (sent["warehouseId"], sent["warehouseLocationId"])
    assert (first.subaccount, first.purchase_order_source) == ({"1": "000"}, "dropShip")
    assert (first.discount_percent, first.overship_threshold) == (Decimal(10), Decimal(110))


async def sales_orders_patch_lines(sim: Simulator, visma: VismaNet) -> None:
    key, read = await created(visma)
    full = sample("v3.PatchSalesOrderLineDto") | {
        "lineId": 2, "quantity": Decimal("0.25"), "unitPrice": 10, "discountPercent": -5, "overshipThreshold": 100,
        "undershipThreshold": 0, "operation": "Receipt", "purchaseOrderSource": "purchaseToOrder",
        "shippingRule": "CancelRemainder", "subaccount": {"1": "001"},
    }  # fmt: skip
    changes = [shortened(full, "PatchSalesOrderLineDto"), {"lineId": 1, "note": "only this"}]
    done = await visma.sales_order_service.update_lines(*key, changes, if_match=read)
    first, second = await visma.sales_order_service.list_lines(*key)
    assert (first.note, first.quantity) == ("only this", Decimal("4.5"))
    assert (second.quantity, second.operation, second.shipping_rule) == (Decimal("0.25"), "Receipt", "CancelRemainder")
    assert second.inventory.id == OTHER
    with pytest.raises(ApiError, match="There is no line 9"):
        await visma.sales_order_service.update_lines(*key, [{"lineId": 1, "note": "x"}, {"lineId": 9}], if_match=done)
    assert (await visma.sales_order_service.get_line(*key, 1)).note == "only this"


async def sales_orders_add_lines(sim: Simulator, visma: VismaNet) -> None:
    key, read = await created(visma)
    done = await visma.sales_order_service.add_lines(*key, [line(), {"inventoryId": OTHER}], if_match=read)
    assert [one.line_id async for one in visma.sales_order_service.list_lines(*key)] == [1, 2, 3, 4]
    after = await visma.sales_order_service.get(*key)
    assert (after.etag, after.totals.order_total) == (done.etag, Decimal("1366.875"))


async def sales_orders_get_item_line(sim: Simulator, visma: VismaNet) -> None:
    key, _ = await created(visma)
    assert (await visma.sales_order_service.get_line(*key, 2)).inventory.id == OTHER
    with pytest.raises(NotFound):
        await visma.sales_order_service.get_line(*key, 3)


async def sales_orders_get_item_rot_rut(sim: Simulator, visma: VismaNet) -> None:
    kind, number = sim.truth("sales_order").keys[0].split("/")
    found = await visma.sales_order_service.get_rot_rut(kind, number)
    assert not found.extra
    assert isinstance(found.distributed_automatically, bool)
    assert all(isinstance(one.amount, Decimal) for one in found.distribution)


async def sales_orders_get_sales_order_shipment(sim: Simulator, visma: VismaNet) -> None:
    kind, number = sim.truth("sales_order").keys[0].split("/")
    rows: Any = await visma.sales_order_service.list_shipments(kind, number)
    assert rows
    assert all(row.id and row.date.tzinfo and isinstance(row.weight, Decimal) for row in rows)


async def sales_orders_get_item_tax(sim: Simulator, visma: VismaNet) -> None:
    kind, number = sim.truth("sales_order").keys[0].split("/")
    rows: Any = await visma.sales_order_service.list_taxes(kind, number)
    (row,) = rows
    assert row.tax_amount == row.taxable_amount / 4
    assert row.tax_type == "VAT"


BY_NAME = {
    "Customers_GetList_": customers_get_list,
    "Customers_GetCustomerLocationList_customerIdlocations": customers_get_customer_location_list,
    "Inventory_GetList_": inventory_get_list,
    "SalesOrders_GetList_": sales_orders_get_list,
    "SalesOrders_CreateNewItem_": sales_orders_create_new_item,
    "SalesOrders_GetList_type": sales_orders_get_list_type,
    "SalesOrders_Delete_typeorderId": sales_orders_delete,
    "SalesOrders_GetItemAsync_typeorderId": sales_orders_get_item,
    "SalesOrders_Patch_typeorderId": sales_orders_patch,
    "SalesOrders_GetItemCommissions_typeorderIdcommissions": sales_orders_get_item_commissions,
    "SalesOrders_GetItemDiscounts_typeorderIddiscounts": sales_orders_get_item_discounts,
    "SalesOrders_DeleteLines_typeorderIdlines": sales_orders_delete_lines,
    "SalesOrders_GetItemLines_typeorderIdlines": sales_orders_get_item_lines,
    "SalesOrders_PatchLines_typeorderIdlines": sales_orders_patch_lines,
    "SalesOrders_AddLines_typeorderIdlines": sales_orders_add_lines,
    "SalesOrders_GetItemLine_typeorderIdlineslineId": sales_orders_get_item_line,
    "SalesOrders_GetItemRotRut_typeorderIdrotrut": sales_orders_get_item_rot_rut,
    "SalesOrders_GetSalesOrderShipment_typeorderIdshipment": sales_orders_get_sales_order_shipment,
    "SalesOrders_GetItemTax_typeorderIdtax": sales_orders_get_item_tax,
}


def test_every_operation_has_a_test() -> None:
    assert set(BY_NAME) == {one["id"] for one in sales_order()["operations"]}
    assert len(BY_NAME) == 19


@pytest.mark.parametrize("name", BY_NAME)
async def test_operation(name: str, sim: Simulator, visma: VismaNet) -> None:
    await BY_NAME[name](sim, visma)
    assert name in {one.operation for one in sim.requests}


# --- header and lines at once --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("member", "is_known"), [("lines", True), ("orderLines", True), ("lines", False)])
async def test_header_and_lines_in_one_patch(sim: Simulator, visma: VismaNet, member: str, is_known: bool) -> None:
    """What the member is called is not public: the model has none, whoever knows it sends it by hand."""
    sim.behaviours.set(sales_order_lines_member=member if is_known else "none")
    key, read = await created(visma)
    body = {"description": "both", member: [{"lineId": 2, "quantity": Decimal(7)}]}
    with pytest.raises(UnknownName, match=member):
        await visma.sales_order_service.update(*key, body, if_match=read)
    assert not [one for one in sim.requests if one.method == "PATCH"]
    path = f"/api/v3/SalesOrders/{'/'.join(key)}"
    await visma.request("PATCH", path, json=body, if_match=read, service="sales_order")
    after = await visma.sales_order_service.get(*key)
    line_two = await visma.sales_order_service.get_line(*key, 2)
    assert (after.description, line_two.quantity) == ("both", 7 if is_known else Decimal("4.5"))
    with pytest.raises(PreconditionFailed):
        await visma.request("PATCH", path, json=body, if_match=read, service="sales_order")


async def test_one_wrong_line_refuses_the_whole_patch(sim: Simulator, visma: VismaNet) -> None:
    key, read = await created(visma)
    body = {"description": "both", "lines": [{"lineId": 1, "note": "x"}, {"lineId": 99}]}
    path = f"/api/v3/SalesOrders/{'/'.join(key)}"
    with pytest.raises(ApiError, match="There is no line 99"):
        await visma.request("PATCH", path, json=body, if_match=read, service="sales_order")
    after = await visma.sales_order_service.get(*key)
    assert (after.description, after.etag) == (read.description, read.etag)


# --- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"type": "XX"}, "1704-InvalidOrderType"),
        ({"customer": {"id": "nobody"}}, "1400-CustomerLookupException"),
        ({"description": "x" * 256}, "0002-InvalidLength"),
        ({"status": Other("BackOrder")}, "0003-InvalidValue"),
        ({"orderLines": [{"inventoryId": "no such"}]}, "1804-InventoryIdNotFound"),
        ({"orderLines": [{"inventoryId": ITEM, "discountPercent": 101}]}, "0100-OutsideValidRange"),
        ({"orderLines": [{"inventoryId": ITEM, "overshipThreshold": 99}]}, "0100-OutsideValidRange"),
    ],
)
async def test_refusals_carry_the_codes_of_the_service(
    sim: Simulator, visma: VismaNet, fields: dict[str, Any], code: str
) -> None:
    assert code in sales_order()["error_codes"]
    with pytest.raises(BadRequest, match=code):
        await visma.sales_order_service.create(order(**fields))
    assert len(sim.truth("sales_order").keys) == 250


async def test_notes_can_be_changed_when_an_order_is_completed(sim: Simulator, visma: VismaNet) -> None:
    key, read = await created(visma)
    sim.touch("sales_order", "/".join(key), status="Completed")
    read = await visma.sales_order_service.get(*key)
    with pytest.raises(Conflict):
        await visma.sales_order_service.update(*key, {"description": "x", "note": "x"}, if_match=read)
    done = await visma.sales_order_service.update(*key, {"note": "late"}, if_match=read)
    done = await visma.sales_order_service.update_lines(*key, [{"lineId": 1, "note": "later"}], if_match=done)
    with pytest.raises(Conflict):
        await visma.sales_order_service.delete(*key, if_match=done)
    assert (await visma.sales_order_service.get_line(*key, 1)).note == "later"


@pytest.mark.parametrize("if_match", [None, '"AAAA"'])
@pytest.mark.parametrize(
    "change",
    [
        ("PATCH", "", {"description": "x"}),
        ("DELETE", "", None),
        ("POST", "/lines", {"lines": [{"inventoryId": ITEM}]}),
        ("PATCH", "/lines", {"lines": [{"lineId": 1}]}),
        ("DELETE", "/lines?ids=1", None),
    ],
)
async def test_no_change_without_the_version(
    sim: Simulator, visma: VismaNet, if_match: str | None, change: tuple[str, str, Any]
) -> None:
    method, path, body = change
    (kind, number), read = await created(visma)
    raised = PreconditionRequired if if_match is None else PreconditionFailed
    place, _, ids = path.partition("?ids=")
    with pytest.raises(raised):
        await visma.request(
            method, f"/api/v3/SalesOrders/{kind}/{number}{place}", json=body, if_match=if_match,
            query={"ids": ids} if ids else None, service="sales_order",
        )  # fmt: skip
    assert (await visma.sales_order_service.get(kind, number)).etag == read.etag


# --- lists ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["count", "prove"])
@pytest.mark.parametrize("expand", [None, ["Note"]])
async def test_a_list_without_totals_is_whole_over_many_pages(
    sim: Simulator, visma: VismaNet, mode: Any, expand: Any
) -> None:
    """The end is an answer without nextPage; no total says how many rows there are."""
    sim.behaviours.set(sales_order_total_unknown=True)
    listing = visma.sales_order_service.list(expand=expand).with_options(completeness=mode)
    rows: list[OrderSummary] = [row async for row in listing]
    assert [f"{row.type}/{row.order_id}" for row in rows] == sim.truth("sales_order").keys
    assert max(int(dict(one.query)["pageSize"]) for one in sim.requests) == 100


@pytest.mark.parametrize("total_unknown", [False, True])
async def test_pages_that_expand_made_smaller_lose_nothing(
    sim: Simulator, visma: VismaNet, total_unknown: bool
) -> None:
    sim.behaviours.set(sales_order_expanded_pages="lowered", sales_order_total_unknown=total_unknown)
    listing = visma.sales_order_service.list(expand=["Note"]).with_options(page_size=1000)
    assert [f"{row.type}/{row.order_id}" async for row in listing] == sim.truth("sales_order").keys


async def test_a_page_size_that_expand_does_not_allow_is_refused_by_the_service(
    sim: Simulator, visma: VismaNet
) -> None:
    with pytest.raises(ApiError, match="pageSize"):
        await visma.sales_order_service.list(expand=["Note"]).with_options(page_size=101)

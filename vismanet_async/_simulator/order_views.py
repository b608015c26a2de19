"""How the Sales Order service shows what the tables hold: plain values, moments in UTC (facts 4.16, 10.15).

The service describes itself at https://salesorder.visma.net/swagger/v3/swagger.json. A list shows orders flat, a read
of one shows them in parts; most parts come only when `expand` names them, and lines are a list of their own.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vismanet_async._simulator.rows import Table

__all__ = ["EXPANDS", "STATUS", "customer_view", "inventory_view", "line_views", "order_view", "summary_view"]

STATUS = {
    "Open": "Open",
    "Hold": "OnHold",
    "Completed": "Completed",
    "Cancelled": "Cancelled",
    "CreditHold": "CreditHold",
}
_ZONED = re.compile(r"(Z|[+-]\d{2}:\d{2})$")

_Row = dict[str, Any]


def _utc(text: object) -> str | None:
    if not isinstance(text, str) or not text:
        return None
    return text if _ZONED.search(text) else f"{text}Z"


def _modified(data: Mapping[str, Any]) -> str | None:
    return _utc(data.get("lastModified") or data.get("lastModifiedDateTime"))


def _of(data: Mapping[str, Any], **names: str) -> _Row:
    """Return fields under new names."""
    return {new: data.get(old) for new, old in names.items()}


def _quantity(data: Mapping[str, Any]) -> Decimal:
    return sum((line.get("quantity") or Decimal(0) for line in data.get("lines") or ()), Decimal(0))


def _status(data: Mapping[str, Any]) -> str:
    return STATUS.get(str(data.get("status")), str(data.get("status")))


# -- orders -------------------------------------------------------------------------------------------------


def summary_view(table: Table, row: int, expand: frozenset[str]) -> _Row:
    """Return an order as the list shows it; `expand` only lowers the largest page here."""
    del expand
    data = table.row(row)
    kind, number = table.key_of(row)
    customer = data.get("customer") or {}
    return {
        "type": kind,
        "orderId": number,
        "status": _status(data),
        "date": _utc(data.get("date")),
        "requestOn": _utc(data.get("requestOn")),
        "shippingScheduledDate": _utc(data.get("schedShipment")),
        "lastModified": _modified(data),
        "customerId": customer.get("number"),
        "customerName": customer.get("name"),
        "customerOrder": data.get("customerOrder"),
        "customerRefNo": data.get("customerRefNo"),
        "location": (data.get("location") or {}).get("id"),
        "description": data.get("description"),
        "currency": data.get("currency"),
        "orderQty": _quantity(data),
        "orderTotal": data.get("orderTotal"),
    }


def order_view(table: Table, row: int, expand: frozenset[str]) -> _Row:
    """Return one order, with the parts that `expand` names (in lower case)."""
    data = table.row(row)
    kind, number = table.key_of(row)
    shown = {
        "type": kind,
        "orderId": number,
        "version": table.version_of(row),
        "status": {
            "description": _status(data),
            "hold": bool(data.get("hold")),
            "cancelled": bool(data.get("canceled")),
        },
        "date": _utc(data.get("date")),
        "requestOn": _utc(data.get("requestOn")),
        "cancelBy": _utc(data.get("cancelBy")),
        "lastModified": _modified(data),
        "description": data.get("description"),
        "currencyId": data.get("currency"),
        "orderQty": _quantity(data),
        "totals": _of(
            data,
            orderTotal="orderTotal",
            orderTotalInBaseCurrency="orderTotalInBaseCurrency",
            taxTotal="taxTotal",
            taxTotalInBaseCurrency="taxTotalInBaseCurrency",
            taxableTotal="vatTaxableTotal",
            taxExemptTotal="vatExemptTotal",
            discountTotal="discountTotal",
            discountTotalInBaseCurrency="discountTotalInBaseCurrency",
        ),
        "salesPerson": data.get("salesPerson"),
        "isRotRutDeductable": data.get("isRotRutDeductible"),
    }
    for name, part in _PARTS.items():
        if expand & {name, "all"}:
            shown |= part(data)
    return shown


def _customer(data: Mapping[str, Any]) -> _Row:
    customer = data.get("customer") or {}
    plain = _of(data, order="customerOrder", refNo="customerRefNo", contactId="contactId")
    return {"customer": _of(customer, id="number", internalId="internalId", name="name") | plain}


def _address(data: Mapping[str, Any] | None) -> _Row | None:
    return None if data is None else _of(
        data,
        id="addressId",
        line1="addressLine1",
        line2="addressLine2",
        line3="addressLine3",
        postalCode="postalCode",
        city="city",
        overridesDefault="overrideAddress",
    ) | {name: _of(data.get(name) or {}, id="id", name="name") for name in ("country", "county")}  # fmt: skip


def _contact(data: Mapping[str, Any] | None) -> _Row | None:
    names = {"id": "contactId", "overridesDefault": "overrideContact"}
    return (
        None if data is None else _of(data, **names, name="name", attention="attention", email="email", phone1="phone1")
    )


def _shipping(data: Mapping[str, Any]) -> _Row:
    plain = _of(
        data,
        rule="shipComplete",
        priority="priority",
        shipSeparately="shipSeparately",
        shipVia="shipVia",
        terms="shippingTerms",
        zone="shippingZone",
        fobPoint="fobPoint",
        preferredWarehouse="preferredWarehouse",
        insurance="insurance",
        residentialDelivery="residentialDelivery",
        saturdayDelivery="saturdayDelivery",
    )
    places = {"address": _address(data.get("soShippingAddress")), "contact": _contact(data.get("soShippingContact"))}
    return {"shipping": plain | places | {"scheduledDate": _utc(data.get("schedShipment"))}}


def _billing(data: Mapping[str, Any]) -> _Row:
    address, contact = _address(data.get("soBillingAddress")), _contact(data.get("soBillingContact"))
    return {"billing": {"address": address, "contact": contact}}


def _payment(data: Mapping[str, Any]) -> _Row:
    names = {"cashAccountId": "cashAccount", "paymentMethod": "paymentMethod", "paymentReference": "paymentRef"}
    return {"paymentSettings": _of(data, **names)}


def _financial(data: Mapping[str, Any]) -> _Row:
    plain = _of(
        data, invoiceId="invoiceNbr", invoiceSeparately="invoiceSeparately", postPeriod="postPeriod", terms="terms"
    )
    dates = {name: _utc(data.get(name)) for name in ("invoiceDate", "dueDate", "cashDiscountDate")}
    return {"financialInformation": plain | dates}


def _owner(data: Mapping[str, Any]) -> _Row:
    return {"owner": _of(data.get("owner") or {}, id="id", internalId="internalId")}


_PARTS: dict[str, Callable[[Mapping[str, Any]], _Row]] = {
    "billing": _billing,
    "payment": _payment,
    "financialinformation": _financial,
    "shipping": _shipping,
    "customer": _customer,
    "owner": _owner,
    "origin": lambda data: _of(data, originalOrderType="origOrderType", originalOrderId="origOrderNbr"),
    "note": lambda data: _of(data, note="note"),
    "attachments": lambda data: {"attachments": data.get("attachments") or []},
}
EXPANDS = frozenset({*_PARTS, "freight", "all"})
"""What `expand` may name, in lower case; freight is a part that the tables know nothing of."""


def line_views(data: Mapping[str, Any]) -> list[_Row]:
    """Return the lines of an order."""
    return [
        _of(
            line,
            lineId="lineNbr",
            sortOrder="sortOrder",
            operation="operation",
            description="lineDescription",
            note="note",
            openQuantity="openQty",
            quantityOnShipments="qtyOnShipments",
            unitOfMeasure="uom",
            unitCost="unitCost",
            extendedPrice="extPrice",
            discountAmount="discountAmount",
            discountPercent="discountPercent",
            freeItem="freeItem",
            completed="completed",
            salesPerson="salesPerson",
        )
        | {
            "inventory": _of(line.get("inventory") or {}, id="number", description="description"),
            "quantity": line.get("quantity", Decimal(1)),
            "unitPrice": line.get("unitPrice", Decimal(0)),
            "warehouseId": (line.get("warehouse") or {}).get("id"),
        }
        for line in data.get("lines") or ()
    ]


# -- what orders name ---------------------------------------------------------------------------------------


def customer_view(table: Table, row: int, expand: frozenset[str]) -> _Row:
    """Return a customer."""
    del expand
    data = table.row(row)
    return _of(data, customerId="number", name="name", status="status") | {"lastModified": _modified(data)}


def inventory_view(table: Table, row: int, expand: frozenset[str]) -> _Row:
    """Return an item."""
    del expand
    data = table.row(row)
    names = {"inventoryId": "inventoryNumber", "baseUnit": "baseUnit", "defaultPrice": "defaultPrice"}
    return _of(data, **names, description="description", status="status") | {"lastModified": _modified(data)}

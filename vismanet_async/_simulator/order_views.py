"""How the Sales Order service shows what the tables hold: plain values, moments in UTC (facts 4.16, 10.15).

A list shows orders flat, a read of one shows them in parts; most parts come only when `expand` names them, and lines
are a list of their own. Every object has exactly the fields of its schema in the service's catalog: the views name
what they know, `shaped` adds the rest.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from vismanet_async._simulator.catalog import load_orders
from vismanet_async._simulator.order_bodies import merged
from vismanet_async._simulator.order_shapes import as_field, shaped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vismanet_async._simulator.rows import Table

__all__ = [
    "EXPANDS",
    "INVENTORY_EXPANDS",
    "STATUS",
    "customer_view",
    "inventory_view",
    "line_views",
    "location_views",
    "order_view",
    "part_views",
    "summary_view",
    "utc",
]

STATUS = {
    "Open": "Open",
    "Hold": "OnHold",
    "Completed": "Completed",
    "Cancelled": "Cancelled",
    "CreditHold": "CreditHold",
    "BackOrder": "BackOrder",
}
_ZONED = re.compile(r"(Z|[+-]\d{2}:\d{2})$")
_VAT_PERCENT = Decimal("25.0000")
_COMMISSION_PERCENT = Decimal("2.0000")
_ZERO = Decimal("0.0000")

_Row = dict[str, Any]


def utc(text: object) -> str | None:
    """Return a time of the tables as the service shows it."""
    if not isinstance(text, str) or not text:
        return None
    return text if _ZONED.search(text) else f"{text}Z"


def _modified(data: Mapping[str, Any]) -> str | None:
    return utc(data.get("lastModified") or data.get("lastModifiedDateTime"))


def _of(data: Mapping[str, Any], **names: str) -> _Row:
    """Return fields under new names."""
    return {new: data.get(old) for new, old in names.items()}


def _quantity(data: Mapping[str, Any]) -> Decimal:
    return sum((line.get("quantity") or Decimal(0) for line in data.get("lines") or ()), Decimal(0))


def _status(data: Mapping[str, Any]) -> str:
    return STATUS.get(str(data.get("status")), str(data.get("status")))


def _net(data: Mapping[str, Any]) -> Decimal:
    return data.get("orderTotal") or _ZERO


# -- orders -------------------------------------------------------------------------------------------------


def summary_view(table: Table, row: int, expand: frozenset[str]) -> _Row:
    """Return an order as the list shows it, with the parts that `expand` names (in lower case)."""
    data = table.row(row)
    kind, number = table.key_of(row)
    customer = data.get("customer") or {}
    values = {
        "type": kind,
        "orderId": number,
        "status": _status(data),
        "date": utc(data.get("date")),
        "requestOn": utc(data.get("requestOn")),
        "shippingScheduledDate": utc(data.get("schedShipment")),
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
        "_links": {"self": {"href": f"/api/v3/SalesOrders/{kind}/{number}"}},
    }
    shown = shaped("SalesOrderListDto", values) or {}
    return shown | _parts(table, row, expand) if expand else shown


def order_view(table: Table, row: int, expand: frozenset[str]) -> _Row:
    """Return one order, with the parts that `expand` names (in lower case)."""
    data, told = table.row(row), table.beside.get(row, {}).get("order", {})
    kind, number = table.key_of(row)
    values = {
        "type": kind,
        "orderId": number,
        "version": table.version_of(row),
        "status": {
            "description": _status(data),
            "hold": data.get("status") == "Hold" or data.get("hold"),
            "cancelled": data.get("canceled"),
        },
        "date": utc(data.get("date")),
        "requestOn": utc(data.get("requestOn")),
        "cancelBy": utc(data.get("cancelBy")),
        "lastModified": _modified(data),
        "description": data.get("description"),
        "currencyId": data.get("currency"),
        "orderQty": _quantity(data),
        "totals": _totals(data),
        "branch": _branch(data.get("branchNumber")),
        "project": {"id": data["projectCD"]} if data.get("projectCD") else None,
        "print": _of(
            data,
            descriptionOnInvoice="printDescriptionOnInvoice",
            noteOnExternalDocuments="printNoteOnExternalDocuments",
            noteOnInternalDocuments="printNoteOnInternalDocuments",
        ),
        "salesPerson": data.get("salesPerson"),
        "isRotRutDeductable": data.get("isRotRutDeductible"),
    }
    shown = shaped("SalesOrderDto", merged(values, told)) or {}
    hidden = {name for names in _MEMBERS.values() for name in names}
    return {name: value for name, value in shown.items() if name not in hidden} | _parts(table, row, expand)


def _totals(data: Mapping[str, Any]) -> _Row:
    return _of(
        data,
        orderTotal="orderTotal",
        orderTotalInBaseCurrency="orderTotalInBaseCurrency",
        taxTotal="taxTotal",
        taxTotalInBaseCurrency="taxTotalInBaseCurrency",
        taxableTotal="vatTaxableTotal",
        taxableTotalInBaseCurrency="vatTaxableTotalInBaseCurrency",
        taxExemptTotal="vatExemptTotal",
        taxExemptTotalInBaseCurrency="vatExemptTotalInBaseCurrency",
        discountTotal="discountTotal",
        discountTotalInBaseCurrency="discountTotalInBaseCurrency",
        unbilledAmount="orderTotal",
        unbilledAmountInBaseCurrency="orderTotalInBaseCurrency",
        unshippedAmount="orderTotal",
        unshippedAmountInBaseCurrency="orderTotalInBaseCurrency",
    )


def _branch(branch: Mapping[str, Any] | None) -> _Row | None:
    return None if branch is None else _of(branch, id="number", description="name")


def _customer(data: Mapping[str, Any]) -> _Row:
    customer = data.get("customer") or {}
    plain = _of(data, order="customerOrder", refNo="customerRefNo", contactId="contactId", taxZone="customerVATZone")
    location = data.get("location")
    return (
        _of(customer, id="number", internalId="internalId", name="name")
        | plain
        | {"location": None if location is None else _of(location, id="id", name="name", countryId="countryId")}
    )


def _address(data: Mapping[str, Any] | None) -> _Row | None:
    return None if data is None else _of(
        data,
        id="addressId",
        line1="addressLine1",
        line2="addressLine2",
        line3="addressLine3",
        postalCode="postalCode",
        city="city",
        country="country",
        county="county",
        overridesDefault="overrideAddress",
    )  # fmt: skip


def _contact(data: Mapping[str, Any] | None) -> _Row | None:
    same = {name: name for name in ("name", "attention", "email", "phone1", "phone2", "fax")}
    return None if data is None else _of(data, id="contactId", overridesDefault="overrideContact", **same)


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
        intrastatTransactionType="transactionType",
        insurance="insurance",
        residentialDelivery="residentialDelivery",
        saturdayDelivery="saturdayDelivery",
    )
    places = {"address": _address(data.get("soShippingAddress")), "contact": _contact(data.get("soShippingContact"))}
    return plain | places | {"scheduledDate": utc(data.get("schedShipment"))}


def _financial(data: Mapping[str, Any]) -> _Row:
    plain = _of(
        data, invoiceId="invoiceNbr", invoiceSeparately="invoiceSeparately", postPeriod="postPeriod", terms="terms"
    )
    return plain | {name: utc(data.get(name)) for name in ("invoiceDate", "dueDate", "cashDiscountDate")}


_PARTS: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "billing": lambda data: {
        "address": _address(data.get("soBillingAddress")),
        "contact": _contact(data.get("soBillingContact")),
    },
    "paymentSettings": lambda data: _of(
        data, cashAccountId="cashAccount", paymentMethod="paymentMethod", paymentReference="paymentRef"
    ),
    "financialInformation": _financial,
    "shipping": _shipping,
    "customer": _customer,
    "owner": lambda data: _of(data.get("owner") or {}, id="id", internalId="employeeId"),
    "origin": lambda data: _of(data, orderType="origOrderType", orderId="origOrderNbr"),
    "originalOrderType": lambda data: data.get("origOrderType"),
    "originalOrderId": lambda data: data.get("origOrderNbr"),
    "note": lambda data: data.get("note"),
    "freight": lambda data: _of(data, taxCategoryId="freightTaxCategory"),
    "attachments": lambda data: data.get("attachments") or [],
}
"""The members of an order that come only when asked for."""
_MEMBERS: dict[str, tuple[str, ...]] = {
    "billing": ("billing",),
    "payment": ("paymentSettings",),
    "financialinformation": ("financialInformation",),
    "shipping": ("shipping",),
    "customer": ("customer",),
    "owner": ("owner",),
    "origin": ("origin", "originalOrderType", "originalOrderId"),
    "note": ("note",),
    "freight": ("freight",),
    "attachments": ("attachments",),
}
"""Which members each part of `expand` brings."""


def _parts(table: Table, row: int, expand: frozenset[str]) -> _Row:
    data, told = table.row(row), table.beside.get(row, {}).get("order", {})
    everything = "all" in expand
    wanted = [name for part, names in _MEMBERS.items() if everything or part in expand for name in names]
    values = merged(
        {name: _PARTS[name](data) for name in wanted}, {name: told[name] for name in wanted if name in told}
    )
    schema = load_orders().schemas["SalesOrderDto"]
    shown = {name: as_field(schema[name], value) for name, value in values.items()}
    for part, name in _LATER.items():
        if everything or part in expand:
            shown[name] = line_views(table, row) if part == "lines" else part_views(part, table, row)
    return shown


# parts that came later than the description; their names in an answer are not public (facts 5.17)
_LATER = {
    "rotrut": "rotRut",
    "commisions": "commissions",
    "tax": "tax",
    "shipment": "shipment",
    "discounts": "discounts",
    "lines": "lines",
}
EXPANDS = frozenset(one.lower() for one in load_orders().enums["SalesOrderExpansions"])
INVENTORY_EXPANDS = frozenset(one.lower() for one in load_orders().enums["InventoryAvailabilityExpansions"])
"""What `expand` may name, in lower case."""


# -- what stands beside an order ----------------------------------------------------------------------------


def line_views(table: Table, row: int) -> list[_Row]:
    """Return the lines of an order."""
    told = table.beside.get(row, {}).get("lines", {})
    return [_line(line, told.get(str(line.get("lineNbr")), {})) for line in table.row(row).get("lines") or ()]


def _line(line: Mapping[str, Any], told: Mapping[str, Any]) -> _Row:
    subaccount = (line.get("subaccount") or {}).get("id")
    values = _of(
        line,
        lineId="lineNbr",
        sortOrder="sortOrder",
        operation="operation",
        description="lineDescription",
        note="note",
        baseOrderQuantity="quantity",
        openQuantity="openQty",
        quantityOnShipments="qtyOnShipments",
        unitOfMeasure="uom",
        unitCost="unitCost",
        extendedPrice="extPrice",
        discountAmount="discountAmount",
        discountPercent="discountPercent",
        discountCode="discountCode",
        hasManualDiscount="manualDiscount",
        freeItem="freeItem",
        commissionable="commissionable",
        completed="completed",
        shippingRule="shipComplete",
        undershipThreshold="undershipThreshold",
        overshipThreshold="overshipThreshold",
        inventoryAlternateId="alternateID",
        taxCategoryId="taxCategory",
        reasonCode="reasonCode",
        projectTaskId="projectTaskCd",
        purchaseOrderSource="poSource",
        externalLink="externalLink",
        attachments="attachments",
        salesPerson="salesPerson",
    ) | {
        "inventory": _of(line.get("inventory") or {}, id="number", description="description"),
        "quantity": line.get("quantity", Decimal(1)),
        "unitPrice": line.get("unitPrice", Decimal(0)),
        "warehouseId": (line.get("warehouse") or {}).get("id"),
        "branch": _branch(line.get("branchNumber")),
        "requestDate": utc(line.get("requestedOn")),
        "shipDate": utc(line.get("shipOn")),
        "openLine": not line.get("completed"),
        "subaccount": {"1": subaccount} if subaccount else None,
    }
    return shaped("SalesOrderLineDto", merged(values, told)) or {}


def part_views(part: str, table: Table, row: int) -> Any:
    """Return what the service answers for `/tax`, `/shipment` and the like of an order."""
    return _BESIDE[part](table.row(row))


def _commissions(data: Mapping[str, Any]) -> list[_Row | None]:
    person, net = (data.get("salesPerson") or {}).get("id"), _net(data)
    values = {"salesPersonId": person, "percent": _COMMISSION_PERCENT, "commissionableAmount": net}
    amount = (net * _COMMISSION_PERCENT / 100).quantize(_ZERO)
    return [shaped("SalesOrderCommissionDto", values | {"amount": amount})] if person else []


def _discounts(data: Mapping[str, Any]) -> list[_Row | None]:
    codes = {line["discountCode"]: line for line in data.get("lines") or () if line.get("discountCode")}
    return [
        shaped("SalesOrderDiscountDto", {
            "discountId": code, "type": "Line", "discountAmount": line.get("discountAmount"),
            "discountPercent": line.get("discountPercent"), "discountableAmount": line.get("extPrice"),
            "discountableQuantity": line.get("quantity"), "isManual": line.get("manualDiscount"),
            "manualOrderIndex": index,
        }) for index, (code, line) in enumerate(codes.items())
    ]  # fmt: skip


def _rot_rut(data: Mapping[str, Any]) -> _Row | None:
    if not data.get("isRotRutDeductible"):
        return shaped("SalesOrderRotRutDto", {"distribution": []})
    person = {"lineId": 1, "personalId": "19800101-0002", "amount": _net(data), "extra": False}
    values = {"type": "Rot", "distributedAutomatically": True, "appartment": "1", "distribution": [person]}
    return shaped("SalesOrderRotRutDto", values)


def _shipments(data: Mapping[str, Any]) -> list[_Row | None]:
    return [
        shaped(
            "SalesOrderShipmentDto",
            _of(
                one,
                id="shipmentNo",
                type="shipmentType",
                quantity="shippedQty",
                weight="shippedWeight",
                volume="shippedVolume",
                invoiceId="invoiceNo",
                invoiceType="invoiceType",
                inventoryDocumentType="inventoryDocType",
                inventoryReferenceId="inventoryRefNo",
            )
            | {"date": utc(one.get("shipmentDate"))},
        )
        for one in data.get("shipments") or ()
    ]


def _taxes(data: Mapping[str, Any]) -> list[_Row | None]:
    net = _net(data)
    return [
        shaped("SalesOrderTaxDto", {
            "taxId": "3", "taxType": "VAT", "taxRate": _VAT_PERCENT, "taxableAmount": net,
            "taxAmount": (net * _VAT_PERCENT / 100).quantize(_ZERO), "includeInTaxable": True,
        })
    ]  # fmt: skip


_BESIDE: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "commisions": _commissions,
    "discounts": _discounts,
    "rotrut": _rot_rut,
    "shipment": _shipments,
    "tax": _taxes,
}


# -- what orders name ---------------------------------------------------------------------------------------


def customer_view(table: Table, row: int, expand: frozenset[str]) -> _Row:
    """Return a customer."""
    del expand
    data = table.row(row)
    address = data.get("mainAddress") or {}
    plain = _of(data, id="number", internalId="internalId", name="name", status="status", currencyId="currencyId")
    place = _of(address, addressLine1="addressLine1", addressLine2="addressLine2", postalCode="postalCode")
    more = {
        "country": (address.get("country") or {}).get("id"),
        "customerClassId": (data.get("customerClass") or {}).get("id"),
        "defaultLocation": _location(data),
    }
    return shaped("CustomerDto", plain | place | more) or {}


def _location(data: Mapping[str, Any]) -> _Row:
    location = data.get("location") or {}
    plain = _of(location, id="id", name="name", countryId="countryId")
    return plain | _of(
        data, internalId="internalId", gln="gln", corporateId="corporateId", taxRegistrationId="vatRegistrationId"
    )


def location_views(table: Table, row: int) -> list[_Row | None]:
    """Return the locations of a customer: the one that the table knows."""
    data = table.row(row)
    more = {
        "address": _address(data.get("deliveryAddress")),
        "contact": _contact(data.get("deliveryContact")),
        "priceClassId": (data.get("priceClass") or {}).get("id"),
        "taxZoneId": (data.get("vatZone") or {}).get("id"),
        "shippingRule": "BackOrderAllowed",
    }
    return [shaped("CustomerLocationItemDto", _location(data) | more)]


def inventory_view(table: Table, row: int, expand: frozenset[str]) -> _Row:
    """Return an item with what is available of it in each warehouse."""
    data = table.row(row)
    attributes = {one["id"]: one.get("value") or "" for one in data.get("attributes") or () if one.get("id")}
    values = _of(data, inventoryId="inventoryNumber", internalId="inventoryId", baseUnit="baseUnit") | {
        "description": data.get("description"),
        "availability": [_available(one, expand) for one in data.get("warehouseDetails") or ()],
        "attributes": attributes if expand & {"attribute", "all"} else None,
    }
    return shaped("InventoryItemAvailabilityDto", values) or {}


def _available(one: Mapping[str, Any], expand: frozenset[str]) -> _Row:
    quantities = _of(
        one,
        quantityOnHand="quantityOnHand",
        quantityAvailable="available",
        quantityAvailableForShipment="availableForShipment",
    ) | {"lastModified": utc(one.get("lastModifiedDateTime"))}
    place = {"locationId": "1", "internalLocationId": 1, "description": "Main"} | quantities
    return quantities | {
        "warehouseId": one.get("warehouse"),
        "locations": [place] if expand & {"location", "all"} else None,
    }

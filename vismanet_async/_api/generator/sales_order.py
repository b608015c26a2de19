"""What the registry says about the Sales Order service, whose resource and models are written by hand.

The catalog does not have this service, so its methods are told here; a test holds them against the signatures.
"""

from __future__ import annotations

from typing import Any, Final

from vismanet_async._api import sales_order_models
from vismanet_async._codec.fields import fields_of
from vismanet_async._codec.model import Model, WriteModel

__all__ = ["RESOURCE", "models", "resource"]

RESOURCE: Final = "sales_order_service"

_ORDERS: Final = "/api/v3/SalesOrders"
_ORDER: Final = f"{_ORDERS}/{{type}}/{{orderId}}"
_LINES: Final = f"{_ORDER}/lines"
_IDS: Final = (("order_type", "str"), ("order_id", "str"))
_ROWS: Final = {"call": "list", "style": "page_index"}


def resource() -> dict[str, Any]:
    """Return its entry among the resources."""
    methods = {
        "list": _method(
            "List",
            "GET",
            _ORDERS,
            parameters=[
                _text("order_type", "type"),
                _text("customer_id", "customerId"),
                _text("status"),
                _moment("modified_since", "modifiedSince"),
                _text("order_by", "orderBy"),
                _text("filter"),
            ],
            result="OrderSummary",
            identity=["type", "orderId"],
            max_page_size=100,
            **_ROWS,
        ),
        "get": _method("Get", "GET", _ORDER, ids=_IDS, parameters=[_texts("expand")], call="read", result="Order"),
        "create": _method("Create", "POST", _ORDERS, call="create", body="NewOrder"),
        "update": _method("Update", "PATCH", _ORDER, ids=_IDS, call="update", body="OrderPatch", if_match="needed"),
        "delete": _method("Delete", "DELETE", _ORDER, ids=_IDS, call="delete", if_match="always"),
        "list_lines": _method(
            "ListLines", "GET", _LINES, ids=_IDS, result="OrderLine", identity=["lineId"], max_page_size=1000, **_ROWS
        ),
        "get_line": _method(
            "GetLine", "GET", f"{_LINES}/{{lineId}}", ids=(*_IDS, ("line_id", "int")), call="read", result="OrderLine"
        ),
        "add_lines": _method(
            "AddLines", "POST", _LINES, ids=_IDS, call="update", body="list[NewOrderLine]", if_match="needed"
        ),
        "update_lines": _method(
            "UpdateLines", "PATCH", _LINES, ids=_IDS, call="update", body="list[OrderLinePatch]", if_match="needed"
        ),
        "delete_lines": _method(
            "DeleteLines", "DELETE", _LINES, ids=(*_IDS, ("line_ids", "list[int]")), call="update", if_match="needed"
        ),
        "list_customers": _method(
            "ListCustomers",
            "GET",
            "/api/v3/Customers",
            parameters=[_text("filter")],
            result="RawRecord",
            max_page_size=100,
            **_ROWS,
        ),
        "list_inventory": _method(
            "ListInventory",
            "GET",
            "/api/v3/Inventory",
            parameters=[
                _texts("inventory_id", "inventoryId"),
                _texts("warehouse_id", "warehouseId"),
                _texts("location_id", "locationId"),
                _texts("expand"),
                _moment("modified_since", "modifiedSince"),
                _texts("attribute_filter", "attributeFilter"),
            ],
            result="RawRecord",
            max_page_size=10_000,
            **_ROWS,
        ),
    }
    return {"tags": ["SalesOrders"], "class": "SalesOrderService", "methods": methods}


def models() -> dict[str, Any]:
    """Return the entries of its models, read from the classes."""
    found = {name: getattr(sales_order_models, name) for name in sales_order_models.__all__}
    return {name: _model(cls) for name, cls in found.items() if isinstance(cls, type)}


def _method(name: str, method: str, path: str, **facts: Any) -> dict[str, Any]:
    # the service knows no background queue
    return {"id": f"SalesOrders_{name}", "method": method, "path": path, **facts, "background": False}


def _text(name: str, json: str = "") -> dict[str, str]:
    return {"name": name, "json": json or name, "type": "str", "kind": "text"}


def _texts(name: str, json: str = "") -> dict[str, str]:
    return {"name": name, "json": json or name, "type": "list[str]", "kind": "repeated"}


def _moment(name: str, json: str) -> dict[str, str]:
    return {"name": name, "json": json, "type": "datetime", "kind": "moment"}


def _model(cls: type[Model]) -> dict[str, Any]:
    fields = []
    for field in fields_of(cls):
        kind = field.model.__name__ if field.model is not None else field.kind
        fields.append([field.name, field.json, f"list[{kind}]" if field.many else kind])
    return {"home": "sales_order_models", "dtos": [], "written": issubclass(cls, WriteModel), "fields": fields}

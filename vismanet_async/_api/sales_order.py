"""The Sales Order service, version 3: its own host, token, paging and rules (docs/facts.md 4.14, 5.14, 6.10, 10.15).

Written by hand: the service is not part of the catalog. Orders and lines are typed; for the rest there is
`visma.request(..., service="sales_order")`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from vismanet_async._api import query as q, results
from vismanet_async._api.base import ListCall, Resource
from vismanet_async._api.modify import modify
from vismanet_async._codec.encode import encode_write
from vismanet_async._operation import OperationSpec
from vismanet_async.errors import RequestRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import tzinfo

    from vismanet_async._api.base import IfMatch
    from vismanet_async._api.paths import Id
    from vismanet_async._api.results import Created, Updated
    from vismanet_async._api.sales_order_models import (
        NewOrder,
        NewOrderLine,
        Order,
        OrderLine,
        OrderLinePatch,
        OrderPatch,
        OrderSummary,
        RawRecord,
    )
    from vismanet_async._http.message import Response
    from vismanet_async._operation import Operation
    from vismanet_async._paging.listing import Listing

__all__ = ["OrderPart", "SalesOrderService"]

OrderPart = Literal[
    "Billing", "Payment", "FinancialInformation", "Shipping", "Customer", "Owner", "Origin", "Note", "Freight",
    "Attachments", "All",
]  # fmt: skip
"""A part of an order that is only answered when asked for."""

_ORDERS: Final = "/api/v3/SalesOrders"
_ORDER: Final = f"{_ORDERS}/{{type}}/{{orderId}}"
_LINES: Final = f"{_ORDER}/lines"
_MOST_LINES: Final = 1000
"""Ids in one deletion of lines (docs/facts.md 10.15)."""


def _model(name: str) -> Callable[[], type[Any]]:
    def load() -> type[Any]:
        from vismanet_async._api import sales_order_models  # noqa: PLC0415 - loaded on first use

        found: type[Any] = getattr(sales_order_models, name)
        return found

    return load


def _spec(name: str, method: str, path: str) -> OperationSpec:
    # the service honours If-Match always and knows no background queue
    return OperationSpec(
        id=f"SalesOrders_{name}", method=method, path=path, service="sales_order", if_match=True, background=False
    )


def _list_call(name: str, path: str, model: str, *identity: str, most: int) -> ListCall:
    return ListCall(
        spec=_spec(name, "GET", path), model=_model(model), style="page_index", identity=identity, max_page_size=most
    )


_LIST = _list_call("List", _ORDERS, "OrderSummary", "type", "orderId", most=100)
_LIST_TYPE = _list_call("ListType", f"{_ORDERS}/{{type}}", "OrderSummary", "type", "orderId", most=100)
_LIST_LINES = _list_call("ListLines", _LINES, "OrderLine", "lineId", most=1000)
_LIST_CUSTOMERS = _list_call("ListCustomers", "/api/v3/Customers", "RawRecord", most=100)
_LIST_INVENTORY = _list_call("ListInventory", "/api/v3/Inventory", "RawRecord", most=10_000)
_LIST_INVENTORY_EXPANDED = _list_call("ListInventory", "/api/v3/Inventory", "RawRecord", most=100)
_GET = _spec("Get", "GET", _ORDER)
_CREATE = _spec("Create", "POST", _ORDERS)
_UPDATE = _spec("Update", "PATCH", _ORDER)
_DELETE = _spec("Delete", "DELETE", _ORDER)
_GET_LINE = _spec("GetLine", "GET", f"{_LINES}/{{lineId}}")
_ADD_LINES = _spec("AddLines", "POST", _LINES)
_UPDATE_LINES = _spec("UpdateLines", "PATCH", _LINES)
_DELETE_LINES = _spec("DeleteLines", "DELETE", _LINES)


class SalesOrderService(Resource):
    """Sales orders, in the service that replaced the ERP API's own.

    Changes need `if_match`: an order that was just read, or the answer to the last change of it. A stale one raises
    `PreconditionFailed`, a conflict `Conflict`; the service checks before it changes anything.
    """

    def list(
        self,
        *,
        order_type: str | None = None,
        customer_id: str | None = None,
        status: str | None = None,
        modified_since: datetime | str | None = None,
        order_by: str | None = None,
        filter: str | None = None,  # noqa: A002 - the service's own name
        page_size: int | None = None,
    ) -> Listing[OrderSummary]:
        """List orders.

        Args:
            order_type: such as `SO`; all types when left out.
            customer_id: of one customer.
            status: in one state.
            modified_since: changed at this moment or later. A datetime without a zone is UTC to the service, so it is
                refused: say `tzinfo=UTC`.
            order_by: `created`, `lastModified` or `orderId`, with ` asc` or ` desc` behind it.
            filter: part of the order's id.
            page_size: rows a request, 100 at most; the service refuses more.

        `GET /api/v3/SalesOrders`
        """
        return self._list(
            _LIST if order_type is None else _LIST_TYPE,
            () if order_type is None else (order_type,),
            ("customerId", q.text, customer_id),
            ("status", q.text, status),
            ("modifiedSince", _instant, modified_since),
            ("orderBy", q.text, order_by),
            ("filter", q.text, filter),
            page_size=page_size,
        )

    def get(self, order_type: Id, order_id: Id, /, *, expand: Sequence[OrderPart | str] = ()) -> Operation[Order]:
        """Read one order, with the parts named by `expand`.

        `GET /api/v3/SalesOrders/{type}/{orderId}`
        """
        return self._read(_GET, (order_type, order_id), ("expand", _commas, expand or None), model=_model("Order"))

    def create(self, body: NewOrder | Mapping[str, Any], /) -> Operation[Created]:
        """Create an order; the result's `key` is its type and id.

        `POST /api/v3/SalesOrders`
        """
        return self._create(_CREATE, (), body=body, model=_model("NewOrder"))

    def update(
        self, order_type: Id, order_id: Id, body: OrderPatch | Mapping[str, Any], /, *, if_match: IfMatch
    ) -> Operation[Updated]:
        """Change an order; only the fields given change.

        `PATCH /api/v3/SalesOrders/{type}/{orderId}`
        """
        return self._change(_UPDATE, (order_type, order_id), body, "OrderPatch", if_match)

    async def modify(
        self,
        order_type: Id,
        order_id: Id,
        change: Callable[[Order], OrderPatch | Mapping[str, Any] | None],
        /,
        *,
        attempts: int = 5,
    ) -> Updated:
        """Read an order, apply `change` and write what it gives, unless somebody else wrote in between.

        See `vismanet_async._api.modify`.
        """
        return await modify(
            self,
            lambda: self.get(order_type, order_id, expand=["All"]),
            lambda body, etag: self.update(order_type, order_id, body, if_match=etag),
            change,
            attempts=attempts,
        )

    def delete(self, order_type: Id, order_id: Id, /, *, if_match: IfMatch | None = None) -> Operation[None]:
        """Delete an order.

        `DELETE /api/v3/SalesOrders/{type}/{orderId}`
        """

        def decode(response: Response) -> None:
            results.deleted(response, _DELETE.id, accepts_202=True)

        return self._operation(_DELETE, (order_type, order_id), (), decode, if_match=if_match)

    def list_lines(self, order_type: Id, order_id: Id, /, *, page_size: int | None = None) -> Listing[OrderLine]:
        """List the lines of an order.

        `GET /api/v3/SalesOrders/{type}/{orderId}/lines`
        """
        return self._list(_LIST_LINES, (order_type, order_id), page_size=page_size)

    def get_line(self, order_type: Id, order_id: Id, line_id: int, /) -> Operation[OrderLine]:
        """Read one line.

        `GET /api/v3/SalesOrders/{type}/{orderId}/lines/{lineId}`
        """
        return self._read(_GET_LINE, (order_type, order_id, line_id), model=_model("OrderLine"))

    def add_lines(
        self,
        order_type: Id,
        order_id: Id,
        lines: Sequence[NewOrderLine | Mapping[str, Any]],
        /,
        *,
        if_match: IfMatch,
    ) -> Operation[Updated]:
        """Add lines to an order.

        `POST /api/v3/SalesOrders/{type}/{orderId}/lines`
        """
        return self._change(_ADD_LINES, (order_type, order_id), {"lines": lines}, "NewOrderLines", if_match)

    def update_lines(
        self,
        order_type: Id,
        order_id: Id,
        lines: Sequence[OrderLinePatch | Mapping[str, Any]],
        /,
        *,
        if_match: IfMatch,
    ) -> Operation[Updated]:
        """Change lines of an order; each says which by its `line_id`.

        `PATCH /api/v3/SalesOrders/{type}/{orderId}/lines`
        """
        for index, line in enumerate(lines):
            named = (
                line.get("line_id") or line.get("lineId") if hasattr(line, "get") else getattr(line, "line_id", None)
            )
            if not named:
                raise RequestRefused(f"lines[{index}] does not say which line: give line_id; nothing was sent.")
        return self._change(_UPDATE_LINES, (order_type, order_id), {"lines": lines}, "OrderLinePatches", if_match)

    def delete_lines(
        self, order_type: Id, order_id: Id, line_ids: Sequence[int], /, *, if_match: IfMatch
    ) -> Operation[Updated]:
        """Remove up to 1,000 lines of an order by their ids.

        `DELETE /api/v3/SalesOrders/{type}/{orderId}/lines`
        """
        if not 1 <= len(line_ids) <= _MOST_LINES:
            raise RequestRefused(
                f"1 to {_MOST_LINES} lines can be deleted at once, not {len(line_ids)}; nothing was sent."
            )
        ids = ",".join(str(q.integer("ids", one, None)[0][1]) for one in line_ids)

        def decode(response: Response) -> Updated:
            return results.updated(response, _DELETE_LINES.id, accepts_202=True)

        return self._operation(
            _DELETE_LINES, (order_type, order_id), (("ids", q.text, ids),), decode, if_match=if_match
        )

    def list_customers(self, *, filter: str | None = None, page_size: int | None = None) -> Listing[RawRecord]:  # noqa: A002
        """List the customers that orders can be made for; `filter` looks in ids, names and tax ids.

        `GET /api/v3/Customers`
        """
        return self._list(_LIST_CUSTOMERS, (), ("filter", q.text, filter), page_size=page_size)

    def list_inventory(
        self,
        *,
        inventory_id: Sequence[str] | None = None,
        warehouse_id: Sequence[str] | None = None,
        location_id: Sequence[str] | None = None,
        expand: Sequence[str] | None = None,
        modified_since: datetime | str | None = None,
        attribute_filter: Sequence[str] | None = None,
        page_size: int | None = None,
    ) -> Listing[RawRecord]:
        """List items with what is available of them.

        Args:
            inventory_id: of these items.
            warehouse_id: in these warehouses.
            location_id: in these locations.
            expand: `location`, `attribute`; either lowers the largest page to 100 rows.
            modified_since: whose availability changed at this moment or later; see `list`.
            attribute_filter: `ID:VALUE`; values of one id are alternatives.
            page_size: rows a request.

        `GET /api/v3/Inventory`
        """
        return self._list(
            _LIST_INVENTORY_EXPANDED if expand else _LIST_INVENTORY,
            (),
            ("inventoryId", q.repeated, inventory_id),
            ("warehouseId", q.repeated, warehouse_id),
            ("locationId", q.repeated, location_id),
            ("expand", _commas, expand),
            ("modifiedSince", _instant, modified_since),
            ("attributeFilter", q.repeated, attribute_filter),
            page_size=page_size,
        )

    def _change(
        self, spec: OperationSpec, ids: Sequence[Id], body: Any, model: str, if_match: IfMatch
    ) -> Operation[Updated]:
        content = encode_write(body, _model(model)())

        def decode(response: Response) -> Updated:
            return results.updated(response, spec.id, accepts_202=True)  # facts 6.10

        return self._operation(spec, ids, (), decode, body=content, if_match=if_match)


def _commas(name: str, value: Any, zone: tzinfo | None) -> q.Pairs:
    pairs = q.repeated(name, value, zone)
    return ((name, ",".join(part for _, part in pairs)),)


def _instant(name: str, value: Any, _: tzinfo | None) -> q.Pairs:
    moment = value
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
    if not isinstance(moment, datetime):
        raise RequestRefused(f"{name} takes a datetime with a zone or its text, not {value!r}; nothing was sent.")
    if moment.tzinfo is None:
        raise RequestRefused(
            f"{name}: {value} has no time zone, which the service takes for UTC. Say so; nothing was sent."
        )
    return ((name, moment.astimezone(UTC).isoformat().replace("+00:00", "Z")),)

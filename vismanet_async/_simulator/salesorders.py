"""The Sales Order service v3: its own paths, paging, errors and rules, over the same data.

What it takes and answers is in its catalog; which operation a path means, the router finds by it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from attrs import evolve, frozen

from vismanet_async._simulator.bodies import BodyError
from vismanet_async._simulator.catalog import load_orders
from vismanet_async._simulator.clock import instant_ms, parse_naive_ms
from vismanet_async._simulator.messages import RefusedError, Reply, Request, json_reply, problem
from vismanet_async._simulator.order_bodies import OrderRefusal, refusal
from vismanet_async._simulator.order_views import (
    EXPANDS,
    INVENTORY_EXPANDS,
    STATUS,
    customer_view,
    inventory_view,
    line_views,
    location_views,
    order_view,
    part_views,
    summary_view,
)
from vismanet_async._simulator.order_writes import OrderWrites, etag_header
from vismanet_async._simulator.router import Match, Router
from vismanet_async._simulator.rows import Table

if TYPE_CHECKING:
    from vismanet_async._simulator.company import Company
    from vismanet_async._simulator.farm import Server

__all__ = ["SalesOrders"]

_EXPANDED_LIMIT = 100
_LIMITS = {"/api/v3/Inventory": 10_000}
_LIMIT = 1000
_ORDER = re.compile(r"(created|lastModified|orderId)(?:[ :]?(asc|desc))?", re.IGNORECASE)
_TABLES = {"Customers": "customer", "Inventory": "inventory"}
_VIEWS: dict[str, Callable[[Table, int, frozenset[str]], dict[str, Any]]] = {
    "customer": customer_view,
    "inventory": inventory_view,
    "salesorder": summary_view,
}
_PARTS = {
    "commissions": "commisions",
    "discounts": "discounts",
    "rotrut": "rotrut",
    "shipment": "shipment",
    "tax": "tax",
}


@cache
def _router() -> Router:
    return Router(evolve(one, path=one.path.removeprefix("/api")) for one in load_orders().operations.values())


class SalesOrders:
    """Answers `/api/v3/...`."""

    def __init__(self) -> None:
        self.catalog = load_orders()
        self._router = _router()

    def match(self, request: Request) -> Match | int:
        """Return the operation that a request means, or 404 or 405."""
        path = request.path[request.path.lower().index("/api/v3/") :]
        found = self._router.match(request.method, path, accept_encoded=True)
        return found if isinstance(found, int) else evolve(found, operation=self.catalog.operations[found.operation.id])

    @staticmethod
    def table_of(match: Match) -> str:
        """Return the table that an operation is about."""
        return _TABLES.get(match.operation.path.split("/")[3], "salesorder")

    def answer(self, company: Company, request: Request, match: Match, server: Server) -> Reply:
        """Answer a request."""
        table = company.world.table(self.table_of(match))
        if match.operation.response_kind == "paged":
            table = company.history.seen(table, server.behind_requests)
        asked = _Asked(self, company, request, match, table)
        try:
            return asked.read() if request.method == "GET" else asked.write()
        except OrderRefusal as error:
            return refusal(*error.details)
        except BodyError as error:
            return refusal(("0003-InvalidValue", "body", str(error)))
        except RefusedError as error:
            return error.reply


@frozen
class _Asked:
    """One request."""

    service: SalesOrders
    company: Company
    request: Request
    match: Match
    table: Table

    @property
    def _query(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.request.query}

    # -- writes ---------------------------------------------------------------------------------------------

    def write(self) -> Reply:
        operation = self.match.operation
        writes = OrderWrites(self.service.catalog, self.company, self.request, operation, self.table)
        if not self.match.values:
            return writes.create()
        lines = operation.path.endswith("/lines")
        does = {
            ("PATCH", False): writes.change,
            ("DELETE", False): writes.delete,
            ("POST", True): writes.add_lines,
            ("PATCH", True): writes.change_lines,
            ("DELETE", True): writes.delete_lines,
        }
        return does[self.request.method, lines](self._row())

    def _row(self) -> int:
        row = self.table.find(self.match.values[: len(self.table.spec.key)])
        if row is None:
            what = "order; the order type is part of the path" if self.table.spec.types else self.table.spec.name
            raise RefusedError(problem(404, "Not Found", f"No such {what}."))
        return row

    # -- reads ----------------------------------------------------------------------------------------------

    def read(self) -> Reply:
        last = self.match.operation.path.rpartition("/")[2]
        if last == "locations":
            return json_reply(location_views(self.table, self._row()))
        if last in _PARTS:
            return json_reply(part_views(_PARTS[last], self.table, self._row()))
        if last == "lines":
            return self._page(line_views(self.table, self._row()), frozenset())
        if last == "{lineId}":
            found = [one for one in line_views(self.table, self._row()) if str(one["lineId"]) == self.match.values[-1]]
            return json_reply(found[0]) if found else problem(404, "Not Found", "No such line.")
        if last == "{orderId}":
            row = self._row()
            shown = order_view(self.table, row, self._expand(EXPANDS))
            return json_reply(shown, headers=etag_header(self.table, row))
        return self._list()

    def _list(self) -> Reply:
        name = self.table.spec.name
        expand = self._expand(INVENTORY_EXPANDS if name == "inventory" else EXPANDS)
        rows = self._chosen()
        span = self._span(expand)
        views = [_VIEWS[name](self.table, row, expand) for row in rows[span.start : span.stop]]
        return self._part(views, span, len(rows))

    def _expand(self, known: frozenset[str]) -> frozenset[str]:
        asked = frozenset(part.strip().lower() for part in self._query.get("expand", "").split(",") if part.strip())
        if not asked <= known:
            raise _invalid("expand")
        return asked

    def _chosen(self) -> list[int]:
        query, table = self._query, self.table
        rows = list(table.select())
        if self.match.values:
            kind = self.match.values[0].upper()
            if kind not in (table.spec.types or ()):
                raise RefusedError(problem(404, "Not Found", f"No such order type {kind}."))
            rows = [row for row in rows if table.key_of(row)[0] == kind]
        for name, fits in _FILTERS[table.spec.name].items():
            asked = [value for given, value in self.request.query if given.lower() == name]
            if asked:
                rows = [row for row in rows if fits(table, row, asked)]
        if "orderby" in query and table.spec.name == "salesorder":
            asked_order = _ORDER.fullmatch(query["orderby"])
            if asked_order is None:
                raise _invalid("orderBy")
            descending = (asked_order.group(2) or "").lower() == "desc"
            rows.sort(key=_RANKS[asked_order.group(1).lower()](table), reverse=descending)
        return rows

    # -- pages ----------------------------------------------------------------------------------------------

    def _page(self, views: list[dict[str, Any]], expand: frozenset[str]) -> Reply:
        span = self._span(expand)
        return self._part(views[span.start : span.stop], span, len(views))

    def _span(self, expand: frozenset[str]) -> _Span:
        operation, query = self.match.operation, self._query
        usual, limit = operation.query["pageSize"]["default"], _LIMITS.get(operation.path, _LIMIT)
        if expand:
            usual, limit = min(usual, _EXPANDED_LIMIT), min(limit, _EXPANDED_LIMIT)
        try:
            index, size = int(query.get("pageindex", "0")), int(query.get("pagesize", str(usual)))
        except ValueError as error:
            raise _invalid("pageSize") from error
        if index < 0:
            raise _invalid("pageIndex", "0100-OutsideValidRange")
        if expand and size > limit and self.company.behaviours.sales_order_expanded_pages == "lowered":
            size = limit
        if not 1 <= size <= limit:
            raise _invalid("pageSize", "0100-OutsideValidRange")
        return _Span(index, size)

    def _part(self, shown: list[dict[str, Any]], span: _Span, total: int) -> Reply:
        """Answer one part of a list, with a link to the next one."""
        again = [(name, value) for name, value in self.request.query if name.lower() != "pageindex"]
        following = urlencode([*again, ("pageIndex", str(span.index + 1))])
        return json_reply({
            "value": shown,
            "totalCount": None if self.company.behaviours.sales_order_total_unknown else total,
            "nextPage": f"{self.request.origin}{self.request.path}?{following}" if span.stop < total else None,
        })  # fmt: skip


@frozen
class _Span:
    """Which part of a list was asked for."""

    index: int
    size: int

    @property
    def start(self) -> int:
        return self.index * self.size

    @property
    def stop(self) -> int:
        return self.start + self.size


def _invalid(name: str, code: str = "0003-InvalidValue") -> OrderRefusal:
    return OrderRefusal((code, name, f"The value of {name} is not valid."))


# -- filters ------------------------------------------------------------------------------------------------

_Fits = Callable[[Table, int, list[str]], bool]


def _modified(table: Table, row: int) -> int:
    if row not in table.overlay:
        return table.base.modified_ms(row)
    data = table.overlay[row]
    return parse_naive_ms(str(data.get("lastModified") or data.get("lastModifiedDateTime")))


def _since(table: Table, row: int, asked: list[str]) -> bool:
    since = instant_ms(asked[-1])
    if since is None:
        raise _invalid("modifiedSince")
    return _modified(table, row) >= since


def _has_text(table: Table, row: int, asked: list[str]) -> bool:
    """Whether id, name, GLN or tax registration of a customer contains the text."""
    data, text = table.row(row), asked[-1].casefold()
    return any(text in str(data.get(name) or "").casefold() for name in ("number", "name", "gln", "vatRegistrationId"))


def _in_warehouse(table: Table, row: int, asked: list[str]) -> bool:
    return any(one.get("warehouse") in asked for one in table.row(row).get("warehouseDetails") or ())


def _has_attributes(table: Table, row: int, asked: list[str]) -> bool:
    wanted: dict[str, set[str]] = {}
    for one in asked:
        name, colon, value = one.partition(":")
        if not colon:
            raise _invalid("attributeFilter", "5000-InvalidAttributeFilter")
        wanted.setdefault(name, set()).add(value)
    attributes: Mapping[str, Any] = {one.get("id"): one.get("value") for one in table.row(row).get("attributes") or ()}
    return all(attributes.get(name) in values for name, values in wanted.items())


_FILTERS: dict[str, dict[str, _Fits]] = {
    "salesorder": {
        "customerid": lambda table, row, asked: (table.row(row).get("customer") or {}).get("number") == asked[-1],
        "status": lambda table, row, asked: STATUS.get(str(table.row(row).get("status"))) == asked[-1],
        "filter": lambda table, row, asked: asked[-1].casefold() in table.key_of(row)[-1].casefold(),
        "modifiedsince": _since,
    },
    "customer": {"filter": _has_text},
    "inventory": {
        "inventoryid": lambda table, row, asked: table.key_of(row)[-1] in asked,
        "warehouseid": _in_warehouse,
        "attributefilter": _has_attributes,
        "modifiedsince": _since,
    },
}
_RANKS: dict[str, Callable[[Table], Callable[[int], Any]]] = {
    "created": lambda _table: lambda row: row,
    "lastmodified": lambda table: lambda row: _modified(table, row),
    "orderid": lambda table: lambda row: table.key_of(row)[-1],
}

"""The Sales Order service v3: its own paths, paging, errors and rules, over the same data."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlencode

from attrs import frozen

from vismanet_async._simulator.bodies import BodyError, parse_object
from vismanet_async._simulator.clock import parse_naive_ms
from vismanet_async._simulator.messages import RefusedError, Reply, Request, json_reply, problem
from vismanet_async._simulator.order_views import (
    EXPANDS,
    STATUS,
    customer_view,
    inventory_view,
    line_views,
    order_view,
    summary_view,
)
from vismanet_async._simulator.rows import Table
from vismanet_async._simulator.writes import new_row, save

if TYPE_CHECKING:
    from vismanet_async._simulator.company import Company
    from vismanet_async._simulator.farm import Server

__all__ = ["SalesOrders"]

_EXPANDED_LIMIT = 100
_MOST_DELETED = 1000
_KEY_PARTS = 2  # type and number
_SIZES = {
    "salesorders": (100, 1000),
    "customers": (100, 1000),
    "inventory": (1000, 10_000),
    "lines": (1000, 1000),
}
_ORDER = re.compile(r"(created|lastModified|orderId)(?:[ :]?(asc|desc))?", re.IGNORECASE)

_Change = Callable[["Company", dict[str, Any], dict[str, Any]], None]
View = Callable[[Table, int, frozenset[str]], dict[str, Any]]


_LISTS: dict[str, tuple[str, View]] = {
    "salesorders": ("salesorder", summary_view),
    "customers": ("customer", customer_view),
    "inventory": ("inventory", inventory_view),
}


@frozen
class _Shown:
    """What a list shows: its name, the form of its rows, and their only order type, if any."""

    name: str
    view: View
    kind: str | None


def is_order_list(path: str) -> bool:
    """Return whether a path of the service is that of a list."""
    name, *key = path.lower().partition("/api/v3/")[2].strip("/").split("/")
    lines = len(key) == _KEY_PARTS + 1 and key[-1] in {"lines", "orderlines"}
    return name in _LISTS and (not key or (name == "salesorders" and (len(key) == 1 or lines)))


class SalesOrders:
    """Answers `/api/v3/...`."""

    def answer(self, company: Company, request: Request, server: Server) -> tuple[str, Reply]:
        """Return the name of what was asked for and the answer."""
        path = request.path.lower().partition("/api/v3/")[2].strip("/")
        name = path.partition("/")[0]
        if name not in _LISTS:
            return "unknown", problem(404, "Not Found")
        table_name, view = _LISTS[name]
        table = company.world.table(table_name)
        key = [unquote(part) for part in request.path[-len(path) - 1 :].strip("/").split("/")[1:]]
        try:
            kind = _kind(table, key) if name == "salesorders" else None
            if request.method == "GET" and (kind or not key):
                seen = company.history.seen(table, server.behind_requests)
                return name, self._list(company, request, seen, _Shown(name, view, kind))
            if name == "salesorders":
                return _Orders(company, request, table).answer(key)
            return f"{name}:one", self._one(request, table, view, key)
        except BodyError as error:
            return name, _bad(error)
        except RefusedError as error:
            return name, error.reply

    @staticmethod
    def _one(request: Request, table: Table, view: View, key: list[str]) -> Reply:
        if request.method != "GET":
            return _not_allowed()
        row = table.find(key)
        return problem(404, "Not Found") if row is None else json_reply(view(table, row, frozenset()))

    def _list(self, company: Company, request: Request, table: Table, shown: _Shown) -> Reply:
        query = {given.lower(): value for given, value in request.query}
        usual, limit = _SIZES[shown.name]
        expand = frozenset(part.strip() for part in query.get("expand", "").lower().split(",") if part.strip())
        if not expand <= EXPANDS:
            return _invalid("expand")
        if expand:
            limit, usual = min(limit, _EXPANDED_LIMIT), min(usual, _EXPANDED_LIMIT)
        span = _span(query, usual, limit)
        rows = [row for row in self._chosen(table, query) if shown.kind in {None, table.key_of(row)[0]}]
        views = [shown.view(table, row, expand) for row in rows[span.start : span.stop]]
        return _part(request, views, span, len(rows), tell=not company.behaviours.sales_order_total_unknown)

    @staticmethod
    def _chosen(table: Table, query: Mapping[str, str]) -> list[int]:
        rows = list(table.select())
        if "customerid" in query:
            wanted = query["customerid"]
            rows = [row for row in rows if (table.row(row).get("customer") or {}).get("number") == wanted]
        if "status" in query:
            rows = [row for row in rows if STATUS.get(str(table.row(row).get("status"))) == query["status"]]
        if "filter" in query and table.spec.name == "salesorder":
            rows = [row for row in rows if query["filter"].casefold() in table.key_of(row)[-1].casefold()]
        if "modifiedsince" in query:
            since = _instant(query["modifiedsince"])
            if since is None:
                raise RefusedError(_invalid("modifiedSince"))
            rows = [row for row in rows if _modified(table, row) >= since]
        if "orderby" in query:
            asked = _ORDER.fullmatch(query["orderby"])
            if asked is None:
                raise RefusedError(_invalid("orderBy"))
            rows.sort(key=_RANKS[asked.group(1).lower()](table), reverse=(asked.group(2) or "").lower() == "desc")
        return rows


def _kind(table: Table, key: list[str]) -> str | None:
    """Return the order type that a path ends in; None: it names something else."""
    return next((kind for kind in table.spec.types if [kind] == [part.upper() for part in key]), None)


def _etag(table: Table, row: int) -> dict[str, str]:
    return {"ETag": f'"{table.version_of(row)}"'}


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


def _span(query: Mapping[str, str], usual: int, limit: int) -> _Span:
    try:
        index, size = int(query.get("pageindex", "0")), int(query.get("pagesize", str(usual)))
    except ValueError as error:
        raise RefusedError(_invalid("pageSize")) from error
    if index < 0:
        raise RefusedError(_invalid("pageIndex"))
    if not 1 <= size <= limit:
        raise RefusedError(_invalid("pageSize"))
    return _Span(index, size)


def _part(request: Request, shown: list[dict[str, Any]], span: _Span, total: int, *, tell: bool = True) -> Reply:
    """Answer one part of a list, with a link to the next one."""
    again = [(name, value) for name, value in request.query if name.lower() != "pageindex"]
    following = urlencode([*again, ("pageIndex", str(span.index + 1))])
    return json_reply({
        "value": shown,
        "totalCount": total if tell else None,
        "nextPage": f"{request.origin}{request.path}?{following}" if span.stop < total else None,
    })  # fmt: skip


def _window(request: Request, views: list[dict[str, Any]], kind: str) -> Reply:
    query = {name.lower(): value for name, value in request.query}
    span = _span(query, *_SIZES[kind])
    return _part(request, views[span.start : span.stop], span, len(views))


def _not_allowed() -> Reply:
    return problem(405, "Method Not Allowed")


@frozen
class _Orders:
    """One request for orders themselves."""

    company: Company
    request: Request
    table: Table

    def answer(self, key: list[str]) -> tuple[str, Reply]:
        """Return the name of what was asked for and the answer."""
        if not key:
            return "order:create", self._create() if self.request.method == "POST" else _not_allowed()
        row = self._row(key)
        if len(key) > _KEY_PARTS:
            is_lines = key[_KEY_PARTS].lower() in {"lines", "orderlines"}
            return self._lines(row, key[_KEY_PARTS + 1 :]) if is_lines else ("order", problem(404, "Not Found"))
        if self.request.method == "PATCH":
            return "order:patch", self._change(row, _patch_order)
        if self.request.method == "DELETE":
            return "order:delete", self._delete(row)
        if self.request.method != "GET":
            return "order", _not_allowed()
        expand = frozenset(dict(self.request.query).get("expand", "").lower().split(",")) & EXPANDS
        return "order", json_reply(order_view(self.table, row, expand), headers=_etag(self.table, row))

    def _row(self, key: list[str]) -> int:
        row = self.table.find(key[:_KEY_PARTS]) if len(key) >= _KEY_PARTS else None
        if row is None:
            raise RefusedError(problem(404, "Not Found", "No such order; the order type is part of the path."))
        return row

    def _create(self) -> Reply:
        body = parse_object(self.request.body)
        row = new_row(self.company, self.table)
        kind = str(body.get("type") or "SO").upper()
        customer = _named(self.company, "customer", (body.get("customer") or {}).get("id"), "customer.id")
        row.update(orderType=kind, status="Open", customer=customer)
        more = {name: value for name, value in body.items() if name not in {"type", "customer"}}
        _patch_order(self.company, row, more)
        row["orderNo"] = self.table.next_number()
        self.table.stamp(row, created=True)
        number = self.table.insert(row)
        place = f"{self.request.origin}{self.request.path.rstrip('/')}/{kind}/{row['orderNo']}"
        return Reply(201, headers={"Location": place} | _etag(self.table, number))

    def _lines(self, row: int, rest: list[str]) -> tuple[str, Reply]:
        asked = (self.request.method, len(rest))
        if asked == ("GET", 0):
            return "lines", _window(self.request, line_views(self.table.row(row)), "lines")
        if asked == ("POST", 0):
            return "lines:add", self._change(row, _add_lines, 201)
        if asked == ("GET", 1):
            line = next((one for one in line_views(self.table.row(row)) if str(one["lineId"]) == rest[0]), None)
            return "lines:one", problem(404, "Not Found") if line is None else json_reply(line)
        if asked == ("PATCH", 0):
            return "lines:patch", self._change(row, _patch_lines)
        if asked == ("DELETE", 0):
            wanted = dict(self.request.query).get("ids", "").split(",")
            return "lines:delete", self._change(row, _delete_lines([part for part in wanted if part]))
        return "lines", _not_allowed()

    def _delete(self, row: int) -> Reply:
        refusal = self._refusal(row, self.request.headers.get("If-Match", "*"))
        if refusal is None:
            self.table.remove(row)
        return refusal or Reply(204)

    def _refusal(self, row: int, given: str) -> Reply | None:
        """Return why an order cannot be changed under this version."""
        if given.strip().removeprefix("W/").strip('"') not in {"*", self.table.version_of(row)}:
            return problem(412, "Precondition Failed", "The order has been changed.")
        status = str(self.table.row(row).get("status"))
        if status in {"Completed", "Cancelled", "Invoiced"}:
            return problem(409, "Conflict", f"The order is {status}.")
        return None

    def _change(self, row: int, change: _Change, status: int = 202) -> Reply:
        """Change an order under its mandatory If-Match (facts 6.10)."""
        data = self.table.row(row)
        given = self.request.headers.get("If-Match")
        if given is None:
            return problem(428, "Precondition Required", "The If-Match header is mandatory.")
        refusal = self._refusal(row, given)
        if refusal is not None:
            return refusal
        change(self.company, data, parse_object(self.request.body) if self.request.body.strip() else {})
        save(self.table, row, data, self.company)
        return Reply(status, headers=_etag(self.table, row))


# -- changes ------------------------------------------------------------------------------------------------


def _bad(error: BodyError) -> Reply:
    return problem(400, "One or more validation errors occurred.", details=[
        {"code": "0001-NullNotAllowed", "message": str(error),
        "parameters": {"property": str(error).partition(" ")[0]}}
    ])  # fmt: skip


def _named(company: Company, name: str, key: object, field: str) -> dict[str, Any]:
    table = company.world.table(name)
    row = table.find((str(key),)) if key else None
    if row is None:
        raise BodyError(f"{field} must name a {name}.")
    return {"internalId": table.internal_of(row), "number": table.key_of(row)[-1], "name": table.name_of(row)}


def _patch_order(company: Company, data: dict[str, Any], body: dict[str, Any]) -> None:
    plain = {"description": "description", "note": "note", "currencyId": "currency"}
    for name, value in body.items():
        if name in plain:
            data[plain[name]] = value
        elif name in {"date", "requestOn", "cancelBy"}:
            data[name] = _naive(name, value)
        elif name == "customer":
            data["customer"] = _named(company, "customer", (value or {}).get("id"), "customer.id")
        elif name == "orderLines":
            data["lines"] = []
            _add_lines(company, data, {"orderLines": value})
    _total(data)


def _fill_line(company: Company, line: dict[str, Any], body: dict[str, Any]) -> None:
    if "inventoryId" in body:
        found = _named(company, "inventory", body["inventoryId"], "inventoryId")
        line["inventory"] = {"number": found["number"], "description": found["name"]}
        line.setdefault("lineDescription", found["name"])
    for name, target in {
        "quantity": "quantity",
        "unitPrice": "unitPrice",
        "description": "lineDescription",
        "unitOfMeasure": "uom",
    }.items():
        if name in body:
            line[target] = Decimal(str(body[name])) if name in {"quantity", "unitPrice"} else body[name]


def _add_lines(company: Company, data: dict[str, Any], body: dict[str, Any]) -> None:
    sent = body.get("orderLines", body.get("lines"))
    lines = list(data.get("lines") or ())
    for one in sent if isinstance(sent, list) else ():
        line: dict[str, Any] = {
            "lineNbr": max((int(other["lineNbr"]) for other in lines), default=0) + 1,
            "quantity": Decimal(1),
            "unitPrice": Decimal(0),
        }
        if not isinstance(one, dict) or not one.get("inventoryId"):
            raise BodyError("inventoryId must not be null.")
        _fill_line(company, line, one)
        lines.append(line)
    data["lines"] = lines
    _total(data)


def _patch_lines(company: Company, data: dict[str, Any], body: dict[str, Any]) -> None:
    known = {one.get("lineNbr"): one for one in data.get("lines") or ()}
    for one in body.get("lines") or ():
        if one.get("lineId") not in known:
            raise BodyError(f"lineId {one.get('lineId')} does not exist.")
        _fill_line(company, known[one["lineId"]], one)
    _total(data)


def _delete_lines(ids: list[str]) -> _Change:
    def change(company: Company, data: dict[str, Any], body: dict[str, Any]) -> None:
        del company, body
        wanted = set(ids)
        if not 1 <= len(wanted) <= _MOST_DELETED:
            raise BodyError(f"ids must hold 1 to {_MOST_DELETED} ids.")
        data["lines"] = [line for line in data.get("lines") or () if str(line.get("lineNbr")) not in wanted]
        _total(data)

    return change


def _total(data: dict[str, Any]) -> None:
    total = sum(
        (line.get("quantity", Decimal(1)) * line.get("unitPrice", Decimal(0)) for line in data.get("lines") or ()),
        Decimal(0),
    )
    data["orderTotal"] = total.quantize(Decimal("0.0001"))


_RANKS: dict[str, Callable[[Table], Callable[[int], Any]]] = {
    "created": lambda _table: lambda row: row,
    "lastmodified": lambda table: lambda row: _modified(table, row),
    "orderid": lambda table: lambda row: table.key_of(row)[-1],
}


def _modified(table: Table, row: int) -> int:
    if row not in table.overlay:
        return table.base.modified_ms(row)
    data = table.overlay[row]
    return parse_naive_ms(str(data.get("lastModified") or data.get("lastModifiedDateTime")))


def _instant(text: str) -> int | None:
    """Read modifiedSince: UTC unless it has an offset (facts 5.14)."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    aware = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    return int(aware.timestamp() * 1000)


def _naive(name: str, value: object) -> str | None:
    """Read a moment of a body into what the table holds: UTC, without saying so."""
    if value is None:
        return None
    milliseconds = _instant(str(value))
    if milliseconds is None:
        raise BodyError(f"{name} must be a moment.")
    return datetime.fromtimestamp(milliseconds / 1000, UTC).replace(tzinfo=None).isoformat()


def _invalid(name: str) -> Reply:
    return problem(400, "One or more validation errors occurred.", details=[
        {"code": "0002-OutOfRange", "message": f"The value of {name} is not valid.",
        "parameters": {"property": name}}
    ])  # fmt: skip

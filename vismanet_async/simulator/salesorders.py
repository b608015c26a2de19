"""The Sales Order service v3: its own paths, paging, errors and rules, over the same data."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlencode

from vismanet_async.simulator.bodies import BodyError, parse_object
from vismanet_async.simulator.clock import parse_naive_ms
from vismanet_async.simulator.messages import Reply, Request, json_reply, problem
from vismanet_async.simulator.rows import Table
from vismanet_async.simulator.writes import new_row, save

if TYPE_CHECKING:
    from vismanet_async.simulator.company import Company

__all__ = ["SalesOrders"]

_EXPANDED_LIMIT = 100
_MOST_DELETED = 1000
_SIZES = {
    "salesorders": (100, 1000),
    "customers": (100, 1000),
    "inventory": (1000, 10_000),
    "lines": (1000, 1000),
}
_STATUS = {
    "Open": "Open",
    "Hold": "OnHold",
    "Completed": "Completed",
    "Cancelled": "Cancelled",
    "CreditHold": "CreditHold",
}
_ORDER = re.compile(r"(created|lastModified|orderId)(?:[ :]?(asc|desc))?", re.IGNORECASE)
_EXPANDS = frozenset({"lines", "customer", "shipping", "billing", "note", "all"})

View = Callable[[Table, int, frozenset[str]], dict[str, Any]]


def _utc(text: object) -> str | None:
    return f"{text}Z" if isinstance(text, str) and text else None


def order_view(table: Table, row: int, expand: frozenset[str]) -> dict[str, Any]:
    """Return a sales order as the service shows it: plain values, UTC times."""
    data = table.row(row)
    kind, number = table.key_of(row)
    customer = data.get("customer") or {}
    shown = {
        "type": kind,
        "orderId": number,
        "status": _STATUS.get(str(data.get("status")), str(data.get("status"))),
        "date": data.get("date"),
        "description": data.get("description"),
        "customer": {"id": customer.get("number"), "name": customer.get("name")},
        "currency": data.get("currency"),
        "orderTotal": data.get("orderTotal"),
        "taxTotal": data.get("taxTotal"),
        "created": _utc(data.get("createdDateTime") or data.get("lastModified")),
        "lastModified": _utc(data.get("lastModified") or data.get("lastModifiedDateTime")),
        "version": table.version_of(row),
    }
    if expand & {"lines", "all"}:
        shown["orderLines"] = line_views(data)
    if expand & {"note", "all"}:
        shown["note"] = data.get("note")
    return shown


def line_views(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the lines of an order as the service shows them."""
    return [
        {
            "lineId": line.get("lineNbr"),
            "inventoryId": (line.get("inventory") or {}).get("number"),
            "description": line.get("lineDescription"),
            "quantity": line.get("quantity", Decimal(1)),
            "unitPrice": line.get("unitPrice", Decimal(0)),
            "unitOfMeasure": line.get("uom"),
        }
        for line in data.get("lines") or ()
    ]


def customer_view(table: Table, row: int, expand: frozenset[str]) -> dict[str, Any]:
    """Return a customer as the Sales Order service shows it."""
    del expand
    data = table.row(row)
    return {"customerId": data["number"], "name": data["name"], "status": data["status"],
            "lastModified": _utc(data.get("lastModifiedDateTime"))}  # fmt: skip


def inventory_view(table: Table, row: int, expand: frozenset[str]) -> dict[str, Any]:
    """Return an item as the Sales Order service shows it."""
    del expand
    data = table.row(row)
    return {"inventoryId": data["inventoryNumber"], "description": data.get("description"),
    "status": data["status"],
            "baseUnit": data.get("baseUnit"), "defaultPrice": data.get("defaultPrice"),
            "lastModified": _utc(data.get("lastModifiedDateTime"))}  # fmt: skip


_LISTS: dict[str, tuple[str, View]] = {
    "salesorders": ("salesorder", order_view),
    "customers": ("customer", customer_view),
    "inventory": ("inventory", inventory_view),
}


class SalesOrders:
    """Answers `/api/v3/...`."""

    def answer(self, company: Company, request: Request) -> tuple[str, Reply]:
        """Return the name of what was asked for and the answer."""
        segments = [
            unquote(segment)
            for segment in request.path.lower().partition("/api/v3/")[2].strip("/").split("/")
        ]
        head = segments[0]
        if head not in _LISTS:
            return "unknown", problem(404, "Not Found")
        name, view = _LISTS[head]
        table = company.world.table(name)
        if len(segments) == 1 and request.method == "GET":
            return head, self._list(company, request, head, table, view)
        key = request.path.partition("/api/v3/")[2].strip("/").split("/")[1:]
        if head == "salesorders":
            return self._order(company, request, table, [unquote(part) for part in key])
        row = table.find([unquote(part) for part in key])
        if request.method != "GET":
            return head, problem(405, "Method Not Allowed")
        return f"{head}:one", problem(404, "Not Found") if row is None else json_reply(
            view(table, row, frozenset())
        )

    def _order(self, company: Company, request: Request, table: Table, key: list[str]) -> tuple[str, Reply]:
        if not key:
            return "order:create", self._create(
                company, request, table
            ) if request.method == "POST" else problem(405, "Method Not Allowed")
        if len(key) < 2:
            return "order", problem(404, "Not Found", "The order type is part of the path.")
        row = table.find(key[:2])
        if row is None:
            return "order", problem(404, "Not Found", f"Order {key[0]} {key[1]} was not found.")
        if len(key) > 2 and key[2].lower() in {"lines", "orderlines"}:
            return self._lines(company, request, table, row, key[3:])
        if request.method == "PATCH":
            return "order:patch", self._change(company, request, table, row, _patch_order)
        if request.method != "GET" or len(key) > 2:
            return "order", problem(405, "Method Not Allowed")
        expand = frozenset(dict(request.query).get("expand", "").lower().split(",")) & _EXPANDS
        return "order", json_reply(order_view(table, row, expand), headers=_etag(table, row))

    def _create(self, company: Company, request: Request, table: Table) -> Reply:
        try:
            body = parse_object(request.body)
            row = new_row(company, table)
            kind = str(body.get("type") or "SO").upper()
            customer = _named(company, "customer", (body.get("customer") or {}).get("id"), "customer.id")
            row.update(orderType=kind, status="Open", customer=customer)
            _patch_order(
                company,
                row,
                {name: value for name, value in body.items() if name not in {"type", "customer"}},
            )
        except BodyError as error:
            return _bad(error)
        row["orderNo"] = table.next_number()
        table.stamp(row, created=True)
        number = table.insert(row)
        place = f"{request.origin}{request.path.rstrip('/')}/{kind}/{row['orderNo']}"
        return Reply(201, headers={"Location": place} | _etag(table, number))

    def _lines(
        self, company: Company, request: Request, table: Table, row: int, rest: list[str]
    ) -> tuple[str, Reply]:
        if request.method == "GET" and not rest:
            return "lines", _window(request, line_views(table.row(row)), "lines")
        if request.method == "POST" and not rest:
            return "lines:add", self._change(company, request, table, row, _add_lines, 201)
        if request.method == "PATCH" and len(rest) == 1:
            return "lines:patch", self._change(company, request, table, row, _patch_line(rest[0]))
        if request.method == "DELETE":
            wanted = rest or dict(request.query).get("lineIds", "").split(",")
            return "lines:delete", self._change(
                company, request, table, row, _delete_lines([part for part in wanted if part])
            )
        return "lines", problem(405, "Method Not Allowed")

    def _change(self, company: Company, request: Request, table: Table, row: int,
                change: Callable[[Company, dict[str, Any], dict[str, Any]], None],
                status: int = 202) -> Reply:  # fmt: skip
        """Change an order under its mandatory If-Match (facts 6)."""
        data = table.row(row)
        given = request.headers.get("If-Match")
        if given is None:
            return problem(428, "Precondition Required", "The If-Match header is mandatory.")
        if given.strip().removeprefix("W/").strip('"') != table.version_of(row):
            return problem(412, "Precondition Failed", "The order has been changed.")
        if str(data.get("status")) in {"Completed", "Cancelled", "Invoiced"}:
            return problem(409, "Conflict", f"The order is {data['status']}.")
        try:
            change(company, data, parse_object(request.body) if request.body.strip() else {})
        except BodyError as error:
            return _bad(error)
        save(table, row, data, company)
        return Reply(status, headers=_etag(table, row))

    def _list(self, company: Company, request: Request, head: str, table: Table, view: View) -> Reply:
        query = {name.lower(): value for name, value in request.query}
        usual, limit = _SIZES[head]
        expand = frozenset(
            part.strip() for part in query.get("expand", "").lower().split(",") if part.strip()
        )
        if expand:
            limit, usual = min(limit, _EXPANDED_LIMIT), min(usual, _EXPANDED_LIMIT)
        try:
            index, size = int(query.get("pageindex", "0")), int(query.get("pagesize", str(usual)))
        except ValueError:
            return _invalid("pageIndex" if "pageindex" in query else "pageSize")
        if index < 0:
            return _invalid("pageIndex")
        if not 1 <= size <= limit:
            return _invalid("pageSize")
        if not expand <= _EXPANDS:
            return _invalid("expand")
        rows = self._chosen(table, query)
        if isinstance(rows, Reply):
            return rows
        total = None if company.behaviours.sales_order_total_unknown else len(rows)
        return _answer_window(
            request,
            [view(table, row, expand) for row in rows[index * size : (index + 1) * size]],
            index,
            size,
            len(rows),
            total,
        )

    def _chosen(self, table: Table, query: Mapping[str, str]) -> list[int] | Reply:
        rows = list(table.select())
        if "customerid" in query:
            wanted = query["customerid"]
            rows = [row for row in rows if (table.row(row).get("customer") or {}).get("number") == wanted]
        if "status" in query:
            rows = [row for row in rows if _STATUS.get(str(table.row(row).get("status"))) == query["status"]]
        if "modifiedsince" in query:
            since = _instant(query["modifiedsince"])
            if since is None:
                return _invalid("modifiedSince")
            rows = [row for row in rows if _modified(table, row) >= since]
        if "orderby" in query:
            asked = _ORDER.fullmatch(query["orderby"])
            if asked is None:
                return _invalid("orderBy")
            rows.sort(
                key=_RANKS[asked.group(1).lower()](table), reverse=(asked.group(2) or "").lower() == "desc"
            )
        return rows


def _etag(table: Table, row: int) -> dict[str, str]:
    return {"ETag": f'"{table.version_of(row)}"'}


def _answer_window(
    request: Request, shown: list[dict[str, Any]], index: int, size: int, count: int, total: int | None
) -> Reply:
    again = [(name, value) for name, value in request.query if name.lower() != "pageindex"] + [
        ("pageIndex", str(index + 1))
    ]
    more = (index + 1) * size < count
    return json_reply({
        "value": shown,
        "totalCount": total,
        "nextPage": f"{request.origin}{request.path}?{urlencode(again)}" if more else None,
    })  # fmt: skip


def _window(request: Request, views: list[dict[str, Any]], kind: str) -> Reply:
    query = {name.lower(): value for name, value in request.query}
    usual, limit = _SIZES[kind]
    try:
        index, size = int(query.get("pageindex", "0")), int(query.get("pagesize", str(usual)))
    except ValueError:
        return _invalid("pageSize")
    if index < 0 or not 1 <= size <= limit:
        return _invalid("pageIndex" if index < 0 else "pageSize")
    return _answer_window(
        request, views[index * size : (index + 1) * size], index, size, len(views), len(views)
    )


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
    plain = {"description": "description", "note": "note", "currency": "currency", "date": "date"}
    for name, value in body.items():
        if name in plain:
            data[plain[name]] = value
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
    sent = body.get("orderLines", body.get("lines", [body]))
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


def _patch_line(line_id: str) -> Callable[[Company, dict[str, Any], dict[str, Any]], None]:
    def change(company: Company, data: dict[str, Any], body: dict[str, Any]) -> None:
        line = next((one for one in data.get("lines") or () if str(one.get("lineNbr")) == line_id), None)
        if line is None:
            raise BodyError(f"lineId {line_id} does not exist.")
        _fill_line(company, line, body)
        _total(data)

    return change


def _delete_lines(ids: list[str]) -> Callable[[Company, dict[str, Any], dict[str, Any]], None]:
    def change(company: Company, data: dict[str, Any], body: dict[str, Any]) -> None:
        del company
        wanted = set(ids) | {str(one) for one in body.get("lineIds", ())}
        if not 1 <= len(wanted) <= _MOST_DELETED:
            raise BodyError(f"lineIds must hold 1 to {_MOST_DELETED} ids.")
        data["lines"] = [line for line in data.get("lines") or () if str(line.get("lineNbr")) not in wanted]
        _total(data)

    return change


def _total(data: dict[str, Any]) -> None:
    total = sum(
        (
            line.get("quantity", Decimal(1)) * line.get("unitPrice", Decimal(0))
            for line in data.get("lines") or ()
        ),
        Decimal(0),
    )
    data["orderTotal"] = total.quantize(Decimal("0.0001"))


_RANKS: dict[str, Callable[[Table], Callable[[int], Any]]] = {
    "created": lambda table: lambda row: row,
    "lastmodified": lambda table: lambda row: _modified(table, row),
    "orderid": lambda table: lambda row: table.key_of(row)[-1],
}


def _modified(table: Table, row: int) -> int:
    if row not in table.overlay:
        return table.base.modified_ms(row)
    data = table.overlay[row]
    return parse_naive_ms(str(data.get("lastModified") or data.get("lastModifiedDateTime")))


def _instant(text: str) -> int | None:
    """Read modifiedSince: UTC unless it has an offset (facts 5)."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    aware = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    return int(aware.timestamp() * 1000)


def _invalid(name: str) -> Reply:
    return problem(400, "One or more validation errors occurred.", details=[
        {"code": "0002-OutOfRange", "message": f"The value of {name} is not valid.",
        "parameters": {"property": name}}
    ])  # fmt: skip

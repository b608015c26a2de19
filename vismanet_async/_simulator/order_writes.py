"""Creates, changes and deletions of the Sales Order service: under a version, whole or not at all.

Facts 6.10, 10.15 and 10.16.
"""

from __future__ import annotations

from copy import deepcopy
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from attrs import frozen

from vismanet_async._simulator.messages import RefusedError, Reply, Request, problem
from vismanet_async._simulator.order_bodies import OrderRefusal, merged, read_body, read_form, utc_text
from vismanet_async._simulator.totals import scaled
from vismanet_async._simulator.writes import new_row, save

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vismanet_async._simulator.catalog import Catalog, Operation
    from vismanet_async._simulator.company import Company
    from vismanet_async._simulator.rows import Table

__all__ = ["OrderWrites", "etag_header"]

_MOST_DELETED = 1000
_NO_IDS = "ids must hold 1 to 1000 numbers of lines."
_ENDED = frozenset({"Completed", "Cancelled", "Invoiced"})
# what the table has a field for; everything else that is read back is kept beside it
_PLAIN = {"description": "description", "note": "note", "currencyId": "currency"}
_MOMENTS = ("date", "requestOn", "cancelBy")
_LINE_PLAIN = {
    "quantity": "quantity",
    "unitPrice": "unitPrice",
    "description": "lineDescription",
    "unitOfMeasure": "uom",
}

_Body = dict[str, Any]


def etag_header(table: Table, row: int) -> dict[str, str]:
    """Return the header that tells an order's version."""
    return {"ETag": f'"{table.version_of(row)}"'}


@frozen
class OrderWrites:
    """One write of one request."""

    catalog: Catalog
    company: Company
    request: Request
    operation: Operation
    table: Table

    def create(self) -> Reply:
        """Answer `POST SalesOrders`."""
        body = self._body()
        kind = next((one for one in self._types() if one.upper() == str(body["type"]).upper()), None)
        if kind is None:
            raise OrderRefusal(("1704-InvalidOrderType", "type", f"There is no order type {body['type']}."))
        number = body.get("orderId") or self.table.next_number()
        if self.table.find((kind, number)) is not None:
            return problem(409, "Conflict", f"There is an order {kind} {number} already.")
        data = new_row(self.company, self.table) | {"orderType": kind, "orderNo": number, "status": "Open", "lines": []}
        told: _Body = {}
        self._change_order(data, told, {"customer": None, **body}, "NewSalesOrderCommand")
        self._add(data, told, body.get("orderLines") or ())
        _total(data)
        self.table.stamp(data, created=True)
        row = self.table.insert(data)
        self.table.beside[row] = told
        place = f"{self._origin()}/api/v3/SalesOrders/{quote(kind)}/{quote(number)}"
        return Reply(201, headers={"Location": place} | etag_header(self.table, row))

    def change(self, row: int) -> Reply:
        """Answer PATCH of an order."""

        def apply(data: _Body, told: _Body) -> None:
            body = self._body()
            self._change_order(data, told, body, "PatchSalesOrderCommand")
            member = self.company.behaviours.sales_order_lines_member
            if member != "none" and body.get(member):
                self._patch(data, told, self._lines_of({"lines": body[member]}))

        return self._write(row, apply)

    def add_lines(self, row: int) -> Reply:
        """Answer POST of lines."""
        reply = self._write(row, lambda data, told: self._add(data, told, self._body().get("lines") or ()))
        kind, number = self.table.key_of(row)
        reply.headers["Location"] = f"{self._origin()}/api/v3/SalesOrders/{quote(kind)}/{quote(number)}/lines"
        return reply

    def change_lines(self, row: int) -> Reply:
        """Answer PATCH of lines."""
        return self._write(row, lambda data, told: self._patch(data, told, self._body().get("lines") or ()))

    def delete_lines(self, row: int) -> Reply:
        """Answer DELETE of lines."""
        asked = [part for name, value in self.request.query if name.lower() == "ids" for part in value.split(",")]

        def apply(data: _Body, told: _Body) -> None:
            lines = {str(line.get("lineNbr")): line for line in data.get("lines") or ()}
            if not 1 <= len(asked) <= _MOST_DELETED:
                raise OrderRefusal(("0100-OutsideValidRange", "ids", _NO_IDS))
            for one in asked:
                if one.strip() not in lines:
                    raise OrderRefusal(("0200-LineIdDoesNotExist", "ids", f"There is no line {one}."))
            for one in asked:
                lines.pop(one.strip(), None)
                told.get("lines", {}).pop(one.strip(), None)
            data["lines"] = list(lines.values())

        return self._write(row, apply)

    def delete(self, row: int) -> Reply:
        """Answer DELETE of an order."""
        self._check(row, frozenset())
        self.table.remove(row)
        return Reply(202)

    # -- the version ----------------------------------------------------------------------------------------

    def _write(self, row: int, apply: Callable[[_Body, _Body], None]) -> Reply:
        """Change an order under its version, or raise and leave it."""
        data, told = self.table.row(row), deepcopy(self.table.beside.get(row, {}))
        self._check(row, self._notes_only())
        apply(data, told)
        _total(data)
        save(self.table, row, data, self.company)
        self.table.beside[row] = told
        return Reply(202, headers=etag_header(self.table, row))

    def _check(self, row: int, fields: frozenset[str]) -> None:
        given = self.request.headers.get("If-Match")
        if given is None:
            raise RefusedError(problem(428, "Precondition Required", "The If-Match header is mandatory."))
        if given.strip().removeprefix("W/").strip('"') != self.table.version_of(row):
            raise RefusedError(problem(412, "Precondition Failed", "The order has been changed."))
        status = str(self.table.row(row).get("status"))
        # notes can be changed in every status (facts 10.16)
        if status in _ENDED and fields != {"note"}:
            raise RefusedError(problem(409, "Conflict", f"The order is {status}."))

    def _notes_only(self) -> frozenset[str]:
        if self.operation.request_dto not in {"PatchSalesOrderCommand", "PatchSalesOrderLinesCommand"}:
            return frozenset()
        body = self._body()
        lines = body.get("lines") if self.operation.request_dto == "PatchSalesOrderLinesCommand" else None
        return frozenset(body) if lines is None else frozenset(name for line in lines for name in line) - {"lineId"}

    # -- bodies ---------------------------------------------------------------------------------------------

    def _body(self) -> _Body:
        return read_body(self.catalog, self.operation.request_dto or "", self.request.body)

    def _lines_of(self, body: _Body) -> list[_Body]:
        from vismanet_async._simulator.json_text import encode  # noqa: PLC0415 - few orders are changed with lines

        checked = read_body(self.catalog, "PatchSalesOrderLinesCommand", encode(body))
        return list(checked["lines"])

    def _types(self) -> list[str]:
        return [self._key(row) for row in self.company.world.table("salesordertype").order]

    def _key(self, row: int) -> str:
        return self.company.world.table("salesordertype").key_of(row)[-1]

    def _origin(self) -> str:
        return self.request.origin + self.request.path[: self.request.path.lower().index("/api/v3/")]

    def _change_order(self, data: _Body, told: _Body, body: Mapping[str, Any], schema: str) -> None:
        data.update({name: body[sent] for sent, name in _PLAIN.items() if sent in body})
        data.update({name: _naive(body[name]) for name in _MOMENTS if name in body})
        if "status" in body:
            data["status"] = body["status"] or data.get("status")
        if "customer" in body:
            self._customer(data, body["customer"] or {}, is_new=schema.startswith("New"))
        left = {name: value for name, value in body.items() if name not in {*_PLAIN, *_MOMENTS, "status"}}
        shown = read_form(self.catalog, left, schema, "SalesOrderDto")
        for part in ("billing", "shipping") if schema.startswith("New") else ():
            self._whole_places(shown, part)
        customer = shown.get("customer") or {}
        if "taxZoneId" in body:
            customer["taxZone"] = {"id": body["taxZoneId"]}
        if "termsId" in (body.get("customer") or {}):
            shown["financialInformation"] = {"terms": {"id": body["customer"]["termsId"]}} | (
                shown.get("financialInformation") or {}
            )
        customer.pop("id", None)
        shown |= {"customer": customer} if customer else {}
        if not customer:
            shown.pop("customer", None)
        told["order"] = merged(told.get("order", {}), shown)

    def _whole_places(self, shown: _Body, part: str) -> None:
        """An address that is given is all that there is: nothing in it is taken from the customer (facts 10.16)."""
        for place, schema in (("address", "AddressDto"), ("contact", "ContactDto")):
            given = (shown.get(part) or {}).get(place)
            if given is not None:
                nothing = dict.fromkeys(self.catalog.schemas[schema])
                shown[part][place] = nothing | given | {"overridesDefault": True}

    def _customer(self, data: _Body, sent: Mapping[str, Any], *, is_new: bool) -> None:
        found = {"order": "customerOrder", "refNo": "customerRefNo", "contactId": "contactId"}
        data.update({name: sent[key] for key, name in found.items() if key in sent})
        if sent.get("id") or is_new:
            data["customer"] = self._named("customer", sent.get("id"), "customer.id", "1400-CustomerLookupException",
                                           gln=sent.get("gln"))  # fmt: skip

    def _named(self, name: str, key: object, where: str, code: str, gln: str | None = None) -> _Body:
        table = self.company.world.table(name)
        row = table.find((str(key),)) if key else None
        if gln and not key:
            row = next((one for one in table.order if table.row(one).get("gln") == gln), None)
        if row is None:
            raise OrderRefusal((code, where, f"{where} must name a {name}."))
        return {"internalId": table.internal_of(row), "number": table.key_of(row)[-1], "name": table.name_of(row)}

    # -- lines ----------------------------------------------------------------------------------------------

    def _add(self, data: _Body, told: _Body, sent: Any) -> None:
        lines = data["lines"] = list(data.get("lines") or ())
        for index, one in enumerate(sent):
            number = max((int(other["lineNbr"]) for other in lines), default=0) + 1
            line: _Body = {"lineNbr": number, "sortOrder": number, "quantity": Decimal(1), "unitPrice": Decimal(0)}
            found = self._named("inventory", one["inventoryId"], f"lines[{index}].inventoryId",
                                "1804-InventoryIdNotFound")  # fmt: skip
            line["inventory"] = {"number": found["number"], "description": found["name"]}
            line["lineDescription"] = found["name"]
            self._fill(line, told, one, "NewSalesOrderLineDto")
            lines.append(line)

    def _patch(self, data: _Body, told: _Body, sent: Any) -> None:
        known = {one.get("lineNbr"): one for one in data.get("lines") or ()}
        if len({one["lineId"] for one in sent}) < len(sent):
            raise OrderRefusal(("1817-LineIdIsNotUnique", "lines", "A line is named twice."))
        for index, one in enumerate(sent):
            if one["lineId"] not in known:
                where = f"lines[{index}].lineId"
                raise OrderRefusal(("0200-LineIdDoesNotExist", where, f"There is no line {one['lineId']}."))
            self._fill(known[one["lineId"]], told, one, "PatchSalesOrderLineDto")

    def _fill(self, line: _Body, told: _Body, sent: Mapping[str, Any], schema: str) -> None:
        for name, target in _LINE_PLAIN.items():
            if sent.get(name) is not None:
                line[target] = scaled(sent[name]) if name in {"quantity", "unitPrice"} else sent[name]
        line["extPrice"] = scaled(line["quantity"] * line["unitPrice"])
        line["openQty"] = line["quantity"]
        left = {name: value for name, value in sent.items() if name not in {*_LINE_PLAIN, "inventoryId", "lineId"}}
        shown = read_form(self.catalog, left, schema, "SalesOrderLineDto")
        lines = told.setdefault("lines", {})
        lines[str(line["lineNbr"])] = merged(lines.get(str(line["lineNbr"]), {}), shown)


def _total(data: _Body) -> None:
    total = sum(
        (line.get("quantity", Decimal(1)) * line.get("unitPrice", Decimal(0)) for line in data.get("lines") or ()),
        Decimal(0),
    )
    data["orderTotal"] = total.quantize(Decimal("0.0001"))


def _naive(value: object) -> str | None:
    """Return a moment of a body as the table holds it: UTC, without saying so."""
    return None if value is None else str(utc_text(value)).removesuffix("Z")

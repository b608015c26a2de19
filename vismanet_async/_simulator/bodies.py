"""Reads the bodies of writes: unwraps `{"value": ...}`, converts, checks, and merges them into a row."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from attrs import frozen

from vismanet_async._simulator.clock import zone
from vismanet_async._simulator.json_text import decode
from vismanet_async._simulator.references import referenced_table

if TYPE_CHECKING:
    from vismanet_async._simulator.catalog import Catalog

__all__ = ["BodyError", "Merger", "parse_object"]

_SUFFIX = re.compile(r"(Id|ID|Number|Cd|CD|Nbr)$")
_LINE_NUMBERS = ("lineNumber", "lineNbr", "lineNo", "detailId", "recordId", "id")
_REFERENCE_NAMES = (
    "number",
    "id",
    "code",
    "subaccountNumber",
    "inventoryNumber",
    "employeeNumber",
    "customerCD",
)
_TITLES = ("name", "description", "displayName")
_RENAMED = {
    "billingaddress": "invoiceAddress", "taxdetaillines": "taxDetails", "attributelines": "attributes",
    "adjustmentlines": "lines", "descr": "description", "revisionid": "revision", "calendar": "calendarID",
    "projectmanger": "projectManager", "restricemployees": "restrictEmployees",
    "restricequipment": "restrictEquipment",
    "finanacialperiod": "financialPeriod", "shippingaddress": "soShippingAddress",
    "shippingcontact": "soShippingContact",
    "allowcompaddition": "allowComponentAddition", "unitpriceincurrency": "unitPriceInCurrency",
    "cashtransactiondetails": "details",
    "attributevalue": "value", "attributeid": "id", "vatcodeid": "vatCode", "accountnumber": "account",
    "employeecd": "employeeNumber",
}  # fmt: skip
_FOUR_DECIMALS = -4
_NOT_STORED = frozenset({"operation", "overridenumberseries", "overridewithclassvalues", "validatelinedetails"})
# fields that must name a row that exists
_BARE = frozenset({("SupplierUpdateDto", "mainAddress")})
"""What Visma's samples send without `{"value": ...}`, and show a success for. Nobody says that the API takes it."""

_MUST_EXIST: dict[str, str] = {
    "customer": "customer",
    "customernumber": "customer",
    "customerid": "customer",
    "supplier": "supplier",
    "suppliernumber": "supplier",
    "supplierid": "supplier",
    "inventory": "inventory",
    "inventorynumber": "inventory",
    "inventoryid": "inventory",
    "itemid": "inventory",
    "project": "project",
    "projectid": "project",
}


class BodyError(ValueError):
    """The body cannot be read or breaks a rule; the service answers 400."""


def parse_object(body: bytes) -> dict[str, Any]:
    """Read a request body that must be a JSON object.

    Raises:
        BodyError: It is not.
    """
    if not body:
        raise BodyError("A non-empty request body is required.")
    try:
        parsed = decode(body)
    except (ValueError, RecursionError, InvalidOperation) as error:
        raise BodyError(f"The request body is not valid JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise BodyError("The request body must be a JSON object.")
    return parsed


@frozen
class Merger:
    """Merges update bodies into rows, by the update shape and the read shape.

    `look_up` returns (key, name, internal id) of a row that a value points at, or None where there is none.
    """

    catalog: Catalog
    look_up: Callable[[str, str], tuple[str, str, int] | None]
    time_zone: str

    def merge(self, row: dict[str, Any], body: Mapping[str, Any], update: str, read: str, *, own_key: str = "") -> None:
        """Write what was sent into the row; what was not sent stays. The row's own number is not looked up.

        Raises:
            BodyError: A value has the wrong form or type, or points at nothing. The row may be half changed.
        """
        update_fields = {name.lower(): (name, facts) for name, facts in self.catalog.schemas[update].items()}
        read_fields = self.catalog.schemas[read]
        for sent, value in body.items():
            known = update_fields.get(sent.lower())
            if known is None:
                continue  # unknown members are ignored, as .NET does
            name, facts = known
            if _is_bare(update, name, value):
                continue
            unwrapped = _unwrap(name, facts, value)
            if name.lower() != own_key.lower():
                self._check_reference(name, unwrapped)
            self._field(row, name, facts, unwrapped, read_fields)

    def plain(self, body: Mapping[str, Any], update: str) -> dict[str, Any]:
        """Return the sent values unwrapped, by the names of the update shape."""
        fields = {name.lower(): (name, facts) for name, facts in self.catalog.schemas.get(update, {}).items()}
        return {
            fields[sent.lower()][0]: _unwrap(*fields[sent.lower()], value)
            for sent, value in body.items()
            if sent.lower() in fields and not _is_bare(update, fields[sent.lower()][0], value)
        }

    def _check_reference(self, name: str, value: object) -> None:
        table = _MUST_EXIST.get(name.lower())
        if table is not None and isinstance(value, str) and value and self.look_up(table, value) is None:
            raise BodyError(f"Error: {name} '{value}' cannot be found in the system.")

    def _field(
        self,
        row: dict[str, Any],
        name: str,
        facts: Mapping[str, Any],
        value: Any,
        read_fields: Mapping[str, Any],
    ) -> None:
        target = self._target(name, read_fields)
        if facts["type"] == "array":
            self._array(row, (name, facts), value, target, read_fields)
            return
        converted = self._convert(name, facts, value)
        if name.lower() in _NOT_STORED:
            return
        table = referenced_table(target or name) or referenced_table(_SUFFIX.sub("", name))
        if target is None:
            return
        kind = read_fields[target]["type"]
        if kind == "object":
            row[target] = self._object(row.get(target), read_fields[target], converted, table, facts)
            return
        row[target] = _fit(converted, kind)
        twin = target.removesuffix("InCurrency")
        if twin != target and twin in read_fields:
            row[twin] = row[target]

    @staticmethod
    def _target(name: str, read_fields: Mapping[str, Any]) -> str | None:
        by_case = {field.lower(): field for field in read_fields}
        candidates = (name.lower(), _RENAMED.get(name.lower(), "").lower(), _SUFFIX.sub("", name).lower())
        return next((by_case[candidate] for candidate in candidates if candidate in by_case), None)

    def _object(self, present: object, facts: Mapping[str, Any], value: object, table: str | None,
                update_facts: Mapping[str, Any]) -> dict[str, Any] | None:  # fmt: skip
        if value is None:
            return None
        read = facts.get("ref")
        if isinstance(value, Mapping):
            merged = dict(present) if isinstance(present, dict) else {}
            if read in self.catalog.schemas and update_facts.get("ref") in self.catalog.schemas:
                self.merge(merged, value, update_facts["ref"], read)
            return merged
        found = self.look_up(table, str(value)) if table else None
        key, title, internal = found or (str(value), None, None)
        made: dict[str, Any] = {}
        for name, field in self.catalog.schemas.get(read or "", {}).items():
            if field["type"] == "integer" and internal is not None and name.lower().endswith("id"):
                made[name] = internal
            elif field["type"] == "string" and name in _REFERENCE_NAMES:
                made[name] = key
            elif field["type"] == "string" and name in _TITLES and title is not None:
                made[name] = title
        return made or {"id": key}

    def _array(
        self,
        row: dict[str, Any],
        field: tuple[str, Mapping[str, Any]],
        value: object,
        target: str | None,
        read_fields: Mapping[str, Any],
    ) -> None:
        name, facts = field
        if not isinstance(value, list):
            raise BodyError(f"{name} must be an array.")
        if target is None or read_fields[target]["type"] != "array":
            return
        update_item, read_item = facts.get("items"), read_fields[target].get("items")
        if update_item not in self.catalog.schemas or read_item not in self.catalog.schemas:
            row[target] = value
            return
        lines = list(row.get(target) or ())
        has_operation = "operation" in self.catalog.schemas[update_item]
        if not has_operation and name.lower() != "attributelines":
            lines = []
        for sent in value:
            if not isinstance(sent, Mapping):
                raise BodyError(f"{name} must hold objects.")
            self._line(lines, name, sent, update_item, read_item)
        row[target] = lines

    def _line(self, lines: list[dict[str, Any]], name: str, sent: Mapping[str, Any], update: str, read: str) -> None:
        values = self.plain(sent, update)
        operation = str(values.get("operation") or ("Update" if name.lower() == "attributelines" else "Insert")).lower()
        if operation not in {"insert", "update", "delete"}:
            raise BodyError(f"Error converting value '{values['operation']}' to type 'operation'.")
        if operation == "insert":
            line = self.new_line(lines, read)
            self.merge(line, sent, update, read)
            lines.append(line)
            return
        line = self._find_line(lines, name, values)
        if operation == "delete":
            lines.remove(line)
        else:
            self.merge(line, sent, update, read)

    def new_line(self, lines: list[dict[str, Any]], read: str) -> dict[str, Any]:
        """Return an empty line with the next line number."""
        fields = self.catalog.schemas[read]
        line: dict[str, Any] = {name: [] for name, facts in fields.items() if facts["type"] == "array"}
        for number in ("lineNumber", "lineNbr", "lineNo"):
            if number in fields:
                line[number] = max((int(other.get(number) or 0) for other in lines), default=0) + 1
        line.update({name: Decimal("0.0000") for name in fields if name.startswith(("amount", "manualAmount"))})
        if "quantity" in fields:
            line["quantity"] = Decimal("1.0000")
        return line

    @staticmethod
    def _find_line(lines: list[dict[str, Any]], name: str, values: Mapping[str, Any]) -> dict[str, Any]:
        if name.lower() == "attributelines":
            wanted = str(values.get("attributeId") or "")
            found = next((line for line in lines if str(line.get("id")).casefold() == wanted.casefold()), None)
            if found is None:
                found = {"id": wanted}
                lines.append(found)
            return found
        for key in _LINE_NUMBERS:
            if values.get(key) is not None:
                wanted = str(values[key])
                for line in lines:
                    if any(str(line.get(other)) == wanted for other in (key, "lineNumber", "lineNbr") if other in line):
                        return line
                raise BodyError(f"Error: {name} has no line {wanted}.")
        raise BodyError(f"Error: {name} needs a line number to update or delete a line.")

    def _convert(self, name: str, facts: Mapping[str, Any], value: Any) -> Any:
        if value is None or facts["type"] == "object":
            return value
        if isinstance(value, Mapping | list):
            raise BodyError(f"Unexpected value for {name}.")
        kind = facts["type"]
        if kind in {"integer", "number"}:
            return _number(name, kind, value)
        if kind == "boolean":
            if str(value).lower() not in {"true", "false"}:
                raise BodyError(f"Could not convert '{value}' to boolean for {name}.")
            return str(value).lower() == "true"
        if facts.get("enum"):
            choices = {choice.lower(): choice for choice in self.catalog.enums[facts["enum"]]}
            if str(value).lower() not in choices:
                kind = facts["enum"].removesuffix("Enum")
                raise BodyError(f"Error converting value \"{value}\" to type '{kind}' for {name}.")
            return choices[str(value).lower()]
        if facts.get("format") in {"date-time", "date"}:
            return self._date(name, str(value))
        return str(value).lower() if isinstance(value, bool) else str(value)

    def _date(self, name: str, text: str) -> str:
        """Read a date; one with a zone is turned into local time, so its day may move (facts 12.3)."""
        try:
            parsed = datetime.fromisoformat(text)
        except ValueError as error:
            raise BodyError(f"Could not convert string to DateTime: {text}. Path '{name}'.") from error
        if parsed.tzinfo is not None:
            parsed = parsed.astimezone(zone(self.time_zone)).replace(tzinfo=None)
        if not name.lower().endswith("datetime"):
            parsed = parsed.replace(hour=0, minute=0, second=0, microsecond=0)
        return parsed.isoformat()


def _is_bare(update: str, name: str, value: object) -> bool:
    return (update, name) in _BARE and isinstance(value, Mapping) and "value" not in value


def _unwrap(name: str, facts: Mapping[str, Any], value: Any) -> Any:
    if not facts.get("wrapped"):
        if facts["type"] not in {"object", "array"} and isinstance(value, Mapping):
            raise BodyError(f"Unexpected object for {name}, which is sent as a plain value.")
        return value
    if value is None:
        return None
    if not isinstance(value, Mapping) or {key.lower() for key in value} - {"value"}:
        raise BodyError(f'Error converting value for {name}: it is sent as {{"value": ...}}.')
    return next(iter(value.values()), None)


def _number(name: str, kind: str, value: object) -> int | Decimal:
    try:
        number = Decimal(str(value))
    except InvalidOperation as error:
        raise BodyError(f"Could not convert '{value}' to {kind} for {name}.") from error
    if kind == "number":
        return number
    if number != number.to_integral_value():
        raise BodyError(f"Could not convert '{value}' to integer for {name}.")
    return int(number)


def _fit(value: object, kind: str) -> object:
    if isinstance(value, Decimal | int) and not isinstance(value, bool) and kind == "number":
        number = Decimal(value)
        return number.quantize(Decimal("0.0001")) if number.as_tuple().exponent > _FOUR_DECIMALS else number  # type: ignore[operator] # finite
    return str(value) if kind == "string" and value is not None and not isinstance(value, str) else value

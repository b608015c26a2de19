"""What a query asks for: the parameters of an operation turned into conditions on a row's fields."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from operator import eq, ge, gt, le, lt
from typing import TYPE_CHECKING, Any

from attrs import frozen

from vismanet_async.simulator.clock import parse_naive_ms

if TYPE_CHECKING:
    from vismanet_async.simulator.catalog import Operation

__all__ = ["Condition", "FilterError", "Habits", "build", "comparable", "values_at"]

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {">": gt, "<": lt, ">=": ge, "<=": le, "=": eq}
_DATE = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d:\d\d(\.\d{1,7})?)?")
_NOT_FILTERS = frozenset({
    "pagenumber", "pagesize", "numbertoread", "skiprecords", "greaterthanvalue", "orderby",
    "addcostpricestatistics",
    "includecustomfreefields", "shownotes", "includemetadata", "togglebalancesigns",
    "includeaccountclassdescription",
    "includetransactionbalance", "excludeytdaccount", "includeunposted", "includeunreleased",
    "startwithline", "endwithline",
    "systemid", "ledgerid", "balancetype",
})  # fmt: skip

# parameters whose field has another name; the first path that the shape has counts
_FIELDS: dict[str, tuple[str, ...]] = {
    "customer": ("customer", "number"),
    "supplier": ("supplier", "number"),
    "customernumber": ("customer",),
    "customerid": ("customer.internalId",),
    "branch": ("branchNumber", "branch", "branchId"),
    "branchnumber": ("branchNumber", "branch"),
    "project": ("project", "projectID", "projectId"),
    "projectid": ("projectID", "projectId", "project"),
    "projectinternalid": ("projectInternalId",),
    "item": ("inventoryItem", "inventory", "lines.inventory", "inventoryNumber"),
    "inventory": ("inventory", "inventoryNumber", "lines.inventoryNumber"),
    "inventoryid": ("inventoryId",),
    "financialperiod": ("financialPeriod", "finPeriod", "period"),
    "finperiod": ("finPeriod", "financialPeriod"),
    "periodid": ("financialPeriod", "period", "transactionPeriodID"),
    "documentdate": ("documentDate", "date"),
    "docdate": ("date", "documentDate", "tranDate", "applicationDate"),
    "date": ("date", "tranDate"),
    "orderdate": ("orderDate", "date"),
    "orderstatus": ("status",),
    "releaseddocuments": ("released",),
    "isreleased": ("status",),
    "paymenttype": ("type",),
    "dunningletterdatetime": ("dunningLetterDate",),
    "dunninglevel": ("dunningLetterLevel",),
    "onhold": ("hold",),
    "email": ("email", "mainContact.email"),
    "phone": ("mainContact.phone1", "phone1"),
    "publiccode": ("publicCode1",),
    "attributeid": ("attributeID",),
    "salescategory": ("salesCategories.categoryID",),
    "inventorytypes": ("type",),
    "alternateid": ("crossReferences.alternateID",),
    "supplieritemid": ("supplierDetails.supplierItemID", "supplierDetails.supplierItemId"),
    "warehouse": ("warehouse", "warehouseID"),
    "locationid": ("locationId",),
    "discountcode": ("discountCode",),
    "poordernbr": ("lines.poOrderNbr",),
    "invoicerefnbr": ("paymentLines.refNbr", "applicationHistory.refNbr"),
    "availabilitylastmodifieddatetime": ("lastModifiedDateTime",),
    "attachmentlastmodifieddatetime": ("lastModifiedDateTime",),
    "freezedatetime": ("freezeDate",),
    "expirationdatetime": ("expirationDate",),
    "account": ("account",),
    "subaccountid": ("subaccountId",),
    "departmentid": ("departmentId",),
    "code": ("landedCostCodeId",),
    "taskstatus": ("status",),
    "taskcd": ("taskId",),
    "taskcddesc": ("description",),
    "salespersoncd": ("salespersonID",),
    "restrictedemployee": ("employees.employeeId",),
    "lastmodifieddatetime": ("lastModifiedDateTime", "lastModified", "lastUpdateDate"),
}
# text fields in which a part is enough (facts 5.13)
_IN_PART = frozenset({"name", "description", "displayname", "firstname", "lastname"})
_RANGES = {"fromperiod": ("financialperiod", ">="), "toperiod": ("financialperiod", "<="),
           "fromfinperiod": ("financialperiod", ">="), "tofinperiod": ("financialperiod", "<="),
           "fromdate": ("date", ">="), "todate": ("date", "<="),
           "transactionfromdate": ("transactiondate", ">="), "transactiontodate": ("transactiondate",
           "<=")}  # fmt: skip
_REFERENCE_KEYS = (
    "number",
    "id",
    "internalId",
    "code",
    "subaccountNumber",
    "inventoryNumber",
    "employeeNumber",
)


class FilterError(ValueError):
    """A parameter's value cannot be read; the service answers 400."""


@frozen
class Condition:
    """One condition: any of the values found at any of the paths stands in this relation to `value`."""

    path: str
    operator: str
    value: Any

    def holds(self, found: object) -> bool:
        """Tell whether a single value fulfils the condition."""
        if self.operator == "contains":
            return isinstance(found, str) and self.value in found.casefold()
        if self.operator == "in":
            return comparable(found, None) in self.value
        other = comparable(found, self.value)
        if other is None or type(other) is not type(self.value):
            return False
        return _OPERATORS[self.operator](other, self.value)


@lru_cache(maxsize=65536)
def _date_ms(text: str) -> int | None:
    try:
        return parse_naive_ms(text)
    except ValueError:
        return None


def comparable(found: object, like: object) -> Any:
    """Return a row's value in the form of its comparison partner: dates as milliseconds, text case-folded."""
    if isinstance(found, bool):
        return str(found).lower()
    if isinstance(like, Decimal):
        return _as_decimal(found)
    if isinstance(found, str):
        return _date_ms(found) if type(like) is int else found.casefold()
    return str(found) if isinstance(found, int | Decimal) else None


def _as_decimal(found: object) -> Decimal | None:
    try:
        return Decimal(str(found))
    except InvalidOperation:
        return None


def values_at(row: object, path: str) -> Iterator[object]:
    """Yield what stands at a dotted path; lists are gone into, references give their keys."""
    head, _, rest = path.partition(".")
    if isinstance(row, list):
        for element in row:
            yield from values_at(element, path)
        return
    if not isinstance(row, Mapping) or head not in row:
        return
    value = row[head]
    if rest:
        yield from values_at(value, rest)
    elif isinstance(value, Mapping):
        yield from (value[name] for name in _REFERENCE_KEYS if name in value)
    else:
        yield value


def _pick_path(name: str, fields: Mapping[str, Any]) -> str | None:
    by_case = {field.lower(): field for field in fields}
    for path in _FIELDS.get(name.lower(), (name,)):
        head, dot, rest = path.partition(".")
        if head.lower() in by_case:
            return by_case[head.lower()] + dot + rest
    return by_case.get(name.lower())


@frozen(kw_only=True)
class Habits:
    """How the service reads filters, where that may differ."""

    strict_pairs: bool = False
    """Refuse a value without its Condition instead of ignoring it."""
    after_includes: bool = False
    """Read `>` as "on or after", as the documents did until 2025-11."""
    parts_match: bool = True
    """A part of a name is enough."""


def build(
    operation: Operation, query: list[tuple[str, str]], fields: Mapping[str, Any], habits: Habits
) -> tuple[Condition, ...]:
    """Turn query parameters into conditions, as the service reads them.

    Names that the operation does not know are ignored, and so is a value without its `Condition`
    (facts 5.3, 5.5).

    Args:
        operation: The operation asked for.
        query: The parameters as they came, repeated ones too.
        fields: The fields of the rows' shape.
        habits: How they are read.

    Raises:
        FilterError: A date or an operator cannot be read.
    """
    known = {name.lower(): name for name in operation.query}
    given: dict[str, list[str]] = {}
    for name, value in query:
        if name.lower() in known:
            given.setdefault(name.lower(), []).append(value)
    conditions: list[Condition] = []
    for low, values in given.items():
        if low in _NOT_FILTERS or low.endswith("condition") or low.startswith("expand") or not any(values):
            continue
        if f"{low}condition" in known:
            relation = given.get(f"{low}condition", [""])[-1].strip()
            conditions.extend(_paired(known[low], values[-1], relation, fields, habits))
        else:
            conditions.extend(_plain(operation, known[low], values, fields, habits))
    return tuple(conditions)


def _paired(name: str, value: str, relation: str, fields: Mapping[str, Any], habits: Habits) -> Iterator[Condition]:
    """Read a value that needs a Condition beside it."""
    if not relation:
        if habits.strict_pairs:
            raise FilterError(f"{name} needs {name}Condition")
        return
    if relation not in _OPERATORS:
        raise FilterError(f"'{relation}' is not a valid operator for {name}Condition")
    path = _pick_path(name, fields)
    if path is not None:
        includes = relation == ">" and habits.after_includes
        yield _compare(path, ">=" if includes else relation, value, name, fields)


def _plain(
    operation: Operation, name: str, values: list[str], fields: Mapping[str, Any], habits: Habits
) -> Iterator[Condition]:
    """Read a value that stands by itself."""
    low = name.lower()
    target, relation = _RANGES.get(low, (name, "="))
    path = _pick_path(target, fields)
    if low == "attributes":
        yield from _attributes(values[-1])
    elif path is None:
        return
    elif operation.query[name]["type"] == "array":
        yield Condition(path, "in", frozenset(value.casefold() for value in values))
    elif low == "lastmodifieddatetime" and _is_date(path, fields):
        # a few operations have no Condition parameter (journals): changed since then
        yield Condition(path, ">=", _milliseconds(values[-1], name))
    elif low in _RANGES or _is_date(path, fields) or operation.query[name]["type"] == "number":
        yield _compare(path, relation, values[-1], name, fields)
    else:
        by_part = habits.parts_match and low in _IN_PART
        yield Condition(path, "contains" if by_part else "=", values[-1].casefold())


def _attributes(text: str) -> Iterator[Condition]:
    try:
        wanted = json.loads(text)
    except ValueError as error:
        raise FilterError(f"attributes is not valid JSON: {error}") from error
    if not isinstance(wanted, dict):
        raise FilterError("attributes must be a JSON object")
    for values in wanted.values():
        yield Condition("attributes.value", "in", frozenset(str(values).casefold().split(",")))


def _is_date(path: str, fields: Mapping[str, Any]) -> bool:
    facts = fields.get(path.split(".", maxsplit=1)[0], {})
    return facts.get("format") in {"date-time", "date"} or path.lower().endswith("datetime")


def _compare(path: str, relation: str, text: str, name: str, fields: Mapping[str, Any]) -> Condition:
    if _is_date(path, fields):
        return Condition(path, relation, _milliseconds(text, name))
    if fields.get(path.split(".", maxsplit=1)[0], {}).get("type") in {"number", "integer"}:
        return Condition(path, relation, _decimal(text, name))
    return Condition(path, relation, text.casefold())


def _milliseconds(text: str, name: str) -> int:
    if not _DATE.fullmatch(text.strip()):
        raise FilterError(f"String was not recognized as a valid DateTime for {name}: '{text}'")
    try:
        return parse_naive_ms(text.strip().replace(" ", "T"))
    except ValueError as error:
        raise FilterError(f"String was not recognized as a valid DateTime for {name}: '{text}'") from error


def _decimal(text: str, name: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise FilterError(f"'{text}' is not a number for {name}") from error

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

from vismanet_async._simulator.clock import parse_naive_ms
from vismanet_async._simulator.filter_fields import (
    IN_PART,
    RANGES,
    REFERENCE_KEYS,
    Field,
    Shapes,
    find_field,
    is_filter,
)

if TYPE_CHECKING:
    from vismanet_async._simulator.catalog import Operation

__all__ = ["NEVER", "Condition", "FilterError", "Habits", "build", "comparable", "filters_asked", "fulfils",
           "values_at"]  # fmt: skip

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {">": gt, "<": lt, ">=": ge, "<=": le, "=": eq}
_DATE = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d:\d\d(\.\d{1,7})?)?")
# statuses of a document whose amounts stand in the ledger
_RELEASED = frozenset({"open", "closed", "voided", "reserved"})
# parameters that are off unless asked for
_SWITCHES = frozenset({
    "togglebalancesigns", "excludeytdaccount", "includeunposted", "includeunreleased", "includetransactionbalance",
})  # fmt: skip
_ITSELF = "@"
_YES_NO = {"1": True, "true": True, "0": False, "false": False}
_OWN_LEDGER = "1"  # budgets belong to one ledger; their shape does not show which
_PERIOD = re.compile(r"(\d{4})(0[1-9]|1[0-2])")


class FilterError(ValueError):
    """A parameter's value cannot be read; the service answers 400."""


@frozen
class Condition:
    """One condition: any of the values found at any of the paths stands in this relation to `value`."""

    path: str
    operator: str
    value: Any

    def holds(self, found: object) -> bool:
        """Return whether a single value fulfils the condition."""
        if self.operator == "contains":
            return isinstance(found, str) and self.value in found.casefold()
        if self.operator == "in":
            return comparable(found, None) in self.value
        if self.operator == "not in":
            return comparable(found, None) not in self.value
        if self.operator == "attribute":
            return isinstance(found, Mapping) and _attribute_fits(found, *self.value)
        other = comparable(found, self.value)
        if other is None or type(other) is not type(self.value):
            return False
        return _OPERATORS[self.operator](other, self.value)


NEVER = Condition("", "=", "")
"""No row fulfils it: none has a field without a name."""


def _attribute_fits(found: Mapping[str, Any], name: str, wanted: frozenset[str]) -> bool:
    return str(found.get("id")).casefold() == name and str(found.get("value")).casefold() in wanted


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
    """Yield what stands at a dotted path; lists are gone into, references give their keys, `@` is an object whole."""
    head, _, rest = path.partition(".")
    if isinstance(row, list):
        for element in row:
            yield from values_at(element, path)
        return
    if head == _ITSELF:
        yield row
        return
    if not isinstance(row, Mapping) or head not in row:
        return
    value = row[head]
    if rest:
        yield from values_at(value, rest)
    elif isinstance(value, Mapping):
        yield from (value[name] for name in REFERENCE_KEYS if name in value)
    else:
        yield value


def fulfils(row: Mapping[str, Any], conditions: tuple[Condition, ...]) -> bool:
    """Return whether a row fulfils all conditions, each with any of the values at its path."""
    return all(any(condition.holds(value) for value in values_at(row, condition.path)) for condition in conditions)


@frozen(kw_only=True)
class Habits:
    """How the service reads filters, where that may differ."""

    strict_pairs: bool = False
    """Refuse a value without its Condition instead of ignoring it."""
    after_includes: bool = False
    """Read `>` as "on or after", as the documents did until 2025-11."""
    parts_match: bool = True
    """A part of a name is enough."""


def filters_asked(operation: Operation, query: list[tuple[str, str]]) -> tuple[str, ...]:
    """Return the parameters of a query that choose rows; a value without its Condition is ignored (facts 5.3)."""
    given = {name.lower(): value for name, value in query if value.strip()}
    known = {name.lower(): name for name in operation.query}
    return tuple(
        name
        for low, name in known.items()
        if low in given and is_filter(name) and (f"{low}condition" not in known or f"{low}condition" in given)
    )


def build(
    operation: Operation, query: list[tuple[str, str]], shapes: Shapes, dto: str, habits: Habits
) -> dict[str, tuple[Condition, ...] | None]:
    """Turn query parameters into conditions, as the service reads them.

    Names that the operation does not know are ignored, and so is a value without its `Condition`
    (facts 5.3, 5.5).

    Args:
        operation: The operation asked for.
        query: The parameters as they came, repeated ones too.
        shapes: The fields of all shapes.
        dto: The rows' shape.
        habits: How they are read.

    Returns:
        The conditions of each parameter that chooses rows; None where the shape has no such field.

    Raises:
        FilterError: A date or an operator cannot be read.
    """
    known = {name.lower(): name for name in operation.query}
    given: dict[str, list[str]] = {}
    for name, value in query:
        if name.lower() in known:
            given.setdefault(name.lower(), []).append(value)
    conditions: dict[str, tuple[Condition, ...] | None] = {}
    for low, values in given.items():
        if not is_filter(low) or not any(values):
            continue
        asked = _Asked(known[low], values, operation.query[known[low]]["type"], find_field(low, shapes, dto), habits)
        if f"{low}condition" in known:
            relation = given.get(f"{low}condition", [""])[-1].strip()
            conditions[known[low]] = _paired(asked, relation)
        elif low in _SPECIAL:
            conditions[known[low]] = _SPECIAL[low](asked, shapes, dto)
        else:
            conditions[known[low]] = _plain(asked, shapes, dto)
    return conditions


@frozen
class _Asked:
    """One parameter of a query."""

    name: str
    values: list[str]
    kind: str
    """Its type in the catalog."""
    field: Field | None
    habits: Habits

    @property
    def text(self) -> str:
        """The value; the last one where it came several times."""
        return self.values[-1]


def _paired(asked: _Asked, relation: str) -> tuple[Condition, ...] | None:
    """Read a value that needs a Condition beside it."""
    if not relation:
        if asked.habits.strict_pairs:
            raise FilterError(f"{asked.name} needs {asked.name}Condition")
        return ()
    if relation not in _OPERATORS:
        raise FilterError(f"'{relation}' is not a valid operator for {asked.name}Condition")
    if asked.field is None:
        return None
    includes = relation == ">" and asked.habits.after_includes
    return (_compare(asked.field, ">=" if includes else relation, asked.text, asked.name),)


def _plain(asked: _Asked, shapes: Shapes, dto: str) -> tuple[Condition, ...] | None:
    """Read a value that stands by itself."""
    low = asked.name.lower()
    target, relation = RANGES.get(low, (low, "="))
    field = find_field(target, shapes, dto) if low in RANGES else asked.field
    if field is None:
        # a switch that is off asks for nothing
        return () if asked.kind == "boolean" and low in _SWITCHES and asked.text.lower() == "false" else None
    if asked.kind == "array":
        return (Condition(field.path, "in", frozenset(value.casefold() for value in asked.values)),)
    if low == "lastmodifieddatetime" and field.is_date:
        # a few operations have no Condition parameter (journals): changed since then
        return (Condition(field.path, ">=", _milliseconds(asked.text, asked.name)),)
    if field.path == "postPeriod":  # the one spelling of a period in filters, the other one in rows (facts 5.8)
        year, month = _period(asked.text, asked.name)
        return (Condition(field.path, "=", f"{month:02d}{year}"),)
    if low in RANGES or field.is_date or asked.kind == "number":
        return (_compare(field, relation, asked.text, asked.name),)
    by_part = asked.habits.parts_match and low in IN_PART
    return (Condition(field.path, "contains" if by_part else "=", asked.text.casefold()),)


# -- parameters that are more than one comparison -----------------------------------------------------------


def _attributes(asked: _Asked, _shapes: Shapes, _dto: str) -> tuple[Condition, ...]:
    try:
        wanted = json.loads(asked.text)
    except ValueError as error:
        raise FilterError(f"attributes is not valid JSON: {error}") from error
    if not isinstance(wanted, dict):
        raise FilterError("attributes must be a JSON object")
    return tuple(
        Condition(f"attributes.{_ITSELF}", "attribute", (name.casefold(), frozenset(str(text).casefold().split(","))))
        for name, text in wanted.items()
    )


def _released(asked: _Asked, shapes: Shapes, dto: str) -> tuple[Condition, ...] | None:
    """Documents whose amounts stand in the ledger: by their flag, or by their status."""
    wanted = _YES_NO.get(asked.text.strip().casefold())
    if wanted is None:
        raise FilterError(f"'{asked.text}' is not a valid value for {asked.name}")
    if asked.field is not None:
        return (Condition(asked.field.path, "=", str(wanted).lower()),)
    status = find_field("status", shapes, dto)
    return None if status is None else (Condition(status.path, "in" if wanted else "not in", _RELEASED),)


def _effective(asked: _Asked, shapes: Shapes, dto: str) -> tuple[Condition, ...] | None:
    """Prices that are in force on a day."""
    bounds = (find_field("effectiveDate", shapes, dto), "<="), (find_field("expirationDate", shapes, dto), ">=")
    return tuple(_compare(field, relation, asked.text, asked.name) for field, relation in bounds if field) or None


def _movement(asked: _Asked, shapes: Shapes, dto: str) -> tuple[Condition, ...] | None:
    """Partners whose last change lies in a range of periods; the one bound that the parameter names."""
    field = find_field("lastModifiedDateTime", shapes, dto)
    year, month = _period(asked.text, asked.name)
    if field is None:
        return None
    if asked.name.lower().startswith("from"):
        return (Condition(field.path, ">=", parse_naive_ms(f"{year}-{month:02d}-01")),)
    return (Condition(field.path, "<", parse_naive_ms(f"{year + month // 12}-{month % 12 + 1:02d}-01")),)


def _ledger(asked: _Asked, shapes: Shapes, dto: str) -> tuple[Condition, ...] | None:
    if dto == "BudgetDto":
        return () if asked.text.strip() == _OWN_LEDGER else (NEVER,)
    return _plain(asked, shapes, dto)


_SPECIAL: dict[str, Callable[[_Asked, Shapes, str], tuple[Condition, ...] | None]] = {
    "attributes": _attributes,
    "released": _released,
    "effectiveasof": _effective,
    "fromfinperiod": _movement,
    "tofinperiod": _movement,
    "ledger": _ledger,
}


# -- values -------------------------------------------------------------------------------------------------


def _compare(field: Field, relation: str, text: str, name: str) -> Condition:
    if field.is_date:
        return Condition(field.path, relation, _milliseconds(text, name))
    if field.is_number:
        return Condition(field.path, relation, _decimal(text, name))
    return Condition(field.path, relation, text.casefold())


def _period(text: str, name: str) -> tuple[int, int]:
    found = _PERIOD.fullmatch(text.strip())
    if found is None:
        raise FilterError(f"'{text}' is not a period for {name}")
    return int(found.group(1)), int(found.group(2))


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

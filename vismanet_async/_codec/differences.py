"""What a record would have to change to have the values of a body that is to be sent. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from vismanet_async._codec.fields import fields_of
from vismanet_async._codec.model import LineUpdate
from vismanet_async._codec.record_matches import find_value, is_same, unwrapped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vismanet_async._codec.fields import Field
    from vismanet_async._codec.model import Model

__all__ = ["Comparison", "Difference", "compare"]

_OTHER_NAMES: Final = {"attributeLines": "attributes", "attributeId": "id", "attributeValue": "value"}
"""Where records show what bodies call otherwise."""
_COMMANDS: Final = "override"
"""Fields that begin so tell the API what to do; no record shows them."""
_CREATES_ALONE: Final = "overrideNumberSeries"
_BUSINESS_KEYS: Final = ("number", "id")
"""A reference is sent as one of these, and read as an object that has it; the number goes before the id."""


@attrs.frozen(kw_only=True)
class Difference:
    """One value that a record does not have.

    Examples:
        >>> print(Difference(field="creditLimit", was=None, becomes=500))
        creditLimit: empty -> 500
    """

    field: str
    """By the API's names, with dots: `mainAddress.city`, `invoiceLines[0].quantity`."""
    was: Any
    """The record's value; None where it has none."""
    becomes: Any
    shown: bool = True
    """False: the record does not show this field, so nobody can tell whether it differs."""

    def __str__(self) -> str:
        was = _text(self.was) if self.shown else "not shown"
        return f"{self.field}: {was} -> {_text(self.becomes)}"


@attrs.frozen(kw_only=True)
class Comparison:
    """What differs, and the part of the body that is to be sent for it."""

    differences: tuple[Difference, ...]
    body: Mapping[str, Any]
    """Fields that differ, whole as they were given; of lists the lines that differ; and what has to go with them."""

    @property
    def hidden(self) -> bool:
        """Whether all that differs are values that the record does not show."""
        return bool(self.differences) and not any(each.shown for each in self.differences)


def compare(record: Mapping[str, Any], body: Mapping[str, Any], model: type[Model]) -> Comparison:
    """Compare a record with a body, field by field. What the body does not name is not compared.

    Numbers are compared as exact decimals, dates as moments, empty text as nothing; a reference by the number or id
    that is sent. A line is compared with the line of its number. Without a number a line that is to be inserted is
    there if a line of the record has all its values; each line of the record counts once.

    Args:
        record: the record's JSON, with exact numbers.
        body: the JSON of the body, as it would be sent whole.
        model: the class of the body.

    Examples:
        >>> from vismanet_async._api.models.customer import CustomerUpdate
        >>> record = {"name": "Vega AS", "mainAddress": {"city": "Oslo"}}
        >>> wanted = {"name": {"value": "Vega AS"}, "mainAddress": {"value": {"city": {"value": "Bergen"}}}}
        >>> [str(each) for each in compare(record, wanted, CustomerUpdate).differences]
        ["mainAddress.city: 'Oslo' -> 'Bergen'"]
    """
    fields = {field.json: field for field in fields_of(model)}
    found: list[Difference] = []
    changed: dict[str, Any] = {}
    along: dict[str, Any] = {}
    for name, value in body.items():
        field = fields.get(name)
        if field is not None and field.many and isinstance(lines := unwrapped(value), list):
            shown, existing = _find(record, name)
            those, left = _lines(existing if isinstance(existing, list) else [], lines, field, name, shown=shown)
            found += those
            if left:
                changed[name] = left
            continue
        differences = _field(record, name, value, name, field)
        found += differences
        if differences:
            changed[name] = value
        elif (field is not None and field.needed) or (name.startswith(_COMMANDS) and name != _CREATES_ALONE):
            along[name] = value
    sent = {**along, **changed} if changed else {}
    return Comparison(differences=tuple(found), body={name: sent[name] for name in body if name in sent})


def _find(record: Mapping[str, Any], name: str) -> tuple[bool, Any]:
    shown, value = find_value(record, name)
    return (shown, value) if shown else find_value(record, _OTHER_NAMES.get(name, name))


def _field(record: Mapping[str, Any], name: str, value: Any, path: str, field: Field | None) -> list[Difference]:
    value = unwrapped(value)
    shown, there = _find(record, name)
    if not shown:
        if name.startswith(_COMMANDS) or (field is None and name == "operation"):
            return []
        return [Difference(field=path, was=None, becomes=value, shown=False)]
    if isinstance(value, dict) and isinstance(there, dict):
        inner = {each.json: each for each in fields_of(field.model)} if field is not None and field.model else {}
        return [
            each
            for part, of_it in value.items()
            for each in _field(there, part, of_it, f"{path}.{part}", inner.get(part))
        ]
    if isinstance(there, dict) and not isinstance(value, dict | list):
        there = next((there[key] for key in _BUSINESS_KEYS if key in there), there)
    return [] if is_same(there, value) else [Difference(field=path, was=there, becomes=value)]


def _lines(
    existing: list[Any], lines: list[Any], field: Field, path: str, *, shown: bool
) -> tuple[list[Difference], list[Any]]:
    """Return what differs in lines, and the lines that are to be sent."""
    if field.model is None or not all(isinstance(line, dict) for line in lines):
        same = shown and is_same(existing, lines)
        return ([], []) if same else ([Difference(field=path, was=existing, becomes=lines, shown=shown)], lines)
    free = [line for line in existing if isinstance(line, dict)]
    found: list[Difference] = []
    left: list[Any] = []
    for index, line in enumerate(lines):
        differences = _line(free, line, field.model, f"{path}[{index}]")
        if differences:
            found += differences if shown else [attrs.evolve(each, shown=False) for each in differences]
            left.append(line)
    return found, left


def _line(free: list[dict[str, Any]], line: dict[str, Any], model: type[Model], path: str) -> list[Difference]:
    """Return what differs in one line; the record's line that it was compared with is taken out of `free`."""
    operation = str(unwrapped(line.get("operation")) or "")
    key = _line_key(model)
    number = unwrapped(line.get(key)) if key else None
    values = {name: each for name, each in line.items() if name not in {"operation", key}}
    names = {each.json: each for each in fields_of(model)}

    def against(there: dict[str, Any]) -> list[Difference]:
        return [
            each
            for name, value in values.items()
            for each in _field(there, name, value, f"{path}.{name}", names.get(name))
        ]

    if number is not None and operation != "Insert":
        numbered = next((each for each in free if key and is_same(_find(each, key)[1], number)), None)
        if operation == "Delete":
            return [] if numbered is None else [Difference(field=path, was=numbered, becomes=None)]
        if numbered is None:
            return [Difference(field=path, was=None, becomes=values)]
        free.remove(numbered)
        return against(numbered)
    if operation == "Delete":  # named by its fields
        named = next((each for each in free if not against(each)), None)
        return [] if named is None else [Difference(field=path, was=named, becomes=None)]
    equal = next((each for each in free if not against(each)), None)
    if equal is None:
        return [Difference(field=path, was=None, becomes=values)]
    free.remove(equal)
    return []


def _line_key(model: type[Model]) -> str | None:
    if not issubclass(model, LineUpdate) or model.line_key is None:
        return None
    return next(field.json for field in fields_of(model) if field.name == model.line_key)


def _text(value: Any) -> str:
    return "empty" if value is None or value == "" else repr(value) if isinstance(value, str) else str(value)

"""What a record would have to change to have the values of a body that is to be sent. Pure."""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import attrs

from vismanet_async._codec.fields import fields_of
from vismanet_async._codec.model import LineUpdate
from vismanet_async._codec.record_matches import BUSINESS_KEYS, find_value, is_same, unwrapped

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vismanet_async._codec.fields import Field
    from vismanet_async._codec.model import Model

__all__ = ["Comparison", "Difference", "changed_meanwhile", "compare", "matching"]

_OTHER_NAMES: Final = {"attributeLines": "attributes", "attributeId": "id", "attributeValue": "value"}
"""Where records show what bodies call otherwise."""
_OF_ANY_KIND: Final = "attributeValue"
"""A field of text that holds numbers and dates, too."""
_COMMANDS: Final = "override"
"""Fields that begin so tell the API what to do; no record shows them."""
_CREATES_ALONE: Final = "overrideNumberSeries"
_INNER: Final = re.compile(r"[.\[]")


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

    Numbers are compared as exact decimals, dates as moments, empty text as nothing; text that only looks like a date as
    text; a reference by the number or id that is sent. A line is compared with the line of its number. Without a number
    a line that is to be inserted is there if a line of the record has all its values; each line of the record counts
    once, and in whatever order they stand, as many as can be are found.

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


def changed_meanwhile(listed: Comparison, whole: Comparison) -> str | None:
    """Return what somebody changed between two readings of a record, of what the body names; None: nothing is seen.

    Args:
        listed: of the record as a list had it, which may show less.
        whole: of the record by itself, read later. Where it has a value of the body, that one is as it should be.

    Examples:
        >>> before = Comparison(differences=(Difference(field="name", was="Vega AS", becomes="Sol AS"),), body={})
        >>> after = Comparison(differences=(Difference(field="name", was="Vega ASA", becomes="Sol AS"),), body={})
        >>> changed_meanwhile(before, after), changed_meanwhile(before, before)
        ("name was 'Vega AS' and is 'Vega ASA'", None)
    """
    before = {each.field: each for each in listed.differences}
    for each in whole.differences:
        earlier = before.get(each.field)
        outer = [each.field[: place.start()] for place in _INNER.finditer(each.field)]
        # what the list does not show, or shows empty as a whole, it may show to nobody
        unseen = not each.shown or any(one in before for one in outer) or (earlier is not None and not earlier.shown)
        if unseen or (earlier is not None and (earlier.was == each.was or is_same(earlier.was, each.was))):
            continue
        was = "as it is to be" if earlier is None else _text(earlier.was)
        return f"{each.field} was {was} and is {_text(each.was)}"
    return None


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
        there = next((there[key] for key in BUSINESS_KEYS if key in there), there)
    same = is_same(there, value, as_text=field is not None and field.is_text and name != _OF_ANY_KIND)
    return [] if same else [Difference(field=path, was=there, becomes=value)]


def _lines(
    existing: list[Any], lines: list[Any], field: Field, path: str, *, shown: bool
) -> tuple[list[Difference], list[Any]]:
    """Return what differs in lines, and the lines that are to be sent."""
    model = field.model
    if model is None or not all(isinstance(line, dict) for line in lines):
        same = shown and is_same(existing, lines)
        return ([], []) if same else ([Difference(field=path, was=existing, becomes=lines, shown=shown)], lines)
    wanted = [_Line.of(line, model, f"{path}[{index}]") for index, line in enumerate(lines)]
    free = [line for line in existing if isinstance(line, dict)]
    found: dict[int, list[Difference]] = {}
    # a line that is named by its number is no other line's, wherever it stands in the body
    for index, line in enumerate(wanted):
        if line.numbered:
            own = next((each for each in free if line.is_number_of(each)), None)
            free = [each for each in free if each is not own]
            found[index] = line.against(own, shown=shown)
    for deletes in (True, False):
        rest = [index for index, line in enumerate(wanted) if not line.numbered and line.deletes is deletes]
        # of two lines of which one asks for more, that one chooses first: what is left to insert asks for less
        rest.sort(key=lambda index: -wanted[index].weight)
        pairs = matching([wanted[index] for index in rest], free)
        for index, place in zip(rest, pairs, strict=True):
            found[index] = wanted[index].against(None if place is None else free[place], shown=shown)
        free = [each for place, each in enumerate(free) if place not in pairs]
    told = [each for index in range(len(lines)) for each in found[index]]
    return told, [line for index, line in enumerate(lines) if found[index]]


@attrs.frozen(kw_only=True, eq=False)
class _Line:
    """A line of a body."""

    path: str
    operation: str
    key: str | None
    """The name of its number."""
    number: Any
    values: Mapping[str, Any]
    """What is compared: all but the operation and the number."""
    fields: Mapping[str, Field]

    @classmethod
    def of(cls, line: Mapping[str, Any], model: type[Model], path: str) -> _Line:
        key = _line_key(model)
        return cls(
            path=path,
            operation=str(unwrapped(line.get("operation")) or ""),
            key=key,
            number=unwrapped(line.get(key)) if key else None,
            values={name: each for name, each in line.items() if name not in {"operation", key}},
            fields={each.json: each for each in fields_of(model)},
        )

    @property
    def numbered(self) -> bool:
        """Whether it names one line of the record."""
        return self.number is not None and self.operation != "Insert"

    @property
    def deletes(self) -> bool:
        """Whether a line is to go."""
        return self.operation == "Delete"

    @property
    def weight(self) -> int:
        """How many values it asks for."""
        return _count(self.values)

    def is_number_of(self, there: Mapping[str, Any]) -> bool:
        """Return whether a line of the record has its number."""
        return self.key is not None and is_same(_find(there, self.key)[1], self.number)

    def differences(self, there: Mapping[str, Any]) -> list[Difference]:
        """Return which of its values a line of the record does not have."""
        return [
            each
            for name, value in self.values.items()
            for each in _field(there, name, value, f"{self.path}.{name}", self.fields.get(name))
        ]

    def against(self, there: dict[str, Any] | None, *, shown: bool) -> list[Difference]:
        """Return what differs from its line of the record; None: the record has no such line, as far as it shows."""
        if self.deletes:
            gone = there is None and shown
            return [] if gone else [Difference(field=self.path, was=there, becomes=None, shown=shown)]
        if there is None:
            return [Difference(field=self.path, was=None, becomes=self.values, shown=shown)]
        return self.differences(there)


def matching(lines: Sequence[_Line], there: Sequence[Mapping[str, Any]]) -> list[int | None]:
    """Return for each line which of the record's lines has all its values: each once, and as many as can be.

    A line gives way to another where it can have a second one itself (augmenting paths, breadth first), so the order
    of neither side matters. A line that has found its place keeps one.
    """
    taken: dict[int, int] = {}
    """Which line has a place."""
    pairs: list[int | None] = [None] * len(lines)
    fits: dict[tuple[int, int], bool] = {}

    def fit(line: int, place: int) -> bool:
        if (line, place) not in fits:
            fits[line, place] = not lines[line].differences(there[place])
        return fits[line, place]

    for line in range(len(lines)):
        came_from: dict[int, int] = {}
        """By which line a place was reached."""
        reached = deque([line])
        end = next((place for place in range(len(there)) if place not in taken and fit(line, place)), None)
        if end is not None:
            came_from[end] = line
        while end is None and reached:
            at = reached.popleft()
            for place in range(len(there)):
                if place in came_from or not fit(at, place):
                    continue
                came_from[place] = at
                if place not in taken:
                    end = place
                    break
                reached.append(taken[place])
        while end is not None:
            at = came_from[end]
            before, pairs[at], taken[end] = pairs[at], end, at
            end = before
    return pairs


def _count(value: Any) -> int:
    value = unwrapped(value)
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 1 if inner is None else sum(map(_count, inner))


def _line_key(model: type[Model]) -> str | None:
    if not issubclass(model, LineUpdate) or model.line_key is None:
        return None
    return next(field.json for field in fields_of(model) if field.name == model.line_key)


def _text(value: Any) -> str:
    return "empty" if value is None or value == "" else repr(value) if isinstance(value, str) else str(value)

"""Query parameters: how each kind of value goes on the wire, and what is refused (docs/facts.md 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias, get_args

import msgspec

from vismanet_async._api.lazy import open_enum
from vismanet_async._arguments import not_among
from vismanet_async._codec.values import Moment, Other
from vismanet_async._conditions import Condition, on_or_after
from vismanet_async._decimals import MOST_DIGITS, fits_whole, plain
from vismanet_async._names import beside
from vismanet_async.errors import RequestRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import tzinfo

__all__ = [
    "AttributeFilter",
    "Choice",
    "Choices",
    "Integers",
    "Moment",
    "Needed",
    "Other",
    "Pairs",
    "Part",
    "attributes",
    "condition",
    "flag",
    "instant",
    "integer",
    "moment",
    "number",
    "number_condition",
    "pairs",
    "repeated",
    "text",
]

AttributeFilter: TypeAlias = Mapping[str, str | Sequence[str]]
"""Attribute ids with the value or values to look for: `{"COLOUR": ["RED", "BLUE"]}`."""
Pairs: TypeAlias = tuple[tuple[str, str], ...]
Part: TypeAlias = "tuple[str, Callable[[str, Any, tzinfo | None], Iterable[tuple[str, str]]], Any]"
"""The API's name of a parameter, its kind (a function below), its value; None leaves it out."""


class Needed(msgspec.Struct, frozen=True):
    """A kind whose parameter the API wants in any case, so that None is refused instead of left out."""

    kind: Callable[[str, Any, tzinfo | None], Pairs]

    def __call__(self, name: str, value: Any, zone: tzinfo | None) -> Pairs:
        """Return the value as it is sent."""
        return self.kind(name, value, zone)


def pairs(parts: Iterable[Part], zone: tzinfo | None) -> Pairs:
    """Return parameters as they are sent, in the order given.

    Args:
        parts: name, kind and value of each.
        zone: the company's declared time zone, for aware datetimes in conditions.

    Raises:
        RequestRefused: a value that the API would ignore or misread; nothing was sent.
    """
    return tuple(
        pair
        for name, kind, value in parts
        if value is not None or isinstance(kind, Needed)
        for pair in kind(name, value, zone)
    )


def text(name: str, value: Any, _: tzinfo | None) -> Pairs:
    """Text as it is; empty text is refused, because the API takes it for no filter at all."""
    if not isinstance(value, str):
        raise _refused(name, f"takes text, not {type(value).__name__}")
    if not value:
        raise _refused(name, "is empty: the API would ignore it and return everything. Leave it out instead")
    return ((name, str(value)),)


class Choice(msgspec.Struct, frozen=True):
    """One of the values of an enumeration, in any case (docs/facts.md 5.16); another one is refused."""

    enum: str

    def __call__(self, name: str, value: Any, zone: tzinfo | None) -> Pairs:
        """Return the value as it is sent."""
        pair = text(name, value, zone)
        if isinstance(value, Other):
            return pair
        known = get_args(get_args(open_enum(self.enum))[0])
        if value.casefold() in {each.casefold() for each in known}:
            return pair
        raise _refused(name, not_among(value, known))


class Choices(msgspec.Struct, frozen=True):
    """Values of an enumeration, as one text with commas."""

    enum: str

    def __call__(self, name: str, value: Any, zone: tzinfo | None) -> Pairs:
        """Return the values as they are sent."""
        texts = [text for _, text in repeated(name, value, zone)]
        choice = Choice(self.enum)
        for given, checked in zip(value, texts, strict=True):
            choice(name, given, zone)
            if "," in checked:
                raise _refused(name, f"holds a comma in {checked!r}: give a list of the values")
        return ((name, ",".join(texts)),)


class Integers(msgspec.Struct, frozen=True):
    """Whole numbers, as one text with commas."""

    most: int

    def __call__(self, name: str, value: Any, zone: tzinfo | None) -> Pairs:
        """Return the numbers as they are sent."""
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise _refused(name, f"takes a list of whole numbers, not {type(value).__name__}")
        if not 1 <= len(value) <= self.most:
            raise _refused(name, f"takes 1 to {self.most} numbers at once, not {len(value)}")
        return ((name, ",".join(integer(name, each, zone)[0][1] for each in value)),)


def integer(name: str, value: Any, _: tzinfo | None) -> Pairs:
    """A whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise _refused(name, f"takes an int, not {type(value).__name__}")
    if not fits_whole(value):
        raise _refused(name, f"is a whole number of more than {MOST_DIGITS} digits")
    return ((name, str(int(value))),)


def number(name: str, value: Any, _: tzinfo | None) -> Pairs:
    """A number, exactly."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise _refused(name, f"takes a Decimal or an int, not {type(value).__name__}")
    if isinstance(value, Decimal) and not value.is_finite():
        raise _refused(name, f"takes a number, not {value}")
    digits = plain(value)
    if digits is None:
        raise _refused(name, f"is a number of more than {MOST_DIGITS} digits before or behind the decimal point")
    return ((name, digits),)


def flag(name: str, value: Any, _: tzinfo | None) -> Pairs:
    """`true` or `false`."""
    if not isinstance(value, bool):
        raise _refused(name, f"takes True or False, not {type(value).__name__}")
    return ((name, "true" if value else "false"),)


def moment(name: str, value: Any, zone: tzinfo | None) -> Pairs:
    """A date or a moment that stands alone, without an operator."""
    if isinstance(value, Condition):
        raise _refused(name, "takes a plain date: the API knows no comparison here")
    if not isinstance(value, date | str):
        raise _refused(name, f"takes a date, a datetime or text, not {type(value).__name__}")
    return (on_or_after(value).parameters(name, zone=zone)[0],)


def instant(name: str, value: Any, _: tzinfo | None) -> Pairs:
    """A point in time, in UTC; one without a zone is refused, because the service takes it for UTC."""
    found = value
    if isinstance(value, str):
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            found = None
    if not isinstance(found, datetime):
        raise _refused(name, f"takes a datetime with a zone, or its text, not {value!r}")
    if found.tzinfo is None:
        raise _refused(
            name, f"({value}) has no time zone, which the service takes for UTC: add one, such as tzinfo=UTC"
        )
    try:
        utc = found.astimezone(UTC)
    except OverflowError:
        raise _refused(name, f"({value}) is out of the years that have a time in UTC") from None
    return ((name, utc.isoformat().replace("+00:00", "Z")),)


def condition(name: str, value: Any, zone: tzinfo | None) -> Pairs:
    """A moment with its operator, as two parameters."""
    compared = _compared(name, value, date | str, "a date", 'on_or_after("2025-05-25")')
    return compared.parameters(name, zone=zone)


def number_condition(name: str, value: Any, zone: tzinfo | None) -> Pairs:
    """A number with its operator, as two parameters."""
    return _compared(name, value, int | Decimal, "a number", "on_or_after(100)").parameters(name, zone=zone)


def repeated(name: str, value: Any, zone: tzinfo | None) -> Pairs:
    """A list, as the same key again and again."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise _refused(name, f"takes a list of texts, not {type(value).__name__}")
    if not value:
        raise _refused(name, "is an empty list: the API would ignore it and return everything. Leave it out instead")
    return tuple(pair for each in value for pair in text(name, each, zone))


def attributes(name: str, value: Any, _: tzinfo | None) -> Pairs:
    """Attribute values, as JSON text with comma separated values."""
    if not isinstance(value, Mapping) or not value:
        raise _refused(name, 'takes attribute ids with their values, such as {"COLOUR": ["RED", "BLUE"]}')
    wire: dict[str, str] = {}
    for key, wanted in value.items():
        values = [wanted] if isinstance(wanted, str) else list(wanted)
        if not values or not all(isinstance(each, str) and each and "," not in each for each in values):
            raise _refused(name, f"takes one text or several for {key!r}, none empty and none with a comma")
        wire[str(key)] = ",".join(values)
    return ((name, msgspec.json.encode(wire).decode()),)


def _compared(name: str, value: Any, wanted: Any, what: str, example: str) -> Condition[Any]:
    if not isinstance(value, Condition):
        raise _refused(
            name,
            f"takes a condition such as {example}, not a bare {type(value).__name__}: the API ignores a value without "
            "an operator and returns everything",
        )
    if not isinstance(value.value, wanted) or isinstance(value.value, bool):
        raise _refused(name, f"takes a condition on {what}, such as {example}")
    return value


def _refused(name: str, why: str) -> RequestRefused:
    return RequestRefused(f"{beside(name)} {why}; nothing was sent.")

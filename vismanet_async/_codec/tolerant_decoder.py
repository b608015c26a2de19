"""The tolerant decoder: a cattrs converter for the same classes, which also reads deviations of real servers.

The fast decoder is tested against it, and a record that the fast decoder refuses is decoded by it. Beyond what the
catalog specifies (docs/facts.md 10 and 12) it accepts:

* `""` for a null of anything but text,
* `{"value": x}` where `x` is specified, null included,
* a date without a time, and fractions of any length (rounded to microseconds, but never into the next second),
* numbers and booleans as text, text as numbers.

It parses JSON with the standard library, with `Decimal` for every number that has a fraction or an exponent.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import attrs
from cattrs import Converter, transform_error
from cattrs.errors import BaseValidationError
from cattrs.gen import make_dict_structure_fn, override

from vismanet_async._codec.fields import fields_of, open_enums
from vismanet_async._decimals import number_in
from vismanet_async.errors import UnexpectedResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vismanet_async._codec.fields import Field, Kind
    from vismanet_async._codec.model import Model

__all__ = ["loads_exact", "parse_datetime", "structure"]

T = TypeVar("T")

_MOMENT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?)?(?:([Zz])|([+-])(\d\d):?(\d\d))?", re.ASCII
)
_MICROSECOND_DIGITS = 6
_MOST_DIGITS = 40  # as an int, 1e999999999 would fill the memory
_LAST_MICROSECOND = 999_999


def loads_exact(body: bytes) -> Any:
    """Return the value of JSON text, with exact numbers.

    Raises:
        UnexpectedResponse: it is not JSON.
    """
    try:
        return json.loads(body, parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, RecursionError, InvalidOperation) as error:  # the last: an exponent beyond all bounds
        raise UnexpectedResponse(f"the answer is not JSON: {_shorten(str(error))}. {_hint(body)}") from error


def structure(value: Any, cls: type[T]) -> T:
    """Return an object of `cls` made from JSON values.

    Raises:
        UnexpectedResponse: a field does not fit; the error names its path.
    """
    try:
        return _converter().structure(value, cls)
    except BaseValidationError as error:
        places = "; ".join(transform_error(error, path="", format_exception=lambda each, _: str(each))[:3])
        raise UnexpectedResponse(f"an answer is not a {cls.__name__}: {places.replace('@ .', 'at ')}.") from error
    except (TypeError, ValueError) as error:
        raise UnexpectedResponse(f"an answer is not a {cls.__name__}: {error}.") from error


def parse_datetime(text: str) -> datetime:
    """Return the moment of a text: with its offset if it has one, else without a zone; a date alone is its midnight.

    Examples:
        >>> parse_datetime("2025-12-31"), parse_datetime("2025-12-31T23:59:59.99999999")
        (datetime.datetime(2025, 12, 31, 0, 0), datetime.datetime(2025, 12, 31, 23, 59, 59, 999999))
    """
    match = _MOMENT.fullmatch(text)
    if match is None:
        raise _refused("a date or a moment", text)
    year, month, day, hour, minute, second, fraction, utc, sign, hours, minutes = match.groups()
    zone = UTC if utc else None
    if sign:
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        zone = timezone(-offset if sign == "-" else offset)
    return datetime(
        int(year),
        int(month),
        int(day),
        int(hour or 0),
        int(minute or 0),
        int(second or 0),
        _microseconds(fraction),
        zone,
    )


def _microseconds(fraction: str | None) -> int:
    if not fraction:
        return 0
    digits = fraction.ljust(_MICROSECOND_DIGITS + 1, "0")
    rounded = int(digits[:_MICROSECOND_DIGITS]) + (digits[_MICROSECOND_DIGITS] >= "5")
    return min(rounded, _LAST_MICROSECOND)


@cache
def _converter() -> Converter:
    converter = Converter(detailed_validation=True)
    converter.register_structure_hook_factory(
        lambda cls: isinstance(cls, type) and attrs.has(cls),
        lambda cls: _object_hook(cls, converter),
    )
    converter.register_structure_hook(str, lambda value, _: _text(value))
    return converter


def _object_hook(cls: type[Model], converter: Converter) -> Callable[[Any, Any], Any]:
    fields = fields_of(cls)
    names = {field.json for field in fields}
    # cattrs needs evaluated annotations; open enums are imported for type checkers only
    attrs.resolve_types(cls, localns=dict.fromkeys(open_enums(cls), str))
    hook = make_dict_structure_fn(
        cls,
        converter,
        **{one.name: override(omit=True) for one in attrs.fields(cls)}  # type: ignore[arg-type]  # one override for each
        | {field.name: override(rename=field.json, struct_hook=_hook(field, converter)) for field in fields},
    )

    def structure_object(value: Any, target: Any) -> Any:
        if not isinstance(value, dict):
            raise _refused("an object", value)
        if value.keys() == {"value"} and "value" not in names:
            return structure_object(value["value"], target)
        return hook(value, target)

    return structure_object


def _hook(field: Field, converter: Converter) -> Callable[[Any, Any], Any]:
    own_names = {inner.json for inner in fields_of(field.model)} if field.model is not None else set()
    may_be_wrapped = field.many or (field.kind != "dict" and "value" not in own_names)

    def one(value: Any) -> Any:
        if field.model is not None:
            return converter.structure(value, field.model)
        read = _SCALARS[field.kind](value)
        # a point in time is UTC where it has no offset (docs/facts.md 5.14)
        return read.replace(tzinfo=UTC) if field.point_in_time and read.tzinfo is None else read

    def structure_field(value: Any, _: Any) -> Any:
        if may_be_wrapped and isinstance(value, dict) and value.keys() == {"value"}:
            value = value["value"]
        if value is None or (not value and isinstance(value, str) and (field.many or field.kind != "str")):
            return None
        if not field.many:
            return one(value)
        if not isinstance(value, list):
            raise _refused("a list", value)
        return converter.structure(value, list[field.model]) if field.model else [one(each) for each in value]  # type: ignore[name-defined]  # cattrs adds the index to the path

    return structure_field


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Decimal):
        return str(value)
    raise _refused("text", value)


def _integer(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    number = _decimal(value)
    if not number.is_finite() or number.adjusted() > _MOST_DIGITS or number != number.to_integral_value():
        raise _refused("a whole number", value)
    return int(number)


def _decimal(value: Any) -> Decimal:
    if isinstance(value, Decimal):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    number = number_in(value) if isinstance(value, str) else None
    if number is None:
        raise _refused("a number", value)
    return number


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    raise _refused("true or false", value)


def _moment(value: Any) -> datetime:
    if not isinstance(value, str):
        raise _refused("a date or a moment", value)
    return parse_datetime(value)


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _refused("an object", value)
    return value


_SCALARS: dict[Kind, Callable[[Any], Any]] = {
    "str": _text,
    "int": _integer,
    "Decimal": _decimal,
    "bool": _boolean,
    "datetime": _moment,
    "dict": _mapping,
}


def _refused(wanted: str, value: Any) -> ValueError:
    names = {str: "text", bool: "a boolean", int: "a number", Decimal: "a number", list: "a list", dict: "an object"}
    got = "other text" if isinstance(value, str) and wanted != "text" else names.get(type(value), "null")
    return ValueError(f"expected {wanted}, got {got}")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _shorten(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:117]}..."  # noqa: PLR2004 - a line


def _hint(body: bytes) -> str:
    start = body.lstrip()[:1]
    if start == b"<":
        return "It looks like an HTML or XML page, perhaps from a gateway or a proxy."
    return f"It may have been cut off ({len(body)} bytes)." if start in {b"{", b"["} else "It is plain text."

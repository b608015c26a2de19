"""Whether a record has the values that were sent: shows whether a write without a response was executed."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from vismanet_async._codec.tolerant_decoder import loads_exact, parse_datetime
from vismanet_async.errors import UnexpectedResponse

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BUSINESS_KEYS", "find_value", "is_same", "record_matches", "unwrapped"]

BUSINESS_KEYS: Final = ("number", "id")
"""A reference is sent as one of these, and read as an object that has it; the number goes before the id."""
_REFERENCE_SUFFIXES = ("Id", "ID", "Number", "Cd")


def record_matches(raw: bytes, sent: bytes) -> bool | None:
    """Return whether the record `raw` has every value of the body `sent`.

    Returns:
        True or False if every field sent can be compared; None if one cannot: lists (an inserted line cannot be
        distinguished from another user's), and fields that the record does not have.
    """
    return _object(loads_exact(raw), loads_exact(sent))


def _object(record: Any, sent: dict[str, Any]) -> bool | None:
    verdict: bool | None = True
    for name, value in sent.items():
        one = _field(record, name, value)
        if one is False:
            return False
        verdict = None if one is None else verdict
    return verdict


def _field(record: Any, name: str, value: Any) -> bool | None:
    value = unwrapped(value)
    if isinstance(value, list) or not isinstance(record, dict):
        return None
    found, shown = find_value(record, name)
    if not found:
        return None
    if isinstance(value, dict):
        return _object(shown, value) if isinstance(shown, dict) else False
    return is_same(shown, value)


def unwrapped(value: Any) -> Any:
    """Return what is in `{"value": x}`, or the value itself."""
    return value["value"] if isinstance(value, dict) and value.keys() == {"value"} else value


def find_value(record: Mapping[str, Any], name: str) -> tuple[bool, Any]:
    """Return whether there is a value of `name`, and the value; `customerClassId` is read as `customerClass: {id}`."""
    if name in record:
        return True, record[name]
    for suffix in _REFERENCE_SUFFIXES:
        reference = name.removesuffix(suffix)
        if reference == name or reference not in record:
            continue
        inner, key = record[reference], suffix[0].lower() + suffix[1:].lower()
        if inner is None:
            return True, None
        if isinstance(inner, dict) and key in inner:
            return True, inner[key]
    return False, None


def is_same(shown: Any, sent: Any, *, as_text: bool = False) -> bool:
    """Return whether a record shows what was sent: numbers by value, dates as moments, empty text as nothing.

    Args:
        shown: the value in the record.
        sent: the value in the body.
        as_text: the field is known to hold text, so that what looks like a date is none.
    """
    if shown in (None, "") and sent in (None, ""):
        return True
    if isinstance(sent, bool) or isinstance(shown, bool):
        return shown is sent
    if isinstance(sent, int | Decimal) and isinstance(shown, int | Decimal):
        return shown == sent
    if isinstance(sent, str) and isinstance(shown, str) and shown != sent:
        return not as_text and _same_moment(shown, sent)
    return bool(shown == sent)


def _same_moment(shown: str, sent: str) -> bool:
    try:
        return parse_datetime(shown).replace(tzinfo=None) == parse_datetime(sent)
    except (ValueError, TypeError, UnexpectedResponse):
        return False

"""Whether a record has the values that were sent: shows whether a write without a response was executed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from vismanet_async._codec.tolerant_decoder import loads_exact, parse_datetime
from vismanet_async.errors import UnexpectedResponse

__all__ = ["record_matches"]

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
    if isinstance(value, dict) and value.keys() == {"value"}:
        value = value["value"]
    if isinstance(value, list) or not isinstance(record, dict):
        return None
    found, shown = _find(record, name)
    if not found:
        return None
    if isinstance(value, dict):
        return _object(shown, value) if isinstance(shown, dict) else False
    return _same(shown, value)


def _find(record: dict[str, Any], name: str) -> tuple[bool, Any]:
    """Return whether there is a value of `name`, and the value; `customerClassId` is read as `customerClass: {id}`."""
    if name in record:
        return True, record[name]
    for suffix in _REFERENCE_SUFFIXES:
        inner = record.get(name.removesuffix(suffix)) if name.endswith(suffix) else None
        key = suffix[0].lower() + suffix[1:].lower()
        if isinstance(inner, dict) and key in inner:
            return True, inner[key]
    return False, None


def _same(shown: Any, sent: Any) -> bool:
    if isinstance(sent, bool) or isinstance(shown, bool):
        return shown is sent
    if isinstance(sent, int | Decimal) and isinstance(shown, int | Decimal):
        return shown == sent
    if isinstance(sent, str) and isinstance(shown, str) and shown != sent:
        return _same_moment(shown, sent)
    return bool(shown == sent) or (sent is None and shown == "")


def _same_moment(shown: str, sent: str) -> bool:
    try:
        return parse_datetime(shown).replace(tzinfo=None) == parse_datetime(sent)
    except (ValueError, TypeError, UnexpectedResponse):
        return False

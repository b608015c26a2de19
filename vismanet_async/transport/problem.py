"""What an error answer says, in any of the shapes the services use (docs/facts.md 11). Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import attrs
import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["KEPT_HEADERS", "Problem", "read_problem"]

KEPT_HEADERS: Final = (
    "Content-Type",
    "ETag",
    "Ipp-Request-Id",
    "Request-Context",
    "Retry-After",
    "X-RateLimit-Limit",
    "X-RateLimit-Policy",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
)
"""Headers that errors may carry; everything else stays out."""

_DETAIL_CHARS: Final = 300
_VISMA_ID: Final = re.compile(r"\bVismaId:\s*([0-9a-fA-F-]{36})\.?\s*")
_TEXT_KEYS: Final = (
    "message",
    "exceptionmessage",
    "detail",
    "title",
    "error_description",
    "error",
    "errorinfo",
)
_HTML: Final = re.compile(r"<[^>]{1,200}>")


@attrs.frozen
class Problem:
    """The server's own words and the reference that Visma's support asks for."""

    detail: str
    reference: str | None


def read_problem(headers: Mapping[str, str], body: bytes) -> Problem:
    """Read an error body: JSON of several shapes, HTML from a gateway, plain text, or nothing.

    >>> read_problem({}, b'{"ExceptionMessage":"No license for this company.","ExceptionFaultCode":"12027"}').detail
    'No license for this company. (12027)'
    """
    reference = headers.get("Ipp-Request-Id") or headers.get("Request-Context")
    text = _from_json(body)
    if text is None:
        raw = body[: 8 * _DETAIL_CHARS].decode("utf-8", "replace")
        text = _HTML.sub(" ", raw) if "<" in raw else raw
    found = _VISMA_ID.search(text)
    if found:
        reference = found.group(1)
        text = _VISMA_ID.sub("", text)
    text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return Problem(text if len(text) <= _DETAIL_CHARS else f"{text[:_DETAIL_CHARS]}…", reference)


def _from_json(body: bytes) -> str | None:
    try:
        data = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    if isinstance(data, str):
        return data
    if not isinstance(data, dict):
        return None
    lower: dict[str, Any] = {str(key).lower(): value for key, value in data.items()}
    parts = [value for key in _TEXT_KEYS if isinstance(value := lower.get(key), str) and value.strip()]
    text = parts[0] if parts else ""
    if code := lower.get("exceptionfaultcode"):
        text = f"{text} ({code})" if text else f"fault {code}"
    details = lower.get("details")
    if isinstance(details, list):
        text = "; ".join(filter(None, [text, *map(_detail, details[:5])]))
    return text


def _detail(item: Any) -> str:
    if not isinstance(item, dict):
        return ""
    parameters = item.get("parameters")
    place = parameters.get("property", "") if isinstance(parameters, dict) else ""
    words = [str(item[key]) for key in ("code", "message") if item.get(key)]
    return " ".join([*([f"{place}:"] if place else []), *words])

"""Reads the body of an error response, in any of the shapes that the services use (docs/facts.md 11). Pure."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any, Final

import attrs
import msgspec

from vismanet_async._http.charset import charset_in, decoded

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["KEPT_HEADERS", "Problem", "read_problem", "unwrapped"]

KEPT_HEADERS: Final = (
    "Content-Type",
    "Date",
    "ETag",
    "Ipp-Request-Id",
    "Request-Context",
    "Retry-After",
    "X-RateLimit-Limit",
    "X-RateLimit-Policy",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
)
"""The allow-list of headers that errors contain."""

_DETAIL_CHARS: Final = 300
_VISMA_ID: Final = re.compile(r"\bVismaId:\s*([0-9a-fA-F-]{36})\.?\s*")
_TEXT_KEYS: Final = (
    "exceptionmessage",  # before message, which then is "An error has occurred."
    "message",
    "detail",
    "title",
    "error_description",
    "error",
    "errorinfo",
)
_HTML: Final = re.compile(r"<(style|script)\b.*?</\1\s*>|<[^>]{1,500}>", re.DOTALL | re.IGNORECASE)
_DETAILS: Final = 5
_REFERENCE_CHARS: Final = 200


@attrs.frozen
class Problem:
    """The server's error text and the reference that Visma's support asks for."""

    detail: str
    reference: str | None


def read_problem(headers: Mapping[str, str], body: bytes) -> Problem:
    """Return the problem in an error body: JSON of several shapes, HTML from a gateway, plain text, or nothing.

    Examples:
        >>> read_problem({}, b'{"ExceptionMessage":"No license for this company.","ExceptionFaultCode":"12027"}').detail
        'No license for this company. (12027)'
    """
    reference = _plain(headers.get("Ipp-Request-Id") or headers.get("Request-Context") or "")[:_REFERENCE_CHARS] or None
    charset = charset_in(headers.get("Content-Type"), body)
    if charset is not None:
        body = decoded(body, charset).encode("utf-8", "replace")
    text = _from_json(body)
    if text is None:
        raw = body[: 8 * _DETAIL_CHARS].decode("utf-8", "replace")
        text = html.unescape(_HTML.sub(" ", raw)) if "<" in raw else raw
    found = _VISMA_ID.search(text)
    if found:
        reference = found.group(1)
        text = _VISMA_ID.sub("", text)
    text = _plain(text)
    return Problem(text if len(text) <= _DETAIL_CHARS else f"{text[:_DETAIL_CHARS]}…", reference)


def unwrapped(value: Any) -> Any:
    """Return what a `{"value": ...}` holds; anything else as it is.

    Examples:
        >>> unwrapped({"value": {"value": 1}}), unwrapped({"value": 1, "name": 2})
        (1, {'value': 1, 'name': 2})
    """
    while isinstance(value, dict) and value.keys() == {"value"}:
        value = value["value"]
    return value


def _plain(text: str) -> str:
    """Return the text in one line, without control characters and escape sequences."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def _from_json(body: bytes) -> str | None:
    try:
        data = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    data = unwrapped(data)
    if isinstance(data, list) and data and isinstance(unwrapped(data[0]), dict):
        data = unwrapped(data[0])
    if isinstance(data, str):
        return data
    if not isinstance(data, dict):
        return None
    if isinstance(data.get("error"), dict):
        data = {**data, **data["error"]}
    lower: dict[str, Any] = {str(key).lower(): unwrapped(value) for key, value in data.items()}
    parts = [value for key in _TEXT_KEYS if isinstance(value := lower.get(key), str) and value.strip()]
    text = parts[0] if parts else ""
    if code := lower.get("exceptionfaultcode"):
        text = f"{text} ({code})" if text else f"fault {code}"
    details, errors = lower.get("details"), lower.get("errors")
    more = [_detail(item) for item in details[:_DETAILS]] if isinstance(details, list) else []
    if isinstance(errors, dict):
        more += [f"{place}: {_words(said)}" for place, said in list(errors.items())[:_DETAILS]]
    return "; ".join(filter(None, [text, *more]))


def _words(said: Any) -> str:
    return " ".join(map(str, said[:_DETAILS])) if isinstance(said, list) else str(said)


def _detail(item: Any) -> str:
    if not isinstance(item, dict):
        return ""
    parameters = item.get("parameters")
    place = parameters.get("property", "") if isinstance(parameters, dict) else ""
    words = [str(item[key]) for key in ("code", "message") if item.get(key)]
    return " ".join([*([f"{place}:"] if place else []), *words])

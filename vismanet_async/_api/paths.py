"""Ids in paths, on the way out and on the way in."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_to_bytes, urlsplit
from uuid import UUID

from vismanet_async._http.charset import header_text
from vismanet_async._names import beside
from vismanet_async.errors import RequestRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Id", "fill", "id_in", "ids_in"]

Id = str | int | UUID

_PLACE = re.compile(r"\{([^}]+)\}")
# Raw they break the route, and gateways refuse several of them percent-encoded too (docs/facts.md 5)
_RESERVED = frozenset(":/?#[]@&*+;%\\")
# The ids of nearly all records: they go as they are
_PLAIN = re.compile(r"(?!b64\()\w[\w.-]*", re.ASCII)
_B64 = re.compile(r"b64\(([A-Za-z0-9_=-]*)\)")


def fill(template: str, ids: Sequence[Id]) -> str:
    """Fill ids into a path template, in order.

    An id with a reserved character goes as `b64(<base64url>)`, others are percent-encoded.

    Raises:
        RequestRefused: an id is empty or not one; nothing was sent.

    Examples:
        >>> fill("/v1/inventory/{inventoryNumber}", [":/?#[]@&*+;"]), fill("/v1/customer/{customerCd}", ["10 å"])
        ('/v1/inventory/b64(Oi8_I1tdQCYqKzs)', '/v1/customer/10%20%C3%A5')
    """
    path, places = _places(template)
    for value, (name, after) in zip(ids, places, strict=True):
        path = f"{path}{_encoded(value, name)}{after}"
    return path


@lru_cache(maxsize=1024)  # as many as the catalog has, and more
def _places(template: str) -> tuple[str, list[tuple[str, str]]]:
    """Return what stands before the first id, and of each id its name and what stands behind it."""
    before, *rest = _PLACE.split(template)
    return before, list(zip(rest[::2], rest[1::2], strict=True))


def _encoded(value: Id, name: str) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return str(value)
    if isinstance(value, bool) or not isinstance(value, str | int | UUID):
        raise RequestRefused(f"{beside(name)} takes text, not {type(value).__name__}; nothing was sent.")
    text = str(value)
    if not text.strip():
        raise RequestRefused(f"{beside(name)} is empty, so the path would name something else; nothing was sent.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RequestRefused(f"{beside(name)} holds half of a surrogate pair ({text!a}); nothing was sent.") from None
    if _RESERVED & set(text) or text in {".", ".."} or text.startswith("b64("):
        return f"b64({urlsafe_b64encode(text.encode()).rstrip(b'=').decode()})"
    return quote(text, safe="")


def ids_in(location: str, template: str) -> tuple[str, ...]:
    """Return the ids in a Location header, whose host and prefix are not to be trusted (docs/facts.md 1).

    Args:
        location: the header; absolute or not, of any version of the API.
        template: the path of the operation that answered; what follows its last fixed part is the id.

    Examples:
        >>> ids_in("http://integration.visma.net/API/controller/api/v2/customerinvoice/000123", "/v1/customerInvoice")
        ('000123',)
        >>> ids_in("https://api.finance.visma.net/v1/kitassembly/P/b64(Oi8_)", "/v1/kitassembly")
        ('P', ':/?')
    """
    try:
        path = urlsplit(header_text(location)).path
    except ValueError:  # brackets that hold no address; the record was made all the same
        return ()
    parts = [part for part in path.split("/") if part]
    there = [_unquoted(part).lower() for part in parts]
    fixed = [part.lower() for part in template.split("/")[2:]]  # without the version
    for start in range(len(parts) - len(fixed) + 1):
        if all(one.startswith("{") or one == there[start + i] for i, one in enumerate(fixed)):
            return tuple(map(id_in, parts[start + len(fixed) :]))
    return tuple(map(id_in, parts[-1:]))


def id_in(part: str) -> str:
    """Return the id that a part of a path is.

    Examples:
        >>> id_in("10%20%C3%A5"), id_in("b64(Oi8_)")
        ('10 å', ':/?')
    """
    text = _unquoted(part)
    match = _B64.fullmatch(text)
    if match is None:
        return text
    try:
        return urlsafe_b64decode(match[1] + "=" * (-len(match[1]) % 4)).decode()
    except (Error, UnicodeDecodeError):
        return text


def _unquoted(part: str) -> str:
    raw = unquote_to_bytes(part)
    try:
        return raw.decode()
    except UnicodeDecodeError:  # old servers percent-encode Latin-1
        return raw.decode("latin-1")

"""Text in the character set that its sender used, not only in the one that the standards ask for. Pure."""

from __future__ import annotations

import codecs
import re
from typing import Final

__all__ = ["charset_in", "decoded", "header_text"]

_CHARSET: Final = re.compile(r"""charset\s*=\s*["']?([\w.:-]{1,40})""", re.IGNORECASE)
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_OF_TEXT: Final = (
    "ascii",
    "big5",
    "cp",
    "euc",
    "gb",
    "iso8859",
    "koi8",
    "mac",
    "shift_jis",
    "utf-8",
    "utf-16",
    "utf-32",
)
"""Beginnings of Python's names of character sets; it has codecs of other kinds under names of the same form."""
_USUAL: Final = "utf-8"


def charset_in(content_type: str | None, body: bytes) -> str | None:
    """Return the character set to decode a body with; None for UTF-8.

    A byte order mark wins over the content type, and so does valid UTF-8: many servers name a set that they do not use.

    Examples:
        >>> charset_in("text/plain; charset=iso-8859-1", "å".encode("latin-1")), charset_in("text/plain", b"abc")
        ('iso8859-1', None)
    """
    for mark, name in _MARKS:
        if body.startswith(mark):
            return name
    named = _known(content_type)
    if named is not None and named.startswith(("utf-16", "utf-32")):
        return named
    try:
        body.decode()
    except UnicodeDecodeError:
        return named if named not in {None, _USUAL} else None
    return None


def decoded(body: bytes, charset: str | None) -> str:
    """Return text in a character set, in UTF-8 where it is None; what does not fit becomes the replacement mark."""
    return body.decode(charset or _USUAL, "replace")


def header_text(value: str) -> str:
    r"""Return a header's text, its bytes read as Latin-1 where they are no UTF-8.

    aiohttp hands such bytes on as halves of surrogate pairs (PEP 383), which nothing accepts later.

    Examples:
        >>> header_text("/v1/customer/\udcc5S"), header_text("/v1/customer/ÅS")
        ('/v1/customer/ÅS', '/v1/customer/ÅS')
    """
    if value.isascii():
        return value
    try:
        raw = value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # halves that no byte stands for
        return value.encode("utf-8", "replace").decode()
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _known(content_type: str | None) -> str | None:
    match = _CHARSET.search(content_type or "")
    if match is None:
        return None
    try:
        name = codecs.lookup(match[1]).name
    except (LookupError, ValueError):
        return None
    return name if name.startswith(_OF_TEXT) else None

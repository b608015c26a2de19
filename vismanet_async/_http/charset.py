"""Decodes text in the character set that its sender used, which may differ from the standards. Pure."""

from __future__ import annotations

import codecs
import re
from functools import lru_cache
from typing import Final

__all__ = ["charset_in", "decoded", "header_text", "says_utf8"]

_CHARSET: Final = re.compile(r"""charset\s*=\s*["']?([\w.:-]{1,40})""", re.IGNORECASE)
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_FIRST_OF_MARKS: Final = tuple({mark[:1] for mark, _ in _MARKS})
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
"""Prefixes of Python's names of character sets; Python has other codecs under similar names."""
_USUAL: Final = "utf-8"


def charset_in(content_type: str | None, body: bytes) -> str | None:
    """Return the character set to decode a body with; None for UTF-8.

    A byte order mark takes precedence over the content type, and so does valid UTF-8: many servers declare a character
    set that they do not use.

    Examples:
        >>> charset_in("text/plain; charset=iso-8859-1", "å".encode("latin-1")), charset_in("text/plain", b"abc")
        ('iso8859-1', None)
    """
    if body.startswith(_FIRST_OF_MARKS):
        for mark, name in _MARKS:
            if body.startswith(mark):
                return name
    named = _known(content_type)
    if named is None or named == _USUAL or named.startswith(("utf-16", "utf-32")):
        return None if named == _USUAL else named
    try:
        body.decode()
    except UnicodeDecodeError:
        return named
    return None


def says_utf8(content_type: str | None, body: bytes | bytearray) -> bool:
    """Return whether neither header nor byte order mark say that a body is something else; it is not looked through.

    Examples:
        >>> says_utf8("application/json", b"[]"), says_utf8("text/json; charset=latin1", b"[]")
        (True, False)
    """
    if any(body.startswith(mark) for mark, name in _MARKS if name != "utf-8-sig"):
        return False
    return content_type is None or "charset" not in content_type.lower() or _known(content_type) in {None, _USUAL}


def decoded(body: bytes, charset: str | None) -> str:
    """Return the text of a body; None means UTF-8, and invalid bytes become the replacement mark."""
    return body.decode(charset or _USUAL, "replace")


def header_text(value: str) -> str:
    r"""Return a header's text; bytes that are not UTF-8 are decoded as Latin-1.

    aiohttp represents such bytes as halves of surrogate pairs (PEP 383), which later code does not accept.

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


@lru_cache(maxsize=32)  # servers have a few
def _known(content_type: str | None) -> str | None:
    match = _CHARSET.search(content_type or "")
    if match is None:
        return None
    try:
        name = codecs.lookup(match[1]).name
    except (LookupError, ValueError):
        return None
    return name if name.startswith(_OF_TEXT) else None

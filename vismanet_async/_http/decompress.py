"""Decompresses response bodies (docs/facts.md 1.12) piece by piece. No IO.

ISA-L is a drop-in replacement for zlib and three times as fast. zlib is used on processors that it does not support.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["SUPPORTED", "DecompressError", "declared_size", "encoding_of", "iter_decompressed"]

SUPPORTED: Final = frozenset({"gzip", "x-gzip", "deflate"})
"""Content encodings that can be decompressed."""
_NO_EFFECT: Final = re.compile(
    r"|identity|none|binary|[78]bit|utf-?(8|16|32)|(us-)?ascii|latin-?1|iso-?8859-\d+|windows-125\d"
)
"""Content encodings without an effect, and character sets that some servers name there by mistake."""
_PIECE_BYTES: Final = 8 * 1024
"""Of the compressed body. A piece expands at most 1,032 times. A piece of a page expands to what fits into the
processor's cache, in memory that the allocator reuses; decompressing a page in one piece takes 50 % longer."""
_PLAIN_PIECE_BYTES: Final = 64 * 1024
_JSON_STARTS: Final = (b"{", b"[", b'"', b"\xef\xbb\xbf")
_GZIP_MIN_BYTES: Final = 18
"""Header and trailer."""
_ANY_HEADER: Final = zlib.MAX_WBITS | 32
_NO_HEADER: Final = -zlib.MAX_WBITS


def _fastest() -> Any:
    try:
        from isal import isal_zlib  # noqa: PLC0415 - in a function, so that a test can hide it
    except ImportError:
        return zlib
    return isal_zlib


_library: Final = _fastest()


class DecompressError(Exception):
    """The body is damaged, ends early, or has another encoding than declared."""


def encoding_of(headers: Iterable[str]) -> str:
    """Return the content encoding: one of `SUPPORTED`, "" for none, or whatever else the headers name.

    Args:
        headers: the values of `Content-Encoding`, each of which may be a list.

    Examples:
        >>> encoding_of(["gzip, identity"]), encoding_of(["UTF-8"]), encoding_of(["br"])
        ('gzip', '', 'br')
    """
    named = [name.strip().lower() for value in headers for name in value.split(",")]
    return ", ".join(name for name in named if not _NO_EFFECT.fullmatch(name))


def declared_size(body: bytes, encoding: str) -> int:
    """Return the decompressed size that a gzip body declares in its last bytes (RFC 1952); 0 if it declares none.

    It cannot be trusted: it is wrong for bodies of several members, from 4 GiB on, and for forged ones.
    """
    return (
        0
        if encoding == "deflate" or len(body) < _GZIP_MIN_BYTES or body.startswith(_JSON_STARTS)
        else int.from_bytes(body[-4:], "little")
    )


def iter_decompressed(body: bytes, encoding: str) -> Iterator[bytes]:
    """Yield the decompressed body in small pieces; some may be empty.

    Args:
        body: the whole body.
        encoding: one of `SUPPORTED`.

    Raises:
        DecompressError: while iterating; the pieces yielded before must not be used either.

    Examples:
        >>> import gzip
        >>> body = gzip.compress(b"0123456789")
        >>> b"".join(iter_decompressed(body, "gzip")), declared_size(body, "gzip")
        (b'0123456789', 10)
    """
    if encoding != "deflate" and body.startswith(_JSON_STARTS):
        # a proxy has decompressed it and left the header; no gzip body begins like this
        yield from (body[start : start + _PLAIN_PIECE_BYTES] for start in range(0, len(body), _PLAIN_PIECE_BYTES))
        return
    wbits = _NO_HEADER if encoding == "deflate" and not _has_zlib_header(body) else _ANY_HEADER
    remaining = memoryview(body)
    decompressor = _library.decompressobj(wbits)
    while remaining:
        piece = remaining[:_PIECE_BYTES]
        try:
            yield decompressor.decompress(piece)
        except (zlib.error, _library.error) as error:
            raise DecompressError(str(error)) from None
        remaining = remaining[len(piece) - len(decompressor.unused_data) :]
        if decompressor.eof and not _has_more(remaining):
            break
        if decompressor.eof:  # a gzip body may have several members
            decompressor = _library.decompressobj(wbits)
    if not decompressor.eof:
        raise DecompressError("it ends early")


def _has_more(remaining: memoryview) -> bool:
    """Return whether anything but padding with zeros follows."""
    return bool(remaining) and (remaining[0] != 0 or bool(remaining.tobytes().strip(b"\0")))


def _has_zlib_header(body: bytes) -> bool:
    """Return whether a deflate body has its zlib header (RFC 1950); some servers leave it out."""
    return len(body) > 1 and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0  # noqa: PLR2004

"""Whether a file came as base64, and decoding it (docs/facts.md 9.4). No network.

The documentation of the API says base64, clients in use got bytes. Text of letters and digits proves nothing: payment
files and code lists look like that too. So a file is decoded only where something says that it is encoded: the caller,
a header, a size that only the decoded file has, the content type, or a beginning that the file must have and only the
decoded file has.
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vismanet_async._http.message import UTF8_BOM

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["Base64Watch", "NotBase64Error", "decoded_pieces"]

_SPACE: Final = b" \t\r\n"
_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=" + _SPACE
_OF_JSON: Final = b'"\\'
"""What a JSON string has besides."""
_ESCAPES: Final = ((b"\\/", b"/"), (b"\\u002b", b"+"), (b"\\u002B", b"+"), (b"\\u002f", b"/"), (b"\\u002F", b"/"),
                   (b"\\u003d", b"="), (b"\\u003D", b"="), (b"\\r", b""), (b"\\n", b""))  # fmt: skip
"""How writers of JSON escape base64, .NET's own among them."""
_LONGEST_ESCAPE: Final = 6
_HEAD_BYTES: Final = 256
_ZIP: Final = (b"PK\x03\x04",)
_OLE: Final = (b"\xd0\xcf\x11\xe0",)
_TIFF: Final = (b"II*\0", b"MM\0*")
_JPEG: Final = (b"\xff\xd8\xff",)
_BEGINNINGS: Final = {
    "pdf": (b"%PDF",), "png": (b"\x89PNG",), "gif": (b"GIF8",), "jpg": _JPEG, "jpeg": _JPEG, "tif": _TIFF,
    "tiff": _TIFF, "zip": _ZIP, "docx": _ZIP, "xlsx": _ZIP, "pptx": _ZIP, "doc": _OLE, "xls": _OLE, "msg": _OLE,
    "xml": (b"<?xml", UTF8_BOM + b"<?xml"),
}  # fmt: skip
"""How files of a kind begin, by extension."""
_BINARY: Final = tuple(mark for kind, marks in _BEGINNINGS.items() if kind != "xml" for mark in marks)
_SIZE: Final = re.compile(r";\s*size\s*=\s*\"?(\d{1,15})\"?", re.IGNORECASE | re.ASCII)


class NotBase64Error(ValueError):
    """The text is no base64, or not whole."""


class Base64Watch:
    """Decides, while a file comes in, whether it is the file or its base64.

    Args:
        headers: of the answer.
        name: the file's own, if told.
        wanted: what the caller says; None leaves it to the answer.
    """

    def __init__(self, headers: Mapping[str, str], name: str | None, *, wanted: bool | None = None) -> None:
        kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        self._suffix = Path(name or "").suffix.lower().removeprefix(".")
        self._json = "json" in kind and self._suffix != "json"
        self._kinds = {self._suffix, kind.rpartition("/")[2]} & _BEGINNINGS.keys()
        self._is_unnamed = name is None and ("json" in kind or kind in {"", "application/octet-stream", "text/plain"})
        self._by_header = headers.get("Content-Transfer-Encoding", "").strip().lower() == "base64"
        told = _SIZE.search(headers.get("Content-Disposition", ""))
        self._told_bytes = int(told[1]) if told else None
        self._wanted = wanted
        self._head = b""
        self._is_possible = True
        self._bytes = self._quotes = 0
        self._ends_in = b""
        self.decoded_bytes: int | None = None
        """How large it is when decoded; None while that is not known."""

    def look(self, chunk: bytes) -> None:
        """Decode the next piece."""
        self._bytes += len(chunk)
        self._quotes += chunk.count(b'"')
        self._ends_in = chunk.rstrip(_SPACE)[-1:] or self._ends_in
        if len(self._head) < _HEAD_BYTES:
            before = len(self._head)
            self._head += chunk[: _HEAD_BYTES - before]
            chunk = self._head.removeprefix(UTF8_BOM[: len(self._head)]) + chunk[_HEAD_BYTES - before :]
        if self._is_possible:
            self._is_possible = not chunk.translate(None, _ALPHABET + _OF_JSON)

    def reason(self) -> str | None:
        """Return what says that the file came as base64; None where it is to stay as it came."""
        if self._wanted is not None:
            return "the caller" if self._wanted else None
        if not self._is_possible or not self._bytes or self._told_bytes == self._bytes:
            return None
        is_string = self._quotes == 2 and self._ends_in == self._head.removeprefix(UTF8_BOM).lstrip()[:1] == b'"'  # noqa: PLR2004
        if self._quotes and not is_string:
            return None
        found = None
        if self._by_header:
            found = "the header Content-Transfer-Encoding"
        elif self._told_bytes is not None and self._told_bytes == self.decoded_bytes:
            found = "the size in Content-Disposition"
        elif self._json and is_string:
            found = "the content type"
        elif not is_string and self._begins_as_it_must():
            found = "the beginning of the decoded file"
        return found

    def wrong_size(self) -> str | None:
        """Return how many bytes came, where Content-Disposition tells another size for the file and for its base64."""
        if self._told_bytes in {None, self._bytes, self.decoded_bytes} or (
            self._wanted is False and self._is_possible  # left as it came: the size may be that of the decoded file
        ):
            return None
        return f"{self._bytes:,} bytes came, and the file has {self._told_bytes:,}"

    @property
    def wants_size(self) -> bool:
        """Whether the decoded size may decide."""
        return self._wanted is None and self._is_possible and self._told_bytes not in {None, self._bytes}

    @property
    def insists(self) -> bool:
        """Whether the caller said that it is base64."""
        return bool(self._wanted)

    def _begins_as_it_must(self) -> bool:
        marks = tuple(mark for kind in self._kinds for mark in _BEGINNINGS[kind]) or _BINARY * self._is_unnamed
        text = b"".join(self._head.split())
        try:
            begin = b64decode(text[: len(text) // 4 * 4])
        except (Error, ValueError):
            return False
        return bool(marks) and begin.startswith(marks) and not self._head.startswith(marks)


def decoded_pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield what base64 stands for, in pieces; a JSON string of base64 as well.

    Raises:
        NotBase64Error: while iterating; what came before is not to be used either.
    """
    rest, is_first, has_ended = b"", True, False
    for chunk in chunks:
        text = rest + chunk
        if is_first and len(text) >= len(UTF8_BOM):
            text, is_first = text.removeprefix(UTF8_BOM), False
        text, rest = _whole_groups(text)
        if text and has_ended:
            raise NotBase64Error("it goes on behind its end")
        has_ended = text.endswith(b"=") or has_ended
        yield _decoded(text)
    text = _bare(rest.removeprefix(UTF8_BOM) if is_first else rest)
    if text and has_ended:
        raise NotBase64Error("it goes on behind its end")
    yield _decoded(text)


def _whole_groups(text: bytes) -> tuple[bytes, bytes]:
    """Split text into bare base64 in groups of four characters, and the rest as it came."""
    cut = text.rfind(b"\\", -_LONGEST_ESCAPE)
    held = b"" if cut < 0 else text[cut:]
    bare = _bare(text if cut < 0 else text[:cut])
    whole = len(bare) // 4 * 4
    return bare[:whole], bare[whole:] + held


def _bare(text: bytes) -> bytes:
    if b"\\" in text:
        for escape, plain in _ESCAPES:
            text = text.replace(escape, plain)
    return text.translate(None, _SPACE + b'"')


def _decoded(text: bytes) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (Error, ValueError) as error:
        raise NotBase64Error(str(error)) from None

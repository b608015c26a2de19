"""The rows of a page as JSON lines: in place where the page allows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from vismanet_async._paging.row_scanner import Rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vismanet_async._paging.row_scanner import RawRow

__all__ = ["lines_of"]

_NEWLINE: Final = 0x0A


def lines_of(rows: Sequence[RawRow], body: bytes | bytearray | None) -> memoryview | bytes:
    """Return rows as lines: in place if they are all rows of a compact page, else joined.

    Args:
        rows: of one page, at least one.
        body: the answer that contains them, if they are all of its rows in its order. If it is a bytearray, commas
            between the rows become newlines there.
    """
    if not isinstance(rows, Rows) or rows.body is not body or _has_line_break(rows.body, rows.end):
        return _joined(rows)
    lines = rows.body if isinstance(rows.body, bytearray) else bytearray(rows.body)
    for start in rows.starts:
        lines[start - 1] = _NEWLINE
    lines[rows.end] = _NEWLINE
    return memoryview(lines)[1 : rows.end + 1]


def _has_line_break(text: bytes | bytearray, end: int) -> bool:
    return text.find(b"\n", 0, end) >= 0 or text.find(b"\r", 0, end) >= 0


def _joined(rows: Sequence[RawRow]) -> bytes:
    lines = b"\n".join([*rows, b""])
    if lines.count(b"\n") == len(rows) and b"\r" not in lines:
        return lines
    return b"\n".join([*map(_one_line, rows), b""])


def _one_line(row: RawRow) -> bytes:
    """Return a record without whitespace between tokens if it contains line breaks; else unchanged."""
    text = bytes(row)
    return msgspec.json.format(text, indent=-1) if _has_line_break(text, len(text)) else text

"""JSON lines: one record a line, the very bytes that the server sent.

Nothing is decoded. A compact page needs one copy into a kept buffer, where the commas between its records
become newlines; other pages are joined from their records. Numbers keep every digit and keys their order.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, BinaryIO, ClassVar

import attrs
import msgspec

from vismanet_async.export.files import writing
from vismanet_async.export.sinks import Written
from vismanet_async.export.sinks.parts import DEFAULT_PART_BYTES, Compressor, OpenPart, PartSink
from vismanet_async.paging.rows import Rows, lengths as row_lengths

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vismanet_async.export.sinks import Page
    from vismanet_async.paging.rows import RawRow

__all__ = ["DEFAULT_PART_BYTES", "JsonlSink", "LinedPage", "json_lines"]

_NEWLINE = 0x0A
_WHITESPACE = b" \t\r\n"


class JsonlSink(PartSink[OpenPart]):
    """Write `directory/part-NNNNN.jsonl`; a part begins and ends with a page."""

    extension: ClassVar[str] = "jsonl"

    def __init__(self, directory: Path, *, part_bytes: int = DEFAULT_PART_BYTES) -> None:
        super().__init__(directory, part_bytes=part_bytes)
        self._buffer = bytearray()

    def write(self, page: Page, /) -> Written | None:
        """Write a page's rows, and complete the part when it is large enough."""
        if not page.rows:
            return None
        with writing(self._directory):
            part = self._part()
            start = part.bytes
            part.write(json_lines(page, buffer=self._buffer), rows=len(page.rows))
            self._rows += len(page.rows)
            written = Written(part.name, start, part.bytes, part.sha256)
            self._complete(from_bytes=self._part_bytes)
        return written

    def _begin(self, path: Path) -> OpenPart:
        return OpenPart(path, compressor=self._compressor())

    def _copy(self, path: Path, part: OpenPart, *, without: set[int]) -> None:
        with self._reading(path) as file:
            for number, line in enumerate(file):
                if number not in without:
                    part.write(line, rows=1)

    def _compressor(self) -> Compressor | None:
        return None

    def _reading(self, path: Path) -> BinaryIO:
        return path.open("rb")


@attrs.frozen
class LinedPage:
    """A page whose rows are lines already: they are made once for sinks that all want them."""

    rows: Sequence[RawRow]
    body: bytes | None
    lines: memoryview | bytes
    """Only until the sinks return."""


def json_lines(page: Page, *, buffer: bytearray) -> memoryview | bytes:
    """Give each row of a page a line: in place where they are all of a compact page, else joined.

    Args:
        page: with at least one row.
        buffer: what the result may be a view of; grows as needed.
    """
    if isinstance(page, LinedPage):
        return page.lines
    body, rows = page.body, page.rows
    if isinstance(rows, Rows) and rows.body is body and not _has_line_break(rows.body, rows.end):
        # found by their seams, so the page is compact: an opening bracket, and a comma between every two rows
        view = _copied(rows.body, rows.end + 1, buffer)
        for start in rows.starts:
            buffer[start - 1] = _NEWLINE
        buffer[rows.end] = _NEWLINE
        return view[1:]
    end = 0 if body is None else _content_end(body)
    lengths = [length + 1 for length in row_lengths(rows)]
    # Two brackets, a comma between every two rows, and not a byte more: no whitespace, nothing left out.
    if body is None or sum(lengths) + 1 != end or body[:1] != b"[" or _has_line_break(body, end):
        return _joined(rows)
    view = _copied(body, end, buffer)
    for comma in accumulate(lengths):
        buffer[comma] = _NEWLINE
    return view[1:]


def _copied(body: bytes, end: int, buffer: bytearray) -> memoryview:
    """Copy the body up to there into the buffer, which grows as needed."""
    text = memoryview(body)[:end]
    known = min(len(buffer), end)
    buffer += text[known:]
    view = memoryview(buffer)[:end]
    view[:known] = text[:known]
    return view


def _content_end(body: bytes) -> int:
    end = len(body)
    while end and body[end - 1] in _WHITESPACE:
        end -= 1
    return end


def _has_line_break(text: bytes, end: int) -> bool:
    return text.find(b"\n", 0, end) >= 0 or text.find(b"\r", 0, end) >= 0


def _joined(rows: Sequence[RawRow]) -> bytes:
    lines = b"\n".join([*rows, b""])
    if lines.count(b"\n") == len(rows) and b"\r" not in lines:
        return lines
    return b"\n".join([*map(_one_line, rows), b""])


def _one_line(row: RawRow) -> bytes:
    """Take the whitespace between a record's tokens away if it breaks the line; no other byte of it changes."""
    text = bytes(row)
    return msgspec.json.format(text, indent=-1) if _has_line_break(text, len(text)) else text

"""JSON lines: one record a line, the very bytes that the server sent.

Nothing is decoded. A compact page needs one copy into a kept buffer, where the commas between its records
become newlines; other pages are joined from their records. Numbers keep every digit and keys their order.
"""

from __future__ import annotations

import hashlib
import os
from bisect import bisect_right
from itertools import accumulate, groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import attrs
import msgspec

from vismanet_async.export.files import sync_directory, write_all, writing
from vismanet_async.export.manifest import Part
from vismanet_async.export.sinks import FINAL, Written
from vismanet_async.paging.rows import lengths as row_lengths

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from vismanet_async.export.sinks import Page
    from vismanet_async.paging.rows import RawRow

__all__ = ["DEFAULT_PART_BYTES", "JsonlSink"]

DEFAULT_PART_BYTES = 128 * 1024 * 1024
"""The first page that brings a part here closes it: few files, yet each small enough to sync meanwhile."""

_NEWLINE = 0x0A
_WHITESPACE = b" \t\r\n"


class JsonlSink:
    """Write `directory/part-NNNNN.jsonl`, at first as `.tmp`.

    A part begins and ends with a page, so that the same pages in the same order give the same files.
    """

    extension = "jsonl"

    def __init__(self, directory: Path, *, part_bytes: int = DEFAULT_PART_BYTES) -> None:
        self._directory = directory
        self._part_bytes = part_bytes
        self._buffer = bytearray()
        self._parts: list[Part] = []
        self._open: _OpenPart | None = None
        self._rows = 0

    @property
    def rows(self) -> int:
        """Rows written so far."""
        return self._rows

    def write(self, page: Page) -> Written | None:
        """Write a page's rows, and complete the part when it is large enough."""
        rows = page.rows
        if not rows:
            return None
        with writing(self._directory):
            part = self._open = self._open or self._next_part()
            start = part.bytes
            part.write(self._lines(page.body, rows), rows=len(rows))
            self._rows += len(rows)
            written = Written(part.name, start, part.bytes, part.sha256)
            if part.bytes >= self._part_bytes:
                self._complete()
        return written

    def finish(self, *, dropped: Iterable[int] = ()) -> tuple[Part, ...]:
        """Complete the last part, take the dropped rows out, and give all parts."""
        with writing(self._directory):
            if self._open is None and not self._parts:
                self._open = self._next_part()
            if self._open is not None:
                self._complete()
            for index, lines in _by_part(dropped, self._parts):
                self._parts[index] = self._without(self._parts[index], lines)
            sync_directory(self._directory)
        return tuple(self._parts)

    def close(self) -> None:
        """Close the part being written, as it is."""
        part, self._open = self._open, None
        if part is not None:
            part.close()

    def _next_part(self) -> _OpenPart:
        self._directory.mkdir(parents=True, exist_ok=True)
        return _OpenPart(self._directory / f"part-{len(self._parts):05}.{self.extension}")

    def _complete(self) -> None:
        if self._open is not None:
            self._parts.append(self._open.complete())
            self._open = None

    def _lines(self, body: bytes | None, rows: Sequence[RawRow]) -> memoryview | bytes:
        """Give the rows as lines: in place where they are all of a compact page, else joined."""
        end = 0 if body is None else _content_end(body)
        lengths = [length + 1 for length in row_lengths(rows)]
        # Two brackets, a comma between every two rows, and not a byte more: no whitespace, nothing left out.
        if body is None or sum(lengths) + 1 != end or body[:1] != b"[" or _has_line_break(body, end):
            return _joined(rows)
        if len(self._buffer) < end:
            self._buffer = bytearray(end)
        buffer, view = self._buffer, memoryview(self._buffer)
        view[:end] = memoryview(body)[:end]
        for comma in accumulate(lengths):
            buffer[comma] = _NEWLINE
        return view[1:end]

    def _without(self, part: Part, lines: set[int]) -> Part:
        path = self._directory / Path(part.file).name
        final = self._directory / FINAL
        final.mkdir(exist_ok=True)
        smaller = _OpenPart(final / path.name)
        try:
            with path.open("rb") as file:
                for number, line in enumerate(file):
                    if number not in lines:
                        smaller.write(line, rows=1)
            return attrs.evolve(smaller.complete(), file=part.file)
        finally:
            smaller.close()


class _OpenPart:
    """A part being written under a temporary name, hashed on the way."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._temporary = path.with_name(f"{path.name}.tmp")
        self._file: BinaryIO = self._temporary.open("wb", buffering=0)
        self._digest = hashlib.sha256()
        self.bytes = 0
        self.rows = 0

    def write(self, lines: memoryview | bytes, *, rows: int) -> None:
        view = memoryview(lines)
        self._digest.update(view)  # hash and write both let other threads run
        self.bytes += len(view)
        self.rows += rows
        write_all(self._file, view)

    def complete(self) -> Part:
        """Sync it and give it its name."""
        with self._file:
            os.fsync(self._file.fileno())
        self._temporary.replace(self._path)
        return Part(
            file=f"{self._path.parent.name}/{self._path.name}",
            rows=self.rows,
            bytes=self.bytes,
            sha256=self._digest.hexdigest(),
        )

    def close(self) -> None:
        self._file.close()

    @property
    def name(self) -> str:
        return self._path.name

    @property
    def sha256(self) -> str:
        return self._digest.copy().hexdigest()


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


def _by_part(numbers: Iterable[int], parts: Sequence[Part]) -> Iterator[tuple[int, set[int]]]:
    """Find the part of each row: pairs of part index and line numbers within it."""
    starts = [0, *accumulate(part.rows for part in parts)]

    def place(number: int) -> tuple[int, int]:
        index = bisect_right(starts, number) - 1
        return index, number - starts[index]

    for index, places in groupby(map(place, sorted(set(numbers))), key=itemgetter(0)):
        yield index, {line for _, line in places}

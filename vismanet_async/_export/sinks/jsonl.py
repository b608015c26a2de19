"""JSON lines: one record per line, byte for byte as the server sent it.

Nothing is decoded. In a compact page the commas between the records are replaced by newlines, in place; other pages are
joined from their records. Numbers keep every digit and keys their order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, ClassVar

import attrs

from vismanet_async._export.files import writing
from vismanet_async._export.sinks import Written
from vismanet_async._export.sinks.parts import DEFAULT_PART_BYTES, Compressor, OpenPart, PartSink
from vismanet_async._paging.row_lines import lines_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vismanet_async._export.sinks import Page
    from vismanet_async._paging.row_scanner import RawRow

__all__ = ["DEFAULT_PART_BYTES", "JsonLinesPage", "JsonlSink", "json_lines"]


class JsonlSink(PartSink[OpenPart]):
    """Write `directory/part-NNNNN.jsonl`; a part begins and ends with a page."""

    extension: ClassVar[str] = "jsonl"

    def write(self, page: Page, /) -> Written | None:
        """Write a page's rows, and complete the part when it is large enough."""
        if not page.rows:
            return None
        with writing(self._directory):
            part = self._part()
            start = part.bytes
            part.write(json_lines(page), rows=len(page.rows))
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
class JsonLinesPage:
    """A page whose rows are lines already, made once for several sinks."""

    rows: Sequence[RawRow]
    body: bytes | bytearray | None
    lines: memoryview | bytes
    """Valid until the sinks return."""


def json_lines(page: Page) -> memoryview | bytes:
    """Return the rows of a page with at least one, as lines; see `lines_of`."""
    return page.lines if isinstance(page, JsonLinesPage) else lines_of(page.rows, page.body)

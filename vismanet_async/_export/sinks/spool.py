"""The spool: the server's rows as JSON lines, beside files from which they cannot be read back."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, ClassVar

from vismanet_async._export.sinks.jsonl import JsonLinesPage, JsonlSink, json_lines

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from vismanet_async._export.sinks import Page, Sink, SinkNotes, Written
    from vismanet_async._export.target.manifest import Part

__all__ = ["SpooledSink"]


class SpooledSink:
    """Writes each page to a spool and to a sink; `write` returns where the rows are in the spool.

    A run is resumed with the answers that the stopped one wrote (`vismanet_async._export.checkpoint`). Parquet, CSV and
    compressed streams cannot be read back from the middle, so the rows are also written to the staging area, with as
    many bytes as an export to jsonl. They are removed when the export is published.
    """

    def __init__(self, sink: Sink, directory: Path) -> None:
        self._sink = sink
        self._spool = _Spool(directory, part_bytes=sys.maxsize)

    @property
    def rows(self) -> int:
        """Rows written so far."""
        return self._sink.rows

    @property
    def notes(self) -> SinkNotes:
        """What the sink could not write as it came."""
        return self._sink.notes

    def write(self, page: Page, /) -> Written | None:
        """Write the rows of a page, and return where they are in the spool."""
        if not page.rows:
            return None
        lined = JsonLinesPage(page.rows, page.body, json_lines(page))
        self._sink.write(lined)  # first: its threads can begin while the spool is written
        return self._spool.write(lined)

    def finish(self, *, dropped: Iterable[int] = ()) -> tuple[Part, ...]:
        """Complete the sink's parts and return them."""
        return self._sink.finish(dropped=dropped)

    def close(self) -> None:
        """Close both as they are."""
        self._spool.close()
        self._sink.close()


class _Spool(JsonlSink):
    stem: ClassVar[str] = "rows"

"""The spool: the server's rows as JSON lines beside files from which they could not be given again."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, ClassVar

from vismanet_async._export.sinks.jsonl import JsonLinesPage, JsonlSink, json_lines

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from vismanet_async._export.sinks import Page, Sink, Written
    from vismanet_async._export.target.manifest import Part

__all__ = ["SpooledSink"]


class SpooledSink:
    """Write each page to a spool and to a sink; tells where the rows are in the spool.

    A run that is stopped goes on by answering itself from what it has written (`vismanet_async._export.checkpoint`).
    Parquet, CSV and compressed streams cannot be read back from the middle, so the rows lie beside them as well, in
    the staging area, as many bytes as an export to jsonl has. They are removed when the export is published.
    """

    def __init__(self, sink: Sink, directory: Path) -> None:
        self._sink = sink
        self._spool = _Spool(directory, part_bytes=sys.maxsize)

    @property
    def rows(self) -> int:
        """Rows written so far."""
        return self._sink.rows

    def write(self, page: Page, /) -> Written | None:
        """Write a page's rows."""
        if not page.rows:
            return None
        lined = JsonLinesPage(page.rows, page.body, json_lines(page))
        self._sink.write(lined)  # at first: its threads can begin while the spool is written
        return self._spool.write(lined)

    def finish(self, *, dropped: Iterable[int] = ()) -> tuple[Part, ...]:
        """Complete the sink's parts and give them."""
        return self._sink.finish(dropped=dropped)

    def close(self) -> None:
        """Close both as they are."""
        self._spool.close()
        self._sink.close()


class _Spool(JsonlSink):
    stem: ClassVar[str] = "rows"

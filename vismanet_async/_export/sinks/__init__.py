"""Sinks: one for each output format.

A sink is blocking code with one caller at a time. `_export.resource_run` calls it in a worker thread, page by page in
the order of the list; a slow sink slows the reading down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import attrs

from vismanet_async._columns.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vismanet_async._export.target.manifest import Part
    from vismanet_async._paging.row_scanner import RawRow

__all__ = ["FINAL", "Page", "Sink", "SinkNotes", "Written"]

FINAL = "final"
"""The directory of parts that replace those beside it."""


class Page(Protocol):
    """What a sink needs of a page; the deliveries of a listing are pages."""

    @property
    def rows(self) -> Sequence[RawRow]:
        """The records to write, in order."""
        ...

    @property
    def body(self) -> bytes | bytearray | None:
        """The answer that contains the rows, if they are all of its rows in its order.

        The sink may change the bytes between the rows of a bytearray.
        """
        ...


@attrs.frozen
class Written:
    """Where the rows of a page were written."""

    file: str
    """The part's name within its resource."""
    start: int
    end: int
    """Its bytes there."""
    sha256: str
    """Of the part up to `end`."""


@attrs.define
class SinkNotes:
    """What a sink could not write as it came, by the numbers of the rows."""

    unfit: Tally = attrs.field(factory=Tally)
    """Values that their columns could not hold, by column: null there, and whole in `_extra`."""
    neutralised: Tally = attrs.field(factory=Tally)
    """Cells of texts that got an apostrophe, as a spreadsheet would have run them."""


class Sink(Protocol):
    """Writes one resource into parts, in a directory of its own in the staging area."""

    @property
    def rows(self) -> int:
        """Rows written so far; the next row gets this number."""
        ...

    @property
    def notes(self) -> SinkNotes:
        """What could not be written as it came; final after `finish`."""
        ...

    def write(self, page: Page, /) -> Written | None:
        """Write the rows of a page, and return where they are; None for a page without rows.

        Raises:
            TargetNotWritable: only `close` may be called afterwards.
        """
        ...

    def finish(self, *, dropped: Iterable[int] = ()) -> tuple[Part, ...]:
        """Complete the last part, and return all of them, synced to disk; at least one, which may be empty.

        Args:
            dropped: numbers of written rows (0 is the first) that a newer version has replaced. The parts with such
                rows are rewritten into `final/`; the old ones stay for a run that resumes this one.
        """
        ...

    def close(self) -> None:
        """Close the part being written, as it is. May be called at any time, and more than once."""
        ...

"""Where pages go: one sink for each output format.

A sink is plain blocking code with one caller at a time. `_export.run` calls it in a worker thread, page by page
in the order of the list, one call at a time: a slow sink slows the reading down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vismanet_async._export.target.manifest import Part
    from vismanet_async._paging.row_scanner import RawRow

__all__ = ["FINAL", "Page", "Sink", "Written"]

FINAL = "final"
"""Where a sink puts parts that replace those beside it."""


class Page(Protocol):
    """What a sink needs of a page; a listing's deliveries have it."""

    @property
    def rows(self) -> Sequence[RawRow]:
        """The records to write, in order."""
        ...

    @property
    def body(self) -> bytes | bytearray | None:
        """The answer that the rows are a part of, if they are all of its rows in its order.

        What stands between the rows of a bytearray may be changed by the sink.
        """
        ...


@attrs.frozen
class Written:
    """Where a page's rows went."""

    file: str
    """The part's name within its resource."""
    start: int
    end: int
    """Its bytes there."""
    sha256: str
    """Of the part up to `end`."""


class Sink(Protocol):
    """Writes one resource into parts, in a directory of its own in the staging area."""

    @property
    def rows(self) -> int:
        """Rows written so far; the next row gets this number."""
        ...

    def write(self, page: Page, /) -> Written | None:
        """Write a page's rows and tell where they are; None for a page without rows.

        Raises:
            TargetNotWritable: the sink is then of no more use but for `close`.
        """
        ...

    def finish(self, *, dropped: Iterable[int] = ()) -> tuple[Part, ...]:
        """Complete the last part and give all of them, synced to disk; at least one, though it be empty.

        Args:
            dropped: numbers of written rows (0 is the first) that a newer version has replaced. The parts that had
                them are written anew into `final/`; the old ones stay for whoever goes on from here.
        """
        ...

    def close(self) -> None:
        """Close the part being written, as it is. May be called at any time, and twice."""
        ...

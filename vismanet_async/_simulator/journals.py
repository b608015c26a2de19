"""Pages of journals: they are counted in lines, and a batch may be split over two of them (facts 4.12)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from vismanet_async._simulator.json_text import encode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vismanet_async._simulator.rows import Table

__all__ = ["journal_rows"]

_LINES = "journalTransactionLines"


def journal_rows(
    table: Table, rows: Sequence[int], start: int, stop: int, left_out: frozenset[str]
) -> tuple[list[bytes], int]:
    """Return the batches that hold the lines `start..stop`, cut to them, and the number of all lines.

    The batches are JSON objects without their closing brace.
    """
    counts = [len(_lines(table.look(row))) for row in rows]
    ends = list(accumulate(counts))
    total = ends[-1] if ends else 0
    stop = min(stop, total)
    made: list[bytes] = []
    if start < stop:
        for place in range(bisect_right(ends, start), bisect_left(ends, stop) + 1):
            first = ends[place] - counts[place]
            batch = table.row(rows[place])
            batch[_LINES] = _lines(batch)[max(0, start - first) : stop - first]
            made.append(encode({name: value for name, value in batch.items() if name not in left_out})[:-1])
    return made, total


def _lines(batch: Mapping[str, Any]) -> Sequence[Any]:
    lines: Sequence[Any] = batch.get(_LINES) or ()
    return lines

"""The order of a table's rows as runs of row numbers, so that a million untouched rows take one run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["RowOrder"]


class RowOrder:
    """An ordered set of row numbers, kept as runs `[start, stop)`.

    Rows `0..count` come first, in order. Removing one splits a run; a row put somewhere splits the run there.
    No run joins rows below `count` with others: one look at its start tells untouched rows from the rest.
    """

    def __init__(self, count: int) -> None:
        self.runs: list[tuple[int, int]] = [(0, count)] if count else []
        self._count = count
        self._length = count

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[int]:
        for start, stop in self.runs:
            yield from range(start, stop)

    def __contains__(self, row: int) -> bool:
        return self._run_of(row) is not None

    def _run_of(self, row: int) -> int | None:
        return next((place for place, (start, stop) in enumerate(self.runs) if start <= row < stop), None)

    def append(self, row: int) -> None:
        """Append a row."""
        if self.runs and self.runs[-1][1] == row > self._count:
            self.runs[-1] = (self.runs[-1][0], row + 1)
        else:
            self.runs.append((row, row + 1))
        self._length += 1

    def insert(self, index: int, row: int) -> None:
        """Insert a row before the one at this index."""
        passed = 0
        for place, (start, stop) in enumerate(self.runs):
            if index <= passed + stop - start:
                cut = start + index - passed
                self.runs[place : place + 1] = [
                    run for run in ((start, cut), (row, row + 1), (cut, stop)) if run[0] < run[1]
                ]
                self._length += 1
                return
            passed += stop - start
        self.append(row)

    def remove(self, row: int) -> None:
        """Remove a row.

        Raises:
            KeyError: The row is not there.
        """
        place = self._run_of(row)
        if place is None:
            raise KeyError(row)
        start, stop = self.runs[place]
        self.runs[place : place + 1] = [run for run in ((start, row), (row + 1, stop)) if run[0] < run[1]]
        self._length -= 1

    def copy(self) -> RowOrder:
        """Return an order of its own with the same rows."""
        made = RowOrder(self._count)
        made.runs, made._length = list(self.runs), self._length
        return made

    def restore(self, runs: list[tuple[int, int]]) -> None:
        """Restore runs that were kept."""
        self.runs = runs
        self._length = sum(stop - start for start, stop in runs)

    def isolate(self, row: int) -> None:
        """Split the run so that a row has one of its own."""
        place = self._run_of(row)
        if place is not None:
            start, stop = self.runs[place]
            self.runs[place : place + 1] = [
                run for run in ((start, row), (row, row + 1), (row + 1, stop)) if run[0] < run[1]
            ]

"""The rows of a file on their way through a run or a rehearsal: where they stand, and which of them have ended."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vismanet_async._cli.load_input import InputRow, Table

__all__ = ["Numbered", "Reading"]


class Numbered:
    """The rows of a file, and the number that the file has for the row at each position: blank lines are no rows."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._positions: list[int] = []
        self._ahead: list[int] = []

    def __iter__(self) -> Iterator[InputRow]:
        for position, row in enumerate(self._table.read(), 1):
            ahead = row.number - position
            if self._ahead[-1:] != [ahead]:
                self._positions.append(position)
                self._ahead.append(ahead)
            yield row

    def number(self, position: int) -> int:
        """Return the number of the row at a position that was read."""
        return position + self._ahead[bisect_right(self._positions, position) - 1]


class Reading:
    """The rows of a file, read once, and those of them that have no outcome yet: a few hundred at a time."""

    def __init__(self, table: Table) -> None:
        self._rows = table.read()
        self._open: dict[int, InputRow] = {}

    def __iter__(self) -> Iterator[InputRow]:
        for row in self._rows:
            self._open[row.number] = row
            yield row

    def ended(self, row: InputRow) -> None:
        """Note that a row has an outcome."""
        self._open.pop(row.number, None)

    def rest(self, *, read_on: bool) -> Iterator[InputRow]:
        """Yield the rows without an outcome: those that were read, then, if it may read on, those that were not."""
        yield from sorted(self._open.values(), key=lambda row: row.number)
        if read_on:
            yield from self._rows

"""Which rows of a table a query finds, remembered until the table changes."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from attrs import define, field

from vismanet_async._simulator.filters import Condition, fulfils

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from vismanet_async._simulator.rows import Table

__all__ = ["Selection", "Selections"]

_KEPT_SELECTIONS = 32
_KEPT_MATCHES = 64

Conditions = tuple[Condition, ...]


@define
class Selection:
    """The rows that a query finds, in list order, as a few sequences of row numbers."""

    parts: list[Sequence[int]]
    ends: list[int] = field(init=False)

    def __attrs_post_init__(self) -> None:
        total = 0
        self.ends = [total := total + len(part) for part in self.parts]

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    def __iter__(self) -> Iterator[int]:
        for part in self.parts:
            yield from part

    def ids(self, start: int, stop: int) -> list[int]:
        """Return the row numbers at these places."""
        found: list[int] = []
        place = bisect_right(self.ends, start)
        while start < min(stop, len(self)):
            part = self.parts[place]
            offset = start - (self.ends[place] - len(part))
            taken = part[offset : offset + stop - start]
            found.extend(taken)
            start += len(taken)
            place += 1
        return found


class Selections:
    """The queries of one table."""

    def __init__(self, table: Table, base_matches: dict[Conditions, array[int]] | None = None) -> None:
        self._table = table
        self._base_matches = {} if base_matches is None else base_matches
        """Base rows as they were made never change, so copies of a table share them."""
        self._kept: OrderedDict[Conditions, tuple[int, Selection]] = OrderedDict()

    def of_copy(self, table: Table) -> Selections:
        """Return the queries of a copy of the table."""
        return Selections(table, self._base_matches)

    def forget_base(self) -> None:
        """Look at base rows anew: their times have changed."""
        self._base_matches.clear()

    def select(self, conditions: Conditions) -> Selection:
        """Return the rows that fulfil all conditions, in list order."""
        known = self._kept.get(conditions)
        if known is not None and known[0] == self._table.changes:
            return known[1]
        selection = self._select(conditions)
        self._kept[conditions] = (self._table.changes, selection)
        if len(self._kept) > _KEPT_SELECTIONS:
            self._kept.popitem(last=False)
        return selection

    def _select(self, conditions: Conditions) -> Selection:
        table = self._table
        if not conditions:
            return Selection([range(start, stop) for start, stop in table.order.runs])
        matches = self._matching_base(conditions)
        parts: list[Sequence[int]] = []
        for start, stop in table.order.runs:
            if start >= table.count or start in table.overlay:
                parts.append([row for row in range(start, stop) if fulfils(self._known(row), conditions)])
            else:
                parts.append(matches[bisect_left(matches, start) : bisect_left(matches, stop)])
        return Selection([part for part in parts if part])

    def _known(self, row: int) -> Mapping[str, Any]:
        """Return what filters may know of a changed row."""
        hidden = self._table.stamps.get(row)
        return self._table.overlay[row] if hidden is None else hidden | self._table.overlay[row]

    def _matching_base(self, conditions: Conditions) -> array[int]:
        """Return the numbers of all base rows that fulfil the conditions, as they were made."""
        known = self._base_matches.get(conditions)
        if known is None:
            rows: Sequence[int] = range(self._table.count)
            for condition in conditions:
                rows = self._table.base.narrow(rows, condition)
            known = array("I", rows)
            if len(self._base_matches) >= _KEPT_MATCHES:
                self._base_matches.clear()
            self._base_matches[conditions] = known
        return known

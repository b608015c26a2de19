"""Counts what was met in which rows, so that rows which are left out later do not count."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["Tally"]


@attrs.define
class Tally:
    """Numbers of rows by what was met in them; 8 bytes for each. Several threads may add.

    Examples:
        >>> tally = Tally()
        >>> tally.add("amount", row=7)
        >>> tally.add("amount", row=9)
        >>> tally.counts(), tally.counts(without={9})
        ({'amount': 2}, {'amount': 1})
    """

    _rows: dict[str, array[int]] = attrs.field(factory=dict)

    def add(self, name: str, *, row: int) -> None:
        """Note that something was met in a row."""
        self._rows.setdefault(name, array("Q")).append(row)

    def counts(self, *, without: Collection[int] = ()) -> dict[str, int]:
        """Return how often each was met, by name in order, not counting some rows."""
        kept = {name: sum(row not in without for row in self._rows[name]) for name in sorted(self._rows)}
        return {name: count for name, count in kept.items() if count}

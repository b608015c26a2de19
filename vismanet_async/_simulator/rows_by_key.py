"""Rows that were added or changed, by their keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Key", "RowsByKey", "folded"]

Key = tuple[str, ...]


class RowsByKey:
    """Finds rows by key, in any case, and by the last part of it alone."""

    def __init__(self) -> None:
        self._by_key: dict[Key, int] = {}
        self._by_number: dict[str, dict[int, None]] = {}

    def copy(self) -> RowsByKey:
        """Return another one with the same rows."""
        made = RowsByKey()
        made._by_key = dict(self._by_key)
        made._by_number = {number: dict(rows) for number, rows in self._by_number.items()}
        return made

    def add(self, row: int, key: Key) -> None:
        """Note a row under its key."""
        wanted = folded(key)
        self._by_key[wanted] = row
        self._by_number.setdefault(wanted[-1], {})[row] = None

    def remove(self, row: int, key: Key) -> None:
        """Forget a row, unless its key is another one's by now."""
        wanted = folded(key)
        if self._by_key.get(wanted) == row:
            del self._by_key[wanted]
            self._by_number[wanted[-1]].pop(row, None)

    def row(self, wanted: Key) -> int | None:
        """Return the row with this folded key."""
        return self._by_key.get(wanted)

    def first(self, number: str) -> int | None:
        """Return the first row whose key ends so, of whatever type."""
        return next(iter(self._by_number.get(number.casefold(), ())), None)

    def has_had(self, number: str) -> bool:
        """Return whether a key ended so at some time."""
        return number.casefold() in self._by_number


def folded(key: Sequence[str]) -> Key:
    """Return a key in the case in which keys are compared."""
    return tuple(part.casefold() for part in key)

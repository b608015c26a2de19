"""`Groups`: rows of one group are sent one after the other, and only while each of them is done.

A row may stand behind one that an earlier run left undone. While that one may still come in this run, it waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

import anyio
import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Groups", "Place"]


@attrs.frozen(eq=False)
class Place:
    """Where a row stands in its group."""

    after: anyio.Event | None
    """Set when the row before it has ended; None: it is the first."""
    ended: anyio.Event = attrs.field(factory=anyio.Event)


J = TypeVar("J")


class Groups(Generic[J]):
    """The groups of a run.

    Memory: those with rows under way, those in which a row is not done, and the rows that wait for one of those.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, list[tuple[J, set[str]]]] = {}
        """Rows in the order of the input, each with the keys of the rows that it waits for."""
        self._last: dict[str, Place] = {}
        self._blocked: dict[str, tuple[int, str]] = {}
        """The position and key of the first row that is not done."""

    def join(self, group: str | None) -> Place | None:
        """Return a place behind the last row of a group; None for a row without one."""
        if group is None:
            return None
        before = self._last.get(group)
        place = self._last[group] = Place(None if before is None else before.ended)
        return place

    def waits(self, group: str | None, job: J, behind: frozenset[str]) -> bool:
        """Keep a row back while rows that are not done may still come; return whether it waits.

        Args:
            group: the row's.
            job: the row.
            behind: the keys of the rows before it that an earlier run left undone, and that have not come.
        """
        if group is None:
            return False
        kept = self._waiting.get(group, [])
        keys = set(behind) | (kept[-1][1] if kept else set())
        if keys:
            self._waiting.setdefault(group, []).append((job, keys))
        return bool(keys)

    def came(self, group: str | None, key: str) -> list[J]:
        """Note that a row has come; return the rows, in order, that waited for it alone: they stand before it now."""
        kept = self._waiting.get(group or "", [])
        for _, keys in kept:
            keys.discard(key)
        free = [job for job, keys in kept if not keys]
        if free:
            self._waiting[group or ""] = kept[len(free) :]
        return free

    def left(self) -> Iterator[tuple[J, str]]:
        """Yield the rows that wait for one that has not come, with its key: all have come that will."""
        waiting, self._waiting = self._waiting, {}
        for kept in waiting.values():
            for job, keys in kept:
                yield job, min(keys)

    def leave(self, group: str | None, place: Place | None) -> None:
        """Note that the row has ended."""
        if group is None or place is None:
            return
        place.ended.set()
        if self._last.get(group) is place:
            del self._last[group]

    def block(self, group: str, position: int, key: str) -> None:
        """Note that a row of the group is not done."""
        self._blocked[group] = min(self._blocked.get(group, (position, key)), (position, key))

    def blocking(self, group: str | None, position: int) -> str | None:
        """Return the key of a row of the group that is not done and stands before this position."""
        first, key = self._blocked.get(group or "", (position, ""))
        return key if first < position else None

"""`Groups`: rows of one group are sent one after the other, and only while each of them is done."""

from __future__ import annotations

import anyio
import attrs

__all__ = ["Groups", "Place"]


@attrs.frozen(eq=False)
class Place:
    """Where a row stands in its group."""

    after: anyio.Event | None
    """Set when the row before it has ended; None: it is the first."""
    ended: anyio.Event = attrs.field(factory=anyio.Event)


class Groups:
    """The groups of a run. Memory: those with rows under way, and those in which a row is not done."""

    def __init__(self) -> None:
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

"""What answers show of the order that a list is in (no IO).

The API promises no order. By number, by creation, even by nothing that can be seen: a change leaves a row where it is.
But in the order of changes a row goes elsewhere with each of them. Such a list shows it, where its rows have stamps:
those of all answers rise, or all fall, and its keys do neither.
"""

from __future__ import annotations

from operator import ge, le
from typing import TYPE_CHECKING, Any

from vismanet_async._paging.keys import NO_STAMP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vismanet_async._paging.asks import Reply

__all__ = ["RowOrder"]


class RowOrder:
    """Collects what the answers show.

    Args:
        edge_stamp: the moment that all changes are stamped with or later; None where rows do not tell.
    """

    def __init__(self, edge_stamp: int | None) -> None:
        self._edge_stamp = edge_stamp
        self._has_stamps = True
        self._stamps = _Direction()
        self._keys = _Direction()
        self._numbers = _Direction()  # keys of several lengths, as numbers without leading zeros are compared

    def note(self, reply: Reply) -> None:
        """Look at an answer."""
        self._has_stamps = self._has_stamps and NO_STAMP not in reply.keys.stamps
        self._stamps.note([*reply.keys.stamps])
        self._keys.note([*reply.names])
        self._numbers.note([(len(name), name) for name in reply.names])

    @property
    def is_by_change(self) -> bool:
        """Whether a changed row may have gone anywhere among those since the edge."""
        return self._has_stamps and self._stamps.holds and not self._is_by_key

    @property
    def is_newest_first(self) -> bool:
        """Whether a changed row has gone to the front, among those since the edge."""
        return self.is_by_change and self._stamps.can_fall

    @property
    def may_be_newest_first(self) -> bool:
        """Whether a changed row may have gone to the front, for all that can be seen."""
        return self.is_newest_first or not (self._has_stamps or self._is_by_key)

    @property
    def _is_by_key(self) -> bool:
        return self._keys.holds or self._numbers.holds

    def is_old(self, reply: Reply, offset: int) -> bool:
        """Return whether a row was last changed before the edge."""
        return self._edge_stamp is not None and reply.keys.stamps[offset] < self._edge_stamp

    def shows_changes_only(self, reply: Reply) -> bool:
        """Return whether a look at the front of a list whose newest changes come first may not show all of them."""
        is_whole = reply.rows < (reply.ask.size or 0)
        return self.is_newest_first and not is_whole and not any(self.is_old(reply, row) for row in range(reply.rows))


class _Direction:
    """Whether the values of all answers rise, or all fall."""

    def __init__(self) -> None:
        self.can_rise = self.can_fall = True

    def note(self, values: Sequence[Any]) -> None:
        following = values[1:]
        self.can_rise = self.can_rise and all(map(le, values, following))
        self.can_fall = self.can_fall and all(map(ge, values, following))

    @property
    def holds(self) -> bool:
        return self.can_rise or self.can_fall

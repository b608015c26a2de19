"""Read a list up, then down and up again: what was seen before and after the last page was there with it (no IO)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from vismanet_async._paging.protocol import TRIES, Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from vismanet_async._paging.asks import Reply, Scope
    from vismanet_async._paging.protocol import Asker

__all__ = ["LATER_PASSES", "rows_at_turn"]

LATER_PASSES: Final = 2
"""After the turn: one false answer of a page is borne, whatever is written meanwhile."""


def rows_at_turn(
    asker: Asker, scope: Scope, *, later_passes: int, deliver: Callable[[Reply], None]
) -> Rule[frozenset[bytes] | None]:
    """Return the identities of a list that came to rest for a moment; None for one that did not, in three tries.

    Rows that were seen both up to the last page and from it on were there when it was answered, if none was deleted and
    made again meanwhile. If they are as many as its total, they are all there were. An answer of an older state shows
    rows that have left by then: each pass more after the turn bears one such answer for a page.

    Args:
        asker: asks for the pages.
        scope: which part of the list.
        later_passes: passes after the turn; with one, the rows are right only if its answers are.
        deliver: called with each answer.
    """
    for _ in range(TRIES):
        names = yield from _once(asker, scope, later_passes, deliver)
        if names is not None:
            return names
    return None


def _once(
    asker: Asker, scope: Scope, later_passes: int, deliver: Callable[[Reply], None]
) -> Rule[frozenset[bytes] | None]:
    assert asker.size is not None
    seen = _Seen()
    page = 1
    while True:
        turn = yield from asker.ask(scope, page=page)
        deliver(turn)
        seen.add(turn)
        if page * asker.size >= (turn.total or 0):
            break
        page += 1
    names, rows = seen.names, turn.total or 0
    for number in range(later_passes):
        seen.names = set(turn.names)
        for below in range(1, page) if number % 2 else range(page - 1, 0, -1):
            reply = yield from asker.ask(scope, page=below)
            deliver(replace(reply, unchanged=seen.unchanged(reply)))
            seen.add(reply)
        names &= seen.names
        if not rows or seen.totals != {rows} or len(names) != rows or seen.is_repeated:
            return None
    if turn.rows == asker.size and not (yield from asker.sees_end(turn, rows=rows)):
        return None
    return frozenset(names)


class _Seen:
    """The rows and totals of the passes."""

    def __init__(self) -> None:
        self.names: set[bytes] = set()
        self.totals: set[int] = set()
        self.is_repeated = False
        """The first row of one page was the first of another too: some answer was a copy."""
        self._heads: dict[bytes, int] = {}
        self._marks: dict[bytes, Hashable] = {}

    def unchanged(self, reply: Reply) -> frozenset[int]:
        """Return the offsets of rows that came before in the same version."""
        marks = self._marks
        return frozenset(offset for offset, name in enumerate(reply.names) if marks.get(name) == reply.mark(offset))

    def add(self, reply: Reply) -> None:
        self.totals.add(reply.total or 0)
        self.names.update(reply.names)
        self._marks.update((name, reply.mark(offset)) for offset, name in enumerate(reply.names))
        if reply.rows:
            self.is_repeated |= self._heads.setdefault(reply.names[0], reply.ask.page) != reply.ask.page

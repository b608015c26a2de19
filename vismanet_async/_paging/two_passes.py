"""Read a list twice, up and down: what was seen before and after the last page was there with it (no IO)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from vismanet_async._paging.protocol import TRIES, Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from vismanet_async._paging.asks import Reply, Scope
    from vismanet_async._paging.protocol import Asker

__all__ = ["two_passes"]


def two_passes(asker: Asker, scope: Scope, *, deliver: Callable[[Reply], None]) -> Rule[frozenset[bytes] | None]:
    """Return the identities of a list that came to rest for a moment; None for one that did not, in three tries.

    Rows that were seen both up to the last page and from it on were there when it was answered, if none was deleted and
    made again meanwhile. If they are as many as its total, they are all there were.

    Args:
        asker: asks for the pages.
        scope: which part of the list.
        deliver: called with each answer.
    """
    for _ in range(TRIES):
        names = yield from _once(asker, scope, deliver)
        if names is not None:
            return names
    return None


def _once(asker: Asker, scope: Scope, deliver: Callable[[Reply], None]) -> Rule[frozenset[bytes] | None]:
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
    upwards, seen.names = seen.names, set(turn.names)
    for below in range(page - 1, 0, -1):
        reply = yield from asker.ask(scope, page=below)
        deliver(replace(reply, unchanged=seen.unchanged(reply)))
        seen.add(reply)
    both = upwards & seen.names
    rows = turn.total or 0
    if not rows or seen.totals != {rows} or len(both) != rows or seen.is_repeated:
        return None
    if turn.rows == asker.size and not (yield from asker.sees_end(turn, rows=rows)):
        return None
    return frozenset(both)


class _Seen:
    """The rows and totals of two passes."""

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

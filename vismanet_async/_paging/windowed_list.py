"""The rules for a list that can be divided at an edge in time: the window page by page, then the closing (no IO).

`guarantee.py` argues why the requests of a closing are enough, `proof.py` says when these rules are chosen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vismanet_async._paging.asks import Claim, Scope
from vismanet_async._paging.passes import LATER_PASSES, rows_at_turn
from vismanet_async._paging.protocol import TRIES, KeyCount, ReadAnew, Restless, Rule
from vismanet_async._paging.window_chain import WindowChain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vismanet_async._paging.asks import Reply
    from vismanet_async._paging.guarantee import RestsOn
    from vismanet_async._paging.reading import Reading

__all__ = ["WindowedList"]

_ROUNDS: Final = 6
_STRICT_WITNESSES: Final = 2


class WindowedList:
    """Reads one list by its window and its tail.

    Args:
        reading: asks for pages, delivers, and keeps what is known of the list.
        first: page 1 of the whole list; its rows come again with the window.
        count: counts the identities of the rows delivered.
        window_only: the caller's own filter ends at the edge: there is no tail.
        descending: read the window from its last page to its first.
        ahead_pages: upwards, how far ahead of the next page to ask.
    """

    def __init__(
        self,
        reading: Reading,
        first: Reply,
        *,
        count: KeyCount,
        window_only: bool,
        descending: bool,
        ahead_pages: int | None,
    ) -> None:
        asker = reading.asker
        assert asker.size is not None
        assert asker.edge_stamp is not None
        assert first.total is not None
        self._reading = reading
        self._asker = asker
        self._size = asker.size
        self._edge_stamp = asker.edge_stamp
        self._first = first
        self._places = {name: offset for offset, name in enumerate(first.names)}
        self._count = count
        self._end: Reply | None = None  # the last page behind which nothing was seen
        self._window_only = window_only
        may_be_all = not reading.fresh and not reading.is_strict
        self._window = WindowChain(
            size=asker.size,
            edge_stamp=asker.edge_stamp,
            descending=descending,
            guess=first.total if may_be_all else None,
            end_probes=asker.end_probes(first.total) if may_be_all and not window_only else (),
            first_witnesses=_STRICT_WITNESSES if reading.is_strict else 1,
            ahead_pages=ahead_pages,
            deliver=self._deliver,
        )

    def read(self) -> Rule[Claim]:
        """Read the window and close the reading."""
        yield from self._read_window()
        return (yield from (self._closing_without_tail() if self._window_only else self._closing()))

    # -- the window

    def _read_window(self) -> Rule[None]:
        window, count, reading = self._window, self._count, self._reading
        yield window
        window.pause()
        reading.repairs += window.repairs
        window.repairs = 0
        if window.smaller_size is not None:
            raise ReadAnew(f"the server lowered its pages to {window.smaller_size} rows", size=window.smaller_size)
        if window.is_too_busy:
            raise Restless("rows leave too often to be read in page order")
        if window.violation is not None:
            raise window.violation
        if reading.violation:
            raise ReadAnew(reading.violation)
        if len(count) < (window.total or 0) or (not window.fell and len(count) != window.total):
            raise ReadAnew(f"{len(count)} different rows came of a window of {window.total}")

    def _deliver(self, reply: Reply) -> None:
        self._reading.show(reply)
        self._count.add(reply)
        if self._is_further_back(reply):
            self._reading.report_violation("a row was further back than page 1 of all showed it")

    def _is_further_back(self, reply: Reply) -> bool:
        """Return whether a page of the window shows a row of page 1 of all at a later position than that did."""
        places = self._places
        if places.keys().isdisjoint(reply.names):
            return False
        return any(places.get(name, 1 << 60) < reply.start + offset for offset, name in enumerate(reply.names))

    # -- the closing

    def _closing(self) -> Rule[Claim]:
        """Close a reading after its window: at rest, two requests, or one if the end of everything was seen.

        The tail is one answer and may be false, so page 1 of all is looked at once more after it.
        """
        window, first, reading = self._window, self._first, self._reading
        whole = len(self._count)
        is_quiet = not window.fell and not reading.is_strict
        if is_quiet and window.is_everything:
            # At most two answers are false. If page 1 of all is true, there were no more rows than came. Else at most
            # one more is false, of the window, its end and this look: then there were no others after the end was seen,
            # and only a copy of page 1 could hide that a page is missing.
            look = yield from reading.look(Scope.BELOW)
            if window.first_page is not None and _same(look, first) and _same(look, window.first_page):
                return self._proven("the rows before the edge are all there are")
            self._confirm(look)
            is_quiet = False
        tail = yield from self._tail(later_passes=LATER_PASSES if is_quiet else 1)
        # A tail of an older state lacks rows that have left the window since. New rows can make the numbers agree.
        is_quiet = is_quiet and not self._count.missing(list(first.names))
        is_quiet = is_quiet and first.total == len(self._count) and (window.total != first.total or whole <= self._size)
        if is_quiet and (yield from self._is_as_before()) and reading.fresh <= tail:
            # a full tail ended with a page of another size: totals are not too low for ever
            if len(tail) < self._size or self._asker.other_size(len(tail)) is None:
                yield from self._see_end()
            if not window.fell:
                return self._proven("the rows before the edge, and the rest in one answer")
        return (yield from self._rounds(tail))

    def _is_as_before(self) -> Rule[bool]:
        """Return whether page 1 shows the same as at the start: of all, and of the window where that was read twice."""
        before, after = self._window.first_look, self._window.first_page
        if before is not None and after is not None and not _same(after, before):
            return False
        return _same((yield from self._reading.look(Scope.ALL)), self._first)

    def _rounds(self, tail: frozenset[bytes]) -> Rule[Claim]:
        """Close a busy reading: the tail before is part of the tail after, and all rows are in the window or there."""
        count = self._count
        before: object = None
        for _ in range(_ROUNDS):
            yield from self._settle()
            yield from self._see_end()
            everything = yield from self._reading.look(Scope.ALL)
            fresh = everything.since(self._edge_stamp)
            self._expect_counted([name for name in everything.names if name not in fresh])
            below = yield from self._reading.look(Scope.BELOW)
            self._confirm(below)
            if not self._window.done:
                continue  # a row has left: pages that nothing vouches for are read again
            newer = yield from self._tail()
            if tail <= newer and (everything.total or 0) <= min(len(count), (below.total or 0) + len(newer)):
                if newer:
                    yield from self._tail()  # the third: one is true, and the rows of all three were delivered
                return self._proven("the rows before the edge, and the rest")
            found = everything.total, below.total, newer
            if found == before:
                raise Restless("some rows are neither before the edge nor since")
            before, tail = found, newer
        raise Restless("rows were changed faster than the end could be read")

    def _closing_without_tail(self) -> Rule[Claim]:
        """Close the reading of a window that is the whole list."""
        window = self._window
        for attempt in range(_ROUNDS):
            is_quiet = not attempt and not window.fell and not self._reading.is_strict
            if not is_quiet:
                yield from self._settle()
            yield from self._see_end()
            look = yield from self._reading.look(Scope.BELOW)
            self._confirm(look)
            is_same = window.first_page is not None and _same(look, window.first_page)
            if window.done and (is_same or not is_quiet) and (look.total or 0) <= len(self._count):
                return self._proven("all rows are from before the edge")
        raise Restless("the rows before the edge did not come to rest")

    def _settle(self) -> Rule[None]:
        """Ask until later answers vouch for the totals that link the window's pages; read again what they do not."""
        window = self._window
        while True:
            if not window.done:
                yield from self._read_window()
            if window.is_settled:
                return
            self._confirm((yield from self._reading.look(Scope.BELOW)))

    def _see_end(self) -> Rule[None]:
        """See that nothing stands behind the window's last row: rows that stay keep their order, and none enter."""
        window = self._window
        for _ in range(TRIES):
            last, rows = window.last_page, window.total
            if last is None or not rows or last.rows < self._size or last is self._end:
                return  # a page that is not full shows the end by itself
            size = self._asker.other_size(rows)
            if size is None:
                seen = yield from self._asker.sees_end(last, rows=rows)
            else:
                page = rows // size + 1
                reply = yield from self._asker.ask(Scope.BELOW, page=page, size=size, may_be_blank=True)
                seen = 0 < reply.rows < size and reply.names[-1] == last.names[-1]
                if reply.rows:
                    self._confirm(reply)
            if not window.done:
                yield from self._read_window()
            elif seen:
                self._end = last
                return
        raise ReadAnew("the end of the rows before the edge was not shown")

    def _tail(self, *, later_passes: int = 1) -> Rule[frozenset[bytes]]:
        """Return the rows since the edge: of one answer, or of passes up and down."""

        def deliver(reply: Reply) -> None:
            self._reading.deliver(reply)
            self._count.add(reply)
            if reply.ask.page == 1:
                self._reading.mark(reply)

        self._reading.tail_passes += 1
        reply = yield from self._asker.ask(Scope.SINCE, may_be_blank=True)
        if not reply.rows:
            return frozenset()
        if reply.total == reply.rows and (yield from self._reading.is_all(reply)):
            deliver(reply)
            return frozenset(reply.names)
        names = yield from rows_at_turn(self._asker, Scope.SINCE, later_passes=later_passes, deliver=deliver)
        if names is None:
            raise Restless("the rows since the edge did not come to rest")
        return names

    def _confirm(self, look: Reply) -> None:
        """Process a later look at the window: a row that slid to a page that had been read shows there."""
        self._expect_counted(look.names)
        self._window.confirm(look)

    def _expect_counted(self, names: Sequence[bytes]) -> None:
        """Expect that rows from before the edge came with the window: nothing enters it."""
        if self._count.missing(names):
            raise ReadAnew("a row from before the edge was not in the window")

    def _proven(self, reason: str) -> Claim:
        rests_on: list[RestsOn] = ["stamps"]
        if self._window.fell:
            rests_on += ["order", "totals"] if self._window.linked_by_totals else ["order"]
        return Claim("proven", reason, tuple(rests_on))


def _same(one: Reply, other: Reply) -> bool:
    return one.total == other.total and list(one.names) == list(other.names)

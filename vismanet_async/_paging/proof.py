"""The rules that prove a list: which request comes next, and what its answers prove (no IO, no clock).

The rules are in the order in which they are tried. `guarantee.py` argues what they rest on, `protocol.py` runs them.

====================  ================================================================================================
the list              how it is proven
====================  ================================================================================================
is blank              three blank answers
fits into one answer  that answer; if it is full, the end is seen by a page of another size
has a filter          the window before the edge, page by page (`window_chain`), and the end of everything with it;
                      where there is more than the window, the closing: the tail since the edge, and page 1 again
the same, busy        rounds of all, window and tail, until the rows of all are not more than those of both
has none              overlapping pages (`overlap`), for pages of eight rows or more
the same, small       two passes (`two_passes`)
is said not to page   page 2 as well: the same rows again, or it pages after all
====================  ================================================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vismanet_async._paging.asks import BLANK, Claim, Reply, Scope
from vismanet_async._paging.overlap import LEAST_PAGE_SIZE, OverlapChain
from vismanet_async._paging.protocol import Asker, Contradiction, KeyCount, ReadAnew, Restless, Rule, RuleRunner
from vismanet_async._paging.two_passes import two_passes
from vismanet_async._paging.window_chain import WindowChain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vismanet_async._paging.asks import Ask
    from vismanet_async._paging.guarantee import RestsOn

__all__ = ["Proof"]

_READINGS: Final = 3  # the first one, and twice anew
_ROUNDS: Final = 6
_STRICT_WITNESSES: Final = 2
_ROUND_NUMBER: Final = 50  # limits that servers set are multiples of it, or powers of two


class Proof:
    """Chooses the requests that prove one list.

    Args:
        page_size: rows to ask for; None leaves it to the server.
        edge_stamp: the edge between window and tail; None where the endpoint has no such filter.
        window_only: the caller's own filter ends at the edge: there is no tail.
        changes_since: the moment that all changes are stamped with or later; None where it is not known.
        descending: read the window from its last page: for rows that may be delivered in any order.
        ahead_pages: in page order, how far ahead of the next page to ask.
        is_strict: bear two false answers with any writes, for one or two requests more.
        pages: False for an endpoint that is said to answer with everything at once.
        deliver: called with each reply whose rows are to be delivered.
        new_count: makes a count of identities.
    """

    def __init__(
        self,
        *,
        page_size: int | None,
        edge_stamp: int | None,
        window_only: bool = False,
        changes_since: int | None = None,
        descending: bool,
        ahead_pages: int | None = None,
        is_strict: bool = False,
        pages: bool = True,
        deliver: Callable[[Reply], None],
        new_count: Callable[[], KeyCount],
    ) -> None:
        self._asker = Asker(size=page_size, edge_stamp=edge_stamp)
        self._window_only = window_only
        self._changes_since = changes_since
        self._descending = descending
        self._ahead_pages = ahead_pages
        self._is_strict = is_strict
        self._deliver = deliver
        self._new_count = new_count
        self._fresh: frozenset[bytes] = frozenset()  # rows of the tail that any look at page 1 showed
        self._seen_before: frozenset[bytes] = frozenset()  # page 1 of the readings before
        self._newest: dict[Scope, str] = {}
        self._violation: str | None = None
        self.notes: list[str] = []
        """What went wrong on the way, in words."""
        self.repairs = 0
        """Pages that were read again."""
        self.tail_passes = 0
        """How often the rows since the edge were asked for."""
        self.used_window = False
        """Whether the list was divided at the edge."""
        self._runner = RuleRunner(self._whole_list() if pages else self._unpaged_list())

    # -- what the caller drives

    @property
    def claim(self) -> Claim | None:
        """The verdict; None before the end."""
        return self._runner.claim

    @property
    def page_size(self) -> int | None:
        """The page size in use."""
        return self._asker.size

    @property
    def buffered(self) -> int:
        """The number of pages that wait for those before them."""
        return self._runner.buffered

    @property
    def watermark(self) -> str | None:
        """The latest change that the rows are known to show, with all before it; None: none is known."""
        return max(self._newest.values(), default="") or None

    def next_ask(self) -> Ask | None:
        """Return a request to send now; None: wait for an answer, or `claim` is there."""
        return self._runner.next_ask()

    def receive(self, reply: Reply) -> None:
        """Process an answer."""
        self._runner.receive(reply)

    def receive_error(self, ask: Ask) -> None:
        """Ask again what got no usable answer."""
        self._runner.receive_error(ask)

    def report_violation(self, reason: str) -> None:
        """Record what the caller saw while it delivered rows: an identity twice, a row out of its place."""
        self._violation = self._violation or reason

    # -- any list

    def _whole_list(self) -> Rule[Claim]:
        reason = ""
        for _ in range(_READINGS):
            self._violation = None
            try:
                return (yield from self._reading())
            except ReadAnew as again:
                reason = str(again)
                self._note(reason)
                self._asker.size = again.size or self._asker.size
            except Restless as why:
                reason = str(why)
                break
            except Contradiction as why:
                return (yield from self._without_totals(str(why)))
        self._note(reason)
        try:
            first = yield from self._look(Scope.ALL)
            return (yield from self._overlapping(first, use_totals=True)) if first.rows else BLANK
        except (ReadAnew, Contradiction) as why:
            return Claim("uncertain", str(why))

    def _reading(self) -> Rule[Claim]:
        first = yield from self._look(Scope.ALL, learns_size=True)
        if not first.rows:
            return BLANK
        if first.total is None:
            self._note("the server tells no totals")
            return (yield from self._overlapping(first, use_totals=False))
        lacks_known = self._seen_before - set(first.names)
        self._seen_before |= set(first.names)
        if first.total == first.rows and not lacks_known and (yield from self._is_all(first)):
            self._show(first)
            self._deliver(first)
            return Claim("proven", "one answer held the whole list")
        if self._asker.edge_stamp is None or (not self._window_only and first.keys.unstamped):
            return (yield from self._overlapping(first, use_totals=True))
        first = first.light()  # its rows come again with the window
        return (yield from self._windowed(first))

    def _is_all(self, first: Reply) -> Rule[bool]:
        """Return whether one answer, which has as many rows as its total, contains everything."""
        if first.rows < first.size:
            return True
        return (yield from self._asker.sees_end(first, rows=first.rows))

    def _look(self, scope: Scope, *, learns_size: bool = False) -> Rule[Reply]:
        """Ask for page 1 of all or of the window."""
        reply = yield from self._asker.ask(scope, learns_size=learns_size)
        if scope is Scope.ALL and self._asker.edge_stamp is not None:
            self._fresh |= reply.since(self._asker.edge_stamp)
        return reply

    def _note(self, reason: str) -> None:
        if reason not in self.notes:
            self.notes.append(reason)

    def _show(self, reply: Reply) -> None:
        """Record that the rows delivered show the list as of this answer: later changes may be missing."""
        newest, scope = reply.watermark, reply.ask.scope
        if scope is Scope.ALL:
            self._newest.clear()
        else:
            self._newest.pop(Scope.ALL, None)
        self._newest[scope] = max(newest, self._newest.get(scope, "")) if scope is Scope.BELOW else newest

    # -- a list that can be divided at an edge in time

    def _windowed(self, first: Reply) -> Rule[Claim]:
        size, edge_stamp = self._asker.size, self._asker.edge_stamp
        assert size is not None
        assert edge_stamp is not None
        assert first.total is not None
        count = self._new_count()
        places = {name: offset for offset, name in enumerate(first.names)}

        def deliver(reply: Reply) -> None:
            self._deliver(reply)
            self._show(reply)
            count.add(reply)
            if _is_further_back(reply, places):
                self.report_violation("a row was further back than page 1 of all showed it")

        self.used_window = True
        may_be_all = not self._fresh and not self._is_strict
        window = WindowChain(
            size=size,
            edge_stamp=edge_stamp,
            descending=self._descending,
            guess=first.total,
            trusts_guess=may_be_all,
            end_probes=self._asker.end_probes(first.total) if may_be_all and not self._window_only else (),
            first_witnesses=_STRICT_WITNESSES if self._is_strict else 1,
            ahead_pages=self._ahead_pages,
            deliver=deliver,
        )
        yield from self._read_window(window, count)
        if self._window_only:
            return (yield from self._closing_without_tail(window, count))
        return (yield from self._closing(first, window, count))

    def _read_window(self, window: WindowChain, count: KeyCount) -> Rule[None]:
        yield window
        window.pause()
        self.repairs += window.repairs
        window.repairs = 0
        if window.smaller_size is not None:
            raise ReadAnew(f"the server lowered its pages to {window.smaller_size} rows", size=window.smaller_size)
        if window.is_too_busy:
            raise Restless("rows leave too often to be read in page order")
        if window.violation is not None:
            raise window.violation
        if self._violation:
            raise ReadAnew(self._violation)
        if len(count) < (window.total or 0) or (not window.fell and len(count) != window.total):
            raise ReadAnew(f"{len(count)} different rows came of a window of {window.total}")

    def _closing(self, first: Reply, window: WindowChain, count: KeyCount) -> Rule[Claim]:
        """Close a reading after its window: at rest, two requests, or one if the end of everything was seen.

        The tail is one answer and may be false, so page 1 of all is looked at once more after it.
        """
        assert self._asker.size is not None
        whole, size = len(count), self._asker.size
        is_quiet = not window.fell and not self._is_strict
        if is_quiet and window.is_everything:
            # At most two answers are false. If page 1 of all is true, there were no more rows than came. Else at most
            # one more is false, of the window, its end and this look: then there were no others after the end was seen,
            # and only a copy of page 1 could hide that a page is missing.
            look = yield from self._look(Scope.BELOW)
            if window.first_page is not None and _same(look, first) and _same(look, window.first_page):
                return _proven("the rows before the edge are all there are", window)
            _confirm(window, count, look)
            is_quiet = False
        tail = yield from self._tail(count)
        # A tail of an older state lacks rows that have left the window since. New rows can make the numbers agree.
        is_quiet = is_quiet and not count.missing(list(first.names))
        is_quiet = is_quiet and first.total == len(count) and (window.total != first.total or whole <= size)
        if is_quiet and (yield from self._is_as_before(first, window)) and self._fresh <= tail:
            # a full tail ended with a page of another size: totals are not too low for ever
            if len(tail) < size or self._asker.other_size(len(tail)) is None:
                yield from self._see_end_of(window, count)
            if not window.fell:
                return _proven("the rows before the edge, and the rest in one answer", window)
        return (yield from self._rounds(window, count, tail))

    def _is_as_before(self, first: Reply, window: WindowChain) -> Rule[bool]:
        """Return whether page 1 shows the same as at the start: of all, and of the window where that was read twice."""
        before, after = window.first_look, window.first_page
        if before is not None and after is not None and not _same(after, before):
            return False
        return _same((yield from self._look(Scope.ALL)), first)

    def _rounds(self, window: WindowChain, count: KeyCount, tail: frozenset[bytes]) -> Rule[Claim]:
        """Close a busy reading: the tail before is part of the tail after, and all rows are in the window or there."""
        assert self._asker.edge_stamp is not None
        before: object = None
        for _ in range(_ROUNDS):
            yield from self._settle(window, count)
            yield from self._see_end_of(window, count)
            everything = yield from self._look(Scope.ALL)
            fresh = everything.since(self._asker.edge_stamp)
            _expect_counted([name for name in everything.names if name not in fresh], count)
            below = yield from self._look(Scope.BELOW)
            _confirm(window, count, below)
            if not window.done:
                continue  # a row has left: pages that nothing vouches for are read again
            newer = yield from self._tail(count)
            if tail <= newer and (everything.total or 0) <= min(len(count), (below.total or 0) + len(newer)):
                if newer:
                    yield from self._tail(count)  # the third: one is true, and the rows of all three were delivered
                return _proven("the rows before the edge, and the rest", window)
            found = everything.total, below.total, newer
            if found == before:
                raise Restless("some rows are neither before the edge nor since")
            before, tail = found, newer
        raise Restless("rows were changed faster than the end could be read")

    def _closing_without_tail(self, window: WindowChain, count: KeyCount) -> Rule[Claim]:
        """Close the reading of a window that is the whole list."""
        for attempt in range(_ROUNDS):
            is_quiet = not attempt and not window.fell and not self._is_strict
            if not is_quiet:
                yield from self._settle(window, count)
            yield from self._see_end_of(window, count)
            look = yield from self._look(Scope.BELOW)
            _confirm(window, count, look)
            is_same = window.first_page is not None and _same(look, window.first_page)
            if window.done and (is_same or not is_quiet) and (look.total or 0) <= len(count):
                return _proven("all rows are from before the edge", window)
        raise Restless("the rows before the edge did not come to rest")

    def _settle(self, window: WindowChain, count: KeyCount) -> Rule[None]:
        """Ask until later answers vouch for the totals that link a window's pages; read again what they do not."""
        while True:
            if not window.done:
                yield from self._read_window(window, count)
            if window.is_settled:
                return
            _confirm(window, count, (yield from self._look(Scope.BELOW)))

    def _see_end_of(self, window: WindowChain, count: KeyCount) -> Rule[None]:
        """See that nothing stands behind the window's last row: rows that stay keep their order, and none enter."""
        for _ in range(_READINGS):
            last, rows = window.last_page, window.total
            if last is None or not rows or not window.end_is_open:
                return
            size = self._asker.other_size(rows)
            if size is None:
                seen = yield from self._asker.sees_end(last, rows=rows)
            else:
                page = rows // size + 1
                reply = yield from self._asker.ask(Scope.BELOW, page=page, size=size, may_be_blank=True)
                seen = 0 < reply.rows < size and reply.names[-1] == last.names[-1]
                if reply.rows:
                    _confirm(window, count, reply)
            if not window.done:
                yield from self._read_window(window, count)
            elif seen:
                window.end_seen_at = last
                return
        raise ReadAnew("the end of the rows before the edge was not shown")

    def _tail(self, count: KeyCount) -> Rule[frozenset[bytes]]:
        """Return the rows since the edge: of one answer, or of two passes."""

        def deliver(reply: Reply) -> None:
            self._deliver(reply)
            count.add(reply)
            if reply.ask.page == 1:
                self._show(reply)

        self.tail_passes += 1
        reply = yield from self._asker.ask(Scope.SINCE, may_be_blank=True)
        if not reply.rows:
            return frozenset()
        if reply.total == reply.rows and (yield from self._is_all(reply)):
            deliver(reply)
            return frozenset(reply.names)
        names = yield from two_passes(self._asker, Scope.SINCE, deliver=deliver)
        if names is None:
            raise Restless("the rows since the edge did not come to rest")
        return names

    # -- a list that cannot be divided

    def _without_totals(self, reason: str) -> Rule[Claim]:
        """Read a list whose totals are absent, or contradict the rows that they come with."""
        self._note(reason)
        first = yield from self._asker.ask_anything(page=1)
        if not first.rows:
            return Claim("uncertain", reason)
        self._asker.size = self._asker.size or first.size
        try:
            return (yield from self._overlapping(first, use_totals=False))
        except (ReadAnew, Contradiction) as why:
            return Claim("uncertain", str(why))

    def _overlapping(self, first: Reply, *, use_totals: bool) -> Rule[Claim]:
        assert self._asker.size is not None
        self._violation = None
        if self._asker.size < LEAST_PAGE_SIZE:
            self._deliver(first)
            return (yield from self._passed_twice(use_totals=use_totals))
        self._show(first)
        self._deliver(first)
        chain = OverlapChain(
            first,
            page_size=self._asker.size,
            use_totals=use_totals,
            edge_stamp=self._changes_since,
            deliver=self._deliver,
        )
        yield chain
        self.repairs += chain.repairs
        if chain.smaller_size is not None:
            raise ReadAnew(f"the server lowered its pages to {chain.smaller_size} rows", size=chain.smaller_size)
        if failure := chain.failure or self._violation:
            return Claim("uncertain", failure)
        return Claim("proven", "an unbroken chain of overlapping pages", ("order",))

    def _passed_twice(self, *, use_totals: bool) -> Rule[Claim]:
        def deliver(reply: Reply) -> None:
            self._deliver(reply)
            if reply.ask.page == 1:
                self._show(reply)

        if use_totals and (yield from two_passes(self._asker, Scope.ALL, deliver=deliver)) is not None:
            return Claim("proven", "the same rows in two passes, as many as there were at the turn", ("keys",))
        size = self._asker.size
        return Claim("uncertain", f"pages of {size} rows are too small to overlap, and the list did not come to rest")

    # -- an endpoint that is said not to page

    def _unpaged_list(self) -> Rule[Claim]:
        """Ask for page 2 as well: an endpoint that ignores paging answers with the same rows once more."""
        for attempt in range(_READINGS):
            first = yield from self._asker.ask_anything(page=1)
            if not first.rows:
                return BLANK
            if first.total is not None or first.max_size is not None:
                self._note("the endpoint pages, though nothing says that it does")
                self._asker.size = first.rows if first.max_size is None else first.size
                return (yield from self._whole_list())
            second = yield from self._asker.ask_anything(page=2)
            if set(first.names).isdisjoint(second.names) and second.rows:
                self._asker.size = first.rows
                return (yield from self._without_totals("the endpoint pages, though nothing says that it does"))
            if not second.rows or list(second.names) == list(first.names):
                self._show(first)
                self._deliver(first)
                return _one_answer(first.rows, is_blank_behind=not second.rows)
            if attempt == _READINGS - 1:
                self._deliver(first)
        return Claim("uncertain", "the rows changed each time, so that nothing tells whether the endpoint pages")


def _one_answer(rows: int, *, is_blank_behind: bool) -> Claim:
    """Return the claim for one answer of an endpoint that does not page: it may be cut at a round number of rows."""
    if is_blank_behind:
        return Claim("proven", "one answer, and nothing behind it", ("one answer", "blank"))
    if not _may_be_a_limit(rows):
        return Claim("proven", "one answer, as the endpoint does not page", ("one answer",))
    return Claim("uncertain", f"the endpoint does not page, and {rows:,} rows may be where the server cuts its answers")


def _may_be_a_limit(rows: int) -> bool:
    """Whether a server may cut its answers at so many rows: limits are round numbers, or one less."""
    for number in (rows, rows + 1):
        if number >= _ROUND_NUMBER and (not number % _ROUND_NUMBER or not number & (number - 1)):
            return True
    return False


def _proven(reason: str, window: WindowChain) -> Claim:
    rests_on: list[RestsOn] = ["stamps"]
    if window.fell:
        rests_on += ["order", "totals"] if window.linked_by_totals else ["order"]
    return Claim("proven", reason, tuple(rests_on))


def _expect_counted(names: Sequence[bytes], count: KeyCount) -> None:
    """Expect that rows from before the edge came with the window: nothing enters it."""
    if count.missing(names):
        raise ReadAnew("a row from before the edge was not in the window")


def _confirm(window: WindowChain, count: KeyCount, look: Reply) -> None:
    """Process a later look at the window: a row that slid to a page that had been read shows there."""
    _expect_counted(look.names, count)
    window.confirm(look)


def _is_further_back(reply: Reply, places: Mapping[bytes, int]) -> bool:
    """Return whether a page of the window shows a row of page 1 of all at a later position than that did."""
    if places.keys().isdisjoint(reply.names):
        return False
    return any(places.get(name, 1 << 60) < reply.start + offset for offset, name in enumerate(reply.names))


def _same(one: Reply, other: Reply) -> bool:
    return one.total == other.total and list(one.names) == list(other.names)

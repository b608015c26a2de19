"""The protocol that proves a list: which request comes next, and what the answers allow to claim (no IO, no clock).

The rules stand in the order in which they are tried, as generators: each `yield` is a request (`Ask`) or a part that is
read with several requests at once (`_Parallel`), and gets the answer. What the rules rest on is argued in
`completeness.py`.

====================  ================================================================================================
the list              how it is proven
====================  ================================================================================================
is blank              three blank answers
fits into one answer  that answer; if it is full, the end is seen by a page of another size
has a filter          the window before the edge, page by page (`window_chain`), then the closing: the tail since the
                      edge, and page 1 again
the same, busy        rounds of: all, window, tail, until the rows of all are not more than those of both
has none              overlapping pages (`overlap`), for pages of eight rows or more
the same, small       two passes: what was seen before and after the turn, as many as were there at the turn
====================  ================================================================================================
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Final, Protocol

import attrs

from vismanet_async.paging.asks import Ask, Claim, Reply, Scope, contradiction, pages_of
from vismanet_async.paging.overlap import LEAST_PAGE_SIZE, OverlapChain, OverlapPage
from vismanet_async.paging.window_chain import WindowChain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vismanet_async.paging.asks import RestsOn

__all__ = ["KeyCount", "Proof"]

_TRIES: Final = 3  # of an answer that contradicts itself; as many blanks in a row are believed
_ATTEMPTS: Final = 3  # the reading itself, and twice anew
_ROUNDS: Final = 6
_WITNESSES: Final = 2
_FIRST_WAVE: Final = 16  # a 16th of the window may be asked for before its length is known
_ROUND_NUMBER: Final = 50  # limits are multiples of it
COST_PER_PAGE: Final = 4
COST_AT_LEAST: Final = 16
_SECOND: Final = 1_000_000  # stamps are microseconds


class KeyCount(Protocol):
    """Counts different identities."""

    def add(self, reply: Reply) -> None:
        """Take in the identities of an answer."""

    def __len__(self) -> int:
        """Return how many different ones there were."""
        ...

    def missing(self, names: Sequence[bytes]) -> int:
        """Return how many of these were never added."""
        ...


class _Parallel(Protocol):
    """A part of the reading that has several requests in flight."""

    @property
    def done(self) -> bool: ...
    def next_ask(self, in_flight: int) -> Ask | None: ...
    def receive(self, reply: Reply) -> None: ...
    def failed(self, ask: Ask) -> None: ...


_Step = Ask | _Parallel
_Asking = Generator[_Step, Reply | None, Reply]
_Claiming = Generator[_Step, Reply | None, Claim]


class _Again(Exception):  # noqa: N818 - never leaves this module
    """An assumption failed: read anew, with smaller pages if the server lowered their size."""

    def __init__(self, reason: str, *, size: int | None = None) -> None:
        super().__init__(reason)
        self.size = size


class _Restless(Exception):  # noqa: N818 - never leaves this module
    """The list changes too fast for its parts to be compared."""


class _Contradiction(Exception):  # noqa: N818 - never leaves this module
    """An answer contradicted itself three times."""


@attrs.frozen
class _Tail:
    """The rows since the edge: in one answer, or by two passes."""

    names: frozenset[bytes]


class Proof:
    """Reads one list so that it can be proven.

    Args:
        page_size: rows to ask for; None leaves it to the server.
        edge_stamp: the edge between window and tail; None where the endpoint has no such filter.
        window_only: the caller's own filter ends at the edge: there is no tail.
        descending: read the window from its last page: for rows that may be delivered in any order.
        ahead_pages: in page order, how far ahead of the next page to ask.
        ahead: requests that may be in flight for overlapping pages.
        is_strict: bear two false answers with any writes, for one or two requests more.
        deliver: called with each reply whose rows are to be delivered.
        new_count: makes a count of identities.
        pages: False for an endpoint that is said to answer with everything at once.
    """

    def __init__(
        self,
        *,
        page_size: int | None,
        edge_stamp: int | None,
        window_only: bool = False,
        descending: bool,
        ahead_pages: int | None = None,
        ahead: int = 8,
        is_strict: bool = False,
        deliver: Callable[[Reply], None],
        new_count: Callable[[], KeyCount],
        pages: bool = True,
    ) -> None:
        self._size = page_size
        self._edge_stamp = edge_stamp
        self._window_only = window_only
        self._descending = descending
        self._ahead_pages = ahead_pages
        self._ahead = ahead
        self._is_strict = is_strict
        self._deliver = deliver
        self._new_count = new_count
        # what is known of the list
        self._first: Reply | None = None
        self._fresh: frozenset[bytes] = frozenset()  # rows of the tail that any look at page 1 showed
        self._seen_before: frozenset[bytes] = frozenset()  # page 1 of the attempts before
        self._violation: str | None = None
        # the run of the rules
        self._stage = 0
        self._in_flight = 0
        self._is_asked = False
        self.claim: Claim | None = None
        """How it ended; None before."""
        self.notes: list[str] = []
        self.repairs = 0
        self.tail_passes = 0
        self.used_window = False
        self.held = 0
        self._newest: dict[Scope, str] = {}
        self._rules = self._whole_list() if pages else self._unpaged_list()
        self._step: _Step
        self._advance(None)

    # -- what the caller drives

    @property
    def watermark(self) -> str | None:
        """The latest change of which it is known that the rows show it and all before it; None: none is known."""
        return max(self._newest.values(), default="") or None

    def _show(self, reply: Reply) -> None:
        """Note that the rows delivered show the list as of this answer."""
        newest = reply.keys.newest or ""
        scope = reply.ask.scope
        if scope is not Scope.ALL:
            self._newest.pop(Scope.ALL, None)
        self._newest[scope] = max(newest, self._newest.get(scope, "")) if scope is Scope.BELOW else newest

    @property
    def page_size(self) -> int | None:
        """Rows a page by now."""
        return self._size

    def next_ask(self) -> Ask | None:
        """Return a request to send now; None: wait for an answer, or `claim` is there."""
        if self.claim is not None:
            return None
        if isinstance(self._step, Ask):
            ask = None if self._is_asked else self._step
            self._is_asked = True
        else:
            ask = self._step.next_ask(self._in_flight)
        if ask is None:
            return None
        self._in_flight += 1
        return attrs.evolve(ask, stage=self._stage)

    def receive(self, reply: Reply) -> None:
        """Take an answer; one to an earlier stage is of no use."""
        if reply.ask.stage != self._stage or self.claim is not None:
            return
        self._in_flight -= 1
        if isinstance(self._step, Ask):
            self._advance(reply)
            return
        self._step.receive(reply)
        if self._step.done or self._violation is not None:
            self._advance(None)

    def failed(self, ask: Ask) -> None:
        """Take back a request that got no usable answer: it is asked again."""
        if ask.stage != self._stage or self.claim is not None:
            return
        self._in_flight -= 1
        if isinstance(self._step, Ask):
            self._is_asked = False
        else:
            self._step.failed(ask)

    def violated(self, reason: str) -> None:
        """Take note of what the caller saw while it delivered rows: an identity twice, a row out of its place."""
        self._violation = self._violation or reason

    def _advance(self, reply: Reply | None) -> None:
        self._stage += 1
        self._in_flight = 0
        self._is_asked = False
        try:
            self._step = next(self._rules) if reply is None and self._stage == 1 else self._rules.send(reply)
        except StopIteration as end:
            self._end(end.value)

    def _end(self, claim: Claim) -> None:
        self.claim = claim

    # -- single requests

    def _ask(
        self,
        scope: Scope,
        *,
        page: int = 1,
        size: int | None = None,
        may_be_blank: bool = False,
        learns_size: bool = False,
    ) -> _Asking:
        """Ask for a page until the answer agrees with itself. A blank that is unexpected is believed the third time."""
        blanks = odd = 0
        cut_to: int | None = None  # rows of a page that should have more: of two alike, the server's own size
        while True:
            reply = yield Ask(scope, page, size or self._size)
            assert reply is not None
            if not reply.rows and not reply.total:
                blanks += 1
                if may_be_blank or blanks >= _TRIES:
                    return reply
                continue
            if learns_size and reply.total is not None and cut_to == reply.rows < min(reply.size, reply.total):
                self._size = reply.rows
                return attrs.evolve(reply, max_size=reply.rows)
            if learns_size:
                self._size, cut_to = reply.size, reply.rows
            elif self._size is not None and size is None and reply.size < self._size:
                raise _Again(f"the server lowered its pages to {reply.size} rows", size=reply.size)
            why = contradiction(reply) or self._wrong_side(reply)
            if why is None:
                return reply
            odd += 1
            blanks = 0
            if odd >= _TRIES:
                raise _Contradiction(why)

    def _wrong_side(self, reply: Reply) -> str | None:
        if self._edge_stamp is None or reply.ask.scope is Scope.ALL:
            return None
        stamps = [stamp for stamp in reply.keys.stamps if stamp]
        below, edge = reply.ask.scope is Scope.BELOW, self._edge_stamp
        wrong = max(stamps, default=0) >= edge + _SECOND if below else min(stamps, default=edge) + _SECOND <= edge
        return "the server does not apply its last-modified filter" if wrong else None

    def _look(self, scope: Scope, *, learns_size: bool = False) -> _Asking:
        """Ask for page 1 of all or of the window."""
        reply = yield from self._ask(scope, learns_size=learns_size)
        if scope is Scope.ALL and self._edge_stamp is not None:
            self._fresh |= reply.since(self._edge_stamp)
        return reply

    def _sees_end(self, scope: Scope, rows: int, last: bytes) -> Generator[_Step, Reply | None, bool]:
        """Whether a list whose last page is full ends there, with this row.

        By a page of another size, which is short there: no blank answer is trusted. Where there is none, by a blank
        page behind it, twice, and the last page once more.
        """
        assert self._size is not None
        size = next((size for size in range(self._size - 1, 1, -1) if rows % size), None)
        if size is not None:
            reply = yield from self._ask(scope, page=rows // size + 1, size=size)
            return reply.total == rows and reply.rows == rows % size and reply.names[-1] == last
        for _ in range(2):
            reply = yield from self._ask(scope, page=rows // self._size + 1, may_be_blank=True)
            if reply.rows:
                return False
        reply = yield from self._ask(scope, page=rows // self._size)
        return reply.total == rows and bool(reply.rows) and reply.names[-1] == last

    # -- the rules

    def _whole_list(self) -> _Claiming:
        reason = ""
        for _ in range(_ATTEMPTS):
            try:
                return (yield from self._attempt())
            except _Again as again:
                reason = str(again)
                self._note(reason)
                self._size = again.size or self._size
            except _Restless as why:
                reason = str(why)
                break
            except _Contradiction as why:
                self._note(str(why))
                return (yield from self._without_totals(str(why)))
            finally:
                self._violation = None
        try:
            return (yield from self._without_filter(reason))
        except (_Again, _Contradiction) as why:
            return Claim("uncertain", str(why))

    def _note(self, reason: str) -> None:
        if reason not in self.notes:
            self.notes.append(reason)

    def _attempt(self) -> _Claiming:
        self._first = None
        first = yield from self._look(Scope.ALL, learns_size=True)
        if not first.rows:
            return Claim("proven", "the list was blank three times", ("blank",))
        assert first.total is not None
        assert self._size is not None
        knows_more = self._seen_before - set(first.names)
        self._seen_before |= set(first.names)
        if first.total == first.rows and not knows_more:
            is_whole = first.rows < self._size or (yield from self._sees_end(Scope.ALL, first.rows, first.names[-1]))
            if is_whole:
                self._deliver(first)
                self._newest.clear()
                self._show(first)
                return Claim("proven", "one answer held the whole list")
        self._first = first.light()
        if self._edge_stamp is None or (not self._window_only and first.keys.unstamped):
            return (yield from self._overlapping(first, use_totals=True))
        del first  # its rows come again with the window
        return (yield from self._windowed(self._first))

    # an endpoint that is said not to page

    def _unpaged_list(self) -> _Claiming:
        """Ask for page 2 as well: an endpoint that ignores paging answers with the same rows once more."""
        try:
            for _ in range(_TRIES):
                first = yield from self._ask_plainly(1)
                if not first.rows:
                    return Claim("proven", "the list was blank three times", ("blank",))
                if first.total is not None or first.max_size is not None:
                    self._note("the endpoint pages, though nothing says that it does")
                    self._size = first.size if first.max_size is not None else first.rows
                    return (yield from self._whole_list())
                second = yield from self._ask_plainly(2)
                self._show(first)
                if not second.rows:
                    self._deliver(first)
                    return Claim("proven", "one answer, and nothing behind it", ("one answer", "blank"))
                if list(second.names) == list(first.names):
                    self._deliver(first)
                    return _ignores_paging(first.rows)
                if set(first.names).isdisjoint(second.names):
                    self._note("the endpoint pages, though nothing says that it does")
                    self._size = first.rows
                    return (yield from self._overlapping(first, use_totals=False))
        except (_Again, _Contradiction) as why:
            return Claim("uncertain", str(why))
        self._deliver(first)
        return Claim("uncertain", "the rows changed each time, so that nothing tells whether the endpoint pages")

    def _ask_plainly(self, page: int) -> _Asking:
        for _ in range(_TRIES):
            reply = yield Ask(Scope.ALL, page, None)
            assert reply is not None
            if reply.rows:
                break
        return reply

    # a list that can be divided at an edge in time

    def _windowed(self, first: Reply) -> _Claiming:
        assert self._size is not None
        assert self._edge_stamp is not None
        assert first.total is not None
        count = self._new_count()
        places = {name: offset for offset, name in enumerate(first.names)}

        def deliver(reply: Reply) -> None:
            self._deliver(reply)
            self._show(reply)
            count.add(reply)
            if _is_further_back(reply, places):
                self.violated("a row was further back than page 1 of all showed it")

        self.used_window = True
        window = WindowChain(
            size=self._size,
            edge_stamp=self._edge_stamp,
            descending=self._descending,
            guess=first.total,
            trusts_guess=not self._fresh,
            wave=pages_of(first.total, self._size) // _FIRST_WAVE,
            ahead_pages=self._ahead_pages,
            deliver=deliver,
        )
        yield from self._read_window(window, count)
        if self._window_only:
            return (yield from self._closed_without_tail(window, count))
        return (yield from self._closing(first, window, count))

    def _read_window(self, window: WindowChain, count: KeyCount) -> Generator[_Step, Reply | None, None]:
        assert self._size is not None
        yield _WindowPart(window, self._size)
        window.pause()
        self.repairs += window.repairs
        window.repairs = 0
        if window.smaller_size is not None:
            raise _Again(f"the server lowered its pages to {window.smaller_size} rows", size=window.smaller_size)
        if window.is_too_busy:
            raise _Restless("rows leave too often to be read in page order")
        violation = window.violation or self._violation
        if violation is not None:
            raise _Again(violation)
        if len(count) < (window.total or 0) or (not window.fell and len(count) != window.total):
            raise _Again(f"{len(count)} different rows came of a window of {window.total}")

    def _see_end_of(self, window: WindowChain, count: KeyCount) -> Generator[_Step, Reply | None, None]:
        """See that nothing stands behind the window's last row: rows that stay keep their order, and none enter."""
        assert self._size is not None
        for _ in range(_TRIES):
            last, rows = window.last_page, window.total
            if last is None or not rows or not window.end_is_open:
                return
            size = next((size for size in range(self._size - 1, 1, -1) if rows % size), None)
            if size is None:
                seen = yield from self._sees_end(Scope.BELOW, rows, last.names[-1])
            else:
                reply = yield from self._ask(Scope.BELOW, page=rows // size + 1, size=size, may_be_blank=True)
                seen = 0 < reply.rows < size and reply.names[-1] == last.names[-1]
                window.confirm(reply)
            if not window.done:
                yield from self._read_window(window, count)
            elif seen:
                window.end_seen_at = last
                return
        raise _Again("the end of the part that can only shrink was not shown")

    def _closed_without_tail(self, window: WindowChain, count: KeyCount) -> _Claiming:
        for _ in range(_ROUNDS):
            yield from self._settle(window, count)
            yield from self._see_end_of(window, count)
            look = yield from self._look(Scope.BELOW)
            if (look.total or 0) <= len(count):
                return self._proven("the filter ends where rows are not written any more", window)
            window.confirm(look)
        raise _Again("the window did not come to rest")

    def _settle(self, window: WindowChain, count: KeyCount) -> Generator[_Step, Reply | None, None]:
        """Have later answers vouch for the totals that link a window's pages; read again what they do not vouch for."""
        while True:
            if not window.done:
                yield from self._read_window(window, count)
            if window.is_settled:
                return
            window.confirm((yield from self._look(Scope.BELOW)))

    def _proven(self, reason: str, window: WindowChain) -> Claim:
        rests_on: list[RestsOn] = ["stamps"]
        if window.fell:
            rests_on += ["order", "totals"] if window.linked_by_totals else ["order"]
        return Claim("proven", reason, tuple(rests_on))

    def _closing(self, first: Reply, window: WindowChain, count: KeyCount) -> _Claiming:
        assert self._size is not None
        whole = len(count)
        is_quiet = not window.fell and first.total == whole and not self._is_strict
        if is_quiet and not self._fresh and window.end_is_open:
            # the window is all there is; its last page is full: the end of everything shows both
            look = yield from self._look(Scope.ALL)
            last = window.last_page
            if _same(look, first) and not self._fresh and last is not None:
                if (yield from self._sees_end(Scope.ALL, whole, last.names[-1])):
                    return self._proven("the rows before the edge are all there are", window)
        tail = yield from self._tail(count)
        if not window.fell and not self._is_strict:
            at_window = not self._descending and bool(tail.names or self._fresh or first.total != whole)
            before = window.first_page if at_window else first
            look = yield from self._look(Scope.BELOW if at_window else Scope.ALL)
            agrees = before is not None and _same(look, before) and self._fresh <= tail.names
            # rows of a tail that agree with its total say that totals are not too low for ever
            end_is_plausible = bool(tail.names) or window.blank_above or not window.end_is_open
            if agrees and end_is_plausible and first.total == len(count):
                return self._proven("the rows before the edge, and the rest in one answer", window)
        return (yield from self._rounds(window, count, tail))

    def _rounds(self, window: WindowChain, count: KeyCount, tail: _Tail) -> _Claiming:
        """Whatever moved: the tail before is part of the tail after, and all the rows there are in one of the two."""
        assert self._edge_stamp is not None
        for _ in range(_ROUNDS):
            yield from self._settle(window, count)
            yield from self._see_end_of(window, count)
            everything = yield from self._look(Scope.ALL)
            fresh = everything.since(self._edge_stamp)
            if count.missing([name for name in everything.names if name not in fresh]):
                raise _Again("a row from before the edge was not in the window")
            below = yield from self._look(Scope.BELOW)
            window.confirm(below)
            if not window.done:
                continue  # a row has left: pages that nothing vouches for are read again
            newer = yield from self._tail(count)
            if tail.names <= newer.names and (everything.total or 0) <= (below.total or 0) + len(newer.names):
                return self._proven("the rows before the edge, and the rest", window)
            tail = newer
        raise _Restless("rows were changed faster than the end could be read")

    def _tail(self, count: KeyCount) -> Generator[_Step, Reply | None, _Tail]:
        """Ask for the rows since the edge."""
        assert self._size is not None
        self.tail_passes += 1
        reply = yield from self._ask(Scope.SINCE, may_be_blank=True)
        if not reply.rows:
            return _Tail(frozenset())
        is_short = reply.total == reply.rows < self._size
        if is_short or (
            reply.total == reply.rows and (yield from self._sees_end(Scope.SINCE, reply.rows, reply.names[-1]))
        ):
            self._deliver(reply)
            self._show(reply)
            count.add(reply)
            return _Tail(frozenset(reply.names))
        names = yield from self._two_passes(Scope.SINCE, count)
        if names is None:
            raise _Restless("the rows since the edge did not come to rest")
        return _Tail(frozenset(names))

    # a list that cannot be divided

    def _without_filter(self, reason: str) -> _Claiming:
        self._note(reason)
        first = yield from self._look(Scope.ALL)
        if not first.rows:
            return Claim("proven", "the list was blank three times", ("blank",))
        return (yield from self._overlapping(first, use_totals=True))

    def _without_totals(self, reason: str) -> _Claiming:
        """Totals are absent, or contradict the rows they came with."""
        reply = yield Ask(Scope.ALL, 1, self._size)
        assert reply is not None
        if not reply.rows:
            return Claim("uncertain", reason)
        if self._size is None:
            self._size = reply.size
        try:
            return (yield from self._overlapping(reply, use_totals=False))
        except (_Again, _Contradiction) as why:
            return Claim("uncertain", f"{reason}; {why}")

    def _overlapping(self, first: Reply, *, use_totals: bool) -> _Claiming:
        assert self._size is not None
        if self._size < LEAST_PAGE_SIZE:
            return (yield from self._passed_twice(use_totals=use_totals))
        self._deliver(first)
        self._newest.clear()
        self._show(first)
        chain = OverlapChain(
            first, page_size=self._size, use_totals=use_totals, ahead=self._ahead, deliver=self._deliver
        )
        yield _OverlapPart(chain)
        self.repairs += chain.repairs
        if chain.smaller_size is not None:
            raise _Again(f"the server lowered its pages to {chain.smaller_size} rows", size=chain.smaller_size)
        if chain.failure is not None or self._violation is not None:
            return Claim("uncertain", chain.failure or self._violation or "")
        return Claim("proven", "an unbroken chain of overlapping pages", ("order",))

    def _passed_twice(self, *, use_totals: bool) -> _Claiming:
        if use_totals and (yield from self._two_passes(Scope.ALL)) is not None:
            return Claim("proven", "the same rows in two passes, as many as there were at the turn", ("keys",))
        return Claim("uncertain", f"pages of {self._size} rows are too small to overlap, and the list did not rest")

    def _two_passes(
        self, scope: Scope, count: KeyCount | None = None
    ) -> Generator[_Step, Reply | None, set[bytes] | None]:
        """Return the identities of a list that came to rest for a moment; None for one that did not."""
        for _ in range(_TRIES):
            names = yield from self._two_passes_once(scope, count)
            if names is not None:
                return names
        return None

    def _two_passes_once(
        self, scope: Scope, count: KeyCount | None
    ) -> Generator[_Step, Reply | None, set[bytes] | None]:
        assert self._size is not None
        totals: set[int] = set()
        upwards: set[bytes] = set()
        heads: dict[bytes, int] = {}
        page = 1
        while True:
            turn = yield from self._ask(scope, page=page)
            totals.add(turn.total or 0)
            if page == 1:
                if scope is Scope.ALL:
                    self._newest.clear()
                self._show(turn)
            if turn.rows and heads.setdefault(turn.names[0], page) != page:
                return None
            upwards.update(turn.names)
            self._deliver(turn)
            if count is not None:
                count.add(turn)
            if page * self._size >= (turn.total or 0):
                break
            page += 1
        rows = turn.total or 0
        downwards = set(turn.names)
        for below in range(page - 1, 0, -1):
            reply = yield from self._ask(scope, page=below)
            totals.add(reply.total or 0)
            if reply.rows and heads.get(reply.names[0], below) != below:
                return None
            downwards.update(reply.names)
            self._deliver(reply)
            if count is not None:
                count.add(reply)
        both = upwards & downwards
        if len(totals) > 1 or len(both) != rows or not rows:
            return None
        if turn.rows == self._size and not (yield from self._sees_end(scope, rows, turn.names[-1])):
            return None
        return both


def _ignores_paging(rows: int) -> Claim:
    """Return what one answer of an endpoint that ignores paging claims: it may be cut at a round number of rows."""
    if rows % _ROUND_NUMBER:
        return Claim("proven", "one answer, as the endpoint does not page", ("one answer",))
    return Claim("uncertain", f"the endpoint does not page, and {rows:,} rows may be where the server cuts its answers")


def _is_further_back(reply: Reply, places: Mapping[bytes, int]) -> bool:
    """Whether a page of the window shows a row of page 1 of all at a later place than that did."""
    if places.keys().isdisjoint(reply.names):
        return False
    return any(places.get(name, 1 << 60) < reply.start + offset for offset, name in enumerate(reply.names))


def _same(one: Reply, other: Reply) -> bool:
    return one.total == other.total and list(one.names) == list(other.names)


@attrs.define
class _WindowPart:
    """A window, as a part that the rules yield."""

    chain: WindowChain
    size: int

    @property
    def done(self) -> bool:
        return self.chain.done

    def next_ask(self, in_flight: int) -> Ask | None:
        page = self.chain.next_page(in_flight)
        return None if page is None else Ask(Scope.BELOW, page, self.size)

    def receive(self, reply: Reply) -> None:
        self.chain.receive(reply)

    def failed(self, ask: Ask) -> None:
        self.chain.failed(ask.page)


@attrs.define
class _OverlapPart:
    """Overlapping pages, as a part that the rules yield."""

    chain: OverlapChain

    @property
    def done(self) -> bool:
        return self.chain.done

    def next_ask(self, in_flight: int) -> Ask | None:
        page = self.chain.next_page(in_flight)
        return None if page is None else Ask(Scope.ALL, page.number, page.size)

    def receive(self, reply: Reply) -> None:
        self.chain.receive(OverlapPage(reply.ask.page, reply.ask.size or 0), reply)

    def failed(self, ask: Ask) -> None:
        self.chain.failed(OverlapPage(ask.page, ask.size or 0))

"""The rules that prove a list: which request comes next, and what its answers prove (no IO, no clock).

The rules are in the order in which they are tried. `guarantee.py` argues what they rest on, `protocol.py` runs them.

====================  ================================================================================================
the list              how it is proven
====================  ================================================================================================
is blank              three blank answers
fits into one answer  that answer; if it is full, the end is seen by a page of another size
has a filter          the window before the edge, page by page (`window_chain`), and the end of everything with it;
                      where there is more than the window, the closing (`windowed_list`): the tail, and page 1 again
the same, busy        rounds of all, window and tail, until the rows of all are not more than those of both
has none              overlapping pages (`overlap`), for pages of eight rows or more
the same, small       three passes (`passes`)
is said not to page   page 2 as well: the same rows again, or it pages after all
====================  ================================================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vismanet_async._paging.asks import BLANK, Claim, Reply, Scope
from vismanet_async._paging.overlap import LEAST_PAGE_SIZE, OverlapChain
from vismanet_async._paging.passes import LATER_PASSES, rows_at_turn
from vismanet_async._paging.protocol import TRIES, Contradiction, KeyCount, ReadAnew, Restless, Rule, RuleRunner
from vismanet_async._paging.reading import Reading
from vismanet_async._paging.windowed_list import WindowedList

if TYPE_CHECKING:
    from collections.abc import Callable

    from vismanet_async._paging.asks import Ask

__all__ = ["Proof"]

_READINGS: Final = 3  # the first one, and twice anew
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
        self._reading = Reading(page_size=page_size, edge_stamp=edge_stamp, is_strict=is_strict, deliver=deliver)
        self._asker = self._reading.asker
        self._window_only = window_only
        self._changes_since = changes_since
        self._descending = descending
        self._ahead_pages = ahead_pages
        self._new_count = new_count
        self._seen_before: frozenset[bytes] = frozenset()  # page 1 of the readings before
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
    def notes(self) -> list[str]:
        """What went wrong on the way, in words."""
        return self._reading.notes

    @property
    def repairs(self) -> int:
        """The number of pages that were read again."""
        return self._reading.repairs

    @property
    def tail_passes(self) -> int:
        """How often the rows since the edge were asked for."""
        return self._reading.tail_passes

    @property
    def used_window(self) -> bool:
        """Whether the list was divided at the edge."""
        return self._reading.used_window

    @property
    def watermark(self) -> str | None:
        """The latest change that the rows are known to show, with all before it; None: none is known."""
        return self._reading.watermark

    def next_ask(self) -> Ask | None:
        """Return a request to send now; None: wait for an answer, or `claim` is there."""
        return self._runner.next_ask()

    def receive(self, reply: Reply) -> None:
        """Process an answer."""
        if reply.ask.scope is not Scope.ALL:
            self._reading.note_filtered(reply)
        self._runner.receive(reply)

    def receive_error(self, ask: Ask) -> None:
        """Ask again what got no usable answer."""
        self._runner.receive_error(ask)

    def report_violation(self, reason: str) -> None:
        """Record what the caller saw while it delivered rows: an identity twice, a row out of its place."""
        self._reading.report_violation(reason)

    # -- any list

    def _whole_list(self) -> Rule[Claim]:
        reason = ""
        for _ in range(_READINGS):
            self._reading.violation = None
            try:
                return (yield from self._one_reading())
            except ReadAnew as again:
                reason = str(again)
                self._reading.note(reason)
                self._asker.size = again.size or self._asker.size
            except Restless as why:
                reason = str(why)
                break
            except Contradiction as why:
                return (yield from self._without_totals(str(why)))
        self._reading.note(reason)
        try:
            first = yield from self._page_1(use_totals=True)
            return (yield from self._overlapping(first, use_totals=True)) if first.rows else BLANK
        except (ReadAnew, Contradiction) as why:
            return Claim("uncertain", str(why))

    def _one_reading(self) -> Rule[Claim]:
        first = yield from self._reading.look(Scope.ALL, learns_size=True)
        if not first.rows:
            return BLANK
        if first.total is None:
            self._reading.note("the server tells no totals")
            return (yield from self._overlapping(first, use_totals=False))
        lacks_known = self._seen_before - set(first.names)
        self._seen_before |= set(first.names)
        if first.total == first.rows and not lacks_known and (yield from self._reading.is_all(first)):
            self._reading.show(first)
            return Claim("proven", "one answer held the whole list")
        if self._asker.edge_stamp is None or (not self._window_only and first.keys.unstamped):
            return (yield from self._overlapping(first, use_totals=True))
        first = first.light()  # its rows come again with the window
        return (yield from self._windowed(first))

    def _windowed(self, first: Reply) -> Rule[Claim]:
        self._reading.used_window = True
        return WindowedList(
            self._reading,
            first,
            count=self._new_count(),
            window_only=self._window_only,
            descending=self._descending,
            ahead_pages=self._ahead_pages,
        ).read()

    # -- a list that cannot be divided

    def _without_totals(self, reason: str) -> Rule[Claim]:
        """Read a list whose totals are absent, or contradict the rows that they come with."""
        self._reading.note(reason)
        first = yield from self._page_1(use_totals=False)
        if not first.rows:
            return Claim("uncertain", reason)
        self._asker.size = self._asker.size or first.size
        try:
            return (yield from self._overlapping(first, use_totals=False))
        except (ReadAnew, Contradiction) as why:
            return Claim("uncertain", str(why))

    def _overlapping(self, first: Reply, *, use_totals: bool) -> Rule[Claim]:
        assert self._asker.size is not None
        self._reading.violation = None
        for _ in range(TRIES - 1):
            if self._reading.is_of_a_part(first):  # believed the third time
                first = yield from self._page_1(use_totals=use_totals)
        if not first.rows:
            return BLANK
        if self._asker.size < LEAST_PAGE_SIZE:
            self._reading.deliver(first)
            return (yield from self._passed_again(use_totals=use_totals))
        count = self._new_count()

        def deliver(reply: Reply) -> None:
            self._reading.deliver(reply)
            count.add(reply)

        self._reading.mark(first)
        deliver(first)
        chain = OverlapChain(
            first,
            page_size=self._asker.size,
            use_totals=use_totals,
            edge_stamp=self._changes_since,
            is_of_a_part=self._reading.is_of_a_part,
            deliver=deliver,
        )
        yield chain
        self._reading.repairs += chain.repairs
        if chain.smaller_size is not None:
            raise ReadAnew(f"the server lowered its pages to {chain.smaller_size} rows", size=chain.smaller_size)
        if failure := chain.failure or self._reading.violation:
            return Claim("uncertain", failure)
        if len(count) < chain.least_rows:
            why = f"{len(count)} different rows came from {chain.least_rows} places: some have the same identity"
            return Claim("uncertain", why)
        return Claim("proven", "an unbroken chain of overlapping pages", ("order",))

    def _page_1(self, *, use_totals: bool) -> Rule[Reply]:
        return self._reading.look(Scope.ALL) if use_totals else self._asker.ask_anything(page=1)

    def _passed_again(self, *, use_totals: bool) -> Rule[Claim]:
        def deliver(reply: Reply) -> None:
            self._reading.deliver(reply)
            if reply.ask.page == 1:
                self._reading.mark(reply)

        later = LATER_PASSES + self._reading.is_strict
        if use_totals and (yield from rows_at_turn(self._asker, Scope.ALL, later_passes=later, deliver=deliver)):
            return Claim("proven", "the same rows in all passes, as many as there were at the turn", ("keys",))
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
                self._reading.note("the endpoint pages, though nothing says that it does")
                self._asker.size = first.rows if first.max_size is None else first.size
                return (yield from self._whole_list())
            second = yield from self._asker.ask_anything(page=2)
            if set(first.names).isdisjoint(second.names) and second.rows:
                self._asker.size = first.rows
                return (yield from self._without_totals("the endpoint pages, though nothing says that it does"))
            if not second.rows or list(second.names) == list(first.names):
                self._reading.show(first)
                return _one_answer(first.rows, is_blank_behind=not second.rows)
            if attempt == _READINGS - 1:
                self._reading.deliver(first)
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

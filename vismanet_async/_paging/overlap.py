"""Prove a list by pages of other sizes, whose ends overlap: no stamp, no filter and no total is needed (no IO).

A page of another size begins elsewhere, so that an answer can show rows of the one before it. Such a row, if it was not
changed meanwhile, is an *anchor*. The answers form a chain: *every row that stays and was not delivered stands behind
all rows of the chain.* Take an answer with an anchor. A row that was not delivered stands behind the anchor. Were it
within the answer, it would be delivered; so it stands behind the answer's last row too, which joins the chain. An
answer with an anchor that is shorter than its page is the end.

Others may insert and delete what they like: the order of rows that nobody changes has no time. A changed row is no
anchor; in an order by anything that a change leaves alone it stays where it is. If anchors come in another order than
before, nothing is proven.

In a list that is in the order of its changes (`row_order.py`) a row that was not delivered can go in front of the
chain's end: anywhere among the rows since the edge, as its stamp may be late. So there anchors are older than the edge,
and the rows since then are seen in one answer: the last one, or, where the newest come first, page 1, looked at again
at the end. Where they are more than a page, nothing is proven. Of rows without stamps it is taken for granted that a
change leaves them where they are, or takes them to one end of the list.

A server may lower the size of its pages without a word. So without totals a short answer shows the end only if the page
is no larger than some answer was: that many rows the server does give. Pages of fewer than eight rows are taken for
what was asked.

After rows [0, end) the next page is number k of size q, with (k - 1) * q at least `margin` rows before the end, and
k * q as far behind it as possible. For pages of 1,000 that takes about 1.05 times the pages; the smaller the pages and
the longer the list, the more (`docs/paging.md`, what it costs).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from vismanet_async._paging.asks import Ask, Reply, Scope, contradiction, doubles
from vismanet_async._paging.row_order import RowOrder

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LEAST_PAGE_SIZE", "OverlapChain", "OverlapPage", "overlapping_page"]

LEAST_PAGE_SIZE: Final = 8
"""Below it hardly any page of another size gains rows."""
_CHOICES: Final = 12  # page numbers tried for the one that gains most
_LEAST_MARGIN: Final = 3
_TRIES: Final = 3
_MOST_AHEAD: Final = 16  # requests that are planned before the answers in front of them have come
_ENDS: Final = 3  # short answers that show the end: two of them may be copies of pages of a smaller size
_ENDS_WITH_TOTALS: Final = 2  # which those agree with
_LOOKS: Final = 3  # at the front of a list whose newest changes may come first: two of them may be false
_TOO_MANY_CHANGES: Final = (
    "the list is in the order of its changes, and a page does not hold those of the last 13 hours"
)
_LONGEST: Final = 5  # times the page size in pages: beyond it, steps gain too little


class OverlapPage(msgspec.Struct, frozen=True):
    """A page of some size."""

    number: int
    """Counted from 1."""
    size: int

    @property
    def start(self) -> int:
        """Position of its first row, counted from 0."""
        return (self.number - 1) * self.size

    @property
    def stop(self) -> int:
        """Position behind its last row, where it is full."""
        return self.number * self.size


def _page_of(ask: Ask) -> OverlapPage:
    return OverlapPage(ask.page, ask.size or 0)


def margin_of(page_size: int) -> int:
    """Return how many rows pages share: some of them may leave meanwhile."""
    return max(_LEAST_MARGIN, page_size // 50)


def overlapping_page(end: int, *, page_size: int, margin: int) -> OverlapPage:
    """Choose the page that begins at least `margin` rows before `end` and reaches furthest behind it.

    Where none of them reaches further than `end`, one that begins nearer to it, unless more than the usual margin is
    asked for.

    Args:
        end: rows of the chain so far.
        page_size: the largest page.
        margin: rows that must lie before `end`; all of them where there are fewer.

    Examples:
        >>> page = overlapping_page(1_000, page_size=1_000, margin=20)
        >>> page.number, page.size, page.start, page.stop
        (2, 980, 980, 1960)
    """
    best = _furthest(max(0, end - margin), page_size, _CHOICES)
    for begin in range(end - margin + 1, end if margin == margin_of(page_size) else 0):
        if best.stop > end:
            break
        best = _furthest(begin, page_size, begin)
    return best


def _furthest(begin: int, page_size: int, choices: int) -> OverlapPage:
    """Return the page that reaches furthest of those that begin at a row or before it."""
    least = max(2, begin // page_size + 1)
    pages = (OverlapPage(number, min(page_size, begin // (number - 1))) for number in range(least, least + choices))
    return max((page for page in pages if page.size), key=lambda page: page.stop, default=OverlapPage(1, page_size))


class OverlapChain:
    """Links overlapping pages of one list into a chain without a gap.

    Args:
        first: page 1, read before; its rows are delivered.
        page_size: the largest page that the server gives.
        use_totals: False where totals are absent or contradict their rows.
        edge_stamp: the moment that all changes are stamped with or later; None where rows do not tell.
        is_of_a_part: whether an answer is a copy of one that a filter has thinned out.
        deliver: called with each reply whose rows may be delivered, in the order of the list.
    """

    def __init__(
        self,
        first: Reply,
        *,
        page_size: int,
        use_totals: bool,
        edge_stamp: int | None,
        is_of_a_part: Callable[[Reply], bool],
        deliver: Callable[[Reply], None],
    ) -> None:
        self._order = RowOrder(edge_stamp)
        self._order.note(first)
        self._is_weak = False  # the present answer shows no unchanged row from before the edge
        self._has_weak_link = False
        self._looks = 0
        self._page_size = page_size
        self._margin = margin_of(page_size)
        self._use_totals = use_totals
        self._is_of_a_part = is_of_a_part
        self._deliver = deliver
        self._first = first
        self._chain: deque[Reply] = deque([first], maxlen=2)  # whose rows can be anchors
        self._end = first.rows
        self._back = self._margin
        self._short = int(first.rows < page_size)
        self._largest = first.rows  # so many rows the server gives in one answer
        self._has_totals = use_totals and first.total is not None
        self._is_end_shown = self._has_totals  # by a short answer that cannot be a lowered page
        self._front: bool | None = None  # whether the look at page 1 is under way
        self._planned: deque[OverlapPage] = deque()
        self._unsent: deque[OverlapPage] = deque()
        self._replies: dict[OverlapPage, Reply] = {}
        self._odd: dict[OverlapPage, int] = {}
        self._unchanged: set[int] = set()  # offsets in the present answer that the chain shows already
        self._is_at_rest = True  # each link shows some row at the place where it was
        self.total = first.total
        self.repairs = 0
        self.smaller_size: int | None = None
        """The server lowered the page size to this; the reading has ended."""
        self.failure: str | None = None
        """Why nothing is proven; the reading has ended."""
        self.is_complete = False
        """Every row that stayed was delivered."""

    @property
    def done(self) -> bool:
        """Whether the chain has reached the end, or cannot."""
        return self.is_complete or self.failure is not None or self.smaller_size is not None

    @property
    def least_rows(self) -> int:
        """So many different rows the chain must have shown: one at each place of a list that did not move."""
        return self._end if self._is_at_rest else 0

    @property
    def buffered(self) -> int:
        """The number of answers that wait for those before them."""
        return len(self._replies)

    def next_ask(self, in_flight: int) -> Ask | None:
        """Return a request to send now; None: wait for an answer."""
        if self.done:
            return None
        if not self._unsent and in_flight < _MOST_AHEAD:
            self._plan()
        if not self._unsent:
            return None
        page = self._unsent.popleft()
        return Ask(Scope.ALL, page.number, page.size)

    def receive_error(self, ask: Ask) -> None:
        """Ask again what got no answer."""
        page = _page_of(ask)
        if page in self._planned:
            self._unsent.appendleft(page)

    def _plan(self) -> None:
        """Plan the next page; several ahead only as far as there are rows by the total."""
        if self._front:
            page = OverlapPage(1, self._page_size)
            if not self._planned:
                self._add(page)
            return
        if not self._planned:
            lowered = self._short and not self._is_end_shown and self._largest >= LEAST_PAGE_SIZE
            size = self._largest if lowered else self._page_size
            self._add(overlapping_page(self._end, page_size=size, margin=self._back))
            return
        last = self._planned[-1]
        if not self._use_totals or self.total is None or last.stop >= self.total or self._short:
            return
        page = overlapping_page(last.stop, page_size=self._page_size, margin=self._margin)
        if page.stop > last.stop:
            self._add(page)

    def _add(self, page: OverlapPage) -> None:
        self._planned.append(page)
        self._unsent.append(page)

    def receive(self, reply: Reply) -> None:
        """Process an answer."""
        page = _page_of(reply.ask)
        if page not in self._planned:
            return  # planned before the chain had to go back
        if reply.size < page.size:
            self.smaller_size = reply.size
            return
        self._replies[page] = reply
        while self._planned and not self.done and (reply_there := self._replies.pop(self._planned[0], None)):
            self._take(self._planned[0], reply_there)

    def _take(self, page: OverlapPage, reply: Reply) -> None:
        why = self._complaint(reply)
        if why is None and self._odd.get(page, 0) < _TRIES - 1:
            why = self._doubt(page, reply)
        if why is not None:
            self._try_again(page, why)
            return
        self._order.note(reply)
        if page.start == 0 and self._front:
            self._planned.popleft()
            self._look_at_the_front(reply)
        elif page.start == 0 or self._anchors(reply):
            if self.failure is None:
                self._planned.popleft()
                self._extend(page, reply)
        else:
            self._go_back()

    def _complaint(self, reply: Reply) -> str | None:
        if self._use_totals and (reply.rows or reply.total is not None):
            return contradiction(reply)
        size, stop = reply.ask.size or 0, reply.start + reply.rows
        if reply.rows < size and stop < (reply.total or 0):
            return f"page {reply.ask.page} ended after {reply.rows} rows, and its total says that more follow"
        return doubles(reply) or ("more rows came than were asked for" if reply.rows > size else None)

    def _doubt(self, page: OverlapPage, reply: Reply) -> str | None:
        """Return what is believed only when it comes three times."""
        if not reply.rows and page.start == 0:
            return "an answer without rows"
        return "the answer to a request for a part of the list" if self._is_of_a_part(reply) else None

    def _try_again(self, page: OverlapPage, why: str) -> None:
        self._odd[page] = self._odd.get(page, 0) + 1
        self.repairs += 1
        if self._odd[page] >= _TRIES:
            self.failure = why
        else:
            self._unsent.appendleft(page)

    def _go_back(self) -> None:
        """Look further back, as no row of the chain was in the answer: too many left before it, or it was blank."""
        self.repairs += 1
        self._back *= 2
        if self._order.is_by_change and self._back > self._page_size:
            self.failure = _TOO_MANY_CHANGES
        self._forget_plan()

    def _forget_plan(self) -> None:
        self._planned.clear()
        self._unsent.clear()
        self._replies.clear()

    def _anchors(self, reply: Reply) -> bool:
        """Return whether the answer shows an unchanged row of the chain; in another order, nothing is proven."""
        found = is_steady = False
        self._is_weak = True
        self._unchanged = set()
        offsets = {name: offset for offset, name in enumerate(reply.names)}
        for known in self._chain:
            there = [(offset, offsets[name]) for offset, name in enumerate(known.names) if name in offsets]
            places = [place for offset, place in there if known.mark(offset) == reply.mark(place)]
            found = found or bool(places)
            is_steady = is_steady or any(known.start + offset == reply.start + place for offset, place in there)
            self._is_weak = self._is_weak and not any(self._order.is_old(reply, place) for place in places)
            self._unchanged.update(places)
            if places != sorted(places):
                self.failure = "the order of the rows is not stable"
        self._is_at_rest = self._is_at_rest and is_steady
        return found and not (self._order.is_by_change and self._is_weak)

    def _extend(self, page: OverlapPage, reply: Reply) -> None:
        if page.start == 0:
            self._anchors(reply)  # none is needed: nothing precedes page 1
        else:
            self._has_weak_link = self._has_weak_link or self._is_weak
        self._deliver(replace(reply, unchanged=frozenset(self._unchanged)))
        self._back = self._margin
        self._end = page.start + reply.rows
        if reply.total is not None:
            self.total = reply.total
        if reply.rows:
            self._chain.append(reply)
        if reply.rows < page.size:
            self._short += 1
            self._forget_plan()
            self._is_end_shown = self._is_end_shown or page.size <= max(self._largest, LEAST_PAGE_SIZE)
            ends = _ENDS_WITH_TOTALS if self._has_totals else _ENDS
            if self._short >= ends and (self._is_end_shown or self._largest < LEAST_PAGE_SIZE):
                self._front = True
            self._largest = max(self._largest, reply.rows)
        elif self._short and not self._is_end_shown:
            self.smaller_size = self._largest  # the answers before were no end
        else:
            self._short = 0
            self._largest = max(self._largest, reply.rows)
            self._is_end_shown = self._has_totals
            if self._end > _LONGEST * self._page_size**2:
                self.failure = f"pages of {self._page_size} are too small to overlap in a list as long as this one"

    def _look_at_the_front(self, reply: Reply) -> None:
        """Deliver what stands in front of the first page by now: a changed row may have gone there."""
        first = {name: self._first.mark(offset) for offset, name in enumerate(self._first.names)}
        same = frozenset(offset for offset, name in enumerate(reply.names) if first.get(name) == reply.mark(offset))
        self._deliver(replace(reply, unchanged=same))
        self._looks += 1
        if self._order.is_by_change and (self._has_weak_link or self._order.shows_changes_only(reply)):
            self.failure = _TOO_MANY_CHANGES
        elif not (same or reply.rows < self._page_size or self._order.is_newest_first):
            self.failure = "no row of the first page is where it was"
        elif self._looks >= (_LOOKS if self._order.may_be_newest_first else 1):
            self.is_complete = True

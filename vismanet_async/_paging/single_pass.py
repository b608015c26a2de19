"""Read each page of a list once, and compare the rows with the totals (no IO, no clock).

*Counted* means: every total was the same, as many different rows came, and the end was seen: the last page is short, or
the page behind it is blank. One row removed and another added between two answers can still hide a third. A total that
moved, or more rows than a total, is *uncertain*: rows were seen to come and go. A short list is then read anew, twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from vismanet_async._paging.asks import BLANK, Ask, Claim, Reply, Scope
from vismanet_async._paging.page_plan import PagePlan

if TYPE_CHECKING:
    from vismanet_async._paging.page_plan import Span
    from vismanet_async._paging.row_pipeline import RowPipeline

__all__ = ["SinglePass"]

_BLANKS: Final = 3  # blank first answers in a row that are believed
_SHORT_PAGES: Final = 8  # a list of at most so many pages is read again where totals moved
_READINGS: Final = 3
_REPEATED: Final = 4  # pages behind each other that are alike; rows that are added make two of them, not four
_NO_TOTALS: Final = (
    "the server tells no totals: all pages were read up to an empty one, but nothing says how many rows there are, and "
    "a row that moved between two pages meanwhile may be missing"
)
_AS_MANY: Final = "every total was the same, and as many different rows came"
_EQUAL_ROWS: Final = "every total was the same, and two readings showed the same rows at each place, some of them equal"
_NO_CLAIM: Final = "each page as it came, without a claim: keys were not compared"
_NOT_CHECKED: Final = "the endpoint is said not to page, and nobody looked whether it does"


class _Received(msgspec.Struct, frozen=True):
    reply: Reply
    span: Span


class SinglePass:
    """Reads one list page by page.

    Args:
        rows: delivers the rows of each page, and counts them.
        page_size: rows to ask for; None leaves it to the server.
        pages: False where everything comes in one answer.
        by_line: sizes and totals count lines inside the rows.
        claims: False reads the pages and claims nothing.
        ordered: deliver in page order.
        ahead_pages: in order, how far ahead of the next page to ask.
        expected_rows: what the total will probably be.
    """

    def __init__(
        self,
        rows: RowPipeline,
        *,
        page_size: int | None,
        pages: bool,
        by_line: bool,
        claims: bool,
        ordered: bool,
        ahead_pages: int,
        expected_rows: int | None,
    ) -> None:
        self._rows = rows
        self._size = page_size
        self._pages = pages
        self._by_line = by_line
        self._claims = claims
        self._ordered = ordered
        self._ahead_pages = ahead_pages
        self._expected_rows = expected_rows
        self._shown: dict[int, int] = {}
        """By position: a hash of the keys that the page there showed."""
        self._stage = 0
        self._answers = 0
        self._blanks = 0
        self._violation: str | None = None
        self.claim: Claim | None = None
        self.notes: list[str] = []
        self.repairs = 0
        self.used_window = False
        self.tail_passes = 0
        self.watermark: str | None = None
        """The latest change of which it is known that the rows show it and all before it; None: none is known."""
        self._begin()

    def _begin(self) -> None:
        self._stage += 1
        self._page_plan = PagePlan(
            page_size=self._size,
            by_line=self._by_line,
            expected_rows=self._expected_rows,
            window_pages=self._ahead_pages if self._ordered else None,
        )
        self._beyond: set[int] = set()  # pages behind a full last one that are in flight
        self._beyond_again: list[int] = []  # those that got no usable answer
        self._blank: set[int] = set()  # those that had no rows
        self._buffered: list[_Received] = []
        self._delivered_up_to = 0
        self._shape: tuple[int, bytes, bytes] | None = None  # of page 1: rows, the first, the last
        self._shapes: dict[int, int] = {}  # by page: a hash of the same
        self._shown_before, self._shown = self._shown, {}

    # -- what the caller drives

    @property
    def page_size(self) -> int | None:
        """The page size in use."""
        return self._page_plan.page_size

    @property
    def buffered(self) -> int:
        """The number of pages that wait for those before them."""
        return len(self._buffered)

    def next_ask(self) -> Ask | None:
        """Return a request to send now; None: wait for an answer, or `claim` is there."""
        if self.claim is not None:
            return None
        page = self._page_plan.next_page()
        if page is not None:
            return Ask(Scope.ALL, page, self._size, self._stage)
        page = self._beyond_again.pop() if self._beyond_again else self._page_beyond()
        return None if page is None else Ask(Scope.ALL, page, self._size, self._stage, is_beyond_end=True)

    def peek_metadata(self, total: int, max_page_size: int | None) -> bool:
        """Use the first answer's total before its rows are read; return whether more requests can be sent already."""
        return self._page_plan.peek_metadata(total, max_page_size)

    def receive_error(self, ask: Ask) -> None:
        """Ask again what got no usable answer."""
        if ask.stage != self._stage or self.claim is not None:
            return
        if ask.is_beyond_end:  # also where the end has moved: its answer may be the last that is waited for
            self._beyond_again.append(ask.page)
        else:
            self._page_plan.receive_error(ask.page)

    def report_violation(self, reason: str) -> None:
        """Record what the caller saw while it delivered rows."""
        self._violation = self._violation or reason

    def receive(self, reply: Reply, first_row: bytes, last_row: bytes) -> None:
        """Process an answer; one to an earlier stage is ignored."""
        if reply.ask.stage != self._stage or self.claim is not None:
            return
        page = reply.ask.page
        if page == 1 and not reply.rows and not reply.total and self._blanks < _BLANKS - 1:
            self._blanks += 1
            self._page_plan.receive_error(page)
            return
        self._answers += 1
        if reply.ask.is_beyond_end:
            self._beyond.discard(page)
            if not reply.rows or self._page_plan.is_asked(page):
                self._blank |= set() if reply.rows else {page}
                self._end_if_complete()
                return
            self._page_plan.expect(page)
        span = self._page_plan.receive_page(
            page,
            rows=reply.rows,
            total=reply.total,
            max_page_size=reply.max_size,
            more=reply.more if self._pages else False,
        )
        if self._size is not None and reply.max_size is not None and reply.max_size < self._size:
            self._size = reply.max_size  # with several servers, ask for the smallest maximum
        if page == 1:
            self.watermark = reply.watermark or None  # a row that was read may be changed before the next is
        if self._paging_ignored(reply, first_row, last_row):
            self._page_plan.stop()
            self._end(Claim("uncertain", self._violation or ""))
            return
        if span is not None:
            if not self._rows.dedup.has_identity:
                self._shown[span.start] = hash(tuple(reply.names))
            self._order(_Received(reply, span))
        self._end_if_complete()

    # -- the end

    def _page_behind(self) -> int | None:
        """Return the page behind a full last one: it has to be blank. None where the end shows by itself."""
        size, plan = self._page_plan.page_size, self._page_plan
        if not (self._claims and self._pages) or not size or plan.last_total is None:
            return None
        return plan.end // size + 1 if plan.end and not plan.end % size and not plan.has_end else None

    def _page_beyond(self) -> int | None:
        """Return the page behind a full last one where it is to be asked for: beside the others."""
        page = self._page_behind()
        if page is None or page in self._blank or page in self._beyond or self._page_plan.is_asked(page):
            return None
        self._beyond.add(page)
        return page

    def _paging_ignored(self, reply: Reply, first_row: bytes, last_row: bytes) -> bool:
        """Return whether a page repeats page 1 (paging is ignored) or the page before it (behind the end)."""
        if not reply.rows or not self._pages or self._by_line:
            return False
        shape = (reply.rows, first_row, last_row)
        page = reply.ask.page
        if page > 1 and shape == self._shape and (reply.rows > 1 or reply.total is None):
            self.report_violation(f"page {page} repeats page 1: the endpoint seems to ignore paging")
            return True
        if page == 1:
            self._shape = self._latest = shape
            return False
        if reply.total is None:
            if shape == self._latest:
                self.report_violation(
                    f"page {page} repeats page {page - 1}: the endpoint seems to repeat its last page"
                )
                return True
            self._latest = shape
        elif reply.rows > 1 and self._rows.dedup.has_identity:
            self._shapes[page] = hash(shape)
            return self._is_repeated(page)
        return False

    def _is_repeated(self, page: int) -> bool:
        """Return whether a total that is too high has the last page read again and again."""
        shapes = self._shapes
        first = last = page
        while shapes.get(first - 1) == shapes[page]:
            first -= 1
        while shapes.get(last + 1) == shapes[page]:
            last += 1
        if last - first + 1 < _REPEATED:
            return False
        self.report_violation(f"pages {first} to {last} are alike: the endpoint seems to repeat its last page")
        return True

    _latest: tuple[int, bytes, bytes] | None = None

    def _end_if_complete(self) -> None:
        plan = self._page_plan
        if not plan.complete or self._beyond or self.claim is not None:
            return
        behind = self._page_behind()
        if behind is not None and behind not in self._blank:
            return
        self._order(None)
        self._rows.journals.deliver_joined()
        claim = self._evaluate()
        if claim is not None:
            self._end(claim)
            return
        self.repairs += 1
        self._rows.restart_count()
        self._begin()

    def _end(self, claim: Claim) -> None:
        self.claim = claim

    def _evaluate(self) -> Claim | None:
        """Return the claim; None: read the list anew."""
        plan = self._page_plan
        is_checked = self._pages or plan.last_total is not None
        if failure := self._violation or plan.inconsistency or (None if is_checked else _NOT_CHECKED):
            return Claim("uncertain", failure)
        if self._is_single_page():
            return BLANK if self._blanks == _BLANKS - 1 else Claim("proven", "one answer held the whole list")
        if plan.last_total is None or not self._claims:
            return Claim("uncertain", _NO_TOTALS if plan.last_total is None else _NO_CLAIM)
        counted = self._rows.counted()
        equal = self._rows.dedup.equal
        explains = equal > 0 and counted + equal == plan.max_total and not plan.changes
        if explains and self._shown == self._shown_before:
            self._rows.dedup.deliver_copies()
            counted += equal
        if not plan.changes and counted == plan.max_total:
            return Claim("counted", _EQUAL_ROWS if explains else _AS_MANY)
        is_short = plan.max_total <= _SHORT_PAGES * (plan.page_size or 1)
        if self._stage < (_READINGS if is_short else 1 + explains):
            return None
        return Claim("uncertain", f"the totals went from {plan.first_total} to {plan.last_total}, {counted} counted")

    def _is_single_page(self) -> bool:
        """Return whether one answer contained everything: it shows one instant."""
        plan = self._page_plan
        if self._stage > 1 or plan.max_total > (plan.page_size or 0):
            return False
        if self._by_line and self._rows.counted() != plan.max_total:
            return False  # its total counts lines, and not as many came
        return self._answers == 1 and (plan.max_total < (plan.page_size or 0) or plan.has_end or not plan.max_total)

    # -- the order of delivery

    def _order(self, received: _Received | None) -> None:
        """Deliver pages, in order where that is asked for; None: the list is read, so deliver all that wait."""
        if received is not None and not self._ordered:
            self._rows.deliver_page(received.reply, received.span)
            return
        if received is not None:
            self._buffered.append(received)
            self._buffered.sort(key=lambda waiting: waiting.span.start)
        while self._buffered and (received is None or self._buffered[0].span.start <= self._delivered_up_to):
            first = self._buffered.pop(0)
            self._delivered_up_to = max(self._delivered_up_to, first.span.stop)
            self._rows.deliver_page(first.reply, first.span)

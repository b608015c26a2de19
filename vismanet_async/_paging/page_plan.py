"""Which page to ask for next, and when all positions of a list are covered (no IO).

Others write to the list while it is read. Every answer states the total at its own instant, so the end moves with each
answer (facts 4.5); the server may lower the page size at any time (facts 4.2), so that a page number means other
rows. What has been read is therefore kept as *positions*, not as page numbers.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

import msgspec

__all__ = ["PagePlan", "Span"]

_READS_OF_AN_INCONSISTENT_PAGE: Final = 3


class Span(msgspec.Struct, frozen=True):
    """The positions of one answer's rows in the list, at the instant of the answer."""

    start: int
    """Position of the first row, counted from 0."""
    stop: int
    """Position behind the last row."""
    total: int | None
    """Length of the list at that instant; None: not stated."""


class _TotalObservation(msgspec.Struct, frozen=True):
    """A total, and the moment (counted in events) since when it may have been out of date."""

    total: int
    answered: int


class PagePlan:
    """Plans the pages of a list until it is covered up to its live end.

    Args:
        page_size: rows asked for; None: the server's own maximum.
        by_line: sizes and totals count lines, so that a page's number of rows proves nothing (facts 4.12).
        expected_rows: what the total will probably be, so that the first pages need not wait for page 1.
        window_pages: how far ahead of the first uncovered position to ask; None: anywhere.
    """

    def __init__(
        self,
        *,
        page_size: int | None,
        by_line: bool = False,
        expected_rows: int | None = None,
        window_pages: int | None = None,
    ) -> None:
        self._asked_size = page_size
        self._by_line = by_line
        self._expected_rows = expected_rows
        self._window_pages = window_pages
        self._covered: list[tuple[int, int]] = []  # disjoint, sorted, never adjacent
        self._sent: dict[int, int] = {}  # page in flight -> when it was sent, counted in events
        self._retries: list[int] = []
        self._inconsistent_reads: dict[int, int] = {}
        self._clock = 0
        self._current: list[_TotalObservation] = []
        self._cap: int | None = None
        self._without_total = False  # rows came without a total: go on until a page without rows
        self._ended = False
        self.page_size: int | None = page_size
        """The size in use; None before the first answer when it was left to the server."""
        self.first_total: int | None = None
        self.last_total: int | None = None
        self.max_total = 0
        self.changes = 0
        """Answers whose total differed from the one that arrived before."""
        self.inconsistency: str | None = None
        """A page that stayed in contradiction with its own total, in words."""

    # -- what to ask

    @property
    def end(self) -> int:
        """The live length of the list: the greatest total that no later answer contradicts."""
        return max((seen.total for seen in self._current), default=0)

    @property
    def answered_once(self) -> bool:
        """Whether the list's length, or that it has none, is known."""
        return self._without_total or self._ended or self.first_total is not None

    @property
    def complete(self) -> bool:
        """Whether every position up to the live end has been read and nothing is in flight."""
        if self._sent or self._retries or not self.answered_once:
            return False
        return self._ended if self._without_total else self._gap_after(0) >= self.end

    def next_page(self) -> int | None:
        """Return a page to ask for now; None: wait for an answer."""
        page = self._choose()
        if page is not None:
            self._clock += 1
            self._sent[page] = self._clock
        return page

    def _choose(self) -> int | None:
        if self._retries:
            return self._retries.pop()
        if not self.answered_once:
            if 1 not in self._sent:
                return 1
            return self._wanted(self._expected_rows or 0) if self._asked_size else None
        if self._without_total:
            return None if self._sent or self._ended else self._gap_after(0) // (self.page_size or 1) + 1
        return self._wanted(self.end)

    def _wanted(self, end: int) -> int | None:
        """Return the next page with an uncovered position below `end`."""
        size = self.page_size or 1
        position = self._gap_after(0)
        last = end if self._window_pages is None else min(end, (position // size + self._window_pages) * size)
        while position < last:
            page = position // size + 1
            if page not in self._sent:
                return page
            position = self._gap_after(page * size)
        return None

    # -- what came back

    def peek_metadata(self, total: int, max_page_size: int | None) -> bool:
        """Use the first answer's total before its rows are read; return whether other pages can be asked for already.

        False where the server lowers the page size: only the rows show to what.
        """
        if self.answered_once or self._asked_size is None or self._asked_size > (max_page_size or self._asked_size):
            return False
        self._expected_rows = total
        return True

    def receive_error(self, page: int) -> None:
        """Ask for a page again that got no answer, even if the list has become shorter meanwhile."""
        del self._sent[page]
        self._retries.append(page)

    def receive_page(
        self, page: int, *, rows: int, total: int | None, max_page_size: int | None, more: bool | None
    ) -> Span | None:
        """Process an answer; return the positions it covers, or None when it contradicts itself and is asked for again.

        Args:
            page: as returned by `next_page`.
            rows: how many rows it had.
            total: its total; None when not stated.
            max_page_size: what the server clamps to; None when not stated.
            more: whether the server says that there is another page; None when it does not.
        """
        sent = self._sent.pop(page)
        self._clock += 1
        if rows == 0 and (total is None or total <= (page - 1) * (self.page_size or 1)):
            return self._receive_empty(page, total, sent)
        if more is False:
            self._ended = True
        if total is None:
            return self._receive_without_total(page, rows, more=more)
        size = self._size(page, rows, total, max_page_size)
        self._note_total(total, sent)
        start = (page - 1) * size
        due = max(0, min(size, total - start))
        if self._by_line:
            self._cover(start, start + due)
            return Span(start, start + due, total)
        if rows != due:
            reads = self._inconsistent_reads[page] = self._inconsistent_reads.get(page, 0) + 1
            if reads < _READS_OF_AN_INCONSISTENT_PAGE:
                self._retries.append(page)
                return None
            self.inconsistency = f"page {page} had {rows} rows where {due} were due (page size {size}, total {total})"
        self._cover(start, start + size)
        return Span(start, start + rows, total)

    def expect(self, page: int) -> None:
        """Expect the answer to a page that was asked for elsewhere."""
        self._clock += 1
        self._sent[page] = self._clock

    def is_asked(self, page: int) -> bool:
        """Return whether the page is in flight."""
        return page in self._sent

    @property
    def has_end(self) -> bool:
        """Whether the server itself said that no page follows."""
        return self._ended

    def stop(self) -> None:
        """End the list where it is: the endpoint ignores paging."""
        self._ended = True
        self._retries.clear()

    def _receive_empty(self, page: int, total: int | None, sent: int) -> Span:
        start = (page - 1) * (self.page_size or 1)
        if self._without_total:
            self._ended = True
            return Span(start, start, None)
        if page == 1:
            self._note_total(0, sent)
            return Span(0, 0, 0)
        # this does not show how long the list is, only that it ends before this page
        bound = min([start, *(seen.total for seen in self._current)]) if total is None else total
        self._note_total(bound, sent)
        return Span(start, start, None)

    def _receive_without_total(self, page: int, rows: int, *, more: bool | None) -> Span:
        if page == 1 or self.page_size is None:
            self.page_size = rows
        self._without_total = True
        start = (page - 1) * self.page_size
        self._cover(start, start + max(rows, self.page_size))
        if more is False:
            self._ended = True
        return Span(start, start + rows, None)

    def _size(self, page: int, rows: int, total: int, max_page_size: int | None) -> int:
        """Return the page size that the server used for this answer."""
        if page == 1 and 0 < rows < total and not self._by_line:
            size = rows  # more rows follow, so this is a full page: the surest witness
            known = min(filter(None, (self._asked_size, max_page_size)), default=size)
            self._cap = rows if rows != known else None
        else:
            size = min(
                filter(None, (self._asked_size, max_page_size, self._cap)), default=max(rows, self.page_size or 1)
            )
        self.page_size = size
        return size

    def _note_total(self, total: int, sent: int) -> None:
        now = _TotalObservation(total, self._clock)
        if self.first_total is None:
            self.first_total = total
        elif total != self.last_total:
            self.changes += 1
        self.last_total = total
        self.max_total = max(self.max_total, total)
        # an answer that had come before this request left is out of date
        self._current = [seen for seen in self._current if seen.answered >= sent]
        self._current.append(now)

    # -- positions

    def _gap_after(self, position: int) -> int:
        """Return the first uncovered position at or after this one."""
        at = bisect_left(self._covered, (position + 1,)) - 1
        if at >= 0 and self._covered[at][1] > position:
            return self._covered[at][1]
        return position

    def _cover(self, start: int, stop: int) -> None:
        if start >= stop:
            return
        first = bisect_left(self._covered, (start,))
        if first and self._covered[first - 1][1] >= start:
            first -= 1
            start = self._covered[first][0]
        last = first
        while last < len(self._covered) and self._covered[last][0] <= stop:
            stop = max(stop, self._covered[last][1])
            last += 1
        self._covered[first:last] = [(start, stop)]

"""How many requests a traversal may take before it is given up (no IO)."""

from __future__ import annotations

from typing import Final

import attrs

from vismanet_async._paging.asks import pages_of

__all__ = ["COST_AT_LEAST", "COST_GROWTH", "COST_PER_PAGE", "CostLimit"]

COST_PER_PAGE: Final = 4
"""Requests allowed for each page of rows that was seen."""
COST_AT_LEAST: Final = 16
"""Requests allowed on top of these."""
COST_GROWTH: Final = 2
"""How many times its first length a list may grow to while it is read."""
_EARLY_ANSWERS: Final = 3


@attrs.define(eq=False, repr=False)
class CostLimit:
    """The largest number of requests that a traversal may take; it grows with the rows that are seen.

    Examples:
        >>> limit = CostLimit()
        >>> limit.requests(rows=0, page_size=100)
        16
        >>> limit.note_answer(rows=100, total=250, max_page_size=1_000)
        >>> limit.requests(rows=100, page_size=100)
        20
    """

    _most_rows: int = attrs.field(default=0, init=False)
    _page_heads: set[bytes] = attrs.field(factory=set, init=False)
    """First keys of pages: their number is the number of different pages."""
    _furthest: int = attrs.field(default=0, init=False)
    """Position behind the last row that was received."""
    _least_size: int | None = attrs.field(default=None, init=False)
    """The smallest maximum page size that an answer stated."""
    _early_totals: list[int] = attrs.field(factory=list, init=False)
    """Totals of the first answers; one of them may be false."""

    def note_answer(self, *, rows: int, total: int | None, max_page_size: int | None) -> None:
        """Record the size of an answer, and what it says about the list."""
        self._most_rows = max(self._most_rows, rows)
        if max_page_size:
            self._least_size = min(self._least_size or max_page_size, max_page_size)
        if total is not None and len(self._early_totals) < _EARLY_ANSWERS:
            self._early_totals.append(total)

    def note_rows(self, first_key: bytes, *, stop: int) -> None:
        """Record a page with rows: the key of its first row, and the position behind its last row."""
        self._page_heads.add(first_key)
        self._furthest = max(self._furthest, stop)

    def requests(self, *, rows: int, page_size: int | None) -> int:
        """Return the number of requests allowed.

        Args:
            rows: how many rows were delivered so far.
            page_size: rows a page by now; None while it is not known.
        """
        rows = max(rows, self._most_rows)
        size = min(filter(None, (self._least_size, page_size)), default=max(1, rows))
        pages = max(pages_of(rows, size), min(len(self._page_heads), pages_of(self._furthest, size)))
        if self._early_totals:  # a list that grows faster than it is read has no end
            pages = min(pages, COST_GROWTH * pages_of(max(self._early_totals), size) + COST_AT_LEAST)
        return COST_PER_PAGE * pages + COST_AT_LEAST

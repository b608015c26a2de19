"""Choose how a list is read: by the rules of a proof, or page by page in a single pass (no IO)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from vismanet_async._paging.keys import stamp_of
from vismanet_async._paging.proof import Proof
from vismanet_async._paging.single_pass import SinglePass

if TYPE_CHECKING:
    from vismanet_async._paging.guarantee import Mode
    from vismanet_async._paging.keys import RowKeys
    from vismanet_async._paging.page_formats import PageStyle
    from vismanet_async._paging.row_pipeline import RowPipeline
    from vismanet_async._paging.scope_filters import ScopeFilters

__all__ = ["Plan", "Plans"]

Plan = Proof | SinglePass
"""What asks for pages and tells what may be claimed of them."""


@attrs.frozen(kw_only=True)
class Plans:
    """Makes the plans for one list; the fields are those of `Paginator`."""

    style: PageStyle
    completeness: Mode
    page_size: int | None
    keys: RowKeys
    ordered: bool
    reorder_pages: int
    expected_rows: int | None
    strict: bool

    @property
    def why_unproven(self) -> str | None:
        """Why only a list of one page can be proven; None where the rows have what an argument needs."""
        if self.style.by_line:
            return "its sizes count lines"
        return None if self.keys.identity else "its rows have no identity"

    def first(self, rows: RowPipeline, filters: ScopeFilters) -> Plan:
        """Return the plan to begin with."""
        proves = self.completeness in {"prove", "best"} and self.why_unproven is None
        if self.completeness != "none" and (proves or not self.style.pages):
            return self.proof(rows, filters)
        return SinglePass(
            rows,
            page_size=self.page_size,
            pages=self.style.pages,
            by_line=self.style.by_line,
            claims=self.completeness != "none",
            ordered=self.ordered,
            ahead_pages=self.reorder_pages,
            expected_rows=self.expected_rows,
        )

    def proof(self, rows: RowPipeline, filters: ScopeFilters) -> Proof:
        """Return a plan that proves the list."""
        return Proof(
            page_size=self.page_size,
            edge_stamp=None if filters.edge is None else stamp_of(filters.edge),
            window_only=filters.edge is not None and filters.modified is not None,
            changes_since=rows.changes_since,
            descending=not self.ordered,
            ahead_pages=self.reorder_pages if self.ordered else None,
            is_strict=self.strict,
            deliver=rows.dedup.deliver,
            new_count=rows.dedup.new_tally,
            pages=self.style.pages,
        )

    def each_page_once(self, rows: RowPipeline, *, page_size: int | None) -> SinglePass:
        """Return a plan that delivers every page and claims nothing: for what could not be proven."""
        return SinglePass(
            rows,
            page_size=page_size,
            pages=self.style.pages,
            by_line=self.style.by_line,
            claims=False,
            ordered=True,
            ahead_pages=1,
            expected_rows=None,
        )

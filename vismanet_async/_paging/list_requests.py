"""The requests and the paginator of one listing (no IO)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from vismanet_async._http.message import Request
from vismanet_async._paging.guarantee import Mode, safe_boundary
from vismanet_async._paging.keys import RowKeys, stamp_of
from vismanet_async._paging.page_formats import STYLES, PageStyle
from vismanet_async._paging.paginator import Paginator
from vismanet_async._paging.scope_filters import ModifiedFilter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vismanet_async._clock import Clock
    from vismanet_async._paging.list_spec import ListSource
    from vismanet_async._paging.options import ListingOptions

__all__ = ["ListRequests"]

_DEFAULT_PAGE_SIZE: Final = 1000


class ListRequests(msgspec.Struct, frozen=True, eq=False):
    """Builds what is sent for a list call, by its options."""

    _source: ListSource
    _options: ListingOptions

    @property
    def style(self) -> PageStyle:
        """How the endpoint pages."""
        return STYLES[self._source.style]

    @property
    def page_size(self) -> int:
        """Rows to ask for."""
        options = self._options
        size = options.page_size or self._source.max_page_size or _DEFAULT_PAGE_SIZE
        # sizes of journals count lines: a small page would cut every batch
        return size if options.page_size or options.limit is None or self.style.by_line else min(size, options.limit)

    def first_page(self, page_size: int) -> Request:
        """Return the request for page 1 alone."""
        return self.page(self.style.query(page=1, page_size=page_size))

    def page(self, query: Mapping[str, str], buffer: Callable[[int], bytearray] | None = None) -> Request:
        """Return the request for a page.

        Args:
            query: parameters that replace the listing's own of the same name.
            buffer: returns memory for a body of so many bytes.
        """
        source = self._source
        kept = tuple(pair for pair in source.query if pair[0] not in query)
        return Request(
            operation=source.spec.id,
            template=source.spec.template,
            method=source.spec.method,
            path=source.path,
            query=kept + tuple(query.items()),
            service=source.spec.service,
            deadline_seconds=self._options.timeout_seconds,
            buffer=buffer,
        )

    def paginator(self, mode: Mode, *, ordered: bool, clock: Clock) -> Paginator:
        """Return a paginator that reads the whole list.

        Args:
            mode: how much certainty is asked for.
            ordered: deliver pages in order.
            clock: its wall clock decides up to which change the list can only shrink.
        """
        options, snapshot, now = self._options, self._source.frozen_filter, clock.utc_now()
        return Paginator(
            style=self.style,
            completeness=mode,
            page_size=self.page_size,
            keys=RowKeys(self._source.identity, snapshot.row_field if snapshot else None),
            boundary=safe_boundary(now) if snapshot and mode in {"best", "prove"} else None,
            latest=stamp_of(safe_boundary(now)),
            modified=self._user_modified_filter(),
            ordered=ordered,
            expected_rows=options.expected_rows,
            strict=options.strict,
            reads_on=options.allow_uncertain,
        )

    def _user_modified_filter(self) -> ModifiedFilter | None:
        """Return the caller's own filter on the time by which the list is divided."""
        snapshot = self._source.frozen_filter
        if snapshot is None:
            return None
        query = dict(self._source.query)
        value, condition = query.get(snapshot.parameter), query.get(f"{snapshot.parameter}Condition")
        if value is None or condition is None:
            return None
        return ModifiedFilter(condition, value)  # type: ignore[arg-type]  # conditions come from `conditions`

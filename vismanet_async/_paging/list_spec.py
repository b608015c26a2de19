"""What a listing needs to know about a list operation. Made by `_api`, read by the paginator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import attrs
import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from vismanet_async._operation import OperationSpec

__all__ = ["FrozenFilter", "ListSource", "Style"]

Style = Literal["page_number", "envelope", "page_index", "lines", "unpaged"]
"""How an endpoint pages (docs/facts.md 4).

`page_number`: `pageNumber` from 1 and `pageSize`, a bare array, `metadata` on each row. `envelope`: the same, but
`{"pageNumber", "pageSize", "totalCount", "records"}`. `lines`: journal batches, whose sizes count lines.
`page_index`: the Sales Order service, `pageIndex` from 0. `unpaged`: everything in one answer.
"""


class FrozenFilter(msgspec.Struct, frozen=True, kw_only=True):
    """The filter that gives a stable snapshot of a list: the time of a row's last change."""

    parameter: str
    """The query parameter; its operator is `<parameter>Condition`."""
    row_field: str
    """The JSON name of the same time in a row."""


@attrs.frozen(kw_only=True)
class ListSource:
    """One list call as a value, without its page."""

    spec: OperationSpec
    path: str
    """Below the base URL, percent-encoded, ids filled in."""
    query: tuple[tuple[str, str], ...] = ()
    """The filters, without page and page size."""
    style: Style
    model: Callable[[], type[Any]] = attrs.field(repr=False)
    """Returns the class of a row, loading its module on the first call; `str` for lists of plain text."""
    identity: tuple[str, ...]
    """The JSON names that together identify a row; empty when the rows have no identity."""
    page_size: int | None = None
    """What the caller asked for; None leaves it to the listing."""
    max_page_size: int | None = None
    """The server's maximum page size; None when not known."""
    frozen_filter: FrozenFilter | None = None
    """None when the operation has no such filter, or its rows do not contain the time."""

"""Divides a list into date ranges that can be read on different machines, so that no row is missed.

The API takes one value and one operator for a date, so `a <= date < b` cannot be asked for: a list can be halved once
by each of its dates (created, document date, due date, ...), which makes 2, 4 or 8 ranges.

A row that is changed meanwhile may move from one range to another, so that both reads miss it. So only the *window* is
divided: the rows with `lastModified < T0`, T0 safely in the past. A change takes a row out of the window for good.
After all ranges, the *rest* is read: `lastModified >= T0`. A record that was there throughout was either not
changed, and stayed in its range, or it was, and is in the rest; where it is in both, the rest has its newer version.

A row without a date is in neither half. Counting shows that the window has no such row, with the whole counted first:
``whole >= first half + second half`` at any later time, because a window and its halves only shrink. If they are
equal, there was no other row, and there never will be. If not, or if the server ignores the filter, that date is not
used. Rows without a time of change are looked for in the same way, and then the list is not divided at all.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

import attrs

from vismanet_async._conditions import before, on_or_after

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from vismanet_async._conditions import Condition

    Filters = Mapping[str, Condition[str]]
    Count = Callable[[Filters], Awaitable[int]]
    """Returns how many rows match, as the server counts."""

__all__ = ["PartitionPlan", "divide"]

_EARLIEST: Final = date(1990, 1, 1)
"""The search for a median starts here; older rows are in the first half, rows after today in the second."""
_EVEN: Final = 0.15
"""The share of rows in a half may differ from 0.5 by so much."""
_TRIES: Final = 5
"""Attempts at a count that changes may disturb; the same difference twice was no disturbance."""


@attrs.frozen
class PartitionPlan:
    """The reads that together make one list."""

    ranges: tuple[dict[str, Condition[str]], ...]
    """Of the window; each row in it matches exactly one."""
    rest: dict[str, Condition[str]]
    """Read after all ranges."""
    requests: int
    """Requests that making the plan took."""

    @property
    def edge(self) -> str:
        """T0."""
        (condition,) = self.rest.values()
        return condition.value


async def divide(
    count: Count, *, modified: str, boundary: str, dates: Sequence[str], least_rows: int, most: int, today: date
) -> PartitionPlan | None:
    """Return how to divide a list; None: not at all.

    Args:
        count: returns how many rows match filters on top of the list's own.
        modified: the name of the filter on the last change.
        boundary: T0, in the past of every time zone by the server's clock (`vismanet_async._export.server_clock`).
        dates: other filters on dates, the best first.
        least_rows: a range with fewer is not divided further.
        most: ranges at most.
        today: the end of the search for a median.
    """
    asked = _Asked(count)
    window, rest = {modified: before(boundary)}, {modified: on_or_after(boundary)}
    rows = await _stamped(asked, window, rest)
    if rows is None or rows < 2 * least_rows:
        return None
    open_: list[tuple[int, dict[str, Any]]] = [(rows, window)]
    closed: list[tuple[int, dict[str, Any]]] = []
    while open_ and len(open_) + len(closed) < most:
        largest = max(open_, key=lambda piece: piece[0])
        open_.remove(largest)
        halves = None
        if largest[0] >= 2 * least_rows:
            for name in dates:
                if name not in largest[1] and halves is None:
                    halves = await _halves(asked, largest[1], name, today)
        if halves is None:
            closed.append(largest)
        else:
            open_ += halves
    ranges = [filters for _, filters in open_ + closed]
    return None if len(ranges) == 1 else PartitionPlan(tuple(ranges), rest, asked.requests)


@attrs.define
class _Asked:
    count: Count
    requests: int = 0

    async def __call__(self, filters: Filters) -> int:
        self.requests += 1
        return await self.count(filters)


async def _stamped(count: Count, window: Filters, rest: Filters) -> int | None:
    """Return the rows of the window, if every row of the list is in the window or in the rest; else None."""
    gap = 0
    for _ in range(_TRIES):
        rest_before = await count(rest)
        whole, inside = await count({}), await count(window)
        last_gap, gap = gap, whole - inside - rest_before
        if not gap and await count(rest) == rest_before:
            return inside
        if gap and gap == last_gap:
            break
    return None


async def _halves(count: Count, filters: Filters, name: str, today: date) -> list[tuple[int, dict[str, Any]]] | None:
    """Return two halves by one date, if they are even and contain every row; else None."""
    cut = await _median(count, filters, name, today)
    if cut is None:
        return None
    halves = [{**filters, name: half(cut)} for half in (before, on_or_after)]
    gap = 0
    for _ in range(_TRIES):
        whole = await count(filters)  # before its halves: see the module docstring
        rows = [await count(half) for half in halves]
        last_gap, gap = gap, whole - sum(rows)
        if not gap:
            return list(zip(rows, halves, strict=True))
        if gap == last_gap:
            break
    return None


async def _median(count: Count, filters: Filters, name: str, today: date) -> str | None:
    low, high = _EARLIEST, today
    whole = await count(filters)
    while high - low > timedelta(days=1):
        middle = low + (high - low) // 2
        share = await count({**filters, name: before(middle.isoformat())}) / max(whole, 1)
        if abs(share - 0.5) <= _EVEN:
            return middle.isoformat()
        low, high = (middle, high) if share < 0.5 else (low, middle)  # noqa: PLR2004 - half
    return None

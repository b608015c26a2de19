"""What a walk may claim about a list that others write to while it is read, and why (no IO).

The guarantee: every record that matched from the first request to the last one is delivered, once. Records that come,
go or change in between may or may not be there, and in any version that existed.

**One answer is one instant.** A list that fits into one answer needs no further argument: *proven*.

**The frozen window.** With T0 safely in the past, the rows with `lastModified < T0` form a list whose membership can
only shrink: a new or changed row is stamped later and leaves it, a deleted one leaves too. So its total is a clock.
Of two answers, the one with the smaller total is the later one; equal totals mean the very same membership; and
between totals n > m exactly n - m rows left. While the server sorts the rows that stay in the same way, the position of
a row that stays never grows, and falls by at most n - m.

*First proof, by number.* All rows seen belong to the window as it was at its greatest total. As many unique rows as
that total: nothing is missing. This needs no order at all.

*Second proof, the thread.* Let an answer cover the positions [start, stop) of a window of n rows. A row that stays and
that no answer shows is before or after each answer's span. Call an answer *safe* when the row cannot be before it. An
answer with start = 0 is safe. If an answer (stop, n) is safe, the row, unseen, stands at stop or later when that answer
was given; so in any answer with total m it stands at ``stop - max(0, n - m)`` or later, and every answer that starts
there or before is safe too. If a safe answer reaches the end (stop >= n), the row would stand behind the end: there is
no such row. `Thread` looks for that chain. Pages that were shifted are read again until it holds.

It is not enough to look at neighbouring pages one boundary at a time, each with the pair of reads that suits it best:
when page 2 is read before and after three deletions in front of it, boundary 1|2 is fine with its old read and
boundary 2|3 with its new one, and yet a row can have jumped from page 4 to page 1. The chain forbids such a change of
reads, because going from an early read to a late one costs n - m positions.

**The tail.** After the window, the rows with `lastModified >= T0` are asked for. If they fit into one answer, given at
the instant t, all is proven: at t a row that was there all the time is either in that answer, or still in the window,
which it then never left.

**The cascade.** If they do not fit, take T1 from the greatest stamp the server has shown (so its clock has passed T1),
`T0 < T1`. From now on ``F = [T0, T1)`` is frozen as well, but no filter shows it alone. So ask how many rows are `< T1`
(c1), then read all pages of `>= T0`, then ask how many rows are `< T0` (c0). F had at most c1 - c0 rows when c1 was
counted, because the rows `< T0` only get fewer. Each row seen after that with a stamp in F belonged to it. As many
unique ones as c1 - c0: nothing of F is missing. Then ask for the tail `>= T1`, and so on, until one answer holds it.

The same step proves an incremental read (`>= X`), with X in the place of T0.

**What it rests on, and how a breach is noticed**

=====================================================  ==============================================================
assumed                                                noticed by
=====================================================  ==============================================================
an answer (rows and total) is of one instant           rows that do not agree with their own total, three times
a change stamps a row with the server's clock;         a window total that grows although its request left after the
stamps and clock do not go back by more than           smaller one had come back
`settle_seconds` (late commits, the end of
summer time)
the server applies the filter                          rows in the window or the tail with a stamp of the other side
every row has a stamp                                  more rows in all than `<` and `>=` together
rows that stay keep their order (the thread only)      a row seen at two positions that the totals do not explain;
                                                       fewer unique rows than the last total
the identity is unique                                 the same identity twice in one answer
=====================================================  ==============================================================

A breach never leads to *proven*: the list is then read without a window and the verdict is *counted* at best.

**Counted** is weaker: no answer contradicts the others, the totals stayed equal (or moved in one direction only), and
the unique rows are as many as the greatest total. One row removed and another added between two answers can still hide
a third: that is what the window is for.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

import attrs

from vismanet_async.paging.keys import RowKeys

if TYPE_CHECKING:
    from vismanet_async.paging.asks import RestsOn

__all__ = ["Completeness", "Mode", "RowKeys", "Verdict", "safe_boundary"]

Mode = Literal["best", "prove", "count", "none"]
"""How much certainty is asked for."""
Verdict = Literal["proven", "counted", "uncertain"]
"""What can be claimed; the module says what each rests on."""

_WESTERNMOST: Final = timedelta(hours=12)  # UTC-12 is the last place on earth to see a date
_MARGIN: Final = timedelta(hours=1)  # clocks that are wrong, writes that are committed late, summer time


def safe_boundary(now: datetime) -> str:
    """Give a moment that has passed in every time zone, as a filter value.

    Args:
        now: the present, aware. The server's zone is not known (facts 5.10), so it is taken to be the westernmost.

    Raises:
        ValueError: for a naive datetime.

    Examples:
        >>> safe_boundary(datetime(2025, 5, 25, 14, 30, tzinfo=UTC))
        '2025-05-25T01:30:00'
    """
    if now.tzinfo is None:
        raise ValueError("the present must be an aware datetime: its zone decides what has passed")
    return (now.astimezone(UTC) - _WESTERNMOST - _MARGIN).replace(tzinfo=None, microsecond=0).isoformat()


@attrs.frozen(kw_only=True)
class Completeness:
    """What a walk did, and what it may claim about its rows.

    Examples:
        >>> customers = visma.customer.list().with_options(completeness="prove")
        >>> rows = await customers
        >>> customers.completeness.verdict, customers.completeness.unique
        ('proven', 40)
    """

    verdict: Verdict
    reason: str
    """Why not more, or what the claim rests on, in a sentence."""
    rests_on: tuple[RestsOn, ...]
    """What a proof takes for granted, by name: `docs/paging.md` says what each means. Empty: nothing."""
    rows: int
    """Rows delivered, newer versions of earlier ones included."""
    unique: int | None
    """Distinct identities delivered; None: keys were not read."""
    duplicates_dropped: int
    """Rows that had been delivered already and were not delivered again."""
    superseded: int
    """Delivered rows of which a newer version was delivered later."""
    total_first: int | None
    """The first total the server told; None: none."""
    total_last: int | None
    """The last one."""
    requests: int
    """Requests asked for, repeats included."""
    pages: int
    """Answers with rows or counts that were used."""
    shifts: int
    """Answers whose total differed from the one before."""
    repairs: int
    """Pages read again because rows may have slid over their boundary."""
    window: str | None
    """The boundary between window and tail, in the server's own time; None: the list was not divided."""
    tail_passes: int
    """How often the rows after the boundary were asked for."""
    watermark: str | None
    """The latest change, as the server wrote it, of which it is known that the rows show it and all before it.

    An incremental read goes on there. Rows may show later changes too."""
    page_size: int | None
    """Rows a page in the end."""

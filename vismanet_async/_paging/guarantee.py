"""What may be claimed about a list that others write to while it is read, and why (no IO).

**Proven** says: every row that existed and matched in every state that an answer was computed from, and in all states
between, was delivered, once. Rows that came, went or changed in between may or may not be there. With several servers
there is no other honest wording: a row that one of them does not show yet did not match all the time.

**What cannot be had.** Reading each page once proves nothing by itself: a row can be deleted from a page that was read,
another be added to one that was not, and a third slide from an unread page to a read one, with the same keys and totals
as a list at rest. So a proof takes for granted that nothing *enters* some part of the list, or that rows keep their
*order* while pages *overlap*, or it sees nearly every page twice. `Completeness.rests_on` names what was used:

``()``
    One answer is one instant. Nothing is taken for granted.
``stamps``
    Nothing enters the *window*: the rows last modified before an edge 13 hours ago (`safe_boundary`). A write stamps
    its row with a moment behind the edge, and becomes visible within 13 hours of its stamp. The edge is never taken
    from a stamp that a row carries: a row stamped ahead of time, a late commit, or the hour that comes twice in autumn
    would make such an edge false.
``order``
    Rows that nobody changes keep their order; one without a stamp stays where it is if it is changed, or goes to one
    end of the list. Only if rows left the window, or for overlapping pages.
``totals``
    Answers before and after that tell the same total vouch for a link between two pages of a window that shrank.
``keys``
    A row that was seen before and after the turning point was there at that point (passes up and down).
``blank``
    Three blank answers are true (an empty list).
``one answer``
    An endpoint that answers page 2 with the rows of page 1 does not page, and gives all it has.

**What is looked for.** Each answer has to agree with itself; a contradiction is asked again, and the third ends the
attempt. In all that the search of small worlds tried, no list was called proven with a row missing while at most two
answers were false.

==============================================================  =======================================================
assumed                                                         noticed by (tests: `tests/paging/test_worlds.py`)
==============================================================  =======================================================
rows are as many as their own total says                        `asks.contradiction`: `test_every_single_event`
a blank answer is true                                          asked again where rows are due, believed the third
                                                                time: `test_every_single_event`
the last page is the last                                       a page of another size that is short there and ends
                                                                with the same row, unchanged: `test_every_single_event`
the window is all there is                                      the end of everything, seen before the last page of the
                                                                window is asked for: `test_every_single_event`
an answer shows the page that was asked for                     the first row of another page with the same total:
                                                                `test_triples_of_events`
an answer about all is not one about a part                     the ends and the total of an answer to a filter, asked
                                                                again where pages overlap:
                                                                `test_a_copy_of_an_answer_about_a_part_is_not_believed`
nothing enters the window                                       a total that grows; a look at page 1 of all that shows
                                                                an old row which the window lacks; the number of keys:
                                                                `test_pairs_of_events`
no total hides that a row left                                  one answer with the same total before a page is asked
                                                                for (two after a fall), two later: else the pages are
                                                                read again: `test_pairs_of_events`
nothing is hidden from both filters                             rows of all against rows of window and tail, the tail
                                                                before against the tail after: `test_pairs_of_events`
an identity names one row                                       twice in an answer; fewer than places where nothing
                                                                moved: `test_records_of_one_identity_are_never_complete`
rows that stay keep their order                                 a row at two places that its totals do not explain,
                                                                anchors in another order: `test_overlapping_pages`
a changed row stays where it is                                 stamps that rise or fall through all answers:
                                                                `test_lists_in_the_order_of_their_changes`
the page size stays                                             `maxPageSize` of each answer: the reading begins anew
                                                                with smaller pages: `test_every_single_event`
the reading ends                                                four requests for each page of rows, and sixteen; twice
                                                                the first length: `test_every_single_event`
==============================================================  =======================================================

What cannot be noticed is named: a write stamped more than 13 hours back enters the window unseen (``stamps``), an order
that hides a row without ever showing one twice (``order``). A write that leaves no stamp changes nothing here: the row
is delivered once, in some version.

**Versions.** Where a window and a tail of one answer proved the list, each row is there in its newest version as of
that tail. Otherwise in a version that it had while the list was read; `Completeness.watermark` says up to which change
the rows are complete, so that an incremental read that goes on there misses none.

**Counted** is weaker, and a choice by name: each page once, as many different rows as every total, all totals equal,
the end seen. **Uncertain** raises unless it is allowed.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, Literal

import attrs

from vismanet_async._paging.keys import stamp_of

__all__ = ["Completeness", "Mode", "RestsOn", "Verdict", "boundary_by", "latest_stamp", "safe_boundary"]

Mode = Literal["best", "prove", "count", "none"]
"""How much certainty is asked for."""
RestsOn = Literal["stamps", "order", "totals", "keys", "blank", "one answer"]
"""What a proof can take for granted; the module says what each means."""
Verdict = Literal["proven", "counted", "uncertain"]
"""What can be claimed; the module says what each rests on."""

_WESTERNMOST: Final = timedelta(hours=12)  # UTC-12 is the last place on earth to see a date
_EASTERNMOST: Final = timedelta(hours=14)
_CLOCK_MARGIN: Final = timedelta(hours=10)
_MARGIN: Final = timedelta(hours=1)  # clocks that are wrong, writes that are committed late, summer time
_CLOCKS_DIFFER: Final = 30 * 60 * 1_000_000  # microseconds: half of the margin is left for wrong clocks
_FIRST_YEAR: Final = 1970  # a server that tells an earlier one has no clock


def safe_boundary(now: datetime) -> str:
    """Return a moment that has passed in every time zone, as a filter value.

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


def boundary_by(moment: datetime, boundary: str) -> str | None:
    """Return the boundary by another clock; None where it can stay, since its own is not far ahead of that.

    Args:
        moment: the present by the other clock, such as the server's.
        boundary: a `safe_boundary`.

    Examples:
        >>> boundary_by(datetime(2025, 5, 25, 12, 30, tzinfo=UTC), "2025-05-25T01:30:00")
        '2025-05-24T23:30:00'
    """
    if moment.year < _FIRST_YEAR:
        return None
    other = safe_boundary(moment)
    return other if stamp_of(boundary) - stamp_of(other) > _CLOCKS_DIFFER else None


def latest_stamp(now: datetime) -> int:
    """Return the latest time of a change that can be true, whatever the server's zone is, as a stamp."""
    return stamp_of((now.astimezone(UTC) + _EASTERNMOST + _CLOCK_MARGIN).replace(tzinfo=None).isoformat())


@attrs.frozen(kw_only=True)
class Completeness:
    """What a read did, and what it may claim about its rows.

    Examples:
        >>> customers = visma.customer.list().with_options(completeness="prove")
        >>> rows = await customers
        >>> customers.completeness.verdict, customers.completeness.unique
        ('proven', 40)
    """

    verdict: Verdict
    reason: str
    """Why not more is claimed, or what the claim rests on, in a sentence."""
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
    """The first total that the server stated; None: none."""
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
    """A change, as the server wrote it, of which it is known that the rows show it and all before it: the latest that
    was 13 hours old by the server's clock, whatever its zone, as one stamped ahead of time cannot be told from others.

    An incremental read goes on there. Rows may show later changes too."""
    page_size: int | None
    """Rows a page in the end."""

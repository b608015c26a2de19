"""The thread: if it holds, no row that stayed can have been missed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from random import Random

import pytest
from hypothesis import given, settings, strategies as st

from vismanet_async.paging.completeness import Thread, safe_boundary


def thread(*reads: tuple[int, int, int]) -> Thread:
    made = Thread()
    for start, stop, total in reads:
        made.add(start, stop, total)
    return made


@pytest.mark.parametrize(
    ("reads", "holds"),
    [
        ([], False),
        ([(0, 0, 0)], True),
        ([(0, 2, 2)], True),
        ([(0, 2, 3)], False),
        ([(0, 2, 4), (2, 4, 4)], True),
        ([(2, 4, 4)], False),
        ([(0, 2, 3), (2, 4, 4)], True),  # page 2 was read first: rows can only repeat
        ([(0, 2, 4), (2, 3, 3)], False),  # a row can have slid from page 2 to page 1
        ([(0, 2, 4), (2, 3, 3), (0, 2, 3)], True),
        ([(0, 2, 6), (2, 4, 6), (4, 5, 5)], False),
        ([(0, 2, 6), (2, 4, 6), (4, 5, 5), (2, 4, 5)], True),
        ([(0, 2, 6), (2, 4, 6), (4, 5, 5), (2, 4, 3)], False),  # that was too late: two pages back by now
        ([(0, 2, 6), (2, 4, 6), (4, 5, 5), (2, 3, 3), (0, 2, 3)], True),
    ],
)
def test_thread(reads: list[tuple[int, int, int]], holds: bool) -> None:
    assert thread(*reads).holds() is holds


def test_each_boundary_closed_by_some_pair_of_reads_is_not_enough() -> None:
    # six rows a..f, one a page. Pages 1 and 2 show a and b; then a, b and c go, and d is at the front.
    # Page 2 is read again, then page 3: e and f. Boundary 1|2 has its old pair, boundary 2|3 its new pair; d is lost.
    reads = [(0, 1, 6), (1, 2, 6), (1, 2, 3), (2, 3, 3)]
    assert not thread(*reads).holds()
    assert thread(*reads).gaps(1) == [1]
    assert thread(*reads, (0, 1, 3)).holds()


def test_gaps_name_the_pages_before_the_boundary() -> None:
    reads = [(0, 2, 10), (2, 4, 10), (4, 6, 10), (6, 7, 7)]
    assert thread(*reads).gaps(2) == [2, 3]
    shrunk = thread((0, 2, 5), (2, 4, 5))
    shrunk.shrunk_to(4)
    shrunk.shrunk_to(4)
    assert shrunk.gaps(2) == [2]  # row 5 slid to page 2 before page 3 was found empty
    assert Thread().gaps(2) == [1]


@settings(max_examples=300, deadline=None)
@given(
    seed=st.integers(0, 2**32), rows=st.integers(0, 12), size=st.integers(1, 4), leave=st.sampled_from((0.05, 0.2, 0.5))
)
def test_if_the_thread_holds_every_row_that_stayed_was_seen(seed: int, rows: int, size: int, leave: float) -> None:
    random = Random(seed)
    for _ in range(20):
        items = list(range(rows))
        made = Thread()
        seen: set[int] = set()
        for _ in range(random.randint(1, 3 * (rows // size + 1))):
            while items and random.random() < leave:
                items.pop(random.randrange(len(items)))
            page_size = random.choice((size, size, size + 1))
            start = random.randrange(rows // page_size + 1) * page_size
            page = items[start : start + page_size]
            if page or not start:
                made.add(start, start + len(page), len(items))
                seen |= set(page)
        if made.holds():
            assert set(items) <= seen


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32), rows=st.integers(1, 30), size=st.integers(1, 4))
def test_reading_the_gaps_of_a_list_at_rest_closes_the_thread(seed: int, rows: int, size: int) -> None:
    random = Random(seed)
    made = Thread()
    total = rows
    for page in range(-(-rows // size)):
        total = max(0, total - random.choice((0, 0, 1, 3)))
        if page * size < total or not page:
            made.add(page * size, min(total, (page + 1) * size), total)
        else:
            made.shrunk_to(total)
    for page in made.gaps(size):
        made.add((page - 1) * size, max((page - 1) * size, min(total, page * size)), total)
    assert made.holds()


def test_the_boundary_has_passed_in_every_zone() -> None:
    now = datetime(2025, 5, 25, 14, 0, tzinfo=UTC)
    boundary = datetime.fromisoformat(safe_boundary(now))
    for hours in range(-12, 15):
        assert boundary < now.astimezone(timezone(timedelta(hours=hours))).replace(tzinfo=None)
    assert safe_boundary(now.astimezone(timezone(timedelta(hours=2)))) == boundary.isoformat()
    with pytest.raises(ValueError, match="aware"):
        safe_boundary(datetime(2025, 5, 25))

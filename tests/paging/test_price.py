"""What a proof costs in requests, on lists at rest and on busy ones. Each is proven, and none loses a row.

`VISMANET_PRICE_SEEDS` sets how many busy lists are drawn of each kind.
"""

from __future__ import annotations

import os
from itertools import product
from random import Random

import pytest

from tests.paging.virtual import BOUNDARY, KEYS, Server, run
from vismanet_async._paging.overlap import LEAST_PAGE_SIZE, margin_of, overlapping_page
from vismanet_async._paging.page_formats import PAGE_NUMBER
from vismanet_async._paging.paginator import Paginator

SEEDS = range(int(os.environ.get("VISMANET_PRICE_SEEDS", "5")))
ORDERS = ("number", "last modified", "scattered")


def requests(
    *,
    pages: int,
    size: int,
    rate: float,
    ordered: bool,
    seed: int,
    at_once: int = 1,
    has_filter: bool = True,
    order: str = "",
) -> int:
    random = Random(seed)
    server = Server(random, page_limit=size, change_rate=rate / (1 + rate), order=order or random.choice(ORDERS))
    server.fill(pages * size, 0)
    paginator = Paginator(
        style=PAGE_NUMBER,
        completeness="prove",
        page_size=size,
        keys=KEYS,
        boundary=BOUNDARY,
        divides=has_filter,
        ordered=ordered,
    )
    outcome = run(paginator, server, concurrency=at_once)
    assert outcome.report.verdict == "proven", outcome.report
    assert server.stayed <= set(outcome.rows)
    assert not outcome.twice
    return outcome.report.requests


@pytest.mark.parametrize(("ordered", "most"), [(False, 220), (True, 386)])
def test_a_busy_list_of_200_pages(ordered: bool, most: int) -> None:
    assert max(requests(pages=200, size=50, rate=0.1, ordered=ordered, seed=seed) for seed in SEEDS) <= most


# in page order, and in that of changes, more than a page changes, and such rows can go where the reader has been
@pytest.mark.parametrize(
    ("ordered", "order"), [(False, "last modified"), *product((False, True), ("number", "scattered"))]
)
def test_a_very_busy_list_of_ten_pages(ordered: bool, order: str) -> None:
    for seed in SEEDS:
        assert requests(pages=10, size=50, rate=1.0, ordered=ordered, seed=seed, order=order) <= 4 * 10 + 16


@pytest.mark.parametrize("pages", [10, 30, 50])
@pytest.mark.parametrize("rate", [0.0, 0.1])
def test_a_list_without_a_filter(pages: int, rate: float) -> None:
    most = 1.1 * pages + 4
    assert requests(pages=pages, size=1000, rate=rate, ordered=True, seed=1, has_filter=False) <= most


def test_each_overlapping_page_reaches_further_than_the_rows_so_far() -> None:
    for size in range(LEAST_PAGE_SIZE, 17):  # for larger pages the usual margin is always enough
        for end in range(size, 5 * size**2):
            page = overlapping_page(end, page_size=size, margin=margin_of(size))
            assert page.start < end < page.stop, (size, end)


@pytest.mark.parametrize("at_once", [1, 8])
@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("pages", [2, 10, 200])
def test_a_list_at_rest(pages: int, ordered: bool, at_once: int) -> None:
    assert requests(pages=pages, size=10, rate=0, ordered=ordered, seed=1, at_once=at_once) <= pages + 3

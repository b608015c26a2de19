"""The guarantee against the truth, over many random schedules. `VISMANET_SCHEDULES` sets how many."""

from __future__ import annotations

import os
from random import Random
from statistics import median
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.paging import virtual
from tests.paging.virtual import Outcome, Server, draw_increment, draw_past, draw_run, naive, run, schedule
from vismanet_async.paging.styles import PAGE_NUMBER
from vismanet_async.paging.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Callable

    from vismanet_async.paging.completeness import Mode

SCHEDULES = int(os.environ.get("VISMANET_SCHEDULES", "100000"))
CHUNKS = 40
FIRST_SEED = int(os.environ.get("VISMANET_FIRST_SEED", "0"))


def check(seed: object, server: Server, outcome: Outcome) -> None:
    """What holds for every walk, whatever happened."""
    report = outcome.report
    assert not outcome.twice, f"{seed}: {outcome.twice} delivered twice: {report}"
    assert report.unique == len(outcome.rows), f"{seed}: {report}"
    assert report.rows - report.superseded == len(outcome.rows), f"{seed}: {report}"
    if report.verdict == "proven":
        lost = server.stayed - set(outcome.rows)
        assert not lost, f"{seed}: proven, and {lost} lost: {report}"
        if report.tail_passes and server.at_tail:
            for number in server.stayed:
                assert outcome.rows[number] == server.at_tail[number], f"{seed}: {number} is not the newest: {report}"


def draw(seed: int) -> tuple[Server, Outcome]:
    kind = seed % 20
    if kind < 14:
        return draw_run(seed)
    if kind < 16:
        return draw_increment(seed)
    if kind < 17:
        return draw_past(seed)
    return draw_run(seed, "count")


@pytest.mark.timeout(max(60, SCHEDULES // CHUNKS // 10))
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_record_that_stayed_is_delivered_once(chunk: int) -> None:
    size = max(1, SCHEDULES // CHUNKS)
    proven = changed = 0
    for seed in range(FIRST_SEED + chunk * size, FIRST_SEED + (chunk + 1) * size):
        server, outcome = draw(seed)
        check(seed, server, outcome)
        if seed % 20 < 17 and server.changes:
            changed += 1
            proven += outcome.report.verdict == "proven"
    # a proof that is never reached would be no use
    assert proven > 0.8 * changed or size < 500


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(  # the Random shrinks too
    random=st.randoms(use_true_random=False),
    old=st.integers(0, 25),
    recent=st.integers(0, 5),
    limit=st.integers(1, 5),
    rate=st.sampled_from((0.0, 0.1, 0.3)),
    order=st.sampled_from(tuple(virtual.ORDERS)),
    concurrency=st.integers(1, 6),
    draw_one=st.booleans(),
)
def test_every_record_that_stayed_is_delivered_once_shrinkable(  # noqa: PLR0917 - hypothesis calls it by keyword
    random: Random, old: int, recent: int, limit: int, rate: float, order: str, concurrency: int, draw_one: bool
) -> None:
    server = Server(random=random, page_limit=limit, change_rate=rate, order=order)
    server.fill(old, recent)
    walk = virtual.draw_walk(random, server, "prove" if draw_one else "count")
    check("hypothesis", server, run(walk, server, concurrency=concurrency))


def losses(read: Callable[[Server], set[int]], seeds: range) -> float:
    """How often a reader misses a record that stayed, among the schedules where something changed."""
    lost = changed = 0
    for seed in seeds:
        server, _, _ = schedule(seed, change_rate=0.2)
        seen = read(server)
        changed += bool(server.changes)
        lost += bool(server.stayed - seen)
    return lost / changed


def test_the_schedules_bite() -> None:
    assert losses(naive, range(2_000)) > 0.2


def test_counting_alone_is_fooled_where_a_proof_is_not() -> None:
    fooled = 0
    modes: tuple[Mode, ...] = ("count", "prove")
    for mode in modes:
        for seed in range(400):
            server = Server(random=Random(seed), page_limit=3, change_rate=0.15, weights=(1, 1, 0))
            server.fill(24, 0)
            walk = virtual.draw_walk(server.random, server, mode)
            outcome = run(walk, server, concurrency=1)
            check(seed, server, outcome)
            fooled += mode == "count" == outcome.report.verdict[:5] and bool(server.stayed - set(outcome.rows))
    assert fooled  # equal totals prove nothing: this is what the window is for


@pytest.mark.parametrize("ordered", [False, True])
def test_a_busy_list_of_200_pages_is_proven_for_at_most_one_and_a_half_times_its_pages(ordered: bool) -> None:
    pages = 200
    costs = []
    for seed in range(5):
        random = Random(seed)
        server = Server(random=random, page_limit=10, change_rate=0.1 / 1.1, order=random.choice(tuple(virtual.ORDERS)))
        server.fill(pages * 10, 0)
        walk = Walk(
            style=PAGE_NUMBER,
            completeness="prove",
            page_size=10,
            keys=virtual.KEYS,
            boundary=virtual.BOUNDARY,
            ordered=ordered,
        )
        outcome = run(walk, server, concurrency=8)
        check(seed, server, outcome)
        assert outcome.report.verdict == "proven", outcome.report
        assert server.changes > pages // 20
        costs.append(outcome.report.requests)
    assert median(costs) <= 1.5 * pages, costs

"""The guarantee against the truth, over many random schedules. `VISMANET_SCHEDULES` sets how many."""

from __future__ import annotations

import os
from collections import Counter
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.paging import virtual
from tests.paging.trouble import LIES, TroubledServer, draw, draw_aimed, draw_paginator
from tests.paging.virtual import NOW_SECONDS, Server, naive, run, schedule

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.paging.trouble import Schedule
    from tests.paging.virtual import Outcome
    from vismanet_async._paging.guarantee import Mode

SCHEDULES = int(os.environ.get("VISMANET_SCHEDULES", "4000"))
CHUNKS = 40
FIRST_SEED = int(os.environ.get("VISMANET_FIRST_SEED", "0"))
IN_ONE_TAIL = ("the rows before the edge, and the rest in one answer", "the rows before the edge, and the rest")


def check_rows(seed: object, server: Server, outcome: Outcome) -> None:
    """What holds for every traversal that compares keys, whatever happened."""
    report = outcome.report
    assert not outcome.twice, f"{seed}: {outcome.twice} delivered twice: {report}"
    assert report.unique == len(outcome.rows), f"{seed}: {report}"
    assert report.rows - report.superseded == len(outcome.rows), f"{seed}: {report}"
    lost = server.stayed - set(outcome.rows)
    assert not lost or report.verdict != "proven", f"{seed}: proven, and {lost} lost: {report}"


def check(schedule: Schedule) -> None:
    """What holds for every schedule."""
    server, outcome, report = schedule.server, schedule.outcome, schedule.outcome.report
    if schedule.mode == "none":
        assert not server.stayed - set(outcome.rows) or report.verdict != "proven", schedule
    else:
        check_rows(schedule, server, outcome)
    assert schedule.mode != "prove" or report.verdict != "counted", schedule
    for number, stamp in outcome.rows.items():
        assert stamp in server.versions.get(number, ()), f"{number} never had this version: {schedule}"
    if report.verdict != "proven" or server.is_in_doubt or server.tail_pages > 1:
        return
    if report.reason.endswith(IN_ONE_TAIL):
        for number in server.stayed:
            if server.first_rows[number] > NOW_SECONDS:
                continue  # stamped ahead of the clock: by their stamps, later versions are the older ones
            assert outcome.rows[number] == server.at_tail[number], f"{number} is not the newest: {schedule}"


@pytest.mark.timeout(max(60, SCHEDULES // CHUNKS))
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_record_that_stayed_is_delivered_once(chunk: int, record_property: Callable[[str, object], None]) -> None:
    size = max(1, SCHEDULES // CHUNKS)
    verdicts: Counter[str] = Counter()
    prices: Counter[str] = Counter()
    for seed in range(FIRST_SEED + chunk * size, FIRST_SEED + (chunk + 1) * size):
        drawn = draw(seed)
        check(drawn)
        report = drawn.outcome.report
        verdicts[f"{drawn.mode} {report.verdict}"] += 1
        if report.verdict == "proven":
            prices[f"{report.requests / drawn.least_requests:.2f}"] += 1
    record_property("schedules", dict(verdicts))
    record_property("prices", dict(prices))
    # a proof that is never reached would be no use
    asked = verdicts["prove proven"] + verdicts["prove uncertain"]
    assert verdicts["prove proven"] > 0.7 * asked or asked < 50


@pytest.mark.timeout(max(60, SCHEDULES // CHUNKS))
@pytest.mark.parametrize("chunk", range(CHUNKS // 4))
def test_false_answers_where_they_harm_most(chunk: int, record_property: Callable[[str, object], None]) -> None:
    size = max(1, SCHEDULES // CHUNKS)
    verdicts: Counter[str] = Counter()
    for seed in range(FIRST_SEED + chunk * size, FIRST_SEED + (chunk + 1) * size):
        drawn = draw_aimed(seed)
        check_rows(drawn, drawn.server, drawn.outcome)
        verdicts[f"aimed {drawn.outcome.report.verdict}"] += 1
    record_property("schedules", dict(verdicts))
    # where nothing is proven, nothing can be proven falsely
    assert verdicts["aimed proven"] > 0.3 * size or size < 50, verdicts


@pytest.mark.parametrize(
    "seed",
    [300002463, 300028097, 300052659, 300075070, 300181146, 300203620, 300254296, 300277210, 300379016, 300451798],
)
def test_lists_in_the_order_of_their_changes(seed: int) -> None:
    """Each was proven with rows missing, that had gone where the reader had been: stamped late, or beside one ahead."""
    drawn = draw(seed)
    assert drawn.server.order.startswith("last modified")
    check(drawn)


def test_a_row_of_page_1_that_neither_window_nor_tail_shows_is_missed() -> None:
    """It left the window before that was read, and the tail was of an older state, with a new row instead."""
    drawn = draw(500006064)
    assert drawn.server.lies == {5: "stale"}
    check(drawn)


def test_a_copy_of_an_answer_about_a_part_is_not_believed() -> None:
    """It was read as a page of all rows, when rows left too often for the window: those since the edge were missing."""
    drawn = draw(880000532740)
    assert drawn.server.lies == {18: "repeated"}
    check(drawn)


def test_a_page_behind_the_end_that_got_no_answer_ends_the_reading_all_the_same() -> None:
    """The end had moved before it, so that it was not asked for again, and the reading waited for nothing."""
    drawn = draw(880000198159)
    assert drawn.mode == "count"
    check(drawn)


def test_a_full_page_and_a_blank_one_are_counted_not_proven() -> None:
    """The total was too low by a page, and the first row was deleted before page 2 was asked for."""
    drawn = draw(300160566)
    assert drawn.mode == "count"
    check(drawn)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(  # the Random shrinks too
    random=st.randoms(use_true_random=False),
    rows=st.integers(0, 40),
    limit=st.integers(1, 12),
    rate=st.sampled_from((0.0, 0.05, 0.1)),
    order=st.sampled_from(tuple(virtual.ORDERS)),
    lies=st.dictionaries(st.integers(1, 12), st.sampled_from(LIES), max_size=2),
    concurrency=st.integers(1, 6),
    mode=st.sampled_from(("best", "prove", "count")),
)
def test_every_record_that_stayed_is_delivered_once_shrinkable(  # noqa: PLR0917 - hypothesis calls it by keyword
    random: Random,
    rows: int,
    limit: int,
    rate: float,
    order: str,
    lies: dict[int, str],
    concurrency: int,
    mode: Mode,
) -> None:
    server = TroubledServer(random=random, page_limit=limit, change_rate=rate, order=order, lies=lies)
    server.fill_spaced(rows, random.randint(0, rows))
    paginator = draw_paginator(random, server, mode)
    check_rows(f"{mode} {lies}", server, run(paginator, server, concurrency=concurrency))


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
            paginator = virtual.draw_paginator(server.random, server, mode)
            outcome = run(paginator, server, concurrency=1)
            check_rows(seed, server, outcome)
            fooled += outcome.report.verdict == "counted" and bool(server.stayed - set(outcome.rows))
    assert fooled  # equal totals prove nothing: this is what the window is for

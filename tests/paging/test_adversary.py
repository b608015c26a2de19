"""What a server and its other users may do to a reading, each by name; `docs/paging.md` says what notices it."""

from __future__ import annotations

from datetime import UTC, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from tests.paging.trouble import LIES, SPACING, TroubledServer
from tests.paging.virtual import BOUNDARY, BOUNDARY_SECONDS, DAY, KEYS, NOW_SECONDS, Outcome, run
from vismanet_async._paging.guarantee import safe_boundary
from vismanet_async._paging.page_formats import PAGE_NUMBER, PageAnswer
from vismanet_async._paging.paginator import Paginator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PROVING = ("prove", "best")
HOUR_SECONDS = 3_600


@attrs.define
class Scene(TroubledServer):
    """Rows 1, 2, ... of 1,000 to each, old ones, and what happens before which answer."""

    script: Mapping[int, Callable[[Scene], None]] = attrs.field(factory=dict)

    def change(self) -> None:
        self.cached_at = -1
        if (step := self.script.get(self.answers + 1)) is not None:
            step(self)


def scene(rows: int, size: int, *, fresh: tuple[int, ...] = (), **options: Any) -> Scene:
    server = Scene(Random(1), page_limit=size, change_rate=0, **options)
    for number in range(1, rows + 1):
        server.rows[number * SPACING] = NOW_SECONDS - number if number in fresh else number
    return server


def read(server: TroubledServer, mode: str = "prove", *, concurrency: int = 1, **options: Any) -> Outcome:
    given: dict[str, Any] = {"page_size": server.page_limit, "boundary": BOUNDARY, "ordered": True, **options}
    paginator = Paginator(style=PAGE_NUMBER, completeness=mode, keys=KEYS, **given)  # type: ignore[arg-type]  # parametrized
    outcome = run(paginator, server, concurrency=concurrency)
    assert outcome.report.requests <= paginator.cost_limit
    return outcome


def lost(server: TroubledServer, outcome: Outcome) -> set[int]:
    return server.stayed - set(outcome.rows)


# -- blank answers


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("mode", PROVING)
@pytest.mark.parametrize(("rows", "size"), [(12, 3), (55, 10), (60, 10), (7, 10), (10, 10)])
def test_one_blank_answer_is_asked_again_wherever_it_comes(rows: int, size: int, mode: str, ordered: bool) -> None:
    for fresh in ((), (2,)):
        least = read(scene(rows, size, fresh=fresh), mode, ordered=ordered).report.requests
        for at in range(1, least + 1):
            server = scene(rows, size, fresh=fresh, lies={at: "blank"})
            outcome = read(server, mode, ordered=ordered)
            assert outcome.report.verdict == "proven"
            assert not lost(server, outcome)
            assert outcome.report.requests <= least + 6


@pytest.mark.parametrize("mode", ["none", "count", "prove", "best"])
def test_a_blank_first_answer_is_no_empty_list(mode: str) -> None:
    for blanks in (1, 2):
        server = scene(12, 20, lies=dict.fromkeys(range(1, blanks + 1), "blank"))
        outcome = read(server, mode)
        assert not lost(server, outcome)
        assert outcome.report.verdict == "proven"


def test_three_blank_answers_are_believed_and_named() -> None:
    report = read(scene(0, 10)).report
    assert (report.verdict, report.rests_on, report.requests) == ("proven", ("blank",), 3)


# -- totals


@pytest.mark.parametrize("mode", ["count", *PROVING])
@pytest.mark.parametrize("told", [0, 2])
def test_a_total_below_the_rows_of_its_own_answer_is_a_contradiction(told: int, mode: str) -> None:
    class Low(Scene):
        def made(self, query: Mapping[str, str], lie: str) -> PageAnswer:
            answer = super().made(query, lie)
            return attrs.evolve(answer, total=told) if answer.rows else answer

    for rows, size in ((12, 3), (45, 10)):
        server = Low(Random(1), page_limit=size, change_rate=0, rows=scene(rows, size).rows)
        outcome = read(server, mode)
        assert outcome.report.verdict == "uncertain" or not lost(server, outcome)
        assert outcome.report.requests > 1
        if outcome.report.verdict == "proven":
            assert outcome.report.rests_on == ("order",), "no total carries any weight in it"


@pytest.mark.parametrize("mode", ["count", *PROVING])
@pytest.mark.parametrize("rows", [10, 11, 25, 30])
def test_a_full_page_is_no_end_though_its_total_equals_its_rows(rows: int, mode: str) -> None:
    class OwnRows(Scene):
        def made(self, query: Mapping[str, str], lie: str) -> PageAnswer:
            answer = super().made(query, lie)
            return attrs.evolve(answer, total=len(answer.rows)) if answer.rows else answer

    server = OwnRows(Random(1), page_limit=10, change_rate=0, rows=scene(rows, 10).rows)
    outcome = read(server, mode)
    assert outcome.report.requests > 1
    assert outcome.report.verdict == "uncertain" or not lost(server, outcome)
    if rows == 10 and mode != "count":
        assert outcome.report.verdict == "proven", "a list of exactly one page passes"


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("mode", ["count", *PROVING])
@pytest.mark.parametrize("pages", [1, 2, 5])
def test_a_total_that_is_low_by_whole_pages_for_ever_is_not_believed(pages: int, mode: str, ordered: bool) -> None:
    @attrs.define
    class Low(Scene):
        def shift_now(self) -> int:
            return -pages * self.page_limit

    server = Low(Random(1), page_limit=50, change_rate=0, rows=scene(400, 50).rows)
    outcome = read(server, mode, ordered=ordered)
    assert outcome.report.verdict == "uncertain" or not lost(server, outcome)
    assert mode == "count" or outcome.report.verdict == "proven"


@pytest.mark.parametrize("mode", ["count", *PROVING])
def test_a_total_that_is_far_too_high_costs_the_same_in_any_order(mode: str) -> None:
    @attrs.define
    class High(Scene):
        def shift_now(self) -> int:
            return 100_000

    requests = []
    for ordered in (True, False):
        server = High(Random(1), page_limit=50, change_rate=0, rows=scene(400, 50).rows)
        outcome = read(server, mode, ordered=ordered)
        assert not lost(server, outcome)
        assert outcome.report.verdict in {"uncertain", "proven"}
        requests.append(outcome.report.requests)
    assert max(requests) <= 4 * 9 + 16
    assert max(requests) <= 2 * min(requests)


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("mode", PROVING)
@pytest.mark.parametrize("lie", LIES)
def test_one_false_answer_of_a_list_at_rest_costs_requests_and_no_row(lie: str, mode: str, ordered: bool) -> None:
    for rows, size in ((12, 3), (55, 10), (10, 10)):
        least = read(scene(rows, size, fresh=(2,)), mode, ordered=ordered).report.requests
        for at in range(1, least + 1):
            server = scene(rows, size, fresh=(2,), lies={at: lie})
            outcome = read(server, mode, ordered=ordered)
            assert outcome.report.verdict == "proven", (at, outcome.report)
            assert not lost(server, outcome)


# -- stamps


def ahead(server: Scene) -> None:
    server.rows[900 * SPACING] = NOW_SECONDS + 2


def late(server: Scene) -> None:
    server.rows[900 * SPACING] = NOW_SECONDS - 900


def the_hour_that_comes_twice(server: Scene) -> None:
    server.rows[900 * SPACING] = NOW_SECONDS - HOUR_SECONDS


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("write", [ahead, late, the_hour_that_comes_twice])
def test_the_edge_is_no_stamp_that_a_row_carries(write: Callable[[Scene], None], ordered: bool) -> None:
    """One row goes and one comes: the total stays, and the row that comes is stamped before the newest one seen."""

    def swap(server: Scene) -> None:
        server.delete(SPACING)
        write(server)

    for newest in (NOW_SECONDS, NOW_SECONDS + 300, NOW_SECONDS + 400 * 86_400):
        for at in range(2, 12):
            server = scene(12, 3, script={at: swap})
            server.rows[2 * SPACING] = newest  # of a second server, or imported
            outcome = read(server, ordered=ordered)
            assert outcome.report.verdict == "proven"
            assert outcome.report.window == BOUNDARY
            assert not lost(server, outcome), (newest, at, outcome.report)


def test_the_edge_is_thirteen_hours_back() -> None:
    now = DAY.replace(tzinfo=UTC) + timedelta(days=40)
    assert safe_boundary(now) == (now - timedelta(hours=13)).replace(tzinfo=None).isoformat()
    assert NOW_SECONDS - BOUNDARY_SECONDS <= 13 * HOUR_SECONDS  # of all these tests


# -- several servers of one farm


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("mode", ["count", *PROVING])
@pytest.mark.parametrize("sizes", [(50, 30), (30, 50), (50, 10)])
def test_servers_with_different_page_sizes_are_asked_for_the_smallest(
    sizes: tuple[int, int], mode: str, ordered: bool
) -> None:
    @attrs.define
    class InTurn(Scene):
        def limit_now(self) -> int:
            return sizes[self.answers % 2]

    server = InTurn(Random(1), page_limit=50, change_rate=0, rows=scene(400, 50).rows)
    outcome = read(server, mode, ordered=ordered)
    assert not lost(server, outcome)
    assert outcome.report.verdict == ("counted" if mode == "count" else "proven")
    assert outcome.report.page_size == min(sizes)
    pages = 400 // min(sizes)
    assert outcome.report.requests <= 2 * pages + 6


# -- lists that change


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("boundary", [BOUNDARY, None])
def test_rows_that_come_and_go_with_every_answer_are_counted_never(boundary: str | None, ordered: bool) -> None:
    """More different rows came than any total told: equal numbers would show nothing."""

    def made(seed: int) -> TroubledServer:
        server = TroubledServer(Random(seed), page_limit=40, change_rate=0.75, weights=(1, 1, 0))
        server.fill_spaced(400, 0)
        return server

    for seed in range(10):
        for mode in ("count", *PROVING):
            server = made(seed)
            outcome = read(server, mode, ordered=ordered, boundary=boundary, concurrency=4)
            assert outcome.report.verdict in {"proven", "uncertain"}
            assert mode != "count" or outcome.report.verdict == "uncertain"
            assert outcome.report.verdict == "uncertain" or not lost(server, outcome)


@pytest.mark.parametrize("mode", ["none", "count", *PROVING])
def test_a_list_that_grows_faster_than_it_is_read_ends_within_the_bound(mode: str) -> None:
    def grow(server: Scene) -> None:
        for _ in range(3):
            number = max(server.rows) + SPACING
            server.rows[number] = NOW_SECONDS
            server.versions[number] = {NOW_SECONDS}

    server = scene(6, 2, script=dict.fromkeys(range(1, 1_000), grow))
    outcome = read(server, mode)
    assert outcome.report.requests < 200
    assert outcome.report.verdict == "uncertain"


@pytest.mark.parametrize("mode", ["none", "count", *PROVING])
def test_the_same_page_again_and_again_is_noticed(mode: str) -> None:
    @attrs.define
    class Same(Scene):
        def made(self, query: Mapping[str, str], lie: str) -> PageAnswer:
            query = {**query, "pageNumber": "1"}
            return attrs.evolve(super().made(query, lie), total=1_000_000)

    server = Same(Random(1), page_limit=40, change_rate=0, rows=scene(400, 40).rows)
    outcome = read(server, mode)
    assert outcome.report.verdict == "uncertain"
    assert "page 1" in outcome.report.reason
    assert outcome.report.requests <= 4 * 2 + 16

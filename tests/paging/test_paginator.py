"""Walks over lists that misbehave in a known way, each by name."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from tests.paging.virtual import (
    BOUNDARY,
    BOUNDARY_SECONDS,
    KEYS,
    NOW_SECONDS,
    Outcome,
    Server,
    collect,
    naive,
    raw,
    run,
    text,
)
from vismanet_async._paging.keys import RowKeys, stamp_of
from vismanet_async._paging.page_formats import (
    ENVELOPE,
    JOURNAL,
    PAGE_INDEX,
    PAGE_NUMBER,
    UNPAGED,
    Metadata,
    PageAnswer,
    PageFormatError,
    PageReader,
    PageStyle,
)
from vismanet_async._paging.paginator import Paginator
from vismanet_async._paging.scope_filters import ModifiedFilter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vismanet_async._paging.delivery import Delivery
    from vismanet_async._paging.request_log import PageRequest

MODES = ("none", "count", "prove", "best")


def paginator_of(mode: str = "prove", **options: Any) -> Paginator:
    defaults: dict[str, Any] = {
        "style": PAGE_NUMBER,
        "page_size": 2,
        "keys": KEYS,
        "boundary": BOUNDARY,
    }
    return Paginator(completeness=mode, **(defaults | options))  # type: ignore[arg-type]  # parametrized


@attrs.define
class Scripted(Server):
    """Changes when told to: before the answers with these numbers."""

    script: Mapping[int, Callable[[Scripted], None]] = attrs.field(factory=dict)

    def change(self) -> None:
        self.cached_at = -1  # tests also change rows by hand
        if (step := self.script.get(self.answers + 1)) is not None:
            self.now += 1
            step(self)


def quiet(rows: int, *, limit: int = 2, order: str = "number", at: int | None = None, **script: Any) -> Scripted:
    server = Scripted(Random(1), page_limit=limit, change_rate=0, order=order, script=script.get("script", {}))
    for number in range(1, rows + 1):
        server.rows[number] = number if at is None else at
    server.next_number = rows + 1
    return server


def read(server: Server, paginator: Paginator, concurrency: int = 1) -> Outcome:
    return run(paginator, server, concurrency=concurrency)


# -- the guarantee, by name


def delete_one_add_one(server: Scripted) -> None:
    server.delete(1)
    server.insert()


def test_delete_one_add_one() -> None:
    """Totals never change, and a naive reader still loses a record."""

    def made() -> Scripted:
        return quiet(6, script={2: delete_one_add_one})

    server = made()
    assert naive(server) == {1, 2, 4, 5, 6, 7}
    assert server.stayed == {2, 3, 4, 5, 6}
    server = made()
    counted = read(server, paginator_of("count"))
    assert counted.report.verdict == "counted"  # which is why counting is called counting
    assert 3 not in counted.rows
    for ordered in (False, True):
        for moment in range(1, 8):
            server = quiet(6, script={moment: delete_one_add_one})
            outcome = read(server, paginator_of(ordered=ordered))
            assert outcome.report.verdict == "proven"
            assert server.stayed <= set(outcome.rows)


@pytest.mark.parametrize("moment", range(1, 8))
@pytest.mark.parametrize("ordered", [True, False])
def test_a_clock_that_is_ahead_shows_in_the_answers(moment: int, *, ordered: bool) -> None:
    """The edge would be where rows are still written: one goes and one comes, and no total tells."""
    server_time = datetime.fromisoformat(BOUNDARY).replace(tzinfo=UTC) + timedelta(hours=13)
    server = quiet(6, script={moment: delete_one_add_one})
    paginator = paginator_of(boundary=text(NOW_SECONDS + 3_600), ordered=ordered)
    first = paginator.next_request()
    assert first is not None
    paginator.note_server_time(server_time)
    assert paginator.receive_page(first, server.answer(first.query)) == []  # it is asked for again
    outcome = read(server, paginator)
    assert outcome.report.verdict == "proven"
    assert outcome.report.window in {BOUNDARY, None}
    assert server.stayed <= set(outcome.rows)


def test_a_clock_that_is_a_little_ahead_costs_nothing() -> None:
    for minutes in (-100_000, -30, 0, 29):
        paginator = paginator_of()
        first = paginator.next_request()
        assert first is not None
        now = datetime.fromisoformat(BOUNDARY).replace(tzinfo=UTC) + timedelta(hours=13)
        paginator.note_server_time(now - timedelta(minutes=minutes))
        paginator.note_server_time(datetime(1, 1, 1, tzinfo=UTC))  # no clock at all
        server = quiet(6)
        assert paginator.receive_page(first, server.answer(first.query)) == []
        assert read(server, paginator).report.window == BOUNDARY


def test_an_answer_from_long_ago_has_the_list_read_again() -> None:
    server, paginator = quiet(6), paginator_of()
    now = datetime.fromisoformat(BOUNDARY).replace(tzinfo=UTC) + timedelta(hours=13)
    while (request := paginator.next_request()) is not None:
        paginator.note_server_time(now - timedelta(hours=2) if server.answers == 2 else now)
        paginator.receive_page(request, server.answer(request.query))
    assert paginator.report().verdict == "proven"
    assert "long before the others" in str(paginator.report().reason) + str(paginator._notes) + str(
        paginator._plan.notes
    )


@pytest.mark.parametrize("mode", ["count", "prove"])
def test_impossible_times_move_no_watermark(mode: str) -> None:
    def watermark(*times: str) -> str | None:
        rows: list[dict[str, Any]] = [
            {"number": str(number), "lastModifiedDateTime": time} for number, time in enumerate(times)
        ]
        rows[0]["metadata"] = {"totalCount": len(rows), "maxPageSize": 10}
        paginator = paginator_of(mode, latest=stamp_of(text(NOW_SECONDS)), page_size=10)
        bodies(paginator, {"1": json.dumps(rows).encode()}, PAGE_NUMBER)
        assert paginator.report().verdict == "proven"
        return paginator.report().watermark

    assert watermark(text(5), "2099-01-01T00:00:00", text(3)) == text(5)
    assert watermark("9999-12-31T23:59:59.9999999", text(5)) == text(5)
    assert watermark("0001-01-01T00:00:00", "1753-01-01") is None
    assert watermark("9999-12-31T23:59:59", "0001-01-01T00:00:00") is None
    assert watermark(text(NOW_SECONDS)) == text(NOW_SECONDS)


def test_a_touched_row_is_delivered_in_its_newest_version_and_the_old_one_is_named() -> None:
    def touch(server: Scripted) -> None:
        server.rows[2] = server.now

    server = quiet(6, script={5: touch})
    outcome = read(server, paginator_of(ordered=True))
    assert outcome.rows[2] == NOW_SECONDS + 1
    assert outcome.report.superseded == 1
    assert outcome.report.watermark == text(NOW_SECONDS + 1)
    (late,) = [delivery for delivery in outcome.deliveries if delivery.supersedes]
    (old,) = late.supersedes
    assert json.loads(bytes(outcome.deliveries[old.delivery].rows[old.row]))["number"] == "000002"


def test_the_watermark_is_a_change_before_which_nothing_is_missing() -> None:
    def change(server: Scripted) -> None:
        server.rows[1] = server.now  # row 1 was read by then, and is not read again
        server.rows[25] = server.now + 1

    for mode in ("count", "none"):
        outcome = read(
            quiet(30, limit=10, script={3: change}), paginator_of(mode, page_size=10, ordered=True, boundary=None)
        )
        assert outcome.rows[25] == NOW_SECONDS + 2
        assert outcome.rows[1] == 1
        assert outcome.report.watermark == (text(10) if mode == "count" else None)
    outcome = read(quiet(30, limit=10, script={3: change}), paginator_of(page_size=10, boundary=None))
    assert outcome.report.verdict == "proven"
    assert outcome.report.watermark == text(10)


def test_counting_keeps_the_newest_version_whichever_comes_first() -> None:
    newer, older = raw(1, 20), raw(1, 10)
    for first, second, superseded in ((older, newer, 1), (newer, older, 0)):
        paginator = paginator_of("count", page_size=1)
        deliveries = []
        for row in (first, second):
            request = asked(paginator)
            deliveries += paginator.receive_page(request, PageAnswer([row], 2, None, None, b""))
        report = paginator.report()
        assert (report.superseded, report.unique, report.verdict) == (superseded, 1, "uncertain")
        assert collect(paginator, deliveries).rows == {1: 20}


# -- the price


def least(rows: int, size: int) -> int:
    return max(1, -(-rows // size))


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("rows", [0, 1, 9, 10, 11, 19, 20, 21, 95, 100, 101])
def test_a_proof_of_a_quiet_list_costs_at_most_three_requests_more_than_its_pages(rows: int, ordered: bool) -> None:
    for order in ("number", "last modified", "scattered"):
        for concurrency in (1, 4):
            for mode in ("prove", "best"):
                paginator = paginator_of(mode, page_size=10, ordered=ordered)
                outcome = read(quiet(rows, limit=10, order=order), paginator, concurrency)
                assert len(outcome.rows) == rows
                assert outcome.report.verdict == "proven"
                most = 3 if not rows else 1 + (rows == 10) if rows <= 10 else least(rows, 10) + 3
                assert outcome.report.requests <= most, outcome.report
                assert (outcome.report.total_last or 0) == rows


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 6, 12, 99, 100])
def test_a_proof_costs_up_to_five_requests_more_where_no_smaller_page_shows_the_end(rows: int) -> None:
    for ordered in (False, True):
        outcome = read(quiet(rows), paginator_of(ordered=ordered))
        assert outcome.report.verdict == "proven"
        assert outcome.report.requests <= least(rows, 2) + 3 + 2 * (rows % 2 == 0)


@pytest.mark.parametrize("rows", [*range(1, 12), 99, 100, 101])
def test_counting_asks_once_more_where_the_last_page_is_full(rows: int) -> None:
    for order in ("number", "last modified", "scattered"):
        for concurrency in (1, 4):
            for mode, more in (("none", 0), ("count", rows % 2 == 0)):
                outcome = read(quiet(rows, order=order), paginator_of(mode), concurrency)
                assert len(outcome.rows) == rows
                assert outcome.report.requests == least(rows, 2) + more, outcome.report
                verdict = "counted" if mode == "count" else "uncertain"
                assert outcome.report.verdict == ("proven" if rows == 1 else verdict)
                assert outcome.report.total_last == rows


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("recent", [1, 2, 3, 9, 10, 15, 30])
def test_requests_on_a_quiet_list_with_recent_rows(recent: int, ordered: bool) -> None:
    for order in ("number", "last modified", "last modified, newest first", "scattered"):
        server = quiet(100, limit=10, order=order)
        for number in range(1, recent + 1):
            server.rows[number] = BOUNDARY_SECONDS + number * 7
        outcome = read(server, paginator_of(page_size=10, ordered=ordered), 3)
        assert outcome.report.verdict == "proven"
        assert outcome.report.tail_passes == 1
        assert outcome.report.window == BOUNDARY
        tail = least(recent, 10)
        more = 0 if tail == 1 else 2 * tail  # a tail that is longer than a page is read twice
        assert outcome.report.requests <= 10 + 3 + more + (1 if ordered else 3), (order, outcome.report)


def test_a_known_length_lets_the_first_requests_leave_together() -> None:
    paginator = paginator_of("count", expected_rows=6)
    assert [request.page for request in iter(paginator.next_request, None)] == [1, 2, 3]
    paginator = paginator_of("count", expected_rows=6, page_size=None)
    assert [request.page for request in iter(paginator.next_request, None)] == [1]


def test_a_first_total_lets_requests_leave_before_its_rows_are_read() -> None:
    server = quiet(7)
    paginator = paginator_of("count")
    first = asked(paginator)
    assert paginator.next_request() is None
    assert paginator.peek_metadata(first, Metadata(7, 2))
    others = list(iter(paginator.next_request, None))
    assert [request.page for request in others] == [2, 3, 4]
    paginator.receive_page(first, server.answer(first.query))
    assert not paginator.peek_metadata(others[0], Metadata(100, 2)), "it is known by now"
    assert not paginator.peek_metadata(first, Metadata(100, 2)), "it was answered"
    for request in others:
        paginator.receive_page(request, server.answer(request.query))
    assert paginator.done
    assert (paginator.report().requests, paginator.report().verdict) == (4, "counted")


@pytest.mark.parametrize(
    ("mode", "options", "metadata"),
    [
        ("count", {}, Metadata(7, 1)),
        ("count", {}, Metadata(0, 2)),
        ("count", {}, Metadata(None, 2)),
        ("count", {"page_size": None}, Metadata(7, 2)),
        ("prove", {}, Metadata(7, 2)),
    ],
    ids=["smaller pages", "empty", "no total", "size left to the server", "another stage follows"],
)
def test_a_first_total_that_settles_nothing(mode: str, options: dict[str, Any], metadata: Metadata) -> None:
    paginator = paginator_of(mode, **options)
    assert not paginator.peek_metadata(asked(paginator), metadata)
    assert paginator.next_request() is None


@pytest.mark.parametrize(("ordered", "pages"), [(True, [51, 51, 2, 3]), (False, [51, 51, 50, 49])])
def test_page_1_is_read_alone_then_the_end_is_looked_for_with_the_others(ordered: bool, pages: list[int]) -> None:
    server = quiet(100)
    paginator = paginator_of(ordered=ordered)
    for _ in range(2):
        request = asked(paginator)
        assert request.page == 1
        assert paginator.next_request() is None
        paginator.receive_page(request, server.answer(request.query))
    assert [asked(paginator).page for _ in pages] == pages
    assert paginator.in_flight == len(pages)
    assert paginator.live_total == 100


@pytest.mark.parametrize("ordered", [True, False])
def test_a_page_is_kept_back_until_the_end_was_seen(ordered: bool) -> None:
    """Else all pages may be of a moment before it, and what is there since then is in none of them."""
    server = quiet(5)
    paginator = paginator_of(ordered=ordered)
    for _ in range(2):
        request = asked(paginator)
        paginator.receive_page(request, server.answer(request.query))
    end, one = asked(paginator), asked(paginator)
    assert "lastModifiedDateTime" not in end.query
    assert paginator.next_request() is None
    paginator.receive_page(one, server.answer(one.query))
    assert paginator.next_request() is None
    assert paginator.receive_error(end, TimeoutError())
    again = asked(paginator)
    assert again.query == end.query
    assert paginator.next_request() is None
    paginator.receive_page(again, server.answer(again.query))
    assert {one.page, asked(paginator).page} == {2, 3}


# -- page sizes


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("page_size", [None, 2, 3, 100])
def test_a_clamped_page_size(mode: str, page_size: int | None) -> None:
    outcome = read(quiet(11, limit=3), paginator_of(mode, page_size=page_size), 3)
    assert len(outcome.rows) == 11
    assert (outcome.report.verdict == "uncertain") is (mode == "none")
    assert outcome.report.page_size == min(3, page_size or 3)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("limit", [1, 2, 4, 5, 9])
@pytest.mark.parametrize("ordered", [False, True])
def test_a_page_size_that_changes_on_the_way(mode: str, limit: int, ordered: bool) -> None:
    def resize(server: Scripted) -> None:
        server.page_limit = limit

    for moment in range(1, 9):
        server = quiet(23, limit=6, script={moment: resize})
        outcome = read(server, paginator_of(mode, page_size=6, ordered=ordered), 3)
        assert set(outcome.rows) == set(server.rows)
        if mode != "none":
            assert not outcome.twice
            assert outcome.report.verdict in {"proven", "counted"}


@pytest.mark.parametrize("told", [True, False])
def test_a_server_that_clamps_without_saying_so(told: bool) -> None:
    @attrs.define
    class Silent(Scripted):
        def answer(self, query: Mapping[str, str]) -> PageAnswer:
            answer = super().answer(query)
            return attrs.evolve(answer, max_page_size=1000 if told else None)

    server = Silent(Random(1), page_limit=3, change_rate=0, rows=quiet(11).rows)
    outcome = read(server, paginator_of("count", page_size=10), 3)
    assert set(outcome.rows) == set(server.rows)
    assert outcome.report.verdict == "counted"


@pytest.mark.parametrize("limit", [8, 17])
@pytest.mark.parametrize("rows", [1, 7, 8, 9, 17, 18, 120])
@pytest.mark.parametrize("asked", [11, 1000])
def test_pages_that_are_lowered_without_a_word_and_without_totals(limit: int, rows: int, asked: int) -> None:
    """Fewer rows than were asked for are no end: the server may give no more in one answer."""

    @attrs.define
    class Mute(Scripted):
        def answer(self, query: Mapping[str, str]) -> PageAnswer:
            return attrs.evolve(super().answer(query), total=None, max_page_size=None)

    server = Mute(Random(1), page_limit=limit, change_rate=0, rows=quiet(rows).rows)
    outcome = read(server, paginator_of(page_size=asked), 3)
    assert set(outcome.rows) == set(server.rows)
    assert outcome.report.verdict == "proven"


# -- a live end


@pytest.mark.parametrize("mode", ["none", "count"])
def test_the_end_moves_forward(mode: str) -> None:
    server = quiet(4, script={2: Scripted.insert})
    outcome = read(server, paginator_of(mode))
    assert len(outcome.rows) == 5
    assert outcome.report.shifts == 1
    assert outcome.report.verdict == ("counted" if mode == "count" else "uncertain")


def test_the_end_moves_back_and_pages_beyond_it_are_no_error() -> None:
    def shrink(server: Scripted) -> None:
        for number in (5, 6, 7, 8):
            server.delete(number)

    for mode in MODES:
        for moment in range(1, 7):
            server = quiet(8, script={moment: shrink})
            outcome = read(server, paginator_of(mode), 4)
            assert server.stayed <= set(outcome.rows)


def test_a_list_that_empties() -> None:
    for moment in range(1, 11):
        server = quiet(60, limit=10, script={moment: lambda server: server.rows.clear()})
        paginator = paginator_of(page_size=10)
        report = read(server, paginator, 2).report
        assert report.verdict == "proven" or report.requests == paginator.cost_limit


def test_counting_a_long_list_ends_uncertain_where_rows_were_seen_to_go_or_to_come() -> None:
    for step in (lambda server: server.delete(1), Scripted.insert):
        outcome = read(quiet(100, script={25: step}), paginator_of("count"))
        assert outcome.report.verdict == "uncertain"
        assert "went from 100 to" in outcome.report.reason
        assert len(outcome.rows) >= 99


def test_counting_a_short_list_reads_it_again_until_it_holds_still() -> None:
    server = quiet(6, script={2: Scripted.insert, 3: lambda server: server.delete(1)})
    outcome = read(server, paginator_of("count"))
    assert outcome.report.verdict == "counted"
    assert server.stayed <= set(outcome.rows)


# -- failures


def asked(paginator: Paginator) -> PageRequest:
    request = paginator.next_request()
    assert request is not None
    return request


def test_a_page_that_fails_is_asked_for_again_while_its_neighbours_succeed() -> None:
    server = quiet(5)
    paginator = paginator_of("count", ordered=True)
    deliveries = paginator.receive_page(asked(paginator), server.answer({"pageNumber": "1", "pageSize": "2"}))
    second, third = asked(paginator), asked(paginator)
    deliveries += paginator.receive_page(third, server.answer(third.query))
    assert len(deliveries) == 1  # page 3 waits for page 2
    for _ in range(2):
        assert paginator.receive_error(second, TimeoutError())
        second = asked(paginator)
        assert second.page == 2
        assert paginator.next_request() is None
    deliveries += paginator.receive_page(second, server.answer(second.query))
    assert [delivery.page for delivery in deliveries] == [1, 2, 3]
    assert paginator.report().verdict == "counted"


@pytest.mark.parametrize("mode", MODES)
def test_a_page_that_fails_for_good(mode: str) -> None:
    paginator = paginator_of(mode)
    assert paginator.receive_error(asked(paginator), TimeoutError())
    assert paginator.receive_error(asked(paginator), TimeoutError())
    assert not paginator.receive_error(asked(paginator), TimeoutError())
    assert paginator.done
    assert paginator.next_request() is None
    assert paginator.report().verdict == "uncertain"
    assert "TimeoutError" in paginator.report().reason


@pytest.mark.parametrize("mode", ["none", "count"])
def test_a_failed_page_that_is_no_longer_within_the_list_holds_no_rows_back(mode: str) -> None:
    server = quiet(7)
    paginator = paginator_of(mode, ordered=True)
    deliveries = paginator.receive_page(asked(paginator), server.answer({"pageNumber": "1", "pageSize": "2"}))
    second, third, fourth = asked(paginator), asked(paginator), asked(paginator)
    deliveries += paginator.receive_page(fourth, server.answer(fourth.query))  # waits for its turn
    for number in (4, 5, 6):
        server.delete(number)
    deliveries += paginator.receive_page(second, server.answer(second.query))
    assert paginator.receive_error(third, TimeoutError())
    again = asked(paginator)
    assert again.page == 3
    deliveries += paginator.receive_page(again, server.answer(again.query))
    numbers = [int(json.loads(bytes(row))["number"]) for delivery in deliveries for row in delivery.rows]
    assert sorted(set(numbers)) == [1, 2, 3, 7]


def test_keys_are_read_ahead_for_what_is_still_needed() -> None:
    server, paginator = quiet(6), paginator_of("count")
    first = asked(paginator)
    answer = server.answer(first.query)
    keys = paginator.read_keys(first, answer)
    assert keys is not None
    assert len(keys) == len(answer.rows)
    ahead = paginator.receive_page(first, answer, keys)
    plain = paginator_of("count")
    assert ahead == plain.receive_page(asked(plain), answer)
    second = asked(paginator)
    paginator._begin()
    nameless = PageAnswer([json_row(n=1)], 6, None, None, b"")
    assert paginator.read_keys(second, nameless) is None, "an answer to a plan that was given up may be anything"
    assert paginator.receive_page(second, nameless) == []
    with pytest.raises(ValueError, match="not in flight"):
        paginator.read_keys(second, nameless)


def test_a_request_is_answered_once() -> None:
    paginator = paginator_of("count")
    request = asked(paginator)
    paginator.receive_page(request, PageAnswer([], None, None, None, b"[]"))
    with pytest.raises(ValueError, match="not in flight"):
        paginator.receive_page(request, PageAnswer([], None, None, None, b"[]"))
    with pytest.raises(ValueError, match="not in flight"):
        paginator.receive_error(request, TimeoutError())


def test_a_row_without_its_identity_is_loud() -> None:
    paginator = paginator_of("count", keys=RowKeys(("id",)))
    with pytest.raises(PageFormatError, match="id"):
        paginator.receive_page(asked(paginator), PageAnswer([raw(1, 1)], 1, None, None, b""))


# -- breaches of what the proof rests on


class Breach:
    """Servers that break one assumption each."""

    @attrs.define
    class FilterIgnored(Scripted):
        def matching(self, query: Mapping[str, str]) -> list[tuple[int, int]]:
            return super().matching({})

    @attrs.define
    class BeyondIgnored(Scripted):
        def matching(self, query: Mapping[str, str]) -> list[tuple[int, int]]:
            ignored = query.get("lastModifiedDateTimeCondition") == ">="
            return super().matching({} if ignored else query)

    @attrs.define
    class BelowIgnored(Scripted):
        def matching(self, query: Mapping[str, str]) -> list[tuple[int, int]]:
            ignored = query.get("lastModifiedDateTimeCondition") == "<"
            return super().matching({} if ignored else query)

    @attrs.define
    class Unstable(Scripted):
        def matching(self, query: Mapping[str, str]) -> list[tuple[int, int]]:
            rows = super().matching(query)
            self.random.shuffle(rows)
            return rows

    @attrs.define
    class Unstamped(Scripted):
        """Rows 7 and 8 have no stamp: no comparison finds them."""

        def answer(self, query: Mapping[str, str]) -> PageAnswer:
            answer = super().answer(query)
            return attrs.evolve(answer, rows=[unstamped(row) for row in answer.rows])

        def matching(self, query: Mapping[str, str]) -> list[tuple[int, int]]:
            rows = super().matching(query)
            return [row for row in rows if not query.get("lastModifiedDateTime") or row[0] not in {7, 8}]

    @attrs.define
    class Backdated(Scripted):
        """A row appears in the window while it is read."""

        def change(self) -> None:
            super().change()
            if self.answers == 4:
                self.rows[0] = 5

    @attrs.define
    class Inconsistent(Scripted):
        """Pages are shorter than their totals say."""

        def answer(self, query: Mapping[str, str]) -> PageAnswer:
            answer = super().answer(query)
            return attrs.evolve(answer, rows=answer.rows[:1]) if query["pageNumber"] == "2" else answer

    @attrs.define
    class TotalsMissing(Scripted):
        def answer(self, query: Mapping[str, str]) -> PageAnswer:
            return attrs.evolve(super().answer(query), total=None, max_page_size=None)


def unstamped(row: Any) -> Any:
    value = json.loads(bytes(row))
    return raw(int(value["number"]), 0) if value["number"] not in {"000007", "000008"} else _bare(value["number"])


def _bare(number: str) -> Any:
    import msgspec

    return msgspec.Raw(b'{"number":"%s","lastModifiedDateTime":""}' % number.encode())


def broken(kind: type[Scripted], rows: int = 12, limit: int = 2, **options: Any) -> Scripted:
    return kind(Random(3), page_limit=limit, change_rate=0, rows=quiet(rows).rows, next_number=rows + 1, **options)


def everything(paginator: Paginator, server: Server) -> tuple[set[int], Any]:
    deliveries: list[Delivery] = []
    while (request := paginator.next_request()) is not None:
        deliveries += paginator.receive_page(request, server.answer(request.query))
    assert paginator.done
    return {int(json.loads(bytes(row))["number"]) for one in deliveries for row in one.rows}, paginator.report()


@pytest.mark.parametrize(
    ("kind", "words", "rests_on"),
    [
        (Breach.FilterIgnored, "does not apply", ("order",)),
        (Breach.BelowIgnored, "does not apply", ("order",)),
        (Breach.BeyondIgnored, "does not apply", ("order",)),
        (Breach.Unstamped, "overlapping pages", ("order",)),
        (Breach.Backdated, "rows entered", ("stamps",)),
        (Breach.TotalsMissing, "tells no totals", ("order",)),
    ],
)
def test_a_breach_is_noticed_and_the_list_proven_without_what_is_broken(
    kind: type[Scripted], words: str, rests_on: tuple[str, ...]
) -> None:
    for mode in ("prove", "best"):
        server = broken(kind, rows=45, limit=10)
        if kind in {Breach.FilterIgnored, Breach.BelowIgnored, Breach.BeyondIgnored}:
            server.rows[12] = BOUNDARY_SECONDS + 10
        found, report = everything(paginator_of(mode, page_size=10), server)
        assert report.verdict == "proven"
        assert report.rests_on == rests_on
        assert words in report.reason
        assert found == set(server.rows)


def test_who_accepts_a_list_without_a_proof_gets_every_page_of_it_once() -> None:
    for reads_on, ordered, concurrency in itertools.product((True, False), (True, False), (1, 4)):
        server = broken(Breach.Unstable, rows=95, limit=10)
        outcome = read(server, paginator_of(page_size=10, reads_on=reads_on, ordered=ordered), concurrency)
        assert outcome.report.verdict == "uncertain"
        assert "the order of the rows is not stable" in outcome.report.reason
        assert outcome.report.watermark is None
        assert len(outcome.rows) >= 90 or not reads_on
        assert not outcome.twice


@pytest.mark.parametrize(
    ("kind", "words"),
    [(Breach.Inconsistent, "had 1 rows where"), (Breach.Unstable, "the order of the rows is not stable")],
)
def test_a_breach_that_leaves_nothing_to_rest_on_is_uncertain(kind: type[Scripted], words: str) -> None:
    for limit, rows in ((2, 12), (10, 45)):
        _, report = everything(paginator_of(page_size=limit), broken(kind, rows=rows, limit=limit))
        assert report.verdict == "uncertain"
        assert words in report.reason


@pytest.mark.parametrize("kind", [Breach.FilterIgnored, Breach.BelowIgnored, Breach.Unstamped])
def test_a_breach_on_pages_too_small_to_overlap_is_proven_by_two_passes(kind: type[Scripted]) -> None:
    server = broken(kind)
    server.rows[12] = BOUNDARY_SECONDS + 10 if kind is not Breach.Unstamped else 12
    found, report = everything(paginator_of(), server)
    assert (report.verdict, report.rests_on) == ("proven", ("keys",))
    assert found == set(server.rows)


def test_rows_without_a_stamp_on_the_first_page_are_read_without_a_window() -> None:
    server = broken(Breach.Unstamped, limit=6)
    server.order = "number, newest first"
    found, report = everything(paginator_of(page_size=6), server)
    assert report.window is None
    assert (report.verdict, report.rests_on) == ("proven", ("keys",))
    assert found == set(server.rows)


def test_an_identity_that_is_not_unique_is_noticed_and_drops_nothing() -> None:
    paginator = paginator_of("count", keys=RowKeys(("kind",)), page_size=3)
    rows = [json_row(kind="A", n=n) for n in range(2)]
    (delivery,) = paginator.receive_page(asked(paginator), PageAnswer(rows, 2, None, None, b""))
    assert len(delivery.rows) == 2
    assert paginator.report().verdict == "uncertain"
    assert "same identity" in paginator.report().reason
    for mode in ("prove", "best"):
        paginator = paginator_of(mode, keys=RowKeys(("kind",)), page_size=3)
        while (request := paginator.next_request()) is not None:
            paginator.receive_page(request, PageAnswer(rows, 2, None, None, b""))
        assert paginator.report().verdict == "uncertain"
        assert "same identity" in paginator.report().reason


@pytest.mark.parametrize("total", [2, None])
def test_what_is_uncertain_was_delivered(total: int | None) -> None:
    for mode in ("prove", "best"):
        paginator = paginator_of(mode, keys=RowKeys(("kind",)), page_size=3)
        rows = [json_row(kind="A" if total else str(n), n=n) for n in range(2)]
        delivered = 0
        while (request := paginator.next_request()) is not None:
            answer = PageAnswer(rows if request.page == 1 else [], total, None, None, b"")
            delivered += sum(len(delivery.rows) for delivery in paginator.receive_page(request, answer))
        assert paginator.report().verdict == "uncertain"
        assert delivered == 2


def json_row(**fields: Any) -> Any:
    import msgspec

    return msgspec.Raw(json.dumps(fields).encode())


@pytest.mark.parametrize("rate", [0.3, 0.6])
def test_an_unstable_order_is_never_proven_while_rows_are_missing(rate: float) -> None:
    proven = 0
    for seed in range(300):
        server = Breach.Unstable(Random(seed), page_limit=3, change_rate=0)
        server.fill(12, 0)
        found, report = everything(paginator_of(page_size=3), server)
        if report.verdict == "proven":
            proven += 1
            assert found == set(server.rows)
    assert proven < 30


def test_rows_deleted_from_the_tail_are_no_breach() -> None:
    for moment in range(2, 18):
        server = quiet(19, script={moment: lambda server: server.delete(20)})
        server.insert()
        outcome = read(server, paginator_of())
        assert outcome.report.verdict == "proven"
        assert server.stayed <= set(outcome.rows)


# -- the tail


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("stamps", ["one after the other", "all the same"])
def test_a_tail_of_several_pages_is_read_in_two_passes(ordered: bool, stamps: str) -> None:
    def burst(server: Scripted) -> None:
        for _ in range(3):
            server.now += stamps == "one after the other"
            server.insert()

    for moment in range(1, 8):
        server = quiet(6, script={moment: burst})
        outcome = read(server, paginator_of(ordered=ordered))
        assert outcome.report.verdict == "proven"
        assert server.stayed <= set(outcome.rows)


@pytest.mark.parametrize("limit", [2, 10])
def test_a_tail_that_never_ends_is_given_up(limit: int) -> None:
    @attrs.define
    class Frantic(Scripted):
        def answer(self, query: Mapping[str, str]) -> PageAnswer:
            if query.get("lastModifiedDateTimeCondition") == ">=" and query["pageNumber"] == "1":
                self.cached_at = -1
                for _ in range(limit + 1):
                    self.now += 1
                    self.insert()
            return super().answer(query)

    rows = 3 * limit
    server = Frantic(Random(1), page_limit=limit, change_rate=0, rows=quiet(rows).rows, next_number=rows + 1)
    server.rows[rows] = NOW_SECONDS
    paginator = paginator_of(page_size=limit)
    outcome = read(server, paginator, 4)
    assert outcome.report.requests <= paginator.cost_limit
    assert server.stayed <= set(outcome.rows)
    assert "the rows since the edge did not come to rest" in outcome.report.reason
    assert "stamps" not in outcome.report.rests_on


# -- the caller's own filter


@pytest.mark.parametrize(("condition", "numbers"), [(">=", range(5, 21)), (">", range(6, 21))])
def test_an_incremental_read_is_proven(condition: Any, numbers: range) -> None:
    outcome = read(quiet(20), paginator_of(modified=ModifiedFilter(condition, text(5))), 3)
    assert set(outcome.rows) == set(numbers)
    assert outcome.report.verdict == "proven"
    assert outcome.report.total_last == outcome.report.total_first == len(numbers) or outcome.report.tail_passes > 1


@pytest.mark.parametrize(("condition", "numbers"), [("<", range(1, 15)), ("<=", range(1, 16))])
@pytest.mark.parametrize("ordered", [False, True])
def test_a_read_of_the_past_is_proven_without_a_tail(condition: Any, numbers: range, ordered: bool) -> None:
    paginator = paginator_of(page_size=5, ordered=ordered, modified=ModifiedFilter(condition, text(15)))
    outcome = read(quiet(20, limit=5), paginator)
    assert set(outcome.rows) == set(numbers)
    assert (outcome.report.verdict, outcome.report.tail_passes) == ("proven", 0)
    assert outcome.report.requests <= 3 + 3


def test_a_filter_up_to_the_present_has_no_window() -> None:
    paginator = paginator_of(page_size=10, modified=ModifiedFilter("<", text(NOW_SECONDS)))
    outcome = read(quiet(20, limit=10), paginator)
    assert (outcome.report.verdict, outcome.report.rests_on) == ("proven", ("order",))
    assert outcome.report.window is None


@pytest.mark.parametrize(("limit", "rests_on"), [(2, "keys"), (10, "order")])
def test_without_a_filter_a_list_is_proven_by_overlap_or_two_passes(limit: int, rests_on: str) -> None:
    outcome = read(quiet(28, limit=limit), paginator_of(page_size=limit, boundary=None))
    assert (outcome.report.verdict, outcome.report.rests_on) == ("proven", (rests_on,))
    assert outcome.report.window is None


@pytest.mark.parametrize("keys", [None, RowKeys(())])
def test_without_an_identity_a_proof_is_refused_and_the_best_is_a_count(keys: RowKeys | None) -> None:
    outcome = read(quiet(8), paginator_of("prove", keys=keys))
    assert outcome.report.verdict == "uncertain"
    assert "no identity" in outcome.report.reason
    assert read(quiet(8), paginator_of("best", keys=keys)).report.verdict == "counted"
    for mode in ("prove", "best"):
        assert read(quiet(8, limit=10), paginator_of(mode, keys=keys, page_size=10)).report.verdict == "proven"


# -- other styles


def bodies(paginator: Paginator, answers: dict[str, bytes], style: PageStyle) -> list[Any]:
    rows: list[Any] = []
    while (request := paginator.next_request()) is not None:
        (page, *_) = request.query.values() or ["1"]
        for delivery in paginator.receive_page(request, style.read(answers.get(page, b"[]"))):
            rows += [json.loads(bytes(row)) for row in delivery.rows]
    assert paginator.done
    paginator.close()
    return rows


@pytest.mark.parametrize("mode", ["count", "prove", "best"])
def test_unpaged_lists_are_one_answer_that_comes_twice(mode: str) -> None:
    paginator = paginator_of(mode, style=UNPAGED, keys=RowKeys(("id",), None))
    body = b'[{"id":1},{"id":2},{"id":3}]'
    assert bodies(paginator, {"1": body, "2": body}, UNPAGED) == [{"id": 1}, {"id": 2}, {"id": 3}]
    report = paginator.report()
    assert (report.verdict, report.rests_on, report.requests) == ("proven", ("one answer",), 2)


@pytest.mark.parametrize("rows", [50, 99, 100, 128, 499, 512, 999, 1023, 1024, 4096, 5000])
def test_an_unpaged_list_of_as_many_rows_as_a_limit_has_may_be_cut(rows: int) -> None:
    for length, verdict in ((rows, "uncertain"), (rows + 7, "proven")):
        paginator = paginator_of(style=UNPAGED, keys=RowKeys(("id",), None))
        page = b"[%b]" % b",".join(b'{"id":%d}' % number for number in range(length))
        assert len(bodies(paginator, {"1": page, "2": page}, UNPAGED)) == length
        assert paginator.report().verdict == verdict


def test_one_answer_of_an_unpaged_list_alone_claims_nothing() -> None:
    paginator = paginator_of("none", style=UNPAGED)
    assert len(bodies(paginator, {"1": b'[{"id":1},{"id":2}]'}, UNPAGED)) == 2
    assert (paginator.report().verdict, paginator.report().rests_on) == ("uncertain", ())
    assert "nobody looked" in paginator.report().reason


@pytest.mark.parametrize("mode", ["none", "count"])
def test_an_endpoint_that_ignores_paging_and_tells_nothing(mode: str) -> None:
    page = b'[{"number":"1"},{"number":"2"}]'
    paginator = paginator_of(mode)
    rows = bodies(paginator, {"1": page, "2": page, "3": page}, PAGE_NUMBER)
    assert rows == [{"number": "1"}, {"number": "2"}]
    assert paginator.report().verdict == "uncertain"
    assert "ignore paging" in paginator.report().reason


@pytest.mark.parametrize("mode", ["none", "count"])
def test_an_endpoint_that_tells_no_totals_is_read_to_its_empty_page(mode: str) -> None:
    pages = {"1": b'[{"number":"1"},{"number":"2"}]', "2": b'[{"number":"3"}]'}
    paginator = paginator_of(mode)
    assert len(bodies(paginator, pages, PAGE_NUMBER)) == 3
    assert paginator.report().verdict == "uncertain"
    assert "no totals" in paginator.report().reason


@pytest.mark.parametrize("mode", ["none", "count"])
def test_a_list_without_totals_ends_where_its_last_page_comes_again(mode: str) -> None:
    last = b'[{"number":"3"},{"number":"4"}]'
    paginator = paginator_of(mode)
    rows = bodies(paginator, {"1": b'[{"number":"1"},{"number":"2"}]', "2": last, "3": last, "4": last}, PAGE_NUMBER)
    assert [row["number"] for row in rows] == ["1", "2", "3", "4"]
    assert paginator.report().verdict == "uncertain"
    assert "page 3 repeats page 2" in paginator.report().reason


@pytest.mark.parametrize("mode", ["none", "count"])
@pytest.mark.parametrize("backwards", [False, True])
def test_a_total_that_is_too_high_has_the_last_page_not_read_for_ever(mode: str, backwards: bool) -> None:
    last = [3, 4]

    def page(*numbers: int) -> bytes:
        metadata = {"totalCount": 100_000, "maxPageSize": 2}
        return json.dumps([{"number": str(number), "metadata": metadata} for number in numbers]).encode()

    paginator, asked_for = paginator_of(mode, page_size=2), 0
    waiting: list[Any] = []
    while not paginator.done:
        while len(waiting) < 8 and (request := paginator.next_request()) is not None:
            waiting.append(request)
        request = waiting.pop(-1 if backwards else 0)
        asked_for += 1
        (number, *_) = request.query.values()
        paginator.receive_page(request, PAGE_NUMBER.read(page(1, 2) if number == "1" else page(*last)))
    paginator.close()
    assert asked_for <= 12
    assert paginator.report().verdict == "uncertain"
    assert "are alike: the endpoint seems to repeat its last page" in paginator.report().reason


def test_a_failed_page_of_a_list_without_totals_is_asked_for_again() -> None:
    paginator = paginator_of("count")
    paginator.receive_page(asked(paginator), PAGE_NUMBER.read(b'[{"number":"1"},{"number":"2"}]'))
    assert paginator.next_request() is not None
    assert paginator.next_request() is None


@pytest.mark.parametrize("mode", MODES)
def test_envelopes(mode: str) -> None:
    def page(number: int, *ids: int) -> bytes:
        records = [{"number": str(one)} for one in ids]
        return json.dumps({"pageNumber": number, "pageSize": 2, "totalCount": 5, "records": records}).encode()

    paginator = paginator_of(mode, style=ENVELOPE, page_size=1000, boundary=None)
    assert len(bodies(paginator, {"1": page(1, 1, 2), "2": page(2, 3, 4), "3": page(3, 5)}, ENVELOPE)) == 5
    assert paginator.report().verdict == {"none": "uncertain", "count": "counted"}.get(mode, "proven")


def test_an_envelope_that_says_a_page_within_the_list_is_empty() -> None:
    full = b'{"pageSize":2,"totalCount":4,"records":[{"number":"1"},{"number":"2"}]}'
    hole = b'{"pageSize":2,"totalCount":4,"records":[]}'
    paginator = paginator_of("count", style=ENVELOPE)
    bodies(paginator, {"1": full, "2": hole}, ENVELOPE)
    assert paginator.report().verdict == "uncertain"
    assert "had 0 rows where 2 were due" in paginator.report().reason
    paginator = paginator_of("count", style=ENVELOPE)
    bodies(paginator, {"1": hole}, ENVELOPE)
    assert paginator.report().verdict == "uncertain"


def test_sales_orders() -> None:
    pages = {
        "0": b'{"value":[{"number":"1"},{"number":"2"}],"totalCount":3,"nextPage":"https://x"}',
        "1": b'{"value":[{"number":"3"}],"totalCount":3,"nextPage":null}',
    }
    paginator = paginator_of("count", style=PAGE_INDEX)
    assert len(bodies(paginator, pages, PAGE_INDEX)) == 3
    assert (paginator.report().requests, paginator.report().verdict) == (2, "counted")


def orders_of(paginator: Paginator, length: int, *, most: int, is_told: bool) -> list[str]:
    """Read a list of orders whose pages the service lowers to `most` rows without saying so."""
    numbers = []
    while not paginator.done:
        request = paginator.next_request()
        assert request is not None
        size = min(int(request.query["pageSize"]), most)
        start = int(request.query["pageIndex"]) * size
        body = {
            "value": [{"number": str(number)} for number in range(start, min(start + size, length))],
            "totalCount": length if is_told else None,
            "nextPage": "https://x" if start + size < length else None,
        }
        answer = PAGE_INDEX.read(json.dumps(body).encode())
        rows = [row for each in paginator.receive_page(request, answer) for row in each.rows]
        numbers += [json.loads(bytes(row))["number"] for row in rows]
    return numbers


@pytest.mark.parametrize("mode", ["none", "count", "best", "prove"])
@pytest.mark.parametrize("is_told", [True, False])
@pytest.mark.parametrize("most", [8, 9, 13, 20])
def test_orders_are_whole_without_totals_and_in_smaller_pages_than_asked(mode: str, is_told: bool, most: int) -> None:
    for length in range(60):
        paginator = paginator_of(mode, style=PAGE_INDEX, page_size=20)
        numbers = orders_of(paginator, length, most=most, is_told=is_told)
        assert sorted(numbers, key=int) == [str(number) for number in range(length)], length
        assert mode == "none" or paginator.report().verdict in {"counted", "proven"}, paginator.report()


def batch(number: int, *lines: int, total: int = 6, **fields: Any) -> dict[str, Any]:
    return {
        "batchNumber": str(number),
        "metadata": {"totalCount": total, "maxPageSize": 3},
        "journalTransactionLines": [{"lineNumber": line} for line in lines],
    } | fields


@pytest.mark.parametrize("mode", MODES)
def test_journals_count_lines_and_join_batches_split_over_pages(mode: str) -> None:
    pages = {
        "1": json.dumps([batch(1, 1), batch(2, 1, 2)]).encode(),
        "2": json.dumps([batch(2, 3), batch(3, 1), batch(4, 1)]).encode(),
    }
    paginator = paginator_of(mode, style=JOURNAL, keys=RowKeys(("batchNumber",)), page_size=3)
    rows = bodies(paginator, pages, JOURNAL)
    lines = {row["batchNumber"]: [line["lineNumber"] for line in row["journalTransactionLines"]] for row in rows}
    assert lines == {"1": [1], "2": [1, 2, 3], "3": [1], "4": [1]}
    assert len(rows) == 4
    assert paginator.report().verdict == ("uncertain" if mode in {"prove", "none"} else "counted")


def test_a_journal_batch_over_three_pages_and_a_repeated_one() -> None:
    pages = {
        "1": json.dumps([batch(1, 1, 2, 3, total=9)]).encode(),
        "2": json.dumps([batch(1, 4, 5, 6, total=9)]).encode(),
        "3": json.dumps([batch(1, 7, total=9), batch(2, 1, total=9), batch(3, 1, total=9)]).encode(),
    }
    paginator = paginator_of("count", style=JOURNAL, keys=RowKeys(("batchNumber",)), page_size=3)
    rows = bodies(paginator, pages, JOURNAL)
    assert sorted((row["batchNumber"], len(row["journalTransactionLines"])) for row in rows) == [
        ("1", 7),
        ("2", 1),
        ("3", 1),
    ]
    assert paginator.report().verdict == "counted"
    shifted = pages | {"2": json.dumps([batch(9, 1), batch(2, 1), batch(8, 1)]).encode()}
    paginator = paginator_of("count", style=JOURNAL, keys=RowKeys(("batchNumber",)), page_size=3)
    bodies(paginator, shifted, JOURNAL)
    assert paginator.report().verdict == "uncertain"
    assert paginator.report().duplicates_dropped


def journal(paginator: Paginator, batches: Mapping[int, int], *, total: int | None = None, blank: int = 0) -> list[Any]:
    """Read batches with so many lines each, three lines a page; the answer with the number `blank` has no rows."""
    every = [(number, line) for number, lines in batches.items() for line in range(1, lines + 1)]
    answers = 0
    rows: list[Any] = []
    while (request := paginator.next_request()) is not None:
        answers += 1
        start = (int(request.query["pageNumber"]) - 1) * 3
        page: dict[int, list[int]] = {}
        for number, line in every[start : start + 3]:
            page.setdefault(number, []).append(line)
        told = len(every) if total is None else total
        body = [] if answers == blank else [batch(number, *lines, total=told) for number, lines in page.items()]
        for delivery in paginator.receive_page(request, JOURNAL.read(json.dumps(body).encode())):
            rows += [json.loads(bytes(row)) for row in delivery.rows]
    paginator.close()
    return rows


def journal_paginator(mode: str) -> Paginator:
    return paginator_of(mode, style=JOURNAL, keys=RowKeys(("batchNumber",)), page_size=3)


@pytest.mark.parametrize("total", [0, 2, 3, 4, 20])
@pytest.mark.parametrize("mode", ["count", "best", "prove"])
def test_a_total_of_lines_that_is_false_proves_nothing(mode: str, total: int) -> None:
    paginator = journal_paginator(mode)
    journal(paginator, dict.fromkeys(range(5), 2), total=total)
    assert paginator.report().verdict == "uncertain"


def test_lines_of_a_full_page_alone_are_not_the_whole_journal() -> None:
    paginator = journal_paginator("best")
    assert len(journal(paginator, {1: 2, 2: 1})) == 2
    assert (paginator.report().verdict, paginator.report().requests) == ("counted", 2), "a page behind it was asked for"
    paginator = journal_paginator("best")
    assert len(journal(paginator, {1: 2})) == 1
    assert (paginator.report().verdict, paginator.report().requests) == ("proven", 1)


@pytest.mark.parametrize("mode", ["none", "count", "best"])
def test_a_batch_that_fills_many_pages_is_read(mode: str) -> None:
    paginator = journal_paginator(mode)
    [only] = journal(paginator, {1: 99})
    assert len(only["journalTransactionLines"]) == 99
    assert paginator.report().requests <= 34
    assert paginator.report().verdict == ("uncertain" if mode == "none" else "counted")


@pytest.mark.parametrize("blank", range(1, 6))
def test_a_journal_that_is_read_anew_counts_its_lines_again(blank: int) -> None:
    paginator = journal_paginator("best")
    rows = journal(paginator, dict.fromkeys(range(5), 2), blank=blank)
    assert sorted(row["batchNumber"] for row in rows) == ["0", "1", "2", "3", "4"]
    assert paginator.report().verdict == "counted"


# -- rows that look alike


def served(paginator: Paginator, rows: list[Any], *, most: int = 10) -> list[Any]:
    """Read rows that are all from before the edge and that nobody changes."""
    delivered: list[Any] = []
    while (request := paginator.next_request()) is not None:
        size = min(most, int(request.query["pageSize"]))
        start = (int(request.query["pageNumber"]) - 1) * size
        chosen = [] if request.query.get("lastModifiedDateTimeCondition") == ">=" else rows
        meta = {"metadata": {"totalCount": len(chosen), "maxPageSize": most}}
        body = json.dumps([{**row, **meta} for row in chosen[start : start + size]])
        if paginator.in_flight and request.number % 2:  # the servers of a farm may escape texts differently
            body = body.replace("\\u00d8", "Ø")
        for delivery in paginator.receive_page(request, PAGE_NUMBER.read(body.encode())):
            delivered += [json.loads(bytes(row)) for row in delivery.rows]
    assert paginator.done
    paginator.close()
    return delivered


@pytest.mark.parametrize("alike", [None, "", "17"])
@pytest.mark.parametrize("divides", [True, False])
@pytest.mark.parametrize("mode", ["count", "best", "prove"])
def test_records_of_one_identity_are_never_complete(mode: str, alike: object, *, divides: bool) -> None:
    rows = [{"number": str(number), "lastModifiedDateTime": "2024-01-01T00:00:00"} for number in range(30)]
    rows[3]["number"] = rows[17]["number"] = alike  # type: ignore[assignment]  # as the server has left it
    paginator = paginator_of(mode, page_size=10, divides=divides)
    served(paginator, rows)
    assert paginator.report().verdict == "uncertain"


def test_a_key_is_one_however_it_is_escaped() -> None:
    rows = [{"number": f"Ø{number}", "lastModifiedDateTime": "2024-01-01T00:00:00"} for number in range(95)]
    paginator = paginator_of(page_size=10, divides=False)
    assert len(served(paginator, rows)) == 95
    assert (paginator.report().verdict, paginator.report().unique) == ("proven", 95)


@pytest.mark.parametrize("pages", [3, 12])
@pytest.mark.parametrize("mode", ["count", "best"])
def test_equal_rows_of_a_list_without_identity_are_all_delivered(mode: str, pages: int) -> None:
    rows = [{"name": f"n{number}"} for number in range(10 * pages)]
    rows[17] = rows[18] = dict(rows[3])
    paginator = paginator_of(mode, page_size=10, keys=RowKeys(()), divides=False)
    delivered = served(paginator, rows)
    assert Counter(row["name"] for row in delivered) == Counter(row["name"] for row in rows)
    assert (paginator.report().verdict, paginator.report().rows) == ("counted", len(rows))
    assert paginator.report().requests == 2 * (pages + 1)


def test_a_row_that_was_only_seen_twice_is_not_delivered_twice() -> None:
    """It slid over a page's edge while another row came and one went: two readings differ."""
    rows = [{"name": f"n{number}"} for number in range(30)]
    paginator = paginator_of("count", page_size=10, keys=RowKeys(()), divides=False)
    delivered: list[Any] = []
    while (request := paginator.next_request()) is not None:
        start = (int(request.query["pageNumber"]) - 1) * 10
        if request.number == 2:
            rows = [{"name": "new"}, *rows[:25], *rows[26:]]
        meta = {"metadata": {"totalCount": 30, "maxPageSize": 10}}
        answer = PAGE_NUMBER.read(json.dumps([{**row, **meta} for row in rows[start : start + 10]]).encode())
        for delivery in paginator.receive_page(request, answer):
            delivered += [json.loads(bytes(row))["name"] for row in delivery.rows]
    assert set(Counter(delivered).values()) == {1}
    assert {row["name"] for row in rows} <= set(delivered)
    assert paginator.report().verdict == "counted"


def test_pages_without_a_claim_claim_nothing() -> None:
    rows = [{"number": str(number), "lastModifiedDateTime": "2024-01-01T00:00:00"} for number in range(30)]
    paginator = paginator_of("none", page_size=10)
    assert len(served(paginator, rows)) == 30
    assert paginator.report().verdict == "uncertain"
    paginator = paginator_of("none", page_size=10)
    assert len(served(paginator, rows[:5])) == 5
    assert paginator.report().verdict == "proven", "one answer is one instant"


def test_an_empty_journal() -> None:
    paginator = paginator_of("count", style=JOURNAL, keys=RowKeys(("batchNumber",)))
    assert bodies(paginator, {}, JOURNAL) == []
    assert paginator.report().verdict == "proven"


# -- order and bodies


def test_rows_come_in_page_order_where_asked_for() -> None:
    for seed in range(50):
        server = quiet(30)
        server.random.seed(seed)
        outcome = run(paginator_of("prove", ordered=True, reorder_pages=3), server, concurrency=5)
        assert list(outcome.rows) == list(range(1, 31))


def test_a_page_is_not_asked_for_far_ahead_of_the_next_to_hand_out() -> None:
    for mode, pages in (("count", [2, 3, 4]), ("prove", [1])):
        paginator = paginator_of(mode, ordered=True, reorder_pages=3)
        server = quiet(99)
        paginator.receive_page(asked(paginator), server.answer({"pageNumber": "1", "pageSize": "2"}))
        assert [request.page for request in iter(paginator.next_request, None)] == pages


def test_a_whole_page_keeps_its_body() -> None:
    body = b'[{"number":"1","metadata":{"totalCount":3}},{"number":"2"}]'
    for paginator in (paginator_of("none"), paginator_of("count")):
        (delivery,) = paginator.receive_page(asked(paginator), PAGE_NUMBER.read(body))
        assert delivery.body == body
    paginator = paginator_of("count")
    paginator.receive_page(asked(paginator), PAGE_NUMBER.read(body))
    repeated = b'[{"number":"2","metadata":{"totalCount":3}}]'
    assert paginator.receive_page(asked(paginator), PAGE_NUMBER.read(repeated)) == []
    assert paginator.report().duplicates_dropped == 1
    paginator.close()


# -- corners


def test_a_nested_record_that_changed_later_is_no_breach() -> None:
    def body(server: Scripted, query: Mapping[str, str]) -> bytes:
        answer = server.answer(query)
        rows = [json.loads(bytes(row)) for row in answer.rows]
        metadata = {"totalCount": answer.total, "maxPageSize": 5}
        nested = {"contact": {"lastModifiedDateTime": text(NOW_SECONDS)}, "metadata": metadata}
        return json.dumps([row | nested for row in rows], separators=(",", ":")).encode()

    server = quiet(40, limit=5)
    paginator = paginator_of(page_size=5)
    reader = PageReader(PAGE_NUMBER)  # finds rows and the latest time without decoding, nested ones among them
    rows = 0
    while not paginator.done:
        request = asked(paginator)
        answer = reader.read(body(server, request.query), page_size=5)
        rows += sum(len(delivery.rows) for delivery in paginator.receive_page(request, answer))
    assert rows == 40
    assert paginator.report().verdict == "proven", paginator.report()


@pytest.mark.parametrize("ordered", [True, False])
def test_rows_that_leave_with_every_answer_are_read_by_overlap(ordered: bool) -> None:
    def leave(server: Scripted) -> None:
        server.delete(min(server.rows))

    server = quiet(200, limit=20, script=dict.fromkeys(range(2, 1_000), leave))
    outcome = read(server, paginator_of(page_size=20, ordered=ordered))
    assert server.stayed <= set(outcome.rows)
    assert (outcome.report.verdict, outcome.report.rests_on) == ("proven", ("order",))


@pytest.mark.parametrize("ordered", [True, False])
def test_rows_that_leave_with_every_answer_of_small_pages_are_given_up_within_the_bound(ordered: bool) -> None:
    def leave(server: Scripted) -> None:
        server.delete(min(server.rows))

    server = quiet(100, limit=5, script=dict.fromkeys(range(2, 100), leave))
    paginator = paginator_of(page_size=5, ordered=ordered)
    outcome = read(server, paginator)
    assert outcome.report.verdict == "uncertain"
    assert outcome.report.requests <= paginator.cost_limit <= 4 * 20 + 16


@pytest.mark.parametrize(("condition", "since"), [("<", 1), ("<", 4), (">=", 4)])
@pytest.mark.parametrize("limit", [2, 10])
def test_windows_and_tails_without_totals_are_no_ground_for_a_proof(condition: str, since: int, limit: int) -> None:
    def burst(server: Scripted) -> None:
        for _ in range(limit + 1):
            server.now += 1
            server.insert()

    @attrs.define
    class Mute(Scripted):
        def answer(self, query: Mapping[str, str]) -> PageAnswer:
            answer = super().answer(query)
            mute = query.get("lastModifiedDateTimeCondition") == condition and self.answers > since
            return attrs.evolve(answer, total=None) if mute else answer

    rows = 3 * limit
    server = Mute(Random(1), page_limit=limit, change_rate=0, rows=quiet(rows).rows, next_number=rows + 1)
    burst(server)
    outcome = read(server, paginator_of(page_size=limit, reads_on=True))
    assert "without a total" in outcome.report.reason
    assert "stamps" not in outcome.report.rests_on
    assert server.stayed <= set(outcome.rows)


def test_a_tail_that_contradicts_its_totals_is_no_ground_for_a_proof() -> None:
    def burst(server: Scripted) -> None:
        for _ in range(15):
            server.now += 1
            server.insert()

    @attrs.define
    class Holes(Scripted):
        def answer(self, query: Mapping[str, str]) -> PageAnswer:
            answer = super().answer(query)
            hole = query.get("lastModifiedDateTimeCondition") == ">=" and query["pageNumber"] == "2"
            return attrs.evolve(answer, rows=answer.rows[:1]) if hole else answer

    server = Holes(Random(1), page_limit=10, change_rate=0, rows=quiet(30).rows, next_number=31)
    burst(server)
    outcome = read(server, paginator_of(page_size=10))
    assert "had 1 rows where 5 were due" in outcome.report.reason
    assert len(outcome.rows) == 45
    assert outcome.report.rests_on == ("order",)


def test_equal_rows_without_an_identity_are_all_kept() -> None:
    paginator = paginator_of("count", keys=None, page_size=3)
    rows = [json_row(a=1), json_row(a=1)]
    (delivery,) = paginator.receive_page(asked(paginator), PageAnswer(rows, 2, None, None, b""))
    assert len(delivery.rows) == 2
    assert paginator.report().verdict == "proven"


def test_a_journal_page_beyond_the_total_adds_nothing() -> None:
    pages = {"1": json.dumps([batch(1, 1), batch(2, 1), batch(3, 1), batch(4, 1)]).encode()}
    pages["2"] = json.dumps([batch(5, 1, total=2)]).encode()
    paginator = paginator_of("count", style=JOURNAL, keys=RowKeys(("batchNumber",)), page_size=3)
    assert len(bodies(paginator, pages, JOURNAL)) == 5
    assert paginator.report().verdict == "uncertain"

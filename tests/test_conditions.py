from __future__ import annotations

import operator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings, strategies as st

from vismanet_async._conditions import Condition, after, before, on_or_after, on_or_before
from vismanet_async.errors import RequestRefused

OSLO = ZoneInfo("Europe/Oslo")


def test_each_function_has_its_operator() -> None:
    made = [make("2025-05-25").parameters("x") for make in (after, before, on_or_after, on_or_before)]
    assert [pair[1] for pair in made] == [("xCondition", operator) for operator in (">", "<", ">=", "<=")]
    assert {pair[0] for pair in made} == {("x", "2025-05-25")}


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        (date(2025, 5, 25), "2025-05-25"),
        (datetime(2025, 5, 25, 13, 30), "2025-05-25T13:30:00"),
        (datetime(2025, 5, 25, 13, 30, 0, 7000), "2025-05-25T13:30:00.007"),
        (datetime(2025, 5, 25, 12, 0, tzinfo=UTC), "2025-05-25T14:00:00"),
        (datetime(2025, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=5))), "2024-12-31T20:30:00"),
        ("2025-05-25", "2025-05-25"),
        ("2025-05-25 13:30:00", "2025-05-25 13:30:00"),
        ("2025-05-25T13:30:00.123", "2025-05-25T13:30:00.123"),
        (7, "7"),
        (0, "0"),
        (Decimal("1E+3"), "1000"),
        (Decimal("1234567890123.4567"), "1234567890123.4567"),
    ],
)
def test_values_on_the_wire(value: Any, wire: str) -> None:
    assert on_or_after(value).parameters("f", zone=OSLO) == (("f", wire), ("fCondition", ">="))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "today",
        "25.05.2025",
        "2025-5-25",
        "2025-05-25T1:30:00",
        "2025-05-25T13:30",
        "2025-02-30",
        "2025-05-25T24:00:01",
        "2025-05-25T13:30:00Z",
        "2025-05-25T13:30:00+02:00",
        "2025-05-25T13:30:00.1",
        "2025-05-25T13:30:00.1234",
        "2025-05-25  13:30:00",
        " 2025-05-25",
        "2025-05-25\n",
        "\uff12\uff10\uff12\uff15-05-25",
        "2025-W21-7",
    ],
)
def test_texts_that_the_api_cannot_read_are_refused(text: str) -> None:
    with pytest.raises(RequestRefused, match="not a moment the API reads"):
        after(text).parameters("f")


@pytest.mark.parametrize("value", [True, 1.5, None, b"2025", [], object()])
def test_other_types_are_refused(value: Any) -> None:
    with pytest.raises(RequestRefused, match="nothing was sent"):
        after(value)


@pytest.mark.parametrize(
    ("value", "zone", "says"),
    [
        (datetime(2025, 1, 1, tzinfo=UTC), None, "time_zone="),
        (datetime(2025, 1, 1, microsecond=1), None, "finer"),
        (Decimal("NaN"), None, "not a number"),
        (Decimal("Infinity"), None, "not a number"),
        (datetime.max.replace(tzinfo=UTC), OSLO, "does not exist"),
    ],
)
def test_values_that_are_refused(value: Any, zone: Any, says: str) -> None:
    with pytest.raises(RequestRefused, match=says):
        before(value).parameters("f", zone=zone)


def test_an_operator_made_by_hand_is_checked() -> None:
    with pytest.raises(RequestRefused, match="compares by"):
        Condition("==", 1)  # type: ignore[arg-type] # the point of the test


@settings(deadline=None)
@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)))
def test_milliseconds_go_there_and_back(moment: datetime) -> None:
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    (_, wire), _ = after(moment).parameters("f")
    assert datetime.fromisoformat(wire) == moment
    assert after(wire).parameters("f")[0][1] == wire


@pytest.mark.parametrize("zone", ["Europe/Oslo", "Australia/Lord_Howe", "UTC"])
def test_the_hour_that_comes_twice_is_widened_until_nothing_is_lost(zone: str) -> None:
    """The server compares the local times that it shows; in the night when summer time ends they say less."""
    place = ZoneInfo(zone)
    night = (
        datetime(2025, 10, 26, tzinfo=UTC) if zone != "Australia/Lord_Howe" else datetime(2025, 4, 5, 14, tzinfo=UTC)
    )
    moments = [night + timedelta(minutes=minutes, seconds=minutes % 60) for minutes in range(-90, 240, 7)]
    local = {moment: moment.astimezone(place).replace(tzinfo=None, fold=0) for moment in moments}
    widened = 0
    for build, matches in (
        (after, operator.gt),
        (on_or_after, operator.ge),
        (before, operator.lt),
        (on_or_before, operator.le),
    ):
        for wanted in moments:
            (_, wire), _ = build(wanted).parameters("f", zone=place)
            found = {moment for moment, shown in local.items() if matches(shown, datetime.fromisoformat(wire))}
            assert {moment for moment in moments if matches(moment, wanted)} <= found
            widened += wire != local[wanted].isoformat()
    assert (widened > 0) == (zone != "UTC")


@pytest.mark.parametrize("name", ["documentDate", "dueDate", "date", "docDate"])
def test_a_day_in_the_books_is_never_moved_by_a_zone(name: str) -> None:
    """Midnight in UTC is 01:00 in Oslo: from there on, the documents of that very day would be missing."""
    with pytest.raises(RequestRefused, match=r"give the day, such as date\(2025, 1, 31\)"):
        on_or_after(datetime(2025, 1, 31, tzinfo=UTC)).parameters(name, zone=OSLO)
    assert on_or_after(date(2025, 1, 31)).parameters(name, zone=OSLO)[0] == (name, "2025-01-31")


@pytest.mark.parametrize("fold", [0, 1])
def test_a_time_in_the_hour_that_spring_skips_is_the_same_moment_in_any_zone(fold: int) -> None:
    skipped = datetime(2025, 3, 30, 2, 30, fold=fold, tzinfo=OSLO)
    own, other = (
        on_or_after(each).parameters("lastModifiedDateTime", zone=OSLO) for each in (skipped, skipped.astimezone(UTC))
    )
    assert own == other
    assert own[0][1] == f"2025-03-30T0{3 - 2 * fold}:30:00"

"""Dividing a list by dates: whatever others do meanwhile, no row that stays as it is falls between the ranges."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import pytest
from hypothesis import given, strategies as st

from vismanet_async.contrib._partition_bounds import PartitionPlan, divide

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vismanet_async._conditions import Condition

BOUNDARY = "2026-06-01T00:00:00"
TODAY = date(2026, 6, 2)
OPERATORS = {"<": lambda a, b: a < b, ">=": lambda a, b: a >= b}


@attrs.define
class Row:
    modified: str | None
    created: str | None
    due: str | None
    touched: bool = False


@attrs.define
class Server:
    """A list that others change between two counts."""

    rows: list[Row]
    changes: list[Any] = attrs.field(factory=list)
    """One before each count, while there are any."""
    ignores: set[str] = attrs.field(factory=set)
    """Filters that it takes no notice of."""

    def matching(self, filters: Mapping[str, Condition[str]]) -> list[Row]:
        return [row for row in self.rows if all(self._holds(row, *one) for one in filters.items())]

    def _holds(self, row: Row, name: str, condition: Condition[str]) -> bool:
        if name in self.ignores:
            return True
        value = getattr(row, name)
        return value is not None and OPERATORS[condition.operator](value, condition.value)

    async def count(self, filters: Mapping[str, Condition[str]]) -> int:
        if self.changes:
            self.change(*self.changes.pop(0))
        return len(self.matching(filters))

    def change(self, what: str, number: int, day: str | None) -> None:
        if what == "add":
            self.rows.append(Row("2026-06-01T12:00:00", day, day, touched=True))
        elif self.rows:
            row = self.rows[number % len(self.rows)]
            if what == "remove":
                self.rows.remove(row)
            else:
                row.modified, row.due, row.touched = "2026-06-01T12:00:00", day, True

    def divide(self, **options: Any) -> PartitionPlan | None:
        async def find() -> PartitionPlan | None:
            return await divide(
                self.count,
                modified="modified",
                boundary=BOUNDARY,
                dates=["created", "due"],
                today=TODAY,
                **{"least_rows": 5, "most": 8, **options},
            )

        return anyio.run(find)


DAYS = st.dates(date(2020, 1, 1), date(2026, 5, 30)).map(date.isoformat)
MAYBE = st.one_of(DAYS, st.none()) | DAYS
ROWS = st.lists(st.builds(Row, MAYBE, MAYBE, MAYBE), min_size=0, max_size=80)
CHANGES = st.lists(st.tuples(st.sampled_from(["add", "remove", "touch", "none"]), st.integers(0, 10**6), MAYBE))


def days(count: int) -> list[str]:
    return [date.fromordinal(date(2022, 1, 1).toordinal() + number).isoformat() for number in range(count)]


@given(ROWS, CHANGES, st.sets(st.sampled_from(["created", "due"])))
def test_a_row_that_stays_as_it_is_is_in_exactly_one_range(
    rows: list[Row], changes: list[Any], ignores: set[str]
) -> None:
    server = Server(rows, [change for change in changes if change[0] != "none"], ignores)
    partition_plan = server.divide()
    if partition_plan is None:
        return
    assert not {name for filters in partition_plan.ranges for name in filters} & ignores
    while server.changes:
        server.change(*server.changes.pop(0))
    found = [id(row) for filters in partition_plan.ranges for row in server.matching(filters)]
    rest = [id(row) for row in server.matching(partition_plan.rest)]
    assert len(found) == len(set(found))
    for row in server.rows:
        assert (id(row) in rest) if row.touched else (id(row) in [*found, *rest])


def test_an_even_list_is_divided_evenly() -> None:
    server = Server([Row(day, day, other) for day, other in zip(days(400), reversed(days(400)), strict=True)])
    partition_plan = server.divide(least_rows=10)
    assert partition_plan is not None
    sizes = [len(server.matching(filters)) for filters in partition_plan.ranges]
    assert sum(sizes) == 400
    assert len(sizes) == 4
    assert max(sizes) < 3 * min(sizes)
    assert partition_plan.requests < 50


def test_each_date_halves_once_more() -> None:
    server = Server([Row(day, day, other) for day in days(20) for other in days(20)])
    partition_plan = server.divide(least_rows=10)
    assert partition_plan is not None
    assert len(partition_plan.ranges) == 4
    assert {len(filters) for filters in partition_plan.ranges} == {3}
    assert len(server.divide(least_rows=10, most=3).ranges) == 3  # type: ignore[union-attr]  # divided as above


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([Row(day, day, day) for day in days(9)], id="short"),
        pytest.param([Row(day, None, None) for day in days(100)], id="without dates"),
        pytest.param([Row(None, day, day) for day in days(100)], id="without times of change"),
        pytest.param([Row(days(1)[0], days(1)[0], days(1)[0]) for _ in range(100)], id="all of one day"),
        pytest.param(
            [*[Row(day, day, None) for day in days(99)], Row(days(1)[0], None, None)], id="one without a date"
        ),
    ],
)
def test_what_cannot_be_divided_is_not(rows: list[Row]) -> None:
    assert Server(rows).divide() is None


def test_a_server_that_ignores_the_time_of_change_is_found_out() -> None:
    assert Server([Row(day, day, day) for day in days(100)], ignores={"modified"}).divide() is None

"""Rows of one group over several runs: none is sent while one that stood before it is not done."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.bulk.company import executed, opened
from vismanet_async._bulk.groups import Groups
from vismanet_async.bulk import Row

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.bulk.company import Company


def row_of(company: Company) -> Callable[..., Row]:
    def row(key: str, *, field: str = "name", group: str = "7") -> Row:
        return Row(key, partial(company.visma.customer.create, {field: key}), group=group)

    return row


async def outcomes(company: Company, *rows: Row, **options: Any) -> dict[str, str]:
    _, results = await company.run(list(rows), **options)
    assert all(len(each) == 1 for each in results.values())
    return {key: each.outcome for key, [each] in results.items()}


@pytest.mark.parametrize("apart", [0, 300], ids=["in one chunk", "in chunks apart"])
async def test_a_row_waits_for_the_one_before_it_over_runs(tmp_path: Path, apart: int) -> None:
    async with opened(tmp_path) as company:
        row = row_of(company)
        wrong, right = row("create", field="nam"), row("create")
        after, last = row("release"), row("pay")
        refused = [row(f"x{number}", field="nam", group="x") for number in range(apart)]  # sends nothing
        assert await outcomes(company, wrong, after) == {"create": "failed", "release": "held"}
        for _ in range(2):  # the row before it is not in this run's input
            assert await outcomes(company, after) == {"release": "held"}
        told = await outcomes(company, last, after)  # one that is new comes behind what was there before
        assert told == {"pay": "held", "release": "held"}
        assert not company.simulator.ledger
        assert await outcomes(company, wrong) == {"create": "failed"}, "seen last does not make it the last"
        assert await outcomes(company, after) == {"release": "held"}
        one_more = row("note")
        told = await outcomes(company, one_more, after, *refused, right, last, max_failure_share=None)
        assert {key: told[key] for key in ("note", "release", "create", "pay")} == dict.fromkeys(
            ("note", "release", "create", "pay"), "done"
        )
        # an input that has them all is sent in its own order
        assert list(executed(company.simulator)) == ["note", "release", "create", "pay"]


async def test_a_row_that_came_alone_holds_nothing_that_stood_before_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        row = row_of(company)
        assert await outcomes(company, row("create", field="nam"), row("release")) == {
            "create": "failed",
            "release": "held",
        }
        assert await outcomes(company, row("create")) == {"create": "done"}
        assert await outcomes(company, row("release"), row("other", group="8")) == {"release": "done", "other": "done"}


async def test_a_row_of_an_unknown_outcome_holds_the_next_and_a_stopped_run_leaves_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        row = row_of(company)
        company.simulator.faults.add("reset_after", method="POST", times=1)
        assert await outcomes(company, row("create"), row("release")) == {"create": "unknown", "release": "held"}
        assert await outcomes(company, row("release")) == {"release": "held"}
        found = await outcomes(company, row("create"), row("release"), find=company.find())
        assert found == {"create": "done", "release": "done"}


def test_rows_behind_a_row_that_waits_wait_as_well() -> None:
    groups: Groups[str] = Groups()
    assert not groups.waits(None, "free", frozenset())
    assert groups.waits("g", "1", frozenset({"a"}))
    assert groups.waits("g", "2", frozenset({"b"}))
    assert groups.waits("g", "3", frozenset())
    assert not groups.waits("h", "4", frozenset())
    assert groups.came("g", "b") == []
    assert groups.came("g", "a") == ["1", "2", "3"]
    assert not groups.waits("g", "5", frozenset())
    assert groups.waits("g", "6", frozenset({"c", "d"}))
    assert groups.came("g", "d") == []
    assert list(groups.left()) == [("6", "c")]
    assert list(groups.left()) == []

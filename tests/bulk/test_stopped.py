"""What a stopped run tells of the rows that it did not reach, and what counts as an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio

from tests.bulk.company import executed, keys, opened
from vismanet_async._bulk.sending import Sending
from vismanet_async.bulk import Row
from vismanet_async.errors import Unauthorized

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from vismanet_async._bulk.transitions import Entry


async def test_a_stopped_run_tells_what_earlier_runs_found(tmp_path: Path) -> None:
    async with opened(tmp_path, concurrency=1) as company:
        faults = company.simulator.faults
        faults.add("status", status=400, method="POST", times=1, message="no such class")
        faults.add("reset_after", method="POST", after=1, times=1)
        before = {
            each.key: each async for each in company.visma.bulk.run(company.rows(keys(2)), journal=company.journal)
        }
        assert sorted(each.outcome for each in before.values()) == ["failed", "unknown"]
        faults.add("status", status=401)
        rows = [*company.rows(keys(20, first=10)), *company.rows(keys(2))]
        summary, results = await company.run(rows, retry_failed=True, retry_unknown=True)
        assert summary.stopped
        assert isinstance(summary.stop_error, Unauthorized)
        told = {key: results[key][0] for key in keys(2)}
        for key, one in told.items():
            assert (one.outcome, one.error, one.earlier) == (before[key].outcome, before[key].error, True)
        reasons = {str(results[key][0].error) for key in keys(20, first=10)}
        assert any("the run was stopped" in each for each in reasons)


async def test_a_row_that_waited_while_the_run_was_stopped_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as company:
        run = company.visma.bulk.run(company.rows(keys(1)), journal=company.journal)

        async def stopped(_: Sending, __: Row, ___: object, entry: Entry) -> Entry:
            await anyio.lowlevel.checkpoint()
            run.stop("enough")
            return entry

        monkeypatch.setattr(Sending, "send", stopped)
        [result] = [each async for each in run]
        assert (result.outcome, result.error) == ("not_sent", "the run was stopped: enough.")


async def test_a_find_that_counts_shows_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        company.simulator.faults.add("reset_before", method="POST", times=1)

        def counted(row: Row) -> Any:
            return company.visma.customer.list(name=row.key).count()

        summary, results = await company.run(company.rows(keys(2)), find=counted)
        company.check(results)
        assert (summary.done, summary.unknown) == (1, 1)
        assert "find returned int, which tells neither" in (summary.problems[0].error or "")
        assert len(executed(company.simulator)) == 1


async def test_a_row_with_response_keeps_its_id(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        row = Row("a", company.visma.customer.create({"name": "a"}).with_response())
        _, results = await company.run([row])
        [told] = [each async for each in company.visma.bulk.results(company.journal)]
        assert told.id is not None
        assert told.etag is not None
        assert results["a"][0].attempts == 1

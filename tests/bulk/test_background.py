"""Rows as background jobs: which go that way, what their ends mean, and that none is submitted twice."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from unittest import mock

import anyio
import attrs
import pytest

from tests.bulk.company import Company, keys
from tests.jobs.fast import PATIENCE_SECONDS, FastClock, ServerClock, patient
from tests.support.hang import HANG_SECONDS
from vismanet_async import RequestRefused, StaticToken, VismaNet
from vismanet_async._bulk.background import end_of
from vismanet_async._bulk.journal import SqliteJournal
from vismanet_async._bulk.transitions import Answered, Lost, Missing, NotSent, Refused, RowState
from vismanet_async._jobs.core.records import JobRecord, JobResult, OperationSummary
from vismanet_async._jobs.core.states import State
from vismanet_async._jobs.sql.store import SqlStore
from vismanet_async._jobs.store import StoreNotUsable
from vismanet_async.bulk import Row
from vismanet_async.errors import SettingsError
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from vismanet_async._operation import Operation

NOW = datetime(2026, 11, 29, tzinfo=UTC)


def when_all_are_under_way(company: Company, count: int, then: Callable[..., Awaitable[Any]]) -> Any:
    """Follow no job before so many are there, so that it is no matter of chance which rows were sent."""
    waiting, all_there = 0, anyio.Event()

    async def wait(*arguments: Any, **options: Any) -> Any:
        nonlocal waiting
        waiting += 1
        if waiting == count:
            all_there.set()
        with anyio.fail_after(HANG_SECONDS):
            await all_there.wait()
        return await then(*arguments, **options)

    return mock.patch.object(company.visma.jobs, "wait", wait)


async def fail_as_the_disk_is_full(*_: Any, **__: Any) -> None:
    await anyio.lowlevel.checkpoint()
    raise StoreNotUsable("the disk is full")


@asynccontextmanager
async def opened(path: Path, *, job_store: str = "jobs.sqlite", simulator: Simulator | None = None, **rows: int) -> Any:
    clock = FastClock()
    made = simulator or Simulator(rows={"customer": 3, **rows}, clock=ServerClock(clock))
    async with (
        made,
        VismaNet(
            StaticToken(made.issue_token(lifetime_seconds=1e9), tenant_id="c"),
            base_url=made.base_url,
            clock=clock,
            timeout_seconds=PATIENCE_SECONDS,
            job_store=path / job_store,
        ) as visma,
    ):
        yield Company(made, patient(visma), path / "load.sqlite")


@asynccontextmanager
async def again(company: Company, path: Path, *, job_store: str = "jobs.sqlite") -> AsyncIterator[Company]:
    """Another client of the same company, as a later process would have."""
    async with VismaNet(
        StaticToken(company.simulator.issue_token(lifetime_seconds=1e9), tenant_id="c"),
        base_url=company.simulator.base_url,
        clock=company.visma.clock,
        timeout_seconds=PATIENCE_SECONDS,
        job_store=path / job_store,
    ) as visma:
        yield Company(company.simulator, patient(visma), company.journal)


async def test_each_row_is_a_job_and_its_result_is_the_row_s(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        rows = [*company.rows(keys(4)), Row("bad", company.visma.customer.create({"name": ""}))]
        summary, results = await company.run(rows, via="background")
        assert (summary.done, summary.failed) == (4, 1)
        assert all(results[key][0].id for key in keys(4))
        assert (results["bad"][0].status, results["bad"][0].error_type) == (400, "BadRequest")
        repeated, _ = await company.run(rows, via="background")
        assert (repeated.done, repeated.failed, repeated.earlier) == (4, 1, 5)
        assert len(company.simulator.background) == 5


def _id_of(operation: Operation[Any]) -> str:
    operation.preview()
    return operation.spec.id


async def test_auto_takes_actions_and_what_was_slow(tmp_path: Path) -> None:
    async with opened(tmp_path, customer_invoice=4) as company:
        visma = company.visma
        numbers = [each.reference_number for each in await visma.customer_invoice.list()][:2]
        for number in numbers:
            company.simulator.touch("customer_invoice", number, status="Balanced", hold=False)
        release = visma.customer_invoice.release
        rows = [Row(number, release(number)) for number in numbers if number]
        rows.append(Row("new", visma.customer.create({"name": "new"})))
        summary, _ = await company.run(rows, via="auto")
        assert summary.complete
        assert [job.operation for job in company.simulator.background] == [_id_of(release("1"))] * 2
        company.simulator.background.script(run_seconds=70.0)
        await (await visma.jobs.submit(visma.customer.create({"name": "slow"})))
        summary, _ = await company.run(company.rows(["more"]), via="auto")
        assert summary.complete
        assert [str(json.loads(job.body)["name"]["value"]) for job in list(company.simulator.background)[2:]] == [
            "slow",
            "more",
        ]


async def test_a_stopped_run_leaves_its_jobs_to_the_next_one(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        company.simulator.background.script(pending_polls=3, times=3)
        run = company.visma.bulk.run(company.rows(keys(3)), journal=company.journal, via="background")
        follow = company.visma.jobs.wait

        async def stop_and_follow(*arguments: Any, **options: Any) -> Any:
            run.stop()
            return await follow(*arguments, **options)

        with when_all_are_under_way(company, 3, stop_and_follow):
            async for result in run:
                assert (result.outcome, result.error_type) == ("unknown", "OutcomeUnknown")
                assert "is under way; the next run goes on with it" in (result.error or "")
        assert run.summary is not None
        assert run.summary.unknown == 3
        async with again(company, tmp_path) as later:
            summary, results = await later.run(later.rows(keys(3)))  # by jobs, whatever `via` says
            assert summary.complete
            later.check(results)
        assert len(company.simulator.background) == 3


async def test_a_lost_submission_stays_unknown_until_it_is_found(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        company.simulator.background.script(lose_answer=True)
        company.simulator.faults.add("reset_before", method="POST", after=1, times=1)
        summary, _ = await company.run(company.rows(keys(3)), via="background")
        assert (summary.done, summary.unknown) == (1, 2)
        found, results = await company.run(company.rows(keys(3)), via="background", find=company.find())
        company.check(results)
        assert (found.done, found.unknown) == (2, 1)
        assert "it may wait in the queue for a day" in (found.problems[0].error or "")
        states = [record.state for record in await company.visma.jobs.list()]
        assert Counter(states) == {State.SUCCEEDED: 2, State.UNCERTAIN: 1}, "what was found is settled"
        decided, results = await company.run(company.rows(keys(3)), via="background", retry_unknown=True)
        company.check(results)
        assert decided.complete


async def test_another_job_store_says_nothing_of_what_was_sent(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        company.simulator.background.script(pending_polls=3, times=2)
        run = company.visma.bulk.run(company.rows(keys(2)), journal=company.journal, via="background")
        with when_all_are_under_way(company, 2, fail_as_the_disk_is_full):
            summary = await run
        assert (summary.unknown, summary.stopped) == (2, "the disk is full")
        async with again(company, tmp_path, job_store="other.sqlite") as other:
            summary, _ = await other.run(other.rows(keys(2)), via="background")
            assert summary.unknown == 2
            assert "which this job store does not have" in (summary.problems[0].error or "")
        async with again(company, tmp_path) as right:
            summary, results = await right.run(right.rows(keys(2)), via="background")
            right.check(results)
            assert summary.complete
        assert len(company.simulator.background) == 2


async def test_a_row_cut_off_before_its_job_was_written_is_sent(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        with (
            mock.patch.object(SqlStore, "write_intent", side_effect=RuntimeError("killed here")),
            pytest.raises(ExceptionGroup),
        ):
            await company.run(company.rows(keys(2)), via="background")
        async with again(company, tmp_path) as later:
            summary, results = await later.run(later.rows(keys(2)), via="background")
            later.check(results)
            assert summary.complete


async def test_ways_that_are_none_are_refused(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        with pytest.raises(RequestRefused, match="via is one of request, background, auto, not 'queue'"):
            await company.visma.bulk.run([], journal="x", via="queue")
        async with VismaNet(StaticToken("x"), base_url=company.simulator.base_url) as nobody:
            with pytest.raises(SettingsError, match="give StaticToken its tenant_id"):
                await nobody.bulk.run([], journal="x", via="auto")


@pytest.mark.parametrize(
    ("record", "status", "content", "told"),
    [
        ({"state": State.SUCCEEDED, "status_code": 201}, 201, None, Answered),
        ({"state": State.SUCCEEDED, "status_code": 201, "error": "its content was gone"}, 201, None, Answered),
        ({"state": State.FAILED, "status_code": 400, "error": "no"}, 400, b"{}", Refused),
        ({"state": State.FAILED, "status_code": 412}, 412, b"{}", Refused),
        # the ERP's own answer is an end; a gateway's, a failed queue and a forgotten job leave it where it was
        ({"state": State.FAILED, "status_code": 500}, 500, b'{"message": "VismaId: 6c6eb585. Error."}', "over"),
        ({"state": State.FAILED, "status_code": 500}, 500, b"<html>", Lost),
        *(({"state": State.UNCERTAIN, "status_code": code}, code, b"{}", Lost) for code in (408, 502, 503, 504)),
        ({"state": State.FAILED, "error": "never sent: cancelled"}, 0, None, NotSent),
        ({"state": State.FAILED, "sending_at": None, "error": "never sent"}, 0, None, NotSent),
        ({"state": State.FAILED, "error": "the queue failed"}, 0, None, Lost),
        ({"state": State.EXPIRED, "error": "the server does not know it"}, 0, None, Lost),
        ({"state": State.UNCERTAIN, "error": "no answer", "job_id": None}, 0, None, Lost),
        ({"state": State.UNCERTAIN, "error": "its result was not kept"}, 0, None, Lost),
        # a person has looked
        ({"state": State.FAILED, "error": "not in the ERP", "settled_by": "user"}, 0, None, Missing),
        ({"state": State.FAILED, "status_code": 504, "settled_by": "user"}, 504, b"{}", Missing),
        ({"state": State.SUCCEEDED, "settled_by": "user"}, 0, None, Answered),
    ],
)
async def test_what_the_end_of_a_job_means(
    tmp_path: Path, record: dict[str, Any], status: int, content: bytes | None, told: Any
) -> None:
    operation = VismaNet(StaticToken("x"), base_url="http://127.0.0.1:1").customer.create({"name": "x"})
    operation.preview()
    about = OperationSummary(id=operation.spec.id, method="POST", path=operation.path)
    whole: dict[str, Any] = {"sending_at": NOW, "job_id": "s"} | record
    stored = JobRecord(id="j", company="c", operation=about, created_at=NOW, **whole)
    result = JobResult(status_code=status, content=content, read_at=NOW) if status else None
    end = end_of(stored, result, decode=operation.decode, at=NOW)
    assert isinstance(end, Lost if told == "over" else told)
    if isinstance(end, Lost):
        assert (end.at is None) == (told == "over")


async def test_a_gateway_that_gave_up_on_a_job_leaves_it_at_work(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        company.simulator.background.script(status_code=504)
        looks: list[str] = []

        async def late(row: Row) -> str | None:
            looks.append(row.key)
            return None if len(looks) == 1 else "10"

        rows = list(company.rows(keys(1)))
        summary, _ = await company.run(rows, via="background", find=late, settle_seconds=20)
        assert (summary.done, len(looks)) == (1, 2), "what the ERP goes on with is waited for"

        company.simulator.background.script(status_code=504)
        other = attrs.evolve(company, journal=tmp_path / "other.sqlite")

        async def never(_: Row) -> None:
            await anyio.lowlevel.checkpoint()

        for _ in range(2):
            summary, results = await other.run(other.rows(keys(1)), via="background", find=never, retry_failed=True)
            assert summary.unknown == 1
            assert "It was not sent again" in (results[keys(1)[0]][0].error or "")
        assert len(company.simulator.background) == 2
        [uncertain] = await company.visma.jobs.list(states=[State.UNCERTAIN])
        assert uncertain.status_code == 504, "nobody has said that it failed"


@pytest.mark.parametrize("by_hand", [False, True])
async def test_a_job_that_is_gone_from_the_store_proves_nothing(tmp_path: Path, by_hand: bool) -> None:
    async with opened(tmp_path) as company:
        run = company.visma.bulk.run(company.rows(keys(2)), journal=company.journal, via="background")
        with when_all_are_under_way(company, 2, fail_as_the_disk_is_full):
            assert (await run).unknown == 2
        jobs = company.visma.jobs
        for record in await jobs.list():  # a worker follows them, and then somebody tidies up
            await jobs.wait(record.id, timeout_seconds=None, until_certain=True)
            if by_hand:
                await jobs.forget(record.id)
        await jobs.prune(older_than=timedelta(0))
        assert not await jobs.list()
        summary, results = await company.run(company.rows(keys(2)), via="background")
        assert summary.unknown == 2
        assert "which this job store does not have" in (results[keys(1)[0]][0].error or "")
        summary, results = await company.run(company.rows(keys(2)), via="background", find=company.find())
        company.check(results)
        assert summary.complete
        assert len(company.simulator.background) == 2


async def test_the_journal_has_a_job_when_the_store_has_it_and_nothing_has_left(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        write, seen = SqliteJournal.write, []

        async def looked(journal: SqliteJournal, entries: Any) -> Any:
            for entry in entries:
                if entry.state is RowState.SENDING:
                    stored = await company.visma.jobs.record(entry.job)
                    seen.append((stored.state, stored.sending_at, len(company.simulator.background)))
            return await write(journal, entries)

        with mock.patch.object(SqliteJournal, "write", looked):
            assert (await company.run(company.rows(keys(1)), via="background"))[0].complete
        assert seen == [(State.INTENT, None, 0)]


async def test_a_process_that_was_taken_for_dead_submits_no_row_that_another_took_over(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:

        async def refused(_: SqliteJournal, entries: Any) -> Any:
            await anyio.lowlevel.checkpoint()
            return frozenset(entry.key for entry in entries)

        with mock.patch.object(SqliteJournal, "write", refused):
            summary = await company.visma.bulk.run(company.rows(keys(2)), journal=company.journal, via="background")
        assert summary.rows == 0
        assert not list(company.simulator.background)
        assert {record.state for record in await company.visma.jobs.list()} == {State.FAILED}, "never sent"


async def test_what_a_person_says_of_an_uncertain_job_is_believed(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        company.simulator.background.script(lose_answer=True, outcome="hang", times=2)
        lost, _ = await company.run(company.rows(keys(2)), via="background")
        assert lost.unknown == 2
        for record, outcome in zip(await company.visma.jobs.list(), ("failed", "succeeded"), strict=True):
            await company.visma.jobs.settle(record.id, outcome=outcome, note="seen in the ERP")
        summary, _ = await company.run(company.rows(keys(2)), via="background")
        assert summary.complete
        assert len(company.simulator.background) == 3, "what is not there was sent once more"

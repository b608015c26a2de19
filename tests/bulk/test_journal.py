"""The journal of a bulk run: what is on the disk before a request leaves, and what happens when the disk fails."""

from __future__ import annotations

import sqlite3
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from tests.bulk.company import COMPANY, executed, keys, opened
from tests.support.clock import ServerClock, VirtualClock
from tests.support.hang import until
from vismanet_async import RequestRefused, StaticToken, VismaNet
from vismanet_async._bulk.group_commit import GroupCommit
from vismanet_async._bulk.journal import SqliteJournal
from vismanet_async._bulk.transitions import Entry, RowState
from vismanet_async._jobs.store import StoreNotUsable
from vismanet_async.bulk import JournalBusy, Row
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from pathlib import Path


async def test_only_journals_are_read(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        with pytest.raises(RequestRefused, match="there is no journal"):
            _ = [each async for each in company.visma.bulk.results(tmp_path / "no.sqlite")]
        with pytest.raises(RequestRefused, match="'held' is not kept in journals"):
            _ = [each async for each in company.visma.bulk.results(company.journal, outcomes={"held"})]
        with sqlite3.connect(tmp_path / "other.sqlite") as other:
            other.execute("CREATE TABLE x (y)")
        other.close()
        with pytest.raises(StoreNotUsable, match="is another database: it holds 'x'"):
            _ = [each async for each in company.visma.bulk.results(tmp_path / "other.sqlite")]
        (tmp_path / "empty.sqlite").touch()
        with pytest.raises(StoreNotUsable, match="is no journal of a bulk run"):
            _ = [each async for each in company.visma.bulk.results(tmp_path / "empty.sqlite")]


async def test_one_run_at_a_time_has_a_journal(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        run = company.visma.bulk.run(company.rows(keys(50)), journal=company.journal)
        async with aclosing(aiter(run)) as results:
            await anext(results)
            with pytest.raises(JournalBusy, match="another run has the journal"):
                await company.visma.bulk.run(company.rows(keys(1)), journal=company.journal)
            assert [each async for each in company.visma.bulk.results(company.journal, outcomes={"done"})]
        other = VismaNet(StaticToken("x", tenant_id="other"), base_url=company.simulator.base_url)
        with pytest.raises(RequestRefused, match="is of company c at"):
            await other.bulk.run([], journal=company.journal)
        await other.aclose()


@pytest.mark.parametrize("what", ["register", "write"])
@pytest.mark.parametrize("after", [0, 1, 2, 3, 5, 8])
async def test_a_journal_that_fails_sends_nothing_that_is_not_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, after: int
) -> None:
    async with opened(tmp_path) as company:
        wanted, real, calls = keys(40), getattr(SqliteJournal, what), 0

        async def failing(journal: SqliteJournal, *arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > after:
                raise StoreNotUsable("the journal failed: disk full")
            return await real(journal, *arguments)

        monkeypatch.setattr(SqliteJournal, what, failing)

        async def until_it_fails() -> None:
            for _ in range(10):  # one chunk needs one registration
                await company.visma.bulk.run(company.rows(wanted), journal=company.journal)

        with pytest.raises(StoreNotUsable, match="disk full"):
            await until_it_fails()
        monkeypatch.undo()
        # each request that arrived was on the disk before
        entries = {each.key: each.outcome async for each in company.visma.bulk.results(company.journal)}
        for key in executed(company.simulator):
            assert entries[key] in {"done", "unknown"}
        summary, results = await company.run(company.rows(wanted), find=company.find())
        assert summary.complete
        company.check(results)


async def test_an_intent_is_on_the_disk_before_its_request_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as company:
        written: set[str] = set()
        real = SqliteJournal.write

        async def noting(journal: SqliteJournal, entries: Any) -> frozenset[str]:
            lost = await real(journal, entries)
            written.update(entry.key for entry in entries if entry.state is RowState.SENDING)
            return lost

        sent, real_send = [], type(company.visma.sender).send

        async def checking(sender: Any, request: Any, /) -> Any:
            key = request.body.decode().split('"')[5]
            assert key in written
            sent.append(key)
            return await real_send(sender, request)

        monkeypatch.setattr(SqliteJournal, "write", noting)
        monkeypatch.setattr(type(company.visma.sender), "send", checking)
        summary, _ = await company.run(company.rows(keys(50)))
        assert summary.complete
        assert sorted(sent) == keys(50)


async def test_while_the_quota_is_used_up_nothing_is_on_the_disk_as_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = VirtualClock()
    real, writing = SqliteJournal.write, []

    async def write(journal: SqliteJournal, entries: Any) -> Any:
        writing.append(entries)
        try:
            return await real(journal, entries)
        finally:
            writing.pop()

    monkeypatch.setattr(SqliteJournal, "write", write)
    clock.stand_still_while(lambda: writing)  # an hour in which the disk is busy is more than a call may take
    async with (
        Simulator(rows={"customer": 1}, clock=ServerClock(clock), quota=10) as simulator,
        VismaNet(
            StaticToken(simulator.issue_token(lifetime_seconds=1e9), tenant_id=COMPANY),
            base_url=simulator.base_url,
            clock=clock,
        ) as visma,
    ):
        rows = [Row(key, visma.customer.create({"name": key})) for key in keys(35)]
        summary = await visma.bulk.run(rows, journal=tmp_path / "j.sqlite")
        assert summary.complete
        assert len(simulator.ledger) == 35
        assert summary.seconds > 3 * 3600 - 60, "the quota was waited for"


async def test_together_waiting_entries_are_one_transaction() -> None:
    batches: list[int] = []
    gate = anyio.Event()

    class Journal:
        async def write(self, entries: Any, /) -> frozenset[str]:
            batches.append(len(entries))
            await gate.wait()
            return frozenset()

    commits = GroupCommit(Journal())
    async with anyio.create_task_group() as outer:
        outer.start_soon(commits.run)
        async with anyio.create_task_group() as tasks:
            for number in range(9):
                entry = Entry(key=str(number), position=number, fingerprint=b"", operation="x")
                tasks.start_soon(commits.write, entry)
                if not number:
                    await until(lambda: batches)
            await anyio.wait_all_tasks_blocked()
            gate.set()
        outer.cancel_scope.cancel()
    assert batches == [1, 8]

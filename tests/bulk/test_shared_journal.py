"""A journal in PostgreSQL: what several processes may do with one load, and what a lost lease refuses."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from tests.bulk.company import executed, keys, opened
from tests.jobs.postgres import new_database, postgres
from vismanet_async import RequestRefused
from vismanet_async._bulk.sending import Pauses
from vismanet_async._bulk.shared_journal import SharedJournal
from vismanet_async._bulk.transitions import Answered, Entry, RowState, Sent, advance
from vismanet_async.bulk import BulkSummary, Row

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

URL = "https://api.example"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres() as url:
        yield url


@pytest.fixture
async def database(server: str) -> AsyncIterator[str]:
    async with new_database(server) as url:
        yield url


class SetClock:
    """A wall clock that a test sets."""

    now = datetime(2026, 11, 29, tzinfo=UTC)

    def utc_now(self) -> datetime:
        return self.now


def entry(key: str, position: int) -> Entry:
    return Entry(key=key, position=position, fingerprint=b"f", operation="Customer_Post")


async def joined(database: str, clock: Any, *, base_url: str = URL, **options: Any) -> SharedJournal:
    journal = SharedJournal(f"{database}#load", clock=clock, **options)
    await journal.open(company="c", base_url=base_url)
    return journal


async def test_a_row_has_one_owner_and_a_lost_lease_writes_nothing(database: str) -> None:
    clock = SetClock()
    first, second = await joined(database, clock), await joined(database, clock)
    rows = [entry("a", 1), entry("b", 2)]
    assert [each.elsewhere for each in await first.register(rows)] == [False, False]
    assert [each.elsewhere for each in await second.register([*rows, entry("c", 3)])] == [True, True, False]
    sent = advance(rows[0], Sent(at=clock.now))
    assert await first.write([sent]) == frozenset()
    assert (await second.standing()).held == 2
    clock.now += timedelta(seconds=20)
    await second.renew()
    clock.now += timedelta(seconds=20)
    standing = await second.standing()
    assert (standing.held, standing.abandoned) == (0, 2)
    taken = await second.register(rows)
    assert [(each.elsewhere, each.entry.state) for each in taken] == [(False, "sending"), (False, "planned")]
    await first.renew()  # what has run out is not renewed
    done = advance(sent, Answered(attempts=1, id="10003"))
    assert await first.write([done, rows[1]]) == {"a", "b"}
    assert (await second.known(["a"]))["a"].state is RowState.SENDING
    assert await second.write([done]) == frozenset()
    second.ended("a")
    await second.renew()
    assert [each.elsewhere for each in await first.register(rows)] == [True, True], "ended in this run, and leased"
    for journal in (first, second):
        await journal.aclose()


async def test_a_run_begins_when_nobody_is_in_one(database: str) -> None:
    clock = SetClock()
    first = await joined(database, clock)
    await first.register([entry("a", 1), entry("b", 2)])
    second = await joined(database, clock)
    told = await second.register([entry("b", 2), entry("a", 7)])
    assert [(each.elsewhere, each.duplicate_of) for each in told] == [(True, None), (True, None)], "in another order"
    told = await second.register([entry("c", 3), entry("b", 9), entry("c", 10)])
    assert [(each.elsewhere, each.duplicate_of) for each in told] == [(False, None), (False, 2), (False, 3)]
    for journal in (first, second):
        await journal.aclose()
    third = await joined(database, clock)
    told = await third.register([entry("a", 7), entry("a", 8), entry("b", 2)])
    assert [(each.known, each.elsewhere, each.duplicate_of) for each in told] == [
        (True, False, None),
        (False, False, 7),
        (True, False, None),
    ]
    assert [each.key async for each in third.entries()] == ["a", "b", "c"]
    await third.aclose()


async def test_an_input_that_is_read_again_may_come_in_another_order(database: str) -> None:
    clock = SetClock()
    first, second = await joined(database, clock), await joined(database, clock)
    await first.register([entry("a", 1), entry("b", 2)])
    assert all(each.elsewhere for each in await second.register([entry("b", 1), entry("a", 2)]))
    clock.now += timedelta(seconds=40)
    await second.read_again()
    told = await second.register([entry("a", 1), entry("b", 2), entry("a", 3)])
    assert [(each.elsewhere, each.duplicate_of, each.entry.position) for each in told] == [
        (False, None, 1),
        (False, None, 2),
        (False, 1, 3),
    ]
    for journal in (first, second):
        await journal.aclose()


@pytest.mark.parametrize("same_rows", [True, False])
async def test_rows_of_a_process_that_is_gone_are_looked_for_with_pauses_and_not_for_ever(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same_rows: bool
) -> None:
    async with opened(tmp_path) as company:
        gone = await joined(database, clock := SetClock(), base_url=company.visma.base_url)
        clock.now = company.visma.clock.utc_now() - timedelta(minutes=5)
        await gone.register([entry(key, number) for number, key in enumerate(keys(3), 1)])
        await gone._database.aclose()  # as a process that was killed leaves it

        waits: list[float] = []

        async def waited(_: Pauses, __: Any, seconds: float) -> bool:
            await anyio.lowlevel.checkpoint()
            waits.append(seconds)
            return True

        # a run that goes on: it began before that process was seen to be gone
        run = "UPDATE vismanet_bulk_journals SET run = 1"
        other = await joined(database, company.visma.clock, base_url=company.visma.base_url, lease_seconds=3600)
        async with other._database.transaction(lambda _: None) as connection:
            await connection.exec_driver_sql(run)
        monkeypatch.setattr(Pauses, "wait", waited)
        wanted = keys(3)[::-1] if same_rows else keys(3, first=50)
        rows = list(company.rows(wanted))
        with anyio.fail_after(300):  # it does not go on and on
            summary = await company.visma.bulk.run(rows, journal=f"{database}#load")
        await other.aclose()
        assert waits or same_rows, "rows that are its own as well it has taken, and perhaps ended, before it looks"
        assert set(executed(company.simulator)) == set(wanted)
        assert (summary.done, summary.not_sent) == (3, 0 if same_rows else 3)


async def test_two_workers_share_a_load(database: str, tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        rows = [*company.rows(keys(300)), *company.rows(keys(1))]
        bad = [Row(f"bad-{number}", company.visma.customer.create({"name": ""})) for number in range(4)]
        journal = f"{database}#customers"
        summaries: list[BulkSummary] = []

        async def work() -> None:
            summaries.append(await company.visma.bulk.run([*rows, *bad], journal=journal))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            tasks.start_soon(work)
        assert [str(each) for each in summaries] == ["305 rows: 300 done, 4 failed, 1 duplicate"] * 2
        assert sum(each.rows - each.earlier - 1 for each in summaries) == 304, "each row is ended by one of them"
        assert set(executed(company.simulator).values()) == {1}
        assert len(company.simulator.ledger.matching(succeeded=False)) == 4
        again = await company.visma.bulk.run([*rows, *bad], journal=journal)
        assert (again.done, again.failed, again.earlier) == (300, 4, 304)
        assert len(company.simulator.ledger) == 304
        found = [each.key async for each in company.visma.bulk.results(journal, outcomes={"failed"})]
        assert found == [f"bad-{number}" for number in range(4)]
        grouped = [Row("g", company.visma.customer.create({"name": "g"}), group="1")]
        refused = await company.visma.bulk.run(grouped, journal=journal)
        assert "rows of a group are sent in order by one process" in (refused.problems[0].error or "")
        rehearsal = await company.visma.bulk.rehearse(rows, journal=journal)
        assert (rehearsal.earlier, rehearsal.requests) == (300, 0)


async def test_an_upsert_by_two_workers(database: str, tmp_path: Path) -> None:
    async with opened(tmp_path, customers=40) as company:
        numbers = [each.number for each in await company.visma.customer.list()]
        rows: list[dict[str, Any]] = [{"number": number, "name": f"new {number}"} for number in numbers[:20]]
        rows += [{"number": number} for number in numbers[20:]]
        rows += [
            {"number": str(number), "override_number_series": True, "name": "x"} for number in range(90_000, 90_010)
        ]
        summaries: list[str] = []

        async def work() -> None:
            run = company.visma.bulk.upsert("customer", rows, key="number", journal=f"{database}#nightly")
            summaries.append(str(await run))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            tasks.start_soon(work)
        assert len(company.simulator.ledger) == 30
        assert summaries == ["50 rows: 10 created, 20 updated, 20 unchanged"] * 2


async def test_addresses_that_are_none_are_refused(database: str, tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        for address in (database, "sqlite:///load.sqlite#x"):
            with pytest.raises(RequestRefused, match="postgresql://user@host/database#NAME"):
                await company.visma.bulk.run([], journal=address)
        await company.visma.bulk.run([], journal=f"{database}#mine")
        other = SharedJournal(f"{database}#mine", clock=SetClock())  # type: ignore[arg-type]  # it needs no more of it
        with pytest.raises(RequestRefused, match="is of company c at"):
            await other.open(company="other", base_url=URL)
        await other.aclose()


async def test_tables_of_an_earlier_version_are_gone_on_with(database: str) -> None:
    clock = SetClock()
    first = await joined(database, clock)
    await first.register([entry("a", 1)])
    async with first._database.transaction(lambda _: None) as connection:
        for name in ("leaves_within_seconds", "row_group"):
            await connection.exec_driver_sql(f"ALTER TABLE vismanet_bulk_rows DROP COLUMN {name}")
        await connection.exec_driver_sql("UPDATE vismanet_bulk_journals SET version = 1")
    await first.aclose()
    later = await joined(database, clock)
    [known] = await later.register([entry("a", 1)])
    assert known.known
    assert await later.write([advance(known.entry, Sent(at=clock.now, leaves_within_seconds=5))]) == frozenset()
    assert (await later.known(["a"]))["a"].leaves_within_seconds == 5
    await later.aclose()


async def test_a_run_that_is_cancelled_while_it_joins_leaves_no_worker(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as company:
        lock = SharedJournal._lock

        async def cancelled(journal: SharedJournal, connection: Any) -> None:
            task.cancel()
            await lock(journal, connection)

        monkeypatch.setattr(SharedJournal, "_lock", cancelled)
        task = asyncio.ensure_future(company.visma.bulk.run(company.rows(keys(1)), journal=f"{database}#load").run())
        with pytest.raises(asyncio.CancelledError):
            await task
        monkeypatch.undo()
        journal = SharedJournal(f"{database}#other", clock=company.visma.clock)
        async with journal._database.transaction(lambda _: None) as connection:
            left = (await connection.exec_driver_sql("SELECT count(*) FROM vismanet_bulk_workers")).scalar_one()
        await journal.aclose()
        assert left == 0

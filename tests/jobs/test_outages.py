"""A store that is away or busy: the manager lives, waiting ends, and errors say why."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from tests.jobs.bench import Bench, opened
from tests.jobs.disturbed import Server, at_rest, until
from tests.jobs.fast import FastClock
from tests.support.clock import VirtualClock
from tests.support.hang import HANG_SECONDS
from vismanet_async._jobs.core.records import JobRecord, OperationSummary
from vismanet_async._jobs.core.states import State
from vismanet_async._jobs.sql import engine as engine_module
from vismanet_async._jobs.sql.store import SqlStore
from vismanet_async._jobs.store import StoreNotUsable
from vismanet_async.errors import JobUncertain

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from vismanet_async._jobs.store import JobStore

PATH = "/v1/x/1/action/release"

pytestmark = pytest.mark.timeout(150)
memory = pytest.mark.parametrize("database", ["memory"], indirect=True)
postgresql = pytest.mark.parametrize("database", ["postgresql"], indirect=True)
shared = pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)


class Away:
    """A store that can be taken away and brought back, whole or call by call."""

    def __init__(self, inner: JobStore) -> None:
        self._inner = inner
        self.away = False
        self.away_for: set[str] = set()
        self.lost: set[str] = set()
        """Calls that are done, and whose answer gets lost once."""
        self.refused: list[str] = []

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)

        async def call(*args: Any, **options: Any) -> Any:
            if self.away or name in self.away_for:
                self.refused.append(name)
                raise StoreNotUsable("out of reach")
            done = await found(*args, **options)
            if name in self.lost:
                self.lost.discard(name)
                raise StoreNotUsable("the answer got lost")
            return done

        return call


@pytest.fixture
def away(store: JobStore) -> Away:
    return Away(store)


def following(store: Any, server: Server, **options: Any) -> AbstractAsyncContextManager[Bench]:
    arguments: dict[str, Any] = {"lease_seconds": 600.0, "clock": VirtualClock(), **options}
    return opened("http://127.0.0.1:1", store, border=lambda _: server, **arguments)


@memory
async def test_away_at_the_first_look_the_manager_goes_on_when_it_is_back(away: Away) -> None:
    away.away = True
    async with following(away, Server()) as bench:
        for number in range(2):
            with pytest.raises(StoreNotUsable, match="Nothing was sent"):
                _ = await bench.manager.submit(bench.release(f"/v1/x/{number}/action/release"))
        await until(lambda: "run_times" in away.refused)
        away.away = False
        job = await bench.manager.submit(bench.release(PATH))
        with anyio.fail_after(HANG_SECONDS):
            assert (await job.wait()).state is State.SUCCEEDED


@memory
@pytest.mark.parametrize(
    "name", ["run_times", "renew", "hints", "workers", "release", "get", "save", "result", "claim", "predecessor"]
)
async def test_away_at_any_call_the_manager_goes_on(away: Away, name: str) -> None:
    async with following(away, Server(), lease_seconds=30.0) as bench:
        away.away_for = {name}
        serving = asyncio.create_task(bench.manager.run())
        first = asyncio.create_task(bench.manager.submit(bench.release(PATH), document=None))
        if name not in {"release", "get", "result", "predecessor"}:  # not all are called without more to do
            await until(lambda: name in away.refused)
        away.away_for = set()
        await asyncio.wait({first})
        job = await bench.manager.submit(bench.release("/v1/x/2/action/release"))
        with anyio.fail_after(HANG_SECONDS):
            assert (await job.wait()).state is State.SUCCEEDED
        serving.cancel()
        await asyncio.wait({serving})
        # time passes while the store is away: a lease that nobody renews runs out, and the job may be uncertain
        assert first.exception() is None or isinstance(first.exception(), StoreNotUsable | JobUncertain)


@memory
async def test_an_end_that_was_committed_unheard_is_not_written_twice(away: Away, store: JobStore) -> None:
    """What was known before must not overwrite it, or the job would run and end again for whoever reads the store."""
    states: list[State] = []
    real = store.save

    async def save(leased: Any, record: JobRecord, **options: Any) -> Any:
        saved = await real(leased, record, **options)
        states.append(record.state)
        if record.settled:
            away.lost.add("save")
        return saved

    store.save = save  # type: ignore[method-assign]
    async with following(away, Server()) as bench:
        job = await bench.manager.submit(bench.release(PATH))
        await until(lambda: State.SUCCEEDED in states)
        ended = await job.status()
        with anyio.fail_after(HANG_SECONDS):
            assert await job.wait() == ended
        await at_rest(bench)
        assert await job.status() == ended
    assert states.index(State.SUCCEEDED) == len(states) - 1


@memory
async def test_whoever_waits_is_told_although_leases_cannot_be_given_up(away: Away) -> None:
    away.away_for = {"release"}
    async with following(away, Server()) as bench:
        job = await bench.manager.submit(bench.release(PATH))
        with anyio.fail_after(HANG_SECONDS):
            assert (await job.wait()).state is State.SUCCEEDED


@memory
async def test_who_waits_for_a_webhook_is_told_that_it_is_polled_late(away: Away) -> None:
    async with following(away, Server(status="Started")) as bench:
        job = await bench.manager.submit(bench.release(PATH), notify="subscription")
        with pytest.raises(TimeoutError, match="without one it is polled rarely, first after 900 s"):
            await job.wait(timeout_seconds=1)


@memory
async def test_waiting_outlives_an_outage_and_says_what_it_waits_for(
    away: Away, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(status="Started")
    async with following(away, server) as bench:
        job = await bench.manager.submit(bench.release(PATH))
        with pytest.raises(TimeoutError, match=r"it is (submitted|running), this process follows it"):
            await job.wait(timeout_seconds=1)
        with caplog.at_level(logging.DEBUG, "vismanet_async.jobs"):
            waiting = asyncio.create_task(job.wait())
            await until(lambda: f"waiting for job {job.id}: it is" in caplog.text)
            away.away = True
            await until(lambda: f"waiting for job {job.id}: the job store is out of reach" in caplog.text)
        with pytest.raises(StoreNotUsable):
            await job.wait()
        away.away = False
        server.status = "Finished"
        with anyio.fail_after(HANG_SECONDS):
            assert (await waiting).state is State.SUCCEEDED


@memory
async def test_waiting_for_an_uncertain_job_says_so(store: JobStore, caplog: pytest.LogCaptureFixture) -> None:
    async with following(store, Server(status="Started")) as bench:
        job = await bench.manager.submit(bench.release(PATH), deadline_seconds=5)
        with anyio.fail_after(HANG_SECONDS), pytest.raises(JobUncertain):
            await job
        with pytest.raises(TimeoutError, match=r"it is uncertain .its deadline passed.*settle"):
            await job.wait(timeout_seconds=1)
        assert f"waiting for job {job.id}: it is uncertain" in caplog.text


@memory
async def test_closing_outlives_an_outage(away: Away) -> None:
    async with following(away, Server()) as bench:
        _ = await bench.manager.submit(bench.release(PATH), notify="subscription")
        away.away = True


# -- a database that is busy -------------------------------------------------------------------------------------------


@postgresql
async def test_a_used_up_pool_and_a_late_statement_are_named(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "_POOL_SECONDS", 0.5)
    monkeypatch.setattr(engine_module, "_STATEMENT_SECONDS", 2.0)
    store = SqlStore(database)
    await store.open()
    engine = create_async_engine(database)
    errors: list[str] = []

    async def look() -> None:
        try:
            await store.get("a")
        except StoreNotUsable as error:
            errors.append(str(error))

    async with engine.begin() as connection:
        await connection.exec_driver_sql("LOCK TABLE vismanet_jobs IN ACCESS EXCLUSIVE MODE")
        async with anyio.create_task_group() as tasks:
            for _ in range(14):
                tasks.start_soon(look)
    await engine.dispose()
    assert len(errors) == 14
    assert sum("each of its 10 connections was in use for 0.5 s" in each for each in errors) == 4
    assert sum("a statement took longer than 2 s" in each for each in errors) == 10
    assert await store.get("a") is None
    await store.aclose()


@postgresql
async def test_the_manager_outlives_a_used_up_pool(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "_POOL_SECONDS", 0.5)
    monkeypatch.setattr(engine_module, "_STATEMENT_SECONDS", 2.0)
    store = SqlStore(database)
    await store.open()
    engine = create_async_engine(database)
    async with following(store, Server()) as bench:
        submitting = []
        async with engine.begin() as connection:
            await connection.exec_driver_sql("LOCK TABLE vismanet_jobs IN ACCESS EXCLUSIVE MODE")
            for number in range(14):
                operation = bench.release(f"/v1/x/{number}/action/release")
                submitting.append(asyncio.create_task(bench.manager.submit(operation)))
            await asyncio.wait(submitting)
        assert {type(each.exception()) for each in submitting} == {StoreNotUsable}
        job = await bench.manager.submit(bench.release(PATH))
        with anyio.fail_after(HANG_SECONDS):
            assert (await job.wait()).state is State.SUCCEEDED
        await at_rest(bench)
        states = {each.state for each in await bench.manager.list(states=[State.INTENT, State.SUBMITTED])}
        assert states == set(), "no intent is left"
    await engine.dispose()
    await store.aclose()


@postgresql
async def test_a_server_that_is_not_there_is_named(database: str) -> None:
    nowhere = sa.make_url(database).update_query_dict({"host": "/nonexistent"}).render_as_string()
    store = SqlStore(nowhere)
    with pytest.raises(StoreNotUsable, match=r"cannot be reached: \S"):
        await store.open()
    await store.aclose()


# -- any number of ids -------------------------------------------------------------------------------------------------


@shared
async def test_any_number_of_ids(store: JobStore) -> None:
    """PostgreSQL takes 32,767 parameters a statement, some SQLites 32,766."""
    clock = FastClock(1)
    many = [f"{number:032x}" for number in range(70_000)]
    note = OperationSummary(id="x", method="POST", path=PATH)
    for number in (0, 65_000, 69_999):
        record = JobRecord(
            id=many[number], company="c", operation=note, created_at=clock.utc_now(), job_id=f"J{number}",
            state=State.SUBMITTED,
        )  # fmt: skip
        await store.write_intent(record, owner="me", until=clock.utc_now())
    job_ids = [f"J{number}" for number in range(70_000)]
    there = {many[0], many[65_000], many[69_999]}
    await store.release(owner="me", ids=many)
    claimed = await store.claim(company="c", owner="other", now=clock.utc_now(), until=clock.utc_now(), ids=many)
    assert {leased.record.id for leased in claimed} == there
    assert {record.id for record in await store.select(company="c", ids=many)} == there
    assert await store.select(company="c", ids=[]) == []
    assert set(await store.hint(own_id=None, job_ids=job_ids, at=clock.utc_now())) == there


@shared
async def test_all_that_are_named_are_claimed(store: JobStore) -> None:
    clock = FastClock(1)
    note = OperationSummary(id="x", method="POST", path=PATH)
    own_ids = [f"{number:04}" for number in range(1001)]

    async def write(own_id: str) -> None:
        record = JobRecord(id=own_id, company="c", operation=note, created_at=clock.utc_now())
        await store.write_intent(record, owner="me", until=clock.utc_now())

    async with anyio.create_task_group() as tasks:
        for own_id in own_ids:
            tasks.start_soon(write, own_id)
    await store.release(owner="me")
    options: dict[str, Any] = {"company": "c", "owner": "other", "now": clock.utc_now(), "until": clock.utc_now()}
    assert len(await store.claim(ids=own_ids, **options)) == 1001
    assert len(await store.select(company="c", ids=own_ids)) == 1001
    assert len(await store.select(company="c")) == 1000

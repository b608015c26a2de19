"""Processes killed at every durable step, and workers killed at any moment: nothing twice, nothing lost."""

from __future__ import annotations

import multiprocessing
import random
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from tests.jobs.crashing import KILLED, Task, work
from tests.jobs.fast import FastClock, opened
from tests.jobs.queue import Queue, serve
from vismanet_async.jobs.model import OPEN, Record, State
from vismanet_async.jobs.sql_store import SqlStore

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess
    from pathlib import Path

pytestmark = pytest.mark.timeout(170)

_processes = multiprocessing.get_context("spawn")


def start(task: Task) -> BaseProcess:
    process = _processes.Process(target=work, args=(task,), daemon=True)
    process.start()
    return process


async def finish(process: BaseProcess) -> int:
    await anyio.to_thread.run_sync(partial(process.join, 100))
    assert process.exitcode is not None, "a process hangs"
    return process.exitcode


async def all_records(database: str, company: str) -> list[Record]:
    store = SqlStore(database)
    try:
        return list(await store.select(company=company))
    finally:
        await store.aclose()


@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
async def test_killed_at_every_step(database: str, tmp_path: Path) -> None:
    clock = FastClock(50)
    queue = Queue(run_seconds=0, pending_polls=1, now=clock.monotonic, utc_now=clock.utc_now)
    ends: list[str] = []
    at_once = anyio.CapacityLimiter(4)

    async def one(step: int, url: str, word: str) -> None:
        """Each step has a company of its own, so that all can be tried at once on one database."""
        async with at_once:
            path = f"/v1/{word}/{step}/action/release"
            task = attrs.evolve(plan, url=url, path=path, dies_at=step, company=f"c{step}", count_to="")
            # the last steps (looking again whether it has ended) are not always as many
            code = await finish(start(task))
            assert code == KILLED or (code == 0 and step > steps - 4)
            await tell_of_the_end(database, clock, queue, path)
            assert await finish(start(attrs.evolve(task, path="", dies_at=0))) == 0
            mine = await all_records(database, task.company)
            executed = queue.ledger.count(path)
            assert executed <= 1, f"executed twice when killed at step {step}"
            assert mine or not executed, f"lost when killed at step {step}"
            record = mine[0] if mine else None
            if record is not None and record.state is State.UNCERTAIN:
                record = await webhook_comes(database, url, clock, queue, record)
            check(record, executed, word, step)
            ends.append(record.state.value if record else "not written")

    async with serve(queue) as url:
        count = tmp_path / "steps"
        plan = Task(
            url=url,
            database=database,
            base=clock.base,
            speed=clock.speed,
            lease_seconds=100,
            path="/v1/ok/0/action/release",
            count_to=str(count),
        )
        assert await finish(start(plan)) == 0
        steps = int(count.read_text())
        async with anyio.create_task_group() as tasks:
            for step in range(1, steps + 1):
                tasks.start_soon(one, step, url, "stale" if step % 2 else "ok")
    assert len(ends) == steps > 20
    assert {"not written", "succeeded", "failed"} <= set(ends)


async def tell_of_the_end(database: str, clock: FastClock, queue: Queue, path: str) -> None:
    """The webhook that names the server's id alone; whoever receives it writes it down."""
    store = SqlStore(database)
    await store.hint(
        own_id=None,
        job_ids=[job.id for job in queue.jobs.values() if job.path == path],
        at=clock.utc_now(),
    )
    await store.aclose()


def check(record: Record | None, executed: int, word: str, step: int) -> None:
    if record is None:
        assert executed == 0
        return
    expected = State.SUCCEEDED if word == "ok" else State.FAILED
    if executed:
        assert (record.state, record.status_code) == (expected, 200 if word == "ok" else 412), (step, record)
    else:
        assert record.state in {State.FAILED, State.UNCERTAIN}, step
        assert record.status_code is None


async def webhook_comes(database: str, url: str, clock: FastClock, queue: Queue, record: Record) -> Record:
    """The server tells of the job's end, with our own id in the headers; a new process takes it up."""
    ids = tuple(job.id for job in queue.jobs.values() if job.path == record.operation.path)
    if not ids:
        return record
    store = SqlStore(database)
    async with opened(url, store, clock=clock, company=record.company) as bench:
        job = await bench.manager.get(record.id)
        await bench.manager.hint(own_id=record.id, job_ids=ids, at=clock.utc_now())
        settled = await job.wait(timeout_seconds=3000)
    await store.aclose()
    return settled


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
async def test_three_workers_one_killed_again_and_again(database: str) -> None:
    clock = FastClock(20)
    queue = Queue(run_seconds=120, now=clock.monotonic, utc_now=clock.utc_now)
    randomness = random.Random(5)
    store = SqlStore(database)
    await store.open()
    await note_every_end(database)
    async with serve(queue) as url:
        async with opened(url, store, clock=clock) as bench:
            operations = [bench.release(f"/v1/{word}/{n}/action/release") for n in range(10) for word in ("ok", "bad")]
            await bench.manager.submit_many(operations)
        task = Task(url=url, database=database, base=clock.base, speed=clock.speed, lease_seconds=60)
        workers = [start(task) for _ in range(3)]
        kills = 0
        while await store.select(company="c", states=OPEN, limit=1):
            await clock.sleep(20)
            if kills < 5:
                victim = randomness.randrange(3)
                workers[victim].kill()
                await finish(workers[victim])
                workers[victim] = start(task)
                kills += 1
        for worker in workers:
            assert await finish(worker) == 0
    assert kills >= 3
    assert sorted(queue.ledger) == sorted(set(queue.ledger))
    records = await store.select(company="c")
    assert len(records) == 20
    for record in records:
        assert record.status_code == (200 if "/ok/" in record.operation.path else 400)
    noted = await ends_noted(database)
    assert sorted(noted) == sorted(record.id for record in records), "each settled once"
    minute = 60.0
    for path, times in queue.asked.items():
        most = max(sum(1 for other in times if when <= other < when + minute) for when in times)
        assert most <= 5, f"{path} was asked {most} times within a minute"
    await store.aclose()


async def note_every_end(database: str) -> None:
    """The database itself notes each change into a final state, whoever writes it."""
    statements = (
        "CREATE TABLE ends (id TEXT)",
        """
        CREATE FUNCTION note_end() RETURNS trigger AS $$
        BEGIN
            IF NEW.state IN ('succeeded', 'failed', 'expired') THEN INSERT INTO ends VALUES (NEW.id); END IF;
            RETURN NEW;
        END $$ LANGUAGE plpgsql
        """,
        """
        CREATE TRIGGER note_end AFTER UPDATE OF state ON vismanet_jobs FOR EACH ROW
        WHEN (OLD.settled_at IS DISTINCT FROM NEW.settled_at) EXECUTE FUNCTION note_end()
        """,
    )
    engine = create_async_engine(database)
    async with engine.begin() as connection:
        for statement in statements:
            await connection.exec_driver_sql(statement)
    await engine.dispose()


async def ends_noted(database: str) -> list[Any]:
    engine = create_async_engine(database)
    async with engine.begin() as connection:
        found = (await connection.exec_driver_sql("SELECT id FROM ends")).scalars().all()
    await engine.dispose()
    return list(found)


def test_processes_agree_on_the_time() -> None:
    base = time.time()
    assert FastClock(base=base).utc_now() <= FastClock(base=base).utc_now()

"""Processes killed at every durable step, and workers killed at any moment: nothing twice, nothing lost.

All of it is real but the time, which goes faster: processes, databases, HTTP to the simulator, its queue and ledger,
and its signed webhooks. The simulator keeps the rules on repeated requests, so that one poll too many is a 429.
"""

from __future__ import annotations

import json
import random
import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import pytest
from aiohttp import web
from sqlalchemy.ext.asyncio import create_async_engine

from tests.jobs.bench import opened
from tests.jobs.crashing import KILLED, Task
from tests.jobs.fast import FastClock, ServerClock
from tests.jobs.nursery import Nursery
from tests.support.hang import HANG_SECONDS
from vismanet_async._jobs.core.states import State
from vismanet_async._jobs.sql.store import SqlStore
from vismanet_async._webhooks.receiver import WebhookReceiver
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from vismanet_async._jobs.core.records import JobRecord


AT_ONCE = 4
LEASE_SECONDS = 30_000.0
"""Longer than the test may take, twenty minutes on the fast clock: its owner lives ..."""
LATER = 30_001.0
"""... or is dead: a process that takes over is started that much later, by its clock. Twice that is within a day, which
is how long the server knows a job."""
DOCUMENTS = 60


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    with Nursery() as made:
        yield made


@attrs.frozen
class Scene:
    """A company, whoever listens for its webhooks, and the processes that work for it."""

    simulator: Simulator
    clock: FastClock
    store: SqlStore
    nursery: Nursery
    plan: Task
    invoices: Iterator[str]

    def new_invoice(self) -> str:
        """One that is ready to be released, once."""
        number = next(self.invoices)
        self.simulator.touch("customer_invoice", number, status="Balanced", hold=False)
        return number

    async def run(self, **changes: Any) -> int:
        """A process from its start to its end."""
        return await self.nursery.start(attrs.evolve(self.plan, **changes)).finish()

    async def steps(self, notes: Path, **changes: Any) -> list[str]:
        """The steps of a process that nobody kills."""
        assert await self.run(notes=str(notes), **changes) == 0
        found: list[str] = json.loads(await anyio.Path(notes).read_text())
        return found

    async def webhooks_are_in(self, path: str = "/") -> None:
        """Wait until the server has told of all that it was given, or of all whose path has this in it."""
        jobs = self.simulator.background
        given = {job.id for job in jobs if path in job.path and job.notify != "none"}
        told: set[str] = set()
        with anyio.fail_after(HANG_SECONDS):
            while not given <= told:
                await anyio.sleep(0.01)
                told = {str(each.notice.data["id"]) for each in self.simulator.webhooks.deliveries if each.delivered}


@attrs.frozen
class Listener:
    """A process that receives webhooks and follows nothing itself."""

    store: SqlStore

    async def hint(self, *, own_id: str | None, job_ids: tuple[str, ...], at: datetime) -> None:
        await self.store.hint(own_id=own_id, job_ids=job_ids, at=at)


@asynccontextmanager
async def scene(
    database: str, nursery: Nursery, *, speed: float, lease_seconds: float, documents: int = DOCUMENTS
) -> AsyncIterator[Scene]:
    clock = FastClock(speed)
    store = SqlStore(database)
    await store.open()
    rules = {"same_request_rule": True, "client_error_rule": True}
    simulator = Simulator(rows={"customer_invoice": documents}, clock=ServerClock(clock), behaviours=rules)
    simulator.background.delay_seconds = simulator.background.run_seconds = 0.0
    token = simulator.issue_token(lifetime_seconds=1e9)
    hooks = simulator.webhooks
    receiver = WebhookReceiver(
        Listener(store), key=hooks.key, signature_header=hooks.signature_header, seen=store, clock=clock
    )
    runner = web.ServerRunner(web.Server(receiver.handle, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    hooks.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        async with simulator:
            plan = Task(
                url=simulator.base_url,
                token=token,
                database=database,
                base=clock.base,
                speed=speed,
                lease_seconds=lease_seconds,
            )
            yield Scene(simulator, clock, store, nursery, plan, iter(simulator.truth("customer_invoice").keys))
    finally:
        await runner.cleanup()
        await store.aclose()
    assert simulator.requests.by_status[429] == 0, "something was asked too often"


@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
async def test_killed_at_every_step_of_submitting_and_polling(database: str, nursery: Nursery, tmp_path: Path) -> None:
    """Each step has an invoice and a company of its own, so that all are tried at once on one database."""
    async with scene(database, nursery, speed=25, lease_seconds=LEASE_SECONDS) as on:
        on.simulator.background.script(pending_polls=1, times=0)
        steps = await on.steps(tmp_path / "steps", invoice=on.new_invoice())
        assert [name for name in steps if name != "release"] == [
            *("write_intent", "save", "submit", "save"),
            *("save", "state", "save") * 2,
            *("save", "content", "save"),
            "the end",
        ]
        ends = await each(steps, lambda step: die_and_be_replaced(on, step))
    assert {"not written", "never sent", "succeeded", "failed", "uncertain"} == set(ends)


async def die_and_be_replaced(on: Scene, step: int) -> str:
    invoice, stale = on.new_invoice(), step % 2 == 1
    task: dict[str, Any] = {"company": f"c{step}"}
    code = await on.run(**task, invoice=invoice, if_match="AAAAAAAAAAA=" if stale else "", dies_at=step)
    assert code == KILLED, "the process ended before it could be killed"
    await on.webhooks_are_in(f"/{invoice}/")
    assert await on.run(**task, ahead_seconds=LATER) == 0
    return await verdict(on, invoice, task["company"], expected=412 if stale else 200)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
async def test_killed_at_every_step_of_taking_over_a_lost_submission(
    database: str, nursery: Nursery, tmp_path: Path
) -> None:
    """The answer to the submission gets lost, and whoever learns of the job by its webhook is killed in turn."""
    async with scene(database, nursery, speed=25, lease_seconds=LEASE_SECONDS) as on:
        on.simulator.background.script(pending_polls=1, lose_answer=True, times=0)
        on.simulator.webhooks.payload = lambda notice, _: {"event": str(uuid.uuid4()), "job": notice.data["id"]}
        invoice = on.new_invoice()
        assert await on.run(invoice=invoice) == 0
        await on.webhooks_are_in(f"/{invoice}/")
        steps = await on.steps(tmp_path / "steps")
        assert [name for name in steps if name != "release"] == [
            "claimed",
            *("save", "state", "save", "drop_candidates"),  # the first id in the webhook is not that of a job
            *("save", "state", "save") * 2,
            *("save", "content", "save"),
            "the end",
        ]
        ends = await each(steps, lambda step: lose_and_be_found(on, step))
    assert set(ends) == {"succeeded"}


async def lose_and_be_found(on: Scene, step: int) -> str:
    invoice, company = on.new_invoice(), f"c{step}"
    assert await on.run(company=company, invoice=invoice) == 0
    await on.webhooks_are_in(f"/{invoice}/")
    assert await on.run(company=company, ahead_seconds=LATER, dies_at=step) == KILLED
    assert await on.run(company=company, ahead_seconds=2 * LATER) == 0
    return await verdict(on, invoice, company, expected=200)


async def each(steps: Sequence[str], die: Callable[[int], Awaitable[str]]) -> list[str]:
    """Try every step; none is left out."""
    ends: list[str] = []
    at_once = anyio.CapacityLimiter(AT_ONCE)

    async def one(step: int) -> None:
        async with at_once:
            try:
                ends.append(await die(step))
            except (AssertionError, TimeoutError) as error:
                error.add_note(f"killed before step {step}: {steps[step - 1]}")
                raise

    async with anyio.create_task_group() as tasks:
        for step in range(1, len(steps) + 1):
            tasks.start_soon(one, step)
    assert len(ends) == len(steps)
    return ends


async def verdict(on: Scene, invoice: str, company: str, *, expected: int) -> str:
    """What became of a job, after comparing what is written down with what the server did."""
    queued = [job for job in on.simulator.background if f"/{invoice}/" in job.path]
    executions = on.simulator.ledger.matching(path=f"/{invoice}/")
    assert len(queued) <= 1, "submitted twice"
    assert len(executions) == len(queued), "executed as often as submitted"
    records = await on.store.select(company=company)
    if not records:
        assert not queued, "lost: the server has it, and it is not written down"
        return "not written"
    [record] = records
    if not queued:
        assert record.state in {State.FAILED, State.UNCERTAIN}
        assert record.status_code is None
        assert (record.state is State.FAILED) == (record.sending_at is None), "unsent is failed, perhaps sent is not"
        return "never sent" if record.state is State.FAILED else "uncertain"
    assert executions[0].status == expected
    check_end(record, expected)
    assert record.job_id == queued[0].id
    kept = await on.store.result(record.id)
    assert kept is not None
    assert queued[0].response is not None
    assert kept.content == queued[0].response.body, "the result is kept as the server gave it"
    return record.state.value


def check_end(record: JobRecord, expected: int) -> None:
    state = State.SUCCEEDED if expected == 200 else State.FAILED
    assert (record.state, record.status_code, record.settled_by) == (state, expected, "server")


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
async def test_three_workers_one_killed_again_and_again(database: str, nursery: Nursery) -> None:
    randomness = random.Random(5)
    async with scene(database, nursery, speed=20, lease_seconds=60) as on:
        on.simulator.background.run_seconds = 60.0
        await note_every_end(database)
        invoices = [on.new_invoice() for _ in range(20)]
        for invoice in invoices[::2]:
            on.simulator.touch("customer_invoice", invoice, status="Hold", hold=True)
        await submit_all(on, invoices[:10])
        workers = [on.nursery.start(on.plan) for _ in range(3)]
        for more in range(10, 20, 2):
            await on.clock.sleep(10)
            await submit_all(on, invoices[more : more + 2])  # some are open at each kill, however slow the machine is
            victim = randomness.randrange(3)
            await workers[victim].kill()
            workers[victim] = on.nursery.start(on.plan)
        for worker in workers:
            assert await worker.finish() == 0
        executed = [execution.path for execution in on.simulator.ledger]
        assert len(executed) == len(set(executed)) == 20
        records = await on.store.select(company="c")
        assert len(records) == 20
        for record in records:
            number = record.operation.path.split("/")[3]
            check_end(record, 400 if number in invoices[::2] else 200)
        noted = await ends_noted(database)
        assert sorted(noted) == sorted(record.id for record in records), "each settled once"


async def submit_all(on: Scene, invoices: Sequence[str]) -> None:
    async with opened(on.plan.url, on.store, clock=on.clock, token=on.plan.token) as bench:
        await bench.manager.submit_many([bench.visma.customer_invoice.release(invoice) for invoice in invoices])


async def note_every_end(database: str) -> None:
    """The database itself notes each change into a final state, whoever writes it."""
    final, settled = "('succeeded', 'failed', 'expired')", "OLD.settled_at IS DISTINCT FROM NEW.settled_at"
    postgres = (
        f"""
        CREATE FUNCTION note_end() RETURNS trigger AS $$
        BEGIN
            IF NEW.state IN {final} THEN INSERT INTO ends VALUES (NEW.id); END IF;
            RETURN NEW;
        END $$ LANGUAGE plpgsql
        """,
        f"""
        CREATE TRIGGER note_end AFTER UPDATE OF state ON vismanet_jobs FOR EACH ROW
        WHEN ({settled}) EXECUTE FUNCTION note_end()
        """,
    )
    sqlite = (
        f"""
        CREATE TRIGGER note_end AFTER UPDATE OF state ON vismanet_jobs FOR EACH ROW
        WHEN OLD.settled_at IS NOT NEW.settled_at AND NEW.state IN {final}
        BEGIN INSERT INTO ends VALUES (NEW.id); END
        """,
    )
    statements = ("CREATE TABLE ends (id TEXT)", *(postgres if "://" in database else sqlite))
    database = database if "://" in database else f"sqlite+aiosqlite:///{database}"
    engine = create_async_engine(database)
    async with engine.begin() as connection:
        for statement in statements:
            await connection.exec_driver_sql(statement)
    await engine.dispose()


async def ends_noted(database: str) -> list[Any]:
    database = database if "://" in database else f"sqlite+aiosqlite:///{database}"
    engine = create_async_engine(database)
    async with engine.begin() as connection:
        found = (await connection.exec_driver_sql("SELECT id FROM ends")).scalars().all()
    await engine.dispose()
    return list(found)

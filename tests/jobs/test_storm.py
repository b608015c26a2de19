"""Many processes on one store, killed at random: every job that the server has is executed and settled once.

`make test` lets four of them live for a moment on SQLite; `make storm` thirty for two minutes, on PostgreSQL as well.
Some follow the jobs of all, some submit and wait, and are killed between any two steps of that too.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import anyio
import attrs
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from tests.jobs.nursery import Child, Nursery
from tests.jobs.test_crashes import Scene, check_end, ends_noted, note_every_end, scene, submit_all
from tests.support.hang import HANG_SECONDS
from vismanet_async._jobs.core.states import FINAL, OPEN, State
from vismanet_async._jobs.sql.schema import JOBS
from vismanet_async._jobs.store import StoreNotUsable

if TYPE_CHECKING:
    from collections.abc import Iterator

STORM_SECONDS: Final = float(os.environ.get("VISMANET_STORM_SECONDS") or 0)
"""How long (`make storm`); else a moment."""
PROCESSES: Final = int(os.environ.get("VISMANET_STORM_PROCESSES") or 30) if STORM_SECONDS else 4
KILLS_A_SECOND: Final = 3.0
SPEED: Final = 5.0 if STORM_SECONDS else 20.0
"""Of the clock: thirty that look for work every tenth of a second have no time for it."""
_OPEN_AT_LEAST: Final = 3 * PROCESSES
_MOMENT_KILLS: Final = 6


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as made:
        yield made


def start(on: Scene, place: int) -> Child:
    """Start a process: each third submits a job and waits for it, the others follow all jobs."""
    return on.nursery.start(on.plan if place % 3 else attrs.evolve(on.plan, invoice=on.new_invoice()))


@pytest.mark.timeout(STORM_SECONDS * 3 + 900)
@pytest.mark.parametrize("database", ["sqlite", *(["postgresql"] if STORM_SECONDS else [])], indirect=True)
async def test_killed_at_random_every_job_is_settled_once(database: str, nursery: Nursery) -> None:
    chance = random.Random(11)
    kills, ended = 0, Counter[int]()
    async with scene(database, nursery, speed=SPEED, lease_seconds=60, documents=9_000 if STORM_SECONDS else 200) as on:
        on.simulator.background.delay_seconds, on.simulator.background.run_seconds = (0.0, 20.0), (0.5, 60.0)
        on.simulator.webhooks.attempts = 8  # where the machine is busy, the store takes no hint for a while
        await note_every_end(database)
        processes = [start(on, place) for place in range(PROCESSES)]
        over = time.monotonic() + STORM_SECONDS
        async with anyio.create_task_group() as tasks:
            enough = anyio.Event()
            tasks.start_soon(keep_busy, on, enough)
            while time.monotonic() < over or kills < _MOMENT_KILLS:
                await anyio.sleep(chance.expovariate(KILLS_A_SECOND))
                for place, process in enumerate(processes):
                    if process.ended.done():  # it had nothing left to do
                        ended[process.ended.result()] += 1
                        processes[place] = start(on, place)
                victim = chance.randrange(PROCESSES)
                await processes[victim].kill()
                kills += 1
                processes[victim] = start(on, victim)
            enough.set()  # not cancelled: a submission under way would be uncertain for good
        for process in processes:
            await process.kill()
        await on.webhooks_are_in()
        await settle_the_rest(on)
        assert set(ended) <= {0}, ended
        found, takeovers = await compare(on, database), await count_takeovers(database)
    print(  # noqa: T201 - with pytest -rP
        f"{database.partition(':')[0] if '://' in database else 'sqlite'}: {PROCESSES} processes, {kills} kills, "
        f"{sum(found.values())} jobs ({dict(sorted(found.items()))}), {takeovers} takeovers, each end written once"
    )
    assert found["succeeded"] > PROCESSES


async def keep_busy(on: Scene, enough: anyio.Event) -> None:
    """Submit more whenever few are open."""
    while not enough.is_set():
        with suppress(StoreNotUsable):  # nothing was sent, or it is written down later
            if len(await on.store.select(company="c", states=OPEN, limit=_OPEN_AT_LEAST)) < _OPEN_AT_LEAST:
                await submit_all(on, [on.new_invoice() for _ in range(PROCESSES)])
        await anyio.sleep(0.2)


async def settle_the_rest(on: Scene) -> None:
    """Let processes that nobody kills follow what is left; they end when nothing is."""
    rest = [on.nursery.start(on.plan) for _ in range(3)]
    with anyio.fail_after(4 * HANG_SECONDS):
        for process in rest:
            assert await process.finish() == 0


async def compare(on: Scene, database: str) -> Counter[str]:
    """Hold what is written down against what the server did; return how the jobs ended."""
    queued = Counter(job.path for job in on.simulator.background)
    executed = Counter(execution.path for execution in on.simulator.ledger)
    assert not [path for path, count in queued.items() if count > 1], "submitted twice"
    assert queued == executed
    found: Counter[str] = Counter()
    records = await on.store.select(company="c", limit=1_000_000)
    for record in records:
        path = record.operation.path
        found[record.state.value] += 1
        if path in queued:
            check_end(record, 200)
        else:
            assert record.state in {State.FAILED, State.UNCERTAIN}, record
            never_sent = record.sending_at is None or (record.error or "").startswith("never sent")
            assert (record.state is State.FAILED) == never_sent, record
    assert queued.keys() <= {record.operation.path for record in records}, (
        "the server has it, and it is not written down"
    )
    noted = Counter(await ends_noted(database))
    assert noted == Counter(record.id for record in records if record.state in FINAL), "each settled once"
    return found


async def count_takeovers(database: str) -> int:
    """Count how often a job got another owner."""
    engine = create_async_engine(database if "://" in database else f"sqlite+aiosqlite:///{database}")
    async with engine.begin() as connection:
        count = (await connection.execute(sa.select(sa.func.sum(JOBS.c.fence - 1)))).scalar_one()
    await engine.dispose()
    return int(count)

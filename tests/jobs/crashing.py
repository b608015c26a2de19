"""What runs in processes that get killed. Every durable step and every request is a place to die at, twice."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import attrs

from tests.jobs.fast import Bench, FastClock, opened
from vismanet_async.errors import VismaNetError
from vismanet_async.jobs.model import OPEN
from vismanet_async.jobs.sql_store import SqlStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

WRITES = frozenset({"write_intent", "save", "claim", "release", "drop_candidates", "hint"})
REQUESTS = frozenset({"submit", "state", "content"})
KILLED = 9


@attrs.frozen(kw_only=True)
class Task:
    """What a process is to do, and at which step it dies (0: never)."""

    url: str
    database: str
    base: float
    speed: float
    lease_seconds: float
    company: str = "c"
    path: str = ""
    """Submit this, and wait for it; else work until nothing is open."""
    dies_at: int = 0
    count_to: str = ""
    """Write the number of steps into this file at the end."""


class Steps:
    def __init__(self, dies_at: int) -> None:
        self.dies_at, self.count = dies_at, 0

    def reach(self) -> None:
        self.count += 1
        if self.count == self.dies_at:
            os._exit(KILLED)


class Mortal:
    """Passes everything on, and dies before or after the step that was chosen."""

    def __init__(self, inner: Any, names: frozenset[str], steps: Steps) -> None:
        self._inner, self._names, self._steps = inner, names, steps

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in self._names:
            return found

        async def step(*args: Any, **options: Any) -> Any:
            self._steps.reach()
            given = await found(*args, **options)
            self._steps.reach()
            return given

        return step


@asynccontextmanager
async def mortal(task: Task) -> AsyncIterator[Bench]:
    steps = Steps(task.dies_at)
    store = SqlStore(task.database)
    clock = FastClock(task.speed, base=task.base)
    mortal_store: Any = Mortal(store, WRITES, steps)
    async with opened(
        task.url, mortal_store, clock=clock, lease_seconds=task.lease_seconds, company=task.company
    ) as bench:
        bench.manager._submitter = Mortal(bench.manager._submitter, REQUESTS, steps)
        yield bench
    await store.aclose()
    if task.count_to:
        await anyio.Path(task.count_to).write_text(str(steps.count))


def work(task: Task) -> None:
    asyncio.run(_work(task))


async def _work(task: Task) -> None:
    async with mortal(task) as bench:
        if task.path:
            try:
                job = await bench.manager.submit(bench.release(task.path), notify="subscription")
                # the webhook never comes: the process asks on its own
                await bench.manager.hint(own_id=None, job_ids=(str((await job.status()).job_id),), at=bench.now)
                await job
            except VismaNetError:
                return
            return
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bench.manager.run)
            while await bench.manager.list(states=OPEN, limit=1):
                await bench.visma.clock.sleep(2)
            tasks.cancel_scope.cancel()

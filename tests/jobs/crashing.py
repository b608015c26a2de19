"""What runs in processes that get killed. Every durable step and every request is a place to die at."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import attrs

from tests.jobs.bench import Bench, opened
from tests.jobs.fast import FastClock
from vismanet_async._jobs.core.states import OPEN, State
from vismanet_async._jobs.schedule import Rules
from vismanet_async._jobs.sql.store import SqlStore
from vismanet_async._jobs.store import StoreNotUsable
from vismanet_async.errors import VismaNetError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

WRITES = frozenset({"write_intent", "save", "claim", "release", "drop_candidates", "hint"})
REQUESTS = frozenset({"submit", "state", "content"})
KILLED = 9
RULES = Rules(with_webhook_seconds=100.0, with_webhook_cap_seconds=100.0)
"""On a busy machine a minute of the fast clock is soon over, and nobody should wait for a quarter of an hour then."""


@attrs.frozen(kw_only=True)
class Task:
    """What a process is to do, and at which step it dies (0: never)."""

    url: str
    token: str
    database: str
    base: float
    speed: float
    lease_seconds: float
    ahead_seconds: float = 0.0
    """How much later than now it runs, by its own clock."""
    company: str = "c"
    invoice: str = ""
    """Release this and wait for it; else work until nothing is left to do."""
    if_match: str = ""
    dies_at: int = 0
    notes: str = ""
    """Write the names of the steps into this file at the end."""


class Steps:
    """The places to die at: before each step, and after the last. After one is before the next."""

    def __init__(self, dies_at: int) -> None:
        self._dies_at = dies_at
        self.names: list[str] = []

    def reach(self, name: str) -> None:
        self.names.append(name)
        if len(self.names) == self._dies_at:
            os._exit(KILLED)


class Mortal:
    """Passes everything on, and dies before the step that was chosen."""

    def __init__(self, inner: Any, names: frozenset[str], steps: Steps) -> None:
        self._inner, self._names, self._steps = inner, names, steps

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in self._names:
            return found

        async def step(*args: Any, **options: Any) -> Any:
            if name != "claim":
                self._steps.reach(name)
                return await found(*args, **options)
            given = await found(*args, **options)
            if given:  # a worker looks for work all the time: only what it found changes anything
                self._steps.reach("claimed")
            return given

        return step


@asynccontextmanager
async def mortal(task: Task) -> AsyncIterator[Bench]:
    steps = Steps(task.dies_at)
    store = SqlStore(task.database)
    clock = FastClock(task.speed, base=task.base, ahead_seconds=task.ahead_seconds)
    mortal_store: Any = Mortal(store, WRITES, steps)
    border: Any = partial(Mortal, names=REQUESTS, steps=steps)
    async with opened(
        task.url,
        mortal_store,
        clock=clock,
        token=task.token,
        lease_seconds=task.lease_seconds,
        company=task.company,
        border=border,
        rules=RULES,
    ) as bench:
        yield bench
    steps.reach("the end")
    await store.aclose()
    if task.notes:
        await anyio.Path(task.notes).write_text(json.dumps(steps.names))


def work(task: Task) -> None:
    asyncio.run(_submit(task) if task.invoice else _follow(task))


async def _submit(task: Task) -> None:
    async with mortal(task) as bench:
        release = bench.visma.customer_invoice.release(task.invoice, if_match=task.if_match or None)
        with suppress(VismaNetError):  # what became of it is read from the store
            await (await bench.manager.submit(release, notify="subscription"))


async def _follow(task: Task) -> None:
    async with mortal(task) as bench, anyio.create_task_group() as tasks:
        tasks.start_soon(bench.manager.run)
        while await _unfinished(bench):
            await bench.visma.clock.sleep(2)
        tasks.cancel_scope.cancel()


async def _unfinished(bench: Bench) -> bool:
    try:
        records = await bench.manager.list(states={*OPEN, State.UNCERTAIN})
    except StoreNotUsable:  # so many processes on one store: it is asked again
        return True
    return any(record.state is not State.UNCERTAIN or record.candidates or record.hint_pending for record in records)

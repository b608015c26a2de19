"""A store and a server in memory that are disturbed at chosen calls: the caller is cancelled, or the store fails.

Each call of a submission is a place for it, before the call, while it is under way, and after it was done.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import Counter
from contextvars import ContextVar
from enum import Enum
from typing import TYPE_CHECKING, Any

import anyio
import attrs

from tests.support.hang import HANG_SECONDS
from vismanet_async._jobs.background_api import Answer
from vismanet_async._jobs.core.states import State
from vismanet_async._jobs.store import StoreNotUsable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from tests.jobs.bench import Bench
    from vismanet_async._jobs.core.records import JobRecord

CALLS = frozenset({"write_intent", "save", "claim", "release", "hint", "predecessor", "get", "result", "submit"})
"""What a submission awaits."""


class How(Enum):
    CANCELLED_BEFORE = "cancelled before"
    CANCELLED_DURING = "cancelled during"
    CANCELLED_AFTER = "cancelled after"
    FAILED_BEFORE = "failed before"
    FAILED_AFTER = "committed, and failed after"


@attrs.define
class Trouble:
    """What happens to one submission; its calls are counted."""

    at: int = 0
    """The number of the call; 0: nothing happens."""
    how: How = How.CANCELLED_BEFORE
    lasting: int = 1
    """How many calls of the store fail from there on."""
    cancel: Callable[[], Any] = lambda: None
    calls: list[str] = attrs.field(factory=list)

    async def around(self, name: str, call: Callable[[], Any]) -> Any:
        self.calls.append(name)
        number, how = len(self.calls), self.how
        here = number == self.at
        if how in {How.FAILED_BEFORE, How.FAILED_AFTER}:
            here = self.at <= number < self.at + self.lasting and self.at > 0 and name != "submit"
        if not here:
            return await call()
        if how is How.FAILED_BEFORE:
            raise StoreNotUsable("out of reach")
        if how is How.CANCELLED_BEFORE:
            self.cancel()
            await asyncio.sleep(0)
        elif how is How.CANCELLED_DURING:
            self.cancel()
        found = await call()
        if how is How.CANCELLED_AFTER:
            self.cancel()
        if how is How.FAILED_AFTER:
            raise StoreNotUsable("the answer got lost")
        return found


TROUBLE: ContextVar[Trouble | None] = ContextVar("TROUBLE", default=None)
"""That of the submission which calls; what works in the background has none."""


class Disturbed:
    """Passes everything on, through the trouble of whoever calls."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        trouble = TROUBLE.get()
        if trouble is None or name not in CALLS:
            return found

        async def call(*args: Any, **options: Any) -> Any:
            return await trouble.around(name, lambda: found(*args, **options))

        return call


@attrs.define
class Server:
    """Takes every submission, and has executed it when it is asked the first time."""

    executed: Counter[str] = attrs.field(factory=Counter)
    """How often, by path."""
    ids: dict[str, str] = attrs.field(factory=dict)
    """The ids that it gave, by path."""
    status: str = "Finished"
    """What it says of every job."""
    quota: None = None
    sender: None = None

    async def submit(self, operation: Any, *, background: str) -> Answer:
        await anyio.lowlevel.checkpoint()
        self.executed[operation.path] += 1
        self.ids[operation.path] = str(uuid.uuid4())
        await anyio.lowlevel.checkpoint()
        return Answer(status=202, body=json.dumps({"id": self.ids[operation.path]}).encode())

    async def state(self, job_id: str) -> Answer:
        if job_id not in self.ids.values():
            return Answer(status=404)
        known = {"id": job_id, "status": self.status, "statusCode": 200, "hasResponseContent": False}
        return Answer(status=200, body=json.dumps(known).encode())

    async def content(self, job_id: str) -> Answer:
        raise AssertionError(f"{job_id} has none")


async def submitted_in_trouble(bench: Bench, path: str, trouble: Trouble, **options: Any) -> BaseException | None:
    """Submit an operation and disturb it; return what it raised."""

    async def submit() -> None:
        TROUBLE.set(trouble)
        _ = await bench.manager.submit(bench.release(path), **options)

    task = asyncio.create_task(submit())
    trouble.cancel = task.cancel
    try:
        await asyncio.wait({task})
    finally:
        task.cancel()
    return asyncio.CancelledError() if task.cancelled() else task.exception()


async def at_rest(bench: Bench) -> None:
    """Wait until everything that is known is written down, and nothing is followed any more."""
    manager = bench.manager
    await until(lambda: not (len(manager._work.conclusions) or len(manager._jobs.schedule) or manager._jobs._leases))


async def until(happened: Callable[[], bool]) -> None:
    """Wait for a condition; only a hang meets the bound."""
    with anyio.fail_after(HANG_SECONDS):
        while True:
            if happened():
                return
            await anyio.sleep(0.01)


async def held_by_nobody(bench: Bench, store: Any, own_ids: Collection[str]) -> set[str]:
    """Return those that no living process holds: another one gets their leases now."""
    claimed = await store.claim(company="c", owner="another", now=bench.now, until=bench.now, ids=own_ids)
    return {leased.record.id for leased in claimed}


def check_end(record: JobRecord, server: Server, error: BaseException | None) -> str:
    """Hold what is written down against what the server did, once everything is at rest; return how it ended."""
    executed = server.executed[record.operation.path]
    assert executed <= 1, "twice"
    if record.state is State.FAILED:
        assert not executed, f"{record.error}, and the server has it"
        assert (record.error or "").startswith("never sent")
        return "never sent"
    if record.state is State.UNCERTAIN:
        assert isinstance(error, asyncio.CancelledError), f"{error!r}: only a cut connection leaves this unknown"
        return "uncertain"
    assert (record.state, executed) == (State.SUCCEEDED, 1), record
    assert record.job_id == server.ids[record.operation.path]
    return "succeeded"

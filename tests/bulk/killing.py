"""What runs in processes that get killed: one load. Each write of the journal and each request is a place to die at."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import attrs

from tests.bulk.company import COMPANY
from tests.jobs.fast import PATIENCE_SECONDS, FastClock, patient
from vismanet_async._bulk.journal import SqliteJournal
from vismanet_async._bulk.shared_journal import SharedJournal
from vismanet_async._client import VismaNet
from vismanet_async._http.auth.credentials import StaticToken
from vismanet_async._http.pipeline import Transport
from vismanet_async._jobs.sql.store import SqlStore
from vismanet_async.bulk import Row

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.synchronize import Event

    from vismanet_async._bulk.rows import RowResult

__all__ = ["LEASE_SECONDS", "Task", "work"]

LEASE_SECONDS = 3_000.0

# loaded once, before processes are forked off
_nobody = VismaNet(StaticToken("none"), base_url="http://127.0.0.1:1")
_nobody.customer.create({"name": "x"}).preview()
repr(_nobody.customer.list())


@attrs.frozen(kw_only=True)
class Task:
    """One load, and the step at which it dies (0: it does not by itself)."""

    base_url: str
    token: str
    journal: str
    keys: tuple[str, ...]
    finds: bool
    upserts: bool = False
    jobs: str = ""
    """The job store, if the rows go through the queue; `base` is the fast clock's."""
    base: float = 0.0
    ahead_seconds: float = 0.0
    """How much later than now it runs, by its own clock: leases of others have run out then."""
    dies_at: int = 0
    told_to: str = ""
    """Write the number of steps, each row's outcome and the errors into this file at the end."""


class Steps:
    """Counts, and dies at the step that was chosen."""

    def __init__(self, dies_at: int) -> None:
        self._dies_at = dies_at
        self.count = 0

    def reach(self) -> None:
        self.count += 1
        if self.count == self._dies_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner: type, name: str) -> None:
        """Take the time before and after each call of a method as steps."""
        real: Callable[..., Any] = getattr(owner, name)

        async def stepping(*arguments: Any, **options: Any) -> Any:
            self.reach()
            try:
                return await real(*arguments, **options)
            finally:
                self.reach()

        setattr(owner, name, stepping)


def work(task: Task, begun: Event) -> None:
    """Run the load; the target of a process."""
    steps = Steps(task.dies_at)
    places: list[tuple[type, str]] = [(SqliteJournal, "register"), (SqliteJournal, "write"), (Transport, "send")]
    if task.jobs:
        places += [(SqlStore, name) for name in ("write_intent", "save", "claim", "remember")]
    for owner, name in places:
        steps.around(owner, name)
    # longer than the test takes: a process that lives keeps its rows however slow the machine is
    SharedJournal.__init__.__kwdefaults__["lease_seconds"] = LEASE_SECONDS  # type: ignore[index]  # it has some
    begun.set()
    results = anyio.run(_load, task)
    if task.told_to:
        outcomes = {result.key: result.outcome for result in results}
        errors = {result.key: str(result.error) for result in results if result.error is not None}
        Path(task.told_to).write_text(json.dumps([steps.count, outcomes, errors]))


async def _load(task: Task) -> list[RowResult]:
    token = StaticToken(task.token, tenant_id=COMPANY)
    clock: dict[str, Any] = {}
    if task.jobs:
        clock = {"clock": FastClock(base=task.base), "job_store": task.jobs, "timeout_seconds": PATIENCE_SECONDS}
    if task.ahead_seconds:
        # a row that was under way is looked up once it cannot come any more, which is minutes later
        clock = {"clock": FastClock(ahead_seconds=task.ahead_seconds), "timeout_seconds": PATIENCE_SECONDS}
    async with VismaNet(token, base_url=task.base_url, concurrency=2, **clock) as visma:
        if clock:
            patient(visma)
        if task.upserts:
            bodies = [{"number": key, "override_number_series": True, "name": f"new {key}"} for key in task.keys]
            upsert = visma.bulk.upsert("customer", bodies, key="number", journal=task.journal, settle_seconds=0)
            return [result async for result in upsert]
        rows = (Row(key, visma.customer.create({"name": key})) for key in task.keys)
        run = visma.bulk.run(
            rows,
            journal=task.journal,
            find=(lambda row: visma.customer.list(name=row.key)) if task.finds else None,
            settle_seconds=0,
            via="background" if task.jobs else "request",
        )
        return [result async for result in run]

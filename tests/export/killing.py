"""What runs in processes that get killed: one export. Every change that it makes on the disk is a place to die at."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import attrs

from vismanet_async._api.registry import registry
from vismanet_async._client import VismaNet
from vismanet_async._columns.schema import columns_of
from vismanet_async._export import checkpoint, files
from vismanet_async._export.plan import ExportPlan
from vismanet_async._export.run import Export
from vismanet_async._export.sinks.parts import OpenPart
from vismanet_async._http.auth.credentials import StaticToken

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.synchronize import Event

# loaded once, before processes are forked off
registry()
for _name in ("customer", "supplier"):
    repr(VismaNet(StaticToken("none"), base_url="http://127.0.0.1:1").list_by_name(_name))
for _operation in ("Customer_GetAll", "Supplier_GetAll"):
    columns_of(_operation)

_CHANGES = frozenset({"os.mkdir", "os.remove", "os.rename", "os.rmdir"})


@attrs.frozen(kw_only=True)
class Task:
    """One export, and the step at which it dies (0: it does not by itself)."""

    base_url: str
    token: str
    company: str
    to: str
    resources: tuple[str, ...]
    options: dict[str, Any]
    dies_at: int = 0
    count_to: str = ""
    """Write the number of steps into this file at the end."""


class Steps:
    """Counts, and dies at the step that was chosen."""

    def __init__(self, dies_at: int) -> None:
        self._dies_at = dies_at
        self.count = 0

    def reach(self) -> bool:
        """Count a step; tell whether it is the last."""
        self.count += 1
        return self.count == self._dies_at

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, root: str) -> None:
        """Take every change below a directory as a step, a write as one that can come half way, a sync as two."""

        def changed(event: str, arguments: tuple[Any, ...]) -> None:
            if event in _CHANGES and str(arguments[0]).startswith(root) and self.reach():
                self.die()

        def half(write: Callable[..., None], place: int) -> Callable[..., None]:
            def step(*arguments: Any) -> None:
                if self.reach():
                    content = bytes(arguments[place])
                    write(*arguments[:place], content[: len(content) // 2])
                    self.die()
                write(*arguments)

            return step

        real_sync = os.fsync

        def sync(fd: Any) -> None:
            if self.reach():
                self.die()
            real_sync(fd)
            if self.reach():
                self.die()

        sys.addaudithook(changed)
        os.fsync = sync
        checkpoint.write_all = half(files.write_all, 1)  # type: ignore[attr-defined]  # the journal, in this process alone
        OpenPart._put = half(OpenPart._put, 1)  # type: ignore[method-assign]  # as above


def work(task: Task, begun: Event) -> None:
    """Run the export; the target of a process."""
    steps = Steps(task.dies_at)
    steps.watch(task.to)
    begun.set()
    anyio.run(_export, task)
    if task.count_to:
        Path(task.count_to).write_text(str(steps.count))


async def _export(task: Task) -> None:
    async with VismaNet(StaticToken(task.token), base_url=task.base_url, concurrency=2) as visma:
        plan = ExportPlan(resources=list(task.resources), to=task.to, **task.options)
        await Export(visma, plan, company=task.company, base_url=task.base_url)

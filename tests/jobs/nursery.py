"""Processes for the crash tests, forked from a small one that has everything imported and no threads.

A test's own process has threads and an event loop, which do not survive a fork, and a new interpreter takes longer to
import the SDK than a crash test takes to run. Lines of JSON go in (what to run, whom to kill), lines of JSON come out
(who ended, how). Only the process that forked them ever asks for their exit status, so none can get lost.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import traceback
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import anyio
import attrs

from tests.jobs.crashing import Task, work
from tests.support.hang import HANG_SECONDS

if TYPE_CHECKING:
    from types import TracebackType

ROOT = Path(__file__).parents[2]
USED_LATER = (
    "aiosqlite",
    "anyio._backends._asyncio",
    "asyncpg",
    "sqlalchemy.dialects.postgresql.asyncpg",
    "sqlalchemy.dialects.sqlite.aiosqlite",
    "vismanet_async._api.resources.customer_invoice",
)
"""What a child would import on first use, each one again."""


@attrs.frozen
class Child:
    """A process that was started; it ends on its own, or by `kill`."""

    number: int
    nursery: Nursery
    ended: Future[int]

    async def finish(self) -> int:
        """Wait for its end; the exit status, negative for a signal."""
        with anyio.fail_after(HANG_SECONDS):
            # shielded: who waits no longer does not undo the process
            return await asyncio.shield(asyncio.wrap_future(self.ended))

    async def kill(self) -> None:
        self.nursery.tell({"kill": self.number})
        await self.finish()


class Nursery:
    """Use it as a context manager; children that are left die with it."""

    def __init__(self) -> None:
        self._children: dict[int, Child] = {}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.jobs.nursery"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
        )
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(HANG_SECONDS)
        self._listener.join(HANG_SECONDS)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def start(self, task: Task) -> Child:
        child = Child(len(self._children), self, Future())
        self._children[child.number] = child
        self.tell({"start": child.number, "task": attrs.asdict(task)})
        return child

    def tell(self, order: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            number, code = json.loads(line)
            self._children[number].ended.set_result(code)


def main() -> None:
    """Fork what is asked for until there is nobody to ask."""
    for name in USED_LATER:
        importlib.import_module(name)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    running: dict[int, int] = {}
    unread = b""
    while True:
        ready = select.select([0, woken], [], [])[0]
        if woken in ready:
            os.read(woken, 4096)
            reap(running)
        if 0 not in ready:
            continue
        received = os.read(0, 65536)
        if not received:
            break
        *lines, unread = (unread + received).split(b"\n")
        for line in lines:
            obey(json.loads(line), running)
    for pid in running:
        os.kill(pid, signal.SIGKILL)
    for pid in running:
        os.waitpid(pid, 0)


def obey(order: dict[str, Any], running: dict[int, int]) -> None:
    if "kill" in order:
        # one that has ended is still ours until it is reaped: no other process can have its id
        for pid in [pid for pid, number in running.items() if number == order["kill"]]:
            os.kill(pid, signal.SIGKILL)
        return
    pid = os.fork()
    if pid == 0:
        be_born(Task(**order["task"]))
    running[pid] = order["start"]


def reap(running: dict[int, int]) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        answer = [running.pop(pid), os.waitstatus_to_exitcode(status)]
        os.write(1, json.dumps(answer).encode() + b"\n")


def be_born(task: Task) -> None:
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        work(task)
        code = 0
    except BaseException:  # noqa: BLE001 - nothing of a child may go on in its parent's code
        traceback.print_exc()
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()

"""`python -m benchmarks.stages [COMMIT]`: where the processor time of a page goes, in a commit and in the working tree.

One JSONL export of customers without latency. The functions that do a stage are wrapped by clocks of their thread; what
a stage calls that is a stage itself is not counted twice. Both sides take turns, and medians are shown: processor time
also grows when neighbours use the same caches, so only the two columns of one run compare.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks.clients import CLIENTS
from benchmarks.job import Job, Task
from benchmarks.measure import Server
from benchmarks.pinned import PINNED, ROOT, commit_of, folder_of
from vismanet_async._export.sinks import parts  # of whichever folder Python runs in

if TYPE_CHECKING:
    from collections.abc import Callable

_JOB: Final = Job(rows=100_000)
_LOOP, _WRITER, _SYNC = "event loop", "writer thread", "sync thread"
_PAGING, _EXPORT = "vismanet_async._paging", "vismanet_async._export"

STAGES: Final = (
    (_LOOP, "body from the socket into its buffer", "asyncio.selector_events:_SelectorSocketTransport",
     "_read_ready__get_buffer"),
    (_LOOP, "head of the answer, and what comes with it", "asyncio.selector_events:_SelectorSocketTransport",
     "_read_ready__data_received"),
    (_LOOP, "split into rows", f"{_PAGING}.page_formats:PageReader", "read"),
    (_LOOP, "keys, and times of the last change", f"{_PAGING}.keys:KeyReader", "read"),
    (_LOOP, "keys into the index", f"{_PAGING}.seen_keys:SeenKeys", "add"),
    (_LOOP, "what may be claimed, and what is asked next", f"{_PAGING}.paginator:Paginator", "receive_page"),
    (_LOOP, "what may be claimed, and what is asked next", f"{_PAGING}.paginator:Paginator", "next_request"),
    (_WRITER, "commas become newlines", f"{_EXPORT}.sinks.jsonl", "lines_of"),
    (_WRITER, "SHA-256", "benchmarks.stages:_Hash", "update"),
    (_WRITER, "write to the file", "benchmarks.stages:_File", "write"),
    (_WRITER, "the rest of the sink", f"{_EXPORT}.page_writer:PageWriter", "write"),
    (_SYNC, "fsync, every 4 MiB", "os", "fsync"),
)  # fmt: skip
"""Thread, stage, and the function that does it: module, class if any, name."""
_REST: Final = (_LOOP, "requests, tasks, timers, the loop itself")
_PROCESS: Final = ("process", "all of it")
_BARE: Final = ("bare aiohttp", "all of it, for comparison")


class _Hash:
    """A hash whose updates can be timed."""

    def __init__(self) -> None:
        self._inner = hashlib.sha256()
        self.copy, self.hexdigest = self._inner.copy, self._inner.hexdigest

    def update(self, content: memoryview) -> None:
        self._inner.update(content)


class _File:
    """A file whose writes can be timed."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.fileno, self.close = inner.fileno, inner.close

    def write(self, content: memoryview) -> int:
        written: int = self._inner.write(content)
        return written


class Clocks:
    """The processor time of each stage, its inner stages left out."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._open = threading.local()

    def wrap(self, owner: Any, name: str, stage: str) -> None:
        """Have the calls of a function timed by the clock of their thread."""
        inner: Callable[..., Any] = getattr(owner, name)

        def timed(*args: Any, **options: Any) -> Any:
            within = self._open.__dict__.setdefault("within", [])
            within.append(0.0)
            began = time.thread_time()
            try:
                return inner(*args, **options)
            finally:
                took = time.thread_time() - began
                self.seconds[stage] += took - within.pop()
                if within:
                    within[-1] += took

        setattr(owner, name, timed)


def _wrap_all(clocks: Clocks) -> None:
    opened = parts.OpenPart.__init__

    def with_clocks(self: Any, *args: Any, **options: Any) -> None:
        opened(self, *args, **options)
        self._digest, self._file = _Hash(), _File(self._file)

    parts.OpenPart.__init__ = with_clocks  # type: ignore[method-assign]
    for thread, stage, where, name in STAGES:
        module_name, _, class_name = where.partition(":")
        module = sys.modules["__main__"] if module_name == "benchmarks.stages" else importlib.import_module(module_name)
        clocks.wrap(getattr(module, class_name) if class_name else module, name, f"{thread}: {stage}")


def _measure(client: str, url: str) -> dict[str, float]:
    """Return the milliseconds of processor time that a page takes in each stage."""
    module, _, function = CLIENTS[client].entry.partition(":")
    run = getattr(importlib.import_module(module), function)
    clocks = Clocks()
    if client != "bytes":
        _wrap_all(clocks)

    async def on_the_loop(task: Task) -> float:
        began = time.thread_time()
        await run(task)
        return time.thread_time() - began

    def once() -> tuple[float, float]:
        clocks.seconds.clear()
        with tempfile.TemporaryDirectory() as out:
            began = time.process_time()
            loop = asyncio.run(on_the_loop(Task(job=_JOB, client=client, server=url, out=Path(out))))
            return loop, time.process_time() - began

    once()  # imports code, and its memory is new
    loop, process = once()
    if client == "bytes":
        return {": ".join(_BARE): process * 1000 / _JOB.pages}
    known = sum(seconds for stage, seconds in clocks.seconds.items() if stage.startswith(_LOOP))
    stages = {**clocks.seconds, ": ".join(_REST): loop - known, ": ".join(_PROCESS): process}
    return {stage: seconds * 1000 / _JOB.pages for stage, seconds in stages.items()}


def _in_process(client: str, url: str, folder: Path) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.stages", "--child", client, url],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def main(argv: list[str]) -> int:
    """Measure and show the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stages", description=__doc__)
    parser.add_argument("commit", nargs="?", default=PINNED, help=f"what to compare with ({PINNED})")
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="rounds (9)")
    parser.add_argument("--child", nargs=2, metavar=("CLIENT", "URL"), help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.child:
        sys.stdout.write(json.dumps(_measure(*arguments.child)))
        return 0
    before = folder_of(commit_of(arguments.commit))
    cases = {"before": ("sdk-jsonl", before), "now": ("sdk-jsonl", ROOT), "bare": ("bytes", ROOT)}
    found: dict[str, defaultdict[str, list[float]]] = {case: defaultdict(list) for case in cases}
    with Server() as server:
        server.ask(f"/prepare{_JOB.settings_path}/v1/{_JOB.resource}")
        for _ in range(arguments.rounds):
            for case, (client, folder) in cases.items():
                for stage, took in _in_process(client, server.url, folder).items():
                    found[case][stage].append(took)
    table = Table(title=f"A page of 1,000 customers, ms of processor time; load {os.getloadavg()[0]:.1f}")
    for heading in ("where", f"{commit_of(arguments.commit)}", "working tree"):
        table.add_column(heading, justify="left" if heading == "where" else "right")
    in_order = [": ".join(named[:2]) for named in (*STAGES, _REST, _PROCESS, _BARE)]
    for stage in dict.fromkeys(in_order):
        figures = [found[case][stage] or found["bare"][stage] for case in ("before", "now")]
        table.add_row(stage, *(f"{statistics.median(each):.2f}" for each in figures))
    Console(width=120).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

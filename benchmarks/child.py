"""One measurement in a process of its own: `python -m benchmarks.child TASK_JSON RESULT_FILE`.

Imports stand outside the clock, the check of what came out behind it.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.clients import CLIENTS
from benchmarks.job import Outcome, Task

if TYPE_CHECKING:
    from collections.abc import Callable

_TICK_SECONDS = 0.001
_KEY = re.compile(rb'"(?:number|referenceNumber)": ?"(\d{8})"')


def _memory_mb(name: str) -> float:
    """A `Vm...` figure of this process; VmHWM is its own peak, where ru_maxrss may be its parent's."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    raise LookupError(f"/proc/self/status has no {name}")


async def _tick(late_ms: list[float], busy_ms: list[float]) -> None:
    last, worked = time.perf_counter(), time.thread_time()
    while True:
        await asyncio.sleep(_TICK_SECONDS)
        now, works = time.perf_counter(), time.thread_time()
        late_ms.append((now - last - _TICK_SECONDS) * 1000)
        busy_ms.append((works - worked) * 1000)
        last, worked = now, works


async def _with_ticker(run: Callable[[Task], Any], task: Task) -> Outcome:
    """Run a client beside a ticker; how late the ticks came is how long the client held the loop.

    On a busy machine the ticks also wait for other programs; what the thread worked between two of them does not.
    """
    late_ms: list[float] = []
    busy_ms: list[float] = []
    ticker = asyncio.ensure_future(_tick(late_ms, busy_ms))
    outcome: Outcome = await run(task)
    ticker.cancel()
    late_ms.sort()
    busy_ms.sort()
    at = int(len(late_ms) * 0.99)
    outcome.figures.update(loop_p99_ms=late_ms[at], loop_max_ms=late_ms[-1], loop_p99_cpu_ms=busy_ms[at])
    return outcome


def _run(run: Callable[[Task], Any], task: Task) -> Outcome:
    outcome: Outcome
    if inspect.iscoroutinefunction(run):
        outcome = asyncio.run(_with_ticker(run, task) if task.job.ticker else run(task))
    else:
        outcome = run(task)
    return outcome


def _check(task: Task, outcome: Outcome) -> None:
    """Refuse a figure for work that was not done."""
    if outcome.rows != task.job.rows:
        raise ValueError(f"{task.client} read {outcome.rows} rows of {task.job.rows}")
    if outcome.jsonl:
        keys: set[bytes] = set()
        lines = 0
        for path in outcome.jsonl:
            with path.open("rb") as file:
                for line in file:
                    lines += 1
                    if (key := _KEY.search(line)) and line.endswith(b"}\n"):
                        keys.add(key[1])
        if not lines == len(keys) == task.job.rows:
            raise ValueError(f"{task.client} wrote {lines} lines with {len(keys)} keys for {task.job.rows} rows")


def main() -> None:
    """Measure and write the result."""
    task = Task.from_plain(json.loads(sys.argv[1]))
    module_name, _, function_name = CLIENTS[task.client].entry.partition(":")
    run = getattr(importlib.import_module(module_name), function_name)
    before_mb = _memory_mb("VmRSS")
    cpu, start = time.process_time(), time.perf_counter()
    outcome = _run(run, task)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    peak_mb = _memory_mb("VmHWM")
    _check(task, outcome)
    figures = {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "peak_mb": peak_mb,
        "grown_mb": peak_mb - before_mb,
        "rows_per_second": outcome.rows / seconds,
        "mb_written": sum(path.stat().st_size for path in task.out.rglob("*") if path.is_file()) / 1_000_000,
        **outcome.figures,
    }
    Path(sys.argv[2]).write_text(json.dumps(figures), encoding="utf-8")


if __name__ == "__main__":
    main()

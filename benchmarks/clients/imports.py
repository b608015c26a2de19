"""What an import costs, measured in fresh interpreters."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from benchmarks.job import Outcome

if TYPE_CHECKING:
    from benchmarks.job import Task

_PROGRAM = """
import json, time
def memory():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))
before, start = memory(), time.perf_counter()
import {names}
print(json.dumps({{"import_ms": (time.perf_counter() - start) * 1000, "import_mb": memory() - before}}))
"""


def _measure(task: Task, names: str) -> Outcome:
    program = _PROGRAM.format(names=names)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return Outcome(rows=task.job.rows, figures=json.loads(done.stdout))


def aiohttp(task: Task) -> Outcome:
    """`import aiohttp`."""
    return _measure(task, "aiohttp")


def base(task: Task) -> Outcome:
    """What the SDK stands on."""
    return _measure(task, "aiohttp, attrs, cattrs, anyio")


def sdk(task: Task) -> Outcome:
    """`import vismanet_async`, on top of the same."""
    return _measure(task, "vismanet_async")


def client(task: Task) -> Outcome:
    """`import vismanet_async._client`: what the first use of the package's lazy names loads."""
    return _measure(task, "vismanet_async._client")

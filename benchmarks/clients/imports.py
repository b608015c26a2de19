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


_FIRST_TOUCH = """
import asyncio, json, time
from vismanet_async import StaticToken, VismaNet
async def touch():
    async with VismaNet(StaticToken("none"), base_url="http://127.0.0.1:1") as visma:
        start = time.perf_counter()
        listing = visma.customer.list(status="Active")
        rows = await listing._decode_slice([b'{"number": "1"}'])
        seconds = time.perf_counter() - start
    assert rows[0].number == "1"
    return seconds
print(json.dumps({"import_ms": asyncio.run(touch()) * 1000, "import_mb": 0}))
"""


def _measure(task: Task, names: str) -> Outcome:
    return _run(task, _PROGRAM.format(names=names))


def _run(task: Task, program: str) -> Outcome:
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


def first_touch(task: Task) -> Outcome:
    """The first list of a resource and its first row, in a process that has a client and has used none before."""
    return _run(task, _FIRST_TOUCH)

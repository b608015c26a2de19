"""Rows written one by one, several in flight: bare POSTs of the same bodies, and a bulk run with its journal."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from benchmarks.clients.aiohttp_bytes import session
from benchmarks.clients.sdk import client
from benchmarks.job import Outcome
from vismanet_async.bulk import Row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.job import Task
    from vismanet_async import VismaNet

_HEADERS = {"Content-Type": "application/json", "Authorization": "Bearer benchmark"}


def _body(number: int) -> bytes:
    """What the SDK sends for the row of that number."""
    return b'{"name":{"value":"Fjord %d AS"},"corporateId":{"value":"%d"}}' % (number, number)


async def posts(task: Task) -> Outcome:
    """Bare aiohttp: workers on one counter, each answer checked and dropped."""
    numbers = iter(range(task.job.rows))
    done = 0
    async with session(task.job) as http:

        async def work() -> None:
            nonlocal done
            for number in numbers:
                async with http.post(task.list_url, data=_body(number), headers=_HEADERS) as response:
                    await response.read()
                    done += response.status == 201

        async with asyncio.TaskGroup() as workers:
            for _ in range(task.job.connections):
                workers.create_task(work())
    return Outcome(rows=done)


async def sdk(task: Task) -> Outcome:
    """`visma.bulk.run`: each row on the disk before its request leaves, and after its answer."""
    async with client(task, company="benchmark") as visma:
        summary = await visma.bulk.run(_rows(visma, task.job.rows), journal=task.out / "load.sqlite")
    return Outcome(rows=summary.done)


def _rows(visma: VismaNet, count: int) -> Iterator[Row]:
    for number in range(count):
        body = {"name": f"Fjord {number} AS", "corporate_id": str(number)}
        yield Row(str(number), visma.customer.create(body))

"""The bound: aiohttp that only reads the bytes, C workers on one page counter."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp

from benchmarks.job import Outcome

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from benchmarks.job import Job, Task


def session(job: Job) -> aiohttp.ClientSession:
    """One session with as many connections as the job may use."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=job.connections), timeout=aiohttp.ClientTimeout(total=None, sock_read=60)
    )


async def each_page(task: Task, use: Callable[[int, aiohttp.ClientResponse], Awaitable[None]]) -> None:
    """Fetch every page once, C at a time, and hand each open answer to `use`."""
    numbers: Iterator[int] = iter(range(1, task.job.pages + 1))
    async with session(task.job) as http:

        async def work() -> None:
            for number in numbers:
                params = {"pageNumber": number, "pageSize": task.job.page_rows}
                async with http.get(task.list_url, params=params, raise_for_status=True) as response:
                    await use(number, response)

        async with asyncio.TaskGroup() as workers:
            for _ in range(task.job.connections):
                workers.create_task(work())


async def read(task: Task) -> Outcome:
    """Read and drop the bodies."""
    total_bytes = 0

    async def use(_: int, response: aiohttp.ClientResponse) -> None:
        nonlocal total_bytes
        body = await response.read()
        total_bytes += len(body)

    await each_page(task, use)
    if total_bytes < task.job.rows * 2000:
        raise ValueError(f"only {total_bytes} bytes came for {task.job.rows} rows")
    return Outcome(rows=task.job.rows)

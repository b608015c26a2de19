"""The usual async sketch: httpx, a semaphore, `gather` over all pages, the list kept."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx

from benchmarks.job import Outcome

if TYPE_CHECKING:
    from benchmarks.job import Task


async def read(task: Task) -> Outcome:
    """Read all pages into one list of dicts."""
    job = task.job
    slots = asyncio.Semaphore(job.connections)
    limits = httpx.Limits(max_connections=job.connections)
    async with httpx.AsyncClient(limits=limits, timeout=60) as http:

        async def page(number: int) -> list[Any]:
            async with slots:
                response = await http.get(task.list_url, params={"pageNumber": number, "pageSize": job.page_rows})
            response.raise_for_status()
            records: list[Any] = response.json()
            return records

        pages = await asyncio.gather(*(page(number) for number in range(1, job.pages + 1)))
    records = [record for records in pages for record in records]
    return Outcome(rows=len(records))

"""The SDK itself, used as its documentation shows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import anyio

from benchmarks.job import Outcome
from vismanet_async._api.models.customer import Customer
from vismanet_async._client import VismaNet
from vismanet_async._codec.decode import decode_rows
from vismanet_async._export.events import PageWritten
from vismanet_async._export.plan import ExportPlan
from vismanet_async._export.run import Export
from vismanet_async._http.auth.credentials import StaticToken

if TYPE_CHECKING:
    from benchmarks.job import Task
    from vismanet_async._paging.guarantee import Mode

SPELLING = {"customer": "customer", "customerinvoice": "customer_invoice"}


def client(task: Task, *, company: str | None = None, adapts: bool = False) -> VismaNet:
    """Open the client; a run is only kept for a later one where the company is known."""
    credentials = StaticToken("benchmark", tenant_id=company)
    return VismaNet(credentials, base_url=task.base_url, concurrency="auto" if adapts else task.job.connections)


async def _load() -> None:
    """Load what the SDK loads on first use, since imports stand outside the clock for every client."""
    async with VismaNet(StaticToken("none"), base_url="http://127.0.0.1:1") as visma:
        for name in SPELLING.values():
            repr(visma.list_by_name(name))
    decode_rows([b"{}"], Customer)  # builds the decoder, as the peers do when they are imported


asyncio.run(_load())


async def to_jsonl(task: Task, *, adapts: bool = False, completeness: Mode = "count") -> Outcome:
    """Export the list, asking only for counts: the proof's requests are not what is compared here."""
    name = SPELLING[task.job.resource]
    plan = ExportPlan(resources=[name], to=task.out, completeness=completeness, page_size=task.job.page_rows)
    async with client(task, adapts=adapts) as visma:
        export = Export(visma, plan)
        if task.job.consumer_seconds:
            async for event in export:
                if isinstance(event, PageWritten):
                    await anyio.sleep(task.job.consumer_seconds)
        else:
            await export
    files = sorted((task.out / name).glob("*.jsonl"))
    return Outcome(rows=task.job.rows, jsonl=files)  # the check counts the lines


async def to_jsonl_auto(task: Task) -> Outcome:
    """Do the same, and find out how many requests to have in flight."""
    return await to_jsonl(task, adapts=True)


async def to_jsonl_proven(task: Task) -> Outcome:
    """Do the same, and prove it: a list that is not proven fails."""
    return await to_jsonl(task, completeness="prove")


async def typed_stream(task: Task) -> Outcome:
    """Iterate over typed records as they come."""
    rows = 0
    async with client(task) as visma:
        listing = visma.list_by_name(SPELLING[task.job.resource])
        async for _record in listing.with_options(ordered=False, page_size=task.job.page_rows):
            rows += 1
    return Outcome(rows=rows)


async def all_records(task: Task) -> Outcome:
    """Have the list as records."""
    async with client(task) as visma:
        listing = visma.list_by_name(SPELLING[task.job.resource])
        records = await listing.with_options(page_size=task.job.page_rows).all()
    return Outcome(rows=len(records))

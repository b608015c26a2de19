"""Streams of decoded customers: the usual way (each worker decodes its own page), and the best by hand."""

from __future__ import annotations

import asyncio
import gc
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import cattrs
import cattrs.preconf.orjson
import msgspec
import orjson

from benchmarks.clients.aiohttp_bytes import each_page, session
from benchmarks.job import Outcome
from benchmarks.models import Customer

if TYPE_CHECKING:
    from collections.abc import Callable

    import aiohttp

    from benchmarks.job import Task

_SLICE_ROWS = 100
_raw_records = msgspec.json.Decoder(list[msgspec.Raw]).decode
_customer = msgspec.json.Decoder(Customer).decode
_customers = msgspec.json.Decoder(list[Customer]).decode


def _cattrs_decoder() -> Callable[[bytes], list[Customer]]:
    """The fastest of cattrs' ways that gives the same types; orjson has read amounts as floats by then."""
    converter = cattrs.preconf.orjson.make_converter(detailed_validation=False)
    converter.register_structure_hook(Decimal, lambda value, _: Decimal(str(value)))
    converter.register_structure_hook(datetime, lambda value, _: datetime.fromisoformat(value))
    return lambda body: converter.structure(orjson.loads(body), list[Customer])


async def _decode_in_workers(task: Task, decode: Callable[[bytes], list[Any]]) -> Outcome:
    rows = 0

    async def use(_: int, response: aiohttp.ClientResponse) -> None:
        nonlocal rows
        records = decode(await response.read())
        for _record in records:
            rows += 1

    await each_page(task, use)
    return Outcome(rows=rows)


async def dicts(task: Task) -> Outcome:
    """Dicts, untyped."""
    return await _decode_in_workers(task, orjson.loads)


async def msgspec_attrs(task: Task) -> Outcome:
    """Attrs classes straight from JSON."""
    return await _decode_in_workers(task, _customers)


async def orjson_cattrs(task: Task) -> Outcome:
    """Dicts first, attrs classes from them."""
    return await _decode_in_workers(task, _cattrs_decoder())


async def by_slices(task: Task) -> Outcome:
    """One decode lane behind a bounded queue: slices with the garbage collector paused, the loop free between them."""
    job = task.job
    bodies: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=job.connections)
    numbers = iter(range(1, job.pages + 1))
    rows = 0

    async def fetch(http: aiohttp.ClientSession) -> None:
        for number in numbers:
            params = {"pageNumber": number, "pageSize": job.page_rows}
            async with http.get(task.list_url, params=params, raise_for_status=True) as response:
                body = await response.read()
            await bodies.put(body)

    async def fetch_all() -> None:
        async with session(job) as http, asyncio.TaskGroup() as workers:
            for _ in range(job.connections):
                workers.create_task(fetch(http))
        await bodies.put(None)

    async with asyncio.TaskGroup() as lanes:
        lanes.create_task(fetch_all())
        while (body := await bodies.get()) is not None:
            records = _raw_records(body)
            for start in range(0, len(records), _SLICE_ROWS):
                gc.disable()
                decoded = [_customer(record) for record in records[start : start + _SLICE_ROWS]]
                gc.enable()
                for _record in decoded:
                    rows += 1
                await asyncio.sleep(0)
    return Outcome(rows=rows)

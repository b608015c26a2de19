"""The best Parquet export written by hand: list[Raw] -> NDJSON -> pyarrow.json with a given schema, two threads."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa
import pyarrow.json
import pyarrow.parquet as pq

from benchmarks.clients.aiohttp_bytes import session
from benchmarks.clients.arrow_schema import CUSTOMER
from benchmarks.job import Outcome

if TYPE_CHECKING:
    import aiohttp

    from benchmarks.job import Task

_GROUP_PAGES = 4
_THREADS = 2
_raw_records = msgspec.json.Decoder(list[msgspec.Raw]).decode
_parse_options = pyarrow.json.ParseOptions(explicit_schema=CUSTOMER, unexpected_field_behavior="ignore")


def _table(bodies: list[bytes]) -> pa.Table:
    lines: list[msgspec.Raw] = []
    for body in bodies:
        lines += _raw_records(body)
    data = pa.py_buffer(b"\n".join(lines))
    options = pyarrow.json.ReadOptions(use_threads=False, block_size=max(len(data), 1))
    return pyarrow.json.read_json(pa.BufferReader(data), read_options=options, parse_options=_parse_options)


async def to_parquet(task: Task) -> Outcome:
    """Fetch with C workers, parse groups of pages in two threads, write row groups as they are ready."""
    job = task.job
    numbers = iter(range(1, job.pages + 1))
    loop = asyncio.get_running_loop()
    group: list[bytes] = []
    slots = asyncio.Semaphore(_THREADS + 1)
    rows = 0

    with (
        ThreadPoolExecutor(_THREADS) as threads,
        pq.ParquetWriter(task.out / "part-00000.parquet", CUSTOMER, compression="zstd", compression_level=1) as file,
    ):
        writing = asyncio.Lock()

        async def convert(bodies: list[bytes]) -> None:
            nonlocal rows
            try:
                table = await loop.run_in_executor(threads, _table, bodies)
                async with writing:
                    await loop.run_in_executor(threads, file.write_table, table)
                rows += table.num_rows
            finally:
                slots.release()

        async def fetch(http: aiohttp.ClientSession, converters: asyncio.TaskGroup) -> None:
            nonlocal group
            for number in numbers:
                params = {"pageNumber": number, "pageSize": job.page_rows}
                async with http.get(task.list_url, params=params, raise_for_status=True) as response:
                    body = await response.read()
                group.append(body)
                if len(group) >= _GROUP_PAGES:
                    full, group = group, []
                    await slots.acquire()
                    converters.create_task(convert(full))

        async with session(job) as http, asyncio.TaskGroup() as converters:
            async with asyncio.TaskGroup() as workers:
                for _ in range(job.connections):
                    workers.create_task(fetch(http, converters))
            if group:
                await slots.acquire()
                converters.create_task(convert(group))
    return Outcome(rows=rows)

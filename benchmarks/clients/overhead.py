"""One small request after the other: what a client costs beside the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from benchmarks.clients.aiohttp_bytes import session
from benchmarks.clients.sdk import client
from benchmarks.job import Outcome
from benchmarks.models import Customer
from benchmarks.records import FIRST_KEY

if TYPE_CHECKING:
    from benchmarks.job import Task

_customer = msgspec.json.Decoder(Customer).decode


async def bytes_only(task: Task) -> Outcome:
    """Bare aiohttp: one record a request, read and dropped."""
    async with session(task.job) as http:
        for number in range(FIRST_KEY, FIRST_KEY + task.job.rows):
            async with http.get(f"{task.list_url}/{number}", raise_for_status=True) as response:
                await response.read()
    return Outcome(rows=task.job.rows)


async def by_hand(task: Task) -> Outcome:
    """Aiohttp and msgspec: one typed record a request."""
    rows = 0
    async with session(task.job) as http:
        for number in range(FIRST_KEY, FIRST_KEY + task.job.rows):
            async with http.get(f"{task.list_url}/{number}", raise_for_status=True) as response:
                rows += _customer(await response.read()).number == str(number)
    return Outcome(rows=rows)


async def sdk(task: Task) -> Outcome:
    """`visma.customer.get`: with quota, retries, deadline, attempt log and a lossless record."""
    rows = 0
    async with client(task) as visma:
        for number in range(FIRST_KEY, FIRST_KEY + task.job.rows):
            rows += (await visma.customer.get(str(number))).number == str(number)
    return Outcome(rows=rows)

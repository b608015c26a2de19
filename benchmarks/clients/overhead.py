"""One small request after the other, and many at once: what a client costs beside the network."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

import msgspec

from benchmarks.clients.aiohttp_bytes import session
from benchmarks.clients.sdk import client
from benchmarks.job import Outcome
from benchmarks.models import Customer
from benchmarks.records import FIRST_KEY
from vismanet_async._client import VismaNet
from vismanet_async._http.auth.credentials import StaticToken
from vismanet_async._http.pool import default_user_agent

if TYPE_CHECKING:
    from benchmarks.job import Task

_ETAG: Final = "AAAAAE0YIiI="
_HEADERS: Final = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "User-Agent": default_user_agent(),
    "Authorization": "Bearer benchmark",
}
_WRITE_HEADERS: Final = {**_HEADERS, "Content-Type": "application/json; charset=utf-8", "If-Match": f'"{_ETAG}"'}
_customer = msgspec.json.Decoder(Customer).decode


def _keys(task: Task) -> range:
    return range(FIRST_KEY, FIRST_KEY + task.job.rows)


async def _load() -> None:
    """Load what the SDK loads with the first write, since imports stand outside the clock for every client."""
    async with VismaNet(StaticToken("none"), base_url="http://127.0.0.1:1") as visma:
        visma.customer.update("1", {"name": "Fjord AS"}).close()


asyncio.run(_load())


async def bytes_only(task: Task) -> Outcome:
    """Bare aiohttp: one record a request, read and dropped."""
    async with session(task.job) as http:
        for number in _keys(task):
            async with http.get(f"{task.list_url}/{number}", raise_for_status=True) as response:
                await response.read()
    return Outcome(rows=task.job.rows)


async def bare_get(task: Task) -> Outcome:
    """Bare aiohttp with the headers that the SDK sends: one record a request, as `response.json()` gives it."""
    rows = 0
    async with session(task.job) as http:
        for number in _keys(task):
            url = f"{task.list_url}/{number}"
            async with http.get(url, headers=_HEADERS, raise_for_status=True) as response:
                rows += (await response.json())["number"] == str(number)
    return Outcome(rows=rows)


async def bare_put(task: Task) -> Outcome:
    """Bare aiohttp with the headers that the SDK sends: one change a request, and its ETag."""
    rows = 0
    async with session(task.job) as http:
        for number in _keys(task):
            url = f"{task.list_url}/{number}"
            body = {"name": {"value": f"Fjord {number} AS"}, "corporateId": {"value": str(number)}}
            sent = json.dumps(body).encode()
            async with http.put(url, data=sent, headers=_WRITE_HEADERS, raise_for_status=True) as response:
                await response.read()
                rows += bool(response.headers["ETag"])
    return Outcome(rows=rows)


async def by_hand(task: Task) -> Outcome:
    """Aiohttp and msgspec: one typed record a request."""
    rows = 0
    async with session(task.job) as http:
        for number in _keys(task):
            async with http.get(f"{task.list_url}/{number}", raise_for_status=True) as response:
                rows += _customer(await response.read()).number == str(number)
    return Outcome(rows=rows)


async def sdk(task: Task) -> Outcome:
    """`visma.customer.get`: with quota, retries, deadline, attempt log and a lossless record."""
    rows = 0
    async with client(task) as visma:
        for number in _keys(task):
            rows += (await visma.customer.get(str(number))).number == str(number)
    return Outcome(rows=rows)


async def sdk_put(task: Task) -> Outcome:
    """`visma.customer.update`: a checked body, and a confirmed answer."""
    rows = 0
    async with client(task) as visma:
        for number in _keys(task):
            body = {"name": f"Fjord {number} AS", "corporate_id": str(number)}
            rows += (await visma.customer.update(str(number), body, if_match=_ETAG)).etag is not None
    return Outcome(rows=rows)


async def bare_gathered(task: Task) -> Outcome:
    """Bare aiohttp: all of them gathered, under a semaphore."""
    free = asyncio.Semaphore(task.job.connections)
    async with session(task.job) as http:

        async def get(number: int) -> dict[str, Any]:
            url = f"{task.list_url}/{number}"
            async with free, http.get(url, headers=_HEADERS, raise_for_status=True) as response:
                record: dict[str, Any] = await response.json()
                return record

        records = await asyncio.gather(*map(get, _keys(task)))
    return Outcome(rows=sum(each["number"] == str(key) for each, key in zip(records, _keys(task), strict=True)))


async def sdk_gathered(task: Task) -> Outcome:
    """All of them gathered; the client has so many in flight as it was told."""
    async with client(task) as visma:
        records = await asyncio.gather(*[visma.customer.get(str(number)) for number in _keys(task)])
    return Outcome(rows=sum(each.number == str(key) for each, key in zip(records, _keys(task), strict=True)))

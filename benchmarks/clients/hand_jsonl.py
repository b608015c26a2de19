"""The best JSONL export written by hand: the server's bytes, undecoded, one record a line.

Where a page's records end is known from msgspec (`list[Raw]`), or, faster, from the *seam*: the bytes that stand
between any two records of this list, learnt from pages that were decoded. A longer needle is found faster, and a seam
holds the total count, so one search checks it in every record. A page whose seams do not add up is decoded, and the
seam shortened to what all pages share.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from bisect import bisect_left
from itertools import islice
from operator import lt
from typing import TYPE_CHECKING

import msgspec

from benchmarks.clients.aiohttp_bytes import each_page
from benchmarks.job import Outcome

if TYPE_CHECKING:
    import aiohttp

    from benchmarks.job import Task

_records = msgspec.json.Decoder(list[msgspec.Raw]).decode
_NEWLINE = 0x0A
_COMMA = b","
_KEY = b'"number":"'


class _Seams:
    """Finds where the records of a page meet, and turns the commas there into newlines."""

    def __init__(self) -> None:
        self._seam = self._tail = self._head = b""
        self._skip = 0

    def cut(self, page: bytearray, rows: int) -> list[int]:
        """Make lines of a page in place, `[a,b]` becomes `[a\\nb\\n`; give the places of the commas."""
        places = self._find(page)
        if len(places) != rows - 1:
            places = self._learn(page)
        for place in places:
            page[place] = _NEWLINE
        page[-1] = _NEWLINE
        return places

    def _find(self, page: bytearray) -> list[int]:
        if not self._seam or b"\n" in page:
            return []
        places: list[int] = []
        find, seam, comma_at, skip = page.find, self._seam, len(self._tail), self._skip
        place = find(seam)
        while place >= 0:
            places.append(place + comma_at)
            place = find(seam, place + skip)
        return places

    def _learn(self, page: bytearray) -> list[int]:
        """Split a page by decoding it, and remember what stands around each comma."""
        records = [bytes(raw) for raw in _records(page)]
        places, end = [], 0
        for record in records[:-1]:
            end += len(record) + 1
            if page[end] != _COMMA[0] or b"\n" in record:
                raise ValueError("this page is not compact JSON; it would have to be encoded again")
            places.append(end)
        if len(records) > 1:
            # before the first lesson there is nothing to shorten
            self._head = _shared_start([*records, self._head or records[0]])
            self._tail = _shared_start([record[::-1] for record in [*records, self._tail or records[0]]])[::-1]
            self._seam = self._tail + _COMMA + self._head
            self._skip = min(map(len, records)) * 3 // 4  # a shorter record shows as a wrong count
        return places


def _shared_start(texts: list[bytes]) -> bytes:
    first, last = min(texts), max(texts)
    different = next((place for place, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), None)
    return first[:different]


async def _body(response: aiohttp.ClientResponse) -> bytearray:
    """Read a body that can be changed in place: no dearer than `read()`, and no copy after it."""
    chunks: list[bytes] = []
    while chunk := await response.content.readany():
        chunks.append(chunk)
    return bytearray().join(chunks)


def _write(file: int, data: memoryview) -> None:
    while data:
        data = data[os.write(file, data) :]


async def by_seams(task: Task) -> Outcome:
    """Cut pages along their seams and write each by one call."""
    path = task.out / "part-00000.jsonl"
    file = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    seams = _Seams()
    rows = 0

    async def use(number: int, response: aiohttp.ClientResponse) -> None:
        nonlocal rows
        page = await _body(response)
        expected = min(task.job.page_rows, task.job.rows - (number - 1) * task.job.page_rows)
        seams.cut(page, expected)
        rows += expected
        _write(file, memoryview(page)[1:])

    await each_page(task, use)
    os.close(file)
    return Outcome(rows=rows, jsonl=[path])


class _KeyRuns:
    """Shows that keys are unique for two numbers a page, where a page's keys rise and pages do not overlap."""

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []

    def add(self, keys: list[int]) -> None:
        """Add a page's keys; refuse those that would have to be compared one by one."""
        at = bisect_left(self._firsts, keys[0])
        rising = all(map(lt, keys, islice(keys, 1, None)))
        after = at == 0 or self._lasts[at - 1] < keys[0]
        before = at == len(self._firsts) or keys[-1] < self._firsts[at]
        if not (rising and after and before):
            raise ValueError(f"the keys {keys[0]} to {keys[-1]} are not a run of their own")
        self._firsts.insert(at, keys[0])
        self._lasts.insert(at, keys[-1])


def _keys(page: bytearray, places: list[int]) -> list[int]:
    find = page.find
    starts = [find(_KEY, place) + len(_KEY) for place in (0, *places)]
    return [int(page[start : find(b'"', start)]) for start in starts]


async def by_seams_checked(task: Task) -> Outcome:
    """Do besides what an export owes: show every key unique, and hash the file."""
    path = task.out / "part-00000.jsonl"
    file = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    seams, runs, digest = _Seams(), _KeyRuns(), hashlib.sha256()
    pages: asyncio.Queue[memoryview | None] = asyncio.Queue(maxsize=2)
    rows = 0

    def keep(lines: memoryview) -> None:
        digest.update(lines)
        _write(file, lines)

    async def keep_all() -> None:
        while (lines := await pages.get()) is not None:
            await asyncio.to_thread(keep, lines)

    async def use(number: int, response: aiohttp.ClientResponse) -> None:
        nonlocal rows
        page = await _body(response)
        expected = min(task.job.page_rows, task.job.rows - (number - 1) * task.job.page_rows)
        runs.add(_keys(page, seams.cut(page, expected)))
        rows += expected
        await pages.put(memoryview(page)[1:])

    async with asyncio.TaskGroup() as lanes:
        lanes.create_task(keep_all())
        await each_page(task, use)
        await pages.put(None)
    os.close(file)
    return Outcome(rows=rows, jsonl=[path])


async def by_raw(task: Task) -> Outcome:
    """Split pages with msgspec and join them with newlines."""
    path = task.out / "part-00000.jsonl"
    file = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    rows = 0

    async def use(_: int, response: aiohttp.ClientResponse) -> None:
        nonlocal rows
        records = _records(await response.read())
        rows += len(records)
        records.append(msgspec.Raw())  # so that the last line ends without another copy of the page
        _write(file, memoryview(b"\n".join(records)))

    await each_page(task, use)
    os.close(file)
    return Outcome(rows=rows, jsonl=[path])

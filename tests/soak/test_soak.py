"""A few rounds of the soak, and proof that it would notice."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from random import Random
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import pytest

from tests.soak import exports, hosts, leaks, soak as soaking, writes
from tests.soak.clocks import FastClock, ServerClock
from tests.soak.company import Company
from tests.soak.soak import Record, soak
from vismanet_async._export.target.locations import RemotePath
from vismanet_async._http import retry
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from vismanet_async._client import VismaNet

pytestmark = pytest.mark.skipif(not leaks.AVAILABLE, reason="looks into /proc for what is left behind")


def test_two_rounds_keep_every_promise() -> None:
    record = soak(12, rounds=2)
    assert not record.wrong, record.as_dict()
    assert record.rounds == 2
    assert sum(record.faults.values()) > 5
    # how often each came depends on the machine; that each came does not
    done = record.counts
    work = ("exports published", "modified", "created", "files fetched", "shared exports published")
    weather = ("changes by others", "calls in outages: jobs", "calls in outages: objects", "looks at shared exports")
    assert {name: done[name] for name in (*work, *weather) if not done[name]} == {}
    for beginning in (("jobs submitted", "submit: "), ("cancelled: ",)):  # a job, or what the weather made of it
        assert any(count for name, count in done.items() if name.startswith(beginning)), beginning


@asynccontextmanager
async def company(tmp_path: Path) -> AsyncIterator[tuple[Company, VismaNet]]:
    clock = FastClock(50)
    async with Simulator(clock=ServerClock(clock), rows={"customer": 90, "customer_invoice": 90}) as simulator:
        made = Company(1, Random(1), simulator, clock, tmp_path)
        async with made.client() as visma:
            yield made, visma


async def test_a_write_that_is_sent_twice_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = retry._RULES[retry.Fault.NO_RESPONSE]
    monkeypatch.setitem(
        retry._RULES, retry.Fault.NO_RESPONSE, attrs.evolve(rule, kinds=("read", "conditional", "write"))
    )
    async with company(tmp_path) as (made, visma):
        made.simulator.faults.add("reset_after", method="POST", path="/v1/supplier*", times=2)
        await writes.create(made, visma, "twice")
        assert any("created 2 times" in text or "created 3 times" in text for text in made.wrong), made.wrong


async def test_a_row_that_is_lost_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = exports._rows

    def without_one(*args: Any) -> Any:
        return list(real(*args))[1:]

    monkeypatch.setattr(exports, "_rows", without_one)
    async with company(tmp_path) as (made, visma):
        await exports.export(made, visma, 1)
        assert any(text.startswith("nothing lost") for text in made.wrong), made.wrong


async def test_an_export_that_is_not_whole_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = RemotePath.upload

    def cut(self: RemotePath, file: Path) -> None:
        real(self, file)
        store, path = self._store()
        store.pipe_file(path, b"x" * file.stat().st_size)

    monkeypatch.setattr(RemotePath, "upload", cut)
    async with company(tmp_path) as (made, _):
        await hosts.share(made)
        assert any(text.startswith("a whole export stands") for text in made.wrong), made.wrong


async def test_an_update_that_is_lost_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with company(tmp_path) as (made, visma):
        number = made.protected[0]

        async def blind(number: str, change: Any, **_: Any) -> None:
            now = await visma.customer.get(number)
            await asyncio.sleep(0.05)
            await visma.customer.update(number, change(now))

        monkeypatch.setattr(visma.customer, "modify", blind)
        await writes.modify(made, visma, number, tasks=5)
        assert any("grew by 1 after 5 updates" in text for text in made.wrong), made.wrong


def test_what_is_left_behind_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Any] = []

    async def careless(made: Company, visma: Any) -> None:
        del visma
        kept.extend([(tmp_path / "open").open("w"), asyncio.create_task(anyio.sleep_forever())])
        await asyncio.sleep(0)

    monkeypatch.setattr(soaking, "_work", careless)
    monkeypatch.setattr(soaking, "_LEAVING_SECONDS", 0.5)
    record = soak(1, rounds=1)
    kept[0].close()
    assert any("sleep" in text for text in record.wrong), record.wrong
    assert any("/open" in text for text in record.wrong), record.wrong


def test_memory_that_grows_is_noticed() -> None:
    flat = Record(1, held_kib=[90_000, *[100_000 + n % 7 for n in range(40)]], objects=[5_000] * 41)
    assert flat.memory_is_flat()
    assert not Record(1, held_kib=[90_000 + 2_000 * n for n in range(41)], objects=[5_000] * 41).memory_is_flat()
    assert not Record(1, held_kib=[90_000] * 41, objects=[50_000 + 1_000 * n for n in range(41)]).memory_is_flat()

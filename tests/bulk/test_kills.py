"""Loads killed at every step and at any moment, with answers that get lost: nothing twice, nothing forgotten.

Processes, disk, HTTP and SIGKILL are real; what was executed is read from the simulator's ledger.
VISMANET_KILLS says how many kills at random there are, 4 if not given.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sqlite3
import time
from collections import Counter
from contextlib import closing
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from anyio.from_thread import start_blocking_portal

from tests.bulk.company import COMPANY, executed, keys
from tests.bulk.killing import LEASE_SECONDS, Task, work
from tests.jobs.fast import FastClock, ServerClock
from tests.jobs.postgres import new_database, postgres
from tests.support.hang import HANG_SECONDS
from vismanet_async import StaticToken, VismaNet
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.process import BaseProcess
    from pathlib import Path

KILLS = int(os.environ.get("VISMANET_KILLS", "4"))
STRIDE = 1 if "VISMANET_KILLS" in os.environ else 12
"""Of the steps of the test that kills at each of them, every so many."""
PARTS = max(1, KILLS // 50)
"""Tests that the kills at any moment are shared out to: each waits more than it works, so that several run at once."""
SIGKILLED = -9

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(
    ["tests.bulk.killing", "aiosqlite", "sqlalchemy.dialects.sqlite.aiosqlite", "vismanet_async._paging.listing"]
)


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    made = Simulator(rows={"customer": 3})
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(made):
        yield made


@pytest.fixture(scope="module")
def journals() -> Iterator[str]:
    """The URL of an empty database."""
    with (
        postgres() as server,
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(new_database(server)) as url,
    ):
        yield url


def started(task: Task) -> BaseProcess:
    begun = _processes.Event()
    process = _processes.Process(target=work, args=(task, begun), daemon=True)
    process.start()
    assert begun.wait(HANG_SECONDS), "a process hangs"
    return process


def ended(process: BaseProcess) -> int:
    process.join(HANG_SECONDS)
    assert process.exitcode is not None, "a process hangs"
    return process.exitcode


def end_leases(jobs: str) -> None:
    """End the leases of a process that died: on its clock they outlast the test."""
    with closing(sqlite3.connect(jobs)) as store, store:
        store.execute("UPDATE vismanet_jobs SET lease_until = 0")


class Load:
    """One load of its own rows."""

    numbers = iter(range(0, 10**9, 1000))

    def __init__(self, simulator: Simulator, path: Path, *, rows: int, finds: bool) -> None:
        first = next(self.numbers)
        self.keys = tuple(keys(rows, first=first))
        self.simulator = simulator
        self.finds = finds
        self.unknown = 0
        self.told = path / f"told-{first}"
        self.options: dict[str, Any] = {
            "base_url": simulator.base_url,
            "token": simulator.issue_token(lifetime_seconds=1e9),
            "journal": str(path / f"load-{first}.sqlite"),
            "keys": self.keys,
        }

    def start(self, **more: Any) -> BaseProcess:
        return started(Task(**self.options, **({"finds": self.finds} | more)))

    def finish(self, *, lost_submissions: bool = False, runs: int = 2, **more: Any) -> int:
        """Run it to its end, and compare what it says with what happened; the number of steps."""
        assert ended(self.start(told_to=str(self.told), **more)) == 0
        steps, outcomes, errors = json.loads(self.told.read_text())
        times = executed(self.simulator)
        assert set(outcomes) == set(self.keys), "a row was forgotten"
        for key in self.keys:
            assert times[key] <= 1, f"{key} was executed {times[key]} times"
            if outcomes[key] != "unknown":
                assert times[key] == (outcomes[key] == "done"), f"{key} is called {outcomes[key]}"
        if runs > 1 and "not_sent" in outcomes.values():  # whose answer got lost three times is left to the next run
            return self.finish(lost_submissions=lost_submissions, runs=runs - 1, **more)
        if more.get("finds", self.finds):
            self.unknown = list(outcomes.values()).count("unknown")
            # a submission cut off on its way may wait in the queue, so that nobody can tell for a day
            assert set(outcomes.values()) <= ({"done", "unknown"} if lost_submissions else {"done"}), errors
        return int(steps)

    def finish_upsert(self) -> int:
        """The same for an upsert of rows that `_prepare` has prepared."""
        assert ended(self.start(told_to=str(self.told), upserts=True)) == 0
        steps, outcomes, errors = json.loads(self.told.read_text())
        assert set(outcomes) == set(self.keys), "a row was forgotten"
        assert set(outcomes.values()) <= {"created", "updated", "unchanged"}, errors
        written: Counter[str] = Counter()
        for each in self.simulator.ledger.matching(succeeded=True):
            body = json.loads(each.body)
            if body["name"]["value"].startswith("new "):
                written[f"{each.operation} {body['name']['value']}"] += 1
        *changed, same, created = self.keys
        for key in changed:
            assert written[f"Customer_PutBycustomerCd new {key}"] == 1
        assert written[f"Customer_PutBycustomerCd new {same}"] == 0
        assert written[f"Customer_Post new {created}"] == 1
        return int(steps)


@pytest.mark.parametrize("finds", [True, False], ids=["looks rows up", "cannot look"])
def test_killed_at_every_step(simulator: Simulator, tmp_path: Path, *, finds: bool) -> None:
    steps = Load(simulator, tmp_path, rows=4, finds=finds).finish()
    assert steps >= 20
    for step in range(1 + (not finds), steps + 1, STRIDE):
        load = Load(simulator, tmp_path, rows=4, finds=finds)
        assert ended(load.start(dies_at=step)) in {SIGKILLED, 0}  # two rows at a time: the count may differ by some
        load.finish()
        if not finds:
            load.finish(finds=True)


def test_an_upsert_killed_at_every_step_creates_nothing_twice(simulator: Simulator, tmp_path: Path) -> None:
    """Of four rows two exist with other values, one as it should be, and one not at all."""

    def load() -> Load:
        made = Load(simulator, tmp_path, rows=4, finds=False)
        simulator.faults.clear()
        with start_blocking_portal() as portal:
            portal.call(_prepare, simulator, made.keys[:3])
        return made

    first = load()
    steps = first.finish_upsert()
    assert steps >= 12
    for step in range(2, steps + 1, 1 if STRIDE == 1 else 3 * STRIDE):
        killed = load()
        assert ended(killed.start(upserts=True, dies_at=step)) in {SIGKILLED, 0}
        killed.finish_upsert()


def test_jobs_killed_at_every_step_are_followed_and_none_is_submitted_twice(tmp_path: Path) -> None:
    clock = FastClock()
    made = Simulator(rows={"customer": 3}, clock=ServerClock(clock))
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(made):
        unknown: list[int] = []
        jobs: dict[str, Any] = {"jobs": str(tmp_path / "jobs.sqlite"), "base": clock.base}
        steps = Load(made, tmp_path, rows=3, finds=True).finish(**jobs)
        assert steps >= 40
        for step in range(3, steps + 1, 1 if STRIDE == 1 else 4 * STRIDE):
            load = Load(made, tmp_path, rows=3, finds=True)
            assert ended(load.start(dies_at=step, **jobs)) in {SIGKILLED, 0}
            end_leases(jobs["jobs"])
            load.finish(lost_submissions=True, **jobs)
            unknown.append(load.unknown)
        print(f"{sum(unknown)} rows unknown in {len(unknown)} loads of {steps} steps")  # noqa: T201 - as below
        assert unknown.count(0) > len(unknown) / 2, "only what is cut off on its way cannot be told"


@pytest.mark.parametrize("finds", [True, False], ids=["looks rows up", "cannot look"])
def test_two_workers_killed_at_any_moment_write_each_row_once(
    simulator: Simulator, tmp_path: Path, journals: str, *, finds: bool
) -> None:
    chance = Random("two workers")
    kills = 0
    for number in range(max(1, KILLS // 4)):
        load = Load(simulator, tmp_path, rows=16, finds=finds)
        load.options["journal"] = f"{journals}#load {finds} {number}"
        workers = [load.start(), load.start()]
        for _ in range(2):
            time.sleep(chance.random() / 2)  # the moment of the kill; nothing is waited for
            index = chance.randrange(2)
            workers[index].kill()
            kills += ended(workers[index]) == SIGKILLED
            workers[index] = load.start()
        for worker in workers:
            worker.kill()
            kills += ended(worker) == SIGKILLED
        load.finish(ahead_seconds=LEASE_SECONDS + 1)
    print(f"{kills} kills of two workers")  # noqa: T201 - as below


async def _prepare(simulator: Simulator, existing: tuple[str, ...]) -> None:
    token = StaticToken(simulator.issue_token(lifetime_seconds=1e9), tenant_id=COMPANY)
    async with VismaNet(token, base_url=simulator.base_url) as visma:
        for key, name in zip(existing, ("old", "older", f"new {existing[-1]}"), strict=True):
            await visma.customer.create({"number": key, "override_number_series": True, "name": name})


@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_any_moment_while_answers_get_lost(simulator: Simulator, tmp_path: Path, part: int) -> None:
    chance = Random(f"bulk kills {part}")
    faults = simulator.faults
    faults.add("reset_after", method="POST", after=2, every=9)
    faults.add("reset_before", method="POST", after=4, every=11)
    faults.add("status", status=503, method="POST", after=5, every=13)
    faults.add("status", status=503, method="POST", after=6, every=17, executed=True)
    faults.add("cut_headers", method="POST", after=7, every=19)
    faults.add("status", status=429, retry_after=0, method="POST", after=8, every=50, times=2)
    try:
        Load(simulator, tmp_path, rows=1, finds=True).finish()  # it loads what the others have
        began = time.perf_counter()
        steps = Load(simulator, tmp_path, rows=12, finds=True).finish()
        seconds = time.perf_counter() - began
        kills = loads = 0
        while kills < KILLS / PARTS:
            loads += 1
            load = Load(simulator, tmp_path, rows=12, finds=True)
            for _ in range(chance.choice([1, 2, 3])):
                if chance.random() < 0.5:
                    code = ended(load.start(dies_at=chance.randint(1, steps)))
                else:
                    process = load.start()
                    time.sleep(chance.random() * seconds)  # the moment of the kill; nothing is waited for
                    process.kill()
                    code = ended(process)
                assert code in {SIGKILLED, 0}  # the last moments may be too late
                kills += code == SIGKILLED
            load.finish()
        print(f"{kills} kills in {loads} loads of {steps} steps")  # noqa: T201 - the figures, with pytest -rP
    finally:
        faults.clear()

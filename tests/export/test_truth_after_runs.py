"""Run after run of an export with deletions, while others write, the server fails and the process is killed.

After each run that is proven, what `compact` makes of the runs is the server's truth: no record is missing, none is
too many, none is stale. VISMANET_DELETION_ROWS and VISMANET_DELETION_RUNS say how large it is, VISMANET_DELETION_SEED
which.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import time
from collections import Counter
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from anyio.from_thread import start_blocking_portal

from tests.export.killing import Task, work
from tests.support.hang import HANG_SECONDS
from vismanet_async._export.compact import compact
from vismanet_async._export.deletions import Deletions
from vismanet_async._export.diff import diff
from vismanet_async._export.target.manifest import Manifest, Sweep, validate
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from anyio.from_thread import BlockingPortal

ROWS = int(os.environ.get("VISMANET_DELETION_ROWS", "300"))
RUNS = int(os.environ.get("VISMANET_DELETION_RUNS", "10"))
SEED = os.environ.get("VISMANET_DELETION_SEED", "deletions")
PAGE = 50 if ROWS < 5_000 else 1_000
NAME = "customer_sales_price"
WEEKLY = Deletions(every=timedelta(days=7))
MOST_STEPS = 120
"""Changes on the disk that one run makes, about."""
FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "status", "status": 503},
    {"kind": "status", "status": 429, "retry_after": 0},
    {"kind": "reset_before"},
    {"kind": "reset_after"},
    {"kind": "cut_body"},
    {"kind": "blank_list"},
    {"kind": "stale_list", "behind_requests": 3},
    {"kind": "repeated_page", "of_page": 1},
    {"kind": "wrong_total", "total": "-1"},
    {"kind": "wrong_total", "total": "+page"},
    {"kind": "small_pages", "page_size": 40},
)

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["tests.export.killing"])


class World:
    """The company, and others who write in it."""

    def __init__(self, simulator: Simulator, portal: BlockingPortal, chance: Random) -> None:
        self.simulator = simulator
        self.call = portal.call
        self.chance = chance
        self.gone: list[dict[str, Any]] = []
        """Records that are gone, as they were."""
        self.version = 0
        self._rows: dict[str, tuple[str, str]] | None = None

    def rows(self) -> dict[str, tuple[str, str]]:
        """What makes a version of each record: its text, which no two changes share, and its time of change."""
        if self._rows is None:
            found = self.simulator.truth(NAME).rows()
            self._rows = {str(row["recordId"]): (row["description"], row["lastModifiedDateTime"]) for row in found}
        return self._rows

    def forget(self) -> None:
        """Look at all rows anew: others wrote beside us."""
        self._rows = None

    def write(self) -> None:
        """Add, change, remove and bring back records, as many as chance says."""
        self.call(self._write)

    def _write(self) -> None:
        chance, sim = self.chance, self.simulator
        some = [0, 1, 2, 5, max(1, ROWS // 100)]
        for _ in range(chance.choice(some)):
            self.version += 1
            place = chance.choice(["start", "random", "end"])
            self._note(*sim.add(NAME, where=place, description=f"v{self.version}"))
        for key in chance.sample(sorted(self.rows()), chance.choice(some)):
            self.version += 1
            self._note(*sim.touch(NAME, key, description=f"v{self.version}"))
        for key in chance.sample(sorted(self.rows()), chance.choice(some)):
            self.gone.append(self._row(key))
            sim.remove(NAME, key)
            del self.rows()[key]
        if self.gone and chance.random() < 0.3:  # a record comes back: as it was, or changed
            back = self.gone.pop(chance.randrange(len(self.gone)))
            key = str(back["recordId"])
            sim.add(NAME, where="random", **back)
            if chance.random() < 0.5:
                sim.touch(NAME, key)
            self._note(key)

    def _note(self, *keys: str) -> None:
        for key in keys:
            row = self._row(key)
            self.rows()[key] = (row["description"], row["lastModifiedDateTime"])

    def _row(self, key: str) -> dict[str, Any]:
        table = self.simulator.company()._table(NAME)
        found = table.find((key,))
        assert found is not None
        return table.row(found)


@pytest.fixture
def world() -> Iterator[World]:
    made = Simulator(seed=11, rows={NAME: ROWS}, quota=10**9, latency=0.001)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(made):
        yield World(made, portal, Random(SEED))


def run(world: World, to: Path, *, dies_at: int = 0, dies_after_seconds: float | None = None) -> int:
    """Run an export in a process of its own; return its exit code."""
    deletions: Any = world.chance.choice([True, True, WEEKLY])
    options = {"page_size": PAGE, "part_bytes": 200_000, "incremental": True, "deletions": deletions}
    task = Task(
        base_url=world.simulator.base_url,
        token=world.simulator.issue_token(),
        company=world.simulator.tenant_id,
        to=str(to),
        resources=(NAME,),
        options=options,
        dies_at=dies_at,
    )
    begun = _processes.Event()
    process = _processes.Process(target=work, args=(task, begun), daemon=True)
    process.start()
    assert begun.wait(HANG_SECONDS), "a process hangs"
    if dies_after_seconds is not None:
        time.sleep(dies_after_seconds)  # the moment of the kill; nothing is waited for
        process.kill()
    process.join(HANG_SECONDS)
    assert process.exitcode is not None, "a process hangs"
    return process.exitcode


def one_run(world: World, to: Path, counts: Counter[str]) -> None:
    """Run until it is through, with faults and kills before that."""
    chance = world.chance
    if chance.random() < 0.5:
        fault = chance.choice(FAULTS)
        world.simulator.faults.add(**fault, after=chance.randrange(8), times=chance.randint(1, 2))
        counts["faults"] += 1
    if chance.random() < 0.3:  # others write while it reads
        writes = {"add": chance.randint(0, 1), "remove": chance.randint(0, 1), "touch": chance.randint(0, 2)}
        world.simulator.churn(NAME, every_requests=chance.randint(1, 4), where="random", **writes)
        counts["busy"] += 1
    for _ in range(chance.choice([0, 0, 1, 2])):
        if chance.random() < 0.7:
            code = run(world, to, dies_at=chance.randint(1, MOST_STEPS))
        else:
            code = run(world, to, dies_after_seconds=chance.random())
        counts["kills"] += code == -9
    code = run(world, to)
    world.simulator.faults.clear()
    for churn in world.simulator.company().churns:
        churn.stop()
    counts["failed"] += code != 0
    if code != 0:  # a list that could not be shown complete among faults: nothing was published
        assert run(world, to) == 0


def compacted(source: Path, to: Path) -> dict[str, tuple[str, str]]:
    shutil.rmtree(to, ignore_errors=True)
    manifest = compact(source, to=to)
    lines = [line for part in manifest.resources[NAME].parts for line in (to / part.file).read_bytes().splitlines()]
    rows = map(json.loads, lines)
    found = {str(row["recordId"]): (row["description"], row["lastModifiedDateTime"]) for row in rows}
    assert len(found) == len(lines), "a record is there twice"
    return found


def gone_by(root: Path, sweep: Sweep) -> set[str]:
    """Return the keys that a run says are gone."""
    lines = [] if sweep.tombstones is None else (root / sweep.tombstones).read_bytes().splitlines()
    return {str(json.loads(line)["key"]["recordId"]) for line in lines}


def test_after_each_proven_run_it_is_the_truth(world: World, tmp_path: Path) -> None:
    out, counts = tmp_path / "out", Counter[str]()
    requests: Counter[str] = Counter()
    for number in range(RUNS):
        world.write()
        busy = counts["busy"]
        one_run(world, out, counts)
        manifest = Manifest.read(out)
        entry = manifest.resources[NAME]
        last = entry.runs[-1]
        assert last.sweep is not None
        counts[f"sweeps {last.sweep.verdict}"] += 1
        counts["deleted"] += last.sweep.deleted
        counts["restored"] += last.sweep.restored
        # nobody brings a record back while a run reads
        assert not gone_by(out, last.sweep) & set(world.call(world.simulator.truth, NAME).keys)
        if last.since is None:
            requests["whole"] = last.requests
        elif last.sweep.verdict == "proven" and busy == counts["busy"]:
            requests["sweeps"] += last.sweep.requests
            requests["quiet sweeps"] += 1
        elif last.sweep.verdict == "counted":
            requests["counts"] += last.sweep.requests
        if busy != counts["busy"]:
            world.forget()
            assert run(world, out) == 0  # nobody writes any more: what was missed is seen now
            last = Manifest.read(out).resources[NAME].runs[-1]
        assert last.sweep is not None
        if last.verdict == last.sweep.verdict == "proven":
            counts["compared"] += 1
            assert compacted(out, tmp_path / "latest") == world.call(world.rows), f"run {number} of {SEED!r}"
        if world.chance.random() < 0.1:
            compact(out)
            if last.verdict == last.sweep.verdict == "proven":
                assert list(diff(out, tmp_path / "latest")) == []
            counts["compacted"] += 1
        validate(out)
    assert counts["compared"] > RUNS // 2
    print(f"{ROWS:,} rows, {RUNS:,} runs: {dict(counts)}; requests {dict(requests)}")  # noqa: T201 - the figures, with pytest -rP

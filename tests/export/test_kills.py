"""Exports killed at any moment and started again: the rows are the truth, the bytes those of an undisturbed run.

Half of the kills come at a seeded change on the disk, in the middle of a write or before or after a sync, the other
half at a seeded time. VISMANET_KILLS says how many there are, 10 if not given.
"""

from __future__ import annotations

import gzip
import multiprocessing
import os
import time
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl
import pyarrow.parquet
import pytest
import zstandard
from anyio.from_thread import start_blocking_portal

from tests.export.killing import Task, work
from tests.support.hang import HANG_SECONDS
from vismanet_async._export.target.manifest import validate
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.process import BaseProcess
    from pathlib import Path

KILLS = int(os.environ.get("VISMANET_KILLS", "10"))
FORMATS = ("jsonl", "jsonl.gz", "jsonl.zst", "csv", "parquet")
ROWS = {"customer": 420, "supplier": 160}
SIGKILLED = -9


_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["tests.export.killing", "pyarrow.parquet", "pyarrow.json", "zstandard"])


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    made = Simulator(seed=11, rows=ROWS, latency=0.003)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(made):
        yield made


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


def content(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("part-*")}


def numbers(root: Path, name: str, fmt: str) -> list[str]:
    """Read the records' numbers with what other people read such files with."""
    found: list[str] = []
    for path in sorted((root / name).glob("part-*")):
        if fmt == "parquet":
            found += pyarrow.parquet.read_table(path)["number"].to_pylist()
        elif fmt == "csv":
            found += pl.read_csv(path, infer_schema=False)["number"].to_list()
        else:
            raw = path.read_bytes()
            if fmt == "jsonl.gz":
                raw = gzip.decompress(raw)
            elif fmt == "jsonl.zst":
                raw = zstandard.ZstdDecompressor().stream_reader(raw).read()
            found += [msgspec.json.decode(line)["number"] for line in raw.splitlines()]
    return found


@pytest.mark.parametrize("fmt", FORMATS)
def test_killed_at_any_moment(simulator: Simulator, tmp_path: Path, fmt: str) -> None:
    chance = Random(f"{fmt} kills")
    truth = {name: simulator.truth(name).keys for name in ROWS}

    def task(to: Path, **more: Any) -> Task:
        options = {"format": fmt, "page_size": 50, "part_bytes": 100_000, "completeness": "prove"}
        return Task(
            base_url=simulator.base_url,
            token=simulator.issue_token(),
            company=simulator.tenant_id,
            to=str(to),
            resources=tuple(ROWS),
            options=options,
            **more,
        )

    count = tmp_path / "steps"
    began = time.perf_counter()
    assert ended(started(task(tmp_path / "whole", count_to=str(count)))) == 0
    seconds = time.perf_counter() - began
    steps = int(count.read_text())
    whole = content(tmp_path / "whole")
    assert steps > 50
    assert len(whole) > len(ROWS) or fmt != "jsonl"  # compressed, they are too small for several parts

    kills, cases = 0, 0
    while kills < -(-KILLS // len(FORMATS)):
        to = tmp_path / f"out-{cases}"
        cases += 1
        for _ in range(chance.choice([1, 1, 2, 3])):
            if chance.random() < 0.5:
                code = ended(started(task(to, dies_at=chance.randint(1, steps))))
            else:
                process = started(task(to))
                time.sleep(chance.random() * seconds)  # the moment of the kill; nothing is waited for
                process.kill()
                code = ended(process)
            assert code in {SIGKILLED, 0}  # the last moments may be too late
            kills += code == SIGKILLED
            if (to / "manifest.json").exists():
                validate(to)
        assert ended(started(task(to))) == 0
        manifest = validate(to)
        assert content(to) == whole, f"case {cases} of {fmt}"
        for name in ROWS:
            assert manifest.resources[name].verdict == "proven"
            assert numbers(to, name, fmt) == truth[name]
        assert sorted(path.name for path in to.iterdir()) == ["customer", "manifest.json", "supplier"]
    print(f"{fmt}: {kills} kills in {cases} exports of {steps} steps")  # noqa: T201 - the figures, with pytest -rP

"""What was read is kept until a run has begun that may replace it, and no longer than it is the latest."""

from __future__ import annotations

import asyncio
import errno
import io
import shutil
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.from_thread
import attrs
import pyarrow.parquet
import pytest

from tests.export.test_resume import PAGES, ROWS, export, simulator
from tests.support.begun import begun_from_now_on
from vismanet_async import errors
from vismanet_async._export import files
from vismanet_async._export.checkpoint import Checkpoint
from vismanet_async._export.target.local import Target
from vismanet_async._export.target.manifest import Manifest, validate
from vismanet_async._paging.keys import stamp_of

if TYPE_CHECKING:
    from pathlib import Path

    from vismanet_async.simulator import Simulator

__all__ = ["simulator"]  # the fixture of what stops and goes on


def kept_bytes(root: Path) -> int:
    return sum(path.stat().st_size for path in (root / ".export").rglob("*") if path.is_file())


@pytest.mark.parametrize("cancel", ["scope", "task"])
async def test_cancelled_while_it_looks_what_is_there_it_takes_nothing_away(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cancel: str
) -> None:
    """Ctrl-C while gigabytes are being hashed; by another scope, or by the task's own `cancel`."""
    await export(simulator, tmp_path, stop_after=4, completeness="count")
    kept = kept_bytes(tmp_path)
    real = Checkpoint.open
    looking, go_on = anyio.Event(), threading.Event()

    def slow(*args: Any, **options: Any) -> Checkpoint:
        anyio.from_thread.run_sync(looking.set)
        assert go_on.wait(30)
        return real(*args, **options)

    begun = begun_from_now_on(monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "open", slow)
        if cancel == "scope":
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(partial(export, simulator, tmp_path, completeness="count"))
                await looking.wait()
                tasks.cancel_scope.cancel()
                go_on.set()
        else:
            task = asyncio.ensure_future(export(simulator, tmp_path, completeness="count"))
            await looking.wait()
            task.cancel()
            asyncio.get_running_loop().call_soon(go_on.set)
            with pytest.raises(asyncio.CancelledError):
                await task
    assert not begun
    assert kept_bytes(tmp_path) == kept
    Target.open(tmp_path, ["customer"]).close(keep_work=True)  # nobody holds it
    await export(simulator, tmp_path, completeness="count")
    assert len(begun) <= PAGES - 4 + 2


@pytest.mark.parametrize("refused", ["other format", "another company", "no sign-in", "full disk", "no answer"])
async def test_a_start_that_comes_to_nothing_takes_nothing_away(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    plan: dict[str, Any] = {"completeness": "count", "incremental": True}
    await export(simulator, tmp_path, resources=["supplier"], **plan)
    await export(simulator, tmp_path, stop_after=4, **plan)
    kept = kept_bytes(tmp_path)
    another: dict[str, Any] = {**plan, "page_size": 99}  # of another plan, so that it would replace what is there
    real = files.write_atomically

    def full(path: Path, content: bytes) -> None:
        if path.name == "plan.json":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        real(path, content)

    if refused == "other format":
        another["format"] = "csv"
    elif refused == "another company":
        (tmp_path / "manifest.json").write_bytes(attrs.evolve(Manifest.read(tmp_path), company="another").to_json())
    elif refused == "full disk":
        monkeypatch.setattr("vismanet_async._export.checkpoint.write_atomically", full)
    else:
        for name in ROWS:
            status = 401 if refused == "no sign-in" else 400
            simulator.faults.add("status", status=status, path=f"/v1/{name}", times=1_000)
    with pytest.raises(errors.VismaNetError):
        await export(simulator, tmp_path, **another)
    assert kept_bytes(tmp_path) == kept
    if refused == "another company":
        return
    simulator.faults.clear()
    monkeypatch.undo()
    begun = begun_from_now_on(monkeypatch)
    await export(simulator, tmp_path, **plan)
    assert len(begun) <= 8 - 4 + 1  # the rest of eight, and a tail
    validate(tmp_path)
    assert not (tmp_path / ".export").exists()


async def test_a_run_of_another_plan_replaces_what_is_there_when_it_has_been_answered(
    simulator: Simulator, tmp_path: Path
) -> None:
    await export(simulator, tmp_path, stop_after=4, completeness="count")
    old = list((tmp_path / ".export").glob("[0-9]*"))
    await export(simulator, tmp_path, stop_after=2, completeness="count", page_size=70)
    assert not any(path.exists() for path in old)
    assert kept_bytes(tmp_path)


async def test_what_was_read_before_another_export_was_published_is_not_published_after_it(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a kill when the manifest stood and the staging area did not yet go."""
    plan: dict[str, Any] = {"format": "parquet", "completeness": "count"}
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)
        await export(simulator, tmp_path, **plan)
    assert list((tmp_path / ".export").glob("*/*/pages.jsonl"))
    (changed,) = simulator.touch("customer", count=1)
    await export(simulator, tmp_path, **plan)
    stamps = {row["number"]: stamp_of(row["lastModifiedDateTime"]) for row in simulator.truth("customer").rows()}
    table = pyarrow.parquet.read_table(tmp_path / "customer", columns=["number", "lastModifiedDateTime"])
    found = {row["number"]: stamp_of(row["lastModifiedDateTime"].isoformat()) for row in table.to_pylist()}
    assert found[changed] == stamps[changed]
    assert not (tmp_path / ".export").exists()


@pytest.mark.parametrize("moment", ["publishing", "opening"])
async def test_a_task_that_is_cancelled_lets_the_disk_be_finished_with(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """`Task.cancel` ends the waiting for a thread, not the thread: the target must not be given up under its hands."""
    reached, go_on = anyio.Event(), threading.Event()
    real_publish, real_open = Target.publish, Target.open.__func__  # type: ignore[attr-defined]  # a class method's own

    def wait() -> None:
        anyio.from_thread.run_sync(reached.set)
        assert go_on.wait(30)

    def publish(self: Target, *args: Any) -> Manifest:
        wait()
        manifest: Manifest = real_publish(self, *args)
        return manifest

    def opened(cls: type[Target], *args: Any) -> Target:
        target: Target = real_open(cls, *args)
        wait()
        return target

    monkeypatch.setattr(Target, "publish", publish)
    if moment == "opening":
        monkeypatch.setattr(Target, "open", classmethod(opened))
    task = asyncio.ensure_future(export(simulator, tmp_path, completeness="count"))
    await reached.wait()
    task.cancel()
    asyncio.get_running_loop().call_soon(go_on.set)
    with pytest.raises(asyncio.CancelledError):
        await task
    monkeypatch.undo()
    Target.open(tmp_path, ["customer"]).close()  # nobody holds it
    assert (tmp_path / "manifest.json").exists() == (moment == "publishing")
    if moment == "publishing":
        validate(tmp_path)
    assert not (tmp_path / ".export").exists()


@pytest.mark.parametrize("name", ["pages.jsonl", "answers.json"])
async def test_a_disk_without_inodes_is_one_error(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    real = io.open

    def full(file: Any, *args: Any, **options: Any) -> Any:
        if str(file).endswith(name):
            raise OSError(errno.ENOSPC, "No space left on device", str(file))
        return real(file, *args, **options)

    monkeypatch.setattr(io, "open", full)
    with pytest.raises(errors.TargetNotWritable, match=f"{name} cannot be written: No space left"):
        await export(simulator, tmp_path, completeness="count")

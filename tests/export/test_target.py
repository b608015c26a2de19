from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.export.pages import customers, page
from vismanet_async.errors import TargetBusy, TargetNotWritable
from vismanet_async.export.manifest import MANIFEST_NAME, Manifest, ResourceEntry, validate
from vismanet_async.export.sinks.jsonl import JsonlSink
from vismanet_async.export.target import Target

NOW = datetime(2026, 11, 22, 13, 30, tzinfo=UTC)


def staged(target: Target, rows: dict[str, int], *, part_bytes: int = 2_000) -> Manifest:
    """Write `rows` customers for each resource into staging and give their manifest."""
    entries = {}
    for name, count in rows.items():
        sink = JsonlSink(target.work / "1" / name, part_bytes=part_bytes)
        for first in range(0, count, 10):
            sink.write(page(customers(first, 10)))
        parts = sink.finish()
        entries[name] = ResourceEntry(
            rows=count, unique=count, verdict="counted", reason="", total_first=count, total_last=count, requests=1,
            parts=parts,
        )  # fmt: skip
    return Manifest(resources=entries, tool="test", started_at=NOW, finished_at=NOW)


def export(root: Path, rows: dict[str, int]) -> Manifest:
    target = Target.open(root, list(rows))
    manifest = staged(target, rows)
    target.publish(manifest, target.work / "1")
    target.close()
    return manifest


def files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_publishing_leaves_parts_and_manifest_and_nothing_else(tmp_path: Path) -> None:
    root = tmp_path / "a" / "b"
    manifest = export(root, {"customer": 100})
    assert files(root) == [*(part.file for part in manifest.resources["customer"].parts), MANIFEST_NAME]
    assert validate(root) == manifest


def test_a_smaller_export_removes_the_parts_it_does_not_have(tmp_path: Path) -> None:
    export(tmp_path, {"customer": 200})
    (tmp_path / "customer" / "notes.txt").write_text("mine")
    manifest = export(tmp_path, {"customer": 50})
    parts = [part.file for part in manifest.resources["customer"].parts]
    assert files(tmp_path) == sorted(["customer/notes.txt", MANIFEST_NAME, *parts])
    validate(tmp_path)


def test_closing_without_publishing_leaves_what_was_there(tmp_path: Path) -> None:
    before = export(tmp_path, {"customer": 50})
    target = Target.open(tmp_path, ["customer"])
    staged(target, {"customer": 90})
    target.close()
    assert validate(tmp_path) == before
    assert not (tmp_path / ".export").exists()


def test_directories_made_for_nothing_are_removed(tmp_path: Path) -> None:
    target = Target.open(tmp_path / "a" / "b", ["customer"])
    target.close()
    assert not (tmp_path / "a").exists()


def test_a_second_run_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    first = Target.open(tmp_path, ["customer"])
    with pytest.raises(TargetBusy, match="another run"):
        Target.open(tmp_path, ["customer"])
    first.close()
    Target.open(tmp_path, ["customer"]).close()
    assert files(tmp_path) == []


def test_the_lock_ends_with_its_process(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from vismanet_async.export.target import Target;"
        "Target.open(Path(sys.argv[1]), ['customer']); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(TargetBusy):
            Target.open(tmp_path, ["customer"])
        process.kill()
    Target.open(tmp_path, ["customer"]).close()


@pytest.mark.parametrize("place", ["file", "file/below", "customer-file", "foreign-manifest"])
def test_an_unusable_target_is_found_on_opening(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "customer-file").mkdir()
    (tmp_path / "customer-file" / "customer").write_text("in the way")
    (tmp_path / "foreign-manifest").mkdir()
    (tmp_path / "foreign-manifest" / MANIFEST_NAME).write_text('{"name": "a web app"}')
    before = files(tmp_path)
    with pytest.raises(TargetNotWritable):
        Target.open(tmp_path / place, ["customer"])
    assert files(tmp_path) == before


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a file system that refuses to be written")
def test_a_refusing_file_system_is_found_on_opening() -> None:
    with pytest.raises(TargetNotWritable, match=r"/proc/export cannot be written"):
        Target.open(Path("/proc/export"), ["customer"])


class PowerCut(BaseException):
    """The process is gone at this very moment."""


def test_killed_at_any_step_of_publishing_it_is_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stop before each change to the file system in turn; the old export stands, or the next run ends the new one."""
    steps = 0
    outcomes = set()
    for stop_at in range(100):
        root = tmp_path / str(stop_at)
        old = export(root, {"customer": 150, "supplier": 20})
        target = Target.open(root, ["customer"])
        new = staged(target, {"customer": 60})
        new = attrs.evolve(new, resources={**old.resources, **new.resources})
        steps = 0

        def step(stop_at: int = stop_at) -> None:
            nonlocal steps
            if steps == stop_at:
                raise PowerCut
            steps += 1

        def stepping(real: Any) -> Any:
            def change(*args: Any, **more: Any) -> Any:
                step()
                return real(*args, **more)

            return change

        with monkeypatch.context() as patch:
            for name in ("replace", "unlink", "mkdir"):
                patch.setattr(Path, name, stepping(getattr(Path, name)))
            try:
                target.publish(new, target.work / "1")
            except PowerCut:
                pass
            else:
                break
        target._lock.release()  # as the system does for a process that is gone
        if (root / MANIFEST_NAME).exists():  # where a manifest stands, its parts are whole, at every moment
            validate(root)
        again = Target.open(root, ["customer"])
        recovered = again.recover()
        again.close()
        outcomes.add(recovered is not None)
        assert validate(root) == (old if recovered is None else new)
        entry = Manifest.read(root).resources["customer"]
        assert files(root / "customer") == [Path(part.file).name for part in entry.parts]
    assert steps > 5
    assert outcomes == {True, False}


def test_the_probe_of_a_killed_run_is_taken_away(tmp_path: Path) -> None:
    (tmp_path / "customer").mkdir()
    for directory in (tmp_path, tmp_path / "customer"):
        (directory / ".export-probe").touch()
    export(tmp_path, {"customer": 20})
    assert files(tmp_path) == ["customer/part-00000.jsonl", MANIFEST_NAME]

"""A failure at every call to the file system while an export is published, alone and in pairs."""

from __future__ import annotations

import errno
import os
import shutil
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from tests.export.faults import MOST, Faults, contents, failing_disk, moments
from tests.export.pages import customers, page
from tests.export.test_target import NOW, export
from vismanet_async._export.files import one_below
from vismanet_async._export.sinks.jsonl import JsonlSink
from vismanet_async._export.target.directory_steps import DirectorySteps
from vismanet_async._export.target.local import Target, pending
from vismanet_async._export.target.manifest import MANIFEST_NAME, Manifest, ResourceEntry, validate
from vismanet_async._export.target.publishing import files_of
from vismanet_async.errors import TargetNotWritable

if TYPE_CHECKING:
    from pathlib import Path

PAIRS = 60


def stage(staging: Path, *, dropped: int) -> Manifest:
    """Write two lists into staging; a part of one is written anew at the end, without a row."""
    entries = {}
    for name, count in (("customer", 90), ("supplier", 20)):
        sink = JsonlSink(staging / name, part_bytes=2_000)
        for first in range(1, count, 10):
            sink.write(page(customers(first, 10)))
        parts = sink.finish(dropped=[dropped] if name == "customer" else [])
        entries[name] = ResourceEntry(
            rows=sum(part.rows for part in parts), unique=None, verdict="counted", reason="", total_first=1,
            total_last=1, requests=1, parts=parts,
        )  # fmt: skip
    return Manifest(resources=entries, tool="test", started_at=NOW, finished_at=NOW)


def run(root: Path, new: Manifest) -> Manifest | None:
    """What a run does at its ends: everything is read already."""
    target = Target.open(root, ["customer", "supplier"])
    published = None
    try:
        published = target.recover()
        if published is None and (root / ".export" / "1").is_dir():
            published = target.publish(new, root / ".export" / "1")
        return published
    finally:
        target.close(keep_work=published is None)


@pytest.mark.timeout(0 if MOST else 600)
@pytest.mark.parametrize("before", ["nothing", "an export"])
def test_a_failure_at_every_call(tmp_path: Path, before: str) -> None:
    fresh = tmp_path / "fresh"
    old = None if before == "nothing" else export(fresh, {"customer": 150, "supplier": 20})
    new = stage(fresh / ".export" / "1", dropped=3)
    (fresh / ".export" / "plan.json").touch()
    kept = {content for content in contents(fresh / ".export") if content}
    shutil.copytree(fresh, tmp_path / "counted")
    counting = Faults()
    with failing_disk(counting):
        run(tmp_path / "counted", new)
    root = tmp_path / "out"
    count = failed = 0
    for at, after in moments(counting.calls, pairs=PAIRS):
        shutil.copytree(fresh, root)
        faults, published = Faults(at=at, after=after), None
        for _ in range(len(at) + 1):
            try:
                with failing_disk(faults):
                    published = run(root, new)
            except TargetNotWritable:
                failed += 1
                standing = validate(root) if (root / MANIFEST_NAME).exists() else None
                if standing == old:  # then all that was read is still there
                    assert kept <= contents(root), (at, after)
                else:
                    assert standing is not None
                    assert same(standing, new), (at, after)
            else:
                break
        assert published is None or same(published, new)
        standing = validate(root)
        assert same(standing, new), (at, after)
        assert not pending(root / ".export")
        shutil.rmtree(root / ".export", ignore_errors=True)  # removing it can fail twice, and harms nobody
        left = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
        assert left == {*files_of(standing), MANIFEST_NAME}, (at, after)
        shutil.rmtree(root)
        count += 1
    assert failed > counting.calls  # each call fails twice alone, and few failures are without consequence
    print(f"{count:,} failures of {counting.calls} calls, alone and in pairs")  # noqa: T201 - with pytest -rP


@pytest.mark.parametrize("names", [("listdir", "scandir"), ("stat",)])
def test_what_cannot_be_looked_at_is_not_taken_for_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    """As `Path.glob` and `Path.exists` do in newer Pythons."""
    folder = tmp_path / "1"
    folder.mkdir()
    (folder / MANIFEST_NAME).touch()
    assert one_below(tmp_path, MANIFEST_NAME) == [folder / MANIFEST_NAME]
    assert one_below(tmp_path / "none", MANIFEST_NAME) == []

    def failing(*_: Any, **__: Any) -> Any:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        for name in names:
            patch.setattr(os, name, failing)
        with pytest.raises(OSError, match="Input/output"):
            one_below(tmp_path, MANIFEST_NAME)


def same(one: Manifest, other: Manifest) -> bool:
    """Whether two manifests name the same contents."""

    def hashes(manifest: Manifest) -> list[str]:
        return [part.sha256 for entry in manifest.resources.values() for part in entry.parts]

    return hashes(one) == hashes(other)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_a_disk_that_stays_full_loses_nothing_however_often_it_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    old = export(tmp_path, {"customer": 50, "supplier": 20})
    new = stage(tmp_path / ".export" / "1", dropped=3)
    (tmp_path / ".export" / "plan.json").touch()

    def full(*_: object) -> None:
        raise OSError(code, "it is full")

    with monkeypatch.context() as patch:
        patch.setattr(DirectorySteps, "_place", full)
        for _ in range(3):
            with pytest.raises(TargetNotWritable, match=r"it is full.*What stood published still stands"):
                run(tmp_path, new)
            assert validate(tmp_path) == old
    published = run(tmp_path, new)
    assert published is not None
    assert same(published, new)
    assert validate(tmp_path) == attrs.evolve(published)

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.export.pages import customers, page
from vismanet_async._export.sinks.jsonl import JsonlSink
from vismanet_async._export.target.directory_steps import DirectorySteps
from vismanet_async._export.target.local import Target, remove_work
from vismanet_async._export.target.locations import parse_location
from vismanet_async._export.target.manifest import MANIFEST_NAME, Manifest, ResourceEntry, validate
from vismanet_async.errors import TargetBusy, TargetNotWritable

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
    manifest = target.publish(staged(target, rows), target.work / "1")
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
        "import sys; from pathlib import Path; from vismanet_async._export.target.local import Target;"
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


def test_a_link_to_a_folder_on_another_disk_is_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where an administrator has moved `customer` to a larger disk: a rename does not reach it."""
    before = export(tmp_path / "out", {"customer": 50, "supplier": 20})
    moved = tmp_path / "another disk"
    (tmp_path / "out" / "customer").rename(moved)
    (tmp_path / "out" / "customer").symlink_to(moved)
    real = os.rename if sys.platform == "win32" else os.replace

    def across(source: Any, target: Any) -> None:
        if Path(target).parent.resolve() == moved and Path(source).parent.resolve() != moved:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), source, None, target)
        real(source, target)

    monkeypatch.setattr(os, "replace", across)
    after = export(tmp_path / "out", {"customer": 70, "supplier": 20})
    assert validate(tmp_path / "out") == after != before
    assert files(moved) == ["part-00000.jsonl", "part-00001.jsonl", "part-00002.jsonl"][: len(files(moved))]
    assert not (tmp_path / "out" / ".export").exists()


def test_a_strangers_files_are_neither_removed_nor_replaced(tmp_path: Path) -> None:
    theirs = {
        "customer/part-00000.jsonl": "a name as ours",
        "customer/part-00007.csv": "one more",
        "customer/overlap-00001.bin": "and one",
        "customer/.part-00000.jsonl.tmp": "and one",
        "_overlap/customer-00000.bin": "and one",
        "manifest.json.tmp": "and one",
        ".export-probe": "and one",
    }
    for name, content in theirs.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    for rows in (30, 300, 30):  # no part has a name in the way, then one of theirs and of the export before
        manifest = export(tmp_path, {"customer": rows})
        assert validate(tmp_path) == manifest
        assert {name: (tmp_path / name).read_text() for name in theirs} == theirs
        ours = {part.file for part in manifest.resources["customer"].parts}
        assert set(files(tmp_path)) == {*theirs, *ours, MANIFEST_NAME}


@pytest.mark.parametrize("name", [".export", ".export/1/customer/part-00000.jsonl", ".export.lock", MANIFEST_NAME])
@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_is_not_ours_where_our_own_files_go_is_refused(tmp_path: Path, name: str, kind: str) -> None:
    root = tmp_path / "out"
    (root / name).parent.mkdir(parents=True)
    (tmp_path / "precious").write_text("theirs")
    if kind == "file":
        (root / name).write_text("theirs")
    else:
        (root / name).symlink_to(tmp_path / "precious")
    before = files(tmp_path)
    with pytest.raises(TargetNotWritable, match=r"nothing was sent|A file with this name|cannot be written"):
        Target.open(root, ["customer"])
    assert files(tmp_path) == before
    assert (root / name).read_text() == "theirs"
    assert (tmp_path / "precious").read_text() == "theirs"


@pytest.mark.skipif(sys.platform == "win32", reason="has no pipes in directories")
def test_a_pipe_in_the_place_of_the_manifest_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / MANIFEST_NAME)
    with pytest.raises(TargetNotWritable, match="a pipe"):
        Target.open(tmp_path, ["customer"])


def test_a_run_that_another_one_has_overtaken_publishes_nothing(tmp_path: Path) -> None:
    """As on a network disk whose locks do not hold."""
    export(tmp_path, {"customer": 50})
    target = Target.open(tmp_path, ["customer"])
    new = staged(target, {"customer": 90})
    (tmp_path / ".export.lock").unlink()
    other = export_beside(tmp_path, {"customer": 20})
    with pytest.raises(TargetBusy, match="another run has published"):
        target.publish(new, target.work / "1")
    assert validate(tmp_path) == other


def export_beside(root: Path, rows: dict[str, int]) -> Manifest:
    """Publish without the staging area that another run uses."""
    (root / ".export").rename(root / "aside")
    manifest = export(root, rows)
    (root / "aside").rename(root / ".export")
    return manifest


@pytest.mark.parametrize("stands", ["another export", "nothing"])
def test_what_was_begun_upon_another_export_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stands: str
) -> None:
    export(tmp_path, {"customer": 50})
    target = Target.open(tmp_path, ["customer"])
    new = staged(target, {"customer": 90})
    real = DirectorySteps._commit

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(DirectorySteps, "_commit", dies)
    with pytest.raises(KeyboardInterrupt):
        target.publish(new, target.work / "1")
    monkeypatch.setattr(DirectorySteps, "_commit", real)
    target._lock.release()
    if stands == "nothing":
        (tmp_path / MANIFEST_NAME).unlink()
        there = None
    else:
        there = export_beside(tmp_path, {"customer": 20})
    again = Target.open(tmp_path, ["customer"])
    assert again.recover() is None
    assert again.published() == there
    again.close()
    if there is not None:
        validate(tmp_path)
        assert files(tmp_path / "customer") == [Path(part.file).name for part in there.resources["customer"].parts]


def test_files_of_a_killed_run_that_are_gone_do_not_stop_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = export(tmp_path, {"customer": 50})
    target = Target.open(tmp_path, ["customer"])
    new = staged(target, {"customer": 90})
    with monkeypatch.context() as patch:
        patch.setattr(DirectorySteps, "_place", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            target.publish(new, target.work / "1")
    target._lock.release()
    (tmp_path / ".export" / "1" / "customer" / "part-00001.jsonl").unlink()
    again = Target.open(tmp_path, ["customer"])
    assert again.recover() is None
    again.close()
    assert validate(tmp_path) == before
    assert not (tmp_path / ".export").exists()


def test_a_file_system_without_links_leaves_the_names_that_were_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    for count in (50, 90, 50):
        manifest = export(tmp_path, {"customer": count})
        assert validate(tmp_path) == manifest
        assert files(tmp_path) == sorted([MANIFEST_NAME, *(part.file for part in manifest.resources["customer"].parts)])


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="this system has no files without a name")
def test_proving_that_it_can_be_written_leaves_nothing_that_has_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "customer").mkdir()
    seen: list[list[str]] = []
    real = os.open

    def probe(path: Any, flags: int, mode: int = 0o777, **options: Any) -> int:
        descriptor = real(path, flags, mode, **options)
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            seen.append(files(tmp_path))
        return descriptor

    monkeypatch.setattr(os, "open", probe)
    Target.open(tmp_path, ["customer"]).close()
    assert seen == [[".export.lock"]] * 2
    assert files(tmp_path) == []


def test_a_target_that_leads_nowhere_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for given in ("a\0b", "out", "~nobody-Zs9/out"):
        with pytest.raises(TargetNotWritable, match="nothing was sent"):
            parse_location(given)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("survives", range(12))
def test_what_a_kill_leaves_of_a_staging_area_is_known_as_ours(
    survives: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    real, left = {name: getattr(os, name) for name in ("unlink", "rmdir")}, [survives]

    def counted(name: str) -> Any:
        def call(*args: Any, **options: Any) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            real[name](*args, **options)

        return call

    target = Target.open(tmp_path, ["customer"])
    target.mark()
    for place in ("1/plan.json", "1/customer/journal", "a.txt", "z.txt"):
        (target.work / place).parent.mkdir(parents=True, exist_ok=True)
        (target.work / place).write_bytes(b"x")
    with monkeypatch.context() as patched:
        for name in real:
            patched.setattr(os, name, counted(name))
        with contextlib.suppress(Killed):
            remove_work(target.work)
    assert target.work.exists() == (survives < 8)
    target.close(keep_work=True)
    Target.open(tmp_path, ["customer"]).close()  # refused if it is not ours


def test_what_the_probe_of_a_killed_run_has_left_is_removed_and_no_file_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "O_TMPFILE", raising=False)  # a network's file system, or another system
    probes = [folder / ".export.probe" for folder in (tmp_path, tmp_path / "customer")]
    probes[1].parent.mkdir()
    probes[0].touch()
    probes[1].write_text("somebody's")
    Target.open(tmp_path, ["customer"]).close()
    assert not probes[0].exists()
    assert probes[1].read_text() == "somebody's"

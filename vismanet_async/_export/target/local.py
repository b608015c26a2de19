"""A local directory as the target of an export: one run writes at a time, and publishes all or nothing.

::

    PATH/manifest.json                      names the parts that are published; where it stands, they are whole
    PATH/<resource>/part-00000.jsonl        published parts, and nothing else of ours
    PATH/_overlap/<resource>-00001.bin      what the next incremental run need not publish again
    PATH/_keys/<resource>-00001.jsonl.gz    keys of the records that are published, where deletions are looked for
    PATH/_deleted/<resource>-00001.jsonl    keys of the records that a run found to be gone
    PATH/.export.lock                       held while a run writes here
    PATH/.export/                           staging: nothing in it is published
        1/plan.json                         what the run is to do
        1/<resource>/part-00000.jsonl       a whole part, synced
        1/<resource>/part-00001.jsonl.tmp   the part being written
        1/manifest.json                     every part is whole: publishing has begun

`checkpoint` describes the other files of the staging area. `publishing` describes how parts leave it, and what stands
when a step fails; the next run that opens the target finishes an interrupted publication (`recover`).
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import attrs

from vismanet_async._arguments import refuse_irregular
from vismanet_async._export.files import one_below, remove_if_empty, sync_directory, writing
from vismanet_async._export.sinks import FINAL
from vismanet_async._export.target.directory_steps import DirectorySteps, overtaken, standing_in
from vismanet_async._export.target.manifest import MANIFEST_NAME, Manifest
from vismanet_async._export.target.publishing import Publication, files_of, is_below, make_publication, names_beside
from vismanet_async._file_lock import FileLock
from vismanet_async.errors import ExportError, TargetBusy, TargetNotWritable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "DELETED_NAME",
    "KEYS_NAME",
    "LOCK_NAME",
    "OVERLAP_NAME",
    "WORK_NAME",
    "Target",
    "pending",
    "remove_work",
    "staged_files",
]

WORK_NAME: Final = ".export"
LOCK_NAME: Final = ".export.lock"
_PROBE_NAME: Final = ".export.probe"
OVERLAP_NAME: Final = "_overlap"
"""Beside the resources' folders, so that those hold nothing but parts; no resource's name begins like this."""
KEYS_NAME: Final = "_keys"
DELETED_NAME: Final = "_deleted"
_NO_NAMELESS_FILES: Final = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL})
"""How file systems and old kernels say that they have none (open(2), O_TMPFILE)."""
_MARK_NAME: Final = "README.txt"
_MARK: Final = b"An export of vismanet_async keeps here what it has not published yet. Do not change anything here.\n"
_log = logging.getLogger("vismanet_async.export")


@attrs.define
class Target:
    """A local directory, locked by this run. All methods block: call them in a worker thread."""

    root: Path
    _lock: FileLock
    _made: list[Path]
    """Directories that `open` created, innermost first; removed again if nothing is published."""
    upon: str | None = None
    """Digest of the manifest that stood when the run began, and that the run's publication replaces."""

    @classmethod
    def open(cls, root: Path, resources: Sequence[str]) -> Target:
        """Return the target: the directory exists, is locked, and everything that will be written to is writable.

        Raises:
            TargetNotWritable: it cannot be written, or a foreign file has the name of one of ours.
            TargetBusy: another run holds it.
        """
        made: list[Path] = []
        try:
            with writing(root):
                _make(root, made)
                lock = _locked(root)
            target = cls(root, lock, made)
            try:
                with writing(root):
                    target._probe(resources)
            except BaseException:
                target._unlock()
                raise
        except BaseException:
            for path in made:
                remove_if_empty(path)
            raise
        return target

    @property
    def work(self) -> Path:
        """The staging area."""
        return self.root / WORK_NAME

    def published(self) -> Manifest | None:
        """Return the published manifest, or None."""
        return self._standing()[0]

    def mark(self) -> None:
        """Create the staging area, with a note in it that says what made it."""
        with writing(self.work):
            self.work.mkdir(exist_ok=True)
            mark = self.work / _MARK_NAME
            if not mark.exists() or mark.read_bytes() != _MARK:
                mark.write_bytes(_MARK)

    def recover(self) -> Manifest | None:
        """Finish a publication that an earlier run did not complete, and return its manifest; None if there was none.

        `publishing.steps_of` decides by the manifest that stands here. If that is not the one which the publication
        replaces, or if staged files are missing, the publication is discarded and None returned.

        Raises:
            TargetNotWritable: it cannot be finished now; nothing that it needs was removed.
        """
        finished = None
        with writing(self.root):
            for staging, publication in pending(self.work):
                steps = DirectorySteps(self.root, publication, staging)
                reason = steps.hindrance()
                if reason is None:
                    finished = steps.carry_out()
                else:
                    _log.warning("%s: a publishing that was cut off is given up: %s", self.root, reason)
                    steps.give_up()
        if finished is not None:
            remove_work(self.work)  # the rest is based on the manifest before
        self.upon = self._standing()[1]
        return finished

    def publish(self, manifest: Manifest, staging: Path) -> Manifest:
        """Publish the parts in `staging` that a manifest names, and return the manifest as published.

        At every moment a manifest stands whose parts are whole: the earlier or the new one.

        Raises:
            TargetNotWritable: a step failed; the error says what stands, and the next `recover` continues.
            TargetBusy: another run has published since this one began.
        """
        with writing(self.root):
            before, standing = self._standing()
            if standing != self.upon:
                raise overtaken(self.root)
            staged = staged_files(manifest, staging)
            for directory in {(staging / file).parent for file in staged.values()}:
                sync_directory(directory)
            taken = self._taken(staged)
            publication = make_publication(
                manifest,
                run=uuid4().hex[:8],
                upon=standing,
                before=before,
                staged=staged,
                names=names_beside(staged, taken),
                taken=taken,
            )
            published = DirectorySteps(self.root, publication, staging).carry_out()
        remove_work(self.work)  # the rest is based on the manifest before
        return published

    def close(self, *, keep_work: bool = False) -> None:
        """Release the lock. Without `keep_work` the staging area is removed, unless a publication is incomplete.

        Raises:
            TargetNotWritable: the lock cannot be removed.
        """
        try:
            with writing(self.work):
                if not (keep_work and self._has_work()) and not pending(self.work):
                    remove_work(self.work)
        finally:
            self._unlock()
            for path in self._made:
                remove_if_empty(path)

    def _has_work(self) -> bool:
        return self.work.is_dir() and any(path.name != _MARK_NAME for path in self.work.iterdir())

    def _standing(self) -> tuple[Manifest | None, str | None]:
        return standing_in(self.root)

    def _taken(self, staged: Iterable[str]) -> set[str]:
        folders = {PurePosixPath(file).parent for file in staged}
        return {
            str(folder / path.name)
            for folder in folders
            if (self.root / folder).is_dir()
            for path in (self.root / folder).iterdir()
        }

    def _probe(self, resources: Sequence[str]) -> None:
        refuse_irregular(self.root / MANIFEST_NAME)
        try:
            self.upon = self._standing()[1]
        except ExportError as error:
            raise TargetNotWritable(
                f"{self.root / MANIFEST_NAME} was not written by an export and would be replaced; nothing was sent. "
                f"Choose another directory. ({error})"
            ) from error
        if os.path.lexists(self.work) and not _is_ours(self.work):
            raise TargetNotWritable(
                f"{self.work} was not made by an export and would be replaced; nothing was sent. Choose another "
                "directory, or move it away."
            )
        _prove_writable(self.root)
        for name in (*resources, OVERLAP_NAME, KEYS_NAME, DELETED_NAME):
            directory = self.root / name
            if os.path.lexists(directory):
                _prove_writable(directory)

    def _unlock(self) -> None:
        with writing(self.root):
            self._lock.release()


def pending(work: Path) -> list[tuple[Path, Publication]]:
    """Return the publications that are incomplete, each with its staging directory."""
    found = []
    for path in one_below(work, MANIFEST_NAME):
        publication = Publication.from_json(path.read_bytes())
        if publication is not None:  # an unreadable one is removed with the rest of the staging area
            found.append((path.parent, publication))
    return found


def staged_files(manifest: Manifest, staging: Path) -> dict[str, str]:
    """Return the path in staging of each new file, by its name; a file rewritten in `final/` wins."""
    found = {}
    for file in sorted(files_of(manifest)):
        path = PurePosixPath(file)
        for staged in (path.parent / FINAL / path.name, path):
            if is_below(file) and (staging / staged).is_file():
                found[file] = str(staged)
                break
    return found


def remove_work(work: Path) -> None:
    """Remove a staging area, its mark last: what a kill leaves of it is still known as an export's."""
    with contextlib.suppress(OSError):  # what cannot be removed stays, and its mark with it
        for path in work.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != _MARK_NAME:
                path.unlink()
        shutil.rmtree(work)


def _is_ours(work: Path) -> bool:
    """Whether a staging area was made by an export, of this version or an earlier one."""
    if not work.is_dir():
        return False
    known = (work / "plan.json", work / "dask" / "plan.json")  # of versions that left no mark
    files = [Path(folder, name) for folder, _, names in os.walk(work, onerror=_raise) for name in names]
    mark = work / _MARK_NAME
    content = mark.read_bytes() if mark in files else b""
    if content == _MARK or (files == [mark] and _MARK.startswith(content)):
        return True
    return not files or any(path in files for path in known) or bool(pending(work))


def _raise(error: OSError) -> None:
    raise error


def _locked(root: Path) -> FileLock:
    lock = FileLock(root / LOCK_NAME)
    if not lock.acquire():
        raise TargetBusy(
            f"another run is writing to {root}; nothing was sent. Wait until it has ended, or choose another directory."
        )
    return lock


def _make(path: Path, made: list[Path]) -> None:
    if path.is_dir():
        return
    if path.parent != path:
        _make(path.parent, made)
    path.mkdir(exist_ok=True)
    made.insert(0, path)


def _prove_writable(directory: Path) -> None:
    """Make a file and remove it: without a name where the system can do that, so that a killed run leaves nothing.

    Else the next run removes it by its name: `tempfile` would make up another one each time.
    """
    try:
        if _makes_nameless_files(directory):
            return
        probe = directory / _PROBE_NAME
        probe.touch()
        if not probe.stat().st_size:  # ours are empty
            probe.unlink()
    except OSError as error:
        error.filename = str(directory)  # the probe's name would mean nothing to the reader
        raise


def _makes_nameless_files(directory: Path) -> bool:
    if not hasattr(os, "O_TMPFILE"):
        return False
    try:
        os.close(os.open(directory, os.O_TMPFILE | os.O_WRONLY))
    except OSError as error:
        if error.errno in _NO_NAMELESS_FILES:
            return False
        raise
    return True

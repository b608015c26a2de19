"""The directory that an export writes to: one run at a time, and whole or not at all.

::

    PATH/manifest.json                      published last; where it stands, its parts are whole
    PATH/<resource>/part-00000.jsonl        published parts
    PATH/<resource>/overlap-00001.bin       what the next incremental run need not publish again
    PATH/.export.lock                       held while a run writes here
    PATH/.export/                           staging: nothing in it is published
        1/<resource>/part-00000.jsonl       a whole part, synced
        1/<resource>/part-00001.jsonl.tmp   the part being written
        1/manifest.json                     every part is whole: publishing has begun

The rest of what lies in staging is `checkpoint`'s. Publishing moves the parts out of staging and the manifest after
them. Once the staged manifest stands, only renames are left to do, and whoever opens the target next finishes them
(`recover`).
"""

from __future__ import annotations

import contextlib
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from vismanet_async.errors import ExportError, TargetBusy, TargetNotWritable
from vismanet_async.export.files import remove_if_empty, sync_directory, write_atomically, writing
from vismanet_async.export.lock import FileLock
from vismanet_async.export.manifest import MANIFEST_NAME, Manifest
from vismanet_async.export.sinks import FINAL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vismanet_async.export.manifest import ResourceEntry

__all__ = ["LOCK_NAME", "WORK_NAME", "Target"]

WORK_NAME = ".export"
LOCK_NAME = ".export.lock"
_PROBE = ".export-probe"
"""One name, which the lock keeps for one run: what a killed run leaves of it, the next one takes away."""
_OURS = re.compile(r"(part|overlap)-\d{5,}\.[a-z]+(\.[a-z]+)?")


@attrs.define
class Target:
    """A local directory that this run alone writes to. All methods block: call them in a worker thread."""

    root: Path
    _lock: FileLock
    _made: list[Path]
    """Directories that opening made, innermost first; removed again if nothing gets published."""

    @classmethod
    def open(cls, root: Path, resources: Sequence[str]) -> Target:
        """Make the directory if need be, take its lock and prove that all that will be written there can be.

        Raises:
            TargetNotWritable: it cannot be written, or a file not ours stands where the manifest would go.
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
                lock.release()
                raise
        except BaseException:
            for path in made:
                remove_if_empty(path)
            raise
        return target

    @property
    def work(self) -> Path:
        """Where everything lies that is not published."""
        return self.root / WORK_NAME

    def published(self) -> Manifest | None:
        """Give the manifest that stands published here, if any."""
        return Manifest.read(self.root) if (self.root / MANIFEST_NAME).exists() else None

    def recover(self) -> Manifest | None:
        """Finish the publishing that an earlier run began and did not end; None when there is none."""
        staged = next(self.work.glob(f"*/{MANIFEST_NAME}"), None)
        if staged is None:
            return None
        manifest = Manifest.read(staged.parent)
        with writing(self.root):
            self._move(manifest, staged.parent)
            shutil.rmtree(self.work)
        return manifest

    def publish(self, manifest: Manifest, staging: Path) -> Manifest:
        """Put the parts in `staging` in place and the manifest last; give it.

        Killed before the staged manifest stands, what was published before is untouched. Killed after, the
        next `recover` finishes it; until then no manifest stands, so nothing half-published looks whole. Where all
        that stood published stays as it is, the old manifest stands until the new one takes its place.
        """
        with writing(self.root):
            self.complete(staging)
            write_atomically(staging / MANIFEST_NAME, manifest.to_json())
            self._move(manifest, staging)
        return manifest

    @staticmethod
    def complete(staging: Path) -> None:
        """Let the parts that were written anew take their places in staging."""
        for final in staging.glob(f"*/{FINAL}/*"):
            final.replace(final.parent.parent / final.name)
        for directory in staging.iterdir():
            sync_directory(directory)

    def close(self, *, keep_work: bool = False) -> None:
        """Give the target up; without `keep_work` nothing but what is published stays behind."""
        try:
            if not keep_work:
                shutil.rmtree(self.work, ignore_errors=True)
        finally:
            self._lock.release()
            for path in self._made:
                remove_if_empty(path)

    def _probe(self, resources: Sequence[str]) -> None:
        manifest = self.root / MANIFEST_NAME
        if manifest.exists():
            try:
                Manifest.read(self.root)
            except ExportError as error:
                raise TargetNotWritable(
                    f"{manifest} was not written by an export and would be replaced; nothing was sent. "
                    f"Choose another directory. ({error})"
                ) from error
        _prove_writable(self.root)
        for name in resources:
            directory = self.root / name
            if directory.exists() or directory.is_symlink():
                _prove_writable(directory)

    def _move(self, manifest: Manifest, staging: Path) -> None:
        before = self.published()
        standing = before if before is not None and _goes_on_from(before, manifest) else None
        old = {} if standing is None else {name: _names(entry) for name, entry in standing.resources.items()}
        if standing is None:  # also where none is seen: a killed run may have removed it and not synced that
            (self.root / MANIFEST_NAME).unlink(missing_ok=True)
            sync_directory(self.root)
        for name, entry in manifest.resources.items():
            directory = self.root / name
            if (staging / name).is_dir():
                directory.mkdir(exist_ok=True)
                for file in _names(entry):
                    source = staging / name / file
                    if source.exists():  # otherwise an interrupted publishing has moved it already
                        source.replace(directory / file)
            _remove_others(directory, _names(entry) | old.get(name, set()))
        (staging / MANIFEST_NAME).replace(self.root / MANIFEST_NAME)
        sync_directory(self.root)
        if standing is not None:
            for name, entry in manifest.resources.items():
                _remove_others(self.root / name, _names(entry))


def _goes_on_from(before: Manifest, manifest: Manifest) -> bool:
    """Whether all parts that one manifest names are among those of the other, as they are."""
    parts = {part for entry in manifest.resources.values() for part in entry.parts}
    return all(part in parts for entry in before.resources.values() for part in entry.parts)


def _names(entry: ResourceEntry) -> set[str]:
    return {Path(part.file).name for part in entry.files}


def _remove_others(directory: Path, names: set[str]) -> None:
    """Remove what earlier exports wrote, but for some."""
    if directory.is_dir():
        for path in directory.iterdir():
            if _OURS.fullmatch(path.name) and path.name not in names:
                path.unlink()
        sync_directory(directory)


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
    probe = directory / _PROBE
    with contextlib.ExitStack() as stack:
        stack.callback(probe.unlink, missing_ok=True)
        probe.touch()

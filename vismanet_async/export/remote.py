"""The folder of an object store that an export writes to: whole or not at all, though nothing there can be renamed.

::

    URL/manifest.json                                         replaced last, in one piece
    URL/<resource>/20250525T101500Z-3f9c02/part-00000.jsonl   parts, in a folder for each run
    URL/.export.lease                                         held while a run writes here
    SPOOL/.export/...                                         local: staging and checkpoints, as in a local target

A run is written and validated locally, uploaded under names that no earlier run has used, and becomes the export when
the manifest is replaced. Until then the earlier one stands untouched; after it, the files that only the earlier one
named are removed. Killed in between, the next run with the same spool directory finishes that first.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import attrs
import msgspec

from vismanet_async.errors import ExportError, TargetNotWritable
from vismanet_async.export.files import write_atomically, writing
from vismanet_async.export.lease import Lease
from vismanet_async.export.manifest import MANIFEST_NAME, Manifest, Part, ResourceEntry, part_fault
from vismanet_async.export.target import Target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vismanet_async.export.places import RemotePath

__all__ = ["LEASE_NAME", "RemoteTarget", "default_spool"]

LEASE_NAME: Final = ".export.lease"
_OWNER: Final = ".export.owner"
_STALE: Final = "stale.json"


def default_spool(place: RemotePath) -> Path:
    """Give the local directory where exports to a place are put together, in the user's cache."""
    # platformdirs is only needed here, and costs import time
    import platformdirs  # noqa: PLC0415

    name = hashlib.sha256(place.url.encode()).hexdigest()[:16]
    return Path(platformdirs.user_cache_dir("vismanet", appauthor=False)) / "exports" / name


@attrs.define
class RemoteTarget:
    """A folder in a store that this run alone writes to; the counterpart of `Target`. All methods block."""

    place: RemotePath
    _local: Target
    _lease: Lease

    @classmethod
    def open(cls, place: RemotePath, resources: Sequence[str], *, spool: Path | None = None) -> RemoteTarget:
        """Take the place's lease, and make the spool directory ready.

        Raises:
            TargetNotWritable: the store or the spool cannot be written, or a file not ours stands where the manifest
                would go.
            TargetBusy: another run holds it.
        """
        root = spool or default_spool(place)
        local = Target.open(root, resources)
        try:
            with writing(root):
                owner = _owner(root / _OWNER)
            lease = Lease(place / LEASE_NAME, owner)
            lease.take()
            target = cls(place, local, lease)
            try:
                target._refuse_foreign()
            except BaseException:
                lease.release()
                raise
        except BaseException:
            local.close(keep_work=True)
            raise
        return target

    @property
    def work(self) -> Path:
        """Where everything lies that is not published."""
        return self._local.work

    def published(self) -> Manifest | None:
        """Give the manifest that stands published there, if any."""
        try:
            content = (self.place / MANIFEST_NAME).read_bytes()
        except FileNotFoundError:
            return None
        return Manifest.from_json(content, where=str(self.place / MANIFEST_NAME))

    def recover(self) -> Manifest | None:
        """Finish the publishing that an earlier run began and did not end; None when there is none."""
        staged = next(self.work.glob(f"*/{MANIFEST_NAME}"), None)
        if staged is None:
            return None
        manifest = Manifest.read(staged.parent)
        self._upload(manifest, staged.parent)
        with writing(self.work):
            shutil.rmtree(self.work)
        return manifest

    def publish(self, manifest: Manifest, staging: Path) -> Manifest:
        """Upload the parts in `staging`, replace the manifest last, and give it as it stands there."""
        with writing(staging):
            self._local.complete(staging)
            run = f"{manifest.finished_at:%Y%m%dT%H%M%SZ}-{uuid4().hex[:6]}"
            manifest = attrs.evolve(
                manifest,
                resources={name: _named(entry, staging, run) for name, entry in manifest.resources.items()},
            )
            before = self.published()
            old = set() if before is None else _files(before)
            write_atomically(staging / _STALE, msgspec.json.encode(sorted(old - _files(manifest))))
            write_atomically(staging / MANIFEST_NAME, manifest.to_json())
        self._upload(manifest, staging)
        return manifest

    def close(self, *, keep_work: bool = False) -> None:
        """Give the target up; without `keep_work` the spool directory is emptied, unless an upload is to be ended."""
        keep_work = keep_work or any(self.work.glob(f"*/{MANIFEST_NAME}"))
        try:
            with contextlib.suppress(TargetNotWritable):  # a store that is down lets the lease run out
                self._lease.release()
        finally:
            if not keep_work:
                (self._local.root / _OWNER).unlink(missing_ok=True)
            self._local.close(keep_work=keep_work)

    def _upload(self, manifest: Manifest, staging: Path) -> None:
        for name, entry in manifest.resources.items():
            for part in entry.files:
                file = staging / name / PurePosixPath(part.file).name
                if file.exists():  # the others were uploaded by earlier runs
                    self._put(part, file)
        self._lease.require()
        (self.place / MANIFEST_NAME).write_bytes(manifest.to_json())
        for stale in msgspec.json.decode((staging / _STALE).read_bytes(), type=list[str]):
            (self.place / stale).remove()
        (staging / MANIFEST_NAME).unlink()

    def _put(self, part: Part, file: Path) -> None:
        self._lease.require()
        there = self.place / part.file
        if there.size() == part.bytes:  # uploaded before the publishing was interrupted; nobody else has its name
            return
        there.upload(file)
        size = there.size()
        if size != part.bytes:
            raise TargetNotWritable(
                f"{there} was uploaded and has {size} bytes instead of {part.bytes}. The export that stood there still "
                "stands; start it again to go on."
            )

    def _refuse_foreign(self) -> None:
        try:
            self.published()
        except ExportError as error:
            if isinstance(error, TargetNotWritable):
                raise
            raise TargetNotWritable(
                f"{self.place / MANIFEST_NAME} was not written by an export and would be replaced; nothing was sent. "
                f"Choose another place. ({error})"
            ) from error


def _named(entry: ResourceEntry, staging: Path, run: str) -> ResourceEntry:
    """Give what this run wrote of a resource its names in the store; every file is validated on the way."""
    renamed = {}
    for part in entry.files:
        resource, _, file = part.file.partition("/")
        if (staging / part.file).is_file():
            renamed[part.file] = f"{resource}/{run}/{file}"
    for part in entry.files:
        fault = part_fault(staging, part) if part.file in renamed else None
        if fault:
            raise TargetNotWritable(
                f"{staging / part.file} {fault}; nothing was uploaded. Start it again with restart."
            )

    def named(part: Part) -> Part:
        return attrs.evolve(part, file=renamed.get(part.file, part.file))

    return attrs.evolve(
        entry,
        parts=tuple(map(named, entry.parts)),
        overlap=None if entry.overlap is None else named(entry.overlap),
        runs=tuple(attrs.evolve(one, parts=tuple(renamed.get(file, file) for file in one.parts)) for one in entry.runs),
    )


def _files(manifest: Manifest) -> set[str]:
    return {part.file for entry in manifest.resources.values() for part in entry.files}


def _owner(file: Path) -> str:
    if not file.exists():
        write_atomically(file, uuid4().hex.encode())
    return file.read_text("utf-8")

"""The folder of an object store that an export writes to: whole or not at all, though nothing there can be renamed.

::

    URL/manifest.json                                         replaced last, in one piece
    URL/<resource>/20250525T101500Z-3f9c02/part-00000.jsonl   parts, in a folder for each run
    URL/_overlap/20250525T101500Z-3f9c02/<resource>-00001.bin what the next incremental run need not publish again
    URL/.export-20250525T101500Z-3f9c02.json                  what a run is uploading, until it has ended
    URL/.export.lease                                         held while a run writes here
    SPOOL/.export/...                                         local: staging and checkpoints, as in a local target

A run is written and validated locally, uploaded under names that no earlier run has used, and becomes the export when
the manifest is replaced: under the condition that the one which it was made upon still stands, so that of two runs that
both hold the lease (one was suspended for longer than it lasts) one is refused. Until then the earlier export stands
untouched; after it, the files that only the earlier one named are removed. Killed in between, the next run with the
same spool directory finishes that first. What a run uploaded whose spool directory is lost is removed by the next run
that publishes, because it says in the store, before it uploads anything, what that will be.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import attrs

from vismanet_async._export.conditional import ConditionFailed
from vismanet_async._export.directory_steps import overtaken
from vismanet_async._export.files import write_atomically, writing
from vismanet_async._export.lease import Lease
from vismanet_async._export.manifest import MANIFEST_NAME, Manifest, part_fault
from vismanet_async._export.publishing import (
    Commit,
    Forget,
    Place,
    Publication,
    Record,
    Remove,
    carry_out,
    digest_of,
    files_of,
    is_below,
    left_behind,
    make_publication,
    steps_of,
)
from vismanet_async._export.target import Target, pending, staged_files
from vismanet_async.errors import ExportError, TargetBusy, TargetNotWritable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vismanet_async._export.conditional import Unfinished
    from vismanet_async._export.locations import RemotePath
    from vismanet_async._export.publishing import Step

__all__ = ["LEASE_NAME", "Leftovers", "RemoteTarget", "default_spool", "leftovers"]

LEASE_NAME: Final = ".export.lease"
_OWNER: Final = ".export.owner"
_OWNER_FORM: Final = re.compile(r"[0-9a-f]{32}")
_RECORD: Final = re.compile(r"\.export-\d{8}T\d{6}Z-[0-9a-f]{6}\.json", re.ASCII)
_UPLOADED: Final = re.compile(r"\w+/\d{8}T\d{6}Z-[0-9a-f]{6}/[\w-]+(\.\w+)+", re.ASCII)
"""How uploads of runs are called. Only of those that nobody can read any more this is enough to know whose they are."""
_log = logging.getLogger("vismanet_async._export")


def default_spool(location: RemotePath) -> Path:
    """Give the local directory where exports to a place are put together, in the user's cache."""
    # platformdirs is only needed here, and costs import time
    import platformdirs  # noqa: PLC0415

    name = hashlib.sha256(location.url.encode()).hexdigest()[:16]
    return Path(platformdirs.user_cache_dir("vismanet", appauthor=False)) / "exports" / name


@attrs.define
class RemoteTarget:
    """A folder in a store that this run alone writes to; the counterpart of `Target`. All methods block."""

    location: RemotePath
    _local: Target
    _lease: Lease
    upon: str | None = None
    """Digest of the manifest that stood when the run began; what it publishes is made upon that."""

    @classmethod
    def open(cls, location: RemotePath, resources: Sequence[str], *, spool: Path | None = None) -> RemoteTarget:
        """Take the place's lease, and make the spool directory ready.

        Raises:
            TargetNotWritable: the store or the spool cannot be written, or a file not ours stands where the manifest
                would go.
            TargetBusy: another run holds it.
        """
        root = spool or default_spool(location)
        local = Target.open(root, resources)
        try:
            with writing(root):
                owner = _owner(root / _OWNER)
            lease = Lease(location / LEASE_NAME, owner)
            lease.take()
            target = cls(location, local, lease)
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
        return self._standing()[0]

    def mark(self) -> None:
        """Make the staging area, if need be, and say in it whose it is."""
        self._local.mark()

    def recover(self) -> Manifest | None:
        """Finish the publishing that an earlier run began and did not end; None where there is none, or none may be.

        Where another manifest stands than the one that it was made upon, it is given up, and a run begins anew.
        """
        finished = None
        with writing(self.work):
            staged = pending(self.work)
        for staging, publication in staged:
            steps = steps_of(publication, standing=self._standing()[1])
            if steps is None:
                self._give_up(publication, staging, "another export stands there now")
            elif isinstance(steps[0], Record) and (fault := _fault(publication, staging)):
                self._give_up(publication, staging, fault)
            else:
                finished = self._upload(publication, staging)
        if finished is not None:
            shutil.rmtree(self.work, ignore_errors=True)  # what is left of it is made upon what stood before
        self.upon = self._standing()[1]
        return finished

    def publish(self, manifest: Manifest, staging: Path) -> Manifest:
        """Upload the parts in `staging`, replace the manifest last, and give it as it stands there.

        Raises:
            TargetNotWritable: a step failed; says what stands, and the next `recover` goes on.
            TargetBusy: another run has published meanwhile, or has the lease.
        """
        before, standing = self._standing()
        if standing != self.upon:
            raise overtaken(self.location)
        self._lease.require()
        run = f"{manifest.finished_at:%Y%m%dT%H%M%SZ}-{uuid4().hex[:6]}"
        staged = staged_files(manifest, staging)
        publication = make_publication(
            manifest,
            run=run,
            upon=standing,
            before=before,
            staged=staged,
            names={file: f"{file.partition('/')[0]}/{run}/{file.partition('/')[2]}" for file in staged},
        )
        fault = _fault(publication, staging)
        if fault:
            raise TargetNotWritable(f"{fault}; nothing was uploaded. Start it again with restart.")
        with writing(staging):
            write_atomically(staging / MANIFEST_NAME, publication.to_json())
        published = self._upload(publication, staging)
        shutil.rmtree(self.work, ignore_errors=True)
        return published

    def close(self, *, keep_work: bool = False) -> None:
        """Give the target up; without `keep_work` the spool directory is emptied, unless an upload is to be ended."""
        try:
            with contextlib.suppress(TargetNotWritable):  # a store that is down lets the lease run out
                self._lease.release()
        finally:
            with writing(self._local.root):
                if not keep_work and not pending(self.work):
                    (self._local.root / _OWNER).unlink(missing_ok=True)
            self._local.close(keep_work=keep_work)

    def _standing(self) -> tuple[Manifest | None, str | None]:
        """Read the manifest that stands there, and its digest."""
        try:
            content = (self.location / MANIFEST_NAME).read_bytes()
        except FileNotFoundError:
            return None, None
        return Manifest.from_json(content, where=str(self.location / MANIFEST_NAME)), digest_of(content)

    def _upload(self, publication: Publication, staging: Path) -> Manifest:
        """Do what is left to do of a publication that is on record locally."""
        steps = steps_of(publication, standing=self._standing()[1])
        if steps is None:
            raise overtaken(self.location)

        def do(step: Step) -> None:
            self._do(step, publication, staging)

        carry_out(steps, do)
        return publication.manifest

    def _do(self, step: Step, publication: Publication, staging: Path) -> None:
        record = self.location / _record_name(publication)
        match step:
            case Record():
                self._lease.require()
                record.write_bytes(publication.to_json())
            case Place():
                self._place(step, staging)
            case Commit():
                self._commit(step)
            case Remove():
                (self.location / step.file).remove()
            case Forget():
                self._tidy(publication)
                record.remove()
                with writing(staging):
                    (staging / MANIFEST_NAME).unlink(missing_ok=True)

    def _place(self, step: Place, staging: Path) -> None:
        self._lease.require()
        there = self.location / step.part.file
        if there.size() == step.part.bytes:  # uploaded before the publishing was cut off; nobody else has its name
            return
        there.upload(staging / step.staged)
        size = there.size()
        if size != step.part.bytes:
            raise TargetNotWritable(f"{there} was uploaded and has {size} bytes instead of {step.part.bytes}.")

    def _commit(self, step: Commit) -> None:
        """Replace the manifest if the one that stands is the one that this is made upon."""
        self._lease.require()
        path, content = self.location / MANIFEST_NAME, step.manifest.to_json()
        try:
            there, tag = path.read_tagged()
        except FileNotFoundError:
            there, tag = None, None
        if there == content:
            return  # an earlier try did, and its answer was lost
        if (None if there is None else digest_of(there)) != step.upon:
            raise overtaken(self.location)
        try:
            path.replace(content, tag=tag)
        except ConditionFailed as error:
            # also where a request was answered, the answer was lost, and the store's library sent it again
            if self._standing()[1] != digest_of(content):
                raise overtaken(self.location) from error

    def _tidy(self, publication: Publication) -> None:
        """Remove what runs have left in the store that did not come to their end."""
        try:
            self._lease.require()
        except TargetBusy:
            return  # suspended for too long; whoever publishes next does this
        standing, digest = self._standing()
        try:
            for other, record in _records(self.location):
                # one that is made upon what stands can still be published, by a run that holds the lease after us
                if other.run != publication.run and other.upon != digest:
                    for file in left_behind(other, upon=publication.upon, standing=standing):
                        (self.location / file).remove()
                    record.remove()
            for name, upload in _unfinished(self.location).items():
                _log.info("%s/%s: an upload that was cut off is ended", self.location, name)
                self.location.end(upload)
        except TargetNotWritable as error:
            if not isinstance(error.__cause__, PermissionError):
                raise
            _log.warning("what earlier runs left at %s cannot be looked for: %s", self.location, error)

    def _give_up(self, publication: Publication, staging: Path, reason: str) -> None:
        """Take away what was uploaded of a publication that cannot be made any more, and forget it."""
        _log.warning(
            "%s: a publishing that was cut off is given up: %s. What stands there stays.", self.location, reason
        )
        for file in left_behind(publication, upon=None, standing=self.published()):
            (self.location / file).remove()
        (self.location / _record_name(publication)).remove()
        with writing(staging):
            (staging / MANIFEST_NAME).unlink(missing_ok=True)

    def _refuse_foreign(self) -> None:
        try:
            self.upon = self._standing()[1]
        except ExportError as error:
            if isinstance(error, TargetNotWritable):
                raise
            raise TargetNotWritable(
                f"{self.location / MANIFEST_NAME} was not written by an export and would be replaced; nothing was "
                f"sent. Choose another place. ({error})"
            ) from error


@attrs.frozen(kw_only=True)
class Leftovers:
    """What runs left in a store that did not come to their end; the next run that publishes removes it."""

    files: tuple[str, ...]
    """Uploaded, and named by no manifest that stands."""
    unfinished: tuple[str, ...]
    """Uploads in pieces that were begun and not ended: nobody can read them, and they are billed."""


def leftovers(location: RemotePath, standing: Manifest | None) -> Leftovers:
    """Look for what runs left there. Changes nothing.

    Raises:
        TargetNotWritable: it cannot be listed.
    """
    named = {file for publication, _ in _records(location) for file in publication.placed.values()} - files_of(standing)
    files = [file for file in sorted(named) if is_below(file) and (location / file).size() is not None]
    return Leftovers(files=tuple(files), unfinished=tuple(sorted(_unfinished(location))))


def _record_name(publication: Publication) -> str:
    return f".export-{publication.run}.json"


def _records(location: RemotePath) -> list[tuple[Publication, RemotePath]]:
    """Give what runs have written down of themselves in the store, and where."""
    found = []
    for path in (location / name for name in location.files() if _RECORD.fullmatch(name)):
        with contextlib.suppress(FileNotFoundError):
            publication = Publication.from_json(path.read_bytes())
            if publication is not None and path.name == _record_name(publication):
                found.append((publication, path))
    return found


def _unfinished(location: RemotePath) -> Mapping[str, Unfinished]:
    return {name: upload for name, upload in location.unfinished().items() if _UPLOADED.fullmatch(name)}


def _fault(publication: Publication, staging: Path) -> str | None:
    """Say where the staging area does not hold what is to be uploaded; reads all of it."""
    parts = {part.file: part for entry in publication.manifest.resources.values() for part in entry.files}
    for staged, name in publication.placed.items():
        fault = part_fault(staging, attrs.evolve(parts[name], file=staged))
        if fault:
            return f"{staging / staged} {fault}"
    return None


def _owner(file: Path) -> str:
    if not file.exists():
        write_atomically(file, uuid4().hex.encode())
    owner = file.read_text("utf-8")
    if not _OWNER_FORM.fullmatch(owner):
        raise TargetNotWritable(
            f"{file} was not written by an export; nothing was sent. Choose another spool directory."
        )
    return owner

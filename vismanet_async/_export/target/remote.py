"""A folder in an object store as the target of an export: all or nothing, although no object can be renamed.

::

    URL/manifest.json                                         replaced last, in one piece
    URL/<resource>/20250525T101500Z-3f9c02/part-00000.jsonl   parts, in a folder for each run
    URL/_overlap/20250525T101500Z-3f9c02/<resource>-00001.bin what the next incremental run need not publish again
    URL/.export-20250525T101500Z-3f9c02.json                  what a run is uploading, until it has ended
    URL/.export.lease                                         held while a run writes here
    SPOOL/.export/...                                         local: staging and checkpoints, as in a local target

A run writes and validates its files locally, uploads them under names that no earlier run has used, and then replaces
the manifest. The manifest is replaced only if the one that stood when the run began still stands: if two runs believe
that they hold the lease (one was suspended for longer than it lasts), one of them is refused. Until then the earlier
export stands untouched; afterwards the files that only the earlier manifest named are removed. If the run is killed in
between, the next run with the same spool directory finishes that first. If the spool directory is lost, the next run
that publishes removes what was uploaded: a run records in the store what it will upload before it does.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import attrs

from vismanet_async._export.files import write_atomically, writing
from vismanet_async._export.target.conditional import ConditionFailed
from vismanet_async._export.target.directory_steps import overtaken
from vismanet_async._export.target.lease import Lease
from vismanet_async._export.target.local import Target, pending, remove_work, staged_files
from vismanet_async._export.target.manifest import MANIFEST_NAME, Manifest, part_fault
from vismanet_async._export.target.publishing import (
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
from vismanet_async.errors import ExportError, TargetBusy, TargetNotWritable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vismanet_async._export.target.conditional import Unfinished
    from vismanet_async._export.target.locations import RemotePath
    from vismanet_async._export.target.publishing import Step

__all__ = ["LEASE_NAME", "Leftovers", "RemoteTarget", "default_spool", "leftovers"]

LEASE_NAME: Final = ".export.lease"
_OWNER: Final = ".export.owner"
_OWNER_FORM: Final = re.compile(r"[0-9a-f]{32}")
_RECORD: Final = re.compile(r"\.export-\d{8}T\d{6}Z-[0-9a-f]{6}\.json", re.ASCII)
_UPLOADED: Final = re.compile(r"\w+/\d{8}T\d{6}Z-[0-9a-f]{6}/[\w-]+(\.\w+)+", re.ASCII)
"""Names of uploads by runs. The name alone identifies only unfinished uploads, which nobody can read."""
_log = logging.getLogger("vismanet_async.export")


def default_spool(location: RemotePath) -> Path:
    """Return the default spool directory for a location, in the user's cache."""
    # platformdirs is only needed here, and costs import time
    import platformdirs  # noqa: PLC0415

    name = hashlib.sha256(location.url.encode()).hexdigest()[:16]
    return Path(platformdirs.user_cache_dir("vismanet", appauthor=False)) / "exports" / name


@attrs.define
class RemoteTarget:
    """A folder in a store, leased by this run; the counterpart of `Target`. All methods block."""

    location: RemotePath
    _local: Target
    _lease: Lease
    upon: str | None = None
    """Digest of the manifest that stood when the run began, and that the run's publication replaces."""

    @classmethod
    def open(cls, location: RemotePath, resources: Sequence[str], *, spool: Path | None = None) -> RemoteTarget:
        """Return the target, with the lease acquired and the spool directory ready.

        Raises:
            TargetNotWritable: the store or the spool cannot be written, or a foreign file has the name of the
                manifest.
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
        """The staging area."""
        return self._local.work

    def published(self) -> Manifest | None:
        """Return the published manifest, or None."""
        return self._standing()[0]

    def mark(self) -> None:
        """Create the staging area, with a note in it that says what made it."""
        self._local.mark()

    def recover(self) -> Manifest | None:
        """Finish a publication that an earlier run did not complete, and return its manifest; None if there was none.

        If another manifest stands than the one that the publication replaces, the publication is discarded.
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
            remove_work(self.work)  # the rest is based on the manifest before
        self.upon = self._standing()[1]
        return finished

    def publish(self, manifest: Manifest, staging: Path) -> Manifest:
        """Upload the parts in `staging`, replace the manifest last, and return it as published.

        Raises:
            TargetNotWritable: a step failed; the error says what stands, and the next `recover` continues.
            TargetBusy: another run has published since this one began, or holds the lease.
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
        remove_work(self.work)
        return published

    def close(self, *, keep_work: bool = False) -> None:
        """Release the lease. Without `keep_work` the spool directory is emptied, unless a publication is incomplete."""
        try:
            with contextlib.suppress(TargetNotWritable):  # a store that is down lets the lease run out
                self._lease.release()
        finally:
            with writing(self._local.root):
                if not keep_work and not pending(self.work):
                    (self._local.root / _OWNER).unlink(missing_ok=True)
            self._local.close(keep_work=keep_work)

    def _standing(self) -> tuple[Manifest | None, str | None]:
        """Return the published manifest and its digest."""
        try:
            content = (self.location / MANIFEST_NAME).read_bytes()
        except FileNotFoundError:
            return None, None
        return Manifest.from_json(content, where=str(self.location / MANIFEST_NAME)), digest_of(content)

    def _upload(self, publication: Publication, staging: Path) -> Manifest:
        """Carry out the remaining steps of a publication that is recorded locally."""
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
        if there.size() == step.part.bytes:  # uploaded before the run was cut off; the name is unique to the run
            return
        there.upload(staging / step.staged)
        size = there.size()
        if size != step.part.bytes:
            raise TargetNotWritable(f"{there} was uploaded and has {size} bytes instead of {step.part.bytes}.")

    def _commit(self, step: Commit) -> None:
        """Replace the manifest if the one that the step expects still stands."""
        self._lease.require()
        path, content = self.location / MANIFEST_NAME, step.manifest.to_json()
        try:
            there, tag = path.read_tagged()
        except FileNotFoundError:
            there, tag = None, None
        if there == content:
            return  # an earlier attempt replaced it, and its response was lost
        if (None if there is None else digest_of(there)) != step.upon:
            raise overtaken(self.location)
        try:
            path.replace(content, tag=tag)
        except ConditionFailed as error:
            # also raised where the response was lost and the store's library sent the request again
            if self._standing()[1] != digest_of(content):
                raise overtaken(self.location) from error

    def _tidy(self, publication: Publication) -> None:
        """Remove what runs that were cut off have left in the store."""
        try:
            self._lease.require()
        except TargetBusy:
            return  # suspended for too long; the next run that publishes does this
        standing, digest = self._standing()
        try:
            for other, record in _records(self.location):
                # one that replaces what stands now can still be published, by a run that holds the lease after us
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
        """Remove what was uploaded of a publication that is obsolete, and its record."""
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
    """What runs that were cut off left in a store; the next run that publishes removes it."""

    files: tuple[str, ...]
    """Uploaded, but not named by the published manifest."""
    unfinished: tuple[str, ...]
    """Multipart uploads that were not completed: nobody can read them, and they are billed."""


def leftovers(location: RemotePath, standing: Manifest | None) -> Leftovers:
    """Return what runs left there. Changes nothing.

    Raises:
        TargetNotWritable: it cannot be listed.
    """
    named = {file for publication, _ in _records(location) for file in publication.placed.values()} - files_of(standing)
    files = [file for file in sorted(named) if is_below(file) and (location / file).size() is not None]
    return Leftovers(files=tuple(files), unfinished=tuple(sorted(_unfinished(location))))


def _record_name(publication: Publication) -> str:
    return f".export-{publication.run}.json"


def _records(location: RemotePath) -> list[tuple[Publication, RemotePath]]:
    """Return the publications that runs have recorded in the store, each with its object."""
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
    """Return how the staged files differ from the publication, or None. Reads all of them."""
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

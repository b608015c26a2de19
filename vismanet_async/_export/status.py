"""The state of a target: what is published, and what a stopped run has left. Reads only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs

from vismanet_async._export.checkpoint import Unfinished, inspect
from vismanet_async._export.files import one_below
from vismanet_async._export.target.lease import Lease
from vismanet_async._export.target.local import LOCK_NAME, WORK_NAME
from vismanet_async._export.target.locations import RemotePath
from vismanet_async._export.target.manifest import MANIFEST_NAME, Manifest, faults_of
from vismanet_async._export.target.remote import LEASE_NAME, Leftovers, default_spool, leftovers
from vismanet_async._file_lock import FileLock
from vismanet_async.errors import TargetNotWritable

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from vismanet_async._export.target.locations import Location

__all__ = ["Status", "Unfinished", "status_of"]

State = Literal["nothing", "published", "running", "resumable", "publishing"]


@attrs.frozen(kw_only=True)
class Status:
    """The state of a target."""

    state: State
    """`running`: a run holds the lock. `publishing`: a run was killed while it published; the next one finishes that
    first. `resumable`: a run was stopped, and the same command resumes it. Else whether something is published."""
    manifest: Manifest | None
    unfinished: Unfinished | None = None
    """What a stopped or running run has read."""
    faults: tuple[str, ...] | None = None
    """How the files differ from the manifest, in words; None: they were not read."""
    leftovers: Leftovers | None = None
    """What killed runs have left in a store; None: nothing, a run is active, or the store cannot be listed."""


def status_of(location: Location, *, now: datetime, verify: bool = False, spool: Path | None = None) -> Status:
    """Return the state of a target. Blocks.

    Args:
        location: the target of an export.
        now: UTC; an unfinished run that is too old to be resumed does not count.
        verify: read every file and compare it with the manifest.
        spool: for a URL, the spool directory of this machine's runs.

    Raises:
        ExportError: the manifest cannot be read.
    """
    work = (spool or default_spool(location) if isinstance(location, RemotePath) else location) / WORK_NAME
    manifest = _manifest(location)
    unfinished = inspect(work, now=now)
    state: State = "nothing" if manifest is None else "published"
    if _leased(location, now) if isinstance(location, RemotePath) else FileLock(location / LOCK_NAME).is_held():
        state = "running"
    elif one_below(work, MANIFEST_NAME):
        state = "publishing"
    elif unfinished is not None:
        state = "resumable"
    return Status(
        state=state,
        leftovers=_leftovers(location, manifest) if isinstance(location, RemotePath) and state != "running" else None,
        manifest=manifest,
        unfinished=unfinished,
        faults=tuple(faults_of(location, manifest)) if verify and manifest is not None else None,
    )


def _manifest(location: Location) -> Manifest | None:
    try:
        content = (location / MANIFEST_NAME).read_bytes()
    except FileNotFoundError:
        return None
    return Manifest.from_json(content, where=str(location / MANIFEST_NAME))


def _leftovers(location: RemotePath, manifest: Manifest | None) -> Leftovers | None:
    try:
        found = leftovers(location, manifest)
    except TargetNotWritable:  # reading an export does not need the right to list the store's uploads
        return None
    return found if found.files or found.unfinished else None


def _leased(location: RemotePath, now: datetime) -> bool:
    holder = Lease(location / LEASE_NAME, owner="nobody").holder()
    return holder is not None and now < holder.until

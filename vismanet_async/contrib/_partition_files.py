"""Where a partition's files are: a directory that all workers see, or a folder in an object store.

In a directory a partition gets its name by one rename. A store has none: there the files of each attempt have a folder
of their own, and the note that names it is written if there is none yet. Either way the first whole attempt counts.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs
import msgspec

from vismanet_async._export.files import sync_directory, write_atomically, writing
from vismanet_async._export.target.conditional import ConditionFailed
from vismanet_async._export.target.locations import RemotePath, parse_location

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from vismanet_async._export.target.locations import Location
    from vismanet_async.contrib._partitions import PartitionDone

__all__ = ["DONE", "fetch", "files_of_partition", "publish_partition"]

DONE: Final = "share.json"
"""Written last: what the partition holds."""


def files_of_partition(done: PartitionDone, options: Mapping[str, Any] | None) -> Location:
    """Return where the files of a whole partition are.

    Args:
        done: the partition.
        options: of the store.
    """
    return parse_location(done.directory, options)


def fetch(source: Location, destination: Path) -> None:
    """Have a file at a local path: link it, copy it where the file system has no links, or download it. Blocks."""
    if isinstance(source, RemotePath):
        source.download(destination)
    else:
        with contextlib.suppress(OSError):
            os.link(source, destination)
            return
        shutil.copyfile(source, destination)
    with destination.open("rb+") as file:
        os.fsync(file.fileno())


def publish_partition(
    directory: Location, write: Callable[[Path], PartitionDone], known: Callable[[], PartitionDone | None]
) -> PartitionDone:
    """Write a partition to a private place, then show it whole; return what the partition holds. Blocks.

    Args:
        directory: of the partition.
        write: writes the files to a local directory.
        known: what the partition holds if an earlier attempt is whole.
    """
    if isinstance(directory, RemotePath):
        return _publish_in_store(directory, write, known)
    attempt = directory.with_name(f"{directory.name}.{uuid.uuid4().hex[:12]}")
    try:
        with writing(attempt):
            attempt.mkdir()
        done = attrs.evolve(write(attempt), directory=str(directory))
        with writing(attempt):
            write_atomically(attempt / DONE, msgspec.json.encode(done))
            try:
                attempt.rename(directory)
            except OSError:
                there = known()
                if there is None:  # another reason than an earlier attempt
                    raise
                return there
            sync_directory(directory.parent)
        return done
    finally:
        shutil.rmtree(attempt, ignore_errors=True)


def _publish_in_store(
    directory: RemotePath, write: Callable[[Path], PartitionDone], known: Callable[[], PartitionDone | None]
) -> PartitionDone:
    own = directory / uuid.uuid4().hex[:12]
    with tempfile.TemporaryDirectory(prefix="vismanet-") as place, contextlib.ExitStack() as on_failure:
        attempt = Path(place, "attempt")
        with writing(attempt):
            attempt.mkdir()
        done = attrs.evolve(write(attempt), directory=str(own))
        on_failure.callback(own.remove_folder)
        for path in sorted(attempt.rglob("*")):
            if path.is_file():
                (own / path.relative_to(attempt).as_posix()).upload(path)
        try:
            (directory / DONE).replace(msgspec.json.encode(done), tag=None)
        except ConditionFailed:
            there = known()
            if there is None:
                raise
            if there.directory != done.directory:  # else it was our own: the answer was lost, and sent again
                return there
        on_failure.pop_all()
        return done

"""The few file operations that an export's safety rests on."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import TYPE_CHECKING, BinaryIO

from vismanet_async.errors import TargetNotWritable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["remove_if_empty", "sync_directory", "write_all", "write_atomically", "writing"]

_ADVICE = {
    errno.ENOSPC: "Free some space, then start it again.",
    errno.EDQUOT: "The disk quota is used up: free some space, then start it again.",
    errno.EACCES: "Give write permission there, or choose another directory.",
    errno.EPERM: "Give write permission there, or choose another directory.",
    errno.EROFS: "The file system is read-only: choose another directory.",
    errno.ENOTDIR: "A file stands in the way: choose another directory.",
    errno.EEXIST: "A file stands in the way: choose another directory.",
    errno.ENAMETOOLONG: "Choose a shorter path.",
}


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal to write at or below `path` into `TargetNotWritable`."""
    try:
        yield
    except TargetNotWritable:
        raise
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, "Choose another directory, or repair this one.")
        at = error.filename if isinstance(error.filename, str) else path
        raise TargetNotWritable(f"{at} cannot be written: {error.strerror or error}. {advice}") from error


def write_all(file: BinaryIO, content: bytes | bytearray | memoryview) -> None:
    """Write everything to an unbuffered file, which may take it in pieces."""
    view = memoryview(content)
    while view:
        view = view[file.write(view) :]


def sync_directory(path: Path) -> None:
    """Make renames and removals in a directory survive a power cut, where the system can do that."""
    if sys.platform == "win32":  # directories cannot be opened there; NTFS journals its renames
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that at any moment, also in a power cut, the old or the new content stands."""
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def remove_if_empty(path: Path) -> None:
    """Remove a directory unless something is in it or it is gone already."""
    with contextlib.suppress(OSError):
        path.rmdir()

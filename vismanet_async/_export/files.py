"""File operations that survive a crash or a power cut."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from uuid import uuid4

from vismanet_async.errors import TargetNotWritable, VismaNetError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "folders_in",
    "is_there",
    "lacks_links",
    "move",
    "one_below",
    "refuse_in_export",
    "remove_if_empty",
    "sync_directory",
    "write_all",
    "write_atomically",
    "writing",
]

_ADVICE = {
    errno.ENOSPC: "Free some space, then start it again.",
    errno.EDQUOT: "The disk quota is used up: free some space, then start it again.",
    errno.EACCES: "Give write permission there, or choose another directory.",
    errno.EPERM: "Give write permission there, or choose another directory.",
    errno.EROFS: "The file system is read-only: choose another directory.",
    errno.ENOTDIR: "A file with this name already exists: choose another directory.",
    errno.EEXIST: "A file with this name already exists: choose another directory.",
    errno.ENAMETOOLONG: "Choose a shorter path.",
}
_COPY_BYTES = 1 << 20
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
_INVALID_FUNCTION = 1
"""What Windows says on a disk without hard links, such as one with exFAT."""


def lacks_links(error: OSError) -> bool:
    """Return whether it is the error of a file system without hard links."""
    return error.errno in _NO_LINKS or getattr(error, "winerror", None) == _INVALID_FUNCTION


@contextlib.contextmanager
def writing(path: Path, *, doing: str = "written") -> Iterator[None]:
    """Raise the system's errors of writing (or `doing`) at or below `path` as `TargetNotWritable`.

    A `FileNotFoundError` of reading is raised as it is.
    """
    try:
        yield
    except VismaNetError:
        raise
    except OSError as error:
        if doing == "read" and isinstance(error, FileNotFoundError):
            raise
        advice = _ADVICE.get(error.errno or 0, "Choose another directory, or repair this one.")
        at = error.filename if isinstance(error.filename, str) else path
        raise TargetNotWritable(f"{at} cannot be {doing}: {error.strerror or error}. {advice}") from error


def write_all(file: BinaryIO, content: bytes | bytearray | memoryview) -> None:
    """Write all of the content to an unbuffered file, which may accept it in pieces."""
    view = memoryview(content)
    while view:
        view = view[file.write(view) :]


# what stands on a disk decides what is removed from it: `Path.glob` passes over what it cannot list since Python 3.12,
# and `exists` and `is_dir` take what they cannot look at for missing since 3.14


def is_there(path: Path) -> bool:
    """Return whether there is something.

    Raises:
        OSError: that cannot be told.
    """
    return _mode(path) != 0


def _mode(path: Path) -> int:
    """Return what kind of file something is; 0 where there is nothing."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0


def folders_in(folder: Path) -> list[Path]:
    """Return the folders in a folder, in order of their names; none where it is not there.

    Raises:
        OSError: it cannot be listed, or what is in it not be looked at.
    """
    try:
        there = list(folder.iterdir())
    except FileNotFoundError:
        return []
    return sorted(each for each in there if stat.S_ISDIR(_mode(each)))


def one_below(folder: Path, name: str) -> list[Path]:
    """Return the files of a name in the folders of a folder, in order; none where there is no such folder.

    Raises:
        OSError: the folder cannot be listed, or what is in it not be looked at.
    """
    return [each / name for each in folders_in(folder) if is_there(each / name)]


def sync_directory(path: Path) -> None:
    """Sync a directory, so that its renames and removals survive a power cut, where the system can do that."""
    if sys.platform == "win32":  # directories cannot be opened there; NTFS journals its renames
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it has the old or the new content at any moment, also after a power cut."""
    # a random name: a foreign file must not be taken for one of an earlier call
    temporary = path.with_name(f".{path.name}.{uuid4().hex[:8]}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def move(source: Path, target: Path, *, temporary: str) -> None:
    """Move a synced file, to another file system too; `target` never has partial content.

    Args:
        source: stays where it is if it has to be copied.
        target: replaced if it is there.
        temporary: the name beside `target` under which it is copied; whatever has this name is replaced.
    """
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:  # a linked directory can lie on another file system
            raise
        copy = target.with_name(temporary)
        with source.open("rb") as reading, copy.open("wb") as file:
            shutil.copyfileobj(reading, file, _COPY_BYTES)
            file.flush()
            os.fsync(file.fileno())
        copy.replace(target)


def refuse_in_export(path: Path, export: Path) -> None:
    """Raise if a file would stand among those of an export: there it would be taken for data, or replace some.

    Args:
        path: where the file is to be.
        export: the directory of the export; beside the manifest is room for others.

    Raises:
        TargetNotWritable: it would.
    """
    root = Path(os.path.realpath(export))
    place = Path(os.path.realpath(path.parent), path.name)
    if not place.is_relative_to(root):
        return
    inside = place.relative_to(root).parts
    if len(inside) > 1 or inside == ("manifest.json",):
        raise TargetNotWritable(f"{path} is among the files of the export {export}. Name a file elsewhere.")


def remove_if_empty(path: Path) -> None:
    """Remove a directory unless something is in it or it is gone already."""
    with contextlib.suppress(OSError):
        path.rmdir()

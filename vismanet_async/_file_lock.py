"""A lock file that is released when its process ends, also by a crash."""

from __future__ import annotations

import errno
import os
import stat
import sys
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


__all__ = ["FileLock"]

_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)


@attrs.define
class FileLock:
    """A lock with one holder at a time, among processes and within one.

    The operating system releases it when the holder's process ends in any way.
    """

    path: Path
    _descriptor: int | None = None

    def acquire(self) -> bool:
        """Acquire the lock without waiting; return False if another holder has it. Its directory must exist.

        Raises:
            OSError: it cannot be written; `FileExistsError` where a file has its name that is no lock.
        """
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | _NO_LINKS, 0o644)
            try:
                about = os.fstat(descriptor)
                if about.st_size or not stat.S_ISREG(about.st_mode):  # a lock file is always empty
                    raise FileExistsError(
                        errno.EEXIST, "a file that is no lock of this package is there", str(self.path)
                    )
                taken = _try_lock(descriptor)
                # the last holder may have removed the file since we opened it: then it guards nothing
                if taken and self._is(descriptor):
                    self._descriptor, descriptor = descriptor, -1
                    return True
                if not taken:
                    return False
            finally:
                if descriptor >= 0:
                    os.close(descriptor)

    def is_held(self) -> bool:
        """Return whether the lock is held. Acquires it for an instant, in which others are refused."""
        if self._descriptor is not None:
            return True
        if not self.path.exists():
            return False
        descriptor = os.open(self.path, os.O_RDWR)
        try:
            return not _try_lock(descriptor)
        finally:
            os.close(descriptor)

    def release(self) -> None:
        """Release the lock and remove its file; does nothing when it is not held."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        try:
            if sys.platform != "win32":  # there an open file cannot be removed; it stays, unlocked
                self.path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)

    def _is(self, descriptor: int) -> bool:
        try:
            there = self.path.stat()
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(descriptor))

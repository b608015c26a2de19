"""A lease: a lock in an object store that expires unless its holder renews it.

Object stores have no locks that end with a process. So the object holds an expiry time, which the holder renews; a
holder that was killed loses the lease when the time has passed. Two machines whose clocks differ by more than a few
minutes may disagree about that; so the holder is checked once more before anything is published.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import attrs
import msgspec

from vismanet_async._export.target.conditional import ConditionFailed
from vismanet_async.errors import TargetBusy, TargetNotWritable

if TYPE_CHECKING:
    from collections.abc import Callable

    from vismanet_async._export.target.locations import RemotePath

__all__ = ["Holder", "Lease"]

_HOLDS: Final = timedelta(minutes=15)
_CLOCKS_DIFFER_BY: Final = timedelta(minutes=10)
_RENEW_SECONDS: Final = 240.0
"""Three renewals may fail before the lease is lost."""
_TRIES: Final = 3


class Holder(msgspec.Struct, frozen=True):
    """Who holds a lease."""

    owner: str
    """Unguessable, one for each spool directory."""
    where: str
    """Machine and process, for people."""
    until: datetime


def _now() -> datetime:
    return datetime.now(UTC)


@attrs.define
class Lease:
    """A lease on an object. All methods block.

    Args:
        location: the object.
        owner: the id of this holder; a lease of the same owner is acquired at once, so two processes must not share it.
        now: for tests.
    """

    location: RemotePath
    owner: str
    _now: Callable[[], datetime] = _now
    _stop: threading.Event = attrs.field(factory=threading.Event)
    _renewing: threading.Thread | None = None

    def take(self) -> None:
        """Acquire the lease without waiting, and renew it from a thread until `release`.

        Raises:
            TargetBusy: another run holds it.
            TargetNotWritable: the store cannot be written, or a file not ours has the lease's name.
        """
        for _ in range(_TRIES):
            # released between two reads, or another run was faster: `require` finds out
            with contextlib.suppress(FileNotFoundError, ConditionFailed):
                self._take()
                break
        self.require()
        self._renewing = threading.Thread(target=self._renew, name="export lease", daemon=True)
        self._renewing.start()

    def holder(self) -> Holder | None:
        """Return the holder that the object names, expired or not; None if there is none."""
        try:
            return _read(self.location.read_bytes())
        except FileNotFoundError:
            return None

    def require(self) -> None:
        """Make sure that this run still holds the lease.

        Raises:
            TargetBusy: another run holds it.
        """
        holder = self.holder()
        if holder is None or holder.owner != self.owner:
            by = "nobody now" if holder is None else f"another run ({holder.where})"
            raise TargetBusy(
                f"{self.location} is held by {by}, not by this run, which was stopped or cut off for too long. What "
                "stood published still stands; start it again."
            )

    def release(self) -> None:
        """Release the lease if this run holds it."""
        self._stop.set()
        if self._renewing is not None:
            self._renewing.join()
        holder = self.holder()
        if holder is not None and holder.owner == self.owner:
            self.location.remove()

    def _take(self) -> None:
        """Acquire the lease if it is free or expired, or if an earlier run of the same owner holds it."""
        try:
            content, tag = self.location.read_tagged()
        except FileNotFoundError:
            self.location.replace(self._content(), tag=None)
            return
        holder = _read(content)
        if holder is None:
            raise TargetNotWritable(
                f"{self.location} was not written by an export and would be replaced; nothing was sent. Choose another "
                "place, or remove it."
            )
        # nobody leases for longer: one that ends later was given by a clock that was far ahead
        if holder.owner != self.owner and self._now() < holder.until <= self._now() + _HOLDS + _CLOCKS_DIFFER_BY:
            raise TargetBusy(
                f"another run ({holder.where}) is writing there, as {self.location} says; nothing was sent. Wait "
                f"until it has ended. If it was killed, its lease ends at {holder.until:%Y-%m-%d %H:%M} UTC."
            )
        self.location.replace(self._content(), tag=tag)

    def _renew(self) -> None:
        while not self._stop.wait(_RENEW_SECONDS):
            # the next renewal is soon enough for a store that was down; a lost lease is noticed when publishing
            with contextlib.suppress(FileNotFoundError, ConditionFailed, TargetNotWritable):
                content, tag = self.location.read_tagged()
                holder = _read(content)
                if holder is not None and holder.owner == self.owner:
                    self.location.replace(self._content(), tag=tag)

    def _content(self) -> bytes:
        where = f"{socket.gethostname()}, process {os.getpid()}"
        return msgspec.json.encode(Holder(self.owner, where, self._now() + _HOLDS))


def _read(content: bytes) -> Holder | None:
    try:
        return msgspec.json.decode(content, type=Holder)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None

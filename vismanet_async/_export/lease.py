"""A lock that is an object in a store: who holds it must say so again from time to time.

Stores have no locks that end with a process. So the object tells until when it holds. Its holder renews it; one that
was killed loses it when that time has passed. Two machines whose clocks differ by more than a few minutes may disagree
about that moment; what is published is checked against the holder once more before it is.
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

from vismanet_async._export.conditional import ConditionFailed
from vismanet_async.errors import TargetBusy, TargetNotWritable

if TYPE_CHECKING:
    from collections.abc import Callable

    from vismanet_async._export.locations import RemotePath

__all__ = ["Holder", "Lease"]

_HOLDS: Final = timedelta(minutes=15)
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
    """One holder at a time for what an object stands for. All methods block.

    Args:
        location: the object.
        owner: who we are; a lease of the same owner is taken over at once, so two processes must not share it.
        now: for tests.
    """

    location: RemotePath
    owner: str
    _now: Callable[[], datetime] = _now
    _stop: threading.Event = attrs.field(factory=threading.Event)
    _renewing: threading.Thread | None = None

    def take(self) -> None:
        """Take it without waiting, and renew it from a thread until `release`.

        Raises:
            TargetBusy: another run holds it.
            TargetNotWritable: the store cannot be written, or a file not ours has the lease's name.
        """
        for _ in range(_TRIES):
            # given up between two looks, or another one was quicker: `require` tells
            with contextlib.suppress(FileNotFoundError, ConditionFailed):
                self._take()
                break
        self.require()
        self._renewing = threading.Thread(target=self._renew, name="export lease", daemon=True)
        self._renewing.start()

    def holder(self) -> Holder | None:
        """Say who holds it by what the object says, be it over or not; None for nobody."""
        try:
            return _read(self.location.read_bytes())
        except FileNotFoundError:
            return None

    def require(self) -> None:
        """Make sure that it is still ours.

        Raises:
            TargetBusy: another run has taken it.
        """
        holder = self.holder()
        if holder is None or holder.owner != self.owner:
            by = "nobody now" if holder is None else f"another run ({holder.where})"
            raise TargetBusy(
                f"{self.location} is held by {by}, not by this run, which was stopped or cut off for too long. What "
                "stood published still stands; start it again."
            )

    def release(self) -> None:
        """Give it up if it is ours."""
        self._stop.set()
        if self._renewing is not None:
            self._renewing.join()
        holder = self.holder()
        if holder is not None and holder.owner == self.owner:
            self.location.remove()

    def _take(self) -> None:
        """Take it where there is none, from a holder whose time is over, or from an earlier run of ours."""
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
        if holder.owner != self.owner and self._now() < holder.until:
            raise TargetBusy(
                f"another run ({holder.where}) is writing there, as {self.location} says; nothing was sent. Wait "
                f"until it has ended. If it was killed, its lease ends at {holder.until:%Y-%m-%d %H:%M} UTC."
            )
        self.location.replace(self._content(), tag=tag)

    def _renew(self) -> None:
        while not self._stop.wait(_RENEW_SECONDS):
            # a store that is down for a moment is asked again in time; a lease that was lost is found when publishing
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

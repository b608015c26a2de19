"""How many requests may be in flight, found by trying. `ConcurrencyRule` is pure; `Slots` waits.

The service documents no limit (docs/facts.md 3), so the rule begins low, goes up while more in flight brings more
done, and backs off at the first sign of strain.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import anyio
import attrs

from vismanet_async.errors import SettingsError

__all__ = ["MAX_AUTO", "ConcurrencyRule", "Slots", "read_concurrency"]

MAX_AUTO: Final = 16
"""What `auto` goes up to; above it exports gain nothing that was measured."""
_START: Final = 4
_WORTH_IT: Final = 1.10
"""A step up must raise throughput by a tenth to be kept."""
_HOLD_SECONDS: Final = 30.0
"""After strain, or a step that did not pay, stay for this long."""
_BUSY_SHARE: Final = 0.75
"""The limit is put to the test while this share of it is in flight."""


def read_concurrency(value: int | str, *, name: str = "concurrency") -> int | None:
    """Read the setting: a number from 1 up, or `auto` (None).

    Raises:
        SettingsError: it is anything else.
    """
    if value == "auto":
        return None
    try:
        number = 0 if isinstance(value, bool | float) else int(value)
    except (TypeError, ValueError):
        number = 0
    if number < 1:
        raise SettingsError(f"{name} must be a number from 1 up, or auto, not {value!r}.")
    return number


@attrs.define
class ConcurrencyRule:
    """Climbs while throughput climbs, halves on strain. Pure: takes the time as an argument.

    Args:
        limit: requests in flight at most, now.
        maximum: what the limit never climbs beyond.
    """

    limit: int = _START
    maximum: int = MAX_AUTO
    _done: int = 0
    _since: float | None = None
    _last_rate: float | None = None
    """The rate measured at `_last_limit`, while the step up from there is on trial."""
    _last_limit: int = 0
    _hold_until: float = 0.0
    _strained_at: float | None = None

    def finished(self, *, started_at: float, now: float, strained: bool, busy: bool) -> None:
        """Take in one finished request.

        Args:
            started_at: when it left, in monotonic seconds.
            now: monotonic seconds.
            strained: it was throttled, timed out, or the server was busy.
            busy: the places were in use meanwhile; only then does the rate say anything about the limit.
        """
        if strained:
            self._back_off(started_at, now)
        elif not busy:
            self._since, self._done = None, 0
        elif self._since is None:
            self._since, self._done = now, 0
        else:
            self._done += 1
            if self._done >= 2 * self.limit:
                self._judge(self._done / max(now - self._since, 1e-6), now)
                self._since, self._done = now, 0

    def _back_off(self, started_at: float, now: float) -> None:
        # what left before the last halving belongs to the same burst: one sign of strain, not many
        if self._strained_at is None or started_at >= self._strained_at:
            self.limit = max(1, self.limit // 2)
            self._strained_at = now
        self._hold_until = now + _HOLD_SECONDS
        self._since, self._done, self._last_rate = None, 0, None

    def _judge(self, rate: float, now: float) -> None:
        if self._last_rate is not None and rate < self._last_rate * _WORTH_IT:
            self.limit, self._last_rate = self._last_limit, None
            self._hold_until = now + _HOLD_SECONDS
        elif now >= self._hold_until and self.limit < self.maximum:
            self._last_rate, self._last_limit = rate, self.limit
            self.limit = min(self.maximum, self.limit * 2)
        else:
            self._last_rate = None


class Slots:
    """Hands out places in flight, first come first served. One per company and service; tasks share it freely."""

    def __init__(self, fixed: int | None = None) -> None:
        self._rule = None if fixed else ConcurrencyRule()
        self._fixed = fixed or 0
        self._room: int | None = None
        self._taken = 0
        self._waiters: deque[anyio.Event] = deque()

    def sibling(self) -> Slots:
        """Give slots of the same kind, for another service."""
        return Slots(self._fixed or None)

    @property
    def limit(self) -> int:
        """How many may be in flight now."""
        limit = self._rule.limit if self._rule else self._fixed
        return limit if self._room is None else min(limit, self._room)

    @property
    def ceiling(self) -> int:
        """How many may ever be in flight; what a worker pool is sized by."""
        return self._rule.maximum if self._rule else self._fixed

    @property
    def in_flight(self) -> int:
        """How many are in flight now."""
        return self._taken

    def confine(self, room: int | None) -> None:
        """Let no more than `room` be in flight, whatever the limit (`Quota.room`); None lifts that."""
        if room != self._room:
            self._room = room
            self._wake()

    def finished(self, *, started_at: float, now: float, strained: bool) -> None:
        """Tell how a request ended, while its slot is still held."""
        if self._rule:
            busy = self._taken >= _BUSY_SHARE * self._rule.limit
            self._rule.finished(started_at=started_at, now=now, strained=strained, busy=busy)
            self._wake()

    def acquire_nowait(self) -> bool:
        """Take a place if one is free; none is while anybody waits, because each that comes free goes to the first."""
        if self._taken < self.limit:
            self._taken += 1
            return True
        return False

    async def acquire(self) -> None:
        """Wait for a place; the holder gives it back with `release`. Cancelled waiters leave no trace."""
        if self.acquire_nowait():
            return
        turn = anyio.Event()
        self._waiters.append(turn)
        try:
            await turn.wait()
        except BaseException:
            if turn.is_set():
                # the place was already given: pass it on
                self.release()
            else:
                self._waiters.remove(turn)
            raise

    def release(self) -> None:
        """Give a place back."""
        self._taken -= 1
        self._wake()

    def _wake(self) -> None:
        while self._waiters and self._taken < self.limit:
            self._taken += 1
            self._waiters.popleft().set()

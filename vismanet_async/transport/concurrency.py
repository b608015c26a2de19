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


def read_concurrency(value: int | str, *, name: str = "concurrency") -> int | None:
    """Read the setting: a number from 1 up, or `auto` (None)."""
    if value == "auto":
        return None
    try:
        number = int(value)
    except ValueError:
        number = 0
    if isinstance(value, bool) or number < 1:
        raise SettingsError(f"{name} must be a number from 1 up, or auto, not {value!r}.")
    return number


@attrs.define
class ConcurrencyRule:
    """Climbs while throughput climbs, halves on strain. Takes the time as an argument."""

    limit: int = _START
    maximum: int = MAX_AUTO
    _done: int = 0
    _saturated: bool = True
    _since: float | None = None
    _last_rate: float = 0.0
    _last_limit: int = 0
    _hold_until: float = 0.0

    def finished(self, *, now: float, strained: bool, saturated: bool) -> None:
        """Take in one finished request.

        Args:
            now: monotonic seconds.
            strained: it was throttled, timed out, or the server was busy.
            saturated: all slots were taken meanwhile; only then does the rate say anything about the limit.
        """
        if strained:
            if now >= self._hold_until - _HOLD_SECONDS + 1.0:
                # answers of one burst come in together; they are one sign of strain, not many
                self.limit = max(1, self.limit // 2)
                self._hold_until = now + _HOLD_SECONDS
            self._restart(now)
            self._last_rate = 0.0
            return
        if self._since is None:
            self._restart(now)
            return
        self._done += 1
        self._saturated = self._saturated and saturated
        if self._done < 2 * self.limit:
            return
        rate = self._done / max(now - self._since, 1e-6)
        if self._saturated:
            self._step(rate, now)
        self._restart(now)

    def _step(self, rate: float, now: float) -> None:
        if self._last_limit < self.limit and self._last_rate and rate < self._last_rate * _WORTH_IT:
            self.limit, self._last_rate = max(1, self._last_limit), 0.0
            self._hold_until = now + _HOLD_SECONDS
        elif now >= self._hold_until and self.limit < self.maximum:
            self._last_rate, self._last_limit = rate, self.limit
            self.limit = min(self.maximum, self.limit * 2)

    def _restart(self, now: float) -> None:
        self._done, self._since, self._saturated = 0, now, True


class Slots:
    """Hands out places in flight, first come first served. One per company; tasks share it freely."""

    def __init__(self, fixed: int | None = None) -> None:
        self._rule = None if fixed else ConcurrencyRule()
        self._fixed = fixed or 0
        self._taken = 0
        self._waiters: deque[anyio.Event] = deque()

    @property
    def limit(self) -> int:
        """How many may be in flight now."""
        return self._rule.limit if self._rule else self._fixed

    @property
    def ceiling(self) -> int:
        """How many may ever be in flight; what a worker pool is sized by."""
        return self._rule.maximum if self._rule else self._fixed

    @property
    def in_flight(self) -> int:
        """How many are in flight now."""
        return self._taken

    def finished(self, *, now: float, strained: bool) -> None:
        """Tell how a request ended, while its slot is still held."""
        if self._rule:
            self._rule.finished(now=now, strained=strained, saturated=self._taken >= self._rule.limit)
            self._wake()

    async def acquire(self) -> None:
        """Wait for a place; the holder gives it back with `release`. Cancelled waiters leave no trace."""
        if self._taken < self.limit and not self._waiters:
            self._taken += 1
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

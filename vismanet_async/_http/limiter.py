"""Limits the requests in flight; the best limit is found by trial. `AdaptiveLimit` is pure, `ConcurrencyLimiter` waits.

The service documents no limit (docs/facts.md 3). So the limit starts low, increases while that raises throughput, and
is halved when the server is overloaded.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import anyio
import attrs

from vismanet_async.errors import SettingsError

__all__ = ["MAX_AUTO", "AdaptiveLimit", "ConcurrencyLimiter", "read_concurrency"]

MAX_AUTO: Final = 16
"""The maximum of `auto`; above it no gain for exports was measured."""
_START: Final = 4
_MIN_GAIN: Final = 1.10
"""A higher limit is kept only if it raises throughput by a tenth."""
_HOLD_SECONDS: Final = 30.0
"""After an overload, or an increase without gain, the limit stays unchanged for this long."""
_BUSY_RATIO: Final = 0.75
"""Throughput is measured only while at least this share of the limit is in flight."""


def read_concurrency(value: int | str, *, name: str = "concurrency") -> int | None:
    """Return the setting's number, from 1 up; None for `auto`.

    Raises:
        SettingsError: the value is anything else.
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
class AdaptiveLimit:
    """Increases the limit while throughput increases, and halves it on overload. Pure: time is an argument.

    Args:
        limit: the most requests in flight, now.
        maximum: the limit never exceeds this.
    """

    limit: int = _START
    maximum: int = MAX_AUTO
    _done: int = 0
    _since: float | None = None
    _last_rate: float | None = None
    """The rate measured at `_last_limit`, while the higher limit is being tested."""
    _last_limit: int = 0
    _hold_until: float = 0.0
    _overloaded_at: float | None = None

    def finished(self, *, started_at: float, now: float, overloaded: bool, busy: bool) -> None:
        """Update the limit after a request.

        Args:
            started_at: when it was sent, in monotonic seconds.
            now: monotonic seconds.
            overloaded: it was throttled, got no response, or the server was unavailable.
            busy: the slots were in use meanwhile; only then does the rate depend on the limit.
        """
        if overloaded:
            self._back_off(started_at, now)
        elif not busy:
            self._since, self._done = None, 0
        elif self._since is None:
            self._since, self._done = now, 0
        else:
            self._done += 1
            if self._done >= 2 * self.limit:
                self._evaluate(self._done / max(now - self._since, 1e-6), now)
                self._since, self._done = now, 0

    def _back_off(self, started_at: float, now: float) -> None:
        # requests sent before the last halving belong to the same overload: it is counted once
        if self._overloaded_at is None or started_at >= self._overloaded_at:
            self.limit = max(1, self.limit // 2)
            self._overloaded_at = now
        self._hold_until = now + _HOLD_SECONDS
        self._since, self._done, self._last_rate = None, 0, None

    def _evaluate(self, rate: float, now: float) -> None:
        if self._last_rate is not None and rate < self._last_rate * _MIN_GAIN:
            self.limit, self._last_rate = self._last_limit, None
            self._hold_until = now + _HOLD_SECONDS
        elif now >= self._hold_until and self.limit < self.maximum:
            self._last_rate, self._last_limit = rate, self.limit
            self.limit = min(self.maximum, self.limit * 2)
        else:
            self._last_rate = None


class ConcurrencyLimiter:
    """A limiter of the requests in flight, first come first served. One for each company and service."""

    def __init__(self, fixed: int | None = None) -> None:
        self._adaptive = None if fixed else AdaptiveLimit()
        self._fixed = fixed or 0
        self._cap: int | None = None
        self._in_flight = 0
        self._waiters: deque[anyio.Event] = deque()

    def like_this(self) -> ConcurrencyLimiter:
        """Return a new limiter with the same settings, for another service."""
        return ConcurrencyLimiter(self._fixed or None)

    @property
    def limit(self) -> int:
        """The most requests in flight, now."""
        limit = self._adaptive.limit if self._adaptive else self._fixed
        return limit if self._cap is None else min(limit, self._cap)

    @property
    def maximum(self) -> int:
        """The highest value that `limit` may reach; worker pools are sized by it."""
        return self._adaptive.maximum if self._adaptive else self._fixed

    @property
    def in_flight(self) -> int:
        """The number of requests in flight."""
        return self._in_flight

    def cap(self, maximum: int | None) -> None:
        """Allow at most `maximum` in flight, whatever the limit (`Quota.max_in_flight`); None removes the cap."""
        if maximum != self._cap:
            self._cap = maximum
            self._wake()

    def finished(self, *, started_at: float, now: float, overloaded: bool) -> None:
        """Update the limit after a request. Call this before `release`."""
        if self._adaptive:
            busy = self._in_flight >= _BUSY_RATIO * self._adaptive.limit
            self._adaptive.finished(started_at=started_at, now=now, overloaded=overloaded, busy=busy)
            self._wake()

    def acquire_nowait(self) -> bool:
        """Acquire a slot without waiting and return whether there was one; a released slot goes to the first waiter."""
        if self._in_flight < self.limit:
            self._in_flight += 1
            return True
        return False

    async def acquire(self) -> None:
        """Wait for a slot and acquire it. A cancelled waiter keeps none."""
        if self.acquire_nowait():
            return
        acquired = anyio.Event()
        self._waiters.append(acquired)
        try:
            await acquired.wait()
        except BaseException:
            if acquired.is_set():
                # this waiter already owns the slot
                self.release()
            else:
                self._waiters.remove(acquired)
            raise

    def release(self) -> None:
        """Release a slot."""
        self._in_flight -= 1
        self._wake()

    def _wake(self) -> None:
        while self._waiters and self._in_flight < self.limit:
            self._in_flight += 1
            self._waiters.popleft().set()

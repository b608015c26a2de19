"""Limits the requests in flight; the best limit is found by trial. `AdaptiveLimit` is pure, `ConcurrencyLimiter` waits.

The service documents no limit (docs/facts.md 3). So the limit starts at 8, where a public client stops. It is raised
while that raises throughput, lowered where answers only wait for one another, and halved when the server is overloaded.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

import attrs

from vismanet_async.errors import SettingsError

if TYPE_CHECKING:
    from vismanet_async._clock import Clock

__all__ = ["MAX_AUTO", "AdaptiveLimit", "ConcurrencyLimiter", "read_concurrency"]

MAX_AUTO: Final = 16
"""The maximum of `auto`; above it no gain for exports was measured."""
_START: Final = 8
"""Half of it is tried next where answers take so long that most of them wait for one another."""
_MIN_GAIN: Final = 1.10
"""A higher limit is kept only if it raises throughput by a tenth."""
_AGREE: Final = 1.5
"""A round whose slowest answer began at most so many times as late as its quickest says enough; else two are needed.
The bodies count less: large ones are read one after the other, so that the last takes as long as all together."""
_QUEUED: Final = 2.0
"""Answers wait for one another if the mean of them takes so many times as long as the quickest."""
_HOLD_SECONDS: Final = 30.0
"""After an overload, or an increase without gain, the limit stays unchanged for this long."""
_LEAST_SECONDS: Final = 1e-6
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

    Throughput is taken from how long the answers of a round take, a round being as many as the limit is. Only requests
    that were sent under the present limit count. One round is enough where its answers agree, else it takes two.

    Args:
        limit: the most requests in flight, now.
        maximum: the limit never exceeds this.
    """

    limit: int = _START
    maximum: int = MAX_AUTO
    _took: list[float] = attrs.field(factory=list)
    """The seconds of each answer of the round: of those requests that were sent under the present limit."""
    _began: list[float] = attrs.field(factory=list)
    """The seconds until each of them began."""
    _since: float = -math.inf
    """When the limit became what it is."""
    _last_rate: float | None = None
    """The rate measured at `_last_limit`, while the higher limit is being tested."""
    _last_limit: int = 0
    _tried_less: bool = False
    _hold_until: float = 0.0
    _overloaded_at: float | None = None

    def finished(
        self, *, started_at: float, now: float, overloaded: bool, busy: bool, answered_at: float | None = None
    ) -> None:
        """Update the limit after a request.

        Args:
            started_at: when it was sent, in monotonic seconds.
            now: monotonic seconds.
            answered_at: when its answer began; None: now.
            overloaded: it was throttled, got no response, or the server was unavailable.
            busy: the slots were in use meanwhile; only then does the rate depend on the limit.
        """
        if overloaded:
            self._back_off(started_at, now)
        elif not busy:
            self._forget()
        elif started_at >= self._since:
            self._took.append(max(now - started_at, _LEAST_SECONDS))
            self._began.append(max((now if answered_at is None else answered_at) - started_at, _LEAST_SECONDS))
            count = len(self._took)
            # where answers differ, the first of them came before a queue had formed
            if count >= 2 * self.limit or (count == self.limit and self._agree()):
                mean = self._mean()
                # as many are answered in the time of one answer as are under way (Little's law)
                self._evaluate(self.limit / mean, now, queued=mean >= _QUEUED * min(self._took))
                self._forget()

    def _mean(self) -> float:
        return sum(self._took[-self.limit :]) / self.limit

    def _agree(self) -> bool:
        quickest = min(self._began)
        return max(self._began) <= _AGREE * quickest and self._mean() < _QUEUED * quickest

    def _forget(self) -> None:
        self._took.clear()
        self._began.clear()

    def _back_off(self, started_at: float, now: float) -> None:
        # requests sent before the last halving belong to the same overload: it is counted once
        if self._overloaded_at is None or started_at >= self._overloaded_at:
            self._set(max(1, self.limit // 2), now)
            self._overloaded_at = now
        self._hold_until = now + _HOLD_SECONDS
        self._last_rate = None
        self._forget()

    def _evaluate(self, rate: float, now: float, *, queued: bool) -> None:
        last, self._last_rate = self._last_rate, None
        if last is not None:
            raised = self.limit > self._last_limit
            pays = rate >= last * _MIN_GAIN if raised else rate * _MIN_GAIN >= last
            if not pays:
                self._set(self._last_limit, now)
            if raised is not pays:  # more brings nothing: that is known for a while
                self._hold_until = now + _HOLD_SECONDS
            if not pays:
                return
        if now < self._hold_until:
            return
        if queued and self.limit == _START and not self._tried_less:
            self._last_rate, self._last_limit, self._tried_less = rate, self.limit, True
            self._set(_START // 2, now)
        elif self.limit < self.maximum:
            self._last_rate, self._last_limit = rate, self.limit
            self._set(min(self.maximum, self.limit * 2), now)

    def _set(self, limit: int, now: float) -> None:
        self.limit, self._since = limit, now


class ConcurrencyLimiter:
    """A limiter of the requests in flight, first come first served. One for each company and service."""

    def __init__(self, fixed: int | None = None) -> None:
        self._adaptive = None if fixed else AdaptiveLimit()
        self._fixed = fixed or 0
        self._cap: int | None = None
        self.limit = self._limit()
        """The most requests in flight, now."""
        self._in_flight = 0
        self._waiters: deque[asyncio.Future[bool]] = deque()
        """A future for each: thousands may wait, and a scope and an event cost a third of a small call."""

    def like_this(self) -> ConcurrencyLimiter:
        """Return a new limiter with the same settings, for another service."""
        return ConcurrencyLimiter(self._fixed or None)

    def _limit(self) -> int:
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
            self.limit = self._limit()
            if self._waiters:
                self._wake()

    def finished(self, *, started_at: float, now: float, overloaded: bool, answered_at: float | None = None) -> None:
        """Update the limit after a request. Call this before `release`."""
        if self._adaptive:
            busy = self._in_flight >= _BUSY_RATIO * self._adaptive.limit
            self._adaptive.finished(
                started_at=started_at, now=now, overloaded=overloaded, busy=busy, answered_at=answered_at
            )
            self.limit = self._limit()
            self._wake()

    def acquire_nowait(self) -> bool:
        """Acquire a slot without waiting and return whether there was one; a released slot goes to the first waiter."""
        if self._in_flight < self.limit:
            self._in_flight += 1
            return True
        return False

    async def acquire(self, *, clock: Clock | None = None, seconds: float = math.inf) -> bool:
        """Wait for a slot and acquire it. A cancelled waiter keeps none.

        Args:
            clock: what the wait goes by; None: it has no end.
            seconds: how long to wait.

        Returns:
            Whether there was one in time.
        """
        if self.acquire_nowait():
            return True
        if seconds <= 0:
            return False
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        timer = None if clock is None else clock.call_later(seconds, partial(self._expire, waiter))
        try:
            return await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled() and waiter.result():
                # this waiter already owns the slot
                self.release()
            else:
                with suppress(ValueError):  # a release may have passed over it already
                    self._waiters.remove(waiter)
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def _expire(self, waiter: asyncio.Future[bool]) -> None:
        if not waiter.done():
            self._waiters.remove(waiter)
            waiter.set_result(False)

    def release(self) -> None:
        """Release a slot."""
        self._in_flight -= 1
        if self._waiters:
            self._wake()

    def _wake(self) -> None:
        while self._waiters and self._in_flight < self.limit:
            waiter = self._waiters.popleft()
            if not waiter.done():  # else its task was cancelled, and leaves the queue with its next step
                self._in_flight += 1
                waiter.set_result(True)

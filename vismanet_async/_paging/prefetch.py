"""Prefetch window: how many pages are in flight or buffered, so that the consumer need not wait (no IO, no clock)."""

from __future__ import annotations

import math
from collections import deque
from typing import Final

import attrs

__all__ = ["PrefetchWindow"]

_RESERVE_PAGES: Final = 1
"""One page in reserve; a consumer that wants more buffers them itself."""
_LOW_LATENCY_SECONDS: Final = 0.08
"""A first response this fast, connection setup included, means low latency; the second refines the estimate."""
_VARIATION: Final = 4
"""Of a slower server, responses may take this many times the fastest: they vary, and a wait for one is long."""
_WEIGHT: Final = 1 / 8
"""Weight of the newest page in the mean."""
_RECENT: Final = 64
"""Consecutive slow responses needed before the latency estimate is raised."""


@attrs.define(eq=False, repr=False)
class PrefetchWindow:
    """Computes the window: the pages consumed during one response time, and a small reserve.

    More would only pile up in memory where the server is fast or the consumer slow. Only the fastest response counts:
    the others waited for this process and for one another, so that a window based on them would keep growing.

    Examples:
        >>> window = PrefetchWindow()
        >>> window.response_time(0.300)
        >>> window.consumer_time(0.010)
        >>> window.pages(in_flight=8)
        16
        >>> window.response_time(0.004)
        >>> window.pages(in_flight=8)
        2
    """

    _answers: deque[float] = attrs.field(factory=lambda: deque(maxlen=_RECENT))
    _fastest: float = math.inf
    _from_disk: bool = False
    _loop_seconds: float | None = None
    _consumer_seconds: float | None = None

    def response_time(self, seconds: float) -> None:
        """Record how long a response of the server took."""
        self._answers.append(seconds)
        self._fastest = min(self._fastest, seconds)
        self._from_disk = False

    def served_from_cache(self) -> None:
        """Record a response that did not come from the server."""
        self._from_disk = True

    def loop_time(self, seconds: float) -> None:
        """Record the CPU time of the event loop's thread, for anything, since the page before."""
        self._loop_seconds = _mean(self._loop_seconds, seconds)

    def consumer_time(self, seconds: float) -> None:
        """Record how long the consumer was busy with a page."""
        self._consumer_seconds = _mean(self._consumer_seconds, seconds)

    def pages(self, *, in_flight: int) -> int:
        """Return how many pages may be in flight or buffered: at most twice the requests that may be in flight."""
        # both run concurrently, so pages would pile up in front of the slower one
        busy = max(self._loop_seconds or 0.0, self._consumer_seconds or 0.0)
        most = 2 * in_flight
        fastest = min(self._answers, default=math.inf)
        is_low_latency = fastest < _LOW_LATENCY_SECONDS
        if self._from_disk or (len(self._answers) == 1 and is_low_latency):
            return min(most, 1 + _RESERVE_PAGES)  # a full first wave of large pages would be the memory peak
        wait = self._fastest if is_low_latency else fastest * _VARIATION
        if not busy or wait >= busy * most:
            return most
        return min(most, math.ceil(wait / busy) + _RESERVE_PAGES)


def _mean(before: float | None, newest: float) -> float:
    return newest if before is None else before + (newest - before) * _WEIGHT

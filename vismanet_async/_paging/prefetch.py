"""How many pages a walk has under way and waiting: so many that its reader need not wait (no IO, no clock)."""

from __future__ import annotations

import math
from collections import deque
from typing import Final

import attrs

__all__ = ["PrefetchWindow"]

_STOCK_PAGES: Final = 1
"""One being read; a reader that wants more ready keeps it itself."""
_NEAR_SECONDS: Final = 0.08
"""A first answer within this time, the making of its connection included, is from near: the second tells how near."""
_SPARE_TIMES: Final = 4
"""Answers from further away may take this much longer than the fastest: they vary, and a wait for one is long."""
_WEIGHT: Final = 1 / 8
"""Of the newest page in the mean."""
_RECENT: Final = 64
"""Answers that must all be from further away before that is believed: servers become slower, too."""


@attrs.define
class PrefetchWindow:
    """The pages that are handled while an answer is on its way, and a small stock.

    More would only pile up in memory: of a server that is near, or for a reader that is slow. Only the fastest answer
    counts, because the others waited for this process and for one another: by them, a window would grow by itself.

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
        """Take note of how long an answer of the server took."""
        self._answers.append(seconds)
        self._fastest = min(self._fastest, seconds)
        self._from_disk = False

    def served_from_cache(self) -> None:
        """Take note of an answer that did not come from the server."""
        self._from_disk = True

    def loop_time(self, seconds: float) -> None:
        """Take note of how long the event loop was at work, with whatever, since the page before."""
        self._loop_seconds = _mean(self._loop_seconds, seconds)

    def consumer_time(self, seconds: float) -> None:
        """Take note of how long the reader was busy with a page."""
        self._consumer_seconds = _mean(self._consumer_seconds, seconds)

    def pages(self, *, in_flight: int) -> int:
        """Give how many pages may be in flight or waiting, where so many requests may be; at most twice as many."""
        # both go on side by side, so the slower one is what the others would pile up before
        busy = max(self._loop_seconds or 0.0, self._consumer_seconds or 0.0)
        most = 2 * in_flight
        fastest = min(self._answers, default=math.inf)
        is_near = fastest < _NEAR_SECONDS
        if self._from_disk or (len(self._answers) == 1 and is_near):
            return min(most, 1 + _STOCK_PAGES)  # a full first wave of large pages would be the peak of memory
        wait = self._fastest if is_near else fastest * _SPARE_TIMES
        if not busy or wait >= busy * most:
            return most
        return min(most, math.ceil(wait / busy) + _STOCK_PAGES)


def _mean(before: float | None, newest: float) -> float:
    return newest if before is None else before + (newest - before) * _WEIGHT

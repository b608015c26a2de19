"""The rate-limit window as the server tells it, and the pause that everybody takes after a 429.

Headers and their history: docs/facts.md 3. `Quota` is pure: the time comes in as an argument.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

__all__ = ["Quota", "retry_after_seconds"]

_EPOCH_FROM: Final = 1_000_000_000
"""A reset above this is an epoch timestamp, as older gateways sent it, not a number of seconds."""
_WITHOUT_HINT_SECONDS: Final = 30.0
"""The pause after a 429 without Retry-After or reset; short windows are a minute long."""
_SPREAD: Final = 0.1
_SPREAD_CAP_SECONDS: Final = 3.0
_SAME_WINDOW_SECONDS: Final = 2.0


def retry_after_seconds(headers: Mapping[str, str], *, utc_now: datetime) -> float | None:
    """Read how long to wait: Retry-After first, then the window's reset. None when neither can be read."""
    for name in ("Retry-After", "X-RateLimit-Reset"):
        value = _number(headers.get(name))
        if value is not None:
            return max(0.0, value - utc_now.timestamp()) if value > _EPOCH_FROM else value
    return None


@attrs.define(kw_only=True)
class Quota:
    """What one company's budget looks like from here. Shared by everything that uses the same token.

    All times are seconds of the client's monotonic clock.
    """

    limit: int | None = None
    """Requests per window, as last told."""
    remaining: int | None = None
    """Requests left in the window, as last told; never counted down here."""
    policy: str | None = None
    resets_at: float | None = None
    paused_until: float = 0.0
    """Nobody sends before this."""
    in_flight: int = 0
    throttled: int = 0
    """How many 429 answers there were."""

    def wait_seconds(self, now: float) -> float:
        """Tell how long the next request must wait; 0 when it may go.

        The last requests of a window are not raced for: those in flight are taken off what is left.
        """
        wait = self.paused_until - now
        if self.resets_at is not None and self.resets_at > now and self.remaining is not None:
            used_up = self.remaining <= self.in_flight
            if used_up:
                wait = max(wait, self.resets_at - now)
        return max(0.0, wait)

    def observe(
        self, headers: Mapping[str, str], *, status: int, now: float, utc_now: datetime, randomness: float
    ) -> None:
        """Take in one answer.

        Args:
            headers: the answer's headers, case-insensitive.
            status: its HTTP status; 429 starts the shared pause.
            now: monotonic seconds.
            utc_now: the wall clock, for resets given as epoch timestamps.
            randomness: 0 to 1; spreads the restart after a pause.
        """
        reset = _number(headers.get("X-RateLimit-Reset"))
        if reset is not None:
            if reset > _EPOCH_FROM:
                reset = max(0.0, reset - utc_now.timestamp())
            self._window(headers, now + reset, now)
        if status == 429:  # noqa: PLR2004 - statuses are clearest as numbers
            self.throttled += 1
            pause = retry_after_seconds(headers, utc_now=utc_now)
            pause = _WITHOUT_HINT_SECONDS if pause is None else pause
            pause += randomness * min(_SPREAD_CAP_SECONDS, _SPREAD * pause)
            self.paused_until = max(self.paused_until, now + pause)

    def _window(self, headers: Mapping[str, str], resets_at: float, now: float) -> None:
        limit = _number(headers.get("X-RateLimit-Limit"))
        remaining = _number(headers.get("X-RateLimit-Remaining"))
        self.policy = headers.get("X-RateLimit-Policy", self.policy)
        if limit is not None:
            self.limit = int(limit)
        if remaining is None:
            return
        left = max(0, int(remaining))
        same = (
            self.resets_at is not None
            and self.resets_at > now
            and abs(resets_at - self.resets_at) <= _SAME_WINDOW_SECONDS
        )
        # answers overtake each other; within one window the budget only falls
        self.remaining = min(left, self.remaining) if same and self.remaining is not None else left
        self.resets_at = resets_at


def _number(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        value = float(text.strip())
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None

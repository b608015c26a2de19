"""The rate-limit window that the server reports, and the pause of all requests after a 429.

Headers and their history: docs/facts.md 3. `Quota` is pure: the time is an argument.
"""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import attrs

from vismanet_async._decimals import number_in

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

__all__ = ["Quota", "http_date", "retry_after_seconds"]

_EPOCH_FROM: Final = 1_000_000_000
"""A reset above this is an epoch timestamp, as older gateways sent it, not a number of seconds."""
_MAX_SECONDS: Final = 86_400.0
"""Windows last an hour at most (docs/facts.md 3.3): a value of more than a day is in another unit, and is ignored."""
_FEW_DIGITS: Final = 16
"""Whole numbers of fewer digits are exact as a float."""
_WITHOUT_HINT_SECONDS: Final = 30.0
"""The pause after a 429 without a usable hint; the shortest windows are a minute long."""
_MIN_PAUSE_SECONDS: Final = 1.0
"""The shortest pause after a 429, even for `Retry-After: 0`: whole seconds are rounded, and five 429 end a call."""
_SPREAD: Final = 0.1
_SPREAD_CAP_SECONDS: Final = 3.0
_SAME_WINDOW_SECONDS: Final = 2.0


def retry_after_seconds(headers: Mapping[str, str], *, utc_now: datetime) -> float | None:
    """Return the seconds of `Retry-After`, a number or an HTTP date; None if it is missing or unusable.

    A date in the past means now. It is compared with the response's own `Date` if there is one, because the server's
    clock may differ from ours.
    """
    text = headers.get("Retry-After")
    if text is None:
        return None
    number = _number(text)
    if number is not None and number <= _EPOCH_FROM:
        return _from_now(number, utc_now)
    moment = http_date(text)
    at = number if moment is None else moment.timestamp()
    if at is None:
        return None
    seconds = at - (http_date(headers.get("Date")) or utc_now).timestamp()
    return max(0.0, seconds) if seconds <= _MAX_SECONDS else None


@attrs.define(kw_only=True)
class Quota:
    """The rate limit of one company at one service, as last reported. All users of the same token share it.

    All times are seconds of the client's monotonic clock.

    Examples:
        >>> customer = await visma.customer.get("10000")
        >>> visma.quota.remaining < visma.quota.limit
        True
    """

    limit: int | None = None
    """Requests per window, as last reported."""
    remaining: int | None = None
    """Requests left in the window, as last reported; never counted down here (docs/facts.md 3.9)."""
    policy: str | None = None
    resets_at: float | None = None
    """When the window of `remaining` ends."""
    paused_until: float = 0.0
    """No request is sent before this."""
    throttled: int = 0
    """The number of 429 responses."""

    def wait_seconds(self, now: float) -> float:
        """Return how long the next request must wait; 0 if it may be sent now."""
        wait = self.paused_until - now
        if self.remaining == 0 and self.resets_at is not None:
            wait = max(wait, self.resets_at - now)
        return max(0.0, wait)

    def max_in_flight(self, now: float) -> int | None:
        """Return how many requests may be in flight without exceeding the window; None for any number.

        Never below 1: for an empty window `wait_seconds` applies.
        """
        if self.remaining is None or self.resets_at is None or self.resets_at <= now:
            return None
        return max(1, self.remaining)

    def observe(
        self, headers: Mapping[str, str], *, status: int, now: float, utc_now: datetime, randomness: float
    ) -> None:
        """Update the quota after a response.

        Args:
            headers: the response's headers, case-insensitive.
            status: its HTTP status; 429 starts the shared pause.
            now: monotonic seconds.
            utc_now: the wall clock, for resets given as epoch timestamps.
            randomness: 0 to 1; spreads the restart after a pause.
        """
        reset = _number(headers.get("X-RateLimit-Reset"))
        if reset is not None and reset > _EPOCH_FROM:
            utc_now = http_date(headers.get("Date")) or utc_now
        if reset is not None:
            reset = _from_now(reset, utc_now)
        if reset is not None:
            self._window(headers, now + reset, now)
        if status == 429:  # noqa: PLR2004 - statuses are clearest as numbers
            self._pause(retry_after_seconds(headers, utc_now=utc_now), reset, now, randomness)

    def _pause(self, retry_after: float | None, reset: float | None, now: float, randomness: float) -> None:
        self.throttled += 1
        if retry_after is not None:
            # it takes precedence over the window's end (docs/facts.md 3.1)
            self.remaining = None
        pause = next((seconds for seconds in (retry_after, reset) if seconds is not None), _WITHOUT_HINT_SECONDS)
        pause = max(_MIN_PAUSE_SECONDS, pause)
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
        left = int(remaining)
        same = (
            self.resets_at is not None
            and self.resets_at > now
            and abs(resets_at - self.resets_at) <= _SAME_WINDOW_SECONDS
        )
        # responses arrive out of order; within one window the number only decreases
        self.remaining = min(left, self.remaining) if same and self.remaining is not None else left
        self.resets_at = resets_at


def _from_now(value: float, utc_now: datetime) -> float | None:
    """Return seconds from now, given seconds or an epoch timestamp; None if the unit or the clocks must be wrong."""
    if value > _EPOCH_FROM:
        value -= utc_now.timestamp()
    return value if 0 <= value <= _MAX_SECONDS else None


def http_date(text: str | None) -> datetime | None:
    """Return the moment of an HTTP date; None for anything else."""
    try:
        moment = parsedate_to_datetime(text or "")
    except (ValueError, OverflowError, TypeError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment  # "-0000" is UTC of unknown origin


@lru_cache(maxsize=64)  # most headers say what the last response said
def _number(text: str | None) -> float | None:
    if text is None:
        return None
    if len(text) < _FEW_DIGITS and text.isascii() and text.isdecimal():
        return float(text)  # as nearly all are
    value = number_in(text.strip())
    return None if value is None or value < 0 else float(value)

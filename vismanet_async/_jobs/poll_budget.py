"""`PollBudget`: how many polls the shared quota allows, and when. Pure: times come in as arguments."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vismanet_async._jobs.schedule import Rules

__all__ = ["PollBudget"]


class PollBudget:
    """The part of the rate-limit window that polls of this process may use, spread evenly over its rest."""

    def __init__(self, rules: Rules) -> None:
        self.workers = 1
        """How many processes share the quota; each takes its part."""
        self.resets_at = -math.inf
        """When the window ends, as the server last reported it."""
        self.share = rules.share
        """The part of what is left that polls may use."""
        self.at_once = 0.0
        """How many polls of this window may still be sent without being spread."""
        self._rules = rules
        self._paused_until = -math.inf
        self._allowance: float | None = None
        self._next_free = -math.inf

    def observe(self, *, now: float, remaining: int, resets_at: float) -> None:
        """Record what an answer says about the rate-limit window."""
        allowance = remaining * self.share / self.workers
        same_window = self._allowance is not None and now < self.resets_at and resets_at <= self.resets_at + 2.0
        # within a window the allowance only falls: what others leave over is not ours to take
        self._allowance = min(allowance, self._allowance or 0.0) if same_window else allowance
        at_once = self._allowance * self._rules.at_once_share
        self.at_once = min(at_once, self.at_once) if same_window else at_once
        self.resets_at = resets_at

    def is_known(self, now: float) -> bool:
        """Return whether an answer has said how much is left of the present window."""
        return self._allowance is not None and now < self.resets_at

    def pause(self, until: float) -> None:
        """Allow nothing before this moment."""
        self._paused_until = max(self._paused_until, until)

    def spend(self, now: float, *, at_once: bool = False) -> None:
        """Count one poll."""
        if at_once:
            self.at_once -= 1
        else:
            self._next_free = max(self._next_free, now) + 1 / self.rate(now)
        if now < self.resets_at:
            self._next_free = min(self._next_free, self.resets_at)
        if self._allowance is not None:
            self._allowance -= 1

    def rate(self, now: float) -> float:
        """Return the polls per second that the quota allows from here to the window's end."""
        if self._allowance is None or not self.is_known(now):
            return self._rules.unknown_quota_per_second / self.workers
        return max(self._allowance, 1e-6) / max(self.resets_at - now, 1.0)

    def open_at(self, now: float) -> float:
        """Return the moment before which no poll is allowed, urgent ones included."""
        if self._allowance is not None and self._allowance < 1 and now < self.resets_at:
            return max(self._paused_until, self.resets_at)
        return self._paused_until

    def paced_at(self, now: float) -> float:
        """Return the moment before which no poll is allowed that is not urgent."""
        return self._next_free - self._rules.burst / self.rate(now)

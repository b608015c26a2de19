"""Rate limits: hourly windows per company and client, and the older rules on repeated requests."""

from __future__ import annotations

from collections import deque
from math import ceil
from typing import TYPE_CHECKING

from attrs import define, field

from vismanet_async._simulator.messages import Reply, gateway_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vismanet_async._simulator.behaviours import Behaviours
    from vismanet_async._simulator.clock import Clock

__all__ = ["Limits", "Window"]

_SAME_REQUESTS, _SAME_SECONDS = 5, 60.0
_FAILURES, _FAILURE_SECONDS = 2, 300.0
_BURST_SECONDS, _LOCK_OUT_SECONDS = 10.0, 120.0
_MEMORY = 10_000


@define
class Window:
    """One fixed window of a policy."""

    policy: str
    limit: int
    seconds: float = 3600.0
    used: int = 0
    opened_at: float | None = None

    def roll(self, now: float) -> None:
        """Start a new window where the old one is over."""
        if self.opened_at is None or not self.opened_at <= now < self.opened_at + self.seconds:
            self.opened_at, self.used = now, 0

    def reset_seconds(self, now: float) -> int:
        """Return the seconds until the window is over."""
        return max(1, ceil((self.opened_at or now) + self.seconds - now))


@define
class Limits:
    """The windows and rules of one company.

    The numbers are not published (facts 3.6); 15,000 an hour was the last one known for production clients,
    500 for the old base URL and for sales orders v1 and v2.
    """

    clock: Clock
    behaviours: Behaviours
    limit: int = 15_000
    old_limit: int = 500
    seconds: float = 3600.0
    _windows: dict[tuple[str, str], Window] = field(factory=dict)
    _same: dict[tuple[str, ...], deque[float]] = field(factory=dict)
    _locked_until: dict[str, float] = field(factory=dict)
    _failed: dict[tuple[str, ...], deque[float]] = field(factory=dict)

    def window(self, client_id: str, policy: str = "4-fixed-window") -> Window:
        """Return the current window of a client under a policy."""
        found = self._windows.get((client_id, policy))
        if found is None:
            limit = self.limit if policy.startswith("4") else self.old_limit
            found = self._windows[client_id, policy] = Window(policy, limit, self.seconds)
        found.roll(self.clock.now())
        return found

    def admit(self, client_id: str, policy: str, fingerprint: tuple[str, ...]) -> Reply | None:
        """Count a request; return the 429 to answer with, or None."""
        now = self.clock.now()
        if self.behaviours.same_request_rule:
            times = self._recent(self._same, fingerprint, now - _SAME_SECONDS)
            if len(times) >= _SAME_REQUESTS:
                return self._too_many("The same request was made too many times.", times[0] + _SAME_SECONDS - now)
            times.append(now)
        if self.behaviours.client_error_rule:
            times = self._recent(self._failed, fingerprint, now - _FAILURE_SECONDS)
            if len(times) >= _FAILURES:
                return self._too_many(
                    "A failing request was repeated too many times.", times[0] + _FAILURE_SECONDS - now
                )
        locked = self._burst(client_id, now)
        if locked > 0:
            return self._too_many("Rate limit is exceeded.", locked)
        window = self.window(client_id, policy)
        if window.used >= window.limit:
            left = window.reset_seconds(now)
            return self._too_many(f"Rate limit is exceeded. Try again in {left} seconds.", left)
        window.used += 1
        return None

    def _burst(self, client_id: str, now: float) -> float:
        """Return the seconds that the client is locked out for."""
        most = self.behaviours.burst_limit_requests
        if not most:
            return 0.0
        times = self._recent(self._same, ("burst", client_id), now - _LOCK_OUT_SECONDS)
        recent = [at for at in times if at > now - _BURST_SECONDS]
        if len(recent) >= most:
            self._locked_until[client_id] = now + _LOCK_OUT_SECONDS
        left = self._locked_until.get(client_id, 0.0) - now
        if left <= 0:
            times.append(now)
        return left

    def note_failure(self, fingerprint: tuple[str, ...]) -> None:
        """Remember that this request failed by the client's fault."""
        if self.behaviours.client_error_rule:
            self._recent(self._failed, fingerprint, self.clock.now() - _FAILURE_SECONDS).append(self.clock.now())

    def headers(self, client_id: str, policy: str) -> Mapping[str, str]:
        """Return the rate-limit headers that every answer carries."""
        now = self.clock.now()
        window = self.window(client_id, policy)
        reset = window.reset_seconds(now)
        made = {
            "X-RateLimit-Limit": str(window.limit),
            "X-RateLimit-Remaining": str(max(0, window.limit - window.used)),
            "X-RateLimit-Reset": str(reset if self.behaviours.reset_header == "seconds" else int(now + reset)),
            "X-RateLimit-Policy": policy,
        }
        return (
            {name.lower(): value for name, value in made.items()} if self.behaviours.lower_case_limit_headers else made
        )

    @staticmethod
    def _recent(memory: dict[tuple[str, ...], deque[float]], key: tuple[str, ...], since: float) -> deque[float]:
        if len(memory) > _MEMORY:
            for old in [known for known, times in memory.items() if not times or times[-1] <= since]:
                del memory[old]
        times = memory.setdefault(key, deque())
        while times and times[0] <= since:
            times.popleft()
        return times

    def _too_many(self, message: str, seconds: float) -> Reply:
        reply = gateway_error(429, message)
        if self.behaviours.retry_after_on_429:
            reply.headers["Retry-After"] = str(max(1, ceil(seconds)))
        return reply

"""The one place that knows time and sleep.

Everything that waits or measures takes a `Clock`, so that tests let hours pass in milliseconds.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

import anyio
import attrs

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

__all__ = ["Clock", "FrozenClock", "SystemClock", "Timer"]


class Timer(Protocol):
    """Something that is to happen."""

    def cancel(self) -> object:
        """Let it not happen; without effect where it has."""
        ...


class Clock(Protocol):
    """What the SDK asks of time."""

    def monotonic(self) -> float:
        """Seconds that only go forward; for durations and deadlines."""
        ...

    def utc_now(self) -> datetime:
        """The wall clock as an aware datetime in UTC; for records, never for durations."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; a cancellation point even for zero seconds."""
        ...

    def move_on_after(self, seconds: float) -> AbstractContextManager[anyio.CancelScope, bool]:
        """Return a scope whose block is cancelled after `seconds`; `cancelled_caught` tells whether it was."""
        ...

    def call_later(self, seconds: float, action: Callable[[], object]) -> Timer:
        """Call a function after `seconds`, unless the timer is cancelled before; cheaper than a scope."""
        ...


class SystemClock:
    """The computer's own clock."""

    monotonic = staticmethod(time.monotonic)  # without a call in between: it is asked several times a request

    def utc_now(self) -> datetime:
        """The wall clock in UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait on the event loop."""
        await anyio.sleep(max(0.0, seconds))

    def move_on_after(self, seconds: float) -> AbstractContextManager[anyio.CancelScope, bool]:
        """Return a scope that ends by the event loop's time."""
        # what `anyio.move_on_after` does, which first looks for the library that the loop belongs to
        return anyio.CancelScope(deadline=asyncio.get_running_loop().time() + max(0.0, seconds))

    def call_later(self, seconds: float, action: Callable[[], object]) -> Timer:
        """Call a function by the event loop's time."""
        return asyncio.get_running_loop().call_later(max(0.0, seconds), action)


@attrs.frozen
class FrozenClock:
    """A clock with wall time frozen, so that a list that is read again sends the same requests."""

    clock: Clock
    began_at: datetime

    def monotonic(self) -> float:
        """Seconds that only go forward."""
        return self.clock.monotonic()

    def utc_now(self) -> datetime:
        """The moment at which the list was first read."""
        return self.began_at

    async def sleep(self, seconds: float) -> None:
        """Wait by the real clock."""
        await self.clock.sleep(seconds)

    def move_on_after(self, seconds: float) -> AbstractContextManager[anyio.CancelScope, bool]:
        """Return a scope that ends by the real clock's time."""
        return self.clock.move_on_after(seconds)

    def call_later(self, seconds: float, action: Callable[[], object]) -> Timer:
        """Call a function by the real clock's time."""
        return self.clock.call_later(seconds, action)

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
    from types import TracebackType
    from typing import Self

__all__ = ["Clock", "FrozenClock", "SystemClock", "TimeLimit", "Timer"]


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


class TimeLimit:
    """Cuts off a block that takes too long; `expired` tells whether it did.

    A cancel scope for what each request does: a scope of anyio's looks after the tasks that were started within it,
    which takes longer than to encode a small body. Here there are none, and scopes around it or within stay in force.
    """

    __slots__ = ("_cancelling", "_clock", "_seconds", "_task", "_timer", "expired")

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self.expired = False

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("only a task can be cut off")
        self._task, self._cancelling = task, task.cancelling()
        self._timer = self._clock.call_later(self._seconds, self._expire)
        return self

    def _expire(self) -> None:
        self.expired = True
        self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._timer.cancel()
        # somebody else may have cancelled the task as well: then it goes on to them
        return self.expired and self._task.uncancel() <= self._cancelling and isinstance(error, asyncio.CancelledError)


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

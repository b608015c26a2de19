"""`Notifier`: wakes the poller when the schedule has changed, and those who wait for a job when there is news of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from vismanet_async._clock import Clock

__all__ = ["Notifier"]


class Notifier:
    """The events of one process that jobs are waited for with."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._news: dict[str, anyio.Event] = {}
        """For each job that is waited for."""
        self._wakeup = anyio.Event()

    def notify_waiters(self, own_id: str) -> None:
        """Make those who wait for a job look at it again."""
        event = self._news.pop(own_id, None)
        if event is not None:
            event.set()

    def notify_all(self) -> None:
        """Make everybody who waits for a job look at it again."""
        for own_id in [*self._news]:
            self.notify_waiters(own_id)

    async def wait_for_news(self, own_id: str, seconds: float) -> None:
        """Wait until there is news of a job, or so long."""
        await self._wait(self._news.setdefault(own_id, anyio.Event()), seconds)

    def wake(self) -> None:
        """Make the poller look at the schedule again."""
        self._wakeup.set()

    def reset_wakeup(self) -> None:
        """Re-arm the wake-up event: `wait_for_wakeup` notices what calls `wake` from here on."""
        self._wakeup = anyio.Event()

    async def wait_for_wakeup(self, seconds: float | None) -> None:
        """Wait until the schedule has changed, or so long; None for as long as it takes."""
        await self._wait(self._wakeup, seconds)

    async def _wait(self, event: anyio.Event, seconds: float | None) -> None:
        if seconds is None:
            await event.wait()
            return
        with self._clock.move_on_after(seconds):
            await event.wait()

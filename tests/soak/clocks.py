"""Time that goes faster while all IO stays real: an hour's pause takes a minute, on both sides of the wire."""

from __future__ import annotations

from attrs import define, field

from tests.jobs.fast import FastClock

__all__ = ["FastClock", "ServerClock"]


@define
class ServerClock:
    """The simulator's clock: as fast as the client's, and jumping on its own."""

    _fast: FastClock
    _jumped_seconds: float = field(default=0.0, init=False)

    def now(self) -> float:
        return self._fast.utc_now().timestamp() + self._jumped_seconds

    def advance(self, seconds: float) -> None:
        self._jumped_seconds += seconds

    async def sleep(self, seconds: float) -> None:
        await self._fast.sleep(seconds)

    async def wait_until(self, when: float) -> None:
        while (left := when - self.now()) > 0:
            await self._fast.sleep(left)

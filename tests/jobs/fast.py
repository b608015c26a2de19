"""Time that goes faster, for tests with processes of their own: no virtual clock can know when all of them wait.

It only makes what is waited for come sooner. Nothing that a test asserts may depend on how fast the machine is, so
limits are never on this clock: leases outlast the test (`crashing`), and HTTP has real seconds (`Patient`).
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import anyio
import attrs


class FastClock:
    """A clock on which a real second is `speed` seconds; processes with the same base agree on the time."""

    def __init__(self, speed: float = 100.0, *, base: float | None = None, ahead_seconds: float = 0.0) -> None:
        self.speed = speed
        self.base = time.time() if base is None else base
        self.ahead_seconds = ahead_seconds

    def patient(self) -> Patient:
        """Return the same time for a client."""
        return Patient(self.speed, base=self.base, ahead_seconds=self.ahead_seconds)

    def monotonic(self) -> float:
        return (time.time() - self.base) * self.speed

    def utc_now(self) -> datetime:
        return datetime.fromtimestamp(self.base, UTC) + timedelta(seconds=self.monotonic() + self.ahead_seconds)

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(max(0.0, seconds) / self.speed)

    def move_on_after(self, seconds: float) -> anyio.CancelScope:
        return anyio.move_on_after(max(0.0, seconds) / self.speed)


class Patient(FastClock):
    """For clients: scopes, which limit how long an answer may take, have real seconds."""

    def move_on_after(self, seconds: float) -> anyio.CancelScope:
        return anyio.move_on_after(max(0.0, seconds))


@attrs.frozen
class ServerClock:
    """The same time in the form in which the simulator asks for it."""

    clock: FastClock

    def now(self) -> float:
        return self.clock.base + self.clock.monotonic()

    def advance(self, seconds: float) -> None:
        raise NotImplementedError("processes agree on this time: it cannot jump in one of them")

    async def sleep(self, seconds: float) -> None:
        await self.clock.sleep(seconds)

    async def wait_until(self, when: float) -> None:
        while (left := when - self.now()) > 0:
            await self.clock.sleep(left)

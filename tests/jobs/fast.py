"""Time that goes faster, for tests with processes of their own: no virtual clock can know when all of them wait.

It only makes what is waited for come sooner. Nothing that a test asserts may depend on how fast the machine is, so
limits are never on this clock: leases outlast the test (`crashing`), and answers may take real seconds (`patient`).
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import anyio
import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

    from vismanet_async._client import VismaNet
    from vismanet_async._clock import Clock, Timer


class FastClock:
    """A clock on which a real second is `speed` seconds; processes with the same base agree on the time."""

    def __init__(self, speed: float = 100.0, *, base: float | None = None, ahead_seconds: float = 0.0) -> None:
        self.speed = speed
        self.base = time.time() if base is None else base
        self.ahead_seconds = ahead_seconds

    def monotonic(self) -> float:
        return (time.time() - self.base) * self.speed

    def utc_now(self) -> datetime:
        return datetime.fromtimestamp(self.base, UTC) + timedelta(seconds=self.monotonic() + self.ahead_seconds)

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(max(0.0, seconds) / self.speed)

    def move_on_after(self, seconds: float) -> anyio.CancelScope:
        return anyio.move_on_after(max(0.0, seconds) / self.speed)

    def call_later(self, seconds: float, action: Callable[[], object]) -> Timer:
        return asyncio.get_running_loop().call_later(max(0.0, seconds) / self.speed, action)


@attrs.frozen
class _Patient:
    """Any clock, but for its scopes, which take real seconds."""

    clock: Clock

    def __getattr__(self, name: str) -> Any:
        return getattr(self.clock, name)

    def move_on_after(self, seconds: float) -> anyio.CancelScope:
        return anyio.move_on_after(max(0.0, seconds))

    def call_later(self, seconds: float, action: Callable[[], object]) -> Timer:
        return asyncio.get_running_loop().call_later(max(0.0, seconds), action)


PATIENCE_SECONDS = 1e6
"""`timeout_seconds` of a client on a clock that goes faster, and how long a lease of its jobs lasts."""


def patient(visma: VismaNet) -> VismaNet:
    """Let a client on a fast clock wait for tokens and answers as long as one on a real clock, and keep its jobs."""
    visma.sender._clock = clock = cast("Clock", _Patient(visma.clock))
    for service in visma.sender._services.values():
        service.endpoint.tokens._clock = clock
    if visma._jobs.options.job_store is not None:
        visma.jobs._jobs.lease_seconds = PATIENCE_SECONDS
    return visma


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

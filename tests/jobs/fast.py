"""Time that goes faster, so that minutes of waiting take milliseconds while all IO stays real."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import anyio
import attrs

from vismanet_async.client import VismaNet
from vismanet_async.jobs.manager import JobManager
from vismanet_async.jobs.submitter import SenderSubmitter
from vismanet_async.transport.auth import StaticToken

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from vismanet_async.jobs.store import JobStore
    from vismanet_async.jobs.submitter import Submitter


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


@attrs.frozen
class Bench:
    manager: JobManager
    visma: VismaNet

    @property
    def now(self) -> datetime:
        return self.visma.clock.utc_now()

    def release(self, path: str, **options: Any) -> Any:
        operation = self.visma.request("POST", path, json={})
        if_match = options.pop("if_match", None)
        if if_match is not None:
            operation = attrs.evolve(operation, headers={**operation.headers, "If-Match": f'"{if_match}"'})
        return operation


@asynccontextmanager
async def opened(
    url: str,
    store: JobStore,
    *,
    clock: FastClock,
    token: str = "t0ken",
    company: str = "c",
    lease_seconds: float = 600.0,
    border: Callable[[Submitter], Submitter] = lambda submitter: submitter,
    **options: Any,
) -> AsyncIterator[Bench]:
    async with VismaNet(StaticToken(token), base_url=url, clock=clock) as visma:
        submitter = SenderSubmitter(visma.sender, quota=visma.quota)
        manager = JobManager(
            border(submitter),
            company=company,
            store=store,
            clock=clock,
            random=lambda: 0.5,
            lease_seconds=lease_seconds,
            **options,
        )
        async with manager:
            yield Bench(manager, visma)

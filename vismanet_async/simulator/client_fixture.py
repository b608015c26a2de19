"""The SDK's client for a simulator, as the fixture `visma` gives it: the one place here that knows the SDK."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import anyio
from attrs import define, field

from vismanet_async.client import VismaNet
from vismanet_async.simulator.clock import VirtualClock
from vismanet_async.transport.auth import ClientCredentials

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from vismanet_async.simulator.simulator import Simulator

__all__ = ["connected"]


@define
class _SharedClock:
    """The simulator's virtual clock as the client's: its waits take no time.

    Limits of time are real seconds: virtual time jumps while answers are on their way, and would end them too early.
    """

    _clock: VirtualClock
    _latest: float = field(default=0.0, init=False)

    def monotonic(self) -> float:
        self._latest = max(self._latest, self._clock.now())  # the simulator's clock can be set back
        return self._latest

    def utc_now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now(), UTC)

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)

    def move_on_after(self, seconds: float) -> AbstractContextManager[anyio.CancelScope, bool]:
        return anyio.move_on_after(max(0.0, seconds))


def connected(simulator: Simulator, *, job_store: Path) -> VismaNet:
    """Return a client of the simulator's first company."""
    return VismaNet(
        ClientCredentials(simulator.client_id, simulator.client_secret, tenant_id=simulator.tenant_id),
        base_url=simulator.base_url,
        sales_order_url=simulator.sales_order_url,
        token_url=simulator.token_url,
        job_store=job_store,
        clock=_SharedClock(simulator.clock) if isinstance(simulator.clock, VirtualClock) else None,
    )

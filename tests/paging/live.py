"""The real client against the simulator, on one virtual clock: backoffs and pauses cost no time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import attrs

from tests.support.clock import VirtualClock
from vismanet_async.client import VismaNet
from vismanet_async.simulator import Simulator
from vismanet_async.transport.auth import ClientCredentials

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class ServerClock:
    """The simulator's view of the client's clock."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock

    def now(self) -> float:
        return self._clock.utc_now().timestamp()

    def advance(self, seconds: float) -> None:
        self._clock.advance(seconds)

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)

    async def wait_until(self, when: float) -> None:
        reached = anyio.Event()
        entry = self._clock._at(self._clock.monotonic() + when - self.now(), reached.set)
        try:
            await reached.wait()
        finally:
            self._clock._forget(entry)


@attrs.frozen
class Live:
    """A simulator, a client for it, and what must be left when nobody reads."""

    sim: Simulator
    visma: VismaNet
    clock: VirtualClock

    async def rest(self) -> None:
        """Wait until the server has noticed what the client broke off, then look for leftovers."""
        for _ in range(2_000):
            if not self.sim.requests.in_flight and self.connections_in_use == 0 and not self.tasks_left:
                break
            await asyncio.sleep(0)
        assert not self.tasks_left, self.tasks_left
        assert self.visma.sender.slots.in_flight == 0, "a slot leaked"
        assert self.connections_in_use == 0, "a connection leaked"
        assert self.sim.requests.in_flight == 0, "a request is still with the server"

    @property
    def tasks_left(self) -> list[str]:
        """The client's own tasks that are under way."""
        names = [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]
        return [name for name in names if name.startswith(("_Fetcher", "Listing", "Transport"))]

    @property
    def connections_in_use(self) -> int:
        session = self.visma._pool._session
        return 0 if session is None or session.connector is None else len(session.connector._acquired)


@asynccontextmanager
async def live(*, concurrency: int | str = 4, **options: Any) -> AsyncIterator[Live]:
    clock = VirtualClock()
    async with Simulator(clock=ServerClock(clock), **{"seed": 1, **options}) as sim:
        credentials = ClientCredentials(sim.client_id, sim.client_secret, tenant_id=sim.tenant_id)
        async with VismaNet(
            credentials,
            base_url=sim.base_url,
            sales_order_url=sim.sales_order_url,
            token_url=sim.token_url,
            concurrency=concurrency,
            clock=clock,
        ) as visma:
            found = Live(sim, visma, clock)
            yield found
            await found.rest()


def keys(rows: list[Any], identity: tuple[str, ...] = ("number",)) -> list[str]:
    """The rows' identities as the simulator's `truth` writes them."""
    return ["/".join(str(getattr(row, name)) for name in identity) for row in rows]

"""The real client against the simulator, on one virtual clock: backoffs and pauses cost no time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs

from tests.support.clock import ServerClock, VirtualClock
from vismanet_async._client import VismaNet
from vismanet_async._http.auth.credentials import ClientCredentials
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@attrs.frozen
class Live:
    """A simulator, a client for it, and what must be left when nobody reads."""

    sim: Simulator
    visma: VismaNet
    clock: VirtualClock

    async def rest(self) -> None:
        """Wait until the server has noticed what the client broke off, then look for leftovers."""
        async with asyncio.timeout(60):  # only a leak meets it
            while self.sim.requests.in_flight or self.connections_in_use or self.tasks_left:
                await self.clock.sleep(1.0)
        assert self.visma.sender.limiter.in_flight == 0, "a slot leaked"

    @property
    def tasks_left(self) -> list[str]:
        """The client's own tasks that are under way."""
        names = [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]
        return [name for name in names if name.startswith(("Fetcher", "Listing", "Transport"))]

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

"""The SDK's client for a simulator, as the fixture `visma` gives it: the one place here that knows the SDK."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vismanet_async._client import VismaNet
from vismanet_async._http.auth.credentials import ClientCredentials
from vismanet_async._simulator.clock import VirtualClock

if TYPE_CHECKING:
    from pathlib import Path

    from vismanet_async._simulator.simulator import Simulator

__all__ = ["connected"]


def connected(simulator: Simulator, *, job_store: Path) -> VismaNet:
    """Return a client of the simulator's first company."""
    return VismaNet(
        ClientCredentials(simulator.client_id, simulator.client_secret, tenant_id=simulator.tenant_id),
        base_url=simulator.base_url,
        sales_order_url=simulator.sales_order_url,
        token_url=simulator.token_url,
        job_store=job_store,
        clock=simulator.clock if isinstance(simulator.clock, VirtualClock) else None,
    )

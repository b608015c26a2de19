"""Runs a simulator as a program of its own until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from typing import TYPE_CHECKING, Any, TextIO

from vismanet_async._simulator.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vismanet_async._simulator.background import Duration

__all__ = ["announcement", "serve"]


def announcement(simulator: Simulator) -> dict[str, Any]:
    """Return what a client must know to use the simulator."""
    return {
        "base_url": simulator.base_url,
        "token_url": simulator.token_url,
        "sales_order_url": simulator.sales_order_url,
        "client_id": simulator.client_id,
        "client_secret": simulator.client_secret,
        "tenant_id": simulator.tenant_id,
        "seed": simulator.seed,
        "environment": simulator.environment(),
    }


async def serve(*, port: int = 0, host: str = "127.0.0.1", seed: int = 1, id_seed: int | None = None,
                rows: Mapping[str, int] | None = None,
                latency: Duration = 0.0, quota: int = 15_000, behaviours: Mapping[str, Any] | None = None,
                churn: Mapping[str, int] | None = None, output: TextIO | None = None,
                on_ready: Callable[[Simulator], None] | None = None,
                stop: asyncio.Event | None = None) -> None:  # fmt: skip
    """Run a simulator until SIGINT, SIGTERM or `stop`; print one JSON line with its URLs when it listens.

    Args:
        port: Port to listen on; 0 takes a free one.
        host: Address to listen on.
        seed: Decides all data.
        id_seed: Decides the ids that the server makes; None: they differ from run to run.
        rows: Rows per resource.
        latency: Seconds before each answer.
        quota: Requests per hour.
        behaviours: Switches by name.
        churn: Resources that change while they are read: rows added, removed and touched after every request.
        output: Where the line goes; standard output by default.
        on_ready: Called once the port is open, instead of printing the line.
        stop: Ends the run when set.

    Raises:
        OSError: The port is taken.
        ValueError: A resource or behaviour is not known.
    """
    stopping = stop if stop is not None else asyncio.Event()
    loop = asyncio.get_running_loop()
    handled = []
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(
            NotImplementedError, RuntimeError, ValueError
        ):  # not on Windows or off the main thread
            loop.add_signal_handler(number, stopping.set)
            handled.append(number)
    try:
        async with Simulator(
            port=port,
            host=host,
            seed=seed,
            id_seed=id_seed,
            rows=rows,
            latency=latency,
            quota=quota,
            behaviours=behaviours,
        ) as simulator:
            for resource, changes in (churn or {}).items():
                simulator.churn(resource, add=changes, remove=changes, touch=changes)
            if on_ready is not None:
                on_ready(simulator)
            else:
                stream = output if output is not None else sys.stdout
                stream.write(json.dumps(announcement(simulator)) + "\n")
                stream.flush()
            await stopping.wait()
    finally:
        for number in handled:
            loop.remove_signal_handler(number)

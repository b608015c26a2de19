"""What goes on in a running simulator apart from requests: jobs that fall due, webhooks on their way."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import aiohttp
import anyio
from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vismanet_async._simulator.clock import Clock
    from vismanet_async._simulator.company import Company
    from vismanet_async._simulator.webhooks import Notice, WebhookSender

__all__ = ["Runner"]


@define
class Runner:
    """Runs due timers of all companies and sends webhooks, from `start` to `stop`."""

    clock: Clock
    companies: Iterable[Company]
    webhooks: WebhookSender
    _wake: asyncio.Event = field(factory=asyncio.Event, init=False)
    _notices: list[Notice] = field(factory=list, init=False)
    _task: asyncio.Task[None] | None = field(default=None, init=False)

    async def start(self) -> None:
        """Begin."""
        # a task of its own: start and stop may be called from different tasks, as fixtures do
        self._task = asyncio.create_task(self._run(), name="visma-net-simulator")

    async def stop(self) -> None:
        """End; what is on its way is given up."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def wake(self) -> None:
        """Look again at what is due."""
        self._wake.set()

    def notify(self, notice: Notice) -> None:
        """Send a notice to who has subscribed."""
        self._notices.append(notice)
        self._wake.set()

    async def _run(self) -> None:
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            anyio.create_task_group() as group,
        ):
            while True:
                self._wake.clear()
                for company in self.companies:
                    company.run_due()
                notices, self._notices = self._notices, []
                for notice in notices:
                    for delivery in self.webhooks.make(notice):
                        group.start_soon(self.webhooks.send, session, delivery)
                for delivery in self.webhooks.ready():
                    group.start_soon(self.webhooks.send, session, delivery)
                await self._wait()

    async def _wait(self) -> None:
        """Wait until something is due or `wake` is called."""
        due = min((company.next_due for company in self.companies if company.next_due is not None), default=None)
        if due is None:
            await self._wake.wait()
            return
        async with anyio.create_task_group() as group:

            async def until_due(when: float) -> None:
                await self.clock.wait_until(when)
                group.cancel_scope.cancel()

            group.start_soon(until_due, due)
            await self._wake.wait()
            group.cancel_scope.cancel()

"""A client and a job manager on any store and any clock, as the tests of jobs use them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs

from tests.jobs.fast import PATIENCE_SECONDS, FastClock, patient
from tests.support.clock import VirtualClock
from vismanet_async._client import VismaNet
from vismanet_async._http.auth.credentials import StaticToken
from vismanet_async._jobs.background_api import SenderSubmitter
from vismanet_async._jobs.manager import JobManager

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from datetime import datetime

    from vismanet_async._clock import Clock
    from vismanet_async._jobs.background_api import Submitter
    from vismanet_async._jobs.store import JobStore


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
            operation.close()  # a copy of it is submitted
            operation = attrs.evolve(operation, headers={**operation.headers, "If-Match": f'"{if_match}"'})
        return operation


@asynccontextmanager
async def opened(
    url: str,
    store: JobStore,
    *,
    clock: Clock,
    token: str = "t0ken",
    company: str = "c",
    lease_seconds: float = 600.0,
    border: Callable[[Submitter], Submitter] = lambda submitter: submitter,
    **options: Any,
) -> AsyncIterator[Bench]:
    limit = PATIENCE_SECONDS if isinstance(clock, FastClock) else 300.0
    async with VismaNet(StaticToken(token), base_url=url, clock=clock, timeout_seconds=limit) as visma:
        if isinstance(clock, FastClock):
            patient(visma)
        if isinstance(clock, VirtualClock):
            # a request that waits for its next attempt has no slot
            clock.stand_still_while(lambda: visma.sender.limiter.in_flight)
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

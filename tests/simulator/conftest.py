from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from attrs import frozen

from vismanet_async.simulator import Simulator


@frozen
class Answer:
    status: int
    headers: Any
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body, parse_float=Decimal)


class Client:
    """A plain aiohttp client: the simulator is tested without the SDK."""

    def __init__(self, sim: Simulator, session: aiohttp.ClientSession, token: str) -> None:
        self.sim = sim
        self.session = session
        self.token = token

    async def send(
        self, method: str, path: str, *, token: str | None = None, base: str | None = None, **options: Any
    ) -> Answer:
        headers = {"Authorization": f"Bearer {token if token is not None else self.token}"} | options.pop("headers", {})
        url = (self.sim.base_url if base is None else base) + path
        async with self.session.request(method, url, headers=headers, allow_redirects=False, **options) as response:
            return Answer(response.status, response.headers, await response.read())

    async def get(self, path: str, **params: Any) -> Answer:
        return await self.send("GET", path, params={name: str(value) for name, value in params.items()})


Start = Callable[..., Any]


@pytest.fixture
def start() -> Start:
    @asynccontextmanager
    async def started(**options: Any) -> AsyncIterator[Client]:
        async with Simulator(**options) as sim, aiohttp.ClientSession() as session:
            yield Client(sim, session, sim.issue_token())

    return started


@pytest.fixture
async def client(start: Start) -> AsyncIterator[Client]:
    async with start(rows={"customer": 300, "customer_invoice": 200, "journal_transaction": 300}) as made:
        yield made

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest
from yarl import URL

from tests.support.clock import VirtualClock
from tests.transport.wire import Wire, wire_server
from vismanet_async._http.auth.credentials import ClientCredentials, Credentials, StaticToken
from vismanet_async._http.auth.provider import TokenProvider
from vismanet_async._http.call import Endpoint
from vismanet_async._http.hosts import base_url
from vismanet_async._http.limiter import ConcurrencyLimiter
from vismanet_async._http.pipeline import Transport
from vismanet_async._http.pool import SessionPool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from vismanet_async._clock import Clock

SECRET = "m4rk3r-s3cr3t"


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    async with wire_server() as server:
        yield server


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


def client_credentials() -> ClientCredentials:
    return ClientCredentials("client", SECRET, tenant_id="company")


def provider(
    credentials: Credentials, *, url: str, post: Any, clock: Clock, service: Any = "erp", random: float = 0.5
) -> TokenProvider:
    return TokenProvider(credentials, service=service, url=URL(url), post=post, clock=clock, random=lambda: random)


Make = "Callable[..., Transport]"


@pytest.fixture
async def make(wire: Wire, clock: VirtualClock) -> AsyncIterator[Callable[..., Transport]]:
    """Make transports against `wire`; at the end nothing of them may be left behind."""
    made: list[Transport] = []
    async with AsyncExitStack() as stack:

        def build(
            credentials: Credentials | None = None,
            *,
            base: str | None = None,
            limiter: ConcurrencyLimiter | None = None,
            deadline_seconds: float = 300.0,
            clock: Clock = clock,
            headers: dict[str, str] | None = None,
        ) -> Transport:
            pool = SessionPool(user_agent="tests")
            stack.push_async_callback(pool.aclose)

            def endpoint(service: Any) -> Endpoint:
                tokens = provider(
                    credentials or StaticToken(SECRET),
                    service=service,
                    url=f"{wire.url}/connect/token",
                    post=pool.post_form,
                    clock=clock,
                )
                return Endpoint(base=base_url(base or wire.url, name="base_url"), tokens=tokens)

            transport = Transport(
                pool,
                endpoints={"erp": endpoint("erp"), "sales_order": endpoint("sales_order")},
                limiter=limiter or ConcurrencyLimiter(4),
                clock=clock,
                random=lambda: 0.5,
                deadline_seconds=deadline_seconds,
                headers=headers,
            )
            made.append(transport)
            return transport

        yield build
        for transport in made:
            assert transport.limiter.in_flight == 0, "a slot leaked"
            session = transport._pool._session
            if session is not None:
                connector = session.connector
                assert connector is not None
                assert not connector._acquired, "a connection leaked"

"""What a client is given: checked once, handed on to siblings, wired to the transports that they share and to jobs."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from collections.abc import Hashable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import anyio
import attrs

from vismanet_async._arguments import expect, expect_count, expect_parts, expect_seconds, expect_share, text_pairs
from vismanet_async._clock import Clock, SystemClock
from vismanet_async._http.auth.provider import TokenProvider
from vismanet_async._http.call import Endpoint
from vismanet_async._http.hosts import base_url
from vismanet_async._http.limiter import ConcurrencyLimiter, read_concurrency
from vismanet_async._http.message import header_fault
from vismanet_async._http.pipeline import Transport
from vismanet_async._http.rate_limit import Quota
from vismanet_async._http.retry import MAX_SENT
from vismanet_async._settings import zone_of
from vismanet_async.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vismanet_async._http.auth.credentials import Credentials
    from vismanet_async._http.message import Service
    from vismanet_async._http.pool import SessionPool
    from vismanet_async._jobs.manager import JobManager
    from vismanet_async._jobs.store import JobStore
    from vismanet_async._observer import Observer
    from vismanet_async._settings import Settings

__all__ = ["ClientJobs", "ClientOptions", "Transports", "check_credentials", "options_in"]

_STORING_SECONDS: Final = 3.0
_log = logging.getLogger("vismanet_async.http")
_CREDENTIALS: Final = ("identity", "static_token", "session", "token_request", "on_token")
_KINDS_OF_CREDENTIALS: Final = "ClientCredentials(...), StaticToken(...) or AuthorizationCode(...)"


@attrs.frozen(kw_only=True)
class ClientOptions:
    """What siblings for other companies take over."""

    base_url: str
    sales_order_url: str
    token_url: str
    time_zone: Any
    concurrency: int | str
    timeout_seconds: float
    max_attempts: int
    headers: Mapping[str, str]
    clock: Clock
    job_store: JobStore | str | Path | None
    poll_share: float | None
    observer: Observer | None

    @classmethod
    def checked(cls, **given: Any) -> Self:
        """Return the options where each is of its kind.

        Raises:
            SettingsError: one is not.
        """
        for name in ("base_url", "sales_order_url", "token_url"):
            expect(name, given[name], str, error=SettingsError)
        expect_seconds("timeout_seconds", given["timeout_seconds"], none=False, error=SettingsError)
        expect_count("max_attempts", given["max_attempts"], most=MAX_SENT, error=SettingsError)
        for name, value in text_pairs("headers", given["headers"], error=SettingsError).items():
            if (fault := header_fault(name, value)) is not None:
                raise SettingsError(f"{fault}.")
        if isinstance(job_store := given["job_store"], str):
            expect("job_store", job_store, str, error=SettingsError)
        elif job_store is not None and not isinstance(job_store, Path):
            words = "a path, a URL as text or a JobStore"
            expect_parts("job_store", job_store, ("claim", "select", "release"), words, error=SettingsError)
        expect_share("poll_share", given["poll_share"], none=True, error=SettingsError)
        if given["observer"] is not None:
            parts = ("call", "job", "export")
            expect_parts("observer", given["observer"], parts, "an Observer", error=SettingsError)
        if given["clock"] is not None:
            parts = ("monotonic", "utc_now", "sleep")
            expect_parts("clock", given["clock"], parts, "a Clock", error=SettingsError)
        return cls(
            **{
                **given,
                "time_zone": zone_of(given["time_zone"]),
                "headers": dict(given["headers"] or {}),
                "clock": given["clock"] or SystemClock(),
            }
        )


def options_in(settings: Settings, *, own_pool: bool) -> dict[str, Any]:
    """Return what settings say to a client that has a pool of its own, or one that is given."""
    names = ("base_url", "sales_order_url", "token_url", "time_zone", "job_store", "poll_share")
    options = {name: getattr(settings, name) for name in names}
    return options | {"proxy": settings.proxy, "ssl": settings.ca_file} if own_pool else options


def check_credentials(credentials: Credentials) -> None:
    """Refuse what cannot sign in; errors as those of the client."""
    expect_parts("credentials", credentials, _CREDENTIALS, _KINDS_OF_CREDENTIALS, error=SettingsError)


@attrs.frozen
class _Company:
    """What all clients of one company and one application share."""

    endpoints: Mapping[Service, Endpoint]
    quotas: Mapping[Service, Quota]
    transports: dict[int | None, Transport] = attrs.field(factory=dict)
    """By the setting of concurrency; None: `auto`."""


class Transports:
    """What sends the requests of a client and its siblings: any thread may ask for one.

    Clients with the same credentials, hence of one company, share tokens and quotas, and one limit of requests in
    flight for each setting of concurrency. They are kept as long as the family is: a sibling may be made for one call.
    """

    def __init__(self, options: ClientOptions, pool: SessionPool) -> None:
        self._options = options
        self._pool = pool
        self._companies: dict[object, _Company] = {}
        self._one = threading.Lock()

    def of(self, credentials: Credentials, *, company: str | None, concurrency: int | str) -> Transport:
        """Return what sends the requests of one company.

        Args:
            credentials: with which to sign in; equal ones are the same.
            company: its tenant id, for observers.
            concurrency: as the client takes it.
        """
        maximum = read_concurrency(concurrency)
        # a user's own class may have no hash; the token providers keep the object, and so its id
        known = credentials if isinstance(credentials, Hashable) else id(credentials)
        with self._one:
            shared = self._companies.get(known)
            if shared is None:
                shared = self._companies[known] = self._new(credentials)
            made = shared.transports.get(maximum)
            if made is None:
                options = self._options
                made = shared.transports[maximum] = Transport(
                    self._pool,
                    endpoints=shared.endpoints,
                    quotas=shared.quotas,
                    limiter=ConcurrencyLimiter(maximum),
                    clock=options.clock,
                    random=random.random,
                    deadline_seconds=options.timeout_seconds,
                    max_attempts=options.max_attempts,
                    headers=options.headers,
                    company=company,
                    observer=options.observer,
                )
            return made

    async def aclose(self) -> None:
        """Wait a moment for an `on_token` that calls have given up: the end of the program would cut it off."""
        endpoints = [each for company in self._companies.values() for each in company.endpoints.values()]
        storing = {task for each in endpoints if (task := each.tokens.storing) is not None}
        if not storing:
            return
        with anyio.CancelScope(shield=True), self._options.clock.move_on_after(_STORING_SECONDS):
            await asyncio.wait(storing)
            return
        _log.error("on_refresh_token has not ended, and the client is closed: the new refresh token may not be stored")

    def _new(self, credentials: Credentials) -> _Company:
        options = self._options
        token_url = base_url(options.token_url, name="token_url")

        def endpoint(service: Service, where: str, name: str) -> Endpoint:
            tokens = TokenProvider(
                credentials,
                service=service,
                url=token_url,
                post=self._pool.post_form,
                clock=options.clock,
                random=random.random,
            )
            return Endpoint(base=base_url(where, name=name), tokens=tokens)

        endpoints: dict[Service, Endpoint] = {
            "erp": endpoint("erp", options.base_url, "base_url"),
            "sales_order": endpoint("sales_order", options.sales_order_url, "sales_order_url"),
        }
        return _Company(endpoints, {service: Quota() for service in endpoints})


@attrs.define(eq=False, repr=False, kw_only=True)
class ClientJobs:
    """The background jobs of one client: opened when they are first used, and followed until they are closed."""

    options: ClientOptions
    transport: Transport
    followed: list[ClientJobs]
    """Those of the client and its siblings that are open; all share the list."""
    _manager: JobManager | None = attrs.field(default=None, init=False)
    _own_store: JobStore | None = attrs.field(default=None, init=False)

    def manager(self, company: str | None) -> JobManager:
        """Return what follows them, opened if it is not; see `VismaNet.jobs`."""
        if self._manager is None:
            # jobs bring SQLAlchemy along, and are loaded by those who use them
            from vismanet_async._api.decoders import decoder_of  # noqa: PLC0415
            from vismanet_async._jobs.background_api import SenderSubmitter  # noqa: PLC0415
            from vismanet_async._jobs.manager import JobManager  # noqa: PLC0415

            if company is None:
                raise SettingsError("background jobs are kept by company: give StaticToken its tenant_id.")
            store = self.options.job_store
            if store is None or isinstance(store, str | Path):
                from vismanet_async._jobs.sql.store import SqlStore  # noqa: PLC0415 - as above

                store = self._own_store = SqlStore(store)
            self._manager = JobManager(
                SenderSubmitter(self.transport, quota=self.transport.quota),
                company=company,
                store=store,
                clock=self.options.clock,
                random=random.random,
                decoder_of=decoder_of,
                observer=self.options.observer,
            )
            if self.options.poll_share is not None:
                self._manager.poll_share = self.options.poll_share
            self.followed.append(self)
        return self._manager

    async def aclose(self) -> None:
        """Stop following them, and close the store if it was opened here. May be called more than once."""
        manager, self._manager = self._manager, None
        store, self._own_store = self._own_store, None
        if manager is None:
            return
        self.followed.remove(self)
        async with AsyncExitStack() as stack:
            if store is not None:
                stack.push_async_callback(store.aclose)
            await manager.aclose()

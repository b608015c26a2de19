"""`SessionPool`: the aiohttp session and its connections, shared by companies."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from inspect import signature
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import aiohttp
import anyio
from multidict import CIMultiDict

from vismanet_async._arguments import expect, expect_count, named_keywords, refuse_unknown
from vismanet_async._elsewhere import POOL
from vismanet_async._http.auth.grant import RawTokenResponse
from vismanet_async._http.http_attempt import HttpAttempt, WireRequest
from vismanet_async._http.message import header_fault
from vismanet_async._http.network import Network
from vismanet_async._http.wiring import PROMPT, PromptRequest, WatchedConnector, header_limits, keep_from_repeating
from vismanet_async._version import __version__
from vismanet_async.errors import RequestRefused, SettingsError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from yarl import URL

    from vismanet_async._http.auth.grant import TokenRequest
    from vismanet_async._http.network import Certificates

__all__ = ["SessionPool", "default_user_agent"]

_CONNECT_SECONDS: Final = 20.0
_IDLE_SECONDS: Final = 60.0
"""How long an unused connection is kept; the gateway closes them at about 240 s (docs/facts.md 1.8)."""
_OWN_OPTIONS: Final = {
    "limit": "write max_connections",
    "ssl": "it is an argument of the pool",
    "keepalive_timeout": "the pool sets it, so that no connection is used that the gateway has closed",
    "force_close": "the pool keeps connections, as each new one costs a sign-in with TLS",
    "loop": "a pool belongs to the loop that it is first used in",
}
_MAX_TOKEN_RESPONSE_BYTES: Final = 1024 * 1024
_FORM_HEADERS: Final = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "Content-Type": "application/x-www-form-urlencoded",
}


def _of_a_connector(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of options for aiohttp's connector, without those that are settings of the pool."""
    expect("connector_options", options, Mapping, error=SettingsError)
    for name in options:
        if name in _OWN_OPTIONS:
            raise SettingsError(f"connector_options names {name}: {_OWN_OPTIONS[name]}. Nothing was opened.")
    known = [name for name in signature(aiohttp.TCPConnector).parameters if name not in _OWN_OPTIONS]
    refuse_unknown(options, known, where="connector_options", error=SettingsError)
    return dict(options)


def default_user_agent() -> str:
    """Return the name and version of the SDK; Visma asks integrations to identify themselves (docs/facts.md 2.11)."""
    return f"vismanet-async/{__version__}"


class SessionPool:
    """Keep-alive connections, shared by all companies and services of a process.

    It opens its session on first use, in the running event loop, and belongs to that loop. Close it with `aclose`;
    a `VismaNet` that made its own pool closes that one; or use it as an async context manager.

    Args:
        max_connections: at most so many connections at a time, idle ones included.
        user_agent: instead of the SDK's name and version.
        proxy: `http://host:port` or `https://host:port` (`user:password@` before the host where it wants them). What
            goes through it is TLS that it cannot read, for the API, sign-in and the Sales Order service alike; what
            goes to loopback without TLS goes directly.
        trust_env: take `HTTPS_PROXY` and `NO_PROXY` from the environment where no proxy is given.
        ssl: an `ssl.SSLContext`, or a file or folder of authorities to trust beside the system's.
        connector_options: what else `aiohttp.TCPConnector` takes, such as `local_addr`, `resolver`, `family` or
            `ttl_dns_cache`. An object among them belongs to the loop that it was made in.

    Raises:
        SettingsError: something given cannot be used; nothing was opened.

    Examples:
        >>> async with SessionPool(max_connections=8) as pool:
        ...     one, other = VismaNet.from_env(pool=pool), VismaNet.from_env(pool=pool)  # as `visma` is
        ...     (await one.customer.get("10000")).number, (await other.customer.get("10001")).number
        ('10000', '10001')
    """

    @named_keywords(where="SessionPool", elsewhere=POOL)
    def __init__(
        self,
        *,
        max_connections: int = 64,
        user_agent: str | None = None,
        proxy: str | None = None,
        trust_env: bool = False,
        ssl: Certificates = None,
        connector_options: Mapping[str, Any] | None = None,
    ) -> None:
        expect_count("max_connections", max_connections, error=SettingsError)
        expect("user_agent", user_agent, str, type(None), error=SettingsError)
        self._max_connections = max_connections
        self._user_agent = user_agent or default_user_agent()
        if (fault := header_fault("User-Agent", self._user_agent)) is not None:
            raise SettingsError(f"{fault}.")
        self._connector_options = _of_a_connector(connector_options or {})
        self.network = Network.configured(proxy=proxy, trust_env=trust_env, certificates=ssl)
        """The way out of this machine."""
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._body_read_lock = anyio.Lock(fast_acquire=True)
        self._closed = False

    @property
    def used(self) -> bool:
        """Whether it belongs to an event loop already."""
        return self._loop is not None

    def attempt(self, request: WireRequest) -> HttpAttempt:
        """Return an attempt that has not been sent yet.

        Raises:
            RequestRefused: the pool is closed or belongs to another event loop, or this version of aiohttp lacks the
                switch that keeps requests from being sent twice.
        """
        proxy = None if self.network.proxy is None else self.network.proxy_for(request.url)
        return HttpAttempt(self._open(), request, self._body_read_lock, proxy)

    def _open(self) -> aiohttp.ClientSession:
        if self._closed:
            raise RequestRefused("the client is closed: nothing was sent.")
        loop = asyncio.get_running_loop()
        if self._session is None:
            context = self.network.ssl
            session = aiohttp.ClientSession(
                connector=WatchedConnector(
                    limit=self._max_connections,
                    keepalive_timeout=_IDLE_SECONDS,
                    ssl=True if context is None else context,
                    **self._connector_options,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                request_class=PromptRequest if PROMPT.usable else aiohttp.ClientRequest,
                headers={"User-Agent": self._user_agent},
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
                trust_env=False,
                **header_limits(),  # type: ignore[arg-type]  # all of them whole numbers
            )
            keep_from_repeating(session)
            self._session, self._loop = session, loop
        elif self._loop is not loop:
            raise RequestRefused("this client belongs to another event loop: make one for each. Nothing was sent.")
        return self._session

    async def post_form(self, url: URL, request: TokenRequest, /) -> RawTokenResponse:
        """Post a form to the token endpoint and return the response.

        Raises:
            NotSent, ResponseLost, OutcomeUnknown: depending on how far the attempt got.
        """
        form = WireRequest(
            method="POST",
            url=url,
            headers=CIMultiDict(_FORM_HEADERS),
            data=urlencode(request.fields).encode(),
            idempotent=request.idempotent,
        )
        with self.attempt(form) as attempt:
            raw = await attempt.open()
            return RawTokenResponse(raw.status, await attempt.read(max_bytes=_MAX_TOKEN_RESPONSE_BYTES), raw.headers)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection; requests in flight fail. It may be called more than once."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()

"""`SessionPool`: aiohttp sessions and connections, shared by companies. The only file that touches sockets."""

from __future__ import annotations

import zlib
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import anyio.to_thread

from vismanet_async.errors import NotSent, OutcomeUnknown, ResponseLost, TransportError, UnexpectedResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from types import SimpleNamespace

    from yarl import URL

__all__ = ["MAX_BODY_BYTES", "Exchange", "SessionPool", "default_user_agent", "read_body"]

_CONNECT_SECONDS: Final = 20.0
_IDLE_SECONDS: Final = 60.0
"""How long a connection is kept unused; the gateway closes them at about 240 s (docs/facts.md 1)."""
_INFLATE_IN_THREAD_FROM_BYTES: Final = 64 * 1024
MAX_BODY_BYTES: Final = 512 * 1024 * 1024
"""A larger answer, inflated, is refused: no page of this API comes near it, a decompression bomb does."""


def default_user_agent() -> str:
    """Name the SDK and its version, as Visma asks integrations to name themselves."""
    try:
        return f"vismanet-async/{version('vismanet-async')}"
    except PackageNotFoundError:
        return "vismanet-async"


class Exchange:
    """One attempt under way: what is known of it when it breaks off."""

    __slots__ = ("connected",)

    def __init__(self) -> None:
        self.connected = False
        """A connection was in hand, so that some of the request may have left."""

    def fault(self, message: str, *, repeatable: bool) -> TransportError:
        """Give the error for a break-off at this point."""
        if not self.connected:
            return NotSent(f"{message}: the request never left.")
        if repeatable:
            return ResponseLost(f"{message}: the answer got lost; nothing was changed.")
        return OutcomeUnknown(
            f"{message}: the request may have been executed. It was not sent again; look the record up first."
        )


class SessionPool:
    """Connections, kept alive and shared by every company and service of a process.

    Opens its session on first use, in the running event loop, and belongs to that loop. Close it with `aclose`, or
    let the `VismaNet` that made it do so.
    """

    def __init__(self, *, max_connections: int = 64, user_agent: str | None = None) -> None:
        self._max_connections = max_connections
        self._user_agent = user_agent or default_user_agent()
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    def _open(self) -> aiohttp.ClientSession:
        if self._closed:
            raise NotSent("the session pool is closed: nothing was sent.")
        if self._session is None:
            trace = aiohttp.TraceConfig()
            trace.on_connection_create_end.append(_connected)
            trace.on_connection_reuseconn.append(_connected)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._max_connections, keepalive_timeout=_IDLE_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": self._user_agent},
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
                trace_configs=[trace],
                trust_env=False,
            )
            # aiohttp repeats PUT and DELETE by itself on a stale connection; here only the retry table decides
            self._session._retry_connection = False  # noqa: SLF001 - no public switch; held by a test
        return self._session

    @asynccontextmanager
    async def exchange(
        self,
        method: str,
        url: URL,
        *,
        exchange: Exchange,
        repeatable: bool,
        headers: Mapping[str, str],
        data: Any = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send one attempt and give the answer with its body unread.

        Raises:
            NotSent, ResponseLost, OutcomeUnknown: as far as the attempt had come.
        """
        session = self._open()
        try:
            async with session.request(
                method,
                url,
                headers=headers,
                data=data,
                allow_redirects=False,
                trace_request_ctx=exchange,
            ) as response:
                yield response
        except aiohttp.ClientConnectorError as error:
            exchange.connected = False
            raise NotSent(
                f"cannot connect to {url.host}: {error.strerror or error.os_error}. Nothing was sent."
            ) from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            if isinstance(error, TransportError):
                raise
            raise exchange.fault(f"{url.host}: {_words(error)}", repeatable=repeatable) from error

    async def post_form(self, url: URL, fields: Mapping[str, str]) -> tuple[int, bytes]:
        """Post a form to the token endpoint and read the answer."""
        exchange = Exchange()
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        async with self.exchange(
            "POST", url, exchange=exchange, repeatable=True, headers=headers, data=dict(fields)
        ) as response:
            body = await response.content.read(1024 * 1024)
            return response.status, body

    async def aclose(self) -> None:
        """Close every connection; requests under way break off. May be called more than once."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()


async def read_body(response: aiohttp.ClientResponse, *, max_bytes: int = MAX_BODY_BYTES) -> bytes:
    """Read a whole answer, inflated; large ones are inflated in a thread so that the loop is not held.

    Raises:
        ResponseLost: the compressed body is cut off.
        UnexpectedResponse: it is larger than `max_bytes`, or its encoding is unknown.
    """
    length = response.content_length
    if length is not None and length > max_bytes:
        raise UnexpectedResponse(f"the answer has {length:,} bytes, more than the {max_bytes:,} allowed.")
    body = await response.read()
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding in {"", "identity"} or not body:
        return body
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        raise UnexpectedResponse(f"the answer came with the encoding {encoding!r}, which was not asked for.")
    if len(body) < _INFLATE_IN_THREAD_FROM_BYTES:
        return _inflate(body, encoding, max_bytes)
    return await anyio.to_thread.run_sync(_inflate, body, encoding, max_bytes)


def _inflate(body: bytes, encoding: str, max_bytes: int) -> bytes:
    # deflate comes with a zlib header or, from some servers, bare
    zlib_header = body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0  # noqa: PLR2004 - RFC 1950
    wbits = -zlib.MAX_WBITS if encoding == "deflate" and not zlib_header else zlib.MAX_WBITS | 32
    inflater = zlib.decompressobj(wbits)
    try:
        text = inflater.decompress(body, max_bytes)
    except zlib.error as error:
        raise ResponseLost(f"the compressed answer is damaged ({error}); nothing was changed.") from None
    if inflater.unconsumed_tail:
        raise UnexpectedResponse(f"the answer inflates to more than the {max_bytes:,} bytes allowed.")
    if not inflater.eof:
        raise ResponseLost("the compressed answer is cut off.")
    return text


async def _connected(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
    exchange = context.trace_request_ctx
    if isinstance(exchange, Exchange):
        exchange.connected = True


def _words(error: BaseException) -> str:
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "disconnected without an answer"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the answer broke off"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return type(error).__name__

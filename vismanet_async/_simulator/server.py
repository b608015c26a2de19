"""The sockets: aiohttp.web in front of the service."""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl

from aiohttp import web
from attrs import define, field

from vismanet_async._simulator.messages import Reply, Request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from vismanet_async._simulator.byte_cache import ByteCache
    from vismanet_async._simulator.clock import Clock
    from vismanet_async._simulator.faults import Fault

__all__ = ["HttpServer"]

_SMALLEST_COMPRESSED_BYTES = 1400
_IN_THREAD_BYTES = 64_000
_PIECES = 8


@define
class HttpServer:
    """Listens on one port of the loopback interface and hands requests to a handler."""

    handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
    host: str = "127.0.0.1"
    port: int = 0
    _runner: web.ServerRunner | None = field(default=None, init=False)
    _answering: set[asyncio.Task[Any]] = field(factory=set, init=False)

    async def start(self) -> None:
        """Open the port; a port of 0 becomes the one that was free.

        Raises:
            OSError: The port is taken.
        """
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close the port and what is still connected."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        # an answer that is still being waited for, after its client has hung up
        waiting = list(self._answering)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    async def _handle(self, incoming: web.BaseRequest) -> web.StreamResponse:
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._answering.add(task)
        try:
            return await self.handler(incoming)
        finally:
            self._answering.discard(task)

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"http://{self.host}:{self.port}"


async def read_request(incoming: web.BaseRequest) -> Request:
    """Read an aiohttp request whole."""
    raw_path, _, raw_query = incoming.raw_path.partition("?")
    body = await incoming.content.read() if incoming.can_read_body else b""  # read() stops at 1 MiB
    return Request(
        method=incoming.method,
        path=raw_path,
        query=parse_qsl(raw_query, keep_blank_values=True),
        headers=incoming.headers,
        body=body,
        origin=f"{incoming.scheme}://{incoming.host}",
    )


async def make_response(reply: Reply, accept_encoding: str, cache: ByteCache | None) -> web.Response:
    """Turn a reply into aiohttp's answer, compressed where the client takes that."""
    headers = dict(reply.headers)
    if reply.content_type is not None:
        headers["Content-Type"] = reply.content_type
    body = reply.body
    if cache is not None and len(body) >= _SMALLEST_COMPRESSED_BYTES:
        coding = next((coding for coding in ("gzip", "deflate") if coding in accept_encoding.lower()), None)
        if coding is not None:
            body = await _compressed(reply, coding, cache)
            headers["Content-Encoding"] = coding
            headers["Vary"] = "Accept-Encoding"
    return web.Response(status=reply.status, body=body, headers=headers)


def abort(incoming: web.BaseRequest) -> web.StreamResponse:
    """Cut the connection; what is returned never arrives."""
    if incoming.transport is not None:
        incoming.transport.abort()
    return web.Response()


async def send_broken(
    incoming: web.BaseRequest, response: web.Response, fault: Fault, clock: Clock
) -> web.StreamResponse:
    """Send an answer only in part, or slowly."""
    body = response.body if isinstance(response.body, bytes) else b""
    kept = body[: int(len(body) * fault.share)]
    if fault.kind == "short_body":
        response.body = kept
        return response
    headers = {name: value for name, value in response.headers.items() if name.lower() != "content-length"}
    sent = web.StreamResponse(status=response.status, headers=headers)
    sent.content_length = len(body)
    with contextlib.suppress(ConnectionResetError):  # the client had enough of waiting
        await sent.prepare(incoming)
        if fault.kind == "slow_body":
            piece = max(1, len(body) // _PIECES + 1)
            for start in range(0, len(body), piece):
                await clock.sleep(fault.seconds / _PIECES)
                await sent.write(body[start : start + piece])
            await sent.write_eof()
            return sent
        if fault.kind == "cut_body" and kept:
            await sent.write(kept)
    return abort_after(sent, incoming)


def abort_after(sent: web.StreamResponse, incoming: web.BaseRequest) -> web.StreamResponse:
    """Close the connection in the middle of an answer, after what was written has gone out."""
    if incoming.transport is not None:
        incoming.transport.close()
    return sent


async def _compressed(reply: Reply, coding: str, cache: ByteCache) -> bytes:
    key = (reply.cache_key, coding)
    known: bytes | None = cache.get(key) if reply.cache_key is not None else None
    if known is None:
        squeeze = _gzip if coding == "gzip" else zlib.compress
        if len(reply.body) > _IN_THREAD_BYTES:
            known = await asyncio.to_thread(squeeze, reply.body, 1)
        else:
            known = squeeze(reply.body, 1)
        if reply.cache_key is not None:
            cache.put(key, known, len(known))
    return known


def _gzip(data: bytes, level: int) -> bytes:
    squeezer = zlib.compressobj(level, zlib.DEFLATED, 31)
    return squeezer.compress(data) + squeezer.flush()

"""Reads a body of known length from the socket straight into the caller's buffer.

aiohttp delivers a body in chunks of its own, each allocated and then copied to its place: for a page of 2.5 MB that is
more work than all the rest of reading it. The rest of such a body needs no parser. So `DirectBodyReader` temporarily
installs itself as the transport's protocol (`set_protocol`, which asyncio documents), and restores aiohttp's handler
after the last byte. aiohttp begins every response with a new parser.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import anyio

from vismanet_async._http.wiring import IN_PLACE

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    import aiohttp
    from aiohttp.client_proto import ResponseHandler

__all__ = ["DirectBodyReader"]


class DirectBodyReader(asyncio.BufferedProtocol):
    """Reads the body of one response into a buffer.

    A context manager: leaving it returns the connection to aiohttp, which closes it if the body is not complete.
    """

    def __init__(self, response: aiohttp.ClientResponse, *, size: int, buffer: Callable[[int], bytearray]) -> None:
        """Prepare to read; `buffer(size)` is called at the first `fill`."""
        self.buffer = bytearray()
        self.remaining = size
        """Bytes that have not arrived."""
        self._response = response
        self._allocate = buffer
        self._free = memoryview(b"")
        """The part of the buffer that has not been filled."""
        self._from_aiohttp = 0
        self._handler: ResponseHandler | None = None
        """aiohttp's protocol of the connection, while this one replaces it."""
        self._transport: asyncio.Transport | None = None
        self._detached = anyio.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._detach()
        self._free = memoryview(b"")  # the caller may resize the buffer only if no view refers to it

    async def fill(self) -> None:
        """Read until the body is complete or the server ends it early; it may be called again after a cancellation.

        Raises:
            aiohttp.ClientError, OSError: the connection broke.
        """
        content = self._response.content
        if not self.buffer:
            self.buffer = self._allocate(self.remaining)
            self._free = memoryview(self.buffer)
        while self.remaining:
            if self._handler is not None or (IN_PLACE.usable and self._attach()):
                await self._detached.wait()
                continue
            part, _ = await content.readchunk()
            self._from_aiohttp += len(part)
            self._free[: len(part)] = part
            self._advance(len(part))
            if content.at_eof():
                return

    def _attach(self) -> bool:
        """Replace aiohttp's protocol if aiohttp has delivered all of the body that it has received."""
        connection = self._response.connection
        transport = None if connection is None else connection.transport
        handler = None if connection is None else connection.protocol
        if transport is None or handler is None or self._response.content.total_bytes != self._from_aiohttp:
            return False
        self._transport, self._handler = transport, handler
        self._detached = anyio.Event()
        transport.set_protocol(self)
        return True

    def _detach(self) -> None:
        transport, handler = self._transport, self._handler
        if transport is None or handler is None:
            return
        self._transport = self._handler = None
        transport.set_protocol(handler)
        self._detached.set()

    def _advance(self, by: int) -> None:
        self._free = self._free[by:]
        self.remaining = len(self._free)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - whatever the loop guesses
        """Return the memory to read into, never more than remains of the body."""
        return self._free

    def buffer_updated(self, nbytes: int) -> None:
        """Count what was read, and restore aiohttp's handler after the last byte."""
        self._advance(nbytes)
        if not self.remaining and (handler := self._handler) is not None:
            self._detach()
            handler.set_response_params()  # a parser that expects nothing more of this body
            self._response.content.feed_eof()

    def eof_received(self) -> None:
        """Forward it to aiohttp; then the connection closes and `connection_lost` is called."""
        if self._handler is not None:
            self._handler.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Restore aiohttp's handler and forward it, so that aiohttp raises the error."""
        handler = self._handler
        self._detach()
        if handler is not None:
            handler.connection_lost(exc)

    def pause_writing(self) -> None:
        """Forward it to aiohttp: some of a long request may not have been sent yet."""
        if self._handler is not None:
            self._handler.pause_writing()

    def resume_writing(self) -> None:
        """Forward it to aiohttp."""
        if self._handler is not None:
            self._handler.resume_writing()

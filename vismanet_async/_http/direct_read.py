"""Bodies of known size, read from the socket straight into the memory that keeps them.

aiohttp hands a body on in pieces of its own, each made anew and then copied to where it belongs: for a page of
2.5 MB that is more work than all the rest of reading it. What is still to come of such a body needs no parser,
so for as long the connection speaks to `Body` instead; with the last byte aiohttp has it back. The switch is asyncio's
own (`set_protocol`), and aiohttp begins every answer with a new parser.
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

__all__ = ["Body"]


class Body(asyncio.BufferedProtocol):
    """The body of an answer while it arrives.

    A context manager: leaving it gives the connection back to aiohttp, which closes it if the body is not whole.
    """

    def __init__(self, answer: aiohttp.ClientResponse, *, size: int, buffer: Callable[[int], bytearray]) -> None:
        """Take the memory, `buffer(size)`, when it begins to be filled."""
        self.kept = bytearray()
        self.missing = size
        """Bytes that have not arrived."""
        self._answer = answer
        self._buffer = buffer
        self._left = memoryview(b"")
        self._from_aiohttp = 0
        self._handler: ResponseHandler | None = None
        """aiohttp's side of the connection, while it is not in charge."""
        self._transport: asyncio.Transport | None = None
        self._given_back = anyio.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._give_back()
        self._left = memoryview(b"")  # the memory is the reader's alone

    async def fill(self) -> None:
        """Read until it is whole, or its sender has ended it early; after a cancellation it may be called again.

        Raises:
            aiohttp.ClientError, OSError: it broke off.
        """
        content = self._answer.content
        if not self.kept:
            self.kept = self._buffer(self.missing)
            self._left = memoryview(self.kept)
        while self.missing:
            if self._handler is not None or (IN_PLACE.usable and self._take_over()):
                await self._given_back.wait()
                continue
            part, _ = await content.readchunk()
            self._from_aiohttp += len(part)
            self._left[: len(part)] = part
            self._advance(len(part))
            if content.at_eof():
                return

    def _take_over(self) -> bool:
        """Read from the socket from here on, if aiohttp holds nothing of the body any more."""
        connection = self._answer.connection
        transport = None if connection is None else connection.transport
        handler = None if connection is None else connection.protocol
        if transport is None or handler is None or self._answer.content.total_bytes != self._from_aiohttp:
            return False
        self._transport, self._handler = transport, handler
        self._given_back = anyio.Event()
        transport.set_protocol(self)
        return True

    def _give_back(self) -> None:
        transport, handler = self._transport, self._handler
        if transport is None or handler is None:
            return
        self._transport = self._handler = None
        transport.set_protocol(handler)
        self._given_back.set()

    def _advance(self, by: int) -> None:
        self._left = self._left[by:]
        self.missing = len(self._left)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - whatever the loop guesses
        """Give the connection the memory to read into: never more than is missing."""
        return self._left

    def buffer_updated(self, nbytes: int) -> None:
        """Take note of what was read; with the last byte aiohttp is in charge again."""
        self._advance(nbytes)
        if not self.missing and (handler := self._handler) is not None:
            self._give_back()
            handler.set_response_params()  # a parser that expects nothing more of this body
            self._answer.content.feed_eof()

    def eof_received(self) -> None:
        """Pass it on; the connection closes then, and says so."""
        if self._handler is not None:
            self._handler.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the connection back for aiohttp to say how it ended."""
        handler = self._handler
        self._give_back()
        if handler is not None:
            handler.connection_lost(exc)

    def pause_writing(self) -> None:
        """Pass it on: of a long request some may still be leaving."""
        if self._handler is not None:
            self._handler.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        if self._handler is not None:
            self._handler.resume_writing()

"""The private parts of aiohttp that this package uses.

Two of them are required, and without them nothing is sent: the switch that keeps aiohttp from repeating requests by
itself, and the hook that reports when a request has a connection (`WatchedConnector`). The others make something
faster or more tolerant; they are probed on first use, and not used if they do not behave as expected.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import re
import sys
from contextvars import ContextVar
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, Protocol

import aiohttp
from aiohttp import http_exceptions
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import StreamWriter
from aiohttp.payload import BytesPayload
from yarl import URL

from vismanet_async._accel import Accelerator
from vismanet_async.errors import RequestRefused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiohttp.connector import Connection
    from aiohttp.payload import Payload

__all__ = [
    "IN_PLACE",
    "PROMPT",
    "TOLERANT",
    "PromptRequest",
    "WatchedConnector",
    "current_attempt",
    "ensure_watched",
    "header_limits",
    "keep_from_repeating",
    "unreadable_reason",
]

_MAX_HEADER_BYTES: Final = 64 * 1024
"""Of one header line: policies and cookies of gateways need more than aiohttp's default."""
_MAX_HEADERS: Final = 1024
_DEFAULT_HEADER_BYTES: Final = 8190
_DEFAULT_HEADERS: Final = 128
_NO_CONTENT: Final = re.compile(rb"HTTP/1\.[01] (?:204|304)\b")
_DECLARES_BODY: Final = re.compile(rb"\r\n(?:transfer-encoding:|content-length:[ \t]*0*[1-9])", re.IGNORECASE)
_HEAD_END: Final = b"\r\n\r\n"
_MAX_HEAD_BYTES: Final = 1024 * 1024
_PROMPT_BYTES: Final = 32 * 1024
"""Bodies up to this size are written at once: never so much that the connection makes it wait."""


class _Watched(Protocol):
    connected: bool


current_attempt: ContextVar[_Watched] = ContextVar("current_attempt")
"""The attempt that the running task is sending."""


class WatchedConnector(aiohttp.TCPConnector):
    """Reports to an attempt when it has a connection; aiohttp's tracing could do so too, but is a quarter slower.

    An attempt gets one connection: a second would be for a repetition, which only the retry table may decide on.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        if TOLERANT.usable:
            # aiohttp creates the protocol of each connection with this
            self._factory: Any = partial(_TolerantHandler, loop=asyncio.get_running_loop())

    async def connect(self, *args: Any, **kwargs: Any) -> Connection:
        """Connect for the current attempt."""
        attempt = current_attempt.get()
        if attempt.connected:
            raise aiohttp.ServerDisconnectedError
        for _ in range(self.limit + 1):
            connection = await super().connect(*args, **kwargs)
            protocol = connection.protocol
            if protocol is None or not protocol.should_close:
                attempt.connected = True
                return connection
            # something came that nobody asked for: it would be taken for the answer to this request
            connection.close()
        raise aiohttp.ClientConnectionError("the server sends before it is asked")


def keep_from_repeating(session: aiohttp.ClientSession) -> None:
    """Stop aiohttp from repeating GET, PUT and DELETE by itself on a connection that the server had closed.

    Raises:
        RequestRefused: this version of aiohttp has no such switch; nothing was sent.
    """
    if not hasattr(session, "_retry_connection"):
        session.detach()
        raise _refused("has no switch that keeps it from repeating requests by itself")
    session._retry_connection = False  # noqa: SLF001 - there is no public switch


async def ensure_watched() -> None:
    """Check that aiohttp gets every connection from `WatchedConnector`; without network, once in a process.

    Raises:
        RequestRefused: it does not, so that nothing reports whether a request was sent; nothing was sent.
    """
    if _proven:
        return
    probe = _Probe()
    before = current_attempt.set(probe)
    try:
        async with aiohttp.ClientSession(connector=_ProbedConnector()) as session:
            await session.request("GET", "http://127.0.0.1:9/")
    except aiohttp.ClientError:
        pass
    finally:
        current_attempt.reset(before)
    if not probe.connected and _is_patched():
        raise RequestRefused(
            "aiohttp.ClientSession is patched, so that nothing reports what was sent. In tests take the fixture "
            "visma_responses instead of aioresponses() itself, or the simulator. Nothing was sent."
        )
    if not probe.connected:
        raise _refused("does not ask its connector for connections in the known way")
    _proven.append(True)


def _is_patched() -> bool:
    """Return whether something, such as aioresponses, has put its own function in place of aiohttp's."""
    return aiohttp.ClientSession._request.__module__ != aiohttp.ClientSession.__module__  # noqa: SLF001


_proven: Final[list[bool]] = []


class _Probe:
    connected = False


class _ProbedConnector(WatchedConnector):
    async def connect(self, *_: Any, **__: Any) -> Connection:
        current_attempt.get().connected = True
        raise aiohttp.ClientConnectionError


def _refused(what: str) -> RequestRefused:
    return RequestRefused(
        f"aiohttp {aiohttp.__version__} {what}, so a change could be made twice. Install another version of aiohttp, "
        "or of this SDK. Nothing was sent."
    )


def header_limits() -> dict[str, int]:
    """Return the session options for large response headers that this version of aiohttp has."""
    wanted = {"max_line_size": _MAX_HEADER_BYTES, "max_field_size": _MAX_HEADER_BYTES, "max_headers": _MAX_HEADERS}
    known = inspect.signature(aiohttp.ClientSession.__init__).parameters
    return {name: limit for name, limit in wanted.items() if name in known}


def unreadable_reason(error: aiohttp.ClientResponseError) -> str:
    """Return why aiohttp could not read a response, without any content of the response."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, http_exceptions.LineTooLong):
            limit = header_limits().get("max_field_size", _DEFAULT_HEADER_BYTES)
            return f"the answer has a header of more than {limit:,} bytes"
        if isinstance(cause, http_exceptions.InvalidHeader):
            return "the answer has a header that is not HTTP"
        if isinstance(cause, http_exceptions.BadHttpMessage) and "Too many headers" in str(cause):
            limit = header_limits().get("max_headers", _DEFAULT_HEADERS)
            return f"the answer has more than {limit:,} headers"
        cause = cause.__cause__
    return "the answer is not HTTP"


class _TolerantHandler(ResponseHandler):
    """aiohttp's protocol of a connection, which accepts a 204 with a body.

    Some servers send a body with a 204: `{}` or an empty chunk. aiohttp reads it as the beginning of another response
    and then loses the 204. This handler drops the body, and the connection is not used again.
    """

    _head = b""

    def data_received(self, data: bytes) -> None:
        if self._head or (_NO_CONTENT.match(data) and self._expects_head()):
            data = self._without_body(self._head + data)
        if data:
            super().data_received(data)

    def _expects_head(self) -> bool:
        return self._parser is not None and (self._payload is None or self._payload.is_eof())

    def _without_body(self, data: bytes) -> bytes:
        end = data.find(_HEAD_END)
        if end < 0 and len(data) < _MAX_HEAD_BYTES:
            self._head = data
            self.force_close()  # half a head is something unread: the connection is not used again
            return b""
        self._head = b""
        if end < 0:
            return data
        end += len(_HEAD_END)
        if len(data) > end or _DECLARES_BODY.search(data, 0, end):
            self.force_close()
        return data[:end]

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._head:
            head, self._head = self._head, b""
            super().data_received(head)
        super().connection_lost(exc)


class PromptRequest(aiohttp.ClientRequest):
    """Writes a small body together with the head, at once: the same bytes as aiohttp, in the same single write.

    Before Python 3.12, aiohttp starts a task for each body, however small. With the turns of the event loop that it
    takes, that was a sixth of a small PUT.
    """

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        """Send the request; the response has not begun."""
        body, protocol = self._body, conn.protocol
        if body is None or protocol is None or not self._is_plain(body, protocol):
            return await super().send(conn)
        writer = StreamWriter(protocol, self.loop)
        await writer.write_headers(f"{self.method} {self.url.raw_path_qs} HTTP/1.1", self.headers)
        await body.write_with_length(writer, None)
        await writer.write_eof()
        protocol.start_timeout()
        response = self.response_class(
            self.method,
            self.original_url,
            writer=None,  # as aiohttp itself does where the body is written by then
            continue100=None,
            timer=self._timer,
            request_info=self.request_info,
            traces=self._traces,
            loop=self.loop,
            session=self._session,
            stream_writer=writer,
        )
        self.response = response  # type: ignore[assignment]  # declared as None
        return response

    def _is_plain(self, body: Payload, protocol: ResponseHandler) -> bool:
        """Return whether there is nothing to wait for, and nothing about the request that aiohttp has to look after."""
        return (
            type(body) is BytesPayload
            and (body.size or 0) <= _PROMPT_BYTES
            and not protocol.writing_paused
            and not (self.chunked or self.compress or self.proxy or self._traces or self._continue)
            and self.version == aiohttp.HttpVersion11
            and self.headers.get("Content-Length") == str(body.size)
            and "Content-Type" in self.headers
        )


class _NoTransport(asyncio.Transport):
    """A transport without a connection, for probes."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))


@contextlib.contextmanager
def _some_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Yield an event loop for a probe: its result is cached, so it must not depend on the first caller."""
    try:
        running = asyncio.get_running_loop()
    except RuntimeError:
        with contextlib.closing(asyncio.new_event_loop()) as own:
            yield own
    else:
        yield running


def _probe_tolerance() -> bool:
    with _some_loop() as loop:
        return _is_tolerant(loop)


def _is_tolerant(loop: asyncio.AbstractEventLoop) -> bool:
    handler = _TolerantHandler(loop)
    handler.connection_made(_NoTransport())
    handler.set_response_params()
    handler.data_received(b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n{}")
    connector = aiohttp.BaseConnector(loop=loop)
    made = connector._factory()  # noqa: SLF001 - what is probed
    return type(made) is ResponseHandler and handler.exception() is None and len(handler._buffer) == 1  # noqa: SLF001


def _probe_in_place() -> bool:
    with _some_loop() as loop:
        return _reads_in_place(loop)


def _reads_in_place(loop: asyncio.AbstractEventLoop) -> bool:
    """Return whether a body can be read as `DirectBodyReader` does; no connection is used."""
    handler = ResponseHandler(loop)
    handler.connection_made(_NoTransport())
    handler.set_response_params(auto_decompress=False)
    handler.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n012")
    (_, content), _ = handler._buffer.popleft()  # noqa: SLF001 - what `read` returns
    began = content.total_bytes == len(b"012") and not content.is_eof()
    handler.set_response_params()
    content.feed_eof()
    ended = content.is_eof() and handler.exception() is None
    handler.set_response_params(auto_decompress=False)
    handler.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    answer, connection = aiohttp.ClientResponse, aiohttp.connector.Connection
    parts = (answer, "connection"), (answer, "content"), (connection, "protocol"), (connection, "transport")
    return began and ended and len(handler._buffer) == 1 and all(hasattr(*part) for part in parts)  # noqa: SLF001


def _probe_prompt() -> bool:
    """Return whether a body can be written as `PromptRequest` does."""
    with _some_loop() as loop:
        return _writes_at_once(loop)


def _writes_at_once(loop: asyncio.AbstractEventLoop) -> bool:
    handler, transport, url = ResponseHandler(loop), _NoTransport(), URL("http://127.0.0.1:9/a")
    handler.connection_made(transport)
    request = PromptRequest("PUT", url, headers={"Content-Type": "text/plain", "A": "b"}, data=b"{}", loop=loop)
    connection = SimpleNamespace(protocol=handler)
    try:
        request.send(connection).send(None)  # type: ignore[arg-type]  # whatever else it looks at it must not
    except StopIteration as end:
        head, _, body = b"".join(transport.written).partition(_HEAD_END)
        return (
            len(transport.written) == 1
            and isinstance(end.value, aiohttp.ClientResponse)
            and (body, head.splitlines()[0]) == (b"{}", b"PUT /a HTTP/1.1")
            and {b"Host: 127.0.0.1:9", b"A: b", b"Content-Length: 2"} <= set(head.splitlines())
        )
    return False


PROMPT: Final = Accelerator(
    "writing small bodies at once",
    instead="aiohttp writes them in a task",
    probe=_probe_prompt,
    superfluous=sys.version_info >= (3, 12),  # aiohttp starts no task for them from there on
)
TOLERANT: Final = Accelerator(
    "accepting a 204 with a body", instead="such an answer counts as lost", probe=_probe_tolerance
)
IN_PLACE: Final = Accelerator(
    "reading bodies in place", instead="they are copied piece by piece", probe=_probe_in_place
)

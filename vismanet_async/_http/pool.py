"""`SessionPool`: aiohttp sessions and connections, shared by companies. Only it and `body` touch sockets."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import aiohttp
import anyio
import attrs
from anyio.lowlevel import checkpoint
from multidict import CIMultiDict

from vismanet_async._arguments import expect, expect_count
from vismanet_async._http.auth.grant import RawTokenResponse
from vismanet_async._http.decompress import ENCODINGS, InflateError, encoding_of, inflated, told_size
from vismanet_async._http.direct_read import Body
from vismanet_async._http.message import header_fault
from vismanet_async._http.wiring import (
    WatchedConnector,
    aiohttp_words,
    ensure_watched,
    header_limits,
    keep_from_repeating,
    under_way,
)
from vismanet_async._version import __version__
from vismanet_async.errors import (
    NotSent,
    OutcomeUnknown,
    RequestRefused,
    ResponseLost,
    SettingsError,
    TransportError,
    UnexpectedResponse,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from types import TracebackType
    from typing import Self

    from yarl import URL

    from vismanet_async._http.auth.grant import TokenRequest

__all__ = ["MAX_BODY_BYTES", "Envelope", "Exchange", "SessionPool", "default_user_agent"]

_CONNECT_SECONDS: Final = 20.0
_IDLE_SECONDS: Final = 60.0
"""How long a connection is kept unused; the gateway closes them at about 240 s (docs/facts.md 1.8)."""
_INFLATE_AT_ONCE_BYTES: Final = 512 * 1024
"""In one turn of the event loop: half a millisecond's work, or one with zlib."""
_WRITE_WHOLE_UP_TO_BYTES: Final = 512 * 1024
MAX_BODY_BYTES: Final = 512 * 1024 * 1024
"""A larger answer, inflated, is refused: no page of this API comes near it, a decompression bomb does."""
_IN_PLACE_UP_TO_BYTES: Final = 32 * 1024 * 1024
"""Memory for an answer up to this size is taken on the server's word, before the answer is there."""
_TURN_FROM_BYTES: Final = 256 * 1024
"""Bodies from this size on, more than arrives at a time, are read one after the other. Read side by side, all of them
would end with the last, and so would the waits for the answers that follow."""
_TURN_SECONDS: Final = 0.008
"""Bodies that take longer are bound by the network: the others need not wait for them."""
_MAX_ERROR_BYTES: Final = 64 * 1024
"""What is read of an error's body."""
_MAX_TOKEN_ANSWER_BYTES: Final = 1024 * 1024
_CHUNK_BYTES: Final = 64 * 1024
_FORM_HEADERS: Final = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "Content-Type": "application/x-www-form-urlencoded",
}
_FAULTS: Final = (aiohttp.ClientError, OSError, TimeoutError)


def default_user_agent() -> str:
    """Name the SDK and its version, as Visma asks integrations to name themselves (docs/facts.md 2.11)."""
    return f"vismanet-async/{__version__}"


@attrs.frozen(kw_only=True)
class Envelope:
    """What one attempt sends. Token and body never show in its repr."""

    method: str
    url: URL
    headers: CIMultiDict[str] = attrs.field(repr=False)
    data: Any = attrs.field(default=None, repr=False)
    """Bytes, or an async iterator of them."""
    repeatable: bool


class Exchange:
    """One attempt under way: what is known of it when it breaks off.

    A context manager: leaving it gives the connection back, or closes it if the answer was not read to its end.
    """

    __slots__ = ("_body_error", "_envelope", "_session", "_turns", "connected", "raw", "words")

    def __init__(self, session: aiohttp.ClientSession, envelope: Envelope, turns: anyio.Lock) -> None:
        self._session = session
        self._envelope = envelope
        self._turns = turns
        self._body_error: Exception | None = None
        self.connected = False
        """A connection was in hand, so that some of the request may have left."""
        self.raw: aiohttp.ClientResponse | None = None
        self.words = ""
        """How it broke off, in a word or two."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.raw is not None:
            self.raw.release()

    async def open(self) -> aiohttp.ClientResponse:
        """Send the request and give the answer with its body unread.

        Raises:
            NotSent, ResponseLost, OutcomeUnknown: as far as the attempt had come.
        """
        fault: Exception
        await ensure_watched()
        before = under_way.set(self)
        try:
            self.raw = await self._session.request(
                self._envelope.method,
                self._envelope.url,
                headers=self._envelope.headers,
                data=self._data(),
                allow_redirects=False,
            )
        except aiohttp.ClientConnectorError as error:
            self.connected = False
            fault = self._fault(f"cannot connect ({_reason(error)})", error)
        except _FAULTS as error:
            fault = self._body_error or self._fault(_words(error), error)
        else:
            return self.raw
        finally:
            under_way.reset(before)
        # raised out here, so that nothing drags aiohttp's frames along: they hold the token
        raise fault

    async def read_into(self, buffer: Callable[[int], bytearray] | None) -> bytes | bytearray:
        """Read the whole answer as `read` does, but compressed ones and those of known size into a buffer, if given."""
        raw = self._answer()
        size, encoding = raw.content_length or 0, _encoding(raw)
        if buffer is not None and encoding in ENCODINGS:
            return await self._inflate_into(buffer)
        if buffer is not None and not encoding and 0 < size <= _IN_PLACE_UP_TO_BYTES:
            return await self._collect_into(buffer, size)
        return await self.read()

    async def read(self, *, max_bytes: int = MAX_BODY_BYTES) -> bytes:
        """Read the whole answer, inflated.

        Raises:
            ResponseLost, OutcomeUnknown: it broke off, or the compressed body is cut off or damaged.
            UnexpectedResponse: it is larger than `max_bytes`, or its encoding was not asked for.
        """
        body = await self._collect_whole(max_bytes)
        if not _encoding(self._answer()):
            return body
        return b"".join([piece async for piece in self._inflated(body, max_bytes)])

    async def read_error(self) -> bytes:
        """Read what can be had of an error's body. Never fails: the status counts, whatever comes of the body."""
        raw = self._answer()
        parts, size = [], 0
        try:
            body = await self._collect(_MAX_ERROR_BYTES)
            if (encoding := _encoding(raw)) not in ENCODINGS:
                return body[:_MAX_ERROR_BYTES]
            for part in inflated(body, encoding):
                parts.append(part)
                if (size := size + len(part)) >= _MAX_ERROR_BYTES:
                    break
        except (TransportError, InflateError):
            return b""
        return b"".join(parts)[:_MAX_ERROR_BYTES]

    async def chunk(self) -> bytes:
        """Give the next piece of the body, at most 64 KiB as it arrives; empty at its end.

        Raises:
            ResponseLost, OutcomeUnknown: it broke off.
            UnexpectedResponse: it came compressed although that was not asked for.
        """
        raw = self._answer()
        if _encoding(raw):
            raise UnexpectedResponse("a streamed answer came compressed, which was not asked for.")
        return await self._next(raw, _CHUNK_BYTES)

    def fault(self, words: str) -> TransportError:
        """Give the error for a break-off at this point."""
        self.words = words
        envelope = self._envelope
        text = f"{envelope.method} {envelope.url.path} at {envelope.url.host}: {words}"
        if not self.connected:
            return NotSent(f"{text}. The request never left.")
        if envelope.repeatable:
            return ResponseLost(f"{text}. The answer got lost; sending it again is safe.")
        return OutcomeUnknown(
            f"{text}. The request may have been executed; it was not sent again. Look the record up first."
        )

    def _fault(self, words: str, cause: BaseException) -> TransportError:
        fault = self.fault(words)
        if not isinstance(cause, aiohttp.ClientResponseError):  # that one shows the request's headers
            fault.__cause__ = cause.with_traceback(None)
            cause.__context__ = cause.__cause__ = None
        return fault

    def _answer(self) -> aiohttp.ClientResponse:
        if self.raw is None:
            raise NotSent("the request has not been sent yet.")
        return self.raw

    async def _collect_whole(self, max_bytes: int) -> bytes:
        """Read until the end, as it came."""
        if (self._answer().content_length or 0) > max_bytes:
            raise self._too_large(max_bytes)
        body = await self._collect(max_bytes)
        if len(body) > max_bytes:
            raise self._too_large(max_bytes)
        return body

    async def _inflate_into(self, buffer: Callable[[int], bytearray]) -> bytearray:
        body = await self._collect_whole(MAX_BODY_BYTES)
        told = told_size(body, _encoding(self._answer()))
        kept, end = buffer(told if told <= _IN_PLACE_UP_TO_BYTES else 0), 0
        async for piece in self._inflated(body, MAX_BODY_BYTES):
            kept[end : (end := end + len(piece))] = piece  # grows where more comes than was told
        del kept[end:]
        return kept

    async def _inflated(self, body: bytes, max_bytes: int) -> AsyncIterator[bytes]:
        """Inflate the body piece by piece; others have their turns meanwhile."""
        encoding = _encoding(self._answer())
        if not body:
            return
        if encoding not in ENCODINGS:
            raise UnexpectedResponse(f"the answer came with the encoding {encoding!r}, which was not asked for.")
        size = held = 0
        try:
            for piece in inflated(body, encoding):
                size += len(piece)
                if size > max_bytes:
                    raise self._too_large(max_bytes)
                yield piece
                if size - held > _INFLATE_AT_ONCE_BYTES:
                    held = size
                    await checkpoint()
        except InflateError as error:
            raise self.fault(f"the compressed answer is damaged or cut off ({error})") from None

    def _too_large(self, max_bytes: int) -> UnexpectedResponse:
        host = self._envelope.url.host
        return UnexpectedResponse(f"the answer of {host} is larger than the {max_bytes:,} bytes allowed.")

    async def _collect(self, max_bytes: int) -> bytes:
        """Read until the end, or a little beyond `max_bytes`."""
        raw = self._answer()
        parts: list[bytes] = []
        size = 0
        while size <= max_bytes and (part := await self._next(raw, -1)):
            parts.append(part)
            size += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _collect_into(self, buffer: Callable[[int], bytearray], size: int) -> bytearray:
        with Body(self._answer(), size=size, buffer=buffer) as body:
            if size >= _TURN_FROM_BYTES:
                async with self._turns:
                    with anyio.move_on_after(_TURN_SECONDS):  # the network's time, not the client's clock
                        await self._fill(body)
            await self._fill(body)
        if body.missing:
            raise self.fault(f"the answer ended after {size - body.missing:,} of {size:,} bytes")
        return body.kept

    async def _fill(self, body: Body) -> None:
        try:
            await body.fill()
        except _FAULTS as error:
            fault = self._fault(_words(error), error)
        else:
            return
        raise fault

    async def _next(self, raw: aiohttp.ClientResponse, size: int) -> bytes:
        """Give what has arrived, at most `size` bytes; empty at the end."""
        content = raw.content
        try:
            if size >= 0:
                return await content.read(size)
            # piece by piece as they came: `readany` would copy them together, and so would whoever wants them whole
            part, _ = await content.readchunk()
            while not part and not content.at_eof():
                part, _ = await content.readchunk()
        except _FAULTS as error:
            fault = self._fault(_words(error), error)
        else:
            return part
        raise fault

    def _data(self) -> Any:
        data = self._envelope.data
        if data is None:
            return None
        if isinstance(data, bytes):
            # aiohttp warns of large bodies in one piece; as a file it writes them in pieces
            return data if len(data) <= _WRITE_WHOLE_UP_TO_BYTES else io.BytesIO(data)
        return self._watched(data)

    async def _watched(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Pass a streamed body on, keeping the caller's own error apart from the network's."""
        try:
            async for chunk in chunks:
                yield chunk
        except Exception as error:
            self._body_error = error
            raise


class SessionPool:
    """Connections, kept alive and shared by every company and service of a process.

    Opens its session on first use, in the running event loop, and belongs to that loop. Close it with `aclose`, or
    let the `VismaNet` that made it do so.

    Examples:
        >>> pool = SessionPool(max_connections=8)
        >>> async with VismaNet.from_env(pool=pool) as one, VismaNet.from_env(pool=pool) as other:  # as `visma` is
        ...     (await one.customer.get("10000")).number, (await other.customer.get("10001")).number
        ('10000', '10001')
        >>> await pool.aclose()
    """

    def __init__(self, *, max_connections: int = 64, user_agent: str | None = None) -> None:
        expect_count("max_connections", max_connections, error=SettingsError)
        expect("user_agent", user_agent, str, type(None), error=SettingsError)
        self._max_connections = max_connections
        self._user_agent = user_agent or default_user_agent()
        if (fault := header_fault("User-Agent", self._user_agent)) is not None:
            raise SettingsError(f"{fault}.")
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turns = anyio.Lock()
        self._closed = False

    def exchange(self, envelope: Envelope) -> Exchange:
        """Give an attempt to be made; nothing is sent yet.

        Raises:
            RequestRefused: the pool is closed, belongs to another event loop, or aiohttp has changed in what keeps
                requests from being sent twice.
        """
        return Exchange(self._open(), envelope, self._turns)

    def _open(self) -> aiohttp.ClientSession:
        if self._closed:
            raise RequestRefused("the client is closed: nothing was sent.")
        loop = asyncio.get_running_loop()
        if self._session is None:
            session = aiohttp.ClientSession(
                connector=WatchedConnector(limit=self._max_connections, keepalive_timeout=_IDLE_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": self._user_agent},
                skip_auto_headers=["Content-Type"],  # it would call an empty POST application/octet-stream
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
        """Post a form to the token endpoint and read the answer.

        Raises:
            NotSent, ResponseLost, OutcomeUnknown: as far as it had come.
        """
        envelope = Envelope(
            method="POST",
            url=url,
            headers=CIMultiDict(_FORM_HEADERS),
            data=urlencode(request.fields).encode(),
            repeatable=request.repeatable,
        )
        with self.exchange(envelope) as exchange:
            raw = await exchange.open()
            return RawTokenResponse(raw.status, await exchange.read(max_bytes=_MAX_TOKEN_ANSWER_BYTES))

    async def aclose(self) -> None:
        """Close every connection; requests under way break off. May be called more than once."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def _encoding(raw: aiohttp.ClientResponse) -> str:
    return encoding_of(raw.headers.getall("Content-Encoding", ()))


def _reason(error: aiohttp.ClientConnectorError) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its certificate is not trusted: {error.certificate_error}"
    return str(error.os_error)


def _words(error: BaseException) -> str:
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "disconnected without an answer"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the answer broke off"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, aiohttp.ClientResponseError):
        return aiohttp_words(error)
    if isinstance(error, ConnectionError | aiohttp.ClientOSError):
        return "the connection broke"
    return type(error).__name__

"""`HttpAttempt`: sends one HTTP request with aiohttp and reads its response."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import anyio
import attrs
from anyio.lowlevel import checkpoint

from vismanet_async._http.decompress import SUPPORTED, DecompressError, declared_size, encoding_of, iter_decompressed
from vismanet_async._http.direct_read import DirectBodyReader
from vismanet_async._http.reasons import connect_reason, failure_reason, proxy_reason
from vismanet_async._http.wiring import current_attempt, ensure_watched
from vismanet_async.errors import NotSent, OutcomeUnknown, ResponseLost, TransportError, UnexpectedResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from types import TracebackType
    from typing import Self

    from multidict import CIMultiDict
    from yarl import URL

__all__ = ["MAX_BODY_BYTES", "HttpAttempt", "WireRequest"]

_DECOMPRESS_AT_ONCE_BYTES: Final = 512 * 1024
"""Between two yields to the event loop: half a millisecond's work, or one with zlib."""
_WRITE_WHOLE_UP_TO_BYTES: Final = 512 * 1024
MAX_BODY_BYTES: Final = 512 * 1024 * 1024
"""A larger response, decompressed, is refused: no page of this API comes near it, a decompression bomb does."""
_IN_PLACE_UP_TO_BYTES: Final = 32 * 1024 * 1024
"""Memory for a body up to this size is allocated by its declared size, before the body has arrived."""
_SERIALIZE_FROM_BYTES: Final = 256 * 1024
"""Bodies from this size on, more than arrives at a time, are read one after the other. Read concurrently, all of them
would end with the last, and so would the waits for the responses that follow."""
_SERIALIZE_SECONDS: Final = 0.008
"""A body that takes longer is bound by the network: then the other bodies do not wait for it."""
_MAX_ERROR_BYTES: Final = 64 * 1024
"""How much of an error's body is read."""
_CHUNK_BYTES: Final = 64 * 1024
_PROXY_REFUSES: Final = frozenset({401, 403, 405, 407})
_FAILURES: Final = (aiohttp.ClientError, OSError, TimeoutError)


@attrs.frozen(kw_only=True)
class WireRequest:
    """The HTTP request of one attempt. Token and body never show in its repr."""

    method: str
    url: URL
    headers: CIMultiDict[str] = attrs.field(repr=False)
    data: Any = attrs.field(default=None, repr=False)
    """Bytes, or an async iterator of them."""
    idempotent: bool

    @property
    def skipped_headers(self) -> tuple[str, ...] | None:
        """The headers that aiohttp must not add: it would call an empty POST application/octet-stream."""
        return None if self.method == "GET" or "Content-Type" in self.headers else ("Content-Type",)


class HttpAttempt:
    """One attempt to send a request, and how far it got.

    A context manager: leaving it returns the connection to the pool, or closes it if the response was not read to its
    end.
    """

    __slots__ = (
        "_body_error",
        "_body_read_lock",
        "_pieces",
        "_proxy",
        "_request",
        "_session",
        "connected",
        "raw",
        "reason",
        "refused_by_proxy",
    )

    def __init__(
        self, session: aiohttp.ClientSession, request: WireRequest, body_read_lock: anyio.Lock, proxy: URL | None
    ) -> None:
        self._session = session
        self._request = request
        self._proxy = proxy
        self._body_read_lock = body_read_lock
        self._body_error: Exception | None = None
        self._pieces: Iterator[bytes] | None = None
        self.connected = False
        """Whether there was a connection, so that some of the request may have been sent."""
        self.raw: aiohttp.ClientResponse | None = None
        self.reason = ""
        """Why it failed, in a few words."""
        self.refused_by_proxy = False
        """Whether a proxy does not let it through, and would not the next time."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # with its last byte read, a response has given its connection back already
        if self.raw is not None and self.raw.connection is not None:
            self.raw.release()

    async def open(self) -> aiohttp.ClientResponse:
        """Send the request and return the response with its body unread.

        Raises:
            NotSent, ResponseLost, OutcomeUnknown: depending on how far the attempt got.
        """
        failure: Exception
        await ensure_watched()
        before = current_attempt.set(self)
        try:
            self.raw = await self._session.request(
                self._request.method,
                self._request.url,
                headers=self._request.headers,
                skip_auto_headers=self._request.skipped_headers,
                data=None if self._request.data is None else self._data(),
                allow_redirects=False,
                proxy=self._proxy,
            )
        except aiohttp.ClientHttpProxyError as error:
            self.connected = False
            self.refused_by_proxy = error.status in _PROXY_REFUSES
            failure = self._caused(proxy_reason(error.status, self._proxy), error)
        except aiohttp.ClientConnectorError as error:
            self.connected = False
            failure = self._caused(f"cannot connect ({connect_reason(error, self._proxy)})", error)
        except _FAILURES as error:
            failure = self._body_error or self._caused(failure_reason(error), error)
        else:
            return self.raw
        finally:
            current_attempt.reset(before)
        # raised outside the handler, so that it does not refer to aiohttp's frames: they hold the token
        raise failure

    async def read_into(self, buffer: Callable[[int], bytearray] | None) -> bytes | bytearray:
        """Return the whole body; compressed bodies and those of declared size are read into `buffer`, if given."""
        raw = self._response()
        size, encoding = raw.content_length or 0, _encoding(raw)
        if buffer is not None and encoding in SUPPORTED:
            return await self._decompress_into(buffer)
        if buffer is not None and not encoding and 0 < size <= _IN_PLACE_UP_TO_BYTES:
            return await self._receive_into(buffer, size)
        return await self.read()

    async def read(self, *, max_bytes: int = MAX_BODY_BYTES) -> bytes:
        """Return the whole body, decompressed.

        Raises:
            ResponseLost, OutcomeUnknown: the connection broke, or the compressed body is cut off or damaged.
            UnexpectedResponse: the body is larger than `max_bytes`, or its encoding was not requested.
        """
        raw = self._response()
        body = await self._receive_whole(raw, max_bytes)
        if "Content-Encoding" not in raw.headers or not _encoding(raw):
            return body
        return b"".join([piece async for piece in self._decompressed(body, max_bytes)])

    async def read_error(self) -> bytes:
        """Return what can be read of an error's body. Never raises: the status counts, whatever the body is."""
        raw = self._response()
        parts, size = [], 0
        try:
            body = await self._receive(raw, _MAX_ERROR_BYTES)
            if (encoding := _encoding(raw)) not in SUPPORTED:
                return body[:_MAX_ERROR_BYTES]
            for part in iter_decompressed(body, encoding):
                parts.append(part)
                if (size := size + len(part)) >= _MAX_ERROR_BYTES:
                    break
        except (TransportError, DecompressError):
            return b""
        return b"".join(parts)[:_MAX_ERROR_BYTES]

    async def chunk(self) -> bytes:
        """Return the next chunk of the body, at most 64 KiB as it arrives; empty at its end.

        A compressed body, which is not requested, is held whole and decompressed piece by piece.

        Raises:
            ResponseLost, OutcomeUnknown: the connection broke, or the compressed body is cut off or damaged.
            UnexpectedResponse: the compressed body is too large, or in an encoding that is not known.
        """
        raw = self._response()
        if not _encoding(raw):
            return await self._next_chunk(raw, _CHUNK_BYTES)
        if self._pieces is None:
            self._pieces = self._decompress(await self._receive_whole(raw, MAX_BODY_BYTES), MAX_BODY_BYTES)
        return next(filter(None, self._pieces), b"")

    def transport_error(self, reason: str) -> TransportError:
        """Return the error for a failure at this point."""
        self.reason = reason
        request = self._request
        text = f"{request.method} {request.url.path} at {request.url.host}: {reason}"
        if not self.connected:
            return NotSent(f"{text}. The request was not sent.")
        if request.idempotent:
            return ResponseLost(f"{text}. The answer got lost; sending it again is safe.")
        return OutcomeUnknown(
            f"{text}. The request may have been executed; it was not sent again. Look the record up first."
        )

    def _caused(self, reason: str, cause: BaseException) -> TransportError:
        failure = self.transport_error(reason)
        if not isinstance(cause, aiohttp.ClientResponseError):  # that one shows the request's headers
            failure.__cause__ = cause.with_traceback(None)
            cause.__context__ = cause.__cause__ = None
        return failure

    def _response(self) -> aiohttp.ClientResponse:
        if self.raw is None:
            raise NotSent("the request has not been sent yet.")
        return self.raw

    async def _receive_whole(self, raw: aiohttp.ClientResponse, max_bytes: int) -> bytes:
        """Return the whole body as received."""
        if (raw.content_length or 0) > max_bytes:
            raise self._too_large(max_bytes)
        body = await self._receive(raw, max_bytes)
        if len(body) > max_bytes:
            raise self._too_large(max_bytes)
        return body

    async def _decompress_into(self, buffer: Callable[[int], bytearray]) -> bytearray:
        raw = self._response()
        body = await self._receive_whole(raw, MAX_BODY_BYTES)
        declared = declared_size(body, _encoding(raw))
        result, end = buffer(declared if declared <= _IN_PLACE_UP_TO_BYTES else 0), 0
        async for piece in self._decompressed(body, MAX_BODY_BYTES):
            result[end : (end := end + len(piece))] = piece  # grows if the body is larger than declared
        del result[end:]
        return result

    async def _decompressed(self, body: bytes, max_bytes: int) -> AsyncIterator[bytes]:
        """Yield the decompressed body piece by piece, and yield to the event loop between pieces."""
        since_yield = 0
        for piece in self._decompress(body, max_bytes):
            yield piece
            since_yield += len(piece)
            if since_yield > _DECOMPRESS_AT_ONCE_BYTES:
                since_yield = 0
                await checkpoint()

    def _decompress(self, body: bytes, max_bytes: int) -> Iterator[bytes]:
        encoding = _encoding(self._response())
        if not body:
            return
        if encoding not in SUPPORTED:
            raise UnexpectedResponse(f"the answer came with the encoding {encoding!r}, which was not asked for.")
        size = 0
        try:
            for piece in iter_decompressed(body, encoding):
                size += len(piece)
                if size > max_bytes:
                    raise self._too_large(max_bytes)
                yield piece
        except DecompressError as error:
            raise self.transport_error(f"the compressed answer is damaged or cut off ({error})") from None

    def _too_large(self, max_bytes: int) -> UnexpectedResponse:
        host = self._request.url.host
        return UnexpectedResponse(f"the answer of {host} is larger than the {max_bytes:,} bytes allowed.")

    async def _receive(self, raw: aiohttp.ClientResponse, max_bytes: int) -> bytes:
        """Return the body up to its end, or up to slightly more than `max_bytes`."""
        parts: list[bytes] = []
        size = 0
        while size <= max_bytes and not raw.content.at_eof():
            parts.append(await self._next_chunk(raw, -1))
            size += len(parts[-1])
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _receive_into(self, buffer: Callable[[int], bytearray], size: int) -> bytearray:
        with DirectBodyReader(self._response(), size=size, buffer=buffer) as reader:
            if size >= _SERIALIZE_FROM_BYTES:
                async with self._body_read_lock:
                    with anyio.move_on_after(_SERIALIZE_SECONDS):  # the network's time, not the client's clock
                        await self._fill(reader)
            await self._fill(reader)
        if reader.remaining:
            raise self.transport_error(f"the answer ended after {size - reader.remaining:,} of {size:,} bytes")
        return reader.buffer

    async def _fill(self, reader: DirectBodyReader) -> None:
        try:
            await reader.fill()
        except _FAILURES as error:
            failure = self._caused(failure_reason(error), error)
        else:
            return
        raise failure

    async def _next_chunk(self, raw: aiohttp.ClientResponse, size: int) -> bytes:
        """Return what has arrived, at most `size` bytes; empty at the end."""
        content = raw.content
        try:
            if size >= 0:
                return await content.read(size)
            # chunk by chunk as received: `readany` would join them, and so would the caller that needs the whole body
            part, _ = await content.readchunk()
            while not part and not content.at_eof():
                part, _ = await content.readchunk()
        except _FAILURES as error:
            failure = self._caused(failure_reason(error), error)
        else:
            return part
        raise failure

    def _data(self) -> Any:
        data = self._request.data
        if isinstance(data, bytes):
            # aiohttp warns about large bodies in one piece; it writes a file in pieces
            return data if len(data) <= _WRITE_WHOLE_UP_TO_BYTES else io.BytesIO(data)
        return self._forwarded(data)

    async def _forwarded(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield the chunks of a streamed body, and remember the caller's own error apart from the network's."""
        try:
            async for chunk in chunks:
                yield chunk
        except Exception as error:
            self._body_error = error
            raise


def _encoding(raw: aiohttp.ClientResponse) -> str:
    return encoding_of(raw.headers.getall("Content-Encoding", ()))

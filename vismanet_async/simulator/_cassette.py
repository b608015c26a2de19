"""`record` and `replay`: what a client asked and was answered, as JSON lines, and a client that is answered from them.

It is recorded above the transport, where no token, client secret, cookie or Authorization header has ever been: what a
cassette holds is what the program asked for and what it got. Answers keep their bytes.
"""

# ruff: noqa: SLF001 - it stands between the parts of a client
from __future__ import annotations

import base64
from collections import defaultdict
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import attrs
import msgspec
from multidict import CIMultiDict, CIMultiDictProxy

from vismanet_async._arguments import expect
from vismanet_async._client import VismaNet
from vismanet_async._export.files import write_atomically
from vismanet_async._http.auth.credentials import StaticToken
from vismanet_async._http.message import Response
from vismanet_async.errors import ApiError, RequestRefused, api_error_type

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Iterator

    from vismanet_async._clock import Clock
    from vismanet_async._http.message import Request, StreamedResponse
    from vismanet_async._paging.listing import Listing

__all__ = ["NotRecorded", "record", "replay"]

_FORMAT: Final = 1
_KEPT: Final = ("Content-Type", "ETag", "Location", "Content-Disposition", "Retry-After", "Ipp-Request-Id")
"""Headers of answers that mean something to the client; all others are left out, Set-Cookie among them."""
_ASKED: Final = ("If-Match", "erp-api-background")
"""Headers of requests that change what is asked for."""


class NotRecorded(RequestRefused):
    """A replayed client asked for what the cassette does not have. Nothing was sent.

    Examples:
        >>> with record(visma, to="one.jsonl"):
        ...     customer = await visma.customer.get("10000")
        >>> async with replay("one.jsonl") as replayed:
        ...     await replayed.customer.get("10001")
        Traceback (most recent call last):
        vismanet_async.simulator._cassette.NotRecorded: GET /v1/customer/10001 is not in one.jsonl; the nearest there \
is GET /v1/customer/10000. Nothing was sent.
    """


@attrs.frozen(kw_only=True)
class _Asked:
    """What makes two requests the same."""

    service: str
    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: tuple[tuple[str, str], ...]
    body: str | None
    """The text; None without a body, and for a file that is streamed, which is told by its path alone."""

    @classmethod
    def by(cls, request: Request) -> _Asked:
        body = request.body
        headers = tuple((name, value) for name in _ASKED if (value := request.header(name)) is not None)
        return cls(
            service=request.service,
            method=request.method,
            path=request.path,
            query=tuple(sorted(request.query)),
            headers=headers,
            body=body.decode() if isinstance(body, bytes) else None,
        )

    def __str__(self) -> str:
        query = "&".join(f"{name}={value}" for name, value in self.query)
        return f"{self.method} {self.path}{query and f'?{query}'}{f' {self.body}' if self.body else ''}"


@attrs.frozen(kw_only=True)
class _Told:
    """An answer, a success or an error."""

    status: int
    headers: dict[str, str]
    text: str | None = None
    base64: str | None = None
    """A body that is no UTF-8."""
    detail: str | None = None
    """Of an error: the server's own words, as the client read them."""
    reference: str | None = None

    @classmethod
    def by(cls, status: int, headers: Any, body: bytes) -> _Told:
        kept = {name: headers[name] for name in _KEPT if name in headers}
        try:
            return cls(status=status, headers=kept, text=body.decode())
        except UnicodeDecodeError:
            return cls(status=status, headers=kept, base64=base64.b64encode(body).decode())

    @property
    def body(self) -> bytes:
        return base64.b64decode(self.base64) if self.base64 is not None else (self.text or "").encode()

    def response(self, operation: str) -> Response:
        """Return it, or raise it."""
        if self.detail is None:
            return Response(status=self.status, headers=CIMultiDictProxy(CIMultiDict(self.headers)), body=self.body)
        raise api_error_type(self.status)(
            operation,
            status=self.status,
            detail=self.detail,
            reference=self.reference,
            body=self.body,
            headers=self.headers,
        )


@attrs.frozen(kw_only=True)
class _Head:
    """The first line."""

    vismanet_cassette: int
    utc_now: datetime
    """Where lists are divided to be proven depends on it, and so do the requests."""


@attrs.frozen(kw_only=True)
class _Entry:
    request: _Asked
    response: _Told


class _HeldClock:
    """A client's clock whose date stands still, so that the same program asks the same again."""

    def __init__(self, clock: Clock, utc_now: datetime) -> None:
        self._clock = clock
        self._utc_now = utc_now

    def utc_now(self) -> datetime:
        return self._utc_now

    def __getattr__(self, name: str) -> Any:
        return getattr(self._clock, name)


@contextmanager
def record(client: VismaNet, *, to: str | os.PathLike[str]) -> Iterator[None]:
    """Record what a client asks and is answered in the block, and write it to a file at its end.

    The file, a cassette, has a JSON line for each call: request with its body, and answer, byte for byte. Neither
    tokens nor client secrets, cookies or Authorization headers are in it; names, addresses and amounts of the company
    are: record a test company. A call that got no answer is not in it, nor is what `client.company()` gives for others.

    Args:
        client: goes on as before; until the end of the block its lists are read in an order that can be repeated.
        to: is replaced. An error in the block leaves it as it was.

    Raises:
        OSError: the file cannot be written.

    Examples:
        >>> with record(visma, to="customers.jsonl"):
        ...     names = [customer.name async for customer in visma.customer.list(limit=2)]
        >>> async with replay("customers.jsonl") as replayed:
        ...     names == [customer.name async for customer in replayed.customer.list(limit=2)]
        True
    """
    expect("client", client, VismaNet, words="a VismaNet")
    head = _Head(vismanet_cassette=_FORMAT, utc_now=datetime.now(UTC))
    lines = [head]
    tape = _Recorder(client, lines)
    with _played(client, tape, head.utc_now):
        yield
    write_atomically(Path(to), b"".join(msgspec.json.encode(line) + b"\n" for line in lines))


def replay(cassette: str | os.PathLike[str]) -> VismaNet:
    """Return a client that is answered from a cassette, without network. Use it as any other client.

    A request that was recorded several times is answered in the order of the recording. One that is asked more often
    gets its last answer again if it reads, and is refused if it writes.

    Args:
        cassette: what `record` wrote.

    Raises:
        RequestRefused: it is no cassette. While it is used: `NotRecorded`, with the nearest request that there is.

    Examples:
        >>> with record(visma, to="one.jsonl"):
        ...     customer = await visma.customer.get("10000")
        >>> async with replay("one.jsonl") as replayed:
        ...     (await replayed.customer.get("10000")) == customer
        True
    """
    path = Path(cassette)
    try:
        first, *rest = path.read_bytes().splitlines()
        head = msgspec.json.decode(first, type=_Head)
        entries = [msgspec.json.decode(line, type=_Entry) for line in rest]
    except (ValueError, msgspec.MsgspecError) as error:
        raise RequestRefused(f"{path} is no cassette: {error}. Record it anew.") from None
    if head.vismanet_cassette != _FORMAT:
        raise RequestRefused(f"{path} has a format that this version does not read. Record it anew.")
    client = VismaNet(StaticToken("replayed", tenant_id="replayed"))
    _play(client, _Player(path, entries), head.utc_now)
    return client


@contextmanager
def _played(client: VismaNet, tape: _Recorder, utc_now: datetime) -> Iterator[None]:
    options = client._options
    _play(client, tape, utc_now)
    try:
        yield
    finally:
        for owner, name in ((client._transport, "send"), (client._transport, "stream"), (client, "listing")):
            del vars(owner)[name]
        client._options = options


def _play(client: VismaNet, tape: _Recorder | _Player, utc_now: datetime) -> None:
    transport = client._transport
    vars(transport).update(send=tape.send, stream=tape.stream)
    client._options = attrs.evolve(client._options, clock=cast("Clock", _HeldClock(client.clock, utc_now)))

    def listing(source: Any) -> Listing[Any]:
        return VismaNet.listing(client, source).with_sender(lambda sender: sender, in_waves=True)

    vars(client)["listing"] = listing


class _Recorder:
    def __init__(self, client: VismaNet, lines: list[Any]) -> None:
        self._send, self._stream = client._transport.send, client._transport.stream
        self._lines = lines

    async def send(self, request: Request, /) -> Response:
        try:
            response = await self._send(request)
        except ApiError as error:
            told = _Told.by(error.status, error.headers, error.body)
            self._keep(request, attrs.evolve(told, detail=error.detail, reference=error.reference))
            raise
        self._keep(request, _Told.by(response.status, response.headers, bytes(response.content)))
        return response

    @asynccontextmanager
    async def stream(self, request: Request, /) -> AsyncIterator[StreamedResponse]:
        async with self._stream(request) as streamed:
            body = b"".join([chunk async for chunk in streamed.chunks()])
            told = _Told.by(streamed.status, streamed.headers, body)
            self._keep(request, told)
            yield _Whole(told)

    def _keep(self, request: Request, told: _Told) -> None:
        self._lines.append(_Entry(request=_Asked.by(request), response=told))


class _Player:
    def __init__(self, path: Path, entries: list[_Entry]) -> None:
        self._path = path
        self._told: dict[_Asked, list[_Told]] = defaultdict(list)
        for entry in entries:
            self._told[entry.request].append(entry.response)

    async def send(self, request: Request, /) -> Response:
        return self._next(request).response(request.operation)

    @asynccontextmanager
    async def stream(self, request: Request, /) -> AsyncIterator[StreamedResponse]:
        told = self._next(request)
        told.response(request.operation)
        yield _Whole(told)

    def _next(self, request: Request) -> _Told:
        asked = _Asked.by(request)
        told = self._told.get(asked, [])
        if len(told) > 1 or (told and request.kind != "read"):
            return told.pop(0)
        if told:
            return told[0]
        if asked in self._told:
            raise NotRecorded(f"{asked} was asked more often than {self._path} has it. Nothing was sent.")
        near = get_close_matches(str(asked), {str(each): None for each in self._told}, n=1, cutoff=0)
        nearest = f"the nearest there is {near[0]}" if near else "nothing is"
        raise NotRecorded(f"{asked} is not in {self._path}; {nearest}. Nothing was sent.")


@attrs.frozen
class _Whole:
    """A streamed answer that is there already."""

    _told: _Told

    @property
    def status(self) -> int:
        return self._told.status

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        return CIMultiDictProxy(CIMultiDict(self._told.headers))

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self._told.body

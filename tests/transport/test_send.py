"""The pipeline against a server that sends what it is told, byte for byte."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections import Counter
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

import aiohttp
import anyio
import pytest
from anyio.lowlevel import checkpoint

from tests.support.clock import VirtualClock
from tests.support.hang import until
from tests.transport.conftest import SECRET, client_credentials
from tests.transport.wire import CLOSE, Seen, Wire, answer, token
from vismanet_async import errors
from vismanet_async._clock import SystemClock
from vismanet_async._http import http_attempt as attempt_module
from vismanet_async._http.auth.credentials import AuthorizationCode
from vismanet_async._http.call import ATTEMPT_SECONDS
from vismanet_async._http.decompress import iter_decompressed
from vismanet_async._http.direct_read import DirectBodyReader
from vismanet_async._http.http_attempt import HttpAttempt
from vismanet_async._http.limiter import ConcurrencyLimiter
from vismanet_async._http.message import Request, no_headers
from vismanet_async._http.pool import SessionPool
from vismanet_async.errors import (
    ApiError,
    BadRequest,
    DeadlineExceeded,
    NotSent,
    OutcomeUnknown,
    PreconditionFailed,
    RateLimited,
    RequestRefused,
    ResponseLost,
    ServerError,
    TokenRefused,
    Unauthorized,
    UnexpectedResponse,
    VismaNetError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping

    from vismanet_async._http.pipeline import Transport

    Make = Callable[..., Transport]


def get(path: str = "/v1/customer", **more: Any) -> Request:
    return Request(**{"operation": "GET it", "method": "GET", "path": path, **more})


def post(**more: Any) -> Request:
    return get(**{"operation": "POST it", "method": "POST", "body": b'{"a":1}', **more})


def guarded(method: str = "PUT") -> Request:
    return get(operation="PUT it", method=method, body=b"{}", headers={"if-match": '"AAE="'}, honours_if_match=True)


REQUESTS: dict[str, Request] = {
    "GET": get(),
    "HEAD": get(method="HEAD"),
    "POST": post(),
    "PATCH": post(method="PATCH"),
    "PUT": post(method="PUT"),
    "DELETE": get(method="DELETE"),
    "PUT If-Match": guarded(),
    "DELETE If-Match": guarded("DELETE"),
    "PUT If-Match that nobody honours": get(method="PUT", headers={"If-Match": '"x"'}),
    "PATCH If-Match": get(method="PATCH", headers={"If-Match": '"x"'}, honours_if_match=True),
    "background GET": get(background=True),
    "GET with the background header": get(headers={"ERP-API-Background": "true"}),
    "background PUT If-Match": get(method="PUT", background=True, headers={"If-Match": '"x"'}, honours_if_match=True),
}
READS = {"GET", "HEAD"}
GUARDED = {"PUT If-Match", "DELETE If-Match"}


# --- what goes over the wire ---


async def test_what_a_read_looks_like(wire: Wire, make: Make) -> None:
    transport = make(headers={"ipp-company-id": "7"})
    query = (
        ("lastModifiedDateTimeCondition", ">="),
        ("name", "Å & B+C"),
        ("inventoryTypes", "A"),
        ("inventoryTypes", "B"),
    )
    response = await transport.send(get("/v1/customer/b64(Oi8_)", query=query))
    (seen,) = wire.seen
    assert (seen.method, seen.target) == (
        "GET",
        (
            "/v1/customer/b64(Oi8_)?lastModifiedDateTimeCondition=%3E%3D&name=%C3%85%20%26%20B%2BC"
            "&inventoryTypes=A&inventoryTypes=B"
        ),
    )
    assert seen.one("Accept") == "application/json"
    assert seen.one("Accept-Encoding") == "gzip, deflate"
    assert seen.one("Authorization") == f"Bearer {SECRET}"
    assert seen.one("User-Agent") == "tests"
    assert seen.one("ipp-company-id") == "7"
    assert seen.one("Host") == f"127.0.0.1:{wire.port}"
    assert [seen.all(name) for name in ("Cookie", "Expect", "Content-Type", "Content-Length")] == [[], [], [], []]
    assert (response.status, response.body, len(response.attempts)) == (200, b"{}", 1)


async def test_what_a_write_looks_like(wire: Wire, make: Make) -> None:
    transport = make()
    await transport.send(post(body='{"name":{"value":"Åre"}}'.encode()))
    await transport.send(post(body=None))
    await transport.send(post(body=b"x" * 3_000_000, headers={"content-type": "application/xml"}))
    with_body, without, large = wire.seen
    assert with_body.one("Content-Type") == "application/json; charset=utf-8"
    assert json.loads(with_body.body) == {"name": {"value": "Åre"}}
    assert without.one("Content-Length") == "0"
    assert without.all("Content-Type") == []
    assert (len(large.body), large.one("Content-Length")) == (3_000_000, "3000000")
    assert large.one("Content-Type") == "application/xml"


async def test_headers_of_one_call_are_not_those_of_the_next(wire: Wire, make: Make) -> None:
    transport = make(headers={"ipp-company-id": "7"})
    await transport.send(get())
    await transport.send(guarded())
    await transport.send(get(headers={"X-Trace": "a", "accept": "*/*"}))
    async with transport.stream(get()) as streamed:
        _ = [chunk async for chunk in streamed.chunks()]
    await transport.send(get())
    first, write, traced, stream, last = wire.seen
    own = ("Accept", "Accept-Encoding", "Authorization", "ipp-company-id")
    assert write.one("If-Match") == '"AAE="'
    assert (traced.one("X-Trace"), traced.one("Accept")) == ("a", "*/*")
    assert stream.one("Accept-Encoding") == "identity"
    assert [last.one(name) for name in own] == [first.one(name) for name in own]
    assert [last.all(name) for name in ("If-Match", "Content-Type", "X-Trace")] == [[], [], []]


async def test_headers_are_one_of_each_whatever_their_case(wire: Wire, make: Make) -> None:
    transport = make(headers={"ACCEPT": "a/a", "authorization": "Basic evil"})
    await transport.send(get(headers={"accept": "b/b", "AUTHORIZATION": "Basic evil", "accept-encoding": "identity"}))
    (seen,) = wire.seen
    assert (seen.one("Accept"), seen.one("Accept-Encoding")) == ("b/b", "identity")
    assert seen.one("Authorization") == f"Bearer {SECRET}"


async def test_connections_are_kept_and_cookies_are_not(wire: Wire, make: Make) -> None:
    transport = make()
    wire.reply(answer(Set_Cookie="a=b; Path=/"))
    for _ in range(3):
        await transport.send(get())
    assert wire.connections == 1
    assert all(seen.all("Cookie") == [] for seen in wire.seen)


class Chunks:
    def __init__(self, *parts: bytes | Exception, rewindable: bool = True) -> None:
        self.parts, self.rewindable, self.opened = parts, rewindable, 0

    def open(self) -> tuple[AsyncIterator[bytes], Mapping[str, str]]:
        self.opened += 1
        return self._chunks(), {"Content-Type": "application/pdf"}

    async def _chunks(self) -> AsyncIterator[bytes]:
        for part in self.parts:
            if isinstance(part, Exception):
                raise part
            yield part


async def test_streamed_bodies_are_opened_for_each_attempt(wire: Wire, make: Make) -> None:
    wire.reply(answer(429, Retry_After="1"), answer(204, b""))
    body = Chunks(b"abc", b"def")
    await make().send(post(body=body))
    assert body.opened == 2
    assert [(seen.body, seen.one("Content-Type")) for seen in wire.seen] == [(b"abcdef", "application/pdf")] * 2


async def test_a_body_that_can_be_opened_once_is_sent_once(wire: Wire, make: Make) -> None:
    wire.reply(answer(429, Retry_After="1"))
    body = Chunks(b"abc", rewindable=False)
    with pytest.raises(RateLimited):
        await make().send(post(body=body))
    assert (body.opened, len(wire.seen)) == (1, 1)


async def test_what_the_callers_body_raises_is_not_taken_for_a_network_fault(wire: Wire, make: Make) -> None:
    with pytest.raises(OSError, match="the file is gone") as caught:
        await make().send(post(body=Chunks(b"abc", OSError("the file is gone"))))
    assert not isinstance(caught.value, VismaNetError)
    assert wire.seen == [], "never came whole"


# --- sent or not sent, repeated or not ---


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("name", REQUESTS)
async def test_a_connection_closed_after_the_request(wire: Wire, make: Make, name: str, warm: bool) -> None:
    """aiohttp would send some of these again by itself on a kept connection; only the retry table may."""
    transport = make()
    if warm:
        await transport.send(get())
        wire.seen.clear()
    wire.default = (CLOSE,)
    lost: type[VismaNetError] = ResponseLost if name in READS else OutcomeUnknown
    with pytest.raises(lost) as caught:
        await transport.send(REQUESTS[name])
    assert len(wire.seen) == (3 if name in READS | GUARDED else 1)
    assert len(caught.value.attempts) == len(wire.seen)
    assert {attempt.outcome for attempt in caught.value.attempts} <= {
        "disconnected without an answer", "the connection broke",
    }  # fmt: skip


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize(
    "broken",
    [
        (answer(200, b'{"a"', length=999), CLOSE),
        (b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n', CLOSE),
        (b"HTTP/1.1 200 O", CLOSE),
        (b"SSH-2.0-OpenSSH\r\n\r\n", CLOSE),
        (answer(200, gzip.compress(b"x" * 5000)[:-20], Content_Encoding="gzip"),),
        (answer(200, b"not gzip at all", Content_Encoding="gzip"),),
    ],
    ids=["short", "chunked", "head", "not http", "gzip cut", "not gzip"],
)
async def test_an_answer_that_breaks_off(wire: Wire, make: Make, name: str, broken: Any) -> None:
    if name == "HEAD":
        pytest.skip("has no body to break off")
    wire.reply(broken)
    if name in READS | GUARDED:
        assert (await make().send(REQUESTS[name])).body == b"{}"
        assert len(wire.seen) == 2
    else:
        with pytest.raises(OutcomeUnknown, match="may have been executed"):
            await make().send(REQUESTS[name])
        assert len(wire.seen) == 1


@pytest.mark.parametrize("name", REQUESTS)
async def test_a_success_that_cannot_be_read_is_no_answer_to_a_write(wire: Wire, make: Make, name: str) -> None:
    if name == "HEAD":
        pytest.skip("has no body")
    wire.reply((answer(201, b"xx", Content_Encoding="zstd", Location="/v1/customer/77"),))
    reads = name in READS
    with pytest.raises(UnexpectedResponse if reads else OutcomeUnknown, match="encoding 'zstd'") as caught:
        await make().send(REQUESTS[name])
    assert (len(wire.seen), len(caught.value.attempts)) == (1, 1)
    if not reads:
        assert "may have been executed (201)" in str(caught.value)
        assert "The answer names /v1/customer/77." in str(caught.value)


@pytest.mark.parametrize("name", REQUESTS)
async def test_a_write_that_is_sent_to_another_place_for_its_answer_may_be_done(
    wire: Wire, make: Make, name: str
) -> None:
    wire.reply((answer(303, b"", Location="/v1/customer/77"),))
    with pytest.raises(ApiError if name in READS else OutcomeUnknown, match="Redirects are never followed"):
        await make().send(REQUESTS[name])
    assert len(wire.seen) == 1


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("status", [408, 500, 501, 502, 503, 504])
async def test_server_errors(wire: Wire, make: Make, name: str, status: int) -> None:
    wire.default = (answer(status, b"" if name == "HEAD" else b"<html>oops</html>"),)
    busy = status in {408, 502, 503, 504}
    reads = name in READS
    with pytest.raises(OutcomeUnknown if busy and not reads else ServerError) as caught:
        await make().send(REQUESTS[name])
    assert len(wire.seen) == (1 if not reads or status == 501 else 3 if busy else 2)  # 501: it never does this
    if busy and not reads:
        assert isinstance(caught.value.__cause__, ServerError)
        assert caught.value.__cause__.status == status
        assert "may have been executed" in str(caught.value)


@pytest.mark.parametrize("name", REQUESTS)
async def test_a_read_that_recovers(wire: Wire, make: Make, name: str, clock: VirtualClock) -> None:
    wire.reply(answer(429, b"", Retry_After="2"), answer(429, b"", Retry_After="2"), answer(204, b""))
    response = await make().send(REQUESTS[name])
    assert [attempt.outcome for attempt in response.attempts] == ["429", "429", "204"]
    assert response.attempts[1].waited_for == ("quota 2.1 s",)
    assert response.attempts[1].started_after_seconds == pytest.approx(2.1)


@pytest.mark.parametrize("name", REQUESTS)
async def test_nothing_listens(wire: Wire, make: Make, name: str, unused_tcp_port: int) -> None:
    transport = make(base=f"http://127.0.0.1:{unused_tcp_port}")
    with pytest.raises(NotSent, match="cannot connect") as caught:
        await transport.send(REQUESTS[name])
    assert len(caught.value.attempts) == 4


async def test_an_endless_pause_gives_five_tries(wire: Wire, make: Make) -> None:
    wire.default = (answer(429, b'{"statusCode":429,"message":"Rate limit is exceeded."}', Retry_After="1"),)
    with pytest.raises(RateLimited, match="Rate limit is exceeded") as caught:
        await make().send(post())
    assert len(wire.seen) == 5
    assert caught.value.retry_after_seconds == pytest.approx(1.05)


async def test_a_call_reaches_the_server_five_times_at_most_whatever_mixes(wire: Wire, make: Make) -> None:
    wire.reply(answer(503), (CLOSE,), answer(500), answer(503), (CLOSE,), answer(200))
    with pytest.raises(ResponseLost):
        await make().send(get())
    assert len(wire.seen) == 5


async def test_a_busy_server_is_left_alone_as_long_as_it_asks(wire: Wire, make: Make, clock: VirtualClock) -> None:
    wire.reply(answer(503, Retry_After="17", X_RateLimit_Reset="3000"))
    await make().send(get())
    assert clock.slept == [17.0]


async def test_a_lost_guarded_write_that_then_cannot_connect_is_unknown_not_unsent(wire: Wire, make: Make) -> None:
    transport = make()

    async def stop(_seen: Seen) -> None:
        wire.port = 0

    wire.replies.append((CLOSE,))
    session = transport._pool._open()
    connector = session.connector
    assert connector is not None

    real = connector.connect
    calls = []

    async def connect(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) > 1:
            raise aiohttp.ClientConnectorError(args[0].connection_key, OSError("refused"))
        return await real(*args, **kwargs)

    connector.connect = connect  # type: ignore[method-assign]
    with pytest.raises(OutcomeUnknown) as caught:
        await transport.send(guarded())
    assert isinstance(caught.value.__cause__, NotSent)
    assert [attempt.outcome.split(" ")[0] for attempt in caught.value.attempts] == ["disconnected"] + ["cannot"] * 4


@pytest.mark.parametrize(("status", "kind"), [(412, PreconditionFailed), (404, errors.NotFound), (400, BadRequest)])
async def test_a_repeated_guarded_write_may_meet_its_own_effect(
    wire: Wire, make: Make, status: int, kind: type[ApiError]
) -> None:
    wire.reply((CLOSE,), answer(status, ETag='W/"AAI="'))
    with pytest.raises(kind, match="may be its own effect") as caught:
        await make().send(guarded())
    assert len(caught.value.attempts) == 2


# --- answers ---


@pytest.mark.parametrize("status", [300, 302, 304, 400, 403, 404, 409, 410, 412, 413, 418, 422, 428])
async def test_definite_answers_are_not_repeated(wire: Wire, make: Make, status: int) -> None:
    wire.default = (
        answer(status, b"" if status == 304 else b'{"message":"VismaId: 6c6eb585-da38-4765-b80d-e9552a8721f8. no"}'),
    )
    for name in ("GET", "POST", "PUT If-Match"):
        wire.seen.clear()
        with pytest.raises(errors.api_error_type(status)) as caught:
            await make().send(REQUESTS[name])
        error = caught.value
        assert (error.status, len(wire.seen), len(error.attempts)) == (status, 1, 1)
        if status != 304:
            assert (error.detail, error.reference) == ("no", "6c6eb585-da38-4765-b80d-e9552a8721f8")
            assert error.body.startswith(b'{"message"')


async def test_a_412_tells_both_tags(wire: Wire, make: Make) -> None:
    wire.reply(answer(412, ETag='W/"AAI="', Ipp_Request_Id="r-1", Set_Cookie="a=b"), answer(412))
    with pytest.raises(PreconditionFailed, match="Read the record again") as caught:
        await make().send(guarded())
    assert (caught.value.expected, caught.value.current) == ("AAE=", "AAI=")
    assert caught.value.reference == "r-1"
    assert set(caught.value.headers) == {"Content-Type", "ETag", "Ipp-Request-Id"}
    with pytest.raises(PreconditionFailed) as caught:
        await make().send(post())
    assert (caught.value.expected, caught.value.current) == (None, None)


@pytest.mark.parametrize("location", ["http://127.0.0.1:{port}/v1/other", "https://evil.example/", "/v1/other"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_never_followed(wire: Wire, make: Make, location: str, status: int) -> None:
    wire.default = (answer(status, Location=location.format(port=wire.port)),)
    with pytest.raises(ApiError, match="never followed"):
        await make().send(get())
    assert len(wire.seen) == 1


@pytest.mark.parametrize("path", ["//evil.example/v1", "@evil.example/", ":1/v1", "/v1/../x", "http://evil.example/"])
async def test_bad_paths_are_refused_before_anything(wire: Wire, make: Make, path: str) -> None:
    with pytest.raises(RequestRefused):
        await make(client_credentials()).send(get(path))
    assert (wire.seen, wire.asked) == ([], [])


@pytest.mark.parametrize(
    ("encoding", "encode"),
    [
        ("gzip", gzip.compress), ("GZip", gzip.compress), ("x-gzip", gzip.compress), ("deflate", zlib.compress),
        ("deflate", lambda data: zlib.compress(data, wbits=-15)), ("identity", bytes), ("", bytes),
        ("gzip", lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:])),
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [1, 50, 60_000])
async def test_compressed_answers(wire: Wire, make: Make, encoding: str, encode: Any, size: int) -> None:
    body = b"".join(zlib.crc32(str(n).encode()).to_bytes(4, "big") for n in range(size))
    wire.reply(answer(200, encode(body), Content_Encoding=encoding))
    assert (await make().send(get())).body == body


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (answer(200, b"[1,2,3]"), bytearray),
        (answer(200, gzip.compress(b"[1,2,3]"), Content_Encoding="gzip"), bytearray),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n[1,2,3]\r\n0\r\n\r\n", bytes),
    ],
    ids=["plain", "gzip", "chunked"],
)
async def test_a_body_that_may_change(wire: Wire, make: Make, reply: bytes, kind: type) -> None:
    wire.reply(reply, reply)
    transport = make()
    response = await transport.send(get(buffer=bytearray))
    assert type(response.content) is kind
    assert response.content == b"[1,2,3]"
    assert type(response.body) is bytes
    assert response.body == b"[1,2,3]"
    assert type((await transport.send(get())).content) is bytes


async def test_a_body_that_may_change_is_read_whole_or_not_at_all(
    wire: Wire, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b"".join(zlib.crc32(str(n).encode()).to_bytes(4, "big") for n in range(200_000))
    cut = answer(200, body[:300_000], length=len(body))
    wire.reply((cut, CLOSE), answer(200, body))
    response = await make().send(get(buffer=bytearray))
    assert response.content == body
    assert [attempt.outcome for attempt in response.attempts] == ["the answer broke off", "200"]

    monkeypatch.setattr(attempt_module, "_IN_PLACE_UP_TO_BYTES", len(body) - 1)  # a length is only a word
    wire.reply(answer(200, body))
    large = await make().send(get(buffer=bytearray))
    assert type(large.content) is bytes
    assert large.content == body


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_compressed_body_goes_where_the_reader_wants_it(
    wire: Wire, make: Make, monkeypatch: pytest.MonkeyPatch, chunked: bool
) -> None:
    """Its size is what its end tells, or found out; nobody takes much memory on a word."""
    body = Random(1).randbytes(100_000)
    other = Random(119).randbytes(20)
    told: list[int] = []

    def buffer(size: int) -> bytearray:
        told.append(size)
        return bytearray(size)

    def reply(packed: bytes, encoding: str = "gzip") -> None:
        if not chunked:
            return wire.reply(answer(200, packed, Content_Encoding=encoding))
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        return wire.reply(b"%s%x\r\n%s\r\n0\r\n\r\n" % (head, len(packed), packed))

    transport = make()
    lie = (2**32 - 1).to_bytes(4, "little")
    for content, packed, encoding, size in (
        (body, gzip.compress(body), "gzip", 100_000),
        (body, gzip.compress(body[:60_000]) + gzip.compress(body[60_000:]), "gzip", 40_000),
        (body, gzip.compress(b"") + gzip.compress(body) + gzip.compress(b""), "gzip", 0),
        (body, zlib.compress(body), "deflate", 0),
        (other, zlib.compress(other), "gzip", 666_730),  # not what it says: its end is a checksum
    ):
        reply(packed, encoding)
        response = await transport.send(get(buffer=buffer))
        assert type(response.content) is bytearray
        assert response.content == content
        assert told.pop() == size

    reply(gzip.compress(body)[:-4] + lie)
    reply(gzip.compress(body))
    response = await transport.send(get(buffer=buffer))
    assert told == [0, 100_000]
    assert response.content == body
    assert "damaged" in response.attempts[0].outcome

    monkeypatch.setattr(attempt_module, "MAX_BODY_BYTES", 99_999)
    reply(gzip.compress(body[:1]) + gzip.compress(body[1:]))
    with pytest.raises(UnexpectedResponse, match="larger than the 99,999 bytes"):
        await transport.send(get(buffer=buffer))


async def test_others_have_their_turns_while_a_large_body_is_inflated(
    wire: Wire, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = Random(1).randbytes(2_000_000).hex().encode()
    wire.reply(answer(200, gzip.compress(body, 1), Content_Encoding="gzip"))
    turn = 0
    decompressed_in: Counter[int] = Counter()

    def counted(body: bytes, encoding: str) -> Iterator[bytes]:
        for piece in iter_decompressed(body, encoding):
            decompressed_in[turn] += len(piece)
            yield piece

    async def tick() -> None:
        nonlocal turn
        while True:
            turn += 1
            await checkpoint()

    monkeypatch.setattr(attempt_module, "iter_decompressed", counted)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tick)
        assert (await make().send(get(buffer=bytearray))).content == body
        tasks.cancel_scope.cancel()
    assert sum(decompressed_in.values()) == 4_000_000
    assert max(decompressed_in.values()) < 600_000


async def test_a_body_that_is_not_whole_is_a_lost_answer(
    wire: Wire, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fill(_: DirectBodyReader) -> None:
        """As if it had ended, with nobody to tell why."""

    monkeypatch.setattr(DirectBodyReader, "fill", fill)
    wire.default = (answer(200, b"12345"),)
    with pytest.raises(ResponseLost, match="ended after 0 of 5 bytes"):
        await make().send(get(buffer=bytearray))


@pytest.mark.parametrize("slow", [False, True])
async def test_large_bodies_are_read_one_after_the_other(
    wire: Wire, make: Make, monkeypatch: pytest.MonkeyPatch, slow: bool
) -> None:
    """The second one is all here before the first: it has its turn when that has ended, or takes too long."""
    monkeypatch.setattr(attempt_module, "_SERIALIZE_SECONDS", 0.001 if slow else 60)
    first, second = b"1" * 1_000_000, b"2" * 1_000_000
    begun, rest = asyncio.Event(), asyncio.Event()

    class Told(DirectBodyReader):
        async def fill(self) -> None:
            begun.set()
            await super().fill()

    monkeypatch.setattr(attempt_module, "DirectBodyReader", Told)
    head = answer(200, b"", length=len(first))
    wire.reply((head, first[:1000], rest, first[1000:]), answer(200, second))
    transport = make()
    ended: list[bytes | bytearray] = []

    async def fetch() -> None:
        ended.append((await transport.send(get(buffer=bytearray))).content)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(fetch)
        await begun.wait()
        tasks.start_soon(fetch)
        while not (ended or (not slow and transport._pool._body_read_lock.statistics().tasks_waiting)):
            await checkpoint()
        rest.set()
    assert ended == ([second, first] if slow else [first, second])


async def test_the_end_of_a_chunk_is_not_the_end_of_the_answer(
    wire: Wire, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line break that ends a chunk, arriving after its data was read, is told as an empty piece."""
    pieces = [bytes([number]) * 300 for number in range(1, 4)]
    steps: list[bytes | asyncio.Event] = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"]
    taken = [asyncio.Event() for _ in pieces]
    for piece, event in zip(pieces, taken, strict=True):
        steps += [b"%x\r\n%b" % (len(piece), piece), event, b"\r\n"]
    read = aiohttp.StreamReader.readchunk

    async def told(self: aiohttp.StreamReader) -> tuple[bytes, bool]:
        part, ended = await read(self)
        if part:
            taken[pieces.index(part)].set()
        return part, ended

    monkeypatch.setattr(aiohttp.StreamReader, "readchunk", told)
    wire.reply((*steps, b"0\r\n\r\n"))
    assert (await make().send(get())).body == b"".join(pieces)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip"])
async def test_an_encoding_that_was_not_asked_for(wire: Wire, make: Make, encoding: str) -> None:
    wire.reply(answer(200, b"xx", Content_Encoding=encoding))
    with pytest.raises(UnexpectedResponse, match="not asked for") as caught:
        await make().send(get())
    assert caught.value.attempts[0].outcome == "200"


@pytest.mark.parametrize("chunked", [False, True])
async def test_bombs_and_giants_are_refused_once(
    wire: Wire, make: Make, chunked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = HttpAttempt.read

    async def read(self: Any, *, max_bytes: int = 100_000) -> bytes:
        return await real(self, max_bytes=max_bytes)

    monkeypatch.setattr(HttpAttempt, "read", read)
    bomb = gzip.compress(b"\0" * 100_001)
    giant = b"\0" * 100_001
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(giant)
    wire.reply(
        answer(200, bomb, Content_Encoding="gzip"),
        (head + giant + b"\r\n0\r\n\r\n") if chunked else answer(200, giant),
        answer(200, gzip.compress(b"\0" * 100_000), Content_Encoding="gzip"),
        answer(200, bomb + gzip.compress(b"more"), Content_Encoding="gzip"),
        answer(400, bomb, Content_Encoding="gzip"),
    )
    transport = make()
    for _ in range(2):
        with pytest.raises(UnexpectedResponse, match="larger than the 100,000 bytes"):
            await transport.send(get())
    assert len((await transport.send(get())).body) == 100_000
    with pytest.raises(UnexpectedResponse, match="larger"):
        await transport.send(get())
    with pytest.raises(BadRequest) as caught:
        await transport.send(get())
    assert len(caught.value.body) == 4096
    assert len(wire.seen) == 5


@pytest.mark.parametrize(
    "broken",
    [
        (answer(400, b'{"mess', length=500), CLOSE),
        (answer(400, b"", Content_Encoding="gzip"),),
        (answer(400, b"", Content_Encoding="br"),),
        (answer(400, b"<html>" + b"x" * 1_000_000),),
    ],
    ids=["cut", "not gzip", "br", "large"],
)
@pytest.mark.parametrize("name", ["GET", "POST"])
async def test_an_error_status_counts_whatever_comes_of_its_body(
    wire: Wire, make: Make, name: str, broken: Any
) -> None:
    wire.reply(broken)
    with pytest.raises(BadRequest):
        await make().send(REQUESTS[name])
    assert len(wire.seen) == 1


async def test_a_compressed_error_is_read_whole(wire: Wire, make: Make) -> None:
    body = json.dumps({"rows": Random(1).randbytes(20_000).hex(), "message": "No such branch."}).encode()
    wire.reply(answer(400, gzip.compress(body), Content_Encoding="gzip"))
    with pytest.raises(BadRequest, match=r"No such branch\."):
        await make().send(get())


async def test_nothing_needs_no_inflating(wire: Wire, make: Make) -> None:
    wire.default = (answer(200, b"", Content_Encoding="gzip"),)
    assert (await make().send(get())).content == b""
    assert (await make().send(get(buffer=bytearray))).content == b""


async def test_an_error_body_that_never_comes_is_not_waited_for(wire: Wire, make: Make) -> None:
    clock = VirtualClock(auto=False)
    never = asyncio.Event()
    wire.reply((answer(400, b"{", length=9), never))
    caught: list[BadRequest] = []

    async def call(transport: Transport) -> None:
        try:
            await transport.send(post())
        except BadRequest as error:
            caught.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call, make(clock=clock))
        await until(lambda: 10.0 in clock.waited_for)
        clock.advance(10)
    assert caught[0].status == 400


# --- tokens ---


@pytest.mark.parametrize("name", REQUESTS)
async def test_one_fresh_token_after_a_401(wire: Wire, make: Make, name: str) -> None:
    wire.grants.extend([(token("old"),), (token("new"),)])
    wire.reply(answer(401, b""), answer(204, b""))
    await make(client_credentials()).send(REQUESTS[name])
    assert [seen.one("Authorization") for seen in wire.seen] == ["Bearer old", "Bearer new"]


async def test_a_fresh_token_that_is_refused_too_names_the_tenant_id(wire: Wire, make: Make) -> None:
    wire.default = (answer(401, b"{}"),)
    transport = make(client_credentials())
    with pytest.raises(Unauthorized, match="Company tenant id"):
        await transport.send(get())
    assert (len(wire.seen), len(wire.asked)) == (2, 2)


async def test_a_static_token_is_sent_once(wire: Wire, make: Make) -> None:
    wire.default = (answer(401, b"{}"),)
    with pytest.raises(Unauthorized, match="Company tenant id"):
        await make().send(get())
    assert (len(wire.seen), len(wire.asked)) == (1, 0)


async def test_two_hundred_calls_need_one_token(wire: Wire, make: Make) -> None:
    transport = make(client_credentials(), limiter=ConcurrencyLimiter(200), clock=SystemClock())
    async with anyio.create_task_group() as tasks:
        for _ in range(200):
            tasks.start_soon(transport.send, get())
    assert (len(wire.seen), len(wire.asked)) == (200, 1)
    form = wire.asked[0]
    assert form.one("Content-Type") == "application/x-www-form-urlencoded"
    assert form.one("Accept") == "application/json"
    assert form.all("Authorization") == []
    assert b"grant_type=client_credentials" in form.body


async def test_services_have_their_own_token_and_budget(wire: Wire, make: Make) -> None:
    wire.grants.extend([(token("erp"),), (token("so"),)])
    wire.reply(answer(200, X_RateLimit_Remaining="0", X_RateLimit_Reset="60"))
    transport = make(client_credentials(), deadline_seconds=30)
    await transport.send(get())
    await transport.send(get("/api/v3/SalesOrders", service="sales_order"))
    assert [seen.one("Authorization") for seen in wire.seen] == ["Bearer erp", "Bearer so"]
    with pytest.raises(RateLimited):
        await transport.send(get())


@pytest.mark.parametrize("name", REQUESTS)
async def test_no_token_means_nothing_was_sent_whatever_the_method(wire: Wire, make: Make, name: str) -> None:
    wire.grant = (CLOSE,)
    with pytest.raises(NotSent, match="The request itself was not sent"):
        await make(client_credentials()).send(REQUESTS[name])
    assert (len(wire.asked), wire.seen) == (3, [])
    wire.grant = (answer(400, b'{"error":"invalid_tenant"}'),)
    with pytest.raises(TokenRefused, match="invalid_tenant"):
        await make(client_credentials()).send(REQUESTS[name])
    assert (len(wire.asked), wire.seen) == (4, [])


async def test_a_lost_guarded_write_that_then_gets_no_token_is_unknown(
    wire: Wire, make: Make, clock: VirtualClock
) -> None:
    wire.grants.extend([(token("old", expires_in=0.1),), (answer(400, b'{"error":"invalid_client"}'),)])
    wire.reply((CLOSE,))
    with pytest.raises(OutcomeUnknown) as caught:
        await make(client_credentials()).send(guarded())
    assert isinstance(caught.value.__cause__, TokenRefused)


async def test_a_refresh_token_is_posted_once_though_the_answer_is_lost(wire: Wire, make: Make) -> None:
    wire.grant = (CLOSE,)
    with pytest.raises(NotSent, match="sign in again"):
        await make(AuthorizationCode("client", refresh_token="kept")).send(get())
    assert len(wire.asked) == 1


async def test_a_token_answer_may_come_in_pieces_or_compressed(wire: Wire, make: Make) -> None:
    whole = token("pieces")
    middle = len(whole) - 20
    pause = asyncio.Event()
    wire.grants.append((whole[:middle], pause, whole[middle:]))
    transport = make(client_credentials())
    asyncio.get_running_loop().call_later(0.05, pause.set)
    await transport.send(get())
    body = gzip.compress(b'{"access_token":"packed"}')
    wire.grants.append((answer(200, body, Content_Encoding="gzip"),))
    await make(client_credentials()).send(get())
    assert [seen.one("Authorization") for seen in wire.seen] == ["Bearer pieces", "Bearer packed"]


# --- quota ---


async def test_everybody_pauses_after_a_429_and_goes_on_after_it(wire: Wire, make: Make, clock: VirtualClock) -> None:
    transport = make()
    wire.reply(answer(429, Retry_After="60"))
    began = clock.monotonic()
    arrivals = []

    async def note(_seen: Seen) -> None:
        arrivals.append(clock.monotonic() - began)

    wire.on_request = note
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(transport.send, post())
        await until(lambda: transport.quota.throttled)
        for _ in range(10):
            tasks.start_soon(transport.send, get())
    assert len(arrivals) == 12
    assert all(60 <= arrival <= 63.1 for arrival in arrivals[1:])
    assert transport.quota.throttled == 1


async def test_the_end_of_a_window_is_not_raced_for(wire: Wire, make: Make, clock: VirtualClock) -> None:
    left, told = 5, []

    async def count(_seen: Seen) -> None:
        nonlocal left
        left -= 1
        told.append(left)
        wire.reply(answer(200, X_RateLimit_Remaining=str(max(0, left)), X_RateLimit_Reset="100"))
        await asyncio.sleep(0.02 * (4 - left))  # answers come one by one, the newest news last

    wire.on_request = count
    transport = make(limiter=ConcurrencyLimiter(8))
    await transport.send(get())
    outcomes: list[str] = []

    async def call() -> None:
        try:
            await transport.send(get(deadline_seconds=50))
            outcomes.append("ok")
        except RateLimited as error:
            outcomes.append(f"refused after {len(error.attempts)}")

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(call)
    assert told == [4, 3, 2, 1, 0], "sent beyond the budget"
    assert (outcomes.count("ok"), outcomes.count("refused after 0")) == (4, 6)
    assert transport.quota.throttled == 0


async def test_a_pause_longer_than_the_time_left_is_refused_at_once(
    wire: Wire, make: Make, clock: VirtualClock
) -> None:
    transport = make(deadline_seconds=50)
    wire.reply(answer(429, Retry_After="60"))
    with pytest.raises(RateLimited) as caught:
        await transport.send(get())
    assert len(caught.value.attempts) == 1
    with pytest.raises(RateLimited, match="longer than the time left") as caught:
        await transport.send(post())
    assert caught.value.attempts == ()
    assert caught.value.retry_after_seconds == pytest.approx(61.5)
    assert (clock.slept, len(wire.seen)) == ([], 1)


async def test_a_pause_that_begins_while_waiting_for_a_slot_is_waited_out_without_it(
    wire: Wire, make: Make, clock: VirtualClock
) -> None:
    hold = asyncio.Event()
    wire.reply((hold, answer(429, Retry_After="10")))
    transport = make(limiter=ConcurrencyLimiter(1))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(transport.send, get())
        await until(lambda: wire.seen)
        tasks.start_soon(transport.send, get())
        await until(lambda: transport.limiter._waiters)
        hold.set()
    assert len(wire.seen) == 3
    assert clock.slept == [10.5, 10.5]


# --- deadlines ---


async def test_a_backoff_longer_than_the_time_left_is_not_begun(wire: Wire, make: Make, clock: VirtualClock) -> None:
    wire.default = (answer(503),)
    with pytest.raises(ServerError):
        await make(deadline_seconds=1.0).send(get())
    assert clock.slept == [0.375]
    assert len(wire.seen) == 2


def passing(clock: VirtualClock, seconds: float, *, times: int = 1_000) -> Callable[[object], Awaitable[None]]:
    """Let time pass when a request has come."""
    left = iter(range(times))

    async def pass_(_: object) -> None:
        if next(left, None) is not None:
            clock.advance(seconds)

    return pass_


@pytest.mark.parametrize(
    ("name", "kind"), [("GET", DeadlineExceeded), ("POST", OutcomeUnknown), ("PUT If-Match", OutcomeUnknown)]
)
async def test_the_deadline_while_waiting_for_the_answer(
    wire: Wire, make: Make, clock: VirtualClock, name: str, kind: type[VismaNetError]
) -> None:
    wire.default = (asyncio.Event(),)
    wire.on_request = passing(clock, 50)
    with pytest.raises(kind) as caught:
        await make(deadline_seconds=50).send(REQUESTS[name])
    assert len(wire.seen) == 1
    if isinstance(caught.value, DeadlineExceeded):
        assert caught.value.sent
    assert caught.value.attempts[0].outcome == "deadline"


async def test_the_deadline_while_reading(
    wire: Wire, make: Make, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, begun = HttpAttempt.read, []

    async def reading(http: HttpAttempt) -> bytes:
        begun.append(asyncio.get_running_loop().call_soon(clock.advance, 50))
        return await read(http)

    monkeypatch.setattr(HttpAttempt, "read", reading)
    wire.default = (answer(200, b"{", length=99), asyncio.Event())
    with pytest.raises(DeadlineExceeded):
        await make(deadline_seconds=50).send(get())
    assert len(begun) == 1


async def test_one_attempt_has_a_limit_of_its_own(wire: Wire, make: Make, clock: VirtualClock) -> None:
    wire.replies.append((asyncio.Event(),))
    wire.on_request = passing(clock, ATTEMPT_SECONDS, times=1)
    response = await make(deadline_seconds=3 * ATTEMPT_SECONDS).send(get())
    outcome = f"no whole answer within {ATTEMPT_SECONDS:.0f} s"
    assert [attempt.outcome for attempt in response.attempts] == [outcome, "200"]


async def test_the_deadline_while_waiting_for_a_slot(wire: Wire, make: Make) -> None:
    limiter = ConcurrencyLimiter(1)
    transport = make(limiter=limiter, deadline_seconds=50, clock=VirtualClock(scopes_move=True))
    limiter.acquire_nowait()
    with pytest.raises(DeadlineExceeded, match="no free slot") as caught:
        await transport.send(post())
    assert not caught.value.sent
    limiter.release()
    assert wire.seen == []


async def test_the_deadline_while_waiting_for_a_token(wire: Wire, make: Make) -> None:
    wire.grant = (asyncio.Event(),)
    with pytest.raises(DeadlineExceeded, match="no token in time") as caught:
        await make(client_credentials(), deadline_seconds=50, clock=VirtualClock(scopes_move=True)).send(post())
    assert not caught.value.sent
    assert wire.seen == []


@pytest.mark.parametrize("seconds", [0, -1])
async def test_no_time_at_all_sends_nothing(wire: Wire, make: Make, seconds: float) -> None:
    with pytest.raises(DeadlineExceeded):
        await make(client_credentials()).send(post(deadline_seconds=seconds))
    warm = make(clock=SystemClock())
    await warm.send(get())
    with pytest.raises(DeadlineExceeded, match="the waits took all the time"):
        await warm.send(post(deadline_seconds=seconds))
    assert len(wire.seen) == 1


# --- streams ---


async def test_a_stream_hands_over_the_answer_unread(wire: Wire, make: Make) -> None:
    wire.reply(answer(503), answer(200, b"x" * 200_000, ETag='"a"'))
    transport = make()
    async with transport.stream(get()) as response:
        assert (response.status, response.headers["etag"], transport.limiter.in_flight) == (200, '"a"', 1)
        chunks = [chunk async for chunk in response.chunks()]
    assert b"".join(chunks) == b"x" * 200_000
    assert max(map(len, chunks)) <= 64 * 1024
    assert wire.seen[0].one("Accept-Encoding") == "identity"
    await transport.send(get())
    assert wire.connections == 1, "read to its end, the connection is kept"


async def test_a_stream_left_early_closes_its_connection(wire: Wire, make: Make) -> None:
    wire.reply((answer(200, b"x", length=10_000_000), asyncio.Event()))
    transport = make()
    async with transport.stream(get()) as response:
        async for _ in response.chunks():
            break
    assert transport.limiter.in_flight == 0
    await transport.send(get())
    assert wire.connections == 2


@pytest.mark.parametrize(
    "raised", [OSError("disk full"), TimeoutError("mine"), ResponseLost("mine"), NotSent("mine"), KeyError("mine"),
               aiohttp.ClientError("mine"), UnexpectedResponse("mine")],
)  # fmt: skip
async def test_what_the_block_raises_passes_through(wire: Wire, make: Make, raised: Exception) -> None:
    transport = make()
    with pytest.raises(type(raised)) as caught:  # noqa: PT012 - the block is what is tested
        async with transport.stream(get()) as response:
            async for _ in response.chunks():
                raise raised
    assert caught.value is raised
    assert len(wire.seen) == 1
    assert transport.limiter.in_flight == 0


@pytest.mark.parametrize(("name", "kind"), [("GET", ResponseLost), ("POST", OutcomeUnknown)])
async def test_a_stream_that_breaks_off_is_not_repeated(
    wire: Wire, make: Make, name: str, kind: type[Exception]
) -> None:
    wire.reply((answer(200, b"abc", length=999), CLOSE))
    got = []
    with pytest.raises(kind):  # noqa: PT012 - the block is what is tested
        async with make().stream(REQUESTS[name]) as response:
            async for chunk in response.chunks():
                got.append(chunk)  # noqa: PERF401 - what came before the break counts
    assert (got, len(wire.seen)) == ([b"abc"], 1)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [("gzip", gzip.compress(b"file" * 99_999)), ("deflate", zlib.compress(b"file" * 99_999)), ("gzip", b"{}")],
    ids=["gzip", "deflate", "plain"],
)
async def test_a_stream_compressed_unasked_is_decompressed(wire: Wire, make: Make, encoding: str, body: bytes) -> None:
    wire.reply(answer(200, body, Content_Encoding=encoding))
    async with make().stream(get()) as response:
        came = b"".join([chunk async for chunk in response.chunks()])
    assert came == (body if body == b"{}" else b"file" * 99_999)


@pytest.mark.parametrize(
    ("encoding", "body", "kind"),
    [("br", b"x", UnexpectedResponse), ("gzip", gzip.compress(b"file" * 999)[:-9], ResponseLost)],
    ids=["br", "cut off"],
)
async def test_a_stream_compressed_as_nobody_reads_it_is_refused(
    wire: Wire, make: Make, encoding: str, body: bytes, kind: type[Exception]
) -> None:
    wire.reply(answer(200, body, Content_Encoding=encoding))
    async with make().stream(get()) as response:
        with pytest.raises(kind):
            _ = [chunk async for chunk in response.chunks()]


async def test_a_stream_s_errors_are_those_of_send(wire: Wire, make: Make) -> None:
    wire.default = (answer(404, b"{}"),)
    with pytest.raises(errors.NotFound) as caught:
        async with make().stream(get()):
            raise AssertionError("was handed over")
    assert len(caught.value.attempts) == 1


@pytest.mark.parametrize("limit", ["deadline", "attempt"])
async def test_a_stream_that_dries_up(wire: Wire, make: Make, limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = VirtualClock(auto=False)
    wire.reply((answer(200, b"abc", length=999), asyncio.Event()))
    transport = make(clock=clock, deadline_seconds=100 if limit == "deadline" else 10_000)
    with pytest.raises(DeadlineExceeded if limit == "deadline" else ResponseLost, match=r"in time|nothing came"):  # noqa: PT012
        async with transport.stream(get()) as response:
            chunks = response.chunks()
            assert await anext(chunks) == b"abc"
            clock.advance(50)  # the caller's own work is never cut short
            async with anyio.create_task_group() as tasks:

                async def pass_time() -> None:
                    await until(lambda: clock.waited_for)
                    clock.advance(261)

                tasks.start_soon(pass_time)
                failure = None
                try:
                    await anext(chunks)
                except VismaNetError as error:
                    failure = error
            assert failure is not None
            raise failure


# --- lifetimes and cancellation ---


async def test_a_closed_pool_refuses(wire: Wire, make: Make) -> None:
    transport = make()
    await transport.send(get())
    await transport._pool.aclose()
    await transport._pool.aclose()
    with pytest.raises(RequestRefused, match="closed"):
        await transport.send(get())
    assert transport.limiter.in_flight == 0


async def test_closing_breaks_off_what_is_under_way(wire: Wire, make: Make) -> None:
    wire.default = (asyncio.Event(),)
    transport = make()
    caught: list[VismaNetError] = []

    async def call() -> None:
        try:
            await transport.send(post())
        except VismaNetError as error:
            caught.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await until(lambda: wire.seen)
        await transport._pool.aclose()
    assert isinstance(caught[0], OutcomeUnknown)


def test_a_pool_belongs_to_one_loop() -> None:
    pool = SessionPool()

    async def open_it() -> None:
        pool._open()

    async def shut() -> None:
        pool._loop = asyncio.get_running_loop()
        await pool.aclose()

    with asyncio.Runner() as runner:
        runner.run(open_it())
        with pytest.raises(RequestRefused, match="another event loop"):
            asyncio.run(open_it())
        runner.run(shut())


def _has_seen(wire: Wire, number: int) -> bool:
    return len(wire.seen) == number


@pytest.mark.parametrize("how", ["cancelled", "timed out"])
@pytest.mark.parametrize("came", ["nothing", "a status"])
async def test_a_cancelled_write_tells_that_its_outcome_is_unknown(how: str, came: str, wire: Wire, make: Make) -> None:
    head = answer(length=100, body=b"{") if came == "a status" else b""
    wire.default = (head, asyncio.Event())
    transport = make()

    async def call(request: Request, limit: asyncio.Timeout) -> Any:
        async with limit:
            await transport.send(request)

    for number, (request, noted) in enumerate([(post(), True), (get(), False)], 1):
        limit = asyncio.timeout(None)
        task = asyncio.ensure_future(call(request, limit))
        await until(partial(_has_seen, wire, number))
        if how == "cancelled":
            task.cancel()
        else:
            limit.reschedule(0)
        with pytest.raises((asyncio.CancelledError, TimeoutError)) as caught:
            await task
        error = caught.value.__cause__ if how == "timed out" else caught.value
        told = [note for note in getattr(error, "__notes__", ()) if "may have been executed" in note]
        assert bool(told) == noted


async def test_a_write_that_was_refused_is_cancelled_without_a_word(wire: Wire, make: Make) -> None:
    wire.default = (answer(429, Retry_After="60"),)
    transport = make(clock=VirtualClock(auto=False))
    task = asyncio.ensure_future(transport.send(post()))
    await until(lambda: transport.quota.throttled)
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert len(wire.seen) == 1
    assert not getattr(caught.value, "__notes__", ())


class Checkpoints:
    """A coroutine runner that cancels at the n-th point where the loop is given up."""

    def __init__(self, cancel_at: int) -> None:
        self.cancel_at, self.seen = cancel_at, 0

    async def run(self, coroutine: Any) -> bool:
        """Give whether the coroutine was still running at its n-th checkpoint."""
        running: asyncio.Task[Any] | None = asyncio.current_task()
        assert running is not None
        cancel = running.cancel

        class Driver:
            def __await__(driver) -> Any:  # noqa: N805 - the outer self is needed too
                inner = coroutine.__await__()
                try:
                    yielded = next(inner)
                    while True:
                        self.seen += 1
                        if self.seen == self.cancel_at:
                            cancel()
                        try:
                            sent = yield yielded
                        except BaseException as error:  # noqa: BLE001 - passed on as it is
                            yielded = inner.throw(error)
                        else:
                            yielded = inner.send(sent)
                except StopIteration as stop:
                    return stop.value

        try:
            await Driver()
        except asyncio.CancelledError:
            running.uncancel()
            return True
        return self.seen >= self.cancel_at


@pytest.mark.parametrize("streamed", [False, True])
async def test_cancelled_at_every_checkpoint_nothing_is_left_behind(
    wire: Wire, make: Make, monkeypatch: pytest.MonkeyPatch, streamed: bool
) -> None:
    """Through token, 429 and pause, 401 and renewal, 503 and backoff, a gzip body in pieces, and a busy slot."""
    monkeypatch.setattr(attempt_module, "_DECOMPRESS_AT_ONCE_BYTES", 10_000)
    body = gzip.compress(b"".join(zlib.crc32(str(n).encode()).to_bytes(4, "big") for n in range(20_000)))
    last = answer(200, b"x" * 100_000) if streamed else answer(200, body, Content_Encoding="gzip")
    for cancel_at in range(1, 400):
        clock = VirtualClock()
        limiter = ConcurrencyLimiter(1)
        transport = make(client_credentials(), limiter=limiter, clock=clock)
        wire.replies.clear()
        wire.grants.clear()
        wire.reply(answer(429, Retry_After="5"), answer(401), answer(503), (CLOSE,), last)
        limiter.acquire_nowait()
        asyncio.get_running_loop().call_soon(limiter.release)

        async def call(transport: Transport = transport) -> None:
            if streamed:
                async with transport.stream(get()) as response:
                    async for _ in response.chunks():
                        await asyncio.sleep(0)
            else:
                await transport.send(get())

        interrupted = await Checkpoints(cancel_at).run(call())
        await asyncio.sleep(0)
        assert limiter.in_flight == 0, cancel_at
        assert not limiter._waiters
        session = transport._pool._session
        if session is not None and session.connector is not None:
            assert not session.connector._acquired, cancel_at
        provider = transport._services["erp"].endpoint.tokens
        assert not provider._session.lock.locked()
        assert clock._due == []
        wire.replies.clear()
        assert (await transport.send(get())).status == 200, "it still works"
        await transport._pool.aclose()
        if not interrupted:
            assert cancel_at > 20
            return
    pytest.fail("the call has no end")


def test_an_empty_header_mapping() -> None:
    assert len(no_headers()) == 0


@pytest.mark.parametrize("method", ["OPTIONS", "GET /x HTTP/1.1\r\nX: y", "", "CONNECT"])
def test_methods_that_are_refused(method: str) -> None:
    with pytest.raises(RequestRefused, match="nothing was sent"):
        get(method=method)
    assert get(method="get").method == "GET"


@pytest.mark.parametrize("header", [{"X": "a\r\nY: b"}, {"X\n": "a"}, {"X": "\0"}])
def test_headers_that_are_refused(header: dict[str, str]) -> None:
    with pytest.raises(RequestRefused, match="line break"):
        get(headers=header)


@pytest.mark.parametrize(
    ("name", "kind"),
    [(name, "read" if name in READS else "conditional" if name in GUARDED else "write") for name in REQUESTS],
)
def test_kinds(name: str, kind: str) -> None:
    assert REQUESTS[name].kind == kind
    assert REQUESTS[name].idempotent == (kind != "write")

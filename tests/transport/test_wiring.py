"""What is needed of aiohttp beyond its documented interface: guarded, or probed and left out."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import StreamWriter
from multidict import CIMultiDict
from yarl import URL

from tests.support.hang import until
from tests.transport.wire import CLOSE, answer
from vismanet_async._accel import VARIABLE, Accelerator
from vismanet_async._http import direct_read as body_module, pool, wiring
from vismanet_async._http.http_attempt import WireRequest
from vismanet_async._http.message import Request
from vismanet_async._http.pool import SessionPool
from vismanet_async.errors import NotSent, OutcomeUnknown, RequestRefused, ResponseLost

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.transport.wire import Wire
    from vismanet_async._http.pipeline import Transport

    Make = Callable[..., Transport]


def request(method: str = "POST", **options: Any) -> Request:
    return Request(operation="Test", method=method, path="/v1/customer/1", **options)


def headed(**headers: str) -> bytes:
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 200 OK\r\n{head}Content-Length: 2\r\n\r\n{{}}".encode()


def fresh(accelerator: Accelerator, *, probe: Callable[[], bool] | None = None) -> Accelerator:
    how, probe = accelerator.instead, probe or accelerator.probe
    return Accelerator(accelerator.name, instead=how, probe=probe, superfluous=accelerator.superfluous)


# --- guards ---------------------------------------------------------------------------------------------------------


async def test_without_the_switch_nothing_is_sent(
    wire: Wire, make: Make, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    class Session(aiohttp.ClientSession):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            del self._retry_connection

    monkeypatch.setattr(aiohttp, "ClientSession", Session)
    for method in ("GET", "PUT", "POST"):
        with pytest.raises(RequestRefused, match=r"aiohttp \S+ has no switch.*Nothing was sent"):
            await make().send(request(method))
    assert wire.connections == 0


async def test_a_connector_that_is_not_asked_is_an_error(
    wire: Wire, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def elsewhere(self: Any, *_: Any, **__: Any) -> Any:
        raise aiohttp.ClientConnectionError

    elsewhere.__module__ = aiohttp.ClientSession.__module__  # another version of aiohttp, not a mock
    monkeypatch.setattr(wiring, "_proven", [])
    monkeypatch.setattr(aiohttp.ClientSession, "_request", elsewhere)
    for _ in range(2):
        with pytest.raises(RequestRefused, match=r"does not ask its connector.*Nothing was sent"):
            await make().send(request())
    assert wire.connections == 0


async def test_it_is_proven_once_and_without_network(wire: Wire, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    proven: list[bool] = []
    monkeypatch.setattr(wiring, "_proven", proven)
    for _ in range(3):
        await make().send(request())
    assert (proven, wire.connections) == ([True], 3)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST"])
async def test_aiohttp_alone_never_sends_a_change_twice(
    method: str, wire: Wire, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even where the switch has lost its effect: an attempt gets one connection."""
    monkeypatch.setattr("vismanet_async._http.pool.keep_from_repeating", lambda _: None)
    transport = make()
    wire.reply(answer(), (CLOSE,))
    await transport.send(request("GET"))
    with pytest.raises(OutcomeUnknown):
        await transport.send(request(method))
    assert [seen.method for seen in wire.seen] == ["GET", method]


# --- accelerators ---------------------------------------------------------------------------------------------------


async def test_they_are_usable_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert [fresh(each).usable for each in (wiring.IN_PLACE, wiring.TOLERANT)] == [True, True]
    assert fresh(wiring.PROMPT).usable == (sys.version_info < (3, 12))


@pytest.mark.parametrize("gone", ["set_response_params", "data_received", "connection_made"])
async def test_without_its_handler_aiohttp_reads_bodies_itself(
    gone: str, wire: Wire, make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    accelerator = fresh(wiring.IN_PLACE)
    with monkeypatch.context() as patch:
        patch.setattr(ResponseHandler, gone, None)
        assert not accelerator.usable
    monkeypatch.setattr(body_module, "IN_PLACE", accelerator)
    content = bytes(range(256)) * 4000
    transport = make()
    for _ in range(2):
        wire.reply(answer(200, content))
        response = await transport.send(request("GET", buffer=bytearray))
        assert response.content == content
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(lines) == 1
    assert lines[0].startswith("reading bodies in place not used: ")


async def test_a_handler_that_behaves_otherwise_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    feed = ResponseHandler.data_received
    with monkeypatch.context() as patch:
        patch.setattr(ResponseHandler, "data_received", lambda self, data: feed(self, data[:-1]))
        assert not fresh(wiring.IN_PLACE).usable


async def test_a_connector_without_a_factory_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(aiohttp, "BaseConnector", object)
    assert not fresh(wiring.TOLERANT).usable


async def test_all_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "0")
    accelerators = (wiring.IN_PLACE, wiring.PROMPT, wiring.TOLERANT)
    assert [fresh(each).usable for each in accelerators] == [False, False, False]


@pytest.fixture
def prompt() -> None:
    if not wiring.PROMPT.usable:
        pytest.skip("turned off, or aiohttp does the same")


@pytest.mark.usefixtures("prompt")
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize("size", [None, 0, 1, 32 * 1024, 32 * 1024 + 1, 600_000])
async def test_a_small_body_is_written_at_once_as_aiohttp_would_write_it(
    method: str, size: int | None, wire: Wire, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    written_by_aiohttp = 0
    write_bytes = aiohttp.ClientRequest.write_bytes

    def counted(*args: Any) -> Any:
        nonlocal written_by_aiohttp
        written_by_aiohttp += 1
        return write_bytes(*args)

    monkeypatch.setattr(aiohttp.ClientRequest, "write_bytes", counted)
    body = None if size is None else b"x" * size
    for choice in (wiring.PROMPT, fresh(wiring.PROMPT, probe=lambda: False)):
        monkeypatch.setattr(pool, "PROMPT", choice)
        transport = make()
        for _ in range(2):
            await transport.send(request(method, body=body, headers={"If-Match": '"A="', "X-Trace": "1"}))
        if choice.usable:
            assert written_by_aiohttp == (0 if size is None or size <= 32 * 1024 else 2)
    prompt, own = wire.seen[:2], wire.seen[2:]
    as_sent = [(seen.method, seen.target, seen.headers, seen.body) for seen in prompt]
    assert as_sent == [(seen.method, seen.target, seen.headers, seen.body) for seen in own]
    assert [seen.body for seen in prompt] == [body or b""] * 2
    assert len({seen.connection for seen in prompt}) == 1


@pytest.mark.usefixtures("prompt")
@pytest.mark.parametrize("gone", ["write_headers", "write", "write_eof"])
def test_a_writer_that_behaves_otherwise_is_not_used(gone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def other(self: Any, *_: Any, **__: Any) -> None:
        if gone == "write_eof":
            raise TypeError

    monkeypatch.setattr(StreamWriter, gone, other)
    assert not fresh(wiring.PROMPT).usable


# --- answers that aiohttp alone would lose --------------------------------------------------------------------------

HEAD = b'HTTP/1.1 204 No Content\r\nETag: "A="\r\n'
BODIES = [
    b"Content-Length: 2\r\n\r\n{}",
    b"content-length:13\r\n\r\n<html></html>",
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    b"Content-Length: 0\r\n\r\n",
    b"\r\n",
    b"Content-Length: 4\r\n\r\nHTTP",
    b"\r\n{}",
]


@pytest.mark.parametrize("probe", [wiring.TOLERANT.probe, wiring.IN_PLACE.probe, wiring.PROMPT.probe])
def test_the_probes_need_no_running_loop(probe: Callable[[], bool]) -> None:
    """Whoever asks first, the answer is kept for the life of the process."""
    assert probe() or sys.version_info >= (3, 12)


@pytest.fixture
def tolerant() -> None:
    if not wiring.TOLERANT.usable:
        pytest.skip("turned off")


@pytest.mark.usefixtures("tolerant")
@pytest.mark.parametrize("rest", BODIES)
@pytest.mark.parametrize("cut", [None, 0, 12, 30, -1])
async def test_a_204_with_a_body_is_a_204(rest: bytes, cut: int | None, wire: Wire, make: Make) -> None:
    whole = HEAD + rest
    pieces = (whole,) if cut is None else (whole[: len(HEAD) + cut], whole[len(HEAD) + cut :])
    transport = make()
    wire.reply(answer(), tuple(piece for piece in pieces if piece), answer(body=b"[1]"))
    await transport.send(request("GET"))
    response = await transport.send(request("PUT"))
    assert (response.status, response.body, response.headers["ETag"]) == (204, b"", '"A="')
    # whatever came behind it, the next request has an answer of its own
    assert (await transport.send(request())).body == b"[1]"
    assert [seen.method for seen in wire.seen] == ["GET", "PUT", "POST"]


@pytest.mark.usefixtures("tolerant")
async def test_a_plain_204_keeps_its_connection(wire: Wire, make: Make) -> None:
    transport = make()
    wire.default = (HEAD + b"\r\n",)
    for _ in range(3):
        await transport.send(request())
    assert wire.connections == 1


async def test_a_body_that_begins_like_a_204_is_a_body(wire: Wire, make: Make) -> None:
    content = HEAD + b"Content-Length: 2\r\n\r\n{}" * 3
    head, opened = answer(body=content)[: -len(content)], asyncio.Event()
    wire.reply((head, opened, content))
    async with make().stream(request("GET")) as streamed:
        opened.set()  # so that the body comes by itself
        assert b"".join([chunk async for chunk in streamed.chunks()]) == content


@pytest.mark.usefixtures("tolerant")
@pytest.mark.parametrize("declared", [b"Content-Length: 2", b"Transfer-Encoding: chunked"])
async def test_a_connection_on_which_a_body_is_still_to_come_is_not_used_again(
    declared: bytes, wire: Wire, make: Make
) -> None:
    transport = make()
    wire.reply(HEAD + declared + b"\r\n\r\n")
    assert (await transport.send(request("PUT"))).status == 204
    await transport.send(request())
    assert wire.connections == 2


@pytest.mark.usefixtures("tolerant")
async def test_a_204_that_breaks_off_in_its_head_is_lost(wire: Wire, make: Make) -> None:
    wire.reply((HEAD, CLOSE))
    with pytest.raises(OutcomeUnknown):
        await make().send(request())


async def test_large_and_many_headers_are_read(wire: Wire, make: Make) -> None:
    wire.reply(answer(201, b"", Content_Security_Policy="x" * 60_000, Location="/v1/customer/1"))
    wire.reply(headed(**{f"X-{number}": "x" for number in range(500)}))
    transport = make()
    assert (await transport.send(request())).headers["Location"] == "/v1/customer/1"
    assert len((await transport.send(request())).headers) > 500


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (headed(X="x" * 70_000), "header of more than 65,536 bytes"),
        (headed(**{"X" * 70_000: "x"}), "header of more than 65,536 bytes"),
        (headed(**{f"X{number}": "x" for number in range(1100)}), "more than 1,024 headers"),
        (b"HTTP/1.1 200 OK\r\nA header\r\n\r\n", "not HTTP"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "not HTTP"),
    ],
)
async def test_reasons_of_aiohttp_are_told_apart(reply: bytes, words: str, wire: Wire, make: Make) -> None:
    wire.default = (reply,)
    with pytest.raises(OutcomeUnknown, match=words):
        await make().send(request())
    with pytest.raises(ResponseLost, match=words):
        await make().send(request("GET"))


async def test_an_attempt_alone_is_guarded_too(wire: Wire) -> None:
    pool = SessionPool()
    with pool.attempt(WireRequest(method="GET", url=URL(wire.url), headers=CIMultiDict(), idempotent=True)) as attempt:
        await attempt.open()
        assert attempt.connected
    await pool.aclose()


# --- answers that nobody asked for ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stray",
    [
        answer(200, b'{"number":"1"}'),
        answer(408, b""),
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nContent-Le",  # half a head
        b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n{}",
        b"no HTTP",
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_what_came_unasked_is_not_taken_for_the_next_answer(
    method: str, stray: bytes, wire: Wire, make: Make
) -> None:
    transport, later = make(), asyncio.Event()
    wire.reply((answer(200, b'{"number":"1"}'), later, stray), answer(200, b'{"number":"2"}'))
    assert (await transport.send(request("GET"))).content == b'{"number":"1"}'
    connector: Any = transport._pool._session.connector  # type: ignore[union-attr]
    ((protocol, _),) = (idle for queue in connector._conns.values() for idle in queue)
    later.set()
    await until(lambda: protocol.should_close)
    assert (await transport.send(request(method))).content == b'{"number":"2"}'
    assert [seen.connection for seen in wire.seen] == [1, 2]


async def test_a_server_that_always_speaks_first_is_not_asked(
    wire: Wire, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aiohttp.client_proto.ResponseHandler, "should_close", True)  # of whichever is in use
    with pytest.raises(NotSent, match="The request was not sent"):
        await make().send(request())
    assert wire.seen == []

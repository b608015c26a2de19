"""Bodies read past aiohttp, on both common event loops, with and without TLS."""

from __future__ import annotations

import asyncio
import random
import ssl
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock, call, create_autospec

import aiohttp
import anyio
import pytest
import trustme
import uvloop
from aiohttp.client_proto import ResponseHandler

from tests.support.hang import HANG_SECONDS
from tests.transport.wire import CLOSE, Step, Wire, answer, wire_server
from vismanet_async._http.direct_read import DirectBodyReader
from vismanet_async._http.wiring import IN_PLACE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Check = Callable[[Wire, aiohttp.ClientSession], Awaitable[None]]
    Run = Callable[[Check], None]

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@asynccontextmanager
async def session_for(ca: trustme.CA | None) -> AsyncIterator[aiohttp.ClientSession]:
    trusts = ssl.create_default_context()
    if ca is not None:
        ca.configure_trust(trusts)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusts), auto_decompress=False) as session:
        yield session


@pytest.fixture(params=[(loop, tls) for loop in LOOPS for tls in (False, True)], ids=str)
def run(request: pytest.FixtureRequest, authority: trustme.CA) -> Run:
    """Run a check against a server that sends what it is told."""
    loop, tls = request.param
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)

    def run(check: Check) -> None:
        async def main() -> None:
            async with wire_server(context) as wire, session_for(authority if tls else None) as session:
                await check(wire, session)

        with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
            runner.run(main())

    return run


def noise(size: int, *, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


async def read(session: aiohttp.ClientSession, wire: Wire, *, begun: asyncio.Event | None = None) -> bytes:
    """Read an answer; `begun` is set once aiohttp is no longer in charge, or at once where it stays so."""
    async with session.get(wire.url) as reply:
        with DirectBodyReader(reply, size=reply.content_length or 0, buffer=bytearray) as body:
            async with anyio.create_task_group() as tasks:
                if begun is not None:
                    tasks.start_soon(tell, body, begun)
                await body.fill()
        assert not body.remaining
        return bytes(body.buffer)


async def tell(body: DirectBodyReader, begun: asyncio.Event) -> None:
    while IN_PLACE.usable and body._handler is None:
        await anyio.lowlevel.checkpoint()
    begun.set()


def test_bodies_in_any_pieces_come_whole_and_leave_the_connection_usable(run: Run) -> None:
    async def check(wire: Wire, session: aiohttp.ClientSession) -> None:
        chance = random.Random(7)
        for number in range(40):
            body = noise(chance.choice([1, 1000, 300_000, 2_500_000]), seed=number)
            begun = asyncio.Event()
            # the first cut may lie in the head, and what follows waits until somebody reads it
            whole = answer(200, body)
            cuts = sorted(chance.randrange(len(whole)) for _ in range(chance.randrange(4)))
            pieces = [whole[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
            steps: list[Step] = [piece for piece in pieces[:-1] if piece]
            late = len(pieces[-1]) < len(body)
            wire.reply((*steps, *([begun] if late else []), pieces[-1]))
            assert await read(session, wire, begun=begun if late else None) == body
        assert wire.connections == 1

    run(check)


def test_most_of_a_body_goes_past_aiohttp(run: Run) -> None:
    async def check(wire: Wire, session: aiohttp.ClientSession) -> None:
        if not IN_PLACE.usable:
            pytest.skip("turned off")
        body, begun = noise(3_000_000), asyncio.Event()
        wire.reply((answer(200, body[:1000], length=len(body)), begun, body[1000:]))
        async with session.get(wire.url) as reply, anyio.create_task_group() as tasks:
            with DirectBodyReader(reply, size=len(body), buffer=bytearray) as taken:
                tasks.start_soon(tell, taken, begun)
                await taken.fill()
            assert taken.buffer == body
            assert reply.content.total_bytes == 1000
            assert reply.content.at_eof()

    run(check)


@pytest.mark.parametrize("here", [0, 1000, 700_000])
def test_a_body_that_breaks_off_is_told(run: Run, here: int) -> None:
    async def check(wire: Wire, session: aiohttp.ClientSession) -> None:
        body, begun = noise(2_000_000), asyncio.Event()
        wire.reply((answer(200, body[:here], length=len(body)), begun, body[here : here + 500_000], CLOSE))
        wire.reply(answer(200, body))
        async with session.get(wire.url) as reply:
            with DirectBodyReader(reply, size=len(body), buffer=bytearray) as taken:
                begun.set()
                with pytest.raises(aiohttp.ClientPayloadError):
                    await taken.fill()
        assert taken.remaining >= len(body) - here - 500_000
        assert await read(session, wire) == body
        assert wire.connections == 2

    run(check)


def test_a_read_that_was_interrupted_goes_on(run: Run) -> None:
    async def check(wire: Wire, session: aiohttp.ClientSession) -> None:
        body, begun = noise(2_000_000), asyncio.Event()
        wire.reply((answer(200, body[:1000], length=len(body)), begun, body[1000:]), answer(200, b"next"))
        async with session.get(wire.url) as reply:
            with DirectBodyReader(reply, size=len(body), buffer=bytearray) as taken:
                for _ in range(3):
                    with anyio.move_on_after(0):
                        await taken.fill()
                assert taken.remaining >= 1_999_000
                begun.set()
                await taken.fill()
                await taken.fill()  # whole already
            assert taken.buffer == body
        assert await read(session, wire) == b"next"
        assert wire.connections == 1

    run(check)


def test_a_read_that_was_given_up_closes_its_connection(run: Run) -> None:
    async def check(wire: Wire, session: aiohttp.ClientSession) -> None:
        body, begun = noise(2_000_000), asyncio.Event()
        wire.reply((answer(200, body[:1000], length=len(body)), begun, body[1000:]), answer(200, body))
        async with session.get(wire.url) as reply:
            with DirectBodyReader(reply, size=len(body), buffer=bytearray) as taken:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(taken.fill)
                    await tell(taken, asyncio.Event())
                    tasks.cancel_scope.cancel()
            assert reply.connection is not None
            assert reply.connection.transport is not None
            assert reply.connection.transport.get_protocol() is reply.connection.protocol
        begun.set()
        assert await read(session, wire) == body
        assert wire.connections == 2
        assert bytes(taken.buffer[1000:]) == bytes(1_999_000), "nothing is written to memory that is the reader's again"

    run(check)


def test_the_memory_can_be_used_again_at_once(run: Run) -> None:
    async def check(wire: Wire, session: aiohttp.ClientSession) -> None:
        begun = asyncio.Event()
        wire.reply((answer(200, b"", length=300_000), begun, bytes(300_000)))
        async with session.get(wire.url) as reply, anyio.create_task_group() as tasks:
            with DirectBodyReader(reply, size=300_000, buffer=bytearray) as taken:
                tasks.start_soon(tell, taken, begun)
                await taken.fill()
            taken.buffer += b"more"  # raises BufferError while anybody else holds it

    run(check)


def test_what_comes_behind_a_body_is_not_taken_for_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(wire: Wire, session: aiohttp.ClientSession) -> None:
        body, begun, behind = noise(2_000_000), asyncio.Event(), asyncio.Event()

        def received(handler: ResponseHandler, data: bytes) -> None:
            data_received(handler, data)
            if data.endswith(b"x" * 100):
                behind.set()

        data_received = ResponseHandler.data_received
        monkeypatch.setattr(ResponseHandler, "data_received", received)
        wire.reply((answer(200, body[:1000], length=len(body)), begun, body[1000:] + b"x" * 5000))
        wire.reply(answer(200, b"next"))
        assert await read(session, wire, begun=begun) == body
        with anyio.fail_after(HANG_SECONDS):
            await behind.wait()
        assert await read(session, wire) == b"next"
        assert wire.connections == 2, "the one that got it is not used again"

    run(check)


async def test_a_body_that_is_shorter_than_told() -> None:
    """aiohttp takes it for an error by itself; whoever stands in for it may not."""
    reply: Any = SimpleNamespace(connection=None, content=aiohttp.StreamReader(Mock(), 2**16))
    reply.content.feed_data(b"12")
    reply.content.feed_eof()
    with DirectBodyReader(reply, size=3, buffer=bytearray) as taken:
        await taken.fill()
    assert taken.remaining == 1


def test_what_else_the_connection_says_reaches_aiohttp() -> None:
    """A request may still be leaving while its answer arrives; a broken connection is aiohttp's to explain."""
    handler, transport = create_autospec(ResponseHandler, instance=True), Mock(spec=asyncio.Transport)
    connection = SimpleNamespace(protocol=handler, transport=transport)
    reply: Any = SimpleNamespace(connection=connection, content=SimpleNamespace(total_bytes=0))
    with DirectBodyReader(reply, size=3, buffer=bytearray) as taken:
        assert taken._attach()
        taken.pause_writing()
        taken.resume_writing()
        taken.eof_received()
        taken.connection_lost(error := OSError())
    assert handler.mock_calls == [
        call.pause_writing(),
        call.resume_writing(),
        call.eof_received(),
        call.connection_lost(error),
    ]
    assert transport.set_protocol.mock_calls == [call(taken), call(handler)]

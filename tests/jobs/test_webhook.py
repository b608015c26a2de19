"""Webhooks over real HTTP and ASGI: only what is signed counts, and what counts is only a hint."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import aiohttp
import attrs
import hypothesis.strategies as st
import pytest
from aiohttp import web
from hypothesis import given

from vismanet_async._jobs.store import StoreNotUsable
from vismanet_async._jobs.webhook import DISPATCHERS, SeenBodies, WebhookReceiver, ids_in, sign, signature_fits
from vismanet_async.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

KEY = b"geheim"
JOB = "73ac0029-1e4f-4adc-a7eb-318cd25ba4bf"
BODY = json.dumps({"eventType": "BACKGROUND_API_RESPONSE", "stateLocation": f"https://evil.example/{JOB}"}).encode()
OWN = "0f" * 16


@attrs.define
class Noted:
    hints: list[tuple[str | None, tuple[str, ...]]] = attrs.field(factory=list)
    broken: bool = False

    async def hint(self, *, own_id: str | None, job_ids: tuple[str, ...], at: datetime) -> None:
        if self.broken:
            raise StoreNotUsable("down")
        self.hints.append((own_id, job_ids))


def receiver(noted: Noted, **options: Any) -> WebhookReceiver:
    return WebhookReceiver(noted, key=KEY, signature_header="X-Sig", **options)


@asynccontextmanager
async def served(made: WebhookReceiver) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/hook", made.handle)
    runner = web.AppRunner(app, access_log=None, lingering_time=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    finally:
        await runner.cleanup()


async def post(url: str, data: Any = BODY, *, signature: str | None = None, **headers: str) -> int:
    signed = sign(data, key=KEY) if signature is None else signature
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=data, headers={"X-Sig": signed, **headers}) as answer,
    ):
        return answer.status


async def test_a_signed_body_becomes_a_hint_once() -> None:
    noted = Noted()
    async with served(receiver(noted)) as url:
        assert await post(url, **{"X-Vismanet-Job": OWN}) == 200
        assert await post(url, **{"X-Vismanet-Job": "1f" * 16}) == 200, "a repeat is answered with success"
    assert noted.hints == [(OWN, (JOB,))], "a replay with other headers does nothing"


@pytest.mark.parametrize("signature", ["", "x", sign(BODY, key=b"other"), sign(BODY + b" ", key=KEY), "ÿ" * 44])
async def test_a_wrong_signature_is_refused(signature: str) -> None:
    noted = Noted()
    async with served(receiver(noted)) as url:
        assert await post(url, signature=signature) == 401
    assert noted.hints == []


async def test_an_own_id_that_is_none_of_ours_is_dropped() -> None:
    noted = Noted()
    async with served(receiver(noted)) as url:
        await post(url, **{"X-Vismanet-Job": "'; DROP TABLE"})
    assert noted.hints == [(None, (JOB,))]


async def test_a_body_of_100_mb_is_refused_before_it_is_read() -> None:
    noted, sent = Noted(), 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1600):
            sent += 65536
            yield b"x" * 65536

    async with served(receiver(noted)) as url, aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):  # noqa: PT012 - either the answer comes or the connection is gone
            async with session.post(url, data=endless(), headers={"X-Sig": "x"}) as answer:
                assert answer.status == 413
                raise aiohttp.ClientError
    assert sent < 50_000_000
    assert noted.hints == []


async def test_a_declared_length_is_enough_to_refuse() -> None:
    read = False

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal read
        read = True
        yield b""

    status = await receiver(Noted()).receive(chunks(), headers={"content-length": "104857600"}, source=None)
    assert (status, read) == (413, False)


async def test_methods_and_sources() -> None:
    noted = Noted()
    async with served(receiver(noted, sources=["10.0.0.0/8", *DISPATCHERS])) as url:
        assert await post(url) == 403
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            assert answer.status == 405
    listed = receiver(noted, sources=["127.0.0.1"])
    async with served(listed) as url:
        assert await post(url) == 200
    for source, allowed in {"::ffff:127.0.0.1": True, "127.0.0.2": False, "unix:": False, None: False}.items():
        assert listed._allows(source) is allowed


async def test_what_could_not_be_stored_may_come_again() -> None:
    noted = Noted(broken=True)
    async with served(receiver(noted)) as url:
        assert await post(url) == 503
        noted.broken = False
        assert await post(url) == 200
    assert len(noted.hints) == 1


async def test_asgi() -> None:
    noted = Noted()
    app = receiver(noted).asgi

    async def call(*, body: list[bytes], kind: str = "http", **headers: str) -> list[Any]:
        sent: list[Any] = []
        messages = [
            {"type": "http.request", "body": part, "more_body": index + 1 < len(body)}
            for index, part in enumerate(body)
        ]
        if kind == "lifespan":
            messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

        async def receive() -> Any:
            return messages.pop(0) if messages else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": kind,
            "method": "POST",
            "client": ("127.0.0.1", 1),
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        }
        await app(scope, receive, send)
        return sent

    signed = {"x-sig": sign(BODY, key=KEY), "x-vismanet-job": OWN}
    assert (await call(body=[BODY[:9], BODY[9:]], **signed))[0]["status"] == 200
    assert noted.hints == [(OWN, (JOB,))]
    assert (await call(body=[BODY[:9]], **signed))[0]["status"] == 401, "cut off"
    assert (await call(body=[b"x" * 300_000], **signed))[0]["status"] == 413
    assert [message["type"] for message in await call(body=[], kind="lifespan")] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]
    assert await call(body=[], kind="websocket") == []


async def test_memory_is_bounded_in_number_and_age() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    seen = SeenBodies(limit=3, keep_seconds=60)
    for number in range(5):
        await seen.remember(bytes([number]), at=now)
    assert len(seen) == 3
    assert not await seen.seen(b"\x00", at=now)
    assert await seen.seen(b"\x04", at=now)
    assert not await seen.seen(b"\x04", at=now + timedelta(seconds=61))
    assert len(seen) == 0


def test_what_cannot_be_right_is_refused() -> None:
    with pytest.raises(SettingsError, match="empty"):
        WebhookReceiver(Noted(), key="", signature_header="X-Sig")
    with pytest.raises(SettingsError, match="network"):
        receiver(Noted(), sources=["visma.net"])
    assert "geheim" not in repr(receiver(Noted()))


def test_ids_are_bounded_and_each_given_once() -> None:
    many = b" ".join(f"{number:08x}-0000-0000-0000-000000000000".encode() for number in range(100))
    assert len(ids_in(many)) == 32
    assert ids_in(f"{JOB} {JOB.upper()} x{JOB}".encode()) == (JOB,)


@pytest.mark.parametrize("location", ["https://x.example/v1/background/{}/content", "\\/v1\\/background\\/{}"])
def test_ids_in_a_location_of_the_queue_come_first(location: str) -> None:
    other = "11111111-2222-4333-8444-555555555555"
    assert ids_in(f"{other} {location.format(JOB)} {other}".encode()) == (JOB, other)


@given(st.binary(), st.text(), st.binary(min_size=1))
def test_any_bytes_are_read(body: bytes, signature: str, key: bytes) -> None:
    ids_in(body)
    assert signature_fits(sign(body, key=key), body=body, key=key)
    if signature.strip() != sign(body, key=key):
        assert not signature_fits(signature, body=body, key=key)

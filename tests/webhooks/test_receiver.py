"""Webhooks over real HTTP and ASGI: only what is signed counts, and what counts is only a hint."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import aiohttp
import anyio
import anyio.lowlevel
import attrs
import hypothesis.strategies as st
import pytest
from aiohttp import web
from hypothesis import given

from tests.support.hang import HANG_SECONDS
from vismanet_async._client import VismaNet
from vismanet_async._http.auth.credentials import StaticToken
from vismanet_async._jobs.store import StoreNotUsable
from vismanet_async._webhooks.changes import Changes
from vismanet_async._webhooks.receiver import DISPATCHERS, SeenBodies, WebhookReceiver, ids_in
from vismanet_async._webhooks.signing import sign, sign_test, signature_fits
from vismanet_async.errors import SettingsError, UnknownName
from vismanet_async.models import CustomerUpdate
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from vismanet_async._webhooks.events import WebhookEvent

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


@pytest.mark.parametrize(
    ("length", "status"), [("²", 401), ("\u0661", 401), ("+1", 401), ("9" * 5000, 413), ("0" * 5000, 401)]
)
async def test_a_declared_length_of_odd_digits_is_no_error(length: str, status: int) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"{}"

    assert await receiver(Noted()).receive(chunks(), headers={"content-length": length}, source=None) == status


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


# -- events and handlers


class Told:
    """A handler that notes what it was called with, and fails as often as it should."""

    def __init__(self, *, failing: int = 0) -> None:
        self.events: list[WebhookEvent] = []
        self.failing = failing

    async def __call__(self, event: WebhookEvent) -> None:
        self.events.append(event)
        if self.failing:
            self.failing -= 1
            raise RuntimeError("no")

    @property
    def keys(self) -> list[str | None]:
        return [event.key for event in self.events]


def delivery(name: Any = "Customer Changed", **fields: Any) -> tuple[bytes, dict[str, str]]:
    made = sign_test(name, key=KEY, signature_header="X-Sig", **fields)
    return made.body, dict(made.headers)


async def handed(made: WebhookReceiver, body: bytes, headers: Mapping[str, str]) -> int:
    async def chunks() -> AsyncIterator[bytes]:
        yield body

    return await made.receive(chunks(), headers={name.lower(): value for name, value in headers.items()}, source=None)


async def test_handlers_get_their_events_and_the_others_too() -> None:
    made = WebhookReceiver(key=KEY, signature_header="X-Sig")
    customers, twice, everything = Told(), Told(), Told()
    made.on("Customer Changed", customers)
    made.on("Customer Changed", twice)
    made.on_any(everything)
    for name, key in (("Customer Changed", "1"), ("Supplier Created", "2"), ("SALESORDER_CREATED", "3")):
        assert await handed(made, *delivery(name, entityId=key)) == 200
    strange = b"not even JSON"
    assert await handed(made, strange, {"X-Sig": sign(strange, key=KEY), "X-Batch": "7"}) == 200
    assert customers.keys == twice.keys == ["1"]
    assert everything.keys == ["1", "2", "3", None]
    assert everything.events[-1].body == strange
    assert everything.events[-1].headers["x-batch"] == "7"


async def test_a_forged_event_reaches_no_handler() -> None:
    made, told = WebhookReceiver(key=KEY, signature_header="X-Sig"), Told()
    made.on_any(told)
    body, headers = delivery()
    assert await handed(made, body + b" ", headers) == 401
    assert not made.verify(body + b" ", {"x-sig": headers["X-Sig"]})
    assert made.verify(body, {"x-sig": headers["X-Sig"]})
    assert told.events == []


async def test_a_handler_that_failed_gets_the_event_when_it_is_sent_again(caplog: pytest.LogCaptureFixture) -> None:
    made, told, later = WebhookReceiver(key=KEY, signature_header="X-Sig"), Told(failing=1), Told()
    made.on("Customer Changed", told)
    made.on_any(later)
    body, headers = delivery()
    assert await handed(made, body, headers) == 500
    assert "RuntimeError: no" in caplog.text
    assert later.events == [], "what follows waits for it"
    assert await handed(made, body, headers) == 200
    assert await handed(made, body, headers) == 200
    assert (len(told.events), len(later.events)) == (2, 1), "a repeat of what was handled does nothing"


@pytest.mark.parametrize(
    ("more", "handled"),
    [({}, 2), ({"notificationId": "7"}, 1), ({"stateLocation": f"https://x/v1/background/{JOB}"}, 1)],
)
async def test_two_changes_with_equal_bodies_are_two_unless_the_body_names_its_notification(
    more: dict[str, str], handled: int
) -> None:
    made, told = WebhookReceiver(key=KEY, signature_header="X-Sig"), Told()
    made.on("Customer Changed", told)
    body = json.dumps({"event": "Customer Changed", "entityId": "1", **more}).encode()
    for _ in range(2):
        assert await handed(made, body, {"X-Sig": sign(body, key=KEY)}) == 200
    assert told.keys == ["1"] * handled


async def test_repeats_that_come_at_once_are_handled_once() -> None:
    made, calls = WebhookReceiver(key=KEY, signature_header="X-Sig"), 0
    begun, going_on = anyio.Event(), anyio.Event()

    async def slow(event: WebhookEvent) -> None:
        nonlocal calls
        calls += 1
        begun.set()
        await going_on.wait()

    made.on_any(slow)
    body, headers = delivery()
    statuses: list[int] = []

    async def send() -> None:
        statuses.append(await handed(made, body, headers))

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(send)
        await begun.wait()
        going_on.set()
    assert (calls, statuses) == (1, [200, 200, 200])


async def test_jobs_and_handlers_share_a_receiver() -> None:
    noted, told = Noted(), Told()
    made = receiver(noted)
    made.on("Background API Operation Response Ready", told)
    async with served(made) as url:
        assert await post(url, **{"X-Vismanet-Job": OWN, "batch": "7"}) == 200
    assert noted.hints == [(OWN, (JOB,))]
    [event] = told.events
    assert event.headers["batch"] == "7"


def test_an_event_that_there_is_not_is_refused() -> None:
    made = WebhookReceiver(key=KEY, signature_header="X-Sig")
    with pytest.raises(UnknownName, match="Customer Changed"):
        made.on("Customer Change", Told())  # type: ignore[arg-type] # which is the point


# -- with the simulator


async def test_changes_in_the_simulator_reach_handlers_and_are_told_back() -> None:
    async with Simulator(rows={"customer": 5}) as sim:
        token = StaticToken(sim.issue_token(), tenant_id=sim.tenant_id)
        async with VismaNet(token, base_url=sim.base_url) as visma:
            made = WebhookReceiver(key=sim.webhooks.key, signature_header=sim.webhooks.signature_header, feedback=visma)
            changes, failing = Changes(), Told(failing=1)
            made.on("Customer Created", failing)
            made.on_any(changes)
            async with served(made) as url:
                sim.webhooks.url, sim.webhooks.retry_seconds = url, 0.0
                sim.webhooks.events |= {"Customer Changed", "Customer Created", "Customer Updated"}
                await visma.customer.update("10001", CustomerUpdate(name="New"))
                sim.touch("customer", "10001")
                [added] = sim.add("customer")
                sim.remove("customer", "10000")
                with anyio.fail_after(HANG_SECONDS):
                    while len(sim.webhooks.deliveries) < 6 or not all(one.delivered for one in sim.webhooks.deliveries):
                        await anyio.lowlevel.checkpoint()
                events = sorted(one.notice.event for one in sim.webhooks.deliveries)
                assert events == ["Customer Changed"] * 3 + ["Customer Created"] + ["Customer Updated"] * 2
                found = {change.key: change.times for change in await changes.take()}
                assert found == {"10001": 4, added: 2}
                assert [event.tenant_id for event in failing.events] == [sim.tenant_id] * 2
                said = sim.requests.matching(path="webhooknotificationfeedback")
                assert len(said) == 7, "one for each time that handlers were called"
                assert {one.status for one in said} < {200, 201, 204}


async def test_feedback_is_sent_for_the_clients_own_company_alone() -> None:
    async with Simulator(rows={"customer": 5}) as sim:
        token = StaticToken(sim.issue_token(), tenant_id=sim.tenant_id)
        async with VismaNet(token, base_url=sim.base_url) as visma:
            made = WebhookReceiver(key=KEY, signature_header="X-Sig", feedback=visma)
            assert await handed(made, *delivery()) == 200
            assert sim.requests.total == 0, "nobody listens, so nothing was handled"
            made.on_any(Told())
            assert await handed(made, *delivery(TenantId="another")) == 200
            assert await handed(made, *delivery(notificationId=None)) == 200
            assert sim.requests.total == 0
            sim.faults.add("status", status=500, times=0)
            assert await handed(made, *delivery(TenantId=sim.tenant_id)) == 200, "the webhook was handled all the same"
            assert sim.requests.total == 1

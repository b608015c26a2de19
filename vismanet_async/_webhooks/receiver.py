"""Receiver of webhooks: signed hints to poll a job or to read a record now, never the truth.

A request counts if its signature matches (`signing`). Nothing else is trusted: headers are not signed and the body's
shape is not public. Of background jobs only ids are read, and each leads to a poll of our own; other events go to the
user's handlers. A repeat is answered with 200 and does nothing, where the body names its notification or its job:
without them a record that has changed twice may have two equal bodies.

`WebhookReceiver.handle` is a handler for `aiohttp.web`, `WebhookReceiver.asgi` an ASGI application.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections import OrderedDict
from collections.abc import Iterable
from decimal import Decimal
from ipaddress import ip_address, ip_network
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final, Protocol
from weakref import WeakValueDictionary

import anyio
from aiohttp import web

from vismanet_async._arguments import expect, expect_count, expect_parts, text_of
from vismanet_async._clock import SystemClock
from vismanet_async._http.message import HEADER_NAME
from vismanet_async._jobs.core.background_header import JOB_HEADER
from vismanet_async._webhooks.events import known_event, parse_event
from vismanet_async._webhooks.feedback import send_feedback
from vismanet_async._webhooks.signing import signature_fits
from vismanet_async.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable, Callable, Mapping, MutableMapping
    from datetime import datetime

    from vismanet_async._api.webhook_events import EventName
    from vismanet_async._clock import Clock
    from vismanet_async._webhooks.events import WebhookEvent
    from vismanet_async._webhooks.feedback import FeedbackClient

    Handler = Callable[[WebhookEvent], Awaitable[object]]

__all__ = ["DISPATCHERS", "Hints", "SeenBodies", "WebhookReceiver", "ids_in"]

_log = logging.getLogger("vismanet_async.webhooks")

DISPATCHERS: Final = ("18.202.121.26", "34.242.104.102", "54.220.26.45")
"""Addresses of Visma's dispatcher (docs/facts.md 8); for `sources`."""

_UUID: Final = re.compile(rb"(?<![0-9a-zA-Z])[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}(?![0-9a-zA-Z])", re.IGNORECASE)
_LOCATED: Final = re.compile(rb"/background\\?/(" + _UUID.pattern + rb")", re.IGNORECASE)
_MOST_IDS: Final = 32
_MOST_LOOKED_AT: Final = 1000
_DIGITS: Final = re.compile(r"[0-9]+")
_OWN_ID: Final = re.compile(r"[0-9a-f]{32}")


class Hints(Protocol):
    """Receiver of hints: `JobManager`, or the store that it shares."""

    async def hint(self, *, own_id: str | None, job_ids: tuple[str, ...], at: datetime) -> None:
        """Store that something happened to these jobs; unknown ids are ignored."""
        ...


class Seen(Protocol):
    """Memory of the bodies that were handled."""

    async def seen(self, digest: bytes, *, at: datetime) -> bool:
        """Return whether this body was handled before."""
        ...

    async def remember(self, digest: bytes, *, at: datetime) -> None:
        """Store that this body was handled."""
        ...


class SeenBodies:
    """Digests of handled bodies in memory: a bounded number, for a bounded time."""

    def __init__(self, *, limit: int = 10_000, keep_seconds: float = 7 * 86_400.0) -> None:
        self._limit = limit
        self._keep_seconds = keep_seconds
        self._digests: OrderedDict[bytes, datetime] = OrderedDict()

    def __len__(self) -> int:
        return len(self._digests)

    async def seen(self, digest: bytes, *, at: datetime) -> bool:
        """Return whether this body was handled before."""
        while self._digests:
            oldest = next(iter(self._digests.values()))
            if (at - oldest).total_seconds() <= self._keep_seconds:
                break
            self._digests.popitem(last=False)
        return digest in self._digests

    async def remember(self, digest: bytes, *, at: datetime) -> None:
        """Store that this body was handled; beyond the limit the oldest is deleted."""
        self._digests[digest] = at
        self._digests.move_to_end(digest)
        if len(self._digests) > self._limit:
            self._digests.popitem(last=False)


def ids_in(body: bytes) -> tuple[str, ...]:
    """Return every UUID in a body, once, in lower case; at most 32, those in a location of the queue first.

    The payload's shape is not public (docs/facts.md 8), so ids are found anywhere: as a value of
    their own or in a location. The location itself is never used.

    Examples:
        >>> ids_in(b'{"stateLocation": "https://example.org/v1/background/73AC0029-1e4f-4adc-a7eb-318cd25ba4bf"}')
        ('73ac0029-1e4f-4adc-a7eb-318cd25ba4bf',)
    """
    located = (match[1] for match in _LOCATED.finditer(body))
    anywhere = (match[0] for match in _UUID.finditer(body))
    found = dict.fromkeys(each.decode().lower() for each in islice(chain(located, anywhere), _MOST_LOOKED_AT))
    return tuple(found)[:_MOST_IDS]


class WebhookReceiver:
    """Checks webhooks, turns those of jobs into hints, and passes all to your handlers.

    Several requests may be handled at once, repeats of one body one after the other. A request is remembered only
    after its hint was stored and its handlers have returned, so that one that failed half-way is accepted when it is
    sent again; and only if its body names a notification or a job, as two changes of a record may have equal bodies
    otherwise. The dispatcher keeps no order, and handlers must bear to be called again (docs/facts.md 8.5).

    Answers: 200 accepted (or a repeat), 401 wrong signature, 403 source not on the list, 405 not a POST, 413 too
    large, 500 a handler raised, 503 the hint could not be stored (of both the dispatcher sends it again).

    Examples:
        >>> from vismanet_async.webhooks import sign_test
        >>> receiver = WebhookReceiver(visma.jobs, key="of the subscription", signature_header="X-Visma-Signature")
        >>> async def show(event):
        ...     print(event.name, event.key)
        >>> receiver.on("Customer Changed", show)
        >>> test = sign_test("Customer Changed", key="of the subscription", signature_header="X-Visma-Signature",
        ...                  entityId="10000")
        >>> async def body():
        ...     yield test.body
        >>> await receiver.receive(body(), headers=test.headers, source=None)
        Customer Changed 10000
        200
        >>> await receiver.receive(body(), headers={"x-visma-signature": "forged"}, source=None)
        401
    """

    def __init__(
        self,
        hints: Hints | None = None,
        *,
        key: str | bytes,
        signature_header: str,
        feedback: FeedbackClient | None = None,
        body_limit_bytes: int = 256 * 1024,
        sources: Iterable[str] | None = None,
        seen: Seen | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Create a receiver.

        Args:
            hints: receives the hints about background jobs: `visma.jobs`. None: there are no jobs.
            key: the subscription's signing key, as the Developer Portal shows it. Kept out of logs and reprs.
            signature_header: the header with the signature. Visma does not publish its name: look at one delivery.
            feedback: a client, to tell the ERP how your handlers got on with each notification; webhooks of other
                companies than the client's get none. Feedback that fails is logged.
            body_limit_bytes: larger bodies are refused before they are read to their end.
            sources: addresses or networks that may send (`DISPATCHERS`, for instance). Compared with the address of
                the connection, so leave it out behind a proxy. None allows all.
            seen: remembers what was handled, in memory if not given.
            clock: for tests.

        Raises:
            SettingsError: when the key is empty, the header's name cannot be one, or a source is neither an address nor
                a network.
        """
        if hints is not None:
            expect_parts("hints", hints, ("hint",), "visma.jobs", error=SettingsError)
        expect("key", key, str, bytes, error=SettingsError)
        expect("signature_header", signature_header, str, error=SettingsError)
        if not HEADER_NAME.fullmatch(signature_header):
            raise SettingsError(f"signature_header is the name of a header, which {signature_header!r} cannot be.")
        expect_count("body_limit_bytes", body_limit_bytes, error=SettingsError)
        if isinstance(sources, str) or not (sources is None or isinstance(sources, Iterable)):
            raise SettingsError(f"sources takes a list of addresses and networks, not {text_of(sources)}.")
        self._key = key.encode() if isinstance(key, str) else key
        if not self._key:
            raise SettingsError("the webhook key is empty: any body would seem signed. Copy it from Developer Portal.")
        try:
            self._sources = None if sources is None else tuple(ip_network(source) for source in sources)
        except ValueError as error:
            raise SettingsError(f"a webhook source must be an address or a network: {error}") from error
        self._hints = hints
        self._feedback = feedback
        self._handlers: dict[str | None, list[Handler]] = {}
        self._handling: WeakValueDictionary[bytes, anyio.Lock] = WeakValueDictionary()
        self._signature_header = signature_header
        self._body_limit_bytes = body_limit_bytes
        self._seen: Seen = seen or SeenBodies()
        self._clock = clock or SystemClock()

    def __repr__(self) -> str:
        return f"WebhookReceiver(signature_header={self._signature_header!r})"

    def on(self, name: EventName, handler: Handler) -> None:
        """Have a handler called with each webhook of an event, after those that were added before it.

        Args:
            name: as Visma lists it, such as `Customer Changed`.
            handler: an async function that takes the `WebhookEvent`. What it raises is logged and answered with 500,
                so that the dispatcher sends the webhook again. The dispatcher waits for it: leave long work to a task
                or to `Changes`.

        Raises:
            UnknownName: Visma lists no such event.
        """
        self._handlers.setdefault(known_event(name)["name"], []).append(handler)

    def on_any(self, handler: Handler) -> None:
        """Have a handler called with every webhook, also of events that are not known, after the handlers of `on`."""
        self._handlers.setdefault(None, []).append(handler)

    def verify(self, body: bytes, headers: Mapping[str, str]) -> bool:
        """Return whether a body has the right signature; parse it with `parse_event` only then.

        Args:
            body: as it came.
            headers: case-insensitive, or with names in lower case.
        """
        signature = headers.get(self._signature_header) or headers.get(self._signature_header.lower()) or ""
        return signature_fits(signature, body=body, key=self._key)

    async def receive(
        self, chunks: AsyncIterable[bytes], *, headers: Mapping[str, str], source: str | None, method: str = "POST"
    ) -> int:
        """Handle one request; return the status to answer with.

        Args:
            chunks: the body as it arrives; read only as far as the limit goes.
            headers: case-insensitive, or with names in lower case.
            source: the address of the connection.
            method: the HTTP method.
        """
        if method != "POST":
            return 405
        if not self._allows(source):
            return 403
        length = headers.get("content-length", "")
        # what is no number says nothing: the body is counted as it comes
        if _DIGITS.fullmatch(length) and Decimal(length) > self._body_limit_bytes:
            return 413
        body = await _read(chunks, limit=self._body_limit_bytes)
        if body is None:
            return 413
        if not self.verify(body, headers):
            return 401
        digest = hashlib.sha256(body).digest()
        async with self._handling.setdefault(digest, anyio.Lock()):
            return await self._handle_body(body, digest, headers)

    async def _handle_body(self, body: bytes, digest: bytes, headers: Mapping[str, str]) -> int:
        at = self._clock.utc_now()
        own_id = headers.get(JOB_HEADER) or headers.get(JOB_HEADER.lower())
        event = parse_event(body, headers=headers)
        # a job ends once, so that hints alone need no second look
        is_one_of_a_kind = not self._handlers or event.notification_id is not None or bool(_LOCATED.search(body))
        try:
            if is_one_of_a_kind and await self._seen.seen(digest, at=at):
                return 200
            if own_id is not None and not _OWN_ID.fullmatch(own_id):
                own_id = None
            if self._hints is not None:
                await self._hints.hint(own_id=own_id, job_ids=ids_in(body), at=at)
            if self._handlers and not await self._call_handlers(event):
                return 500
            if is_one_of_a_kind:
                await self._seen.remember(digest, at=at)
        except OSError:
            # the store is out of reach; the dispatcher sends it again
            return 503
        return 200

    async def _call_handlers(self, event: WebhookEvent) -> bool:
        """Call the handlers of an event, and send feedback; return whether all of them returned."""
        own = [] if event.name is None else self._handlers.get(event.name, [])
        handlers = [*own, *self._handlers.get(None, [])]
        failure: Exception | None = None
        for handler in handlers:
            try:
                await handler(event)
            except Exception as error:  # noqa: BLE001 - whatever it is, the dispatcher is to send it again
                _log.exception("a handler of webhooks failed on %s; it is to be sent again", event.name)
                failure = error
                break
        if handlers and self._feedback is not None:
            await send_feedback(self._feedback, event, failure=failure)
        return failure is None

    def _allows(self, source: str | None) -> bool:
        if self._sources is None:
            return True
        if source is None:
            return False
        try:
            address = ip_address(source)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self._sources)

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """Handle one request of an `aiohttp.web` application: `app.router.add_post("/visma", receiver.handle)`."""
        status = await self.receive(
            request.content.iter_any(), headers=request.headers, source=request.remote, method=request.method
        )
        response = web.Response(status=status)
        if not request.content.is_eof():
            # the rest of a refused body is not worth receiving
            response.force_close()
        return response

    async def asgi(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        """Handle one ASGI 3 request; mount it under the path that the subscription names."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        client = scope.get("client")
        status = await self.receive(
            _asgi_body(receive), headers=headers, source=client[0] if client else None, method=scope["method"]
        )
        closing = [(b"connection", b"close")] if status == 413 else []  # noqa: PLR2004 - statuses read best as numbers
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0"), *closing]})
        await send({"type": "http.response.body", "body": b""})


async def _read(chunks: AsyncIterable[bytes], *, limit: int) -> bytes | None:
    parts: list[bytes] = []
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > limit:
            return None
        parts.append(chunk)
    return b"".join(parts)


async def _asgi_body(receive: Callable[[], Awaitable[MutableMapping[str, Any]]]) -> AsyncIterable[bytes]:
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return


async def _lifespan(
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await send({"type": "lifespan.shutdown.complete"})
            return

"""Webhooks: signed notices, with the repeats, delays and forgeries that a receiver must bear."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from typing import TYPE_CHECKING, Any

import aiohttp
from attrs import define, field

from vismanet_async._simulator.json_text import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from random import Random

    from vismanet_async._simulator.clock import Clock

_SUCCESS = frozenset(range(200, 300))

__all__ = ["Delivery", "Notice", "WebhookSender", "signature"]


def signature(key: str, body: bytes) -> str:
    """Return the signature of a body: HMAC-SHA256 over its bytes, base64 (facts 8.4)."""
    return base64.b64encode(hmac.new(key.encode(), body, hashlib.sha256).digest()).decode()


@define
class Notice:
    """An event to tell about."""

    tenant_id: str
    event: str
    data: Mapping[str, Any]
    headers: Mapping[str, str] = field(factory=dict)
    url: str | None = None
    """Where to, if not to the subscription's address."""


@define
class Delivery:
    """One attempt, or several, to deliver one body."""

    notice: Notice
    body: bytes = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    due_at: float
    forged: bool = False
    attempts: int = 0
    statuses: list[int | None] = field(factory=list)
    """What the receiver answered; None: nothing."""
    tried: asyncio.Event = field(factory=asyncio.Event, init=False, repr=False, eq=False)
    """Set once the receiver has answered, or had its time."""
    behind: Delivery | None = field(default=None, init=False, repr=False, eq=False)
    """It goes out when this one has been tried."""

    @property
    def delivered(self) -> bool:
        """Whether the receiver took it."""
        return bool(self.statuses) and self.statuses[-1] in _SUCCESS


@define(kw_only=True)
class WebhookSender:
    """A subscription in the portal: where notices go and how.

    The real payload and signature header are not public (facts 8.4, 8.6); both can be set here.
    """

    clock: Clock
    ids: Random = field(repr=False)
    url: str | None = None
    key: str = "webhook-signing-key"
    signature_header: str = "X-Visma-Signature"
    delay_seconds: float = 0.0
    repeats: int = 0
    """How often each notice comes again."""
    repeat_after_seconds: float = 0.0
    forged: bool = False
    """Sign with another key."""
    forge_extra: bool = False
    """Send a forged copy (with a changed status) beside each true one."""
    out_of_order: bool = False
    """Hold each notice back until the next one has gone out."""
    attempts: int = 3
    retry_seconds: float = 5.0
    """First pause after a refused delivery; it doubles each time."""
    timeout_seconds: float = 10.0
    payload: Callable[[Notice, str], Mapping[str, Any]] | None = None
    events: set[str] = field(factory=set)
    """The events of changed records that are subscribed to, such as `Customer Changed`; the queue's always comes."""
    deliveries: list[Delivery] = field(factory=list)
    _held: list[Delivery] = field(factory=list)
    _ready: list[Delivery] = field(factory=list)

    def make(self, notice: Notice) -> list[Delivery]:
        """Turn a notice into the deliveries to send now or later."""
        if notice.url is None and self.url is None:
            return []
        body = self._body(notice)
        made = [self._delivery(notice, body, self.delay_seconds, forged=self.forged)]
        delays = [self.delay_seconds + number * self.repeat_after_seconds for number in range(1, self.repeats + 1)]
        made += [self._delivery(notice, body, delay, forged=self.forged) for delay in delays]
        if self.forge_extra:
            changed = Notice(
                notice.tenant_id, notice.event, {**notice.data, "statusCode": 200}, notice.headers, notice.url
            )
            made.append(self._delivery(changed, self._body(changed), self.delay_seconds, forged=True))
        self.deliveries.extend(made)
        if self.out_of_order:
            ready, self._held = (made + self._held, []) if self._held else ([], made)
            for held in ready[len(made) :]:
                held.behind = made[0]
            return ready
        return made

    def release_held(self) -> None:
        """Send what was held back to arrive out of order, with the next notice or tick."""
        self._ready += self._held
        self._held = []

    def ready(self) -> list[Delivery]:
        """Return what was let go of."""
        ready, self._ready = self._ready, []
        return ready

    def _body(self, notice: Notice) -> bytes:
        notice_id = f"{self.ids.getrandbits(128):032x}"
        if self.payload is not None:
            return encode(dict(self.payload(notice, notice_id)))
        return encode({
            "id": notice_id, "notificationId": notice_id, "event": notice.event, "tenantId": notice.tenant_id,
            "data": dict(notice.data),
        })  # fmt: skip

    def _delivery(self, notice: Notice, body: bytes, after: float, *, forged: bool) -> Delivery:
        key = f"not-{self.key}" if forged else self.key
        headers = {name: value for name, value in notice.headers.items() if name}
        headers |= {
            "Content-Type": "application/json; charset=utf-8",
            self.signature_header: signature(key, body),
        }
        return Delivery(notice, body, headers, self.clock.now() + after, forged)

    async def send(self, session: aiohttp.ClientSession, delivery: Delivery) -> None:
        """Deliver one notice, with its delay and retries."""
        target = delivery.notice.url or self.url
        if target is None:
            return
        await self.clock.wait_until(delivery.due_at)
        if delivery.behind is not None:
            await delivery.behind.tried.wait()
        for attempt in range(max(1, self.attempts)):
            delivery.attempts = attempt + 1
            delivery.statuses.append(await self._post(session, target, delivery))
            delivery.tried.set()
            if delivery.delivered:
                return
            await self.clock.wait_until(self.clock.now() + self.retry_seconds * 2**attempt)

    async def _post(self, session: aiohttp.ClientSession, target: str, delivery: Delivery) -> int | None:
        timeout = aiohttp.ClientTimeout(total=self.timeout_seconds)
        try:
            async with session.post(
                target, data=delivery.body, headers=delivery.headers, timeout=timeout, allow_redirects=False
            ) as answer:
                await answer.read()
                return answer.status
        except (aiohttp.ClientError, TimeoutError):
            return None  # counted as a refused delivery

"""The pipeline: what happens to one request, in one visible order.

    deadline -> quota gate -> concurrency gate -> token -> exchange -> classify -> (retry | error | answer)

The waits come before the slot is taken and after it is given back, so that a waiting request keeps nobody else from
going. Every wait and every attempt is written into the attempt log, which results and errors carry.
"""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import attrs
from multidict import CIMultiDict

from vismanet_async._http.error_body import KEPT_HEADERS, read_problem
from vismanet_async._http.hosts import request_url
from vismanet_async._http.message import Request, Response, Service
from vismanet_async._http.pool import Envelope, Exchange, SessionPool
from vismanet_async._http.rate_limit import Quota, retry_after_seconds
from vismanet_async._http.retry import Fault, fault_of, next_step
from vismanet_async._observer import CallFacts
from vismanet_async.errors import (
    ApiError,
    Attempt,
    DeadlineExceeded,
    OutcomeUnknown,
    PreconditionFailed,
    RateLimited,
    TransportError,
    UnexpectedResponse,
    VismaNetError,
    api_error_type,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    import aiohttp
    from multidict import CIMultiDictProxy
    from yarl import URL

    from vismanet_async._clock import Clock
    from vismanet_async._http.auth.provider import TokenProvider
    from vismanet_async._http.auth.session import Token
    from vismanet_async._http.limiter import Slots
    from vismanet_async._observer import CallWatch, Observer

__all__ = ["ATTEMPT_SECONDS", "Streamed", "Target", "Transport"]

ATTEMPT_SECONDS: Final = 260.0
"""One attempt's limit: a little more than the gateway's own four minutes (docs/facts.md 1.8)."""
_ERROR_BODY_SECONDS: Final = 10.0
"""How long an error's body is waited for; its status is known by then."""
_KEPT_BODY_BYTES: Final = 4096
_SUCCESS: Final = range(200, 300)
_STRAIN: Final = frozenset({Fault.RATE_LIMITED, Fault.BUSY, Fault.NO_ANSWER})
_OWN_EFFECT: Final = (
    "An earlier attempt of this same call got no answer and may have been executed, so this may be its own effect: "
    "read the record again before deciding."
)
_log = logging.getLogger("vismanet_async._http")


@attrs.frozen(kw_only=True)
class Target:
    """One service as a company uses it: where it is and whose token it takes."""

    base: URL
    tokens: TokenProvider


@attrs.frozen
class _Lane:
    """What one service keeps apart from the other: its address, token, budget and places."""

    target: Target
    quota: Quota
    slots: Slots


@attrs.define
class _Call:
    """One `send` or `stream`: its deadline, its attempts, its faults."""

    request: Request
    lane: _Lane
    started_at: float
    deadline_at: float
    watch: CallWatch | None = None
    attempts: list[Attempt] = attrs.field(factory=list)
    waited: list[str] = attrs.field(factory=list)
    faults: dict[Fault, int] = attrs.field(factory=dict)
    rejected: Token | None = None
    """The token that was answered with 401."""
    sent: int = 0
    """Attempts that may have reached the server."""
    maybe_executed: bool = False
    """An attempt left and got no whole answer."""
    body_opened: bool = False
    """The body was opened and cannot be opened again."""

    def waited_for(self, what: str, seconds: float) -> None:
        if seconds >= 0.001:  # noqa: PLR2004 - below a millisecond nothing was held back
            self.waited.append(f"{what} {seconds:.3g} s")

    def ended(self, error: BaseException | None) -> None:
        if self.watch is not None:
            self.watch.ended(error)

    def fail(self, error: VismaNetError) -> VismaNetError:
        """Give the error as it leaves: with the attempt log, and for a write with what may have happened."""
        final = error if self.request.kind == "read" else _of_a_write(self, error)
        final.attempts = tuple(self.attempts)
        return final


@attrs.define
class _Attempt:
    """One try of a call. Holds a slot until it has landed."""

    exchange: Exchange
    token: Token
    started_at: float
    ends_at: float
    outcome: str = "abandoned"
    fault: Fault | None = None
    body: bytes | bytearray = attrs.field(default=b"", repr=False)

    @property
    def raw(self) -> aiohttp.ClientResponse:
        raw = self.exchange.raw
        assert raw is not None  # looked at after a success only
        return raw


class Transport:
    """Sends the requests of one company. Any number of tasks may share it; it lives as long as its pool."""

    def __init__(
        self,
        pool: SessionPool,
        *,
        targets: Mapping[Service, Target],
        slots: Slots,
        clock: Clock,
        random: Callable[[], float],
        deadline_seconds: float,
        headers: Mapping[str, str] | None = None,
        company: str | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.slots = slots
        """The places of the ERP service; another service has its own of the same kind."""
        self.quota = Quota()
        """The budget at the ERP service; another service has its own."""
        self.requests = 0
        """Attempts that left or tried to leave."""
        self._pool = pool
        self._lanes = {
            service: _Lane(target, self.quota, slots) if service == "erp" else _Lane(target, Quota(), slots.sibling())
            for service, target in targets.items()
        }
        self._clock = clock
        self._random = random
        self._deadline_seconds = deadline_seconds
        self._headers = CIMultiDict({"Accept": "application/json", "Accept-Encoding": "gzip, deflate"})
        self._headers.update(headers or {})
        self._company = company
        self._observer = observer

    async def send(self, request: Request, /) -> Response:
        """Send a request and read its answer whole.

        Returns:
            The answer, always with a 2xx status; its body is inflated and held in memory.

        Raises:
            VismaNetError: every way it can fail; the error's type says what may have happened at the server.
        """
        call = self._begin(request)
        try:
            while True:
                attempt = await self._take_off(call)
                try:
                    error = await self._fly(call, attempt, whole=True)
                finally:
                    self._land(call, attempt)
                if error is None:
                    break
                await self._again(call, attempt, error)
        except BaseException as error:
            call.ended(error)
            raise
        call.ended(None)
        raw = attempt.raw
        return Response(status=raw.status, headers=raw.headers, body=attempt.body, attempts=tuple(call.attempts))

    @asynccontextmanager
    async def stream(self, request: Request, /) -> AsyncIterator[Streamed]:
        """Send a request and hand over the answer unread, for bodies that should not be held in memory.

        A slot is held until the block is left. Once the answer is handed over nothing is repeated: a break-off
        raises from `chunks()`, and what the block itself raises passes through untouched. The deadline counts while
        `chunks()` waits for the server, and never cuts the caller's own work short.
        """
        call = self._begin(request)
        try:
            while True:
                attempt = await self._take_off(call, encoding="identity")
                try:
                    error = await self._fly(call, attempt, whole=False)
                    if error is None:
                        yield Streamed(self._clock, call, attempt)
                        break
                finally:
                    self._land(call, attempt)
                await self._again(call, attempt, error)
        except BaseException as error:
            call.ended(error)
            raise
        call.ended(None)

    def _begin(self, request: Request) -> _Call:
        now = self._clock.monotonic()
        seconds = self._deadline_seconds if request.deadline_seconds is None else request.deadline_seconds
        lane = self._lanes[request.service]
        watch = None if self._observer is None else self._observer.call(self._facts(request, lane.target.base))
        return _Call(request, lane, started_at=now, deadline_at=now + seconds, watch=watch)

    def _facts(self, request: Request, base: URL) -> CallFacts:
        return CallFacts(
            operation=None if request.template is None else request.operation,
            method=request.method,
            template=request.template,
            scheme=base.scheme,
            host=base.host or "",
            port=base.port or 0,
            service=request.service,
            company=self._company,
            background=request.background,
        )

    async def _take_off(self, call: _Call, *, encoding: str | None = None) -> _Attempt:
        """Go through the gates and get a token; what comes back holds a slot and must land.

        Raises:
            VismaNetError: the call is over; this attempt sent nothing.
        """
        request = call.request
        url = request_url(call.lane.target.base, request.path, request.query)
        await self._take_slot(call)
        try:
            token = await self._token(call)
            now = self._in_time(call)
            exchange = self._pool.exchange(self._envelope(call, url, token, encoding))
        except BaseException:
            call.lane.slots.release()
            raise
        return _Attempt(exchange, token, started_at=now, ends_at=min(now + ATTEMPT_SECONDS, call.deadline_at))

    async def _fly(self, call: _Call, attempt: _Attempt, *, whole: bool) -> VismaNetError | None:
        """Send it and classify what comes back: None is a success, its body read if `whole`."""
        self.requests += 1
        exchange = attempt.exchange
        try:
            with self._clock.move_on_after(attempt.ends_at - attempt.started_at):
                raw = await exchange.open()
                attempt.outcome, attempt.fault = str(raw.status), fault_of(raw.status)
                self._observe(call, attempt, raw)
                if raw.status not in _SUCCESS:
                    return await self._api_error(call, attempt, raw)
                if whole:
                    attempt.body = await exchange.read_into(call.request.buffer)
                return None
        except TransportError as failure:
            return _lost(call, attempt, failure)
        except UnexpectedResponse as failure:
            return failure
        return _lost(call, attempt, self._timed_out(call, attempt))

    def _land(self, call: _Call, attempt: _Attempt) -> None:
        """Give the connection and the slot back, and write the attempt down."""
        now = self._clock.monotonic()
        lane = call.lane
        attempt.exchange.__exit__(None, None, None)
        call.sent += attempt.exchange.connected
        made = Attempt(
            number=len(call.attempts) + 1,
            started_after_seconds=attempt.started_at - call.started_at,
            duration_seconds=now - attempt.started_at,
            outcome=attempt.outcome,
            waited_for=tuple(call.waited),
        )
        call.attempts.append(made)
        call.waited.clear()
        if call.watch is not None:
            call.watch.attempted(made, fault=None if attempt.fault is None else attempt.fault.value)
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("%s %s", call.request.operation, made, extra=self._named(call, made))
        lane.slots.finished(started_at=attempt.started_at, now=now, strained=attempt.fault in _STRAIN)
        lane.slots.confine(lane.quota.room(now))
        lane.slots.release()

    def _named(self, call: _Call, made: Attempt) -> dict[str, Any]:
        """Give what a log record carries besides its text."""
        return {
            "operation": call.request.operation,
            "company": self._company,
            "attempt": made.number,
            "outcome": made.outcome,
            "duration_seconds": made.duration_seconds,
            "waited_for": made.waited_for,
        }

    async def _take_slot(self, call: _Call) -> None:
        """Wait for the quota and a slot; a pause that began while waiting for the slot is waited out without it."""
        lane = call.lane
        while True:
            await self._quota_gate(call)
            queued_at = self._clock.monotonic()
            lane.slots.confine(lane.quota.room(queued_at))
            if lane.slots.acquire_nowait():
                return
            with self._clock.move_on_after(call.deadline_at - queued_at) as scope:
                await lane.slots.acquire()
            now = self._clock.monotonic()
            if scope.cancelled_caught:
                raise call.fail(_too_late(call, "no free slot in time"))
            call.waited_for("slot", now - queued_at)
            if lane.quota.wait_seconds(now) <= 0:
                return
            lane.slots.release()

    async def _quota_gate(self, call: _Call) -> None:
        while (wait := call.lane.quota.wait_seconds(self._clock.monotonic())) > 0:
            if self._clock.monotonic() + wait >= call.deadline_at:
                error = RateLimited(
                    call.request.operation,
                    status=429,
                    detail=f"the quota is used up for {wait:.0f} s, longer than the time left for this call",
                )
                error.retry_after_seconds = wait
                raise call.fail(error)
            call.waited_for("quota", wait)
            await self._clock.sleep(wait)

    async def _token(self, call: _Call) -> Token:
        tokens = call.lane.target.tokens
        if (cached := tokens.cached(rejected=call.rejected)) is not None:
            return cached
        began = self._clock.monotonic()
        failure: VismaNetError
        try:
            with self._clock.move_on_after(call.deadline_at - began):
                token = await tokens.get(rejected=call.rejected)
                call.waited_for("token", self._clock.monotonic() - began)
                return token
        except VismaNetError as error:
            failure = error
        else:
            failure = _too_late(call, "no token in time")
        raise call.fail(failure)

    def _in_time(self, call: _Call) -> float:
        """Give the time, if any is left: a request must not leave just before it is cancelled."""
        now = self._clock.monotonic()
        if now >= call.deadline_at:
            raise call.fail(_too_late(call, "the waits took all the time"))
        return now

    def _envelope(self, call: _Call, url: URL, token: Token, encoding: str | None) -> Envelope:
        request, body = call.request, call.request.body
        headers = self._headers.copy()
        data: Any = body
        if isinstance(body, bytes):
            headers["Content-Type"] = "application/json; charset=utf-8"
        headers.update(request.headers)
        if body is not None and not isinstance(body, bytes):
            call.body_opened = not body.replayable
            data, described = body.open()
            headers.update(described)
        if encoding is not None:
            headers["Accept-Encoding"] = encoding
        headers["Authorization"] = f"Bearer {token.text}"
        return Envelope(method=request.method, url=url, headers=headers, data=data, repeatable=request.repeatable)

    def _observe(self, call: _Call, attempt: _Attempt, raw: aiohttp.ClientResponse) -> None:
        call.lane.quota.observe(
            raw.headers,
            status=raw.status,
            now=self._clock.monotonic(),
            utc_now=self._clock.utc_now(),
            randomness=self._random(),
        )
        if attempt.fault is Fault.SIGNED_OUT:
            call.rejected = attempt.token

    async def _api_error(self, call: _Call, attempt: _Attempt, raw: aiohttp.ClientResponse) -> ApiError:
        body = b""
        with self._clock.move_on_after(_ERROR_BODY_SECONDS):
            body = await attempt.exchange.read_error()
        # some gateways repeat the request in their error page
        body = body.replace(attempt.token.text.encode(), b"***")
        request = call.request
        problem = read_problem(raw.headers, body)
        advice = None
        if raw.status < 400:  # noqa: PLR2004 - redirects
            advice = "Redirects are never followed: check the base URL."
        elif call.maybe_executed and request.kind != "read" and attempt.fault is None:
            advice = _OWN_EFFECT
        if attempt.fault is Fault.BUSY:
            call.maybe_executed = True
        error = api_error_type(raw.status)(
            request.operation,
            status=raw.status,
            detail=problem.detail,
            reference=problem.reference,
            body=body[:_KEPT_BODY_BYTES],
            headers={name: raw.headers[name] for name in KEPT_HEADERS if name in raw.headers},
            advice=advice,
        )
        if isinstance(error, RateLimited):
            error.retry_after_seconds = call.lane.quota.wait_seconds(self._clock.monotonic())
        if isinstance(error, PreconditionFailed):
            error.expected = _bare_tag(request.header("If-Match"))
            error.current = _bare_tag(raw.headers.get("ETag"))
        return error

    def _timed_out(self, call: _Call, attempt: _Attempt) -> TransportError:
        if attempt.ends_at < call.deadline_at:
            return attempt.exchange.fault(f"no whole answer within {ATTEMPT_SECONDS:.0f} s")
        return _too_late(call, "no whole answer in time", sent=attempt.exchange.connected)

    async def _again(self, call: _Call, attempt: _Attempt, error: VismaNetError) -> None:
        """Wait for the next attempt, or raise the error that ends the call."""
        wait = self._next_step(call, attempt, error)
        if wait is None:
            raise call.fail(error)
        call.waited_for("backoff", wait)
        if _log.isEnabledFor(logging.INFO):
            made = call.attempts[-1]
            _log.info("%s %s, going again", call.request.operation, made, extra=self._named(call, made))
        await self._clock.sleep(wait)

    def _next_step(self, call: _Call, attempt: _Attempt, error: VismaNetError) -> float | None:
        fault = attempt.fault
        if fault is None or isinstance(error, DeadlineExceeded) or call.body_opened:
            return None
        if fault is Fault.SIGNED_OUT and not call.lane.target.tokens.renewable:
            return None
        times = call.faults[fault] = call.faults.get(fault, 0) + 1
        asked = None
        if isinstance(error, ApiError):
            asked = retry_after_seconds(error.headers, utc_now=self._clock.utc_now())
        wait = next_step(
            fault,
            times=times,
            sent=call.sent,
            kind=call.request.kind,
            randomness=self._random(),
            asked_seconds=asked,
        )
        if wait is None:
            return None
        now = self._clock.monotonic()
        # the shared pause is waited out at the quota gate, by everybody; here only whether that can be in time
        return wait if now + max(wait, call.lane.quota.wait_seconds(now)) < call.deadline_at else None


class Streamed:
    """An answer whose body is read by the caller, once."""

    def __init__(self, clock: Clock, call: _Call, attempt: _Attempt) -> None:
        self._clock = clock
        self._call = call
        self._attempt = attempt

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._attempt.raw.status

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        """The response headers, case-insensitive."""
        return self._attempt.raw.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives, in pieces of at most 64 KiB.

        Raises:
            ResponseLost, OutcomeUnknown: it broke off, or nothing came for longer than one attempt may take.
            DeadlineExceeded: the call's time was used up.
            UnexpectedResponse: it came compressed although that was not asked for.
        """
        call, attempt = self._call, self._attempt
        while True:
            seconds = call.deadline_at - self._clock.monotonic()
            failure: TransportError
            chunk = None
            try:
                with self._clock.move_on_after(min(ATTEMPT_SECONDS, seconds)):
                    chunk = await attempt.exchange.chunk()
            except TransportError as error:
                failure = error
            else:
                if chunk:
                    yield chunk
                    continue
                if chunk is not None:
                    return
                if seconds <= ATTEMPT_SECONDS:
                    failure = _too_late(call, "the answer did not come whole in time", sent=True)
                else:
                    failure = attempt.exchange.fault(f"nothing came for {ATTEMPT_SECONDS:.0f} s")
            raise call.fail(_lost(call, attempt, failure))


def _lost(call: _Call, attempt: _Attempt, failure: TransportError) -> TransportError:
    """Note that an attempt ended without an answer."""
    attempt.fault = Fault.NO_ANSWER if attempt.exchange.connected else Fault.NOT_SENT
    attempt.outcome = "deadline" if isinstance(failure, DeadlineExceeded) else attempt.exchange.words
    call.maybe_executed = call.maybe_executed or attempt.exchange.connected
    return failure


def _too_late(call: _Call, words: str, *, sent: bool = False) -> DeadlineExceeded:
    return DeadlineExceeded(
        f"{call.request.operation}: {words}, {call.deadline_at - call.started_at:.3g} s for the whole call. "
        "Give it a longer timeout, or fewer calls at once.",
        sent=sent or call.maybe_executed,
    )


def _of_a_write(call: _Call, error: VismaNetError) -> VismaNetError:
    """Say of a write what a lost answer means, then or in an earlier attempt: it may have been executed."""
    if not call.maybe_executed or isinstance(error, OutcomeUnknown | UnexpectedResponse):
        return error
    if isinstance(error, ApiError) and fault_of(error.status) is None:
        return error  # a definite answer; its advice tells of the earlier attempt
    unknown = OutcomeUnknown(
        f"{error} The request may have been executed all the same; look the record up before sending it again."
    )
    unknown.__cause__ = error
    return unknown


def _bare_tag(tag: str | None) -> str | None:
    """Give an ETag without quotes and weakness (docs/facts.md 6.2)."""
    return None if tag is None else tag.strip().removeprefix("W/").strip('"') or None

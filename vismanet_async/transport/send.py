"""The pipeline: what happens to one request, in one visible order.

    deadline -> quota gate -> concurrency gate -> token -> exchange -> classify -> (retry | error | answer)

The waits come before the slot is taken and after it is given back, so that a waiting request keeps nobody else from
going. Every wait and every attempt is written into the attempt log, which results and errors carry.
"""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import anyio
import attrs
from yarl import URL

from vismanet_async.errors import (
    ApiError,
    Attempt,
    DeadlineExceeded,
    NotSent,
    OutcomeUnknown,
    PreconditionFailed,
    RateLimited,
    ResponseLost,
    TransportError,
    UnexpectedResponse,
    VismaNetError,
    api_error_type,
)
from vismanet_async.transport.hosts import check_target
from vismanet_async.transport.message import Request, Response, Service
from vismanet_async.transport.pool import Exchange, SessionPool, read_body
from vismanet_async.transport.problem import KEPT_HEADERS, read_problem
from vismanet_async.transport.quota import Quota, retry_after_seconds
from vismanet_async.transport.retry import Fault, fault_of, next_step

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    import aiohttp
    from multidict import CIMultiDictProxy

    from vismanet_async.clock import Clock
    from vismanet_async.transport.auth import TokenProvider
    from vismanet_async.transport.concurrency import Slots

__all__ = ["ATTEMPT_SECONDS", "Target", "Transport"]

ATTEMPT_SECONDS: Final = 260.0
"""One attempt's limit: a little more than the gateway's own four minutes (docs/facts.md 1.8)."""
_KEPT_BODY_BYTES: Final = 4096
_SUCCESS: Final = range(200, 300)
_CHUNK_BYTES: Final = 64 * 1024
_log = logging.getLogger("vismanet_async.transport")


@attrs.frozen(kw_only=True)
class Target:
    """One service as a company uses it: where it is and whose token it takes."""

    base: URL
    tokens: TokenProvider


@attrs.define
class _Call:
    """One `send` or `stream`: its deadline, its attempts, its faults."""

    request: Request
    started_at: float
    deadline_at: float
    attempts: list[Attempt] = attrs.field(factory=list)
    waited: list[str] = attrs.field(factory=list)
    faults: dict[Fault, int] = attrs.field(factory=dict)
    token: str = attrs.field(default="", repr=False)
    rejected_token: str | None = attrs.field(default=None, repr=False)
    maybe_executed: bool = False
    """An attempt left and got no whole answer."""

    def note(self, *, started_at: float, now: float, outcome: str) -> None:
        self.attempts.append(
            Attempt(
                number=len(self.attempts) + 1,
                started_after_seconds=started_at - self.started_at,
                duration_seconds=now - started_at,
                outcome=outcome,
                waited_for=tuple(self.waited),
            )
        )
        self.waited.clear()
        _log.debug("%s %s", self.request.operation, self.attempts[-1])

    def waited_for(self, what: str, seconds: float) -> None:
        if seconds >= 0.001:  # noqa: PLR2004 - below a millisecond nothing was held back
            self.waited.append(f"{what} {seconds:.3g} s")


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
    ) -> None:
        self.quota = Quota()
        self.slots = slots
        self.requests = 0
        """Attempts that left or tried to leave."""
        self._pool = pool
        self._targets = targets
        self._clock = clock
        self._random = random
        self._deadline_seconds = deadline_seconds
        self._headers = dict(headers or {})

    async def send(self, request: Request, /) -> Response:
        """Send a request and read its answer whole.

        Returns:
            The answer, always with a 2xx status; its body is inflated and held in memory.

        Raises:
            VismaNetError: every way it can fail; the error's type says what may have happened at the server.
        """
        call = self._begin(request)
        while True:
            try:
                async with self._attempt(call) as raw:
                    body = await read_body(raw)
                    error = self._read_error(call, raw, body)
            except TransportError as failure:
                await self._again(call, failure, _transport_fault(failure))
            except VismaNetError as failure:
                raise self._final(call, failure) from None
            else:
                if error is None:
                    return Response(status=raw.status, headers=raw.headers, body=body, attempts=tuple(call.attempts))
                await self._again(call, error, fault_of(error.status))

    @asynccontextmanager
    async def stream(self, request: Request, /) -> AsyncIterator[Streamed]:
        """Send a request and hand over the answer unread, for bodies that should not be held in memory.

        A slot is held until the block is left. Once the answer is handed over nothing is repeated: a break-off
        raises `ResponseLost` from `chunks()`.
        """
        # compressed attachments would have to be inflated as they come; they are compressed already, mostly
        call = self._begin(attrs.evolve(request, headers={**request.headers, "Accept-Encoding": "identity"}))
        handed_over = False
        while True:
            error: ApiError | TransportError
            try:
                async with self._attempt(call) as raw:
                    if raw.status in _SUCCESS:
                        handed_over = True
                        yield Streamed(raw)
                        return
                    found = self._read_error(call, raw, await read_body(raw))
                    if found is None:
                        return
                    error, fault = found, fault_of(found.status)
            except TransportError as failure:
                if handed_over:
                    raise
                error, fault = failure, _transport_fault(failure)
            await self._again(call, error, fault)

    def _begin(self, request: Request) -> _Call:
        now = self._clock.monotonic()
        seconds = self._deadline_seconds if request.deadline_seconds is None else request.deadline_seconds
        return _Call(request, started_at=now, deadline_at=now + seconds)

    @asynccontextmanager
    async def _attempt(self, call: _Call) -> AsyncIterator[aiohttp.ClientResponse]:
        """Make one attempt: through the gates, with a token, to an answer whose body is unread."""
        request = call.request
        target = self._targets[request.service]
        await self._take_slot(call)
        started_at = self._clock.monotonic()
        exchange = Exchange()
        outcome, status, strained = "abandoned", 0, False
        self.quota.in_flight += 1
        try:
            token = await self._token(call, target)
            url = self._url(target, request)
            headers, data = self._envelope(request, token)
            started_at = self._clock.monotonic()
            left = min(ATTEMPT_SECONDS, call.deadline_at - started_at)
            self.requests += 1
            with anyio.move_on_after(max(0.0, left)) as scope:
                async with self._pool.exchange(
                    request.method,
                    url,
                    exchange=exchange,
                    repeatable=request.repeatable,
                    headers=headers,
                    data=data,
                ) as raw:
                    status = raw.status
                    self._observe(call, raw, token)
                    yield raw
                outcome = str(status)
            if scope.cancelled_caught:
                raise self._timed_out(call, exchange, left)
        except TransportError as failure:
            outcome, strained = str(failure), True
            call.maybe_executed = call.maybe_executed or exchange.connected
            raise
        finally:
            fault = fault_of(status)
            strained = strained or fault in {Fault.RATE_LIMITED, Fault.BUSY}
            call.maybe_executed = call.maybe_executed or fault is Fault.BUSY
            now = self._clock.monotonic()
            call.note(started_at=started_at, now=now, outcome=outcome)
            self.quota.in_flight -= 1
            self.slots.finished(now=now, strained=strained)
            self.slots.release()

    def _observe(self, call: _Call, raw: aiohttp.ClientResponse, token: str) -> None:
        self.quota.observe(
            raw.headers,
            status=raw.status,
            now=self._clock.monotonic(),
            utc_now=self._clock.utc_now(),
            randomness=self._random(),
        )
        if raw.status == 401:  # noqa: PLR2004 - statuses are clearest as numbers
            call.rejected_token = token
        call.token = token

    async def _take_slot(self, call: _Call) -> None:
        """Wait for the quota and a slot; a pause that began while waiting for the slot is waited out without it."""
        while True:
            await self._quota_gate(call)
            queued_at = self._clock.monotonic()
            with anyio.move_on_after(max(0.0, call.deadline_at - queued_at)) as scope:
                await self.slots.acquire()
            now = self._clock.monotonic()
            if scope.cancelled_caught:
                raise DeadlineExceeded(f"{call.request.operation}: no free slot in time.", sent=call.maybe_executed)
            call.waited_for("slot", now - queued_at)
            if self.quota.wait_seconds(now) <= 0:
                return
            self.slots.release()

    async def _quota_gate(self, call: _Call) -> None:
        while (wait := self.quota.wait_seconds(self._clock.monotonic())) > 0:
            if self._clock.monotonic() + wait > call.deadline_at:
                error = RateLimited(
                    call.request.operation,
                    status=429,
                    detail=f"the quota is used up for {wait:.0f} s, longer than the time left for this call",
                )
                error.retry_after_seconds = wait
                raise self._final(call, error)
            call.waited_for("quota", wait)
            await self._clock.sleep(wait)

    async def _token(self, call: _Call, target: Target) -> str:
        began = self._clock.monotonic()
        with anyio.move_on_after(max(0.0, call.deadline_at - began)):
            token = await target.tokens.get(rejected=call.rejected_token)
            call.waited_for("token", self._clock.monotonic() - began)
            return token
        raise DeadlineExceeded(f"{call.request.operation}: no token in time.", sent=call.maybe_executed)

    def _url(self, target: Target, request: Request) -> URL:
        url = URL(f"{target.base}{request.path}", encoded=True)
        if request.query:
            url = url.with_query(request.query)
        check_target(url, target.base)
        return url

    def _envelope(self, request: Request, token: str) -> tuple[dict[str, str], object]:
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
            **self._headers,
            **request.headers,
            "Authorization": f"Bearer {token}",
        }
        body = request.body
        if body is None or isinstance(body, bytes):
            if body is not None:
                headers.setdefault("Content-Type", "application/json; charset=utf-8")
            return headers, body
        chunks, described = body.open()
        return {**headers, **described}, chunks

    def _read_error(self, call: _Call, raw: aiohttp.ClientResponse, body: bytes) -> ApiError | None:
        if raw.status in _SUCCESS:
            return None
        request = call.request
        if call.token:
            # some gateways repeat the request in their error page
            body = body.replace(call.token.encode(), b"***")
        problem = read_problem(raw.headers, body)
        advice = None
        if call.maybe_executed and raw.status in {404, 412} and request.method != "GET":
            advice = (
                "An earlier attempt of this same call got no answer and may have been executed, so this may be its "
                "own effect: read the record again before deciding."
            )
        if raw.status < 400:  # noqa: PLR2004 - redirects
            advice = "Redirects are never followed: check the base URL."
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
            error.retry_after_seconds = retry_after_seconds(raw.headers, utc_now=self._clock.utc_now())
        if isinstance(error, PreconditionFailed):
            error.expected = request.headers.get("If-Match", "").strip('"') or None
            error.current = raw.headers.get("ETag", "").removeprefix("W/").strip('"') or None
        return error

    def _timed_out(self, call: _Call, exchange: Exchange, seconds: float) -> TransportError:
        if self._clock.monotonic() < call.deadline_at:
            return exchange.fault(f"no answer within {seconds:.0f} s", repeatable=call.request.repeatable)
        if exchange.connected and not call.request.repeatable:
            return exchange.fault("the deadline passed before an answer came", repeatable=False)
        return DeadlineExceeded(
            f"{call.request.operation}: no answer within the {call.deadline_at - call.started_at:.3g} s of the call.",
            sent=exchange.connected or call.maybe_executed,
        )

    async def _again(self, call: _Call, error: ApiError | TransportError, fault: Fault | None) -> None:
        """Wait for the next attempt, or raise the error that ends the call."""
        wait = None
        if fault is not None:
            times = call.faults[fault] = call.faults.get(fault, 0) + 1
            renewable = fault is not Fault.SIGNED_OUT or self._targets[call.request.service].tokens.renewable
            if renewable:
                wait = next_step(fault, times=times, repeatable=call.request.repeatable, randomness=self._random())
        if wait is not None and fault is Fault.RATE_LIMITED and isinstance(error, RateLimited):
            # the gate does the waiting, for everybody; here it is only asked whether that can be in time
            pause = self.quota.wait_seconds(self._clock.monotonic())
            wait = 0.0 if self._clock.monotonic() + pause <= call.deadline_at else None
        if wait is None or self._clock.monotonic() + wait > call.deadline_at:
            raise self._final(call, _consequence(call.request, error, fault)) from None
        if wait:
            call.waited_for("backoff", wait)
        await self._clock.sleep(wait)

    @staticmethod
    def _final(call: _Call, error: VismaNetError) -> VismaNetError:
        error.attempts = tuple(call.attempts)
        return error


class Streamed:
    """An answer whose body is read by the caller, once."""

    def __init__(self, raw: aiohttp.ClientResponse) -> None:
        self._raw = raw

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._raw.status

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        """The response headers, case-insensitive."""
        return self._raw.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives, in pieces of at most 64 KiB.

        Raises:
            ResponseLost: it broke off.
            UnexpectedResponse: it came compressed although that was not asked for.
        """
        if self._raw.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise UnexpectedResponse("a streamed answer came compressed, which was not asked for.")
        async for chunk in self._raw.content.iter_chunked(_CHUNK_BYTES):
            yield chunk


def _transport_fault(error: TransportError) -> Fault | None:
    if isinstance(error, DeadlineExceeded):
        return None
    return Fault.NOT_SENT if isinstance(error, NotSent) else Fault.NO_ANSWER


def _consequence(request: Request, error: ApiError | TransportError, fault: Fault | None) -> VismaNetError:
    """Say of a write what a gateway's error means: it may have been executed behind it (docs/facts.md 11.8)."""
    is_read = request.method == "GET" and not request.background
    if fault is Fault.BUSY and isinstance(error, ApiError) and not is_read:
        unknown = OutcomeUnknown(
            f"{error} The request may have been executed all the same; look the record up before sending it again."
        )
        unknown.__cause__ = error
        return unknown
    if isinstance(error, ResponseLost) and not is_read:
        unknown = OutcomeUnknown(
            f"{error} It was sent more than once under If-Match; read the record to see its state."
        )
        unknown.__cause__ = error
        return unknown
    return error

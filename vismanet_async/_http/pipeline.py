"""The pipeline: the steps of one request, in order.

    deadline -> quota gate -> concurrency gate -> token -> HTTP attempt -> classify -> (retry | error | response)

All waits happen before the slot is acquired or after it is released, so that a waiting request blocks no other. The
attempt log, which results and errors carry, contains every wait and every attempt.
"""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from multidict import CIMultiDict

from vismanet_async._clock import TimeLimit
from vismanet_async._http.call import ATTEMPT_SECONDS, Call, RunningAttempt, ServiceState
from vismanet_async._http.classify import (
    api_error,
    final_error,
    lost,
    note_unknown,
    timed_out,
    too_late,
    unreadable,
    without_token,
)
from vismanet_async._http.hosts import request_url
from vismanet_async._http.http_attempt import WireRequest
from vismanet_async._http.message import Request, Response, Service
from vismanet_async._http.rate_limit import Quota, retry_after_seconds
from vismanet_async._http.retry import MAX_SENT, Fault, fault_of, next_delay
from vismanet_async._http.streamed import Streamed
from vismanet_async._observer import CallInfo
from vismanet_async.errors import (
    ApiError,
    Attempt,
    DeadlineExceeded,
    TransportError,
    UnexpectedResponse,
    VismaNetError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    import aiohttp
    from yarl import URL

    from vismanet_async._clock import Clock
    from vismanet_async._http.auth.session import Token
    from vismanet_async._http.call import Endpoint
    from vismanet_async._http.limiter import ConcurrencyLimiter
    from vismanet_async._http.pool import SessionPool
    from vismanet_async._observer import Observer

__all__ = ["Transport"]

_ERROR_BODY_SECONDS: Final = 10.0
"""How long to wait for the body of an error; its status is known by then."""
_SUCCESS: Final = range(200, 300)
_ACCEPTED: Final = 202
_OVERLOAD: Final = frozenset({Fault.RATE_LIMITED, Fault.UNAVAILABLE, Fault.NO_RESPONSE})
_log = logging.getLogger("vismanet_async.http")


class Transport:
    """Sends the requests of one company. Any number of tasks may share it; it lives as long as its pool."""

    def __init__(
        self,
        pool: SessionPool,
        *,
        endpoints: Mapping[Service, Endpoint],
        limiter: ConcurrencyLimiter,
        clock: Clock,
        random: Callable[[], float],
        deadline_seconds: float,
        max_attempts: int = MAX_SENT,
        headers: Mapping[str, str] | None = None,
        company: str | None = None,
        observer: Observer | None = None,
        quotas: Mapping[Service, Quota] | None = None,
    ) -> None:
        quotas = quotas or {service: Quota() for service in endpoints}
        self.limiter = limiter
        """The limiter of the ERP service; each other service has its own with the same settings."""
        self.quota = quotas["erp"]
        """The quota of the ERP service; each other service has its own."""
        self.requests = 0
        """Attempts that were sent or that failed to be sent."""
        self._pool = pool
        self._services = {
            service: ServiceState(endpoint, quotas[service], limiter if service == "erp" else limiter.like_this())
            for service, endpoint in endpoints.items()
        }
        self._clock = clock
        self._random = random
        self._deadline_seconds = deadline_seconds
        self._max_attempts = max_attempts
        self._headers = CIMultiDict({"Accept": "application/json", "Accept-Encoding": "gzip, deflate"})
        self._headers.update(headers or {})
        self._company = company
        self._observer = observer

    @property
    def deadline_seconds(self) -> float:
        """For one call in all, if its request has none of its own."""
        return self._deadline_seconds

    def quota_of(self, service: Service) -> Quota:
        """Return the quota of one of the services."""
        return self._services[service].quota

    async def send(self, request: Request, /) -> Response:
        """Send a request and read the whole response.

        Returns:
            The response, always with a 2xx status; its body is decompressed and in memory.

        Raises:
            VismaNetError: every failure; the error's type says what may have happened at the server.
        """
        call = self._begin(request)
        try:
            while True:
                attempt = await self._acquire(call)
                try:
                    error = await self._perform(call, attempt, whole=True)
                finally:
                    self._release(call, attempt)
                if error is None:
                    break
                await self._retry_or_raise(call, attempt, error)
        except BaseException as error:
            call.ended(error)
            note_unknown(call, error)
            raise
        call.ended(None)
        raw = attempt.raw
        headers, body = without_token(attempt, raw)
        return Response(status=raw.status, headers=headers, body=body, attempts=tuple(call.attempts))

    @asynccontextmanager
    async def stream(self, request: Request, /) -> AsyncIterator[Streamed]:
        """Send a request and yield the response unread, for bodies that are too large for memory.

        The slot is released when the block is left. After the response was yielded nothing is retried: a broken
        connection raises from `chunks()`, and an error raised in the block passes through unchanged. The deadline
        counts while `chunks()` waits for the server, and never interrupts the caller's own work.
        """
        call = self._begin(request)
        try:
            while True:
                attempt = await self._acquire(call, encoding="identity")
                try:
                    error = await self._perform(call, attempt, whole=False)
                    if error is None:
                        yield Streamed(self._clock, call, attempt)
                        break
                finally:
                    self._release(call, attempt)
                await self._retry_or_raise(call, attempt, error)
        except BaseException as error:
            call.ended(error)
            raise
        call.ended(None)

    def _begin(self, request: Request) -> Call:
        now = self._clock.monotonic()
        seconds = self._deadline_seconds if request.deadline_seconds is None else request.deadline_seconds
        service = self._services[request.service]
        observer = None
        if self._observer is not None:
            observer = self._observer.call(_call_info(request, service.endpoint.base, company=self._company))
        return Call(request, service, started_at=now, deadline_at=now + seconds, observer=observer)

    async def _acquire(self, call: Call, *, encoding: str | None = None) -> RunningAttempt:
        """Return an attempt that owns a concurrency slot; callers must pass it to `_release`.

        Raises:
            VismaNetError: the call is over; this attempt sent nothing.
        """
        request = call.request
        service = call.service
        url = request_url(service.endpoint.base, request.path, request.query)
        now = self._clock.monotonic()
        service.limiter.cap(service.quota.max_in_flight(now))
        if service.quota.wait_seconds(now) > 0 or not service.limiter.acquire_nowait():
            await service.wait_for_slot(call, self._clock)
        try:
            token = service.endpoint.tokens.cached(rejected=call.rejected)
            if token is None:
                token = await service.wait_for_token(call, self._clock)
            now = self._before_deadline(call)
            http = self._pool.attempt(self._wire_request(call, url, token, encoding))
        except BaseException:
            service.limiter.release()
            raise
        return RunningAttempt(http, token, started_at=now, ends_at=min(now + ATTEMPT_SECONDS, call.deadline_at))

    async def _perform(self, call: Call, attempt: RunningAttempt, *, whole: bool) -> VismaNetError | None:
        """Send the request and return its error; None for a success, with the body read if `whole`."""
        self.requests += 1
        http = attempt.http
        try:
            with TimeLimit(self._clock, attempt.ends_at - attempt.started_at):
                raw = await http.open()
                attempt.outcome, attempt.fault = str(raw.status), fault_of(raw.status)
                self._observe(call, attempt, raw)
                if raw.status not in _SUCCESS:
                    body = await self._error_body(attempt)
                    return api_error(call, attempt, raw, body, now=self._clock.monotonic())
                if whole and _is_queued(call.request, raw):
                    attempt.body = await http.read_error()  # the job is there and has its id, whatever the body is
                elif whole:
                    buffer = call.request.buffer
                    attempt.body = await (http.read() if buffer is None else http.read_into(buffer))
                return None
        except TransportError as failure:
            return lost(call, attempt, failure)
        except UnexpectedResponse as failure:
            return unreadable(call, attempt, failure)
        return lost(call, attempt, timed_out(call, attempt))

    async def _error_body(self, attempt: RunningAttempt) -> bytes:
        with self._clock.move_on_after(_ERROR_BODY_SECONDS):
            return await attempt.http.read_error()
        return b""

    def _release(self, call: Call, attempt: RunningAttempt) -> None:
        """Release the connection and the slot, and add the attempt to the log."""
        now = self._clock.monotonic()
        service = call.service
        attempt.http.__exit__(None, None, None)
        call.sent += attempt.http.connected
        call.maybe_executed = call.maybe_executed or attempt.is_executed
        made = Attempt(
            number=len(call.attempts) + 1,
            started_after_seconds=attempt.started_at - call.started_at,
            duration_seconds=now - attempt.started_at,
            outcome=attempt.outcome,
            waited_for=tuple(call.waits),
        )
        call.attempts.append(made)
        call.waits.clear()
        if call.observer is not None:
            call.observer.attempted(made, fault=None if attempt.fault is None else attempt.fault.value)
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("%s %s", call.request.operation, made, extra=_log_fields(call, made, company=self._company))
        service.limiter.finished(
            started_at=attempt.started_at,
            now=now,
            overloaded=attempt.fault in _OVERLOAD,
            answered_at=attempt.answered_at,
        )
        service.limiter.cap(service.quota.max_in_flight(now))
        service.limiter.release()

    def _before_deadline(self, call: Call) -> float:
        """Return the current time; raise if the deadline has passed, so that no request is sent and cancelled."""
        now = self._clock.monotonic()
        if now >= call.deadline_at:
            raise final_error(call, too_late(call, "the waits took all the time"))
        return now

    def _wire_request(self, call: Call, url: URL, token: Token, encoding: str | None) -> WireRequest:
        request, body = call.request, call.request.body
        headers = signed = call.service.headers(token, self._headers)
        data: Any = body
        if body is not None or request.headers or encoding is not None:
            headers = signed.copy()
            if isinstance(body, bytes):
                headers["Content-Type"] = "application/json; charset=utf-8"
            headers.update(request.headers)
            if body is not None and not isinstance(body, bytes):
                call.body_opened = not body.rewindable
                data, described = body.open()
                headers.update(described)
            if encoding is not None:
                headers["Accept-Encoding"] = encoding
            headers["Authorization"] = signed["Authorization"]
        return WireRequest(
            method=request.method, url=url, headers=headers, data=data, idempotent=request.kind != "write"
        )

    def _observe(self, call: Call, attempt: RunningAttempt, raw: aiohttp.ClientResponse) -> None:
        attempt.answered_at = now = self._clock.monotonic()
        call.service.quota.observe(
            raw.headers,
            status=raw.status,
            now=now,
            utc_now=self._clock.utc_now(),
            randomness=self._random(),
        )
        if attempt.fault is Fault.UNAUTHORIZED:
            call.rejected = attempt.token

    async def _retry_or_raise(self, call: Call, attempt: RunningAttempt, error: VismaNetError) -> None:
        """Wait for the next attempt, or raise the error that ends the call."""
        delay = self._next_delay(call, attempt, error)
        if delay is None:
            raise final_error(call, error)
        call.waited_for("backoff", delay)
        if _log.isEnabledFor(logging.INFO):
            made = call.attempts[-1]
            _log.info(
                "%s %s, going again", call.request.operation, made, extra=_log_fields(call, made, company=self._company)
            )
        await self._clock.sleep(delay)

    def _next_delay(self, call: Call, attempt: RunningAttempt, error: VismaNetError) -> float | None:
        fault = attempt.fault
        if fault is None or isinstance(error, DeadlineExceeded) or call.body_opened:
            return None
        if fault is Fault.UNAUTHORIZED and not call.service.endpoint.tokens.renewable:
            return None
        failures = call.faults[fault] = call.faults.get(fault, 0) + 1
        retry_after = None
        if isinstance(error, ApiError):
            retry_after = retry_after_seconds(error.headers, utc_now=self._clock.utc_now())
        delay = next_delay(
            fault,
            failures=failures,
            attempts_sent=call.sent,
            kind=call.request.kind,
            randomness=self._random(),
            retry_after=retry_after,
            # those whose token was not accepted do not count: it is renewed all the same
            is_last=len(call.attempts) - call.faults.get(Fault.UNAUTHORIZED, 0) >= self._max_attempts,
        )
        if delay is None:
            return None
        now = self._clock.monotonic()
        # the shared pause is waited out at the quota gate; here it only decides whether a retry can be in time
        return delay if now + max(delay, call.service.quota.wait_seconds(now)) < call.deadline_at else None


def _is_queued(request: Request, raw: aiohttp.ClientResponse) -> bool:
    """Return whether an answer's headers alone name the background job that the request became."""
    location = raw.headers.get("Location", "")
    return request.background and raw.status == _ACCEPTED and "/background/" in location.casefold()


def _call_info(request: Request, base: URL, *, company: str | None) -> CallInfo:
    return CallInfo(
        operation=None if request.template is None else request.operation,
        method=request.method,
        template=request.template,
        scheme=base.scheme,
        host=base.host or "",
        port=base.port or 0,
        service=request.service,
        company=company,
        background=request.background,
    )


def _log_fields(call: Call, made: Attempt, *, company: str | None) -> dict[str, Any]:
    return {
        "operation": call.request.operation,
        "company": company,
        "attempt": made.number,
        "outcome": made.outcome,
        "duration_seconds": made.duration_seconds,
        "waited_for": made.waited_for,
    }

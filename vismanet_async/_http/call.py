"""The state of one call: its deadline, its attempts and its faults; and its service, with the waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs
from multidict import CIMultiDict

from vismanet_async._http.classify import final_error, too_late
from vismanet_async.errors import RateLimited, VismaNetError

if TYPE_CHECKING:
    import aiohttp
    from yarl import URL

    from vismanet_async._clock import Clock
    from vismanet_async._http.auth.provider import TokenProvider
    from vismanet_async._http.auth.session import Token
    from vismanet_async._http.http_attempt import HttpAttempt
    from vismanet_async._http.limiter import ConcurrencyLimiter
    from vismanet_async._http.message import Request
    from vismanet_async._http.rate_limit import Quota
    from vismanet_async._http.retry import Fault
    from vismanet_async._observer import CallObserver
    from vismanet_async.errors import Attempt

__all__ = ["ABANDONED", "ATTEMPT_SECONDS", "Call", "Endpoint", "RunningAttempt", "ServiceState"]

ABANDONED: Final = "abandoned"
"""The outcome of an attempt that has none yet, or was cancelled."""
ATTEMPT_SECONDS: Final = 260.0
"""The time limit of one attempt: slightly more than the gateway's own four minutes (docs/facts.md 1.8)."""


@attrs.frozen(kw_only=True)
class Endpoint:
    """The base URL of one service and the provider of its tokens."""

    base: URL
    tokens: TokenProvider


@attrs.define
class ServiceState:
    """One service as a company uses it: each has its own endpoint, quota and limiter, and calls wait here for them."""

    endpoint: Endpoint
    quota: Quota
    limiter: ConcurrencyLimiter
    _headers: CIMultiDict[str] = attrs.field(factory=CIMultiDict, repr=False)
    _headers_of: Token | None = None

    def headers(self, token: Token, common: CIMultiDict[str]) -> CIMultiDict[str]:
        """Return the headers of a request with a token; one mapping for all of them, not to be changed."""
        if self._headers_of is not token:
            self._headers, self._headers_of = common.copy(), token
            self._headers["Authorization"] = f"Bearer {token.text}"
        return self._headers

    async def wait_for_slot(self, call: Call, clock: Clock) -> None:
        """Wait for the quota and a slot; a pause that began meanwhile is waited out without holding the slot."""
        while True:
            await self._wait_for_quota(call, clock)
            queued_at = clock.monotonic()
            self.limiter.cap(self.quota.max_in_flight(queued_at))
            if self.limiter.acquire_nowait():
                return
            in_time = await self.limiter.acquire(clock=clock, seconds=call.deadline_at - queued_at)
            now = clock.monotonic()
            if not in_time:
                raise final_error(call, too_late(call, "no free slot in time"))
            call.waited_for("slot", now - queued_at)
            if self.quota.wait_seconds(now) <= 0:
                return
            self.limiter.release()

    async def _wait_for_quota(self, call: Call, clock: Clock) -> None:
        while (wait := self.quota.wait_seconds(clock.monotonic())) > 0:
            if clock.monotonic() + wait >= call.deadline_at:
                error = RateLimited(
                    call.request.operation,
                    status=429,
                    detail=f"the quota is used up for {wait:.0f} s, longer than the time left for this call",
                )
                error.retry_after_seconds = wait
                raise final_error(call, error)
            call.waited_for("quota", wait)
            await clock.sleep(wait)

    async def wait_for_token(self, call: Call, clock: Clock) -> Token:
        """Wait for a token and return it."""
        began = clock.monotonic()
        failure: VismaNetError
        try:
            with clock.move_on_after(call.deadline_at - began):
                token = await self.endpoint.tokens.get(rejected=call.rejected)
                call.waited_for("token", clock.monotonic() - began)
                return token
        except VismaNetError as error:
            failure = error
        else:
            failure = too_late(call, "no token in time")
        raise final_error(call, failure)


@attrs.define
class Call:
    """One `send` or `stream` of the transport."""

    request: Request
    service: ServiceState
    started_at: float
    deadline_at: float
    observer: CallObserver | None = None
    attempts: list[Attempt] = attrs.field(factory=list)
    waits: list[str] = attrs.field(factory=list)
    """What the next attempt waited for, each with its seconds."""
    faults: dict[Fault, int] = attrs.field(factory=dict)
    rejected: Token | None = None
    """The token that was answered with 401."""
    sent: int = 0
    """Attempts that may have reached the server."""
    maybe_executed: bool = False
    """An attempt was sent and got no complete response."""
    body_opened: bool = False
    """The body was opened and cannot be opened again."""

    def waited_for(self, what: str, seconds: float) -> None:
        """Add a wait to the log of the next attempt."""
        if seconds >= 0.001:  # noqa: PLR2004 - less than a millisecond is no delay
            self.waits.append(f"{what} {seconds:.3g} s")

    def ended(self, error: BaseException | None) -> None:
        """Notify the observer that the call is over."""
        if self.observer is not None:
            self.observer.ended(error)


@attrs.define
class RunningAttempt:
    """One attempt of a call. It occupies a slot of the limiter until it is released."""

    http: HttpAttempt
    token: Token
    started_at: float
    ends_at: float
    answered_at: float | None = None
    """When the status and the headers were there; the body may take longer."""
    outcome: str = ABANDONED
    fault: Fault | None = None
    body: bytes | bytearray = attrs.field(default=b"", repr=False)

    @property
    def is_executed(self) -> bool:
        """Whether the server has executed it, or may have: it succeeded, or was cancelled before anything came back."""
        return self.http.connected and (self.outcome == ABANDONED or self.outcome.startswith("2"))

    @property
    def raw(self) -> aiohttp.ClientResponse:
        """The response; call this after a success only."""
        raw = self.http.raw
        assert raw is not None
        return raw

"""`TokenProvider`: renews tokens; any number of concurrent callers cause one request to the token endpoint.

A token belongs to one company (docs/facts.md 2). One caller renews it early while the others use the old one; when it
is about to end, all callers wait.
"""

from __future__ import annotations

import asyncio
import copy
import math
from typing import TYPE_CHECKING, Final, NoReturn, Protocol

import anyio
import anyio.lowlevel

from vismanet_async._http.auth.grant import read_token_response
from vismanet_async._http.auth.session import HARD_SECONDS, Decision, Token
from vismanet_async._http.retry import Fault, backoff_seconds, fault_of
from vismanet_async._tasks import run_to_completion
from vismanet_async.errors import NotSent, ResponseLost, TokenRefused, TransportError, UnexpectedResponse, VismaNetError

if TYPE_CHECKING:
    from collections.abc import Callable

    from yarl import URL

    from vismanet_async._clock import Clock
    from vismanet_async._http.auth.credentials import Credentials
    from vismanet_async._http.auth.grant import RawTokenResponse, TokenRequest, TokenResponse
    from vismanet_async._http.message import Service

__all__ = ["Poster", "TokenProvider"]

_ATTEMPTS: Final = 3
_LONGEST_PAUSE_SECONDS: Final = 10.0
"""A longer pause after a 429 is not waited out: until its end every call that needs a token fails at once, unsent."""
_RESPONSE_SECONDS: Final = 30.0
"""How long the identity service may take for one response."""


class Poster(Protocol):
    """Posts a request to the token endpoint; the only IO that tokens need."""

    async def __call__(self, url: URL, request: TokenRequest, /) -> RawTokenResponse:
        """Return the response. Raises `NotSent` or another `TransportError`."""
        ...


class TokenProvider:
    """Provides the current token of one company and service to any number of tasks."""

    def __init__(
        self,
        credentials: Credentials,
        *,
        service: Service,
        url: URL,
        post: Poster,
        clock: Clock,
        random: Callable[[], float],
    ) -> None:
        self._credentials = credentials
        self._service: Service = service
        self._url = url
        self._post = post
        self._clock = clock
        self._random = random
        self._static = credentials.static_token()
        self._session = credentials.session()
        self._loop: asyncio.AbstractEventLoop | None = None

    def __reduce__(self) -> NoReturn:
        """Raise `TypeError`: what a client makes leads here, and a pickle of it would hold the secret as plain text."""
        raise TypeError(
            "a client, and the calls, lists and jobs that it made, cannot be pickled or copied deeply: they hold its "
            "secret and its connections. Pickle what they are made of, and make a client in the process that unpickles "
            "it."
        )

    @property
    def renewable(self) -> bool:
        """Whether a rejected token can be replaced by a new one."""
        return self._static is None

    @property
    def storing(self) -> asyncio.Task[None] | None:
        """What stores a token that was just got; None if that is over."""
        return self._session.storing if self._session.loop is self._loop else None

    def cached(self, *, rejected: Token | None = None) -> Token | None:
        """Return the token if it can be used without waiting, or None if `get` must be awaited."""
        if self._static is not None:
            return self._static
        if self._session.loop is not self._loop or self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._session.belong_to(self._loop)
        state = self._session.state
        return state.token if state.decide(self._clock.monotonic(), rejected=rejected) is Decision.USE else None

    async def get(self, *, rejected: Token | None = None) -> Token:
        """Return a token that is valid for a request sent now.

        Args:
            rejected: the token that was just answered with 401; one renewal serves all callers that report it.

        Raises:
            TokenRefused: the identity service refused, or its response is not a token; nothing else was sent.
            NotSent: it could not be reached, or its response was lost; nothing else was sent.
        """
        if self._static is not None:
            return self._static
        state = self._session.state
        decision = state.decide(self._clock.monotonic(), rejected=rejected)
        if decision is Decision.RENEW_EARLY:
            await self._renew_early()
        elif decision is Decision.WAIT:
            await self._renew_for_all(rejected)
        assert state.token is not None  # without one, the renewal has raised
        return state.token

    async def _renew_early(self) -> None:
        session = self._session
        try:
            session.lock.acquire_nowait()
        except anyio.WouldBlock:
            return  # another caller renews it
        try:
            if session.storing is not None:
                return  # `on_token` takes its time: the old token is still valid
            await self._renew(attempts=1)
        except VismaNetError:
            # the old token is still valid
            session.state.retry_early_at = self._clock.monotonic() + HARD_SECONDS
        finally:
            session.lock.release()

    async def _renew_for_all(self, rejected: Token | None) -> None:
        session = self._session
        renewals = session.renewals
        async with session.lock:
            if session.state.decide(self._clock.monotonic(), rejected=rejected) is not Decision.WAIT:
                return  # another caller renewed it meanwhile
            if session.failure is not None and session.renewals != renewals:
                # it failed for all callers that waited; one request for each of them would be a stampede
                raise copy.copy(session.failure)
            try:
                await self._renew(attempts=_ATTEMPTS)
            except VismaNetError as failure:
                session.failure, session.renewals = copy.copy(failure), session.renewals + 1
                raise
            session.failure, session.renewals = None, session.renewals + 1

    async def _renew(self, *, attempts: int) -> None:
        storing = self._session.storing
        if storing is not None and not storing.cancelled():  # who sent the request has given up
            await self._wait_until_stored(storing)
            return
        quota = self._session.quota
        await self._wait_out_pause(longest_seconds=_LONGEST_PAUSE_SECONDS if attempts > 1 else 0.0)
        request = self._credentials.token_request(self._service)
        # the request may use the refresh token up, so its response is taken in even when the caller is cancelled
        attempt = self._attempt if request.idempotent else run_to_completion(self._attempt)
        for number in range(1, attempts + 1):
            storing = await attempt(request, last=number == attempts)
            if storing is not None:
                await self._wait_until_stored(storing)
                return
            pause = quota.wait_seconds(self._clock.monotonic())
            await self._clock.sleep(max(pause, backoff_seconds(number, randomness=self._random())))

    async def _attempt(self, request: TokenRequest, *, last: bool) -> asyncio.Task[None] | None:
        """Send a request once; return what stores the token that its response brought, or None to send it again."""
        quota = self._session.quota
        sent_at = self._clock.monotonic()
        try:
            raw = await self._send(request)
        except UnexpectedResponse as error:  # too large, or in an encoding that is not known
            raise TokenRefused(f"{self._url.host} gave no token: {error} Nothing else was sent.") from error
        except TransportError as error:
            if last or not (request.idempotent or isinstance(error, NotSent)):
                raise _unreachable(self._url, error, request) from error
            return None
        now = self._clock.monotonic()
        if "Retry-After" in raw.headers:
            quota.observe(
                raw.headers,
                status=raw.status,
                now=now,
                utc_now=self._clock.utc_now(),
                randomness=self._random(),
            )
        last = last or quota.wait_seconds(now) > _LONGEST_PAUSE_SECONDS
        retryable = fault_of(raw.status) in {Fault.UNAVAILABLE, Fault.SERVER_ERROR, Fault.RATE_LIMITED}
        if not last and request.idempotent and retryable:
            return None
        pause = quota.wait_seconds(self._clock.monotonic())
        response = read_token_response(raw, host=self._url.host or "", retry_after_seconds=pause or None)
        # a task of its own: `on_token` may hang, and a call that does not wait for that must not cut it off
        storing = self._session.storing = asyncio.create_task(self._store(response, sent_at), name="store token")
        await anyio.lowlevel.checkpoint()  # the new refresh token is in memory from here on
        return storing

    async def _wait_until_stored(self, storing: asyncio.Task[None]) -> None:
        await asyncio.wait([storing])  # whoever gives up here leaves it to those who come later
        self._session.storing = None
        storing.result()

    async def _wait_out_pause(self, *, longest_seconds: float) -> None:
        pause = self._session.quota.wait_seconds(self._clock.monotonic())
        if pause > longest_seconds:
            raise TokenRefused(
                f"{self._url.host} gave no token (429) and is not asked again before {math.ceil(pause)} s have passed. "
                "Nothing else was sent.",
                status=429,
                retry_after_seconds=pause,
            )
        if pause:
            await self._clock.sleep(pause)

    async def _send(self, request: TokenRequest) -> RawTokenResponse:
        with self._clock.move_on_after(_RESPONSE_SECONDS):
            return await self._post(self._url, request)
        raise ResponseLost(f"no answer within {_RESPONSE_SECONDS:.0f} s")

    async def _store(self, response: TokenResponse, sent_at: float) -> None:
        await self._credentials.on_token(response)
        self._session.storing = None
        state = self._session.state
        state.token = Token(response.access_token, sent_at, sent_at + response.lifetime_seconds)
        state.retry_early_at = -math.inf


def _unreachable(url: URL, error: TransportError, request: TokenRequest) -> NotSent:
    hint = "" if request.idempotent else " If the refresh token is refused from now on, let the user sign in again."
    why = str(error).removesuffix(" The request was not sent.")  # that of the token; ours is the one that counts
    return NotSent(f"no token from {url.host}: {why} The request itself was not sent.{hint}")

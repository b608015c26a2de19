"""Tokens: where they come from, when they are renewed, and that many callers cause one request.

A token belongs to one company (docs/facts.md 2). It is renewed early by one caller while the others go on with the
old one; when it is about to end, all wait. `TokenState` is pure.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import anyio
import attrs
import msgspec

from vismanet_async.errors import NotSent, SettingsError, TokenRefused, TransportError, UnexpectedResponse
from vismanet_async.transport.retry import Fault, backoff_seconds, fault_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from yarl import URL

    from vismanet_async.clock import Clock
    from vismanet_async.transport.message import Service

__all__ = [
    "AuthorizationCode",
    "ClientCredentials",
    "Credentials",
    "StaticToken",
    "Token",
    "TokenProvider",
    "TokenState",
]

ERP_SCOPES: Final = tuple(f"vismanet_erp_service_api:{verb}" for verb in ("create", "delete", "read", "update"))
SALES_ORDER_SCOPES: Final = ("visma.net.erp.salesorder:read", "visma.net.erp.salesorder:write")

_EARLY_SECONDS: Final = 300.0
_HARD_SECONDS: Final = 30.0
_EARLY_SHARE: Final = 0.25  # of lifetimes too short for the windows above
_HARD_SHARE: Final = 0.05
_TRIES: Final = 3
_DEFAULT_LIFETIME_SECONDS: Final = 3600.0
_FORBIDDEN_IN_TOKEN: Final = frozenset(" \t\r\n\0")

_ADVICE: Final[Mapping[str, str]] = {
    "invalid_client": "Check client id and client secret.",
    "invalid_scope": "The integration lacks a scope that was asked for: add it in the Developer Portal.",
    "invalid_tenant": "Check the tenant id, and that the integration is connected to it with the role API User.",
    "invalid_grant": "The code or refresh token is used up or revoked: let the user sign in again.",
    "unauthorized_client": "The application may not use this grant: check its type in the Developer Portal.",
}


@attrs.frozen
class Token:
    """An access token and the monotonic second at which it ends. Its text never shows in a repr."""

    text: str = attrs.field(repr=False)
    issued_at: float
    ends_at: float


@attrs.frozen(kw_only=True)
class TokenForm:
    """What to post to the token endpoint."""

    fields: Mapping[str, str] = attrs.field(repr=False)
    repeatable: bool
    """Whether a lost answer may be asked for again (a rotating refresh token may be used up by then)."""


class Credentials(Protocol):
    """How tokens are got."""

    @property
    def identity(self) -> str:
        """A name for the company that the tokens are for; no secret."""
        ...

    def ready_token(self) -> str | None:
        """A token that needs no request, or None."""
        ...

    def form(self, service: Service) -> TokenForm:
        """What to post to get the next token."""
        ...

    async def received(self, answer: Mapping[str, Any]) -> None:
        """Take in what the token endpoint answered."""
        ...


def _secret(value: str) -> str:
    if not value.strip():
        raise SettingsError("a client id, secret, tenant id or token is empty. Nothing was sent.")
    if _FORBIDDEN_IN_TOKEN & set(value.strip()):
        raise SettingsError("a client id, secret, tenant id or token holds white space. Nothing was sent.")
    return value.strip()


@attrs.frozen
class ClientCredentials:
    """A service application's sign-in: no user, one company.

    Args:
        client_id: from the Developer Portal.
        client_secret: from the Developer Portal; never shown.
        tenant_id: the Company tenant id. (The Customer tenant id gets tokens too, which then fail with 401.)
        scopes: for the ERP service; empty asks for all that are granted.
        sales_order_scopes: for the Sales Order service, which has a token of its own.
    """

    client_id: str = attrs.field(converter=_secret)
    client_secret: str = attrs.field(converter=_secret, repr=False)
    tenant_id: str = attrs.field(converter=_secret, kw_only=True)
    scopes: Sequence[str] = attrs.field(default=ERP_SCOPES, converter=tuple, kw_only=True)
    sales_order_scopes: Sequence[str] = attrs.field(default=SALES_ORDER_SCOPES, converter=tuple, kw_only=True)

    @property
    def identity(self) -> str:
        """The tenant id."""
        return self.tenant_id

    def for_company(self, tenant_id: str) -> ClientCredentials:
        """Give the same sign-in for another company."""
        return attrs.evolve(self, tenant_id=tenant_id)

    def ready_token(self) -> str | None:
        """None: every token is asked for."""
        return None

    def form(self, service: Service) -> TokenForm:
        """Give the client-credentials form."""
        scopes = self.scopes if service == "erp" else self.sales_order_scopes
        fields = {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "tenant_id": self.tenant_id,
        }
        if scopes:
            fields["scope"] = " ".join(scopes)
        return TokenForm(fields=fields, repeatable=True)

    async def received(self, answer: Mapping[str, Any]) -> None:
        """Nothing to keep: client credentials come without a refresh token."""


@attrs.frozen
class StaticToken:
    """A ready bearer token, used as it is and never renewed."""

    token: str = attrs.field(converter=_secret, repr=False)
    identity: str = attrs.field(default="static token", kw_only=True)

    def ready_token(self) -> str | None:
        """The token itself."""
        return self.token

    def form(self, service: Service) -> TokenForm:
        """Refuse: there is nothing to ask with."""
        raise TokenRefused(
            f"the given token is no longer accepted by the {service} service and cannot be renewed: give a fresh one, "
            "or client credentials.",
            error="invalid_token",
        )

    async def received(self, answer: Mapping[str, Any]) -> None:
        """Nothing is ever asked for."""


@attrs.define
class AuthorizationCode:
    """A user's sign-in: an authorization code once, then refresh tokens.

    The user chooses the company while signing in. Refresh tokens rotate: keep the newest through `on_refresh_token`.

    Args:
        client_id: from the Developer Portal.
        client_secret: for server-side applications; never shown.
        redirect_uri: the one that the code was issued for.
        code: the authorization code, if this is the first time.
        code_verifier: the PKCE verifier that belongs to the code.
        refresh_token: a kept refresh token, instead of a code.
        on_refresh_token: called with each new refresh token before it is used; keep it somewhere safe.
    """

    client_id: str = attrs.field(converter=_secret)
    client_secret: str | None = attrs.field(default=None, repr=False)
    redirect_uri: str | None = attrs.field(default=None, kw_only=True)
    code: str | None = attrs.field(default=None, repr=False, kw_only=True)
    code_verifier: str | None = attrs.field(default=None, repr=False, kw_only=True)
    refresh_token: str | None = attrs.field(default=None, repr=False, kw_only=True)
    on_refresh_token: Callable[[str], Awaitable[None]] | None = attrs.field(default=None, repr=False, kw_only=True)
    identity: str = attrs.field(default="user", kw_only=True)

    def __attrs_post_init__(self) -> None:
        if not self.refresh_token and not (self.code and self.redirect_uri):
            raise SettingsError("AuthorizationCode needs a refresh_token, or a code with its redirect_uri.")

    def ready_token(self) -> str | None:
        """None: every token is asked for."""
        return None

    def form(self, service: Service) -> TokenForm:  # noqa: ARG002 - one user token serves both
        """Give the refresh form, or the code form the first time."""
        fields = {"client_id": self.client_id}
        if self.client_secret:
            fields["client_secret"] = self.client_secret
        if self.refresh_token:
            fields |= {"grant_type": "refresh_token", "refresh_token": self.refresh_token}
        else:
            fields |= {
                "grant_type": "authorization_code",
                "code": self.code or "",
                "redirect_uri": self.redirect_uri or "",
            }
            if self.code_verifier:
                fields["code_verifier"] = self.code_verifier
        return TokenForm(fields=fields, repeatable=False)

    async def received(self, answer: Mapping[str, Any]) -> None:
        """Keep the rotated refresh token."""
        fresh = answer.get("refresh_token")
        if isinstance(fresh, str) and fresh:
            self.refresh_token = fresh
            if self.on_refresh_token is not None:
                await self.on_refresh_token(fresh)
        self.code = None


Need = Literal["use", "renew early", "wait"]


@attrs.define
class TokenState:
    """When a token is used, renewed early, or waited for. Pure."""

    token: Token | None = None
    retry_early_at: float = -math.inf
    """After an early renewal failed, when to try the next one."""

    def need(self, now: float, *, rejected: str | None) -> Need:
        """Decide for one caller.

        Args:
            now: monotonic seconds.
            rejected: the token text that the API has just answered 401 to, if any.
        """
        token = self.token
        if token is None or token.text == rejected:
            return "wait"
        lifetime = token.ends_at - token.issued_at
        left = token.ends_at - now
        if left <= min(_HARD_SECONDS, lifetime * _HARD_SHARE):
            return "wait"
        if left <= min(_EARLY_SECONDS, lifetime * _EARLY_SHARE) and now >= self.retry_early_at:
            return "renew early"
        return "use"


class Poster(Protocol):
    """Posts a form to the token endpoint; the only IO that tokens need."""

    async def __call__(self, url: URL, fields: Mapping[str, str]) -> tuple[int, bytes]:
        """Give status and body. Raises `NotSent` or another `TransportError`."""
        ...


class TokenProvider:
    """Gives the current token of one company and service; any number of tasks may ask at once."""

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
        self._state = TokenState()
        self._lock = anyio.Lock()

    @property
    def renewable(self) -> bool:
        """Whether a rejected token can be replaced by asking again."""
        return self._credentials.ready_token() is None

    async def get(self, *, rejected: str | None = None) -> str:
        """Give a token that is good for the next moments.

        Args:
            rejected: the token that was just answered with 401; a fresh one is got once for all who report it.

        Raises:
            TokenRefused: the identity service said no; nothing else was sent.
            TransportError: it could not be reached.
        """
        ready = self._credentials.ready_token()
        if ready is not None and rejected is None:
            return ready
        need = self._state.need(self._clock.monotonic(), rejected=rejected)
        if need == "renew early":
            await self._renew_early()
        elif need == "wait":
            async with self._lock:
                # somebody else may have renewed it while this caller waited
                if self._state.need(self._clock.monotonic(), rejected=rejected) == "wait":
                    await self._renew()
        if self._state.token is None:
            raise TokenRefused("no token was received.")
        return self._state.token.text

    async def _renew_early(self) -> None:
        try:
            self._lock.acquire_nowait()
        except anyio.WouldBlock:
            return  # one renews, the others carry on
        try:
            if self._state.need(self._clock.monotonic(), rejected=None) == "renew early":
                await self._renew(tries=1)
        except TransportError:
            # the old token still serves; the next try comes soon enough
            self._state.retry_early_at = self._clock.monotonic() + _HARD_SECONDS
        finally:
            self._lock.release()

    async def _renew(self, *, tries: int = _TRIES) -> None:
        form = self._credentials.form(self._service)
        for number in range(1, tries + 1):
            asked_at = self._clock.monotonic()
            last = number == tries
            try:
                status, body = await self._post(self._url, form.fields)
            except NotSent:
                if last:
                    raise
            except TransportError:
                if last or not form.repeatable:
                    raise
            else:
                fault = fault_of(status)
                if last or not form.repeatable or fault not in {Fault.BUSY, Fault.BROKEN, Fault.RATE_LIMITED}:
                    await self._take(status, body, asked_at)
                    return
            await self._clock.sleep(backoff_seconds(number, randomness=self._random()))

    async def _take(self, status: int, body: bytes, asked_at: float) -> None:
        try:
            answer = msgspec.json.decode(body) if body else None
        except msgspec.DecodeError:
            answer = None
        if not isinstance(answer, dict):
            if fault_of(status) is None and status < 400:  # noqa: PLR2004 - success statuses
                raise UnexpectedResponse(
                    f"{self._url.host} answered the token request with {status} but not with JSON: check the token URL."
                )
            answer = {}
        text = answer.get("access_token")
        if status >= 400 or not isinstance(text, str) or not text:  # noqa: PLR2004
            raise _refusal(status, answer, host=self._url.host or "")
        if _FORBIDDEN_IN_TOKEN & set(text):
            raise UnexpectedResponse(f"{self._url.host} answered with a token that holds white space.")
        lifetime = _lifetime(answer.get("expires_in"))
        await self._credentials.received(answer)
        self._state.token = Token(text, asked_at, asked_at + lifetime)
        self._state.retry_early_at = -math.inf


def _lifetime(value: Any) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return _DEFAULT_LIFETIME_SECONDS
    return seconds if seconds > 0 else _DEFAULT_LIFETIME_SECONDS


def _refusal(status: int, answer: Mapping[str, Any], *, host: str) -> TokenRefused:
    code = answer.get("error")
    code = code if isinstance(code, str) and code.isprintable() else ""
    advice = _ADVICE.get(code, "Check the credentials and the token URL.")
    return TokenRefused(
        f"{host} gave no token ({status}{f' {code[:60]}' if code else ''}). {advice}",
        error=code,
        status=status,
    )

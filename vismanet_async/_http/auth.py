"""Tokens: where they come from, when they are renewed, and that many callers cause one request.

A token belongs to one company (docs/facts.md 2). It is renewed early by one caller while the others go on with the
old one; when it is about to end, all wait. `TokenState` is pure.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, cast

import anyio
import attrs
import msgspec

from vismanet_async._arguments import expect
from vismanet_async._decimals import number_in
from vismanet_async._http.message import UTF8_BOM
from vismanet_async._http.retry import Fault, backoff_seconds, fault_of
from vismanet_async.errors import (
    NotSent,
    ResponseLost,
    SettingsError,
    TokenRefused,
    TransportError,
    UnexpectedResponse,
    VismaNetError,
)

if TYPE_CHECKING:
    from yarl import URL

    from vismanet_async._clock import Clock
    from vismanet_async._http.message import Service

__all__ = [
    "AuthorizationCode",
    "ClientCredentials",
    "Credentials",
    "Grant",
    "StaticToken",
    "Token",
    "TokenAnswer",
    "TokenForm",
    "TokenProvider",
    "TokenSession",
    "TokenState",
    "read_grant",
]

ERP_SCOPES: Final = tuple(f"vismanet_erp_service_api:{verb}" for verb in ("create", "delete", "read", "update"))
SALES_ORDER_SCOPES: Final = ("visma.net.erp.salesorder:read", "visma.net.erp.salesorder:write")

_EARLY_SECONDS: Final = 300.0
_HARD_SECONDS: Final = 30.0
_EARLY_SHARE: Final = 0.25  # of lifetimes too short for the windows above
_HARD_SHARE: Final = 0.05
_TRIES: Final = 3
_DEFAULT_LIFETIME_SECONDS: Final = 3600.0
_ANSWER_SECONDS: Final = 30.0
"""How long the identity service may take for one answer."""
_VISIBLE: Final = re.compile(r"[!-~]+")
"""What a credential or token is made of; anything else could break a header."""
_OAUTH_CODE: Final = re.compile(r"[a-z_]{1,40}")

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


@attrs.frozen
class TokenAnswer:
    """What the token endpoint answered."""

    status: int
    body: bytes = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class Grant:
    """A token answer, read. Its secrets never show in a repr."""

    access_token: str = attrs.field(default="", repr=False)
    refresh_token: str = attrs.field(default="", repr=False)
    lifetime_seconds: float = _DEFAULT_LIFETIME_SECONDS
    scope: str = ""
    """What was granted, parted by blanks; empty where the answer does not say."""
    error: str = ""
    """The OAuth error code, if it is one."""


class Credentials(Protocol):
    """How tokens are got."""

    @property
    def identity(self) -> str:
        """A name for the company that the tokens are for; no secret."""
        ...

    def ready_token(self) -> Token | None:
        """A token that needs no request, or None."""
        ...

    def session(self) -> TokenSession:
        """Where the current token is kept: a new one, or the same one where one token serves every service."""
        ...

    def form(self, service: Service) -> TokenForm:
        """What to post to get the next token."""
        ...

    async def received(self, grant: Grant) -> None:
        """Take in what the token endpoint granted."""
        ...


def _stripped(value: str) -> str:
    return value.strip() if isinstance(value, str) else value  # type: ignore[redundant-expr]  # refused by `_secret`


def _stripped_if_given(value: str | None) -> str | None:
    return None if value is None else _stripped(value)


def _secret(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    name = attribute.name
    if value is None and attribute.default is None:
        return
    if value is None or value == "":  # as from os.environ.get(...), whatever the annotation says
        raise SettingsError(f"{name} is empty. Nothing was sent.")
    expect(name, value, str, error=SettingsError)
    if not _VISIBLE.fullmatch(str(value)):
        raise SettingsError(
            f"{name} holds white space or letters outside ASCII: was it copied whole? Nothing was sent."
        )


def _text_or_none(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None or attribute.default is not None:
        expect(attribute.name, value, str, error=SettingsError)


def _as_tuple(scopes: Sequence[str]) -> Sequence[str]:
    return tuple(scopes) if isinstance(scopes, Iterable) and not isinstance(scopes, str) else scopes  # type: ignore[redundant-expr]  # refused by `_scopes`


def _scopes(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    expect(attribute.name, value, tuple, words="a list of scopes", error=SettingsError)
    for scope in cast("tuple[object, ...]", value):
        expect(attribute.name, scope, str, words="a list of scopes as texts", error=SettingsError)


@attrs.frozen
class ClientCredentials:
    """A service application's sign-in: no user, one company.

    Args:
        client_id: from the Developer Portal.
        client_secret: from the Developer Portal; never shown.
        tenant_id: the Company tenant id. (The Customer tenant id gets tokens too, which then fail with 401.)
        scopes: for the ERP service; empty asks for all that are granted.
        sales_order_scopes: for the Sales Order service, which has a token of its own.

    Examples:
        >>> ClientCredentials("isv_app", "secret", tenant_id="company", scopes=["vismanet_erp_service_api:read"])
        ClientCredentials(client_id='isv_app', tenant_id='company', scopes=('vismanet_erp_service_api:read',), ...)
    """

    client_id: str = attrs.field(converter=_stripped, validator=_secret)
    client_secret: str = attrs.field(converter=_stripped, validator=_secret, repr=False)
    tenant_id: str = attrs.field(converter=_stripped, validator=_secret, kw_only=True)
    scopes: Sequence[str] = attrs.field(default=ERP_SCOPES, converter=_as_tuple, validator=_scopes, kw_only=True)
    sales_order_scopes: Sequence[str] = attrs.field(
        default=SALES_ORDER_SCOPES, converter=_as_tuple, validator=_scopes, kw_only=True
    )

    @property
    def identity(self) -> str:
        """The tenant id."""
        return self.tenant_id

    def for_company(self, tenant_id: str) -> ClientCredentials:
        """Give the same sign-in for another company."""
        return attrs.evolve(self, tenant_id=tenant_id)

    def ready_token(self) -> Token | None:
        """None: every token is asked for."""
        return None

    def session(self) -> TokenSession:
        """A new one: each service has a token of its own."""
        return TokenSession()

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

    async def received(self, grant: Grant) -> None:
        """Nothing to keep: client credentials come without a refresh token."""


@attrs.frozen
class StaticToken:
    """A ready bearer token, used as it is and never renewed.

    Args:
        token: the bearer token, without `Bearer`; never shown.
        tenant_id: the company that the token is for, if known; background jobs are kept under it.

    Examples:
        >>> StaticToken("token", tenant_id="company")
        StaticToken(tenant_id='company')
    """

    token: str = attrs.field(converter=_stripped, validator=_secret, repr=False)
    tenant_id: str | None = attrs.field(default=None, validator=_text_or_none, kw_only=True)

    @property
    def identity(self) -> str:
        """The tenant id, if known."""
        return self.tenant_id or "static token"

    def ready_token(self) -> Token | None:
        """The token itself; when it ends is not known."""
        return Token(self.token, -math.inf, math.inf)

    def session(self) -> TokenSession:
        """A new one, that stays unused."""
        return TokenSession()

    def form(self, service: Service) -> TokenForm:
        """Refuse: there is nothing to ask with."""
        raise TokenRefused(
            f"the given token cannot be renewed for the {service} service: give a fresh one, or client credentials.",
            error="invalid_token",
        )

    async def received(self, grant: Grant) -> None:
        """Nothing is ever asked for."""


@attrs.define(eq=False)
class AuthorizationCode:
    """A user's sign-in: an authorization code once, then refresh tokens.

    The user chooses the company while signing in. Refresh tokens rotate: keep the newest through `on_refresh_token`.
    One token serves both services, so one renewal serves every client that this object is given to; two objects
    with the same refresh token would use it up for each other.

    Args:
        client_id: from the Developer Portal.
        client_secret: for server-side applications; never shown.
        redirect_uri: the one that the code was issued for.
        code: the authorization code, if this is the first time.
        code_verifier: the PKCE verifier that belongs to the code.
        refresh_token: a kept refresh token, instead of a code.
        on_refresh_token: called with each new refresh token before it is used; keep it somewhere safe. What it
            raises goes to the call that needed the token; the new refresh token stays in memory.
        identity: your own name for the user; stands in reprs.

    Examples:
        >>> kept = []
        >>> async def keep(refresh_token):
        ...     kept.append(refresh_token)  # somewhere safe, in earnest
        >>> AuthorizationCode("isv_app", "secret", refresh_token="newest", on_refresh_token=keep, identity="kari")
        AuthorizationCode(client_id='isv_app', redirect_uri=None, identity='kari')
    """

    client_id: str = attrs.field(converter=_stripped, validator=_secret)
    client_secret: str | None = attrs.field(default=None, converter=_stripped_if_given, validator=_secret, repr=False)
    redirect_uri: str | None = attrs.field(default=None, validator=_text_or_none, kw_only=True)
    code: str | None = attrs.field(
        default=None, converter=_stripped_if_given, validator=_secret, repr=False, kw_only=True
    )
    code_verifier: str | None = attrs.field(
        default=None, converter=_stripped_if_given, validator=_secret, repr=False, kw_only=True
    )
    refresh_token: str | None = attrs.field(
        default=None, converter=_stripped_if_given, validator=_secret, repr=False, kw_only=True
    )
    on_refresh_token: Callable[[str], Awaitable[None]] | None = attrs.field(default=None, repr=False, kw_only=True)
    identity: str = attrs.field(default="user", validator=_text_or_none, kw_only=True)
    _session: TokenSession = attrs.field(factory=lambda: TokenSession(), init=False, repr=False)  # noqa: PLW0108 - defined below

    def __attrs_post_init__(self) -> None:
        if self.on_refresh_token is not None and not callable(self.on_refresh_token):
            raise SettingsError("on_refresh_token takes an async function, or None. Nothing was sent.")
        if not self.refresh_token and not (self.code and self.redirect_uri):
            raise SettingsError("AuthorizationCode needs a refresh_token, or a code with its redirect_uri.")

    def ready_token(self) -> Token | None:
        """None: every token is asked for."""
        return None

    def session(self) -> TokenSession:
        """Always the same: the user's token serves every service, and refreshing twice would break the chain."""
        return self._session

    def form(self, service: Service) -> TokenForm:  # noqa: ARG002 - one user token serves both
        """Give the refresh form, or the code form the first time.

        Raises:
            TokenRefused: the code is used up and no refresh token came for it.
        """
        fields = {"client_id": self.client_id}
        if self.client_secret:
            fields["client_secret"] = self.client_secret
        if self.refresh_token:
            fields |= {"grant_type": "refresh_token", "refresh_token": self.refresh_token}
        elif self.code:
            fields |= {
                "grant_type": "authorization_code",
                "code": self.code,
                "redirect_uri": self.redirect_uri or "",
            }
            if self.code_verifier:
                fields["code_verifier"] = self.code_verifier
        else:
            raise TokenRefused(
                "the token has ended and no refresh token came with it: let the user sign in again, with the scope "
                "offline_access to get refresh tokens.",
                error="invalid_grant",
            )
        return TokenForm(fields=fields, repeatable=False)

    async def received(self, grant: Grant) -> None:
        """Keep the rotated refresh token."""
        self.code = None
        if grant.refresh_token:
            self.refresh_token = grant.refresh_token
            if self.on_refresh_token is not None:
                await self.on_refresh_token(grant.refresh_token)


Need = Literal["use", "renew early", "wait"]


@attrs.define
class TokenState:
    """When a token is used, renewed early, or waited for. Pure."""

    token: Token | None = None
    retry_early_at: float = -math.inf
    """After an early renewal failed, when to try the next one."""

    def need(self, now: float, *, rejected: Token | None) -> Need:
        """Decide for one caller.

        Args:
            now: monotonic seconds.
            rejected: the token that the API has just answered 401 to, if any. The object counts, not its text: an
                identity service may give the same text again.
        """
        token = self.token
        if token is None or token is rejected:
            return "wait"
        lifetime = token.ends_at - token.issued_at
        left = token.ends_at - now
        if left <= min(_HARD_SECONDS, lifetime * _HARD_SHARE):
            return "wait"
        if left <= min(_EARLY_SECONDS, lifetime * _EARLY_SHARE) and now >= self.retry_early_at:
            return "renew early"
        return "use"


@attrs.define(eq=False)
class TokenSession:
    """The current token and the one renewal that may be under way."""

    state: TokenState = attrs.field(factory=TokenState, repr=False)
    lock: anyio.Lock = attrs.field(factory=anyio.Lock, repr=False)
    renewals: int = 0
    """Renewals that came to an end, good or bad; those that were cancelled do not count."""
    failure: VismaNetError | None = attrs.field(default=None, repr=False)
    """How the last of them failed."""


class Poster(Protocol):
    """Posts a form to the token endpoint; the only IO that tokens need."""

    async def __call__(self, url: URL, form: TokenForm, /) -> TokenAnswer:
        """Give the answer. Raises `NotSent` or another `TransportError`."""
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
        self._ready = credentials.ready_token()
        self._session = credentials.session()

    @property
    def renewable(self) -> bool:
        """Whether a rejected token can be replaced by asking again."""
        return self._ready is None

    def at_hand(self, *, rejected: Token | None = None) -> Token | None:
        """Give the token that is good without any waiting, or None where `get` must be awaited."""
        if self._ready is not None:
            return self._ready
        state = self._session.state
        return state.token if state.need(self._clock.monotonic(), rejected=rejected) == "use" else None

    async def get(self, *, rejected: Token | None = None) -> Token:
        """Give a token that is good for the next moments.

        Args:
            rejected: the token that was just answered with 401; a fresh one is got once for all who report it.

        Raises:
            TokenRefused: the identity service said no; nothing else was sent.
            NotSent: it could not be reached, or its answer got lost; nothing else was sent.
            UnexpectedResponse: it answered with something that is not a token.
        """
        if self._ready is not None:
            return self._ready
        state = self._session.state
        need = state.need(self._clock.monotonic(), rejected=rejected)
        if need == "renew early":
            await self._renew_early()
        elif need == "wait":
            await self._renew_for_all(rejected)
        assert state.token is not None  # without one, the renewal has raised
        return state.token

    async def _renew_early(self) -> None:
        session = self._session
        try:
            session.lock.acquire_nowait()
        except anyio.WouldBlock:
            return  # one renews, the others carry on
        try:
            await self._renew(tries=1)
        except VismaNetError:
            # the old token still serves; the next try comes soon enough
            session.state.retry_early_at = self._clock.monotonic() + _HARD_SECONDS
        finally:
            session.lock.release()

    async def _renew_for_all(self, rejected: Token | None) -> None:
        session = self._session
        asked = session.renewals
        async with session.lock:
            if session.state.need(self._clock.monotonic(), rejected=rejected) != "wait":
                return  # somebody else renewed it meanwhile
            if session.failure is not None and session.renewals != asked:
                # it failed for all who waited; asking once for each would be a stampede
                raise copy.copy(session.failure)
            try:
                await self._renew(tries=_TRIES)
            except VismaNetError as failure:
                session.failure, session.renewals = copy.copy(failure), session.renewals + 1
                raise
            session.failure, session.renewals = None, session.renewals + 1

    async def _renew(self, *, tries: int) -> None:
        form = self._credentials.form(self._service)
        for number in range(1, tries + 1):
            asked_at = self._clock.monotonic()
            last = number == tries
            # a refresh token may be used up by asking: its answer is not given up halfway, not even when cancelled
            with anyio.CancelScope(shield=not form.repeatable):
                try:
                    answer = await self._ask(form)
                except TransportError as error:
                    if last or not (form.repeatable or isinstance(error, NotSent)):
                        raise _unreachable(self._url, error, form) from error
                else:
                    again = fault_of(answer.status) in {Fault.BUSY, Fault.BROKEN, Fault.RATE_LIMITED}
                    if last or not form.repeatable or not again:
                        await self._take(answer, asked_at)
                        return
            await self._clock.sleep(backoff_seconds(number, randomness=self._random()))

    async def _ask(self, form: TokenForm) -> TokenAnswer:
        with self._clock.move_on_after(_ANSWER_SECONDS):
            return await self._post(self._url, form)
        raise ResponseLost(f"no answer within {_ANSWER_SECONDS:.0f} s")

    async def _take(self, answer: TokenAnswer, asked_at: float) -> None:
        grant = read_grant(answer, host=self._url.host or "")
        await self._credentials.received(grant)
        state = self._session.state
        state.token = Token(grant.access_token, asked_at, asked_at + grant.lifetime_seconds)
        state.retry_early_at = -math.inf


def read_grant(answer: TokenAnswer, *, host: str) -> Grant:
    """Read what the token endpoint answered.

    Raises:
        TokenRefused: it said no.
        UnexpectedResponse: it answered with something that is not a token.
    """
    grant = _fields_of(answer)
    if grant is None:
        raise UnexpectedResponse(
            f"{host} answered the token request with {answer.status} but not with JSON: check the token URL. "
            "Nothing else was sent."
        )
    if answer.status >= 400 or not grant.access_token:  # noqa: PLR2004 - statuses are clearest as numbers
        raise _refusal(answer.status, grant, host=host)
    if not _VISIBLE.fullmatch(grant.access_token):
        raise UnexpectedResponse(f"{host} answered with a token that cannot stand in a header.")
    return grant


def _fields_of(answer: TokenAnswer) -> Grant | None:
    """Read an answer; None for a success status without a JSON object. Keeps every secret out of exceptions."""
    try:
        fields = msgspec.json.decode(answer.body.removeprefix(UTF8_BOM))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        return Grant() if answer.status >= 400 else None  # noqa: PLR2004
    error = _text(fields, "error")
    return Grant(
        access_token=_text(fields, "access_token"),
        refresh_token=_text(fields, "refresh_token"),
        lifetime_seconds=_lifetime(fields.get("expires_in")),
        scope=_text(fields, "scope"),
        error=error if _OAUTH_CODE.fullmatch(error) else "",
    )


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def _lifetime(value: Any) -> float:
    try:
        seconds = float(number_in(value) if isinstance(value, str) else value)  # type: ignore[arg-type]  # refused below
    except (TypeError, ValueError, OverflowError):
        return _DEFAULT_LIFETIME_SECONDS
    return seconds if 0 < seconds < math.inf else _DEFAULT_LIFETIME_SECONDS


def _unreachable(url: URL, error: TransportError, form: TokenForm) -> NotSent:
    hint = "" if form.repeatable else " If the refresh token is refused from now on, let the user sign in again."
    return NotSent(f"no token from {url.host}: {error} The request itself was not sent.{hint}")


def _refusal(status: int, grant: Grant, *, host: str) -> TokenRefused:
    advice = _ADVICE.get(grant.error, "Check the credentials and the token URL.")
    if fault_of(status) in {Fault.BUSY, Fault.BROKEN, Fault.RATE_LIMITED}:
        advice = "The identity service cannot answer now: try again later."
    return TokenRefused(
        f"{host} gave no token ({status}{f' {grant.error}' if grant.error else ''}). {advice} Nothing else was sent.",
        error=grant.error,
        status=status,
    )

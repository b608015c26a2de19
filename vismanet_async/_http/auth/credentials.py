"""Credentials: client credentials, a static token, and a user's authorization code."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

import attrs

from vismanet_async._arguments import expect
from vismanet_async._http.auth.grant import VISIBLE_ASCII, TokenRequest
from vismanet_async._http.auth.session import Token, TokenSession
from vismanet_async.errors import SettingsError, TokenRefused

if TYPE_CHECKING:
    from vismanet_async._http.auth.grant import TokenResponse
    from vismanet_async._http.message import Service
    from vismanet_async._settings import Settings

__all__ = [
    "ERP_SCOPES",
    "SALES_ORDER_SCOPES",
    "AuthorizationCode",
    "ClientCredentials",
    "Credentials",
    "StaticToken",
    "credentials_of",
]

ERP_SCOPES: Final = tuple(f"vismanet_erp_service_api:{verb}" for verb in ("create", "delete", "read", "update"))
SALES_ORDER_SCOPES: Final = ("visma.net.erp.salesorder:read", "visma.net.erp.salesorder:write")


class Credentials(Protocol):
    """A way to get tokens."""

    @property
    def identity(self) -> str:
        """A name for the company that the tokens are for; not secret."""
        ...

    def static_token(self) -> Token | None:
        """Return a token that needs no request, or None."""
        ...

    def session(self) -> TokenSession:
        """Return the session that keeps the current token.

        A new one for each service, or the same one if one token serves every service.
        """
        ...

    def token_request(self, service: Service) -> TokenRequest:
        """Return the request for the next token."""
        ...

    async def on_token(self, response: TokenResponse) -> None:
        """Handle the response that brought a new token."""
        ...


def _stripped(value: str) -> str:
    return value.strip() if isinstance(value, str) else value  # type: ignore[redundant-expr]  # `_secret` refuses it


def _stripped_if_given(value: str | None) -> str | None:
    return None if value is None else _stripped(value)


def _secret(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    name = attribute.name
    if value is None and attribute.default is None:
        return
    if value is None or value == "":  # as from os.environ.get(...), whatever the annotation says
        raise SettingsError(f"{name} is empty. Nothing was sent.")
    expect(name, value, str, error=SettingsError)
    if not VISIBLE_ASCII.fullmatch(str(value)):
        raise SettingsError(
            f"{name} holds white space or letters outside ASCII: was it copied whole? Nothing was sent."
        )


def _text_or_none(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None or attribute.default is not None:
        expect(attribute.name, value, str, error=SettingsError)


def _as_tuple(scopes: Sequence[str]) -> Sequence[str]:
    return tuple(scopes) if isinstance(scopes, Iterable) and not isinstance(scopes, str) else scopes  # type: ignore[redundant-expr]  # `_scopes` refuses it


def _scopes(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    expect(attribute.name, value, tuple, words="a list of scopes", error=SettingsError)
    for scope in cast("tuple[object, ...]", value):
        expect(attribute.name, scope, str, words="a list of scopes as texts", error=SettingsError)


@attrs.frozen
class ClientCredentials:
    """The credentials of a service application: no user, one company.

    Args:
        client_id: from the Developer Portal.
        client_secret: from the Developer Portal; never shown.
        tenant_id: the Company tenant id. (The Customer tenant id gets tokens too, which then fail with 401.)
        scopes: for the ERP service; empty requests all that are granted.
        sales_order_scopes: for the Sales Order service, which has its own token.

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
        """Return the same credentials for another company."""
        return attrs.evolve(self, tenant_id=tenant_id)

    def static_token(self) -> Token | None:
        """Return None: every token needs a request."""
        return None

    def session(self) -> TokenSession:
        """Return a new session: each service has its own token."""
        return TokenSession()

    def token_request(self, service: Service) -> TokenRequest:
        """Return the client credentials request."""
        scopes = self.scopes if service == "erp" else self.sales_order_scopes
        fields = {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "tenant_id": self.tenant_id,
        }
        if scopes:
            fields["scope"] = " ".join(scopes)
        return TokenRequest(fields=fields, idempotent=True)

    async def on_token(self, response: TokenResponse) -> None:
        """Do nothing: client credentials come without a refresh token."""


@attrs.frozen
class StaticToken:
    """A bearer token that is used as given and never renewed.

    Args:
        token: the bearer token, without `Bearer`; never shown.
        tenant_id: the company that the token is for, if known; background jobs are stored under it.

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

    def static_token(self) -> Token | None:
        """Return the token; when it expires is not known."""
        return Token(self.token, -math.inf, math.inf)

    def session(self) -> TokenSession:
        """Return a new session, which stays unused."""
        return TokenSession()

    def token_request(self, service: Service) -> TokenRequest:
        """Raise `TokenRefused`: a static token cannot be renewed."""
        raise TokenRefused(
            f"the given token cannot be renewed for the {service} service: give a fresh one, or client credentials.",
            error="invalid_token",
        )

    async def on_token(self, response: TokenResponse) -> None:
        """Do nothing: no token is ever requested."""


@attrs.define(eq=False)
class AuthorizationCode:
    """A user's credentials: an authorization code once, then refresh tokens.

    The user chooses the company while signing in. Refresh tokens rotate: store the newest with `on_refresh_token`.
    One token serves both services, so share this object between the clients of one event loop (a `Blocking` has its
    own). Two objects with the same refresh token would use it up for each other.

    Args:
        client_id: from the Developer Portal.
        client_secret: for server-side applications; never shown.
        redirect_uri: the URI that the code was issued for.
        code: the authorization code, if this is the first time.
        code_verifier: the PKCE verifier that belongs to the code.
        refresh_token: a stored refresh token, instead of a code.
        on_refresh_token: called with each new refresh token before it is used; store it somewhere safe. An error
            that it raises is raised by the call that needed the token; the new refresh token stays in memory. A call
            waits for it until its deadline, and later ones go on waiting; cancelling a call does not cut it off.
        identity: your own name for the user; shown in reprs.
        tenant_id: the company that the user signs in to, if known; jobs, journals and exports are kept by it.

    Examples:
        >>> kept = []
        >>> async def keep(refresh_token):
        ...     kept.append(refresh_token)  # in production: somewhere safe
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
    tenant_id: str | None = attrs.field(default=None, validator=_text_or_none, repr=False, kw_only=True)
    _session: TokenSession = attrs.field(factory=TokenSession, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.on_refresh_token is not None and not callable(self.on_refresh_token):
            raise SettingsError("on_refresh_token takes an async function, or None. Nothing was sent.")
        if not self.refresh_token and not (self.code and self.redirect_uri):
            raise SettingsError("AuthorizationCode needs a refresh_token, or a code with its redirect_uri.")

    def static_token(self) -> Token | None:
        """Return None: every token needs a request."""
        return None

    def session(self) -> TokenSession:
        """Return the same session each time: one token serves every service, and a second refresh would fail."""
        return self._session

    def token_request(self, service: Service) -> TokenRequest:  # noqa: ARG002 - one user token serves both
        """Return the refresh request, or the code request the first time.

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
        return TokenRequest(fields=fields, idempotent=False)

    async def on_token(self, response: TokenResponse) -> None:
        """Store the rotated refresh token."""
        self.code = None
        if response.refresh_token:
            self.refresh_token = response.refresh_token
            if self.on_refresh_token is not None:
                await self.on_refresh_token(response.refresh_token)


def credentials_of(settings: Settings) -> Credentials:
    """Return the credentials that the settings hold.

    Raises:
        SettingsError: they hold none.
    """
    if settings.token:
        return StaticToken(settings.token, tenant_id=settings.tenant_id)
    missing = [name for name in ("client_id", "client_secret", "tenant_id") if not getattr(settings, name)]
    if missing:
        names = ", ".join(f"VISMANET_{name.upper()}" for name in missing)
        raise SettingsError(
            f"not signed in: {names} not set. Set them, or VISMANET_TOKEN, or a profile file. "
            "`vismanet doctor` looks further, `vismanet simulate` runs a company to try it on."
        )
    return ClientCredentials(settings.client_id or "", settings.client_secret or "", tenant_id=settings.tenant_id or "")

"""Requests to the token endpoint and its responses (OAuth 2.0, RFC 6749). Pure."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

import attrs
import msgspec

from vismanet_async._decimals import number_in
from vismanet_async._http.message import UTF8_BOM
from vismanet_async._http.retry import Fault, fault_of
from vismanet_async.errors import TokenRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["VISIBLE_ASCII", "RawTokenResponse", "TokenRequest", "TokenResponse", "read_token_response"]

_DEFAULT_LIFETIME_SECONDS: Final = 3600.0
VISIBLE_ASCII: Final = re.compile(r"[!-~]+")
"""What a credential or token is made of; anything else could break a header."""
_OAUTH_CODE: Final = re.compile(r"[a-z_]{1,40}")

_ADVICE: Final[Mapping[str, str]] = {
    "invalid_client": "Check client id and client secret.",
    "invalid_scope": "The integration lacks a scope that was asked for: add it in the Developer Portal.",
    "invalid_tenant": "Check the tenant id, and that the integration is connected to it with the role API User.",
    "invalid_grant": "The code or refresh token is used up or revoked: let the user sign in again.",
    "unauthorized_client": "The application may not use this grant: check its type in the Developer Portal.",
}


@attrs.frozen(kw_only=True)
class TokenRequest:
    """A form to post to the token endpoint."""

    fields: Mapping[str, str] = attrs.field(repr=False)
    idempotent: bool
    """Whether the request may be sent again after its response was lost (a rotating refresh token may be used up)."""


@attrs.frozen
class RawTokenResponse:
    """Status, body and headers of the token endpoint's response."""

    status: int
    body: bytes = attrs.field(repr=False)
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)


@attrs.frozen(kw_only=True)
class TokenResponse:
    """A parsed response of the token endpoint. Its secrets never show in a repr."""

    access_token: str = attrs.field(default="", repr=False)
    refresh_token: str = attrs.field(default="", repr=False)
    lifetime_seconds: float = _DEFAULT_LIFETIME_SECONDS
    scope: str = ""
    """The granted scopes, separated by blanks; empty if the response does not name them."""
    error: str = ""
    """The OAuth error code, if the response is an error."""


def read_token_response(raw: RawTokenResponse, *, host: str, retry_after_seconds: float | None = None) -> TokenResponse:
    """Return the token endpoint's response, parsed.

    Args:
        raw: the response.
        host: the endpoint's, for errors.
        retry_after_seconds: for how long it is not asked again, if it said so.

    Raises:
        TokenRefused: the response is a refusal, or not a token.
    """
    response = _fields_of(raw)
    if response is None:
        raise TokenRefused(
            f"{host} answered the token request with {raw.status} but not with JSON: check the token URL. "
            "Nothing else was sent.",
            status=raw.status,
        )
    if raw.status >= 400 or not response.access_token:  # noqa: PLR2004 - statuses are clearest as numbers
        raise _refusal(raw.status, response, host=host, retry_after_seconds=retry_after_seconds)
    if not VISIBLE_ASCII.fullmatch(response.access_token):
        raise TokenRefused(
            f"{host} answered with a token that cannot stand in a header. Nothing else was sent.", status=raw.status
        )
    return response


def _fields_of(raw: RawTokenResponse) -> TokenResponse | None:
    """Return the fields; None for a success status without a JSON object. Keeps every secret out of exceptions."""
    try:
        fields = msgspec.json.decode(raw.body.removeprefix(UTF8_BOM))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        return TokenResponse() if raw.status >= 400 else None  # noqa: PLR2004
    error = _text(fields, "error")
    return TokenResponse(
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


def _refusal(
    status: int, response: TokenResponse, *, host: str, retry_after_seconds: float | None = None
) -> TokenRefused:
    advice = _ADVICE.get(response.error, "Check the credentials and the token URL.")
    if fault_of(status) in {Fault.UNAVAILABLE, Fault.SERVER_ERROR, Fault.RATE_LIMITED}:
        later = "later" if retry_after_seconds is None else f"in {math.ceil(retry_after_seconds)} s"
        advice = f"The identity service cannot answer now: try again {later}."
    reason = f"{status} {response.error}" if response.error else str(status)
    return TokenRefused(
        f"{host} gave no token ({reason}). {advice} Nothing else was sent.",
        error=response.error,
        status=status,
        retry_after_seconds=retry_after_seconds,
    )

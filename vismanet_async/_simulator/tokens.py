"""The identity service: tokens for applications and users, and what they are good for."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlencode

from attrs import define, frozen

from vismanet_async._simulator.messages import Reply, Request, json_reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from random import Random

    from vismanet_async._simulator.behaviours import Behaviours
    from vismanet_async._simulator.clock import Clock

__all__ = ["ERP_SCOPES", "SALES_ORDER_SCOPES", "Grant", "TokenService"]

ERP_SCOPES = tuple(f"vismanet_erp_service_api:{right}" for right in ("read", "create", "update", "delete"))
_INTERACTIVE = tuple(
    f"vismanet_erp_interactive_api:{right}" for right in ("read", "create", "update", "delete", "ui-extension")
)
SALES_ORDER_SCOPES = ("visma.net.erp.salesorder:read", "visma.net.erp.salesorder:write")
_IDENTITY = ("openid", "profile", "email", "offline_access")


@frozen
class Grant:
    """What a token was issued for."""

    token: str
    client_id: str
    tenant_id: str
    scopes: frozenset[str]
    expires_at: float

    def may(self, service: str, right: str) -> bool:
        """Return whether a scope covers a right: `read`, `create`, `update`, `delete`."""
        if service == "salesorder":
            return f"visma.net.erp.salesorder:{'read' if right == 'read' else 'write'}" in self.scopes
        return any(f"vismanet_erp_{kind}_api:{right}" in self.scopes for kind in ("service", "interactive"))


@define
class _Code:
    client_id: str
    tenant_id: str
    scopes: frozenset[str]
    redirect_uri: str
    challenge: str | None
    expires_at: float


class TokenService:
    """Issues, knows and revokes tokens.

    Args:
        clients: Secret by client id.
        tenants: Tells whether a tenant may be asked for.
        clock: Decides what has expired.
        behaviours: Token lifetime and rotation.
        ids: Makes the tokens.
    """

    def __init__(self, clients: Mapping[str, str], tenants: Callable[[str], bool], *, default_tenant: str,
    clock: Clock,
                 behaviours: Behaviours, ids: Random) -> None:  # fmt: skip
        self._clients = clients
        self._tenants = tenants
        self._default_tenant = default_tenant
        self._clock = clock
        self._behaviours = behaviours
        self._ids = ids
        self._grants: dict[str, Grant] = {}
        self._refresh: dict[str, Grant] = {}
        self._codes: dict[str, _Code] = {}
        self.issued = 0

    def issue(self, client_id: str, tenant_id: str, scopes: frozenset[str] | None = None,
              lifetime_seconds: float | None = None) -> Grant:  # fmt: skip
        """Make a token without asking for a secret."""
        lifetime = self._behaviours.token_lifetime_seconds if lifetime_seconds is None else lifetime_seconds
        grant = Grant(
            f"sim-{self._ids.getrandbits(160):040x}", client_id, tenant_id,
            frozenset(ERP_SCOPES + SALES_ORDER_SCOPES) if scopes is None else scopes,
            self._clock.now() + lifetime,
        )  # fmt: skip
        self._grants[grant.token] = grant
        self.issued += 1
        return grant

    def revoke(self, token: str | None = None) -> int:
        """Make one token, or all, worthless; return how many."""
        if token is None:
            count = len(self._grants)
            self._grants.clear()
            return count
        return 0 if self._grants.pop(token, None) is None else 1

    def check(self, headers: Mapping[str, str]) -> Grant | None:
        """Return what the request's bearer token stands for, or None."""
        kind, _, token = headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer":
            return None
        grant = self._grants.get(token.strip())
        return grant if grant is not None and grant.expires_at > self._clock.now() else None

    # -- endpoints ----------------------------------------------------------------------------------------

    def authorize(self, request: Request) -> Reply:
        """Answer /connect/authorize as if the user had signed in and consented at once."""
        asked = dict(request.query)
        client_id, redirect_uri = asked.get("client_id", ""), asked.get("redirect_uri", "")
        if client_id not in self._clients or not redirect_uri:
            return _error("invalid_request")
        code = self.authorization_code(
            client_id, redirect_uri=redirect_uri, scope=asked.get("scope", ""),
            tenant_id=asked.get("tenant_id"),
            code_challenge=asked.get("code_challenge"),
        )  # fmt: skip
        answer = {"code": code} | ({"state": asked["state"]} if "state" in asked else {})
        return Reply(
            302,
            headers={"Location": f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}{urlencode(answer)}"},
        )

    def authorization_code(self, client_id: str, *, redirect_uri: str, scope: str = "",
    tenant_id: str | None = None,
                           code_challenge: str | None = None) -> str:  # fmt: skip
        """Return a code as a browser would bring it back to the application."""
        code = f"code-{self._ids.getrandbits(96):024x}"
        scopes = frozenset(scope.split()) or frozenset(_INTERACTIVE)
        self._codes[code] = _Code(
            client_id,
            tenant_id or self._default_tenant,
            scopes,
            redirect_uri,
            code_challenge,
            self._clock.now() + 300,
        )
        return code

    def token(self, request: Request) -> Reply:
        """Answer /connect/token."""
        if "x-www-form-urlencoded" not in request.headers.get("Content-Type", ""):
            return _error("invalid_request")
        form = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
        client_id, secret = _credentials(request.headers, form)
        grant_type = form.get("grant_type", "")
        public = grant_type == "authorization_code" and not secret and "code_verifier" in form
        if client_id not in self._clients or (not public and self._clients[client_id] != secret):
            return _error("invalid_client")
        if grant_type == "client_credentials":
            return self._client_credentials(client_id, form)
        if grant_type == "authorization_code":
            return self._authorization_code(client_id, form)
        if grant_type == "refresh_token":
            return self._refresh_token(client_id, form)
        return _error("unsupported_grant_type")

    def _client_credentials(self, client_id: str, form: Mapping[str, str]) -> Reply:
        granted = frozenset(ERP_SCOPES + SALES_ORDER_SCOPES)
        asked = frozenset(form.get("scope", "").split()) or granted
        if not asked <= granted:
            return _error("invalid_scope")
        tenant_id = form.get("tenant_id", "")
        if not self._tenants(tenant_id):
            return _error("invalid_tenant")
        return self._answer(self.issue(client_id, tenant_id, asked))

    def _authorization_code(self, client_id: str, form: Mapping[str, str]) -> Reply:
        code = self._codes.pop(form.get("code", ""), None)
        if code is None or code.client_id != client_id or code.redirect_uri != form.get("redirect_uri", ""):
            return _error("invalid_grant")
        if code.expires_at <= self._clock.now():
            return _error("invalid_grant")
        if code.challenge is not None:
            hashed = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
            if base64.urlsafe_b64encode(hashed).rstrip(b"=").decode() != code.challenge:
                return _error("invalid_grant")
        if not code.scopes <= frozenset(_INTERACTIVE + SALES_ORDER_SCOPES + ERP_SCOPES + _IDENTITY):
            return _error("invalid_scope")
        return self._answer(self.issue(client_id, code.tenant_id, code.scopes))

    def _refresh_token(self, client_id: str, form: Mapping[str, str]) -> Reply:
        text = form.get("refresh_token", "")
        known = self._refresh.get(text)
        if known is None or known.client_id != client_id:
            return _error("invalid_grant")
        if self._behaviours.refresh_tokens_rotate:
            del self._refresh[text]
            text = ""
        return self._answer(self.issue(client_id, known.tenant_id, known.scopes), keep_refresh=text)

    def _answer(self, grant: Grant, keep_refresh: str = "") -> Reply:
        body: dict[str, object] = {
            "access_token": grant.token,
            "expires_in": round(grant.expires_at - self._clock.now()),
            "token_type": "Bearer",
            "scope": " ".join(sorted(grant.scopes)),
        }
        if "offline_access" in grant.scopes:
            refresh = keep_refresh or f"refresh-{self._ids.getrandbits(160):040x}"
            self._refresh[refresh] = grant
            body["refresh_token"] = refresh
        return json_reply(body, headers={"Cache-Control": "no-store"})


def _credentials(headers: Mapping[str, str], form: Mapping[str, str]) -> tuple[str, str]:
    kind, _, text = headers.get("Authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            name, _, secret = base64.b64decode(text, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        return unquote(name), unquote(secret)
    return form.get("client_id", ""), form.get("client_secret", "")


def _error(code: str) -> Reply:
    return json_reply({"error": code}, 400)

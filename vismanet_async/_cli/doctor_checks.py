"""What `vismanet doctor` makes of what it saw. Pure: times, headers and answers come in as arguments."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs

from vismanet_async._cli.exit_codes import DONE, NOT_SIGNED_IN, WORTH_A_LOOK, WRONG_USE, exit_code
from vismanet_async._http.auth.credentials import ERP_SCOPES, SALES_ORDER_SCOPES
from vismanet_async._settings import ERP_URL
from vismanet_async.errors import (
    Forbidden,
    NotFound,
    RateLimited,
    SettingsError,
    TokenRefused,
    Unauthorized,
    VismaNetError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path
    from zoneinfo import ZoneInfo

    from vismanet_async._http.auth.grant import TokenResponse
    from vismanet_async._http.message import Service
    from vismanet_async._http.rate_limit import Quota
    from vismanet_async._settings import Settings

__all__ = [
    "Finding",
    "Level",
    "api_finding",
    "clock_finding",
    "quota_finding",
    "scope_findings",
    "settings_findings",
    "token_finding",
    "worst",
    "zone_finding",
]

Level = Literal["ok", "note", "warning", "error"]
"""`note`: fine, but worth knowing. `warning`: something will not work, or not for long. `error`: nothing works."""

_OLD_HOST: Final = "integration.visma.net"
_SHORT_SECONDS: Final = 600.0
_LOW_SHARE: Final = 0.05
_OLD_POLICIES: Final = {
    "6-fixed-window": "This is the quota of the old base URL, 500 requests an hour for the whole application: set "
    f"VISMANET_BASE_URL to {ERP_URL} (docs/facts.md 1.2).",
    "8-fixed-window": "This is the quota of sales orders v1 and v2, which have ended: use sales_order_service.",
}
_SKEW_NOTE_SECONDS: Final = 5.0
_SKEW_SECONDS: Final = 60.0
_FUTURE: Final = timedelta(minutes=2)


@attrs.frozen(kw_only=True)
class Finding:
    """One thing that was looked at."""

    check: str
    """What was looked at: `settings`, `jobs`, `network`, `token`, `scopes`, `company`, `quota`, `clock`, `zone`."""
    level: Level
    text: str
    """What was found; never a secret."""
    advice: str = ""
    """What to do; empty where there is nothing to do."""
    exit_code: int = attrs.field(default=DONE)
    """What the command ends with if this is the worst."""


def _ok(check: str, text: str) -> Finding:
    return Finding(check=check, level="ok", text=text)


def _warning(check: str, text: str, advice: str) -> Finding:
    return Finding(check=check, level="warning", text=text, advice=advice, exit_code=WORTH_A_LOOK)


def worst(findings: Iterable[Finding]) -> int:
    """Return the exit code: that of the first error, else of a warning, else 0."""
    codes = [finding.exit_code for finding in sorted(findings, key=lambda one: one.level != "error")]
    return next((code for code in codes if code != DONE), DONE)


# --- settings ------------------------------------------------------------------------------------------------------


def settings_findings(settings: Settings | SettingsError, *, profile_file: Path | None = None) -> list[Finding]:
    """Check whether the settings are enough to sign in.

    Args:
        settings: as they were gathered, or why they were not.
        profile_file: where a profile was looked for.
    """
    if isinstance(settings, SettingsError):
        return [Finding(check="settings", level="error", text=str(settings), exit_code=WRONG_USE)]
    found = []
    missing = [name for name in ("client_id", "client_secret", "tenant_id") if not getattr(settings, name)]
    if settings.token:
        found.append(_ok("settings", "a ready token is given; it is used as it is and never renewed."))
    elif missing:
        names = ", ".join(f"VISMANET_{name.upper()}" for name in missing)
        found.append(
            Finding(
                check="settings",
                level="error",
                text=f"{names} not set, neither in the environment nor in {profile_file}.",
                advice=(
                    "Set them, or VISMANET_TOKEN; or write client_id, client_secret and tenant_id in that file, below "
                    "[default]. None yet? `vismanet simulate` gives you a company to try."
                ),
                exit_code=WRONG_USE,
            )
        )
    else:
        found.append(_ok("settings", f"application {settings.client_id}, company {settings.tenant_id}."))
    if _OLD_HOST in settings.base_url:
        text = f"the base URL is the old one, {settings.base_url}, which is throttled and will be switched off."
        found.append(_warning("settings", text, f"Set VISMANET_BASE_URL to {ERP_URL}, or leave it out."))
    return found


# --- the token -----------------------------------------------------------------------------------------------------


def token_finding(grant: TokenResponse | VismaNetError, *, service: Service = "erp") -> Finding:
    """Check whether the identity service issued a token."""
    name = "" if service == "erp" else "sales orders: "
    if isinstance(grant, VismaNetError):
        if service != "erp":
            return _warning("token", name + _plain(grant), "It is needed for the Sales Order service alone.")
        code = NOT_SIGNED_IN if isinstance(grant, TokenRefused) else exit_code(grant)
        return Finding(check="token", level="error", text=_plain(grant), exit_code=code)
    text = f"{name}given, for {grant.lifetime_seconds:,.0f} s."
    if grant.lifetime_seconds < _SHORT_SECONDS:
        advice = "Each of them costs a request; the lifetime is set in the Developer Portal."
        return Finding(check="token", level="note", text=text, advice=advice)
    return _ok("token", text)


def scope_findings(granted: str, *, service: Service = "erp") -> list[Finding]:
    """Check which scopes are missing.

    Args:
        granted: the scopes of the token answer, parted by blanks.
        service: which service's scopes are wanted.
    """
    wanted = ERP_SCOPES if service == "erp" else SALES_ORDER_SCOPES
    name = "ERP" if service == "erp" else "sales orders"
    if not granted:
        text = f"{name}: the identity service did not tell them."
        advice = "A call that lacks one is answered with 403."
        return [Finding(check="scopes", level="note", text=text, advice=advice)]
    missing = [scope for scope in wanted if scope not in granted.split()]
    if not missing:
        return [_ok("scopes", f"{name}: {', '.join(_right(scope) for scope in wanted)}.")]
    text = f"{name}: not granted: {', '.join(missing)}."
    advice = (
        "Add them to the integration in the Developer Portal; Visma and the customer's Integration Administrator must "
        f"approve that. Or ask for less: ClientCredentials(..., {_scopes_argument(granted, wanted, service)})."
    )
    reads = any(_right(scope) == "read" for scope in missing) and service == "erp"
    if reads:
        return [Finding(check="scopes", level="error", text=text, advice=advice, exit_code=NOT_SIGNED_IN)]
    return [_warning("scopes", text, advice)]


def _right(scope: str) -> str:
    return scope.rpartition(":")[2]


def _scopes_argument(granted: str, wanted: Sequence[str], service: Service) -> str:
    name = "scopes" if service == "erp" else "sales_order_scopes"
    return f"{name}={[scope for scope in wanted if scope in granted.split()]!r}"


# --- the API -------------------------------------------------------------------------------------------------------


def api_finding(answer: VismaNetError | None, *, signed_in: bool) -> Finding:
    """Check whether the company lets this integration read.

    Args:
        answer: the error of a small read; None for its success.
        signed_in: whether the identity service gave the token just now.
    """
    if answer is None:
        return _ok("company", "answers; the integration may read it.")
    level: Level = "error"
    code, advice = exit_code(answer), ""
    if isinstance(answer, Unauthorized) and signed_in:
        text = "the token is good, and refused with 401 all the same."
        advice = (
            "This is what a Customer tenant id looks like: set VISMANET_TENANT_ID to the Company tenant id. If it is "
            "that already, the customer has not approved the integration for this company (docs/facts.md 2.7, 2.8)."
        )
    elif isinstance(answer, Unauthorized):
        text, advice = "the given token is refused with 401.", "It has ended, or is for another company: get a new one."
    elif isinstance(answer, Forbidden):
        text = "refused with 403."
        advice = "The token lacks the scope to read, or the API user the role; a new role takes 10-15 minutes."
    elif isinstance(answer, NotFound):
        text, advice = "404 for a list that every company has.", f"The base URL is wrong; it is {ERP_URL} by default."
    elif isinstance(answer, RateLimited):
        level, code = "warning", WORTH_A_LOOK
        text = "the quota is used up."
        advice = "Everything with the same application and company shares it: see what else runs, or wait."
    else:
        text = _plain(answer)
    return Finding(check="company", level=level, text=text, advice=advice, exit_code=code)


def quota_finding(quota: Quota, *, now: float) -> Finding:
    """Check what is left of the quota.

    Args:
        quota: as the last answer told it.
        now: the monotonic seconds that it counts in.
    """
    if quota.limit is None or quota.remaining is None:
        return Finding(check="quota", level="note", text="the server told nothing about it.")
    resets = "" if quota.resets_at is None else f", resets in {max(0.0, quota.resets_at - now):,.0f} s"
    text = f"{quota.remaining:,} of {quota.limit:,} requests left{resets} (policy {quota.policy or 'not told'})."
    if advice := _OLD_POLICIES.get(quota.policy or ""):
        return _warning("quota", text, advice)
    if quota.remaining < quota.limit * _LOW_SHARE:
        return _warning(
            "quota", text, "Calls will wait for the reset; see what else uses this application and company."
        )
    return _ok("quota", text)


def clock_finding(headers: Mapping[str, str], *, utc_now: datetime) -> Finding:
    """Compare this machine's clock with the server's.

    Args:
        headers: of an answer that has just come.
        utc_now: when it came.
    """
    try:
        server = parsedate_to_datetime(headers.get("Date", ""))
    except ValueError:
        return Finding(check="clock", level="note", text="the server did not tell its time.")
    skew = (utc_now - (server if server.tzinfo else server.replace(tzinfo=UTC))).total_seconds()
    text = f"{abs(skew):,.0f} s {'ahead of' if skew > 0 else 'behind'} the server's."
    if abs(skew) <= _SKEW_NOTE_SECONDS:
        return _ok("clock", "agrees with the server's.")
    advice = "Let the machine keep time by NTP: kept jobs, webhooks and the times in logs and manifests go by it."
    if abs(skew) <= _SKEW_SECONDS:
        return Finding(check="clock", level="note", text=text, advice=advice)
    return _warning("clock", text, advice)


def zone_finding(zone: ZoneInfo | None, *, modified: Iterable[str], utc_now: datetime) -> Finding:
    """Check whether the company's zone is declared, and whether it can be the right one.

    Args:
        zone: the declared one.
        modified: moments that the company has written, without a zone; none may lie in the future.
        utc_now: the present moment.
    """
    if zone is None:
        text = "none declared: datetimes with a zone are refused as filters, plain ones are taken as they are."
        return Finding(
            check="zone", level="note", text=text, advice="Set VISMANET_TIME_ZONE, such as Europe/Oslo, to use them."
        )
    local = utc_now.astimezone(zone).replace(tzinfo=None)
    moments = [moment for moment in map(_naive, modified) if moment is not None]
    if moments and max(moments) > local + _FUTURE:
        text = f"{zone.key}, but the company wrote {max(moments)}, which is in the future there."
        return _warning("zone", text, "The company is in another zone: look at its settings in Visma Net.")
    return _ok("zone", f"{zone.key}, where it is {local:%H:%M} now.")


def _naive(text: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo is None else None


def _plain(error: VismaNetError) -> str:
    return " ".join(str(error).split())

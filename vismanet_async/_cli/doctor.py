"""`vismanet doctor`: look at everything that signing in and reading need, from here to the company, in order."""

from __future__ import annotations

import json
import os
import socket
import ssl
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import anyio
import attrs
import msgspec
from multidict import CIMultiDict

from vismanet_async._cli.doctor_checks import (
    Finding,
    api_finding,
    clock_finding,
    quota_finding,
    scope_findings,
    settings_findings,
    token_finding,
    worst,
    zone_finding,
)
from vismanet_async._cli.doctor_jobs import jobs_finding
from vismanet_async._cli.exit_codes import API_FAILED, WORTH_A_LOOK
from vismanet_async._cli.streams import reader_may_leave
from vismanet_async._client import VismaNet
from vismanet_async._clock import SystemClock
from vismanet_async._http.auth.credentials import ClientCredentials, StaticToken
from vismanet_async._http.auth.grant import read_token_response
from vismanet_async._http.hosts import base_url, is_loopback
from vismanet_async._http.http_attempt import WireRequest
from vismanet_async._http.network import shown
from vismanet_async._http.pool import SessionPool
from vismanet_async._settings import Settings, profile_file
from vismanet_async._version import __version__
from vismanet_async.errors import ApiError, SettingsError, TokenRefused, TransportError, VismaNetError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from anyio.abc import ByteStream
    from yarl import URL

    from vismanet_async._clock import Clock
    from vismanet_async._http.auth.grant import TokenResponse
    from vismanet_async._http.message import Response, Service

__all__ = ["diagnose", "run_doctor"]

_CONNECT_SECONDS: Final = 10.0
_CALL_SECONDS: Final = 45.0
_ADDRESSES: Final = ("base_url", "token_url", "sales_order_url")
_SERVICES: Final[Mapping[Service, str]] = {"erp": "base_url", "sales_order": "sales_order_url"}
_EVERY_COMPANY_HAS: Final = "/v1/branch"
_AUTHORITY: Final = (
    "Something on the way opens TLS: set VISMANET_CA_FILE to the certificate of its authority, in a file of PEM."
)
_PROXIES: Final = ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
_ROWS: Final = msgspec.json.Decoder(list[dict[str, Any]])
_MARKS: Final = {"ok": "green", "note": "cyan", "warning": "yellow", "error": "red"}


def run_doctor(*, profile: str | None, as_json: bool) -> int:
    """Look, print the findings, and return the exit code of the worst."""
    findings = anyio.run(_collect, profile, SystemClock(), None if as_json else _show)
    if as_json:
        with reader_may_leave():
            print(json.dumps({"versions": _versions(), "findings": [attrs.asdict(one) for one in findings]}, indent=2))
    return worst(findings)


async def _collect(profile: str | None, clock: Clock, show: Callable[[Finding], None] | None = None) -> list[Finding]:
    findings = []
    async for finding in diagnose(profile=profile, clock=clock):
        findings.append(finding)
        if show is not None:
            with reader_may_leave():
                show(finding)
    return findings


async def diagnose(*, profile: str | None = None, clock: Clock) -> AsyncIterator[Finding]:
    """Look at one thing after the other; what rests on something that failed is left out.

    Sends a token request for each service and reads one short list; changes nothing.
    """
    try:
        settings = Settings.load(profile=profile)
        urls = {name: base_url(getattr(settings, name), name=name) for name in _ADDRESSES}
        about = settings_findings(settings, profile_file=profile_file(os.environ))
        if all(finding.level != "error" for finding in about):
            VismaNet.from_settings(settings)  # refuses what no client can be built with
    except SettingsError as error:
        settings, urls, about = Settings(), {}, settings_findings(error)
    for finding in about:
        yield finding
    if any(finding.level == "error" for finding in about):
        return
    if (jobs := await jobs_finding(settings, clock)) is not None:
        yield jobs
    pool = SessionPool(proxy=settings.proxy, ssl=settings.ca_file)
    try:
        visit = _Visit(settings, urls, pool, clock)
        for look in (visit.network, visit.tokens, visit.company):
            async for finding in look():
                yield finding
    finally:
        await pool.aclose()


@attrs.define
class _Visit:
    """One look at everything; each step leaves behind what the next one needs."""

    settings: Settings
    urls: Mapping[str, URL]
    pool: SessionPool
    clock: Clock
    reached: set[str] = attrs.field(factory=set)
    token: str = attrs.field(default="", repr=False)

    async def network(self) -> AsyncIterator[Finding]:
        for name, url in self.urls.items():
            if name == "token_url" and self.settings.token:
                continue  # nothing is asked for there
            proxy = self.pool.network.proxy_for(url)
            if proxy is None:
                finding = await _direct(name, url, self.pool)
            else:
                finding = await _through_proxy(name, url, self.pool, shown(proxy))
            if finding.level == "ok":
                self.reached.add(name)
            yield finding

    async def tokens(self) -> AsyncIterator[Finding]:
        self.token = self.settings.token or ""
        if "token_url" not in self.reached:
            return
        for service, address in _SERVICES.items():
            if service == "erp" or address in self.reached:
                findings, text = await self._sign_in(service)
                if service == "erp":
                    self.token = text
                for finding in findings:
                    yield finding

    async def _sign_in(self, service: Service) -> tuple[list[Finding], str]:
        given = self.settings
        credentials = ClientCredentials(
            given.client_id or "", given.client_secret or "", tenant_id=given.tenant_id or ""
        )
        grant = await self._ask(credentials, service)
        if isinstance(grant, TokenRefused) and grant.error == "invalid_scope":
            # without naming scopes all that are granted come, which tells the missing ones
            unnamed = await self._ask(attrs.evolve(credentials, scopes=(), sales_order_scopes=()), service)
            grant = grant if isinstance(unnamed, VismaNetError) else unnamed
        found = [token_finding(grant, service=service)]
        if isinstance(grant, VismaNetError):
            return found, ""
        return [*found, *scope_findings(grant.scope, service=service)], grant.access_token

    async def _ask(self, credentials: ClientCredentials, service: Service) -> TokenResponse | VismaNetError:
        url = self.urls["token_url"]
        try:
            return read_token_response(
                await self.pool.post_form(url, credentials.token_request(service)), host=url.host or ""
            )
        except VismaNetError as error:
            return error

    async def company(self) -> AsyncIterator[Finding]:
        if not self.token or "base_url" not in self.reached:
            return
        visma = VismaNet(
            StaticToken(self.token, tenant_id=self.settings.tenant_id),
            base_url=self.settings.base_url,
            timeout_seconds=_CALL_SECONDS,
            pool=self.pool,
            clock=self.clock,
        )
        answer: Response | VismaNetError
        try:
            answer = await visma.sender.send(visma.request("GET", _EVERY_COMPANY_HAS).request())
        except VismaNetError as error:
            answer = error
        utc_now = self.clock.utc_now()
        failure = answer if isinstance(answer, VismaNetError) else None
        yield api_finding(failure, signed_in=not self.settings.token)
        if not isinstance(answer, VismaNetError) or isinstance(answer, ApiError):
            yield quota_finding(visma.quota, now=self.clock.monotonic())
            yield clock_finding(answer.headers, utc_now=utc_now)
        modified = [] if isinstance(answer, VismaNetError) else _modified(answer.body)
        yield zone_finding(self.settings.time_zone, modified=modified, utc_now=utc_now)


def _modified(body: bytes) -> list[str]:
    try:
        rows = _ROWS.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []  # an empty list may come as nothing at all (docs/facts.md 4.4)
    return [str(row.get("lastModifiedDateTime")) for row in rows]


# --- the way there -------------------------------------------------------------------------------------------------


async def _direct(name: str, url: URL, pool: SessionPool) -> Finding:
    host, port = url.host or "", url.port or 0
    if not is_loopback(host):
        try:
            await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            return _out_of_reach(name, f"{host} has no address ({error.strerror or error}).", "Check the name and DNS.")
    try:
        with anyio.fail_after(_CONNECT_SECONDS):
            await _connect(host, port, tls=url.scheme == "https", trusted=pool.network.ssl)
    except ssl.SSLCertVerificationError as error:
        return _out_of_reach(name, f"{host}: its certificate is not trusted ({error.verify_message}).", _AUTHORITY)
    except ssl.SSLError as error:
        return _out_of_reach(name, f"{host}:{port} does not speak TLS ({error.reason or error}).", "Check the URL.")
    except TimeoutError:
        return _out_of_reach(name, f"{host}:{port} does not answer within {_CONNECT_SECONDS:.0f} s.", "")
    except (OSError, anyio.BrokenResourceError, anyio.EndOfStream) as error:
        reason = error if error.__cause__ is None else error.__cause__
        words = str(reason) or type(reason).__name__
        return _out_of_reach(name, f"{host}:{port} cannot be connected to ({words}).", "")
    how = "over TLS" if url.scheme == "https" else "without TLS"
    return Finding(check="network", level="ok", text=f"{name}: {host}:{port} answers {how}.")


async def _through_proxy(name: str, url: URL, pool: SessionPool, proxy: str) -> Finding:
    """Have a proxy open the way to a host, with a request that says nothing."""
    attempt = pool.attempt(WireRequest(method="GET", url=url.origin(), headers=CIMultiDict(), idempotent=True))
    try:
        with anyio.fail_after(_CONNECT_SECONDS), attempt:
            await attempt.open()
    except TimeoutError:
        advice = "Check the proxy, and whether it lets this host through."
        return _out_of_reach(name, f"{url.host} does not answer within {_CONNECT_SECONDS:.0f} s.", advice)
    except TransportError:
        advice = _AUTHORITY if "certificate" in attempt.reason else "Check VISMANET_PROXY, and what the proxy allows."
        return _out_of_reach(name, f"{url.host}: {attempt.reason}.", advice)
    return Finding(check="network", level="ok", text=f"{name}: {url.host} answers through the proxy {proxy}.")


async def _connect(host: str, port: int, *, tls: bool, trusted: ssl.SSLContext | None) -> None:
    stream: ByteStream
    if tls:
        stream = await anyio.connect_tcp(host, port, tls=True, tls_standard_compatible=False, ssl_context=trusted)
    else:
        stream = await anyio.connect_tcp(host, port)
    await stream.aclose()


def _out_of_reach(name: str, text: str, advice: str) -> Finding:
    if not os.environ.get("VISMANET_PROXY") and any(os.environ.get(proxy) for proxy in _PROXIES):
        advice += " A proxy is set in the environment; the SDK uses it once VISMANET_PROXY names it."
    elif not advice:
        advice = "Check firewall and network: outgoing HTTPS must be open to it."
    if name == "sales_order_url":
        advice += " It is needed for the Sales Order service alone."
        return Finding(
            check="network", level="warning", text=f"{name}: {text}", advice=advice.strip(), exit_code=WORTH_A_LOOK
        )
    return Finding(check="network", level="error", text=f"{name}: {text}", advice=advice.strip(), exit_code=API_FAILED)


# --- shown ---------------------------------------------------------------------------------------------------------


def _versions() -> dict[str, str]:
    return {
        "vismanet-async": __version__,
        "python": ".".join(map(str, sys.version_info[:3])),
        "aiohttp": version("aiohttp"),
        "openssl": ssl.OPENSSL_VERSION,
    }


def _show(finding: Finding) -> None:
    line = f"{finding.level:8} {finding.check:9} {finding.text}"
    advice = f"{'':18} {finding.advice}" if finding.advice else ""
    if not sys.stdout.isatty():
        print("\n".join(filter(None, [line, advice])), flush=True)
        return
    from rich.console import Console  # noqa: PLC0415 - only needed on a terminal, and costs start-up time
    from rich.padding import Padding  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console(highlight=False)
    told = Text.assemble((f"{finding.level:8} ", _MARKS[finding.level]), (f"{finding.check:9} ", "bold"), finding.text)
    console.print(told)
    if finding.advice:
        console.print(Padding(Text(finding.advice, style="dim"), (0, 0, 0, 19)))

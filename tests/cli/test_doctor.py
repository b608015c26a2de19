"""`vismanet doctor`: every failure is told apart, with what to do, and no secret with it."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sqlite3
import ssl
import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import anyio
import pytest

from tests.support.clock import VirtualClock
from tests.transport.wire import Wire, answer, token, wire_server
from vismanet_async._cli import main
from vismanet_async._cli.doctor import _show, diagnose
from vismanet_async._cli.doctor_checks import Finding, clock_finding, quota_finding, worst, zone_finding
from vismanet_async._http.auth.credentials import ERP_SCOPES
from vismanet_async._http.rate_limit import Quota
from vismanet_async._jobs.sql.store import SqlStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.cli.conftest import Shell

SECRET = "m4rk3r-s3cr3t"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


# --- on the simulator, as users see it -----------------------------------------------------------------------------


def test_all_is_well(shell: Shell) -> None:
    done = shell.inside("doctor", env={"VISMANET_TIME_ZONE": "Europe/Oslo"})
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert {line[0] for line in lines} == {"ok"}
    assert {line[1] for line in lines} == {
        "settings", "jobs", "network", "token", "scopes", "company", "quota", "clock", "zone",
    }  # fmt: skip
    assert len([one for one in shell.simulator.requests if one.path == "/v1/branch"]) == 1
    assert {one.method for one in shell.simulator.requests if "/connect/" not in one.path} == {"GET"}


def test_as_json(shell: Shell) -> None:
    done = shell.inside("doctor", "--json")
    told = json.loads(done.stdout)
    assert set(told["versions"]) == {"vismanet-async", "python", "aiohttp", "openssl"}
    assert {finding["level"] for finding in told["findings"]} == {"ok", "note"}
    (zone,) = [finding for finding in told["findings"] if finding["check"] == "zone"]
    assert "VISMANET_TIME_ZONE" in zone["advice"]


def told(done: Any, code: int, check: str, *said: str) -> None:
    assert (done.returncode, done.stderr) == (code, ""), done.stdout
    text = done.stdout.partition(f" {check} ")[2]
    for words in said:
        assert words in text, done.stdout


def test_nobody_is_signed_in(shell: Shell) -> None:
    done = shell.inside("doctor", env={"VISMANET_CLIENT_SECRET": None})
    told(done, 2, "settings", "VISMANET_CLIENT_SECRET not set", "profiles.toml", "VISMANET_TOKEN")
    assert "network" not in done.stdout


def test_a_profile_that_others_can_read(shell: Shell, tmp_path: Path) -> None:
    profile = tmp_path / "profiles.toml"
    profile.write_text(f'[default]\nclient_secret = "{SECRET}"\n')
    profile.chmod(0o644)
    done = shell.inside("doctor", env={"VISMANET_PROFILE_FILE": str(profile)})
    told(done, 2, "settings", "others can read it", "chmod 600")
    assert SECRET not in done.stdout
    profile.chmod(0o600)
    assert shell.inside("doctor", env={"VISMANET_PROFILE_FILE": str(profile)}).returncode == 0
    told(shell.inside("doctor", "--profile", "nightly"), 2, "settings", "there is no profile file")


@pytest.mark.parametrize(
    ("settings", "code", "check", "said"),
    [
        ({"VISMANET_TIME_ZONE": "Mars/Base"}, 2, "settings", ["not a known zone"]),
        ({"VISMANET_BASE_URL": "http://api.finance.visma.net"}, 2, "settings", ["in the clear"]),
        ({"VISMANET_CLIENT_ID": "somebody"}, 3, "token", ["invalid_client", "Check client id and client secret"]),
        ({"VISMANET_CLIENT_SECRET": "wrong-one"}, 3, "token", ["invalid_client"]),
        ({"VISMANET_CLIENT_SECRET": "wrong one"}, 2, "settings", ["white space"]),
        ({"VISMANET_TENANT_ID": "a-stranger"}, 3, "token", ["invalid_tenant", "role API User"]),
        ({"VISMANET_POLL_SHARE": "90"}, 2, "settings", ["poll_share", "above 0 and at most 1"]),
        ({"VISMANET_TOKEN": "an-old-one"}, 3, "company", ["401", "get a new one"]),
        ({"VISMANET_TIME_ZONE": "America/New_York"}, 1, "zone", ["in the future there", "another zone"]),
    ],
)
def test_settings_that_are_wrong(
    shell: Shell, settings: dict[str, str], code: int, check: str, said: list[str]
) -> None:
    shell.do(shell.simulator.touch, "branch", count=1)  # the company has just written something
    done = shell.inside("doctor", env=dict(settings))
    told(done, code, check, *said)
    assert "wrong-one" not in done.stdout
    assert shell.simulator.client_secret not in done.stdout


async def make_store(path: Path) -> None:
    store = SqlStore(path)
    await store.open()
    await store.aclose()


def test_the_job_store_is_looked_at(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "new" / "jobs.sqlite"
    told(shell.inside("doctor", env={"VISMANET_JOB_STORE": str(path), "VISMANET_POLL_SHARE": "0.25"}), 0, "jobs",
         f"kept in {path}, which the first one makes; looking for ends may use 0.25 of the quota.")  # fmt: skip
    assert not path.parent.exists()
    anyio.run(make_store, path)
    told(shell.inside("doctor", env={"VISMANET_JOB_STORE": str(path)}), 0, "jobs", f"are kept in {path}.")
    (tmp_path / "text").write_text("x" * 200)
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as theirs:
        theirs.execute("CREATE TABLE orders (id INTEGER)")
    theirs.close()
    before = other.read_bytes()
    for named, said in (
        (str(other), "is another database: it holds 'orders'"),
        (str(tmp_path), "is not a regular file"),
        (str(tmp_path / "text" / "jobs"), "is no folder to write in"),
        (str(tmp_path / "text"), "is a file of another kind"),
        ("postgresql://u:Zs9@127.0.0.1:9/db", "u:***@127.0.0.1:9/db cannot be reached"),
        ("redis://x", "SQLite or PostgreSQL"),
    ):
        done = shell.inside("doctor", env={"VISMANET_JOB_STORE": named})
        told(done, 1, "jobs", said, "no background job can be submitted")
        assert "Zs9" not in done.stdout
    assert other.read_bytes() == before


def test_a_good_token_that_the_company_refuses(shell: Shell) -> None:
    """What the Customer tenant id looks like instead of the Company tenant id (docs/facts.md 2.7)."""
    shell.simulator.behaviours.set(approved=False)
    done = shell.inside("doctor")
    told(done, 3, "company", "the token is good", "Customer tenant id", "has not approved")
    assert "ok       token" in done.stdout


def test_the_quota_is_used_up(shell: Shell) -> None:
    shell.simulator.faults.add("status", status=429, path="/v1/branch", retry_after=3000)
    told(shell.inside("doctor"), 1, "company", "quota is used up", "shares it")


def test_the_api_fails(shell: Shell) -> None:
    shell.simulator.faults.add("status", status=500, path="/v1/branch")
    told(shell.inside("doctor"), 5, "company", "500")
    shell.simulator.faults.clear()
    shell.simulator.faults.add("status", status=404, path="/v1/branch")
    told(shell.inside("doctor"), 5, "company", "The base URL is wrong")


def test_a_sales_order_service_out_of_reach_is_no_error(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    done = shell.inside("doctor", env={"VISMANET_SALES_ORDER_URL": f"http://127.0.0.1:{free}"})
    told(done, 1, "network", "sales_order_url: 127.0.0.1", "for the Sales Order service alone")
    assert "ok       company" in done.stdout
    assert "sales orders:" not in done.stdout


def test_on_a_terminal_it_is_coloured_and_wrapped(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    for name, value in {"COLUMNS": "40", "TERM": "xterm", "FORCE_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    _show(Finding(check="zone", level="warning", text="none [b]at all[/b]", advice="Set the variable to a name."))
    out = capsys.readouterr().out
    assert "\x1b[33mwarning" in out
    assert "[b]" in out
    assert max(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in out.splitlines()) <= 40


# --- scripted answers ----------------------------------------------------------------------------------------------


@pytest.fixture
async def wire(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Wire]:
    async with wire_server() as server:
        given = {
            "CLIENT_ID": "isv", "CLIENT_SECRET": SECRET, "TENANT_ID": "company", "BASE_URL": server.url,
            "TOKEN_URL": f"{server.url}/connect/token", "SALES_ORDER_URL": server.url, "PROFILE_FILE": "",
            "TOKEN": "", "PROFILE": "", "TIME_ZONE": "Europe/Oslo",
        }  # fmt: skip
        for name, value in given.items():
            monkeypatch.setenv(f"VISMANET_{name}", value)
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
        server.default = (answer(body=b"[]", Date=format_datetime(NOW, usegmt=True)),)
        yield server


async def look() -> dict[str, Finding]:
    """Give the worst finding of each check."""
    found: dict[str, Finding] = {}
    order = ["ok", "note", "warning", "error"]
    async for finding in diagnose(clock=VirtualClock()):
        known = found.get(finding.check)
        if known is None or order.index(finding.level) > order.index(known.level):
            found[finding.check] = finding
        assert SECRET not in repr(finding)
        assert "token-1" not in repr(finding)
    return found


async def test_a_missing_scope_is_named(wire: Wire) -> None:
    reads = "vismanet_erp_service_api:read"
    wire.grant = (token(scope=reads, expires_in=300),)
    found = await look()
    assert (found["scopes"].level, found["scopes"].exit_code) == ("warning", 1)
    assert "not granted: vismanet_erp_service_api:create" in found["scopes"].text
    assert f"scopes={[reads]!r}" in found["scopes"].advice
    assert (found["token"].level, "300 s" in found["token"].text) == ("note", True)
    wire.grant = (token(scope="vismanet_erp_service_api:create"),)
    found = await look()
    assert (found["scopes"].level, found["scopes"].exit_code) == ("error", 3)


async def test_a_refused_scope_is_found_out_by_asking_for_what_is_granted(wire: Wire) -> None:
    refused = answer(400, b'{"error": "invalid_scope"}')
    wire.grants.extend([(refused,), (token(scope=" ".join(ERP_SCOPES[:3])),), (refused,), (refused,)])
    found = await look()
    assert found["scopes"].text == f"ERP: not granted: {ERP_SCOPES[3]}."
    assert (found["token"].level, found["company"].level) == ("warning", "ok")
    assert "invalid_scope" in found["token"].text
    assert "sales orders" in found["token"].text
    asked = [seen.body.decode() for seen in wire.asked]
    assert ["scope=" in body for body in asked] == [True, False, True, False]


async def test_scopes_that_are_not_told_are_no_fault(wire: Wire) -> None:
    assert (await look())["scopes"].level == "note"


async def test_a_token_url_that_is_none(wire: Wire) -> None:
    wire.grant = (answer(body=b"<html>Sign in</html>"),)
    found = await look()
    assert (found["token"].level, found["token"].exit_code) == ("error", 3)
    assert "not with JSON" in found["token"].text
    assert "company" not in found


async def test_a_role_that_is_missing(wire: Wire) -> None:
    wire.default = (answer(403),)
    found = await look()
    assert (found["company"].level, found["company"].exit_code) == ("error", 3)
    assert "403" in found["company"].text


async def test_a_clock_that_is_wrong(wire: Wire) -> None:
    wire.default = (answer(body=b"[]", Date=format_datetime(NOW + timedelta(minutes=7), usegmt=True)),)
    found = await look()
    assert (found["clock"].level, found["clock"].exit_code) == ("warning", 1)
    assert "420 s behind" in found["clock"].text


async def test_an_answer_that_is_no_list(wire: Wire) -> None:
    wire.default = (answer(body=b""),)
    found = await look()
    assert (found["company"].level, found["zone"].level, found["clock"].level) == ("ok", "ok", "note")


# --- the way there -------------------------------------------------------------------------------------------------


async def test_a_server_that_speaks_no_tls(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer_plainly(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer_plainly, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        monkeypatch.setenv("VISMANET_BASE_URL", f"https://127.0.0.1:{port}")
        found = await look()
    assert (found["network"].level, found["network"].exit_code) == ("error", 5)
    assert "does not speak TLS" in found["network"].text
    assert found["token"].level == "ok"
    assert "company" not in found


def not_trusted() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"
    return error


@pytest.mark.parametrize(
    ("error", "said", "advice"),
    [
        (not_trusted(), "its certificate is not trusted (self-signed certificate)", "VISMANET_CA_FILE"),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused", "firewall"),
        (anyio.BrokenResourceError(), "cannot be connected to", "firewall"),
        (TimeoutError(), "does not answer within 10 s", "firewall"),
    ],
)
async def test_ways_not_to_connect(
    error: Exception, said: str, advice: str, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise error

    for proxy in ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    monkeypatch.setattr(anyio, "connect_tcp", fail)
    found = await look()
    assert list(found) == ["settings", "jobs", "network"]
    assert said in found["network"].text
    assert advice in found["network"].advice
    monkeypatch.setenv("HTTPS_PROXY", "http://user:pass@proxy:3128")
    found = await look()
    assert "A proxy is set" in found["network"].advice
    assert "pass" not in found["network"].advice


async def test_a_name_without_address(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(anyio, "getaddrinfo", unknown)
    monkeypatch.setenv("VISMANET_BASE_URL", "https://integration.visma.net/API/controller/api")
    found = await look()
    assert "integration.visma.net has no address (Name or service not known)" in found["network"].text
    assert "the base URL is the old one" in found["settings"].text
    assert "Check the name and DNS" in found["network"].advice


# --- single judgements ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "left", "level", "said"),
    [
        ("4-fixed-window", 9_000, "ok", "9,000 of 15,000 requests left, resets in 60 s"),
        ("4-fixed-window", 700, "warning", "wait for the reset"),
        ("6-fixed-window", 9_000, "warning", "old base URL"),
        ("8-fixed-window", 9_000, "warning", "sales_order_service"),
    ],
)
def test_quotas(policy: str, left: int, level: str, said: str) -> None:
    finding = quota_finding(Quota(limit=15_000, remaining=left, policy=policy, resets_at=160.0), now=100.0)
    assert finding.level == level
    assert said in finding.text + finding.advice
    assert quota_finding(Quota(), now=0.0).level == "note"


@pytest.mark.parametrize(
    ("seconds", "level", "said"),
    [(0, "ok", "agrees"), (5, "ok", "agrees"), (-30, "note", "30 s behind"), (61, "warning", "61 s ahead of")],
)
def test_clocks(seconds: int, level: str, said: str) -> None:
    headers = {"Date": "Sun, 01 Mar 2026 12:00:00 GMT"}
    finding = clock_finding(headers, utc_now=NOW + timedelta(seconds=seconds))
    assert (finding.level, said in finding.text) == (level, True)
    assert clock_finding({"Date": "yesterday"}, utc_now=NOW).level == "note"
    assert clock_finding({"Date": "Sun, 01 Mar 2026 12:00:00 -0000"}, utc_now=NOW).level == "ok"


def test_zones() -> None:
    oslo, now = ZoneInfo("Europe/Oslo"), NOW  # 13:00 there
    assert zone_finding(oslo, modified=["2026-03-01T13:01:59"], utc_now=now).level == "ok"
    assert zone_finding(oslo, modified=["2026-03-01T13:02:01", "None"], utc_now=now).level == "warning"
    assert zone_finding(oslo, modified=["2026-03-01T15:00:00Z", "x"], utc_now=now).level == "ok"
    assert zone_finding(None, modified=[], utc_now=now).level == "note"


def test_the_first_error_decides_the_exit_code() -> None:
    def finding(level: Any, code: int) -> Finding:
        return Finding(check="x", level=level, text="", exit_code=code)

    assert worst([]) == 0
    assert worst([finding("note", 0), finding("ok", 0)]) == 0
    assert worst([finding("ok", 0), finding("warning", 1)]) == 1
    assert worst([finding("warning", 1), finding("error", 5), finding("error", 3)]) == 5


def test_it_is_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "doctor" in capsys.readouterr().out

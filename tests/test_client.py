"""`VismaNet` itself: how it is made, what it shares, what it refuses and what it leaves behind."""

# mypy: disable-error-code="unused-awaitable"
# operations and listings are values here: some are made to be refused

from __future__ import annotations

import asyncio
import socket
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from tests.paging.live import Live, keys, live
from tests.support.clock import VirtualClock
from vismanet_async._api.registry import honours_if_match
from vismanet_async._client import VismaNet
from vismanet_async._conditions import on_or_after
from vismanet_async._http.auth.credentials import AuthorizationCode, ClientCredentials, StaticToken
from vismanet_async._http.message import Response, no_headers
from vismanet_async._http.pool import SessionPool
from vismanet_async._settings import ERP_URL, Settings
from vismanet_async.errors import (
    NotFound,
    NotSent,
    OutcomeUnknown,
    PreconditionFailed,
    RateLimited,
    RequestRefused,
    SettingsError,
    TokenRefused,
    Unauthorized,
    UnexpectedResponse,
    UnknownName,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SECRET = "m4rk3r-s3cr3t"
OTHER = "22222222-3333-4444-8555-666666666666"


@pytest.fixture
async def site() -> AsyncIterator[Live]:
    async with live(rows={"customer": 30}, companies=[OTHER]) as made:
        yield made


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    for name in ("CLIENT_ID", "CLIENT_SECRET", "TENANT_ID", "TOKEN", "BASE_URL", "TOKEN_URL", "SALES_ORDER_URL"):
        monkeypatch.delenv(f"VISMANET_{name}", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return monkeypatch


# -- making one


async def test_from_env_reads_all_it_needs(site: Live, environment: pytest.MonkeyPatch) -> None:
    for name, value in site.sim.environment().items():
        environment.setenv(name, value)
    async with VismaNet.from_env() as visma:
        assert visma.tenant_id == site.sim.tenant_id
        assert len(await visma.customer.list()) == 30


async def test_from_env_takes_a_profile(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "profiles.toml"
    path.write_text('[test]\ntoken = "t0ken"\nbase_url = "https://test.example"\ntime_zone = "Europe/Oslo"\n')
    path.chmod(0o600)
    environment.setenv("VISMANET_PROFILE_FILE", str(path))
    visma = VismaNet.from_env(profile="test")
    assert repr(visma) == "<VismaNet static token at https://test.example>"
    assert str(visma.time_zone) == "Europe/Oslo"
    assert visma.tenant_id is None


async def test_options_win_over_settings(site: Live) -> None:
    settings = Settings(token=site.sim.issue_token(), tenant_id="mine", base_url="https://nowhere.example")
    async with VismaNet.from_settings(settings, base_url=site.sim.base_url, clock=VirtualClock()) as visma:
        assert visma.tenant_id == "mine"
        assert await visma.customer.list().count() == 30


def test_what_is_missing_to_sign_in_is_named(environment: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="VISMANET_CLIENT_ID, VISMANET_CLIENT_SECRET, VISMANET_TENANT_ID not set"):
        VismaNet.from_env()
    with pytest.raises(SettingsError, match="not signed in: VISMANET_TENANT_ID not set"):
        VismaNet.from_settings(Settings(client_id="a", client_secret="b"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base_url": "http://erp.example"}, "base_url"),
        ({"base_url": "erp.example"}, "base_url"),
        ({"token_url": "ftp://erp.example"}, "token_url"),
        ({"sales_order_url": "http://erp.example"}, "sales_order_url"),
        ({"concurrency": 0}, "concurrency must be a number from 1 up"),
        ({"concurrency": "many"}, "concurrency"),
        ({"timeout_seconds": 0}, "timeout_seconds must be greater than 0"),
        ({"timeout_seconds": float("nan")}, "timeout_seconds must be greater than 0"),
    ],
)
def test_what_cannot_be_used_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        VismaNet(StaticToken("t0ken"), **options)


def test_making_one_needs_no_event_loop_and_sends_nothing() -> None:
    visma = VismaNet(ClientCredentials("isv", SECRET, tenant_id="company"))
    assert visma.sender.requests == 0
    assert visma.quota.limit is None
    assert repr(visma) == f"<VismaNet company at {ERP_URL}>"


def test_nothing_shows_a_secret() -> None:
    for credentials in (ClientCredentials("isv", SECRET, tenant_id="company"), StaticToken(SECRET)):
        visma = VismaNet(credentials)
        shown = [visma, visma.sender, visma.customer, visma.customer.list(), visma.request("GET", "/v1/customer")]
        assert SECRET not in "".join(map(repr, shown))


async def test_the_clock_is_the_one_given(site: Live) -> None:
    assert site.visma.clock is site.clock
    assert site.visma.time_zone is None


# -- companies


async def test_companies_share_connections_and_nothing_else(site: Live) -> None:
    visma = site.visma
    other = visma.company(OTHER)
    assert other.tenant_id == OTHER
    assert other._pool is visma._pool
    assert other.quota is not visma.quota
    assert other.sender.limiter is not visma.sender.limiter
    site.sim.remove("customer", count=5)
    assert (await visma.customer.list().count(), await other.customer.list().count()) == (25, 30)
    tenants = [entry.tenant_id for entry in site.sim.requests.matching(operation="Customer_GetAll")]
    assert tenants == [site.sim.tenant_id, OTHER]
    await other.aclose()  # the connections are not its own
    assert await visma.customer.list().count() == 25
    assert other.company(site.sim.tenant_id).tenant_id == site.sim.tenant_id


async def test_siblings_of_one_company_share_its_token_quota_and_limit(site: Live) -> None:
    visma = site.visma
    number = site.sim.truth("customer").keys[0]
    await visma.customer.get(number)
    before = site.sim.requests.total
    for _ in range(5):  # as a service does that asks for the client at each request
        await visma.company(visma.tenant_id or "").customer.get(number)
    assert site.sim.requests.total - before == 5, "no token of its own"
    others = [visma.company(OTHER), visma.company(OTHER).company(OTHER), visma.company(OTHER, concurrency=3)]
    for other in others:
        await other.customer.get(number)
    assert site.sim.requests.total - before == 5 + 1 + 3, "one token for all"
    first, second, few = others
    assert first.quota is second.quota is few.quota
    assert first.sender.limiter is second.sender.limiter
    assert few.sender.limiter.limit == 3 != first.sender.limiter.limit
    assert visma.company(OTHER, concurrency="3").sender is few.sender
    assert first.sender.quota_of("sales_order") is few.sender.quota_of("sales_order") is not first.quota
    elsewhere = visma.company(OTHER, credentials=ClientCredentials("another", "secret", tenant_id=OTHER))
    assert elsewhere.quota is not first.quota
    first.quota.paused_until = visma.clock.monotonic() + 100
    with pytest.raises(RateLimited, match="longer than the time left"):
        await visma.company(OTHER).customer.get(number).with_options(timeout_seconds=1)
    await first.aclose()
    first.quota.paused_until = 0.0
    await second.customer.get(number)
    await visma.company(OTHER).customer.get(number)


async def test_credentials_of_a_user_s_own_class_need_no_hash(site: Live) -> None:
    class Own(StaticToken):
        __hash__ = None  # type: ignore[assignment]

    async with VismaNet(Own(site.sim.issue_token()), base_url=site.sim.base_url) as visma:
        assert (await visma.customer.get(site.sim.truth("customer").keys[0])).number


def test_a_ready_token_is_bound_to_one_company() -> None:
    with pytest.raises(SettingsError, match="only ClientCredentials"):
        VismaNet(StaticToken("t0ken")).company("other")


async def test_siblings_take_over_the_options(site: Live) -> None:
    async with VismaNet(
        ClientCredentials("a", "b", tenant_id="c"), base_url=site.sim.base_url, concurrency=3, headers={"X-A": "b"}
    ) as visma:
        other = visma.company("d")
        assert other._options == visma._options
        assert other.sender.limiter.limit == 3


async def test_a_pool_that_was_given_stays_open(site: Live) -> None:
    pool = SessionPool()
    token = StaticToken(site.sim.issue_token())
    for _ in range(2):
        async with VismaNet(token, base_url=site.sim.base_url, pool=pool, clock=VirtualClock()) as visma:
            assert await visma.customer.list().count() == 30
    await pool.aclose()


# -- signing in


async def test_a_wrong_secret_says_what_to_check(site: Live) -> None:
    credentials = ClientCredentials(site.sim.client_id, SECRET, tenant_id=site.sim.tenant_id)
    async with VismaNet(
        credentials, base_url=site.sim.base_url, token_url=site.sim.token_url, clock=VirtualClock()
    ) as visma:
        with pytest.raises(TokenRefused) as caught:
            await visma.customer.list()
    assert SECRET not in str(caught.value)
    assert not site.sim.requests.matching(operation="Customer_GetAll")


async def test_the_wrong_kind_of_tenant_is_told(site: Live) -> None:
    visma = site.visma.company(site.sim.customer_tenant_id)
    with pytest.raises(Unauthorized, match="Company tenant id"):
        await visma.customer.list().first()


async def test_an_unreachable_host_is_told_and_nothing_was_sent() -> None:
    with socket.socket() as held:  # bound and not listening: nobody can be there
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        async with VismaNet(StaticToken("t0ken"), base_url=url, clock=VirtualClock()) as visma:
            with pytest.raises(NotSent, match="cannot connect"):
                await visma.customer.list()
            assert visma.sender.limiter.in_flight == 0


# -- lists by name


@pytest.mark.parametrize("name", ["customer_invoice", "customerInvoice", "customer-invoice", "CustomerInvoice"])
def test_a_list_by_any_spelling_of_its_name(name: str) -> None:
    visma = VismaNet(StaticToken("t0ken"))
    assert visma.list_by_name(name).operation_id == "CustomerInvoice_GetAll"


async def test_a_list_by_name_with_filters_and_options(site: Live) -> None:
    filters = {"lastModifiedDateTime": on_or_after("2000-01-01"), "status": "Active"}
    listing = site.visma.list_by_name("customer", filters, page_size=10, limit=3)
    assert len(await listing) <= 3
    query = site.sim.requests[-1].query
    assert query["lastModifiedDateTimeCondition"] == ">="
    assert (query["status"], query["pageSize"]) == ("Active", "10")


@pytest.mark.parametrize(
    ("name", "filters", "options", "error", "message"),
    [
        ("custmer", {}, {}, UnknownName, "customer"),
        ("customer", {"statsu": "Active"}, {}, UnknownName, "status"),
        ("customer", {"lastModifiedDateTime": "2025-01-01"}, {}, RequestRefused, "on_or_after"),
        ("customer", {}, {"page_size": 0}, RequestRefused, "page_size must be 1 or more"),
        ("customer", {}, {"pages": 1}, RequestRefused, "no option 'pages'"),
        ("features_set", {}, {}, RequestRefused, "has no list of its own"),
    ],
)
async def test_a_list_by_name_refuses_what_it_does_not_know(  # noqa: PLR0917 - pytest calls it by keyword
    site: Live, name: str, filters: dict[str, Any], options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        site.visma.list_by_name(name, filters, **options)
    assert site.sim.requests.total == 0


# -- the escape hatch


async def test_a_request_by_hand(site: Live) -> None:
    number = site.sim.truth("customer").keys[0]
    found = await site.visma.request("get", f"/v1/customer/{number}", headers={"X-Trace": "a"})
    assert found["number"] == number
    entry = site.sim.requests[-1]
    assert (entry.method, entry.headers["X-Trace"]) == ("GET", "a")
    rows = await site.visma.request("GET", "/v1/customer", query={"pageNumber": "1", "pageSize": "2"})
    assert len(rows) == 2
    with pytest.raises(NotFound):
        await site.visma.request("GET", "/v1/customer/none-such")


ALTERNATIVE = {"operation": "Insert", "alternateType": {"value": "Barcode"}, "alternateID": {"value": "7046110000014"}}


@pytest.mark.parametrize(
    ("path", "body", "sent"),
    [
        # Visma ignores If-Match here: each one that arrives adds a cross reference
        ("/v1/inventory/{}", {"crossReferences": [ALTERNATIVE]}, 1),
        ("/v1/customer/{}", {"name": {"value": "Vega AS"}}, 2),
        ("/v1/CUSTOMER/{}", {"name": {"value": "Vega AS"}}, 2),
    ],
)
async def test_a_write_by_hand_is_repeated_where_the_catalog_knows_its_guard(
    path: str, body: dict[str, Any], sent: int
) -> None:
    resource = path.split("/")[2].lower()
    async with live(rows={resource: 2}) as site:
        number = site.sim.truth(resource).keys[0]
        version = (await getattr(site.visma, resource).get(number)).etag or "AAAAAAAAAAA="
        site.sim.faults.add("reset_after", method="PUT", times=1)
        with pytest.raises(OutcomeUnknown if sent == 1 else (OutcomeUnknown, PreconditionFailed)):
            await site.visma.request("PUT", path.format(number), json=body, if_match=version)
        assert sum(each.succeeded for each in site.sim.ledger.matching() if each.method == "PUT") == 1
        assert len([each for each in site.sim.requests if each.method == "PUT"]) == sent


@pytest.mark.parametrize(
    ("verb", "path", "service", "honoured"),
    [
        ("PUT", "/v1/customer/10000", "erp", True),
        ("PUT", "/v1/customer/10000", "sales_order", False),
        ("PUT", "/v1/customer/10000/", "erp", False),
        ("PUT", "/v1/customer/a%2Fb", "erp", False),
        ("PUT", "/v1/newThing/1", "erp", False),
        ("PUT", "/v1/salesorder/1", "erp", False),
        ("POST", "/v1/customerinvoice/1/action/release", "erp", False),  # only in the background
        ("DELETE", "/api/v3/SalesOrders/SO/000001", "sales_order", True),
        ("DELETE", "/api/v3/SalesOrders/SO/000001", "erp", False),
    ],
)
def test_what_the_catalog_says_of_a_path(verb: str, path: str, service: str, honoured: bool) -> None:
    assert honours_if_match(verb, path, service=service) is honoured


async def test_decimals_by_hand_are_exact_both_ways(site: Live) -> None:
    body = {"name": {"value": "A"}, "creditLimit": {"value": Decimal("99999999999999999.99")}}
    operation = site.visma.request("PUT", "/v1/customer/10000", json=body)
    assert operation.preview().body == '{"name":{"value":"A"},"creditLimit":{"value":99999999999999999.99}}'
    operation = site.visma.request("GET", "/v1/customer")
    decoded = operation.decode(answer(b'{"a":1234567890123.4567,"b":10,"c":1e2,"d":0.10}'))
    assert {name: str(value) for name, value in decoded.items()} == {
        "a": "1234567890123.4567",
        "b": "10",
        "c": "1E+2",
        "d": "0.10",
    }
    assert isinstance(decoded["b"], int)


def answer(body: bytes) -> Response:
    return Response(status=200, headers=no_headers(), body=body)


@pytest.mark.parametrize("body", [b"", b"  \r\n"])
def test_no_body_is_none(body: bytes) -> None:
    operation = VismaNet(StaticToken("t0ken")).request("GET", "/v1/customer")
    assert operation.decode(answer(body)) is None


@pytest.mark.parametrize("body", [b"<html>", b'{"a":', b"{}{}"])
def test_a_body_that_is_no_json_is_told(body: bytes) -> None:
    operation = VismaNet(StaticToken("t0ken")).request("GET", "/v1/customer")
    with pytest.raises(UnexpectedResponse, match="not JSON"):
        operation.decode(answer(body))


@pytest.mark.parametrize(
    "path",
    [
        "v1/customer",
        "",
        "//evil.example/v1",
        "https://evil.example/v1/customer",
        "/v1/../admin",
        "/v1/%2e%2e/admin",
        "/v1/./customer",
        "/v1\\customer",
        "/v1/customer?status=Active",
        "/v1/customer#top",
        "/v1/custom er",
        "/v1/customer\r\nX-A: b",
        "/v1/customer\x00",
    ],
)
def test_paths_that_lead_elsewhere_are_refused(path: str) -> None:
    with pytest.raises(RequestRefused, match="nothing was sent"):
        VismaNet(StaticToken("t0ken")).request("GET", path)


def test_methods_and_headers_that_cannot_be_are_refused() -> None:
    visma = VismaNet(StaticToken("t0ken"))
    with pytest.raises(RequestRefused, match="'TRACE' is not a method"):
        visma.request("TRACE", "/v1/customer")
    for name in ("Authorization", "If-Match", "erp-api-background"):
        with pytest.raises(RequestRefused, match=name):
            visma.request("GET", "/v1/customer", headers={name: "x"})


# -- rooms that open on demand


async def test_jobs_are_made_once_and_closed_with_the_client(site: Live, tmp_path: Path) -> None:
    credentials = ClientCredentials(site.sim.client_id, site.sim.client_secret, tenant_id=site.sim.tenant_id)
    before = asyncio.all_tasks()
    visma = VismaNet(
        credentials,
        base_url=site.sim.base_url,
        token_url=site.sim.token_url,
        job_store=tmp_path / "jobs.sqlite3",
        clock=VirtualClock(),
    )
    other = visma.company(OTHER)
    for client in (visma, other):
        assert client.jobs is client.jobs
        assert client.jobs.company == client.tenant_id
        await client.jobs.list()
    assert visma.jobs is not other.jobs
    await visma.aclose()
    await visma.aclose()
    assert not asyncio.all_tasks() - before
    with pytest.raises(RequestRefused, match="closed"):
        await visma.customer.list()


async def test_jobs_refuse_what_another_client_made(site: Live) -> None:
    credentials = ClientCredentials(site.sim.client_id, site.sim.client_secret, tenant_id=site.sim.tenant_id)
    urls: dict[str, Any] = {"base_url": site.sim.base_url, "token_url": site.sim.token_url}
    async with VismaNet(credentials, **urls, job_store=":memory:") as visma:
        other = visma.company(OTHER)
        job = await visma.jobs.submit(visma.company(site.sim.tenant_id).customer.get("10000"))
        calls: list[Any] = [other.customer.update("10000", {"name": "theirs"}), other.customer.list()]
        for call in calls:
            for way in (
                visma.jobs.submit(call),
                visma.jobs.submit_many([call]),
            ):
                with pytest.raises(RequestRefused, match=r"of another client|one by one"):
                    await way
        assert [record.id for record in await visma.jobs.list()] == [job.id]
    assert not site.sim.ledger.matching(operation="Customer_PutBycustomerCd")


async def test_a_store_that_was_given_stays_open(tmp_path: Path) -> None:
    from vismanet_async._jobs.sql.store import SqlStore

    store = SqlStore(tmp_path / "jobs.sqlite3")
    await store.open()
    async with VismaNet(StaticToken("t0ken", tenant_id="company"), job_store=store) as visma:
        assert await visma.jobs.list() == []
        sibling_free = visma.jobs
        assert sibling_free.company == "company"
    assert await store.select(company="company") == []
    await store.aclose()


async def test_the_environment_says_where_jobs_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISMANET_TOKEN", "t0ken")
    monkeypatch.setenv("VISMANET_TENANT_ID", "company")
    monkeypatch.setenv("VISMANET_JOB_STORE", str(tmp_path / "named.sqlite"))
    async with VismaNet.from_env() as visma:
        assert await visma.jobs.list() == []
    assert [path.name async for path in anyio.Path(tmp_path).glob("*.sqlite")] == ["named.sqlite"]
    async with VismaNet.from_env(job_store=tmp_path / "given.sqlite") as visma:
        assert await visma.jobs.list() == []
    assert {path.name async for path in anyio.Path(tmp_path).glob("*.sqlite")} == {"named.sqlite", "given.sqlite"}


def test_jobs_need_a_known_company() -> None:
    with pytest.raises(SettingsError, match="tenant_id"):
        _ = VismaNet(StaticToken("t0ken")).jobs


async def test_an_export_is_a_value(site: Live, tmp_path: Path) -> None:
    export = site.visma.export("customer", to=tmp_path / "out")
    assert site.sim.requests.total == 0
    assert not (tmp_path / "out").exists()
    await export
    assert (tmp_path / "out" / "manifest.json").exists()
    with pytest.raises(UnknownName):
        site.visma.export("custmer", to=tmp_path / "out")


async def test_closing_twice_and_without_use() -> None:
    visma = VismaNet(StaticToken("t0ken"))
    await visma.aclose()
    await visma.aclose()
    with pytest.raises(RequestRefused, match="the client is closed"):
        await visma.customer.list().first()


@pytest.mark.parametrize("ends", [True, False])
async def test_closing_waits_a_moment_for_a_new_refresh_token_to_be_kept(
    site: Live, caplog: pytest.LogCaptureFixture, *, ends: bool
) -> None:
    sim, began, going, kept = site.sim, anyio.Event(), anyio.Event(), []

    async def keep(text: str) -> None:
        began.set()
        await going.wait()
        kept.append(text)

    code = sim.tokens.authorization_code(
        sim.client_id, redirect_uri="http://localhost/cb", scope="offline_access", code_challenge=None
    )
    user = AuthorizationCode(
        sim.client_id, sim.client_secret, code=code, redirect_uri="http://localhost/cb", on_refresh_token=keep
    )
    clock = VirtualClock(scopes_move=not ends)
    async with VismaNet(user, base_url=sim.base_url, token_url=sim.token_url, clock=clock) as visma:
        calling = asyncio.create_task(visma.customer.get("10000").send())
        await began.wait()
        calling.cancel()
        await asyncio.wait([calling])
        if ends:
            asyncio.get_running_loop().call_soon(going.set)
    assert len(kept) == ends
    assert ("may not be stored" in caplog.text) is not ends
    going.set()
    await anyio.wait_all_tasks_blocked()
    assert kept, "it is not cut off as long as the program runs"


async def test_leaving_the_block_closes_every_connection(site: Live) -> None:
    async with VismaNet(StaticToken(site.sim.issue_token()), base_url=site.sim.base_url, clock=VirtualClock()) as visma:
        assert keys(await visma.customer.list())
        session = visma._pool._session
    assert session is not None
    assert session.closed


async def test_a_client_begins_with_the_share_of_its_settings() -> None:
    settings = Settings(client_id="a", client_secret="b", tenant_id="c", job_store=":memory:", poll_share=0.9)
    async with VismaNet.from_settings(settings) as visma:
        assert visma.jobs.poll_share == 0.9
        assert visma.company("other").jobs.poll_share == 0.9
    async with VismaNet.from_settings(settings, poll_share=0.1) as visma:
        assert visma.jobs.poll_share == 0.1
    with pytest.raises(SettingsError, match="poll_share"):
        VismaNet.from_settings(settings, poll_share=2)


def test_another_loop_than_that_of_asyncio_is_told() -> None:
    """As trio runs it: without a loop of asyncio in the thread."""
    entering = VismaNet(StaticToken("token", tenant_id="t")).__aenter__()
    with pytest.raises(RuntimeError, match=r"VismaNet runs on asyncio, .* Nothing was sent"):
        entering.send(None)

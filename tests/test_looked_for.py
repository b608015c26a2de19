"""What users of other libraries look for is there, or the error says what to write instead."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from vismanet_async import ClientCredentials, RequestRefused, SessionPool, StaticToken, VismaNet
from vismanet_async._elsewhere import CALLS, CLIENT, POOL
from vismanet_async.errors import ApiError, SettingsError, UnknownName
from vismanet_async.models import CustomerUpdate
from vismanet_async.simulator import Simulator, VirtualClock

if TYPE_CHECKING:
    from collections.abc import Mapping

TOKEN = StaticToken("t", tenant_id="c")


def client_of(sim: Simulator, *, host: str = "127.0.0.1", **options: Any) -> VismaNet:
    credentials = ClientCredentials(sim.client_id, sim.client_secret, tenant_id=sim.tenant_id)
    base, token = (url.replace("127.0.0.1", host) for url in (sim.base_url, sim.token_url))
    return VismaNet(credentials, base_url=base, token_url=token, clock=VirtualClock(), **options)


async def test_limit_and_deadline_of_a_call(visma: VismaNet) -> None:
    assert [one.number for one in await visma.customer.list(limit=2)] == ["10000", "10001"]
    assert visma.customer.get("10000", timeout_seconds=5).deadline_seconds == 5
    assert visma.customer.create({"name": "A"}, timeout_seconds=6).request().deadline_seconds == 6
    assert visma.attachment.download("x", timeout_seconds=7).deadline_seconds == 7
    assert visma.customer.list(timeout_seconds=8)._options.timeout_seconds == 8
    assert visma.customer.list_customer_classes(limit=1)._options.limit == 1
    for wrong in (0, -1, "5"):
        with pytest.raises(RequestRefused, match="timeout_seconds"):
            visma.customer.get("10000", timeout_seconds=wrong).preview()  # type: ignore[arg-type]  # what is tested
        with pytest.raises(RequestRefused, match="timeout_seconds"):
            visma.customer.list(timeout_seconds=wrong).pages()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("statuss", "customer.list has no argument 'statuss': did you mean status?"),
        ("lastModifiedDateTime", "did you mean last_modified_date_time?"),
        ("timeout", "write timeout_seconds"),
        ("headers", "with_options"),
        ("page", "pages are fetched as they are needed"),
        ("max_results", "write limit"),
        ("nothing_like_it", "it has name, status,"),
    ],
)
async def test_arguments_of_calls(visma: VismaNet, given: str, said: str) -> None:
    with pytest.raises(TypeError, match="Nothing was sent") as refused:
        visma.customer.list(**{given: 1}).pages()  # type: ignore[arg-type]  # what is tested
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("timeout", "timeout_seconds"),
        ("max_retries", "max_attempts"),
        ("retries", "max_attempts"),
        ("session", "connector_options"),
        ("http_client", "connector_options"),
        ("verify", "ssl"),
        ("max_connections", "SessionPool(max_connections=...)"),
        ("proxies", "proxy"),
        ("client_id", "ClientCredentials(...)"),
        ("access_token", "StaticToken(...)"),
    ],
)
def test_arguments_of_the_client(given: str, said: str) -> None:
    with pytest.raises(TypeError, match=f"VismaNet has no argument '{given}'") as refused:
        VismaNet(TOKEN, **{given: 1})  # type: ignore[arg-type]  # what is tested
    assert said in str(refused.value)


@pytest.mark.parametrize(("told", "call"), [(CALLS, VismaNet), (CLIENT, VismaNet), (POOL, SessionPool)])
def test_what_is_looked_for_is_not_there(told: Mapping[str, str], call: Any) -> None:
    if told is not CALLS:
        assert not told.keys() & inspect.signature(call).parameters.keys()


async def test_fields_of_what_is_written() -> None:
    with pytest.raises(UnknownName, match=r"'nam' in CustomerUpdate.*Did you mean name\?"):
        CustomerUpdate(nam="x")  # type: ignore[call-arg]  # what is tested
    with pytest.raises(UnknownName, match=r"Did you mean credit_limit\?"):
        CustomerUpdate(creditLimit=1)  # type: ignore[call-arg]


@pytest.mark.parametrize("most", [1, 2, 5])
async def test_how_often_a_call_is_sent(most: int) -> None:
    async with Simulator(rows={"customer": 1}) as sim, client_of(sim, max_attempts=most) as visma:
        sim.faults.add("status", status=503, method="GET", times=9)
        with pytest.raises(ApiError) as failed:
            await visma.customer.get("10000")
        assert len(failed.value.attempts) == min(most, 3)  # the retry table's own


async def test_a_token_that_has_expired_is_renewed_all_the_same() -> None:
    async with Simulator(rows={"customer": 1}) as sim, client_of(sim, max_attempts=1) as visma:
        await visma.customer.get("10000")
        sim.tokens.revoke()
        assert len((await visma.customer.get("10000")).attempts) == 2


@pytest.mark.parametrize("most", [0, 6, "3", True])
def test_attempts_are_few(most: Any) -> None:
    with pytest.raises(SettingsError, match="max_attempts"):
        VismaNet(TOKEN, max_attempts=most)


async def test_options_of_the_connector() -> None:
    asked: list[str] = []

    class Resolver(aiohttp.ThreadedResolver):
        async def resolve(self, host: str, *args: Any, **kwargs: Any) -> Any:
            asked.append(host)
            return await super().resolve("127.0.0.1", *args, **kwargs)

    async with Simulator(rows={"customer": 1}) as sim:
        options = {"resolver": Resolver(), "local_addr": ("127.0.0.1", 0)}
        pool = SessionPool(connector_options=options)
        async with pool, client_of(sim, host="localhost", pool=pool) as visma:
            assert (await visma.customer.get("10000")).number == "10000"
    assert set(asked) == {"localhost"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"limit": 5}, "write max_connections"),
        ({"ssl": False}, "an argument of the pool"),
        ({"force_close": True}, "keeps connections"),
        ({"local_adr": 1}, "did you mean local_addr"),
        (5, "takes a mapping"),
    ],
)
def test_options_of_the_connector_that_are_refused(options: Any, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        SessionPool(connector_options=options)

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import attrs
import pytest

from tests.transport.conftest import SECRET, client_credentials, provider
from vismanet_async._http.auth.credentials import AuthorizationCode, ClientCredentials, Credentials, StaticToken
from vismanet_async._http.auth.grant import RawTokenResponse, TokenRequest
from vismanet_async._http.auth.session import Decision, Token, TokenState
from vismanet_async.errors import NotSent, RequestRefused, ResponseLost, SettingsError, TokenRefused, UnexpectedResponse

if TYPE_CHECKING:
    from yarl import URL

    from tests.support.clock import VirtualClock
    from vismanet_async._http.auth.provider import TokenProvider

URL_TEXT = "https://connect.example/connect/token"


@attrs.define
class Identity:
    """An identity service: gives numbered tokens, or what `script` says."""

    clock: VirtualClock
    script: list[Any] = attrs.field(factory=list)
    forms: list[dict[str, str]] = attrs.field(factory=list)
    seconds: float = 0.0
    lifetime: Any = 3600
    rotate: bool = False
    gate: anyio.Event | None = None

    async def post(self, url: URL, form: TokenRequest, /) -> RawTokenResponse:
        assert str(url) == URL_TEXT
        self.forms.append(dict(form.fields))
        number = len(self.forms)
        if self.gate is not None:
            await self.gate.wait()
        await self.clock.sleep(self.seconds)
        step = self.script.pop(0) if self.script else None
        if isinstance(step, Exception):
            raise step
        if step is None:
            more = {"refresh_token": f"refresh-{number}"} if self.rotate else {}
            step = (200, {"access_token": f"token-{number}", "expires_in": self.lifetime, **more})
        status, body, *headers = step
        return RawTokenResponse(status, body if isinstance(body, bytes) else json.dumps(body).encode(), *headers)


@pytest.fixture
def identity(clock: VirtualClock) -> Identity:
    return Identity(clock)


def of(identity: Identity, credentials: Credentials | None = None, **more: Any) -> TokenProvider:
    return provider(credentials or client_credentials(), url=URL_TEXT, post=identity.post, clock=identity.clock, **more)


async def both(*calls: Any) -> list[Any]:
    """Run calls at once; give results or errors."""
    results: list[Any] = [None] * len(calls)

    async def one(number: int, call: Any) -> None:
        try:
            results[number] = await call()
        except Exception as error:  # noqa: BLE001 - the results are looked at by the test
            results[number] = error

    async with anyio.create_task_group() as tasks:
        for number, call in enumerate(calls):
            tasks.start_soon(one, number, call)
    return results


# --- the pure rule ---


@pytest.mark.parametrize(
    ("lifetime", "age", "decision"),
    [
        (3600, 0, "use"), (3600, 3299.9, "use"), (3600, 3300, "renew early"), (3600, 3569.9, "renew early"),
        (3600, 3570, "wait"), (3600, 9999, "wait"),
        (60, 44.9, "use"), (60, 45, "renew early"), (60, 56.9, "renew early"), (60, 57, "wait"),
    ],
)  # fmt: skip
def test_windows(lifetime: float, age: float, decision: str) -> None:
    assert TokenState(Token("t", 100, 100 + lifetime)).decide(100 + age, rejected=None) is Decision(decision)


def test_rejection_counts_by_object_and_a_failed_early_renewal_holds_the_next() -> None:
    token, same_text = Token("t", 0, 3600), Token("t", 0, 3600)
    assert TokenState().decide(0, rejected=None) is Decision.WAIT
    assert TokenState(token).decide(0, rejected=token) is Decision.WAIT
    assert TokenState(token).decide(0, rejected=same_text) is Decision.USE
    assert TokenState(token, retry_early_at=3400).decide(3399, rejected=None) is Decision.USE
    assert TokenState(token, retry_early_at=3400).decide(3400, rejected=None) is Decision.RENEW_EARLY
    assert TokenState(token, retry_early_at=3600).decide(3590, rejected=None) is Decision.WAIT


# --- single flight ---


async def test_two_hundred_callers_cause_one_request(identity: Identity) -> None:
    tokens = of(identity)
    identity.seconds = 1
    assert tokens.cached() is None
    results = await both(*[tokens.get] * 200)
    assert {token.text for token in results} == {"token-1"}
    assert len(identity.forms) == 1
    assert tokens.cached() is results[0]


async def test_a_failure_is_shared_by_those_who_waited_and_not_by_later_callers(identity: Identity) -> None:
    tokens = of(identity)
    identity.seconds = 1
    identity.script = [(400, {"error": "invalid_client"})]
    results = await both(*[tokens.get] * 50)
    assert {type(error) for error in results} == {TokenRefused}
    assert {(error.error, error.status, str(error)) for error in results} == {("invalid_client", 400, str(results[0]))}
    assert len({id(error) for error in results}) == 50, "each task has its own"
    assert len(identity.forms) == 1
    assert (await tokens.get()).text == "token-2"


async def test_an_unreachable_service_is_asked_three_times_for_all(identity: Identity) -> None:
    tokens = of(identity)
    identity.script = [NotSent("down")] * 3
    results = await both(*[tokens.get] * 20)
    assert {type(error) for error in results} == {NotSent}
    assert "The request itself was not sent" in str(results[0])
    assert len(identity.forms) == 3
    assert identity.clock.slept == [0.375, 0.75]


@pytest.mark.parametrize("step", [(503, b""), (500, b"<html>"), (429, {}), ResponseLost("gone"), NotSent("down")])
async def test_a_passing_fault_is_tried_again(identity: Identity, step: Any) -> None:
    identity.script = [step]
    assert (await of(identity).get()).text == "token-2"


async def test_in_the_early_window_one_renews_and_the_others_carry_on(identity: Identity) -> None:
    tokens = of(identity)
    await tokens.get()
    identity.clock.advance(3400)
    identity.gate = anyio.Event()
    got = []

    async def ask() -> None:
        got.append((await tokens.get()).text)

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        assert got == ["token-1"] * 9
        assert len(identity.forms) == 2
        identity.gate.set()
    assert got[-1] == "token-2"


async def test_in_the_hard_window_all_wait(identity: Identity) -> None:
    tokens = of(identity)
    await tokens.get()
    identity.clock.advance(3580)
    results = await both(*[tokens.get] * 10)
    assert {token.text for token in results} == {"token-2"}
    assert len(identity.forms) == 2


@pytest.mark.parametrize(
    "step", [NotSent("down"), ResponseLost("gone"), (400, {"error": "invalid_client"}), (500, b""), (200, b"<html>")]
)
async def test_a_failed_early_renewal_keeps_the_old_token(identity: Identity, step: Any) -> None:
    tokens = of(identity)
    old = await tokens.get()
    identity.clock.advance(3400)
    identity.script = [step]
    assert await tokens.get() is old
    assert await tokens.get() is old
    assert len(identity.forms) == 2, "one try, and not at once again"
    identity.clock.advance(31)
    assert (await tokens.get()).text == "token-3"


async def test_a_caller_cancelled_while_renewing_hands_over(identity: Identity) -> None:
    tokens = of(identity)
    identity.gate = anyio.Event()
    got = []
    scope = anyio.CancelScope()

    async def first() -> None:
        with scope:
            await tokens.get()

    async def second() -> None:
        got.append((await tokens.get()).text)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(second)
        await anyio.wait_all_tasks_blocked()
        scope.cancel()
        await anyio.wait_all_tasks_blocked()
        assert len(identity.forms) == 2
        identity.gate.set()
    assert got == ["token-2"]


@pytest.mark.parametrize("window", [3400, 3580])
async def test_cancelling_a_renewal_frees_it_for_the_next(identity: Identity, window: float) -> None:
    tokens = of(identity)
    await tokens.get()
    identity.clock.advance(window)
    identity.gate = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tokens.get)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    identity.gate = None
    assert (await tokens.get()).text == "token-3"


# --- after a 401 ---


async def test_a_rejected_token_is_replaced_once_for_all(identity: Identity) -> None:
    tokens = of(identity)
    old = await tokens.get()
    results = await both(*[lambda: tokens.get(rejected=old)] * 30)
    assert {token.text for token in results} == {"token-2"}
    assert len(identity.forms) == 2
    assert (await tokens.get(rejected=old)).text == "token-2", "a late 401 to the old one renews nothing"


async def test_a_service_that_gives_the_same_text_again_is_not_asked_for_ever(identity: Identity) -> None:
    identity.script = [(200, {"access_token": "same"})] * 2
    tokens = of(identity)
    old = await tokens.get()
    results = await both(*[lambda: tokens.get(rejected=old)] * 30)
    assert {token.text for token in results} == {"same"}
    assert len(identity.forms) == 2


# --- what the answers say ---


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("invalid_client", "client id and client secret"),
        ("invalid_scope", "scope"),
        ("invalid_tenant", "API User"),
        ("invalid_grant", "sign in again"),
        ("unauthorized_client", "grant"),
        ("odd_code", "token URL"),
    ],
)
async def test_refusals_name_the_cause(identity: Identity, code: str, says: str) -> None:
    identity.script = [(400, {"error": code})]
    with pytest.raises(TokenRefused, match=says) as caught:
        await of(identity).get()
    assert (caught.value.error, caught.value.status) == (code, 400)
    assert len(identity.forms) == 1


async def test_a_broken_service_is_told_from_wrong_credentials(identity: Identity) -> None:
    identity.script = [(503, b"")] * 3
    with pytest.raises(TokenRefused, match="try again later"):
        await of(identity).get()


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b'{"access', b'"\xff"', b"[" * 9999])
async def test_success_without_a_json_object_points_to_the_url(identity: Identity, body: bytes) -> None:
    identity.script = [(200, body)]
    with pytest.raises(TokenRefused, match=r"check the token URL.*Nothing else was sent"):
        await of(identity).get()


async def test_after_a_429_nobody_asks_before_its_pause_is_over(identity: Identity, clock: VirtualClock) -> None:
    identity.script = [(429, {"error": "slow_down"}, {"Retry-After": "60"})]
    tokens, began = of(identity), clock.monotonic()
    results = await both(*[tokens.get] * 10)
    for _ in range(10):
        results += await both(tokens.get)
    assert {(type(error), error.status) for error in results} == {(TokenRefused, 429)}
    assert len(identity.forms) == 1
    assert all(50 < error.retry_after_seconds <= 63 for error in results)
    assert "try again in 6" in str(results[0])
    assert "not asked again before" in str(results[-1])
    assert clock.monotonic() - began < 1
    await clock.sleep(results[-1].retry_after_seconds)
    assert (await tokens.get()).text == "token-2"


async def test_a_short_pause_is_waited_out(identity: Identity, clock: VirtualClock) -> None:
    identity.script = [(429, b"", {"Retry-After": "5"})]
    began = clock.monotonic()
    assert {token.text for token in await both(*[of(identity).get] * 5)} == {"token-2"}
    assert 5 <= clock.monotonic() - began < 7


async def test_a_pause_holds_for_who_may_not_ask_twice_and_for_early_renewals(
    identity: Identity, clock: VirtualClock
) -> None:
    tokens = of(identity)
    token = await tokens.get()
    await clock.sleep(3400)
    identity.script = [(429, b"", {"Retry-After": "5"})]
    assert await tokens.get() is token
    assert await tokens.get() is token
    assert len(identity.forms) == 2
    once = of(identity, AuthorizationCode("a", "b", refresh_token="r"))
    identity.script = [(429, b"", {"Retry-After": "5"})]
    with pytest.raises(TokenRefused) as caught:
        await once.get()
    assert caught.value.retry_after_seconds == pytest.approx(5, abs=1)
    assert (await once.get()).text == "token-4"


async def test_a_response_that_nobody_can_read_is_no_token(identity: Identity) -> None:
    identity.script = [UnexpectedResponse("the answer came with the encoding 'br', which was not asked for.")]
    with pytest.raises(TokenRefused, match=r"gave no token.*'br'.*Nothing else was sent"):
        await of(identity).get()
    assert len(identity.forms) == 1


@pytest.mark.parametrize("body", [{}, {"access_token": ""}, {"access_token": 7}, {"access_token": None}])
async def test_success_without_a_token_is_a_refusal(identity: Identity, body: Any) -> None:
    identity.script = [(200, body)]
    with pytest.raises(TokenRefused, match="gave no token"):
        await of(identity).get()


@pytest.mark.parametrize("text", ["a b", "a\r\nX: y", "tøken", "a\x00"])
async def test_a_token_that_would_break_a_header_is_refused(identity: Identity, text: str) -> None:
    identity.script = [(200, {"access_token": text})]
    with pytest.raises(TokenRefused, match=r"cannot stand in a header.*Nothing else was sent"):
        await of(identity).get()


@pytest.mark.parametrize(
    ("said", "seconds"), [(60, 60), ("60", 60), (None, 3600), ("soon", 3600), (0, 3600), (-5, 3600), ([], 3600)]
)
async def test_lifetimes(identity: Identity, said: Any, seconds: float) -> None:
    identity.lifetime = said
    token = await of(identity).get()
    assert token.ends_at - token.issued_at == seconds


async def test_an_answer_that_never_comes_is_given_up(identity: Identity) -> None:
    identity.seconds = 1000
    with pytest.raises(NotSent, match="no answer within 30 s"):
        await of(identity).get()
    assert len(identity.forms) == 3


# --- the forms ---


async def test_the_client_credentials_form(identity: Identity) -> None:
    await of(identity).get()
    await of(identity, service="sales_order").get()
    await of(identity, ClientCredentials("c", "s", tenant_id="t", scopes=())).get()
    erp, sales_order, bare = identity.forms
    assert erp == {
        "grant_type": "client_credentials",
        "client_id": "client",
        "client_secret": SECRET,
        "tenant_id": "company",
        "scope": "vismanet_erp_service_api:create vismanet_erp_service_api:delete "
        "vismanet_erp_service_api:read vismanet_erp_service_api:update",
    }
    assert sales_order["scope"] == "visma.net.erp.salesorder:read visma.net.erp.salesorder:write"
    assert "scope" not in bare
    other = client_credentials().for_company("other")
    assert (other.identity, other.client_secret) == ("other", SECRET)


async def test_a_static_token_is_never_renewed(identity: Identity) -> None:
    credentials = StaticToken(" abc ")
    tokens = of(identity, credentials)
    token = await tokens.get()
    assert token.text == "abc"
    assert tokens.cached(rejected=token) is token
    assert not tokens.renewable
    assert of(identity).renewable
    assert identity.forms == []
    with pytest.raises(TokenRefused, match="cannot be renewed"):
        credentials.token_request("erp")


@pytest.mark.parametrize("bad", ["", "  ", "a b", "a\nb", "tøken", None])
def test_credentials_that_cannot_be_used(bad: Any) -> None:
    with pytest.raises(SettingsError, match="Nothing was sent"):
        StaticToken(bad)
    with pytest.raises(SettingsError):
        ClientCredentials("id", bad, tenant_id="t")
    with pytest.raises(SettingsError):
        ClientCredentials("id", "s", tenant_id=bad)


# --- authorization code and refresh ---


async def test_the_code_is_used_once_and_refresh_tokens_rotate(identity: Identity) -> None:
    kept: list[str] = []

    async def keep(text: str) -> None:
        kept.append(text)

    credentials = AuthorizationCode(
        "client", SECRET, redirect_uri="https://app.example/back", code="the-code", code_verifier="v" * 43,
        on_refresh_token=keep,
    )  # fmt: skip
    identity.rotate = True
    tokens = of(identity, credentials)
    for _ in range(3):
        await tokens.get()
        identity.clock.advance(3600)
    first, second, third = identity.forms
    assert first == {
        "grant_type": "authorization_code", "client_id": "client", "client_secret": SECRET, "code": "the-code",
        "redirect_uri": "https://app.example/back", "code_verifier": "v" * 43,
    }  # fmt: skip
    assert (second["grant_type"], second["refresh_token"], third["refresh_token"]) == (
        "refresh_token", "refresh-1", "refresh-2",
    )  # fmt: skip
    assert "code" not in second
    assert kept == ["refresh-1", "refresh-2", "refresh-3"]
    assert credentials.code is None


async def test_one_user_token_serves_both_services_and_every_client(identity: Identity) -> None:
    identity.rotate = True
    credentials = AuthorizationCode("client", refresh_token="kept")
    providers = [of(identity, credentials), of(identity, credentials, service="sales_order"), of(identity, credentials)]
    results = await both(*[tokens.get for tokens in providers] * 10)
    assert {token.text for token in results} == {"token-1"}
    assert len(identity.forms) == 1


@pytest.mark.parametrize("step", [ResponseLost("gone"), (503, b""), (500, b"")])
async def test_a_refresh_is_not_repeated_blindly(identity: Identity, step: Any) -> None:
    identity.script = [step]
    tokens = of(identity, AuthorizationCode("client", refresh_token="kept"))
    results = await both(*[tokens.get] * 5)
    assert {type(error) for error in results} <= {NotSent, TokenRefused}
    assert len(identity.forms) == 1


async def test_a_refresh_that_never_left_is_repeated(identity: Identity) -> None:
    identity.script = [NotSent("down")]
    tokens = of(identity, AuthorizationCode("client", refresh_token="kept"))
    assert (await tokens.get()).text == "token-2"


@pytest.mark.parametrize("given", [{"refresh_token": "kept"}, {"code": "c", "redirect_uri": "https://app.example"}])
@pytest.mark.parametrize("way", ["scope", "task"])
async def test_a_cancelled_refresh_is_still_taken_in(identity: Identity, given: dict[str, Any], way: str) -> None:
    identity.rotate, identity.gate = True, anyio.Event()
    credentials = AuthorizationCode("client", **given)
    tokens = of(identity, credentials)
    scope = anyio.CancelScope()

    async def call() -> None:
        with scope:
            await tokens.get()
            await anyio.lowlevel.checkpoint()
            raise AssertionError("was not cancelled")

    calling = asyncio.create_task(call())
    await anyio.wait_all_tasks_blocked()
    (scope if way == "scope" else calling).cancel()  # as `asyncio.timeout` and Ctrl-C do
    await anyio.wait_all_tasks_blocked()
    identity.gate.set()
    await asyncio.wait([calling])
    assert calling.cancelled() is (way == "task")
    assert credentials.refresh_token == "refresh-1", "the server has used up the old one"
    assert (await tokens.get()).text == "token-1"
    assert len(identity.forms) == 1


@pytest.mark.parametrize("fails", [False, True])
async def test_a_keeper_that_hangs_holds_no_call_beyond_its_deadline(identity: Identity, *, fails: bool) -> None:
    going, kept = anyio.Event(), []

    async def keep(text: str) -> None:
        kept.append(text)
        if text == "refresh-1":
            await going.wait()
            if fails:
                raise PermissionError("disk")

    identity.rotate = True
    tokens = of(identity, AuthorizationCode("client", refresh_token="kept", on_refresh_token=keep))
    for _ in range(2):
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(tokens.get)
                await anyio.wait_all_tasks_blocked()
                scope.cancel()
        assert tokens.cached() is None, "the new refresh token is not kept yet"
    storing = tokens.storing
    assert storing is not None
    going.set()
    if fails:
        with pytest.raises(PermissionError):
            await tokens.get()
    assert (await tokens.get()).text == ("token-2" if fails else "token-1")
    assert kept == ["refresh-1", "refresh-2"][: 1 + fails]
    assert tokens.storing is None
    identity.clock.advance(3600)
    assert (await tokens.get()).text == f"token-{2 + fails}", "what was waited for is over"


async def test_a_keeper_that_hangs_in_the_early_window_leaves_the_old_token(identity: Identity) -> None:
    going = anyio.Event()

    async def keep(text: str) -> None:
        if text == "refresh-2":
            await going.wait()

    identity.rotate = True
    tokens = of(identity, AuthorizationCode("client", refresh_token="kept", on_refresh_token=keep))
    old = await tokens.get()
    identity.clock.advance(3400)
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tokens.get)
            await anyio.wait_all_tasks_blocked()
            assert await tokens.get() is old
            scope.cancel()
    assert await tokens.get() is old
    going.set()
    await anyio.wait_all_tasks_blocked()
    assert (await tokens.get()).text == "token-2"


def test_credentials_of_a_user_serve_one_event_loop_at_a_time(clock: VirtualClock) -> None:
    identity = Identity(clock, rotate=True)
    credentials = AuthorizationCode("client", refresh_token="kept")

    async def get() -> str:
        tokens = of(identity, credentials)
        token = tokens.cached() or await tokens.get()
        assert tokens.cached() is token
        return token.text

    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    try:
        assert first.run_until_complete(get()) == "token-1"
        with pytest.raises(RequestRefused, match="used in another event loop"):
            second.run_until_complete(get())
        first.close()
        clock.advance(3600)
        assert second.run_until_complete(get()) == "token-2"
    finally:
        first.close()
        second.close()


async def test_without_a_refresh_token_the_user_must_sign_in_again(identity: Identity) -> None:
    tokens = of(identity, AuthorizationCode("client", redirect_uri="https://app.example", code="c"))
    assert (await tokens.get()).text == "token-1"
    identity.clock.advance(3600)
    with pytest.raises(TokenRefused, match="offline_access"):
        await tokens.get()
    assert len(identity.forms) == 1


async def test_what_the_keeper_raises_reaches_the_caller_and_the_new_token_is_not_lost(identity: Identity) -> None:
    async def keep(_text: str) -> None:
        raise PermissionError("disk")

    identity.rotate = True
    credentials = AuthorizationCode("client", refresh_token="kept", on_refresh_token=keep)
    with pytest.raises(PermissionError):
        await of(identity, credentials).get()
    assert credentials.refresh_token == "refresh-1"


@pytest.mark.parametrize("given", [{}, {"code": "c"}, {"redirect_uri": "https://app.example"}])
def test_authorization_code_needs_a_code_or_a_refresh_token(given: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="refresh_token, or a code"):
        AuthorizationCode("client", **given)

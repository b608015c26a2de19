from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from vismanet_async.simulator import VirtualClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.simulator.conftest import Client, Start


@pytest.fixture
async def client(start: Start) -> AsyncIterator[Client]:
    async with start(rows={"customer": 5}, clock=VirtualClock(), companies=["second"]) as made:
        yield made


async def ask(client: Client, **form: str) -> tuple[int, dict[str, Any]]:
    sim = client.sim
    whole = {
        "grant_type": "client_credentials",
        "client_id": sim.client_id,
        "client_secret": sim.client_secret,
        "tenant_id": sim.tenant_id,
    } | form
    async with client.session.post(
        sim.token_url, data={name: value for name, value in whole.items() if value}
    ) as answer:
        return answer.status, await answer.json()


async def test_client_credentials_give_a_token_that_works_until_it_expires(client: Client) -> None:
    status, token = await ask(client)
    assert (status, token["token_type"], token["expires_in"]) == (200, "Bearer", 3600)
    assert (await client.send("GET", "/v1/branch", token=token["access_token"])).status == 200
    client.sim.clock.advance(3601)
    assert (await client.send("GET", "/v1/branch", token=token["access_token"])).status == 401


@pytest.mark.parametrize(("form", "error"), [
    ({"client_secret": "wrong"}, "invalid_client"), ({"client_id": "nobody"}, "invalid_client"),
    ({"scope": "vismanet_erp_service_api:fly"}, "invalid_scope"), ({"tenant_id": "nowhere"},
    "invalid_tenant"),
    ({"tenant_id": ""}, "invalid_tenant"), ({"grant_type": "password"}, "unsupported_grant_type"),
])  # fmt: skip
async def test_errors_are_standard_oauth(client: Client, form: dict[str, str], error: str) -> None:
    assert await ask(client, **form) == (400, {"error": error})


async def test_the_customers_tenant_gives_a_token_that_nothing_accepts(client: Client) -> None:
    status, token = await ask(client, tenant_id=client.sim.customer_tenant_id)
    assert status == 200
    assert (await client.send("GET", "/v1/branch", token=token["access_token"])).status == 401


async def test_scopes_decide_what_is_allowed(client: Client) -> None:
    _, token = await ask(client, scope="vismanet_erp_service_api:read")
    assert (await client.send("GET", "/v1/branch", token=token["access_token"])).status == 200
    assert (await client.send("POST", "/v1/customer", json={}, token=token["access_token"])).status == 403


async def test_routes_tell_401_from_404_without_a_token(client: Client) -> None:
    assert (await client.send("GET", "/v1/customer", token="x")).status == 401
    assert (await client.send("GET", "/v1/nothing", token="x")).status == 404


async def test_companies_have_data_of_their_own(client: Client) -> None:
    other = client.sim.issue_token("second")
    client.sim.company("second").add("customer", 1, name="Bare her AS")
    assert len((await client.send("GET", "/v1/customer", token=other)).json()) == 6
    assert len((await client.get("/v1/customer")).json()) == 5
    client.sim.behaviours.approved = False
    assert (await client.get("/v1/customer")).status == 401


async def test_an_authorisation_code_works_once_and_refresh_tokens_rotate(client: Client) -> None:
    sim = client.sim
    verifier = "v" * 50
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    params = {"client_id": sim.client_id, "redirect_uri": "http://localhost/cb", "state": "s1",
    "code_challenge": challenge,
              "scope": "offline_access vismanet_erp_interactive_api:read",
              "response_type": "code"}  # fmt: skip
    async with client.session.get(sim.authorize_url, params=params, allow_redirects=False) as answer:
        back = parse_qs(urlsplit(answer.headers["Location"]).query)
    assert back["state"] == ["s1"]
    form = {
        "grant_type": "authorization_code",
        "code": back["code"][0],
        "redirect_uri": "http://localhost/cb",
        "tenant_id": "",
    }
    assert (await ask(client, **form, code_verifier="other"))[1] == {"error": "invalid_grant"}
    form["code"] = sim.tokens.authorization_code(
        sim.client_id, redirect_uri="http://localhost/cb", scope=params["scope"], code_challenge=challenge
    )
    status, token = await ask(client, **form, code_verifier=verifier)
    assert status == 200
    assert (await client.send("GET", "/v1/branch", token=token["access_token"])).status == 200
    assert (await ask(client, **form, code_verifier=verifier))[1] == {"error": "invalid_grant"}
    refresh = {"grant_type": "refresh_token", "refresh_token": token["refresh_token"], "tenant_id": ""}
    _, fresh = await ask(client, **refresh)
    assert fresh["refresh_token"] != token["refresh_token"]
    assert (await ask(client, **refresh))[1] == {"error": "invalid_grant"}


async def test_revoked_tokens_are_worthless(client: Client) -> None:
    assert client.sim.tokens.revoke() >= 1
    answer = await client.get("/v1/branch")
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


async def test_refresh_tokens_may_stay_the_same(client: Client) -> None:
    sim = client.sim
    sim.behaviours.refresh_tokens_rotate = False
    code = sim.tokens.authorization_code(
        sim.client_id, redirect_uri="http://localhost/cb", scope="offline_access vismanet_erp_interactive_api:read"
    )
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": "http://localhost/cb", "tenant_id": ""}
    _, token = await ask(client, **form)
    refresh = {"grant_type": "refresh_token", "refresh_token": token["refresh_token"], "tenant_id": ""}
    for _ in range(2):
        status, fresh = await ask(client, **refresh)
        assert (status, fresh.get("refresh_token", token["refresh_token"])) == (200, token["refresh_token"])

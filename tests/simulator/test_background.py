from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp
import anyio
import pytest
from aiohttp import web

from tests.support.hang import HANG_SECONDS, until
from vismanet_async.simulator import VirtualClock, signature

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.simulator.conftest import Answer, Client, Start


_ROWS = {"customer": 50, "customer_invoice": 50, "customer_payment": 50}


@pytest.fixture
async def client(start: Start) -> AsyncIterator[Client]:
    async with start(rows=_ROWS, clock=VirtualClock(), companies=["second"]) as made:
        made.sim.background.delay_seconds, made.sim.background.run_seconds = 5.0, 10.0
        yield made


async def release(client: Client, header: str = "none", number: str = "100002", **headers: str) -> Answer:
    client.sim.touch("customer_invoice", number, status="Balanced", hold=False)
    return await client.send(
        "POST",
        f"/v1/customerinvoice/{number}/action/release",
        json={},
        headers={"erp-api-background": header} | headers,
    )


async def state(client: Client, job_id: str) -> dict[str, Any]:
    return (await client.get(f"/v1/background/{job_id}")).json()  # type: ignore[no-any-return]


async def test_a_job_goes_from_the_queue_over_started_to_finished(client: Client) -> None:
    accepted = await release(client)
    assert accepted.status == 202
    job_id = accepted.json()["id"]
    assert accepted.json()["stateLocation"] == f"{client.sim.base_url}/v1/background/{job_id}"
    waiting = await state(client, job_id)
    assert (waiting["status"], waiting["statusCode"], waiting["startedUtc"], waiting["finishedUtc"]) == (
        "Queued",
        0,
        None,
        None,
    )
    assert (await client.get("/v1/customerinvoice/100002")).json()["status"] == "Balanced"
    client.sim.clock.advance(6)
    assert (await state(client, job_id))["status"] == "Started"
    assert (await client.get(f"/v1/background/{job_id}/content")).status == 404
    client.sim.clock.advance(10)
    done = await state(client, job_id)
    assert (done["status"], done["statusCode"], done["hasResponseContent"], done["hasRequestContent"]) == (
        "Finished",
        200,
        True,
        True,
    )
    assert done["receivedUtc"].endswith("+01:00")
    assert done["responseHeaders"]["ETag"]
    content = await client.get(f"/v1/background/{job_id}/content")
    assert content.json()["actionResult"] == "Done"
    assert (await client.get("/v1/customerinvoice/100002")).json()["status"] == "Open"
    assert [entry.job_id for entry in client.sim.ledger.matching(path="100002")] == [job_id]


async def test_finished_may_carry_an_error(client: Client) -> None:
    first = (await release(client)).json()["id"]
    second = (
        await client.send(
            "POST",
            "/v1/customerinvoice/100002/action/release",
            json={},
            headers={"erp-api-background": "none"},
        )
    ).json()["id"]
    client.sim.clock.advance(20)
    assert (await state(client, first))["statusCode"] == 200
    failed = await state(client, second)
    assert (failed["status"], failed["statusCode"]) == ("Finished", 400)
    assert "already released" in (await client.get(f"/v1/background/{second}/content")).json()["message"]


async def test_if_match_of_an_action_counts_in_the_background_only(client: Client) -> None:
    client.sim.touch("customer_invoice", "100002", status="Balanced", hold=False)
    stale = {"If-Match": '"AAAAAAAAAAA="'}
    accepted = await client.send(
        "POST",
        "/v1/customerinvoice/100002/action/release",
        json={},
        headers=stale | {"erp-api-background": "none"},
    )
    client.sim.clock.advance(20)
    assert (await state(client, accepted.json()["id"]))["statusCode"] == 412
    assert (await client.get("/v1/customerinvoice/100002")).json()["status"] == "Balanced"
    direct = await client.send("POST", "/v1/customerinvoice/100002/action/release", json={}, headers=stale)
    assert direct.status == 200


async def test_reads_and_creates_run_in_the_background_too(client: Client) -> None:
    listed = await client.send("GET", "/v1/customer?pageSize=7", headers={"erp-api-background": "none"})
    made = await client.send(
        "POST", "/v1/customer", json={"name": {"value": "Ny AS"}}, headers={"erp-api-background": "none"}
    )
    assert (listed.status, made.status) == (202, 202)
    client.sim.clock.advance(20)
    content = await client.get(f"/v1/background/{listed.json()['id']}/content")
    assert len(content.json()) == 7
    done = await state(client, made.json()["id"])
    assert done["statusCode"] == 201
    assert done["hasResponseContent"] is False
    number = done["responseHeaders"]["Location"].rpartition("/")[2]
    assert (await client.get(f"/v1/customer/{number}")).json()["name"] == "Ny AS"


async def test_states_vanish_after_a_day_and_belong_to_one_company(client: Client) -> None:
    job_id = (await release(client)).json()["id"]
    other = client.sim.issue_token("second")
    assert (await client.send("GET", f"/v1/background/{job_id}", token=other)).status == 403
    assert (await client.get("/v1/background/00000000-0000-4000-8000-000000000000")).status == 404
    client.sim.clock.advance(20)
    assert (await client.get(f"/v1/background/{job_id}")).status == 200
    client.sim.clock.advance(24 * 3600)
    token = client.sim.issue_token()
    assert (await client.send("GET", f"/v1/background/{job_id}", token=token)).status == 404
    assert (await client.send("GET", f"/v1/background/{job_id}/content", token=token)).status == 410
    assert len(client.sim.ledger) == 1


async def test_a_lost_answer_was_executed_all_the_same(client: Client) -> None:
    client.sim.background.script(lose_answer=True)
    with pytest.raises(aiohttp.ClientError):
        await release(client)
    client.sim.clock.advance(20)
    client.sim.run_due()
    assert [entry.succeeded for entry in client.sim.ledger] == [True]
    assert client.sim.requests[-1].fault == "dropped"


@pytest.mark.parametrize(("outcome", "executed"), [("fail", 0), ("fail_after", 1), ("hang", 0)])
async def test_scripted_outcomes(client: Client, outcome: str, executed: int) -> None:
    client.sim.background.script(outcome=outcome)
    job_id = (await release(client)).json()["id"]
    client.sim.clock.advance(100)
    shown = await state(client, job_id)
    assert shown["status"] == ("Queued" if outcome == "hang" else "Failed")
    assert (shown["errorMessage"] is None) == (outcome == "hang")
    assert len(client.sim.ledger) == executed


async def test_a_foreign_state_location_points_at_the_listener(client: Client) -> None:
    client.sim.behaviours.state_host = "foreign"
    location = (await release(client)).json()["stateLocation"]
    assert location.startswith(client.sim.foreign_url)
    async with client.session.get(location, headers={"Authorization": "Bearer leaked"}) as answer:
        assert answer.status == 200
    assert client.sim.foreign_requests[0].headers["Authorization"] == "Bearer leaked"


@pytest.mark.parametrize("header", ["", "yes", "subscription:novalue", "https://example.com/hook"])
async def test_unknown_header_values_are_refused(client: Client, header: str) -> None:
    assert (await release(client, header)).status == 400
    assert len(client.sim.background) == 0


async def test_a_synchronous_answer_is_possible(client: Client) -> None:
    client.sim.behaviours.background_synchronous = True
    assert (await release(client)).status == 200


async def test_one_worker_runs_one_job_at_a_time(client: Client) -> None:
    client.sim.background.workers = 1
    jobs = [(await release(client, number=f"10000{number}")).json()["id"] for number in (2, 3, 4)]
    client.sim.clock.advance(16)
    assert [(await state(client, job))["status"] for job in jobs] == ["Finished", "Started", "Queued"]


class Receiver:
    def __init__(self, refuse: int = 0) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.refuse = refuse
        self.arrived = asyncio.Event()

    async def handle(self, request: web.BaseRequest) -> web.Response:
        self.got.append((dict(request.headers), await request.read()))
        self.arrived.set()
        if self.refuse:
            self.refuse -= 1
            return web.Response(status=503)
        return web.Response()

    async def wait_for(self, count: int) -> None:
        while len(self.got) < count:
            self.arrived.clear()
            async with asyncio.timeout(HANG_SECONDS):
                await self.arrived.wait()


@pytest.fixture
async def receiver(client: Client) -> AsyncIterator[Receiver]:
    made = Receiver()
    runner = web.ServerRunner(web.Server(made.handle), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    client.sim.webhooks.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield made
    await runner.cleanup()


async def test_a_subscription_gets_a_signed_webhook_with_its_values(client: Client, receiver: Receiver) -> None:
    job_id = (await release(client, "subscription:reference=our-7, shop=north")).json()["id"]
    client.sim.clock.advance(20)
    await receiver.wait_for(1)
    headers, body = receiver.got[0]
    assert (headers["reference"], headers["shop"]) == ("our-7", "north")
    assert headers["X-Visma-Signature"] == signature(client.sim.webhooks.key, body)
    assert job_id.encode() in body
    assert (await state(client, job_id))["reference"] == "our-7"


async def test_webhooks_repeat_are_forged_and_come_again_when_refused(client: Client, receiver: Receiver) -> None:
    client.sim.webhooks.repeats, client.sim.webhooks.forge_extra = 1, True
    receiver.refuse = 1
    await release(client, "subscription")
    client.sim.clock.advance(20)
    await receiver.wait_for(3)
    await until(lambda: any(each.statuses == [503] for each in client.sim.webhooks.deliveries))
    await anyio.wait_all_tasks_blocked()  # it has planned when to come again
    client.sim.clock.advance(30)
    await receiver.wait_for(4)
    good = [headers["X-Visma-Signature"] == signature(client.sim.webhooks.key, body) for headers, body in receiver.got]
    assert sorted(good[:3]) == [False, True, True]
    assert len({body for _, body in receiver.got}) == 2


async def test_webhooks_can_come_late_and_out_of_order(client: Client, receiver: Receiver) -> None:
    client.sim.webhooks.out_of_order = True
    jobs = []
    for number in ("100002", "100003"):
        jobs.append((await release(client, "subscription", number)).json()["id"])
        client.sim.clock.advance(20)
        await state(client, jobs[-1])
    await receiver.wait_for(2)
    assert jobs[1].encode() in receiver.got[0][1]
    assert jobs[0].encode() in receiver.got[1][1]


@pytest.mark.parametrize(("when", "status"), [("background_only", 200), ("always", 412)])
async def test_actions_check_the_version_in_the_background_or_always(client: Client, when: str, status: int) -> None:
    client.sim.behaviours.set(action_if_match=when)
    client.sim.touch("customer_invoice", "100002", status="Balanced", hold=False)
    path, stale = "/v1/customerinvoice/100002/action/release", {"If-Match": '"AAAA="'}
    assert (await client.send("POST", path, json={}, headers=stale)).status == status


async def test_a_url_as_header_is_history_unless_switched_on(client: Client) -> None:
    assert (await release(client, "https://example.org/hook")).status == 400
    client.sim.behaviours.background_url_values = True
    accepted = await release(client, "https://example.org/hook")
    assert accepted.status == 202
    assert (await state(client, accepted.json()["id"]))["webhookAddress"] == "https://example.org/hook"


@pytest.mark.parametrize("status", [404, 410])
async def test_a_state_that_is_gone(client: Client, status: int) -> None:
    client.sim.behaviours.set(background_expired_status=status)
    job_id = (await release(client)).json()["id"]
    client.sim.clock.advance(25 * 3600)
    client.sim.run_due()
    client.sim.clock.advance(25 * 3600)
    client.token = client.sim.issue_token()
    assert (await client.get(f"/v1/background/{job_id}")).status == status

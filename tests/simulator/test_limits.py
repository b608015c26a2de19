from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vismanet_async.simulator import VirtualClock

if TYPE_CHECKING:
    from tests.simulator.conftest import Client, Start


def limits(answer: Any) -> tuple[int, int, int, str]:
    names = ("Limit", "Remaining", "Reset", "Policy")
    limit, remaining, reset, policy = (answer.headers[f"X-RateLimit-{name}"] for name in names)
    return int(limit), int(remaining), int(reset), policy


async def test_a_window_counts_down_refuses_and_opens_again(start: Start) -> None:
    async with start(clock=VirtualClock(), quota=2, quota_window_seconds=100) as client:
        assert limits(await client.get("/v1/branch")) == (2, 1, 100, "4-fixed-window")
        client.sim.clock.advance(30)
        assert limits(await client.get("/v1/branch")) == (2, 0, 70, "4-fixed-window")
        refused = await client.get("/v1/branch")
        assert (refused.status, refused.headers["Retry-After"], refused.json()["statusCode"]) == (
            429,
            "70",
            429,
        )
        client.sim.clock.advance(70)
        assert limits(await client.get("/v1/branch"))[1] == 1


async def test_old_paths_and_order_operations_have_policies_of_their_own(start: Start) -> None:
    async with start(rows={"sales_order": 5}) as client:
        assert limits(await client.get("/API/controller/api/v1/branch"))[::3] == (500, "6-fixed-window")
        assert limits(await client.get("/v1/salesorder", pageSize=1))[::3] == (500, "8-fixed-window")
        assert limits(await client.get("/v1/branch"))[1] == 14_999


async def test_headers_can_be_lower_case_and_epoch(start: Start) -> None:
    async with start(
        clock=VirtualClock(), behaviours={"reset_header": "epoch", "lower_case_limit_headers": True}
    ) as client:
        answer = await client.get("/v1/branch")
        assert limits(answer)[2] == int(client.sim.clock.now() + 3600)
        async with client.session.get(
            f"{client.sim.base_url}/v1/branch", headers={"Authorization": f"Bearer {client.token}"}
        ) as plain:
            assert b"x-ratelimit-reset" in dict(plain.raw_headers)


async def test_the_same_request_works_five_times_a_minute(start: Start) -> None:
    async with start(clock=VirtualClock(), behaviours={"same_request_rule": True}) as client:
        statuses = []
        for _ in range(6):
            statuses.append((await client.get("/v1/branch")).status)
            client.sim.clock.advance(5)
        assert statuses == [200] * 5 + [429]
        assert (await client.get("/v1/branch", pageNumber=2)).status == 200
        client.sim.clock.advance(31)
        assert (await client.get("/v1/branch")).status == 200


async def test_a_failing_request_may_be_repeated_once(start: Start) -> None:
    async with start(clock=VirtualClock(), behaviours={"client_error_rule": True}) as client:
        statuses = [(await client.get("/v1/customer/nobody")).status for _ in range(3)]
        assert statuses == [404, 404, 429]
        client.sim.clock.advance(301)
        assert (await client.get("/v1/customer/nobody")).status == 404


async def test_a_burst_locks_out(start: Start) -> None:
    async with start(clock=VirtualClock(), behaviours={"burst_limit_requests": 3}) as client:
        statuses = [(await client.get("/v1/branch", pageNumber=number)).status for number in range(4)]
        assert statuses == [200, 200, 200, 429]
        client.sim.clock.advance(60)
        assert (await client.get("/v1/branch")).status == 429
        client.sim.clock.advance(121)
        assert (await client.get("/v1/branch")).status == 200


async def test_companies_do_not_share_a_window(start: Start) -> None:
    async with start(quota=1, companies=["second"]) as client:
        assert (await client.get("/v1/branch")).status == 200
        assert (await client.get("/v1/branch")).status == 429
        other: Client = client
        assert (await other.send("GET", "/v1/branch", token=client.sim.issue_token("second"))).status == 200

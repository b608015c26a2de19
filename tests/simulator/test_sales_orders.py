from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.simulator.conftest import Answer, Client, Start


@pytest.fixture
async def client(start: Start) -> AsyncIterator[Client]:
    async with start(rows={"customer": 30, "inventory": 30, "sales_order": 250}) as made:
        yield made


async def orders(client: Client, method: str, path: str, **options: Any) -> Answer:
    return await client.send(method, f"/api/v3/{path}", base=client.sim.sales_order_url, **options)


async def test_pages_start_at_zero_and_link_to_the_next(client: Client) -> None:
    seen: list[str] = []
    url: str | None = f"{client.sim.sales_order_url}/api/v3/SalesOrders"
    while url:
        async with client.session.get(url, headers={"Authorization": f"Bearer {client.token}"}) as answer:
            page = await answer.json()
        assert page["totalCount"] == 250
        seen += [f"{order['type']}/{order['orderId']}" for order in page["value"]]
        url = page["nextPage"]
    assert seen == client.sim.truth("sales_order").keys
    assert (await orders(client, "GET", "SalesOrders?pageIndex=3")).json()["value"] == []


@pytest.mark.parametrize(
    "query",
    [
        "pageSize=1001",
        "pageSize=0",
        "pageIndex=-1",
        "pageSize=101&expand=Note",
        "orderBy=name",
        "modifiedSince=x",
    ],
)
async def test_values_out_of_range_are_problems(client: Client, query: str) -> None:
    answer = await orders(client, "GET", f"SalesOrders?{query}")
    assert answer.status == 400
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert answer.json()["details"][0]["parameters"]["property"]


async def test_changes_need_the_version(client: Client) -> None:
    made = await orders(client, "POST", "SalesOrders", json={
        "type": "SO", "customer": {"id": "10003"}, "orderLines": [{"inventoryId": "V000002", "quantity": 2,
        "unitPrice": 10.5}]
    })  # fmt: skip
    assert made.status == 201
    path = "SalesOrders" + made.headers["Location"].rpartition("SalesOrders")[2]
    assert path.startswith("SalesOrders/SO/")
    order = await orders(client, "GET", path)
    assert str(order.json()["totals"]["orderTotal"]) == "21.0000"
    assert (await orders(client, "PATCH", path, json={"description": "x"})).status == 428
    assert (await orders(client, "PATCH", path, json={"description": "x"}, headers={"If-Match": '"old"'})).status == 412
    changed = await orders(
        client, "PATCH", path, json={"description": "x"}, headers={"If-Match": order.headers["ETag"]}
    )
    assert changed.status == 202
    added = await orders(
        client,
        "POST",
        f"{path}/lines",
        json={"lines": [{"inventoryId": "V000003"}]},
        headers={"If-Match": changed.headers["ETag"]},
    )
    assert added.status == 202
    gone = await orders(client, "DELETE", f"{path}/lines?ids=1", headers={"If-Match": added.headers["ETag"]})
    assert gone.status == 202
    assert [line["inventory"]["id"] for line in (await orders(client, "GET", f"{path}/lines")).json()["value"]] == [
        "V000003"
    ]
    assert (await orders(client, "GET", path)).json()["description"] == "x"
    assert len(client.sim.ledger.matching(succeeded=True)) == 4


async def test_a_write_scope_does_not_allow_reading(client: Client) -> None:
    token = client.sim.tokens.issue(
        client.sim.client_id, client.sim.tenant_id, frozenset({"visma.net.erp.salesorder:write"})
    ).token
    assert (await orders(client, "GET", "SalesOrders", token=token)).status == 403
    assert (await client.send("GET", "/v1/customer", token=token)).status == 403


async def test_an_order_needs_its_type_in_the_path(client: Client) -> None:
    kind, number = client.sim.truth("sales_order").keys[3].split("/")
    assert (await orders(client, "GET", f"SalesOrders/{number}")).status == 404
    assert (await orders(client, "GET", f"SalesOrders/{kind}/{number}")).status == 200


async def test_a_snapshot_keeps_what_only_the_service_was_told(client: Client, tmp_path: Path) -> None:
    made = await orders(client, "POST", "SalesOrders", json={
        "type": "SO", "customer": {"id": "10003", "locationId": "Shop"}, "freight": {"cost": 12.50},
        "orderLines": [{"inventoryId": "V000002", "supplierPrice": 7.25}]
    })  # fmt: skip
    path = "SalesOrders" + made.headers["Location"].rpartition("SalesOrders")[2]
    before = [(await orders(client, "GET", f"{path}{part}")).body for part in ("?expand=All", "/lines")]
    client.sim.save(tmp_path / "snapshot.json")
    again = Simulator.load(tmp_path / "snapshot.json")
    async with again, aiohttp.ClientSession(headers={"Authorization": f"Bearer {again.issue_token()}"}) as session:
        for part, body in zip(("?expand=All", "/lines"), before, strict=True):
            async with session.get(f"{again.sales_order_url}/api/v3/{path}{part}") as answer:
                assert await answer.read() == body
    assert b'"cost":12.5' in before[0]
    assert b'"supplierPrice":7.25' in before[1]

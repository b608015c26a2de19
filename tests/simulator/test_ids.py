"""Data is decided by the seed; ids that the server makes are not, unless a seed for them is given."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from vismanet_async.simulator import Simulator, VirtualClock
from vismanet_async.simulator.__main__ import main

if TYPE_CHECKING:
    from pathlib import Path

    from tests.simulator.conftest import Client, Start

pytestmark = pytest.mark.timeout(60)


async def made_by_the_server(client: Client) -> dict[str, str]:
    """One of each kind of id, in one order of requests."""
    job = await client.send("GET", "/v1/customer/10000", headers={"erp-api-background": "none"})
    form = aiohttp.FormData()
    form.add_field("file", b"%PDF-1.4", filename="x.pdf")
    number = client.sim.truth("customer_invoice").keys[0]
    client.sim.touch("customer_invoice", number, status="Balanced")
    file = await client.send("POST", f"/v1/customerinvoice/{number}/attachment", data=form)
    released = await client.send("POST", f"/v1/customerinvoice/{number}/action/release", json={})
    missing = await client.get("/v1/customer/none")
    asked = {
        "grant_type": "client_credentials", "client_id": client.sim.client_id,
        "client_secret": client.sim.client_secret, "tenant_id": client.sim.tenant_id,
        "scope": "vismanet_erp_service_api:read",
    }  # fmt: skip
    token = await client.send("POST", "/connect/token", data=asked)
    return {
        "job": job.json()["id"],
        "file": file.headers["Location"].rpartition("/")[2],
        "action": released.json()["actionId"],
        "error": missing.json()["message"].partition("VismaId: ")[2][:36],
        "request": missing.headers["Ipp-Request-Id"],
        "token": token.json()["access_token"],
    }


async def data(client: Client) -> list[Any]:
    return [
        (await client.get("/v1/customer")).json(),
        client.sim.add("supplier_invoice", 2),
        client.sim.remove("customer", count=3),
        list(client.sim.truth("supplier_invoice").rows())[-2:],
        (await client.send("POST", "/v1/customer", json={"name": {"value": "Ny AS"}})).headers["Location"][-6:],
    ]


@pytest.mark.parametrize(("seeds", "equal"), [((None, None), False), ((4, 4), True), ((4, 5), False)])
async def test_ids_differ_unless_their_seed_is_the_same(
    start: Start, seeds: tuple[int | None, int | None], equal: bool
) -> None:
    made = []
    for seed in seeds:
        async with start(seed=3, id_seed=seed, rows={"customer": 5}) as client:
            made.append(await made_by_the_server(client))
    first, second = made
    assert all(first.values())
    assert {name for name in first if first[name] == second[name]} == (set(first) if equal else set())


async def test_data_is_the_same_for_a_seed_however_ids_are_made(start: Start) -> None:
    seen = []
    for id_seed, requests in ((None, 0), (None, 7), (4, 0)):
        rows = {"customer": 12, "supplier_invoice": 5}
        async with start(seed=3, id_seed=id_seed, rows=rows, clock=VirtualClock()) as client:
            for _ in range(requests):
                await client.get("/v1/customer/none")  # each answer and each error takes an id
            seen.append(await data(client))
    assert seen[0] == seen[1] == seen[2]


async def test_companies_and_later_simulators_have_their_own(start: Start, tmp_path: Path) -> None:
    async with start(id_seed=4, companies=["other"], rows={"customer": 5}) as client:
        ids = set()
        for token in (client.token, client.sim.issue_token("other")):
            headers = {"erp-api-background": "none"}
            ids.add((await client.send("GET", "/v1/customer/10000", headers=headers, token=token)).json()["id"])
        client.sim.save(tmp_path / "saved")
    assert len(ids) == 2
    assert Simulator.load(tmp_path / "saved").id_seed is None


def test_the_program_takes_a_seed_for_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    async def serve(**options: Any) -> None:
        given.update(options)

    monkeypatch.setattr("vismanet_async.simulator.__main__.serve", serve)
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert main(["--id-seed", "4"]) == 0
    assert given["id_seed"] == 4
    assert main([]) == 0
    assert given["id_seed"] is None

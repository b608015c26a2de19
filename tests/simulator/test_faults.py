from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import TYPE_CHECKING

import aiohttp
import anyio
import pytest

from tests.support.hang import until
from vismanet_async.simulator import Fault, Simulator, VirtualClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.simulator.conftest import Client, Start


@pytest.fixture
async def client(start: Start) -> AsyncIterator[Client]:
    async with start(rows={"customer": 40, "customer_invoice": 20}, clock=VirtualClock()) as made:
        yield made


NEW = {"name": {"value": "Ny AS"}}


@pytest.mark.parametrize(("kind", "executed"), [("reset_before", 0), ("reset_after", 1), ("cut_headers", 1)])
async def test_resets_happen_before_or_after_the_work(client: Client, kind: str, executed: int) -> None:
    client.sim.faults.add(kind, times=1)  # type: ignore[arg-type] # a parametrised literal
    if kind == "cut_headers":
        client.sim.faults.clear()
        client.sim.faults.add("cut_headers", times=1, path="/v1/customer")
        with pytest.raises(aiohttp.ClientPayloadError):
            await client.get("/v1/customer")
        return
    with pytest.raises(aiohttp.ClientError):
        await client.send("POST", "/v1/customer", json=NEW)
    assert len(client.sim.ledger) == executed
    assert client.sim.requests[-1].fault == kind
    assert client.sim.requests[-1].status is None
    assert (await client.send("POST", "/v1/customer", json=NEW)).status == 201


async def test_bodies_are_cut_short_or_come_slowly(client: Client) -> None:
    whole = (await client.get("/v1/customer")).body
    client.sim.faults.add("cut_body", times=1)
    with pytest.raises(aiohttp.ClientPayloadError):
        await client.get("/v1/customer")
    client.sim.faults.clear()
    client.sim.faults.add("short_body", times=1, share=0.5)
    with pytest.raises((json.JSONDecodeError, aiohttp.ClientPayloadError)):
        (await client.get("/v1/customer")).json()
    client.sim.faults.clear()
    client.sim.faults.add("slow_body", times=1, seconds=80)
    before = client.sim.clock.now()
    assert (await client.get("/v1/customer")).body == whole
    assert client.sim.clock.now() - before >= 79


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_statuses_hit_where_and_as_often_as_told(client: Client, status: int) -> None:
    client.sim.faults.add("status", status=status, path="/v1/CUSTOMER*", after=1, times=2, retry_after=7)
    seen = [(await client.get("/v1/customer", pageSize=1)).status for _ in range(4)]
    assert seen == [200, status, status, 200]
    assert (await client.get("/v1/supplier", pageSize=1)).status == 200
    client.sim.faults.clear()
    client.sim.faults.add("html", status=status, times=1)
    answer = await client.get("/v1/customer")
    assert (answer.status, answer.headers["Content-Type"]) == (status, "text/html")


async def test_a_status_may_come_after_the_work(client: Client) -> None:
    client.sim.faults.add("status", status=504, executed=True, times=1, method="POST")
    assert (await client.send("POST", "/v1/customer", json=NEW)).status == 504
    assert len(client.sim.ledger.matching(succeeded=True)) == 1


async def test_probability_is_seeded(start: Start) -> None:
    runs = []
    for _ in range(2):
        async with start(seed=3, rows={"customer": 5}) as client:
            client.sim.faults.add("status", probability=0.5)
            runs.append([(await client.get("/v1/branch")).status for _ in range(30)])
    assert runs[0] == runs[1]
    assert {200, 503} == set(runs[0])


async def test_the_world_can_be_upset_between_pages(client: Client) -> None:
    client.sim.faults.add("change_rows", resource="customer", add=2, remove=1, after=1, times=1)
    totals = [(await client.get("/v1/customer", pageSize=5)).json()[0]["metadata"]["totalCount"] for _ in range(3)]
    assert totals == [40, 41, 41]
    before = client.sim.clock.now()
    client.sim.faults.add("clock_jump", seconds=-3600, times=1)
    await client.get("/v1/branch")
    assert client.sim.clock.now() == before - 3600
    client.sim.faults.add("expire_tokens", times=1)
    assert (await client.get("/v1/branch")).status == 401


async def test_lost_202_hits_background_requests_only(client: Client) -> None:
    client.sim.faults.add("lost_202", times=1)
    assert (await client.send("POST", "/v1/customer", json=NEW)).status == 201
    with pytest.raises(aiohttp.ClientError):
        await client.send("POST", "/v1/customer", json=NEW, headers={"erp-api-background": "none"})
    client.sim.clock.advance(60)
    client.sim.run_due()
    assert len(client.sim.ledger) == 2


async def test_the_gateway_gives_up_while_the_work_goes_on(client: Client) -> None:
    client.sim.faults.add("latency", seconds=300, times=1)
    before = client.sim.clock.now()
    assert (await client.send("POST", "/v1/customer", json=NEW)).status == 504
    assert client.sim.clock.now() - before == pytest.approx(240)
    assert len(client.sim.ledger) == 1


async def test_a_script_comes_from_toml(client: Client, tmp_path: Path) -> None:
    script = tmp_path / "faults.toml"
    script.write_text(
        '[[fault]]\nkind = "status"\nstatus = 502\npath = "/v1/branch"\ntimes = 1\n'
        '[[fault]]\nkind = "latency"\nseconds = 9\n',
        encoding="utf-8-sig",  # as editors on Windows write it
    )
    assert [fault.kind for fault in client.sim.faults.load(script)] == ["status", "latency"]
    assert (await client.get("/v1/branch")).status == 502
    for wrong in (
        '[[fault]]\nkind = "nope"',
        '[[fault]]\nkind = "latency"\nsecs = 1',
        "[[fault]]\nseconds = 1",
        "[[fault]]\nkind = 'status'\nprobability = 2",
    ):
        with pytest.raises(ValueError, match="fault"):
            client.sim.faults.load(wrong)
    assert len(client.sim.faults) == 2
    assert Fault(kind="latency").name == "latency"


async def test_snapshots_bring_the_data_back(client: Client, tmp_path: Path) -> None:
    made = await client.send("POST", "/v1/customer", json=NEW)
    form = aiohttp.FormData()
    form.add_field("file", b"\x00\r\n--x", filename="å.pdf")
    stored = await client.send("POST", "/v1/customerinvoice/100003/attachment", data=form)
    client.sim.remove("customer", "10005")
    client.sim.touch("customer", "10006", name="Endret")
    client.sim.save(tmp_path / "company.json")
    copy = Simulator.load(tmp_path / "company.json")
    assert copy.truth("customer").keys == client.sim.truth("customer").keys
    assert list(copy.truth("customer").rows()) == list(client.sim.truth("customer").rows())
    async with copy:
        headers = {"Authorization": f"Bearer {copy.issue_token()}"}
        path = stored.headers["Location"].removeprefix(client.sim.base_url)
        async with client.session.get(copy.base_url + path, headers=headers) as answer:
            assert await answer.read() == b"\x00\r\n--x"
        async with client.session.get(f"{copy.base_url}/v1/customer/10005", headers=headers) as answer:
            assert answer.status == 404
        async with client.session.post(f"{copy.base_url}/v1/customer", headers=headers, json=NEW) as answer:
            assert answer.headers["Location"].rpartition("/")[2] > made.headers["Location"].rpartition("/")[2]
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(ValueError, match="snapshot"):
        Simulator.load(tmp_path / "other.json")


async def test_the_openapi_document_names_every_operation(client: Client) -> None:
    from vismanet_async._simulator.catalog import load

    async with client.session.get(f"{client.sim.base_url}/openapi.json") as answer:
        served = await answer.json()
    named = {entry["operationId"] for methods in served["paths"].values() for entry in methods.values()}
    assert named == set(load().operations)
    references = {part.split('"')[0] for part in json.dumps(served).split('"#/components/schemas/')[1:]}
    assert references <= set(served["components"]["schemas"])


async def test_requests_overlap(client: Client) -> None:
    client.sim.latency = 0.5
    await asyncio.gather(*(client.get("/v1/branch") for _ in range(6)))
    assert client.sim.requests.most_in_flight == 6
    assert client.sim.requests.in_flight == 0


async def test_an_answer_that_is_waited_for_ends_with_the_simulator() -> None:
    async with Simulator(rows={"customer": 1}, latency=3600.0) as sim, aiohttp.ClientSession() as session:
        headers = {"Authorization": f"Bearer {sim.issue_token()}"}
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(session.get, headers=headers), f"{sim.base_url}/v1/customer")
            await until(lambda: sim.requests.in_flight)
            tasks.cancel_scope.cancel()
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert not left

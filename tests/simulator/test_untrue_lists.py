"""What a server and its other users may do to a list: each does what it says, and none does anything unasked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from vismanet_async.simulator import Farm, Fault, Server, VirtualClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.simulator.conftest import Client, Start

pytestmark = pytest.mark.timeout(60)

PATH = "/v1/customer"
ORDERS = "/salesorder/api/v3/SalesOrders"


@pytest.fixture
async def client(start: Start) -> AsyncIterator[Client]:
    rows = {"customer": 40, "sales_order": 30, "credit_term": 6}
    async with start(rows=rows, clock=VirtualClock()) as made:
        yield made


async def page(client: Client, number: int, size: int = 10, **more: Any) -> list[dict[str, Any]]:
    return (await client.get(PATH, pageNumber=number, pageSize=size, **more)).json()  # type: ignore[no-any-return]


async def numbers(client: Client, number: int, size: int = 10, **more: Any) -> list[str]:
    return [row["number"] for row in await page(client, number, size, **more)]


async def totals(client: Client, number: int = 1, size: int = 10) -> set[int]:
    return {row["metadata"]["totalCount"] for row in await page(client, number, size)}


# -- faults of one answer -----------------------------------------------------------------------------------


async def test_a_blank_comes_at_the_chosen_page_as_often_as_asked(client: Client) -> None:
    client.sim.faults.add("blank_list", page=2, times=2)
    seen = [len(await page(client, number)) for number in (1, 2, 3, 2, 2)]
    assert seen == [10, 0, 10, 0, 10]
    client.sim.behaviours.empty_list = "null"
    client.sim.faults.add("blank_list", times=1)
    assert (await client.get(PATH)).body == b"null"
    assert (await client.get(PATH)).body != b"null"


async def test_a_blank_of_an_envelope_or_of_orders_keeps_its_form(client: Client) -> None:
    client.sim.faults.add("blank_list", every=2)
    envelope = [(await client.get("/v1/creditTerm")).json() for _ in range(2)]
    assert [len(one["records"]) for one in envelope] == [0, 6]
    client.sim.faults.clear()
    client.sim.faults.add("blank_list", page=2)
    orders = [(await client.get(ORDERS, pageIndex=index, pageSize=10)).json() for index in (0, 1)]
    assert [len(one["value"]) for one in orders] == [10, 0]
    assert "nextPage" in orders[0]
    assert "nextPage" not in orders[1]


async def test_a_stale_answer_shows_what_earlier_requests_saw(client: Client) -> None:
    client.sim.faults.add("stale_list", behind_requests=2, after=3, times=1)
    firsts = []
    for gone in ("10000", "10001", "10002", "10003", "10004"):
        firsts.append((await numbers(client, 1))[0])
        client.sim.remove("customer", gone)
    assert firsts == ["10000", "10001", "10002", "10001", "10004"]


async def test_a_stale_answer_is_of_an_older_state_in_rows_total_and_filters(client: Client) -> None:
    client.sim.faults.add("stale_list", behind_requests=1, after=1, times=2)
    before = await page(client, 4)
    client.sim.add("customer", 2, name="Ny AS")
    client.sim.touch("customer", before[0]["number"], name="Endret AS")
    assert await page(client, 4) == before
    named = await client.get(PATH, name="Endret AS")
    assert len(named.json()) == 1  # the request before came after the change, although its answer did not show it
    assert await totals(client) == {42}


async def test_without_an_older_state_the_earliest_known_is_shown(client: Client) -> None:
    client.sim.add("customer")
    client.sim.faults.add("stale_list", behind_requests=50)
    assert await totals(client) == {41}
    client.sim.add("customer")
    assert await totals(client) == {41}
    client.sim.faults.clear()
    assert await totals(client) == {42}


async def test_a_page_is_answered_in_place_of_another_one(client: Client) -> None:
    first, third = await numbers(client, 1), await numbers(client, 3)
    client.sim.faults.add("repeated_page", page=2, of_page=3, times=1)
    assert [await numbers(client, number) for number in (1, 2)] == [first, third]
    client.sim.faults.add("repeated_page", of_page=1, page=3)
    assert await numbers(client, 3) == first
    by_index = [(await client.get(ORDERS, pageIndex=index, pageSize=5)).json()["value"] for index in (0, 2)]
    assert by_index[0] == by_index[1]
    assert client.sim.requests[-1].query["pageIndex"] == "2"


async def test_the_last_answer_comes_again_byte_by_byte(client: Client) -> None:
    client.sim.faults.add("repeated_page", after=1, every=2)
    bodies = [(await client.get(PATH, pageNumber=number, pageSize=10)).body for number in (1, 2, 3, 4)]
    assert bodies[1] == bodies[0]
    assert bodies[3] == bodies[2]
    assert bodies[0] != bodies[2]


@pytest.mark.parametrize(("told", "expected"), [
    ("-1", 39), ("+1", 41), ("-page", 30), ("+page", 50), ("0", 0), (0, 0), ("100000", 100_000), ("-100", 0),
])  # fmt: skip
async def test_totals_lie_as_told(client: Client, told: str | int, expected: int) -> None:
    client.sim.faults.add("wrong_total", total=told, after=1, times=2)
    rows = await numbers(client, 4)
    assert [await totals(client, number) for number in (1, 4, 1)] == [{expected}, {expected}, {40}]
    assert await numbers(client, 4) == rows


async def test_a_total_lies_for_ever_or_is_absent_in_every_form(client: Client) -> None:
    client.sim.faults.add("wrong_total", total="-page")
    assert [await totals(client, number) for number in (1, 2, 3)] == [{30}] * 3
    assert {row["metadata"]["maxPageSize"] for row in await page(client, 1)} == {1000}
    client.sim.faults.clear()
    client.sim.faults.add("wrong_total", total="absent")
    assert all("metadata" not in row for row in await page(client, 1))
    assert "totalCount" not in (await client.get("/v1/creditTerm")).json()
    assert (await client.get(ORDERS)).json()["totalCount"] is None
    client.sim.faults.clear()
    client.sim.faults.add("wrong_total", total="+1")
    assert (await client.get("/v1/creditTerm")).json()["totalCount"] == 7
    assert (await client.get(ORDERS)).json()["totalCount"] == 31


async def test_the_largest_page_changes_between_requests(client: Client) -> None:
    client.sim.faults.add("small_pages", page_size=30, every=2)
    seen = [await page(client, 1, 50) for _ in range(4)]
    assert [len(rows) for rows in seen] == [30, 40, 30, 40]
    assert [rows[0]["metadata"]["maxPageSize"] for rows in seen] == [30, 1000, 30, 1000]


async def test_faults_of_lists_pass_everything_else_by(client: Client) -> None:
    fault = client.sim.faults.add("blank_list")
    other = client.sim.faults.add("status", page=1, status=503)
    assert (await client.get(f"{PATH}/10003")).json()["number"] == "10003"
    assert (await client.send("POST", PATH, json={"name": {"value": "Ny AS"}})).status == 201
    assert (await client.get(f"{ORDERS}/SO/000001")).status in {200, 404}
    assert (fault.seen, other.seen) == (0, 0)
    assert (await client.get(PATH)).status == 503
    assert (fault.seen, other.seen) == (1, 1)


async def test_a_fault_is_chosen_by_the_query_too(client: Client) -> None:
    client.sim.faults.add("blank_list", query="*lastModifiedDateTime=*")
    assert len(await page(client, 1)) == 10
    since: dict[str, Any] = {"lastModifiedDateTime": "2000-01-01", "lastModifiedDateTimeCondition": ">="}
    assert await page(client, 1, **since) == []


@pytest.mark.parametrize("wrong", [
    {"total": "some"}, {"behind_requests": 0}, {"page_size": 0}, {"of_page": -1}, {"page": -1},
])  # fmt: skip
def test_an_impossible_fault_of_a_list_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"total|needs"):
        Fault(kind="wrong_total", **wrong)


async def test_faults_of_lists_can_be_loaded(client: Client) -> None:
    client.sim.faults.load('[[fault]]\nkind = "wrong_total"\ntotal = "-page"\npage = 2\n')
    assert [await totals(client, number) for number in (1, 2)] == [{40}, {30}]


# -- several servers ----------------------------------------------------------------------------------------


async def test_servers_take_turns_with_pages_of_their_own(client: Client) -> None:
    client.sim.farm = Farm([Server(page_size_limit=20), Server(page_size_limit=15)])
    seen = [await page(client, 1, 50) for _ in range(3)]
    assert [(len(rows), rows[0]["metadata"]["maxPageSize"]) for rows in seen] == [(20, 20), (15, 15), (20, 20)]
    client.sim.farm = None
    assert len(await page(client, 1, 50)) == 40


async def test_a_server_may_be_behind_the_others(client: Client) -> None:
    client.sim.farm = Farm([Server(), Server(behind_requests=2)])
    churn = client.sim.churn("customer", add=1)
    assert [await totals(client) for _ in range(6)] == [{40}, {40}, {42}, {41}, {44}, {43}]
    churn.stop()
    assert len(client.sim.truth("customer")) == 46


async def test_servers_stamp_by_their_own_clocks(client: Client) -> None:
    client.sim.farm = Farm([Server(clock_offset_seconds=-3600), Server(clock_offset_seconds=60)])
    stamps = []
    for _ in range(2):
        (key,) = client.sim.add("customer")
        stamps.append(next(row for row in client.sim.truth("customer").rows() if row["number"] == key))
    assert [row["lastModifiedDateTime"] for row in stamps] == ["2026-01-15T08:00:00", "2026-01-15T09:01:00"]
    written = []
    for _ in range(2):
        await client.send("PUT", f"{PATH}/10003", json={"name": {"value": "Ny AS"}})
        row = next(one for one in client.sim.truth("customer").rows() if one["number"] == "10003")
        written.append(row["lastModifiedDateTime"])
    assert written == ["2026-01-15T08:00:00", "2026-01-15T09:01:00"]


async def test_a_farm_may_draw_its_servers(client: Client) -> None:
    servers = [Server(page_size_limit=20), Server(page_size_limit=15)]
    sizes = []
    for seed in (4, 4, 5):
        client.sim.farm = Farm(servers, order="random", seed=seed)
        sizes.append([len(await page(client, 1, 50)) for _ in range(20)])
    assert sizes[0] == sizes[1] != sizes[2]
    assert set(sizes[0]) == {20, 15}
    with pytest.raises(ValueError, match="at least one"):
        Farm([])
    with pytest.raises(ValueError, match="behind_requests"):
        Server(behind_requests=-1)


async def test_a_token_is_no_turn_of_a_server(client: Client) -> None:
    client.sim.farm = Farm([Server(page_size_limit=20), Server(page_size_limit=15)])
    assert len(await page(client, 1, 50)) == 20
    await client.send("POST", "/connect/token", data={})
    assert len(await page(client, 1, 50)) == 15


# -- other users --------------------------------------------------------------------------------------------


async def test_rows_are_stamped_ahead_of_the_clock_or_behind_it(client: Client) -> None:
    keys = client.sim.add("customer", stamp_offset_seconds=3600) + client.sim.add("customer")
    client.sim.touch("customer", "10000", stamp_offset_seconds=-86_400)
    rows = {row["number"]: row["lastModifiedDateTime"] for row in client.sim.truth("customer").rows()}
    assert [rows[key] for key in keys] == ["2026-01-15T10:00:00", "2026-01-15T09:00:00"]
    assert rows["10000"] == "2026-01-14T09:00:00"
    since: dict[str, Any] = {"lastModifiedDateTime": "2026-01-15T09:00:01", "lastModifiedDateTimeCondition": ">="}
    assert await numbers(client, 1, **since) == keys[:1]


async def test_everything_is_stamped_by_a_clock_that_is_wrong(client: Client) -> None:
    client.sim.behaviours.stamp_offset_seconds = 60.0
    (added,) = client.sim.add("customer")
    made = await client.send("POST", PATH, json={"name": {"value": "Ny AS"}})
    posted = made.headers["Location"].rpartition("/")[2]
    rows = {row["number"]: row["lastModifiedDateTime"] for row in client.sim.truth("customer").rows()}
    assert rows[added] == rows[posted] == "2026-01-15T09:01:00"
    client.sim.behaviours.stamp_offset_seconds = 0.0
    (added,) = client.sim.add("customer")
    rows = {row["number"]: row["lastModifiedDateTime"] for row in client.sim.truth("customer").rows()}
    assert rows[added] == "2026-01-15T09:00:00"


async def test_a_write_is_seen_some_requests_after_its_stamp(client: Client) -> None:
    (added,) = client.sim.add("customer", visible_after_requests=2)
    client.sim.touch("customer", "10005", name="Endret AS", visible_after_requests=1)
    client.sim.clock.advance(600)
    seen = [(await numbers(client, 5), await client.get(PATH, name="Endret AS")) for _ in range(2)]
    assert [(rows, len(named.json())) for rows, named in seen] == [([], 1), ([added], 1)]
    rows = {row["number"]: row["lastModifiedDateTime"] for row in client.sim.truth("customer").rows()}
    assert rows[added] == rows["10005"] == "2026-01-15T09:00:00"  # ten minutes before it was seen


async def test_a_change_that_is_not_seen_yet_gives_way_to_one_that_is(client: Client) -> None:
    client.sim.touch("customer", "10005", name="Tapt AS", visible_after_requests=1)
    client.sim.touch("customer", "10006", name="Tapt AS", visible_after_requests=1)
    client.sim.touch("customer", "10005", name="Gjelder AS")
    client.sim.remove("customer", "10006")
    await page(client, 1)
    assert len((await client.get(PATH, name="Tapt AS")).json()) == 0
    assert len((await client.get(PATH, name="Gjelder AS")).json()) == 1


async def test_late_changes_of_rows_whose_shape_shows_no_time(start: Start) -> None:
    async with start(clock=VirtualClock()) as client:
        client.sim.touch("landed_cost_code", "TOLL", visible_after_requests=1)
        client.sim.clock.advance(600)
        await client.get("/v1/landedCostCode")
        for limit, relation in (("2026-01-15T09:05:00", "<"), ("2026-01-15T09:00:00", ">=")):
            query = {"lastModifiedDateTime": limit, "lastModifiedDateTimeCondition": relation}
            found = (await client.get("/v1/landedCostCode", **query)).json()
            assert "TOLL" in {row["landedCostCodeId"] for row in found}


async def test_churn_may_stamp_wrongly_and_be_seen_late(client: Client) -> None:
    client.sim.churn("customer", add=1, stamp_offset_seconds=3600, visible_after_requests=1)
    assert [await totals(client) for _ in range(4)] == [{40}, {40}, {41}, {42}]
    newest = list(client.sim.truth("customer").rows())[-1]
    assert newest["lastModifiedDateTime"] == "2026-01-15T10:00:00"
    client.sim.churn("customer", remove=1, touch=1, every_requests=2)
    assert [await totals(client) for _ in range(4)] == [{43}, {44}, {44}, {45}]


async def test_an_hour_in_autumn_comes_twice(start: Start) -> None:
    async with start(rows={"customer": 3}, clock=VirtualClock(1_761_438_600.0)) as client:  # 2025-10-26 00:30 UTC
        keys = []
        for _ in range(3):
            keys += client.sim.add("customer")
            client.sim.clock.advance(3600)
        rows = {row["number"]: row["lastModifiedDateTime"] for row in client.sim.truth("customer").rows()}
        assert [rows[key][11:] for key in keys] == ["02:30:00", "02:30:00", "03:30:00"]


# -- lists without paging -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("habit", "pages", "metadata"), [
    ("whole", [40, 40, 40], None), ("paged", [15, 15, 10], 40), ("paged_silently", [15, 15, 10], None),
    ("first_page", [15, 15, 15], None),
])  # fmt: skip
async def test_lists_without_paging_may_page_all_the_same(
    start: Start, habit: str, pages: list[int], metadata: int | None
) -> None:
    async with start(rows={"supplier": 40}, behaviours={"unpaged_lists": habit, "page_size_limit": 15}) as client:
        path = "/v1/supplier/balance"
        seen = [(await client.get(path, pageNumber=number, pageSize=50)).json() for number in (1, 2, 3)]
        assert [len(rows) for rows in seen] == pages
        told = {row.get("metadata", {}).get("totalCount") for rows in seen for row in rows}
        assert told == {metadata}
        unasked = (await client.get(path)).json()
        assert unasked == seen[0]
        keys = client.sim.truth("supplier").keys
        number = [row["supplier"]["number"] for row in seen[1]][:1]
        assert number == ([keys[15]] if habit.startswith("paged") else [keys[0]])


async def test_an_endpoint_without_paging_has_its_own_largest_page(start: Start) -> None:
    async with start(rows={"supplier": 2500}, behaviours={"unpaged_lists": "paged_silently"}) as client:
        assert len((await client.get("/v1/supplier/balance")).json()) == 1000


# -- nothing unasked ----------------------------------------------------------------------------------------


async def test_unasked_every_answer_is_true(client: Client) -> None:
    first = [(await client.get(PATH, pageNumber=number, pageSize=15)).body for number in (1, 2, 3, 4)]
    again = [(await client.get(PATH, pageNumber=number, pageSize=15)).body for number in (1, 2, 3, 4)]
    assert first == again
    assert await totals(client) == {40}
    assert client.sim.farm is None
    assert client.sim.company().history.depth == 0
    (added,) = client.sim.add("customer")
    assert await numbers(client, 5) == [added]

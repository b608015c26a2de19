from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from vismanet_async.simulator import VirtualClock

if TYPE_CHECKING:
    from tests.simulator.conftest import Client, Start


async def numbers(client: Client, page: int, size: int = 10) -> list[str]:
    body = (await client.get("/v1/customer", pageNumber=page, pageSize=size)).json()
    return [row["number"] for row in body]


async def test_a_row_removed_between_pages_makes_the_next_ones_slide(start: Start) -> None:
    async with start(rows={"customer": 30}) as client:
        first = await numbers(client, 1)
        client.sim.remove("customer", first[4])
        second = await numbers(client, 2)
        third = await numbers(client, 3)
        seen = first + second + third
        lost = set(client.sim.truth("customer").keys) - set(seen)
        assert lost == {"10010"}  # it slid from page 2 to page 1


async def test_rows_can_be_added_anywhere(start: Start) -> None:
    async with start(rows={"customer": 30}) as client:
        (last,) = client.sim.add("customer", 1)
        (first,) = client.sim.add("customer", 1, where="start")
        client.sim.add("customer", 3, where="random", name="Midt i AS")
        keys = client.sim.truth("customer").keys
        assert (keys[0], len(keys), len(set(keys))) == (first, 35, 35)
        assert keys[-1] == last or last in keys
        found = (await client.get("/v1/customer", name="Midt i AS")).json()
        assert len(found) == 3
        assert found[0]["metadata"]["totalCount"] == 3
        assert (await client.get(f"/v1/customer/{first}")).json()["number"] == first


async def test_rows_added_at_the_end_are_found_by_filters_too(start: Start) -> None:
    async with start(rows={"customer": 30}) as client:
        added = client.sim.add("customer", 3, name="Nytt AS")  # right behind the rows that were there
        assert [row["number"] for row in (await client.get("/v1/customer", name="Nytt AS")).json()] == added


async def test_a_touch_moves_time_and_version_and_place_where_lists_follow_changes(start: Start) -> None:
    async with start(rows={"customer": 30}, clock=VirtualClock(), behaviours={"list_order": "last_modified"}) as client:
        before = (await client.get("/v1/customer/10003")).json()
        client.sim.clock.advance(10)
        client.sim.touch("customer", "10003")
        after = (await client.get("/v1/customer/10003")).json()
        assert after["lastModifiedDateTime"] == "2026-01-15T09:00:10"  # 08:00:10 UTC is 09:00:10 in Oslo
        assert after["timeStamp"] != before["timeStamp"]
        assert client.sim.truth("customer").keys[-1] == "10003"
        window = {"lastModifiedDateTime": "2026-01-01", "lastModifiedDateTimeCondition": ">="}
        assert [row["number"] for row in (await client.get("/v1/customer", **window)).json()] == ["10003"]
        frozen = (
            await client.get(
                "/v1/customer",
                lastModifiedDateTime="2026-01-01",
                lastModifiedDateTimeCondition="<",
                pageSize=1,
            )
        ).json()
        assert frozen[0]["metadata"]["totalCount"] == 29


async def test_churn_goes_on_while_pages_are_read(start: Start) -> None:
    async with start(rows={"customer": 100}) as client:
        churn = client.sim.churn("customer", every_requests=2, add=3, remove=1, touch=1)
        totals = [(await client.get("/v1/customer", pageSize=1)).json()[0]["metadata"]["totalCount"] for _ in range(5)]
        assert totals == [100, 100, 102, 102, 104]
        churn.stop()
        assert len(await numbers(client, 1, 1000)) == 104


async def test_an_unstable_order_shows_every_row_per_answer_but_another_order_each_time(start: Start) -> None:
    async with start(rows={"customer": 25}, behaviours={"list_order": "unstable"}) as client:
        orders = [await numbers(client, 1, 100) for _ in range(3)]
        assert all(sorted(order) == sorted(client.sim.truth("customer").keys) for order in orders)
        assert len({tuple(order) for order in orders}) == 3


async def test_newest_first_reverses_the_list(start: Start) -> None:
    async with start(rows={"customer": 25}, behaviours={"list_order": "newest_first"}) as client:
        both = await numbers(client, 1, 20) + await numbers(client, 2, 20)
        assert both == list(reversed(client.sim.truth("customer").keys))


async def test_an_upgrade_restamps_everything(start: Start) -> None:
    async with start(rows={"customer": 25}, clock=VirtualClock()) as client:
        client.sim.restamp("customer")
        rows = (
            await client.get("/v1/customer", lastModifiedDateTime="2026-01-15", lastModifiedDateTimeCondition=">=")
        ).json()
        assert len(rows) == 25
        assert {row["lastModifiedDateTime"] for row in rows} == {"2026-01-15T09:00:00"}


async def test_a_million_rows_cost_nothing_until_they_are_read(start: Start) -> None:
    async with start(rows={"customer": 3_000_000}) as client:
        last = (await client.get("/v1/customer", pageNumber=3000)).json()
        assert len(last) == 1000
        assert last[0]["metadata"]["totalCount"] == 3_000_000
        client.sim.remove("customer", last[-1]["number"])
        assert len((await client.get("/v1/customer", pageNumber=3000)).json()) == 999


@pytest.mark.parametrize("wrong", [
    {"rows": {"custmer": 3}}, {"rows": {"customer": -1}}, {"behaviours": {"empty_list": "?"}},
    {"behaviours": {"nope": 1}},
    {"behaviours": {"approved": 1}},
])  # fmt: skip
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    from vismanet_async.simulator import Simulator

    with pytest.raises(ValueError, match=r"custmer|negative|empty_list|nope|approved"):
        Simulator(**wrong)


async def test_wrong_names_are_refused(client: Client) -> None:
    with pytest.raises(KeyError, match="customer"):
        client.sim.add("custmer")
    with pytest.raises(ValueError, match="colour"):
        client.sim.add("customer", colour="blue")
    with pytest.raises(KeyError, match="99"):
        client.sim.remove("customer", "99")
    with pytest.raises(ValueError, match="where"):
        client.sim.churn("customer", add=1, where="middle")

"""What is newer than the catalog, over real HTTP."""

# mypy: disable-error-code="unused-awaitable"
# lists are values here: they are refused before they are read

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from vismanet_async import Other, RequestRefused, StaticToken, VismaNet
from vismanet_async.models import CustomerUpdate
from vismanet_async.simulator import Simulator


def client(sim: Simulator) -> VismaNet:
    return VismaNet(StaticToken(sim.issue_token()), base_url=sim.base_url)


@pytest.mark.parametrize("name", ["status", "Status", "pageNumber", "pagenumber", "lastModifiedDateTime"])
async def test_what_a_list_sets_itself_is_no_extra_parameter(name: str) -> None:
    async with VismaNet(StaticToken("x"), base_url="http://127.0.0.1:9") as visma:
        with pytest.raises(RequestRefused, match=f"extra_query names {name}, which this call sets itself"):
            visma.customer_invoice.list(status="Open").with_options(extra_query={name: "1"})
        wrong: Any = {"top": 1}
        with pytest.raises(RequestRefused, match="not int"):
            visma.customer_invoice.list().with_options(extra_query=wrong)


async def test_a_value_newer_than_the_catalog_is_sent_and_any_case_is_known() -> None:
    lower: Any = "active"
    async with Simulator(rows={"customer": 20}) as sim, client(sim) as visma:
        active = await visma.customer.list(status="Active")
        assert active
        assert await visma.customer.list(status=lower) == active
        assert await visma.customer.list(status=Other("Paused")) == []


async def test_a_list_takes_parameters_newer_than_the_catalog() -> None:
    async with Simulator(rows={"customer": 3}) as sim:
        async with client(sim) as visma:
            assert len(await visma.customer.list().with_options(extra_query={"expandNew": "true"})) == 3
        assert {request.query.get("expandNew") for request in sim.requests} == {"true"}


async def test_fields_and_values_newer_than_the_catalog_arrive_as_they_were_given() -> None:
    update = CustomerUpdate(name="New", status=Other("Inactive"), extra={"newField": {"value": Decimal("0.10")}})
    async with Simulator(rows={"customer": 1}) as sim, client(sim) as visma:
        await visma.customer.update("10000", update)
        assert (await visma.customer.get("10000")).status == "Inactive"
        sent = b'{"name":{"value":"New"},"status":{"value":"Inactive"},"newField":{"value":0.10}}'
        assert sim.requests[0].body == sent

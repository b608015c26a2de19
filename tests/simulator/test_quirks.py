from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from vismanet_async.simulator import VirtualClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.simulator.conftest import Client, Start


@pytest.fixture
async def client(start: Start) -> AsyncIterator[Client]:
    async with start(rows={"customer": 15, "sales_order": 3, "purchase_receipt": 3}) as made:
        yield made


async def customers(client: Client) -> list[dict[str, Any]]:
    return (await client.get("/v1/customer")).json()  # type: ignore[no-any-return]


@pytest.mark.parametrize(("shape", "fits"), [
    ("erp", rb'\{"message":".*cannot be found'), ("capital", rb'\{"Message":"'),
    ("ipp", rb'"ExceptionType":"IPPException"'),
    ("text", rb"VismaId: "), ("html", rb"<html>"), ("empty", rb"$"),
])  # fmt: skip
async def test_errors_come_in_every_shape_seen(client: Client, shape: str, fits: bytes) -> None:
    client.sim.behaviours.set(error_shape=shape)
    answer = await client.get("/v1/customer/nobody")
    assert answer.status == 404
    assert re.match(rb".*" + fits, answer.body)


async def test_a_company_may_lack_a_licence(client: Client) -> None:
    client.sim.behaviours.company_fault = "12027"
    answer = await client.get("/v1/customer")
    assert (answer.status, answer.json()["ExceptionMessage"]) == (401, "No license for this company.")


async def test_operations_past_their_end_may_be_gone(client: Client) -> None:
    paths = ["/v1/salesorder", "/v2/salesorder", "/v1/PurchaseReceipt"]
    assert [(await client.get(path)).status for path in paths] == [200, 200, 200]
    client.sim.behaviours.ended_operations = "not_found"
    assert [(await client.get(path)).status for path in paths] == [404, 404, 404]
    assert [(await client.get(path)).status for path in ("/v2/PurchaseReceipt", "/v1/salesordertype")] == [
        200,
        200,
    ]


@pytest.mark.parametrize(
    ("style", "pattern"),
    [("quoted", r'"[A-Za-z0-9+/]+="'), ("bare", r"[A-Za-z0-9+/]+="), ("weak", r'W/"[A-Za-z0-9+/]+="')],
)
async def test_etags_are_written_in_several_ways(client: Client, style: str, pattern: str) -> None:
    client.sim.behaviours.set(etag_style=style)
    assert re.fullmatch(pattern, (await client.get("/v1/customer/10003")).headers["ETag"])


async def test_rows_may_have_odd_forms(client: Client) -> None:
    plain = await customers(client)
    client.sim.behaviours.set(
        time_style="z",
        fraction_digits=7,
        empty_text_for_null=True,
        unknown_fields=True,
        unknown_enum_values=True,
    )
    odd = await customers(client)
    assert [row["number"] for row in odd] == [row["number"] for row in plain]
    assert all(re.search(r"\.\d{7}Z$", row["lastModifiedDateTime"]) for row in odd)
    assert all(row["fieldNobodyKnows"]["since"] == "yesterday" for row in odd)
    assert odd[3]["status"] == odd[13]["status"] == "StatusNobodyKnows"
    assert plain[0]["mainAddress"]["addressLine3"] is None
    assert odd[0]["mainAddress"]["addressLine3"] == ""
    assert odd[0]["creditLimit"] == plain[0]["creditLimit"]
    client.sim.behaviours.set(
        time_style="naive",
        fraction_digits=-1,
        empty_text_for_null=False,
        unknown_fields=False,
        unknown_enum_values=False,
    )
    assert await customers(client) == plain


async def test_single_reads_may_be_wrapped_or_lists(client: Client) -> None:
    client.sim.behaviours.wrapped_reads = True
    wrapped = (await client.get("/v1/customer/10003")).json()
    assert wrapped["number"] == {"value": "10003"}
    assert "totalCount" in wrapped["metadata"]
    client.sim.behaviours.set(wrapped_reads=False, single_answers_list=True)
    assert isinstance((await client.get("/v1/customerinvoice/100002")).json(), list)


@pytest.mark.parametrize(
    ("coding", "expected"), [("gzip", "gzip"), ("deflate", "deflate"), ("identity", None), ("br", None)]
)
async def test_answers_are_compressed_where_accepted(client: Client, coding: str, expected: str | None) -> None:
    for _ in range(2):
        answer = await client.send("GET", "/v1/customer", headers={"Accept-Encoding": coding})
        assert answer.headers.get("Content-Encoding") == expected
        assert len(answer.json()) == 15


async def test_a_byte_order_mark_is_possible(client: Client) -> None:
    client.sim.behaviours.utf8_bom = True
    assert (await client.get("/v1/customer")).body.startswith(b"\xef\xbb\xbf[")


async def test_the_server_may_lower_its_page_size_and_hide_metadata(client: Client) -> None:
    client.sim.behaviours.page_size_limit = 4
    page = (await client.get("/v1/customer", pageSize=10)).json()
    assert (len(page), page[0]["metadata"]["maxPageSize"]) == (4, 4)
    client.sim.behaviours.set(list_metadata=False, page_size_limit=0)
    assert all("metadata" not in row for row in await customers(client))
    client.sim.behaviours.set(clamp_page_size=False)
    assert (await client.get("/v1/customer", pageSize=5000)).status == 400


async def test_filters_may_be_read_as_the_older_documents_said(client: Client) -> None:
    limit = (await customers(client))[5]["lastModifiedDateTime"]
    query = {"lastModifiedDateTime": limit, "lastModifiedDateTimeCondition": ">"}
    after = len((await client.get("/v1/customer", **query)).json())
    client.sim.behaviours.greater_includes_equal = True
    assert len((await client.get("/v1/customer", **query)).json()) == after + 1
    client.sim.behaviours.set(value_needs_condition="refused", unknown_parameters="refused")
    assert (await client.get("/v1/customer", lastModifiedDateTime=limit)).status == 400
    assert (await client.get("/v1/customer", nope=1)).status == 400


async def test_another_companys_header_may_empty_the_list(client: Client) -> None:
    other = {"ipp-company-id": "999"}
    assert len((await client.send("GET", "/v1/customer", headers=other)).json()) == 15
    client.sim.behaviours.wrong_company_header = "empty_list"
    assert (await client.send("GET", "/v1/customer", headers=other)).json() == []


async def test_wrong_bodies_may_look_like_server_errors(client: Client) -> None:
    client.sim.behaviours.validation_status = 500
    assert (await client.send("POST", "/v1/customer", json={})).status == 500


async def test_a_part_of_a_name_is_enough_or_not(client: Client) -> None:
    names = [row["name"] for row in await customers(client)]
    part = names[4].split(" ")[0]
    expected = [name for name in names if part in name]
    assert [row["name"] for row in (await client.get("/v1/customer", name=part.lower())).json()] == expected
    client.sim.behaviours.text_filters = "exact"
    assert (await client.get("/v1/customer", name=part)).json() == []
    assert names[4] in [row["name"] for row in (await client.get("/v1/customer", name=names[4])).json()]


async def test_sales_orders_may_not_tell_their_number(client: Client) -> None:
    path = "/salesorder/api/v3/SalesOrders"
    assert (await client.get(path)).json()["totalCount"] == 3
    client.sim.behaviours.sales_order_total_unknown = True
    assert (await client.get(path)).json()["totalCount"] is None


async def test_encoded_reserved_characters_pass_where_the_gateway_lets_them(client: Client) -> None:
    made = await client.send("PUT", "/v1/customer/10000", json={"number": {"value": "10000"}})
    assert made.status == 204
    refused = await client.get("/v1/customer/100%2F00")
    client.sim.behaviours.encoded_reserved_in_path = "accepted"
    passed = await client.get("/v1/customer/100%2F00")
    # the gateway knows no such route; the ERP knows no such customer
    assert (refused.status, "statusCode" in refused.json()) == (404, True)
    assert (passed.status, "'100/00' cannot be found" in passed.json()["message"]) == (404, True)


async def test_own_numbers_count_with_the_override_or_always(client: Client) -> None:
    body = {"name": {"value": "Ny AS"}, "number": {"value": "EGET"}}
    by_series = await client.send("POST", "/v1/customer", json=body)
    assert not by_series.headers["Location"].endswith("EGET")
    client.sim.behaviours.manual_numbers = "accepted"
    own = await client.send("POST", "/v1/customer", json=body)
    assert own.headers["Location"].endswith("/EGET")


async def test_the_gateway_gives_up_and_the_work_goes_on(start: Start) -> None:
    async with start(rows={"customer": 3}, clock=VirtualClock(), latency=20.0) as client:
        client.sim.behaviours.gateway_timeout_seconds = 10.0
        before = client.sim.clock.now()
        answer = await client.send("POST", "/v1/customer", json={"name": {"value": "Ny AS"}})
        assert (answer.status, client.sim.clock.now() - before) == (504, 10.0)
        assert len(client.sim.truth("customer")) == 4
        client.sim.behaviours.gateway_timeout_seconds = 0.0
        assert (await client.get("/v1/customer")).status == 200

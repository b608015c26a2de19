from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulator.conftest import Client, Start


def padded(text: str) -> str:
    """Return a time that sorts rightly as text: without a fraction before with one."""
    return text if "." in text else f"{text}."


async def read_all(client: Client, path: str, size: int, **params: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    number = 1
    while page := (await client.get(path, pageNumber=number, pageSize=size, **params)).json():
        rows += page
        number += 1
    return rows


async def test_pages_hold_every_row_once_and_say_how_many(client: Client) -> None:
    rows = await read_all(client, "/v1/customer", 70)
    assert [row["number"] for row in rows] == client.sim.truth("customer").keys
    assert {row["metadata"]["totalCount"] for row in rows} == {300}
    assert {row["metadata"]["maxPageSize"] for row in rows} == {1000}


@pytest.mark.parametrize(("path", "limit", "total"), [("/v1/customer", 1000, 1100), ("/v1/inventory", 5000, 5100)])
async def test_a_page_size_above_the_maximum_is_lowered_in_silence(
    start: Start, path: str, limit: int, total: int
) -> None:
    async with start(rows={"inventory": 5100, "customer": 1100}) as client:
        for params in ({"pageSize": 99_999}, {}):
            answer = await client.get(path, **params)
            assert answer.status == 200
            mark = b'"metadata":{"totalCount":%d,"maxPageSize":%d}}' % (total, limit)
            assert answer.body.count(mark) == limit


@pytest.mark.parametrize("form", ["[]", "", "null", '""'])
async def test_an_empty_list_has_the_chosen_form(start: Start, form: str) -> None:
    async with start(rows={"customer": 3}, behaviours={"empty_list": form}) as client:
        assert (await client.get("/v1/customer", pageNumber=2)).body == form.encode()
        assert (await client.get("/v1/customer", name="nobody")).body == form.encode()


async def test_unknown_parameters_and_values_without_condition_change_nothing(client: Client) -> None:
    whole = (await client.get("/v1/customer", pageSize=1)).json()[0]["metadata"]["totalCount"]
    for params in (
        {"statsu": "Active"},
        {"lastModifiedDateTime": "2030-01-01"},
        {"skip": 100},
        {"pageNum": 3},
    ):
        page = (await client.get("/v1/customer", pageSize=1, **params)).json()
        assert page[0]["metadata"]["totalCount"] == whole
        assert page[0]["number"] == client.sim.truth("customer").keys[0]


@pytest.mark.parametrize("relation", [">", ">=", "<", "<="])
async def test_date_conditions_find_exactly_the_rows_they_should(client: Client, relation: str) -> None:
    rows = list(client.sim.truth("customer").rows())
    limit = sorted(row["lastModifiedDateTime"] for row in rows)[150]
    compare = {">": str.__gt__, ">=": str.__ge__, "<": str.__lt__, "<=": str.__le__}[relation]
    expected = [row["number"] for row in rows if compare(padded(row["lastModifiedDateTime"]), padded(limit))]
    found = await read_all(
        client, "/v1/customer", 100, lastModifiedDateTime=limit, lastModifiedDateTimeCondition=relation
    )
    assert [row["number"] for row in found] == expected
    assert 0 < len(expected) < len(rows)


@pytest.mark.parametrize("text", ["2025-06-01Z", "2025-06-01T00:00:00+02:00", "01.06.2025", "2025-13-01"])
async def test_dates_with_a_zone_or_in_another_form_are_refused(client: Client, text: str) -> None:
    answer = await client.get("/v1/customer", lastModifiedDateTime=text, lastModifiedDateTimeCondition=">")
    assert answer.status == 400
    assert "DateTime" in answer.json()["message"]


async def test_equality_filters_agree_with_the_rows(client: Client) -> None:
    rows = list(client.sim.truth("customer_invoice").rows())
    picks: dict[str, Callable[[dict[str, Any]], str]] = {
        "status": lambda row: str(row["status"]),
        "customer": lambda row: str(row["customer"]["number"]),
        "financialPeriod": lambda row: str(row["financialPeriod"]),
    }
    for name, pick in picks.items():
        wanted = pick(rows[77])
        expected = [row["referenceNumber"] for row in rows if pick(row) == wanted]
        found = await read_all(client, "/v1/customerinvoice", 500, **{name: wanted})
        assert [row["referenceNumber"] for row in found] == expected


async def test_filters_find_what_was_added(client: Client) -> None:
    added = client.sim.add("customer_invoice", externalReference="order-1") + client.sim.add(
        "customer_invoice", externalReference="order-1"
    )
    found = await read_all(client, "/v1/customerinvoice", 500, externalReference="order-1")
    assert [row["referenceNumber"] for row in found] == added


async def test_collections_come_only_when_asked_for(client: Client) -> None:
    plain = (await client.get("/v1/customerinvoice", pageSize=5)).json()
    asked = (
        await client.get("/v1/customerinvoice", pageSize=5, expandAttachments="true", expandTaxDetails="true")
    ).json()
    assert all("attachments" not in row and "taxDetails" not in row and "applications" not in row for row in plain)
    assert all("attachments" in row and "taxDetails" in row and "applications" not in row for row in asked)
    single = (await client.get(f"/v1/customerinvoice/{plain[0]['referenceNumber']}")).json()
    assert "applications" in single


async def test_envelopes_and_unpaged_endpoints(client: Client) -> None:
    envelope = (await client.get("/v1/creditTerm", pageSize=4, pageNumber=2)).json()
    assert (
        envelope["pageNumber"],
        envelope["pageSize"],
        envelope["totalCount"],
        len(envelope["records"]),
    ) == (2, 4, 6, 2)
    first = (await client.get("/v1/branch", pageNumber=1, pageSize=1)).json()
    second = (await client.get("/v1/branch", pageNumber=2, pageSize=1)).json()
    assert first == second
    assert len(first) == 3
    assert not any("metadata" in row and row["metadata"].get("totalCount") == 3 for row in first)


async def test_journal_pages_count_lines_and_split_batches(client: Client) -> None:
    assert (await client.get("/v2/journaltransaction")).status == 400
    lines: list[tuple[str, int]] = []
    split = False
    number, total = 1, None
    while page := (await client.get("/v2/journaltransaction", periodId="202307", pageNumber=number, pageSize=7)).json():
        total = page[0]["metadata"]["totalCount"]
        on_page = [
            (batch["batchNumber"], line["lineNumber"]) for batch in page for line in batch["journalTransactionLines"]
        ]
        assert len(on_page) <= 7
        split = split or bool(lines and on_page[0][0] == lines[-1][0])
        lines += on_page
        number += 1
    assert total == len(lines) == len(set(lines))
    assert split


async def test_union_lists_show_documents_of_all_kinds(client: Client) -> None:
    sizes = [len(client.sim.truth(name)) for name in ("customer_invoice", "customer_credit_note",
    "customer_debit_note",
                                                      "customer_overdue_charge",
                                                      "customer_credit_write_off")]  # fmt: skip
    page = (await client.get("/v1/customerdocument", pageSize=1)).json()
    assert page[0]["metadata"]["totalCount"] == sum(sizes)


async def test_order_by_sorts(client: Client) -> None:
    page = (await client.get("/v1/supplier", orderBy="number desc", pageSize=5)).json()
    found = [row["number"] for row in page]
    assert found == sorted(found, reverse=True)


async def test_rows_are_the_same_for_the_same_seed_only(start: Start) -> None:
    bodies = []
    for seed in (5, 5, 6):
        async with start(seed=seed) as client:
            bodies.append((await client.get("/v1/supplierInvoice", pageSize=50)).body)
    assert bodies[0] == bodies[1] != bodies[2]


async def test_money_keeps_four_decimals(client: Client) -> None:
    answer = await client.get("/v1/customerinvoice", pageSize=1)
    amount = answer.json()[0]["amount"]
    assert isinstance(amount, Decimal)
    assert f'"amount":{amount},'.encode() in answer.body
    assert str(amount)[-5] == "."


async def test_an_invoice_adds_up_and_its_references_resolve(client: Client) -> None:
    key = client.sim.truth("customer_invoice").keys[41]
    invoice = (await client.get(f"/v1/customerinvoice/{key}")).json()
    assert invoice["detailTotal"] == sum(line["amount"] for line in invoice["invoiceLines"])
    assert invoice["amount"] == invoice["detailTotal"] + invoice["vatTotal"]
    customer = await client.get(f"/v1/customer/{invoice['customer']['number']}")
    assert customer.json()["name"] == invoice["customer"]["name"]
    for line in invoice["invoiceLines"]:
        assert (await client.get(f"/v1/inventory/{line['inventoryNumber']}")).status == 200
        assert (await client.get(f"/v1/account/{line['account']['number']}")).status == 200


async def test_a_single_row_has_an_etag_equal_to_its_time_stamp(client: Client) -> None:
    answer = await client.get("/v1/customer/10007")
    assert answer.headers["ETag"] == f'"{answer.json()["timeStamp"]}"'
    assert (await client.get("/v1/customer/99999")).status == 404


@pytest.mark.parametrize("path", ["/V1/CUSTOMER/10003", "/api/v1/customer/10003",
"/API/controller/api/v1/Customer/10003",
                                  "/v1/customer/b64(MTAwMDM)", "/v1/customer/internal/104"])  # fmt: skip
async def test_a_row_is_found_on_every_spelling_of_its_path(client: Client, path: str) -> None:
    assert (await client.get(path)).json()["number"] == "10003"

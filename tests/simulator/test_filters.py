"""Every parameter that the catalog offers for a list filters, or is refused with 501."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from tests.simulator.test_surface import path_values, required_query
from vismanet_async._simulator.catalog import Operation, load
from vismanet_async._simulator.filter_fields import find_field
from vismanet_async._simulator.filters import values_at
from vismanet_async._simulator.tables import SPECS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.simulator.conftest import Client, Start

pytestmark = pytest.mark.timeout(240)

# what chooses no rows: paging, sorting, what is shown of a row, and what the service disregards (facts 4.11)
CHOOSES_NOTHING = frozenset({
    "pagenumber", "pagesize", "orderby", "numbertoread", "skiprecords", "greaterthanvalue", "shownotes",
    "addcostpricestatistics", "includecustomfreefields", "includeaccountclassdescription",
})  # fmt: skip
NOBODY = {"string": "nobody-has-this", "array": "nobody-has-this", "integer": "987654321", "number": "987654321.5"}
# one of the five tables in this list has no due date: its rows are never found by one
SHOWN_BUT_NOT_HAD = {("CustomerDocument_GetAllDocuments", "documentDueDate")}
BY_RULES = {"released", "attributes", "finPeriod", "ledger"}
LOWER_BOUNDS = {"toPeriod", "toDate", "transactionToDate", "toFinPeriod", "effectiveAsOf"}
PAGE = Path(__file__).parents[2] / "docs" / "simulator.md"


@attrs.frozen
class Parameter:
    operation: Operation
    name: str

    @property
    def kind(self) -> str:
        return str(self.operation.query[self.name]["type"])

    @property
    def is_time(self) -> bool:
        has_format = "date" in (self.operation.query[self.name].get("format") or "")
        return has_format or self.name.lower().endswith(("datetime", "date"))

    @property
    def has_condition(self) -> bool:
        return f"{self.name}Condition" in self.operation.query

    def query(self, value: str, relation: str = "=") -> dict[str, str]:
        return {self.name: value} | ({f"{self.name}Condition": relation} if self.has_condition else {})

    def nobody(self) -> list[dict[str, str]]:
        """Queries of which at least one has to leave rows out."""
        if self.kind == "boolean" or self.name == "released":
            return [self.query("true"), self.query("false")]
        if self.name == "attributes":
            return [self.query('{"COLOUR":"none"}')]
        if self.is_time:
            return [self.query("1901-01-01" if self.name in LOWER_BOUNDS else "2099-01-01", ">")]
        if "period" in self.name.lower():
            return [self.query("190101" if self.name in LOWER_BOUNDS else "209912")]
        return [self.query(NOBODY[self.kind])]


def lists() -> Iterator[Operation]:
    for operation in load().operations.values():
        if operation.method == "GET" and operation.response_kind in {"list", "envelope"}:
            yield operation


def parameters() -> Iterator[Parameter]:
    for operation in lists():
        for name in operation.query:
            low = name.lower()
            if low not in CHOOSES_NOTHING and not low.endswith("condition") and not low.startswith("expand"):
                yield Parameter(operation, name)


@pytest.fixture
async def client(start: Start) -> AsyncIterator[Client]:
    async with start(rows=dict.fromkeys(SPECS, 24), quota=10**6) as made:
        give_the_first_of_each_something_below_it(made)
        yield made


def give_the_first_of_each_something_below_it(client: Client) -> None:
    sim = client.sim
    customer, supplier, employee = (sim.truth(name).keys[0] for name in ("customer", "supplier", "employee"))
    sim.add("ui_extension", 2)
    for number in (0, 3, 5):
        for name in ("customer_invoice", "cash_sale", "sales_order"):
            sim.touch(name, sim.truth(name).keys[number], customer={"number": customer})
        sim.touch("supplier_invoice", sim.truth("supplier_invoice").keys[number], supplier={"number": supplier})
        sim.touch("contact", sim.truth("contact").keys[number], businessAccount=customer)
        sim.touch("contact", sim.truth("contact").keys[number + 6], businessAccount=supplier)
        sim.touch("expense_claim", sim.truth("expense_claim").keys[number], claimedBy={"number": employee})
        sim.touch("expense_receipt", sim.truth("expense_receipt").keys[number], claimedBy={"number": employee})
        sim.touch("time_card", sim.truth("time_card").keys[number], employee={"number": employee})


def path_of(client: Client, operation: Operation) -> str:
    if operation.collection == "uiextension":
        return "/v1/uiExtension/owner"
    values = iter(path_values(operation, client))
    return re.sub(r"\{\w+\}", lambda _: next(values), operation.path)


async def ask(client: Client, operation: Operation, query: dict[str, str]) -> tuple[int, list[dict[str, Any]]]:
    needed = required_query(operation)
    if operation.collection == "journaltransaction":
        needed = {"lastModifiedDateTime": "2000-01-01"}
    answer = await client.get(path_of(client, operation), **(needed | query))
    if answer.status != 200:
        assert answer.status == 501, (operation.id, query, answer.body)
        assert all(name in answer.json()["message"] for name in (operation.id, next(iter(query))))
        return answer.status, []
    body = answer.json()
    return 200, body["records"] if operation.response_kind == "envelope" else body


async def test_every_parameter_of_every_list_filters_or_is_refused(client: Client) -> None:
    ignored: list[str] = []
    refused: dict[str, set[str]] = {}
    filtered = 0
    for operation in lists():
        _, everything = await ask(client, operation, {})
        for parameter in (one for one in parameters() if one.operation is operation):
            assert everything, f"{operation.id} has no rows that a filter could leave out"
            answers = [await ask(client, operation, query) for query in parameter.nobody()]
            if any(status == 501 for status, _ in answers):
                refused.setdefault(operation.id, set()).add(parameter.name)
            elif min(len(rows) for _, rows in answers) < len(everything):
                assert len(answers) > 1 or not answers[0][1], (operation.id, parameter.name)
                filtered += 1
            else:
                ignored.append(f"{operation.id} {parameter.name}")
    assert not ignored
    assert filtered > 650
    documented = dict(re.findall(r"^\| `(\w+)` \| (`.*`) \|$", PAGE.read_text("utf-8"), re.MULTILINE))
    assert refused == {key: set(re.findall(r"`(\w+)`", text)) for key, text in documented.items()}
    paths = (await client.get("/openapi.json")).json()["paths"].values()
    assert refused.keys() <= {one["operationId"] for way in paths for one in way.values() if "501" in one["responses"]}


async def test_what_a_row_says_is_what_it_is_found_by(client: Client) -> None:
    """Also where a list shows the rows of a table in another shape than the table's own."""
    schemas = load().schemas
    tried, wrong = 0, []
    for operation in lists():
        _, everything = await ask(client, operation, {})
        for parameter in (one for one in parameters() if one.operation is operation):
            field = find_field(parameter.name, schemas, operation.response_dto or "")
            if field is None or parameter.name in BY_RULES or (operation.id, parameter.name) in SHOWN_BUT_NOT_HAD:
                continue
            found = [list(values_at(row, field.path)) for row in everything]
            value = next((str(one) for values in found for one in values if one not in {None, ""}), None)
            if value is None or (parameter.is_time and not parameter.has_condition):
                continue
            value = value.lower() if field.facts["type"] == "boolean" else value
            status, rows = await ask(client, operation, parameter.query(value))
            expected = [row for row, values in zip(everything, found, strict=True) if says(parameter, values, value)]
            if status == 200 and [identity(row) for row in rows] != [identity(row) for row in expected]:
                wrong.append(f"{operation.id} {parameter.name}={value}: {len(rows)} of {len(expected)}")
            tried += status == 200
    assert not wrong
    assert tried > 450


def says(parameter: Parameter, values: list[object], wanted: str) -> bool:
    texts = [str(value).casefold() for value in values]
    if parameter.name.lower() in {"name", "description", "displayname", "firstname", "lastname"}:
        return any(wanted.casefold() in text for text in texts)
    return wanted.casefold() in texts


def identity(row: dict[str, Any]) -> object:
    return {name: value for name, value in row.items() if name != "metadata"}


async def test_supplier_invoices_are_found_by_a_project_of_their_lines(client: Client) -> None:
    rows = list(client.sim.truth("supplier_invoice").rows())
    project = rows[7]["invoiceLines"][0]["project"]["id"]
    expected = [
        row["referenceNumber"] for row in rows if project in {line["project"]["id"] for line in row["invoiceLines"]}
    ]
    found = (await client.get("/v1/supplierInvoice", project=project)).json()
    assert [row["referenceNumber"] for row in found] == expected
    assert 0 < len(expected) < len(rows)
    assert (await client.get("/v1/supplierInvoice", project="20")).json() == []


async def test_times_that_a_shape_does_not_show_filter_all_the_same(client: Client) -> None:
    shown = (await client.get("/v1/landedCostCode")).json()
    assert all("lastModifiedDateTime" not in row for row in shown)
    now = client.sim.company().world.now_text()
    since = {"lastModifiedDateTime": now, "lastModifiedDateTimeCondition": ">="}
    assert (await client.get("/v1/landedCostCode", **since)).json() == []
    client.sim.touch("landed_cost_code", "TOLL")
    (changed,) = (await client.get("/v1/landedCostCode", **since)).json()
    assert changed["landedCostCodeId"] == "TOLL"
    assert set(changed) <= set(load().schemas["LandedCostCodeDto"])
    made = {"createdDateTime": now, "createdDateTimeCondition": ">="}
    client.sim.touch("inventory", "V000003")
    assert (await client.get("/v1/inventory", **made)).json() == []
    (added,) = client.sim.add("inventory")
    assert [row["inventoryNumber"] for row in (await client.get("/v1/inventory", **made)).json()] == [added]


async def test_attributes_are_looked_for_by_name_and_value(client: Client) -> None:
    customer, other = client.sim.truth("customer").keys[:2]
    client.sim.touch("customer", customer, attributes=[{"id": "FARGE", "value": "RØD"}])
    client.sim.touch("customer", other, attributes=[{"id": "BRANSJE", "value": "RØD"}])
    found = (await client.get("/v1/customer", attributes='{"FARGE":"BLÅ,rød"}')).json()
    assert [row["number"] for row in found] == [customer]


async def test_released_documents_are_told_by_their_status(client: Client) -> None:
    everything = (await client.get("/v1/customerinvoice")).json()
    released = (await client.get("/v1/customerinvoice", released=1)).json()
    others = (await client.get("/v1/customerinvoice", released=0)).json()
    assert {row["status"] for row in released} <= {"Open", "Closed", "Voided", "Reserved"}
    assert not {row["status"] for row in others} & {"Open", "Closed", "Voided", "Reserved"}
    assert len(released) + len(others) == len(everything)
    assert (await client.get("/v1/customerinvoice", released="perhaps")).status == 400


async def test_a_period_is_asked_for_in_the_spelling_of_filters(client: Client) -> None:
    row = (await client.get("/v2/PurchaseReceipt")).json()[4]
    period = row["postPeriod"][2:] + row["postPeriod"][:2]
    found = (await client.get("/v2/PurchaseReceipt", finPeriod=period)).json()
    assert row["receiptNbr"] in {one["receiptNbr"] for one in found}
    assert {one["postPeriod"] for one in found} == {row["postPeriod"]}
    assert (await client.get("/v2/PurchaseReceipt", finPeriod=row["postPeriod"])).status == 400


async def test_unpaged_lists_sort_too_and_a_name_that_no_row_has_is_refused(client: Client) -> None:
    names = [row["name"] for row in (await client.get("/v1/branch", orderBy="Name desc")).json()]
    assert names == sorted(names, reverse=True)
    assert len(names) == 3
    assert (await client.get("/v1/branch", orderBy="shoeSize")).status == 501


async def test_records_without_a_table_refuse_what_they_cannot_filter_by(client: Client) -> None:
    answer = await client.get("/v1/vatCategory/3", vendorCd="50001")
    assert (answer.status, "vendorCd" in answer.json()["message"]) == (501, True)
    assert (await client.get("/v1/vatCategory/3")).status == 200

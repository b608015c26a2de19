"""What a record would have to change to have the values of a body."""

from __future__ import annotations

from decimal import Decimal
from itertools import combinations, permutations, product
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from vismanet_async._codec.differences import Comparison, changed_meanwhile, compare
from vismanet_async.models import CustomerInvoiceUpdate, CustomerUpdate

if TYPE_CHECKING:
    from vismanet_async._codec.model import WriteModel

RECORD: dict[str, Any] = {
    "number": "10000",
    "name": "Vega AS",
    "creditLimit": Decimal("100.10"),
    "printInvoices": False,
    "accountReference": None,
    "mainAddress": {"city": "Oslo", "country": {"id": "NO", "name": "Norway"}, "postalCode": ""},
    "customerClass": {"id": "1", "description": "Home"},
    "creditTerms": None,
    "attributes": [{"id": "COLOUR", "value": "RED", "description": "Red"}],
    "timeStamp": "AAA=",
}
INVOICE: dict[str, Any] = {
    "documentDate": "2026-01-31T00:00:00",
    "branchNumber": {"number": "1", "name": "Main"},
    "invoiceLines": [
        {"lineNumber": 1, "quantity": Decimal("2.0"), "inventoryNumber": "A", "description": "a"},
        {"lineNumber": 2, "quantity": Decimal(2), "inventoryNumber": "A", "description": "a"},
        {"lineNumber": 3, "quantity": Decimal(5), "inventoryNumber": "B", "account": {"number": "3000", "type": "I"}},
    ],
}


def differences(record: dict[str, Any], body: dict[str, Any], model: type[WriteModel]) -> list[str]:
    return [str(each) for each in compare(record, body, model).differences]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, []),
        ({"name": {"value": "Vega AS"}}, []),
        ({"name": {"value": "vega AS"}}, ["name: 'Vega AS' -> 'vega AS'"]),
        ({"creditLimit": {"value": Decimal("100.1000")}}, []),
        ({"creditLimit": {"value": Decimal("100.1000000000000001")}}, ["creditLimit: 100.10 -> 100.1000000000000001"]),
        ({"printInvoices": {"value": False}}, []),
        ({"printInvoices": {"value": True}}, ["printInvoices: False -> True"]),
        ({"accountReference": {"value": ""}}, []),
        ({"accountReference": {"value": None}}, []),
        ({"name": {"value": None}}, ["name: 'Vega AS' -> empty"]),
        ({"customerClassId": {"value": "1"}}, []),
        ({"customerClassId": {"value": "2"}}, ["customerClassId: '1' -> '2'"]),
        ({"creditTermsId": {"value": "30"}}, ["creditTermsId: empty -> '30'"]),
        ({"creditTermsId": {"value": None}}, []),
        ({"note": {"value": "x"}}, ["note: not shown -> 'x'"]),
        ({"overrideWithClassValues": True}, []),
        ({"mainAddress": {"value": {"city": {"value": "Oslo"}, "countryId": {"value": "NO"}}}}, []),
        ({"mainAddress": {"value": {"countryId": {"value": "SE"}}}}, ["mainAddress.countryId: 'NO' -> 'SE'"]),
        ({"attributeLines": [{"attributeId": {"value": "COLOUR"}, "attributeValue": {"value": "RED"}}]}, []),
    ],
)
def test_fields(body: dict[str, Any], told: list[str]) -> None:
    assert differences(RECORD, body, CustomerUpdate) == told


@pytest.mark.parametrize(
    ("shown", "sent"),
    [("2025-06-01", "2025-06-01T00:00:00"), ("2025-06-01T10:00:00+02:00", "2025-06-01T10:00:00")],
)
def test_text_that_looks_like_a_date_is_text(shown: str, sent: str) -> None:
    told = f"{shown!r} -> {sent!r}"
    assert differences({"name": shown}, {"name": {"value": sent}}, CustomerUpdate) == [f"name: {told}"]
    address = {"mainAddress": {"value": {"city": {"value": sent}}}}
    assert differences({"mainAddress": {"city": shown}}, address, CustomerUpdate) == [f"mainAddress.city: {told}"]
    assert not differences({"documentDate": shown}, {"documentDate": {"value": sent}}, CustomerInvoiceUpdate)
    # attributes are of any kind, and a field that the model lacks may be
    attribute = {"attributeLines": [{"attributeId": {"value": "FROM"}, "attributeValue": {"value": sent}}]}
    assert not differences({"attributes": [{"id": "FROM", "value": shown}]}, attribute, CustomerUpdate)
    assert not differences({"since": shown}, {"since": {"value": sent}}, CustomerUpdate)


def test_what_differs_is_sent_whole_and_commands_go_along() -> None:
    address = {"value": {"city": {"value": "Oslo"}, "postalCode": {"value": "0150"}}}
    body = {
        "name": {"value": "Vega AS"},
        "overrideWithClassValues": True,
        "overrideNumberSeries": {"value": True},
        "mainAddress": address,
    }
    assert compare(RECORD, body, CustomerUpdate).body == {"overrideWithClassValues": True, "mainAddress": address}
    del body["mainAddress"]
    assert not compare(RECORD, body, CustomerUpdate).body


def most_pairs(lines: list[dict[str, Any]], there: list[dict[str, Any]]) -> int:
    """The size of a maximum matching, by trying all orders."""
    fits = [[all(other.get(name) == value for name, value in one.items()) for other in there] for one in lines]
    orders = permutations(range(len(there)), min(len(lines), len(there)))
    chosen = combinations(range(len(lines)), min(len(lines), len(there)))
    return max(sum(fits[i][j] for i, j in zip(some, order, strict=True)) for some, order in product(chosen, orders))


def test_as_many_lines_are_found_as_can_be_in_whatever_order_they_stand() -> None:
    random = Random(3)

    def values(most: int) -> dict[str, Any]:
        names = random.sample(["description", "inventoryNumber", "note"], most)
        return {name: random.choice("ab") for name in names}

    for _ in range(300):
        there = [values(3) for _ in range(random.randint(1, 4))]
        lines = [values(random.randint(1, 3)) for _ in range(random.randint(1, 4))]
        body = {"invoiceLines": [line("Insert", **one) for one in lines]}
        left = compare({"invoiceLines": there}, body, CustomerInvoiceUpdate).body.get("invoiceLines", [])
        assert len(lines) - len(left) == most_pairs(lines, there), (lines, there)


def test_a_line_that_the_record_does_not_show_is_sent_to_be_deleted() -> None:
    body = {"invoiceLines": [line("Delete", 1)]}
    assert compare({}, body, CustomerInvoiceUpdate).body == body


def compared(record: dict[str, Any], body: dict[str, Any]) -> Comparison:
    return compare(record, body, CustomerUpdate)


@pytest.mark.parametrize(
    ("listed", "whole", "told"),
    [
        ({"name": "a"}, {"name": "a"}, None),
        ({"name": "a"}, {"name": "c"}, "name was 'a' and is 'c'"),
        ({"name": "b"}, {"name": "c"}, "name was as it is to be and is 'c'"),
        ({"name": "a"}, {"name": "b"}, None),
        ({}, {"name": "a"}, None),
        ({"mainAddress": None}, {"mainAddress": {"city": "c"}}, None),
        ({"mainAddress": {"city": "a"}}, {"mainAddress": {"city": "c"}}, "mainAddress.city was 'a' and is 'c'"),
    ],
)
def test_what_was_changed_between_a_list_and_a_look(
    listed: dict[str, Any], whole: dict[str, Any], told: str | None
) -> None:
    body = {"name": {"value": "b"}, "mainAddress": {"value": {"city": {"value": "b"}}}}
    body = {name: value for name, value in body.items() if name in {**listed, **whole}}
    assert changed_meanwhile(compared(listed, body), compared(whole, body)) == told


def line(operation: str, number: int | None = None, **values: Any) -> dict[str, Any]:
    named = {} if number is None else {"lineNumber": {"value": number}}
    return {"operation": operation, **named, **{name: {"value": value} for name, value in values.items()}}


@pytest.mark.parametrize(
    ("lines", "left"),
    [
        ([line("Update", 1, quantity=2)], []),
        ([line("Update", 1, quantity=3)], [0]),
        ([line("Update", 9, quantity=3)], [0]),
        ([line("Update", 3, quantity=5), line("Update", 1, quantity=9)], [1]),
        ([line("Delete", 1)], [0]),
        ([line("Delete", 9)], []),
        ([line("Insert", inventoryNumber="A", quantity=2)], []),
        ([line("Insert", inventoryNumber="A", quantity=2)] * 2, []),
        ([line("Insert", inventoryNumber="A", quantity=2)] * 3, [2]),
        ([line("Update", 1, quantity=2), *[line("Insert", inventoryNumber="A")] * 2], [2]),
        ([line("Insert", accountNumber="3000")], []),
        ([line("Insert", accountNumber="3001")], [0]),
        # a numbered line is its own, wherever it stands
        ([*[line("Insert", inventoryNumber="A")] * 2, line("Update", 1, quantity=2)], [1]),
        ([line("Insert", inventoryNumber="A", quantity=2), line("Delete", 2), line("Delete", 1)], [0, 1, 2]),
        # the one that asks for less gives way to the one that asks for more
        ([line("Insert", inventoryNumber="B"), line("Insert", quantity=5)], [1]),
        ([line("Insert", inventoryNumber="B"), line("Insert", inventoryNumber="B", quantity=5)], [0]),
        ([line("Insert", quantity=2), line("Insert"), line("Insert", quantity=5)], []),
        ([line("Delete", inventoryNumber="A"), *[line("Insert", inventoryNumber="A")] * 2], [0, 2]),
    ],
)
def test_lines(lines: list[dict[str, Any]], left: list[int]) -> None:
    body = {"documentDate": {"value": "2026-01-31"}, "branchNumber": {"value": "1"}, "invoiceLines": lines}
    found = compare(INVOICE, body, CustomerInvoiceUpdate)
    assert found.body.get("invoiceLines", []) == [lines[index] for index in left]
    assert bool(found.differences) == bool(left)
    assert not found.hidden

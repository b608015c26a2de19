"""What a record would have to change to have the values of a body."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from vismanet_async._codec.differences import compare
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
    ],
)
def test_lines(lines: list[dict[str, Any]], left: list[int]) -> None:
    body = {"documentDate": {"value": "2026-01-31"}, "branchNumber": {"value": "1"}, "invoiceLines": lines}
    found = compare(INVOICE, body, CustomerInvoiceUpdate)
    assert found.body.get("invoiceLines", []) == [lines[index] for index in left]
    assert bool(found.differences) == bool(left)
    assert not found.hidden

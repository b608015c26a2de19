"""Writing: wrappers, lines, dates and the refusal of what the API would misread."""

from __future__ import annotations

import json
from collections import UserDict
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from vismanet_async._api.models import (
    AddressUpdate,
    CustomerInvoiceLineUpdate,
    CustomerInvoiceUpdate,
    CustomerUpdate,
    PaymentLineUpdate,
    PaymentUpdate,
    ProjectTransactionLineUpdate,
)
from vismanet_async._codec.encode import encode_plain, encode_write, to_json
from vismanet_async._codec.values import UNSET
from vismanet_async.errors import DoubtfulWrite, RequestRefused, UnknownName
from vismanet_async.models import OrderPatch


def written(value: Any, cls: Any = CustomerUpdate, **options: Any) -> Any:
    return json.loads(encode_write(value, cls, **options), parse_float=Decimal)


def test_missing_cleared_and_value_are_three_things() -> None:
    update = CustomerUpdate(name="New", credit_limit=None, override_with_class_values=True)
    assert written(update) == {
        "name": {"value": "New"},
        "creditLimit": {"value": None},
        "overrideWithClassValues": True,
    }
    assert written({"name": UNSET, "credit_limit": None}) == {"creditLimit": {"value": None}}
    assert written(CustomerUpdate()) == {}


def test_nested_objects_are_wrapped_as_the_schema_says() -> None:
    assert written(CustomerUpdate(main_address=AddressUpdate(address_line1="TestRoad 50", country_id="NO"))) == {
        "mainAddress": {"value": {"addressLine1": {"value": "TestRoad 50"}, "countryId": {"value": "NO"}}}
    }


@pytest.mark.parametrize("text", ["1234567890123.4567", "99999999999999999.99", "12.10", "0.0000001", "-5"])
def test_amounts_leave_to_the_last_digit(text: str) -> None:
    for value in (Decimal(text), text):
        body = encode_write({"creditLimit": value}, CustomerUpdate)
        assert body == f'{{"creditLimit":{{"value":{text}}}}}'.encode()
    assert encode_write({"creditLimit": Decimal("1E+5")}, CustomerUpdate) == b'{"creditLimit":{"value":100000}}'


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("creditLimit", 12.10, r"credit_limit \(creditLimit\) takes a Decimal.*float"),
        ("creditLimit", True, r"credit_limit \(creditLimit\) takes a number"),
        ("creditLimit", Decimal("NaN"), "takes a number"),
        ("creditLimit", "1e5", "takes a number"),
        ("number", 10000, "number takes text, not int .*leading zeros"),
        ("name", b"x", "takes text, not bytes"),
        ("creditDaysPastDue", 7.5, "takes a whole number"),
        ("creditDaysPastDue", False, "takes a whole number"),
        ("printInvoices", "true", 'takes True or False, not "true"'),
        ("mainAddress", "Road 1", r"main_address \(mainAddress\) takes AddressUpdate or a mapping, not str"),
        ("attributeLines", {"a": 1}, r"attribute_lines \(attributeLines\) takes a list"),
        ("attributeLines", [None], r"attribute_lines\[0\] \(attributeLines\[0\]\) takes AttributeLineUpdate"),
    ],
)
def test_values_that_the_api_would_misread_are_refused(field: str, value: Any, message: str) -> None:
    with pytest.raises(RequestRefused, match=message):
        encode_write({field: value}, CustomerUpdate)


def test_unknown_fields_are_refused_by_their_path() -> None:
    with pytest.raises(UnknownName, match=r"no field 'nmae' in CustomerUpdate.*name") as caught:
        encode_write({"nmae": "x"}, CustomerUpdate)
    assert "name" in caught.value.nearest
    with pytest.raises(UnknownName, match=r"main_address\.addressLin1.*addressLine1"):
        encode_write({"main_address": {"addressLin1": "x"}}, CustomerUpdate)
    with pytest.raises(UnknownName, match=r"invoice_lines\[1\]\.quantiti"):
        encode_write({"invoiceLines": [{"operation": "Insert"}, {"quantiti": 1}]}, CustomerInvoiceUpdate)
    with pytest.raises(RequestRefused, match="given twice"):
        encode_write({"creditLimit": 1, "credit_limit": 2}, CustomerUpdate)
    with pytest.raises(RequestRefused, match="CustomerUpdate takes CustomerUpdate or a mapping, not str"):
        encode_write("x", CustomerUpdate)  # type: ignore[arg-type]  # that is the point


def test_other_mappings_and_ids_are_taken() -> None:
    assert written(UserDict({"name": "x"})) == {"name": {"value": "x"}}
    identifier = UUID("73ac0029-1e4f-4adc-a7eb-318cd25ba4bf")
    assert written({"number": identifier}) == {"number": {"value": str(identifier)}}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (date(2025, 11, 21), "2025-11-21"),
        (datetime(2025, 11, 21, 13, 30), "2025-11-21T13:30:00"),
        (datetime(2025, 11, 21, 13, 30, 0, 500000), "2025-11-21T13:30:00.500000"),
        ("2025-11-08T00:00:00", "2025-11-08T00:00:00"),
        ("2025-11-21", "2025-11-21"),
    ],
)
def test_dates_go_as_they_are(value: Any, expected: str) -> None:
    assert written({"documentDate": value}, CustomerInvoiceUpdate) == {"documentDate": {"value": expected}}


@pytest.mark.parametrize(
    "value",
    [datetime(2025, 11, 21, tzinfo=UTC), "2025-01-21T00:00:00+01:00", "2025-01-21Z", "2025-02-30T00:00:00Z"],
)
def test_zones_in_business_dates_are_refused_with_the_reason(value: Any) -> None:
    with pytest.raises(
        RequestRefused,
        match=r"document_date \(documentDate\) has a time zone .* another day\. Send \"20\d\d-\d\d-\d\d\"",
    ):
        encode_write({"documentDate": value}, CustomerInvoiceUpdate)


def test_text_with_a_z_is_sent_as_visma_s_samples_send_it_with_a_warning() -> None:
    with pytest.warns(
        DoubtfulWrite, match=r'document_date \(documentDate\) has a time zone .* Send "2019-12-27". It is sent as given'
    ):
        sent = written({"documentDate": "2019-12-27T09:46:11.202Z"}, CustomerInvoiceUpdate)
    assert sent == {"documentDate": {"value": "2019-12-27T09:46:11.202Z"}}


@pytest.mark.parametrize("value", ["21.11.2025", "2025-13-01", "2025-02-30T10:00:00", "now", 20251121])
def test_what_is_no_date_is_refused(value: Any) -> None:
    with pytest.raises(RequestRefused, match="takes a date"):
        encode_write({"documentDate": value}, CustomerInvoiceUpdate)


def test_points_in_time_keep_their_zone() -> None:
    moment = datetime(2025, 11, 21, 13, 30, tzinfo=UTC)
    assert written({"date": moment}, OrderPatch) == {"date": "2025-11-21T13:30:00+00:00"}
    assert written({"date": "2025-11-21T13:30:00Z"}, OrderPatch) == {"date": "2025-11-21T13:30:00Z"}
    with pytest.raises(RequestRefused):
        encode_write({"date": "yesterday"}, OrderPatch)


def test_lines_say_what_is_to_be_done() -> None:
    lines = [
        CustomerInvoiceLineUpdate.insert(inventory_number="222", quantity=500),
        CustomerInvoiceLineUpdate.update(1, quantity=Decimal("1.5")),
        CustomerInvoiceLineUpdate.delete(2),
    ]
    assert written(CustomerInvoiceUpdate(invoice_lines=lines), CustomerInvoiceUpdate) == {
        "invoiceLines": [
            {"operation": "Insert", "inventoryNumber": {"value": "222"}, "quantity": {"value": 500}},
            {"operation": "Update", "lineNumber": {"value": 1}, "quantity": {"value": Decimal("1.5")}},
            {"operation": "Delete", "lineNumber": {"value": 2}},
        ]
    }
    assert ProjectTransactionLineUpdate.update(7).tran_id == 7
    payment = PaymentLineUpdate.update(document_type="Invoice", ref_nbr="000123", amount_paid=5)
    assert written(PaymentUpdate(payment_lines=[payment]), PaymentUpdate)["paymentLines"][0]["operation"] == "Update"


def test_an_insert_that_names_a_line_warns_in_updates() -> None:
    """The documentation's own samples do this to change a line; the API adds one."""
    line = {"operation": "Insert", "lineNumber": {"value": 1}, "quantity": {"value": 1}}
    with pytest.warns(
        DoubtfulWrite, match=r"invoice_lines\[0\] \(invoiceLines\[0\]\) says Insert and names line 1.*\.update\(1"
    ):
        sent = written({"invoiceLines": [line]}, CustomerInvoiceUpdate)
    assert sent == {"invoiceLines": [line]}
    assert written({"invoiceLines": [line]}, CustomerInvoiceUpdate, creating=True) == sent
    with pytest.raises(RequestRefused, match=r"insert takes no line_number"):
        CustomerInvoiceLineUpdate.insert(line_number=1)
    with pytest.raises(UnknownName, match=r"no field 'quantiti' in CustomerInvoiceLineUpdate.*quantity"):
        CustomerInvoiceLineUpdate.insert(quantiti=1)
    with pytest.raises(RequestRefused, match=r"update needs the number"):
        CustomerInvoiceLineUpdate.update(quantity=1)
    with pytest.raises(RequestRefused, match=r"delete is named by its fields"):
        PaymentLineUpdate.delete(1)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"quantity": 1}, "does not say what to do"),
        ({"operation": "Update", "quantity": 1}, "does not say which line"),
        ({"operation": "Delete"}, "does not say which line"),
        (
            {"operation": "insert", "lineNumber": 1},
            r"invoice_lines\[0\]\.operation \(invoiceLines.*\) has no value 'insert': did you mean 'Insert'",
        ),
    ],
)
def test_lines_that_leave_something_open_are_refused(line: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestRefused, match=message):
        encode_write({"invoiceLines": [line]}, CustomerInvoiceUpdate)


def test_models_made_by_hand_encode_too() -> None:
    assert to_json(CustomerUpdate(name="x")) == b'{"name":"x"}'


def test_a_value_that_holds_itself_is_refused_by_name() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(RequestRefused, match="json is nested too deeply"):
        encode_plain(endless)

"""What the catalog lacks: fields in `extra`, and values of enumerations as `Other`."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from tests.codec.support import write_models
from vismanet_async import Other, RequestRefused
from vismanet_async._codec.encode import encode_write, to_json
from vismanet_async._codec.fields import fields_of
from vismanet_async.errors import UnknownName
from vismanet_async.models import (
    AddressUpdate,
    CustomerInvoiceLineUpdate,
    CustomerInvoiceUpdate,
    CustomerUpdate,
    NewOrderLine,
    OrderPatch,
)

NEWER = {"newField": {"value": Decimal("0.10")}, "bareField": [1, None, {"deep": "x"}]}


def written(value: Any, cls: Any = CustomerUpdate, **options: Any) -> Any:
    return json.loads(encode_write(value, cls, **options), parse_float=Decimal)


def test_a_field_newer_than_the_catalog_is_sent_as_given() -> None:
    assert written(CustomerUpdate(name="New", extra=NEWER)) == {"name": {"value": "New"}} | NEWER
    assert written({"name": "New", "extra": NEWER}) == {"name": {"value": "New"}} | NEWER
    body = encode_write(CustomerUpdate(extra={"amount": Decimal("1234567890123.4567")}), CustomerUpdate)
    assert body == b'{"amount":1234567890123.4567}'


def test_so_it_is_in_nested_models_and_lines() -> None:
    address = AddressUpdate(city="OSLO", extra={"region": {"value": "03"}})
    assert written(CustomerUpdate(main_address=address)) == {
        "mainAddress": {"value": {"city": {"value": "OSLO"}, "region": {"value": "03"}}}
    }
    lines = [
        CustomerInvoiceLineUpdate.insert(quantity=1, extra={"eco": True}),
        {"operation": "Delete", "lineNumber": 2, "extra": {"why": "x"}},
    ]
    assert written({"invoice_lines": lines}, CustomerInvoiceUpdate)["invoiceLines"] == [
        {"operation": "Insert", "quantity": {"value": 1}, "eco": True},
        {"operation": "Delete", "lineNumber": {"value": 2}, "why": "x"},
    ]


def test_models_in_it_are_written_by_their_own_rules() -> None:
    """So a member that the catalog lacks can hold what the catalog has."""
    added = {"lines": {"added": [NewOrderLine(inventory_id="A", extra={"eco": True})]}}
    assert written(OrderPatch(note="x", extra=added), OrderPatch) == {
        "note": "x",
        "lines": {"added": [{"inventoryId": "A", "eco": True}]},
    }
    address = {"visitingAddress": {"value": AddressUpdate(city="OSLO")}}
    assert written(CustomerUpdate(extra=address)) == {"visitingAddress": {"value": {"city": {"value": "OSLO"}}}}
    with pytest.raises(UnknownName, match=r"extra\['a'\]\.main_address\.nmae"):
        written(CustomerUpdate(extra={"a": CustomerUpdate(main_address={"nmae": "x"})}))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["creditLimit", "credit_limit", "CreditLimit", "CREDITLIMIT"])
def test_what_the_model_has_is_refused(name: str) -> None:
    for body in (CustomerUpdate(extra={name: 1}), {"extra": {name: 1}}):
        with pytest.raises(RequestRefused, match=f"^extra names {name}, which CustomerUpdate has: give it as credit_l"):
            written(body)


@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 2**32))
@pytest.mark.parametrize("cls", write_models(), ids=[one.__name__ for one in write_models()])
def test_that_holds_for_any_field_of_any_model(cls: Any, seed: int) -> None:
    needed = {field.name: 1 if field.kind == "int" else "x" for field in fields_of(cls) if field.needed}
    if not any(field.model for field in fields_of(cls) if field.needed):  # a shape that is needed needs more itself
        assert written(cls(**needed, extra=NEWER), cls).items() >= NEWER.items()
    for field in Random(seed).sample(fields_of(cls), k=min(2, len(fields_of(cls)))):
        with pytest.raises(RequestRefused, match="nothing was sent"):
            written(cls(extra={field.json: None}), cls)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"x": 1.5}, r"extra\['x'\] takes a Decimal, an int or text; a float"),
        ({"x": {"y": [float("nan")]}}, r"extra\['x'\]\['y'\]\[0\] takes a Decimal"),
        ({"x": datetime(2025, 1, 1, tzinfo=UTC)}, r"extra\['x'\] has a time zone"),
        ({"x": "\ud800"}, "half a surrogate pair"),
        ({"x": {1: "y"}}, "takes text, not int"),
        ({"x": object()}, "takes text, not object"),
        ({"x\ud800": 1}, "the key .* of extra holds half a surrogate pair"),
        (json.loads('{"x":' * 500 + "1" + "}" * 500), "is nested too deeply"),
        ({"": 1}, "takes the API's names of fields, not ''"),
        ({5: 1}, "takes the API's names of fields, not 5"),
    ],
)
def test_what_no_body_can_hold_is_refused(extra: Any, message: str) -> None:
    with pytest.raises(RequestRefused, match=message):
        written(CustomerUpdate(extra=extra))


@pytest.mark.parametrize("extra", [None, "newField", ["newField"]])
def test_it_is_a_mapping(extra: Any) -> None:
    with pytest.raises(RequestRefused, match="extra takes a mapping, not"):
        CustomerUpdate(extra=extra)
    with pytest.raises(RequestRefused, match="extra takes a mapping, not"):
        written({"extra": extra})
    update = CustomerUpdate()
    update.extra = extra
    with pytest.raises(RequestRefused, match="extra takes a mapping, not"):
        written(update)


def test_copies_do_not_share_it_and_keep_it() -> None:
    given = {"newField": 1}
    update = CustomerUpdate(extra=given)
    for other in (update.__replace__(), pickle.loads(pickle.dumps(update)), copy.copy(update)):
        assert other == update
        other.extra["newField"] = 2
        assert other != update
    given["more"] = 3
    assert update.extra == {"newField": 1}
    assert repr(update) == "CustomerUpdate(extra={'newField': 1})"
    assert repr(CustomerUpdate()) == "CustomerUpdate()"
    assert to_json(update) == b'{"newField":1}'


def test_a_misspelled_field_is_told_of_it() -> None:
    with pytest.raises(UnknownName, match=r"Did you mean name.* newer than the catalog .* extra={'nmae': \.\.\.}"):
        written({"nmae": 1})
    with pytest.raises(UnknownName, match=r"extra={'quantiti': \.\.\.}"):
        CustomerInvoiceLineUpdate.insert(quantiti=1)


def test_a_value_of_an_enumeration_is_known_or_other() -> None:
    assert written(CustomerUpdate(status="Active")) == {"status": {"value": "Active"}}
    assert written(CustomerUpdate(status=Other("Escalated"))) == {"status": {"value": "Escalated"}}
    for value, hint in (("Activ", "did you mean 'Active'"), ("active", "did you mean 'Active'"), ("?", "has Active")):
        body: Any = {"status": value}
        with pytest.raises(RequestRefused, match=f"status has no value .*{hint}.*Other"):
            written(body)
    with pytest.raises(RequestRefused, match="status takes text, not int"):
        written({"status": 1})

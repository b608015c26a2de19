"""Which of the records that a filter finds is the one that a row made."""

from __future__ import annotations

import json
from typing import Any

import pytest

from vismanet_async import StaticToken, VismaNet
from vismanet_async._cli.load_finding import meant
from vismanet_async._codec.decode import decode_one
from vismanet_async.bulk import Row
from vismanet_async.errors import OutcomeUnknown
from vismanet_async.models import Customer


def record(**fields: Any) -> Customer:
    return decode_one(json.dumps(fields).encode(), Customer)


def row(**fields: Any) -> Row:
    operation = VismaNet(StaticToken("t")).customer.create(fields)
    operation.close()  # it is only looked at
    return Row("1", operation)


@pytest.mark.parametrize(
    ("shown", "taken"),
    [
        ({"name": "Vega AS"}, True),
        ({"name": " VEGA as "}, True),
        ({"name": "Vega AS Nord"}, False),
        ({"name": None}, False),
        ({"name": {"value": "Vega AS"}}, True),
    ],
)
def test_a_text_that_holds_the_word_is_another(shown: dict[str, Any], taken: bool) -> None:
    found = [record(number="1", **shown)]
    assert meant(found, row(name="Vega AS"), "name", "Vega AS") == (found if taken else [])


def test_a_reference_is_known_by_its_number() -> None:
    one, other = record(number="1", customerClass={"id": "10"}), record(number="2", customerClass={"id": "100"})
    assert meant([one, other], row(name="x"), "customerClass", "10") == [one]
    assert meant([one, other], row(name="x"), "customerClassId", "100") == [other]


def test_what_records_do_not_show_is_known_by_all_that_was_sent() -> None:
    sent = row(name="Vega AS", main_contact={"email": "a@vega.example"})
    ours = record(number="1", name="Vega AS", mainContact={"email": "a@vega.example"})
    other = record(number="2", name="Vega AS", mainContact={"email": "aa@vega.example"})
    assert meant([ours, other], sent, "email", "a@vega.example") == [ours]
    with pytest.raises(OutcomeUnknown, match="records do not show email"):
        meant([other], sent, "email", "a@vega.example")
    assert meant([], sent, "email", "a@vega.example") == []
    with pytest.raises(OutcomeUnknown, match="does not show"):
        meant([ours], row(name="Vega AS", note="x"), "email", "a@vega.example")

"""Parameters on the wire, and those that the API would ignore or misread."""

# mypy: disable-error-code="unused-awaitable"
# operations are values here: most are looked at, not sent

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from tests.api.support import Client
from vismanet_async._api import query as q
from vismanet_async._api.paths import fill, ids_in
from vismanet_async._conditions import DateTimeCondition, before, on_or_after
from vismanet_async.errors import RequestRefused


def test_conditions_travel_with_their_operator() -> None:
    source: Any = Client().customer_invoice.list(
        last_modified_date_time=on_or_after("2025-05-25"), created_date_time=before(date(2025, 6, 1)), status="Open"
    )
    assert dict(source.query) == {
        "lastModifiedDateTime": "2025-05-25",
        "lastModifiedDateTimeCondition": ">=",
        "createdDateTime": "2025-06-01",
        "createdDateTimeCondition": "<",
        "status": "Open",
    }


@pytest.mark.parametrize("value", ["2025-05-25", date(2025, 5, 25), datetime(2025, 5, 25), ">=2025-05-25", 5])
def test_a_bare_date_is_refused_where_a_condition_belongs(value: Any) -> None:
    with pytest.raises(RequestRefused, match=r"last_modified_date_time \(lastModifiedDateTime\) takes a condition"):
        Client().customer.list(last_modified_date_time=value)


def test_a_value_that_no_record_can_have_is_refused() -> None:
    """An empty answer would be taken for the truth: a misspelled filter must not empty an export."""
    wrong: Any = "Opne"
    with pytest.raises(RequestRefused, match=r"status has no value 'Opne': did you mean 'Open'\?"):
        Client().customer_invoice.list(status=wrong)
    wrong = "whatever"
    with pytest.raises(RequestRefused, match=r"the catalog has Hold, .*Other\('whatever'\)"):
        Client().customer_invoice.list(status=wrong)
    source: Any = Client().customer_invoice.list(status=q.Other("whatever"))
    assert dict(source.query) == {"status": "whatever"}


def test_several_values_are_one_text_with_commas() -> None:
    assert q.Choices("OrderPart")("expand", ["lines", q.Other("Newer")], None) == (("expand", "lines,Newer"),)
    assert q.Integers(3)("ids", range(1, 4), None) == (("ids", "1,2,3"),)


@pytest.mark.parametrize(
    ("kind", "value", "why"),
    [
        (q.Choices("OrderPart"), "Lines", "takes a list of texts"),
        (q.Choices("OrderPart"), [], "is an empty list"),
        (q.Choices("OrderPart"), ["Lines", "Linse"], "did you mean 'Lines'"),
        (q.Choices("OrderPart"), [q.Other("Lines,Tax")], "holds a comma"),
        (q.Integers(3), [], "1 to 3 numbers"),
        (q.Integers(3), [1, 2, 3, 4], "1 to 3 numbers"),
        (q.Integers(3), [1, True], "takes an int"),
        (q.Integers(3), [1, "2"], "takes an int"),
        (q.Integers(3), 1, "takes a list of whole numbers"),
        (q.instant, date(2025, 5, 25), "takes a datetime with a zone"),
        (q.instant, "25.05.2025", "takes a datetime with a zone"),
        (q.instant, datetime(2025, 5, 25), "has no time zone"),
        (q.instant, datetime.min.replace(tzinfo=timezone(timedelta(hours=2))), "is out of the years"),
    ],
)
def test_values_that_the_service_would_misread_are_refused(kind: Any, value: Any, why: str) -> None:
    with pytest.raises(RequestRefused, match=why):
        kind("name", value, None)


def test_a_parameter_newer_than_the_catalog_is_sent_when_told_to() -> None:
    get = Client().customer.get("1").with_options(extra_query={"expandNew": "true"})
    assert get.preview().query == (("expandNew", "true"),)
    source: Any = Client().customer_invoice.list(status="Open")
    assert dict(source.query) == {"status": "Open"}


def test_an_operation_that_ended_warns_and_still_calls() -> None:
    with pytest.warns(DeprecationWarning, match=r"ended this operation on 2026-09-15; use `purchase_receipt\.get`"):
        operation = Client().purchase_receipt.get_v1("1")
    assert operation is not None


def test_conditions_of_the_wrong_kind_are_refused() -> None:
    wrong: Any = on_or_after(5)
    with pytest.raises(RequestRefused, match="a condition on a date"):
        Client().customer.list(last_modified_date_time=wrong)
    wrong = on_or_after("2025-05-25")
    with pytest.raises(RequestRefused, match="a condition on a number"):
        Client().supplier_invoice.list(balance=wrong)
    source: Any = Client().supplier_invoice.list(balance=on_or_after(Decimal("12.50")))
    assert dict(source.query) == {"balance": "12.50", "balanceCondition": ">="}


def test_aware_moments_need_a_declared_zone() -> None:
    moment: DateTimeCondition = on_or_after(datetime(2025, 5, 25, 12, tzinfo=UTC))
    with pytest.raises(RequestRefused, match="time_zone"):
        Client().customer.list(last_modified_date_time=moment)
    source: Any = Client(time_zone=timezone(timedelta(hours=2))).customer.list(last_modified_date_time=moment)
    assert dict(source.query)["lastModifiedDateTime"] == "2025-05-25T14:00:00"


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (q.text, 10000, "takes text, not int"),
        (q.text, "", "is empty.*return everything"),
        (q.integer, "7", "takes an int"),
        (q.integer, True, "takes an int"),
        (q.number, 1.5, "takes a Decimal or an int"),
        (q.flag, "true", "takes True or False"),
        (q.flag, 1, "takes True or False"),
        (q.moment, 5, "takes a date"),
        (q.moment, on_or_after("2025-05-25"), "no comparison here"),
        (q.repeated, "A", "takes a list of texts"),
        (q.repeated, [], "is an empty list"),
        (q.repeated, [5], "takes text"),
        (q.attributes, "x", "takes attribute ids"),
        (q.attributes, {}, "takes attribute ids"),
        (q.attributes, {"COLOUR": []}, "takes one text or several for 'COLOUR'"),
        (q.attributes, {"COLOUR": "RED,BLUE"}, "none with a comma"),
        (q.Needed(q.text), None, "takes text, not NoneType"),
    ],
)
def test_values_that_would_be_ignored_or_misread_are_refused(kind: Any, value: Any, message: str) -> None:
    with pytest.raises(RequestRefused, match=message):
        q.pairs([("name", kind, value)], None)


def test_what_goes_on_the_wire() -> None:
    parts: list[q.Part] = [
        ("flag", q.flag, False),
        ("none", q.flag, None),
        ("number", q.number, Decimal("1E+2")),
        ("zero", q.integer, 0),
        ("day", q.moment, date(2025, 5, 25)),
        ("types", q.repeated, ["A", "B"]),
        ("attributes", q.attributes, {"ID": "v1", "C": ["v1", "v2"]}),
    ]
    assert q.pairs(parts, None) == (
        ("flag", "false"),
        ("number", "100"),
        ("zero", "0"),
        ("day", "2025-05-25"),
        ("types", "A"),
        ("types", "B"),
        ("attributes", '{"ID":"v1","C":"v1,v2"}'),
    )


def test_the_journal_wants_one_of_two() -> None:
    with pytest.raises(RequestRefused, match=r"needs one of period_id \(periodId\), last_modified_date_time \(lastMod"):
        Client().journal_transaction.list()
    source: Any = Client().journal_transaction.list(period_id="202501")
    assert source.style == "lines"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("10000", "10000"),
        ("10 å", "10%20%C3%A5"),
        ("a/b", "b64(YS9i)"),
        ("50%", "b64(NTAl)"),
        (":/?#[]@&*+;", "b64(Oi8_I1tdQCYqKzs)"),
        ("..", "b64(Li4)"),
        ("b64(x)", "b64(YjY0KHgp)"),
        (7, "7"),
    ],
)
def test_ids_in_paths(value: Any, expected: str) -> None:
    assert fill("/v1/inventory/{inventoryNumber}/x", [value]) == f"/v1/inventory/{expected}/x"


@pytest.mark.parametrize("value", ["", " ", None, True, 1.5, b"x"])
def test_ids_that_would_name_something_else_are_refused(value: Any) -> None:
    with pytest.raises(RequestRefused, match="customerCd"):
        Client().customer.get(value)


@pytest.mark.parametrize(
    ("location", "template", "expected"),
    [
        ("https://api.finance.visma.net/v1/customer/10000", "/v1/customer", ("10000",)),
        (
            "http://integration.visma.net/API/controller/api/v2/CustomerInvoice/000123",
            "/v1/customerinvoice",
            ("000123",),
        ),
        ("/v1/warehouse/1/location/A%20B?x=1", "/v1/warehouse/{warehouseID}/location", ("A B",)),
        ("https://h/v1/kitassembly/P/b64(Oi8_)", "/v1/kitassembly", ("P", ":/?")),
        ("https://h/v1/customer/customer", "/v1/customer", ("customer",)),
        ("https://h/v1/attachment/73ac", "/v1/customerInvoice/{invoiceNumber}/attachment", ("73ac",)),
        ("https://h/v1/customer/b64(%%%)", "/v1/customer", ("b64(%%%)",)),
        ("/v1/customer/\udcc5S", "/v1/customer", ("ÅS",)),  # Latin-1, as aiohttp gives it
        ("/v1/customer/%C5S", "/v1/customer", ("ÅS",)),
        ("/v1/customer/\u00c5S", "/v1/customer", ("ÅS",)),
        ("/v1/customer/%C3%85S", "/v1/customer", ("ÅS",)),
        ("", "/v1/customer", ()),
        ("/v1/customer", "/v1/customer", ()),
        ("https://h/api/v1/Customer/?x=1", "/v1/customer", ()),
        ("/v1/warehouse/1/location/", "/v1/warehouse/{warehouseID}/location", ()),
    ],
)
def test_ids_out_of_locations(location: str, template: str, expected: tuple[str, ...]) -> None:
    assert ids_in(location, template) == expected

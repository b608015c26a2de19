"""What a webhook says: read liberally, since its JSON is not public."""

from __future__ import annotations

import json
from typing import Any, get_args

import hypothesis.strategies as st
import pytest
from hypothesis import given

from vismanet_async._api.registry import registry
from vismanet_async._api.webhook_events import EventName, FinancialEvent, SalesOrderEvent
from vismanet_async._webhooks.events import event_names, known_event, parse_event
from vismanet_async._webhooks.signing import sign, sign_test, signature_fits
from vismanet_async.errors import UnknownName


def parsed(**members: Any) -> Any:
    return parse_event(json.dumps(members).encode())


def test_the_types_have_the_names_of_the_catalog() -> None:
    assert len(event_names()) == 58
    assert {*get_args(FinancialEvent), *get_args(SalesOrderEvent)} == {*event_names()}
    assert len(get_args(FinancialEvent)) == 44
    for names in (get_args(each) for each in get_args(EventName)):
        assert len({known_event(name)["publisher"] for name in names}) == 1


def test_every_resource_that_an_event_names_has_a_list() -> None:
    for name in event_names():
        resource = known_event(name).get("resource")
        methods = registry()["resources"][resource]["methods"] if resource else {"list": {}}
        assert "ended" not in methods["list"], f"{name}: {resource} has ended"


@pytest.mark.parametrize("name", event_names())
def test_a_name_is_found_in_any_spelling(name: str) -> None:
    event = known_event(name)
    spellings = [name, name.upper().replace(" ", "_"), name.replace(" ", ""), name.lower().replace(" ", ".")]
    for member in ("eventId", "event", "EventType", "action", "event_name"):
        for spelling in spellings:
            assert parsed(**{member: spelling}).name == name
            assert parsed(data={"inner": {member: spelling}}).name == name
    if event["entity"] + " " + event["event"] == name:
        assert parsed(entity=event["entity"], action=event["event"].upper()).name == name
    found = parsed(event=name, entityId=7)
    assert (found.publisher, found.resource, found.key) == (event["publisher"], event.get("resource"), "7")


def test_the_queues_event_has_two_names() -> None:
    assert parsed(event="BACKGROUND_API_RESPONSE").name == "Background API Operation Response Ready"


@pytest.mark.parametrize(
    ("uri", "resource", "key"),
    [
        ("https://api.finance.visma.net/v1/customer/10000", "customer", "10000"),
        ("https://evil.example/API/controller/api/v1/CustomerInvoice/100001/", "customer_invoice", "100001"),
        ("/v1/supplier/a%20b?x=1#y", "supplier", "a b"),
        ("/v1/customer/b64(Oi8_)", "customer", ":/?"),
        ("/v1/customer/%C5S", "customer", "ÅS"),  # Latin-1, as old servers encode it
        ("/v1/salesorder/000001", "sales_order_service", "000001"),
        ("https://x.example/v1/nowhere/1", None, "1"),
        ("10000", None, None),
        ("http://[", None, None),
    ],
)
def test_the_record_is_found_in_the_resource_uri(uri: str, resource: str | None, key: str | None) -> None:
    found = parsed(resourceUri=uri)
    assert (found.resource, found.key) == (resource, key)


def test_the_uri_tells_more_than_the_event() -> None:
    found = parsed(event="AR Invoice Changed", resourceUri="/v1/customercreditnote/7", entityId="x")
    assert (found.resource, found.key) == ("customer_credit_note", "7")


def test_the_context_is_kept() -> None:
    body = b'{"TenantId": "t", "ApiClientId": "isv_a", "notificationId": "n", "source": "s", "amount": 1.10}'
    found = parse_event(body, headers={"X-Batch": "7"})
    assert (found.tenant_id, found.api_client_id, found.notification_id, found.source) == ("t", "isv_a", "n", "s")
    assert (found.body, found.headers) == (body, {"X-Batch": "7"})
    assert str(found.json["amount"]) == "1.10", "exact, and as it came"
    assert found.name is None
    assert "isv_a" in repr(found)
    assert "amount" not in repr(found), "bodies stay out of logs"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda each: (
        st.lists(each)
        | st.dictionaries(st.sampled_from(["event", "eventId", "entity", "action", "resourceUri", "entityId"]), each)
    ),
)


@given(st.binary() | _JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_an_event(body: bytes) -> None:
    found = parse_event(body)
    assert found.body == body
    assert found.name is None or found.name in event_names()
    assert found.key is None or found.key


def test_deep_and_long_bodies() -> None:
    assert parse_event(b"[" * 100_000).json is None
    assert parse_event(b'{"a":' * 500 + b"1" + b"}" * 500).name is None


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="Customer Changed"):
        known_event("Customer Change")


def test_a_test_delivery_is_signed_and_parsed() -> None:
    made = sign_test("Supplier Created", key="k", signature_header="X-Sig", entityId="50000", source="mine")
    assert signature_fits(made.headers["X-Sig"], body=made.body, key=b"k")
    assert made.headers["X-Sig"] == sign(made.body, key=b"k")
    event = parse_event(made.body)
    assert (event.name, event.key, event.source) == ("Supplier Created", "50000", "mine")
    assert event.notification_id is not None
    other = sign_test("Supplier Created", key=b"k", signature_header="X-Sig", entityId="50000")
    assert other.body != made.body
    with pytest.raises(UnknownName):
        sign_test("Supplier Made", key="k", signature_header="X-Sig")  # type: ignore[arg-type] # which is the point

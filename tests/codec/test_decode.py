"""Single decisions of the codec, by example."""

from __future__ import annotations

import copy
import gc
import pickle
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from threading import Thread
from typing import Any

import attrs
import msgspec
import pytest

from vismanet_async._api.models import Customer, CustomerInvoice, Metadata
from vismanet_async._codec import struct_decoder
from vismanet_async._codec.decode import decode_one, decode_rows
from vismanet_async._codec.encode import to_json
from vismanet_async._codec.fields import Field, camel, fields_of, json_name
from vismanet_async._codec.layout import read_model
from vismanet_async._codec.model import Model, Record
from vismanet_async._codec.record_matches import record_matches
from vismanet_async._codec.tolerant_decoder import parse_datetime
from vismanet_async._codec.values import UNSET, Maybe
from vismanet_async.errors import UnexpectedResponse


@read_model
class Part(Model):
    """A part."""

    account_id: Maybe[int] = json_name("accountID")
    value: Maybe[str] = UNSET


@read_model
class Whole(Record):
    """A record."""

    amount: Maybe[Decimal] = UNSET
    moment: Maybe[datetime] = UNSET
    text: Maybe[str] = UNSET
    number: Maybe[int] = UNSET
    part: Maybe[Part] = UNSET
    parts: Maybe[list[Part]] = UNSET
    time_stamp: Maybe[str] = UNSET


@read_model
class Wrapped(Record):
    """A record with an object that has no field called `value`, and one that has."""

    whole: Maybe[Whole] = UNSET
    part: Maybe[Part] = UNSET
    text: Maybe[str] = UNSET


@pytest.mark.parametrize("text", ["1234567890123.4567", "99999999999999999.99", "12.10", "-0.00", "1e400", "0.1"])
def test_amounts_are_exact(text: str) -> None:
    record = decode_one(f'{{"amount": {text}}}'.encode(), Whole)
    assert record.amount == Decimal(text)
    assert str(record.amount) == str(Decimal(text))
    assert to_json(attrs.evolve(record)) == f'{{"amount":{Decimal(text)}}}'.encode()  # type: ignore[misc]  # attrs


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2023-12-31T00:00:00", datetime(2023, 12, 31)),
        ("2023-12-31", datetime(2023, 12, 31)),
        ("2023-12-31T23:59:59.9999999", datetime(2023, 12, 31, 23, 59, 59, 999999)),
        ("9999-12-31T23:59:59.9999999", datetime(9999, 12, 31, 23, 59, 59, 999999)),
        ("2023-12-31T10:00:00.9999999", datetime(2023, 12, 31, 10, 0, 0, 999999)),
        ("2023-12-31T10:00:00.1234567", datetime(2023, 12, 31, 10, 0, 0, 123457)),
        ("2023-12-31T10:00:00.12", datetime(2023, 12, 31, 10, 0, 0, 120000)),
        ("2023-12-31T10:00:00Z", datetime(2023, 12, 31, 10, tzinfo=UTC)),
        ("2023-12-31T10:00:00+01:00", datetime(2023, 12, 31, 10, tzinfo=timezone(timedelta(hours=1)))),
        ("2023-12-31 10:00", datetime(2023, 12, 31, 10)),
    ],
)
def test_moments_stay_as_they_came(text: str, expected: datetime) -> None:
    """A date never becomes another date, whatever its fraction; no zone is added or taken away."""
    record = decode_one(f'{{"moment": "{text}"}}'.encode(), Whole)
    assert record.moment == expected
    assert isinstance(record.moment, datetime)
    assert record.moment.tzinfo == expected.tzinfo
    assert record.moment == parse_datetime(text)
    assert text.encode() in to_json(record)
    (row,) = decode_rows([f'{{"moment": "{text}"}}'.encode()], Whole)
    assert row == record


@pytest.mark.parametrize("text", ["2023-13-01", "2023-12-31T24:00:00", "today", "2023-12-31T10:00:00 CET"])
def test_what_is_no_moment_is_refused_by_its_path(text: str) -> None:
    with pytest.raises(UnexpectedResponse, match=r"Whole: .* at moment"):
        decode_one(f'{{"moment": "{text}"}}'.encode(), Whole)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"parts": [{}, {"accountID": "x"}]}', r"expected a number, got other text at parts\[1\]\.account_id"),
        (b'{"part": [1]}', "expected an object, got a list at part"),
        (b'{"parts": {}}', "expected a list, got an object at parts"),
        (b'{"number": 7.5}', "expected a whole number, got a number at number"),
        (b"<html><body>502</body></html>", "HTML"),
        (b'{"amount": 12.', "cut off"),
        (b'{"amount": NaN}', "not JSON"),
        (b"Service unavailable", "plain text"),
        (b"", "empty"),
        (b"null", "empty"),
        (b'""', "empty"),
        (b"[]", "a list of 0"),
        (b"[{}, {}]", "a list of 2"),
        (b"[{}", "cut off"),
        (b'"text"', "expected an object, got other text"),
    ],
)
def test_bodies_that_are_not_what_was_promised(body: bytes, message: str) -> None:
    with pytest.raises(UnexpectedResponse, match=message) as caught:
        decode_one(body, Whole)
    assert len(str(caught.value)) < 250


def test_a_bad_row_is_named() -> None:
    with pytest.raises(UnexpectedResponse, match="row 1 of this slice"):
        decode_rows([b"{}", b'{"amount": []}', b"{}"], Whole)


def test_an_array_of_one_is_the_record() -> None:
    record = decode_one(b' [ {"text": "x"} ] ', Whole)
    assert record.text == "x"
    assert record.raw_json.strip() == b'{"text": "x"}'


def test_etag_is_the_header_else_the_time_stamp() -> None:
    assert decode_one(b'{"timeStamp": "AAA="}', Whole).etag == "AAA="
    assert decode_one(b'{"timeStamp": "AAA="}', Whole, etag="BBB=").etag == "BBB="
    assert decode_one(b"{}", Whole).etag is None
    (row,) = decode_rows([b'{"timeStamp": "AAA="}'], Whole)
    assert (row.etag, row.attempts) == ("AAA=", ())


def test_extra_has_paths_and_exact_numbers() -> None:
    record = decode_one(b'{"new": 12.10, "part": {"x": null}, "parts": [{}, {"y": [1]}]}', Whole)
    assert record.extra == {"new": Decimal("12.10"), "part.x": None, "parts[1].y": [1]}
    assert str(record.extra["new"]) == "12.10"
    assert Whole().extra == {}


def test_records_copy_pickle_and_show_themselves() -> None:
    record = decode_one(b'{"text": "x", "part": {"accountID": 5}, "z": 1}', Whole)
    assert repr(record) == "Whole(text='x', part=Part(account_id=5))"
    for twin in (copy.deepcopy(record), copy.copy(record), pickle.loads(pickle.dumps(record))):
        assert twin == record
        assert twin.raw_json == record.raw_json
    assert record != Part()
    assert record != Whole(text="x")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        record.text = "y"  # type: ignore[misc]  # that is the point
    with pytest.raises(TypeError):
        hash(record)


def test_a_model_is_an_attrs_class_to_its_users() -> None:
    """The struct that it is laid out as stays out of sight."""
    body = b'{"text": "x", "parts": [{"value": "y"}], "part": null}'
    record = decode_one(body, Whole, etag="AAA=")
    names = ["amount", "moment", "text", "number", "part", "parts", "time_stamp"]
    assert list(attrs.asdict(record)) == names
    assert attrs.asdict(record)["parts"][0] == {"account_id": UNSET, "value": "y"}
    assert attrs.astuple(Part(value="y")) == (UNSET, "y")
    assert record == Whole(text="x", parts=[Part(value="y")], part=None)
    assert list(record.__rich_repr__()) == [("text", "x"), ("part", None), ("parts", [Part(value="y")])]
    for changed in (attrs.evolve(record, text="z"), record.__replace__(text="z")):  # type: ignore[misc]  # same
        assert (changed.text, changed.parts, changed.raw_json, changed.etag) == ("z", record.parts, b"", None)
    assert not hasattr(record, "__dict__")
    assert not hasattr(Whole(), "value")
    with pytest.raises(TypeError):
        Whole("x")  # type: ignore[call-arg, arg-type]  # that is the point
    with pytest.raises(TypeError, match="txet"):
        Whole(txet="x")  # type: ignore[call-arg]  # that is the point


def test_methods_of_a_model_reach_their_base() -> None:
    @read_model
    class Versioned(Record):
        version: Maybe[str] = UNSET

        @property
        def etag(self) -> str | None:
            return super().etag or self.version or None

        @classmethod
        def base(cls) -> Any:
            return super().__class__

        def __repr__(self) -> str:
            return f"<{super().__repr__()}>"

    record = decode_one(b'{"version": "1"}', Versioned)
    assert (record.etag, Versioned.base(), repr(record)) == ("1", super, "<Versioned(version='1')>")
    assert decode_one(b'{"version": "1"}', Versioned, etag="2").etag == "2"


@pytest.mark.parametrize("name", ["_raw", "_response", "_value"])
@pytest.mark.parametrize("value", [b"null", b'"x"', b"[1]"])
def test_no_key_reaches_what_a_record_keeps_for_itself(name: str, value: bytes) -> None:
    body = b'{"text": "x", "%s": %s}' % (name.encode(), value)
    for record in (decode_one(body, Whole), *decode_rows([body], Whole)):
        assert record == Whole(text="x")
        assert (record.raw_json, record.etag, record.attempts) == (body, None, ())
        assert record.extra == {name: msgspec.json.decode(value)}


def test_a_field_may_come_and_go_from_row_to_row() -> None:
    absent, present = [b'{"text": "x"}'] * 150, [b'{"text": "x", "part": {"accountID": 1}, "number": 2}'] * 50
    rows = decode_rows(absent + present + absent, Whole)
    assert rows[0] == rows[-1] == Whole(text="x")
    assert (rows[0].part, rows[0].number) == (UNSET, UNSET)
    assert rows[150] == rows[199] == Whole(text="x", part=Part(account_id=1), number=2)
    assert pickle.loads(pickle.dumps(rows)) == rows


def test_threads_decode_the_same_model() -> None:
    struct_decoder._decoders.pop(Whole, None)
    texts = [b'{"number": %d, "parts": [{"accountID": %d}]}' % (number, number) for number in range(200)]
    expected = [Whole(number=number, parts=[Part(account_id=number)]) for number in range(200)]
    found: list[Any] = []
    threads = [Thread(target=lambda: found.append(decode_rows(texts, Whole))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


def test_unset_is_false_and_unlike_none() -> None:
    record = decode_one(b'{"text": null}', Whole)
    assert record.text is None
    assert record.amount is UNSET
    assert not record.amount
    assert isinstance(record.amount, msgspec.UnsetType)


def test_names_and_fields() -> None:
    assert camel("last_modified_date_time") == "lastModifiedDateTime"
    assert fields_of(Part) == (
        Field(name="account_id", json="accountID", kind="int", many=False, model=None, wrapped=False),
        Field(name="value", json="value", kind="str", many=False, model=None, wrapped=False, is_text=True),
    )

    @read_model
    class Wrong(Model):
        text: str = ""

    with pytest.raises(TypeError, match="must be annotated Maybe"):
        fields_of(Wrong)


def test_the_trick_leaves_the_classes_as_they_were() -> None:
    """msgspec must still read what it is shown, and nothing of it may stay behind."""
    names, annotations = attrs.fields_dict(CustomerInvoice).keys(), dict(CustomerInvoice.__annotations__)
    struct_decoder._decoders.pop(CustomerInvoice, None)
    built = struct_decoder.decoder(CustomerInvoice)
    assert attrs.fields_dict(CustomerInvoice).keys() == names
    assert CustomerInvoice.__annotations__ == annotations
    assert built.decode(b'{"documentType": "Other", "customer": {"number": "1"}}').document_type == "Other"
    assert struct_decoder.decoder(CustomerInvoice) is built


def test_decoders_are_built_once_from_any_thread() -> None:
    for each in (Customer, Metadata):
        struct_decoder._decoders.pop(each, None)
    found: list[Any] = []
    threads = [Thread(target=lambda: found.append(struct_decoder.decoder(Customer))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(one) for one in found}) == 1
    assert found[0].decode(b'{"number": "1"}') == Customer(number="1")


def test_the_collector_runs_again_after_a_decode() -> None:
    assert gc.isenabled()
    with struct_decoder.paused_collector():
        assert not gc.isenabled()
        with struct_decoder.paused_collector():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(UnexpectedResponse):
        decode_rows([b"["], Whole)
    assert gc.isenabled()


def test_the_collector_has_no_records_to_walk() -> None:
    """However long a list grows: walking 100,000 of them held the event loop for 700 ms at a time."""
    [record] = decode_rows([b'{"part": {"value": "x"}, "parts": [{"value": "y"}]}'], Whole)
    assert record.part
    assert record.parts
    assert not any(map(gc.is_tracked, [record, record.part, *record.parts, Whole(part=record.part)]))


def test_lists_of_plain_text() -> None:
    assert decode_rows([b'"ACCOUNT"', b"5"], str) == ["ACCOUNT", "5"]


def test_wrapped_values_are_taken_out_where_bare_ones_were_promised() -> None:
    body = b'{"text": {"value": "x"}, "part": {"value": "y"}, "amount": {"value": null}, "parts": {"value": [%s]}}'
    body %= b'{"value": "z"}'
    record = decode_one(body, Whole)
    assert record == Whole(text="x", part=Part(value="y"), amount=None, parts=[Part(value="z")])
    assert to_json(record) == body
    invoice = decode_one(b'{"customer": {"value": {"number": {"value": "10000"}}}}', CustomerInvoice)
    assert invoice.customer
    assert invoice.customer.number == "10000"
    assert invoice.extra == {}


@pytest.mark.parametrize("note", [b"", b', "text": "x"'])
def test_a_wrapped_null_is_null_for_objects_too(note: bytes) -> None:
    """`{"value": null}` stands for null (docs/facts.md 10.3), not for an object without fields."""
    record = decode_one(b'{"part": {"value": null}, "whole": {"value": null}%s}' % note, Wrapped)
    assert record.whole is None
    assert record.part == Part(value=None)  # here `value` is a field's own name
    with pytest.raises(UnexpectedResponse, match="expected an object, got null"):
        decode_one(b'{"value": null}', Wrapped)


@pytest.mark.parametrize(
    ("record", "sent", "expected"),
    [
        (b'{"name": "A", "x": 1}', b'{"name": {"value": "A"}}', True),
        (b'{"name": "B"}', b'{"name": {"value": "A"}}', False),
        (b'{"creditLimit": 5}', b'{"creditLimit": {"value": 5.00}}', True),
        (b'{"creditLimit": null}', b'{"creditLimit": {"value": null}}', True),
        (b'{"name": ""}', b'{"name": {"value": null}}', True),
        (b'{"date": "2025-01-01T00:00:00"}', b'{"date": {"value": "2025-01-01"}}', True),
        (b'{"date": "2025-01-02T00:00:00"}', b'{"date": {"value": "2025-01-01"}}', False),
        (b'{"customerClass": {"id": "1"}}', b'{"customerClassId": {"value": "1"}}', True),
        (b'{"parentRecord": {"number": "7"}}', b'{"parentRecordNumber": {"value": "8"}}', False),
        (b'{"mainAddress": {"city": "Oslo"}}', b'{"mainAddress": {"value": {"city": {"value": "Oslo"}}}}', True),
        (b'{"mainAddress": null}', b'{"mainAddress": {"value": {"city": {"value": "Oslo"}}}}', False),
        (b"{}", b'{"note": {"value": "x"}}', None),
        (b'{"lines": []}', b'{"lines": [{"operation": "Insert"}]}', None),
        (b'{"name": "A"}', b'{"lines": [], "name": {"value": "B"}}', False),
        (b'{"flag": true}', b'{"flag": true}', True),
        (b'{"flag": 1}', b'{"flag": true}', False),
    ],
)
def test_whether_a_record_shows_what_was_sent(record: bytes, sent: bytes, expected: bool | None) -> None:
    assert record_matches(record, sent) is expected

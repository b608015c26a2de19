"""Records as plain dicts: all that is set, under either name, and nothing else."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

import polars as pl
import pytest

from tests.codec.support import json_text, read_models
from vismanet_async._codec.decode import decode_rows
from vismanet_async._codec.fields import fields_of
from vismanet_async._codec.model import Model, Record
from vismanet_async._codec.values import UNSET
from vismanet_async.errors import RequestRefused
from vismanet_async.models import Customer

ROWS = (
    b'{"number":"1","name":"<b>A & B</b>","creditLimit":12.10,"mainAddress":{"city":"Oslo"},"attributes":[{"id":"X"}]}',
    b'{"number":"2","name":null}',
)


def assert_plain(value: Any, plain: Any, *, api: bool) -> None:
    if isinstance(value, list):
        assert len(value) == len(plain)
        for one, there in zip(value, plain, strict=True):
            assert_plain(one, there, api=api)
    elif isinstance(value, Model):
        there = {field.json if api else field.name: getattr(value, field.name) for field in fields_of(type(value))}
        expected = {name: inner for name, inner in there.items() if inner is not UNSET}
        assert type(plain) is dict
        assert list(plain) == list(expected)
        for name, inner in expected.items():
            assert_plain(inner, plain[name], api=api)
    else:
        assert plain is value


def test_every_model() -> None:
    for number, cls in enumerate(cls for cls in read_models() if issubclass(cls, Record)):
        (record,) = decode_rows([json_text(Random(number), cls).encode()], cls)
        assert_plain(record, record.to_dict(), api=False)
        assert_plain(record, record.to_dict(names="api"), api=True)


def test_missing_null_and_value() -> None:
    first, second = decode_rows(ROWS, Customer)
    assert first.to_dict() == {
        "number": "1",
        "name": "<b>A & B</b>",
        "credit_limit": Decimal("12.10"),
        "main_address": {"city": "Oslo"},
        "attributes": [{"id": "X"}],
    }
    assert second.to_dict(names="api") == {"number": "2", "name": None}
    assert Customer(number="2").to_dict() == {"number": "2"}
    with pytest.raises(RequestRefused, match='"python" or "api", not \'json\''):
        first.to_dict(names="json")  # type: ignore[arg-type]


def test_pandas_and_polars_take_the_dicts() -> None:
    rows = [row.to_dict(names="api") for row in decode_rows(ROWS, Customer)]
    frame = pl.DataFrame(rows)
    assert frame["creditLimit"].to_list() == [Decimal("12.10"), None]
    pandas = pytest.importorskip("pandas")
    assert pandas.DataFrame(rows)["creditLimit"].tolist()[0] == Decimal("12.10")


def test_a_notebook_shows_records_escaped() -> None:
    (first, _) = decode_rows(ROWS, Customer)
    shown = first._repr_html_()
    assert "<caption>Customer</caption>" in shown
    assert "&lt;b&gt;A &amp; B&lt;/b&gt;" in shown
    assert "<td>city=Oslo</td>" in shown
    assert "<td>1 in a list</td>" in shown
    assert "Unset" not in shown

"""Properties of every model: the fast path is the reference, and nothing is lost on the way through."""

from __future__ import annotations

import inspect
import json
import pydoc
import typing
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any

import attrs
import cattrs
import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from tests.codec.support import json_text, read_models, same_json, write_models
from vismanet_async._api import models
from vismanet_async._codec.decode import decode_one, decode_rows
from vismanet_async._codec.encode import encode_write, to_json
from vismanet_async._codec.fields import fields_of
from vismanet_async._codec.model import Model, Record, WriteModel
from vismanet_async._codec.struct_decoder import decoder, needs_tolerant_decoder
from vismanet_async._codec.tolerant_decoder import loads_exact, structure
from vismanet_async._codec.values import UNSET
from vismanet_async.errors import UnexpectedResponse

if TYPE_CHECKING:
    from collections.abc import Callable

SEEDS = st.integers(min_value=0, max_value=2**32)
quick = settings(max_examples=5, deadline=None)
names = [one.__name__ for one in read_models()]
all_read = pytest.mark.parametrize("cls", read_models(), ids=names)


def test_there_are_as_many_as_the_catalog_has_shapes() -> None:
    assert len(read_models()) > 280
    assert len(write_models()) > 140


@all_read
@quick
@given(seed=SEEDS)
def test_reading(cls: type[Model], seed: int) -> None:
    random = Random(seed)
    assert_fast_is_reference(cls, random)
    assert_json_survives(cls, random)
    assert_fields_alone_make_the_same_json(cls, random)
    if issubclass(cls, Record):
        assert_unknown_keys_are_reachable(cls, random)
        assert_rows_are_as_single_records(cls, random)


def assert_fast_is_reference(cls: type[Model], random: Random) -> None:
    """Both give the same object, or refuse with the same words."""
    text = json_text(random, cls, odd=random.choice([0, 0, 0.05]), wrong=random.choice([0, 0, 0.03])).encode()
    expected = outcome(lambda: structure(loads_exact(text), cls))
    if not needs_tolerant_decoder(text):
        with suppress(msgspec.DecodeError):  # the reference decides
            assert decoder(cls).decode(text) == expected
    assert outcome(lambda: decode_one(text, cls)) == expected


def outcome(work: Callable[[], Any]) -> Any:
    """Give what comes out, be it an object or the words of a refusal."""
    try:
        return work()
    except UnexpectedResponse as refused:
        return str(refused)


def assert_json_survives(cls: type[Model], random: Random) -> None:
    text = json_text(random, cls, odd=0.05).encode()
    record = decode_one(text, cls)
    assert_holds(record, loads_exact(text))
    if isinstance(record, Record):
        assert to_json(record) == text
        assert record.raw_json == text


def assert_fields_alone_make_the_same_json(cls: type[Model], random: Random) -> None:
    """A record without its raw text gives back what its fields hold: all but unknown keys and a seventh digit."""
    text = json_text(random, cls).replace(".1234567", ".123456").encode()
    record = attrs.evolve(decode_one(text, cls))  # type: ignore[misc]  # an attrs class
    if isinstance(record, Record):
        assert record.raw_json == b""
    again = decode_one(to_json(record), cls)
    assert again == record
    kept = json.loads(to_json(record), parse_float=Decimal)
    assert_holds(record, kept)
    assert "customerOwn_Field" not in kept


def assert_unknown_keys_are_reachable(cls: type[Record], random: Random) -> None:
    body = loads_exact(json_text(random, cls, depth=0).encode())
    body.pop("customerOwn_Field", None)
    body["brandNew"] = {"amount": Decimal("12.10"), "gone": None}
    text = msgspec.json.Encoder(decimal_format="number").encode(body)
    record = decode_one(text, cls)
    assert same_json(record.extra["brandNew"], {"amount": Decimal("12.10"), "gone": None})


def assert_rows_are_as_single_records(cls: type[Record], random: Random) -> None:
    texts = [json_text(random, cls, odd=random.choice([0, 0.1])).encode() for _ in range(3)]
    rows = decode_rows(texts, cls)
    assert rows == [decode_one(text, cls) for text in texts]
    assert [row.raw_json for row in rows] == texts


def assert_holds(record: Model, values: dict[str, Any]) -> None:
    """Missing, null and value are told apart, and every value is exact."""
    for field in fields_of(type(record)):
        held = getattr(record, field.name)
        if field.json not in values:
            assert held is UNSET
            continue
        raw = values[field.json]
        known = {one.json for one in fields_of(field.model)} if field.model else set()
        if isinstance(raw, dict) and raw.keys() == {"value"} and field.kind != "dict" and "value" not in known:
            raw = raw["value"]
        if raw is None or (raw == "" and field.kind != "str"):
            assert held is None
        elif field.many:
            for one, inner in zip(held, raw, strict=True):
                assert_value(one, inner)
        else:
            assert_value(held, raw)


def assert_value(held: Any, raw: Any) -> None:
    if isinstance(held, Model):
        assert_holds(held, raw)
    elif isinstance(held, Decimal) and not isinstance(raw, bool):
        assert str(held) == str(raw)
    elif isinstance(held, datetime):
        assert held.isoformat().replace("+00:00", "Z")[:10] == raw[:10]
    elif isinstance(held, bool):
        assert str(held).lower() == str(raw).lower()
    elif isinstance(held, int):
        assert Decimal(held) == Decimal(raw)
    elif isinstance(held, str) and not isinstance(raw, bool):
        assert held == str(raw)


@pytest.mark.parametrize("cls", write_models(), ids=[one.__name__ for one in write_models()])
@quick
@given(seed=SEEDS)
def test_written_json_says_what_the_model_says(cls: Any, seed: int) -> None:
    """Reading the body back, wrappers taken off, gives the model that was written."""
    random = Random(seed)
    values = loads_exact(json_text(random, cls, depth=2).replace("Z", "").replace("+01:00", "").encode())
    values.pop("customerOwn_Field", None)
    model = structure(_lines(values, cls), cls)
    body = encode_write(model, cls, creating=True)
    assert structure(_bare(loads_exact(body), cls), cls) == model
    assert_wrapped(loads_exact(body), cls)


def _lines(values: dict[str, Any], cls: type[Model]) -> dict[str, Any]:
    """Lines must say what is to be done with them, what is needed must be there."""
    for field in fields_of(cls):
        value = values.get(field.json)
        if "Insert" in field.choices:
            values[field.json] = "Insert"
        if field.needed:
            needed: dict[str, Any] = {"model": {}, "int": 1}
            values[field.json] = values.get(field.json) or needed.get(field.kind, "x")
        for one in value if isinstance(value, list) else [value]:
            if field.model is not None and isinstance(one, dict):
                _lines(one, field.model)
    return values


def _bare(values: dict[str, Any], cls: type[Model]) -> dict[str, Any]:
    bare = {}
    for field in fields_of(cls):
        if field.json not in values:
            continue
        value = values[field.json]["value"] if field.wrapped else values[field.json]
        if field.model is not None and value is not None:
            inner = field.model
            value = [_bare(one, inner) for one in value] if field.many else _bare(value, inner)
        bare[field.json] = value
    return bare


def assert_wrapped(values: dict[str, Any], cls: type[Model]) -> None:
    for field in fields_of(cls):
        if field.json in values:
            value = values[field.json]
            assert (isinstance(value, dict) and value.keys() == {"value"}) or not field.wrapped
            inner = value["value"] if field.wrapped else value
            for one in inner if isinstance(inner, list) else [inner]:
                if field.model is not None and one is not None:
                    assert_wrapped(one, field.model)


MODELS = [getattr(models, name) for name in models.__all__ if isinstance(getattr(models, name), type)]


@pytest.mark.parametrize("cls", MODELS, ids=lambda cls: cls.__name__)
def test_tools_can_look_at_a_model(cls: type[Model]) -> None:
    """help(), signatures and types, of fields and of the constructor."""
    names = [field.name for field in attrs.fields(cls)]
    assert (names[0] == "extra") == issubclass(cls, WriteModel)
    for signature in (inspect.signature(cls), inspect.signature(cls, eval_str=True)):
        assert [name for name in signature.parameters if not name.startswith("_")] == names
    assert cls.__name__ in pydoc.render_doc(cls)
    hints = typing.get_type_hints(cls)
    for field in fields_of(cls):
        (known, *_), text = typing.get_args(hints[field.name]), str(hints[field.name])
        assert "open_enum" not in text, "an open enum is there with its values"
        assert field.model is None or field.model in {known, *typing.get_args(known)}
    assert {*names} - {"extra"} <= {*inspect.get_annotations(cls, eval_str=True)}
    typing.get_type_hints(cls.__init__)


def test_what_another_tool_makes_of_a_class_changes_nothing_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """cattrs, as others do, puts evaluated types in the place of the annotations, for good."""
    update, before = models.AddressUpdate(city="Oslo"), fields_of(models.AddressUpdate)
    assert cattrs.unstructure(update)["city"] == "Oslo"
    assert not isinstance(attrs.fields_dict(models.AddressUpdate)["city"].type, str)
    monkeypatch.setattr("vismanet_async._codec.fields._fields", {})  # as before anything was read or written
    assert fields_of(models.AddressUpdate) == before


def test_an_open_enum_shows_its_values() -> None:
    status = typing.get_args(typing.get_type_hints(models.Customer)["status"])
    assert "Active" in typing.get_args(status[0])
    assert str in status

"""The typed path keeps its distance from the obvious ones (ratios in one run, with slack for noise)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Optional

import attrs
import msgspec
import pytest

from tests.codec.support import json_text
from vismanet_async._api.models import Customer
from vismanet_async._codec.decode import decode_rows
from vismanet_async._codec.fields import fields_of
from vismanet_async._codec.struct_decoder import _SCALARS, FAST
from vismanet_async._codec.tolerant_decoder import loads_exact, structure

if TYPE_CHECKING:
    from vismanet_async._codec.model import Model

_LIST: Any = list


def _camel_class(cls: type[Model], known: dict[Any, Any]) -> Any:
    """What one would write by hand for msgspec: attrs, the API's own names, the same field types."""
    if cls not in known:
        body: dict[str, Any] = {"__annotations__": {}}
        for field in fields_of(cls):
            one: Any = _camel_class(field.model, known) if field.model else _SCALARS[field.kind]
            body["__annotations__"][field.json] = Optional[_LIST[one] if field.many else one]  # noqa: UP045 - made at run time
            body[field.json] = attrs.field(default=None)
        known[cls] = attrs.define(type(cls.__name__, (), body))
    return known[cls]


def _seconds(work: Any) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


@pytest.mark.skipif(not FAST.usable, reason="turned off")
def test_typed_rows_against_msgspec_and_cattrs() -> None:
    from random import Random

    rows = [json_text(Random(seed), Customer, depth=3).replace('"12.10"', "12.10") for seed in range(150)]
    body = f"[{','.join(rows)}]".replace('"0001-01-01T00:00:00"', "null").encode()
    by_hand = msgspec.json.Decoder(_LIST[_camel_class(Customer, {})])
    split = msgspec.json.Decoder(list[msgspec.Raw])

    def typed() -> None:
        raws = split.decode(body)
        for start in range(0, len(raws), 100):
            decode_rows(raws[start : start + 100], Customer)

    def reference() -> None:
        for value in loads_exact(body):
            structure(value, Customer)

    # other processes spoil single rounds, never all of them in our favour: the best round tells
    by_hand_ratio, reference_ratio = 0.0, 0.0
    for _ in range(9):
        once = _seconds(typed)
        by_hand_ratio = max(by_hand_ratio, _seconds(lambda: by_hand.decode(body)) / once)
        reference_ratio = max(reference_ratio, _seconds(reference) / once)
    assert by_hand_ratio > 0.9, f"typed rows at {by_hand_ratio:.2f} of msgspec by hand"
    assert reference_ratio > 3, "the reference is too close: is the fast path taken?"

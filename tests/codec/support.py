"""Random JSON for any model, as text, so that the way numbers and moments are written is part of it."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from vismanet_async._api import models
from vismanet_async._codec.fields import fields_of
from vismanet_async._codec.model import Model, WriteModel

if TYPE_CHECKING:
    from random import Random

    from vismanet_async._codec.fields import Field

TEXTS = ['"x"', '""', '"Blåbærsyltetøy"', '"\\u00e5 \\"quoted\\" \\\\ \\n"', '"000050"', '"\U0001f600"']
VALUES = {
    "str": TEXTS,
    "int": ["0", "-7", "2147483648", "123456789012345678901234567890"],
    "bool": ["true", "false"],
    "Decimal": ["12.10", "1234567890123.4567", "99999999999999999.99", "-0.5", "5", "1e5", "1.0E-7", '"12.10"'],
    "datetime": [
        '"2025-05-25T13:30:00"',
        '"2025-05-25T13:30:00.1"',
        '"2025-05-25T13:30:00.123"',
        '"2025-05-25T13:30:00.1234567"',
        '"2025-05-25T13:30:00Z"',
        '"2025-12-31T23:59:59.5+01:00"',
        '"0001-01-01T00:00:00"',
    ],
    "dict": ["{}", '{"ETag": "x", "Location": null}'],
}
# what servers send although something else was promised; the reference reads it
TOLERATED = {
    "str": ["5", "12.10", "true", '{"value": "x"}'],
    "int": ["5.0", '"5"', '""', '{"value": 5}'],
    "bool": ['"true"', '"False"', '""', '{"value": true}'],
    "Decimal": ['""', '{"value": 12.10}', '{"value": null}'],
    "datetime": [
        '""',
        '"2025-05-25"',
        '"2025-05-25 13:30"',
        '"2025-12-31T23:59:59.9999999"',
        '"2025-12-31T23:59:59.999999999"',
        '{"value": "2025-05-25T00:00:00"}',
    ],
    "dict": ["{}"],
}
WRONG = ["[1]", '{"a": 1}', '"word"', "7.5", "true"]


@cache
def read_models() -> list[type[Model]]:
    """Every class that is decoded."""
    return [one for one in _classes() if not issubclass(one, WriteModel)]


@cache
def write_models() -> list[type[WriteModel]]:
    """Every class that is encoded."""
    return [one for one in _classes() if issubclass(one, WriteModel)]


def _classes() -> list[type[Model]]:
    found: list[Any] = [getattr(models, name) for name in models.__all__]
    return [one for one in found if isinstance(one, type)]


def json_text(random: Random, cls: type[Model], *, odd: float = 0, wrong: float = 0, depth: int = 2) -> str:
    """Write a JSON object for `cls`: each field missing, null or there; unknown keys; `odd` and `wrong` values."""
    parts = []
    for field in fields_of(cls):
        chance = random.random()
        if chance < 0.35:
            continue
        value = "null" if chance < 0.45 else _value(random, field, odd, wrong, depth)
        if field.choices and issubclass(cls, WriteModel) and value != "null":
            value = json.dumps(random.choice(field.choices))
        parts.append(f"{json.dumps(field.json)}: {value}")
    if random.random() < 0.5:
        parts.insert(random.randrange(len(parts) + 1), '"customerOwn_Field": {"deep": [1.10, null, "x"]}')
    return "{" + ", ".join(parts) + "}"


def _value(random: Random, field: Field, odd: float, wrong: float, depth: int) -> str:
    if random.random() < wrong:
        return random.choice(WRONG)
    if field.many:
        return "[" + ", ".join(_one(random, field, 0, wrong, depth) for _ in range(random.randrange(3))) + "]"
    return _one(random, field, odd, wrong, depth)


def _one(random: Random, field: Field, odd: float, wrong: float, depth: int) -> str:
    if field.model is not None:
        inner = json_text(random, field.model, odd=odd, wrong=wrong, depth=depth - 1) if depth else "{}"
        wrap = random.random() < odd and not any(one.json == "value" for one in fields_of(field.model))
        if wrap and random.random() < 0.3:
            inner = "null"
        return f'{{"value": {inner}}}' if wrap else inner
    return random.choice(TOLERATED[field.kind] if random.random() < odd else VALUES[field.kind])


def same_json(one: Any, other: Any) -> bool:
    """Compare JSON values with True and 1 told apart."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same_json(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same_json, one, other))
    return str(one) == str(other)

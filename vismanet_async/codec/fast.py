"""The fast path: msgspec decodes straight into the models, which are structs (`codec.model.read_model`).

msgspec takes names and defaults from the struct. The types it reads from `__annotations__` when a decoder is built,
where models say `Maybe[...]` with names that are imported for type checkers only. So while a decoder is built each
class shows the types of its fields there; after that its own annotations are put back.

What msgspec refuses, and what it would read otherwise than `reference` does, is decoded by `reference`.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from threading import RLock
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from vismanet_async.codec.model import Model, fields_of
from vismanet_async.codec.values import UnsetType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vismanet_async.codec.model import Field

__all__ = ["decoder", "paused_collector", "reads_otherwise"]

_SCALARS: dict[str, Any] = {
    "str": str,
    "int": int,
    "bool": bool,
    "Decimal": Decimal,
    "datetime": datetime,
    "dict": dict[str, str | None],
}

_NOTHING: Any = Annotated[int, msgspec.Meta(gt=0, lt=0)]
"""A type that no JSON value has, null included: `{"value": null}` is no object, and left to the reference."""

_decoders: dict[type, msgspec.json.Decoder[Any]] = {}
# Two threads building at once would see each other's half-changed classes.
_lock = RLock()


def decoder(cls: type) -> msgspec.json.Decoder[Any]:
    """Give the decoder of one record of `cls`; built once for each class, from any thread."""
    known = _decoders.get(cls)
    if known is None:
        with _lock:
            known = _decoders.get(cls)
            if known is None:
                known = _decoders[cls] = _build(cls)
    return known


def reads_otherwise(body: bytes) -> bool:
    """Tell whether msgspec might carry a moment in `body` into the next second.

    It rounds the seventh digit of a fraction, so 23:59:59.9999999 would become the next day.
    """
    return body.rfind(b".999999") >= 0  # half the time that `in` takes


@contextmanager
def paused_collector() -> Iterator[None]:
    """Keep the cyclic collector out of a decode call: it would walk all new objects again and again for nothing.

    No await may stand inside.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _build(cls: type) -> msgspec.json.Decoder[Any]:
    if not issubclass(cls, Model):
        return msgspec.json.Decoder(cls)
    classes = list(_reachable(cls, {}))
    before = {each: each.__annotations__ for each in classes}
    try:
        for each in classes:
            # what attrs does not show as a field
            hidden = dict.fromkeys(each.__struct_fields__) | {"_value": _NOTHING}
            each.__annotations__ = hidden | {field.name: _type(field) for field in fields_of(each)}
        return msgspec.json.Decoder(cls)
    finally:
        for each, own in before.items():
            each.__annotations__ = own


def _reachable(cls: type[Model], seen: dict[type[Model], None]) -> dict[type[Model], None]:
    if cls not in seen:
        seen[cls] = None
        for field in fields_of(cls):
            if field.model is not None:
                _reachable(field.model, seen)
    return seen


def _type(field: Field) -> Any:
    one: Any = field.model if field.model is not None else _SCALARS[field.kind]
    many: Any = list
    return (many[one] if field.many else one) | None | UnsetType

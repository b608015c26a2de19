"""The fast path: msgspec decodes straight into snake case attrs classes.

msgspec knows attrs classes but cannot rename their fields (jcrist/msgspec#372). It reads `__attrs_attrs__` and
`__annotations__` once, when a decoder is built, and stores values with the generic `setattr`. So while a decoder is
built each class shows its JSON names there, and each JSON name is put on the class as an alias of the same slot; the
aliases stay (the decoder stores through them), the rest is put back. All of that happens in this file and
nowhere else. It can go when msgspec renames fields of attrs classes itself.

What msgspec refuses, and what it would read otherwise than `reference` does, is decoded by `reference`.
"""

from __future__ import annotations

import gc
import operator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from threading import RLock
from typing import TYPE_CHECKING, Any

import attrs
import msgspec

from vismanet_async.codec.model import Model, fields_of
from vismanet_async.codec.values import UNSET, UnsetType

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
    return b".999999" in body


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
    before = {each: (each.__attrs_attrs__, each.__annotations__) for each in classes}
    try:
        for each in classes:
            _show_json_names(each)
        return msgspec.json.Decoder(cls)
    finally:
        for each, (own_attributes, own_annotations) in before.items():
            each.__attrs_attrs__ = own_attributes
            each.__annotations__ = own_annotations


def _reachable(cls: type[Model], seen: dict[type[Model], None]) -> dict[type[Model], None]:
    if cls not in seen:
        seen[cls] = None
        for field in fields_of(cls):
            if field.model is not None:
                _reachable(field.model, seen)
    return seen


def _show_json_names(cls: type[Model]) -> None:
    fields = fields_of(cls)
    for field in fields:
        if field.json != field.name:
            setattr(cls, field.json, getattr(cls, field.name))  # the slot's descriptor
    shown = {field.json: _type(field) for field in fields}
    if not hasattr(cls, "value"):
        # `{"value": {...}}` would pass as an object with one unknown key; refused here, the reference unwraps it
        cls.value = _NOWHERE  # type: ignore[attr-defined]  # for msgspec only
        shown["value"] = None
    cls.__attrs_attrs__ = tuple(map(_Shown, shown))  # type: ignore[arg-type]  # for msgspec only
    cls.__annotations__ = shown


_NOWHERE = property(operator.attrgetter("__hash__"), operator.is_)  # type: ignore[arg-type]  # its answer is dropped
"""An attribute that is None (as the hash of models is) whatever it is set to, without ever leaving C."""


@attrs.frozen
class _Shown:
    """What msgspec looks at of an attrs attribute."""

    name: str
    default: Any = UNSET
    validator: None = None


def _type(field: Field) -> Any:
    one: Any = field.model if field.model is not None else _SCALARS[field.kind]
    many: Any = list
    return (many[one] if field.many else one) | None | UnsetType

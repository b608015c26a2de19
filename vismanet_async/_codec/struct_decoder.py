"""The fast decoder: msgspec decodes into the models, which are structs (`_codec.layout.read_model`).

msgspec reads names and defaults from the struct, and types from its `__annotations__` when a decoder is built. There
models have `Maybe[...]` with names that are imported for type checkers only. So while a decoder is built, the
annotations of each class are replaced by the types of its fields; afterwards the original ones are restored.

That is not a documented use of msgspec, so it is probed first (`FAST`). What msgspec refuses or would decode
differently is decoded by the tolerant decoder.
"""

from __future__ import annotations

import gc
import re
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from functools import cache
from threading import RLock
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from vismanet_async._accel import Accelerator
from vismanet_async._codec.fields import fields_of
from vismanet_async._codec.layout import read_model
from vismanet_async._codec.model import Model, Record
from vismanet_async._codec.values import UNSET, UnsetType

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vismanet_async._codec.fields import Field
    from vismanet_async._codec.values import Maybe

__all__ = ["FAST", "decoder", "needs_tolerant_decoder", "paused_collector", "quotes_amounts"]

_SCALARS: dict[str, Any] = {
    "str": str,
    "int": int,
    "bool": bool,
    "Decimal": Decimal,
    "datetime": datetime,
    "dict": dict[str, str | None],
}

_WITH_OFFSET: Any = Annotated[datetime, msgspec.Meta(tz=True)]
"""A point in time; one without an offset is left to the tolerant decoder, which knows that it is UTC."""

_NOTHING: Any = Annotated[int, msgspec.Meta(gt=0, lt=0)]
"""A type that no JSON value has, null included, so that `{"value": null}` is left to the tolerant decoder."""

_decoders: dict[type, msgspec.json.Decoder[Any]] = {}
# two threads that build decoders at once would see each other's replaced annotations
_lock = RLock()


def decoder(cls: type) -> msgspec.json.Decoder[Any]:
    """Return the decoder for a record of `cls`; built once for each class, from any thread."""
    known = _decoders.get(cls)
    if known is None:
        with _lock:
            known = _decoders.get(cls)
            if known is None:
                known = _decoders[cls] = _build(cls)
    return known


def needs_tolerant_decoder(body: bytes) -> bool:
    """Return whether msgspec might round a moment in `body` up to the next second.

    It rounds the seventh digit of a fraction, so 23:59:59.9999999 would become the next day.
    """
    return body.rfind(b".999999") >= 0  # twice as fast as `in`


def quotes_amounts(texts: Sequence[bytes], cls: type) -> bool:
    """Return whether any of the rows has an amount of `cls` as text.

    msgspec passes such text to `Decimal`, which accepts `NaN` and `1_000` too; the tolerant decoder accepts numbers
    only.
    """
    pattern = _quoted_amount(cls)
    return pattern is not None and any(map(pattern.search, texts))


@cache
def _quoted_amount(cls: type) -> re.Pattern[bytes] | None:
    classes = _reachable(cls, {}) if issubclass(cls, Model) else ()
    names = {field.json for each in classes for field in fields_of(each) if field.kind == "Decimal"}
    if not names:
        return None
    return re.compile(rb'"(?:%s)"\s*:[\s\[]*"' % b"|".join(re.escape(name).encode() for name in sorted(names)))


@contextmanager
def paused_collector() -> Iterator[None]:
    """Disable the cyclic collector during a decode: repeated collections of live objects are wasted work.

    The block must not contain an await.
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
            # fields of the struct that are not attrs fields
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
    one = _WITH_OFFSET if field.point_in_time else one
    many: Any = list
    return (many[one] if field.many else one) | None | UnsetType


def _probe() -> bool:
    """Return whether a record is decoded as the tolerant decoder would decode it."""
    decode = _build(_Probed).decode
    row = decode(b'{"amount":12.50,"text":null,"parts":[{"day":"2025-11-21T00:00:00"}],"new":{"value":1}}')
    refused = False
    try:
        decode(b'{"value":{"amount":1}}')
    except msgspec.DecodeError:
        refused = True
    return (
        refused
        and type(row) is _Probed
        and (str(row.amount), row.text, row.missing) == ("12.50", None, UNSET)
        and row.parts == [_ProbedPart(day=datetime(2025, 11, 21))]  # noqa: DTZ001 - as business dates come
    )


@read_model
class _ProbedPart(Model):
    day: Maybe[datetime] = UNSET


@read_model
class _Probed(Record):
    amount: Maybe[Decimal] = UNSET
    text: Maybe[str] = UNSET
    missing: Maybe[int] = UNSET
    parts: Maybe[list[_ProbedPart]] = UNSET


FAST: Final = Accelerator("decoding models with msgspec", instead="cattrs, several times slower", probe=_probe)
"""Whether msgspec fills the models as expected."""

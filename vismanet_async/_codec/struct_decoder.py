"""The fast path: msgspec decodes straight into the models, which are structs (`_codec.model.read_model`).

msgspec takes names and defaults from the struct. The types it reads from `__annotations__` when a decoder is built,
where models say `Maybe[...]` with names that are imported for type checkers only. So while a decoder is built each
class shows the types of its fields there; after that its own annotations are put back.

That is no documented use of msgspec, so it is probed first (`FAST`). What msgspec refuses, and what it would read
otherwise than `reference` does, is decoded by `reference`.
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
from vismanet_async._codec.model import Model, Record, fields_of, read_model
from vismanet_async._codec.values import UNSET, UnsetType

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vismanet_async._codec.model import Field
    from vismanet_async._codec.values import Maybe

__all__ = ["FAST", "decoder", "paused_collector", "quotes_amounts", "reads_otherwise"]

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


def quotes_amounts(texts: Sequence[bytes], cls: type) -> bool:
    """Return whether amounts of `cls` come as text in any of the rows.

    msgspec hands such text to `Decimal` as it is, which reads `NaN` and `1_000` too; the reference reads numbers only.
    """
    pattern = _quoted_amount(cls)
    return pattern is not None and any(pattern.search(text) for text in texts)


@cache
def _quoted_amount(cls: type) -> re.Pattern[bytes] | None:
    classes = _reachable(cls, {}) if issubclass(cls, Model) else ()
    names = {field.json for each in classes for field in fields_of(each) if field.kind == "Decimal"}
    if not names:
        return None
    return re.compile(rb'"(?:%s)"\s*:[\s\[]*"' % b"|".join(re.escape(name).encode() for name in sorted(names)))


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


def _probe() -> bool:
    """Decode a record of a model made for it, and hold the result to what the reference would say."""
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

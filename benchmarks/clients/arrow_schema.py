"""The Arrow schema of the hand-written models: nested structs, decimals, timestamps."""

from __future__ import annotations

import types
import typing
from datetime import datetime
from decimal import Decimal

import attrs
import pyarrow as pa

from benchmarks import models

_SCALARS = {
    int: pa.int64(),
    str: pa.string(),
    bool: pa.bool_(),
    Decimal: pa.decimal128(19, 4),
    datetime: pa.timestamp("ms"),
}


def _arrow_type(hint: object) -> pa.DataType:
    if isinstance(hint, types.UnionType):  # every field is `X | None`
        return _arrow_type(next(member for member in typing.get_args(hint) if member is not type(None)))
    if typing.get_origin(hint) is list:
        return pa.list_(_arrow_type(typing.get_args(hint)[0]))
    if isinstance(hint, type) and attrs.has(hint):
        return pa.struct(_fields(hint))
    return _SCALARS[typing.cast("type", hint)]


def _fields(model: type) -> list[pa.Field]:
    return [pa.field(name, _arrow_type(hint)) for name, hint in typing.get_type_hints(model).items()]


CUSTOMER = pa.schema(_fields(models.Customer))

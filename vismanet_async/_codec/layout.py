"""The decorators that make a class body a model: `read_model` for what is decoded, `write_model` for what is sent."""

from __future__ import annotations

from types import FunctionType
from typing import Any, TypeVar, dataclass_transform

import attrs
import msgspec

from vismanet_async._codec.fields import json_key
from vismanet_async._codec.values import UNSET

__all__ = ["read_model", "write_model"]

C = TypeVar("C", bound=type)

_OPTIONS: dict[str, Any] = {
    "kw_only": True,
    "eq": False,
    "repr": False,
    "match_args": False,
}


@dataclass_transform(kw_only_default=True, frozen_default=True)
def read_model(cls: C) -> C:
    """Return a class for decoded records: immutable, slots, keyword-only, every field `UNSET` unless given.

    To its users it is a frozen attrs class. Its instances are those of a `msgspec.Struct`: decoded at twice the speed
    of an attrs class, and never tracked by the cyclic collector, which would walk all records of a list again and
    again while it grows, up to 700 ms at a time. What is decoded from JSON and cannot be changed has no cycles to find.
    """
    attrs.define(cls, frozen=True, slots=False, init=False, **_OPTIONS)
    json_names = {one.name: json_key(one) for one in attrs.fields(cls)}
    json_names |= {name: name for name in getattr(cls, "struct_only", ())}
    if "value" not in json_names.values():
        # `{"value": ...}` would pass as an object with one unknown key; this field makes msgspec refuse it
        json_names |= {"_value": "value"}
    made = msgspec.defstruct(
        cls.__name__,
        [(name, None, UNSET if name in cls.__annotations__ else None) for name in json_names],
        bases=(*cls.__bases__, msgspec.Struct),
        namespace={name: value for name, value in vars(cls).items() if name not in {"__dict__", "__weakref__"}},
        rename=json_names,
        kw_only=True,
        eq=False,
        gc=False,
    )
    made.__annotations__ = cls.__annotations__
    for value in vars(cls).values():
        method = getattr(value, "fget", None) or getattr(value, "__func__", value)
        if isinstance(method, FunctionType) and "__class__" in method.__code__.co_freevars:  # it uses `super()`
            method.__closure__[method.__code__.co_freevars.index("__class__")].cell_contents = made  # type: ignore[index]  # it has free variables
    return made  # type: ignore[return-value]  # the same class with another layout


@dataclass_transform(kw_only_default=True)
def write_model(cls: C) -> C:
    """Return a class for data to send: mutable, and checked when it is encoded."""
    return attrs.define(cls, on_setattr=attrs.setters.NO_OP, weakref_slot=False, getstate_setstate=False, **_OPTIONS)  # type: ignore[return-value, no-any-return, call-overload, unused-ignore]

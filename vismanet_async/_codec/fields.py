"""The fields of a model: their names and types on both sides, and the markers for those that differ from the rule."""

from __future__ import annotations

import re
import sys
from datetime import datetime
from decimal import Decimal
from functools import cache, partial
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import attrs
import msgspec

from vismanet_async._codec.values import UNSET

if TYPE_CHECKING:
    from collections.abc import Callable

    from vismanet_async._codec.model import Model

__all__ = [
    "EXTRA",
    "Field",
    "Kind",
    "annotations_of",
    "camel",
    "fields_of",
    "json_key",
    "json_name",
    "needed",
    "open_enums",
    "point_in_time",
    "wrapped",
]

EXTRA = "extra"
"""The attribute of models that are sent for what the catalog lacks; it is no field of the API."""
Kind = Literal["str", "int", "bool", "Decimal", "datetime", "dict", "model"]


def camel(name: str) -> str:
    """Return the JSON name of a snake case field by the rule.

    Examples:
        >>> camel("last_modified_date_time")
        'lastModifiedDateTime'
    """
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


def json_name(name: str, /) -> Any:
    """Declare a field with a JSON name that differs from the rule."""
    return attrs.field(default=UNSET, metadata={"json": name})


def wrapped(name: str | None = None, /, *, read_form: type[Model] | None = None) -> Any:
    """Declare a field of a write model that is sent as `{"value": x}`; a cleared one as `{"value": null}`.

    Args:
        name: its JSON name, where that differs from the rule.
        read_form: the class that Visma's samples send here, bare, although it is one of answers.
    """
    metadata = {"wrapped": True, "read_form": read_form} | ({"json": name} if name else {})
    return attrs.field(default=UNSET, metadata=metadata)


def point_in_time(name: str | None = None, /) -> Any:
    """Declare a point in time, not a business date: sent with its zone, read as UTC where it has none."""
    return attrs.field(default=UNSET, metadata={"point_in_time": True} | ({"json": name} if name else {}))


def needed(name: str | None = None, /) -> Any:
    """Declare a field of a write model without which the API refuses the body."""
    return attrs.field(default=UNSET, metadata={"needed": True} | ({"json": name} if name else {}))


class Field(msgspec.Struct, frozen=True):
    """One field of a model, in Python and in JSON."""

    name: str
    json: str
    kind: Kind
    many: bool
    """A JSON array of `kind`."""
    model: type[Model] | None
    """The class, if `kind` is `model`."""
    wrapped: bool
    point_in_time: bool = False
    needed: bool = False
    read_form: type[Model] | None = None
    """The class of answers that Visma's samples send here, bare."""
    open_enum: Callable[[], Any] | None = None
    """Loads the enumeration, if it is one of a model that is sent."""
    is_text: bool = False
    """It is text, and nothing more is asked of it."""

    @property
    def choices(self) -> tuple[str, ...]:
        """The values of the enumeration that the catalog has; empty for other fields."""
        return () if self.open_enum is None else _choices(self.open_enum)


_SCALARS: dict[type, Kind] = {
    str: "str",
    int: "int",
    bool: "bool",
    Decimal: "Decimal",
    datetime: "datetime",
    dict: "dict",
}
_BY_NAME = {scalar.__name__: scalar for scalar in _SCALARS} | {
    "dict[str, Any]": dict,
    "Number": Decimal,
    "Moment": datetime,
}
_ANNOTATION = re.compile(r"Maybe\[(?P<many>list\[)?(?P<name>\w+|dict\[str, Any\])( \| \w+)?\]{1,2}")
_fields: dict[type[Model], tuple[Field, ...]] = {}
_fields_lock = Lock()


def fields_of(cls: type[Model]) -> tuple[Field, ...]:
    """Return the fields of a model class in the order of its body; computed once for each class."""
    known = _fields.get(cls)
    if known is None:
        with _fields_lock:
            written = annotations_of(cls)
            fields = tuple(_field(cls, one, written[one.name]) for one in attrs.fields(cls) if one.name != EXTRA)
            known = _fields.setdefault(cls, fields)
    return known


def annotations_of(cls: type[Model]) -> dict[str, str]:
    """Return the annotations of a class as they are written; attrs' own may be evaluated: cattrs does so, for good."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        found |= getattr(base, "__annotations__", {})
    return found


def open_enums(cls: type[Model]) -> set[str]:
    """Return the open enums that a class body refers to; its module has them as text, so that they are not loaded."""
    known = vars(sys.modules[cls.__module__])
    matches = map(_ANNOTATION.fullmatch, annotations_of(cls).values())
    return {match["name"] for match in matches if match and isinstance(known.get(match["name"]), str)}


def _field(cls: type[Model], attribute: attrs.Attribute[Any], annotation: str) -> Field:
    # the bodies are generated in one fixed form, so parsing the text is enough, and cheaper than evaluating it
    match = _ANNOTATION.fullmatch(annotation)
    if match is None:
        raise TypeError(f"{cls.__name__}.{attribute.name} must be annotated Maybe[...], not {annotation}")
    named = _named(cls, match["name"])
    model = cast("type[Model]", named) if isinstance(named, type) and attrs.has(named) else None
    kind: Kind = "model" if model else _SCALARS.get(named, "str")
    many, read_form = match["many"] is not None, attribute.metadata.get("read_form")
    open_enum = _open_enum(cls, match["name"])
    return Field(
        name=attribute.name,
        json=json_key(attribute),
        kind=kind,
        many=many,
        model=model,
        wrapped=attribute.metadata.get("wrapped", False),
        point_in_time=attribute.metadata.get("point_in_time", False),
        needed=attribute.metadata.get("needed", False),
        read_form=read_form,
        open_enum=open_enum,
        is_text=kind == "str" and not many and read_form is None and open_enum is None,
    )


@cache
def _choices(open_enum: Callable[[], Any]) -> tuple[str, ...]:
    return get_args(get_args(open_enum())[0])


def _open_enum(cls: type[Model], name: str) -> Callable[[], Any] | None:
    known = vars(sys.modules[cls.__module__])
    return partial(known["open_enum"], name) if isinstance(known.get(name), str) else None


def json_key(attribute: attrs.Attribute[Any]) -> str:
    """Return the JSON name of a model's attribute."""
    return attribute.metadata.get("json") or camel(attribute.name)


def _named(cls: type[Model], name: str) -> Any:
    """Return what an annotation refers to; `str` for an open enum."""
    return _BY_NAME.get(name) or vars(sys.modules[cls.__module__]).get(name, str)

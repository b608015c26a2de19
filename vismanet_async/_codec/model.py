"""The base of every model, and what a model's fields are on the wire.

A model is an attrs class with slots; one that is read is laid out as a `msgspec.Struct` besides, whose fields msgspec
fills in without a call (`read_model`). Its class body is the whole definition: the JSON name of a field is its snake
case name in lower camel case unless `json_name` says otherwise, and `wrapped` marks what the API wants as
`{"value": x}` (docs/facts.md 10)::

    @read_model
    class Account(Record):
        number: Maybe[str] = UNSET
        account_id: Maybe[int] = json_name("accountID")
"""

from __future__ import annotations

import re
import sys
from datetime import datetime
from decimal import Decimal
from threading import Lock
from types import FunctionType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeVar, dataclass_transform

import attrs
import msgspec
from msgspec.structs import force_setattr

from vismanet_async._codec.values import UNSET
from vismanet_async.errors import RequestRefused, UnknownName

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vismanet_async.errors import Attempt

__all__ = [
    "Field",
    "Kind",
    "LineUpdate",
    "Model",
    "Record",
    "WriteModel",
    "camel",
    "fields_of",
    "instant",
    "json_name",
    "open_enums",
    "read_model",
    "wrapped",
    "write_model",
]

C = TypeVar("C", bound=type)
T = TypeVar("T")
Kind = Literal["str", "int", "bool", "Decimal", "datetime", "dict", "model"]


def camel(name: str) -> str:
    """Give the JSON name that a snake case field has by rule.

    Examples:
        >>> camel("last_modified_date_time")
        'lastModifiedDateTime'
    """
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


def json_name(name: str, /) -> Any:
    """Give a field a JSON name that the rule would not give."""
    return attrs.field(default=UNSET, metadata={"json": name})


def wrapped(name: str | None = None, /) -> Any:
    """Mark a field of a write model that travels as `{"value": x}`; a cleared one as `{"value": null}`."""
    return attrs.field(default=UNSET, metadata={"wrapped": True} | ({"json": name} if name else {}))


def instant() -> Any:
    """Mark a moment of a write model that is a point in time, not a business date: it may carry a time zone."""
    return attrs.field(default=UNSET, metadata={"instant": True})


class Model:
    """Base of all models: compares by fields, shows only the fields that are set.

    The attrs decorators leave `__eq__` and `__repr__` to this class: generating them for some four hundred classes
    would cost more at first use than all the rest.
    """

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]  # models hold lists

    if TYPE_CHECKING:
        __attrs_attrs__: ClassVar[tuple[attrs.Attribute[Any], ...]]
        __struct_fields__: ClassVar[tuple[str, ...]]

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return all(getattr(self, field.name) == getattr(other, field.name) for field in attrs.fields(self.__class__))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{self.__class__.__name__}({shown})"

    def __rich_repr__(self) -> Iterator[tuple[str, Any]]:
        for field in attrs.fields(self.__class__):
            if (value := getattr(self, field.name)) is not UNSET:
                yield field.name, value

    def __replace__(self, /, **changes: Any) -> Self:
        """Serve `copy.replace` as `attrs.evolve` does."""
        return attrs.evolve(self, **changes)  # type: ignore[misc]  # an attrs class

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self.__class__, self._state())

    def _state(self) -> dict[str, Any]:
        return dict(self.__rich_repr__())


class Record(Model):
    """A model that is the answer to a request, or one row of a list: it keeps the JSON that it came from.

    A field that the API has and the catalog lacks is not lost: `extra` has it. Building one by hand, or changing one
    with `attrs.evolve`, gives a record without raw JSON.

    Examples:
        >>> sim.behaviours.set(unknown_fields=True)
        >>> customer = await visma.customer.get("10000")
        >>> customer.number, len(customer.extra)
        ('10000', 1)
    """

    __slots__ = ()

    if TYPE_CHECKING:  # fields of the struct, which attrs does not show
        _raw: bytes | None
        _answer: tuple[str | None, tuple[Attempt, ...]] | None

    @property
    def raw_json(self) -> bytes:
        """The server's own JSON bytes of this record; empty for a record that was not decoded."""
        return self._raw or b""

    @property
    def extra(self) -> dict[str, Any]:
        """Everything in the raw JSON that no field holds, by its path: `{"lines[0].newField": Decimal("12.10")}`.

        Made anew on each call. Numbers with a fraction are `Decimal`; empty for a record that was not decoded.
        """
        from vismanet_async._codec.extra import unknown_keys  # noqa: PLC0415 - needed by few, loaded on first use

        return unknown_keys(self.raw_json, self.__class__) if self.raw_json else {}

    @property
    def etag(self) -> str | None:
        """The version to give as `if_match=`: the answer's ETag header, else the record's own time stamp."""
        if self._answer is not None and self._answer[0]:
            return self._answer[0]
        for name in ("time_stamp", "timestamp"):
            value = getattr(self, name, None)
            if value and isinstance(value, str):
                return str(value)
        return None

    @property
    def attempts(self) -> Sequence[Attempt]:
        """What was tried and waited for to get this answer; empty for a row of a list."""
        return () if self._answer is None else self._answer[1]

    def _state(self) -> dict[str, Any]:
        return super()._state() | ({"_raw": self._raw} if self._raw else {})


def keep_raw(record: Record, raw: bytes) -> None:
    """Give a record that was just decoded the JSON that it came from."""
    force_setattr(record, "_raw", raw)  # type: ignore[arg-type]  # a struct, by `read_model`


def keep_answer(record: Record, etag: str | None, attempts: tuple[Attempt, ...]) -> None:
    """Give a record that was just decoded what else came with its answer."""
    force_setattr(record, "_answer", (etag, attempts))  # type: ignore[arg-type]  # a struct, by `read_model`


def _restore(cls: type[T], state: dict[str, Any]) -> T:
    return cls(**state)


class WriteModel(Model):
    """A model that is sent. What is `UNSET` stays out, `None` clears, anything else is written."""

    __slots__ = ()


class LineUpdate(WriteModel):
    """A line of a document, or another part that is inserted, updated or deleted by its `operation`.

    Use the constructors: the API takes a line that says `Insert` as a new one, whatever its number (docs/facts.md 10).

    Examples:
        >>> from vismanet_async._api.models.common.customer_debit_note_line_update import CustomerDebitNoteLineUpdate
        >>> CustomerDebitNoteLineUpdate.insert(description="Test", quantity=2).operation
        'Insert'
    """

    __slots__ = ()

    if TYPE_CHECKING:

        def __init__(self, **fields: Any) -> None: ...

    line_key: ClassVar[str | None] = "line_number"
    """The field that names an existing line; None where it is named by other fields, such as a document's number."""

    @classmethod
    def insert(cls, **fields: Any) -> Self:
        """Make a line that is added to the document; its number is given by the server."""
        if cls.line_key in fields:
            raise RequestRefused(
                f"{cls.__name__}.insert takes no {cls.line_key}: the server numbers new lines. To change line "
                f"{fields[cls.line_key]}, use {cls.__name__}.update({fields[cls.line_key]}, ...). Nothing was sent."
            )
        return cls(operation="Insert", **cls._known(fields))

    @classmethod
    def update(cls, line: int | None = None, /, **fields: Any) -> Self:
        """Make a change of the existing line number `line`; only the fields given are changed."""
        return cls(operation="Update", **cls._named(line, "update"), **cls._known(fields))

    @classmethod
    def delete(cls, line: int | None = None, /, **fields: Any) -> Self:
        """Make the removal of the existing line number `line`."""
        return cls(operation="Delete", **cls._named(line, "delete"), **cls._known(fields))

    @classmethod
    def _known(cls, fields: dict[str, Any]) -> dict[str, Any]:
        from difflib import get_close_matches  # noqa: PLC0415 - only for a misspelled name

        names = attrs.fields_dict(cls)
        for name in fields:
            if name not in names:
                raise UnknownName("field", name, nearest=get_close_matches(name, names), where=f"in {cls.__name__}")
        return fields

    @classmethod
    def _named(cls, line: int | None, verb: str) -> dict[str, int]:
        if (line is None) != (cls.line_key is None):
            wants = "is named by its fields, not by a number" if line is not None else "needs the number of the line"
            raise RequestRefused(f"{cls.__name__}.{verb} {wants}; nothing was sent.")
        return {} if line is None or cls.line_key is None else {cls.line_key: line}


@dataclass_transform(kw_only_default=True, frozen_default=True)
def read_model(cls: C) -> C:
    """Make a class of answers: immutable, slots, keyword-only, every field `UNSET` unless given.

    To its users it is a frozen attrs class. The instances are those of a `msgspec.Struct`: decoded at twice the speed
    of an attrs class, and not looked at by the cyclic collector as long as they hold no other objects.
    """
    attrs.define(cls, frozen=True, slots=False, init=False, **_OPTIONS)
    json_names = {one.name: _json(one) for one in attrs.fields(cls)}
    if issubclass(cls, Record):
        json_names |= {"_raw": "_raw", "_answer": "_answer"}
    if "value" not in json_names.values():
        # `{"value": ...}` would pass as an object with one unknown key; msgspec refuses whatever stands there
        json_names |= {"_value": "value"}
    made = msgspec.defstruct(
        cls.__name__,
        [(name, None, UNSET if name in cls.__annotations__ else None) for name in json_names],
        bases=(*cls.__bases__, msgspec.Struct),
        namespace={name: value for name, value in vars(cls).items() if name not in {"__dict__", "__weakref__"}},
        rename=json_names,
        kw_only=True,
        eq=False,
    )
    made.__annotations__ = cls.__annotations__
    for value in vars(cls).values():
        method = getattr(value, "fget", None) or getattr(value, "__func__", value)
        if isinstance(method, FunctionType) and "__class__" in method.__code__.co_freevars:  # it says `super()`
            method.__closure__[method.__code__.co_freevars.index("__class__")].cell_contents = made  # type: ignore[index]  # it has free variables
    return made  # type: ignore[return-value]  # the same class, laid out anew


@dataclass_transform(kw_only_default=True)
def write_model(cls: C) -> C:
    """Make a class of things to send: fields can be set one after another; checked when it is encoded."""
    return attrs.define(cls, on_setattr=None, weakref_slot=False, getstate_setstate=False, **_OPTIONS)  # type: ignore[return-value, no-any-return, call-overload, unused-ignore]


_OPTIONS: dict[str, Any] = {
    "kw_only": True,
    "eq": False,
    "repr": False,
    "match_args": False,
}


@attrs.frozen
class Field:
    """One field of a model, on both sides."""

    name: str
    json: str
    kind: Kind
    many: bool
    """A JSON array of `kind`."""
    model: type[Model] | None
    """The class where `kind` is `model`."""
    wrapped: bool
    instant: bool = False


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
_ANNOTATION = re.compile(r"Maybe\[(?P<many>list\[)?(?P<name>\w+|dict\[str, Any\])\]{1,2}")
_fields: dict[type[Model], tuple[Field, ...]] = {}
_fields_lock = Lock()


def fields_of(cls: type[Model]) -> tuple[Field, ...]:
    """Give the fields of a model class in the order of its body; worked out once for each class."""
    known = _fields.get(cls)
    if known is None:
        with _fields_lock:
            known = _fields.setdefault(cls, tuple(_field(cls, one) for one in attrs.fields(cls)))
    return known


def open_enums(cls: type[Model]) -> set[str]:
    """Return the open enums that a class body names: text in its module, which names them without loading them."""
    known = vars(sys.modules[cls.__module__])
    matches = (_ANNOTATION.fullmatch(str(one.type)) for one in attrs.fields(cls))
    return {match["name"] for match in matches if match and isinstance(known.get(match["name"]), str)}


def _field(cls: type[Model], attribute: attrs.Attribute[Any]) -> Field:
    # The bodies are generated in one fixed form, so reading the text is enough, and cheaper than evaluating it.
    match = _ANNOTATION.fullmatch(str(attribute.type))
    if match is None:
        raise TypeError(f"{cls.__name__}.{attribute.name} must be annotated Maybe[...], not {attribute.type}")
    named = _named(cls, match["name"])
    model = named if isinstance(named, type) and issubclass(named, Model) else None
    return Field(
        name=attribute.name,
        json=_json(attribute),
        kind="model" if model else _SCALARS.get(named, "str"),
        many=match["many"] is not None,
        model=model,
        wrapped=attribute.metadata.get("wrapped", False),
        instant=attribute.metadata.get("instant", False),
    )


def _json(attribute: attrs.Attribute[Any]) -> str:
    return attribute.metadata.get("json") or camel(attribute.name)


def _named(cls: type[Model], name: str) -> Any:
    """Find what an annotation names; an open enum is text there, and here."""
    return _BY_NAME.get(name) or vars(sys.modules[cls.__module__]).get(name, str)

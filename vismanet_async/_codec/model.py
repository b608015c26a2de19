"""The base classes of the models.

A model is an attrs class with slots. One that is decoded is laid out as a `msgspec.Struct` as well, so that msgspec
fills its fields without a call (`_codec.layout.read_model`). The class body is the whole definition: the JSON name of a
field is its snake case name in lower camel case unless `json_name` names another, and `wrapped` marks fields that the
API expects as `{"value": x}` (docs/facts.md 10)::

    @read_model
    class Account(Record):
        number: Maybe[str] = UNSET
        account_id: Maybe[int] = json_name("accountID")
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Self, TypeVar

import attrs
from msgspec.structs import force_setattr

from vismanet_async._arguments import expect
from vismanet_async._codec.fields import json_key
from vismanet_async._codec.layout import write_model
from vismanet_async._codec.values import UNSET
from vismanet_async._names import snake
from vismanet_async.errors import RequestRefused, UnknownName

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vismanet_async.errors import Attempt

__all__ = ["LineUpdate", "Model", "Record", "WriteModel", "attach_raw", "attach_response"]

T = TypeVar("T")
_REPR_CHARS: Final = 240
_REPR_ITEMS: Final = 2


class Model:
    """The base of all models: instances compare by fields, and show only the fields that are set.

    What was read shows its first few fields, as a log of whole customers helps nobody; `rich.print` and `to_dict` have
    all of them.

    The attrs decorators do not generate `__eq__` and `__repr__`: for some four hundred classes that would cost more at
    first use than all the rest.
    """

    __slots__ = ()
    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # models hold lists

    if TYPE_CHECKING:
        __attrs_attrs__: ClassVar[tuple[attrs.Attribute[Any], ...]]
        __struct_fields__: ClassVar[tuple[str, ...]]

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return all(getattr(self, field.name) == getattr(other, field.name) for field in attrs.fields(self.__class__))

    def __repr__(self) -> str:
        shown: list[str] = []
        length = 0
        for name, value in self.__rich_repr__():
            text = f"{name}={_brief(value)}"
            length += len(text)
            if shown and length > _REPR_CHARS:
                more = sum(1 for _ in self.__rich_repr__()) - len(shown)
                shown.append(f"... {more} more")
                break
            shown.append(text)
        return f"{self.__class__.__name__}({', '.join(shown)})"

    def __rich_repr__(self) -> Iterator[tuple[str, Any]]:
        for field in attrs.fields(self.__class__):
            if (value := getattr(self, field.name)) is not UNSET:
                yield field.name, value

    def __replace__(self, /, **changes: Any) -> Self:
        """Return a copy with changed fields, for `copy.replace`."""
        return attrs.evolve(self, **changes)  # type: ignore[misc]  # an attrs class

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self.__class__, self._state())

    def _state(self) -> dict[str, Any]:
        return dict(self.__rich_repr__())


class Record(Model):
    """A model of a single response or of one row of a list. It keeps the JSON that it was decoded from.

    A field that the API has and the catalog lacks is not lost: `extra` has it. A record that you construct, or change
    with `attrs.evolve`, has no raw JSON.

    Examples:
        >>> sim.behaviours.set(unknown_fields=True)
        >>> customer = await visma.customer.get("10000")
        >>> customer.number, len(customer.extra)
        ('10000', 1)
    """

    __slots__ = ()

    struct_only: ClassVar[tuple[str, ...]] = ("_raw", "_response")
    """Fields of the struct that attrs does not show."""

    if TYPE_CHECKING:
        _raw: bytes | None
        _response: tuple[str | None, tuple[Attempt, ...]] | None

    @property
    def raw_json(self) -> bytes:
        """The server's JSON bytes of this record; empty for a record that was not decoded."""
        return self._raw or b""

    @property
    def extra(self) -> dict[str, Any]:
        """The values of the raw JSON that have no field, by their path: `{"lines[0].newField": Decimal("12.10")}`.

        Computed on each access. Numbers with a fraction are `Decimal`. Empty for a record that was not decoded.
        """
        from vismanet_async._codec.extra import unknown_keys  # noqa: PLC0415 - loads the tolerant decoder, which few need

        return unknown_keys(self.raw_json, self.__class__) if self.raw_json else {}

    def to_dict(self, *, names: Literal["python", "api"] = "python") -> dict[str, Any]:
        """Return the fields that are set, nested records and lists of them too, as plain dicts and lists.

        A field whose key was missing is left out, and a null is None. Amounts stay `Decimal`, times `datetime`. pandas
        and polars take a list of such dicts as it is; a whole list is read several times as fast by
        `listing.to_arrow()`, whose columns are the same for every row.

        Args:
            names: `"python"`: `credit_limit`; `"api"`: `creditLimit`, as in the server's JSON.

        Raises:
            RequestRefused: for other `names`.

        Examples:
            >>> customer = await visma.customer.get("10000")
            >>> row = customer.to_dict(names="api")
            >>> row["number"], sorted(row["mainAddress"])[0]
            ('10000', 'addressId')
        """
        if names not in {"python", "api"}:
            raise RequestRefused(f'names is "python" or "api", not {names!r}.')
        found: dict[str, Any] = _plain(self, api=names == "api")
        return found

    def to_json(self) -> bytes:
        """Return the record as JSON, for a web answer or a file: the server's bytes, to the last digit.

        Of a record that was constructed or changed, its fields that are set, by the API's names; amounts are numbers
        with all their digits. `json.dumps` and most web frameworks would make floats of them, or refuse them.

        A record does not change, but its lists can be changed in place: the server's bytes are what they were then. To
        change a record, make another with `attrs.evolve`.

        Examples:
            >>> customer = await visma.customer.get("10000")
            >>> customer.to_json() == customer.raw_json
            True
            >>> from decimal import Decimal
            >>> from vismanet_async.models import Customer
            >>> Customer(number="10000", credit_limit=Decimal("1000.10")).to_json()
            b'{"number":"10000","creditLimit":1000.10}'
        """
        from vismanet_async._codec.encode import to_json  # noqa: PLC0415 - it loads this module

        return to_json(self)

    def _repr_html_(self) -> str:
        from vismanet_async._html import html_table  # noqa: PLC0415 - only notebooks ask for it

        return html_table(self.__class__.__name__, ((name, _in_short(value)) for name, value in self.__rich_repr__()))

    @property
    def etag(self) -> str | None:
        """The version to pass as `if_match=`: the response's ETag header, else the record's own time stamp."""
        if self._response is not None and self._response[0]:
            return self._response[0]
        for name in ("time_stamp", "timestamp", "version"):
            value = getattr(self, name, None)
            if value and isinstance(value, str):
                return str(value)
        return None

    @property
    def attempts(self) -> Sequence[Attempt]:
        """The attempts that led to this record; empty for a row of a list."""
        return () if self._response is None else self._response[1]

    def _state(self) -> dict[str, Any]:
        return super()._state() | ({"_raw": self._raw} if self._raw else {})


def attach_raw(record: Record, raw: bytes) -> None:
    """Attach the JSON that a record was decoded from."""
    force_setattr(record, "_raw", raw)  # type: ignore[arg-type]  # a struct, by `read_model`


def attach_response(record: Record, etag: str | None, attempts: tuple[Attempt, ...]) -> None:
    """Attach the ETag and the attempts of the response that a record was decoded from."""
    force_setattr(record, "_response", (etag, attempts))  # type: ignore[arg-type]  # a struct, by `read_model`


def _plain(value: Any, *, api: bool) -> Any:
    if isinstance(value, list):
        return [_plain(one, api=api) for one in value]
    if not isinstance(value, Model):
        return value
    return {
        json_key(field) if api else field.name: _plain(inner, api=api)
        for field in attrs.fields(value.__class__)
        if (inner := getattr(value, field.name)) is not UNSET
    }


def _brief(value: Any) -> str:
    if not isinstance(value, list) or len(value) <= _REPR_ITEMS:
        return repr(value)
    first = ", ".join(map(repr, value[:_REPR_ITEMS]))
    return f"[{first}, ... {len(value) - _REPR_ITEMS} more]"


def _in_short(value: Any) -> str:
    if isinstance(value, list):
        return f"{len(value)} in a list"
    if isinstance(value, Model):
        return ", ".join(
            f"{name}={inner}" for name, inner in value.__rich_repr__() if not isinstance(inner, Model | list)
        )
    return str(value)


def _restore(cls: type[T], state: dict[str, Any]) -> T:
    return cls(**state)


def _own_copy(extra: dict[str, object]) -> dict[str, Any]:
    expect("extra", extra, Mapping)
    return dict(extra)


def _refuse_unknown(cls: type[Model], fields: dict[str, Any]) -> None:
    names = attrs.fields_dict(cls)
    for name in fields:
        if name not in names:
            from difflib import get_close_matches  # noqa: PLC0415 - only for a misspelled name

            python = snake(name)
            raise UnknownName(
                "field",
                name,
                nearest=[python] if python in names else get_close_matches(name, names),
                where=f"in {cls.__name__}",
                hint=f"A field that is newer than the catalog goes into extra: extra={{{name!r}: ...}}.",
            )


@write_model
class WriteModel(Model):
    """A model that is sent: a field that is `UNSET` is left out, `None` clears it, any other value is written."""

    extra: dict[str, Any] = attrs.field(factory=dict, converter=_own_copy)
    """Fields that the API has and the catalog lacks, by the API's names. They are sent as given: write
    `{"newField": {"value": 1}}` where the API wants it wrapped. A name that the model has is refused."""

    if not TYPE_CHECKING:  # which know the fields by themselves

        def __new__(cls, **fields: Any) -> Self:
            """Refuse a field that there is not, with the nearest names."""
            _refuse_unknown(cls, fields)
            return super().__new__(cls)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{self.__class__.__name__}({shown})"

    def __rich_repr__(self) -> Iterator[tuple[str, Any]]:
        yield from ((name, value) for name, value in super().__rich_repr__() if name != "extra" or value)


class LineUpdate(WriteModel):
    """A line of a document, or another part that has an `operation`: insert, update or delete.

    Use the class methods: the API adds a line for `Insert`, whatever its number (docs/facts.md 10).

    Examples:
        >>> from vismanet_async._api.models.common.customer_debit_note_line_update import CustomerDebitNoteLineUpdate
        >>> CustomerDebitNoteLineUpdate.insert(description="Test", quantity=2).operation
        'Insert'
    """

    __slots__ = ()

    if TYPE_CHECKING:

        def __init__(self, **fields: Any) -> None: ...

    line_key: ClassVar[str | None] = "line_number"
    """The field that identifies an existing line; None if other fields do, such as a document's number."""

    @classmethod
    def insert(cls, **fields: Any) -> Self:
        """Return a line to add to the document; the server assigns its number."""
        if cls.line_key in fields:
            raise RequestRefused(
                f"{cls.__name__}.insert takes no {cls.line_key}: the server numbers new lines. To change line "
                f"{fields[cls.line_key]}, use {cls.__name__}.update({fields[cls.line_key]}, ...). Nothing was sent."
            )
        return cls(operation="Insert", **fields)

    @classmethod
    def update(cls, line: int | None = None, /, **fields: Any) -> Self:
        """Return a change of the existing line number `line`; only the given fields change."""
        return cls(operation="Update", **cls._named(line, "update"), **fields)

    @classmethod
    def delete(cls, line: int | None = None, /, **fields: Any) -> Self:
        """Return the removal of the existing line number `line`."""
        return cls(operation="Delete", **cls._named(line, "delete"), **fields)

    @classmethod
    def _named(cls, line: int | None, verb: str) -> dict[str, int]:
        if (line is None) != (cls.line_key is None):
            wants = "is named by its fields, not by a number" if line is not None else "needs the number of the line"
            raise RequestRefused(f"{cls.__name__}.{verb} {wants}; nothing was sent.")
        return {} if line is None or cls.line_key is None else {cls.line_key: line}

"""Columns for a list's rows, made from the catalog of the API and never from the data.

The same operation has the same columns in every run, also where the list is empty. Names are the API's own.

=============================  ==============  ====================================================================
in the catalog                 `kind`          in Arrow and Parquet
=============================  ==============  ====================================================================
number                         decimal         decimal128 of 18 or 19 digits: see `vismanet_async._columns.decimals`
integer                        integer         int64
boolean                        boolean         bool
string, date-time              moment          timestamp[us] without a zone: date and time as written
other strings, enums, ids      text            string
object                         record          struct
array                          (`repeated`)    list
a DTO within itself            json            string: the JSON of the value
=============================  ==============  ====================================================================

The moments of the Sales Order service are points in time, so they are text: as written, with their zone.

One more column, `_extra`, holds what the others cannot: see `vismanet_async._columns.coerce`.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs
import msgspec

from vismanet_async._columns.decimals import decimal_type
from vismanet_async._extras import extra
from vismanet_async.errors import RequestRefused

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "EXTRA",
    "VALUE",
    "Column",
    "arrow_schema",
    "column_kinds",
    "columns_of",
    "leaf_columns",
    "leaves",
]

Kind = Literal["text", "integer", "decimal", "boolean", "moment", "json", "record"]

EXTRA: Final = "_extra"
"""The column for values that the others cannot hold; the API's own names begin with a letter."""
VALUE: Final = "value"
"""The name of the only column of a list of plain values."""


_ORDERS: Final = "v3."
"""Before the DTOs of the Sales Order service, some of which have the names of others."""


@attrs.frozen
class Column:
    """One column, or one field of a record."""

    name: str
    kind: Kind
    repeated: bool = False
    fields: tuple[Column, ...] = ()
    """Of a record."""


class _Field(msgspec.Struct, frozen=True):
    type: str
    format: str | None = None
    ref: str | None = None
    items: str | None = None


class _Dto(msgspec.Struct, frozen=True):
    fields: dict[str, _Field]


class _Schemas(msgspec.Struct, frozen=True):
    schemas: dict[str, msgspec.Raw]


class _Response(msgspec.Struct, frozen=True):
    kind: str
    dto: str | None = None
    type: str | None = None


class _Operation(msgspec.Struct, frozen=True):
    id: str
    response: _Response


class _Operations(msgspec.Struct, frozen=True):
    operations: list[_Operation]


@cache
def columns_of(operation_id: str) -> tuple[Column, ...]:
    """Return the columns of a list operation's rows, in the catalog's order.

    Raises:
        RequestRefused: the catalog has no such operation, or does not say what its rows are.

    Examples:
        >>> [column.name for column in columns_of("Branch_GetAllBranches")][:3]
        ['branchId', 'number', 'name']
    """
    response = _responses().get(operation_id)
    if response is not None and response.kind in {"list", "envelope", "paged"}:
        dtos = _dtos()
        if response.dto in dtos:
            return _fields(response.dto, within=(response.dto,))
        if response.type is not None:
            return (Column(VALUE, _kind(_Field(type=response.type))),)
    raise RequestRefused(
        f"the catalog does not say what the rows of {operation_id} are; nothing was sent. Export it as jsonl, or "
        "read it as records: neither needs columns."
    )


def leaf_columns(columns: Sequence[Column], *, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Column]]:
    """Yield all columns that are not records, with their paths; a list is one column, whatever it contains."""
    for column in columns:
        here = (*path, column.name)
        if column.kind == "record" and not column.repeated:
            yield from leaf_columns(column.fields, path=here)
        else:
            yield here, column


def leaves(columns: Sequence[Column]) -> Iterator[tuple[str, ...]]:
    """Yield the paths of all columns that are not records; see `leaf_columns`."""
    return (path for path, _ in leaf_columns(columns))


def column_kinds(columns: tuple[Column, ...], *, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the names and kinds of all columns that are not records, those within lists too; a decimal's with digits.

    Examples:
        >>> dict(column_kinds((Column("id", "integer"), Column("lines", "record", True, (Column("qty", "decimal"),)))))
        {'id': 'integer', 'lines[].qty': 'decimal(19, 6)'}
    """
    for column in columns:
        name = f"{path}{column.name}{'[]' if column.repeated else ''}"
        if column.kind == "record":
            yield from column_kinds(column.fields, path=f"{name}.")
        else:
            yield name, str(decimal_type(column.name)) if column.kind == "decimal" else column.kind


def arrow_schema(columns: tuple[Column, ...], *, moments_as_text: bool = False) -> Any:
    """Return the `pyarrow.Schema` of the columns and `_extra`.

    Args:
        columns: of the rows.
        moments_as_text: for reading; Arrow's JSON reader would shift a time with an offset and forget the offset.

    Raises:
        RequestRefused: pyarrow is not installed.
    """
    pyarrow = extra("pyarrow", "parquet")
    types = {
        "text": pyarrow.string(),
        "json": pyarrow.string(),
        "integer": pyarrow.int64(),
        "boolean": pyarrow.bool_(),
        "moment": pyarrow.string() if moments_as_text else pyarrow.timestamp("us"),
    }

    def one_of(column: Column) -> Any:
        if column.kind == "record":
            return pyarrow.struct([*map(field, column.fields)])
        if column.kind == "decimal":
            exact = decimal_type(column.name)
            return pyarrow.decimal128(exact.digits, exact.scale)
        return types[column.kind]

    def field(column: Column) -> Any:
        one = one_of(column)
        return pyarrow.field(column.name, pyarrow.list_(one) if column.repeated else one)

    return pyarrow.schema([*map(field, columns), pyarrow.field(EXTRA, pyarrow.string())])


def _fields(dto: str, *, within: tuple[str, ...]) -> tuple[Column, ...]:
    return tuple(_column(name, field, within=within) for name, field in _dto(dto).fields.items())


def _column(name: str, field: _Field, *, within: tuple[str, ...]) -> Column:
    repeated = field.type == "array"
    inner = field.items if repeated else field.ref
    if inner is None:
        # the catalog has no type for the elements of such arrays; their names suggest text
        return Column(name, "text" if repeated else _kind(field), repeated)
    # a type that contains itself is cut off, as files cannot nest without end; Parquet has no record without fields
    if inner in within or inner not in _dtos() or not _dto(inner).fields:
        return Column(name, "json")
    return Column(name, "record", repeated, _fields(inner, within=(*within, inner)))


def _kind(field: _Field) -> Kind:
    match field:
        case _Field(type="number"):
            return "decimal"
        case _Field(type="integer"):
            return "integer"
        case _Field(type="boolean"):
            return "boolean"
        case _Field(type="string", format="date-time"):
            return "moment"
        case _Field(type="string"):
            return "text"
        case _:
            return "json"


@cache
def _dto(name: str) -> _Dto:
    found = msgspec.json.decode(_dtos()[name], type=_Dto)  # a few of many hundreds are needed
    return _Dto({key: _of_orders(field) for key, field in found.fields.items()}) if name.startswith(_ORDERS) else found


def _of_orders(field: _Field) -> _Field:
    ref, items = (name and f"{_ORDERS}{name}" for name in (field.ref, field.items))
    return _Field(type=field.type, ref=ref, items=items)  # without a format: see above


@cache
def _dtos() -> dict[str, msgspec.Raw]:
    orders = msgspec.json.decode(_catalog("sales_order.json"), type=_Schemas).schemas
    known = msgspec.json.decode(_catalog("schemas.json"), type=_Schemas).schemas
    return known | {f"{_ORDERS}{name}": one for name, one in orders.items()}


@cache
def _responses() -> dict[str, _Response]:
    found = msgspec.json.decode(_catalog("operations.json"), type=_Operations).operations
    orders = msgspec.json.decode(_catalog("sales_order.json"), type=_Operations).operations
    return {one.id: one.response for one in found} | {
        one.id: msgspec.structs.replace(one.response, dto=f"{_ORDERS}{one.response.dto}") for one in orders
    }


def _catalog(name: str) -> bytes:
    return (resources.files("vismanet_async._api") / "catalog" / name).read_bytes()

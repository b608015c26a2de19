"""The cells of rows in CSV, row by row: the reference for `csv_columns.py`, and for the rows that it leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
from msgspec import UNSET, Raw

from vismanet_async._columns.coerce import encode_json
from vismanet_async._columns.schema import leaves

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vismanet_async._columns.schema import Column
    from vismanet_async._export.sinks.formulas import Formulas

    Append = Callable[[Any, list[str]], Any]
    """Appends the cells of a value, and returns what has no column (UNSET: nothing)."""

__all__ = ["CellStyle", "row_cells", "tells_key"]


@attrs.frozen(kw_only=True)
class CellStyle:
    """How values become cells."""

    formulas: Formulas | None = None
    """None: formulas stay as they are."""
    within: bool = False
    """Whether formulas within texts are looked for, and those within JSON."""
    decimal_comma: bool = False

    text: Callable[[str], str] = attrs.field(init=False)
    """Returns the cell of a text."""

    @text.default
    def _text(self) -> Callable[[str], str]:
        if self.formulas is None:
            return str
        return self.formulas.neutral_within if self.within else self.formulas.neutral

    def number(self, text: str) -> str:
        """Return the cell of a number."""
        return text.replace(".", ",") if self.decimal_comma else text

    def json(self, text: str) -> str:
        """Return the cell of JSON."""
        return self.formulas.neutral_json(text) if self.within and self.formulas is not None else text

    def cell(self, value: Any) -> str:
        """Return the cell of a value that `decode_row` has read."""
        if type(value) is str:
            return self.text(value)
        if value is None:
            return ""
        if type(value) is Raw:
            return self.number(bytes(value).decode())
        return self.json(encode_json(value).decode())


def row_cells(
    columns: Sequence[Column], style: CellStyle, *, identity: Sequence[str] = ()
) -> Callable[[Any], list[str]]:
    """Return a function that returns the cells of a row that `decode_row` has read; the last is that of `_extra`."""
    append = _record(columns, style)
    places = list(leaves(columns))
    kinds = {column.name: column.kind for column in columns}
    keys = [(name, kinds[name], places.index((name,))) for name in identity if name in kinds]

    def cells_of(row: Any) -> list[str]:
        cells: list[str] = []
        remainder = append(row, cells)
        for name, kind, at in keys:
            if type(row) is dict and not tells_key(row.get(name), cells[at], kind):
                remainder = {} if remainder is UNSET else remainder
                remainder[name] = row[name]
        cells.append("" if remainder is UNSET else style.json(encode_json(remainder).decode()))
        return cells

    return cells_of


def tells_key(value: Any, cell: str, kind: str) -> bool:
    """Return whether a cell tells the value of a part of a key; an empty one tells null.

    Examples:
        >>> tells_key("a", "a", "text"), tells_key(7, "7", "integer"), tells_key(None, "", "text")
        (True, True, True)
        >>> tells_key("=1", "'=1", "text"), tells_key("7", "7", "integer"), tells_key("", "", "text")
        (False, False, False)
    """
    if value is None:
        return True
    return type(value) is int if kind == "integer" else type(value) is str and value == cell != ""


def _record(columns: Sequence[Column], style: CellStyle) -> Append:
    known = frozenset(column.name for column in columns)
    width = sum(1 for _ in leaves(columns))
    text, cell = style.text, style.cell

    def scalar(value: Any, cells: list[str]) -> Any:
        # function calls dominate: most values are null or text
        cells.append("" if value is None else text(value) if type(value) is str else cell(value))
        return UNSET

    inner = [
        (column.name, _record(column.fields, style) if column.kind == "record" and not column.repeated else scalar)
        for column in columns
    ]

    def append(value: Any, cells: list[str]) -> Any:
        if type(value) is not dict:
            cells.extend([""] * width)
            return UNSET if value is None else value
        remainder = {} if value.keys() <= known else {name: value[name] for name in value if name not in known}
        for name, append_inner in inner:
            rest = append_inner(value.get(name), cells)
            if rest is not UNSET:
                remainder[name] = rest
        return remainder or UNSET

    return append

"""Reads rows as flat tuples: the values of all columns that are not records, those within records too.

msgspec reads a row into structs several times as fast as into dicts, and leaves out the names. A row that does not have
the shape that the catalog describes is refused; read it with `decode_row`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Raw

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vismanet_async._columns.schema import Column

    Flatten = Callable[[Any], tuple[Any, ...]]

__all__ = ["FlatReader", "holds_text"]

_TEXTS: Final = frozenset({"text", "moment"})


def holds_text(column: Column) -> bool:
    """Return whether a flat value of the column is always a text or null."""
    return column.kind in _TEXTS and not column.repeated


class FlatReader:
    """Reads rows with some columns. Thread-safe: it has no mutable state.

    Args:
        columns: of the rows; the values come in the order of `leaves(columns)`.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        code = _Code()
        decoder = msgspec.json.Decoder(code.struct(columns, "row"), float_hook=Raw)
        self._decode = decoder.decode
        self._flatten = code.function()

    def read(self, rows: Sequence[bytes | Raw]) -> list[tuple[Any, ...]]:
        """Return the values of rows, as `decode_row` reads them, up to the first row that is odd.

        A missing text is "", another missing value None. A row is odd that has another key, no text where its column is
        one, or no record where it is one; so is what is no JSON.
        """
        decode, flatten = self._decode, self._flatten
        values: list[tuple[Any, ...]] = []
        try:
            for row in rows:
                values.append(flatten(decode(row)))  # noqa: PERF401 - they are kept when a row is odd
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
        return values


class _Code:
    """Writes the function that flattens a struct: Python reads attributes in code faster than `attrgetter` does."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._values: list[str] = []
        self._empty: dict[str, Any] = {}

    def struct(self, columns: Sequence[Column], variable: str) -> type[msgspec.Struct]:
        """Return the type of records with some columns, and add the code that takes one apart.

        Args:
            columns: of the records.
            variable: what the code calls such a record; no name of the API becomes code.
        """
        fields = []
        for index, column in enumerate(columns):
            name = f"f{index}"
            kind: Any = Any
            default: Any = None
            if column.kind == "record" and not column.repeated:
                inner = f"{variable}_{index}"
                self._lines.append(f"{inner} = {variable}.{name} or empty_{inner}")
                struct = self.struct(column.fields, inner)
                self._empty[f"empty_{inner}"] = struct()
                kind = struct | None
            else:
                self._values.append(f"{variable}.{name}")
                if holds_text(column):
                    kind, default = str | None, ""
            fields.append((name, kind, msgspec.field(default=default, name=column.name)))
        return msgspec.defstruct(variable, fields, forbid_unknown_fields=True, gc=False)

    def function(self) -> Flatten:
        """Return the function."""
        code = "\n    ".join(["def flatten(row):", *self._lines, f"return ({', '.join(self._values)},)"])
        scope = dict(self._empty)
        exec(code, scope)  # noqa: S102 - it holds numbered names alone
        flatten: Flatten = scope["flatten"]
        return flatten

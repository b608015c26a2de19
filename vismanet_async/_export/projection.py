"""Which of an operation's columns its rows have: Arrow reads those alone almost twice as fast as all the catalog's.

A column that no row has is null in every row, whether it is read or filled in. Arrow refuses a row with a key that it
was not told of, so none is overlooked: what the first rows lack is learnt when it comes up.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any

import attrs
import msgspec

from vismanet_async._export.coerce import decode_row
from vismanet_async._export.schema import arrow_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from vismanet_async._export.schema import Column
    from vismanet_async._paging.row_scanner import RawRow

__all__ = ["ObservedColumns"]

_SAMPLE_ROWS = 64
"""Of the first rows: enough for the keys that most rows have, and decoded in a few milliseconds."""


class ObservedColumns:
    """The columns that some row had so far; only ever grows. Any thread may call it."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._all = _Fields(columns)
        self._lock = Lock()
        self._schema: Any = None

    def schema(self, rows: Callable[[], Sequence[RawRow]]) -> Any:
        """Give the schema to read rows with; asks for them to look at some of them if none were seen yet."""
        if self._schema is None:
            first = rows()
            self.learn(first[:: max(len(first) // _SAMPLE_ROWS, 1)])
        return self._schema

    def learn(self, rows: Iterable[RawRow]) -> Any:
        """Look at rows, and give the schema that has their columns too; rows that cannot be read have none."""
        with self._lock:
            for row in rows:
                try:
                    self._all.observe(decode_row(row))
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                    continue
            self._schema = arrow_schema(self._all.observed(), moments_as_text=True)
            return self._schema


class _Fields:
    """What was seen of some columns and of the fields of those that are records."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = columns
        self._inner = {column.name: _Fields(column.fields) for column in columns}
        self._observed: set[str] = set()

    def observe(self, value: Any) -> None:
        """Take in a record, or a list of them; other values have no fields."""
        for record in value if isinstance(value, list) else (value,):
            if isinstance(record, dict):
                for name in record.keys() & self._inner.keys():
                    self._observed.add(name)
                    self._inner[name].observe(record[name])

    def observed(self) -> tuple[Column, ...]:
        """Give the columns that were there; a record of which no field was ever there keeps them all."""
        return tuple(
            attrs.evolve(column, fields=self._inner[column.name].observed() or column.fields)
            for column in self._columns
            if column.name in self._observed
        )

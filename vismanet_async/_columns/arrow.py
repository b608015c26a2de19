"""Reads rows into Arrow tables: nested records and lists, exact decimals, columns from the catalog.

Arrow's JSON reader works outside the interpreter lock. It never rounds: what it cannot read as it stands, it refuses,
and then the rows of that batch are made to fit one by one (`coerce.py`). So are those with an amount in quotes: Arrow
reads more in them ("1e3", "+5") than the rest of the SDK does (`_decimals.py`).
"""

from __future__ import annotations

import re
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

import attrs

from vismanet_async._columns.coerce import RowCoercer, nothing_was_published
from vismanet_async._columns.projection import ObservedColumns
from vismanet_async._columns.schema import arrow_schema
from vismanet_async._extras import extra

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from vismanet_async._columns.schema import Column
    from vismanet_async._columns.tally import Tally

__all__ = ["BATCH_BYTES", "ArrowReader", "Batch"]

BATCH_BYTES: Final = 4 * 1024 * 1024
"""Parsed in one call: smaller batches cost time per column, larger ones begin later and take more memory."""
_NULL_BYTES: Final = len("null")


@attrs.define
class Batch:
    """Rows to parse in one call, one per line."""

    first_row: int
    """The number of the first of them."""
    lines: bytearray = attrs.field(factory=bytearray)
    rows: int = 0
    as_sent: bool = True
    """Whether Arrow may read the rows before they are coerced."""

    def add(self, lines: memoryview | bytes, lengths: Sequence[int]) -> None:
        """Add rows.

        Args:
            lines: one row in each.
            lengths: of the rows, in bytes.
        """
        self.lines += lines
        self.rows += len(lengths)
        # Arrow's reader crashes on rows that are null
        self.as_sent &= _NULL_BYTES not in lengths

    def each(self) -> list[bytes]:
        """Return the rows."""
        return bytes(self.lines).split(b"\n")[:-1]


class ArrowReader:
    """Parses rows into Arrow tables. Thread-safe.

    Args:
        columns: of the rows.
        operation_id: for errors.
        unreadable: makes the error about a row that is no JSON of its text; by default that of an export.

    Raises:
        RequestRefused: pyarrow is not installed.
    """

    def __init__(
        self,
        columns: tuple[Column, ...],
        *,
        operation_id: str,
        unreadable: Callable[[str], Exception] = nothing_was_published,
    ) -> None:
        self._pyarrow = extra("pyarrow", "arrow")
        self._json = extra("pyarrow.json", "arrow")
        self._compute = extra("pyarrow.compute", "arrow")
        self.schema = arrow_schema(columns)
        self._row_type = self._pyarrow.struct(list(self.schema))
        self._whole_schema = arrow_schema(columns, moments_as_text=True)
        self._observed = ObservedColumns(columns)
        self._coercer = RowCoercer(columns, operation_id=operation_id, unreadable=unreadable)
        self._unreadable = unreadable
        self._operation_id = operation_id
        self._nulls = _Nulls(self._pyarrow)
        self._needs_coercion = any(_holds_json(column) for column in columns)
        names = "|".join(sorted({re.escape(name) for name in _decimals_in(columns)}))
        self._quoted = rf'"(?:{names})"\s*:\s*"' if names else None

    def table(self, batch: Batch, unfit: Tally | None = None) -> Any:
        """Return the rows of a batch as an exact table.

        Args:
            batch: of rows.
            unfit: counts, by column, the values that their columns could not hold.

        Raises:
            ExportError: a row is no JSON (or what `unreadable` makes of that).
        """
        return self._table(self.structs(batch, unfit))

    def joined(self, batches: Iterable[Any]) -> Iterator[Any]:
        """Yield tables of the rows of several batches, each of as many as have the same keys.

        The rows are copied into memory of their own: what they were read into is full of holes.

        Args:
            batches: what `structs` returned.
        """
        pool = self._pyarrow.system_memory_pool()
        for _, alike in groupby(batches, key=attrgetter("type")):
            yield self._table(self._pyarrow.concat_arrays([*alike], memory_pool=pool))

    def structs(self, batch: Batch, unfit: Tally | None = None) -> Any:
        """Return the rows of a batch as structs without the fields that no row has; see `table`."""
        as_sent = batch.as_sent and not self._needs_coercion and not self._quotes_numbers(batch)
        if as_sent and (found := self._read_as_sent(batch)) is not None:
            return found
        try:
            coerced = self._coercer.lines(batch.each(), first_row=batch.first_row, unfit=unfit)
            return self._read(coerced, batch.rows, self._whole_schema)
        except self._pyarrow.ArrowInvalid as error:
            raise self._unreadable(
                f"{self._operation_id}: a row from {batch.first_row:,} to {batch.first_row + batch.rows - 1:,} (0 is "
                f"the first) cannot be read: {error}"
            ) from error

    def _quotes_numbers(self, batch: Batch) -> bool:
        """Return whether a text stands where a decimal should; found by Arrow, outside the interpreter lock."""
        if self._quoted is None:
            return False
        lines = self._pyarrow.scalar(bytes(batch.lines))
        found: bool = self._compute.match_substring_regex(lines, self._quoted).as_py()
        return found

    def _read_as_sent(self, batch: Batch) -> Any | None:
        """Return the rows of a batch; None if a value is not as the catalog says."""
        schema = self._observed.schema(batch.each)
        while True:
            try:
                return self._read(batch.lines, batch.rows, schema)
            except self._pyarrow.ArrowInvalid:
                before, schema = schema, self._observed.learn(batch.each())
                if schema == before:
                    return None

    def _read(self, lines: bytes | bytearray, rows: int, schema: Any) -> Any:
        """Return lines as structs, parsed with the columns of a schema."""
        read = self._json.read_json(
            self._pyarrow.BufferReader(lines),
            read_options=self._json.ReadOptions(use_threads=False, block_size=len(lines) + 1),
            parse_options=self._json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error"),
        )
        if read.num_rows != rows:
            raise self._unreadable(f"{self._operation_id}: {rows} rows were read as {read.num_rows}")
        # as one column: after each call into Arrow the thread may wait for the interpreter lock
        chunks = read.to_struct_array()
        cast = chunks.cast(_only_fields_of(chunks.type, self._row_type, self._pyarrow))
        structs = cast.chunk(0) if cast.num_chunks == 1 else cast.combine_chunks()
        structs.validate(full=True)  # the reader accepts decimals of 39 digits
        return structs

    def _table(self, structs: Any) -> Any:
        return self._pyarrow.Table.from_struct_array(self._nulls.complete(structs, self._row_type))


class _Nulls:
    """Columns that no row has, in memory that all tables share: half of the columns of most lists. Thread-safe."""

    def __init__(self, pyarrow: Any) -> None:
        self._pyarrow = pyarrow
        self._longest: dict[Any, Any] = {}

    def complete(self, array: Any, wanted: Any) -> Any:
        """Return an array of structs with all fields of a type; it has some of them, those in lists complete."""
        fields = []
        for field in wanted:
            if array.type.get_field_index(field.name) < 0:
                fields.append(self._array(field.type, len(array)))
                continue
            there = array.field(field.name)
            fields.append(self.complete(there, field.type) if self._pyarrow.types.is_struct(field.type) else there)
        mask = array.is_null() if array.null_count else None
        return self._pyarrow.StructArray.from_arrays(fields, fields=list(wanted), mask=mask)

    def _array(self, kind: Any, length: int) -> Any:
        longest = self._longest.get(kind)
        if longest is None or len(longest) < length:
            longest = self._longest[kind] = self._pyarrow.nulls(length, kind)
        return longest.slice(0, length)


def _only_fields_of(there: Any, wanted: Any, pyarrow: Any) -> Any:
    """Return a type of structs with the fields of another one that are there."""
    fields = []
    for field in there:
        kind = wanted.field(field.name).type
        inner = _only_fields_of(field.type, kind, pyarrow) if pyarrow.types.is_struct(kind) else kind
        fields.append(pyarrow.field(field.name, inner))
    return pyarrow.struct(fields)


def _holds_json(column: Column) -> bool:
    """Return whether the column, or a field in it, holds JSON text, for which Arrow would take any text."""
    return column.kind == "json" or any(map(_holds_json, column.fields))


def _decimals_in(columns: Iterable[Column]) -> Iterator[str]:
    """Yield the names of the decimal columns, and of such fields in others."""
    for column in columns:
        if column.kind == "decimal":
            yield column.name
        yield from _decimals_in(column.fields)

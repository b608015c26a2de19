"""Parquet with real types: nested records and lists, exact decimals, columns from the catalog.

Arrow's JSON reader parses the pages beside each other, outside the interpreter lock. It never rounds: what it cannot
read as it stands, it refuses, and then the rows of that page are made to fit one by one (`coerce.py`).
"""

from __future__ import annotations

import io
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from vismanet_async._export.coerce import RowCoercer
from vismanet_async._export.extras import extra
from vismanet_async._export.files import writing
from vismanet_async._export.formats.parquet import ParquetOptions
from vismanet_async._export.projection import ObservedColumns
from vismanet_async._export.schema import arrow_schema
from vismanet_async._export.sinks.jsonl import json_lines
from vismanet_async._export.sinks.parts import DEFAULT_PART_BYTES, OpenPart, PartSink
from vismanet_async._paging.row_scanner import lengths
from vismanet_async.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from vismanet_async._export.schema import Column
    from vismanet_async._export.sinks import Page
    from vismanet_async._export.target.manifest import Part

__all__ = ["ParquetSink"]

_BATCH_BYTES: Final = 4 * 1024 * 1024
"""Parsed in one call: smaller batches cost time per column, larger ones begin later and take more memory."""
_THREADS: Final = 2
"""They parse batches, in some 60 ms each, and write row groups; more threads would slow the event loop down."""
_BATCHES_AHEAD: Final = 3
"""Batches that are not parsed yet; with more, `write` waits."""
_NULL_BYTES: Final = len("null")
_BUFFER_BYTES: Final = 1024 * 1024


class ParquetSink(PartSink["_ParquetPart"]):
    """Write `directory/part-NNNNN.parquet`. Row groups begin and end with a page, parts with a row group.

    Memory: two row groups of Arrow data and the pages being parsed. Runs threads of its own from the first pages until
    `finish` or `close`, which may wait for them some 100 ms.

    Args:
        directory: where the parts go.
        columns: of the rows (`vismanet_async._export.schema.columns_of`).
        operation_id: for errors.
        part_bytes: a part is closed by the row group that brings it here.
        options: how it is written.

    Raises:
        RequestRefused: pyarrow is not installed.
        ExportError: from `write` and `finish`: a number does not fit its column.
    """

    extension: ClassVar[str] = "parquet"

    def __init__(
        self,
        directory: Path,
        *,
        columns: Sequence[Column],
        operation_id: str,
        part_bytes: int = DEFAULT_PART_BYTES,
        options: ParquetOptions | None = None,
    ) -> None:
        super().__init__(directory, part_bytes=part_bytes)
        self._options = options or ParquetOptions()
        self._row_group_bytes = self._options.row_group_bytes
        self._reader = _Reader(tuple(columns), operation_id=operation_id)
        self._parquet = extra("pyarrow.parquet", "parquet")
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="parquet")
        self._parsing: deque[Future[Any]] = deque()
        self._batch = _Batch(0)
        self._group: list[Future[Any]] = []
        self._group_bytes = 0
        self._written: Future[None] | None = None

    def write(self, page: Page, /) -> None:
        """Queue the rows of a page; its errors may be raised by a later call. Rows cannot be read back from here."""
        if not page.rows:
            return
        with writing(self._directory):
            lines = json_lines(page)
            self._batch.lines += lines
            self._batch.rows += len(page.rows)
            # Arrow's reader crashes on rows that are null
            self._batch.as_sent &= _NULL_BYTES not in lengths(page.rows)
            self._rows += len(page.rows)
            is_first = self._batch.first_row == 0  # parsed at once, since nothing else is to be done yet
            is_full = self._group_bytes + len(self._batch.lines) >= self._row_group_bytes
            if is_first or is_full or len(self._batch.lines) >= _BATCH_BYTES:
                self._close_batch()
            if is_full:
                self._close_group()

    def close(self) -> None:
        """Stop the threads and close the part being written, which is incomplete."""
        self._pool.shutdown(cancel_futures=True)
        super().close()

    def _flush(self) -> None:
        if self._batch.rows:
            self._close_batch()
        if self._group:
            self._close_group()
        self._wait_for_writing()
        self._pool.shutdown()

    def _close_batch(self) -> None:
        while len(self._parsing) >= _BATCHES_AHEAD:
            self._parsing.popleft().result()
        table = self._pool.submit(self._reader.table, self._batch)
        self._parsing.append(table)
        self._group.append(table)
        self._group_bytes += len(self._batch.lines)
        self._batch = _Batch(self._rows)

    def _close_group(self) -> None:
        self._wait_for_writing()
        self._written = self._pool.submit(self._write_group, self._group)
        self._group, self._group_bytes = [], 0

    def _wait_for_writing(self) -> None:
        written, self._written = self._written, None
        if written is not None:
            written.result()

    def _write_group(self, tables: list[Future[Any]]) -> None:
        self._part().add([table.result() for table in tables])
        self._complete(from_bytes=self._part_bytes)

    def _begin(self, path: Path) -> _ParquetPart:
        return _ParquetPart(path, schema=self._reader.schema, options=self._options)

    def _copy(self, path: Path, part: _ParquetPart, *, without: set[int]) -> None:
        pyarrow = extra("pyarrow", "parquet")
        with self._parquet.ParquetFile(path) as file:
            first = 0
            for index in range(file.num_row_groups):
                table = file.read_row_group(index, use_threads=False).cast(self._reader.schema)
                kept = pyarrow.array(number not in without for number in range(first, first + table.num_rows))
                part.add([table.filter(kept)])
                first += table.num_rows


@attrs.define
class _Batch:
    """Rows to parse in one call, one per line."""

    first_row: int
    """The number of the first of them."""
    lines: bytearray = attrs.field(factory=bytearray)
    rows: int = 0
    as_sent: bool = True
    """Whether Arrow may read the rows before they are coerced."""

    def each(self) -> list[bytes]:
        """Return the rows."""
        return bytes(self.lines).split(b"\n")[:-1]


class _Reader:
    """Parses rows into Arrow tables. Thread-safe."""

    def __init__(self, columns: tuple[Column, ...], *, operation_id: str) -> None:
        self._pyarrow = extra("pyarrow", "parquet")
        self._json = extra("pyarrow.json", "parquet")
        self.schema = arrow_schema(columns)
        self._row_type = self._pyarrow.struct(list(self.schema))
        self._whole_schema = arrow_schema(columns, moments_as_text=True)
        self._observed = ObservedColumns(columns)
        self._coercer = RowCoercer(columns, operation_id=operation_id)
        self._operation_id = operation_id
        self._needs_coercion = any(_holds_json(column) for column in columns)

    def table(self, batch: _Batch) -> Any:
        """Return the rows of a batch as an exact table.

        Raises:
            ExportError: a number does not fit its column.
        """
        if batch.as_sent and not self._needs_coercion and (table := self._read_as_sent(batch)) is not None:
            return table
        try:
            coerced = self._coercer.lines(batch.each(), first_row=batch.first_row)
            return self._read(coerced, batch.rows, self._whole_schema)
        except self._pyarrow.ArrowInvalid as error:
            raise ExportError(
                f"{self._operation_id}: a row from {batch.first_row:,} to {batch.first_row + batch.rows - 1:,} (0 is "
                f"the first) cannot be read: {error}. Nothing was published. Export it as jsonl, which does not read "
                "the rows."
            ) from error

    def _read_as_sent(self, batch: _Batch) -> Any | None:
        """Return the rows of a batch as a table; None if a value is not as the catalog says."""
        schema = self._observed.schema(batch.each)
        while True:
            try:
                return self._read(batch.lines, batch.rows, schema)
            except self._pyarrow.ArrowInvalid:
                before, schema = schema, self._observed.learn(batch.each())
                if schema == before:
                    return None

    def _read(self, lines: bytes | bytearray, rows: int, schema: Any) -> Any:
        """Return a table of lines, parsed with the columns of a schema; the other columns are null."""
        read = self._json.read_json(
            self._pyarrow.BufferReader(lines),
            read_options=self._json.ReadOptions(use_threads=False, block_size=len(lines) + 1),
            parse_options=self._json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error"),
        )
        if read.num_rows != rows:
            raise ExportError(f"{self._operation_id}: {rows} rows were read as {read.num_rows}. Nothing was published.")
        # as one column: after each call into Arrow the thread may wait for the interpreter lock
        table = self._pyarrow.Table.from_struct_array(read.to_struct_array().cast(self._row_type))
        table.validate(full=True)  # the reader accepts decimals of 39 digits
        return table


class _ParquetPart(OpenPart):
    def __init__(self, path: Path, *, schema: Any, options: ParquetOptions) -> None:
        super().__init__(path)
        self._pyarrow = extra("pyarrow", "parquet")
        self._handle = _Handle(self._put)
        # unbuffered, Arrow would write a few bytes per column and wait for the interpreter lock each time
        self._stream = self._pyarrow.BufferedOutputStream(self._pyarrow.PythonFile(self._handle, "w"), _BUFFER_BYTES)
        try:
            parquet = extra("pyarrow.parquet", "parquet")
            self._writer = parquet.ParquetWriter(self._stream, schema, **options.writer_options)
        except BaseException:
            super().close()
            raise

    def add(self, tables: Sequence[Any]) -> None:
        """Write tables as one row group."""
        table = self._pyarrow.concat_tables(tables)
        if table.num_rows:
            self._writer.write_table(table, row_group_size=table.num_rows)
            self._stream.flush()  # parts are closed by their bytes
            self.rows += table.num_rows

    def complete(self) -> Part:
        self._writer.close()
        self._stream.flush()
        self._handle.put = None
        return super().complete()

    def close(self) -> None:
        self._handle.put = None
        self._writer.close()  # an open writer would write again when it is garbage-collected
        super().close()


class _Handle(io.RawIOBase):
    """The file object that Arrow writes to. Without `put` it discards everything.

    Arrow refers to it where the garbage collector cannot see: a part that it still refers to is never freed.
    """

    def __init__(self, put: Callable[[memoryview], None]) -> None:
        super().__init__()
        self.put: Callable[[memoryview], None] | None = put

    def writable(self) -> bool:
        return True

    def write(self, content: Any, /) -> int:
        view = memoryview(content)
        if self.put is not None:
            self.put(view)
        return len(view)


def _holds_json(column: Column) -> bool:
    """Return whether the column, or a field in it, holds JSON text, for which Arrow would take any text."""
    return column.kind == "json" or any(map(_holds_json, column.fields))

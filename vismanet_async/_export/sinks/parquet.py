"""Parquet with real types: nested records and lists, exact decimals, columns from the catalog.

Batches of pages are parsed beside each other (`vismanet_async._columns.arrow`), and written as row groups.
"""

from __future__ import annotations

import io
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ClassVar, Final

from vismanet_async._columns.arrow import BATCH_BYTES, ArrowReader, Batch
from vismanet_async._export.files import writing
from vismanet_async._export.formats.parquet import ParquetOptions
from vismanet_async._export.sinks.jsonl import json_lines
from vismanet_async._export.sinks.parts import DEFAULT_PART_BYTES, OpenPart, PartSink
from vismanet_async._extras import extra
from vismanet_async._paging.row_scanner import lengths

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from vismanet_async._columns.schema import Column
    from vismanet_async._export.sinks import Page
    from vismanet_async._export.target.manifest import Part

__all__ = ["ParquetSink"]

_THREADS: Final = 2
"""They parse batches, in some 60 ms each, and write row groups; more threads would slow the event loop down."""
_BATCHES_AHEAD: Final = 3
"""Batches that are not parsed yet; with more, `write` waits."""
_BUFFER_BYTES: Final = 1024 * 1024


class ParquetSink(PartSink["_ParquetPart"]):
    """Write `directory/part-NNNNN.parquet`. Row groups begin and end with a page, parts with a row group.

    Memory: two row groups of Arrow data and the pages being parsed. Runs threads of its own from the first pages until
    `finish` or `close`, which may wait for them some 100 ms.

    Args:
        directory: where the parts go.
        columns: of the rows (`vismanet_async._columns.schema.columns_of`).
        operation_id: for errors.
        part_bytes: a part is closed by the row group that brings it here.
        options: how it is written.

    Raises:
        RequestRefused: pyarrow is not installed.
        ExportError: from `write` and `finish`: a row is no JSON.
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
        self._reader = ArrowReader(tuple(columns), operation_id=operation_id)
        self._parquet = extra("pyarrow.parquet", "parquet")
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="parquet")
        self._parsing: deque[Future[Any]] = deque()
        self._batch = Batch(0)
        self._group: list[Future[Any]] = []
        self._group_bytes = 0
        self._written: Future[None] | None = None

    def write(self, page: Page, /) -> None:
        """Queue the rows of a page; its errors may be raised by a later call. Rows cannot be read back from here."""
        if not page.rows:
            return
        with writing(self._directory):
            self._batch.add(json_lines(page), lengths(page.rows))
            self._rows += len(page.rows)
            is_first = self._batch.first_row == 0  # parsed at once, since nothing else is to be done yet
            is_full = self._group_bytes + len(self._batch.lines) >= self._row_group_bytes
            if is_first or is_full or len(self._batch.lines) >= BATCH_BYTES:
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
        table = self._pool.submit(self._reader.table, self._batch, self._notes.unfit)
        self._parsing.append(table)
        self._group.append(table)
        self._group_bytes += len(self._batch.lines)
        self._batch = Batch(self._rows)

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

"""Writes the latest rows of a resource as parts of the export's own format. The same rows give the same bytes."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections import OrderedDict
from contextlib import ExitStack, closing
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs
import msgspec

from vismanet_async._export.files import sync_directory, writing
from vismanet_async._export.formats.parquet import ParquetOptions
from vismanet_async._export.sinks.opening import open_sink
from vismanet_async._export.sinks.parts import OpenPart, PartSink
from vismanet_async._export.stored_rows import csv_columns, csv_options
from vismanet_async._export.target.locations import RemotePath
from vismanet_async._export.target.manifest import Part
from vismanet_async._extras import extra

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from vismanet_async._export.sinks import Page
    from vismanet_async._export.stored_rows import Batch, RowReader
    from vismanet_async._export.target.manifest import ResourceEntry

__all__ = ["parquet_places", "write_parts"]

_ROWS_AT_ONCE: Final = 100
"""A part can end after each so many."""
_PARQUET_ROWS: Final = 20_000
"""Of a row group, and so of what is in memory at once."""
_MOST_OPEN: Final = 16
_COMPRESSIONS: Final = {"ZSTD": "zstd", "SNAPPY": "snappy", "GZIP": "gzip", "LZ4": "lz4", "UNCOMPRESSED": "none"}
_CHUNK_BYTES: Final = 1 << 20
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_METADATA: Final = "metadata"


@attrs.frozen
class _Rows:
    rows: Sequence[bytes]
    body: None = None


def write_parts(reader: RowReader, rows: Iterator[bytes], directory: Path, *, part_bytes: int) -> tuple[Part, ...]:
    """Write the contents of rows, in the order given, and return the parts; at least one, which may be empty. Blocks.

    Args:
        reader: of the resource that the rows are of.
        rows: contents as the reader gives them; for Parquet, as `parquet_places` gives them.
        directory: where the parts go.
        part_bytes: what brings a part to this size closes it.

    Raises:
        TargetNotWritable: they cannot be written.
    """
    if reader.entry.format == "parquet":
        return _write_parquet(reader, rows, directory, part_bytes=part_bytes)
    sink: Any
    if reader.entry.format == "csv":
        sink = _CsvParts(reader.entry, directory, part_bytes=part_bytes)
    else:
        sink = open_sink(reader.entry.format, directory, operation_id="", part_bytes=part_bytes)
    try:
        while some := list(islice(rows, _ROWS_AT_ONCE)):
            sink.write(_Rows(some))
        parts: tuple[Part, ...] = sink.finish()
    finally:
        sink.close()
    return parts


class _CsvParts(PartSink[OpenPart]):
    """Write records whose cells are known."""

    extension: ClassVar[str] = "csv"

    def __init__(self, entry: ResourceEntry, directory: Path, *, part_bytes: int) -> None:
        super().__init__(directory, part_bytes=part_bytes)
        self._options = csv_options(entry)
        self._columns = csv_columns(entry)

    def write(self, page: Page, /) -> None:
        with writing(self._directory):
            content = self._text(msgspec.json.decode(row) for row in page.rows)
            self._part().write(content, rows=len(page.rows))
            self._complete(from_bytes=self._part_bytes)

    def _begin(self, path: Path) -> OpenPart:
        part = OpenPart(path)
        if self._options.byte_order_mark:
            part.write(_BYTE_ORDER_MARK, rows=0)
        if self._options.header:
            part.write(self._text([self._columns]), rows=0)
        return part

    def _copy(self, path: Path, part: OpenPart, *, without: set[int]) -> None:
        raise NotImplementedError  # nothing is dropped

    def _text(self, records: Any) -> bytes:
        text = io.StringIO(newline="")
        csv.writer(text, delimiter=self._options.delimiter).writerows(records)
        return text.getvalue().encode()


def parquet_places(reader: RowReader, part: Part) -> Iterator[Batch]:
    """Yield the keys of a part's rows, and as their contents where they are: `0 17` is row 17 of the first part."""
    number = [one.file for one in reader.entry.parts].index(part.file)
    row = 0
    for keys in reader.keys(part):
        yield keys, [b"%d %d" % (number, at) for at in range(row, row + len(keys))]
        row += len(keys)


def _write_parquet(reader: RowReader, rows: Iterator[bytes], directory: Path, *, part_bytes: int) -> tuple[Part, ...]:
    pyarrow, parquet = extra("pyarrow", "parquet"), extra("pyarrow.parquet", "parquet")
    done: list[Part] = []
    with closing(_ParquetParts(reader)) as files, writing(directory):
        directory.mkdir(parents=True, exist_ok=True)
        schema, options = files[0].schema_arrow, ParquetOptions(compression=files.compression()).writer_options
        groups = _groups(rows)
        more: list[tuple[int, int]] | None = next(groups, [])
        while more is not None:
            path = directory / f"part-{len(done):05}.parquet"
            temporary = path.with_name(f"{path.name}.tmp")
            with parquet.ParquetWriter(temporary, schema, **options) as writer:
                count = 0
                while more:
                    table = _table(files, more, pyarrow)
                    writer.write_table(table, row_group_size=table.num_rows)
                    count += table.num_rows
                    more = next(groups, None)
                    if temporary.stat().st_size >= part_bytes:
                        break
            done.append(_completed(temporary, path, rows=count))
            more = more or None
        sync_directory(directory)
    return tuple(done)


class _ParquetParts:
    """The parts of a resource, some of them open: there can be more than a process may have open files."""

    def __init__(self, reader: RowReader) -> None:
        self._paths = [reader.location / part.file for part in reader.entry.parts]
        self._open_file = extra("pyarrow.parquet", "parquet").ParquetFile
        # what a store keeps open is no file of this process, and takes a request to open again
        self._most = len(self._paths) if isinstance(reader.location, RemotePath) else _MOST_OPEN
        self._metadata: dict[int, Any] = {}
        self._open: OrderedDict[int, tuple[Any, ExitStack]] = OrderedDict()

    def __getitem__(self, number: int) -> Any:
        """Return an open part; it may be closed as soon as others are asked for."""
        if number in self._open:
            self._open.move_to_end(number)
            return self._open[number][0]
        while len(self._open) >= self._most:
            self._open.popitem(last=False)[1][1].close()
        with ExitStack() as stack:
            file = stack.enter_context(self._paths[number].open("rb"))
            # the footer of many columns takes a while to read
            parquet = stack.enter_context(self._open_file(file, metadata=self._metadata.get(number)))
            self._metadata[number] = parquet.metadata
            self._open[number] = parquet, stack.pop_all()
        return parquet

    def compression(self) -> Any:
        """Return how the last part with rows is compressed, as the option says it; one without rows does not tell."""
        for number in reversed(range(len(self._paths))):
            metadata = self[number].metadata
            if metadata.num_row_groups:
                return _COMPRESSIONS[metadata.row_group(0).column(0).compression]
        return ParquetOptions().compression

    def close(self) -> None:
        """Close all parts."""
        while self._open:
            self._open.popitem()[1][1].close()


def _groups(rows: Iterator[bytes]) -> Iterator[list[tuple[int, int]]]:
    while some := list(islice(rows, _PARQUET_ROWS)):
        yield [(int(part), int(row)) for part, row in (place.split() for place in some)]


def _table(files: _ParquetParts, places: Sequence[tuple[int, int]], pyarrow: Any) -> Any:
    """Return the rows at these places, in that order, without paging metadata."""
    ordered = sorted(range(len(places)), key=lambda at: places[at])
    tables: list[Any] = []
    for number in sorted({part for part, _ in places}):
        tables += _chosen(files[number], [places[at][1] for at in ordered if places[at][0] == number])
    table = pyarrow.concat_tables(tables)
    back = [0] * len(ordered)
    for position, at in enumerate(ordered):
        back[at] = position
    table = table.take(back)
    if _METADATA in table.column_names:
        at = table.column_names.index(_METADATA)
        nothing = pyarrow.nulls(table.num_rows, table.schema.field(at).type)
        table = table.set_column(at, table.schema.field(at), nothing)
    return table


def _chosen(file: Any, rows: Sequence[int]) -> Iterator[Any]:
    """Yield the rows with these numbers, ascending, reading only the row groups that hold any."""
    first, place = 0, 0
    for group in range(file.num_row_groups):
        end = first + file.metadata.row_group(group).num_rows
        begin = place
        while place < len(rows) and rows[place] < end:
            place += 1
        if place > begin:
            yield file.read_row_group(group, use_threads=False).take([row - first for row in rows[begin:place]])
        first = end


def _completed(temporary: Path, path: Path, *, rows: int) -> Part:
    digest = hashlib.sha256()
    with temporary.open("rb+") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
        os.fsync(file.fileno())
    size = temporary.stat().st_size
    temporary.replace(path)
    return Part(file=f"{path.parent.name}/{path.name}", rows=rows, bytes=size, sha256=digest.hexdigest())

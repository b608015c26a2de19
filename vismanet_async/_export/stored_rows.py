"""Reads the rows of an export again, in any format, with the key of each.

A row's *content* is its bytes in a form that a file of the same format can be made of again, without the paging
metadata, which belongs to an answer and not to the record:

=============  ================================================
format         the content of a row
=============  ================================================
`jsonl`, ...   the JSON object, every value as it was sent
`csv`          the JSON array of all cells
`parquet`      the JSON object of its columns
=============  ================================================

The key of a row is the JSON array of its identity, in every format. It is never what its column makes of it: a column
can be null where the server sent a value of another type than the catalog says, and a cell can have an apostrophe in
front. Then `_extra` has the value as it was sent. A row whose key lacks a part (`is_no_key`) is no known record: where
rows are merged by their keys, a second row with that key is refused.

All functions block.
"""

from __future__ import annotations

import csv
import gzip
import io
from abc import ABC, abstractmethod
from contextlib import closing, contextmanager
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import attrs
import msgspec

from vismanet_async._columns.schema import EXTRA
from vismanet_async._export.deletions import identity_of
from vismanet_async._export.formats.csv import CsvOptions
from vismanet_async._export.key_index import KeysOfRows, key_of_name, keys_in
from vismanet_async._export.target.manifest import part_fault
from vismanet_async._extras import extra
from vismanet_async._paging.page_formats import PageFormatError
from vismanet_async.errors import ExportError, RequestRefused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import BinaryIO

    from vismanet_async._export.target.locations import Location
    from vismanet_async._export.target.manifest import Part, ResourceEntry

    Batch = tuple[Sequence[bytes], Sequence[bytes]]
    """Keys and contents of some rows."""

__all__ = [
    "RowReader",
    "csv_columns",
    "csv_options",
    "history",
    "published_keys",
    "row_reader",
    "tombstone_keys",
]

_ROWS_AT_ONCE: Final = 1_000
_LONGEST_CELL: Final = 2**31 - 1
_METADATA: Final = "metadata"
_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_EXACT: Final = msgspec.json.Decoder(float_hook=Decimal)


class _Tombstone(msgspec.Struct):
    key: dict[str, msgspec.Raw]


class RowReader(ABC):
    """Reads the parts of one resource.

    Args:
        location: of the export.
        name: of the resource.
        entry: of its manifest.

    Raises:
        RequestRefused: the rows have no key, so that nothing tells which of them are the same record.
    """

    def __init__(self, location: Location, name: str, entry: ResourceEntry) -> None:
        self.location = location
        self.name = name
        self.entry = entry
        self.identity = entry.identity or identity_of(name)
        if not self.identity:
            raise RequestRefused(
                f"rows of {name} have no key, so that nothing tells which are the same record; nothing was written. "
                "Leave it out."
            )

    def batches(self, part: Part) -> Iterator[Batch]:
        """Yield the keys and contents of a part's rows, in order.

        Raises:
            ExportError: the part is not as the manifest states, or a row cannot be read.
        """
        with self._opened(part) as file:
            yield from self._read(file)

    def keys(self, part: Part) -> Iterator[Sequence[bytes]]:
        """Yield the keys of a part's rows, in order, some at a time; errors as those of `batches`."""
        for keys, _ in self.batches(part):
            yield keys

    def several_without_a_key(self, where: object) -> ExportError:
        """Return the error that rows whose key lacks the same part cannot be told apart."""
        return ExportError(
            f"{where} has one of several rows whose {' or '.join(self.identity)} the server left empty. So nothing "
            "tells whether they are the same record, and none may take the place of another; nothing was written. Read "
            "the files that manifest.files(...) names, or leave the list out."
        )

    def fields(self, content: bytes) -> dict[str, Any]:
        """Return the values of a row by the paths of its fields; lists are whole. Numbers are exact."""
        return dict(_flat(_EXACT.decode(content), ""))

    @contextmanager
    def _opened(self, part: Part) -> Iterator[BinaryIO]:
        path = self.location / part.file
        fault = part_fault(self.location, part)
        if fault:
            raise ExportError(f"{path} {fault}; nothing was written. Export it whole again.")
        with path.open("rb") as file:
            try:
                yield file
            except (msgspec.MsgspecError, PageFormatError, UnicodeDecodeError, LookupError, csv.Error) as error:
                raise ExportError(f"{path} has a row that cannot be read: {error}; nothing was written.") from error

    @abstractmethod
    def _read(self, file: BinaryIO) -> Iterator[Batch]:
        """Yield the batches of an open part."""


class _JsonLines(RowReader):
    def _read(self, file: BinaryIO) -> Iterator[Batch]:
        keys = KeysOfRows(self.identity)
        lines = self._lines(file)
        while some := list(islice(lines, _ROWS_AT_ONCE)):
            yield keys.read(some), list(map(_without_metadata, some))

    def _lines(self, file: BinaryIO) -> Iterator[bytes]:
        if self.entry.format == "jsonl":
            yield from file
        elif self.entry.format == "jsonl.gz":
            with gzip.open(file) as lines:
                yield from lines
        else:
            stream = extra("zstandard", "zstd").ZstdDecompressor().stream_reader(file)
            with io.BufferedReader(stream) as lines:
                yield from lines


class _Csv(RowReader):
    def __init__(self, location: Location, name: str, entry: ResourceEntry) -> None:
        super().__init__(location, name, entry)
        self.options = csv_options(entry)
        self.columns = csv_columns(entry)
        try:
            self._extra = self.columns.index(EXTRA)
            # of other types than these two there is no key
            self._are_numbers = [entry.columns.get(one) == "integer" for one in self.identity]
            self._places = [self.columns.index(one) for one in self.identity]
        except ValueError:
            raise ExportError(f"{name}: its files have no column for its key {', '.join(self.identity)}.") from None
        self._holds_numbers = any(self._are_numbers)
        self._quoted = [f'"{name}"' for name in self.identity]
        self._metadata = [at for at, column in enumerate(self.columns) if column.partition(".")[0] == _METADATA]

    def fields(self, content: bytes) -> dict[str, Any]:
        return dict(zip(self.columns, msgspec.json.decode(content), strict=True))

    def _read(self, file: BinaryIO) -> Iterator[Batch]:
        encoding = "utf-8-sig" if self.options.byte_order_mark else "utf-8"
        # a list is one cell, which can be longer than the 128 KiB that Python allows at first; there is no other switch
        csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_CELL))
        with io.TextIOWrapper(file, encoding, newline="") as text:
            rows = csv.reader(text, delimiter=self.options.delimiter, strict=True)
            if self.options.header:
                next(rows)
            while some := list(islice(rows, _ROWS_AT_ONCE)):
                for row in some:
                    for at in self._metadata:
                        row[at] = ""
                yield list(map(self._key, some)), list(map(msgspec.json.encode, some))

    def _key(self, row: Sequence[str]) -> bytes:
        """Return the key of a row; `sinks.csv` puts into `_extra` what its cells do not tell."""
        key: list[Any] = [row[at] or None for at in self._places]
        if self._holds_numbers:
            pairs = zip(key, self._are_numbers, strict=True)
            key = [msgspec.Raw(cell.encode()) if cell and is_number else cell for cell, is_number in pairs]
        rest = row[self._extra]
        if rest and any(name in rest for name in self._quoted):
            key = _completed(key, self.identity, rest)
            return key_of_name(b"\0".join(map(msgspec.json.encode, key)))
        return msgspec.json.encode(key)


class _Parquet(RowReader):
    def __init__(self, location: Location, name: str, entry: ResourceEntry) -> None:
        super().__init__(location, name, entry)
        # the export counted what its columns could not hold
        self._is_unfit = not {*self.identity}.isdisjoint(entry.unfit)

    def keys(self, part: Part) -> Iterator[Sequence[bytes]]:
        columns = [*self.identity, EXTRA] if self._is_unfit else list(self.identity)
        with self._opened(part) as file, closing(_parquet(file)) as parquet:
            for batch in parquet.iter_batches(_ROWS_AT_ONCE, columns=columns):
                yield list(map(self._key, batch.to_pylist()))

    def _read(self, file: BinaryIO) -> Iterator[Batch]:
        with closing(_parquet(file)) as parquet:
            for batch in parquet.iter_batches(_ROWS_AT_ONCE):
                rows = batch.to_pylist()
                for row in rows:
                    row.pop(_METADATA, None)
                yield list(map(self._key, rows)), list(map(msgspec.json.encode, rows))

    def _key(self, row: Mapping[str, Any]) -> bytes:
        key = [row[name] for name in self.identity]
        if self._is_unfit and None in key and row[EXTRA]:
            key = _completed(key, self.identity, row[EXTRA])
            return key_of_name(b"\0".join(map(msgspec.json.encode, key)))
        return msgspec.json.encode(key)


_READERS: Final[Mapping[str, type[RowReader]]] = {
    "jsonl": _JsonLines,
    "jsonl.gz": _JsonLines,
    "jsonl.zst": _JsonLines,
    "csv": _Csv,
    "parquet": _Parquet,
}


def row_reader(location: Location, name: str, entry: ResourceEntry) -> RowReader:
    """Return the reader of a resource's parts.

    Raises:
        RequestRefused: the rows have no key, or what reads the format is not installed.
    """
    reader = _READERS.get(entry.format)
    if reader is None:
        raise RequestRefused(f"{name} is in a format that cannot be read again: {entry.format}; nothing was written.")
    return reader(location, name, entry)


def _parquet(file: BinaryIO) -> Any:
    return extra("pyarrow.parquet", "parquet").ParquetFile(file)


def _completed(key: Sequence[Any], identity: Sequence[str], rest: str) -> list[Any]:
    """Return a key with the parts that are in `_extra`."""
    unfit = _OBJECT.decode(rest)
    return [unfit.get(name, value) for name, value in zip(identity, key, strict=True)]


def csv_columns(entry: ResourceEntry) -> list[str]:
    """Return the header of an entry's CSV files; a list, whose fields the manifest names, is one column."""
    return list(dict.fromkeys(column.partition("[]")[0] for column in entry.columns))


def csv_options(entry: ResourceEntry) -> CsvOptions:
    """Return the options that the CSV files of an entry were written with."""
    texts = entry.format_options
    chosen: dict[str, Any] = {
        field.name: texts[field.name] == "True" if isinstance(field.default, bool) else texts[field.name]
        for field in attrs.fields(CsvOptions)
        if field.name in texts
    }
    return CsvOptions(**chosen)


def history(entry: ResourceEntry, *, runs: int | None = None) -> Iterator[tuple[list[Part], Part | None]]:
    """Yield what each run published, oldest first: its parts, and the tombstones that count after them.

    Args:
        entry: of a manifest.
        runs: how many, from the first; None: all.
    """
    parts = {part.file: part for part in (*entry.parts, *entry.tombstones)}
    if not entry.runs:  # of older versions of this package: one run
        yield list(entry.parts), None
    for run in entry.runs[:runs]:
        named = None if run.sweep is None else run.sweep.tombstones
        yield [parts[file] for file in run.parts], None if named is None else parts[named]


def tombstone_keys(location: Location, part: Part) -> Iterator[list[bytes]]:
    """Yield the keys in a file of tombstones, some at a time.

    Raises:
        ExportError: the file is not as the manifest states.
    """
    fault = part_fault(location, part)
    if fault:
        raise ExportError(f"{location / part.file} {fault}; nothing was written. Export it whole again.")
    with (location / part.file).open("rb") as file:
        while some := list(islice(file, _ROWS_AT_ONCE)):
            found = (msgspec.json.decode(line, type=_Tombstone).key.values() for line in some)
            yield [key_of_name(b"\0".join(map(bytes, values))) for values in found]


def published_keys(location: Location, name: str, entry: ResourceEntry) -> Iterator[bytes]:
    """Yield the keys of the records that are published and not gone: from the key file, else from the rows.

    Raises:
        ExportError: a file is not as the manifest states.
    """
    if entry.keys is not None:
        fault = part_fault(location, entry.keys)
        if fault:
            raise ExportError(
                f"{location / entry.keys.file} {fault}, which its manifest does not say; nothing was sent. Export the "
                "whole list again, without incremental."
            )
        yield from keys_in(location, entry.keys.file)
    else:
        reader = row_reader(location, name, entry)
        for parts, _ in history(entry):
            for part in parts:
                for keys in reader.keys(part):
                    yield from keys


def _without_metadata(line: bytes) -> bytes:
    row = _OBJECT.decode(line)
    row.pop(_METADATA, None)
    return msgspec.json.encode(row)


def _flat(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and (value or not path):
        for name, inner in value.items():
            yield from _flat(inner, f"{path}.{name}" if path else name)
    else:
        yield path, value

"""`vismanet load`: rows out of CSV, JSON lines and Parquet, with their values as the file has them."""

from __future__ import annotations

import csv
import io
import sys
from collections import Counter
from collections.abc import Mapping  # noqa: TC003 - attrs reads the annotations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TextIO

import attrs

from vismanet_async._cli.call import exact_json
from vismanet_async.errors import RequestRefused, SettingsError, VismaNetError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

__all__ = ["InputFormat", "InputRow", "Table", "open_table"]

InputFormat = Literal["csv", "jsonl", "parquet"]
_BY_SUFFIX: Final[dict[str, InputFormat]] = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
_BATCH_ROWS: Final = 1000
_CELL_CHARS: Final = 16 * 1024 * 1024
_NAMELESS: Final = '{} has no name, and "{}" in it: name the column, or empty it'


@attrs.frozen(kw_only=True)
class InputRow:
    """One row of a file."""

    number: int
    """As a spreadsheet counts rows, and an editor lines: blank ones count, and the header of CSV is row 1."""
    values: Mapping[str, Any]
    raw: Any
    """As the file has it: the cells of CSV, a line of JSON lines, a batch of one row of Parquet."""
    fault: str | None = None
    """Why it cannot be used."""


@attrs.frozen(kw_only=True)
class Table:
    """A file of rows. It can be read again and again, but for stdin."""

    source: str
    format: InputFormat
    names: tuple[str, ...]
    """Columns; of JSON lines those of all rows, and of JSON lines on stdin none: they are found row by row."""
    length: int | None
    """Rows; None for stdin, which can be read once."""
    read: Callable[[], Iterator[InputRow]]
    first_rows: Mapping[str, int] = attrs.field(factory=dict)
    """Of JSON lines: the first row with each column."""
    delimiter: str = ","
    schema: Any = None
    """Of Parquet."""


def open_table(source: str, *, file_format: InputFormat | None, delimiter: str) -> Table:
    """Look through a file: its columns, its length, and whether it is of the format.

    Raises:
        RequestRefused: it cannot be read, or is of no format that is known; nothing was sent.
        SettingsError: Parquet needs its extra.
    """
    chosen = file_format or ("jsonl" if source == "-" else _BY_SUFFIX.get(Path(source).suffix.lower()))
    if chosen is None:
        raise RequestRefused(f"{source}: say what it is with --format csv, jsonl or parquet; nothing was sent.")
    delimiter = "\t" if delimiter == "tab" else delimiter
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise RequestRefused(f"--delimiter takes one character, or the word tab, not {delimiter!r}; nothing was sent.")
    try:
        if chosen == "parquet":
            return _parquet(source)
        table = _csv(source, delimiter) if chosen == "csv" else _jsonl(source)
        if source != "-":
            return table
        rows = _to_the_end(table.read())
        return attrs.evolve(table, read=lambda: rows)  # stdin is read once: whoever reads on, goes on
    except OSError as error:
        raise RequestRefused(f"{source}: {error.strerror or error}; nothing was sent.") from None
    except UnicodeDecodeError as error:
        raise RequestRefused(
            f"{source} is not UTF-8: {error.reason} at byte {error.start:,}; nothing was sent."
        ) from None
    except csv.Error as error:
        raise RequestRefused(f"{source} is not CSV: {error}; nothing was sent.") from None


def _to_the_end(rows: Iterator[InputRow]) -> Iterator[InputRow]:
    """Yield the rows of stdin; what is wrong with it is only found on the way."""
    number = 0
    try:
        for row in rows:
            number = row.number
            yield row
    except VismaNetError:
        raise
    except (OSError, ValueError, csv.Error) as error:
        raise RequestRefused(
            f"stdin cannot be read after row {number:,}: {error}. The rows up to that one were loaded, and nothing was "
            "sent of those after it."
        ) from None


def _text(source: str) -> TextIO:
    if source != "-":
        return Path(source).open(encoding="utf-8-sig", newline="")
    if sys.stdin is None:
        raise RequestRefused("stdin is closed: name a file, or pass the rows in; nothing was sent.")
    return io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8-sig", newline="")


def _counted(source: str, read: Callable[[], Iterator[InputRow]]) -> int | None:
    """Read a file once: whatever is wrong with its encoding or format is found before anything is sent."""
    return None if source == "-" else sum(1 for _ in read())


# --- CSV -----------------------------------------------------------------------------------------------------------


def _csv(source: str, delimiter: str) -> Table:
    csv.field_size_limit(_CELL_CHARS)

    def lines() -> Generator[list[str], None, None]:
        with _text(source) as file:
            yield from csv.reader(file, delimiter=delimiter, strict=True)

    first = lines()
    header = next(first, [])
    if source != "-":
        first.close()
    names = tuple(name.strip() for name in header)
    _check_header(source, names, delimiter)
    nameless = [place for place, name in enumerate(names) if not name]

    def read() -> Iterator[InputRow]:
        reader = first  # stdin is read once
        if source != "-":
            reader = lines()
            next(reader)
        for number, cells in enumerate(reader, 2):
            if len(cells) == len(names):
                lost = next((place for place in nameless if cells[place].strip()), None)
                fault = None if lost is None else _NAMELESS.format(f"cell {lost + 1}", cells[lost][:40])
                yield InputRow(number=number, values=dict(zip(names, cells, strict=True)), raw=cells, fault=fault)
            elif cells:
                fault = f"the row has {len(cells)} cells, and the header {len(names)}"
                yield InputRow(number=number, values={}, raw=cells, fault=fault)

    length = _counted(source, read)
    return Table(source=source, format="csv", names=names, length=length, read=read, delimiter=delimiter)


def _check_header(source: str, names: Sequence[str], delimiter: str) -> None:
    if not any(names):
        raise RequestRefused(f"{source} has no header: its first row names the columns; nothing was sent.")
    if len(names) == 1 and (other := next((each for each in ";\t," if each in names[0] and each != delimiter), None)):
        said = repr("tab" if other == "\t" else other)
        raise RequestRefused(
            f"{source} has one column, {names[0]!r}: give --delimiter {said} if that is between its cells; nothing "
            "was sent."
        )
    _refuse_twice(source, names)


def _refuse_twice(source: str, names: Sequence[str], place: str = "column") -> None:
    twice = next((name for name, count in Counter(names).items() if name and count > 1), None)
    if twice is not None:
        raise RequestRefused(f"{source} has the {place} {twice!r} twice; nothing was sent.")


# --- JSON lines ----------------------------------------------------------------------------------------------------


def _jsonl(source: str) -> Table:
    def read() -> Iterator[InputRow]:
        with _text(source) as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _object(number, line)

    names: dict[str, int] = {}
    length = None if source == "-" else 0
    for row in read() if length is not None else ():
        length = (length or 0) + 1
        for name in row.values:
            names.setdefault(name, row.number)
    return Table(source=source, format="jsonl", names=tuple(names), length=length, read=read, first_rows=names)


def _object(number: int, line: str) -> InputRow:
    try:
        value = exact_json(line.encode())
    except (ValueError, RecursionError, ArithmeticError) as error:
        return InputRow(number=number, values={}, raw=line, fault=f"the line is not JSON: {error}")
    if not isinstance(value, dict):
        return InputRow(number=number, values={}, raw=line, fault="the line is not a JSON object")
    return InputRow(number=number, values=value, raw=line, fault=_nameless(value))


def _nameless(values: Mapping[str, Any]) -> str | None:
    """Return what is wrong with a row that has a value without a name."""
    value = values.get("")
    return None if value is None or value == "" else _NAMELESS.format("a value", str(value)[:40])


# --- Parquet -------------------------------------------------------------------------------------------------------


def _parquet(source: str) -> Table:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise SettingsError(f"Parquet needs {error.name}: pip install 'vismanet-async[parquet]'.") from None
    if source == "-":
        raise RequestRefused("Parquet cannot be read from stdin: name the file; nothing was sent.")
    try:
        about = pq.ParquetFile(source)
    except pa.ArrowInvalid as error:
        raise RequestRefused(f"{source} is not Parquet: {error}; nothing was sent.") from None
    with about:
        schema, length = about.schema_arrow, about.metadata.num_rows
    _refuse_twice(source, schema.names)
    for column in schema:
        _refuse_members_twice(source, column.name, column.type, pa.types.is_struct)

    def read() -> Iterator[InputRow]:
        with pq.ParquetFile(source) as file:
            number = 0
            for batch in file.iter_batches(_BATCH_ROWS):
                for index in range(batch.num_rows):
                    number += 1
                    yield _record(number, batch.slice(index, 1))

    names = tuple(schema.names)
    return Table(source=source, format="parquet", names=names, length=length, read=read, schema=schema)


def _record(number: int, row: Any) -> InputRow:
    try:
        [values] = row.to_pylist()
    except (ValueError, ArithmeticError) as error:  # a time in nanoseconds, a text that is no UTF-8
        return InputRow(number=number, values={}, raw=row, fault=f"the row cannot be read: {error}")
    return InputRow(number=number, values=values, raw=row, fault=_nameless(values))


def _refuse_members_twice(source: str, place: str, kind: Any, is_struct: Callable[[Any], bool]) -> None:
    """Refuse a struct that names a member twice: as a mapping it would keep the last one."""
    inner = [kind.field(index) for index in range(kind.num_fields)]
    if is_struct(kind):
        _refuse_twice(source, [each.name for each in inner], f"member of {place}")
    for each in inner:
        _refuse_members_twice(source, f"{place}.{each.name}", each.type, is_struct)

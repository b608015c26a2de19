"""`vismanet load`: rows out of CSV, JSON lines and Parquet, with their values as the file has them."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Mapping  # noqa: TC003 - attrs reads the annotations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TextIO

import attrs

from vismanet_async._cli.call import exact_json
from vismanet_async.errors import RequestRefused, SettingsError

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
_PEEKED_ROWS: Final = 1000


@attrs.frozen(kw_only=True)
class InputRow:
    """One row of a file."""

    number: int
    """As a spreadsheet or an editor counts: the header of CSV is row 1."""
    values: Mapping[str, Any]
    fault: str | None = None
    """Why it cannot be read; it has no values then."""


@attrs.frozen(kw_only=True)
class Table:
    """A file of rows. It can be read again and again, but for stdin."""

    source: str
    format: InputFormat
    names: tuple[str, ...]
    """Columns; of JSON lines those of the first 1,000 rows."""
    length: int | None
    """Rows; None for stdin, which can be read once."""
    read: Callable[[], Iterator[InputRow]]


def open_table(source: str, *, file_format: InputFormat | None, delimiter: str) -> Table:
    """Look through a file: its columns, its length, and whether it is of the format.

    Raises:
        RequestRefused: it cannot be read, or is of no format that is known; nothing was sent.
        SettingsError: Parquet needs its extra.
    """
    chosen = file_format or ("jsonl" if source == "-" else _BY_SUFFIX.get(Path(source).suffix.lower()))
    if chosen is None:
        raise RequestRefused(f"{source}: say what it is with --format csv, jsonl or parquet; nothing was sent.")
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise RequestRefused(f"--delimiter takes one character, not {delimiter!r}; nothing was sent.")
    try:
        if chosen == "parquet":
            return _parquet(source)
        if chosen == "csv":
            return _csv(source, delimiter)
        return _jsonl(source)
    except OSError as error:
        raise RequestRefused(f"{source}: {error.strerror or error}; nothing was sent.") from None
    except UnicodeDecodeError as error:
        raise RequestRefused(
            f"{source} is not UTF-8: {error.reason} at byte {error.start:,}; nothing was sent."
        ) from None
    except csv.Error as error:
        raise RequestRefused(f"{source} is not CSV: {error}; nothing was sent.") from None


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

    def read() -> Iterator[InputRow]:
        reader = first  # stdin is read once
        if source != "-":
            reader = lines()
            next(reader)
        for number, cells in enumerate(reader, 2):
            if len(cells) == len(names):
                yield InputRow(number=number, values=dict(zip(names, cells, strict=True)))
            elif cells:
                fault = f"the row has {len(cells)} cells, and the header {len(names)}"
                yield InputRow(number=number, values={}, fault=fault)

    return Table(source=source, format="csv", names=names, length=_counted(source, read), read=read)


def _check_header(source: str, names: Sequence[str], delimiter: str) -> None:
    if not any(names):
        raise RequestRefused(f"{source} has no header: its first row names the columns; nothing was sent.")
    if len(names) == 1 and (other := next((each for each in ";\t," if each in names[0] and each != delimiter), None)):
        raise RequestRefused(
            f"{source} has one column, {names[0]!r}: give --delimiter {other!r} if that is between its cells; nothing "
            "was sent."
        )
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise RequestRefused(f"{source} has the column {twice[0]!r} twice; nothing was sent.")


# --- JSON lines ----------------------------------------------------------------------------------------------------


def _jsonl(source: str) -> Table:
    kept: list[Iterator[InputRow]] = []

    def rows() -> Iterator[InputRow]:
        with _text(source) as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _object(number, line)

    def read() -> Iterator[InputRow]:
        return kept.pop() if kept else rows()

    names: dict[str, None] = {}
    if source == "-":
        # stdin is read once, so its columns are found row by row
        kept.append(rows())
    else:
        for index, row in enumerate(rows()):
            names.update(dict.fromkeys(row.values))
            if index == _PEEKED_ROWS:
                break
    return Table(source=source, format="jsonl", names=tuple(names), length=_counted(source, rows), read=read)


def _object(number: int, line: str) -> InputRow:
    try:
        value = exact_json(line.encode())
    except (ValueError, RecursionError, ArithmeticError) as error:
        return InputRow(number=number, values={}, fault=f"the line is not JSON: {error}")
    if not isinstance(value, dict):
        return InputRow(number=number, values={}, fault="the line is not a JSON object")
    return InputRow(number=number, values=value)


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
        names, length = tuple(about.schema_arrow.names), about.metadata.num_rows

    def read() -> Iterator[InputRow]:
        with pq.ParquetFile(source) as file:
            number = 0
            for batch in file.iter_batches(_BATCH_ROWS):
                for values in batch.to_pylist():
                    number += 1
                    yield InputRow(number=number, values=values)

    return Table(source=source, format="parquet", names=names, length=length, read=read)

"""`vismanet load`: the rows that are not done, as the input has them, in a file to mend and load again."""

from __future__ import annotations

import csv
import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vismanet_async._cli.load_input import InputFormat, InputRow, Table

    Put = Callable[[InputRow, str], object]

__all__ = ["FAILED_SUFFIXES", "writing_failed"]

FAILED_SUFFIXES: Final[dict[InputFormat, str]] = {"csv": ".csv", "jsonl": ".jsonl", "parquet": ".parquet"}
_ERROR_COLUMN: Final = "_error"
"""Columns that begin with an underscore are not loaded, so the file can be loaded again as it is."""
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")
_GROUP_ROWS: Final = 1000


@contextmanager
def writing_failed(table: Table, file: BinaryIO) -> Iterator[Put]:
    """Yield a function that writes a row and why it is not done, in the format of the input; end the file on leaving.

    Rows are written as they came, so that what is not mended is read the same again. JSON lines have no error beside
    them: the line stays as it is.
    """
    writing = {"csv": _csv, "jsonl": _jsonl, "parquet": _parquet}[table.format]
    with writing(table, file) as put:
        yield put


@contextmanager
def _csv(table: Table, file: BinaryIO) -> Iterator[Put]:
    with io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="") as text:
        writer = csv.writer(text, delimiter=table.delimiter)
        names = list(table.names)
        place = names.index(_ERROR_COLUMN) if _ERROR_COLUMN in names else None
        writer.writerow(names if place is not None else [_ERROR_COLUMN, *names])

        def put(row: InputRow, error: str) -> None:
            if place is None:
                writer.writerow([_harmless(error), *row.raw])
            elif place == 0 or len(row.raw) == len(names):
                writer.writerow([*row.raw[:place], _harmless(error), *row.raw[place + 1 :]])
            else:  # which of its cells is the error nobody can tell
                writer.writerow(row.raw)

        yield put


@contextmanager
def _jsonl(_table: Table, file: BinaryIO) -> Iterator[Put]:
    with io.TextIOWrapper(file, encoding="utf-8", newline="") as text:
        yield lambda row, _error: text.write(row.raw.rstrip("\r\n") + "\n")


@contextmanager
def _parquet(table: Table, file: BinaryIO) -> Iterator[Put]:
    import pyarrow as pa  # noqa: PLC0415 - an extra, which the input needed as well
    import pyarrow.parquet as pq  # noqa: PLC0415

    kept = [name for name in table.names if name != _ERROR_COLUMN]
    schema = table.schema
    if _ERROR_COLUMN in table.names:
        schema = schema.remove(schema.get_field_index(_ERROR_COLUMN))
    waiting: list[tuple[Any, str]] = []

    with file, pq.ParquetWriter(file, schema.insert(0, pa.field(_ERROR_COLUMN, pa.string()))) as writer:

        def flush() -> None:
            rows = pa.Table.from_batches([row for row, _ in waiting])
            errors = pa.array([error for _, error in waiting], pa.string())
            writer.write_table(pa.table([errors, *(rows[name] for name in kept)], schema=writer.schema))
            waiting.clear()

        def put(row: InputRow, error: str) -> None:
            waiting.append((row.raw.take(pa.array([0])), error.encode(errors="backslashreplace").decode()))
            if len(waiting) == _GROUP_ROWS:
                flush()

        yield put
        if waiting:
            flush()


def _harmless(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula; the server may have chosen its beginning."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text

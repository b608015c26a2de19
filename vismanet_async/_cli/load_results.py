"""`vismanet load`: what became of each row, as `results.jsonl`, and the failed rows as a file to mend."""

from __future__ import annotations

import csv
import os
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final, Self, TextIO

import msgspec

from vismanet_async._cli.load_input import InputRow
from vismanet_async.errors import TargetNotWritable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from vismanet_async.bulk import RowResult

__all__ = ["ResultFiles", "result_line"]

_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")
_ERROR_COLUMN: Final = "_error"
"""Columns that begin with an underscore are not loaded, so the file can be loaded again as it is."""
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")


class ResultFiles:
    """Writes both files under temporary names; they take the place of older ones when the block is left.

    They are opened with the first result, when the run has the journal for itself: a run that is refused leaves the
    files of the one that goes on alone.

    Raises:
        TargetNotWritable: a file cannot be written. What was sent stands, and the journal has it.
    """

    def __init__(self, folder: Path, *, columns: Sequence[str], as_csv: bool) -> None:
        self.results = folder / "results.jsonl"
        self.failed = folder / ("failed.csv" if as_csv else "failed.jsonl")
        self._columns = [name for name in columns if name != _ERROR_COLUMN]
        self._as_csv = as_csv
        self._stack = ExitStack()
        self._written: TextIO | None = None
        self._put_failed: Callable[[str, Mapping[str, Any]], object]

    def __enter__(self) -> Self:
        return self

    def _begin(self) -> TextIO:
        written, failed = self._open(self.results), self._open(self.failed)
        if self._as_csv:
            writer = csv.writer(failed)
            writer.writerow([_ERROR_COLUMN, *self._columns])
            self._put_failed = lambda error, row: writer.writerow(
                [_harmless(error), *(_cell(row.get(name)) for name in self._columns)]
            )
        else:
            self._put_failed = lambda _error, row: failed.write(_ENCODER.encode(row).decode() + "\n")
        return written

    def _open(self, path: Path) -> TextIO:
        part = _part(path)
        part.unlink(missing_ok=True)
        # for the owner alone: rows and errors hold what the records hold
        made = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        return self._stack.enter_context(os.fdopen(made, "w", encoding="utf-8", newline=""))

    def add(self, result: RowResult) -> None:
        """Write down what became of a row."""
        with _told():
            self._written = self._written or self._begin()
            self._written.write(result_line(result) + "\n")
            source = result.row.data if result.row is not None else None
            if result.outcome == "failed" and isinstance(source, InputRow) and source.values:
                self._put_failed(result.error or "", source.values)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with _told():
            if self._written is None and kind is None:  # an input without rows
                self._written = self._begin()
            self._stack.close()
            if self._written is not None:
                for path in (self.results, self.failed):
                    _part(path).replace(path)


@contextmanager
def _told() -> Iterator[None]:
    """Turn what a disk refuses into an error of ours."""
    try:
        yield
    except OSError as error:
        raise TargetNotWritable(
            f"{error.filename or 'the files of results'} cannot be written: {error.strerror or error}. What was sent "
            "stands, and the journal has it: start it again to have the files."
        ) from error


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


def result_line(result: RowResult) -> str:
    """Return what became of a row as one line of JSON."""
    source = result.row.data if result.row is not None else None
    return _ENCODER.encode(
        {
            "key": result.key,
            "row": source.number if isinstance(source, InputRow) else result.position,
            "outcome": result.outcome,
            "earlier": result.earlier,
            "id": result.id,
            "etag": result.etag,
            "error": result.error,
            "error_type": result.error_type,
            "status": result.status,
            "visma_id": result.reference,
            "attempts": result.attempts,
        }
    ).decode()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return _ENCODER.encode(value).decode() if isinstance(value, dict | list) else str(value)


def _harmless(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula; the server may have chosen its beginning."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text

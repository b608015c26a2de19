"""`vismanet load`: what became of each row, as JSON lines, and the rows that are not done as a file to mend."""

from __future__ import annotations

import hashlib
import re
from contextlib import ExitStack, aclosing, contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final, Self

import attrs
import msgspec

from vismanet_async._bulk.rows import GOOD
from vismanet_async._bulk.transitions import RowState
from vismanet_async._cli.load_failed import FAILED_SUFFIXES, writing_failed
from vismanet_async._cli.load_files import LoadFiles
from vismanet_async._cli.load_input import InputRow
from vismanet_async.errors import TargetNotWritable, VismaNetError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator
    from pathlib import Path
    from types import TracebackType

    from vismanet_async._bulk.rows import Outcome
    from vismanet_async._bulk.transitions import Entry
    from vismanet_async._cli.load_failed import Put
    from vismanet_async._cli.load_input import Table
    from vismanet_async._cli.load_reading import Reading
    from vismanet_async.bulk import RowResult

__all__ = ["LoadedRows", "ResultFiles", "shown_result"]

_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")
_KEYLESS: Final = re.compile(r"row \d+")
"""What rows are called whose key cannot be read: it says nothing after the run."""
_TWICE: Final = "an earlier row of the file has the same key; only that one is sent. Give each row a key of its own."


@attrs.frozen(kw_only=True)
class LoadedRows:
    """What the files of results need to know of a load's input."""

    table: Table
    reading: Reading
    left: Callable[..., AsyncGenerator[tuple[InputRow, str]]]
    """Takes the journal and `interrupted`; yields the rows that this run told nothing of and that are not done."""
    outcome_of: Callable[[Entry], Outcome | None]
    """Returns what became of a row of an earlier run, where it has another name than in the journal."""


class ResultFiles:
    """Writes both files: this run's results as they come, and at the end what the journal has of all other rows.

    They get their names when everything is in them. A run that is refused leaves the files of others alone, and so does
    one that is killed: the journal has what was sent, and the next run writes the files. Of each row 16 bytes are kept.

    Raises:
        JournalBusy: another load with this journal goes on.
        TargetNotWritable: a file cannot be written. What was sent stands, and the journal has it.
    """

    def __init__(self, journal: Path, rows: LoadedRows | None = None) -> None:
        self.results: Path | None = None
        """Where they are; None until they are written."""
        self.failed: Path | None = None
        """None as well if there is no such row."""
        self._journal = journal
        self._rows = rows
        self._files = LoadFiles(journal, source=None if rows is None else rows.table.source)
        self._parts = ExitStack()
        self._written: tuple[Path, BinaryIO] | None = None
        self._failed: tuple[Path, Put] | None = None
        self._told: set[bytes] = set()

    def __enter__(self) -> Self:
        try:
            self._files.__enter__()
        except VismaNetError:  # some of them are errors of the system, too
            raise
        except OSError as error:
            raise TargetNotWritable(
                f"{error.filename} cannot be written: {error.strerror or error}; nothing was sent."
            ) from error
        return self

    @property
    def begun(self) -> bool:
        """Whether the run has told anything."""
        return self._written is not None

    def add(self, result: RowResult) -> None:
        """Write down what became of a row."""
        with _told():
            self._told.add(_digest(result.key))
            self._line(result)
            source = result.row.data if result.row is not None else None
            if self._rows is None or not isinstance(source, InputRow):
                return
            self._rows.reading.ended(source)
            if result.outcome not in GOOD and result.outcome != "unknown":
                word = "" if result.outcome == "failed" else f"{result.outcome.replace('_', ' ')}: "
                self._put(source, f"{word}{shown_result(result).error}")

    def _line(self, result: RowResult) -> None:
        if self._written is None:
            self._written = self._files.begin("results")
            self._parts.callback(self._written[1].close)
        self._written[1].write(_result_line(result) + b"\n")

    def _put(self, row: InputRow, error: str) -> None:
        assert self._rows is not None
        if self._failed is None:
            part, file = self._files.begin("failed")
            self._failed = part, self._parts.enter_context(writing_failed(self._rows.table, file))
        self._failed[1](row, error)

    async def write(self, *, whole: bool, interrupted: bool = False, broken: bool = False) -> None:
        """Write what this run has not told, and give the files their names.

        Args:
            whole: every row of the input has an outcome in this run.
            interrupted: a person has stopped it.
            broken: it ended in an error, so that rows may be missing: no file of an earlier run is replaced by them.
        """
        from vismanet_async._bulk.journal import SqliteJournal  # noqa: PLC0415 - brings SQLAlchemy along

        journal = SqliteJournal(self._journal)
        with _told():
            try:
                async with aclosing(journal.entries()) as entries:
                    async for entry in entries:
                        if _digest(entry.key) not in self._told and not _is_keyless(entry):
                            self._line(self._of_before(entry))
                if self._rows is not None and not whole:
                    async with aclosing(self._rows.left(journal, interrupted=interrupted)) as rows:
                        async for row, error in rows:
                            self._put(row, error)
            finally:
                await journal.aclose()
            self._written = self._written or self._files.begin("results")
            self._written[1].close()
            self._parts.close()
            self.results = self._files.publish(self._written[0], "results.jsonl")
            self._publish_failed(broken=broken)

    def _of_before(self, entry: Entry) -> RowResult:
        from vismanet_async._bulk.run import result_of  # noqa: PLC0415 - as above

        outcome = None if self._rows is None else self._rows.outcome_of(entry)
        return result_of(entry, outcome, earlier=True)

    def _publish_failed(self, *, broken: bool) -> None:
        if self._rows is None:
            return
        kind = f"failed{FAILED_SUFFIXES[self._rows.table.format]}"
        of = None if broken else self._files.input
        if self._failed is None:
            self._files.withdraw(kind, input=of)
        else:
            self.failed = self._files.publish(self._failed[0], kind, input=of)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with _told():
            try:
                self._parts.close()
            finally:
                self._files.__exit__()


@contextmanager
def _told() -> Iterator[None]:
    """Turn what a disk refuses into an error of ours."""
    try:
        yield
    except VismaNetError:
        raise
    except OSError as error:
        raise TargetNotWritable(
            f"{error.filename or 'the files of results'} cannot be written: {error.strerror or error}. What was sent "
            "stands, and the journal has it: start it again to have the files."
        ) from error


def _digest(key: str) -> bytes:
    return hashlib.blake2b(key.encode(), digest_size=16).digest()


def _is_keyless(entry: Entry) -> bool:
    """Return whether a row of an earlier run had no key to find it by, and was refused before anything was sent."""
    refused = entry.state is RowState.FAILED and not entry.operation and not entry.attempts
    return refused and _KEYLESS.fullmatch(entry.key) is not None


def shown_result(result: RowResult) -> RowResult:
    """Return a result as somebody reads it who looks at the file: with the file's own number of the row."""
    source = result.row.data if result.row is not None else None
    if not isinstance(source, InputRow):
        return result
    error = _TWICE if result.outcome == "duplicate" else result.error
    return attrs.evolve(result, position=source.number, error=error)


def _result_line(result: RowResult) -> bytes:
    shown = shown_result(result)
    return _ENCODER.encode(
        {
            "key": result.key,
            "row": None if result.row is None else shown.position,
            "outcome": result.outcome,
            "earlier": result.earlier,
            "id": result.id,
            "etag": result.etag,
            "error": shown.error,
            "error_type": result.error_type,
            "status": result.status,
            "visma_id": result.reference,
            "attempts": result.attempts,
        }
    )

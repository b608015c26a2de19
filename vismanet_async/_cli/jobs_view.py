"""Output of jobs: a table on a terminal, a line for each change elsewhere."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TextIO

import msgspec

from vismanet_async._cli.output import print_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from rich.table import Table

    from vismanet_async._jobs.core.records import JobRecord

    Show = Callable[[Sequence[JobRecord]], None]

__all__ = ["details", "lines_shown", "print_record", "table", "table_shown"]

_COLUMNS: Final = ("job", "state", "status", "submitted", "operation", "path", "reference")
_STYLES: Final = {"succeeded": "green", "failed": "red", "expired": "red", "uncertain": "yellow"}


def print_record(record: JobRecord, *, as_json: bool) -> None:
    """Print one job."""
    if as_json:
        print_json(msgspec.json.encode(record))
    else:
        print(_line(record))


def table(records: Sequence[JobRecord]) -> None:
    """Print jobs: with columns on a terminal, a line each elsewhere."""
    if not sys.stdout.isatty():
        for record in records:
            print(_line(record))
        return
    from rich.console import Console  # noqa: PLC0415 - only needed on a terminal, and costs start-up time

    Console().print(_table(records))


def details(record: JobRecord, error: Exception | None) -> str:
    """Return all that is stored about a job, a line for each fact."""
    operation = record.operation
    facts: dict[str, Any] = {
        "job": record.id,
        "state": record.state.value,
        "operation": f"{operation.id}  {operation.method} {operation.path}",
        "query": "&".join(f"{name}={value}" for name, value in operation.query),
        "if-match": operation.if_match,
        "document": record.document,
        "reference": record.reference,
        "notify": record.notify,
        "created": _moment(record.created_at),
        "submitted": _moment(record.submitted_at),
        "server's id": record.job_id,
        "server's status": record.server_status,
        "status code": record.status_code,
        "finished": _moment(record.finished_at),
        "settled": _moment(record.settled_at),
        "settled by": record.settled_by,
        "polls": record.polls,
        "error": error or record.error,
    }
    return "\n".join(f"{name + ':':17}{value}" for name, value in facts.items() if value not in {None, ""})


@contextmanager
def lines_shown(out: TextIO, *, as_json: bool, now: Callable[[], datetime]) -> Iterator[Show]:
    """Print a line for each job that is new or in another state, with the time at which it was seen to be."""
    told: dict[str, str] = {}

    def show(records: Sequence[JobRecord]) -> None:
        nonlocal told
        before, told = told, {record.id: record.state for record in records}
        for record in records:
            if before.get(record.id) != record.state:
                at = record.settled_at if record.settled else now()
                line = msgspec.json.encode(record).decode() if as_json else _line(record, at=at)
                print(line, file=out, flush=True)

    yield show


@contextmanager
def table_shown(out: TextIO, **_: Any) -> Iterator[Show]:
    """Show a table that changes in place."""
    from rich.console import Console  # noqa: PLC0415 - as above
    from rich.live import Live  # noqa: PLC0415

    with Live(console=Console(file=out), auto_refresh=False) as live:
        yield lambda records: live.update(_table(records), refresh=True)


def _table(records: Sequence[JobRecord]) -> Table:
    from rich.table import Table  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415

    shown = Table(box=None, header_style="bold")
    for name in _COLUMNS:
        shown.add_column(name, no_wrap=name in {"job", "state"}, overflow="fold")
    for record in records:
        shown.add_row(*map(Text, _cells(record, at=record.submitted_at)), style=_STYLES.get(record.state.value))
    return shown


def _line(record: JobRecord, *, at: datetime | None = None) -> str:
    return "  ".join(cell or "-" for cell in _cells(record, at=at or record.submitted_at))


def _cells(record: JobRecord, *, at: datetime | None) -> tuple[str, ...]:
    return (
        record.id,
        record.state.value,
        str(record.status_code or ""),
        _moment(at) or "",
        record.operation.id,
        record.operation.path,
        record.reference or "",
    )


def _moment(when: Any) -> str | None:
    return None if when is None else when.isoformat(timespec="seconds")

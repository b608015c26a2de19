"""Rows of a job store from records and results, and back.

What is stored of an operation is an allow-list (`OperationSummary`): no header but If-Match, no body, no token.
"""

from __future__ import annotations

import json
from datetime import MAXYEAR, MINYEAR, UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from vismanet_async._jobs.core.answers import storable
from vismanet_async._jobs.core.records import JobRecord, JobResult, OperationSummary
from vismanet_async._jobs.core.states import State
from vismanet_async._jobs.sql.schema import JOBS

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import RowMapping

__all__ = ["dump", "moment", "to_record", "to_result", "to_result_row", "to_row"]

_OPERATION: Final = ("id", "method", "path", "query", "if_match", "body_sha256")
_MOMENTS: Final = frozenset(
    {
        *("created_at", "deadline_at", "sending_at", "submitted_at", "started_at", "finished_at"),
        *("settled_at", "hinted_at", "asked_at", "received_at"),
    }
)
_MOMENT_LISTS: Final = frozenset({"state_asked", "content_asked"})
_FLAGS: Final = frozenset({"content_due", "unanswered"})
_FIRST: Final = datetime(MINYEAR, 1, 2, tzinfo=UTC).timestamp()
_LAST: Final = datetime(MAXYEAR, 12, 31, tzinfo=UTC).timestamp()
_FOREIGN_TEXTS: Final = frozenset({"server_status", "error"})
"""Columns whose texts may come from a server or an operating system."""


def to_row(record: JobRecord) -> dict[str, Any]:
    """Return the columns of a job, its lease excepted."""
    row: dict[str, Any] = {}
    for name in _FIELDS:
        row[name] = _encoder(name)(getattr(record, name))
    for name in _OPERATION:
        row["operation_id" if name == "id" else name] = getattr(record.operation, name)
    row["query"] = dump(record.operation.query)
    return row


def to_record(row: RowMapping) -> JobRecord:
    """Return the job that a row holds."""
    operation = {name: row["operation_id" if name == "id" else name] for name in _OPERATION}
    operation["query"] = tuple((name, value) for name, value in json.loads(row["query"]))
    fields: dict[str, Any] = {name: _decoder(name)(row[name]) for name in _FIELDS}
    return JobRecord(operation=OperationSummary(**operation), **fields)


_FIELDS: Final = tuple(
    column.name
    for column in JOBS.columns
    if column.name not in {"sequence", "owner", "lease_until", "fence", "operation_id", *_OPERATION[1:]}
)


def _encoder(name: str) -> Callable[[Any], Any]:
    if name in _MOMENTS:
        return lambda value: None if value is None else value.timestamp()
    if name in _MOMENT_LISTS:
        return lambda value: dump([each.timestamp() for each in value])
    if name in _FLAGS:
        return int
    if name == "state":
        return str
    if name in _FOREIGN_TEXTS:
        return lambda value: None if value is None else storable(value)
    return dump if name == "candidates" else lambda value: value


def _decoder(name: str) -> Callable[[Any], Any]:
    if name in _MOMENTS:
        return lambda value: None if value is None else moment(value)
    if name in _MOMENT_LISTS:
        return lambda value: tuple(moment(seconds) for seconds in json.loads(value))
    if name in _FLAGS:
        return bool
    if name == "state":
        return State
    return (lambda value: tuple(json.loads(value))) if name == "candidates" else lambda value: value


def to_result_row(own_id: str, result: JobResult) -> dict[str, Any]:
    """Return the columns of a job's result."""
    return {
        "id": own_id,
        "status_code": result.status_code,
        "state_document": result.state_document,
        "content": result.content,
        "headers": dump(result.headers),
        "read_at": result.read_at.timestamp(),
    }


def to_result(row: RowMapping) -> JobResult:
    """Return the result that a row holds."""
    return JobResult(
        status_code=row["status_code"],
        state_document=row["state_document"],
        content=row["content"],
        headers=tuple((name, value) for name, value in json.loads(row["headers"])),
        read_at=moment(row["read_at"]),
    )


def moment(seconds: float) -> datetime:
    """Return the time that a column holds, in UTC; the nearest that there is for one that is none.

    One odd row must not make all others unreadable: the last microsecond of year 9999 is rounded to the next year.
    """
    return datetime.fromtimestamp(min(max(seconds, _FIRST), _LAST), UTC)


def dump(value: Any) -> str:
    """Return a value as compact JSON, as columns hold it."""
    return json.dumps(value, separators=(",", ":"))

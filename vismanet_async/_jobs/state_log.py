"""Reports of the states that jobs come into here: to the log, and to the observer."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from vismanet_async._observer import JobInfo

if TYPE_CHECKING:
    from datetime import datetime

    from vismanet_async._jobs.core.records import JobRecord
    from vismanet_async._observer import Observer

__all__ = ["report_state"]

_log = logging.getLogger("vismanet_async.jobs")


def report_state(before: JobRecord | None, record: JobRecord, *, observer: Observer, at: datetime) -> None:
    """Log that a job has come into a state, and pass it to the observer."""
    operation, state = record.operation, record.state.value
    named = {"operation": operation.id, "company": record.company, "job": record.id, "state": state}
    _log.info("job %s %s: %s", record.id, operation.id, state, extra={**named, "attempt": record.polls})
    observer.job(
        JobInfo(
            id=record.id,
            company=record.company,
            operation=None if operation.custom else operation.id,
            state=state,
            before=None if before is None else before.state.value,
            settled=record.settled,
            created_at=record.created_at,
            sending_at=record.sending_at,
            at=at,
            status_code=record.status_code,
            polls=record.polls,
        )
    )

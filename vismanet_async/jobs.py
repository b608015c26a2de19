"""Background jobs: the manager, a job, its record, and stores.

`visma.jobs` is a `JobManager`. Names are loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vismanet_async._lazy import lazy_names

if TYPE_CHECKING:
    from vismanet_async._jobs.job import Job
    from vismanet_async._jobs.manager import JobManager
    from vismanet_async._jobs.model import FINAL, OPEN, OperationNote, Record, Result, State
    from vismanet_async._jobs.sql_store import SqlStore
    from vismanet_async._jobs.store import JobStore, JobUnknown, LeaseLost, StoreNotUsable

__all__ = [
    "FINAL",
    "OPEN",
    "Job",
    "JobManager",
    "JobStore",
    "JobUnknown",
    "LeaseLost",
    "OperationNote",
    "Record",
    "Result",
    "SqlStore",
    "State",
    "StoreNotUsable",
]

__getattr__, __dir__ = lazy_names(
    globals(),
    {
        "_jobs.job": ("Job",),
        "_jobs.manager": ("JobManager",),
        "_jobs.model": ("FINAL", "OPEN", "OperationNote", "Record", "Result", "State"),
        "_jobs.sql_store": ("SqlStore",),
        "_jobs.store": ("JobStore", "JobUnknown", "LeaseLost", "StoreNotUsable"),
    },
)

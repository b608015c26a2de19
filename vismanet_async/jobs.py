"""Background jobs: the manager, a job, its record, and stores.

`visma.jobs` is a `JobManager`. Names are loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vismanet_async._lazy import lazy_names

if TYPE_CHECKING:
    from vismanet_async._jobs.core.records import JobRecord, JobResult, OperationSummary
    from vismanet_async._jobs.core.states import FINAL, OPEN, State
    from vismanet_async._jobs.job import Job
    from vismanet_async._jobs.list_job import ListJob
    from vismanet_async._jobs.manager import JobManager
    from vismanet_async._jobs.sql.store import SqlStore
    from vismanet_async._jobs.store import JobStore, JobUnknown, LeaseLost, StoreNotUsable

__all__ = [
    "FINAL",
    "OPEN",
    "Job",
    "JobManager",
    "JobRecord",
    "JobResult",
    "JobStore",
    "JobUnknown",
    "LeaseLost",
    "ListJob",
    "OperationSummary",
    "SqlStore",
    "State",
    "StoreNotUsable",
]

if not TYPE_CHECKING:  # to type checkers a module with `__getattr__` has every name
    __getattr__, __dir__ = lazy_names(
        globals(),
        {
            "_jobs.job": ("Job",),
            "_jobs.list_job": ("ListJob",),
            "_jobs.manager": ("JobManager",),
            "_jobs.core.records": ("JobRecord", "JobResult", "OperationSummary"),
            "_jobs.core.states": ("FINAL", "OPEN", "State"),
            "_jobs.sql.store": ("SqlStore",),
            "_jobs.store": ("JobStore", "JobUnknown", "LeaseLost", "StoreNotUsable"),
        },
    )

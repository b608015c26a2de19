"""Bulk writes: rows, runs, summaries, and what journals say.

`visma.bulk` is a `Bulk`. Names are loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vismanet_async._lazy import lazy_names

if TYPE_CHECKING:
    from vismanet_async._bulk.bulk import Bulk
    from vismanet_async._bulk.bulk_report import BulkReport
    from vismanet_async._bulk.finding import matching
    from vismanet_async._bulk.journal_rows import JournalBusy
    from vismanet_async._bulk.rehearsal import Mistake, Rehearsal, RowChange
    from vismanet_async._bulk.rows import BulkProgress, BulkSummary, Outcome, Row, RowResult
    from vismanet_async._bulk.run import BulkRun
    from vismanet_async._codec.differences import Difference

__all__ = [
    "Bulk",
    "BulkProgress",
    "BulkReport",
    "BulkRun",
    "BulkSummary",
    "Difference",
    "JournalBusy",
    "Mistake",
    "Outcome",
    "Rehearsal",
    "Row",
    "RowChange",
    "RowResult",
    "matching",
]

if not TYPE_CHECKING:  # to type checkers a module with `__getattr__` has every name
    __getattr__, __dir__ = lazy_names(
        globals(),
        {
            "_bulk.bulk": ("Bulk",),
            "_bulk.bulk_report": ("BulkReport",),
            "_bulk.finding": ("matching",),
            "_bulk.journal_rows": ("JournalBusy",),
            "_bulk.rehearsal": ("Mistake", "Rehearsal", "RowChange"),
            "_codec.differences": ("Difference",),
            "_bulk.rows": ("BulkProgress", "BulkSummary", "Outcome", "Row", "RowResult"),
            "_bulk.run": ("BulkRun",),
        },
    )

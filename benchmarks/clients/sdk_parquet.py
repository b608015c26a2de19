"""The SDK's export to Parquet; apart, so that only what needs Arrow has it in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.compute
import pyarrow.json
import pyarrow.parquet  # noqa: F401 - the SDK loads Arrow on first use; imports stand outside the clock for every client

from benchmarks.clients.sdk import SPELLING, client
from benchmarks.job import Outcome
from vismanet_async.export.plan import ExportPlan
from vismanet_async.export.run import Export
from vismanet_async.export.sinks import parquet  # noqa: F401 - as above

if TYPE_CHECKING:
    from benchmarks.job import Task


async def to_parquet(task: Task) -> Outcome:
    """Export the list to Parquet, asking only for counts: the proof's requests are not what is compared."""
    name = SPELLING[task.job.resource]
    plan = ExportPlan(
        resources=[name], to=task.out, format="parquet", completeness="count", page_size=task.job.page_rows
    )
    async with client(task) as visma:
        manifest = await Export(visma, plan)
    return Outcome(rows=manifest.rows)

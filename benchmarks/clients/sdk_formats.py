"""The SDK's export to other formats; apart, so that only what needs Arrow has it in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.compute
import pyarrow.json
import pyarrow.parquet  # noqa: F401 - the SDK loads Arrow on first use; imports stand outside the clock for every client
import zstandard  # noqa: F401 - as above

from benchmarks.clients.sdk import SPELLING, client
from benchmarks.job import Outcome
from vismanet_async._export.plan import ExportPlan
from vismanet_async._export.run import Export
from vismanet_async._export.sinks import parquet  # noqa: F401 - as above

if TYPE_CHECKING:
    from benchmarks.job import Task


async def to_parquet(task: Task) -> Outcome:
    """Export the list to Parquet."""
    return await _export(task, "parquet")


async def to_parquet_resumable(task: Task) -> Outcome:
    """Do the same for a company that the client knows: what was read is kept beside, for a run that is stopped."""
    return await _export(task, "parquet", company="benchmark")


async def to_gzip(task: Task) -> Outcome:
    """Export the list to gzipped JSON lines."""
    return await _export(task, "jsonl.gz")


async def to_zstd(task: Task) -> Outcome:
    """Export the list to JSON lines in zstd."""
    return await _export(task, "jsonl.zst")


async def to_csv(task: Task) -> Outcome:
    """Export the list to CSV, flattened."""
    return await _export(task, "csv")


async def _export(task: Task, output_format: str, *, company: str | None = None) -> Outcome:
    """Ask only for counts: the proof's requests are not what is compared."""
    name = SPELLING[task.job.resource]
    plan = ExportPlan(
        resources=[name], to=task.out, format=output_format, completeness="count", page_size=task.job.page_rows
    )
    async with client(task, company=company) as visma:
        manifest = await Export(visma, plan)
    return Outcome(rows=manifest.rows)

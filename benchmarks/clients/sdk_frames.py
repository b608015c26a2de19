"""Whole lists in memory, as tables. What is loaded on first use is loaded outside the clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.json  # noqa: F401 - as above

import vismanet_async._columns.arrow
import vismanet_async._paging.frames  # noqa: F401 - as above
from benchmarks.clients.sdk import SPELLING, client
from benchmarks.job import Outcome
from vismanet_async._columns.schema import columns_of

if TYPE_CHECKING:
    from benchmarks.job import Task

columns_of("Customer_GetAll")


async def to_arrow(task: Task) -> Outcome:
    """Have the list as an Arrow table."""
    async with client(task) as visma:
        listing = visma.list_by_name(SPELLING[task.job.resource]).with_options(page_size=task.job.page_rows)
        table = await listing.to_arrow()
    return Outcome(rows=table.num_rows, figures={"table_mb": table.nbytes / 1_000_000})


async def to_polars(task: Task) -> Outcome:
    """Have the list as a frame of polars."""
    async with client(task) as visma:
        listing = visma.list_by_name(SPELLING[task.job.resource]).with_options(page_size=task.job.page_rows)
        frame = await listing.to_polars()
    return Outcome(rows=frame.height)

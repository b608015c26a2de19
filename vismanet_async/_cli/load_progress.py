"""What a person sees while rows are written: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, TextIO

from vismanet_async._cli.progress import shown_every
from vismanet_async._cli.streams import is_quiet, say

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from vismanet_async._http.rate_limit import Quota
    from vismanet_async.bulk import BulkProgress, BulkRun

__all__ = ["load_progress_shown", "progress_line"]


@contextlib.asynccontextmanager
async def load_progress_shown(run: BulkRun, quota: Quota, out: TextIO) -> AsyncIterator[None]:
    """Show how far a run has come until the block is left."""
    if is_quiet(out):
        yield
        return
    with (_bar if out.isatty() else _lines)(run, quota, out) as show:
        async with shown_every(show, terminal=out.isatty()):
            yield


def progress_line(progress: BulkProgress, quota: Quota) -> str:
    """Return rows, rate, time left, what did not go well, and what is left of the quota."""
    of = "" if progress.total is None else f" of {progress.total:,}"
    parts = [f"{progress.rows:,}{of} rows", f"{progress.rows_per_second:,.1f} rows/s"]
    if progress.seconds_left is not None:
        minutes, seconds = divmod(round(progress.seconds_left), 60)
        parts.append(f"{minutes}:{seconds:02} left")
    for outcome, count in progress.outcomes.items():
        if outcome != "done" and count:
            parts.append(f"{count:,} {outcome.replace('_', ' ')}")
    if quota.remaining is not None:
        parts.append(f"quota left {quota.remaining:,}")
    return ", ".join(parts)


@contextlib.contextmanager
def _lines(run: BulkRun, quota: Quota, out: TextIO) -> Iterator[Callable[[], None]]:
    last = ""

    def show() -> None:
        nonlocal last
        line = progress_line(run.progress, quota)
        if line != last:
            last = line
            progress = run.progress
            say(out, line, rows=progress.rows, total=progress.total, outcomes=dict(progress.outcomes))

    yield show


@contextlib.contextmanager
def _bar(run: BulkRun, quota: Quota, out: TextIO) -> Iterator[Callable[[], None]]:
    # rich is only needed on a terminal, and costs start-up time
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, Progress, TextColumn  # noqa: PLC0415

    bars = Progress(
        BarColumn(bar_width=None), TextColumn("{task.fields[line]}"), console=Console(file=out), auto_refresh=False
    )
    bar = bars.add_task("load", total=run.progress.total, line="")

    def show() -> None:
        bars.update(bar, completed=run.progress.rows, line=progress_line(run.progress, quota))
        bars.refresh()

    with bars:
        yield show

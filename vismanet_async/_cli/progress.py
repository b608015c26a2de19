"""What a person sees while an export runs: a bar for each resource on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final, TextIO

import anyio

from vismanet_async._cli.output import counted
from vismanet_async._cli.streams import is_quiet, say
from vismanet_async._tasks import unwrap_group

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from vismanet_async._export.events import Progress
    from vismanet_async._export.plan import ExportPlan
    from vismanet_async._export.run import Export
    from vismanet_async._export.target.manifest import Manifest, ResourceEntry
    from vismanet_async._http.rate_limit import Quota

__all__ = ["progress_shown", "rows_of", "shown_every", "summary"]

_BAR_SECONDS: Final = 0.125
_LINE_SECONDS: Final = 5.0
_MEGABYTE: Final = 1_000_000


@contextlib.asynccontextmanager
async def progress_shown(export: Export, quota: Quota, out: TextIO) -> AsyncIterator[None]:
    """Show how far the export has come until the block is left."""
    if is_quiet(out):
        yield
        return
    with (_bars if out.isatty() else _lines)(export, quota, out) as show:
        async with shown_every(show, terminal=out.isatty()):
            yield


@contextlib.asynccontextmanager
async def shown_every(show: Callable[[], None], *, terminal: bool) -> AsyncIterator[None]:
    """Call `show` again and again: often on a terminal, seldom where it prints lines.

    And once at the end, but for one by an error: that comes next, and says more than a line of zeros before it.
    """
    with unwrap_group():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_repeat, show, _BAR_SECONDS if terminal else _LINE_SECONDS)
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()
            show()


async def _repeat(show: Callable[[], None], every_seconds: float) -> None:
    while True:
        await anyio.sleep(every_seconds)
        show()


@contextlib.contextmanager
def _lines(export: Export, quota: Quota, out: TextIO) -> Iterator[Callable[[], None]]:
    last: dict[str, str] = {}

    def show() -> None:
        for name, progress in export.progress.items():
            line = f"{name}: {rows_of(progress.rows, progress.total)}, {_details(progress, quota)}"
            if last.get(name) != line:
                last[name] = line
                counts = {"rows": progress.rows, "total": progress.total, "requests": progress.requests}
                say(out, line, resource=name, **counts, quota=quota.remaining)

    yield show


@contextlib.contextmanager
def _bars(export: Export, quota: Quota, out: TextIO) -> Iterator[Callable[[], None]]:
    # rich is only needed on a terminal, and costs start-up time
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, Progress as Bars, TaskID, TextColumn  # noqa: PLC0415

    bars = Bars(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[rows]}", justify="right"),
        TextColumn("[dim]{task.fields[details]}", justify="right"),
        console=Console(file=out),
        auto_refresh=False,
        expand=True,
    )
    rows: dict[str, TaskID] = {}

    def show() -> None:
        for name, progress in export.progress.items():
            if name not in rows:
                rows[name] = bars.add_task(name, total=None, rows="", details="")
            bars.update(
                rows[name],
                completed=progress.rows,
                total=progress.total,
                rows=rows_of(progress.rows, progress.total),
                details=_details(progress, quota),
            )
        bars.refresh()

    with bars:
        yield show


def rows_of(rows: int, total: int | None) -> str:
    """Return how many rows there are of how many."""
    if total is None:
        return counted(rows, "row")
    # rows can come after the total was told, or twice; more than there are would look wrong
    return f"{rows:,} of {max(rows, total):,} rows"


def _details(progress: Progress, quota: Quota) -> str:
    left = "" if quota.remaining is None else f", quota left {quota.remaining:,}"
    requests = counted(progress.requests, "request")
    return f"{progress.rows_per_second:,.0f} rows/s, {requests}, {progress.in_flight} in flight{left}"


def summary(manifest: Manifest, plan: ExportPlan) -> str:
    """Print in a few lines what was published."""
    names = list(plan.resources)
    wide = max(len(name) for name in names)
    lines = [
        f"{name:{wide}}  {entry.rows:>11,} {'row ' if entry.rows == 1 else 'rows'}  {entry.verdict:9}  "
        f"{entry.requests:>6,} {'request ' if entry.requests == 1 else 'requests'}  "
        f"{len(entry.parts):>4} {'part ' if len(entry.parts) == 1 else 'parts'}  "
        f"{sum(part.bytes for part in entry.parts) / _MEGABYTE:>9,.1f} MB"
        for name, entry in manifest.resources.items()
        if name in names
    ]
    lines += [line for name in names if (line := _brought(name, manifest.resources[name], wide)) is not None]
    lines += [line for name in names if (line := _deletions(name, manifest.resources[name], wide)) is not None]
    for name in names:
        entry = manifest.resources[name]
        if entry.unfit:
            lines.append(
                f"{name}: {sum(entry.unfit.values()):,} values do not fit their columns ({', '.join(entry.unfit)}): "
                "null there, and whole in _extra"
            )
        if entry.neutralised:
            lines.append(
                f"{name}: {entry.neutralised:,} cells got an apostrophe, as a spreadsheet would run them "
                "(--csv-keep-formulas leaves it out)"
            )
    seconds = (manifest.finished_at - manifest.started_at).total_seconds()
    return "\n".join([*lines, f"published {plan.to / 'manifest.json'} in {seconds:,.1f} s"])


def _brought(name: str, entry: ResourceEntry, wide: int) -> str | None:
    """Say what the last run brought, where the figures above are those of several."""
    if len(entry.runs) < 2:  # noqa: PLR2004 - one is the whole
        return None
    run = entry.runs[-1]
    known = f", {run.repeated:,} known already" if run.repeated else ""
    return (
        f"{name:{wide}}  this run: {counted(run.rows, 'row')} new or changed{known}, {counted(run.requests, 'request')}"
    )


def _deletions(name: str, entry: ResourceEntry, wide: int) -> str | None:
    sweep = entry.runs[-1].sweep if entry.runs else None
    if sweep is None:
        return None
    found = f"{sweep.deleted:,} found" if sweep.verdict == "proven" else f"{sweep.verdict}: {sweep.reason}"
    return f"{name:{wide}}  deletions: {found}, {counted(sweep.requests, 'request')}"

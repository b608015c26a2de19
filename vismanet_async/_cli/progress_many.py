"""What a person sees while many companies are exported: one bar for all and one for each that runs, or plain lines."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import TYPE_CHECKING, TextIO

from vismanet_async._cli.output import counted
from vismanet_async._cli.progress import rows_of, shown_every
from vismanet_async._cli.streams import is_quiet, say

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    from vismanet_async._export.batch import CompanyProgress, ExportMany

__all__ = ["many_shown"]


@contextlib.asynccontextmanager
async def many_shown(many: ExportMany, out: TextIO) -> AsyncIterator[None]:
    """Show how far the companies have come until the block is left."""
    if is_quiet(out):
        yield
        return
    with (_bars if out.isatty() else _lines)(many, out) as show:
        async with shown_every(show, terminal=out.isatty()):
            yield


@contextlib.contextmanager
def _lines(many: ExportMany, out: TextIO) -> Iterator[Callable[[], None]]:
    told: set[str] = set()
    last = ""

    def show() -> None:
        nonlocal last
        progress = many.progress
        for name, one in progress.items():
            if one.state in {"published", "failed"} and name not in told:
                told.add(name)
                say(out, f"{name}: {_end(one)}", company=name, rows=_rows(one)[0])
        line = _together(progress)
        if line != last:
            last = line
            say(out, line)

    yield show


@contextlib.contextmanager
def _bars(many: ExportMany, out: TextIO) -> Iterator[Callable[[], None]]:
    # rich is only needed on a terminal, and costs start-up time
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, Progress as Bars, TaskID, TextColumn  # noqa: PLC0415

    bars = Bars(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[details]}", justify="right"),
        console=Console(file=out),
        auto_refresh=False,
        expand=True,
    )
    total = bars.add_task("all companies", total=len(many.companies), details="")
    running: dict[str, TaskID] = {}
    told: set[str] = set()

    def show() -> None:
        progress = many.progress
        for name, one in progress.items():
            if one.state in {"published", "failed"} and name not in told:
                told.add(name)
                if name in running:
                    bars.remove_task(running.pop(name))
                bars.console.print(f"{name}: {_end(one)}", highlight=False, markup=False)
            elif one.state == "running":
                rows, expected = _rows(one)
                if name not in running:
                    running[name] = bars.add_task(name, total=None, details="")
                bars.update(running[name], completed=rows, total=expected, details=_details(one))
        bars.update(total, completed=len(told), details=_together(progress))
        bars.refresh()

    with bars:
        yield show


def _end(one: CompanyProgress) -> str:
    if one.error is not None:
        return f"FAILED {' '.join(str(one.error).split())}"
    return f"published, {counted(_rows(one)[0], 'row')}"


def _rows(one: CompanyProgress) -> tuple[int, int | None]:
    """Count rows read and expected; the latter only where every list has told its total."""
    totals = [progress.total for progress in one.resources.values()]
    known = [total for total in totals if total is not None]
    rows = sum(progress.rows for progress in one.resources.values())
    return rows, sum(known) if totals and len(known) == len(totals) else None


def _details(one: CompanyProgress) -> str:
    rows, expected = _rows(one)
    left = "" if one.quota_remaining is None else f", quota left {one.quota_remaining:,}"
    in_flight = sum(progress.in_flight for progress in one.resources.values())
    return f"{rows_of(rows, expected)}, {in_flight} in flight{left}"


def _together(progress: Mapping[str, CompanyProgress]) -> str:
    states = Counter(one.state for one in progress.values())
    lists = [each for one in progress.values() for each in one.resources.values()]
    failed = f", {states['failed']:,} failed" if states["failed"] else ""
    return (
        f"{states['published']:,} of {len(progress):,} companies published{failed}, {states['running']:,} running: "
        f"{counted(sum(each.rows for each in lists), 'row')}, "
        f"{counted(sum(each.requests for each in lists), 'request')}, "
        f"{sum(each.in_flight for each in lists):,} in flight"
    )

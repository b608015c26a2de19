"""Tables on the terminal, and the page and plots in `docs/`."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import cattrs
import msgspec
from rich.table import Table

from benchmarks.clients import CLIENTS
from benchmarks.groups import GROUPS
from benchmarks.measure import GroupResult  # noqa: TC001 - cattrs reads the annotations of Run

if TYPE_CHECKING:
    from rich.console import Console

    from benchmarks.groups import Figure, Group
    from benchmarks.measure import CaseResult, Spread

_DOCS = Path(__file__).parent.parent / "docs"
_PAGE = _DOCS / "benchmarks.md"
_ROOM = _DOCS / "benchmarks"
_FIGURES = _ROOM / "figures.json"

HEADINGS: dict[str, tuple[str, str]] = {
    "seconds": ("seconds", "{:.2f}"),
    "rows_per_second": ("rows/s", "{:,.0f}"),
    "cpu_seconds": ("CPU s", "{:.2f}"),
    "peak_mb": ("peak MB", "{:.0f}"),
    "grown_mb": ("grown MB", "{:.0f}"),
    "requests": ("requests", "{:.0f}"),
    "loop_p99_ms": ("held p99 ms", "{:.1f}"),
    "loop_p99_cpu_ms": ("of it CPU, p99 ms", "{:.1f}"),
    "loop_max_ms": ("held max ms", "{:.1f}"),
    "import_ms": ("import ms", "{:.0f}"),
    "import_mb": ("import MB", "{:.1f}"),
    "mb_written": ("MB written", "{:.1f}"),
    "polls_a_job": ("polls a job", "{:.2f}"),
    "delay_seconds": ("mean delay, s", "{:.2f}"),
    "delay_of_bound": ("of the bound", "{:.2f}"),
    "of_floor": ("of the floor", "{:.3f}"),
}
_WITH_SPREAD = {"seconds", "peak_mb", "loop_p99_ms", "import_ms"}
_USUAL = ("seconds", "rows_per_second", "cpu_seconds", "peak_mb", "requests")


@attrs.frozen(kw_only=True)
class Run:
    """A group's result with what its figures depend on."""

    result: GroupResult
    date: str
    machine: str
    versions: dict[str, str]
    command: str


def describe_run(result: GroupResult, *, command: str) -> Run:
    """Add machine, versions and date to a result."""
    packages = sorted({package for case in result.cases for package in CLIENTS[case.client].packages})
    return Run(
        result=result,
        date=datetime.now(tz=UTC).strftime("%Y-%m-%d %H:%M UTC"),
        machine=_machine(),
        versions={"Python": platform.python_version(), **{name: metadata.version(name) for name in packages}},
        command=command,
    )


def _machine() -> str:
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} x {model}, {memory_gb:.0f} GB, Linux {platform.release().split('-')[0]}"


def _spread(value: Spread, form: str, *, spread: bool = True) -> str:
    text = form.format(value.median)
    low, high = form.format(value.least), form.format(value.most)
    return text if low == high or not spread else f"{text} ({low} to {high})"


def _columns(group: Group) -> tuple[Figure | str, ...]:
    if group.figures and group.figures[0] in {"import_ms", "polls_a_job"}:
        return group.figures  # their time is nobody's
    return (*_USUAL, *group.figures)


def _ratio(group: Group, case: CaseResult, result: GroupResult) -> str:
    """How fast a case is, where the reference is 1; of medians, for the eye only (targets go by rounds)."""
    reference = next((other for other in result.cases if other.name == group.reference), None)
    if reference is None or not reference.figures or not case.figures:
        return ""
    return f"{reference.figures['seconds'].median / case.figures['seconds'].median:.2f}"


def _rows(group: Group, result: GroupResult, *, spreads: bool = True) -> tuple[list[str], list[list[str]]]:
    """Headings and cells of a group's table, the same on the terminal and on the page."""
    columns = _columns(group)
    headings = ["case", "client", *(HEADINGS[name][0] for name in columns), "rounds"]
    if group.reference:
        headings.insert(3, f"x {group.reference}")
    rows = []
    for case in result.cases:
        if case.failure:
            cells = ["failed", *[""] * (len(headings) - 3)]
        else:
            cells = [
                _spread(case.figures[name], HEADINGS[name][1], spread=spreads and name in _WITH_SPREAD)
                for name in columns
            ]
            cells.append(str(case.rounds))
            if group.reference:
                cells.insert(1, _ratio(group, case, result))
        rows.append([case.name, CLIENTS[case.client].label, *cells])
    return headings, rows


def _target_rows(result: GroupResult) -> list[list[str]]:
    return [[target.text, _spread(target.value, "{:.2f}"), target.bar, target.verdict] for target in result.targets]


def show(group: Group, result: GroupResult, console: Console) -> None:
    """Print a group's tables."""
    headings, rows = _rows(group, result, spreads=False)
    table = Table(title=f"{group.name}: {group.title}", title_justify="left")
    for position, heading in enumerate(headings):
        if heading != "client":
            table.add_column(heading, justify="right" if position else "left", no_wrap=True)
    for row in rows:
        table.add_row(row[0], *row[2:])
    console.print(table)
    if result.targets:
        targets = Table("claim", "figure (spread)", "bar", "verdict")
        colours = {"missed": "red", "reached": "green", "aim reached": "bold green"}
        for row in _target_rows(result):
            targets.add_row(*row, style=colours[row[-1]])
        console.print(targets)
    for case in result.cases:
        if case.failure:
            console.print(f"[red]{case.name}[/]: {case.failure}", highlight=False)


def write_page(runs: list[Run]) -> Path:
    """Replace earlier runs by these of the same groups, and write `docs/benchmarks.md` from all."""
    from benchmarks.plots import plot

    _ROOM.mkdir(parents=True, exist_ok=True)
    kept: dict[str, Run] = {}
    if _FIGURES.exists():
        stored = msgspec.json.decode(_FIGURES.read_bytes())
        kept = {name: cattrs.structure(plain, Run) for name, plain in stored.items()}
    kept |= {run.result.name: run for run in runs}
    known = {group.name: group for group in GROUPS}
    kept = {name: kept[name] for name in known if name in kept}
    plain: dict[str, Any] = {name: cattrs.unstructure(run) for name, run in kept.items()}
    _FIGURES.write_bytes(msgspec.json.format(msgspec.json.encode(plain), indent=1) + b"\n")
    parts = [_HEAD]
    summary = ["| claim | figure (spread) | bar | verdict |", "|---|---|---|---|"]
    sections = []
    for name, run in kept.items():
        group = known[name]
        summary += ["| " + " | ".join([f"[{group.title}](#{name}): {row[0]}", *row[1:]]) + " |"
                    for row in _target_rows(run.result)]  # fmt: skip
        sections.append(_section(group, run, image=plot(group, run.result, _ROOM)))
    parts += ["## Claims", "\n".join(summary), *sections]
    _PAGE.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return _PAGE


_HEAD = """\
# Benchmarks

<!-- written by `make bench`; edits are lost -->

All clients read the same pages from a page server on loopback that outruns them (its own CPU time is measured too).
Each measurement is a process of its own, imports outside the clock; rounds are interleaved, and a claim is judged by
the median of its ratios round by round, with their spread beside it. Only such ratios mean anything on another machine.
What a client read or wrote is checked (rows, and every key once) before its time counts. Peak memory is the process's
own high-water mark. Nothing here touched the real service: there a page takes hundreds of milliseconds, so requests in
flight, their number and memory come first."""


def _section(group: Group, run: Run, *, image: str | None) -> str:
    headings, rows = _rows(group, run.result)
    lines = [f"## {group.title} {{ #{group.name} }}", "", group.about, ""]
    if image:
        lines += [f"![{group.title}](benchmarks/{image})", ""]
    lines += ["| " + " | ".join(headings) + " |", "|---|---" + "|--:" * (len(headings) - 2) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    targets = _target_rows(run.result)
    if targets:
        lines += ["", "| claim | figure (spread) | bar | verdict |", "|---|--:|---|---|"]
        lines += ["| " + " | ".join(row) + " |" for row in targets]
    versions = ", ".join(f"{name} {version}" for name, version in run.versions.items())
    lines += ["", f"`{run.command}` on {run.date}; {run.machine}; {versions}."]
    return "\n".join(lines)

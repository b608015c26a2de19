"""Plots as SVG: one bar chart a group, lines where something grows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure as Canvas

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from benchmarks.groups import Group
    from benchmarks.measure import CaseResult, GroupResult

_OWN, _PEER, _HAND = "#1f6f8b", "#b8bec4", "#8fb8a8"
_BAR_FIGURE = {"memory": "peak_mb", "slow-consumer": "peak_mb", "requests": "requests", "event-loop": "loop_p99_ms",
               "imports": "import_ms", "polls": "delay_seconds"}  # fmt: skip
_AXIS = {"seconds": "seconds (less is better)", "peak_mb": "peak memory, MB", "requests": "requests",
         "loop_p99_ms": "event loop held, 99th percentile, ms", "import_ms": "milliseconds",
         "delay_seconds": "seconds until the end of a job is noticed, mean"}  # fmt: skip
_RATIO_FOR_LOG = 8


def plot(group: Group, result: GroupResult, room: Path) -> str | None:
    """Draw a group into `room`; give the file's name, or None where there is nothing to draw."""
    cases = [case for case in result.cases if case.figures]
    if not cases:
        return None
    # the same figures give the same file
    with mpl.rc_context({"svg.hashsalt": group.name, "font.size": 9, "svg.fonttype": "none"}):
        canvas = Canvas(figsize=(7.2, 0.34 * len(cases) + 1.0 if group.name != "concurrency" else 3.6))
        axes = canvas.add_subplot()
        if group.name == "concurrency":
            _lines(axes, cases)
        else:
            _bars(axes, cases, _BAR_FIGURE.get(group.name, "seconds"))
        axes.spines[["top", "right"]].set_visible(False)
        canvas.tight_layout()
        name = f"{group.name}.svg"
        canvas.savefig(room / name, metadata={"Date": None})
    return name


def _colour(client: str) -> str:
    return _OWN if client.endswith("sdk") or client.startswith("sdk") else _HAND if client.startswith("hand") else _PEER


def _bars(axes: Axes, cases: list[CaseResult], figure: str) -> None:
    values = [case.figures[figure].median for case in cases]
    errors = [
        [value - case.figures[figure].least for value, case in zip(values, cases, strict=True)],
        [case.figures[figure].most - value for value, case in zip(values, cases, strict=True)],
    ]
    places = range(len(cases))
    axes.barh(places, values, xerr=errors, color=[_colour(case.client) for case in cases], ecolor="#555555")
    axes.set_yticks(places, [case.name for case in cases])
    axes.invert_yaxis()
    axes.set_xlabel(_AXIS[figure])
    if min(values) > 0 and max(values) / min(values) > _RATIO_FOR_LOG:
        axes.set_xscale("log")
        axes.set_xlabel(_AXIS[figure] + ", log scale")
    for place, value in zip(places, values, strict=True):
        axes.annotate(f" {value:,.3g}" if value < 1000 else f" {value:,.0f}", (value, place), va="bottom", fontsize=7)


def _lines(axes: Axes, cases: list[CaseResult]) -> None:
    points: dict[str, list[tuple[int, float]]] = {}
    for case in cases:
        in_flight = re.search(r"(\d+) in flight", case.name)
        if in_flight:
            points.setdefault(case.client, []).append((int(in_flight[1]), case.figures["seconds"].median))
    for client, series in points.items():
        axes.plot(*zip(*series, strict=True), marker="o", label=client)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlabel("requests in flight")
    axes.set_ylabel("seconds (less is better)")
    axes.legend(frameon=False)

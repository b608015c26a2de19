"""Small charts as inline SVG and HTML, without IO. The plot stretches with the page, its text keeps its size."""

from __future__ import annotations

import math
from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING, Final

import attrs
from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["Series", "bars", "in_flight", "latency_bars", "line_chart", "merged", "thinned", "ticks"]

Point = tuple[float, float]
Span = tuple[float, float]

_WIDTH: Final = 1000
_HEIGHT: Final = 300
"""In units of the drawing, which is stretched to the width of the page."""
_COLOURS: Final = 6
_COLUMNS: Final = 240
"""As many as can be distinguished; each keeps its first, least, greatest and last point."""
_MOST_TICKS: Final = 5
_LATENCY_BOUNDS: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""In seconds; each bar covers the times from one bound to the next."""


@attrs.frozen
class Series:
    """One line of a chart."""

    label: str
    points: Sequence[Point]
    """Ascending in x."""


def line_chart(
    title: str,
    series: Sequence[Series],
    *,
    until: float,
    unit: str,
    step: bool = False,
    area: bool = False,
    bands: Iterable[Span] = (),
    top: float = 0.0,
) -> Markup:
    """Return a line chart of values over seconds.

    Args:
        title: of the chart, for screen readers.
        series: the lines; each has a colour, and a dash pattern if colours repeat.
        until: the right end in seconds.
        unit: of the values, for screen readers.
        step: keep a value until the next one, instead of a slope between them.
        area: fill what is below the line.
        bands: spans of time to shade.
        top: the y axis reaches at least here.
    """
    highest = max([top, 1.0, *(y for one in series for _, y in one.points)])
    rows = ticks(highest)
    columns = ticks(until, most=_MOST_TICKS + 1) if until > 0 else [0.0]
    across, upward = until or 1.0, rows[-1]

    def x(value: float) -> str:
        return f"{value / across * _WIDTH:.1f}"

    def y(value: float) -> str:
        return f"{_HEIGHT - value / upward * _HEIGHT:.1f}"

    shapes = [
        Markup('<rect class="band" x="{}" y="0" width="{}" height="{}"/>').format(x(begin), x(end - begin), _HEIGHT)
        for begin, end in bands
    ]
    shapes += [Markup('<path class="grid" d="M0 {}H{}"/>').format(y(row), _WIDTH) for row in rows]
    for number, one in enumerate(series):
        points = thinned(one.points, until=across)
        if not points:
            continue
        line = _path(points, x, y, step=step)
        style = f"c{number % _COLOURS} d{number // _COLOURS % 3}"
        if area:
            shape = f"{line}V{_HEIGHT}H{x(points[0][0])}Z"
            shapes.append(Markup('<path class="area {}" d="{}"/>').format(style, shape))
        shapes.append(Markup('<path class="line {}" d="{}"/>').format(style, line))
    last = ", ".join(f"{one.label}: {one.points[-1][1]:,.0f} {unit}" for one in series if one.points)
    legend = Markup("").join(
        Markup('<li><i class="c{} d{}"></i>{}</li>').format(number % _COLOURS, number // _COLOURS % 3, one.label)
        for number, one in enumerate(series)
    )
    return Markup(
        '<figure class="chart">{legend}<div class="plot"><div class="y">{y}</div>'
        '<svg viewBox="0 0 {w} {h}" preserveAspectRatio="none" role="img" aria-label="{label}">{shapes}</svg>'
        '<div class="x">{x}</div></div></figure>'
    ).format(
        legend=Markup("<figcaption><ul>{}</ul></figcaption>").format(legend) if len(series) > 1 else "",
        y=Markup("").join(
            Markup('<span style="bottom:{:.1f}%">{}</span>').format(row / upward * 100, _short(row)) for row in rows
        ),
        x=Markup("").join(
            Markup('<span style="left:{:.1f}%">{}</span>').format(column / across * 100, f"{column:g} s")
            for column in columns
            if column <= across
        ),
        w=_WIDTH,
        h=_HEIGHT,
        label=f"{title}. At the end: {last or 'nothing'}",
        shapes=Markup("").join(shapes),
    )


def bars(rows: Sequence[tuple[str, int]]) -> Markup:
    """Return a bar chart with one bar per row: its label and its count."""
    most = max([1, *(count for _, count in rows)])
    return Markup('<div class="bars">{}</div>').format(
        Markup("").join(
            Markup('<span>{}</span><b><i style="width:{:.1f}%"></i></b><span>{:,}</span>').format(
                label, count / most * 100, count
            )
            for label, count in rows
        )
    )


def latency_bars(seconds: Sequence[float]) -> list[tuple[str, int]]:
    """Return counts of times by order of magnitude, from the fastest to the slowest, gaps included.

    Examples:
        >>> latency_bars([0.012, 0.013, 0.07])
        [('10 to 20 ms', 2), ('20 to 50 ms', 0), ('50 to 100 ms', 1)]
    """
    counts = Counter(sum(bound <= one for bound in _LATENCY_BOUNDS) for one in seconds)
    if not counts:
        return []
    return [(_between(place), counts[place]) for place in range(min(counts), max(counts) + 1)]


def in_flight(flights: Iterable[Span]) -> list[Point]:
    """Return how many spans overlap at each moment at which that changes.

    Examples:
        >>> in_flight([(0.0, 2.0), (1.0, 3.0)])
        [(0.0, 1), (1.0, 2), (2.0, 1), (3.0, 0)]
    """
    edges = sorted(edge for begin, end in flights for edge in ((begin, 1), (end, -1)))
    points: list[Point] = []
    now = 0
    for moment, changes in groupby(edges, key=lambda edge: edge[0]):
        now += sum(change for _, change in changes)
        points.append((moment, now))
    return points


def merged(spans: Iterable[Span]) -> list[Span]:
    """Return the union of spans as spans that do not overlap.

    Examples:
        >>> merged([(4.0, 5.0), (0.0, 2.0), (1.0, 3.0)])
        [(0.0, 3.0), (4.0, 5.0)]
    """
    out: list[Span] = []
    for begin, end in sorted(spans):
        if out and begin <= out[-1][1]:
            out[-1] = (out[-1][0], max(end, out[-1][1]))
        else:
            out.append((begin, end))
    return out


def thinned(points: Sequence[Point], *, until: float) -> list[Point]:
    """Return the visible points: the first, least, greatest and last one of each column of the drawing."""
    kept: list[Point] = []
    for _, column in groupby(points, key=lambda point: int(point[0] / until * _COLUMNS)):
        here = list(enumerate(column))
        chosen = {
            0: here[0][1],
            **dict((min(here, key=_height), max(here, key=_height), here[-1])),
        }
        kept += [chosen[number] for number in sorted(chosen)]
    return kept


def ticks(top: float, *, most: int = _MOST_TICKS) -> list[float]:
    """Return round numbers from 0 up to the first that is not below `top`.

    Examples:
        >>> ticks(53_000), ticks(7)
        ([0, 20000, 40000, 60000], [0, 2, 4, 6, 8])
    """
    rough = top / (most - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(size * power for size in (1, 2, 5, 10) if size * power >= rough * 0.999)
    count = math.ceil(top / step - 1e-9)
    return [round(number * step, 9) if step < 1 else int(number * step) for number in range(count + 1)]


def _path(points: Sequence[Point], x: Callable[[float], str], y: Callable[[float], str], *, step: bool) -> str:
    first, *rest = points
    moves = [f"H{x(a)}V{y(b)}" if step else f"L{x(a)} {y(b)}" for a, b in rest]
    return f"M{x(first[0])} {y(first[1])}{''.join(moves) or 'h0'}"  # a point alone is a dot


def _height(numbered: tuple[int, Point]) -> float:
    return numbered[1][1]


def _between(place: int) -> str:
    if place == 0:
        return f"under {_time(_LATENCY_BOUNDS[0])}"
    if place == len(_LATENCY_BOUNDS):
        return f"over {_time(_LATENCY_BOUNDS[-1])}"
    low, high = _LATENCY_BOUNDS[place - 1 : place + 1]
    same_unit = (low < 1) == (high < 1)
    return f"{_time(low).split(' ')[0] if same_unit else _time(low)} to {_time(high)}"


def _time(seconds: float) -> str:
    return f"{seconds * 1000:g} ms" if seconds < 1 else f"{seconds:g} s"


def _short(number: float) -> str:
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if number >= size:
            return f"{number / size:g} {letter}"
    return f"{number:g}"

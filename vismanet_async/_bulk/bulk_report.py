"""`BulkReport`: what became of the rows of a bulk run, as one HTML page without network and script."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, Self

from markupsafe import Markup

from vismanet_async._bulk.rows import GOOD, OUTCOMES
from vismanet_async._clock import SystemClock
from vismanet_async._export.html_file import write_page
from vismanet_async._export.report_charts import Point, Series, bars, line_chart, thinned
from vismanet_async._export.report_page import document, section, table

if TYPE_CHECKING:
    from pathlib import Path

    from vismanet_async._bulk.rows import BulkSummary, Outcome, RowResult
    from vismanet_async._clock import Clock

__all__ = ["BulkReport"]

_MOST_SHOWN: Final = 200
"""Rows that are named; the journal has them all."""
_MOST_KINDS: Final = 20
_LEAST_SECONDS: Final = 0.001
"""The right end of the chart of a run that took no time."""
_POINTS: Final = 2_000
"""The chart keeps so many points at most."""


class BulkReport:
    """Collects the results of a bulk run and renders them as one HTML page.

    Call `add` with everything that `async for result in run` yields. `html()` can be called at any time, also for a run
    that failed. Memory: a few thousand points and the first 200 rows that are not done. The page has keys, ids and
    texts of errors, all escaped, and no bodies; its policy forbids scripts and network. Not thread-safe.

    Examples:
        >>> from vismanet_async.bulk import Row
        >>> report = BulkReport(title="Customers")
        >>> run = visma.bulk.run([Row("a", visma.customer.create({"name": "Vega AS"}))], journal="load.sqlite")
        >>> async for result in run:
        ...     _ = report.add(result)
        >>> "1 row: 1 done" in report.html(run.summary)
        True
    """

    def __init__(self, *, title: str = "Bulk run", clock: Clock | None = None) -> None:
        """Create an empty report of a run that begins now."""
        self.title = title
        self.outcomes: Counter[Outcome] = Counter()
        """Rows by their outcome."""
        self._clock = clock or SystemClock()
        self._began_at = self._clock.monotonic()
        self._began = self._clock.utc_now()
        self._points: list[Point] = [(0.0, 0)]
        self._every = 1
        self._kinds: Counter[tuple[str, int | None]] = Counter()
        self._shown: list[RowResult] = []
        self._earlier = 0

    def add(self, result: RowResult) -> Self:
        """Take the result of one row."""
        self.outcomes[result.outcome] += 1
        self._earlier += result.earlier
        rows = self.outcomes.total()
        if rows % self._every == 0:
            self._points.append((self._seconds, rows))
        if len(self._points) > _POINTS:
            self._points, self._every = self._points[::2], self._every * 2
        if result.outcome not in GOOD:
            self._kinds[result.error_type or result.outcome, result.status] += 1
            if len(self._shown) < _MOST_SHOWN:
                self._shown.append(result)
        return self

    def html(self, summary: BulkSummary | None = None) -> str:
        """Return the page.

        Args:
            summary: of the run, if it came to its end.
        """
        seconds = summary.seconds if summary is not None else self._seconds
        counts = [(_words(name), self.outcomes[name]) for name in OUTCOMES if self.outcomes[name]]
        parts = [
            self._header(summary),
            self._tiles(seconds),
            section("Outcomes", None, bars(counts)),
            section("Rows over time", None, self._chart(seconds)),
            section("What failed", "By kind of error and HTTP status.", self._errors()),
            section("Rows that are not done", self._more(), self._rows(), long=True),
        ]  # fmt: skip
        return document(self.title, Markup("\n").join(parts))

    def write(self, path: Path, summary: BulkSummary | None = None) -> None:
        """Write the page to a file, in one step.

        Raises:
            TargetNotWritable: it cannot be written, or would replace something else than a page of ours, or the path is
                no regular file.
        """
        write_page(path, self.html(summary))

    @property
    def _seconds(self) -> float:
        return self._clock.monotonic() - self._began_at

    def _header(self, summary: BulkSummary | None) -> Markup:
        if summary is None:
            kind, sign, text = "failed", "✕", "The run did not come to its end. Start it again: it goes on."
        elif summary.complete:
            kind, sign, text = "proven", "✓", f"{summary}."
        else:
            kind, sign, text = "uncertain", "!", f"{summary}."
        return Markup(
            '<header><h1>{}</h1><p>{} UTC</p><div class="banner {}" role="status"><span aria-hidden="true">{}</span>'
            "<p>{}</p></div></header>"
        ).format(self.title, f"{self._began:%Y-%m-%d %H:%M:%S}", kind, sign, text)

    def _tiles(self, seconds: float) -> Markup:
        rows = self.outcomes.total()
        good = sum(self.outcomes[name] for name in GOOD)
        tiles = [
            ("Rows", f"{rows:,}", f"{self._earlier:,} known from before" if self._earlier else ""),
            ("As wanted", f"{good:,}", ""),
            ("Not done", f"{rows - good:,}", ""),
            ("Time", f"{seconds:,.1f} s", f"{rows / seconds:,.1f} rows/s" if seconds else ""),
        ]
        return Markup('<dl class="tiles">{}</dl>').format(
            Markup("").join(
                Markup("<div><dt>{}</dt><dd>{} <small>{}</small></dd></div>").format(*tile) for tile in tiles
            )
        )

    def _chart(self, seconds: float) -> Markup:
        seconds = max(seconds, _LEAST_SECONDS)
        points = [*self._points, (seconds, self.outcomes.total())]
        series = [Series("rows", thinned(points, until=seconds))]
        return line_chart("Rows that have ended, over time", series, until=seconds, unit="rows", area=True)

    def _errors(self) -> Markup:
        return table(
            [
                [("name", "Error", kind), ("n", "Status", status or ""), ("n", "Rows", f"{count:,}")]
                for (kind, status), count in self._kinds.most_common(_MOST_KINDS)
            ]
        )

    def _rows(self) -> Markup:
        return table(
            [
                [
                    ("name", "Key", result.key),
                    ("n", "Row", f"{result.position:,}"),
                    ("", "Outcome", _words(result.outcome)),
                    ("wide", "Why", result.error or ""),
                    ("", "VismaId", result.reference or ""),
                ]
                for result in self._shown
            ]
        )

    def _more(self) -> str | None:
        count = sum(rows for name, rows in self.outcomes.items() if name not in GOOD)
        return f"The first {_MOST_SHOWN} of {count:,}; the journal has them all." if count > _MOST_SHOWN else None


def _words(outcome: str) -> str:
    return outcome.replace("_", " ")

"""Renders the report's page. All text from data goes through `Markup.format`, which escapes it."""

from __future__ import annotations

import platform
from importlib import resources
from statistics import quantiles
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

from vismanet_async._export.html_file import PAGE_MARK
from vismanet_async._export.report_charts import Series, bars, in_flight, latency_bars, line_chart, merged

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from vismanet_async._export.report import ListRecord, Report
    from vismanet_async._export.target.manifest import ResourceEntry

__all__ = ["document", "page", "section", "table"]

_DOCUMENT: Final = Markup("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
{mark}
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
{css}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
""")
_VERDICTS: Final = {
    "proven": ("✓", "Proven"),
    "counted": ("=", "Counted"),
    "uncertain": ("!", "Uncertain"),
    "failed": ("✕", "Not finished"),
}
"""Weakest last; each with a sign, because not every reader and printer has colours."""
_STRENGTH: Final = tuple(_VERDICTS)
_WAITS: Final = {
    "quota": "the quota",
    "slot": "a place in flight",
    "backoff": "the next try",
    "token": "a token",
}
_MOST_LINES: Final = 12
"""In a chart; more cannot be distinguished."""
_UNITS: Final = ("B", "kB", "MB", "GB", "TB")


def page(report: Report) -> str:
    """Return the page of a report."""
    parts = [
        _header(report),
        _tiles(report),
        _verdicts(report),
        section("Pages over time", None, _pages_chart(report)),
        Markup('<div class="pair">{}{}</div>').format(
            section("Requests in flight", None, _flight_chart(report)),
            section("Quota left", None, _quota_chart(report)),
        ),
        Markup('<div class="pair">{}{}</div>').format(
            section("Latency", _latency_words(report.latencies_seconds), _latency_chart(report)),
            section("Shifts and repairs", "What moved while the lists were read, and what was done about it.",
                     _shifts(report)),
        ),
        section("Retries and pauses", "What had to be asked for again, and what requests waited for.",
                 _retries(report)),
        _files(report),
        _facts(report),
    ]  # fmt: skip
    return document(report.title, Markup("\n").join(part for part in parts if part))


def document(title: str, body: Markup) -> str:
    """Return a page that needs nothing but itself, and whose policy forbids scripts and network."""
    return str(_DOCUMENT.format(mark=Markup(PAGE_MARK), title=title, css=Markup(_css()), body=body))  # noqa: S704 - our own file


def _css() -> str:
    return resources.files("vismanet_async._export").joinpath("report.css").read_text("utf-8")


def _header(report: Report) -> Markup:
    when = " to ".join(_moment(moment) for moment in _times(report))
    weakest = max((_verdict(one) for one in report.lists.values()), key=_STRENGTH.index, default="failed")
    if report.errors or not report.manifests:
        weakest = "failed"
    sign, _ = _VERDICTS[weakest]
    count = len(report.lists)
    lists = "The list" if count == 1 else f"All {count} lists"
    words: Sequence[str] = {
        "proven": [f"{lists} proven complete: nothing was lost, nothing is there twice."],
        "counted": [f"{lists} complete by count; not all could be proven, because the API has no filter for it there."],
        "uncertain": ["At least one list could not be shown complete. It was published because that was allowed."],
        "failed": report.errors or ["The export has not come to its end. Nothing of it was published."],
    }[weakest]
    if report.errors and report.manifests:
        words = [*words, f"{len(report.manifests):,} companies were published all the same: those with files below."]
    return Markup(
        "<header><h1>{title}</h1><p>{when}</p>{banners}</header>"
    ).format(
        title=report.title,
        when=when or "not published",
        banners=Markup("").join(
            Markup('<div class="banner {}" role="status"><span aria-hidden="true">{}</span><p>{}</p></div>').format(
                weakest, sign, text
            )
            for text in words
        ),
    )  # fmt: skip


def _tiles(report: Report) -> Markup:
    entries = [entry for _, _, entry in _entries(report)]
    rows = sum(entry.rows for entry in entries) if entries else sum(one.rows for one in report.lists.values())
    written = sum(part.bytes for entry in entries for part in entry.parts)
    peak = max((count for _, count in in_flight(report.flights)), default=0)
    seconds = report.seconds
    tiles = [
        ("Rows", f"{rows:,}", ""),
        ("Time", _duration(seconds), f"{rows / seconds:,.0f} rows/s" if seconds else ""),
        ("Requests", f"{sum(one.requests for one in report.lists.values()):,}", f"at most {peak:g} in flight"),
        ("Received", _size(report.bytes_received), ""),
        ("Written", _size(written), f"{sum(len(entry.parts) for entry in entries):,} files"),
    ]
    return Markup('<dl class="tiles">{}</dl>').format(
        Markup("").join(
            Markup("<div><dt>{}</dt><dd>{} <small>{}</small></dd></div>").format(label, value, note)
            for label, value, note in tiles
        )
    )


def _verdicts(report: Report) -> Markup:
    entries = {(company, name): entry for company, name, entry in _entries(report)}
    rows = []
    for key, one in report.lists.items():
        entry, done = entries.get(key), one.completeness
        sign, word = _VERDICTS[_verdict(one)]
        badge = Markup('<span class="verdict {}">{} {}</span>').format(_verdict(one), sign, word)
        reason = done.reason if done else "Reading it was stopped."
        rows.append([
            ("name", "List", Markup("{}<small>{}</small>").format(_breakable(one.name), one.company or "")),
            ("", "Verdict", badge),
            ("n", "Rows", f"{entry.rows if entry else one.rows:,}"),
            ("n", "Server's total", _total(done)),
            ("n", "Requests", f"{one.requests:,}"),
            ("wide", "Rests on", reason),
        ])  # fmt: skip
    return section("Verdicts", None, table(rows), long=True)


def _pages_chart(report: Report) -> Markup:
    lists = report.lists.values()
    series = [Series(_label(report, one.company, one.name), one.pages) for one in lists]
    if len(series) > _MOST_LINES:
        moments = sorted(moment for one in lists for moment, _ in one.pages)
        series = [Series(f"all {len(lists):,} lists together", [(at, count) for count, at in enumerate(moments, 1)])]
    return line_chart("Pages over time", series, until=report.seconds, unit="pages")


def _flight_chart(report: Report) -> Markup:
    pauses = merged(report.pauses)
    series = [Series("in flight", in_flight(report.flights))]
    chart = line_chart(
        "Requests in flight", series, until=report.seconds, unit="requests", step=True, area=True, bands=pauses
    )
    note = Markup('<p class="soft">Shaded: everybody waits for the quota.</p>') if pauses else Markup("")
    return chart + note


def _quota_chart(report: Report) -> Markup:
    if not report.quota:
        return Markup('<p class="soft">The server told nothing about a quota.</p>')
    least = sorted(report.quota.items(), key=lambda item: min(left for _, left in item[1]))[:_MOST_LINES]
    series = [Series(company or "requests left", sorted(points)) for company, points in least]
    top = float(report.quota_limit or 0)
    chart = line_chart("Quota left", series, until=report.seconds, unit="requests", step=True, area=True, top=top)
    notes = [f"Of {report.quota_limit:,} in a window."] if report.quota_limit is not None else []
    if len(report.quota) > _MOST_LINES:
        notes.append(f"The {_MOST_LINES} companies with the least left.")
    return chart + Markup('<p class="soft">{}</p>').format(" ".join(notes))


def _latency_words(seconds: Sequence[float]) -> str:
    if len(seconds) < 2:  # noqa: PLR2004 - fewer have no distribution
        return "Too few requests to tell."
    cuts = quantiles(seconds, n=100, method="inclusive")
    return (
        f"Half of the answers within {_milliseconds(cuts[49])}, 95 % within {_milliseconds(cuts[94])}, "
        f"the slowest took {_milliseconds(max(seconds))}."
    )


def _latency_chart(report: Report) -> Markup:
    return bars(latency_bars(report.latencies_seconds))


def _shifts(report: Report) -> Markup:
    return table([
        [
            ("name", "List", _breakable(_label(report, one.company, one.name))),
            ("n", "Shifts", f"{done.shifts:,}"),
            ("n", "Pages read again", f"{done.repairs:,}"),
            ("n", "Duplicates dropped", f"{done.duplicates_dropped:,}"),
            ("n", "Newer versions", f"{done.superseded:,}"),
        ]
        for one in report.lists.values()
        if (done := one.completeness) is not None
    ])  # fmt: skip


def _retries(report: Report) -> Markup:
    rows = [
        [
            ("name", "List", _breakable(_label(report, one.company, one.name))),
            ("wide", "Tried again or given up", _listed(f"{what}: {count:,}" for what, count in one.outcomes.items())),
            ("wide", "Waited, all requests together", _listed(
                f"{_duration(seconds)} for {_WAITS.get(what, what)}" for what, seconds in one.waited_seconds.items()
            )),
        ]
        for one in report.lists.values()
    ]  # fmt: skip
    return table(rows)


def _files(report: Report) -> Markup | None:
    rows = [
        [
            ("name", "File", Markup("{}<small>{}</small>").format(_breakable(part.file), company or "")),
            ("n", "Rows", f"{part.rows:,}"),
            ("n", "Size", _size(part.bytes)),
            ("wide", "SHA-256", Markup("<code>{}</code>").format(part.sha256)),
        ]
        for company, _, entry in _entries(report)
        for part in entry.parts
    ]
    return section("Files", None, table(rows), long=True) if rows else None


def _facts(report: Report) -> Markup:
    facts: list[tuple[str, Any]] = []
    for _, manifest in report.manifests:
        facts += [("Company", manifest.company or "not told"), ("Read from", manifest.base_url or "not told")]
        facts.append(("Written by", manifest.tool))
    for company, name, entry in _entries(report):
        facts.append((_label(report, company, name), "; ".join(_about(entry))))
    facts.append(("Drawn with", f"Python {platform.python_version()} on {platform.system()}"))
    return section(
        "How it was read",
        None,
        Markup('<dl class="facts">{}</dl>').format(
            Markup("").join(Markup("<dt>{}</dt><dd>{}</dd>").format(name, text) for name, text in facts)
        ),
        long=True,
    )


def _about(entry: ResourceEntry) -> Iterator[str]:
    yield f"as {entry.format}"
    if entry.filters:
        yield "only " + ", ".join(f"{name} {value}" for name, value in entry.filters.items())
    if entry.window:
        yield f"frozen before {entry.window}"
    if entry.watermark:
        yield f"newest change {entry.watermark}"


def section(title: str, words: str | None, body: Markup, *, long: bool = False) -> Markup:
    """Return a section with a heading; a long one may be broken between pages when it is printed."""
    return Markup("<section{}><h2>{}</h2>{}{}</section>").format(
        Markup(' class="long"') if long else "", title, Markup("<p>{}</p>").format(words) if words else "", body
    )


def table(rows: Sequence[Sequence[tuple[str, str, Any]]]) -> Markup:
    """Return a table of rows of (class, column, content); on a narrow screen each row becomes a card."""
    if not rows:
        return Markup('<p class="soft">Nothing.</p>')
    head = Markup("").join(
        Markup('<th scope="col"{}>{}</th>').format(Markup(' class="n"') if kind == "n" else "", column)
        for kind, column, _ in rows[0]
    )
    body = Markup("\n").join(
        Markup("<tr>{}</tr>").format(
            Markup("").join(
                Markup('<td class="{}" data-label="{}"><span>{}</span></td>').format(kind, column, content)
                for kind, column, content in row
            )
        )
        for row in rows
    )
    return Markup("<table><thead><tr>{}</tr></thead><tbody>\n{}\n</tbody></table>").format(head, body)


def _entries(report: Report) -> Iterator[tuple[str | None, str, ResourceEntry]]:
    """Yield the entries of the report's own lists; a manifest holds entries of earlier runs too."""
    for company, manifest in report.manifests:
        for name, entry in manifest.resources.items():
            if (company, name) in report.lists:
                yield company, name, entry


def _verdict(one: ListRecord) -> str:
    return one.completeness.verdict if one.completeness else "failed"


def _total(done: Any) -> str:
    if done is None or done.total_last is None:
        return "not told"
    first, last = done.total_first, done.total_last
    return f"{last:,}" if first == last else f"{first:,} → {last:,}"


def _label(report: Report, company: str | None, name: str) -> str:
    several = len({company for company, _ in report.lists}) > 1
    return f"{name} · {company}" if several else name


def _breakable(name: str) -> Markup:
    """Return a name that can break across lines at an underscore."""
    return Markup("_<wbr>").join(name.split("_"))


def _times(report: Report) -> Iterator[datetime]:
    if report.manifests:
        yield min(manifest.started_at for _, manifest in report.manifests)
        yield max(manifest.finished_at for _, manifest in report.manifests)


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(texts) or "nothing"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _duration(seconds: float) -> str:
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _size(count: int) -> str:
    size, unit = float(count), 0
    while size >= 1000 and unit < len(_UNITS) - 1:  # noqa: PLR2004 - of each unit
        size, unit = size / 1000, unit + 1
    return f"{size:.0f} {_UNITS[unit]}" if unit == 0 else f"{size:.1f} {_UNITS[unit]}"

"""The report of an export: collected from its events, rendered as one HTML page.

The page is self-contained: no network, no script. `report_page` and `report.css` render it.
"""

from __future__ import annotations

from collections import Counter
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

import anyio
import attrs
from anyio import to_thread

from vismanet_async._clock import SystemClock
from vismanet_async._deferred import mark_used
from vismanet_async._export.batch import CompanyDone, CompanyEvent, CompanyStarted, ManyOutcome
from vismanet_async._export.events import PageWritten, Published, RequestEnded, ResourceDone, ResourceIncomplete
from vismanet_async._export.files import refuse_in_export
from vismanet_async._export.html_file import write_page
from vismanet_async._export.report_page import page
from vismanet_async.errors import VismaNetError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from vismanet_async._clock import Clock
    from vismanet_async._export.batch import CompanyOutcome, ExportMany, ManyEvent
    from vismanet_async._export.events import Event
    from vismanet_async._export.run import Export
    from vismanet_async._export.target.locations import Location
    from vismanet_async._export.target.manifest import Manifest
    from vismanet_async._paging.guarantee import Completeness
    from vismanet_async.errors import Attempt

__all__ = ["ListRecord", "Report", "run_many_reported", "run_reported"]

Span = tuple[float, float]
"""Start and end, in seconds since the export began."""


@attrs.define
class ListRecord:
    """The figures of one list of one company."""

    name: str
    company: str | None = None
    rows: int = 0
    pages: list[tuple[float, int]] = attrs.field(factory=list)
    """When each page was written, and its number from 1."""
    completeness: Completeness | None = None
    """None: the list was not read to its end."""
    requests: int = 0
    outcomes: Counter[str] = attrs.field(factory=Counter)
    """Counts of failed attempts by their outcome: `429`, `read timeout`."""
    waited_seconds: dict[str, float] = attrs.field(factory=dict)
    """Sum of all requests' waits by cause: `quota`, `slot`, `backoff`, `token`."""


class Report:
    """Collects the events of an export and renders them as one HTML page.

    `html()` is one document of a few dozen KiB, with charts thinned to what can be seen. Memory: some 100 bytes per
    request. Events hold no secrets. All text from data is escaped, and the page's policy forbids scripts and network.

    Call `add` with everything that `async for event in export` yields; events of several companies may alternate. The
    page can be rendered at any time, also for an export that failed (`failed`). Not thread-safe.

    Examples:
        >>> report = Report()
        >>> async for event in visma.export(["customer"], to="reported"):
        ...     _ = report.add(event)
        >>> report.html().startswith("<!doctype html>")
        True
    """

    def __init__(self, *, title: str = "Export", clock: Clock | None = None) -> None:
        self.title = title
        self._clock = clock or SystemClock()
        self._started = self._clock.monotonic()
        self._delays: dict[str, float] = {}
        """Seconds from the start of the report to the start of each company."""
        self.lists: dict[tuple[str | None, str], ListRecord] = {}
        self.manifests: list[tuple[str | None, Manifest]] = []
        """The published manifests, with the company of their events."""
        self.flights: list[Span] = []
        """One span per attempt of a request."""
        self.pauses: list[Span] = []
        """When requests waited for the quota."""
        self.latencies_seconds: list[float] = []
        """Of each attempt."""
        self.quota: dict[str | None, list[tuple[float, int]]] = {}
        """Requests left, by company, as the server reported."""
        self.quota_limit: int | None = None
        self.bytes_received = 0
        self.seconds = 0.0
        """The time of the latest event, since the export began."""
        self.errors: list[str] = []
        """The texts of errors that ended exports."""

    def add(self, event: Event | ManyEvent, *, company: str | None = None) -> Self:
        """Add one event.

        Args:
            event: of an `Export` or an `ExportMany`.
            company: of the event, if several exports are reported together.
        """
        match event:
            case CompanyStarted():
                self._delays[event.company.name] = self._clock.monotonic() - self._started
            case CompanyEvent():
                self.add(_later(event.event, self._delays[event.company.name]), company=event.company.name)
            case CompanyDone():
                if event.outcome.error is not None:
                    self.failed(event.outcome.error, company=event.outcome.company.name)
            case RequestEnded():
                self._request(event, company)
            case PageWritten():
                record = self._list(company, event.resource)
                record.rows = event.progress.rows
                record.pages.append((event.at_seconds, len(record.pages) + 1))
                self._reached(event.at_seconds)
            case ResourceDone() | ResourceIncomplete():
                self._list(company, event.resource).completeness = event.completeness
                self._reached(event.at_seconds)
            case Published():
                self._published(event.manifest, company)
        return self

    def failed(self, error: VismaNetError, *, company: str | None = None) -> Self:
        """Add the error that ended an export."""
        self.errors.append(str(error) if company is None else f"{company}: {error}")
        return self

    def html(self) -> str:
        """Return the page."""
        return page(self)

    def write(self, path: Path) -> None:
        """Write the page to a file atomically. Blocks.

        Raises:
            TargetNotWritable: it cannot be written, or would replace something else than a page of ours, or the path is
                no regular file: a link, a pipe, a device.
        """
        write_page(path, self.html())

    def _published(self, manifest: Manifest, company: str | None) -> None:
        self.manifests.append((company, manifest))
        for name in manifest.resources:  # in the order they were asked for, no longer in that of their first pages
            if (record := self.lists.pop((company, name), None)) is not None:
                self.lists[company, name] = record

    def _list(self, company: str | None, name: str) -> ListRecord:
        return self.lists.setdefault((company, name), ListRecord(name, company))

    def _reached(self, seconds: float) -> None:
        self.seconds = max(self.seconds, seconds)

    def _request(self, event: RequestEnded, company: str | None) -> None:
        record = self._list(company, event.resource)
        record.requests += 1
        self.bytes_received += event.bytes
        self._reached(event.ended_seconds)
        given_up = event.attempts[-1:] if event.error else ()
        for attempt in (*event.attempts[:-1], *given_up):
            record.outcomes[attempt.outcome] += 1
        for attempt in event.attempts:
            began = event.began_seconds + attempt.started_after_seconds
            self.flights.append((began, began + attempt.duration_seconds))
            self.latencies_seconds.append(attempt.duration_seconds)
            for what, seconds in _waits(attempt):
                record.waited_seconds[what] = record.waited_seconds.get(what, 0.0) + seconds
                if what == "quota":
                    self.pauses.append((began - seconds, began))
        if event.quota_remaining is not None:
            self.quota.setdefault(company, []).append((event.ended_seconds, event.quota_remaining))
        if event.quota_limit is not None:
            self.quota_limit = event.quota_limit


async def run_reported(export: Export, path: Path, *, title: str = "Export") -> Manifest:
    """Run an export, write its report to `path`, also if it fails or is cancelled, and return the manifest.

    Raises:
        TargetNotWritable: the report cannot be written; raised before anything is sent.
        VismaNetError: an error of the export.
    """
    mark_used(export)  # a refused path raises an error of its own
    async with _written(Report(title=title), path, export.plan.location) as report, aclosing(aiter(export)) as events:
        async for event in events:
            report.add(event)
    return report.manifests[-1][1]


async def run_many_reported(many: ExportMany, path: Path, *, title: str = "Export") -> ManyOutcome:
    """Run an export of many companies, write one report to `path` in any case, and return the outcomes.

    Raises:
        TargetNotWritable: the report cannot be written; raised before anything is sent.
    """
    mark_used(many)
    outcomes: dict[str, CompanyOutcome] = {}
    async with _written(Report(title=title), path) as report, aclosing(aiter(many)) as events:
        async for event in events:
            report.add(event)
            if isinstance(event, CompanyDone):
                outcomes[event.outcome.company.name] = event.outcome
    return ManyOutcome(outcomes=tuple(outcomes[company.name] for company in many.companies))


@asynccontextmanager
async def _written(report: Report, path: Path, location: Location | None = None) -> AsyncIterator[Report]:
    """Yield a report that is written at once, to find a path that cannot be written, and again at the end."""
    if isinstance(location, Path):
        refuse_in_export(path, location)
    await to_thread.run_sync(report.write, path)
    try:
        yield report
    except VismaNetError as error:
        report.failed(error)
        raise
    finally:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(report.write, path)


def _later(event: Event, seconds: float) -> Event:
    """Return an event with its times moved later by so many seconds."""
    match event:
        case RequestEnded():
            return attrs.evolve(
                event, began_seconds=event.began_seconds + seconds, ended_seconds=event.ended_seconds + seconds
            )
        case Published():
            return event
        case _:
            return attrs.evolve(event, at_seconds=event.at_seconds + seconds)


def _waits(attempt: Attempt) -> Iterator[tuple[str, float]]:
    for text in attempt.waited_for:
        what, seconds, _unit = text.rsplit(" ", 2)
        yield what, float(seconds)

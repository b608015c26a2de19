"""Incremental exports: where a run starts, which rows it leaves out, and what the manifest says afterwards.

A run starts at the last *watermark*: the greatest lastModified value that the earlier runs saw, the server's own text.
The local clock is not used, because the zone of the server's times is not known (docs/facts.md 5.10). From there it
goes back

- by the duration of the earlier run, since a row that was changed after it was read can be older than the watermark;
- by the *overlap*, since changes may be committed late and the server's local time goes back an hour in autumn;
- in any case to the edge before which nothing is changed any more (`_paging.guarantee`). A row stamped ahead of time,
  by a second server or an import, cannot be told from one of a server in another zone, and must not hide what is
  changed in the hours until then: rows later than the edge and the overlap together move no watermark.

So some rows are read twice. Rows of the overlap that are published already and are equal byte for byte, apart from
paging metadata, are left out. Comparing key and time would not do: two changes can have the same time.

The new rows are published as parts beside the earlier ones. A record that was changed is then in several parts, and
the last one counts. Deletions are not among what was changed; `deletions` says how they are noticed.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final, get_args

import attrs
import msgspec

from vismanet_async._api.registry import method_facts
from vismanet_async._codec.halves import with_whole_pairs
from vismanet_async._conditions import on_or_after
from vismanet_async._export.files import write_atomically
from vismanet_async._export.target.locations import size_of
from vismanet_async._export.target.manifest import Part, ResourceEntry, Run, Sweep, Verdict, part_fault
from vismanet_async._paging.guarantee import latest_stamp
from vismanet_async._paging.keys import stamp_of, stamp_text
from vismanet_async.errors import ExportError, RequestRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from vismanet_async._export.target.locations import Location
    from vismanet_async._paging.row_scanner import RawRow

__all__ = [
    "DEFAULT_OVERLAP",
    "DIGEST_BYTES",
    "EARLIEST",
    "LONGEST_RUN",
    "DeltaTracker",
    "StartPoint",
    "changed_since",
    "first_run",
    "known_rows",
    "merged_with",
    "modified_filter",
    "require_plausible",
    "start_of",
    "whole_filters",
]

DEFAULT_OVERLAP: Final = timedelta(days=1)
"""Covers late commits, clocks set back and other zones (docs/facts.md 5.10); repeated rows are left out."""
EARLIEST: Final = "1900-01-01"
"""Before every record, and within what databases take for a time."""
DIGEST_BYTES: Final = 16
_COLUMNS_NAMED: Final = 5
_MOST_DIGESTS: Final = 100_000
"""Some 10 MB of memory. Of more rows than that in the overlap, the older ones may be published twice."""
LONGEST_RUN: Final = timedelta(days=1)
"""How far before the overlap rows are remembered, as the duration of this run is not known yet."""
_MICROSECOND: Final = timedelta(microseconds=1)
_FIRST_MOMENT: Final = stamp_of("0001-01-01T00:00:00")
_METADATA: Final = re.compile(rb'"metadata"\s*:\s*\{[^{}"]*("[^"\\]*"[^{}"]*)*\}')
"""Cannot match within a text, where the quotes would be escaped."""


def modified_filter(resource: str, filters: Mapping[str, Any]) -> tuple[str, str]:
    """Return the name of the list's filter on the last change, and the row's field with that time.

    Raises:
        RequestRefused: the list cannot be filtered by that, or the caller does so already.
    """
    facts = method_facts(resource, "list")
    plain = facts.get("changed_since")
    frozen = facts.get("frozen_filter") or (plain and [plain, plain])
    if not frozen:
        how = "by its other filters, such as period_id=202501" if facts.get("one_of") else "whole"
        raise RequestRefused(
            f"{resource} cannot be exported incrementally: the API has no condition on when its rows were changed, so "
            f"nothing tells what is new. Nothing was sent. Export it {how}, in a run of its own."
        )
    name: str = next(one["name"] for one in facts["parameters"] if one["json"] == frozen[0])
    if any(given.replace("_", "").casefold() == name.replace("_", "") for given in filters):
        raise RequestRefused(f"an incremental export sets {name} itself; nothing was sent. Leave it out.")
    return name, frozen[1]


def changed_since(resource: str, filters: Mapping[str, Any], since: str) -> dict[str, Any]:
    """Return the filters of a list with one more: rows that were changed then or later.

    Raises:
        RequestRefused: as `modified_filter`.

    Examples:
        >>> changed_since("customer", {"status": "Active"}, "2025-05-25")
        {'status': 'Active', 'last_modified_date_time': Condition(operator='>=', value='2025-05-25')}
        >>> changed_since("journal_transaction", {}, "2025-05-25")
        {'last_modified_date_time': '2025-05-25'}
    """
    name = modified_filter(resource, filters)[0]
    is_plain = "changed_since" in method_facts(resource, "list")
    return {**filters, name: since if is_plain else on_or_after(since)}


def whole_filters(resource: str, filters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the filters for the whole list of an incremental export: where the API wants a time, the earliest one."""
    facts = method_facts(resource, "list")
    given = {name.replace("_", "").casefold() for name in filters}
    if "changed_since" not in facts or given & {name.replace("_", "") for name in facts.get("one_of", ())}:
        return filters
    return changed_since(resource, filters, EARLIEST)


def require_plausible(resource: str, before: ResourceEntry, *, since: str, delta: DeltaTracker) -> None:
    """Raise if an answer shows that a plain time does not mean what it is taken for: changed then or later.

    No text of Visma says what a time without an operator means (docs/facts.md 4.12). If it means that, the row with the
    published watermark comes again, and none that is older than asked for.

    Raises:
        ExportError: such a row came, or no row at all.
    """
    if "changed_since" not in method_facts(resource, "list"):
        return
    if delta.oldest is not None and delta.oldest >= stamp_of(since):
        return
    found = "no row at all came" if delta.oldest is None else f"a row of {stamp_text(delta.oldest)} came"
    raise ExportError(
        f"{resource}: rows that were changed since {since} were asked for, and {found}, although {before.watermark} is "
        "published. So it cannot be told what was changed: nothing was published, and what stood there still stands. "
        "Export the list whole, with --since and without --incremental."
    )


@attrs.frozen(kw_only=True)
class StartPoint:
    """Where the run of one resource begins."""

    since: str | None = None
    """None: nothing is published yet, or an empty list, so the whole list is read."""
    before: ResourceEntry | None = None
    """The published entry that the run adds to; None if it replaces everything."""
    known: bytes = attrs.field(default=b"", repr=False)
    """Digests of the rows that were published last."""
    note: str = ""
    """Why everything is read although something is published; for the end of the verdict's reason."""

    @property
    def first_part(self) -> int:
        """The number of the first part to write; no number is used twice."""
        if self.before is None:
            return 0
        return 1 + max((_number(part.file) for part in self.before.parts), default=-1)

    @property
    def runs(self) -> int:
        """The count of earlier runs."""
        return 0 if self.before is None else len(self.before.runs) or 1


def _number(file: str) -> int:
    return int(PurePosixPath(file).name.removeprefix("part-").partition(".")[0])


def start_of(
    before: ResourceEntry | None,
    name: str,
    like: Mapping[str, object],
    *,
    overlap: timedelta,
    now: datetime,
    columns: Mapping[str, str] | None = None,
) -> StartPoint:
    """Return where a run begins.

    Args:
        before: the published entry of the resource.
        name: of the resource.
        like: fields of `ResourceEntry` of this run; the published entry must have the same.
        overlap: how far to go back from the watermark.
        now: UTC; only to refuse a watermark in the future of all time zones.
        columns: of the parts that this run will write.

    Raises:
        RequestRefused: the published rows were exported in another way.
        ExportError: the published watermark cannot be trusted.
    """
    if before is None or before.watermark is None:
        return StartPoint()
    for what, asked in like.items():
        here = getattr(before, what)
        if here != asked:
            raise RequestRefused(
                f"{name} was exported with {what} {here or 'none'}, and this run has {asked or 'none'}; nothing was "
                "sent. Go on in the same way, or export it whole, without incremental."
            )
    if changed := _changed_columns(before, columns):
        # two sets of columns in one folder are no table to most readers
        return StartPoint(note=f"; read whole, as the published files have other columns than this run: {changed}")
    if stamp_of(before.watermark) > latest_stamp(now):
        raise ExportError(
            f"{name}: the last run saw a row that was changed at {before.watermark}, which no clock has reached. An "
            "incremental run would miss changes; nothing was sent. Begin anew, incrementally, in an empty directory: "
            "such a run passes rows with impossible times over when it looks for its watermark."
        )
    since = _since(before, overlap=overlap)
    # rows stamped 0001-01-01 and nothing later: a filter on that is the whole list
    return StartPoint() if since is None else StartPoint(since=since, before=before)


def _changed_columns(before: ResourceEntry, columns: Mapping[str, str] | None) -> str:
    """Return how the columns of a run differ from the published ones, in words; empty if they do not."""
    if not columns or not before.columns or list(columns.items()) == list(before.columns.items()):
        return ""
    found = []
    for what, these, others in (("new", columns, before.columns), ("gone", before.columns, columns)):
        names = [column for column in these if column not in others]
        if names:
            found.append(f"{what}: {_few(names)}")
    changed = [column for column in columns if before.columns.get(column, columns[column]) != columns[column]]
    if changed:
        found.append(f"of another kind: {_few(changed)}")
    return "; ".join(found) or "in another order"


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_COLUMNS_NAMED])
    return shown if len(names) <= _COLUMNS_NAMED else f"{shown} and {len(names) - _COLUMNS_NAMED} more"


def _since(before: ResourceEntry, *, overlap: timedelta) -> str | None:
    """Return the value of the filter; None if it would be before the year 1."""
    last = before.runs[-1] if before.runs else before
    took = last.finished_at - last.started_at if last.started_at and last.finished_at else LONGEST_RUN
    took = took if took >= timedelta(0) else LONGEST_RUN  # the clock was set back meanwhile
    since = stamp_of(before.watermark) - (took + overlap) // _MICROSECOND
    return stamp_text(since) if since > _FIRST_MOMENT else None


def known_rows(location: Location, before: ResourceEntry) -> bytes:
    """Return the digests of rows that were published last, after checking the size of each published part. Blocks.

    Raises:
        ExportError: a file is missing or was changed.
    """
    for part in before.parts:
        size = size_of(location / part.file)
        if size != part.bytes:
            raise _not_as_stated(location, part, "is missing" if size is None else f"has {size} bytes")
    if before.overlap is None:
        return b""
    fault = part_fault(location, before.overlap)
    if fault:
        raise _not_as_stated(location, before.overlap, fault)
    return (location / before.overlap.file).read_bytes()


def _not_as_stated(location: Location, part: Part, fault: str) -> ExportError:
    return ExportError(
        f"{location / part.file} {fault}, which its manifest does not say; nothing was sent. Export the whole list "
        "again, without incremental."
    )


class DeltaTracker:
    """Finds rows that are published already, and collects what the next run needs. For one caller at a time.

    Args:
        row_field: the field with the time of the last change.
        known: digests of the rows that earlier runs published last.
        overlap: how far the next run will go back.
        edge: returns the moment to which the next run goes back at least, as far as it is known by now: rows stamped
            later than it and the overlap do not move the watermark.
    """

    def __init__(self, row_field: str, *, known: bytes, overlap: timedelta, edge: Callable[[], str]) -> None:
        fields: list[Any] = [("modified", str | None, msgspec.field(default=None, name=row_field))]
        self._decode = msgspec.json.Decoder(msgspec.defstruct("Changed", fields, gc=False)).decode
        self._known = frozenset(known[at : at + DIGEST_BYTES] for at in range(0, len(known), DIGEST_BYTES))
        self._remember = (overlap + LONGEST_RUN) // _MICROSECOND
        self._overlap = overlap // _MICROSECOND
        self._edge = edge
        self._seen: dict[bytes, int] = {}
        self._newest, self._text = 0, ""
        self._floor = 0
        self.repeated = 0
        """Rows that are published already."""
        self.oldest: int | None = None
        """The least time of change of the rows; None: no row had one."""
        self.unstamped = 0
        """Rows without a time of change."""

    @property
    def watermark(self) -> str | None:
        """The greatest lastModified value of the rows that may be one, as the server wrote it."""
        return self._text or None

    @property
    def note(self) -> str:
        """The text to append to the verdict's reason."""
        if not self.unstamped:
            return ""
        return f"; {self.unstamped:,} rows do not tell when they were changed, so that later runs will not find them"

    def repeats(self, rows: Sequence[RawRow]) -> list[int]:
        """Track the rows of a page, and return the indexes of those that are published already."""
        found = []
        latest = stamp_of(self._edge()) + self._overlap
        for index, row in enumerate(rows):
            text = self._modified(row)
            stamp = stamp_of(text)
            self.unstamped += not stamp
            if stamp and (self.oldest is None or stamp < self.oldest):
                self.oldest = stamp
            if self._newest < stamp <= latest:
                self._newest, self._text = stamp, text
                self._floor = max(self._floor, stamp - self._remember)
            if stamp < self._floor and not self._known:
                continue  # most rows of a whole list
            digest = _digest(row)
            if stamp >= self._floor:
                self._seen[digest] = stamp
            if digest in self._known:
                found.append(index)
        if len(self._seen) > _MOST_DIGESTS:
            self._forget()
        self.repeated += len(found)
        return found

    def _modified(self, row: RawRow) -> str:
        try:
            head = self._decode(row)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            if (mended := with_whole_pairs(bytes(row), told_apart=True)) is None:
                raise
            head = self._decode(mended)
        return getattr(head, "modified", None) or ""

    def write(self, path: Path, *, took: timedelta) -> Part:
        """Write the digests of the rows that the next run will read again, and return the file as a part."""
        floor = max(self._floor, self._newest - self._overlap - took // _MICROSECOND)
        kept = sorted(digest for digest, stamp in self._seen.items() if stamp >= floor)
        content = b"".join(kept)
        write_atomically(path, content)
        return Part(
            file=f"{path.parent.name}/{path.name}",
            rows=len(kept),
            bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
        )

    def _forget(self) -> None:
        """Drop the older half of the digests: those rows may be published twice, but are never lost."""
        stamps = sorted(self._seen.values())
        self._floor = max(self._floor, stamps[len(stamps) // 2] + 1)
        self._seen = {digest: stamp for digest, stamp in self._seen.items() if stamp >= self._floor}


def _digest(row: RawRow) -> bytes:
    # the total in the metadata belongs to the answer, not to the record
    return hashlib.blake2b(_METADATA.sub(b"", bytes(row)), digest_size=DIGEST_BYTES).digest()


def first_run(entry: ResourceEntry, *, sweep: Sweep | None = None) -> ResourceEntry:
    """Return the entry of a whole list with a history of one run."""
    return attrs.evolve(entry, runs=(_run(entry, since=None, repeated=0, sweep=sweep),))


def merged_with(
    before: ResourceEntry, new: ResourceEntry, *, since: str, repeated: int, sweep: Sweep | None = None
) -> ResourceEntry:
    """Return the entry of a resource after a run that added to it.

    Args:
        before: the published entry.
        new: the entry of the run alone.
        since: the value of the run's filter.
        repeated: rows that it left out.
        sweep: how it looked for deletions.
    """
    parts = tuple(part for part in new.parts if part.rows)
    # the latest row may have been deleted since: the watermark must not go down
    watermark = max((before.watermark, new.watermark), key=stamp_of)
    added = attrs.evolve(new, parts=parts, watermark=watermark)
    history = before.runs or first_run(before).runs
    weakest = max((before, new), key=lambda entry: get_args(Verdict).index(entry.verdict))
    return attrs.evolve(
        added,
        rows=before.rows + sum(part.rows for part in parts),
        unique=None,
        verdict=weakest.verdict,
        reason=weakest.reason,
        requests=before.requests + new.requests,
        unfit=dict(sorted((Counter(before.unfit) + Counter(new.unfit)).items())),
        neutralised=before.neutralised + new.neutralised,
        parts=(*before.parts, *parts),
        tombstones=(*before.tombstones, *new.tombstones),
        swept_at=new.swept_at or before.swept_at,
        started_at=before.started_at,
        runs=(*history, _run(added, since=since, repeated=repeated, sweep=sweep)),
    )


def _run(entry: ResourceEntry, *, since: str | None, repeated: int, sweep: Sweep | None = None) -> Run:
    moment = datetime.min.replace(tzinfo=UTC)  # only foreign manifests lack the times
    return Run(
        since=since,
        rows=sum(part.rows for part in entry.parts),
        repeated=repeated,
        verdict=entry.verdict,
        reason=entry.reason,
        total_first=entry.total_first,
        total_last=entry.total_last,
        requests=entry.requests,
        parts=tuple(part.file for part in entry.parts),
        window=entry.window,
        watermark=entry.watermark,
        sweep=sweep,
        started_at=entry.started_at or moment,
        finished_at=entry.finished_at or moment,
    )

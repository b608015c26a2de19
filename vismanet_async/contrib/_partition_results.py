"""Puts the partitions of a list together: their parts, their manifest entry, and their plan as it is stored."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import attrs

from vismanet_async._api.registry import method_facts
from vismanet_async._conditions import Condition
from vismanet_async._export.deletions import identity_of
from vismanet_async._export.files import write_atomically
from vismanet_async._export.incremental import DIGEST_BYTES, StartPoint, first_run, merged_with
from vismanet_async._export.sinks.opening import columns_written
from vismanet_async._export.target.manifest import Part, ResourceEntry
from vismanet_async._paging.keys import stamp_of
from vismanet_async.contrib._partition_bounds import PartitionPlan
from vismanet_async.contrib._partition_files import fetch, files_of_partition
from vismanet_async.contrib._partitions import OVERLAP

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from pathlib import Path

    from vismanet_async._export.plan import ExportPlan
    from vismanet_async._paging.guarantee import Completeness
    from vismanet_async.contrib._partitions import PartitionDone

__all__ = ["ReadList", "StoredPlan", "collect_parts"]

_VERDICTS: Final = ("proven", "counted", "uncertain")
"""Weakest last."""


@attrs.frozen
class ReadList:
    """One list, all of whose partitions are whole."""

    partitions: list[PartitionDone]
    reports: list[Completeness]
    partition_plan: PartitionPlan | None

    def entry(
        self,
        plan: ExportPlan,
        name: str,
        parts: tuple[Part, ...],
        *,
        times: tuple[datetime, datetime],
        start: StartPoint | None = None,
        overlap: Part | None = None,
    ) -> ResourceEntry:
        """Return the manifest's entry of the list.

        Args:
            plan: of the export.
            name: of the list.
            parts: the files of this run.
            times: when it began and when it ended.
            start: where an incremental run began.
            overlap: what the next incremental run leaves out.
        """
        start = start or StartPoint()
        reports, partition_plan = self.reports, self.partition_plan
        weakest = max(reports, key=lambda report: _VERDICTS.index(report.verdict))
        rows = sum(part.rows for part in parts)
        window, reason, unique = weakest.window, weakest.reason, weakest.unique
        if partition_plan is not None:
            window, unique = partition_plan.edge, rows
            counts = Counter(report.verdict for report in reports)
            verdicts = ", ".join(f"{counts[verdict]} {verdict}" for verdict in _VERDICTS if counts[verdict])
            reason = (
                f"read in {len(partition_plan.ranges)} date ranges, counted to hold every row that was unchanged since "
                f"the window, and afterwards what was changed since ({verdicts}); {weakest.reason}"
            )
        entry = ResourceEntry(
            rows=rows,
            unique=unique,
            verdict=weakest.verdict,
            reason=reason,
            total_first=_sum(report.total_first for report in reports),
            total_last=_sum(report.total_last for report in reports),
            requests=sum(report.requests for report in reports) + (partition_plan.requests if partition_plan else 0),
            parts=parts,
            format=plan.format,
            format_options=plan.options_for_readers,
            filters=plan.filter_texts(name),
            columns=columns_written(plan.format, method_facts(name, "list")["id"]),
            identity=identity_of(name),
            unfit=dict(sorted(sum((Counter(one.unfit) for one in self.partitions), Counter()).items())),
            neutralised=sum(one.neutralised for one in self.partitions),
            window=window,
            watermark=max((report.watermark for report in reports if report.watermark), key=stamp_of, default=None),
            started_at=times[0],
            finished_at=times[1],
        )
        if plan.incremental:
            marks = (one.watermark for one in self.partitions if one.watermark)
            note = "".join(sorted({one.note for one in self.partitions}))
            watermark = max(marks, key=stamp_of, default=None)
            entry = attrs.evolve(entry, watermark=watermark, overlap=overlap, reason=f"{reason}{note}{start.note}")
        if start.before is None or start.since is None:
            return first_run(entry)
        repeated = sum(one.repeated for one in self.partitions)
        return merged_with(start.before, entry, since=start.since, repeated=repeated)

    def overlap(self, plan: ExportPlan, path: Path) -> Part:
        """Write the digests of the latest rows of all partitions, and return the file as a part. Blocks."""
        digests: set[bytes] = set()
        for done in self.partitions:
            content = (files_of_partition(done, plan.storage_options) / OVERLAP).read_bytes()
            digests.update(content[at : at + DIGEST_BYTES] for at in range(0, len(content), DIGEST_BYTES))
        content = b"".join(sorted(digests))
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, content)
        sha256 = hashlib.sha256(content).hexdigest()
        return Part(file=f"{path.parent.name}/{path.name}", rows=len(digests), bytes=len(content), sha256=sha256)


@attrs.frozen
class StoredPlan:
    """A partition plan as it is stored."""

    ranges: list[dict[str, tuple[str, str]]]
    rest: dict[str, tuple[str, str]]
    requests: int

    @classmethod
    def of(cls, partition_plan: PartitionPlan) -> StoredPlan:
        def words(filters: Mapping[str, Condition[str]]) -> dict[str, tuple[str, str]]:
            return {name: (one.operator, one.value) for name, one in filters.items()}

        return cls([words(each) for each in partition_plan.ranges], words(partition_plan.rest), partition_plan.requests)

    def meant(self) -> PartitionPlan:
        def conditions(words: Mapping[str, tuple[Any, str]]) -> dict[str, Condition[str]]:
            return {name: Condition(operator, value) for name, (operator, value) in words.items()}

        return PartitionPlan(tuple(conditions(each) for each in self.ranges), conditions(self.rest), self.requests)


def collect_parts(
    partitions: Iterable[PartitionDone], staging: Path, *, plan: ExportPlan, first: int = 0
) -> tuple[Part, ...]:
    """Number the parts of all partitions in sequence, without empty ones if there are others. Blocks.

    Args:
        partitions: whole ones.
        staging: the directory to have the files in.
        plan: of the export.
        first: the first number.
    """
    found = [(files_of_partition(done, plan.storage_options), part) for done in partitions for part in done.parts]
    found = [(files, part) for files, part in found if part.rows] or found[:1]
    parts = []
    for number, (files, part) in enumerate(found, first):
        name = f"part-{number:05}{''.join(PurePosixPath(part.file).suffixes)}"
        fetch(files / part.file, staging / name)
        parts.append(attrs.evolve(part, file=f"{staging.name}/{name}"))
    return tuple(parts)


def _sum(totals: Iterable[int | None]) -> int | None:
    known = list(totals)
    return None if None in known else sum(total for total in known if total is not None)

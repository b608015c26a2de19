"""Puts the partitions of a list together: their parts, their manifest entry, and their plan as it is stored."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from vismanet_async._api.registry import method_facts
from vismanet_async._conditions import Condition
from vismanet_async._export.incremental import first_run
from vismanet_async._export.sinks.opening import columns_written
from vismanet_async._export.target.manifest import Part, ResourceEntry
from vismanet_async._paging.keys import stamp_of
from vismanet_async.contrib._partition_bounds import PartitionPlan
from vismanet_async.contrib._partitions import link_or_copy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

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
        self, plan: ExportPlan, name: str, parts: tuple[Part, ...], *, times: tuple[datetime, datetime]
    ) -> ResourceEntry:
        """Return the manifest's entry of the list."""
        reports, partition_plan = self.reports, self.partition_plan
        weakest = max(reports, key=lambda report: _VERDICTS.index(report.verdict))
        rows = sum(part.rows for part in parts)
        window, reason, unique = weakest.window, weakest.reason, weakest.unique
        if partition_plan is not None:
            (boundary,) = (condition.value for condition in partition_plan.rest.values())
            window, unique = str(boundary), rows
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
            unfit=dict(sorted(sum((Counter(one.unfit) for one in self.partitions), Counter()).items())),
            neutralised=sum(one.neutralised for one in self.partitions),
            window=window,
            watermark=max((report.watermark for report in reports if report.watermark), key=stamp_of, default=None),
            started_at=times[0],
            finished_at=times[1],
        )
        return first_run(entry)


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


def collect_parts(partitions: Iterable[PartitionDone], staging: Path) -> tuple[Part, ...]:
    """Number the parts of all partitions in sequence, without empty ones if there are others."""
    found = [(Path(done.directory, part.file), part) for done in partitions for part in done.parts]
    found = [(path, part) for path, part in found if part.rows] or found[:1]
    parts = []
    for number, (path, part) in enumerate(found):
        name = f"part-{number:05}{''.join(path.suffixes)}"
        link_or_copy(path, staging / name)
        parts.append(attrs.evolve(part, file=f"{staging.name}/{name}"))
    return tuple(parts)


def _sum(totals: Iterable[int | None]) -> int | None:
    known = list(totals)
    return None if None in known else sum(total for total in known if total is not None)

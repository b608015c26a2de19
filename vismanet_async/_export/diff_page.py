"""Renders differences as one HTML page that needs nothing but itself. All text from data is escaped."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import attrs
import msgspec
from markupsafe import Markup

from vismanet_async._export.diff import EXACT_JSON
from vismanet_async._export.report_page import document, section, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vismanet_async._export.diff import Difference

__all__ = ["DiffSummary", "diff_page", "value_text"]

_KINDS: Final = ("added", "changed", "removed")
_LONGEST: Final = 200
"""Characters of a value that are shown."""


@attrs.define
class DiffSummary:
    """Counts differences, and keeps the first of them to be shown. Memory: what it keeps."""

    most: int
    """Differences kept for each resource."""
    counts: dict[str, Counter[str]] = attrs.field(factory=dict)
    """By resource and kind."""
    fields: dict[str, Counter[str]] = attrs.field(factory=dict)
    """By resource: in how many records each field was changed."""
    kept: dict[str, list[Difference]] = attrs.field(factory=dict)

    def add(self, one: Difference) -> None:
        """Count a difference."""
        self.counts.setdefault(one.resource, Counter())[one.kind] += 1
        self.fields.setdefault(one.resource, Counter()).update(change.field for change in one.changes)
        kept = self.kept.setdefault(one.resource, [])
        if len(kept) < self.most:
            kept.append(one)

    def left_out(self, resource: str) -> int:
        """Return how many differences of a resource were not kept."""
        return self.counts[resource].total() - len(self.kept[resource])


def value_text(value: Any) -> str:
    """Return a value as it is shown: a plain text as it is, all else as JSON, cut where it is long."""
    if value is msgspec.UNSET:
        return ""
    # JSON escapes what would move a terminal's cursor or begin a line
    text = value if isinstance(value, str) and value.isprintable() else EXACT_JSON.encode(value).decode()
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def diff_page(summary: DiffSummary, *, title: str, before: str, after: str, resources: Sequence[str]) -> str:
    """Return the page.

    Args:
        summary: of all differences.
        title: of the page.
        before: what was compared, in words.
        after: with what.
        resources: that were compared, also those without a difference.
    """
    parts = [
        Markup("<header><h1>{}</h1><p>{} → {}</p></header>").format(title, before, after),
        section("In figures", None, table([_figures(name, summary) for name in resources]), long=True),
    ]
    for name in summary.counts:
        fields = summary.fields[name].most_common()
        if fields:
            rows: Any = [[("name", "Field", field), ("n", "Records", f"{count:,}")] for field, count in fields]
            parts.append(section(f"{name}: fields that changed", None, table(rows), long=True))
        left = summary.left_out(name)
        words = f"{left:,} more are not shown here." if left else None
        parts.append(section(f"{name}: records", words, table(list(_records(summary.kept[name]))), long=True))
    return document(title, Markup("\n").join(parts))


def _figures(name: str, summary: DiffSummary) -> list[tuple[str, str, Any]]:
    counts = summary.counts.get(name, Counter())
    return [("name", "List", name), *(("n", kind.capitalize(), f"{counts[kind]:,}") for kind in _KINDS)]


def _records(kept: Iterable[Difference]) -> Iterable[list[tuple[str, str, Any]]]:
    for one in kept:
        key = " ".join(map(value_text, one.key.values()))
        for change in one.changes or (None,):
            yield [
                ("name", "Key", key),
                ("", "What", one.kind),
                ("", "Field", "" if change is None else change.field),
                ("", "Before", "" if change is None else value_text(change.before)),
                ("", "After", "" if change is None else value_text(change.after)),
            ]
            key = ""

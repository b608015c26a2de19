"""`vismanet diff`: what differs between two exports, as a table, JSON lines or an HTML page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vismanet_async._api.registry import find_resource
from vismanet_async._cli.exit_codes import DONE
from vismanet_async._cli.streams import write_bytes
from vismanet_async._export.diff import diff
from vismanet_async._export.diff_page import DiffSummary, diff_page, value_text
from vismanet_async._export.html_file import refuse_page, write_page
from vismanet_async._export.target.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from vismanet_async._export.diff import Difference

__all__ = ["run_diff"]

_SIGNS = {"added": "+", "removed": "-", "changed": "~"}


def run_diff(
    before: str,
    after: str | None,
    *,
    resources: Sequence[str] | None,
    limit: int,
    html: Path | None,
    as_json: bool,
    **runs: Any,
) -> int:
    """Print the differences and return the exit code, which is the same whether there are any or not.

    Args:
        before: from the command line, like all further arguments.
        after: None: the same export.
        resources: None: those of both.
        limit: differences shown for each list.
        html: the page to write.
        as_json: print every difference as a line of JSON.
        runs: `before_runs` and `after_runs`.
    """
    if html is not None:
        refuse_page(html)
    names = None if resources is None else [find_resource(name) for name in resources]
    once: list[str] = []
    if names is None and after is None and not any(runs.values()):
        names, once = _by_runs(before)
    found = diff(before, after, resources=names, **runs)
    compared = names or [
        name for name in Manifest.read(before).resources if name in Manifest.read(after or before).resources
    ]
    summary = DiffSummary(limit)
    for one in found:
        summary.add(one)
        if as_json:
            write_bytes(one.to_json() + b"\n")
    if html is not None:
        page = diff_page(
            summary,
            title="What changed",
            before=_side(before, runs.get("before_runs")),
            after=_side(after or before, runs.get("after_runs")),
            resources=compared,
        )
        write_page(html, page)
    if not as_json:
        lines = [*_table(summary, compared), *(f"{name}: one run, so nothing to compare with" for name in once)]
        write_bytes(("\n".join(lines) + "\n").encode())
    return DONE


def _by_runs(export: str) -> tuple[list[str] | None, list[str]]:
    """Return the lists that have an earlier run to compare with, and those that do not; (None, []) if none has."""
    entries = Manifest.read(export).resources
    several = [name for name, entry in entries.items() if len(entry.runs) > 1]
    return (several, [name for name in entries if name not in several]) if several else (None, [])


def _side(place: str, runs: int | None) -> str:
    return place if runs is None else f"{place} after {runs:,} {'run' if runs == 1 else 'runs'}"


def _table(summary: DiffSummary, names: Sequence[str]) -> Iterator[str]:
    for name in names:
        counts = summary.counts.get(name)
        if counts is None:
            yield f"{name}: no difference"
            continue
        yield f"{name}: {counts['added']:,} added, {counts['changed']:,} changed, {counts['removed']:,} removed"
        for one in summary.kept[name]:
            yield from _lines(one)
        if left := summary.left_out(name):
            yield f"  ... and {left:,} more; --json prints all"


def _lines(one: Difference) -> Iterator[str]:
    yield f"  {_SIGNS[one.kind]} {' '.join(map(value_text, one.key.values()))}"
    for change in one.changes:
        yield f"      {change.field}: {value_text(change.before) or '(none)'} -> {value_text(change.after) or '(none)'}"

"""`diff`: what was added, changed and removed between two exports, or between two moments of one.

Both sides are brought to their latest rows on disk (`latest_rows`), and read side by side, sorted by key. So memory
does not grow with them. Rows whose bytes differ are compared field by field; numbers by their value, so `1.5` is
`1.50`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import attrs
import msgspec

from vismanet_async._arguments import expect_count
from vismanet_async._export.key_index import is_no_key
from vismanet_async._export.latest_rows import LatestRows
from vismanet_async._export.stored_rows import row_reader
from vismanet_async._export.target.locations import parse_location
from vismanet_async._export.target.manifest import Manifest
from vismanet_async.errors import RequestRefused

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence

    from vismanet_async._export.stored_rows import RowReader
    from vismanet_async._export.target.locations import Location

__all__ = ["EXACT_JSON", "Difference", "FieldChange", "diff"]

EXACT_JSON: Final = msgspec.json.Encoder(decimal_format="number")


@attrs.frozen
class FieldChange:
    """A field that differs.

    Examples:
        >>> change = FieldChange("mainAddress.city", before="Oslo", after="Bergen")
        >>> f"{change.field}: {change.before} -> {change.after}"
        'mainAddress.city: Oslo -> Bergen'
    """

    field: str
    """Its path, such as `mainAddress.city`. A list is one field."""
    before: Any
    """`msgspec.UNSET` where the record had no such field. Numbers are int and Decimal; cells of CSV are texts."""
    after: Any


@attrs.frozen(kw_only=True)
class Difference:
    """A record that is not the same on both sides.

    Examples:
        >>> _ = await visma.export("customer", to="day", incremental=True)
        >>> _ = sim.touch("customer", "10000", name="Fjord AS")
        >>> _ = await visma.export("customer", to="day", incremental=True)
        >>> for one in diff("day"):
        ...     print(one.kind, one.key, [change.field for change in one.changes if change.field == "name"])
        changed {'number': '10000'} ['name']
    """

    resource: str
    kind: Literal["added", "changed", "removed"]
    key: dict[str, Any]
    """The fields that identify the record, and their values."""
    changes: tuple[FieldChange, ...] = ()
    """Of a changed record, in the order of the fields."""

    def to_json(self) -> bytes:
        """Return it as one line of JSON; a field that was missing on one side has no `before` or no `after`."""
        changes = [
            {"field": one.field}
            | {
                name: value
                for name, value in (("before", one.before), ("after", one.after))
                if value is not msgspec.UNSET
            }
            for one in self.changes
        ]
        made = {"resource": self.resource, "kind": self.kind, "key": self.key}
        return EXACT_JSON.encode({**made, "changes": changes} if changes else made)


@attrs.frozen
class _Side:
    location: Location
    manifest: Manifest
    runs: int | None

    def reader(self, name: str) -> RowReader:
        return row_reader(self.location, name, self.manifest.resources[name])


def diff(
    before: str | os.PathLike[str],
    after: str | os.PathLike[str] | None = None,
    *,
    before_runs: int | None = None,
    after_runs: int | None = None,
    resources: Sequence[str] | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> Iterator[Difference]:
    """Yield the records that differ, one resource after the other, sorted by key. Blocks; sends nothing.

    Reads every file of both sides once to check it and once more. Memory: some megabytes; the latest rows of the
    resource being compared are in temporary files.

    Args:
        before: the path or URL of an export.
        after: of another; None: the same, at another moment.
        before_runs: take `before` as it was after so many of its runs; None: after all, or after all but the last where
            `after` is the same export.
        after_runs: the same of `after`; None: after all.
        resources: names; None: those that both have.
        storage_options: for URLs, options of fsspec's filesystem.

    Raises:
        RequestRefused: before anything is yielded: a resource or a run is not there, the formats differ, or the rows
            have no key.
        ExportError: a file is not as its manifest states, or nothing tells whether two rows are the same record.

    Examples:
        >>> _ = await visma.export("customer", to="one", incremental=True)
        >>> [one.kind for one in diff("one", "one")]
        []
    """
    expect_count("before_runs", before_runs, none=True)
    expect_count("after_runs", after_runs, none=True)
    first = parse_location(before, storage_options)
    second = first if after is None else parse_location(after, storage_options)
    sides = _Side(first, Manifest.read(first), before_runs), _Side(second, Manifest.read(second), after_runs)
    if resources is None:
        names = [name for name in sides[0].manifest.resources if name in sides[1].manifest.resources]
    else:
        names = list(dict.fromkeys(resources))
    missing = [name for name in names for side in sides if name not in side.manifest.resources]
    if missing or not names:
        lacking = f"{', '.join(missing)} is not" if missing else "no resource is"
        raise RequestRefused(f"{lacking} in both exports; nothing was compared.")
    pairs = [(_at(sides[0], name, same=after is None), _at(sides[1], name), name) for name in names]
    for one, other, _ in pairs:
        _require_alike(one[0], other[0])
    return (found for one, other, name in pairs for found in _differences(name, one, other))


def _at(side: _Side, name: str, *, same: bool = False) -> tuple[RowReader, int | None]:
    """Return the reader of a resource and how many of its runs count."""
    there = len(side.manifest.resources[name].runs) or 1
    runs = side.runs
    if runs is None and same:
        runs = there - 1
    if runs is not None and not 1 <= runs <= there:
        if runs == 0:
            raise RequestRefused(
                f"{name} at {side.location} is what one run brought, and nothing was there before it; nothing was "
                "compared. Compare it with another export, or after another run."
            )
        raise RequestRefused(
            f"{name} at {side.location} has {there} {'run' if there == 1 else 'runs'}, so that there is no state after "
            f"{runs}; nothing was compared. Compare it with another export, or after another run."
        )
    return side.reader(name), runs


def _require_alike(one: RowReader, other: RowReader) -> None:
    if type(one) is not type(other) or one.entry.format_options != other.entry.format_options:
        raise RequestRefused(
            f"{one.name} is {one.entry.format} on one side and {other.entry.format} on the other, or written "
            "with other options, so that the same value looks different; nothing was compared. Export both in the same "
            "way."
        )


def _differences(
    name: str, one: tuple[RowReader, int | None], other: tuple[RowReader, int | None]
) -> Iterator[Difference]:
    reader = one[0]
    with LatestRows() as before, LatestRows() as after:
        before.apply(one[0], runs=one[1])
        after.apply(other[0], runs=other[1])
        for key, old, new in _side_by_side(before.rows(), after.rows()):
            named = dict(zip(reader.identity, msgspec.json.decode(key), strict=True))
            if old is None or new is None:
                yield Difference(resource=name, kind="added" if old is None else "removed", key=named)
            elif old != new and is_no_key(key):
                raise reader.several_without_a_key(name)
            elif old != new and (changes := _changes(reader.fields(old), reader.fields(new))):
                yield Difference(resource=name, kind="changed", key=named, changes=changes)


def _side_by_side(
    before: Iterator[tuple[bytes, bytes]], after: Iterator[tuple[bytes, bytes]]
) -> Iterator[tuple[bytes, bytes | None, bytes | None]]:
    """Yield each key of two sorted sequences with its row in either; None where it has none.

    Examples:
        >>> list(_side_by_side(iter([(b"1", b"a"), (b"2", b"b")]), iter([(b"2", b"c"), (b"3", b"d")])))
        [(b'1', b'a', None), (b'2', b'b', b'c'), (b'3', None, b'd')]
    """
    old, new = next(before, None), next(after, None)
    while old is not None or new is not None:
        if new is None or (old is not None and old[0] < new[0]):
            assert old is not None
            yield old[0], old[1], None
            old = next(before, None)
        elif old is None or new[0] < old[0]:
            yield new[0], None, new[1]
            new = next(after, None)
        else:
            yield old[0], old[1], new[1]
            old, new = next(before, None), next(after, None)


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[FieldChange, ...]:
    pairs = (
        (field, old.get(field, msgspec.UNSET), new.get(field, msgspec.UNSET)) for field in dict.fromkeys((*old, *new))
    )
    return tuple(FieldChange(field, was, now) for field, was, now in pairs if not _same(was, now))


def _same(was: Any, now: Any) -> bool:
    """Return whether two values are the same; to Python, True is 1."""
    if isinstance(was, bool) or isinstance(now, bool):
        return was is now
    if isinstance(was, list) and isinstance(now, list):
        return len(was) == len(now) and all(map(_same, was, now))
    if isinstance(was, dict) and isinstance(now, dict):
        return was.keys() == now.keys() and all(_same(was[name], now[name]) for name in was)
    return bool(was == now)

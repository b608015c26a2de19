"""The rows of one table: untouched ones from `base_rows.py`, and what was changed, added and removed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy, deepcopy
from typing import TYPE_CHECKING, Any, Literal

from vismanet_async._simulator.base_rows import BaseRows, row_version
from vismanet_async._simulator.clock import naive_text_of_ms
from vismanet_async._simulator.filter_fields import hidden_stamps
from vismanet_async._simulator.json_text import encode
from vismanet_async._simulator.rows_by_key import Key, RowsByKey, folded
from vismanet_async._simulator.selections import Selection, Selections
from vismanet_async._simulator.sequence import RowOrder

if TYPE_CHECKING:
    from vismanet_async._simulator.filters import Condition
    from vismanet_async._simulator.shapes import Shaper
    from vismanet_async._simulator.tables import TableSpec

__all__ = ["Key", "Table"]

_MODIFIED_NAMES = ("lastModifiedDateTime", "lastModified", "lastUpdateDate")


WriteKind = Literal["created", "updated", "deleted"]
Listener = Callable[[WriteKind, "Table", int, Mapping[str, Any]], None]


class Table:
    """One table: its rows by number and by key, their order, their changes.

    Row numbers below `count` are base rows; the others were added. A changed row lives in `overlay` as a
    dictionary of its own, all fields included. `changes` grows with every change.
    """

    def __init__(self, spec: TableSpec, base: BaseRows, *, schemas: Mapping[str, Mapping[str, Mapping[str,
    Any]]], shaper: Shaper,
                 next_version: Callable[[], int], now_text: Callable[[], str]) -> None:  # fmt: skip
        self.spec = spec
        self.base = base
        self.count = base.count
        self.fields = schemas[spec.dto]
        self._hidden_stamps = hidden_stamps(schemas, spec.dto)
        self.order = RowOrder(base.count)
        self.overlay: dict[int, dict[str, Any]] = {}
        self.changes = 0
        self.on_write: Listener | None = None
        """Is told of each write before it is made."""
        self._gone: set[int] = set()
        self._schemas = schemas
        self._shaper = shaper
        self._next_version = next_version
        self._now_text = now_text
        self._row_versions: dict[int, str] = {}
        self.stamps: dict[int, dict[str, str]] = {}
        """The times of changed rows whose shape does not show them; the service filters by them all the same."""
        self.beside: dict[int, dict[str, Any]] = {}
        """What the Sales Order service was told about a row and the table's shape has no field for."""
        self._index = RowsByKey()
        self._next_row = base.count
        self._next_number = base.count
        self._selections = Selections(self)

    def __len__(self) -> int:
        return len(self.order)

    # -- who a row is -------------------------------------------------------------------------------------

    def key_of(self, row: int) -> Key:
        """Return the identity of a row."""
        changed = self.overlay.get(row)
        return self.base.key(row) if changed is None else self.key_in(changed)

    def key_in(self, row: Mapping[str, Any]) -> Key:
        """Return the identity that a row dictionary states."""
        key = []
        for path in self.spec.key:
            value: Any = row
            for name in path.split("."):
                value = value.get(name) if isinstance(value, Mapping) else None
            key.append("" if value is None else str(value))
        return tuple(key)

    def internal_of(self, row: int) -> int:
        """Return the internal id of a row."""
        return self.base.internal(row)

    def name_of(self, row: int) -> str:
        """Return the name or description of a row."""
        changed = self.overlay.get(row)
        if changed is not None and self.spec.title:
            return str(changed.get(self.spec.title) or "")
        return self.base.name(row)

    def version_of(self, row: int) -> str:
        """Return the row version, also of shapes that do not show it."""
        return self._row_versions.get(row) or self.base.version(row)

    def exists(self, row: int) -> bool:
        """Return whether the row is there now."""
        return row in self.overlay or (0 <= row < self.count and row not in self._gone)

    def find(self, key: Sequence[str]) -> int | None:
        """Return the row with this key, in any case; a number alone finds the first type that has it."""
        wanted = folded(key)
        if len(wanted) < len(self.spec.key) and not self.spec.parent:
            row = self._base_row(wanted)
            return row if row is not None else self._index.first(wanted[-1])
        row = self._index.row(wanted)
        if row is None:
            row = self._base_row(wanted)
            if row is not None and folded(self.base.key(row)) != wanted:
                row = None
        return row

    def find_internal(self, internal: int) -> int | None:
        """Return the row with this internal id."""
        row = self.base.row_of_internal(internal)
        return row if self.exists(row) else None

    def _base_row(self, key: Key) -> int | None:
        """Return the untouched base row that the key means."""
        row = self.base.row_of(key)
        return row if row is not None and self.exists(row) and row not in self.overlay and row < self.count else None

    # -- what a row says ----------------------------------------------------------------------------------

    def json_rows(self, rows: Sequence[int], dto: str, left_out: frozenset[str]) -> list[bytes]:
        """Return rows as JSON objects without their closing brace (the metadata goes there)."""
        if not self.overlay:
            return self.base.json_rows(rows, dto, left_out)
        made: list[bytes] = []
        untouched: list[int] = []
        for row in rows:
            if row in self.overlay:
                made += self.base.json_rows(untouched, dto, left_out)
                untouched = []
                made.append(self._json_changed(row, dto, left_out))
            else:
                untouched.append(row)
        return made + self.base.json_rows(untouched, dto, left_out)

    def _json_changed(self, row: int, dto: str, left_out: frozenset[str]) -> bytes:
        data = self.overlay[row] if dto == self.spec.dto else self.project(row, dto)
        return encode({name: value for name, value in data.items() if name not in left_out and name != "metadata"})[:-1]

    def row(self, row: int) -> dict[str, Any]:
        """Return a row as a dictionary of its own (without metadata).

        Raises:
            KeyError: There is no such row now.
        """
        if not self.exists(row):
            raise KeyError(row)
        if row in self.overlay:
            return deepcopy(self.overlay[row])
        return self.base.row(row)

    def look(self, row: int) -> Mapping[str, Any]:
        """Return what a row says, for looking only: slots stand in untouched rows."""
        return self.overlay[row] if row in self.overlay else self.base.variant_of(row)

    def project(self, row: int, dto: str) -> dict[str, Any]:
        """Return a row in another shape: what both shapes have is the row's, the rest is generated."""
        if dto == self.spec.dto:
            return self.row(row)
        own = self.row(row)
        shown = self._shaper.single(dto, "/".join(self.key_of(row)))
        shown.update({name: own[name] for name in self._schemas[dto] if name in own})
        party = shown.get(self.spec.name)
        if isinstance(party, dict):
            marks = {
                "number": self.key_of(row)[-1],
                "name": self.name_of(row),
                "internalId": self.internal_of(row),
            }
            party.update({name: value for name, value in marks.items() if name in party})
        return shown

    # -- finding ------------------------------------------------------------------------------------------

    def select(self, conditions: tuple[Condition, ...] = ()) -> Selection:
        """Return the rows that fulfil all conditions, in list order; remembered until the table changes."""
        return self._selections.select(conditions)

    # -- changing -----------------------------------------------------------------------------------------

    def next_number(self) -> str:
        """Return the next free number of the series and take it."""
        while True:
            number = self.spec.series.text(self._next_number)
            self._next_number += 1
            if not self._index.has_had(number):
                return number

    def stamp(self, row: dict[str, Any], *, created: bool = False) -> None:
        """Set a new version and time of change in a row dictionary."""
        now = self._now_text()
        row.update({name: now for name in _MODIFIED_NAMES if name in self.fields or name in self._hidden_stamps})
        if created and ("createdDateTime" in self.fields or "createdDateTime" in self._hidden_stamps):
            row["createdDateTime"] = now
        version = row_version(self._next_version())
        row.update({name: version for name in ("timeStamp", "timestamp") if name in self.fields})

    def insert(self, row: dict[str, Any], *, index: int | None = None) -> int:
        """Add a row dictionary (its key must be free), at the end or before `index`; return its number."""
        number = self._next_row
        self._tell("created", number, row)
        self._next_row += 1
        if self.spec.internal and self.spec.internal not in row:
            row[self.spec.internal] = self.internal_of(number)
        self._put(number, {name: row[name] for name in (*self.fields, *self._hidden_stamps) if name in row})
        if index is None or index >= len(self.order):
            self.order.append(number)
        else:
            self.order.insert(index, number)
        self.changes += 1
        return number

    def replace(self, row: int, data: dict[str, Any], *, to_end: bool = False) -> None:
        """Replace a row by a changed dictionary, or append it."""
        self._tell("updated", row, data)
        self._index.remove(row, self.key_of(row))
        if row not in self.overlay:
            self.order.isolate(row)
        self._put(row, data)
        if to_end:
            self.order.remove(row)
            self.order.append(row)
        self.changes += 1

    def _tell(self, kind: WriteKind, row: int, data: Mapping[str, Any]) -> None:
        if self.on_write is not None:
            self.on_write(kind, self, row, data)

    def _put(self, row: int, data: dict[str, Any]) -> None:
        self.overlay[row] = data
        self._index.add(row, self.key_in(data))
        if self._hidden_stamps:
            earlier = {"lastModifiedDateTime": self._now_text(), "createdDateTime": self._created_text(row)}
            earlier |= {name: text for name, text in self.stamps.get(row, {}).items() if name == "createdDateTime"}
            self.stamps[row] = {name: data.pop(name, earlier[name]) for name in self._hidden_stamps}
        shown = data.get("timeStamp") or data.get("timestamp")
        self._row_versions[row] = str(shown) if shown else row_version(self._next_version())

    def _created_text(self, row: int) -> str:
        return naive_text_of_ms(self.base.created_ms(row)) if row < self.count else self._now_text()

    def remove(self, row: int) -> None:
        """Delete a row.

        Raises:
            KeyError: There is no such row now.
        """
        if not self.exists(row):
            raise KeyError(row)
        self._tell("deleted", row, {})
        self._index.remove(row, self.key_of(row))
        self.order.remove(row)
        self.overlay.pop(row, None)
        self.beside.pop(row, None)
        self._gone.add(row)
        self.changes += 1

    def restamp(self, milliseconds: int) -> None:
        """Set the same time of change for every row, as an upgrade of the service does (facts 5.11)."""
        self.base.restamped_ms = milliseconds
        text = naive_text_of_ms(milliseconds)
        for data in self.overlay.values():
            data.update({name: text for name in _MODIFIED_NAMES if name in self.fields})
        for stamps in self.stamps.values():
            stamps.update({name: text for name in stamps if name == "lastModifiedDateTime"})
        self._selections.forget_base()
        self.changes += 1

    def frozen(self) -> Table:
        """Return the table as it is now; changes do not reach it, other than `restamp`."""
        made = copy(self)
        vars(made).update(
            order=self.order.copy(), overlay=dict(self.overlay), beside=dict(self.beside),
            stamps=dict(self.stamps), _gone=set(self._gone),
            _row_versions=dict(self._row_versions), _index=self._index.copy(),
            _selections=self._selections.of_copy(made),
        )  # fmt: skip
        return made

    # -- snapshots ----------------------------------------------------------------------------------------

    def export(self) -> dict[str, Any]:
        """Return all changes as JSON values."""
        return {
            "count": self.count, "runs": self.order.runs, "overlay": {str(row): data for row,
            data in self.overlay.items()},
            "gone": sorted(self._gone), "next_row": self._next_row, "next_number": self._next_number,
            "versions": {str(row): text for row, text in self._row_versions.items()},
            "restamped_ms": self.base.restamped_ms,
            "stamps": {str(row): stamps for row, stamps in self.stamps.items()},
            "beside": {str(row): told for row, told in self.beside.items()},
        }  # fmt: skip

    def restore(self, content: Mapping[str, Any]) -> None:
        """Apply the changes that `export` returned.

        Raises:
            ValueError: They belong to a table of another size.
        """
        if content["count"] != self.count:
            raise ValueError(f"{self.spec.name} has {self.count} rows here and {content['count']} in the snapshot")
        self.order.restore([(start, stop) for start, stop in content["runs"]])
        self.overlay = {int(row): data for row, data in content["overlay"].items()}
        self._gone = set(content["gone"])
        self._next_row, self._next_number = content["next_row"], content["next_number"]
        self._row_versions = {int(row): text for row, text in content["versions"].items()}
        self.base.restamped_ms = content["restamped_ms"]
        self.stamps = {int(row): stamps for row, stamps in content.get("stamps", {}).items()}
        self.beside = {int(row): told for row, told in content.get("beside", {}).items()}
        for row, data in self.overlay.items():
            self._index.add(row, self.key_in(data))
        self._selections.forget_base()
        self.changes += 1

"""The rows of one table: made on demand from (seed, table, row number), with an overlay of what changed.

An untouched row costs nothing until it is read; then it is its variant's encoded text with the row's own values put
in, a few microseconds. Changed and new rows are dictionaries.
"""

from __future__ import annotations

import json
from array import array
from base64 import b64encode
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from random import Random
from typing import Any

import msgspec
from attrs import define, field

from vismanet_async.simulator import nordic
from vismanet_async.simulator.clock import naive_text_of_ms
from vismanet_async.simulator.filters import Condition, values_at
from vismanet_async.simulator.sequence import RowOrder
from vismanet_async.simulator.shapes import Shaper, is_slot, slot_name
from vismanet_async.simulator.tables import TableSpec

__all__ = ["ByteCache", "Key", "Selection", "Table", "decode", "encode"]

Key = tuple[str, ...]

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_VARIANTS = 61
_MODIFIED_NAMES = ("lastModifiedDateTime", "lastModified", "lastUpdateDate")
_DATA_FROM_MS = 1_640_995_200_000  # 2022-01-01
_DATA_TO_MS = 1_767_139_200_000  # 2025-12-31
_DAY_MS = 86_400_000
_DUE_DAYS = 30
_CHUNK_ROWS = 1000


def encode(value: object) -> bytes:
    """Write compact JSON; decimals as numbers with the scale they have."""
    return _ENCODER.encode(value)


def decode(data: bytes | str) -> Any:  # noqa: ANN401 - JSON
    """Read JSON; fractions as decimals, exactly as written."""
    return json.loads(data, parse_float=Decimal)


class ByteCache:
    """A least-recently-used cache bounded by the bytes of what it holds."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._entries: OrderedDict[object, tuple[Any, int]] = OrderedDict()
        self.size_bytes = 0

    def get(self, key: object) -> Any:  # noqa: ANN401 - whatever was put
        """Return what was put under the key, or None."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: object, value: object, size_bytes: int) -> None:
        """Keep a value, dropping the oldest ones if it gets too much."""
        previous = self._entries.pop(key, None)
        if previous is not None:
            self.size_bytes -= previous[1]
        self._entries[key] = (value, size_bytes)
        self.size_bytes += size_bytes
        while self.size_bytes > self._limit and len(self._entries) > 1:
            self.size_bytes -= self._entries.popitem(last=False)[1][1]


@define
class Selection:
    """The rows that a query finds, in list order, as a few sequences of row numbers."""

    parts: list[Sequence[int]]
    ends: list[int] = field(init=False)

    def __attrs_post_init__(self) -> None:
        total = 0
        self.ends = [total := total + len(part) for part in self.parts]

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    def ids(self, start: int, stop: int) -> list[int]:
        """Return the row numbers at these places."""
        found: list[int] = []
        place = bisect_right(self.ends, start)
        while start < min(stop, len(self)):
            part = self.parts[place]
            offset = start - (self.ends[place] - len(part))
            taken = part[offset : offset + stop - start]
            found.extend(taken)
            start += len(taken)
            place += 1
        return found

    def __iter__(self) -> Iterator[int]:
        for part in self.parts:
            yield from part


@define
class _Template:
    """The encoded variants of one shape: constant text with places for the slots."""

    formats: list[bytes]
    slots: list[tuple[str, ...]]


class Table:
    """One table: its rows by number and by key, their order, their changes."""

    def __init__(self, spec: TableSpec, *, seed: int, count: int, shaper: Shaper, neighbour: Callable[[str], Table],
                 fields: Mapping[str, Mapping[str, Mapping[str, Any]]], cache: ByteCache, next_version: Callable[[], int],
                 now_text: Callable[[], str]) -> None:  # fmt: skip
        self.spec = spec
        self.fields = fields[spec.dto]
        self.count = count
        self.order = RowOrder(count)
        self.overlay: dict[int, dict[str, Any]] = {}
        self.removed: set[int] = set()
        self.changes = 0
        self._schemas = fields
        self._seed = (seed * 0x9E3779B1 + sum(spec.name.encode()) * 0x85EBCA6B) & 0xFFFFFFFF
        self._shaper = shaper
        self._neighbour = neighbour
        self._cache = cache
        self._next_version = next_version
        self._now_text = now_text
        self._row_versions: dict[int, str] = {}
        self._restamped_ms: int | None = None
        self._keys: dict[Key, int] = {}
        self._next_row = count
        self._next_number = count
        self._templates: dict[tuple[str, frozenset[str]], _Template] = {}
        self._variants: dict[str, list[dict[str, Any]]] = {}
        self._base_matches: dict[tuple[Condition, ...], array[int]] = {}
        self._selections: OrderedDict[tuple[Condition, ...], tuple[int, Selection]] = OrderedDict()
        self._step_ms = (_DATA_TO_MS - _DATA_FROM_MS) // max(1, count)
        self._slots: dict[str, Callable[[int], Any]] = {
            "key": lambda row: self.key_of(row)[-1],
            "key.integer": lambda row: int(self.key_of(row)[-1]),
            "type": lambda row: self.key_of(row)[0],
            "internal": self.internal_of,
            "name": self.name_of,
            "modified": lambda row: naive_text_of_ms(self.modified_ms(row)),
            "created": lambda row: naive_text_of_ms(self.created_ms(row)),
            "version": lambda row: row_version(0x4D00_0000 + row),
            "date": lambda row: _day_text(self.created_ms(row) // _DAY_MS),
            "due": lambda row: _day_text(self.created_ms(row) // _DAY_MS + _DUE_DAYS),
            "period": lambda row: _period_text(self.created_ms(row) // _DAY_MS),
            "postperiod": lambda row: _post_period_text(self.created_ms(row) // _DAY_MS),
            "corporateId": self._organisation,
            "vatRegistrationId": lambda row: nordic.vat_number(self._country(row), self._organisation(row)),
        }
        for party in ("customer", "supplier", "parent"):
            self._slots[f"{party}.key"] = lambda row, party=party: self._party(party, row)[0]
            self._slots[f"{party}.number"] = self._slots[f"{party}.key"]
            self._slots[f"{party}.name"] = lambda row, party=party: self._party(party, row)[1]
            self._slots[f"{party}.internal"] = lambda row, party=party: self._party(party, row)[2]

    def __len__(self) -> int:
        return len(self.order)

    # -- who a row is -------------------------------------------------------------------------------------

    def _hash(self, row: int) -> int:
        return ((row + 1) * 0x9E3779B1 ^ self._seed) & 0xFFFFFFFF

    def key_of(self, row: int) -> Key:
        """Return the identity of a row."""
        changed = self.overlay.get(row)
        if changed is not None:
            return self.key_in(changed)
        spec = self.spec
        if spec.fixed:
            number = spec.fixed[row % len(spec.fixed)][0]
        elif spec.name == "financialperiod":
            number = f"{2021 + row // 12}{row % 12 + 1:02d}"
        else:
            number = spec.series.text(row)
        if spec.parent:
            return (self._neighbour(spec.parent).key_of(row)[-1], number)
        if spec.types:
            return (self._type_of(row), number)
        return (number,)

    def _type_of(self, row: int) -> str:
        types = self.spec.types
        return types[0] if row % 8 else types[row // 8 % len(types)]

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
        return row + 101

    def name_of(self, row: int) -> str:
        """Return the name or description of a row."""
        changed = self.overlay.get(row)
        if changed is not None and self.spec.title:
            return str(changed.get(self.spec.title) or "")
        spec, hashed = self.spec, self._hash(row)
        if spec.fixed:
            return spec.fixed[row % len(spec.fixed)][1]
        if spec.names == "company":
            form = nordic.COUNTRIES[(0, 0, 1, 0, 2, 0, 3)[hashed % _VARIANTS % 7]].company_form
            return nordic.company_name(hashed >> 4, form)
        if spec.names == "person":
            return " ".join(nordic.person_name(hashed >> 4))
        return nordic.item_name(hashed >> 4)

    def created_ms(self, row: int) -> int:
        """Return when a base row was made, naive milliseconds."""
        return _DATA_FROM_MS + row * self._step_ms

    def modified_ms(self, row: int) -> int:
        """Return when a base row was last changed: mostly soon after it was made, sometimes long after."""
        if self._restamped_ms is not None:
            return self._restamped_ms
        created, hashed = self.created_ms(row), self._hash(row)
        if hashed & 3:
            return created + hashed % _DAY_MS
        return created + ((_DATA_TO_MS - created) * (hashed >> 2) >> 30)

    def _country(self, row: int) -> str:
        return nordic.COUNTRIES[(0, 0, 1, 0, 2, 0, 3)[self._hash(row) % _VARIANTS % 7]].id

    def _organisation(self, row: int) -> str:
        return nordic.organisation_number(
            self._country(row), row + (400_000 if self.spec.name == "supplier" else 0)
        )

    def _party(self, name: str, row: int) -> tuple[str, str, int]:
        if name == "parent":
            table = self._neighbour(self.spec.parent or "customer")
            other = row
        else:
            table = self._neighbour(name)
            other = self._hash(row) % max(1, table.count)
        return table.key_of(other)[-1], table.name_of(other), table.internal_of(other)

    def _slot(self, name: str, row: int) -> Any:  # noqa: ANN401 - text or number
        if name.startswith("uuid."):
            return str(_uuid_of(self._hash(row), name))
        return self._slots[name](row)

    def find(self, key: Sequence[str]) -> int | None:
        """Return the row with this key; a key without its type finds the first type that has the number."""
        wanted = tuple(key)
        if len(wanted) < len(self.spec.key):
            tails = [tail for tail in self._keys if tail[-1:] == wanted[-1:]]
            row = self._base_row(wanted)
            return row if row is not None else (self._keys[tails[0]] if tails else None)
        if wanted in self._keys:
            return self._keys[wanted]
        folded = tuple(part.casefold() for part in wanted)
        row = self._base_row(wanted)
        if row is not None and tuple(part.casefold() for part in self.key_of(row)) == folded:
            return row
        return next(
            (row for known, row in self._keys.items() if tuple(part.casefold() for part in known) == folded),
            None,
        )

    def find_internal(self, internal: int) -> int | None:
        """Return the row with this internal id."""
        row = internal - 101
        return row if 0 <= row < self._next_row and self.exists(row) else None

    def _base_row(self, key: Key) -> int | None:
        spec, number = self.spec, key[-1]
        row: int | None
        if spec.parent:
            row = self._neighbour(spec.parent)._base_row(key[:1])  # noqa: SLF001 - the same class
        elif spec.fixed:
            row = next(
                (place for place, (text, _) in enumerate(spec.fixed) if text.casefold() == number.casefold()),
                None,
            )
        elif spec.name == "financialperiod":
            row = (
                (int(number[:4]) - 2021) * 12 + int(number[4:]) - 1
                if number.isdigit() and len(number) == 6
                else None
            )  # noqa: PLR2004
        else:
            row = spec.series.index(number.upper())
        return (
            row
            if row is not None
            and 0 <= row < self.count
            and row not in self.removed
            and row not in self.overlay
            else None
        )

    def exists(self, row: int) -> bool:
        """Tell whether the row is there now."""
        return row in self.overlay or (0 <= row < self.count and row not in self.removed)

    # -- what a row says ----------------------------------------------------------------------------------

    def variants(self, dto: str) -> list[dict[str, Any]]:
        """Return the variants of a shape over this table, made on first use."""
        if dto not in self._variants:
            wanted = min(_VARIANTS, max(1, self.count)) if self.spec.fixed else _VARIANTS
            self._variants[dto] = [self._shaper.variant(self.spec, dto, number) for number in range(wanted)]
        return self._variants[dto]

    def variant_of(self, row: int) -> dict[str, Any]:
        """Return the variant that a base row has (with slots)."""
        variants = self.variants(self.spec.dto)
        return variants[self._hash(row) % len(variants)]

    def _template(self, dto: str, left_out: frozenset[str]) -> _Template:
        found = self._templates.get((dto, left_out))
        if found is None:
            formats, slots = [], []
            for variant in self.variants(dto):
                shown = {name: value for name, value in variant.items() if name not in left_out}
                text, names = _split_slots(encode(shown)[:-1])
                formats.append(text)
                slots.append(names)
            found = self._templates[dto, left_out] = _Template(formats, slots)
        return found

    def json_rows(self, rows: Sequence[int], dto: str, left_out: frozenset[str]) -> list[bytes]:
        """Return the rows as JSON objects without their closing brace (the metadata goes there)."""
        template = self._template(dto, left_out)
        count = len(template.formats)
        made: list[bytes] = []
        for row in rows:
            if row in self.overlay:
                made.append(self._json_changed(row, dto, left_out))
                continue
            variant = self._hash(row) % count
            made.append(
                template.formats[variant]
                % tuple([self._slot_json(name, row) for name in template.slots[variant]])
            )
        return made

    def _slot_json(self, name: str, row: int) -> bytes:
        value = self._slot(name, row)
        return b"%d" % value if type(value) is int else b'"%b"' % value.encode()

    def _json_changed(self, row: int, dto: str, left_out: frozenset[str]) -> bytes:
        data = self.overlay[row]
        if dto != self.spec.dto:
            data = self.project(row, dto)
        return encode(
            {name: value for name, value in data.items() if name not in left_out and name != "metadata"}
        )[:-1]

    def row(self, row: int) -> dict[str, Any]:
        """Return a row as a dictionary of its own (without metadata).

        Raises:
            KeyError: There is no such row now.
        """
        if not self.exists(row):
            raise KeyError(row)
        if row in self.overlay:
            copied: dict[str, Any] = decode(encode(self.overlay[row]))
            return copied
        made: dict[str, Any] = decode(self.json_rows((row,), self.spec.dto, frozenset())[0] + b"}")
        return made

    def project(self, row: int, dto: str) -> dict[str, Any]:
        """Return a row in another shape: what both shapes have is the row's, the rest is generated."""
        if dto == self.spec.dto:
            return self.row(row)
        own = self.row(row)
        key = "/".join(self.key_of(row))
        shown = self._shaper.single(dto, key)
        for name in self._schemas[dto]:
            if name in own:
                shown[name] = own[name]
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

    def select(self, conditions: tuple[Condition, ...]) -> Selection:
        """Return the rows that fulfil all conditions, in list order; remembered until the table changes."""
        known = self._selections.get(conditions)
        if known is not None and known[0] == self.changes:
            return known[1]
        selection = self._select(conditions)
        self._selections[conditions] = (self.changes, selection)
        if len(self._selections) > 32:  # noqa: PLR2004 - a few queries are live at a time
            self._selections.popitem(last=False)
        return selection

    def _select(self, conditions: tuple[Condition, ...]) -> Selection:
        if not conditions:
            return Selection([range(start, stop) for start, stop in self.order.runs])
        matches = self._matching_base(conditions)
        parts: list[Sequence[int]] = []
        for start, stop in self.order.runs:
            if start >= self.count or (stop - start == 1 and start in self.overlay):
                parts.append(
                    [row for row in range(start, stop) if self._fulfils(self.overlay[row], conditions)]
                )
            else:
                parts.append(matches[bisect_left(matches, start) : bisect_left(matches, stop)])
        return Selection([part for part in parts if part])

    @staticmethod
    def _fulfils(row: Mapping[str, Any], conditions: tuple[Condition, ...]) -> bool:
        return all(
            any(condition.holds(value) for value in values_at(row, condition.path))
            for condition in conditions
        )

    def _matching_base(self, conditions: tuple[Condition, ...]) -> array[int]:
        """Return the numbers of all base rows that fulfil the conditions, as they were made."""
        known = self._base_matches.get(conditions)
        if known is None:
            rows: Sequence[int] = range(self.count)
            for condition in conditions:
                rows = self._narrow(rows, condition)
            known = array("I", rows)
            if len(self._base_matches) > 64:  # noqa: PLR2004 - enough for the queries of one sync
                self._base_matches.clear()
            self._base_matches[conditions] = known
        return known

    def _narrow(self, rows: Sequence[int], condition: Condition) -> Sequence[int]:
        if type(condition.value) is int and condition.path in {"lastModifiedDateTime", "createdDateTime"}:
            return self._narrow_by_time(rows, condition)
        verdicts: list[object] = []
        for variant in self.variants(self.spec.dto):
            found = list(values_at(variant, condition.path))
            names = tuple(slot_name(value) for value in found if is_slot(value))  # type: ignore[arg-type] # is_slot checked
            fixed = any(condition.holds(value) for value in found if not is_slot(value))
            verdicts.append(True if fixed else names or False)
        count = len(verdicts)
        kept = []
        for row in rows:
            verdict = verdicts[self._hash(row) % count]
            if verdict is True or (
                verdict and any(condition.holds(self._slot(name, row)) for name in verdict)
            ):  # type: ignore[attr-defined] # a tuple of names
                kept.append(row)
        return kept

    def _narrow_by_time(self, rows: Sequence[int], condition: Condition) -> Sequence[int]:
        limit, relation = condition.value, condition.operator
        when = self.modified_ms if condition.path == "lastModifiedDateTime" else self.created_ms
        if relation == ">=":
            return [row for row in rows if when(row) >= limit]
        if relation == ">":
            return [row for row in rows if when(row) > limit]
        if relation == "<":
            return [row for row in rows if when(row) < limit]
        if relation == "<=":
            return [row for row in rows if when(row) <= limit]
        return [row for row in rows if when(row) == limit]

    # -- changing -----------------------------------------------------------------------------------------

    def _changed(self) -> None:
        self.changes += 1

    def next_number(self) -> str:
        """Return the next free number of the series and take it."""
        while True:
            number = self.spec.series.text(self._next_number)
            self._next_number += 1
            if all(known[-1] != number for known in self._keys):
                return number

    def stamp(self, row: dict[str, Any], *, created: bool = False) -> None:
        """Give a row a new version and a new time of change."""
        now = self._now_text()
        row.update({name: now for name in _MODIFIED_NAMES if name in self.fields})
        if created and "createdDateTime" in self.fields:
            row["createdDateTime"] = now
        for name in ("timeStamp", "timestamp"):
            if name in self.fields:
                row[name] = row_version(self._next_version())

    def version_of(self, row: int) -> str:
        """Return the row version, also of shapes that do not show it."""
        return self._row_versions.get(row) or row_version(0x4D00_0000 + row)

    def _note_version(self, row: int, data: Mapping[str, Any]) -> None:
        shown = data.get("timeStamp") or data.get("timestamp")
        self._row_versions[row] = str(shown) if shown else row_version(self._next_version())

    def insert(self, row: dict[str, Any], *, index: int | None = None) -> int:
        """Add a row dictionary (its key must be free), at the end or before the row at `index`."""
        number = self._next_row
        self._next_row += 1
        if self.spec.internal and self.spec.internal not in row:
            row[self.spec.internal] = self.internal_of(number)
        ordered = {name: row[name] for name in self.fields if name in row}
        self.overlay[number] = ordered
        self._keys[self.key_in(ordered)] = number
        self._note_version(number, ordered)
        if index is None or index >= len(self.order):
            self.order.append(number)
        else:
            self.order.insert(index, number)
        self._changed()
        return number

    def generate(self, random: Random) -> dict[str, Any]:
        """Return a complete new row, numbered by the series, that is not in the table yet."""
        template = random.randrange(max(1, self.count)) if self.count else None
        variant = (
            self._shaper.variant(self.spec, self.spec.dto, random.randrange(10_000))
            if template is None
            else None
        )
        row = dict(variant) if variant is not None else self._base_dict(template or 0)
        number = self.next_number()
        head, tail = self.spec.key[:-1], self.spec.key[-1]
        if "." not in tail:
            row[tail] = int(number) if self.fields[tail]["type"] == "integer" and number.isdigit() else number
        if self.spec.types and head:
            row[head[0]] = self.spec.types[0]
        row = {name: value for name, value in row.items() if not is_slot(value)}
        for name in self.fields:
            if self.fields[name].get("format") == "uuid":
                row[name] = str(_uuid_of(random.getrandbits(32), name))
        if self.spec.internal:
            row.pop(self.spec.internal, None)
            row = {self.spec.internal: self.internal_of(self._next_row), **row}
        if self.spec.status and "status" in row:
            row["status"] = self.spec.status
        self.stamp(row, created=True)
        return row

    def _base_dict(self, row: int) -> dict[str, Any]:
        made: dict[str, Any] = decode(self._template_only(row) + b"}")
        return made

    def _template_only(self, row: int) -> bytes:
        template = self._template(self.spec.dto, frozenset())
        variant = self._hash(row) % len(template.formats)
        return template.formats[variant] % tuple(
            [self._slot_json(name, row) for name in template.slots[variant]]
        )

    def replace(self, row: int, data: dict[str, Any], *, index: int | None = None) -> None:
        """Put a changed dictionary in a row's place; with `index` the row also moves there (-1: to the end)."""
        old_key = self.key_of(row)
        new_key = self.key_in(data)
        if row not in self.overlay:
            self.order.isolate(row)
        self._keys.pop(old_key, None)
        self.overlay[row] = data
        self._keys[new_key] = row
        self._note_version(row, data)
        if index is not None:
            self.order.remove(row)
            if index < 0 or index >= len(self.order):
                self.order.append(row)
            else:
                self.order.insert(index, row)
        self._changed()

    def touch(self, row: int, *, index: int | None = None) -> None:
        """Change a row's time of change and version and nothing else."""
        data = self.row(row)
        self.stamp(data)
        self.replace(row, data, index=index)

    def restamp(self, milliseconds: int) -> None:
        """Give every row the same time of change, as an upgrade of the service does (facts 5)."""
        self._restamped_ms = milliseconds
        text = naive_text_of_ms(milliseconds)
        for data in self.overlay.values():
            data.update({name: text for name in _MODIFIED_NAMES if name in self.fields})
        self._base_matches.clear()
        self._changed()

    def export(self) -> dict[str, Any]:
        """Return all changes as JSON values."""
        return {
            "count": self.count, "runs": self.order.runs, "overlay": {str(row): data for row, data in self.overlay.items()},
            "removed": sorted(self.removed), "next_row": self._next_row, "next_number": self._next_number,
            "versions": {str(row): text for row, text in self._row_versions.items()}, "restamped_ms": self._restamped_ms,
        }  # fmt: skip

    def restore(self, content: Mapping[str, Any]) -> None:
        """Take over the changes that `export` returned.

        Raises:
            ValueError: They belong to a table of another size.
        """
        if content["count"] != self.count:
            raise ValueError(
                f"{self.spec.name} has {self.count} rows here and {content['count']} in the snapshot"
            )
        self.order.restore([(start, stop) for start, stop in content["runs"]])
        self.overlay = {int(row): data for row, data in content["overlay"].items()}
        self.removed = set(content["removed"])
        self._next_row, self._next_number = content["next_row"], content["next_number"]
        self._row_versions = {int(row): text for row, text in content["versions"].items()}
        self._restamped_ms = content["restamped_ms"]
        self._keys = {self.key_in(data): row for row, data in self.overlay.items()}
        self._base_matches.clear()
        self._changed()

    def remove(self, row: int) -> None:
        """Delete a row.

        Raises:
            KeyError: There is no such row now.
        """
        key = self.key_of(row)
        self.order.remove(row)
        self.overlay.pop(row, None)
        self._keys.pop(key, None)
        self.removed.add(row)
        self._changed()


def row_version(number: int) -> str:
    """Write a row version as the service does: eight bytes, base64 (`AAAAAE0YIiI=`)."""

    return b64encode(number.to_bytes(8, "big")).decode()


def _split_slots(text: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Turn encoded text with marks into a bytes format and the names of its places."""
    pieces = text.split(b'"\\u0001')
    names = []
    parts = [pieces[0].replace(b"%", b"%%")]
    for piece in pieces[1:]:
        name, _, rest = piece.partition(b'\\u0001"')
        names.append(name.decode())
        parts.append(rest.replace(b"%", b"%%"))
    return b"%b".join(parts), tuple(names)


@lru_cache(maxsize=8192)
def _day_text(day: int) -> str:
    return naive_text_of_ms(day * _DAY_MS)


@lru_cache(maxsize=8192)
def _period_text(day: int) -> str:
    text = _day_text(day)
    return text[:4] + text[5:7]


@lru_cache(maxsize=8192)
def _post_period_text(day: int) -> str:
    text = _day_text(day)
    return text[5:7] + text[:4]


def _uuid_of(hashed: int, name: str) -> str:
    tail = (hashed * 0x9E3779B97F4A7C15 + sum(name.encode())) & 0xFFFFFFFFFFFFFFFF
    digits = f"{hashed:08x}{tail:016x}{hashed ^ 0x5BD1E995:08x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:32]}"

"""Untouched rows as a pure function of (seed, table, row number).

Reading one costs a few microseconds: the encoded text of its variant with the row's own values put in.
Nothing is kept per row, so a table may have millions.
"""

from __future__ import annotations

import re
from array import array
from base64 import b64encode
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from attrs import frozen

from vismanet_async._simulator import sample_names
from vismanet_async._simulator.clock import naive_text_of_ms
from vismanet_async._simulator.filters import Condition, values_at
from vismanet_async._simulator.json_text import decode, encode
from vismanet_async._simulator.shapes import Shaper, is_slot, slot_name

if TYPE_CHECKING:
    from vismanet_async._simulator.tables import TableSpec

__all__ = ["BaseRows", "Identity", "invented_uuid", "row_version"]

_VARIANTS = 61
_FROM_MS = 1_640_995_200_000  # 2022-01-01
_TO_MS = 1_767_139_200_000  # 2025-12-31
_DAY_MS = 86_400_000
_DUE_DAYS = 30
_FIRST_INTERNAL = 101
_FIRST_VERSION = 0x4D00_0000
_FIRST_YEAR = 2021  # of the financial periods
_COUNTRY_OF_VARIANT = (0, 0, 1, 0, 2, 0, 3)  # mostly Norwegian
_SUPPLIER_NUMBERS = 400_000  # organisation numbers of suppliers start there

Identity = tuple[str, str, int]
"""Number, name and internal id of a row that another row refers to."""

Neighbour = Callable[[str, int], Identity]
"""(table, any number) -> one row of that table."""


def row_version(number: int) -> str:
    """Write a row version as the service does: eight bytes, base64 (`AAAAAE0YIiI=`)."""
    return b64encode(number.to_bytes(8, "big")).decode()


def invented_uuid(hashed: int, name: str) -> str:
    """Return a uuid that depends on nothing but its arguments."""
    tail = (hashed * 0x9E3779B97F4A7C15 + sum(name.encode())) & 0xFFFFFFFFFFFFFFFF
    digits = f"{hashed:08x}{tail:016x}{hashed ^ 0x5BD1E995:08x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:32]}"


@frozen
class _Format:
    """The encoded text of one variant, and what makes the JSON of each slot in it, in order."""

    text: bytes
    makers: tuple[Callable[[int], bytes], ...]


class BaseRows:
    """The rows `0..count` of a table as they were before anybody changed them.

    Args:
        spec: What the table is.
        seed: Decides the data.
        count: How many rows.
        shaper: Makes variants.
        neighbour: Gives a row of another table to refer to.
        parent: The rows that these belong to, one each (locations of customers).
    """

    def __init__(
        self,
        spec: TableSpec,
        *,
        seed: int,
        count: int,
        shaper: Shaper,
        neighbour: Neighbour,
        parent: BaseRows | None,
    ) -> None:
        self.spec = spec
        self._parent = parent
        self.count = count
        self.restamped_ms: int | None = None
        """When every row was given the same time of change, if so."""
        self._seed = (seed * 0x9E3779B1 + sum(spec.name.encode()) * 0x85EBCA6B) & 0xFFFFFFFF
        self._shaper = shaper
        self._neighbour = neighbour
        self._step_ms = (_TO_MS - _FROM_MS) // max(1, count)
        self._variant_count = min(_VARIANTS, max(1, count)) if spec.fixed else _VARIANTS
        self._variants: dict[tuple[str, int], dict[str, Any]] = {}
        self._formats: dict[tuple[str, frozenset[str]], dict[int, _Format]] = {}
        self._slots: dict[str, Callable[[int], str | int]] = {
            "key": self.number,
            "key.integer": lambda row: int(self.number(row)),
            "type": self.kind,
            "internal": self.internal,
            "name": self.name,
            "modified": lambda row: naive_text_of_ms(self.modified_ms(row)),
            "created": lambda row: naive_text_of_ms(self.created_ms(row)),
            "version": lambda row: row_version(_FIRST_VERSION + row),
            "date": lambda row: _day_text(self.created_ms(row) // _DAY_MS),
            "due": lambda row: _day_text(self.created_ms(row) // _DAY_MS + _DUE_DAYS),
            "period": lambda row: _period_text(self.created_ms(row) // _DAY_MS),
            "postperiod": lambda row: _post_period_text(self.created_ms(row) // _DAY_MS),
            "corporateId": self.organisation,
            "vatRegistrationId": lambda row: sample_names.vat_number(self.country(row).id, self.organisation(row)),
        }
        for party in ("customer", "supplier"):
            for place, part in enumerate(("key", "name", "internal")):
                self._slots[f"{party}.{part}"] = self._party_slot(party, place)
        if parent is not None:
            self._slots |= {"parent.key": parent.number, "parent.number": parent.number,
            "parent.name": parent.name,
                            "parent.internal": parent.internal}  # fmt: skip

    def _party_slot(self, party: str, place: int) -> Callable[[int], str | int]:
        return lambda row: self._neighbour(party, self.hashed(row))[place]

    def hashed(self, row: int) -> int:
        """Return 32 bits that look random and are the row's own."""
        return ((row + 1) * 0x9E3779B1 ^ self._seed) & 0xFFFFFFFF

    # -- who a row is -------------------------------------------------------------------------------------

    def number(self, row: int) -> str:
        """Return the number (the last part of the key)."""
        if self.spec.fixed:
            return self.spec.fixed[row % len(self.spec.fixed)][0]
        if self.spec.name == "financialperiod":
            return f"{_FIRST_YEAR + row // 12}{row % 12 + 1:02d}"
        return self.spec.series.text(row)

    def row_of(self, key: tuple[str, ...]) -> int | None:
        """Return the row that a key means: by its number, or by its parent's."""
        if self._parent is not None:
            return self._parent.row_of(key[:1])
        number = key[-1]
        if self.spec.fixed:
            wanted = number.casefold()
            return next((row for row, (text, _) in enumerate(self.spec.fixed) if text.casefold() == wanted), None)
        if self.spec.name == "financialperiod":
            is_period = re.fullmatch(r"\d{6}", number) is not None
            return (int(number[:4]) - _FIRST_YEAR) * 12 + int(number[4:]) - 1 if is_period else None
        return self.spec.series.index(number.upper())

    def kind(self, row: int) -> str:
        """Return the type of a document: mostly the usual one."""
        types = self.spec.types
        return types[0] if row % 8 else types[row // 8 % len(types)]

    def key(self, row: int) -> tuple[str, ...]:
        """Return the identity of a row."""
        number = self.number(row)
        if self._parent is not None:
            return (self._parent.number(row), number)
        return (self.kind(row), number) if self.spec.types else (number,)

    @staticmethod
    def internal(row: int) -> int:
        """Return the internal id of a row, also of one that was added later."""
        return row + _FIRST_INTERNAL

    @staticmethod
    def row_of_internal(internal: int) -> int:
        """Return the row with this internal id, whether there is one or not."""
        return internal - _FIRST_INTERNAL

    def name(self, row: int) -> str:
        """Return the name or description of a row."""
        if self.spec.fixed:
            return self.spec.fixed[row % len(self.spec.fixed)][1]
        hashed = self.hashed(row) >> 4
        if self.spec.names == "company":
            return sample_names.company_name(hashed, self.country(row).company_form)
        return (
            " ".join(sample_names.person_name(hashed))
            if self.spec.names == "person"
            else sample_names.item_name(hashed)
        )

    def country(self, row: int) -> sample_names.Country:
        """Return where a row is at home: the country of its variant."""
        return country_of_variant(self.hashed(row) % self._variant_count)

    def organisation(self, row: int) -> str:
        """Return the organisation number."""
        return sample_names.organisation_number(
            self.country(row).id, row + (_SUPPLIER_NUMBERS if self.spec.name == "supplier" else 0)
        )

    def created_ms(self, row: int) -> int:
        """Return when a row was made, naive milliseconds."""
        return _FROM_MS + row * self._step_ms

    def modified_ms(self, row: int) -> int:
        """Return when a row was last changed: mostly soon after it was made, sometimes long after."""
        if self.restamped_ms is not None:
            return self.restamped_ms
        created, hashed = self.created_ms(row), self.hashed(row)
        if hashed & 3:
            return created + hashed % _DAY_MS
        return created + ((_TO_MS - created) * (hashed >> 2) >> 30)

    @staticmethod
    def version(row: int) -> str:
        """Return the row version."""
        return row_version(_FIRST_VERSION + row)

    # -- what a row says ----------------------------------------------------------------------------------

    def variant(self, dto: str, number: int) -> dict[str, Any]:
        """Return a variant of a shape over this table, made on first use; it must not be changed."""
        found = self._variants.get((dto, number))
        if found is None:
            found = self._variants[dto, number] = self._shaper.variant(
                self.spec, dto, number, country_of_variant(number)
            )
        return found

    def variant_of(self, row: int) -> dict[str, Any]:
        """Return the variant that a row has, in the table's own shape."""
        return self.variant(self.spec.dto, self.hashed(row) % self._variant_count)

    def json_rows(self, rows: Sequence[int], dto: str, left_out: frozenset[str]) -> list[bytes]:
        """Return rows as JSON objects without their closing brace (the metadata goes there)."""
        formats = self._formats.setdefault((dto, left_out), {})
        made = []
        for row in rows:
            number = self.hashed(row) % self._variant_count
            known = formats.get(number)
            if known is None:
                known = formats[number] = self._format(dto, left_out, number)
            made.append(known.text % tuple([make(row) for make in known.makers]))
        return made

    def row(self, row: int) -> dict[str, Any]:
        """Return a row as a dictionary of its own (without metadata)."""
        made: dict[str, Any] = decode(self.json_rows((row,), self.spec.dto, frozenset())[0] + b"}")
        return made

    def _format(self, dto: str, left_out: frozenset[str], number: int) -> _Format:
        shown = {name: value for name, value in self.variant(dto, number).items() if name not in left_out}
        text, slots = _split_slots(encode(shown)[:-1])
        return _Format(text, tuple(self._maker(name) for name in slots))

    def _slot(self, name: str, row: int) -> str | int:
        if name.startswith("uuid."):
            return invented_uuid(self.hashed(row), name)
        return self._slots[name](row)

    def _maker(self, name: str) -> Callable[[int], bytes]:
        value_of = partial(self._slot, name) if name.startswith("uuid.") else self._slots[name]

        def make(row: int) -> bytes:
            value = value_of(row)
            return b'"%b"' % value.encode() if isinstance(value, str) else b"%d" % value

        return make

    # -- which rows fulfil a condition --------------------------------------------------------------------

    def narrow(self, rows: Sequence[int], condition: Condition) -> Sequence[int]:
        """Return the rows of these that fulfil a condition.

        What a variant says counts for all its rows; only slots are looked at row by row.
        """
        if type(condition.value) is int and condition.path in _TIMES:
            return self._narrow_by_time(rows, condition)
        verdicts = [self._verdict(number, condition) for number in range(self._variant_count)]
        count, kept = self._variant_count, array("I")  # a list of a million numbers takes ten times as much
        for row in rows:
            fixed, slots = verdicts[self.hashed(row) % count]
            if fixed or any(condition.holds(self._slot(name, row)) for name in slots):
                kept.append(row)
        return kept

    def _verdict(self, number: int, condition: Condition) -> tuple[bool, tuple[str, ...]]:
        """Return whether every row of a variant fulfils the condition, and the slots that may do so."""
        found = list(values_at(self.variant(self.spec.dto, number), condition.path))
        slots = tuple(slot_name(str(value)) for value in found if is_slot(value))
        return any(condition.holds(value) for value in found if not is_slot(value)), slots

    def _narrow_by_time(self, rows: Sequence[int], condition: Condition) -> Sequence[int]:
        limit, relation = condition.value, condition.operator
        when = self.modified_ms if condition.path == _TIMES[0] else self.created_ms
        if relation == ">=":
            return array("I", (row for row in rows if when(row) >= limit))
        if relation == ">":
            return array("I", (row for row in rows if when(row) > limit))
        if relation == "<":
            return array("I", (row for row in rows if when(row) < limit))
        if relation == "<=":
            return array("I", (row for row in rows if when(row) <= limit))
        return array("I", (row for row in rows if when(row) == limit))


_TIMES = ("lastModifiedDateTime", "createdDateTime")


def country_of_variant(number: int) -> sample_names.Country:
    """Return the country that all rows of a variant share."""
    return sample_names.COUNTRIES[_COUNTRY_OF_VARIANT[number % len(_COUNTRY_OF_VARIANT)]]


def _split_slots(text: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Turn encoded text with marks into a bytes format and the names of its places."""
    head, *pieces = text.split(b'"\\u0001')
    names = []
    parts = [head.replace(b"%", b"%%")]
    for piece in pieces:
        name, _, rest = piece.partition(b'\\u0001"')
        names.append(name.decode())
        parts.append(rest.replace(b"%", b"%%"))
    return b"%b".join(parts), tuple(names)


@lru_cache(maxsize=8192)
def _day_text(day: int) -> str:
    return naive_text_of_ms(day * _DAY_MS)


def _period_text(day: int) -> str:
    text = _day_text(day)
    return text[:4] + text[5:7]


def _post_period_text(day: int) -> str:
    text = _day_text(day)
    return text[5:7] + text[:4]

"""Keys that end in a number, kept as packed ranges: about a byte each (no IO).

Measured on 2026-11-30 on 300,000 keys that rise: 0.3 to 0.5 microseconds of CPU and 0.3 to 2 bytes a key, where digests
take 3.4 to 4 and 38. Keys in no order end as digests, and take 7 % longer than as digests from the beginning.
"""

from __future__ import annotations

import re
import zlib
from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from itertools import accumulate, count, islice, pairwise
from operator import lt, sub
from typing import TYPE_CHECKING, Final

import msgspec

from vismanet_async._paging.key_scanner import FixedWidthKeys

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["NumberRanges", "ParsedNumbers"]

_NUMBERED: Final = re.compile(rb"(.{0,80}?)([0-9]{1,18})(\D{0,8})", re.DOTALL)
_DIGIT: Final = re.compile(rb"[0-9]")
_OVERLAPS: Final = 8
"""Ranges that a new page may overlap before ranges are given up: the list is in another order than its keys."""


class ParsedNumbers(msgspec.Struct, frozen=True):
    """The keys of a page as numbers, by pattern, with or without their ordinals."""

    patterns: Mapping[KeyPattern, tuple[Sequence[int], Sequence[int]]]
    """Numbers in rising order, and the page offset of each."""
    ordinals: Sequence[int | None] = ()

    def numbered(self, ordinals: Sequence[int | None]) -> ParsedNumbers:
        """Return the same numbers with ordinals."""
        return ParsedNumbers(self.patterns, ordinals)


class KeyPattern(msgspec.Struct, frozen=True):
    """Keys that differ by a number only."""

    before: bytes
    width: int
    """Digits with leading zeros; 0: as many as it takes."""
    after: bytes

    def key(self, number: int) -> bytes:
        """Return the key with this number."""
        return self.before + (b"%0*d" % (self.width, number)) + self.after


class PackedRange(msgspec.Struct, frozen=True):
    """The numbers of one pattern on one page, packed."""

    first: int
    last: int
    numbers: bytes | None
    """None: all from the first to the last."""
    ordinals: bytes | int
    """Packed as well; or the first of them, where they are consecutive."""

    @classmethod
    def of(cls, numbers: Sequence[int], ordinals: Sequence[int]) -> PackedRange:
        """Return a packed range of these numbers, which rise."""
        first, last = numbers[0], numbers[-1]
        packed = None if last - first == len(numbers) - 1 else _pack(numbers)
        return cls(first, last, packed, ordinals[0] if isinstance(ordinals, range) else _pack(ordinals))

    def unpacked(self) -> dict[int, int]:
        """Return the ordinals by number."""
        numbers = range(self.first, self.last + 1) if self.numbers is None else _unpack(self.numbers)
        ordinals = count(self.ordinals) if isinstance(self.ordinals, int) else _unpack(self.ordinals)
        return dict(zip(numbers, ordinals, strict=False))


def _pack(values: Sequence[int]) -> bytes:
    return zlib.compress(array("q", [values[0], *map(sub, islice(values, 1, None), values)]).tobytes(), 1)


def _unpack(packed: bytes) -> Iterable[int]:
    return accumulate(array("q", zlib.decompress(packed)))


class NumberRanges:
    """Keeps keys as ranges of numbers, by pattern. Not thread-safe."""

    def __init__(self) -> None:
        self._ranges: dict[KeyPattern, list[PackedRange]] = {}
        self._spans: dict[KeyPattern, int] = {}  # the widest range of each pattern
        self._unpacked: OrderedDict[int, tuple[PackedRange, dict[int, int]]] = OrderedDict()
        self.latest = ParsedNumbers({})

    def known(self, keys: Sequence[bytes]) -> dict[int, int] | None:
        """Return the ordinals of the keys that are kept already, by offset; None where ranges do not fit."""
        numbers = _parse_fixed_width(keys) if isinstance(keys, FixedWidthKeys) else _parse_rising(keys)
        numbers = numbers or _parse(keys)
        if numbers is None:
            return None
        self.latest = numbers
        found: dict[int, int] = {}
        for pattern, (values, offsets) in numbers.patterns.items():
            ranges = self._near(pattern, values[0], values[-1])
            if len(ranges) > _OVERLAPS:
                return None
            for packed in ranges:
                ordinals = self._ordinals_of(packed)
                found |= {
                    offset: ordinals[value] for value, offset in zip(values, offsets, strict=True) if value in ordinals
                }
        return found

    def add(self, numbers: ParsedNumbers) -> None:
        """Keep the keys of the page that `known` was called with, as far as they have ordinals."""
        for pattern, (values, offsets) in numbers.patterns.items():
            if isinstance(offsets, range) and isinstance(numbers.ordinals, range):
                self._keep(pattern, PackedRange.of(values, numbers.ordinals))
                continue
            ordinals = [numbers.ordinals[offset] for offset in offsets]
            fresh = [(value, ordinal) for value, ordinal in zip(values, ordinals, strict=True) if ordinal is not None]
            if fresh:
                self._keep(pattern, PackedRange.of(*map(list, zip(*fresh, strict=True))))

    def _keep(self, pattern: KeyPattern, packed: PackedRange) -> None:
        ranges = self._ranges.setdefault(pattern, [])
        ranges.insert(bisect_left(ranges, packed.first, key=_first), packed)
        self._spans[pattern] = max(self._spans.get(pattern, 0), packed.last - packed.first)

    def items(self) -> Iterable[tuple[bytes, int]]:
        """Yield every key with its ordinal."""
        for pattern, ranges in self._ranges.items():
            for packed in ranges:
                for number, ordinal in packed.unpacked().items():
                    yield pattern.key(number), ordinal

    def _near(self, pattern: KeyPattern, low: int, high: int) -> list[PackedRange]:
        ranges = self._ranges.get(pattern, [])
        start = bisect_left(ranges, low - self._spans.get(pattern, 0), key=_first)
        stop = bisect_right(ranges, high, key=_first)
        return [packed for packed in ranges[start:stop] if packed.last >= low]

    def _ordinals_of(self, packed: PackedRange) -> dict[int, int]:
        """Return a range's ordinals by number; the last few are cached, because shifted rows come from neighbours."""
        kept = self._unpacked.get(id(packed))
        if kept is None:
            kept = self._unpacked[id(packed)] = (packed, packed.unpacked())
            if len(self._unpacked) > _OVERLAPS:
                self._unpacked.popitem(last=False)
        return kept[1]


def _first(packed: PackedRange) -> int:
    return packed.first


def _parse_fixed_width(keys: FixedWidthKeys) -> ParsedNumbers | None:
    """Parse keys that differ by digits only; return None unless the first number is where they differ."""
    shape = _NUMBERED.fullmatch(keys[0])
    if shape is None or _DIGIT.search(shape[1]):
        return None
    before, digits, after = shape.groups()
    numbers = keys.digits(len(before), len(before) + len(digits))
    first, last = int(numbers[0]), int(numbers[-1])
    if last - first == len(numbers) - 1 and all(map(lt, numbers, islice(numbers, 1, None))):
        return _one_pattern(before, digits, after, range(first, last + 1))  # so many, rising, and all of one width
    return _one_pattern(before, digits, after, list(map(int, numbers)))


def _parse_rising(keys: Sequence[bytes]) -> ParsedNumbers | None:
    """Parse keys that rise and differ by a number of one width only: the common case, without a loop. Else None."""
    shape = _NUMBERED.fullmatch(keys[0])
    if shape is None:
        return None
    before, digits, after = shape.groups()
    # keys of one width, cut where one ends and the next begins: equal pieces of digits are the numbers
    text = b"".join(keys)
    middles = text[len(before) : len(text) - len(after)].split(after + before) if before or after else keys
    same = (
        len(middles) == len(keys)
        and set(map(len, keys)) == {len(keys[0])}
        and set(map(len, middles)) == {len(digits)}
        and b"".join(middles).isdigit()
        and text.startswith(before)
        and text.endswith(after)
    )
    if not same:
        return None
    return _one_pattern(before, digits, after, list(map(int, middles)))


def _one_pattern(before: bytes, digits: bytes, after: bytes, values: Sequence[int]) -> ParsedNumbers | None:
    """Return the numbers of keys of one width; None unless they rise, and all or none are padded."""
    padded = _padded(digits)
    grows_to_full_width = padded and values[-1] >= 10 ** (len(digits) - 1)
    rises = isinstance(values, range) or all(map(lt, values, islice(values, 1, None)))
    if grows_to_full_width or not rises:
        return None
    return ParsedNumbers({KeyPattern(before, len(digits) if padded else 0, after): (values, range(len(values)))})


def _padded(digits: bytes) -> bool:
    return digits[:1] == b"0" and len(digits) > 1


def _parse(keys: Sequence[bytes]) -> ParsedNumbers | None:
    """Sort a page's keys into patterns; return None where a key has no number, or occurs twice."""
    patterns: dict[KeyPattern, list[tuple[int, int]]] = {}
    for offset, key in enumerate(keys):
        shape = _NUMBERED.fullmatch(key)
        if shape is None:
            return None
        before, digits, after = shape.groups()
        pattern = KeyPattern(before, len(digits) if _padded(digits) else 0, after)
        patterns.setdefault(pattern, []).append((int(digits), offset))
    if len(patterns) > max(_OVERLAPS, len(keys) // _OVERLAPS):
        return None
    in_order = {}
    for pattern, pairs in patterns.items():
        pairs.sort()
        values = [value for value, _ in pairs]
        if any(low == high for low, high in pairwise(values)):
            return None
        in_order[pattern] = (values, [offset for _, offset in pairs])
    return ParsedNumbers(in_order)

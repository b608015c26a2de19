"""The keys that were delivered, compact enough for millions (no IO but a spill).

`SeenKeys` keeps the names of `keys.py` in one of two ways. Names that end in a number, as document and customer numbers
do, are kept as *runs*: one page's numbers, packed into about a byte each. Where runs do not serve (other names, or an
order that has nothing to do with them) it keeps 16-byte BLAKE2b digests, some 22 bytes a row, and past `spill_keys` of
them a private temporary SQLite database.
"""

from __future__ import annotations

import re
import struct
import zlib
from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from hashlib import blake2b
from itertools import accumulate, count, islice, pairwise
from operator import lt, sub
from typing import TYPE_CHECKING, Final

import attrs

from vismanet_async._paging.key_scanner import FixedWidthKeys
from vismanet_async._paging.keys import NO_STAMP, stamp_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

    from vismanet_async._paging.keys import PageKeys

__all__ = ["Repeat", "SeenKeys"]

_DIGEST_BYTES: Final = 16


@attrs.frozen
class Repeat:
    """A row whose key was seen before."""

    offset: int
    """Where in its page."""
    ordinal: int
    """The number under which the earlier row was delivered."""
    newer: bool
    """This row is a newer version, so it was given a number of its own."""


class SeenKeys:
    """Every key that was delivered, with its delivery number.

    A repeat counts as a newer version when it was modified at or after the latest time on the page that the earlier
    row came with: a change that came after that page was read cannot be stamped earlier. But a row of that page may
    have been stamped ahead of time; so of pages with a time at `exact_since` or later, each row's own time is kept, and
    a later one is a newer version, too.

    Not thread-safe. Memory: see the module.
    """

    def __init__(self, *, spill_keys: int = 4_000_000, exact_since: int | None = None) -> None:
        self._exact_since = exact_since
        self._exact: dict[int, array[int]] = {}  # by page: the times of the rows that were numbered
        self._runs: NumberRanges | None = NumberRanges()
        self._digests = _Digests(spill_keys)
        self._firsts: list[int] = []  # ordinals at which pages begin, and the latest time on each
        self._ceilings: list[int] = []
        self._moved: dict[int, tuple[int, int]] = {}  # first ordinal -> ordinal and stamp of the newest version
        self._keys = 0
        self.ordinal = 0
        """The number that the next new row gets."""

    def __len__(self) -> int:
        """Count the distinct keys."""
        return self._keys

    def add(self, keys: PageKeys) -> list[Repeat]:
        """Number the new rows of a page one after the other, in order, and name those seen before.

        A repeat in a newer version is numbered too and takes the earlier one's place. A key that occurs twice within
        this page is no old row but a second one: it is numbered, and named with the ordinal of its twin.
        """
        if not keys.names:
            return []
        self._firsts.append(self.ordinal)
        self._ceilings.append(stamp_of(keys.newest) if keys.newest else NO_STAMP)
        first = self.ordinal
        known = self._runs.known(keys.names) if self._runs else None
        if known is not None and self._runs is not None:
            numbers, repeats = self._number(keys, known)
            self._runs.add(numbers)
        else:
            self._give_up_runs()
            repeats = self._add_digests(keys)
        if self._exact_since is not None and keys.versions and self._ceilings[-1] >= self._exact_since:
            left_out = {repeat.offset for repeat in repeats if not repeat.newer and repeat.ordinal < first}
            times = (stamp for offset, stamp in enumerate(keys.stamps) if offset not in left_out)
            self._exact[len(self._firsts) - 1] = array("q", times)
        return repeats

    def _number(self, keys: PageKeys, known: dict[int, int]) -> tuple[ParsedNumbers, list[Repeat]]:
        assert self._runs is not None
        numbers = self._runs.latest
        first = self.ordinal
        if not known:
            self.ordinal += len(keys)
            self._keys += len(keys)
            return numbers.numbered(range(first, self.ordinal)), []
        repeats = []
        ordinals: list[int | None] = []
        for offset in range(len(keys)):
            earlier = known.get(offset)
            if earlier is not None:
                found = self._repeat(keys, offset, earlier)
                repeats.append(found)
                ordinals.append(None)
                if not found.newer:
                    continue
            else:
                ordinals.append(self.ordinal)
                self._keys += 1
            self.ordinal += 1
        return numbers.numbered(ordinals), repeats

    def _add_digests(self, keys: PageKeys) -> list[Repeat]:
        first = self.ordinal
        repeats = []
        for offset, name in enumerate(keys.names):
            earlier = self._digests.put(blake2b(name, digest_size=_DIGEST_BYTES).digest(), self.ordinal)
            if earlier is None:
                self._keys += 1
            else:
                found = self._repeat(keys, offset, earlier, twin=earlier >= first)
                repeats.append(found)
                if not found.newer and found.ordinal < first:
                    continue
            self.ordinal += 1
        return repeats

    def _repeat(self, keys: PageKeys, offset: int, earlier: int, *, twin: bool = False) -> Repeat:
        stamp = keys.stamps[offset] if keys.versions and not twin else NO_STAMP
        ordinal, ceiling = self._moved.get(earlier) or (earlier, self._ceiling(earlier, stamp))
        newer = stamp != NO_STAMP and stamp >= ceiling
        if newer:
            self._moved[earlier] = (self.ordinal, stamp + 1)
        return Repeat(offset, ordinal, newer)

    def _ceiling(self, ordinal: int, stamp: int) -> int:
        """Return the time from which on a row with that stamp is a newer version of an earlier one."""
        page = bisect_right(self._firsts, ordinal) - 1
        ceiling, exact = self._ceilings[page], self._exact.get(page)
        if self._exact_since is not None and ceiling < self._exact_since:
            return ceiling + 1  # whatever was changed since is stamped later than the whole page
        own = exact[ordinal - self._firsts[page]] if exact else stamp
        return min(ceiling, own + 1) if own < stamp else ceiling

    def _give_up_runs(self) -> None:
        if self._runs is not None:
            for name, ordinal in self._runs.everything():
                self._digests.put(blake2b(name, digest_size=_DIGEST_BYTES).digest(), ordinal)
            self._runs = None

    def missing(self, names: Sequence[bytes]) -> int:
        """Return how many of these names were never offered; they are not kept."""
        known = self._runs.known(names) if self._runs and names else None
        if known is not None:
            return len(names) - len(known)
        self._give_up_runs()
        return sum(self._digests.get(blake2b(name, digest_size=_DIGEST_BYTES).digest()) is None for name in names)

    def close(self) -> None:
        """Give the temporary database back; the index is of no use afterwards. Safe to call twice."""
        self._digests.close()
        self._runs = None


_NUMBERED: Final = re.compile(rb"(.{0,80}?)([0-9]{1,18})(\D{0,8})", re.DOTALL)
_DIGIT: Final = re.compile(rb"[0-9]")
_OVERLAPS: Final = 8
"""Pages that a new page's numbers may lie among before runs are given up: a list in another order than its names."""


@attrs.frozen
class ParsedNumbers:
    """The names of a page as numbers of one family each, with or without the ordinals they were given."""

    families: Mapping[KeyPattern, tuple[Sequence[int], Sequence[int]]]
    """Numbers in rising order, and the page offset of each."""
    ordinals: Sequence[int | None] = ()

    def numbered(self, ordinals: Sequence[int | None]) -> ParsedNumbers:
        return ParsedNumbers(self.families, ordinals)


@attrs.frozen
class KeyPattern:
    """Names that differ by a number only."""

    before: bytes
    width: int
    """Digits with leading zeros; 0: as many as it takes."""
    after: bytes

    def name(self, number: int) -> bytes:
        return self.before + (b"%0*d" % (self.width, number)) + self.after


@attrs.frozen
class PackedRange:
    """The numbers of one family on one page, packed."""

    first: int
    last: int
    numbers: bytes | None
    """None: all from the first to the last."""
    ordinals: bytes | int
    """Packed as well; or the first of them, where they follow one another."""

    @classmethod
    def of(cls, numbers: Sequence[int], ordinals: Sequence[int]) -> PackedRange:
        """Pack numbers in rising order."""
        first, last = numbers[0], numbers[-1]
        packed = None if last - first == len(numbers) - 1 else _pack(numbers)
        return cls(first, last, packed, ordinals[0] if isinstance(ordinals, range) else _pack(ordinals))

    def unpacked(self) -> dict[int, int]:
        numbers = range(self.first, self.last + 1) if self.numbers is None else _unpack(self.numbers)
        ordinals = count(self.ordinals) if isinstance(self.ordinals, int) else _unpack(self.ordinals)
        return dict(zip(numbers, ordinals, strict=False))


def _pack(values: Sequence[int]) -> bytes:
    return zlib.compress(array("q", [values[0], *map(sub, islice(values, 1, None), values)]).tobytes(), 1)


def _unpack(packed: bytes) -> Iterable[int]:
    return accumulate(array("q", zlib.decompress(packed)))


class NumberRanges:
    """Names kept as runs of numbers, family by family."""

    def __init__(self) -> None:
        self._runs: dict[KeyPattern, list[PackedRange]] = {}
        self._spans: dict[KeyPattern, int] = {}  # the widest run of each family
        self._unpacked: OrderedDict[int, tuple[PackedRange, dict[int, int]]] = OrderedDict()
        self.latest = ParsedNumbers({})

    def known(self, names: Sequence[bytes]) -> dict[int, int] | None:
        """Give the ordinals of the names that are here already, by offset; None where runs do not serve."""
        numbers = _column_numbers(names) if isinstance(names, FixedWidthKeys) else _quick_numbers(names)
        numbers = numbers or _numbers(names)
        if numbers is None:
            return None
        self.latest = numbers
        found: dict[int, int] = {}
        for family, (values, offsets) in numbers.families.items():
            runs = self._near(family, values[0], values[-1])
            if len(runs) > _OVERLAPS:
                return None
            for run in runs:
                ordinals = self._content(run)
                found |= {
                    offset: ordinals[value] for value, offset in zip(values, offsets, strict=True) if value in ordinals
                }
        return found

    def add(self, numbers: ParsedNumbers) -> None:
        """Keep the names of the page that `known` was asked about, as far as they were given ordinals."""
        for family, (values, offsets) in numbers.families.items():
            if isinstance(offsets, range) and isinstance(numbers.ordinals, range):
                self._keep(family, PackedRange.of(values, numbers.ordinals))
                continue
            ordinals = [numbers.ordinals[offset] for offset in offsets]
            fresh = [(value, ordinal) for value, ordinal in zip(values, ordinals, strict=True) if ordinal is not None]
            if fresh:
                self._keep(family, PackedRange.of(*map(list, zip(*fresh, strict=True))))

    def _keep(self, family: KeyPattern, run: PackedRange) -> None:
        runs = self._runs.setdefault(family, [])
        runs.insert(bisect_left(runs, run.first, key=_first), run)
        self._spans[family] = max(self._spans.get(family, 0), run.last - run.first)

    def everything(self) -> Iterable[tuple[bytes, int]]:
        """Give every name with its ordinal."""
        for family, runs in self._runs.items():
            for run in runs:
                for number, ordinal in run.unpacked().items():
                    yield family.name(number), ordinal

    def _near(self, family: KeyPattern, low: int, high: int) -> list[PackedRange]:
        runs = self._runs.get(family, [])
        start = bisect_left(runs, low - self._spans.get(family, 0), key=_first)
        stop = bisect_right(runs, high, key=_first)
        return [run for run in runs[start:stop] if run.last >= low]

    def _content(self, run: PackedRange) -> dict[int, int]:
        """Unpack a run; the last few are kept, because shifts come in at neighbours."""
        kept = self._unpacked.get(id(run))
        if kept is None:
            kept = self._unpacked[id(run)] = (run, run.unpacked())
            if len(self._unpacked) > _OVERLAPS:
                self._unpacked.popitem(last=False)
        return kept[1]


def _first(run: PackedRange) -> int:
    return run.first


def _column_numbers(names: FixedWidthKeys) -> ParsedNumbers | None:
    """Read a page whose names are known to differ by digits only; None unless the first number is where they differ."""
    shape = _NUMBERED.fullmatch(names[0])
    if shape is None or _DIGIT.search(shape[1]):
        return None
    before, digits, after = shape.groups()
    numbers = names.digits(len(before), len(before) + len(digits))
    first, last = int(numbers[0]), int(numbers[-1])
    if last - first == len(numbers) - 1 and all(map(lt, numbers, islice(numbers, 1, None))):
        return _one_family(before, digits, after, range(first, last + 1))  # so many, rising, and all of one width
    return _one_family(before, digits, after, list(map(int, numbers)))


def _quick_numbers(names: Sequence[bytes]) -> ParsedNumbers | None:
    """Read a page whose names rise and differ by a number of one width only: the common case, without a loop."""
    shape = _NUMBERED.fullmatch(names[0])
    if shape is None:
        return None
    before, digits, after = shape.groups()
    # names of one width, cut where one ends and the next begins: equal pieces of digits are the numbers
    text = b"".join(names)
    middles = text[len(before) : len(text) - len(after)].split(after + before) if before or after else names
    same = (
        len(middles) == len(names)
        and set(map(len, names)) == {len(names[0])}
        and set(map(len, middles)) == {len(digits)}
        and b"".join(middles).isdigit()
        and text.startswith(before)
        and text.endswith(after)
    )
    if not same:
        return None
    return _one_family(before, digits, after, list(map(int, middles)))


def _one_family(before: bytes, digits: bytes, after: bytes, values: Sequence[int]) -> ParsedNumbers | None:
    """Give the numbers of names of one width; None unless they rise, and are padded all or none."""
    padded = _padded(digits)
    grows_to_full_width = padded and values[-1] >= 10 ** (len(digits) - 1)
    rises = isinstance(values, range) or all(map(lt, values, islice(values, 1, None)))
    if grows_to_full_width or not rises:
        return None
    return ParsedNumbers({KeyPattern(before, len(digits) if padded else 0, after): (values, range(len(values)))})


def _padded(digits: bytes) -> bool:
    return digits[:1] == b"0" and len(digits) > 1


def _numbers(names: Sequence[bytes]) -> ParsedNumbers | None:
    """Sort a page's names into families; None where a name has no number, or stands there twice."""
    families: dict[KeyPattern, list[tuple[int, int]]] = {}
    for offset, name in enumerate(names):
        shape = _NUMBERED.fullmatch(name)
        if shape is None:
            return None
        before, digits, after = shape.groups()
        family = KeyPattern(before, len(digits) if _padded(digits) else 0, after)
        families.setdefault(family, []).append((int(digits), offset))
    if len(families) > max(_OVERLAPS, len(names) // _OVERLAPS):
        return None
    sorted_families = {}
    for family, pairs in families.items():
        pairs.sort()
        values = [value for value, _ in pairs]
        if any(low == high for low, high in pairwise(values)):
            return None
        sorted_families[family] = (values, [offset for _, offset in pairs])
    return ParsedNumbers(sorted_families)


_BUCKET_SHIFT: Final = 64 - 12  # 4,096 sorted buckets: short enough that an insertion moves few bytes
_SCHEMA: Final = """
PRAGMA cache_size = -8000; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
CREATE TABLE key (digest BLOB PRIMARY KEY, ordinal INTEGER NOT NULL) WITHOUT ROWID;
BEGIN;
"""


class _Digests:
    """Names kept as digests, in sorted buckets and then in a temporary database."""

    def __init__(self, spill_keys: int) -> None:
        # high half of the digest -> place, sorted within each bucket; low half and ordinal lie at the place
        self._buckets: dict[int, tuple[array[int], array[int]]] = {}
        self._lows = array("Q")
        self._ordinals = array("I")
        self._spill_keys = spill_keys
        self._spill: sqlite3.Connection | None = None

    def get(self, digest: bytes) -> int | None:
        """Return the ordinal that a digest was kept under; None where it was not."""
        high, low = struct.unpack(">QQ", digest)
        highs, places = self._buckets.get(high >> _BUCKET_SHIFT) or ((), ())
        at = bisect_left(highs, high)
        while at < len(highs) and highs[at] == high:
            if self._lows[places[at]] == low:
                return self._ordinals[places[at]]
            at += 1
        if self._spill is None:
            return None
        found = self._spill.execute("SELECT ordinal FROM key WHERE digest = ?", (digest,)).fetchone()
        return None if found is None else int(found[0])

    def put(self, digest: bytes, ordinal: int) -> int | None:
        """Keep a digest under this ordinal, or give the one that it has."""
        high, low = struct.unpack(">QQ", digest)
        bucket = self._buckets.get(high >> _BUCKET_SHIFT)
        if bucket is None:
            bucket = self._buckets[high >> _BUCKET_SHIFT] = (array("Q"), array("I"))
        highs, places = bucket
        at = bisect_left(highs, high)
        while at < len(highs) and highs[at] == high:
            if self._lows[places[at]] == low:
                return self._ordinals[places[at]]
            at += 1
        if self._spill is not None or len(self._lows) >= self._spill_keys:
            return self._put_spilled(digest, ordinal)
        highs.insert(at, high)
        places.insert(at, len(self._lows))
        self._lows.append(low)
        self._ordinals.append(ordinal)
        return None

    def _put_spilled(self, digest: bytes, ordinal: int) -> int | None:
        if self._spill is None:
            import sqlite3  # noqa: PLC0415 - few lists are so long

            # an empty name is a private temporary database: SQLite caches it and writes out what does not fit
            self._spill = sqlite3.connect("", isolation_level=None, check_same_thread=False)
            self._spill.executescript(_SCHEMA)
        found = self._spill.execute("SELECT ordinal FROM key WHERE digest = ?", (digest,)).fetchone()
        if found is None:
            self._spill.execute("INSERT INTO key VALUES (?, ?)", (digest, ordinal))
            return None
        return int(found[0])

    def close(self) -> None:
        if self._spill is not None:
            self._spill.close()
            self._spill = None
        self._buckets = {}
        self._lows = array("Q")
        self._ordinals = array("I")

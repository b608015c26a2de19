"""Which rows are the same record, and which version of it is newer; compact enough for millions (no IO but a spill).

A row's *name* is the JSON text of its identity fields. `KeyIndex` keeps the names that were delivered, in one of two
ways. Names that end in a number, as document and customer numbers do, are kept as *runs*: one page's numbers, packed
into about a byte each. Where runs do not serve (other names, or an order that has nothing to do with them) it keeps
16-byte BLAKE2b digests, some 22 bytes a row, and past `spill_keys` of them a private temporary SQLite database.
"""

from __future__ import annotations

import re
import struct
import zlib
from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from datetime import datetime, timedelta
from hashlib import blake2b
from itertools import accumulate, count, islice, pairwise, repeat
from operator import contains, lt, sub
from typing import TYPE_CHECKING, Any, Final

import attrs
import msgspec

from vismanet_async.paging.rows import RawRow, Rows
from vismanet_async.paging.styles import PageFormatError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = ["KeyIndex", "KeyReader", "PageKeys", "Repeat", "RowKeys", "stamp_of", "stamp_text"]

_DIGEST_BYTES: Final = 16
_PIECE_BYTES: Final = 1024  # more of a row is not cut out to be searched
_TIME_BYTES: Final = 36  # the longest that a time with fraction and offset can be, and its quote
_NO_STAMP: Final = 0
_SECOND: Final = 1_000_000  # stamps are microseconds


def stamp_of(text: str | None) -> int:
    """Turn a last-modified text into microseconds that can be compared; 0 for none or for what is not a moment.

    An offset is dropped, not applied: the filter compares the local time that the server shows (facts 5.10).

    >>> stamp_of("2025-05-25T10:00:00.12") < stamp_of("2025-05-25 10:00:00.1234567")
    True
    """
    if not text:
        return _NO_STAMP
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return _NO_STAMP
    return (at.toordinal() * 86_400 + at.hour * 3_600 + at.minute * 60 + at.second) * _SECOND + at.microsecond


def stamp_text(stamp: int) -> str:
    """Write a stamp as a filter value, rounded down to whole seconds.

    >>> stamp_text(stamp_of("2025-05-25T10:00:00.999"))
    '2025-05-25T10:00:00'
    """
    days, seconds = divmod(stamp // _SECOND, 86_400)
    return (datetime.fromordinal(days) + timedelta(seconds=seconds)).isoformat()


@attrs.frozen
class RowKeys:
    """Which JSON fields say what a row is, and when it was changed."""

    identity: tuple[str, ...]
    """Field names, dotted where nested (`customer.number`). Empty: the row as a whole, without its metadata."""
    modified: str | None = "lastModifiedDateTime"
    """The last-modified field; None where rows carry none."""


@attrs.define
class PageKeys:
    """The keys of one page's rows, in their order."""

    names: list[bytes]
    """The JSON text of each row's identity; several fields are joined by a zero byte."""
    newest: str | None = None
    """No row was modified later than this, by the server's own text. (Nested records' times count as well.)"""
    versions: bool = True
    """False: two rows of one name are the same version, whatever their times."""
    _texts: Callable[[], list[str]] | None = attrs.field(default=None, repr=False, eq=False)
    _stamps: list[int] | None = attrs.field(default=None, init=False, repr=False, eq=False)

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.names)

    @property
    def stamps(self) -> list[int]:
        """Last modified of each row, in microseconds; 0 where it has none. Read from the rows on first use."""
        if self._stamps is None:
            texts = self._texts() if self._texts else []
            self._stamps = [stamp_of(text) for text in texts] or [_NO_STAMP] * len(self.names)
        return self._stamps

    @property
    def unstamped(self) -> int:
        """How many rows carry no last-modified value."""
        return self.stamps.count(_NO_STAMP)

    def part(self, offsets: Iterable[int]) -> PageKeys:
        """Give the keys of some of the rows."""
        chosen = list(offsets)
        part = PageKeys([self.names[offset] for offset in chosen], self.newest, self.versions)
        if self.versions and self._texts:
            part._stamps = [self.stamps[offset] for offset in chosen]
        return part

    def plain(self) -> PageKeys:
        """Give the same keys without versions, for counting."""
        return PageKeys(self.names, versions=False)


class KeyReader:
    """Reads identity and last-modified out of rows, without decoding anything else. One a walk: it learns."""

    def __init__(self, keys: RowKeys) -> None:
        self._paths = tuple(tuple(name.split(".")) for name in keys.identity)
        tree: dict[str, Any] = {}
        for path in self._paths:
            node = tree
            for name in path[:-1]:
                node = node.setdefault(name, {})
            node[path[-1]] = {}
        self._rows = msgspec.json.Decoder(_struct(tree, keys.modified))
        self._whole = msgspec.json.Decoder(dict[str, msgspec.Raw])
        self._modified = keys.modified
        self._head: re.Pattern[bytes] | None = None
        self._around = (0, 0)  # between which places of a row its last-modified member was last; zeros: not known

    def read(self, rows: Sequence[RawRow], *, versions: bool = True) -> PageKeys:
        """Read the keys of a page.

        Args:
            rows: the page's elements.
            versions: False where all versions of a row are known to be the same.

        Raises:
            PageFormatError: a row lacks an identity field, so that it cannot be told from another.
        """
        quick = self._quickly(rows) if isinstance(rows, Rows) else None
        if quick is not None:
            quick.versions = versions
            return quick
        if not self._paths and all(bytes(row)[:1] == b'"' for row in rows):
            return PageKeys([bytes(row) for row in rows], versions=False)  # plain text is its own name
        decode = self._rows.decode
        try:
            heads = [decode(row) for row in rows]
            names = self._names(rows, heads)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, AttributeError) as error:
            wanted = ", ".join(".".join(path) for path in self._paths)
            raise PageFormatError(f"a row without its identity ({wanted[:60]}): {str(error)[:100]}") from error
        texts = [head.modified or "" for head in heads]
        if rows:
            self._head = self._learnt(rows[0])
        # the texts of one server sort as the moments they name
        return PageKeys(names, max(texts, default="") or None, versions, lambda: texts)

    def _quickly(self, rows: Rows) -> PageKeys | None:
        """Read the names off the rows' beginnings; None where one of them does not begin as learnt."""
        if self._head is None:
            return None
        names = _columns(rows, self._head) if len(self._paths) == 1 else None
        if names is None:
            heads = [head for start in rows.starts if (head := self._head.match(rows.body, start))]
            if len(heads) != len(rows):
                return None
            names = [b"\0".join(head.groups()) for head in heads]
        return PageKeys(names, self._newest(rows), texts=lambda: self._modified_of(rows))

    def _newest(self, rows: Rows) -> str | None:
        """Give the latest time on a page, from each row's text alone."""
        if self._modified is None:
            return None
        mark = f'"{self._modified}":"'.encode()
        times = self._times_around(rows, mark) or self._times_anywhere(rows, mark)
        # a quote sorts before all that a time is made of, so what follows it does not matter
        return max(times).partition(b'"')[0].decode("ascii", "replace") or None if times else None

    def _times_around(self, rows: Rows, mark: bytes) -> list[bytes] | None:
        """Cut a piece out of each row, where the rows before had their times, and search all pieces at once."""
        low, high = self._around
        if not high:
            return None
        body = rows.body
        text = b"\n".join([*[body[start + low : start + high] for start in rows.starts], b""])
        parts = text.split(mark)
        times = [part[:_TIME_BYTES] for part in parts[1:]]
        # one mark in each piece, and its time whole: so many marks and line ends, and they take turns
        one_each = len(times) == len(rows) == text.count(b"\n") and all(map(contains, parts[1:], repeat(b"\n")))
        return times if one_each and b"\n" not in b"".join(times) else None

    def _times_anywhere(self, rows: Rows, mark: bytes) -> list[bytes]:
        body, starts, find = rows.body, rows.starts, rows.body.find
        found = [find(mark, start, end) for start, end in zip(starts, [*starts[1:], rows.end], strict=True)]
        length = len(mark)
        places = [at - start for at, start in zip(found, starts, strict=True)]
        low, high = max(0, min(places) - _TIME_BYTES), max(places) + length + 2 * _TIME_BYTES
        self._around = (low, high) if min(found) >= 0 and high - low <= _PIECE_BYTES else (0, 0)
        return [body[at + length : at + length + _TIME_BYTES] for at in found if at >= 0]

    def _modified_of(self, rows: Sequence[RawRow]) -> list[str]:
        decode = self._rows.decode
        return [decode(row).modified or "" for row in rows]

    def _learnt(self, row: RawRow) -> re.Pattern[bytes] | None:
        """Make a pattern for how rows begin, up to the last identity field, from one of them.

        It reads plain members only, one after another from the very first, so what it matches is what a parser reads.
        """
        wanted = {path[0] for path in self._paths if len(path) == 1}
        if not self._paths or len(wanted) < len(self._paths):
            return None
        found = []
        parts = []
        for name, value in self._whole.decode(row).items():
            text = bytes(value)
            if text[:1] in {b"{", b"["}:
                return None
            caught = name in wanted
            parts.append(re.escape(b'"' + name.encode() + b'":') + (_CAUGHT if caught else _SCALAR))
            found += [name] if caught else []
            if len(found) == len(wanted):
                break
        # the names must come in the order in which the other way gives them
        if found != [path[0] for path in self._paths]:
            return None
        return re.compile(rb"\{" + b",".join(parts) + rb"(?=[,}])")

    def _names(self, rows: Sequence[RawRow], heads: Sequence[Any]) -> list[bytes]:
        if len(self._paths) == 1 and len(self._paths[0]) == 1:  # the common case, worth its line
            name = self._paths[0][0]
            return [bytes(getattr(head, name)) for head in heads]
        if self._paths:
            return [b"\0".join([bytes(_walk(head, path)) for path in self._paths]) for head in heads]
        return [_without_metadata(self._whole.decode(row)) for row in rows]


_SCALAR: Final = rb'(?:"[^"\\]*"|-?[0-9.eE+-]+|true|false|null)'
_DIGIT_IN_NAME: Final = re.compile(rb'[0-9][^"]*":')
_DIGITS_ALIKE: Final = bytes.maketrans(b"123456789", b"0" * 9)
_CAUGHT: Final = rb'("[^"\\]*"|-?[0-9.eE+-]+|true|false|null)'


def _columns(rows: Rows, head: re.Pattern[bytes]) -> list[bytes] | None:
    """Cut the names of a page out at once, where its rows begin alike but for their digits; else None.

    What `head` catches in the first row stands at the same place in all of them then.
    """
    body, starts = rows.body, rows.starts
    first = head.match(body, starts[0])
    if first is None or _DIGIT_IN_NAME.search(first[0]):
        return None
    begin, end = first.start(1) - starts[0], first.end(1) - starts[0]
    width = end + 1
    text = b"".join([body[start : start + width] for start in starts])
    if text.translate(_DIGITS_ALIKE) != text[:width].translate(_DIGITS_ALIKE) * len(starts):
        return None
    length = end - begin
    return [text[at : at + length] for at in range(begin, len(text), width)]


def _struct(tree: Mapping[str, Any], modified: str | None) -> Any:
    fields: list[Any] = [(name, _struct(inner, None) if inner else msgspec.Raw) for name, inner in tree.items()]
    rename = {}
    if modified is not None:
        fields.append(("modified", str | None, None))
        rename["modified"] = modified
    else:
        fields.append(("modified", str | None, msgspec.field(default=None, name="\u2400")))
    return msgspec.defstruct("_Head", fields, rename=rename, gc=False)


def _walk(head: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        head = getattr(head, name)
    return head


def _without_metadata(row: dict[str, msgspec.Raw]) -> bytes:
    """The metadata block changes with the total although the record does not."""
    return b"\0".join([name.encode() + b":" + bytes(value) for name, value in row.items() if name != "metadata"])


@attrs.frozen
class Repeat:
    """A row whose key was seen before."""

    offset: int
    """Where in its page."""
    ordinal: int
    """The number under which the earlier row was delivered."""
    newer: bool
    """This row is a newer version, so it was given a number of its own."""


class KeyIndex:
    """Every key that was delivered, with its delivery number.

    A repeat counts as a newer version when it was modified at or after the latest time on the page that the earlier
    row came with: a change that came after that page was read cannot be stamped earlier.

    Not thread-safe. Memory: see the module.
    """

    def __init__(self, *, spill_keys: int = 4_000_000) -> None:
        self._runs: _Runs | None = _Runs()
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

    def offer(self, keys: PageKeys) -> list[Repeat]:
        """Number the new rows of a page one after the other, in order, and name those seen before.

        A repeat in a newer version is numbered too and takes the earlier one's place. A key that occurs twice within
        this page is no old row but a second one: it is numbered, and named with the ordinal of its twin.
        """
        if not keys.names:
            return []
        self._firsts.append(self.ordinal)
        self._ceilings.append(stamp_of(keys.newest) if keys.newest else _NO_STAMP)
        known = self._runs.known(keys.names) if self._runs else None
        if known is not None and self._runs is not None:
            numbers, repeats = self._number(keys, known)
            self._runs.add(numbers)
            return repeats
        self._give_up_runs()
        return self._offer_digests(keys)

    def _number(self, keys: PageKeys, known: dict[int, int]) -> tuple[_Numbers, list[Repeat]]:
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

    def _offer_digests(self, keys: PageKeys) -> list[Repeat]:
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
        ordinal, ceiling = self._moved.get(earlier) or (earlier, self._ceiling(earlier))
        stamp = keys.stamps[offset] if keys.versions and not twin else _NO_STAMP
        newer = stamp != _NO_STAMP and stamp >= ceiling
        if newer:
            self._moved[earlier] = (self.ordinal, stamp + 1)
        return Repeat(offset, ordinal, newer)

    def _ceiling(self, ordinal: int) -> int:
        return self._ceilings[bisect_right(self._firsts, ordinal) - 1]

    def _give_up_runs(self) -> None:
        if self._runs is not None:
            for name, ordinal in self._runs.everything():
                self._digests.put(blake2b(name, digest_size=_DIGEST_BYTES).digest(), ordinal)
            self._runs = None

    def close(self) -> None:
        """Give the temporary database back; the index is of no use afterwards. Safe to call twice."""
        self._digests.close()
        self._runs = None


_NUMBERED: Final = re.compile(rb"(.{0,80}?)([0-9]{1,18})(\D{0,8})", re.DOTALL)
_OVERLAPS: Final = 8
"""Pages that a new page's numbers may lie among before runs are given up: a list in another order than its names."""


@attrs.frozen
class _Numbers:
    """The names of a page as numbers of one family each, with or without the ordinals they were given."""

    families: Mapping[_Family, tuple[list[int], Sequence[int]]]
    """Numbers in rising order, and the page offset of each."""
    ordinals: Sequence[int | None] = ()

    def numbered(self, ordinals: Sequence[int | None]) -> _Numbers:
        return _Numbers(self.families, ordinals)


@attrs.frozen
class _Family:
    """Names that differ by a number only."""

    before: bytes
    width: int
    """Digits with leading zeros; 0: as many as it takes."""
    after: bytes

    def name(self, number: int) -> bytes:
        return self.before + (b"%0*d" % (self.width, number)) + self.after


@attrs.frozen
class _Run:
    """The numbers of one family on one page, packed."""

    first: int
    last: int
    numbers: bytes
    ordinals: bytes | int
    """Packed as well; or the first of them, where they follow one another."""

    @classmethod
    def of(cls, numbers: Sequence[int], ordinals: Sequence[int]) -> _Run:
        follow = isinstance(ordinals, range)
        return cls(numbers[0], numbers[-1], _pack(numbers), ordinals[0] if follow else _pack(ordinals))

    def unpacked(self) -> dict[int, int]:
        ordinals = count(self.ordinals) if isinstance(self.ordinals, int) else _unpack(self.ordinals)
        return dict(zip(_unpack(self.numbers), ordinals, strict=False))


def _pack(values: Sequence[int]) -> bytes:
    return zlib.compress(array("q", [values[0], *map(sub, islice(values, 1, None), values)]).tobytes(), 1)


def _unpack(packed: bytes) -> Iterable[int]:
    return accumulate(array("q", zlib.decompress(packed)))


class _Runs:
    """Names kept as runs of numbers, family by family."""

    def __init__(self) -> None:
        self._runs: dict[_Family, list[_Run]] = {}
        self._spans: dict[_Family, int] = {}  # the widest run of each family
        self._unpacked: OrderedDict[int, tuple[_Run, dict[int, int]]] = OrderedDict()
        self.latest = _Numbers({})

    def known(self, names: list[bytes]) -> dict[int, int] | None:
        """Give the ordinals of the names that are here already, by offset; None where runs do not serve."""
        numbers = _quick_numbers(names) or _numbers(names)
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

    def add(self, numbers: _Numbers) -> None:
        """Keep the names of the page that `known` was asked about, as far as they were given ordinals."""
        for family, (values, offsets) in numbers.families.items():
            if isinstance(offsets, range) and isinstance(numbers.ordinals, range):
                self._keep(family, _Run.of(values, numbers.ordinals))
                continue
            ordinals = [numbers.ordinals[offset] for offset in offsets]
            fresh = [(value, ordinal) for value, ordinal in zip(values, ordinals, strict=True) if ordinal is not None]
            if fresh:
                self._keep(family, _Run.of(*map(list, zip(*fresh, strict=True))))

    def _keep(self, family: _Family, run: _Run) -> None:
        runs = self._runs.setdefault(family, [])
        runs.insert(bisect_left(runs, run.first, key=_first), run)
        self._spans[family] = max(self._spans.get(family, 0), run.last - run.first)

    def everything(self) -> Iterable[tuple[bytes, int]]:
        """Give every name with its ordinal."""
        for family, runs in self._runs.items():
            for run in runs:
                for number, ordinal in run.unpacked().items():
                    yield family.name(number), ordinal

    def _near(self, family: _Family, low: int, high: int) -> list[_Run]:
        runs = self._runs.get(family, [])
        start = bisect_left(runs, low - self._spans.get(family, 0), key=_first)
        stop = bisect_right(runs, high, key=_first)
        return [run for run in runs[start:stop] if run.last >= low]

    def _content(self, run: _Run) -> dict[int, int]:
        """Unpack a run; the last few are kept, because shifts come in at neighbours."""
        kept = self._unpacked.get(id(run))
        if kept is None:
            kept = self._unpacked[id(run)] = (run, run.unpacked())
            if len(self._unpacked) > _OVERLAPS:
                self._unpacked.popitem(last=False)
        return kept[1]


def _first(run: _Run) -> int:
    return run.first


def _quick_numbers(names: list[bytes]) -> _Numbers | None:
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
    values = list(map(int, middles))
    padded = _padded(digits)
    if not all(map(lt, values, islice(values, 1, None))) or padded is not _padded(middles[-1]):
        return None
    return _Numbers({_Family(before, len(digits) if padded else 0, after): (values, range(len(values)))})


def _padded(digits: bytes) -> bool:
    return digits[:1] == b"0" and len(digits) > 1


def _numbers(names: list[bytes]) -> _Numbers | None:
    """Sort a page's names into families; None where a name has no number, or stands there twice."""
    families: dict[_Family, list[tuple[int, int]]] = {}
    for offset, name in enumerate(names):
        shape = _NUMBERED.fullmatch(name)
        if shape is None:
            return None
        before, digits, after = shape.groups()
        family = _Family(before, len(digits) if _padded(digits) else 0, after)
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
    return _Numbers(sorted_families)


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

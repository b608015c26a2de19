"""The keys that were delivered, compact enough for millions (no IO but a spill).

`SeenKeys` keeps the keys of `keys.py` in one of two ways. Keys that end in a number, as document and customer numbers
do, are kept as ranges of numbers (`number_ranges.py`): about a byte each. Where ranges do not fit (other keys, or an
order that has nothing to do with them) it keeps digests (`key_digests.py`): some 22 bytes a row.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

import msgspec

from vismanet_async._paging.key_digests import KeyDigests
from vismanet_async._paging.keys import NO_STAMP, stamp_of
from vismanet_async._paging.number_ranges import NumberRanges, ParsedNumbers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from vismanet_async._paging.keys import PageKeys

    Digest: TypeAlias = Callable[[int], bytes] | None

__all__ = ["Repeat", "SeenKeys"]


class Repeat(msgspec.Struct, frozen=True):
    """A row whose key was seen before."""

    offset: int
    """Its index in the page."""
    ordinal: int
    """The number under which the earlier row was delivered."""
    newer: bool
    """This row is a newer version, so it was given a number of its own."""


class SeenKeys:
    """Every key that was delivered, with its delivery number.

    A repeat counts as a newer version when it was modified at or after the latest time on the page that the earlier
    row came with: a change that came after that page was read cannot be stamped earlier. But a row of that page may
    have been stamped ahead of time; so of pages with a time at `exact_since` or later, each row's own time is kept, and
    a later one is a newer version, too. Of rows that have the latest time of their page, a hash of the row is kept: one
    that comes again as it was is none, though the time alone could not tell.

    Not thread-safe. Memory: see the module.
    """

    def __init__(self, *, spill_keys: int = 4_000_000, exact_since: int | None = None) -> None:
        self._exact_since = exact_since
        self._exact: dict[int, array[int]] = {}  # by page: the times of the rows that were numbered
        self._ranges: NumberRanges | None = NumberRanges()
        self._digests = KeyDigests(spill_keys)
        self._firsts: list[int] = []  # ordinals at which pages begin, and the latest time on each
        self._ceilings: list[int] = []
        self._latest, self._hashes = array("q"), array("q")  # ordinals of rows with that time, rising; and their hashes
        self._moved: dict[int, tuple[int, int]] = {}  # first ordinal -> ordinal and stamp of the newest version
        self._keys = 0
        self.unchanged = 0
        """How many repeats only their digest showed to be as they were."""
        self.ordinal = 0
        """The number that the next new row gets."""

    def __len__(self) -> int:
        """Return the number of distinct keys."""
        return self._keys

    def add(self, keys: PageKeys, *, digest: Digest = None) -> list[Repeat]:
        """Number the new rows of a page in their order; return those seen before.

        A repeat in a newer version is numbered too and replaces the earlier row. A key that occurs twice within this
        page is a second row, not an old one: it is numbered, and returned with the ordinal of the first.

        Args:
            keys: of the page.
            digest: returns a digest of the row at an offset; without it a row whose time leaves both open is newer.
        """
        if not keys.names:
            return []
        self._firsts.append(self.ordinal)
        self._ceilings.append(stamp_of(keys.newest) if keys.newest else NO_STAMP)
        first = self.ordinal
        known = self._ranges.known(keys.names) if self._ranges else None
        if known is not None and self._ranges is not None:
            numbers, repeats = self._number(keys, known, digest)
            self._ranges.add(numbers)
        else:
            self._switch_to_digests()
            repeats = self._add_digests(keys, digest)
        if keys.versions and keys.newest:
            self._note_times(keys, repeats, first, digest)
        return repeats

    def _note_times(self, keys: PageKeys, repeats: Sequence[Repeat], first: int, digest: Digest) -> None:
        """Keep of the rows that were numbered, from `first` on, what later ones are compared with."""
        is_exact = self._exact_since is not None and self._ceilings[-1] >= self._exact_since
        if self._exact_since is not None and not is_exact:
            return  # whatever was changed since is stamped later than the whole page
        left_out = {repeat.offset for repeat in repeats if not repeat.newer and repeat.ordinal < first}
        numbered = [offset for offset in range(len(keys)) if offset not in left_out] if left_out else range(len(keys))
        if is_exact:
            stamps = keys.stamps
            self._exact[len(self._firsts) - 1] = array("q", [stamps[offset] for offset in numbered])
        if digest is None:
            return
        for offset in keys.latest():
            if offset not in left_out:
                self._latest.append(first + bisect_left(numbered, offset))
                self._hashes.append(hash(digest(offset)))

    def _number(self, keys: PageKeys, known: dict[int, int], digest: Digest) -> tuple[ParsedNumbers, list[Repeat]]:
        assert self._ranges is not None
        numbers = self._ranges.latest
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
                found = self._repeat(keys, offset, earlier, digest)
                repeats.append(found)
                ordinals.append(None)
                if not found.newer:
                    continue
            else:
                ordinals.append(self.ordinal)
                self._keys += 1
            self.ordinal += 1
        return numbers.numbered(ordinals), repeats

    def _add_digests(self, keys: PageKeys, digest: Digest) -> list[Repeat]:
        first = self.ordinal
        repeats = []
        for offset, key in enumerate(keys.names):
            earlier = self._digests.put(key, self.ordinal)
            if earlier is None:
                self._keys += 1
            else:
                found = self._repeat(keys, offset, earlier, digest, twin=earlier >= first)
                repeats.append(found)
                if not found.newer and found.ordinal < first:
                    continue
            self.ordinal += 1
        return repeats

    def _repeat(self, keys: PageKeys, offset: int, earlier: int, digest: Digest, *, twin: bool = False) -> Repeat:
        stamp = keys.stamps[offset] if keys.versions and not twin else NO_STAMP
        ordinal, ceiling = self._moved.get(earlier) or (earlier, self._ceiling(earlier, stamp))
        newer = stamp != NO_STAMP and stamp >= ceiling
        if newer and digest is not None and (known := self._hash(ordinal)) is not None:
            newer = known != hash(digest(offset))
            self.unchanged += not newer
        if newer:
            self._moved[earlier] = (self.ordinal, stamp + 1)
        return Repeat(offset, ordinal, newer)

    def _hash(self, ordinal: int) -> int | None:
        """Return the hash of a row that had the latest time of its page."""
        at = bisect_left(self._latest, ordinal)
        return self._hashes[at] if at < len(self._latest) and self._latest[at] == ordinal else None

    def _ceiling(self, ordinal: int, stamp: int) -> int:
        """Return the time from which on a row with that stamp is a newer version of an earlier one."""
        page = bisect_right(self._firsts, ordinal) - 1
        ceiling, exact = self._ceilings[page], self._exact.get(page)
        if self._exact_since is not None and ceiling < self._exact_since:
            return ceiling + 1  # whatever was changed since is stamped later than the whole page
        own = exact[ordinal - self._firsts[page]] if exact else stamp
        return min(ceiling, own + 1) if own < stamp else ceiling

    def _switch_to_digests(self) -> None:
        if self._ranges is not None:
            for key, ordinal in self._ranges.items():
                self._digests.put(key, ordinal)
            self._ranges = None

    def missing(self, keys: Sequence[bytes]) -> int:
        """Return how many of these keys were never added; they are not kept."""
        known = self._ranges.known(keys) if self._ranges and keys else None
        if known is not None:
            return len(keys) - len(known)
        self._switch_to_digests()
        return sum(self._digests.get(key) is None for key in keys)

    def close(self) -> None:
        """Free the keys and their temporary database; this is unusable afterwards. Safe to call twice."""
        self._digests.close()
        self._ranges = None

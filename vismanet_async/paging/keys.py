"""Which rows are the same record, and which version of it is newer; compact enough for millions (no IO but a spill).

A key is a 16-byte BLAKE2b digest of a row's identity fields. `KeyIndex` keeps, for each key, where it was delivered
and its last-modified stamp, in about 30 bytes (measured: `tests/paging/test_keys.py`). Past `spill_keys` new keys go
to a private temporary SQLite database, so memory stays bounded whatever the list's length.
"""

from __future__ import annotations

import sqlite3
import struct
from array import array
from bisect import bisect_left
from datetime import datetime, timedelta
from functools import cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import attrs
import msgspec

from vismanet_async.paging.styles import PageFormatError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["KeyIndex", "KeyReader", "PageKeys", "Repeat", "RowKeys", "stamp_of", "stamp_text"]

_DIGEST_BYTES: Final = 16
_NO_STAMP: Final = 0
_MODIFIED: Final = "_last_modified"  # the API has no name that starts with an underscore
_NO_FIELD: Final = "no such field"
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


@attrs.frozen
class PageKeys:
    """The keys of one page's rows, in their order."""

    digests: bytes
    """16 bytes a row, joined."""
    stamps: Sequence[int]
    """Last modified, in microseconds; 0 where the row has none."""
    newest: str | None
    """The greatest last-modified value, as the server wrote it."""
    unstamped: int = 0
    """How many rows carry no last-modified value."""

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.stamps)

    def digest(self, offset: int) -> bytes:
        """Give one row's digest."""
        return self.digests[offset * _DIGEST_BYTES : (offset + 1) * _DIGEST_BYTES]


class KeyReader:
    """Reads identity and last-modified out of rows, without decoding anything else. Stateless once built."""

    def __init__(self, keys: RowKeys) -> None:
        self._paths = tuple(tuple(name.split(".")) for name in keys.identity)
        tree: dict[str, Any] = {}
        for path in self._paths:
            node = tree
            for name in path[:-1]:
                node = node.setdefault(name, {})
            node[path[-1]] = {}
        modified = keys.modified or _NO_FIELD
        head = msgspec.defstruct(
            "_Row", [(_MODIFIED, str | None, None)], bases=(_struct(tree),), rename={_MODIFIED: modified}, gc=False
        )
        self._rows = msgspec.json.Decoder(head)
        self._whole = msgspec.json.Decoder(dict[str, msgspec.Raw])

    def read(self, rows: Sequence[msgspec.Raw], *, stamps: bool = True) -> PageKeys:
        """Read the keys of a page.

        Args:
            rows: the page's elements.
            stamps: False spares the work where all versions of a row are known to be the same; all stamps are then 0.

        Raises:
            PageFormatError: a row lacks an identity field, so that it cannot be told from another.
        """
        decode = self._rows.decode
        try:
            heads = [decode(row) for row in rows]
            identities = self._identities(rows, heads)
        except (msgspec.MsgspecError, AttributeError) as error:
            wanted = ", ".join(".".join(path) for path in self._paths)
            raise PageFormatError(f"a row without its identity ({wanted[:60]}): {str(error)[:100]}") from error
        texts = [getattr(head, _MODIFIED) or "" for head in heads]
        return PageKeys(
            digests=b"".join([blake2b(name, digest_size=_DIGEST_BYTES).digest() for name in identities]),
            stamps=[stamp_of(text) for text in texts] if stamps else [_NO_STAMP] * len(texts),
            newest=max(texts, default="") or None,  # the texts of one server sort as the moments they name
            unstamped=sum(not text for text in texts),
        )

    @staticmethod
    @cache
    def of(keys: RowKeys) -> KeyReader:
        """Give the reader for these keys, built once."""
        return KeyReader(keys)

    def _identities(self, rows: Sequence[msgspec.Raw], heads: Sequence[Any]) -> list[bytes]:
        if len(self._paths) == 1 and len(self._paths[0]) == 1:  # the common case, worth its line
            name = self._paths[0][0]
            return [bytes(getattr(head, name)) for head in heads]
        if self._paths:
            return [b"\0".join([bytes(_walk(head, path)) for path in self._paths]) for head in heads]
        return [_without_metadata(self._whole.decode(row)) for row in rows]


def _struct(tree: Mapping[str, Any]) -> Any:
    return msgspec.defstruct(
        "_Head", [(name, _struct(inner) if inner else msgspec.Raw) for name, inner in tree.items()], gc=False
    )


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


_BUCKET_SHIFT: Final = 64 - 12  # 4,096 sorted buckets: short enough that an insertion moves few bytes
_SCHEMA: Final = """
PRAGMA cache_size = -8000; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
CREATE TABLE key (digest BLOB PRIMARY KEY, ordinal INTEGER NOT NULL, stamp INTEGER NOT NULL) WITHOUT ROWID;
BEGIN;
"""


class KeyIndex:
    """Every key that was delivered, with its delivery number and stamp.

    Not thread-safe. Memory: about 30 bytes a key up to `spill_keys`; past that, 8 MB more and a temporary file.
    """

    def __init__(self, *, spill_keys: int = 4_000_000) -> None:
        # high half of the digest -> ordinal, sorted within each bucket; low half and stamp lie at the ordinal
        self._buckets: dict[int, tuple[array[int], array[int]]] = {}
        self._lows = array("Q")
        self._stamps = array("Q")
        self._moved: dict[int, tuple[int, int]] = {}  # first ordinal -> ordinal and stamp of the newest version
        self._spill_keys = spill_keys
        self._spill: sqlite3.Connection | None = None
        self._keys = 0
        self.ordinal = 0
        """The number that the next new row gets."""

    def __len__(self) -> int:
        """Count the distinct keys."""
        return self._keys

    def offer(self, keys: PageKeys) -> list[Repeat]:
        """Number the new rows of a page one after the other, in order, and name those seen before.

        A repeat with a greater stamp is numbered too and takes the earlier one's place. A key that occurs twice within
        this page is no old row but a second one: it is numbered, and named with the ordinal of its twin.
        """
        first = self.ordinal
        repeats: list[Repeat] = []
        words = struct.unpack(f">{2 * len(keys)}Q", keys.digests)
        for offset, stamp in enumerate(keys.stamps):
            low = words[2 * offset + 1]
            known = self._put(words[2 * offset], low, stamp)
            if known is not None:
                ordinal, newer = known
                repeats.append(Repeat(offset, ordinal, newer))
                if not newer and ordinal < first:
                    continue
            if self._spill is None:
                self._lows.append(low)
                self._stamps.append(stamp)
            self.ordinal += 1
        return repeats

    def _put(self, high: int, low: int, stamp: int) -> tuple[int, bool] | None:
        """Insert, or say where the key is and whether this version is newer (its entry then moves to this one)."""
        bucket = self._buckets.get(high >> _BUCKET_SHIFT)
        if bucket is None:
            bucket = self._buckets[high >> _BUCKET_SHIFT] = (array("Q"), array("I"))
        highs, ordinals = bucket
        at = bisect_left(highs, high)
        while at < len(highs) and highs[at] == high:
            first = ordinals[at]
            if self._lows[first] == low:
                ordinal, known = self._moved.get(first) or (first, self._stamps[first])
                if stamp > known:
                    self._moved[first] = (self.ordinal, stamp)
                return ordinal, stamp > known
            at += 1
        if self._spill is not None or len(self._lows) >= self._spill_keys:
            return self._put_spilled(struct.pack(">QQ", high, low), stamp)
        highs.insert(at, high)
        ordinals.insert(at, self.ordinal)
        self._keys += 1
        return None

    def _put_spilled(self, digest: bytes, stamp: int) -> tuple[int, bool] | None:
        if self._spill is None:
            # an empty name is a private temporary database: SQLite caches it and writes out what does not fit
            self._spill = sqlite3.connect("", isolation_level=None, check_same_thread=False)
            self._spill.executescript(_SCHEMA)
        found = self._spill.execute("SELECT ordinal, stamp FROM key WHERE digest = ?", (digest,)).fetchone()
        if found is None:
            self._spill.execute("INSERT INTO key VALUES (?, ?, ?)", (digest, self.ordinal, stamp))
            self._keys += 1
            return None
        ordinal, known = found
        if stamp > known:
            self._spill.execute("UPDATE key SET ordinal = ?, stamp = ? WHERE digest = ?", (self.ordinal, stamp, digest))
        return ordinal, stamp > known

    def close(self) -> None:
        """Give the temporary database back; the index is of no use afterwards. Safe to call twice."""
        if self._spill is not None:
            self._spill.close()
            self._spill = None
        self._buckets = {}
        self._lows = array("Q")
        self._stamps = array("Q")

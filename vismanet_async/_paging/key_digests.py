"""Keys kept as 16-byte digests: some 22 bytes a row, and past a limit in a private temporary SQLite database."""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import sqlite3

__all__ = ["KeyDigests"]

_DIGEST_BYTES: Final = 16
_BUCKET_SHIFT: Final = 64 - 12  # 4,096 sorted buckets: short enough that an insertion moves few bytes
_SCHEMA: Final = """
PRAGMA cache_size = -8000; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
CREATE TABLE key (digest BLOB PRIMARY KEY, ordinal INTEGER NOT NULL) WITHOUT ROWID;
BEGIN;
"""


def _digest(key: bytes) -> bytes:
    return blake2b(key, digest_size=_DIGEST_BYTES).digest()


class KeyDigests:
    """Keeps digests in sorted buckets, and then in a temporary database. Not thread-safe."""

    def __init__(self, spill_keys: int) -> None:
        # high half of the digest -> place, sorted within each bucket; low half and ordinal lie at the place
        self._buckets: dict[int, tuple[array[int], array[int]]] = {}
        self._lows = array("Q")
        self._ordinals = array("I")
        self._spill_keys = spill_keys
        self._spill: sqlite3.Connection | None = None

    def get(self, key: bytes) -> int | None:
        """Return the ordinal of a key; None where it was not kept."""
        digest = _digest(key)
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

    def put(self, key: bytes, ordinal: int) -> int | None:
        """Keep a key with this ordinal, or return the ordinal that it has already."""
        digest = _digest(key)
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
        """Delete the temporary database and all digests. Safe to call twice."""
        if self._spill is not None:
            self._spill.close()
            self._spill = None
        self._buckets = {}
        self._lows = array("Q")
        self._ordinals = array("I")

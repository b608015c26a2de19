"""The keys of one resource, on disk: which are published, and which of them a sweep has seen.

A key is the JSON array of a row's identity fields, in one spelling: `["INV","000225"]`, and `[7]` for `7.0`, too.
SQLite keeps them in a private temporary database, so that millions take a few megabytes of memory.

The key file of an export has one key a line, sorted, compressed. The same keys give the same bytes.
"""

from __future__ import annotations

import gzip
import re
import sqlite3
import zlib
from contextlib import closing, contextmanager
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec

from vismanet_async._export.files import writing
from vismanet_async._export.sinks.parts import OpenPart
from vismanet_async._paging.keys import KeyReader, RowKeys
from vismanet_async.errors import TargetNotWritable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import Self

    from vismanet_async._export.target.locations import Location
    from vismanet_async._export.target.manifest import Part
    from vismanet_async._paging.row_scanner import RawRow

__all__ = ["KeyIndex", "KeysOfRows", "is_no_key", "key_of_name", "keys_in", "storing", "write_side_file"]

_SCHEMA: Final = """
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    CREATE TABLE key (name BLOB PRIMARY KEY, seen INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
    BEGIN;
"""
_GZIP_WBITS: Final = 31
_LEVEL: Final = 6
_LINES_AT_ONCE: Final = 4_096
_PARTS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_EMPTY: Final = frozenset({b"null", b'""'})
_INT64_DIGITS: Final = 19
_EXACT: Final = msgspec.json.Decoder(float_hook=Decimal)
_NUMBER: Final = re.compile(rb"-?[0-9]")
_MAY_DIFFER: Final = re.compile(rb"\\|[\[,](?:-0|-?[0-9]+[.eE])")
"""Matches within some texts, too."""
_MAY_LACK: Final = re.compile(rb'[\[,](?:null|"")[,\]]')
"""Matches within some texts, too."""


def key_of_name(name: bytes) -> bytes:
    r"""Return the key of a row from its name (`vismanet_async._paging.keys`).

    Examples:
        >>> key_of_name(b'"INV"' + bytes(1) + b'"S\\u00f8"').decode(), key_of_name(b"7.0")
        ('["INV","Sø"]', b'[7]')
    """
    return _in_one_spelling(b"[%b]" % name.replace(b"\0", b","))


def _in_one_spelling(key: bytes) -> bytes:
    if _MAY_DIFFER.search(key) is None:
        return key
    try:  # the same text can be escaped in several ways, and the same number be written in several
        return msgspec.json.encode(list(map(_plain, _PARTS.decode(key))))
    except (msgspec.DecodeError, UnicodeError, ArithmeticError):
        return key  # half of a surrogate pair, or a number beyond all bounds: they have no other spelling


def _plain(part: msgspec.Raw) -> Any:
    text = bytes(part)
    if not _NUMBER.match(text):
        return msgspec.json.decode(text) if b"\\" in text else part
    number = _EXACT.decode(text)
    if isinstance(number, int):
        return part if number else 0  # of -0
    if number.adjusted() < _INT64_DIGITS and number == number.to_integral_value():
        return int(number)
    exactly = Context(prec=len(text), Emin=MIN_EMIN, Emax=MAX_EMAX)
    return msgspec.Raw(str(number.normalize(exactly)).encode())


def is_no_key(key: bytes) -> bool:
    """Return whether a part of a key is null or an empty text (docs/facts.md 12.2), so that it names no record.

    Examples:
        >>> is_no_key(b"[null]"), is_no_key(b'["D1",""]'), is_no_key(b'["D1,null,"]')
        (True, True, False)
    """
    return _MAY_LACK.search(key) is not None and not _EMPTY.isdisjoint(map(bytes, _PARTS.decode(key)))


class KeysOfRows:
    """Reads the keys of rows. For one caller at a time: it learns."""

    def __init__(self, identity: Sequence[str]) -> None:
        self._reader = KeyReader(RowKeys(identity=tuple(identity), modified=None))

    def read(self, rows: Sequence[RawRow]) -> list[bytes]:
        """Return the key of each row.

        Raises:
            PageFormatError: a row lacks an identity field.
        """
        return [key_of_name(name) for name in self._reader.read(rows, versions=False).names]


def keys_in(location: Location, file: str) -> Iterator[bytes]:
    """Yield the keys of a key file. Blocks."""
    with (location / file).open("rb") as compressed, gzip.open(compressed) as lines:
        for line in lines:
            yield _in_one_spelling(line.rstrip(b"\n"))  # of an earlier version, too


@contextmanager
def storing(where: str) -> Iterator[None]:
    """Raise the errors of SQLite as `TargetNotWritable`.

    Args:
        where: what is written, for the error.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise TargetNotWritable(
            f"{where} cannot be written: {error}. Free some space there, then start it again."
        ) from error


class KeyIndex:
    """The keys of one resource while a run reads it. All methods block; for one caller at a time, in any thread.

    Raises (from every method): `TargetNotWritable` when there is no more space for temporary files.
    """

    def __init__(self) -> None:
        # an empty name is a private temporary database: SQLite writes out what does not fit its cache
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        with _storing():
            self._database.executescript(_SCHEMA)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __len__(self) -> int:
        return int(self._database.execute("SELECT count(*) FROM key").fetchone()[0])

    def add(self, keys: Iterable[bytes]) -> None:
        """Add keys that are published, or will be with this run."""
        with _storing():
            self._database.executemany("INSERT OR IGNORE INTO key (name) VALUES (?)", ((key,) for key in keys))

    def unknown(self, keys: Sequence[bytes]) -> list[int]:
        """Return the places of keys that are not here."""
        find = self._database.execute
        with _storing():
            return [
                at for at, key in enumerate(keys) if find("SELECT 1 FROM key WHERE name = ?", (key,)).fetchone() is None
            ]

    def see(self, keys: Sequence[bytes]) -> list[int]:
        """Note that a sweep has seen these keys; return the places of those that were not here, and add them."""
        new = self.unknown(keys)
        self.add(keys[at] for at in new)
        with _storing():
            self._database.executemany("UPDATE key SET seen = 1 WHERE name = ?", ((key,) for key in keys))
        return new

    def unseen(self) -> Iterator[bytes]:
        """Yield the keys that no sweep has seen, sorted; none that lacks a part, as it may be any record's."""
        found = self._names("SELECT name FROM key WHERE NOT seen ORDER BY name")
        return (name for name in found if not is_no_key(name))

    def remove_unseen(self) -> None:
        """Remove the keys that no sweep has seen."""
        with _storing():
            self._database.execute("DELETE FROM key WHERE NOT seen")

    def write(self, path: Path) -> Part:
        """Write the key file, and return it as a part."""
        return write_side_file(path, self._names("SELECT name FROM key ORDER BY name"))

    def close(self) -> None:
        """Delete the database. Safe to call twice."""
        self._database.close()

    def _names(self, query: str) -> Iterator[bytes]:
        with _storing(), closing(self._database.execute(query)) as found:
            for (name,) in found:
                yield bytes(name)


def _storing() -> AbstractContextManager[None]:
    return storing("the temporary file with the keys")


def write_side_file(path: Path, lines: Iterable[bytes]) -> Part:
    """Write lines to a file beside the parts, compressed if its name says so, and return it as a part. Synced."""
    remaining = iter(lines)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # the header of zlib's gzip stream holds neither time nor name: the same lines give the same bytes
        compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP_WBITS) if path.suffix == ".gz" else None
        file = OpenPart(path, compressor=compressor)
        try:
            while some := list(islice(remaining, _LINES_AT_ONCE)):
                file.write(b"\n".join([*some, b""]), rows=len(some))
            return file.complete()
        finally:
            file.close()

"""The latest version of each record of an export, in a SQLite file: what its runs published, one after the other.

A run's parts count in order, then its tombstones: a record that comes back later is there again. Each file is one
transaction, so that whoever is killed goes on with the next file. Memory: a few megabytes, however many rows there are.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final

from vismanet_async._export.key_index import is_no_key, storing
from vismanet_async._export.stored_rows import history, tombstone_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import Self

    from vismanet_async._export.stored_rows import Batch, RowReader
    from vismanet_async._export.target.manifest import Part

__all__ = ["LatestRows"]

_SCHEMA: Final = """
    CREATE TABLE IF NOT EXISTS latest (key BLOB PRIMARY KEY, content BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS done (file TEXT PRIMARY KEY) WITHOUT ROWID;
"""


class LatestRows:
    """The latest rows of one resource. All methods block; for one caller at a time.

    Args:
        path: of the file, which is made if absent and continued if present; None: a private temporary one.

    Raises (from every method): `TargetNotWritable` when the file cannot be written.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._where = "a temporary file" if path is None else str(path)
        with self._translated():
            self._database = sqlite3.connect("" if path is None else path, isolation_level=None)
            try:
                # a killed process leaves whole transactions; so does a power cut
                self._database.execute("PRAGMA journal_mode = WAL")
                self._database.executescript(_SCHEMA)
            except BaseException:
                self._database.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._database.close()

    def __len__(self) -> int:
        return int(self._database.execute("SELECT count(*) FROM latest").fetchone()[0])

    def apply(
        self, reader: RowReader, *, runs: int | None = None, batches: Callable[[Part], Iterator[Batch]] | None = None
    ) -> None:
        """Take in what the runs of a resource published; files that are done already are passed over.

        Args:
            reader: of the resource.
            runs: how many, from the first; None: all.
            batches: the keys and contents of a part; None: the reader's.

        Raises:
            ExportError: a file is not as the manifest states, a row cannot be read, or several have the same lack of a
                key.
        """
        for parts, tombstones in history(reader.entry, runs=runs):
            for part in parts:
                with self._once(part) as begun:
                    for keys, contents in (batches or reader.batches)(part) if begun else ():
                        if self._merges_unknown(keys):
                            raise reader.several_without_a_key(reader.location / part.file)
                        self._put(keys, contents)
            if tombstones is not None:
                with self._once(tombstones) as begun:
                    for keys in tombstone_keys(reader.location, tombstones) if begun else ():
                        self._remove(keys)

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield key and content of each record, sorted by key."""
        with (
            self._translated(),
            closing(self._database.execute("SELECT key, content FROM latest ORDER BY key")) as found,
        ):
            yield from found

    def _merges_unknown(self, keys: Sequence[bytes]) -> bool:
        """Return whether a row would take the place of another, and their key lacks a part."""
        lacking = list(filter(is_no_key, keys))
        find = self._database.execute
        return len({*lacking}) < len(lacking) or any(
            find("SELECT 1 FROM latest WHERE key = ?", (key,)).fetchone() for key in lacking
        )

    def _put(self, keys: Sequence[bytes], contents: Sequence[bytes]) -> None:
        self._database.executemany(
            "INSERT INTO latest VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET content = excluded.content",
            zip(keys, contents, strict=True),
        )

    def _remove(self, keys: Sequence[bytes]) -> None:
        self._database.executemany("DELETE FROM latest WHERE key = ?", ((key,) for key in keys))

    @contextmanager
    def _once(self, part: Part) -> Iterator[bool]:
        """Run the block in a transaction that marks the file as done; yield False if it is done already."""
        if self._database.execute("SELECT 1 FROM done WHERE file = ?", (part.file,)).fetchone():
            yield False
            return
        with self._translated():
            self._database.execute("BEGIN")
            try:
                yield True
                self._database.execute("INSERT INTO done VALUES (?)", (part.file,))
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def _translated(self) -> AbstractContextManager[None]:
        return storing(self._where)

"""`SqliteJournal`: the rows of a bulk run in one SQLite file, which is safe to kill at any moment.

It keeps no body and no token: what a row was is told by its fingerprint. One run at a time holds the file.
"""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anyio
import attrs

from vismanet_async._bulk.journal_rows import (
    COLUMNS,
    JournalBusy,
    Registered,
    Standing,
    entry_of,
    refuse_other_owner,
    sort_rows,
    values_of,
)
from vismanet_async._bulk.transitions import Entry, RowState
from vismanet_async._file_lock import FileLock
from vismanet_async._jobs.sql.engine import Database, set_up_sqlite
from vismanet_async._jobs.store import StoreNotUsable
from vismanet_async._tasks import run_to_completion

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Mapping, Sequence

    import sqlalchemy as sa

__all__ = ["SqliteJournal"]

_SCHEMA_VERSION: Final = 4
_GROUPS_INDEX: Final = (
    "CREATE INDEX IF NOT EXISTS vismanet_bulk_rows_group ON vismanet_bulk_rows (row_group) WHERE row_group IS NOT NULL"
)
_SCHEMA: Final = (
    """
    CREATE TABLE vismanet_bulk_journal (
        id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
        version INTEGER NOT NULL,
        company TEXT,
        base_url TEXT NOT NULL,
        run INTEGER NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE vismanet_bulk_rows (
        key TEXT NOT NULL PRIMARY KEY,
        run INTEGER NOT NULL,
        position INTEGER NOT NULL,
        fingerprint BLOB NOT NULL,
        operation TEXT NOT NULL,
        state TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        unsure_since TEXT,
        id TEXT,
        etag TEXT,
        error_kind TEXT,
        error TEXT,
        status INTEGER,
        reference TEXT,
        job TEXT,
        leaves_within_seconds REAL,
        row_group TEXT,
        boot TEXT,
        place INTEGER
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX vismanet_bulk_rows_state ON vismanet_bulk_rows (state)",
    _GROUPS_INDEX,
)
_ADDED: Final = {
    "job": "TEXT",
    "leaves_within_seconds": "REAL",
    "row_group": "TEXT",
    "boot": "TEXT",
    "place": "INTEGER",
}
"""Columns that journals of earlier versions lack."""
_NAMES: Final = ", ".join(COLUMNS)
_INSERT: Final = (
    f"INSERT INTO vismanet_bulk_rows ({_NAMES}, run, place) "  # noqa: S608 - names of columns
    f"SELECT {', '.join('?' * len(COLUMNS))}, run, (run << 32) + ? FROM vismanet_bulk_journal"
)
"""The place is the order in which rows came first, over all runs."""
_UPDATE: Final = (
    f"UPDATE vismanet_bulk_rows SET {', '.join(f'{name} = ?' for name in COLUMNS[1:])} "  # noqa: S608 - as above
    "WHERE key = ?"
)
_SEEN: Final = (
    "UPDATE vismanet_bulk_rows SET position = ?, row_group = ?, run = (SELECT run FROM vismanet_bulk_journal) "
    "WHERE key = ?"
)
_NOT_DONE: Final = (
    "SELECT row_group, key, place FROM vismanet_bulk_rows WHERE row_group IN (SELECT value FROM json_each(?)) "
    "AND state <> 'done' AND run < (SELECT run FROM vismanet_bulk_journal)"
)
"""Rows of groups that are not done, and have not come in this run."""
_AMONG: Final = (
    f"SELECT {_NAMES}, place, run = (SELECT run FROM vismanet_bulk_journal) AS seen FROM vismanet_bulk_rows "  # noqa: S608
    "WHERE key IN (SELECT value FROM json_each(?))"
)
_OWNER: Final = "SELECT company, base_url FROM vismanet_bulk_journal"
_PAGE_ROWS: Final = 500


class SqliteJournal:
    """Where each row of a load stands. Any number of tasks may use it; only one run at a time."""

    shared = False
    lease_seconds = 0.0

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Name the file; nothing is opened yet.

        Raises:
            SettingsError: the extra `sqlite` is missing.
        """
        self.path = Path(path)
        self._database = Database(self.path, name="journal", one_file=True, is_foreign=_is_foreign)
        self._writer: sqlite3.Connection | None = None
        self._one = anyio.CapacityLimiter(1)
        self._lock: FileLock | None = None

    @run_to_completion
    async def open(self, *, company: str, base_url: str) -> None:
        """Open the journal for a run, alone; create it if missing.

        Raises:
            JournalBusy: another run has it open.
            RequestRefused: it belongs to another company or server.
            StoreNotUsable: it cannot be opened.
        """
        await anyio.to_thread.run_sync(self._take)
        try:
            await self._database.open(_migrate)
            await self._begin_run(company, base_url)
        except BaseException:
            await self.aclose()
            raise

    def _take(self) -> None:
        """Take the lock, which is named after the file itself, whatever link leads to it. Blocks."""
        names = 1
        try:
            path = Path(os.path.realpath(self.path))
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = FileLock(path.with_name(f"{path.name}.lock"))
            if taken := lock.acquire():
                self._lock = lock
                names = path.stat().st_nlink if path.exists() else 1
        except OSError as error:
            self._release()
            raise StoreNotUsable(f"the journal {self.path} cannot be opened: {error.strerror or error}.") from error
        if not taken:
            raise JournalBusy(f"another run has the journal {self.path} open; nothing was sent. Wait for its end.")
        if names > 1:
            self._release()
            raise StoreNotUsable(
                f"the journal {self.path} has {names} names (hard links), so that two runs could have it open at once; "
                "nothing was sent. Put a copy in the place of the link, and go on with one of the two."
            )

    def _release(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()

    async def _begin_run(self, company: str, base_url: str) -> None:
        async with self._database.transaction(_migrate) as connection:
            # a copy that was made while a page was half written would tell of fewer rows than were sent
            fault = str((await connection.exec_driver_sql("PRAGMA quick_check(1)")).scalar())
            if fault != "ok":
                raise StoreNotUsable(
                    f"the journal {self.path} is damaged ({fault.splitlines()[-1]}); nothing was sent. Go on with "
                    "another copy of it: without one nobody can tell which rows were sent."
                )
            found = (await connection.exec_driver_sql(_OWNER)).first()
            if found is None:
                await connection.exec_driver_sql(
                    "INSERT INTO vismanet_bulk_journal (id, version, company, base_url, run) VALUES (1, ?, ?, ?, 0)",
                    (_SCHEMA_VERSION, company, base_url),
                )
            else:
                refuse_other_owner(self.path, found, company=company, base_url=base_url)
            begun = "UPDATE vismanet_bulk_journal SET run = run + 1, version = ?"
            await connection.exec_driver_sql(begun, (_SCHEMA_VERSION,))

    @run_to_completion
    async def aclose(self) -> None:
        """Close the file and let other runs have it."""
        with anyio.CancelScope(shield=True):
            try:
                await anyio.to_thread.run_sync(self._close_writer, limiter=self._one)
                await self._database.aclose()
            finally:
                self._release()

    @run_to_completion
    async def register(self, rows: Sequence[Entry]) -> list[Registered]:
        """Write down rows that have come; return what was known of each, in order.

        Args:
            rows: as they would be if they were new.
        """
        async with self._database.transaction(_migrate) as connection:
            keys = json.dumps([row.key for row in rows], ensure_ascii=False)
            found = (await connection.exec_driver_sql(_AMONG, (keys,))).mappings().all()
            known = {row["key"]: (entry_of(row), bool(row["seen"])) for row in found}
            results, new, seen = sort_rows(rows, known)
            if new:
                await connection.exec_driver_sql(_INSERT, [(*values_of(each), each.position) for each in new])
            if seen:
                await connection.exec_driver_sql(_SEEN, [(each.position, each.group, each.key) for each in seen])
            groups = json.dumps(sorted({row.group for row in rows if row.group is not None}), ensure_ascii=False)
            waiting = [] if groups == "[]" else (await connection.exec_driver_sql(_NOT_DONE, (groups,))).all()
        places = {row["key"]: row["place"] or 0 for row in found}
        return [_placed(each, waiting, places) for each in results] if waiting else results

    async def read_again(self) -> None:
        """Do nothing: no input is read twice in a run that is alone."""

    @run_to_completion
    async def write(self, entries: Sequence[Entry]) -> frozenset[str]:
        """Replace entries; they are on the disk when this returns."""
        rows = [(*values_of(entry)[1:], entry.key) for entry in entries]
        await anyio.to_thread.run_sync(self._write, rows, limiter=self._one)
        return frozenset()

    def _write(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Write in one transaction, in one step of a thread: a row takes two of these, and they are its whole cost."""
        try:
            if self._writer is None:
                self._writer = sqlite3.connect(self.path, check_same_thread=False)
                set_up_sqlite(self._writer, one_file=True)
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                self._writer.executemany(_UPDATE, rows)
                self._writer.execute("COMMIT")
            except BaseException:
                self._writer.rollback()
                raise
        except sqlite3.Error as error:
            raise StoreNotUsable(f"the journal at {self.path} failed: {error}. What was committed stands.") from error

    def _close_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def ended(self, _key: str) -> None:
        """Do nothing: there are no leases, since one run holds the file."""

    async def renew(self) -> None:
        """Do nothing, as `ended`."""

    async def standing(self) -> Standing:
        """Return that nothing is elsewhere."""
        return Standing()

    @run_to_completion
    async def refuse_others(self, *, company: str, base_url: str) -> None:
        """Raise if it belongs to another company or server; reads only."""
        async with self._database.transaction(_require) as connection:
            found = (await connection.exec_driver_sql(_OWNER)).first()
        if found is not None:
            refuse_other_owner(self.path, found, company=company, base_url=base_url)

    @run_to_completion
    async def known(self, keys: Sequence[str]) -> dict[str, Entry]:
        """Return the entries with one of these keys; reads only, without the lock."""
        async with self._database.transaction(_require) as connection:
            found = await connection.exec_driver_sql(_AMONG, (json.dumps(keys, ensure_ascii=False),))
            return {row["key"]: entry_of(row) for row in found.mappings()}

    async def entries(self, states: Collection[RowState] | None = None) -> AsyncGenerator[Entry, None]:
        """Yield entries in the order of their keys, a page at a time; reads only, without the lock."""
        chosen = json.dumps([state.value for state in states or RowState])
        statement = (
            f"SELECT {_NAMES} FROM vismanet_bulk_rows WHERE key > ? "  # noqa: S608 - names of columns
            "AND state IN (SELECT value FROM json_each(?)) ORDER BY key LIMIT ?"
        )
        after = ""
        while page := await self._page(statement, (after, chosen, _PAGE_ROWS)):
            for entry in page:
                yield entry
            after = page[-1].key

    @run_to_completion
    async def _page(self, statement: str, values: tuple[Any, ...]) -> list[Entry]:
        async with self._database.transaction(_require) as connection:
            return [entry_of(row) for row in (await connection.exec_driver_sql(statement, values)).mappings()]


def _is_foreign(names: Collection[str]) -> bool:
    """Return whether a file that holds these is a database of something else, such as a job store."""
    return any(not name.startswith("vismanet_bulk_") for name in names)


def _migrate(connection: sa.Connection) -> None:
    if not _is_journal(connection):
        for statement in _SCHEMA:
            connection.exec_driver_sql(statement)
    _refuse_newer(connection)
    _add_columns(connection)


def _placed(registered: Registered, waiting: Sequence[Any], places: Mapping[str, int]) -> Registered:
    """Return a row with those that stood before it in its group; a new one is behind all that came before."""
    group, place = registered.entry.group, places.get(registered.entry.key)
    before = [row.key for row in waiting if row.row_group == group and (place is None or (row.place or 0) < place)]
    return attrs.evolve(registered, behind=frozenset(before)) if before else registered


def _add_columns(connection: sa.Connection) -> None:
    """Bring a journal of an earlier version up to date; nothing that it says changes."""
    there = set(connection.exec_driver_sql("SELECT name FROM pragma_table_info('vismanet_bulk_rows')").scalars())
    for name, kind in _ADDED.items():
        if name not in there:
            connection.exec_driver_sql(f"ALTER TABLE vismanet_bulk_rows ADD COLUMN {name} {kind}")
    if not _ADDED.keys() <= there:
        connection.exec_driver_sql(_GROUPS_INDEX)


def _require(connection: sa.Connection) -> None:
    if not _is_journal(connection):
        raise StoreNotUsable("the file is no journal of a bulk run; nothing was changed.")
    _refuse_newer(connection)
    _add_columns(connection)


def _is_journal(connection: sa.Connection) -> bool:
    tables = "SELECT name FROM sqlite_master WHERE name = 'vismanet_bulk_journal'"
    return connection.exec_driver_sql(tables).first() is not None


def _refuse_newer(connection: sa.Connection) -> None:
    version = connection.exec_driver_sql("SELECT version FROM vismanet_bulk_journal").scalar()
    if version is not None and version > _SCHEMA_VERSION:
        raise StoreNotUsable(
            f"the journal has schema {version}, made by a newer version of vismanet-async; this one knows "
            f"{_SCHEMA_VERSION}. Nothing was changed: upgrade, or use another journal."
        )

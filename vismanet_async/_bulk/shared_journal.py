"""`SharedJournal`: the rows of bulk runs in PostgreSQL, for several processes that work on one load.

As in the job store a row has its *lease*: an owner, an expiry and a fencing token that grows with each new owner. Every
write names owner and token, so that a process which was taken for dead cannot overwrite what its successor wrote, and
sends nothing whose intent it could not write down. Processes whose clocks differ by less than a lease are safe.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import anyio
import attrs

from vismanet_async._bulk.journal_rows import COLUMNS, Registered, Standing, entry_of, refuse_other_owner, values_of
from vismanet_async._bulk.transitions import RowState
from vismanet_async._jobs.sql.engine import Database
from vismanet_async._jobs.store import StoreNotUsable
from vismanet_async._tasks import run_to_completion
from vismanet_async.errors import RequestRefused

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Sequence

    import sqlalchemy as sa
    from sqlalchemy.ext.asyncio import AsyncConnection

    from vismanet_async._bulk.transitions import Entry
    from vismanet_async._clock import Clock

__all__ = ["LEASE_SECONDS", "SharedJournal"]

LEASE_SECONDS: Final = 30.0
"""How long rows of a process that died stay its own; renewed at a third of it."""
_SCHEMA_VERSION: Final = 3
_PAGE_ROWS: Final = 500
_TYPES: Final = dict.fromkeys(COLUMNS, "text") | {
    **dict.fromkeys(("position", "attempts", "status"), "bigint"),
    "fingerprint": "bytea",
    "leaves_within_seconds": "double precision",
}
_NEEDED: Final = frozenset({"key", "position", "fingerprint", "operation", "state", "attempts"})
_SCHEMA: Final = (
    "SELECT pg_advisory_xact_lock(hashtextextended('vismanet_bulk', 0))",
    """
    CREATE TABLE IF NOT EXISTS vismanet_bulk_journals (
        journal TEXT NOT NULL PRIMARY KEY,
        version BIGINT NOT NULL,
        company TEXT,
        base_url TEXT NOT NULL,
        run BIGINT NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS vismanet_bulk_workers (
        owner TEXT NOT NULL PRIMARY KEY,
        journal TEXT NOT NULL,
        lease_until DOUBLE PRECISION NOT NULL
    )
    """,
    f"""
    CREATE TABLE IF NOT EXISTS vismanet_bulk_rows (
        journal TEXT NOT NULL,
        {", ".join(f"{name} {kind} {'NOT NULL' if name in _NEEDED else ''}" for name, kind in _TYPES.items())},
        run BIGINT NOT NULL,
        ended_run BIGINT,
        owner TEXT,
        lease_until DOUBLE PRECISION,
        fence BIGINT NOT NULL,
        PRIMARY KEY (journal, key)
    )
    """,
    "CREATE INDEX IF NOT EXISTS vismanet_bulk_rows_owner ON vismanet_bulk_rows (owner) WHERE owner IS NOT NULL",
    # where each process has a key first in its own input: a load's processes may have the rows in any order. It is of
    # use only while they live, and nothing is sent twice without it
    """
    CREATE UNLOGGED TABLE IF NOT EXISTS vismanet_bulk_places (
        owner TEXT NOT NULL,
        key TEXT NOT NULL,
        position BIGINT NOT NULL,
        PRIMARY KEY (owner, key)
    )
    """,
)
_NAMES: Final = ", ".join(COLUMNS)
_UNNEST: Final = f"unnest({', '.join(f'${index + 5}::{_TYPES[name]}[]' for index, name in enumerate(COLUMNS))})"
_INSERT: Final = f"""
    INSERT INTO vismanet_bulk_rows (journal, run, owner, lease_until, fence, {_NAMES})
    SELECT $1::text, $2::bigint, $3::text, $4::double precision, 1, {_NAMES} FROM {_UNNEST} AS given ({_NAMES})
    ON CONFLICT DO NOTHING RETURNING key
"""  # noqa: S608 - names of columns, as below
_PLACES: Final = """
    INSERT INTO vismanet_bulk_places (owner, key, position)
    SELECT $1, key, position FROM unnest($2::text[], $3::bigint[]) AS given (key, position)
    ON CONFLICT (owner, key) DO UPDATE SET position = vismanet_bulk_places.position
    RETURNING key, position
"""
_FORGET_PLACES: Final = "DELETE FROM vismanet_bulk_places WHERE owner = $1"
_SEEN: Final = """
    SELECT key, run, ended_run FROM vismanet_bulk_rows WHERE journal = $1 AND key = ANY($2::text[])
"""
_TAKE: Final = f"""
    UPDATE vismanet_bulk_rows SET owner = $3, lease_until = $4, fence = fence + 1, run = $5, ended_run = NULL
    WHERE journal = $1 AND key IN (
        SELECT key FROM vismanet_bulk_rows
        WHERE journal = $1 AND key = ANY($2::text[]) AND (owner IS NULL OR lease_until < $6)
        FOR UPDATE SKIP LOCKED
    )
    RETURNING {_NAMES}, fence
"""  # noqa: S608 - as above
_PLACE: Final = """
    UPDATE vismanet_bulk_rows SET position = given.position
    FROM unnest($3::text[], $4::bigint[]) AS given (key, position)
    WHERE vismanet_bulk_rows.journal = $1 AND owner = $2 AND vismanet_bulk_rows.key = given.key
"""
_WRITE: Final = f"""
    UPDATE vismanet_bulk_rows
    SET {", ".join(f"{name} = given.{name}" for name in COLUMNS if name not in {"key", "position"})}
    FROM unnest({", ".join(f"${index + 4}::{_TYPES[name]}[]" for index, name in enumerate(COLUMNS))}, $3::bigint[])
        AS given ({_NAMES}, fence)
    WHERE vismanet_bulk_rows.journal = $1 AND owner = $2 AND vismanet_bulk_rows.key = given.key
        AND vismanet_bulk_rows.fence = given.fence
    RETURNING vismanet_bulk_rows.key
"""  # noqa: S608 - as above
_OWNER: Final = "SELECT company, base_url, version FROM vismanet_bulk_journals WHERE journal = $1"
_END: Final = """
    UPDATE vismanet_bulk_rows SET owner = NULL, lease_until = NULL, ended_run = run
    WHERE journal = $1 AND owner = $2 AND key = ANY($3::text[])
"""


class SharedJournal:
    """Where each row of a load stands, for any number of runs at a time that are given the same rows."""

    shared = True

    def __init__(self, address: str, *, clock: Clock, lease_seconds: float = LEASE_SECONDS) -> None:
        """Name the database and the journal in it, as `postgresql://user@host/database#name`.

        Raises:
            RequestRefused: there is no name, or it is another kind of database; nothing was sent.
            SettingsError: the address cannot be understood, or the extra `postgres` is missing.
        """
        url, _, self._name = address.partition("#")
        self._database = Database(url, name="journal")
        if self._database.sqlite or not self._name:
            raise RequestRefused(
                "journal takes the path of a file, or postgresql://user@host/database#NAME with a name for the load; "
                "nothing was sent."
            )
        self.lease_seconds = lease_seconds
        self._clock = clock
        self._owner = uuid.uuid4().hex
        self._run = 0
        self._fences: dict[str, int] = {}
        self._ended: list[str] = []

    def __repr__(self) -> str:
        return f"SharedJournal({self._database.shown}#{self._name})"

    @run_to_completion
    async def open(self, *, company: str, base_url: str) -> None:
        """Open the journal for a run, or join the run that other processes are in; create it if missing.

        Raises:
            RequestRefused: it belongs to another company or server.
            StoreNotUsable: it cannot be reached.
        """
        async with self._transaction() as connection:
            await self._lock(connection)
            now = self._clock.utc_now().timestamp()
            found = (await connection.exec_driver_sql(_OWNER, (self._name,))).first()
            if found is None:
                made = "INSERT INTO vismanet_bulk_journals VALUES ($1, $2, $3, $4, 0)"
                await connection.exec_driver_sql(made, (self._name, _SCHEMA_VERSION, company, base_url))
            elif found.version > _SCHEMA_VERSION:
                raise StoreNotUsable(f"{self} was made by a newer version of vismanet-async; nothing was changed.")
            else:
                refuse_other_owner(self._name, found, company=company, base_url=base_url)
            gone = "DELETE FROM vismanet_bulk_workers WHERE journal = $1 AND lease_until < $2"
            await connection.exec_driver_sql(gone, (self._name, now))
            left = "DELETE FROM vismanet_bulk_places WHERE owner NOT IN (SELECT owner FROM vismanet_bulk_workers)"
            await connection.exec_driver_sql(left)
            others = "SELECT 1 FROM vismanet_bulk_workers WHERE journal = $1 LIMIT 1"
            begins = (await connection.exec_driver_sql(others, (self._name,))).first() is None
            run = "UPDATE vismanet_bulk_journals SET run = run + $2, version = $3 WHERE journal = $1 RETURNING run"
            values = (self._name, int(begins), _SCHEMA_VERSION)
            self._run = int((await connection.exec_driver_sql(run, values)).scalar_one())
            worker = "INSERT INTO vismanet_bulk_workers VALUES ($1, $2, $3)"
            await connection.exec_driver_sql(worker, (self._owner, self._name, self._until()))

    @run_to_completion
    async def aclose(self) -> None:
        """Give up all leases of this run and close the connections; leases run out where that fails."""
        with anyio.CancelScope(shield=True):
            try:
                if self._run:
                    async with self._transaction() as connection:
                        await self._end(connection)
                        free = "UPDATE vismanet_bulk_rows SET owner = NULL, lease_until = NULL WHERE owner = $1"
                        await connection.exec_driver_sql(free, (self._owner,))
                        gone = "DELETE FROM vismanet_bulk_workers WHERE owner = $1"
                        await connection.exec_driver_sql(gone, (self._owner,))
                        await connection.exec_driver_sql(_FORGET_PLACES, (self._owner,))
            except StoreNotUsable:
                pass  # a run that failed because of it says so; one that has ended has written all down
            finally:
                await self._database.aclose()

    @run_to_completion
    async def register(self, rows: Sequence[Entry]) -> list[Registered]:
        """Write down rows that have come, and lease those that are free; return what is known of each, in order."""
        first = {row.key: row for row in reversed(rows)}
        keys = sorted(first)
        async with self._transaction() as connection:
            await self._lock(connection)
            await self._end(connection)
            columns = zip(*(values_of(first[key]) for key in keys), strict=True)
            given = (self._name, self._run, self._owner, self._until(), *map(list, columns))
            new = set((await connection.exec_driver_sql(_INSERT, given)).scalars())
            seen = {row.key: row for row in await connection.exec_driver_sql(_SEEN, (self._name, keys))}
            given = (self._owner, keys, [first[key].position for key in keys])
            placed = {row.key: row.position for row in await connection.exec_driver_sql(_PLACES, given)}
            came_first = [key for key in keys if placed[key] == first[key].position]
            wanted = [key for key in came_first if key not in new and self._is_free(seen[key])]
            taking = (self._name, wanted, self._owner, self._until(), self._run, self._clock.utc_now().timestamp())
            found = (await connection.exec_driver_sql(_TAKE, taking)).mappings().all() if wanted else []
            taken = {row["key"]: row for row in found}
            place = (self._name, self._owner, list(taken), [first[key].position for key in taken])
            await connection.exec_driver_sql(_PLACE, place)
        self._fences.update(dict.fromkeys(new, 1) | {key: row["fence"] for key, row in taken.items()})
        results = []
        for row in rows:
            if placed[row.key] != row.position:
                registered = Registered(entry=row, known=False, duplicate_of=placed[row.key])
            elif row.key in new:
                registered = Registered(entry=row, known=False)
            elif row.key in taken:
                entry = attrs.evolve(entry_of(taken[row.key]), position=row.position)
                registered = Registered(entry=entry, known=True)
            else:
                registered = Registered(entry=row, known=True, elsewhere=True)
            results.append(registered)
        return results

    def _is_free(self, known: Any) -> bool:
        """Return whether this run may take a row, if nobody has leased it: not one that was ended in this run."""
        return bool(known.run != self._run or known.ended_run != self._run)

    @run_to_completion
    async def read_again(self) -> None:
        """Forget where this process's input had its keys."""
        async with self._transaction() as connection:
            await connection.exec_driver_sql(_FORGET_PLACES, (self._owner,))

    @run_to_completion
    async def write(self, entries: Sequence[Entry]) -> frozenset[str]:
        """Replace entries; return the keys of those whose lease was lost."""
        columns = list(zip(*map(values_of, entries), strict=True))
        fences = [self._fences.get(entry.key, 0) for entry in entries]
        async with self._transaction() as connection:
            given = (self._name, self._owner, fences, *map(list, columns))
            written = set((await connection.exec_driver_sql(_WRITE, given)).scalars())
        return frozenset(entry.key for entry in entries if entry.key not in written)

    def ended(self, key: str) -> None:
        """Note that this run has ended a row."""
        self._ended.append(key)

    @run_to_completion
    async def renew(self) -> None:
        """Renew the leases of this run that have not run out, and give up those of rows that have ended."""
        async with self._transaction() as connection:
            await self._end(connection)
            now = self._clock.utc_now().timestamp()
            for table in ("rows", "workers"):
                kept = f"UPDATE vismanet_bulk_{table} SET lease_until = $2 WHERE owner = $1 AND lease_until >= $3"  # noqa: S608
                await connection.exec_driver_sql(kept, (self._owner, self._until(), now))

    async def _end(self, connection: AsyncConnection) -> None:
        ended, self._ended = self._ended, []
        if ended:
            await connection.exec_driver_sql(_END, (self._name, self._owner, ended))
            for key in ended:
                self._fences.pop(key, None)

    @run_to_completion
    async def standing(self) -> Standing:
        """Return what other processes have of this run, and all of its rows by state and operation."""
        async with self._transaction() as connection:
            await self._end(connection)
            now = self._clock.utc_now().timestamp()
            left = (
                "SELECT count(*) FILTER (WHERE lease_until >= $3) AS held, "
                "count(*) FILTER (WHERE lease_until < $3) AS abandoned "
                "FROM vismanet_bulk_rows WHERE journal = $1 AND owner <> $2 AND run = $4"
            )
            found = (await connection.exec_driver_sql(left, (self._name, self._owner, now, self._run))).one()
            counted = (
                "SELECT state, operation, count(*) AS rows FROM vismanet_bulk_rows WHERE journal = $1 AND run = $2 "
                "GROUP BY state, operation"
            )
            rows = (await connection.exec_driver_sql(counted, (self._name, self._run))).all()
        counts = {(RowState(row.state), str(row.operation)): int(row.rows) for row in rows}
        return Standing(held=found.held, abandoned=found.abandoned, counts=counts)

    @run_to_completion
    async def refuse_others(self, *, company: str, base_url: str) -> None:
        """Raise if it belongs to another company or server; reads only."""
        async with self._transaction() as connection:
            found = (await connection.exec_driver_sql(_OWNER, (self._name,))).first()
        if found is not None:
            refuse_other_owner(self._name, found, company=company, base_url=base_url)

    @run_to_completion
    async def known(self, keys: Sequence[str]) -> dict[str, Entry]:
        """Return the entries with one of these keys; reads only."""
        statement = f"SELECT {_NAMES} FROM vismanet_bulk_rows WHERE journal = $1 AND key = ANY($2::text[])"  # noqa: S608
        async with self._transaction() as connection:
            found = await connection.exec_driver_sql(statement, (self._name, list(keys)))
            return {row["key"]: entry_of(row) for row in found.mappings()}

    async def entries(self, states: Collection[RowState] | None = None) -> AsyncGenerator[Entry, None]:
        """Yield entries in the order of their keys, a page at a time; reads only."""
        chosen = [state.value for state in states or RowState]
        after = ""
        while page := await self._page(after, chosen):
            for entry in page:
                yield entry
            after = page[-1].key

    @run_to_completion
    async def _page(self, after: str, states: list[str]) -> list[Entry]:
        statement = (
            f'SELECT {_NAMES} FROM vismanet_bulk_rows WHERE journal = $1 AND key COLLATE "C" > $2 '  # noqa: S608
            f'AND state = ANY($3::text[]) ORDER BY key COLLATE "C" LIMIT {_PAGE_ROWS}'
        )
        async with self._transaction() as connection:
            found = await connection.exec_driver_sql(statement, (self._name, after, states))
            return [entry_of(row) for row in found.mappings()]

    async def _lock(self, connection: AsyncConnection) -> None:
        """Let one process at a time register rows of this journal."""
        lock = "SELECT pg_advisory_xact_lock(hashtextextended($1, 1))"
        await connection.exec_driver_sql(lock, (f"vismanet_bulk {self._name}",))

    def _until(self) -> float:
        return (self._clock.utc_now() + timedelta(seconds=self.lease_seconds)).timestamp()

    def _transaction(self) -> Any:
        return self._database.transaction(_migrate)


def _migrate(connection: sa.Connection) -> None:
    for statement in _SCHEMA:
        connection.exec_driver_sql(statement)
    names = "SELECT attname FROM pg_attribute WHERE attrelid = 'vismanet_bulk_rows'::regclass AND attnum > 0"
    there = set(connection.exec_driver_sql(names).scalars())
    for name in COLUMNS:  # tables of an earlier version lack some; nothing that they say changes
        if name not in there:
            connection.exec_driver_sql(f"ALTER TABLE vismanet_bulk_rows ADD COLUMN {name} {_TYPES[name]}")

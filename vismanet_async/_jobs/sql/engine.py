"""`Database`: the address, the connections and the failures of a job store's database, over SQLAlchemy's async core.

A busy database is retried, whichever error reports it; one that fails is `StoreNotUsable` with the reason.
"""

from __future__ import annotations

import os
import random
import re
import sqlite3
import stat
import time
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anyio
import platformdirs
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from vismanet_async._arguments import is_url
from vismanet_async._jobs.store import ForeignStore, StoreNotUsable
from vismanet_async.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sqlalchemy.engine import URL

__all__ = ["BUSY_SECONDS", "Database", "default_path", "parse_address", "set_up_sqlite", "without_password"]

BUSY_SECONDS: Final = 30.0
"""How long to retry a locked SQLite file, a server that is starting or a used-up connection limit."""
_CONNECT_SECONDS: Final = 30.0
_STATEMENT_SECONDS: Final = 60.0
_POOL_SECONDS: Final = 30.0
_CONNECTIONS: Final = 5
_MORE_CONNECTIONS: Final = 5
"""PostgreSQL: so many connections are kept, and so many more are opened while those are in use."""
_LONGEST_PAUSE_SECONDS: Final = 0.1
_SQLITE_BUSY: Final = frozenset({5, 6})
"""SQLITE_BUSY and SQLITE_LOCKED, the low byte of extended codes."""
_POSTGRES_BUSY: Final = frozenset({"53300", "57P03"})
"""too_many_connections and cannot_connect_now (starting up, in recovery)."""
_OWNER_ONLY: Final = 0o600
_PASSWORD: Final = re.compile(r"^([\w+]+://[^:/?@]*):(.*)@", re.DOTALL)
_SECRET_OPTION: Final = re.compile(r"([?&][^=&]*(?:pass|secret|key)[^=&]*=)[^&]*", re.IGNORECASE)
_PORTS: Final = range(65536)
_DRIVERS: Final = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
}


def default_path() -> Path:
    """Return the file that is used when no store is named, in the platform's directory for state."""
    return Path(platformdirs.user_state_dir("vismanet-async", appauthor=False)) / "jobs.sqlite3"


def parse_address(address: str | Path | None) -> URL:
    """Read a path or a database URL; None is the default file. A leading `~` is the user's own directory.

    An `@` in a password needs no escape: the account ends at the last `@` before the path.

    Raises:
        SettingsError: it is neither a path nor a URL of SQLite or PostgreSQL. The message does not repeat it.

    Examples:
        >>> parse_address("postgresql://me:p@ss@db/jobs").host
        'db'
    """
    if address is None:
        address = default_path()
    if "\0" in str(address):
        raise SettingsError("the job store's address holds a NUL character.")
    if isinstance(address, Path) or "://" not in address:
        if is_url(address):
            raise SettingsError("the job store's address is a URL that became a path: give it as text, with its //.")
        return sa.URL.create(_DRIVERS["sqlite"], database=_at_home(str(address)))
    try:
        parsed = sa.make_url(_escaped(address))
    except (ArgumentError, ValueError) as error:
        raise SettingsError("the job store's address is neither a path nor a database URL.") from error
    name = parsed.drivername.split("+")[0]
    if name not in _DRIVERS:
        raise SettingsError(f"job stores are kept in SQLite or PostgreSQL, not in {name!r}.")
    if parsed.port is not None and parsed.port not in _PORTS:
        raise SettingsError(f"the job store's port {parsed.port} is none: ports go up to {_PORTS[-1]}.")
    if name == "sqlite" and parsed.database:
        parsed = parsed.set(database=_at_home(parsed.database))
    return parsed.set(drivername=_DRIVERS[name])


def _at_home(path: str) -> str:
    try:
        return str(Path(path).expanduser()) if path.startswith("~") else path
    except RuntimeError as error:
        raise SettingsError(f"the job store {path}: nobody knows whose directory that is.") from error


def _escaped(address: str) -> str:
    """Escape each `@` of a password, which SQLAlchemy would take for the account's end."""
    scheme, _, rest = address.partition("://")
    first = rest.find("@")
    path = re.compile(r"[/?]").search(rest, max(first, 0))
    account, at, host = rest[: path.start() if path else None].rpartition("@")
    user, colon, password = account.partition(":")
    if not colon:
        return address
    return f"{scheme}://{user}:{password.replace('@', '%40')}{at}{host}{rest[path.start() :] if path else ''}"


def without_password(address: str | Path | None) -> str:
    """Return an address as it may be shown: all up to the last `@` that may belong to a password is masked.

    Examples:
        >>> without_password("postgresql://me:p@ss@db/jobs")
        'postgresql://me:***@db/jobs'
    """
    shown = str(default_path() if address is None else address)
    if "://" not in shown:
        return shown
    return _SECRET_OPTION.sub(r"\1***", _PASSWORD.sub(r"\1:***@", shown))


class Database:
    """The connections of one store. Any number of processes may open the same database at once."""

    def __init__(
        self,
        address: str | Path | None,
        *,
        name: str = "job store",
        one_file: bool = False,
        is_foreign: Callable[[frozenset[str]], bool] | None = None,
    ) -> None:
        """Create the engine; nothing is opened yet.

        Args:
            address: a path or a database URL; None is the default file.
            name: what the database is called in errors.
            one_file: SQLite keeps all that was committed in the file itself, not in a log beside it.
            is_foreign: whether a SQLite file that holds these names is something else, which is left as it is.

        Raises:
            SettingsError: the address cannot be understood, or the driver is not installed.
        """
        self._url = parse_address(address)
        self._name = name
        self._is_foreign = is_foreign
        self.shown = without_password(address)
        """The address without its password."""
        self.sqlite: bool = self._url.get_backend_name() == "sqlite"
        self._opened = False
        self._opening = anyio.Lock()
        try:
            self._engine = create_async_engine(self._url, **_engine_options(sqlite=self.sqlite))
        except (ArgumentError, NoSuchModuleError) as error:
            raise SettingsError(f"cannot use a {name} at {self.shown}: {type(error).__name__}.") from error
        except ModuleNotFoundError as error:
            extra = "sqlite" if self.sqlite else "postgres"
            raise SettingsError(f"{error.name} is missing: pip install 'vismanet-async[{extra}]'.") from error
        if self.sqlite:
            sa.event.listen(self._engine.sync_engine, "connect", partial(set_up_sqlite, one_file=one_file))
            sa.event.listen(self._engine.sync_engine, "begin", _begin_immediate)

    async def open(self, migrate: Callable[[sa.Connection], None]) -> None:
        """Make the database usable; may be called again.

        Args:
            migrate: creates what is missing, in the transaction that it is given.

        Raises:
            StoreNotUsable: it cannot be reached, or the file is something else than such a database.
        """
        async with self._opening:
            if self._opened:
                return
            path = self._file()
            if path is not None:
                await anyio.to_thread.run_sync(self._prepare, path)
            async with self._connected() as connection:
                await connection.run_sync(migrate)
                ours = path is not None and await connection.run_sync(_holds_only_our_tables)
            if path is not None and ours:
                await anyio.to_thread.run_sync(_make_private, path, self._name)
            self._opened = True

    def _prepare(self, path: Path) -> None:
        """Create the file, or see that it is not somebody else's: to connect would change it already. Blocks."""
        _make_file(path, self._name)
        self._names_in(path)

    def _names_in(self, path: Path) -> frozenset[str]:
        """Return the names of all that a SQLite file holds, which stays as it is; refuse a foreign one. Blocks."""
        try:
            names = _names_in(path.resolve())
        except sqlite3.Error as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
                raise ForeignStore(
                    f"the {self._name} {path} is a file of another kind; nothing was changed."
                ) from error
            return frozenset()  # opening it to be written says what is wrong
        if self._is_foreign is not None and self._is_foreign(names):
            raise ForeignStore(
                f"the {self._name} {path} is another database: it holds {min(names)!a}. Nothing was changed or sent. "
                f"Give the {self._name} a file of its own."
            )
        return names

    async def is_there(self, table: str) -> bool:
        """Return whether the database has a table; nothing is made or changed.

        Raises:
            StoreNotUsable: it cannot be reached or made, or the file is something else.
        """
        path = self._file()
        if path is not None:
            return await anyio.to_thread.run_sync(self._is_in_file, path, table)
        if self.sqlite:
            return False
        async with self._connected() as connection:
            return bool(await connection.run_sync(lambda sync: sa.inspect(sync).has_table(table)))

    def _is_in_file(self, path: Path, table: str) -> bool:
        if not path.exists():
            above = next((folder for folder in path.absolute().parents if folder.exists()), None)
            if above is None or not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
                raise StoreNotUsable(
                    f"the {self._name} {path} cannot be made: {above or path} is no folder to write in."
                )
            return False
        if not path.is_file():
            raise ForeignStore(f"the {self._name} {path} is not a regular file; nothing was changed.")
        if not os.access(path, os.R_OK | os.W_OK):
            raise StoreNotUsable(f"the {self._name} {path} cannot be read and written; nothing was changed.")
        return table in self._names_in(path)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._engine.dispose()
        self._opened = False

    @asynccontextmanager
    async def transaction(self, migrate: Callable[[sa.Connection], None]) -> AsyncIterator[AsyncConnection]:
        """Run a transaction; it is committed at the end of the block. The database is opened first if need be.

        Raises:
            StoreNotUsable: the database failed. Nothing of this transaction was committed unless the commit itself
                was under way.
        """
        if not self._opened:
            await self.open(migrate)
        async with self._connected() as connection:
            yield connection

    def _file(self) -> Path | None:
        name = self._url.database
        if not self.sqlite or not name or name == ":memory:" or name.startswith("file:"):
            return None
        return Path(name)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection]:
        connecting = True
        try:
            connection = await self._connect()
            try:
                async with connection.begin():
                    connecting = False
                    yield connection
            finally:
                await connection.close()
        except StoreNotUsable:
            raise
        except (DBAPIError, sa.exc.TimeoutError, OSError) as error:
            what, stands = (
                ("cannot be reached", "Nothing was read or written")
                if connecting
                else ("failed", "What was committed stands")
            )
            raise StoreNotUsable(
                f"the {self._name} at {self.shown} {what}: {_reason(error, connecting=connecting)}. {stands}."
            ) from error

    async def _connect(self) -> AsyncConnection:
        until = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                return await self._engine.connect()
            except DBAPIError as error:
                if getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
                    raise ForeignStore(
                        f"the {self._name} {self.shown} is a file of another kind; nothing was changed."
                    ) from error
                if not _is_busy(error.orig) or time.monotonic() >= until:
                    raise
            except TypeError as error:
                raise SettingsError(f"the {self._name} at {self.shown} cannot be opened: {error}.") from error
            await anyio.sleep(random.uniform(0, _LONGEST_PAUSE_SECONDS))  # noqa: S311 - spreads attempts, no secret


def _is_busy(error: object) -> bool:
    """Return whether the database would take the same attempt a little later."""
    # "PRAGMA journal_mode=WAL" asks no busy handler where another connection writes to a file without WAL yet
    code = getattr(error, "sqlite_errorcode", None)
    return (code is not None and code & 0xFF in _SQLITE_BUSY) or getattr(error, "sqlstate", None) in _POSTGRES_BUSY


def _reason(error: DBAPIError | sa.exc.TimeoutError | OSError, *, connecting: bool) -> str:
    """Return why a database failed, in words; drivers leave those of a time limit empty."""
    if isinstance(error, sa.exc.TimeoutError):
        return f"each of its {_CONNECTIONS + _MORE_CONNECTIONS} connections was in use for {_POOL_SECONDS:g} s"
    cause = error.orig if isinstance(error, DBAPIError) else error
    if text := str(cause).strip():
        return text
    if not isinstance(cause, TimeoutError):
        return type(cause).__name__
    if connecting:
        return f"no connection within {_CONNECT_SECONDS:g} s"
    return f"a statement took longer than {_STATEMENT_SECONDS:g} s"


def _engine_options(*, sqlite: bool) -> dict[str, Any]:
    if sqlite:
        # one connection: SQLite has one writer anyway, and :memory: lives in it
        return {"poolclass": AsyncAdaptedQueuePool, "pool_size": 1, "max_overflow": 0, "pool_timeout": None}
    return {
        "pool_size": _CONNECTIONS,
        "max_overflow": _MORE_CONNECTIONS,
        "pool_timeout": _POOL_SECONDS,
        "pool_pre_ping": True,
        "connect_args": {"timeout": _CONNECT_SECONDS, "command_timeout": _STATEMENT_SECONDS},
    }


def set_up_sqlite(connection: Any, _record: Any = None, *, one_file: bool = False) -> None:
    """Make a connection of SQLite durable and patient; transactions begin where the caller says."""
    connection.isolation_level = None
    cursor = connection.cursor()
    busy = f"busy_timeout={BUSY_SECONDS * 1000:.0f}"
    # DELETE needs EXTRA: with FULL a rollback journal may come back after a loss of power, and undo what was committed
    durable = ("journal_mode=DELETE", "synchronous=EXTRA") if one_file else ("journal_mode=WAL", "synchronous=FULL")
    for setting in (busy, *durable, "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {setting}")
    cursor.close()


def _begin_immediate(connection: sa.Connection) -> None:
    # a transaction that starts as a reader cannot wait for the write lock (SQLITE_BUSY_SNAPSHOT)
    connection.exec_driver_sql("BEGIN IMMEDIATE")


# -- the file ------------------------------------------------------------------------------------------------------


def _make_file(path: Path, name: str) -> None:
    """Create the file, and its directory if missing, for the owner alone; SQLite's side files take the same mode.

    A file that exists and is not empty is left as it is: its name does not make it one of ours. It is not opened here:
    closing it would give up the locks of all connections that this process has to it (POSIX), in the middle of a write.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        regular, empty = path.is_file(), not path.stat().st_size
    except OSError as error:
        raise StoreNotUsable(f"the {name} {path} cannot be made: {error.strerror}.") from error
    if not regular:
        raise ForeignStore(f"the {name} {path} is not a regular file; nothing was changed.")
    if empty:
        _make_private(path, name)


def _make_private(path: Path, name: str) -> None:
    """Make a file that holds only our tables, and SQLite's side files, readable by its owner alone."""
    for each in (path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))):
        try:
            found = each.stat()
            if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) != _OWNER_ONLY:
                each.chmod(_OWNER_ONLY)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise StoreNotUsable(f"the {name} {path} cannot be made private: {error.strerror}.") from error


def _names_in(path: Path) -> frozenset[str]:
    # without a log beside it all is in the file itself, and reading it as it is makes no side files either
    how = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "mode=ro&immutable=1"
    with closing(sqlite3.connect(f"{path.as_uri()}?{how}", uri=True)) as reading:
        found = reading.execute("SELECT name FROM sqlite_master WHERE name NOT GLOB 'sqlite_*'").fetchall()
    return frozenset(name for (name,) in found)


def _holds_only_our_tables(connection: sa.Connection) -> bool:
    others = "SELECT COUNT(*) FROM sqlite_master WHERE name NOT GLOB 'vismanet_*' AND name NOT GLOB 'sqlite_*'"
    return connection.exec_driver_sql(others).scalar() == 0

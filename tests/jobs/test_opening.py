"""Opening a store: by many processes at once, while it is busy, and without touching what is not one."""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from vismanet_async import StaticToken, VismaNet
from vismanet_async._bulk.journal import SqliteJournal
from vismanet_async._jobs.sql import engine as engine_module
from vismanet_async._jobs.sql.store import SqlStore
from vismanet_async._jobs.store import StoreNotUsable
from vismanet_async.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from vismanet_async._jobs.store import JobStore

ROOT = Path(__file__).parents[2]
PROCESSES = 12

shared_backend = pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)


@shared_backend
@pytest.mark.parametrize("old", [False, True], ids=["new", "old"])
async def test_processes_that_open_at_once_all_do(
    database: str, new_store: Callable[[], JobStore], *, old: bool
) -> None:
    if old:
        before = new_store()
        await before.open()
        await before.aclose()
    command = [sys.executable, "-m", "tests.jobs.openers", database, str(PROCESSES)]
    done = await anyio.run_process(command, cwd=ROOT, check=False)
    assert done.stdout.decode().strip() == f"{PROCESSES} of {PROCESSES} opened it", done.stderr.decode()[-2000:]


def pauses(monkeypatch: pytest.MonkeyPatch, then: Callable[[], Awaitable[None]]) -> None:
    """Have something happen in the pause between two attempts to connect."""

    async def sleep(_seconds: float) -> None:
        await then()

    monkeypatch.setattr(engine_module, "anyio", Replaced(anyio, sleep=sleep))


class Replaced:
    """A module but for some of its names."""

    def __init__(self, module: Any, **names: Any) -> None:
        self._module = module
        self.__dict__.update(names)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


async def test_a_new_file_that_another_process_writes_to_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state between a file's creation and its first change to a write-ahead log, which asks no busy handler."""
    path = tmp_path / "jobs.sqlite"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    paused = 0

    async def after_three() -> None:
        nonlocal paused
        paused += 1
        if paused == 3:
            other.execute("ROLLBACK")

    pauses(monkeypatch, after_three)
    store = SqlStore(path)
    await store.open()
    assert paused == 3
    await store.aclose()
    other.close()


async def test_a_file_that_stays_locked_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "jobs.sqlite"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    now = 0.0

    async def ten_seconds() -> None:
        nonlocal now
        now += 10

    pauses(monkeypatch, ten_seconds)
    monkeypatch.setattr(engine_module, "time", Replaced(None, monotonic=lambda: now))
    store = SqlStore(path)
    with pytest.raises(StoreNotUsable, match=r"cannot be reached: database is locked"):
        await store.open()
    assert now == engine_module.BUSY_SECONDS
    other.execute("ROLLBACK")
    await store.open()
    await store.aclose()
    other.close()


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
async def test_a_server_without_a_free_connection_is_waited_for(
    database: str, new_store: Callable[[], JobStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = database.rsplit("/", 1)[1].split("?", maxsplit=1)[0]
    engine = create_async_engine(database)
    async with engine.connect() as ours:
        limited = await ours.execution_options(isolation_level="AUTOCOMMIT")
        # superusers pass the limit of a database, so an account of its own opens the store
        await limited.exec_driver_sql(f"CREATE ROLE {name}_user LOGIN CONNECTION LIMIT 0")
        await limited.exec_driver_sql(f"GRANT ALL ON SCHEMA public TO {name}_user")
        paused = 0

        async def after_three() -> None:
            nonlocal paused
            paused += 1
            if paused == 3:
                await limited.exec_driver_sql(f"ALTER ROLE {name}_user CONNECTION LIMIT 9")

        pauses(monkeypatch, after_three)
        store = SqlStore(database.replace("postgres@", f"{name}_user@"))
        await store.open()
        assert paused == 3
        await store.aclose()
        await limited.exec_driver_sql(f"DROP OWNED BY {name}_user")
        await limited.exec_driver_sql(f"DROP ROLE {name}_user")
    await engine.dispose()


def files(path: Path) -> list[str]:
    return [each.name for each in path.iterdir()]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_a_file_of_another_kind_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "ledger.txt"
    path.write_text("somebody else's")
    path.chmod(0o664)
    store = SqlStore(path)
    with pytest.raises(StoreNotUsable, match="another kind; nothing was changed"):
        await store.open()
    assert (mode(path), path.read_text()) == (0o664, "somebody else's")
    assert files(tmp_path) == ["ledger.txt"]
    await store.aclose()


@pytest.mark.parametrize("kind", ["pipe", "directory"])
async def test_what_is_no_file_is_left_as_it_is(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "thing"
    if kind == "pipe":
        os.mkfifo(path, 0o644)
    else:
        path.mkdir()
    path.chmod(0o644)
    store = SqlStore(path)
    with pytest.raises(StoreNotUsable, match="not a regular file; nothing was changed"):
        await store.open()
    assert mode(path) == 0o644
    await store.aclose()


@pytest.mark.parametrize("journal_mode", ["DELETE", "WAL"])
@pytest.mark.parametrize("opens", [SqlStore, SqliteJournal])
@pytest.mark.parametrize("in_use", [False, True])
async def test_somebody_elses_database_is_left_as_it_is(
    tmp_path: Path, journal_mode: str, opens: type[SqlStore | SqliteJournal], *, in_use: bool
) -> None:
    path = tmp_path / "application.sqlite"
    theirs = sqlite3.connect(path)
    theirs.execute(f"PRAGMA journal_mode={journal_mode}")
    with theirs:
        theirs.execute("CREATE TABLE orders (id INTEGER)")
    if not in_use:
        theirs.close()
    path.chmod(0o664)
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path) if not name.endswith("-shm")}

    async def opened() -> None:
        if opens is SqlStore:
            await SqlStore(path).select(company="c")
        else:
            await SqliteJournal(path).open(company="c", base_url="https://x")

    with pytest.raises(StoreNotUsable, match=r"is another database: it holds 'orders'\. Nothing was changed"):
        await opened()
    if opens is SqliteJournal:
        with pytest.raises(StoreNotUsable, match="Nothing was changed"):
            await SqliteJournal(path).known(["a"])
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    assert {name for name in files(tmp_path) if not name.endswith("-shm")} == before.keys()
    assert mode(path) == 0o664
    theirs.close()


async def test_a_journal_is_no_job_store_and_a_job_store_no_journal(tmp_path: Path) -> None:
    load, jobs = tmp_path / "load.sqlite", tmp_path / "jobs.sqlite"
    journal, store = SqliteJournal(load), SqlStore(jobs)
    await journal.open(company="c", base_url="https://x")
    await journal.aclose()
    await store.open()
    await store.aclose()
    with pytest.raises(StoreNotUsable, match=r"the job store .* is another database: it holds 'vismanet_bulk_"):
        await SqlStore(load).open()
    with pytest.raises(StoreNotUsable, match=r"the journal .* is another database: it holds 'vismanet_job"):
        await SqliteJournal(jobs).open(company="c", base_url="https://x")
    await journal.open(company="c", base_url="https://x")  # as good as before
    await journal.aclose()
    await store.open()
    await store.aclose()


async def test_a_store_that_others_use_too_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    store = SqlStore(path)
    await store.open()
    await store.aclose()
    with sqlite3.connect(path) as theirs:
        theirs.execute("CREATE VIEW late AS SELECT id FROM vismanet_jobs")
    theirs.close()
    path.chmod(0o664)
    assert await store.select(company="c") == []
    assert mode(path) == 0o664
    await store.aclose()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX gives a process's locks up when any of its files is closed")
async def test_looking_whose_file_it_is_leaves_the_locks_of_this_process(tmp_path: Path) -> None:
    path = tmp_path / "application.sqlite"
    writing = sqlite3.connect(path, isolation_level=None)
    writing.execute("CREATE TABLE orders (id INTEGER)")
    writing.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreNotUsable, match="is another database"):
        await SqlStore(path).open()
    program = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('SELECT * FROM orders')"
    done = await anyio.run_process([sys.executable, "-c", program, str(path)], check=False)
    assert b"database is locked" in done.stderr
    writing.close()


async def test_a_store_of_ours_is_closed_to_others(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    store = SqlStore(path)
    await store.open()
    await store.aclose()
    path.chmod(0o644)  # copied back from a backup
    await store.open()
    assert {mode(tmp_path / name) for name in files(tmp_path)} == {0o600}
    await store.aclose()


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://u:Ab@Zs9@127.0.0.1:9/db", "postgresql://u:***@127.0.0.1:9/db"),
        ("postgresql://u:Zs9@b:c@127.0.0.1:9/db", "postgresql://u:***@127.0.0.1:9/db"),
        ("postgresql://u:p/Zs9@y@127.0.0.1:9/db", "postgresql://u:***@127.0.0.1:9/db"),
        ("postgresql://u:p@w/Zs9@127.0.0.1:9/db", "postgresql://u:***@127.0.0.1:9/db"),
        ("postgresql://u:p?Zs9@z@127.0.0.1:9/db", "postgresql://u:***@127.0.0.1:9/db"),
        ("postgresql://u:p%40Zs9@127.0.0.1:9/db", "postgresql://u:***@127.0.0.1:9/db"),
        ("postgresql://u@127.0.0.1:9/db?password=Zs9&x=1", "postgresql://u@127.0.0.1:9/db?password=***&x=1"),
        ("postgresql+asyncpg://u:Zs9@/db?host=/tmp/a", "postgresql+asyncpg://u:***@/db?host=/tmp/a"),
        ("postgresql://127.0.0.1:9/db", "postgresql://127.0.0.1:9/db"),
    ],
)
async def test_passwords_are_masked_up_to_the_last_at_sign(address: str, shown: str) -> None:
    store = SqlStore(address)
    assert repr(store) == f"SqlStore({shown!r})"
    with pytest.raises((StoreNotUsable, SettingsError)) as caught:
        await store.open()
    told = f"{caught.value} {caught.value.__cause__}"
    assert "Zs9" not in told
    await store.aclose()


@pytest.mark.parametrize(
    "address",
    [
        "a\0b",
        Path("a\0b"),
        Path("sqlite:////srv/x.db"),
        "sqlite:/srv/x.db",
        "postgresql://u@127.0.0.1:99999/x",
        "~nobody-Zs9/x.db",
    ],
)
def test_addresses_that_no_store_can_have_are_refused_by_name(address: str | Path) -> None:
    with pytest.raises(SettingsError, match="job store"):
        SqlStore(address)


@pytest.mark.parametrize("address", ["~/a/x.db", Path("~/a/x.db"), "sqlite:///~/a/x.db"])
def test_a_store_at_home_is_at_home(address: str | Path) -> None:
    assert engine_module.parse_address(address).database == str(Path.home() / "a" / "x.db")
    assert engine_module.parse_address(":memory:").database == ":memory:"


async def test_an_option_that_the_driver_does_not_know_is_named() -> None:
    store = SqlStore("postgresql://u@127.0.0.1:9/db?sslmode=require")
    with pytest.raises(SettingsError, match="sslmode"):
        await store.open()


@pytest.mark.parametrize("password", ["plain", "a@b", "a@b@c", "p/x@y", "%40"])
def test_a_password_with_an_at_sign_is_used_whole(password: str) -> None:
    url = engine_module.parse_address(f"postgresql://u:{password}@db.example:5433/jobs?ssl=require")
    expected = password.replace("%40", "@")
    assert (url.username, url.password, url.host, url.port) == ("u", expected, "db.example", 5433)
    assert (url.database, dict(url.query)) == ("jobs", {"ssl": "require"})


def test_addresses_that_hold_no_password_are_read_as_they_are() -> None:
    for address in ("postgresql://u@h/d", "postgresql://h/d", "postgresql://u@/d?host=/tmp/a@b", "sqlite:///a@b.db"):
        url = engine_module.parse_address(address)
        assert url.password is None
        assert url.database == sa.make_url(address).database


async def test_a_worker_does_not_wait_for_what_is_no_store(tmp_path: Path) -> None:
    """A store that is away comes back; a file of another kind never becomes one."""
    path = tmp_path / "ledger.txt"
    path.write_text("somebody else's")
    async with VismaNet(StaticToken("t", tenant_id="c"), job_store=path) as visma:
        with pytest.raises(StoreNotUsable, match="another kind"):
            await visma.jobs.run()

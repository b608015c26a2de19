from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from tests.jobs.postgres import postgres
from vismanet_async.jobs.sql_store import SqlStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from vismanet_async.jobs.store import JobStore

BACKENDS = ("sqlite", "memory", "postgresql")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    with postgres() as url:
        yield url


@pytest.fixture
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The address of an empty database of its own; the backend is the fixture's parameter."""
    backend = getattr(request, "param", "sqlite")
    if backend != "postgresql":
        yield ":memory:" if backend == "memory" else str(tmp_path / "state" / "jobs.sqlite3")
        return
    server: str = request.getfixturevalue("postgres_server")
    name = f"test_{uuid.uuid4().hex}"
    engine = create_async_engine(
        server.replace("{database}", "postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool
    )
    async with engine.connect() as connection:
        await connection.exec_driver_sql(f"CREATE DATABASE {name}")
    yield server.replace("{database}", name)
    async with engine.connect() as connection:
        await connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    await engine.dispose()


@pytest.fixture
async def new_store(database: str) -> AsyncIterator[Callable[[], JobStore]]:
    """Opens the same database once more, as another process would."""
    stores: list[SqlStore] = []

    def make() -> JobStore:
        if database == ":memory:" and stores:
            return stores[0]
        stores.append(SqlStore(database))
        return stores[-1]

    yield make
    for store in stores:
        await store.aclose()


@pytest.fixture
async def store(new_store: Callable[[], JobStore]) -> JobStore:
    made = new_store()
    await made.open()
    return made

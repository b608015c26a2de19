from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.jobs.postgres import new_database, postgres
from tests.support.outside import Outside
from vismanet_async._jobs.sql.store import SqlStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from vismanet_async._jobs.store import JobStore

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
    async with new_database(request.getfixturevalue("postgres_server")) as url:
        yield url


@pytest.fixture
def outside() -> Outside:
    """Counts the calls of stores that are under way: virtual time stands still for them."""
    return Outside()


@pytest.fixture
async def new_store(database: str, outside: Outside) -> AsyncIterator[Callable[[], JobStore]]:
    """Opens the same database once more, as another process would."""
    stores: list[SqlStore] = []

    def make() -> JobStore:
        if database == ":memory:" and stores:
            return stores[0]
        stores.append(outside.counted(SqlStore(database)))
        return stores[-1]

    yield make
    for store in stores:
        await store.aclose()


@pytest.fixture
async def store(new_store: Callable[[], JobStore]) -> JobStore:
    made = new_store()
    await made.open()
    return made

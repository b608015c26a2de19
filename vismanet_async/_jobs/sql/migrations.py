"""The store's schema, step by step. A step that was released is never changed: a new one is added.

Every store is made by running the steps in order, new ones too, so there is one way to a schema and it is always
tested. `{bytes}`, `{real}` and `{serial}` stand for each database's own type (`DIALECT_TYPES`).
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from vismanet_async._jobs.store import StoreNotUsable

__all__ = ["DIALECT_TYPES", "LATEST", "MIGRATIONS", "migrate"]

_MIGRATING: Final = 7_105_612_019
"""The key of the advisory lock under which one process at a time migrates a PostgreSQL database."""

DIALECT_TYPES: Final = {
    "sqlite": {"bytes": "BLOB", "real": "REAL", "serial": "INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT"},
    "postgresql": {
        "bytes": "BYTEA",
        "real": "DOUBLE PRECISION",
        "serial": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    },
}

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    # 1: records, results, webhooks dealt with
    (
        """
        CREATE TABLE vismanet_jobs (
            sequence {serial},
            id TEXT NOT NULL UNIQUE,
            company TEXT NOT NULL,
            operation_id TEXT NOT NULL,
            method TEXT NOT NULL,
            path TEXT NOT NULL,
            query TEXT NOT NULL,
            if_match TEXT,
            body_sha256 TEXT,
            document TEXT,
            reference TEXT,
            notify TEXT NOT NULL,
            created_at {real} NOT NULL,
            deadline_at {real},
            state TEXT NOT NULL,
            sending_at {real},
            job_id TEXT,
            submitted_at {real},
            server_status TEXT,
            status_code INTEGER,
            started_at {real},
            finished_at {real},
            run_seconds {real},
            content_due INTEGER NOT NULL,
            verdict TEXT,
            error TEXT,
            settled_at {real},
            settled_by TEXT,
            hinted_at {real},
            candidates TEXT NOT NULL,
            asked_at {real},
            unanswered INTEGER NOT NULL,
            state_asked TEXT NOT NULL,
            content_asked TEXT NOT NULL,
            polls INTEGER NOT NULL,
            owner TEXT,
            lease_until {real},
            fence INTEGER NOT NULL
        )
        """,
        "CREATE UNIQUE INDEX vismanet_jobs_job_id ON vismanet_jobs (company, job_id)",
        "CREATE INDEX vismanet_jobs_state ON vismanet_jobs (company, state)",
        "CREATE INDEX vismanet_jobs_document ON vismanet_jobs (company, document)",
        "CREATE INDEX vismanet_jobs_hinted_at ON vismanet_jobs (company, hinted_at)",
        "CREATE INDEX vismanet_jobs_owner ON vismanet_jobs (owner)",
        """
        CREATE TABLE vismanet_job_results (
            id TEXT NOT NULL PRIMARY KEY REFERENCES vismanet_jobs (id) ON DELETE CASCADE,
            status_code INTEGER NOT NULL,
            state_document {bytes},
            content {bytes},
            headers TEXT NOT NULL,
            read_at {real} NOT NULL
        )
        """,
        """
        CREATE TABLE vismanet_webhooks (
            digest {bytes} NOT NULL PRIMARY KEY,
            dealt_with_at {real} NOT NULL
        )
        """,
        "CREATE INDEX vismanet_webhooks_at ON vismanet_webhooks (dealt_with_at)",
    ),
    # 2: when the server received a job, by its own clock
    ("ALTER TABLE vismanet_jobs ADD COLUMN received_at {real}",),
)

LATEST: Final = len(MIGRATIONS)


def migrate(connection: sa.Connection, *, latest: int = LATEST) -> None:
    """Bring the schema up to date, in the connection's transaction; any number of processes may do so at once.

    Raises:
        StoreNotUsable: the schema was made by a newer version; nothing was changed.
    """
    if connection.dialect.name == "postgresql":
        if _version(connection) == latest:
            return  # nothing to do, so nobody to wait for
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATING)))
    connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS vismanet_schema (version INTEGER NOT NULL)")
    version = _version(connection)
    if version > LATEST:
        raise StoreNotUsable(
            f"the job store has schema {version}, made by a newer version of vismanet-async; this one knows {LATEST}. "
            "Nothing was changed: upgrade, or use another store."
        )
    for number, statements in enumerate(MIGRATIONS[version:latest], start=version + 1):
        for statement in statements:
            connection.exec_driver_sql(statement.format(**DIALECT_TYPES[connection.dialect.name]))
        connection.exec_driver_sql(f"INSERT INTO vismanet_schema (version) VALUES ({number:d})")  # noqa: S608 - a number


def _version(connection: sa.Connection) -> int:
    if not sa.inspect(connection).has_table("vismanet_schema"):
        return 0
    return connection.exec_driver_sql("SELECT MAX(version) FROM vismanet_schema").scalar() or 0

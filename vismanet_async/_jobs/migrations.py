"""The store's schema, step by step. A step that was released is never changed: a new one is added.

Every store is made by running the steps in order, new ones too, so there is one way to a schema and it is always
tested. `{bytes}`, `{number}` and so on are each database's own word.
"""

from __future__ import annotations

from typing import Final

__all__ = ["LATEST", "STEPS", "WORDS"]

WORDS: Final = {
    "sqlite": {"bytes": "BLOB", "real": "REAL", "serial": "INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT"},
    "postgresql": {
        "bytes": "BYTEA",
        "real": "DOUBLE PRECISION",
        "serial": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    },
}

STEPS: Final[tuple[tuple[str, ...], ...]] = (
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
)

LATEST: Final = len(STEPS)

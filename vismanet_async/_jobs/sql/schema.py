"""The tables of a job store. The migrations make them; a test compares the two."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

__all__ = ["JOBS", "METADATA", "RESULTS", "WEBHOOKS"]

_T = sa.Text()
_REAL: sa.Double[float] = sa.Double().with_variant(sa.REAL(), "sqlite")
_INT = sa.Integer()
_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
METADATA: Final = sa.MetaData()
JOBS: Final = sa.Table(
    "vismanet_jobs",
    METADATA,
    sa.Column("sequence", _BIG, sa.Identity(always=True), primary_key=True),
    sa.Column("id", _T, nullable=False, unique=True),
    *(sa.Column(name, _T, nullable=False) for name in ("company", "operation_id", "method", "path", "query")),
    *(sa.Column(name, _T) for name in ("if_match", "body_sha256", "document", "reference")),
    sa.Column("notify", _T, nullable=False),
    sa.Column("created_at", _REAL, nullable=False),
    sa.Column("deadline_at", _REAL),
    sa.Column("state", _T, nullable=False),
    sa.Column("sending_at", _REAL),
    sa.Column("job_id", _T),
    sa.Column("submitted_at", _REAL),
    sa.Column("server_status", _T),
    sa.Column("status_code", _INT),
    *(sa.Column(name, _REAL) for name in ("started_at", "finished_at", "run_seconds")),
    sa.Column("content_due", _INT, nullable=False),
    sa.Column("verdict", _T),
    sa.Column("error", _T),
    sa.Column("settled_at", _REAL),
    sa.Column("settled_by", _T),
    sa.Column("hinted_at", _REAL),
    sa.Column("candidates", _T, nullable=False),
    sa.Column("asked_at", _REAL),
    sa.Column("unanswered", _INT, nullable=False),
    sa.Column("state_asked", _T, nullable=False),
    sa.Column("content_asked", _T, nullable=False),
    sa.Column("polls", _INT, nullable=False),
    sa.Column("owner", _T),
    sa.Column("lease_until", _REAL),
    sa.Column("fence", _INT, nullable=False),
    sa.Column("received_at", _REAL),
    sa.Index("vismanet_jobs_job_id", "company", "job_id", unique=True),
    sa.Index("vismanet_jobs_state", "company", "state"),
    sa.Index("vismanet_jobs_document", "company", "document"),
    sa.Index("vismanet_jobs_hinted_at", "company", "hinted_at"),
    sa.Index("vismanet_jobs_owner", "owner"),
    sqlite_autoincrement=True,  # a number is never given out again, so that order is kept through deletions
)
RESULTS: Final = sa.Table(
    "vismanet_job_results",
    METADATA,
    sa.Column("id", _T, sa.ForeignKey(JOBS.c.id, ondelete="CASCADE"), primary_key=True),
    sa.Column("status_code", _INT, nullable=False),
    sa.Column("state_document", sa.LargeBinary),
    sa.Column("content", sa.LargeBinary),
    sa.Column("headers", _T, nullable=False),
    sa.Column("read_at", _REAL, nullable=False),
)
WEBHOOKS: Final = sa.Table(
    "vismanet_webhooks",
    METADATA,
    sa.Column("digest", sa.LargeBinary, primary_key=True),
    sa.Column("dealt_with_at", _REAL, nullable=False),
    sa.Index("vismanet_webhooks_at", "dealt_with_at"),
)

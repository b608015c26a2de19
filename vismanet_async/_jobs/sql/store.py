"""`SqlStore`: jobs in SQLite (one file, no server) or PostgreSQL (several workers), over SQLAlchemy's async core.

Only the owner may read the files, because results hold ledger data. What is stored of an operation: `sql.rows`.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, cast

import anyio
import sqlalchemy as sa

from vismanet_async._jobs.sql import statements
from vismanet_async._jobs.sql.engine import Database
from vismanet_async._jobs.sql.migrations import migrate
from vismanet_async._jobs.sql.rows import dump, moment, to_record, to_result, to_result_row, to_row
from vismanet_async._jobs.sql.schema import JOBS, RESULTS, WEBHOOKS
from vismanet_async._jobs.store import JobIdTaken, Leased, LeaseLost, StoreNotUsable
from vismanet_async._tasks import run_to_completion

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from sqlalchemy.ext.asyncio import AsyncConnection

    from vismanet_async._jobs.core.records import JobRecord, JobResult
    from vismanet_async._jobs.core.states import State

__all__ = ["SqlStore"]

_KEEP_WEBHOOKS: Final = timedelta(days=7)
_HINT_COLUMNS: Final = frozenset({"hinted_at", "candidates"})
"""Columns that `save` leaves alone."""


class SqlStore:
    """A `JobStore` in a database.

    Any number of tasks may use it. With SQLite each process works through one connection; several processes may
    share the file on a local disk. With PostgreSQL any number of processes on any number of machines may share it.

    Examples:
        >>> store = SqlStore("jobs.sqlite")
        >>> async with VismaNet.from_env(job_store=store) as client:  # signed in as `visma` is
        ...     await client.jobs.list()
        []
        >>> await store.aclose()
    """

    def __init__(self, url: str | Path | None = None) -> None:
        """Create a store; nothing is opened yet.

        Args:
            url: a path of a SQLite file, `:memory:`, `sqlite:///...` or `postgresql://user@host/database`; the
                default file if not given. The password of a URL never shows in reprs or errors.

        Raises:
            SettingsError: it cannot be understood, or the driver is not installed.
        """
        self._database = Database(url, is_foreign=_is_foreign)
        self._sqlite = self._database.sqlite

    def __repr__(self) -> str:
        return f"SqlStore({self._database.shown!r})"

    @run_to_completion
    async def open(self) -> None:
        """Create what is missing and bring an older schema up to date; any number of processes may do so at once."""
        await self._database.open(migrate)

    async def is_there(self) -> bool:
        """Return whether the store has been made; makes and changes nothing.

        Raises:
            StoreNotUsable: it cannot be reached or made, or the file is something else.
        """
        return await self._database.is_there("vismanet_schema")

    @property
    def shown(self) -> str:
        """The address without its password."""
        return self._database.shown

    @run_to_completion
    async def aclose(self) -> None:
        """Close the connections, even if the caller is being cancelled."""
        with anyio.CancelScope(shield=True):
            await self._database.aclose()

    # -- leases ----------------------------------------------------------------------------------------------------

    @run_to_completion
    async def write_intent(self, record: JobRecord, *, owner: str, until: datetime) -> Leased:
        """Store a new job and lease it."""
        values = {**to_row(record), "owner": owner, "lease_until": until.timestamp(), "fence": 1}
        async with self._transaction() as connection:
            if record.document is not None and not self._sqlite:
                # numbers are assigned at insertion and visible at commit: one writer a key keeps both in one order
                key = f"{record.company}\n{record.document}"
                await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(key, 0))))
            await connection.execute(sa.insert(JOBS), values)
        return Leased(record=record, owner=owner, fencing_token=1)

    @run_to_completion
    async def save(self, leased: Leased, record: JobRecord, *, result: JobResult | None = None) -> Leased:
        """Replace the record, and its result if given."""
        values = {name: value for name, value in to_row(record).items() if name not in _HINT_COLUMNS}
        try:
            async with self._transaction() as connection:
                await self._write(connection, leased, values)
                if result is not None:
                    await connection.execute(
                        statements.upsert(RESULTS, to_result_row(record.id, result), key="id", sqlite=self._sqlite)
                    )
        except StoreNotUsable as error:
            if not isinstance(error.__cause__, sa.exc.IntegrityError) or record.job_id is None:
                raise
            raise JobIdTaken(
                f"another job of company {record.company} in this store has the server's id {record.job_id}; "
                f"`vismanet jobs show {record.job_id}` shows it. Two servers or simulators that give the same ids need "
                "a store each."
            ) from error
        return Leased(record=record, owner=leased.owner, fencing_token=leased.fencing_token)

    @run_to_completion
    async def claim(
        self,
        *,
        company: str,
        owner: str,
        now: datetime,
        until: datetime,
        ids: Collection[str] | None = None,
        limit: int | None = None,
    ) -> Sequence[Leased]:
        """Lease free jobs that need work."""
        statement = statements.claim(
            company=company, owner=owner, now=now, until=until, ids=ids, limit=limit, sqlite=self._sqlite
        )
        async with self._transaction() as connection:
            rows = (await connection.execute(statement)).mappings().all()
        ordered = sorted(rows, key=lambda row: cast("int", row["sequence"]))
        return [Leased(record=to_record(row), owner=owner, fencing_token=row["fence"]) for row in ordered]

    @run_to_completion
    async def renew(self, *, owner: str, now: datetime, until: datetime) -> frozenset[str]:
        """Renew all leases of an owner that have not expired."""
        statement = statements.renew(owner=owner, now=now, until=until)
        async with self._transaction() as connection:
            return frozenset((await connection.execute(statement)).scalars())

    @run_to_completion
    async def release(self, *, owner: str, ids: Collection[str] | None = None) -> None:
        """Release leases."""
        statement = sa.update(JOBS).where(JOBS.c.owner == owner).values(owner=None, lease_until=None)
        if ids is not None:
            statement = statement.where(self._among(JOBS.c.id, ids))
        async with self._transaction() as connection:
            await connection.execute(statement)

    @run_to_completion
    async def workers(self, *, company: str, now: datetime) -> int:
        """Count the owners with a lease that has not expired."""
        statement = sa.select(sa.func.count(JOBS.c.owner.distinct())).where(
            JOBS.c.company == company, JOBS.c.lease_until >= now.timestamp(), JOBS.c.state.in_(statements.UNSETTLED)
        )
        async with self._transaction() as connection:
            return int((await connection.execute(statement)).scalar_one())

    # -- hints -----------------------------------------------------------------------------------------------------

    @run_to_completion
    async def hint(self, *, own_id: str | None, job_ids: Collection[str], at: datetime) -> Sequence[str]:
        """Store that a webhook named jobs."""
        columns = JOBS.c
        concerned: dict[str, None] = {}
        async with self._transaction() as connection:
            if own_id is not None:
                # another transaction may be storing its id just now: wait for it, and see the id
                await connection.execute(sa.select(columns.id).where(columns.id == own_id).with_for_update())
            marked = sa.update(JOBS).where(self._among(columns.job_id, job_ids)).values(hinted_at=at.timestamp())
            rows = (await connection.execute(marked.returning(columns.id, columns.job_id))).all()
            concerned.update(dict.fromkeys(row.id for row in rows))
            known = {row.job_id for row in rows}
            strangers = [job_id for job_id in job_ids if job_id not in known]
            if own_id is not None and own_id not in concerned:
                mine = (columns.id == own_id) & columns.job_id.is_(None)
                row = await connection.execute(sa.select(columns.candidates, columns.company).where(mine))
                lost = row.one_or_none()
                if lost is not None:
                    # webhooks name the company too, and asking for it as a job would fail each time
                    new = [job_id for job_id in strangers if job_id != lost.company.casefold()]
                    candidates = list(dict.fromkeys([*json.loads(lost.candidates), *new]))
                    await connection.execute(
                        sa.update(JOBS)
                        .where(columns.id == own_id)
                        .values(candidates=dump(candidates), hinted_at=at.timestamp())
                    )
                    concerned[own_id] = None
        return list(concerned)

    @run_to_completion
    async def hints(self, *, company: str, since: datetime) -> Sequence[tuple[str, datetime]]:
        """Return the jobs that got a hint since then."""
        statement = sa.select(JOBS.c.id, JOBS.c.hinted_at).where(
            JOBS.c.company == company, JOBS.c.hinted_at >= since.timestamp(), JOBS.c.state.in_(statements.UNSETTLED)
        )
        async with self._transaction() as connection:
            rows = (await connection.execute(statement)).all()
        return [(row.id, moment(row.hinted_at)) for row in rows]

    @run_to_completion
    async def drop_candidates(self, leased: Leased, tried: Collection[str]) -> tuple[str, ...]:
        """Remove candidates that are not the job's id."""
        async with self._transaction() as connection:
            current = sa.select(JOBS.c.candidates).where(JOBS.c.id == leased.record.id).with_for_update()
            before = (await connection.execute(current)).scalar_one_or_none() or "[]"
            left = tuple(job_id for job_id in json.loads(before) if job_id not in tried)
            await self._write(connection, leased, {"candidates": dump(left)})
        return left

    # -- reading ---------------------------------------------------------------------------------------------------

    @run_to_completion
    async def get(self, own_id: str) -> JobRecord | None:
        """Return a record by our own id."""
        return await self._one(statements.JOB.where(JOBS.c.id == own_id))

    @run_to_completion
    async def find(self, *, company: str, job_id: str) -> JobRecord | None:
        """Return a record by the server's id."""
        return await self._one(statements.JOB.where(JOBS.c.company == company, JOBS.c.job_id == job_id))

    @run_to_completion
    async def select(
        self,
        *,
        company: str,
        states: Collection[State] | None = None,
        reference: str | None = None,
        ids: Collection[str] | None = None,
        limit: int | None = None,
    ) -> Sequence[JobRecord]:
        """Return records, newest first."""
        statement = statements.JOB.where(JOBS.c.company == company)
        if states is not None:
            statement = statement.where(JOBS.c.state.in_([state.value for state in states]))
        if reference is not None:
            statement = statement.where(JOBS.c.reference == reference)
        if ids is not None:
            statement = statement.where(self._among(JOBS.c.id, ids))
        statement = statement.order_by(JOBS.c.sequence.desc()).limit(statements.most(limit, ids))
        async with self._transaction() as connection:
            rows = (await connection.execute(statement)).mappings()
            return [to_record(row) for row in rows]

    @run_to_completion
    async def predecessor(self, own_id: str) -> JobRecord | None:
        """Return the oldest unsettled job with the same ordering key that was stored before this one."""
        return await self._one(statements.predecessor(own_id))

    @run_to_completion
    async def result(self, own_id: str) -> JobResult | None:
        """Return the server's answer about a job."""
        async with self._transaction() as connection:
            statement = sa.select(RESULTS).where(RESULTS.c.id == own_id)
            row = (await connection.execute(statement)).mappings().one_or_none()
        return None if row is None else to_result(row)

    @run_to_completion
    async def run_times(self, *, company: str, limit: int = 200) -> dict[str, list[float]]:
        """Return run times in seconds of the last jobs, by operation id."""
        statement = statements.latest_run_times(company=company, limit=limit)
        found: dict[str, list[float]] = {}
        async with self._transaction() as connection:
            for row in await connection.execute(statement):
                found.setdefault(row.operation_id, []).append(row.run_seconds)
        return found

    # -- forgetting ------------------------------------------------------------------------------------------------

    @run_to_completion
    async def forget(self, own_id: str) -> bool:
        """Delete a job and its result."""
        async with self._transaction() as connection:
            return bool((await connection.execute(sa.delete(JOBS).where(JOBS.c.id == own_id))).rowcount)

    @run_to_completion
    async def prune(self, *, company: str, settled_before: datetime) -> int:
        """Delete jobs settled before then."""
        statement = sa.delete(JOBS).where(JOBS.c.company == company, JOBS.c.settled_at < settled_before.timestamp())
        async with self._transaction() as connection:
            return int((await connection.execute(statement)).rowcount)

    @run_to_completion
    async def seen(self, digest: bytes, *, at: datetime) -> bool:  # noqa: ARG002 - the contract; age is kept on writing
        """Return whether a webhook body was handled before."""
        statement = sa.select(sa.exists().where(WEBHOOKS.c.digest == digest))
        async with self._transaction() as connection:
            return bool((await connection.execute(statement)).scalar_one())

    @run_to_completion
    async def remember(self, digest: bytes, *, at: datetime) -> None:
        """Store that a webhook body was handled."""
        oldest = (at - _KEEP_WEBHOOKS).timestamp()
        async with self._transaction() as connection:
            await connection.execute(sa.delete(WEBHOOKS).where(WEBHOOKS.c.dealt_with_at < oldest))
            row = {"digest": digest, "dealt_with_at": at.timestamp()}
            await connection.execute(statements.upsert(WEBHOOKS, row, key="digest", sqlite=self._sqlite))

    # -- inside ----------------------------------------------------------------------------------------------------

    def _transaction(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return self._database.transaction(migrate)

    async def _write(self, connection: AsyncConnection, leased: Leased, values: Mapping[str, Any]) -> None:
        written = await connection.execute(*statements.write(leased, values))
        if written.rowcount != 1:
            raise LeaseLost(
                f"another process has taken job {leased.record.id} over, or it was forgotten: this write was refused "
                "and changed nothing."
            )

    def _among(self, column: sa.Column[Any], values: Collection[str]) -> sa.ColumnElement[bool]:
        return statements.is_among(column, values, sqlite=self._sqlite)

    async def _one(self, statement: sa.Executable) -> JobRecord | None:
        async with self._transaction() as connection:
            row = (await connection.execute(statement)).mappings().one_or_none()
        return None if row is None else to_record(row)


def _is_foreign(names: Collection[str]) -> bool:
    """Return whether a SQLite file that holds these is a database of something else, such as a journal.

    One with jobs is a store, whatever its owner has put beside them.
    """
    ours = JOBS.name in names
    return not ours and any(not name.startswith("vismanet_") or name.startswith("vismanet_bulk_") for name in names)

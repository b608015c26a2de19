"""`SqlStore`: jobs in SQLite (one file, no server) or PostgreSQL (several workers), over SQLAlchemy's async core.

What is kept of an operation is an allow-list (`OperationSummary`): no header but If-Match, no body, no token. Files are
made readable by their owner only, because results hold ledger data.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, cast

import anyio

# first of all: it says what to install where SQLAlchemy is missing
from vismanet_async._jobs.database import Database, default_path

# isort: split
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from vismanet_async._jobs.answers import storable
from vismanet_async._jobs.core.records import JobRecord, JobResult, OperationSummary
from vismanet_async._jobs.core.states import OPEN, State
from vismanet_async._jobs.migrations import LATEST, STEPS, WORDS
from vismanet_async._jobs.store import JobIdTaken, Leased, LeaseLost, StoreNotUsable
from vismanet_async._jobs.uncancellable import to_the_end

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from sqlalchemy.engine import RowMapping
    from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["SqlStore", "default_path"]

_AT_ONCE: Final = 1000
_KEEP_WEBHOOKS: Final = timedelta(days=7)
_UNSETTLED: Final = tuple(state.value for state in (*sorted(OPEN), State.UNCERTAIN))
_MIGRATING: Final = 7_105_612_019
"""The key of the advisory lock under which one process at a time migrates a PostgreSQL database."""

_T = sa.Text()
_REAL: sa.Double[float] = sa.Double().with_variant(sa.REAL(), "sqlite")
_INT = sa.Integer()
_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_METADATA: Final = sa.MetaData()
"""The schema as this code speaks it. It is made by the migrations; a test holds the two against each other."""
_jobs = sa.Table(
    "vismanet_jobs",
    _METADATA,
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
    sa.Index("vismanet_jobs_job_id", "company", "job_id", unique=True),
    sa.Index("vismanet_jobs_state", "company", "state"),
    sa.Index("vismanet_jobs_document", "company", "document"),
    sa.Index("vismanet_jobs_hinted_at", "company", "hinted_at"),
    sa.Index("vismanet_jobs_owner", "owner"),
    sqlite_autoincrement=True,  # a number is never given out again, so that order is kept through deletions
)
_results = sa.Table(
    "vismanet_job_results",
    _METADATA,
    sa.Column("id", _T, sa.ForeignKey(_jobs.c.id, ondelete="CASCADE"), primary_key=True),
    sa.Column("status_code", _INT, nullable=False),
    sa.Column("state_document", sa.LargeBinary),
    sa.Column("content", sa.LargeBinary),
    sa.Column("headers", _T, nullable=False),
    sa.Column("read_at", _REAL, nullable=False),
)
_webhooks = sa.Table(
    "vismanet_webhooks",
    _METADATA,
    sa.Column("digest", sa.LargeBinary, primary_key=True),
    sa.Column("dealt_with_at", _REAL, nullable=False),
    sa.Index("vismanet_webhooks_at", "dealt_with_at"),
)

_OPERATION: Final = ("id", "method", "path", "query", "if_match", "body_sha256")
_MOMENTS: Final = frozenset(
    {
        *("created_at", "deadline_at", "sending_at", "submitted_at", "started_at", "finished_at"),
        *("settled_at", "hinted_at", "asked_at"),
    }
)
_MOMENT_LISTS: Final = frozenset({"state_asked", "content_asked"})
_FLAGS: Final = frozenset({"content_due", "unanswered"})
_FOREIGN_TEXTS: Final = frozenset({"server_status", "error"})
"""Columns whose texts may come from a server or an operating system."""
_OTHERS: Final = frozenset({"hinted_at", "candidates"})
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
        """Name the database; nothing is opened yet.

        Args:
            url: a path of a SQLite file, `:memory:`, `sqlite:///...` or `postgresql://user@host/database`; the
                default file if not given. The password of a URL never shows in reprs or errors.

        Raises:
            SettingsError: it cannot be understood, or the driver is not installed.
        """
        self._database = Database(url)
        self._sqlite = self._database.sqlite

    def __repr__(self) -> str:
        return f"SqlStore({self._database.shown!r})"

    @to_the_end
    async def open(self) -> None:
        """Create what is missing and bring an older schema up to date; any number of processes may do so at once."""
        await self._database.open(_migrate)

    @to_the_end
    async def aclose(self) -> None:
        """Give back the connections; also when the caller is being cancelled."""
        with anyio.CancelScope(shield=True):
            await self._database.aclose()

    # -- leases ----------------------------------------------------------------------------------------------------

    @to_the_end
    async def write_intent(self, record: JobRecord, *, owner: str, until: datetime) -> Leased:
        """Write a new job down and lease it."""
        values = {**_to_row(record), "owner": owner, "lease_until": until.timestamp(), "fence": 1}
        async with self._transaction() as connection:
            if record.document is not None and not self._sqlite:
                # numbers are given out at insertion and seen at commit: one writer a document keeps both in one order
                key = f"{record.company}\n{record.document}"
                await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(key, 0))))
            await connection.execute(sa.insert(_jobs).values(**values))
        return Leased(record=record, owner=owner, fence=1)

    @to_the_end
    async def save(self, leased: Leased, record: JobRecord, *, result: JobResult | None = None) -> Leased:
        """Replace the record, and its result with it."""
        values = {name: value for name, value in _to_row(record).items() if name not in _OTHERS}
        try:
            async with self._transaction() as connection:
                await self._write(connection, leased, values)
                if result is not None:
                    await connection.execute(self._upsert(_results, _result_row(record.id, result), key="id"))
        except StoreNotUsable as error:
            if not isinstance(error.__cause__, sa.exc.IntegrityError) or record.job_id is None:
                raise
            raise JobIdTaken(
                f"another job of company {record.company} in this store has the server's id {record.job_id}; "
                f"`vismanet jobs show {record.job_id}` shows it. Two servers or simulators that give the same ids need "
                "a store each."
            ) from error
        return Leased(record=record, owner=leased.owner, fence=leased.fence)

    @to_the_end
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
        """Lease jobs that need work and that nobody holds."""
        columns = _jobs.c
        hinted = columns.hinted_at.is_not(None) & (
            columns.asked_at.is_(None) | (columns.asked_at < columns.hinted_at) | (columns.unanswered == 1)
        )
        needs_work = columns.state.in_([state.value for state in OPEN]) | (
            (columns.state == State.UNCERTAIN.value)
            & ((columns.candidates != "[]") | (columns.job_id.is_not(None) & hinted))
        )
        if ids is not None:
            needs_work = self._among(columns.id, ids) & (needs_work | (columns.state == State.UNCERTAIN.value))
        free = columns.owner.is_(None) | (columns.lease_until < now.timestamp())
        chosen = sa.select(columns.sequence).where(columns.company == company, needs_work, free)
        chosen = chosen.order_by(columns.sequence).with_for_update(skip_locked=True)
        chosen = chosen.limit(_most(limit, ids))
        statement = (
            sa.update(_jobs)
            .where(columns.sequence.in_(chosen.scalar_subquery()))
            .values(owner=owner, lease_until=until.timestamp(), fence=columns.fence + 1)
            .returning(*columns)
        )
        async with self._transaction() as connection:
            rows = (await connection.execute(statement)).mappings().all()
        ordered = sorted(rows, key=lambda row: cast("int", row["sequence"]))
        return [Leased(record=_to_record(row), owner=owner, fence=row["fence"]) for row in ordered]

    @to_the_end
    async def renew(self, *, owner: str, now: datetime, until: datetime) -> frozenset[str]:
        """Prolong all leases of an owner that have not run out."""
        statement = (
            sa.update(_jobs)
            .where(_jobs.c.owner == owner, _jobs.c.lease_until >= now.timestamp())
            .values(lease_until=until.timestamp())
            .returning(_jobs.c.id)
        )
        async with self._transaction() as connection:
            return frozenset((await connection.execute(statement)).scalars())

    @to_the_end
    async def release(self, *, owner: str, ids: Collection[str] | None = None) -> None:
        """Give up leases."""
        statement = sa.update(_jobs).where(_jobs.c.owner == owner).values(owner=None, lease_until=None)
        if ids is not None:
            statement = statement.where(self._among(_jobs.c.id, ids))
        async with self._transaction() as connection:
            await connection.execute(statement)

    @to_the_end
    async def workers(self, *, company: str, now: datetime) -> int:
        """Count the owners with a live lease."""
        statement = sa.select(sa.func.count(_jobs.c.owner.distinct())).where(
            _jobs.c.company == company, _jobs.c.lease_until >= now.timestamp(), _jobs.c.state.in_(_UNSETTLED)
        )
        async with self._transaction() as connection:
            return int((await connection.execute(statement)).scalar_one())

    # -- hints -----------------------------------------------------------------------------------------------------

    @to_the_end
    async def hint(self, *, own_id: str | None, job_ids: Collection[str], at: datetime) -> Sequence[str]:
        """Note that a webhook spoke of jobs."""
        columns = _jobs.c
        concerned: dict[str, None] = {}
        async with self._transaction() as connection:
            if own_id is not None:
                # the answer to its submission may be being written down just now: wait for that, and see the id
                await connection.execute(sa.select(columns.id).where(columns.id == own_id).with_for_update())
            marked = sa.update(_jobs).where(self._among(columns.job_id, job_ids)).values(hinted_at=at.timestamp())
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
                        sa.update(_jobs)
                        .where(columns.id == own_id)
                        .values(candidates=_dump(candidates), hinted_at=at.timestamp())
                    )
                    concerned[own_id] = None
        return list(concerned)

    @to_the_end
    async def hints(self, *, company: str, since: datetime) -> Sequence[tuple[str, datetime]]:
        """Give the jobs that were hinted at since then."""
        statement = sa.select(_jobs.c.id, _jobs.c.hinted_at).where(
            _jobs.c.company == company, _jobs.c.hinted_at >= since.timestamp(), _jobs.c.state.in_(_UNSETTLED)
        )
        async with self._transaction() as connection:
            rows = (await connection.execute(statement)).all()
        return [(row.id, _moment(row.hinted_at)) for row in rows]

    @to_the_end
    async def drop_candidates(self, leased: Leased, tried: Collection[str]) -> tuple[str, ...]:
        """Take away candidates that turned out to be something else."""
        async with self._transaction() as connection:
            current = sa.select(_jobs.c.candidates).where(_jobs.c.id == leased.record.id).with_for_update()
            before = (await connection.execute(current)).scalar_one_or_none() or "[]"
            left = tuple(job_id for job_id in json.loads(before) if job_id not in tried)
            await self._write(connection, leased, {"candidates": _dump(left)})
        return left

    # -- reading ---------------------------------------------------------------------------------------------------

    @to_the_end
    async def get(self, own_id: str) -> JobRecord | None:
        """Give a record by our own id."""
        return await self._one(_jobs.c.id == own_id)

    @to_the_end
    async def find(self, *, company: str, job_id: str) -> JobRecord | None:
        """Give a record by the server's id."""
        return await self._one((_jobs.c.company == company) & (_jobs.c.job_id == job_id))

    @to_the_end
    async def select(
        self,
        *,
        company: str,
        states: Collection[State] | None = None,
        reference: str | None = None,
        ids: Collection[str] | None = None,
        limit: int | None = None,
    ) -> Sequence[JobRecord]:
        """Give records, newest first."""
        statement = sa.select(_jobs).where(_jobs.c.company == company)
        if states is not None:
            statement = statement.where(_jobs.c.state.in_([state.value for state in states]))
        if reference is not None:
            statement = statement.where(_jobs.c.reference == reference)
        if ids is not None:
            statement = statement.where(self._among(_jobs.c.id, ids))
        statement = statement.order_by(_jobs.c.sequence.desc()).limit(_most(limit, ids))
        async with self._transaction() as connection:
            rows = (await connection.execute(statement)).mappings()
            return [_to_record(row) for row in rows]

    @to_the_end
    async def ahead(self, own_id: str) -> JobRecord | None:
        """Give the oldest unsettled job on the same document that was written before this one."""
        this = sa.select(_jobs.c.sequence, _jobs.c.company, _jobs.c.document).where(_jobs.c.id == own_id).subquery()
        statement = (
            sa.select(_jobs)
            .where(
                _jobs.c.company == this.c.company,
                _jobs.c.document == this.c.document,
                _jobs.c.sequence < this.c.sequence,
                _jobs.c.state.in_(_UNSETTLED),
            )
            .order_by(_jobs.c.sequence)
            .limit(1)
        )
        async with self._transaction() as connection:
            row = (await connection.execute(statement)).mappings().one_or_none()
        return None if row is None else _to_record(row)

    @to_the_end
    async def result(self, own_id: str) -> JobResult | None:
        """Give what the server said."""
        async with self._transaction() as connection:
            row = (await connection.execute(sa.select(_results).where(_results.c.id == own_id))).one_or_none()
        if row is None:
            return None
        return JobResult(
            status_code=row.status_code,
            state_document=row.state_document,
            content=row.content,
            headers=tuple((name, value) for name, value in json.loads(row.headers)),
            read_at=_moment(row.read_at),
        )

    @to_the_end
    async def run_times(self, *, company: str, limit: int = 200) -> dict[str, list[float]]:
        """Give run times in seconds of the last jobs, by operation id."""
        newest = sa.func.row_number().over(partition_by=_jobs.c.operation_id, order_by=_jobs.c.sequence.desc())
        ranked = (
            sa.select(_jobs.c.operation_id, _jobs.c.run_seconds, newest.label("rank"))
            .where(_jobs.c.company == company, _jobs.c.run_seconds.is_not(None))
            .subquery()
        )
        found: dict[str, list[float]] = {}
        async with self._transaction() as connection:
            for row in await connection.execute(sa.select(ranked).where(ranked.c.rank <= limit)):
                found.setdefault(row.operation_id, []).append(row.run_seconds)
        return found

    # -- forgetting ------------------------------------------------------------------------------------------------

    @to_the_end
    async def forget(self, own_id: str) -> bool:
        """Delete a job and its result."""
        async with self._transaction() as connection:
            return bool((await connection.execute(sa.delete(_jobs).where(_jobs.c.id == own_id))).rowcount)

    @to_the_end
    async def prune(self, *, company: str, settled_before: datetime) -> int:
        """Delete jobs settled before then."""
        statement = sa.delete(_jobs).where(_jobs.c.company == company, _jobs.c.settled_at < settled_before.timestamp())
        async with self._transaction() as connection:
            return int((await connection.execute(statement)).rowcount)

    @to_the_end
    async def seen(self, digest: bytes, *, at: datetime) -> bool:  # noqa: ARG002 - the contract; age is kept on writing
        """Tell whether a webhook body was dealt with before."""
        statement = sa.select(sa.exists().where(_webhooks.c.digest == digest))
        async with self._transaction() as connection:
            return bool((await connection.execute(statement)).scalar_one())

    @to_the_end
    async def remember(self, digest: bytes, *, at: datetime) -> None:
        """Note that a webhook body has been dealt with."""
        oldest = (at - _KEEP_WEBHOOKS).timestamp()
        async with self._transaction() as connection:
            await connection.execute(sa.delete(_webhooks).where(_webhooks.c.dealt_with_at < oldest))
            row = {"digest": digest, "dealt_with_at": at.timestamp()}
            await connection.execute(self._upsert(_webhooks, row, key="digest"))

    # -- inside ----------------------------------------------------------------------------------------------------

    def _transaction(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return self._database.transaction(_migrate)

    async def _write(self, connection: AsyncConnection, leased: Leased, values: Mapping[str, Any]) -> None:
        held = (_jobs.c.id == leased.record.id) & (_jobs.c.owner == leased.owner) & (_jobs.c.fence == leased.fence)
        written = await connection.execute(sa.update(_jobs).where(held).values(**values))
        if written.rowcount != 1:
            raise LeaseLost(
                f"job {leased.record.id} is in other hands now, or was forgotten: this write was refused and changed "
                "nothing."
            )

    def _among(self, column: sa.Column[Any], values: Collection[str]) -> sa.ColumnElement[bool]:
        """Return the condition that a column holds one of any number of values, in one parameter."""
        if self._sqlite:
            each = sa.func.json_each(_dump(list(values))).table_valued("value")
            return column.in_(sa.select(each.c.value))
        return column == sa.any_(sa.literal(list(values), postgresql.ARRAY(sa.Text())))

    async def _one(self, condition: sa.ColumnElement[bool]) -> JobRecord | None:
        async with self._transaction() as connection:
            row = (await connection.execute(sa.select(_jobs).where(condition))).mappings().one_or_none()
        return None if row is None else _to_record(row)

    def _upsert(self, table: sa.Table, row: Mapping[str, Any], *, key: str) -> sa.Executable:
        insert = sqlite.insert(table) if self._sqlite else postgresql.insert(table)
        others = {name: value for name, value in row.items() if name != key}
        return insert.values(**row).on_conflict_do_update(index_elements=[key], set_=others)


def _migrate(connection: sa.Connection, *, latest: int = LATEST) -> None:
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
    for number, statements in enumerate(STEPS[version:latest], start=version + 1):
        for statement in statements:
            connection.exec_driver_sql(statement.format(**WORDS[connection.dialect.name]))
        connection.exec_driver_sql(f"INSERT INTO vismanet_schema (version) VALUES ({number:d})")  # noqa: S608 - a number


def _most(limit: int | None, ids: Collection[str] | None) -> int:
    if limit is not None:
        return limit
    return _AT_ONCE if ids is None else len(ids)


def _version(connection: sa.Connection) -> int:
    if not sa.inspect(connection).has_table("vismanet_schema"):
        return 0
    return connection.exec_driver_sql("SELECT MAX(version) FROM vismanet_schema").scalar() or 0


# -- rows ----------------------------------------------------------------------------------------------------------


def _to_row(record: JobRecord) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name in _FIELDS:
        row[name] = _encoder(name)(getattr(record, name))
    for name in _OPERATION:
        row["operation_id" if name == "id" else name] = getattr(record.operation, name)
    row["query"] = _dump(record.operation.query)
    return row


def _to_record(row: RowMapping) -> JobRecord:
    operation = {name: row["operation_id" if name == "id" else name] for name in _OPERATION}
    operation["query"] = tuple((name, value) for name, value in json.loads(row["query"]))
    fields: dict[str, Any] = {name: _decoder(name)(row[name]) for name in _FIELDS}
    return JobRecord(operation=OperationSummary(**operation), **fields)


_FIELDS: Final = tuple(
    column.name
    for column in _jobs.columns
    if column.name not in {"sequence", "owner", "lease_until", "fence", "operation_id", *_OPERATION[1:]}
)


def _encoder(name: str) -> Callable[[Any], Any]:
    if name in _MOMENTS:
        return lambda value: None if value is None else value.timestamp()
    if name in _MOMENT_LISTS:
        return lambda value: _dump([moment.timestamp() for moment in value])
    if name in _FLAGS:
        return int
    if name == "state":
        return str
    if name in _FOREIGN_TEXTS:
        return lambda value: None if value is None else storable(value)
    return _dump if name == "candidates" else lambda value: value


def _decoder(name: str) -> Callable[[Any], Any]:
    if name in _MOMENTS:
        return lambda value: None if value is None else _moment(value)
    if name in _MOMENT_LISTS:
        return lambda value: tuple(_moment(seconds) for seconds in json.loads(value))
    if name in _FLAGS:
        return bool
    if name == "state":
        return State
    return (lambda value: tuple(json.loads(value))) if name == "candidates" else lambda value: value


def _result_row(own_id: str, result: JobResult) -> dict[str, Any]:
    return {
        "id": own_id,
        "status_code": result.status_code,
        "state_document": result.state_document,
        "content": result.content,
        "headers": _dump(result.headers),
        "read_at": result.read_at.timestamp(),
    }


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))

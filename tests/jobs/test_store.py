"""One contract for all stores."""

from __future__ import annotations

import asyncio
import contextlib
import stat
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from tests.jobs.conftest import BACKENDS
from vismanet_async._jobs.core.records import JobRecord, JobResult, OperationSummary
from vismanet_async._jobs.core.states import State
from vismanet_async._jobs.sql.engine import default_path
from vismanet_async._jobs.sql.migrations import LATEST, migrate
from vismanet_async._jobs.sql.schema import METADATA
from vismanet_async._jobs.sql.store import SqlStore
from vismanet_async._jobs.store import Leased, LeaseLost, StoreNotUsable
from vismanet_async.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from vismanet_async._jobs.store import JobStore

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, UTC)
SOON = NOW + timedelta(seconds=30)

each_backend = pytest.mark.parametrize("database", BACKENDS, indirect=True)
shared_backend = pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
pytestmark = pytest.mark.filterwarnings("error")


def record(own_id: str = "a", **fields: Any) -> JobRecord:
    operation = OperationSummary(
        id="SupplierInvoice_Release",
        method="POST",
        path="/v1/supplierInvoice/1/action/release",
        query=(("branch", "1"), ("branch", "2")),
        if_match='"AAA="',
        body_sha256="00" * 32,
    )
    return attrs.evolve(JobRecord(id=own_id, company="c", operation=operation, created_at=NOW), **fields)


async def written(store: JobStore, own_id: str = "a", *, owner: str = "me", **fields: Any) -> Leased:
    return await store.write_intent(record(own_id, **fields), owner=owner, until=SOON)


async def test_closing_is_finished_while_cancelled(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = SqlStore(tmp_path / "jobs.sqlite")
    await store.open()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await store.aclose()
    assert caplog.records == []  # SQLAlchemy reports connections that were dropped


@each_backend
async def test_every_field_survives(store: JobStore) -> None:
    full = record(
        document="/supplierinvoice/1",
        reference="nightly ø",
        notify="subscription",
        deadline_at=NOW + timedelta(hours=1),
        state=State.RUNNING,
        sending_at=NOW,
        job_id="J1",
        submitted_at=NOW,
        received_at=SOON,
        server_status="Paused?",
        status_code=200,
        started_at=NOW,
        finished_at=SOON,
        run_seconds=1.25,
        content_due=True,
        verdict="succeeded",
        error="why",
        settled_at=NOW,
        settled_by="server",
        hinted_at=NOW,
        candidates=("J2", "J3"),
        asked_at=NOW,
        unanswered=True,
        state_asked=(NOW, SOON),
        content_asked=(SOON,),
        polls=7,
    )
    defaults = attrs.asdict(record(), recurse=False)
    same = [
        name
        for name, value in attrs.asdict(full, recurse=False).items()
        if value == defaults[name] and name not in {"id", "company", "operation", "created_at"}
    ]
    assert same == [], "a field that keeps its default proves nothing"
    await store.write_intent(full, owner="me", until=SOON)
    assert await store.get("a") == full
    assert await store.find(company="c", job_id="J1") == full
    assert await store.find(company="other", job_id="J1") is None
    assert await store.get("b") is None


@each_backend
@pytest.mark.parametrize("odd", [datetime.max, datetime.min])
async def test_a_time_that_columns_round_past_the_calendar_hides_no_other_job(store: JobStore, odd: datetime) -> None:
    when = odd.replace(tzinfo=UTC)
    await store.write_intent(record(finished_at=when, state_asked=(when,)), owner="me", until=SOON)
    await written(store, "b")
    listed = await store.select(company="c")
    assert {each.id for each in listed} == {"a", "b"}
    found = next(each.finished_at for each in listed if each.id == "a")
    assert found is not None
    assert abs(found - when) <= timedelta(days=1)


@each_backend
async def test_a_result_is_kept_byte_by_byte_and_replaced(store: JobStore) -> None:
    leased = await written(store)
    first = JobResult(status_code=200, state_document=b'{"x":1}', content=None, headers=(), read_at=NOW)
    leased = await store.save(leased, record(state=State.RUNNING), result=first)
    assert await store.result("a") == first
    second = attrs.evolve(first, content=b"\x00\xff", headers=(("ETag", '"1"'), ("etag", "2")), read_at=SOON)
    await store.save(leased, record(state=State.SUCCEEDED), result=second)
    assert await store.result("a") == second
    assert (await store.get("a") or record()).state is State.SUCCEEDED
    assert await store.result("none") is None


@shared_backend
async def test_committed_means_committed(store: JobStore, new_store: Callable[[], JobStore]) -> None:
    await written(store, reference="kept")
    await store.aclose()
    again = await new_store().get("a")
    assert again is not None
    assert again.reference == "kept"


@each_backend
async def test_a_lease_of_a_clock_that_was_far_ahead_is_none(store: JobStore) -> None:
    """Its holder was killed: nobody would follow the job before that day, and the server forgets it within one."""
    for own_id, ahead in {"day": timedelta(days=1), "minute": timedelta(minutes=9)}.items():
        await store.write_intent(record(own_id), owner="dead", until=SOON + ahead)
    claimed = await store.claim(company="c", owner="heir", now=NOW, until=SOON)
    assert [each.record.id for each in claimed] == ["day"]


@each_backend
async def test_a_lease_is_given_once_and_again_after_its_end(store: JobStore) -> None:
    await written(store, "a", owner="dead")
    await written(store, "b", owner="dead")
    later = SOON + timedelta(seconds=1)
    assert await store.claim(company="c", owner="x", now=NOW, until=SOON) == []
    assert await store.claim(company="other", owner="x", now=later, until=later) == []
    [one] = await store.claim(company="c", owner="x", now=later, until=later + timedelta(seconds=9), ids=["b"])
    assert (one.record.id, one.owner, one.fencing_token) == ("b", "x", 2)
    [two] = await store.claim(company="c", owner="y", now=later, until=later + timedelta(seconds=9))
    assert two.record.id == "a"
    assert await store.workers(company="c", now=later) == 2
    await store.release(owner="x")
    await store.release(owner="y", ids=["zzz"])
    assert [job.record.id for job in await store.claim(company="c", owner="z", now=later, until=SOON)] == ["b"]


@each_backend
async def test_oldest_first_and_no_more_than_asked_for(store: JobStore) -> None:
    for own_id in "edcba":
        await written(store, own_id)
    await store.release(owner="me")
    claimed = await store.claim(company="c", owner="x", now=NOW, until=SOON, limit=2)
    assert [job.record.id for job in claimed] == ["e", "d"]


@each_backend
async def test_who_lost_the_lease_cannot_write(store: JobStore) -> None:
    old = await written(store, owner="slow")
    later = SOON + timedelta(seconds=1)
    [new] = await store.claim(company="c", owner="quick", now=later, until=later + timedelta(seconds=30))
    settled = record(state=State.SUCCEEDED)
    with pytest.raises(LeaseLost):
        await store.save(old, settled, result=JobResult(status_code=200, read_at=NOW))
    with pytest.raises(LeaseLost):
        await store.drop_candidates(old, ["x"])
    assert await store.result("a") is None, "a refused write leaves nothing behind"
    # the same owner with an older number is just as late
    await store.release(owner="quick")
    [again] = await store.claim(company="c", owner="slow", now=later, until=later + timedelta(seconds=30))
    with pytest.raises(LeaseLost):
        await store.save(old, settled)
    with pytest.raises(LeaseLost):
        await store.save(new, settled)
    await store.save(again, settled)
    assert await store.forget("a")
    assert not await store.forget("a")
    with pytest.raises(LeaseLost):
        await store.save(again, settled)


@each_backend
async def test_who_gave_its_lease_up_cannot_write(store: JobStore) -> None:
    leased = await written(store)
    await store.release(owner="me")
    with pytest.raises(LeaseLost):
        await store.save(leased, record(state=State.SUCCEEDED))


@each_backend
async def test_renewing_prolongs_only_what_is_still_held(store: JobStore) -> None:
    await written(store, "a", owner="me")
    await store.write_intent(record("b"), owner="me", until=NOW - timedelta(seconds=1))
    assert await store.renew(owner="me", now=NOW, until=SOON + timedelta(minutes=5)) == {"a"}
    claimed = await store.claim(company="c", owner="x", now=SOON + timedelta(minutes=1), until=SOON)
    assert [job.record.id for job in claimed] == ["b"]


@shared_backend
async def test_many_claim_at_once_and_each_job_goes_to_one(store: JobStore, new_store: Callable[[], JobStore]) -> None:
    for number in range(40):
        await written(store, f"{number:02}")
    await store.release(owner="me")
    taken: list[str] = []

    async def claim(owner: str) -> None:
        other = new_store()
        while claimed := await other.claim(company="c", owner=owner, now=NOW, until=SOON, limit=3):
            taken.extend(job.record.id for job in claimed)

    async with anyio.create_task_group() as tasks:
        for number in range(4):
            tasks.start_soon(claim, f"w{number}")
    assert sorted(taken) == [f"{number:02}" for number in range(40)]


@each_backend
async def test_what_is_claimed_needs_work(store: JobStore) -> None:
    states = {"i": State.INTENT, "s": State.SUBMITTED, "r": State.RUNNING, "u": State.UNCERTAIN, "v": State.UNCERTAIN}
    for own_id, state in {**states, "f": State.FAILED, "e": State.EXPIRED}.items():
        job_id = None if own_id in "iu" else f"J{own_id}"
        await written(store, own_id, state=state, job_id=job_id, sending_at=NOW, asked_at=NOW)
    await store.release(owner="me")
    claimed = await store.claim(company="c", owner="x", now=NOW, until=SOON)
    assert [job.record.id for job in claimed] == ["i", "s", "r"]
    [named] = await store.claim(company="c", owner="x", now=NOW, until=SOON, ids=["u", "f", "i"])
    assert named.record.id == "u", "an uncertain job is given when it is named"
    await store.release(owner="x", ids=["u"])
    await store.hint(own_id="u", job_ids=["J9"], at=SOON)
    await store.hint(own_id=None, job_ids=["Jv", "Jf"], at=SOON)
    claimed = await store.claim(company="c", owner="x", now=NOW, until=SOON)
    assert [job.record.id for job in claimed] == ["u", "v"]


@each_backend
async def test_hints_mark_jobs_without_a_lease_and_survive_saves(store: JobStore) -> None:
    known = await written(store, "a", job_id="J1", state=State.SUBMITTED, sending_at=NOW)
    lost = await written(store, "b", state=State.UNCERTAIN, sending_at=NOW)
    assert await store.hint(own_id="nobody", job_ids=["J7"], at=SOON) == []
    assert await store.hint(own_id="b", job_ids=["J1", "J2", "J3"], at=SOON) == ["a", "b"]
    assert await store.hint(own_id="b", job_ids=["J3", "J4"], at=SOON) == ["b"]
    hinted = await store.get("b")
    assert hinted is not None
    assert hinted.candidates == ("J2", "J3", "J4"), "J1 is another job's"
    assert hinted.hint_pending
    await store.save(known, attrs.evolve(known.record, polls=1))
    await store.save(lost, attrs.evolve(lost.record, polls=1))
    assert (await store.get("a") or record()).hinted_at == SOON
    assert (await store.get("b") or record()).candidates == ("J2", "J3", "J4")
    assert await store.drop_candidates(lost, ["J2", "J4"]) == ("J3",)
    assert (await store.get("b") or record()).candidates == ("J3",)
    assert dict(await store.hints(company="c", since=NOW)) == {"a": SOON, "b": SOON}
    assert await store.hints(company="c", since=SOON + timedelta(seconds=1)) == []


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
async def test_a_hint_waits_for_the_answer_that_is_being_written_down(store: JobStore, database: str) -> None:
    await written(store, "a", sending_at=NOW)
    engine = create_async_engine(database)
    found: list[str] = []

    async def hint() -> None:
        found.extend(await store.hint(own_id="a", job_ids=["J1"], at=SOON))

    async with anyio.create_task_group() as tasks, engine.connect() as saving, engine.connect() as watching:
        await saving.exec_driver_sql("UPDATE vismanet_jobs SET job_id = 'J1' WHERE id = 'a'")
        tasks.start_soon(hint)
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        while not (await watching.exec_driver_sql(waiting)).scalar_one():
            await watching.rollback()  # or it would show the same moment again
        await saving.commit()
    await engine.dispose()
    assert found == ["a"]
    hinted = await store.get("a") or record()
    assert (hinted.hinted_at, hinted.candidates) == (SOON, ()), "marked by its id, which is no candidate then"


@each_backend
async def test_the_company_is_no_candidate(store: JobStore) -> None:
    await written(store, "a", company="C0FFEE00-1111", state=State.UNCERTAIN, sending_at=NOW)
    await store.hint(own_id="a", job_ids=["c0ffee00-1111", "J1"], at=SOON)
    assert (await store.get("a") or record()).candidates == ("J1",)


@each_backend
async def test_our_own_id_says_nothing_once_the_server_id_is_known(store: JobStore) -> None:
    await written(store, "a", job_id="J1", state=State.SUBMITTED, sending_at=NOW)
    assert await store.hint(own_id="a", job_ids=["J2"], at=SOON) == []
    assert (await store.get("a") or record()).candidates == ()


@each_backend
async def test_one_server_id_belongs_to_one_job(store: JobStore) -> None:
    await written(store, "a", job_id="J1")
    leased = await written(store, "b")
    with pytest.raises(StoreNotUsable):
        await store.save(leased, record("b", job_id="J1"))
    assert (await store.get("b") or record()).job_id is None


@each_backend
async def test_jobs_on_one_document_have_an_order(store: JobStore) -> None:
    await written(store, "a", document="/x/1")
    other = await written(store, "b", document="/x/2")
    await written(store, "free")
    last = await written(store, "c", document="/x/1")
    assert await store.predecessor("a") is None
    assert await store.predecessor("b") is None
    assert await store.predecessor("free") is None
    assert (await store.predecessor("c") or record()).id == "a"
    await store.save(other, attrs.evolve(other.record, state=State.FAILED))
    [leased] = [last]
    assert leased.record.document == "/x/1"
    await store.forget("a")
    assert await store.predecessor("c") is None


@each_backend
async def test_lists_newest_first_by_what_is_asked_for(store: JobStore) -> None:
    await written(store, "a", reference="x", state=State.FAILED)
    await written(store, "b", reference="y")
    await written(store, "c", reference="x")

    async def ids(**by: Any) -> list[str]:
        return [found.id for found in await store.select(company="c", **by)]

    assert await ids() == ["c", "b", "a"]
    assert await ids(limit=1) == ["c"]
    assert await ids(reference="x") == ["c", "a"]
    assert await ids(states=[State.FAILED]) == ["a"]
    assert await ids(ids=["a", "b"]) == ["b", "a"]
    assert await store.select(company="other") == []


@each_backend
async def test_pruning_takes_settled_jobs_only(store: JobStore) -> None:
    old = await written(store, "old")
    await store.save(
        old, record("old", state=State.FAILED, settled_at=NOW), result=JobResult(status_code=400, read_at=NOW)
    )
    await written(store, "new", state=State.SUCCEEDED, settled_at=SOON)
    await written(store, "open", created_at=NOW - timedelta(days=400))
    assert await store.prune(company="other", settled_before=SOON) == 0
    assert await store.prune(company="c", settled_before=SOON) == 1
    assert [found.id for found in await store.select(company="c")] == ["open", "new"]
    assert await store.result("old") is None


@each_backend
async def test_run_times_of_the_last_jobs(store: JobStore) -> None:
    for number in range(5):
        await written(store, f"{number}", run_seconds=float(number))
    await written(store, "x")
    assert sorted((await store.run_times(company="c", limit=3))["SupplierInvoice_Release"]) == [2.0, 3.0, 4.0]
    assert await store.run_times(company="other") == {}


@each_backend
async def test_webhooks_are_remembered_for_a_week(store: JobStore) -> None:
    assert not await store.seen(b"1", at=NOW)
    await store.remember(b"1", at=NOW)
    await store.remember(b"1", at=NOW)
    assert await store.seen(b"1", at=NOW)
    await store.remember(b"2", at=NOW + timedelta(days=8))
    assert not await store.seen(b"1", at=NOW)


@shared_backend
async def test_opening_at_once_migrates_once(new_store: Callable[[], JobStore]) -> None:
    stores = [new_store() for _ in range(4)]
    async with anyio.create_task_group() as tasks:
        for each in stores:
            tasks.start_soon(each.open)
    await written(stores[0])
    assert await stores[3].get("a") == record()


@shared_backend
@pytest.mark.parametrize("version", range(LATEST + 1))
async def test_migrated_schema_is_the_one_the_code_speaks(database: str, version: int) -> None:
    """From every version that was ever released; types, nullability, keys, indexes and constraints."""
    url = database
    if "://" not in database:
        Path(database).parent.mkdir()
        url = f"sqlite+aiosqlite:///{database}"
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(partial(migrate, latest=version))
    store = SqlStore(database)
    await store.open()
    await store.aclose()
    async with engine.begin() as connection:
        migrated = await connection.run_sync(schema)
        versions = (await connection.exec_driver_sql("SELECT version FROM vismanet_schema")).scalars().all()
        await connection.run_sync(METADATA.drop_all)
        await connection.run_sync(METADATA.create_all)
        assert migrated == await connection.run_sync(schema)
    await engine.dispose()
    assert list(versions) == list(range(1, LATEST + 1))


def schema(connection: sa.Connection) -> dict[str, Any]:
    """All that a database knows of its tables, but for the one that holds the version."""
    inspector = sa.inspect(connection)
    found: dict[str, Any] = {}
    for table in inspector.get_table_names():
        if table == "vismanet_schema":
            continue
        found[table] = {
            "columns": [{**column, "type": str(column["type"])} for column in inspector.get_columns(table)],
            "key": inspector.get_pk_constraint(table),
            "foreign keys": inspector.get_foreign_keys(table),
            "indexes": sorted(inspector.get_indexes(table), key=str),
            "unique": sorted(inspector.get_unique_constraints(table), key=str),
            "checks": sorted(inspector.get_check_constraints(table), key=str),
        }
    if connection.dialect.name == "sqlite":
        for table, known in found.items():  # the inspector overlooks what a column's own REFERENCES says
            keys = connection.exec_driver_sql(f"PRAGMA foreign_key_list({table})").mappings().all()
            known["foreign keys"] = [dict(key) for key in keys]
        made = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'table'").all()
        found["numbers are never given out again"] = {name for name, sql in made if "AUTOINCREMENT" in sql}
    assert {"vismanet_jobs", "vismanet_job_results", "vismanet_webhooks"} <= found.keys()
    return found


@shared_backend
async def test_a_newer_schema_is_left_alone(store: JobStore, new_store: Callable[[], JobStore], database: str) -> None:
    url = database if "://" in database else f"sqlite+aiosqlite:///{database}"
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.exec_driver_sql(f"INSERT INTO vismanet_schema VALUES ({LATEST + 1})")
    await engine.dispose()
    with pytest.raises(StoreNotUsable, match="newer version"):
        await new_store().open()


async def test_the_file_is_for_its_owner_only(store: JobStore, database: str) -> None:
    await written(store)
    path = Path(database)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    files = list(path.parent.iterdir())
    assert len(files) > 1, "the write-ahead log is there as well"
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


async def test_a_file_open_to_all_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite3"
    path.touch(0o644)
    path.chmod(0o644)
    store = SqlStore(path)
    await store.open()
    await store.aclose()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_what_cannot_be_used_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreNotUsable, match="cannot be made"):
        await SqlStore(tmp_path / "file" / "jobs.sqlite3").open()
    (tmp_path / "noise").write_bytes(b"this is not a database, it only looks like a file of one" * 40)
    broken = SqlStore(tmp_path / "noise")
    with pytest.raises(StoreNotUsable):
        await broken.open()
    await broken.aclose()
    with pytest.raises(SettingsError, match="mysql"):
        SqlStore("mysql://x/y")
    with pytest.raises(SettingsError, match="neither"):
        SqlStore("postgresql://:::/")


def test_passwords_stay_out_of_sight() -> None:
    assert "geheim" not in repr(SqlStore("postgresql://me:geheim@db/jobs"))
    assert default_path().name == "jobs.sqlite3"


@each_backend
async def test_a_cancelled_call_is_finished_first(store: JobStore, caplog: pytest.LogCaptureFixture) -> None:
    """By `Task.cancel()`, against which no scope shields: Ctrl-C, `asyncio.timeout`, other frameworks."""
    for turns in range(10):
        own_id = f"a{turns}"
        await cancelled_after(turns, written(store, own_id))
        assert await store.get(own_id) == (record(own_id) if turns else None), "begun, hence finished"
    await store.aclose()
    assert caplog.records == []


@shared_backend
async def test_closing_is_finished_although_cancelled(
    store: JobStore, new_store: Callable[[], JobStore], caplog: pytest.LogCaptureFixture
) -> None:
    for turns in range(6):
        await written(store, f"a{turns}")
        await cancelled_after(turns, store.aclose())
    with anyio.CancelScope() as scope:
        scope.cancel()
        await store.aclose()
    assert len(await new_store().select(company="c")) == 6
    assert caplog.records == []


async def cancelled_after(turns: int, call: Coroutine[Any, Any, Any]) -> None:
    task = asyncio.create_task(call)
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task

"""Background jobs with lost answers, a dying process, a store that goes away, callers that give up, and untrustworthy
webhooks: each executed once at most, none forgotten, and none held by nobody.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

import anyio
from aiohttp import web
from attrs import define

from tests.soak.company import Company, may_have_happened
from tests.soak.outages import AwayStore, CutOffError, unless_cut_off
from tests.support.hang import HANG_SECONDS
from vismanet_async._jobs.core.states import State
from vismanet_async._jobs.sql.store import SqlStore
from vismanet_async._jobs.store import LeaseLost, StoreNotUsable
from vismanet_async._webhooks.receiver import WebhookReceiver
from vismanet_async.errors import ApiError, JobError, JobUncertain, VismaNetError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from vismanet_async._client import VismaNet
    from vismanet_async._jobs.core.records import JobRecord

__all__ = ["run_jobs", "unsettled"]

_FOLLOWED_SECONDS = 300.0


@define
class _Work:
    """One submission, and what came of it."""

    marker: str
    supplier: str
    job: str | None = None
    error: Exception | None = None
    """Of the submission."""


async def run_jobs(company: Company, *, count: int) -> None:
    """Submit jobs in one process and follow them in the next one, with the same store."""
    _draw_scripts(company, count)
    suppliers = company.simulator.truth("supplier").keys[:14]
    works = [_Work(f"job{company.seed}x{place}", company.random.choice(suppliers)) for place in range(count)]
    # on the fast clock a busy moment outlasts a lease; so do suspended machines
    lease_seconds = company.random.choice((30.0, 1_000.0, 1_000.0))
    store = SqlStore(company.folder / "jobs.sqlite")
    away: Any = AwayStore(store, company.outages)
    try:
        async with company.client(job_store=away) as visma, anyio.create_task_group() as group:
            visma.jobs._jobs.lease_seconds = lease_seconds
            for work in works:
                group.start_soon(_submit, company, visma, work)
        async with company.client(job_store=away) as visma, _webhooks(company, visma):
            visma.jobs._jobs.lease_seconds = lease_seconds
            async with anyio.create_task_group() as group:
                group.start_soon(visma.jobs.run)
                async with anyio.create_task_group() as following:
                    for work in works:
                        following.start_soon(_follow, company, visma, work)
                company.outages.end("jobs")
                await _nothing_is_held(company, store)
                group.cancel_scope.cancel()
        for work in works:
            await _check_record(company, store, work)
    finally:
        await store.aclose()
    for work in works:
        _check(company, work)
    _check_order(company)


def _draw_scripts(company: Company, count: int) -> None:
    queue, random = company.simulator.background, company.random
    queue.delay_seconds, queue.run_seconds = (0.0, 20.0), (0.5, 60.0)
    for _ in range(count // 5):
        queue.script(
            **random.choice((
                {"outcome": "fail"}, {"outcome": "fail_after"}, {"outcome": "hang"}, {"status_code": 400},
                {"lose_answer": True}, {"synchronous": True}, {"state_host": company.simulator.foreign_url},
            ))
        )  # fmt: skip
    hooks = company.simulator.webhooks
    hooks.repeats, hooks.forge_extra = random.choice((0, 1)), random.choice((False, True))
    hooks.delay_seconds = random.choice((0.0, 30.0))


@asynccontextmanager
async def _webhooks(company: Company, visma: VismaNet) -> AsyncIterator[None]:
    hooks = company.simulator.webhooks
    receiver = WebhookReceiver(visma.jobs, key=hooks.key, signature_header=hooks.signature_header, clock=company.clock)
    app = web.Application()
    app.router.add_post("/visma", receiver.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    hooks.url = f"http://127.0.0.1:{runner.addresses[0][1]}/visma"
    try:
        yield
    finally:
        hooks.url = None
        await runner.cleanup()


async def _submit(company: Company, visma: VismaNet, work: _Work) -> None:
    notify: Literal["none", "subscription"] = company.random.choice(("none", "subscription"))

    async def submit() -> str:
        operation = visma.supplier.update(work.supplier, {"name": work.marker})
        job = await visma.jobs.submit(
            operation, notify=notify, reference=work.marker, deadline_seconds=_FOLLOWED_SECONDS
        )
        return job.id

    try:
        work.job = await unless_cut_off(company, "submit", submit)
    except CutOffError as error:
        work.error = error
    except VismaNetError as error:
        company.failed(error, "submit")
        work.error = error
        if isinstance(error, JobUncertain | StoreNotUsable):
            work.job = error.job_id
    else:
        company.counts["jobs submitted"] += 1


async def _follow(company: Company, visma: VismaNet, work: _Work) -> None:
    """Wait for the end of a job as a caller does, who asks again where the store was away or he gave up."""
    if work.job is None or work.error is not None:
        return
    own_id = work.job

    async def end() -> JobRecord:
        job = await visma.jobs.get(own_id)
        try:
            await job
        except StoreNotUsable:
            raise
        except (JobError, ApiError, VismaNetError) as error:
            company.failed(error, "job")
        return await job.status()

    record: JobRecord | None = None
    while record is None:
        try:
            record = await unless_cut_off(company, "wait", end)
        except CutOffError:
            continue
        except StoreNotUsable as error:
            company.failed(error, "wait")
            await company.clock.sleep(1)
    company.counts[f"jobs {record.state.value}"] += 1
    done = _executions(company, work)
    answer = record.status_code or 0
    if record.state is State.SUCCEEDED:
        company.check(len(done) == 1, "once", f"{work.marker} succeeded and was executed {len(done)} times")
    elif record.state is State.FAILED and answer:
        company.check(not done, "exact", f"{work.marker} is said to have failed with {answer}, and was done")


async def _nothing_is_held(company: Company, store: SqlStore) -> None:
    """Wait until every intent has become something: what no living process works on is free for the next one."""
    with anyio.move_on_after(HANG_SECONDS):
        while held := await _records(company, store, states={State.INTENT}):
            await company.clock.sleep(10)
        return
    company.check(not held, "nothing held", f"{[record.reference for record in held]}")


async def _records(company: Company, store: SqlStore, **options: Any) -> Sequence[JobRecord]:
    return await store.select(company=company.simulator.tenant_id, **options)


async def unsettled(company: Company) -> list[str]:
    """Return the records of jobs that are not settled, as text."""
    store = SqlStore(company.folder / "jobs.sqlite")
    try:
        return [str(record) for record in await _records(company, store) if not record.settled]
    finally:
        await store.aclose()


async def _check_record(company: Company, store: SqlStore, work: _Work) -> None:
    """Hold what is written down against what the server did, however the submission ended."""
    done = len(_executions(company, work))
    found = await _records(company, store, reference=work.marker)
    if not found:
        company.check(not done, "nothing lost", f"{work.marker} was done, and is not written down ({work.error!r})")
        return
    [record] = found
    if isinstance(work.error, CutOffError | StoreNotUsable):
        company.counts[f"cut off, then {record.state.value}"] += 1
    if record.state is State.SUCCEEDED:
        company.check(done == 1, "once", f"{work.marker} is written down as done, and was executed {done} times")
    if record.state is State.FAILED and (record.error or "").startswith("never sent"):
        company.check(not done, "exact", f"{work.marker}: {record.error}, and it was done")


def _executions(company: Company, work: _Work) -> list[Any]:
    return [one for one in company.simulator.ledger if one.succeeded and f'"{work.marker}"'.encode() in one.body]


def _check(company: Company, work: _Work) -> None:
    done = _executions(company, work)
    company.check(len(done) <= 1, "never twice", f"{work.marker} was executed {len(done)} times")
    unsure = work.error is not None and (
        isinstance(work.error, JobUncertain | LeaseLost | CutOffError | StoreNotUsable) or may_have_happened(work.error)
    )
    if work.error is not None and not unsure:
        company.check(not done, "exact", f"{work.marker} was refused ({work.error!r}), and was done")


def _check_order(company: Company) -> None:
    """Jobs on one document never overlap, as far as the client could know of them."""
    ended: dict[str, float] = {}
    for job in company.simulator.background:
        if job.path in ended:
            company.check(
                job.received_at >= ended[job.path], "in order", f"{job.path} was queued again before it had ended"
            )
        if job.finished_at is not None:
            ended[job.path] = job.ends_at

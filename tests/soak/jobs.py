"""Background jobs with lost answers, a dying process and untrustworthy webhooks: each executed once at most."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
from aiohttp import web
from attrs import define

from tests.soak.company import Company, may_have_happened
from vismanet_async._jobs.core.states import State
from vismanet_async._jobs.sql.store import SqlStore
from vismanet_async._jobs.store import LeaseLost
from vismanet_async._webhooks.receiver import WebhookReceiver
from vismanet_async.errors import ApiError, JobError, JobUncertain, VismaNetError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from vismanet_async._client import VismaNet

__all__ = ["run_jobs"]

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
    path = company.folder / "jobs.sqlite"
    # on the fast clock a busy moment outlasts a lease; so do suspended machines
    lease_seconds = company.random.choice((30.0, 1_000.0, 1_000.0))
    async with company.client(job_store=path) as visma, anyio.create_task_group() as group:
        visma.jobs._jobs.lease_seconds = lease_seconds
        for work in works:
            group.start_soon(_submit, company, visma, work)
    store = SqlStore(path)
    try:
        async with company.client(job_store=store) as visma, _webhooks(company, visma):
            visma.jobs._jobs.lease_seconds = lease_seconds
            await visma.jobs.resume()
            async with anyio.create_task_group() as group:
                for work in works:
                    group.start_soon(_follow, company, visma, work)
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
    operation = visma.supplier.update(work.supplier, {"name": work.marker})
    try:
        job = await visma.jobs.submit(
            operation, notify=company.random.choice(("none", "subscription")), deadline_seconds=_FOLLOWED_SECONDS
        )
    except VismaNetError as error:
        company.failed(error, "submit")
        work.error = error
        if isinstance(error, JobUncertain):
            work.job = error.job_id
    else:
        company.counts["jobs submitted"] += 1
        work.job = job.id


async def _follow(company: Company, visma: VismaNet, work: _Work) -> None:
    if work.job is None or work.error is not None:
        return
    job = await visma.jobs.get(work.job)
    try:
        await job
    except (JobError, ApiError, VismaNetError) as error:
        company.failed(error, "job")
    record = await job.status()
    company.counts[f"jobs {record.state.value}"] += 1
    done = _executions(company, work)
    answer = record.status_code or 0
    if record.state is State.SUCCEEDED:
        company.check(len(done) == 1, "once", f"{work.marker} succeeded and was executed {len(done)} times")
    elif record.state is State.FAILED and answer:
        company.check(not done, "exact", f"{work.marker} is said to have failed with {answer}, and was done")


def _executions(company: Company, work: _Work) -> list[Any]:
    return [one for one in company.simulator.ledger if one.succeeded and f'"{work.marker}"'.encode() in one.body]


def _check(company: Company, work: _Work) -> None:
    done = _executions(company, work)
    company.check(len(done) <= 1, "never twice", f"{work.marker} was executed {len(done)} times")
    unsure = work.error is not None and (
        isinstance(work.error, JobUncertain | LeaseLost) or may_have_happened(work.error)
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

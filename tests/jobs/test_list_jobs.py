"""Lists that are read by background jobs, over real HTTP and a real store, in virtual time."""

from __future__ import annotations

import itertools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import attrs
import pytest

from tests.jobs.bench import Bench, opened
from tests.support.clock import ServerClock, VirtualClock
from vismanet_async import StaticToken, VismaNet
from vismanet_async._jobs.core.states import State
from vismanet_async._jobs.page_jobs import name_of
from vismanet_async.errors import IncompleteListing, NotFound, RequestRefused, ResponseLost, ServerError
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.support.outside import Outside
    from vismanet_async._jobs.background_api import Answer, Submitter
    from vismanet_async._jobs.store import JobStore
    from vismanet_async._paging.listing import Listing

ROWS = 55
SIZE = 10


@pytest.fixture
def clock(outside: Outside) -> VirtualClock:
    made = VirtualClock(scopes_move=True)
    made.stand_still_while(lambda: outside.under_way)
    return made


@asynccontextmanager
async def company(clock: VirtualClock, **options: Any) -> AsyncIterator[Simulator]:
    async with Simulator(clock=ServerClock(clock), **{"rows": {"customer": ROWS}, **options}) as sim:
        sim.background.run_seconds = (0.5, 4)
        yield sim


@pytest.fixture
async def sim(clock: VirtualClock) -> AsyncIterator[Simulator]:
    async with company(clock) as made:
        yield made


@asynccontextmanager
async def bench_of(sim: Simulator, store: JobStore, clock: VirtualClock, **options: Any) -> AsyncIterator[Bench]:
    token = sim.issue_token(lifetime_seconds=1e9)
    async with opened(sim.base_url, store, clock=clock, token=token, **options) as made:
        yield made


@pytest.fixture
async def bench(sim: Simulator, store: JobStore, clock: VirtualClock) -> AsyncIterator[Bench]:
    async with bench_of(sim, store, clock) as made:
        yield made


def customers(bench: Bench, **filters: Any) -> Listing[Any]:
    return bench.visma.customer.list(page_size=SIZE, **filters)


def numbers(rows: list[Any]) -> list[str]:
    return [row.number for row in rows]


def read_directly(sim: Simulator) -> int:
    """How many requests for customers were not background jobs."""
    return sum(entry.status != 202 for entry in sim.requests.matching(path="/customer"))


# -- reading


@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
async def test_a_list_is_read_by_jobs_and_proven(bench: Bench, sim: Simulator) -> None:
    job = await bench.manager.submit(customers(bench), reference="nightly")
    assert len(sim.background) == 1, "its first page is submitted at once"
    rows = await job
    assert numbers(rows) == sim.truth("customer").keys, "in the order of the list, whichever job ended first"
    assert job.completeness is not None
    assert (job.completeness.verdict, job.completeness.unique) == ("proven", ROWS)
    assert job.completeness.requests == len(sim.background) == len(job.records)
    assert read_directly(sim) == 0
    stored = await bench.manager.list(reference="nightly")
    assert {record.id for record in stored} == {record.id for record in job.records}
    assert (stored[-1].id, job.records[0].id) == (job.id, job.id)
    assert {record.state for record in stored} == {State.SUCCEEDED}
    assert job.progress.rows == ROWS


async def test_a_list_that_was_read_is_read_again_without_a_request(bench: Bench, sim: Simulator) -> None:
    job = await bench.manager.submit(customers(bench))
    rows = await job
    sim.remove("customer", count=5)
    requests = sim.requests.total
    assert numbers(await job) == numbers(rows)
    again = await bench.manager.get(job.id, operation=customers(bench))
    assert numbers([row async for row in again]) == numbers(rows)
    pages = [page async for page in again.pages()]
    assert numbers([row for page in pages for row in page.rows]) == numbers(rows)
    assert again.completeness == job.completeness
    assert sim.requests.total == requests


async def test_readers_share_the_jobs(bench: Bench, sim: Simulator) -> None:
    job = await bench.manager.submit(customers(bench))
    other = await bench.manager.get(job.id, operation=customers(bench))
    rows: list[list[str]] = []

    async def read(each: Any) -> None:
        rows.append(numbers(await each))

    async with anyio.create_task_group() as tasks:
        for each in (job, job, other):
            tasks.start_soon(read, each)
    assert rows == [sim.truth("customer").keys] * 3
    assert job.completeness is not None
    assert len(sim.background) == job.completeness.requests


@pytest.mark.parametrize("mode", ["best", "count", "none"])
async def test_every_way_to_read(bench: Bench, sim: Simulator, mode: str) -> None:
    job = await bench.manager.submit(customers(bench).with_options(completeness=mode))
    assert numbers(await job) == sim.truth("customer").keys
    few = await bench.manager.submit(customers(bench).with_options(completeness=mode, limit=25))
    assert numbers(await few) == sim.truth("customer").keys[:25]
    before = len(sim.background)
    assert numbers(await few) == sim.truth("customer").keys[:25]
    assert len(sim.background) == before


async def test_lists_of_other_kinds(store: JobStore, clock: VirtualClock) -> None:
    rows = {"branch": 3, "customer": 0, "journal_transaction": 30}
    async with company(clock, rows=rows) as sim, bench_of(sim, store, clock) as bench:
        visma = bench.visma
        for listing, resource in (
            (visma.branch.list(), "branch"),
            (visma.customer.list(), "customer"),
            (
                visma.journal_transaction.list(last_modified_date_time="2000-01-01", page_size=20),
                "journal_transaction",
            ),
        ):
            directly = await listing
            assert len(directly) == len(sim.truth(resource).keys)
            job = await bench.manager.submit(listing)
            assert [row.raw_json for row in await job] == [row.raw_json for row in directly], resource
            assert job.completeness is not None
            assert listing.completeness is not None
            assert job.completeness.verdict == listing.completeness.verdict


@pytest.mark.parametrize("seed", range(4))
async def test_what_stays_is_there_whatever_is_written_meanwhile(
    store: JobStore, clock: VirtualClock, seed: int
) -> None:
    """Every row that is there from the first job to the last comes, once in its newest version."""
    async with company(clock, seed=seed) as sim, bench_of(sim, store, clock) as bench:
        before = set(sim.truth("customer").keys)

        async def write() -> None:
            while True:
                await clock.sleep(4)
                sim.remove("customer", count=1)
                sim.add("customer", 1, where="start" if seed % 2 else "random")
                sim.touch("customer", count=1)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write)
            job = await bench.manager.submit(customers(bench).with_options(allow_uncertain=True))
            rows = numbers(await job)
            tasks.cancel_scope.cancel()
        assert len(rows) == len(set(rows))
        assert job.completeness is not None
        if job.completeness.verdict == "proven":
            assert before & set(sim.truth("customer").keys) <= set(rows)


async def test_a_list_that_cannot_be_proven_says_so(store: JobStore, clock: VirtualClock) -> None:
    async with company(clock, rows={"journal_transaction": 30}) as sim, bench_of(sim, store, clock) as bench:
        listing = bench.visma.journal_transaction.list(last_modified_date_time="2000-01-01", page_size=20)
        job = await bench.manager.submit(listing.with_options(completeness="prove"))
        with pytest.raises(IncompleteListing) as caught:
            await job
        assert caught.value.completeness.verdict == "uncertain"
        assert job.completeness == caught.value.completeness


# -- after a crash


@attrs.define
class Cut:
    """A client that is cut off at a request: before it is sent, or when it was answered."""

    inner: Submitter
    at: int
    before: bool
    scope: anyio.CancelScope
    reached: int = 0

    @property
    def quota(self) -> Any:
        return self.inner.quota

    @property
    def sender(self) -> Any:
        return self.inner.sender

    async def submit(self, operation: Any, *, background: str) -> Answer:
        return await self._pass(lambda: self.inner.submit(operation, background=background))

    async def state(self, job_id: str) -> Answer:
        return await self._pass(lambda: self.inner.state(job_id))

    async def content(self, job_id: str) -> Answer:
        return await self._pass(lambda: self.inner.content(job_id))

    async def _pass(self, send: Callable[[], Any]) -> Answer:
        self.reached += 1
        is_last = self.reached == self.at
        if is_last and self.before:
            self.scope.cancel()
            await anyio.lowlevel.checkpoint()
        answer: Answer = await send()
        if is_last:
            self.scope.cancel()
            await anyio.lowlevel.checkpoint()
        return answer


@pytest.mark.parametrize("before", [True, False])
async def test_what_was_submitted_is_not_submitted_again(
    new_store: Callable[[], JobStore], clock: VirtualClock, before: bool
) -> None:
    """Cut off at any request, another process reads on; only a submission that was cut off itself is repeated."""
    resumed = 0
    for at in itertools.count(1, step=4):
        store = new_store()
        async with company(clock, id_seed=at, rows={"customer": 25}) as sim:
            own_id = None
            cut: Cut | None = None
            with anyio.CancelScope() as scope:

                def border(submitter: Submitter, at: int = at, scope: anyio.CancelScope = scope) -> Any:
                    nonlocal cut
                    cut = Cut(submitter, at, before, scope)
                    return cut

                async with bench_of(sim, store, clock, border=border) as first:
                    job = await first.manager.submit(customers(first))
                    own_id = job.id
                    rows = await job
            assert cut is not None
            if not scope.cancelled_caught:
                assert numbers(rows) == sim.truth("customer").keys
                break
            submitted_before = len(sim.background)
            async with bench_of(sim, store, clock) as second:
                await store.open()
                lost = [
                    record.id
                    for record in await second.manager.list()
                    if record.state in {State.UNCERTAIN, State.FAILED}
                ]
                if own_id is None:
                    continue  # cut off before anybody had its id
                job = await second.manager.get(own_id, operation=customers(second))
                assert numbers(await job) == sim.truth("customer").keys
                assert job.completeness is not None
                assert job.completeness.verdict == "proven"
                answered = len(job.records)
                assert len(sim.background) <= answered + len(lost)
                resumed += submitted_before > 1
    assert resumed > 3


class Killed:
    """A store whose process is killed: it releases no lease."""

    def __init__(self, inner: JobStore) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def release(self, *, owner: str, ids: Any = None) -> None:
        pass


@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
async def test_jobs_of_a_killed_process_are_waited_for_until_its_leases_end(
    new_store: Callable[[], JobStore], clock: VirtualClock, sim: Simulator
) -> None:
    killed: Any = Killed(new_store())
    with anyio.CancelScope() as scope:
        async with bench_of(
            sim, killed, clock, lease_seconds=150, border=lambda submitter: Cut(submitter, 9, False, scope)
        ) as first:
            job = await first.manager.submit(customers(first))
            await job
    assert scope.cancelled_caught
    submitted = len(sim.background)
    assert submitted > 2
    begun = clock.monotonic()
    async with bench_of(sim, new_store(), clock) as second:
        again = await second.manager.get(job.id, operation=customers(second))
        assert numbers(await again) == sim.truth("customer").keys
        lost = [record for record in await second.manager.list() if record.state is State.UNCERTAIN]
    assert clock.monotonic() - begun > 100, "their leases had to end first"
    # what was cut off on its way may have arrived, or not
    most = len(again.records) + len(lost)
    assert len(again.records) <= len(sim.background) <= most, "only what was cut off itself is submitted again"
    assert len(lost) < submitted, "only what was on its way then"


async def test_an_answer_is_never_older_than_what_the_read_knew(bench: Bench, sim: Simulator) -> None:
    """Page 1 is read anew, so that the later pages' old answers are older than it: none of them may be used."""
    listing = customers(bench)
    job = await bench.manager.submit(listing)
    await job
    was = len(sim.background)
    await bench.manager.forget(job.id)
    sim.remove("customer", sim.truth("customer").keys[0])
    rows = await job
    assert numbers(rows) == sim.truth("customer").keys, "an old page 2 would lack the row that moved to page 1"
    assert job.completeness is not None
    assert len(sim.background) == was + job.completeness.requests


def test_the_name_of_a_job_tells_all_that_matters() -> None:
    plain: dict[str, Any] = {"known": "", "occurrence": 0, "attempt": 0}
    names = {
        name_of("0a", "GET /v1/customer 1", **plain),
        name_of("0b", "GET /v1/customer 1", **plain),
        name_of("0a", "GET /v1/customer 2", **plain),
        *(name_of("0a", "GET /v1/customer 1", **{**plain, what: 1}) for what in ("occurrence", "attempt")),
        name_of("0a", "GET /v1/customer 1", **{**plain, "known": "1"}),
    }
    assert len(names) == 6
    assert all(len(name) == 32 and int(name, 16) for name in names)


# -- jobs that end badly


async def test_pages_that_failed_are_asked_for_again(bench: Bench, sim: Simulator) -> None:
    for script in ({"outcome": "fail"}, {"status_code": 503}, {"lose_answer": True}, {"synchronous": True}):
        sim.background.script(**script)
    job = await bench.manager.submit(customers(bench))
    assert numbers(await job) == sim.truth("customer").keys
    assert job.completeness is not None
    assert job.completeness.verdict == "proven"


async def test_a_page_that_always_fails_ends_the_read(bench: Bench, sim: Simulator) -> None:
    job = await bench.manager.submit(customers(bench))
    sim.background.script(outcome="fail", times=3)
    sim.background.script(status_code=503, times=3)
    for _ in range(2):
        with pytest.raises((ResponseLost, ServerError)):
            await job
    assert numbers(await job) == sim.truth("customer").keys, "another await reads on"


async def test_a_job_that_takes_too_long_is_given_up(bench: Bench, sim: Simulator) -> None:
    sim.background.script(outcome="hang")
    job = await bench.manager.submit(customers(bench), deadline_seconds=60)
    assert numbers(await job) == sim.truth("customer").keys
    records = await bench.manager.list()
    assert [record.state for record in records].count(State.UNCERTAIN) == 1
    assert all(record.deadline_seconds == 60 for record in records)


async def test_a_refused_list_raises_at_once(bench: Bench, sim: Simulator) -> None:
    sim.background.script(synchronous=True)
    sim.faults.add("status", status=404, times=1)
    with pytest.raises(NotFound):
        _ = await bench.manager.submit(customers(bench))
    assert len(sim.background) == 0


# -- what is refused


async def test_what_is_no_list_for_the_background(bench: Bench, sim: Simulator) -> None:
    manager, listing = bench.manager, customers(bench)
    with pytest.raises(RequestRefused, match="a list writes nothing"):
        _ = await manager.submit(listing, document="x")
    with pytest.raises(RequestRefused, match="notify='subscription'"):
        _ = await manager.submit(listing, headers={"batch": "7"})
    with pytest.raises(RequestRefused, match="cannot run in the background"):
        _ = await manager.submit(bench.visma.sales_order_service.list())
    with pytest.raises(RequestRefused, match="submit lists one by one"):
        await manager.submit_many([listing])  # type: ignore[arg-type] # that it is refused is what is tested
    with pytest.raises(RequestRefused, match="not yet awaited, or a list"):
        _ = await manager.submit([listing])  # type: ignore[call-overload] # the same
    assert await manager.list() == []
    assert sim.requests.total == 0


async def test_a_handle_needs_the_same_list(bench: Bench, sim: Simulator) -> None:
    job = await bench.manager.submit(customers(bench))
    for other in (
        customers(bench, status="Active"),
        bench.visma.customer.list(page_size=9),
        bench.visma.supplier.list(),
    ):
        with pytest.raises(RequestRefused, match="not the first page of"):
            _ = await bench.manager.get(job.id, operation=other)
    async with VismaNet(StaticToken("other"), base_url=sim.base_url) as visma:
        with pytest.raises(RequestRefused, match="Customer_GetAll is a call of another client"):
            _ = await bench.manager.get(job.id, operation=visma.customer.list(page_size=SIZE))
    page = await (await bench.manager.get(job.id))
    assert len(page) == SIZE, "without the list it is the job of its first page"
    assert len(sim.background) == 1


async def test_forgetting_deletes_the_jobs(bench: Bench) -> None:
    job = await bench.manager.submit(customers(bench))
    await job
    await job.forget()
    assert await bench.manager.list() == []


async def test_pages_are_submitted_as_the_list_is(bench: Bench, sim: Simulator) -> None:
    options: dict[str, Any] = {"notify": "subscription", "headers": {"batch": "7"}, "reference": "r"}
    job = await bench.manager.submit(customers(bench), **options)
    [page] = sim.background
    assert page.values == {"X-Vismanet-Job": job.id, "X-Vismanet-Reference": "r", "batch": "7"}

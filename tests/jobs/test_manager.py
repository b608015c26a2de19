"""Submitting, following and settling over real HTTP and a real store, in virtual time."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import anyio
import attrs
import pytest

from tests.jobs.bench import Bench, opened
from tests.jobs.queue import Queue, serve
from tests.support.clock import ServerClock, VirtualClock
from vismanet_async import StaticToken, VismaNet
from vismanet_async._jobs.core.states import State
from vismanet_async._jobs.store import JobUnknown, Leased
from vismanet_async.errors import (
    BadRequest,
    JobExpired,
    JobUncertain,
    NotSent,
    PreconditionFailed,
    RequestRefused,
    ServerError,
)
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.support.outside import Outside
    from vismanet_async._jobs.core.records import JobRecord
    from vismanet_async._jobs.store import JobStore


@pytest.fixture
def clock(outside: Outside) -> VirtualClock:
    made = VirtualClock(scopes_move=True)
    made.stand_still_while(lambda: outside.under_way)
    return made


@pytest.fixture
async def queue(clock: VirtualClock) -> Queue:
    return Queue(run_seconds=4, now=clock.monotonic, utc_now=clock.utc_now)


@pytest.fixture
async def url(queue: Queue) -> AsyncIterator[str]:
    async with serve(queue) as served:
        yield served


@pytest.fixture
async def bench(url: str, store: JobStore, clock: VirtualClock) -> AsyncIterator[Bench]:
    async with opened(url, store, clock=clock) as made:
        yield made


async def test_a_job_is_submitted_polled_and_gives_its_content(bench: Bench, queue: Queue) -> None:
    job = await bench.manager.submit(bench.release("/v1/ok/1/action/release"), reference="nightly")
    assert (await job.status()).state is State.SUBMITTED
    assert await job == {
        "actionResult": "Done",
        "path": "/v1/ok/1/action/release",
        "amount": Decimal("1234567890123.4567"),
    }
    record = await job.status()
    assert (record.state, record.status_code, record.reference) == (State.SUCCEEDED, 200, "nightly")
    assert record.run_seconds == pytest.approx(4, abs=0.1)
    raw = await job.raw()
    assert raw is not None
    assert raw.state_document is not None
    assert b'"Finished"' in raw.state_document
    assert raw.headers == (("ETag", '"after"'),), "cookies are not kept"
    assert queue.ledger == ["/v1/ok/1/action/release"]
    assert queue.header_of("/v1/ok/1/action/release") == "none"
    asked = len(queue.asked)
    assert await job.result() == await job.result()
    assert len(queue.asked) == asked, "results are read once and kept"


@pytest.mark.parametrize(
    ("word", "error", "says"),
    [
        ("bad", BadRequest, "already released"),
        ("stale", PreconditionFailed, "already released"),
        ("five", JobUncertain, "answered with 503, which does not tell whether it was executed"),
        ("broken", JobUncertain, r"the queue failed it \(the queue fell over\), which does not tell"),
        ("gone", JobExpired, "404"),
        ("vanish", JobExpired, "content was gone"),
    ],
)
async def test_how_jobs_end_badly(bench: Bench, word: str, error: type[Exception], says: str) -> None:
    job = await bench.manager.submit(bench.release(f"/v1/{word}/1/action/release", if_match="AAA="))
    with pytest.raises(error, match=says) as caught:
        await job
    if isinstance(caught.value, PreconditionFailed):
        assert (caught.value.expected, caught.value.current) == ("AAA=", "after")
    assert type(await job.error()) is error


async def test_whether_a_write_answered_with_503_was_executed_is_for_a_person_to_say(
    bench: Bench, queue: Queue, clock: VirtualClock
) -> None:
    job = await bench.manager.submit(bench.release("/v1/five/1/action/release"))
    with pytest.raises(JobUncertain) as caught:
        await job
    assert isinstance(caught.value.__cause__, ServerError)
    assert (caught.value.__cause__.status, caught.value.job_id) == (503, job.id)
    [record] = await bench.manager.list(states=[State.UNCERTAIN])
    assert (record.id, record.status_code) == (job.id, 503)
    # its webhook comes late: it is asked for once more, and no more than that
    before = sum(map(len, queue.asked.values()))
    await clock.sleep(60)
    await bench.manager.hint(own_id=None, job_ids=(record.job_id or "",), at=clock.utc_now())
    await clock.sleep(180)
    assert sum(map(len, queue.asked.values())) - before == 2, "its state, and its content"
    assert (await job.status()).state is State.UNCERTAIN
    await bench.manager.settle(job.id, outcome="succeeded", note="released: seen in the ERP")
    assert await job.result() is None
    assert await bench.manager.kept_result(job.id)


async def test_the_share_of_polls_is_above_0_and_at_most_1(bench: Bench) -> None:
    assert bench.manager.poll_share == 0.5
    for wrong in (0, 1.01, True, "0.5", float("nan")):
        with pytest.raises(RequestRefused, match="poll_share"):
            bench.manager.poll_share = wrong  # type: ignore[assignment]  # what is refused
    bench.manager.poll_share = 1
    assert bench.manager.poll_share == 1


async def test_if_match_goes_with_the_background_header(bench: Bench, queue: Queue) -> None:
    _ = await bench.manager.submit(bench.release("/v1/ok/1/action/release", if_match="AAA="))
    [job] = queue.jobs.values()
    assert (job.if_match, job.header) == ('"AAA="', "none")


async def test_headers_of_ones_own_go_into_the_background_header(bench: Bench, queue: Queue) -> None:
    job = await bench.manager.submit(
        bench.release("/v1/ok/1/action/release"), notify="subscription", headers={"X-Batch": "7", "tenant": "no/1"}
    )
    [again] = await bench.manager.submit_many(
        [bench.release("/v1/ok/2/action/release")], notify="subscription", headers={"X-Batch": "8"}
    )
    assert [queued.header for queued in queue.jobs.values()] == [
        f"subscription:X-Vismanet-Job={job.id},X-Batch=7,tenant=no/1",
        f"subscription:X-Vismanet-Job={again.id},X-Batch=8",
    ]
    with pytest.raises(RequestRefused, match="X-Vismanet-Job"):
        _ = await bench.manager.submit(
            bench.release("/v1/ok/3/action/release"), notify="subscription", headers={"X-Vismanet-Job": "1"}
        )
    assert len(queue.jobs) == len(await bench.manager.list()) == 2, "nothing was written or sent"


async def test_no_content_needs_no_request_for_it(bench: Bench, queue: Queue) -> None:
    job = await bench.manager.submit(bench.release("/v1/empty/1/action/release"))
    assert await job is None
    assert not any(path.endswith("/content") for path in queue.asked)


async def test_an_unknown_status_is_pending_and_kept(bench: Bench) -> None:
    job = await bench.manager.submit(bench.release("/v1/never/1/action/release"), deadline_seconds=40)
    with pytest.raises(JobUncertain, match="Completed"):
        await job
    record = await job.status()
    assert (record.state, record.server_status, record.status_code) == (State.UNCERTAIN, "Completed", None)
    with pytest.raises(TimeoutError):
        await job.wait(timeout_seconds=1)


async def test_an_answer_outside_the_queue_settles_at_once(bench: Bench) -> None:
    job = await bench.manager.submit(bench.release("/v1/now/1/action/release"))
    assert (await job.status()).state is State.SUCCEEDED
    assert await job == {"actionResult": "Done"}
    kept = await job.raw()
    assert kept is not None
    headers = {name.lower(): value for name, value in kept.headers}
    assert headers["etag"] == '"now"'
    assert "set-cookie" not in headers


async def test_refused_at_once(bench: Bench) -> None:
    with pytest.raises(BadRequest) as caught:
        _ = await bench.manager.submit(bench.release("/v1/refused/1/action/release"))
    assert caught.value.reference == "6c6eb585-da38-4765-b80d-e9552a8721f8"
    [record] = await bench.manager.list()
    assert (record.state, record.status_code) == (State.FAILED, 400)


async def test_a_server_error_may_have_been_executed(bench: Bench) -> None:
    with pytest.raises(JobUncertain, match="500"):
        _ = await bench.manager.submit(bench.release("/v1/gateway/1/action/release"))


async def test_nobody_there_means_never_sent(store: JobStore, clock: VirtualClock) -> None:
    async with opened("http://127.0.0.1:1", store, clock=clock) as bench:
        with pytest.raises(NotSent):
            _ = await bench.manager.submit(bench.release("/v1/ok/1/action/release"))
        [record] = await bench.manager.list()
        assert record.state is State.FAILED
        with pytest.raises(NotSent):
            await (await bench.manager.get(record.id))


async def test_a_job_whose_202_cannot_be_read_is_known_by_its_location(bench: Bench, queue: Queue) -> None:
    queue.lose_next = ["unreadable"]
    job = await bench.manager.submit(bench.release("/v1/ok/1/action/release"))
    assert (await job)["actionResult"] == "Done"
    assert len(queue.ledger) == 1


@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
@pytest.mark.parametrize("behaviour", ["lost", "nameless"])
async def test_a_lost_answer_is_never_sent_again_and_found_by_its_webhook(
    bench: Bench, queue: Queue, clock: VirtualClock, behaviour: str
) -> None:
    queue.lose_next = [behaviour]
    path = "/v1/ok/1/action/release"
    with pytest.raises(JobUncertain) as caught:
        _ = await bench.manager.submit(bench.release(path), notify="subscription", reference="r1")
    own_id = caught.value.job_id
    assert own_id is not None
    job = await bench.manager.get(own_id)
    with pytest.raises(JobUncertain):
        await job
    assert queue.header_of(path) == f"subscription:X-Vismanet-Job={own_id},X-Vismanet-Reference=r1"
    # a webhook with other ids than ours changes nothing: the server is asked what they are
    other = await bench.manager.submit(bench.release("/v1/ok/2/action/release"))
    await other
    strange = next(queued.id for queued in queue.jobs.values() if queued.path.startswith("/v1/ok/2"))
    await bench.manager.hint(
        own_id=own_id, job_ids=("00000000-0000-0000-0000-000000000000", strange), at=clock.utc_now()
    )
    mine = next(queued.id for queued in queue.jobs.values() if queued.path == path)
    await bench.manager.hint(own_id=own_id, job_ids=(mine,), at=clock.utc_now())
    assert (await job.wait(timeout_seconds=600)).state is State.SUCCEEDED
    assert (await job)["path"] == path
    assert queue.ledger.count(path) == 1


async def test_a_webhook_of_another_call_is_not_taken_for_ours(bench: Bench, queue: Queue, clock: VirtualClock) -> None:
    queue.lose_next = ["lost"]
    with pytest.raises(JobUncertain) as caught:
        _ = await bench.manager.submit(bench.release("/v1/ok/1/action/release"), notify="subscription")
    async with opened_elsewhere(bench, queue) as strange:
        await bench.manager.hint(own_id=caught.value.job_id, job_ids=(strange,), at=clock.utc_now())
        job = await bench.manager.get(caught.value.job_id or "")
        with pytest.raises(TimeoutError):
            await job.wait(timeout_seconds=60)
    record = await job.status()
    assert (record.state, record.job_id, record.candidates) == (State.UNCERTAIN, None, ())


class opened_elsewhere:  # noqa: N801 - reads as a function
    """A job of another client on the same server, which this store does not know."""

    def __init__(self, bench: Bench, queue: Queue) -> None:
        self.bench, self.queue = bench, queue

    async def __aenter__(self) -> str:
        operation = self.bench.release("/v1/ok/77/action/release")
        await self.bench.visma.sender.send(operation.request(background="none"))
        return next(queued.id for queued in self.queue.jobs.values() if "/77/" in queued.path)

    async def __aexit__(self, *error: object) -> None:
        return


async def test_nothing_leaves_for_a_host_that_an_answer_names(store: JobStore, clock: VirtualClock) -> None:
    """`stateLocation` and `contentLocation` lead to a listener that is not the service, and waits for a token."""
    behaviours = {"state_host": "foreign"}
    async with Simulator(rows={"customer": 3}, clock=ServerClock(clock), behaviours=behaviours) as simulator:
        token = simulator.issue_token(lifetime_seconds=1e9)
        async with opened(simulator.base_url, store, clock=clock, token=token) as made:
            number = simulator.truth("customer").keys[0]
            job = await made.manager.submit(made.visma.customer.get(number))
            assert (await job).number == number
            raw = await job.raw()
            assert raw is not None
            assert simulator.foreign_url.encode() in (raw.state_document or b"")
        assert simulator.foreign_requests.total == 0


async def test_settled_by_hand(bench: Bench, queue: Queue) -> None:
    queue.lose_next = ["lost", "lost"]
    ids = []
    for number in (1, 2):
        with pytest.raises(JobUncertain) as caught:
            _ = await bench.manager.submit(bench.release(f"/v1/ok/{number}/action/release"))
        ids.append(caught.value.job_id or "")
    with pytest.raises(RequestRefused):
        await bench.manager.settle(ids[0])
    with pytest.raises(RequestRefused, match="goes with one"):
        await bench.manager.settle(ids[0], job_id="4711", note="it would be kept nowhere")
    await bench.manager.settle(ids[0], outcome="succeeded", note="seen in the ERP")
    assert await (await bench.manager.get(ids[0])) is None
    mine = next(queued.id for queued in queue.jobs.values() if "/2/" in queued.path)
    await bench.manager.settle(ids[1], job_id=mine)
    job = await bench.manager.get(mine)
    assert job.id == ids[1]
    assert (await job)["path"] == "/v1/ok/2/action/release"
    with pytest.raises(ValueError, match="only an uncertain job"):
        await bench.manager.settle(ids[1], outcome="failed")


async def test_jobs_on_one_document_run_in_order(bench: Bench, queue: Queue) -> None:
    paths = [f"/v1/ok/7/action/{name}" for name in ("release", "reverse", "void")]
    jobs = []

    async def submit(path: str) -> None:
        jobs.append(await bench.manager.submit(bench.release(path)))

    async with anyio.create_task_group() as tasks:
        for path in paths:
            tasks.start_soon(submit, path)
            await anyio.lowlevel.checkpoint()
            while len(await bench.manager.list()) < paths.index(path) + 1:
                await anyio.lowlevel.checkpoint()
    assert queue.ledger == paths
    assert queue.overlapping == []
    for job in jobs:
        await job


async def test_behind_an_uncertain_job_nothing_is_sent(bench: Bench, queue: Queue) -> None:
    queue.lose_next = ["lost"]
    with pytest.raises(JobUncertain) as first:
        _ = await bench.manager.submit(bench.release("/v1/ok/7/action/release"))
    with pytest.raises(JobUncertain, match="Nothing was sent") as second:
        _ = await bench.manager.submit(bench.release("/v1/ok/7/action/reverse"))
    assert second.value.job_id == first.value.job_id
    assert queue.ledger == ["/v1/ok/7/action/release"]


async def test_many_are_submitted_bounded_and_in_turns(bench: Bench, queue: Queue) -> None:
    paths = [f"/v1/ok/{number}/action/{name}" for number in range(5) for name in ("release", "reverse")]
    paths[3] = "/v1/refused/1/action/reverse"
    jobs = await bench.manager.submit_many([bench.release(path) for path in paths], at_once=3, reference="batch")
    results = []
    for job in jobs:
        try:
            results.append((await job)["path"])
        except BadRequest:
            results.append("refused")
    assert results == ["refused" if "refused" in path else path for path in paths]
    assert sorted(queue.ledger) == sorted(path for path in paths if "refused" not in path)
    assert queue.overlapping == []
    assert len(await bench.manager.list(reference="batch")) == len(paths)


@pytest.mark.parametrize("reference", ["a,b", "a=b", "a\r\nX: 1", "a\nb", "a\x00", "x" * 500, "ø"])
async def test_references_that_could_break_the_header_are_refused(bench: Bench, queue: Queue, reference: str) -> None:
    with pytest.raises(RequestRefused):
        _ = await bench.manager.submit(
            bench.release("/v1/ok/1/action/release"), reference=reference, notify="subscription"
        )
    with pytest.raises(RequestRefused):
        await bench.manager.submit_many(
            [bench.release("/v1/ok/1/action/release")], reference=reference, notify="subscription"
        )
    assert queue.ledger == []
    assert await bench.manager.list() == []


async def test_with_a_webhook_one_poll_is_enough(bench: Bench, queue: Queue, clock: VirtualClock) -> None:
    job = await bench.manager.submit(bench.release("/v1/ok/1/action/release"), notify="subscription")
    await clock.sleep(60)
    assert queue.asked == {}
    record = await job.status()
    assert record.job_id is not None
    await bench.manager.hint(own_id=None, job_ids=(record.job_id,), at=clock.utc_now())
    await job
    assert sorted(len(times) for times in queue.asked.values()) == [1, 1], "its state once, its content once"


async def test_a_hint_that_becomes_visible_late_is_not_overlooked(
    bench: Bench, store: JobStore, clock: VirtualClock
) -> None:
    job = await bench.manager.submit(bench.release("/v1/ok/1/action/release"), notify="subscription")
    await clock.sleep(40)
    record = await job.status()
    assert record.job_id is not None
    # by the clock of the process that received it; it took its time to commit
    assert await store.hint(own_id=None, job_ids=[record.job_id], at=clock.utc_now() - timedelta(seconds=30))
    await job.wait(timeout_seconds=300)
    assert (await job.status()).polls == 1


async def test_a_hint_that_comes_while_the_answer_is_written_down(
    url: str, store: JobStore, clock: VirtualClock, queue: Queue
) -> None:
    """What the store said before the answer must not overwrite what is known after it."""
    queue.run_seconds = 100_000
    asked, answered = anyio.Event(), anyio.Event()

    class Slow:
        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        async def get(self, own_id: str) -> Any:
            found = await store.get(own_id)
            if not asked.is_set():
                asked.set()
                await answered.wait()
            return found

        async def save(self, leased: Leased, record: JobRecord, **options: Any) -> Leased:
            if record.state is State.SUBMITTED and not asked.is_set():
                await store.hint(own_id=record.id, job_ids=[record.job_id or ""], at=clock.utc_now())
                tasks.start_soon(slow.manager._jobs.apply_hint, record.id)
                await asked.wait()
            return await store.save(leased, record, **options)

    async with opened(url, cast("JobStore", Slow()), clock=clock) as slow:
        async with anyio.create_task_group() as tasks:
            job = await slow.manager.submit(slow.release("/v1/ok/1/action/release"), notify="subscription")
            answered.set()
        leased = slow.manager._jobs.get(job.id)
        assert leased is not None
        assert leased.record.job_id is not None


async def test_polls_that_fail_are_made_again(bench: Bench, queue: Queue) -> None:
    queue.fail_polls = 2
    job = await bench.manager.submit(bench.release("/v1/ok/1/action/release"))
    await job
    assert (await job.status()).polls >= 3


async def test_any_process_can_go_on_with_a_token(
    url: str, new_store: Callable[[], JobStore], clock: VirtualClock, queue: Queue
) -> None:
    queue.run_seconds = 400
    async with opened(url, new_store(), clock=clock) as first:
        job = await first.manager.submit(first.release("/v1/ok/1/action/release"))
        token = job.token
    async with opened(url, new_store(), clock=clock) as second:
        again = await second.manager.from_token(token)
        assert again == job
        assert (await again)["path"] == "/v1/ok/1/action/release"
        with pytest.raises(ValueError, match="not a job token"):
            _ = await second.manager.from_token("{}")
        with pytest.raises(JobUnknown):
            _ = await second.manager.get("nope")
    async with opened(url, new_store(), clock=clock, company="other") as third:
        with pytest.raises(ValueError, match="belongs to company"):
            _ = await third.manager.from_token(token)
        with pytest.raises(JobUnknown):
            _ = await third.manager.get(job.id)


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.UNCERTAIN])
async def test_a_job_is_none_of_another_company_s_that_shares_the_store(
    state: State, url: str, new_store: Callable[[], JobStore], clock: VirtualClock, queue: Queue
) -> None:
    if state is State.UNCERTAIN:
        queue.lose_next.append("lost")
    async with opened(url, new_store(), clock=clock) as ours:
        try:
            own_id = (job := await ours.manager.submit(ours.release("/v1/ok/1/action/release"))).id
            await job
        except JobUncertain as error:
            own_id = error.job_id or ""
    async with opened(url, new_store(), clock=clock, company="other") as theirs:
        manager = theirs.manager
        for call in (
            manager.record,
            manager.kept_result,
            manager.forget,
            partial(manager.wait, timeout_seconds=0, until_certain=True),
            partial(manager.settle, outcome="failed"),
        ):
            with pytest.raises(JobUnknown, match="none of company other"):
                _ = await call(own_id)
        assert await manager.kept_result("nope") is None
        await manager.forget("nope")
    async with opened(url, new_store(), clock=clock) as ours:
        assert (await ours.manager.record(own_id)).state is state


async def test_a_call_of_another_client_is_submitted_by_that_client(bench: Bench, url: str, queue: Queue) -> None:
    """It would run in this one's company."""
    async with VismaNet(StaticToken("other", tenant_id="other"), base_url=url) as other:
        for call in (other.customer.update("1", {"name": "x"}), other.customer.list()):
            with pytest.raises(RequestRefused, match="a call of another client"):
                _ = await bench.manager.submit(call)
        with pytest.raises(RequestRefused, match="a call of another client"):
            _ = await bench.manager.submit_many([bench.release("/v1/ok/1/action/release"), other.customer.get("1")])
    assert not queue.ledger
    assert not await bench.manager.list()


async def test_leaving_frees_jobs_and_resuming_takes_them(
    url: str, new_store: Callable[[], JobStore], clock: VirtualClock, queue: Queue
) -> None:
    queue.run_seconds = 400
    async with opened(url, new_store(), clock=clock) as first:
        for number in range(3):
            _ = await first.manager.submit(first.release(f"/v1/ok/{number}/action/release"))
    async with opened(url, new_store(), clock=clock) as second:
        jobs = await second.manager.resume()
        assert len(jobs) == 3
        for job in jobs:
            await job
    assert len(queue.ledger) == 3


async def test_cancelling_a_submission_leaves_it_uncertain_or_unsent(
    bench: Bench, queue: Queue, store: JobStore
) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        _ = await bench.manager.submit(bench.release("/v1/ok/1/action/release"))
    records = await bench.manager.list()
    assert [record.state for record in records] in ([], [State.FAILED])
    assert queue.ledger == []


async def test_forgetting_and_pruning(bench: Bench, clock: VirtualClock) -> None:
    job = await bench.manager.submit(bench.release("/v1/ok/1/action/release"))
    await job
    assert await bench.manager.prune() == 0
    await clock.sleep(1)
    for wrong in (timedelta(microseconds=-1), timedelta.max):
        with pytest.raises(RequestRefused, match="older_than is from 0"):
            await bench.manager.prune(older_than=wrong)
    assert await bench.manager.prune(older_than=timedelta(0)) == 1
    for no_deadline in (float("inf"), 1e15):
        endless = await bench.manager.submit(bench.release("/v1/ok/1/action/release"), deadline_seconds=no_deadline)
        assert (await endless.wait()).deadline_at is None
    other = await bench.manager.submit(bench.release("/v1/never/1/action/release"))
    await other.forget()
    with pytest.raises(JobUnknown):
        await other.wait()


async def test_a_closed_manager_says_so(bench: Bench, store: JobStore, clock: VirtualClock, url: str) -> None:
    async with opened(url, store, clock=clock) as closed:
        operation = closed.release("/v1/ok/1/action/release")
    with pytest.raises(RuntimeError, match="is closed"):
        _ = await closed.manager.submit(operation)


async def test_an_error_of_the_body_is_not_wrapped(url: str, store: JobStore, clock: VirtualClock) -> None:
    with pytest.raises(KeyError):  # noqa: PT012 - the block is what is tested
        async with opened(url, store, clock=clock) as bench:
            _ = await bench.manager.submit(bench.release("/v1/never/1/action/release"))
            raise KeyError("mine")


async def test_no_secret_reaches_the_store(bench: Bench, database: str) -> None:
    operation = bench.release("/v1/ok/1/action/release").with_options(headers={"X-Key": "geheim-kopf"})
    operation.close()  # a copy of it is submitted
    operation = attrs.evolve(operation, body=b'{"iban": "geheim-leib"}')
    job = await bench.manager.submit(operation)
    await job
    from pathlib import Path

    kept = b"".join(file.read_bytes() for file in Path(database).parent.iterdir())
    assert job.id.encode() in kept
    for secret in (b"t0ken", b"geheim", b"secret=1"):
        assert secret not in kept

"""What a manager makes of odd answers, of a store that fails, and of leases that it loses. Answers are scripted."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, cast

import anyio
import attrs
import pytest

from tests.jobs.bench import Bench, opened
from tests.support.clock import VirtualClock
from vismanet_async._jobs.background_api import Answer
from vismanet_async._jobs.core.events import Recovered
from vismanet_async._jobs.core.states import State
from vismanet_async._jobs.core.transitions import advance
from vismanet_async._jobs.store import StoreNotUsable
from vismanet_async.errors import JobUncertain, NotSent, OutcomeUnknown, RateLimited, TransportError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.support.outside import Outside
    from vismanet_async._jobs.core.records import JobRecord
    from vismanet_async._jobs.store import JobStore, Leased

PATH = "/v1/x/1/action/release"
MINE = "73ac0029-1e4f-4adc-a7eb-318cd25ba4bf"
OTHER = "11111111-2222-4333-8444-555555555555"

pytestmark = pytest.mark.parametrize("database", ["memory"], indirect=True)


def document(status: str = "Finished", code: int = 200, **fields: Any) -> Answer:
    known = {"id": MINE, "status": status, "statusCode": code, "hasResponseContent": True}
    known["originalUri"] = f"https://finance.visma.net/1/api{PATH}"
    return Answer(status=200, body=json.dumps(known | fields).encode())


CONTENT = Answer(status=200, body=b'{"done": true}')
ACCEPTED = Answer(status=202, body=json.dumps({"id": MINE}).encode())


@attrs.define
class Script:
    """A `Submitter` that answers as it is told; the last answer of a list is given again and again."""

    states: list[Any] = attrs.field(factory=lambda: [document()])
    contents: list[Any] = attrs.field(factory=lambda: [CONTENT])
    accepted: Any = ACCEPTED
    asked: list[str] = attrs.field(factory=list)
    meanwhile: Callable[[], Awaitable[None]] | None = None
    """What happens while the next request is under way."""
    server_now: Callable[[], datetime] | None = None
    """The server's clock, which answers tell."""
    quota: None = None
    sender: None = None

    async def submit(self, operation: Any, *, background: str) -> Answer:
        return await self._give("submit", [self.accepted])

    async def state(self, job_id: str) -> Answer:
        return await self._give(job_id, self.states)

    async def content(self, job_id: str) -> Answer:
        return await self._give(f"{job_id}/content", self.contents)

    async def _give(self, what: str, answers: list[Any]) -> Answer:
        self.asked.append(what)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        if self.server_now is not None:
            answer = attrs.evolve(answer, headers={"Date": formatdate(self.server_now().timestamp(), usegmt=True)})
        return cast("Answer", answer)


@pytest.fixture
def clock(outside: Outside) -> VirtualClock:
    made = VirtualClock(scopes_move=True)
    made.stand_still_while(lambda: outside.under_way)
    return made


# leases are lost only where a test says so
@asynccontextmanager
async def following(script: Script, store: Any, clock: VirtualClock) -> AsyncIterator[Bench]:
    async with opened("http://127.0.0.1:1", store, clock=clock, border=lambda _: script, lease_seconds=1e9) as bench:
        yield bench


async def ended(bench: Bench, **options: Any) -> JobRecord:
    job = await bench.manager.submit(bench.release(PATH), **options)
    record: JobRecord = await job.wait(timeout_seconds=20_000)
    return record


def rate_limited() -> RateLimited:
    error = RateLimited("x", status=429)
    error.retry_after_seconds = 50.0
    return error


ODD = [
    Answer(status=500, body=b"<html>"),
    Answer(status=403, body=b'{"message": "no"}'),
    Answer(status=200, body=b"[]"),
    Answer(status=200, body=b"not JSON"),
    document(id=OTHER),
    TransportError("cut"),
    rate_limited(),
]


UNKNOWN = Answer(status=404, body=b'{"message": "unknown"}')
ENDED = document(finishedUtc="2026-03-01T12:00:09Z")


@pytest.mark.parametrize(
    ("states", "contents", "off_by"),
    [
        ([Answer(status=503), Answer(status=503), ENDED], [CONTENT], timedelta(days=2)),
        ([TransportError("cut"), ENDED], [CONTENT], timedelta(days=2)),
        ([UNKNOWN, ENDED], [CONTENT], timedelta(days=2)),
        ([UNKNOWN, ENDED], [CONTENT], -timedelta(days=2)),
        ([ENDED], [UNKNOWN, CONTENT], timedelta(days=2)),
        ([ENDED], [Answer(status=503), UNKNOWN, CONTENT], timedelta(days=2)),
    ],
)
async def test_a_clock_that_was_wrong_ends_no_job(
    store: JobStore, clock: VirtualClock, states: list[Any], contents: list[Any], off_by: timedelta
) -> None:
    script = Script(list(states), list(contents))
    script.server_now = lambda: datetime(2026, 3, 1, 12, tzinfo=UTC) + timedelta(seconds=clock.monotonic() - 1_000)

    async def corrected() -> None:
        clock._utc += off_by

    async with following(script, store, clock) as bench:
        job = await bench.manager.submit(bench.release(PATH))
        script.meanwhile = corrected
        record = await job.wait(timeout_seconds=20_000)
        assert (record.state, record.error) == (State.SUCCEEDED, None)
        assert record.received_at == datetime(2026, 3, 1, 12, tzinfo=UTC)


async def test_a_job_that_is_gone_at_the_server_expires_whatever_our_clock_says(
    store: JobStore, clock: VirtualClock
) -> None:
    script = Script([UNKNOWN])
    server = [datetime(2026, 3, 1, 12, tzinfo=UTC)]
    script.server_now = lambda: server[0]
    async with following(script, store, clock) as bench:
        job = await bench.manager.submit(bench.release(PATH))
        server[0] += timedelta(hours=25)  # our clock has stood still, as that of a machine that slept
        record = await job.wait(timeout_seconds=20_000)
        assert record.state is State.EXPIRED
        assert script.asked == ["submit", MINE]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: getattr(odd, "status", None) or type(odd).__name__)
async def test_a_state_that_cannot_be_read_is_asked_for_again(store: JobStore, clock: VirtualClock, odd: Any) -> None:
    script = Script(states=[odd, document()])
    async with following(script, store, clock) as bench:
        record = await ended(bench)
        assert (record.state, record.polls, record.error) == (State.SUCCEEDED, 2, None)
        # one that was refused may be repeated twice in five minutes, others after a while
        waited = (record.state_asked[1] - record.state_asked[0]).total_seconds()
        assert waited >= (150 if getattr(odd, "status", 0) == 403 else 15)


@pytest.mark.parametrize("odd", [Answer(status=502), TransportError("cut")], ids=["502", "cut"])
async def test_a_content_that_cannot_be_read_is_asked_for_again(store: JobStore, clock: VirtualClock, odd: Any) -> None:
    script = Script(contents=[odd, CONTENT])
    async with following(script, store, clock) as bench:
        record = await ended(bench)
        assert (record.state, record.polls) == (State.SUCCEEDED, 1)
        kept = await store.result(record.id)
        assert kept is not None
        assert kept.content == CONTENT.body
    assert script.asked.count(f"{MINE}/content") == 2


async def test_an_answer_of_seconds_ago_counts_as_often_as_it_was_asked(store: JobStore, clock: VirtualClock) -> None:
    script = Script(states=[attrs.evolve(document("Started"), asked=3), document()])
    async with following(script, store, clock) as bench:
        assert len((await ended(bench)).state_asked) == 4


async def lost(bench: Bench, script: Script) -> str:
    """A job whose submission got lost; gives our own id."""
    script.accepted = OutcomeUnknown("cut")
    with pytest.raises(JobUncertain) as caught:
        _ = await bench.manager.submit(bench.release(PATH), notify="subscription")
    return caught.value.job_id or ""


async def without_candidates(bench: Bench, own_id: str) -> JobRecord:
    while (record := await bench.manager.record(own_id)).candidates:
        await bench.visma.clock.sleep(1)
    return record


@pytest.mark.parametrize(
    "first",
    [Answer(status=404), Answer(status=403), document(originalUri="https://x/api/v1/x/2/action/release")],
    ids=["unknown", "of another company", "of another call"],
)
async def test_a_candidate_that_is_something_else_is_dropped(store: JobStore, clock: VirtualClock, first: Any) -> None:
    script = Script(states=[attrs.evolve(first), document()])
    async with following(script, store, clock) as bench:
        own_id = await lost(bench, script)
        first_id = MINE if first.status == 200 else OTHER
        await bench.manager.hint(own_id=own_id, job_ids=(first_id,), at=bench.now)
        record = await without_candidates(bench, own_id)
        assert (record.state, record.job_id) == (State.UNCERTAIN, None)
        assert script.asked == ["submit", first_id], "it is asked for once"


async def test_a_candidate_with_an_address_that_is_none_is_dropped(store: JobStore, clock: VirtualClock) -> None:
    script = Script(states=[document(originalUri="http://[bad/v1/x")])
    async with following(script, store, clock) as bench:
        own_id = await lost(bench, script)
        await bench.manager.hint(own_id=own_id, job_ids=(MINE,), at=bench.now)
        assert (await without_candidates(bench, own_id)).state is State.UNCERTAIN


@pytest.mark.parametrize("where", ["states", "contents"])
async def test_an_answer_that_ends_a_poll_ends_no_other(
    store: JobStore, clock: VirtualClock, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever one answer brings about, the client's other jobs go on, and this one is asked for again."""
    script = Script()
    setattr(script, where, [KeyError("SECRET"), *getattr(script, where)])
    async with following(script, store, clock) as bench:
        record = await ended(bench)
        assert (record.state, record.error) == (State.SUCCEEDED, None)
        assert script.asked.count(MINE if where == "states" else f"{MINE}/content") == 2
        [logged] = [each for each in caplog.records if each.levelname == "ERROR"]
        assert record.id in logged.getMessage()
        assert "KeyError" in logged.getMessage()
        assert "SECRET" not in caplog.text


async def test_a_candidate_that_always_ends_its_poll_is_asked_again(store: JobStore, clock: VirtualClock) -> None:
    script = Script(states=[KeyError("x"), document()])
    async with following(script, store, clock) as bench:
        own_id = await lost(bench, script)
        await bench.manager.hint(own_id=own_id, job_ids=(MINE,), at=bench.now)
        assert (await (await bench.manager.get(own_id)).wait(timeout_seconds=20_000)).state is State.SUCCEEDED


async def test_a_candidate_that_cannot_be_read_is_asked_for_again(store: JobStore, clock: VirtualClock) -> None:
    script = Script(states=[Answer(status=502), document()])
    async with following(script, store, clock) as bench:
        own_id = await lost(bench, script)
        await bench.manager.hint(own_id=own_id, job_ids=(MINE,), at=bench.now)
        record = await (await bench.manager.get(own_id)).wait(timeout_seconds=20_000)
        assert (record.state, record.job_id) == (State.SUCCEEDED, MINE)


async def test_one_server_id_is_not_given_to_two_jobs(store: JobStore, clock: VirtualClock) -> None:
    script = Script()

    async def another_has_it() -> None:
        other = attrs.evolve(await bench.manager.record(own_id), id="other", state=State.SUBMITTED, job_id=MINE)
        await store.write_intent(other, owner="other", until=clock.utc_now() + timedelta(hours=9))

    async with following(script, store, clock) as bench:
        own_id = await lost(bench, script)
        script.meanwhile = another_has_it
        await bench.manager.hint(own_id=own_id, job_ids=(MINE,), at=bench.now)
        record = await without_candidates(bench, own_id)
        assert (record.state, record.job_id) == (State.UNCERTAIN, None)


async def take_away(store: JobStore, clock: VirtualClock) -> None:
    """Another process takes all jobs over, as when this one was suspended for an hour."""
    later = clock.utc_now() + timedelta(days=100_000)
    for leased in await store.claim(company="c", owner="other", now=later, until=later):
        if leased.record.state is State.INTENT:
            await store.save(leased, advance(leased.record, Recovered(at=later)))


async def test_who_lost_its_lease_while_asking_changes_nothing(store: JobStore, clock: VirtualClock) -> None:
    script = Script()
    async with following(script, store, clock) as bench:
        job = await bench.manager.submit(bench.release(PATH))
        script.meanwhile = lambda: take_away(store, clock)
        while job.id in bench.manager._jobs:
            await clock.sleep(1)
        record = await job.status()
        assert (record.state, record.unanswered) == (State.SUBMITTED, True)
        assert script.asked == ["submit", MINE]


async def test_a_lease_that_was_lost_and_won_back_while_asking(store: JobStore, clock: VirtualClock) -> None:
    """The answer that comes late is not believed, and the job is asked for again, not forgotten."""
    script = Script()

    async def suspended() -> None:
        await take_away(store, clock)
        await store.release(owner="other")
        await bench.manager._jobs.take_over(None)

    async with following(script, store, clock) as bench:
        job = await bench.manager.submit(bench.release(PATH))
        script.meanwhile = suspended
        assert (await job.wait(timeout_seconds=20_000)).state is State.SUCCEEDED
    assert script.asked == ["submit", MINE, MINE, f"{MINE}/content"]


@pytest.mark.parametrize("won_back", [False, True])
async def test_a_lease_that_is_lost_just_after_an_answer_was_written_down(
    store: JobStore, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch, won_back: bool
) -> None:
    """The poller goes on with other jobs, and whoever has the next lease asks for the content."""
    script = Script()
    save = store.save
    fences: list[int] = []

    async def and_lost(leased: Leased, record: JobRecord, **options: Any) -> Leased:
        saved = await save(leased, record, **options)
        if record.content_due and not fences:
            fences.append(saved.fencing_token)
            held = bench.manager._jobs
            held.abandon(record.id)
            await held.release([record.id])
            if won_back:
                fences.extend(one.fencing_token for one in await held.take_over(None))
        return saved

    monkeypatch.setattr(store, "save", and_lost)
    async with following(script, store, clock) as bench:
        job = await bench.manager.submit(bench.release(PATH))
        while not fences:
            await clock.sleep(1)
        if not won_back:
            assert job.id not in bench.manager._jobs
            await clock.sleep(100)
            assert script.asked == ["submit", MINE]
            await bench.manager._jobs.take_over(None)
        assert (await job.wait(timeout_seconds=20_000)).state is State.SUCCEEDED
        assert len(set(fences)) == 1 + won_back
    assert script.asked == ["submit", MINE, f"{MINE}/content"]


async def test_who_lost_its_lease_while_submitting_leaves_the_id_as_evidence(
    store: JobStore, clock: VirtualClock
) -> None:
    script = Script()
    script.meanwhile = lambda: take_away(store, clock)
    async with following(script, store, clock) as bench:
        with pytest.raises(JobUncertain):
            _ = await bench.manager.submit(bench.release(PATH))
        [record] = await bench.manager.list()
        assert (record.state, record.candidates) == (State.UNCERTAIN, (MINE,))
        assert record.id not in bench.manager._jobs
        # its successor finds the job by that
        await store.release(owner="other")
        assert [job.id for job in await bench.manager.resume()] == [record.id]
        assert (await (await bench.manager.get(record.id)).wait(timeout_seconds=300)).state is State.SUCCEEDED


async def test_a_store_that_fails_while_asking_is_tried_again(store: JobStore, clock: VirtualClock) -> None:
    failing = [True]

    class Failing:
        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        async def save(self, leased: Any, record: JobRecord, **options: Any) -> Any:
            if record.unanswered and failing:
                failing.pop()
                raise StoreNotUsable("down")
            return await store.save(leased, record, **options)

    script = Script()
    async with following(script, Failing(), clock) as bench:
        assert (await ended(bench)).state is State.SUCCEEDED
    assert script.asked == ["submit", MINE, f"{MINE}/content"], "nothing is asked that is not written down"


async def test_a_submission_cancelled_in_the_queue_was_never_sent(store: JobStore, clock: VirtualClock) -> None:
    script = Script(states=[document("Started")])
    async with following(script, store, clock) as bench:
        _ = await bench.manager.submit(bench.release(PATH))
        second = asyncio.create_task(bench.manager.submit(bench.release(PATH)))
        while len(await bench.manager.list()) < 2:
            await anyio.lowlevel.checkpoint()
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            _ = await second
        [newest, _] = await bench.manager.list()
        assert (newest.state, newest.error) == (State.FAILED, "never sent: given up in the queue")
        with pytest.raises(NotSent):
            await (await bench.manager.get(newest.id))
    assert script.asked.count("submit") == 1


async def test_a_submission_cancelled_under_way_is_uncertain(store: JobStore, clock: VirtualClock) -> None:
    script, under_way = Script(), anyio.Event()

    async def hang() -> None:
        under_way.set()
        await anyio.sleep_forever()

    script.meanwhile = hang
    async with following(script, store, clock) as bench:
        submitting = asyncio.create_task(bench.manager.submit(bench.release(PATH)))
        await under_way.wait()
        submitting.cancel()
        with pytest.raises(asyncio.CancelledError):
            _ = await submitting
        [record] = await bench.manager.list()
        assert (record.state, record.error) == (State.UNCERTAIN, "no answer to the submission: CancelledError")


async def test_a_lease_that_runs_out_unnoticed_is_noticed_on_renewal(store: JobStore, clock: VirtualClock) -> None:
    script = Script(states=[document("Started")])
    async with following(script, store, clock) as bench:
        job = await bench.manager.submit(bench.release(PATH), notify="subscription")
        assert job.id in bench.manager._jobs
        await take_away(store, clock)
        await bench.manager._jobs.renew()
        assert job.id not in bench.manager._jobs
        # and one that is held by mistake is given back, at the second look
        await store.release(owner="other")
        [claimed] = await bench.manager._jobs.claim([job.id])
        for _ in range(2):
            await bench.manager._jobs.renew()
        assert await store.claim(company="c", owner="x", now=bench.now, until=bench.now) != []
        assert claimed.record.id == job.id

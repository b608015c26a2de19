"""A submission that is cancelled at every await, and whose store fails at every call: nothing held, lost or twice."""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections import Counter
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from tests.jobs.bench import Bench, opened
from tests.jobs.disturbed import (
    Disturbed,
    How,
    Server,
    Trouble,
    at_rest,
    check_end,
    held_by_nobody,
    submitted_in_trouble,
    until,
)
from tests.jobs.fast import FastClock
from tests.support.hang import HANG_SECONDS
from vismanet_async._jobs.background_api import Answer
from vismanet_async._jobs.core.events import Accepted, Answered, Lost, NeverSent
from vismanet_async._jobs.core.records import JobRecord, OperationSummary
from vismanet_async._jobs.core.states import State
from vismanet_async._jobs.course import Course, Step
from vismanet_async._jobs.schedule import Rules
from vismanet_async._jobs.store import StoreNotUsable
from vismanet_async.errors import (
    Attempt,
    BadRequest,
    DeadlineExceeded,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    RequestRefused,
    TokenRefused,
    UnexpectedResponse,
    VismaNetError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from vismanet_async._jobs.store import JobStore

NOW = datetime(2026, 3, 1, tzinfo=UTC)
CANCELS = int(os.environ.get("VISMANET_CANCELS", "100"))
"""How many submissions are cancelled at random; `VISMANET_CANCELS=10000` for the long run."""
AT_ONCE = 40
SPEED = 200.0
RULES = Rules(with_webhook_seconds=3.0, unknown_quota_per_second=100.0)

each_backend = pytest.mark.parametrize("database", ["sqlite", "memory", "postgresql"], indirect=True)
pytestmark = pytest.mark.timeout(max(120, CANCELS))


# -- what is certain, step by step -----------------------------------------------------------------------------------


def intent() -> JobRecord:
    note = OperationSummary(id="x", method="POST", path="/v1/x/1/action/release")
    return JobRecord(id="a", company="c", operation=note, created_at=NOW)


def answered(error: VismaNetError) -> VismaNetError:
    error.attempts = (Attempt(number=1, started_after_seconds=0.0, duration_seconds=0.1, outcome="200"),)
    return error


SENT_ERRORS = [
    (NotSent("no route"), NeverSent),
    (RequestRefused("bad"), NeverSent),
    (TokenRefused("no"), NeverSent),
    (RateLimited("later", status=429), NeverSent),
    (DeadlineExceeded("late", sent=False), NeverSent),
    (DeadlineExceeded("late", sent=True), Lost),
    (OutcomeUnknown("cut"), Lost),
    (UnexpectedResponse("a page instead of a token"), NeverSent),
    (answered(UnexpectedResponse("a page instead of the answer")), Lost),
    (asyncio.CancelledError(), Lost),
    (KeyboardInterrupt(), Lost),
    (ValueError("a fault of our own"), Lost),
]


@pytest.mark.parametrize("step", [step for step in Step if step not in {Step.SENT, Step.ANSWERED}])
@pytest.mark.parametrize("error", [each for each, _ in SENT_ERRORS] + [StoreNotUsable("down")])
def test_before_it_is_sent_nothing_has_left(step: Step, error: BaseException) -> None:
    assert isinstance(Course(record=intent(), step=step).ending(at=NOW, error=error), NeverSent)


@pytest.mark.parametrize(("error", "ending"), SENT_ERRORS)
def test_once_it_is_sent_only_an_error_that_says_so_means_that_it_did_not_leave(
    error: BaseException, ending: type[Any]
) -> None:
    assert isinstance(Course(record=intent(), step=Step.SENT).ending(at=NOW, error=error), ending)


@pytest.mark.parametrize(
    ("answer", "ending"),
    [
        (Answer(status=202, body=b'{"id": "J"}'), Accepted(at=NOW, job_id="J")),
        (Answer(status=202), Lost(at=NOW, reason="a 202 without a job id")),
        (Answer(status=400, body=b'{"message": "no"}'), Answered(at=NOW, status_code=400, error="no")),
    ],
)
@pytest.mark.parametrize("error", [None, asyncio.CancelledError(), StoreNotUsable("down")])
def test_what_was_answered_stays_known_whatever_follows(
    answer: Answer, ending: Any, error: BaseException | None
) -> None:
    course = Course(record=intent(), step=Step.SENT)
    course.answered(answer, at=NOW, decode=lambda response: response)
    assert course.ending(at=NOW, error=error) == ending


# -- each call, in each way --------------------------------------------------------------------------------------------


@asynccontextmanager
async def disturbed(store: JobStore, server: Server) -> AsyncIterator[Bench]:
    def border(_: Any) -> Any:
        return Disturbed(server)

    clock = FastClock(SPEED)
    wrapped: Any = Disturbed(store)
    # leases are lost only where a test says so, however busy the machine; polls do not wait for webhooks here
    options: dict[str, Any] = {"lease_seconds": 1e9, "rules": RULES}
    async with opened("http://127.0.0.1:1", wrapped, clock=clock, border=border, **options) as bench:
        yield bench


async def calls_of(store: JobStore, path: str, **options: Any) -> list[str]:
    """The calls of a submission that nothing disturbs."""
    async with disturbed(store, Server()) as bench:
        trouble = Trouble()
        assert await submitted_in_trouble(bench, path, trouble, **options) is None
        await at_rest(bench)
    return trouble.calls


@each_backend
@pytest.mark.parametrize("how", How)
@pytest.mark.parametrize("document", ["auto", None], ids=["in a queue", "beside others"])
async def test_disturbed_at_every_call(store: JobStore, how: How, document: str | None) -> None:
    options: dict[str, Any] = {"document": document, "notify": "subscription"}
    calls = await calls_of(store, "/v1/x/0/action/release", **options)
    assert calls == ["write_intent", *([] if document is None else ["predecessor", "save"]), "submit", "save", "get"]
    ends: Counter[str] = Counter()
    async with disturbed(store, Server()) as bench:
        for at in range(1, len(calls) + 1):
            ends[
                await disturbed_once(bench, store, f"/v1/x/{at}/action/release", Trouble(at=at, how=how), **options)
            ] += 1
    if how in {How.CANCELLED_BEFORE, How.CANCELLED_DURING, How.CANCELLED_AFTER}:
        assert ends["uncertain"] == (how is not How.CANCELLED_AFTER), "the one whose request was cut off"
    assert ends["succeeded"] >= 1
    assert ends["never sent"] + ends["not written"] >= 1


@each_backend
@pytest.mark.parametrize("how", [How.FAILED_BEFORE, How.FAILED_AFTER])
async def test_a_store_that_is_away_for_a_while_at_every_call(store: JobStore, how: How) -> None:
    """What is tried meanwhile fails as well: the intent, its end, leases that are given up."""
    calls = await calls_of(store, "/v1/x/0/action/release")
    async with disturbed(store, Server()) as bench:
        for at in range(1, len(calls) + 1):
            trouble = Trouble(at=at, how=how, lasting=1000)
            await disturbed_once(bench, store, f"/v1/x/{at}/action/release", trouble)


async def disturbed_once(bench: Bench, store: JobStore, path: str, trouble: Trouble, **options: Any) -> str:
    """Disturb one submission, and look at what is left of it when the store works again."""
    server: Any = bench.manager.submission(reference=None).submitter
    error = await submitted_in_trouble(bench, path, trouble, **options)
    if error is None:
        assert server.executed[path] == 1
    elif isinstance(error, StoreNotUsable):
        assert error.job_id == server.ids.get(path), "the id that was read is on the error"
        assert ("Nothing was sent" in str(error)) == (error.job_id is None)
    else:
        assert isinstance(error, asyncio.CancelledError)
    await at_rest(bench)
    found = [record for record in await store.select(company="c") if record.operation.path == path]
    if not found:
        assert not server.executed[path]
        end = "not written"
    else:
        [record] = found
        end = check_end(record, server, error)
        if record.state is State.UNCERTAIN:
            assert await held_by_nobody(bench, store, [record.id])
            await store.release(owner="another")
            await bench.manager.settle(record.id, outcome="failed")
    # the document is free for the next one
    _ = await bench.manager.submit(bench.release(f"{path}Again"))
    return end


@pytest.mark.parametrize("database", ["memory"], indirect=True)
async def test_the_servers_id_is_on_the_error_and_in_the_log_and_found_later(
    store: JobStore, caplog: pytest.LogCaptureFixture
) -> None:
    server, path = Server(), "/v1/x/1/action/release"
    trouble = Trouble(at=5, how=How.FAILED_BEFORE)
    async with disturbed(store, server) as bench:
        with caplog.at_level(logging.WARNING, "vismanet_async.jobs"):
            error = await submitted_in_trouble(bench, path, trouble)
        assert isinstance(error, StoreNotUsable)
        assert error.job_id == server.ids[path]
        assert "Do not submit it again" in str(error)
        assert server.ids[path] in caplog.text
        await until(lambda: not len(bench.manager._work.conclusions))
        job = await bench.manager.get(error.job_id or "")
        with anyio.fail_after(HANG_SECONDS):
            assert (await job.wait()).state is State.SUCCEEDED


@pytest.mark.parametrize("database", ["memory"], indirect=True)
async def test_what_could_not_be_written_is_written_when_the_manager_closes(store: JobStore) -> None:
    server, path = Server(), "/v1/x/1/action/release"
    async with disturbed(store, server) as bench:
        await submitted_in_trouble(bench, path, Trouble(at=5, how=How.FAILED_BEFORE))
    [record] = await store.select(company="c")
    assert record.job_id == server.ids[path]
    assert await held_by_nobody(bench, store, [record.id]) or record.settled


@pytest.mark.parametrize("database", ["memory"], indirect=True)
async def test_what_was_never_written_is_logged_when_the_manager_closes(
    store: JobStore, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, path = Server(), "/v1/x/1/action/release"

    async def fail(*_args: Any, **_options: Any) -> None:
        raise StoreNotUsable("down")

    async with disturbed(store, server) as bench:
        real = server.submit

        async def submit(*args: Any, **options: Any) -> Answer:
            answer = await real(*args, **options)
            for name in ("save", "release", "get", "hints", "renew"):
                monkeypatch.setattr(store, name, fail)
            return answer

        monkeypatch.setattr(Server, "submit", lambda _self, *args, **options: submit(*args, **options))
        with pytest.raises(StoreNotUsable):
            _ = await bench.manager.submit(bench.release(path))
        caplog.clear()
    told = [each.getMessage() for each in caplog.records if each.levelno == logging.ERROR]
    assert len(told) == 1
    assert server.ids[path] in told[0]


@each_backend
@pytest.mark.parametrize("taken_over", [False, True])
async def test_the_id_is_kept_although_the_lease_was_lost_while_the_answer_was_awaited(
    store: JobStore, taken_over: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store was away for as long as the lease lasts, or the process slept; another one may have taken it over."""
    server, path = Server(), "/v1/x/1/action/release"
    real = Server.submit
    async with disturbed(store, server) as bench:

        async def submit(self: Server, *args: Any, **options: Any) -> Answer:
            answer = await real(self, *args, **options)
            [own_id] = bench.manager._jobs._leases
            if taken_over:
                later = bench.now + timedelta(seconds=2e9)
                [_] = await store.claim(company="c", owner="another", now=later, until=later, ids=[own_id])
            bench.manager._jobs.abandon(own_id)
            return answer

        monkeypatch.setattr(Server, "submit", submit)
        job = await bench.manager.submit(bench.release(path))
        [record] = await store.select(company="c")
        assert server.executed[path] == 1
        if taken_over:  # who has it now finds it by this
            assert record.candidates == (server.ids[path],)
            return
        assert record.job_id == server.ids[path]
        with anyio.fail_after(HANG_SECONDS):
            assert (await job.wait()).state is State.SUCCEEDED


@pytest.mark.parametrize("database", ["memory"], indirect=True)
async def test_of_many_those_under_way_are_finished_when_the_store_fails(
    store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cutting them off would leave jobs whose ids nobody knows."""
    server = Server()
    written, enough = 0, anyio.Event()
    real = store.write_intent

    async def write_intent(record: JobRecord, **options: Any) -> Any:
        nonlocal written
        written += 1
        if written == 4:
            enough.set()
            raise StoreNotUsable("down")
        await enough.wait()
        return await real(record, **options)

    monkeypatch.setattr(store, "write_intent", write_intent)
    async with disturbed(store, server) as bench:
        operations = [bench.release(f"/v1/x/{number}/action/release") for number in range(9)]
        with pytest.raises(StoreNotUsable, match="Nothing was sent") as caught:
            await bench.manager.submit_many(operations, at_once=4)
        assert caught.value.__notes__ == ["8 of 9 operations were submitted and are in the store; no more were begun."]
        await at_rest(bench)
        records = await store.select(company="c")
        assert {record.state for record in records} == {State.SUCCEEDED}
        assert len(records) == server.executed.total()


# -- at random ---------------------------------------------------------------------------------------------------------


@each_backend
async def test_cancelled_at_random_nothing_is_held(store: JobStore) -> None:
    """Several submissions a document, so that queues are given up as well."""
    chance = random.Random(CANCELS)
    server = Server()
    errors: dict[str, BaseException | None] = {}

    async def one(number: int, limiter: anyio.CapacityLimiter) -> None:
        path = f"/v1/x/{number % 97}/action/n{number}"
        trouble = Trouble(at=chance.randrange(8), how=chance.choice([*How]), lasting=chance.choice([1, 1, 3]))
        async with limiter:
            errors[path] = await submitted_in_trouble(
                bench, path, trouble, document=chance.choice(["auto", "auto", None])
            )

    async with disturbed(store, server) as bench:
        async with anyio.create_task_group() as tasks:
            limiter = anyio.CapacityLimiter(AT_ONCE)
            for number in range(CANCELS):
                tasks.start_soon(one, number, limiter)
        await at_rest(bench)
        records = await store.select(company="c", limit=2 * CANCELS)
        ends = Counter(check_end(each, server, errors[each.operation.path]) for each in records)
        uncertain = {each.id for each in records if each.state is State.UNCERTAIN}
        assert await held_by_nobody(bench, store, uncertain) == uncertain
    assert not [each for each in records if each.state is State.INTENT], "0 held intents"
    assert server.executed.total() == ends["succeeded"] + sum(
        server.executed[each.operation.path] for each in records if each.state is State.UNCERTAIN
    ), "what the server has is written down"
    assert len(errors) == CANCELS


@pytest.mark.parametrize("database", ["memory"], indirect=True)
async def test_refused_at_once_is_said_although_the_store_is_away(
    store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_args: Any, **_options: Any) -> Answer:
        return Answer(status=400, body=b'{"message": "no such thing"}')

    server = Server()
    monkeypatch.setattr(Server, "submit", refuse)
    async with disturbed(store, server) as bench:
        trouble = Trouble(at=5, how=How.FAILED_BEFORE)
        assert isinstance(await submitted_in_trouble(bench, "/v1/x/1/action/release", trouble), BadRequest)
        await at_rest(bench)
        [record] = await store.select(company="c")
        assert (record.state, record.status_code) == (State.FAILED, 400)

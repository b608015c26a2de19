"""The job state machine, alone and against random orders of everything that can happen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs
import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from vismanet_async._jobs.core.background_header import background_header, ordering_key
from vismanet_async._jobs.core.events import (
    Accepted,
    Answered,
    ContentRead,
    DeadlinePassed,
    Found,
    Lost,
    NeverSent,
    Polled,
    Recovered,
    Sending,
    Settled,
    Unreadable,
    Vanished,
)
from vismanet_async._jobs.core.records import JobRecord, OperationSummary, StateDocument
from vismanet_async._jobs.core.states import State
from vismanet_async._jobs.core.transitions import GIVEN_UP_AFTER, TransitionError, advance
from vismanet_async._jobs.results import error_of
from vismanet_async.errors import JobFailed, JobUncertain, RequestRefused

if TYPE_CHECKING:
    from vismanet_async._jobs.core.events import Event

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SAMPLE = b"""{"id":"73ac0029-1e4f-4adc-a7eb-318cd25ba4bf","status":"Finished","statusCode":400,
 "receivedUtc":"2022-11-10T10:20:53.75+01:00","startedUtc":"2022-11-10T10:20:54.393+01:00",
 "finishedUtc":"2022-11-10T10:20:55.788+01:00","webhookAddress":"https://google.com",
 "originalUri":"https://finance.visma.net/0921001005/api/v1/customerPayment/400654/action/release",
 "hasResponseContent":true,"hasRequestContent":true,"contentLocation":"https://elsewhere.example/x",
 "errorMessage":null,"reference":null,"responseHeaders":null}"""


def intent(**fields: Any) -> JobRecord:
    note = OperationSummary(id="x", method="POST", path="/v1/x/1/action/release")
    return attrs.evolve(JobRecord(id="a", company="c", operation=note, created_at=NOW, sending_at=NOW), **fields)


def after(record: JobRecord, *events: Event) -> JobRecord:
    for event in events:
        record = advance(record, event)
    return record


def polled(status: str = "Started", code: int = 0, **fields: Any) -> Polled:
    return Polled(at=NOW, document=StateDocument(status=status, status_code=code, **fields))


ACCEPTED = Accepted(at=NOW, job_id="J")


def test_finished_means_nothing_the_status_code_decides() -> None:
    document = StateDocument.read(SAMPLE)
    assert (document.done, document.succeeded) == (True, False)
    assert document.run_seconds == pytest.approx(2.038)
    assert document.started_at == datetime(2022, 11, 10, 9, 20, 54, 393000, UTC)
    record = after(intent(), ACCEPTED, attrs.evolve(polled(), document=attrs.evolve(document, job_id="J")))
    assert (record.state, record.content_due, record.verdict) == (State.RUNNING, True, "failed")
    assert after(record, ContentRead(at=NOW)).state is State.FAILED


@pytest.mark.parametrize(
    ("event", "state"),
    [
        (polled("Finished", 200), State.RUNNING),
        (polled("Finished", 204, has_content=False), State.SUCCEEDED),
        (polled("finished", 412, has_content=False), State.FAILED),
        (polled("Failed", has_content=False), State.UNCERTAIN),
        (polled("Failed", 200, has_content=False), State.UNCERTAIN),
        (polled("Failed", 400, has_content=False), State.FAILED),
        (polled("Finished", 0), State.SUBMITTED),
        (polled("Completed", 200), State.SUBMITTED),
        (polled("Queued?", started_at=NOW), State.RUNNING),
        (polled("Started"), State.RUNNING),
        (Vanished(at=NOW, status_code=404), State.EXPIRED),
        (Vanished(at=NOW, status_code=410), State.EXPIRED),
        (Unreadable(at=NOW + timedelta(hours=24), reason="?"), State.SUBMITTED),
        (Unreadable(at=NOW + timedelta(hours=25), reason="?"), State.EXPIRED),
        (DeadlinePassed(at=NOW), State.UNCERTAIN),
        (ACCEPTED, State.SUBMITTED),
        (Lost(at=NOW, reason="late"), State.SUBMITTED),
        (Recovered(at=NOW), State.SUBMITTED),
    ],
)
def test_what_follows_submission(event: Event, state: State) -> None:
    assert after(intent(), ACCEPTED, event).state is state


@pytest.mark.parametrize(
    ("ours", "server", "state"),
    [
        (timedelta(days=2), timedelta(0), State.SUBMITTED),
        (timedelta(days=2), timedelta(hours=24), State.SUBMITTED),
        (-timedelta(days=2), timedelta(hours=25), State.EXPIRED),
        (timedelta(days=2), None, State.SUBMITTED),
    ],
)
def test_the_age_of_a_job_goes_by_the_server_s_clock(ours: timedelta, server: timedelta | None, state: State) -> None:
    accepted = Accepted(at=NOW, job_id="J", server_at=NOW)
    unreadable = Unreadable(at=NOW + ours, server_at=None if server is None else NOW + server, reason="?")
    assert after(intent(), accepted, unreadable).state is state
    # a job of an earlier version: the state document tells it
    told = polled("Started", received_at=NOW)
    assert after(intent(), ACCEPTED, told, unreadable).state in {state, State.RUNNING}
    assert after(intent(), ACCEPTED, told).received_at == NOW
    found = Found(at=NOW, job_id="J", server_at=NOW)
    assert after(intent(), Lost(at=NOW, reason="?"), found).received_at is None


@pytest.mark.parametrize("code", [0, 200, 204])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_a_write_that_the_queue_failed_is_uncertain(code: int, method: str) -> None:
    submitted = after(intent(), ACCEPTED)
    submitted = attrs.evolve(submitted, operation=attrs.evolve(submitted.operation, method=method))
    failed = after(submitted, polled("Failed", code, has_content=False, error_message="out of memory"))
    due = after(submitted, polled("Failed", code, error_message="out of memory"))
    for ended in (failed, after(due, ContentRead(at=NOW)), after(due, ContentRead(at=NOW, missing=True))):
        assert ended.state is (State.FAILED if method == "GET" else State.UNCERTAIN)
        assert type(error_of(ended, None)) is (JobFailed if method == "GET" else JobUncertain)
        assert "out of memory" in str(error_of(ended, None))


@pytest.mark.parametrize("code", [408, 500, 502, 503, 504])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_a_write_that_was_answered_with_unavailable_is_uncertain(code: int, method: str) -> None:
    """As a call that is sent directly: `OutcomeUnknown` for these statuses, and for 500 the server's own error."""
    unknown = code != 500 and method != "GET"
    submitted = after(intent(), ACCEPTED)
    submitted = attrs.evolve(submitted, operation=attrs.evolve(submitted.operation, method=method))
    due = after(submitted, polled("Finished", code))
    given_up = Unreadable(at=NOW + timedelta(hours=26), reason="502")
    for ended in (
        after(submitted, polled("Finished", code, has_content=False)),
        after(submitted, polled("Failed", code, has_content=False, error_message="too busy")),
        after(due, ContentRead(at=NOW)),
        after(due, ContentRead(at=NOW, missing=True)),
        after(due, given_up),
    ):
        assert ended.state is (State.UNCERTAIN if unknown else State.FAILED)
        assert (ended.status_code, ended.content_due) == (code, False)
        assert ended.settled is not unknown
        if unknown:
            assert f"answered with {code}" in (ended.error or "")
            assert after(ended, Settled(at=NOW, outcome="succeeded", note="seen")).state is State.SUCCEEDED


@pytest.mark.parametrize(
    ("event", "state"),
    [
        (Answered(at=NOW, status_code=200), State.SUCCEEDED),
        (Answered(at=NOW, status_code=400), State.FAILED),
        (Answered(at=NOW, status_code=408), State.UNCERTAIN),
        (Answered(at=NOW, status_code=500), State.UNCERTAIN),
        (Answered(at=NOW, status_code=504), State.UNCERTAIN),
        (NeverSent(at=NOW, reason="x"), State.FAILED),
        (Lost(at=NOW, reason="x"), State.UNCERTAIN),
        (Recovered(at=NOW), State.UNCERTAIN),
    ],
)
def test_what_follows_an_intent(event: Event, state: State) -> None:
    assert after(intent(), event).state is state


def test_what_was_never_sent_is_known_to_be_so() -> None:
    waiting = intent(sending_at=None)
    for event in (Recovered(at=NOW), DeadlinePassed(at=NOW)):
        ended = after(waiting, event)
        assert ended.state is State.FAILED
        assert "never sent" in (ended.error or "")
        with pytest.raises(TransitionError):
            advance(ended, Sending(at=NOW))
    with pytest.raises(TransitionError, match="never sent twice"):
        advance(intent(), Sending(at=NOW))
    with pytest.raises(TransitionError, match="never sent"):
        advance(waiting, Found(at=NOW, job_id="J"))


def test_an_unknown_status_is_kept_word_for_word() -> None:
    assert after(intent(), ACCEPTED, polled("Paused by moon")).server_status == "Paused by moon"


def test_another_jobs_document_is_refused() -> None:
    record = after(intent(), ACCEPTED)
    with pytest.raises(TransitionError):
        advance(record, polled("Finished", 200, job_id="OTHER"))
    with pytest.raises(TransitionError):
        advance(record, Found(at=NOW, job_id="OTHER"))
    assert advance(record, polled("Started", job_id="j")).state is State.RUNNING


def test_uncertain_jobs_are_found_or_settled_by_hand() -> None:
    lost = after(intent(), Lost(at=NOW, reason="x"))
    assert after(lost, Found(at=NOW, job_id="J")).state is State.SUBMITTED
    said = after(lost, Settled(at=NOW, outcome="failed", note="seen"))
    assert (said.state, said.settled_by) == (State.FAILED, "user")
    assert after(said, Found(at=NOW, job_id="J")).state is State.SUBMITTED, "the server knows better than the user"
    with pytest.raises(TransitionError):
        advance(after(intent(), ACCEPTED), Settled(at=NOW, outcome="failed", note=""))
    overdue = after(intent(deadline_at=NOW), ACCEPTED, DeadlinePassed(at=NOW))
    followed = after(overdue, Found(at=NOW, job_id="J"))
    assert (followed.state, followed.deadline_at) == (State.SUBMITTED, None)
    assert after(overdue, polled("Finished", 200, has_content=False)).state is State.SUCCEEDED
    assert after(overdue, polled("Started")).state is State.UNCERTAIN


def test_a_job_whose_submission_got_lost_keeps_its_deadline_when_it_is_found() -> None:
    """Whoever waits for it would wait for as long as the server knows it, a day, else."""
    later = NOW + timedelta(minutes=5)
    for lost in (Lost(at=NOW, reason="x"), Recovered(at=NOW)):
        found = after(intent(deadline_at=later), lost, Found(at=NOW, job_id="J"))
        assert (found.state, found.deadline_at) == (State.SUBMITTED, later)
    too_late = after(intent(deadline_at=later), Lost(at=NOW, reason="x"), Found(at=later, job_id="J"))
    assert too_late.deadline_at is None


def test_content_that_cannot_be_had_does_not_change_how_it_ended() -> None:
    ended = after(intent(), ACCEPTED, polled("Finished", 200))
    gone = after(ended, ContentRead(at=NOW, missing=True))
    assert (gone.state, gone.error) == (State.SUCCEEDED, "its content was gone")
    assert after(ended, Unreadable(at=NOW, reason="502")) == ended
    late = after(ended, Unreadable(at=NOW + timedelta(hours=26), reason="502"))
    assert (late.state, late.error) == (State.SUCCEEDED, "its content could not be read")


@given(
    st.binary()
    | st.text().map(str.encode)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda each: (
            st.lists(each)
            | st.dictionaries(
                st.sampled_from(
                    ["status", "statusCode", "id", "startedUtc", "responseHeaders", "hasResponseContent", "x"]
                ),
                each,
            )
        ),
    ).map(lambda value: __import__("json").dumps(value).encode())
)
def test_any_bytes_are_a_document_or_refused(body: bytes) -> None:
    try:
        document = StateDocument.read(body)
    except ValueError:
        return
    assert isinstance(document.status, str)
    assert document.done in {True, False}


@given(st.text(max_size=300))
def test_no_reference_breaks_out_of_the_header(reference: str) -> None:
    try:
        header = background_header(notify="subscription", own_id="0a", reference=reference)
    except RequestRefused:
        return
    assert header.isascii()
    assert header.isprintable()
    pairs = header.removeprefix("subscription:").split(",")
    assert [pair.count("=") for pair in pairs] == [1] * len(pairs)
    assert len(pairs) == (2 if reference else 1)


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=4))
def test_no_own_header_breaks_out_of_the_header(headers: dict[str, str]) -> None:
    try:
        value = background_header(notify="subscription", own_id="0a", reference="r", headers=headers)
    except RequestRefused:
        return
    assert value.isascii()
    assert value.isprintable()
    pairs = [pair.split("=") for pair in value.removeprefix("subscription:").split(",")]
    assert dict(pairs[2:]) == headers
    assert pairs[:2] == [["X-Vismanet-Job", "0a"], ["X-Vismanet-Reference", "r"]]


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        *(({name: "1"}, "Take another name") for name in ("X-Vismanet-Job", "x-vismanet-reference", "x-vismanet-new")),
        *(({name: "1"}, "Take another name") for name in ("X-Visma-Signature", "host", "Content-Type", "Connection")),
        *(({name: "1"}, "name of a header") for name in ("", "a b", "a=b", "a,b", "å", "a:", "a\n")),
        *(({"a": value}, "must have a value") for value in ("", " 1", "1 ", "1,2", "1=2", "å", "1\r\nb: 2", "\0")),
        ({"batch": "1", "Batch": "2"}, "given twice"),
        ({"a": "1" * 4000}, "4000 characters"),
        ({"a": 1}, "headers"),
        ("a=1", "headers"),
    ],
)
def test_headers_that_would_collide_or_break_are_refused(headers: Any, says: str) -> None:
    with pytest.raises(RequestRefused, match=says):
        background_header(notify="subscription", own_id="0a", headers=headers)


def test_headers_that_no_webhook_would_bring_back_are_refused() -> None:
    with pytest.raises(RequestRefused, match="notify='subscription'"):
        background_header(notify="none", own_id="0a", headers={"batch": "7"})
    assert background_header(notify="none", own_id="0a", headers={}) == "none"


def test_documents() -> None:
    assert ordering_key(method="GET", path="/v1/customer/1") is None
    assert ordering_key(method="POST", path="/v1/customer/1/attachment") is None
    assert ordering_key(method="DELETE", path="/v1/Customer/1") == ordering_key(method="PUT", path="/v2/customer/1")
    for ways in (
        ["supplierInvoice/7", "supplierInvoice/Invoice/7", "supplierInvoice/Invoice/7/action/release"],
        ["supplierPayment/7/action/release", "supplierPayment/Check/7/action/writeoff"],
        ["salesorder/7", "salesorder/SO/7", "salesorderbasic/7", "salesorder/SO/7/attachment/9"],
        ["purchaseorder/7", "purchaseorderbasic/7"],
    ):
        [key] = {ordering_key(method="PUT", path=f"/v1/{way}") for way in ways}
        assert key == f"/{ways[0].split('/')[0].casefold()}/7"
    apart = ["location/1/MAIN", "location/2/MAIN", "kitassembly/Production/1", "kitassembly/Disassembly/1", "basic/1"]
    assert len({ordering_key(method="PUT", path=f"/v1/{way}") for way in apart}) == len(apart)


class Jobs(RuleBasedStateMachine):
    """A server with one job, a process that may die at any time, webhooks, late answers and a jumping clock."""

    def __init__(self) -> None:
        super().__init__()
        self.record = intent(sending_at=None, deadline_at=NOW + timedelta(hours=30))
        self.now = NOW
        self.executions = 0
        self.server: tuple[str, int, bool] | None = None
        self.answers: list[Event] = []
        self.finals: list[JobRecord] = []
        self.by_user = False

    def tell(self, event: Event) -> None:
        before = self.record
        try:
            self.record = advance(before, event)
        except TransitionError:
            assert self.record is before
        if self.record.settled and not before.settled:
            self.finals.append(self.record)

    @rule(seconds=st.sampled_from([-86_400, -60, 0, 1, 60, 3600, 90_000]))
    def clock_jumps(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @precondition(lambda self: self.record.state is State.INTENT and self.record.sending_at is None)
    @rule(arrives=st.booleans(), answered=st.sampled_from(["202", "lost", "400", "502"]))
    def submits(self, arrives: bool, answered: str) -> None:
        self.record = advance(self.record, Sending(at=self.now))
        if answered == "400":
            self.answers.append(Answered(at=self.now, status_code=400))
            return
        if arrives or answered == "202":
            self.executions += 1
            self.server = ("Started", 0, True)
        if answered == "202":
            self.answers.append(ACCEPTED)
        elif answered == "502":
            self.answers.append(Answered(at=self.now, status_code=502))
        else:
            self.answers.append(Lost(at=self.now, reason="reset"))

    @precondition(lambda self: self.answers)
    @rule(index=st.integers(0, 99), again=st.booleans())
    def an_answer_comes(self, index: int, again: bool) -> None:
        event = self.answers[index % len(self.answers)]
        if not again:
            self.answers.remove(event)
        self.tell(event)

    @rule()
    def the_process_dies_and_another_takes_over(self) -> None:
        self.answers = [event for event in self.answers if isinstance(event, Polled | Vanished)]
        self.tell(Recovered(at=self.now))

    @precondition(lambda self: self.server)
    @rule(status=st.sampled_from(["Started", "Paused?", "Finished", "Failed"]), ok=st.booleans(), content=st.booleans())
    def the_server_goes_on(self, status: str, ok: bool, content: bool) -> None:
        assert self.server is not None
        if self.server[0] in {"Started", "Paused?"}:
            self.server = (status, (200 if ok else 412) if status == "Finished" else 0, content)

    @precondition(lambda self: self.server)
    @rule()
    def a_webhook_names_it(self) -> None:
        self.tell(Found(at=self.now, job_id="J"))

    @precondition(lambda self: self.server and self.record.job_id)
    @rule()
    def it_is_asked_for(self) -> None:
        assert self.server is not None
        status, code, content = self.server
        document = StateDocument(status=status, status_code=code, job_id="J", has_content=content)
        self.answers.append(Polled(at=self.now, document=document))

    @precondition(lambda self: self.record.job_id)
    @rule(missing=st.booleans())
    def content_is_read(self, missing: bool) -> None:
        self.tell(ContentRead(at=self.now, missing=missing))

    @rule(event=st.sampled_from(["unreadable", "deadline", "late loss"]))
    def trouble(self, event: str) -> None:
        if event == "unreadable":
            self.tell(Unreadable(at=self.now, reason="502"))
        elif event == "deadline" and self.now >= NOW + timedelta(hours=30):
            self.tell(DeadlinePassed(at=self.now))
        else:
            self.tell(Lost(at=self.now, reason="late"))

    @rule(outcome=st.sampled_from(["succeeded", "failed"]))
    def the_user_settles(self, outcome: Any) -> None:
        before = self.record.state
        self.tell(Settled(at=self.now, outcome=outcome, note="seen"))
        self.by_user = self.by_user or (before is State.UNCERTAIN and self.record.settled_by == "user")

    @invariant()
    def sent_at_most_once(self) -> None:
        assert self.executions <= 1

    @invariant()
    def settled_once_unless_the_user_was_wrong(self) -> None:
        by_server = [record for record in self.finals if record.settled_by == "server"]
        assert len(by_server) <= 1
        if by_server:
            assert self.record.state is by_server[0].state

    @invariant()
    def the_verdict_is_the_servers(self) -> None:
        record = self.record
        if record.settled_by != "server" or record.job_id is None:
            return
        if record.state is State.EXPIRED:
            assert record.submitted_at is not None
            assert record.settled_at is not None
            assert record.settled_at - record.submitted_at >= GIVEN_UP_AFTER
            return
        assert self.server is not None
        status, code, _ = self.server
        assert record.state is (State.SUCCEEDED if (status, code) == ("Finished", 200) else State.FAILED)
        assert status in {"Finished", "Failed"}

    @invariant()
    def what_was_executed_is_not_called_unsent(self) -> None:
        if self.executions and self.record.settled_by == "server":
            assert "never sent" not in (self.record.error or "")

    @invariant()
    def a_known_id_is_never_forgotten(self) -> None:
        if self.record.state in {State.SUBMITTED, State.RUNNING}:
            assert self.record.job_id == "J"


Jobs.TestCase.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
TestJobs = Jobs.TestCase

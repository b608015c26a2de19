"""The rules of bulk writes, state by state and error by error."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from itertools import product
from typing import Any

import pytest

from vismanet_async._api.models.customer import Customer
from vismanet_async._bulk.judging import ended_in, records_of, shown, stops_the_run, trouble_of
from vismanet_async._bulk.rows import Outcome, RowResult
from vismanet_async._bulk.tally import WINDOW_ROWS, StopRule, Tally
from vismanet_async._bulk.transitions import (
    ALLOWED,
    Action,
    Answered,
    Entry,
    Event,
    Found,
    Lost,
    Missing,
    NotSent,
    Refused,
    RowState,
    Sent,
    Trouble,
    advance,
    decide,
)
from vismanet_async._operation import ApiResponse
from vismanet_async.errors import (
    ActionFailed,
    ApiError,
    Attempt,
    DeadlineExceeded,
    NotSent as NeverSent,
    OutcomeUnknown,
    RateLimited,
    RequestRefused,
    TokenRefused,
    UnexpectedResponse,
    VismaNetError,
    api_error_type,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)
TROUBLE = Trouble(kind="BadRequest", text="no", status=400)
EVENTS: list[Event] = [
    Sent(at=NOW),
    Answered(attempts=1, id="7"),
    Refused(attempts=1, trouble=TROUBLE),
    NotSent(attempts=1, trouble=TROUBLE),
    Lost(at=NOW, attempts=1, trouble=TROUBLE),
    Found(id="7"),
    Missing(),
]


def entry(state: RowState) -> Entry:
    return Entry(key="a", position=1, fingerprint=b"f", operation="x", state=state)


def test_each_event_is_in_the_table() -> None:
    assert {type(event) for event in EVENTS} == set(ALLOWED)


@pytest.mark.parametrize(("state", "event"), list(product(RowState, EVENTS)))
def test_what_may_follow_what(state: RowState, event: Event) -> None:
    before, after = ALLOWED[type(event)]
    if state in before:
        assert advance(entry(state), event).state is after
    else:
        with pytest.raises(ValueError, match="cannot follow"):
            advance(entry(state), event)


@pytest.mark.parametrize("event", EVENTS)
def test_what_is_done_stays_done(event: Event) -> None:
    with pytest.raises(ValueError, match="cannot follow done"):
        advance(entry(RowState.DONE), event)


OPTIONS = [
    {"can_look": look, "retry_failed": failed, "retry_unknown": unknown}
    for look, failed, unknown in product((False, True), repeat=3)
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("fingerprint", [b"f", b"other"])
@pytest.mark.parametrize("state", list(RowState))
def test_only_what_was_not_executed_is_sent_without_a_look_or_a_person(
    state: RowState, fingerprint: bytes, options: dict[str, bool]
) -> None:
    action = decide(entry(state), fingerprint=fingerprint, **options)
    if action is Action.SEND:
        assert state in {RowState.PLANNED, RowState.FAILED}
    if action is Action.SEND_AGAIN:
        assert options["retry_unknown"]
        assert not options["can_look"]
    if state in {RowState.SENDING, RowState.UNKNOWN, RowState.DONE} and fingerprint != b"f":
        assert action is Action.REPORT_CHANGED
    # a process that died while it sent a row leaves nothing else than one whose answer was lost
    assert decide(entry(RowState.SENDING), fingerprint=fingerprint, **options) is decide(
        entry(RowState.UNKNOWN), fingerprint=fingerprint, **options
    )


def attempts(*outcomes: str) -> tuple[Attempt, ...]:
    return tuple(
        Attempt(number=number, started_after_seconds=0, duration_seconds=0, outcome=outcome)
        for number, outcome in enumerate(outcomes, 1)
    )


def api(status: int, *outcomes: str, body: bytes = b"") -> ApiError:
    error = api_error_type(status)("X", status=status, body=body)
    error.attempts = attempts(*outcomes)
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (NeverSent("no route"), NotSent),
        (RateLimited("x", status=429), NotSent),
        (TokenRefused("no"), NotSent),
        (api(401, "401", "401"), NotSent),
        (DeadlineExceeded("late", sent=False), NotSent),
        (DeadlineExceeded("late", sent=True), Lost),
        (OutcomeUnknown("cut off"), Lost),
        (UnexpectedResponse("too large"), Lost),
        (RequestRefused("bad"), Refused),
        (ActionFailed("no"), Refused),
        *((api(status, str(status)), Refused) for status in (400, 403, 404, 409, 410, 412, 418, 422, 428)),
        *((api(status, str(status)), Lost) for status in (408, 500, 501, 502, 503, 504)),
    ],
)
def test_what_an_error_means(error: VismaNetError, kind: type[Any]) -> None:
    assert type(ended_in(error, at=NOW, conditional=False)) is kind


@pytest.mark.parametrize("status", [404, 409, 412])
def test_a_refusal_after_a_lost_attempt_of_the_same_call_may_be_its_own_effect(status: int) -> None:
    after_loss = api(status, "disconnected without an answer", str(status))
    assert isinstance(ended_in(after_loss, at=NOW, conditional=True), Lost)
    assert isinstance(ended_in(api(status, "401", "429", str(status)), at=NOW, conditional=True), Refused)
    # without If-Match nothing is repeated after a loss: what came before was never sent
    assert isinstance(ended_in(api(status, "connection refused", str(status)), at=NOW, conditional=False), Refused)


def test_what_the_erp_itself_answers_is_over() -> None:
    erp = ended_in(api(500, "500", body=b'{"message": "VismaId: 6c6eb585. Error."}'), at=NOW, conditional=False)
    gateway = ended_in(api(500, "500", body=b"<html>"), at=NOW, conditional=False)
    busy = ended_in(api(503, "503", body=b'{"message": "VismaId: 6c6eb585. Error."}'), at=NOW, conditional=False)
    assert isinstance(erp, Lost)
    assert isinstance(gateway, Lost)
    assert isinstance(busy, Lost)
    assert (erp.at, gateway.at, busy.at) == (None, NOW, NOW)


def test_what_stops_a_run() -> None:
    assert stops_the_run(TokenRefused("no"))
    assert stops_the_run(api(401, "401"))
    assert not stops_the_run(api(403, "403"))


def test_texts_of_errors_can_be_stored() -> None:
    told = trouble_of(VismaNetError("a\0b\udc80" + "x" * 9999))
    assert told.text.startswith("ab\\udc80x")
    assert len(told.text) == 2000
    told.text.encode()


RECORD = Customer(number="10")
WRAPPED = partial(ApiResponse, status=200, headers={})


@pytest.mark.parametrize(
    ("found", "records"),
    [
        (None, []),
        ([], []),
        ((), []),
        ("10", ["10"]),
        (RECORD, [RECORD]),
        ([RECORD], [RECORD]),
        ((RECORD, "10"), [RECORD, "10"]),
        (WRAPPED(value=RECORD), [RECORD]),
        ([WRAPPED(value=RECORD)], [RECORD]),
        (WRAPPED(value=None), []),
    ],
)
def test_what_counts_as_found(found: object, records: list[object]) -> None:
    assert records_of(found) == records


@pytest.mark.parametrize(
    ("found", "named"),
    [
        (0, "int"),
        (1, "int"),
        (False, "bool"),
        (True, "bool"),
        ("", "an empty text"),
        ({}, "dict"),
        (set(), "set"),
        ([None], "a list with None"),
        ([""], "a list with an empty text"),
        (object(), "object"),
        (WRAPPED(value=0), "int"),
    ],
)
def test_what_shows_neither_a_record_nor_that_there_is_none_is_named(found: object, named: str) -> None:
    with pytest.raises(TypeError, match=f"find returned {named}, which tells neither"):
        records_of(found)


def test_what_is_kept_of_an_answer() -> None:
    class Told:
        id = 7
        etag = ""

    assert shown(Told()) == Answered(attempts=1, id="7", etag=None)
    assert shown(WRAPPED(value=WRAPPED(value=Told()))) == Answered(attempts=1, id="7", etag=None)
    assert shown(None) == Answered(attempts=1)


def test_a_share_counts_from_a_hundred_rows_on() -> None:
    rule = StopRule(max_failure_share=0.5)
    assert [rule.ended(ok=False) for _ in range(WINDOW_ROWS - 1)] == [None] * (WINDOW_ROWS - 1)
    assert rule.ended(ok=False) == "100 of the last 100 rows have failed, and 50 may (max_failure_share)"
    mended = StopRule(max_failure_share=0.5)
    assert [mended.ended(ok=number % 2 == 0) for number in range(1000)] == [None] * 1000
    assert StopRule(max_failures=0).ended(ok=False) is not None
    assert StopRule().ended(ok=False) is None


def test_what_other_processes_have_ended_is_counted_beside_our_own() -> None:
    tally, operation = Tally(), "Customer_Post"
    ours: list[tuple[Outcome, RowState]] = [("done", RowState.DONE), ("unknown", RowState.UNKNOWN)]
    for position, (outcome, state) in enumerate([*ours, ("duplicate", RowState.DONE)]):
        entry = Entry(key="k", position=position, fingerprint=b"", operation=operation, state=state)
        tally.add(RowResult(key="k", position=position, outcome=outcome), entry)
    states = {RowState.DONE: 3, RowState.SENDING: 1, RowState.UNKNOWN: 1, RowState.PLANNED: 1}
    tally.add_others({(state, operation): rows for state, rows in states.items()}, None)
    summary = tally.summary(stopped=None, stop_error=None, seconds=1.0)
    assert str(summary) == "7 rows: 3 done, 2 unknown, 1 not sent, 1 duplicate"
    assert (summary.earlier, [problem.outcome for problem in summary.problems]) == (4, ["unknown", "duplicate"])

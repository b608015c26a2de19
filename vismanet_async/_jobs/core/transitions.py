"""`advance`: the record of a job after an event. Pure: times and answers come in as arguments.

::

    intent ──accepted──> submitted ──polled──> running ──content read──> succeeded | failed
      │ │                    └──────── 404, 410, or unreadable past its end ────> expired
      │ └─ answered at once (2xx, 4xx), or certainly never sent ────────────────> succeeded | failed
      └─ answer lost ──> uncertain ── found by a webhook or the user ──> submitted
                             └────── settled by the user ──────────────> succeeded | failed

An action's own result decides whether it succeeded. Where the server did not keep it, the job is uncertain. So is a
write whose own answer was that something is unavailable or took too long (408, 502, 503, 504): as for a call that is
sent directly, nobody can tell whether it was executed. And one that the queue failed without an answer of its own.

`advance` is the whole rule. What arrives late (an answer, a webhook, a second worker's poll) leaves a settled
job as it is, so events may be delivered twice and in any order. Facts: docs/facts.md 7.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import attrs

from vismanet_async._http.retry import Fault, fault_of
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
from vismanet_async._jobs.core.records import Judgement
from vismanet_async._jobs.core.states import KEPT_FOR, State

if TYPE_CHECKING:
    from datetime import datetime

    from vismanet_async._jobs.core.events import Event
    from vismanet_async._jobs.core.records import JobRecord
    from vismanet_async._jobs.core.states import Outcome

__all__ = ["GIVEN_UP_AFTER", "TransitionError", "advance", "age_at"]

GIVEN_UP_AFTER: Final = KEPT_FOR + timedelta(hours=1)
"""A job that cannot be read at this age is expired, whatever the reason; clocks may differ by the hour."""
_SUCCESS: Final = range(200, 300)
_ERRORS_FROM: Final = 300
_SERVER_ERRORS_FROM: Final = 500
_REQUEST_TIMEOUT: Final = 408


class TransitionError(ValueError):
    """The event cannot happen to a job in this state; the record is as it was."""

    def __init__(self, record: JobRecord, event: Event, reason: str) -> None:
        super().__init__(f"job {record.id} is {record.state.value}: {type(event).__name__} refused, {reason}")


def advance(record: JobRecord, event: Event) -> JobRecord:
    """Return the record after the event; the same object if the event changes nothing.

    Raises:
        TransitionError: when the event cannot happen to a job in this state. The record is as it was.
    """
    by_caller = isinstance(event, Sending | Settled)
    if record.settled and not (by_caller or _contradicts_the_user(record, event)):
        return record
    after: JobRecord
    match event:
        case Sending():
            after = _sending(record, event)
        case Accepted() | Found():
            after = _identified(record, event)
        case Answered() | NeverSent() | Lost() | Recovered():
            known = isinstance(event, Answered | NeverSent) and record.state is State.UNCERTAIN
            open_ = record.state is State.INTENT or (known and record.job_id is None)
            after = _not_queued(record, event) if open_ else record
        case Polled():
            after = _polled(record, event)
        case ContentRead():
            after = _content_read(record, event)
        case Vanished() | Unreadable():
            after = _unread(record, event)
        case DeadlinePassed():
            after = _deadline_passed(record, event)
        case Settled():
            after = _settled_by_user(record, event)
    return after


def _contradicts_the_user(record: JobRecord, event: Event) -> bool:
    # the user settled it without an id and the server now shows one: the server knows better
    return record.settled_by == "user" and record.job_id is None and isinstance(event, Accepted | Found)


def _sending(record: JobRecord, event: Sending) -> JobRecord:
    if record.state is not State.INTENT or record.sending_at is not None:
        raise TransitionError(record, event, "it may have been sent before and is never sent twice")
    return attrs.evolve(record, sending_at=event.at)


def _identified(record: JobRecord, event: Accepted | Found) -> JobRecord:
    if record.sending_at is None:
        raise TransitionError(record, event, "it was never sent")
    if record.job_id is not None and record.job_id != event.job_id:
        raise TransitionError(record, event, f"it is {record.job_id} at the server, not {event.job_id}")
    if record.job_id is not None and record.state is not State.UNCERTAIN:
        return record
    # a deadline still to come stays: without it, whoever waits for a lost submission waits for up to a day
    has_outlived = record.state is State.UNCERTAIN and record.deadline_at is not None and record.deadline_at <= event.at
    return attrs.evolve(
        record,
        state=State.SUBMITTED,
        job_id=event.job_id,
        # our own earliest moment, not the server's: the 24 hours must not be overestimated
        submitted_at=record.sending_at,
        # what finds it again is an answer of another time
        received_at=event.server_at if isinstance(event, Accepted) else record.received_at,
        deadline_at=None if has_outlived else record.deadline_at,
        error=None,
        verdict=None,
        settled_at=None,
        settled_by=None,
    )


def _not_queued(record: JobRecord, event: Answered | NeverSent | Lost | Recovered) -> JobRecord:
    uncertain: str | None = None
    failed: str | None = None
    match event:
        case Answered(status_code=code) if code in _SUCCESS:
            record = attrs.evolve(record, status_code=code, error=None)
            return _judged(record, event.judgement or Judgement(state=State.SUCCEEDED), event.at)
        case Answered(status_code=code) if code >= _SERVER_ERRORS_FROM or code == _REQUEST_TIMEOUT:
            # a gateway that gave up may have passed the request on before (docs/facts.md 11)
            uncertain = f"the submission was answered with {code}"
        case Answered(status_code=code):
            record = attrs.evolve(record, status_code=code)
            failed = event.error
        case NeverSent():
            failed = f"never sent: {event.reason}"
        case Recovered() if record.sending_at is None:
            failed = "never sent: the process ended before"
        case Recovered():
            uncertain = "the process ended while the submission was under way"
        case Lost():
            uncertain = f"no answer to the submission: {event.reason}"
    if uncertain is not None:
        return attrs.evolve(record, state=State.UNCERTAIN, error=uncertain)
    return _settle(attrs.evolve(record, error=failed), State.FAILED, event.at)


def _polled(record: JobRecord, event: Polled) -> JobRecord:
    job_id = _needs_id(record, event)
    if record.content_due:
        return record
    document = event.document
    if document.job_id is not None and document.job_id.casefold() != job_id.casefold():
        raise TransitionError(record, event, f"the state document is that of {document.job_id}")
    started = document.started_at is not None or document.status.casefold() == "started"
    seen = attrs.evolve(
        record,
        state=State.RUNNING if started and record.state is State.SUBMITTED else record.state,
        server_status=document.status,
        started_at=document.started_at or record.started_at,
        finished_at=document.finished_at or record.finished_at,
        received_at=record.received_at or document.received_at,
        error=record.error if record.state is State.UNCERTAIN else None,
    )
    if not document.done:
        return seen
    verdict: Outcome = "succeeded" if document.succeeded else "failed"
    seen = attrs.evolve(
        seen,
        state=State.RUNNING,
        status_code=document.status_code,
        verdict=verdict,
        run_seconds=document.run_seconds,
        error=document.error_message,
        content_due=document.has_content,
    )
    if seen.content_due:
        return seen
    return _judged(seen, event.judgement or _by_status(seen, verdict, seen.error), event.at)


def _content_read(record: JobRecord, event: ContentRead) -> JobRecord:
    if not record.content_due or record.verdict is None:
        raise TransitionError(record, event, "its content is not due")
    error = record.error or ("its content was gone" if event.missing else None)
    return _judged(record, event.judgement or _by_status(record, record.verdict, error), event.at)


def _unread(record: JobRecord, event: Vanished | Unreadable) -> JobRecord:
    _needs_id(record, event)
    age = age_at(record, event)
    too_old = age is not None and age >= GIVEN_UP_AFTER
    if record.content_due and record.verdict is not None:
        # how it ended is known already, only its content cannot be had
        error = record.error or "its content could not be read"
        given_up = _judged(record, _by_status(record, record.verdict, error), event.at)
        return given_up if too_old else record
    if isinstance(event, Vanished):
        error = f"the server does not know the job ({event.status_code})"
        return _settle(attrs.evolve(record, error=error), State.EXPIRED, event.at)
    record = attrs.evolve(record, error=event.reason)
    return _settle(record, State.EXPIRED, event.at) if too_old else record


def age_at(record: JobRecord, event: Event) -> timedelta | None:
    """Return how old a job is at an event: by the server's clock, since ours may have been wrong at either end.

    Returns:
        None where the server's clock is known for one end alone: then nobody can tell. For a job whose answers never
        told a time, the age by our clock.
    """
    if record.received_at is None:
        return event.at - (record.submitted_at or record.created_at)
    return None if event.server_at is None else event.server_at - record.received_at


def _deadline_passed(record: JobRecord, event: DeadlinePassed) -> JobRecord:
    if record.content_due or record.state is State.UNCERTAIN:
        return record
    if record.sending_at is None:
        error = "never sent: its deadline passed before"
        return _settle(attrs.evolve(record, error=error), State.FAILED, event.at)
    status = f", the server last said {record.server_status!r}" if record.server_status else ""
    return attrs.evolve(record, state=State.UNCERTAIN, error=f"its deadline passed{status}")


def _settled_by_user(record: JobRecord, event: Settled) -> JobRecord:
    if record.state is not State.UNCERTAIN:
        raise TransitionError(record, event, "only an uncertain job is settled by hand")
    settled = _settle(attrs.evolve(record, error=event.note or record.error), State(event.outcome), event.at)
    return attrs.evolve(settled, settled_by="user", verdict=event.outcome)


def _needs_id(record: JobRecord, event: Event) -> str:
    if record.job_id is None:
        raise TransitionError(record, event, "it has no id at the server")
    return record.job_id


def _by_status(record: JobRecord, verdict: Outcome, error: str | None) -> Judgement:
    """Return what the status of the executed request says by itself."""
    code = record.status_code or 0
    is_refusal = code >= _ERRORS_FROM and fault_of(code) is not Fault.UNAVAILABLE
    if verdict == "succeeded" or record.operation.method == "GET" or is_refusal:
        return Judgement(state=State(verdict), error=error)
    said = f" ({error})" if error else ""
    what = f"it was answered with {code}{said}" if code >= _ERRORS_FROM else f"the queue failed it{said}"
    return Judgement(state=State.UNCERTAIN, error=f"{what}, which does not tell whether it was executed")


def _judged(record: JobRecord, judgement: Judgement, at: datetime) -> JobRecord:
    record = attrs.evolve(record, error=judgement.error)
    if judgement.state is State.UNCERTAIN:
        return attrs.evolve(record, state=State.UNCERTAIN, content_due=False, verdict=None)
    return _settle(record, judgement.state, at)


def _settle(record: JobRecord, state: State, at: datetime) -> JobRecord:
    return attrs.evolve(record, state=state, settled_at=at, settled_by="server", content_due=False)

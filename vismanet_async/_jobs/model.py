"""What a background job is and what may follow what. Pure: times and answers come in as arguments.

::

    intent ──accepted──> submitted ──polled──> running ──content read──> succeeded | failed
      │ │                    └──────── 404, 410, or unreadable past its end ────> expired
      │ └─ answered at once (2xx, 4xx), or certainly never sent ────────────────> succeeded | failed
      └─ answer lost ──> uncertain ── found by a webhook or the user ──> submitted
                             └────── settled by the user ──────────────> succeeded | failed

An action's own result decides whether it succeeded. Where the server did not keep it, the job is uncertain.

`advance` is the whole rule. What arrives late (an answer, a webhook, a second worker's poll) leaves a settled
job as it is, so events may be delivered twice and in any order. Facts: docs/facts.md 7.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal

import attrs

from vismanet_async._jobs import answers
from vismanet_async.errors import RequestRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "FINAL",
    "KEPT_FOR",
    "OPEN",
    "Accepted",
    "Answered",
    "ContentRead",
    "DeadlinePassed",
    "Event",
    "Found",
    "Judgement",
    "Lost",
    "NeverSent",
    "Notify",
    "OperationNote",
    "Outcome",
    "Polled",
    "Record",
    "Recovered",
    "Result",
    "Sending",
    "Settled",
    "State",
    "StateDocument",
    "TransitionError",
    "Unreadable",
    "Vanished",
    "advance",
    "background_header",
    "document_key",
]

Notify = Literal["none", "subscription"]
"""`none`: the job is found by polling. `subscription`: a webhook is sent when it ends (docs/facts.md 8)."""
Outcome = Literal["succeeded", "failed"]

KEPT_FOR: Final = timedelta(hours=24)
"""How long the server keeps state and content (docs/facts.md 7)."""
GIVEN_UP_AFTER: Final = KEPT_FOR + timedelta(hours=1)
"""A job that cannot be read at this age is expired, whatever the reason; clocks may differ by the hour."""
JOB_HEADER: Final = "X-Vismanet-Job"
"""The name under which our own id comes back in the webhook's headers."""
REFERENCE_HEADER: Final = "X-Vismanet-Reference"

_LONGEST_REFERENCE: Final = 200
_SUCCESS: Final = range(200, 300)
_SERVER_ERRORS_FROM: Final = 500
_REQUEST_TIMEOUT: Final = 408


class State(StrEnum):
    """Where a job stands, who puts it there, and what may follow."""

    INTENT = "intent"
    """Written down before its request is sent, by `submit`. Then: any other state."""
    SUBMITTED = "submitted"
    """The server gave a job id. Then: running or settled."""
    RUNNING = "running"
    """A poll saw it started. Then: settled."""
    SUCCEEDED = "succeeded"
    """The request was executed and answered 2xx. Final."""
    FAILED = "failed"
    """It was answered with an error, failed by the queue, or never sent. Final."""
    EXPIRED = "expired"
    """The server no longer knows it. Final."""
    UNCERTAIN = "uncertain"
    """Its id got lost, its deadline passed, or its answer, which alone could tell, is gone. It may be running, or have
    succeeded. Never sent again. Then: submitted or settled."""


FINAL: Final = frozenset({State.SUCCEEDED, State.FAILED, State.EXPIRED})
OPEN: Final = frozenset({State.INTENT, State.SUBMITTED, State.RUNNING})
"""The states that a worker takes further by itself."""


class TransitionError(ValueError):
    """The event cannot happen to a job in this state; the record is as it was."""

    def __init__(self, record: Record, event: Event, reason: str) -> None:
        super().__init__(f"job {record.id} is {record.state.value}: {type(event).__name__} refused, {reason}")


@attrs.frozen(kw_only=True)
class OperationNote:
    """What of an operation is written down: enough to recognise it, and never its body, headers or token."""

    id: str
    """The catalog id."""
    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    if_match: str | None = None
    body_sha256: str | None = None
    """Hex digest of the body; None when there was none."""

    @property
    def by_hand(self) -> bool:
        """Whether it is a call by method and path, which has no id but these."""
        return self.id == f"{self.method} {self.path}"

    @classmethod
    def of(
        cls,
        *,
        operation_id: str,
        method: str,
        path: str,
        query: tuple[tuple[str, str], ...],
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> OperationNote:
        """Note an operation down; of its headers only If-Match is kept."""
        if_match = next((value for name, value in headers.items() if name.lower() == "if-match"), None)
        digest = None if body is None else hashlib.sha256(body).hexdigest()
        return cls(id=operation_id, method=method, path=path, query=query, if_match=if_match, body_sha256=digest)


@attrs.frozen(kw_only=True)
class StateDocument:
    """`GET /v1/background/{id}`, as far as it is understood (docs/facts.md 7)."""

    status: str
    """As it came: `Started`, `Finished`, `Failed`, or anything else (which counts as pending)."""
    status_code: int = 0
    """HTTP status of the executed request; 0 while it is not done."""
    job_id: str | None = None
    received_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error_message: str | None = None
    original_uri: str | None = None
    has_content: bool = True
    response_headers: tuple[tuple[str, str], ...] = ()

    @property
    def done(self) -> bool:
        """Whether the job has ended: `Failed`, or `Finished` with the status that it is judged by."""
        status = self.status.casefold()
        return status == "failed" or (status == "finished" and self.status_code > 0)

    @property
    def run_seconds(self) -> float | None:
        """From reception to end by the server's own clock; None when it does not say."""
        if self.received_at is None or self.finished_at is None:
            return None
        return max(0.0, (self.finished_at - self.received_at).total_seconds())

    @property
    def succeeded(self) -> bool:
        """`Finished` alone means nothing: the executed request's own status decides."""
        return self.status.casefold() == "finished" and self.status_code in _SUCCESS

    @classmethod
    def read(cls, body: bytes) -> StateDocument:
        """Read an answer's body.

        Raises:
            ValueError: when it is not a state document.
        """
        document = answers.members(body)
        status = answers.text(document.get("status"))
        if status is None:
            raise ValueError("not a state document: no status text")
        return cls(
            status=status,
            status_code=answers.status_code(document.get("statuscode")),
            job_id=answers.text(document.get("id")),
            received_at=answers.moment(document.get("receivedutc")),
            started_at=answers.moment(document.get("startedutc")),
            finished_at=answers.moment(document.get("finishedutc")),
            error_message=answers.text(document.get("errormessage")),
            original_uri=answers.text(document.get("originaluri")),
            has_content=answers.flag(document.get("hasresponsecontent"), otherwise=True),
            response_headers=answers.header_pairs(document.get("responseheaders")),
        )


@attrs.frozen(kw_only=True)
class Result:
    """What the server said about a job, kept for good: it is gone there after 24 hours."""

    status_code: int
    state_document: bytes | None = attrs.field(default=None, repr=False)
    """None when the request was answered at once, outside the queue."""
    content: bytes | None = attrs.field(default=None, repr=False)
    """The executed request's response body; None when there is none, or it was gone."""
    headers: tuple[tuple[str, str], ...] = ()
    """The executed request's response headers (`responseHeaders`)."""
    read_at: datetime


@attrs.frozen(kw_only=True)
class Record:
    """One job as it is written down. All times are aware and in UTC."""

    id: str
    """Our own id, given before anything is sent; it comes back in the webhook's headers."""
    company: str
    operation: OperationNote
    document: str | None = None
    """Jobs with the same document run one after the other; None runs beside anything."""
    reference: str | None = None
    notify: Notify = "none"
    created_at: datetime
    deadline_at: datetime | None = None
    """After this the job is no longer followed; None follows it until its state is gone."""
    state: State = State.INTENT
    sending_at: datetime | None = None
    """From here on the request may have left; None: it certainly has not."""
    job_id: str | None = None
    """The server's id."""
    submitted_at: datetime | None = None
    server_status: str | None = None
    """The status text of the last state document, as it came."""
    status_code: int | None = None
    """HTTP status of the executed request."""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    run_seconds: float | None = None
    """From reception to end by the server's clock; what the schedule learns from."""
    content_due: bool = False
    """The job has ended and its content is still to be read."""
    verdict: Outcome | None = None
    """What the ended job is once its content is read."""
    error: str | None = None
    """Why it failed, or why it could not be read last."""
    settled_at: datetime | None = None
    settled_by: Literal["server", "user"] | None = None
    hinted_at: datetime | None = None
    """When a webhook last spoke of it; written by whoever receives webhooks, without a lease."""
    candidates: tuple[str, ...] = ()
    """Ids out of webhooks that named our own id, while the server's id is not known; each still to be checked."""
    asked_at: datetime | None = None
    """When it was last asked for. Written before the request leaves."""
    unanswered: bool = False
    """No answer to that is known (yet, or because the process ended)."""
    state_asked: tuple[datetime, ...] = ()
    """When its state was answered lately; kept so that the rate rule holds over restarts."""
    content_asked: tuple[datetime, ...] = ()
    """The same for its content."""
    polls: int = 0
    """How often its state was asked for in all."""

    @property
    def settled(self) -> bool:
        """Whether the state is final."""
        return self.state in FINAL

    @property
    def hint_pending(self) -> bool:
        """Whether a webhook spoke of it, and no answer has come to a poll made after that."""
        if self.hinted_at is None:
            return False
        return self.asked_at is None or self.unanswered or self.asked_at < self.hinted_at

    @property
    def expires_at(self) -> datetime:
        """When the server forgets it."""
        return (self.submitted_at or self.created_at) + KEPT_FOR


@attrs.frozen(kw_only=True)
class Judgement:
    """How a job ended by what its own answer says, where that is more than the status of the executed request."""

    state: State
    """Succeeded, failed, expired (its answer is gone) or uncertain (its answer alone could have told)."""
    error: str | None = None


# -- what can happen ---------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class _Event:
    at: datetime


@attrs.frozen(kw_only=True)
class Sending(_Event):
    """The request is about to leave. Written before it does."""


@attrs.frozen(kw_only=True)
class Accepted(_Event):
    """202: the server took it and gave an id."""

    job_id: str


@attrs.frozen(kw_only=True)
class Answered(_Event):
    """Any other answer: the server did not queue it (docs/facts.md 7)."""

    status_code: int
    error: str | None = None
    judgement: Judgement | None = None
    """What a success status amounts to; None: a success."""


@attrs.frozen(kw_only=True)
class NeverSent(_Event):
    """It certainly did not reach the server."""

    reason: str


@attrs.frozen(kw_only=True)
class Lost(_Event):
    """It was sent, and no answer came."""

    reason: str


@attrs.frozen(kw_only=True)
class Recovered(_Event):
    """The process that wrote the intent is gone."""


@attrs.frozen(kw_only=True)
class Found(_Event):
    """The server's id became known in another way: by a webhook with our own id, or by the user."""

    job_id: str


@attrs.frozen(kw_only=True)
class Polled(_Event):
    """The state was read."""

    document: StateDocument
    judgement: Judgement | None = None
    """What the end amounts to where the server kept no content; None: what the document says."""


@attrs.frozen(kw_only=True)
class ContentRead(_Event):
    """The content was read, or is certainly not there (404, 410)."""

    missing: bool = False
    judgement: Judgement | None = None
    """What the end amounts to by its content, or without it; None: what the state document said."""


@attrs.frozen(kw_only=True)
class Vanished(_Event):
    """404 or 410: the server does not know the job any more."""

    status_code: int


@attrs.frozen(kw_only=True)
class Unreadable(_Event):
    """The state could not be read this time: another error, no answer, or not a state document."""

    reason: str


@attrs.frozen(kw_only=True)
class DeadlinePassed(_Event):
    """The user's own deadline is over."""


@attrs.frozen(kw_only=True)
class Settled(_Event):
    """The user says how it ended."""

    outcome: Outcome
    note: str


Event = (
    Sending
    | Accepted
    | Answered
    | NeverSent
    | Lost
    | Recovered
    | Found
    | Polled
    | ContentRead
    | Vanished
    | Unreadable
    | DeadlinePassed
    | Settled
)


def advance(record: Record, event: Event) -> Record:
    """Give the record as it is after the event; the same object when the event changes nothing.

    Raises:
        TransitionError: when the event cannot happen to a job in this state. The record is as it was.
    """
    by_hand = isinstance(event, Sending | Settled)
    if record.settled and not (by_hand or _contradicts_the_user(record, event)):
        return record
    after: Record
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


def _contradicts_the_user(record: Record, event: Event) -> bool:
    # the user settled it without an id and the server now shows one: the server knows better
    return record.settled_by == "user" and record.job_id is None and isinstance(event, Accepted | Found)


def _sending(record: Record, event: Sending) -> Record:
    if record.state is not State.INTENT or record.sending_at is not None:
        raise TransitionError(record, event, "it may have been sent before and is never sent twice")
    return attrs.evolve(record, sending_at=event.at)


def _identified(record: Record, event: Accepted | Found) -> Record:
    if record.sending_at is None:
        raise TransitionError(record, event, "it was never sent")
    if record.job_id is not None and record.job_id != event.job_id:
        raise TransitionError(record, event, f"it is {record.job_id} at the server, not {event.job_id}")
    if record.job_id is not None and record.state is not State.UNCERTAIN:
        return record
    return attrs.evolve(
        record,
        state=State.SUBMITTED,
        job_id=event.job_id,
        # our own earliest moment, not the server's: the 24 hours must not be overestimated
        submitted_at=record.sending_at,
        # an uncertain job that is followed again has outlived its deadline
        deadline_at=None if record.state is State.UNCERTAIN else record.deadline_at,
        error=None,
        verdict=None,
        settled_at=None,
        settled_by=None,
    )


def _not_queued(record: Record, event: Answered | NeverSent | Lost | Recovered) -> Record:
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


def _polled(record: Record, event: Polled) -> Record:
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
    return _judged(seen, event.judgement or Judgement(state=State(verdict), error=seen.error), event.at)


def _content_read(record: Record, event: ContentRead) -> Record:
    if not record.content_due or record.verdict is None:
        raise TransitionError(record, event, "its content is not due")
    error = record.error or ("its content was gone" if event.missing else None)
    return _judged(record, event.judgement or Judgement(state=State(record.verdict), error=error), event.at)


def _unread(record: Record, event: Vanished | Unreadable) -> Record:
    _needs_id(record, event)
    age = event.at - (record.submitted_at or record.created_at)
    if record.content_due and record.verdict is not None:
        # how it ended is known already, only its content cannot be had
        error = record.error or "its content could not be read"
        given_up = _settle(attrs.evolve(record, error=error), State(record.verdict), event.at)
        return given_up if age >= GIVEN_UP_AFTER else record
    if isinstance(event, Vanished):
        error = f"the server does not know the job ({event.status_code})"
        return _settle(attrs.evolve(record, error=error), State.EXPIRED, event.at)
    record = attrs.evolve(record, error=event.reason)
    return _settle(record, State.EXPIRED, event.at) if age >= GIVEN_UP_AFTER else record


def _deadline_passed(record: Record, event: DeadlinePassed) -> Record:
    if record.content_due or record.state is State.UNCERTAIN:
        return record
    if record.sending_at is None:
        error = "never sent: its deadline passed before"
        return _settle(attrs.evolve(record, error=error), State.FAILED, event.at)
    status = f", the server last said {record.server_status!r}" if record.server_status else ""
    return attrs.evolve(record, state=State.UNCERTAIN, error=f"its deadline passed{status}")


def _settled_by_user(record: Record, event: Settled) -> Record:
    if record.state is not State.UNCERTAIN:
        raise TransitionError(record, event, "only an uncertain job is settled by hand")
    settled = _settle(attrs.evolve(record, error=event.note or record.error), State(event.outcome), event.at)
    return attrs.evolve(settled, settled_by="user", verdict=event.outcome)


def _needs_id(record: Record, event: Event) -> str:
    if record.job_id is None:
        raise TransitionError(record, event, "it has no id at the server")
    return record.job_id


def _judged(record: Record, judgement: Judgement, at: datetime) -> Record:
    record = attrs.evolve(record, error=judgement.error)
    if judgement.state is State.UNCERTAIN:
        return attrs.evolve(record, state=State.UNCERTAIN, content_due=False, verdict=None)
    return _settle(record, judgement.state, at)


def _settle(record: Record, state: State, at: datetime) -> Record:
    return attrs.evolve(record, state=state, settled_at=at, settled_by="server", content_due=False)


# -- what is sent and compared -----------------------------------------------------------------------------


def background_header(*, notify: Notify, own_id: str, reference: str | None = None) -> str:
    """Give the value of `erp-api-background`, with our own id and reference where a webhook brings them back.

    Raises:
        RequestRefused: when the reference could break out of the header; nothing was sent.

    Examples:
        >>> background_header(notify="subscription", own_id="5f0c", reference="nightly")
        'subscription:X-Vismanet-Job=5f0c,X-Vismanet-Reference=nightly'
    """
    if reference is not None:
        _check_reference(reference, ascii_only=notify == "subscription")
    if notify == "none":
        return "none"
    pairs = [f"{JOB_HEADER}={own_id}"]
    if reference:
        pairs.append(f"{REFERENCE_HEADER}={reference}")
    return "subscription:" + ",".join(pairs)


def _check_reference(reference: str, *, ascii_only: bool) -> None:
    refused = sorted({char for char in reference if char in ",=" or not char.isprintable()})
    if refused:
        raise RequestRefused(
            f"the reference holds {', '.join(map(repr, refused))}: the background header cannot escape "
            "comma, equals and control characters. Nothing was sent."
        )
    if ascii_only and not reference.isascii():
        raise RequestRefused(
            "with notify='subscription' the reference goes into a header and must be ASCII. Nothing was sent."
        )
    if len(reference) > _LONGEST_REFERENCE:
        raise RequestRefused(f"the reference has more than {_LONGEST_REFERENCE} characters. Nothing was sent.")


def document_key(*, method: str, path: str) -> str | None:
    """Name the document that an operation changes (jobs on it keep their order); None if there is none yet.

    Examples:
        >>> document_key(method="POST", path="/v1/supplierInvoice/000357/action/release")
        '/supplierinvoice/000357'
        >>> document_key(method="PUT", path="/v2/supplierInvoice/000357")
        '/supplierinvoice/000357'
        >>> document_key(method="POST", path="/v1/supplierInvoice") is None
        True
    """
    plain = "/" + "/".join(part for part in path.casefold().split("/") if part not in {"", "v1", "v2"})
    before, action, _ = plain.partition("/action/")
    if action or method in {"PUT", "PATCH", "DELETE"}:
        return before
    return None

"""The data of a job: its record, its operation, and the server's answers about it."""

from __future__ import annotations

import hashlib
from datetime import datetime  # noqa: TC003 - looked up by whoever asks for the types
from typing import TYPE_CHECKING, Final, Literal

import attrs

from vismanet_async._jobs.core import answers
from vismanet_async._jobs.core.states import FINAL, KEPT_FOR, Notify, Outcome, State

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["JobRecord", "JobResult", "Judgement", "OperationSummary", "StateDocument"]

_SUCCESS: Final = range(200, 300)


@attrs.frozen(kw_only=True)
class OperationSummary:
    """What is stored of an operation: enough to recognise it, and never its body, headers or token."""

    id: str
    """The catalog id."""
    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    if_match: str | None = None
    body_sha256: str | None = None
    """Hex digest of the body; None when there was none."""

    @property
    def custom(self) -> bool:
        """Whether it is a custom call by method and path, which has no catalog id."""
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
    ) -> OperationSummary:
        """Return the summary of an operation; of its headers only If-Match is kept."""
        if_match = next((value for name, value in headers.items() if name.lower() == "if-match"), None)
        digest = None if body is None else hashlib.sha256(body).hexdigest()
        return cls(id=operation_id, method=method, path=path, query=query, if_match=if_match, body_sha256=digest)


@attrs.frozen(kw_only=True)
class StateDocument:
    """The answer to `GET /v1/background/{id}`, as far as it is understood (docs/facts.md 7)."""

    status: str
    """As received: `Started`, `Finished`, `Failed`, or anything else (which counts as pending)."""
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
        """From reception to end by the server's own clock; None when it does not say, or nothing that can be."""
        if self.received_at is None or self.finished_at is None:
            return None
        seconds = max(0.0, (self.finished_at - self.received_at).total_seconds())
        return seconds if seconds <= KEPT_FOR.total_seconds() else None

    @property
    def succeeded(self) -> bool:
        """`Finished` alone means nothing: the executed request's own status decides."""
        return self.status.casefold() == "finished" and self.status_code in _SUCCESS

    @classmethod
    def read(cls, body: bytes) -> StateDocument:
        """Return the document in an answer's body.

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
class JobResult:
    """The server's answer about a job, stored for good: the server deletes it after 24 hours."""

    status_code: int
    state_document: bytes | None = attrs.field(default=None, repr=False)
    """JSON in UTF-8; None when the request was answered at once, outside the queue."""
    content: bytes | None = attrs.field(default=None, repr=False)
    """The executed request's response body; None when there is none, or it was gone. JSON is in UTF-8, whatever it came
    in; a file is kept byte for byte."""
    headers: tuple[tuple[str, str], ...] = ()
    """The executed request's response headers (`responseHeaders`)."""
    read_at: datetime


@attrs.frozen(kw_only=True)
class JobRecord:
    """One job as it is stored. All times are aware and in UTC."""

    id: str
    """Our own id, assigned before anything is sent; it comes back in the webhook's headers."""
    company: str
    operation: OperationSummary
    document: str | None = None
    """Ordering key: jobs with equal keys run one at a time; None imposes no order."""
    reference: str | None = None
    notify: Notify = "none"
    created_at: datetime
    deadline_at: datetime | None = None
    """After this the job is no longer followed; None follows it until the server forgets it."""
    state: State = State.INTENT
    sending_at: datetime | None = None
    """From then on the request may have been sent; None: it certainly was not."""
    job_id: str | None = None
    """The server's id."""
    submitted_at: datetime | None = None
    """When its request was sent, by our clock."""
    received_at: datetime | None = None
    """When the server received it, by the server's clock; None until an answer has told it. Its age goes by this."""
    server_status: str | None = None
    """The status text of the last state document, as received."""
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
    """When a webhook last named it; written by the process that receives webhooks, without a lease."""
    candidates: tuple[str, ...] = ()
    """Ids from webhooks that named our own id while the server's id is not known; each is still to be checked."""
    asked_at: datetime | None = None
    """When it was last polled. Written before the request is sent."""
    unanswered: bool = False
    """No answer to that is known (yet, or because the process ended)."""
    state_asked: tuple[datetime, ...] = ()
    """When its state was answered lately; kept so that the rate rule holds over restarts."""
    content_asked: tuple[datetime, ...] = ()
    """The same for its content."""
    polls: int = 0
    """How often its state was asked for in all."""

    def _repr_html_(self) -> str:
        from vismanet_async._html import html_table  # noqa: PLC0415 - only notebooks ask for it

        told = ("id", "reference", "state", "error", "created_at", "submitted_at", "settled_at")
        return html_table(f"Job {self.operation.id}", [(name, getattr(self, name)) for name in told])

    @property
    def settled(self) -> bool:
        """Whether the state is final."""
        return self.state in FINAL

    @property
    def hint_pending(self) -> bool:
        """Whether a webhook named it and no poll made after that was answered."""
        if self.hinted_at is None:
            return False
        return self.asked_at is None or self.unanswered or self.asked_at < self.hinted_at

    @property
    def deadline_seconds(self) -> float | None:
        """How long after its creation it is followed; None until the server forgets it."""
        return None if self.deadline_at is None else (self.deadline_at - self.created_at).total_seconds()

    @property
    def expires_at(self) -> datetime:
        """When the server forgets it."""
        return (self.submitted_at or self.created_at) + KEPT_FOR


@attrs.frozen(kw_only=True)
class Judgement:
    """The outcome by the content of the answer, where the content says more than the status."""

    state: State
    """Succeeded, failed, expired (its answer is gone) or uncertain (only its answer could have shown the outcome)."""
    error: str | None = None

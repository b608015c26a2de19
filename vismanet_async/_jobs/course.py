"""The steps of a submission, and its outcome when it ends at one of them. Pure: answers, errors and times come in.

Before `SENT` nothing was sent, whatever fails. From then on only an answer, or an error that says so, shows whether the
server has it. Anything else is *lost*, and never sent again.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final

import attrs

from vismanet_async._http.error_body import read_problem
from vismanet_async._http.rate_limit import http_date
from vismanet_async._jobs.background_api import job_id_in
from vismanet_async._jobs.core.events import Accepted, Answered, Lost, NeverSent
from vismanet_async._jobs.core.records import JobResult
from vismanet_async._jobs.core.states import FINAL, State
from vismanet_async._jobs.results import error_of, in_utf8, judge, kept_headers
from vismanet_async._jobs.store import LeaseLost
from vismanet_async.errors import (
    DeadlineExceeded,
    HostNotAllowed,
    JobUncertain,
    NotSent,
    RateLimited,
    RequestRefused,
    TokenRefused,
    UnexpectedResponse,
    VismaNetError,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from vismanet_async._http.message import Response
    from vismanet_async._jobs.background_api import Answer
    from vismanet_async._jobs.core.records import JobRecord

__all__ = ["Course", "Ending", "Step", "Submitted"]

Ending = Accepted | Answered | Lost | NeverSent
"""The possible outcomes of a submission."""

_NEVER_SENT: Final = (NotSent, RequestRefused, TokenRefused, RateLimited, HostNotAllowed)
_ACCEPTED: Final = 202
_SUCCESS: Final = range(200, 300)


class Step(Enum):
    """The last step of a submission."""

    NEW = auto()
    """Nothing is written."""
    WRITING = auto()
    """Its intent is being written: it may be in the store."""
    QUEUED = auto()
    """Its intent is written; it waits for earlier jobs with the same ordering key."""
    READY = auto()
    """It is stored as sent, and was not sent yet."""
    SENT = auto()
    """It was passed to the client: it may have been sent."""
    ANSWERED = auto()
    """Its answer was read."""


@attrs.define(kw_only=True)
class Course:
    """One submission under way."""

    record: JobRecord
    """The intent, as it was stored last."""
    step: Step = Step.NEW
    blocked_by: str | None = None
    """The uncertain job with the same ordering key; nothing is sent after it until it is settled."""
    result: JobResult | None = None
    """What the server answered outside the queue."""
    _ending: Ending | None = None

    def answered(self, answer: Answer, *, at: datetime, decode: Callable[[Response], Any]) -> None:
        """Record the answer to the submission."""
        self.step = Step.ANSWERED
        if answer.status == _ACCEPTED:
            job_id = job_id_in(answer)
            lost = Lost(at=at, reason="a 202 without a job id")
            server_at = http_date(answer.headers.get("Date"))
            self._ending = lost if job_id is None else Accepted(at=at, job_id=job_id, server_at=server_at)
            return
        kept = kept_headers(answer.headers.items())
        result = JobResult(status_code=answer.status, content=answer.body, headers=kept, read_at=at)
        self.result = in_utf8(result, content_type=answer.headers.get("Content-Type"), decode=decode)
        if answer.status in _SUCCESS:
            judgement = judge(self.record, self.result, decode=decode)
            self._ending = Answered(at=at, status_code=answer.status, judgement=judgement)
        else:
            problem = read_problem(answer.headers, answer.body)
            self._ending = Answered(at=at, status_code=answer.status, error=problem.detail)

    def ending(self, *, at: datetime, error: BaseException | None) -> Ending:
        """Return the outcome of the submission if it ends at this step.

        Args:
            at: the present moment.
            error: what ended it; None if nothing failed.
        """
        if self._ending is not None:
            return self._ending
        if self.step is not Step.SENT:
            return NeverSent(at=at, reason=self._why_not_sent())
        never = isinstance(error, _NEVER_SENT) or (isinstance(error, DeadlineExceeded) and not error.sent)
        # an answer of the API has its attempts: this one is the token endpoint's, a page in place of a token
        never = never or (isinstance(error, UnexpectedResponse) and not error.attempts)
        reason = str(error) if isinstance(error, VismaNetError) else type(error).__name__
        return NeverSent(at=at, reason=reason) if never else Lost(at=at, reason=reason)

    def _why_not_sent(self) -> str:
        if self.blocked_by is not None:
            return f"job {self.blocked_by} on the same document is uncertain; settle it first"
        return "given up in the queue" if self.step is Step.QUEUED else "cancelled"


@attrs.frozen(kw_only=True)
class Submitted:
    """The outcome of a submission, with its record."""

    record: JobRecord
    result: JobResult | None = None
    failure: VismaNetError | None = None
    """What the transport raised, if it did."""
    blocked_by: str | None = None

    def error(self, decode: Callable[[Response], Any]) -> VismaNetError | None:
        """Return the error of the job; None if it is under way or has succeeded."""
        record = self.record
        if record.state is State.SUCCEEDED or record.state not in {*FINAL, State.UNCERTAIN}:
            return None
        if self.blocked_by is not None:
            blocked = JobUncertain(f"job {record.id} was {record.error}. Nothing was sent.")
            blocked.job_id = self.blocked_by
            return blocked
        return error_of(record, self.result, decode=decode)

    def raise_failure(self, decode: Callable[[Response], Any]) -> None:
        """Raise the error of the submission or of the job, unless the job is under way or has succeeded."""
        error = self.error(decode)
        if self.failure is not None and self.record.state is State.FAILED and not isinstance(self.failure, LeaseLost):
            raise self.failure
        if error is not None:
            raise error from self.failure

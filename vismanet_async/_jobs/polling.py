"""`Poller`: polls leased jobs when they are due, and stores the answers; `PollReply`: what an answer means.

Each poll is stored before it is sent, so that a restart cannot forget it, and its answer before the next poll.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import unquote, urlsplit

import anyio
import attrs

from vismanet_async._http.error_body import read_problem
from vismanet_async._http.rate_limit import http_date
from vismanet_async._jobs.core.events import ContentRead, DeadlinePassed, Found, Polled, Unreadable, Vanished
from vismanet_async._jobs.core.records import JobRecord, JobResult, Judgement, StateDocument
from vismanet_async._jobs.core.states import State
from vismanet_async._jobs.core.transitions import TransitionError, advance, age_at
from vismanet_async._jobs.results import in_utf8, is_answer, judge, kept_document, kept_headers
from vismanet_async._jobs.store import JobIdTaken, LeaseLost, StoreNotUsable
from vismanet_async.errors import RateLimited, VismaNetError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from vismanet_async._http.message import Response
    from vismanet_async._jobs.background_api import Answer, Submitter
    from vismanet_async._jobs.core.events import Event
    from vismanet_async._jobs.leased_jobs import LeasedJobs
    from vismanet_async._jobs.store import Leased

__all__ = ["PollReply", "Poller"]

_AT_ONCE: Final = 8
_KEPT_STAMPS: Final = 8
_OK: Final = 200
_FORBIDDEN: Final = 403
_READ: Final = frozenset({200, 204})
_NOT_FOUND: Final = 404
_GONE: Final = frozenset({404, 410})
_KNOWN_AFTER: Final = timedelta(seconds=301)
"""A 404 sooner than this may mean that the server does not know the job, or its content, yet."""
_CLIENT_ERRORS: Final = range(400, 500)
_CLOCKS_DIFFER_BY: Final = timedelta(minutes=10)
_log = logging.getLogger("vismanet_async.jobs")


@attrs.frozen(kw_only=True)
class PollReply:
    """What one request about a job brought, and what that means. Pure: it has the time at which it came."""

    at: datetime
    server_at: datetime | None
    """By the server's clock, where an answer has told it."""
    answer: Answer | None = None
    failure: VismaNetError | None = None
    """Of the transport, which then brought no answer."""

    @property
    def status(self) -> int | None:
        return None if self.answer is None else self.answer.status

    @property
    def times(self) -> int:
        """How often the request was sent."""
        return 1 if self.answer is None else self.answer.asked

    @property
    def refused(self) -> bool:
        return self.status is not None and self.status in _CLIENT_ERRORS

    def state(self) -> Polled | Vanished | Unreadable:
        """Return what it says of a job's state."""
        unreadable = partial(Unreadable, at=self.at, server_at=self.server_at)
        if self.answer is None:
            return unreadable(reason=f"its state could not be read: {self.failure}")
        if self.answer.status in _GONE:
            return Vanished(at=self.at, server_at=self.server_at, status_code=self.answer.status)
        if self.answer.status != _OK:
            problem = read_problem(self.answer.headers, self.answer.body)
            return unreadable(reason=f"its state was answered with {self.answer.status} {problem.detail}")
        try:
            document = StateDocument.read(self.answer.text)
        except (ValueError, RecursionError):
            return unreadable(reason="its state was answered with something else than a state document")
        return Polled(at=self.at, server_at=self.server_at, document=document)

    def result(self, document: StateDocument) -> JobResult:
        """Return what is stored of the executed request, by the state document that came with this."""
        return JobResult(
            status_code=document.status_code,
            state_document=None if self.answer is None else kept_document(self.answer.text),
            headers=kept_headers(document.response_headers),
            read_at=self.at,
        )

    def content(
        self, record: JobRecord, kept: JobResult, *, decode: Callable[[Response], Any]
    ) -> tuple[JobResult | None, bool]:
        """Return the result with a job's content, None if this shows none; and whether asking again is of no use."""
        if self.answer is None or self.answer.status not in _READ:
            return None, self.status in _GONE and not self.is_young_404(record)
        content_type = self.answer.headers.get("Content-Type")
        result = attrs.evolve(kept, content=self.answer.body, read_at=self.at)
        result = in_utf8(result, content_type=content_type, decode=decode)
        final = self.answer.status != _OK or is_answer(record, result, content_type=content_type, decode=decode)
        return result if final or self.answer.body.strip() else None, final

    def is_young_404(self, record: JobRecord) -> bool:
        """Return whether it is a 404 so early that the server may not know the job, or the content that is due, yet."""
        if self.status != _NOT_FOUND:
            return False
        if not record.content_due:
            age = age_at(record, self.state())
            if age is None:  # an answer without a time: ours is all that there is
                age = self.at - (record.submitted_at or record.created_at)
            return age < _KNOWN_AFTER
        # asked for the first time lately, or ended lately by the server's own clock: ours may have been wrong then
        young = timedelta(0) <= self.at - record.content_asked[0] < _KNOWN_AFTER
        if self.server_at is not None and record.finished_at is not None:
            young = young or self.server_at - record.finished_at < _KNOWN_AFTER
        return young

    def is_of(self, record: JobRecord, job_id: str) -> bool | None:
        """Return whether the state is this job's: same id, same path, not older than its request; None if not known."""
        said = self.state()
        if not isinstance(said, Polled):
            return False if isinstance(said, Vanished) or self.status == _FORBIDDEN else None
        document = said.document
        if document.job_id is not None and document.job_id.casefold() != job_id.casefold():
            return False
        if document.original_uri is not None:
            try:
                path = unquote(urlsplit(document.original_uri).path).casefold()
            except ValueError:  # no address at all
                return False
            if not path.endswith(unquote(record.operation.path).casefold()):
                return False
        began = record.sending_at or record.created_at
        return document.received_at is None or document.received_at >= began - _CLOCKS_DIFFER_BY


class Poller:
    """Runs the polls that are due, a few concurrently, one per job."""

    def __init__(
        self,
        jobs: LeasedJobs,
        submitter: Submitter,
        *,
        random: Callable[[], float],
        decoder_of: Callable[[JobRecord], Callable[[Response], Any]],
    ) -> None:
        self._jobs = jobs
        self._submitter = submitter
        self._random = random
        self._decoder_of = decoder_of
        self._server_told: tuple[datetime, float] | None = None
        """The server's clock as an answer told it last, and when that was by our monotonic clock."""

    async def run(self) -> None:
        """Run polls when they are due, until the task is cancelled."""
        jobs, polling = self._jobs, anyio.CapacityLimiter(_AT_ONCE)

        async def ask(own_id: str, borrower: object) -> None:
            try:
                await self._ask(own_id)
            finally:
                polling.release_on_behalf_of(borrower)
                jobs.notifier.wake()

        async with anyio.create_task_group() as polls:
            while True:
                jobs.notifier.reset_wakeup()
                now = jobs.clock.monotonic()
                self._observe_quota(now)
                if polling.available_tokens and (own_id := jobs.schedule.take(now)) is not None:
                    borrower = object()  # not the id: a job may come back while a poll under a lost lease still runs
                    polling.acquire_on_behalf_of_nowait(borrower)
                    polls.start_soon(ask, own_id, borrower)
                    continue
                wakeup = jobs.schedule.wakeup(now) if polling.available_tokens else float("inf")
                await jobs.notifier.wait_for_wakeup(None if wakeup == float("inf") else wakeup - now)

    def _observe_quota(self, now: float) -> None:
        quota = self._submitter.quota
        if quota is None:
            return
        self._jobs.schedule.budget.pause(quota.paused_until)
        if quota.remaining is not None and quota.resets_at is not None and quota.resets_at > now:
            self._jobs.schedule.observe(now=now, remaining=quota.remaining, resets_at=quota.resets_at)

    async def _ask(self, own_id: str) -> None:
        """Poll a job for what is due, store the answer, and schedule the next poll."""
        leased = self._jobs.get(own_id)
        if leased is None:
            self._jobs.schedule.remove(own_id)
            return
        try:
            sure = await self._jobs.reconciled(leased)
            if sure is None:
                return
            with self._jobs.observer.following(own_id):
                await self._ask_safely(sure)
        except LeaseLost:
            self._jobs.abandon_if_lost(leased)
        except StoreNotUsable as error:
            _log.warning(
                "the job store is out of reach, job %s is asked for again later: %s",
                own_id,
                error,
                extra={"company": self._jobs.company, "job": own_id, "operation": leased.record.operation.id},
            )
            if self._jobs.is_current(leased):
                self._jobs.schedule.fault(own_id, self._jobs.clock.monotonic(), randomness=self._random())

    async def _ask_safely(self, leased: Leased) -> None:
        """Poll a job for what is due. An answer that is the end of this poll must not be the end of all the others."""
        own_id = leased.record.id
        try:
            await self._ask_what_is_due(leased)
        except (LeaseLost, StoreNotUsable):
            raise
        except Exception as error:  # noqa: BLE001 - answers are foreign, and all jobs of the client hang on this task
            # its text and its traceback may hold what the server sent
            kind, record = type(error).__name__, leased.record
            _log.error(
                "an answer about job %s could not be dealt with (%s), it is asked for again later",
                own_id,
                kind,
                extra={"company": self._jobs.company, "job": own_id, "operation": record.operation.id},
            )
            await self._mark_unreadable(own_id, f"an answer could not be dealt with ({kind})")

    async def _mark_unreadable(self, own_id: str, reason: str) -> None:
        leased = self._jobs.get(own_id)
        if leased is None:
            return
        reply = self._reply()
        record = _polled(leased.record, "content_asked" if leased.record.content_due else "state_asked", at=reply.at)
        if record.job_id is not None:
            record = advance(record, Unreadable(at=reply.at, server_at=reply.server_at, reason=reason))
        leased = await self._jobs.save(leased, record)
        if record.settled:
            await self._jobs.finish(leased)
        else:
            self._reschedule(record, reply)

    async def _ask_what_is_due(self, leased: Leased) -> None:
        if leased.record.job_id is None:
            await self._check_candidate(leased)
            return
        if not leased.record.content_due:
            leased = await self._ask_state(leased)
        if leased.record.content_due and not leased.record.settled:
            await self._ask_content(leased)

    # -- its state -------------------------------------------------------------------------------------------------

    async def _ask_state(self, leased: Leased) -> Leased:
        leased = await self._mark_polling(leased)
        reply = await self._answered(self._submitter.state(leased.record.job_id or ""))
        event: Event = reply.state()
        record = _polled(leased.record, "state_asked", at=reply.at, times=reply.times)
        if reply.is_young_404(record):
            reason = "the server does not know the job (404) yet, or any more"
            event = Unreadable(at=event.at, server_at=event.server_at, reason=reason)
        return await self._apply_poll(leased, record, event, reply)

    async def _apply_poll(self, leased: Leased, record: JobRecord, event: Event, reply: PollReply) -> Leased:
        """Store what a poll returned, and schedule the next one."""
        try:
            after = advance(record, event)
        except TransitionError as error:
            event = Unreadable(at=event.at, server_at=event.server_at, reason=str(error))
            after = advance(record, event)
        if after.deadline_at is not None and self._jobs.clock.utc_now() >= after.deadline_at:
            after = advance(after, DeadlinePassed(at=event.at))
        result: JobResult | None = None
        if isinstance(event, Polled) and event.document.done:
            result = reply.result(event.document)
            if after.state is State.SUCCEEDED:
                judgement = judge(record, result, decode=self._decoder_of(record))
                after = advance(record, attrs.evolve(event, judgement=judgement))
        leased = await self._jobs.save(leased, after, result=result)
        if after.settled or after.state is State.UNCERTAIN:
            await self._jobs.finish(leased)
        elif after.content_due:
            self._jobs.switch_to_content(after)
        elif isinstance(event, Polled):
            self._jobs.schedule.pending(record.id, self._jobs.clock.monotonic(), times=reply.times)
        elif record.id in self._jobs:
            self._reschedule(record, reply)
        return leased

    # -- its content -----------------------------------------------------------------------------------------------

    async def _ask_content(self, leased: Leased) -> None:
        leased = await self._mark_polling(leased)
        reply = await self._answered(self._submitter.content(leased.record.job_id or ""))
        record = _polled(leased.record, "content_asked", at=reply.at, times=reply.times)
        kept = await self._jobs.store.result(record.id)
        kept = kept or JobResult(status_code=record.status_code or 0, read_at=reply.at)
        result, final = reply.content(record, kept, decode=self._decoder_of(record))
        after = record
        if not final:
            reason = "its content could not be read"
            after = advance(record, Unreadable(at=reply.at, server_at=reply.server_at, reason=reason))
            final = not after.content_due
        if final:
            after = self._judged(record, result or kept, missing=result is None, at=reply.at)
        leased = await self._jobs.save(leased, after, result=result if final else None)
        if final:
            await self._jobs.finish(leased)
        else:
            self._reschedule(record, reply)

    def _judged(self, record: JobRecord, result: JobResult, *, missing: bool, at: datetime) -> JobRecord:
        """Return the record with the outcome that the content shows, or what is known without the content."""
        judgement: Judgement | None = None
        if record.verdict == "succeeded":
            judgement = judge(record, result, decode=self._decoder_of(record), missing=missing)
        return advance(record, ContentRead(at=at, missing=missing, judgement=judgement))

    # -- whether an id is its own ----------------------------------------------------------------------------------

    async def _check_candidate(self, leased: Leased) -> None:
        """Ask the server whether an id from a webhook is this job's: a webhook's headers are not signed."""
        if not leased.record.candidates:
            await self._jobs.finish(leased)
            return
        job_id = leased.record.candidates[0]
        leased = await self._mark_polling(leased)
        reply = await self._answered(self._submitter.state(job_id))
        record = _polled(leased.record, "state_asked", at=reply.at, times=reply.times)
        is_own = reply.is_of(record, job_id)
        if is_own:
            found = advance(record, Found(at=reply.at, job_id=job_id))
            with suppress(JobIdTaken):  # another job has it: it is not this one's
                leased = await self._apply_poll(leased, found, reply.state(), reply)
                if leased.record.content_due:
                    await self._ask_content(leased)
                return
        elif is_own is None:
            await self._jobs.save(leased, record)
            self._reschedule(record, reply)
            return
        await self._try_the_next(await self._jobs.save(leased, record), job_id)

    async def _try_the_next(self, leased: Leased, tried: str) -> None:
        now = self._jobs.clock.monotonic()
        if await self._jobs.drop_candidate(leased, tried):
            own_id, schedule = leased.record.id, self._jobs.schedule
            schedule.switch(own_id, now=now, asked=())
            schedule.pending(own_id, now)
            schedule.hint(own_id, now)
        else:
            await self._jobs.finish(leased)

    # -- one request -----------------------------------------------------------------------------------------------

    async def _mark_polling(self, leased: Leased) -> Leased:
        """Store that a request is about to be sent, so that a restart cannot forget it."""
        record, now = leased.record, self._jobs.clock.utc_now()
        if record.unanswered:
            record = _polled(record, "content_asked" if record.content_due else "state_asked", at=now)
        polls = record.polls + (not record.content_due)
        return await self._jobs.save(leased, attrs.evolve(record, asked_at=now, unanswered=True, polls=polls))

    async def _answered(self, asking: Awaitable[Answer]) -> PollReply:
        try:
            answer = await asking
        except VismaNetError as error:
            return self._reply(failure=error)
        if (told := http_date(answer.headers.get("Date"))) is not None:
            self._server_told = told, self._jobs.clock.monotonic()
        return self._reply(answer)

    def _reply(self, answer: Answer | None = None, *, failure: VismaNetError | None = None) -> PollReply:
        at, server_at = self._jobs.clock.utc_now(), self._server_now()
        return PollReply(at=at, server_at=server_at, answer=answer, failure=failure)

    def _server_now(self) -> datetime | None:
        """Return the time by the server's clock; None before the first answer that told it."""
        if self._server_told is None:
            return None
        told, when = self._server_told
        return told + timedelta(seconds=self._jobs.clock.monotonic() - when)

    def _reschedule(self, record: JobRecord, reply: PollReply) -> None:
        """Schedule another attempt for what could not be read."""
        now, schedule, young = self._jobs.clock.monotonic(), self._jobs.schedule, reply.is_young_404(record)
        wait = 0.0
        if young:
            # once soon, then after a while: a failed request may be repeated twice in five minutes (docs/facts.md 3.5)
            asked = record.content_asked if record.content_due else record.state_asked
            wait = 0.0 if len(asked) == 1 else _KNOWN_AFTER.total_seconds()
        elif isinstance(reply.failure, RateLimited):
            schedule.budget.pause(now + (reply.failure.retry_after_seconds or 0.0))
        schedule.fault(
            record.id,
            now,
            randomness=self._random(),
            refused=reply.refused and not young,
            times=reply.times,
            at_least_seconds=wait,
        )


def _polled(
    record: JobRecord, name: Literal["state_asked", "content_asked"], *, at: datetime, times: int = 1
) -> JobRecord:
    """Return the record with an answer's own time as that of the poll: a later one would make the answer the older."""
    asked = (*getattr(record, name), *[at] * times)[-_KEPT_STAMPS:]
    if name == "state_asked":
        return attrs.evolve(record, unanswered=False, state_asked=asked)
    return attrs.evolve(record, unanswered=False, content_asked=asked)

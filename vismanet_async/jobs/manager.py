"""`JobManager`: submits jobs, follows them, and settles them. The IO around model, schedule and store.

What is durable, in this order: the intent (before the request leaves), the job id, each poll (before it leaves, and
its answer), the end, the content. A process may be killed between any two of them; whoever takes its jobs over goes
on from there, and nothing is sent twice.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import uuid
from contextlib import nullcontext, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeVar, overload
from urllib.parse import unquote, urlsplit

import anyio
import anyio.lowlevel
import attrs

from vismanet_async.clock import SystemClock
from vismanet_async.errors import (
    DeadlineExceeded,
    HostNotAllowed,
    JobUncertain,
    NotSent,
    RateLimited,
    RequestRefused,
    TokenRefused,
    TransportError,
    UnexpectedResponse,
    VismaNetError,
)
from vismanet_async.jobs.job import Job, id_in_token
from vismanet_async.jobs.model import (
    FINAL,
    Accepted,
    Answered,
    ContentRead,
    DeadlinePassed,
    Event,
    Found,
    Lost,
    NeverSent,
    Notify,
    OperationNote,
    Outcome,
    Polled,
    Record,
    Recovered,
    Result,
    Sending,
    Settled,
    State,
    StateDocument,
    TransitionError,
    Unreadable,
    Vanished,
    advance,
    background_header,
    document_key,
)
from vismanet_async.jobs.outcome import error_of, plain_json
from vismanet_async.jobs.schedule import Schedule
from vismanet_async.jobs.store import JobUnknown, Leased, LeaseLost, StoreNotUsable
from vismanet_async.jobs.submitter import Answer, Submitter, job_id_in
from vismanet_async.observer import JobFacts, Observer
from vismanet_async.transport.problem import read_problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
    from datetime import datetime
    from types import TracebackType

    from vismanet_async.clock import Clock
    from vismanet_async.jobs.schedule import Rules
    from vismanet_async.jobs.store import JobStore
    from vismanet_async.operation import Operation
    from vismanet_async.transport.message import Response

__all__ = ["JobManager"]

T = TypeVar("T")

_KEPT_STAMPS: Final = 8
_GONE: Final = frozenset({404, 410})
_NOT_KEPT: Final = frozenset({"set-cookie", "authorization"})
_LEASE_SECONDS: Final = 30.0
_WATCH_SECONDS: Final = 2.0
"""How often the store is looked at for what other processes wrote."""
_POLLS_AT_ONCE: Final = 8
_log = logging.getLogger("vismanet_async.jobs")


class JobManager:
    """Background jobs of one company.

    Use it as an async context manager, or call `aclose()`. Until then jobs that were submitted, awaited or resumed
    here are followed in the background. Jobs still open at the end stay in the store, free for the next process. It
    may be shared by any number of tasks of one event loop.
    """

    def __init__(
        self,
        submitter: Submitter,
        *,
        company: str,
        store: JobStore,
        clock: Clock | None = None,
        random: Callable[[], float],
        rules: Rules | None = None,
        lease_seconds: float = _LEASE_SECONDS,
        decoder_of: Callable[[str], Callable[[Response], Any] | None] | None = None,
        observer: Observer | None = None,
    ) -> None:
        """Wire a manager; nothing is opened or sent yet.

        Args:
            submitter: the border to the client.
            company: the tenant that the submitter's tokens are for; jobs of others in the same store are left alone.
            store: where jobs are kept. It is opened on first use; its owner closes it.
            clock: for tests.
            random: gives numbers from 0 to 1, for jitter.
            rules: the schedule's figures.
            lease_seconds: how long a job of a process that died stays its own.
            decoder_of: finds an operation's decoder by catalog id, for handles made from an id alone; without one
                their result is plain JSON.
            observer: is told of each state that a job comes into here.
        """
        self.company = company
        self._submitter = submitter
        self._store = store
        self._clock = clock or SystemClock()
        self._random = random
        self._lease_seconds = lease_seconds
        self._decoder_of = decoder_of
        self._observer = observer or Observer()
        self._owner = uuid.uuid4().hex
        self._schedule = Schedule(rules=rules)
        self._leases: dict[str, Leased] = {}
        self._astray: frozenset[str] = frozenset()
        """Leases that the last renewal found without a job followed here."""
        self._watched: set[str] = set()
        """Jobs that someone in this process cares about; hints from other processes concern them."""
        self._settled: dict[str, anyio.Event] = {}
        self._wake = anyio.Event()
        self._serving = 0
        self._closed = False
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop following jobs and free them for other processes. What is under way is written down first."""
        task, self._task, self._closed = self._task, None, True
        if task is None:
            return
        task.cancel()
        with anyio.CancelScope(shield=True):
            with suppress(asyncio.CancelledError):
                await task
            await self._store.release(owner=self._owner)

    def __repr__(self) -> str:
        return f"<JobManager {self.company}, {len(self._schedule)} followed>"

    # -- submitting ------------------------------------------------------------------------------------------------

    async def submit(
        self,
        operation: Operation[T],
        *,
        reference: str | None = None,
        notify: Notify = "none",
        deadline_seconds: float | None = None,
        document: str | None = "auto",
    ) -> Job[T]:
        """Send an operation to the background queue.

        The job is written down before the request leaves. If-Match of the operation goes with it and is checked when
        the job runs. While an earlier job on the same document is not settled this waits for it, because the queue
        keeps no order.

        Args:
            operation: what to run; GETs too. Its body is not stored.
            reference: your own text for it, to find it again with `list`; without comma, equals and control
                characters. With `notify="subscription"` it comes back in the webhook's headers.
            notify: `subscription` makes the server send a webhook at the end, and saves polls. It also lets a lost
                submission be found again.
            deadline_seconds: how long to follow it; it is uncertain then. None for as long as the server knows it.
            document: jobs with the same text keep their order; `auto` takes it from the path, None runs at once.

        Returns:
            A handle. The operation may have been answered at once, outside the queue; then it is settled already.

        Raises:
            RequestRefused: nothing was sent or written.
            ApiError: refused by the server (400, 401, 403, 429, ...); nothing is queued. Written down as failed.
            NotSent: nothing left. Written down as failed; submit again.
            JobUncertain: sent, and the answer got lost, or an earlier job on the document is uncertain (then nothing
                was sent). `error.job_id` is the uncertain job's. Do not submit again before it is settled.
            StoreNotUsable: the intent could not be written, and nothing was sent; or the answer could not be
                written, and the job is found as an intent later.
        """
        record, failure = await self._submit(
            operation,
            reference=reference,
            notify=notify,
            deadline_seconds=deadline_seconds,
            document=document,
            limiter=None,
        )
        error = await self._submission_error(record)
        if failure is not None and record.state is State.FAILED:
            raise failure
        if error is not None:
            raise error from failure
        return Job(self, record.id, operation.decode)

    async def submit_many(
        self,
        operations: Iterable[Operation[T]],
        *,
        reference: str | None = None,
        notify: Notify = "none",
        deadline_seconds: float | None = None,
        at_once: int = 8,
    ) -> list[Job[T]]:
        """Submit many operations; documents take turns, and operations on one document keep their order.

        Args:
            operations: what to run.
            reference: as in `submit`, the same for all.
            notify: as in `submit`.
            deadline_seconds: as in `submit`.
            at_once: submissions in flight.

        Returns:
            A handle for each, in order. A submission that failed raises nothing here: its handle does when awaited.
            Cancelling leaves the rest unsent; what was sent is in the store.

        Raises:
            RequestRefused: one of them cannot be sent that way; nothing at all was sent.
        """
        chosen = list(operations)
        for operation in chosen:
            operation.request(background=background_header(notify=notify, own_id="0", reference=reference))
        lanes: dict[str, list[tuple[int, Operation[T]]]] = {}
        for index, operation in enumerate(chosen):
            key = document_key(method=operation.spec.method, path=operation.path) or f"#{index}"
            lanes.setdefault(key, []).append((index, operation))
        limiter = anyio.CapacityLimiter(at_once)
        jobs: dict[int, Job[T]] = {}

        async def lane(work: list[tuple[int, Operation[T]]]) -> None:
            for index, operation in work:
                record, _ = await self._submit(
                    operation,
                    reference=reference,
                    notify=notify,
                    deadline_seconds=deadline_seconds,
                    document="auto",
                    limiter=limiter,
                )
                jobs[index] = Job(self, record.id, operation.decode)

        async with anyio.create_task_group() as tasks:
            for work in lanes.values():
                tasks.start_soon(lane, work)
        return [jobs[index] for index in range(len(chosen))]

    async def _submit(
        self,
        operation: Operation[Any],
        *,
        reference: str | None,
        notify: Notify,
        deadline_seconds: float | None,
        document: str | None,
        limiter: anyio.CapacityLimiter | None,
    ) -> tuple[Record, VismaNetError | None]:
        self._start()
        own_id = uuid.uuid4().hex
        header = background_header(notify=notify, own_id=own_id, reference=reference)
        request = operation.request(background=header)
        if request.body is not None and not isinstance(request.body, bytes):
            raise RequestRefused(
                f"{operation.spec.id}: a streamed body cannot run in the background; nothing was sent."
            )
        if document == "auto":
            document = document_key(method=request.method, path=request.path)
        async with (limiter if document is None else None) or nullcontext():
            now = self._clock.utc_now()
            record = Record(
                id=own_id,
                company=self.company,
                operation=OperationNote.of(
                    operation_id=operation.spec.id,
                    method=request.method,
                    path=request.path,
                    query=request.query,
                    headers=request.headers,
                    body=request.body,
                ),
                document=document,
                reference=reference,
                notify=notify,
                created_at=now,
                deadline_at=None if deadline_seconds is None else now + timedelta(seconds=deadline_seconds),
                sending_at=now if document is None else None,
            )
            with anyio.CancelScope(shield=True):
                leased = await self._store.write_intent(record, owner=self._owner, until=self._lease_end())
                self._leases[own_id] = leased
            self._watched.add(own_id)
            self._tell(None, record)
            if document is None:
                return await self._send(leased, operation, header)
        leased = await self._wait_for_turn(leased)
        if leased.record.settled:
            await self._finish(leased)
            return leased.record, None
        async with limiter or nullcontext():
            leased = await self._apply(leased, Sending(at=self._clock.utc_now()))
            return await self._send(leased, operation, header)

    async def _wait_for_turn(self, leased: Leased) -> Leased:
        """Wait until no earlier job on the same document is open; gives the settled record when that is hopeless."""
        try:
            while (ahead := await self._store.ahead(leased.record.id)) is not None:
                if ahead.state is State.UNCERTAIN:
                    reason = f"job {ahead.id} on the same document is uncertain; settle it first"
                    return await self._apply(leased, NeverSent(at=self._clock.utc_now(), reason=reason))
                await self._adopt([ahead.id])
                await self._wait_a_while(ahead.id)
        except BaseException:
            # cancelled, or the store failed: nothing was sent, and that is worth writing down
            await self._answered(leased, NeverSent(at=self._clock.utc_now(), reason="given up in the queue"), None)
            raise
        return leased

    async def _send(
        self, leased: Leased, operation: Operation[Any], header: str
    ) -> tuple[Record, VismaNetError | None]:
        event: Event
        result: Result | None = None
        failure: VismaNetError | None = None
        try:
            await anyio.lowlevel.checkpoint_if_cancelled()
        except BaseException:
            await self._answered(leased, NeverSent(at=self._clock.utc_now(), reason="cancelled"), None)
            raise
        try:
            answer = await self._submitter.submit(operation, background=header)
        except VismaNetError as error:
            failure = error
            never = isinstance(error, _NEVER_SENT) or (isinstance(error, DeadlineExceeded) and not error.sent)
            kind = NeverSent if never else Lost
            event = kind(at=self._clock.utc_now(), reason=str(error))
        except BaseException as error:
            await self._answered(leased, Lost(at=self._clock.utc_now(), reason=type(error).__name__), None)
            raise
        else:
            event, result = self._read_submission(answer)
        return await self._answered(leased, event, result), failure

    def _read_submission(self, answer: Answer) -> tuple[Event, Result | None]:
        at = self._clock.utc_now()
        if answer.status == 202:  # noqa: PLR2004 - statuses are clearest as numbers
            job_id = job_id_in(answer)
            if job_id is None:
                return Lost(at=at, reason="a 202 without a job id"), None
            return Accepted(at=at, job_id=job_id), None
        problem = read_problem(answer.headers, answer.body)
        kept = tuple((name, value) for name, value in answer.headers.items() if name.lower() not in _NOT_KEPT)
        result = Result(status_code=answer.status, content=answer.body, headers=kept, read_at=at)
        return Answered(at=at, status_code=answer.status, error=problem.detail), result

    async def _answered(self, leased: Leased, event: Event, result: Result | None) -> Record:
        """Write down what became of a submission; not to be cancelled half-way."""
        with anyio.CancelScope(shield=True):
            record = await self._write_down(leased, event, result)
        return record  # noqa: RET504 - a scope may swallow, as far as types know

    async def _write_down(self, leased: Leased, event: Event, result: Result | None) -> Record:
        own_id = leased.record.id
        try:
            leased = await self._apply(leased, event, result=result)
        except LeaseLost:
            # this process was taken for dead meanwhile; what it knows is left as evidence for its successor
            if isinstance(event, Accepted):
                await self._store.hint(own_id=own_id, job_ids=[event.job_id], at=event.at)
            self._drop(own_id)
            return await self.record(own_id)
        record = leased.record
        if record.job_id is None or record.settled:
            self._drop(own_id)
            await self._store.release(owner=self._owner, ids=[own_id])
            return record
        self._follow(leased)
        if record.notify == "subscription":
            # its webhook may have overtaken the answer
            await self._hinted([own_id])
        return record

    async def _submission_error(self, record: Record) -> VismaNetError | None:
        if record.state is State.SUCCEEDED or record.state not in {*FINAL, State.UNCERTAIN}:
            return None
        error = error_of(record, await self._store.result(record.id))
        if isinstance(error, NotSent) and record.document is not None:
            blocker = await self._store.ahead(record.id)
            if blocker is not None and blocker.state is State.UNCERTAIN:
                error = JobUncertain(f"job {record.id} was {record.error}. Nothing was sent.")
                error.job_id = blocker.id
        return error

    # -- handles ---------------------------------------------------------------------------------------------------

    @overload
    async def get(self, own_id: str) -> Job[Any]: ...

    @overload
    async def get(self, own_id: str, *, operation: Operation[T]) -> Job[T]: ...

    async def get(self, own_id: str, *, operation: Operation[Any] | None = None) -> Job[Any]:
        """Make a handle from an id, ours or the server's, in any process with the same store.

        Args:
            own_id: `job.id`, or the server's job id.
            operation: the same call again, for its decoder; without it the catalog id decides.

        Raises:
            JobUnknown: no such job of this company is written down.
        """
        record = await self._store.get(own_id)
        if record is None or record.company != self.company:
            record = await self._store.find(company=self.company, job_id=own_id)
        if record is None:
            raise JobUnknown(f"no job {own_id} of company {self.company} is written down in this store.")
        return Job(self, record.id, self._decoder(record) if operation is None else operation.decode)

    async def from_token(self, token: str) -> Job[Any]:
        """Make a handle from `job.token`."""
        return await self.get(id_in_token(token, company=self.company))

    async def list(
        self, *, states: Collection[State] | None = None, reference: str | None = None, limit: int = 1000
    ) -> Sequence[Record]:
        """Give jobs as they are written down, newest first; asks the store, never the server."""
        return await self._store.select(company=self.company, states=states, reference=reference, limit=limit)

    async def record(self, own_id: str) -> Record:
        """Give one job as it is written down."""
        record = await self._store.get(own_id)
        if record is None:
            raise JobUnknown(f"job {own_id} is not written down any more: it was forgotten or pruned.")
        return record

    async def kept_result(self, own_id: str) -> Result | None:
        """Give what the server said about a job."""
        return await self._store.result(own_id)

    async def wait(self, own_id: str, *, timeout_seconds: float | None, until_certain: bool) -> Record:
        """Wait until a job is settled, following it here unless another process does; see `Job.wait`."""
        self._start()
        deadline = None if timeout_seconds is None else self._clock.monotonic() + timeout_seconds
        self._watched.add(own_id)
        while True:
            self._start()
            record = await self.record(own_id)
            if record.settled or (until_certain and record.state is State.UNCERTAIN):
                self._settled.pop(own_id, None)
                return record
            left = None if deadline is None else deadline - self._clock.monotonic()
            if left is not None and left <= 0:
                raise TimeoutError(
                    f"job {own_id} was not settled within {timeout_seconds} s; it goes on and may be waited for again."
                )
            if own_id not in self._leases and (record.state is not State.UNCERTAIN or self._can_follow(record)):
                await self._adopt([own_id])
            await self._wait_a_while(own_id, at_most_seconds=left)

    # -- working ---------------------------------------------------------------------------------------------------

    async def resume(self) -> Sequence[Job[Any]]:
        """Take over every open job of this company that no living process holds, and follow it here.

        An intent found so is uncertain (or was certainly never sent). Jobs of a process that died moments ago come
        free when its leases end; `run` takes those too.
        """
        self._start()
        records = [leased.record for leased in await self._adopt(None)]
        return [Job(self, record.id, self._decoder(record)) for record in records]

    async def run(self) -> None:
        """Work as long as the task is not cancelled: take over and follow all jobs of this company, now and later.

        Several processes may do so on one PostgreSQL; each job is followed by one of them at a time.
        """
        self._start()
        self._serving += 1
        try:
            while True:
                self._start()
                try:
                    await self._adopt(None)
                except StoreNotUsable as error:
                    _log.warning(
                        "the job store is out of reach, trying again: %s", error, extra={"company": self.company}
                    )
                await self._clock.sleep(_WATCH_SECONDS)
        finally:
            self._serving -= 1

    async def settle(
        self,
        own_id: str,
        *,
        outcome: Outcome | None = None,
        job_id: str | None = None,
        note: str = "",
    ) -> Record:
        """Say what is known about an uncertain job.

        Args:
            own_id: the job.
            outcome: how it ended, as you saw it in the ERP; the job is settled with it. Or instead:
            job_id: the server's id, found elsewhere (or the known one, to follow it past its deadline).
            note: why; kept with the job.

        Raises:
            TransitionError: the job is not uncertain.
            LeaseLost: another process is working on it right now.
            JobUnknown: no such job.
        """
        self._start()
        if (outcome is None) == (job_id is None):
            raise RequestRefused("settle takes an outcome or a job_id, one of both; nothing was changed.")
        record = await self.record(own_id)
        at = self._clock.utc_now()
        event: Event = (
            Settled(at=at, outcome=outcome, note=note) if outcome is not None else Found(at=at, job_id=job_id or "")
        )
        advance(record, event)
        held = self._leases.get(own_id)
        claimed = [held] if held else list(await self._claim([own_id]))
        if not claimed:
            raise LeaseLost(f"job {own_id} is being worked on by another process; try again.")
        leased = await self._apply(claimed[0], event)
        if leased.record.settled:
            await self._finish(leased)
        else:
            self._watched.add(own_id)
            self._follow(leased)
        return leased.record

    async def forget(self, own_id: str) -> None:
        """Delete a job and its result from the store."""
        await self._store.forget(own_id)
        self._drop(own_id)

    async def prune(self, *, older_than: timedelta = timedelta(days=90)) -> int:
        """Delete jobs settled that long ago, with their results; tells how many. Open and uncertain ones stay."""
        return await self._store.prune(company=self.company, settled_before=self._clock.utc_now() - older_than)

    async def hint(self, *, own_id: str | None, job_ids: tuple[str, ...], at: datetime) -> None:
        """Take in a webhook's ids: they are written down, and what is followed here is asked for at once."""
        await self._hinted(await self._store.hint(own_id=own_id, job_ids=job_ids, at=at))

    # -- the two tasks ---------------------------------------------------------------------------------------------

    async def _poll_loop(self) -> None:
        polling = anyio.CapacityLimiter(_POLLS_AT_ONCE)

        async def ask(own_id: str, borrower: object) -> None:
            try:
                await self._ask(own_id)
            finally:
                polling.release_on_behalf_of(borrower)
                self._wake.set()

        async with anyio.create_task_group() as polls:
            while True:
                self._wake = anyio.Event()
                now = self._clock.monotonic()
                self._observe_quota(now)
                if polling.available_tokens and (own_id := self._schedule.take(now)) is not None:
                    borrower = object()  # not the id: a job may come back while a poll under a lost lease still runs
                    polling.acquire_on_behalf_of_nowait(borrower)
                    polls.start_soon(ask, own_id, borrower)
                    continue
                wakeup = self._schedule.wakeup(now) if polling.available_tokens else float("inf")
                await self._sleep_until(self._wake, None if wakeup == float("inf") else wakeup - now)

    async def _keep_loop(self) -> None:
        """Keep what other processes do and what this one holds in line: leases, worker count, hints."""
        for operation, seconds in (await self._store.run_times(company=self.company)).items():
            self._schedule.know(operation, seconds)
        looked_at = self._clock.utc_now()
        renewed_at = self._clock.monotonic()
        while True:
            await self._clock.sleep(min(_WATCH_SECONDS, self._lease_seconds / 6))
            try:
                if self._clock.monotonic() - renewed_at >= self._lease_seconds / 3:
                    renewed_at = self._clock.monotonic()
                    await self._renew()
                if not (self._watched or self._serving):
                    continue
                since, looked_at = looked_at, self._clock.utc_now()
                found = await self._store.hints(company=self.company, since=since - timedelta(seconds=5))
                await self._hinted([own_id for own_id, _ in found])
            except StoreNotUsable as error:
                _log.warning("the job store is out of reach, trying again: %s", error, extra={"company": self.company})

    async def _renew(self) -> None:
        now = self._clock.utc_now()
        before = dict(self._leases)
        held = await self._store.renew(owner=self._owner, now=now, until=self._lease_end())
        for own_id, leased in before.items():
            current = self._leases.get(own_id)
            # one that was claimed anew while this was under way is not lost
            if own_id not in held and current is not None and current.fence == leased.fence:
                self._drop(own_id)
        # a lease that nobody here works under must not be prolonged for ever
        astray = held - self._leases.keys()
        if unclaimed := astray & self._astray:
            await self._store.release(owner=self._owner, ids=unclaimed)
        self._astray = astray - unclaimed
        self._schedule.workers = max(1, await self._store.workers(company=self.company, now=now))

    async def _hinted(self, own_ids: Sequence[str]) -> None:
        mine = [own_id for own_id in own_ids if self._serving or own_id in self._watched]
        strangers = [own_id for own_id in mine if own_id not in self._leases]
        if strangers:
            await self._adopt(strangers)
        for own_id in mine:
            leased = self._leases.get(own_id)
            record = None if leased is None else await self._store.get(own_id)
            if leased is None or record is None or not record.hint_pending:
                continue
            held = leased.record
            if (held.hinted_at, held.candidates) == (record.hinted_at, record.candidates):
                continue
            # only what hints write is taken from the store: the rest may be half-way through a poll here
            fresh = attrs.evolve(held, hinted_at=record.hinted_at, candidates=record.candidates)
            self._leases[own_id] = attrs.evolve(leased, record=fresh)
            self._schedule.hint(own_id, self._clock.monotonic())
        if mine:
            self._wake.set()

    # -- one request about one job ---------------------------------------------------------------------------------

    async def _ask(self, own_id: str) -> None:
        """Ask for what is due of a job, and write down what came of it; the schedule knows when it is next."""
        leased = self._leases.get(own_id)
        if leased is None:
            self._schedule.remove(own_id)
            return
        try:
            with self._observer.following(own_id):
                await self._ask_what_is_due(leased)
        except LeaseLost:
            held = self._leases.get(own_id)
            if held is not None and held.fence == leased.fence:
                self._drop(own_id)
        except StoreNotUsable as error:
            _log.warning(
                "the job store is out of reach, job %s is asked for again later: %s",
                own_id,
                error,
                extra={"company": self.company, "job": own_id, "operation": leased.record.operation.id},
            )
            self._schedule.fault(own_id, self._clock.monotonic(), randomness=self._random())

    async def _ask_what_is_due(self, leased: Leased) -> None:
        if leased.record.job_id is None:
            await self._check_candidates(leased)
            return
        if not leased.record.content_due:
            leased = await self._ask_state(leased)
        if leased.record.content_due and not leased.record.settled:
            await self._ask_content(leased)

    async def _ask_state(self, leased: Leased) -> Leased:
        own_id, job_id = leased.record.id, leased.record.job_id or ""
        leased = await self._stamp(leased)
        answer, failure = await self._answer(self._submitter.state(job_id))
        event, body = self._read_state(answer, failure)
        times = 1 if answer is None else answer.asked
        record = self._unstamped(leased.record, "state_asked", times)
        leased, read = await self._take_in(leased, record, event, body, times=times)
        if not read and own_id in self._leases:
            self._later(own_id, answer, failure, times)
        return leased

    async def _take_in(
        self, leased: Leased, record: Record, event: Event, body: bytes, *, times: int
    ) -> tuple[Leased, bool]:
        """Write down what a poll brought, and plan the next unless the job's state could not be read."""
        own_id = record.id
        try:
            after = advance(record, event)
        except TransitionError as error:
            event = Unreadable(at=event.at, reason=str(error))
            after = advance(record, event)
        if self._deadline_passed(after):
            after = advance(after, DeadlinePassed(at=event.at))
        done = isinstance(event, Polled) and event.document.done and (after.content_due or after.settled)
        result = self._result_of(event.document, body) if done and isinstance(event, Polled) else None
        leased = await self._save(leased, after, result=result)
        now = self._clock.monotonic()
        if after.settled or after.state is State.UNCERTAIN:
            await self._finish(leased)
        elif after.content_due:
            self._schedule.switch(own_id, now=now, asked=[self._monotonic(when) for when in after.content_asked])
        elif isinstance(event, Polled):
            self._schedule.pending(own_id, now, times=times)
        return leased, isinstance(event, Polled)

    async def _ask_content(self, leased: Leased) -> None:
        own_id, job_id = leased.record.id, leased.record.job_id or ""
        leased = await self._stamp(leased)
        answer, failure = await self._answer(self._submitter.content(job_id))
        times = 1 if answer is None else answer.asked
        record = self._unstamped(leased.record, "content_asked", times)
        at = self._clock.utc_now()
        kept = await self._store.result(own_id)
        result: Result | None = None
        if answer is not None and (answer.status == 200 or answer.status in _GONE):  # noqa: PLR2004
            missing = answer.status in _GONE
            after = advance(record, ContentRead(at=at, missing=missing))
            if kept is not None and not missing:
                result = attrs.evolve(kept, content=answer.body, read_at=at)
        else:
            after = advance(record, Unreadable(at=at, reason="its content could not be read"))
        leased = await self._save(leased, after, result=result)
        if after.settled:
            await self._finish(leased)
        else:
            self._later(own_id, answer, failure, times)

    async def _check_candidates(self, leased: Leased) -> None:
        """See whether an id out of a webhook is this job's: headers are not signed, so the server is asked."""
        record = leased.record
        if not record.candidates:
            await self._finish(leased)
            return
        job_id = record.candidates[0]
        leased = await self._stamp(leased)
        answer, failure = await self._answer(self._submitter.state(job_id))
        times = 1 if answer is None else answer.asked
        record = self._unstamped(leased.record, "state_asked", times)
        event, body = self._read_state(answer, failure)
        now = self._clock.monotonic()
        if isinstance(event, Polled) and _is_of(record, event.document, job_id):
            taken = await self._store.find(company=self.company, job_id=job_id)
            if taken is None:
                found = advance(record, Found(at=event.at, job_id=job_id))
                leased, _ = await self._take_in(leased, found, event, body, times=times)
                if leased.record.content_due:
                    await self._ask_content(leased)
                return
        elif not isinstance(event, Polled | Vanished) and not (answer is not None and answer.status == 403):  # noqa: PLR2004
            await self._save(leased, record)
            self._later(record.id, answer, failure, times)
            return
        leased = await self._save(leased, record)
        left = await self._store.drop_candidates(leased, [job_id])
        self._leases[record.id] = attrs.evolve(leased, record=attrs.evolve(leased.record, candidates=left))
        if left:
            self._schedule.switch(record.id, now=now, asked=())
            self._schedule.pending(record.id, now)
            self._schedule.hint(record.id, now)
        else:
            await self._finish(leased)

    async def _stamp(self, leased: Leased) -> Leased:
        """Write down that a request is about to leave, so that a restart cannot forget it."""
        record, now = leased.record, self._clock.utc_now()
        if record.unanswered:
            record = self._unstamped(record, "content_asked" if record.content_due else "state_asked", 1)
        polls = record.polls + (not record.content_due)
        return await self._save(leased, attrs.evolve(record, asked_at=now, unanswered=True, polls=polls))

    def _unstamped(self, record: Record, name: Literal["state_asked", "content_asked"], times: int) -> Record:
        asked = (*getattr(record, name), *[self._clock.utc_now()] * times)[-_KEPT_STAMPS:]
        if name == "state_asked":
            return attrs.evolve(record, unanswered=False, state_asked=asked)
        return attrs.evolve(record, unanswered=False, content_asked=asked)

    async def _answer(self, asking: Awaitable[Answer]) -> tuple[Answer | None, VismaNetError | None]:
        try:
            return await asking, None
        except (TransportError, RateLimited, TokenRefused, UnexpectedResponse) as error:
            return None, error

    def _read_state(self, answer: Answer | None, failure: VismaNetError | None) -> tuple[Event, bytes]:
        at = self._clock.utc_now()
        if answer is None:
            return Unreadable(at=at, reason=f"its state could not be read: {failure}"), b""
        if answer.status in _GONE:
            return Vanished(at=at, status_code=answer.status), b""
        if answer.status != 200:  # noqa: PLR2004 - statuses are clearest as numbers
            problem = read_problem(answer.headers, answer.body)
            return Unreadable(at=at, reason=f"its state was answered with {answer.status} {problem.detail}"), b""
        try:
            return Polled(at=at, document=StateDocument.read(answer.body)), answer.body
        except (ValueError, RecursionError):
            return Unreadable(at=at, reason="its state was answered with something else than a state document"), b""

    def _later(self, own_id: str, answer: Answer | None, failure: VismaNetError | None, times: int) -> None:
        now = self._clock.monotonic()
        if isinstance(failure, RateLimited):
            self._schedule.pause(now + (failure.retry_after_seconds or 0.0))
        refused = answer is not None and 400 <= answer.status < 500  # noqa: PLR2004 - client errors
        self._schedule.fault(own_id, now, randomness=self._random(), refused=refused, times=times)

    def _result_of(self, document: StateDocument, body: bytes) -> Result:
        kept = tuple((name, value) for name, value in document.response_headers if name.lower() not in _NOT_KEPT)
        return Result(
            status_code=document.status_code,
            state_document=_without_cookies(body),
            headers=kept,
            read_at=self._clock.utc_now(),
        )

    def _deadline_passed(self, record: Record) -> bool:
        return record.deadline_at is not None and self._clock.utc_now() >= record.deadline_at

    # -- leases ----------------------------------------------------------------------------------------------------

    async def _adopt(self, own_ids: Collection[str] | None) -> Sequence[Leased]:
        """Claim jobs that nobody holds and go on with them; None claims all of this company."""
        adopted = []
        for claimed in await self._claim(own_ids):
            leased = claimed
            if leased.record.state is State.INTENT:
                try:
                    leased = await self._apply(leased, Recovered(at=self._clock.utc_now()))
                except LeaseLost:
                    continue
            adopted.append(leased)
            record = leased.record
            if record.settled or (record.state is State.UNCERTAIN and not self._can_follow(record)):
                await self._finish(leased)
            else:
                self._follow(leased, missed=True)
        return adopted

    @staticmethod
    def _can_follow(record: Record) -> bool:
        return bool(record.candidates) or (record.job_id is not None and record.hint_pending)

    async def _claim(self, own_ids: Collection[str] | None) -> Sequence[Leased]:
        now = self._clock.utc_now()
        until = self._lease_end()
        return await self._store.claim(
            company=self.company, owner=self._owner, now=now, until=until, ids=None if own_ids is None else set(own_ids)
        )

    def _follow(self, leased: Leased, *, missed: bool = False) -> None:
        record = leased.record
        self._leases[record.id] = leased
        now = self._clock.monotonic()
        asked = record.content_asked if record.content_due else record.state_asked
        self._schedule.add(
            record.id,
            now=now,
            operation=record.operation.id,
            began_at=min(now, self._monotonic(record.submitted_at or record.created_at)),
            expires_at=self._monotonic(record.expires_at),
            deadline_at=float("inf") if record.deadline_at is None else self._monotonic(record.deadline_at),
            webhook=record.notify == "subscription",
            missed=missed,
            asked=[self._monotonic(when) for when in asked],
            unanswered_since=self._monotonic(record.asked_at) if record.unanswered and record.asked_at else None,
        )
        if record.hint_pending or record.content_due:
            self._schedule.hint(record.id, now)
        self._wake.set()

    async def _apply(self, leased: Leased, event: Event, *, result: Result | None = None) -> Leased:
        return await self._save(leased, advance(leased.record, event), result=result)

    async def _save(self, leased: Leased, record: Record, *, result: Result | None = None) -> Leased:
        saved = await self._store.save(leased, record, result=result)
        if record.state is not leased.record.state:
            self._tell(leased.record, record)
        held = self._leases.get(record.id)
        if held is not None:
            # a webhook may have come in while a request was under way
            fresh = attrs.evolve(record, hinted_at=held.record.hinted_at, candidates=held.record.candidates)
            saved = self._leases[record.id] = attrs.evolve(saved, record=fresh)
        return saved

    def _tell(self, before: Record | None, record: Record) -> None:
        """Log that a job has come into a state, and tell the observer."""
        _log.info(
            "job %s %s: %s",
            record.id,
            record.operation.id,
            record.state.value,
            extra={
                "operation": record.operation.id,
                "company": record.company,
                "job": record.id,
                "state": record.state.value,
                "attempt": record.polls,
            },
        )
        self._observer.job(
            JobFacts(
                id=record.id,
                company=record.company,
                operation=None if record.operation.by_hand else record.operation.id,
                state=record.state.value,
                before=None if before is None else before.state.value,
                settled=record.settled,
                created_at=record.created_at,
                sending_at=record.sending_at,
                at=self._clock.utc_now(),
                status_code=record.status_code,
                polls=record.polls,
            )
        )

    async def _finish(self, leased: Leased) -> None:
        """Let go of a job that needs no more work, and tell those who wait for it."""
        record = leased.record
        ran = None
        if record.settled and record.status_code and record.submitted_at and record.settled_at:
            ran = record.run_seconds
            if ran is None:
                ran = (record.settled_at - record.submitted_at).total_seconds()
        self._schedule.remove(record.id, ran_seconds=ran)
        self._leases.pop(record.id, None)
        await self._store.release(owner=self._owner, ids=[record.id])
        self._announce(record.id)

    def _drop(self, own_id: str) -> None:
        self._leases.pop(own_id, None)
        self._schedule.remove(own_id)
        self._announce(own_id)

    # -- waiting ---------------------------------------------------------------------------------------------------

    def _announce(self, own_id: str) -> None:
        event = self._settled.pop(own_id, None)
        if event is not None:
            event.set()

    async def _wait_a_while(self, own_id: str, *, at_most_seconds: float | None = None) -> None:
        """Wait until the job is settled here, or it is time to look into the store for what others did."""
        event = self._settled.setdefault(own_id, anyio.Event())
        seconds = at_most_seconds
        if own_id not in self._leases:
            seconds = _WATCH_SECONDS if seconds is None else min(_WATCH_SECONDS, seconds)
        await self._sleep_until(event, seconds)

    async def _sleep_until(self, event: anyio.Event, seconds: float | None) -> None:
        if seconds is None:
            await event.wait()
            return

        with self._clock.move_on_after(seconds):
            await event.wait()

    # -- small things ----------------------------------------------------------------------------------------------

    def _decoder(self, record: Record) -> Callable[[Response], Any]:
        found = None if self._decoder_of is None else self._decoder_of(record.operation.id)
        return found or plain_json

    def _observe_quota(self, now: float) -> None:
        quota = self._submitter.quota
        if quota is None:
            return
        self._schedule.pause(quota.paused_until)
        if quota.remaining is not None and quota.resets_at is not None and quota.resets_at > now:
            self._schedule.observe_quota(now=now, remaining=quota.remaining, resets_at=quota.resets_at)

    def _lease_end(self) -> datetime:
        return self._clock.utc_now() + timedelta(seconds=self._lease_seconds)

    def _monotonic(self, when: datetime) -> float:
        return self._clock.monotonic() + (when - self._clock.utc_now()).total_seconds()

    def _start(self) -> None:
        """Begin to follow jobs, on first use."""
        if self._closed:
            raise RuntimeError("the job manager is closed; jobs go on in the next one with the same store.")
        if self._task is None:
            # a task of its own holds the task group: a manager is often opened and closed by different tasks
            # (fixtures, frameworks), which a group entered here would not survive. In a context of its own: it works
            # for all who submit, not for the request that happened to be the first
            self._task = asyncio.create_task(self._follow_jobs(), name=repr(self), context=contextvars.Context())
        if self._task.done():
            raise RuntimeError(
                "the job manager has stopped because of an error; its jobs are safe in the store."
            ) from (None if self._task.cancelled() else self._task.exception())

    async def _follow_jobs(self) -> None:
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._poll_loop)
                tasks.start_soon(self._keep_loop)
        finally:
            # whoever waits looks again, and finds out
            for own_id in [*self._settled]:
                self._announce(own_id)


_NEVER_SENT: Final = (NotSent, RequestRefused, TokenRefused, RateLimited, HostNotAllowed)


def _is_of(record: Record, document: StateDocument, job_id: str) -> bool:
    """Tell whether a state document is that of this job: the same id, the same path, not older than its request."""
    if document.job_id is not None and document.job_id.casefold() != job_id.casefold():
        return False
    if document.original_uri is not None:
        path = unquote(urlsplit(document.original_uri).path).casefold()
        if not path.endswith(unquote(record.operation.path).casefold()):
            return False
    began = record.sending_at or record.created_at
    return document.received_at is None or document.received_at >= began - timedelta(minutes=10)


def _without_cookies(body: bytes) -> bytes:
    """Give a state document as it came, but for cookies of the executed request, which have no place in a store."""
    if b"cookie" not in body.lower():
        return body
    document = json.loads(body, parse_float=str)
    headers = document.get("responseHeaders")
    if isinstance(headers, dict):
        document["responseHeaders"] = {name: each for name, each in headers.items() if name.lower() not in _NOT_KEPT}
    return json.dumps(document).encode()

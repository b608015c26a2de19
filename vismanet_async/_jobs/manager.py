"""`JobManager`: the public interface of background jobs. Submits jobs, returns handles, settles uncertain jobs.

Stored in this order: the intent (before the request is sent), the job id, each poll (before it is sent, and its
answer), the end, the content. A process may be killed between any two of them; the process that takes its jobs over
continues from there, and nothing is sent twice. `Submission`, `Poller` and `LeaseKeeper` do the work, on `LeasedJobs`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, Unpack, overload

import anyio

from vismanet_async._arguments import expect, expect_count, expect_seconds, expect_share
from vismanet_async._clock import SystemClock
from vismanet_async._deferred import mark_used
from vismanet_async._jobs.background_work import BackgroundWork
from vismanet_async._jobs.job import JobHandles, id_in_token
from vismanet_async._jobs.leased_jobs import LeasedJobs
from vismanet_async._jobs.polling import Poller
from vismanet_async._jobs.results import decoder_for
from vismanet_async._jobs.settling import event_of, settle
from vismanet_async._jobs.stored_jobs import StoredJobs
from vismanet_async._jobs.submission import Submission, SubmitOptions
from vismanet_async._jobs.waiting import wait_for_end
from vismanet_async._observer import Observer
from vismanet_async._operation import Operation
from vismanet_async._paging.listing import Listing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from vismanet_async._clock import Clock
    from vismanet_async._http.message import Response
    from vismanet_async._jobs.background_api import Submitter
    from vismanet_async._jobs.core.records import JobRecord
    from vismanet_async._jobs.core.states import Notify, Outcome
    from vismanet_async._jobs.job import Job
    from vismanet_async._jobs.list_job import ListJob
    from vismanet_async._jobs.schedule import Rules
    from vismanet_async._jobs.store import JobStore

__all__ = ["JobManager"]

T = TypeVar("T")

_LEASE_SECONDS: Final = 30.0


class JobManager(StoredJobs):
    """Background jobs of one company.

    Use it as an async context manager, or call `aclose()`. Until then jobs that were submitted, awaited or resumed
    here are followed in the background. Jobs still open at the end stay in the store, free for the next process. It
    may be shared by any number of tasks of one event loop.

    Examples:
        >>> job = await visma.jobs.submit(visma.customer.get("10000"), reference="tonight")
        >>> customer = await job
        >>> [(record.reference, record.state) for record in await visma.jobs.list()]
        [('tonight', <State.SUCCEEDED: 'succeeded'>)]
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
        """Create a manager; nothing is opened or sent yet.

        Args:
            submitter: the client interface.
            company: the tenant that the submitter's tokens are for; jobs of others in the same store are left alone.
            store: where jobs are kept. It is opened on first use; its owner closes it.
            clock: for tests.
            random: returns numbers from 0 to 1, for jitter.
            rules: the schedule's figures.
            lease_seconds: how long a job of a process that died stays its own.
            decoder_of: finds an operation's decoder by catalog id; without one results are plain JSON.
            observer: gets each state change of a job that is followed here.
        """
        super().__init__(company=company, store=store, clock=clock or SystemClock())
        self._jobs = LeasedJobs(
            company=company,
            store=store,
            clock=self._clock,
            rules=rules,
            lease_seconds=lease_seconds,
            observer=observer or Observer(),
        )
        decoder = partial(decoder_for, known=decoder_of)
        poller = Poller(self._jobs, submitter, random=random, decoder_of=decoder)
        self._work = BackgroundWork(self._jobs, poller, name=repr(self))
        self._submission = partial(Submission, submitter=submitter, jobs=self._jobs, conclusions=self._work.conclusions)
        self._handles = JobHandles(self, submission=self._submission, alive=self._work.start, decoder_of=decoder)

    @property
    def poll_share(self) -> float:
        """The part of the quota that is left which polls may use, spread evenly over the window's rest; 0.5.

        More has ends of many jobs noticed sooner, and leaves less for all other requests of this window. A change
        counts from the next answer on. Several workers divide their share among them. `VismaNet(poll_share=...)` and
        `VISMANET_POLL_SHARE` set it from the beginning.

        Raises:
            RequestRefused: set to something that is not above 0 and at most 1.

        Examples:
            >>> visma.jobs.poll_share = 0.9
            >>> visma.jobs.poll_share
            0.9
        """
        return self._jobs.schedule.budget.share

    @poll_share.setter
    def poll_share(self, share: float) -> None:
        expect_share("poll_share", share)
        self._jobs.schedule.budget.share = share

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop following jobs and free them for other processes. What is under way is written down first.

        A store that is out of reach is logged, not raised: what it lacks is logged with the ids, and leases run out.
        """
        await self._work.stop()

    def __repr__(self) -> str:
        return f"<JobManager {self.company}, {len(self._jobs.schedule)} followed>"

    @overload
    async def submit(self, operation: Operation[T], **options: Unpack[SubmitOptions]) -> Job[T]: ...

    @overload
    async def submit(self, operation: Listing[T], **options: Unpack[SubmitOptions]) -> ListJob[T]: ...

    async def submit(
        self,
        operation: Operation[T] | Listing[T],
        *,
        reference: str | None = None,
        notify: Notify = "none",
        headers: Mapping[str, str] | None = None,
        deadline_seconds: float | None = None,
        document: str | None = "auto",
    ) -> Job[T] | ListJob[T]:
        """Send an operation, or the first page of a list, to the background queue.

        The job is written down before the request leaves. If-Match of the operation goes with it and is checked when
        the job runs. While an earlier job on the same document is not settled this waits for it, because the queue
        keeps no order. Of a list each page is a job; `ListJob` submits the others.

        Args:
            operation: what to run; GETs and lists too. Its body is not stored.
            reference: your own text for it, to find it again with `list`; without comma, equals and control
                characters. With `notify="subscription"` it comes back in the webhook's headers.
            notify: `subscription` makes the server send a webhook at the end, and saves polls. It also lets a lost
                submission be found again.
            headers: your own names and values, which the webhook brings back as HTTP headers; they need
                `notify="subscription"`, are printable ASCII without comma and equals, and are not written down.
                The webhook's signature does not cover them.
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
            StoreNotUsable: nothing was sent; or the job was accepted, and could not be written down yet. Then
                `error.job_id` is the server's id; it is written down as soon as the store is back. Do not submit again.

        Examples:
            >>> number = (await visma.supplier_invoice.list(status="Balanced"))[0].reference_number
            >>> job = await visma.jobs.submit(visma.supplier_invoice.release(number))
            >>> (await job).action_result
            'Done'
        """
        _check(operation, reference=reference, notify=notify, deadline_seconds=deadline_seconds, document=document)
        self._work.start()
        submission = self._submission(
            reference=reference,
            notify=notify,
            headers=headers,
            deadline_seconds=deadline_seconds,
            ordering_key=document,
        )
        return await self._handles.submit(operation, submission)

    async def submit_many(
        self,
        operations: Iterable[Operation[T]],
        *,
        reference: str | None = None,
        notify: Notify = "none",
        headers: Mapping[str, str] | None = None,
        deadline_seconds: float | None = None,
        at_once: int = 8,
    ) -> list[Job[T]]:
        """Submit many operations in parallel; operations on one document keep their order.

        Args:
            operations: what to run.
            reference: as in `submit`, the same for all.
            notify: as in `submit`.
            headers: as in `submit`, the same for all.
            deadline_seconds: as in `submit`.
            at_once: submissions in flight.

        Returns:
            A handle for each, in order. A submission that failed raises nothing here: its handle does when awaited.
            Cancelling leaves the rest unsent; what was sent is in the store.

        Raises:
            RequestRefused: one of them cannot be sent that way; nothing at all was sent.
            StoreNotUsable: as in `submit`. Those under way were finished, no more were begun, and those that were
                submitted are in the store.
        """
        expect("operations", operations, Iterable, words="operations")
        chosen = list(operations)
        for operation in chosen:
            _check(operation, reference=reference, notify=notify, deadline_seconds=deadline_seconds, takes_lists=False)
        expect_count("at_once", at_once)
        self._work.start()
        submission = self._submission(
            reference=reference,
            notify=notify,
            headers=headers,
            deadline_seconds=deadline_seconds,
            limiter=anyio.CapacityLimiter(at_once),
        )
        return await self._handles.submit_many(chosen, submission)

    @overload
    async def get(self, own_id: str) -> Job[Any]: ...

    @overload
    async def get(self, own_id: str, *, operation: Operation[T]) -> Job[T]: ...

    @overload
    async def get(self, own_id: str, *, operation: Listing[T]) -> ListJob[T]: ...

    async def get(
        self, own_id: str, *, operation: Operation[Any] | Listing[Any] | None = None
    ) -> Job[Any] | ListJob[Any]:
        """Return a handle by id, ours or the server's, in any process with the same store.

        Args:
            own_id: `job.id`, or the server's job id.
            operation: the same call again, for its decoder; without it the catalog id decides. For the job of a list
                the same list call with the same options, to read on; without it this is the job of its first page.

        Raises:
            JobUnknown: no such job of this company is written down.
            RequestRefused: the job is not the first page of that list.
        """
        expect("own_id", own_id, str)
        if operation is not None:
            _check(operation)
        return self._handles.of(await self._find(own_id), operation)

    async def from_token(self, token: str) -> Job[Any]:
        """Return a handle from `job.token`."""
        expect("token", token, str)
        return await self.get(id_in_token(token, company=self.company))

    async def record(self, own_id: str) -> JobRecord:
        """Return one stored job."""
        expect("own_id", own_id, str)
        return await self._jobs.record(own_id)

    async def wait(self, own_id: str, *, timeout_seconds: float | None, until_certain: bool) -> JobRecord:
        """Wait until a job is settled, following it here unless another process does; see `Job.wait`."""
        expect("own_id", own_id, str)
        expect_seconds("timeout_seconds", timeout_seconds, zero=True)
        return await wait_for_end(
            self._jobs, own_id, timeout_seconds=timeout_seconds, until_certain=until_certain, alive=self._work.start
        )

    async def resume(self) -> Sequence[Job[Any]]:
        """Claim every open job of this company that no living process has leased, and follow it here.

        An intent found so is uncertain (or was certainly never sent). Jobs of a process that died moments ago are
        free when its leases expire; `run` claims those too.
        """
        self._work.start()
        return [self._handles.of(leased.record) for leased in await self._jobs.take_over(None)]

    async def run(self) -> None:
        """Claim and follow all jobs of this company, now and later, until the task is cancelled.

        Several processes may do so on one PostgreSQL; each job is followed by one of them at a time.
        """
        await self._work.keeper.take_over_all(alive=self._work.start)

    async def settle(
        self, own_id: str, *, outcome: Outcome | None = None, job_id: str | None = None, note: str = ""
    ) -> JobRecord:
        """Settle an uncertain job by its outcome, or follow it again by its id.

        Args:
            own_id: the job.
            outcome: how it ended, as you saw it in the ERP; the job is settled with it. Or instead:
            job_id: the server's id, found elsewhere (or the known one, to follow it past its deadline).
            note: why the outcome is believed; kept with the job, and not taken with a job_id.

        Raises:
            TransitionError: the job is not uncertain.
            LeaseLost: another process is working on it right now.
            JobUnknown: no such job.
            JobIdTaken: another job has that id.
        """
        expect("own_id", own_id, str)
        event = event_of(outcome=outcome, job_id=job_id, note=note, at=self._clock.utc_now())
        self._work.start()
        return await settle(self._jobs, own_id, event)

    async def forget(self, own_id: str) -> None:
        """Delete a job and its result from the store, and follow it no longer."""
        await super().forget(own_id)
        self._jobs.abandon(own_id)

    async def hint(self, *, own_id: str | None, job_ids: tuple[str, ...], at: datetime) -> None:
        """Store the ids of a webhook as hints, and poll at once those jobs that are followed here."""
        await self._work.keeper.apply_hints(await self._store.hint(own_id=own_id, job_ids=job_ids, at=at))

    def submission(self, *, reference: str | None) -> Submission:
        """Return what submits operations under ids of the caller's choice: for those who write the id down first."""
        self._work.start()
        return self._submission(reference=reference)


def _check(
    operation: Operation[Any] | Listing[Any],
    *,
    reference: str | None = None,
    notify: Notify = "none",
    deadline_seconds: float | None = None,
    document: str | None = None,
    takes_lists: bool = True,
) -> None:
    """Refuse arguments of the wrong type, before anything is written or sent."""
    call = 'a call such as visma.customer.get("10000"), not yet awaited'
    if takes_lists:
        expect("operation", operation, Operation, Listing, words=f"{call}, or a list")
    else:
        expect("operation", operation, Operation, words=f"{call} (submit lists one by one, with submit)")
    mark_used(operation)
    expect("reference", reference, str, type(None))
    expect("notify", notify, str)
    expect_seconds("deadline_seconds", deadline_seconds)
    expect("document", document, str, type(None))

"""`Job[T]`: a handle on one background job. It has an id; everything else is in the store. `JobHandles` makes it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar, overload
from weakref import WeakValueDictionary

import attrs

from vismanet_async._deferred import DeferredCall
from vismanet_async._jobs.batch import submit_batch
from vismanet_async._jobs.core.states import State
from vismanet_async._jobs.list_job import ListJob, find_list, submit_list
from vismanet_async._jobs.results import error_of, value_of
from vismanet_async._paging.listing import Listing
from vismanet_async.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    import anyio

    from vismanet_async._http.message import Response
    from vismanet_async._jobs.core.records import JobRecord, JobResult
    from vismanet_async._jobs.manager import JobManager
    from vismanet_async._jobs.submission import Submission
    from vismanet_async._operation import Operation

__all__ = ["Job", "JobHandles", "id_in_token"]

T = TypeVar("T")


class Job(DeferredCall[T]):
    """One background job, in this process or any other.

    `await job` waits for its end and returns the operation's own result, typed, or raises what the call itself would
    have raised. Dropping the handle or cancelling the wait does not touch the job: the server has no way to stop
    one. Any number of tasks and processes may hold handles on the same job.

    Examples:
        >>> job = await visma.jobs.submit(visma.customer.get("10000"))
        >>> same = await visma.jobs.from_token(job.token)  # in another process, or tomorrow
        >>> (await same).number
        '10000'
    """

    def __init__(self, manager: JobManager, own_id: str, decode: Callable[[Response], T]) -> None:
        """Create a handle; `JobManager.get` is the public way."""
        self._manager = manager
        self._decode = decode
        self.id = own_id

    def __repr__(self) -> str:
        return f"<Job {self.id}>"

    def _repr_html_(self) -> str:
        from vismanet_async._html import html_table  # noqa: PLC0415 - only notebooks ask for it

        rows = [("id", self.id), ("company", self._manager.company), ("state", "await job.status()")]
        return html_table("Background job", rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Job) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __await__(self) -> Generator[Any, Any, T]:
        return self.result().__await__()

    @property
    def token(self) -> str:
        """A JSON text from which `JobManager.from_token` creates a handle, in any process with the same store."""
        return json.dumps({"vismanet_job": 1, "id": self.id, "company": self._manager.company})

    async def status(self) -> JobRecord:
        """Return the stored record; reads the job store only and makes no API calls.

        Raises:
            JobUnknown: it was forgotten or pruned.
        """
        return await self._manager.record(self.id)

    async def wait(self, timeout_seconds: float | None = None) -> JobRecord:
        """Wait until it is settled, also while it is uncertain (a webhook may settle it).

        Args:
            timeout_seconds: how long to wait; None for as long as it takes.

        Raises:
            TimeoutError: it has not been settled in time; the message has its state. The job goes on and may be
                waited for again.
            StoreNotUsable: the store is out of reach from the beginning. One that fails later is waited for.
        """
        return await self._manager.wait(self.id, timeout_seconds=timeout_seconds, until_certain=False)

    async def result(self, timeout_seconds: float | None = None) -> T:
        """Wait for the end and return the operation's own result.

        May be called again at any time: results are kept until the job is forgotten or pruned.

        Raises:
            ApiError: the executed request was answered with an error; `PreconditionFailed` when If-Match was stale.
            JobFailed: the queue failed it; for calls that only read.
            JobExpired: the server no longer knows it.
            JobUncertain: its id got lost, its deadline passed, or the queue failed it. It may be running, or have been
                executed, and is not sent again.
            TimeoutError: see `wait`.
        """
        record = await self._manager.wait(self.id, timeout_seconds=timeout_seconds, until_certain=True)
        value: T = value_of(record, await self._manager.result_of(record), decode=self._decode)
        return value

    async def error(self) -> Exception | None:
        """Return what `result` would raise now; None if the job has succeeded or is still open."""
        record = await self.status()
        settled = record.settled or record.state is State.UNCERTAIN
        if not settled:
            return None
        return error_of(record, await self._manager.result_of(record), decode=self._decode)

    async def raw(self) -> JobResult | None:
        """Return the server's answer: state document, content and headers; None before the end.

        As received, but for JSON in another character set than UTF-8, which is kept in UTF-8.
        """
        return await self._manager.kept_result(self.id)

    async def forget(self) -> None:
        """Delete it and its result from the store. The server's job continues; no process follows it any more."""
        await self._manager.forget(self.id)


@attrs.frozen
class JobHandles:
    """Makes the handles of a manager. Its lists share the locks by which this process submits each page once."""

    _manager: JobManager
    _submission: Callable[..., Submission] = attrs.field(kw_only=True)
    _alive: Callable[[], None] = attrs.field(kw_only=True)
    """Raises if this process no longer follows jobs."""
    _decoder_of: Callable[[JobRecord], Callable[[Response], Any]] = attrs.field(kw_only=True)
    _page_locks: WeakValueDictionary[str, anyio.Lock] = attrs.field(init=False, factory=WeakValueDictionary)

    async def submit(self, operation: Operation[T] | Listing[T], submission: Submission) -> Job[T] | ListJob[T]:
        """Submit a call, or the first page of a list; raises as `JobManager.submit`."""
        submission.refuse_other_client(operation)
        if isinstance(operation, Listing):
            job = submit_list(operation, submission, alive=self._alive, locks=self._page_locks)
            await job.open()
            return job
        submitted = await submission.submit(operation)
        submitted.raise_failure(operation.decode)
        return Job(self._manager, submitted.record.id, operation.decode)

    async def submit_many(self, operations: Sequence[Operation[T]], submission: Submission) -> list[Job[T]]:
        """Submit calls; return a handle for each, in order. Raises as `JobManager.submit_many`."""
        submission.refuse_other_client(*operations)
        pairs = zip(await submit_batch(submission, operations), operations, strict=True)
        return [Job(self._manager, submitted.record.id, operation.decode) for submitted, operation in pairs]

    @overload
    def of(self, record: JobRecord) -> Job[Any]: ...

    @overload
    def of(self, record: JobRecord, operation: Operation[Any] | Listing[Any] | None) -> Job[Any] | ListJob[Any]: ...

    def of(self, record: JobRecord, operation: Operation[Any] | Listing[Any] | None = None) -> Job[Any] | ListJob[Any]:
        """Return the handle of a stored job; the operation is as in `JobManager.get`.

        Raises:
            RequestRefused: the job is not the first page of that list, or the list is one of another client.
        """
        if isinstance(operation, Listing):
            submission = self._submission(
                reference=record.reference, notify=record.notify, deadline_seconds=record.deadline_seconds
            )
            submission.refuse_other_client(operation)
            return find_list(operation, record, submission, alive=self._alive, locks=self._page_locks)
        return Job(self._manager, record.id, self._decoder_of(record) if operation is None else operation.decode)


def id_in_token(token: str, *, company: str) -> str:
    """Return the job id in a token.

    Raises:
        SettingsError: it is no token, or one of another company.
    """
    try:
        found = json.loads(token)
        own_id, theirs = found["id"], found["company"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise SettingsError("this is not a job token; pass on what job.token gave.") from error
    if theirs != company:
        raise SettingsError(f"the job belongs to company {theirs}, this client to {company}.")
    return str(own_id)

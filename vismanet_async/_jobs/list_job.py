"""`ListJob[T]`: a handle on a list that is read by background jobs, a job a page."""

from __future__ import annotations

import uuid
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from vismanet_async._clock import FrozenClock
from vismanet_async._deferred import DeferredCall
from vismanet_async._jobs.page_jobs import PageJobs, is_page
from vismanet_async.errors import RequestRefused

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
    from datetime import datetime

    from vismanet_async._http.message import Request
    from vismanet_async._jobs.core.records import JobRecord
    from vismanet_async._jobs.submission import Submission
    from vismanet_async._paging.fetcher import Progress
    from vismanet_async._paging.guarantee import Completeness
    from vismanet_async._paging.listing import Listing, Page

__all__ = ["ListJob", "find_list", "submit_list"]

T = TypeVar("T")


class ListJob(DeferredCall[list[T]], Generic[T]):
    """A list that is read in the background: each request for a page is a job, kept in the store.

    `await job` returns all rows, `async for row in job` yields them; `completeness` has the verdict. The proof is that
    of a direct read, so the claim is the same: a record that existed from the first job to the last is there. As jobs
    take longer, more may change meanwhile, and more requests may be needed to prove the list.

    Pages are submitted while the list is awaited or iterated, up to eight at a time; the first one by `submit`. Pages
    that were answered are never submitted again: after a crash, or in another process with the same store,
    `visma.jobs.get(job.id, operation=...)` with the same list call reads on, and a list that was read to its end is
    read again without any request. The answers stay in the store until `forget` or `prune`.

    Memory: the pages of two waves. Any number of tasks and processes may read it; each page is submitted once.

    Examples:
        >>> job = await visma.jobs.submit(visma.customer.list(status="Active"))
        >>> len(await job), job.completeness.verdict
        (36, 'proven')
        >>> again = await visma.jobs.get(job.id, operation=visma.customer.list(status="Active"))
        >>> len(await again)
        36
    """

    def __init__(self, listing: Listing[T], new_pages: Callable[[Request], PageJobs]) -> None:
        """Create a handle; `visma.jobs.submit` and `visma.jobs.get` are the public ways."""
        self.opening = listing.opening_request()
        self._listing = listing
        self._new_pages = new_pages
        self._pages = new_pages(self.opening)
        self.id = self._pages.own_id
        self._used: set[str] = set()

    def __repr__(self) -> str:
        return f"<ListJob {self.id} {self._listing.operation_id}>"

    def __await__(self) -> Generator[Any, Any, list[T]]:
        return self.result().__await__()

    async def __aiter__(self) -> AsyncGenerator[T, None]:
        """Yield the rows one by one; raises as `result`."""
        async with aclosing(aiter(self._begin())) as rows:
            async for row in rows:
                yield row

    async def pages(self) -> AsyncGenerator[Page[T], None]:
        """Yield the rows page by page; raises as `result`."""
        async with aclosing(self._begin().pages()) as pages:
            async for page in pages:
                yield page

    async def result(self) -> list[T]:
        """Read the list to its end and return its rows, each once in its newest version.

        Cancelling it stops nothing at the server: jobs that were submitted stay in the store for the next read.

        Raises:
            IncompleteListing: the list could not be shown complete.
            ResponseLost: the job of a page ended three times without an answer; read on with another `await`.
            ApiError: a page was refused.
            StoreNotUsable: the store is out of reach.
        """
        return await self._begin().all()

    @property
    def completeness(self) -> Completeness | None:
        """The report of the last read that came to its end; None before."""
        return self._listing.completeness

    @property
    def progress(self) -> Progress:
        """How far the latest read has come; zeros before the first."""
        return self._listing.progress

    @property
    def records(self) -> Sequence[JobRecord]:
        """The jobs whose answers the latest read has used, in the order in which it got them."""
        return [*self._pages.used.values()]

    async def forget(self) -> None:
        """Delete the jobs whose answers this handle has used, and their results, from the store."""
        jobs = self._pages.submission.jobs
        self._used.update(self._pages.used)
        for own_id in {self.id, *self._used}:
            await jobs.store.forget(own_id)
            jobs.abandon(own_id)

    def check(self) -> None:
        """Refuse a list that cannot be submitted that way; nothing is sent or written."""
        self._pages.check()

    async def open(self) -> None:
        """Submit the first page, unless that was done."""
        await self._pages.open()

    def _begin(self) -> Listing[T]:
        self._used.update(self._pages.used)
        pages = self._pages = self._new_pages(self.opening)
        self._listing = self._listing.with_sender(lambda _: pages, in_waves=True)
        return self._listing


def submit_list(listing: Listing[T], submission: Submission, **shared: Any) -> ListJob[T]:
    """Return the handle of a list that is to be read by new jobs; nothing is sent yet.

    Args:
        listing: the list call.
        submission: how its pages are submitted.
        shared: `alive` and `locks` of `PageJobs`.

    Raises:
        RequestRefused: the list cannot be read that way; nothing was sent.
    """
    if submission.ordering_key not in {"auto", None}:
        raise RequestRefused("document keeps writes in order; a list writes nothing. Leave it out; nothing was sent.")
    began_at = submission.jobs.clock.utc_now().replace(microsecond=0)
    job = _opened(listing, uuid.uuid4().hex, submission, began_at, shared)
    job.check()
    return job


def find_list(listing: Listing[T], record: JobRecord, submission: Submission, **shared: Any) -> ListJob[T]:
    """Return the handle of a list whose first page was submitted by an earlier job.

    Raises:
        RequestRefused: that job is not the first page of this list, read with these options; nothing was sent.
    """
    job = _opened(listing, record.id, submission, record.created_at, shared)
    if not is_page(record, job.opening):
        raise RequestRefused(
            f"job {record.id} ({record.operation.path} {dict(record.operation.query)}) is not the first page of "
            f"{job.opening.path} {dict(job.opening.query)}: give the list call that was submitted, with its options. "
            "Nothing was sent."
        )
    return job


def _opened(
    listing: Listing[T], own_id: str, submission: Submission, began_at: datetime, shared: Mapping[str, Any]
) -> ListJob[T]:
    """Return a handle whose reads divide the list at one moment, so that all of them send the same requests."""
    reads = listing.with_sender(lambda sender: sender, clock=FrozenClock(submission.jobs.clock, began_at))
    return ListJob(
        reads,
        lambda opening: PageJobs(
            own_id=own_id,
            began_at=began_at,
            opening=opening,
            spec=listing.spec,
            submission=submission,
            **shared,
        ),
    )

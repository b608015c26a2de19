"""`StoredJobs`: what the store has of a company's jobs. Nothing here asks the server."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from vismanet_async._arguments import expect, expect_count
from vismanet_async._jobs.core.states import State
from vismanet_async._jobs.store import JobUnknown
from vismanet_async.errors import RequestRefused

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from vismanet_async._clock import Clock
    from vismanet_async._jobs.core.records import JobRecord, JobResult
    from vismanet_async._jobs.store import JobStore

__all__ = ["StoredJobs"]

_LONGEST: Final = timedelta(days=36_500)


class StoredJobs:
    """The jobs of one company in a store that others may share."""

    def __init__(self, *, company: str, store: JobStore, clock: Clock) -> None:
        self.company = company
        self._store = store
        self._clock = clock

    @property
    def store(self) -> JobStore:
        """Where the jobs are kept."""
        return self._store

    async def list(
        self, *, states: Collection[State] | None = None, reference: str | None = None, limit: int = 1000
    ) -> Sequence[JobRecord]:
        """Return stored jobs, newest first; reads the job store only and makes no API calls."""
        chosen = _checked_states(states)
        expect("reference", reference, str, type(None))
        expect_count("limit", limit)
        return await self._store.select(company=self.company, states=chosen, reference=reference, limit=limit)

    async def kept_result(self, own_id: str) -> JobResult | None:
        """Return the server's answer about a job; None before its end.

        Raises:
            JobUnknown: it is a job of another company.
        """
        expect("own_id", own_id, str)
        record = await self._own(own_id)
        return None if record is None else await self.result_of(record)

    async def result_of(self, record: JobRecord) -> JobResult | None:
        """Return the server's answer about a job of this company, as `kept_result`."""
        return await self._store.result(record.id)

    async def forget(self, own_id: str) -> None:
        """Delete a job and its result from the store.

        Raises:
            JobUnknown: it is a job of another company.
        """
        expect("own_id", own_id, str)
        if await self._own(own_id) is not None:
            await self._store.forget(own_id)

    async def prune(self, *, older_than: timedelta = timedelta(days=90)) -> int:
        """Delete jobs settled that long ago, with their results; return how many. Open and uncertain ones stay."""
        expect("older_than", older_than, timedelta)
        if not timedelta() <= older_than <= _LONGEST:
            raise RequestRefused(f"older_than is from 0 to {_LONGEST.days:,} days; nothing was deleted.")
        return await self._store.prune(company=self.company, settled_before=self._clock.utc_now() - older_than)

    async def _own(self, own_id: str) -> JobRecord | None:
        """Return a job by our own id; None if it is not stored.

        Raises:
            JobUnknown: it is a job of another company.
        """
        record = await self._store.get(own_id)
        if record is not None and record.company != self.company:
            raise JobUnknown(f"job {own_id} is none of company {self.company}; nothing was changed.")
        return record

    async def _find(self, own_id: str) -> JobRecord:
        """Return a job by its id, ours or the server's.

        Raises:
            JobUnknown: no such job of this company is written down.
        """
        record = await self._store.get(own_id)
        if record is None or record.company != self.company:
            record = await self._store.find(company=self.company, job_id=own_id)
        if record is None:
            raise JobUnknown(
                f"no job {own_id} of company {self.company} is written down in this store. "
                "`vismanet jobs list` shows those that are."
            )
        return record


def _checked_states(states: Collection[State] | None) -> Sequence[State] | None:
    if states is None:
        return None
    expect("states", states, Iterable, words="states, or None")
    chosen = [*states]
    for state in chosen:
        expect("states", state, State, words="members of State, or None")
    return chosen

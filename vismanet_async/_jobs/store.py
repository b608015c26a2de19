"""The contract of a job store. `SqlStore` is the one that ships; another must pass the same contract suite.

A store has the records and results of any number of companies and is shared by any number of processes. A process
that works on a job has its *lease*: an owner, an expiry, and a fencing token that grows each time the owner changes.
Every write names owner and token, so that a process that seemed dead (suspended, cut off) and continues later cannot
overwrite what its successor wrote.

Times come from the caller, aware and in UTC; processes that share a store need clocks that agree within seconds.
Every method that writes has committed when it returns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import attrs

from vismanet_async._jobs.core.records import JobRecord  # noqa: TC001 - looked up by whoever asks for the types
from vismanet_async.errors import JobError, VismaNetError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from vismanet_async._jobs.core.records import JobResult
    from vismanet_async._jobs.core.states import State

__all__ = ["ForeignStore", "JobIdTaken", "JobStore", "JobUnknown", "LeaseLost", "Leased", "StoreNotUsable"]


class LeaseLost(VismaNetError):
    """Another process has taken the job over, or it was forgotten; the write was refused and changed nothing."""


class JobUnknown(JobError, LookupError):
    """No such job is stored here: another store, another company, forgotten or pruned."""


class StoreNotUsable(VismaNetError, OSError):
    """The store cannot be opened or reached. What was committed before stands.

    Attributes:
        job_id: the server's id of a job that was submitted and could not be written down; None otherwise. It is
            written down as soon as the store is back, and `visma.jobs.get(job_id)` finds it then.
    """

    job_id: str | None = None


class ForeignStore(StoreNotUsable):
    """What stands at the store's path is something else, untouched. Waiting does not help."""


class JobIdTaken(StoreNotUsable):
    """Another job of the company has this server id already; the write was refused and changed nothing.

    A retry does not help. Two servers or simulators that issue the same ids need a store each.
    """


@attrs.frozen(kw_only=True)
class Leased:
    """A record together with the right to write it."""

    record: JobRecord
    owner: str
    fencing_token: int
    """Grows each time the owner changes; a write with an older token is refused. The column `fence`."""


class JobStore(Protocol):
    """The contract. Methods may be called from any number of tasks."""

    async def open(self) -> None:
        """Create what is missing and bring an older schema up to date. May be called again.

        Raises:
            StoreNotUsable: it cannot be reached, or was written by a newer version.
        """
        ...

    async def aclose(self) -> None:
        """Close the connections. Leases stay as they are."""
        ...

    async def write_intent(self, record: JobRecord, *, owner: str, until: datetime) -> Leased:
        """Store a new job and lease it. Jobs with one ordering key are numbered in the order of these calls."""
        ...

    async def save(self, leased: Leased, record: JobRecord, *, result: JobResult | None = None) -> Leased:
        """Replace the record, and add or replace its result in the same transaction.

        `hinted_at` and `candidates` are not touched: they belong to `hint` and `drop_candidates`.

        Raises:
            LeaseLost: owner or fencing token no longer match; nothing was written.
            JobIdTaken: another job of the company has that server id; nothing was written.
        """
        ...

    async def claim(
        self,
        *,
        company: str,
        owner: str,
        now: datetime,
        until: datetime,
        ids: Collection[str] | None = None,
        limit: int | None = None,
    ) -> Sequence[Leased]:
        """Lease free jobs that need work, oldest first; each is leased to one caller only.

        Any number of `ids` may be named. At most `limit` jobs are leased: 1,000 if it is not given, or all that are
        named.

        These need work: intents, submitted and running jobs, and uncertain ones with a candidate or a pending hint
        (any uncertain one if it is named in `ids`). Leased jobs are left out, the owner's too.
        """
        ...

    async def renew(self, *, owner: str, now: datetime, until: datetime) -> frozenset[str]:
        """Renew all leases of an owner that have not expired; return the ids of its leased jobs."""
        ...

    async def release(self, *, owner: str, ids: Collection[str] | None = None) -> None:
        """Release leases (all of the owner's if none are named), so that others need not wait for their expiry.

        Any number of `ids` may be named.
        """
        ...

    async def workers(self, *, company: str, now: datetime) -> int:
        """Count the owners with a lease on this company's jobs that has not expired."""
        ...

    async def hint(self, *, own_id: str | None, job_ids: Collection[str], at: datetime) -> Sequence[str]:
        """Store that a webhook named jobs; return the ids of those that it concerns.

        A job whose server id is among `job_ids` is marked. If the server id of the job with our own id is not known,
        it gets as candidates those of `job_ids` that no other job has, without the company's own id. Ids that match
        nothing are ignored. No lease is needed.
        """
        ...

    async def hints(self, *, company: str, since: datetime) -> Sequence[tuple[str, datetime]]:
        """Return the jobs that got a hint since then, with the time of the last one."""
        ...

    async def drop_candidates(self, leased: Leased, tried: Collection[str]) -> tuple[str, ...]:
        """Remove candidates that are not the job's id; return those left.

        Raises:
            LeaseLost: as `save`.
        """
        ...

    async def get(self, own_id: str) -> JobRecord | None:
        """Return a record by our own id."""
        ...

    async def find(self, *, company: str, job_id: str) -> JobRecord | None:
        """Return a record by the server's id."""
        ...

    async def select(
        self,
        *,
        company: str,
        states: Collection[State] | None = None,
        reference: str | None = None,
        ids: Collection[str] | None = None,
        limit: int | None = None,
    ) -> Sequence[JobRecord]:
        """Return records, newest first; `ids` and `limit` as in `claim`."""
        ...

    async def predecessor(self, own_id: str) -> JobRecord | None:
        """Return the oldest unsettled job with the same ordering key that was stored before this one."""
        ...

    async def result(self, own_id: str) -> JobResult | None:
        """Return the server's answer about a job."""
        ...

    async def run_times(self, *, company: str, limit: int = 200) -> dict[str, list[float]]:
        """Return run times in seconds of the last jobs, by operation id."""
        ...

    async def forget(self, own_id: str) -> bool:
        """Delete a job and its result; return whether there was one. A worker on it loses its lease."""
        ...

    async def prune(self, *, company: str, settled_before: datetime) -> int:
        """Delete jobs settled before then, with their results; return how many. Others are never deleted."""
        ...

    async def seen(self, digest: bytes, *, at: datetime) -> bool:
        """Return whether a webhook body was handled before."""
        ...

    async def remember(self, digest: bytes, *, at: datetime) -> None:
        """Store that a webhook body was handled; those of more than a week ago are deleted."""
        ...

"""What a job store must do. `SqlStore` is the one that ships; another must pass the same contract suite.

A store holds records and results of any number of companies and is shared by any number of processes. Whoever works
on a job holds its *lease*: an owner, an end, and a fencing number that grows each time the lease changes hands.
Every write names owner and number, so that a process that was taken for dead (suspended, cut off) and wakes up later
cannot overwrite what its successor did.

Times are given by the caller, aware and in UTC; processes that share a store need clocks that agree within seconds.
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

__all__ = ["JobIdTaken", "JobStore", "JobUnknown", "LeaseLost", "Leased", "StoreNotUsable"]


class LeaseLost(VismaNetError):
    """Another process has taken the job over, or it was forgotten; the write was refused and changed nothing."""


class JobUnknown(JobError, LookupError):
    """No such job is written down here: another store, another company, forgotten or pruned."""


class StoreNotUsable(VismaNetError, OSError):
    """The store cannot be opened or reached. What was committed before stands.

    Attributes:
        job_id: the server's id of a job that was submitted and could not be written down; None otherwise. It is
            written down as soon as the store is back, and `visma.jobs.get(job_id)` finds it then.
    """

    job_id: str | None = None


class JobIdTaken(StoreNotUsable):
    """Another job of the company has this server id already; the write was refused and changed nothing.

    Trying it again does not help. Two servers or simulators that give the same ids need a store each.
    """


@attrs.frozen(kw_only=True)
class Leased:
    """A record together with the right to write it."""

    record: JobRecord
    owner: str
    fencing_token: int
    """Grows with each change of hands; a write with an older number is refused."""


class JobStore(Protocol):
    """The contract. Methods may be called from any number of tasks."""

    async def open(self) -> None:
        """Make it usable: create what is missing, bring an older schema up to date. May be called again.

        Raises:
            StoreNotUsable: it cannot be reached, or was written by a newer version.
        """
        ...

    async def aclose(self) -> None:
        """Give back connections. Leases stay as they are."""
        ...

    async def write_intent(self, record: JobRecord, *, owner: str, until: datetime) -> Leased:
        """Write a new job down and lease it. Jobs on one document are numbered in the order of these calls."""
        ...

    async def save(self, leased: Leased, record: JobRecord, *, result: JobResult | None = None) -> Leased:
        """Replace the record, and add or replace its result in the same transaction.

        `hinted_at` and `candidates` are not touched: they belong to `hint` and `drop_candidates`.

        Raises:
            LeaseLost: owner or fencing number no longer fit; nothing was written.
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
        """Lease jobs that need work and that nobody holds, oldest first; each goes to one caller only.

        Any number of `ids` may be named. At most `limit` jobs are leased: 1,000 if it is not given, or all that are
        named.

        In need of work are: intents, submitted and running jobs, and uncertain ones with a candidate or a pending
        hint (any uncertain one when it is named in `ids`). Jobs that somebody holds, the owner too, are not given.
        """
        ...

    async def renew(self, *, owner: str, now: datetime, until: datetime) -> frozenset[str]:
        """Prolong all leases of an owner that have not run out; gives the ids that it still holds."""
        ...

    async def release(self, *, owner: str, ids: Collection[str] | None = None) -> None:
        """Give up leases (all of the owner's if none are named), so that others need not wait for their end.

        Any number of `ids` may be named.
        """
        ...

    async def workers(self, *, company: str, now: datetime) -> int:
        """Count the owners with a lease on this company's jobs that has not run out."""
        ...

    async def hint(self, *, own_id: str | None, job_ids: Collection[str], at: datetime) -> Sequence[str]:
        """Note that a webhook spoke of jobs; gives the ids of those that it concerns.

        A job whose server id is among `job_ids` is marked. The job with our own id gets those of `job_ids` that no
        other job has as candidates, if its server id is not known; the company's own id is none. Ids that fit nothing
        are passed over. No lease is needed.
        """
        ...

    async def hints(self, *, company: str, since: datetime) -> Sequence[tuple[str, datetime]]:
        """Give the jobs that were hinted at since then, with the time of the last hint."""
        ...

    async def drop_candidates(self, leased: Leased, tried: Collection[str]) -> tuple[str, ...]:
        """Take away candidates that turned out to be something else; gives those that are left.

        Raises:
            LeaseLost: as `save`.
        """
        ...

    async def get(self, own_id: str) -> JobRecord | None:
        """Give a record by our own id."""
        ...

    async def find(self, *, company: str, job_id: str) -> JobRecord | None:
        """Give a record by the server's id."""
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
        """Give the oldest job on the same document that was written before this one and is not settled."""
        ...

    async def result(self, own_id: str) -> JobResult | None:
        """Give what the server said."""
        ...

    async def run_times(self, *, company: str, limit: int = 200) -> dict[str, list[float]]:
        """Give run times in seconds of the last jobs, by operation id."""
        ...

    async def forget(self, own_id: str) -> bool:
        """Delete a job and its result; tells whether there was one. A worker on it loses its lease."""
        ...

    async def prune(self, *, company: str, settled_before: datetime) -> int:
        """Delete jobs settled before then, with their results; tells how many. Others are never deleted."""
        ...

    async def seen(self, digest: bytes, *, at: datetime) -> bool:
        """Tell whether a webhook body was dealt with before."""
        ...

    async def remember(self, digest: bytes, *, at: datetime) -> None:
        """Note that a webhook body has been dealt with; those of more than a week ago are forgotten."""
        ...

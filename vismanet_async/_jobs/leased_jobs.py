"""`LeasedJobs`: the jobs leased by this process, in the store, in memory and in the schedule.

Every write to a leased job goes through this class, so that the three always agree. The record in memory is the one
stored last, with the hints that other processes stored since.
"""

from __future__ import annotations

import logging
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import attrs

from vismanet_async._jobs.core.events import Recovered
from vismanet_async._jobs.core.states import KEPT_FOR, State
from vismanet_async._jobs.core.transitions import advance
from vismanet_async._jobs.notifier import Notifier
from vismanet_async._jobs.schedule import Schedule
from vismanet_async._jobs.state_log import report_state
from vismanet_async._jobs.store import JobIdTaken, JobUnknown, Leased, LeaseLost, StoreNotUsable
from vismanet_async._tasks import run_to_completion

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from vismanet_async._clock import Clock
    from vismanet_async._jobs.core.events import Event
    from vismanet_async._jobs.core.records import JobRecord, JobResult
    from vismanet_async._jobs.schedule import Rules
    from vismanet_async._jobs.store import JobStore
    from vismanet_async._observer import Observer

__all__ = ["WATCH_SECONDS", "LeasedJobs", "can_follow"]

_log = logging.getLogger("vismanet_async.jobs")

WATCH_SECONDS: Final = 2.0
"""How often the store is read for what other processes wrote."""
_LOOK_AGAIN_SECONDS: Final = 60.0
"""How often the store is read for a job that is followed here: its waiters are notified of its end."""


def can_follow(record: JobRecord) -> bool:
    """Return whether there is anything to ask the server about an uncertain job."""
    return bool(record.candidates) or (record.job_id is not None and record.hint_pending)


class LeasedJobs:
    """Leases of one company's jobs, and their schedule."""

    def __init__(
        self,
        *,
        company: str,
        store: JobStore,
        clock: Clock,
        rules: Rules | None,
        lease_seconds: float,
        observer: Observer,
    ) -> None:
        self.company = company
        self.observer = observer
        self.store = store
        self.clock = clock
        self.schedule = Schedule(rules=rules)
        self.notifier = Notifier(clock)
        self.lease_seconds = lease_seconds
        self.watched: set[str] = set()
        """Jobs submitted or awaited in this process; it looks for webhooks of them that other processes received."""
        self.closed = False
        """Whether jobs are no longer followed here; what is stored from then on is free for other processes."""
        self._owner = uuid.uuid4().hex
        self._leases: dict[str, Leased] = {}
        self._unconfirmed: set[str] = set()
        """Jobs whose last write failed: it may have been committed although no answer came."""
        self._orphaned: frozenset[str] = frozenset()
        """Leases that the last renewal prolonged although no task here follows the job."""

    def __contains__(self, own_id: str) -> bool:
        return own_id in self._leases

    def get(self, own_id: str) -> Leased | None:
        """Return a job as it was stored last; None if it is not leased here."""
        return self._leases.get(own_id)

    def is_current(self, leased: Leased) -> bool:
        """Return whether this is the current lease of its job, and not an earlier one."""
        current = self._leases.get(leased.record.id)
        return current is not None and current.fencing_token == leased.fencing_token

    async def record(self, own_id: str) -> JobRecord:
        """Return the stored record of a job of this company.

        Raises:
            JobUnknown: there is none.
        """
        record = await self.store.get(own_id)
        if record is not None and record.company != self.company:
            raise JobUnknown(f"job {own_id} is none of company {self.company}; nothing was changed.")
        if record is None:
            raise JobUnknown(f"job {own_id} is not written down any more: it was forgotten or pruned.")
        return record

    # -- leases ----------------------------------------------------------------------------------------------------

    def lease_of(self, record: JobRecord) -> Leased:
        """Return the lease that `write_intent` creates, even if the store's answer got lost."""
        return Leased(record=record, owner=self._owner, fencing_token=1)

    @run_to_completion
    async def write_intent(self, record: JobRecord) -> Leased:
        """Store a new job and lease it."""
        leased = await self.store.write_intent(record, owner=self._owner, until=self._lease_end())
        self._leases[record.id] = leased
        self.watched.add(record.id)
        self._report(None, record)
        return leased

    async def claim(self, own_ids: Collection[str] | None) -> Sequence[Leased]:
        """Lease free jobs; `None` claims every free job of the company. Does not schedule polls."""
        claimed = await self.store.claim(
            company=self.company,
            owner=self._owner,
            now=self.clock.utc_now(),
            until=self._lease_end(),
            ids=None if own_ids is None else set(own_ids),
        )
        for leased in claimed:
            # its earlier lease expired unnoticed: a poll that is still under way must not write
            if leased.record.id in self._leases:
                self.abandon(leased.record.id)
        return claimed

    @run_to_completion
    async def take_over(self, own_ids: Collection[str] | None) -> Sequence[Leased]:
        """Claim jobs and follow them. An intent among them was left by a process that died."""
        taken: list[Leased] = []
        claimed = await self.claim(own_ids)
        try:
            for each in claimed:
                leased = each
                if leased.record.state is State.INTENT:
                    try:
                        leased = await self.apply(leased, Recovered(at=self.clock.utc_now()))
                    except LeaseLost:
                        continue
                taken.append(leased)
                record = leased.record
                if record.settled or (record.state is State.UNCERTAIN and not can_follow(record)):
                    await self.finish(leased)
                else:
                    self.follow(leased, missed=True)
        except StoreNotUsable:
            unfollowed = [each.record.id for each in claimed if each.record.id not in self._leases]
            await self.try_release(unfollowed)
            raise
        return taken

    def follow(self, leased: Leased, *, missed: bool = False) -> None:
        """Keep a leased job and schedule its next poll.

        Args:
            leased: the job.
            missed: webhooks may have arrived while no process listened.
        """
        record = leased.record
        self._leases[record.id] = leased
        now = self.clock.monotonic()
        asked = record.content_asked if record.content_due else record.state_asked
        self.schedule.add(
            record.id,
            now=now,
            operation=record.operation.id,
            began_at=min(now, self._monotonic(record.submitted_at or record.created_at)),
            # whenever our clock says that it was submitted: the server forgets it within that time
            expires_at=min(self._monotonic(record.expires_at), now + KEPT_FOR.total_seconds()),
            deadline_at=float("inf") if record.deadline_at is None else self._monotonic(record.deadline_at),
            webhook=record.notify == "subscription",
            missed=missed,
            asked=[self._monotonic(when) for when in asked],
            unanswered_since=self._monotonic(record.asked_at) if record.unanswered and record.asked_at else None,
        )
        # a candidate came with a webhook, even if another one was polled since
        if record.hint_pending or record.content_due or record.candidates:
            self.schedule.hint(record.id, now)
        self.notifier.wake()

    async def finish(self, leased: Leased) -> None:
        """Release a job that needs no more work, learn its run time, and notify its waiters."""
        record = leased.record
        ran = None
        if record.settled and record.status_code and record.submitted_at and record.settled_at:
            ran = record.run_seconds
            if ran is None:
                ran = (record.settled_at - record.submitted_at).total_seconds()
        self.schedule.remove(record.id, ran_seconds=ran)
        self._leases.pop(record.id, None)
        if record.settled:
            self.watched.discard(record.id)
        try:
            await self.try_release([record.id])
        finally:
            self.notifier.notify_waiters(record.id)

    def abandon(self, own_id: str) -> None:
        """Stop following a job that another process has leased, or that was deleted."""
        self._leases.pop(own_id, None)
        self._unconfirmed.discard(own_id)
        self.schedule.remove(own_id)
        self.notifier.notify_waiters(own_id)

    def abandon_if_lost(self, leased: Leased) -> None:
        """Stop following a job whose lease was lost, unless it was claimed again since."""
        if self.is_current(leased):
            self.abandon(leased.record.id)

    async def release(self, own_ids: Collection[str] | None = None) -> None:
        """Release leases in the store; all of them if none are named."""
        await self.store.release(owner=self._owner, ids=own_ids)

    async def try_release(self, own_ids: Collection[str] | None = None) -> None:
        """Release leases; if the store is out of reach, `renew` or their expiry frees them later."""
        try:
            await self.release(own_ids)
        except StoreNotUsable as error:
            _log.warning("leases could not be released, they expire: %s", error, extra={"company": self.company})

    async def renew(self) -> None:
        """Renew all leases, abandon the lost ones, and count the processes that share the quota."""
        now = self.clock.utc_now()
        before = dict(self._leases)
        still_leased = await self.store.renew(owner=self._owner, now=now, until=self._lease_end())
        for own_id, leased in before.items():
            if own_id not in still_leased:
                self.abandon_if_lost(leased)
        # a lease whose job no task here follows must not be renewed for ever
        orphaned = still_leased - self._leases.keys()
        if unclaimed := orphaned & self._orphaned:
            await self.release(unclaimed)
        self._orphaned = orphaned - unclaimed
        self.schedule.budget.workers = max(1, await self.store.workers(company=self.company, now=now))

    # -- writing ---------------------------------------------------------------------------------------------------

    async def apply(self, leased: Leased, event: Event, *, result: JobResult | None = None) -> Leased:
        """Store the record after an event.

        Raises:
            TransitionError: the event cannot happen in this state; nothing was written.
            LeaseLost: another process has the lease; nothing was written.
        """
        return await self.save(leased, advance(leased.record, event), result=result)

    @run_to_completion
    async def save(self, leased: Leased, record: JobRecord, *, result: JobResult | None = None) -> Leased:
        """Store a record, and keep the hints that arrived since; raises as `apply`."""
        try:
            saved = await self.store.save(leased, record, result=result)
        except JobIdTaken:
            raise
        except StoreNotUsable:
            self._unconfirmed.add(record.id)
            raise
        self._unconfirmed.discard(record.id)
        if record.state is not leased.record.state:
            self._report(leased.record, record)
        current = self._leases.get(record.id)
        if current is not None and current.fencing_token == leased.fencing_token:
            fresh = attrs.evolve(record, hinted_at=current.record.hinted_at, candidates=current.record.candidates)
            saved = self._leases[record.id] = attrs.evolve(saved, record=fresh)
        return saved

    async def reconciled(self, leased: Leased) -> Leased | None:
        """Return a leased job, read again from the store if its last write failed; None if nothing is left to do.

        That write may have been committed although no answer came; older data must not overwrite it.
        """
        own_id = leased.record.id
        if own_id not in self._unconfirmed:
            return leased
        record = await self.store.get(own_id)
        self._unconfirmed.discard(own_id)
        current = self._leases.get(own_id)
        if current is None or current.fencing_token != leased.fencing_token:
            return None
        if record is None:
            self.abandon(own_id)
            return None
        if record.state is not current.record.state:
            self._report(current.record, record)
        known = self._leases[own_id] = attrs.evolve(current, record=record)
        if record.settled or (record.state is State.UNCERTAIN and not can_follow(record)):
            await self.finish(known)
            return None
        return known

    @run_to_completion
    async def drop_candidate(self, leased: Leased, job_id: str) -> tuple[str, ...]:
        """Remove a candidate that is not this job's id; return the candidates left."""
        left = await self.store.drop_candidates(leased, [job_id])
        if self.is_current(leased):
            fresh = attrs.evolve(leased.record, candidates=left)
            self._leases[fresh.id] = attrs.evolve(leased, record=fresh)
        return left

    async def apply_hint(self, own_id: str) -> None:
        """Poll a leased job at once if the store has a webhook hint for it that is new here."""
        record = await self.store.get(own_id) if own_id in self._leases else None
        # read after the store has answered: a submission or a poll may have been stored meanwhile
        leased = self._leases.get(own_id)
        if leased is None or record is None or not record.hint_pending:
            return
        current = leased.record
        if (current.hinted_at, current.candidates) == (record.hinted_at, record.candidates):
            return
        # only the hint columns are taken from the store: a poll under way here may change the rest
        fresh = attrs.evolve(current, hinted_at=record.hinted_at, candidates=record.candidates)
        self._leases[own_id] = attrs.evolve(leased, record=fresh)
        self.schedule.hint(own_id, self.clock.monotonic())
        self.notifier.wake()

    async def wait_for_news(self, own_id: str, *, at_most_seconds: float | None = None) -> None:
        """Wait for news of a job, or until it is time to read from the store what other processes did."""
        look_again = WATCH_SECONDS if own_id not in self._leases else _LOOK_AGAIN_SECONDS
        seconds = look_again if at_most_seconds is None else min(look_again, at_most_seconds)
        await self.notifier.wait_for_news(own_id, seconds)

    # -- times -----------------------------------------------------------------------------------------------------

    def switch_to_content(self, record: JobRecord) -> None:
        """Schedule requests for a job's content instead of its state."""
        asked = [self._monotonic(when) for when in record.content_asked]
        self.schedule.switch(record.id, now=self.clock.monotonic(), asked=asked)

    def _report(self, before: JobRecord | None, record: JobRecord) -> None:
        report_state(before, record, observer=self.observer, at=self.clock.utc_now())

    def _lease_end(self) -> datetime:
        return self.clock.utc_now() + timedelta(seconds=self.lease_seconds)

    def _monotonic(self, when: datetime) -> float:
        return self.clock.monotonic() + (when - self.clock.utc_now()).total_seconds()

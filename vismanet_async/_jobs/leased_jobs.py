"""`HeldJobs`: the jobs that this process holds the lease of, in the store, in memory and in the schedule alike.

All that is written about a held job goes through here, so that the three always agree. The record in memory is what
was written last, with the hints that others wrote meanwhile.
"""

from __future__ import annotations

import logging
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import anyio
import attrs

from vismanet_async._jobs.model import Recovered, State, advance
from vismanet_async._jobs.schedule import Schedule
from vismanet_async._jobs.store import JobIdTaken, JobUnknown, Leased, LeaseLost, StoreNotUsable
from vismanet_async._jobs.uncancellable import to_the_end
from vismanet_async._observer import JobInfo

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from vismanet_async._clock import Clock
    from vismanet_async._jobs.model import Event, Record, Result
    from vismanet_async._jobs.schedule import Rules
    from vismanet_async._jobs.store import JobStore
    from vismanet_async._observer import Observer

__all__ = ["WATCH_SECONDS", "HeldJobs", "can_follow"]

_log = logging.getLogger("vismanet_async._jobs")

WATCH_SECONDS: Final = 2.0
"""How often the store is looked at for what other processes wrote."""
_LOOK_AGAIN_SECONDS: Final = 60.0
"""How often the store is looked at for a job that is followed here, whose end is announced."""


def can_follow(record: Record) -> bool:
    """Tell whether there is anything to ask the server about an uncertain job."""
    return bool(record.candidates) or (record.job_id is not None and record.hint_pending)


class HeldJobs:
    """Leases of one company's jobs, and what is planned for them."""

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
        self.lease_seconds = lease_seconds
        self.watched: set[str] = set()
        """Jobs that someone in this process cares about; webhooks that other processes take in concern them."""
        self.closed = False
        """Whether nothing is followed here any more; what is written down from then on is free for others."""
        self._owner = uuid.uuid4().hex
        self._leases: dict[str, Leased] = {}
        self._doubtful: set[str] = set()
        """Jobs of which the store may know more than this process: a write to it failed, or was committed unheard."""
        self._astray: frozenset[str] = frozenset()
        """Leases that the last renewal found without a job followed here."""
        self._ends: dict[str, anyio.Event] = {}
        """What those wait for who want to know of a job's end."""
        self._stirred = anyio.Event()

    def __contains__(self, own_id: str) -> bool:
        return own_id in self._leases

    def get(self, own_id: str) -> Leased | None:
        """Give a job as it was written last; None when it is not held here."""
        return self._leases.get(own_id)

    def holds(self, leased: Leased) -> bool:
        """Tell whether this very lease is held, and not a later one of the same job."""
        held = self._leases.get(leased.record.id)
        return held is not None and held.fence == leased.fence

    async def record(self, own_id: str) -> Record:
        """Give any job as it is written down.

        Raises:
            JobUnknown: it is not.
        """
        record = await self.store.get(own_id)
        if record is None:
            raise JobUnknown(f"job {own_id} is not written down any more: it was forgotten or pruned.")
        return record

    # -- taking and letting go -------------------------------------------------------------------------------------

    def lease_of(self, record: Record) -> Leased:
        """Return the lease that `write_intent` takes, also where its answer got lost."""
        return Leased(record=record, owner=self._owner, fence=1)

    @to_the_end
    async def write_intent(self, record: Record) -> Leased:
        """Write a new job down and hold it."""
        leased = await self.store.write_intent(record, owner=self._owner, until=self._lease_end())
        self._leases[record.id] = leased
        self.watched.add(record.id)
        self._tell(None, record)
        return leased

    async def claim(self, own_ids: Collection[str] | None) -> Sequence[Leased]:
        """Lease jobs that nobody holds; None for all of this company. They are not followed by that."""
        claimed = await self.store.claim(
            company=self.company,
            owner=self._owner,
            now=self.clock.utc_now(),
            until=self._lease_end(),
            ids=None if own_ids is None else set(own_ids),
        )
        for leased in claimed:
            # held under a lease that ran out unnoticed: a poll that is still under way has no say any more
            if leased.record.id in self._leases:
                self.drop(leased.record.id)
        return claimed

    @to_the_end
    async def adopt(self, own_ids: Collection[str] | None) -> Sequence[Leased]:
        """Claim jobs and go on with them. An intent among them is what a process left that died."""
        adopted: list[Leased] = []
        claimed = await self.claim(own_ids)
        try:
            for each in claimed:
                leased = each
                if leased.record.state is State.INTENT:
                    try:
                        leased = await self.apply(leased, Recovered(at=self.clock.utc_now()))
                    except LeaseLost:
                        continue
                adopted.append(leased)
                record = leased.record
                if record.settled or (record.state is State.UNCERTAIN and not can_follow(record)):
                    await self.finish(leased)
                else:
                    self.follow(leased, missed=True)
        except StoreNotUsable:
            unfollowed = [each.record.id for each in claimed if each.record.id not in self._leases]
            await self.give_up(unfollowed)
            raise
        return adopted

    def follow(self, leased: Leased, *, missed: bool = False) -> None:
        """Hold a job and plan its next poll.

        Args:
            leased: the job.
            missed: webhooks may have come while nobody listened.
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
            expires_at=self._monotonic(record.expires_at),
            deadline_at=float("inf") if record.deadline_at is None else self._monotonic(record.deadline_at),
            webhook=record.notify == "subscription",
            missed=missed,
            asked=[self._monotonic(when) for when in asked],
            unanswered_since=self._monotonic(record.asked_at) if record.unanswered and record.asked_at else None,
        )
        # a candidate came with a webhook, whoever asked for another one since
        if record.hint_pending or record.content_due or record.candidates:
            self.schedule.hint(record.id, now)
        self.stir()

    async def finish(self, leased: Leased) -> None:
        """Let go of a job that needs no more work, learn from it, and tell those who wait for it."""
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
            await self.give_up([record.id])
        finally:
            self.announce(record.id)

    def drop(self, own_id: str) -> None:
        """Stop working on a job that is another's now, or is no more."""
        self._leases.pop(own_id, None)
        self._doubtful.discard(own_id)
        self.schedule.remove(own_id)
        self.announce(own_id)

    def drop_lost(self, leased: Leased) -> None:
        """Stop working under a lease that was lost; one that was claimed anew meanwhile stays."""
        if self.holds(leased):
            self.drop(leased.record.id)

    async def release(self, own_ids: Collection[str] | None = None) -> None:
        """Give up leases in the store; all of them if none are named."""
        await self.store.release(owner=self._owner, ids=own_ids)

    async def give_up(self, own_ids: Collection[str] | None = None) -> None:
        """Give up leases as `release` does; where the store is out of reach, `renew` or their end frees them later."""
        try:
            await self.release(own_ids)
        except StoreNotUsable as error:
            _log.warning("leases could not be given up, they run out: %s", error, extra={"company": self.company})

    async def renew(self) -> None:
        """Prolong what is held, and find out what no longer is and how many processes share the quota."""
        now = self.clock.utc_now()
        before = dict(self._leases)
        held = await self.store.renew(owner=self._owner, now=now, until=self._lease_end())
        for own_id, leased in before.items():
            if own_id not in held:
                self.drop_lost(leased)
        # a lease that nobody here works under must not be prolonged for ever
        astray = held - self._leases.keys()
        if unclaimed := astray & self._astray:
            await self.release(unclaimed)
        self._astray = astray - unclaimed
        self.schedule.workers = max(1, await self.store.workers(company=self.company, now=now))

    # -- writing ---------------------------------------------------------------------------------------------------

    async def apply(self, leased: Leased, event: Event, *, result: Result | None = None) -> Leased:
        """Write down that something happened to a job.

        Raises:
            TransitionError: it cannot happen to it; nothing was written.
            LeaseLost: it is another's now; nothing was written.
        """
        return await self.save(leased, advance(leased.record, event), result=result)

    @to_the_end
    async def save(self, leased: Leased, record: Record, *, result: Result | None = None) -> Leased:
        """Write a job down as it is now, keeping what webhooks have told meanwhile; raises as `apply`."""
        try:
            saved = await self.store.save(leased, record, result=result)
        except JobIdTaken:
            raise
        except StoreNotUsable:
            self._doubtful.add(record.id)
            raise
        self._doubtful.discard(record.id)
        if record.state is not leased.record.state:
            self._tell(leased.record, record)
        held = self._leases.get(record.id)
        if held is not None and held.fence == leased.fence:
            fresh = attrs.evolve(record, hinted_at=held.record.hinted_at, candidates=held.record.candidates)
            saved = self._leases[record.id] = attrs.evolve(saved, record=fresh)
        return saved

    async def sure(self, leased: Leased) -> Leased | None:
        """Return a held job as the store knows it, after a write whose answer got lost; None: nothing is left to do.

        What was committed unheard must not be overwritten by what was known before.
        """
        own_id = leased.record.id
        if own_id not in self._doubtful:
            return leased
        record = await self.store.get(own_id)
        self._doubtful.discard(own_id)
        held = self._leases.get(own_id)
        if held is None or held.fence != leased.fence:
            return None
        if record is None:
            self.drop(own_id)
            return None
        if record.state is not held.record.state:
            self._tell(held.record, record)
        sure = self._leases[own_id] = attrs.evolve(held, record=record)
        if record.settled or (record.state is State.UNCERTAIN and not can_follow(record)):
            await self.finish(sure)
            return None
        return sure

    @to_the_end
    async def drop_candidate(self, leased: Leased, job_id: str) -> tuple[str, ...]:
        """Take away a candidate that turned out to be something else; gives those that are left."""
        left = await self.store.drop_candidates(leased, [job_id])
        if self.holds(leased):
            fresh = attrs.evolve(leased.record, candidates=left)
            self._leases[fresh.id] = attrs.evolve(leased, record=fresh)
        return left

    async def take_in_hint(self, own_id: str) -> None:
        """Ask at once for a held job that a webhook spoke of, unless that is known already."""
        record = await self.store.get(own_id) if own_id in self._leases else None
        # looked up after the store has answered: a submission or a poll may have been written down meanwhile
        leased = self._leases.get(own_id)
        if leased is None or record is None or not record.hint_pending:
            return
        held = leased.record
        if (held.hinted_at, held.candidates) == (record.hinted_at, record.candidates):
            return
        # only what hints write is taken from the store: the rest may be half-way through a poll here
        fresh = attrs.evolve(held, hinted_at=record.hinted_at, candidates=record.candidates)
        self._leases[own_id] = attrs.evolve(leased, record=fresh)
        self.schedule.hint(own_id, self.clock.monotonic())
        self.stir()

    def _tell(self, before: Record | None, record: Record) -> None:
        """Log that a job has come into a state, and tell the observer."""
        operation, state = record.operation, record.state.value
        named = {"operation": operation.id, "company": record.company, "job": record.id, "state": state}
        _log.info("job %s %s: %s", record.id, operation.id, state, extra={**named, "attempt": record.polls})
        self.observer.job(
            JobInfo(
                id=record.id,
                company=record.company,
                operation=None if operation.by_hand else operation.id,
                state=state,
                before=None if before is None else before.state.value,
                settled=record.settled,
                created_at=record.created_at,
                sending_at=record.sending_at,
                at=self.clock.utc_now(),
                status_code=record.status_code,
                polls=record.polls,
            )
        )

    # -- waiting ---------------------------------------------------------------------------------------------------

    def announce(self, own_id: str) -> None:
        """Let those who wait for a job look at it again."""
        event = self._ends.pop(own_id, None)
        if event is not None:
            event.set()

    def announce_all(self) -> None:
        """Let everybody look again."""
        for own_id in [*self._ends]:
            self.announce(own_id)

    async def wait_a_while(self, own_id: str, *, at_most_seconds: float | None = None) -> None:
        """Wait until there is news of a job, or it is time to look into the store for what others did."""
        event = self._ends.setdefault(own_id, anyio.Event())
        look_again = WATCH_SECONDS if own_id not in self._leases else _LOOK_AGAIN_SECONDS
        await self._wait(event, look_again if at_most_seconds is None else min(look_again, at_most_seconds))

    def stir(self) -> None:
        """Have the schedule looked at again."""
        self._stirred.set()

    def settle_down(self) -> None:
        """Begin a new look at the schedule: what stirs from here on is noticed by `wait_for_stir`."""
        self._stirred = anyio.Event()

    async def wait_for_stir(self, seconds: float | None) -> None:
        """Wait until the plan has changed, or so long."""
        await self._wait(self._stirred, seconds)

    async def _wait(self, event: anyio.Event, seconds: float | None) -> None:
        if seconds is None:
            await event.wait()
            return
        with self.clock.move_on_after(seconds):
            await event.wait()

    # -- times -----------------------------------------------------------------------------------------------------

    def switch_to_content(self, record: Record) -> None:
        """Plan to ask for a job's content instead of its state."""
        asked = [self._monotonic(when) for when in record.content_asked]
        self.schedule.switch(record.id, now=self.clock.monotonic(), asked=asked)

    def _lease_end(self) -> datetime:
        return self.clock.utc_now() + timedelta(seconds=self.lease_seconds)

    def _monotonic(self, when: datetime) -> float:
        return self.clock.monotonic() + (when - self.clock.utc_now()).total_seconds()

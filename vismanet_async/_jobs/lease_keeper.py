"""`LeaseKeeper`: renews leases and picks up webhook hints that other processes stored."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from vismanet_async._jobs.leased_jobs import WATCH_SECONDS
from vismanet_async._jobs.store import ForeignStore, StoreNotUsable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from vismanet_async._jobs.leased_jobs import LeasedJobs

__all__ = ["LeaseKeeper"]

_HINTS_OVERLAP: Final = timedelta(seconds=60)
"""How long after its timestamp a hint may become visible: clocks differ, and a commit may be slow."""
_log = logging.getLogger("vismanet_async.jobs")


class LeaseKeeper:
    """Renews leases, counts the processes that share the quota, and picks up hints that others stored."""

    def __init__(self, jobs: LeasedJobs) -> None:
        self._jobs = jobs
        self.company_workers = 0
        """How many tasks of this process follow all jobs of the company, not only their own."""

    async def run(self) -> None:
        """Renew and look for hints until the task is cancelled; retry while the store is out of reach."""
        jobs = self._jobs
        looked_at = jobs.clock.utc_now()
        renewed_at = jobs.clock.monotonic()
        run_times_loaded = False
        while True:
            try:
                if not run_times_loaded:
                    for operation, seconds in (await jobs.store.run_times(company=jobs.company)).items():
                        jobs.schedule.know(operation, seconds)
                    run_times_loaded = True
                now = jobs.clock.monotonic()
                if now - renewed_at >= jobs.lease_seconds / 3:
                    await jobs.renew()
                    renewed_at = now
                if jobs.watched or self.company_workers:
                    since = jobs.clock.utc_now()
                    found = await jobs.store.hints(company=jobs.company, since=looked_at - _HINTS_OVERLAP)
                    await self.apply_hints([own_id for own_id, at in found if not self._knows(own_id, at)])
                    looked_at = since
            except StoreNotUsable as error:
                _log.warning("the job store is out of reach, trying again: %s", error, extra={"company": jobs.company})
            await jobs.clock.sleep(min(WATCH_SECONDS, jobs.lease_seconds / 6))

    async def take_over_all(self, *, alive: Callable[[], None]) -> None:
        """Claim and follow all free jobs of the company, now and later, until the task is cancelled.

        Args:
            alive: raises if this process no longer follows jobs.
        """
        alive()
        self.company_workers += 1
        try:
            while True:
                alive()
                try:
                    await self._jobs.take_over(None)
                except ForeignStore:
                    raise  # waiting does not make it one of ours
                except StoreNotUsable as error:
                    _log.warning(
                        "the job store is out of reach, trying again: %s", error, extra={"company": self._jobs.company}
                    )
                await self._jobs.clock.sleep(WATCH_SECONDS)
        finally:
            self.company_workers -= 1

    async def apply_hints(self, own_ids: Sequence[str]) -> None:
        """Poll at once those hinted jobs that concern this process."""
        mine = [own_id for own_id in own_ids if self.company_workers or own_id in self._jobs.watched]
        strangers = [own_id for own_id in mine if own_id not in self._jobs]
        if strangers:
            await self._jobs.take_over(strangers)
        for own_id in mine:
            await self._jobs.apply_hint(own_id)

    def _knows(self, own_id: str, hinted_at: datetime) -> bool:
        leased = self._jobs.get(own_id)
        return leased is not None and leased.record.hinted_at == hinted_at

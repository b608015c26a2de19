"""`Keeper`: keeps what this process holds in line with what other processes do."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from vismanet_async._jobs.leased_jobs import WATCH_SECONDS
from vismanet_async._jobs.store import StoreNotUsable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from vismanet_async._jobs.leased_jobs import HeldJobs

__all__ = ["Keeper"]

_HINTS_OVERLAP: Final = timedelta(seconds=60)
"""How much later than its time a hint may become visible: clocks differ, and a store may be slow to commit."""
_log = logging.getLogger("vismanet_async._jobs")


class Keeper:
    """Renews leases, counts the processes that share the quota, and notices webhooks that others received."""

    def __init__(self, held: HeldJobs) -> None:
        self._held = held
        self.serving = 0
        """How many tasks here work for the whole company, and not for some jobs alone."""

    async def run(self) -> None:
        """Do so as long as the task is not cancelled; a store that is out of reach is tried again."""
        held = self._held
        looked_at = held.clock.utc_now()
        renewed_at = held.clock.monotonic()
        experienced = False
        while True:
            try:
                if not experienced:
                    for operation, seconds in (await held.store.run_times(company=held.company)).items():
                        held.schedule.know(operation, seconds)
                    experienced = True
                now = held.clock.monotonic()
                if now - renewed_at >= held.lease_seconds / 3:
                    await held.renew()
                    renewed_at = now
                if held.watched or self.serving:
                    since = held.clock.utc_now()
                    found = await held.store.hints(company=held.company, since=looked_at - _HINTS_OVERLAP)
                    await self.take_in([own_id for own_id, at in found if not self._knows(own_id, at)])
                    looked_at = since
            except StoreNotUsable as error:
                _log.warning("the job store is out of reach, trying again: %s", error, extra={"company": held.company})
            await held.clock.sleep(min(WATCH_SECONDS, held.lease_seconds / 6))

    async def take_in(self, own_ids: Sequence[str]) -> None:
        """Ask at once for those jobs that webhooks spoke of and that concern this process."""
        mine = [own_id for own_id in own_ids if self.serving or own_id in self._held.watched]
        strangers = [own_id for own_id in mine if own_id not in self._held]
        if strangers:
            await self._held.adopt(strangers)
        for own_id in mine:
            await self._held.take_in_hint(own_id)

    def _knows(self, own_id: str, hinted_at: datetime) -> bool:
        leased = self._held.get(own_id)
        return leased is not None and leased.record.hinted_at == hinted_at

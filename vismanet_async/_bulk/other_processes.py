"""What a run does about the other processes of its load: it keeps its leases, and stays until all rows have ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from vismanet_async._bulk.journal_rows import Journal
    from vismanet_async._bulk.sending import Pauses
    from vismanet_async._clock import Clock

__all__ = ["keep_leases", "stay_with_others"]

_WATCH_SECONDS: Final = 2.0
"""How often a shared journal is read for what other processes have ended."""
_MOST_IN_VAIN: Final = 2
"""How often the input is read again for rows of processes that are gone, and has none of them."""


async def keep_leases(journal: Journal, clock: Clock) -> None:
    """Renew the leases of this run, until cancelled."""
    while True:
        await clock.sleep(journal.lease_seconds / 3)
        await journal.renew()


async def stay_with_others(
    journal: Journal,
    *,
    clock: Clock,
    pauses: Pauses,
    take_again: Callable[[], Awaitable[int]] | None,
    busy: Callable[[], bool],
    ended: Callable[[], bool],
) -> None:
    """Wait for what other processes work on, and take the rows of those that are gone.

    Args:
        journal: the load's.
        clock: for the pauses.
        pauses: end when the run is stopped.
        take_again: reads the input once more, and returns how many of its rows nobody had; None: it cannot.
        busy: whether rows are under way here.
        ended: whether the run takes no more rows.
    """
    abandoned = in_vain = 0
    while not ended():
        standing = await journal.standing()
        in_vain = in_vain if standing.abandoned == abandoned else 0
        abandoned = standing.abandoned
        # where the others had other rows the load is over for this one, once it has read its own twice for theirs
        if abandoned and take_again is not None and in_vain < _MOST_IN_VAIN:
            in_vain = 0 if await take_again() else in_vain + 1
        elif not (standing.held or busy()):
            break
        await pauses.wait(clock, _WATCH_SECONDS)

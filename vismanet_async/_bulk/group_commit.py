"""Group commit: entries that wait at the same time are written in one transaction.

A writer waits until its entry is on the disk, so that an intent is durable before its request leaves; what is saved is
a sync of the disk for each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import anyio
import attrs

from vismanet_async._jobs.store import LeaseLost

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vismanet_async._bulk.transitions import Entry

__all__ = ["GroupCommit"]


class _Journal(Protocol):
    async def write(self, entries: Sequence[Entry], /) -> frozenset[str]: ...


@attrs.define(eq=False)
class _Waiting:
    entry: Entry
    lost: bool = False
    written: anyio.Event = attrs.field(factory=anyio.Event)


class GroupCommit:
    """Writes entries of many tasks to a journal. `run` must be running in a task of its own."""

    def __init__(self, journal: _Journal) -> None:
        self._journal = journal
        self._waiting: list[_Waiting] = []
        self._news = anyio.Event()

    async def write(self, entry: Entry) -> None:
        """Return when the entry is on the disk.

        Raises:
            LeaseLost: another process has taken the row over; nothing was written.
        """
        waiting = _Waiting(entry)
        self._waiting.append(waiting)
        self._news.set()
        await waiting.written.wait()
        if waiting.lost:
            raise LeaseLost(f"another process has taken row {entry.key!a} over; this write changed nothing.")

    async def run(self) -> None:
        """Write what waits, until cancelled.

        Raises:
            StoreNotUsable: the journal failed, and whoever waits for it waits for ever: let it cancel them.
        """
        while True:
            await self._news.wait()
            self._news = anyio.Event()
            together, self._waiting = self._waiting, []
            lost = await self._journal.write([each.entry for each in together])
            for each in together:
                each.lost = each.entry.key in lost
                each.written.set()

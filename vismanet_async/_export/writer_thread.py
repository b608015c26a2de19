"""A worker thread that does one kind of work in order, while its giver goes on.

It is one thread from the first piece of work to the last, and the next piece lies ready while it works on this one:
handing a page to some thread of a pool, and waiting for its return, takes two turns of a busy event loop.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final

import anyio
from anyio import to_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

__all__ = ["SerialWriter", "serial_writer"]

_READY: Final = 1
"""Pieces that may lie ready beside the one being worked on."""


class SerialWriter:
    """What is given to the thread; made by `serial_writer`."""

    def __init__(self, work: Callable[..., None]) -> None:
        self.done = 0
        """How many pieces of work are finished."""
        self._work = work
        self._given: SimpleQueue[tuple[Any, ...] | None] = SimpleQueue()
        self._room = anyio.Semaphore(_READY)
        self._loop = asyncio.get_running_loop()

    async def submit(self, *args: Any) -> None:
        """Give it a piece of work: arguments to be called with. Returns when it can take another one.

        So whoever makes the pieces has none in hand that nobody could take.
        """
        self._given.put(args)
        del args  # whoever waits here does not hold it
        await self._room.acquire()

    def close(self) -> None:
        """Tell it that nothing more comes; what was given is still done."""
        self._given.put(None)

    def cancel_pending(self) -> None:
        """Take back what it has not begun."""
        while not self._given.empty():
            self._given.get_nowait()

    def run(self) -> None:
        """Work until the end; what is raised ends it early."""
        while (args := self._given.get()) is not None:
            self._work(*args)
            del args  # not held while the next piece is waited for
            self._loop.call_soon_threadsafe(self._finished)

    def _finished(self) -> None:
        self.done += 1
        self._room.release()


@asynccontextmanager
async def serial_writer(
    work: Callable[..., None], *, threads: anyio.CapacityLimiter | None = None
) -> AsyncIterator[SerialWriter]:
    """Have `work` called in a thread, with the arguments of each `submit`, one call after the other.

    Leaving the block waits until all is done. What `work` raises cancels the block and comes out of it in an exception
    group; then, and when the block is cancelled or raises, what was given and not begun is dropped.

    Args:
        work: blocks.
        threads: where the thread is counted, for as long as the block lasts.
    """
    worker = SerialWriter(work)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_in_thread, worker, threads)
        try:
            yield worker
        except BaseException:
            worker.cancel_pending()
            raise
        finally:
            worker.close()


async def _in_thread(worker: SerialWriter, threads: anyio.CapacityLimiter | None) -> None:
    await to_thread.run_sync(worker.run, limiter=threads)

"""Runs work items in order on one thread, while the caller goes on.

One thread takes all items, and the next item is queued while the current one is worked on: sending each page to a
thread of a pool and awaiting its result takes two iterations of a busy event loop.
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
"""Items that may be queued beside the one being worked on."""


class SerialWriter:
    """The queue of the thread; made by `serial_writer`."""

    def __init__(self, work: Callable[..., None]) -> None:
        self.done = 0
        """How many items are finished."""
        self._work = work
        self._queue: SimpleQueue[tuple[Any, ...] | None] = SimpleQueue()
        self._free = anyio.Semaphore(_READY, fast_acquire=True)
        self._loop = asyncio.get_running_loop()

    async def submit(self, *args: Any) -> None:
        """Queue an item: the arguments of one call. Returns once the next item can be queued (back-pressure)."""
        self._queue.put(args)
        del args  # not held while waiting here
        await self._free.acquire()

    def close(self) -> None:
        """Accept no more items; those in the queue are still worked on."""
        self._queue.put(None)

    def cancel_pending(self) -> None:
        """Drop the items that were not begun."""
        while not self._queue.empty():
            self._queue.get_nowait()

    def run(self) -> None:
        """Work on items until `close`; an error ends it early."""
        while (args := self._queue.get()) is not None:
            self._work(*args)
            del args  # not held while waiting for the next item
            self._loop.call_soon_threadsafe(self._finished)

    def _finished(self) -> None:
        self.done += 1
        self._free.release()


@asynccontextmanager
async def serial_writer(
    work: Callable[..., None], *, threads: anyio.CapacityLimiter | None = None
) -> AsyncIterator[SerialWriter]:
    """Yield a writer that calls `work` in a thread with the arguments of each `submit`, one call after the other.

    Leaving the block waits until all is done. An error of `work` cancels the block and is raised from it in an
    exception group. Then, and when the block is cancelled or raises, items that were not begun are dropped.

    Args:
        work: blocks.
        threads: counts the thread while the block lasts.
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

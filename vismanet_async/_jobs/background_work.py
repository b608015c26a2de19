"""`BackgroundWork`: the task of a job manager that polls, renews leases and writes down what a store could not take."""

from __future__ import annotations

import asyncio
import contextvars
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio

from vismanet_async._jobs.concluding import Conclusions
from vismanet_async._jobs.lease_keeper import LeaseKeeper

if TYPE_CHECKING:
    from vismanet_async._jobs.leased_jobs import LeasedJobs
    from vismanet_async._jobs.polling import Poller

__all__ = ["BackgroundWork"]


class BackgroundWork:
    """One task, from the first use of a manager to its end."""

    def __init__(self, jobs: LeasedJobs, poller: Poller, *, name: str) -> None:
        self.conclusions = Conclusions(jobs)
        self.keeper = LeaseKeeper(jobs)
        self._jobs = jobs
        self._poller = poller
        self._name = name
        self._closed = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the task, or do nothing if it runs.

        Raises:
            RuntimeError: it was stopped, or an error ended it.
        """
        if self._closed:
            raise RuntimeError("the job manager is closed; jobs go on in the next one with the same store.")
        if self._task is None:
            # a task of its own holds the task group: a manager is often opened and closed by different tasks
            # (fixtures, frameworks), which a group entered here would not survive
            self._task = asyncio.create_task(self._run(), name=self._name, context=contextvars.Context())
        if self._task.done():
            raise RuntimeError(
                "the job manager has stopped because of an error; its jobs are safe in the store."
            ) from (None if self._task.cancelled() else self._task.exception())

    async def stop(self) -> None:
        """End the task, write down what is under way, and free the jobs for other processes."""
        task, self._task, self._closed = self._task, None, True
        self._jobs.closed = True
        if task is None:
            return
        task.cancel()
        with anyio.CancelScope(shield=True):
            try:
                with suppress(asyncio.CancelledError):
                    await task
            finally:
                if not await self.conclusions.flush():
                    self.conclusions.report()
                await self._jobs.try_release()

    async def _run(self) -> None:
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._poller.run)
                tasks.start_soon(self.keeper.run)
                tasks.start_soon(self.conclusions.run)
        finally:
            # waiters look again, and get the error
            self._jobs.notifier.notify_all()

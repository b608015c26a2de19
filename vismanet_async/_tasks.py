"""Helpers for tasks: errors of task groups, work that is not cut off, events of a run as an iterator."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

import anyio
from anyio import to_thread

from vismanet_async.errors import VismaNetError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator

    from anyio.streams.memory import MemoryObjectSendStream

__all__ = ["iterate_events", "run_blocking", "run_to_completion", "unwrap_group"]

E = TypeVar("E")
P = ParamSpec("P")
T = TypeVar("T")

_EVENTS_WAITING: Final = 16


async def iterate_events(run: Callable[[MemoryObjectSendStream[E]], Awaitable[object]]) -> AsyncGenerator[E, None]:
    """Yield what a run sends. Leaving the loop early cancels the run; its error is raised after its events.

    Args:
        run: takes the stream for its events; it waits while the stream is full.
    """
    send, receive = anyio.create_memory_object_stream[E](_EVENTS_WAITING)

    async def run_and_close() -> None:
        async with send:
            await run(send)

    # a separate task, because a generator must not keep a task group open between two events
    task = asyncio.get_running_loop().create_task(run_and_close())
    try:
        async for event in receive:
            yield event
        await task
    finally:
        task.cancel()
        with anyio.CancelScope(shield=True):
            await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # retrieved, so that asyncio does not warn: it was raised above, or nobody reads events
        receive.close()


def run_to_completion(method: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Return a coroutine function that runs in a task of its own; cancellation is raised when it is done.

    A shielded scope alone protects from other scopes, not from `asyncio.Task.cancel()`, which is what Ctrl-C,
    `asyncio.timeout` and many frameworks use. A database call that is cut off half-way costs the connection, and with
    `:memory:` all that was in it; a thread that is let go still writes to a target that is closed.
    """

    @functools.wraps(method)
    async def finished(*args: P.args, **kwargs: P.kwargs) -> T:
        done: list[T] = []
        failed: list[BaseException] = []

        async def run() -> None:
            with anyio.CancelScope(shield=True):
                try:
                    done.append(await method(*args, **kwargs))
                except BaseException as error:  # noqa: BLE001 - raised below, without a group around it
                    failed.append(error)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
        if failed:
            raise failed[0]
        return done[0]

    return finished


@run_to_completion
async def run_blocking(work: Callable[..., T], /, *args: Any, limiter: anyio.CapacityLimiter) -> T:
    """Return what blocking work returns. Once begun it runs to its end; a cancellation is raised after that."""
    return await to_thread.run_sync(work, *args, limiter=limiter)


@contextlib.contextmanager
def unwrap_group() -> Iterator[None]:
    """Raise the first error of a group whose errors are all the SDK's own; a group with a bug in it stays as it is."""
    try:
        yield
    except BaseExceptionGroup as group:
        errors = list(_leaves(group))
        if not all(isinstance(error, VismaNetError) for error in errors):
            raise
        for other in errors[1:]:
            errors[0].add_note(f"also: {other}")
        raise errors[0] from None


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error

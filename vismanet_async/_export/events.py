"""Something that runs and tells events, as an async iterator of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar

import anyio

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from anyio.streams.memory import MemoryObjectSendStream

__all__ = ["events_of"]

E = TypeVar("E")

_EVENTS_WAITING: Final = 16


async def events_of(run: Callable[[MemoryObjectSendStream[E]], Awaitable[object]]) -> AsyncGenerator[E, None]:
    """Run it and yield what it sends. Leaving the loop early cancels it; what it raises is raised after its events.

    Args:
        run: takes the stream for its events; a full stream makes it wait.
    """
    send, receive = anyio.create_memory_object_stream[E](_EVENTS_WAITING)

    async def run_and_close() -> None:
        async with send:
            await run(send)

    # a task of its own, because an iterator must not hold a task group open between two events
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
            task.exception()  # raised above already, or nobody is left to be told
        receive.close()

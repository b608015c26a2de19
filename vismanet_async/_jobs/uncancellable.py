"""Decorator that lets a coroutine finish even if its caller is cancelled."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import anyio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

__all__ = ["run_to_completion"]

P = ParamSpec("P")
T = TypeVar("T")


def run_to_completion(method: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Return a coroutine function that runs in a task of its own; cancellation is raised when it is done.

    A shielded scope alone protects from other scopes, not from `asyncio.Task.cancel()`, which is what Ctrl-C,
    `asyncio.timeout` and many frameworks use. A database call that is cut off half-way costs the connection, and with
    `:memory:` all that was in it.
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

"""Calls that are values: awaiting one makes it, asyncio takes one for a coroutine, and a forgotten one warns."""

from __future__ import annotations

import asyncio
import sys
import traceback
import warnings
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DeferredCall", "mark_used", "warn_if_dropped"]

T_co = TypeVar("T_co", covariant=True)


class DeferredCall(Coroutine[Any, Any, T_co], Generic[T_co]):
    """Base of values whose `__await__` makes a call.

    `asyncio.create_task`, `TaskGroup.create_task`, `asyncio.run` and `run_coroutine_threadsafe` take coroutines only,
    so this is one by `send`, `throw` and `close`. A coroutine runs once; a value can be awaited again and again, also
    by several tasks at a time. So each task that steps through it steps through a call of its own.

    Two values are never equal, however alike: `asyncio.gather` makes one call of equal arguments.
    """

    __slots__ = ("_calls", "_origin", "_unmade")

    _calls: dict[asyncio.Task[Any] | None, Any]
    """The call that each task steps through; absent before the first."""
    _unmade: str
    """What to warn of when the value is dropped; absent where nothing is to be said, or it was used."""
    _origin: str
    """Where it was made, if Python tracks that for coroutines (asyncio's debug mode, `-X dev`)."""

    @property
    def __name__(self) -> str:
        """What asyncio calls it where it shows a task."""
        return type(self).__qualname__

    # --- a coroutine, for asyncio ------------------------------------------------------------------------------------

    def send(self, value: Any, /) -> Any:
        """Step on, as asyncio does with a coroutine."""
        task, call = self._call()
        try:
            return call.send(value)
        except BaseException:  # it returned (StopIteration) or failed: the next step begins another
            self._calls.pop(task, None)
            raise

    def throw(self, kind: Any, value: Any = None, trace: Any = None, /) -> Any:
        """Raise an error where the call is suspended, as asyncio does with a coroutine."""
        # an error alone: the form with three arguments is deprecated
        raised = (kind,) if value is None and trace is None else (kind, value, trace)
        task, call = self._call()
        try:
            return call.throw(*raised)
        except BaseException:  # as above
            self._calls.pop(task, None)
            raise

    def close(self) -> None:
        """Leave it unmade without a warning; stop the call that this task steps through, if there is one."""
        mark_used(self)
        call = getattr(self, "_calls", {}).pop(_current_task(), None)
        if call is not None:
            call.close()

    def _call(self) -> tuple[asyncio.Task[Any] | None, Any]:
        """Return the running task and the call that it steps through, a new one before the first step."""
        try:
            calls = self._calls
        except AttributeError:
            calls = {}
            object.__setattr__(self, "_calls", calls)
        task = _current_task()
        call = calls.get(task)
        if call is None:
            call = calls[task] = self.__await__()
        return task, call

    # --- forgotten ---------------------------------------------------------------------------------------------------

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:  # a default is there to the very end
        message = getattr(self, "_unmade", None)
        if message is None:
            return
        origin = getattr(self, "_origin", None)
        if origin is not None:
            message = f"{message}\nMade at (most recent call last):\n{origin}"
        # with `source` the warning shows where the value was made while `tracemalloc` traces
        _warn(message, RuntimeWarning, stacklevel=2, source=self)


def warn_if_dropped(call: DeferredCall[Any], message: str) -> None:
    """Make Python warn with `message` if the value is dropped unused, like a coroutine never awaited."""
    object.__setattr__(call, "_unmade", message)  # the value may be frozen
    depth = sys.get_coroutine_origin_tracking_depth()
    if depth:
        object.__setattr__(call, "_origin", "".join(traceback.format_stack(limit=depth)).rstrip())


def mark_used(call: DeferredCall[Any]) -> None:
    """Note that it was sent, or handed over to whoever may send it: it was not forgotten."""
    if hasattr(call, "_unmade"):  # it was not used before, and something was to be said
        object.__delattr__(call, "_unmade")


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # no event loop runs here
        return None

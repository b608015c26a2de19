"""What goes on outside the event loop, in threads and servers: a virtual clock has to stand still for it."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["Outside"]

T = TypeVar("T")


@define
class Outside:
    """Counts calls that are under way."""

    under_way: int = 0

    def counted(self, inner: T) -> T:
        """Return an object whose coroutine methods count while they run, and are otherwise those of `inner`."""
        return _Counted(inner, self)  # type: ignore[return-value] # has all that `inner` has


@define(slots=False)
class _Counted:
    _inner: Any
    _outside: Outside

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return self._counting(found) if inspect.iscoroutinefunction(found) else found

    def _counting(self, found: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(found)
        async def call(*args: Any, **options: Any) -> Any:
            self._outside.under_way += 1
            try:
                return await found(*args, **options)
            finally:
                self._outside.under_way -= 1

        return call

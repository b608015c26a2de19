"""Tells when an event loop has nothing left to do but wait. Virtual clocks move then."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["when_idle"]

_IN_KERNEL_SECONDS: Final = 0.001
"""A busy kernel may hand over what was sent on loopback a moment later, in a thread of its own."""
_POLL_SECONDS: Final = 0.005
"""How often idleness is assumed on an event loop that cannot be looked into."""


def when_idle(act: Callable[[], bool]) -> Callable[[], None]:
    """Call `act` each time the running event loop is about to wait and nothing is ready.

    Everything that can run has run by then: no callback is scheduled, and no socket of the loop has news. Work in
    threads and other processes is not seen; `act` has to know of it.

    Args:
        act: returns True if it has made something ready. It must not raise.

    Returns:
        A function that ends this. Call it on the same event loop.
    """
    loop = asyncio.get_running_loop()
    selector = getattr(loop, "_selector", None)
    if selector is None:  # uvloop
        return _Guessing(loop, act).stop
    if not isinstance(selector, _IdleSelector):
        # no public way exists to learn that a loop is about to wait, except for whoever makes the loop
        selector = loop._selector = _IdleSelector(loop, selector)  # type: ignore[attr-defined] # noqa: SLF001
    return selector.add(act)


@define(eq=False)
class _IdleSelector:
    """Stands before the selector of a loop, as long as there is somebody to call."""

    loop: Any
    inner: Any
    acts: list[Callable[[], bool]] = field(factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def add(self, act: Callable[[], bool]) -> Callable[[], None]:
        self.acts.append(act)

        def stop() -> None:
            self.acts.remove(act)
            if not self.acts and self.loop._selector is self:  # noqa: SLF001
                self.loop._selector = self.inner  # noqa: SLF001

        return stop

    def select(self, timeout: float | None = None) -> Any:
        if timeout is not None and timeout <= 0:
            return self.inner.select(timeout)
        if events := self.inner.select(0):
            return events
        if self._has_sockets() and (events := self.inner.select(min(_IN_KERNEL_SECONDS, timeout or 1.0))):
            return events
        for act in tuple(dict.fromkeys(self.acts)):
            if act():
                return []
        return self.inner.select(timeout)

    def _has_sockets(self) -> bool:
        registered = self.inner.get_map() if hasattr(self.inner, "get_map") else None
        return registered is None or len(registered) > 1  # one is the loop's own, for calls from threads


@define(eq=False)
class _Guessing:
    """Takes a loop for idle every few milliseconds."""

    loop: asyncio.AbstractEventLoop
    act: Callable[[], bool]
    handle: asyncio.TimerHandle = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._again()

    def stop(self) -> None:
        self.handle.cancel()

    def _again(self) -> None:
        self.handle = self.loop.call_later(_POLL_SECONDS, self._try)

    def _try(self) -> None:
        self.act()
        self._again()

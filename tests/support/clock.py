"""A clock for tests: hours pass in milliseconds, and only when nobody has anything better to do."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    _Entry = tuple[float, int, Callable[[], object]]

_IDLE_TURNS = 20


class VirtualClock:
    """A `vismanet_async.clock.Clock` whose time stands still until it is moved.

    With `auto` (the default) a sleeper moves it to its own waking time once the event loop has turned a few times
    without an earlier sleeper; so `sleep` returns at once, in the right order. Without, only `advance` moves it.
    Scopes of `move_on_after` end when time passes them, in order with the sleepers; they never move time themselves.
    """

    def __init__(
        self, *, auto: bool = True, start: float = 1_000.0, utc: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)
    ) -> None:
        self.auto = auto
        self.slept: list[float] = []
        """What `sleep` was asked for, in order, but for zero."""
        self._start = self._now = start
        self._utc = utc
        self._number = itertools.count()
        self._due: list[_Entry] = []
        self._sleepers: set[int] = set()

    def monotonic(self) -> float:
        return self._now

    def utc_now(self) -> datetime:
        return self._utc + timedelta(seconds=self._now - self._start)

    async def sleep(self, seconds: float) -> None:
        await anyio.lowlevel.checkpoint()
        if seconds <= 0:
            return
        self.slept.append(seconds)
        woken = anyio.Event()
        entry = self._at(self._now + seconds, woken.set)
        self._sleepers.add(entry[1])
        try:
            if not self.auto:
                await woken.wait()
            while not woken.is_set():
                for _ in range(_IDLE_TURNS):
                    await asyncio.sleep(0)
                if not woken.is_set() and entry is self._next_sleeper():
                    # scopes that end on the way get their turn first
                    self._move_to(self._due[0][0])
        finally:
            self._sleepers.discard(entry[1])
            self._forget(entry)

    def move_on_after(self, seconds: float) -> AbstractContextManager[anyio.CancelScope, bool]:
        return self._scope(seconds)  # type: ignore[return-value] # swallows, which contextmanager's type cannot say

    @contextmanager
    def _scope(self, seconds: float) -> Iterator[anyio.CancelScope]:
        scope = anyio.CancelScope()
        entry = self._at(self._now + seconds, scope.cancel)
        try:
            with scope:
                if seconds <= 0:
                    scope.cancel()
                yield scope
        finally:
            self._forget(entry)

    def advance(self, seconds: float) -> None:
        """Let time pass; wakes sleepers and ends scopes in order."""
        self._move_to(self._now + seconds)

    def _next_sleeper(self) -> _Entry:
        return min(entry for entry in self._due if entry[1] in self._sleepers)

    def _at(self, moment: float, action: Callable[[], object]) -> _Entry:
        entry = (moment, next(self._number), action)
        heapq.heappush(self._due, entry)
        return entry

    def _forget(self, entry: _Entry) -> None:
        if entry in self._due:
            self._due.remove(entry)
            heapq.heapify(self._due)

    def _move_to(self, moment: float) -> None:
        while self._due and self._due[0][0] <= moment:
            at, _, action = heapq.heappop(self._due)
            self._now = max(self._now, at)
            action()
        self._now = max(self._now, moment)

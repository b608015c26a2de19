"""A clock for tests: hours pass in milliseconds, and only when nobody has anything better to do."""

from __future__ import annotations

import heapq
import itertools
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import attrs

from vismanet_async._simulator.idle import when_idle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from vismanet_async._clock import Timer

    _Entry = tuple[float, int, Callable[[], object]]


@attrs.frozen
class _Timer:
    _waiting: ExitStack

    def cancel(self) -> None:
        self._waiting.close()


class VirtualClock:
    """A `vismanet_async._clock.Clock` whose time stands still until it is moved.

    With `auto` (the default) time jumps to the next sleeper when the event loop has nothing else to do; so `sleep`
    returns at once, in the right order. Without, only `advance` moves it. Scopes of `move_on_after` end when time
    passes them, in order with the sleepers; they move time themselves only with `scopes_move`.

    What goes on outside the event loop has to be told with `stand_still_while`.
    """

    def __init__(
        self,
        *,
        auto: bool = True,
        scopes_move: bool = False,
        start: float = 1_000.0,
        utc: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC),
    ) -> None:
        self.auto = auto
        self.slept: list[float] = []
        """What `sleep` was asked for, in order, but for zero."""
        self._scopes_move = scopes_move
        self._start = self._now = start
        self._utc = utc
        self._number = itertools.count()
        self._due: list[_Entry] = []
        self._movers: set[int] = set()
        self._outside: list[Callable[[], object]] = []

    def monotonic(self) -> float:
        return self._now

    def utc_now(self) -> datetime:
        return self._utc + timedelta(seconds=self._now - self._start)

    @property
    def waited_for(self) -> list[float]:
        """How many seconds from now sleepers wake and scopes end, the next first."""
        return sorted(entry[0] - self._now for entry in self._due)

    def stand_still_while(self, busy: Callable[[], object]) -> None:
        """Let time not move by itself while `busy` says that a thread, a server or a process is at work."""
        self._outside.append(busy)

    async def sleep(self, seconds: float) -> None:
        await anyio.lowlevel.checkpoint()
        if seconds <= 0:
            return
        self.slept.append(seconds)
        woken = anyio.Event()
        with self._waiting(seconds, woken.set, moves=True):
            await woken.wait()

    async def wait_until(self, moment: float) -> None:
        """Wait for a moment, as `monotonic` gives them, that others make come."""
        reached = anyio.Event()
        with self._waiting(moment - self._now, reached.set, moves=False):
            await reached.wait()

    def move_on_after(self, seconds: float) -> AbstractContextManager[anyio.CancelScope, bool]:
        return self._scope(seconds)  # type: ignore[return-value] # swallows, which contextmanager's type cannot say

    def call_later(self, seconds: float, action: Callable[[], object]) -> Timer:
        waiting = ExitStack()
        waiting.enter_context(self._waiting(seconds, action, moves=self._scopes_move))
        return _Timer(waiting)

    @contextmanager
    def _scope(self, seconds: float) -> Iterator[anyio.CancelScope]:
        scope = anyio.CancelScope()
        with self._waiting(seconds, scope.cancel, moves=self._scopes_move), scope:
            if seconds <= 0:
                scope.cancel()
            yield scope

    def advance(self, seconds: float) -> None:
        """Let time pass; wakes sleepers and ends scopes in order."""
        self._move_to(self._now + seconds)

    @contextmanager
    def _waiting(self, seconds: float, action: Callable[[], object], *, moves: bool) -> Iterator[None]:
        entry = self._at(self._now + seconds, action)
        stop = None
        if moves and self.auto:
            self._movers.add(entry[1])
            stop = when_idle(self._jump)
        try:
            yield
        finally:
            if stop is not None:
                stop()
            self._movers.discard(entry[1])
            self._forget(entry)

    def _jump(self) -> bool:
        if any(busy() for busy in self._outside) or not any(entry[1] in self._movers for entry in self._due):
            return False
        # scopes that end on the way get their turn first
        if self._due[0][0] == float("inf"):
            return False
        self._move_to(self._due[0][0])
        return True

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


class ServerClock:
    """The same time in the form in which the simulator asks for it."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock

    def now(self) -> float:
        return self._clock.utc_now().timestamp()

    def advance(self, seconds: float) -> None:
        self._clock.advance(seconds)

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)

    async def wait_until(self, when: float) -> None:
        await self._clock.wait_until(self._clock.monotonic() + when - self.now())

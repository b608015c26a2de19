"""The simulator's one source of time: real, or virtual so that hours pass in milliseconds."""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol, runtime_checkable
from zoneinfo import ZoneInfo

import anyio

from vismanet_async._simulator.idle import when_idle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

__all__ = [
    "Clock",
    "RealClock",
    "VirtualClock",
    "instant_ms",
    "naive_text",
    "naive_text_of_ms",
    "parse_naive_ms",
    "zone",
]

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - naive on purpose: the service writes local times without zone
_DAY_MS = 86_400_000


@runtime_checkable
class Clock(Protocol):
    """What the simulator needs of a clock: the time, a sleep and a way to jump."""

    def now(self) -> float:
        """Return seconds since 1970 (UTC)."""

    def advance(self, seconds: float) -> None:
        """Move the clock by so many seconds (a negative number moves it back)."""

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds of this clock."""

    async def wait_until(self, when: float) -> None:
        """Return once it is that late, without making a virtual clock move."""


class RealClock:
    """Wall-clock time plus whatever `advance` added; sleeping takes real time."""

    def __init__(self) -> None:
        self._offset_seconds = 0.0
        self._jumps: set[asyncio.Event] = set()

    def now(self) -> float:
        """Return the wall-clock time plus the jumps made."""
        return time.time() + self._offset_seconds

    def advance(self, seconds: float) -> None:
        """Jump; who sleeps meanwhile sleeps on, who waits for a time looks again."""
        self._offset_seconds += seconds
        for jump in self._jumps:
            jump.set()

    async def sleep(self, seconds: float) -> None:
        """Sleep in real time."""
        await asyncio.sleep(max(0.0, seconds))

    async def wait_until(self, when: float) -> None:
        """Wait for a time; a jump past it counts."""
        jump = asyncio.Event()
        self._jumps.add(jump)
        try:
            while (left := when - self.now()) > 0:
                jump.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await jump.wait()
        finally:
            self._jumps.discard(jump)


class VirtualClock:
    """Time that moves only when told to, or when everybody waits for it.

    It serves the simulator and a client alike: with `Simulator(clock=clock)` and `VismaNet(..., clock=clock)` both live
    in the same hour, and what the client waits for (a pause after 429, the next look at a job) takes no time.

    With `auto_advance` (the default) time jumps to the next sleeper whenever the event loop has nothing else to do: no
    task can go on, and no socket of the loop has news. Threads and other processes are not seen; let time stand still
    with `hold` while they work. Without `auto_advance` only `advance` moves time.

    Args:
        start: seconds since 1970 (UTC); by default 2026-01-15 08:00 UTC.
        auto_advance: False where only `advance` may move time.

    Examples:
        >>> clock = VirtualClock()
        >>> before = clock.monotonic()
        >>> await clock.sleep(3600)  # at once
        >>> clock.monotonic() - before
        3600.0
    """

    def __init__(self, start: float = 1_768_464_000.0, *, auto_advance: bool = True) -> None:
        self._now = self._latest = start
        self._auto_advance = auto_advance
        self._sleepers: dict[asyncio.Future[None], float] = {}
        self._passive: set[asyncio.Future[None]] = set()
        self._holds = 0

    def now(self) -> float:
        """Return the virtual time, in seconds since 1970 (UTC)."""
        return self._now

    def monotonic(self) -> float:
        """Return seconds that only go forward, although `advance` can set the time back."""
        self._latest = max(self._latest, self._now)
        return self._latest

    def utc_now(self) -> datetime:
        """Return the virtual time as an aware datetime."""
        return datetime.fromtimestamp(self._now, UTC)

    def move_on_after(self, seconds: float) -> AbstractContextManager[anyio.CancelScope, bool]:
        """Return a scope that ends after so many real seconds.

        Virtual time jumps while an answer is on its way, and would end the waiting for it too early.
        """
        return anyio.move_on_after(max(0.0, seconds))

    def call_later(self, seconds: float, action: Callable[[], object]) -> asyncio.TimerHandle:
        """Call a function after so many real seconds, as scopes end; its timer can be cancelled."""
        return asyncio.get_running_loop().call_later(max(0.0, seconds), action)

    def advance(self, seconds: float) -> None:
        """Move time and wake every sleeper that is due."""
        self._now += seconds
        for future in [waiting for waiting, due in self._sleepers.items() if due <= self._now]:
            del self._sleepers[future]
            if not future.done():
                future.set_result(None)

    async def sleep(self, seconds: float) -> None:
        """Wait until the virtual time has passed."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        due = self._now + seconds
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers[future] = due
        stop = when_idle(self._jump)
        try:
            await future
        finally:
            stop()
            self._sleepers.pop(future, None)

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Keep time from moving by itself inside the block, while a thread or another process works."""
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1

    def _jump(self) -> bool:
        """Move time to the next sleeper; tell whether somebody was woken."""
        active = [when for waiting, when in self._sleepers.items() if waiting not in self._passive]
        if self._holds or not self._auto_advance or not active:
            return False
        self.advance(max(0.0, min(active) - self._now))
        return True

    async def wait_until(self, when: float) -> None:
        """Wait for a time that others make come."""
        if when <= self._now:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers[future] = when
        self._passive.add(future)
        try:
            await future
        finally:
            self._sleepers.pop(future, None)
            self._passive.discard(future)


def zone(name: str) -> tzinfo:
    """Return the zone the service writes its naive times in; `+01:00` style offsets are taken too."""
    if name[:1] in "+-":
        hours, _, minutes = name[1:].partition(":")
        offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
        return timezone(-offset if name[0] == "-" else offset)
    return ZoneInfo(name)


def naive_text(seconds: float, where: tzinfo) -> str:
    """Write an instant as the service does: local time, no zone, fraction without trailing zeros."""
    local = datetime.fromtimestamp(round(seconds, 3), where).replace(tzinfo=None)
    return naive_text_of_ms(int((local - _EPOCH) / timedelta(milliseconds=1)))


def naive_text_of_ms(milliseconds: int) -> str:
    """Write naive milliseconds since 1970 as `2025-03-01T12:34:56.12` (.NET drops trailing zeros)."""
    day, rest = divmod(milliseconds, _DAY_MS)
    whole, fraction = divmod(rest, 1000)
    text = f"{_day_text(day)}T{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"
    return f"{text}.{fraction:03d}".rstrip("0") if fraction else text


@lru_cache(maxsize=8192)
def _day_text(day: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(day * _DAY_MS // 1000))


def parse_naive_ms(text: str) -> int:
    """Read a naive date or date and time as milliseconds since 1970.

    Raises:
        ValueError: The text is no date, or carries a zone.
    """
    parsed = datetime.fromisoformat(text)
    if parsed.tzinfo is not None:
        raise ValueError(f"{text!r} carries a zone")
    return int((parsed - _EPOCH) / timedelta(milliseconds=1))


def instant_ms(text: str) -> int | None:
    """Read a point in time as milliseconds since 1970: UTC unless it has an offset (facts 5.14). None: it is none."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    aware = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    return int((aware - _EPOCH.replace(tzinfo=UTC)) / timedelta(milliseconds=1))

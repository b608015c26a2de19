"""How long ago something was written down, as far as that is certain.

The wall clock cannot say: it may have been wrong then and right now, or the other way round. The clock that counts
from the machine's start can, for as long as the machine runs; a mark of it names both.
"""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from vismanet_async._clock import SystemClock

if TYPE_CHECKING:
    from vismanet_async._clock import Clock

__all__ = ["mark_of", "seconds_since"]


def mark_of(clock: Clock) -> str | None:
    """Return this moment as the running machine counts it: which start, and the seconds since then.

    None where the system does not tell its starts apart (only Linux does), and for clocks that are not its own.
    """
    boot = _boot() if isinstance(clock, SystemClock) else None
    # CLOCK_BOOTTIME goes on while a machine sleeps, and never goes faster than time
    return None if boot is None else f"{boot} {time.clock_gettime(time.CLOCK_BOOTTIME):.3f}"


def seconds_since(mark: str | None, now: str | None) -> float | None:
    """Return the seconds between two marks; None if they are not of one start of one machine.

    Examples:
        >>> seconds_since("a 100.0", "a 160.5"), seconds_since("a 100.0", "b 160.5"), seconds_since(None, "a 1.0")
        (60.5, None, None)
    """
    if mark is None or now is None:
        return None
    (boot, _, then), (same, _, at) = mark.rpartition(" "), now.rpartition(" ")
    return max(0.0, float(at) - float(then)) if boot == same else None


@cache
def _boot() -> str | None:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        # a container may count from another moment (time_namespaces(7))
        return f"{boot} {Path('/proc/self/ns/time').readlink()}" if boot and hasattr(time, "CLOCK_BOOTTIME") else None
    except OSError:
        return None

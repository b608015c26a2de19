"""What must not be left behind: tasks, file descriptors, temporary files, memory."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import inspect
import os
import sys
from pathlib import Path
from statistics import linear_regression
from typing import Any

__all__ = [
    "AVAILABLE",
    "KIB",
    "growth_per_round",
    "held_kib",
    "objects_alive",
    "open_files",
    "tasks_left",
    "tasks_waiting",
]

KIB = 1024
AVAILABLE = Path("/proc/self/fd").exists()
_PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // KIB


def tasks_left() -> list[str]:
    """Name the tasks other than the caller's."""
    return sorted(repr(task.get_coro()) for task in asyncio.all_tasks() if task is not asyncio.current_task())


def tasks_waiting() -> list[str]:
    """Say of each task where it waits, innermost first."""
    found = []
    for task in asyncio.all_tasks():
        frames: list[str] = []
        waiting: Any = task.get_coro()
        while waiting is not None:
            frame = _first_of(waiting, "cr_frame", "gi_frame", "ag_frame")
            if frame is not None:
                frames.append(f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} {frame.f_code.co_name}")
            waiting = _first_of(waiting, "cr_await", "gi_yieldfrom", "ag_await") or _wrapped(waiting)
        found.append(" < ".join(reversed(frames)))
    return sorted(found)


def _first_of(waiting: Any, *names: str) -> Any:
    return next((found for name in names if (found := getattr(waiting, name, None)) is not None), None)


def _wrapped(waiting: Any) -> Any:
    """Return what an awaitable of the interpreter's own hides: what `coroutine.__await__()` gives, say."""
    if inspect.iscoroutine(waiting) or inspect.isgenerator(waiting):
        return None
    return next((each for each in gc.get_referents(waiting) if inspect.isawaitable(each)), None)


def open_files() -> set[str]:
    """Return what the process's descriptors point at: files, sockets, pipes."""
    found = set()
    for number in os.listdir("/proc/self/fd"):  # noqa: PTH208 - of names, not paths
        try:
            found.add(f"{number} -> {Path('/proc/self/fd', number).readlink()}")
        except FileNotFoundError:  # the listing's own descriptor
            continue
    return found


def objects_alive() -> int:
    """Count the objects that the collector knows, after a full collection."""
    gc.collect()
    return len(gc.get_objects())


def held_kib() -> int:
    """Return the resident memory, once the allocator has given back what is free."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * _PAGE_KIB


def growth_per_round(samples: list[int]) -> float:
    """Return by how much a figure grows from round to round, by its best straight line."""
    return linear_regression(range(len(samples)), samples).slope if len(samples) > 1 else 0.0

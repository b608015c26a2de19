"""How long a test waits for what must happen: only a hang lasts so long, on any machine at any load."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["HANG_SECONDS", "until", "wait_for"]

HANG_SECONDS = 300.0
"""Shorter than pytest's own limit for a test (pyproject.toml), so that this one says what was waited for."""
_LOOK_SECONDS = 0.002


async def until(condition: Callable[[], object]) -> None:
    """Wait until something has happened on the other side of a socket, in a thread or in another process."""
    with anyio.fail_after(HANG_SECONDS):
        while not condition():  # noqa: ASYNC110 - nobody there can set an event of this loop
            await anyio.sleep(_LOOK_SECONDS)


def wait_for(condition: Callable[[], object]) -> None:
    """Wait as `until` does, where no event loop runs."""
    ends_at = time.monotonic() + HANG_SECONDS
    while not condition():
        if time.monotonic() > ends_at:
            raise TimeoutError("it never happened")
        time.sleep(_LOOK_SECONDS)

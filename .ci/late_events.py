"""A pytest plugin: what an event loop hears of sockets and threads comes late, at random, and in any order.

Now and then one of them is slow for a while, as a server is that gets no processor; a busy machine does so rarely, here
it happens all the time. Which ones and when is drawn from the seed in VISMANET_LATE, and depends on the machine too.
"""

from __future__ import annotations

import os
import random
import selectors
import time
from typing import Final

SEED: Final = os.environ["VISMANET_LATE"]
CHANCE: Final = random.Random(SEED)  # noqa: S311 - decides what is late
BECOMES_SLOW: Final = 0.02
"""How probable it is with each event."""
SLOW_EVENTS: Final = 30
"""For how many of its events a socket is slow, at most."""
LATE_SECONDS: Final = 0.02
"""How late each of them is, at most."""


class LateSelector(selectors.DefaultSelector):
    """Withholds events. A call that may wait does so until one of them is due, even where this takes longer."""

    def __init__(self) -> None:
        super().__init__()
        self._due: dict[int, float] = {}
        self._slow: dict[int, int] = {}

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what may be heard of now."""
        found = super().select(0 if self._due else timeout)
        while True:
            now = time.monotonic()
            due = {key.fd: self._due[key.fd] if key.fd in self._due else now + self._late(key.fd) for key, _ in found}
            ready = [event for event in found if due[event[0].fd] <= now]
            self._due = {fd: moment for fd, moment in due.items() if moment > now}
            if ready or not self._due or (timeout is not None and timeout <= 0):
                CHANCE.shuffle(ready)
                return ready
            time.sleep(min(self._due.values()) - now)
            found = super().select(0)

    def _late(self, fd: int) -> float:
        """Return how many seconds the next event of a socket is withheld."""
        if not (left := self._slow.pop(fd, 0)) and CHANCE.random() < BECOMES_SLOW:
            left = CHANCE.randint(1, SLOW_EVENTS)
        if left > 1:
            self._slow[fd] = left - 1
        return LATE_SECONDS * CHANCE.random() if left else 0.0


def pytest_configure() -> None:
    selectors.DefaultSelector = LateSelector  # type: ignore[misc]


def pytest_report_header() -> str:
    return f"late events: VISMANET_LATE={SEED}"

"""Fetch the pages of a list in waves: requests that leave together, and the next ones when all are answered.

How many requests leave, and which, then depends on the answers alone: not on the order in which they come, nor on how
long they or the consumer take. So a read that was interrupted can be repeated from the answers that it had.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import anyio

from vismanet_async._paging.fetcher import Fetcher

__all__ = ["WaveFetcher"]

_REQUESTS_A_WAVE: Final = 8


class WaveFetcher(Fetcher):
    """A `Fetcher` without timing: its requests are a function of the answers."""

    async def _read_all(self) -> None:
        while not self.paginator.done:
            sent = await self._read_wave()
            if not sent and not self.paginator.done:
                if self._limit_reached():
                    return
                self._check_that_it_goes_on()
            while len(self._ready) > self._wave_size():  # a slow consumer holds the read up
                self._wakeup = anyio.Event()
                await self._wakeup.wait()

    async def _read_wave(self) -> int:
        """Send the requests of one wave, process their answers in the order of asking; return how many there were."""
        wave = 0
        async with anyio.create_task_group() as group:
            while wave < self._wave_size() and not self._limit_reached():
                request = self.paginator.next_request()
                if request is None:
                    break
                wave += 1
                self._in_flight += 1
                self._requests += 1
                group.start_soon(self._fetch, request)
        self._received = deque(sorted(self._received, key=lambda received: received[0].number))
        while self._received:
            await self._parse(*self._received[0])
        return wave

    def _wave_size(self) -> int:
        if not self._largest_bytes:
            return _REQUESTS_A_WAVE
        return max(1, min(_REQUESTS_A_WAVE, self._max_bytes // self._largest_bytes))

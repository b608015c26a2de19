"""`aioresponses` for clients of this package: what it takes on today's aiohttp, in one place.

`aioresponses` replaces the method of aiohttp that sends. Two things of it do not fit: responses of aiohttp 3.14 want a
writer that it does not pass on, and the client checks once in a process that it can see each connection being made,
which a mock hides from it.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import aioresponses as module
from aiohttp import ClientResponse
from anyio.from_thread import start_blocking_portal

from vismanet_async._http.wiring import ensure_watched

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aioresponses import aioresponses

__all__ = ["mocked_responses"]


class _Written:
    """The writer of a request that was sent long ago."""

    output_size = 0


class _MockedResponse(ClientResponse):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"stream_writer": _Written(), **options})


@contextmanager
def mocked_responses() -> Iterator[aioresponses]:
    """Answer what clients send in the block from what is said of the mock; nothing leaves the machine."""
    with start_blocking_portal() as portal:
        portal.call(ensure_watched)
    with patch.object(module.core, "ClientResponse", _MockedResponse), module.aioresponses() as mocked:
        yield mocked

"""The servers behind the one address: how they differ, and which of them answers next."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING, Literal

from attrs import frozen

from vismanet_async._simulator.seeding import seeded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Farm", "Server"]


@frozen(kw_only=True)
class Server:
    """One server of a farm.

    Examples:
        >>> Server(page_size_limit=30, behind_requests=2, clock_offset_seconds=-1.5).behind_requests
        2
    """

    page_size_limit: int = 0
    """Its largest page, where that is smaller than the endpoint's own (0: the endpoint's own)."""
    behind_requests: int = 0
    """Its lists show the state that so many requests for the same resource earlier saw."""
    clock_offset_seconds: float = 0.0
    """What it writes is stamped so much later than the clock says (negative: earlier)."""

    def __attrs_post_init__(self) -> None:
        if self.page_size_limit < 0 or self.behind_requests < 0:
            raise ValueError("a server needs page_size_limit >= 0 and behind_requests >= 0")


class Farm:
    """Servers that take turns, or are drawn by a seeded random; requests and writes by others are counted apart.

    Args:
        servers: At least one.
        order: `turns`, or `random`.
        seed: Decides what is drawn.

    Raises:
        ValueError: There is no server.

    Examples:
        >>> farm = Farm([Server(page_size_limit=50), Server(page_size_limit=30)])
        >>> [farm.for_request().page_size_limit for _ in range(3)]
        [50, 30, 50]
    """

    def __init__(
        self, servers: Sequence[Server], *, order: Literal["turns", "random"] = "turns", seed: int = 1
    ) -> None:
        if not servers:
            raise ValueError("a farm needs at least one server")
        self.servers = tuple(servers)
        self._requests = self._order(order, seed, "requests")
        self._writes = self._order(order, seed, "writes")

    def _order(self, order: str, seed: int, what: str) -> Iterator[Server]:
        if order == "turns":
            return cycle(self.servers)
        random = seeded(seed, "farm", what)
        return iter(lambda: random.choice(self.servers), None)

    @property
    def most_behind(self) -> int:
        """The most requests that an answer may be behind."""
        return max(server.behind_requests for server in self.servers)

    def for_request(self) -> Server:
        """Return the server that answers the next request."""
        return next(self._requests)

    def for_write(self) -> Server:
        """Return the server that stamps the next write by others."""
        return next(self._writes)

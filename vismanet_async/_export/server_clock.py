"""The clock of the server as the answers of one reading tell it: this machine's may be ahead, by any amount."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vismanet_async._export.forwarding_sender import ForwardingSender
from vismanet_async._http.rate_limit import http_date
from vismanet_async._paging.guarantee import boundary_by

if TYPE_CHECKING:
    from vismanet_async._http.message import Request, Response

__all__ = ["ServerClock"]


class ServerClock(ForwardingSender):
    """Sends by another sender, and notes what the `Date` of the answers says of the edge.

    Args:
        edge: the `safe_boundary` by this machine's clock when the reading began.
    """

    def __init__(self, edge: str) -> None:
        self.edge = edge
        """The same by the clock that is furthest behind so far: no change since then is stamped earlier."""

    async def send(self, request: Request) -> Response:
        """Return the answer."""
        response = await super().send(request)
        if (made_at := http_date(response.headers.get("Date"))) is not None:
            self.edge = boundary_by(made_at, self.edge) or self.edge
        return response

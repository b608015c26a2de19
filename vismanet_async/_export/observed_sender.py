"""Emits an event for each request of a list: when it was sent, its attempts, and the quota that was left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vismanet_async._export.events import RequestEnded
from vismanet_async._export.forwarding_sender import ForwardingSender
from vismanet_async.errors import VismaNetError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from vismanet_async._http.message import Request, Response
    from vismanet_async.errors import Attempt

__all__ = ["ObservedSender"]


class ObservedSender(ForwardingSender):
    """Sends the requests of one list through its sender, and emits how each ended."""

    def __init__(
        self, resource: str, *, seconds: Callable[[], float], emit: Callable[[RequestEnded], Awaitable[None]]
    ) -> None:
        self._resource = resource
        self._seconds = seconds
        self._emit = emit

    async def send(self, request: Request) -> Response:
        """Send a request, and emit how it ended before the response is returned."""
        began = self._seconds()
        try:
            response = await super().send(request)
        except VismaNetError as error:
            await self._emit(self._ended(began, tuple(error.attempts), error=type(error).__name__))
            raise
        await self._emit(self._ended(began, response.attempts, size=len(response.content)))
        return response

    def _ended(
        self, began: float, attempts: tuple[Attempt, ...], *, size: int = 0, error: str | None = None
    ) -> RequestEnded:
        quota = getattr(self._sender, "quota", None)  # only a company's own transport knows it
        return RequestEnded(
            resource=self._resource,
            began_seconds=began,
            ended_seconds=self._seconds(),
            attempts=attempts,
            bytes=size,
            error=error,
            quota_remaining=getattr(quota, "remaining", None),
            quota_limit=getattr(quota, "limit", None),
        )

"""What the requests of an export did, as events: when each left, its tries, and what was left of the quota."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from vismanet_async.errors import Attempt, VismaNetError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from vismanet_async._http.message import Request, Response, Sender, StreamedResponse

__all__ = ["RequestEnded", "Watch"]


@attrs.frozen(kw_only=True)
class RequestEnded:
    """A request of a list has ended: answered, or given up. Holds no header, body or token."""

    resource: str
    began_seconds: float
    """Since the export began."""
    ended_seconds: float
    attempts: tuple[Attempt, ...]
    """Oldest first; their seconds count from `began_seconds`."""
    bytes: int = 0
    """Of the answer, inflated."""
    error: str | None = None
    """What ended it without an answer: the name of the error's type."""
    quota_remaining: int | None = None
    """Requests left in the company's window, as last told by the server."""
    quota_limit: int | None = None


class Watch:
    """Stands between one list and its sender, and tells what became of each request."""

    def __init__(
        self,
        sender: Sender,
        resource: str,
        *,
        seconds: Callable[[], float],
        tell: Callable[[RequestEnded], Awaitable[None]],
    ) -> None:
        self._sender = sender
        self._resource = resource
        self._seconds = seconds
        self._tell = tell

    @property
    def limiter(self) -> Any:
        """How many requests may be in flight: the listing asks its sender."""
        return getattr(self._sender, "limiter", None)

    async def send(self, request: Request) -> Response:
        """Send it, and tell how it went before the answer is handed on."""
        began = self._seconds()
        try:
            response = await self._sender.send(request)
        except VismaNetError as error:
            await self._tell(self._ended(began, tuple(error.attempts), error=type(error).__name__))
            raise
        await self._tell(self._ended(began, response.attempts, size=len(response.content)))
        return response

    def stream(self, request: Request) -> AbstractAsyncContextManager[StreamedResponse]:
        """Pass it on; lists are not streamed."""
        return self._sender.stream(request)

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

"""`ForwardingSender`: the base of senders that look at one listing's requests and pass them on to another sender."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from typing import Self

    from vismanet_async._http.message import Request, Response, Sender, StreamedResponse

__all__ = ["ForwardingSender"]


class ForwardingSender:
    """Sends by the sender that it wraps. Give `wrap` to `Listing.with_sender`, once."""

    _sender: Sender

    def wrap(self, sender: Sender) -> Self:
        """Return this sender, which from now on sends by another one."""
        self._sender = sender
        return self

    @property
    def limiter(self) -> Any:
        """The limit of requests in flight, which the listing asks its sender for."""
        return getattr(self._sender, "limiter", None)

    async def send(self, request: Request) -> Response:
        """Return the answer."""
        return await self._sender.send(request)

    def stream(self, request: Request) -> AbstractAsyncContextManager[StreamedResponse]:
        """Stream by the other sender as it is: lists are not streamed."""
        return self._sender.stream(request)

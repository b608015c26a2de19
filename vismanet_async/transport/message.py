"""What goes into the transport and what comes out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

import attrs
from multidict import CIMultiDict, CIMultiDictProxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from contextlib import AbstractAsyncContextManager

    from vismanet_async.errors import Attempt

__all__ = ["Body", "Request", "Response", "Sender", "Service", "StreamedResponse", "no_headers"]

Service = Literal["erp", "sales_order"]
"""Which of Visma's services: each has its own base URL, scopes and token."""


class Body(Protocol):
    """A request body that is opened anew for each attempt, such as an attachment."""

    @property
    def replayable(self) -> bool:
        """Whether `open` may be called more than once."""
        ...

    def open(self) -> tuple[AsyncIterator[bytes], Mapping[str, str]]:
        """Give the chunks and the headers that describe them (Content-Type, and Content-Length if known)."""
        ...


@attrs.frozen(kw_only=True)
class Request:
    """One request, complete but for base URL, token and the pipeline's own headers."""

    operation: str
    """The catalog id, or method and path; for messages and logs."""
    method: str
    path: str
    """Below the service's base URL, beginning with a slash, percent-encoded already."""
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    body: bytes | Body | None = attrs.field(default=None, repr=False)
    service: Service = "erp"
    deadline_seconds: float | None = None
    """For the whole call: queueing, token, attempts, reading. None takes the client's default."""
    background: bool = False
    """Whether it goes to the background queue: then even a GET must not be sent twice."""

    @property
    def repeatable(self) -> bool:
        """Whether sending it twice does no more than sending it once (docs/facts.md 10 and 11)."""
        if self.background:
            return False
        if self.method in {"GET", "HEAD"}:
            return True
        return self.method in {"PUT", "DELETE"} and "If-Match" in self.headers


@attrs.frozen(kw_only=True)
class Response:
    """An answer with a success status, read to its end."""

    status: int
    headers: CIMultiDictProxy[str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)
    attempts: tuple[Attempt, ...] = ()


class StreamedResponse(Protocol):
    """An answer with a success status whose body is read by the caller."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        """The response headers, case-insensitive."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives; raises `ResponseLost` when it breaks off."""
        ...


class Sender(Protocol):
    """Sends requests for one company. What `transport.send.Transport` is, and what tests put in its place."""

    async def send(self, request: Request, /) -> Response:
        """Send it, with every rule of the pipeline; raises an error of `vismanet_async.errors` otherwise."""
        ...

    def stream(self, request: Request, /) -> AbstractAsyncContextManager[StreamedResponse]:
        """Send it and hand over the answer unread; the connection is given back on leaving."""
        ...


def no_headers() -> CIMultiDictProxy[str]:
    """Give an empty header mapping, for answers made up in tests."""
    return CIMultiDictProxy(CIMultiDict())

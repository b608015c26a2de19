"""What goes into the transport and what comes out of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, Protocol

import attrs
from multidict import CIMultiDict, CIMultiDictProxy

from vismanet_async.errors import RequestRefused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from contextlib import AbstractAsyncContextManager

    from vismanet_async.errors import Attempt

__all__ = [
    "UTF8_BOM",
    "Body",
    "Kind",
    "Request",
    "Response",
    "Sender",
    "Service",
    "StreamedResponse",
    "header_fault",
    "no_headers",
]

Service = Literal["erp", "sales_order"]
"""Which of Visma's services: each has its own base URL, scopes, token and quota."""

Kind = Literal["read", "guarded", "write"]
"""What sending a request twice does: nothing (`read`), no more than once (`guarded` by If-Match), or harm (`write`)."""

UTF8_BOM = b"\xef\xbb\xbf"
"""A mark that some .NET answers put before JSON, where it does not belong."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A token (RFC 9110, 5.6.2)."""
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""What a header's value cannot hold (RFC 9110, 5.5); it may hold tabs."""


class Body(Protocol):
    """A request body that is opened anew for each attempt, such as an attachment."""

    @property
    def replayable(self) -> bool:
        """Whether `open` may be called more than once."""
        ...

    def open(self) -> tuple[AsyncIterator[bytes], Mapping[str, str]]:
        """Give the chunks and the headers that describe them (Content-Type, and Content-Length if known)."""
        ...


def _method(value: str) -> str:
    method = value.upper()
    if method not in _METHODS:
        raise RequestRefused(f"{value!r} is not an HTTP method of this API; nothing was sent.")
    return method


@attrs.frozen(kw_only=True)
class Request:
    """One request, complete but for base URL, token and the pipeline's own headers.

    Raises:
        RequestRefused: the method is unknown, or a header cannot be sent (see `header_fault`).
    """

    operation: str
    """The catalog id, or method and path; for messages and logs."""
    template: str | None = None
    """The path with its ids left open; None where only the path itself is known. For whoever watches."""
    method: str = attrs.field(converter=_method)
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
    buffer: Callable[[int], bytearray] | None = attrs.field(default=None, repr=False, eq=False)
    """Gives memory of a size, in which an answer of that size is put together; None: it is read as bytes."""

    @headers.validator
    def _refuse_faults(self, _attribute: object, headers: Mapping[str, str]) -> None:
        for name, value in headers.items():
            if (fault := header_fault(name, value)) is not None:
                raise RequestRefused(f"{fault}; nothing was sent.")

    def header(self, name: str) -> str | None:
        """Give a header by its name in any case."""
        wanted = name.lower()
        return next((value for key, value in self.headers.items() if key.lower() == wanted), None)

    @property
    def kind(self) -> Kind:
        """What sending it twice would do (docs/facts.md 10.12, 10.13, 7)."""
        if self.background or self.header("erp-api-background") is not None:
            return "write"
        if self.method in {"GET", "HEAD"}:
            return "read"
        return "guarded" if self.method in {"PUT", "DELETE"} and self.header("If-Match") else "write"

    @property
    def repeatable(self) -> bool:
        """Whether sending it twice does no more than sending it once."""
        return self.kind != "write"


@attrs.frozen(kw_only=True)
class Response:
    """An answer with a success status, read to its end."""

    status: int
    headers: CIMultiDictProxy[str] = attrs.field(repr=False)
    content: bytes | bytearray = attrs.field(repr=False, alias="body")
    """The body as it was put together: in the request's `buffer`, or bytes."""
    attempts: tuple[Attempt, ...] = ()

    @property
    def body(self) -> bytes:
        """The body as bytes."""
        return self.content if isinstance(self.content, bytes) else bytes(self.content)


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
    """Sends requests for one company. What `_http.pipeline.Transport` is, and what tests put in its place."""

    async def send(self, request: Request, /) -> Response:
        """Send it, with every rule of the pipeline; raises an error of `vismanet_async.errors` otherwise."""
        ...

    def stream(self, request: Request, /) -> AbstractAsyncContextManager[StreamedResponse]:
        """Send it and hand over the answer unread; the connection is given back on leaving."""
        ...


def header_fault(name: Any, value: Any) -> str | None:
    r"""Return why a header cannot be sent, without its value; None for one that can.

    Examples:
        >>> header_fault("X-Trace", "a\x1fb")
        "the header 'X-Trace' holds a line break or another control character"
    """
    if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
        broken = isinstance(name, str) and _CONTROL.search(name)
        return f"{name!a} is no name of a header{': it holds a line break or another control character' * bool(broken)}"
    if not isinstance(value, str):
        return f"the header {name!r} takes text, not {type(value).__name__}"
    if _CONTROL.search(value):
        return f"the header {name!r} holds a line break or another control character"
    try:
        value.encode()
    except UnicodeEncodeError:
        return f"the header {name!r} holds half of a surrogate pair"
    return None


def no_headers() -> CIMultiDictProxy[str]:
    """Give an empty header mapping, for answers made up in tests."""
    return CIMultiDictProxy(CIMultiDict())

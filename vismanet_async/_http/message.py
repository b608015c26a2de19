"""Requests and responses of the transport."""

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
    "HEADER_NAME",
    "UTF8_BOM",
    "Body",
    "Kind",
    "Request",
    "Response",
    "Sender",
    "Service",
    "StreamedResponse",
    "bare_etag",
    "header_fault",
    "no_headers",
]

Service = Literal["erp", "sales_order"]
"""Which of Visma's services: each has its own base URL, scopes, token and quota."""

Kind = Literal["read", "conditional", "write"]
"""The effect of sending a request twice: none (`read`), that of sending it once (`conditional`: by If-Match), or two
changes (`write`)."""

UTF8_BOM = b"\xef\xbb\xbf"
"""A byte order mark that some .NET servers send before JSON, where the standard forbids it."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
_READS = frozenset({"GET", "HEAD"})
_REPEATABLE = frozenset({"PUT", "DELETE"})
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A token (RFC 9110, 5.6.2)."""
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""Characters that a header's value must not contain (RFC 9110, 5.5); tabs are allowed."""


class Body(Protocol):
    """A request body that is opened again for each attempt, such as an attachment."""

    @property
    def rewindable(self) -> bool:
        """Whether `open` may be called more than once."""
        ...

    def open(self) -> tuple[AsyncIterator[bytes], Mapping[str, str]]:
        """Return the chunks and the headers that describe them (Content-Type, and Content-Length if known)."""
        ...


def _method(value: str) -> str:
    method = value.upper()
    if method not in _METHODS:
        raise RequestRefused(f"{value!r} is not an HTTP method of this API; nothing was sent.")
    return method


@attrs.frozen(kw_only=True)
class Request:
    """One request without base URL, token and the pipeline's own headers.

    Raises:
        RequestRefused: the method is unknown, or a header cannot be sent (see `header_fault`).
    """

    operation: str
    """The catalog id, or method and path; for messages and logs."""
    template: str | None = None
    """The path with placeholders for ids, for observers; None if only the path itself is known."""
    method: str = attrs.field(converter=_method)
    path: str
    """Below the service's base URL, beginning with a slash, percent-encoded already."""
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    body: bytes | Body | None = attrs.field(default=None, repr=False)
    service: Service = "erp"
    deadline_seconds: float | None = None
    """For the whole call: queueing, token, attempts, reading. None means the client's default."""
    background: bool = False
    """Whether it is sent to the background queue: then even a GET must not be sent twice."""
    honours_if_match: bool = False
    """Whether the server is known to honour If-Match here. Where it does not, a write is executed as often as it is
    sent, whatever its headers say."""
    buffer: Callable[[int], bytearray] | None = attrs.field(default=None, repr=False, eq=False)
    """Allocates the memory for a body of known size; None: the body is read as bytes."""

    @headers.validator
    def _refuse_faults(self, _attribute: object, headers: Mapping[str, str]) -> None:
        for name, value in headers.items():
            if (fault := header_fault(name, value)) is not None:
                raise RequestRefused(f"{fault}; nothing was sent.")

    def header(self, name: str) -> str | None:
        """Return a header by its name, case-insensitive."""
        wanted = name.lower()
        return next((value for key, value in self.headers.items() if key.lower() == wanted), None)

    @property
    def kind(self) -> Kind:
        """The effect of sending it twice (docs/facts.md 10.12, 10.13, 7)."""
        guarded = False
        for name, value in self.headers.items():
            known = name.lower()
            if known == "erp-api-background":
                return "write"
            if known == "if-match":
                guarded = guarded or bool(value)
        if self.background:
            return "write"
        if self.method in _READS:
            return "read"
        guarded = guarded and self.honours_if_match
        return "conditional" if guarded and self.method in _REPEATABLE else "write"

    @property
    def idempotent(self) -> bool:
        """Whether sending it twice does no more than sending it once."""
        return self.kind != "write"


@attrs.frozen(kw_only=True)
class Response:
    """A response with a success status, with its whole body."""

    status: int
    headers: CIMultiDictProxy[str] = attrs.field(repr=False)
    content: bytes | bytearray = attrs.field(repr=False, alias="body")
    """The body: the request's `buffer`, or bytes."""
    attempts: tuple[Attempt, ...] = ()

    @property
    def body(self) -> bytes:
        """The body as bytes."""
        return self.content if isinstance(self.content, bytes) else bytes(self.content)


class StreamedResponse(Protocol):
    """A response with a success status whose body the caller reads."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        """The response headers, case-insensitive."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives; raises `ResponseLost` if the connection breaks."""
        ...


class Sender(Protocol):
    """Sends requests for one company: the interface of `_http.pipeline.Transport`."""

    async def send(self, request: Request, /) -> Response:
        """Send the request through the pipeline; raises an error of `vismanet_async.errors` on failure."""
        ...

    def stream(self, request: Request, /) -> AbstractAsyncContextManager[StreamedResponse]:
        """Send the request and return the response unread; leaving the context releases the connection."""
        ...


def bare_etag(header: str | None) -> str | None:
    """Strip an ETag of quotes and of the weak prefix (docs/facts.md 6.2).

    Examples:
        >>> bare_etag('W/"AAAAAE0YIiI="'), bare_etag("")
        ('AAAAAE0YIiI=', None)
    """
    return (header or "").strip().removeprefix("W/").strip('"') or None


def header_fault(name: Any, value: Any) -> str | None:
    r"""Return why a header cannot be sent, without its value; None for one that can.

    Examples:
        >>> header_fault("X-Trace", "a\x1fb")
        "the header 'X-Trace' holds a line break or another control character"
    """
    if not isinstance(name, str) or not HEADER_NAME.fullmatch(name):
        broken = isinstance(name, str) and _CONTROL.search(name)
        return f"{name!a} is no name of a header{': it holds a line break or another control character' * bool(broken)}"
    if isinstance(value, str) and value.isascii() and value.isprintable():
        return None  # as nearly all are
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
    """Return an empty header mapping, for responses made in tests."""
    return CIMultiDictProxy(CIMultiDict())

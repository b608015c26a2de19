"""`Operation[T]`: one API call as a value. Building it sends nothing; awaiting it sends it."""

from __future__ import annotations

from collections.abc import Callable, Mapping  # noqa: TC003 - looked up by whoever asks for the types
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast, overload

import attrs
import msgspec

from vismanet_async._arguments import expect_seconds, text_pairs
from vismanet_async._deferred import DeferredCall, mark_used, warn_if_dropped
from vismanet_async._http.message import Body, Request, Response, Sender, Service, bare_etag
from vismanet_async.errors import Attempt, RequestRefused, VismaNetError  # Attempt is looked up with the types

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator

__all__ = ["ApiResponse", "Operation", "OperationSpec", "Preview", "refuse_other_client"]

T = TypeVar("T")

_OWN_HEADERS = frozenset(
    {"authorization", "host", "content-length", "transfer-encoding", "if-match", "erp-api-background"}
)
_READS = frozenset({"GET", "HEAD"})
_UNSAFE = frozenset("\r\n\0")
_MOST_DIGITS = 18


class OperationSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The catalog's facts about one operation, as far as calling it needs them."""

    id: str
    """The id in Visma's OpenAPI document, such as `Customer_GetBycustomerCd`."""
    method: str
    path: str
    """The template, such as `/v1/customer/{customerCd}`."""
    by_hand: bool = False
    """Not from the catalog: `id` and `path` may hold ids of records, and nobody checks what the server honours."""
    service: Service = "erp"
    if_match: bool = False
    """The server honours If-Match (docs/facts.md 6)."""
    if_match_background: bool = False
    """The server honours If-Match only together with the background header."""
    background: bool = True
    """The server takes `erp-api-background`."""

    @property
    def template(self) -> str | None:
        """The path, unless it may hold ids of records."""
        return None if self.by_hand else self.path


@attrs.frozen(kw_only=True)
class Preview:
    """What an operation would send. Holds no token.

    Examples:
        >>> print(visma.customer.get("10000").preview().path)
        /v1/customer/10000
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    body: str | None
    """The JSON text, or a short description of a streamed body."""


@attrs.frozen(kw_only=True)
class ApiResponse(Generic[T]):
    """The result of a call, and what its answer said besides.

    Examples:
        >>> answer = await visma.customer.get("10000").with_response()
        >>> answer.value.number, answer.status, len(answer.attempts)
        ('10000', 200, 1)
        >>> answer.headers["content-type"], answer.quota_remaining < visma.quota.limit
        ('application/json; charset=utf-8', True)
    """

    value: T
    """What awaiting the call itself returns."""
    status: int
    """The HTTP status."""
    headers: Mapping[str, str] = attrs.field(repr=False)
    """All of the response, by names in any case."""
    attempts: tuple[Attempt, ...] = ()
    """Each time it was sent, with its waits."""

    @property
    def seconds(self) -> float:
        """The time from the start of the call to its whole answer, on the client's clock."""
        last = self.attempts[-1] if self.attempts else None
        return 0.0 if last is None else last.started_after_seconds + last.duration_seconds

    @property
    def reference(self) -> str | None:
        """The id that Visma's support asks for (`Ipp-Request-Id`), if the response has one."""
        return self.headers.get("Ipp-Request-Id")

    @property
    def etag(self) -> str | None:
        """The version of the record, for `if_match=`; None where the endpoint tells none."""
        return bare_etag(self.headers.get("ETag"))

    @property
    def quota_remaining(self) -> int | None:
        """Requests left in the window, as this response told it; None if it did not."""
        text = self.headers.get("X-RateLimit-Remaining", "").strip()
        return int(text) if text.isdecimal() and len(text) < _MOST_DIGITS else None


def with_extra(
    query: tuple[tuple[str, str], ...], extra: Mapping[str, str] | None, *, owned: frozenset[str] = frozenset()
) -> tuple[tuple[str, str], ...]:
    """Return a query with parameters that the catalog lacks.

    Raises:
        RequestRefused: one of them is set already, or is `owned`; nothing was sent.
    """
    more = dict(text_pairs("extra_query", extra))
    own = {name.lower() for name in (*owned, *(name for name, _ in query))}
    # whether the API minds the case is not known: no name goes out in two spellings
    taken = sorted(name for name in more if name.lower() in own)
    if taken:
        raise RequestRefused(f"extra_query names {', '.join(taken)}, which this call sets itself; nothing was sent.")
    return (*query, *more.items())


class _Made(Protocol):
    """A call or a list, and the client that it was made with."""

    @property
    def sender(self) -> Sender: ...


def refuse_other_client(call: _Made, sender: Sender, *, what: str) -> None:
    """Refuse a call that was made with another client: it would be sent to this one's company, or ask another's.

    Raises:
        RequestRefused: it was; nothing was sent.
    """
    if call.sender is not sender:
        raise RequestRefused(
            f"{what} of another client, which may be signed in to another company; nothing was sent. Make it with the "
            "client that it is given to."
        )


@attrs.frozen(kw_only=True, eq=False)
class Operation(DeferredCall[T]):
    """One API call as a value.

    `await operation` sends it and returns its typed result; `visma.jobs.submit(operation)` sends it to the background
    queue; `preview()` shows what would be sent. A value can be sent several times; each time is a new request.

    asyncio takes it wherever it takes a coroutine: `asyncio.gather`, `wait_for`, `as_completed`, `create_task`,
    `TaskGroup.create_task`, `asyncio.run`. Two operations are never equal, so two equal calls are two requests;
    `gather(operation, operation)` is one request, because it names one value twice, as with a coroutine.

    A write that is dropped without being awaited, submitted or looked at was forgotten: `RuntimeWarning`, as for a
    coroutine that was never awaited, with the place where it was made in asyncio's debug mode or under `tracemalloc`.

    Errors: those of `vismanet_async.errors`; a write whose answer got lost raises `OutcomeUnknown` and is not
    repeated. Cancelling while a write is under way leaves its outcome unknown.

    The methods of the resources build it. Of its parts these may be looked at:

    Args:
        spec: what the description of the API says about the call: id, method, what it honours.
        path: below the base URL, percent-encoded.
        query: parameters by the API's own names, in order.
        headers: those beside the SDK's own.
        body: the JSON text, or a file that is streamed; None: no body.
        sender: what sends it: that of the client.
        deadline_seconds: for the call in all; None: the client's `timeout_seconds`.

    Examples:
        >>> get = visma.customer.get("10000")
        >>> get.preview()
        Preview(method='GET', path='/v1/customer/10000', query=(), headers={}, body=None)
        >>> (await get).number
        '10000'
    """

    spec: OperationSpec
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = attrs.field(factory=dict)
    _body: bytes | Body | None = attrs.field(default=None, repr=False)
    decode: Callable[[Response], T] = attrs.field(repr=False)
    """Turns the answer (of the call itself, or of the finished job) into the result."""
    sender: Sender = attrs.field(repr=False)
    deadline_seconds: float | None = None

    def __attrs_post_init__(self) -> None:
        if self.spec.method not in _READS:
            warn_if_dropped(
                self,
                f"{self.spec.id} was never awaited, so nothing was sent. Write `await ...`, or give it to "
                "`visma.jobs.submit(...)`; `.preview()` shows what would be sent.",
            )

    @property
    def body(self) -> bytes | Body | None:
        """The JSON text, or a file that is streamed; None: no body. To look at it is to use the operation."""
        mark_used(self)
        return self._body

    def __await__(self) -> Generator[Any, Any, T]:
        return self._send().__await__()

    @overload
    def send(self) -> Coroutine[Any, Any, T]: ...
    @overload
    def send(self, value: Any, /) -> Any: ...
    def send(self, *value: Any) -> Any:
        """Send it and return its typed result: `await operation.send()` is the same as `await operation`.

        With a value it is the `send` of a coroutine, by which asyncio steps through it.
        """
        if value:
            return super().send(*value)  # asyncio's
        mark_used(self)
        return self._send()

    async def _send(self) -> T:
        response = await self.sender.send(self.request())
        try:
            return self.decode(response)
        except VismaNetError as error:
            error.attempts = error.attempts or response.attempts
            raise

    def request(self, *, background: str | None = None) -> Request:
        """Return the request to send, for the background queue when `background` is its header's value.

        Raises:
            RequestRefused: when this operation or its If-Match cannot be sent that way; nothing was sent.
        """
        mark_used(self)
        headers = dict(self.headers)
        if background is not None:
            if not self.spec.background:
                raise RequestRefused(f"{self.spec.id} cannot run in the background; nothing was sent.")
            headers["erp-api-background"] = background
        guards = self.spec.if_match or (background is not None and self.spec.if_match_background)
        if "If-Match" in headers and not (guards or self.spec.by_hand):
            way = "only as a background job: use visma.jobs.submit(...)" if self.spec.if_match_background else "nowhere"
            raise RequestRefused(f"{self.spec.id} honours if_match {way}. Nothing was sent.")
        return Request(
            operation=self.spec.id,
            template=self.spec.template,
            method=self.spec.method,
            path=self.path,
            query=self.query,
            headers=headers,
            body=self._body,
            service=self.spec.service,
            deadline_seconds=self.deadline_seconds,
            background=background is not None,
            honours_if_match=self.spec.if_match,
        )

    def with_options(
        self,
        *,
        timeout_seconds: float | None = None,
        headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, str] | None = None,
    ) -> Operation[T]:
        """Return a copy with another deadline, more headers or more parameters.

        Args:
            timeout_seconds: for the whole call: queueing, token, attempts and reading.
            headers: added to the request; those that the SDK owns (Authorization, If-Match, ...) are refused.
            extra_query: parameters that are newer than the catalog, by the API's own names. Nothing checks them: the
                API ignores those it does not know.

        Raises:
            RequestRefused: a header or parameter that the SDK sets itself; nothing was sent.

        Examples:
            >>> visma.customer.get("10000").with_options(extra_query={"expandNew": "true"}).preview().query
            (('expandNew', 'true'),)
        """
        expect_seconds("timeout_seconds", timeout_seconds)
        more = dict(text_pairs("headers", headers))
        query = with_extra(self.query, extra_query)
        mark_used(self)
        for name, value in more.items():
            if name.lower() in _OWN_HEADERS:
                raise RequestRefused(f"the header {name} is set by the SDK itself; nothing was sent.")
            if _UNSAFE & {*name, *value}:
                raise RequestRefused(f"the header {name!r} holds a line break; nothing was sent.")
        return attrs.evolve(
            self,
            query=query,
            headers={**self.headers, **more},
            deadline_seconds=self.deadline_seconds if timeout_seconds is None else timeout_seconds,
        )

    def with_response(self) -> Operation[ApiResponse[T]]:
        """Return a copy whose result holds what the answer said besides: status, headers, attempts, quota.

        Errors have the same already: `attempts`, and those of an answer `status`, `headers` and `reference`.

        Examples:
            >>> answer = await visma.customer.get("10000").with_response()
            >>> answer.value.number, answer.etag == answer.value.etag
            ('10000', True)
        """
        decode = self.decode
        mark_used(self)

        def with_facts(response: Response) -> ApiResponse[T]:
            return ApiResponse(
                value=decode(response), status=response.status, headers=response.headers, attempts=response.attempts
            )

        # evolve is typed to keep T
        return attrs.evolve(cast("Operation[ApiResponse[T]]", self), decode=with_facts)

    def preview(self) -> Preview:
        """Show what would be sent. Sends nothing and needs no token."""
        body = self.body.decode() if isinstance(self.body, bytes) else None
        if self.body is not None and body is None:
            body = f"<{type(self.body).__name__}, streamed>"
        return Preview(method=self.spec.method, path=self.path, query=self.query, headers=dict(self.headers), body=body)

"""Every error that the SDK raises on purpose, in one tree.

::

    VismaNetError
    ├── SettingsError (ValueError)        the client cannot be built from what was given
    ├── RequestRefused (ValueError)       refused here, before anything was sent
    │   ├── UnknownName                   no such resource, parameter or field; carries the nearest names
    │   └── HostNotAllowed                the host is not on the allow-list, so no token is sent to it
    ├── TransportError (OSError)          no usable answer came back
    │   ├── NotSent                       the request was never sent: safe to send again
    │   ├── ResponseLost                  a read was sent and its response was lost: safe to send again
    │   ├── OutcomeUnknown                a write was sent and its response was lost: it may have been executed
    │   └── DeadlineExceeded (TimeoutError)   the deadline passed; says whether anything was sent
    ├── ApiError                          the API answered with an error status
    │   ├── BadRequest                    400, 422
    │   ├── Unauthorized                  401: token refused, or the wrong kind of tenant id
    │   ├── Forbidden                     403: scope or role
    │   ├── NotFound                      404
    │   ├── Conflict                      409
    │   ├── Gone                          410
    │   ├── PreconditionFailed            412: the record has changed meanwhile
    │   ├── PreconditionRequired          428: this operation requires If-Match
    │   ├── RateLimited                   429, or a pause longer than the time left
    │   └── ServerError                   5xx and 408
    ├── TokenRefused                      the identity service gave no token
    ├── UnexpectedResponse                a success status with a body that is not what the API promises
    ├── ActionFailed                      the API answered with success and `actionResult: Failed`
    ├── IncompleteListing                 a list could not be proven complete
    ├── JobError                          a background job ended without success
    │   ├── JobFailed                     the queue failed it
    │   ├── JobExpired                    its state is no longer stored (24 hours)
    │   └── JobUncertain                  its submission was sent and the job id was lost
    └── ExportError                       an export could not be written
        ├── TargetNotWritable (OSError)
        └── TargetBusy                    another run is writing to it

    DoubtfulWrite (UserWarning)           sent as given, as Visma's samples do, with a trap in it

Each error says what happened, what was and was not done, and what to do next. Errors of one request carry its
attempt log (`attempts`). No error text or repr contains a token, a secret or a whole body.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence  # noqa: TC003 - `get_type_hints` evaluates it
from typing import Any, ClassVar

import attrs

__all__ = [
    "ActionFailed",
    "ApiError",
    "Attempt",
    "BadRequest",
    "Conflict",
    "DeadlineExceeded",
    "DoubtfulWrite",
    "ExportError",
    "Forbidden",
    "Gone",
    "HostNotAllowed",
    "IncompleteListing",
    "JobError",
    "JobExpired",
    "JobFailed",
    "JobUncertain",
    "NotFound",
    "NotSent",
    "OutcomeUnknown",
    "PreconditionFailed",
    "PreconditionRequired",
    "RateLimited",
    "RequestRefused",
    "ResponseLost",
    "ServerError",
    "SettingsError",
    "TargetBusy",
    "TargetNotWritable",
    "TokenRefused",
    "TransportError",
    "Unauthorized",
    "UnexpectedResponse",
    "UnknownName",
    "VismaNetError",
    "api_error_type",
]


@attrs.frozen(kw_only=True)
class Attempt:
    """One attempt to send a request: its start, its outcome, and the waits before it.

    Seconds are measured on the client's clock from the start of the call. Contains no header, body or token.
    """

    number: int
    """1 for the first."""
    started_after_seconds: float
    """Seconds from the start of the call to the start of this attempt."""
    duration_seconds: float
    """Seconds from the start of the attempt to the response or the fault."""
    outcome: str
    """`200`, `429`, or the fault in a few words: `connection refused`, `read timeout`."""
    waited_for: tuple[str, ...] = ()
    """The waits before it, each with its seconds: `quota 12.0 s`, `slot 0.3 s`, `backoff 1.4 s`."""

    def __str__(self) -> str:
        waits = f" after waiting for {', '.join(self.waited_for)}" if self.waited_for else ""
        return f"#{self.number} {self.outcome} in {self.duration_seconds:.3f} s{waits}"


class VismaNetError(Exception):
    """The base of every error that the SDK raises on purpose.

    Examples:
        >>> try:
        ...     await visma.customer.get("no such")
        ... except VismaNetError as error:
        ...     print(type(error).__name__, [attempt.outcome for attempt in error.attempts])
        NotFound ['404']
    """

    attempts: Sequence[Attempt] = ()
    """The attempts, oldest first; empty if nothing was sent."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Support copies and pickles, whatever the arguments of the constructor are."""
        return _rebuilt, (type(self), self.args, self.__dict__)


def _rebuilt(kind: type[VismaNetError], args: tuple[Any, ...], state: dict[str, Any]) -> VismaNetError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error


class SettingsError(VismaNetError, ValueError):
    """The client cannot be built: a setting is missing or invalid. Nothing was sent."""


class RequestRefused(VismaNetError, ValueError):
    """The SDK refused the request before anything was sent, because the API would misread it.

    Examples:
        >>> visma.customer_invoice.list(last_modified_date_time=on_or_after("25.05.2025"))
        Traceback (most recent call last):
        vismanet_async.errors.RequestRefused: last_modified_date_time (lastModifiedDateTime): '25.05.2025' is no...
    """


class UnknownName(RequestRefused):
    """No resource, parameter or field has this name. Nothing was sent.

    The API ignores parameters that it does not know and answers with the wrong rows, so the SDK refuses them.
    """

    def __init__(
        self,
        kind: str,
        name: str,
        *,
        nearest: Sequence[str] = (),
        where: str = "",
        listed_by: str = "",
        hint: str = "",
    ) -> None:
        self.kind = kind
        self.name = name
        self.nearest = tuple(nearest)
        place = f" {where}" if where else ""
        near = f" Did you mean {', '.join(self.nearest)}?" if self.nearest else ""
        if listed_by and not near:
            near = f" `{listed_by}` lists what there is."
        super().__init__(f"there is no {kind} {name!r}{place}; nothing was sent.{near}{hint and f' {hint}'}")


class HostNotAllowed(RequestRefused):
    """The host of the request is not on the allow-list, so no token is sent to it. Nothing was sent."""


class DoubtfulWrite(UserWarning):
    """A body that Visma documents and that may not do what it seems to. It is sent as given.

    The text names the field, the trap and the way around it. `warnings.simplefilter("error", DoubtfulWrite)` makes a
    refusal of it: then nothing is sent.

    Examples:
        >>> import warnings
        >>> line = {"operation": "Insert", "lineNumber": 1, "quantity": 5}
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter("always")
        ...     operation = visma.customer_invoice.update("003547", {"invoiceLines": [line]})
        >>> print(operation.preview().method, caught[0].message)
        PUT invoice_lines[0] (invoiceLines[0]) says Insert and names line 1: the API adds a line. ...
    """


class TransportError(VismaNetError, OSError):
    """No usable response was received.

    Examples:
        >>> fault = sim.faults.add("reset_before")
        >>> try:
        ...     await visma.customer.get("10000")
        ... except TransportError as error:
        ...     print("tried", len(error.attempts), "times")
        tried 3 times
    """


class NotSent(TransportError):
    """The request was never sent (no connection): nothing happened at the server, sending again is safe."""


class ResponseLost(TransportError):
    """A read was sent and its response was lost: nothing changed at the server, sending again is safe."""


class OutcomeUnknown(TransportError):
    """A write was sent and its response was lost or is not the API's: it may or may not have been executed.

    A success status with an HTML page, an error document or damaged JSON is not the API's response: a gateway or a
    sign-in page may have sent it.

    The API has no idempotency key (docs/facts.md 10), so the SDK never repeats such a write. Look the record up
    (by its external reference, for instance) before you send it again.

    Examples:
        >>> from vismanet_async._api.models.customer import CustomerUpdate
        >>> lost = sim.faults.add("reset_after", method="POST", times=1)  # done, but the answer never comes
        >>> try:
        ...     await visma.customer.create(CustomerUpdate(name="Nordlys AS"))
        ... except OutcomeUnknown:
        ...     print((await visma.customer.list(name="Nordlys AS"))[0].name, "is there")
        Nordlys AS is there
    """


class DeadlineExceeded(TransportError, TimeoutError):
    """The call's deadline passed. `sent` says whether a write may have been sent before that."""

    def __init__(self, message: str, *, sent: bool = False) -> None:
        super().__init__(message)
        self.sent = sent


class ApiError(VismaNetError):
    """The API answered with an error status.

    Attributes:
        status: the HTTP status.
        operation: the catalog id of the operation, or method and path.
        detail: the server's own words, shortened.
        reference: the id that Visma's support asks for (`VismaId`, `Ipp-Request-Id`), if the response has one.
        body: at most 4,096 bytes of the response.
        headers: the response's headers that are on an allow-list.

    Examples:
        >>> try:
        ...     await visma.customer.get("no such")
        ... except ApiError as error:
        ...     print(error.operation, error.status, error.detail)
        Customer_GetBycustomerCd 404 Customer 'no such' cannot be found in the system.
    """

    advice: ClassVar[str] = ""

    def __init__(
        self,
        operation: str,
        *,
        status: int,
        detail: str = "",
        reference: str | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        advice: str | None = None,
    ) -> None:
        self.operation = operation
        self.status = status
        self.detail = detail
        self.reference = reference
        self.body = body
        self.headers: Mapping[str, str] = dict(headers or {})
        parts = [f"{operation}: {status}"]
        if detail:
            parts.append(f" {detail}")
        if reference:
            parts.append(f" (reference {reference})")
        said = self.advice if advice is None else advice
        if said:
            parts.append(f"{'' if detail.endswith('.') and not reference else '.'} {said}")
        super().__init__("".join(parts))


class BadRequest(ApiError):
    """400 or 422: the API refused the request's content; nothing was changed."""


class Unauthorized(ApiError):
    """401: the token is not accepted for this company."""

    advice = (
        "The token was issued but is not accepted here: check that tenant_id is the Company tenant id (not the "
        "Customer tenant id) and that the customer has approved the integration for this company."
    )


class Forbidden(ApiError):
    """403: the token lacks the scope or the API user lacks the role."""

    advice = "Check the scopes of the integration and the roles of its API user; a new role takes 10-15 minutes."


class NotFound(ApiError):
    """404: no such record, or no such route.

    Examples:
        >>> try:
        ...     customer = await visma.customer.get("no such")
        ... except NotFound:
        ...     customer = None
        >>> customer is None
        True
    """


class Conflict(ApiError):
    """409: the change conflicts with the state of the record."""


class Gone(ApiError):
    """410: the record or file existed and is no longer stored."""


class PreconditionFailed(ApiError):
    """412: the record has changed since the version named in If-Match; nothing was changed.

    Attributes:
        expected: the ETag that was sent.
        current: the ETag that the server reported, if it did.

    Examples:
        >>> from vismanet_async._api.models.customer import CustomerUpdate
        >>> mine = await visma.customer.get("10000")
        >>> theirs = await visma.customer.update("10000", CustomerUpdate(name="Nordlys AS"))
        >>> try:
        ...     await visma.customer.update("10000", CustomerUpdate(name="Vega AS"), if_match=mine)
        ... except PreconditionFailed:
        ...     print((await visma.customer.get("10000")).name)
        Nordlys AS
    """

    advice = "Read the record again and decide with its present content; nothing was changed."
    expected: str | None = None
    current: str | None = None


class PreconditionRequired(ApiError):
    """428: this operation is only accepted with If-Match; nothing was changed."""


class RateLimited(ApiError):
    """429: the quota is used up; the request was not executed.

    Attributes:
        retry_after_seconds: how long the server asks to wait, if known.

    Examples:
        >>> empty = sim.faults.add("status", status=429, retry_after=600)
        >>> try:
        ...     await visma.customer.get("10000").with_options(timeout_seconds=60)
        ... except RateLimited as error:
        ...     print(error.retry_after_seconds > 60)
        True
    """

    advice = "The request was not executed. Wait, or give the call a longer deadline."
    retry_after_seconds: float | None = None


class ServerError(ApiError):
    """5xx or 408: the gateway or the ERP failed. For a write this can mean that it happened all the same."""


class TokenRefused(VismaNetError):
    """The identity service issued no token.

    Attributes:
        error: the OAuth error code, such as `invalid_client`.
        status: the HTTP status of the token endpoint.
        retry_after_seconds: for how long it is not asked again, after a 429; None where it did not ask for a pause.
    """

    def __init__(
        self, message: str, *, error: str = "", status: int = 0, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message)
        self.error = error
        self.status = status
        self.retry_after_seconds = retry_after_seconds


class UnexpectedResponse(VismaNetError):
    """A response with a success status has a body that the API does not specify (HTML, cut off, another shape).

    A read may be sent again. A write whose response cannot be understood raises `OutcomeUnknown` instead. A write that
    raises this error got a response that was too large or had an unknown encoding: look the record up.
    """


class ActionFailed(VismaNetError):
    """The API answered with a success status and `actionResult: Failed`.

    Attributes:
        result: the decoded action result.

    Examples:
        >>> sim.behaviours.set(action_failures="failed_with_200")
        >>> number = (await visma.supplier_invoice.list(status="Balanced"))[0].reference_number
        >>> done = await visma.supplier_invoice.release(number)
        >>> try:
        ...     await visma.supplier_invoice.release(number)
        ... except ActionFailed as error:
        ...     print(error.result.action_result)
        Failed
    """

    def __init__(self, message: str, *, result: Any = None) -> None:
        super().__init__(message)
        self.result = result


class IncompleteListing(VismaNetError):
    """A list could not be proven complete.

    Attributes:
        completeness: the report: what was read, what changed, what is missing.

    Examples:
        >>> # one of the lists that tell no total: it can be proven, but not counted
        >>> transactions = visma.cash_transaction.list().with_options(completeness="count")
        >>> try:
        ...     rows = await transactions
        ... except IncompleteListing as error:
        ...     print(error.completeness.verdict)
        uncertain
    """

    def __init__(self, message: str, *, completeness: Any = None) -> None:
        super().__init__(message)
        self.completeness = completeness


class JobError(VismaNetError):
    """A background job ended without success."""

    job_id: str | None = None


class JobFailed(JobError):
    """The background queue failed a job that only reads. A write that it fails is `JobUncertain`."""


class JobExpired(JobError):
    """The server no longer stores the job's state (24 hours), so its result cannot be read."""


class JobUncertain(JobError):
    """Nobody can tell whether a job was executed, or will be. It is never sent again.

    The response with its id was lost, its deadline passed, the queue failed it, or its write was answered with 408,
    502, 503 or 504; then `__cause__` is that answer.
    """


class ExportError(VismaNetError):
    """An export could not be written. The previous export stays published, unless the text says otherwise."""


class TargetNotWritable(ExportError, OSError):
    """The target cannot be written."""


class TargetBusy(ExportError):
    """Another run is writing to the same target."""


_BY_STATUS: dict[int, type[ApiError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    408: ServerError,
    409: Conflict,
    410: Gone,
    412: PreconditionFailed,
    422: BadRequest,
    428: PreconditionRequired,
    429: RateLimited,
}

_SERVER_ERRORS_FROM = 500


def api_error_type(status: int) -> type[ApiError]:
    """Return the error class of a status; `ApiError` if the status has no class of its own.

    Examples:
        >>> api_error_type(412).__name__, api_error_type(503).__name__, api_error_type(418).__name__
        ('PreconditionFailed', 'ServerError', 'ApiError')
    """
    if status >= _SERVER_ERRORS_FROM:
        return ServerError
    return _BY_STATUS.get(status, ApiError)

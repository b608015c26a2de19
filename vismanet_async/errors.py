"""Every error that the SDK raises on purpose, in one tree.

::

    VismaNetError
    ├── SettingsError (ValueError)        the client cannot be built from what was given
    ├── RequestRefused (ValueError)       refused here, before anything was sent
    │   ├── UnknownName                   no such resource, parameter or field; carries the nearest names
    │   └── HostNotAllowed                a token would have gone to a host that is not on the allow-list
    ├── TransportError (OSError)          no usable answer came back
    │   ├── NotSent                       the request never left: safe to send again
    │   ├── ResponseLost                  a read was sent and its answer got lost: safe to send again
    │   ├── OutcomeUnknown                a write was sent and its answer got lost: it may have happened
    │   └── DeadlineExceeded (TimeoutError)   the time given was used up; says whether anything was sent
    ├── ApiError                          the API answered with an error status
    │   ├── BadRequest                    400, 422
    │   ├── NotSignedIn                   401: token refused, or the wrong kind of tenant id
    │   ├── NotAllowed                    403: scope or role
    │   ├── NotFound                      404
    │   ├── Conflict                      409
    │   ├── Gone                          410
    │   ├── PreconditionFailed            412: somebody else wrote first
    │   ├── PreconditionRequired          428: If-Match is mandatory here
    │   ├── RateLimited                   429, or a pause longer than the time left
    │   └── ServerError                   5xx and 408
    ├── TokenRefused                      the identity service gave no token
    ├── UnexpectedResponse                a success status with a body that is not what the API promises
    ├── ActionFailed                      the API answered with success and `actionResult: Failed`
    ├── IncompleteListing                 a list could not be shown complete
    ├── JobError                          a background job ended without success
    │   ├── JobFailed                     the queue itself failed it
    │   ├── JobExpired                    its state is gone (kept for 24 hours)
    │   └── JobUncertain                  its submission was sent and the job id got lost
    └── ExportError                       an export could not be written
        ├── TargetNotWritable (OSError)
        └── TargetBusy                    another run is writing there

Each error says what happened, what was and was not done, and what to do next. Errors of one request carry its
attempt log (`attempts`). No error text or repr holds a token, a secret or a whole body.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence  # noqa: TC003 - looked up by whoever asks for the types
from typing import Any, ClassVar

import attrs

__all__ = [
    "ActionFailed",
    "ApiError",
    "Attempt",
    "BadRequest",
    "Conflict",
    "DeadlineExceeded",
    "ExportError",
    "Gone",
    "HostNotAllowed",
    "IncompleteListing",
    "JobError",
    "JobExpired",
    "JobFailed",
    "JobUncertain",
    "NotAllowed",
    "NotFound",
    "NotSent",
    "NotSignedIn",
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
    "UnexpectedResponse",
    "UnknownName",
    "VismaNetError",
    "api_error_type",
]


@attrs.frozen(kw_only=True)
class Attempt:
    """One try at one request: when, how it ended, and what was waited for before it.

    Seconds are measured on the client's clock from the start of the call. Holds no header, body or token.
    """

    number: int
    """1 for the first."""
    started_after_seconds: float
    """Seconds from the start of the call to the moment this attempt left."""
    duration_seconds: float
    """Seconds from leaving to the answer or the fault."""
    outcome: str
    """`200`, `429`, or the fault in a word or two: `connection refused`, `read timeout`."""
    waited_for: tuple[str, ...] = ()
    """What held it back, each with its seconds: `quota 12.0 s`, `slot 0.3 s`, `backoff 1.4 s`."""

    def __str__(self) -> str:
        waits = f" after waiting for {', '.join(self.waited_for)}" if self.waited_for else ""
        return f"#{self.number} {self.outcome} in {self.duration_seconds:.3f} s{waits}"


class VismaNetError(Exception):
    """Base of every error that the SDK raises on purpose.

    Examples:
        >>> try:
        ...     await visma.customer.get("no such")
        ... except VismaNetError as error:
        ...     print(type(error).__name__, [attempt.outcome for attempt in error.attempts])
        NotFound ['404']
    """

    attempts: Sequence[Attempt] = ()
    """What was tried, oldest first; empty when nothing was sent."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Let errors be copied and cross processes, whatever their constructors take."""
        return _rebuilt, (type(self), self.args, self.__dict__)


def _rebuilt(kind: type[VismaNetError], args: tuple[Any, ...], state: dict[str, Any]) -> VismaNetError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error


class SettingsError(VismaNetError, ValueError):
    """The client cannot be built: a setting is missing or cannot be used. Nothing was sent."""


class RequestRefused(VismaNetError, ValueError):
    """The request was refused here, before anything was sent, because the API would misread it.

    Examples:
        >>> visma.customer_invoice.list(last_modified_date_time=on_or_after("25.05.2025"))
        Traceback (most recent call last):
        vismanet_async.errors.RequestRefused: lastModifiedDateTime: '25.05.2025' is not a moment the API reads. ...
    """


class UnknownName(RequestRefused):
    """No resource, parameter or field has this name. Nothing was sent.

    The API ignores parameters that it does not know and answers with the wrong rows, so they stop here.
    """

    def __init__(
        self, kind: str, name: str, *, nearest: Sequence[str] = (), where: str = "", listed_by: str = ""
    ) -> None:
        self.kind = kind
        self.name = name
        self.nearest = tuple(nearest)
        place = f" {where}" if where else ""
        hint = f" Did you mean {', '.join(self.nearest)}?" if self.nearest else ""
        if listed_by and not hint:
            hint = f" `{listed_by}` lists what there is."
        super().__init__(f"there is no {kind} {name!r}{place}; nothing was sent.{hint}")


class HostNotAllowed(RequestRefused):
    """The request would have taken a token to a host that is not on the allow-list. Nothing was sent."""


class TransportError(VismaNetError, OSError):
    """No usable answer came back.

    Examples:
        >>> fault = sim.faults.add("reset_before")
        >>> try:
        ...     await visma.customer.get("10000")
        ... except TransportError as error:
        ...     print("tried", len(error.attempts), "times")
        tried 3 times
    """


class NotSent(TransportError):
    """The request never left (no connection): nothing happened at the server, sending again is safe."""


class ResponseLost(TransportError):
    """A read was sent and its answer got lost: nothing changed at the server, sending again is safe."""


class OutcomeUnknown(TransportError):
    """A write was sent and its answer got lost, or is none of the API: it may or may not have happened.

    A success status with an HTML page, an error document or damaged JSON is no answer of the API: a gateway or a
    sign-in page may have sent it.

    The API has no idempotency key (docs/facts.md 10), so the SDK never repeats such a write. Look the record up
    (by its external reference, for instance) before sending it again.

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
    """The time given to the call was used up. `sent` says whether a write may have left before that."""

    def __init__(self, message: str, *, sent: bool = False) -> None:
        super().__init__(message)
        self.sent = sent


class ApiError(VismaNetError):
    """The API answered with an error status.

    Attributes:
        status: the HTTP status.
        operation: the catalog id of the operation, or method and path.
        detail: the server's own words, shortened.
        reference: what Visma's support asks for (`VismaId`, `Ipp-Request-Id`), if the answer held one.
        body: at most 4,096 bytes of the answer.
        headers: the answer's headers that an allow-list lets through.

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


class NotSignedIn(ApiError):
    """401: the token is not accepted for this company."""

    advice = (
        "The token was issued but is not accepted here: check that tenant_id is the Company tenant id (not the "
        "Customer tenant id) and that the customer has approved the integration for this company."
    )


class NotAllowed(ApiError):
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
    """410: it was there and is not kept any longer."""


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
    """The identity service gave no token.

    Attributes:
        error: the OAuth error code, such as `invalid_client`.
        status: the HTTP status of the token endpoint.
    """

    def __init__(self, message: str, *, error: str = "", status: int = 0) -> None:
        super().__init__(message)
        self.error = error
        self.status = status


class UnexpectedResponse(VismaNetError):
    """A success status came with a body that is not what the API promises (HTML, cut off, another shape).

    A read may be sent again. Of a write whose answer is not understood `OutcomeUnknown` is raised; where this is raised
    for one all the same, its answer was too large or compressed in an unknown way: look the record up.
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
    """A list could not be shown complete.

    Attributes:
        completeness: the report: what was read, what moved, what is missing.

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
    """The background machinery failed the job; whether its action was executed is not known."""


class JobExpired(JobError):
    """The job's state is no longer kept by the server (24 hours), so its end cannot be read any more."""


class JobUncertain(JobError):
    """A job was submitted and the answer with its id got lost; it may be running. It is never sent again."""


class ExportError(VismaNetError):
    """An export could not be written. A whole one stands published: the earlier one, unless the text says otherwise."""


class TargetNotWritable(ExportError, OSError):
    """The target cannot be written."""


class TargetBusy(ExportError):
    """Another run is writing to the same target."""


_BY_STATUS: dict[int, type[ApiError]] = {
    400: BadRequest,
    401: NotSignedIn,
    403: NotAllowed,
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
    """Tell which error a status becomes; statuses without a name of their own are plain `ApiError`.

    Examples:
        >>> api_error_type(412).__name__, api_error_type(503).__name__, api_error_type(418).__name__
        ('PreconditionFailed', 'ServerError', 'ApiError')
    """
    if status >= _SERVER_ERRORS_FROM:
        return ServerError
    return _BY_STATUS.get(status, ApiError)

"""What the SDK tells whoever wants to watch it: calls and their attempts, background jobs, exports.

`Observer` has a method for each, which does nothing; override those that matter, and give it to the client::

    class Slow(Observer):
        def call(self, call: CallFacts) -> CallWatch: ...

    VismaNet(credentials, observer=Slow())

`vismanet_async.contrib.opentelemetry` is one. Methods are called on the event loop, so they must be quick and must not
raise. Nothing that they are told holds a token, a header or a body; `CallFacts` holds no id of a record either.
"""

from __future__ import annotations

from collections.abc import Sequence  # noqa: TC003 - looked up by whoever asks for the types
from contextlib import nullcontext
from datetime import datetime  # noqa: TC003 - as above
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from vismanet_async.errors import Attempt

__all__ = ["CallFacts", "CallWatch", "ExportFacts", "JobFacts", "Observer", "ResourceWatch"]


@attrs.frozen(kw_only=True)
class CallFacts:
    """One call: what is asked for, and of whom."""

    operation: str | None
    """The catalog id; None for a call by method and path, which may hold ids of records."""
    method: str
    template: str | None
    """The path with its ids left open, such as `/v1/customer/{customerCd}`; None where `operation` is."""
    scheme: str
    host: str
    port: int
    service: str
    """`erp` or `sales_order`."""
    company: str | None
    """The tenant id, where it is known."""
    background: bool
    """Whether it goes to, or asks for a job of, the background queue."""


class CallWatch:
    """What is told about one call after its start."""

    def attempted(self, attempt: Attempt, *, fault: str | None) -> None:
        """One try has ended just now.

        Args:
            attempt: the entry of the attempt log; its outcome is the HTTP status or some words.
            fault: `not sent`, `no answer`, `rate limited`, `signed out`, `busy` or `broken`; None for an answer that
                is handed on, be it a success or a definite error.
        """

    def ended(self, error: BaseException | None) -> None:
        """The call is over: answered, or with the error that it raises."""


@attrs.frozen(kw_only=True)
class JobFacts:
    """One background job that has just come into a state, as it is written down."""

    id: str
    """Our own id: 32 hexadecimal digits, the same in every process."""
    company: str
    operation: str | None
    """The catalog id; None for a call by method and path, which may hold ids of records."""
    state: str
    """`intent`, `submitted`, `running`, `succeeded`, `failed`, `expired` or `uncertain`."""
    before: str | None
    """The state before; None for a job that has just been written down."""
    settled: bool
    """Whether `state` is final."""
    created_at: datetime
    sending_at: datetime | None
    at: datetime
    status_code: int | None
    """The HTTP status of the executed request, once it is known."""
    polls: int


@attrs.frozen(kw_only=True)
class ExportFacts:
    """One export that is about to run."""

    resources: Sequence[str]
    format: str
    company: str | None


class ResourceWatch:
    """What is told about one resource of an export."""

    def done(self, *, rows: int, requests: int, verdict: str) -> None:
        """All its rows are in the files; not published yet."""


class Observer:
    """Watches a client and its siblings. Every method may be left as it is.

    Examples:
        >>> class Printing(Observer):
        ...     def call(self, call):
        ...         print(call.operation)
        >>> async with VismaNet.from_env(observer=Printing()) as watched:  # signed in to the same company as `visma`
        ...     customer = await watched.customer.get("10000")
        Customer_GetBycustomerCd
    """

    def call(self, call: CallFacts) -> CallWatch | None:
        """A call begins. Give what is to be told about it, or None."""

    def job(self, job: JobFacts) -> None:
        """A job came into another state, and that is written down."""

    def following(self, job_id: str) -> AbstractContextManager[None]:  # noqa: ARG002 - for those who override it
        """Give a context for asking the server about a job, of whichever process."""
        return nullcontext()

    def export(self, export: ExportFacts) -> AbstractContextManager[None]:  # noqa: ARG002 - as above
        """Give a context for a run, in which also its calls are made."""
        return nullcontext()

    def resource(self, name: str) -> AbstractContextManager[ResourceWatch]:  # noqa: ARG002 - as above
        """Give a context for reading one resource of an export."""
        return nullcontext(ResourceWatch())

"""Observers: what the SDK reports about calls and their attempts, background jobs and exports.

`Observer` has a method for each, which does nothing. Override those that you need, and pass it to the client::

    class Slow(Observer):
        def call(self, call: CallInfo) -> CallObserver: ...

    VismaNet(credentials, observer=Slow())

`vismanet_async.contrib.opentelemetry` is one. Methods are called on the event loop, so they must be quick and must not
raise. Their arguments contain no token, header or body; `CallInfo` contains no id of a record either.
"""

from __future__ import annotations

from collections.abc import Sequence  # noqa: TC003 - `get_type_hints` evaluates it
from contextlib import nullcontext
from datetime import datetime  # noqa: TC003 - as above
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from vismanet_async.errors import Attempt

__all__ = ["CallInfo", "CallObserver", "ExportInfo", "JobInfo", "Observer", "ResourceObserver"]


@attrs.frozen(kw_only=True)
class CallInfo:
    """A call that begins: its operation, server and company."""

    operation: str | None
    """The catalog id; None for a call by method and path, which may contain ids of records."""
    method: str
    template: str | None
    """The path with placeholders for ids, such as `/v1/customer/{customerCd}`; None if `operation` is None."""
    scheme: str
    host: str
    port: int
    service: str
    """`erp` or `sales_order`."""
    company: str | None
    """The tenant id, if known."""
    background: bool
    """Whether the call submits to the background queue or reads a job of it."""


class CallObserver:
    """Observes one call after its start."""

    def attempted(self, attempt: Attempt, *, fault: str | None) -> None:
        """Called when an attempt has ended.

        Args:
            attempt: the entry of the attempt log; its outcome is the HTTP status or a few words.
            fault: `not sent`, `no response`, `rate limited`, `unauthorized`, `unavailable` or `server error`; None for
                a success or a definite error, which are not retried.
        """

    def ended(self, error: BaseException | None) -> None:
        """Called when the call is over; `error` is what it raises, None for a success."""


@attrs.frozen(kw_only=True)
class JobInfo:
    """A background job that has changed its state, as stored."""

    id: str
    """The SDK's own id: 32 hexadecimal digits, the same in every process."""
    company: str
    operation: str | None
    """The catalog id; None for a call by method and path, which may contain ids of records."""
    state: str
    """`intent`, `submitted`, `running`, `succeeded`, `failed`, `expired` or `uncertain`."""
    before: str | None
    """The state before; None for a new job."""
    settled: bool
    """Whether `state` is final."""
    created_at: datetime
    sending_at: datetime | None
    at: datetime
    status_code: int | None
    """The HTTP status of the executed request, once it is known."""
    polls: int


@attrs.frozen(kw_only=True)
class ExportInfo:
    """An export that begins."""

    resources: Sequence[str]
    format: str
    company: str | None


class ResourceObserver:
    """Observes one resource of an export."""

    def done(self, *, rows: int, requests: int, verdict: str) -> None:
        """Called when all its rows are in the files, which are not published yet."""


class Observer:
    """Observes a client and its siblings. The methods do nothing; override those that you need.

    Examples:
        >>> class Printing(Observer):
        ...     def call(self, call):
        ...         print(call.operation)
        >>> async with VismaNet.from_env(observer=Printing()) as watched:  # signed in to the same company as `visma`
        ...     customer = await watched.customer.get("10000")
        Customer_GetBycustomerCd
    """

    def call(self, call: CallInfo) -> CallObserver | None:
        """Called when a call begins; returns the observer of that call, or None."""

    def job(self, job: JobInfo) -> None:
        """Called when a job has changed its state and the change is stored."""

    def following(self, job_id: str) -> AbstractContextManager[None]:  # noqa: ARG002 - for subclasses
        """Return a context for polling the server about a job, which may be another process's."""
        return nullcontext()

    def export(self, export: ExportInfo) -> AbstractContextManager[None]:  # noqa: ARG002 - as above
        """Return a context for an export; its calls are made inside."""
        return nullcontext()

    def resource(self, name: str) -> AbstractContextManager[ResourceObserver]:  # noqa: ARG002 - as above
        """Return a context for reading one resource of an export."""
        return nullcontext(ResourceObserver())

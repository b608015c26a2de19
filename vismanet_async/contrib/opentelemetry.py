"""Traces and metrics for OpenTelemetry: `VismaNet(..., observer=Telemetry())`. Extra `otel`.

======================================  =======  ====================================================================
span                                    kind     what it covers
======================================  =======  ====================================================================
the catalog id, `Customer_GetAll`       internal one call with its waits and all its attempts
`GET /v1/customer/{customerCd}`         client   one attempt, from leaving to the whole answer
`submit Supplier_Put...`                producer from writing a job down to knowing its id; linked to the job's trace
`job Supplier_Put...`                   internal a job from being written down to its end, in whichever process
`export`, `export customer`             internal an export, and each resource of it; their calls are below them
======================================  =======  ====================================================================

=================================  ==========  ==================================================================
metric                             instrument  attributes beside the error's type
=================================  ==========  ==================================================================
`http.client.request.duration`     histogram   method, template, scheme, server, status: each attempt, in seconds
`vismanet.call.duration`           histogram   operation: each call with its waits, in seconds
`vismanet.job.duration`            histogram   operation, state: each settled job, in seconds
`vismanet.job.transitions`         counter     operation, state: each state that a job came into here
`vismanet.export.rows`             counter     resource, verdict
=================================  ==========  ==================================================================

Attempts follow the stable HTTP conventions (https://opentelemetry.io/docs/specs/semconv/http/http-spans/), but for
`url.full`, which would hold ids of records. A job's trace has the job's own id as its trace id, so that the spans of
every process that had to do with it are found together, and by that id; they are always sampled. No span or metric
holds a token, a header, a body, a path with ids, or the text of an error.
"""

from __future__ import annotations

import re
import time
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context, metrics, trace

from vismanet_async._observer import CallInfo, CallObserver, ExportInfo, JobInfo, Observer, ResourceObserver
from vismanet_async._version import __version__
from vismanet_async.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from vismanet_async.errors import Attempt

__all__ = ["Telemetry", "job_trace"]

_SCOPE: Final = "vismanet_async"
_NANOSECONDS: Final = 1_000_000_000
_ERRORS_FROM: Final = 400
_JOB_ID: Final = re.compile(r"[0-9a-f]{32}")
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""Bounds that the conventions advise for durations of requests."""
_LONG_SECONDS: Final = (1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600, 86_400)


def job_trace(job_id: str) -> trace.SpanContext | None:
    """Return the trace that the spans of a background job belong to, in any process; None for ids not our own."""
    if not _JOB_ID.fullmatch(job_id):
        return None
    return trace.SpanContext(
        trace_id=int(job_id, 16),
        span_id=int(job_id[16:], 16) or 1,
        is_remote=True,
        trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
    )


class Telemetry(Observer):
    """Spans and metrics of everything a client does; one may serve any number of clients.

    Args:
        tracer_provider: the application's own, else the global one.
        meter_provider: the application's own, else the global one.
    """

    def __init__(
        self,
        *,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
    ) -> None:
        self._tracer = trace.get_tracer(_SCOPE, __version__, tracer_provider)
        meter = metrics.get_meter(_SCOPE, __version__, meter_provider)

        def seconds(name: str, text: str, bounds: tuple[float, ...]) -> metrics.Histogram:
            return meter.create_histogram(name, "s", text, explicit_bucket_boundaries_advisory=bounds)

        self._attempts = seconds("http.client.request.duration", "Duration of HTTP client requests.", _SECONDS)
        self._calls = seconds("vismanet.call.duration", "Duration of calls, waits and retries included.", _SECONDS)
        self._jobs = seconds("vismanet.job.duration", "From writing a job down to its end.", _LONG_SECONDS)
        self._transitions = meter.create_counter("vismanet.job.transitions", "{transition}", "States of jobs.")
        self._rows = meter.create_counter("vismanet.export.rows", "{row}", "Rows exported.")

    def call(self, call: CallInfo) -> CallObserver:
        """Start the span of a call."""
        return _Call(call, self._tracer, self._attempts, self._calls)

    def job(self, job: JobInfo) -> None:
        """Count the state; write the span of the submission and that of the whole job when they are over."""
        named = _present({"vismanet.operation": job.operation, "vismanet.job.state": job.state})
        self._transitions.add(1, named)
        attributes = named | _present({
            "vismanet.job.id": job.id,
            "vismanet.company": job.company,
            "vismanet.job.polls": job.polls,
            "http.response.status_code": job.status_code,
        })  # fmt: skip
        name, of_job = job.operation or "by hand", job_trace(job.id)
        if job.before == "intent":
            span = self._tracer.start_span(
                f"submit {name}",
                kind=trace.SpanKind.PRODUCER,
                attributes=attributes,
                links=[] if of_job is None else [trace.Link(of_job)],
                start_time=_nanoseconds((job.sending_at or job.created_at).timestamp()),
            )
            _end(span, _error_of_state(job.state), at=job.at.timestamp())
        if job.settled:
            span = self._tracer.start_span(
                f"job {name}",
                context=context.Context() if of_job is None else _below(of_job),
                attributes=attributes,
                start_time=_nanoseconds(job.created_at.timestamp()),
            )
            _end(span, _error_of_state(job.state), at=job.at.timestamp())
            seconds = (job.at - job.created_at).total_seconds()
            self._jobs.record(max(0.0, seconds), named, context=trace.set_span_in_context(span))

    def following(self, job_id: str) -> AbstractContextManager[None]:
        """Make calls about a job part of its trace."""
        of_job = job_trace(job_id)
        return nullcontext() if of_job is None else _within(_below(of_job))

    @contextmanager
    def export(self, export: ExportInfo) -> Iterator[None]:
        """Cover a run by a span."""
        attributes = _present({
            "vismanet.company": export.company,
            "vismanet.export.format": export.format,
            "vismanet.export.resources": list(export.resources),
        })  # fmt: skip
        with self._spanning("export", attributes):
            yield

    @contextmanager
    def resource(self, name: str) -> Iterator[ResourceObserver]:
        """Cover the reading of one resource by a span."""
        attributes = {"vismanet.export.resource": name}
        with self._spanning(f"export {name}", attributes) as span:
            yield _Resource(name, span, self._rows)

    @contextmanager
    def _spanning(self, name: str, attributes: dict[str, Any]) -> Iterator[trace.Span]:
        span = self._tracer.start_span(name, attributes=attributes)
        try:
            with _within(trace.set_span_in_context(span)):
                yield span
        except BaseException as error:
            _end(span, _error_type(error))
            raise
        _end(span, None)


class _Call(CallObserver):
    def __init__(
        self, call: CallInfo, tracer: trace.Tracer, attempts: metrics.Histogram, calls: metrics.Histogram
    ) -> None:
        self._tracer, self._attempts, self._calls = tracer, attempts, calls
        self._template = call.template
        self._http: dict[str, Any] = _present({
            "http.request.method": call.method,
            "server.address": call.host,
            "server.port": call.port,
            "url.scheme": call.scheme,
            "url.template": call.template,
        })  # fmt: skip
        self._began = time.perf_counter()
        self._named = _present({"vismanet.operation": call.operation, "http.request.method": call.method})
        self._span = tracer.start_span(
            call.operation or call.method,
            attributes=self._http
            | self._named
            | _present({"vismanet.service": call.service, "vismanet.company": call.company}),
        )

    def attempted(self, attempt: Attempt, *, fault: str | None) -> None:
        status = int(attempt.outcome) if attempt.outcome.isdecimal() else None
        failed = status is None or status >= _ERRORS_FROM
        error = (
            (str(status) if status is not None else (fault or attempt.outcome).replace(" ", "_")) if failed else None
        )
        told = self._http | _present({"http.response.status_code": status, "error.type": error})
        more: dict[str, Any] = {"http.request.resend_count": attempt.number - 1} if attempt.number > 1 else {}
        if attempt.waited_for:
            more["vismanet.waited_for"] = list(attempt.waited_for)
        end = time.time()
        span = self._tracer.start_span(
            f"{self._http['http.request.method']} {self._template or ''}".rstrip(),
            context=trace.set_span_in_context(self._span),
            kind=trace.SpanKind.CLIENT,
            attributes=told | more,
            start_time=_nanoseconds(end - attempt.duration_seconds),
        )
        _end(span, error, at=end)
        self._attempts.record(attempt.duration_seconds, told, context=trace.set_span_in_context(span))

    def ended(self, error: BaseException | None) -> None:
        kind = None if error is None else _error_type(error)
        if isinstance(error, ApiError) and error.reference:
            self._span.set_attribute("vismanet.reference", error.reference)
        _end(self._span, kind)
        self._calls.record(
            time.perf_counter() - self._began,
            self._named | _present({"error.type": kind}),
            context=trace.set_span_in_context(self._span),
        )


class _Resource(ResourceObserver):
    def __init__(self, name: str, span: trace.Span, rows: metrics.Counter) -> None:
        self._name, self._span, self._rows = name, span, rows

    def done(self, *, rows: int, requests: int, verdict: str) -> None:
        self._span.set_attributes({
            "vismanet.export.rows": rows,
            "vismanet.export.requests": requests,
            "vismanet.export.verdict": verdict,
        })  # fmt: skip
        self._rows.add(rows, {"vismanet.export.resource": self._name, "vismanet.export.verdict": verdict})


def _end(span: trace.Span, error: str | None, *, at: float | None = None) -> None:
    if error is not None:
        span.set_attribute("error.type", error)
        span.set_status(trace.StatusCode.ERROR)
    span.end(None if at is None else _nanoseconds(at))


def _error_type(error: BaseException) -> str:
    """Name an error with few different names: the status, else its class."""
    return str(error.status) if isinstance(error, ApiError) else type(error).__name__


def _error_of_state(state: str) -> str | None:
    return state if state in {"failed", "expired", "uncertain"} else None


def _below(parent: trace.SpanContext) -> context.Context:
    return trace.set_span_in_context(trace.NonRecordingSpan(parent), context.Context())


@contextmanager
def _within(chosen: context.Context) -> Iterator[None]:
    token = context.attach(chosen)
    try:
        yield
    finally:
        context.detach(token)


def _present(attributes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}


def _nanoseconds(seconds: float) -> int:
    return int(seconds * _NANOSECONDS)

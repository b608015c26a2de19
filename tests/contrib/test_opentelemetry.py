"""Spans and metrics of calls, jobs and exports, as an exporter gets them."""

from __future__ import annotations

import functools
import json
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from yarl import URL

from tests.support.hang import until
from vismanet_async import ClientCredentials, NotFound, OutcomeUnknown, VismaNet
from vismanet_async._jobs import schedule
from vismanet_async._observer import CallObserver, JobInfo, Observer, ResourceObserver
from vismanet_async.contrib.opentelemetry import Telemetry, job_trace
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from opentelemetry.sdk.trace import ReadableSpan


class Exported:
    """What reached the exporters."""

    def __init__(self) -> None:
        self.exporter, self.reader = InMemorySpanExporter(), InMemoryMetricReader()
        tracers, meters = TracerProvider(), MeterProvider([self.reader])
        tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = tracers.get_tracer("application")
        self.telemetry = Telemetry(tracer_provider=tracers, meter_provider=meters)

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        (span,) = self.named(name)
        return span

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        data = self.reader.get_metrics_data()
        assert data is not None
        return [
            (dict(point.attributes or {}), point)
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]

    def text(self) -> str:
        return "".join(span.to_json() for span in self.spans)


def told(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def is_below(span: ReadableSpan, parent: ReadableSpan) -> bool:
    assert span.context is not None
    assert parent.context is not None
    return span.parent is not None and (span.parent.span_id, span.context.trace_id) == (
        parent.context.span_id,
        parent.context.trace_id,
    )


@pytest.fixture
def exported() -> Exported:
    return Exported()


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(rows={"customer": 30, "supplier": 5}, quota=1_000_000) as running:
        queue = running.company().background
        queue.delay_seconds = queue.run_seconds = 0.02
        yield running


@pytest.fixture
async def visma(simulator: Simulator, exported: Exported, tmp_path: Path) -> AsyncIterator[VismaNet]:
    async with client(simulator, exported.telemetry, store=tmp_path / "jobs.db") as visma:
        yield visma


@pytest.fixture(autouse=True)
def quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = functools.partial(schedule.Rules, first_gaps_seconds=(0.1, 0.3, 0.5, 5.0, 10.0, 44.35))
    monkeypatch.setattr(schedule, "Rules", quick)


def client(simulator: Simulator, observer: Observer, *, store: Path | None = None) -> VismaNet:
    credentials = ClientCredentials(simulator.client_id, simulator.client_secret, tenant_id=simulator.tenant_id)
    return VismaNet(
        credentials, base_url=simulator.base_url, token_url=simulator.token_url, observer=observer, job_store=store
    )


def keys(simulator: Simulator, resource: str) -> list[str]:
    return [str(key) for key in simulator.truth(resource).keys]


# --- calls -----------------------------------------------------------------------------------------------------------


async def test_a_call_is_a_span_with_its_attempts_below_it(
    simulator: Simulator, visma: VismaNet, exported: Exported
) -> None:
    simulator.faults.add("status", status=503, path="/v1/customer/*", times=1)
    number = keys(simulator, "customer")[0]
    with exported.tracer.start_as_current_span("request of a user") as outer:
        await visma.customer.get(number)
    call = exported.one("Customer_GetBycustomerCd")
    assert call.kind is trace.SpanKind.INTERNAL
    assert call.status.status_code is trace.StatusCode.UNSET
    assert call.parent == outer.get_span_context()
    assert told(call)["vismanet.company"] == simulator.tenant_id
    first, second = exported.named("GET /v1/customer/{customerCd}")
    for attempt in (first, second):
        assert is_below(attempt, call)
        assert attempt.kind is trace.SpanKind.CLIENT
        assert {
            "http.request.method": "GET",
            "url.template": "/v1/customer/{customerCd}",
            "url.scheme": "http",
            "server.address": "127.0.0.1",
            "server.port": URL(simulator.base_url).port,
        }.items() <= told(attempt).items()
        assert attempt.start_time is not None
        assert attempt.end_time is not None
        assert call.start_time is not None
        assert attempt.end_time >= attempt.start_time >= call.start_time - 5_000_000
    assert (told(first)["http.response.status_code"], told(first)["error.type"]) == (503, "503")
    assert first.status.status_code is trace.StatusCode.ERROR
    assert "http.request.resend_count" not in told(first)
    assert (told(second)["http.response.status_code"], told(second)["http.request.resend_count"]) == (200, 1)
    assert "error.type" not in told(second)
    assert told(second)["vismanet.waited_for"][0].startswith("backoff")
    assert told(first)["vismanet.waited_for"][0].startswith("token")


async def test_attempts_and_calls_are_measured(simulator: Simulator, visma: VismaNet, exported: Exported) -> None:
    with pytest.raises(NotFound):
        await visma.customer.get("no such one")
    ((attributes, point),) = exported.points("http.client.request.duration")
    assert (point.count, point.sum > 0, attributes.pop("server.port")) == (1, True, URL(simulator.base_url).port)
    assert point.explicit_bounds[0] == 0.005
    assert attributes == {
        "http.request.method": "GET",
        "url.template": "/v1/customer/{customerCd}",
        "url.scheme": "http",
        "server.address": "127.0.0.1",
        "http.response.status_code": 404,
        "error.type": "404",
    }
    ((attributes, point),) = exported.points("vismanet.call.duration")
    assert point.count == 1
    assert (attributes["vismanet.operation"], attributes["error.type"]) == ("Customer_GetBycustomerCd", "404")
    call = exported.one("Customer_GetBycustomerCd")
    assert call.status.status_code is trace.StatusCode.ERROR
    assert told(call)["vismanet.reference"]


async def got(visma: VismaNet) -> None:
    await visma.customer.get("1")


async def test_a_lost_answer_and_a_cancelled_call_are_told(
    simulator: Simulator, visma: VismaNet, exported: Exported
) -> None:
    simulator.faults.add("reset_after", method="POST", times=1)
    with pytest.raises(OutcomeUnknown):
        await visma.customer.create({"name": "A"})
    assert told(exported.one("Customer_Post"))["error.type"] == "OutcomeUnknown"
    assert told(exported.one("POST /v1/customer"))["error.type"] == "no_response"
    simulator.latency = 60.0
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(got, visma)
        await until(lambda: simulator.requests.in_flight)
        tasks.cancel_scope.cancel()
    assert told(exported.one("Customer_GetBycustomerCd"))["error.type"] == "CancelledError"
    assert told(exported.one("GET /v1/customer/{customerCd}"))["error.type"] == "abandoned"


async def test_a_streamed_answer_is_a_call_too(
    simulator: Simulator, visma: VismaNet, exported: Exported, tmp_path: Path
) -> None:
    number = keys(simulator, "customer_invoice")[0]
    await visma.customer_invoice.print(number).save(tmp_path / "a.pdf")
    assert len(exported.spans) == 2
    attempt, call = exported.spans
    assert is_below(attempt, call)
    simulator.faults.add("status", status=404, path="/v1/customerinvoice/*", times=1)
    with pytest.raises(NotFound):
        await visma.customer_invoice.print(number).save(tmp_path / "b.pdf")
    assert told(exported.spans[-1])["error.type"] == "404"


async def test_no_secret_and_no_id_of_a_record_is_told(
    simulator: Simulator, visma: VismaNet, exported: Exported, tmp_path: Path
) -> None:
    number = keys(simulator, "customer")[3]
    await visma.customer.get(number)
    await visma.customer.list(name="Fjord")
    await visma.request("GET", f"/v1/customer/{number}")
    with pytest.raises(NotFound):
        await visma.request("GET", "/v1/customer/no-such-one")
    _ = await visma.jobs.submit(visma.request("PUT", f"/v1/customer/{number}", json={"name": {"value": "B"}}))
    _ = await visma.jobs.submit(visma.customer.update(number, {"name": "Secret AS"}))
    assert {span.name for span in exported.spans} >= {"GET", "PUT", "submit by hand", "Customer_GetBycustomerCd"}
    names = " ".join(span.name for span in exported.spans)
    assert number not in names
    text = exported.text() + repr(exported.reader.get_metrics_data())
    for secret in (simulator.client_secret, "sim-", "Bearer", "Secret AS", "Fjord", "no-such-one", f'"{number}"'):
        assert secret not in text


# --- jobs ------------------------------------------------------------------------------------------------------------


async def test_a_job_is_one_trace_through_every_process(
    simulator: Simulator, visma: VismaNet, exported: Exported, tmp_path: Path
) -> None:
    number = keys(simulator, "customer")[0]
    with exported.tracer.start_as_current_span("request of a user") as outer:
        job = await visma.jobs.submit(visma.customer.update(number, {"name": "B"}))
    await visma.jobs.aclose()
    submission = exported.one("submit Customer_PutBycustomerCd")
    assert submission.parent == outer.get_span_context()
    assert submission.kind is trace.SpanKind.PRODUCER
    assert [link.context.trace_id for link in submission.links] == [int(job.id, 16)]
    assert not exported.named("job Customer_PutBycustomerCd")

    other = Exported()  # another process
    async with client(simulator, other.telemetry, store=tmp_path / "jobs.db") as again:
        await (await again.jobs.get(job.id))
    whole = other.one("job Customer_PutBycustomerCd")
    polls = other.named("Background_GetBackgroundApiOperationByrequestId")
    assert polls
    for span in (whole, *polls):
        assert span.context is not None
        assert span.parent == job_trace(job.id)
        assert span.context.trace_id == int(job.id, 16)
    assert told(whole)["vismanet.job.id"] == job.id
    assert (told(whole)["vismanet.job.state"], told(whole)["http.response.status_code"]) == ("succeeded", 204)
    # the first process may have asked once before it was closed, or have been closed between the note in the store
    # that it is about to ask (which counts) and its request
    before = exported.named("Background_GetBackgroundApiOperationByrequestId")
    asked = len(polls) + len(before)
    assert told(whole)["vismanet.job.polls"] in {asked, asked + (not before)}
    assert whole.start_time is not None
    assert submission.end_time is not None
    assert whole.start_time < submission.end_time
    ((attributes, point),) = other.points("vismanet.job.duration")
    assert attributes == {"vismanet.operation": "Customer_PutBycustomerCd", "vismanet.job.state": "succeeded"}
    assert point.count == 1
    states = {attributes["vismanet.job.state"] for attributes, _ in exported.points("vismanet.job.transitions")}
    assert states == {"intent", "submitted"}


async def test_polls_do_not_belong_to_whoever_submitted_first(
    simulator: Simulator, visma: VismaNet, exported: Exported
) -> None:
    first, second = keys(simulator, "customer")[:2]
    with exported.tracer.start_as_current_span("request of a user") as outer:
        jobs = [await visma.jobs.submit(visma.customer.update(key, {"name": "B"})) for key in (first, second)]
    for job in jobs:
        await job
    traces = {span.context.trace_id for span in exported.spans if span.name.startswith("Background_") and span.context}
    assert traces == {int(job.id, 16) for job in jobs}
    assert outer.get_span_context().trace_id not in traces


@pytest.mark.parametrize(("state", "settled"), [("failed", True), ("expired", True), ("uncertain", False)])
def test_jobs_that_did_not_succeed_are_errors(state: str, settled: bool, exported: Exported) -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    info = JobInfo(
        id="not one of ours", company="1", operation="X", state=state, before="intent", settled=settled, created_at=at,
        sending_at=None, at=at + timedelta(seconds=7), status_code=None, polls=0,
    )  # fmt: skip
    exported.telemetry.job(info)
    names = ["submit X", *(["job X"] if settled else [])]
    assert [span.name for span in exported.spans] == names
    assert {told(span)["error.type"] for span in exported.spans} == {state}
    for span in exported.spans:
        assert (span.links, span.parent) == ((), None)
        assert (span.end_time or 0) - (span.start_time or 0) == 7_000_000_000
    with exported.telemetry.following("not one of ours"):
        assert not trace.get_current_span().get_span_context().is_valid


# --- exports ---------------------------------------------------------------------------------------------------------


async def test_an_export_covers_its_resources_and_their_calls(
    visma: VismaNet, exported: Exported, tmp_path: Path
) -> None:
    await visma.export(["customer", "supplier"], to=tmp_path / "out", page_size=10)
    run = exported.one("export")
    assert told(run)["vismanet.export.resources"] == ("customer", "supplier")
    for name, operation, rows in (("customer", "Customer_GetAll", 30), ("supplier", "Supplier_GetAll", 5)):
        resource = exported.one(f"export {name}")
        assert is_below(resource, run)
        assert (told(resource)["vismanet.export.rows"], told(resource)["vismanet.export.verdict"]) == (rows, "proven")
        calls = exported.named(operation)
        assert len(calls) == told(resource)["vismanet.export.requests"]
        assert all(is_below(call, resource) for call in calls)
    counted = {told["vismanet.export.resource"]: point.value for told, point in exported.points("vismanet.export.rows")}
    assert counted == {"customer": 30, "supplier": 5}


async def test_an_export_that_failed_is_an_error(
    simulator: Simulator, visma: VismaNet, exported: Exported, tmp_path: Path
) -> None:
    simulator.behaviours.set(approved=False)
    export = visma.export("customer", to=tmp_path / "out")
    with pytest.raises(Exception, match="401"):
        await export
    for name in ("export", "export customer"):
        assert exported.one(name).status.status_code is trace.StatusCode.ERROR
    assert not trace.get_current_span().get_span_context().is_valid
    assert json.loads(exported.one("export").to_json())["events"] == []


# --- the observer itself ---------------------------------------------------------------------------------------------


async def test_an_observer_may_leave_everything_as_it_is(simulator: Simulator, tmp_path: Path) -> None:
    class Deaf(Observer):
        def call(self, call: Any) -> CallObserver:
            return CallObserver()

    for observer in (Observer(), Deaf()):
        async with client(simulator, observer, store=tmp_path / "jobs.db") as visma:
            await visma.export("supplier", to=tmp_path / "out")
            await (await visma.jobs.submit(visma.customer.get(keys(simulator, "customer")[0])))
    ResourceObserver().done(rows=1, requests=1, verdict="proven")


async def test_following_jobs_belongs_to_nobody(simulator: Simulator, tmp_path: Path) -> None:
    """What the first submitter has in its context (a user, a request, a transaction) must not stick to all jobs."""
    whose: ContextVar[str] = ContextVar("whose", default="nobody")

    class Watching(Observer):
        def __init__(self) -> None:
            self.seen: dict[str, str] = {}

        def job(self, job: JobInfo) -> None:
            self.seen[job.state] = whose.get()

    watching = Watching()
    async with client(simulator, watching, store=tmp_path / "jobs.db") as visma:
        whose.set("the first submitter")
        await (await visma.jobs.submit(visma.customer.get(keys(simulator, "customer")[0])))
    assert watching.seen["submitted"] == "the first submitter"
    assert watching.seen["succeeded"] == "nobody"


async def test_siblings_are_watched_as_well(exported: Exported) -> None:
    async with (
        Simulator(companies=["other"], rows={"customer": 3}) as simulator,
        client(simulator, exported.telemetry) as visma,
    ):
        await visma.company("other").customer.list()
    assert {told(span)["vismanet.company"] for span in exported.named("Customer_GetAll")} == {"other"}

"""What is logged names operation, company and attempt, in fields that a log processor can use."""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any

import pytest

from vismanet_async import ClientCredentials, VismaNet
from vismanet_async._jobs import schedule
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(rows={"customer": 12, "supplier": 5}) as running:
        queue = running.company().background
        queue.delay_seconds = queue.run_seconds = 0.02
        yield running


@pytest.fixture
async def visma(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[VismaNet]:
    quick = functools.partial(schedule.Rules, first_gaps_seconds=(0.1, 0.3, 0.5, 5.0, 10.0, 44.35))
    monkeypatch.setattr(schedule, "Rules", quick)
    caplog.set_level(logging.DEBUG, logger="vismanet_async")
    credentials = ClientCredentials(simulator.client_id, simulator.client_secret, tenant_id=simulator.tenant_id)
    async with VismaNet(
        credentials, base_url=simulator.base_url, token_url=simulator.token_url, job_store=tmp_path / "jobs.db"
    ) as client:
        yield client


def fields(record: logging.LogRecord, *names: str) -> tuple[Any, ...]:
    return tuple(getattr(record, name) for name in names)


async def test_each_attempt_names_operation_company_and_its_number(
    simulator: Simulator, visma: VismaNet, caplog: pytest.LogCaptureFixture
) -> None:
    simulator.faults.add("status", status=503, path="/v1/customer", times=1)
    await visma.customer.list()
    records = [record for record in caplog.records if record.name == "vismanet_async.http"]
    named = [fields(record, "operation", "company", "attempt", "outcome", "levelname") for record in records]
    company = simulator.tenant_id
    assert named == [
        ("Customer_GetAll", company, 1, "503", "DEBUG"),
        ("Customer_GetAll", company, 1, "503", "INFO"),  # it goes again
        ("Customer_GetAll", company, 2, "200", "DEBUG"),
    ]
    assert "going again" in records[1].getMessage()
    assert records[2].waited_for[0].startswith("backoff")  # type: ignore[attr-defined]  # one of our fields
    assert 0 < records[2].duration_seconds < 60  # type: ignore[attr-defined]  # the same


async def test_jobs_and_exports_name_themselves(
    simulator: Simulator, visma: VismaNet, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    job = await visma.jobs.submit(visma.customer.get(str(simulator.truth("customer").keys[0])))
    await job
    states = [
        fields(one, "operation", "company", "job", "state")
        for one in caplog.records
        if "jobs" in one.name and one.levelno > logging.DEBUG
    ]
    named = ("Customer_GetBycustomerCd", simulator.tenant_id, job.id)
    assert [state[:3] for state in states] == [named] * len(states)
    assert [state[3] for state in states if state[3] != "running"] == ["intent", "submitted", "succeeded"]
    await visma.export("supplier", to=tmp_path / "out")
    (done,) = [record for record in caplog.records if record.name == "vismanet_async.export"]
    assert fields(done, "operation", "company", "rows", "verdict") == (
        "Supplier_GetAll",
        simulator.tenant_id,
        5,
        "proven",
    )


async def test_no_secret_is_logged(simulator: Simulator, visma: VismaNet, caplog: pytest.LogCaptureFixture) -> None:
    await visma.customer.list(name="Fjord")
    await visma.customer.create({"name": "Secret AS"})
    text = caplog.text + "".join(str(vars(record)) for record in caplog.records)
    assert "Customer_Post" in text
    for secret in (simulator.client_secret, "Bearer", "sim-", "Secret AS", "Fjord"):
        assert secret not in text

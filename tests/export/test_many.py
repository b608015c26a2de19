"""Many companies in one export, with the real client on the simulator."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from vismanet_async._client import VismaNet
from vismanet_async._clock import SystemClock
from vismanet_async._export.batch import CompanyDone, CompanyEvent, CompanyStarted, ExportMany
from vismanet_async._export.companies import Company
from vismanet_async._export.events import PageWritten
from vismanet_async._export.target.manifest import validate
from vismanet_async._http.auth.credentials import ClientCredentials, StaticToken
from vismanet_async.errors import RequestRefused, ServerError, SettingsError, TargetNotWritable, Unauthorized
from vismanet_async.simulator import Fault, Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from vismanet_async._simulator.messages import Request

ROWS = {"customer": 60, "supplier": 20}
TENANTS = [f"tenant-{number:02}" for number in range(6)]


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(seed=4, rows=ROWS, tenant_id=TENANTS[0], companies=TENANTS[1:]) as running:
        yield running


@attrs.define(kw_only=True)
class OfOneCompany(Fault):
    """A fault that strikes one company alone."""

    simulator: Simulator
    tenant_id: str

    def fits(self, request: Request, operation: str | None) -> bool:
        grant = self.simulator.tokens.check(request.headers)
        return grant is not None and grant.tenant_id == self.tenant_id and super().fits(request, operation)


def client(simulator: Simulator, **options: Any) -> VismaNet:
    credentials = ClientCredentials(simulator.client_id, simulator.client_secret, tenant_id=TENANTS[0])
    return VismaNet(credentials, base_url=simulator.base_url, token_url=simulator.token_url, **options)


async def test_each_company_gets_a_folder_with_its_own_rows(simulator: Simulator, tmp_path: Path) -> None:
    names = {f"company {number}": tenant for number, tenant in enumerate(TENANTS)}
    async with client(simulator) as visma:
        outcome = await visma.export_many(names, list(ROWS), to=tmp_path, at_once=3, completeness="count")
    assert not outcome.failed
    assert list(outcome.manifests) == list(names)
    bodies = set()
    for name, tenant in names.items():
        manifest = validate(tmp_path / name)
        assert manifest == outcome.manifests[name]
        assert manifest.company == tenant
        assert {key: entry.rows for key, entry in manifest.resources.items()} == ROWS
        bodies.add((tmp_path / name / "customer" / "part-00000.jsonl").read_bytes())
    assert len(bodies) == len(TENANTS)


async def test_broken_companies_do_not_stop_the_others(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = SystemClock.sleep
    monkeypatch.setattr(SystemClock, "sleep", lambda self, seconds: real(self, seconds / 1_000))
    (tmp_path / "unwritable").write_text("in the way")
    simulator.faults.add(
        OfOneCompany(kind="status", status=500, path="/v1/supplier", simulator=simulator, tenant_id=TENANTS[1])
    )
    names = {
        "good": TENANTS[0],
        "broken": TENANTS[1],
        "unwritable": TENANTS[2],
        "wrong": simulator.customer_tenant_id,
        "better": TENANTS[3],
    }
    async with client(simulator) as visma:
        outcome = await ExportMany(visma, names, list(ROWS), to=tmp_path)
        errors = {one.company.name: type(one.error) for one in outcome.failed}
        assert errors == {"broken": ServerError, "unwritable": TargetNotWritable, "wrong": Unauthorized}
        assert list(outcome.manifests) == ["good", "better"]
        # what is repaired is exported by the same command; the rest is simply exported again
        simulator.faults.clear()
        (tmp_path / "unwritable").unlink()
        names.pop("wrong")
        outcome = await ExportMany(visma, names, list(ROWS), to=tmp_path)
    assert not outcome.failed
    for name in names:
        validate(tmp_path / name)


async def test_its_events_tell_of_each_company(simulator: Simulator, tmp_path: Path) -> None:
    async with client(simulator) as visma:
        many = visma.export_many(TENANTS, ["supplier"], to=tmp_path, at_once=2)
        assert {one.state for one in many.progress.values()} == {"waiting"}
        running, most, done = set(), 0, []
        async for event in many:
            if isinstance(event, CompanyStarted):
                running.add(event.company.name)
                assert many.progress[event.company.name].state == "running"
            elif isinstance(event, CompanyDone):
                running.remove(event.outcome.company.name)
                done.append(event.outcome)
            elif isinstance(event.event, PageWritten):
                assert event.company.name in running
            most = max(most, len(running))
    assert sorted(one.company.name for one in done) == TENANTS
    assert 1 < most <= 3  # an end may be told after the next one's start
    assert {one.state for one in many.progress.values()} == {"published"}


async def test_leaving_the_events_early_stops_all(simulator: Simulator, tmp_path: Path) -> None:
    async with client(simulator) as visma:
        many = visma.export_many(TENANTS, list(ROWS), to=tmp_path, page_size=10)
        async with aclosing(aiter(many)) as events:
            async for event in events:
                if isinstance(event, CompanyEvent):
                    break
        asked = simulator.requests.total
        assert not [name for name in TENANTS if (tmp_path / name / "manifest.json").exists()]
        outcome = await visma.export_many(TENANTS, list(ROWS), to=tmp_path, page_size=10)
    assert not outcome.failed
    assert simulator.requests.total > asked


async def test_the_requests_in_flight_are_shared(simulator: Simulator, tmp_path: Path) -> None:
    simulator.latency = 0.005
    flying: dict[str, int] = {}
    async with client(simulator) as visma:
        many = visma.export_many(TENANTS, list(ROWS), to=tmp_path, at_once=3, connections=6, page_size=5)
        async for _ in many:
            now = {one.company.name: one.client.sender.limiter.in_flight for one in many._runs}  # type: ignore[attr-defined]  # the real client's
            assert sum(now.values()) <= 6
            flying = {name: max(flying.get(name, 0), count) for name, count in now.items()}
    assert max(flying.values()) == 2


async def test_applications_of_their_own(simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER_ID", simulator.client_id)
    monkeypatch.setenv("OTHER_SECRET", simulator.client_secret)
    other = Company(name="other", tenant_id=TENANTS[1], client_id_env="OTHER_ID", client_secret_env="OTHER_SECRET")
    async with VismaNet(
        StaticToken("of-another-company"), base_url=simulator.base_url, token_url=simulator.token_url
    ) as visma:
        outcome = await visma.export_many([other], ["supplier"], to=tmp_path)
        assert not outcome.failed
        with pytest.raises(SettingsError, match="another company"):
            _ = visma.export_many(TENANTS[:1], ["supplier"], to=tmp_path)


@pytest.mark.parametrize("wrong", [{"at_once": 0}, {"connections": 0}, {"format": "xml"}])
async def test_what_cannot_be_is_refused(simulator: Simulator, tmp_path: Path, wrong: dict[str, Any]) -> None:
    async with client(simulator) as visma:
        with pytest.raises(RequestRefused):
            _ = visma.export_many(TENANTS, ["supplier"], to=tmp_path, **wrong)
    assert simulator.requests.total == 0


async def test_companies_are_not_put_beside_the_files_of_one(tmp_path: Path) -> None:
    async with Simulator(seed=1, tenant_id="aaaa", companies=["bbbb"], rows={"customer": 5}) as simulator:
        credentials = ClientCredentials(simulator.client_id, simulator.client_secret, tenant_id="aaaa")
        async with VismaNet(credentials, base_url=simulator.base_url, token_url=simulator.token_url) as visma:
            await visma.export("customer", to=tmp_path)
            asked = simulator.requests.total
            with pytest.raises(RequestRefused, match="holds the export of one company"):
                await visma.export_many({"customer": "bbbb"}, "customer", to=tmp_path)
            assert simulator.requests.total == asked
            assert validate(tmp_path).company == "aaaa"

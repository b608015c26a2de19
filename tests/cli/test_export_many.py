"""Fifty companies in one command, three of them broken in different ways."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from anyio.from_thread import start_blocking_portal

from tests.cli.conftest import Shell
from tests.export.test_many import OfOneCompany
from vismanet_async._cli.progress_many import many_shown
from vismanet_async._clock import SystemClock
from vismanet_async._export.batch import CompanyProgress
from vismanet_async._export.companies import companies_of
from vismanet_async._export.events import Progress
from vismanet_async._export.target.manifest import validate
from vismanet_async.errors import ServerError
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROWS = {"customer": 60}
TENANTS = [f"00000000-0000-4000-8000-{number:012}" for number in range(50)]


@pytest.fixture
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    simulator = Simulator(seed=3, rows=ROWS, tenant_id=TENANTS[0], companies=TENANTS[1:])
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(simulator):
        yield Shell(simulator, portal, tmp_path_factory.mktemp("home"))


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses between tries take no time."""
    real = SystemClock.sleep
    monkeypatch.setattr(SystemClock, "sleep", lambda self, seconds: real(self, seconds / 1_000))


@pytest.mark.usefixtures("fast")
def test_fifty_companies_three_of_them_broken(shell: Shell, tmp_path: Path) -> None:
    simulator = shell.simulator
    out = tmp_path / "out"
    out.mkdir()
    (out / "company-07").write_text("a file stands in the way")
    broken = OfOneCompany(kind="status", status=500, path="/v1/customer", simulator=simulator, tenant_id=TENANTS[20])
    simulator.faults.add(broken)
    tenants = {f"company-{number:02}": tenant for number, tenant in enumerate(TENANTS)}
    tenants["company-33"] = simulator.customer_tenant_id
    companies = tmp_path / "companies.csv"
    companies.write_text("name,tenant_id\n" + "".join(f"{name},{tenant}\n" for name, tenant in tenants.items()))

    command = ["export", "customer", "--to", str(out), "--companies", str(companies)]
    done = shell.inside(*command, env={"VISMANET_TENANT_ID": None})
    assert done.returncode == 8, done.stderr
    lines = done.stdout.splitlines()
    failed = {line.split()[0]: line for line in lines if "FAILED" in line}
    assert sorted(failed) == ["company-07", "company-20", "company-33"]
    assert "cannot be written" in failed["company-07"]
    assert "500" in failed["company-20"]
    assert "Company tenant id" in failed["company-33"]
    assert any(
        line.startswith(f"47 of 50 companies published below {out}, {47 * ROWS['customer']:,} rows") for line in lines
    )
    assert "Traceback" not in done.stderr
    assert "47 of 50 companies published, 3 failed" in done.stderr
    for name in set(tenants) - set(failed):
        manifest = validate(out / name)
        assert manifest.company == tenants[name]
        assert {key: (entry.rows, entry.verdict) for key, entry in manifest.resources.items()} == {
            key: (count, "proven") for key, count in ROWS.items()
        }

    simulator.faults.clear()
    (out / "company-07").unlink()
    words = [word for name in ("company-07", "company-20") for word in ("--company", f"{name}={tenants[name]}")]
    again = shell.inside("export", "customer", "--to", str(out), *words, "--json")
    assert again.returncode == 0, again.stderr
    told = json.loads(again.stdout)["companies"]
    assert {name: one["error"] for name, one in told.items()} == {"company-07": None, "company-20": None}
    assert told["company-20"]["manifest"] == json.loads((out / "company-20" / "manifest.json").read_text())
    status = shell.inside("export", "--status", str(out), "--json", "--verify")
    assert len(json.loads(status.stdout)) == 49
    assert status.returncode == 0


def test_a_tenant_given_twice_is_refused(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "companies.toml"
    file.write_text(f'[[company]]\nname = "a"\ntenant_id = "{TENANTS[1]}"\n')
    done = shell.inside(
        "export", "customer", "--to", str(tmp_path / "o"), "--companies", str(file), "--company", TENANTS[1]
    )
    assert done.returncode == 2
    assert "two companies" in done.stderr
    assert shell.simulator.requests.total == 0


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("out", [io.StringIO(), Terminal()])
async def test_a_person_sees_who_runs_and_who_failed(out: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("TERM", "xterm-256color")
    lists = {"customer": Progress(rows=1_200, total=3_000, requests=3, in_flight=2, rows_per_second=456.0)}

    many: Any = SimpleNamespace(
        companies=companies_of(["a=1", "b=2", "c=3", "d=4"]),
        progress={
            "a": CompanyProgress(state="published", resources=lists),
            "b": CompanyProgress(state="failed", resources={}, error=ServerError("Customer_GetAll", status=503)),
            "c": CompanyProgress(state="running", resources=lists, quota_remaining=14_321),
            "d": CompanyProgress(state="waiting", resources={}),
        },
    )
    async with many_shown(many, out):
        pass
    text = out.getvalue()
    assert "a: published, 1,200 rows" in text
    assert "b: FAILED" in text
    assert "1 of 4 companies published, 1 failed, 1 running: 2,400 rows, 6 requests, 4 in flight" in text
    if out.isatty():
        assert "1,200 of 3,000 rows, 2 in flight, quota left 14,321" in text

from __future__ import annotations

import io
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import attrs
import pytest

from tests.support.hang import until
from vismanet_async import ClientCredentials, VismaNet
from vismanet_async._cli import progress, progress_many
from vismanet_async._cli.output import counted
from vismanet_async._cli.progress import progress_shown, rows_of, summary
from vismanet_async._export.events import Progress
from vismanet_async._export.plan import ExportPlan
from vismanet_async._export.target.manifest import Manifest, ResourceEntry
from vismanet_async._http.rate_limit import Quota
from vismanet_async.errors import ServerError
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from pathlib import Path

    from vismanet_async._export.batch import CompanyProgress

NOW = datetime(2025, 5, 25, tzinfo=UTC)


def _client(sim: Simulator) -> VismaNet:
    credentials = ClientCredentials(sim.client_id, sim.client_secret, tenant_id=sim.tenant_id)
    return VismaNet(credentials, base_url=sim.base_url, token_url=sim.token_url)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def export() -> Any:
    return SimpleNamespace(
        progress={
            "customer": Progress(rows=1_200, total=3_000, requests=3, in_flight=2, rows_per_second=456.0),
            "branch": Progress(rows=7, total=None, requests=1, in_flight=0, rows_per_second=7.0),
        }
    )


async def test_lines_tell_rows_rate_requests_and_quota() -> None:
    out = io.StringIO()
    async with progress_shown(export(), Quota(remaining=14_321), out):
        pass
    assert out.getvalue().splitlines() == [
        "customer: 1,200 of 3,000 rows, 456 rows/s, 3 requests, 2 in flight, quota left 14,321",
        "branch: 7 rows, 7 rows/s, 1 request, 0 in flight, quota left 14,321",
    ]


async def test_a_line_is_printed_again_only_when_it_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_LINE_SECONDS", 0.0)
    out, running = io.StringIO(), export()
    async with progress_shown(running, Quota(), out):
        await until(lambda: "branch" in out.getvalue())
        running.progress["branch"] = Progress(rows=9, total=None, requests=1, in_flight=0, rows_per_second=7.0)
    assert [line.split(":")[0] for line in out.getvalue().splitlines()] == ["customer", "branch", "branch"]


async def test_a_terminal_gets_a_bar_for_each_resource(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(progress, "_BAR_SECONDS", 0.0)
    out = Terminal()
    async with progress_shown(export(), Quota(remaining=5), out):
        await until(lambda: "quota left" in out.getvalue())
    text = out.getvalue()
    assert "customer" in text
    assert "1,200 of 3,000 rows" in text
    assert "quota left 5" in text


@pytest.mark.parametrize("out", [io.StringIO(), Terminal()])
async def test_an_error_comes_through_as_it_is(out: io.StringIO) -> None:
    with pytest.raises(ServerError):
        async with progress_shown(export(), Quota(), out):
            raise ServerError("Customer_GetAll", status=503)
    if not out.isatty():
        assert not out.getvalue(), "a line of zeros before the error"


def test_progress_never_passes_a_hundred_percent() -> None:
    assert rows_of(25_004, 25_000) == "25,004 of 25,004 rows"
    lists = SimpleNamespace(rows=30_346, total=30_000, in_flight=1)
    many = cast("CompanyProgress", SimpleNamespace(resources={"customer": lists}, quota_remaining=None))
    assert progress_many._details(many) == "30,346 of 30,346 rows, 1 in flight"


def test_counts_agree_with_their_nouns() -> None:
    assert [counted(number, "request") for number in (0, 1, 2, 1000)] == [
        "0 requests", "1 request", "2 requests", "1,000 requests",
    ]  # fmt: skip


async def test_the_summary_of_an_incremental_run_says_what_is_new(tmp_path: Path) -> None:
    async with Simulator(rows={"customer": 3}) as sim, _client(sim) as visma:
        plan = ExportPlan(resources="customer", to=tmp_path, incremental=True)
        first = summary(await visma.export("customer", to=tmp_path, incremental=True), plan)
        sim.touch("customer", "10001", name="Changed")
        second = summary(await visma.export("customer", to=tmp_path, incremental=True), plan)
    assert "this run" not in first
    assert "this run: 1 row new or changed, 1 known already, 1 request" in " ".join(second.split())


def test_the_summary_says_what_is_not_as_it_came() -> None:
    plan = ExportPlan(resources=["customer", "supplier"], to="out", format="csv")
    entry = ResourceEntry(
        rows=3,
        unique=3,
        verdict="proven",
        reason="",
        total_first=3,
        total_last=3,
        requests=2,
        parts=(),
        unfit={"creditLimit": 2, "lines[].price": 1},
        neutralised=1_500,
    )
    manifest = Manifest(
        resources={"customer": entry, "supplier": attrs.evolve(entry, unfit={}, neutralised=0)},
        tool="test",
        started_at=NOW,
        finished_at=NOW,
    )
    lines = summary(manifest, plan).splitlines()
    assert lines[2:4] == [
        "customer: 3 values do not fit their columns (creditLimit, lines[].price): null there, and whole in _extra",
        "customer: 1,500 cells got an apostrophe, as a spreadsheet would run them (--csv-keep-formulas leaves it out)",
    ]
    assert len(lines) == 5

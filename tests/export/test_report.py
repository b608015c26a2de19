"""What the report says, without a browser."""

from __future__ import annotations

import os
import re
import socket
import sys
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, strategies as st

from vismanet_async import ClientCredentials, VismaNet
from vismanet_async._cli import main
from vismanet_async._export.events import PageWritten, Progress, RequestEnded
from vismanet_async._export.html_file import write_page
from vismanet_async._export.plan import ExportPlan
from vismanet_async._export.report import Report, run_many_reported, run_reported
from vismanet_async._export.report_charts import Series, in_flight, latency_bars, line_chart, merged, thinned, ticks
from vismanet_async._export.run import Export
from vismanet_async.bulk import BulkReport
from vismanet_async.errors import Attempt, Forbidden, IncompleteListing, TargetNotWritable
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "the-secret-of-this-test"
TIMES = st.floats(0, 1e6, allow_nan=False)


def client(simulator: Simulator, **options: Any) -> VismaNet:
    credentials = ClientCredentials(simulator.client_id, SECRET, tenant_id=simulator.tenant_id)
    return VismaNet(credentials, base_url=simulator.base_url, token_url=simulator.token_url, **options)


def company(**options: Any) -> Simulator:
    return Simulator(client_secret=SECRET, rows={"customer": 400, "supplier": 30}, **options)


def words(html: str) -> str:
    body = html.partition("<main>")[2]
    return " ".join(re.sub(r"<[^>]*>", " ", body.replace("<wbr>", "")).split())


async def test_it_tells_what_happened(tmp_path: Path) -> None:
    async with company(quota=500) as simulator, client(simulator, concurrency=3) as visma:
        simulator.churn("customer", every_requests=4, remove=1)
        simulator.faults.add("status", status=503, path="/v1/supplier", times=1)
        report = Report(title="Nightly")
        export = visma.export(["customer", "supplier"], to=tmp_path, page_size=20)
        answered = 0
        async for event in export:
            report.add(event)
            answered += isinstance(event, RequestEnded)
        requests = [one for one in simulator.requests if one.path in {"/v1/customer", "/v1/supplier"}]
    (_, manifest), *_ = report.manifests
    assert answered == sum(entry.requests for entry in manifest.resources.values())
    assert len(report.flights) == len(requests)  # each try of each request, the refused one too
    assert [one.name for one in report.lists.values()] == ["customer", "supplier"]
    assert 1 < max(count for _, count in in_flight(report.flights)) <= 3
    assert report.quota_limit == 500
    assert min(left for _, left in report.quota[None]) == 500 - sum(one.status != 503 for one in requests)
    text = words(report.html())
    for entry in manifest.resources.values():
        assert entry.reason in text
        for part in entry.parts:
            assert f"{part.file} {part.rows:,}" in text
            assert part.sha256 in text
    customer = report.lists[None, "customer"].completeness
    assert customer is not None
    assert customer.shifts > 0
    assert f"customer {customer.shifts:,} {customer.repairs:,}" in text
    assert "503: 1" in text
    assert "All 2 lists proven complete" in text
    assert manifest.tool in text


async def test_no_secret_gets_there(tmp_path: Path) -> None:
    async with company() as simulator, client(simulator) as visma:
        await run_reported(visma.export(["supplier"], to=tmp_path / "out"), tmp_path / "report.html")
        tokens = {
            one.headers["Authorization"].removeprefix("Bearer ")
            for one in simulator.requests
            if one.path != "/connect/token"
        }
    html = (tmp_path / "report.html").read_text("utf-8")
    assert tokens
    for secret in (SECRET, *tokens):
        assert secret not in html


async def test_a_failed_export_has_a_report_too(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    async with company() as simulator, client(simulator) as visma:
        simulator.faults.add("status", status=403, path="/v1/supplier")
        with pytest.raises(Forbidden) as raised:
            await run_reported(visma.export(["customer", "supplier"], to=tmp_path / "out"), path)
    text = words(path.read_text("utf-8"))
    assert " ".join(str(raised.value).split()) in text
    assert "Not finished" in text
    assert "proven complete" not in text


async def test_an_incomplete_list_says_why(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    async with company(behaviours={"list_order": "unstable"}) as simulator, client(simulator) as visma:
        with pytest.raises(IncompleteListing) as raised:
            await run_reported(visma.export(["customer"], to=tmp_path / "out", page_size=50), path)
    text = words(path.read_text("utf-8"))
    assert "! Uncertain" in text
    assert raised.value.completeness.reason in text


async def test_a_place_that_cannot_be_written_is_found_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    async with company() as simulator, client(simulator) as visma:
        with pytest.raises(TargetNotWritable):
            await run_reported(visma.export(["customer"], to=tmp_path / "out"), tmp_path / "file" / "report.html")
        assert simulator.requests.total == 0


async def test_many_companies_are_one_report(tmp_path: Path) -> None:
    tenants = [f"{number:08}-0000-4000-8000-000000000000" for number in range(5)]
    path = tmp_path / "report.html"
    async with company(tenant_id=tenants[0], companies=tenants[1:4]) as simulator, client(simulator) as visma:
        many = visma.export_many(
            {f"company-{tenant[:8]}": tenant for tenant in tenants},
            ["supplier", "branch"],
            to=tmp_path / "out",
            at_once=2,
        )
        outcome = await run_many_reported(many, path, title="Many")
    assert [one.company.name for one in outcome.failed] == ["company-00000004"]
    text = words(path.read_text("utf-8"))
    for name, manifest in outcome.manifests.items():
        assert f"supplier {name} ✓ Proven" in text
        assert manifest.resources["supplier"].parts[0].sha256 in text
    assert "company-00000004: " in text
    assert "4 companies were published all the same" in text


def test_more_lists_than_lines_are_put_together() -> None:
    report = Report()
    progress = Progress(rows=1, total=1, requests=1, in_flight=0, rows_per_second=1)
    for number in range(40):
        report.add(
            PageWritten(resource="customer", progress=progress, at_seconds=float(number)), company=f"company {number}"
        )
        report.add(
            RequestEnded(
                resource="customer", began_seconds=0, ended_seconds=1, attempts=(), quota_remaining=100 + number
            ),
            company=f"company {number}",
        )
    html = report.html()
    assert "all 40 lists together" in html
    assert "The 12 companies with the least left." in html
    assert html.count('class="line') < 20


async def test_who_does_not_look_at_events_pays_for_no_watching(tmp_path: Path) -> None:
    async with company() as simulator, client(simulator) as visma:
        export = Export(visma, ExportPlan(resources=["supplier"], to=tmp_path))
        await export
        (resource,) = export._resources.values()
        assert resource._observed(visma.sender) is visma.sender


def test_the_command_line_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--help"]) == 0
    assert "--report" in capsys.readouterr().out


def test_text_from_data_is_escaped() -> None:
    evil = "<script>alert(1)</script>\" onload='x"
    report = Report(title=evil)
    attempt = Attempt(number=1, started_after_seconds=0, duration_seconds=1, outcome=evil, waited_for=("quota 1 s",))
    for name in (evil, "other"):
        ended = RequestEnded(
            resource=name, began_seconds=0, ended_seconds=1, attempts=(attempt, attempt), quota_remaining=3, error=evil
        )
        report.add(ended, company=evil)
        report.add(ended, company="other")
    report.failed(Forbidden("Customer_GetAll", status=403, detail=evil), company=evil)
    html = report.html()
    assert "<script" not in html
    assert "' onload" not in html
    assert '" onload' not in html
    assert "&lt;script&gt;" in html


@pytest.mark.skipif(sys.platform == "win32", reason="has no pipes in directories")
@pytest.mark.parametrize("kind", ["pipe", "link", "dangling link", "directory", "socket"])
async def test_what_is_no_regular_file_is_not_replaced(tmp_path: Path, kind: str) -> None:
    path, target = tmp_path / "report.html", tmp_path / "precious"
    target.write_text("precious")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to(target if kind == "link" else tmp_path / "nowhere")
    before = path.lstat()
    said = f"{kind.rpartition(' ')[2]} and would be replaced; nothing was sent"
    async with company() as simulator, client(simulator) as visma:
        export = Export(visma, ExportPlan(resources="customer", to=tmp_path / "out"))
        with pytest.raises(TargetNotWritable, match=said):
            await run_reported(export, path)
        assert simulator.requests.total == 0
    assert path.lstat() == before
    assert target.read_text() == "precious"
    assert not (tmp_path / "nowhere").exists()


def test_a_strangers_temporary_file_beside_the_report_stays(tmp_path: Path) -> None:
    (tmp_path / "report.html.tmp").write_text("theirs")
    Report().write(tmp_path / "report.html")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.html.tmp"]
    assert (tmp_path / "report.html.tmp").read_text() == "theirs"


def test_a_report_about_nothing_can_be_drawn() -> None:
    assert "has not come to its end" in words(Report().html())


@given(st.lists(st.tuples(TIMES, TIMES).map(lambda pair: (min(pair), max(pair)))))
def test_in_flight_counts_what_is_open(flights: list[tuple[float, float]]) -> None:
    points = in_flight(flights)
    for moment, count in points:
        assert count == sum(begin <= moment < end for begin, end in flights)
    covered = merged(flights)
    assert all(a[1] < b[0] for a, b in pairwise(covered))
    for begin, end in flights:
        assert any(a <= begin and end <= b for a, b in covered)


@given(st.lists(st.tuples(TIMES, st.integers(0, 10**9)), min_size=1).map(sorted))
def test_thinning_keeps_ends_and_extremes(points: list[tuple[float, int]]) -> None:
    until = points[-1][0] or 1.0
    kept = thinned(points, until=until)
    assert len(kept) <= 4 * 241
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert max(y for _, y in kept) == max(y for _, y in points)
    assert min(y for _, y in kept) == min(y for _, y in points)
    assert [x for x, _ in kept] == sorted(x for x, _ in kept)


@given(st.floats(1e-3, 1e12), st.integers(3, 6))
def test_ticks_are_few_and_reach_the_top(top: float, most: int) -> None:
    marks = ticks(top, most=most)
    assert marks[0] == 0
    assert marks[-1] >= top * (1 - 1e-6)
    assert 2 <= len(marks) <= most + 1


@given(st.lists(st.floats(0, 1000), min_size=1))
def test_each_time_is_counted_once(seconds: list[float]) -> None:
    assert sum(count for _, count in latency_bars(seconds)) == len(seconds)


def test_a_long_run_makes_a_small_chart() -> None:
    points = [(number / 10, number) for number in range(200_000)]
    assert len(line_chart("Pages", [Series("a", points)], until=20_000, unit="pages")) < 60_000


@pytest.mark.parametrize("place", ["manifest.json", "customer/part-00000.jsonl", "customer/report.html", ".export/x"])
async def test_a_report_never_stands_among_the_files_of_an_export(place: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    refused = pytest.raises(TargetNotWritable, match="among the files of the export")
    async with company() as simulator, client(simulator) as visma:
        await visma.export("customer", to=out)
        before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
        asked = simulator.requests.total
        for path in (out / place, out / "customer" / ".." / place):
            with refused:
                await run_reported(visma.export("customer", to=out), path)
            with refused:
                Report().write(path)
        with refused:
            await run_reported(visma.export("customer", to=tmp_path / "new"), tmp_path / "new" / place)
        assert simulator.requests.total == asked
        assert before == {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
        await run_reported(visma.export("customer", to=out), out / "report.html")


def test_a_page_replaces_an_earlier_page_and_nothing_else(tmp_path: Path) -> None:
    page, journal = tmp_path / "report.html", tmp_path / "journal.sqlite"
    Report(title="First").write(page)
    Report(title="Second").write(page)
    assert "Second" in page.read_text("utf-8")
    journal.write_bytes(b"SQLite format 3\0")
    for write in (Report(title="x").write, BulkReport(title="x").write, partial(write_page, page="<html>")):
        with pytest.raises(TargetNotWritable, match="no page that vismanet_async has written: it is left as it is"):
            write(journal)
    assert journal.read_bytes() == b"SQLite format 3\0"


async def test_no_page_stands_among_the_data_of_an_export(tmp_path: Path) -> None:
    async with company() as simulator, client(simulator) as visma:
        await visma.export("supplier", to=tmp_path / "out")
    (tmp_path / "manifest.json").write_text('{"name": "of a browser extension"}')
    for place in (tmp_path / "out" / "supplier" / "new.html", tmp_path / "out" / "manifest.json"):
        with pytest.raises(TargetNotWritable):
            BulkReport(title="x").write(place)
    BulkReport(title="x").write(tmp_path / "reports" / "of" / "mine.html")
    BulkReport(title="x").write(tmp_path / "out" / "beside.html")

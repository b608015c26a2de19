"""Exports that are stopped and go on, with the real client on the simulator."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import anyio
import msgspec
import pytest

from vismanet_async import errors
from vismanet_async.client import VismaNet
from vismanet_async.clock import SystemClock
from vismanet_async.export.checkpoint import Checkpoint, Journal, Question
from vismanet_async.export.manifest import validate
from vismanet_async.export.plan import ExportPlan
from vismanet_async.export.run import Export, PageWritten
from vismanet_async.export.sinks import Written
from vismanet_async.simulator import Simulator
from vismanet_async.transport.auth import StaticToken

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime
    from pathlib import Path

    from vismanet_async.export.manifest import Manifest

ROWS = {"customer": 600, "supplier": 300}
PAGES = 6 + 3


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(seed=5, rows=ROWS) as running:
        yield running


class StoppedError(Exception):
    """Stands for whatever ends a run in the middle."""


async def export(simulator: Simulator, to: Path, *, stop_after: int | None = None, **plan: Any) -> Manifest | None:
    """Run an export; give None where it was stopped after so many pages."""
    token = StaticToken(simulator.issue_token())
    options = {"resources": list(ROWS), "to": to, "page_size": 100, "part_bytes": 400_000, **plan}
    async with VismaNet(token, base_url=simulator.base_url, concurrency=2) as visma:
        run = Export(visma, ExportPlan(**options), company=simulator.tenant_id, clock=plan.get("clock"))
        if stop_after is None:
            return await run
        pages = 0
        with anyio.CancelScope() as scope:
            async for event in run:
                pages += isinstance(event, PageWritten)
                if pages == stop_after:
                    scope.cancel()
        return None


def content(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("part-*")}


@pytest.mark.parametrize("stops", [[1], [4], [8], [2, 5], [5, 2], [3, 3, 3, 3]])
async def test_a_stopped_export_goes_on_and_writes_the_same_bytes(
    simulator: Simulator, tmp_path: Path, stops: list[int]
) -> None:
    await export(simulator, tmp_path / "whole", completeness="count")
    asked = simulator.requests.total
    assert asked == PAGES
    for stop in stops:
        await export(simulator, tmp_path / "out", stop_after=stop, completeness="count")
        assert not (tmp_path / "out" / "manifest.json").exists()
    assert await export(simulator, tmp_path / "out", completeness="count") is not None
    validate(tmp_path / "out")
    assert content(tmp_path / "out") == content(tmp_path / "whole")
    # what was asked twice was on its way or not yet written when a run was stopped
    assert simulator.requests.total - asked <= PAGES + len(stops) * 7
    assert not (tmp_path / "out" / ".export").exists()


async def test_an_export_goes_on_over_changes_made_meanwhile(simulator: Simulator, tmp_path: Path) -> None:
    before = {name: set(simulator.truth(name).keys) for name in ROWS}
    await export(simulator, tmp_path, stop_after=5)
    asked, resumed_at = simulator.requests.total, SystemClock().utc_now()
    for name in ROWS:
        simulator.add(name, 3)
        simulator.remove(name, count=2)
        simulator.touch(name, count=4)
    manifest = await export(simulator, tmp_path)
    assert manifest is not None
    for name, key in (("customer", "number"), ("supplier", "number")):
        after = set(simulator.truth(name).keys)
        lines = [
            msgspec.json.decode(line)[key]
            for part in manifest.resources[name].parts
            for line in (tmp_path / part.file).read_bytes().splitlines()
        ]
        assert manifest.resources[name].verdict in {"proven", "counted"}
        assert len(lines) == len(set(lines))
        assert before[name] & after <= set(lines)
    assert simulator.requests.total - asked < PAGES
    # what is claimed is claimed for the whole time
    assert min(entry.started_at for entry in manifest.resources.values() if entry.started_at) < resumed_at


@pytest.mark.parametrize("harm", ["journal torn", "part changed", "part gone", "plan torn"])
async def test_what_was_harmed_meanwhile_is_asked_for_again(simulator: Simulator, tmp_path: Path, harm: str) -> None:
    await export(simulator, tmp_path / "whole", completeness="count")
    await export(simulator, tmp_path / "out", stop_after=6, completeness="count")
    run = tmp_path / "out" / ".export" / "1"
    for part in list(run.glob("*/part-*")):
        if harm == "part changed":
            middle = len(part.read_bytes()) // 2
            part.write_bytes(part.read_bytes()[:middle] + b"?" + part.read_bytes()[middle + 1 :])
        elif harm == "part gone":
            part.unlink()
    for journal in run.glob("*/pages.jsonl"):
        if harm == "journal torn":
            journal.write_bytes(journal.read_bytes()[:-20])
    if harm == "plan torn":
        (run.parent / "plan.json").write_bytes(b"{")
    await export(simulator, tmp_path / "out", completeness="count")
    validate(tmp_path / "out")
    assert content(tmp_path / "out") == content(tmp_path / "whole")


@pytest.mark.parametrize("change", ["page_size", "resources", "resume", "filters"])
async def test_another_plan_starts_afresh(simulator: Simulator, tmp_path: Path, change: str) -> None:
    await export(simulator, tmp_path, stop_after=4, completeness="count")
    asked = simulator.requests.total
    plans: dict[str, dict[str, Any]] = {
        "page_size": {"page_size": 150},
        "resources": {"resources": ["customer"]},
        "resume": {"resume": False},
        "filters": {"resources": {"customer": {"status": "Active"}, "supplier": {}}},
    }
    manifest = await export(simulator, tmp_path, **{"completeness": "count", **plans[change]})
    assert manifest is not None
    assert simulator.requests.total - asked == manifest.requests
    validate(tmp_path)


async def test_an_old_checkpoint_is_thrown_away(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await export(simulator, tmp_path, stop_after=4, completeness="count")
    asked = simulator.requests.total
    real = SystemClock.utc_now

    def tomorrow(self: SystemClock) -> datetime:
        return real(self) + timedelta(hours=25)

    monkeypatch.setattr(SystemClock, "utc_now", tomorrow)
    await export(simulator, tmp_path, completeness="count")
    assert simulator.requests.total - asked == PAGES


async def test_a_list_that_was_uncertain_is_read_anew(simulator: Simulator, tmp_path: Path) -> None:
    simulator.behaviours.list_order = "unstable"
    with pytest.raises(errors.IncompleteListing):
        await export(simulator, tmp_path / "out", completeness="count")
    assert not (tmp_path / "out").exists()


async def test_without_a_known_company_nothing_is_kept(simulator: Simulator, tmp_path: Path) -> None:
    async with VismaNet(StaticToken(simulator.issue_token()), base_url=simulator.base_url, concurrency=2) as visma:
        run = Export(visma, ExportPlan(resources=["customer"], to=tmp_path / "out", page_size=100))
        with anyio.CancelScope() as scope:
            async for event in run:
                if isinstance(event, PageWritten):
                    scope.cancel()
    assert not (tmp_path / "out").exists()


def test_runs_that_another_one_covers_are_removed(tmp_path: Path) -> None:
    now = SystemClock().utc_now()

    def run(lines: list[bytes]) -> Checkpoint:
        checkpoint = Checkpoint.open(tmp_path, fingerprint="same", now=now)
        journal = checkpoint.journal("customer")
        journal.close()
        directory = checkpoint.staging / "customer"
        journal = Journal(directory)
        text = b""
        for number, line in enumerate(lines):
            start, text = len(text), text + line
            journal.note(
                Question(f"page {number}", 0), Written("part-00000.jsonl", start, len(text), sha256(text).hexdigest())
            )
        (directory / "part-00000.jsonl.tmp").write_bytes(text)
        journal.close()
        checkpoint.close()
        return checkpoint

    first = run([b"{}\n", b"{}\n"])
    second = run([b"{}\n", b"{}\n", b"{}\n"])
    third = run([b"{}\n"])
    assert not first.staging.exists()
    last = Checkpoint.open(tmp_path, fingerprint="same", now=now)
    assert second.staging.exists()
    assert last.staging == third.staging  # its number is free again
    assert not list(last.staging.iterdir())
    assert len(last.answers["customer"]) == 3
    assert last.begun_at == now

"""Exports that are stopped and go on, with the real client on the simulator."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import anyio
import msgspec
import pytest

from tests.support.begun import begun_from_now_on
from vismanet_async import errors
from vismanet_async._client import VismaNet
from vismanet_async._clock import SystemClock
from vismanet_async._export.checkpoint import Checkpoint, RequestKey
from vismanet_async._export.events import PageWritten
from vismanet_async._export.plan import ExportPlan
from vismanet_async._export.run import Export
from vismanet_async._export.target.manifest import validate
from vismanet_async._http.auth.credentials import StaticToken
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime
    from pathlib import Path

    from vismanet_async._export.target.manifest import Manifest

ROWS = {"customer": 600, "supplier": 300}
PAGES = 7 + 4
"""The last page of each list is full, so the one behind it is asked for too."""


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


def journal(root: Path) -> list[tuple[str, str]]:
    """Read every question that is journaled, and the file in which its answer is."""
    lines = [line for path in root.rglob("pages.jsonl") for line in path.read_bytes().splitlines()]
    entries = [msgspec.json.decode(line) for line in lines]
    return [(entry["question"][0], entry["file"]) for entry in entries]


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


@pytest.mark.parametrize("seed", range(8))
async def test_stopped_and_changed_again_and_again_nothing_proven_is_lost(
    simulator: Simulator, tmp_path: Path, seed: int
) -> None:
    chance = Random(seed)
    throughout = {name: set(simulator.truth(name).keys) for name in ROWS}
    begun_at = SystemClock().utc_now()
    for _ in range(chance.randint(1, 4)):
        await export(simulator, tmp_path, stop_after=chance.randint(1, 8))
        for name in ROWS:
            simulator.add(name, chance.randint(0, 3), where=chance.choice(["start", "random", "end"]))
            simulator.remove(name, count=chance.randint(0, 4))
            simulator.touch(name, count=chance.randint(0, 5))
    resumed_at = SystemClock().utc_now()
    manifest = await export(simulator, tmp_path)
    assert manifest is not None
    for name in ROWS:
        entry = manifest.resources[name]
        throughout[name] &= set(simulator.truth(name).keys)
        lines = [
            msgspec.json.decode(line)["number"]
            for part in entry.parts
            for line in (tmp_path / part.file).read_bytes().splitlines()
        ]
        assert entry.verdict == "proven"
        assert len(lines) == len(set(lines)) == entry.unique
        assert throughout[name] <= set(lines)
        # what is claimed is claimed for the whole time
        assert entry.started_at is not None
        assert begun_at <= entry.started_at < resumed_at


async def test_a_run_that_goes_on_asks_only_for_what_it_does_not_know(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await export(simulator, tmp_path, stop_after=5)
    begun = begun_from_now_on(monkeypatch)
    manifest = await export(simulator, tmp_path)
    assert manifest is not None
    assert {entry.verdict for entry in manifest.resources.values()} == {"proven"}
    assert len(begun) <= PAGES - 5 + 2 * 2 + 2  # the rest, what was on its way, two tails


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
        (run / "plan.json").write_bytes(b"{")
    await export(simulator, tmp_path / "out", completeness="count")
    validate(tmp_path / "out")
    assert content(tmp_path / "out") == content(tmp_path / "whole")


@pytest.mark.parametrize("change", ["page_size", "resources", "resume", "filters"])
async def test_another_plan_starts_afresh(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    await export(simulator, tmp_path / "out", stop_after=4, completeness="count")
    plans: dict[str, dict[str, Any]] = {
        "page_size": {"page_size": 150},
        "resources": {"resources": ["customer"]},
        "resume": {"resume": False},
        "filters": {"resources": {"customer": {"status": "Active"}, "supplier": {}}},
    }
    sent = begun_from_now_on(monkeypatch)
    manifest = await export(simulator, tmp_path / "out", **{"completeness": "count", **plans[change]})
    assert manifest is not None
    assert len(sent) == manifest.requests
    validate(tmp_path / "out")


@pytest.mark.parametrize("hours", [25, -1])
async def test_an_old_checkpoint_is_thrown_away(
    hours: int, simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So is one from the future: its clock was wrong, and with it the edge of its window."""
    await export(simulator, tmp_path, stop_after=4, completeness="count")
    real = SystemClock.utc_now

    def later(self: SystemClock) -> datetime:
        return real(self) + timedelta(hours=hours)

    monkeypatch.setattr(SystemClock, "utc_now", later)
    sent = begun_from_now_on(monkeypatch)
    await export(simulator, tmp_path, completeness="count")
    assert len(sent) == PAGES


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
                    assert journal(tmp_path) == []
                    scope.cancel()
    assert not (tmp_path / "out").exists()


async def test_what_is_written_is_not_kept_beside_it(simulator: Simulator, tmp_path: Path) -> None:
    await export(simulator, tmp_path, stop_after=4, completeness="count")
    kept = journal(tmp_path)
    assert len({text for text, _ in kept}) == len(kept) >= 4
    assert {file[:4] for text, file in kept if text.endswith(" 1")} == {"part"}


def test_only_the_run_that_knows_most_is_gone_on_with(tmp_path: Path) -> None:
    now = SystemClock().utc_now()

    def run(answers: int, fingerprint: str = "same") -> Checkpoint:
        checkpoint = Checkpoint.open(tmp_path, fingerprint=fingerprint, now=now)
        journal = checkpoint.journal("customer")
        for number in range(answers):
            journal.keep(RequestKey(f"page {number}"), b"[]")
        checkpoint.close()
        return checkpoint

    first, second, third, other = run(2), run(3), run(1), run(9, "another plan")
    nothing = run(0)
    assert not nothing.staging.exists()
    last = Checkpoint.open(tmp_path, fingerprint="same", now=now)
    assert [answer.body() for answer in last.answers["customer"].values()] == [b"[]"] * 3
    assert last.started_at == now
    # nothing is taken away before this run has been answered
    assert [one.staging.exists() for one in (first, second, third, other)] == [True] * 4
    last.remove_superseded()
    assert [one.staging.exists() for one in (first, second, third, other)] == [False, True, False, False]

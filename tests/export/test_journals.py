"""Journals: a list that wants a filter, takes a plain time for changes, and counts lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vismanet_async import ClientCredentials, StaticToken, VismaNet
from vismanet_async._cli.export import filters_by_resource
from vismanet_async._cli.resources import run_resources
from vismanet_async.errors import ExportError, RequestRefused
from vismanet_async.exports import Manifest, PageWritten
from vismanet_async.simulator import Simulator

NAME = "journal_transaction"
BATCHES = 120


def client(simulator: Simulator) -> VismaNet:
    credentials = ClientCredentials(simulator.client_id, simulator.client_secret, tenant_id=simulator.tenant_id)
    return VismaNet(credentials, base_url=simulator.base_url, token_url=simulator.token_url)


def latest(root: Path) -> dict[tuple[str, str], str]:
    files = Manifest.read(root).files(NAME, within=str(root))
    rows = [json.loads(line) for file in files for line in Path(file).read_bytes().splitlines()]
    return {(row["module"], row["batchNumber"]): row["lastModifiedDateTime"] for row in rows}


def truth(simulator: Simulator) -> dict[tuple[str, str], str]:
    rows = simulator.truth(NAME).rows()
    return {(row["module"], row["batchNumber"]): row["lastModifiedDateTime"] for row in rows}


async def test_increments_end_as_the_truth(tmp_path: Path) -> None:
    async with Simulator(rows={NAME: BATCHES}) as simulator, client(simulator) as visma:
        options: dict[str, Any] = {"to": tmp_path, "incremental": True, "page_size": 100}
        progress = [event.progress async for event in visma.export(NAME, **options) if isinstance(event, PageWritten)]
        assert progress[-1].rows == BATCHES  # batches, of which no total is told
        assert {one.total for one in progress} == {None}
        assert latest(tmp_path) == truth(simulator)
        simulator.touch(NAME, count=3)
        simulator.add(NAME, count=2)
        manifest = await visma.export(NAME, **options)
        first, second = manifest.resources[NAME].runs
        assert latest(tmp_path) == truth(simulator)
        assert (first.since, first.rows, second.rows) == (None, BATCHES, 5)
        asked = [one.query["lastModifiedDateTime"] for one in simulator.requests if "/journaltr" in one.path.lower()]
        assert (asked[0], asked[-1]) == ("1900-01-01", second.since)


@pytest.mark.parametrize("meaning", ["at that time exactly", "before it"])
async def test_a_plain_time_that_means_something_else_publishes_nothing(
    tmp_path: Path, meaning: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Simulator(rows={NAME: 20}) as simulator, client(simulator) as visma:
        manifest = await visma.export(NAME, to=tmp_path, incremental=True)
        # such an answer has no row, or rows that are older than asked for
        other = "2999-01-01" if meaning == "at that time exactly" else "1900-01-01"
        monkeypatch.setattr("vismanet_async._export.run.changed_since", lambda *_: {"last_modified_date_time": other})
        with pytest.raises(ExportError, match="nothing was published"):
            await visma.export(NAME, to=tmp_path, incremental=True)
        assert Manifest.read(tmp_path) == manifest


def test_what_is_wanted_is_told_up_front(capsys: pytest.CaptureFixture[str]) -> None:
    assert filters_by_resource([NAME, "customer"], [], since="2025-01-01")[NAME] == {
        "last_modified_date_time": "2025-01-01"
    }
    run_resources(f"{NAME}.list", as_json=False)
    assert "one of period_id, last_modified_date_time is needed" in capsys.readouterr().out
    with pytest.raises(RequestRefused, match="--since 1900-01-01"):
        _ = VismaNet(StaticToken("t")).list_by_name(NAME, {})

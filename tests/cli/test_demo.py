from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from vismanet_async._cli import demo, main
from vismanet_async._export.target.manifest import validate

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_ROWS", {"customer": 3_000, "inventory": 6_000})
    monkeypatch.setattr(demo, "_LATENCY_SECONDS", 0.0)
    monkeypatch.setattr(demo, "_REQUESTS_BETWEEN_CHANGES", 2)


def test_it_exports_checks_and_explains_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--to", str(tmp_path / "out")]) == 0
    out = capsys.readouterr().out
    assert "simulated Visma Net company" in out
    assert "proven" in out
    assert "0 of them lost" in out
    assert set(validate(tmp_path / "out").resources) == {"customer", "inventory"}


def test_a_lost_row_is_noticed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = demo._exported

    def forgetful(*args: object) -> object:
        rows = list(real(*args))  # type: ignore[arg-type] # handed through
        return rows[5:]

    monkeypatch.setattr(demo, "_exported", forgetful)
    assert main(["demo"]) == 4
    assert re.search(r"[1-5] of them lost", capsys.readouterr().out)


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["demo", "--to", str(tmp_path / "file" / "out")]) == 6
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("vismanet: ")
    assert "cannot be written" in last

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Shell


def test_incremental_runs_and_their_status(shell: Shell, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    options = ["export", "customer", "supplier", "--to", out, "--incremental", "--json"]
    assert shell.inside(*options).returncode == 0
    shell.do(shell.simulator.touch, "customer", count=3)
    done = shell.inside(*options, "--overlap-hours", "2")
    assert done.returncode == 0, done.stderr
    customer = json.loads(done.stdout)["resources"]["customer"]
    assert [run["rows"] for run in customer["runs"]] == [900, 3]

    told = shell.inside("export", "--status", out, "--verify")
    assert told.returncode == 0, told.stderr
    assert "customer: 903 rows" in told.stdout
    assert f"watermark: {customer['watermark']}" in told.stdout
    assert f"changed since {customer['runs'][1]['since']}: 3 rows" in told.stdout
    assert "every file is as the manifest states" in told.stdout

    (tmp_path / "out" / customer["parts"][0]["file"]).write_bytes(b"")
    told = shell.inside("export", "--status", out, "--verify", "--json")
    assert told.returncode == 6
    status = json.loads(told.stdout)
    assert status["state"] == "published"
    assert "part-00000.jsonl has 0 bytes" in status["faults"][0]
    assert status["manifest"]["resources"]["customer"]["runs"] == customer["runs"]


def test_a_stopped_run_shows_in_the_status(shell: Shell, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shell.simulator.faults.add("status", status=403, path="/v1/customer", after=4)
    done = shell.inside("export", "customer", "--to", str(out), "--page-size", "100", "--concurrency", "1")
    assert done.returncode == 3
    told = shell.inside("export", "--status", str(out), "--json")
    assert told.returncode == 0
    status = json.loads(told.stdout)
    assert (status["state"], status["manifest"]) == ("resumable", None)
    assert status["unfinished"]["answers"]["customer"] >= 1
    assert "the same command goes on" in shell.inside("export", "--status", str(out)).stdout


def test_a_status_of_nothing(shell: Shell, tmp_path: Path) -> None:
    empty = shell.inside("export", "--status", str(tmp_path))
    assert (empty.returncode, empty.stdout) == (6, f"{tmp_path}: nothing is published here\n")
    gone = shell.inside("export", "--status", str(tmp_path / "gone"))
    assert (gone.returncode, gone.stdout) == (6, "")
    assert shell.inside("export", "customer").returncode == 2

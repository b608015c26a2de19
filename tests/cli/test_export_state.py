"""`vismanet export --deletions`, `vismanet export compact` and `vismanet diff`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Shell


def test_a_list_that_was_exported_once_stops_no_diff(shell: Shell, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    shell.inside("export", "customer", "branch", "--to", out)
    refused = shell.inside("diff", out)
    assert refused.returncode == 2
    assert "is what one run brought" in refused.stderr
    shell.inside("export", "customer", "--to", out, "--incremental")
    shown = shell.inside("diff", out)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout == "customer: no difference\nbranch: one run, so nothing to compare with\n"


def test_deletions_compact_and_diff(shell: Shell, tmp_path: Path) -> None:
    out, latest, page = str(tmp_path / "out"), str(tmp_path / "latest"), tmp_path / "page" / "diff.html"
    options = ["export", "customer", "--to", out, "--incremental", "--deletions"]
    assert shell.inside(*options).returncode == 0
    number = shell.do(shell.simulator.truth, "customer").keys[3]
    shell.do(shell.simulator.remove, "customer", number)
    done = shell.inside(*options, "--deletions-every", "7d", "--deletions-requests", "100")
    assert done.returncode == 0
    assert "deletions: 1 found" in done.stdout
    assert "deletions proven: 1 found" in shell.inside("export", "--status", out, "--verify").stdout

    made = shell.inside("export", "compact", out, "--to", latest)
    assert (made.returncode, made.stdout.splitlines()[0]) == (0, "customer: 899 records in 1 file")
    manifest = json.loads(shell.inside("export", "compact", out, "--resource", "Customer", "--json").stdout)
    assert manifest["resources"]["customer"]["rows"] == 899

    shell.do(shell.simulator.touch, "customer", "10000", name="Nytt & navn")
    shell.inside(*options)
    shown = shell.inside("diff", latest, out, "--html", str(page))
    assert shown.returncode == 0
    assert shown.stdout.splitlines()[0] == "customer: 0 added, 1 changed, 0 removed"
    assert "-> Nytt & navn" in shown.stdout
    assert "Nytt &amp; navn" in page.read_text("utf-8")
    (line,) = shell.inside("diff", out, "--json").stdout.splitlines()
    assert json.loads(line)["key"] == {"number": "10000"}
    assert shell.inside("diff", latest, latest).stdout == "customer: no difference\n"
    assert "and 1 more" in shell.inside("diff", out, latest, "--limit", "0").stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["export", "customer", "--to", "x", "--deletions"], "only with --incremental"),
        (["export", "customer", "--to", "x", "--incremental", "--deletions-every", "7d"], "only with --deletions"),
        (
            ["export", "customer", "--to", "x", "--incremental", "--deletions", "--deletions-every", "7"],
            "7d, 12h or 2w",
        ),
        (["export", "compact", "nowhere"], "nothing is published there"),
        (["diff", "nowhere"], "nothing is published there"),
    ],
)
def test_wrong_use(shell: Shell, words: list[str], told: str) -> None:
    done = shell.inside(*words)
    assert done.returncode in {2, 6}
    assert told in " ".join(done.stderr.split())

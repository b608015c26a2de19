"""What a command says on stderr with -q, -v, --log-format and --log-level."""

from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING, Any

import pytest

from vismanet_async._cli.logs import read_talk
from vismanet_async.errors import RequestRefused

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Shell


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_json_lines_have_time_run_resource_and_counts(shell: Shell, tmp_path: Path) -> None:
    done = shell.inside("export", "customer", "--to", str(tmp_path / "out"), "-v", "--log-format", "json")
    said = lines(done.stderr)
    assert done.returncode == 0
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", one["time"]) for one in said)
    assert len({one["run"] for one in said}) == 1
    [read] = [one for one in said if one["logger"] == "vismanet_async.export"]
    assert (read["resource"], read["rows"], read["verdict"], read["level"]) == ("customer", 900, "proven", "info")
    assert read["requests"] >= 1
    [progress] = [one for one in said if one.get("total")][-1:]
    assert (progress["logger"], progress["resource"], progress["rows"]) == ("vismanet_async.cli", "customer", 900)
    assert (said[-1]["message"], said[-1]["exit_code"]) == ("ended", 0)
    assert not any(one["logger"] == "vismanet_async.http" for one in said)
    assert "published" in done.stdout


def test_an_error_is_a_line_of_its_own_kind(shell: Shell, tmp_path: Path) -> None:
    done = shell.inside("export", "custmer", "--to", str(tmp_path / "out"), "--log-format=json")
    error, end = lines(done.stderr)
    assert (done.returncode, error["level"], error["exit_code"], end["exit_code"]) == (2, "error", 2, 2)
    assert "customer" in error["message"]
    text = shell.inside("export", "custmer", "--to", str(tmp_path / "out"), "--log-format", "text").stderr
    assert re.match(r"20\d\d-\S+Z ERROR vismanet_async\.cli run=[0-9a-f]{12} .*custmer.* exit_code=2 ", text)


def test_quiet_says_nothing_where_all_is_well(shell: Shell, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    done = shell.inside("-q", "export", "customer", "--to", out)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert json.loads(shell.inside("export", "customer", "--to", out, "--quiet", "--json").stdout)["resources"]
    refused = shell.inside("export", "custmer", "--to", out, "-q")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)


def test_each_logger_can_be_reached_and_no_secret_is_in_it(shell: Shell) -> None:
    before = logging.getLogger("vismanet_async.http").level, list(logging.getLogger().handlers)
    done = shell.inside("call", "customer.get", "10000", "--log-level", "http=debug", "--log-format", "json")
    [sent] = [one for one in lines(done.stderr) if one["logger"] == "vismanet_async.http"]
    assert (sent["operation"], sent["outcome"], sent["level"]) == ("Customer_GetBycustomerCd", "200", "debug")
    assert before == (logging.getLogger("vismanet_async.http").level, list(logging.getLogger().handlers))
    loud = shell.inside("call", "customer.get", "10000", "-vv", "--log-level", "debug").stderr
    assert "Customer_GetBycustomerCd" in loud
    assert shell.simulator.client_secret not in loud


@pytest.mark.parametrize("words", [["call", "a.b", "--", "-q", "-v"], ["export", "x", "--where", "status=-v"]])
def test_other_words_are_left_alone(words: list[str]) -> None:
    talk, others = read_talk(words)
    assert (talk.quiet, talk.format, others) == (False, None, words)


@pytest.mark.parametrize("words", [["--log-format"], ["--log-format", "xml"], ["--log-level=loud"], ["--log-level"]])
def test_wrong_values_are_refused(words: list[str]) -> None:
    with pytest.raises(RequestRefused, match="it is one of"):
        read_talk(words)

from __future__ import annotations

import json
import signal
import time
import urllib.request
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow.parquet
import pytest

from tests.support.hang import HANG_SECONDS, wait_for
from vismanet_async._export.target.manifest import validate

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Shell
    from vismanet_async._simulator.faults import FaultKind

DECODE = msgspec.json.Decoder(float_hook=Decimal).decode


def rows(root: Path, name: str) -> list[dict[str, Any]]:
    entry = validate(root).resources[name]
    return [DECODE(line) for part in entry.parts for line in (root / part.file).read_bytes().splitlines()]


def test_lists_become_files_that_equal_the_truth(shell: Shell, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = shell("export", "customer", "customer_invoice", "--to", str(out), "--page-size", "100", "--json")
    assert done.returncode == 0, done.stderr
    manifest = json.loads(done.stdout)
    assert manifest == json.loads((out / "manifest.json").read_text())
    for name, count in (("customer", 900), ("customer_invoice", 450)):
        entry = manifest["resources"][name]
        assert (entry["rows"], entry["unique"], entry["verdict"]) == (count, count, "proven")
        assert entry["total_first"] == entry["total_last"] == count
        assert [part["file"] for part in entry["parts"]] == [f"{name}/part-00000.jsonl"]
        truth = shell.do(lambda name=name: list(shell.simulator.truth(name).rows()))
        written = rows(out, name)
        for row in (*written, *truth):
            row.pop("metadata", None)
        # lists leave out what must be asked for with expand parameters
        assert written == [{key: true[key] for key in row} for row, true in zip(written, truth, strict=True)]
    assert sorted(path.name for path in out.iterdir()) == ["customer", "customer_invoice", "manifest.json"]


def test_lines_are_the_servers_own_bytes(shell: Shell, tmp_path: Path) -> None:
    simulator = shell.simulator
    assert shell.inside("export", "supplier", "--to", str(tmp_path / "out")).returncode == 0
    ask = urllib.request.Request(
        f"{simulator.base_url}/v1/supplier", headers={"Authorization": f"Bearer {shell.do(simulator.issue_token)}"}
    )
    with urllib.request.urlopen(ask, timeout=HANG_SECONDS) as answer:
        elements = msgspec.json.decode(answer.read(), type=list[msgspec.Raw])
    lines = (tmp_path / "out" / "supplier" / "part-00000.jsonl").read_bytes().splitlines()
    assert lines == [bytes(element) for element in elements]


def test_what_is_printed_is_for_people_without_json(shell: Shell, tmp_path: Path) -> None:
    done = shell.inside("export", "supplier", "--to", str(tmp_path / "out"))
    assert done.returncode == 0
    assert "120 rows  proven" in done.stdout
    assert "supplier: 120 of 120 rows" in done.stderr


def test_counting_a_quiet_list_asks_for_each_page_once(shell: Shell, tmp_path: Path) -> None:
    done = shell.inside(
        "export", "customer", "--to", str(tmp_path / "out"), "--page-size", "100", "--completeness", "count"
    )
    assert done.returncode == 0
    # the last page is full: the page behind it has to be blank
    assert len(shell.simulator.requests.matching(operation="Customer_GetAll")) == 9 + 1


def test_filters_choose_the_rows(shell: Shell, tmp_path: Path) -> None:
    shell.do(shell.simulator.touch, "customer", count=5)
    since = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 86_400))
    out = tmp_path / "out"
    done = shell.inside("export", "customer", "--to", str(out), "--since", since)
    assert done.returncode == 0, done.stderr
    assert 5 <= len(rows(out, "customer")) < 900
    done = shell.inside("export", "customer", "--to", str(out), "--where", "status=Active", "--json")
    assert done.returncode == 0, done.stderr
    assert {row["status"] for row in rows(out, "customer")} == {"Active"}
    assert json.loads(done.stdout)["resources"]["customer"]["filters"] == {"status": "Active"}


def said(done: Any, code: int, *words: str) -> None:
    assert done.returncode == code, (done.returncode, done.stderr)
    last = done.stderr.splitlines()[-1]
    assert last.startswith("vismanet: ")
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in last
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["custmer"], ["custmer", "customer"]),
        (["all"], ["there is no 'all'", "name the lists"]),
        (["customer", "--where", "statu=Active"], ["statu", "status"]),
        (["customer", "--where", "last_modified_date_time=2026-01-01"], ["last_modified_date_time>="]),
        (["customer", "--where", "../x=1"], ["NAME=VALUE"]),
        (["../customer"], ["customer"]),
        (["customer", "--page-size", "0"], ["page_size"]),
        (["customer", "--concurrency", "0"], ["concurrency"]),
    ],
)
def test_wrong_names_and_values_are_refused_before_any_request(
    shell: Shell, tmp_path: Path, argv: list[str], words: list[str]
) -> None:
    said(shell.inside("export", *argv, "--to", str(tmp_path / "out")), 2, *words)
    assert shell.simulator.requests.total == 0
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"VISMANET_BASE_URL": "http://api.example.com"}, 2, ["https"]),
        ({"VISMANET_CLIENT_SECRET": None}, 2, ["VISMANET_CLIENT_SECRET"]),
        ({"VISMANET_CLIENT_SECRET": "wrong"}, 3, ["invalid_client"]),
        ({"VISMANET_TENANT_ID": "nobody"}, 3, ["invalid_tenant"]),
        ({"VISMANET_TOKEN": "stale"}, 3, []),
    ],
)
def test_wrong_settings_say_what_to_do(
    shell: Shell, tmp_path: Path, changes: dict[str, str | None], code: int, words: list[str]
) -> None:
    said(shell.inside("export", "customer", "--to", str(tmp_path / "out"), env=changes), code, *words)
    assert not (tmp_path / "out").exists()


def test_the_wrong_kind_of_tenant_is_explained(shell: Shell, tmp_path: Path) -> None:
    done = shell(
        "export",
        "customer",
        "--to",
        str(tmp_path / "out"),
        env={"VISMANET_TENANT_ID": shell.simulator.customer_tenant_id},
    )
    said(done, 3, "Company tenant id")


def test_an_unreachable_host_is_the_apis_failure(shell: Shell, tmp_path: Path) -> None:
    done = shell(
        "export", "customer", "--to", str(tmp_path / "out"), env={"VISMANET_TOKEN_URL": "http://127.0.0.1:9/t"}
    )
    said(done, 5, "127.0.0.1")


def test_an_unwritable_target_is_found_before_any_request(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    said(shell.inside("export", "customer", "--to", str(tmp_path / "file")), 6, "file")
    assert shell.simulator.requests.total == 0


def test_a_list_that_cannot_be_shown_complete_is_not_published(shell: Shell, tmp_path: Path) -> None:
    shell.simulator.behaviours.list_order = "unstable"
    out = tmp_path / "out"
    options = ["export", "customer", "--to", str(out), "--page-size", "100"]
    said(shell.inside(*options), 4, "allow")
    assert not out.exists()
    done = shell.inside(*options, "--allow-uncertain", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["resources"]["customer"]["verdict"] == "uncertain"


@pytest.mark.parametrize("empty", ["[]", "", "null", '""'])
def test_every_form_of_an_empty_list_is_no_rows(shell: Shell, tmp_path: Path, empty: str) -> None:
    shell.simulator.behaviours.set(empty_list=empty)
    done = shell.inside("export", "customer", "--to", str(tmp_path / "out"), "--where", "name=nobody at all")
    assert done.returncode == 0, done.stderr
    assert rows(tmp_path / "out", "customer") == []
    assert (tmp_path / "out" / "customer" / "part-00000.jsonl").read_bytes() == b""


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        ({"kind": "html", "status": 200}, 5, ["Customer_GetAll"]),
        ({"kind": "short_body"}, 5, ["Customer_GetAll"]),
        ({"kind": "status", "status": 403}, 3, ["scopes"]),
        ({"kind": "status", "status": 400}, 5, ["400"]),
    ],
)
def test_an_answer_that_is_no_list_ends_it_without_files(
    shell: Shell, tmp_path: Path, fault: dict[str, Any], code: int, words: list[str]
) -> None:
    shell.simulator.behaviours.compress = False  # so that what is cut off is the JSON
    shell.do(lambda: shell.simulator.faults.add(path="/v1/customer", **fault))
    said(shell.inside("export", "supplier", "customer", "--to", str(tmp_path / "out")), code, *words)
    assert not list(tmp_path.rglob("manifest.json"))
    assert not list((tmp_path / "out").glob("*/part-*"))


@pytest.mark.parametrize("kind", ["cut_body", "short_body", "reset_before"])
def test_an_answer_that_broke_off_once_is_asked_for_again(shell: Shell, tmp_path: Path, kind: FaultKind) -> None:
    shell.do(lambda: shell.simulator.faults.add(kind=kind, path="/v1/customer", after=2, times=1))
    done = shell.inside("export", "customer", "--to", str(tmp_path / "out"), "--page-size", "100")
    assert done.returncode == 0, done.stderr
    assert len(rows(tmp_path / "out", "customer")) == 900


def test_an_interrupted_export_goes_on_where_it_was(shell: Shell, tmp_path: Path) -> None:
    out, undisturbed = tmp_path / "out", tmp_path / "undisturbed"
    options = ["customer", "customer_invoice", "--page-size", "30", "--concurrency", "2"]
    assert shell("export", *options, "--to", str(undisturbed)).returncode == 0
    asked = shell.simulator.requests.total
    for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        held = shell.do(shell.simulator.faults.add, "latency", seconds=HANG_SECONDS, after=12)
        with shell.start("export", *options, "--to", str(out)) as process:
            wait_for(partial(getattr, held, "hits"))
            process.send_signal(stop)
            _, err = process.communicate(timeout=HANG_SECONDS)
        assert process.returncode == (130 if stop is not signal.SIGKILL else -signal.SIGKILL), err
        assert not (out / "manifest.json").exists()
        shell.do(shell.simulator.faults.clear)
    done = shell("export", *options, "--to", str(out))
    assert done.returncode == 0, done.stderr
    assert validate(out).rows == 1350
    for part in undisturbed.rglob("part-*"):
        assert (out / part.relative_to(undisturbed)).read_bytes() == part.read_bytes()
    assert sorted(path.name for path in out.iterdir()) == ["customer", "customer_invoice", "manifest.json"]
    # three broken runs and one whole one together asked little more than an undisturbed one
    assert shell.simulator.requests.total - asked < asked + 3 * 12


def test_two_runs_on_one_target(shell: Shell, tmp_path: Path) -> None:
    shell.simulator.latency = 3600.0
    out = tmp_path / "out"
    with shell.start("export", "customer", "--to", str(out)) as process:
        wait_for(lambda: shell.simulator.requests.total)  # it sends nothing before it holds the lock
        said(shell("export", "supplier", "--to", str(out)), 10, "another run")
        process.terminate()
        process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 130
    assert not out.exists()


def test_options_of_the_formats_reach_the_files(shell: Shell, tmp_path: Path) -> None:
    out = tmp_path / "csv"
    csv = ("--csv-delimiter", ";", "--csv-decimal-comma", "--csv-no-header", "--csv-bom", "--csv-keep-formulas")
    done = shell.inside(
        "export", "supplier", "--to", str(out), "--format", "csv", *csv, "--part-bytes", "2000", "--page-size", "50",
        "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    entry = json.loads(done.stdout)["resources"]["supplier"]
    assert len(entry["parts"]) == 3
    assert entry["format_options"] == {
        "neutralise_formulas": "False",
        "byte_order_mark": "True",
        "delimiter": ";",
        "decimal_comma": "True",
        "header": "False",
    }
    first = (out / entry["parts"][0]["file"]).read_text("utf-8").splitlines()[0]
    assert first.startswith("\ufeff")
    assert first.count(";") > 20
    done = shell.inside(
        "export", "supplier", "--to", str(tmp_path / "parquet"), "--format", "parquet",
        "--parquet-compression", "snappy", "--parquet-row-group-bytes", "50000", "--page-size", "20",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with pyarrow.parquet.ParquetFile(tmp_path / "parquet" / "supplier" / "part-00000.parquet") as file:
        assert file.num_row_groups > 1
        assert file.metadata.row_group(0).column(0).compression == "SNAPPY"
    done = shell.inside("export", "supplier", "--to", str(tmp_path / "x"), "--csv-delimiter", "ab")
    said(done, 2, "delimiter")

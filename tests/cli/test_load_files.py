"""The files of a load: all rows of its journal, what is not done as it came, and nothing of anybody else replaced."""

from __future__ import annotations

import csv
import io
import json
import sys
from typing import TYPE_CHECKING, Any
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vismanet_async._bulk import tally
from vismanet_async._bulk.rows import MOST_PROBLEMS
from vismanet_async._cli import load_input
from vismanet_async._cli.load_files import LoadFiles
from vismanet_async._file_lock import FileLock

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Shell


def wrote(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def results(path: Path) -> dict[str, Any]:
    return {each["key"]: each for each in map(json.loads, path.read_text("utf-8").splitlines())}


def names(shell: Shell) -> list[str]:
    made = shell.simulator.ledger.matching(operation="Customer_Post", succeeded=True)
    return sorted(json.loads(each.body)["name"]["value"] for each in made)


def test_rows_that_were_mended_by_hand_are_never_replaced(shell: Shell, tmp_path: Path) -> None:
    lines = [f"{n},A{n},{'abc' if n > 2 else 5}\n" for n in range(12)]
    file = wrote(tmp_path / "c.csv", "crmId,name,creditLimit\n" + "".join(lines))
    folder = tmp_path / "c.csv.load"
    assert shell.inside("load", "customer", file, "--key", "crmId").returncode == 8
    failed, second = folder / "journal.failed.csv", folder / "journal.failed-2.csv"
    mended = wrote(failed, failed.read_text("utf-8").replace(",abc", ",6"))
    before = failed.read_text("utf-8")
    again = ("load", "customer", mended, "--key", "crmId", "--journal", str(folder / "journal.sqlite"))
    denied = shell.simulator.faults.add("status", method="POST", status=401, after=2)
    stopped = shell.inside(*again, "--concurrency", "1")
    assert stopped.returncode == 3
    assert f"not done, to mend and load again: {second}" in stopped.stdout
    assert failed.read_text("utf-8") == before, "the file that is loaded stays"
    made = {name.removeprefix("A") for name in names(shell)}
    with second.open(encoding="utf-8", newline="") as open_file:
        left = list(csv.DictReader(open_file))
    assert {each["crmId"] for each in left} == {str(n) for n in range(12)} - made, "also what was never read"
    assert all(each["creditLimit"] == "6" and each["_error"] for each in left)
    told = results(folder / "journal.results.jsonl")
    assert {key for key, each in told.items() if each["id"]} == made, "the ids of the run before are there"
    assert {told[key]["row"] for key in "012"} == {None}
    denied.times = denied.hits = 1
    done = shell.inside(*again)
    assert (done.returncode, "to mend" in done.stdout, second.exists()) == (0, False, False)
    assert failed.read_text("utf-8") == before
    assert names(shell) == sorted(f"A{n}" for n in range(12))
    assert {each["outcome"] for each in results(folder / "journal.results.jsonl").values()} == {"done"}


def test_what_is_not_of_this_journal_is_kept(shell: Shell, tmp_path: Path) -> None:
    file = wrote(tmp_path / "c.csv", 'crmId,name,creditLimit\n1,A,5\n2,B,"1,5"\n')
    wrote(tmp_path / "a.results.jsonl", "mine\n")
    wrote(tmp_path / "results.jsonl", "mine, too\n")
    for name in ("a.sqlite", "a"):
        shell.inside("load", "customer", file, "--key", "crmId", "--journal", str(tmp_path / name))
    assert (tmp_path / "a.results.jsonl").read_text() == "mine\n"
    assert (tmp_path / "results.jsonl").read_text() == "mine, too\n"
    assert results(tmp_path / "a.results-2.jsonl").keys() == {"1", "2"}
    assert results(tmp_path / "a.results-3.jsonl")["1"]["id"] != results(tmp_path / "a.results-2.jsonl")["1"]["id"]
    lock = FileLock(tmp_path / ".a.sqlite.files.lock")
    assert lock.acquire()
    try:
        busy = shell.inside("load", "customer", file, "--key", "crmId", "--journal", str(tmp_path / "a.sqlite"))
    finally:
        lock.release()
    said = f"vismanet: another load with the journal {tmp_path / 'a.sqlite'} goes on; nothing was sent. Wait for it.\n"
    assert (busy.returncode, busy.stderr) == (10, said)


def test_a_file_is_replaced_only_as_it_was_written(tmp_path: Path) -> None:
    def publish(text: str, kind: str = "failed.csv", source: str = "in.csv") -> str:
        with LoadFiles(tmp_path / "a.sqlite", source=source) as files:
            part, file = files.begin("failed")
            with file:
                file.write(text.encode())
            return files.publish(part, kind, input=files.input if kind == "failed.csv" else "").name

    assert [publish("1"), publish("2"), publish("3", source="other.csv")] == [
        "a.failed.csv",
        "a.failed.csv",
        "a.failed-2.csv",
    ]
    assert publish("4", source=str(tmp_path / "a.failed.csv")) == "a.failed-3.csv"
    assert publish("4", source="in.csv") == "a.failed.csv"
    (tmp_path / "a.failed.csv").write_text("mended")
    assert publish("5") == "a.failed-4.csv"
    assert publish("6", source="-") == "a.failed-5.csv"
    assert publish("7", source="-") == "a.failed-6.csv", "what came from stdin is nowhere else"
    read = str(tmp_path / "a.results.jsonl")
    told = [publish("1", "results.jsonl"), publish("2", "results.jsonl"), publish("3", "results.jsonl", source=read)]
    assert told == ["a.results.jsonl", "a.results.jsonl", "a.results-2.jsonl"]
    (tmp_path / ".a.sqlite.files.json").write_text("broken")
    assert publish("8") == "a.failed-7.csv"
    assert (tmp_path / "a.failed.csv").read_text() == "mended"
    assert not list(tmp_path.glob("*.part"))


def test_rows_that_cannot_be_read_are_kept_as_they_came(shell: Shell, tmp_path: Path) -> None:
    file = wrote(tmp_path / "e.csv", 'crmId;name;creditLimit\n1;A;5\n2;B\n3;"C; AS";6;7\n')
    more = ("--key", "crmId", "--delimiter", ";")
    assert shell.inside("load", "customer", file, *more).returncode == 8
    failed = tmp_path / "e.csv.load" / "journal.failed.csv"
    with failed.open(encoding="utf-8", newline="") as open_file:
        header, *rows = csv.reader(open_file, delimiter=";")
    assert header == ["_error", "crmId", "name", "creditLimit"]
    assert sorted(row[1:] for row in rows) == [["2", "B"], ["3", "C; AS", "6", "7"]]
    journal = str(failed.with_name("journal.sqlite"))
    again = shell.inside("load", "customer", str(failed), *more, "--journal", journal)
    assert again.returncode == 8
    with failed.with_name("journal.failed-2.csv").open(encoding="utf-8", newline="") as open_file:
        assert sorted(row[1:] for row in csv.reader(open_file, delimiter=";")) == sorted(
            [header[1:], *(row[1:] for row in rows)]
        )
    lines = 'no json\n{"crmId":"1","name":"\\ud800"}\n{"crmId":"2","name":"B"}'
    bad = wrote(tmp_path / "e.jsonl", lines)
    for _ in range(2):
        told = shell.inside("load", "customer", bad, "--key", "crmId")
        assert told.stdout.startswith("3 rows: 1 done, 2 failed")
    kept = (tmp_path / "e.jsonl.load" / "journal.failed.jsonl").read_text("utf-8")
    assert sorted(kept.splitlines()) == sorted(lines.splitlines()[:2])


def test_failed_rows_of_parquet_are_parquet(shell: Shell, tmp_path: Path) -> None:
    table = pa.table(
        {
            "k": ["1", "2", "3"],
            "name": ["A", "B", "C"],
            "corporateId": [b"938", None, None],
            "creditLimit": pa.array([None, 0.1, None], pa.float32()),
        }
    )
    pq.write_table(table, tmp_path / "c.parquet")
    assert shell.inside("load", "customer", str(tmp_path / "c.parquet"), "--key", "k").returncode == 8
    failed = tmp_path / "c.parquet.load" / "journal.failed.parquet"
    left = pq.read_table(failed).sort_by("k")
    assert left.drop_columns(["_error"]).equals(table.slice(0, 2))
    assert all(left["_error"].to_pylist())
    again = shell.inside(
        "load", "customer", str(failed), "--key", "k", "--journal", str(failed.with_name("journal.sqlite"))
    )
    assert again.stdout.startswith("2 rows: 2 failed")
    assert names(shell) == ["C"]
    assert pq.read_table(failed.with_name("journal.failed.parquet")).num_rows == 2


def test_a_stopped_load_of_stdin_keeps_what_it_did_not_read(shell: Shell, tmp_path: Path) -> None:
    lines = [f'{{"k": "{n}", "name": "A{n}"}}\n' for n in range(1200)]
    shell.simulator.faults.add("status", method="POST", status=401, after=3)
    with mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO("".join(lines).encode()))):
        arguments = ("load", "customer", "-", "--key", "k", "--journal", str(tmp_path / "j.sqlite"))
        assert shell.inside(*arguments, "--concurrency", "1").returncode == 3
    left = (tmp_path / "j.failed.jsonl").read_text("utf-8").splitlines(keepends=True)
    made = {f'{{"k": "{name[1:]}", "name": "{name}"}}\n' for name in names(shell)}
    assert made
    assert sorted([*left, *made]) == sorted(lines)


@pytest.mark.parametrize("others", [0, MOST_PROBLEMS])
def test_the_exit_code_is_that_of_what_stopped_it(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    """However many rows have ended without it: a summary holds the first of them only."""
    monkeypatch.setattr(tally, "MOST_PROBLEMS", MOST_PROBLEMS - others)
    shell.simulator.faults.add("status", method="POST", status=401)
    file = wrote(tmp_path / "c.jsonl", '{"k": "1", "name": "A"}\n')
    assert shell.inside("load", "customer", file, "--key", "k").returncode == 3


def test_the_rows_of_earlier_upserts_keep_their_names(shell: Shell, tmp_path: Path) -> None:
    same, other, *_ = shell.do(shell.simulator.truth, "customer").keys
    shell.do(shell.simulator.touch, "customer", same, name="Same")
    head = "number,name,overrideNumberSeries\n"
    first = wrote(tmp_path / "a.csv", f"{head}70000,A,true\n{other},New,\n{same},Same,\n")
    second = wrote(tmp_path / "b.csv", f"{head}70001,B,true\n")
    for file in (first, second):
        journal = str(tmp_path / "u.sqlite")
        assert shell.inside("load", "customer", file, "--upsert", "number", "--journal", journal).returncode == 0
    told = {key: (each["outcome"], each["earlier"]) for key, each in results(tmp_path / "u.results.jsonl").items()}
    assert told == {
        "70000": ("created", True),
        "70001": ("created", False),
        other: ("updated", True),
        same: ("unchanged", True),
    }


@pytest.mark.parametrize(
    ("form", "content"),
    [
        ("jsonl", b'{"k":"1","name":"A"}\n' + b" " * 9000 + b'\n{"k":"2","name":"\xff"}\n{"k":"3","name":"C"}\n'),
        ("csv", b'k,name\n1,A\n2,"x"y\n3,C\n'),
    ],
)
def test_stdin_that_cannot_be_read_on_says_what_was_loaded(
    shell: Shell, tmp_path: Path, form: str, content: bytes
) -> None:
    with mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(content))):
        arguments = ("load", "customer", "-", "--key", "k", "--journal", str(tmp_path / "j.sqlite"))
        done = shell.inside(*arguments, "--format", form)
    assert (done.returncode, "stdin cannot be read after row" in done.stderr) == (2, True)
    assert names(shell) == ["A"]
    assert results(tmp_path / "j.results.jsonl").keys() == {"1"}


def test_a_load_whose_file_fails_on_the_way_tells_what_it_did(shell: Shell, tmp_path: Path) -> None:
    file = wrote(tmp_path / "c.jsonl", "".join(f'{{"k": "{n}", "name": "A{n}"}}\n' for n in range(5)))
    real, calls = load_input._object, []

    def failing(number: int, line: str) -> Any:
        calls.append(number)
        if len(calls) == 9:
            raise RuntimeError("the disk is gone")
        return real(number, line)

    with mock.patch.object(load_input, "_object", failing):
        assert shell.inside("load", "customer", file, "--key", "k").returncode == 9
    assert results(tmp_path / "c.jsonl.load" / "journal.results.jsonl").keys() == {"0", "1", "2"}
    assert shell.inside("load", "customer", file, "--key", "k").stdout.startswith("5 rows: 5 done (3 known")


@pytest.mark.parametrize("option", ["--report", "--journal"])
def test_no_option_is_written_over_the_input(shell: Shell, tmp_path: Path, option: str) -> None:
    file = wrote(tmp_path / "c.csv", "k,name\n1,A\n")
    for url in ("postgresql://a/b#c", f"sqlite:///{tmp_path}/j.sqlite"):
        refused = shell.inside("load", "customer", file, "--key", "k", "--journal", url)
        assert (refused.returncode, "--journal takes a file" in refused.stderr) == (2, True)
    (tmp_path / "link.csv").symlink_to(tmp_path / "c.csv")
    for path in (file, str(tmp_path / "link.csv")):
        done = shell.inside("load", "customer", file, "--key", "k", option, path)
        assert (done.returncode, "over another file of this load" in done.stderr) == (2, True)
    assert (tmp_path / "c.csv").read_text() == "k,name\n1,A\n"
    assert not shell.simulator.ledger


def test_a_release_that_fails_says_how_to_send_it_again(shell: Shell, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    number = next(iter(shell.do(shell.simulator.truth, "customer_invoice").keys))
    shell.do(shell.simulator.touch, "customer_invoice", number, status="Balanced", hold=False)
    shell.simulator.faults.add("status", method="POST", status=400)
    done = shell.inside("release", "customer_invoice", "--where", "status=Balanced")
    assert done.returncode == 8
    assert "sent again with --retry-failed" in done.stdout
    assert "to mend and load again" not in done.stdout
    assert [each.name for each in (tmp_path / "release-customer_invoice.load").glob("*failed*")] == []

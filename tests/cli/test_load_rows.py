"""What `vismanet load` reads in a file: each value, each column and each number of a row, and nothing dropped."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING, Any
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vismanet_async._cli.load_columns import Column, filled
from vismanet_async._cli.load_input import open_table
from vismanet_async._cli.load_reading import Reading

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Shell


def wrote(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def bodies(shell: Shell, operation: str = "Customer_Post") -> list[dict[str, Any]]:
    made = shell.simulator.ledger.matching(operation=operation, succeeded=True)
    return [json.loads(each.body) for each in made]


def test_columns_that_come_late_are_sent_or_refused(shell: Shell, tmp_path: Path) -> None:
    first = "".join(f'{{"crmId":"k{n}","name":"A{n}"}}\n' for n in range(1002))
    known = first + '{"crmId":"z","name":"Z","creditLimit":100}\n'
    wrong = wrote(tmp_path / "w.jsonl", known + '{"crmId":"y","nmae":"Y"}\n')
    for more in (["--dry-run"], []):
        refused = shell.inside("load", "customer", wrong, "--key", "crmId", *more)
        assert refused.returncode == 2
        assert "for the column 'nmae' (row 1,004) in CustomerUpdate" in refused.stderr
    assert not shell.simulator.ledger
    late = wrote(
        tmp_path / "l.jsonl", '{"crmId":"z","name":"Z"}\n' + "\n" * 1001 + known.splitlines()[-1].replace("z", "y")
    )
    assert shell.inside("load", "customer", late, "--key", "crmId").returncode == 0
    assert {"name": {"value": "Z"}, "creditLimit": {"value": 100}} in bodies(shell)


def test_what_has_no_outcome_yet(tmp_path: Path) -> None:
    table = open_table(wrote(tmp_path / "c.csv", "k\n1\n\n2\n3\n4\n"), file_format=None, delimiter=",")
    for read_on, left in ((True, [2, 5, 6]), (False, [2])):
        reading = Reading(table)
        first, second = (row for _, row in zip(range(2), reading, strict=False))
        reading.ended(second)
        assert (first.number, second.number) == (2, 4)
        assert [row.number for row in reading.rest(read_on=read_on)] == left


LEAVE_OUT: Any = {"city": "", "postalCode": None, "countryId": "NO"}


@pytest.mark.parametrize(
    ("value", "in_json", "in_a_table"),
    [
        (None, None, "missing"),
        ("", "", "missing"),
        (LEAVE_OUT, LEAVE_OUT, {"countryId": "NO"}),
        ({"city": None}, {"city": None}, "missing"),
        ({"country": {"id": None, "name": "x"}}, {"country": {"id": None, "name": "x"}}, {"country": {"name": "x"}}),
        ([{"city": None}, None, {"city": "x"}], [{"city": None}, None, {"city": "x"}], [{}, None, {"city": "x"}]),
        (0, 0, 0),
        (False, False, False),
    ],
)
def test_what_is_empty(value: Any, in_json: Any, in_a_table: Any) -> None:
    column = Column(name="a", path=("a",), field="a", kind="Address")
    for as_json, expected in ((True, in_json), (False, in_a_table)):
        if value == "" and as_json:
            column = Column(name="a", path=("a",), field="a", kind="str")
        record = filled([column], {"a": value}, {}, as_json=as_json)
        assert record == ({} if expected == "missing" else {"a": expected})
    assert filled([column], {}, {}, as_json=True) == {}


def test_null_clears_and_an_empty_cell_does_not(shell: Shell, tmp_path: Path) -> None:
    numbers = sorted(shell.do(shell.simulator.truth, "customer").keys)
    lines = f'{{"number":"{numbers[0]}","corporateId":null,"mainAddress":{{"postalCode":null}}}}\n'
    clears = wrote(tmp_path / "u.jsonl", lines)
    cells = pa.table(
        {"number": [numbers[1]], "corporateId": [""], "mainAddress": [{"city": "Oslo", "postalCode": None}]}
    )
    pq.write_table(cells, tmp_path / "u.parquet")
    leaves = wrote(tmp_path / "u.csv", f'number,corporateId,mainAddress\n{numbers[2]},,"{{""city"": null}}"\n')
    for file in (clears, str(tmp_path / "u.parquet"), leaves):
        assert shell.inside("load", "customer.update", file, "--key", "number", "--id", "number").returncode == 0
    assert bodies(shell, "Customer_PutBycustomerCd") == [
        {"corporateId": {"value": None}, "mainAddress": {"value": {"postalCode": {"value": None}}}},
        {"mainAddress": {"value": {"city": {"value": "Oslo"}}}},
        {"mainAddress": {"value": {"city": {"value": None}}}},
    ]


def test_rows_have_the_number_that_the_file_shows(shell: Shell, tmp_path: Path) -> None:
    table = wrote(tmp_path / "b.csv", "crmId,name,creditLimit\n1,A,5\n\n\n2,B,abc\n1,C,5\n\n7,D,x\n")
    lines = wrote(tmp_path / "b.jsonl", '\n{"crmId":"1","name":"A"}\n\n{"crmId":"2","name":"B","creditLimit":"abc"}\n')
    for file, number in ((table, 5), (lines, 4)):
        told = shell.inside("load", "customer", file, "--key", "crmId", "--dry-run")
        assert told.stdout.startswith(f"{file}:{number}: column creditLimit")
    assert (
        f"{table}:8: column creditLimit"
        in shell.inside("load", "customer", table, "--key", "crmId", "--dry-run").stdout
    )
    page = tmp_path / "page.html"
    done = shell.inside("load", "customer", table, "--key", "crmId", "--report", str(page))
    assert "1: duplicate: an earlier row of the file has the same key" in done.stdout
    found = [json.loads(each) for each in (tmp_path / "b.csv.load/journal.results.jsonl").read_text().splitlines()]
    assert sorted((each["row"], each["outcome"]) for each in found) == [
        (2, "done"),
        (5, "failed"),
        (6, "duplicate"),
        (8, "failed"),
    ]
    assert all(f">{number}<" in page.read_text("utf-8") for number in (5, 6, 8))
    assert "duplicate: an earlier row of the file has" in (tmp_path / "b.csv.load/journal.failed.csv").read_text(
        "utf-8"
    )


def test_values_without_a_name_are_not_dropped(shell: Shell, tmp_path: Path) -> None:
    table = wrote(tmp_path / "e.csv", "crmId,name,,creditLimit,\n1,A,938123,5,\n2,B,,5,\n3,C,,5,x\n")
    lines = wrote(tmp_path / "e.jsonl", '{"crmId":"4","name":"D","":1}\n{"crmId":"5","name":"E","":null}\n')
    pq.write_table(pa.table({"crmId": ["6", "7"], "name": ["F", "G"], "": [None, "x"]}), tmp_path / "e.parquet")
    for file in (table, lines, str(tmp_path / "e.parquet")):
        done = shell.inside("load", "customer", file, "--key", "crmId")
        assert (done.returncode, "has no name, and" in done.stdout) == (8, True)
    assert sorted(each["name"]["value"] for each in bodies(shell)) == ["B", "E", "F"]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (pa.table([["1"], ["2"], ["N"]], names=["k", "k", "name"]), "has the column 'k' twice"),
        (
            pa.table(
                [["1"], pa.StructArray.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["city", "city"])],
                names=["k", "mainAddress"],
            ),
            "has the member of mainAddress 'city' twice",
        ),
    ],
)
def test_parquet_that_names_something_twice(shell: Shell, tmp_path: Path, table: Any, said: str) -> None:
    pq.write_table(table, tmp_path / "c.parquet")
    done = shell.inside("load", "customer", str(tmp_path / "c.parquet"), "--key", "k")
    assert (done.returncode, said in done.stderr) == (2, True)


def test_a_key_that_cannot_be_used_fails_its_row_alone(shell: Shell, tmp_path: Path) -> None:
    keys = ["1", "\\ud800", "2\\u0000", "9" * 1001, "3"]
    lines = "".join(f'{{"number":"{key}","name":"N","overrideNumberSeries":true}}\n' for key in keys)
    file = wrote(tmp_path / "c.jsonl", lines)
    rehearsed = shell.inside("load", "customer", file, "--key", "number", "--dry-run")
    assert [each.partition(": ")[0] for each in rehearsed.stdout.splitlines()[:3]] == [f"{file}:{n}" for n in (2, 3, 4)]
    with mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines.encode()))):
        piped = shell.inside("load", "customer", "-", "--key", "number", "--journal", str(tmp_path / "j.sqlite"))
    assert piped.stdout.startswith("5 rows: 2 done, 3 failed")
    assert "row 3: failed: column number: key takes text of 1 to 1,000 characters, none of them NUL" in piped.stdout
    upserted = shell.inside("load", "customer", file, "--upsert", "number", "--journal", str(tmp_path / "u.sqlite"))
    assert upserted.stdout.startswith("5 rows: 2 unchanged, 3 failed")
    assert "--retry-failed" not in upserted.stdout  # which an upsert does not take: it sends failed rows in any case
    assert len(bodies(shell)) == 2


def test_what_is_doubtful_is_told_with_its_row(shell: Shell, tmp_path: Path) -> None:
    days = ("2025-01-01T00:00:00Z", "2025-01-01", "2025-02-01T00:00:00Z")
    rows = "".join(f"{number},{day},10000\n" for number, day in enumerate(days))
    file = wrote(tmp_path / "t.csv", f"k,documentDate,customerNumber\n{rows}")
    argv = ("load", "customer_invoice", file, "--key", "k", "--dry-run")
    lines = shell.inside(*argv).stderr.splitlines()
    assert [line.partition(": document_date")[0] for line in lines] == [
        f"vismanet: warning: {file}:{n}" for n in (2, 4)
    ]
    assert shell.inside(*argv, "--quiet").stderr == ""
    records = [json.loads(line) for line in shell.inside(*argv, "--log-format", "json").stderr.splitlines()]
    assert [each["level"] for each in records] == ["warning", "warning", "info"]


def test_a_table_with_tabs_is_read_as_the_message_says(shell: Shell, tmp_path: Path) -> None:
    argv = ("load", "customer", wrote(tmp_path / "t.csv", "k\tname\n1\ta\n"), "--key", "k", "--dry-run")
    assert "give --delimiter 'tab'" in shell.inside(*argv).stderr
    page = tmp_path / "page.html"
    done = shell.inside(*argv, "--delimiter", "tab", "--report", str(page))
    assert (done.returncode, done.stdout.split(",")[0]) == (0, "1 row")
    assert f"Nothing was sent, and {page} not written: a run writes it." in done.stdout
    assert not page.exists()

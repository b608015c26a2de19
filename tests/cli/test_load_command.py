"""`vismanet load` and `vismanet release`: files in, each row written once, and files that say what became of it."""

from __future__ import annotations

import csv
import io
import json
import signal
import stat
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.hang import wait_for
from vismanet_async._cli.load import _id
from vismanet_async._codec.values import UNSET
from vismanet_async._file_lock import FileLock
from vismanet_async.models import Customer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Shell


def wrote(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def results(folder: Path) -> dict[str, Any]:
    lines = (folder / "journal.results.jsonl").read_text("utf-8").splitlines()
    found = {each["key"]: each for each in map(json.loads, lines)}
    assert len(found) == len(lines) - sum(each["outcome"] == "duplicate" for each in map(json.loads, lines))
    return found


def bodies(shell: Shell, operation: str = "Customer_Post") -> list[dict[str, Any]]:
    made = shell.simulator.ledger.matching(operation=operation, succeeded=True)
    return [json.loads(each.body, parse_float=Decimal) for each in made]


CUSTOMERS = """\
crmId,name,creditLimit,mainAddress.countryId,print_invoices,corporateId
1,"Fjord, Fisk AS",100.1000000000000001,NO,TRUE,001
2,Blåbær AS,,SE,false,002
3,Vega AS,50,,,003
"""


def test_a_file_is_loaded_once(shell: Shell, tmp_path: Path) -> None:
    file = wrote(tmp_path / "customers.csv", "\ufeff" + CUSTOMERS)
    done = shell.inside("load", "customer", file, "--key", "crmId")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "3 rows: 3 done")
    assert "3 of 3 rows" in done.stderr
    by_name = {each["name"]["value"]: each for each in bodies(shell)}
    assert by_name["Fjord, Fisk AS"] == {
        "name": {"value": "Fjord, Fisk AS"},
        "creditLimit": {"value": Decimal("100.1000000000000001")},
        "mainAddress": {"value": {"countryId": {"value": "NO"}}},
        "printInvoices": {"value": True},
        "corporateId": {"value": "001"},
    }
    assert by_name["Vega AS"].keys() == {"name", "creditLimit", "corporateId"}
    found = results(tmp_path / "customers.csv.load")
    assert {key: (each["row"], each["outcome"], each["attempts"]) for key, each in found.items()} == {
        "1": (2, "done", 1),
        "2": (3, "done", 1),
        "3": (4, "done", 1),
    }
    assert all(each["id"] and each["etag"] for each in found.values())
    again = shell.inside("load", "customer", file, "--key", "crmId")
    assert (again.returncode, again.stdout.splitlines()[0]) == (0, "3 rows: 3 done (3 known from before)")
    assert len(bodies(shell)) == 3
    if sys.platform != "win32":
        made = [path for path in (tmp_path / "customers.csv.load").iterdir() if path.suffix != ".lock"]
        assert {path.name for path in made} >= {"journal.sqlite", "journal.results.jsonl"}
        assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o600}


def test_failed_rows_are_mended_and_loaded_again(shell: Shell, tmp_path: Path) -> None:
    file = wrote(tmp_path / "customers.csv", CUSTOMERS.replace("50", '"50,5"').replace("false", "nei"))
    done = shell.inside("load", "customer", file, "--key", "crmId")
    assert done.returncode == 8
    assert done.stdout.splitlines()[0] == "3 rows: 1 done, 2 failed"
    failed = tmp_path / "customers.csv.load" / "journal.failed.csv"
    assert failed.read_text("utf-8").splitlines()[0].startswith("_error,crmId,name,creditLimit")
    text = failed.read_text("utf-8")
    assert 'column print_invoices: takes true or false, not ""nei""' in text
    assert 'column creditLimit: takes a number, and ""50,5"" has a decimal comma' in text
    mended = tmp_path / "mended.csv"
    with failed.open(encoding="utf-8", newline="") as file_to_mend, mended.open("w", encoding="utf-8") as put:
        writer = csv.writer(put)
        for cells in csv.reader(file_to_mend):
            writer.writerow([{"50,5": "50.5", "nei": "false"}.get(cell, cell) for cell in cells])
    journal = str(tmp_path / "customers.csv.load" / "journal.sqlite")
    again = shell.inside("load", "customer", str(mended), "--key", "crmId", "--journal", journal)
    assert (again.returncode, again.stdout.splitlines()[0]) == (0, "2 rows: 2 done")
    assert len(bodies(shell)) == 3


_SUMMARY = (
    "6 rows, 6 mistakes. A run takes 0 requests; the quota is not known before the first one is sent. Nothing was sent."
)


def test_what_failed_can_be_loaded_again_and_again(shell: Shell, tmp_path: Path) -> None:
    file = wrote(tmp_path / "customers.csv", CUSTOMERS.replace("50", '"50,5"'))
    folder = tmp_path / "customers.csv.load"
    journal = str(folder / "journal.sqlite")
    first = shell.inside("load", "customer", file, "--key", "crmId")
    failed = (folder / "journal.failed.csv").read_text("utf-8")
    again = shell.inside("load", "customer", str(folder / "journal.failed.csv"), "--key", "crmId", "--journal", journal)
    assert (first.returncode, again.returncode) == (8, 8)
    assert again.stdout.splitlines()[0] == "1 row: 1 failed"
    assert (folder / "journal.failed.csv").read_text("utf-8") == failed


def test_a_load_that_is_refused_leaves_the_files_of_the_one_that_goes_on(shell: Shell, tmp_path: Path) -> None:
    file = wrote(tmp_path / "customers.csv", CUSTOMERS)
    folder = tmp_path / "customers.csv.load"
    assert shell.inside("load", "customer", file, "--key", "crmId").returncode == 0
    wrote(folder / ".journal.sqlite.results.part", "being written")
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in {".jsonl", ".csv", ".part"}}
    for name, said in (("journal.sqlite.lock", "another run has"), (".journal.sqlite.files.lock", "another load with")):
        lock = FileLock(folder / name)
        assert lock.acquire()
        try:
            done = shell.inside("load", "customer", file, "--key", "crmId")
        finally:
            lock.release()
        assert done.returncode == 10
        assert done.stderr.startswith(f"vismanet: {said} the journal")
    after = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in {".jsonl", ".csv", ".part"}}
    assert after == before


def test_a_rehearsal_names_every_mistake_with_its_place(shell: Shell, tmp_path: Path) -> None:
    text = (
        "crmId,name,creditLimit,status,printInvoices\n"
        'a,A,"1,5",Active,yes\n'
        "b,B,1.5,Actve,true\n"
        ",C,1,,\n"
        "a,D,1,,\n"
        "e,E\n"
        "f,F,1e3,,\n"
    )
    file = wrote(tmp_path / "c.csv", text)
    newer = "A value that is newer than the catalog is Other('Actve')."
    done = shell.inside("load", "customer", file, "--key", "crmId", "--dry-run", env={"VISMANET_CLIENT_ID": None})
    assert done.returncode == 8
    assert done.stdout.splitlines() == [
        f'{file}:2: column creditLimit: takes a number, and "1,5" has a decimal comma: write it with a point',
        f'{file}:2: column printInvoices: takes true or false, not "yes"',
        f"{file}:3: column status: status has no value 'Actve': did you mean 'Active' or 'Inactive'? {newer}",
        f"{file}:4: the column 'crmId' must hold a text or a whole number.",
        f"{file}:5: an earlier row of the input has the same key; it is not sent",
        f"{file}:6: the row has 2 cells, and the header 5.",
        f'{file}:7: column creditLimit: credit_limit (creditLimit) takes a number, not "1e3".',
        _SUMMARY,
    ]
    assert not shell.simulator.ledger
    assert not (tmp_path / "c.csv.load").exists()


def test_a_map_names_fields_values_and_what_is_left_out(shell: Shell, tmp_path: Path) -> None:
    file = wrote(tmp_path / "kunder.csv", "Nr;Navn;Land;Notat;_x\n7;Vega AS;NO;ring;1\n")
    wrote(
        tmp_path / "map.toml",
        'key = "Nr"\nignore = ["Notat"]\n'
        '[columns]\n"Navn" = "name"\n"Land" = "mainAddress.countryId"\n'
        '[values]\nstatus = "Active"\ncreditLimit = 10.10\n',
    )
    bare = shell.inside("load", "customer", file, "--map", str(tmp_path / "map.toml"))
    assert "--delimiter ';'" in bare.stderr
    done = shell.inside("load", "customer", file, "--map", str(tmp_path / "map.toml"), "--delimiter", ";")
    assert (done.returncode, done.stderr.splitlines()[-1:]) == (0, [done.stderr.splitlines()[-1]])
    assert bodies(shell) == [
        {
            "name": {"value": "Vega AS"},
            "mainAddress": {"value": {"countryId": {"value": "NO"}}},
            "status": {"value": "Active"},
            "creditLimit": {"value": Decimal("10.10")},
        }
    ]


def test_json_lines_and_stdin(shell: Shell, tmp_path: Path) -> None:
    lines = (
        '{"crm": 1, "name": "A", "creditLimit": 1.10, "mainAddress": {"countryId": "NO"}}\n'
        "\n"
        "no json\n"
        '{"crm": 2, "name": "B"}\n'
    )
    file = wrote(tmp_path / "c.jsonl", lines)
    done = shell.inside("load", "customer", file, "--key", "crm")
    assert (done.returncode, done.stdout.splitlines()[0]) == (8, "3 rows: 2 done, 1 failed")
    assert results(tmp_path / "c.jsonl.load")["row 3"]["error"].startswith("the line is not JSON")
    assert Decimal("1.10") in [each.get("creditLimit", {}).get("value") for each in bodies(shell)]
    with mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines.encode()))):
        journal = str(tmp_path / "other" / "j.sqlite")
        again = shell.inside("load", "customer", "-", "--key", "crm", "--journal", journal)
    assert (again.returncode, again.stdout.splitlines()[0]) == (8, "3 rows: 2 done, 1 failed")
    assert len(bodies(shell)) == 4
    with mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"crm,name\n9,Z\n"))):
        piped = shell.inside("load", "customer", "-", "--key", "crm", "--format", "csv", "--journal", journal)
    assert (piped.returncode, bodies(shell)[-1]) == (0, {"name": {"value": "Z"}})


def test_documents_with_lines(shell: Shell, tmp_path: Path) -> None:
    number = min(shell.do(shell.simulator.truth, "customer").keys)
    line = {"description": "Boots", "quantity": 2, "unitPriceInCurrency": 10}
    invoices = [{"externalReference": f"web-{n}", "customerNumber": number, "invoiceLines": [line]} for n in range(3)]
    file = wrote(tmp_path / "i.jsonl", "".join(json.dumps(each) + "\n" for each in invoices))
    done = shell.inside("load", "customer_invoice", file, "--key", "externalReference")
    assert done.returncode == 0, done.stdout
    [made, *_] = [json.loads(each.body) for each in shell.simulator.ledger.matching(path="/v1/customerinvoice")]
    assert made["invoiceLines"][0]["operation"] == "Insert"


def test_parquet(shell: Shell, tmp_path: Path) -> None:
    table = pa.table(
        {
            "crm": [1, 2],
            "name": ["A", "B"],
            "creditLimit": pa.array([Decimal("1.10"), Decimal("2.20")], pa.decimal128(18, 2)),
        }
    )
    pq.write_table(table, tmp_path / "c.parquet")
    done = shell.inside("load", "customer", str(tmp_path / "c.parquet"), "--key", "crm")
    assert done.returncode == 0, done.stderr
    sent = {each["name"]["value"]: str(each["creditLimit"]["value"]) for each in bodies(shell)}
    assert sent == {"A": "1.10", "B": "2.20"}, "to the digit; in which order they went is open"
    floats = pa.table({"crm": [3], "creditLimit": [0.1]})
    pq.write_table(floats, tmp_path / "f.parquet")
    wrong = shell.inside("load", "customer", str(tmp_path / "f.parquet"), "--key", "crm")
    assert wrong.returncode == 8
    assert "a float has already lost the exact amount" in wrong.stdout


def test_updates_are_looked_up_by_what_they_send(shell: Shell, tmp_path: Path) -> None:
    numbers = sorted(shell.do(shell.simulator.truth, "customer").keys)[:5]
    file = wrote(tmp_path / "u.csv", "number,name\n" + "".join(f"{each},New {each}\n" for each in numbers))
    shell.simulator.faults.add("reset_after", method="PUT", times=2)
    shell.simulator.faults.add("reset_before", method="PUT", after=2, times=1)
    arguments = ("load", "customer.update", file, "--key", "number", "--id", "number", "--settle-seconds", "0")
    done = shell.inside(*arguments)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "5 rows: 5 done"), done.stdout
    assert len(bodies(shell, "Customer_PutBycustomerCd")) == 5


def test_lost_answers_have_their_exit_code_and_find_looks_them_up(shell: Shell, tmp_path: Path) -> None:
    file = wrote(tmp_path / "c.csv", CUSTOMERS)
    shell.simulator.faults.add("reset_after", method="POST", times=1)
    shell.simulator.faults.add("reset_before", method="POST", after=1, times=1)
    done = shell.inside("load", "customer", file, "--key", "crmId")
    assert done.returncode == 7
    assert done.stdout.splitlines()[0] == "3 rows: 1 done, 2 unknown"
    assert "look them up before you send them again" in done.stdout
    looked = shell.inside(
        *("load", "customer", file, "--key", "crmId", "--find", "corporateId=corporateId", "--settle-seconds", "0")
    )
    assert (looked.returncode, looked.stdout.splitlines()[0]) == (0, "3 rows: 3 done (1 known from before)")
    assert sorted(each["name"]["value"] for each in bodies(shell)) == ["Blåbær AS", "Fjord, Fisk AS", "Vega AS"]
    assert all(each["id"] for each in results(tmp_path / "c.csv.load").values())


def test_another_record_whose_name_holds_the_name_is_not_taken_for_the_lost_one(shell: Shell, tmp_path: Path) -> None:
    names = ["Vega AS Nord", "Vega AS"]
    for number, name in enumerate(names):
        file = wrote(tmp_path / f"{number}.csv", f"crmId,name\n{number},{name}\n")
        if number:
            shell.simulator.faults.add("reset_before", method="POST", times=1)
        looked = ("--find", "name=name", "--settle-seconds", "0")
        done = shell.inside("load", "customer", file, "--key", "crmId", *looked)
        assert (done.returncode, done.stdout.splitlines()[0]) == (0, "1 row: 1 done"), done.stdout
    assert [each["name"]["value"] for each in bodies(shell)] == names


def test_an_upsert_creates_what_is_missing_and_updates_what_differs(shell: Shell, tmp_path: Path) -> None:
    first, second, *_ = sorted(shell.do(shell.simulator.truth, "customer").keys)
    columns = "No,name,overrideNumberSeries,creditLimit"
    lines = [f"{first},New {first},,7.50", "70000,Vega AS,true,", f"{second},Newer,,", f"{first},Twice,,"]
    file = wrote(tmp_path / "u.csv", "\n".join([columns, *lines, '71000,x,,"1,5"', ""]))
    names = wrote(tmp_path / "map.toml", '[columns]\nNo = "number"\n')
    before = len(shell.simulator.ledger)
    arguments = ("load", "customer", file, "--upsert", "number", "--map", names)
    told = shell.inside(*arguments, "--dry-run")
    lines = told.stdout.splitlines()
    assert (told.returncode, len(shell.simulator.ledger)) == (8, before)
    assert "u.csv:6: column creditLimit: takes a number" in lines[1]
    assert "u.csv:5: an earlier row of the input has the same key" in lines[0]
    assert f"u.csv:2: {first}: name: " in lines[2]
    assert "u.csv:3: 70000: create" in lines[3]
    assert "5 rows, 1 to be created, 2 to be updated, 2 mistakes. A run takes 3 requests" in lines[-1]
    done = shell.inside(*arguments)
    assert (done.returncode, done.stdout.splitlines()[0]) == (8, "5 rows: 1 created, 2 updated, 1 failed, 1 duplicate")
    assert {key: each["outcome"] for key, each in results(tmp_path / "u.csv.load").items() if key != first} == {
        second: "updated",
        "70000": "created",
        "row 6": "failed",
    }
    page = tmp_path / "nightly-load.html"
    again = shell.inside(*arguments, "--report", str(page))
    shown = page.read_text("utf-8")
    assert "<h1>Nightly load</h1>" in shown
    assert "5 rows: 3 unchanged, 1 failed, 1 duplicate." in shown
    assert "row 6" in shown
    assert again.stdout.splitlines()[0] == "5 rows: 3 unchanged, 1 failed, 1 duplicate"
    assert len(shell.simulator.ledger) == before + 3
    for wrong, said in (
        (("customer.update", file, "--upsert", "number"), "--upsert takes RESOURCE alone"),
        (("customer", file, "--upsert", "nope"), "there is no key 'nope'"),
        (("location", file, "--upsert", "x"), "location is not written by upsert"),
        (("customer", file, "--upsert", "corporateId", "--map", names), "has no column 'corporateId'"),
    ):
        refused = shell.inside("load", *wrong)
        assert (refused.returncode, len(shell.simulator.ledger)) == (2, before + 3)
        assert said in refused.stderr


def test_a_found_record_without_an_id_has_none() -> None:
    for number, told in (("10000", "10000"), (None, None), (UNSET, None)):
        found = _id(Customer(number=number, name="Vega AS"), ["number"])
        assert found == told or (told is None and isinstance(found, Customer))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("customer", "{}"), "say with --key which column tells the rows apart"),
        (("customer", "{}", "--key", "nope"), "has no column 'nope'"),
        (("custmer", "{}", "--key", "crmId"), "there is no resource 'custmer'"),
        (("customer.get", "{}", "--key", "crmId"), "is no write of a record"),
        (("customer.update", "{}", "--key", "crmId"), "takes --id for each of customer_cd"),
        (("customer", "{}", "--key", "crmId", "--id", "crmId"), "takes no --id"),
        (("customer", "{}", "--key", "crmId", "--find", "corporateId"), "is not FILTER=COLUMN"),
        (("customer", "{}", "--key", "crmId", "--find", "nope=crmId"), "there is no filter 'nope'"),
        (("customer", "no.csv", "--key", "crmId"), "no.csv: No such file or directory"),
        (("customer", "no.xlsx", "--key", "crmId"), "say what it is with --format"),
        (("customer", "{}", "--key", "name"), "there is no field 'crmId' for the column 'crmId' in CustomerUpdate"),
        (("customer", "-", "--key", "crmId"), "say with --journal"),
        (("customer", "{}", "--key", "crmId", "--delimiter", ";;"), "--delimiter takes one character"),
        (("customer", "{}", "--key", "crmId", "--journal", "."), "is a folder"),
    ],
)
def test_wrong_use_is_told_before_anything_is_sent(
    shell: Shell, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    file = wrote(tmp_path / "c.csv", CUSTOMERS)
    done = shell.inside("load", *(each.format(file) for each in arguments))
    assert done.returncode == 2
    assert said in done.stderr
    assert not shell.simulator.ledger


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "has no header"),
        (b"crmId,name,name\n1,a,b\n", "has the column 'name' twice"),
        (b"crmId,name,name \n1,a,b\n", "has the column 'name' twice"),
        (b"crmId,name,mainAddress,mainAddress.countryId\n", "fill the same field main_address.country_id"),
        (b"crmId,name\n1,\xff\n", "is not UTF-8"),
        (b'crmId,name\n1,"a\n', "is not CSV"),
        (b'crmId,"na"me\n', "is not CSV"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_before_anything_is_sent(
    shell: Shell, tmp_path: Path, content: bytes, said: str
) -> None:
    (tmp_path / "c.csv").write_bytes(content)
    done = shell.inside("load", "customer", str(tmp_path / "c.csv"), "--key", "crmId")
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to send")
def test_ctrl_c_ends_it_in_order_and_the_same_command_goes_on(shell: Shell, tmp_path: Path) -> None:
    file = wrote(tmp_path / "c.csv", "crmId,name\n" + "".join(f"{n},Customer {n}\n" for n in range(400)))
    # so slow after some rows that it is not through before it hears of the signal
    shell.do(lambda: shell.simulator.faults.add("latency", method="POST", after=12, seconds=1.0))
    with shell.start("load", "customer", file, "--key", "crmId", "--concurrency", "2") as process:
        wait_for(lambda: len(shell.simulator.ledger) > 10)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert process.returncode == 130, err
    assert "finishing what is under way" in err
    assert "Stopped: it was interrupted" in out
    assert "unknown" not in out
    assert len(shell.simulator.ledger) < 400
    assert {each["outcome"] for each in results(tmp_path / "c.csv.load").values()} <= {"done", "not_sent"}
    shell.do(shell.simulator.faults.clear)
    again = shell.inside("load", "customer", file, "--key", "crmId")
    assert again.returncode == 0
    assert sorted(each["name"]["value"] for each in bodies(shell)) == sorted(f"Customer {n}" for n in range(400))


def test_the_documents_of_a_list_are_released_once(shell: Shell, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    wanted = list(shell.do(shell.simulator.truth, "customer_invoice").keys)[:12]
    for number in wanted:
        shell.do(shell.simulator.touch, "customer_invoice", number, status="Balanced", hold=False)
    balanced = json.loads(shell.inside("call", "customer_invoice.list", "--status", "Balanced").stdout)
    command = ("release", "customer_invoice", "--where", "status=Balanced", "--settle-seconds", "0")
    rehearsed = shell.inside(*command, "--dry-run")
    assert rehearsed.returncode == 0
    assert rehearsed.stdout.startswith(f"{len(balanced)} rows, 0 mistakes. A run takes {len(balanced)} requests")
    shell.simulator.faults.add("reset_after", method="POST", times=2)
    shell.simulator.faults.add("reset_before", method="POST", after=2, times=2)
    done = shell.inside(*command)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, f"{len(balanced)} rows: {len(balanced)} done")
    released = shell.simulator.ledger.matching(
        operation="CustomerInvoice_ReleaseInvoiceByinvoiceNumber", succeeded=True
    )
    assert len({each.path for each in released}) == len(released) == len(balanced)
    last = max(index for index, request in enumerate(shell.simulator.requests) if request.query.get("status"))
    first = next(index for index, request in enumerate(shell.simulator.requests) if "/release" in request.path)
    assert last < first, "the list is read before it is changed"
    again = shell.inside(*command)
    assert (again.returncode, again.stdout.splitlines()[0]) == (0, "0 rows: nothing to do")


def test_what_an_earlier_release_left_unknown_is_looked_up_although_the_list_has_it_no_more(
    shell: Shell, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    number = next(iter(shell.do(shell.simulator.truth, "customer_invoice").keys))
    shell.do(shell.simulator.touch, "customer_invoice", number, status="Balanced", hold=False)
    shell.simulator.faults.add("reset_after", method="POST", times=1)
    broken = shell.simulator.faults.add("status", status=403, method="GET", path="/v1/customerinvoice/*")
    command = ("release", "customer_invoice", "--where", "status=Balanced", "--settle-seconds", "0")
    first = shell.inside(*command)
    assert first.returncode == 7
    broken.times = broken.hits = 1
    again = shell.inside(*command)
    assert again.returncode == 0, again.stdout
    assert "1 row: 1 done" in again.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("customer",), "is not released from a list"),
        (("customer_payment",), "needs a body"),
        (("customer_invoice",), "Say which with --where"),
        (("customer_invoice", "--dry-run"), "Say which with --where"),
        (("customer_invoice", "--where", "stats=Balanced"), "there is no filter 'stats'"),
        (("customer_invoice", "--where", "customer.status=Balanced"), "or is of customer"),
    ],
)
def test_wrong_use_of_release(shell: Shell, arguments: tuple[str, ...], said: str) -> None:
    done = shell.inside("release", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert shell.simulator.requests.total == 0

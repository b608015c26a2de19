from __future__ import annotations

import io
import json
import signal
import sys
import time
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from tests.support.hang import HANG_SECONDS
from vismanet_async._cli import main

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.cli.conftest import Shell


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("CLIENT_ID", "CLIENT_SECRET", "TENANT_ID", "TOKEN", "BASE_URL", "PROFILE", "PROFILE_FILE"):
        monkeypatch.delenv(f"VISMANET_{name}", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def answered(done: subprocess.CompletedProcess[str]) -> Any:
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def wrote(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def first(shell: Shell, resource: str) -> str:
    return str(min(shell.do(shell.simulator.truth, resource).keys))


# --- reads ---------------------------------------------------------------------------------------------------------


def test_a_record_comes_with_the_bytes_of_the_server(shell: Shell) -> None:
    number = first(shell, "customer")
    shell.simulator.behaviours.set(unknown_fields=True)
    done = shell.inside("call", "customer.get", number)
    assert answered(done)["number"] == number
    assert done.stdout.startswith('{"internalId":')  # the server's order and spacing
    assert shell.simulator.requests[-1].path == f"/v1/customer/{number}"


def test_a_list_is_an_array_with_a_row_a_line_and_its_filters_arrive(shell: Shell) -> None:
    filters = ("--where", "status=Active", "--last-modified-date-time", ">=2015-05-25", "--where", "name=a")
    done = shell.inside("call", "customer.list", *filters, "--limit", "7")
    rows = answered(done)
    assert len(rows) == 7
    assert len(done.stdout.splitlines()) == 9
    sent = shell.simulator.requests[-1].query
    assert sent["status"] == "Active"
    assert sent["name"] == "a"
    assert (sent["lastModifiedDateTime"], sent["lastModifiedDateTimeCondition"]) == ("2015-05-25", ">=")
    whole = answered(shell.inside("call", "customer.list", "--page-size", "400"))
    assert {row["number"] for row in whole} == set(shell.do(shell.simulator.truth, "customer").keys)


def test_an_empty_list_is_an_empty_array(shell: Shell) -> None:
    assert answered(shell.inside("call", "customer.list", "--name", "no such name")) == []


def test_a_file_is_saved(shell: Shell, tmp_path: Path) -> None:
    number = first(shell, "customer_invoice")
    path = answered(shell.inside("call", "customer_invoice.print", number, "--to", str(tmp_path / "a.pdf")))["path"]
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    assert path == str(tmp_path / "a.pdf")


# --- writes --------------------------------------------------------------------------------------------------------


def test_a_write_prints_id_and_etag_and_the_etag_guards_the_next_one(shell: Shell, tmp_path: Path) -> None:
    body = wrote(tmp_path / "new.json", '{"name": "Fjord Fisk AS", "creditLimit": 100.1000000000000001}')
    made = answered(shell.inside("call", "customer.create", "--json", body))
    assert b'"creditLimit":{"value":100.1000000000000001}' in shell.simulator.requests[-1].body
    changed = wrote(tmp_path / "change.json", '\ufeff{"name": "Fjord Fisk 2 AS"}')
    update = ("call", "customer.update", made["id"], "--json", changed, "--if-match", made["etag"])
    assert answered(shell.inside(*update))["etag"] != made["etag"]
    stale = shell.inside(*update)
    assert stale.returncode == 5
    assert "412" in stale.stderr
    assert stale.stdout == ""


def test_a_body_may_come_from_stdin(shell: Shell) -> None:
    with mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"name": "A"}'))):
        made = answered(shell.inside("call", "customer.create", "--json", "-"))
    assert shell.do(shell.simulator.truth, "customer").keys[-1] == made["id"]


def test_a_file_is_attached(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_bytes(b"hello")
    number = first(shell, "customer_invoice")
    answered(shell.inside("call", "customer_invoice.add_attachment", number, "--file", str(tmp_path / "note.txt")))
    assert b'filename="note.txt"' in shell.simulator.requests[-1].body


def test_an_interrupted_write_does_not_invite_to_send_it_again(shell: Shell, tmp_path: Path) -> None:
    body = wrote(tmp_path / "a.json", '{"name": "A"}')
    shell.simulator.faults.add("latency", path="/v1/customer", seconds=3600.0)
    with shell.start("call", "customer.create", "--json", body) as process:
        while not any(request.method == "POST" and "customer" in request.path for request in shell.simulator.requests):
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 130
    assert out == ""
    assert "look it up before sending it again" in err


def test_a_lost_answer_has_an_exit_code_of_its_own(shell: Shell, tmp_path: Path) -> None:
    shell.simulator.faults.add("reset_after", path="/v1/customer")
    done = shell.inside("call", "customer.create", "--json", wrote(tmp_path / "a.json", '{"name": "A"}'))
    assert (done.returncode, done.stdout) == (7, "")


def test_a_job_in_between_gives_the_same_result(shell: Shell, tmp_path: Path) -> None:
    number = first(shell, "customer")
    shell.do(shell.simulator.company().background.script, synchronous=True)
    done = shell.inside("call", "customer.get", number, "--background", "--store", str(tmp_path / "jobs.db"))
    assert json.loads(done.stdout)["number"] == number
    assert "vismanet jobs wait" in done.stderr
    assert shell.simulator.requests[-1].headers["erp-api-background"] == "none"


def test_the_sales_order_service_is_reached_too(shell: Shell, tmp_path: Path) -> None:
    orders = answered(shell.inside("call", "sales_order_service.list", "--order-type", "SO", "--limit", "3"))
    ids = ("SO", orders[0]["orderId"])
    order = answered(shell.inside("call", "sales_order_service.get", *ids, "--expand", "Billing,Shipping"))
    assert order["orderId"] == ids[1]
    assert shell.simulator.requests[-1].path.endswith(f"/api/v3/SalesOrders/SO/{ids[1]}")
    change = wrote(tmp_path / "change.json", '{"description": "by hand"}')
    etag = shell.inside("call", "sales_order_service.update", *ids, "--json", change)
    assert (etag.returncode, etag.stdout) == (2, "")
    assert "needs --if-match" in etag.stderr
    rows = answered(shell.inside("call", "salesOrderService.list_lines", *ids))
    stale = ("--if-match", "stale")
    gone = shell.inside("call", "sales_order_service.delete_lines", *ids, f"{rows[0]['lineId']}", *stale)
    assert gone.returncode == 5
    assert dict(shell.simulator.requests[-1].query) == {"ids": str(rows[0]["lineId"])}
    assert "412" in gone.stderr


# --- previews ------------------------------------------------------------------------------------------------------


def previewed(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, Any]:
    assert main(["call", *argv, "--preview"]) == 0
    shown: dict[str, Any] = json.loads(capsys.readouterr().out)
    return shown


def test_a_preview_needs_no_credentials_and_sends_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with mock.patch("vismanet_async._http.pool.SessionPool._open", side_effect=AssertionError("sent")):
        shown = previewed(capsys, "customer.get", "10 å")
        assert shown["url"] == "https://api.finance.visma.net/v1/customer/10%20%C3%A5"
        body = wrote(tmp_path / "a.json", '{"name": "A", "creditLimit": 1.10}')
        shown = previewed(capsys, "customer.update", "1", "--json", body, "--if-match", "AA=")
        assert (shown["method"], shown["headers"]) == ("PUT", {"If-Match": '"AA="'})
        assert shown["body"] == {"name": {"value": "A"}, "creditLimit": {"value": 1.1}}
        shown = previewed(capsys, "customer.list", "--limit", "5", "--expand-direct-debit", "true")
        assert ["expandDirectDebit", "true"] in shown["query"]
        assert ["pageSize", "5"] in shown["query"]
        assert "Authorization" not in shown["headers"]


def test_a_preview_of_a_guarded_action(capsys: pytest.CaptureFixture[str]) -> None:
    shown = previewed(capsys, "supplier_invoice.release", "7", "--if-match", "AA=", "--background")
    assert shown["headers"] == {"If-Match": '"AA="', "erp-api-background": "none"}


# --- wrong use -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["customer.gte", "1"], "Did you mean get"),
        (["custmer.get", "1"], "Did you mean customer"),
        (["customer"], "names no method"),
        (
            ["customer.get"],
            "needs the id customer_cd; nothing was sent. For example: vismanet call customer.get CUSTOMER_CD",
        ),
        (["customer.get", "1", "2"], "takes customer_cd alone, so '2' is one too many"),
        (
            ["customer.list", "1"],
            "takes no id, so '1' is one too many; nothing was sent. For example: vismanet call customer.",
        ),
        (["customer.zzzzz"], "`vismanet resources customer` lists what there is"),
        (["customer.list", "--zzzzz", "1"], "`vismanet resources customer.list` lists what there is"),
        (["zzzzz.get"], "`vismanet resources` lists what there is"),
        ([], "`vismanet call --help`"),
        (["sales_order_service.update", "SO"], "update ORDER_TYPE ORDER_ID --json FILE --if-match ETAG"),
        (["customer_invoice.print"], "print REF_NBR --to PATH"),
        (["customer_invoice.add_attachment"], "--file FILE"),
        (["customer.get", " "], "is empty"),
        (["customer.get_by_internal_id", "ten"], "'ten' cannot be read as a whole number"),
        (["customer.get", "1", "--previw", "x"], "there is no parameter 'previw'"),
        (["customer.get", "1", "--previw"], "--previw"),
        (["customer.list", "--stauts", "Active"], "Did you mean status"),
        (["customer.list", "--where", "stauts=Active"], "Did you mean status"),
        (["customer.list", "--where", "status"], "NAME=VALUE"),
        (["customer.list", "--where", "supplier.status=x"], "the call is of customer"),
        (["customer.list", "--where", "status=a", "--status", "b"], "given twice"),
        (["customer.list", "--where", "status>=a"], "no comparison here"),
        (["customer.list", "--where", "lastModifiedDateTime=2025-01-01"], "takes a comparison"),
        (["customer.list", "--where", "lastModifiedDateTime>=yesterday"], "not a moment"),
        (["customer.list", "--expand-direct-debit", "maybe"], "true or false"),
        (["customer.list", "--limit", "0"], "limit must be 1 or more"),
        (["customer.list", "--background"], "cannot run in the background"),
        (["customer.get", "1", "--limit", "3"], "takes no --limit"),
        (["customer.get", "1", "--to", "x"], "no file to save"),
        (["customer.get", "1", "--if-match", "x"], "does not honour If-Match"),
        (["customer.get", "1", "--json", "x"], "takes no --json"),
        (["customer.create"], "--json FILE"),
        (["customer.create", "--json", "absent.json"], "absent.json: No such file"),
        (["customer_invoice.print", "1"], "--to PATH"),
        (["customer_invoice.add_attachment", "1"], "needs --file"),
        (["supplier_invoice.release", "1", "--if-match", "x"], "add --background"),
        (["sales_order_service.update", "SO", "1", "--json", "x"], "needs --if-match"),
        (["sales_order_service.delete_lines", "SO", "1", "2,x", "--if-match", "x"], "whole numbers with commas"),
        (["budget.list"], "needs branch, ledger, financial_year"),
        (
            ["budget.list"],
            "For example: vismanet call budget.list --branch VALUE --ledger VALUE --financial-year VALUE",
        ),
        (["customer.get", "1"], "VISMANET_CLIENT_ID"),
    ],
)
def test_wrong_use_is_refused_before_anything_is_sent(
    argv: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    if {"--background", "--limit", " "} & {*argv}:  # told by the method itself
        argv = [*argv, "--preview"]
    assert main(["call", *argv]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("vismanet: ")
    assert err.count("\n") == 1
    assert said in err


def test_several_lines_are_an_array(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    body = wrote(tmp_path / "line.json", '{"quantity": 1}')
    argv = ["call", "sales_order_service.add_lines", "SO", "1", "--if-match", "x", "--json", body, "--preview"]
    assert main(argv) == 2
    assert "takes a JSON array" in capsys.readouterr().err
    wrote(tmp_path / "line.json", '["no object"]')
    assert main(argv) == 2
    assert main([*argv[:1], "sales_order_service.update_lines", *argv[2:]]) == 2
    assert "lines[0]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"name": "A",\n "x"}', "line 2 column"),
        ('{"name": "A", "name": "B"}', "'name' is there twice"),
        ('{"creditLimit": NaN}', "NaN is no JSON number"),
        ("", "line 1 column 1"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "mapping"),
        ('{"nmae": "A"}', "'nmae' in CustomerUpdate"),
        ('{"mainAddress": {"cuontry": "NO"}}', "'main_address.cuontry'"),
        ('{"creditLimit": "many"}', "credit_limit"),
    ],
)
def test_a_wrong_body_is_told_with_its_place(
    text: str, said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["call", "customer.create", "--json", wrote(tmp_path / "body.json", text), "--preview"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (b" \n", "(it is empty)"),
        ('{"name": "A"}'.encode("utf-16"), "(it is UTF-16, as PowerShell's > writes it: save it as UTF-8)"),
        (b"{'name': 'A'}", "(names and texts are in double quotes)"),
        (b'{"name": "A",}', None),
    ],
)
def test_a_malformed_body_has_a_hint(
    content: bytes, hint: str | None, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "body.json"
    path.write_bytes(content)
    assert main(["call", "customer.create", "--json", str(path), "--preview"]) == 2
    err = capsys.readouterr().err
    assert f"{path} is not JSON: " in err
    assert (f"{hint}; nothing was sent." in err) if hint else ("(it" not in err and "double quotes)" not in err)


@pytest.mark.parametrize(
    "given", ['{"name": "A"}', "'{name", '\'{"name": "A"}\'', ' [{"a": 1}]', '{"x": "' + "y" * 5000]
)
def test_json_itself_is_told_from_a_file(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["call", "customer.create", "--json", given]) == 2
    assert "that is the JSON itself; give the name of a file with it, or -" in capsys.readouterr().err


def test_exit_codes_follow_what_the_server_says(shell: Shell) -> None:
    missing = shell.inside("call", "customer.get", "no-such-customer")
    assert (missing.returncode, missing.stdout) == (5, "")
    assert "404" in missing.stderr
    shell.simulator.behaviours.set(approved=False)
    assert shell.inside("call", "customer.get", "1").returncode == 3

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from importlib import resources
from typing import TYPE_CHECKING

from tests.support.hang import HANG_SECONDS
from vismanet_async._cli import main

if TYPE_CHECKING:
    import pytest


def test_every_operation_is_told_with_id_method_and_path(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resources", "--json"]) == 0
    told = {one["id"]: (one["method"], one["path"]) for one in json.loads(capsys.readouterr().out)}
    catalog = resources.files("vismanet_async._api").joinpath("catalog/operations.json").read_text()
    facts = {one["id"]: (one["method"], one["path"]) for one in json.loads(catalog)["operations"]}
    assert facts.items() <= told.items()


def test_one_resource_shows_its_operations_and_filters(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resources", "customer_invoice"]) == 0
    out = capsys.readouterr().out
    assert "CustomerInvoice_GetAll" in out
    assert "/v1/customerinvoice" in out.lower()
    assert "last_modified_date_time" in out


def test_all_resources_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resources"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert not [line for line in lines if (line.split()[1] == "1") is not (line.split()[2] == "operation")]
    assert {"customer", "customer_invoice", "supplier", "supplier_invoice", "inventory"} <= {
        line.split()[0] for line in lines
    }


def test_an_unknown_resource_gets_the_nearest_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resources", "custmer"]) == 2
    err = capsys.readouterr().err
    assert "customer" in err
    assert err.count("\n") == 1


def test_a_reader_who_has_read_enough_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "vismanet_async", "resources", "--json"],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_operation_shows_what_it_takes_gives_and_honours(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resources", "supplier_invoice.release"]) == 0
    out = capsys.readouterr().out
    assert "POST /v1/supplierInvoice/{invoiceNumber}/action/release" in out
    assert "if-match    in the background only" in out
    assert "invoice_number (str)" in out
    assert "Queued | InProcess | Failed | Done" in out
    assert main(["resources", "customer.list"]) == 0
    out = capsys.readouterr().out
    assert "status (Active | OnHold" in out
    assert "expand_direct_debit (true or false)" in out
    assert "last_modified_date_time (date with" in out
    assert "key         number\n" in out
    assert main(["resources", "customer_invoice.list"]) == 0
    assert "key         documentType, referenceNumber\n" in capsys.readouterr().out
    assert main(["resources", "budget"]) == 0
    assert "branch (text; needed)" in capsys.readouterr().out
    assert main(["resources", "salesOrder.get"]) == 0
    assert "use `sales_order_service`" in capsys.readouterr().out


def test_an_operation_as_json_has_its_fields(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resources", "customer.update", "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)
    assert (one["body"], one["if_match"], one["background"]) == ("CustomerUpdate", "always", True)
    fields = {field["name"]: field for field in one["models"]["CustomerUpdate"]}
    assert fields["credit_limit"] == {
        "name": "credit_limit",
        "api_name": "creditLimit",
        "type": "Number",
        "wrapped": True,
    }
    assert "Active" in fields["status"]["values"]
    assert "country_id" in {field["name"] for field in one["models"]["AddressUpdate"]}


def test_an_unknown_operation_gets_the_nearest_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resources", "customer.updat"]) == 2
    assert "Did you mean update" in capsys.readouterr().err


def test_a_terminal_gets_the_same_words() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    with contextlib.redirect_stdout(Terminal()) as out:
        assert main(["resources", "customer.update"]) == 0
    assert "Customer_PutBycustomerCd" in out.getvalue()
    assert "credit_limit" in out.getvalue()

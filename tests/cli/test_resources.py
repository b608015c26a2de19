from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import resources
from typing import TYPE_CHECKING

from vismanet_async.cli import main

if TYPE_CHECKING:
    import pytest


def test_every_operation_is_told_with_id_method_and_path(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resources", "--json"]) == 0
    told = {one["id"]: (one["method"], one["path"]) for one in json.loads(capsys.readouterr().out)}
    catalog = resources.files("vismanet_async.api").joinpath("catalog/operations.json").read_text()
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
        timeout=60,
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")

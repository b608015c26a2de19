"""`vismanet doctor --drift`: the catalog against the simulator's own description, and against altered ones."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from vismanet_async._simulator.catalog import load
from vismanet_async._simulator.openapi import document

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Shell


def described(path: Path, *, altered: bool) -> str:
    made = document(load(), "http://127.0.0.1", "http://127.0.0.1/token")
    if altered:
        made["paths"]["/v1/inventoryTransaction"] = {"get": {}}
        given = made["paths"]["/v1/customer"]["get"]["parameters"]
        given[:] = [one for one in given if one["name"] != "email"]
        made["components"]["schemas"]["CustomerDto"]["properties"]["status"]["enum"].append("Paused")
    path.write_text(json.dumps(made), "utf-8")
    return str(path)


def test_the_service_at_a_url(shell: Shell) -> None:
    asked = len(shell.simulator.requests)
    done = shell.inside("doctor", "--drift", f"{shell.simulator.base_url}/openapi.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("of the catalog compared: 0 new, 0 gone, 0 changed.\n")
    assert done.stdout.count("\n") == 1
    assert {(one.method, one.path) for one in list(shell.simulator.requests)[asked:]} <= {("GET", "/openapi.json")}


def test_what_differs_in_a_file(shell: Shell, tmp_path: Path) -> None:
    done = shell.inside("doctor", "--drift", described(tmp_path / "openapi.json", altered=True))
    assert (done.returncode, done.stderr) == (1, "")
    *rows, last = done.stdout.splitlines()
    assert [row.split() for row in rows] == [
        ["gone", "parameter", "GET", "/v1/customer", "email", "string"],
        ["new", "operation", "GET", "/v1/inventoryTransaction"],
        ["changed", "field", "CustomerDto", "status", "new", "values:", "Paused"],
    ]
    assert last.endswith("1 new, 1 gone, 1 changed.")


def test_the_sales_order_service(shell: Shell) -> None:
    source = f"{shell.simulator.sales_order_url}/swagger/v3/swagger.json"
    done = shell.inside("doctor", "--drift", source)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == (
        "19 operations and 565 fields of the catalog of the Sales Order service compared: 0 new, 0 gone, 1 changed."
    )
    assert json.loads(shell.inside("doctor", "--drift", source, "--json").stdout)["service"] == "sales_order"


def test_as_json(shell: Shell, tmp_path: Path) -> None:
    source = described(tmp_path / "openapi.json", altered=True)
    done = shell.inside("doctor", "--drift", source, "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 1
    assert (told["source"], told["counts"]) == (source, {"gone": 1, "new": 1, "changed": 1})
    assert told["differences"][0] == {
        "change": "gone",
        "kind": "parameter",
        "where": "GET /v1/customer",
        "name": "email",
        "detail": "string",
    }
    same = shell.inside("doctor", "--json", "--drift", described(tmp_path / "same.json", altered=False))
    assert (same.returncode, json.loads(same.stdout)["differences"]) == (0, [])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("openapi: 3.2.0", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ('{"swagger": "2.0"}', "has no OpenAPI 3 document"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_is_none_is_wrong_use(shell: Shell, tmp_path: Path, content: str | None, told: str) -> None:
    path = tmp_path / "openapi.json"
    if content is not None:
        path.write_text(content, "utf-8")
    done = shell.inside("doctor", "--drift", str(path))
    assert done.returncode == 2
    assert told in done.stderr


def test_a_url_without_a_document_is_the_service_s_failure(shell: Shell) -> None:
    done = shell.inside("doctor", "--drift", f"{shell.simulator.base_url}/nothing.json")
    assert done.returncode == 5
    assert "answered with 404 instead of a document" in done.stderr
    done = shell.inside("doctor", "--drift", "http://127.0.0.1:9/openapi.json")
    assert done.returncode == 5
    assert "gave no document" in done.stderr
    assert "Save it with a browser" in done.stderr

"""The counted table is counted right, and no difference to a later document is left open."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.api.support import CATALOG, enums, operations, schemas
from vismanet_async._api.generator.counts import verdict
from vismanet_async._api.generator.facts import load

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "catalog.md").read_text("utf-8")
FACTS = load()
DIFFERENCES = json.loads((CATALOG / "differences.json").read_text("utf-8"))["differences"]


def counted(what: str) -> list[int]:
    (row,) = re.findall(rf"^\| {re.escape(what)} \| (.*) \|$", PAGE, re.MULTILINE)
    return [int(each) for each in re.findall(r"\d+", row)]


def test_the_totals_are_those_of_the_files() -> None:
    known = list(operations().values())
    fields = [field for shape in schemas().values() for field in shape["fields"].values()]
    assert counted("operations")[0] == len(known) == sum(counted("operations")[1:])
    assert counted("shapes") == [len(schemas()), len(fields)]
    assert counted("enumerations") == [len(enums()), sum(len(one["values"]) for one in enums().values())]
    assert counted("query parameters") == [sum(len(one["query"]) for one in known)]
    for what, flag in (("take If-Match", "if_match"), ("can run in the background", "background"), ("ended", "ended")):
        assert counted(what) == [len([one for one in known if one.get(flag)])]


def test_the_resources_add_up() -> None:
    rows = re.findall(r"^\| \[\w+\]\(coverage\.md#\w+\) \| (.*) \|$", PAGE, re.MULTILINE)
    sums = [
        sum(int(cell or 0) for cell in column)
        for column in zip(*(re.split(r" ?\| ", row) for row in rows), strict=True)
    ]
    assert sums[0] == counted("operations")[0]
    assert sums[1] == counted("query parameters")[0]
    assert sums[4:] == [counted(what)[0] for what in ("take If-Match", "answer with an ETag", "paged lists", "ended")]


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda one: f"{one['kind']} {one['where']}")
def test_each_difference_is_in_the_catalog_or_explained(difference: dict[str, Any]) -> None:
    assert difference["source"].startswith("https://")
    assert verdict(difference, FACTS) == difference.get("explained", "in the catalog")


@pytest.mark.parametrize(
    ("difference", "told"),
    [
        ({"kind": "field", "where": "CustomerDto", "names": ["name", "newField"]}, "neither in the catalog nor"),
        ({"kind": "field", "where": "CustomerDto", "names": ["name"], "explained": "x"}, "explained, and in the"),
        ({"kind": "operation", "where": "GET /v1/inventoryTransaction"}, "neither in the catalog nor"),
        ({"kind": "if_match", "where": "GET /v1/customer"}, "neither in the catalog nor"),
        ({"kind": "etag", "where": "DELETE /v1/customer"}, "neither in the catalog nor"),
        ({"kind": "ended", "where": "GET /v1/customer"}, "neither in the catalog nor"),
        ({"kind": "parameter", "where": "GET /v1/customer", "names": ["top"]}, "neither in the catalog nor"),
    ],
)
def test_an_open_difference_stops_the_generator(difference: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        verdict(difference, FACTS)

"""Columns of a file and the fields that they fill."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from vismanet_async._bulk.target import with_inserts
from vismanet_async._cli.load_columns import Column, ColumnMap, columns_of, filled, read_map
from vismanet_async._cli.load_input import open_table
from vismanet_async.errors import RequestRefused, UnknownName

if TYPE_CHECKING:
    from pathlib import Path

NOTHING = ColumnMap()


def record(model: str, row: dict[str, Any], known: ColumnMap = NOTHING) -> Any:
    columns = columns_of(list(row), model, known, aside=())
    constants = {
        column.path: known.values[name]
        for name, column in zip(known.values, [each for each in columns if not each.name], strict=True)
    }
    return filled(columns, row, constants)


@pytest.mark.parametrize(
    ("row", "sent"),
    [
        ({"name": "A"}, {"name": "A"}),
        ({"credit_limit": "1.10"}, {"creditLimit": "1.10"}),
        ({"creditLimit": " 1.10 "}, {"creditLimit": "1.10"}),
        ({"name": " A "}, {"name": " A "}),
        ({"creditLimit": Decimal("1.10")}, {"creditLimit": Decimal("1.10")}),
        ({"mainAddress.countryId": "NO"}, {"mainAddress": {"countryId": "NO"}}),
        ({"main_address.country_id": "NO", "mainAddress.city": ""}, {"mainAddress": {"countryId": "NO"}}),
        ({"mainAddress": '{"city": "Oslo"}'}, {"mainAddress": {"city": "Oslo"}}),
        ({"mainAddress": {"city": "Oslo"}}, {"mainAddress": {"city": "Oslo"}}),
        (
            {"printInvoices": "TRUE", "acceptAutoInvoices": "false"},
            {"printInvoices": True, "acceptAutoInvoices": False},
        ),
        ({"printInvoices": True}, {"printInvoices": True}),
        ({"name": None, "corporateId": ""}, {}),
        ({"_error": "x", "name": "A"}, {"name": "A"}),
        ({"attributeLines[0].attributeId": "A", "attributeLines.1.attributeId": "B"}, "lines"),
        ({"attributeLines[7].attributeId": "A", "attributeLines[3].attributeId": "B"}, "turned"),
    ],
)
def test_what_a_row_becomes(row: dict[str, Any], sent: Any) -> None:
    lines = {
        "lines": {"attributeLines": [{"attributeId": "A"}, {"attributeId": "B"}]},
        "turned": {"attributeLines": [{"attributeId": "B"}, {"attributeId": "A"}]},
    }
    assert record("CustomerUpdate", row) == (lines[sent] if isinstance(sent, str) else sent)


def test_lines_of_what_is_created_are_inserted() -> None:
    given = {"attributeLines": [{"attributeId": "A"}, {"attributeId": "B", "operation": "Update"}], "name": "x"}
    assert with_inserts("CustomerDirectDebitUpdate", {"id": "x"}) == {"id": "x"}
    assert with_inserts("CustomerUpdate", {"direct_debit_lines": "no list"}) == {"direct_debit_lines": "no list"}
    lines = with_inserts("CustomerInvoiceUpdate", {"invoiceLines": [{"lineNumber": 1}, {"operation": "Delete"}]})
    assert lines == {"invoiceLines": [{"operation": "Insert", "lineNumber": 1}, {"operation": "Delete"}]}
    assert with_inserts("CustomerUpdate", given) == given, "attributes say nothing of the kind"


def test_a_map_renames_leaves_out_and_adds() -> None:
    known = ColumnMap(columns={"Land": "mainAddress.countryId"}, values={"status": "Active"}, ignore=["Notat"])
    row = {"Land": "NO", "Notat": "x", "name": "A"}
    expected = {"mainAddress": {"countryId": "NO"}, "name": "A", "status": "Active"}
    assert record("CustomerUpdate", row, known) == expected


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"creditLimit": "1,5"}, 'column creditLimit: takes a number, and "1,5" has a decimal comma'),
        ({"creditLimit": "1 000,50"}, "has a decimal comma"),
        ({"printInvoices": "ja"}, "column printInvoices: takes true or false"),
        ({"mainAddress": "Oslo"}, "column mainAddress: takes JSON"),
        ({"mainAddress": '{"city": 1, "city": 2}'}, "is there twice in one object"),
        ({"nmae": "A"}, "there is no field 'nmae' for the column 'nmae' in CustomerUpdate"),
        ({"mainAddress.cty": "A"}, "there is no field 'mainAddress.cty'"),
        ({"name.x": "A"}, "there is no field 'name.x'"),
        ({"attributeLines.#x": "A"}, "there is no field 'attributeLines.#x'"),
        ({"name[0]": "A"}, r"there is no field 'name\[0\]'"),
        ({"attributeLines[1000].attributeId": "A"}, "there is no field"),
        ({"attributeLines.#no": "A"}, "there is no field 'attributeLines.#no'"),
        ({"attributeLines.#": "A"}, "there is no field"),
        ({f"attributeLines[{'9' * 5000}].attributeId": "A"}, "there is no field"),
        ({"name": "A", "mainAddress": {}, "mainAddress.city": "x"}, "fill the same field main_address.city"),
        ({"creditLimit": "1", "credit_limit": "2"}, "'creditLimit' and 'credit_limit' fill the same field"),
    ],
)
def test_what_is_refused(row: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestRefused, match=said):
        record("CustomerUpdate", row)


def test_a_closed_stdin_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    table = open_table("-", file_format="jsonl", delimiter=",")
    with pytest.raises(RequestRefused, match=r"^stdin is closed: .*nothing was sent\.$"):
        next(table.read())


def test_an_unknown_column_names_the_nearest_fields() -> None:
    with pytest.raises(UnknownName) as caught:
        columns_of(["creditLimt"], "CustomerUpdate", NOTHING, aside=())
    assert "creditLimit" in caught.value.nearest
    aside = columns_of(["crmId", "name"], "CustomerUpdate", NOTHING, aside=["crmId"])
    assert aside == [Column(name="name", path=("name",), field="name", kind="str")]
    with pytest.raises(RequestRefused, match="this method has no body"):
        columns_of(["name"], None, NOTHING, aside=())
    with pytest.raises(RequestRefused, match="names the column 'x', which the file does not have"):
        columns_of(["name"], "CustomerUpdate", ColumnMap(columns={"x": "name"}), aside=())
    with pytest.raises(RequestRefused, match="a value of the map fill the same field name"):
        columns_of(["name"], "CustomerUpdate", ColumnMap(values={"name": "A"}), aside=())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x", "is not TOML"),
        ("colums = 1", "colums is none of columns, values, ignore, key, ids"),
        ("columns = 1", "columns takes a table"),
        ('ignore = "a"', "ignore takes a list"),
        ("key = 1", "key takes a text"),
    ],
)
def test_maps_that_are_none(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "map.toml").write_text(text)
    with pytest.raises(RequestRefused, match=said):
        read_map(tmp_path / "map.toml")


def test_maps(tmp_path: Path) -> None:
    assert read_map(None) == NOTHING
    with pytest.raises(RequestRefused, match="No such file"):
        read_map(tmp_path / "none.toml")
    (tmp_path / "map.toml").write_text("[values]\ncreditLimit = 1.1000000000000000001\n")
    assert read_map(tmp_path / "map.toml").values == {"creditLimit": Decimal("1.1000000000000000001")}

from __future__ import annotations

import contextlib
import csv
import io
import re
from typing import TYPE_CHECKING, Any

import duckdb
import msgspec
import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from tests.export.pages import page, put_in_place
from vismanet_async._columns.coerce import decode_row
from vismanet_async._columns.schema import Column, columns_of, leaves
from vismanet_async._export.formats.csv import CsvOptions
from vismanet_async._export.sinks.csv import CsvSink
from vismanet_async._export.sinks.csv_columns import ColumnCells
from vismanet_async._export.target.manifest import part_fault
from vismanet_async.errors import ExportError, RequestRefused

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vismanet_async._export.target.manifest import Part

COLUMNS = (
    Column("number", "text"),
    Column("amount", "decimal"),
    Column("active", "boolean"),
    Column(
        "address",
        "record",
        fields=(Column("city", "text"), Column("country", "record", fields=(Column("id", "text"),))),
    ),
    Column("lines", "record", repeated=True, fields=(Column("price", "decimal"),)),
)
HEADER = "number,amount,active,address.city,address.country.id,lines,_extra\r\n"


@pytest.fixture(autouse=True, params=["row by row", "column by column"])
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the cells in both ways; by default the first rows of a list go row by row, and tell the columns."""
    lines = ColumnCells.lines

    def by_columns(self: ColumnCells, rows: Sequence[Any], **kwargs: Any) -> str | None:
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
            for row in rows:
                self.learn(decode_row(row), place=self._odd)
        return lines(self, rows, **kwargs)

    by_rows = request.param == "row by row"
    monkeypatch.setattr(ColumnCells, "lines", (lambda *_, **__: None) if by_rows else by_columns)


def export(
    directory: Path,
    *bodies: bytes,
    columns: Sequence[Column] = COLUMNS,
    part_bytes: int = 1 << 20,
    dropped: Sequence[int] = (),
    **options: Any,
) -> tuple[Part, ...]:
    sink = CsvSink(
        directory,
        columns=columns,
        operation_id="Made_GetUp",
        part_bytes=part_bytes,
        options=CsvOptions(**options),
    )
    for body in bodies:
        sink.write(page(body))
    parts = sink.finish(dropped=dropped)
    put_in_place(directory)
    assert [part_fault(directory.parent, part) for part in parts] == [None] * len(parts)
    assert not list(directory.glob("*.tmp"))
    return parts


def text(tmp_path: Path, *bodies: bytes, **options: Any) -> str:
    (part,) = export(tmp_path / "made_up", *bodies, **options)
    return (tmp_path / part.file).read_bytes().decode()


def test_records_are_flattened_and_numbers_are_the_servers_text(tmp_path: Path) -> None:
    body = (
        b'[{"number":"000050","amount":1234567890123.4500,"active":true,'
        b'"address":{"city":"Oslo, N","country":{"id":"NO"}},"lines":[{"price":1E+5},{"price":12.10}]},'
        b'{"amount":-0.50,"address":{"country":null},"number":"say \\"hi\\""},{}]'
    )
    assert text(tmp_path, body) == (
        f"{HEADER}"
        '000050,1234567890123.4500,true,"Oslo, N",NO,"[{""price"":1E+5},{""price"":12.10}]",\r\n'
        '"say ""hi""",-0.50,,,,,\r\n'
        ",,,,,,\r\n"
    )


def test_what_has_no_column_stands_in_extra(tmp_path: Path) -> None:
    body = (
        b'[{"number":"1","new":1.50,"address":{"city":"A","zone":["x"]}},'
        b'{"address":"Oslo","amount":{"value":1.10}},null]'
    )
    rows = list(csv.DictReader(io.StringIO(text(tmp_path, body), newline="")))
    assert rows[0]["_extra"] == '{"new":1.50,"address":{"zone":["x"]}}'
    assert rows[1]["_extra"] == '{"address":"Oslo"}'
    assert rows[1]["amount"] == '{"value":1.10}'
    assert set(rows[2].values()) == {""}


def test_plain_values_have_one_column(tmp_path: Path) -> None:
    columns = columns_of("Dimension_GetDimensionList")
    assert text(tmp_path, b'["A","B"]', columns=columns) == "value,_extra\r\nA,\r\nB,\r\n"


@pytest.mark.parametrize(
    ("given_text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("=HYPERLINK(0)", "'=HYPERLINK(0)"),
        ("+47 22 33 44 55", "+47 22 33 44 55"),
        ("+47\u00a022\u00a033", "+47\u00a022\u00a033"),
        ("+4722334455", "+4722334455"),
        ("+(47) 22 33", "+(47) 22 33"),
        ("+47-22", "'+47-22"),
        ("+47/22", "'+47/22"),
        ("+47 22|x", "'+47 22|x"),
        ("+47 22-33", "'+47 22-33"),
        ("+47 22 33=1", "'+47 22 33=1"),
        ("+47(22)", "'+47(22)"),
        ("+A1", "'+A1"),
        ("-47 22 33", "'-47 22 33"),
        ("-cmd", "'-cmd"),
        ("-1+1", "'-1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t'=1"),
        ("\r=1", "'\r'=1"),
        ("\n=1", "'\n'=1"),
        ("-", "'-"),
        ("-5", "-5"),
        ("-1234.7700", "-1234.7700"),
        ("-1,5", "-1,5"),
        ("a=b", "a=b"),
        ("'=1", "'=1"),
        ("", ""),
    ],
)
def test_formulas_are_neutralised_unless_switched_off(tmp_path: Path, given_text: str, cell: str) -> None:
    body = msgspec.json.encode([{"number": given_text, "amount": -5, "address": {"city": given_text}}])
    (row,) = csv.DictReader(io.StringIO(text(tmp_path, body), newline=""))
    assert (row["number"], row["address.city"], row["amount"]) == (cell, cell, "-5")
    (row,) = csv.DictReader(io.StringIO(text(tmp_path, body, neutralise_formulas=False), newline=""))
    assert row["number"] == given_text


FORMULAS = [
    "a;=1+1", "a,=1+1", "a\t=1+1", "a\n=1+1", "a\r\n@SUM(A1)", "a; =1+1", "a;\u00a0=1+1", 'a;"=1+1', 'a,""=1+1',
    ";=1", "a;+47", "a,-2+3", "a;\uff1d1+1", "\uff1d1+1", "\uff0b1", "\uff0d1", "\uff20SUM", " =1+1", "\u00a0=1+1",
    "\ufeff=1+1", "\u200b=1+1", "\x00=1+1", "\u2028=1+1", "\u3000=1+1", "\u202e=1+1", "a;\u200b@b", "a;=1;=2",
    "=1,=2", "\u00ad=1",
]  # fmt: skip


@pytest.mark.parametrize("delimiter", [",", ";", "|"])
def test_no_cell_is_a_formula_however_a_spreadsheet_splits(tmp_path: Path, delimiter: str) -> None:
    """Also not where it splits at another character than the file does, and so takes no quote for one that opens."""
    given_rows: list[dict[str, Any]] = [
        {"number": one, "address": {"city": one}, "lines": [one, {"a": one}], f"{one}x": one} for one in FORMULAS
    ]
    content = text(tmp_path, msgspec.json.encode(given_rows), delimiter=delimiter)
    for split in ",;\t" + delimiter:
        for line in csv.reader(io.StringIO(content, newline=""), delimiter=split):
            for cell in line:
                shown = re.sub(r"^[\s\x00-\x20\xad\u200b-\u200f\u202a-\u202e\ufeff]+", "", cell)
                assert not re.match(r"[=+@\uff1d\uff0b\uff0d\uff20-]", shown), (cell, split)
    # read as it is meant, JSON is the same JSON
    rows = csv.DictReader(io.StringIO(content, newline=""), delimiter=delimiter)
    for row, given_row, formula in zip(rows, given_rows, FORMULAS, strict=True):
        assert msgspec.json.decode(row["lines"]) == given_row["lines"]
        assert msgspec.json.decode(row["_extra"]) == {f"{formula}x": formula}


def test_cells_with_an_apostrophe_are_counted(tmp_path: Path) -> None:
    sink = CsvSink(tmp_path / "made_up", columns=COLUMNS, operation_id="Made_GetUp")
    sink.write(page(msgspec.json.encode([{"number": "=1"}, {"number": "+47 22", "address": {"city": "@a"}}])))
    assert sink.notes.neutralised.counts() == {"cells": 2}
    # a page that is written once more, carefully; the JSON only has its sign escaped
    sink.write(page(msgspec.json.encode([{"number": "a;=1;=2"}, {"number": "=1", "lines": ["=1"]}, {"number": "x"}])))
    assert sink.notes.neutralised.counts() == {"cells": 4}
    assert sink.notes.neutralised.counts(without={2}) == {"cells": 3}
    sink.close()


def test_texts_that_are_no_formulas_stay_as_they_are(tmp_path: Path) -> None:
    plain = [
        "a;b",
        "a, b",
        "-5",
        "-1,5",
        "x=y",
        "Nord-Vest; S\u00f8r",
        "a\nb",
        "50 % - 3",
        "x;5",
        "a@b.no, c@d.no",
        "Tlf; +47 22 33 44 55; +47 66 77",
        "+46 (0)8 123 456 78",
        "Tlf\n+47 22",
    ]
    content = text(tmp_path, msgspec.json.encode([{"number": one} for one in plain]))
    rows = csv.DictReader(io.StringIO(content, newline=""))
    assert [row["number"] for row in rows] == plain


def test_an_unknown_key_cannot_smuggle_a_formula(tmp_path: Path) -> None:
    (row,) = csv.DictReader(io.StringIO(text(tmp_path, b'[{"new":"=1+1","lines":["=1+1"]}]'), newline=""))
    assert row["_extra"].startswith("{")
    assert row["lines"].startswith("[")


def test_each_part_has_the_header_and_the_mark_if_asked_for(tmp_path: Path) -> None:
    body = msgspec.json.encode([{"number": str(number)} for number in range(100)])
    parts = export(tmp_path / "made_up", body, body, part_bytes=100, byte_order_mark=True)
    assert [part.rows for part in parts] == [100, 100]
    for part in parts:
        assert (tmp_path / part.file).read_bytes().startswith(b"\xef\xbb\xbf" + HEADER.encode() + b"0,")


def test_an_empty_list_has_the_header(tmp_path: Path) -> None:
    assert text(tmp_path) == HEADER
    assert text(tmp_path, b"[]") == HEADER


@pytest.mark.parametrize("dropped", [[0], [3, 4], [1, 2, 5], list(range(6))])
def test_dropped_rows_are_taken_out_also_around_line_breaks(tmp_path: Path, dropped: list[int]) -> None:
    names = ["a", 'b\r\n"x"\n', "\n", "", '"', "last"]
    bodies = [msgspec.json.encode([{"number": name, "amount": index}]) for index, name in enumerate(names)]
    parts = export(tmp_path / "made_up", *bodies, dropped=dropped, neutralise_formulas=False)
    rows = list(csv.DictReader(io.StringIO((tmp_path / parts[0].file).read_bytes().decode(), newline="")))
    kept = [(name, str(index)) for index, name in enumerate(names) if index not in dropped]
    assert [(row["number"], row["amount"]) for row in rows] == kept
    assert parts[0].rows == len(kept)


def test_broken_text_is_refused_with_its_row(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"Made_GetUp: row 1 .* cannot be read: .*Nothing was published"):
        export(tmp_path / "made_up", b'[{"number":"1"},{"number":"\xff"}]')


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ROWS = st.lists(
    st.fixed_dictionaries(
        {}, optional={"number": TEXTS, "address": st.fixed_dictionaries({"city": TEXTS}), "new": TEXTS}
    )
)


@settings(deadline=None)
@given(rows=ROWS)
def test_any_text_comes_back(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]) -> None:
    content = text(tmp_path_factory.mktemp("any"), msgspec.json.encode(rows), neutralise_formulas=False)
    back = list(csv.DictReader(io.StringIO(content, newline="")))
    assert len(back) == len(rows)
    for row, there in zip(rows, back, strict=True):
        assert there["number"] == row.get("number", "")
        assert there["address.city"] == row.get("address", {}).get("city", "")
        assert (msgspec.json.decode(there["_extra"] or "{}")).get("new") == row.get("new")


def test_duckdb_and_polars_read_it(tmp_path: Path) -> None:
    columns = columns_of("CustomerInvoice_GetAll")
    body = (
        b'[{"referenceNumber":"000050","amount":1234567890123.4567,"customer":{"name":"Bl\xc3\xa5, \\"AS\\"\\n"}},'
        b'{"referenceNumber":"000051","amount":-12.10}]'
    )
    (part,) = export(tmp_path / "customer_invoice", body, columns=columns)
    path = str(tmp_path / part.file)
    frame = pl.read_csv(path, infer_schema=False)
    assert frame.columns == [*map(".".join, leaves(columns)), "_extra"]
    assert frame["amount"].to_list() == ["1234567890123.4567", "-12.10"]
    assert frame["customer.name"].to_list() == ['Blå, "AS"\n', None]
    with duckdb.connect() as db:
        query = 'select referenceNumber, amount, "customer.name" from read_csv(?, all_varchar = true)'
        assert db.execute(query, [path]).fetchall() == [
            ("000050", "1234567890123.4567", 'Blå, "AS"\n'),
            ("000051", "-12.10", None),
        ]


def test_as_a_nordic_spreadsheet_expects_it(tmp_path: Path) -> None:
    body = b'[{"number":"1.5","amount":1234.50,"address":{"city":"Oslo; N"},"lines":[{"price":1.5}]},{"amount":-2E-3}]'
    assert text(tmp_path, body, delimiter=";", decimal_comma=True) == (
        HEADER.replace(",", ";") + '1.5;1234,50;;"Oslo; N";;"[{""price"":1.5}]";\r\n;-2E-3;;;;;\r\n'
    )


@pytest.mark.parametrize(
    "options", [{"header": False}, {"header": False, "byte_order_mark": True}, {"delimiter": "\t"}]
)
def test_rows_are_taken_out_whatever_the_dialect(tmp_path: Path, options: dict[str, Any]) -> None:
    bodies = [b'[{"number":"1","amount":1},{"number":"2\\n2","amount":2}]', b'[{"number":"3","amount":3}]']
    whole = text(tmp_path / "whole", b'[{"number":"2\\n2","amount":2},{"number":"3","amount":3}]', **options)
    assert text(tmp_path / "out", *bodies, dropped=[0], **options) == whole
    assert whole.startswith("\ufeff") is options.get("byte_order_mark", False)


@pytest.mark.parametrize("delimiter", ["", ";;", '"', "\n", "a", "7"])
def test_a_delimiter_that_cannot_be_is_refused(delimiter: str) -> None:
    with pytest.raises(RequestRefused, match="delimiter"):
        CsvOptions(delimiter=delimiter)


def test_the_manifest_says_what_a_reader_must_know() -> None:
    assert CsvOptions().for_readers == {}
    assert CsvOptions(delimiter=";", header=False).for_readers == {"delimiter": ";", "header": "False"}

"""Columns give what rows give: the same bytes, the same counts and the same errors, whatever a server sends."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings, strategies as st

from vismanet_async._columns.schema import Column
from vismanet_async._export.formats.csv import CsvOptions
from vismanet_async._export.sinks import csv as sinks_csv, formulas
from vismanet_async._export.sinks.csv import CsvSink
from vismanet_async._export.sinks.csv_cells import CellStyle
from vismanet_async._export.sinks.csv_columns import ColumnCells
from vismanet_async._export.sinks.formulas import Formulas
from vismanet_async.errors import ExportError

COLUMNS = (
    Column("number", "text"),
    Column("amount", "decimal"),
    Column("count", "integer"),
    Column("active", "boolean"),
    Column("changed", "moment"),
    Column(
        "address",
        "record",
        fields=(
            Column("city", "text"),
            Column("country", "record", fields=(Column("id", "text"), Column("rank", "integer"))),
        ),
    ),
    Column("never", "record", fields=(Column("seen", "text"),)),
    Column("phone", "text"),
    Column("lines", "record", repeated=True, fields=(Column("price", "decimal"),)),
    Column("tags", "text", repeated=True),
    Column("within", "json"),
)
TEACHING = (
    b'{"number":"1","amount":1.5,"count":1,"active":true,"changed":"2024-01-02","address":{"city":"A","country":'
    b'{"id":"NO","rank":1}},"phone":"","lines":[],"tags":[],"within":{}}'
)
DIALECTS = [
    {},
    {"delimiter": ";", "decimal_comma": True},
    {"decimal_comma": True},
    {"delimiter": "\t"},
    {"delimiter": "."},
    {"delimiter": "-"},
    {"delimiter": " "},
    {"neutralise_formulas": False},
    {"neutralise_formulas": False, "delimiter": "\0"},
]

PIECES = [
    "", "a", "Oslo", "1", "-", "=", "+", "@", "\uff1d", "\uff0b", ",", ";", "\t", "\r", "\n", "\r\n", '"', "'", "\\",
    " ", "\0", "\x7f", "\u00a0", "\u200b", "\ufeff", "\u2028", "\x1c", "\u00f8", "\U0001f600", ".", "E",
    "+47 22 33 44 55", "+47\u00a022", "-1,5", "=1+1", "null", "{", "[", "}", "2024-01-02T03:04:05+02:00", "%s",
    "\u0661", "+\u0661",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES), max_size=4).map("".join).map(lambda text: msgspec.json.encode(text).decode())
ESCAPED = st.sampled_from([r'"A\/\u0042"', r'"\u003d1"', r'"\u002b47 22"', r'"\uD83D\uDE00"', r'"\u0000="'])
NUMBERS = st.one_of(
    st.sampled_from(
        ["0", "-0", "-0.0", "1.50", "1E+5", "1e-7", "1E400", "12345678901234567890123", "-9223372036854775809", "10.0"]
    ),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.integers().map(str),
)
BOOLEANS = st.sampled_from(["true", "false"])
KNOWN = st.one_of(TEXTS, ESCAPED, NUMBERS, BOOLEANS, st.just("null"))
JSON = st.recursive(
    KNOWN,
    lambda inner: st.one_of(
        st.lists(inner, max_size=2).map(lambda items: f"[{','.join(items)}]"),
        st.lists(st.tuples(TEXTS, inner), max_size=2).map(
            lambda items: "{" + " , ".join(f"{key}: {value}" for key, value in items) + "}"
        ),
    ),
    max_leaves=4,
)
BROKEN = st.sampled_from(['"\\ud800"', '"\udcff"', '"\x01"', "01", "tru", '{"a"', "[" * 3000, "NaN", "1" * 5000, ""])


def _record(columns: tuple[Column, ...], *, odd: bool) -> st.SearchStrategy[str]:
    fields = [st.tuples(st.just(f'"{column.name}"'), _value(column, odd=odd)) for column in columns]
    members = st.lists(st.one_of(fields), max_size=8, unique_by=None if odd else lambda member: member[0])
    if odd:
        strange = st.lists(st.tuples(TEXTS, JSON | BROKEN), max_size=1)
        members = st.tuples(members, strange).map(lambda both: [*both[0], *both[1]])
    return members.map(lambda found: "{" + ",".join(f"{key}:{value}" for key, value in found) + "}")


def _value(column: Column, *, odd: bool) -> st.SearchStrategy[str]:
    if column.repeated or column.kind == "json":
        usual = JSON
    elif column.kind == "record":
        usual = st.one_of(_record(column.fields, odd=False), st.just("null"))
    elif column.kind in {"text", "moment"}:
        usual = st.one_of(TEXTS, ESCAPED, st.just("null"))
    elif column.kind == "boolean":
        usual = BOOLEANS
    else:
        usual = st.one_of(NUMBERS, st.just("null"))
    if not odd:
        return usual
    return st.one_of(usual, JSON, _record(column.fields, odd=True)) if column.fields else st.one_of(usual, JSON)


_USUAL, _ODD, _PLAIN = _record(COLUMNS, odd=False), _record(COLUMNS, odd=True), st.one_of(KNOWN, st.just("[]"))
ROWS = st.lists(st.sampled_from([*[_USUAL] * 14, _ODD, _PLAIN]).flatmap(lambda rows: rows), max_size=7)


def _raw(row: str) -> bytes:
    return row.encode("utf-8", "surrogateescape")


def _exported(pages: list[list[bytes]], options: dict[str, Any]) -> tuple[Any, ...]:
    """Return the contents of pages as far as they can be read, the cells that were changed, and the error."""
    sink = CsvSink(
        Path("never written"),
        columns=COLUMNS,
        operation_id="Made_GetUp",
        options=CsvOptions(**options),
        identity=("number", "count"),
    )
    contents = [sink._content([TEACHING])]
    sink._rows = 1
    error = None
    for rows in pages:
        try:
            contents.append(sink._content(rows))
        except ExportError as raised:
            error = str(raised)
            break
        sink._rows += len(rows)
    counts = [sink.notes.neutralised.counts(without=set(range(number))) for number in range(sink.rows + 1)]
    return contents, counts, error


@settings(deadline=None, max_examples=70)
@given(pages=st.lists(ROWS, min_size=1, max_size=3), options=st.sampled_from(DIALECTS))
@example(pages=[['{"number":"a;=1"}', '{"lines":["=1"]}']], options={})
@example(pages=[['{"phone":"+47 22\\"x"}'], ['{"phone":"+47 22=1"}'], ['{"phone":"+47(22)"}']], options={})
@example(pages=[['{"lines":[1,2]}', '{"lines":[]}']], options={})
@example(pages=[['{"amount":-1.5}']], options={"delimiter": "."})
@example(pages=[['{"amount":-1.5}']], options={"delimiter": "-"})
@example(pages=[['{"amount":-1.5}']], options={"decimal_comma": True})
@example(pages=[['{"number":"x"}', '{"number":"=1"}'], ['{"number":"=2"}', '{"new":1}']], options={})
def test_columns_give_the_bytes_of_rows(pages: list[list[str]], options: dict[str, Any]) -> None:
    given_pages = [[*map(_raw, rows)] for rows in pages]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sinks_csv, "_BLOCK_ROWS", 3)
        by_columns = _exported(given_pages, options)
        patch.setattr(ColumnCells, "lines", lambda *_, **__: None)
        by_rows = _exported(given_pages, options)
    assert by_columns == by_rows


@given(
    text=st.lists(st.sampled_from(PIECES), max_size=20).map("".join),
    delimiter=st.sampled_from(",;\t|"),
    pad=st.booleans(),
)
def test_formulas_within_are_found_as_one_search_finds_them(text: str, delimiter: str, pad: bool) -> None:
    file = f"{'x' * 4000 if pad else ''}{text}"  # a long file is searched for its separators, a short one for signs
    before = re.escape(",;\t\r\n".replace(delimiter, ""))
    one_search = re.compile(rf'[{before}][{formulas._UNSEEN}"\\]*[{formulas._SIGNS}]')
    assert Formulas(delimiter=delimiter).may_be_within(file) is (one_search.search(file) is not None)


def _lines(rows: list[bytes], *, columns: tuple[Column, ...] = COLUMNS) -> str | None:
    cells = ColumnCells(columns, delimiter=",")
    cells.learn(msgspec.json.decode(TEACHING), place=0)
    return cells.lines(rows, first_row=0, style=CellStyle())


def test_rows_as_the_catalog_says_go_by_columns() -> None:
    usual = b'{"phone":"x","number":null,"count":2,"address":null,"lines":[{"price":1.50,"new":1}]}'
    lines = ',,2,,,,,,,x,"[{""price"":1.50,""new"":1}]",,,', "," * 13
    assert _lines([usual, b"{}"]) == "".join(f"{line}\r\n" for line in lines)


@pytest.mark.parametrize(
    "row",
    [b'{"new":1}', b'{"number":1}', b'{"address":"Oslo"}', b'{"never":{"seen":"x"}}', b"null", b"[]", b'{"number":'],
)
def test_other_rows_do_not(row: bytes) -> None:
    assert _lines([b"{}", row]) is None


def test_a_column_is_learnt_when_it_turns_up() -> None:
    sink = CsvSink(Path("never written"), columns=COLUMNS, operation_id="Made_GetUp")
    sink._content([TEACHING])
    sink._content([b'{"never":{"seen":"x"}}'])
    lines = sink._column_cells.lines([b'{"never":{"seen":"y"}}'], first_row=0, style=CellStyle())
    assert lines is not None
    assert lines.split(",")[8] == "y"

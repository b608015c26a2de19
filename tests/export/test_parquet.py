from __future__ import annotations

import datetime as dt
import errno
import gc
import json
import threading
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings, strategies as st

from tests.export.pages import FakePage, page, put_in_place
from vismanet_async._columns.arrow import ArrowReader, Batch
from vismanet_async._columns.coerce import RowCoercer
from vismanet_async._columns.schema import Column, arrow_schema, columns_of
from vismanet_async._export.formats.parquet import ParquetOptions
from vismanet_async._export.sinks.parquet import ParquetSink
from vismanet_async._export.sinks.parts import OpenPart
from vismanet_async._export.target.manifest import part_fault
from vismanet_async.errors import ExportError, RequestRefused, TargetNotWritable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vismanet_async._export.target.manifest import Part

COLUMNS = (
    Column("id", "text"),
    Column("amount", "decimal"),
    Column("count", "integer"),
    Column("active", "boolean"),
    Column("at", "moment"),
    Column("customer", "record", fields=(Column("name", "text"), Column("since", "moment"))),
    Column("lines", "record", repeated=True, fields=(Column("price", "decimal"), Column("at", "moment"))),
    Column("tags", "text", repeated=True),
)
RAW = msgspec.json.Decoder(list[msgspec.Raw])


def export(
    directory: Path,
    *bodies: bytes,
    columns: Sequence[Column] = COLUMNS,
    dropped: Sequence[int] = (),
    part_bytes: int = 1 << 24,
    row_group_bytes: int = 1 << 20,
) -> tuple[Part, ...]:
    sink = ParquetSink(
        directory,
        columns=columns,
        operation_id="Made_GetUp",
        part_bytes=part_bytes,
        options=ParquetOptions(row_group_bytes=row_group_bytes),
    )
    try:
        for body in bodies:
            sink.write(page(body))
        parts = sink.finish(dropped=dropped)
    finally:
        sink.close()
    put_in_place(directory)
    assert [part_fault(directory.parent, part) for part in parts] == [None] * len(parts)
    assert not list(directory.glob("*.tmp"))
    return parts


def rows_of(tmp_path: Path, *bodies: bytes, **options: Any) -> list[dict[str, Any]]:
    parts = export(tmp_path / "made_up", *bodies, **options)
    return [row for part in parts for row in pq.read_table(tmp_path / part.file).to_pylist()]


def one(tmp_path: Path, body: bytes) -> dict[str, Any]:
    (row,) = rows_of(tmp_path, b"[" + body + b"]")
    return row


AMOUNTS = [
    "123456789012.3456",
    "-999999999999.9999",
    "12.10",
    "-1234.7700",
    "-0.00",
    "0",
    "1E+5",
    "1e5",
    "1.5E-3",
    "-7e-4",
    "0.1234000000000",
    "999999999999",
    "0e400",
    "1.0000000000000000000000000000000000000000000",
    '"12.50"',
]


def test_amounts_equal_the_servers_text_for_every_reader(tmp_path: Path) -> None:
    body = b"[" + b",".join(b'{"amount":%s,"lines":[{"price":%s}]}' % ((t.encode(),) * 2) for t in AMOUNTS) + b"]"
    (part,) = export(tmp_path / "made_up", body)
    path = str(tmp_path / part.file)
    expected = [Decimal(text.strip('"')) for text in AMOUNTS]
    assert [row["amount"] for row in pq.read_table(path).to_pylist()] == expected
    frame = pl.read_parquet(path)
    assert frame["amount"].to_list() == expected
    assert [lines[0]["price"] for lines in frame["lines"].to_list()] == expected
    with duckdb.connect() as db:
        found = db.execute("select amount, lines[1].price from read_parquet(?)", [path]).fetchall()
    assert found == [(amount, amount) for amount in expected]


@pytest.mark.parametrize("text", AMOUNTS)
def test_an_amount_alone_is_exact(tmp_path: Path, text: str) -> None:
    assert one(tmp_path, b'{"amount":%s}' % text.encode())["amount"] == Decimal(text.strip('"'))


UNFIT = [
    "0.12345",
    "0.30000000000000004",
    "1e-19",
    "100000000000000",
    "150000000000000000000000000000000000",  # fits into 128 bits with 4 places
    "-150000000000000.5",
    "1e20",
    "1e400",
    "1e9999999999999999999",
    "12345678901234567890123456789012345678901234567890",
    '"1e-19"',
]


@pytest.mark.parametrize("text", UNFIT)
def test_an_amount_that_does_not_fit_is_kept_and_counted(tmp_path: Path, text: str) -> None:
    body = b'[{"id":"1","amount":%s,"lines":[{"price":1},{"price":%s}]}]' % (text.encode(), b"1e-7")
    sink = ParquetSink(tmp_path / "made_up", columns=COLUMNS, operation_id="Made_GetUp")
    sink.write(page(b'[{"amount":1}]'))
    sink.write(page(body))
    (part,) = sink.finish()
    first, second = pq.read_table(tmp_path / part.file).to_pylist()
    assert (first["amount"], first["_extra"]) == (1, None)
    assert (second["amount"], [line["price"] for line in second["lines"]]) == (None, [1, None])
    assert second["_extra"] == f'{{"amount":{text},"lines":{{"1":{{"price":1e-7}}}}}}'
    assert sink.notes.unfit.counts() == {"amount": 1, "lines[].price": 1}


@pytest.mark.parametrize("text", ["1e3", "+5", ".5", "5.", "1E-2", r"\u0031e3"])
def test_a_text_that_get_takes_for_no_number_is_none_here(tmp_path: Path, text: str) -> None:
    row = one(tmp_path, b'{"amount" : "%s","lines":[{"price":"%s"}]}' % ((text.encode(),) * 2))
    assert (row["amount"], row["lines"]) == (None, [{"price": None, "at": None}])
    sent = json.loads(f'"{text}"')
    assert json.loads(row["_extra"]) == {"amount": sent, "lines": {"0": {"price": sent}}}


def test_only_values_that_are_missing_from_their_columns_are_counted(tmp_path: Path) -> None:
    sink = ParquetSink(tmp_path / "made_up", columns=COLUMNS, operation_id="Made_GetUp")
    sink.write(
        page(
            b'[{"new":1,"at":"2023-12-31T00:00:00Z","customer":{"zone":1},"lines":[{"at":"31.12."},{"new":1}]},'
            b'{"count":1.5,"tags":["a",1],"customer":"A"},{"lines":{"a":1}},null,"text"]'
        )
    )
    sink.finish()
    assert sink.notes.unfit.counts() == {"lines[].at": 1, "count": 1, "tags[]": 1, "customer": 1, "lines": 1}


@pytest.mark.parametrize(
    ("text", "value"),
    [("5", 5), ("-0", 0), ("5.0", 5), ("1e3", 1000), ("9223372036854775807", 2**63 - 1), ("null", None)],
)
def test_integers(tmp_path: Path, text: str, value: int | None) -> None:
    row = one(tmp_path, b'{"count":%s}' % text.encode())
    assert (row["count"], row["_extra"]) == (value, None)


@pytest.mark.parametrize("text", ["5.5", "9223372036854775808", "1e400", "-1e19"])
def test_integers_that_do_not_fit_are_kept(tmp_path: Path, text: str) -> None:
    row = one(tmp_path, b'{"count":%s}' % text.encode())
    assert (row["count"], row["_extra"]) == (None, f'{{"count":{text}}}')


@pytest.mark.parametrize(
    ("text", "value", "extra"),
    [
        ("2023-12-31T00:00:00", dt.datetime(2023, 12, 31), False),
        ("2023-12-31", dt.datetime(2023, 12, 31), False),
        ("2023-12-31T10:20:30.7", dt.datetime(2023, 12, 31, 10, 20, 30, 700_000), False),
        ("2023-12-31T10:20:30.71", dt.datetime(2023, 12, 31, 10, 20, 30, 710_000), False),
        ("2023-12-31T10:20:30.123456", dt.datetime(2023, 12, 31, 10, 20, 30, 123_456), False),
        ("2023-12-31T10:20:30.1234560", dt.datetime(2023, 12, 31, 10, 20, 30, 123_456), False),
        ("2023-12-31T10:20:30.1234567", dt.datetime(2023, 12, 31, 10, 20, 30, 123_456), True),
        ("9999-12-31T23:59:59.9999999", dt.datetime(9999, 12, 31, 23, 59, 59, 999_999), True),
        ("0001-01-01T00:00:00", dt.datetime(1, 1, 1), False),
        ("2023-12-31T00:00:00Z", dt.datetime(2023, 12, 31), True),
        ("2022-11-10T10:20:53.75+01:00", dt.datetime(2022, 11, 10, 10, 20, 53, 750_000), True),
        ("2022-11-10T10:20:53-0330", dt.datetime(2022, 11, 10, 10, 20, 53), True),
        ("2023-12-31 10:20", dt.datetime(2023, 12, 31, 10, 20), False),
        ("", None, False),
        ("2023-02-30T00:00:00", None, True),
        ("31.12.2023", None, True),
    ],
)
def test_times_are_held_as_written(tmp_path: Path, text: str, value: dt.datetime | None, extra: bool) -> None:
    row = one(tmp_path, msgspec.json.encode({"at": text, "customer": {"since": text}, "lines": [{}, {"at": text}]}))
    assert (row["at"], row["customer"]["since"], row["lines"][1]["at"]) == (value, value, value)
    left = {"at": text, "customer": {"since": text}, "lines": {"1": {"at": text}}}
    assert (None if row["_extra"] is None else msgspec.json.decode(row["_extra"])) == (left if extra else None)


def test_what_the_columns_cannot_hold_is_in_extra(tmp_path: Path) -> None:
    rows = rows_of(
        tmp_path,
        b'[{"id":"1","amount":1.5,"new":12.10,"customer":{"name":"A","zone":{"id":1E+2}},'
        b'"lines":[{"price":1},{"price":2,"new":null}]},'
        b'{"id":5,"active":"yes","customer":"A","lines":{},"tags":["a",1],"amount":{"value":1.50}},'
        b'{"id":"3","amount":true},null,"text",[],{}]',
    )
    assert rows[0]["customer"] == {"name": "A", "since": None}
    assert [line["price"] for line in rows[0]["lines"]] == [1, 2]
    assert rows[0]["_extra"] == '{"new":12.10,"customer":{"zone":{"id":1E+2}},"lines":{"1":{"new":null}}}'
    left = '{"id":5,"active":"yes","customer":"A","lines":{},"tags":{"1":1},"amount":{"value":1.50}}'
    assert rows[1]["_extra"] == left
    assert rows[1]["tags"] == ["a", None]
    assert rows[2]["_extra"] == '{"amount":true}'
    assert [row["_extra"] for row in rows[3:]] == [None, '"text"', "[]", None]
    assert all(row["id"] is None for row in rows[3:])


def test_null_rows_alone_do_not_bring_arrow_down(tmp_path: Path) -> None:
    assert [row["_extra"] for row in rows_of(tmp_path, b"[null,null]", b"[null]")] == [None, None, None]


def test_a_record_within_itself_is_json(tmp_path: Path) -> None:
    columns = columns_of("SalesCategory_Get")
    body = b'[{"categoryID":1,"subCategories":[{"categoryID":2,"subCategories":[]}]},{"subCategories":"odd"},{}]'
    found = [row["subCategories"] for row in rows_of(tmp_path, body, b'[{"subCategories":"text"}]', columns=columns)]
    assert found == ['[{"categoryID":2,"subCategories":[]}]', '"odd"', None, '"text"']


def test_plain_values_have_one_column(tmp_path: Path) -> None:
    columns = columns_of("Dimension_GetDimensionList")
    assert [row["value"] for row in rows_of(tmp_path, b'["A","B"]', columns=columns)] == ["A", "B"]


def test_a_row_that_is_no_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"row 1 .* cannot be read: .*Nothing was published"):
        export(tmp_path / "made_up", b'[{"id":"1"},{"id":"\xff"}]')


def bodies(count: int, *, rows: int = 50) -> list[bytes]:
    return [
        msgspec.json.encode([{"id": f"{number:06}", "count": number} for number in range(first, first + rows)])
        for first in range(0, count * rows, rows)
    ]


def test_row_groups_and_parts_roll_by_bytes_at_page_ends(tmp_path: Path) -> None:
    pages = bodies(10)
    parts = export(tmp_path / "made_up", *pages, row_group_bytes=len(pages[0]) * 3 // 2, part_bytes=1500)
    files = [pq.ParquetFile(tmp_path / part.file) for part in parts]
    assert [part.file for part in parts] == [f"made_up/part-{number:05}.parquet" for number in range(len(parts))]
    assert len(parts) > 1
    groups = [file.metadata.row_group(index).num_rows for file in files for index in range(file.num_row_groups)]
    assert groups == [100] * 5
    assert [part.rows for part in parts] == [file.metadata.num_rows for file in files]
    ids = [number for part in parts for number in pq.read_table(tmp_path / part.file)["count"].to_pylist()]
    assert ids == list(range(500))
    for file in files:
        file.close()


def test_the_same_pages_give_the_same_bytes(tmp_path: Path) -> None:
    runs = [
        export(tmp_path / name / "made_up", *bodies(20), row_group_bytes=3000, part_bytes=4000) for name in ("a", "b")
    ]
    assert [part.sha256 for part in runs[0]] == [part.sha256 for part in runs[1]]


def test_an_empty_list_gives_the_same_schema(tmp_path: Path) -> None:
    (empty,) = export(tmp_path / "empty", b"[]")
    (full,) = export(tmp_path / "full", b'[{"id":"1","new":1}]')
    assert empty.rows == 0
    schema = pq.read_schema(tmp_path / empty.file)
    assert schema == pq.read_schema(tmp_path / full.file)
    assert schema.names == arrow_schema(COLUMNS).names
    assert pl.read_parquet(tmp_path / empty.file).is_empty()


@pytest.mark.parametrize("dropped", [[0], [99, 100], list(range(100)), list(range(50, 300)), [499]])
def test_dropped_rows_are_taken_out_of_their_parts(tmp_path: Path, dropped: list[int]) -> None:
    pages = bodies(10)
    options: dict[str, Any] = {"row_group_bytes": len(pages[0]) * 3 // 2, "part_bytes": 1500}
    rows = rows_of(tmp_path, *pages, dropped=dropped, **options)
    assert [row["count"] for row in rows] == [number for number in range(500) if number not in dropped]


def test_closing_early_leaves_whole_parts_and_no_thread(tmp_path: Path) -> None:
    sink = ParquetSink(
        tmp_path / "made_up",
        columns=COLUMNS,
        operation_id="Made_GetUp",
        part_bytes=1500,
        options=ParquetOptions(row_group_bytes=2000),
    )
    for body in bodies(9):
        sink.write(page(body))
    sink.close()
    sink.close()
    whole = list(tmp_path.rglob("*.parquet"))
    assert whole
    for path in whole:
        assert pq.read_table(path).num_rows > 0
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("parquet")]
    with pytest.raises(RuntimeError, match="shutdown"):
        sink.write(page(bodies(1)[0]))


@pytest.mark.parametrize("room", [0, 3, 1000, 5000])
def test_a_full_disk_is_said(tmp_path: Path, room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def put(part: OpenPart, content: memoryview) -> None:
        if part.bytes + len(content) > room:
            raise OSError(errno.ENOSPC, "No space left on device")
        written(part, content)

    written = OpenPart._put
    monkeypatch.setattr(OpenPart, "_put", put)
    with pytest.raises(TargetNotWritable, match=r"No space left on device\. Free some space"):
        export(tmp_path / "made_up", *bodies(9), row_group_bytes=1000)
    assert not list(tmp_path.rglob("*.parquet"))


def test_polars_and_duckdb_read_nested_records(tmp_path: Path) -> None:
    columns = columns_of("CustomerInvoice_GetAll")
    body = (
        b'[{"referenceNumber":"000050","amount":1234567890123.4567,"customer":{"number":"1","name":"Bl\xc3\xa5"},'
        b'"invoiceLines":[{"unitPrice":12.10,"quantity":3},{"unitPrice":0.0001}],"hold":false,'
        b'"lastModifiedDateTime":"2024-05-06T07:08:09.12"},{"referenceNumber":"000051"}]'
    )
    (part,) = export(tmp_path / "customer_invoice", body, columns=columns)
    path = str(tmp_path / part.file)
    frame = pl.read_parquet(path)
    assert frame["customer"].struct.field("name").to_list() == ["Blå", None]
    assert frame["lastModifiedDateTime"].dtype == pl.Datetime("us")
    assert frame["invoiceLines"][0].to_list()[1]["unitPrice"] == Decimal("0.0001")
    with duckdb.connect() as db:
        query = "select customer.name, list_sum([l.unitPrice for l in invoiceLines])::varchar from read_parquet(?)"
        assert db.execute(query, [path]).fetchall()[0] == ("Blå", "12.100100")


MOMENTS = st.datetimes().map(dt.datetime.isoformat) | st.sampled_from(
    ["", "2023-12-31", "2023-12-31T10:20:30.1234567Z"]
)
NUMBERS = st.integers(1 - 10**12, 10**12 - 1) | st.decimals(-(10**6), 10**6, places=4)
ANY: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3) | st.just([]) | st.just({})
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


def fields(**options: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional={name: st.none() | one for name, one in options.items()})


KNOWN = fields(
    id=TEXTS,
    amount=st.decimals(-(10**6), 10**6, places=4),
    count=st.integers(-(2**63), 2**63 - 1),
    active=st.booleans(),
    at=st.datetimes().map(dt.datetime.isoformat),
    customer=fields(name=TEXTS, since=st.just("2023-12-31")),
    lines=st.lists(fields(price=NUMBERS), max_size=2),
    tags=st.lists(TEXTS, max_size=2),
)
ODD = fields(
    id=TEXTS | ANY, at=MOMENTS | ANY, customer=fields(name=ANY, new=ANY) | ANY, lines=st.lists(ANY, max_size=2), new=ANY
)
ENCODER = msgspec.json.Encoder(decimal_format="number")


def batch(rows: Sequence[Any]) -> Batch:
    return Batch(0, bytearray(ENCODER.encode_lines(rows)), len(rows))


@settings(deadline=None)
@given(before=st.lists(KNOWN | ODD, max_size=2), rows=st.lists(KNOWN, min_size=1, max_size=4))
def test_rows_read_as_sent_equal_fitted_rows(before: list[dict[str, Any]], rows: list[dict[str, Any]]) -> None:
    """Whatever columns the rows before them had."""
    raws = RAW.decode(ENCODER.encode(rows))
    reader = ArrowReader(COLUMNS, operation_id="Made_GetUp")
    if before:
        reader.table(batch(before))
    structs = reader._read_as_sent(batch(rows))
    assert structs is not None
    as_sent = reader._table(structs)
    fitted = RowCoercer(COLUMNS, operation_id="Made_GetUp").lines(raws, first_row=0)
    whole = reader._read(fitted, len(rows), arrow_schema(COLUMNS, moments_as_text=True))
    assert as_sent.schema == arrow_schema(COLUMNS)
    assert as_sent.equals(reader._table(whole))
    for row, there in zip(rows, as_sent.to_pylist(), strict=True):
        assert there["amount"] == row.get("amount")
        assert there["count"] == row.get("count")
        assert there["_extra"] is None


@settings(deadline=None)
@given(rows=st.lists(ODD, min_size=1, max_size=4))
def test_nothing_of_an_odd_row_is_lost(rows: list[dict[str, Any]]) -> None:
    table = ArrowReader(COLUMNS, operation_id="Made_GetUp").table(batch(rows))
    for row, there in zip(rows, table.to_pylist(), strict=True):
        left = msgspec.json.decode(there["_extra"] or "{}")
        for name in ("id", "new", "at", "customer"):
            value = row.get(name)
            if name == "customer" and isinstance(value, dict):
                for inner in value:
                    kept = (there[name] or {}).get(inner)
                    assert value[inner] in (kept, left.get(name, {}).get(inner))
            elif name == "at" and isinstance(value, str):
                assert value in ("", left.get("at")) or there["at"] == dt.datetime.fromisoformat(value)
            else:
                assert value in (there.get(name), left.get(name))


def test_columns_that_come_late_are_read_and_change_no_byte(tmp_path: Path) -> None:
    early: list[dict[str, Any]] = [{"id": "1", "customer": None}] * 100
    late = [{"id": "2", "customer": {"name": "A"}, "amount": 1}, {"lines": [{"price": 2}]}]
    rows = [*early, *late]
    expected = [("1", None, None)] * 100 + [("2", "A", 1), (None, None, None)]
    parts = set()
    for order in (rows, rows[::-1]):
        sink = ParquetSink(tmp_path / "made_up", columns=COLUMNS, operation_id="Made_GetUp")
        sink._reader.table(batch(order))  # what it learns first differs
        for start in range(0, len(rows), 60):
            sink.write(FakePage(RAW.decode(ENCODER.encode(rows[start : start + 60]))))
        (part,) = sink.finish()
        there = pq.read_table(tmp_path / part.file).to_pylist()
        assert [(row["id"], (row["customer"] or {}).get("name"), row["amount"]) for row in there] == expected
        assert there[-1]["lines"][0]["price"] == 2
        parts.add(part.sha256)
    assert len(parts) == 1


def test_two_threads_that_meet_a_new_column_at_once_both_read_it(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = ArrowReader(COLUMNS, operation_id="Made_GetUp")
    reader.table(batch([{"id": "1"}]))
    stale = reader._observed.schema(list)
    reader._observed.learn([b'{"amount":1}'])  # the other one was first
    monkeypatch.setattr(reader._observed, "schema", lambda _: stale)
    structs = reader._read_as_sent(batch([{"amount": 1}]))
    assert structs is not None
    assert reader._table(structs)["amount"].to_pylist() == [1]


def test_batches_are_joined_also_where_a_new_key_appears() -> None:
    reader = ArrowReader(COLUMNS, operation_id="Made_GetUp")
    rows: list[list[dict[str, Any]]] = [
        [{"id": "1"}, {"id": "2"}],
        [{"id": "3", "customer": None}],
        [{"id": "4", "customer": {"name": "A"}, "lines": [{"price": 1}]}],
        [{"id": "5", "customer": {"name": "B"}, "lines": [{"at": "2023-12-31"}]}],
        [{"odd": 1}],
    ]
    tables = list(reader.joined([reader.structs(batch(some)) for some in rows]))
    assert 1 < len(tables) <= len(rows)
    table = pa.concat_tables(tables)
    table.validate(full=True)
    assert table.schema == arrow_schema(COLUMNS)
    assert table.equals(pa.concat_tables([reader.table(batch(some)) for some in rows]))
    assert table["id"].to_pylist() == ["1", "2", "3", "4", "5", None]
    assert [row["customer"] for row in table.to_pylist()][2:5] == [
        None,
        {"name": "A", "since": None},
        {"name": "B", "since": None},
    ]


def test_pages_without_body_are_written_too(tmp_path: Path) -> None:
    sink = ParquetSink(tmp_path / "made_up", columns=COLUMNS, operation_id="Made_GetUp")
    sink.write(FakePage(RAW.decode(b'[ {"id": "1"\r\n} , {"id":"2"} ]')))
    assert sink.rows == 2
    (part,) = sink.finish()
    assert pq.read_table(tmp_path / part.file)["id"].to_pylist() == ["1", "2"]
    assert pa.types.is_string(pq.read_schema(tmp_path / part.file).field("_extra").type)


@pytest.mark.parametrize("compression", ["zstd", "snappy", "gzip", "lz4", "none"])
def test_every_compression_reads_back(tmp_path: Path, compression: Any) -> None:
    sink = ParquetSink(
        tmp_path / "made_up",
        columns=COLUMNS,
        operation_id="Made_GetUp",
        options=ParquetOptions(compression=compression),
    )
    for body in bodies(3):
        sink.write(page(body))
    (part,) = sink.finish()
    sink.close()
    with pq.ParquetFile(tmp_path / part.file) as file:
        told = file.metadata.row_group(0).column(0).compression
        assert told == {"none": "UNCOMPRESSED"}.get(compression, compression.upper())
        assert file.read().num_rows == part.rows


@pytest.mark.parametrize("wrong", [{"compression": "zip"}, {"row_group_bytes": 0}])
def test_options_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(RequestRefused, match="nothing was sent"):
        ParquetOptions(**wrong)


@pytest.mark.parametrize("finished", [True, False])
def test_no_part_outlives_its_sink(tmp_path: Path, finished: bool) -> None:
    """Arrow holds the file object where the garbage collector cannot see it, and with it what that holds."""
    sink = ParquetSink(tmp_path / "made_up", columns=COLUMNS, operation_id="Made_GetUp", part_bytes=1)
    for number in range(3):
        sink.write(page(b'[{"id":"%d"}]' % number))
    if finished:
        sink.finish()
    sink.close()
    del sink
    gc.collect()
    assert not [one for one in gc.get_objects() if type(one).__name__ == "_ParquetPart"]

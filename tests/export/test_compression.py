from __future__ import annotations

import gzip
from hashlib import sha256
from typing import TYPE_CHECKING

import duckdb
import msgspec
import polars as pl
import pytest
import zstandard

from tests.export.pages import page, put_in_place
from vismanet_async._export.sinks.opening import open_sink
from vismanet_async._export.target.manifest import part_fault

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vismanet_async._export.target.manifest import Part

FORMATS = ["jsonl.gz", "jsonl.zst"]


def body(first: int) -> bytes:
    """Give a page of 50 rows that do not compress well."""
    rows = [
        {"number": str(number), "name": "".join(sha256(b"%d %d" % (number, part)).hexdigest() for part in range(20))}
        for number in range(first, first + 50)
    ]
    return msgspec.json.encode(rows)


def export(
    directory: Path, output_format: str, *, part_bytes: int = 1 << 24, dropped: Sequence[int] = (), pages: int = 6
) -> tuple[Part, ...]:
    sink = open_sink(output_format, directory, operation_id="Customer_GetAll", part_bytes=part_bytes)
    for first in range(0, pages * 50, 50):
        sink.write(page(body(first)))
    parts = sink.finish(dropped=dropped)
    put_in_place(directory)
    assert not list(directory.glob("*.tmp"))
    assert [part_fault(directory.parent, part) for part in parts] == [None] * len(parts)
    return parts


def unpacked(directory: Path, parts: Sequence[Part]) -> bytes:
    return b"".join(
        gzip.decompress((directory / part.file).read_bytes())
        if part.file.endswith(".gz")
        else zstandard.ZstdDecompressor().stream_reader((directory / part.file).read_bytes()).read()
        for part in parts
    )


@pytest.mark.parametrize("output_format", FORMATS)
@pytest.mark.parametrize("dropped", [[], [0, 3, 149, 299], list(range(100))])
def test_the_lines_are_those_of_plain_jsonl(tmp_path: Path, output_format: str, dropped: list[int]) -> None:
    plain = export(tmp_path / "plain", "jsonl", dropped=dropped)
    parts = export(tmp_path / "packed", output_format, part_bytes=40_000, dropped=dropped)
    assert len(parts) > 1
    assert sum(part.rows for part in parts) == 300 - len(dropped)
    assert [part.file for part in parts] == [f"packed/part-{n:05}.{output_format}" for n in range(len(parts))]
    assert unpacked(tmp_path, parts) == (tmp_path / plain[0].file).read_bytes()


@pytest.mark.parametrize("output_format", FORMATS)
def test_the_same_rows_give_the_same_bytes(tmp_path: Path, output_format: str) -> None:
    one, two = (export(tmp_path / name / "customer", output_format) for name in ("a", "b"))
    assert [part.sha256 for part in one] == [part.sha256 for part in two]


def test_gzip_holds_no_time_and_no_name(tmp_path: Path) -> None:
    (part,) = export(tmp_path / "customer", "jsonl.gz")
    header = (tmp_path / part.file).read_bytes()[:10]
    assert header[:2] == b"\x1f\x8b"
    assert header[3] == 0  # no name
    assert header[4:8] == bytes(4)  # no time


@pytest.mark.parametrize("output_format", FORMATS)
def test_an_empty_list_gives_one_empty_stream(tmp_path: Path, output_format: str) -> None:
    (part,) = export(tmp_path / "customer", output_format, pages=0)
    assert part.rows == 0
    assert part.bytes > 0
    assert unpacked(tmp_path, [part]) == b""


@pytest.mark.parametrize("output_format", FORMATS)
def test_duckdb_and_polars_read_it(tmp_path: Path, output_format: str) -> None:
    (part,) = export(tmp_path / "customer", output_format)
    path = str(tmp_path / part.file)
    numbers = [str(number) for number in range(300)]
    assert pl.read_ndjson(path)["number"].to_list() == numbers
    with duckdb.connect() as db:
        assert db.execute("select number::text from read_json(?)", [path]).fetchall() == [(n,) for n in numbers]


@pytest.mark.parametrize("output_format", [*FORMATS, "csv", "parquet"])
def test_rows_can_be_read_back_where_a_run_may_go_on(tmp_path: Path, output_format: str) -> None:
    sink = open_sink(
        output_format, tmp_path / "customer", operation_id="Customer_GetAll", part_bytes=1 << 20, resumable=True
    )
    bodies = [body(first) for first in (0, 50)]
    places = [sink.write(page(each)) for each in bodies]
    assert sink.write(page(b"[]")) is None
    assert sink.rows == 100
    sink.close()
    sink.close()
    spool = (tmp_path / "customer" / "rows-00000.jsonl.tmp").read_bytes()
    for each, place in zip(bodies, places, strict=True):
        assert place is not None
        assert place.file == "rows-00000.jsonl"
        assert sha256(spool[: place.end]).hexdigest() == place.sha256
        assert b"[%b]" % spool[place.start : place.end - 1].replace(b"\n", b",") == each


@pytest.mark.parametrize("output_format", [*FORMATS, "csv", "parquet"])
def test_the_spool_changes_nothing_in_the_parts(tmp_path: Path, output_format: str) -> None:
    sinks = [
        open_sink(
            output_format,
            tmp_path / str(resumable) / "customer",
            operation_id="Customer_GetAll",
            part_bytes=40_000,
            resumable=resumable,
        )
        for resumable in (True, False)
    ]
    for sink in sinks:
        for first in range(0, 300, 50):
            sink.write(page(body(first)))
    with_spool, without = (sink.finish(dropped=[7]) for sink in sinks)
    assert with_spool == without
    for sink in sinks:
        sink.close()

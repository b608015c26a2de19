from __future__ import annotations

import errno
import hashlib
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given, strategies as st

from tests.export.pages import FakePage, customers, page
from tests.support.hang import HANG_SECONDS
from vismanet_async._export.sinks import parts
from vismanet_async._export.sinks.jsonl import JsonlSink, json_lines
from vismanet_async._export.target.manifest import part_fault
from vismanet_async._paging import row_lines
from vismanet_async._paging.row_scanner import Rows, RowSeparator
from vismanet_async.errors import TargetNotWritable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


RAW = msgspec.json.Decoder(list[msgspec.Raw])


def write(
    directory: Path, pages: Iterable[FakePage], *, part_bytes: int = 1 << 20, dropped: Sequence[int] = ()
) -> bytes:
    sink = JsonlSink(directory, part_bytes=part_bytes)
    for one in pages:
        sink.write(one)
    written = sink.finish(dropped=dropped)
    for part in written:
        final = directory / "final" / Path(part.file).name
        if final.exists():
            final.replace(directory.parent / part.file)
        assert part_fault(directory.parent, part) is None
    return b"".join((directory.parent / part.file).read_bytes() for part in written)


def test_lines_are_the_servers_own_bytes(tmp_path: Path) -> None:
    body = '[{"a":12.10,"b":"1,2]\\n{","c":1234567890123.4567},{"z":1,"a":null},{"æ":"\\u00e6"}]'.encode()
    lines = write(tmp_path / "customer", [page(body)])
    assert lines == '{"a":12.10,"b":"1,2]\\n{","c":1234567890123.4567}\n{"z":1,"a":null}\n{"æ":"\\u00e6"}\n'.encode()


@pytest.mark.parametrize("after", [b"", b"\n", b" \r\n\t"])
def test_a_compact_page_goes_through_unjoined(after: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_lines, "_one_line", None)  # nothing may be joined or encoded again
    body = customers(0, 50)
    answer = body + after
    lines = json_lines(FakePage(Rows.of(answer, RAW.decode(answer)), answer))
    assert isinstance(lines, memoryview)
    assert bytes(lines) == b"".join(bytes(row) + b"\n" for row in RAW.decode(body))
    assert answer == customers(0, 50) + after


@pytest.mark.parametrize("index", [slice(None), slice(1, 3), slice(-2, None), slice(4, 9), slice(3, 1), slice(0, 5, 2)])
def test_some_rows_of_a_page_are_those_of_their_places(index: slice) -> None:
    body = customers(0, 5)
    assert Rows.of(body, RAW.decode(body))[index] == [bytes(row) for row in RAW.decode(body)][index]


@pytest.mark.parametrize("found", ["parsed", "by their separator"])
def test_lines_are_made_in_a_body_that_may_change(found: str) -> None:
    """The rows stay what they are: only the commas between them become newlines."""
    body = bytearray(customers(0, 50))
    rows = Rows.of(body, RAW.decode(body))
    if found == "by their separator":
        separator = RowSeparator()
        separator.learn(rows)
        split = separator.split(body, expected=50)
        assert split is not None
        rows = split
    lines = json_lines(FakePage(rows, body))
    assert isinstance(lines, memoryview)
    assert lines.obj is body
    truth = RAW.decode(customers(0, 50))
    assert bytes(lines) == b"".join(bytes(row) + b"\n" for row in truth)
    assert list(map(bytes, rows)) == list(map(bytes, truth))
    assert all(type(row) is bytes for row in rows)


def test_records_with_line_breaks_become_one_line_each(tmp_path: Path) -> None:
    body = b'[\r\n  {\n    "a": 1.50,\r\n    "b": "x\\ny"\n  },\r{"c":\r2}\n]'
    lines = write(tmp_path / "customer", [page(body)])
    assert lines == b'{"a":1.50,"b":"x\\ny"}\n{"c":2}\n'


@pytest.mark.parametrize("line_break", ["\n", "\r", "\r\n"])
def test_a_line_break_inside_one_record_of_a_compact_page_is_found(tmp_path: Path, line_break: str) -> None:
    body = f'[{{"a":1}},{{"b":{line_break}2.50}},{{"c":"x y"}}]'.encode()
    assert write(tmp_path / "customer", [page(body)]) == b'{"a":1}\n{"b":2.50}\n{"c":"x y"}\n'


def test_spaces_between_records_are_left_out_and_inside_kept(tmp_path: Path) -> None:
    lines = write(tmp_path / "customer", [page(b'[ {"a": 1} , {"b": 2} ]')])
    assert lines == b'{"a": 1}\n{"b": 2}\n'


def test_an_envelope_gives_its_records(tmp_path: Path) -> None:
    class Envelope(msgspec.Struct):
        records: list[msgspec.Raw]

    body = b'{"pageNumber":1,"totalCount":2,"records":[{"a":1},{"b":2}]}'
    rows = msgspec.json.decode(body, type=Envelope).records
    assert write(tmp_path / "salesperson", [FakePage(rows, body)]) == b'{"a":1}\n{"b":2}\n'


@pytest.mark.parametrize("chosen", [[0, 3], [], [2]])
@pytest.mark.parametrize("indent", [-1, 2])
def test_a_part_of_a_page_gives_those_rows_alone(tmp_path: Path, chosen: list[int], indent: int) -> None:
    rows = RAW.decode(msgspec.json.format(customers(0, 4), indent=indent))
    compact = RAW.decode(customers(0, 4))
    lines = write(tmp_path / "customer", [FakePage([rows[index] for index in chosen])])
    assert lines == b"".join(bytes(compact[index]) + b"\n" for index in chosen)


def test_parts_roll_by_bytes_at_page_ends(tmp_path: Path) -> None:
    sink = JsonlSink(tmp_path / "customer", part_bytes=5_000)
    for first in range(0, 300, 50):
        sink.write(page(customers(first, 50, pad=20)))
    parts = sink.finish()
    assert [part.file for part in parts] == [f"customer/part-0000{number}.jsonl" for number in range(3)]
    assert [part.rows for part in parts] == [100, 100, 100]
    assert all(part.bytes >= 5_000 for part in parts)
    assert sink.rows == 300
    content = (tmp_path / parts[1].file).read_bytes()
    assert parts[1].sha256 == hashlib.sha256(content).hexdigest()


def test_an_empty_list_gives_one_empty_part(tmp_path: Path) -> None:
    sink = JsonlSink(tmp_path / "customer")
    sink.write(page(b"[]"))
    (part,) = sink.finish()
    assert (part.rows, part.bytes) == (0, 0)
    assert (tmp_path / part.file).read_bytes() == b""


@pytest.mark.parametrize("dropped", [[0], [4], [5], [9, 0, 5, 6], list(range(5, 10)), list(range(25))])
def test_dropped_rows_are_taken_out_of_their_parts(tmp_path: Path, dropped: list[int]) -> None:
    pages = [page(customers(first, 5, pad=2000)) for first in range(0, 25, 5)]
    every = [bytes(row) + b"\n" for one in pages for row in one.rows]
    lines = write(tmp_path / "customer", pages, part_bytes=10_000, dropped=dropped)
    assert lines == b"".join(line for number, line in enumerate(every) if number not in dropped)
    assert not list(tmp_path.rglob("*.tmp"))


def test_it_tells_where_a_page_went(tmp_path: Path) -> None:
    sink = JsonlSink(tmp_path / "customer", part_bytes=5_000)
    for first in range(0, 300, 50):
        one = page(customers(first, 50, pad=20))
        written = sink.write(one)
        assert written is not None
        (path,) = tmp_path.rglob(f"{written.file}*")
        content = path.read_bytes()
        assert content[written.start : written.end] == b"".join(bytes(row) + b"\n" for row in one.rows)
        assert written.sha256 == hashlib.sha256(content[: written.end]).hexdigest()
    assert sink.write(page(b"[]")) is None


def test_closing_leaves_what_was_written(tmp_path: Path) -> None:
    sink = JsonlSink(tmp_path / "customer", part_bytes=5_000)
    sink.write(page(customers(0, 100, pad=20)))
    sink.write(page(customers(100, 10)))
    sink.close()
    sink.close()
    assert {path.name for path in tmp_path.rglob("part*")} == {"part-00000.jsonl", "part-00001.jsonl.tmp"}


class FullDisk:
    """Takes `room` bytes, a few at a time, and no more."""

    def __init__(self, room: int) -> None:
        self.room = room

    def write(self, view: memoryview) -> int:
        taken = min(len(view), 1_000, self.room)
        if not taken:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.room -= taken
        return taken


def test_a_full_disk_is_said_and_partial_writes_go_on(tmp_path: Path) -> None:
    sink = JsonlSink(tmp_path / "customer")
    sink.write(page(customers(0, 1)))
    assert sink._open is not None
    opened, sink._open._file = sink._open._file, FullDisk(20_000)  # type: ignore[assignment] # stands for a file
    sink.write(page(customers(1, 100)))
    with pytest.raises(TargetNotWritable, match=r"No space left on device\. Free some space"):
        sink.write(page(customers(101, 1000)))
    opened.close()


VALUES = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8), st.lists, max_leaves=5)


@given(
    records=st.lists(st.dictionaries(st.text(max_size=5), VALUES, max_size=4), max_size=12),
    indent=st.sampled_from([-1, 0, 2]),
    before=st.sampled_from([b"", b" ", b"\n"]),
)
def test_any_page_gives_its_records_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, object]], indent: int, before: bytes
) -> None:
    body = before + msgspec.json.format(msgspec.json.encode(records), indent=indent)
    lines = write(tmp_path_factory.mktemp("any") / "customer", [page(body)])
    assert lines.count(b"\n") == len(records)
    assert [msgspec.json.decode(line) for line in lines.split(b"\n")[:-1]] == records


def test_a_sync_that_fails_on_the_way_is_told_although_the_last_one_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, results = os.fsync, [OSError(errno.EIO, "Input/output error")]

    def sync(descriptor: int) -> None:
        if results:
            raise results.pop()
        real(descriptor)

    monkeypatch.setattr(parts, "_SYNC_BYTES", 1)
    monkeypatch.setattr("os.fsync", sync)
    sink = JsonlSink(tmp_path / "customer")
    sink.write(page(customers(0, 3)))
    with pytest.raises(TargetNotWritable, match="Input/output error"):
        sink.finish()
    assert not list((tmp_path / "customer").glob("*.jsonl"))
    sink.close()


def test_closing_waits_for_the_sync_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closing = threading.Event()
    closed_at_its_end: list[bool] = []

    def sync(_: int) -> None:
        closing.wait(HANG_SECONDS)
        # whoever does not wait for this one closes the file now
        closer.join(0.2)
        closed_at_its_end.append(file.closed)

    def close() -> None:
        closing.set()
        sink.close()

    monkeypatch.setattr(parts, "_SYNC_BYTES", 1)
    monkeypatch.setattr("os.fsync", sync)
    sink = JsonlSink(tmp_path / "customer")
    closer = threading.Thread(target=close)
    sink.write(page(customers(0, 3)))
    file = sink._part()._file
    closer.start()
    closer.join(HANG_SECONDS)
    assert closed_at_its_end == [False]
    assert file.closed

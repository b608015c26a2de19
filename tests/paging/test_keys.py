"""Keys: which rows are the same, in how many bytes."""

from __future__ import annotations

import json
import tracemalloc
from datetime import datetime
from random import Random
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from vismanet_async._paging.key_scanner import KeyScanner
from vismanet_async._paging.keys import KeyReader, PageKeys, RowKeys, row_digest, stamp_of, stamp_text
from vismanet_async._paging.page_formats import PageFormatError
from vismanet_async._paging.row_scanner import Rows
from vismanet_async._paging.seen_keys import SeenKeys

if TYPE_CHECKING:
    from collections.abc import Callable


NAMES: dict[str, Callable[[int], bytes]] = {
    "numbers": lambda number: b'"%06d"' % number,
    "plain numbers": lambda number: b"%d" % (number * number),
    "two families": lambda number: b'"%s%d"' % (b"AB"[number % 2 :][:1], number),
    "words": lambda number: b'"%s"' % bytes(97 + digit for digit in divmod(number, 7)),
}


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("spill_keys", [0, 5, 1_000_000])
@settings(deadline=None)
@given(pages=st.lists(st.lists(st.integers(0, 40), max_size=8), max_size=12), rising=st.booleans())
def test_the_index_agrees_with_a_dictionary(kind: str, spill_keys: int, pages: list[list[int]], rising: bool) -> None:
    index = SeenKeys(spill_keys=spill_keys)
    model: dict[int, int] = {}
    ordinal = 0
    for drawn in pages:
        numbers = sorted(set(drawn)) if rising else drawn
        first = ordinal
        expected = []
        for offset, number in enumerate(numbers):
            known = model.setdefault(number, ordinal)
            if known != ordinal:
                expected.append((offset, known, False))
            if known >= first:
                ordinal += 1
        found = index.add(PageKeys([NAMES[kind](number) for number in numbers], versions=False))
        assert [(repeat.offset, repeat.ordinal, repeat.newer) for repeat in found] == expected
        assert index.ordinal == ordinal
        assert len(index) == len(model)
    index.close()
    index.close()


def test_keys_stay_small_and_memory_stops_growing_when_they_spill() -> None:
    def grown(index: SeenKeys, pages: int, name: Callable[[int], bytes]) -> int:
        tracemalloc.start()
        try:
            for page in range(pages):
                names = [name(page * 1_000 + row) for row in range(1_000)]
                index.add(PageKeys(names, versions=False))
                del names
            return tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()

    assert grown(SeenKeys(), 50, lambda number: b'"%06d"' % number) / 50_000 < 4
    random = Random(1)
    index = SeenKeys(spill_keys=20_000)
    assert grown(index, 20, lambda _: random.randbytes(8).hex().encode()) / 20_000 < 100  # mostly empty buckets still
    assert grown(index, 5, lambda _: random.randbytes(8).hex().encode()) < 200_000
    assert len(index) == 25_000
    index.close()


@pytest.mark.parametrize(
    ("identity", "same", "other"),
    [
        (("number",), '{"number":"1","x":1}', '{"number":"01","x":1}'),
        (("type", "number"), '{"number":"1","type":"A"}', '{"number":"1","type":"B"}'),
        (("customer.number",), '{"customer":{"number":"1","name":"n"}}', '{"customer":{"number":"2","name":"n"}}'),
        ((), '{"a":1,"metadata":{"totalCount":3}}', '{"a":2,"metadata":{"totalCount":2}}'),
    ],
)
def test_identity(identity: tuple[str, ...], same: str, other: str) -> None:
    again = same.replace('"x":1', '"x":2').replace('"name":"n"', '"name":"m"').replace(":3}", ":4}")
    keys = KeyReader(RowKeys(identity)).read([msgspec.Raw(row.encode()) for row in (same, again, other)])
    assert keys.names[0] == keys.names[1] != keys.names[2]
    assert len(keys) == keys.unstamped == 3
    assert keys.newest is None


def row_text(name: str, before: str, time: str | None, after: str, *, key: str, breaks: bool) -> bytes:
    modified = "" if time is None else f'"lastModifiedDateTime":"{time}",'
    text = f'{{"{key}":{name},"text":"{before}",{modified}"rest":"{after}"}}'
    return (text.replace(",", ",\n") if breaks else text).encode()


ROW = st.builds(
    row_text,
    st.one_of(
        st.integers(0, 2000).map(str), st.integers(0, 2000).map('"{:04}"'.format), st.sampled_from(['"A1"', '"1A"'])
    ),
    st.one_of(st.just("x"), st.integers(0, 1500).map("y".__mul__)),
    st.sampled_from([None, "2024-05-0", "2025-01-01T10:00:00.123", "2025-01-01T10:00:00", "2023-01-01T10:00:00+02:00"]),
    st.sampled_from(["", "lastModifiedDateTime", "z" * 200]),
    key=st.sampled_from(["number"] * 8 + ["num1er"]),
    breaks=st.booleans(),
)


def as_rows(rows: list[bytes]) -> Rows:
    body = b"[" + b",".join(rows) + b"]"
    starts = [1 + sum(map(len, rows[:index])) + index for index in range(len(rows))]
    return Rows(body, starts, len(body) - 1)


def reads_as_the_parser(learning: KeyReader, keys: RowKeys, page: list[bytes]) -> None:
    try:
        expected = KeyReader(keys).read(page)
    except PageFormatError:
        with pytest.raises(PageFormatError):
            learning.read(as_rows(page))
        return
    found = learning.read(as_rows(page))
    assert list(found.names) == expected.names
    assert (found.newest, found.stamps) == (expected.newest, expected.stamps)


@settings(deadline=None, max_examples=100)
@given(pages=st.lists(st.lists(ROW, min_size=1, max_size=6), min_size=2, max_size=4), likeness=st.integers(1, 6))
def test_the_quick_ways_read_what_the_parser_reads(pages: list[list[bytes]], likeness: int) -> None:
    keys = RowKeys(("number",))
    learning = KeyReader(keys)
    pages = [pages[0], *([pages[0][0]] * likeness + page for page in pages), *pages]
    for page in pages:
        reads_as_the_parser(learning, keys, page)


def document_text(number: int, kind: str | None, lines: int, text: str, time: str | None, *, where: str) -> bytes:
    """A document whose kind stands behind objects that have kinds and times of their own."""
    line = f'{{"type":"Line","text":"{text}","lastModifiedDateTime":"2030-01-01"}}'
    modified = "" if time is None else f'"lastModifiedDateTime":"{time}",'
    own = "" if kind is None else f'"type":"{kind}",'
    parts = {"first": [own, modified], "last": [modified, own], "apart": [modified, '"between":{"type":"B"},', own]}
    return (
        f'{{"number":"{number:06}","contact":{{"id":1,"type":"Contact"}},"lines":[{",".join([line] * lines)}],'
        f'{"".join(parts[where])}"after":{{"id":2,"type":"After"}},"end":"{text}"}}'
    ).encode()


DOCUMENT = st.builds(
    document_text,
    st.integers(0, 50),
    st.sampled_from(["Invoice"] * 6 + ["CreditNote", None]),
    st.integers(0, 3),
    st.sampled_from(["", "x" * 60, r",\"type\":\"Text\","])
    | st.text(':,{}[]a1"', max_size=40).map(lambda text: json.dumps(text)[1:-1]),
    st.sampled_from(["2025-01-01T10:00:00"] * 4 + ["2024-01-01T10:00:00", None]),
    where=st.sampled_from(["first"] * 6 + ["last", "apart"]),
)


@settings(deadline=None, max_examples=200)
@given(pages=st.lists(st.lists(DOCUMENT, min_size=1, max_size=6), min_size=2, max_size=4))
def test_a_name_that_stands_behind_objects_is_the_rows_own(pages: list[list[bytes]]) -> None:
    keys = RowKeys(("type", "number"))
    learning = KeyReader(keys)
    for page in pages * 2:
        reads_as_the_parser(learning, keys, page)


def test_documents_that_are_alike_are_not_parsed_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    learning = KeyReader(RowKeys(("type", "number")))
    pages = [
        [document_text(number, "Invoice", number % 3, "text", "2025-01-01T10:00:00", where="first") for number in page]
        for page in (range(5), range(5, 10))
    ]
    learning.read(as_rows(pages[0]))
    monkeypatch.setattr(learning, "_rows", None)
    assert len(learning.read(as_rows(pages[0][:1]))) == 1
    keys = learning.read(as_rows(pages[1]))
    assert list(keys.names) == [b'"Invoice"\0"%06d"' % number for number in range(5, 10)]
    assert keys.newest == "2025-01-01T10:00:00"
    assert keys.unstamped == 0


def test_digits_in_a_member_name_are_no_number() -> None:
    learning = KeyReader(RowKeys(("number1",)))
    rows = [b'{"number1":%d,"number2":7}' % number for number in (10, 11)]
    learning.read(as_rows(rows))
    with pytest.raises(PageFormatError, match="number1"):
        learning.read(as_rows([rows[0], b'{"number2":12,"number2":7}']))


@pytest.mark.parametrize("row", ['{"x":1}', '{"type":"A"}', "[]", "7"])
def test_a_row_without_its_identity_is_refused(row: str) -> None:
    with pytest.raises(PageFormatError, match="number"):
        KeyReader(RowKeys(("type", "number"))).read([msgspec.Raw(row.encode())])


def test_stamps() -> None:
    rows = [
        b'{"n":1,"lastModifiedDateTime":"%s"}' % at for at in (b"2025-01-01T00:00:01.5", b"", b"2025-01-01T00:00:01")
    ]
    reader = KeyReader(RowKeys(("n",)))
    keys = reader.read([msgspec.Raw(row) for row in rows])
    assert keys.stamps[0] > keys.stamps[2] > keys.stamps[1] == 0
    assert keys.newest == "2025-01-01T00:00:01.5"
    assert keys.unstamped == 1
    assert KeyReader(RowKeys(("n",), modified=None)).read([msgspec.Raw(rows[0])]).newest is None


@given(st.datetimes(min_value=datetime(1, 1, 2)))
def test_stamps_are_ordered_like_the_moments_they_name(at: object) -> None:
    shown = str(at).replace(" ", "T")
    assert stamp_text(stamp_of(shown)) == shown[:19]
    assert stamp_of(shown + "+02:00") == stamp_of(shown) == stamp_of(str(at))


def test_what_is_no_moment_has_no_stamp() -> None:
    assert stamp_of(None) == stamp_of("") == stamp_of("yesterday") == 0


@pytest.mark.parametrize("row", ["null", '"x"', "[1]", "12", '{"other":1}'])
def test_a_first_row_without_an_identity_is_refused(row: str) -> None:
    with pytest.raises(PageFormatError, match="without its identity"):
        KeyReader(RowKeys(("number",))).read(as_rows([row.encode(), b'{"number":1}']))


_GAPS = st.sampled_from(["", "", "", " ", "\n", "\r\n", "\t "])


@given(st.lists(st.sampled_from(['{"a":1}', '{"b":[1, 2]}', "null", '"],"', '{ "c" : "[" }']), max_size=6), st.data())
def test_rows_of_a_parsed_array_are_what_was_parsed(rows: list[str], data: st.DataObject) -> None:
    """As places in it only where nothing stands between them but one comma each."""
    gaps = [data.draw(_GAPS) for _ in range(2 * len(rows) + 1)]
    inner = ",".join(f"{before}{row}{after}" for before, row, after in zip(gaps[::2], rows, gaps[1::2], strict=False))
    before, after = data.draw(_GAPS), data.draw(_GAPS)
    body = f"{before}[{inner}]{after}".encode()
    parsed = msgspec.json.decode(body, type=list[msgspec.Raw])
    found = Rows.of(body, parsed)
    assert list(map(bytes, found)) == [row.encode() for row in rows] == list(map(bytes, parsed))
    assert isinstance(found, Rows) == (bool(rows) and not before and not any(gaps[: 2 * len(rows)]))


def test_a_row_stamped_ahead_hides_no_newer_version_of_its_neighbours() -> None:
    def page(*stamps: int) -> PageKeys:
        keys = PageKeys([b"1", b"2"], stamp_text(max(stamps)))
        keys._stamps = list(stamps)
        return keys

    edge, second = stamp_of("2025-01-02T00:00:00"), 1_000_000
    index = SeenKeys(exact_since=edge)
    assert not index.add(page(edge + 1000 * second, edge + second))  # the first is stamped ahead of the clock
    assert [repeat.newer for repeat in index.add(page(edge + 1000 * second, edge + 2 * second))] == [True, True]
    assert [repeat.newer for repeat in index.add(page(edge + 1000 * second, edge + 2 * second))] == [False, False]
    # of a page from before the edge, nothing that was changed since can have its latest time
    index = SeenKeys(exact_since=edge)
    index.add(page(edge - 2 * second, edge - second))
    assert [repeat.newer for repeat in index.add(page(edge, edge - second))] == [True, False]


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("name", [b"%d", b"\xff%d"])
def test_a_row_of_the_latest_time_is_a_newer_version_only_where_it_differs(exact: bool, name: bytes) -> None:
    edge = stamp_of("2025-01-02T00:00:00")
    index = SeenKeys(exact_since=edge if exact else None)

    def add(texts: dict[int, bytes], *stamps: int) -> list[tuple[int, bool]]:
        keys = PageKeys([name % number for number in texts], stamp_text(max(stamps)))
        keys._stamps = list(stamps)
        rows = list(texts.values())
        return [(found.offset, found.newer) for found in index.add(keys, digest=lambda offset: rows[offset])]

    assert add({1: b"a", 2: b"b", 3: b"c"}, edge, edge, edge) == []
    assert add({4: b"d", 2: b"b", 3: b"other"}, edge, edge, edge) == [(1, False), (2, True)]
    assert add({3: b"other", 1: b"a", 2: b"later"}, edge, edge, edge + 1) == [(0, False), (1, False), (2, True)]
    assert add({2: b"later", 4: b"d"}, edge + 1, edge) == [(0, False), (1, False)]
    assert len(index) == 4


def test_rows_with_half_a_pair_have_digests_that_tell_them_apart() -> None:
    half = rb'{"id":1,"name":"\ud800","metadata":{"totalCount":2}}'
    assert row_digest(half) == row_digest(half.replace(b'Count":2', b'Count":3'))
    assert row_digest(half) != row_digest(half.replace(rb"\ud800", rb"\ud801"))
    with pytest.raises(msgspec.DecodeError):
        row_digest(b'{"id":')


def test_rows_that_are_never_alike_are_not_searched_page_after_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list whose rows differ in their layout: to look for one first makes every page dearer than to parse it."""
    searched: list[Rows] = []
    monkeypatch.setattr(KeyScanner, "read", lambda _, rows: searched.append(rows))
    reader = KeyReader(RowKeys(("number",)))
    for page in range(6):
        rows = as_rows([b'{"number":%d,"a":{}}' % page, b'{"a":{},"number":%d}' % (page + 10)])
        assert list(reader.read(rows).names) == [b"%d" % page, b"%d" % (page + 10)]
    assert len(searched) == 2

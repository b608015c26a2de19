"""Keys: which rows are the same, in how many bytes."""

from __future__ import annotations

import sys
from datetime import datetime
from random import Random

import msgspec
import pytest
from hypothesis import given, strategies as st

from vismanet_async.paging.keys import KeyIndex, KeyReader, PageKeys, RowKeys, stamp_of, stamp_text
from vismanet_async.paging.rows import Rows
from vismanet_async.paging.styles import PageFormatError


def moment(stamp: int) -> str:
    return f"2025-01-01T00:00:{stamp:02}" if stamp else ""


def page(names: list[bytes], stamps: list[int]) -> PageKeys:
    texts = [moment(stamp) for stamp in stamps]
    return PageKeys(names, max(texts, default="") or None, texts=lambda: texts)


@st.composite
def names(draw: st.DrawFn) -> bytes:
    """Names of the shapes that there are: padded and plain numbers, several families, and names without a number."""
    number = draw(st.integers(0, 30))
    shape = draw(
        st.sampled_from(
            [b'"%d"', b'"%05d"', b"%d", b'"Invoice"\0"%06d"', b'"CreditNote"\0"%06d"', b'"K%dX"', b'"%dA-"']
        )
    )
    return shape % number


PAGES = st.lists(st.lists(st.tuples(names(), st.integers(0, 3)), max_size=8), max_size=12)
RISING = st.lists(
    st.lists(st.tuples(st.integers(0, 200).map(lambda n: b'"%04d"' % n), st.integers(0, 3)), max_size=8).map(sorted),
    max_size=12,
)


@pytest.mark.parametrize("spill_keys", [0, 5, 1_000_000])
@given(pages=PAGES | RISING)
def test_the_index_agrees_with_a_dictionary(spill_keys: int, pages: list[list[tuple[bytes, int]]]) -> None:
    index = KeyIndex(spill_keys=spill_keys)
    model: dict[bytes, tuple[int, int]] = {}  # ordinal, and from which stamp on a version counts as newer
    ordinal = 0
    for rows in pages:
        first = ordinal
        expected = []
        ceiling = max((stamp for _, stamp in rows), default=0)
        for offset, (name, stamp) in enumerate(rows):
            if name not in model:
                model[name] = (ordinal, ceiling)
                ordinal += 1
                continue
            known, newer_from = model[name]
            twin = known >= first and not any(old == known for _, old, newer in expected if newer)
            newer = stamp > 0 and stamp >= newer_from and known < first
            expected.append((offset, known, newer))
            if newer:
                model[name] = (ordinal, stamp + 1)
            if newer or twin:
                ordinal += 1
        found = index.offer(page([name for name, _ in rows], [stamp for _, stamp in rows]))
        assert [(repeat.offset, repeat.ordinal, repeat.newer) for repeat in found] == expected
        assert index.ordinal == ordinal
        assert len(index) == len(model)
    index.close()
    index.close()


def test_numbers_are_kept_in_about_a_byte_each() -> None:
    index = KeyIndex()
    for start in range(0, 100_000, 1_000):
        assert not index.offer(PageKeys([b'"%08d"' % (3 * number) for number in range(start, start + 1_000)]))
    assert index._runs is not None
    runs = [run for family in index._runs._runs.values() for run in family]
    assert sum(sys.getsizeof(run.numbers) + sys.getsizeof(run.ordinals) for run in runs) < 100_000
    assert len(index) == 100_000
    [repeat] = index.offer(PageKeys([b'"%08d"' % (3 * 54_321)]))
    assert repeat.ordinal == 54_321


def test_names_without_an_order_take_some_twenty_bytes_and_stop_growing_when_they_spill() -> None:
    random = Random(1)
    index = KeyIndex(spill_keys=200_000)

    def offer(pages: int) -> int:
        for _ in range(pages):
            index.offer(PageKeys([random.randbytes(12).hex().encode() + b"x" for _ in range(1_000)]))
        kept = index._digests
        arrays = [part for bucket in kept._buckets.values() for part in bucket]
        return sum(map(sys.getsizeof, [*arrays, kept._lows, kept._ordinals, kept._buckets]))

    full = offer(200)
    assert full / 200_000 < 35
    assert offer(10) == full
    assert len(index) == 210_000
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


@pytest.mark.parametrize("row", ['{"x":1}', '{"type":"A"}', "[]", "7"])
def test_a_row_without_its_identity_is_refused(row: str) -> None:
    with pytest.raises(PageFormatError, match="number"):
        KeyReader(RowKeys(("type", "number"))).read([msgspec.Raw(row.encode())])


TEXT = st.text(max_size=6)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT


@given(
    rows=st.lists(
        st.tuples(
            SCALARS,
            TEXT | st.integers(),
            SCALARS,
            TEXT,
            st.none() | st.dictionaries(TEXT, SCALARS, max_size=2),
            st.booleans(),
        ),
        min_size=1,
        max_size=6,
    ),
    identity=st.sampled_from([("id",), ("kind", "id"), ("id", "kind")]),
)
def test_keys_read_off_the_heads_of_rows_are_those_that_a_parser_reads(
    rows: list[tuple[object, object, object, str, object, bool]], identity: tuple[str, ...]
) -> None:
    texts = [
        msgspec.json.encode(
            {"first": first, "id": key, "between": between, "kind": kind, "nested": nested}
            if in_order
            else {"nested": nested, "kind": kind, "id": key, "lastModifiedDateTime": "2025-01-01"}
        )
        for first, key, between, kind, nested, in_order in rows
    ]
    body = b"[" + b",".join(texts) + b"]"
    starts = [1 + sum(len(text) + 1 for text in texts[:index]) for index in range(len(texts))]
    reader, oracle = KeyReader(RowKeys(identity)), KeyReader(RowKeys(identity))
    reader.read(texts[:1])  # what rows look like is learnt from any of them
    found = reader.read(Rows(body, starts, len(body) - 1))
    wanted = oracle.read(texts)
    assert found.names == wanted.names
    assert found.stamps == wanted.stamps
    assert stamp_of(found.newest) >= stamp_of(wanted.newest)


def test_stamps() -> None:
    rows = [
        b'{"n":1,"lastModifiedDateTime":"%s"}' % at for at in (b"2025-01-01T00:00:01.5", b"", b"2025-01-01T00:00:01")
    ]
    reader = KeyReader(RowKeys(("n",)))
    keys = reader.read([msgspec.Raw(row) for row in rows])
    assert keys.stamps[0] > keys.stamps[2] > keys.stamps[1] == 0
    assert keys.newest == "2025-01-01T00:00:01.5"
    assert keys.unstamped == 1
    assert keys.part([2, 0]).stamps == [keys.stamps[2], keys.stamps[0]]
    assert KeyReader(RowKeys(("n",), modified=None)).read([msgspec.Raw(rows[0])]).newest is None


@given(st.datetimes(min_value=datetime(1, 1, 2)))
def test_stamps_are_ordered_like_the_moments_they_name(at: object) -> None:
    shown = str(at).replace(" ", "T")
    assert stamp_text(stamp_of(shown)) == shown[:19]
    assert stamp_of(shown + "+02:00") == stamp_of(shown) == stamp_of(str(at))


def test_what_is_no_moment_has_no_stamp() -> None:
    assert stamp_of(None) == stamp_of("") == stamp_of("yesterday") == 0

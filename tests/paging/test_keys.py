"""Keys: which rows are the same, in how many bytes."""

from __future__ import annotations

import sys
from datetime import datetime
from random import Random

import msgspec
import pytest
from hypothesis import given, strategies as st

from vismanet_async.paging.keys import KeyIndex, KeyReader, PageKeys, RowKeys, stamp_of, stamp_text
from vismanet_async.paging.styles import PageFormatError


def page(keys: list[tuple[int, int]]) -> PageKeys:
    return PageKeys(b"".join(number.to_bytes(16, "big") for number, _ in keys), [stamp for _, stamp in keys], None)


@pytest.mark.parametrize("spill_keys", [0, 5, 1_000_000])
@given(pages=st.lists(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3)), max_size=8), max_size=12))
def test_the_index_agrees_with_a_dictionary(spill_keys: int, pages: list[list[tuple[int, int]]]) -> None:
    index = KeyIndex(spill_keys=spill_keys)
    model: dict[int, tuple[int, int]] = {}
    ordinal = 0
    for keys in pages:
        first = ordinal
        expected = []
        for offset, (number, stamp) in enumerate(keys):
            if number not in model:
                model[number] = (ordinal, stamp)
                ordinal += 1
                continue
            known, known_stamp = model[number]
            newer = stamp > known_stamp
            expected.append((offset, known, newer))
            if newer:
                model[number] = (ordinal, stamp)
            if newer or known >= first:
                ordinal += 1
        assert [(repeat.offset, repeat.ordinal, repeat.newer) for repeat in index.offer(page(keys))] == expected
        assert index.ordinal == ordinal
        assert len(index) == len(model)
    index.close()
    index.close()


@pytest.mark.parametrize("spill_keys", [0, 1_000_000])
def test_digests_that_share_their_first_half_are_told_apart(spill_keys: int) -> None:
    index = KeyIndex(spill_keys=spill_keys)
    half = 1 << 70
    assert not index.offer(page([(half + 2, 1), (half + 1, 1), (half + 3, 1)]))
    repeats = index.offer(page([(half + 3, 1), (half + 1, 1)]))
    assert [repeat.ordinal for repeat in repeats] == [2, 1]


def test_a_key_takes_about_thirty_bytes_and_memory_stops_growing_when_it_spills() -> None:
    random = Random(1)
    index = KeyIndex(spill_keys=200_000)

    def held() -> int:
        buckets = [array for bucket in index._buckets.values() for array in bucket]
        return sum(map(sys.getsizeof, [*buckets, index._lows, index._stamps, index._buckets]))

    for _ in range(200):
        index.offer(PageKeys(random.randbytes(16_000), [10**17] * 1_000, None))
    full = held()
    assert full / 200_000 < 35
    for _ in range(10):
        index.offer(PageKeys(random.randbytes(16_000), [10**17] * 1_000, None))
    assert held() == full
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
    keys = KeyReader.of(RowKeys(identity)).read([msgspec.Raw(row.encode()) for row in (same, again, other)])
    assert keys.digest(0) == keys.digest(1) != keys.digest(2)
    assert len(keys) == keys.unstamped == 3
    assert keys.newest is None


@pytest.mark.parametrize("row", ['{"x":1}', '{"type":"A"}', "[]", "7"])
def test_a_row_without_its_identity_is_refused(row: str) -> None:
    with pytest.raises(PageFormatError, match="number"):
        KeyReader.of(RowKeys(("type", "number"))).read([msgspec.Raw(row.encode())])


def test_stamps() -> None:
    rows = [
        b'{"n":1,"lastModifiedDateTime":"%s"}' % at for at in (b"2025-01-01T00:00:01.5", b"", b"2025-01-01T00:00:01")
    ]
    reader = KeyReader.of(RowKeys(("n",)))
    keys = reader.read([msgspec.Raw(row) for row in rows])
    assert keys.stamps[0] > keys.stamps[2] > keys.stamps[1] == 0
    assert keys.newest == "2025-01-01T00:00:01.5"
    assert keys.unstamped == 1
    assert reader.read([msgspec.Raw(rows[0])], stamps=False).stamps == [0]
    assert KeyReader.of(RowKeys(("n",), modified=None)).read([msgspec.Raw(rows[0])]).newest is None


@given(st.datetimes(min_value=datetime(1, 1, 2)))
def test_stamps_are_ordered_like_the_moments_they_name(at: object) -> None:
    shown = str(at).replace(" ", "T")
    assert stamp_text(stamp_of(shown)) == shown[:19]
    assert stamp_of(shown + "+02:00") == stamp_of(shown) == stamp_of(str(at))


def test_what_is_no_moment_has_no_stamp() -> None:
    assert stamp_of(None) == stamp_of("") == stamp_of("yesterday") == 0

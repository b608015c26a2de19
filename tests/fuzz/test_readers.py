"""What comes from elsewhere is read or refused: no other exception, no hanging, no more memory than its length."""

from __future__ import annotations

import time
import tracemalloc

import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st

from tests.fuzz.corpus import corpus
from tests.fuzz.readers import READERS, check

_KINDS = tuple(READERS)


@pytest.mark.parametrize("name", _KINDS)
def test_whatever_is_known_to_be_hard(name: str) -> None:
    for data in corpus():
        check(READERS[name], data)


_ODD = st.sampled_from(
    (b"null", b"[]", b"{}", b'""', b"-1", b"1e400", b"9" * 60, b"true", b'"\\ud800"', b'"\xff"', b"[[[[", b"}}", b'"',
     b",", b"|", b"\x00", b"\\", b"%", b"..", b"/", b"=?", b"''", b"\xef\xbb\xbf", b"1e-999", b'{"value":null}')
)  # fmt: skip


@st.composite
def mangled(draw: st.DrawFn) -> bytes:
    """Something that is nearly right: pieces cut out, doubled, or replaced."""
    data = draw(st.sampled_from(corpus()))[:20_000]
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 40)))
        put = draw(st.one_of(_ODD, st.binary(max_size=8), st.just(data[start:end] * 2)))
        data = data[:start] + put + data[end:]
    return data


@pytest.mark.parametrize("name", _KINDS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(
    data=st.one_of(
        mangled(), st.binary(max_size=200), st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))
    )
)
@example(data=b"")
def test_whatever_comes(name: str, data: bytes) -> None:
    check(READERS[name], data)


def _families() -> dict[str, bytes]:
    """Inputs of 100 kB whose cost would grow faster than their length, if anything's did."""
    size = 100_000
    return {
        "nested arrays": b"[" * size,
        "nested objects": b'{"a":' * (size // 5),
        "many empty rows": b"[" + b"{}," * (size // 3) + b"{}]",
        "many keys": b"{" + b",".join(b'"k%d":1' % number for number in range(size // 12)) + b"}",
        "a long number": b'{"creditLimit":' + b"9" * size + b"}",
        "a long fraction": b'{"creditLimit":0.' + b"9" * size + b"}",
        "a great exponent": b'{"creditLimit":1e' + b"9" * 9 + b',"internalId":1e99999999}',
        "escapes": b'{"name":"' + b"\\u0041" * (size // 6) + b'"}',
        "spaces": b" " * size,
        "quotes": b'"' * size,
        "uuids": b"73ac0029-1e4f-4adc-a7eb-318cd25ba4bf" * (size // 36),
        "semicolons": b"a" + b";" * size + b"||",
        "percents": b"attachment; filename*=UTF-8''" + b"%" * size + b"||",
        "slashes": b"https://x/" + b"/" * size,
        "base64": b"attachment; filename=x.pdf|text/plain|" + b"QUJD" * (size // 4),
        "bars": b"|" * size,
        "dots": b"[default]\n" + b"a." * (size // 2) + b"b=1",
        "lines": b'{"fingerprint":"f","begun_at":"2026-01-15T07:00:00Z"}|1|' + b"{}\n" * (size // 3),
    }


@pytest.mark.parametrize("family", _families())
def test_time_and_memory_grow_with_the_length_alone(family: str) -> None:
    data = _families()[family]
    for name, reader in READERS.items():
        for small in (b"{}", b"", b"x"):
            check(reader, small)  # what is loaded with the first use is not the input's
        tracemalloc.start()
        began = time.process_time()
        check(reader, data)
        seconds = time.process_time() - began
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 400 * len(data) + 4_000_000, f"{name}: {peak} bytes for {len(data)}"
        assert seconds < 10, f"{name}: {seconds:.1f} s"

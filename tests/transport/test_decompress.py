"""Compressed bodies come out as they went in, or not at all, with the quick library and with zlib."""

import gzip
import sys
import zlib
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, strategies as st

from vismanet_async._http import decompress
from vismanet_async._http.decompress import SUPPORTED, DecompressError, declared_size, encoding_of, iter_decompressed

LIBRARIES = {"zlib": zlib} | ({} if decompress._library is zlib else {"isal": decompress._library})


@pytest.fixture(params=LIBRARIES, autouse=True)
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decompress, "_library", LIBRARIES[request.param])


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decompress, "_PIECE_BYTES", 7)


def bare(data: bytes) -> bytes:
    return zlib.compress(data, wbits=-zlib.MAX_WBITS)


def whole(body: bytes, encoding: str = "gzip") -> bytes:
    return b"".join(iter_decompressed(body, encoding))


WAYS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("x-gzip", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "bare deflate": ("deflate", bare),
    "stored": ("gzip", lambda data: gzip.compress(data, 0)),
}

# texts of pages repeat themselves; others do not
texts = st.binary(max_size=300) | st.tuples(st.binary(max_size=40), st.integers(0, 60)).map(lambda a: a[0] * a[1])


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("way", WAYS)
@given(data=texts)
def test_what_went_in_comes_out(way: str, data: bytes) -> None:
    encoding, squeeze = WAYS[way]
    assert whole(squeeze(data), encoding) == data


@pytest.mark.usefixtures("small_pieces")
@given(members=st.lists(texts, min_size=1, max_size=4))
def test_members_come_one_after_the_other(members: list[bytes]) -> None:
    body = b"".join(map(gzip.compress, members))
    assert whole(body) == b"".join(members)
    assert declared_size(body, "gzip") == len(members[-1])


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("way", WAYS)
@given(data=texts, at=st.floats(0, 1, exclude_max=True))
def test_a_body_cut_off_is_never_taken_for_whole(way: str, data: bytes, at: float) -> None:
    encoding, squeeze = WAYS[way]
    body = squeeze(data)
    with pytest.raises(DecompressError):
        whole(body[: int(at * len(body))], encoding)


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("squeeze", [gzip.compress, zlib.compress])
@given(data=texts, place=st.integers(0), bit=st.integers(0, 7))
def test_damage_is_found(squeeze: Callable[[bytes], bytes], data: bytes, place: int, bit: int) -> None:
    body = bytearray(squeeze(data))
    body[place % len(body)] ^= 1 << bit
    try:
        came = whole(bytes(body), "gzip")
    except DecompressError:
        return
    assert came == data  # of a header, which tells who compressed it and when, nothing depends


@pytest.mark.parametrize("more", [b"\0more", b"more", b"\x1f\x8b"])
def test_what_follows_the_last_member_is_refused(more: bytes) -> None:
    with pytest.raises(DecompressError):
        whole(gzip.compress(b"[]") + more)


@pytest.mark.parametrize("encoding", sorted(SUPPORTED))
def test_nothing_and_nonsense_are_refused(encoding: str) -> None:
    for body in (b"", b"x", b"not compressed at all"):
        with pytest.raises(DecompressError):
            whole(body, encoding)


def test_a_bomb_comes_in_pieces_of_bounded_size() -> None:
    bomb = gzip.compress(bytes(60_000_000))
    sizes = [len(piece) for piece in iter_decompressed(bomb, "gzip")]
    assert sum(sizes) == 60_000_000
    assert len(sizes) > 5
    assert max(sizes) <= decompress._PIECE_BYTES * 1_032


def test_large_pages_come_whole() -> None:
    page = Random(1).randbytes(5_000) * 200
    assert whole(gzip.compress(page)) == page
    assert declared_size(gzip.compress(page), "gzip") == len(page)


def test_only_gzip_tells_its_size() -> None:
    assert declared_size(zlib.compress(b"x" * 100), "deflate") == 0
    assert declared_size(b"\xff" * 17, "gzip") == 0


def test_pieces_are_inflated_when_they_are_asked_for() -> None:
    body = gzip.compress(Random(1).randbytes(30_000))
    damaged = body[:20_000] + bytes(100) + body[20_100:]
    pieces = iter_decompressed(damaged, "gzip")
    assert next(pieces)
    with pytest.raises(DecompressError):
        list(pieces)


def test_zlib_serves_where_the_quick_library_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "isal", None)
    assert decompress._fastest() is zlib


@pytest.mark.parametrize("zeros", [1, 64, 100_000])
def test_padding_behind_the_last_member_is_no_member(zeros: int) -> None:
    assert whole(gzip.compress(b"[1]") + b"\0" * zeros) == b"[1]"
    assert whole(gzip.compress(b"[1") + gzip.compress(b"]") + b"\0" * zeros) == b"[1]"


@pytest.mark.parametrize(
    "body", [b'[{"a":1}]', b'{"a":1}', b'"text"', b"\xef\xbb\xbf[]", b"[" + b"1," * 90_000 + b"1]"]
)
def test_json_that_only_says_that_it_is_gzip_is_taken_as_it_is(body: bytes) -> None:
    assert whole(body) == body
    assert declared_size(body, "gzip") == 0


@pytest.mark.parametrize(
    ("headers", "encoding"),
    [
        ([], ""),
        ([""], ""),
        (["identity"], ""),
        (["none"], ""),
        (["UTF-8"], ""),
        (["utf8, identity"], ""),
        (["iso-8859-1"], ""),
        (["8bit", "binary"], ""),
        (["gzip"], "gzip"),
        (["GZIP"], "gzip"),
        (["gzip, identity"], "gzip"),
        (["utf-8", " gzip "], "gzip"),
        (["identity,deflate,"], "deflate"),
        (["br"], "br"),
        (["gzip, br"], "gzip, br"),
        (["gzip", "gzip"], "gzip, gzip"),
    ],
)
def test_what_the_headers_say_of_the_encoding(headers: list[str], encoding: str) -> None:
    assert encoding_of(headers) == encoding

"""Halves of surrogate pairs: read as far as the format holds them, never sent."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from tests.api.support import Client
from vismanet_async._api.models import Customer, CustomerUpdate
from vismanet_async._codec.decode import decode_one, decode_rows
from vismanet_async._codec.encode import encode_write
from vismanet_async._codec.halves import as_they_came, with_whole_pairs
from vismanet_async._paging import page_formats
from vismanet_async._paging.keys import KeyReader, RowKeys
from vismanet_async.errors import RequestRefused, UnexpectedResponse

HALVES = [r"Bl\ud83d", r"\udc00x", r"\ud83d\ud83d\ude00", r"\\\ud83d", r"\uDBFF\n", r"a\udfff\ud800b"]


@given(st.text(st.characters(codec=None) | st.sampled_from('\\"\ud83d\ude00\udc00/u')))
def test_text_of_the_same_length_that_msgspec_takes(text: str) -> None:
    came = json.dumps([text, 1]).encode()
    mended = with_whole_pairs(came)
    has_halves = any(0xD800 <= ord(char) <= 0xDFFF for char in json.loads(came)[0])
    assert (mended is not None) == has_halves
    for told_apart in (False, True):
        whole = with_whole_pairs(came, told_apart=told_apart) or came
        assert len(whole) == len(came)
        assert msgspec.json.decode(whole)[1] == 1


@given(st.integers(0xD800, 0xDFFF), st.integers(0xD800, 0xDFFF))
def test_halves_can_be_told_apart(one: int, other: int) -> None:
    mended = [with_whole_pairs(rf'"\u{half:04X}"'.encode(), told_apart=True) for half in (one, other)]
    assert (mended[0] == mended[1]) == (one == other)


@pytest.mark.parametrize("half", HALVES)
def test_a_record_with_a_half_is_read(half: str) -> None:
    text = f'{{"number":"1","name":"{half}"}}'.encode()
    expected = json.loads(text)["name"]
    record = decode_one(text, Customer)
    assert (record.name, record.raw_json) == (expected, text)
    assert [row.name for row in decode_rows([b'{"number":"2","name":"x"}', text], Customer)] == ["x", expected]


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize(
    ("style", "form"),
    [
        (page_formats.PAGE_NUMBER, b"[%s]"),
        (page_formats.PAGE_NUMBER, b"\xef\xbb\xbf[ %s ]"),
        (page_formats.UNPAGED, b"[%s]"),
        (page_formats.ENVELOPE, b'{"pageNumber":1,"totalCount":2,"records":[%s]}'),
        (page_formats.PAGE_INDEX, b'{"totalCount":2,"value":[%s]}'),
    ],
)
def test_pages_keep_the_rows_as_they_came(half: str, style: page_formats.PageStyle, form: bytes) -> None:
    rows = [f'{{"number":"{half}","metadata":{{"totalCount":2}}}}'.encode(), b'{"number":"2"}']
    answer = style.read(form % b",".join(rows))
    assert [bytes(row) for row in answer.rows] == rows
    assert bytes(answer.body).endswith(form.removeprefix(b"\xef\xbb\xbf") % b",".join(rows))
    keys = KeyReader(RowKeys(("number",), None)).read(answer.rows)
    assert len(set(keys.names)) == 2


def test_a_page_that_is_no_json_besides_is_refused() -> None:
    with pytest.raises(page_formats.PageFormatError):
        page_formats.PAGE_NUMBER.read(rb'[{"name":"\ud83d"},')


def test_parts_are_found_where_they_stood() -> None:
    text = rb'{"a":["\ud83d","\ufffd","\ud83d"]}'
    mended = with_whole_pairs(text)
    assert mended is not None
    assert as_they_came([rb'"\ufffd"'] * 3, mended, text) == [rb'"\ud83d"', rb'"\ufffd"', rb'"\ud83d"']


def test_a_row_that_nothing_can_read_is_named() -> None:
    with pytest.raises(UnexpectedResponse, match="row 1 of this slice"):
        decode_rows([b'{"number":"1"}', b'{"number":"\xff"}'], Customer)


REFUSED: dict[str, Any] = {
    "a field": lambda c: c.customer.create({"name": "x\ud83d"}),
    "a field of a model": lambda c: c.customer.update("1", CustomerUpdate(name="\udc00")),
    "a nested field": lambda c: c.customer.create({"mainAddress": {"city": "\ud83d"}}),
    "an id": lambda c: c.customer.get("x\ud83d"),
    "a reserved id": lambda c: c.customer.get("x/\ud83d"),
    "a version": lambda c: c.customer.update("1", {"name": "x"}, if_match="a\ud83d"),
    "a control character in a version": lambda c: c.customer.update("1", {"name": "x"}, if_match="a\x1fb"),
    "a line break in a version": lambda c: c.customer.update("1", {"name": "x"}, if_match="a\nb"),
    "DEL in a version": lambda c: c.customer.update("1", {"name": "x"}, if_match="a\x7f"),
    "a header": lambda c: c.customer.get("1").with_options(headers={"X-Trace": "\ud83d"}).request(),
    "a control character in a header": lambda c: c.customer.get("1").with_options(headers={"X-T": "\x1b"}).request(),
    "the name of a header": lambda c: c.customer.get("1").with_options(headers={"X T": "a"}).request(),
}


@pytest.mark.parametrize("place", REFUSED)
def test_halves_and_control_characters_are_refused_by_name(place: str) -> None:
    client = Client()
    with pytest.raises(RequestRefused, match=r"[Nn]othing was sent") as caught:
        REFUSED[place](client)
    assert str(caught.value).encode()
    assert client.recorder.requests == []


def test_a_path_of_the_field_is_told() -> None:
    with pytest.raises(
        RequestRefused, match=r"main_address.city \(mainAddress.city\) holds half a surrogate pair at character 2"
    ):
        encode_write({"mainAddress": {"city": "Os\ud83d"}}, CustomerUpdate)

"""How answers of each style are read, and refused."""

from __future__ import annotations

import msgspec
import pytest

from vismanet_async._paging import page_formats
from vismanet_async._paging.journals import merge_batches
from vismanet_async._paging.keys import KeyReader, RowKeys
from vismanet_async._paging.page_formats import (
    ENVELOPE,
    JOURNAL,
    PAGE_INDEX,
    PAGE_NUMBER,
    STYLES,
    UNPAGED,
    PageFormatError,
    PageReader,
    PageStyle,
)


@pytest.mark.parametrize(
    ("style", "page", "size", "query"),
    [
        (PAGE_NUMBER, 1, 1000, {"pageNumber": "1", "pageSize": "1000"}),
        (PAGE_NUMBER, 3, None, {"pageNumber": "3"}),
        (ENVELOPE, 2, 5, {"pageNumber": "2", "pageSize": "5"}),
        (JOURNAL, 2, 5, {"pageNumber": "2", "pageSize": "5"}),
        (PAGE_INDEX, 1, 100, {"pageIndex": "0", "pageSize": "100"}),
        (UNPAGED, 1, 100, {}),
    ],
)
def test_query(style: PageStyle, page: int, size: int | None, query: dict[str, str]) -> None:
    assert style.query(page, size) == query
    assert STYLES[style.name] is style


@pytest.mark.parametrize(("page", "size"), [(0, 10), (1, 0), (-1, None)])
def test_pages_and_sizes_start_at_one(page: int, size: int | None) -> None:
    with pytest.raises(ValueError, match="start at 1"):
        PAGE_NUMBER.query(page, size)


@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
@pytest.mark.parametrize("body", [b"[]", b"", b"null", b'""', b" \n", b" [] ", b"\xef\xbb\xbf[]"])
def test_every_empty_form_is_zero_rows(style: PageStyle, body: bytes) -> None:
    answer = style.read(body)
    assert (answer.rows, answer.total, answer.max_page_size, answer.more) == ([], None, None, None)


def test_metadata_is_the_first_rows_own() -> None:
    body = (
        b'[{"a":{"metadata":{"totalCount":1,"maxPageSize":1}},"metadata":{"totalCount":450,"maxPageSize":1000}},'
        b'{"t":"\\"metadata\\":{\\"totalCount\\":7"}]'
    )
    answer = PAGE_NUMBER.read(bytearray(body))
    assert (answer.total, answer.max_page_size, answer.body) == (450, 1000, body)
    assert [bytes(row)[:4] for row in answer.rows] == [b'{"a"', b'{"t"']


@pytest.mark.parametrize(
    "metadata", [b"", b'"metadata":null', b'"metadata":{}', b'"metadata":{"totalCount":-1,"maxPageSize":0}']
)
def test_missing_metadata(metadata: bytes) -> None:
    answer = PAGE_NUMBER.read(b"[{%s}]" % metadata)
    assert (answer.total, answer.max_page_size) == (None, None)
    assert PAGE_NUMBER.read(b"[\n     ]").rows == []


def test_envelope() -> None:
    answer = ENVELOPE.read(b'{"pageNumber":1,"pageSize":2,"totalCount":3,"records":[{"id":1},{"id":2}]}')
    assert (len(answer.rows), answer.total, answer.max_page_size) == (2, 3, 2)
    assert ENVELOPE.read(b'{"records":null,"totalCount":0}').total == 0


def test_page_index() -> None:
    answer = PAGE_INDEX.read(b'{"value":[{"id":1}],"totalCount":null,"nextPage":"https://elsewhere.example/"}')
    assert (len(answer.rows), answer.total, answer.more) == (1, None, True)
    assert PAGE_INDEX.read(b'{"value":null,"totalCount":0,"nextPage":null}').more is False
    assert PAGE_INDEX.read(b'{"value":[{"id":1}],"totalCount":1,"nextPage":" "}').more is False


SECRET = b'{"iban":"NO9386011117947"}'


@pytest.mark.parametrize(
    ("style", "body", "seen"),
    [
        (PAGE_NUMBER, b"<html><body>502 Bad Gateway</body></html>", "HTML"),
        (PAGE_NUMBER, b"\r\n <!DOCTYPE html>", "HTML"),
        (PAGE_NUMBER, b"[" + SECRET + b",", "truncated"),
        (PAGE_NUMBER, SECRET, "object"),
        (PAGE_NUMBER, b'"text"', "str"),
        (PAGE_NUMBER, b"[" + SECRET + b"] tail", "trailing"),
        (PAGE_NUMBER, b'[{"metadata":{"totalCount":"many"}}]', "int"),
        (PAGE_NUMBER, b"[7]", "int"),
        (ENVELOPE, b"[" + SECRET + b"]", "array"),
        (ENVELOPE, b'{"totalCount":3}', "records"),
        (PAGE_INDEX, b'{"records":[]}', "value"),
        (UNPAGED, b"plain text", "malformed"),
    ],
)
def test_what_is_no_page_is_refused_without_showing_data(style: PageStyle, body: bytes, seen: str) -> None:
    with pytest.raises(PageFormatError, match=seen) as caught:
        style.read(body)
    assert len(str(caught.value)) <= 200
    assert "NO93" not in str(caught.value)


def test_batches_are_joined_by_line() -> None:
    first = msgspec.Raw(b'{"batchNumber":"7","controlTotal":1.10,"journalTransactionLines":[{"lineNumber":1},{"x":1}]}')
    again = msgspec.Raw(b'{"batchNumber":"7","controlTotal":1.10,"journalTransactionLines":[{"lineNumber":1,"y":2}]}')
    batch, lines = merge_batches([first, again])
    assert lines == 2
    assert bytes(batch) == (
        b'{"batchNumber":"7","controlTotal":1.10,"journalTransactionLines":[{"lineNumber":1,"y":2},{"x":1}]}'
    )
    assert merge_batches([first]) == (first, 2)
    assert merge_batches([msgspec.Raw(b'{"journalTransactionLines":null}')])[1] == 0
    assert merge_batches([msgspec.Raw(b"{}")])[1] == 0


def page_body(*, most: int = 3, total: int | None = 9, first: int = 1) -> bytes:
    metadata = b'{"totalCount":%d,"maxPageSize":%d}' % (total, most) if total is not None else b"null"
    rows = [b'{"number":"%d","name":"x","metadata":%s}' % (first + row, metadata) for row in range(3)]
    return b"[" + b",".join(rows) + b"]"


@pytest.mark.parametrize(
    "later", [page_body(first=4), page_body(total=10), page_body(most=2), page_body(total=None), b"[]"]
)
def test_a_reader_that_has_learnt_reads_the_same(later: bytes) -> None:
    reader = PageReader(PAGE_NUMBER)
    for body in (page_body(), later):
        quick, plain = reader.read(body, page_size=3), PAGE_NUMBER.read(body)
        assert [bytes(row) for row in quick.rows] == [bytes(row) for row in plain.rows]
        assert (quick.total, quick.max_page_size) == (plain.total, plain.max_page_size)


@pytest.fixture
def every_page_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_formats, "_LARGE_BYTES", 0)


@pytest.mark.usefixtures("every_page_is_large")
@pytest.mark.parametrize(
    "body",
    [
        page_body(),
        bytearray(page_body()),
        (
            b'[{"number":"1","of":[{"number":"2"},{"number":"3","metadata":{"totalCount":1}},{"number":"4"}],'
            b'"metadata":{"totalCount":9,"maxPageSize":3}},{"number":"5"}]'
        ),
        b'[{"number":"},{\\"number\\":","metadata":{"totalCount":9,"maxPageSize":3}},{"number":"5',
    ],
    ids=["plain", "buffer", "rows within rows", "cut off later"],
)
def test_totals_can_be_had_before_all_is_read(body: bytes) -> None:
    metadata = PageReader(PAGE_NUMBER).peek_metadata(body)
    assert metadata is not None
    assert (metadata.totalCount, metadata.maxPageSize) == (9, 3)


@pytest.mark.usefixtures("every_page_is_large")
@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"null", b"<html>", b"[1,2]", b'{"records":[{"a":1},{"a":2}]}', page_body(total=None),
        b'[{"number":"1","metadata":{"totalCount":1}}]', b'[{"number":"1"},{"number":"2"', b'[{"a":1},{"b":2}]',
        b'[{"\xff":1},{"\xff":2}]', b'[{"metadata":"x"},{"metadata":"y"}]',
    ],
)  # fmt: skip
def test_totals_that_cannot_be_had_early(body: bytes) -> None:
    assert PageReader(PAGE_NUMBER).peek_metadata(body) is None


def test_totals_are_had_early_where_that_helps(every_page_is_large: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert PageReader(ENVELOPE).peek_metadata(page_body()) is None
    reader = PageReader(PAGE_NUMBER)
    reader.read(page_body(), page_size=3)
    assert reader.peek_metadata(page_body()) is None, "it is known by now"
    monkeypatch.setattr(page_formats, "_LARGE_BYTES", 10_000)
    assert PageReader(PAGE_NUMBER).peek_metadata(page_body()) is None, "it is read in no time"


def test_other_styles_and_sizes_are_parsed() -> None:
    assert PageReader(ENVELOPE).read(b'{"records":[{"id":1}]}', page_size=1).total is None
    assert PageReader(PAGE_NUMBER).read(page_body(), page_size=None).total == 9


def test_unpaged_rows_may_be_plain_text() -> None:
    answer = UNPAGED.read(b'["ACCOUNT", "SUB \\"A\\"",\n""]')
    assert [msgspec.json.decode(row) for row in answer.rows] == ["ACCOUNT", 'SUB "A"', ""]
    assert (answer.total, answer.max_page_size, answer.more) == (None, None, None)


@pytest.mark.parametrize("body", [b"[1,2]", b'[{"a":1},"b"]', b'["a",["b"]]', b"[null]"])
def test_unpaged_rows_of_other_kinds_are_refused(body: bytes) -> None:
    with pytest.raises(PageFormatError):
        KeyReader(RowKeys(())).read(UNPAGED.read(body).rows)


@pytest.mark.parametrize("style", [one for one in STYLES.values() if one.pages], ids=lambda style: style.name)
def test_pages_of_plain_text_are_refused(style: PageStyle) -> None:
    with pytest.raises(PageFormatError):
        style.read(b'["ACCOUNT"]')

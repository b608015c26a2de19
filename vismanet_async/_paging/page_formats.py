"""Paging parameters and page formats of each kind of list endpoint (no IO).

Pages are counted from 1 everywhere else; only `PAGE_INDEX` converts that to the zero-based number of the Sales Order
service (facts 4.14). A body is split into its rows without decoding them: one pass, about
one millisecond per megabyte.

Examples:
    >>> answer = PAGE_NUMBER.read(b'[{"metadata":{"totalCount":2,"maxPageSize":1000},"number":"1"},{"number":"2"}]')
    >>> len(answer.rows), answer.total, answer.max_page_size
    (2, 2, 1000)
    >>> PAGE_INDEX.query(1, 100)
    {'pageIndex': '0', 'pageSize': '100'}
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import attrs
import msgspec

from vismanet_async._codec.halves import as_they_came, with_whole_pairs
from vismanet_async._paging.row_scanner import Rows, RowSeparator

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vismanet_async._paging.row_scanner import RawRow

__all__ = [
    "ENVELOPE",
    "JOURNAL",
    "PAGE_INDEX",
    "PAGE_NUMBER",
    "STYLES",
    "UNPAGED",
    "Metadata",
    "PageAnswer",
    "PageFormatError",
    "PageReader",
    "PageStyle",
]

_SHOWN_CHARACTERS = 80  # of a body in an error: enough to tell HTML from JSON, too little to be a leak
_UTF8_BOM = b"\xef\xbb\xbf"
_LARGE_BYTES = 256 * 1024
"""Parsing a page of this size or more takes longer than sending a request."""
_FIRST_ROW_BYTES = 64 * 1024
"""How far the end of the first row is searched."""
_EMPTY = re.compile(rb"""\s*+(?:\[\]|null|"")?+\s*+""")


class PageFormatError(ValueError):
    """A body is not a page of the style that the endpoint has; the text states what was seen. Nothing was delivered."""


@attrs.frozen
class PageAnswer:
    """One answer, split into rows."""

    rows: Sequence[RawRow]
    """The elements as the server wrote them; `body` lives as long as they do."""
    total: int | None
    """Rows (journals: lines) that matched at that instant; None: not stated, as in every empty answer."""
    max_page_size: int | None
    """The size that the server clamps to; None: not stated."""
    more: bool | None
    """Whether the server says that another page follows; None: it does not say."""
    body: bytes | bytearray
    """The whole answer."""


class PageStyle(msgspec.Struct, frozen=True, eq=False):
    """A way of paging: builds query parameters, reads answers. Stateless, safe to share."""

    name: str
    """What the catalog calls it."""
    pages: bool
    """False: the endpoint ignores paging parameters and answers with everything."""
    by_line: bool
    """True: sizes and totals count lines inside the rows, and one row can be split over pages."""
    _page_parameter: str | None
    _first_page: int
    _split: Callable[[bytes | bytearray], PageAnswer]

    def query(self, page: int, page_size: int | None = None) -> dict[str, str]:
        """Return the paging parameters for a page.

        Args:
            page: counted from 1.
            page_size: rows to ask for; None leaves it to the server, whose default is its maximum (facts 4.1).

        Raises:
            ValueError: for a page or a size below 1.
        """
        if page < 1 or (page_size is not None and page_size < 1):
            raise ValueError(f"page and page size start at 1, got page {page} of size {page_size}")
        if self._page_parameter is None:
            return {}
        query = {self._page_parameter: str(page - 1 + self._first_page)}
        if page_size is not None:
            query["pageSize"] = str(page_size)
        return query

    def read(self, body: bytes | bytearray) -> PageAnswer:
        """Split a body into rows and read its totals; rows are not decoded.

        `[]`, an empty body, `null` and `""` are all an answer without rows (facts 4.4).

        Raises:
            PageFormatError: not JSON (HTML, cut off), or another shape than this style has.
        """
        data = body.removeprefix(_UTF8_BOM) if body.startswith(_UTF8_BOM) else body
        if _EMPTY.fullmatch(data):
            return PageAnswer(rows=[], total=None, max_page_size=None, more=None, body=data)
        try:
            return self._split(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            mended = with_whole_pairs(data)
            if mended is None:
                raise PageFormatError(_what_came(self.name, data, error)) from error
            answer = self.read(mended)
            return attrs.evolve(answer, rows=as_they_came(answer.rows, mended, data), body=data)


class PageReader:
    """Parses the pages of one list; after the first page, by the learnt row separator. Use one per traversal."""

    def __init__(self, style: PageStyle) -> None:
        self._style = style
        self._separator = RowSeparator()
        self._most_rows: int | None = None
        self._has_read = False

    def peek_metadata(self, body: bytes | bytearray) -> Metadata | None:
        """Return the totals of a first page from its first row: for a large page, long before all of it is parsed.

        None where they are not found quickly, and for every page but the first.
        """
        if self._has_read or self._style is not PAGE_NUMBER or len(body) < _LARGE_BYTES:
            return None
        head = bytes(body[1 : body.find(b'":', 1, _FIRST_ROW_BYTES) + 2])
        # the row ends where the next one begins with the same member; within a nested array it is not whole JSON
        mark = b"}," + head
        end = body.find(mark, 1, _FIRST_ROW_BYTES)
        while end >= 0 and head.startswith(b'{"'):
            try:
                return _HEAD.decode(body[1 : end + 1]).metadata
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                end = body.find(mark, end + 1, _FIRST_ROW_BYTES)
        return None

    def read(self, body: bytes | bytearray, *, page_size: int | None) -> PageAnswer:
        """Split a body into rows and read its totals, like `PageStyle.read`.

        Args:
            body: the whole answer.
            page_size: what was asked for; a page that has fewer rows is parsed.
        """
        if self._style is not PAGE_NUMBER or page_size is None:
            return self._style.read(body)
        quick = self._split_by_separator(body, page_size)
        if quick is not None:
            return quick
        answer = self._style.read(body)
        self._has_read = True
        self._most_rows = answer.max_page_size or self._most_rows
        if len(answer.rows) == min(page_size, self._most_rows or page_size):
            self._separator.learn(answer.rows)
        return answer

    def _split_by_separator(self, body: bytes | bytearray, page_size: int) -> PageAnswer | None:
        if self._most_rows is None:
            return None
        rows = self._separator.split(body, expected=min(page_size, self._most_rows))
        if rows is None:
            return None
        try:
            metadata = _HEAD.decode(rows[0]).metadata or Metadata()
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        total = _count(metadata.totalCount)
        if total is None or metadata.maxPageSize != self._most_rows:
            return None
        return PageAnswer(rows=rows, total=total, max_page_size=self._most_rows, more=None, body=body)


class Metadata(msgspec.Struct, gc=False):
    """The block of facts 4.3. Read from the first row alone: nested objects carry blocks of their own."""

    totalCount: int | None = None  # noqa: N815 - the API's name
    maxPageSize: int | None = None  # noqa: N815 - the API's name


class _Head(msgspec.Struct, gc=False):
    metadata: Metadata | None = None


class _Envelope(msgspec.Struct, gc=False):
    records: list[msgspec.Raw] | None
    totalCount: int | None = None  # noqa: N815 - the API's name
    pageSize: int | None = None  # noqa: N815 - the API's name


class _Value(msgspec.Struct, gc=False):
    value: list[msgspec.Raw] | None
    totalCount: int | None = None  # noqa: N815 - the API's name
    nextPage: str | None = None  # noqa: N815 - the API's name


_ROWS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_HEAD: Final = msgspec.json.Decoder(_Head)
_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)
_VALUE: Final = msgspec.json.Decoder(_Value)


def _split_array(body: bytes | bytearray) -> PageAnswer:
    rows = _ROWS.decode(body)
    if not rows:  # white space between the brackets
        return PageAnswer(rows=rows, total=None, max_page_size=None, more=None, body=body)
    metadata = _HEAD.decode(rows[0]).metadata or Metadata()
    return PageAnswer(
        rows=Rows.of(body, rows),
        total=_count(metadata.totalCount),
        max_page_size=_size(metadata.maxPageSize),
        more=None,
        body=body,
    )


def _split_whole(body: bytes | bytearray) -> PageAnswer:
    rows = _ROWS.decode(body)
    if rows and all(bytes(row)[:1] == b'"' for row in rows):  # plain text has no metadata
        return PageAnswer(rows=rows, total=None, max_page_size=None, more=None, body=body)
    return _split_array(body)


def _split_envelope(body: bytes | bytearray) -> PageAnswer:
    envelope = _ENVELOPE.decode(body)
    return PageAnswer(
        rows=envelope.records or [],
        total=_count(envelope.totalCount),
        max_page_size=_size(envelope.pageSize),
        more=None,
        body=body,
    )


def _split_value(body: bytes | bytearray) -> PageAnswer:
    answer = _VALUE.decode(body)
    # the URL itself is never followed; it only shows that there is more (facts 4.16)
    return PageAnswer(
        rows=answer.value or [],
        total=_count(answer.totalCount),
        max_page_size=None,
        more=bool(answer.nextPage and answer.nextPage.strip()),
        body=body,
    )


def _count(value: int | None) -> int | None:
    """Return a total; None for a negative one."""
    return value if value is not None and value >= 0 else None


def _size(value: int | None) -> int | None:
    """Return a page size; None for zero or less."""
    return value if value is not None and value > 0 else None


def _what_came(style: str, body: bytes | bytearray, error: Exception) -> str:
    start = re.sub(r"\s+", " ", body[:_SHOWN_CHARACTERS].decode("utf-8", "replace")).strip()
    if start[:1] == "<":
        return f"expected a page ({style}), got HTML or XML of {len(body)} bytes: {start[:40]!r}"
    # a body that starts like JSON may hold business data, so only its outermost shape is shown
    return f"expected a page ({style}), got {len(body)} bytes starting with {start[:1]!r}: {str(error)[:90]}"


PAGE_NUMBER: Final = PageStyle("page_number", True, False, "pageNumber", 1, _split_array)
"""`pageNumber` from 1, a bare array, metadata in each row (facts 4.1, 4.3)."""
ENVELOPE: Final = PageStyle("envelope", True, False, "pageNumber", 1, _split_envelope)
"""`pageNumber` from 1, `{pageNumber, pageSize, totalCount, records}` (facts 4.8)."""
PAGE_INDEX: Final = PageStyle("page_index", True, False, "pageIndex", 0, _split_value)
"""`pageIndex` from 0, `{value, totalCount, nextPage}`: the Sales Order service (facts 4.14, 4.16)."""
JOURNAL: Final = PageStyle("lines", True, True, "pageNumber", 1, _split_array)
"""Like `PAGE_NUMBER`, but sizes and totals count lines, and a batch can be split over two pages (facts 4.12)."""
UNPAGED: Final = PageStyle("unpaged", False, False, None, 1, _split_whole)
"""Everything in one answer, without metadata; paging parameters are ignored (facts 4.9). Rows can be plain text."""

STYLES: Final = {style.name: style for style in (PAGE_NUMBER, ENVELOPE, PAGE_INDEX, JOURNAL, UNPAGED)}
"""The styles by name."""

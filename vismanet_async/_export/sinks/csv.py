"""CSV: records flattened by rule, one header for every run.

- A field of a record is a column, named by its path with points: `mainAddress.country.id`.
- A list is one column with its JSON. `_extra` is JSON too: it holds what has no column, which are keys that the catalog
  does not know, and values where the catalog has a record (`vismanet_async._columns.schema`).
- Numbers are the server's text; booleans are `true` and `false`; a missing key, null and an empty text are all empty.
- The header and the columns come from the catalog, also for an empty list. Each part begins with the header.
- UTF-8, RFC 4180: commas, CRLF, quotes where needed. `CsvOptions` changes some of that.

A text that a spreadsheet would run as a formula gets an apostrophe in front, because the texts are often other people's
(`=HYPERLINK(...)` as the name of a customer). So does a formula within a text where a spreadsheet set to another
language would begin a cell: it splits at `;` where this file has commas, and then it heeds no quotes that do not begin
its cell, so that a line break within a text begins a cell as well. See
https://owasp.org/www-community/attacks/CSV_Injection. A number and a telephone number (`+47 22 33 44 55`) compute
nothing and stay as they are. The cells that got an apostrophe are counted.
"""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Final

import msgspec
from msgspec import UNSET, Raw

from vismanet_async._columns.coerce import decode_row, encode_json
from vismanet_async._columns.schema import EXTRA, VALUE, leaves
from vismanet_async._export.files import writing
from vismanet_async._export.formats.csv import CsvOptions
from vismanet_async._export.sinks.parts import DEFAULT_PART_BYTES, OpenPart, PartSink
from vismanet_async.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from vismanet_async._columns.schema import Column
    from vismanet_async._export.sinks import Page
    from vismanet_async._paging.row_scanner import RawRow

    Cells = Callable[[Any, list[str]], Any]
    """Appends the cells of a value, and returns what has no column (UNSET: nothing)."""

__all__ = ["CsvSink", "cell_of"]

_SIGNS: Final = "=+\\-@\uff1d\uff0b\uff0d\uff20"
"""First characters of formulas, in full width too: spreadsheets set to an East Asian language accept those."""
_UNSEEN: Final = r"\s\x00-\x20\x7f\xa0\xad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff"
"""Characters that some programs skip at the beginning of a cell."""
_FORMULA: Final = re.compile(rf"[{_UNSEEN}]*[{_SIGNS}]|[\t\r\n]")
_JSON_TEXT: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')
_SEPARATORS: Final = ",;\t\r\n"
_PHONE: Final = r"\+(?=[\d ()\xa0]*\d[ \xa0]\d)[\d ()\xa0]+"
"""Two numbers with nothing but a space between them are no formula anywhere, whatever follows them."""
_COMPUTES_NOTHING: Final = re.compile(rf"[+-]?\d+([.,]\d+)?([eE][+-]?\d+)?|{_PHONE}", re.ASCII)
_CELLS: Final = "cells"
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class CsvSink(PartSink[OpenPart]):
    """Write `directory/part-NNNNN.csv`; a part begins and ends with a page.

    Args:
        directory: where the parts go.
        columns: of the rows (`vismanet_async._columns.schema.columns_of`).
        operation_id: for errors.
        part_bytes: a part is closed by the page that brings it to this size.
        options: how it is written.

    Raises:
        ExportError: from `write`: a row is no JSON.
    """

    extension: ClassVar[str] = "csv"

    def __init__(
        self,
        directory: Path,
        *,
        columns: Sequence[Column],
        operation_id: str,
        part_bytes: int = DEFAULT_PART_BYTES,
        options: CsvOptions | None = None,
    ) -> None:
        super().__init__(directory, part_bytes=part_bytes)
        self._options = options or CsvOptions()
        self._operation_id = operation_id
        self._paths = [".".join(path) for path in leaves(tuple(columns))]
        number = _with_comma if self._options.decimal_comma else str
        self._formulas: _Formulas | None = None
        if self._options.neutralise_formulas:
            self._formulas = formulas = _Formulas(delimiter=self._options.delimiter)
            self._cells = _record(columns, neutral=formulas.neutral, number=number, json=str)
            self._careful_cells = _record(
                columns, neutral=formulas.neutral_within, number=number, json=formulas.neutral_json
            )
        else:
            self._cells = _record(columns, neutral=str, number=number, json=str)
        self._plain_values = [column.name for column in columns] == [VALUE]

    def write(self, page: Page, /) -> None:
        """Write the rows of a page, and complete the part if it is large enough. Rows cannot be read back from here."""
        if not page.rows:
            return
        content = self._content(page.rows)
        with writing(self._directory):
            self._part().write(content, rows=len(page.rows))
            self._rows += len(page.rows)
            self._complete(from_bytes=self._part_bytes)

    def _content(self, rows: Sequence[RawRow]) -> bytes:
        formulas = self._formulas
        text = self._text([self._row(row, self._rows + at, self._cells) for at, row in enumerate(rows)])
        if formulas is None:
            return text.encode()
        # one search of the whole page: few contain such text
        if formulas.may_be_within(text):
            formulas.rows.clear()
            text = self._text(
                [self._row(row, self._rows + at, self._careful_cells, formulas) for at, row in enumerate(rows)]
            )
        for row in formulas.rows:
            self._notes.neutralised.add(_CELLS, row=row)
        formulas.rows.clear()
        return text.encode()

    def _row(self, raw: RawRow, number: int, make: Cells, formulas: _Formulas | None = None) -> list[str]:
        try:
            row = decode_row(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ExportError(
                f"{self._operation_id}: row {number:,} (0 is the first) cannot be read: {error}. Nothing was "
                "published. Export it as jsonl, which does not read the rows."
            ) from error
        cells: list[str] = []
        if self._formulas is not None:
            self._formulas.row = number
        remainder = make({VALUE: row} if self._plain_values else row, cells)
        extra = "" if remainder is UNSET else encode_json(remainder).decode()
        cells.append(extra if formulas is None else formulas.neutral_json(extra))
        return cells

    def _begin(self, path: Path) -> OpenPart:
        part = OpenPart(path)
        if self._options.byte_order_mark:
            part.write(_BYTE_ORDER_MARK, rows=0)
        if self._options.header:
            part.write(self._text([[*self._paths, EXTRA]]).encode(), rows=0)
        return part

    def _copy(self, path: Path, part: OpenPart, *, without: set[int]) -> None:
        with path.open("rb") as file:
            if self._options.byte_order_mark:
                file.seek(len(_BYTE_ORDER_MARK))
            records = _records(file)
            if self._options.header:
                next(records)  # the new part has its header already
            for number, record in enumerate(records):
                if number not in without:
                    part.write(record, rows=1)

    def _text(self, rows: Sequence[Sequence[str]]) -> str:
        text = io.StringIO(newline="")
        csv.writer(text, delimiter=self._options.delimiter).writerows(rows)  # its default dialect is RFC 4180
        return text.getvalue()


def _record(
    columns: Sequence[Column],
    *,
    neutral: Callable[[str], str],
    number: Callable[[str], str],
    json: Callable[[str], str],
) -> Cells:
    known = frozenset(column.name for column in columns)
    width = sum(1 for _ in leaves(tuple(columns)))

    def scalar(value: Any, cells: list[str]) -> Any:
        cells.append(neutral(value) if type(value) is str else _cell(value, number, json))
        return UNSET

    inner = [
        (
            column.name,
            _record(column.fields, neutral=neutral, number=number, json=json)
            if column.kind == "record" and not column.repeated
            else scalar,
        )
        for column in columns
    ]

    def write(value: Any, cells: list[str]) -> Any:
        if type(value) is not dict:
            cells.extend([""] * width)
            return UNSET if value is None else value
        remainder = {} if value.keys() <= known else {name: value[name] for name in value if name not in known}
        for name, append in inner:
            rest = append(value.get(name), cells)
            if rest is not UNSET:
                remainder[name] = rest
        return remainder or UNSET

    return write


def _cell(value: Any, number: Callable[[str], str], json: Callable[[str], str]) -> str:
    if value is None:
        return ""
    if type(value) is Raw:
        return number(bytes(value).decode())
    return json(encode_json(value).decode())


class _Formulas:
    """Neutralises formulas, and counts the cells that it changed."""

    def __init__(self, *, delimiter: str) -> None:
        self.row = 0
        """The number of the row whose texts are being looked at."""
        self.rows: list[int] = []
        """A number for each cell that got an apostrophe."""
        before = re.escape(_SEPARATORS.replace(delimiter, ""))  # the file quotes its own delimiter
        passed_over = rf'[{_UNSEEN}"\\]*'  # quotes too: two of them are an empty text
        harmless = rf"(?!{_PHONE}(?:[{re.escape(_SEPARATORS)}]|$))"
        self.may_be_within = re.compile(rf"[{before}]{passed_over}[{_SIGNS}]").search
        self._in_text = re.compile(rf"([{before}]{passed_over})(?=[{_SIGNS}]){harmless}")
        self._in_json = re.compile(rf"((?:^|[{before}]){passed_over})([{_SIGNS}])")

    def neutral(self, text: str) -> str:
        """Return the text with an apostrophe before it if it is a formula."""
        if text and not text[0].isalnum() and _FORMULA.match(text) and not _COMPUTES_NOTHING.fullmatch(text.strip(" ")):
            self.rows.append(self.row)
            return f"'{text}"
        return text

    def neutral_within(self, text: str) -> str:
        """Return the text with an apostrophe before each formula in it, and before itself if it is one."""
        outer = self.neutral(text)
        found = self._in_text.sub(r"\1'", outer)
        if found != outer and outer == text:  # else it is counted already
            self.rows.append(self.row)
        return found

    def neutral_json(self, text: str) -> str:
        """Return the JSON with the first character of each formula escaped, which means the same."""
        return _JSON_TEXT.sub(lambda found: f'"{self._in_json.sub(_escaped, found[1])}"', text)


def _escaped(found: re.Match[str]) -> str:
    return f"{found[1]}\\u{ord(found[2]):04x}"


def _with_comma(number: str) -> str:
    return number.replace(".", ",")


def _records(file: BinaryIO) -> Iterator[bytes]:
    """Yield the records of a part; a line break within quotes does not end one."""
    record = b""
    for line in file:
        record += line
        if record.count(b'"') % 2 == 0:
            yield record
            record = b""


def cell_of(value: Any, options: CsvOptions) -> str:
    """Return the cell that a text or a number is written as; one decoded without loss.

    Examples:
        >>> cell_of("=1+1", CsvOptions()), cell_of(Raw(b"10.50"), CsvOptions(decimal_comma=True))
        ("'=1+1", '10,50')
    """
    if isinstance(value, str):
        return _Formulas(delimiter=options.delimiter).neutral_within(value) if options.neutralise_formulas else value
    return _cell(value, _with_comma if options.decimal_comma else str, str)

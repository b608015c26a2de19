"""CSV: records flattened by rule, one header for every run.

- A field of a record is a column, named by its path with points: `mainAddress.country.id`.
- A list is one column with its JSON. `_extra` is JSON too: it holds what has no column, which are keys that the catalog
  does not know, and values where the catalog has a record (`vismanet_async._columns.schema`). It also holds those parts
  of a row's key that their cells do not tell: a text that got an apostrophe, an empty one, and a value of another type
  than the catalog says. So whoever reads the file again tells every record from every other (`stored_rows`).
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
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Final

import msgspec

from vismanet_async._columns.coerce import decode_row
from vismanet_async._columns.schema import EXTRA, VALUE, leaves
from vismanet_async._export.files import writing
from vismanet_async._export.formats.csv import CsvOptions
from vismanet_async._export.sinks.csv_cells import CellStyle, row_cells
from vismanet_async._export.sinks.csv_columns import ColumnCells
from vismanet_async._export.sinks.formulas import Formulas
from vismanet_async._export.sinks.parts import DEFAULT_PART_BYTES, OpenPart, PartSink
from vismanet_async.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from vismanet_async._columns.schema import Column
    from vismanet_async._export.sinks import Page
    from vismanet_async._paging.row_scanner import RawRow

__all__ = ["CsvSink"]

_BLOCK_ROWS: Final = 50
"""So many rows are made at once: as many as the processor's cache holds the values of."""
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
        identity: the fields that together are the key of a row.

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
        identity: Sequence[str] = (),
    ) -> None:
        super().__init__(directory, part_bytes=part_bytes)
        self._options = options or CsvOptions()
        self._operation_id = operation_id
        self._paths = [".".join(path) for path in leaves(columns)]
        self._formulas = Formulas(delimiter=self._options.delimiter) if self._options.neutralise_formulas else None
        style = CellStyle(formulas=self._formulas, decimal_comma=self._options.decimal_comma)
        careful = CellStyle(formulas=self._formulas, decimal_comma=self._options.decimal_comma, within=True)
        self._styles = style, careful
        self._row_cells = [row_cells(columns, one, identity=identity) for one in self._styles]
        self._column_cells = ColumnCells(columns, delimiter=self._options.delimiter, identity=identity)
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
        style, careful = self._styles
        text = self._lines(rows, style)
        if formulas is None:
            return text.encode()
        # one search of the whole page: few contain such text
        if formulas.may_be_within(text):
            formulas.rows.clear()
            text = self._lines(rows, careful)
        for row in formulas.rows:
            self._notes.neutralised.add(_CELLS, row=row)
        formulas.rows.clear()
        return text.encode()

    def _lines(self, rows: Sequence[RawRow], style: CellStyle) -> str:
        return "".join(
            [
                self._block(rows[start : start + _BLOCK_ROWS], self._rows + start, style)
                for start in range(0, len(rows), _BLOCK_ROWS)
            ]
        )

    def _block(self, raw: Sequence[RawRow], first_row: int, style: CellStyle) -> str:
        lines = self._column_cells.lines(raw, first_row=first_row, style=style)
        if lines is not None:
            return lines
        cells, cells_of = [], self._row_cells[style.within]
        for place, raw_row in enumerate(raw):
            number = first_row + place
            row = self._decoded(raw_row, number)
            if not self._plain_values:
                self._column_cells.learn(row, place=place)
            if self._formulas is not None:
                self._formulas.row = number
            cells.append(cells_of(row))
        return self._text(cells)

    def _decoded(self, raw: RawRow, number: int) -> Any:
        try:
            row = decode_row(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ExportError(
                f"{self._operation_id}: row {number:,} (0 is the first) cannot be read: {error}. Nothing was "
                "published. Export it as jsonl, which does not read the rows."
            ) from error
        return {VALUE: row} if self._plain_values else row

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


def _records(file: BinaryIO) -> Iterator[bytes]:
    """Yield the records of a part; a line break within quotes does not end one."""
    record = b""
    for line in file:
        record += line
        if record.count(b'"') % 2 == 0:
            yield record
            record = b""

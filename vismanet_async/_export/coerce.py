"""Coerces rows to a fixed schema; whatever does not fit goes into `_extra`.

- A number that its column cannot hold to the last digit ends the export; nothing is published.
- Anything else that its column cannot hold goes into the column `_extra`: the JSON of a record with just those values,
  with the API's names, positions in lists as names, and numbers as the server wrote them. It holds keys that the
  catalog does not know (docs/facts.md 12.6), and values of another JSON type than the catalog says; the column of such
  a value is null.
- A date and time is kept as written, to the microsecond, never shifted (docs/facts.md 12.3). If the text has more (an
  offset, a seventh digit), all of it goes into `_extra` too. An empty text is null (docs/facts.md 12.2).
- A missing key and null are both null. JSON lines keep the difference.
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import UNSET, Raw

from vismanet_async._export.schema import DECIMAL_DIGITS, DECIMAL_SCALE, EXTRA, VALUE
from vismanet_async.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vismanet_async._export.schema import Column
    from vismanet_async._paging.row_scanner import RawRow

    Coerce = Callable[[Any], tuple[Any, Any]]
    """Splits a value into the part for the column and the remainder (UNSET: none)."""

__all__ = ["RowCoercer", "decode_row", "encode_json"]

_INTEGER_DIGITS: Final = DECIMAL_DIGITS - DECIMAL_SCALE
_INTEGER_END: Final = 10**_INTEGER_DIGITS
_INT64_END: Final = 1 << 63
_PLAIN_DECIMAL: Final = re.compile(rb"-?\d{1,%d}(\.\d{1,%d})?" % (_INTEGER_DIGITS, DECIMAL_SCALE))
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_MOMENT: Final = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)"
    r"([T ](?P<time>\d\d:\d\d(:\d\d)?)(\.(?P<fraction>\d+))?)?"
    r"(?P<offset>Z|[+-]\d\d:?\d\d)?",
    re.ASCII,
)
_MICROSECOND_DIGITS: Final = 6
_PLAIN_TYPES: Final[dict[str, type]] = {"text": str, "boolean": bool}

# numbers with a point or an exponent are never parsed
_DECODER: Final = msgspec.json.Decoder(float_hook=lambda text: Raw(text.encode()))
_ENCODER: Final = msgspec.json.Encoder()

decode_row = _DECODER.decode
"""Return a row; a number that is not an integer stays `msgspec.Raw`, as the server wrote it."""
encode_json = _ENCODER.encode


class _CoercionError(Exception):
    """A number does not fit its column."""

    def __init__(self, text: str, column: str) -> None:
        self.text = text
        self.column = column
        self.path: list[str] = []


class RowCoercer:
    """Coerces rows of one operation. Thread-safe: it has no mutable state."""

    def __init__(self, columns: Sequence[Column], *, operation_id: str) -> None:
        self._operation_id = operation_id
        self._coerce = _record(columns)
        self._plain_values = [column.name for column in columns] == [VALUE]

    def lines(self, rows: Sequence[RawRow], *, first_row: int) -> bytes:
        """Return the rows as JSON lines that Arrow reads with the columns' schema.

        Args:
            rows: as the server sent them.
            first_row: the number of the first of them, for errors.

        Raises:
            ExportError: a number does not fit, or a row is no JSON.
        """
        return _ENCODER.encode_lines([self._row(row, first_row + index) for index, row in enumerate(rows)])

    def _row(self, raw: RawRow, number: int) -> dict[str, Any]:
        try:
            row = decode_row(raw)
            coerced, remainder = self._coerce({VALUE: row} if self._plain_values else row)
        except _CoercionError as error:
            raise ExportError(
                f"{self._operation_id}: {'.'.join(error.path)} of row {number:,} (0 is the first) is {error.text}, "
                f"which {error.column} cannot hold to the last digit. Nothing was published. Export it as jsonl or "
                "csv, which keep the server's text."
            ) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidOperation) as error:
            raise ExportError(
                f"{self._operation_id}: row {number:,} (0 is the first) cannot be read: {error}. Nothing was "
                "published. Export it as jsonl, which does not read the rows."
            ) from error
        coerced = coerced or {}
        if remainder is not UNSET:
            coerced[EXTRA] = encode_json(remainder).decode()
        return coerced


def _column(column: Column) -> Coerce:
    one = _record(column.fields) if column.kind == "record" else _COERCERS[column.kind]
    return _list(one) if column.repeated else one


def _record(columns: Sequence[Column]) -> Coerce:
    known = {column.name: _column(column) for column in columns}
    # function calls dominate: values already of the column's type skip the converter
    plain_types = {column.name: None if column.repeated else _PLAIN_TYPES.get(column.kind) for column in columns}

    def coerce(record: Any) -> tuple[Any, Any]:
        """Return the record, changed in place to fit, and the remainder."""
        if type(record) is not dict:
            return None, UNSET if record is None else record
        unknown = [] if record.keys() <= known.keys() else [name for name in record if name not in known]
        remainder = {name: record.pop(name) for name in unknown}
        name = ""
        try:
            for name, value in record.items():
                if type(value) is not plain_types[name]:
                    record[name], rest = known[name](value)
                    if rest is not UNSET:
                        remainder[name] = rest
        except _CoercionError as error:
            error.path.insert(0, name)
            raise
        return record, remainder or UNSET

    return coerce


def _list(one: Coerce) -> Coerce:
    def coerce(value: Any) -> tuple[Any, Any]:
        if type(value) is not list:
            return None, UNSET if value is None else value
        split = [one(inner) for inner in value]
        remainder = {str(index): rest for index, (_, rest) in enumerate(split) if rest is not UNSET}
        return [coerced for coerced, _ in split], remainder or UNSET

    return coerce


def _text(value: Any) -> tuple[Any, Any]:
    return (value, UNSET) if value is None or type(value) is str else (None, value)


def _boolean(value: Any) -> tuple[Any, Any]:
    return (value, UNSET) if value is None or type(value) is bool else (None, value)


def _json(value: Any) -> tuple[Any, Any]:
    return (None if value is None else encode_json(value).decode()), UNSET


def _integer(value: Any) -> tuple[Any, Any]:
    if type(value) is Raw:
        number = Decimal(bytes(value).decode())
        value = int(number) if number.adjusted() < _INTEGER_DIGITS and number == number.to_integral_value() else value
    if type(value) is int and -_INT64_END <= value < _INT64_END:
        return value, UNSET
    if type(value) in {int, Raw}:
        raise _CoercionError(_written(value), "int64")
    return (None, UNSET) if value is None else (None, value)


def _decimal(value: Any) -> tuple[Any, Any]:
    if value is None:
        return None, UNSET
    if type(value) is Raw and _PLAIN_DECIMAL.fullmatch(value):
        return value, UNSET
    if type(value) is int and -_INTEGER_END < value < _INTEGER_END:
        return value, UNSET
    # Arrow reads numbers in quotes as numbers too
    if type(value) in {Raw, int} or (type(value) is str and _NUMBER.fullmatch(value)):
        return _plain(_written(value)), UNSET
    return None, value


def _written(value: Raw | int | str) -> str:
    return bytes(value).decode() if isinstance(value, Raw) else str(value)


def _plain(text: str) -> Raw:
    """Return a number without exponent and redundant zeros; no digit is lost."""
    sign, digits, exponent = Decimal(text).as_tuple()
    if not isinstance(exponent, int):
        raise _CoercionError(text, "a decimal")
    significant = "".join(map(str, digits)).rstrip("0")
    exponent += len(digits) - len(significant)
    significant = significant.lstrip("0")
    if not significant:
        return Raw(b"0")
    if len(significant) + exponent > _INTEGER_DIGITS or exponent < -DECIMAL_SCALE:
        raise _CoercionError(text, f"decimal({DECIMAL_DIGITS}, {DECIMAL_SCALE})")
    number = Decimal((sign, tuple(map(int, significant)), exponent))
    return Raw(format(number, "f").encode())


def _moment(value: Any) -> tuple[Any, Any]:
    if value is None or value == "":
        return None, UNSET
    match = _MOMENT.fullmatch(value) if type(value) is str else None
    if match is None:
        return None, value
    fraction = (match["fraction"] or "").rstrip("0")
    written = f"{match['date']}T{match['time'] or '00:00'}"
    try:
        datetime.fromisoformat(written)
    except ValueError:  # the 30th of February
        return None, value
    if match["time"] and len(match["time"]) > len("00:00") and fraction:
        written = f"{written}.{fraction[:_MICROSECOND_DIGITS]}"
    says_more = match["offset"] or len(fraction) > _MICROSECOND_DIGITS
    return written, value if says_more else UNSET


_COERCERS: Final[dict[str, Coerce]] = {
    "text": _text,
    "integer": _integer,
    "decimal": _decimal,
    "boolean": _boolean,
    "moment": _moment,
    "json": _json,
}

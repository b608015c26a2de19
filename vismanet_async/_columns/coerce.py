"""Coerces rows to a fixed schema; whatever does not fit goes into `_extra`.

- Anything that its column cannot hold goes into the column `_extra`: the JSON of a record with just those values,
  with the API's names, positions in lists as names, and numbers as the server wrote them. It holds keys that the
  catalog does not know (docs/facts.md 12.6), and values of another JSON type than the catalog says; the column of such
  a value is null.
- So does a number that its column cannot hold to the last digit. It is counted by its column, as its null is no null
  of the server: a total would lack it.
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

from vismanet_async._columns.decimals import DecimalType, decimal_type
from vismanet_async._columns.schema import EXTRA, VALUE
from vismanet_async._decimals import number_in
from vismanet_async.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vismanet_async._columns.schema import Column
    from vismanet_async._columns.tally import Tally

    Coerce = Callable[[Any], tuple[Any, Any]]
    """Splits a value into the part for the column and the remainder (UNSET: none)."""

__all__ = ["RowCoercer", "decode_row", "encode_json", "nothing_was_published"]

_INT64_DIGITS: Final = 19
_INT64_END: Final = 1 << 63
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


def nothing_was_published(text: str) -> ExportError:
    """Return the error of an export about a row that is no JSON."""
    return ExportError(f"{text}. Nothing was published. Export it as jsonl, which does not read the rows.")


class RowCoercer:
    """Coerces rows of one operation. Thread-safe: it has no mutable state.

    Args:
        columns: of the rows.
        operation_id: for errors.
        unreadable: makes the error about a row that is no JSON of its text.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        operation_id: str,
        unreadable: Callable[[str], Exception] = nothing_was_published,
    ) -> None:
        self._columns = tuple(columns)
        self._operation_id = operation_id
        self._unreadable = unreadable
        self._coerce = _record(columns)
        self._plain_values = [column.name for column in columns] == [VALUE]

    def lines(self, rows: Sequence[bytes | Raw], *, first_row: int, unfit: Tally | None = None) -> bytes:
        """Return the rows as JSON lines that Arrow reads with the columns' schema.

        Args:
            rows: as the server sent them.
            first_row: the number of the first of them, for errors.
            unfit: counts, by column, the values that their columns could not hold: null there, and whole in `_extra`.

        Raises:
            ExportError: a row is no JSON (or what `unreadable` makes of that).
        """
        return _ENCODER.encode_lines([self._row(row, first_row + index, unfit) for index, row in enumerate(rows)])

    def _row(self, raw: bytes | Raw, number: int, unfit: Tally | None) -> dict[str, Any]:
        try:
            row = decode_row(raw)
            coerced, remainder = self._coerce({VALUE: row} if self._plain_values else row)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._unreadable(
                f"{self._operation_id}: row {number:,} (0 is the first) cannot be read: {error}"
            ) from error
        coerced = coerced or {}
        if remainder is not UNSET:
            coerced[EXTRA] = encode_json(remainder).decode()
            if unfit is not None:
                for name in _unfit(self._columns, remainder):
                    unfit.add(name, row=number)
        return coerced


def _unfit(columns: Sequence[Column], remainder: Any, path: str = "") -> Iterator[str]:
    """Yield the names of columns, as `column_kinds` has them, that are null although the server sent a value."""
    if type(remainder) is not dict:
        return
    for column in columns:
        if column.name not in remainder:
            continue
        name, rests = f"{path}{column.name}", [remainder[column.name]]
        if column.repeated:
            (rest,) = rests
            if type(rest) is not dict or not all(map(str.isdigit, rest)):
                yield name  # the server sent no list
                continue
            name, rests = f"{name}[]", [*rest.values()]
        for one in rests:
            if column.kind == "record" and type(one) is dict:
                yield from _unfit(column.fields, one, f"{name}.")
            elif column.kind != "moment" or _moment(one)[0] is None:
                yield name


def _column(column: Column) -> Coerce:
    if column.kind == "record":
        one = _record(column.fields)
    elif column.kind == "decimal":
        one = _decimal(decimal_type(column.name))
    else:
        one = _COERCERS[column.kind]
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
        for name, value in record.items():
            if type(value) is not plain_types[name]:
                record[name], rest = known[name](value)
                if rest is not UNSET:
                    remainder[name] = rest
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
    if value is None:
        return None, UNSET
    number = value
    if type(value) is Raw and (exact := _exact(bytes(value).decode())) is not None and exact.adjusted() < _INT64_DIGITS:
        number = int(exact) if exact == exact.to_integral_value() else value
    return (number, UNSET) if type(number) is int and -_INT64_END <= number < _INT64_END else (None, value)


def _decimal(exact: DecimalType) -> Coerce:
    end = 10 ** (exact.digits - exact.scale)
    plain = re.compile(rb"-?\d{1,%d}(\.\d{1,%d})?" % (exact.digits - exact.scale, exact.scale))

    def coerce(value: Any) -> tuple[Any, Any]:
        if value is None:
            return None, UNSET
        if type(value) is Raw and plain.fullmatch(value):
            return value, UNSET
        if type(value) is int and -end < value < end:
            return value, UNSET
        if type(value) is Raw or (type(value) is str and number_in(value) is not None):
            text = bytes(value).decode() if type(value) is Raw else value
            if (fitted := _plain(text, exact)) is not None:
                return fitted, UNSET
        return None, value

    return coerce


def _exact(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent beyond all measure
        return None


def _plain(text: str, exact: DecimalType) -> Raw | None:
    """Return a number without exponent and redundant zeros, all digits kept; None if the type cannot hold them."""
    number = _exact(text)
    if number is None:
        return None
    sign, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int):
        return None
    significant = "".join(map(str, digits)).rstrip("0")
    exponent += len(digits) - len(significant)
    significant = significant.lstrip("0")
    if not significant:
        return Raw(b"0")
    if len(significant) + exponent > exact.digits - exact.scale or exponent < -exact.scale:
        return None
    return Raw(format(Decimal((sign, tuple(map(int, significant)), exponent)), "f").encode())


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
    "boolean": _boolean,
    "moment": _moment,
    "json": _json,
}

"""CSV: what can be chosen about it, in Python and on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from vismanet_async._arguments import expect, typed
from vismanet_async._export.formats import Flag, FormatOptions, SinkFormat
from vismanet_async.errors import RequestRefused

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vismanet_async._columns.schema import Column
    from vismanet_async._export.sinks.parts import PartSink

__all__ = ["CSV", "CsvOptions"]


def _delimiter(_: object, attribute: attrs.Attribute[str], value: str) -> None:
    expect(attribute.name, value, str)
    if len(value) != 1 or value in '"\r\n' or value.isalnum():
        raise RequestRefused(
            f"{attribute.name} must be one character, no quote, letter, digit or line break, not {value!r}; nothing "
            "was sent."
        )


@attrs.frozen(kw_only=True)
class CsvOptions(FormatOptions):
    """How CSV is written.

    Examples:
        >>> nordic = CsvOptions(delimiter=";", decimal_comma=True, byte_order_mark=True)
        >>> _ = await visma.export("customer", to="nordic", format="csv", format_options=nordic)
    """

    neutralise_formulas: bool = attrs.field(default=True, validator=typed(bool))
    """Put an apostrophe before what a spreadsheet would run, in texts that begin with `= + - @`, a tab or a line break,
    and where the cell of a spreadsheet with another separator would. For machines alone: False."""
    byte_order_mark: bool = attrs.field(default=False, validator=typed(bool))
    """Begin each part with one, so that older versions of Excel recognise UTF-8."""
    delimiter: str = attrs.field(default=",", validator=_delimiter)
    """Between fields. Spreadsheets set to a Nordic language expect `;`."""
    decimal_comma: bool = attrs.field(default=False, validator=typed(bool))
    """Write `1234,50` for numbers in columns of their own, as such spreadsheets read them. JSON keeps its point."""
    header: bool = attrs.field(default=True, validator=typed(bool))
    """Begin each part with the names of the columns."""

    @property
    def for_readers(self) -> dict[str, str]:
        """Every option that is not as by default, in words."""
        return {
            field.name: str(value)
            for field in attrs.fields(CsvOptions)
            if (value := getattr(self, field.name)) != field.default
        }


def _open(
    directory: Path,
    *,
    columns: Sequence[Column],
    operation_id: str,
    part_bytes: int,
    options: CsvOptions | None,
    identity: Sequence[str],
) -> PartSink[Any]:
    from vismanet_async._export.sinks.csv import CsvSink  # noqa: PLC0415 - sinks are loaded by exports alone

    return CsvSink(
        directory,
        columns=columns,
        operation_id=operation_id,
        part_bytes=part_bytes,
        options=options,
        identity=identity,
    )


CSV: Final = SinkFormat(
    name="csv",
    open=_open,
    options=CsvOptions,
    flags=(
        Flag(
            name="--csv-delimiter",
            field="delimiter",
            words={"tab": "\t"},
            help=(
                "What stands between two fields: one character, or the word tab. Spreadsheets set to a Nordic language "
                "expect a semicolon: --csv-delimiter ';'."
            ),
        ),
        Flag(
            name="--csv-decimal-comma",
            field="decimal_comma",
            help="Write 1234,50 instead of 1234.50, as such spreadsheets read numbers.",
        ),
        Flag(
            name="--csv-no-header",
            field="header",
            inverted=True,
            help="Leave out the names of the columns at the beginning of each file.",
        ),
        Flag(
            name="--csv-bom",
            field="byte_order_mark",
            help="Begin each file with a byte order mark, so that older versions of Excel recognise UTF-8.",
        ),
        Flag(
            name="--csv-keep-formulas",
            field="neutralise_formulas",
            inverted=True,
            help=(
                "Leave texts as they are that a spreadsheet would run as a formula; without it they get an apostrophe "
                "in front. For readers that are no spreadsheet."
            ),
        ),
    ),
)

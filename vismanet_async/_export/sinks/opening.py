"""Opens the sink of a format for one resource."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vismanet_async._columns.schema import EXTRA, column_kinds, columns_of
from vismanet_async._export.formats.registry import FORMATS
from vismanet_async._export.sinks.spool import SpooledSink

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vismanet_async._export.formats import FormatOptions
    from vismanet_async._export.sinks import Sink

__all__ = ["columns_written", "open_sink"]


def columns_written(format: str, operation_id: str) -> dict[str, str]:  # noqa: A002 - what it is called everywhere
    """Return the columns that the parts of a list have in a format and the kind of each; empty where it has none.

    Raises:
        RequestRefused: the catalog does not say what the rows are.
    """
    if not FORMATS[format].has_columns:
        return {}
    return dict(column_kinds(columns_of(operation_id))) | {EXTRA: "json"}


def open_sink(
    format: str,  # noqa: A002 - what it is called everywhere
    directory: Path,
    *,
    operation_id: str,
    part_bytes: int,
    first_part: int = 0,
    resumable: bool = False,
    options: FormatOptions | None = None,
    identity: Sequence[str] = (),
) -> Sink:
    """Return the sink that writes one resource; opens no file yet.

    Args:
        format: of the files.
        directory: where the parts go.
        operation_id: the catalog's id of the list operation, which says what the columns are.
        part_bytes: a part is closed by what brings it here; of the file, so compressed bytes where it is compressed.
        first_part: the number of the first part; those before it belong to earlier runs.
        resumable: keep the rows where a later run can read them again; some formats do so anyway.
        options: of the format; None for its defaults.
        identity: the fields that together are the key of a row, which no format may lose.

    Raises:
        RequestRefused: the catalog does not say what the rows are, or an extra is not installed.
    """
    chosen = FORMATS[format]
    columns = columns_of(operation_id) if chosen.has_columns else ()
    sink = chosen.open(
        directory,
        columns=columns,
        operation_id=operation_id,
        part_bytes=part_bytes,
        options=options,
        identity=identity,
    )
    sink.first_part = first_part
    return SpooledSink(sink, directory) if resumable and not chosen.keeps_rows else sink

"""The formats by name, and what each needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from vismanet_async._export.extras import extra
from vismanet_async._export.schema import EXTRA, column_kinds, columns_of
from vismanet_async._export.sinks.compressed import GzipJsonlSink, ZstdJsonlSink
from vismanet_async._export.sinks.csv import CsvSink
from vismanet_async._export.sinks.jsonl import JsonlSink
from vismanet_async._export.sinks.parquet import ParquetSink
from vismanet_async._export.sinks.spool import SpooledSink

if TYPE_CHECKING:
    from pathlib import Path

    from vismanet_async._export.sinks import Sink
    from vismanet_async._export.sinks.csv import CsvOptions
    from vismanet_async._export.sinks.parquet import ParquetOptions
    from vismanet_async._export.sinks.parts import PartSink

__all__ = ["Format", "columns_written", "open_sink", "require_format"]

Format = Literal["jsonl", "jsonl.gz", "jsonl.zst", "csv", "parquet"]
"""Each is the extension of its files too."""

_EXTRAS: Final[dict[Format, tuple[str, str]]] = {
    "jsonl.zst": ("zstandard", "zstd"),
    "parquet": ("pyarrow.parquet", "parquet"),
}


def require_format(format: Format) -> None:  # noqa: A002 - what it is called everywhere
    """Make sure that what a format needs is installed; call it before anything is opened or sent.

    Raises:
        RequestRefused: it is not; says what to type.
    """
    if format in _EXTRAS:
        extra(*_EXTRAS[format])


def columns_written(format: Format, operation_id: str) -> dict[str, str]:  # noqa: A002 - what it is called everywhere
    """Give the columns that the parts of a list have in a format, by name, and what each is; none where it has none.

    Raises:
        RequestRefused: the catalog does not say what the rows are.
    """
    if format.startswith("jsonl"):
        return {}
    return dict(column_kinds(columns_of(operation_id))) | {EXTRA: "json"}


def open_sink(
    format: Format,  # noqa: A002 - what it is called everywhere
    directory: Path,
    *,
    operation_id: str,
    part_bytes: int,
    first_part: int = 0,
    resumable: bool = False,
    csv: CsvOptions | None = None,
    parquet: ParquetOptions | None = None,
) -> Sink:
    """Give the sink that writes one resource; opens nothing yet.

    Args:
        format: of the files.
        directory: where the parts go.
        operation_id: the catalog's id of the list operation, which says what the columns are.
        part_bytes: a part is closed by what brings it here; of the file, so compressed bytes where it is compressed.
        first_part: the number of the first part; those before it belong to earlier runs.
        resumable: keep the rows where a later run can read them again, as jsonl does anyway.
        csv: how CSV is written.
        parquet: how Parquet is written.

    Raises:
        RequestRefused: the catalog does not say what the rows are, or an extra is not installed.
    """
    sink = _sink(format, directory, operation_id=operation_id, part_bytes=part_bytes, csv=csv, parquet=parquet)
    sink.first_part = first_part
    return SpooledSink(sink, directory) if resumable and format != "jsonl" else sink


def _sink(
    format: Format,  # noqa: A002 - as above
    directory: Path,
    *,
    operation_id: str,
    part_bytes: int,
    csv: CsvOptions | None,
    parquet: ParquetOptions | None,
) -> PartSink[Any]:
    if format == "jsonl":
        return JsonlSink(directory, part_bytes=part_bytes)
    if format == "jsonl.gz":
        return GzipJsonlSink(directory, part_bytes=part_bytes)
    if format == "jsonl.zst":
        return ZstdJsonlSink(directory, part_bytes=part_bytes)
    columns = columns_of(operation_id)
    if format == "parquet":
        return ParquetSink(
            directory, columns=columns, operation_id=operation_id, part_bytes=part_bytes, options=parquet
        )
    return CsvSink(directory, columns=columns, operation_id=operation_id, part_bytes=part_bytes, options=csv)

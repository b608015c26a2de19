"""Parquet: what can be chosen about it, in Python and on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import attrs

from vismanet_async._arguments import expect, expect_count
from vismanet_async._export.formats import Flag, FormatOptions, SinkFormat
from vismanet_async.errors import RequestRefused

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vismanet_async._columns.schema import Column
    from vismanet_async._export.sinks.parts import PartSink

__all__ = ["DEFAULT_ROW_GROUP_BYTES", "PARQUET", "Compression", "ParquetOptions"]

DEFAULT_ROW_GROUP_BYTES: Final = 32 * 1024 * 1024
"""Of JSON. The first page that brings a row group here closes it: some ten thousand rows."""

Compression = Literal["zstd", "snappy", "gzip", "lz4", "none"]

_WRITER_OPTIONS: Final = {
    "version": "2.6",
    # the Arrow schema as a blob adds nothing to the types in the file, and differs between versions of Arrow
    "store_schema": False,
}


@attrs.frozen(kw_only=True)
class ParquetOptions(FormatOptions):
    """How Parquet is written.

    Raises:
        RequestRefused: for a compression that there is not, or row groups without a size.

    Examples:
        >>> ParquetOptions(compression="snappy").compression
        'snappy'
    """

    compression: Compression = "zstd"
    row_group_bytes: int = DEFAULT_ROW_GROUP_BYTES
    """Of JSON; more makes readers faster that want few columns, and takes memory: two row groups of Arrow data."""

    def __attrs_post_init__(self) -> None:
        expect("compression", self.compression, str)
        if self.compression not in get_args(Compression):
            raise RequestRefused(
                f"compression is one of {', '.join(get_args(Compression))}, not {self.compression!r}; nothing was sent."
            )
        expect_count("row_group_bytes", self.row_group_bytes)

    @property
    def writer_options(self) -> dict[str, Any]:
        """What `pyarrow.parquet.ParquetWriter` takes."""
        level = {"compression_level": 1} if self.compression == "zstd" else {}
        return {**_WRITER_OPTIONS, "compression": self.compression, **level}


def _open(
    directory: Path,
    *,
    columns: Sequence[Column],
    operation_id: str,
    part_bytes: int,
    options: ParquetOptions | None,
    **_: object,
) -> PartSink[Any]:
    from vismanet_async._export.sinks.parquet import ParquetSink  # noqa: PLC0415 - sinks are loaded by exports alone

    return ParquetSink(directory, columns=columns, operation_id=operation_id, part_bytes=part_bytes, options=options)


PARQUET: Final = SinkFormat(
    name="parquet",
    open=_open,
    options=ParquetOptions,
    needs=("pyarrow.parquet", "parquet"),
    flags=(
        Flag(
            name="--parquet-compression",
            field="compression",
            help="How the columns are compressed; change it for a reader that does not know zstd.",
        ),
        Flag(
            name="--parquet-row-group-bytes",
            field="row_group_bytes",
            help=(
                "Size of a row group, in bytes of the JSON that goes into it; 33554432 is 32 MiB. Larger ones make "
                "readers of few columns faster, and take more memory here."
            ),
        ),
    ),
)

"""JSON lines, plain or compressed; nothing about them can be chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vismanet_async._export.formats import SinkFormat

if TYPE_CHECKING:
    from pathlib import Path

    from vismanet_async._export.sinks.parts import PartSink

__all__ = ["JSONL", "JSONL_GZ", "JSONL_ZST"]


def _open_plain(directory: Path, *, part_bytes: int, **_: object) -> PartSink[Any]:
    from vismanet_async._export.sinks.jsonl import JsonlSink  # noqa: PLC0415 - sinks are loaded by exports alone

    return JsonlSink(directory, part_bytes=part_bytes)


def _open_gzip(directory: Path, *, part_bytes: int, **_: object) -> PartSink[Any]:
    from vismanet_async._export.sinks.compressed import GzipJsonlSink  # noqa: PLC0415 - as above

    return GzipJsonlSink(directory, part_bytes=part_bytes)


def _open_zstd(directory: Path, *, part_bytes: int, **_: object) -> PartSink[Any]:
    from vismanet_async._export.sinks.compressed import ZstdJsonlSink  # noqa: PLC0415 - as above

    return ZstdJsonlSink(directory, part_bytes=part_bytes)


JSONL: Final = SinkFormat(name="jsonl", open=_open_plain, has_columns=False, keeps_rows=True)
JSONL_GZ: Final = SinkFormat(name="jsonl.gz", open=_open_gzip, has_columns=False)
JSONL_ZST: Final = SinkFormat(name="jsonl.zst", open=_open_zstd, has_columns=False, needs=("zstandard", "zstd"))

"""Compressed JSON lines, in streams without times and names: the same rows give the same bytes."""

from __future__ import annotations

import gzip
import io
import zlib
from typing import TYPE_CHECKING, BinaryIO, ClassVar, Final, cast

from vismanet_async._export.sinks.jsonl import JsonlSink
from vismanet_async._export.sinks.parts import DEFAULT_PART_BYTES
from vismanet_async._extras import extra

if TYPE_CHECKING:
    from pathlib import Path

    from vismanet_async._export.sinks import Page
    from vismanet_async._export.sinks.parts import Compressor

__all__ = ["GzipJsonlSink", "ZstdJsonlSink"]

_GZIP_LEVEL: Final = 3
"""Twice as fast as level 6, for files a fifth larger."""
_GZIP_WBITS: Final = 31
"""A gzip stream; zlib's own header holds neither time nor name."""
_ZSTD_LEVEL: Final = 1
"""JSON of records that are much alike gains nothing from the next levels."""


class _CompressedSink(JsonlSink):
    def write(self, page: Page, /) -> None:
        """Write the rows of a page; they cannot be read back from the middle of a stream."""
        super().write(page)


class GzipJsonlSink(_CompressedSink):
    """Write `directory/part-NNNNN.jsonl.gz`; `part_bytes` are compressed bytes."""

    extension: ClassVar[str] = "jsonl.gz"

    def _compressor(self) -> Compressor:
        return zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WBITS)

    def _reading(self, path: Path) -> BinaryIO:
        return cast("BinaryIO", gzip.open(path, "rb"))


class ZstdJsonlSink(_CompressedSink):
    """Write `directory/part-NNNNN.jsonl.zst`, with checksums; `part_bytes` are compressed bytes."""

    extension: ClassVar[str] = "jsonl.zst"

    def __init__(self, directory: Path, *, part_bytes: int = DEFAULT_PART_BYTES) -> None:
        super().__init__(directory, part_bytes=part_bytes)
        self._zstandard = extra("zstandard", "zstd")

    def _compressor(self) -> Compressor:
        made: Compressor = self._zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True).compressobj()
        return made

    def _reading(self, path: Path) -> BinaryIO:
        stream = self._zstandard.ZstdDecompressor().stream_reader(path.open("rb"), closefd=True)
        return io.BufferedReader(stream)

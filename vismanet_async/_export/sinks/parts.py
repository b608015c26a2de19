"""Parts: files written under a temporary name, hashed meanwhile, synced, and then renamed.

The common part of all sinks: a part is closed at the end of the page that brings it to its size, and rows that a newer
version has replaced are removed at the end. The same pages in the same order give the same files.
"""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from bisect import bisect_right
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate, groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, ClassVar, Generic, Protocol, TypeVar

import attrs

from vismanet_async._export.files import sync_directory, writing
from vismanet_async._export.sinks import FINAL, SinkNotes, Written
from vismanet_async._export.target.manifest import Part

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from concurrent.futures import Future

    from vismanet_async._export.sinks import Page

__all__ = ["DEFAULT_PART_BYTES", "Compressor", "OpenPart", "PartSink"]

DEFAULT_PART_BYTES = 128 * 1024 * 1024
"""The first page that brings a part to this size closes it: few files, each small enough to sync meanwhile."""


_SYNC_BYTES = 4 * 1024 * 1024
"""Sync in the background after so many bytes, so that closing a part is quick."""


class Compressor(Protocol):
    """The common interface of zlib's and zstandard's compression objects."""

    def compress(self, data: memoryview | bytes, /) -> bytes:
        """Return compressed bytes that are ready to be written."""
        ...

    def flush(self) -> bytes:
        """Return the remaining bytes; the last call."""
        ...


class OpenPart:
    """A part being written under a temporary name, and hashed meanwhile."""

    def __init__(self, path: Path, *, compressor: Compressor | None = None) -> None:
        self._path = path
        self._temporary = path.with_name(f"{path.name}.tmp")
        self._file: BinaryIO = self._temporary.open("wb", buffering=0)
        self._digest = hashlib.sha256()
        self._compressor = compressor
        self._syncs = ThreadPoolExecutor(1, thread_name_prefix="sync")
        self._syncing: Future[None] | None = None
        self._synced = 0
        self.bytes = 0
        """Of the file so far; a compressor may buffer some."""
        self.rows = 0

    def write(self, content: memoryview | bytes, *, rows: int) -> None:
        """Write the content of so many rows."""
        self.rows += rows
        self._put(content if self._compressor is None else self._compressor.compress(content))

    def complete(self) -> Part:
        """Sync the file, rename it to its name, and return the part."""
        if self._compressor is not None:
            self._put(self._compressor.flush())
        if self._syncing is not None:
            self._syncing.result()  # a sync error is reported once, and perhaps only there
        os.fsync(self._file.fileno())
        self.close()
        self._temporary.replace(self._path)
        return Part(
            file=f"{self._path.parent.name}/{self._path.name}",
            rows=self.rows,
            bytes=self.bytes,
            sha256=self._digest.hexdigest(),
        )

    def close(self) -> None:
        """Close the file as it is. Waits for a running sync, whose descriptor must not be reused by another file."""
        self._syncs.shutdown()
        self._file.close()

    @property
    def name(self) -> str:
        """The final name."""
        return self._path.name

    @property
    def sha256(self) -> str:
        """Of the file so far, in hex."""
        return self._digest.copy().hexdigest()

    def _put(self, content: memoryview | bytes) -> None:
        view = memoryview(content)
        self._digest.update(view)  # hash and write both release the interpreter lock
        self.bytes += len(view)
        while view:
            view = view[self._file.write(view) :]
        if self.bytes - self._synced >= _SYNC_BYTES and (self._syncing is None or self._syncing.done()):
            if self._syncing is not None:
                self._syncing.result()
            self._syncing = self._syncs.submit(os.fsync, self._file.fileno())
            self._synced = self.bytes


P = TypeVar("P", bound=OpenPart)


class PartSink(ABC, Generic[P]):
    """Write `directory/<stem>-NNNNN.<extension>`, at first as `.tmp`."""

    stem: ClassVar[str] = "part"
    extension: ClassVar[str]
    first_part: int = 0
    """The number of the first part; to be set before the first page."""

    def __init__(self, directory: Path, *, part_bytes: int = DEFAULT_PART_BYTES) -> None:
        self._directory = directory
        self._part_bytes = part_bytes
        self._parts: list[Part] = []
        self._open: P | None = None
        self._rows = 0
        self._notes = SinkNotes()

    @property
    def notes(self) -> SinkNotes:
        """What could not be written as it came."""
        return self._notes

    @property
    def rows(self) -> int:
        """Rows written so far."""
        return self._rows

    @abstractmethod
    def write(self, page: Page, /) -> Written | None:
        """Write a page's rows, and complete the part when it is large enough."""

    def finish(self, *, dropped: Iterable[int] = ()) -> tuple[Part, ...]:
        """Complete the last part, remove the dropped rows, and return all parts."""
        with writing(self._directory):
            self._flush()
            if self._open is None and not self._parts:
                self._part()
            self._complete()
            for index, numbers in _by_part(dropped, self._parts):
                self._parts[index] = self._without(self._parts[index], numbers)
            sync_directory(self._directory)
        return tuple(self._parts)

    def close(self) -> None:
        """Close the part being written, as it is."""
        part, self._open = self._open, None
        if part is not None:
            part.close()

    def adopt(self, parts: Sequence[Part]) -> None:
        """Start with complete parts that exist already, so that `finish` can remove rows from them; before any page."""
        self._parts = list(parts)
        self._rows = sum(part.rows for part in parts)

    @abstractmethod
    def _begin(self, path: Path) -> P:
        """Return a new open part."""

    @abstractmethod
    def _copy(self, path: Path, part: P, *, without: set[int]) -> None:
        """Copy the rows of a complete part, except some, into a new part that replaces it."""

    def _flush(self) -> None:
        """Write what is buffered."""

    def _part(self) -> P:
        """Return the open part; opens the next one if there is none."""
        if self._open is None:
            self._directory.mkdir(parents=True, exist_ok=True)
            number = self.first_part + len(self._parts)
            self._open = self._begin(self._directory / f"{self.stem}-{number:05}.{self.extension}")
        return self._open

    def _complete(self, *, from_bytes: int = 0) -> None:
        """Complete the open part, if there is one of this size or more."""
        if self._open is not None and self._open.bytes >= from_bytes:
            self._parts.append(self._open.complete())
            self._open = None

    def _without(self, part: Part, numbers: set[int]) -> Part:
        path = self._directory / Path(part.file).name
        final = self._directory / FINAL
        final.mkdir(exist_ok=True)
        smaller = self._begin(final / path.name)
        try:
            self._copy(path, smaller, without=numbers)
            return attrs.evolve(smaller.complete(), file=part.file)
        finally:
            smaller.close()


def _by_part(numbers: Iterable[int], parts: Sequence[Part]) -> Iterator[tuple[int, set[int]]]:
    """Yield the parts of rows: pairs of the part's index and the row numbers within it."""
    starts = [0, *accumulate(part.rows for part in parts)]

    def place(number: int) -> tuple[int, int]:
        index = bisect_right(starts, number) - 1
        return index, number - starts[index]

    for index, places in groupby(map(place, sorted(set(numbers))), key=itemgetter(0)):
        yield index, {row for _, row in places}

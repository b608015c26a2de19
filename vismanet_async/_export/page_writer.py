"""Writes the pages of one resource, one after the other, and keeps count of which rows are replaced or repeated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vismanet_async._export.checkpoint import Checkpoint, Journal, NoJournal, RequestKey
    from vismanet_async._export.incremental import DeltaTracker
    from vismanet_async._export.key_index import KeyIndex, KeysOfRows
    from vismanet_async._export.sinks import Sink
    from vismanet_async._paging.delivery import Delivery
    from vismanet_async._paging.row_scanner import RawRow

__all__ = ["KeyTracker", "PageWriter"]


@attrs.frozen
class KeyTracker:
    """The keys of a resource, where deletions are looked for."""

    index: KeyIndex
    reader: KeysOfRows


@attrs.frozen
class _Rows:
    """Rows of their own, not an answer."""

    rows: Sequence[RawRow]
    body: None = None


@attrs.define
class PageWriter:
    """Writes the pages of one resource in the worker thread, one after the other."""

    sink: Sink
    journal: Journal | NoJournal
    checkpoint: Checkpoint
    delta: DeltaTracker | None = None
    """Of an incremental run."""
    keys: KeyTracker | None = None
    """Of a run that looks for deletions, or of one after it."""
    dropped: set[int] = attrs.field(factory=set)
    """Numbers of the written rows that later ones have replaced, or that an earlier run has published."""
    _starts: dict[int, int] = attrs.field(factory=dict)

    def write(
        self, page: Delivery, answered: RequestKey | None, kept: list[tuple[RequestKey, bytes | bytearray]]
    ) -> None:
        """Write a page and journal what was written.

        Args:
            page: the next one.
            answered: the request that its rows answer in full, if they do.
            kept: answers to keep as they are.
        """
        # runs of another plan have no answers for this one: the server gave this page
        self.checkpoint.remove_superseded()
        self._starts[page.number] = self.sink.rows
        self.dropped.update(self._starts[old.delivery] + old.row for old in page.supersedes)
        self.dropped.update(self.sink.rows + index for index in self._repeats(page.rows))
        for key, body in kept:
            self.journal.keep(key, body)  # as the server sent it: the sink may make lines of it
        written = self.sink.write(page)
        if written is not None and answered is not None:
            self.journal.note(answered, written)

    def see(self, page: Delivery) -> int:
        """Note the keys of a sweep's page; write its rows that no run has published, and return how many those are."""
        assert self.keys is not None
        new = self.keys.index.see(self.keys.reader.read(page.rows))
        if new:
            self.sink.write(_Rows([page.rows[at] for at in new]))
        return len(new)

    def _repeats(self, rows: Sequence[RawRow]) -> list[int]:
        """Return the places of rows that are published already."""
        repeats = [] if self.delta is None else self.delta.repeats(rows)
        if self.keys is not None:
            keys = self.keys.reader.read(rows)
            # a record can be seen again, byte for byte, after it was found to be gone
            gone = set(self.keys.index.unknown([keys[at] for at in repeats]))
            repeats = [at for place, at in enumerate(repeats) if place not in gone]
            if self.delta is not None:
                self.delta.repeated -= len(gone)
            self.keys.index.add(keys)
        return repeats

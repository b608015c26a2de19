"""From the rows of an answer to deliveries: read keys, drop duplicates, join split batches (no IO)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from vismanet_async._paging.asks import Scope
from vismanet_async._paging.dedup import Deduplicator
from vismanet_async._paging.delivery import Outbox
from vismanet_async._paging.journals import JournalBatches
from vismanet_async._paging.keys import KeyReader, PageKeys, RowKeys, row_digest, stamp_of
from vismanet_async._paging.seen_keys import SeenKeys

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vismanet_async._paging.asks import Reply
    from vismanet_async._paging.page_formats import PageAnswer
    from vismanet_async._paging.page_plan import Span
    from vismanet_async._paging.row_scanner import RawRow

__all__ = ["RowPipeline"]


@attrs.define(kw_only=True, eq=False, repr=False)
class RowPipeline:
    """Turns the rows of answers into deliveries.

    Args:
        keys: which fields identify a row.
        key_reader: reads the keys; None: duplicates are not looked for.
        by_line: the rows are journal batches, which can be split over pages.
        boundary: times from here on may be those of changes that are not visible yet; None where rows have no times.
        report_violation: called with what contradicts the assumptions of a proof, in words.
    """

    _keys: RowKeys
    _key_reader: KeyReader | None
    _by_line: bool
    _boundary: str | None
    _report_violation: Callable[[str], None]
    outbox: Outbox = attrs.field(factory=Outbox, init=False)
    newest: str = attrs.field(default="", init=False)
    """The latest modification time among all rows received."""
    _seen: SeenKeys = attrs.field(init=False)
    dedup: Deduplicator = attrs.field(init=False)
    journals: JournalBatches = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Make the parts; they share the keys and the outbox."""
        self._seen = SeenKeys(exact_since=self.changes_since)
        self.dedup = Deduplicator(
            self.outbox,
            self._seen,
            has_identity=bool(self._keys.identity),
            report_violation=self._report_violation,
        )
        self.journals = JournalBatches(self.outbox, self._seen)

    @property
    def changes_since(self) -> int | None:
        """The stamp of the boundary; None where rows have no times."""
        return None if self._boundary is None else stamp_of(self._boundary)

    @property
    def most_rows(self) -> int:
        """The number of rows that count as seen: those delivered, and those that might have been a newer version."""
        return max(len(self._seen), self.outbox.rows + self._seen.unchanged)

    @property
    def unique(self) -> int | None:
        """The number of different rows delivered; None: keys are not read."""
        if self._key_reader is None:
            return None
        return self.outbox.rows if self._by_line else len(self._seen)

    def read_keys(self, answer: PageAnswer, scope: Scope) -> PageKeys:
        """Return the keys of an answer's rows; empty ones where keys are not read.

        Raises:
            PageFormatError: a row lacks its identity.
        """
        if self._key_reader is None:
            return PageKeys([b""] * len(answer.rows), versions=False)
        return self._key_reader.read(answer.rows, versions=scope is not Scope.BELOW)

    def digests(self, rows: Sequence[RawRow]) -> Callable[[int], bytes]:
        """Return what gives a digest of the row at an offset."""
        digest = row_digest if self._key_reader is None else self._key_reader.digest
        return lambda offset: digest(rows[offset])

    def deliver_page(self, reply: Reply, span: Span) -> None:
        """Deliver the rows of a page that was read by itself."""
        if self._by_line:
            rows = reply.page.rows
            keys = reply.keys if self._key_reader is not None else KeyReader(self._keys).read(rows)
            self.journals.deliver(rows, keys, page=reply.ask.page, start=span.start)
        elif self._key_reader is None:
            self.outbox.add(reply.page.rows, body=reply.page.body, page=reply.ask.page)
        else:
            self.dedup.deliver_page(reply, span)

    def head(self, reply: Reply) -> bytes:
        """Return what tells a page from others: its first row's key, or its text where a batch can fill many pages."""
        return row_digest(reply.page.rows[0]) if self._by_line else reply.names[0]

    def counted(self) -> int:
        """Return how many different rows (journals: lines) came since the count was restarted."""
        if self._by_line:
            return self.journals.lines
        return self.outbox.rows if self._key_reader is None else self.dedup.counted

    def restart_count(self) -> None:
        """Count rows and lines from zero again."""
        self.dedup.restart_count()
        self.journals.restart_count()

    def close(self) -> None:
        """Free the keys and their temporary files."""
        self.dedup.close()

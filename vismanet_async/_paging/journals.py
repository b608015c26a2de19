"""Join journal batches that were split over pages (no IO).

Sizes and totals of journals count lines (facts 4.12), so the server cuts a batch where a page is full.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs
import msgspec

from vismanet_async._paging.keys import PageKeys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vismanet_async._paging.delivery import Outbox
    from vismanet_async._paging.row_scanner import RawRow
    from vismanet_async._paging.seen_keys import SeenKeys

__all__ = ["JournalBatches", "merge_batches"]


class _Line(msgspec.Struct, gc=False):
    lineNumber: msgspec.Raw = msgspec.Raw(b"null")  # noqa: N815 - the API's name


_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LINE: Final = msgspec.json.Decoder(_Line)
_LINES: Final = msgspec.json.Decoder(list[msgspec.Raw])
JOURNAL_LINES: Final = "journalTransactionLines"


@attrs.define(eq=False, repr=False)
class JournalBatches:
    """Delivers the batches of a journal list, each whole and once.

    Args:
        outbox: gets the deliveries.
        seen: the keys that were delivered.
    """

    _outbox: Outbox
    _seen: SeenKeys
    lines: int = attrs.field(default=0, init=False)
    """Lines that came since the list was read from the start, those of each batch once."""
    _counted: set[bytes] | None = attrs.field(default=None, init=False)
    """The batches whose lines are counted; None in the first reading: those that are delivered."""
    _parts: dict[bytes, list[tuple[int, RawRow]]] = attrs.field(factory=dict, init=False)
    """By key: the parts at page edges, and their positions."""

    def deliver(self, rows: Sequence[RawRow], keys: PageKeys, *, page: int, start: int) -> None:
        """Deliver the batches inside a page; keep those at its edges, which may continue on a neighbouring page.

        Args:
            rows: the page's batches.
            keys: their keys.
            page: the page's number.
            start: position of its first line.
        """
        for offset in {0, len(rows) - 1} if rows else set():
            self._parts.setdefault(keys.names[offset], []).append((start + offset, rows[offset]))
        inside = range(1, len(rows) - 1)
        left_out = {repeat.offset + 1 for repeat in self._seen.add(keys.part(inside))}
        self._outbox.dropped += len(left_out)
        for offset in inside:
            if self._is_new(keys.names[offset], is_delivered=offset not in left_out):
                self.lines += merge_batches([rows[offset]])[1]
        self._outbox.add([rows[offset] for offset in inside if offset not in left_out], body=None, page=page)

    def deliver_joined(self) -> None:
        """Join the parts that were kept, and deliver the batches."""
        joined = []
        for name, parts in self._parts.items():
            is_delivered = not self._seen.add(PageKeys([name], versions=False))
            batch, lines = merge_batches([part for _, part in sorted(parts, key=lambda part: part[0])])
            if self._is_new(name, is_delivered=is_delivered):
                self.lines += lines
            if is_delivered:
                joined.append(batch)
            else:
                self._outbox.dropped += 1
        self._parts = {}
        self._outbox.add(joined, body=None, page=None)

    def restart_count(self) -> None:
        """Count lines from zero: the list is read anew, and most batches were delivered before."""
        self.lines = 0
        self._counted = set()

    def _is_new(self, name: bytes, *, is_delivered: bool) -> bool:
        """Return whether a batch came for the first time in this reading."""
        if self._counted is None:
            return is_delivered
        is_new = name not in self._counted
        self._counted.add(name)
        return is_new


def merge_batches(parts: Sequence[RawRow]) -> tuple[RawRow, int]:
    """Join the parts of one journal batch that was split over pages, and count its lines.

    Shape: the last part's fields with the lines of all parts, in the order given, each `lineNumber` once (the later
    one wins). A single part comes back as it is.

    Examples:
        >>> batch, lines = merge_batches([
        ...     msgspec.Raw(b'{"batchNumber":"7","journalTransactionLines":[{"lineNumber":1}]}'),
        ...     msgspec.Raw(b'{"batchNumber":"7","journalTransactionLines":[{"lineNumber":2}]}'),
        ... ])
        >>> lines, bytes(batch)
        (2, b'{"batchNumber":"7","journalTransactionLines":[{"lineNumber":1},{"lineNumber":2}]}')
    """
    lines: dict[bytes, msgspec.Raw] = {}
    fields: dict[str, msgspec.Raw] = {}
    for number, part in enumerate(parts):
        fields = _OBJECT.decode(part)
        for index, line in enumerate(_lines(fields)):
            name = bytes(_LINE.decode(line).lineNumber)
            # a line without a number is never taken for a repeat
            lines[b"%d/%d" % (number, index) if name == b"null" else name] = line
    if len(parts) == 1:
        return parts[0], len(lines)
    fields[JOURNAL_LINES] = msgspec.Raw(msgspec.json.encode(list(lines.values())))
    return msgspec.Raw(msgspec.json.encode(fields)), len(lines)


def _lines(fields: dict[str, msgspec.Raw]) -> list[msgspec.Raw]:
    raw = fields.get(JOURNAL_LINES)
    return [] if raw is None or bytes(raw) == b"null" else _LINES.decode(raw)

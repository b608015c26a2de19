"""Deliver each row once, and newer versions of rows by name (no IO)."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

import attrs
import msgspec
from msgspec.structs import replace

from vismanet_async._paging.asks import Reply, Scope
from vismanet_async._paging.delivery import Outbox, Replaced
from vismanet_async._paging.page_plan import Span
from vismanet_async._paging.seen_keys import SeenKeys

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vismanet_async._paging.page_formats import PageAnswer
    from vismanet_async._paging.row_scanner import RawRow

__all__ = ["Deduplicator", "KeyTally"]


class _Origin(msgspec.Struct, frozen=True):
    """Where the rows with the ordinals from `first` on came from."""

    first: int
    delivery: int
    scope: Scope
    span: Span
    kept: list[int] | None  # offsets in the page; None: all


@attrs.frozen(eq=False, repr=False)
class KeyTally:
    """Counts the different keys of one reading."""

    seen: SeenKeys
    _is_of_deliveries: bool
    """The deduplicator adds the keys of all rows that are delivered."""

    def add(self, reply: Reply) -> None:
        """Count the keys of an answer, unless its delivery does."""
        if not self._is_of_deliveries:
            self.seen.add(reply.keys.plain())

    def __len__(self) -> int:
        """Return how many different keys there were."""
        return len(self.seen)

    def missing(self, names: Sequence[bytes]) -> int:
        """Return how many of these were never added."""
        return self.seen.missing(names)


@attrs.define(eq=False, repr=False)
class Deduplicator:
    """Leaves out rows that were delivered before, and names the rows that a newer version replaces.

    Args:
        outbox: gets the deliveries.
        seen: the keys that were delivered.
        has_identity: False where a row is identified by its whole text, so that equal rows are no violation.
        report_violation: called with what contradicts the assumptions of a proof, in words.
    """

    _outbox: Outbox
    seen: SeenKeys
    has_identity: bool = attrs.field(kw_only=True)
    _report_violation: Callable[[str], None] = attrs.field(kw_only=True)
    superseded: int = attrs.field(default=0, init=False)
    """Delivered rows of which a newer version was delivered later."""
    equal: int = attrs.field(default=0, init=False)
    """Rows of the present reading that equal an earlier one of it; where equal rows have no identity."""
    _copies: list[RawRow] = attrs.field(factory=list, init=False)
    """Those that were not delivered, as they may be the same row at two places."""
    _origins: list[_Origin] = attrs.field(factory=list, init=False)
    _tallies: list[KeyTally] = attrs.field(factory=list, init=False)

    def deliver(self, reply: Reply) -> None:
        """Deliver the rows of a proof's answer."""
        if reply.unchanged:
            reply = self._without_unchanged(reply)
        self._emit(reply, Span(reply.start, reply.start + reply.rows, reply.total))

    def deliver_page(self, reply: Reply, span: Span) -> None:
        """Deliver the rows of a page that was read for itself."""
        if self._tallies:
            self._tally(self._tallies[-1].seen, reply)
        self._emit(reply, span)

    def _tally(self, seen: SeenKeys, reply: Reply) -> None:
        first = seen.ordinal
        repeats = seen.add(reply.keys.plain())
        if not self.has_identity:
            self._note_equal(reply, [repeat.offset for repeat in repeats if repeat.ordinal < first], len(repeats))

    def _note_equal(self, reply: Reply, offsets: Sequence[int], count: int) -> None:
        self.equal += count
        self._copies += [msgspec.Raw(bytes(reply.page.rows[offset])) for offset in offsets]  # buffers are used again

    def deliver_copies(self) -> None:
        """Deliver the rows of this reading that equal others: they turned out to be rows of their own."""
        self._outbox.dropped -= len(self._copies)
        self._outbox.add(self._copies, body=None, page=None)
        self._copies = []

    def _without_unchanged(self, reply: Reply) -> Reply:
        """Return the reply without rows that are known to be as they were delivered, whatever their times."""
        self._outbox.dropped += len(reply.unchanged)
        kept = [offset for offset in range(reply.rows) if offset not in reply.unchanged]
        page = attrs.evolve(reply.page, rows=[reply.page.rows[offset] for offset in kept], body=None)
        digest = reply.digest and (lambda place: reply.digest(kept[place]))
        return replace(reply, keys=reply.keys.part(kept), page=page, digest=digest)

    def _emit(self, reply: Reply, span: Span) -> None:
        answer: PageAnswer = reply.page
        rows = answer.rows
        first = self.seen.ordinal
        repeats = self.seen.add(reply.keys, digest=reply.digest)
        kept = None
        supersedes: list[Replaced] = []
        if repeats:
            left_out = set()
            for repeat in repeats:
                if repeat.ordinal >= first:
                    if self.has_identity:
                        self._report_violation("two rows of one answer have the same identity")
                elif repeat.newer:
                    supersedes.append(self._replaced(repeat.ordinal))
                else:
                    left_out.add(repeat.offset)
                    self._check_position(reply.ask.scope, repeat.ordinal, span, repeat.offset)
            if not (self.has_identity or self._tallies):
                self._note_equal(reply, sorted(left_out), len(repeats))
            kept = [offset for offset in range(len(rows)) if offset not in left_out]
            rows = [rows[offset] for offset in kept]
            self._outbox.dropped += len(left_out)
            self.superseded += len(supersedes)
        if not rows:
            return
        self._origins.append(_Origin(first, self._outbox.deliveries, reply.ask.scope, span, kept))
        body = answer.body if len(rows) == len(answer.rows) else None
        self._outbox.add(rows, body=body, page=reply.ask.page, supersedes=tuple(supersedes))

    def _origin(self, ordinal: int) -> _Origin:
        return self._origins[bisect_right(self._origins, ordinal, key=lambda origin: origin.first) - 1]

    def _replaced(self, ordinal: int) -> Replaced:
        origin = self._origin(ordinal)
        return Replaced(origin.delivery, ordinal - origin.first)

    def _check_position(self, scope: Scope, ordinal: int, span: Span, offset: int) -> None:
        """Check that a row of a window moved towards the front only, and not by more than the rows that left."""
        origin = self._origin(ordinal)
        if scope is not Scope.BELOW or origin.scope is not Scope.BELOW:
            return
        then, total = origin.span.total or 0, span.total or 0  # an answer with rows has a total here
        row = ordinal - origin.first
        before = origin.span.start + (row if origin.kept is None else origin.kept[row])
        now = span.start + offset
        moved = before - now if then >= total else now - before
        if not 0 <= moved <= abs(then - total):
            self._report_violation("the order of the rows is not stable")

    # -- counts of different keys

    def new_tally(self) -> KeyTally:
        """Return a count of different keys that starts at zero."""
        if not len(self.seen):
            return KeyTally(self.seen, is_of_deliveries=True)
        self.restart_count()
        return self._tallies[-1]

    def restart_count(self) -> None:
        """Count the keys of pages from zero again."""
        self._tallies.append(KeyTally(SeenKeys(), is_of_deliveries=False))
        self.equal, self._copies = 0, []

    @property
    def counted(self) -> int:
        """How many different keys came since the count was restarted."""
        return len(self._tallies[-1]) if self._tallies else len(self.seen)

    def close(self) -> None:
        """Free the keys and their temporary files."""
        self.seen.close()
        for tally in self._tallies:
            tally.seen.close()

"""Rows on their way to the consumer (no IO)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vismanet_async._paging.row_scanner import RawRow

__all__ = ["Delivery", "Outbox", "Replaced"]


class Replaced(msgspec.Struct, frozen=True):
    """A row that was delivered earlier and of which a newer version has come."""

    delivery: int
    """The number of the delivery that contained it."""
    row: int
    """Its index in that delivery's rows."""


class Delivery(msgspec.Struct, frozen=True):
    """Rows for the consumer."""

    number: int
    """Counts the deliveries of one traversal from 0."""
    page: int | None
    """The page they came with; None for rows put together from several pages."""
    rows: Sequence[RawRow]
    body: bytes | bytearray | None
    """The answer whose rows these all are, in their order; None when some were left out."""
    supersedes: tuple[Replaced, ...] = ()
    """Rows delivered before that are replaced by newer versions among these."""


@attrs.define(eq=False, repr=False)
class Outbox:
    """Collects deliveries until the caller takes them, and counts their rows."""

    rows: int = attrs.field(default=0, init=False)
    """Rows delivered, newer versions of earlier ones included."""
    deliveries: int = attrs.field(default=0, init=False)
    """How many deliveries there were; the number of the next one."""
    dropped: int = attrs.field(default=0, init=False)
    """Rows that were not delivered because they had been before."""
    _waiting: list[Delivery] = attrs.field(factory=list, init=False)

    def add(
        self,
        rows: Sequence[RawRow],
        *,
        body: bytes | bytearray | None,
        page: int | None,
        supersedes: tuple[Replaced, ...] = (),
    ) -> None:
        """Make a delivery of these rows, if there are any."""
        if rows:
            self._waiting.append(Delivery(self.deliveries, page, rows, body, supersedes))
            self.rows += len(rows)
            self.deliveries += 1

    def take(self) -> list[Delivery]:
        """Return the deliveries made since the last call."""
        taken, self._waiting = self._waiting, []
        return taken

"""What the answers of a window tell of its length: totals that only fall, and what shows the end (no IO).

An answer may be computed by a server that is behind, and a total may be false. So a total is used for linking pages
only once other answers have *vouched* for it, and a link is *settled* by later answers that told the same.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from vismanet_async._paging.asks import Ask, Reply

__all__ = ["WITNESSES", "EndProbes", "WindowTotals"]

WITNESSES: Final = 2
"""Answers with the same total that vouch for it after a fall, and that settle a link later."""
_NEVER: Final = 1 << 62
_KEPT: Final = 64  # of the totals told; links that are settled need them no more
_WASTE_UPWARDS: Final = 0.3  # share of pages that may be read again on a busy list: fewer requests in flight then
_WASTE_DOWNWARDS: Final = 0.08
_BUSY_FALLS: Final = 3
_BUSY_SHARE: Final = 0.12  # falls an answer: upwards, links by equal totals hardly settle any more


class WindowTotals:
    """The totals of one window.

    Args:
        guess: the probable first total, which then vouches for itself; None: there is none to trust.
        first_witnesses: answers that vouch for the first total otherwise.
    """

    def __init__(self, *, guess: int | None, first_witnesses: int) -> None:
        self._guess = guess
        self._told: deque[tuple[int, int]] = deque(maxlen=_KEPT)  # (sent, total) since the last fall
        self._since = 0  # when the present one was first received
        self._witnesses = first_witnesses
        self._vouched_since = _NEVER
        self.now: int | None = None
        """The length of the window as last told; None before the first answer."""
        self.falls = 0
        """How often rows left."""
        self.answers = 0
        """The number of answers, whatever was wrong with them."""

    @property
    def fall_often(self) -> bool:
        """Whether rows leave so often that pages read upwards would hardly be linked."""
        return self.falls >= _BUSY_FALLS and self.falls > _BUSY_SHARE * self.answers

    def most_in_flight(self, *, descending: bool) -> int:
        """Return how many requests may be in flight: each fall has those pages read again."""
        if self.now is not None and self._vouched_since == _NEVER:
            return 1
        if not self.falls:
            return 1 << 30
        waste, more = (_WASTE_DOWNWARDS, 0) if descending else (_WASTE_UPWARDS, 1)
        return max(1, int(waste * self.answers / self.falls) - WITNESSES - more)

    @property
    def are_as_guessed(self) -> bool:
        """Whether the window is as long as was guessed."""
        return self.now == self._guess

    def has_fallen_to(self, total: int) -> bool:
        """Return whether rows have left the window: a smaller total is told than before."""
        return self.now is not None and total < self.now

    def fall(self, total: int) -> None:
        """Process a fall: what was told before it vouches for nothing."""
        self.falls += 1
        self.now = total
        self._told.clear()
        self._vouched_since, self._witnesses = _NEVER, WITNESSES

    def note(self, reply: Reply, *, is_fallen: bool) -> None:
        """Record an answer's total, after the fall that it showed."""
        total = reply.total or 0
        if is_fallen:
            self._since = reply.received
        elif self.now is None:
            self._since = reply.received
            if total == self._guess:
                self._vouched_since = 0
        self.now = total
        self._told.append((reply.sent, total))
        if self._vouched_since == _NEVER and len(self._told) >= self._witnesses:
            self._vouched_since = reply.received

    def is_outdated(self, reply: Reply) -> bool:
        """Return whether the answer may have been computed before the known fall, and so is of no use."""
        return self.now is not None and (reply.total or 0) > self.now and reply.sent < self._since

    def are_vouched(self, *replies: Reply) -> bool:
        """Return whether answers were asked for after the present total had been vouched for."""
        return all(reply.sent >= self._vouched_since for reply in replies)

    def settle(self, reply: Reply) -> bool:
        """Return whether enough answers that were asked for after this one told the same total."""
        return sum(sent >= reply.received and total == reply.total for sent, total in self._told) >= WITNESSES


class EndProbes:
    """Requests for what stands behind the last row of everything: where the window seems to be all there is.

    Args:
        asks: what is to be asked for; none: the end is not looked for.
        rows: of the whole list; None where page 1 is not trusted to tell them.
    """

    def __init__(self, asks: tuple[Ask, ...], *, rows: int | None) -> None:
        self._rows = rows
        self._unsent = list(asks)
        self._open = len(asks)
        self._is_end_seen = bool(asks)  # by those answered so far

    @property
    def are_open(self) -> bool:
        """Whether some have no answer yet."""
        return self._open > 0

    @property
    def show_end(self) -> bool:
        """Whether all of them showed that nothing stands behind the rows."""
        return not self._open and self._is_end_seen

    def next_ask(self) -> Ask | None:
        """Return one to send now; None: all are sent."""
        return self._unsent.pop() if self._unsent else None

    def receive(self, reply: Reply) -> None:
        """Process an answer."""
        self._open -= 1
        due = (self._rows or 0) - reply.start
        totals = {self._rows} if due else {self._rows, 0, None}
        self._is_end_seen &= reply.size == reply.ask.size and reply.rows == due and reply.total in totals

    def receive_error(self, ask: Ask) -> None:
        """Ask again what got no answer."""
        self._unsent.append(ask)

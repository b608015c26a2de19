"""Read a window page by page, several at once, so that no row slips from a page that is unread to one that was read.

A window is a part of a list that rows only leave. Its answers form a *chain*: every row that stays and that no answer
of the chain shows stands beyond the chain's last row (reading upwards), or before its first one (reading downwards).
Two answers may follow one another in the chain in one of three ways:

- *same state*: both tell the same total. Rows only leave, so an equal total is the very same window.
- *later*, reading downwards only: the request for the lower page left after the page above it had come. Rows move
  towards the front only, so a row that stays and was not seen above stands below.
- *anchored*, reading upwards only: the answer shows a row of the chain. A row that stands beyond the chain stands
  behind that row, hence beyond the answer, or in it. This takes for granted that rows that stay keep their order.

A false total may hide the moment at which a row left: one that was told too low before it, or too high after it. So an
answer is linked by its total only if it was asked for after another had told that total (after a fall: two others; the
total is *vouched for* then; at a quiet start page 1 of the whole list does that), and the link counts as *settled* once
two later answers told it too. When a total falls, what is not settled is read again (upwards: from the last settled
page, which is the anchor).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import msgspec

from vismanet_async._paging.asks import Ask, Reply, Scope, contradiction, pages_of
from vismanet_async._paging.keys import stamp_of
from vismanet_async._paging.overlap import LEAST_PAGE_SIZE
from vismanet_async._paging.protocol import Contradiction, ReadAnew, Restless
from vismanet_async._paging.window_totals import WITNESSES, EndProbes, WindowTotals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["WindowChain"]

_TRIES: Final = 3  # of a page whose answer contradicts itself; as many blanks in a row are believed
_KEPT_LINKS: Final = 16  # anchors further back than this are looked for at page 1
_SECOND: Final = 1_000_000  # stamps are microseconds; filters compare whole seconds


class _Link(msgspec.Struct, eq=False):
    reply: Reply
    is_sure: bool
    """Follows the link before it whatever totals say: it is the first, came later, or shows an anchor."""

    @property
    def page(self) -> int:
        return self.reply.ask.page


class WindowChain:
    """Links the pages of one window into a chain without a gap.

    Args:
        size: rows a page.
        edge_stamp: rows modified at this moment or later do not belong to the window.
        descending: read from the last page to the first; else from the first to the last.
        guess: the probable length of the window, which vouches for an equal first total; None: nothing does.
        end_probes: what shows the end of everything; asked for if the first total is the guess.
        first_witnesses: answers that vouch for the first total otherwise.
        ahead_pages: upwards, how far beyond the chain to ask; None: anywhere.
        deliver: called with each reply whose rows may be delivered; upwards in page order.
    """

    def __init__(
        self,
        *,
        size: int,
        edge_stamp: int,
        descending: bool,
        guess: int | None,
        end_probes: tuple[Ask, ...] = (),
        first_witnesses: int = 1,
        ahead_pages: int | None = None,
        deliver: Callable[[Reply], None],
    ) -> None:
        self._size = size
        self._edge_stamp = edge_stamp
        self._descending = descending
        self._in_order = not descending
        self._ahead_pages = ahead_pages
        self._deliver = deliver
        self._links: list[_Link] = []  # the last ones; only the first of a list that was cut is not page 1 or the top
        self._stored: dict[int, Reply] = {}  # answers that are not in the chain yet
        self._sent: set[int] = set()
        self._tries: Counter[int] = Counter()
        self._blanks: Counter[int] = Counter()
        self._heads: dict[bytes, tuple[int, int | None]] = {}  # the first row of each page, and the total stated
        self._totals = WindowTotals(guess=guess, first_witnesses=first_witnesses)
        self._probes = EndProbes(end_probes if (guess or 0) > size else (), rows=guess)
        self._anchor: int | None = None  # upwards: the settled page that is read again
        self.repairs = 0
        """Pages that were read again."""
        self.linked_by_totals = False
        """Some link rests on two equal totals."""
        self.violation: ReadAnew | Restless | Contradiction | None = None
        """What broke an assumption; the reading has ended."""
        self.smaller_size: int | None = None
        """The server lowered the page size to this; the reading has ended."""
        self.first_look: Reply | None = None
        """Page 1 as first read."""
        self.first_page: Reply | None = None
        """Page 1 as it stands in the chain; `first_look` itself where it was read once."""
        self.last_page: Reply | None = None
        """The last page; None for an empty window."""

    @property
    def total(self) -> int | None:
        """The length of the window as last stated; None before the first answer."""
        return self._totals.now

    @property
    def fell(self) -> bool:
        """Whether rows left while the window was read."""
        return self._totals.falls > 0

    @property
    def is_too_busy(self) -> bool:
        """Whether rows leave so often that overlapping pages are quicker; the reading has ended."""
        return self._totals.fall_often and not self._descending and self._size >= LEAST_PAGE_SIZE

    @property
    def done(self) -> bool:
        """Whether the chain spans the window, or cannot, and all is known that a cache could answer once more."""
        return self._has_ended and not self._sent

    @property
    def _has_ended(self) -> bool:
        if self.violation is not None or self.smaller_size is not None or self.total == 0 or self.is_too_busy:
            return True
        if not self._links or self._anchor is not None:
            return False
        newest = self._links[-1]
        return newest.page == 1 if self._descending else newest.page >= pages_of(newest.reply.total or 0, self._size)

    @property
    def buffered(self) -> int:
        """The number of answers that wait for those before them."""
        return len(self._stored) if self._in_order else 0

    # -- requests

    def next_ask(self, in_flight: int) -> Ask | None:
        """Return a request to send now; None: wait for an answer."""
        if self._has_ended or in_flight >= self._totals.most_in_flight(descending=self._descending):
            return None
        is_probing = self._is_probing
        if is_probing and (probe := self._probes.next_ask()) is not None:
            return probe
        wanted = (page for page in self._wanted() if page not in self._sent and page not in self._stored)
        page = next(wanted, None)
        if page is None or (is_probing and next(wanted, None) is None):
            return None  # some page has to be asked for after the end was seen
        self._sent.add(page)
        return Ask(Scope.BELOW, page, self._size)

    def receive_error(self, ask: Ask) -> None:
        """Ask again what got no answer."""
        if ask.scope is Scope.ALL:
            self._probes.receive_error(ask)
        else:
            self._sent.discard(ask.page)

    @property
    def _is_probing(self) -> bool:
        """Whether the end of everything is looked for: the window seems to be all there is."""
        return self._probes.are_open and not self.fell and self._totals.are_as_guessed

    @property
    def is_everything(self) -> bool:
        """Whether the end of everything was seen, after as many rows as the window has."""
        return self._probes.show_end and self._totals.are_as_guessed

    def pause(self) -> None:
        """Forget answers that do not belong to the chain."""
        self._stored.clear()

    def _wanted(self) -> Iterable[int]:
        if self.total is None or not (self._descending or self._links or self._anchor):
            return (1,)  # alone: where rows leave it before another page is read, a later look at it shows that
        if self._descending:
            top = pages_of(self.total or 0, self._size)
            return range(self._links[-1].page - 1 if self._links else top, 0, -1)
        begin = self._anchor or (self._links[-1].page + 1 if self._links else 1)
        last = pages_of(self.total, self._size)
        if self._ahead_pages is not None:
            last = min(last, begin + self._ahead_pages - 1)
        return range(begin, max(begin, last) + 1)

    # -- answers

    def receive(self, reply: Reply) -> None:
        """Process an answer."""
        if reply.ask.scope is Scope.ALL:
            self._probes.receive(reply)
            return
        self._sent.discard(reply.ask.page)
        if not self._has_ended:
            self._process(reply.ask.page, reply)

    def _process(self, page: int, reply: Reply) -> None:
        self._totals.answers += 1
        if reply.size < self._size:
            self.smaller_size = reply.size
        elif not reply.rows and not reply.total:
            self._receive_blank(page)
        elif self._totals.is_outdated(reply):
            pass  # asked for again
        elif (why := self._complaint(reply)) is not None:
            self._tries[page] += 1
            self.repairs += 1
            if self._tries[page] >= _TRIES:
                self.violation = why
        else:
            self._accept(page, reply)
        while not self._has_ended and self._extend():
            pass

    def _accept(self, page: int, reply: Reply) -> None:
        self._blanks[page] = self._tries[page] = 0
        self._note_total(reply)
        if page == 1 and self.first_look is None:
            self.first_look = reply.light()
        if reply.rows:
            self._heads[reply.names[0]] = (page, reply.total)
        if not self._in_order:
            self._deliver(reply)
            reply = reply.light()
        if self._descending or self._totals.are_vouched(reply):
            self._stored[page] = reply

    def confirm(self, reply: Reply) -> None:
        """Process a later look at page 1 of the window: it settles links, or shows that a row has left."""
        total = reply.total if reply.rows else 0  # a blank answer was given three times
        if total is not None and self.total is not None and total <= self.total:
            self._note_total(reply)

    @property
    def is_settled(self) -> bool:
        """Whether no two false totals can have hidden that a row left."""
        return not self.total or self._settle() == len(self._links)

    def _complaint(self, reply: Reply) -> ReadAnew | Restless | Contradiction | None:
        """Return what is wrong with an answer, and what follows if it is so three times."""
        if stamp_of(reply.keys.newest) >= self._edge_stamp + _SECOND:
            return Restless("the server does not apply its last-modified filter")
        if reply.total is not None and self.total is not None and reply.total > self.total:
            return ReadAnew("rows entered the part of the list that can only shrink")
        page, total = self._heads.get(reply.names[0], (reply.ask.page, None)) if reply.rows else (reply.ask.page, None)
        if page != reply.ask.page and total == reply.total:
            return ReadAnew(f"page {reply.ask.page} showed the rows of page {page}")
        why = contradiction(reply)
        return None if why is None else Contradiction(why)

    def _receive_blank(self, page: int) -> None:
        self._blanks[page] += 1
        if page > 1 and (self.total is None or (page - 1) * self._size >= self.total):
            return  # beyond the end, or before it is known
        if self._descending and not self._links and page > 1 and self._blanks[page] >= WITNESSES:
            # the total says that rows are here, and they are not: find the end from below
            self._descending = False
            self._stored = {number: reply for number, reply in self._stored.items() if self._totals.are_vouched(reply)}
            return
        if self._blanks[page] < _TRIES:
            self.repairs += 1
            return
        if page == 1:
            self._totals.now = 0
        elif self._descending:
            self.violation = ReadAnew(f"page {page} of the part that can only shrink had no rows where some were due")
        else:
            self._fall((page - 1) * self._size)
            self._anchor = None if self._anchor is None else min(self._anchor, page - 1)

    def _note_total(self, reply: Reply) -> None:
        total = reply.total or 0
        is_fallen = self._totals.has_fallen_to(total)
        if is_fallen:
            self._fall(total)
        self._totals.note(reply, is_fallen=is_fallen)

    def _fall(self, total: int) -> None:
        """Process a fall, where rows have left: keep the settled part of the chain, and continue from there."""
        settled = self._settle()
        self.repairs += len(self._links) - settled
        del self._links[settled:]
        self._totals.fall(total)
        self._stored = {page: reply for page, reply in self._stored.items() if reply.total == total}
        if not self._descending and self._links:
            self._anchor = self._links[-1].page
            self.repairs += 1

    def _settle(self) -> int:
        """Return how many links are settled; a link is no surer than those before it."""
        for number, link in enumerate(self._links):
            link.is_sure = link.is_sure or self._totals.settle(link.reply)
            if not link.is_sure:
                return number
        return len(self._links)

    # -- the chain

    def _extend(self) -> bool:
        """Add a stored answer to the chain; return False where none fits."""
        if self._anchor is not None:
            return self._extend_from_anchor(self._anchor)
        if not self._links:
            reply = self._stored.pop(pages_of(self.total or 0, self._size) if self._descending else 1, None)
            if reply is None or (self._descending and reply.total != self.total):
                return False
            self._append(reply, is_sure=True)
            return True
        before = self._links[-1]
        reply = self._stored.pop(before.page + (-1 if self._descending else 1), None)
        if reply is None:
            return False
        is_later = self._descending and reply.sent >= before.reply.received
        if not is_later:
            if not self._totals.are_vouched(reply, before.reply):
                return False  # perhaps of another state: asked for again
            # a smaller total takes the voucher back, a greater one is a complaint: so both told the present one
            self.linked_by_totals = True
        self._append(reply, is_sure=is_later)
        return True

    def _extend_from_anchor(self, page: int) -> bool:
        reply = self._stored.pop(page, None)
        if reply is None:
            return False
        known = {name for link in self._links if link.page >= page for name in link.reply.names}
        if page > 1 and known.isdisjoint(reply.names):
            # a page of rows has left before it: look for a row of the chain a page earlier; nothing precedes page 1
            self.repairs += 1
            self._anchor = page - 1 if self._links[0].page < page else 1
            return True
        while self._links and self._links[-1].page >= page:
            self._links.pop()
        self._anchor = None
        self._append(reply, is_sure=True)
        return True

    def _append(self, reply: Reply, *, is_sure: bool) -> None:
        light = reply.light()
        if reply.ask.page == 1:
            is_first_look = self.first_look is not None and self.first_look.received == reply.received
            self.first_page = self.first_look if is_first_look else light
        if not self._descending or not self._links:
            self.last_page = light
        self._links.append(_Link(light, is_sure))
        if len(self._links) > 2 * _KEPT_LINKS and self._settle() > _KEPT_LINKS:
            del self._links[:_KEPT_LINKS]
        if self._in_order:
            self._deliver(reply)

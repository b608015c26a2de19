"""Runs the rules of a proof: each rule is a generator that yields requests and receives their answers (no IO).

A rule yields an `Ask`, and receives its `Reply`; or it yields a `Parallel`, a part of the reading that keeps several
requests in flight, and continues when that is done. A rule returns its result; what it raises ends the reading or
restarts it.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import attrs
from msgspec.structs import replace

from vismanet_async._paging.asks import Ask, Claim, Reply, Scope, contradiction
from vismanet_async._paging.overlap import LEAST_PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["TRIES", "Contradiction", "KeyCount", "Parallel", "ReadAnew", "Restless", "Rule", "RuleRunner"]

TRIES: Final = 3
"""Of an answer that contradicts itself; so many blanks in a row are believed."""
_SECOND: Final = 1_000_000  # stamps are microseconds; filters compare whole seconds

T = TypeVar("T")


class Parallel(Protocol):
    """A part of the reading that has several requests in flight."""

    @property
    def done(self) -> bool:
        """Whether the rules can continue."""
        ...

    @property
    def buffered(self) -> int:
        """The number of answers that wait for those before them."""
        ...

    def next_ask(self, in_flight: int) -> Ask | None:
        """Return a request to send now; None: wait for an answer."""
        ...

    def receive(self, reply: Reply) -> None:
        """Process an answer."""
        ...

    def receive_error(self, ask: Ask) -> None:
        """Ask again what got no answer."""
        ...


Rule = Generator["Ask | Parallel", "Reply | None", T]


class KeyCount(Protocol):
    """Counts different identities."""

    def add(self, reply: Reply) -> None:
        """Count the identities of an answer."""

    def __len__(self) -> int:
        """Return how many different ones there were."""
        ...

    def missing(self, names: Sequence[bytes]) -> int:
        """Return how many of these were never added."""
        ...


class ReadAnew(Exception):
    """An assumption failed: the list is read anew, with smaller pages if the server lowered their size."""

    def __init__(self, reason: str, *, size: int | None = None) -> None:
        super().__init__(reason)
        self.size = size


class Restless(Exception):
    """The list changes too fast for its parts to be compared."""


class Contradiction(Exception):
    """An answer contradicted itself each time it was asked for."""


@attrs.define(eq=False, repr=False)
class RuleRunner:
    """Runs rules: returns the requests that they yield, and sends them the answers."""

    _rules: Rule[Claim]
    _step: Ask | Parallel = attrs.field(init=False)
    _stage: int = attrs.field(default=0, init=False)
    _in_flight: int = attrs.field(default=0, init=False)
    _is_asked: bool = attrs.field(default=False, init=False)
    claim: Claim | None = attrs.field(default=None, init=False)
    """The result of the rules; None before their end."""

    def __attrs_post_init__(self) -> None:
        """Run the rules up to their first request."""
        self._advance(lambda: next(self._rules))

    def next_ask(self) -> Ask | None:
        """Return a request to send now; None: wait for an answer, or `claim` is there."""
        if self.claim is not None:
            return None
        if isinstance(self._step, Ask):
            ask = None if self._is_asked else self._step
            self._is_asked = True
        else:
            ask = self._step.next_ask(self._in_flight)
        if ask is None:
            return None
        self._in_flight += 1
        return replace(ask, stage=self._stage)

    @property
    def buffered(self) -> int:
        """The number of answers that wait for those before them."""
        return 0 if isinstance(self._step, Ask) else self._step.buffered

    def receive(self, reply: Reply) -> None:
        """Process an answer; one to an earlier stage is ignored."""
        if reply.ask.stage != self._stage or self.claim is not None:
            return
        self._in_flight -= 1
        if isinstance(self._step, Ask):
            self._advance(lambda: self._rules.send(reply))
            return
        self._step.receive(reply)
        if self._step.done:
            self._advance(lambda: self._rules.send(None))

    def receive_error(self, ask: Ask) -> None:
        """Ask again what got no usable answer."""
        if ask.stage != self._stage or self.claim is not None:
            return
        self._in_flight -= 1
        if isinstance(self._step, Ask):
            self._is_asked = False
        else:
            self._step.receive_error(ask)
            if self._step.done:  # it had waited for what was in flight
                self._advance(lambda: self._rules.send(None))

    def _advance(self, step: Callable[[], Ask | Parallel]) -> None:
        self._stage += 1
        self._in_flight = 0
        self._is_asked = False
        try:
            self._step = step()
        except StopIteration as end:
            self.claim = end.value


@attrs.define(kw_only=True)
class Asker:
    """Asks for single pages until their answers agree with themselves."""

    size: int | None
    """Rows a page; None: not known yet, the server's own."""
    edge_stamp: int | None
    """The edge between window and tail; None where the list has none."""

    def ask(
        self,
        scope: Scope,
        *,
        page: int = 1,
        size: int | None = None,
        may_be_blank: bool = False,
        learns_size: bool = False,
    ) -> Rule[Reply]:
        """Ask for a page; a blank that is not expected is believed the third time.

        Raises:
            ReadAnew: the server lowered the page size.
            Contradiction: three answers contradicted themselves.
        """
        blanks = odd = 0
        cut_to: int | None = None  # rows of a page that should have more: of two alike, the server's own size
        while True:
            reply = yield Ask(scope, page, size or self.size)
            assert reply is not None
            if not reply.rows and not reply.total:
                blanks += 1
                if may_be_blank or blanks >= TRIES:
                    return reply
                continue
            if learns_size and reply.total is not None and cut_to == reply.rows < min(reply.size, reply.total):
                self.size = reply.rows
                return replace(reply, max_size=reply.rows)
            if learns_size:
                self.size, cut_to = reply.size, reply.rows
            elif self.size is not None and size is None and reply.size < self.size:
                raise ReadAnew(f"the server lowered its pages to {reply.size} rows", size=reply.size)
            if learns_size and reply.total is None and (self.size or 0) >= LEAST_PAGE_SIZE:
                return reply  # overlapping pages need no totals
            why = contradiction(reply) or self._wrong_side(reply)
            if why is None:
                return reply
            odd += 1
            blanks = 0
            if odd >= TRIES:
                raise Contradiction(why)

    def ask_anything(self, *, page: int) -> Rule[Reply]:
        """Ask for a page whatever its answer says of itself; a blank is believed the third time."""
        return self._not_blank(Scope.ALL, page, self.size)

    def sees_end(self, last: Reply, *, rows: int) -> Rule[bool]:
        """Return whether a list of so many rows, whose last page is full, ends with the last row of that page.

        By a page of another size, which is short there: no blank answer is trusted. Where there is none, by a blank
        page behind it and then the last page, both twice: a row that had left for the one can be back for the other.
        The row has to be unchanged: a changed one may have gone behind others.
        """
        assert self.size is not None
        scope, size = last.ask.scope, self.other_size(rows)
        if size is not None:
            return (yield from self._ends_with(last, rows, page=rows // size + 1, size=size))
        page, beside = divmod(rows, self.size)
        if beside:
            return False  # full at a smaller size, which the server has lowered its pages to
        for _ in range(2):
            behind = yield from self._once(scope, page + 1, self.size)
            if behind.rows or not (yield from self._ends_with(last, rows, page=page, size=self.size)):
                return False
        return True

    def _ends_with(self, last: Reply, rows: int, *, page: int, size: int) -> Rule[bool]:
        reply = yield from self._not_blank(last.ask.scope, page, size)
        # rows where none are due are not asked for again: they may be what a total hides that is too low
        if contradiction(reply) is not None or reply.total != rows or not reply.rows:
            return False
        return _same_end(reply, last)

    def _not_blank(self, scope: Scope, page: int, size: int | None) -> Rule[Reply]:
        for _ in range(TRIES - 1):
            reply = yield from self._once(scope, page, size)
            if reply.rows:
                return reply
        return (yield from self._once(scope, page, size))

    @staticmethod
    def _once(scope: Scope, page: int, size: int | None) -> Rule[Reply]:
        reply = yield Ask(scope, page, size)
        assert reply is not None
        return reply

    def end_probes(self, rows: int) -> tuple[Ask, ...]:
        """Return what to ask of everything to see that it ends after so many rows: a short page, or a blank one twice.

        Of a short page, no false total is possible: it would not agree with the rows.
        """
        assert self.size is not None
        size = self.size if rows % self.size else self.other_size(rows)
        if size is not None:
            return (Ask(Scope.ALL, rows // size + 1, size),)
        return (Ask(Scope.ALL, rows // self.size + 1, self.size),) * 2

    def other_size(self, rows: int) -> int | None:
        """Return a page size whose last page is short in a list of so many rows; None where none is."""
        return next((size for size in range((self.size or 1) - 1, 1, -1) if rows % size), None)

    def _wrong_side(self, reply: Reply) -> str | None:
        if self.edge_stamp is None or reply.ask.scope is Scope.ALL:
            return None
        stamps = [stamp for stamp in reply.keys.stamps if stamp]
        below, edge = reply.ask.scope is Scope.BELOW, self.edge_stamp
        wrong = max(stamps, default=0) >= edge + _SECOND if below else min(stamps, default=edge) + _SECOND <= edge
        return "the server does not apply its last-modified filter" if wrong else None


def _same_end(one: Reply, other: Reply) -> bool:
    """Return whether two answers end with the same row, unchanged."""
    return one.names[-1] == other.names[-1] and one.mark(one.rows - 1) == other.mark(other.rows - 1)

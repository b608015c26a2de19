"""The requests and answers of one traversal: numbered, timed in events, and counted (no IO, no clock)."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import attrs
import msgspec

from vismanet_async._paging.asks import Scope

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vismanet_async._paging.asks import Ask
    from vismanet_async._paging.plans import Plan

__all__ = ["AnswerLog", "PageRequest", "RequestLog", "SentRequest"]

_ATTEMPTS: Final = 3  # of one request, on top of what the transport does by itself


class PageRequest(msgspec.Struct, frozen=True):
    """A request to send."""

    number: int
    """Counts the requests of one traversal from 1."""
    page: int
    """Counted from 1."""
    query: Mapping[str, str]
    """Paging and boundary parameters; they replace the listing's own of the same name."""


class SentRequest(msgspec.Struct, frozen=True):
    """What a request in flight was sent for."""

    ask: Ask
    moment: int
    """When it was sent, counted in events."""
    plan: Plan
    """What asked for it."""


@attrs.define(eq=False, repr=False)
class RequestLog:
    """Numbers requests, and keeps those in flight."""

    count: int = attrs.field(default=0, init=False)
    """How many requests there were."""
    moment: int = attrs.field(default=0, init=False)
    """How many events there were: requests and answers."""
    _sent: dict[int, SentRequest] = attrs.field(factory=dict, init=False)
    _failures: Counter[Ask] = attrs.field(factory=Counter, init=False)

    @property
    def in_flight(self) -> int:
        """The number of requests without an outcome yet."""
        return len(self._sent)

    def is_in_flight(self, request: PageRequest) -> bool:
        """Return whether the request has no outcome yet."""
        return request.number in self._sent

    def add(self, ask: Ask, plan: Plan, query: Mapping[str, str]) -> PageRequest:
        """Return a new request; it is in flight from now on."""
        self.count += 1
        self.moment += 1
        self._sent[self.count] = SentRequest(ask, self.moment, plan)
        return PageRequest(number=self.count, page=ask.page, query=query)

    def sent(self, request: PageRequest) -> SentRequest:
        """Return what a request was sent for.

        Raises:
            ValueError: the request is not in flight.
        """
        sent = self._sent.get(request.number)
        if sent is None:
            raise ValueError(f"request {request.number} is not in flight: it was answered already or never given out")
        return sent

    def take(self, request: PageRequest) -> SentRequest:
        """Return what a request was sent for, as `sent` does; it is no longer in flight."""
        sent = self.sent(request)
        del self._sent[request.number]
        return sent

    def may_fail(self, request: PageRequest) -> bool:
        """Return whether the request would be sent again if it failed once more."""
        sent = self._sent.get(request.number)
        return sent is not None and self._failures[sent.ask] + 1 < _ATTEMPTS

    def note_failure(self, ask: Ask) -> bool:
        """Record a failure; return whether the page may be asked for again."""
        self._failures[ask] += 1
        return self._failures[ask] < _ATTEMPTS


@attrs.define(eq=False, repr=False)
class AnswerLog:
    """Counts answers, and keeps what they told of the list's length."""

    count: int = attrs.field(default=0, init=False)
    """Answers with rows or counts that were used."""
    first_total: int | None = attrs.field(default=None, init=False)
    """The first total that was told, of the whole list or a part; None: none."""
    last_total: int | None = attrs.field(default=None, init=False)
    """The last total of the whole list; None: none."""
    shifts: int = attrs.field(default=0, init=False)
    """Totals of the whole list that differed from the one before."""

    def note(self, scope: Scope, total: int | None) -> None:
        """Record an answer."""
        self.count += 1
        if total is None:
            return
        if self.first_total is None:
            self.first_total = total
        if scope is Scope.ALL:
            self.shifts += self.last_total is not None and total != self.last_total
            self.last_total = total

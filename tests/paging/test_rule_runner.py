"""The rules go on as soon as a part of the reading is done, whatever ended it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from vismanet_async._paging.asks import BLANK, Ask, Claim, Scope
from vismanet_async._paging.protocol import Parallel, RuleRunner

if TYPE_CHECKING:
    from vismanet_async._paging.asks import Reply
    from vismanet_async._paging.protocol import Rule


@attrs.define
class TwoAnswers:
    """Asks for two pages, and waits until neither is in flight."""

    asked: int = 0
    came: int = 0
    buffered: int = 0

    @property
    def done(self) -> bool:
        return self.came == 2

    def next_ask(self, in_flight: int) -> Ask | None:
        if self.asked == 2:
            return None
        self.asked += 1
        return Ask(Scope.BELOW, self.asked, 10)

    def receive(self, reply: Reply) -> None:
        self.came += 1

    def receive_error(self, ask: Ask) -> None:
        self.came += 1


def rules(part: Parallel) -> Rule[Claim]:
    yield part
    return BLANK


def test_what_was_waited_for_may_fail() -> None:
    runner = RuleRunner(rules(TwoAnswers()))
    first, second = runner.next_ask(), runner.next_ask()
    assert first is not None
    assert second is not None
    runner.receive_error(first)
    assert runner.claim is None
    runner.receive_error(second)
    assert runner.claim is BLANK

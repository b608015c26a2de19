"""Which events a write raises (docs/facts.md 8.8), and that only those come that somebody has subscribed to."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from vismanet_async._simulator.events import event_names, listener
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from vismanet_async._simulator.webhooks import Notice


def watched(events: set[str]) -> tuple[Simulator, list[Notice]]:
    sim, notices = Simulator(rows={"account": 5, "customer_invoice": 5}), list[Any]()
    sim.company().world.on_write = listener("t", events, notices.append)
    return sim, notices


def names(notices: list[Notice]) -> Counter[str]:
    found = Counter(notice.event for notice in notices)
    notices.clear()
    return found


def test_writes_raise_their_events() -> None:
    sim, notices = watched({*event_names()})
    [added] = sim.add("account")
    assert {notice.data["entityId"] for notice in notices} == {added}
    assert names(notices) == {"Account Changed": 1, "Account Created": 1}
    sim.touch("account", added)
    assert names(notices) == {"Account Changed": 1, "Account Updated": 1}
    sim.remove("account", added)
    assert names(notices) == {"Account Deleted": 1}
    sim.add("employee")
    assert names(notices) == {"Employee Changed": 1, "EP Employee Created": 1}
    sim.add("warehouse")
    assert names(notices) == {}, "nobody is told of warehouses"


def test_a_new_status_is_an_event_of_its_own() -> None:
    sim, notices = watched({"AR Invoice Status Changed"})
    number = sim.truth("customer_invoice").keys[0]
    sim.touch("customer_invoice", number, status="Open")
    notices.clear()
    sim.touch("customer_invoice", number, status="Closed")
    assert names(notices) == {"AR Invoice Status Changed": 1}
    sim.touch("customer_invoice", number)
    assert names(notices) == {}


@pytest.mark.parametrize("subscribed", [set(), {"Customer Changed"}])
def test_what_nobody_subscribed_to_is_not_sent(subscribed: set[str]) -> None:
    sim, notices = watched(subscribed)
    sim.add("account")
    assert notices == []
    subscribed.add("Account Created")
    sim.add("account")
    assert names(notices) == {"Account Created": 1}, "as soon as somebody does"

"""Webhooks of changed records: which events a write raises, by what Visma lists (facts 8.8)."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from vismanet_async._simulator.catalog import DIRECTORY
from vismanet_async._simulator.webhooks import Notice

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from vismanet_async._simulator.rows import Listener, Table, WriteKind

__all__ = ["event_names", "listener"]

_WRITES = {
    "Changed": {"created", "updated"},
    "Created": {"created"},
    "Updated": {"updated"},
    "PMTask Updated": {"updated"},
    "Deleted": {"deleted"},
    "Status Changed": {"updated"},
}
"""What raises an event, by its last words. Actions of customised screens, new account numbers, segment values, orders
of the Sales Order service and vouchers are no writes to these tables."""


@cache
def _events() -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads((DIRECTORY / "webhooks.json").read_bytes())["events"]
    return found


def event_names() -> frozenset[str]:
    """Return the names of all events that Visma lists."""
    return frozenset(event["name"] for event in _events())


def listener(tenant_id: str, subscribed: Collection[str], notify: Callable[[Notice], None]) -> Listener:
    """Return what a company's tables tell of their writes: it raises the events that somebody has subscribed to.

    Args:
        tenant_id: The company.
        subscribed: Names of events; looked at with each write.
        notify: Sends a notice.
    """

    def listen(kind: WriteKind, table: Table, row: int, data: Mapping[str, Any]) -> None:
        if not subscribed:
            return
        for event in _raised(kind, table, row, data):
            if event["name"] in subscribed:
                key = "/".join(table.key_in(data) if kind == "created" else table.key_of(row))
                notify(_notice(tenant_id, event, table, key))

    return listen


def _raised(kind: WriteKind, table: Table, row: int, data: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    for event in _events():
        if event.get("resource", "").replace("_", "") != table.spec.name or kind not in _WRITES.get(event["event"], ()):
            continue
        if event["event"] != "Status Changed" or table.look(row).get("status") != data.get("status"):
            yield event


def _notice(tenant_id: str, event: Mapping[str, str], table: Table, key: str) -> Notice:
    # the members are those that Visma names somewhere (facts 8.10); that they come like this is made up
    return Notice(tenant_id, event["name"], {
        "source": event["publisher"], "action": event["event"], "entityId": key,
        "resourceUri": f"https://api.finance.visma.net/v1/{table.spec.name}/{key}",
    })  # fmt: skip

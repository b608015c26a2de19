"""Webhooks: a receiver that checks signatures, typed events, and what has changed.

Names are loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vismanet_async._lazy import lazy_names

if TYPE_CHECKING:
    from vismanet_async._api.webhook_events import EventName, FinancialEvent, SalesOrderEvent
    from vismanet_async._webhooks.changes import Change, ChangeBatch, Changes
    from vismanet_async._webhooks.events import WebhookEvent, event_names, parse_event
    from vismanet_async._webhooks.receiver import DISPATCHERS, WebhookReceiver
    from vismanet_async._webhooks.signing import SignedTest, sign, sign_test

__all__ = [
    "DISPATCHERS",
    "Change",
    "ChangeBatch",
    "Changes",
    "EventName",
    "FinancialEvent",
    "SalesOrderEvent",
    "SignedTest",
    "WebhookEvent",
    "WebhookReceiver",
    "event_names",
    "parse_event",
    "sign",
    "sign_test",
]

if not TYPE_CHECKING:  # to type checkers a module with `__getattr__` has every name
    __getattr__, __dir__ = lazy_names(
        globals(),
        {
            "_api.webhook_events": ("EventName", "FinancialEvent", "SalesOrderEvent"),
            "_webhooks.changes": ("Change", "ChangeBatch", "Changes"),
            "_webhooks.events": ("WebhookEvent", "event_names", "parse_event"),
            "_webhooks.receiver": ("DISPATCHERS", "WebhookReceiver"),
            "_webhooks.signing": ("SignedTest", "sign", "sign_test"),
        },
    )

"""Webhooks: a receiver that checks signatures and hands hints to the jobs.

Names are loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vismanet_async._lazy import lazy_names

if TYPE_CHECKING:
    from vismanet_async._jobs.webhook import DISPATCHERS, WebhookReceiver, sign

__all__ = [
    "DISPATCHERS",
    "WebhookReceiver",
    "sign",
]

__getattr__, __dir__ = lazy_names(
    globals(),
    {
        "_jobs.webhook": ("DISPATCHERS", "WebhookReceiver", "sign"),
    },
)

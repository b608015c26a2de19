"""Feedback on notifications: tells the ERP, where users look at their webhooks, how the receiver got on (facts 8.9)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, Protocol

from vismanet_async._api.models.webhook_notification_feedback import WebhookNotificationFeedback
from vismanet_async.errors import VismaNetError

if TYPE_CHECKING:
    from vismanet_async._webhooks.events import WebhookEvent

__all__ = ["FeedbackClient", "send_feedback"]

_SECONDS: Final = 10.0
"""The dispatcher waits for the answer meanwhile."""
_log = logging.getLogger("vismanet_async.webhooks")


class FeedbackClient(Protocol):
    """What feedback needs of a client."""

    @property
    def tenant_id(self) -> str | None:
        """The company."""
        ...

    @property
    def webhook_notification_feedback(self) -> Any:
        """The resource that feedback is posted to."""
        ...


async def send_feedback(client: FeedbackClient, event: WebhookEvent, *, failure: Exception | None) -> None:
    """Send feedback on a notification that names its id and source and is of the client's company; else nothing.

    It is sent once, and what it raises is logged: the webhook has been handled, whatever the ERP knows of it.
    """
    if event.notification_id is None or event.source is None or event.tenant_id not in {None, client.tenant_id}:
        _log.debug("no feedback on a webhook of %s: it names no notification, or another company", event.name)
        return
    body = WebhookNotificationFeedback(
        notification_id=event.notification_id,
        source=event.source,
        is_success=failure is None,
        description="handled" if failure is None else f"not handled: {type(failure).__name__}",
    )
    try:
        await client.webhook_notification_feedback.create(body).with_options(timeout_seconds=_SECONDS)
    except VismaNetError as error:
        _log.warning("feedback on notification %s could not be sent: %s", event.notification_id, error)

"""Signatures of webhooks: base64 of HMAC-SHA256 over the raw body, with the subscription's key (docs/facts.md 8.4)."""

from __future__ import annotations

import base64
import hmac
import json
import uuid
from collections.abc import Mapping  # noqa: TC003 - looked up by whoever asks for the types
from typing import TYPE_CHECKING, Any

import attrs

from vismanet_async._arguments import expect
from vismanet_async._webhooks.events import known_event

if TYPE_CHECKING:
    from vismanet_async._api.webhook_events import EventName

__all__ = ["SignedTest", "sign", "sign_test", "signature_fits"]


def sign(body: bytes, *, key: bytes) -> str:
    """Return the signature of a body, as Visma's dispatcher computes it.

    Examples:
        >>> sign(b"{}", key=b"k")
        'rdhTsQP7zJNqGU+esV4pxP8Ir25H1dG8pPICGOMeT/8='
    """
    return base64.b64encode(hmac.digest(key, body, "sha256")).decode()


def signature_fits(signature: str, *, body: bytes, key: bytes) -> bool:
    """Return whether a signature is the right base64 text, compared in constant time."""
    return hmac.compare_digest(signature.strip().encode("utf-8", "replace"), sign(body, key=key).encode())


@attrs.frozen(kw_only=True)
class SignedTest:
    """A webhook for a test: what to POST.

    Examples:
        >>> delivery = sign_test("Supplier Created", key="k", signature_header="X-Sig")
        >>> sorted(delivery.headers)
        ['Content-Type', 'X-Sig']
    """

    body: bytes
    headers: Mapping[str, str]


def sign_test(name: EventName, *, key: str | bytes, signature_header: str, **fields: Any) -> SignedTest:
    """Return a signed webhook of an event, for tests of your own handlers. Sends nothing.

    The JSON of real events is not public (docs/facts.md 8.6): this has the fields that Visma has named somewhere, and
    a `notificationId` of its own, so that two of them are never taken for a repeat.

    Args:
        name: of the event.
        key: the key that your receiver has.
        signature_header: the header that your receiver looks at.
        fields: more members of the JSON, or other values for these, by the API's own names.

    Raises:
        UnknownName: Visma lists no such event.

    Examples:
        >>> from vismanet_async.webhooks import parse_event
        >>> delivery = sign_test("Customer Changed", key="k", signature_header="X-Sig", entityId="10000")
        >>> parse_event(delivery.body).name, parse_event(delivery.body).key
        ('Customer Changed', '10000')
    """
    expect("key", key, str, bytes)
    event = known_event(name)
    members = {
        "notificationId": str(uuid.uuid4()),
        "source": event["publisher"],
        "eventId": event["name"],
        "action": event["event"],
        **fields,
    }
    body = json.dumps(members).encode()
    signature = sign(body, key=key.encode() if isinstance(key, str) else key)
    return SignedTest(body=body, headers={"Content-Type": "application/json", signature_header: signature})

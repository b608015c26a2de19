"""`WebhookEvent`: a webhook as far as it can be understood.

The JSON of Visma's events is not public (docs/facts.md 8.6, 8.10), so it is read liberally: a known event's name is
looked for in the members that may hold it, whatever its case and separators; the record's number in `resourceUri` or
`entityId`. What is not found is None, and the raw body is always there. Nothing of it is the truth: read the record.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping  # noqa: TC003 - looked up by whoever asks for the types
from decimal import Decimal
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import attrs
import msgspec

from vismanet_async._api import registry as registries
from vismanet_async._api.paths import id_in
from vismanet_async.errors import UnknownName

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["WebhookEvent", "event_names", "known_event", "parse_event"]

_CATALOG: Final = Path(registries.__file__).parent / "catalog" / "webhooks.json"
_DECODER: Final = msgspec.json.Decoder(float_hook=Decimal)
_DEEPEST: Final = 4
"""Levels of objects that are looked through."""
_NAMES: Final = ("event", "eventid", "eventname", "eventtype", "type", "name", "topic", "action")
"""Members that may hold an event's whole name."""
_ENTITIES: Final = ("entity", "entityname", "entitytype", "resource", "resourcetype", "type", "object")
_ACTIONS: Final = ("event", "eventid", "eventname", "eventtype", "action", "changetype", "operation")
"""Members that may hold its two halves."""
_SUCCESSORS: Final = {"sales_order": "sales_order_service", "sales_order_basic": "sales_order_service"}
"""What reads the records of resources that have ended."""
_NO_LETTER: Final = re.compile(r"[\W_]+")


@attrs.frozen(kw_only=True)
class WebhookEvent:
    """What a webhook says, as far as it can be understood; a hint to read the record, never the truth.

    Examples:
        >>> event = parse_event(b'{"eventId": "CUSTOMER_CHANGED", "resourceUri": "https://x.example/v1/customer/10000"}')
        >>> event.name, event.resource, event.key
        ('Customer Changed', 'customer', '10000')
    """

    name: str | None = None
    """One of `event_names()`, whatever its spelling in the body; None if none was found."""
    publisher: str | None = None
    """The id of the publisher that has such an event."""
    resource: str | None = None
    """The resource of this SDK that the record belongs to, such as `customer_invoice`; None if none is known."""
    key: str | None = None
    """The record's number, or whatever the webhook has in its place; None if it names no record."""
    tenant_id: str | None = None
    """The company, if the webhook names it."""
    api_client_id: str | None = None
    """The API client that caused the event, if the webhook names it; your own for your own changes."""
    notification_id: str | None = None
    source: str | None = None
    """With `notification_id` what feedback has to name."""
    json: Any = attrs.field(default=None, repr=False)
    """The body as JSON with exact numbers; None if it is none."""
    body: bytes = attrs.field(default=b"", repr=False)
    """The body as it came, which the signature covers."""
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    """The HTTP headers, which no signature covers; your own of `visma.jobs.submit(..., headers=...)` are here."""


@cache
def _events() -> dict[str, dict[str, str]]:
    """Return the events by name."""
    found: dict[str, dict[str, str]] = {event["name"]: event for event in json.loads(_CATALOG.read_bytes())["events"]}
    return found


def event_names() -> tuple[str, ...]:
    """Return the names of all events that Visma lists (docs/facts.md 8.8), by publisher.

    Examples:
        >>> len(event_names()), event_names()[0]
        (58, 'Account Changed')
    """
    return tuple(_events())


def known_event(name: str) -> Mapping[str, str]:
    """Return the facts about an event.

    Raises:
        UnknownName: Visma lists no such event.
    """
    event = _events().get(name)
    if event is None:
        raise UnknownName("webhook event", str(name), nearest=get_close_matches(str(name), _events()))
    return event


def parse_event(body: bytes, *, headers: Mapping[str, str] | None = None) -> WebhookEvent:
    """Return what the body of a webhook says, as far as it can be understood; any bytes give an event.

    It does not look at the signature: pass on only what `WebhookReceiver.verify` accepts.

    Args:
        body: as it came.
        headers: as they came; they are kept, and nothing is read from them.

    Examples:
        >>> parse_event(b'{"entity": "AR Invoice", "action": "StatusChanged", "entityId": "100001"}').name
        'AR Invoice Status Changed'
        >>> parse_event(b"no JSON").name is None
        True
    """
    content = _decoded(body)
    members = dict(_members(content))
    event = next((_folded()[text] for text in _spellings(members) if text in _folded()), {})
    collection, key = _record_in(members.get("resourceuri", ""))
    return WebhookEvent(
        name=event.get("name"),
        publisher=event.get("publisher"),
        resource=_collections().get(collection) or event.get("resource"),
        key=key or members.get("entityid"),
        tenant_id=members.get("tenantid"),
        api_client_id=members.get("apiclientid"),
        notification_id=members.get("notificationid"),
        source=members.get("source"),
        json=content,
        body=body,
        headers=dict(headers or {}),
    )


def _decoded(body: bytes) -> Any:
    try:
        return _DECODER.decode(body)
    except (msgspec.DecodeError, ArithmeticError, RecursionError, UnicodeDecodeError):
        return None


def _members(content: Any, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Yield the texts in an object and in those within it, the outermost last, so that they count."""
    if not isinstance(content, dict) or depth >= _DEEPEST:
        return
    for value in content.values():
        yield from _members(value, depth + 1)
    for name, value in content.items():
        if isinstance(value, str) and value:
            yield _fold(name), value
        elif isinstance(value, int) and not isinstance(value, bool):
            yield _fold(name), str(value)


def _spellings(members: Mapping[str, str]) -> Iterator[str]:
    """Yield what may be the name of an event: whole, or of an entity and an action."""
    for member in _NAMES:
        yield _fold(members.get(member, ""))
    for entity in _ENTITIES:
        for action in _ACTIONS:
            if entity in members and action in members:
                yield _fold(members[entity] + members[action])


def _fold(text: str) -> str:
    return _NO_LETTER.sub("", text).casefold()


@cache
def _folded() -> dict[str, dict[str, str]]:
    """Return the events by name and by second name, without case and separators."""
    events = _events().values()
    return {_fold(name): event for event in events for name in (event["name"], event.get("also")) if name}


@cache
def _collections() -> dict[str, str]:
    """Return the resources by the first part of their paths, in lower case."""
    found: dict[str, str] = {}
    for resource, facts in registries.registry()["resources"].items():
        path = facts["methods"].get("get", {}).get("path", "")
        if path.startswith(("/v1/", "/v2/")) and path.count("/") == 3:  # noqa: PLR2004 - version, collection and key
            found.setdefault(path.split("/")[2].casefold(), _SUCCESSORS.get(resource, resource))
    return found


def _record_in(uri: str) -> tuple[str, str | None]:
    """Return the collection and the key that a URI ends in; the URI itself is never used."""
    try:
        parts = [id_in(part) for part in urlsplit(uri).path.split("/") if part]
    except ValueError:
        return "", None
    return (parts[-2].casefold(), parts[-1]) if len(parts) > 1 else ("", None)

"""The events of an export, and how far a resource has come."""

from __future__ import annotations

import attrs

from vismanet_async._export.target.manifest import Manifest, ResourceEntry  # noqa: TC001 - looked up by whoever asks for the types
from vismanet_async._paging.guarantee import Completeness  # noqa: TC001 - as above
from vismanet_async.errors import Attempt  # noqa: TC001 - as above

__all__ = [
    "Event",
    "PageWritten",
    "Progress",
    "Published",
    "RequestEnded",
    "ResourceDone",
    "ResourceIncomplete",
]


@attrs.frozen(kw_only=True)
class Progress:
    """How far one resource has come."""

    rows: int
    """Rows read so far."""
    total: int | None
    """The server's latest total."""
    requests: int
    in_flight: int
    rows_per_second: float
    """Since the start of the resource."""


@attrs.frozen(kw_only=True)
class RequestEnded:
    """A request of a list has ended, with or without a response. Holds no header, body or token."""

    resource: str
    began_seconds: float
    """Since the export began."""
    ended_seconds: float
    attempts: tuple[Attempt, ...]
    """Oldest first; their seconds count from `began_seconds`."""
    bytes: int = 0
    """Of the response, decompressed."""
    error: str | None = None
    """The type of the error that ended it without a response."""
    quota_remaining: int | None = None
    """Requests left in the company's window, as last reported by the server."""
    quota_limit: int | None = None


@attrs.frozen(kw_only=True)
class PageWritten:
    """A page's rows are in the files (not published yet).

    Examples:
        >>> export = visma.export("customer", to="out")
        >>> async for event in export:
        ...     if isinstance(event, PageWritten):
        ...         print(event.resource, event.progress.rows)
        customer 40
    """

    resource: str
    progress: Progress
    at_seconds: float
    """Since the export began."""


@attrs.frozen(kw_only=True)
class ResourceDone:
    """All of a resource's parts are whole (not published yet)."""

    resource: str
    entry: ResourceEntry
    completeness: Completeness
    """The report of the listing, with its verdict."""
    at_seconds: float
    """Since the export began."""


@attrs.frozen(kw_only=True)
class ResourceIncomplete:
    """A list could not be shown complete, and the plan does not allow that: the export is about to fail."""

    resource: str
    completeness: Completeness
    at_seconds: float
    """Since the export began."""


@attrs.frozen(kw_only=True)
class Published:
    """The manifest is published; the last event."""

    manifest: Manifest


Event = RequestEnded | PageWritten | ResourceDone | ResourceIncomplete | Published

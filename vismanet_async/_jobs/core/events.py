"""What can happen to a job. Each event carries its time, in UTC."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from datetime import datetime

    from vismanet_async._jobs.core.records import Judgement, StateDocument
    from vismanet_async._jobs.core.states import Outcome

__all__ = [
    "Accepted",
    "Answered",
    "ContentRead",
    "DeadlinePassed",
    "Event",
    "Found",
    "Lost",
    "NeverSent",
    "Polled",
    "Recovered",
    "Sending",
    "Settled",
    "Unreadable",
    "Vanished",
]


@attrs.frozen(kw_only=True)
class _Event:
    at: datetime
    """By our clock."""
    server_at: datetime | None = None
    """By the server's clock, where an answer has told it."""


@attrs.frozen(kw_only=True)
class Sending(_Event):
    """The request is about to be sent. Stored before that."""


@attrs.frozen(kw_only=True)
class Accepted(_Event):
    """202: the server accepted it and returned an id."""

    job_id: str


@attrs.frozen(kw_only=True)
class Answered(_Event):
    """Any other answer: the server did not queue it (docs/facts.md 7)."""

    status_code: int
    error: str | None = None
    judgement: Judgement | None = None
    """The outcome by the answer's content, for a success status; None: a success."""


@attrs.frozen(kw_only=True)
class NeverSent(_Event):
    """It certainly did not reach the server."""

    reason: str


@attrs.frozen(kw_only=True)
class Lost(_Event):
    """It was sent, and no answer came."""

    reason: str


@attrs.frozen(kw_only=True)
class Recovered(_Event):
    """The process that wrote the intent is gone."""


@attrs.frozen(kw_only=True)
class Found(_Event):
    """The server's id became known in another way: by a webhook with our own id, or by the user."""

    job_id: str


@attrs.frozen(kw_only=True)
class Polled(_Event):
    """The state was read."""

    document: StateDocument
    judgement: Judgement | None = None
    """The outcome if the server kept no content; None: what the document says."""


@attrs.frozen(kw_only=True)
class ContentRead(_Event):
    """The content was read, or is certainly not there (404, 410)."""

    missing: bool = False
    judgement: Judgement | None = None
    """The outcome by the content, or without it; None: what the state document said."""


@attrs.frozen(kw_only=True)
class Vanished(_Event):
    """404 or 410: the server does not know the job any more."""

    status_code: int


@attrs.frozen(kw_only=True)
class Unreadable(_Event):
    """The state could not be read this time: another error, no answer, or not a state document."""

    reason: str


@attrs.frozen(kw_only=True)
class DeadlinePassed(_Event):
    """The user's own deadline is over."""


@attrs.frozen(kw_only=True)
class Settled(_Event):
    """The user states the outcome."""

    outcome: Outcome
    note: str


Event = (
    Sending
    | Accepted
    | Answered
    | NeverSent
    | Lost
    | Recovered
    | Found
    | Polled
    | ContentRead
    | Vanished
    | Unreadable
    | DeadlinePassed
    | Settled
)

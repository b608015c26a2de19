"""The life of a row: which states there are, what leads from one to the next, and what a run does with each. Pure.

    planned ──Sent──> sending ──Answered──> done
       ^                 ├──Refused──> failed
       └────NotSent──────┤
                         └──Lost──> unknown ──Found──> done, ──Missing──> planned

A row is `sending` on the disk before its request leaves. A process that dies leaves it there, so `sending` read from
the disk is the same as `unknown`: it may have been executed.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - looked up by whoever asks for the types
from enum import Enum, StrEnum
from typing import Final

import attrs

__all__ = [
    "ALLOWED",
    "UNSURE",
    "Action",
    "Answered",
    "Entry",
    "Event",
    "Found",
    "Lost",
    "Missing",
    "NotSent",
    "Refused",
    "RowState",
    "Sent",
    "Trouble",
    "advance",
    "decide",
    "decide_anew",
]


class RowState(StrEnum):
    """Where a row stands in the journal."""

    PLANNED = "planned"
    """It was read, and is certainly not executed."""
    SENDING = "sending"
    """Its request may be on its way."""
    DONE = "done"
    """It was executed."""
    FAILED = "failed"
    """It was refused, and is not executed."""
    UNKNOWN = "unknown"
    """It may have been executed."""


@attrs.frozen(kw_only=True)
class Trouble:
    """Why a row is not done."""

    kind: str
    """The error's class."""
    text: str
    status: int | None = None
    reference: str | None = None


@attrs.frozen(kw_only=True)
class Entry:
    """One row in the journal."""

    key: str
    position: int
    fingerprint: bytes
    operation: str
    """The catalog id."""
    state: RowState = RowState.PLANNED
    attempts: int = 0
    unsure_since: datetime | None = None
    """When the request was about to leave, or its answer was lost; None: it is over, and is not worked on any more."""
    leaves_within_seconds: float | None = None
    """How long after that it may have left at the latest, after waits for a slot or a token; None: it had left."""
    id: str | None = None
    etag: str | None = None
    trouble: Trouble | None = None
    job: str | None = None
    """Our own id of the background job that it was sent as; what the job store says of it is the truth."""
    boot: str | None = None
    """The moment of `unsure_since` as a mark of `elapsed`: what tells how long ago that was."""
    group: str | None = None
    """Its group, in the run that last saw it."""

    @property
    def may_land(self) -> bool:
        """Whether what was sent for it may still be worked on."""
        return self.state in UNSURE and self.unsure_since is not None


@attrs.frozen(kw_only=True)
class Sent:
    """The request is about to leave."""

    at: datetime
    job: str | None = None
    """As which job; None: as a plain request."""
    leaves_within_seconds: float | None = None
    """It leaves within that time, or not at all."""


@attrs.frozen(kw_only=True)
class Answered:
    """It was executed."""

    attempts: int
    id: str | None = None
    etag: str | None = None


@attrs.frozen(kw_only=True)
class Refused:
    """It was refused, and not executed."""

    attempts: int
    trouble: Trouble


@attrs.frozen(kw_only=True)
class NotSent:
    """It was certainly not executed, for a reason that is not the row's."""

    attempts: int
    trouble: Trouble


@attrs.frozen(kw_only=True)
class Lost:
    """It may have been executed."""

    at: datetime | None
    """None: the request is over, because the ERP itself has answered it with an error."""
    attempts: int
    trouble: Trouble


@attrs.frozen(kw_only=True)
class Found:
    """It was looked up, and had been executed."""

    id: str | None = None
    etag: str | None = None


@attrs.frozen(kw_only=True)
class Missing:
    """It was looked up, and had not been executed."""


Event = Sent | Answered | Refused | NotSent | Lost | Found | Missing

UNSURE: Final = frozenset({RowState.SENDING, RowState.UNKNOWN})
"""It may have been executed."""
ALLOWED: Final[dict[type, tuple[frozenset[RowState], RowState]]] = {
    # event: from which states, to which
    Sent: (frozenset({RowState.PLANNED, RowState.FAILED, RowState.UNKNOWN}), RowState.SENDING),
    Answered: (frozenset({RowState.SENDING}), RowState.DONE),
    Refused: (frozenset({RowState.PLANNED, RowState.SENDING, RowState.FAILED}), RowState.FAILED),
    NotSent: (frozenset({RowState.SENDING}), RowState.PLANNED),
    Lost: (frozenset({RowState.SENDING}), RowState.UNKNOWN),
    Found: (UNSURE, RowState.DONE),
    Missing: (UNSURE, RowState.PLANNED),
}


def advance(entry: Entry, event: Event) -> Entry:
    """Return the entry after an event.

    Raises:
        ValueError: the event cannot follow this state; that is a mistake of the program.
    """
    before, after = ALLOWED[type(event)]
    if entry.state not in before:
        raise ValueError(f"{type(event).__name__} cannot follow {entry.state}")
    attempts = entry.attempts + getattr(event, "attempts", 0)
    job = event.job if isinstance(event, Sent) else None if after is RowState.PLANNED else entry.job
    return attrs.evolve(
        entry,
        state=after,
        attempts=attempts,
        unsure_since=event.at if isinstance(event, Sent | Lost) else None,
        leaves_within_seconds=event.leaves_within_seconds if isinstance(event, Sent) else None,
        id=event.id if isinstance(event, Answered | Found) else None,
        etag=event.etag if isinstance(event, Answered | Found) else None,
        trouble=event.trouble if isinstance(event, Refused | NotSent | Lost) else None,
        job=job,
        boot=None,
    )


class Action(Enum):
    """What a run does with a row."""

    SEND = "send"
    SEND_AGAIN = "send again"
    """An unknown row, by a person's decision."""
    LOOK = "look"
    """Look it up first."""
    KEEP_DONE = "keep done"
    KEEP_FAILED = "keep failed"
    KEEP_UNKNOWN = "keep unknown"
    REPORT_CHANGED = "report changed"


def decide(
    entry: Entry, *, fingerprint: bytes, can_look: bool, retry_failed: bool = False, retry_unknown: bool = False
) -> Action:
    """Return what to do with a row that the journal has.

    Args:
        entry: as the journal has it from before this run.
        fingerprint: of the row as it comes now.
        can_look: whether the run can look rows up.
        retry_failed: send failed rows again although they are the same.
        retry_unknown: send unknown rows again, without a look if they cannot be looked up.

    Returns:
        SEND only where the row is certainly not executed. A failed row may come back mended; any other row that comes
        back with another content is reported.
    """
    same = entry.fingerprint == fingerprint
    match entry.state:
        case RowState.PLANNED:
            return Action.SEND
        case RowState.FAILED:
            return Action.SEND if retry_failed or not same else Action.KEEP_FAILED
        case RowState.DONE:
            return Action.KEEP_DONE if same else Action.REPORT_CHANGED
        case RowState.SENDING | RowState.UNKNOWN:
            if not same:
                return Action.REPORT_CHANGED
            if can_look or entry.job is not None:
                return Action.LOOK
            return Action.SEND_AGAIN if retry_unknown else Action.KEEP_UNKNOWN


def decide_anew(entry: Entry) -> Action:
    """Return what to do with a row that was compared with what is there in this run: what was over is over."""
    return Action.LOOK if entry.state in UNSURE else Action.SEND

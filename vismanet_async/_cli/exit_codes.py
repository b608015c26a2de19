"""What each way to end means to a shell."""

from __future__ import annotations

from typing import Final

from vismanet_async._cli.streams import OutputFailed
from vismanet_async.errors import (
    DeadlineExceeded,
    ExportError,
    Forbidden,
    IncompleteListing,
    JobError,
    OutcomeUnknown,
    RequestRefused,
    SettingsError,
    TargetBusy,
    TokenRefused,
    Unauthorized,
    VismaNetError,
)

__all__ = [
    "API_FAILED",
    "BUSY",
    "DONE",
    "FAULT",
    "INCOMPLETE",
    "INTERRUPTED",
    "MEANINGS",
    "NOT_KNOWN",
    "NOT_SIGNED_IN",
    "NOT_WRITTEN",
    "SOME_FAILED",
    "WORTH_A_LOOK",
    "WRONG_USE",
    "exit_code",
]

DONE: Final = 0
WORTH_A_LOOK: Final = 1
WRONG_USE: Final = 2
NOT_SIGNED_IN: Final = 3
INCOMPLETE: Final = 4
API_FAILED: Final = 5
NOT_WRITTEN: Final = 6
NOT_KNOWN: Final = 7
SOME_FAILED: Final = 8
FAULT: Final = 9
BUSY: Final = 10
INTERRUPTED: Final = 130

MEANINGS: Final = {
    DONE: "done",
    WORTH_A_LOOK: "the doctor found warnings",
    WRONG_USE: "usage error: an unknown name, a bad value, a missing setting",
    NOT_SIGNED_IN: "not signed in, or not allowed",
    INCOMPLETE: "a list could not be shown complete; nothing was published",
    API_FAILED: "the API failed or could not be reached",
    NOT_WRITTEN: "the output (files or stdout), or the store of jobs, could not be written",
    NOT_KNOWN: "outcome unknown, or still in progress: check before sending it again",
    SOME_FAILED: "some of many companies or rows failed; the others are done",
    FAULT: "an error in vismanet itself: please report it",
    BUSY: "another run is at work there: this one did nothing, or was overtaken",
    INTERRUPTED: "interrupted",
}
"""In the words of `--help`."""


def _table() -> tuple[tuple[type[VismaNetError], int], ...]:
    """Return which exit code each kind of error has; the first row that fits counts."""
    from vismanet_async._bulk.journal_rows import JournalBusy  # noqa: PLC0415 - nor journals of loads
    from vismanet_async._jobs.store import JobUnknown, StoreNotUsable  # noqa: PLC0415 - `--help` needs no job store

    return (
        (SettingsError, WRONG_USE),
        (RequestRefused, WRONG_USE),
        (TokenRefused, NOT_SIGNED_IN),
        (Unauthorized, NOT_SIGNED_IN),
        (Forbidden, NOT_SIGNED_IN),
        (IncompleteListing, INCOMPLETE),
        (TargetBusy, BUSY),
        (JournalBusy, BUSY),
        (ExportError, NOT_WRITTEN),
        (StoreNotUsable, NOT_WRITTEN),
        (OutputFailed, NOT_WRITTEN),
        (JobUnknown, WRONG_USE),
        (JobError, NOT_KNOWN),
        (OutcomeUnknown, NOT_KNOWN),
        (VismaNetError, API_FAILED),
    )


def exit_code(error: VismaNetError) -> int:
    """Return the exit code for an error."""
    if isinstance(error, DeadlineExceeded) and error.sent:
        return NOT_KNOWN
    if isinstance(error, OutputFailed) and error.code is not None:
        return error.code
    return next(code for kind, code in _table() if isinstance(error, kind))

"""What an answer or an error means for a row: was it executed, was it refused, or does nobody know? Pure.

The rule is that of docs/explanation/retries.md. Only what certainly was not executed may be sent again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vismanet_async._api.results import Done
from vismanet_async._arguments import text_of
from vismanet_async._bulk.transitions import Answered, Lost, NotSent, Refused, Trouble
from vismanet_async._codec.model import Record
from vismanet_async._http.answer import action_result_of
from vismanet_async._http.retry import Fault, fault_of
from vismanet_async._operation import ApiResponse
from vismanet_async.errors import (
    ActionFailed,
    ApiError,
    DeadlineExceeded,
    NotSent as NeverSent,
    RateLimited,
    RequestRefused,
    ServerError,
    TokenRefused,
    Unauthorized,
    VismaNetError,
)

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["GOES_ON", "answered", "ended_in", "records_of", "shown", "stops_the_run", "trouble_of"]

GOES_ON: Final = "ActionGoesOn"
"""What is kept as the kind of trouble of an action that the ERP accepted, and did not call done."""
_GOES_ON: Final = (
    "The action was answered with {!r}, not with 'Done': the ERP may go on with it, and it may still fail. It was not "
    "sent again: read the record."
)

_TEXT_CHARS: Final = 2000
_NOT_EXECUTED: Final = frozenset({"401", "429"})
"""Outcomes of an attempt after which the next one is the first that can be executed."""


def answered(result: Any, *, at: datetime) -> Answered | Lost:
    """Return the event of a write that was answered with success.

    An action is done when its answer says so, or nothing of it: any other word, such as `InProcess`, tells that the ERP
    goes on, and may still fail (docs/facts.md 10.7).
    """
    result = _unwrapped(result)
    word = action_result_of(result.result if isinstance(result, Done) else result)
    if word is not None and word.strip().casefold() != "done":
        return Lost(at=at, attempts=_attempts(result), trouble=Trouble(kind=GOES_ON, text=_GOES_ON.format(word)))
    return shown(result)


def shown(record: Any) -> Answered:
    """Return the event that a record, or the answer to a write, stands for."""
    result = _unwrapped(record)
    return Answered(
        attempts=_attempts(result),
        id=_text(getattr(result, "id", None)),
        etag=_text(getattr(result, "etag", None)),
    )


def ended_in(error: VismaNetError, *, at: datetime, conditional: bool) -> Refused | NotSent | Lost:
    """Return the event of a write that ended in an error.

    Args:
        error: what the call raised.
        at: now.
        conditional: it had an If-Match, so that the transport may have sent it more than once.

    A 5xx counts as *lost*: it is often a refusal (docs/facts.md 11.6), and nobody can tell which it was. Where the ERP
    itself answered, which puts its VismaId into the text (docs/facts.md 11.5), the request is at least over; not where
    the answer is that something was not available, or took too long (408, 502, 503, 504).
    """
    attempts, trouble = len(error.attempts), trouble_of(error)
    if isinstance(error, NeverSent | RateLimited | TokenRefused | Unauthorized):
        return NotSent(attempts=attempts, trouble=trouble)
    if isinstance(error, DeadlineExceeded) and not error.sent:
        return NotSent(attempts=attempts, trouble=trouble)
    if isinstance(error, RequestRefused | ActionFailed):
        return Refused(attempts=attempts, trouble=trouble)
    refused = isinstance(error, ApiError) and not isinstance(error, ServerError)
    if refused and not (conditional and _may_be_its_own_effect(error)):
        return Refused(attempts=attempts, trouble=trouble)
    over = (
        isinstance(error, ServerError) and b"VismaId" in error.body and fault_of(error.status) is not Fault.UNAVAILABLE
    )
    return Lost(at=None if over else at, attempts=attempts, trouble=trouble)


def _may_be_its_own_effect(error: VismaNetError) -> bool:
    """Return whether an earlier attempt of the call may have been executed, so that the refusal follows from it."""
    return any(attempt.outcome not in _NOT_EXECUTED for attempt in error.attempts[:-1])


def stops_the_run(error: VismaNetError) -> bool:
    """Return whether all other rows would end in the same way."""
    return isinstance(error, TokenRefused | Unauthorized)


def trouble_of(error: Exception) -> Trouble:
    """Return what is kept of an error; texts are bounded and storable."""
    text = str(error).replace("\0", "").encode(errors="backslashreplace").decode()
    return Trouble(
        kind=type(error).__name__,
        text=text if len(text) <= _TEXT_CHARS else text[: _TEXT_CHARS - 1] + "…",
        status=getattr(error, "status", None) or None,
        reference=_text(getattr(error, "reference", None)),
    )


def records_of(found: Any) -> list[Any]:
    """Return the records, or their ids, that a look-up has found.

    Args:
        found: what `find` returned.

    Raises:
        TypeError: it is nothing that shows a record or its absence. A zero or an empty text does neither.
    """
    found = _unwrapped(found)
    if found is None:
        return []
    records = [_unwrapped(each) for each in found] if isinstance(found, list | tuple) else [found]
    for each in records:
        if not isinstance(each, Record | str) or each == "":
            told = "an empty text" if each == "" else text_of(each)
            raise TypeError(
                f"find returned {'a list with ' if isinstance(found, list | tuple) else ''}{told}, which tells neither "
                "that there is a record nor that there is none: return the record, a list of records, its id as text, "
                "or None"
            )
    return records


def _unwrapped(result: Any) -> Any:
    """Return the result of a call without what `with_response` put around it."""
    while isinstance(result, ApiResponse):
        result = result.value
    return result


def _attempts(result: Any) -> int:
    return len(getattr(result, "attempts", None) or ()) or 1


def _text(value: Any) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None

"""The retry table: which requests are retried after which fault. Pure.

The rule behind it (docs/facts.md 10.12, 10.13 and 11.8): the API has no idempotency key, so a request that may have
been executed is retried only if sending it twice does no more than sending it once. A request that was certainly not
executed (never sent, or refused by a rate limit) is retried whatever its kind. Attempts are few because the service
counts repeated requests: five of the same a minute, two repeats of a failed one in five minutes (docs/facts.md 3.4,
3.5).
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from vismanet_async._http.message import Kind

__all__ = ["MAX_SENT", "TABLE", "Fault", "Rule", "backoff_seconds", "fault_of", "next_delay"]


class Fault(Enum):
    """Why an attempt failed, where a retry may help."""

    NOT_SENT = "not sent"
    """No connection: nothing was sent."""
    NO_RESPONSE = "no response"
    """It was sent, and no complete response came: disconnected, cut off, timed out."""
    RATE_LIMITED = "rate limited"
    """429: refused before execution."""
    UNAUTHORIZED = "unauthorized"
    """401: the token was not accepted, nothing was executed."""
    UNAVAILABLE = "unavailable"
    """408, 502, 503, 504: gateway or ERP could not answer now."""
    SERVER_ERROR = "server error"
    """500 and other 5xx but 501; at this service often a validation error reported with the wrong status."""


@attrs.frozen
class Rule:
    """One row: which requests are retried after this fault, how often, and after what delay."""

    fault: Fault
    kinds: tuple[Kind, ...]
    """The kinds of request that are retried."""
    attempts: int
    """Attempts of one call, the first included, that may end in this fault."""
    backoff: bool
    """Exponential delays with jitter; else none (after a 429 the quota's shared pause is the delay)."""


TABLE: Final = (
    Rule(Fault.NOT_SENT,     ("read", "conditional", "write"), attempts=4, backoff=True),
    Rule(Fault.NO_RESPONSE,  ("read", "conditional"),          attempts=3, backoff=True),
    Rule(Fault.RATE_LIMITED, ("read", "conditional", "write"), attempts=5, backoff=False),
    Rule(Fault.UNAUTHORIZED, ("read", "conditional", "write"), attempts=2, backoff=False),
    Rule(Fault.UNAVAILABLE,  ("read",),                        attempts=3, backoff=True),
    Rule(Fault.SERVER_ERROR, ("read",),                        attempts=2, backoff=True),
)  # fmt: skip

MAX_SENT: Final = 5
"""Attempts of one call that may reach the server, however they end (docs/facts.md 3.4)."""

_RULES: Final = {rule.fault: rule for rule in TABLE}
_BASE_SECONDS: Final = 0.5
_CAP_SECONDS: Final = 20.0
_OK_BELOW: Final = 400
_UNAVAILABLE: Final = frozenset({408, 502, 503, 504})
_SERVER_ERRORS_FROM: Final = 500
NOT_IMPLEMENTED: Final = 501
"""Says that the server never does this (RFC 9110, 15.6.2): to ask again is of no use."""


def fault_of(status: int) -> Fault | None:
    """Return the fault of a status; None for success and for errors that retrying cannot fix."""
    if status < _OK_BELOW:
        return None
    if status == 429:  # noqa: PLR2004 - statuses are clearest as numbers
        return Fault.RATE_LIMITED
    if status == 401:  # noqa: PLR2004
        return Fault.UNAUTHORIZED
    if status in _UNAVAILABLE:
        return Fault.UNAVAILABLE
    return Fault.SERVER_ERROR if status >= _SERVER_ERRORS_FROM and status != NOT_IMPLEMENTED else None


def next_delay(
    fault: Fault,
    *,
    failures: int,
    attempts_sent: int,
    kind: Kind,
    randomness: float,
    retry_after: float | None = None,
    is_last: bool = False,
) -> float | None:
    """Return the delay before the next attempt, or None if the call has failed.

    Args:
        fault: how the attempt ended.
        failures: attempts of this call that have ended in this fault, this one included.
        attempts_sent: attempts of this call that may have reached the server, this one included.
        kind: what sending the request twice would do (`Request.kind`).
        randomness: a number from 0 to 1, for the jitter.
        retry_after: the delay that the response asked for (`Retry-After`), in seconds.
        is_last: the user wants no further attempt.

    Returns:
        Seconds, 0 for no delay; None if there is no next attempt.

    Examples:
        >>> next_delay(Fault.NO_RESPONSE, failures=1, attempts_sent=1, kind="write", randomness=0.5) is None
        True
    """
    rule = _RULES[fault]
    if failures >= rule.attempts or attempts_sent >= MAX_SENT or kind not in rule.kinds or is_last:
        return None
    if not rule.backoff:
        return 0.0
    return max(backoff_seconds(failures, randomness=randomness), retry_after or 0.0)


def backoff_seconds(failures: int, *, randomness: float) -> float:
    """Return the delay after a number of failures: exponential backoff, 0.5 to 20 s, with 50-100 % jitter."""
    full = min(_CAP_SECONDS, _BASE_SECONDS * 2.0 ** min(failures - 1, 16))
    return full * (0.5 + randomness / 2)

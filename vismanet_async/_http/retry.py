"""The retry table: what a fault means for a request, and what comes next. Pure.

The rule behind it (docs/facts.md 10.12, 10.13 and 11.8): the API has no idempotency key, so what may have been
executed is only sent again when sending it twice does no more than sending it once. What was certainly not executed
(never left, or refused by a rate limit) is sent again whatever its kind. Tries are few because the service counts
repeated requests: five of the same a minute, two repeats of a failed one in five minutes (docs/facts.md 3.4, 3.5).
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from vismanet_async._http.message import Kind

__all__ = ["MOST_SENT", "TABLE", "Fault", "Rule", "backoff_seconds", "fault_of", "next_step"]


class Fault(Enum):
    """How an attempt can end other than with an answer to hand on."""

    NOT_SENT = "not sent"
    """No connection: nothing left this machine."""
    NO_ANSWER = "no answer"
    """It left, and no whole answer came: disconnected, cut off, timed out."""
    RATE_LIMITED = "rate limited"
    """429: refused before execution."""
    SIGNED_OUT = "signed out"
    """401: the token was not accepted, nothing was executed."""
    BUSY = "busy"
    """408, 502, 503, 504: gateway or ERP could not answer now."""
    BROKEN = "broken"
    """500 and other 5xx; at this service often a validation error in disguise."""


@attrs.frozen
class Rule:
    """One row: which requests may be sent again after this fault, how often, and after what kind of wait."""

    fault: Fault
    kinds: tuple[Kind, ...]
    """The kinds of request that are sent again."""
    tries: int
    """Attempts of one call, the first included, that may end in this fault."""
    backoff: bool
    """Wait with growing, jittered delays; else at once (after a 429 the quota's shared pause does the waiting)."""


TABLE: Final = (
    Rule(Fault.NOT_SENT,     ("read", "guarded", "write"), tries=4, backoff=True),
    Rule(Fault.NO_ANSWER,    ("read", "guarded"),          tries=3, backoff=True),
    Rule(Fault.RATE_LIMITED, ("read", "guarded", "write"), tries=5, backoff=False),
    Rule(Fault.SIGNED_OUT,   ("read", "guarded", "write"), tries=2, backoff=False),
    Rule(Fault.BUSY,         ("read",),                    tries=3, backoff=True),
    Rule(Fault.BROKEN,       ("read",),                    tries=2, backoff=True),
)  # fmt: skip

MOST_SENT: Final = 5
"""Attempts of one call that may reach the server, however they end (docs/facts.md 3.4)."""

_RULES: Final = {rule.fault: rule for rule in TABLE}
_BASE_SECONDS: Final = 0.5
_CAP_SECONDS: Final = 20.0
_OK_BELOW: Final = 400
_BUSY: Final = frozenset({408, 502, 503, 504})
_SERVER_ERRORS_FROM: Final = 500


def fault_of(status: int) -> Fault | None:
    """Name the fault of an answer's status; None for success and for errors that no repetition mends."""
    if status < _OK_BELOW:
        return None
    if status == 429:  # noqa: PLR2004 - statuses are clearest as numbers
        return Fault.RATE_LIMITED
    if status == 401:  # noqa: PLR2004
        return Fault.SIGNED_OUT
    if status in _BUSY:
        return Fault.BUSY
    return Fault.BROKEN if status >= _SERVER_ERRORS_FROM else None


def next_step(
    fault: Fault, *, times: int, sent: int, kind: Kind, randomness: float, asked_seconds: float | None = None
) -> float | None:
    """Decide what follows a fault.

    Args:
        fault: how the attempt ended.
        times: attempts of this call that have ended in this fault, this one included.
        sent: attempts of this call that may have reached the server, this one included.
        kind: what sending the request twice would do (`Request.kind`).
        randomness: a number from 0 to 1, for the jitter.
        asked_seconds: how long the answer asked to wait (`Retry-After`), if it did.

    Returns:
        Seconds to wait before the next attempt (0 for at once), or None to give up.

    Examples:
        >>> next_step(Fault.NO_ANSWER, times=1, sent=1, kind="write", randomness=0.5) is None
        True
    """
    rule = _RULES[fault]
    if times >= rule.tries or sent >= MOST_SENT or kind not in rule.kinds:
        return None
    if not rule.backoff:
        return 0.0
    return max(backoff_seconds(times, randomness=randomness), asked_seconds or 0.0)


def backoff_seconds(times: int, *, randomness: float) -> float:
    """Give the wait after the `times`-th fault: 0.5 s doubling to 20 s at most, of which a random half to whole."""
    full = min(_CAP_SECONDS, _BASE_SECONDS * 2.0 ** min(times - 1, 16))
    return full * (0.5 + randomness / 2)

"""The current token of one company and service, and when it is renewed."""

from __future__ import annotations

import asyncio  # noqa: TC003 - attrs reads the annotations
import math
import threading
from enum import Enum
from typing import TYPE_CHECKING, Final

import anyio
import attrs

from vismanet_async._http.rate_limit import Quota
from vismanet_async.errors import RequestRefused

if TYPE_CHECKING:
    from vismanet_async.errors import VismaNetError

__all__ = ["HARD_SECONDS", "Decision", "Token", "TokenSession", "TokenState"]

_EARLY_SECONDS: Final = 300.0
HARD_SECONDS: Final = 30.0
_EARLY_SHARE: Final = 0.25  # of lifetimes too short for the windows above
_HARD_SHARE: Final = 0.05
_binding: Final = threading.Lock()


@attrs.frozen
class Token:
    """An access token and the monotonic second at which it ends. Its text never shows in a repr."""

    text: str = attrs.field(repr=False)
    issued_at: float
    ends_at: float


class Decision(Enum):
    """What a caller does about the current token."""

    USE = "use"
    RENEW_EARLY = "renew early"
    """One caller renews it; the others use it meanwhile."""
    WAIT = "wait"
    """Wait for a new token."""


@attrs.define
class TokenState:
    """Decides whether a token is used, renewed early, or waited for. Pure."""

    token: Token | None = None
    retry_early_at: float = -math.inf
    """When to try the next early renewal after one failed."""

    def decide(self, now: float, *, rejected: Token | None) -> Decision:
        """Return what one caller does.

        Args:
            now: monotonic seconds.
            rejected: the token that the API has just answered with 401, if any. It is compared by identity: an
                identity service may issue the same text again.
        """
        token = self.token
        if token is None or token is rejected:
            return Decision.WAIT
        lifetime = token.ends_at - token.issued_at
        left = token.ends_at - now
        if left <= min(HARD_SECONDS, lifetime * _HARD_SHARE):
            return Decision.WAIT
        if left <= min(_EARLY_SECONDS, lifetime * _EARLY_SHARE) and now >= self.retry_early_at:
            return Decision.RENEW_EARLY
        return Decision.USE


@attrs.define(eq=False)
class TokenSession:
    """The current token, and the lock that allows one renewal at a time, in one event loop."""

    state: TokenState = attrs.field(factory=TokenState, repr=False)
    lock: anyio.Lock = attrs.field(factory=anyio.Lock, repr=False)
    renewals: int = 0
    """Renewals that succeeded or failed; cancelled ones do not count."""
    failure: VismaNetError | None = attrs.field(default=None, repr=False)
    """The error of the last renewal, if it failed."""
    loop: asyncio.AbstractEventLoop | None = attrs.field(default=None, repr=False)
    """The event loop of the clients that share it."""
    storing: asyncio.Task[None] | None = attrs.field(default=None, repr=False)
    """Takes in what the last request brought, `on_token` included; None once that is over."""
    quota: Quota = attrs.field(factory=Quota, repr=False)
    """The pause that the identity service asked for."""

    def belong_to(self, loop: asyncio.AbstractEventLoop) -> None:
        """Bind it to an event loop, unless that of another client, which may renew the token at this moment, is open.

        Raises:
            RequestRefused: it is; nothing was sent.
        """
        with _binding:
            if self.loop is loop:
                return
            if self.loop is not None:
                if not self.loop.is_closed():
                    raise RequestRefused(
                        "these credentials are used in another event loop, and two loops would use up the refresh "
                        "token for each other; nothing was sent. Share one client: a Blocking takes calls from any "
                        "thread."
                    )
                self.lock, self.storing = anyio.Lock(), None  # of tasks that are gone
            self.loop = loop

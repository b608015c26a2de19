"""When a run stops because too much fails. Pure."""

from __future__ import annotations

from collections import deque
from typing import Final

import attrs

__all__ = ["WINDOW_ROWS", "StopRule"]

WINDOW_ROWS: Final = 100
"""The share of failures is that of so many last rows."""


@attrs.define(kw_only=True)
class StopRule:
    """Count how rows end, and say when it is enough.

    Examples:
        >>> rule = StopRule(max_failures=1)
        >>> rule.ended(ok=False), rule.ended(ok=False)
        (None, '2 rows have failed, and max_failures is 1')
    """

    max_failures: int | None = None
    """Stop when more rows than this have failed."""
    max_failure_share: float | None = None
    """Stop when more than this share of the last hundred rows has failed."""
    failures: int = attrs.field(default=0, init=False)
    _last: deque[bool] = attrs.field(factory=lambda: deque(maxlen=WINDOW_ROWS), init=False)

    def ended(self, *, ok: bool) -> str | None:
        """Count one row that was sent; return why to stop, or None."""
        self.failures += not ok
        self._last.append(ok)
        if self.max_failures is not None and self.failures > self.max_failures:
            return f"{self.failures:,} rows have failed, and max_failures is {self.max_failures:,}"
        failed = self._last.count(False)
        if (
            self.max_failure_share is not None
            and len(self._last) == WINDOW_ROWS
            and failed > self.max_failure_share * WINDOW_ROWS
        ):
            share = self.max_failure_share
            return f"{failed} of the last {WINDOW_ROWS} rows have failed, and max_failure_share is {share}"
        return None

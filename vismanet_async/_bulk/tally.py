"""Counts how the rows of a run end: what its summary says of them, and when it is enough. Pure."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Final

import attrs

from vismanet_async._bulk.deciding import BY_STATE
from vismanet_async._bulk.rows import GOOD, MOST_PROBLEMS, OUTCOMES, BulkSummary, Outcome, RowResult
from vismanet_async._bulk.transitions import RowState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vismanet_async._bulk.transitions import Entry
    from vismanet_async._bulk.upserting import Upsert
    from vismanet_async.errors import VismaNetError

__all__ = ["WINDOW_ROWS", "StopRule", "Tally"]

WINDOW_ROWS: Final = 100
"""The share of failures is that of so many last rows."""


@attrs.define(kw_only=True)
class StopRule:
    """Count how rows end, and say when it is enough.

    Examples:
        >>> rule = StopRule(max_failures=1)
        >>> rule.ended(ok=False), rule.ended(ok=False)
        (None, '2 rows have failed, and 1 may (max_failures)')
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
            return f"{self.failures:,} rows have failed, and {self.max_failures:,} may (max_failures)"
        failed = self._last.count(False)
        if (
            self.max_failure_share is not None
            and len(self._last) == WINDOW_ROWS
            and failed > self.max_failure_share * WINDOW_ROWS
        ):
            share = self.max_failure_share
            allowed = f"{share * WINDOW_ROWS:.3g} may (max_failure_share)"
            return f"{failed} of the last {WINDOW_ROWS} rows have failed, and {allowed}"
        return None


class Tally:
    """Count how rows end, each under one outcome, and keep the first that are not done. Pure."""

    def __init__(self) -> None:
        self.outcomes: Counter[Outcome] = Counter()
        self._own: Counter[tuple[Outcome, str]] = Counter()
        """Rows that this process has ended, by what the journal says of them and by operation."""
        self._earlier = 0
        self._problems: list[RowResult] = []

    def add(self, result: RowResult, entry: Entry) -> None:
        """Count a row that has ended in this process."""
        self.outcomes[result.outcome] += 1
        self._earlier += result.earlier
        if result.outcome != "duplicate":
            self._own[BY_STATE[entry.state], entry.operation] += 1
        if result.outcome not in GOOD and len(self._problems) < MOST_PROBLEMS:
            self._problems.append(result)

    def add_others(self, counts: Mapping[tuple[RowState, str], int], upsert: Upsert | None) -> None:
        """Count the rows that other processes have ended, given all of the load by state and operation."""
        for (state, operation), rows in counts.items():
            outcome = BY_STATE[state]
            mine, self._own[outcome, operation] = self._own[outcome, operation], 0
            told = outcome
            if upsert is not None and state is RowState.DONE:
                told = upsert.outcome_of(operation) if operation else "unchanged"
            theirs = max(0, rows - mine)
            self.outcomes[told] += theirs
            self._earlier += theirs

    def summary(self, *, stopped: str | None, stop_error: VismaNetError | None, seconds: float) -> BulkSummary:
        """Return the summary of the run."""
        return BulkSummary(
            rows=self.outcomes.total(),
            **{name: self.outcomes[name] for name in OUTCOMES},
            earlier=self._earlier,
            stopped=stopped,
            stop_error=stop_error,
            problems=tuple(self._problems),
            seconds=seconds,
        )

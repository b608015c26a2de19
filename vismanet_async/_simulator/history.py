"""Older states of tables, for answers that come from one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from vismanet_async._simulator.rows import Table

__all__ = ["History"]


@define
class History:
    """The states that the last requests for lists saw, for each table; nothing is kept while `depth` is 0."""

    depth: int = 0
    _states: dict[str, list[Table]] = field(factory=dict)

    def seen(self, table: Table, behind_requests: int) -> Table:
        """Count a request that looks at the table; return it as it is now, or as an earlier request saw it.

        Where no request was counted so long ago, the earliest state that is known is returned.
        """
        if not self.depth:
            return table
        states = self._states.setdefault(table.spec.name, [])
        unchanged = bool(states) and states[-1].changes == table.changes
        states.append(states[-1] if unchanged else table.frozen())
        del states[: -self.depth - 1]
        return states[max(0, len(states) - 1 - behind_requests)] if behind_requests else table

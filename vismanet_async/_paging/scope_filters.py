"""The last-modified filters that divide a list at an edge in time (no IO)."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from vismanet_async._paging.asks import Scope
from vismanet_async._paging.keys import stamp_of

__all__ = ["ModifiedFilter", "ScopeFilters"]

_VALUE: Final = "lastModifiedDateTime"
_CONDITION: Final = "lastModifiedDateTimeCondition"


class ModifiedFilter(msgspec.Struct, frozen=True):
    """The caller's own filter on `lastModifiedDateTime`."""

    condition: Literal[">=", ">", "<", "<="]
    value: str


class ScopeFilters(msgspec.Struct, frozen=True):
    """The filter parameters of each part of a list."""

    modified: ModifiedFilter | None
    """The caller's own filter."""
    edge: str | None
    """The edge between what can only shrink and what may grow; None where the list has no such part."""

    @classmethod
    def divided(cls, boundary: str | None, modified: ModifiedFilter | None) -> ScopeFilters:
        """Return the filters of a list that is divided at a boundary, if it can be.

        Args:
            boundary: a moment that has passed everywhere; None where the endpoint has no filter.
            modified: the caller's own filter.

        Examples:
            >>> filters = ScopeFilters.divided("2025-05-25T01:30:00", None)
            >>> filters.query(Scope.BELOW)
            {'lastModifiedDateTime': '2025-05-25T01:30:00', 'lastModifiedDateTimeCondition': '<'}
        """
        edge = boundary
        if boundary is not None and modified is not None:
            ends_before = modified.condition in {"<", "<="} and stamp_of(modified.value) <= stamp_of(boundary)
            edge = modified.value if ends_before else None
        return cls(modified, edge)

    def query(self, scope: Scope) -> dict[str, str]:
        """Return the filter parameters of a part; they replace the caller's own of the same name."""
        if scope is Scope.SINCE:
            assert self.edge is not None
            return {_VALUE: self.edge, _CONDITION: ">="}
        if self.modified is not None:
            return {_VALUE: self.modified.value, _CONDITION: self.modified.condition}
        if scope is Scope.BELOW:
            assert self.edge is not None
            return {_VALUE: self.edge, _CONDITION: "<"}
        return {}

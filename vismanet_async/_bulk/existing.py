"""What a company has of a resource, found by a key: the proven list, or one read a row where that is cheaper."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from vismanet_async.errors import NotFound

if TYPE_CHECKING:
    from vismanet_async._api.base import Caller
    from vismanet_async._bulk.target import Target
    from vismanet_async._codec.model import Record

__all__ = ["Existing", "reads_by_key"]

_FEW_ROWS: Final = 4
"""So few are read one by one without asking how long the list is."""
_PROOF_REQUESTS: Final = 3
"""What a proven list takes beyond its pages (docs/paging.md)."""


def reads_by_key(rows: int, *, records: int, page_rows: int) -> bool:
    """Return whether one read a row takes fewer requests than the list, whose count has been asked for.

    Examples:
        >>> reads_by_key(20, records=40_000, page_rows=1_000), reads_by_key(50, records=40_000, page_rows=1_000)
        (True, False)
    """
    return rows < math.ceil(records / page_rows) + _PROOF_REQUESTS


class Existing:
    """The records of a resource by one key. `load` must have run before `at`."""

    def __init__(self, caller: Caller, target: Target) -> None:
        self._resource: Any = getattr(caller, target.resource)
        self._target = target
        self._by_key: dict[str, list[Record]] | None = None
        self._proven = False

    @property
    def by_key(self) -> bool:
        """Whether each key is a request of its own."""
        return self._by_key is None

    @property
    def _can_look(self) -> bool:
        """Whether the API can be asked for one key."""
        return self._target.by_get or self._target.filter is not None

    async def load(self, rows: int | None) -> None:
        """Read the list, unless the rows are so few that reading them one by one takes fewer requests.

        Raises:
            IncompleteListing: the list cannot be shown complete.
        """
        if rows is not None and await self._is_cheaper_by_key(rows):
            return
        listing = self._resource.list()
        if not self._can_look:  # a record that a counted list lacks would be created again
            listing = listing.with_options(completeness="prove")
        self._by_key = _sorted(await listing.all(), self._target)
        self._proven = listing.completeness is not None and listing.completeness.verdict == "proven"

    async def _is_cheaper_by_key(self, rows: int) -> bool:
        target = self._target
        if target.page_rows is None:
            return False
        if not target.by_get:
            return rows == 1 and target.filter is not None  # each look is a list of its own, with a proof of its own
        if rows <= _FEW_ROWS:
            return True
        return reads_by_key(rows, records=await self._resource.list().count(), page_rows=target.page_rows)

    async def at(self, key: str) -> list[Record]:
        """Return the records with a key, in any case, as they were when the list was read."""
        if self._by_key is None:
            return await self.fresh(key)
        found = self._by_key.get(self._target.folded(key), [])
        if not found and not self._proven and self._can_look:
            return await self.fresh(key)  # the list may have lacked it
        return found

    async def fresh(self, key: str) -> list[Record]:
        """Return the records with a key as they are now: one request where the API can be asked for it."""
        target = self._target
        if target.by_get:
            try:
                found: Record = await self._resource.get(key)
            except NotFound:
                return []
            return [found] if target.folded(getattr(found, target.key_name)) == target.folded(key) else []
        listing = self._resource.list(**({target.filter: key} if target.filter else {}))
        return _sorted(await listing.all(), target).get(target.folded(key), [])

    async def whole(self, record: Record) -> Record:
        """Return a record of a list with all that a single read shows."""
        if not hasattr(self._resource, "get"):
            return record
        read: Record = await self._resource.get(getattr(record, self._target.path_name))
        return read

    async def all(self) -> list[Record]:
        """Return all records as they are now."""
        found: list[Record] = await self._resource.list()
        return found


def _sorted(records: list[Any], target: Target) -> dict[str, list[Record]]:
    by_key: dict[str, list[Record]] = {}
    for record in records:
        key = getattr(record, target.key_name)
        if isinstance(key, str | int) and key != "":
            by_key.setdefault(target.folded(key), []).append(record)
    return by_key

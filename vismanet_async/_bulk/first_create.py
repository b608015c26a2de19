"""The first create of an upsert goes alone and is looked up: does the company keep the keys that are sent?

Where a number series is automatic the ERP may give a number of its own (docs/facts.md 10.9). The next run would not
find the record by its key, and create it again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import anyio
import attrs

from vismanet_async._bulk.transitions import RowState, Trouble
from vismanet_async.errors import VismaNetError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from vismanet_async._bulk.rows import Row
    from vismanet_async._bulk.sending import Stop, Writer
    from vismanet_async._bulk.transitions import Entry
    from vismanet_async._bulk.upserting import Upsert

__all__ = ["FirstCreate"]

_RENUMBERED: Final = (
    "{key!r} was created as {id}, and no record has that {name}: the company numbers records by itself. Choose another "
    "key, such as a reference of yours, or let the series take numbers"
)
_BEFORE: Final = (
    "an earlier run created {key!r} as {id}, and no record has that {name}: the company numbers records by itself, so "
    "nothing was created. Choose another key, such as a reference of yours, or let the series take numbers and begin a "
    "new journal"
)
_NOT_READ: Final = "{key!r} was created, and looking it up by its {name} failed: {error}"
_BEFORE_NOT_READ: Final = "looking up a record that an earlier run created failed, so nothing was created: {error}"


class FirstCreate:
    """Holds all creates back until one of them was found by its key. The journal remembers one that was not."""

    def __init__(self, upsert: Upsert, *, stop: Stop, stopped: Callable[[], bool]) -> None:
        self._upsert = upsert
        self._stop = stop
        self._stopped = stopped
        self._holds = False
        self._asked = False
        """Whether earlier runs were asked; once is enough."""
        self._lock = anyio.Lock()

    async def find(self, row: Row) -> str | None:
        """Look up a row that may have been executed; see `Upsert.find`."""
        return await self._upsert.find(row, numbers_hold=self._holds)

    async def send(self, row: Row, entry: Entry, send: Callable[[], Awaitable[Entry]], *, writer: Writer) -> Entry:
        """Send a row, when it may go; return its entry, as it was if the run has been stopped meanwhile."""
        if getattr(row, "effect", None) != "create":
            return await send()
        async with self._lock:
            if self._stopped():
                return entry
            if not self._holds:
                if await self._is_known_to_fail():
                    return entry
                entry = await send()
                if entry.state is RowState.DONE and (marked := await self._look(row, entry)) is not None:
                    await writer.write(marked)
                return entry
        return await send()

    async def _is_known_to_fail(self) -> bool:
        """Return whether an earlier run has shown that keys are not kept; then the run stops."""
        if self._asked:
            return False
        upsert, self._asked = self._upsert, True
        try:
            before = await upsert.earlier.renumbered(upsert.existing)
        except VismaNetError as error:
            self._stop(_BEFORE_NOT_READ.format(error=error), error=error)
            return True
        if before is None:
            return False
        self._stop(_BEFORE.format(key=before.key, id=before.id or "another record", name=upsert.target.key))
        return True

    async def _look(self, row: Row, entry: Entry) -> Entry | None:
        """Look the first one up; return its entry with a mark on it for later runs where it is not there."""
        name = self._upsert.target.key
        try:
            self._holds = bool(await self._upsert.existing.fresh(row.key))
        except VismaNetError as error:
            self._stop(_NOT_READ.format(key=row.key, name=name, error=error), error=error)
        else:
            if not self._holds:
                told = _RENUMBERED.format(key=row.key, id=entry.id or "a record", name=name)
                self._stop(told)
                return attrs.evolve(entry, trouble=Trouble(kind="VismaNetError", text=told))
        return None

"""What the journal of an upsert says of earlier runs: how it writes keys, and which creates got another number."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from vismanet_async._bulk.transitions import Entry, RowState

if TYPE_CHECKING:
    from vismanet_async._bulk.existing import Existing
    from vismanet_async._bulk.journal_rows import Journal
    from vismanet_async._bulk.target import Target

__all__ = ["EarlierRuns"]

_MOST_LOOKS: Final = 4
"""How many creates of earlier runs are looked up before the first create of this one."""


class EarlierRuns:
    """What was read from a journal before the first row; without a journal nothing is known."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._shared = False
        self._keys: dict[str, str] = {}
        """How the journal writes a key, by the key as the ERP compares it; keys without letters are left out."""
        self._marked: list[Entry] = []
        """Creates that were looked up by their key then, and were not there."""
        self._renamed: list[Entry] = []
        """Creates whose answer told another number than the one that was sent."""

    async def read(self, journal: Journal) -> None:
        """Read it; nothing is written."""
        self._shared = journal.shared
        async with aclosing(journal.entries()) as entries:
            async for entry in entries:
                plain = self._target.folded(entry.key)
                has_forms = entry.key != plain or plain != plain.upper()
                # of two rows with one key, as old versions made them, the one that was sent tells more
                if has_forms and (plain not in self._keys or entry.state is not RowState.PLANNED):
                    self._keys[plain] = entry.key
                if entry.state is RowState.DONE and entry.operation == self._target.create_id:
                    self._note(entry)

    def _note(self, entry: Entry) -> None:
        if entry.trouble is not None:
            self._marked.append(entry)
        elif self._target.by_get and entry.id is not None and self._is_renamed(entry.id, entry.key):
            self._renamed.append(entry)

    def _is_renamed(self, id_: str, key: str) -> bool:
        return self._target.folded(id_) != self._target.folded(key)

    def key_of(self, key: str) -> str:
        """Return how the journal writes a key: one for all that the ERP takes for the same.

        As it was written first; in a shared journal as the ERP compares it, because processes read in any order.
        """
        plain = self._target.folded(key)
        known = self._keys.get(plain)
        if known is not None:
            return known
        if self._shared or plain == plain.upper():
            return plain
        self._keys[plain] = key
        return key

    async def renumbered(self, existing: Existing) -> Entry | None:
        """Return a create of an earlier run whose key no record has, because the company gave it another.

        A record that was deleted since does not count, as far as the journal can tell: its create told its number.

        Raises:
            VismaNetError: it cannot be looked up.
        """
        for entry in self._marked[:_MOST_LOOKS]:
            if not await existing.at(entry.key):
                return entry
        gone: Entry | None = None
        for entry in self._renamed[:_MOST_LOOKS]:
            if await existing.at(entry.key):
                return None  # creates are answered with an id of another kind here
            gone = gone or entry
        return gone

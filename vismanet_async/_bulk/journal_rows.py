"""What both kinds of journals share: their columns, what they know of a row that has come, and how they are named."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs

from vismanet_async._bulk.transitions import Entry, RowState, Trouble
from vismanet_async._jobs.store import StoreNotUsable
from vismanet_async.errors import RequestRefused

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Mapping, Sequence

__all__ = [
    "COLUMNS",
    "Journal",
    "JournalBusy",
    "Registered",
    "Standing",
    "entry_of",
    "refuse_other_owner",
    "sort_rows",
    "values_of",
]

COLUMNS: Final = (
    *("key", "position", "fingerprint", "operation", "state", "attempts", "unsure_since", "id", "etag"),
    *("error_kind", "error", "status", "reference", "job"),
    *("leaves_within_seconds", "row_group", "boot"),
)


class JournalBusy(StoreNotUsable):
    """Another run has the journal open; nothing was sent."""


@attrs.frozen(kw_only=True)
class Registered:
    """What the journal knew of a row that has come."""

    entry: Entry
    known: bool
    """An earlier run has seen it; `entry` is as that run left it, at the new position."""
    duplicate_of: int | None = None
    """The position of the row of the same input that has the same key."""
    behind: frozenset[str] = frozenset()
    """Keys of rows that stood before it in its group, are not done, and have not come in this run yet."""
    elsewhere: bool = False
    """Another process works on it, or has ended it in this run: it is left alone."""


@attrs.frozen(kw_only=True)
class Standing:
    """What is left of a run at other processes."""

    held: int = 0
    """Rows that living processes work on."""
    abandoned: int = 0
    """Rows of processes that are gone."""
    counts: Mapping[tuple[RowState, str], int] = attrs.field(factory=dict)
    """All rows of the run by state and operation."""


class Journal(Protocol):
    """Where each row of a load stands. Every method that writes has committed when it returns."""

    shared: bool
    """Several processes may work on one load at the same time, each row leased by one of them."""
    lease_seconds: float

    async def open(self, *, company: str, base_url: str) -> None:
        """Open it for a run; create it if missing.

        Raises:
            JournalBusy: another run has it, and it is not shared.
            RequestRefused: it belongs to another company or server.
            StoreNotUsable: it cannot be opened.
        """
        ...

    async def aclose(self) -> None:
        """Close it; what this run has leased comes free."""
        ...

    async def register(self, rows: Sequence[Entry], /) -> list[Registered]:
        """Write down rows that have come, lease those that are free, and return what is known of each, in order."""
        ...

    async def read_again(self) -> None:
        """Begin with the input anew: what was registered before is no duplicate of what comes now."""
        ...

    async def write(self, entries: Sequence[Entry], /) -> frozenset[str]:
        """Replace entries; return the keys of those whose lease was lost: they are as their new owner left them."""
        ...

    def ended(self, key: str, /) -> None:
        """Note that this run has ended a row; its lease is given up with the next write."""
        ...

    async def renew(self) -> None:
        """Renew the leases of this run, and give up those of rows that have ended."""
        ...

    async def standing(self) -> Standing:
        """Return what other processes have of this run."""
        ...

    async def refuse_others(self, *, company: str, base_url: str) -> None:
        """Raise `RequestRefused` if it belongs to another company or server; reads only."""
        ...

    async def known(self, keys: Sequence[str], /) -> dict[str, Entry]:
        """Return the entries with one of these keys; reads only."""
        ...

    def entries(self, states: Collection[RowState] | None = None, /) -> AsyncGenerator[Entry, None]:
        """Yield entries in the order of their keys; reads only."""
        ...


def refuse_other_owner(name: object, found: Any, *, company: str, base_url: str) -> None:
    """Raise if a journal is of another company or server than the client.

    Args:
        name: of the journal.
        found: its `company` and `base_url`.
        company: of the client.
        base_url: of the client.
    """
    if (found.company, found.base_url) != (company, base_url):
        raise RequestRefused(
            f"the journal {name} is of company {found.company or 'unknown'} at {found.base_url}, and this client is of "
            f"{company} at {base_url}; nothing was sent. Give each company a journal of its own."
        )


def sort_rows(
    rows: Sequence[Entry], known: Mapping[str, tuple[Entry, bool]]
) -> tuple[list[Registered], list[Entry], list[Entry]]:
    """Return what is known of each row, those to insert, and those to mark as seen. Pure."""
    results: list[Registered] = []
    new: list[Entry] = []
    seen: list[Entry] = []
    here: dict[str, int] = {}
    for row in rows:
        before, seen_in_this_run = known.get(row.key, (None, False))
        earlier = here.setdefault(row.key, row.position)
        if earlier != row.position:
            results.append(Registered(entry=row, known=False, duplicate_of=earlier))
        elif before is None:
            new.append(row)
            results.append(Registered(entry=row, known=False))
        elif seen_in_this_run:
            results.append(Registered(entry=row, known=True, duplicate_of=before.position))
        else:
            seen.append(row)
            results.append(Registered(entry=attrs.evolve(before, position=row.position, group=row.group), known=True))
    return results, new, seen


def values_of(entry: Entry) -> tuple[Any, ...]:
    """Return the columns of an entry, in the order of `COLUMNS`."""
    trouble = entry.trouble
    return (
        entry.key,
        entry.position,
        entry.fingerprint,
        entry.operation,
        entry.state.value,
        entry.attempts,
        None if entry.unsure_since is None else entry.unsure_since.astimezone(UTC).isoformat(),
        entry.id,
        entry.etag,
        *((None,) * 4 if trouble is None else (trouble.kind, trouble.text, trouble.status, trouble.reference)),
        entry.job,
        entry.leaves_within_seconds,
        entry.group,
        entry.boot,
    )


def entry_of(row: Mapping[Any, Any]) -> Entry:
    names = ("key", "position", "fingerprint", "operation", "attempts", "id", "etag", "job", "leaves_within_seconds")
    plain = {name: row[name] for name in (*names, "boot")}
    since, kind = row["unsure_since"], row["error_kind"]
    trouble = partial(Trouble, kind=kind, text=row["error"], status=row["status"], reference=row["reference"])
    return Entry(
        **plain,
        state=RowState(row["state"]),
        unsure_since=None if since is None else datetime.fromisoformat(since),
        trouble=None if kind is None else trouble(),
        group=row["row_group"],
    )

"""Requests and answers of a reading: the types that `proof`, `overlap` and their neighbours share (no IO)."""

from __future__ import annotations

import enum
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
from msgspec.structs import replace

from vismanet_async._paging.keys import NO_STAMP, stamp_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from vismanet_async._paging.guarantee import RestsOn
    from vismanet_async._paging.keys import PageKeys

__all__ = ["BLANK", "Ask", "Claim", "Reply", "Scope", "contradiction", "pages_of"]


class Scope(enum.Enum):
    """Which part of the list is asked for."""

    ALL = "all"
    """The list as the caller asked for it."""
    BELOW = "below"
    """The window: rows last modified before the edge."""
    SINCE = "since"
    """The tail: rows last modified at the edge or later."""


class Ask(msgspec.Struct, frozen=True):
    """One page to ask for."""

    scope: Scope
    page: int
    """Counted from 1."""
    size: int | None
    """Rows a page; None leaves it to the server."""
    stage: int = 0
    """Counts the stages of a reading; a reply to an earlier stage is ignored."""
    is_beyond_end: bool = False
    """Asked for behind a full last page: it has to be blank."""


class Reply(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """The answer to an `Ask`."""

    ask: Ask
    keys: PageKeys
    total: int | None
    """Rows in the list at the answer's instant, as stated; None: not stated."""
    max_size: int | None
    """The page size that the server clamps to; None: not stated."""
    more: bool | None
    """Whether the server says that another page follows; None: it does not say."""
    sent: int
    """The moment of the request, counted in events of this reading."""
    received: int
    """The moment of the answer."""
    page: Any = None
    """What the caller wants back when the rows are delivered."""
    unchanged: frozenset[int] = frozenset()
    """Offsets of rows that were delivered before, in the same version."""
    watermark: str = ""
    """The latest time of a change in it that can be true; empty where there is none."""
    digest: Any = None
    """Returns a digest of the row at an offset, which tells changed from unchanged rows where stamps do not."""

    @property
    def rows(self) -> int:
        """The number of rows received."""
        return len(self.keys)

    @property
    def names(self) -> Sequence[bytes]:
        """The identities of the rows, in their order."""
        return self.keys.names

    @property
    def size(self) -> int:
        """The page size that the server used: what was asked, or less where it says so.

        A page that another one follows is full: fewer rows than asked for mean that the server lowered the size.
        """
        full = self.rows if self.more else None
        return min(filter(None, (self.ask.size, self.max_size, full)), default=self.rows)

    @property
    def start(self) -> int:
        """The position of the first row, counted from 0."""
        return (self.ask.page - 1) * self.size

    def mark(self, offset: int) -> Hashable:
        """Return what stays the same as long as nobody changes the row."""
        stamp = self.keys.stamps[offset]
        return self.digest(offset) if stamp == NO_STAMP and self.digest is not None else stamp

    def light(self) -> Reply:
        """Return the reply without its rows, to be kept."""
        return replace(self, page=None, digest=None)

    def since(self, edge_stamp: int) -> frozenset[bytes]:
        """Return the identities of rows that were modified at this moment or later."""
        if stamp_of(self.keys.newest) < edge_stamp:
            return frozenset()
        pairs = zip(self.names, self.keys.stamps, strict=True)
        return frozenset(name for name, stamp in pairs if stamp >= edge_stamp)


class Claim(msgspec.Struct, frozen=True):
    """How a reading ends."""

    verdict: Literal["proven", "counted", "uncertain"]
    reason: str
    rests_on: tuple[RestsOn, ...] = ()


BLANK: Final = Claim("proven", "the list was blank three times", ("blank",))


def pages_of(rows: int, size: int) -> int:
    """Return how many pages so many rows fill."""
    return -(-rows // size)


def contradiction(reply: Reply) -> str | None:
    """Return what in an answer does not agree with itself, in words; None where all does.

    An answer without rows and without a total has nothing to check.
    """
    if reply.total is None:
        return "rows came without a total" if reply.rows else None
    due = max(0, min(reply.size, reply.total - reply.start))
    if reply.rows != due:
        page, size = reply.ask.page, reply.size
        return f"page {page} had {reply.rows} rows where {due} were due (page size {size}, total {reply.total})"
    return doubles(reply)


def doubles(reply: Reply) -> str | None:
    """Return a complaint about an identity that stands twice in one answer."""
    if len(set(reply.names)) == reply.rows:
        return None
    ((name, _),) = Counter(reply.names).most_common(1)
    return f"two rows of one answer have the same identity ({name[:40].decode(errors='replace')})"

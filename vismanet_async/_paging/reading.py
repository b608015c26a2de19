"""What the rules of a proof share while they read one list (no IO, no clock)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vismanet_async._paging.asks import Reply, Scope
from vismanet_async._paging.protocol import Asker

if TYPE_CHECKING:
    from collections.abc import Callable

    from vismanet_async._paging.protocol import Rule

__all__ = ["Reading"]


class Reading:
    """Asks for pages, delivers rows, and keeps what the answers of one list have told so far.

    Args:
        page_size: rows to ask for; None leaves it to the server.
        edge_stamp: the edge between window and tail; None where the endpoint has no such filter.
        is_strict: bear two false answers with any writes.
        deliver: called with each reply whose rows are to be delivered.
    """

    def __init__(
        self, *, page_size: int | None, edge_stamp: int | None, is_strict: bool, deliver: Callable[[Reply], None]
    ) -> None:
        self.asker = Asker(size=page_size, edge_stamp=edge_stamp)
        self.is_strict = is_strict
        self.deliver = deliver
        self._newest: dict[Scope, str] = {}
        self._filtered: set[int] = set()
        self.fresh: frozenset[bytes] = frozenset()
        """Rows of the tail that any look at page 1 showed."""
        self.violation: str | None = None
        """What the rows that were delivered have shown to be wrong."""
        self.notes: list[str] = []
        """What went wrong on the way, in words."""
        self.repairs = 0
        """Pages that were read again."""
        self.tail_passes = 0
        """How often the rows since the edge were asked for."""
        self.used_window = False
        """Whether the list was divided at the edge."""

    @property
    def watermark(self) -> str | None:
        """The latest change that the rows are known to show, with all before it; None: none is known."""
        return max(self._newest.values(), default="") or None

    def report_violation(self, reason: str) -> None:
        """Record what was seen while rows were delivered: an identity twice, a row out of its place."""
        self.violation = self.violation or reason

    def note(self, reason: str) -> None:
        """Record what went wrong, once."""
        if reason not in self.notes:
            self.notes.append(reason)

    def note_filtered(self, reply: Reply) -> None:
        """Remember the answer to a request for a part of the list."""
        if reply.rows:
            self._filtered |= {_fingerprint(reply, reply.total), _fingerprint(reply, None)}

    def is_of_a_part(self, reply: Reply) -> bool:
        """Return whether an answer about all rows is the same as one about a part: a cache may have mixed them up."""
        return bool(reply.rows) and _fingerprint(reply, reply.total) in self._filtered

    def look(self, scope: Scope, *, learns_size: bool = False) -> Rule[Reply]:
        """Ask for page 1 of all or of the window."""
        reply = yield from self.asker.ask(scope, learns_size=learns_size)
        if scope is Scope.ALL and self.asker.edge_stamp is not None:
            self.fresh |= reply.since(self.asker.edge_stamp)
        return reply

    def is_all(self, first: Reply) -> Rule[bool]:
        """Return whether one answer, which has as many rows as its total, contains everything."""
        if first.rows < first.size:
            return True
        return (yield from self.asker.sees_end(first, rows=first.rows))

    def show(self, reply: Reply) -> None:
        """Deliver an answer that shows the list as of its moment: changes after that may be missing."""
        self.deliver(reply)
        self.mark(reply)

    def mark(self, reply: Reply) -> None:
        """Record that the rows delivered show the list as of this answer."""
        newest, scope = reply.watermark, reply.ask.scope
        if scope is Scope.ALL:
            self._newest.clear()
        else:
            self._newest.pop(Scope.ALL, None)
        self._newest[scope] = max(newest, self._newest.get(scope, "")) if scope is Scope.BELOW else newest


def _fingerprint(reply: Reply, total: int | None) -> int:
    return hash((reply.names[0], reply.names[-1], reply.rows, total))

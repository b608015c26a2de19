"""The request log: what came in and what went out, for assertions."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["LoggedRequest", "RequestLog"]


@define
class LoggedRequest:
    """One request that the simulator saw.

    `status` is None while it is being answered, and where the connection was cut before an answer.
    """

    number: int
    at: float
    method: str
    path: str
    query: dict[str, str]
    query_pairs: list[tuple[str, str]] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    operation: str | None = None
    """Catalog id of the operation, `token`, `authorize` or None."""
    tenant_id: str | None = None
    status: int | None = None
    response_bytes: int = 0
    fault: str | None = None
    """Name of the fault that hit this request."""
    finished_at: float | None = None


class RequestLog:
    """The last requests, oldest first, and how many there were in all."""

    def __init__(self, limit: int) -> None:
        self._entries: deque[LoggedRequest] = deque(maxlen=limit)
        self.total = 0
        self.in_flight = 0
        self.most_in_flight = 0
        self.by_operation: Counter[str] = Counter()
        self.by_status: Counter[int | None] = Counter()

    def __iter__(self) -> Iterator[LoggedRequest]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> LoggedRequest:
        return self._entries[index]

    def open(self, entry: LoggedRequest) -> None:
        """Note a request that has arrived."""
        self.total += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self._entries.append(entry)

    def close(self, entry: LoggedRequest, at: float) -> None:
        """Note that a request is done with."""
        self.in_flight -= 1
        entry.finished_at = at
        self.by_operation[entry.operation or "?"] += 1
        self.by_status[entry.status] += 1

    def matching(self, *, operation: str | None = None, method: str | None = None, path: str | None = None,
                 status: int | None = None) -> list[LoggedRequest]:  # fmt: skip
        """Return the requests that fit; `path` is a part of the path, in any case."""
        return [
            entry
            for entry in self._entries
            if (operation is None or entry.operation == operation)
            and (method is None or entry.method == method)
            and (path is None or path.lower() in entry.path.lower())
            and (status is None or entry.status == status)
        ]

    def clear(self) -> None:
        """Forget the requests and the counts."""
        self._entries.clear()
        self.total = self.most_in_flight = 0
        self.by_operation.clear()
        self.by_status.clear()

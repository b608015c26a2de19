"""What was really executed: every change that an operation made, once per execution."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

_SUCCESS = frozenset(range(200, 300))

__all__ = ["Execution", "Ledger"]


@frozen
class Execution:
    """One operation that the company carried out (whatever became of its answer)."""

    at: float
    tenant_id: str
    operation: str
    method: str
    path: str
    body: bytes
    status: int
    job_id: str | None = None
    """The background job that did it, or None."""

    @property
    def succeeded(self) -> bool:
        """Whether it changed something."""
        return self.status in _SUCCESS


class Ledger:
    """All writes in the order of their execution."""

    def __init__(self) -> None:
        self._entries: list[Execution] = []

    def __iter__(self) -> Iterator[Execution]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> Execution:
        return self._entries[index]

    def add(self, execution: Execution) -> None:
        """Write down an execution."""
        self._entries.append(execution)

    def matching(self, *, operation: str | None = None, path: str | None = None,
    succeeded: bool | None = None,
                 job_id: str | None = None) -> list[Execution]:  # fmt: skip
        """Return the executions that fit; `path` is a part of the path, in any case."""
        return [
            entry
            for entry in self._entries
            if (operation is None or entry.operation == operation)
            and (path is None or path.lower() in entry.path.lower())
            and (succeeded is None or entry.succeeded == succeeded)
            and (job_id is None or entry.job_id == job_id)
        ]

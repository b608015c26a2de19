"""Pages and sources for tests, without a network."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import attrs
import msgspec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

_ROWS = msgspec.json.Decoder(list[msgspec.Raw])


@attrs.frozen
class FakePage:
    body: bytes
    rows: Sequence[msgspec.Raw]
    keep: Sequence[int] | None = None


def page(body: bytes, *, keep: Sequence[int] | None = None) -> FakePage:
    return FakePage(body, _ROWS.decode(body), keep)


def customers(first: int, count: int, *, pad: int = 0) -> bytes:
    """A compact page, as the API sends it."""
    records = [
        {"number": str(number), "name": f"Kunde {number} Ærlig {'x' * pad}"} for number in range(first, first + count)
    ]
    return msgspec.json.encode(records)


@attrs.define
class FakeProgress:
    rows: int = 0
    total: int | None = None
    requests: int = 0
    in_flight: int = 0
    rows_per_second: float = 0.0


@attrs.define
class FakeReport:
    verdict: str = "counted"
    rows: int = 0
    unique: int | None = 0
    total_first: int | None = 0
    total_last: int | None = 0
    requests: int = 0


@attrs.define
class FakeListing:
    """Gives its pages one by one; `before` runs ahead of each."""

    pages: Sequence[FakePage]
    before: Any = None
    verdict: str = "counted"
    progress: FakeProgress = attrs.field(factory=FakeProgress)
    open: int = 0
    closed: int = 0

    @property
    def completeness(self) -> FakeReport:
        rows = sum(len(page.rows) for page in self.pages)
        return FakeReport(
            self.verdict, rows=rows, unique=rows, total_first=rows, total_last=rows, requests=len(self.pages)
        )

    @contextlib.asynccontextmanager
    async def raw_pages(self, *, completeness: str, ordered: bool) -> AsyncIterator[AsyncIterator[FakePage]]:
        assert ordered
        self.open += 1
        try:
            yield self._pages()
        finally:
            self.closed += 1

    async def _pages(self) -> AsyncIterator[FakePage]:
        for number, page in enumerate(self.pages):
            if self.before is not None:
                await self.before(number)
            self.progress.rows += len(page.rows)
            self.progress.requests += 1
            yield page


@attrs.define
class FakeSource:
    listings: Mapping[str, FakeListing]
    asked: list[tuple[str, dict[str, Any], int | None]] = attrs.field(factory=list)

    def list_by_name(self, name: str, filters: Mapping[str, Any], *, page_size: int | None = None) -> FakeListing:
        self.asked.append((name, dict(filters), page_size))
        return self.listings[name]

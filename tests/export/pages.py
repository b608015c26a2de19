"""Pages and sources for tests, without a network."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import attrs
import msgspec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from vismanet_async._paging.row_scanner import RawRow

_ROWS = msgspec.json.Decoder(list[msgspec.Raw])


@attrs.frozen
class FakePage:
    rows: Sequence[RawRow]
    body: bytes | bytearray | None = None
    number: int = 0
    supersedes: Sequence[Any] = ()


def page(body: bytes, *, number: int = 0) -> FakePage:
    return FakePage(_ROWS.decode(body), body, number)


def customers(first: int, count: int, *, pad: int = 0) -> bytes:
    """A compact page, as the API sends it."""
    records = [
        {"number": str(number), "name": f"Kunde {number} Ærlig {'x' * pad}"} for number in range(first, first + count)
    ]
    return msgspec.json.encode(records)


def put_in_place(directory: Path) -> None:
    """Let the parts that were written anew take their places, as publishing does."""
    for final in directory.glob("final/*"):
        final.replace(directory / final.name)


@attrs.frozen
class Old:
    delivery: int
    row: int


@attrs.frozen
class FakeProgress:
    rows: int = 0
    total: int | None = None
    requests: int = 0
    in_flight: int = 0


@attrs.frozen
class FakeReport:
    verdict: str
    rows: int
    unique: int | None
    total_first: int | None
    total_last: int | None
    requests: int
    reason: str = "made up"
    window: str | None = None
    watermark: str | None = None


@attrs.define
class FakeListing:
    """Gives its pages one by one; `before` runs ahead of each."""

    pages: Sequence[FakePage]
    before: Any = None
    verdict: str = "counted"
    progress: FakeProgress = FakeProgress()
    options: dict[str, Any] = attrs.field(factory=dict)
    open: int = 0
    operation_id: str = "Customer_GetAll"

    @property
    def completeness(self) -> FakeReport:
        rows = sum(len(page.rows) for page in self.pages)
        return FakeReport(self.verdict, rows, rows, rows, rows, len(self.pages))

    def with_options(self, **options: Any) -> FakeListing:
        self.options |= options
        return self

    def with_sender(self, wrap: Any, *, clock: Any) -> FakeListing:
        wrap(None)
        return self

    @contextlib.asynccontextmanager
    async def raw_pages(self, *, ordered: bool) -> AsyncIterator[AsyncIterator[FakePage]]:
        assert ordered
        self.open += 1
        try:
            yield self._pages()
        finally:
            self.open -= 1

    async def _pages(self) -> AsyncIterator[FakePage]:
        for number, one in enumerate(self.pages):
            if self.before is not None:
                await self.before(number)
            self.progress = FakeProgress(rows=self.progress.rows + len(one.rows), requests=number + 1)
            yield attrs.evolve(one, number=number)


@attrs.define
class FakeSource:
    listings: Mapping[str, FakeListing]
    asked: list[tuple[str, dict[str, Any]]] = attrs.field(factory=list)

    def list_by_name(self, name: str, filters: Mapping[str, Any]) -> Any:
        self.asked.append((name, dict(filters)))
        return self.listings[name]

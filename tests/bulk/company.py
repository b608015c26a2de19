"""A simulated company to write to, and what its ledger says of the rows that were sent."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs

from tests.support.clock import ServerClock
from vismanet_async import StaticToken, VismaNet
from vismanet_async.bulk import BulkSummary, Row, RowResult
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from tests.support.clock import VirtualClock

COMPANY = "c"


def name_of(body: bytes) -> str:
    return str(json.loads(body)["name"]["value"])


def executed(simulator: Simulator) -> Counter[str]:
    """How often each customer was created, by name."""
    return Counter(name_of(each.body) for each in simulator.ledger.matching(operation="Customer_Post", succeeded=True))


def keys(count: int, *, first: int = 0) -> list[str]:
    return [f"crm-{number:05}" for number in range(first, first + count)]


@asynccontextmanager
async def on_a_clock(clock: VirtualClock, **rows: int) -> AsyncIterator[tuple[Simulator, VismaNet]]:
    """A company and a client that both go by a virtual clock."""
    async with (
        Simulator(rows={"customer": 1, **rows}, clock=ServerClock(clock)) as simulator,
        VismaNet(
            StaticToken(simulator.issue_token(lifetime_seconds=1e9), tenant_id=COMPANY),
            base_url=simulator.base_url,
            clock=clock,
        ) as visma,
    ):
        yield simulator, visma


@attrs.frozen
class Company:
    simulator: Simulator
    visma: VismaNet
    journal: Path

    def rows(self, wanted: list[str]) -> Iterator[Row]:
        return (Row(key, self.visma.customer.create({"name": key})) for key in wanted)

    def find(self) -> Callable[[Row], Any]:
        return lambda row: self.visma.customer.list(name=row.key)

    async def run(self, rows: Any, **options: Any) -> tuple[BulkSummary, dict[str, list[RowResult]]]:
        """Run it; the summary, and the results by key."""
        run = self.visma.bulk.run(rows, journal=self.journal, **({"settle_seconds": 0} | options))
        results: dict[str, list[RowResult]] = {}
        async for result in run:
            results.setdefault(result.key, []).append(result)
        assert run.summary is not None
        assert run.summary.rows == sum(map(len, results.values()))
        return run.summary, results

    def check(self, results: dict[str, list[RowResult]]) -> None:
        """Compare each outcome with the ledger: nothing twice, and every outcome is the true one."""
        times = executed(self.simulator)
        assert max(times.values(), default=0) <= 1, "a row was executed twice"
        for key, [result] in results.items():
            if result.outcome == "unknown":
                continue
            assert times[key] == (result.outcome == "done"), f"{key} is {result.outcome}, executed {times[key]} times"


@asynccontextmanager
async def opened(
    path: Path, *, concurrency: int | str = 4, customers: int = 3, **options: Any
) -> AsyncIterator[Company]:
    async with (
        Simulator(**{"rows": {"customer": customers}, **options}) as simulator,
        VismaNet(
            StaticToken(simulator.issue_token(lifetime_seconds=1e9), tenant_id=COMPANY),
            base_url=simulator.base_url,
            concurrency=concurrency,
        ) as visma,
    ):
        yield Company(simulator, visma, path / "load.sqlite")


__all__ = ["COMPANY", "Company", "executed", "keys", "opened"]

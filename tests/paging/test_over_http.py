"""The guarantee over real HTTP, with others writing and the network failing meanwhile."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from tests.paging.live import Live, keys, live
from vismanet_async.errors import ApiError, IncompleteListing, ServerError, UnexpectedResponse, VismaNetError

if TYPE_CHECKING:
    from vismanet_async.paging.completeness import Completeness
    from vismanet_async.paging.listing import Listing

NETWORK: tuple[dict[str, Any], ...] = (
    {"kind": "latency", "seconds": 0.4},
    {"kind": "reset_before"},
    {"kind": "reset_after"},
    {"kind": "cut_headers"},
    {"kind": "cut_body", "share": 0.7},
    {"kind": "short_body", "share": 0.6},
    {"kind": "slow_body", "seconds": 2.0},
    {"kind": "html", "status": 200},
    {"kind": "status", "status": 429, "retry_after": 7},
    {"kind": "status", "status": 503},
    {"kind": "status", "status": 503, "retry_after": 3},
    {"kind": "status", "status": 502},
    {"kind": "expire_tokens"},
)


def upset(site: Live, random: Random, *, times: int = 2, share: float = 0.06) -> None:
    """Let all that can go wrong go wrong now and then."""
    site.sim.faults.add("cut_body", path="/v1/*", after=1, times=1)
    for fault in NETWORK:
        site.sim.faults.add(**fault, path="/v1/*", times=times, probability=share, after=random.randrange(4))


def watch(site: Live, resource: str) -> set[str]:
    """Keep the set of the rows that were there from now on; it shrinks as they go."""
    stayed = set(site.sim.truth(resource).keys)
    company = site.sim.company()
    before = company.after_request

    def after_request(table: str) -> None:
        before(table)
        stayed.intersection_update(site.sim.truth(resource).keys)

    company.after_request = after_request  # type: ignore[method-assign]
    return stayed


async def read(listing: Listing[Any]) -> tuple[list[Any], list[str], Completeness | None, VismaNetError | None]:
    """All rows as they come, their keys, the report, and how it ended."""
    rows: list[Any] = []
    error: VismaNetError | None = None
    try:
        async for row in listing:
            rows.append(row)  # noqa: PERF401 - what came before an error is wanted too
    except VismaNetError as ended:
        error = ended
    return rows, keys(rows), listing.completeness, error


@pytest.mark.parametrize("seed", range(12))
async def test_every_record_that_stayed_is_delivered_once(seed: int) -> None:
    random = Random(seed)
    size = random.choice((7, 20, 50))
    async with live(
        seed=seed, rows={"customer": random.randrange(200, 500)}, concurrency=random.randrange(1, 9)
    ) as site:
        upset(site, random)
        churn = {name: random.randrange(3) for name in ("add", "remove", "touch")}
        every = random.randrange(1, 9)
        site.sim.churn("customer", every_requests=every, where=random.choice(("start", "end", "random")), **churn)
        stayed = watch(site, "customer")
        mode = "prove" if seed % 3 else "count"
        listing = site.visma.customer.list(page_size=size).with_options(
            completeness=mode, ordered=random.random() < 0.5
        )
        rows, seen, report, error = await read(listing)
        assert error is None or isinstance(error, IncompleteListing), error
        assert report is not None
        newest = len(rows) - report.superseded
        assert len(set(seen)) == report.unique == newest, report
        if report.verdict == "proven":
            assert not stayed - set(seen), (seed, report)
        assert (report.verdict == "uncertain") == (error is not None)
        assert sum(fault.hits for fault in site.sim.faults) > 0

"""Reads in waves: what is asked depends on the answers alone."""

from __future__ import annotations

import random
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from tests.paging.live import Live, keys, live
from vismanet_async._clock import FrozenClock
from vismanet_async.errors import ResponseLost, ServerError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from vismanet_async._http.message import Request, Response, Sender

ROWS = 95
SIZE = 10
BEGAN_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
async def site() -> AsyncIterator[Live]:
    async with live(rows={"customer": ROWS}) as made:
        yield made


@attrs.define
class Delaying:
    """A sender whose answers take a random time, and come in any order."""

    site: Live
    seed: int
    inner: Sender | None = None
    failing: int = 0
    known: dict[int, Response] | None = None
    """Answers of an earlier read, by the number of the request."""
    asked: list[Any] = attrs.field(factory=list)
    answers: int = 0
    in_flight: dict[int, int] = attrs.field(factory=dict)
    """How many answers there were when a request was sent."""
    delays: random.Random = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.delays = random.Random(self.seed)

    def wrap(self, sender: Sender) -> Any:
        self.inner = sender
        return self

    async def send(self, request: Request) -> Response:
        assert set(self.in_flight.values()) <= {self.answers}, "sent before the wave was answered"
        number = len(self.asked)
        self.asked.append(request.query)
        self.in_flight[number] = self.answers
        try:
            await self.site.clock.sleep(self.delays.uniform(0.1, 30))
            if self.failing:
                self.failing -= 1
                raise ResponseLost("gone")
            if self.known is not None and number in self.known:
                return self.known[number]
            assert self.inner is not None
            response = await self.inner.send(request)
            if self.known is not None:
                self.known[number] = response
            return response
        finally:
            # the others of its wave must not be taken for sent after it
            del self.in_flight[number]
            if not self.in_flight:
                self.answers = len(self.asked)


async def read(site: Live, seed: int, **options: Any) -> tuple[list[str], Delaying, Any]:
    sender = Delaying(site, seed, failing=options.pop("failing", 0), known=options.pop("known", None))
    listing = site.visma.customer.list(page_size=SIZE).with_options(**options)
    waves = listing.with_sender(sender.wrap, clock=FrozenClock(site.clock, BEGAN_AT), in_waves=True)
    slow = random.Random(seed)
    rows = []
    async for page in waves.pages():
        if seed % 3 == 0:
            await site.clock.sleep(slow.uniform(0, 20))
        rows += keys(page.rows)
    return rows, sender, waves.completeness


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"ordered": False},
        {"completeness": "count"},
        {"completeness": "none", "expected_rows": 90},
        {"limit": 33},
        {"strict": True},
        {"max_bytes": 1},
    ],
    ids=repr,
)
async def test_the_requests_do_not_depend_on_time(site: Live, options: dict[str, Any]) -> None:
    truth = site.sim.truth("customer").keys[: options.get("limit")]
    asked: list[Any] = []
    for seed in range(8):
        rows, sender, report = await read(site, seed, **options)
        assert (sorted(rows) if options.get("ordered") is False else rows) == truth
        asked.append((sender.asked, report))
    assert all(each == asked[0] for each in asked), "other answering times led to other requests"
    if not options:
        assert asked[0][1].verdict == "proven"


@pytest.mark.parametrize("mode", ["best", "count"])
async def test_a_read_of_a_busy_list_can_be_repeated_from_its_answers(site: Live, mode: str) -> None:
    """In whatever order they come: the same requests, rows and verdict."""
    site.sim.churn("customer", every_requests=2, add=1, remove=1, touch=2, where="random")
    known: dict[int, Any] = {}
    options: dict[str, Any] = {"completeness": mode, "allow_uncertain": True, "known": known}
    rows, first, report = await read(site, 1, **options)
    requests = site.sim.requests.total
    for seed in range(2, 10):
        again, sender, verdict = await read(site, seed, **options)
        assert (again, sender.asked, verdict) == (rows, first.asked, report)
    assert site.sim.requests.total == requests


async def test_as_many_requests_as_a_direct_read_of_a_quiet_list(site: Live) -> None:
    listing = site.visma.customer.list(page_size=SIZE)
    await listing
    _, sender, report = await read(site, 1)
    assert listing.completeness is not None
    assert report == listing.completeness
    assert len(sender.asked) == report.requests


@pytest.mark.parametrize(("failing", "error"), [(2, None), (99, ResponseLost)])
async def test_a_page_that_fails_is_asked_for_again(site: Live, failing: int, error: type[Exception] | None) -> None:
    if error is None:
        rows, _, _ = await read(site, 1, failing=failing)
        assert rows == site.sim.truth("customer").keys
        return
    with pytest.raises(error):
        await read(site, 1, failing=failing)


async def test_leaving_early_leaves_nothing(site: Live) -> None:
    waves = site.visma.customer.list(page_size=SIZE).with_sender(lambda sender: sender, in_waves=True)
    async with aclosing(waves.pages()) as pages:
        async for _ in pages:
            break
    site.sim.faults.add("status", status=500, times=0)
    with pytest.raises(ServerError):
        await waves
    await site.rest()


async def test_changes_meanwhile_are_proven_all_the_same(site: Live) -> None:
    before = set(site.sim.truth("customer").keys)
    site.sim.churn("customer", every_requests=3, add=1, remove=1, touch=1)
    rows, _, report = await read(site, 5, allow_uncertain=True)
    assert report.verdict == "proven"
    assert before & set(site.sim.truth("customer").keys) <= set(rows)

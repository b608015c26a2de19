"""`Listing`: every way to read one, every way to stop reading, and what is left behind."""

# mypy: disable-error-code="unused-awaitable"
# listings are values here: some are made to be refused
# ruff: noqa: PT012
# where a loop is to fail, the loop is what is tested

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from tests.api.support import Recorder, reply
from tests.paging.live import Live, keys, live
from tests.support.begun import begun_from_now_on
from tests.support.clock import VirtualClock
from vismanet_async._api.models import Customer
from vismanet_async._codec.decode import decode_rows
from vismanet_async._http.message import Response, no_headers
from vismanet_async._operation import OperationSpec
from vismanet_async._paging import listing as listing_module, page_formats
from vismanet_async._paging.fetcher import Progress
from vismanet_async._paging.list_spec import FrozenFilter, ListSource
from vismanet_async._paging.listing import Listing, Page
from vismanet_async._paging.page_formats import PageReader
from vismanet_async._paging.paginator import Paginator
from vismanet_async._paging.prefetch import PrefetchWindow
from vismanet_async.errors import (
    DeadlineExceeded,
    IncompleteListing,
    NotSent,
    RequestRefused,
    ServerError,
    UnexpectedResponse,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from vismanet_async._http.message import Request

ROWS = 95
SIZE = 10


@pytest.fixture
async def site() -> AsyncIterator[Live]:
    async with live(rows={"customer": ROWS}) as made:
        yield made


def customers(site: Live, **options: Any) -> Listing[Customer]:
    return site.visma.customer.list(page_size=SIZE).with_options(**options)


def truth(site: Live) -> list[str]:
    return site.sim.truth("customer").keys


# -- reading


async def test_awaiting_and_iterating_give_the_same(site: Live) -> None:
    listing = customers(site)
    awaited = await listing
    assert keys(awaited) == keys(await listing.all()) == keys([row async for row in listing]) == truth(site)
    assert isinstance(awaited[0], Customer)


async def test_pages_come_in_order_with_their_numbers(site: Live) -> None:
    pages = [page async for page in customers(site).pages()]
    assert all(isinstance(page, Page) for page in pages)
    assert [page.number for page in pages] == list(range(1, 11))
    assert [len(page.rows) for page in pages] == [SIZE] * 9 + [5]
    assert {page.total for page in pages} == {ROWS}
    assert keys([row for page in pages for row in page.rows]) == truth(site)


async def test_unordered_pages_come_as_they_land() -> None:
    async with live(rows={"customer": ROWS}) as site:
        site.sim.faults.add("latency", seconds=5, path="/v1/customer", after=1, times=1)
        ordered = [page.number async for page in customers(site).pages()]
        site.sim.faults.clear()
        site.sim.faults.add("latency", seconds=5, path="/v1/customer", after=1, times=1)
        listing = customers(site, ordered=False)
        unordered = [page.number async for page in listing.pages()]
        assert ordered == sorted(unordered, key=lambda number: number or 0)
        assert unordered != ordered
        assert sorted(keys(await listing)) == sorted(truth(site))


async def test_first_and_count_take_one_small_request(site: Live) -> None:
    listing = customers(site)
    first = await listing.first()
    assert first is not None
    assert first.number == truth(site)[0]
    assert await listing.count() == ROWS
    asked = site.sim.requests.matching(operation="Customer_GetAll")
    assert [entry.query["pageSize"] for entry in asked] == ["1", "1"]


class Scripted:
    """A sender that answers with these bodies, the last one again and again."""

    def __init__(self, *bodies: bytes) -> None:
        self.bodies, self.asked = bodies, 0

    async def send(self, request: Request, /) -> Response:
        self.asked += 1
        body = self.bodies[min(self.asked, len(self.bodies)) - 1]
        return Response(status=200, headers=no_headers(), body=body)

    def stream(self, request: Request, /) -> Any:
        raise NotImplementedError


def page(rows: int, total: int | None) -> bytes:
    metadata = {} if total is None else {"metadata": {"totalCount": total, "maxPageSize": 500}}
    return json.dumps([{"number": str(number), **metadata} for number in range(rows)]).encode()


@pytest.mark.parametrize(
    ("bodies", "count", "requests"),
    [
        ([page(1, 12)], 12, 1),
        ([page(12, 12)], 12, 1),  # who ignores the page size
        ([b"", page(1, 12)], 12, 2),
        ([b"[]", b"null", page(1, 12)], 12, 3),
        ([b""], 0, 3),
        ([page(1, 0), page(1, 12)], 12, 2),
        ([page(12, 5), page(1, 12)], 12, 2),
        ([page(1, 0)], None, 3),
        ([page(12, 5)], None, 3),
        ([page(12, 5), b"", b""], None, 3),
    ],
)
async def test_one_answer_alone_is_believed_if_it_agrees_with_itself(
    site: Live, bodies: list[bytes], count: int | None, requests: int
) -> None:
    for what in ("count", "first"):
        sender = Scripted(*bodies)
        listing = customers(site).with_sender(lambda _, sender=sender: sender)  # type: ignore[misc]
        if count is None:
            with pytest.raises(UnexpectedResponse, match=r"contradict themselves: .* rows and a total of"):
                await getattr(listing, what)()
        else:
            found = await getattr(listing, what)()
            assert (found == count) if what == "count" else ((found is None) == (count == 0))
        assert sender.asked == requests


class Begun:
    """An endpoint that the catalog calls unpaged, and that pages all the same, without saying so."""

    def __init__(self, rows: int, *, page_rows: int) -> None:
        self.rows, self.page_rows, self.asked = rows, page_rows, 0

    async def send(self, request: Request, /) -> Response:
        self.asked += 1
        query = dict(request.query)
        size = min(int(query.get("pageSize", self.page_rows)), self.page_rows)
        first = (int(query.get("pageNumber", 1)) - 1) * size
        rows = [{"accountID": number, "accountCD": str(number)} for number in range(self.rows)][first : first + size]
        return Response(status=200, headers=no_headers(), body=json.dumps(rows).encode())

    def stream(self, request: Request, /) -> Any:
        raise NotImplementedError


@pytest.mark.parametrize("completeness", ["best", "count", "none"])
@pytest.mark.parametrize(("rows", "page_rows", "requests"), [(250, 100, 9), (42, 1_000, 4), (0, 100, 3)])
async def test_a_list_that_does_not_page_is_counted_by_reading_it(
    site: Live, completeness: str, rows: int, page_rows: int, requests: int
) -> None:
    sender = Begun(rows, page_rows=page_rows)
    listing = site.visma.account.list().with_sender(lambda _: sender).with_options(completeness=completeness)
    assert await listing.count() == rows
    assert sender.asked <= requests
    assert listing.completeness is None, "it was not read itself"


async def test_the_first_journal_batch_is_whole_and_lines_are_not_taken_for_batches() -> None:
    async with live(rows={"journal_transaction": 20}) as site:
        listing = site.visma.journal_transaction.list(last_modified_date_time="2000-01-01")
        whole = next(site.sim.truth("journal_transaction").rows())
        first = await listing.first()
        assert first is not None
        assert first.batch_number == whole["batchNumber"]
        assert isinstance(first.journal_transaction_lines, list)
        assert len(first.journal_transaction_lines) == len(whole["journalTransactionLines"]) > 1
        sent = site.sim.requests.total
        with pytest.raises(RequestRefused, match="counts lines"):
            await listing.count()
        assert site.sim.requests.total == sent
        by_line = site.visma.journal_transaction.list(last_modified_date_time="2000-01-01", page_size=1)
        with pytest.raises(UnexpectedResponse, match="longer than a page"):
            await by_line.first()
        assert len(await listing.with_options(limit=3)) == 3


@pytest.mark.parametrize("limit", [1, 5, SIZE, 11, 30, ROWS - 1, ROWS, ROWS + 1, 1000])
async def test_limit(site: Live, limit: int) -> None:
    listing = customers(site, limit=limit)
    wanted = truth(site)[:limit]
    assert keys(await listing) == wanted
    assert keys([row async for row in listing]) == wanted
    assert keys([row async for page in listing.pages() for row in page.rows]) == wanted


@pytest.mark.parametrize("limit", [1, SIZE, 25, 60])
async def test_a_limit_asks_for_no_page_that_it_does_not_need(site: Live, limit: int) -> None:
    assert len(await customers(site, limit=limit)) == limit
    assert len(site.sim.requests.matching(operation="Customer_GetAll")) == -(-limit // SIZE)


async def test_a_limit_makes_pages_small_and_claims_nothing(site: Live) -> None:
    listing = site.visma.customer.list().with_options(limit=7)
    assert len(await listing) == 7
    assert [entry.query["pageSize"] for entry in site.sim.requests.matching(operation="Customer_GetAll")] == ["7"]
    assert listing.completeness is None


async def test_a_limit_survives_pages_that_the_server_makes_smaller() -> None:
    async with live(rows={"customer": ROWS}, behaviours={"page_size_limit": 10}) as site:
        listing = site.visma.customer.list(page_size=50).with_options(limit=45)
        assert keys(await listing) == truth(site)[:45]


async def test_the_report_and_the_progress(site: Live) -> None:
    assert customers(site).completeness is None
    listing = customers(site)
    assert listing.progress == Progress(rows=0, total=None, requests=0, in_flight=0)
    await listing
    assert listing.completeness is not None
    assert (listing.completeness.verdict, listing.completeness.unique) == ("proven", ROWS)
    assert listing.completeness.rests_on == ("stamps",)
    assert listing.progress == Progress(rows=ROWS, total=ROWS, requests=13, in_flight=0)
    assert listing.operation_id == "Customer_GetAll"
    assert repr(listing) == "<Listing Customer_GetAll /v1/customer>"


async def test_several_readers_of_one_listing(site: Live) -> None:
    listing = customers(site)
    found: list[list[str]] = []

    async def read() -> None:
        found.append(keys(await listing))

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(read)
    assert found == [truth(site)] * 3


async def test_options_make_copies(site: Live) -> None:
    listing = customers(site)
    assert listing.with_options(limit=1) is not listing
    assert len(await listing.with_options(limit=1)) == 1
    assert len(await listing) == ROWS


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"page_size": 0}, "page_size must be 1 or more, not 0"),
        ({"page_size": -5}, "page_size must be 1 or more"),
        ({"page_size": True}, "page_size must be 1 or more, not True"),
        ({"page_size": "100"}, "page_size must be 1 or more, not '100'"),
        ({"limit": 0}, "limit must be 1 or more, not 0"),
        ({"limit": 2.5}, "limit must be 1 or more"),
        ({"expected_rows": -1}, "expected_rows must be 0 or more"),
        ({"max_bytes": 0}, "max_bytes must be 1 or more"),
        ({"timeout_seconds": 0}, "timeout_seconds must be greater than 0"),
        ({"timeout_seconds": float("nan")}, "timeout_seconds must be greater than 0"),
        ({"timeout_seconds": "5"}, "timeout_seconds takes seconds, or None, not str"),
        ({"completeness": "maybe"}, "completeness must be one of 'best', 'prove', 'count', 'none', not 'maybe'"),
        ({"ordered": "no"}, "ordered must be True or False"),
        ({"allow_uncertain": 1}, "allow_uncertain must be True or False"),
        ({"strict": "yes"}, "strict must be True or False"),
        ({"total_timeout_seconds": 0}, "total_timeout_seconds must be greater than 0"),
        ({"total_timeout_seconds": "60"}, "total_timeout_seconds takes seconds, or None, not str"),
        ({"pagesize": 5}, "no option 'pagesize'; it has completeness, strict, allow_uncertain"),
    ],
)
async def test_options_that_cannot_be_are_refused_before_anything_is_sent(
    site: Live, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(RequestRefused, match=message):
        customers(site, **options)
    assert site.sim.requests.total == 0


async def test_a_page_size_of_zero_is_refused_where_it_is_given(site: Live) -> None:
    with pytest.raises(RequestRefused, match="page_size must be 1 or more"):
        site.visma.customer.list(page_size=0)
    assert site.sim.requests.total == 0


async def test_expected_rows_let_the_first_requests_go_out_together(site: Live) -> None:
    site.sim.latency = 1.0
    took = site.clock.monotonic()
    await customers(site, completeness="count")
    slow = site.clock.monotonic() - took
    took = site.clock.monotonic()
    await customers(site, completeness="count", expected_rows=ROWS)
    assert site.clock.monotonic() - took < slow


def sent_before_reading(monkeypatch: pytest.MonkeyPatch, sent: Callable[[], int]) -> list[int]:
    """How many requests had left when each page was read."""
    read = PageReader.read
    before: list[int] = []

    def noted(self: PageReader, body: bytes, **options: Any) -> Any:
        before.append(sent())
        return read(self, body, **options)

    monkeypatch.setattr(PageReader, "read", noted)
    return before


async def test_requests_leave_before_a_large_first_page_is_read(site: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_formats, "_LARGE_BYTES", 0)
    await customers(site).count()  # signed in
    sent = begun_from_now_on(monkeypatch)
    before = sent_before_reading(monkeypatch, lambda: len(sent))
    rows = await customers(site, completeness="count")
    assert keys(rows) == truth(site)
    assert before[0] > 1
    assert len(sent) == -(-ROWS // SIZE)


async def test_a_page_is_read_after_the_request_that_takes_its_place_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    sender = Pages(ROWS)
    before = sent_before_reading(monkeypatch, lambda: sender.sent)
    await scripted(sender, completeness="count", page_size=SIZE, expected_rows=ROWS)
    assert before[1] > before[0], "pages land together, and are read one by one"
    assert sender.sent == -(-ROWS // SIZE)


async def test_other_tasks_run_between_the_steps_of_a_page(site: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """Splitting a page, reading its keys and the rest take a millisecond or two each."""
    log: list[str] = []
    steps = {PageReader: ("read",), Paginator: ("read_keys", "receive_page")}
    for owner, names in steps.items():
        for name in names:
            monkeypatch.setattr(owner, name, logged(log, name, getattr(owner, name)))
    reading = asyncio.create_task(customers(site, completeness="count").all())
    while not reading.done():
        log.append("others")
        await asyncio.sleep(0)
    assert keys(await reading) == truth(site)
    taken = [name for name in log if name != "others"]
    assert taken == ["read", "read_keys", "receive_page"] * -(-ROWS // SIZE)
    assert all("others" in {one, other} for one, other in pairwise(log)), "two steps in a row hold the loop"


def logged(log: list[str], name: str, step: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(*args: Any, **options: Any) -> Any:
        log.append(name)
        return step(*args, **options)

    return wrapped


@pytest.mark.parametrize(("bound", "most"), [(1, 1), (10_000, 5), (10**9, SIZE)])
async def test_rows_are_decoded_in_slices_of_so_much_text(
    site: Live, bound: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    slices: list[list[Any]] = []

    def decoded(rows: list[Any], model: type[Any]) -> list[Any]:
        slices.append(rows)
        return decode_rows(rows, model)

    monkeypatch.setattr(listing_module, "decode_rows", decoded)
    monkeypatch.setattr(listing_module, "_SLICE_BYTES", bound)
    assert keys(await customers(site)) == truth(site)
    assert max(map(len, slices)) <= most
    assert all(len(rows) == 1 or sum(map(len, rows)) <= bound * 1.1 for rows in slices)
    assert sum(map(len, slices)) == ROWS


async def test_a_timeout_is_for_one_page(site: Live) -> None:
    site.sim.faults.add("latency", seconds=50, path="/v1/customer", after=2, times=1)
    site.sim.latency = 1.0
    with pytest.raises(DeadlineExceeded):
        await customers(site, timeout_seconds=10)


# -- what is uncertain


async def test_an_uncertain_list_is_delivered_and_then_refused() -> None:
    async with live(rows={"customer": ROWS}, behaviours={"list_order": "unstable"}) as site:
        listing = customers(site)
        rows: list[Any] = []
        with pytest.raises(IncompleteListing, match="cannot be shown complete") as caught:
            async for row in listing:
                rows.append(row)  # noqa: PERF401 - what came before the error is looked at
        assert rows
        assert caught.value.completeness is listing.completeness
        assert listing.completeness is not None
        assert listing.completeness.verdict == "uncertain"
        allowed = customers(site, allow_uncertain=True)
        assert len(await allowed) > 0
        assert allowed.completeness is not None
        assert allowed.completeness.verdict == "uncertain"


async def test_a_row_without_its_identity_is_told_as_an_unexpected_answer() -> None:
    body = [{"number": "1", "metadata": {"totalCount": 2, "maxPageSize": 1000}}, {"name": "nobody"}]
    listing = scripted(Recorder(reply(body)))
    with pytest.raises(UnexpectedResponse, match="Customer_GetAll"):
        await listing


async def test_a_newer_version_of_a_row_replaces_the_older_one_in_all() -> None:
    async with live(rows={"customer": 120}, concurrency=1) as site:
        site.sim.behaviours.list_order = "last_modified"
        churn = site.sim.churn("customer", every_requests=2, touch=2)
        listing = site.visma.customer.list(page_size=20).with_options(completeness="prove")
        rows = await listing
        assert listing.completeness is not None
        assert listing.completeness.superseded > 0
        assert churn.seen > 2
        assert sorted(keys(rows)) == sorted(truth(site))
        streamed = listing.with_options()
        iterated = keys([row async for row in streamed])
        assert streamed.completeness is not None
        assert len(iterated) == len(set(iterated)) + streamed.completeness.superseded


# -- stopping


async def test_breaking_off_stops_the_requests(site: Live) -> None:
    site.sim.latency = 1.0
    async for row in customers(site):
        assert row.number == truth(site)[0]
        break
    await site.rest()
    sent = site.sim.requests.total
    await site.clock.sleep(60)
    assert site.sim.requests.total == sent < 12


async def test_closing_stops_the_requests_at_once(site: Live) -> None:
    site.sim.latency = 1.0
    async with aclosing(customers(site).pages()) as pages:
        async for _ in pages:
            break
    assert site.visma.sender.limiter.in_flight == 0
    await site.rest()


async def test_an_error_of_the_reader_stops_the_requests(site: Live) -> None:
    site.sim.latency = 1.0
    with pytest.raises(ZeroDivisionError):
        async with customers(site).raw_pages() as deliveries:
            async for delivery in deliveries:
                _ = 1 // delivery.number
    assert site.visma.sender.limiter.in_flight == 0
    await site.rest()


@pytest.mark.parametrize("fault", [None, "status", "reset_before", "slow_body"])
@pytest.mark.parametrize("mode", ["count", "prove"])
async def test_cancelling_at_any_moment_leaves_nothing(fault: str | None, mode: str) -> None:
    async with live(rows={"customer": ROWS}, latency=0.5) as site:
        await site.visma.customer.list().count()  # the token is there
        for turns in (0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377):
            site.sim.faults.clear()
            if fault:
                more = {"seconds": 3.0} if fault == "slow_body" else {}
                site.sim.faults.add(fault, path="/v1/*", every=3, **more)  # type: ignore[arg-type]
            async with anyio.create_task_group() as group:
                group.start_soon(customers(site, completeness=mode).all)
                for _ in range(turns):
                    await asyncio.sleep(0)
                group.cancel_scope.cancel()
            assert site.visma.sender.limiter.in_flight == 0
            await site.rest()


async def test_cancelling_while_waiting_for_quota_and_token_leaves_nothing() -> None:
    async with live(rows={"customer": ROWS}) as site:
        site.sim.faults.add("latency", path="/connect/*", seconds=10.0)
        site.sim.faults.add("status", status=429, retry_after=100, path="/v1/*", times=2)
        for turns in (1, 5, 20, 40, 80):
            async with anyio.create_task_group() as group:
                group.start_soon(customers(site).all)
                for _ in range(turns):
                    await asyncio.sleep(0)
                group.cancel_scope.cancel()
            await site.rest()


async def test_a_plain_asyncio_cancel_leaves_nothing(site: Live) -> None:
    site.sim.latency = 0.5
    for turns in (1, 10, 30, 60):
        task = asyncio.ensure_future(customers(site).all())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await site.rest()


async def test_closing_the_client_under_a_reader_is_an_error_and_no_hang(site: Live) -> None:
    site.sim.latency = 1.0
    with pytest.raises((RequestRefused, NotSent, ServerError, OSError)):
        async for _ in customers(site):
            await site.visma.aclose()


# -- errors in the middle


async def test_an_error_in_the_middle_ends_all_requests_and_comes_alone(site: Live) -> None:
    site.sim.latency = 0.2
    site.sim.faults.add("status", status=403, path="/v1/customer", after=4)
    rows: list[Any] = []
    with pytest.raises(Exception, match="403") as caught:
        async for row in customers(site):
            rows.append(row)  # noqa: PERF401 - what came before the error is looked at
    assert not isinstance(caught.value, BaseExceptionGroup)
    assert keys(rows) == truth(site)[: len(rows)]
    assert site.visma.sender.limiter.in_flight == 0
    await site.rest()


# -- without HTTP


def scripted(sender: Any, **options: Any) -> Listing[Any]:
    source = ListSource(
        spec=OperationSpec(id="Customer_GetAll", method="GET", path="/v1/customer"),
        path="/v1/customer",
        style="page_number",
        model=lambda: Customer,
        identity=("number",),
        page_size=10,
        frozen_filter=FrozenFilter(parameter="lastModifiedDateTime", row_field="lastModifiedDateTime"),
    )
    return Listing(source, sender=sender, clock=VirtualClock()).with_options(**options)


class Pages:
    """A sender with places, that answers at once and counts what it has given out."""

    def __init__(self, rows: int, *, places: int = 4, padding: int = 0, late: int | None = None) -> None:
        self.limiter = self
        self.limit = places
        self.sent = 0
        self._rows = rows
        self._padding = "x" * padding
        self._late = late
        self.let_go = asyncio.Event()

    async def send(self, request: Request, /) -> Response:
        self.sent += 1
        await asyncio.sleep(0)
        query = dict(request.query)
        page, size = int(query["pageNumber"]), int(query["pageSize"])
        condition = query.get("lastModifiedDateTimeCondition")
        if page == self._late and condition != ">=":
            await self.let_go.wait()
        rows = 0 if condition == ">=" else self._rows  # all are old
        same: dict[str, Any] = {"name": self._padding, "lastModifiedDateTime": "2020-01-01T00:00:00"}
        same |= {"metadata": {"totalCount": rows, "maxPageSize": 1000}}
        numbers = range((page - 1) * size, min(page * size, rows))
        return reply([{"number": str(number)} | same for number in numbers])


async def idle() -> None:
    """Let the loop turn often enough: without a bound, 33 pages are asked for meanwhile."""
    for _ in range(100):
        await asyncio.sleep(0)


@pytest.mark.parametrize("mode", ["count", "prove"])
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("places", [1, 4, 16])
async def test_a_slow_reader_holds_the_requests_back(places: int, ordered: bool, mode: str) -> None:
    sender = Pages(1_995, places=places)
    seen = 0
    async with aclosing(scripted(sender, ordered=ordered, completeness=mode).pages()) as pages:
        async for page in pages:
            seen += 1
            await idle()
            # one is with the reader, and two may wait beside those in flight; a proof delivers three answers not at all
            assert sender.sent <= seen + places + 2 + (3 if mode == "prove" else 0)
            assert page.rows
    assert seen == 200
    assert sender.sent == (200 if mode == "count" else 203)


@pytest.mark.parametrize("mode", ["count", "prove"])
async def test_bodies_are_bounded_by_bytes_too(mode: str) -> None:
    sender = Pages(495, places=16, padding=10_000)  # pages of 100 kB
    seen = 0
    async with aclosing(scripted(sender, max_bytes=350_000, completeness=mode).pages()) as pages:
        async for _ in pages:
            seen += 1
            await idle()
            # until the first has come, nobody knows how large they are
            assert sender.sent <= max(seen + 3, 4) + (3 if mode == "prove" else 0)
    assert seen == 50


@pytest.mark.parametrize("mode", ["count", "prove"])
@pytest.mark.parametrize("bound", [{}, {"max_bytes": 25_000}])
async def test_pages_that_wait_for_a_late_one_are_bounded_too(bound: dict[str, Any], mode: str) -> None:
    sender = Pages(295, places=16, padding=1_000, late=3)  # pages of 10 kB
    async with aclosing(scripted(sender, completeness=mode, **bound).pages()) as pages:
        seen = [(await anext(pages)).number for _ in range(2)]
        await idle()
        assert sender.sent <= 2 + 3 + (1 if mode == "prove" else 0)
        sender.let_go.set()
        seen += [page.number async for page in pages]
    assert seen == list(range(1, 31))


async def test_a_limit_counts_the_pages_that_wait_for_a_late_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PrefetchWindow, "pages", lambda _, *, in_flight: 2 * in_flight)  # as far from a slow server
    sender = Pages(295, places=16, late=2)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(idle_then, sender.let_go.set)
        assert len(await scripted(sender, limit=25)) == 25
    assert sender.sent == 3, "the third page came before the second"


async def idle_then(act: Callable[[], object]) -> None:
    await idle()
    act()


async def test_a_bound_smaller_than_one_page_still_reads_the_list() -> None:
    assert len(await scripted(Pages(55, padding=1_000), max_bytes=1)) == 55


@pytest.mark.parametrize("body", [b"<html>sign in</html>", b'[{"number":"1"', b"nonsense", b'{"number":"1"}', b"5"])
async def test_a_body_that_is_no_page_is_an_error_that_says_what_came(body: bytes) -> None:
    for way in ("all", "first", "count"):
        listing = scripted(Recorder(by=lambda _: reply(body)))
        with pytest.raises(UnexpectedResponse, match="Customer_GetAll: expected a page"):
            await getattr(listing, way)()
        assert listing.completeness is None


async def test_values_stay_exact() -> None:
    body = b'[{"number":"1","creditLimit":99999999999999999.99,"news":{"a":1.10},"metadata":{"totalCount":1}}]'
    (row,) = await scripted(Recorder(reply(body)))
    assert row.credit_limit == Decimal("99999999999999999.99")


async def test_another_sender_may_know_some_of_the_answers(site: Live) -> None:
    class Counting:
        def __init__(self, sender: Any) -> None:
            self._sender = sender
            self.sent = 0

        async def send(self, request: Request, /) -> Response:
            self.sent += 1
            response: Response = await self._sender.send(request)
            return response

    made: list[Counting] = []

    def wrap(sender: Any) -> Counting:
        made.append(Counting(sender))
        return made[0]

    through: Callable[..., Any] = customers(site).with_sender
    assert keys(await through(wrap, clock=VirtualClock())) == truth(site)
    assert made[0].sent == 13
    assert site.sim.requests.most_in_flight == 1  # a sender that tells no places gets one request at a time


async def test_the_callers_own_filter_is_respected_by_a_proof(site: Live) -> None:
    from vismanet_async._conditions import before, on_or_after

    rows = sorted(row["lastModifiedDateTime"] for row in site.sim.truth("customer").rows())
    middle = rows[ROWS // 2]
    found: set[str] = set()
    for condition in (before(middle), on_or_after(middle)):
        listing = site.visma.customer.list(last_modified_date_time=condition, page_size=SIZE)
        proven = listing.with_options(completeness="prove")
        part = keys(await proven)
        assert proven.completeness is not None
        assert proven.completeness.verdict == "proven"
        assert 0 < len(part) < ROWS
        assert found.isdisjoint(part)
        found.update(part)
    assert found == set(truth(site))

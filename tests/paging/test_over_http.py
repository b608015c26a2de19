"""The guarantee over real HTTP, with others writing and the network failing meanwhile."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from tests.paging.live import Live, keys, live
from vismanet_async._paging.paginator import Paginator
from vismanet_async.errors import IncompleteListing, ServerError, UnexpectedResponse, VismaNetError

if TYPE_CHECKING:
    from vismanet_async._paging.guarantee import Completeness
    from vismanet_async._paging.listing import Listing
    from vismanet_async._paging.request_log import PageRequest

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
        # a request that is signed out twice in a row is refused for good, so that happens once
        often = 1 if fault["kind"] == "expire_tokens" else times
        site.sim.faults.add(**fault, path="/v1/*", times=often, probability=share, after=random.randrange(4))


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


@pytest.mark.parametrize("seed", range(8))
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


@pytest.mark.parametrize("seed", range(2))
async def test_a_busy_list_is_proven_in_the_end(seed: int) -> None:
    async with live(seed=seed, rows={"customer": 400}) as site:
        upset(site, Random(seed), share=0.03)
        churn = site.sim.churn("customer", every_requests=10, remove=1, touch=1, where="random")
        stayed = watch(site, "customer")
        listing = site.visma.customer.list(page_size=20).with_options(completeness="prove")
        rows = await listing
        assert listing.completeness is not None
        assert listing.completeness.verdict == "proven", listing.completeness
        assert churn.seen > 20
        assert len(stayed) < 400
        seen = keys(rows)
        assert len(set(seen)) == len(seen)
        assert stayed <= set(seen)


class Hidden:
    """One row removed from what was read, one added to it, after page 1: the total never changes."""

    def __init__(self, site: Live) -> None:
        self._site = site
        self.stayed = set(site.sim.truth("customer").keys)
        self._done = False
        company = site.sim.company()
        company.after_request = self  # type: ignore[method-assign]

    def __call__(self, table: str) -> None:
        if not self._done:
            self._done = True
            first = self._site.sim.truth("customer").keys[0]
            self._site.sim.remove("customer", first)
            self._site.sim.add("customer")
            self.stayed.discard(first)


@pytest.mark.parametrize("mode", ["none", "count", "prove"])
async def test_delete_one_add_one(mode: str) -> None:
    async with live(rows={"customer": 100}, concurrency=1) as site:
        hidden = Hidden(site)
        listing = site.visma.customer.list(page_size=10).with_options(completeness=mode, allow_uncertain=True)
        seen = keys(await listing)
        assert listing.completeness is not None
        if mode == "prove":
            assert hidden.stayed <= set(seen)
            assert listing.completeness.verdict == "proven", listing.completeness
        else:  # this is the row that only a proof can find
            assert len(hidden.stayed - set(seen)) == 1
            assert listing.completeness.verdict != "proven"


@pytest.mark.parametrize(
    ("mode", "rows", "requests", "verdict"),
    [
        ("none", 0, 3, "proven"),
        ("none", 20, 1, "uncertain"),
        ("none", 21, 2, "uncertain"),
        ("none", 199, 10, "uncertain"),
        ("count", 20, 2, "counted"),  # the end of a full page is seen, not computed
        ("count", 21, 2, "counted"),
        ("count", 199, 10, "counted"),
        ("count", 200, 11, "counted"),
        ("prove", 0, 3, "proven"),  # a blank answer is believed the third time
        ("prove", 19, 1, "proven"),
        ("prove", 20, 2, "proven"),
        ("prove", 21, 5, "proven"),
        ("prove", 199, 13, "proven"),
        ("best", 20, 2, "proven"),
        ("best", 199, 13, "proven"),
        ("best", 200, 13, "proven"),
    ],
)
async def test_a_quiet_list_costs_its_pages(mode: str, rows: int, requests: int, verdict: str) -> None:
    async with live(rows={"customer": rows}) as site:
        listing = site.visma.customer.list(page_size=20).with_options(completeness=mode)
        assert keys(await listing) == site.sim.truth("customer").keys
        sent = len(site.sim.requests.matching(operation="Customer_GetAll"))
        assert sent == listing.progress.requests <= requests
        assert listing.completeness is not None
        assert listing.completeness.verdict == verdict


async def test_no_more_in_flight_than_allowed() -> None:
    async with live(rows={"customer": 400}, latency=0.1, concurrency=3) as site:
        await site.visma.customer.list(page_size=10).with_options(
            completeness="count", expected_rows=400
        )  # so all places are used at first
        assert site.sim.requests.most_in_flight == 3


def style(site: Live, name: str) -> tuple[Listing[Any], tuple[str, ...]]:
    visma = site.visma
    known: dict[str, tuple[Listing[Any], tuple[str, ...]]] = {
        "customer_invoice": (visma.customer_invoice.list(page_size=7), ("document_type", "reference_number")),
        "kit_assembly": (visma.kit_assembly.list(page_size=7), ("type", "ref_no")),  # an envelope
        "account": (visma.account.list(), ("account_cd",)),  # unpaged
        "sales_order": (visma.sales_order_service.list(page_size=7), ("type", "order_id")),
        "journal_transaction": (
            visma.journal_transaction.list(last_modified_date_time="2000-01-01", page_size=7),
            ("batch_number",),
        ),
    }
    return known[name]


STYLES = ["customer_invoice", "kit_assembly", "account", "sales_order", "journal_transaction"]


@pytest.mark.parametrize("mode", ["none", "count", "prove", "best"])
@pytest.mark.parametrize("name", STYLES)
async def test_every_style_of_paging(name: str, mode: str) -> None:
    sizes = {"customer_invoice": 40, "kit_assembly": 40, "sales_order": 40, "journal_transaction": 40}
    async with live(rows=sizes) as site:
        listing, identity = style(site, name)
        listing = listing.with_options(completeness=mode)
        if name == "journal_transaction" and mode == "prove":  # totals of lines prove nothing of batches
            with pytest.raises(IncompleteListing, match="sizes count lines"):
                await listing
            return
        rows = await listing
        truth = site.sim.truth(name)
        assert len(rows) == len(truth) > 7
        assert listing.completeness is not None
        # without a claim nobody looks whether an endpoint that is said not to page does
        assert (listing.completeness.verdict == "uncertain") == (mode == "none")
        if mode in {"prove", "best"} and name != "journal_transaction":
            assert listing.completeness.verdict == "proven"
        if name != "customer_invoice":  # whose type is part of the key in another spelling
            assert sorted(keys(rows, identity)) == sorted(truth.keys)
        if name == "journal_transaction":
            lines = {row["batchNumber"]: len(row["journalTransactionLines"]) for row in truth.rows()}
            assert {row.batch_number: len(row.journal_transaction_lines) for row in rows} == lines


@pytest.mark.parametrize("name", STYLES)
@pytest.mark.parametrize("empty", ["[]", "", "null", '""'])
async def test_every_form_of_an_empty_list(name: str, empty: str) -> None:
    async with live(behaviours={"empty_list": empty}) as site:
        site.sim.remove(name, count=10_000)
        listing, _ = style(site, name)
        assert await listing == []
        assert await listing.first() is None
        if name != "journal_transaction":
            assert await listing.count() == 0
        assert listing.completeness is not None
        assert listing.completeness.verdict == "proven"


BROKEN: tuple[dict[str, Any], ...] = (
    {"kind": "html", "status": 200},
    {"kind": "short_body", "share": 0.5},
    {"kind": "cut_body", "share": 0.5},
    {"kind": "reset_after"},
    {"kind": "status", "status": 500},
    {"kind": "status", "status": 503},
)


@pytest.mark.parametrize("fault", BROKEN, ids=lambda fault: f"{fault['kind']} {fault.get('status', '')}")
async def test_a_page_that_stays_broken_is_told_with_what_came_before(fault: dict[str, Any]) -> None:
    async with live(rows={"customer": 100}) as site:
        site.sim.faults.add(**fault, path="/v1/customer", after=3)
        rows, seen, report, error = await read(site.visma.customer.list(page_size=10))
        assert isinstance(error, VismaNetError)
        assert not isinstance(error, IncompleteListing)
        assert report is None  # no claim about a read that did not come to its end
        assert 0 < len(rows) < 100
        assert seen == site.sim.truth("customer").keys[: len(seen)]


@pytest.mark.parametrize("fault", BROKEN, ids=lambda fault: f"{fault['kind']} {fault.get('status', '')}")
async def test_a_page_that_recovers_is_no_loss(fault: dict[str, Any]) -> None:
    async with live(rows={"customer": 100}) as site:
        site.sim.faults.add(**fault, path="/v1/customer", after=3, times=2)
        listing = site.visma.customer.list(page_size=10)
        assert keys(await listing) == site.sim.truth("customer").keys


async def test_after_the_transport_gave_up_a_page_waits_before_it_is_asked_for_again() -> None:
    async with live(rows={"customer": 100}, concurrency=1) as site:
        site.sim.faults.add("status", status=503, path="/v1/customer", after=2, times=3)
        assert len(await site.visma.customer.list(page_size=10)) == 100
        assert 15.0 in site.clock.slept


async def test_retry_after_holds_everybody_back() -> None:
    async with live(rows={"customer": 200}) as site:
        site.sim.faults.add("status", status=429, retry_after=30, path="/v1/customer", after=4, times=1)
        began = site.clock.monotonic()
        assert len(await site.visma.customer.list(page_size=10)) == 200
        assert site.clock.monotonic() - began >= 30
        struck = next(entry for entry in site.sim.requests if entry.fault)
        assert struck.finished_at is not None
        for entry in site.sim.requests:
            assert entry.at <= struck.finished_at or entry.at >= struck.finished_at + 30


async def test_a_list_without_totals_is_proven_by_pages_that_overlap() -> None:
    async with live(rows={"customer": 100}, behaviours={"list_metadata": False}) as site:
        listing = site.visma.customer.list(page_size=10)
        assert len(await listing) == 100
        assert listing.completeness is not None
        assert (listing.completeness.verdict, listing.completeness.rests_on) == ("proven", ("order",))
        with pytest.raises(IncompleteListing, match="cannot be shown complete"):
            await listing.with_options(completeness="count")
        with pytest.raises(UnexpectedResponse, match="does not tell how many"):
            await listing.count()


async def test_a_company_that_is_gone_is_one_error() -> None:
    async with live(rows={"customer": 100}) as site:
        site.sim.faults.add("status", status=500, path="/v1/customer")
        with pytest.raises(ServerError):
            await site.visma.customer.list(page_size=10)


async def test_a_reading_that_would_wait_for_nothing_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a mistake in the rules would be: silence for ever is the worst way to tell of it."""
    asked: list[object] = []

    def next_request(paginator: Paginator) -> PageRequest | None:
        asked.append(paginator)
        return real(paginator) if len(asked) == 1 else None

    real = Paginator.next_request
    monkeypatch.setattr(Paginator, "next_request", next_request)
    async with live(rows={"customer": 40}) as site:
        with pytest.raises(RuntimeError, match="waits for an answer although nothing was asked"):
            await site.visma.customer.list(page_size=10).all()

"""The whole surface over real HTTP: what the server sees of every call, and what becomes of its answers."""

from __future__ import annotations

# mypy: disable-error-code="unused-awaitable"
import json
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import pytest_asyncio

from tests.api.support import operations, sample
from tests.api.test_walk import METHODS, _body, _line, as_lists, call, expected_query
from vismanet_async._api.files import Upload
from vismanet_async._api.models import CustomerInvoiceLineUpdate, CustomerInvoiceUpdate, CustomerUpdate
from vismanet_async._client import VismaNet
from vismanet_async._codec.model import Record
from vismanet_async._codec.values import UNSET
from vismanet_async._http.auth.credentials import StaticToken
from vismanet_async._paging.listing import Listing
from vismanet_async.errors import IncompleteListing, NotFound, PreconditionFailed, VismaNetError
from vismanet_async.models import NewOrder, NewOrderCustomer, NewOrderLine
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

# what Visma has ended is called here as well
pytestmark = pytest.mark.filterwarnings("ignore:Visma ended this operation:DeprecationWarning")

PAGING = {"pageNumber", "pageIndex", "pageSize"}


@pytest_asyncio.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(seed=1, rows={"customer": 30}) as simulator:
        yield simulator


@pytest_asyncio.fixture
async def visma(sim: Simulator) -> AsyncIterator[VismaNet]:
    async with VismaNet(
        StaticToken(sim.issue_token()),
        base_url=sim.base_url,
        sales_order_url=sim.sales_order_url,
        token_url=sim.token_url,
    ) as client:
        yield client


async def test_every_request_arrives_as_the_catalog_has_it(sim: Simulator, visma: VismaNet) -> None:
    for key, operation in sorted(operations().items()):
        made: Any = call(visma, key, body=_body(key))  # type: ignore[arg-type]  # a real client this time
        with suppress(VismaNetError):  # the ids are made up, so most answers are 404
            await (made.first() if isinstance(made, Listing) else made)
        seen = sim.requests[-1]
        assert seen.operation == key
        assert seen.method == operation["method"]
        pairs = tuple((name, value) for name, value in seen.query_pairs if name not in PAGING)
        assert as_lists(pairs) == expected_query(operation), key
        dto = (operation["request"] or {}).get("dto")
        if dto:
            assert json.loads(seen.body) == sample(dto, wrap=True, line=_line(operation))
        elif (operation["request"] or {}).get("kind") == "multipart":
            assert b'filename="file.pdf"' in seen.body
            assert b"\r\n\r\ncontent\r\n" in seen.body


async def test_single_reads_are_decoded_into_their_models(sim: Simulator, visma: VismaNet) -> None:
    read = 0
    for resource, name, facts in METHODS.values():
        ids = facts.get("ids", [])
        if facts["call"] != "read" or not ids:
            continue
        with suppress(KeyError):  # a few resources keep no rows of their own
            keys = list(sim.truth(resource).keys)
            values = [int(part) if kind == "int" and part.isdigit() else part
                      for part, (_, kind) in zip(keys[0].split("/")[-len(ids):], ids, strict=False)]  # fmt: skip
            with suppress(VismaNetError, TypeError):  # internal ids, classes and the like are not the rows' keys
                record = await getattr(getattr(visma, resource), name)(*values)
                assert isinstance(record, Record)
                assert type(record).__name__ == facts["result"]
                assert record.raw_json
                assert record.attempts
                read += 1
    assert read >= 85


async def test_lists_are_decoded_into_their_models(visma: VismaNet) -> None:
    decoded = 0
    for resource, name, facts in METHODS.values():
        if name != "list" or facts.get("ids") or resource in {"journal_transaction", "dimension"}:
            continue  # a mandatory filter; plain text, which has a test of its own
        if any(one.get("required") for one in facts.get("parameters", ())):
            continue
        listing = getattr(visma, resource).list().with_options(limit=3)
        async for record in listing:
            assert type(record).__name__ == facts["result"]
            assert record.raw_json
            decoded += 1
    assert decoded > 200


@pytest.mark.parametrize("mode", ["none", "count", "prove"])
async def test_a_list_of_plain_text(visma: VismaNet, mode: Any) -> None:
    listing = visma.dimension.list().with_options(completeness=mode)
    names = await listing
    assert "ACCOUNT" in names
    assert all(type(name) is str for name in names)
    assert listing.completeness
    assert listing.completeness.verdict == ("uncertain" if mode == "none" else "proven")
    assert (await visma.dimension.list().first(), await visma.dimension.list().count()) == (names[0], len(names))


async def test_a_list_that_pages_without_totals_is_read_to_its_end_and_says_so(sim: Simulator, visma: VismaNet) -> None:
    listing = visma.cash_transaction.list(page_size=30)
    rows = await listing
    assert [row.reference_nbr for row in rows] == sim.truth("cash_transaction").keys
    assert listing.completeness
    assert (listing.completeness.verdict, listing.completeness.rests_on) == ("proven", ("order",))
    with pytest.raises(IncompleteListing, match=r"no totals.*with_options\(allow_uncertain=True\)"):
        await listing.with_options(completeness="count")


async def test_a_customer_from_create_to_update(sim: Simulator, visma: VismaNet) -> None:
    created = await visma.customer.create(
        CustomerUpdate(name="Blåbær AS", credit_limit=Decimal("1234567890123.4567"), currency_id="NOK")
    )
    assert created.id
    customer = await visma.customer.get(created.id)
    assert (customer.name, customer.credit_limit) == ("Blåbær AS", Decimal("1234567890123.4567"))
    assert customer.etag == created.etag
    updated = await visma.customer.update(created.id, CustomerUpdate(name="Tyttebær AS"), if_match=customer)
    assert updated.etag != customer.etag
    with pytest.raises(PreconditionFailed) as caught:
        await visma.customer.update(created.id, {"name": "late"}, if_match=customer)
    assert caught.value.expected == customer.etag
    again = await visma.customer.get(created.id)
    assert (again.name, again.credit_limit, again.etag) == ("Tyttebær AS", customer.credit_limit, updated.etag)


async def test_no_update_of_200_tasks_is_lost(sim: Simulator, visma: VismaNet) -> None:
    number = sim.truth("customer").keys[0]
    await visma.customer.update(number, {"credit_limit": 0})

    async def add_one() -> None:
        await visma.customer.modify(number, lambda now: CustomerUpdate(credit_limit=(now.credit_limit or 0) + 1))

    async with anyio.create_task_group() as group:
        for _ in range(200):
            group.start_soon(add_one)
    assert (await visma.customer.get(number)).credit_limit == 200


async def test_lines_of_an_invoice(visma: VismaNet) -> None:
    customer = await visma.customer.list().first()
    item = await visma.inventory.list().first()
    assert customer
    assert item
    insert = CustomerInvoiceLineUpdate.insert
    created = await visma.customer_invoice.create(
        CustomerInvoiceUpdate(
            customer_number=customer.number,
            invoice_lines=[
                insert(inventory_number=item.inventory_number, quantity=2, unit_price_in_currency=Decimal("12.10")),
                insert(inventory_number=item.inventory_number, quantity=1, unit_price_in_currency=5),
            ],
        )
    )
    assert created.id
    invoice = await visma.customer_invoice.get(created.id)
    assert invoice.invoice_lines
    assert len(invoice.invoice_lines) == 2
    first, second = (line.line_number for line in invoice.invoice_lines)
    assert isinstance(first, int)
    assert isinstance(second, int)
    change = [CustomerInvoiceLineUpdate.update(first, quantity=7), CustomerInvoiceLineUpdate.delete(second)]
    await visma.customer_invoice.update(created.id, CustomerInvoiceUpdate(invoice_lines=change), if_match=invoice)
    lines = (await visma.customer_invoice.get(created.id)).invoice_lines
    assert lines
    assert [(line.line_number, line.quantity) for line in lines] == [(first, Decimal(7))]


async def test_an_attachment_there_and_back(visma: VismaNet, tmp_path: Path) -> None:
    invoice = await visma.customer_invoice.list().first()
    assert invoice
    assert invoice.reference_number
    content = bytes(range(256)) * 400
    created = await visma.customer_invoice.add_attachment(invoice.reference_number, Upload(content, "faktura å.pdf"))
    assert created.id
    assert (await visma.attachment.download(created.id)).content == content
    place = await visma.attachment.download(created.id).save(tmp_path)
    assert place.read_bytes() == content


async def test_the_features_of_the_company(visma: VismaNet) -> None:
    features = (await visma.features_set.get()).features
    assert features
    names = [feature.name for feature in features]
    assert len(set(names)) == len(names) > 1
    assert {feature.is_enabled for feature in features} == {True, False}
    one = (await visma.features_set.get(feature_name=str(names[1]), feature_enabled=True)).features
    assert one
    assert [feature.name for feature in one] == names[1:2]


async def test_order_types_have_keys_of_their_own(sim: Simulator, visma: VismaNet) -> None:
    types = [row.order_type for row in await visma.sales_order_type.list()]
    assert types == sim.truth("sales_order_type").keys
    assert len(set(types)) == len(types) > 1
    assert {order.type for order in await visma.sales_order_service.list()} <= set(types)
    assert (await visma.sales_order_type.get("SO")).order_type == "SO"


async def test_orders_of_the_sales_order_service(sim: Simulator, visma: VismaNet) -> None:
    rows = [row async for row in visma.sales_order_service.list(page_size=5).with_options(limit=12)]
    assert len(rows) == 12
    assert len({(row.type, row.order_id) for row in rows}) == 12
    assert all(not row.extra for row in rows)
    kind, number = rows[0].type, rows[0].order_id
    assert kind
    assert number
    everything = await visma.sales_order_service.list()
    one_kind = await visma.sales_order_service.list(order_type=kind)
    assert [row.order_id for row in one_kind] == [row.order_id for row in everything if row.type == kind]
    order = await visma.sales_order_service.get(kind, number)
    assert (order.type, order.order_id, order.extra, order.customer) == (kind, number, {}, UNSET)
    assert order.status
    assert order.totals
    assert (order.status.description, order.totals.order_total) == (rows[0].status, rows[0].order_total)
    order = await visma.sales_order_service.get(kind, number, expand=["All"])
    assert order.customer
    assert order.customer.id == rows[0].customer_id
    # came later than the description, so they have no field
    assert set(order.extra) == {"commissions", "discounts", "lines", "rotRut", "shipment", "tax"}
    assert order.billing
    assert order.billing.address
    assert order.shipping
    assert order.financial_information
    assert order.payment_settings
    assert order.billing.address.city
    assert order.shipping.rule


async def test_an_order_from_create_to_delete(sim: Simulator, visma: VismaNet) -> None:
    orders, items = visma.sales_order_service, sim.truth("inventory").keys
    created = await orders.create(
        NewOrder(
            type="SO",
            customer=NewOrderCustomer(id=sim.truth("customer").keys[0]),
            date=datetime(2025, 5, 25, tzinfo=UTC),
            currency_id="NOK",
            order_lines=[NewOrderLine(inventory_id=items[0], quantity=2, unit_price=Decimal("10.50"))],
        )
    )
    assert created.key
    kind, number = created.key
    order = await orders.get(kind, number)
    assert order.date == datetime(2025, 5, 25, tzinfo=UTC)
    assert order.totals
    assert order.totals.order_total == 21
    answer = await orders.update(kind, number, {"description": "x"}, if_match=order)
    answer = await orders.add_lines(kind, number, [{"inventory_id": items[1]}], if_match=answer)
    answer = await orders.update_lines(kind, number, [{"line_id": 1, "quantity": 3}], if_match=answer)
    lines: Any = await orders.list_lines(kind, number)
    assert [(line.line_id, line.quantity, line.extra) for line in lines] == [(1, Decimal(3), {}), (2, Decimal(1), {})]
    assert lines[0].inventory
    assert lines[0].inventory.id == items[0]
    with pytest.raises(PreconditionFailed):
        await orders.delete_lines(kind, number, [1], if_match=order)
    answer = await orders.delete_lines(kind, number, [1], if_match=answer)
    assert (await orders.get_line(kind, number, 2)).line_id == 2
    with pytest.raises(NotFound):
        await orders.get_line(kind, number, 1)
    await orders.delete(kind, number, if_match=answer)
    with pytest.raises(NotFound):
        await orders.get(kind, number)

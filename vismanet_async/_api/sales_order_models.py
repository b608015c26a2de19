"""The records of the Sales Order service, as far as orders and their lines go (docs/facts.md 1.3 and 10.15).

The service describes itself at https://salesorder.visma.net/swagger/v3/swagger.json; nothing here is wrapped in
`{"value": x}`. Its moments are points in time: without an offset they are UTC. What is not typed is in `record.extra`.
"""

# ruff: noqa: TC003 - the types are looked up when a decoder is built

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from vismanet_async._codec.fields import point_in_time
from vismanet_async._codec.layout import read_model, write_model
from vismanet_async._codec.model import Model, Record, WriteModel
from vismanet_async._codec.values import UNSET, Maybe, Moment, Number

__all__ = [
    "IdWithDescription",
    "IdWithName",
    "NewOrder",
    "NewOrderAddress",
    "NewOrderContact",
    "NewOrderCustomer",
    "NewOrderFinancialInformation",
    "NewOrderFreight",
    "NewOrderLine",
    "NewOrderLines",
    "NewOrderParty",
    "NewOrderPayment",
    "NewOrderPrint",
    "NewOrderShipping",
    "Order",
    "OrderAddress",
    "OrderAttachment",
    "OrderContact",
    "OrderCustomer",
    "OrderFinancialInformation",
    "OrderFreight",
    "OrderLine",
    "OrderLinePatch",
    "OrderLinePatches",
    "OrderParty",
    "OrderPatch",
    "OrderPayment",
    "OrderPrint",
    "OrderProject",
    "OrderShipping",
    "OrderStatus",
    "OrderSummary",
    "OrderTotals",
    "RawRecord",
]


@read_model
class RawRecord(Record):
    """A record that is not typed here: `extra` has everything."""


# --- what is read --------------------------------------------------------------------------------------------------


@read_model
class IdWithDescription(Model):
    """An id with its description."""

    id: Maybe[str] = UNSET
    description: Maybe[str] = UNSET


@read_model
class IdWithName(Model):
    """An id with its name."""

    id: Maybe[str] = UNSET
    name: Maybe[str] = UNSET


@read_model
class OrderSummary(Record):
    """An order as the list shows it."""

    type: Maybe[str] = UNSET
    order_id: Maybe[str] = UNSET
    status: Maybe[str] = UNSET
    date: Maybe[datetime] = UNSET
    request_on: Maybe[datetime] = UNSET
    shipping_scheduled_date: Maybe[datetime] = UNSET
    last_modified: Maybe[datetime] = UNSET
    customer_id: Maybe[str] = UNSET
    customer_name: Maybe[str] = UNSET
    customer_order: Maybe[str] = UNSET
    customer_ref_no: Maybe[str] = UNSET
    location: Maybe[str] = UNSET
    description: Maybe[str] = UNSET
    currency: Maybe[str] = UNSET
    order_qty: Maybe[Decimal] = UNSET
    order_total: Maybe[Decimal] = UNSET


@read_model
class OrderStatus(Model):
    """The state of an order."""

    description: Maybe[str] = UNSET
    hold: Maybe[bool] = UNSET
    cancelled: Maybe[bool] = UNSET


@read_model
class OrderCustomer(Model):
    """The customer of an order."""

    id: Maybe[str] = UNSET
    internal_id: Maybe[int] = UNSET
    name: Maybe[str] = UNSET
    order: Maybe[str] = UNSET
    ref_no: Maybe[str] = UNSET
    contact_id: Maybe[int] = UNSET
    tax_zone: Maybe[IdWithDescription] = UNSET


@read_model
class OrderAddress(Model):
    """An address of an order."""

    id: Maybe[int] = UNSET
    line1: Maybe[str] = UNSET
    line2: Maybe[str] = UNSET
    line3: Maybe[str] = UNSET
    postal_code: Maybe[str] = UNSET
    city: Maybe[str] = UNSET
    country: Maybe[IdWithName] = UNSET
    county: Maybe[IdWithName] = UNSET
    overrides_default: Maybe[bool] = UNSET


@read_model
class OrderContact(Model):
    """A contact of an order."""

    id: Maybe[int] = UNSET
    name: Maybe[str] = UNSET
    attention: Maybe[str] = UNSET
    email: Maybe[str] = UNSET
    phone1: Maybe[str] = UNSET
    overrides_default: Maybe[bool] = UNSET


@read_model
class OrderParty(Model):
    """Who is billed."""

    address: Maybe[OrderAddress] = UNSET
    contact: Maybe[OrderContact] = UNSET


@read_model
class OrderFinancialInformation(Model):
    """The invoice that an order leads to."""

    invoice_id: Maybe[str] = UNSET
    invoice_date: Maybe[datetime] = UNSET
    due_date: Maybe[datetime] = UNSET
    cash_discount_date: Maybe[datetime] = UNSET
    invoice_separately: Maybe[bool] = UNSET
    post_period: Maybe[str] = UNSET
    terms: Maybe[IdWithDescription] = UNSET


@read_model
class OrderPayment(Model):
    """How an order is paid."""

    cash_account_id: Maybe[str] = UNSET
    payment_method: Maybe[IdWithDescription] = UNSET
    payment_reference: Maybe[str] = UNSET


@read_model
class OrderShipping(Model):
    """How an order is shipped."""

    address: Maybe[OrderAddress] = UNSET
    contact: Maybe[OrderContact] = UNSET
    scheduled_date: Maybe[datetime] = UNSET
    rule: Maybe[str] = UNSET
    priority: Maybe[int] = UNSET
    ship_separately: Maybe[bool] = UNSET
    ship_via: Maybe[IdWithDescription] = UNSET
    terms: Maybe[IdWithDescription] = UNSET
    zone: Maybe[IdWithDescription] = UNSET
    fob_point: Maybe[IdWithDescription] = UNSET
    preferred_warehouse: Maybe[IdWithDescription] = UNSET
    insurance: Maybe[bool] = UNSET
    residential_delivery: Maybe[bool] = UNSET
    saturday_delivery: Maybe[bool] = UNSET


@read_model
class OrderFreight(Model):
    """The freight of an order."""

    amount: Maybe[Decimal] = UNSET
    amount_in_base_currency: Maybe[Decimal] = UNSET
    cost: Maybe[Decimal] = UNSET
    cost_in_base_currency: Maybe[Decimal] = UNSET
    premium_amount: Maybe[Decimal] = UNSET
    premium_amount_in_base_currency: Maybe[Decimal] = UNSET
    tax_category_id: Maybe[str] = UNSET
    volume: Maybe[Decimal] = UNSET
    weight: Maybe[Decimal] = UNSET


@read_model
class OrderTotals(Model):
    """The totals of an order, in its own and in the base currency."""

    order_total: Maybe[Decimal] = UNSET
    order_total_in_base_currency: Maybe[Decimal] = UNSET
    tax_total: Maybe[Decimal] = UNSET
    tax_total_in_base_currency: Maybe[Decimal] = UNSET
    taxable_total: Maybe[Decimal] = UNSET
    taxable_total_in_base_currency: Maybe[Decimal] = UNSET
    tax_exempt_total: Maybe[Decimal] = UNSET
    tax_exempt_total_in_base_currency: Maybe[Decimal] = UNSET
    discount_total: Maybe[Decimal] = UNSET
    discount_total_in_base_currency: Maybe[Decimal] = UNSET
    freight_total: Maybe[Decimal] = UNSET
    freight_total_in_base_currency: Maybe[Decimal] = UNSET
    freight_cost: Maybe[Decimal] = UNSET
    freight_cost_in_base_currency: Maybe[Decimal] = UNSET
    cost_total: Maybe[Decimal] = UNSET
    cost_total_in_base_currency: Maybe[Decimal] = UNSET
    unbilled_amount: Maybe[Decimal] = UNSET
    unbilled_amount_in_base_currency: Maybe[Decimal] = UNSET
    unshipped_amount: Maybe[Decimal] = UNSET
    unshipped_amount_in_base_currency: Maybe[Decimal] = UNSET


@read_model
class OrderPrint(Model):
    """What is printed where."""

    description_on_invoice: Maybe[bool] = UNSET
    note_on_external_documents: Maybe[bool] = UNSET
    note_on_internal_documents: Maybe[bool] = UNSET


@read_model
class OrderAttachment(Model):
    """A file attached to an order or a line."""

    id: Maybe[str] = UNSET
    name: Maybe[str] = UNSET
    revision: Maybe[int] = UNSET


@read_model
class OrderProject(Model):
    """The project of an order."""

    id: Maybe[str] = UNSET
    internal_id: Maybe[int] = UNSET
    description: Maybe[str] = UNSET


@read_model
class Order(Record):
    """An order. The parts that `get` was not asked for by `expand` are missing; lines are a list of their own."""

    type: Maybe[str] = UNSET
    order_id: Maybe[str] = UNSET
    version: Maybe[str] = UNSET
    status: Maybe[OrderStatus] = UNSET
    date: Maybe[datetime] = UNSET
    request_on: Maybe[datetime] = UNSET
    cancel_by: Maybe[datetime] = UNSET
    last_modified: Maybe[datetime] = UNSET
    created_by: Maybe[str] = UNSET
    description: Maybe[str] = UNSET
    note: Maybe[str] = UNSET
    currency_id: Maybe[str] = UNSET
    order_qty: Maybe[Decimal] = UNSET
    customer: Maybe[OrderCustomer] = UNSET
    billing: Maybe[OrderParty] = UNSET
    shipping: Maybe[OrderShipping] = UNSET
    payment_settings: Maybe[OrderPayment] = UNSET
    financial_information: Maybe[OrderFinancialInformation] = UNSET
    freight: Maybe[OrderFreight] = UNSET
    totals: Maybe[OrderTotals] = UNSET
    print: Maybe[OrderPrint] = UNSET
    branch: Maybe[IdWithDescription] = UNSET
    project: Maybe[OrderProject] = UNSET
    sales_person: Maybe[IdWithDescription] = UNSET
    owner: Maybe[IdWithName] = UNSET
    attachments: Maybe[list[OrderAttachment]] = UNSET
    original_order_type: Maybe[str] = UNSET
    original_order_id: Maybe[str] = UNSET
    is_rot_rut_deductable: Maybe[bool] = UNSET
    use_replacement_cost_for_margin_and_profit: Maybe[bool] = UNSET

    @property
    def etag(self) -> str | None:
        """The version to give as `if_match=`."""
        return super().etag or self.version or None


@read_model
class OrderLine(Record):
    """A line of an order."""

    line_id: Maybe[int] = UNSET
    sort_order: Maybe[int] = UNSET
    line_type: Maybe[str] = UNSET
    operation: Maybe[str] = UNSET
    inventory: Maybe[IdWithDescription] = UNSET
    inventory_alternate_id: Maybe[str] = UNSET
    description: Maybe[str] = UNSET
    note: Maybe[str] = UNSET
    quantity: Maybe[Decimal] = UNSET
    base_order_quantity: Maybe[Decimal] = UNSET
    billed_quantity: Maybe[Decimal] = UNSET
    open_quantity: Maybe[Decimal] = UNSET
    quantity_on_shipments: Maybe[Decimal] = UNSET
    unit_of_measure: Maybe[str] = UNSET
    unit_price: Maybe[Decimal] = UNSET
    unit_cost: Maybe[Decimal] = UNSET
    replacement_unit_cost: Maybe[Decimal] = UNSET
    extended_price: Maybe[Decimal] = UNSET
    line_total_before_discount: Maybe[Decimal] = UNSET
    discount_amount: Maybe[Decimal] = UNSET
    discount_percent: Maybe[Decimal] = UNSET
    discount_code: Maybe[str] = UNSET
    discount_sequence_id: Maybe[str] = UNSET
    has_manual_discount: Maybe[bool] = UNSET
    has_manual_price: Maybe[bool] = UNSET
    free_item: Maybe[bool] = UNSET
    commissionable: Maybe[bool] = UNSET
    completed: Maybe[bool] = UNSET
    open_line: Maybe[bool] = UNSET
    order_date: Maybe[datetime] = UNSET
    request_date: Maybe[datetime] = UNSET
    ship_date: Maybe[datetime] = UNSET
    shipping_rule: Maybe[str] = UNSET
    undership_threshold: Maybe[Decimal] = UNSET
    overship_threshold: Maybe[Decimal] = UNSET
    warehouse_id: Maybe[str] = UNSET
    tax_category_id: Maybe[str] = UNSET
    reason_code: Maybe[str] = UNSET
    sales_account_id: Maybe[str] = UNSET
    subaccount: Maybe[dict[str, Any]] = UNSET
    sales_person: Maybe[IdWithDescription] = UNSET
    branch: Maybe[IdWithDescription] = UNSET
    project_task_id: Maybe[str] = UNSET
    purchase_order_source: Maybe[str] = UNSET
    supplier: Maybe[IdWithName] = UNSET
    supplier_price: Maybe[Decimal] = UNSET
    external_link: Maybe[str] = UNSET
    attachments: Maybe[list[OrderAttachment]] = UNSET


# --- what is sent --------------------------------------------------------------------------------------------------


@write_model
class NewOrderCustomer(WriteModel):
    """Whom an order is for."""

    id: Maybe[str] = UNSET
    gln: Maybe[str] = UNSET
    contact_id: Maybe[int] = UNSET
    location_id: Maybe[str] = UNSET
    order: Maybe[str] = UNSET
    ref_no: Maybe[str] = UNSET
    terms_id: Maybe[str] = UNSET


@write_model
class NewOrderAddress(WriteModel):
    """An address of an order."""

    line1: Maybe[str] = UNSET
    line2: Maybe[str] = UNSET
    line3: Maybe[str] = UNSET
    postal_code: Maybe[str] = UNSET
    city: Maybe[str] = UNSET
    country_id: Maybe[str] = UNSET
    state_id: Maybe[str] = UNSET
    overrides_default: Maybe[bool] = UNSET


@write_model
class NewOrderContact(WriteModel):
    """A contact of an order."""

    name: Maybe[str] = UNSET
    attention: Maybe[str] = UNSET
    email: Maybe[str] = UNSET
    phone1: Maybe[str] = UNSET
    overrides_default: Maybe[bool] = UNSET


@write_model
class NewOrderParty(WriteModel):
    """Who is billed."""

    address: Maybe[NewOrderAddress] = UNSET
    contact: Maybe[NewOrderContact] = UNSET


@write_model
class NewOrderFinancialInformation(WriteModel):
    """The invoice that an order leads to."""

    invoice_id: Maybe[str] = UNSET
    invoice_date: Maybe[Moment] = point_in_time()
    due_date: Maybe[Moment] = point_in_time()
    cash_discount_date: Maybe[Moment] = point_in_time()
    invoice_separately: Maybe[bool] = UNSET
    post_period: Maybe[str] = UNSET


@write_model
class NewOrderFreight(WriteModel):
    """The freight of an order."""

    cost: Maybe[Number] = UNSET
    premium_amount: Maybe[Number] = UNSET
    tax_category_id: Maybe[str] = UNSET


@write_model
class NewOrderPayment(WriteModel):
    """How an order is paid."""

    cash_account_id: Maybe[str] = UNSET
    payment_method_id: Maybe[str] = UNSET
    payment_reference: Maybe[str] = UNSET


@write_model
class NewOrderShipping(WriteModel):
    """How an order is shipped."""

    address: Maybe[NewOrderAddress] = UNSET
    contact: Maybe[NewOrderContact] = UNSET
    scheduled_date: Maybe[Moment] = point_in_time()
    rule: Maybe[str] = UNSET
    priority: Maybe[int] = UNSET
    ship_separately: Maybe[bool] = UNSET
    ship_via_id: Maybe[str] = UNSET
    terms_id: Maybe[str] = UNSET
    zone_id: Maybe[str] = UNSET
    fob_point_id: Maybe[str] = UNSET
    preferred_warehouse_id: Maybe[str] = UNSET
    intrastat_transaction_type_id: Maybe[int] = UNSET
    insurance: Maybe[bool] = UNSET
    residential_delivery: Maybe[bool] = UNSET
    saturday_delivery: Maybe[bool] = UNSET


@write_model
class NewOrderPrint(WriteModel):
    """What is printed where."""

    description_on_invoice: Maybe[bool] = UNSET
    note_on_external_documents: Maybe[bool] = UNSET
    note_on_internal_documents: Maybe[bool] = UNSET


@write_model
class OrderPatch(WriteModel):
    """What to change in an order; only the fields given change."""

    status: Maybe[str] = UNSET
    date: Maybe[Moment] = point_in_time()
    request_on: Maybe[Moment] = point_in_time()
    cancel_by: Maybe[Moment] = point_in_time()
    description: Maybe[str] = UNSET
    note: Maybe[str] = UNSET
    currency_id: Maybe[str] = UNSET
    tax_zone_id: Maybe[str] = UNSET
    customer: Maybe[NewOrderCustomer] = UNSET
    billing: Maybe[NewOrderParty] = UNSET
    shipping: Maybe[NewOrderShipping] = UNSET
    payment_settings: Maybe[NewOrderPayment] = UNSET
    financial_information: Maybe[NewOrderFinancialInformation] = UNSET
    freight: Maybe[NewOrderFreight] = UNSET
    print: Maybe[NewOrderPrint] = UNSET
    branch_id: Maybe[str] = UNSET
    project_id: Maybe[str] = UNSET
    sales_person_id: Maybe[str] = UNSET
    owner_id: Maybe[str] = UNSET
    original_order_type: Maybe[str] = UNSET
    original_order_id: Maybe[str] = UNSET
    use_replacement_cost_for_margin_and_profit: Maybe[bool] = UNSET


@write_model
class NewOrderLine(WriteModel):
    """A line to add; `inventory_id` is mandatory."""

    inventory_id: Maybe[str] = UNSET
    quantity: Maybe[Number] = UNSET
    unit_of_measure: Maybe[str] = UNSET
    unit_price: Maybe[Number] = UNSET
    unit_cost: Maybe[Number] = UNSET
    description: Maybe[str] = UNSET
    note: Maybe[str] = UNSET
    operation: Maybe[str] = UNSET
    discount_amount: Maybe[Number] = UNSET
    discount_percent: Maybe[Number] = UNSET
    discount_code: Maybe[str] = UNSET
    has_manual_discount: Maybe[bool] = UNSET
    has_manual_price: Maybe[bool] = UNSET
    commissionable: Maybe[bool] = UNSET
    request_date: Maybe[Moment] = point_in_time()
    ship_date: Maybe[Moment] = point_in_time()
    shipping_rule: Maybe[str] = UNSET
    undership_threshold: Maybe[Number] = UNSET
    overship_threshold: Maybe[Number] = UNSET
    warehouse_id: Maybe[str] = UNSET
    warehouse_location_id: Maybe[str] = UNSET
    tax_category_id: Maybe[str] = UNSET
    reason_code: Maybe[str] = UNSET
    sales_account_id: Maybe[str] = UNSET
    subaccount: Maybe[dict[str, Any]] = UNSET
    sales_person_id: Maybe[str] = UNSET
    branch_id: Maybe[str] = UNSET
    project_task_id: Maybe[str] = UNSET
    purchase_order_source: Maybe[str] = UNSET
    supplier_id: Maybe[str] = UNSET
    supplier_price: Maybe[Number] = UNSET
    external_link: Maybe[str] = UNSET


@write_model
class OrderLinePatch(NewOrderLine):
    """What to change in the line `line_id`."""

    line_id: Maybe[int] = UNSET
    sort_order: Maybe[int] = UNSET


@write_model
class NewOrder(OrderPatch):
    """An order to create; `type` and `customer` are mandatory."""

    type: Maybe[str] = UNSET
    order_id: Maybe[str] = UNSET
    order_lines: Maybe[list[NewOrderLine]] = UNSET


@write_model
class NewOrderLines(WriteModel):
    """The body of `add_lines`."""

    lines: Maybe[list[NewOrderLine]] = UNSET


@write_model
class OrderLinePatches(WriteModel):
    """The body of `update_lines`."""

    lines: Maybe[list[OrderLinePatch]] = UNSET

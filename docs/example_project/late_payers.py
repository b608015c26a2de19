"""A small service: customers who owe too much for too long get no more credit."""

from __future__ import annotations

import sys
from collections import defaultdict
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

import anyio
from attrs import define, field

from vismanet_async import OutcomeUnknown, VismaNet, before

if TYPE_CHECKING:
    from vismanet_async.models import Customer

_NO_CREDIT = Decimal(0)


@define
class Report:
    """What one run found and did; amounts are in the company's currency."""

    owed: dict[str, Decimal] = field(factory=dict)
    blocked: list[str] = field(factory=list)
    unsure: list[str] = field(factory=list)
    """Customers whose update may or may not have arrived: the next run looks again."""


async def block_late_payers(visma: VismaNet, *, due_before: date, limit: Decimal) -> Report:
    """Set the credit limit of everybody who owes more than `limit` to zero; safe to run again."""
    owed: dict[str, Decimal] = defaultdict(Decimal)
    async for invoice in visma.customer_invoice.list(status="Open", document_due_date=before(due_before)):
        if invoice.customer and invoice.customer.number:
            owed[invoice.customer.number] += invoice.balance or 0
    report = Report({number: amount for number, amount in owed.items() if amount > limit})
    for number in sorted(report.owed):
        await _block(visma, number, report)
    return report


async def _block(visma: VismaNet, number: str, report: Report) -> None:
    def without_credit(now: Customer) -> dict[str, Decimal] | None:
        return None if now.credit_limit == _NO_CREDIT else {"credit_limit": _NO_CREDIT}

    try:
        await visma.customer.modify(number, without_credit)
    except OutcomeUnknown:
        report.unsure.append(number)
    else:
        report.blocked.append(number)


async def main() -> None:
    """Run once, signed in by the VISMANET_* variables."""
    async with VismaNet.from_env() as visma:
        report = await block_late_payers(visma, due_before=date.fromisoformat(sys.argv[1]), limit=Decimal(sys.argv[2]))
    print(f"{len(report.owed)} owe too much, {len(report.blocked)} blocked, {len(report.unsure)} to look at again")


if __name__ == "__main__":
    anyio.run(main)

"""How to test a program that uses the SDK: on a company of its own, with what goes wrong in the real one."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from late_payers import block_late_payers

from vismanet_async import TransportError

if TYPE_CHECKING:
    from vismanet_async import VismaNet
    from vismanet_async.simulator import Simulator

DAY = date(2026, 1, 1)
# no invoices but those that a test adds
NONE_YET = pytest.mark.visma_simulator(rows={"customer": 5, "customer_invoice": 0})


def owe(simulator: Simulator, number: str, amount: int, *, due: str = "2025-11-30T00:00:00") -> None:
    """Let a customer owe money."""
    simulator.add(
        "customer_invoice", customer={"number": number}, status="Open", balance=Decimal(amount), documentDueDate=due
    )


@NONE_YET
async def test_who_owes_too_much_gets_no_credit(visma_simulator: Simulator, visma: VismaNet) -> None:
    late, small, early, *_ = visma_simulator.truth("customer").keys
    owe(visma_simulator, late, 600)
    owe(visma_simulator, late, 500)
    owe(visma_simulator, small, 900)
    owe(visma_simulator, early, 5_000, due="2026-02-01T00:00:00")

    report = await block_late_payers(visma, due_before=DAY, limit=Decimal(1_000))

    assert report.owed == {late: 1_100}
    assert report.blocked == [late]
    assert (await visma.customer.get(late)).credit_limit == 0


@NONE_YET
async def test_a_second_run_changes_nothing(visma_simulator: Simulator, visma: VismaNet) -> None:
    owe(visma_simulator, visma_simulator.truth("customer").keys[0], 2_000)
    await block_late_payers(visma, due_before=DAY, limit=Decimal(1_000))
    await block_late_payers(visma, due_before=DAY, limit=Decimal(1_000))
    assert len(visma_simulator.ledger.matching(operation="Customer_PutBycustomerCd")) == 1


@NONE_YET
async def test_a_lost_answer_is_looked_into_and_not_sent_again(visma_simulator: Simulator, visma: VismaNet) -> None:
    late = visma_simulator.truth("customer").keys[0]
    owe(visma_simulator, late, 2_000)
    visma_simulator.faults.add("reset_after", method="PUT", times=1)  # it is done, but its answer never comes

    report = await block_late_payers(visma, due_before=DAY, limit=Decimal(1_000))

    assert (report.blocked, report.unsure) == ([late], [])
    assert len(visma_simulator.ledger.matching(operation="Customer_PutBycustomerCd", succeeded=True)) == 1


@pytest.mark.visma_simulator(rows={"customer": 5, "customer_invoice": 2_500})
async def test_nobody_is_forgotten_while_others_write(visma_simulator: Simulator, visma: VismaNet) -> None:
    late = visma_simulator.truth("customer").keys[0]
    owe(visma_simulator, late, 10_000_000)
    visma_simulator.churn("customer_invoice", add=1, remove=1, where="start")

    report = await block_late_payers(visma, due_before=DAY, limit=Decimal(9_000_000))

    assert late in report.blocked


async def test_minutes_of_throttling_take_no_time(visma_simulator: Simulator, visma: VismaNet) -> None:
    visma_simulator.faults.add("status", status=429, retry_after=60, times=2)
    await block_late_payers(visma, due_before=DAY, limit=Decimal(10**12))


async def test_a_service_that_is_down_is_no_empty_list(visma_simulator: Simulator, visma: VismaNet) -> None:
    visma_simulator.faults.add("reset_before")
    with pytest.raises(TransportError):
        await block_late_payers(visma, due_before=DAY, limit=Decimal(0))

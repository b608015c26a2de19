"""Counters that many tasks raise, records that many tasks create, files that are sent up and fetched again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio

from tests.soak.company import Company, may_have_happened
from tests.soak.outages import CutOffError, unless_cut_off
from vismanet_async._api.files import Upload
from vismanet_async._api.models import CustomerUpdate
from vismanet_async.errors import VismaNetError

if TYPE_CHECKING:
    from vismanet_async._client import VismaNet

__all__ = ["attach", "create", "modify"]


async def modify(company: Company, visma: VismaNet, number: str, *, tasks: int) -> None:
    """Raise one customer's credit limit by one in many tasks: no update is lost, none counts twice."""
    done = unsure = 0

    async def raise_by_one() -> None:
        nonlocal done, unsure

        def modify() -> Any:
            return visma.customer.modify(
                number, lambda now: CustomerUpdate(credit_limit=(now.credit_limit or 0) + 1), attempts=8
            )

        try:
            await unless_cut_off(company, "modify", modify)
        except CutOffError:
            unsure += 1
        except VismaNetError as error:
            company.failed(error, "modify")
            unsure += may_have_happened(error)
        else:
            done += 1

    start = _credit_limit(company, number)
    async with anyio.create_task_group() as group:
        for _ in range(tasks):
            group.start_soon(raise_by_one)
    grown = _credit_limit(company, number) - start
    company.counts["modified"] += done
    company.check(
        done <= grown <= done + unsure,
        "nothing lost or done twice",
        f"customer {number} grew by {grown} after {done} updates and {unsure} unsure ones",
    )


def _credit_limit(company: Company, number: str) -> int:
    table = company.simulator.company().world.table("customer")
    row = table.find((number,))
    return int((table.row(row).get("creditLimit") if row is not None else 0) or 0)


async def create(company: Company, visma: VismaNet, marker: str) -> None:
    """Create a supplier: there is exactly one afterwards, or the caller was told that it is not sure."""
    try:
        made = await unless_cut_off(company, "create", lambda: visma.supplier.create({"name": marker}))
    except CutOffError:
        least, most = 0, 1
    except VismaNetError as error:
        company.failed(error, "create")
        least, most = 0, int(may_have_happened(error))
    else:
        company.counts["created"] += 1
        company.check(made.id, "exact", f"supplier {marker} was created without an id")
        least = most = 1
    executed = len([one for one in company.simulator.ledger if one.succeeded and marker.encode() in one.body])
    company.check(least <= executed <= most, "once", f"supplier {marker} was created {executed} times ({least}-{most})")


async def attach(company: Company, visma: VismaNet, invoice: str, marker: str) -> None:
    """Attach a file and fetch it: once there, and the same to the last byte."""
    content = b"\xff" + company.random.randbytes(company.random.choice((1, 500, 70_000)))
    name = f"{marker}.bin"
    try:
        made = await unless_cut_off(
            company, "attach", lambda: visma.supplier_invoice.add_attachment(invoice, Upload(content, name))
        )
    except CutOffError:
        _there(company, name, content, 0, 1)
        return
    except VismaNetError as error:
        company.failed(error, "attach")
        _there(company, name, content, 0, int(may_have_happened(error)))
        return
    company.counts["files attached"] += 1
    _there(company, name, content, 1, 1)
    fetched = visma.attachment.download(str(made.id))
    if company.simulator.behaviours.attachment_download == "base64":
        fetched = fetched.with_options(base64=True)  # nothing in such an answer says so, and nothing is guessed
    try:
        back = await fetched
    except VismaNetError as error:
        company.failed(error, "download")
        return
    company.counts["files fetched"] += 1
    company.check(back.content == content, "exact", f"{name}: {len(back.content)} bytes instead of {len(content)}")


def _there(company: Company, name: str, content: bytes, least: int, most: int) -> None:
    stored = [file for file in company.simulator.company().files.values() if file.name == name]
    company.check(least <= len(stored) <= most, "once", f"{name} is there {len(stored)} times ({least}-{most})")
    company.check(all(file.data == content for file in stored), "exact", f"{name} arrived changed")

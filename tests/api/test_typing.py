"""What type checkers say of programs that use the package: mypy, and pyright as basedpyright brings it.

One program has all that is expected: a wrong line names the error that each of them gives, and there are no others.
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PROGRAM = """
    from datetime import date, datetime
    from decimal import Decimal
    from typing import assert_type

    from vismanet_async import (
        UNSET, Blocking, Condition, Created, Other, Updated, VismaNet, on_or_after
    )
    from vismanet_async import NoSuchName  # mypy: attr-defined, pyright: reportAttributeAccessIssue
    from vismanet_async.jobs import NoSuchJob  # mypy: attr-defined, pyright: reportAttributeAccessIssue
    from vismanet_async.models import (
        AddressUpdate, Customer, CustomerInvoiceLineUpdate, CustomerUpdate, SupplierInvoice
    )

    def conditions(moment: datetime, day: date) -> None:
        since: Condition[date | datetime | str] = on_or_after(moment)
        until: Condition[date] = on_or_after(day)
        amount: Condition[Decimal | int] = on_or_after(7)
        amount = since  # mypy: assignment, pyright: reportAssignmentType
        print(until, amount)

    async def wrong(visma: VismaNet) -> None:
        visma.customer.list(colour="red")  # mypy: call-arg, pyright: reportCallIssue
        visma.customer.list(last_modified_date_time="2025-05-25")  # mypy: arg-type, pyright: reportArgumentType
        visma.customer.list(page_size="100")  # mypy: arg-type, pyright: reportArgumentType
        visma.customer_invoice.list(status="Opne")  # mypy: arg-type, pyright: reportArgumentType
        visma.purchase_receipt.get_v1("1")  # mypy: deprecated, pyright: reportDeprecated
        visma.sales_order.create({})  # mypy: deprecated, pyright: reportDeprecated
        visma.customer.get()  # mypy: call-arg, pyright: reportCallIssue
        visma.custommer  # mypy: attr-defined, pyright: reportAttributeAccessIssue
        visma.sales_order_service.update("SO", "1", {})  # mypy: call-arg, pyright: reportCallIssue
        visma.inventory.update("1", {}, if_match="x")  # mypy: call-arg, pyright: reportCallIssue
        customer = await visma.customer.get("10000")
        customer.nmae  # mypy: attr-defined, pyright: reportAttributeAccessIssue
        customer.credit_limit + 1  # mypy: operator, pyright: reportOperatorIssue
        customer.name = "x"  # mypy: misc, pyright: reportAttributeAccessIssue

    def wrong_models() -> None:
        CustomerUpdate(nmae="x")  # mypy: call-arg, pyright: reportCallIssue
        CustomerUpdate(credit_limit=1.5)  # mypy: arg-type, pyright: reportArgumentType
        CustomerUpdate(status="Activ")  # mypy: arg-type, pyright: reportArgumentType
        CustomerUpdate(name=Other)  # mypy: arg-type, pyright: reportArgumentType
        CustomerUpdate(extra="newField")  # mypy: arg-type, pyright: reportArgumentType
        CustomerUpdate(extra={5: 1})  # mypy: dict-item, pyright: reportArgumentType
        CustomerUpdate(extre={"newField": 1})  # mypy: call-arg, pyright: reportCallIssue

    async def right(visma: VismaNet) -> None:
        since = on_or_after(datetime(2025, 5, 25))
        assert_type(await visma.customer.list(last_modified_date_time=since).count(), int)
        async for invoice in visma.customer_invoice.list(
            last_modified_date_time=on_or_after("2025-05-25"), status=Other("Whatever")
        ):
            if invoice.amount:
                assert_type(invoice.amount, Decimal)
        assert_type(await visma.customer.get("1"), Customer)
        assert_type(await visma.supplier_invoice.list().all(), list[SupplierInvoice])
        assert_type(await visma.customer.create(CustomerUpdate(name="Fjord AS")), Created)
        assert_type(await visma.customer.update("1", CustomerUpdate(name=None), if_match="AAA="), Updated)
        await visma.customer.modify("1", lambda now: CustomerUpdate(credit_limit=(now.credit_limit or 0) + 1))

    def right_models(customer: Customer) -> None:
        update = CustomerUpdate(
            status=Other("Escalated"),
            main_address=AddressUpdate(city="OSLO", extra={"region": {"value": "03"}}),
            extra={"newField": {"value": 1}, "lines": [CustomerInvoiceLineUpdate.insert(quantity=1, extra={"eco": 1})]},
        )
        update.extra["another"] = None
        CustomerUpdate(status=Other(customer.status) if customer.status else UNSET)

    def blocking(visma: VismaNet) -> None:
        with Blocking(visma) as run:
            assert_type(run(visma.customer.get("1")), Customer)
            for one in run.iter(visma.customer.list()):
                assert_type(one, Customer)
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("typing") / "program.py"
    path.write_text(textwrap.dedent(PROGRAM), "utf-8")
    return path


def expected(checker: str) -> dict[int, str]:
    """The error of each line that has one."""
    lines = enumerate(PROGRAM.splitlines(), 1)
    return {number: found[1] for number, line in lines if (found := re.search(rf"\b{checker}: ([\w-]+)", line))}


def hold(found: dict[int, set[str]], wanted: dict[int, str], said: str) -> None:
    assert found.keys() == wanted.keys(), said
    assert {line: code for line, code in wanted.items() if code not in found[line]} == {}, said


def test_mypy(program: Path) -> None:
    command = (sys.executable, "-m", "mypy", "--enable-error-code=deprecated", "--config-file", ROOT / "pyproject.toml")
    done = subprocess.run([*command, program], cwd=ROOT, capture_output=True, text=True, check=False)
    found: dict[int, set[str]] = {}
    for line in done.stdout.splitlines():
        if said := re.search(r"program\.py:(\d+): error: .*\[([\w-]+)\]$", line):
            found.setdefault(int(said[1]), set()).add(said[2])
    hold(found, expected("mypy"), done.stdout + done.stderr)


@pytest.mark.skipif(importlib.util.find_spec("basedpyright") is None, reason="basedpyright is not installed")
def test_pyright(program: Path) -> None:
    settings = {
        "typeCheckingMode": "strict",
        "pythonVersion": "3.11",
        "extraPaths": [str(ROOT)],
        "reportDeprecated": "error",
        # what wrong lines bring with them
        "reportUnknownMemberType": "none",
        "reportUnknownVariableType": "none",
        "reportUnusedImport": "none",
        "reportUnusedExpression": "none",
        "reportUnusedCoroutine": "none",
    }
    (program.parent / "pyrightconfig.json").write_text(json.dumps(settings), "utf-8")
    command = (sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable)
    done = subprocess.run(
        [*command, "--project", program.parent], cwd=program.parent, capture_output=True, text=True, check=False
    )
    found: dict[int, set[str]] = {}
    for one in json.loads(done.stdout)["generalDiagnostics"]:
        found.setdefault(one["range"]["start"]["line"] + 1, set()).add(one.get("rule", one["message"]))
    hold(found, expected("pyright"), done.stdout + done.stderr)

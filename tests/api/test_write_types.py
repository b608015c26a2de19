"""What a type checker is told of models to be sent: mypy fails here if an ignored error is none, or one is not ignored.

The same lines run: what the type checker refuses is refused before it is sent, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.api.support import Client
from vismanet_async import UNSET, Other, RequestRefused
from vismanet_async.models import AddressUpdate, Customer, CustomerInvoiceLineUpdate, CustomerUpdate

if TYPE_CHECKING:
    from collections.abc import Callable


def test_extra_and_other_are_known_to_type_checkers() -> None:
    update = CustomerUpdate(
        status=Other("Escalated"),
        main_address=AddressUpdate(city="OSLO", extra={"region": {"value": "03"}}),
        extra={"newField": {"value": 1}, "lines": [CustomerInvoiceLineUpdate.insert(quantity=1, extra={"eco": True})]},
    )
    update.extra["another"] = None
    assert Client().customer.update("10000", update).preview().body


def test_a_value_that_was_read_is_written_as_other() -> None:
    customer = Customer(status="Paused")
    update = CustomerUpdate(status=Other(customer.status) if customer.status else UNSET)
    assert Client().customer.update("10000", update).preview().body == '{"status":{"value":"Paused"}}'


@pytest.mark.parametrize(
    "make",
    [
        lambda: CustomerUpdate(nmae="x"),  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
        lambda: CustomerUpdate(extra="newField"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        lambda: CustomerUpdate(extra={5: 1}),  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
        lambda: CustomerUpdate(status="Activ"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        lambda: CustomerUpdate(name=Other),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ],
)
def test_a_typo_is_refused_by_both(make: Callable[[], CustomerUpdate]) -> None:
    with pytest.raises((RequestRefused, TypeError)):
        Client().customer.update("10000", make()).preview()

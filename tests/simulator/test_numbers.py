"""The simulator's numbers have the check digits that the world's have, wherever its rows show them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from vismanet_async._simulator import numbers
from vismanet_async._simulator.sample_names import COUNTRIES, organisation_number, vat_number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vismanet_async import VismaNet

stdnum = pytest.importorskip("stdnum", reason="python-stdnum is in requirements.lock: make setup")
from stdnum import ean, iban, luhn  # noqa: E402 - behind the check that it is there
from stdnum.dk import cvr  # noqa: E402
from stdnum.fi import alv, ytunnus  # noqa: E402
from stdnum.no import kontonr, mva, orgnr  # noqa: E402
from stdnum.se import orgnr as se_orgnr, vat as se_vat  # noqa: E402

ANY = st.integers(0, 10**18)
NORDIC = st.sampled_from([country.id for country in COUNTRIES])
ORGANISATIONS: dict[str, Any] = {"NO": orgnr, "SE": se_orgnr, "DK": cvr, "FI": ytunnus}
VATS: dict[str, Any] = {"NO": mva, "SE": se_vat, "DK": cvr, "FI": alv}


def is_finnish_reference(text: str) -> bool:
    """The weights 7, 3 and 1 from the right; python-stdnum has no such module."""
    total = sum(int(digit) * (7, 3, 1)[place % 3] for place, digit in enumerate(reversed(text[:-1])))
    return len(text) >= 4 and (total + int(text[-1])) % 10 == 0


def is_reference(country: str, text: str) -> bool:
    if country == "FI":
        return is_finnish_reference(text)
    length = country != "SE" or int(text[-2]) == len(text) % 10
    return bool(luhn.is_valid(text)) and length and 2 <= len(text) <= 25


@given(NORDIC, ANY)
def test_any_number_makes_valid_ones(country: str, number: int) -> None:
    ean.validate(numbers.gln(number))
    assert len(numbers.gln(number)) == 13
    iban.validate(numbers.iban(country, number))  # for Norway the account inside of it, too
    assert is_reference(country, numbers.payment_reference(country, number))
    if country == "NO":
        kontonr.validate(numbers.account_number(country, number))
    organisation = organisation_number(country, number % 100_000)
    ORGANISATIONS[country].validate(organisation)
    VATS[country].validate(vat_number(country, organisation))


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, name)
    elif isinstance(value, str) and value:
        yield name, value


ROWS = ("customer", "supplier", "customer_invoice", "supplier_invoice", "location", "supplier_location", "branch")


@pytest.mark.visma_simulator(rows=dict.fromkeys(ROWS, 40))
async def test_so_are_those_of_its_lists(visma: VismaNet) -> None:
    seen: dict[str, set[str]] = {}
    lists = (
        visma.customer.list(expand_direct_debit=True),
        visma.supplier.list(),
        visma.supplier_location.list(),
        visma.location.list(),
        visma.branch.list(expand_bank_settings=True),
        visma.customer_invoice.list(),
        visma.supplier_invoice.list(),
    )
    for one in lists:
        for row in await one:
            for name, value in leaves(msgspec.json.decode(row.raw_json)):
                seen.setdefault(name.lower(), set()).add(value)
    for value in seen["gln"]:
        ean.validate(value)
    for value in seen["iban"] | seen["paymentmethoddetailvalue"]:
        iban.validate(value)
    for value in seen["paymentreference"] | seen["paymentrefno"]:
        assert luhn.is_valid(value) or is_finnish_reference(value)
    for value in seen["corporateid"]:
        assert any(module.is_valid(value) for module in ORGANISATIONS.values()), value
    for value in seen["vatregistrationid"]:
        assert any(module.is_valid(value) for module in VATS.values()), value
    for value in seen["bban"]:
        assert kontonr.is_valid(value) or re.fullmatch(r"\d{4}-\d{9,10}", value)
    assert min(len(seen[name]) for name in ("gln", "iban", "paymentreference", "corporateid")) >= 10

"""Parts of what was read can be written as they are: addresses and contacts, with nothing lost on the way."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import pytest

from tests.codec.support import json_text, write_models
from vismanet_async import UNSET, VismaNet
from vismanet_async._codec.decode import decode_one
from vismanet_async._codec.encode import encode_write
from vismanet_async._codec.fields import annotations_of, fields_of
from vismanet_async._codec.parts import READ_ONLY
from vismanet_async.errors import RequestRefused
from vismanet_async.models import Address, AddressUpdate, ContactInfo, Country, Customer, CustomerUpdate, IdName

READ = b"""{"number":"1","name":"A","mainAddress":{"addressId":1,"addressLine1":"A","addressLine2":null,"city":"Oslo",
"country":{"id":"NO","name":"Norway"},"county":{"id":"03","name":"Oslo"}},"mainContact":{"contactId":7,"name":"B"},
"glAccounts":{"salesAccount":{"number":"3000"}}}"""
WITH_PARTS = [cls for cls in write_models() if any(" | " in annotations_of(cls)[one.name] for one in fields_of(cls))]


def body(update: Any) -> Any:
    return msgspec.json.decode(encode_write(update, type(update)))


def test_an_address_and_a_contact() -> None:
    customer = decode_one(READ, Customer)
    assert body(CustomerUpdate(main_address=customer.main_address, main_contact=customer.main_contact)) == {
        "mainAddress": {
            "value": {
                "addressLine1": {"value": "A"},
                "addressLine2": {"value": None},
                "city": {"value": "Oslo"},
                "countryId": {"value": "NO"},
                "county": {"value": "03"},
            }
        },
        "mainContact": {"value": {"name": {"value": "B"}}},
    }
    assert encode_write({"mainAddress": customer.main_address}, CustomerUpdate) == encode_write(
        {"main_address": customer.main_address}, CustomerUpdate
    )
    assert body(CustomerUpdate(main_address=Address(country=None))) == {
        "mainAddress": {"value": {"countryId": {"value": None}}}
    }


@pytest.mark.parametrize(
    ("update", "said"),
    [
        ({"main_address": ContactInfo()}, "main_address .* takes AddressUpdate or a mapping, not ContactInfo"),
        (CustomerUpdate(main_address=Address(country=Country(name="Norway"))), "Address, whose country has no place"),
        (CustomerUpdate(main_address=Address(county=IdName())), "Address, whose county has no place"),
        ({"gl_accounts": decode_one(READ, Customer).gl_accounts}, "CustomerGlAccounts, whose sales_account has no"),
        (decode_one(READ, Customer), r"not Customer\. Write only what is to change, as CustomerUpdate\(...\)"),
    ],
    ids=["another", "no id", "empty id", "accounts", "all of it"],
)
def test_what_has_no_place_is_refused(update: Any, said: str) -> None:
    with pytest.raises(RequestRefused, match=said):
        encode_write(update, CustomerUpdate)


@pytest.mark.parametrize("cls", WITH_PARTS, ids=lambda cls: cls.__name__)
def test_every_part_that_the_types_let_in(cls: Any) -> None:
    """All that is set arrives: with any values, the body has as many leaves as the part has fields to write."""
    kinds = annotations_of(cls)
    for number, field in enumerate(fields_of(cls)):
        kind = kinds[field.name]
        if " | " not in kind:
            continue
        read = getattr(__import__("vismanet_async.models").models, kind.removesuffix("]").partition(" | ")[2])
        part = decode_one(json_text(Random(number), read).encode(), read)
        wanted = [one for one in fields_of(read) if getattr(part, one.name) is not UNSET and one.name not in READ_ONLY]
        if any(one.model and getattr(getattr(part, one.name), "id", None) is UNSET for one in wanted):
            continue  # refused, above
        sent = msgspec.json.decode(encode_write({field.name: part}, cls))[field.json]
        inside = sent["value"] if field.wrapped else sent
        assert len(inside) == len(wanted)


async def test_it_is_what_the_service_takes(visma: VismaNet) -> None:
    customer = await visma.customer.get("10000")
    other = await visma.customer.get("10001")
    assert isinstance(customer.main_address, Address)
    await visma.customer.update("10001", CustomerUpdate(main_address=customer.main_address), if_match=other)
    moved = (await visma.customer.get("10001")).main_address
    assert isinstance(moved, Address)
    assert (moved.address_line1, moved.city) == (customer.main_address.address_line1, customer.main_address.city)
    assert AddressUpdate(city="Oslo") == AddressUpdate(city="Oslo")

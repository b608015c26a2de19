"""Plausible values for fields, by their names."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from random import Random
from typing import Any

from vismanet_async._simulator import numbers, sample_names
from vismanet_async._simulator.totals import scaled

__all__ = ["LEFT_OUT", "integer", "number", "text"]

LEFT_OUT = object()
"""The field is absent."""


def number(name: str, random: Random) -> Decimal:
    """Return an amount, a quantity, a rate or a percentage."""
    low = name.lower()
    if "percent" in low or "pct" in low or "discount" in low:
        return scaled(random.choice((0, 0, 0, 5, 10)))
    if "rate" in low:
        return Decimal("25.0000" if "vat" in low else "1.0000")
    if "quantity" in low or "qty" in low:
        return scaled(random.randint(1, 40))
    if "limit" in low:
        return scaled(random.randrange(0, 500) * 1000)
    lowest, highest = (-50_000, 2_000_000) if re.search("total|balance|amount", low) else (100, 900_000)
    return scaled(Decimal(random.randrange(lowest, highest)) / 100)


def integer(name: str, random: Random) -> int:
    """Return an id, a number of days or a small number."""
    low = name.lower()
    if low.endswith("id"):
        return random.randrange(1, 90_000)
    return random.choice((0, 10, 14, 30)) if "days" in low else random.randrange(0, 5)


def text(name: str, facts: Mapping[str, Any], random: Random, country: sample_names.Country) -> object:
    """Return a text, an empty one, None or `LEFT_OUT`."""
    return _maker(name, facts.get("format", ""))(random, country)


_Maker = Callable[[Random, sample_names.Country], object]


@cache
def _maker(name: str, form: str) -> _Maker:
    made = _BY_FORMAT.get(form) or _BY_NAME.get(name.lower())
    return made or next((maker for pattern, maker in _BY_PATTERN if pattern.search(name)), _anything)


def _date(random: Random, _country: sample_names.Country) -> str:
    return f"{random.randint(2022, 2025)}-{random.randint(1, 12):02d}-{random.randint(1, 28):02d}T00:00:00"


def _uuid(random: Random, _country: sample_names.Country) -> str:
    digits = f"{random.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"


def _email(random: Random, country: sample_names.Country) -> str:
    first, last = sample_names.person_name(random.randrange(10_000))
    return f"{sample_names.ascii_name(first)}.{sample_names.ascii_name(last)}@example.{country.id.lower()}"


def _item(random: Random, _country: sample_names.Country) -> str:
    return sample_names.item_name(random.randrange(3000))


def _person(random: Random, _country: sample_names.Country) -> str:
    return " ".join(sample_names.person_name(random.randrange(10_000)))


def _phone(random: Random, country: sample_names.Country) -> str:
    return f"{country.dial} {random.randrange(20_000_000, 99_999_999)}"


def _code(random: Random, _country: sample_names.Country) -> str:
    return f"{random.randrange(1, 99_999):06d}"


def _account(random: Random, country: sample_names.Country) -> str:
    return numbers.account_number(country.id, random.randrange(10**10))


def _organisation(random: Random, country: sample_names.Country) -> str:
    return sample_names.organisation_number(country.id, random.randrange(1, 99_999))


def _reference(random: Random, country: sample_names.Country) -> str:
    return numbers.payment_reference(country.id, random.randrange(1, 99_999))


def _anything(random: Random, country: sample_names.Country) -> object:
    return random.choice(("", None, LEFT_OUT, _person(random, country), _item(random, country)))


def _company(random: Random, country: sample_names.Country) -> str:
    return sample_names.company_name(random.randrange(10_000), country.company_form)


def _one_of(*choices: object) -> _Maker:
    return lambda random, _country: random.choice(choices)


_BY_FORMAT: dict[str, _Maker] = {
    "date-time": _date,
    "date": _date,
    "uuid": _uuid,
    "byte": _one_of("AAAAAE0YIiI="),
}
_BY_NAME: dict[str, _Maker] = {
    "addressline1": lambda random, country: f"{random.choice(country.streets)} {random.randint(1, 180)}",
    "addressline2": _one_of("", "", "", "Postboks 112", "Postboks 7 Sentrum"),
    "addressline3": _one_of(None),
    "attention": _person,
    "bankname": _one_of("Nordbanken"),
    "bban": _account,
    "bban2": _one_of(LEFT_OUT),
    "bban3": _one_of(LEFT_OUT),
    "bic": lambda _random, country: numbers.BICS[country.id],
    "businessname": _company,
    "city": lambda random, country: random.choice(country.places)[1],
    "corporateid": _organisation,
    "currencyid": lambda _random, country: country.currency,
    "displayname": _person,
    "email": _email,
    "employeename": _person,
    "financialyear": _one_of("2025"),
    "firstname": lambda random, _country: sample_names.person_name(random.randrange(10_000))[0],
    "gln": lambda random, _country: numbers.gln(random.randrange(10**10)),
    "iban": lambda random, country: numbers.iban(country.id, random.randrange(10**11)),
    "languageiso": _one_of("nb-NO"),
    "lastname": lambda random, _country: sample_names.person_name(random.randrange(10_000))[1],
    "name": _company,
    "note": _one_of("", "Ring før levering", "Samlefaktura avtalt «muntlig»"),
    "paymentmethoddetaildescription": _one_of("IBAN"),
    "paymentmethoddetailvalue": lambda random, country: numbers.iban(country.id, random.randrange(10**11)),
    "paymentreference": _reference,
    "paymentrefno": _reference,
    "phone2": _one_of(""),
    "postalcode": lambda random, country: random.choice(country.places)[0],
    "vatregistrationid": lambda random, country: sample_names.vat_number(country.id, _organisation(random, country)),
    "web": lambda _random, country: f"https://www.example.{country.id.lower()}",
    "week": _one_of("202546"),
}
_BY_PATTERN: tuple[tuple[re.Pattern[str], _Maker], ...] = (
    (re.compile(r"(?i)^(phone|fax)"), _phone),
    (re.compile(r"(?i)date$|^date"), _date),
    (re.compile(r"(?i)period"), lambda random, _country: f"2025{random.randint(1, 12):02d}"),
    (re.compile(r"(?i)description|text"), _item),
    (re.compile(r"(?i)(id|cd|nbr|number|no|code|ref|reference)$"), _code),
)

"""Numbers with check digits, made from any number: GLN, bank accounts, IBAN and payment references. All are invented.

Each country has its own: account numbers by modulus 11 in Norway, references by Luhn in Norway (KID), Sweden (OCR) and
Denmark, by the weights 7, 3 and 1 in Finland.
"""

from __future__ import annotations

from itertools import cycle

from vismanet_async._simulator.sample_names import luhn_digit, mod11_digit

__all__ = ["BICS", "account_number", "bban", "gln", "iban", "payment_reference"]

BICS = {"NO": "DNBANOKK", "SE": "HANDSESS", "DK": "DABADKKK", "FI": "NDEAFIHH"}
_ACCOUNT_WEIGHTS = (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)


def gln(number: int) -> str:
    """Return a Global Location Number: 13 digits, the last by modulus 10 with the weights 1 and 3."""
    digits = f"70{number % 10**10:010d}"
    total = sum(int(digit) * weight for digit, weight in zip(digits, cycle((1, 3)), strict=False))
    return f"{digits}{-total % 10}"


def account_number(country: str, number: int) -> str:
    """Return an account as people of the country write it; in Norway eleven digits, the last by modulus 11."""
    if country == "NO":
        number = 1503_000_000 + number % 10**8
        while (check := mod11_digit(f"{number:010d}", _ACCOUNT_WEIGHTS)) is None:
            number += 1
        return f"{number:010d}{check}"
    if country == "SE":
        return f"6{number % 1000:03d}-{number % 10**9:09d}"
    return f"{3000 + number % 1000}-{number % 10**10:010d}"


def bban(country: str, number: int) -> str:
    """Return the account as an IBAN has it, without the country and its check digits."""
    if country == "NO":
        return account_number(country, number)
    if country == "SE":
        return f"600{number % 10**17:017d}"
    if country == "DK":
        return f"3{number % 1000:03d}{number % 10**10:010d}"
    digits = f"{100_000 + number % 100_000}{number % 10**7:07d}"
    return f"{digits}{luhn_digit(digits)}"


def iban(country: str, number: int) -> str:
    """Return an International Bank Account Number: the check digits make it 1 modulo 97 (ISO 13616)."""
    basic = bban(country, number)
    as_digits = "".join(str(int(letter, 36)) for letter in f"{basic}{country}00")
    return f"{country}{98 - int(as_digits) % 97:02d}{basic}"


def payment_reference(country: str, number: int) -> str:
    """Return a reference that a payer gives back: KID, OCR, a Danish payment id or a Finnish reference number."""
    if country == "FI":
        digits = f"{number % 10**8 + 100}"
        total = sum(int(digit) * weight for digit, weight in zip(reversed(digits), cycle((7, 3, 1)), strict=False))
        return f"{digits}{-total % 10}"
    width = {"NO": 9, "SE": 7, "DK": 14}[country]
    digits = f"{number % 10**width:0{width}d}"
    if country == "SE":
        digits += str((width + 2) % 10)  # how long it is, this digit and the next one included
    return f"{digits}{luhn_digit(digits)}"

"""One grammar of numbers, for text that is read and for what is sent.

`Decimal` alone reads more than a number of this API can be: `NaN`, `Infinity`, `1_000`, digits of other scripts.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

__all__ = ["MOST_DIGITS", "fits_whole", "number_in", "plain", "whole_number_in"]

MOST_DIGITS: Final = 40
"""Digits before the decimal point, and behind it: more than any number of the API has, and few enough to write out."""
_NUMBER: Final = re.compile(rf"-?\d{{1,{MOST_DIGITS}}}(\.\d{{1,{MOST_DIGITS}}})?", re.ASCII)
_WHOLE: Final = re.compile(rf"-?\d{{1,{MOST_DIGITS}}}", re.ASCII)
_BEYOND: Final = 10**MOST_DIGITS


def number_in(text: str) -> Decimal | None:
    """Return the number that a text is; None for a text that is none.

    Examples:
        >>> number_in("-12.50"), number_in("1_000"), number_in("NaN")
        (Decimal('-12.50'), None, None)
    """
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def whole_number_in(text: str) -> int | None:
    """Return the whole number that a text is; None for a text that is none.

    Examples:
        >>> whole_number_in("007"), whole_number_in("7.0")
        (7, None)
    """
    return int(text) if _WHOLE.fullmatch(text) else None


def plain(number: Decimal | int) -> str | None:
    """Return a number's digits as they are sent, without an exponent; None for a number that the API cannot hold.

    Examples:
        >>> plain(Decimal("1E+3")), plain(Decimal("12.50")), plain(Decimal("1E+999999")), plain(Decimal("NaN"))
        ('1000', '12.50', None, None)
    """
    if isinstance(number, int):
        return str(int(number)) if fits_whole(number) else None
    value = number
    if not value.is_finite():
        return None
    exponent = value.as_tuple().exponent
    if value.adjusted() >= MOST_DIGITS or (isinstance(exponent, int) and not -MOST_DIGITS <= exponent <= MOST_DIGITS):
        return None
    return format(value, "f")


def fits_whole(number: int) -> bool:
    """Return whether a whole number is short enough to be one of the API's."""
    return -_BEYOND < number < _BEYOND

"""Which decimal type a column of numbers has: the rule, by the column's name in the catalog.

The API declares all of its numbers as double (docs/facts.md 12.1), so that only their names tell an amount from a rate.

============  ===================  ============================================  ============================
kind          type                 columns                                       digits before the point
============  ===================  ============================================  ============================
`RATE`        decimal(19, 8)       rates, multipliers, coefficients              11
`PRICE`       decimal(18, 6)       prices and costs, of a unit or in total       12
`QUANTITY`    decimal(19, 6)       quantities, weights, percents, stock, hours   13
`AMOUNT`      decimal(18, 4)       all others                                    14
============  ===================  ============================================  ============================

The digits follow from what readers make of a product of two columns:

- pyarrow, and pandas on top of it, add the digits of both and one more, and refuse more than 38. A whole number counts
  as 19 digits, so `amount * 2` needs a column of 18 or fewer.
- DuckDB multiplies columns of 18 digits or fewer in 64 bits, which overflow soon; with one column of 19 it takes 128.

So what is multiplied has 18 digits, and what it is multiplied by has 19. The scales of any three columns add up to 24
at most, so their product fits into 38 digits with 14 or more before the point; quantity * price * rate leaves 18.

A number that its column cannot hold to the last digit is never rounded; see `vismanet_async._columns.coerce`.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

import attrs

__all__ = ["AMOUNT", "PRICE", "QUANTITY", "RATE", "DecimalType", "decimal_type"]


@attrs.frozen
class DecimalType:
    """A decimal type: so many digits, and so many of them behind the point."""

    digits: int
    scale: int

    def __str__(self) -> str:
        return f"decimal({self.digits}, {self.scale})"


RATE: Final = DecimalType(19, 8)
PRICE: Final = DecimalType(18, 6)
QUANTITY: Final = DecimalType(19, 6)
AMOUNT: Final = DecimalType(18, 4)

_RULES: Final = tuple(
    (kind, re.compile(words))
    for kind, words in (
        (RATE, r"[rR]ate(?![a-z])|Reciprocal|Multiplier|Coeff"),
        (PRICE, r"[pP]rice|[cC]ost"),
        (QUANTITY, r"[qQ](ty|uantity)|[wW]eight|[vV]olume|[pP](ct|ercent)|Threshold"),
        # of the stock of an item
        (QUANTITY, r"^(onHand|(a|notA)vailable(ForShipment)?|expired)$|^(in|so|purchase|dropShip)[A-Z]|Receipts?$"),
        # sizes of orders, hours of a week, years, and a percent
        (QUANTITY, r"^(eoq|lotSize|mon|tue|wed|thu|fri|sat|sun|usefulLife|completeOn)$"),
    )
)
"""The first that finds its words in a name decides."""


@cache
def decimal_type(name: str) -> DecimalType:
    """Return the type of a column of numbers.

    Examples:
        >>> [str(decimal_type(name)) for name in ("amountInCurrency", "unitPrice", "quantity", "exchangeRate")]
        ['decimal(18, 4)', 'decimal(18, 6)', 'decimal(19, 6)', 'decimal(19, 8)']
    """
    return next((found for found, words in _RULES if words.search(name)), AMOUNT)

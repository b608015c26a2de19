"""Sums: what the header of a document says about its lines."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SCALE", "add_up", "scaled"]

SCALE = Decimal("0.0001")
"""Amounts and quantities are written with four decimals (facts 12.1)."""

_CENTS = Decimal("0.01")
_ZERO = Decimal("0.0000")
_LINE_LISTS = ("invoiceLines", "lines", "cashSaleLines")
_LINE_AMOUNTS = (
    "amount",
    "amountInCurrency",
    "cost",
    "costInCurrency",
    "manualAmount",
    "manualAmountInCurrency",
)
_LINE_PRICES = ("unitPriceInCurrency", "unitCostInCurrency")


def scaled(number: Decimal | int) -> Decimal:
    """Return the number with at least four decimals.

    Examples:
        >>> str(scaled(Decimal("12.5")))
        '12.5000'
    """
    return Decimal(number) + SCALE * 0


def add_up(row: dict[str, Any]) -> None:
    """Make the totals of a document agree with its lines, and the balance with its status."""
    lines = next((row[name] for name in _LINE_LISTS if isinstance(row.get(name), list)), None)
    if not lines or "amount" not in row:
        return
    net = sum((_line_amount(line) for line in lines if "quantity" in line), _ZERO)
    vat = scaled((net / 4).quantize(_CENTS))
    totals = {
        "detailTotal": net,
        "vatTaxableTotal": net,
        "vatExemptTotal": _ZERO,
        "vatTotal": vat,
        "vatAmount": vat,
        "amount": net + vat,
        "balance": _ZERO if row.get("status") in {"Closed", "Voided"} else net + vat,
        "discountTotal": _ZERO,
        "cashDiscount": _ZERO,
        "roundingDiff": _ZERO,
    }
    for name, value in totals.items():
        row.update({field: value for field in (name, f"{name}InCurrency") if field in row})
    for detail in row.get("taxDetails", row.get("taxDetailLines", ()))[:1]:
        detail.update(taxableAmount=net, vatAmount=vat, vatRate=Decimal("25.0000"))


def _line_amount(line: dict[str, Any]) -> Decimal:
    """Set the amounts of a line from its quantity and price; return them."""
    price = _price(line)
    amount = scaled((line["quantity"] * price).quantize(_CENTS))
    line.update({name: amount for name in _LINE_AMOUNTS if name in line})
    line.update({name: price for name in _LINE_PRICES if name in line})
    return amount


def _price(line: Mapping[str, Any]) -> Decimal:
    found = next((line[name] for name in ("unitPrice", "unitCost") if line.get(name) is not None), _ZERO)
    return Decimal(found)

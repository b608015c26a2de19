"""The types of numbers: exact, and fit to be calculated with in what reads them."""

from __future__ import annotations

from decimal import Decimal, localcontext
from importlib import resources
from itertools import combinations_with_replacement
from math import prod

import duckdb
import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from vismanet_async._columns.decimals import AMOUNT, PRICE, QUANTITY, RATE, DecimalType, decimal_type

SCHEMAS = msgspec.json.decode((resources.files("vismanet_async._api") / "catalog/schemas.json").read_bytes())["schemas"]
NUMBERS = sorted(
    {name for dto in SCHEMAS.values() for name, field in dto["fields"].items() if field.get("type") == "number"}
)
ROW = {
    "price": (PRICE, Decimal("123456789.123456")),
    "quantity": (QUANTITY, Decimal("98765.432109")),
    "rate": (RATE, Decimal("11.98765432")),
    "amount": (AMOUNT, Decimal("12345678901234.5678")),
}
TABLE = pa.table(
    {name: pa.array([value], pa.decimal128(kind.digits, kind.scale)) for name, (kind, value) in ROW.items()}
)


def truth(*names: str) -> Decimal:
    with localcontext(prec=60):  # Python's own 28 digits are too few
        return prod((ROW[name][1] for name in names), start=Decimal(1))


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        ("amount amountInCurrency creditLimit balance vatTotal openBalance totalDue availableBalance", AMOUNT),
        ("unitPrice unitCost unitCostInCurrency extCost price discUnitPrice totalCost", PRICE),
        ("quantity orderQty openQuantity discountPercent commissionPct baseItemWeight onHand soShipped mon", QUANTITY),
        ("exchangeRate rate rateReciprocal vatRate taxRate overtimeMultiplier priceAdjustmentMultiplier", RATE),
    ],
)  # fmt: skip
def test_names_tell_the_kind(names: str, kind: DecimalType) -> None:
    for name in names.split():
        assert name in NUMBERS
        assert decimal_type(name) == kind, name


def test_no_name_of_the_catalog_is_of_two_minds() -> None:
    """A name that says amount, total or balance is no quantity, whatever else it says."""
    for name in NUMBERS:
        if name.lower().endswith(("amount", "amt", "balance", "incurrency", "loan", "due")):
            assert decimal_type(name) in {AMOUNT, PRICE}, name


def test_every_three_columns_have_a_product_that_fits_38_digits() -> None:
    kinds = {decimal_type(name) for name in NUMBERS}
    assert kinds == {AMOUNT, PRICE, QUANTITY, RATE}
    for three in combinations_with_replacement(kinds, 3):
        assert 38 - sum(kind.scale for kind in three) >= 14
    for kind in (AMOUNT, PRICE):
        assert kind.digits + 19 + 1 <= 38  # a whole number in Arrow
        for factor in (QUANTITY, RATE):
            assert kind.digits + factor.digits + 1 <= 38


def test_arrow_multiplies() -> None:
    for name in ("amount", "price"):
        assert pc.multiply(TABLE[name], 2).to_pylist() == [truth(name) * 2]
    for pair in (("quantity", "price"), ("amount", "rate"), ("price", "rate")):
        assert pc.multiply(TABLE[pair[0]], TABLE[pair[1]]).to_pylist() == [truth(*pair)]
    # three need one of them in 256 bits; the product fits into 128 again
    wide = TABLE["rate"].cast(pa.decimal256(RATE.digits, RATE.scale))
    three = pc.multiply(pc.multiply(TABLE["quantity"], TABLE["price"]), wide)
    assert three.cast(pa.decimal128(38, 20)).to_pylist() == [truth("quantity", "price", "rate")]


def test_duckdb_multiplies() -> None:
    with duckdb.connect() as db:
        db.register("t", TABLE)
        asked = "select amount * 2, quantity * price, amount * rate, quantity * price * rate from t"
        expected = (
            truth("amount") * 2,
            truth("quantity", "price"),
            truth("amount", "rate"),
            truth("quantity", "price", "rate"),
        )
        assert db.execute(asked).fetchall() == [expected]
        assert db.execute("select sum(quantity * price) from t").fetchone() == (truth("quantity", "price"),)


def test_polars_multiplies_to_the_scale_that_is_asked_for() -> None:
    frame = pl.from_arrow(TABLE)
    assert isinstance(frame, pl.DataFrame)
    wide = pl.col("quantity").cast(pl.Decimal(38, 20))
    assert frame.select(wide * pl.col("price") * pl.col("rate")).item() == truth("quantity", "price", "rate")
    assert frame.select(pl.col("amount") * 2).item() == truth("amount") * 2

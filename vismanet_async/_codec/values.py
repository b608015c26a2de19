"""Types of model fields: a missing key, null and a value are different, in both directions."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import TypeAlias, TypeVar

from msgspec import UNSET, UnsetType

__all__ = ["UNSET", "Maybe", "Moment", "Number", "UnsetType"]

T = TypeVar("T")

Maybe: TypeAlias = T | UnsetType | None
"""A field of a model: `UNSET` (falsy) if the key is missing, `None` if it is null, else the value."""

Number: TypeAlias = Decimal | int
"""An amount to send; all its digits are sent."""

Moment: TypeAlias = date | datetime | str
"""A `date`, a naive `datetime`, or its text: `2025-05-25`, `2025-05-25T13:30:00`."""

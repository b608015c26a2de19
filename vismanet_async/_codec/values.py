"""Types of model fields: a missing key, null and a value are different, in both directions."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import TypeAlias, TypeVar

from msgspec import UNSET, UnsetType

__all__ = ["UNSET", "Maybe", "Moment", "Number", "Other", "UnsetType"]

T = TypeVar("T")

Maybe: TypeAlias = T | UnsetType | None
"""A field of a model: `UNSET` (falsy) if the key is missing, `None` if it is null, else the value."""

Number: TypeAlias = Decimal | int
"""An amount to send; all its digits are sent."""

Moment: TypeAlias = date | datetime | str
"""A `date`, a naive `datetime`, or its text: `2025-05-25`, `2025-05-25T13:30:00`."""


class Other(str):
    """A value of an enumeration that the catalog lacks, for whoever knows that the API has it by now.

    For filters and for fields to be written; also for a value that was read and is to be written as it is.

    Examples:
        >>> from vismanet_async.models import CustomerUpdate
        >>> visma.customer.update("10000", CustomerUpdate(status=Other("Escalated"))).preview().body
        '{"status":{"value":"Escalated"}}'
    """

    __slots__ = ()

"""JSON in and out: compact, with decimals exactly as they are written."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec

__all__ = ["decode", "encode"]

_ENCODER = msgspec.json.Encoder(decimal_format="number")


def encode(value: object) -> bytes:
    """Write compact JSON; decimals as numbers with the scale they have."""
    return _ENCODER.encode(value)


def decode(data: bytes | str) -> Any:
    """Read JSON; fractions as decimals, exactly as written."""
    return json.loads(data, parse_float=Decimal)

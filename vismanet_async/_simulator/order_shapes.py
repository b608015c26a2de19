"""Objects of the Sales Order service that have exactly the fields of their schema in its catalog."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from vismanet_async._simulator.catalog import load_orders

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["as_field", "shaped"]

_NOTHING: dict[str, Any] = {"string": "", "integer": 0, "number": Decimal("0.0000"), "boolean": False}


def shaped(schema: str, values: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return an object with all fields of a schema, and no other."""
    if values is None:
        return None
    return {name: as_field(facts, values.get(name)) for name, facts in load_orders().schemas[schema].items()}


def as_field(facts: Mapping[str, Any], value: Any) -> Any:
    """Return a value as a field of a schema shows it."""
    if value is None:
        if facts.get("nullable") is not False:
            return None
        return "0001-01-01T00:00:00Z" if facts.get("format") == "date-time" else _NOTHING[facts["type"]]
    if "ref" in facts:
        return shaped(facts["ref"], value)
    return [shaped(facts["items"], one) for one in value] if "items" in facts else value

"""The facts that the code is generated from: both catalogs with the corrections of `overrides.toml`.

The Sales Order service has a catalog of its own, `catalog/sales_order.json`. Its DTOs are prefixed with `v3.` here,
because twelve of them have names that the ERP uses for other shapes.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any, Final

import attrs

__all__ = ["API", "SALES_ORDER", "SENT", "Facts", "load"]

API = Path(__file__).resolve().parents[1]
SALES_ORDER: Final = "v3."
"""Before the names of the Sales Order service's DTOs."""
SENT: Final = ":sent"
"""Behind the name of a DTO that is answered too: models for reading and for writing are different classes."""


@attrs.frozen(kw_only=True)
class Facts:
    """Operations, DTOs and enums of the API, corrected; and the overrides for whoever applies the rest."""

    operations: list[dict[str, Any]]
    schemas: dict[str, dict[str, Any]]
    enums: dict[str, dict[str, Any]]
    overrides: dict[str, Any]

    def override(self, kind: str, key: str) -> dict[str, Any] | None:
        """Return the override of one kind for one key, if there is one."""
        found: dict[str, Any] | None = self.overrides.get(kind, {}).get(key)
        return found


def load(folder: Path = API) -> Facts:
    """Read the catalog and the overrides beside it.

    Raises:
        ValueError: when an override lacks its reason or date, or names something that the catalog does not have.
    """
    catalog = folder / "catalog"
    operations, schemas, enums, added = (
        json.loads((catalog / f"{name}.json").read_text("utf-8"))
        for name in ("operations", "schemas", "enums", "additions")
    )
    overrides = tomllib.loads((folder / "overrides.toml").read_text("utf-8"))
    _check(overrides)

    orders = _sales_order(json.loads((catalog / "sales_order.json").read_text("utf-8")))

    facts = Facts(
        operations=operations["operations"] + added["operations"] + orders["operations"],
        schemas=schemas["schemas"] | added["schemas"] | orders["schemas"],
        enums=enums["enums"] | orders["enums"],
        overrides=overrides,
    )
    _check_keys(facts)
    for key, one in overrides.get("operation", {}).items():
        operation = next(each for each in facts.operations if each["id"] == key)
        operation.update({name: value for name, value in one.items() if name not in {"reason", "date"}})
    return facts


def _sales_order(catalog: dict[str, Any]) -> dict[str, Any]:
    """Return the service's catalog with the names and marks that it has among the facts."""
    schemas = {f"{SALES_ORDER}{name}": _service_schema(one) for name, one in catalog["schemas"].items()}
    for operation in catalog["operations"]:
        for part in (operation["request"] or {}, operation["response"]):
            part.update({key: f"{SALES_ORDER}{part[key]}" for key in ("dto", "envelope") if key in part})
    answered = _reached(schemas, {one["response"].get("dto") for one in catalog["operations"]})
    sent = _reached(schemas, {(one["request"] or {}).get("dto") for one in catalog["operations"]})
    both = answered & sent
    for name in sent - both:
        schemas[name] = {"fields": {key: _refer(field, both) for key, field in schemas[name]["fields"].items()}}
    schemas |= {f"{name}{SENT}": schemas[name] for name in both}
    return {**catalog, "schemas": schemas}


def _service_schema(schema: dict[str, Any]) -> dict[str, Any]:
    fields = {}
    for name, field in schema["fields"].items():
        made = {**field, **{key: f"{SALES_ORDER}{field[key]}" for key in ("ref", "items") if key in field}}
        # its moments are points in time (docs/facts.md 5.14), and what it requires is known
        made |= {"utc": True} if field.get("format") == "date-time" else {}
        fields[name] = made | ({"needed": True} if field.get("required") else {})
    return {"fields": fields}


def _refer(field: dict[str, Any], both: set[str]) -> dict[str, Any]:
    return {
        key: f"{value}{SENT}" if key in {"ref", "items"} and value in both else value for key, value in field.items()
    }


def _reached(schemas: dict[str, Any], waiting: set[str | None]) -> set[str]:
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name is not None and name not in found:
            found.add(name)
            waiting |= {field.get("ref") or field.get("items") for field in schemas[name]["fields"].values()}
    return found


def _check(overrides: dict[str, Any]) -> None:
    for kind, entries in overrides.items():
        for key, one in entries.items():
            if not (isinstance(one, dict) and one.get("reason") and one.get("date")):
                raise ValueError(f"overrides.toml: [{kind}.{key}] needs a reason and a date")


def _parameter_names(operation: dict[str, Any]) -> set[str]:
    names = [name for name, *_ in operation["path_params"]] + [one["name"] for one in operation["query"]]
    return {f"v{operation['version']}.{name}" for name in names}


def _check_keys(facts: Facts) -> None:
    known = {
        "operation": {operation["id"] for operation in facts.operations},
        "method": {operation["id"] for operation in facts.operations},
        "model": set(facts.schemas),
        "field": {f"{dto}.{field}" for dto, one in facts.schemas.items() for field in one["fields"]},
        "identity": set(facts.schemas),
        "enum": set(facts.enums),
        "id": {name for operation in facts.operations for name in _parameter_names(operation)},
        "resource": {operation["resource"] for operation in facts.operations},
    }
    for kind, names in known.items():
        for key in facts.overrides.get(kind, {}):
            if key not in names:
                raise ValueError(f"overrides.toml: [{kind}.{key}] names nothing in the catalog")

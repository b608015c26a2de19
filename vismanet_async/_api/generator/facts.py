"""The facts that the code is generated from: the catalog with the corrections of `overrides.toml`."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import attrs

__all__ = ["API", "Facts", "load"]

API = Path(__file__).resolve().parents[1]


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

    facts = Facts(
        operations=operations["operations"] + added["operations"],
        schemas=schemas["schemas"] | added["schemas"],
        enums=enums["enums"],
        overrides=overrides,
    )
    _check_keys(facts)
    for key, one in overrides.get("operation", {}).items():
        operation = next(each for each in facts.operations if each["id"] == key)
        operation.update({name: value for name, value in one.items() if name not in {"reason", "date"}})
    return facts


def _check(overrides: dict[str, Any]) -> None:
    for kind, entries in overrides.items():
        for key, one in entries.items():
            if not (isinstance(one, dict) and one.get("reason") and one.get("date")):
                raise ValueError(f"overrides.toml: [{kind}.{key}] needs a reason and a date")


def _check_keys(facts: Facts) -> None:
    known = {
        "operation": {operation["id"] for operation in facts.operations},
        "method": {operation["id"] for operation in facts.operations},
        "model": set(facts.schemas),
        "field": {f"{dto}.{field}" for dto, one in facts.schemas.items() for field in one["fields"]},
        "identity": set(facts.schemas),
        "enum": set(facts.enums),
        "resource": {operation["resource"] for operation in facts.operations},
    }
    for kind, names in known.items():
        for key in facts.overrides.get(kind, {}):
            if key not in names:
                raise ValueError(f"overrides.toml: [{kind}.{key}] names nothing in the catalog")

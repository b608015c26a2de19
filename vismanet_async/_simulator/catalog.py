"""The facts about the API surface, read from the catalog that the SDK's generator reads too."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from attrs import field, frozen

__all__ = ["DIRECTORY", "Catalog", "Operation", "load", "load_orders"]

DIRECTORY = Path(__file__).parent.parent / "_api" / "catalog"


@frozen(eq=False)
class Operation:
    """One operation of the API, with the keys of `operations.json` that the simulator needs."""

    id: str
    resource: str
    version: int
    method: str
    path: str
    path_params: tuple[str, ...]
    path_types: tuple[str, ...]
    """`string`, `integer` or `uuid`, for each of them."""
    query: dict[str, dict[str, Any]] = field(repr=False)
    if_match: bool
    if_match_background: str | None
    background: bool
    etag_response: bool
    paginated: bool
    action: bool
    attachment: bool
    success: tuple[int, ...]
    request_kind: str | None
    request_dto: str | None
    response_kind: str
    response_dto: str | None
    envelope: str | None = None
    """The shape around a page of rows."""
    errors: tuple[int, ...] = ()
    """The refusals that the description names."""
    response_headers: tuple[str, ...] = ()

    @property
    def collection(self) -> str:
        """The path up to its first parameter, without version, in lower case: `customer/customerclass`."""
        return self.path.split("/", 2)[2].split("/{", 1)[0].split("/action/", 1)[0].lower()

    @property
    def action_name(self) -> str:
        """The name of the action, in lower case, or an empty text."""
        return self.path.partition("/action/")[2].split("/", 1)[0].lower()

    @property
    def rest(self) -> str:
        """What follows the collection: empty, or `/{number}/action/release`."""
        return self.path.split("/", 2)[2][len(self.collection) :]


@frozen
class Catalog:
    """All operations, shapes and enums."""

    operations: dict[str, Operation]
    schemas: dict[str, dict[str, dict[str, Any]]] = field(repr=False)
    enums: dict[str, list[str]] = field(repr=False)


def _operation(raw: dict[str, Any]) -> Operation:
    request = raw["request"] or {}
    return Operation(
        id=raw["id"],
        resource=raw["resource"],
        version=raw["version"],
        method=raw["method"],
        path=raw["path"],
        path_params=tuple(parameter[0] for parameter in raw["path_params"]),
        path_types=tuple(parameter[-1] for parameter in raw["path_params"]),
        query={parameter["name"]: parameter for parameter in raw["query"]},
        if_match=raw["if_match"],
        if_match_background=raw.get("if_match_background"),
        background=raw["background"],
        etag_response=raw.get("etag_response", False),
        paginated=raw["paginated"],
        action=raw.get("action", False),
        attachment=raw.get("attachment", False),
        success=tuple(raw.get("success", ())),
        request_kind=request.get("kind"),
        request_dto=request.get("dto"),
        response_kind=raw["response"]["kind"],
        response_dto=raw["response"].get("dto") or raw["response"].get("type"),
        envelope=raw["response"].get("envelope"),
        errors=tuple(raw.get("errors", ())),
        response_headers=tuple(raw.get("response_headers", ())),
    )


def _read(name: str) -> Any:
    return json.loads((DIRECTORY / name).read_text(encoding="utf-8"))


@cache
def load() -> Catalog:
    """Read the catalog once per process."""
    operations, schemas, added = _read("operations.json"), _read("schemas.json"), _read("additions.json")
    return Catalog(
        operations={raw["id"]: _operation(raw) for raw in operations["operations"] + added["operations"]},
        schemas={name: raw["fields"] for name, raw in (schemas["schemas"] | added["schemas"]).items()},
        enums={name: raw["values"] for name, raw in _read("enums.json")["enums"].items()},
    )


@cache
def load_orders() -> Catalog:
    """Read the Sales Order service's catalog once per process."""
    raw = _read("sales_order.json")
    return Catalog(
        operations={one["id"]: _operation(one) for one in raw["operations"]},
        schemas={name: one["fields"] for name, one in raw["schemas"].items()},
        enums={name: one["values"] for name, one in raw["enums"].items()},
    )

"""`vismanet resources`: what there is, from the registry that the API surface was generated with."""

from __future__ import annotations

import json
from typing import Any

from vismanet_async.api.registry import find_resource, registry, resource_names
from vismanet_async.cli.exit_codes import DONE

__all__ = ["run_resources"]


def run_resources(name: str | None, *, as_json: bool) -> int:
    """Print the resources, or the operations of one.

    Raises:
        UnknownName: there is no such resource.
    """
    chosen = resource_names() if name is None else [find_resource(name)]
    if as_json:
        rows = [row for resource in chosen for row in _as_json(resource)]
        print(json.dumps(rows, indent=2))
    elif name is None:
        wide = max(map(len, chosen))
        for resource in chosen:
            note = "" if _list_filters(resource) is not None else "  (no list to export)"
            print(f"{resource:{wide}}  {len(_methods(resource)):>3} operations{note}")
    else:
        _print_operations(chosen[0])
    return DONE


def _methods(resource: str) -> dict[str, Any]:
    methods: dict[str, Any] = registry()["resources"][resource]["methods"]
    return methods


def _parameters(method: dict[str, Any]) -> list[str]:
    return [parameter["name"] for parameter in method.get("parameters", ())]


def _list_filters(resource: str) -> list[str] | None:
    """Give the filters of the list that an export would read; None where there is none."""
    method = _methods(resource).get("list")
    return None if method is None or method["call"] != "list" or method.get("ids") else _parameters(method)


def _as_json(resource: str) -> list[dict[str, Any]]:
    return [
        {
            "resource": resource,
            "name": name,
            "id": method["id"],
            "method": method["method"],
            "path": method["path"],
            "parameters": _parameters(method),
        }
        for name, method in _methods(resource).items()
    ]


def _print_operations(resource: str) -> None:
    methods = _methods(resource)
    wide = max(map(len, methods))
    path_wide = max(len(method["path"]) for method in methods.values())
    for name, method in methods.items():
        print(f"{name:{wide}}  {method['method']:6}  {method['path']:{path_wide}}  {method['id']}")
    filters = _list_filters(resource)
    if filters:
        print(f"\nvismanet export {resource} takes --where with {', '.join(filters)}")

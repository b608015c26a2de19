"""`vismanet resources`: what there is, from the registry that the API surface was generated with."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import resources as package_files
from typing import Any

import msgspec

from vismanet_async.cli.exit_codes import DONE
from vismanet_async.errors import UnknownName

__all__ = ["run_resources"]


class _Method(msgspec.Struct):
    id: str
    method: str
    path: str
    call: str
    parameters: list[dict[str, Any]] = []


class _Resource(msgspec.Struct):
    methods: dict[str, _Method]

    @property
    def exportable(self) -> bool:
        return "list" in self.methods and self.methods["list"].call == "list"


class _Registry(msgspec.Struct):
    resources: dict[str, _Resource]


def run_resources(name: str | None, *, as_json: bool) -> int:
    """Print the resources, or the operations of one.

    Raises:
        UnknownName: there is no such resource.
    """
    known = _registry().resources
    if name is not None and name not in known:
        raise UnknownName("resource", name, nearest=get_close_matches(name, known))
    chosen = known if name is None else {name: known[name]}
    if as_json:
        rows = [row for resource, one in chosen.items() for row in _as_json(resource, one)]
        print(msgspec.json.format(msgspec.json.encode(rows), indent=2).decode())
    elif name is None:
        wide = max(map(len, chosen))
        for resource, one in chosen.items():
            note = "" if one.exportable else "  (no list to export)"
            print(f"{resource:{wide}}  {len(one.methods):>3} operations{note}")
    else:
        _print_operations(chosen[name])
    return DONE


def _registry() -> _Registry:
    content = package_files.files("vismanet_async.api").joinpath("registry.json").read_bytes()
    return msgspec.json.decode(content, type=_Registry)


def _as_json(resource: str, one: _Resource) -> list[dict[str, Any]]:
    return [
        {
            "resource": resource,
            "name": name,
            "id": method.id,
            "method": method.method,
            "path": method.path,
            "filters": [parameter["name"] for parameter in method.parameters],
        }
        for name, method in one.methods.items()
    ]


def _print_operations(one: _Resource) -> None:
    wide = max(map(len, one.methods))
    path_wide = max(len(method.path) for method in one.methods.values())
    for name, method in one.methods.items():
        print(f"{name:{wide}}  {method.method:6}  {method.path:{path_wide}}  {method.id}")
    if one.exportable:
        filters = [parameter["name"] for parameter in one.methods["list"].parameters]
        print(f"\nvismanet export takes --where with {', '.join(filters) or 'no filter'}")

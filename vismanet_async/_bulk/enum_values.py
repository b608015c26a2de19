"""Finds values of enumerations that the catalog does not know, in the body of a write. Pure.

A write itself sends them: the API may know more values than the catalog. A rehearsal names them: most are slips.
"""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from vismanet_async._api.registry import registry

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["unknown_values"]


def unknown_values(operation_id: str, body: bytes) -> Iterator[tuple[str, str]]:
    """Yield the field (as `main_address.country.id`) and what is wrong, for each value that the catalog does not know.

    Nothing is yielded for operations that are not in the catalog.
    """
    model = _bodies().get(operation_id)
    if model is not None:
        yield from _of(model, msgspec.json.decode(body), "")


@cache
def _bodies() -> dict[str, str]:
    """Return the models of bodies by operation id."""
    resources = registry()["resources"].values()
    methods = (method for resource in resources for method in resource["methods"].values())
    return {method["id"]: method["body"] for method in methods if "body" in method}


def _of(kind: str, value: Any, path: str) -> Iterator[tuple[str, str]]:
    if kind.startswith("list["):
        for index, each in enumerate(value if isinstance(value, list) else ()):
            yield from _of(kind[5:-1], each, f"{path}[{index}]")
    elif (values := registry()["enums"].get(kind)) is not None:
        if isinstance(value, str) and value.casefold() not in {each.casefold() for each in values}:
            yield path, _unknown(value, values)
    elif (model := registry()["models"].get(kind)) is not None and isinstance(value, dict):
        for name, json, inner, *wrapped in model["fields"]:
            given = value.get(json)
            if wrapped and isinstance(given, dict):
                given = given.get("value")
            yield from _of(inner, given, f"{path}.{name}" if path else name)


def _unknown(value: str, values: list[str]) -> str:
    near = get_close_matches(value.casefold(), [each.casefold() for each in values], n=1)
    hint = next((each for each in values if near and each.casefold() == near[0]), None)
    known = f"Did you mean {hint}?" if hint else f"The catalog knows {', '.join(values[:20])}."
    return f'takes one of {len(values)} values, and "{value[:40]}" is none of them. {known}'

"""The API surface by name, for the command line and exports: read from `registry.json`, without loading models."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import msgspec

from vismanet_async.errors import RequestRefused, UnknownName

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["find_resource", "list_arguments", "registry", "resource_names"]


@cache
def registry() -> dict[str, Any]:
    """Give the whole registry: `resources`, `models` and `enums` by name. Some 2 MB once it is read."""
    text = resources.files("vismanet_async.api").joinpath("registry.json").read_bytes()
    found: dict[str, Any] = msgspec.json.decode(text)
    return found


def resource_names() -> list[str]:
    """Give the names of all resources, sorted."""
    return sorted(registry()["resources"])


def find_resource(name: str) -> str:
    """Give a resource's own name from any common spelling of it: `customerInvoice`, `customer-invoice`.

    Raises:
        UnknownName: there is none; with the nearest names.
    """
    return _find(name, registry()["resources"], kind="resource")


def list_arguments(resource: str, filters: Mapping[str, Any]) -> dict[str, Any]:
    """Check filters for the list of a resource and give them as its `list` method takes them.

    Args:
        resource: its own name.
        filters: by the method's names or the API's, in any casing. Text is read as the parameter's type, but for
            conditions: these must be given as such, because a bare value would be ignored by the API.

    Raises:
        UnknownName: a filter that the list does not have; with the nearest names.
        RequestRefused: the resource has no list, or a value cannot be read.
    """
    method = registry()["resources"][resource]["methods"].get("list")
    if method is None or method["call"] != "list" or method.get("ids"):
        raise RequestRefused(f"{resource} has no list of its own; nothing was sent.")
    known = {parameter["name"]: parameter for parameter in method.get("parameters", ())}
    arguments: dict[str, Any] = {}
    for given, value in filters.items():
        name = _find(given, known, kind="filter", where=f"for {resource}")
        if name in arguments:
            raise RequestRefused(f"the filter {name} is given twice; nothing was sent.")
        arguments[name] = _value(name, known[name]["kind"], value)
    return arguments


def _find(name: str, known: Iterable[str], *, kind: str, where: str = "") -> str:
    by_letters = {_letters(each): each for each in known}
    found = by_letters.get(_letters(name))
    if found is None:
        nearest = get_close_matches(_letters(name), by_letters, n=3, cutoff=0.6)
        raise UnknownName(kind, name, nearest=[by_letters[each] for each in nearest], where=where)
    return found


def _letters(name: str) -> str:
    return name.replace("_", "").replace("-", "").casefold()


def _value(name: str, kind: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return _READERS.get(kind, str)(value)
    except (KeyError, ValueError, InvalidOperation):
        raise RequestRefused(f"{name}: {value!r} cannot be read as {_WORDS[kind]}; nothing was sent.") from None


_READERS: dict[str, Any] = {
    "flag": lambda text: {"true": True, "false": False}[text.casefold()],
    "integer": int,
    "number": Decimal,
    "repeated": lambda text: text.split(","),
    "attributes": msgspec.json.decode,
}
_WORDS = {
    "flag": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "attributes": 'JSON such as {"COLOUR": "RED"}',
}

"""The API surface by name, for the command line and exports: read from `registry.json`, without loading models."""

from __future__ import annotations

import re
from difflib import get_close_matches
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from vismanet_async._arguments import expect
from vismanet_async._conditions import Condition
from vismanet_async._decimals import number_in, whole_number_in
from vismanet_async.errors import RequestRefused, UnknownName

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vismanet_async._conditions import Operator

N = TypeVar("N")

__all__ = [
    "find_method",
    "find_resource",
    "honours_if_match",
    "list_arguments",
    "method_arguments",
    "method_facts",
    "method_ids",
    "registry",
    "resource_names",
]


@cache
def registry() -> dict[str, Any]:
    """Return the whole registry: `resources`, `models` and `enums` by name. Some 2 MB once it is read."""
    text = resources.files("vismanet_async._api").joinpath("registry.json").read_bytes()
    found: dict[str, Any] = msgspec.json.decode(text)
    return found


def resource_names() -> list[str]:
    """Return the names of all resources, sorted."""
    return sorted(registry()["resources"])


def find_resource(name: str) -> str:
    """Return a resource's own name from any common spelling of it: `customerInvoice`, `customer-invoice`.

    Raises:
        UnknownName: there is none; with the nearest names.
    """
    return _find(name, registry()["resources"], kind="resource", listed_by="vismanet resources")


def find_method(name: str) -> tuple[str, str]:
    """Return resource and method of a dotted name, in any common spelling: `customer.get`, `customerInvoice.list`.

    Raises:
        UnknownName: there is none; with the nearest names.
        RequestRefused: the name has no method in it.
    """
    first, _, second = name.partition(".")
    resource = find_resource(first)
    known, listed_by = registry()["resources"][resource]["methods"], f"vismanet resources {resource}"
    if not second:
        raise RequestRefused(
            f"{name} names no method, such as {resource}.{next(iter(known))}; nothing was sent. "
            f"`{listed_by}` lists them."
        )
    return resource, _find(second, known, kind="method", where=f"in {resource}", listed_by=listed_by)


def method_facts(resource: str, method: str) -> dict[str, Any]:
    """Return what the registry holds about a method, by the own names of both."""
    facts: dict[str, Any] = registry()["resources"][resource]["methods"][method]
    return facts


def honours_if_match(verb: str, path: str, *, service: str) -> bool:
    """Return whether the catalog has a call and says that the server honours If-Match there, sent directly.

    Args:
        verb: the HTTP method.
        path: percent-encoded, with the ids of a record. Fixed parts are compared in any case.
        service: which service it is sent to.

    Examples:
        >>> honours_if_match("PUT", "/v1/customer/10000", service="erp")
        True
        >>> honours_if_match("PUT", "/v1/inventory/V1", service="erp"), honours_if_match("PUT", "/v9/x", service="erp")
        (False, False)
    """
    parts = path.casefold().split("/")
    if "%2f" in path.casefold() or "" in parts[1:]:  # servers disagree on what these are
        return False
    found = [
        facts.get("if_match") in {"always", "needed"}
        for resource in registry()["resources"].values()
        for facts in resource["methods"].values()
        if facts["method"] == verb and facts.get("service", "erp") == service and _fits(facts["path"], parts)
    ]
    return bool(found) and all(found)


def _fits(template: str, parts: list[str]) -> bool:
    fixed = template.casefold().split("/")
    pairs = zip(fixed, parts, strict=False)
    return len(fixed) == len(parts) and all(one == part or one.startswith("{") for one, part in pairs)


def method_ids(resource: str, method: str, ids: Sequence[str]) -> list[Any]:
    """Check the ids for a method's path and give them as it takes them; several in one are parted by commas.

    Raises:
        RequestRefused: too few, too many, or one that is not a whole number where the path wants that.
    """
    wanted = method_facts(resource, method).get("ids", [])
    if missing := [name for name, _ in wanted[len(ids) :]]:
        raise RequestRefused(f"{resource}.{method} needs the id {', '.join(missing)}; nothing was sent.")
    if len(ids) > len(wanted):
        names = f"{', '.join(name for name, _ in wanted)} alone" if wanted else "no id"
        raise RequestRefused(f"{resource}.{method} takes {names}, so {ids[-1]!r} is one too many; nothing was sent.")
    return [
        _value(name, "integer" if kind == "int" else kind, text) for (name, kind), text in zip(wanted, ids, strict=True)
    ]


def method_arguments(resource: str, method: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Check query parameters for a method and give them as it takes them.

    Args:
        resource: its own name.
        method: its own name.
        values: by the method's names or the API's, in any casing. Text is read as the parameter's type. Conditions
            are given as such or as text with the operator, `">=2025-05-25"`; a bare value stays one, which the
            method refuses, because the API would ignore it.

    Raises:
        UnknownName: a parameter that the method does not have; with the nearest names.
        RequestRefused: a value cannot be read, or one is missing that the API wants in any case.
    """
    facts = method_facts(resource, method)
    known = {parameter["name"]: parameter for parameter in facts.get("parameters", ())}
    kind = "filter" if facts["call"] == "list" else "parameter"
    where = f"for {resource}" if method == "list" else f"for {resource}.{method}"
    arguments: dict[str, Any] = {}
    for given, value in values.items():
        name = _find(given, known, kind=kind, where=where, listed_by=f"vismanet resources {resource}.{method}")
        if name in arguments:
            raise RequestRefused(f"the {kind} {name} is given twice; nothing was sent.")
        arguments[name] = _value(name, known[name]["kind"], value)
    missing = [name for name, one in known.items() if one.get("required") and name not in arguments]
    if missing:
        raise RequestRefused(f"{resource}.{method} needs {', '.join(missing)} as well; nothing was sent.")
    return arguments


def list_arguments(resource: str, filters: Mapping[str, Any]) -> dict[str, Any]:
    """Check filters for the list of a resource and give them as its `list` method takes them.

    Args:
        resource: its own name.
        filters: as the values of `method_arguments`.

    Raises:
        UnknownName: a filter that the list does not have; with the nearest names.
        RequestRefused: the resource has no list, or a value cannot be read, or one is missing.
    """
    facts = registry()["resources"][resource]["methods"].get("list")
    if facts is None or facts["call"] != "list" or facts.get("ids"):
        raise RequestRefused(f"{resource} has no list of its own; nothing was sent.")
    return method_arguments(resource, "list", filters)


def _find(name: str, known: Iterable[str], *, kind: str, listed_by: str, where: str = "") -> str:
    expect(f"the name of a {kind}", name, str)
    by_letters = {_letters(each): each for each in known}
    found = by_letters.get(_letters(name))
    if found is None:
        nearest = get_close_matches(_letters(name), by_letters, n=3, cutoff=0.6)
        raise UnknownName(kind, name, nearest=[by_letters[each] for each in nearest], where=where, listed_by=listed_by)
    return found


def _letters(name: str) -> str:
    return name.replace("_", "").replace("-", "").casefold()


def _value(name: str, kind: str, value: Any) -> Any:
    if isinstance(value, Condition):
        return _comparison(name, kind, value)
    if not isinstance(value, str):
        return value
    compared = _COMPARED.fullmatch(value) if kind in _CONDITIONS else None
    if compared is not None:
        return _comparison(name, kind, Condition(cast("Operator", compared["operator"]), compared["value"].strip()))
    try:
        return _READERS.get(kind, str)(value)
    except (KeyError, ValueError):
        raise RequestRefused(f"{name}: {value!r} cannot be read as {_WORDS[kind]}; nothing was sent.") from None


def _comparison(name: str, kind: str, condition: Condition[Any]) -> Condition[Any]:
    if kind not in _CONDITIONS:
        raise RequestRefused(f"{name} takes a plain value, the API knows no comparison here; nothing was sent.")
    if not isinstance(condition.value, str):
        return condition
    if kind == "number_condition":
        return Condition(condition.operator, _value(name, "number", condition.value))
    condition.parameters(name)  # refuses text that the API cannot read as a moment
    return condition


def _known(number: N | None) -> N:
    if number is None:
        raise ValueError("not a number")
    return number


_CONDITIONS = frozenset({"condition", "number_condition"})
_COMPARED = re.compile(r"(?P<operator>>=|<=|>|<)(?P<value>.*)", re.DOTALL)
_READERS: dict[str, Any] = {
    "flag": lambda text: {"true": True, "false": False}[text.casefold()],
    "integer": lambda text: _known(whole_number_in(text)),
    "number": lambda text: _known(number_in(text)),
    "repeated": lambda text: text.split(","),
    "choices": lambda text: [part.strip() for part in text.split(",")],
    "list[int]": lambda text: [_known(whole_number_in(part.strip())) for part in text.split(",")],
    "attributes": msgspec.json.decode,
}
_WORDS = {
    "flag": "true or false",
    "integer": "a whole number",
    "list[int]": "whole numbers with commas",
    "number": "a number",
    "attributes": 'JSON such as {"COLOUR": "RED"}',
}

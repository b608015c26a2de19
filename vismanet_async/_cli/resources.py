"""`vismanet resources`: what there is, from the registry that the API surface was generated with."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final

from vismanet_async._api.registry import find_method, find_resource, method_facts, registry, resource_names
from vismanet_async._cli.exit_codes import DONE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["run_resources"]

_KINDS: Final = {
    "text": "text",
    "flag": "true or false",
    "integer": "whole number",
    "number": "number",
    "moment": "date",
    "instant": "moment with a zone",
    "condition": "date with >=, <=, > or <",
    "number_condition": "number with >=, <=, > or <",
    "repeated": "texts, with commas",
    "attributes": 'JSON such as {"COLOUR": "RED"}',
}
_IF_MATCH: Final = {"always": "yes", "needed": "yes, always needed", "background": "in the background only", None: "no"}
_RESULTS: Final = {
    "create": "id and ETag of what was made",
    "upload": "id and ETag of what was made",
    "update": "the new ETag",
    "act": "id and ETag, if told",
    "delete": "nothing",
    "download": "a file",
}


def run_resources(name: str | None, *, as_json: bool) -> int:
    """Print the resources, or the operations of one, or all about one operation (`customer.update`).

    Raises:
        UnknownName: there is no such resource or operation.
    """
    if name is None:
        _print_all(as_json=as_json)
        return DONE
    one = "." in name
    chosen = [find_method(name)] if one else _operations(find_resource(name))
    if as_json:
        print(json.dumps([_facts(*each) | {"models": _models([each], nested=one)} for each in chosen], indent=2))
    else:
        _print(_described(chosen, nested=one))
    return DONE


def _operations(resource: str) -> list[tuple[str, str]]:
    return [(resource, method) for method in registry()["resources"][resource]["methods"]]


def _print_all(*, as_json: bool) -> None:
    names = resource_names()
    if as_json:
        print(json.dumps([_facts(*each) for name in names for each in _operations(name)], indent=2))
        return
    wide = max(map(len, names))
    for name in names:
        note = "" if _list_filters(name) is not None else "  (no list to export)"
        count = len(_operations(name))
        print(f"{name:{wide}}  {count:>3} operation{'' if count == 1 else 's'}{note}")


def _list_filters(resource: str) -> list[str] | None:
    """Return the filters of the list that an export would read; None where there is none."""
    facts = registry()["resources"][resource]["methods"].get("list")
    if facts is None or facts["call"] != "list" or facts.get("ids"):
        return None
    return [parameter["name"] for parameter in facts.get("parameters", ())]


# --- as JSON -------------------------------------------------------------------------------------------------------


def _facts(resource: str, method: str) -> dict[str, Any]:
    facts = method_facts(resource, method)
    return {
        "resource": resource,
        "name": method,
        "id": facts["id"],
        "method": facts["method"],
        "path": facts["path"],
        "ids": [{"name": name, "type": kind} for name, kind in facts.get("ids", ())],
        "parameters": [_parameter(one) for one in facts.get("parameters", ())],
        "one_of": facts.get("one_of", []),
        "body": facts.get("body"),
        "result": facts.get("result"),
        "key": facts.get("identity", []),
        "background": facts["background"],
        "if_match": facts.get("if_match"),
        "ended": facts.get("ended"),
        "notice": facts.get("notice"),
    }


def _parameter(one: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": one["name"],
        "api_name": one["json"],
        "type": one["type"],
        "required": one.get("required", False),
        "values": registry()["enums"].get(one.get("enum")),
    }


def _models(operations: Sequence[tuple[str, str]], *, nested: bool) -> dict[str, list[dict[str, Any]]]:
    """Return the fields of models of bodies and results by name; if `nested`, of models inside them as well."""
    known = registry()["models"]
    used = [method_facts(*each).get(part) for each in operations for part in ("body", "result")]
    due = [name for name in map(_bare_type, used) if name in known]
    found: dict[str, list[dict[str, Any]]] = {}
    while due:
        name = due.pop(0)
        if name in found:
            continue
        found[name] = [_field(*field) for field in known[name]["fields"]]
        if nested:
            due += [inner for inner in map(_inner, found[name]) if inner in known]
    return found


def _field(name: str, api_name: str, kind: str, wrapped: str = "") -> dict[str, Any]:
    field: dict[str, Any] = {"name": name, "api_name": api_name, "type": kind, "wrapped": bool(wrapped)}
    values = registry()["enums"].get(_inner(field))
    return field if values is None else field | {"values": values}


def _inner(field: dict[str, Any]) -> str:
    return _bare_type(field["type"])


def _bare_type(kind: object) -> str:
    return str(kind).removeprefix("list[").removesuffix("]")


# --- to read -------------------------------------------------------------------------------------------------------

_Line = tuple[str, str]
"""A style of rich, or none, and the text."""


def _print(lines: Iterator[_Line]) -> None:
    if not sys.stdout.isatty():
        for _, text in lines:
            print(text)
        return
    from rich.console import Console  # noqa: PLC0415 - only needed on a terminal, and costs start-up time

    console = Console(highlight=False, soft_wrap=True)
    for style, text in lines:
        console.print(text, style=style or None, markup=False)


def _described(operations: Sequence[tuple[str, str]], *, nested: bool) -> Iterator[_Line]:
    for resource, method in operations:
        yield from _operation(resource, method_facts(resource, method), method)
        yield "", ""
    for name, fields in _models(operations, nested=nested).items():
        yield "bold", name
        wide = max((len(field["name"]) for field in fields), default=0)
        for field in fields:
            values = f"  {_one_of(field['values'])}" if "values" in field else ""
            yield "", f"    {field['name']:{wide}}  {field['type']}{values}"
        yield "", ""
    resource = operations[0][0]
    if not nested:
        yield "dim", f"vismanet resources {resource}.METHOD shows the models inside the models as well"
        filters = _list_filters(resource)
        if filters:
            yield "dim", f"vismanet export {resource} takes --where with {', '.join(filters)}"
            if needed := method_facts(resource, "list").get("one_of"):
                yield "dim", f"and needs one of {', '.join(needed)}: for all rows, --since 1900-01-01 or --incremental"


def _operation(resource: str, facts: dict[str, Any], method: str) -> Iterator[_Line]:
    yield "bold cyan", f"{resource}.{method}  {facts['method']} {facts['path']}  {facts['id']}"
    if "notice" in facts:
        yield "yellow", f"    note        {facts['notice']}"
    if "ids" in facts:
        yield "", f"    ids         {', '.join(f'{name} ({kind})' for name, kind in facts['ids'])}"
    for index, one in enumerate(facts.get("parameters", ())):
        yield "", f"    {'' if index else 'parameters':10}  {one['name']} ({_words(one)})"
    if "one_of" in facts:
        yield "", f"    {'':10}  one of {', '.join(facts['one_of'])} is needed"
    if "body" in facts:
        yield "", f"    body        {facts['body']}"
    kind = f"list of {facts['result']}" if facts["call"] == "list" else facts.get("result") or _RESULTS[facts["call"]]
    yield "", f"    result      {kind}"
    if facts["call"] == "list":
        yield "", f"    key         {', '.join(facts.get('identity', ())) or 'the row as a whole'}"
    yield "", f"    if-match    {_IF_MATCH[facts.get('if_match')]}"
    background = facts["background"] and facts["call"] not in {"list", "upload"}
    yield "", f"    background  {'yes' if background else 'no'}"


def _words(parameter: dict[str, Any]) -> str:
    values = registry()["enums"].get(parameter.get("enum"))
    kind = _KINDS[parameter["kind"]] if values is None else _one_of(values)
    kind = f"{kind}; several with commas" if parameter["kind"] == "choices" else kind
    return f"{kind}; needed" if parameter.get("required") else kind


def _one_of(values: Sequence[str]) -> str:
    return " | ".join(values)

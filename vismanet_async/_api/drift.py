"""What an OpenAPI description of the service has that the catalog lacks, and the other way round. Pure.

Compared are operations, their parameters, bodies and headers, and the fields of all shapes: names, types, wrapping and
values of enumerations. Not compared are prose, formats and statuses. Names of shapes, paths and headers are compared in
any case, since the documents differ in it (docs/facts.md 1.10); names in `{}` of a path mean nothing.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import attrs

from vismanet_async.errors import RequestRefused

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["Difference", "Surface", "catalog_surface", "differences", "openapi_surface", "service_described"]

_CATALOG: Final = Path(__file__).parent / "catalog"
_ORDER_PATHS: Final = "/api/v3/"
"""What stands before all paths of the Sales Order service."""
_PLAIN: Final = frozenset({"string", "integer", "number", "boolean", "object"})
_METHODS: Final = ("get", "post", "put", "delete", "patch")
_HEADERS: Final = {"if-match": "If-Match", "erp-api-background": "erp-api-background"}
_NOT_FOUND: Final = "has no OpenAPI 3 document in JSON with paths and schemas"

Facts: TypeAlias = dict[str, Any]


@attrs.frozen(kw_only=True)
class Difference:
    """One difference between the catalog and the service's description."""

    change: Literal["new", "gone", "changed"]
    """`new`: the service has it and the catalog does not."""
    kind: Literal["operation", "parameter", "schema", "field"]
    where: str
    """The operation or the schema."""
    name: str = ""
    """The parameter or field."""
    detail: str = ""
    """What is new, or what it was and is."""


@attrs.frozen(kw_only=True)
class Surface:
    """What is compared."""

    operations: Mapping[str, Facts]
    """By method and path in lower case; `shown` is how it is written, `parameters` have facts of their own."""
    schemas: Mapping[str, Facts]
    """By name in lower case; `fields` have facts of their own."""


def service_described(document: object) -> Literal["erp", "sales_order"]:
    """Return which service a document describes, by its paths; the ERP's where they do not say."""
    paths = document.get("paths") if isinstance(document, dict) else None
    ours = [isinstance(path, str) and path.casefold().startswith(_ORDER_PATHS) for path in paths or ()]
    return "sales_order" if ours and all(ours) else "erp"


def catalog_surface(folder: Path = _CATALOG, *, service: Literal["erp", "sales_order"] = "erp") -> Surface:
    """Return what the catalog has of a service."""
    read = {path.stem: json.loads(path.read_text("utf-8")) for path in folder.glob("*.json")}
    if service == "sales_order":
        orders = read["sales_order"]
        operations, schemas, enums = orders["operations"], orders["schemas"], orders["enums"]
    else:
        operations = read["operations"]["operations"] + read["additions"]["operations"]
        schemas = read["schemas"]["schemas"] | read["additions"]["schemas"]
        enums = read["enums"]["enums"]
    values = {name: one["values"] for name, one in enums.items()}
    return Surface(
        operations={
            _key(one["method"], one["path"]): {
                "shown": f"{one['method']} {one['path']}",
                "ended": "ended" in one,
                "body": _folded((one["request"] or {}).get("dto")),
                "parameters": {each["name"]: _catalog_facts(each, values) for each in one["query"]}
                | ({"If-Match": {}} if one["if_match"] else {})
                | ({"erp-api-background": {}} if one["background"] else {}),
            }
            for one in operations
        },
        schemas={
            name.casefold(): {
                "shown": one.get("spec_name", name),
                "fields": {field: _catalog_facts(facts, values) for field, facts in one["fields"].items()},
            }
            for name, one in schemas.items()
            if not _repeats_parameters(name)
        },
    )


def openapi_surface(document: object, catalog: Surface) -> Surface:
    """Return what an OpenAPI 3 document has.

    Args:
        document: as JSON values.
        catalog: tells shapes with one field `value` from the wrappers of single values.

    Raises:
        RequestRefused: it is no such document.
    """
    root: Any = document
    try:
        schemas = dict(root["components"]["schemas"])
        reader = _Reader(schemas, wrappers={name for name in schemas if _is_wrapper(name, schemas[name], catalog)})
        return Surface(
            operations=dict(reader.operations(root["paths"])),
            schemas={
                name.casefold(): {
                    "shown": name,
                    "fields": {field: reader.facts(facts) for field, facts in one["properties"].items()},
                }
                for name, one in schemas.items()
                if name not in reader.wrappers and "properties" in one and not _repeats_parameters(name)
            },
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise RequestRefused(f"the source {_NOT_FOUND}: {type(error).__name__} {error}.") from error


def differences(catalog: Surface, service: Surface) -> list[Difference]:
    """Return what differs, operations before schemas, each in the order of names.

    An operation that the catalog knows to have ended may be there or not.
    """
    expected = {key: one for key, one in catalog.operations.items() if not one["ended"] or key in service.operations}
    return [
        *_compared("operation", "parameter", expected, service.operations, "parameters"),
        *_compared("schema", "field", catalog.schemas, service.schemas, "fields"),
    ]


# --- compared ------------------------------------------------------------------------------------------------------


def _compared(kind: Any, part: Any, old: Mapping[str, Facts], new: Mapping[str, Facts], parts: str) -> list[Difference]:
    found = []
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if before is None or after is None:
            one: Facts = before or after or {}
            found.append(Difference(change="gone" if before else "new", kind=kind, where=one["shown"]))
            continue
        where = before["shown"]
        own = list(_changes(before, after, ("body",)))
        own += ["is deprecated now"] * (after.get("deprecated", False) and not before["ended"])
        if own:
            found.append(Difference(change="changed", kind=kind, where=where, detail="; ".join(own)))
        found += [attrs.evolve(one, kind=part, where=where) for one in _parts(before[parts], after[parts])]
    return found


def _parts(old: Mapping[str, Facts], new: Mapping[str, Facts]) -> Iterator[Difference]:
    for name in sorted(old.keys() | new.keys()):
        facts: Facts = {**old.get(name, {}), **new.get(name, {})}
        if name not in old or name not in new:
            yield Difference(
                change="gone" if name in old else "new", kind="field", where="", name=name, detail=_described(facts)
            )
        elif changes := list(_changes(old[name], new[name], ("type", "of", "wrapped", "required"))):
            yield Difference(change="changed", kind="field", where="", name=name, detail="; ".join(changes))


def _changes(old: Facts, new: Facts, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        if old.get(name) != new.get(name):
            yield f"{name}: {_shown(old.get(name))} -> {_shown(new.get(name))}"
    before, after = old.get("values") or (), new.get("values") or ()
    for label, values in (("new values", set(after) - set(before)), ("values gone", set(before) - set(after))):
        if values:
            yield f"{label}: {', '.join(sorted(values))}"


def _described(facts: Facts) -> str:
    words = [str(facts.get("type") or ""), f"of {facts['of']}" if facts.get("of") else ""]
    words += ["wrapped" if facts.get("wrapped") else "", "required" if facts.get("required") else ""]
    words += [", ".join(facts.get("values") or ())]
    return ", ".join(filter(None, words))


def _shown(value: object) -> str:
    return {None: "none", "": "none", True: "yes", False: "no"}.get(value, str(value))  # type: ignore[call-overload, no-any-return]  # any value


# --- read ----------------------------------------------------------------------------------------------------------


@attrs.frozen
class _Reader:
    schemas: Mapping[str, Any]
    wrappers: set[str]

    def operations(self, paths: Mapping[str, Any]) -> Iterator[tuple[str, Facts]]:
        for path, ways in paths.items():
            for method in _METHODS:
                if method in ways:
                    yield _key(method, path), self._operation(method, path, ways)

    def _operation(self, method: str, path: str, ways: Mapping[str, Any]) -> Facts:
        one = ways[method]
        parameters: Facts = {}
        for each in [*ways.get("parameters", ()), *one.get("parameters", ())]:
            header = _HEADERS.get(each["name"].casefold()) if each["in"] == "header" else None
            if header:
                parameters[header] = {}
            elif each["in"] == "query":
                required = {"required": True} if each.get("required") else {}
                parameters[each["name"]] = self.facts(each["schema"]) | required
        content = one.get("requestBody", {}).get("content", {})
        body = self.facts(content["application/json"]["schema"]) if "application/json" in content else {}
        deprecated = bool(one.get("deprecated"))
        shown = f"{method.upper()} {path}"
        return {"shown": shown, "deprecated": deprecated, "body": body.get("of"), "parameters": parameters}

    def facts(self, schema: Mapping[str, Any]) -> Facts:
        """Return the facts of a field or parameter."""
        name = _referenced(schema)
        if name in self.wrappers:
            return self.facts(self.schemas[str(name)]["properties"]["value"]) | {"wrapped": True}
        if name is not None:
            target = self.schemas[name]
            return {"type": "object", "of": name.casefold()} if "properties" in target else self.facts(target)
        if set(schema.get("properties", ())) == {"value"}:
            return self.facts(schema["properties"]["value"]) | {"wrapped": True}
        made: Facts = {"type": _type(schema)}
        if made["type"] == "array" and (inner := _referenced(schema.get("items", {}))):
            made["of"] = inner.casefold()
        values = schema.get("enum") or (schema.get("items", {}).get("enum") if made["type"] == "array" else None)
        if values:
            made["values"] = tuple(each for each in values if each is not None)
        return made


def _type(schema: Mapping[str, Any]) -> str:
    """Return the type; of several (OpenAPI 3.1) the one that is not null."""
    kind = schema.get("type", "object")
    return str(kind if isinstance(kind, str) else next((each for each in kind if each != "null"), "object"))


def _referenced(schema: Mapping[str, Any]) -> str | None:
    """Return the name of the shape that a schema refers to, directly or as its only part."""
    if len(schema.get("allOf", ())) == 1:
        schema = schema["allOf"][0]
    return str(schema["$ref"]).rpartition("/")[2] if "$ref" in schema else None


def _is_wrapper(name: str, schema: Mapping[str, Any], catalog: Surface) -> bool:
    return set(schema.get("properties", ())) == {"value"} and name.casefold() not in catalog.schemas


def _catalog_facts(facts: Facts, values: Mapping[str, list[str]]) -> Facts:
    made: Facts = {"type": facts["type"]}
    inner = facts.get("ref") or facts.get("items")
    if inner and inner not in _PLAIN:
        made["of"] = _folded(inner)
    if facts.get("enum"):
        made["values"] = tuple(values[facts["enum"]])
    # which fields are required is not known from the description, only which parameters are
    needed = "name" in facts and facts.get("required")
    return made | ({"wrapped": True} if facts.get("wrapped") else {}) | ({"required": True} if needed else {})


def _repeats_parameters(name: str) -> bool:
    """Return whether a shape only says again which parameters a list takes."""
    return name.casefold().endswith("queryparameters")


def _folded(name: str | None) -> str | None:
    return name.casefold() if name else None


def _key(method: str, path: str) -> str:
    """Return what identifies an operation, whatever base path, case and parameter names its document has."""
    versioned = re.search(r"/v\d+/.*", path)
    return f"{method.upper()} {re.sub(r'{[^}]*}', '{}', versioned[0] if versioned else path).lower()}"

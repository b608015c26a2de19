"""Which resource has which methods, under which names. The naming rules are at the top of `_api/generate.py`."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, cast

import attrs

from vismanet_async._api.generator import naming
from vismanet_async._api.generator.facts import SALES_ORDER

if TYPE_CHECKING:
    from vismanet_async._api.generator.facts import Facts
    from vismanet_async._api.generator.shapes import Models

__all__ = ["Method", "Parameter", "ResourcePlan", "module_of", "plan"]

Call = Literal["list", "read", "create", "update", "delete", "act", "upload", "download"]

_PAGE = {"pageNumber", "pageSize", "pageIndex"}
# disregarded by the server since 2020 or without effect (facts 4)
_DEAD = {"numberToRead", "skipRecords", "greaterThanValue"}
# most of their operations have ended (facts 1.13)
_OLD_ORDERS = {"SalesOrder", "SalesOrderV2", "SalesOrderBasic", "SalesOrderBasicV2"}
_NO_SUCCESSOR = "`sales_order_service` has nothing for this: it stays here until Visma says otherwise."
_DECLARED_BY_MISTAKE = "BackgroundApiAcceptedDto"
_TYPES = {"string": "str", "integer": "int", "number": "Decimal | int", "boolean": "bool"}
_ID_TYPES = {"string": "str", "integer": "int"}


@attrs.frozen(kw_only=True)
class Parameter:
    """One keyword parameter: one query parameter of the API, or a pair of value and condition."""

    name: str
    json: str
    type: str
    kind: str
    """How it is put on the wire; a member of `_api.query`."""
    required: bool
    enum: str | None = None
    most: int | None = None
    """How many values it takes at once."""


@attrs.frozen(kw_only=True)
class Method:
    """One method of a resource: one operation of the catalog."""

    name: str
    call: Call
    operation: dict[str, Any]
    summary: str | None
    """The first line of its docstring, where the rule gives a poor one."""
    ids: tuple[tuple[str, str], ...]
    """The path parameters: name and type."""
    parameters: tuple[Parameter, ...]
    body: str | None
    body_many: bool
    items: tuple[str, str] | None
    """Of a body that is nothing but one list: the list's name, and the class of its items."""
    selection: Parameter | None
    """The query parameter that names what is changed, as the ids in the path do."""
    narrower: str | None
    """The parameter of a list that turns it into the list of the same rows with this id in its path."""
    result: str | None
    """The class of the answer, or of a row."""
    style: str | None
    identity: tuple[str, ...]
    frozen: tuple[str, str] | None
    max_page_size: int | None
    max_page_size_expanded: int | None
    ended: str | None
    """The day of its end of life, as Visma has announced it."""
    notice: str | None
    """What a user must know before using it."""

    @property
    def if_match(self) -> Literal["needed", "always", "background"] | None:
        """Whether the server honours If-Match: on PUT always, on POST only in the background (facts 6).

        The Sales Order service does not go without (facts 6.10).
        """
        if self.operation["if_match"] and self.service == "sales_order":
            return "needed"
        if not self.operation["if_match"] or self.operation["method"] not in {"PUT", "POST"}:
            return None
        return "always" if self.operation["method"] == "PUT" else "background"

    @property
    def service(self) -> str:
        """The service that has it."""
        return str(self.operation.get("service", "erp"))


@attrs.frozen(kw_only=True)
class ResourcePlan:
    """One resource module."""

    module: str
    class_name: str
    tags: tuple[str, ...]
    """Visma's own names: `Customer`, `CustomerV2`."""
    about: str | None
    """What its docstring says beside them."""
    methods: tuple[Method, ...]


def module_of(tag: str) -> str:
    """Return the module, and the attribute of the client, for one of the catalog's resources; versions are merged."""
    return naming.snake(re.sub(r"V\d$", "", tag))


def plan(facts: Facts, models: Models) -> list[ResourcePlan]:
    """Plan all resources.

    Raises:
        ValueError: when two operations of a resource would be one method: give one a name in overrides.toml.
    """
    by_module: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for operation in facts.operations:
        by_module[module_of(operation["resource"])].append(operation)
    plans = []
    for module, operations in sorted(by_module.items()):
        names = _names(facts, operations)
        tags = tuple(dict.fromkeys(operation["resource"] for operation in operations))
        plans.append(
            ResourcePlan(
                module=module,
                class_name="".join(part.capitalize() for part in module.split("_")) + "Resource",
                tags=tags,
                about=next((one["about"] for one in map(partial(facts.override, "resource"), tags) if one), None),
                methods=tuple(_method(facts, models, names[operation["id"]], operation) for operation in operations),
            )
        )
    return plans


# --- names ---------------------------------------------------------------------------------------------------------


def _names(facts: Facts, operations: list[dict[str, Any]]) -> dict[str, str]:
    names: dict[str, str] = {}
    for version in sorted({operation["version"] for operation in operations}):
        groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for operation in operations:
            if operation["version"] == version:
                override = facts.override("method", operation["id"])
                if override:
                    names[operation["id"]] = override["name"]
                else:
                    groups[_base(operation)].append(operation)
        taken = set(names.values())
        for base, group in groups.items():
            ranked = sorted(group, key=lambda each: (_selector(each) is not None, len(each["path_params"]), each["id"]))
            plain = {name for name, *_ in ranked[0]["path_params"]}
            for index, operation in enumerate(ranked):
                name = base if index == 0 else f"{base}_by_{_by(operation, plain)}"
                names[operation["id"]] = f"{name}_v{version}" if name in taken else name
    seen: dict[str, str] = {}
    for key, name in names.items():
        if name in seen:
            raise ValueError(f"{key} and {seen[name]} would both be called {name}: name one in overrides.toml")
        seen[name] = key
    return {key: naming.method_name(name) for key, name in names.items()}


def _tail(operation: dict[str, Any]) -> list[str]:
    # behind /v1/customer, or /api/v3/SalesOrders; what stands beside the latter is a part of its resource
    return str(operation["path"]).split("/")[4 if operation.get("tag") == "SalesOrders" else 3 :]


def _selector(operation: dict[str, Any]) -> str | None:
    """Return the parameter that `internal/{internalId}` names: the record is meant, not a part of it."""
    tail = _tail(operation)
    return tail[tail.index("internal") + 1].strip("{}") if "internal" in tail else None


def _by(operation: dict[str, Any], plain: set[str]) -> str:
    ids = [name for name, *_ in operation["path_params"]]
    return naming.snake(next((name for name in ids if name not in plain), ids[0]))


def _base(operation: dict[str, Any]) -> str:
    tail = _tail(operation)
    fixed = []
    for index, part in enumerate(tail):
        following = tail[index + 1] if index + 1 < len(tail) else ""
        if not part.startswith("{") and part not in {"internal", "action"} and following.strip("{}") != part:
            fixed.append(naming.snake(part))
    call = _call(operation)
    if call == "act":
        return fixed[0]
    if call == "upload":
        return (
            "add_line_attachment"
            if any("line" in name.lower() for name, *_ in operation["path_params"])
            else "add_attachment"
        )
    if call == "download":
        return "_".join(fixed) or "download"
    if call == "list":
        return "_".join(["list", *fixed[:-1], *(naming.plural(part) for part in fixed[-1:])])
    verb = "get" if call == "read" else call
    return "_".join([verb, *fixed[:-1], *(naming.singular(part) if call == "create" else part for part in fixed[-1:])])


# --- calls ---------------------------------------------------------------------------------------------------------


def _call(operation: dict[str, Any]) -> Call:
    request, response = operation["request"] or {}, operation["response"]
    if "call" in operation:
        return cast("Call", operation["call"])
    if request.get("kind") == "multipart":
        return "upload"
    if operation["method"] == "GET":
        if response["kind"] in {"binary", "unknown"}:
            return "download"
        return "list" if response["kind"] in {"list", "envelope", "paged"} else "read"
    if operation["method"] == "POST":
        return "act" if "/action/" in operation["path"] else "create"
    return "update" if operation["method"] in {"PUT", "PATCH"} else "delete"


def _method(facts: Facts, models: Models, name: str, operation: dict[str, Any]) -> Method:
    call = _call(operation)
    dto = operation["response"].get("dto")
    result = models.of_dto[dto] if dto and dto != _DECLARED_BY_MISTAKE else operation["response"].get("type")
    request = operation["request"] or {}
    listing = call == "list"
    override = facts.override("method", operation["id"]) or {}
    return Method(
        name=name,
        call=call,
        operation=operation,
        summary=override.get("summary"),
        ids=tuple((_id_name(facts, operation, one[0]), _ID_TYPES[one[1]]) for one in operation["path_params"]),
        parameters=_parameters(operation, facts, left_out=override.get("selection")),
        body=models.of_dto[request["dto"]] if request.get("dto") else None,
        body_many=bool(request.get("array")),
        items=_items(facts, models, request.get("dto", "")),
        selection=_selection(facts, operation, override),
        narrower=override.get("narrower"),
        result="str" if result == "string" else result,
        style=_style(operation) if listing else None,
        identity=_identity(facts, dto) if listing and dto else (),
        frozen=_frozen(facts, operation, dto) if listing and dto else None,
        max_page_size=operation.get("max_page_size"),
        max_page_size_expanded=operation.get("max_page_size_expanded"),
        ended=operation.get("ended"),
        notice=_notice(operation),
    )


def _id_name(facts: Facts, operation: dict[str, Any], json: str) -> str:
    override = facts.override("id", f"v{operation['version']}.{json}")
    return str(override["name"]) if override else naming.safe(naming.snake(json))


def _items(facts: Facts, models: Models, dto: str) -> tuple[str, str] | None:
    """Return the only field of a body that is nothing but a list of objects, and the class of those."""
    if not dto.startswith(SALES_ORDER):  # the ERP's bodies are taken as they are
        return None
    fields = facts.schemas[dto]["fields"]
    if len(fields) != 1:
        return None
    ((json, field),) = fields.items()
    return (json, models.of_dto[field["items"]]) if field["type"] == "array" and "items" in field else None


def _selection(facts: Facts, operation: dict[str, Any], override: dict[str, Any]) -> Parameter | None:
    json = override.get("selection")
    if json is None:
        return None
    one = next(one for one in operation["query"] if one["name"] == json)
    return attrs.evolve(_parameter(one, operation, facts), name=_id_name(facts, operation, json), required=True)


def _notice(operation: dict[str, Any]) -> str | None:
    if "ended" not in operation:
        is_left = operation["resource"] in _OLD_ORDERS and any(
            (operation.get("attachment"), operation.get("action"), operation["response"]["kind"] == "binary")
        )
        return _NO_SUCCESSOR if is_left else operation.get("notice")
    return f"Visma ended this operation on {operation['ended']}; use `{operation['instead']}`."


def _parameters(operation: dict[str, Any], facts: Facts, *, left_out: str | None) -> tuple[Parameter, ...]:
    names = {one["name"] for one in operation["query"]}
    found = []
    for one in operation["query"]:
        json = one["name"]
        if json in _PAGE | _DEAD or one.get("deprecated") or json == left_out:
            continue
        if json.endswith("Condition") and json.removesuffix("Condition") in names:
            continue
        found.append(_parameter(one, operation, facts))
    return tuple(sorted(found, key=lambda each: not each.required))


def _parameter(one: dict[str, Any], operation: dict[str, Any], facts: Facts) -> Parameter:
    json = one["name"]
    kind, type_, enum = _kind(one, any(other["name"] == f"{json}Condition" for other in operation["query"]), facts)
    if kind == "moment" and operation.get("service") == "sales_order":
        kind, type_ = "instant", "datetime | str"
    return Parameter(
        name=naming.safe(naming.snake(json)),
        json=json,
        type=type_,
        kind=kind,
        required=one.get("required", False),
        enum=enum,
        most=one.get("most"),
    )


def _kind(one: dict[str, Any], has_condition: bool, facts: Facts) -> tuple[str, str, str | None]:  # noqa: FBT001
    if has_condition:
        number = one["type"] in {"number", "integer"}
        return ("number_condition", "NumberCondition", None) if number else ("condition", "DateTimeCondition", None)
    if "enum" in one:
        override = facts.override("enum", one["enum"])
        enum = str(override["name"]) if override else one["enum"].removesuffix("Enum")
        several = one["type"] == "array"
        return (
            ("choices", f"Sequence[{enum}Value | Other]", enum) if several else ("text", f"{enum}Value | Other", enum)
        )
    if one["name"] == "attributes":
        return "attributes", "AttributeFilter", None
    if one.get("format") in {"date", "date-time"}:
        return "moment", "Moment", None
    if one["type"] == "array":
        whole = one.get("items") == "integer"
        return ("integers", "Sequence[int]", None) if whole else ("repeated", "Sequence[str]", None)
    kinds = {"string": "text", "integer": "integer", "number": "number", "boolean": "flag"}
    return kinds[one["type"]], _TYPES[one["type"]], None


# --- lists ---------------------------------------------------------------------------------------------------------

# What tells a row from all others, the first that its DTO has; exceptions are in overrides.toml. Numbers that exist
# once for each document type come with the type.
_IDENTITIES: tuple[tuple[str, ...], ...] = (
    ("documentType", "referenceNumber"),
    ("documentType", "refNbr"),
    ("type", "refNbr"),
    ("orderType", "orderNo"),
    ("orderType", "orderNbr"),
    ("module", "batchNumber"),
    ("receiptType", "receiptNbr"),
    ("inventoryNumber",),
    ("referenceNumber",),
    ("referenceNbr",),
    ("refNbr",),
    ("number",),
    ("internalId",),
    ("id",),
)


def _identity(facts: Facts, dto: str) -> tuple[str, ...]:
    override = facts.override("identity", dto)
    if override:
        return tuple(override["fields"])
    fields = facts.schemas[dto]["fields"]
    scalars = {json for json, field in fields.items() if "ref" not in field and "items" not in field}
    return next((names for names in _IDENTITIES if scalars.issuperset(names)), ())


def _style(operation: dict[str, Any]) -> str:
    if "style" in operation:
        return str(operation["style"])
    if operation["response"]["kind"] == "envelope":
        return "envelope"
    return "page_number" if operation["paginated"] else "unpaged"


def _frozen(facts: Facts, operation: dict[str, Any], dto: str) -> tuple[str, str] | None:
    names = {one["name"] for one in operation["query"]}
    fields = facts.schemas[dto]["fields"]
    if not {"lastModifiedDateTime", "lastModifiedDateTimeCondition"} <= names:
        return None
    shown = next((one for one in ("lastModifiedDateTime", "lastModified", "lastModifiedOn") if one in fields), None)
    return ("lastModifiedDateTime", shown) if shown else None

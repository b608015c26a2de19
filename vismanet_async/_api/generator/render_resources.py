"""Writes the resource modules."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING

from vismanet_async._api.generator.docstrings import docstring, modify_docstring, narrow_list
from vismanet_async._api.generator.render_models import HEADER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vismanet_async._api.generator.plan import Method, Parameter, ResourcePlan
    from vismanet_async._api.generator.shapes import Models

__all__ = ["render"]

_SCALARS = {"str"}
_DEPRECATION = [
    "if TYPE_CHECKING:",
    "    from typing_extensions import deprecated",
    "else:",
    "    from vismanet_async._api.deprecation import deprecated",
    "",
]


def render(plans: list[ResourcePlan], models: Models) -> dict[str, str]:
    """Return the text of every file below `_api/resources`, by its path there."""
    files = {f"{one.module}.py": _module(one, models) for one in plans}
    files["__init__.py"] = _index(plans)
    return files


# --- one module ----------------------------------------------------------------------------------------------------


def _module(plan: ResourcePlan, models: Models) -> str:
    methods = plan.methods
    refs = sorted(
        {name for one in methods for name in (one.result, one.body, _item(one)) if name and name not in _SCALARS}
    )
    body = "\n".join(line for one in methods for line in _method(one, plan, models.enums))
    specs = "\n".join(_spec(one) for one in methods)
    lines = [
        HEADER.format(title=f"The resource `{plan.module}`."),
        *(["# ruff: noqa: A002 - the names are the API's"] if _shadows(methods) else []),
        "from __future__ import annotations",
        "from typing import TYPE_CHECKING, Any",
        "from vismanet_async._api import query as q",
        "from vismanet_async._api.base import ListCall, ModelRef, Resource",
        "from vismanet_async._api.modify import modify",
        "from vismanet_async._api.type_names import name_types",
        "from vismanet_async._operation import OperationSpec",
        "from vismanet_async._paging.list_spec import FrozenFilter",
        "",
        *(_DEPRECATION if any(one.ended for one in methods) else []),
        "if TYPE_CHECKING:",
        "    from collections.abc import Callable, Mapping, Sequence",
        "    from datetime import datetime",
        "    from decimal import Decimal",
        "    from vismanet_async._api.base import IfMatch",
        "    from vismanet_async._api.files import Download, Upload",
        "    from vismanet_async._api.paths import Id",
        "    from vismanet_async._api.query import AttributeFilter, Moment, Other",
        "    from vismanet_async._api.results import Created, Done, Updated",
        "    from vismanet_async._conditions import DateTimeCondition, NumberCondition",
        "    from vismanet_async._operation import Operation",
        "    from vismanet_async._paging.listing import Listing",
        *(f"    from vismanet_async._api.models.{models.classes[name].home} import {name}" for name in refs),
        *_enum_import(methods),
        "",
        f"__all__ = [{plan.class_name!r}]",
        "",
        *(f"_{name} = ModelRef({models.classes[name].home!r}, {name!r})" for name in refs),
        f"name_types({', '.join(['globals()', *map(repr, _enum_names(methods))])})",
        "",
        specs,
        "",
        "",
        f"class {plan.class_name}(Resource):",
        *_class_docstring(plan),
        "",
        body,
    ]
    return "\n".join(lines) + "\n"


def _class_docstring(plan: ResourcePlan) -> list[str]:
    first = f'    """`{", ".join(plan.tags)}`: {len(plan.methods)} operations.'
    return [f'{first}"""'] if plan.about is None else [first, "", f"    {plan.about}", '    """']


def _item(method: Method) -> str | None:
    return method.items[1] if method.items else None


def _enum_names(methods: tuple[Method, ...]) -> list[str]:
    enums = sorted({one.enum for method in methods for one in method.parameters if one.enum})
    return [f"{enum}Value" for enum in enums]


def _enum_import(methods: tuple[Method, ...]) -> list[str]:
    names = _enum_names(methods)
    return [f"    from vismanet_async._api.models.enums import {', '.join(names)}"] if names else []


def _shadows(methods: tuple[Method, ...]) -> bool:
    """Return whether a parameter has the name of a builtin."""
    names = {one.name for method in methods for one in method.parameters}
    names |= {name for method in methods for name, _ in method.ids}
    return any(hasattr(builtins, name) for name in names)


def _constant(method: Method) -> str:
    return f"_{method.name.upper()}"


def _spec(method: Method) -> str:
    facts = method.operation
    fields = [f"id={facts['id']!r}", f"method={facts['method']!r}", f"path={facts['path']!r}"]
    if method.service != "erp":
        fields.append(f"service={method.service!r}")
    if method.if_match in {"always", "needed"}:
        fields.append("if_match=True")
    if method.if_match == "background":
        fields.append("if_match_background=True")
    if not facts["background"]:
        fields.append("background=False")
    spec = f"OperationSpec({', '.join(fields)})"
    return f"{_constant(method)} = {_list_call(method, spec) if method.call == 'list' else spec}"


def _list_call(method: Method, spec: str) -> str:
    model = "_text" if method.result == "str" else f"_{method.result}"
    call = [f"spec={spec}", f"model={'lambda: str' if model == '_text' else model}", f"style={method.style!r}"]
    if method.identity:
        call.append(f"identity={method.identity!r}")
    if method.max_page_size:
        call.append(f"max_page_size={method.max_page_size}")
    if method.max_page_size_expanded:
        call.append(f"max_page_size_expanded={method.max_page_size_expanded}")
    if method.frozen:
        parameter, row = method.frozen
        call.append(f"frozen_filter=FrozenFilter(parameter={parameter!r}, row_field={row!r})")
    if method.operation.get("one_of"):
        call.append(f"one_of={tuple(method.operation['one_of'])!r}")
    return f"ListCall({', '.join(call)})"


# --- one method ----------------------------------------------------------------------------------------------------


def _method(method: Method, plan: ResourcePlan, enums: Mapping[str, tuple[str, ...]]) -> list[str]:
    lines = [
        *_signature(method),
        *docstring(method, plan, enums),
        *_body(method, plan),
        "",
    ]
    partner = _read_partner(method, plan)
    if partner is not None:
        lines += _modify(method, partner)
    return lines


def _signature(method: Method) -> list[str]:
    positional = [f"{name}: {'Id' if type_ == 'str' else type_}" for name, type_ in method.ids]
    if method.items:
        positional.append(f"{method.items[0]}: Sequence[{method.items[1]} | Mapping[str, Any]]")
    elif method.body:
        kind = f"{method.body} | Mapping[str, Any]"
        positional.append(f"body: Sequence[{kind}]" if method.body_many else f"body: {kind}")
    if method.call == "upload":
        positional.append("file: Upload")
    if method.selection:
        positional.append(f"{method.selection.name}: {method.selection.type}")
    keywords = [f"{method.narrower}: Id | None = None"] if method.narrower else []
    keywords += [_keyword(one) for one in method.parameters]
    keywords += [f"{name}: int | None = None" for name in _list_options(method)]
    if method.if_match:
        keywords.append("if_match: IfMatch" if method.if_match == "needed" else "if_match: IfMatch | None = None")
    keywords.append("timeout_seconds: float | None = None")
    inside = ["self", *positional, *(["/"] if positional else []), "*", *keywords]
    marks = [f"    @deprecated({method.notice!r})"] if method.ended else []
    return [*marks, f"    def {method.name}({', '.join(inside)},) -> {_returns(method)}:"]


def _list_options(method: Method) -> list[str]:
    if method.call != "list":
        return []
    return ["limit"] if method.style == "unpaged" else ["page_size", "limit"]


def _keyword(one: Parameter) -> str:
    return f"{one.name}: {one.type}" if one.required else f"{one.name}: {one.type} | None = None"


def _returns(method: Method) -> str:
    if method.call == "list":
        return f"Listing[{method.result}]"
    if method.call == "download":
        return "Download"
    results = {"read": method.result, "create": "Created", "upload": "Created", "update": "Updated", "delete": "None"}
    return f"Operation[{results.get(method.call, method.result or 'Done')}]"


def _body(method: Method, plan: ResourcePlan) -> list[str]:
    helper = "_do" if method.call == "act" and not method.result else f"_{method.call}"
    ids = ", ".join(name for name, _ in method.ids)
    arguments = [_constant(method), f"({ids},)" if ids else "()"]
    arguments += [f'("{one.json}", {_kind(one)}, {one.name})' for one in method.parameters]
    arguments += [f"{name}={name}" for name in _list_options(method)]
    if method.call == "read":
        arguments.append(f"model=_{method.result}")
    if method.call == "act" and method.result:
        arguments.append(f"result=_{method.result}")
    if method.selection:
        arguments.append(f'("{method.selection.json}", {_kind(method.selection)}, {method.selection.name})')
    if method.items:
        arguments.append(f'body={{"{method.items[0]}": {method.items[0]}}}')
    elif method.body:
        arguments.append("body=body")
    if method.body:
        arguments.append(f"model=_{method.body}")
    if method.call == "upload":
        arguments.append("file=file")
    if method.if_match:
        arguments.append("if_match=if_match")
    arguments.append("timeout_seconds=timeout_seconds")
    return [*_narrowed(method, plan), f"        return self.{helper}({', '.join(arguments)})"]


def _narrowed(method: Method, plan: ResourcePlan) -> list[str]:
    """Hand a list over to the one that has the parameter in its path."""
    if method.narrower is None:
        return []
    other = narrow_list(method, plan)
    names = [*(one.name for one in other.parameters), "page_size", "limit", "timeout_seconds"]
    same = [f"{name}={name}" for name in names]
    return [
        f"        if {method.narrower} is not None:",
        f"            return self.{other.name}({', '.join([str(method.narrower), *same])})",
    ]


def _kind(one: Parameter) -> str:
    kinds = {"choices": f"q.Choices({one.enum!r})", "integers": f"q.Integers({one.most})"}
    kind = kinds.get(one.kind) or (f"q.Choice({one.enum!r})" if one.enum else f"q.{one.kind}")
    return f"q.Needed({kind})" if one.required else kind


# --- modify --------------------------------------------------------------------------------------------------------


def _read_partner(method: Method, plan: ResourcePlan) -> Method | None:
    """Return the read of the same record, where an update of it honours If-Match."""
    if method.call != "update" or method.if_match not in {"always", "needed"} or not method.ids:
        return None
    path = method.operation["path"].lower()
    return next(
        (one for one in plan.methods if one.call == "read" and one.operation["path"].lower() == path),
        None,
    )


def _modify(update: Method, read: Method) -> list[str]:
    name = update.name.replace("update", "modify", 1)
    ids = [name for name, _ in update.ids]
    typed = ", ".join(f"{one}: {'Id' if kind == 'str' else kind}" for one, kind in update.ids)
    # whoever changes an order sees all of it
    read_ids = [*ids, *('expand=["All"]' for one in read.parameters if one.kind == "choices")]
    change = f"Callable[[{read.result}], {update.body} | Mapping[str, Any] | None]"
    return [
        f"    async def {name}(self, {typed}, change: {change}, /, *, attempts: int = 5,) -> Updated:",
        *modify_docstring(update),
        "        return await modify(",
        f"            self, lambda: self.{read.name}({', '.join(read_ids)}),",
        f"            lambda body, etag: self.{update.name}({', '.join(ids)}, body, if_match=etag),",
        "            change, attempts=attempts,",
        "        )",
        "",
    ]


# --- the index -----------------------------------------------------------------------------------------------------


def _index(plans: list[ResourcePlan]) -> str:
    lines = [
        HEADER.format(title="Every resource as an attribute of the client, loaded on first use."),
        "from __future__ import annotations",
        "from typing import TYPE_CHECKING",
        "from vismanet_async._api.lazy import LazyResource",
        "if TYPE_CHECKING:",
        *(f"    from vismanet_async._api.resources.{one.module} import {one.class_name}" for one in plans),
        "",
        '__all__ = ["Resources"]',
        "",
        "",
        "class Resources:",
        '    """The resources of the API; the base of the client."""',
        "",
        *(f"    {one.module}: LazyResource[{one.class_name}] = LazyResource({one.class_name!r})" for one in plans),
        "",
        "",
        "# for type checkers; to evaluate them would load every resource",
        "Resources.__annotations__.clear()",
    ]
    return "\n".join(lines) + "\n"

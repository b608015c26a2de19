"""Writes `registry.json`: what the command line needs to know about every operation, without importing a model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vismanet_async._api.generator.plan import Method, Parameter, ResourcePlan
    from vismanet_async._api.generator.shapes import ModelClass, Models

__all__ = ["render"]


def render(plans: list[ResourcePlan], models: Models) -> str:
    """Return its text: one resource or model a line, for small differences between versions."""
    resources = {one.module: _resource(one) for one in plans}
    classes = {name: _model(one) for name, one in models.classes.items()}
    parts = [f'"resources": {_lines(resources)}', f'"models": {_lines(classes)}', f'"enums": {_lines(models.enums)}']
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _lines(entries: dict[str, Any]) -> str:
    rows = ",\n".join(f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in entries.items())
    return f"{{\n{rows}\n}}"


def _resource(plan: ResourcePlan) -> dict[str, Any]:
    return {"tags": plan.tags, "class": plan.class_name, "methods": {one.name: _method(one) for one in plan.methods}}


def _method(one: Method) -> dict[str, Any]:
    facts = one.operation
    known = {
        "id": facts["id"],
        "method": facts["method"],
        "path": facts["path"],
        "service": None if one.service == "erp" else one.service,
        "call": one.call,
        "ids": [*(list(each) for each in one.ids), *([[one.selection.name, "list[int]"]] if one.selection else [])],
        "parameters": [*_narrower(one), *(_parameter(each) for each in one.parameters)],
        "body": f"list[{one.items[1]}]" if one.items else one.body,
        "result": one.result,
        "style": one.style,
        "identity": list(one.identity),
        "frozen_filter": list(one.frozen) if one.frozen else None,
        "one_of": [parameter.name for parameter in one.parameters if parameter.json in facts.get("one_of", ())],
        "changed_since": facts.get("changed_since"),
        "max_page_size": one.max_page_size,
        "if_match": one.if_match,
        "background": facts["background"],
        "ended": one.ended,
        "notice": one.notice,
    }
    return {key: value for key, value in known.items() if value not in (None, [], "")}


def _narrower(one: Method) -> list[dict[str, Any]]:
    known = {"name": one.narrower, "json": one.narrower, "type": "str", "kind": "text", "in_path": True}
    return [known] if one.narrower else []


def _parameter(one: Parameter) -> dict[str, Any]:
    known = {"name": one.name, "json": one.json, "type": one.type, "kind": one.kind, "enum": one.enum}
    return {key: value for key, value in known.items() if value} | ({"required": True} if one.required else {})


def _model(one: ModelClass) -> dict[str, Any]:
    fields = [
        [
            field.name,
            field.json,
            f"list[{field.enum or field.type}]" if field.many else field.enum or field.type,
            *(["wrapped"] if field.wrapped else []),
        ]
        for field in one.fields
    ]
    return {"home": one.home, "dtos": one.dtos, "written": one.written, "fields": fields}

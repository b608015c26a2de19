"""The OpenAPI document of the simulated Sales Order service, made from its catalog.

It stands where the service has its own: `/swagger/v3/swagger.json` below the service's URL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vismanet_async._simulator.catalog import Catalog, Operation

__all__ = ["order_document"]

_VALIDATION = "SalesOrderValidationProblemDetails"
_BAD = 400
_CONFLICT, _NOT_MATCHED, _NOT_GUARDED, _TOO_MANY = 409, 412, 428, 429
_ALWAYS = (401, 403, 404, _TOO_MANY)
_GUARDED = (_CONFLICT, _NOT_MATCHED, _NOT_GUARDED)


def order_document(catalog: Catalog, url: str, token_url: str) -> dict[str, Any]:
    """Return the document as JSON values."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in catalog.operations.values():
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, catalog)
    scopes = {f"visma.net.erp.salesorder:{right}": right for right in ("read", "write")}
    flow = {"clientCredentials": {"tokenUrl": token_url, "scopes": scopes}}
    return {
        "openapi": "3.0.3",
        "info": {"title": "Simulated Sales Order service", "version": "3"},
        "servers": [{"url": url}],
        "security": [{"oauth": []}],
        "paths": paths,
        "components": {
            "schemas": {name: _schema(fields, catalog) for name, fields in catalog.schemas.items()},
            "securitySchemes": {"oauth": {"type": "oauth2", "flows": flow}},
        },
    }


def _reference(schema: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{schema}"}


def _schema(fields: Mapping[str, Mapping[str, Any]], catalog: Catalog) -> dict[str, Any]:
    made: dict[str, Any] = {
        "type": "object",
        "properties": {name: _property(facts, catalog) for name, facts in fields.items()},
    }
    required = [name for name, facts in fields.items() if facts.get("required")]
    return made | ({"required": required} if required else {})


def _property(facts: Mapping[str, Any], catalog: Catalog) -> dict[str, Any]:
    nullable = facts.get("nullable") is not False and not facts.get("required")
    if "ref" in facts:
        return {"allOf": [_reference(facts["ref"])], "nullable": nullable}
    made: dict[str, Any] = {"type": facts["type"], "nullable": nullable}
    if "items" in facts:
        made["items"] = _reference(facts["items"])
    if "map_of" in facts:
        inner = facts["map_of"]
        made["additionalProperties"] = _reference(inner) if inner in catalog.schemas else {"type": inner}
    if "enum" in facts:
        made["enum"] = [*catalog.enums[facts["enum"]], *([None] if nullable else [])]
    if facts["type"] in {"integer", "number"} or facts.get("format") == "date-time":
        made["format"] = facts["format"]
    return made | {name: facts[name] for name in ("maxLength", "minimum", "maximum", "deprecated") if name in facts}


def _operation(operation: Operation, catalog: Catalog) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": kind}}
        for name, kind in zip(operation.path_params, operation.path_types, strict=True)
    ]
    parameters += [_query(name, facts, catalog) for name, facts in operation.query.items()]
    if operation.if_match:
        parameters.append({"name": "If-Match", "in": "header", "required": True, "schema": {"type": "string"}})
    made: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.path.split("/")[3]],
        "parameters": parameters,
        "responses": _responses(operation),
    }
    if operation.request_dto:
        content = {"application/json": {"schema": _reference(operation.request_dto)}}
        made["requestBody"] = {"required": True, "content": content}
    return made


def _query(name: str, facts: Mapping[str, Any], catalog: Catalog) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": facts["type"]}
    schema |= {key: facts[key] for key in ("format", "default", "pattern") if key in facts}
    made: dict[str, Any] = {"name": name, "in": "query", "schema": schema}
    if facts["type"] == "array":
        items = {"type": facts.get("items", "string")}
        schema["items"] = items | ({"enum": catalog.enums[facts["enum"]]} if "enum" in facts else {})
        made |= {"style": "form", "explode": "separator" not in facts}
    if "most" in facts:  # ids name what is deleted
        schema |= {"minItems": 1, "maxItems": facts["most"]}
        made["required"] = True
    return made


def _responses(operation: Operation) -> dict[str, Any]:
    about_orders = operation.if_match or operation.method == "POST"
    refusals = sorted({_BAD, *_ALWAYS, *(operation.errors), *(_GUARDED if about_orders else ())})
    answers: dict[str, Any] = {str(status): _problem(status) for status in refusals}
    for status in operation.success:
        done: dict[str, Any] = {"description": "Done"}
        schema = _answer(operation)
        if schema:
            done["content"] = {"application/json": {"schema": schema}}
        headers = {name: {"schema": {"type": "string"}} for name in operation.response_headers}
        answers[str(status)] = done | ({"headers": headers} if headers else {})
    return answers


def _problem(status: int) -> dict[str, Any]:
    if status == _TOO_MANY:  # the gateway's
        return {"description": "Too many requests"}
    name = _VALIDATION if status == _BAD else "ProblemDetails"
    content = {"application/problem+json": {"schema": _reference(name)}}
    # an address of more than 8 kB, such as one with a thousand long ids, is refused before the service sees it
    before = {"text/plain": {"schema": {"type": "string"}}} if status == _BAD else {}
    return {"description": "Refused", "content": content | before}


def _answer(operation: Operation) -> dict[str, Any] | None:
    if operation.envelope:
        return _reference(operation.envelope)
    if not operation.response_dto:
        return None
    one = _reference(operation.response_dto)
    return {"type": "array", "items": one} if operation.response_kind == "list" else one

"""The simulator's own OpenAPI document, made from the catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vismanet_async._simulator.catalog import Catalog, Operation

__all__ = ["document"]

_JSON_TYPES = {
    "string": "string",
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
    "array": "array",
    "object": "object",
}
_WITH_BODY = 200
_ERRORS = {
    "400": "Refused",
    "401": "No valid token",
    "403": "Not allowed",
    "404": "Not found",
    "412": "Another version",
    "429": "Too many requests",
}


def document(catalog: Catalog, base_url: str, token_url: str) -> dict[str, Any]:
    """Return the document as JSON values."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in catalog.operations.values():
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, catalog)
    return {
        "openapi": "3.0.3",
        "info": {"title": "Simulated Visma Net ERP API", "version": "1"},
        "servers": [{"url": base_url}],
        "security": [{"oauth": []}],
        "paths": paths,
        "components": {
            "schemas": {name: _schema(fields, catalog) for name, fields in catalog.schemas.items()},
            "securitySchemes": {"oauth": {"type": "oauth2",
            "flows": {"clientCredentials": {"tokenUrl": token_url, "scopes": {
                f"vismanet_erp_service_api:{right}": right for right in ("read", "create", "update", "delete")
            }}}}},
        },
    }  # fmt: skip


def _schema(fields: dict[str, dict[str, Any]], catalog: Catalog) -> dict[str, Any]:
    return {"type": "object", "properties": {name: _property(facts, catalog) for name, facts in fields.items()}}


def _property(facts: dict[str, Any], catalog: Catalog) -> dict[str, Any]:
    inner = _plain(facts, catalog)
    if facts.get("wrapped"):
        return {"type": "object", "nullable": True, "properties": {"value": inner}}
    return inner


def _plain(facts: dict[str, Any], catalog: Catalog) -> dict[str, Any]:
    if facts.get("ref"):
        return {"allOf": [{"$ref": f"#/components/schemas/{facts['ref']}"}], "nullable": True}
    kind = _JSON_TYPES[facts["type"]]
    if kind == "array":
        items = {"$ref": f"#/components/schemas/{facts['items']}"} if facts.get("items") else {}
        return {"type": "array", "nullable": True, "items": items}
    if facts.get("enum"):
        return {"type": "string", "nullable": True, "enum": [*catalog.enums[facts["enum"]], None]}
    # formats are left out: the service's date-times carry no zone, so they are not RFC 3339
    return {"type": kind, "nullable": True}


def _path_schema(kind: str) -> dict[str, Any]:
    return {"type": "string", "format": "uuid"} if kind == "uuid" else {"type": kind}


def _operation(operation: Operation, catalog: Catalog) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": _path_schema(kind)}
        for name, kind in zip(operation.path_params, operation.path_types, strict=True)
    ]
    for name, facts in operation.query.items():
        schema: dict[str, Any] = {"type": _JSON_TYPES[facts["type"]]}
        if schema["type"] == "array":
            schema["items"] = {"type": "string"}
        if facts.get("enum"):
            schema["enum"] = catalog.enums[facts["enum"]]
        parameters.append({"name": name, "in": "query", "required": bool(facts.get("required")), "schema": schema})
    if operation.if_match:
        parameters.append({"name": "If-Match", "in": "header", "schema": {"type": "string"}})
    if operation.background:
        parameters.append({"name": "erp-api-background", "in": "header", "schema": {"type": "string"}})
    made: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.resource],
        "parameters": parameters,
        "responses": _responses(operation, catalog),
    }
    if operation.request_kind == "json" and operation.request_dto in catalog.schemas:
        reference = {"$ref": f"#/components/schemas/{operation.request_dto}"}
        needed = not operation.action  # most actions take an empty body as well as an empty object
        made["requestBody"] = {"required": needed, "content": {"application/json": {"schema": reference}}}
    elif operation.request_kind == "multipart":
        form = {
            "type": "object",
            "properties": {"file": {"type": "string", "format": "binary"}},
            "required": ["file"],
        }
        made["requestBody"] = {"required": True, "content": {"multipart/form-data": {"schema": form}}}
    return made


def _responses(operation: Operation, catalog: Catalog) -> dict[str, Any]:
    answers: dict[str, Any] = {status: {"description": text} for status, text in _ERRORS.items()}
    if operation.method == "GET" and operation.query:
        answers["501"] = {"description": "The simulator's rows do not say what a parameter filters or sorts by"}
    schema = _response_schema(operation, catalog)
    statuses = operation.success or ((200,) if schema or operation.method == "GET" else (200, 201, 204))
    for status in statuses:
        answers[str(status)] = {"description": "Done"}
        if schema and (status == _WITH_BODY or operation.action):
            answers[str(status)]["content"] = {"application/json": {"schema": schema}}
    if operation.background:
        accepted = {"$ref": "#/components/schemas/BackgroundApiAcceptedDto"}
        answers["202"] = {"description": "Queued", "content": {"application/json": {"schema": accepted}}}
    return answers


def _response_schema(operation: Operation, catalog: Catalog) -> dict[str, Any] | None:
    if operation.response_kind not in {"list", "envelope", "single"}:
        return None
    dto = operation.response_dto or ""
    element = {"$ref": f"#/components/schemas/{dto}"} if dto in catalog.schemas else {}
    if operation.response_kind == "single":
        return element or None
    if operation.response_kind == "list":
        return {"type": "array", "items": element}
    whole = {"type": "integer"}
    rows = {"type": "array", "items": element}
    return {
        "type": "object",
        "properties": {"pageNumber": whole, "pageSize": whole, "totalCount": whole, "records": rows},
    }

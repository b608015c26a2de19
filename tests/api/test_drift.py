"""The catalog against descriptions of the service: its own, and altered ones."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from vismanet_async._api.drift import Difference, catalog_surface, differences, openapi_surface, service_described
from vismanet_async._simulator.catalog import load, load_orders
from vismanet_async._simulator.openapi import document
from vismanet_async._simulator.order_openapi import order_document
from vismanet_async.errors import RequestRefused

CATALOG = catalog_surface()
OWN = document(load(), "http://127.0.0.1", "http://127.0.0.1/token")


def altered() -> Any:
    return copy.deepcopy(OWN)


def drift(description: Any) -> list[Difference]:
    return differences(CATALOG, openapi_surface(description, CATALOG))


def parameters(description: Any, path: str = "/v1/customer", method: str = "get") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = description["paths"][path][method]["parameters"]
    return found


def fields(description: Any, schema: str) -> dict[str, Any]:
    found: dict[str, Any] = description["components"]["schemas"][schema]["properties"]
    return found


def test_the_simulator_describes_what_the_catalog_has() -> None:
    assert drift(OWN) == []
    assert len(CATALOG.operations) == len(load().operations)


def test_the_sales_order_service_has_a_catalog_of_its_own() -> None:
    there = order_document(load_orders(), "http://127.0.0.1", "http://127.0.0.1/token")
    catalog = catalog_surface(service="sales_order")
    assert (service_described(OWN), service_described(there)) == ("erp", "sales_order")
    assert (len(catalog.operations), len(catalog.schemas)) == (19, 67)
    # the simulator wants ids to be named of what is deleted; the service's document does not say so
    lines = "DELETE /api/v3/SalesOrders/{type}/{orderId}/lines"
    known = Difference(change="changed", kind="parameter", where=lines, name="ids", detail="required: none -> yes")
    assert differences(catalog, openapi_surface(there, catalog)) == [known]
    fields(there, "SalesOrderDto")["carbon"] = {"type": "number"}
    expand = next(one for one in parameters(there, "/api/v3/SalesOrders") if one["name"] == "expand")
    items = expand["schema"]["items"]
    expand["schema"]["items"] = {**items, "enum": [*items["enum"], "Carbon"]}
    del there["paths"]["/api/v3/Customers"]
    assert differences(catalog, openapi_surface(there, catalog)) == [
        known,
        Difference(change="gone", kind="operation", where="GET /api/v3/Customers"),
        Difference(
            change="changed",
            kind="parameter",
            where="GET /api/v3/SalesOrders",
            name="expand",
            detail="new values: Carbon",
        ),
        Difference(change="new", kind="field", where="SalesOrderDto", name="carbon", detail="number"),
    ]


def test_operations_come_and_go() -> None:
    there = altered()
    there["paths"]["/v1/inventoryTransaction"] = {"get": {"parameters": [], "responses": {}}}
    del there["paths"]["/v1/customer"]["post"]
    assert drift(there) == [
        Difference(change="new", kind="operation", where="GET /v1/inventoryTransaction"),
        Difference(change="gone", kind="operation", where="POST /v1/customer"),
    ]


def test_what_is_known_to_have_ended_may_be_gone() -> None:
    there = altered()
    del there["paths"]["/v1/salesorder"]
    there["paths"]["/v1/salesorderbasic"]["get"]["deprecated"] = True
    assert drift(there) == []
    there["paths"]["/v1/customer"]["get"]["deprecated"] = True
    assert drift(there) == [
        Difference(change="changed", kind="operation", where="GET /v1/customer", detail="is deprecated now")
    ]


def test_parameters_come_go_and_change() -> None:
    there = altered()
    given = parameters(there)
    given.append({"name": "expandNew", "in": "query", "schema": {"type": "boolean"}})
    given.remove(next(one for one in given if one["name"] == "email"))
    next(one for one in given if one["name"] == "status")["schema"]["enum"] = ["Active", "Paused"]
    next(one for one in given if one["name"] == "name").update(required=True, schema={"type": "integer"})
    found = drift(there)
    assert {(one.change, one.kind, one.where) for one in found} <= {
        (change, "parameter", "GET /v1/customer") for change in ("new", "gone", "changed")
    }
    told = {one.name: (one.change, one.detail) for one in found}
    assert told["expandNew"] == ("new", "boolean")
    assert told["email"] == ("gone", "string")
    assert told["status"][0] == "changed"
    assert told["status"][1].startswith("new values: Paused; values gone: ")
    assert told["name"] == ("changed", "type: string -> integer; required: none -> yes")


def test_headers_count() -> None:
    there = altered()
    given = parameters(there, "/v1/customer/{customerCd}", "put")
    given[:] = [one for one in given if one["name"] != "If-Match"]
    parameters(there).append({"name": "If-Match", "in": "header", "schema": {"type": "string"}})
    parameters(there).append({"name": "X-Trace", "in": "header", "schema": {"type": "string"}})
    assert {(one.change, one.where, one.name) for one in drift(there)} == {
        ("gone", "PUT /v1/customer/{customerCd}", "If-Match"),
        ("new", "GET /v1/customer", "If-Match"),
    }


def test_fields_come_go_and_change() -> None:
    there = altered()
    schemas = there["components"]["schemas"]
    schemas["DtoValueOfString"] = {"type": "object", "properties": {"value": {"type": "string"}}}
    schemas["onlyThereDto"] = {"properties": {"a": {"type": "string"}}}
    update = fields(there, "CustomerUpdateDto")
    update["newField"] = {"$ref": "#/components/schemas/DtoValueOfString"}
    update["number"] = {"$ref": "#/components/schemas/DtoValueOfString"}  # as it is, by a wrapper of its own
    update["creditLimit"] = {"type": "number"}
    del update["corporateId"]
    update["mainAddress"] = {"properties": {"value": {"$ref": "#/components/schemas/AddressDto2"}}}
    schemas["AddressDto2"] = {"properties": {"city": {"type": "string"}}}
    fields(there, "CustomerDto")["status"] = {"type": ["null", "string"], "enum": ["Active"]}
    told = {(one.kind, one.where, one.name): (one.change, one.detail) for one in drift(there)}
    status = told.pop(("field", "CustomerDto", "status"))
    assert status[0] == "changed"
    assert status[1].startswith("values gone: ")
    assert told == {
        ("field", "CustomerUpdateDto", "newField"): ("new", "string, wrapped"),
        ("field", "CustomerUpdateDto", "creditLimit"): ("changed", "wrapped: yes -> none"),
        ("field", "CustomerUpdateDto", "corporateId"): ("gone", "string, wrapped"),
        ("field", "CustomerUpdateDto", "mainAddress"): ("changed", "of: addressupdatedto -> addressdto2"),
        ("schema", "onlyThereDto", ""): ("new", ""),
        ("schema", "AddressDto2", ""): ("new", ""),
    }


def test_another_base_path_case_and_names_of_ids_mean_nothing() -> None:
    there = altered()
    there["paths"] = {f"/controller/api{path}": ways for path, ways in there["paths"].items()}
    ways = there["paths"].pop("/controller/api/v1/customer/{customerCd}")
    there["paths"]["/controller/api/v1/Customer/{number}"] = ways
    there["components"]["schemas"]["customerdto"] = there["components"]["schemas"].pop("CustomerDto")
    for way in there["paths"]["/controller/api/v1/customer"].values():
        way["responses"] = {}
    assert [one for one in drift(_renamed(there)) if one.where != "CustomerDto"] == []


def _renamed(there: Any) -> Any:
    """Point at the shape by its new name."""
    text = json.dumps(there).replace('schemas/CustomerDto"', 'schemas/customerdto"')
    return json.loads(text)


def test_another_body_is_told() -> None:
    there = altered()
    body = there["paths"]["/v1/customer"]["post"]["requestBody"]["content"]["application/json"]
    body["schema"] = {"$ref": "#/components/schemas/SupplierUpdateDto"}
    (found,) = drift(there)
    assert (found.where, found.detail) == ("POST /v1/customer", "body: customerupdatedto -> supplierupdatedto")


@pytest.mark.parametrize(
    "wrong", [None, [], {}, {"paths": {}}, {"paths": {}, "components": {}}, {"swagger": "2.0", "definitions": {}}]
)
def test_what_is_no_description_is_refused(wrong: Any) -> None:
    with pytest.raises(RequestRefused, match="no OpenAPI 3 document"):
        drift(wrong)

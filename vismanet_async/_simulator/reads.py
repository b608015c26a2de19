"""Answers the GET operations of the ERP: lists, single rows, and what hangs below a row."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vismanet_async._simulator import filters
from vismanet_async._simulator.lists import answer_list, read_filters
from vismanet_async._simulator.messages import RefusedError, Reply, json_reply, not_simulated, refuse
from vismanet_async._simulator.paths import etag_of, needed_row, not_found, table_name

if TYPE_CHECKING:
    from vismanet_async._simulator.company import Call
    from vismanet_async._simulator.rows import Table

__all__ = ["answer_read"]

_PARAMETERS_ONLY = re.compile(r"(/\{\w+\})+")
_UUID = re.compile(r"[0-9a-fA-F-]{32,36}")

_FEATURES = (  # made up: name, title, parent, whether it is on
    ("FinancialModule", "Finance", "", True),
    ("Multicurrency", "Multi-currency accounting", "FinancialModule", True),
    ("FixedAsset", "Fixed asset management", "FinancialModule", False),
    ("DistributionModule", "Logistics", "", True),
    ("Warehouse", "Multiple warehouses", "DistributionModule", True),
    ("ProjectModule", "Project accounting", "", False),
)


def answer_read(call: Call) -> Reply:
    """Answer a GET operation."""
    _check_query(call)
    if call.operation.collection == "multilanguage/inventory":
        _refuse_filters(call)
        return _translations(call)
    if call.operation.collection == "featuresset":
        return _features(call)
    if call.operation.response_kind in {"list", "envelope"}:
        reply = answer_list(call)
        return reply if reply is not None else _made_up_list(call)
    _refuse_filters(call)
    name = table_name(call.operation.collection)
    if name is None:
        return _made_up(call)
    return _single(call, call.company.world.table(name))


def _check_query(call: Call) -> None:
    for name, facts in call.operation.query.items():
        if facts.get("required") and not call.first(name):
            raise RefusedError(refuse(400, f"The parameter {name} is required."))
    if call.company.behaviours.unknown_parameters == "refused":
        known = {name.lower() for name in call.operation.query}
        for name, _ in call.request.query:
            if name.lower() not in known:
                raise RefusedError(refuse(400, f"Unknown query parameter {name}."))


def _refuse_filters(call: Call) -> None:
    """Refuse parameters that choose rows where nothing is chosen."""
    for name in filters.filters_asked(call.operation, call.request.query):
        raise RefusedError(not_simulated(call.operation.id, name))


def _single(call: Call, table: Table) -> Reply:
    """Answer one row, or something about it."""
    operation, world = call.operation, call.company.world
    row = needed_row(call, table)
    if not (_PARAMETERS_ONLY.fullmatch(operation.rest) or operation.collection.endswith("/internal")):
        return _about(call, table, row)
    dto = operation.response_dto or ""
    data = table.project(row, dto)
    headers = etag_of(data)
    if "metadata" in world.catalog.schemas.get(dto, {}):
        data["metadata"] = {"totalCount": 1, "maxPageSize": table.spec.page_size}
    as_list = call.company.behaviours.single_answers_list and table.spec.name == "customerinvoice"
    return json_reply([data] if as_list else data, headers=headers)


def _about(call: Call, table: Table, row: int) -> Reply:
    """Answer what hangs below a row and is no row itself: a balance, a note."""
    dto, name = call.operation.response_dto or "", table.spec.name
    shown = call.company.world.shaper.single(dto, f"{call.operation.rest}:{'/'.join(call.values)}")
    own = shown.get(name)
    if isinstance(own, dict):
        identity = {
            "internalId": table.internal_of(row),
            "number": table.key_of(row)[-1],
            "name": table.name_of(row),
        }
        own.update({field: value for field, value in identity.items() if field in own})
    if dto == "NoteDto":
        shown["note"] = table.row(row).get("note") or ""
    return json_reply(shown)


# -- what no table holds ------------------------------------------------------------------------------------


def _made_up(call: Call) -> Reply:
    """Answer a record that no table holds: the same for the same path."""
    operation, world = call.operation, call.company.world
    if operation.id == "SupplierInvoice_GetByApprovalDocumentId":
        table = world.table("supplierinvoice")
        first = next(iter(table.order), None)
        if first is None or not _UUID.fullmatch(call.first("systemId")):
            return not_found(call)
        return json_reply(table.row(first))
    dto = operation.response_dto or ""
    if dto not in world.catalog.schemas:
        return not_found(call)
    overrides = dict(zip(operation.path_params, call.values, strict=True))
    return json_reply(world.shaper.single(dto, "/".join((operation.id, *call.values)), overrides))


def _made_up_list(call: Call) -> Reply:
    """Answer a list that no table holds (bar codes): a few records, the same each time."""
    world, dto = call.company.world, call.operation.response_dto or ""
    if dto not in world.catalog.schemas:
        _refuse_filters(call)
        return json_reply(["ACCOUNT", "SUBACCOUNT", "INVENTORY", "PROJECT"] if dto == "string" else [])
    key = "/".join(call.values)
    overrides = dict(zip(call.operation.path_params, call.values, strict=True))
    count = 1 + sum(key.encode()) % 3
    rows = [world.shaper.single(dto, f"{key}:{number}", overrides) for number in range(count)]
    (conditions,) = read_filters(call, [dto])
    return json_reply([row for row in rows if filters.fulfils(row, conditions)])


def _features(call: Call) -> Reply:
    """Answer which parts of the product the company has, by name and by whether they are on."""
    name, enabled = call.first("featureName").casefold(), call.first("featureEnabled").casefold()
    shown = [
        {"name": each, "displayName": title, "parentName": parent, "isEnabled": on}
        for each, title, parent, on in _FEATURES
        if name in {"", each.casefold()} and enabled in {"", str(on).casefold()}
    ]
    return json_reply({"features": shown})


def _translations(call: Call) -> Reply:
    """Answer translations of an item's description: those that were written, and the default language."""
    table = call.company.world.table("inventory")
    row = table.find(call.values[:1])
    if row is None:
        return not_found(call)
    number = table.key_of(row)[-1]
    texts = {"nb-no": table.name_of(row)}
    texts |= {language: text for (item, language), text in call.company.translations.items() if item == number}
    shown = {
        language: {
            "languageISO": f"{language[:2]}-{language[3:].upper()}",
            "translation": text,
            "isTranslated": True,
        }
        for language, text in texts.items()
    }
    if len(call.values) == 1:
        return json_reply(list(shown.values()))
    found = shown.get(call.values[1].casefold())
    return not_found(call) if found is None else json_reply(found)

"""Creates, partial updates and deletes, with number series, row versions and the rules of documents."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from vismanet_async._simulator.bodies import BodyError, Merger, parse_object
from vismanet_async._simulator.messages import Reply, refuse
from vismanet_async._simulator.paths import (
    check_version,
    etag_of,
    needed_row,
    needed_table,
    not_found,
    table_name,
)
from vismanet_async._simulator.shapes import DATE_FIELDS, DUE_FIELDS, PERIOD_FIELDS
from vismanet_async._simulator.totals import add_up

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vismanet_async._simulator.company import Call, Company
    from vismanet_async._simulator.rows import Table
    from vismanet_async._simulator.tables import TableSpec

__all__ = ["answer_write", "location", "merger", "new_row", "save", "success_of"]

_ZERO = Decimal("0.0000")
_CREATED = 201
_DUE_SECONDS = 30 * 86400
# tables whose single reads have the whole key in their path
_WHOLE_KEY_IN_PATH = frozenset({"supplierinvoice", "salesorder", "kitassembly", "discount"})
_LOCKED = frozenset({"Open", "Closed", "Released", "Posted", "Voided", "Completed", "Confirmed"})
_NUMBER_NAMES = ("referenceNumber", "orderNumber", "refNbr", "employeeCd", "revisionID", "number")
_REQUIRED = {
    "customer": ("name",), "supplier": ("name",), "customerinvoice": ("customerNumber",),
    "customercreditnote": ("customerNumber",),
    "customerdebitnote": ("customerNumber",), "cashsale": ("customerNumber",),
    "supplierinvoice": ("supplierNumber",),
    "salesorder": ("customer",), "purchaseorder": ("supplier",), "customerpayment": ("customer",),
    "supplierpayment": ("supplier",),
}  # fmt: skip
_HOSTS = {
    "api_host": "https://api.finance.visma.net",
    "legacy_http": "http://integration.visma.net/API/controller/api",
}


def merger(company: Company) -> Merger:
    """Return what reads bodies for this company."""

    def look_up(name: str, key: str) -> tuple[str, str, int] | None:
        table = company.world.table(name)
        row = table.find((key,)) if len(table.spec.key) == 1 or table.spec.types else None
        return None if row is None else (table.key_of(row)[-1], table.name_of(row), table.internal_of(row))

    return Merger(company.world.catalog, look_up, company.behaviours.time_zone)


def answer_write(call: Call) -> Reply:
    """Answer a POST, PUT or DELETE that is no action and no attachment."""
    operation = call.operation
    special = _SPECIAL.get(operation.id)
    if special is not None:
        return special(call)
    if table_name(operation.collection) is None:
        return _taken_note_of(call)
    table = needed_table(call)
    if operation.method == "POST":
        return _create(call, table)
    return _delete(call, table) if operation.method == "DELETE" else _update(call, table)


def _taken_note_of(call: Call) -> Reply:
    """Answer a write to something that no table holds (feedback on webhooks): accepted, and that is all."""
    status = success_of(call, 200)
    headers = {"Location": location(call, call.company.new_id())} if status == _CREATED else {}
    return Reply(status, headers=headers)


def success_of(call: Call, usual: int) -> int:
    """Return the status that the catalog states for success, or the usual one."""
    return call.operation.success[0] if call.operation.success else usual


def save(table: Table, row: int, data: dict[str, Any], company: Company) -> None:
    """Store a changed row with a new version and time."""
    table.stamp(data)
    table.replace(row, data, to_end=company.behaviours.list_order == "last_modified")


def new_row(company: Company, table: Table) -> dict[str, Any]:
    """Return a new record with the defaults that the service sets."""
    by_name = _defaults_by_name(table.spec, company)
    made = {
        name: by_name[name] if name in by_name else _default(name, facts, table.spec, company)
        for name, facts in table.fields.items()
    }
    return {name: value for name, value in made.items() if value is not _NOTHING}


def _defaults_by_name(spec: TableSpec, company: Company) -> Mapping[str, object]:
    today = company.world.now_text()[:10]
    due = company.world.text_of(company.clock.now() + _DUE_SECONDS)[:10]
    return {
        "exchangeRate": Decimal("1.0000"),
        "postPeriod": today[5:7] + today[:4],
        **dict.fromkeys(PERIOD_FIELDS, today[:4] + today[5:7]),
        **dict.fromkeys(DATE_FIELDS, f"{today}T00:00:00"),
        **dict.fromkeys(DUE_FIELDS, f"{due}T00:00:00"),
        **spec.constants,
    }


def _default(name: str, facts: Mapping[str, Any], spec: TableSpec, company: Company) -> object:
    if name == "status" and spec.status:
        return spec.status
    if name in {"currencyId", "currency"} and facts["type"] == "string":
        return "NOK"
    if facts["type"] == "number" and spec.status and _AMOUNTS.search(name):
        return _ZERO
    if facts.get("format") == "uuid":
        return company.new_uuid()
    return [] if facts["type"] == "array" else False if facts["type"] == "boolean" else _NOTHING


_NOTHING = object()
_AMOUNTS = re.compile(r"(?i)total|balance|amount|discount")


def location(call: Call, key: str) -> str:
    """Return the Location of something new, on the host that the service would name."""
    path = call.request.path.rstrip("/")
    tail = "/".join(quote(part, safe="") for part in key.split("/"))
    host = _HOSTS.get(call.company.behaviours.location_host)
    if host is None:
        return f"{call.request.origin}{path}/{tail}"
    stripped = re.sub(r"(?i)^(/api/controller)?(/api)?(?=/v\d)", "", path)
    return f"{host}{stripped}/{tail}"


def _sent_number(call: Call, table: Table, plain: dict[str, Any]) -> str | None:
    """Return the number that the caller chose, where the series lets him (facts 10.9)."""
    fields = call.company.world.catalog.schemas.get(call.operation.request_dto or "", {})
    needs_override = call.company.behaviours.manual_numbers == "need_override"
    if needs_override and "overrideNumberSeries" in fields and not plain.get("overrideNumberSeries"):
        return None
    leaf = table.spec.key[-1]
    names = (f"{leaf.partition('.')[0]}Id" if table.spec.parent else leaf, leaf, *_NUMBER_NAMES)
    return next((str(plain[name]) for name in names if plain.get(name) not in {None, ""}), None)


def _create(call: Call, table: Table) -> Reply:
    company, spec = call.company, table.spec
    update = call.operation.request_dto or ""
    body = parse_object(call.request.body)
    work = merger(company)
    plain = work.plain(body, update)
    fields = company.world.catalog.schemas.get(update, {})
    for name in _REQUIRED.get(spec.name, ()):
        if name in fields and plain.get(name) in {None, ""}:
            raise BodyError(f"Error: '{name}' cannot be empty.")
    row = new_row(company, table)
    work.merge(row, body, update, spec.dto, own_key=spec.key[-1])
    key = _set_key(call, table, row, plain)
    if plain.get("hold") is True and "status" in row:
        row["status"] = "Hold"
    add_up(row)
    table.stamp(row, created=True)
    table.insert(row)
    headers = {"Location": location(call, key)} | etag_of(row)
    return Reply(success_of(call, _CREATED), headers=headers)


def _set_key(call: Call, table: Table, row: dict[str, Any], plain: dict[str, Any]) -> str:
    """Number the new row, by its series or as sent; return the key for its Location."""
    spec, leaf = table.spec, table.spec.key[-1]
    if "." not in leaf:
        row[leaf] = _number(table, leaf, _sent_number(call, table, plain) or table.next_number())
    if len(spec.key) > 1:
        _set_head(table, row, plain)
    key = table.key_in(row)
    if not all(key):
        raise BodyError(f"Error: '{leaf}' cannot be empty.")
    if table.find(key) is not None:
        raise BodyError(f"Error: An attempt was made to add a duplicate entry: '{key[-1]}' already exists.")
    return "/".join(key) if spec.parent or spec.name in _WHOLE_KEY_IN_PATH else key[-1]


def _number(table: Table, field: str, text: str) -> str | int:
    if table.fields[field]["type"] != "integer":
        return text
    if not text.isdecimal():
        raise BodyError(f"Could not convert '{text}' to integer for {field}.")
    return int(text)


def _set_head(table: Table, row: dict[str, Any], plain: dict[str, Any]) -> None:
    spec = table.spec
    head = spec.key[0].split(".")
    if len(head) == 1:
        row[head[0]] = plain.get(head[0]) or row.get(head[0]) or (spec.types[0] if spec.types else "")
        return
    sent = next(
        (str(plain[name]) for name in ("baccountId", "customerId", "customer", "supplier") if plain.get(name)),
        "",
    )
    present = row.get(head[0])
    row[head[0]] = {**(present if isinstance(present, dict) else {}), head[1]: sent}


def _update(call: Call, table: Table) -> Reply:
    row = needed_row(call, table)
    data = table.row(row)
    check_version(call, data)
    body = parse_object(call.request.body)
    if table.spec.name in _DOCUMENTS and str(data.get("status")) in {"Closed", "Voided"}:
        raise BodyError(f"Error: {call.operation.resource} can't be updated because it is already released.")
    before = {path: data.get(path.split(".")[0]) for path in table.spec.key}
    merger(call.company).merge(data, body, call.operation.request_dto or "", table.spec.dto, own_key=table.spec.key[-1])
    for path, value in before.items():
        if value is not None:
            data[path.split(".")[0]] = value  # a number changes by its own action only
    add_up(data)
    save(table, row, data, call.company)
    return Reply(success_of(call, 204), headers=etag_of(data))


_DOCUMENTS = frozenset({
    "customerinvoice", "customercreditnote", "customerdebitnote", "customeroverduecharge", "cashsale",
    "customerpayment",
    "supplierinvoice", "supplierpayment", "cashtransaction",
})  # fmt: skip


def _delete(call: Call, table: Table) -> Reply:
    row = needed_row(call, table)
    data = table.row(row)
    check_version(call, data)
    if table.spec.status and str(data.get("status")) in _LOCKED and table.spec.name in _DOCUMENTS:
        return refuse(
            400,
            f"VismaId: {call.company.visma_id()}. Error: A released document cannot be deleted.",
        )
    table.remove(row)
    return Reply(success_of(call, 204))


# -- writes below a row, or that fit nowhere else -----------------------------------------------------------


def _bank_settings(call: Call) -> Reply:
    table = needed_table(call)
    row = table.find(call.values[:1])
    if row is None:
        return not_found(call)
    data = table.row(row)
    check_version(call, data)
    plain = merger(call.company).plain(parse_object(call.request.body), call.operation.request_dto or "")
    data["bankSettings"] = {**(data.get("bankSettings") or {}), **plain}
    save(table, row, data, call.company)
    return Reply(204, headers=etag_of(data))


def _put_budget(call: Call) -> Reply:
    table = call.company.world.table("budget")
    body = parse_object(call.request.body)
    plain = merger(call.company).plain(body, call.operation.request_dto or "")
    account = str(plain.get("account") or "")
    row = table.find((account,))
    if row is None:
        raise BodyError(f"Error: There is no budget for account '{account}'.")
    data = table.row(row)
    check_version(call, data)
    merger(call.company).merge(data, body, call.operation.request_dto or "", table.spec.dto, own_key=table.spec.key[-1])
    save(table, row, data, call.company)
    return Reply(204, headers=etag_of(data))


def _below(list_name: str, read: str, key_fields: tuple[str, ...]) -> Callable[[Call], Reply]:
    """Add to, or change in, a list below a row; entries are known by `key_fields`."""

    def write(call: Call) -> Reply:
        table = needed_table(call)
        row = table.find(call.values[:1])
        if row is None:
            return not_found(call)
        data = table.row(row)
        entries = list(data.get(list_name) or ())
        body = parse_object(call.request.body)
        named = tuple(part.casefold() for part in call.values[1:])
        entry = next(
            (one for one in entries if named and tuple(str(one.get(key)).casefold() for key in key_fields) == named),
            None,
        )
        if entry is None and call.operation.method == "PUT":
            return not_found(call)
        made = entry if entry is not None else {}
        merger(call.company).merge(made, body, call.operation.request_dto or "", read)
        if entry is None:
            entries.append(made)
        data[list_name] = entries
        save(table, row, data, call.company)
        return Reply(204 if call.operation.method == "PUT" else 201)

    return write


def _translation(call: Call) -> Reply:
    table = call.company.world.table("inventory")
    row = table.find(call.values[:1])
    if row is None:
        return not_found(call)
    stored = call.company.translations
    key = (table.key_of(row)[-1], call.values[1].casefold())
    if call.operation.method == "DELETE":
        return not_found(call) if stored.pop(key, None) is None else Reply(204)
    plain = merger(call.company).plain(parse_object(call.request.body), call.operation.request_dto or "")
    if call.operation.method == "POST" and key in stored:
        raise BodyError(f"Error: A translation to {call.values[1]} already exists.")
    stored[key] = str(plain.get("translation") or "")
    return Reply(201 if call.operation.method == "POST" else 204)


def _ui_extension_delete(call: Call) -> Reply:
    table = call.company.world.table("uiextension")
    row = table.find(call.values[1:2])
    if row is None:
        return not_found(call)
    table.remove(row)
    return Reply(200)


def _project_task(call: Call) -> Reply:
    """POST projecttask/{internalId}: the id is the project's."""
    projects = call.company.world.table("project")
    project = projects.find_internal(int(call.values[0])) if call.values[0].isdecimal() else None
    if project is None:
        return not_found(call)
    return _create(call, call.company.world.table("projecttask"))


def _vat_note(call: Call) -> Reply:
    merger(call.company).plain(parse_object(call.request.body), call.operation.request_dto or "")
    return Reply(204)


_SPECIAL: dict[str, Callable[[Call], Reply]] = {
    "Branch_PutBankSettingsForBranchBybranchNumber": _bank_settings,
    "Organization_PutBankSettingsForOrganizationByorganizationNumber": _bank_settings,
    "Budget_Put": _put_budget,
    "Inventory_CreateInventoryCrossReferencesByinventoryNumber": _below(
        "crossReferences", "InventoryCrossReferenceDto", ()
    ),
    "Inventory_UpdateInventoryCrossReferencesByinventoryNumberalternateTypealternateId": _below(
        "crossReferences", "InventoryCrossReferenceDto", ("alternateType", "alternateID")
    ),
    "Warehouse_PostBywarehouseID": _below("locations", "WarehouseLocationDto", ()),
    "Warehouse_PutBywarehouseIDlocationID": _below("locations", "WarehouseLocationDto", ("locationId",)),
    "Vat_PutVatHeaderNoteByvendorCdtaxPeriodIdrevisionId": _vat_note,
    "Vat_PutVatLineNoteByvendorCdtaxPeriodIdrevisionIdlineNumber": _vat_note,
    "Multilanguage_PostSpecificInventoryDescrTranslationByinventoryNumberlanguageISO": _translation,
    "Multilanguage_PutSpecificInventoryDescrTranslationByinventoryNumberlanguageISO": _translation,
    "Multilanguage_DeleteSpecificInventoryDescrTranslationByinventoryNumberlanguageISO": _translation,
    "ProjectTask_PostByinternalId": _project_task,
    "UiExtension_DeleteByownerIdinternalId": _ui_extension_delete,
    "UiExtension_DeleteByownerIdinternalIdscreenIdstepId": _ui_extension_delete,
}

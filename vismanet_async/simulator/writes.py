"""Creates, partial updates and deletes, with number series, row versions and the rules of documents."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from vismanet_async.simulator.bodies import BadBody, Merger, parse_object
from vismanet_async.simulator.messages import Reply, refuse
from vismanet_async.simulator.reads import bare_etag, etag_of, find_row, not_found, table_name
from vismanet_async.simulator.shapes import DATE_FIELDS, DUE_FIELDS
from vismanet_async.simulator.totals import add_up

if TYPE_CHECKING:
    from collections.abc import Callable

    from vismanet_async.simulator.company import Call, Company
    from vismanet_async.simulator.rows import Table

__all__ = ["answer_write", "bad_body", "location", "merger", "new_row", "save", "stale"]

_ZERO = Decimal("0.0000")
_DUE_SECONDS = 30 * 86400
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
    name = table_name(call.operation.collection)
    special = _SPECIAL.get(call.operation.id)
    try:
        if special is not None:
            return special(call)
        if name is None:
            status = call.operation.success[0] if call.operation.success else 200
            return Reply(
                status, headers={"Location": location(call, call.company.new_uuid())} if status == 201 else {}
            )
        table = call.company.world.table(name)
        if call.operation.method == "POST":
            return _create(call, table)
        if call.operation.method == "DELETE":
            return _delete(call, table)
        return _update(call, table)
    except BadBody as error:
        return bad_body(call, error)


def bad_body(call: Call, error: BadBody) -> Reply:
    """Answer a body that cannot be used."""
    return refuse(call.company.behaviours.validation_status, f"VismaId: {call.company.visma_id()}. {error}")


def stale(call: Call, row: dict[str, Any]) -> Reply | None:
    """Return the 412 where the request's If-Match does not fit the row, and counts for this operation."""
    wanted = call.request.headers.get("If-Match")
    if wanted is None or not call.operation.if_match:
        return None
    action_like = call.operation.action or call.operation.attachment
    if (
        action_like
        and not call.in_background
        and call.company.behaviours.action_if_match == "background_only"
    ):
        return None
    bare = wanted.strip().removeprefix("W/").strip('"')
    if bare in {"*", bare_etag(row)}:
        return None
    return refuse(412, "The resource version does not match with If-Match header.")


def save(table: Table, row: int, data: dict[str, Any], company: Company) -> None:
    """Put a changed row back with a new version and time."""
    table.stamp(data)
    table.replace(row, data, to_end=company.behaviours.list_order == "last_modified")


def new_row(company: Company, table: Table) -> dict[str, Any]:
    """Return a new record with the defaults that the service sets."""
    spec, fields = table.spec, table.fields
    today = company.world.now_text()[:10]
    due = company.world.text_of(company.clock.now() + _DUE_SECONDS)[:10]
    row: dict[str, Any] = {}
    for name, facts in fields.items():
        if name in {"metadata", "errorInfo"}:
            continue
        if name in spec.constants:
            row[name] = spec.constants[name]
        elif facts["type"] == "array":
            row[name] = []
        elif name == "status" and spec.status:
            row[name] = spec.status
        elif name in DATE_FIELDS:
            row[name] = f"{today}T00:00:00"
        elif name in DUE_FIELDS:
            row[name] = f"{due}T00:00:00"
        elif name in {"financialPeriod", "finPeriod", "applicationPeriod"}:
            row[name] = today[:4] + today[5:7]
        elif name == "postPeriod":
            row[name] = today[5:7] + today[:4]
        elif name in {"currencyId", "currency"} and facts["type"] == "string":
            row[name] = "NOK"
        elif name == "exchangeRate":
            row[name] = Decimal("1.0000")
        elif (
            facts["type"] == "number"
            and spec.status
            and re.search(r"(?i)total|balance|amount|discount", name)
        ):
            row[name] = _ZERO
        elif facts["type"] == "boolean":
            row[name] = False
        elif facts.get("format") == "uuid":
            row[name] = company.new_uuid()
    return row


def location(call: Call, key: str) -> str:
    """Return the Location of something new, on the host that the service would name."""
    path = call.request.path.rstrip("/")
    tail = "/".join(quote(part, safe="") for part in key.split("/"))
    host = _HOSTS.get(call.company.behaviours.location_host)
    if host is None:
        return f"{call.request.origin}{path}/{tail}"
    stripped = re.sub(r"(?i)^(/api/controller)?(/api)?(?=/v\d)", "", path)
    return f"{host}{stripped}/{tail}"


def _sent_number(table: Table, fields: dict[str, Any], plain: dict[str, Any]) -> str | None:
    names: tuple[str, ...] = (table.spec.key[-1], *_NUMBER_NAMES)
    if len(table.spec.key) > 1 and table.spec.parent:
        names = (table.spec.key[-1].split(".")[0] + "Id", *names)
    return next(
        (str(plain[name]) for name in names if name in fields and plain.get(name) not in {None, ""}), None
    )


def _create(call: Call, table: Table) -> Reply:
    company, spec = call.company, table.spec
    update = call.operation.request_dto or ""
    body = parse_object(call.request.body)
    work = merger(company)
    plain = work.plain(body, update)
    fields = company.world.catalog.schemas.get(update, {})
    for name in _REQUIRED.get(spec.name, ()):
        if name in fields and plain.get(name) in {None, ""}:
            raise BadBody(f"Error: '{name}' cannot be empty.")
    row = new_row(company, table)
    work.merge(row, body, update, spec.dto)
    key = _set_key(call, table, row, plain, fields)
    if plain.get("hold") is True and "status" in row:
        row["status"] = "Hold"
    add_up(row)
    table.stamp(row, created=True)
    table.insert(row)
    headers = {"Location": location(call, key)} | etag_of(row)
    return Reply(call.operation.success[0] if call.operation.success else 201, headers=headers)


def _set_key(
    call: Call, table: Table, row: dict[str, Any], plain: dict[str, Any], fields: dict[str, Any]
) -> str:
    """Number the new row: by its series, or as sent where that is allowed; return the key for its Location."""
    spec = table.spec
    number = _sent_number(table, fields, plain)
    needs_override = (
        "overrideNumberSeries" in fields and call.company.behaviours.manual_numbers == "need_override"
    )
    if needs_override and not plain.get("overrideNumberSeries"):
        number = None
    if number is None:
        number = table.next_number()
    leaf = spec.key[-1].split(".")
    if len(leaf) == 1:
        integer = table.fields[leaf[0]]["type"] == "integer"
        if integer and not number.isdigit():
            raise BadBody(f"Could not convert '{number}' to integer for {leaf[0]}.")
        row[leaf[0]] = int(number) if integer else number
    if len(spec.key) > 1:
        _set_head(table, row, plain)
    if table.find(table.key_in(row)) is not None:
        raise BadBody(f"Error: An attempt was made to add a duplicate entry: '{number}' already exists.")
    typed = f"/{{{'documentType' if spec.name == 'supplierinvoice' else 'orderType'}}}/"
    singles = [operation.rest for operation in call.company.world.catalog.operations.values()
               if operation.method == "GET" and operation.collection == call.operation.collection]  # fmt: skip
    full = len(spec.key) > 1 and (
        any(rest.startswith(typed) for rest in singles)
        or bool(spec.parent)
        or spec.name in {"kitassembly", "discount"}
    )
    return "/".join(table.key_in(row)) if full else table.key_in(row)[-1]


def _set_head(table: Table, row: dict[str, Any], plain: dict[str, Any]) -> None:
    spec = table.spec
    head = spec.key[0].split(".")
    if len(head) == 1:
        row[head[0]] = plain.get(head[0]) or row.get(head[0]) or (spec.types[0] if spec.types else "")
        return
    sent = next(
        (
            str(plain[name])
            for name in ("baccountId", "customerId", "customer", "supplier")
            if plain.get(name)
        ),
        "",
    )
    present = row.get(head[0])
    row[head[0]] = {**(present if isinstance(present, dict) else {}), head[1]: sent}


def _update(call: Call, table: Table) -> Reply:
    row = find_row(call, table)
    if row is None:
        return not_found(call)
    data = table.row(row)
    refusal = stale(call, data)
    if refusal is not None:
        return refusal
    body = parse_object(call.request.body)
    if table.spec.name in _DOCUMENTS and str(data.get("status")) in {"Closed", "Voided"}:
        raise BadBody(f"Error: {call.operation.resource} can't be updated because it is already released.")
    before = {path: data.get(path.split(".")[0]) for path in table.spec.key}
    merger(call.company).merge(data, body, call.operation.request_dto or "", table.spec.dto)
    for path, value in before.items():
        if value is not None:
            data[path.split(".")[0]] = value  # a number changes by its own action only
    add_up(data)
    save(table, row, data, call.company)
    return Reply(call.operation.success[0] if call.operation.success else 204, headers=etag_of(data))


_DOCUMENTS = frozenset({
    "customerinvoice", "customercreditnote", "customerdebitnote", "customeroverduecharge", "cashsale",
    "customerpayment",
    "supplierinvoice", "supplierpayment", "cashtransaction",
})  # fmt: skip


def _delete(call: Call, table: Table) -> Reply:
    row = find_row(call, table)
    if row is None:
        return not_found(call)
    data = table.row(row)
    refusal = stale(call, data)
    if refusal is not None:
        return refusal
    if table.spec.status and str(data.get("status")) in _LOCKED and table.spec.name in _DOCUMENTS:
        return refuse(
            400,
            f"VismaId: {call.company.visma_id()}. Error: The document cannot be deleted because it is released.",
        )
    table.remove(row)
    return Reply(call.operation.success[0] if call.operation.success else 204)


# -- writes below a row, or that fit nowhere else -----------------------------------------------------------


def _bank_settings(call: Call) -> Reply:
    table = call.company.world.table(table_name(call.operation.collection) or "")
    row = table.find(call.values[:1])
    if row is None:
        return not_found(call)
    data = table.row(row)
    refusal = stale(call, data)
    if refusal is not None:
        return refusal
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
        raise BadBody(f"Error: There is no budget for account '{account}'.")
    data = table.row(row)
    refusal = stale(call, data)
    if refusal is not None:
        return refusal
    merger(call.company).merge(data, body, call.operation.request_dto or "", table.spec.dto)
    save(table, row, data, call.company)
    return Reply(204, headers=etag_of(data))


def _below(list_name: str, read: str, key_fields: tuple[str, ...]) -> Callable[[Call], Reply]:
    """Add to, or change in, a list below a row; entries are known by `key_fields`."""

    def write(call: Call) -> Reply:
        table = call.company.world.table(table_name(call.operation.collection) or "")
        row = table.find(call.values[:1])
        if row is None:
            return not_found(call)
        data = table.row(row)
        entries = list(data.get(list_name) or ())
        body = parse_object(call.request.body)
        named = tuple(part.casefold() for part in call.values[1:])
        entry = next(
            (
                one
                for one in entries
                if named and tuple(str(one.get(key)).casefold() for key in key_fields) == named
            ),
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
        raise BadBody(f"Error: A translation to {call.values[1]} already exists.")
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
    project = projects.find_internal(int(call.values[0])) if call.values[0].isdigit() else None
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

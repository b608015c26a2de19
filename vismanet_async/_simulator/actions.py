"""The actions: what each does to its document, and the `actionResult` it answers with."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from vismanet_async._simulator.bodies import BodyError, parse_object
from vismanet_async._simulator.messages import RefusedError, Reply, json_reply, refuse
from vismanet_async._simulator.paths import check_version, etag_of, needed_row, needed_table, not_found
from vismanet_async._simulator.rows import Table
from vismanet_async._simulator.totals import add_up
from vismanet_async._simulator.writes import merger, new_row, save, success_of

if TYPE_CHECKING:
    from vismanet_async._simulator.company import Call

__all__ = ["answer_action"]

_RELEASED = ("Open", "Released", "Posted", "Confirmed", "Completed", "R", "Closed")
_RELEASABLE = frozenset(
    {"Balanced", "Hold", "B", "PendingPrint", "PendingEmail", "Unreleased", "Unposted", "Prebooked", None}
)
_ZERO = Decimal("0.0000")
_NOT_COPIED = frozenset({"status", "documentType", "internalId"})

Doing = Callable[["Call", Table, int, dict[str, Any], dict[str, Any]], dict[str, Any]]
"""(call, table, row, its data, the sent values) -> fields of the answer; changes the data."""


class _RuleError(Exception):
    """A business rule forbids the action."""


def answer_action(call: Call) -> Reply:
    """Answer a POST to `/action/<name>`."""
    table = needed_table(call)
    body = parse_object(call.request.body) if call.request.body.strip() else {}
    sent = merger(call.company).plain(body, call.operation.request_dto or "")
    _check_type(call, sent)
    row = _row(call, table, sent)
    data = table.row(row)
    check_version(call, data)
    return _act(call, table, row, data, sent)


def _act(call: Call, table: Table, row: int, data: dict[str, Any], sent: dict[str, Any]) -> Reply:
    company, name = call.company, call.operation.action_name
    doing = _ACTIONS.get(name, _touch)
    try:
        answer = doing(call, table, row, data, sent)
    except _RuleError as error:
        if company.behaviours.action_failures == "failed_with_200":
            return _result(call, {"errorInfo": str(error)}, "Failed")
        return refuse(400, str(error))
    seconds = company.behaviours.actions_go_on_seconds
    if seconds > 0:
        company.later(seconds, lambda: save(table, row, data, company) if table.exists(row) else None)
        reply = _result(call, answer, "InProcess")
        reply.status = 202
        return reply
    save(table, row, data, company)
    reply = _result(call, answer, "Done")
    reply.headers.update(etag_of(data))
    return reply


def _result(call: Call, answer: dict[str, Any], result: str) -> Reply:
    shape = call.company.world.catalog.schemas.get(call.operation.response_dto or "", {})
    if "actionResult" not in shape:
        return Reply(success_of(call, 204))
    made = {"actionId": call.company.new_id(), "actionResult": result}
    shows_document = any(
        flag in call.request.body.lower() for flag in (b'"returncreditnote":true', b'"returnshipmentdto":true')
    )
    made.update(
        {
            name: value
            for name, value in answer.items()
            if name in shape and (shows_document or not isinstance(value, dict))
        }
    )
    return json_reply(made, success_of(call, call.company.behaviours.action_status))


def _check_type(call: Call, sent: dict[str, Any]) -> None:
    shape = call.company.world.catalog.schemas.get(call.operation.request_dto or "", {})
    if "type" in shape and not sent.get("type"):
        raise BodyError("Error: 'type' cannot be empty.")


def _row(call: Call, table: Table, sent: dict[str, Any]) -> int:
    kind = sent.get("type") or sent.get("orderType")
    if not kind or len(table.spec.key) == 1 or len(call.operation.path_params) > 1:
        return needed_row(call, table)
    row = table.find((str(kind), call.values[0]))
    if row is None:
        raise RefusedError(not_found(call))
    return row


def _statuses(call: Call, table: Table) -> list[str]:
    facts = table.fields.get("status") or table.fields.get("summaryStatus") or {}
    return call.company.world.catalog.enums.get(facts.get("enum", ""), [])


def _release(call: Call, table: Table, row: int, data: dict[str, Any], sent: dict[str, Any]) -> dict[str, Any]:
    del row, sent
    label = call.operation.resource.removeprefix("Customer").removeprefix("Supplier").removesuffix("V2") or "Document"
    if data.get("hold") is True and data.get("status") == "Hold":
        raise _RuleError(f"{label} can't be released because it is on hold.")
    if data.get("status") not in _RELEASABLE:
        raise _RuleError(f"{label} can't be updated because it is already released.")
    known = _statuses(call, table)
    data["status"] = next((status for status in _RELEASED if status in known), "Released")
    if "released" in data:
        data["released"] = True
    if data["status"] == "Open" and data.get("balance") == _ZERO and data.get("amount") == _ZERO:
        data["status"] = "Closed"
    return {}


def _to(*wanted: str, unless: frozenset[str] = frozenset()) -> Doing:
    """Set the first of these statuses that the document knows."""

    def doing(call: Call, table: Table, row: int, data: dict[str, Any], sent: dict[str, Any]) -> dict[str, Any]:
        del row, sent
        if data.get("status") in unless:
            raise _RuleError(f"{call.operation.resource} can't be updated in status {data['status']}.")
        known = _statuses(call, table)
        data["status"] = next((status for status in wanted if status in known), wanted[0])
        if "hold" in data:
            data["hold"] = data["status"] in {"Hold", "OnHold"}
        if data["status"] in {"Voided", "Closed"}:
            data.update({name: _ZERO for name in ("balance", "balanceInCurrency") if name in data})
        return {}

    return doing


def _touch(call: Call, table: Table, row: int, data: dict[str, Any], sent: dict[str, Any]) -> dict[str, Any]:
    del call, table, row, data, sent
    return {}


def _set(name: str, value: object) -> Doing:
    """Set a field, where the document has it."""

    def doing(call: Call, table: Table, row: int, data: dict[str, Any], sent: dict[str, Any]) -> dict[str, Any]:
        del call, row, sent
        if name in table.fields:
            data[name] = value
        return {"refNbr": table.key_in(data)[-1], "documentType": data.get("documentType")}

    return doing


def _rename(call: Call, table: Table, row: int, data: dict[str, Any], sent: dict[str, Any]) -> dict[str, Any]:
    wanted = next((str(value) for value in sent.values() if value), "")
    if not wanted:
        raise BodyError("Error: the new number cannot be empty.")
    del call
    found = table.find((*table.key_in(data)[:-1], wanted))
    if found is not None and found != row:
        raise _RuleError(f"Error: '{wanted}' already exists.")
    data[table.spec.key[-1]] = wanted
    return {}


def _copy(target: str, status: str) -> Doing:
    """Make a document in another table from this one: what both shapes have is taken over."""

    def doing(call: Call, table: Table, row: int, data: dict[str, Any], sent: dict[str, Any]) -> dict[str, Any]:
        del table, row, sent
        other = call.company.world.table(target)
        keys = {path.split(".")[0] for path in other.spec.key}
        shared = set(other.fields) & set(data) - keys - _NOT_COPIED
        made = new_row(call.company, other) | {name: data[name] for name in shared} | {"status": status}
        lines: list[dict[str, Any]] = data.get("lines") or data.get("invoiceLines") or []
        for name in ("lines", "invoiceLines", "shipmentDetailLines"):
            if name in other.fields and not made.get(name):
                made[name] = [_line(call, line, other.fields[name].get("items", "")) for line in lines]
        number = other.next_number()
        made[other.spec.key[-1]] = number
        if other.spec.types:
            made[other.spec.key[0]] = other.spec.types[0]
        add_up(made)
        other.stamp(made, created=True)
        other.insert(made)
        documents = dict.fromkeys(("shipmentDto", "customerInvoiceDto", "creditNoteDto"), made)
        return {
            "referenceNumber": number,
            "refNbr": number,
            "documentType": made.get("documentType"),
            **documents,
        }

    return doing


def _line(call: Call, line: dict[str, Any], shape: str) -> dict[str, Any]:
    fields = call.company.world.catalog.schemas.get(shape, {})
    made = {name: value for name, value in line.items() if name in fields}
    for number in ("lineNumber", "lineNbr"):
        if number in fields:
            made[number] = line.get("lineNumber") or line.get("lineNbr") or 1
    if "inventoryNumber" in fields and "inventoryNumber" not in made:
        made["inventoryNumber"] = (line.get("inventory") or {}).get("number")
    if "shippedQty" in fields:
        made["shippedQty"] = line.get("quantity", Decimal("1.0000"))
    return made


def _both(*doings: Doing) -> Doing:
    def doing(call: Call, table: Table, row: int, data: dict[str, Any], sent: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = {}
        for one in doings:
            answer |= one(call, table, row, data, sent)
        return answer

    return doing


def _reverse_supplier(call: Call, table: Table, row: int, data: dict[str, Any], sent: dict[str, Any]) -> dict[str, Any]:
    del row, sent
    number = table.next_number()
    made = {**data, "documentType": "DebitAdj", "referenceNumber": number, "status": "Balanced"}
    table.stamp(made, created=True)
    table.insert(made)
    return {"refNbr": number, "docType": "DebitAdj", "call": call.operation.id}


def _correct(call: Call, table: Table, row: int, data: dict[str, Any], sent: dict[str, Any]) -> dict[str, Any]:
    """Void the document and make a new balanced one like it."""
    number = table.next_number()
    made = {**data, table.spec.key[-1]: number, "status": "Balanced"}
    table.stamp(made, created=True)
    table.insert(made)
    _to("Voided")(call, table, row, data, sent)
    return {"refNbr": number, "documentType": data.get("documentType")}


def _add_line(call: Call, table: Table, row: int, data: dict[str, Any], sent: dict[str, Any]) -> dict[str, Any]:
    del row
    name = "shipmentDetailLines"
    lines = list(data.get(name) or ())
    line = merger(call.company).new_line(lines, table.fields[name]["items"])
    shape = call.company.world.catalog.schemas[table.fields[name]["items"]]
    line.update(
        {
            field: value
            for field, value in sent.items()
            if field in shape and field not in {"lineNumber", "warehouse", "location"}
        }
    )
    lines.append(line)
    data[name] = lines
    return {}


def _delete_line(call: Call, table: Table, row: int, data: dict[str, Any], sent: dict[str, Any]) -> dict[str, Any]:
    del table, row, sent
    lines = list(data.get("shipmentDetailLines") or ())
    kept = [line for line in lines if str(line.get("lineNumber") or line.get("lineNbr")) != call.values[-1]]
    if len(kept) == len(lines):
        raise BodyError(f"Error: there is no line {call.values[-1]}.")
    data["shipmentDetailLines"] = kept
    return {}


_ACTIONS: dict[str, Doing] = {
    "release": _release,
    "void": _to("Voided", unless=frozenset({"Voided", "Balanced", "Hold"})),
    "voidinvoice": _to("Voided", unless=frozenset({"Voided"})),
    "writeoff": _to("Closed", unless=frozenset({"Closed", "Voided"})),
    "prebook": _to("Prebooked", unless=frozenset({"Open", "Closed", "Voided", "Prebooked"})),
    "sendtoapproval": _set("approvalStatus", "SentToApproval"),
    "reverse": _copy("customercreditnote", "Balanced"),
    "reverseandapplytonote": _both(_copy("customercreditnote", "Open"), _to("Closed")),
    "correct": _correct,
    "sendtoautoinvoice": _set("sendToAutoInvoice", value=True),
    "changecustomercd": _rename,
    "changeemployeecd": _rename,
    "changeinventorynbr": _rename,
    "changeprojectid": _rename,
    "approval": _both(_to("PendingApproval", "Open"), _set("approvalStatus", "SentToApproval")),
    "hold": _to("Hold"),
    "submit": _to("PendingApproval", "Open", unless=frozenset({"Released"})),
    "cancelsalesorder": _to("Cancelled", unless=frozenset({"Completed", "Cancelled"})),
    "reopensalesorder": _to("Open"),
    "createshipment": _both(_copy("shipment", "Open"), _to("Shipping")),
    "prepareinvoice": _both(_copy("customerinvoice", "Balanced"), _to("Invoiced")),
    "createpurchaseorders": _copy("purchaseorder", "Open"),
    "createpurchasereceipt": _copy("purchasereceipt", "Balanced"),
    "cancelreceipt": _to("Cancelled", unless=frozenset({"Released"})),
    "cancelshipment": _to("Cancelled", unless=frozenset({"Completed", "Invoiced"})),
    "confirmshipment": _to(
        "Confirmed", "Completed", unless=frozenset({"Confirmed", "Completed", "Cancelled", "Invoiced"})
    ),
    "correctshipment": _to("Open", unless=frozenset({"Invoiced"})),
    "addline": _add_line,
    "addsoline": _add_line,
    "deleteline": _delete_line,
    "activatecontract": _to("Active"),
    "activateupgrade": _to("Active"),
    "setupandactivatecontract": _to("Active"),
    "setupcontract": _to("PendingActivation"),
    "terminatecontract": _to("Canceled"),
    "upgradecontract": _to("InUpgrade"),
}

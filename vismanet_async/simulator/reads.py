"""Answers the GET operations of the ERP: lists in every paging style, single rows, and what hangs below a row."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from functools import cache
from itertools import accumulate, chain
from typing import TYPE_CHECKING, Any

from attrs import frozen

from vismanet_async.simulator import filters
from vismanet_async.simulator.filters import Condition
from vismanet_async.simulator.json_text import encode
from vismanet_async.simulator.messages import JSON, Reply, json_reply, refuse
from vismanet_async.simulator.rows import Selection, Table
from vismanet_async.simulator.tables import ALIASES, SPECS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vismanet_async.simulator.catalog import Operation
    from vismanet_async.simulator.company import Call, Company

__all__ = ["answer_read", "bare_etag", "etag_of", "find_row", "not_found", "table_name"]

# documents of several kinds in one list
_UNIONS = {
    "customerdocument": ("customerinvoice", "customercreditnote", "customerdebitnote",
    "customeroverduecharge", "customercreditwriteoff"),
    "supplierdocument": ("supplierinvoice", "supplierpayment"),
}  # fmt: skip
# lists below a row: last path segment -> table and the field that points back
_BELOW = {
    "contact": ("contact", "businessAccount"), "salesorder": ("salesorder", "customer.number"),
    "salesorderbasic": ("salesorder", "customer.number"), "cashsale": ("cashsale", "customer.number"),
    "invoice": ("", "{parent}.number"), "document": ("", "{parent}.number"),
    "expenseclaim": ("expenseclaim", "claimedBy.number"),
    "expensereceipt": ("expensereceipt", "claimedBy.number"), "timecards": ("timecard", "employee.number"),
    "item": ("inventory", "salesCategories.categoryId"),
}  # fmt: skip
_EXPANDS: dict[str, tuple[str, ...]] = {
    "expandattachments": ("attachments",), "expandattachment": ("attachments",),
    "expandapplications": ("applications",),
    "expanddunninginformation": ("dunningLetterDate", "dunningLetterLevel"),
    "expandtaxdetails": ("taxDetails", "taxDetailLines"),
    "expandinvoiceaddress": ("invoiceAddress", "invoiceContact"), "expandnote": ("note",),
    "shownotes": ("note",),
    "expandattribute": ("attributes",), "expandattributes": ("attributes",),
    "expandapproval": ("approvalDetails",),
    "expandbanksettings": ("bankSettings",), "expandaccountinformation": ("glAccounts", "accountInformation"),
    "expandpaymentmethods": ("paymentMethods",), "expanddirectdebit": ("directDebitLines",),
    "expandcrossreference": ("crossReferences",), "expandwarehousedetail": ("warehouseDetails",),
    "expandinventoryunits": ("inventoryUnits",), "expandsupplierdetails": ("supplierDetails",),
    "expandsalescategories": ("salesCategories",), "expandlandedcosts": ("landedCosts",),
    "expandaccounts": ("accounts",),
    "expandaddress": ("mainAddress",), "expandcontact": ("mainContact",), "expandcurrency": ("currency",),
    "expandvatzone": ("vatZone",), "expandledger": ("ledger",), "expandindustrycode": ("industryCode",),
    "expanddeliveryaddress": ("deliveryAddress",), "expanddeliverycontact": ("deliveryContact",),
    "expanddefaultcountry": ("defaultCountry",), "expandsummary": ("summary",), "expanddetails": ("details",),
    "expandbranches": ("branches",), "expandstockcomponents": ("stockComponentLines",),
    "expandnonstockcomponents": ("nonStockComponentLines",), "expandkitallocations": ("kitAllocations",),
    "expandsegmentsvalues": ("segmentValues",), "addcostpricestatistics": ("costPriceStatistics",),
    "includecustomfreefields": tuple(f"custom{kind}{number}" for kind in ("Str", "Dec", "Int",
    "DateTimeUTC") for number in range(1, 6)),
}  # fmt: skip


def table_name(collection: str) -> str | None:
    """Return the table that a collection of the API shows, or None if it is made up on the spot."""
    name = ALIASES.get(collection, collection)
    return name if name in SPECS else None


@cache
def _governed(operation: Operation, dto: str, fields: frozenset[str]) -> dict[str, tuple[str, ...]]:
    """Which fields of the shape each expand flag of the operation governs."""
    del dto
    governed = {}
    for name in operation.query:
        low = name.lower()
        if low in _EXPANDS:
            shown = tuple(field for field in _EXPANDS[low] if field in fields)
        elif low.startswith("expand"):
            stem = low.removeprefix("expand").rstrip("s")
            shown = tuple(field for field in fields if field.lower().startswith(stem))
        else:
            continue
        if shown:
            governed[low] = shown
    return governed


def _left_out(
    operation: Operation, query: list[tuple[str, str]], fields: Mapping[str, Any]
) -> frozenset[str]:
    asked = {name.lower() for name, value in query if value.lower() == "true"}
    governed = _governed(operation, operation.response_dto or "", frozenset(fields))
    shown = set(chain.from_iterable(names for flag, names in governed.items() if flag in asked))
    return frozenset(chain.from_iterable(governed.values())) - shown


def answer_read(call: Call) -> Reply:
    """Answer a GET operation."""
    operation = call.operation
    if operation.query:
        missing = [
            name for name, facts in operation.query.items() if facts.get("required") and not call.first(name)
        ]
        if missing:
            return refuse(400, f"The parameter {missing[0]} is required.")
    if call.company.behaviours.unknown_parameters == "refused":
        known = {name.lower() for name in operation.query}
        for name, _ in call.request.query:
            if name.lower() not in known:
                return refuse(400, f"Unknown query parameter {name}.")
    if operation.response_kind in {"list", "envelope"}:
        return _answer_list(call)
    return _answer_single(call)


# -- lists --------------------------------------------------------------------------------------------------


@frozen
class _Page:
    number: int
    size: int
    limit: int


def _page(call: Call, limit: int) -> _Page | Reply:
    try:
        number = int(call.first("pageNumber") or 1)
        size = int(call.first("pageSize") or 0)
    except ValueError:
        return refuse(400, "The request is invalid: pageNumber and pageSize must be whole numbers.")
    limit = min(limit, call.company.behaviours.page_size_limit or limit)
    if size > limit and not call.company.behaviours.clamp_page_size:
        return refuse(400, f"pageSize must not exceed {limit}.")
    return _Page(max(1, number), min(size, limit) if size > 0 else limit, limit)


def _answer_list(call: Call) -> Reply:
    operation, company = call.operation, call.company
    dto = operation.response_dto or ""
    if company.behaviours.wrong_company_header == "empty_list":
        named = call.request.headers.get("ipp-company-id")
        if named and named not in {company.tenant_id, "1"}:
            return _empty(company)
    found = _sources(call)
    if isinstance(found, Reply):
        return found
    if found is None:
        return _made_up_list(call, dto)
    fields = company.world.catalog.schemas[dto]
    left_out = _left_out(operation, call.request.query, fields)
    if found[0][0].spec.name == "journaltransaction":
        return _journal_page(call, found[0][0], found[0][1], left_out)
    try:
        asked = [(table, conditions + filters.build(
            operation, call.request.query, table.fields,
            strict_pairs=company.behaviours.value_needs_condition == "refused",
            after_includes=company.behaviours.greater_includes_equal,
        )) for table, conditions in found]  # fmt: skip
    except filters.BadFilter as error:
        return refuse(400, str(error))
    sources = [(table, table.select(conditions)) for table, conditions in asked]
    if not operation.paginated and operation.response_kind == "list":
        return _whole(call, sources, dto, left_out)
    page = _page(call, found[0][0].spec.page_size)
    if isinstance(page, Reply):
        return page
    version = tuple((table.spec.name, table.changes, conditions) for table, conditions in asked)
    return _paged(call, sources, dto, left_out, page, version)


_Sources = list[tuple[Table, Selection]]


def _sources(call: Call) -> list[tuple[Table, tuple[Condition, ...]]] | Reply | None:
    """Return the tables that a list shows, each with the conditions its path sets; None: no table holds it."""
    operation, world = call.operation, call.company.world
    collection, rest = operation.collection, operation.rest
    if not rest:
        names = _UNIONS.get(collection) or (table_name(collection),)
        return [(world.table(name), ()) for name in names if name] or None
    own = table_name(collection)
    segments = rest.strip("/").split("/")
    parent = world.table(own) if own else None
    if len(segments) == 1 and parent is not None and len(parent.spec.key) > 1 and collection not in ALIASES:
        return [(parent, (Condition(parent.spec.key[0], "=", call.values[0].casefold()),))]
    if len(segments) == 1 and collection == "fixedassettransaction" and parent is not None:
        return [(parent, (Condition("refNo", "=", call.values[0].casefold()),))]
    if parent is None:
        return None
    if collection == "uiextension":
        return [(parent, ())]  # the shape does not say whose they are
    row = parent.find(call.values[: len(parent.spec.key)])
    if row is None:
        return not_found(call)
    below = _BELOW.get(segments[-1].lower())
    if below is None:
        return None
    name, path = below
    if not name:
        names = _UNIONS[f"{collection}document"] if segments[-1] == "document" else (f"{collection}invoice",)
        path = f"{collection}.number"
    else:
        names = (name,)
    condition = Condition(path, "=", parent.key_of(row)[-1].casefold())
    return [(world.table(table), (condition,)) for table in names]


def _made_up_list(call: Call, dto: str) -> Reply:
    """Answer a list that no table holds (bar codes, translations): a few records, the same each time."""
    schemas = call.company.world.catalog.schemas
    if dto not in schemas:
        return json_reply(["ACCOUNT", "SUBACCOUNT", "INVENTORY", "PROJECT"] if dto == "string" else [])
    if call.operation.collection == "multilanguage/inventory":
        return _translations(call)
    key = "/".join(call.values)
    count = 1 + sum(key.encode()) % 3
    shaper = call.company.world.shaper
    override = dict(zip(call.operation.path_params, call.values, strict=True))
    rows = [shaper.single(dto, f"{key}:{number}", override) for number in range(count)]
    return json_reply(rows)


def _translations(call: Call) -> Reply:
    """Answer the translations of an item's description: those that were written, and the default language."""
    table = call.company.world.table("inventory")
    row = table.find(call.values[:1])
    if row is None:
        return not_found(call)
    number = table.key_of(row)[-1]
    texts = {"nb-no": table.name_of(row)} | {
        language: text for (item, language), text in call.company.translations.items() if item == number
    }
    shown = [
        {"languageISO": f"{language[:2]}-{language[3:].upper()}", "translation": text, "isTranslated": True}
        for language, text in texts.items()
    ]
    if len(call.values) == 1:
        return json_reply(shown)
    wanted = call.values[1].casefold()
    found = next((entry for entry in shown if str(entry["languageISO"]).casefold() == wanted), None)
    return not_found(call) if found is None else json_reply(found)


def _empty(company: Company) -> Reply:
    return Reply(200, company.behaviours.empty_list.encode(), JSON)


def _whole(call: Call, sources: _Sources, dto: str, left_out: frozenset[str]) -> Reply:
    """Answer an endpoint without paging: all rows, whatever paging parameters say, and no metadata."""
    rows = list(chain.from_iterable(table.json_rows(list(found), dto, left_out) for table, found in sources))
    if not rows:
        return _empty(call.company)
    return Reply(200, b"[" + b"},".join(rows) + b"}]", JSON)


def _paged(
    call: Call, sources: _Sources, dto: str, left_out: frozenset[str], page: _Page, version: object
) -> Reply:
    company = call.company
    total = sum(len(found) for _, found in sources)
    start, stop = (page.number - 1) * page.size, page.number * page.size
    order = call.first("orderBy") if "orderBy" in call.operation.query else ""
    cache_key = (
        version, dto, left_out, start, stop,
        company.behaviours.list_order, company.behaviours.list_metadata, order,
        call.operation.response_kind, page.limit,
    )  # fmt: skip
    shuffled = company.behaviours.list_order == "unstable"
    body = None if shuffled else company.world.cache.get(cache_key)
    if body is None:
        rows = _rows_between(call, sources, dto, left_out, start, min(stop, total), total, order)
        body = _encode_page(call, rows, dto, page, total)
        company.world.cache.put(cache_key, body, len(body))
    return Reply(200, body, JSON, cache_key=None if shuffled else cache_key)


def _encode_page(call: Call, rows: list[bytes], dto: str, page: _Page, total: int) -> bytes:
    if call.operation.response_kind == "envelope":
        head = b'{"pageNumber":%d,"pageSize":%d,"totalCount":%d,"records":[' % (page.number, page.size, total)
        return head + b"},".join([*rows[:-1], *(row + b"}" for row in rows[-1:])]) + b"]}"
    if not rows:
        return call.company.behaviours.empty_list.encode()
    has_metadata = (
        "metadata" in call.company.world.catalog.schemas[dto] and call.company.behaviours.list_metadata
    )
    tail = b',"metadata":{"totalCount":%d,"maxPageSize":%d}}' % (total, page.limit) if has_metadata else b"}"
    return b"[" + (tail + b",").join(rows) + tail + b"]"


def _rows_between(call: Call, sources: _Sources, dto: str, left_out: frozenset[str], start: int, stop: int,
total: int,
                  order: str) -> list[bytes]:  # fmt: skip
    if start >= stop:
        return []
    pairs = _pairs(call, sources, start, stop, total, order)
    rows: list[bytes] = []
    while pairs:
        table = pairs[0][0]
        run = [row for _, row in _take_while(pairs, table)]
        rows.extend(table.json_rows(run, dto, left_out))
        pairs = pairs[len(run) :]
    return rows


def _take_while(pairs: list[tuple[Table, int]], table: Table) -> list[tuple[Table, int]]:
    for place, (other, _) in enumerate(pairs):
        if other is not table:
            return pairs[:place]
    return pairs


def _pairs(
    call: Call, sources: _Sources, start: int, stop: int, total: int, order: str
) -> list[tuple[Table, int]]:
    """Return (table, row) for these places of the list, in the order that the list has now."""
    listing = call.company.behaviours.list_order
    if order:
        return _ordered(sources, order)[start:stop]
    if listing == "unstable":
        step = call.company.next_shuffle()
        while total > 1 and _common_divisor(step, total) != 1:
            step += 1
        return [
            pair
            for place in range(start, stop)
            for pair in _slice(sources, (place * step) % total, (place * step) % total + 1)
        ]
    if listing == "newest_first":
        return list(reversed(_slice(sources, total - stop, total - start)))
    return _slice(sources, start, stop)


def _common_divisor(first: int, second: int) -> int:
    while second:
        first, second = second, first % second
    return first


def _slice(sources: _Sources, start: int, stop: int) -> list[tuple[Table, int]]:
    pairs: list[tuple[Table, int]] = []
    passed = 0
    for table, found in sources:
        count = len(found)
        low, high = max(0, start - passed), min(count, stop - passed)
        if low < high:
            pairs.extend((table, row) for row in found.ids(low, high))
        passed += count
    return pairs


def _ordered(sources: _Sources, order: str) -> list[tuple[Table, int]]:
    name, _, direction = order.strip().partition(" ")
    pairs = [(table, row) for table, found in sources for row in found]

    def rank(pair: tuple[Table, int]) -> tuple[str, ...]:
        table, row = pair
        path = next((field for field in table.fields if field.lower() == name.lower()), table.spec.key[-1])
        return tuple(
            str(value).rjust(20) if isinstance(value, int) else str(value)
            for value in filters.values_at(table.row(row), path)
        )

    return sorted(pairs, key=rank, reverse=direction.lower().startswith("desc"))


# -- journals: pages of lines -------------------------------------------------------------------------------


def _journal_page(
    call: Call, table: Table, conditions: tuple[Condition, ...], left_out: frozenset[str]
) -> Reply:
    """Answer a page of journals: page size and total count journal lines, a batch may be split (facts 4)."""
    operation, company = call.operation, call.company
    if not (call.first("periodId") or call.first("lastModifiedDateTime")):
        return refuse(400, "Either periodId or lastModifiedDateTime must be specified.")
    try:
        built = filters.build(operation, call.request.query, table.fields)
    except filters.BadFilter as error:
        return refuse(400, str(error))
    page = _page(call, table.spec.page_size)
    if isinstance(page, Reply):
        return page
    rows = list(table.select(conditions + built))
    if company.behaviours.list_order == "newest_first":
        rows.reverse()
    batches = [table.row(row) for row in rows] if len(rows) <= _JOURNALS_AT_ONCE else None
    counts = (
        [_line_count(table, row) for row in rows]
        if batches is None
        else [len(_lines(batch)) for batch in batches]
    )
    ends = list(accumulate(counts))
    total = ends[-1] if ends else 0
    start, stop = (page.number - 1) * page.size, min(page.number * page.size, total)
    made: list[bytes] = []
    if start < stop:
        for place in range(bisect_right(ends, start), bisect_left(ends, stop) + 1):
            batch = batches[place] if batches is not None else table.row(rows[place])
            first = ends[place] - counts[place]
            lines = _lines(batch)[max(0, start - first) : stop - first]
            shown = {
                name: value for name, value in batch.items() if name not in left_out and name != "metadata"
            }
            made.append(encode({**shown, "journalTransactionLines": lines})[:-1])
    return Reply(200, _encode_page(call, made, operation.response_dto or "", page, total), JSON)


_JOURNALS_AT_ONCE = 300


def _lines(batch: Mapping[str, Any]) -> Sequence[Any]:
    lines: Sequence[Any] = batch.get("journalTransactionLines") or ()
    return lines


def _line_count(table: Table, row: int) -> int:
    return len(_lines(table.look(row)))


# -- single rows --------------------------------------------------------------------------------------------


def find_row(call: Call, table: Table) -> int | None:
    """Return the row that the values in the path mean."""
    spec, params = table.spec, call.operation.path_params
    if not call.values:
        return None
    if call.operation.collection.endswith("/internal") or (
        "internal" in params[0].lower() and not spec.key[-1].lower().startswith("internal")
    ):
        return table.find_internal(int(call.values[0])) if call.values[0].isdigit() else None
    wanted = 1 if len(params) == 1 else len(spec.key)
    key = list(call.values[:wanted])
    if len(params) >= 2 and len(spec.key) == 1:
        key = [call.values[1] if "type" in params[0].lower() or params[0] == "module" else call.values[0]]
    elif (
        len(spec.key) > 1
        and "type" not in params[0].lower()
        and not spec.parent
        and "series" not in params[1:2]
    ):
        key = [call.values[0]]
    return table.find(key)


def bare_etag(row: Mapping[str, Any]) -> str | None:
    """Return the row version of a record, without quotes."""
    version = row.get("timeStamp") or row.get("timestamp")
    return str(version) if version else None


def etag_of(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the ETag header of a record, if it has a version."""
    version = bare_etag(row)
    return {"ETag": f'"{version}"'} if version else {}


def not_found(call: Call) -> Reply:
    """Answer that the record in the path is not there."""
    return refuse(
        404,
        f"VismaId: {call.company.visma_id()}. {call.operation.resource} '{'/'.join(call.values)}' cannot be found in the system.",
    )


def _answer_single(call: Call) -> Reply:
    operation, world = call.operation, call.company.world
    dto = operation.response_dto or ""
    name = table_name(operation.collection)
    parameters_only = bool(re.fullmatch(r"(/\{\w+\})+", operation.rest))
    if name is None:
        return _made_up_single(call, dto)
    if operation.collection == "multilanguage/inventory":
        return _translations(call)
    table = world.table(name)
    row = find_row(call, table)
    if row is None:
        return not_found(call)
    if parameters_only or operation.collection.endswith("/internal"):
        data = table.project(row, dto)
        headers = etag_of(data)
        if "metadata" in world.catalog.schemas.get(dto, {}):
            data["metadata"] = {"totalCount": 1, "maxPageSize": table.spec.page_size}
        as_list = call.company.behaviours.single_answers_list and name == "customerinvoice"
        return json_reply([data] if as_list else data, headers=headers)
    party = {
        "internalId": table.internal_of(row),
        "number": table.key_of(row)[-1],
        "name": table.name_of(row),
    }
    shown = world.shaper.single(dto, f"{operation.rest}:{'/'.join(call.values)}")
    if isinstance(shown.get(name), dict):
        shown[name].update({field: value for field, value in party.items() if field in shown[name]})
    if dto == "NoteDto":
        shown["note"] = table.row(row).get("note") or ""
    return json_reply(shown)


def _made_up_single(call: Call, dto: str) -> Reply:
    """Answer a record that no table holds: the same for the same path."""
    operation, world = call.operation, call.company.world
    if operation.id == "SupplierInvoice_GetByApprovalDocumentId":
        table = world.table("supplierinvoice")
        system_id = call.first("systemId")
        row = next(iter(table.order)) if len(table) else None
        if row is None or not re.fullmatch(r"[0-9a-fA-F-]{32,36}", system_id):
            return not_found(call)
        return json_reply(table.row(row))
    if dto not in world.catalog.schemas:
        return not_found(call)
    override = dict(zip(operation.path_params, call.values, strict=True))
    return json_reply(world.shaper.single(dto, "/".join((operation.id, *call.values)), override))

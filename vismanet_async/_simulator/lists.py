"""Answers lists: which rows, in which order, on which page, in which envelope."""

from __future__ import annotations

from itertools import chain, groupby
from math import gcd
from typing import TYPE_CHECKING, Any

from attrs import frozen

from vismanet_async._simulator import filters
from vismanet_async._simulator.expand import left_out
from vismanet_async._simulator.filter_fields import Shapes, find_field
from vismanet_async._simulator.filters import NEVER, Condition
from vismanet_async._simulator.journals import journal_rows
from vismanet_async._simulator.messages import JSON, RefusedError, Reply, not_simulated, refuse
from vismanet_async._simulator.paths import not_found, table_name
from vismanet_async._simulator.tables import ALIASES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vismanet_async._simulator.company import Call
    from vismanet_async._simulator.rows import Table
    from vismanet_async._simulator.selections import Selection

__all__ = ["answer_list", "read_filters"]

_Conditions = tuple[Condition, ...]
_Place = tuple["Table", int]

# documents of several kinds in one list
_UNIONS: dict[str, tuple[str, ...]] = {
    "customerdocument": (
        "customerinvoice",
        "customercreditnote",
        "customerdebitnote",
        "customeroverduecharge",
        "customercreditwriteoff",
    ),
    "supplierdocument": ("supplierinvoice",),  # its types are those of invoices; payments have a list of their own
}
# lists below a row, by the last segment of their path: the table, and the field that points back
_BELOW: dict[str, tuple[str, str]] = {
    "cashsale": ("cashsale", "customer.number"),
    "contact": ("contact", "businessAccount"),
    "expenseclaim": ("expenseclaim", "claimedBy.number"),
    "expensereceipt": ("expensereceipt", "claimedBy.number"),
    "item": ("inventory", "salesCategories.categoryId"),
    "salesorder": ("salesorder", "customer.number"),
    "salesorderbasic": ("salesorder", "customer.number"),
    "timecards": ("timecard", "employee.number"),
}
# tables that rows of others show by name: a change there changes the text of a list
_PARTIES = ("customer", "supplier")


@frozen
class _Page:
    number: int
    size: int
    limit: int

    @property
    def start(self) -> int:
        return (self.number - 1) * self.size

    @property
    def stop(self) -> int:
        return self.number * self.size


@frozen
class _Listing:
    """One request for a list, read and understood."""

    call: Call
    sources: list[tuple[Table, _Conditions]]
    dto: str
    left_out: frozenset[str]

    @property
    def schemas(self) -> Shapes:
        """The fields of all shapes."""
        return self.call.company.world.catalog.schemas

    def found(self) -> list[tuple[Table, Selection]]:
        """Return the rows that each table contributes."""
        return [(table, table.select(conditions)) for table, conditions in self.sources]

    def version(self) -> object:
        """Return something that differs whenever the rows or their text may differ."""
        tables = self.call.company.world.tables
        parties = tuple(tables[name].changes for name in _PARTIES if name in tables)
        return parties, tuple((table.spec.name, table.changes, conditions) for table, conditions in self.sources)


def answer_list(call: Call) -> Reply | None:
    """Answer a list that tables hold; None: no table does.

    Raises:
        RefusedError: A parameter is wrong (400), or the row that the list hangs below is not there (404).
    """
    company, operation = call.company, call.operation
    if _is_other_company(call):
        return Reply(200, company.behaviours.empty_list.encode(), JSON)
    sources = _sources(call)
    if sources is None:
        return None
    dto = operation.response_dto or ""
    fields = frozenset(company.world.catalog.schemas[dto])
    listing = _Listing(call, _filtered(call, sources), dto, left_out(operation, call.request.query, fields))
    if sources[0][0].spec.name == "journaltransaction":
        return _journals(listing)
    if not operation.paginated and operation.response_kind == "list":
        return _unpaged(listing, sources[0][0].spec.page_size)
    return _paged(listing, _page(call, sources[0][0].spec.page_size))


def _is_other_company(call: Call) -> bool:
    """Return whether the old company header names another company, and that matters."""
    named = call.request.headers.get("ipp-company-id")
    known = {None, "", call.company.tenant_id}
    return call.company.behaviours.wrong_company_header == "empty_list" and named not in known


def _page(call: Call, limit: int) -> _Page:
    behaviours = call.company.behaviours
    try:
        number = int(call.first("pageNumber") or 1)
        size = int(call.first("pageSize") or 0)
    except ValueError as error:
        message = "The request is invalid: pageNumber and pageSize must be whole numbers."
        raise RefusedError(refuse(400, message)) from error
    limit = min(limit, behaviours.page_size_limit or limit, call.server.page_size_limit or limit)
    if size > limit and not behaviours.clamp_page_size:
        raise RefusedError(refuse(400, f"pageSize must not exceed {limit}."))
    return _Page(max(1, number), min(size, limit) if size > 0 else limit, limit)


# -- which rows ---------------------------------------------------------------------------------------------


def read_filters(call: Call, shapes_shown: Sequence[str]) -> list[_Conditions]:
    """Return what the query asks of the rows of each shape.

    Raises:
        RefusedError: A value cannot be read (400), or no shape has a field for a parameter (501).
    """
    behaviours = call.company.behaviours
    habits = filters.Habits(
        strict_pairs=behaviours.value_needs_condition == "refused",
        after_includes=behaviours.greater_includes_equal,
        parts_match=behaviours.text_filters == "contains",
    )
    query, operation, shapes = call.request.query, call.operation, call.company.world.catalog.schemas
    try:
        read = [filters.build(operation, query, shapes, dto, habits) for dto in shapes_shown]
    except filters.FilterError as error:
        raise RefusedError(refuse(400, str(error))) from error
    for name in read[0]:
        if all(conditions[name] is None for conditions in read):
            raise RefusedError(not_simulated(operation.id, name))
    return [
        tuple(chain.from_iterable((NEVER,) if one is None else one for one in conditions.values()))
        for conditions in read
    ]


def _filtered(call: Call, sources: list[tuple[Table, _Conditions]]) -> list[tuple[Table, _Conditions]]:
    read = read_filters(call, [table.spec.dto for table, _ in sources])
    return [(table, given + asked) for (table, given), asked in zip(sources, read, strict=True)]


def _sources(call: Call) -> list[tuple[Table, _Conditions]] | None:
    """Return the tables that a list shows, each with the conditions its path sets; None: no table does."""
    collection = call.operation.collection
    if not call.operation.rest:
        names = _UNIONS.get(collection) or (table_name(collection),)
        return [(call.table(name), ()) for name in names if name] or None
    own = table_name(collection)
    if own is None:
        return None
    if call.operation.rest.count("/") == 1:
        return _one_parent(call, call.table(own))
    return _below(call, call.company.world.table(own))


def _one_parent(call: Call, table: Table) -> list[tuple[Table, _Conditions]] | None:
    """Return a table's rows with the first part of the key as the path has it: locations of one account."""
    if call.operation.collection == "uiextension":
        return [(table, ())]  # the shape does not say whose they are
    whole_key_is_enough = call.operation.collection == "fixedassettransaction"
    if call.operation.collection in ALIASES or (len(table.spec.key) == 1 and not whole_key_is_enough):
        return None
    return [(table, (Condition(table.spec.key[0], "=", call.values[0].casefold()),))]


def _below(call: Call, parent: Table) -> list[tuple[Table, _Conditions]] | None:
    """Return the rows of other tables that point at a row: invoices of one customer."""
    row = parent.find(call.values[: len(parent.spec.key)])
    if row is None:
        raise RefusedError(not_found(call))
    last, collection = call.operation.rest.rpartition("/")[2].lower(), call.operation.collection
    names: tuple[str, ...]
    if last in {"invoice", "document"}:
        names = (f"{collection}invoice",) if last == "invoice" else _UNIONS[f"{collection}document"]
        path = f"{collection}.number"
    elif last in _BELOW:
        name, path = _BELOW[last]
        names = (name,)
    else:
        return None
    condition = Condition(path, "=", parent.key_of(row)[-1].casefold())
    return [(call.table(name), (condition,)) for name in names]


# -- in which order -----------------------------------------------------------------------------------------


def _places(listing: _Listing, found: list[tuple[Table, Selection]], start: int, stop: int) -> list[_Place]:
    """Return (table, row) for these places of the list, in the order that it has now."""
    company = listing.call.company
    total = sum(len(selection) for _, selection in found)
    stop = min(stop, total)
    if start >= stop:
        return []
    wanted = listing.call.first("orderBy") if "orderBy" in listing.call.operation.query else ""
    if wanted:
        return _sorted(listing, found, wanted)[start:stop]
    if company.behaviours.list_order == "unstable":
        step = company.next_shuffle()
        while gcd(step, total) != 1:
            step += 1
        shuffled = ((place * step) % total for place in range(start, stop))
        return list(chain.from_iterable(_slice(found, place, place + 1) for place in shuffled))
    if company.behaviours.list_order == "newest_first":
        return list(reversed(_slice(found, total - stop, total - start)))
    return _slice(found, start, stop)


def _slice(found: list[tuple[Table, Selection]], start: int, stop: int) -> list[_Place]:
    places: list[_Place] = []
    passed = 0
    for table, selection in found:
        low, high = max(0, start - passed), min(len(selection), stop - passed)
        places.extend((table, row) for row in selection.ids(low, high) if low < high)
        passed += len(selection)
    return places


def _sorted(listing: _Listing, found: list[tuple[Table, Selection]], order: str) -> list[_Place]:
    name, _, direction = order.strip().partition(" ")
    fields = {table.spec.name: find_field(name, listing.schemas, table.spec.dto) for table, _ in found}
    if not any(fields.values()):
        message = f"The simulator does not sort {listing.call.operation.id} by {name}: no field of its rows says it."
        raise RefusedError(refuse(501, message))

    def rank(place: _Place) -> tuple[str, ...]:
        table, row = place
        field = fields[table.spec.name]
        values = () if field is None else filters.values_at(table.row(row), field.path)
        return tuple(str(value).rjust(20) if isinstance(value, int) else str(value) for value in values)

    places = [(table, row) for table, selection in found for row in selection]
    return sorted(places, key=rank, reverse=direction.lower().startswith("desc"))


# -- in which form ------------------------------------------------------------------------------------------


def _texts(listing: _Listing, start: int = 0, stop: int | None = None) -> tuple[list[bytes], int]:
    """Return the rows at these places as JSON without their closing brace, and the number of all rows."""
    found = listing.found()
    total = sum(len(selection) for _, selection in found)
    rows: list[bytes] = []
    for table, run in groupby(_places(listing, found, start, total if stop is None else stop), key=_table_of):
        rows.extend(table.json_rows([row for _, row in run], listing.dto, listing.left_out))
    return rows, total


def _unpaged(listing: _Listing, limit: int) -> Reply:
    """Answer an endpoint that has no paging in the catalog: all rows, whatever paging parameters say, and no metadata.

    A service that pages it all the same is a switch.
    """
    behaviours = listing.call.company.behaviours
    if behaviours.unpaged_lists == "whole":
        rows, _ = _texts(listing)
        return Reply(200, _array(rows, behaviours.empty_list), JSON)
    page = _page(listing.call, limit)
    if behaviours.unpaged_lists == "first_page":
        page = _Page(1, page.limit, page.limit)
    rows, total = _texts(listing, page.start, page.stop)
    tail = _metadata(total, page) if behaviours.unpaged_lists == "paged" else b""
    return Reply(200, _array(rows, behaviours.empty_list, tail), JSON)


def _paged(listing: _Listing, page: _Page) -> Reply:
    company, operation = listing.call.company, listing.call.operation
    behaviours = company.behaviours
    cache_key: object = (
        listing.version(), listing.dto, listing.left_out, page, listing.call.first("orderBy"),
        operation.response_kind,
        behaviours.list_order, behaviours.list_metadata, behaviours.empty_list,
    )  # fmt: skip
    if behaviours.list_order == "unstable":
        cache_key = None
    body = None if cache_key is None else company.world.cache.get(cache_key)
    if body is None:
        body = _encoded(listing, *_texts(listing, page.start, page.stop), page)
        if cache_key is not None:
            company.world.cache.put(cache_key, body, len(body))
    return Reply(200, body, JSON, cache_key=cache_key)


def _table_of(place: _Place) -> Any:
    return place[0]


def _encoded(listing: _Listing, rows: list[bytes], total: int, page: _Page) -> bytes:
    """Return the body of a page from rows that lack their closing brace."""
    behaviours = listing.call.company.behaviours
    if listing.call.operation.response_kind == "envelope":
        head = b'{"pageNumber":%d,"pageSize":%d,"totalCount":%d,"records":[' % (page.number, page.size, total)
        return head + b",".join([row + b"}" for row in rows]) + b"]}"
    shows_metadata = "metadata" in listing.schemas[listing.dto] and behaviours.list_metadata
    return _array(rows, behaviours.empty_list, _metadata(total, page) if shows_metadata else b"")


def _array(rows: list[bytes], empty: str, tail: bytes = b"") -> bytes:
    tail += b"}"
    return b"[" + (tail + b",").join(rows) + tail + b"]" if rows else empty.encode()


def _metadata(total: int, page: _Page) -> bytes:
    return b',"metadata":{"totalCount":%d,"maxPageSize":%d}' % (total, page.limit)


def _journals(listing: _Listing) -> Reply:
    """Answer journals: page size and total count lines, and one of two filters is mandatory (facts 4.12)."""
    call = listing.call
    if not (call.first("periodId") or call.first("lastModifiedDateTime")):
        raise RefusedError(refuse(400, "Either periodId or lastModifiedDateTime must be specified."))
    (table, selection), *_ = listing.found()
    page = _page(call, table.spec.page_size)
    rows = list(selection)
    if call.company.behaviours.list_order == "newest_first":
        rows.reverse()
    texts, total = journal_rows(table, rows, page.start, page.stop, listing.left_out)
    return Reply(200, _encoded(listing, texts, total, page), JSON)

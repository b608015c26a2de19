"""A dlt source: loads lists of Visma Net into any destination of dlt, as deltas where the API allows it.

Needs the extra `dlt`. Each resource becomes a table, lists within its rows child tables. Columns and types come from
the catalog, never from the data: amounts are decimal(18, 4), times are as written, without a zone, and values that
a column cannot hold go into `_extra` (see `vismanet_async._columns.coerce`).

======================================  =========================================================================
a list                                  is loaded by
======================================  =========================================================================
whose rows have an identity and a time  `merge` on the identity: the first load reads all, later ones from the
of change that can be asked for         last watermark on, with an overlap
any other, or one with own filters      `replace`: each load reads all
======================================  =========================================================================

A list with filters is always read whole: otherwise a row that no longer matches would stay. Each load adds a row per
list to the table `visma_loads`: what was read, and with which verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import attrs
import msgspec
from anyio.from_thread import start_blocking_portal

try:
    import dlt
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        "dlt is not installed. Install it with: python -m pip install 'vismanet-async[dlt]'", name="dlt"
    ) from missing

from vismanet_async._api.registry import find_resource, list_arguments, method_facts
from vismanet_async._client import VismaNet
from vismanet_async._columns.coerce import RowCoercer
from vismanet_async._columns.decimals import decimal_type
from vismanet_async._columns.schema import EXTRA, columns_of
from vismanet_async._columns.tally import Tally
from vismanet_async._conditions import on_or_after
from vismanet_async._export.plan import ExportPlan, filter_text
from vismanet_async._paging.keys import stamp_of, stamp_text
from vismanet_async.errors import RequestRefused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    from anyio.from_thread import BlockingPortal
    from dlt.extract import DltResource, DltSource

    from vismanet_async._columns.schema import Column
    from vismanet_async._export.plan import Completeness as Mode
    from vismanet_async._paging.delivery import Delivery
    from vismanet_async._paging.guarantee import Completeness
    from vismanet_async._paging.listing import Listing

__all__ = ["LOADS", "visma_source"]

LOADS: Final = "visma_loads"
"""The table with a row per load and list."""
_OVERLAP: Final = timedelta(days=1)
"""Covers late commits, clocks set back and the end of summer time; repeated rows replace themselves."""
_MODIFIED: Final = "last_modified_date_time"
_TYPES: Final[dict[str, dict[str, Any]]] = {
    "text": {"data_type": "text"},
    "json": {"data_type": "text"},
    "integer": {"data_type": "bigint"},
    "boolean": {"data_type": "bool"},
    "moment": {"data_type": "timestamp", "timezone": False, "precision": 6},
}
_LOAD_COLUMNS: Final[dict[str, Any]] = {
    "resource": {"data_type": "text"},
    "company": {"data_type": "text"},
    "mode": {"data_type": "text"},
    "since": {"data_type": "text"},
    "watermark": {"data_type": "text"},
    "verdict": {"data_type": "text"},
    "reason": {"data_type": "text"},
    "rows": {"data_type": "bigint"},
    "rows_at_server": {"data_type": "bigint"},
    "unfit": {"data_type": "bigint"},
    "requests": {"data_type": "bigint"},
    "shifts": {"data_type": "bigint"},
    "repairs": {"data_type": "bigint"},
}
_ROWS: Final = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


def visma_source(
    resources: str | Sequence[str] | Mapping[str, Mapping[str, Any]],
    *,
    connect: Callable[[], VismaNet] = VismaNet.from_env,
    completeness: Mode = "best",
    allow_uncertain: bool = False,
    page_size: int | None = None,
    full: bool = False,
    overlap: timedelta = _OVERLAP,
) -> DltSource:
    """Return a dlt source of lists, one dlt resource each, for `pipeline.run(...)`.

    Args:
        resources: names, or names with their filters: `{"customer_invoice": {"status": "Open"}}`. Parameters that
            begin with `expand` add to the rows and are no filters here.
        connect: returns the client; called once per run, in the run's event loop. By default `VismaNet.from_env()`;
            for dlt's own secrets pass a function that reads `dlt.secrets`.
        completeness: what to show about each list, as for an export.
        allow_uncertain: load also a list that could not be shown complete. Its row in `visma_loads` says so, and the
            next load starts where this one did.
        page_size: rows asked for at a time; None: as many as the endpoint gives.
        full: read everything once more and replace the tables; finds what was deleted.
        overlap: how far before the watermark a delta begins, besides the time that the load before it took.

    State: the server's own greatest time of change, by resource, committed by dlt together with the rows: a load that
    fails leaves it where it was. Deletions: the API does not tell them. `visma_loads.rows_at_server` is how many rows
    there were after a delta; where the table has more, rows were deleted: load it with `full=True`.

    Values that a column cannot hold to the last digit are null there and whole in `_extra`; `visma_loads.unfit` counts
    them.

    One company to a dataset: a pipeline that has loaded one company refuses another.

    Raises:
        UnknownName: no such resource or filter; nothing was sent.
        RequestRefused: a value that the API would misread; nothing was sent.

    While it runs, dlt raises `PipelineStepFailed` with the cause in it, and loads nothing of that run:
    `IncompleteListing` for a list that could not be shown complete, `SettingsError` for another company, `ExportError`
    for a row that is no JSON, else what the reads raise.
    """
    # a plan checks names, filters and completeness; nothing is written to its target
    plan = ExportPlan(resources=resources, to=".", completeness=completeness, page_size=page_size)
    connection = _Connection(connect)
    reads = [
        _Read(
            name=name,
            filters=filters,
            connection=connection,
            options={"completeness": completeness, "allow_uncertain": allow_uncertain, "page_size": page_size},
            full=full,
            overlap=overlap,
        )
        for name, filters in plan.resources.items()
    ]

    @dlt.source(name="visma")
    def visma() -> list[DltResource]:
        return [dlt.resource(read.items(), name=read.name) for read in reads]

    return visma()


class _Connection:
    """A client in an event loop of its own, for all resources of a run; dlt iterates over them in turn."""

    def __init__(self, connect: Callable[[], VismaNet]) -> None:
        self._connect = connect
        self._users = 0
        self._open = ExitStack()
        self._client: tuple[BlockingPortal, VismaNet] | None = None

    def __enter__(self) -> tuple[BlockingPortal, VismaNet]:
        if self._client is None:
            with ExitStack() as stack:
                portal = stack.enter_context(start_blocking_portal(name="vismanet"))
                visma = stack.enter_context(portal.wrap_async_context_manager(portal.call(self._connect)))
                self._open = stack.pop_all()
            self._client = portal, visma
        self._users += 1
        return self._client

    def __exit__(self, *_: object) -> None:
        self._users -= 1
        if not self._users:
            self._client = None
            self._open.close()


@attrs.frozen(kw_only=True)
class _Read:
    """One list as a resource of dlt."""

    name: str
    filters: Mapping[str, Any]
    connection: _Connection
    options: Mapping[str, Any]
    full: bool
    overlap: timedelta
    _facts: Mapping[str, Any] = attrs.field(init=False)

    @_facts.default
    def _find_facts(self) -> Mapping[str, Any]:
        list_arguments(self.name, self.filters)  # raises for filters that the API would ignore
        return method_facts(find_resource(self.name), "list")

    @property
    def identity(self) -> list[str]:
        return list(self._facts.get("identity", ()))

    @property
    def incremental(self) -> bool:
        """Whether a delta contains every change."""
        only_more = all(name.startswith("expand") for name in self.filters)
        return bool(self.identity and self._facts.get("frozen_filter") and only_more)

    def items(self) -> Iterator[Any]:
        """Yield the table, its rows page by page, and at the end the row for `visma_loads`."""
        with self.connection as (portal, visma):
            began = visma.clock.monotonic()
            state = _state(visma)
            listing, since = self._listing(visma, state)
            columns = columns_of(listing.operation_id)
            yield self._table(columns)
            unfit = Tally()
            for rows in self._pages(portal, listing, columns, unfit):
                yield dlt.mark.with_table_name(rows, self.name)
            report = listing.completeness
            if report is None:
                raise RuntimeError(f"the listing of {self.name} ended without a report")
            at_server = portal.call(self._base(visma).count) if since else report.unique
            if self.incremental and report.verdict != "uncertain" and report.watermark:
                # a row changed after it was read can be older than the watermark
                seconds = visma.clock.monotonic() - began
                state[self.name] = {
                    "watermark": report.watermark,
                    "read_seconds": seconds,
                    "filters": self._filter_texts(),
                }
            yield self._note(report, since=since, at_server=at_server, unfit=unfit, company=visma.tenant_id)

    def _base(self, visma: VismaNet) -> Listing[Any]:
        return visma.list_by_name(self.name, self.filters, **self.options)

    def _listing(self, visma: VismaNet, state: Mapping[str, Any]) -> tuple[Listing[Any], str | None]:
        before = state.get(self.name)
        if self.full or not self.incremental or before is None or before["filters"] != self._filter_texts():
            return self._base(visma), None
        back = self.overlap + timedelta(seconds=before["read_seconds"])
        since = stamp_text(stamp_of(before["watermark"]) - back // timedelta(microseconds=1))
        return visma.list_by_name(self.name, {**self.filters, _MODIFIED: on_or_after(since)}, **self.options), since

    def _filter_texts(self) -> dict[str, str]:
        return {name: filter_text(value) for name, value in self.filters.items()}

    def _pages(
        self, portal: BlockingPortal, listing: Listing[Any], columns: tuple[Column, ...], unfit: Tally
    ) -> Iterator[list[dict[str, Any]]]:
        coercer = RowCoercer(columns, operation_id=listing.operation_id)
        first_row = 0
        with portal.wrap_async_context_manager(listing.raw_pages(ordered=True)) as deliveries:
            while (delivery := portal.call(_following, deliveries)) is not None:
                rows = _ROWS.decode_lines(coercer.lines(delivery.rows, first_row=first_row, unfit=unfit))
                first_row += len(rows)
                yield [_hoisted(row, columns) for row in rows]

    def _table(self, columns: tuple[Column, ...]) -> Any:
        flat, nested = _hints(columns)
        flat[EXTRA] = dict(_TYPES["text"])
        frozen = self._facts.get("frozen_filter")
        if self.incremental and frozen and frozen[1] in flat:
            # of two versions of a row in one load, the later one stays
            flat[frozen[1]] = {**flat[frozen[1]], "dedup_sort": "desc"}
        hints = dlt.mark.make_hints(
            table_name=self.name,
            write_disposition="merge" if self.incremental and not self.full else "replace",
            primary_key=self.identity,
            columns=flat,
            nested_hints=dict[str | Sequence[str], Any](nested.items()),
        )
        return dlt.mark.with_hints(dlt.mark.materialize_table_schema(), hints, create_table_variant=True)

    def _note(
        self,
        report: Completeness,
        *,
        since: str | None,
        at_server: int | None,
        unfit: Tally,
        company: str | None,
    ) -> Any:
        note = {
            "resource": self.name,
            "company": company,
            "mode": "delta" if since else "full",
            "since": since,
            "watermark": report.watermark,
            "verdict": report.verdict,
            "reason": report.reason,
            "rows": report.rows - report.superseded,
            "rows_at_server": at_server,
            "unfit": sum(unfit.counts().values()),
            "requests": report.requests,
            "shifts": report.shifts,
            "repairs": report.repairs,
        }
        hints = dlt.mark.make_hints(table_name=LOADS, write_disposition="append", columns=_LOAD_COLUMNS)
        return dlt.mark.with_hints(note, hints, create_table_variant=True)


def _state(visma: VismaNet) -> dict[str, Any]:
    """Return the state of earlier loads of the pipeline, which must be of the same company."""
    state = dlt.current.source_state()
    known = state.setdefault("company", visma.tenant_id)
    if known != visma.tenant_id:
        raise RequestRefused(
            f"this pipeline has loaded the company {known}, and this is {visma.tenant_id}: their rows would replace "
            "each other. Nothing was sent. Give each company a pipeline and a dataset of its own."
        )
    lists: dict[str, Any] = state.setdefault("lists", {})
    return lists


async def _following(deliveries: AsyncIterator[Delivery]) -> Delivery | None:
    return await anext(deliveries, None)


def _hints(columns: Sequence[Column]) -> tuple[dict[str, Any], dict[tuple[str, ...], Any]]:
    """Return the hints of a table's columns, and those of its child tables by their paths."""
    flat: dict[str, Any] = {}
    nested: dict[tuple[str, ...], Any] = {}
    for column in columns:
        inner, deeper = _hints(column.fields)
        if column.repeated:
            inner = inner if column.kind == "record" else {"value": _type(column)}
            nested[column.name,] = {"columns": {name: {"name": name, **hint} for name, hint in inner.items()}}
            nested |= {(column.name, *path): hint for path, hint in deeper.items()}
        elif column.kind == "record":
            flat |= {f"{column.name}__{name}": hint for name, hint in inner.items()}
            nested |= {(f"{column.name}_{first}", *rest): hint for (first, *rest), hint in deeper.items()}
        else:
            flat[column.name] = _type(column)
    return flat, nested


def _type(column: Column) -> dict[str, Any]:
    if column.kind != "decimal":
        return dict(_TYPES[column.kind])
    exact = decimal_type(column.name)
    return {"data_type": "decimal", "precision": exact.digits, "scale": exact.scale}


def _hoisted(record: dict[str, Any], columns: Sequence[Column]) -> dict[str, Any]:
    """Return the row with lists moved out of its records: dlt has hints for child tables of tables, not of records."""
    for column in columns:
        value = record.get(column.name)
        if column.kind != "record" or not value:
            continue
        if column.repeated:
            record[column.name] = [_hoisted(element, column.fields) if element else element for element in value]
        else:
            inner = _hoisted(value, column.fields)
            lists = [name for name, held in inner.items() if isinstance(held, list)]
            record |= {f"{column.name}_{name}": inner.pop(name) for name in lists}
    return record

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

A list with filters is always read whole: otherwise a row that no longer matches would stay. With `deletions` a delta is
followed by a sweep of the list's keys, and rows that are gone are removed (`_dlt_deletions`). Each load adds a row per
list to the table `visma_loads`: what was read, and with which verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
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
from vismanet_async._export.deletions import Deletions, deletions_wanted
from vismanet_async._export.plan import ExportPlan, filter_text
from vismanet_async._export.sweep import count_if_told
from vismanet_async._paging.keys import stamp_of, stamp_text
from vismanet_async.contrib._dlt_deletions import DELETED, SweepNote, TableKeys, TableSweep, deliveries, require_company
from vismanet_async.errors import ExportError, RequestRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping
    from contextlib import AbstractContextManager
    from datetime import datetime

    from anyio.from_thread import BlockingPortal
    from dlt.extract import DltResource, DltSource

    from vismanet_async._columns.schema import Column
    from vismanet_async._export.plan import Completeness as Mode
    from vismanet_async._paging.guarantee import Completeness
    from vismanet_async._paging.listing import Listing
    from vismanet_async._paging.row_scanner import RawRow

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
    "deletions": {"data_type": "text"},
    "deletions_reason": {"data_type": "text"},
    "deleted": {"data_type": "bigint"},
    "restored": {"data_type": "bigint"},
    "unfit": {"data_type": "bigint"},
    "requests": {"data_type": "bigint"},
    "shifts": {"data_type": "bigint"},
    "repairs": {"data_type": "bigint"},
}
_EMPTY: Final = (None, "")
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
    deletions: bool | Deletions = False,
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
        deletions: remove rows that are gone at the server. True: look for them in each load; `Deletions` gives that a
            schedule and a budget. Looking takes as many requests as reading the whole list. The destination must be one
            that is asked with SQL.

    State: the server's own greatest time of change, by resource, committed by dlt together with the rows: a load that
    fails leaves it where it was.

    Deletions: the API does not tell them. With `deletions`, what the destination holds and a proven reading of the list
    has not, is removed with its child rows by dlt's hint `hard_delete`; less than proven removes nothing. Without them,
    `visma_loads.rows_at_server` is how many rows there were after a delta; where the table has more, rows were deleted.

    Values that a column cannot hold to the last digit are null there and whole in `_extra`; `visma_loads.unfit` counts
    them.

    One company to a dataset: a pipeline that has loaded one company refuses another, and one that is not known.

    Raises:
        UnknownName: no such resource or filter; nothing was sent.
        RequestRefused: a value that the API would misread; nothing was sent.

    While it runs, dlt raises `PipelineStepFailed` with the cause in it, and loads nothing of that run:
    `IncompleteListing` for a list that could not be shown complete, `RequestRefused` for another company, `ExportError`
    for a row that is no JSON, or that is to be merged and has no key, else what the reads raise.
    """
    # a plan checks names, filters and completeness; nothing is written to its target
    wanted = deletions_wanted(deletions)
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
            deletions=wanted,
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
    deletions: Deletions | None
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

    @property
    def merges(self) -> bool:
        """Whether a load adds to the table, and does not replace it."""
        return self.incremental and not self.full

    @property
    def marks_deleted(self) -> bool:
        """Whether a load looks for rows that are gone; a table that is replaced has none."""
        return self.merges and self.deletions is not None

    def items(self) -> Iterator[Any]:
        """Yield the table, its rows page by page, and at the end the row for `visma_loads`."""
        # the keys first: whoever cannot have deletions learns it before anything is sent
        with self._table_keys() as keys, self.connection as (portal, visma):
            began, now = visma.clock.monotonic(), visma.clock.utc_now()
            state = _state(visma)
            if keys is not None:
                require_company(visma.tenant_id, loads=LOADS)
            listing, since = self._listing(visma, state)
            rows = _RowReader(self.name, listing.operation_id, identity=self.identity if self.merges else ())
            yield self._table(rows.columns)
            for delivery in deliveries(portal, listing):
                if keys is not None:
                    (keys.add if since else keys.see)(delivery.rows)
                yield rows.items(delivery.rows)
            report = listing.completeness
            if report is None:
                raise RuntimeError(f"the listing of {self.name} ended without a report")
            sweep = SweepNote.of_whole(report, now)
            if since:
                swept_at = state[self.name].get("swept_at")
                sweep = yield from self._after_changes(portal, visma, keys, rows, swept_at=swept_at, now=now)
            yield from self._marks(keys, sweep)
            if self.incremental and report.verdict != "uncertain" and report.watermark:
                state[self.name] = {
                    "watermark": report.watermark,
                    # a row changed after it was read can be older than the watermark
                    "read_seconds": visma.clock.monotonic() - began,
                    "filters": self._filter_texts(),
                    "swept_at": self._swept_at(state, sweep, since=since),
                }
            yield self._note(report, since=since, sweep=sweep, keys=keys, unfit=rows.unfit, company=visma.tenant_id)

    def _table_keys(self) -> AbstractContextManager[TableKeys | None]:
        if not self.marks_deleted:
            return nullcontext()
        return TableKeys(self.name, identity=self.identity, modified=self._facts["frozen_filter"][1])

    def _after_changes(
        self,
        portal: BlockingPortal,
        visma: VismaNet,
        keys: TableKeys | None,
        rows: _RowReader,
        *,
        swept_at: str | None,
        now: datetime,
    ) -> Generator[Any, None, SweepNote]:
        """Look for rows that are gone, if that is wanted; yield those that only the server has."""
        note = SweepNote()
        if keys is not None and self.deletions is not None:
            sweep = TableSweep(
                portal=portal,
                listing=self._base(visma),
                facts=self._facts,
                deletions=self.deletions,
                page_size=self.options["page_size"],
                swept_at=swept_at,
                now=now,
            )
            for found in sweep.run(keys):
                if isinstance(found, SweepNote):
                    note = found
                else:
                    yield rows.items(found)
        if note.at_server is None:
            note = attrs.evolve(note, at_server=portal.call(count_if_told, self._base(visma))[0])
        return note

    def _marks(self, keys: TableKeys | None, sweep: SweepNote) -> Iterator[Any]:
        if keys is not None and sweep.at is not None:
            for marks in keys.marks():
                yield dlt.mark.with_table_name(marks, self.name)

    def _swept_at(self, state: Mapping[str, Any], sweep: SweepNote, *, since: str | None) -> str | None:
        """Return when the table was last known to hold nothing that is gone."""
        if since is None and self.merges and not self.marks_deleted:
            return None  # rows of earlier loads may have stayed
        if sweep.at is not None:
            return sweep.at.isoformat()
        before: str | None = state[self.name].get("swept_at") if since else None
        return before

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

    def _table(self, columns: tuple[Column, ...]) -> Any:
        flat, nested = _hints(columns)
        flat[EXTRA] = dict(_TYPES["text"])
        frozen = self._facts.get("frozen_filter")
        if self.incremental and frozen and frozen[1] in flat:
            # of two versions of a row in one load, the later one stays
            flat[frozen[1]] = {**flat[frozen[1]], "dedup_sort": "desc"}
        if self.marks_deleted:
            flat[DELETED] = {"data_type": "bool", "hard_delete": True}
        hints = dlt.mark.make_hints(
            table_name=self.name,
            write_disposition="merge" if self.merges else "replace",
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
        sweep: SweepNote,
        keys: TableKeys | None,
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
            "rows_at_server": sweep.at_server,
            "deletions": None if keys is None else sweep.verdict,
            "deletions_reason": None if keys is None else sweep.reason,
            "deleted": None if keys is None else keys.deleted,
            "restored": None if keys is None else sweep.restored,
            "unfit": sum(unfit.counts().values()),
            "requests": report.requests + sweep.requests,
            "shifts": report.shifts,
            "repairs": report.repairs,
        }
        hints = dlt.mark.make_hints(table_name=LOADS, write_disposition="append", columns=_LOAD_COLUMNS)
        return dlt.mark.with_hints(note, hints, create_table_variant=True)


class _RowReader:
    """Makes items of one table of rows as the server sent them, and counts what does not fit its columns.

    Args:
        table: its name.
        operation_id: of the list.
        identity: the columns by which dlt merges rows; empty where the table is replaced.
    """

    def __init__(self, table: str, operation_id: str, *, identity: Sequence[str]) -> None:
        self.columns = columns_of(operation_id)
        self.unfit = Tally()
        self._table = table
        self._identity = identity
        self._coercer = RowCoercer(self.columns, operation_id=operation_id)
        self._first_row = 0

    def items(self, raw: Sequence[RawRow]) -> Any:
        rows = _ROWS.decode_lines(self._coercer.lines(raw, first_row=self._first_row, unfit=self.unfit))
        self._first_row += len(rows)
        if any(row.get(name) in _EMPTY for row in rows for name in self._identity):
            raise ExportError(
                f"{self._table} has a row whose {' or '.join(self._identity)} the server left empty, or sent as "
                "something else than the column holds: dlt would take all such rows for versions of one record. "
                "Nothing of this run is loaded. Leave the list out, or export it to files."
            )
        return dlt.mark.with_table_name([_hoisted(row, self.columns) for row in rows], self._table)


def _state(visma: VismaNet) -> dict[str, Any]:
    """Return the state of earlier loads of the pipeline, which must be of the same company."""
    if visma.tenant_id is None:  # two that are not known are not known to be one
        raise RequestRefused(
            "which company this client is for is not known, so nothing tells whether the dataset is of the same one. "
            "Nothing was sent. Give StaticToken or AuthorizationCode its tenant_id."
        )
    state = dlt.current.source_state()
    known = state.setdefault("company", visma.tenant_id)
    if known != visma.tenant_id:
        raise RequestRefused(
            f"this pipeline has loaded the company {known}, and this is {visma.tenant_id}: their rows would replace "
            "each other. Nothing was sent. Give each company a pipeline and a dataset of its own."
        )
    lists: dict[str, Any] = state.setdefault("lists", {})
    return lists


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

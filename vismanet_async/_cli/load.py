"""`vismanet load`: the rows of a file, each as one write."""

from __future__ import annotations

import warnings
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anyio
import attrs

from vismanet_async._api.registry import find_method, find_resource, list_arguments, method_facts, method_ids
from vismanet_async._bulk.rows import fingerprint_of
from vismanet_async._bulk.target import read_target, with_inserts
from vismanet_async._bulk.transitions import RowState
from vismanet_async._cli.bulk_run import RunOptions, run_rows, told_rehearsal
from vismanet_async._cli.load_columns import Column, ColumnMap, columns_of, filled, is_field, mistakes_in, read_map
from vismanet_async._cli.load_input import InputRow, Table, open_table
from vismanet_async._cli.load_reading import Numbered, Reading
from vismanet_async._cli.load_results import LoadedRows
from vismanet_async._cli.logs import tell_warning
from vismanet_async._deferred import mark_used
from vismanet_async._settings import Settings
from vismanet_async.errors import DoubtfulWrite, RequestRefused

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence

    from vismanet_async._bulk.journal import SqliteJournal
    from vismanet_async._bulk.rows import Outcome
    from vismanet_async._bulk.transitions import Entry
    from vismanet_async._cli.load_input import InputFormat
    from vismanet_async._client import VismaNet
    from vismanet_async._operation import Operation
    from vismanet_async.bulk import Row

__all__ = ["Load", "Rows", "default_load_journal", "read_load", "run_load"]

_LOOKED_UP_ROWS: Final = 256
_NOT_REACHED: Final = "not sent: the run ended before this row."
_LOADED: Final = frozenset({"create", "update", "act"})


@attrs.frozen(kw_only=True)
class Load:
    """A load that was checked against the registry and the file; nothing of it needs a sign-in."""

    resource: str
    method: str
    facts: Mapping[str, Any]
    table: Table
    key: str
    ids: Sequence[str]
    columns: Sequence[Column]
    constants: Mapping[tuple[str | int, ...], Any]
    find: tuple[str, str] | None
    """The filter of the list that looks rows up, and the column with its value."""
    known: ColumnMap
    upsert: str | None = None
    """The field that tells records apart, by the SDK's name, if what exists is compared and updated."""

    def operation(self, visma: VismaNet, row: InputRow) -> Operation[Any]:
        """Return the write that a row is.

        Raises:
            RequestRefused: with every mistake of the row, a line each.
        """
        with warnings.catch_warnings(record=True) as doubts:
            warnings.simplefilter("always", DoubtfulWrite)
            operation = self._operation(visma, row)
        for doubt in doubts:
            tell_warning(f"{self.table.source}:{row.number}: {doubt.message}")
        return operation

    def _operation(self, visma: VismaNet, row: InputRow) -> Operation[Any]:
        if row.fault is not None:
            raise RequestRefused(f"{row.fault}.")
        columns = self._columns_of(row)

        def build(some: Sequence[Column]) -> Operation[Any]:
            return self._built(visma, row, self._filled(some, row))

        try:
            return build(columns)
        except RequestRefused as error:
            found = mistakes_in(columns, row.values, build)
            raise RequestRefused("\n".join(found) or str(error).replace("; nothing was sent.", ".")) from None

    def record(self, visma: VismaNet, row: InputRow) -> Any:
        """Return the record that a row of an upsert asks for; raises as `operation`."""
        mark_used(self.operation(visma, row))
        return self._filled(self._columns_of(row), row)

    def row(self, visma: VismaNet, source: InputRow) -> Row:
        """Return the row of a run. One whose key cannot be used fails, under its number."""
        from vismanet_async.bulk import Row  # noqa: PLC0415 - brings SQLAlchemy along

        if source.fault is None:
            try:
                return Row(_word(source, self.key), partial(self.operation, visma, source), data=source)
            except RequestRefused as error:
                fault = str(error).replace("; nothing was sent.", ".").removesuffix(".")
                fault = fault if fault.startswith("the column") else f"column {self.key}: {fault}"
                source = attrs.evolve(source, fault=fault)
        return Row(f"row {source.number}", partial(self.operation, visma, source), data=source)

    def _columns_of(self, row: InputRow) -> Sequence[Column]:
        if self.table.length is None:  # of stdin the columns are known row by row
            return _columns(self, tuple(row.values))
        if self.table.format == "jsonl" and (new := row.values.keys() - self.table.first_rows.keys()):
            raise RequestRefused(f"the file has changed since it was looked through: {min(new)!a} is new.")
        return self.columns

    def _filled(self, columns: Sequence[Column], row: InputRow) -> Any:
        return filled(columns, row.values, self.constants, as_json=self.table.format == "jsonl")

    def _built(self, visma: VismaNet, row: InputRow, record: Any) -> Operation[Any]:
        ids = method_ids(self.resource, self.method, [_word(row, name) for name in self.ids])
        if self.facts["call"] == "create" and "body" in self.facts:
            record = with_inserts(self.facts["body"], record)
        body = [record] if "body" in self.facts else []
        built: Operation[Any] = getattr(getattr(visma, self.resource), self.method)(*ids, *body)
        return built


@attrs.frozen
class _Sized:
    load: Load
    visma: VismaNet
    sources: Iterable[InputRow]
    """The rows of the file, as `Reading` or `Numbered`."""

    def __len__(self) -> int:
        if self.load.table.length is None:
            raise TypeError("stdin has no length")
        return self.load.table.length


class Drafts(_Sized):
    """The rows of a file, to be compared with what is there."""

    def __iter__(self) -> Iterator[Any]:
        from vismanet_async._bulk.upserting import Draft  # noqa: PLC0415 - as below

        for source in self.sources:
            body = partial(self.load.record, self.visma, source)
            yield Draft(body=body, data=source, fallback_key=f"row {source.number}")


class Rows(_Sized):
    """The rows of a file as writes."""

    def __iter__(self) -> Iterator[Row]:
        for source in self.sources:
            yield self.load.row(self.visma, source)


def _word(row: InputRow, column: str) -> str:
    value = row.values.get(column)
    if value is None or value == "" or isinstance(value, bool | float | dict | list):
        raise RequestRefused(f"the column {column!r} must hold a text or a whole number.")
    return str(value)


def read_load(
    name: str,
    source: str,
    *,
    file_format: InputFormat | None = None,
    delimiter: str = ",",
    map_file: Path | None = None,
    key: str | None = None,
    ids: Sequence[str] = (),
    find: str | None = None,
    upsert: str | None = None,
) -> Load:
    """Check the words of a load; sends nothing.

    Raises:
        UnknownName: no such resource, method, filter or field; with the nearest names.
        RequestRefused: something is missing, or the file cannot be read.
    """
    resource, method = find_method(name) if "." in name else (find_resource(name), "create")
    facts = method_facts(*find_method(f"{resource}.{method}"))
    if facts["call"] not in _LOADED:
        raise RequestRefused(f"{resource}.{method} is no write of a record, so it is not loaded; nothing was sent.")
    known = read_map(map_file)
    table = open_table(source, file_format=file_format, delimiter=delimiter)
    key, ids = key or known.key, list(ids or known.ids)
    if upsert is not None:
        if method != "create" or ids or find is not None:
            raise RequestRefused("--upsert takes RESOURCE alone, without --id and --find; nothing was sent.")
        upsert = read_target(resource, upsert).key
        key = next((name for name in table.names if is_field(known.columns.get(name, name), upsert, facts)), upsert)
    if key is None:
        raise RequestRefused(
            "say with --key which column tells the rows apart, and is the same in every run: a number in the source, "
            f"for instance. {source} has {', '.join(table.names) or 'no columns yet'}. Nothing was sent."
        )
    wanted = [each for each, _ in facts.get("ids", ())]
    if len(ids) != len(wanted):
        needed = f"--id for each of {', '.join(wanted)}" if wanted else "no --id"
        raise RequestRefused(f"{resource}.{method} takes {needed}: the column with it; nothing was sent.")
    load = Load(
        resource=resource,
        method=method,
        facts=facts,
        table=table,
        key=key,
        ids=ids,
        columns=(),
        constants={},
        find=None if find is None else _find(resource, find),
        known=known,
        upsert=upsert,
    )
    constants = {column.path: known.values[name] for name, column in _constants(load).items()}
    load = attrs.evolve(load, constants=constants)
    if table.length is None:
        return load
    for column in (key, *ids, *([load.find[1]] if load.find else ())):
        if column not in table.names:
            raise RequestRefused(
                f"{source} has no column {column!r}; it has {', '.join(table.names)}. Nothing was sent."
            )
    return attrs.evolve(load, columns=_columns(load, table.names))


def _columns(load: Load, names: Sequence[str]) -> list[Column]:
    known = load.known
    if load.table.length is None:  # a row need not have every column
        known = attrs.evolve(
            known,
            columns={name: field for name, field in known.columns.items() if name in names},
            ignore=[name for name in known.ignore if name in names],
        )
    aside = [load.key, *load.ids, *([load.find[1]] if load.find else ())]
    body = [name for name in names if name not in load.ids or name in known.columns]
    return columns_of(body, load.facts.get("body"), known, aside=aside, rows=load.table.first_rows)


def _constants(load: Load) -> dict[str, Column]:
    only = ColumnMap(values=load.known.values)
    columns = columns_of((), load.facts.get("body"), only, aside=())
    return dict(zip(load.known.values, columns, strict=True))


def _find(resource: str, text: str) -> tuple[str, str]:
    name, equals, column = text.partition("=")
    if not equals or not name or not column:
        raise RequestRefused(f"--find {text!r} is not FILTER=COLUMN; nothing was sent.")
    return next(iter(list_arguments(resource, {name: ""}))), column


# --- the run -------------------------------------------------------------------------------------------------------


def default_load_journal(source: str) -> Path:
    """Return where the journal of a file is if none is named: beside it.

    Raises:
        RequestRefused: stdin has no place.
    """
    if source == "-":
        raise RequestRefused("say with --journal where to keep what becomes of the rows of stdin; nothing was sent.")
    return Path(f"{source}.load") / "journal.sqlite"


def run_load(load: Load, options: RunOptions, *, profile: str | None, concurrency: int | str) -> int:
    """Load, or rehearse it; return the exit code."""
    settings = Settings.load(profile=profile)
    if options.dry_run and load.upsert is None:  # nothing is sent, so there is nothing to sign in for
        settings = attrs.evolve(settings, token=settings.token or "rehearsal", client_id=None, client_secret=None)
    return anyio.run(_run, load, options, settings, concurrency)


async def _run(load: Load, options: RunOptions, settings: Settings, concurrency: int | str) -> int:
    from vismanet_async._client import VismaNet  # noqa: PLC0415 - aiohttp loads slowly, and wrong use does not need it

    async with VismaNet.from_settings(settings, concurrency=concurrency) as visma:
        if options.dry_run:
            return await _rehearse(load, options, visma)
        reading = Reading(load.table)
        if load.upsert is None:
            rows = Rows(load, visma, reading)
            run = visma.bulk.run(rows, journal=options.journal, find=_finder(load, visma), **options.for_run())
        else:
            drafts = Drafts(load, visma, reading)
            run = visma.bulk.upsert(
                load.resource, drafts, key=load.upsert, journal=options.journal, **options.for_upsert()
            )
        loaded = LoadedRows(
            table=load.table,
            reading=reading,
            left=partial(_left, load, visma, reading),
            outcome_of=partial(_outcome_of, load),
        )
        return await run_rows(visma, run, options, loaded)


def _outcome_of(load: Load, entry: Entry) -> Outcome | None:
    """Return what became of a row of an earlier upsert; None where the journal has the word."""
    if load.upsert is None or entry.state is not RowState.DONE:
        return None
    if not entry.operation:
        return "unchanged"
    return "created" if entry.operation == read_target(load.resource, load.upsert).create_id else "updated"


async def _left(
    load: Load, visma: VismaNet, reading: Reading, journal: SqliteJournal, *, interrupted: bool
) -> AsyncGenerator[tuple[InputRow, str]]:
    """Yield the rows that the run has told nothing of, but for those that an earlier one has done or left unknown."""
    # whoever presses Ctrl-C does not wait for what comes through a pipe
    rest = reading.rest(read_on=load.table.source != "-" or not interrupted)
    while chunk := [load.row(visma, source) for source in islice(rest, _LOOKED_UP_ROWS)]:
        known = await journal.known([row.key for row in chunk])
        for row in chunk:
            entry = known.get(row.key)
            if entry is None or entry.state is RowState.PLANNED:
                yield row.data, _NOT_REACHED
            elif entry.state is RowState.FAILED:
                yield row.data, entry.trouble.text if entry.trouble is not None else _NOT_REACHED
            elif entry.state is RowState.DONE and not (load.upsert is None and _is_same(row, entry)):
                yield row.data, _NOT_REACHED


def _is_same(row: Row, entry: Entry) -> bool:
    assert callable(row.operation)
    try:
        operation = row.operation()
    except RequestRefused:
        return False
    mark_used(operation)
    return fingerprint_of(operation) == entry.fingerprint


async def _rehearse(load: Load, options: RunOptions, visma: VismaNet) -> int:
    journal = options.journal if options.journal.is_file() else None
    sources = Numbered(load.table)
    if load.upsert is None:
        rows = Rows(load, visma, sources)
        rehearsal = await visma.bulk.rehearse(
            rows,
            journal=journal,
            find=_finder(load, visma),
            retry_failed=options.retry_failed,
            retry_unknown=options.retry_unknown,
        )
    else:
        drafts = Drafts(load, visma, sources)
        rehearsal = await visma.bulk.rehearse_upsert(load.resource, drafts, key=load.upsert, journal=journal)
    return told_rehearsal(
        rehearsal, lambda position: f"{load.table.source}:{sources.number(position)}", report=options.report
    )


def _finder(load: Load, visma: VismaNet) -> Any:
    """Return the function that looks a row up; None if there is no way."""
    resource = getattr(visma, load.resource)
    if load.find is not None:
        from vismanet_async._cli.load_finding import meant  # noqa: PLC0415 - only after a lost answer

        name, column = load.find
        facts = method_facts(load.resource, "list")
        shown_as = next(each["json"] for each in facts["parameters"] if each["name"] == name)

        async def by_filter(row: Row) -> Any:
            word = _word(row.data, column)
            found = await resource.list(**list_arguments(load.resource, {name: word}))
            return [_id(record, facts.get("identity", ())) for record in meant(found, row, shown_as, word)]

        return by_filter
    if load.facts["call"] == "update" and hasattr(resource, "get"):
        reads = method_facts(load.resource, "get").get("ids", [])
        if load.method == "update" and len(reads) == len(load.ids):
            from vismanet_async.bulk import matching  # noqa: PLC0415 - as above

            async def by_content(row: Row) -> Any:
                ids = method_ids(load.resource, "get", [_word(row.data, each) for each in load.ids])
                return matching(await resource.get(*ids), row)

            return by_content
    return None


def _id(record: Any, identity: Sequence[str]) -> Any:
    """Return the id of a record by the last of the fields that tell records apart; the record itself without one."""
    from vismanet_async._codec.fields import fields_of  # noqa: PLC0415 - only after a lost answer
    from vismanet_async._codec.values import UNSET  # noqa: PLC0415 - as above

    for field in fields_of(type(record)):
        if identity and field.json == identity[-1]:
            value = getattr(record, field.name)
            return record if value is None or value is UNSET else str(value)
    return record

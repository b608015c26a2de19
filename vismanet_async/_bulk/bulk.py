"""`visma.bulk`: runs and rehearsals of bulk writes, and what their journals say."""

from __future__ import annotations

import os
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, get_args

import anyio

from vismanet_async._arguments import expect, expect_count, expect_seconds, is_url, text_of
from vismanet_async._bulk.background import Background, Via
from vismanet_async._bulk.deciding import BulkOptions, settled, states_of
from vismanet_async._bulk.intake import read_row, refuse_input
from vismanet_async._bulk.journal import SqliteJournal
from vismanet_async._bulk.rehearsal import Rehearsal, rehearse
from vismanet_async._bulk.rows import Outcome, Row, RowResult  # noqa: TC001 - the examples make rows
from vismanet_async._bulk.run import BulkRun, result_of
from vismanet_async._bulk.shared_journal import SharedJournal
from vismanet_async._bulk.transitions import decide, decide_anew
from vismanet_async._deferred import warn_if_dropped
from vismanet_async.errors import RequestRefused, SettingsError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Callable, Collection, Iterable

    from vismanet_async._api.base import Caller
    from vismanet_async._bulk.journal_rows import Journal
    from vismanet_async._bulk.sending import Find
    from vismanet_async._bulk.transitions import Action, Entry
    from vismanet_async._bulk.upserting import Upsert
    from vismanet_async._clock import Clock
    from vismanet_async._http.pipeline import Transport
    from vismanet_async._jobs.manager import JobManager

__all__ = ["SETTLE_SECONDS", "Bulk"]

SETTLE_SECONDS: Final = 240.0
"""A request that takes longer than four minutes belongs into the background queue (docs/facts.md 1.8)."""
_FAILURE_SHARE: Final = 0.5
_REFERENCE: Final = "bulk"
"""What the jobs of bulk runs are called in `vismanet jobs list`."""
_NEVER_RUN: Final = "The bulk run was never awaited, so nothing was sent. Write `await visma.bulk.run(...)`."


class Bulk:
    """Bulk writes of one company: thousands of documents, none of them twice.

    `visma.bulk` is one. Any number of runs may go on at the same time, each with a journal of its own; they share the
    client's quota and its limit of requests in flight.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        caller: Caller,
        jobs: Callable[[], JobManager],
        clock: Clock,
        company: str | None,
        base_url: str,
    ) -> None:
        self._transport = transport
        self._caller = caller
        self._jobs = jobs
        self._clock = clock
        self._company = company
        self._base_url = base_url
        self._rehearse = partial(rehearse, quota_of=lambda: transport.quota, clock=clock)

    def run(
        self,
        rows: Iterable[Row] | AsyncIterable[Row],
        *,
        journal: str | os.PathLike[str],
        find: Find | None = None,
        retry_failed: bool = False,
        retry_unknown: bool = False,
        max_failures: int | None = None,
        max_failure_share: float | None = _FAILURE_SHARE,
        settle_seconds: float = SETTLE_SECONDS,
        via: Via = "request",
    ) -> BulkRun:
        """Build a bulk run, as a value: `await` runs it, `async for` runs it and yields the result of each row.

        Each row is in the journal, on the disk, before its request leaves, and again after its answer. So the same call
        goes on where an earlier one stood, however that ended: what is done is not sent again, what certainly was not
        executed is sent, and what may have been executed is looked up with `find`, or else reported as unknown.

        Args:
            rows: any iterable, synchronous or not, of any length; it is read as fast as rows are sent.
            journal: the path of a SQLite file (extra `sqlite`), one for each load; or
                `postgresql://user@host/database#NAME` (extra `postgres`), with a name for each load. Any number of
                processes may then run the same rows at the same time: each row is sent by one of them, and rows of a
                process that dies are taken over by the others after half a minute. Rows with a `group` are refused.
            find: is asked before a row is sent that may have been executed. It takes the `Row`, and returns a call or a
                list that searches by the row's own reference, or any awaitable. One record, or its id as text: the row
                is done. None, an empty list or `NotFound`: it was not executed, and is sent. More than one, anything
                else (a count, for instance) or another error: it stays unknown.
            retry_failed: send rows again that failed in an earlier run and have not changed since.
            retry_unknown: send unknown rows of earlier runs again without looking. Only a person can decide that: each
                of them may be executed twice. Has no effect with `find`.
            max_failures: stop when more rows than this fail.
            max_failure_share: stop when more than this share of the last hundred rows that were sent fails, from 0 to
                1; None never stops.
            settle_seconds: how long after a lost answer a row that is not found counts as not executed. For one that an
                earlier run was sending it counts from the last moment at which that can have left: the start of this
                run, or an earlier moment where the same machine has run ever since and can tell; never the wall clock.
            via: `background` sends each row as a job of the background queue, which `visma.jobs` keeps and follows;
                `auto` does so with actions, and with what took a minute or more as a job before. Rows whose job is
                under way when a run ends are followed by the next one, with the same job store. Up to 64 are under way
                at a time. A row of whose job nobody knows how it ended, and which `find` does not find, stays unknown
                for a day: it may wait in the queue, or be worked on.

        Returns:
            The run. Its summary counts each row under one outcome (see `Outcome`); memory does not grow with the input.

        Raises:
            RequestRefused: an argument cannot be used; nothing was sent.
            SettingsError: the company is not known (give `StaticToken` its `tenant_id`), or the extra is missing.

        Examples:
            >>> names = {"crm-1": "Vega AS", "crm-2": "Nordlys AS"}
            >>> rows = (Row(key, visma.customer.create({"name": name})) for key, name in names.items())
            >>> summary = await visma.bulk.run(rows, journal="customers.sqlite")
            >>> summary.done, summary.complete
            (2, True)
        """
        refuse_input(rows)
        if find is not None and not callable(find):
            raise RequestRefused(f"find takes a function of a row, not {text_of(find)}; nothing was sent.")
        for name, flag in (("retry_failed", retry_failed), ("retry_unknown", retry_unknown)):
            expect(name, flag, bool)
        return self._run(
            rows,
            journal=journal,
            options=BulkOptions(
                find=find,
                retry_failed=retry_failed,
                retry_unknown=retry_unknown,
                max_failures=max_failures,
                max_failure_share=max_failure_share,
                settle_seconds=settle_seconds,
            ),
            via=via,
        )

    def upsert(
        self,
        resource: str,
        rows: Iterable[Any] | AsyncIterable[Any],
        *,
        key: str,
        journal: str | os.PathLike[str],
        max_failures: int | None = None,
        max_failure_share: float | None = _FAILURE_SHARE,
        settle_seconds: float = SETTLE_SECONDS,
        via: Via = "request",
    ) -> BulkRun:
        """Build a run that creates what is missing and updates what differs, as a value, like `run`.

        What exists is read first: the list of the resource, proven complete, or one record a row where that takes
        fewer requests. Rows are compared field by field, numbers as exact decimals; what a row does not name is neither
        compared nor changed. Only fields and lines that differ are sent, for the version that was compared with where
        the API honours If-Match (docs/facts.md 6.4).

        A line with a number is compared with that line; one without is there if a line has all its values, and is
        inserted otherwise. A field that the API never shows counts as different each time.

        The first create goes alone and is looked up by its key: where the company numbers records by itself, the run
        stops there, and later runs with this journal before their first create. Keys that differ only in case or blanks
        are one key, as for the ERP: the later row is a duplicate. The same journal serves every run of these rows: what
        got lost is looked up by the key, and what an earlier run created and is gone is a conflict, not created again.

        Args:
            resource: such as `"customer"`.
            rows: mappings or write models, with the key in each; any iterable, of any length.
            key: the field that tells records apart: the number, or another that records show and that is sent.
            journal: as `run` takes it.
            max_failures: as `run` takes it.
            max_failure_share: as `run` takes it.
            settle_seconds: as `run` takes it.
            via: as `run` takes it.

        Returns:
            The run. Its outcomes are `created`, `updated`, `unchanged`, `conflict` and those of `run` for what failed.
            Of the records that exist all are in memory, where the list is read.

        Raises:
            UnknownName: no such resource or field; nothing was sent.
            RequestRefused: the resource is not written by one key, or an argument cannot be used; nothing was sent.
            SettingsError: as `run` raises it.

        Examples:
            >>> new = {"number": "90000", "override_number_series": True, "name": "Vega AS"}
            >>> rows = [{"number": "10000", "name": "Sol AS"}, new]
            >>> print(await visma.bulk.upsert("customer", rows, key="number", journal="nightly.sqlite"))
            2 rows: 1 created, 1 updated
            >>> print(await visma.bulk.upsert("customer", rows, key="number", journal="nightly.sqlite"))
            2 rows: 2 unchanged
        """
        upsert = _upserting(self._caller, resource, rows, key)
        return self._run(
            upsert,
            journal=journal,
            options=BulkOptions(
                max_failures=max_failures, max_failure_share=max_failure_share, settle_seconds=settle_seconds
            ),
            via=via,
            upsert=upsert,
        )

    def _run(
        self,
        rows: Any,
        *,
        journal: str | os.PathLike[str],
        options: BulkOptions,
        via: Via,
        upsert: Upsert | None = None,
    ) -> BulkRun:
        _check(options, via)
        company = _known(self._company)
        if via != "request":
            self._jobs()  # refuses a client without a job store
        run = BulkRun(
            rows,
            journal=_journal_at(journal, self._clock),
            transport=self._transport,
            clock=self._clock,
            company=company,
            base_url=self._base_url,
            options=options,
            background=Background(self._jobs, via=via, clock=self._clock, reference=_REFERENCE),
            upsert=upsert,
        )
        warn_if_dropped(run, _NEVER_RUN)
        return run

    async def rehearse(
        self,
        rows: Iterable[Row] | AsyncIterable[Row],
        *,
        journal: str | os.PathLike[str] | None = None,
        find: Find | None = None,
        retry_failed: bool = False,
        retry_unknown: bool = False,
    ) -> Rehearsal:
        """Read all rows as `run` would, and return their mistakes and what it takes; nothing is sent or written.

        Found are: fields that the API does not know and values of the wrong type (where rows give their operation as a
        function; otherwise making it raises), values of enumerations that the catalog does not know, and keys that come
        twice. Lengths are not in the catalog: too long a text is only refused by the API.

        Args:
            rows: as `run` takes them; 16 bytes of each are kept.
            journal: of earlier runs of the same rows, which a run would go on with; it need not exist.
            find: as `run` takes it; it is not asked. Without it a run sends no row that may have been executed.
            retry_failed: as `run` takes it.
            retry_unknown: as `run` takes it.

        Raises:
            RequestRefused: an argument cannot be used, or the journal is of another company.
            SettingsError: there is a journal, and the company is not known.

        Examples:
            >>> bodies = {"1": {"name": "Vega AS"}, "2": {"nmae": "Nordlys AS"}}
            >>> rows = [Row(key, lambda body=body: visma.customer.create(body)) for key, body in bodies.items()]
            >>> rehearsal = await visma.bulk.rehearse(rows)
            >>> rehearsal.requests, [mistake.key for mistake in rehearsal.mistakes]
            (1, ['2'])
        """
        refuse_input(rows)
        read = partial(read_row, sender=self._transport)
        decides = partial(decide, can_look=find is not None, retry_failed=retry_failed, retry_unknown=retry_unknown)
        async with _earlier(journal, self._clock, company=self._company, base_url=self._base_url) as earlier:
            return await self._rehearse(rows, read=read, journal=earlier, decides=decides)

    async def rehearse_upsert(
        self,
        resource: str,
        rows: Iterable[Any] | AsyncIterable[Any],
        *,
        key: str,
        journal: str | os.PathLike[str] | None = None,
    ) -> Rehearsal:
        """Read what exists, compare all rows with it as `upsert` would, and return what differs; nothing is written.

        Args:
            resource: as `upsert` takes it.
            rows: as `upsert` takes them.
            key: as `upsert` takes it.
            journal: of earlier runs of the same rows; it need not exist.

        Raises:
            UnknownName: no such resource or field; nothing was sent.
            RequestRefused: an argument cannot be used, or the journal is of another company; nothing was sent.
            SettingsError: there is a journal, and the company is not known.
            VismaNetError: what exists cannot be read.

        Examples:
            >>> rows = [{"number": "10000", "name": "Sol AS"}]
            >>> rehearsal = await visma.bulk.rehearse_upsert("customer", rows, key="number")
            >>> rehearsal.requests, str(rehearsal.changes[0].differences[0]).partition(" -> ")[2]
            (1, "'Sol AS'")
        """
        upsert = _upserting(self._caller, resource, rows, key)
        async with _earlier(journal, self._clock, company=self._company, base_url=self._base_url) as earlier:
            if earlier is not None:
                await upsert.earlier.read(earlier)
            settles = partial(settled, upsert=upsert)
            return await self._rehearse(
                upsert, read=upsert.read, journal=earlier, decides=_decides_anew, settles=settles
            )

    async def results(
        self, journal: str | os.PathLike[str], *, outcomes: Collection[Outcome] | None = None
    ) -> AsyncGenerator[RowResult, None]:
        """Yield what a journal says of its rows, in the order of their keys; also while a run goes on.

        Args:
            journal: the path.
            outcomes: only those with one of these: done, failed, unknown, not_sent.

        Raises:
            RequestRefused: there is no journal, or an outcome that journals do not keep.

        Examples:
            >>> rows = [Row("a", visma.customer.create({"name": "Vega AS"}))]
            >>> summary = await visma.bulk.run(rows, journal="load.sqlite")
            >>> [(result.key, result.id) async for result in visma.bulk.results("load.sqlite", outcomes={"done"})]
            [('a', '10040')]
        """
        states = None if outcomes is None else states_of(outcomes)
        if not (is_url(journal) or await anyio.Path(journal).is_file()):
            raise RequestRefused(f"there is no journal {os.fspath(journal)}; nothing was read.")
        opened = _journal_at(journal, self._clock)
        try:
            async with aclosing(opened.entries(states)) as entries:
                async for entry in entries:
                    yield result_of(entry)
        finally:
            await opened.aclose()

    def __repr__(self) -> str:
        return f"<bulk writes of {self._company or 'one company'}>"


def _decides_anew(entry: Entry, **_: object) -> Action:
    return decide_anew(entry)


@asynccontextmanager
async def _earlier(
    journal: str | os.PathLike[str] | None, clock: Clock, *, company: str | None, base_url: str
) -> AsyncGenerator[Journal | None]:
    """Open the journal of earlier runs to be read, if there is one."""
    if journal is not None:
        expect("journal", journal, str, os.PathLike, words="a path, or None")
    if journal is None or not (is_url(journal) or await anyio.Path(journal).is_file()):
        yield None
        return
    async with aclosing(_journal_at(journal, clock)) as opened:
        await opened.refuse_others(company=_known(company), base_url=base_url)
        yield opened


def _known(company: str | None) -> str:
    """Return the company; two that are not known cannot be told apart."""
    if not company:
        raise SettingsError(
            "a journal belongs to one company, and this client does not know its own: give StaticToken its tenant_id "
            "(so for AuthorizationCode), or set VISMANET_TENANT_ID. Nothing was sent."
        )
    return company


def _journal_at(journal: str | os.PathLike[str], clock: Clock) -> Journal:
    expect("journal", journal, str, os.PathLike, words="a path, or a URL of PostgreSQL")
    address = os.fspath(journal)
    if address.startswith(("postgresql://", "postgres://", "postgresql+asyncpg://")):
        return SharedJournal(address, clock=clock)
    if is_url(address) or address == ":memory:":
        raise RequestRefused(
            "journal takes the path of a file, or postgresql://user@host/database#NAME; nothing was sent."
        )
    return SqliteJournal(journal)


def _check(options: BulkOptions, via: object) -> None:
    """Refuse options that no run can have."""
    expect_count("max_failures", options.max_failures, least=0, none=True)
    if (share := options.max_failure_share) is not None:
        expect("max_failure_share", share, int, float, words="a number from 0 to 1, or None")
        if not 0 <= share <= 1:
            raise RequestRefused(f"max_failure_share is from 0 to 1, not {share}; nothing was sent.")
    expect_seconds("settle_seconds", options.settle_seconds, none=False, zero=True)
    if via not in (known := get_args(Via)):
        raise RequestRefused(f"via is one of {', '.join(known)}, not {via!r}; nothing was sent.")


def _upserting(caller: Caller, resource: str, rows: Any, key: str) -> Upsert:
    from vismanet_async._bulk.target import read_target  # noqa: PLC0415 - the registry is for upserts alone
    from vismanet_async._bulk.upserting import Upsert  # noqa: PLC0415 - as above

    refuse_input(rows)
    for name, text in (("resource", resource), ("key", key)):
        expect(name, text, str)
    return Upsert(caller, read_target(resource, key), rows)

"""`visma.bulk`: runs and rehearsals of bulk writes, and what their journals say."""

from __future__ import annotations

import os
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

import anyio

from vismanet_async._arguments import expect, expect_count, expect_seconds, text_of
from vismanet_async._bulk.intake import refuse_input
from vismanet_async._bulk.journal import SqliteJournal
from vismanet_async._bulk.rehearsal import Rehearsal, rehearse
from vismanet_async._bulk.rows import OUTCOMES, Outcome, Row, RowResult
from vismanet_async._bulk.run import BulkOptions, BulkRun, result_of
from vismanet_async._bulk.transitions import RowState
from vismanet_async._deferred import warn_if_dropped
from vismanet_async.errors import RequestRefused

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Collection, Iterable

    from vismanet_async._bulk.sending import Find
    from vismanet_async._clock import Clock
    from vismanet_async._http.pipeline import Transport

__all__ = ["SETTLE_SECONDS", "Bulk"]

SETTLE_SECONDS: Final = 240.0
"""A request that takes longer than four minutes belongs into the background queue (docs/facts.md 1.8)."""
_FAILURE_SHARE: Final = 0.5
_STATES: Final[dict[Outcome, frozenset[RowState]]] = {
    "done": frozenset({RowState.DONE}),
    "failed": frozenset({RowState.FAILED}),
    "unknown": frozenset({RowState.SENDING, RowState.UNKNOWN}),
    "not_sent": frozenset({RowState.PLANNED}),
}
_NEVER_RUN: Final = "The bulk run was never awaited, so nothing was sent. Write `await visma.bulk.run(...)`."


class Bulk:
    """Bulk writes of one company: thousands of documents, none of them twice.

    `visma.bulk` is one. Any number of runs may go on at the same time, each with a journal of its own; they share the
    client's quota and its limit of requests in flight.
    """

    def __init__(self, transport: Transport, *, clock: Clock, company: str | None, base_url: str) -> None:
        self._transport = transport
        self._clock = clock
        self._company = company
        self._base_url = base_url

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
    ) -> BulkRun:
        """Build a bulk run, as a value: `await` runs it, `async for` runs it and yields the result of each row.

        Each row is in the journal, on the disk, before its request leaves, and again after its answer. So the same call
        goes on where an earlier one stood, however that ended: what is done is not sent again, what certainly was not
        executed is sent, and what may have been executed is looked up with `find`, or else reported as unknown.

        Args:
            rows: any iterable, synchronous or not, of any length; it is read as fast as rows are sent.
            journal: the path of a SQLite file (extra `sqlite`); one for each load.
            find: is asked before a row is sent that may have been executed. It takes the `Row`, and returns a call or a
                list that searches by the row's own reference, or any awaitable. One record: the row is done. None, an
                empty list or `NotFound`: it was not executed, and is sent. More than one, or another error: it stays
                unknown.
            retry_failed: send rows again that failed in an earlier run and have not changed since.
            retry_unknown: send unknown rows of earlier runs again without looking. Only a person can decide that: each
                of them may be executed twice. Has no effect with `find`.
            max_failures: stop when more rows than this fail.
            max_failure_share: stop when more than this share of the last hundred rows that were sent fails, from 0 to
                1; None never stops.
            settle_seconds: how long after a lost answer a row that is not found counts as not executed.

        Returns:
            The run. Its summary counts each row under one outcome (see `Outcome`); memory does not grow with the input.

        Raises:
            RequestRefused: an argument cannot be used; nothing was sent.
            SettingsError: the extra `sqlite` is missing.

        Examples:
            >>> names = {"crm-1": "Vega AS", "crm-2": "Nordlys AS"}
            >>> rows = (Row(key, visma.customer.create({"name": name})) for key, name in names.items())
            >>> summary = await visma.bulk.run(rows, journal="customers.sqlite")
            >>> summary.done, summary.complete
            (2, True)
        """
        refuse_input(rows)
        expect("journal", journal, str, os.PathLike, words="a path")
        if "://" in os.fspath(journal) or os.fspath(journal) == ":memory:":
            raise RequestRefused("journal takes the path of a file, not a URL; nothing was sent.")
        if find is not None and not callable(find):
            raise RequestRefused(f"find takes a function of a row, not {text_of(find)}; nothing was sent.")
        for name, flag in (("retry_failed", retry_failed), ("retry_unknown", retry_unknown)):
            expect(name, flag, bool)
        expect_count("max_failures", max_failures, least=0, none=True)
        if max_failure_share is not None:
            expect("max_failure_share", max_failure_share, int, float, words="a number from 0 to 1, or None")
            if not 0 <= max_failure_share <= 1:
                raise RequestRefused(f"max_failure_share is from 0 to 1, not {max_failure_share}; nothing was sent.")
        expect_seconds("settle_seconds", settle_seconds, none=False, zero=True)
        run = BulkRun(
            rows,
            journal=SqliteJournal(journal),
            transport=self._transport,
            clock=self._clock,
            company=self._company,
            base_url=self._base_url,
            options=BulkOptions(
                find=find,
                retry_failed=retry_failed,
                retry_unknown=retry_unknown,
                max_failures=max_failures,
                max_failure_share=max_failure_share,
                settle_seconds=settle_seconds,
            ),
        )
        warn_if_dropped(run, _NEVER_RUN)
        return run

    async def rehearse(
        self,
        rows: Iterable[Row] | AsyncIterable[Row],
        *,
        journal: str | os.PathLike[str] | None = None,
        retry_failed: bool = False,
    ) -> Rehearsal:
        """Read all rows as `run` would, and return their mistakes and what it takes; nothing is sent or written.

        Found are: fields that the API does not know and values of the wrong type (where rows give their operation as a
        function; otherwise making it raises), values of enumerations that the catalog does not know, and keys that come
        twice. Lengths are not in the catalog: too long a text is only refused by the API.

        Args:
            rows: as `run` takes them; 16 bytes of each are kept.
            journal: of earlier runs of the same rows, which a run would go on with; it need not exist.
            retry_failed: as `run` takes it.

        Raises:
            RequestRefused: an argument cannot be used.

        Examples:
            >>> bodies = {"1": {"name": "Vega AS"}, "2": {"nmae": "Nordlys AS"}}
            >>> rows = [Row(key, lambda body=body: visma.customer.create(body)) for key, body in bodies.items()]
            >>> rehearsal = await visma.bulk.rehearse(rows)
            >>> rehearsal.requests, [mistake.key for mistake in rehearsal.mistakes]
            (1, ['2'])
        """
        refuse_input(rows)
        opened = None
        if journal is not None:
            expect("journal", journal, str, os.PathLike, words="a path, or None")
            opened = SqliteJournal(journal) if await anyio.Path(journal).is_file() else None
        try:
            return await rehearse(
                rows,
                sender=self._transport,
                journal=opened,
                retry_failed=retry_failed,
                quota=self._transport.quota,
                now=self._clock.monotonic(),
            )
        finally:
            if opened is not None:
                await opened.aclose()

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
        wrong = sorted(set(outcomes or ()) - _STATES.keys())
        if wrong:
            known = set(wrong) <= set(OUTCOMES)
            why = "is not kept in journals" if known else f"is none of {', '.join(_STATES)}"
            raise RequestRefused(f"the outcome {wrong[0]!r} {why}; nothing was read.")
        if not await anyio.Path(journal).is_file():
            raise RequestRefused(f"there is no journal {os.fspath(journal)}; nothing was read.")
        states = None if outcomes is None else frozenset().union(*(_STATES[each] for each in outcomes))
        opened = SqliteJournal(journal)
        try:
            async with aclosing(opened.entries(states)) as entries:
                async for entry in entries:
                    yield result_of(entry)
        finally:
            await opened.aclose()

    def __repr__(self) -> str:
        return f"<bulk writes of {self._company or 'one company'}>"

"""`BulkRun`: reads rows, finds out what the journal knows of them, and sends what has to be sent, several at a time."""

from __future__ import annotations

from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio
import attrs

from vismanet_async._bulk.deciding import BY_STATE, BulkOptions, action_of, outcome_of, sends_again, settled
from vismanet_async._bulk.first_create import FirstCreate
from vismanet_async._bulk.group_commit import GroupCommit
from vismanet_async._bulk.groups import Groups, Place
from vismanet_async._bulk.intake import Input, Read, read_row
from vismanet_async._bulk.other_processes import keep_leases, stay_with_others
from vismanet_async._bulk.reconcile import reconcile
from vismanet_async._bulk.rows import GOOD, BulkProgress, BulkSummary, Outcome, Row, RowResult
from vismanet_async._bulk.sending import Pauses, Sending
from vismanet_async._bulk.tally import StopRule, Tally
from vismanet_async._bulk.transitions import Action, Entry, Refused, RowState, Trouble, advance
from vismanet_async._deferred import DeferredCall, mark_used
from vismanet_async._jobs.store import LeaseLost
from vismanet_async._tasks import iterate_events, unwrap_group
from vismanet_async.errors import RequestRefused, VismaNetError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterable

    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

    from vismanet_async._bulk.background import Background
    from vismanet_async._bulk.journal_rows import Journal, Registered
    from vismanet_async._bulk.upserting import Upsert
    from vismanet_async._clock import Clock
    from vismanet_async._http.pipeline import Transport

__all__ = ["BulkRun", "result_of"]

_DUPLICATE: Final = "row {} of the input has the same key; only that one is sent. Give each row a key of its own."
_CHANGED: Final = (
    "an earlier run sent this key with another content and it is {}; nothing was sent. Give new content a new key."
)
_CUT_OFF: Final = (
    "the run ended while this was being sent, so it may have been executed. Look it up, or give the run a `find`."
)
_UNDER_WAY: Final = "background job {} is under way; the next run goes on with it."
_NO_GROUPS: Final = (
    "rows of a group are sent in order by one process, and the journal is shared by several: it was not sent. Give "
    "rows with groups a journal in a file."
)
_HELD: Final = "row {!r} of the same group is not done, so this one was not sent. The next run sends it when that is."


@attrs.define(eq=False, kw_only=True)
class _Job:
    """One row on its way to a worker."""

    read: Read
    entry: Entry
    action: Action
    place: Place | None = None
    behind: str | None = None
    """The key of a row before it in its group that an earlier run left undone, and that has not come in this one."""


class BulkRun(DeferredCall[BulkSummary]):
    """One bulk run as a value: building it opens and sends nothing, awaiting it runs it.

    `await run` returns the summary. `async for result in run` runs it and yields each row's result as it ends; a slow
    reader of results slows the run down. `run.stop()` ends it in order: what is under way is finished and written down.

    When it fails, is cancelled or killed, the same call goes on where it stood: the journal says of each row whether it
    was executed, was not, or may have been. Run one value once.

    Memory: a few hundred rows, whatever the length of the input, the groups in which a row is not done, and rows that
    wait in theirs for one of an earlier run.

    Errors: `JournalBusy`, `StoreNotUsable` and `RequestRefused` before anything is sent; `StoreNotUsable` later if the
    journal fails, and rows under way then count as unknown in the next run; whatever the input raises, when the rows
    before it have ended. A row's own failure is a result, not an error.

    Examples:
        >>> run = visma.bulk.run([Row("a", visma.customer.create({"name": "Vega AS"}))], journal="load.sqlite")
        >>> async for result in run:
        ...     print(result.key, result.outcome, result.id)
        a done 10040
        >>> run.summary.done
        1
    """

    def __init__(
        self,
        rows: Iterable[Row] | AsyncIterable[Row] | Upsert,
        *,
        journal: Journal,
        transport: Transport,
        clock: Clock,
        company: str,
        base_url: str,
        options: BulkOptions,
        background: Background,
        upsert: Upsert | None = None,
    ) -> None:
        self.summary: BulkSummary | None = None
        """How it ended; None before that."""
        self._input = Input(rows, partial(read_row, sender=transport) if upsert is None else upsert.read)
        self._background = background
        self._upsert = upsert
        self._first_create = (
            None if upsert is None else FirstCreate(upsert, stop=self.stop, stopped=lambda: self._stopped is not None)
        )
        self._journal = journal
        self._transport = transport
        self._clock = clock
        self._company = company
        self._base_url = base_url
        self._options = options
        self._rule = StopRule(max_failures=options.max_failures, max_failure_share=options.max_failure_share)
        self._tally = Tally()
        self._at_work = 0
        """Rows that were given to the tasks that send."""
        self._stopped: str | None = None
        self._stop_error: VismaNetError | None = None
        self._started_at: float | None = None
        self._began: float | None = None
        self._groups: Groups[_Job] = Groups()
        self._pauses = Pauses()
        self._results: MemoryObjectSendStream[RowResult] | None = None

    @property
    def progress(self) -> BulkProgress:
        """How far it has come, as of now."""
        outcomes = self._tally.outcomes
        seconds = 0.0 if self._started_at is None else self._clock.monotonic() - self._started_at
        return BulkProgress(rows=outcomes.total(), total=self._input.total, outcomes=dict(outcomes), seconds=seconds)

    def stop(self, reason: str = "it was asked to stop", *, error: VismaNetError | None = None) -> None:
        """End the run in order: read no more rows, send no more, finish what is under way.

        Background jobs go on by themselves, and the next run follows them. The first call counts.

        Args:
            reason: told in the summary and for each row that is not reached.
            error: what all other rows would have ended in; the summary's `stop_error`.
        """
        if self._stopped is None:
            self._stopped, self._stop_error = reason, error
            self._input.stop()
            self._pauses.end()
            self._background.end()

    def __await__(self) -> Generator[Any, Any, BulkSummary]:
        return self.run().__await__()

    async def run(self) -> BulkSummary:
        """Run it and return its summary; the same as awaiting it."""
        return await self._run(None)

    async def __aiter__(self) -> AsyncGenerator[RowResult, None]:
        """Run it and yield the result of each row, as they end."""
        async with aclosing(iterate_events(self._run)) as results:
            async for result in results:
                yield result

    async def _run(self, results: MemoryObjectSendStream[RowResult] | None) -> BulkSummary:
        mark_used(self)
        if self._started_at is not None:
            raise RequestRefused("this run was started before; nothing was sent. Build another: it goes on.")
        self._started_at = self._clock.monotonic()
        self._results = results
        await self._background.begin()
        try:
            # within, because a cancellation is raised when it is open
            await self._journal.open(company=self._company, base_url=self._base_url)
            self._began = None if self._journal.shared else self._clock.monotonic()
            with unwrap_group():
                await self._work()
            self._tally.add_others((await self._journal.standing()).counts, self._upsert)
        finally:
            with anyio.CancelScope(shield=True):
                await self._journal.aclose()
        if self._input.error is not None:
            raise self._input.error
        seconds = self._clock.monotonic() - self._started_at
        self.summary = self._tally.summary(seconds=seconds, stopped=self._stopped, stop_error=self._stop_error)
        return self.summary

    async def _work(self) -> None:
        """Run the tasks: one reads, one registers, some send, one writes the journal for all of them."""
        commits = GroupCommit(self._journal)
        options = self._options
        if self._upsert is not None:
            await self._upsert.earlier.read(self._journal)
        sending = Sending(
            writer=commits,
            quota_of=self._transport.quota_of,
            clock=self._clock,
            pauses=self._pauses,
            find=options.find if self._first_create is None else self._first_create.find,
            sender=self._transport,
            settle_seconds=options.settle_seconds,
            deadline_seconds=self._transport.deadline_seconds,
            began=self._began,
            stop=self.stop,
            background=self._background,
        )
        give, take = anyio.create_memory_object_stream[_Job](0)
        with self._input, give, take:
            async with anyio.create_task_group() as writing:
                writing.start_soon(commits.run, name="bulk journal")
                async with anyio.create_task_group() as tasks:
                    if self._journal.shared:
                        writing.start_soon(keep_leases, self._journal, self._clock, name="bulk leases")
                    tasks.start_soon(self._input.feed, name="bulk input")
                    for _ in range(max(_senders(self._transport.limiter.maximum), self._background.at_once)):
                        tasks.start_soon(self._send_all, take, sending, name="bulk sender")
                    await self._register(give, sending)
                    give.close()
                writing.cancel_scope.cancel()

    async def _register(self, give: MemoryObjectSendStream[_Job], sending: Sending) -> None:
        async for chunk in self._input.chunks():
            await self._take(chunk, give, sending)
        for job, key in self._groups.left():
            await self._give(attrs.evolve(job, behind=key), give)
        if self._journal.shared:
            await stay_with_others(
                self._journal,
                clock=self._clock,
                pauses=self._pauses,
                take_again=partial(self._take_again, give, sending) if self._input.repeatable else None,
                busy=lambda: self._at_work > 0,
                ended=lambda: self._stopped is not None or self._input.error is not None,
            )

    async def _take_again(self, give: MemoryObjectSendStream[_Job], sending: Sending) -> int:
        """Read the input once more; return how many of its rows nobody had."""
        taken = 0
        await self._journal.read_again()
        async for chunk in self._input.again():
            taken += await self._take(chunk, give, sending, counts_duplicates=False)
        return taken

    async def _take(
        self, chunk: list[Read], give: MemoryObjectSendStream[_Job], sending: Sending, *, counts_duplicates: bool = True
    ) -> int:
        """Register rows and pass on those that are this run's; return how many."""
        taken = 0
        if self._journal.shared:
            chunk = [_without_group(each) for each in chunk]
        known = await self._journal.register([each.entry for each in chunk])
        for read, registered in zip(chunk, known, strict=True):
            duplicate = registered.duplicate_of is not None
            if registered.elsewhere or (duplicate and not counts_duplicates):
                continue
            taken += not duplicate
            for waiting in self._groups.came(read.row.group, read.row.key):
                await self._give(waiting, give)
            try:
                job = await self._decide(read, registered, sending)
            except LeaseLost:
                continue
            if job is not None and not self._groups.waits(read.row.group, job, registered.behind):
                await self._give(job, give)
        return taken

    async def _give(self, job: _Job, give: MemoryObjectSendStream[_Job]) -> None:
        job.place = self._groups.join(job.read.row.group)
        self._at_work += 1
        await give.send(job)

    async def _decide(self, read: Read, registered: Registered, sending: Sending) -> _Job | None:
        """Return the job for a row; None for one that has ended here, because nothing is to be sent for it."""
        entry = registered.entry
        if registered.duplicate_of is not None:
            text = _DUPLICATE.format(f"{registered.duplicate_of:,}")
            await self._ended(read.row, _refused(read.entry, text), "duplicate")
            return None
        if self._upsert is not None and not entry.may_land and (ended := settled(read, entry, self._upsert)):
            outcome, after = ended
            if after.state is not entry.state:
                await sending.writer.write(after)
            await self._ended(read.row, after, outcome)
            return None
        action = action_of(read, entry, self._options, upserts=self._upsert is not None)
        if action is Action.SEND and entry.state is RowState.DONE:  # of an earlier upsert
            entry = attrs.evolve(entry, state=RowState.PLANNED, id=None, etag=None)
        if action is Action.SEND and read.trouble is not None:
            entry = advance(attrs.evolve(entry, fingerprint=b""), Refused(attempts=0, trouble=read.trouble))
            await sending.writer.write(entry)
            await self._ended(read.row, entry, outcome_of(entry, self._upsert), sent=True)
            return None
        if action in {Action.KEEP_DONE, Action.KEEP_FAILED, Action.KEEP_UNKNOWN}:
            await self._ended(read.row, entry, BY_STATE[entry.state], earlier=True)
            return None
        if action is Action.REPORT_CHANGED:
            text = _CHANGED.format(BY_STATE[entry.state])
            await self._ended(read.row, _refused(entry, text), "changed")
            return None
        return _Job(read=read, entry=entry, action=action)

    async def _send_all(self, take: MemoryObjectReceiveStream[_Job], sending: Sending) -> None:
        async for job in take:
            try:
                if job.place is not None and job.place.after is not None:
                    await job.place.after.wait()
                await self._send(job, sending)
            except LeaseLost:
                pass  # it is the other process's row now, and counted as what that one makes of it
            finally:
                self._at_work -= 1
                self._groups.leave(job.read.row.group, job.place)

    async def _send(self, job: _Job, sending: Sending) -> None:
        read, entry = job.read, job.entry
        if self._stopped is not None:
            return await self._unreached(read.row, entry)
        if job.action is Action.LOOK and self._upsert is not None:
            read, entry, outcome = await reconcile(read, entry, upsert=self._upsert, sending=sending)
            if outcome is not None:
                return await self._ended(read.row, entry, outcome, sent=True)
        elif job.action is Action.LOOK:
            entry = await sending.clear_up(read.row, read.operation, entry)
        elif entry.state is RowState.SENDING:
            entry = attrs.evolve(entry, state=RowState.UNKNOWN)
        row, operation = read.row, read.operation
        if job.action is not Action.LOOK or entry.state is RowState.PLANNED or sends_again(entry, self._options):
            if (blocking := job.behind or self._groups.blocking(row.group, entry.position)) is not None:
                return await self._ended(row, _refused(entry, _HELD.format(blocking)), "held")
            assert operation is not None
            fresh = attrs.evolve(entry, fingerprint=read.entry.fingerprint, operation=operation.spec.id)
            send = partial(sending.send, row, operation, fresh)
            first = self._first_create
            entry = await (send() if first is None else first.send(row, fresh, send, writer=sending.writer))
            if entry is fresh:  # it waited for the quota, or for the first create, and the run was stopped
                return await self._unreached(row, entry)
        return await self._ended(row, entry, outcome_of(entry, self._upsert), sent=True)

    async def _unreached(self, row: Row, entry: Entry) -> None:
        """End a row that a stopped run did not reach: what an earlier run told of it stands, and says more."""
        earlier = entry.state is not RowState.PLANNED
        told = entry if earlier else _refused(entry, f"the run was stopped: {self._stopped}.")
        await self._ended(row, told, BY_STATE[entry.state], earlier=earlier)

    async def _ended(
        self, row: Row, entry: Entry, outcome: Outcome, *, earlier: bool = False, sent: bool = False
    ) -> None:
        told = result_of(entry, outcome, earlier=earlier)
        # a journal writes a key of an upsert in one way, and processes that share it in that of the ERP
        as_given = self._journal.shared or outcome == "duplicate"
        result = attrs.evolve(told, row=row, key=row.key if as_given else told.key)
        self._tally.add(result, entry)
        if outcome != "duplicate":
            self._journal.ended(entry.key)
            if row.group is not None and outcome not in GOOD:
                self._groups.block(row.group, entry.position, entry.key)
        if sent and (reason := self._rule.ended(ok=outcome in GOOD)) is not None:
            self.stop(reason)
        if self._results is not None:
            await self._results.send(result)


def _without_group(read: Read) -> Read:
    """Return a row of a shared journal, refused if it is of a group: other rows of that may be at other processes."""
    if read.row.group is None:
        return read
    return attrs.evolve(read, operation=None, trouble=Trouble(kind="RequestRefused", text=_NO_GROUPS))


def _refused(entry: Entry, text: str) -> Entry:
    """Return what is told of a row that is not sent; the journal keeps what it has."""
    return attrs.evolve(entry, trouble=Trouble(kind="RequestRefused", text=text))


def _senders(in_flight: int) -> int:
    """Return how many rows may be under way: while some are written down, others keep the requests at their number."""
    return in_flight + max(1, in_flight // 2)


def result_of(entry: Entry, outcome: Outcome | None = None, *, earlier: bool = False) -> RowResult:
    """Return the result that an entry stands for."""
    trouble = entry.trouble
    if trouble is None and entry.state is RowState.SENDING:
        text = _CUT_OFF if entry.job is None else _UNDER_WAY.format(entry.job)
        trouble = Trouble(kind="OutcomeUnknown", text=text)
    return RowResult(
        key=entry.key,
        position=entry.position,
        outcome=outcome or BY_STATE[entry.state],
        earlier=earlier,
        id=entry.id,
        etag=entry.etag,
        error_type=trouble.kind if trouble else None,
        error=trouble.text if trouble else None,
        status=trouble.status if trouble else None,
        reference=trouble.reference if trouble else None,
        attempts=entry.attempts,
    )

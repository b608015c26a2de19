"""One row on its way: written down, sent, written down again; looked up where its answer got lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

import anyio
import attrs

from vismanet_async._bulk.background import QUEUED_SECONDS
from vismanet_async._bulk.elapsed import mark_of, seconds_since
from vismanet_async._bulk.judging import GOES_ON, answered, ended_in, records_of, shown, stops_the_run, trouble_of
from vismanet_async._bulk.transitions import (
    Entry,
    Event,
    Found,
    Lost,
    Missing,
    NotSent,
    RowState,
    Sent,
    Trouble,
    advance,
)
from vismanet_async._jobs.results import plain_json
from vismanet_async._jobs.store import StoreNotUsable
from vismanet_async._operation import Operation, refuse_other_client
from vismanet_async._paging.listing import Listing
from vismanet_async.errors import NotFound, VismaNetError

if TYPE_CHECKING:
    from vismanet_async._bulk.background import Background, End
    from vismanet_async._bulk.rows import Row
    from vismanet_async._clock import Clock
    from vismanet_async._http.message import Response, Sender, Service
    from vismanet_async._http.rate_limit import Quota

__all__ = ["Find", "Pauses", "Sending", "Stop", "Writer"]

_MOST_SENDS: Final = 3
"""How often one run sends a row that was looked up each time and was not there."""
_MOST_PAUSES: Final = 20
"""How many pauses of the quota one row waits out; a window is an hour at most (docs/facts.md 3.3)."""

_NOT_THERE: Final = " It was looked up since, and is not there."
_MAY_BE_QUEUED: Final = (
    "It may still be executed: what became of background job {} is not known, and it may wait in the queue for a day. "
    "It was not sent again: look it up later, and then settle the job."
)

Find = Callable[["Row"], Awaitable[Any]]
"""Returns what shows that the row was executed: a record, a list of them, or its id as text; None or an empty list if
there is none. Whatever else it returns shows nothing."""


class Writer(Protocol):
    async def write(self, entry: Entry, /) -> None: ...


class Stop(Protocol):
    """Ends the run in order; see `BulkRun.stop`."""

    def __call__(self, reason: str, /, *, error: VismaNetError | None = None) -> None: ...


class Pauses:
    """Waits that end early when the run is stopped."""

    def __init__(self) -> None:
        self._ended = False
        self._scopes: set[anyio.CancelScope] = set()

    def end(self) -> None:
        """End all waits, those to come included."""
        self._ended = True
        for scope in self._scopes:
            scope.cancel()

    async def wait(self, clock: Clock, seconds: float) -> bool:
        """Wait; return False if the run was stopped before the end."""
        with anyio.CancelScope() as scope:
            self._scopes.add(scope)
            try:
                if not self._ended:
                    await clock.sleep(seconds)
            finally:
                self._scopes.discard(scope)
        return not self._ended


@attrs.frozen(kw_only=True)
class Sending:
    """What all rows of a run are sent with."""

    writer: Writer
    quota_of: Callable[[Service], Quota]
    clock: Clock
    pauses: Pauses
    find: Find | None
    sender: Sender
    """Of the client whose run it is: what `find` asks another one says nothing of this company."""
    settle_seconds: float
    deadline_seconds: float
    """For one call in all, where the operation has none of its own."""
    began: float | None
    """When the journal came to be this run's alone, by `clock.monotonic`: what earlier runs sent had left by then;
    None: it is shared."""
    stop: Stop
    background: Background
    mark_of: Callable[[Clock], str | None] = mark_of
    """See `elapsed`."""

    async def send(self, row: Row, operation: Operation[Any], entry: Entry) -> Entry:
        """Send a row that is certainly not executed, or that a person wants to be sent; return its entry."""
        for _ in range(_MOST_SENDS):
            entry = await self._send_once(operation, entry)
            if entry.state is not RowState.UNKNOWN or self.find is None:
                break
            entry = await self.look(row, entry, settles_in_seconds=self.settle_seconds)
            if entry.state is not RowState.PLANNED:
                break
        return entry

    async def _send_once(self, operation: Operation[Any], entry: Entry) -> Entry:
        quota = self.quota_of(operation.spec.service)
        for pause in range(_MOST_PAUSES):
            # waited for here, so that a row that waits for an hour is not on the disk as one that may have been sent
            while (wait := quota.wait_seconds(self.clock.monotonic())) > 0:
                if not await self.pauses.wait(self.clock, wait):
                    return entry
            way = self._submit if self.background.takes(operation) else self._request
            entry, event = await way(operation, entry)
            if event is None:
                return entry
            entry = self._after(entry, event)
            await self.writer.write(entry)
            throttled = isinstance(event, NotSent) and event.trouble.kind == "RateLimited"
            if not throttled or pause == _MOST_PAUSES - 1:
                break
        return entry

    async def _request(self, operation: Operation[Any], entry: Entry) -> tuple[Entry, Event | None]:
        """Write the intent down, and send a plain request."""
        limit, began = self._limit(operation), self.clock.monotonic()
        entry = self._intent(entry, within=limit)
        await self.writer.write(entry)
        # the write took its time, and what is on the disk binds the request; a machine that slept knows by its mark
        slept = seconds_since(entry.boot, self.mark_of(self.clock)) or 0.0
        left = limit - max(self.clock.monotonic() - began, slept)
        return entry, await self._event(attrs.evolve(operation, deadline_seconds=max(0.0, left)))

    async def _submit(self, operation: Operation[Any], entry: Entry) -> tuple[Entry, Event | None]:
        """Submit a job and follow it. The intent is written down when the job store has the job, and it may go.

        A process that ends before that leaves the row as it was. One that was taken for dead is refused the intent, and
        sends nothing.
        """
        before, limit, job = entry, self._limit(operation), self.background.new_id()
        entry = self._intent(before, within=limit, job=job)
        written = False

        async def ready() -> None:
            nonlocal entry, written
            entry, written = self._intent(before, within=limit, job=job), True
            await self.writer.write(entry)

        timed = attrs.evolve(operation, deadline_seconds=limit)
        event = await self._by_job(self.background.send(timed, job, ready=ready))
        return (before if event is None and not written else entry), event

    def _intent(self, entry: Entry, *, within: float, job: str | None = None) -> Entry:
        return self._after(entry, Sent(at=self.clock.utc_now(), job=job, leaves_within_seconds=within))

    def _after(self, entry: Entry, event: Event) -> Entry:
        """Return the entry after an event, with the mark of a moment that it tells."""
        after = advance(entry, event)
        return after if after.unsure_since is None else attrs.evolve(after, boot=self.mark_of(self.clock))

    def _limit(self, operation: Operation[Any]) -> float:
        return self.deadline_seconds if operation.deadline_seconds is None else operation.deadline_seconds

    async def _event(self, operation: Operation[Any]) -> Event:
        try:
            result = await operation.send()
        except VismaNetError as error:
            if stops_the_run(error):
                self.stop(f"{error}", error=error)
            return ended_in(error, at=self.clock.utc_now(), conditional="If-Match" in operation.headers)
        return answered(result, at=self.clock.utc_now())

    async def _by_job(self, ending: Awaitable[End | None]) -> End | None:
        """Return how a job ended; None: the next run will know."""
        try:
            return await ending
        except StoreNotUsable as error:
            self.stop(f"{error}", error=error)
            return None

    async def clear_up(self, row: Row, operation: Operation[Any] | None, entry: Entry) -> Entry:
        """Find out what became of a row that may have been executed: by its job, or else by a look, where there is one.

        Returns:
            Its entry: unknown if neither could tell.
        """
        settles_in = None
        if entry.job is not None and operation is not None:
            before = entry.state
            entry = await self.follow(entry, decode=operation.decode)
            if entry.state is not RowState.UNKNOWN:
                return entry
            settles_in = self.settle_seconds if before is RowState.SENDING else None  # it is news
        if self.find is None:
            return attrs.evolve(entry, state=RowState.UNKNOWN)
        return await self.look(row, entry, settles_in_seconds=settles_in)

    async def end_earlier(self, entry: Entry) -> Entry:
        """Wait until what an earlier run sent for a row of an upsert is over; return its entry.

        Returns:
            Its `unsure_since` is None then, and it is unknown where nobody can tell what came of it. Otherwise it may
            still be executed, or the run was stopped.
        """
        if entry.job is not None:
            entry = await self.follow(entry, decode=plain_json)
            if entry.state is not RowState.UNKNOWN:
                return entry
            if self.may_go_on(entry):
                trouble = Trouble(kind="OutcomeUnknown", text=_MAY_BE_QUEUED.format(entry.job))
                entry = attrs.evolve(self._dated(entry), trouble=trouble)
                await self.writer.write(entry)
                return entry
        elif entry.may_land and not await self.pauses.wait(self.clock, max(0.0, self._settles_in(entry))):
            return entry
        return attrs.evolve(entry, state=RowState.UNKNOWN, unsure_since=None, leaves_within_seconds=None, boot=None)

    async def follow(self, entry: Entry, *, decode: Callable[[Response], Any]) -> Entry:
        """Return the entry of a row that was sent as a job, after the job's end: as before if that is not known yet."""
        assert entry.job is not None
        event = await self._by_job(self.background.follow(entry.job, decode=decode))
        if event is None:
            return entry
        after = self._after(attrs.evolve(entry, state=RowState.SENDING), event)
        if isinstance(event, Lost) and entry.state is RowState.UNKNOWN and entry.unsure_since and event.at:
            # no news: it counts from when it became so
            names = ("unsure_since", "leaves_within_seconds", "boot")
            after = attrs.evolve(after, **{name: getattr(entry, name) for name in names})
        await self.writer.write(after)
        return after

    async def look(self, row: Row, entry: Entry, *, settles_in_seconds: float | None = None) -> Entry:
        """Look up a row that may have been executed; return its entry: done, planned, or unknown as before.

        What is not there yet may still come: a request whose answer got lost may still be worked on. So nothing counts
        as missing before `settle_seconds` have passed, and no job before the server has forgotten it; so for an action
        that the ERP goes on with.

        Args:
            row: the row.
            entry: sending or unknown.
            settles_in_seconds: how long it may still come; None: as long as the journal tells.
        """
        found = await self._found(row)
        if found is None and entry.unsure_since is not None:
            wait = settles_in_seconds
            if wait is None:
                wait = self._settles_in(entry) if entry.job is None else 0.0  # a job is looked up again tomorrow
            if wait > 0:
                if not await self.pauses.wait(self.clock, wait):
                    return entry
                found = await self._found(row)
            if found is None and self.may_go_on(entry):
                queued = Trouble(kind="OutcomeUnknown", text=_MAY_BE_QUEUED.format(entry.job))
                found, entry = (entry.trouble if _accepted(entry) else queued), self._dated(entry)
        if isinstance(found, Trouble):
            found = attrs.evolve(found, kind=GOES_ON) if _accepted(entry) else found
            entry = attrs.evolve(entry, state=RowState.UNKNOWN, trouble=found)
        else:
            if entry.job is not None:
                await self.background.settle(entry.job, executed=found is not None)
            refused = entry.unsure_since is None
            trouble = None if found else _not_there(entry.trouble)
            entry = attrs.evolve(advance(entry, found or Missing()), trouble=trouble)
            if found is None and refused:
                # the ERP answered it with an error, and it is not there: it would be answered in the same way again
                entry = attrs.evolve(entry, state=RowState.FAILED)
        await self.writer.write(entry)
        return entry

    def may_go_on(self, entry: Entry) -> bool:
        """Return whether the ERP may still execute a job whose end is not known, or an action that it accepted."""
        taken = entry.job is not None or _accepted(entry)
        return taken and entry.unsure_since is not None and self._left_ago(entry) < QUEUED_SECONDS

    def _settles_in(self, entry: Entry) -> float:
        """Return how long a row that an earlier run, or another process, was sending may still come."""
        return self.settle_seconds - self._left_ago(entry)

    def _left_ago(self, entry: Entry) -> float:
        """Return how many seconds ago the request had left, at least; below zero: it may still leave.

        An intent is written before the request waits for its slot and token. What passed since then this run knows by
        the clock of one machine alone; nothing rests on a wall clock, which may have been corrected meanwhile.
        """
        within = entry.leaves_within_seconds or 0.0
        if entry.leaves_within_seconds is None and entry.state is RowState.SENDING:
            within = self.deadline_seconds  # written by an earlier version
        passed = (seconds_since(entry.boot, self.mark_of(self.clock)) or 0.0) - within
        return passed if self.began is None else max(passed, self.clock.monotonic() - self.began)

    def _dated(self, entry: Entry) -> Entry:
        """Return an entry that tells later runs on this machine how long ago it had left, where it told no run that."""
        mark = self.mark_of(self.clock)
        if seconds_since(entry.boot, mark) is not None:
            return entry
        within = entry.leaves_within_seconds if self.began is None else None
        return attrs.evolve(entry, state=RowState.UNKNOWN, boot=mark, leaves_within_seconds=within)

    async def _found(self, row: Row) -> Found | Trouble | None:
        if self.find is None:
            raise RuntimeError("a row is looked up only where there is something to look it up with")
        try:
            asked = self.find(row)
            if isinstance(asked, Operation | Listing):
                refuse_other_client(asked, self.sender, what="find returned a call")
            records = records_of(await asked)
        except NotFound:
            return None
        except Exception as error:  # noqa: BLE001 - the caller's own code: other rows are under way, and are not cut off
            about = trouble_of(error)
            return attrs.evolve(about, text=f"It may have been executed, and looking it up failed: {about.text}")
        if len(records) > 1:
            text = f"It may have been executed, and find returned {len(records)} records."
            return Trouble(kind="OutcomeUnknown", text=text)
        if not records:
            return None
        [record] = records
        if isinstance(record, str):
            return Found(id=record)
        told = shown(record)
        return Found(id=told.id, etag=told.etag)


def _accepted(entry: Entry) -> bool:
    return entry.trouble is not None and entry.trouble.kind == GOES_ON


def _not_there(trouble: Trouble | None) -> Trouble | None:
    """Return a row's trouble, with what the look-up has shown."""
    if trouble is None or trouble.text.endswith(_NOT_THERE):
        return trouble
    return attrs.evolve(trouble, text=trouble.text + _NOT_THERE)

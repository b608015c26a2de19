"""One row on its way: written down, sent, written down again; looked up where its answer got lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol

import anyio
import attrs

from vismanet_async._bulk.background import QUEUED_SECONDS
from vismanet_async._bulk.judging import answered, ended_in, records_of, stops_the_run, trouble_of
from vismanet_async._bulk.transitions import (
    Entry,
    Event,
    Found,
    Missing,
    NotSent,
    RowState,
    Sent,
    Trouble,
    advance,
)
from vismanet_async._jobs.store import StoreNotUsable
from vismanet_async.errors import NotFound, VismaNetError

if TYPE_CHECKING:
    from datetime import datetime

    from vismanet_async._bulk.background import Background, End
    from vismanet_async._bulk.rows import Row
    from vismanet_async._clock import Clock
    from vismanet_async._http.message import Service
    from vismanet_async._http.rate_limit import Quota
    from vismanet_async._operation import Operation

__all__ = ["Find", "Pauses", "Sending", "Stop", "Writer"]

_MOST_SENDS: Final = 3
"""How often one run sends a row that was looked up each time and was not there."""
_MOST_PAUSES: Final = 20
"""How many pauses of the quota one row waits out; a window is an hour at most (docs/facts.md 3.3)."""

_MAY_BE_QUEUED: Final = (
    "It is not there, and may still be executed: the answer to the submission of background job {} got lost, and it "
    "may wait in the queue for a day. It was not sent again."
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
    settle_seconds: float
    deadline_seconds: float
    """For one call in all, where the operation has none of its own."""
    began_at: datetime | None
    """When the journal came to be this run's alone: what earlier runs sent had left by then; None: it is shared."""
    stop: Stop
    background: Background

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
            job = self.background.new_id() if self.background.takes(operation) else None
            limit = self._limit(operation)
            sent = Sent(at=self.clock.utc_now(), job=job, leaves_within_seconds=limit)
            entry, began = advance(entry, sent), self.clock.monotonic()
            await self.writer.write(entry)
            # the write took its time, and what is on the disk binds the request
            left = limit - (self.clock.monotonic() - began)
            timed = attrs.evolve(operation, deadline_seconds=max(0.0, left))
            event = await (self._event(timed) if job is None else self._as_job(timed, job))
            if event is None:
                return entry
            entry = advance(entry, event)
            await self.writer.write(entry)
            throttled = isinstance(event, NotSent) and event.trouble.kind == "RateLimited"
            if not throttled or pause == _MOST_PAUSES - 1:
                break
        return entry

    def _limit(self, operation: Operation[Any]) -> float:
        return self.deadline_seconds if operation.deadline_seconds is None else operation.deadline_seconds

    async def _event(self, operation: Operation[Any]) -> Event:
        try:
            result = await operation.send()
        except VismaNetError as error:
            if stops_the_run(error):
                self.stop(f"{error}", error=error)
            return ended_in(error, at=self.clock.utc_now(), conditional="If-Match" in operation.headers)
        return answered(result)

    async def _as_job(self, operation: Operation[Any], job: str, *, sent_by: datetime | None = None) -> End | None:
        """Submit it, unless it was before, and follow its job; return how it ended, or None: the next run will know."""
        background = self.background
        try:
            if sent_by is None:
                return await background.send(operation, job)
            return await background.follow(operation, job, sent_by=sent_by, sends_for=self._limit(operation))
        except StoreNotUsable as error:
            self.stop(f"{error}", error=error)
            return None

    async def clear_up(self, row: Row, operation: Operation[Any] | None, entry: Entry) -> Entry:
        """Find out what became of a row that may have been executed: by its job, or else by a look, where there is one.

        Returns:
            Its entry: unknown if neither could tell.
        """
        if entry.job is not None and operation is not None:
            entry = await self.follow(operation, entry)
            if entry.state is not RowState.UNKNOWN:
                return entry
        if self.find is None:
            return attrs.evolve(entry, state=RowState.UNKNOWN)
        return await self.look(row, entry)

    async def follow(self, operation: Operation[Any], entry: Entry) -> Entry:
        """Return the entry of a row that was sent as a job, after the job's end: as before if that is not known yet."""
        assert entry.job is not None
        sent_by = self._left_by(entry) or self.clock.utc_now()
        event = await self._as_job(operation, entry.job, sent_by=sent_by)
        if event is None:
            return entry
        after = advance(attrs.evolve(entry, state=RowState.SENDING), event)
        await self.writer.write(after)
        return after

    async def look(self, row: Row, entry: Entry, *, settles_in_seconds: float | None = None) -> Entry:
        """Look up a row that may have been executed; return its entry: done, planned, or unknown as before.

        What is not there yet may still come: a request whose answer got lost may still be worked on. So nothing counts
        as missing before `settle_seconds` have passed.

        Args:
            row: the row.
            entry: sending or unknown.
            settles_in_seconds: how long it may still come, where its answer got lost just now; None: by the journal.
        """
        found, left_by = await self._found(row), self._left_by(entry)
        if found is None and left_by is not None and self._may_be_queued(entry, left_by):
            found = Trouble(kind="OutcomeUnknown", text=_MAY_BE_QUEUED.format(entry.job))
        elif found is None and left_by is not None:
            wait = self._settles_in(entry, left_by) if settles_in_seconds is None else settles_in_seconds
            if wait > 0:
                if not await self.pauses.wait(self.clock, wait):
                    return entry
                found = await self._found(row)
        if isinstance(found, Trouble):
            entry = attrs.evolve(entry, state=RowState.UNKNOWN, trouble=found)
        else:
            if entry.job is not None:
                await self.background.settle(entry.job, executed=found is not None)
            refused = entry.unsure_since is None
            entry = attrs.evolve(advance(entry, found or Missing()), trouble=None if found else entry.trouble)
            if found is None and refused:
                # the ERP answered it with an error, and it is not there: it would be answered in the same way again
                entry = attrs.evolve(entry, state=RowState.FAILED)
        await self.writer.write(entry)
        return entry

    def _left_by(self, entry: Entry) -> datetime | None:
        """Return when the request had left at the latest; None: it is over.

        An intent is written before the request waits for its slot and token, so its time alone says too little.
        """
        since, within = entry.unsure_since, self._may_leave_seconds(entry)
        if since is None or not within:
            return since
        latest = since + timedelta(seconds=within)
        if self.began_at is None:
            return latest
        # a job waits for others of its document as well, for as long as its process lives
        return self.began_at if entry.job is not None else min(latest, self.began_at)

    def _may_leave_seconds(self, entry: Entry) -> float:
        if entry.leaves_within_seconds is None and entry.state is RowState.SENDING:
            return self.deadline_seconds  # written by an earlier version
        return entry.leaves_within_seconds or 0.0

    def _may_be_queued(self, entry: Entry, left_by: datetime) -> bool:
        if entry.job is None:
            return False
        return (self.clock.utc_now() - left_by).total_seconds() < QUEUED_SECONDS

    def _settles_in(self, entry: Entry, left_by: datetime) -> float:
        """Return how long a row of an earlier run may still come: only the wall clock spans runs."""
        passed = (self.clock.utc_now() - left_by).total_seconds()
        longest = self.settle_seconds + (self._may_leave_seconds(entry) if self.began_at is None else 0.0)
        return min(longest, self.settle_seconds - passed)  # nobody waits longer for a clock that was ahead

    async def _found(self, row: Row) -> Found | Trouble | None:
        if self.find is None:
            raise RuntimeError("a row is looked up only where there is something to look it up with")
        try:
            records = records_of(await self.find(row))
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
        told = answered(record)
        return Found(id=told.id, etag=told.etag)

"""Reconciles a row of an upsert with what an earlier run was sending: that ends first, then the row is compared anew.

What the row was compared with when it came says nothing while the earlier write may still land on it: a row that looks
unchanged would be called so, and then be changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import attrs

from vismanet_async._bulk.deciding import BY_STATE, settled
from vismanet_async._bulk.judging import trouble_of
from vismanet_async._bulk.transitions import Entry, Missing, RowState, advance
from vismanet_async._deferred import mark_used
from vismanet_async.errors import VismaNetError

if TYPE_CHECKING:
    from vismanet_async._bulk.intake import Read
    from vismanet_async._bulk.rows import Outcome
    from vismanet_async._bulk.sending import Sending
    from vismanet_async._bulk.upserting import Upsert

__all__ = ["Reconciled", "reconcile"]


class Reconciled(NamedTuple):
    """A row after the end of what an earlier run sent."""

    read: Read
    entry: Entry
    outcome: Outcome | None
    """How the row has ended; None: it is to be sent."""


async def reconcile(read: Read, entry: Entry, *, upsert: Upsert, sending: Sending) -> Reconciled:
    """Wait for the end of what an earlier run sent, and compare the row with the record as it is then."""
    before, entry = entry, await sending.end_earlier(entry)
    if entry.may_land:
        return Reconciled(read, entry, "unknown")
    try:
        again = upsert.read(await upsert.compare_again(read.row), read.entry.position)
    except VismaNetError as error:
        return await _written(read, attrs.evolve(before, state=RowState.UNKNOWN, trouble=trouble_of(error)), sending)
    if read.operation is not None:
        mark_used(read.operation)  # the other one may take its place
    read = again
    if (ended := settled(read, entry, upsert)) is not None:
        await _settle_job(entry, sending, executed=ended[1].state is RowState.DONE)
        return await _written(read, ended[1], sending, ended[0])
    if read.trouble is not None:
        known = entry.state is not RowState.UNKNOWN
        refused = attrs.evolve(entry if known else before, fingerprint=b"", trouble=read.trouble)
        state = RowState.FAILED if known else RowState.UNKNOWN
        return await _written(read, attrs.evolve(refused, state=state), sending, BY_STATE[state])
    return await _to_send(Reconciled(read, entry, None), before, sending)


async def _to_send(row: Reconciled, before: Entry, sending: Sending) -> Reconciled:
    """Return a row whose record is not as it wants it, ready to be sent if that may be."""
    read, entry, _ = row
    if entry.state is not RowState.UNKNOWN:  # what became of it is known
        return Reconciled(read, attrs.evolve(entry, state=RowState.PLANNED, id=None, etag=None, trouble=None), None)
    if getattr(read.row, "effect", None) == "create":
        # it is not there by its key; the company may have given it another
        looked = await sending.look(read.row, before, settles_in_seconds=0.0)
        return Reconciled(read, looked, None if looked.state is RowState.PLANNED else BY_STATE[looked.state])
    await _settle_job(entry, sending, executed=False)
    return Reconciled(read, advance(entry, Missing()), None)


async def _settle_job(entry: Entry, sending: Sending, *, executed: bool) -> None:
    if entry.job is not None:
        await sending.background.settle(entry.job, executed=executed)


async def _written(read: Read, entry: Entry, sending: Sending, outcome: Outcome = "unknown") -> Reconciled:
    await sending.writer.write(entry)
    return Reconciled(read, entry, outcome)

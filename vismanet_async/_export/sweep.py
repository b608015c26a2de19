"""Sweeps: read the keys of a whole list after its changes, and say which published records are gone.

The rules are in `deletions`. A sweep reads whole pages, because the API gives no keys alone, and keeps of them only the
keys, on disk (`key_index`). Its answers are journaled like those of an export, so that a stopped run goes on in it.
"""

from __future__ import annotations

from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, Literal

import anyio
import attrs
import msgspec

from vismanet_async._api.registry import method_facts
from vismanet_async._export.deletions import identity_of, is_due, no_sweep
from vismanet_async._export.forwarding_sender import ForwardingSender
from vismanet_async._export.key_index import write_side_file
from vismanet_async._export.target.local import DELETED_NAME
from vismanet_async._export.target.manifest import Part, Sweep
from vismanet_async.errors import IncompleteListing, UnexpectedResponse

if TYPE_CHECKING:
    from datetime import datetime

    from vismanet_async._export.checkpoint import Checkpoint, Journal, NoJournal
    from vismanet_async._export.deletions import Deletions, NoSweep
    from vismanet_async._export.page_writer import PageWriter
    from vismanet_async._export.replay import ReplayingSender
    from vismanet_async._export.resource_run import RunContext
    from vismanet_async._export.target.manifest import ResourceEntry
    from vismanet_async._http.message import Request, Response
    from vismanet_async._paging.delivery import Delivery
    from vismanet_async._paging.listing import Listing

__all__ = ["BudgetSpent", "BudgetedSender", "KeySweep", "Swept", "count_if_told"]

_PAGE_SIZE: Final = 1000
_RAW_KEY: Final = msgspec.json.Decoder(list[msgspec.Raw])


@attrs.frozen(kw_only=True)
class Swept:
    """What a sweep found."""

    sweep: Sweep
    tombstones: Part | None = None
    at: datetime | None = None
    """When the proven sweep began; None: there was none."""


class BudgetSpent(Exception):
    """The sweep may send no more requests."""


class BudgetedSender(ForwardingSender):
    """Sends so many requests and no more, and counts them."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self.sent = 0
        """Requests so far."""

    async def send(self, request: Request) -> Response:
        """Return the answer, or raise `BudgetSpent`."""
        if self._most is not None and self.sent >= self._most:
            raise BudgetSpent
        self.sent += 1
        return await super().send(request)


@attrs.frozen(kw_only=True)
class KeySweep:
    """The sweep of one resource in one run, after its changes were written."""

    name: str
    listing: Listing[Any]
    """Of the whole list, which sends through `replay`."""
    replay: ReplayingSender
    journal: Journal | NoJournal
    context: RunContext
    deletions: Deletions
    before: ResourceEntry
    number: int
    """Of the run."""
    checkpoint: Checkpoint
    writer: PageWriter

    async def run(self) -> Swept:
        """Return what the sweep found. Rows that no run has published are written; nothing is published.

        Errors: those of reading, but for a list that cannot be shown complete: that is in the result.
        """
        try:
            return await self._run()
        finally:
            with anyio.CancelScope(shield=True):
                await self.context.run_blocking(self.replay.flush)

    async def _run(self) -> Swept:
        assert self.writer.keys is not None
        now, facts = self.checkpoint.started_at, method_facts(self.name, "list")
        total, asked = None, 0
        try:
            # a list that does not page is read whole to be counted: the sweep takes no more
            if facts["style"] != "unpaged" and not is_due(self.deletions, swept_at=self.before.swept_at, now=now):
                total, asked = await count_if_told(self.listing)
            reason = await self._reason_not_to(total)
            if reason is not None:
                verdict: Literal["skipped", "counted"] = "skipped" if reason.is_due else "counted"
                return Swept(sweep=Sweep(verdict=verdict, reason=reason.reason, requests=asked))
            restored = await self._read()
        except IncompleteListing as error:
            report = error.completeness
            return Swept(sweep=Sweep(verdict="uncertain", reason=report.reason, requests=asked + report.requests))
        except BudgetSpent:
            most = self.deletions.max_requests or 0
            why = f"it took more than the {most:,} requests of its budget"
            return Swept(sweep=Sweep(verdict="skipped", reason=why, requests=most))
        report = self.listing.completeness
        assert report is not None
        found = Sweep(verdict="proven", reason=report.reason, requests=asked + report.requests, restored=restored)
        tombstones = await self.context.run_blocking(self._tombstones)
        if tombstones is not None:
            found = attrs.evolve(found, deleted=tombstones.rows, tombstones=tombstones.file)
        return Swept(sweep=found, tombstones=tombstones, at=now)

    async def _reason_not_to(self, total: int | None) -> NoSweep | None:
        """Return why the list is not swept, None if it is; `total` is how many rows it has."""
        assert self.writer.keys is not None
        return no_sweep(
            self.deletions,
            known=await self.context.run_blocking(len, self.writer.keys.index),
            total=total,
            page_size=self.context.plan.page_size or method_facts(self.name, "list").get("max_page_size") or _PAGE_SIZE,
            swept_at=self.before.swept_at,
            now=self.checkpoint.started_at,
        )

    async def _read(self) -> int:
        """Note all keys of the list; return how many rows were restored."""
        restored = 0
        async with self.listing.raw_pages(ordered=True) as pages:
            async for page in pages:
                restored += await self.context.run_blocking(self._see, page)
                del page  # not held while the next one is waited for
        return restored

    def _see(self, page: Delivery) -> int:
        answered, kept = self.replay.match_page(page)
        if answered is not None and page.body is not None:
            kept.append((answered, page.body))
        for key, body in kept:
            self.journal.keep(key, body)
        return self.writer.see(page)

    def _tombstones(self) -> Part | None:
        """Write the tombstones and drop their keys; None if nothing is gone. Blocks."""
        assert self.writer.keys is not None
        index = self.writer.keys.index
        path = self.checkpoint.staging / DELETED_NAME / f"{self.name}-{self.number:05}.jsonl"
        noticed = f"{self.context.clock.utc_now():%Y-%m-%dT%H:%M:%SZ}"
        line = partial(_tombstone, identity=identity_of(self.name), noticed=noticed)
        lines = map(line, index.unseen())
        first = next(lines, None)
        if first is None:
            return None
        part = write_side_file(path, chain([first], lines))
        index.remove_unseen()
        return part


async def count_if_told(listing: Listing[Any]) -> tuple[int | None, int]:
    """Return how many rows a list has, None if its answers do not tell, and the requests that it took to ask.

    Errors: those of the listing, also where its sender raises `BudgetSpent`.
    """
    counting = BudgetedSender(None)
    try:
        total = await listing.with_sender(counting.wrap).count()
    except (UnexpectedResponse, IncompleteListing):  # it has no total: only a sweep can tell
        total = None
    return total, counting.sent


def _tombstone(key: bytes, *, identity: tuple[str, ...], noticed: str) -> bytes:
    values = dict(zip(identity, _RAW_KEY.decode(key), strict=True))
    return msgspec.json.encode({"key": values, "noticed_at": noticed})

"""`Changes`: which records have changed, from any number of webhooks, each record once."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import datetime  # noqa: TC003 - looked up by whoever asks for the types
from typing import TYPE_CHECKING, Any

import anyio
import attrs

from vismanet_async._api.registry import registry
from vismanet_async._arguments import expect_count, expect_seconds
from vismanet_async._clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence

    from vismanet_async._clock import Clock
    from vismanet_async._webhooks.events import WebhookEvent

__all__ = ["Change", "ChangeBatch", "Changes"]


@attrs.frozen(kw_only=True)
class Change:
    """A record that webhooks have named: read it again.

    Examples:
        >>> from vismanet_async.webhooks import parse_event
        >>> changes = Changes()
        >>> changes.add(parse_event(b'{"event": "Supplier Updated", "entityId": "50000"}'))
        >>> [(change.resource, change.key) for change in await changes.take()]
        [('supplier', '50000')]
    """

    resource: str
    key: str | None
    """The record's number; None: any record of the resource may have changed."""
    tenant_id: str | None
    """The company, if the webhooks name it."""
    events: tuple[str, ...] = ()
    """The names of the events, each once."""
    times: int = 1
    """How many webhooks there were."""
    first_at: datetime
    last_at: datetime


@attrs.frozen(kw_only=True)
class ChangeBatch:
    """Changes that are dealt with together; each of their resources is in one of the three properties.

    Examples:
        >>> from vismanet_async.webhooks import parse_event
        >>> changes = Changes()
        >>> for name in ("Customer Changed", "Customer Updated", "Dimension Changed"):
        ...     changes.add(parse_event(b'{"event": "%s", "entityId": "1"}' % name.encode()))
        >>> async with changes.batch() as batch:
        ...     batch.incremental, batch.whole, len(batch.changes)
        (('customer',), ('dimension',), 2)
    """

    changes: tuple[Change, ...]
    """The oldest first."""

    @property
    def incremental(self) -> tuple[str, ...]:
        """The resources that an incremental export brings up to date."""
        return self._resources(lambda methods: bool(methods.get("list", {}).get("frozen_filter")))

    @property
    def whole(self) -> tuple[str, ...]:
        """The resources whose list has no condition on the last change: export them whole, or read the records."""
        return self._resources(lambda methods: "list" in methods and not methods["list"].get("frozen_filter"))

    @property
    def unlisted(self) -> tuple[str, ...]:
        """The resources without a list."""
        return self._resources(lambda methods: "list" not in methods)

    def _resources(self, fits: Callable[[Mapping[str, Any]], bool]) -> tuple[str, ...]:
        resources = registry()["resources"]
        named = dict.fromkeys(change.resource for change in self.changes)
        return tuple(name for name in named if fits(resources[name]["methods"]))


class Changes:
    """Collects what webhooks name as changed; many webhooks about one record are one change.

    It is a handler: `receiver.on_any(changes)`. Events that name no resource are left out. Deletions are changes, too:
    reading the record then raises `NotFound`.

    Memory: at most `limit` changes. When there are more, those of the resource that has the most become one change
    with `key=None`: read what is new of the whole resource. Nothing is written down: what was collected is lost when
    the process ends. So use webhooks to read *sooner*, and run the same incremental export at every start, and now and
    then: it reads by date, whatever webhooks came. It belongs to one event loop; any number of tasks may add and take,
    and each change is taken by one of them.

    Examples:
        >>> from vismanet_async.webhooks import parse_event
        >>> changes = Changes()
        >>> for number in ("10000", "10001", "10000"):
        ...     changes.add(parse_event(b'{"event": "Customer Changed", "entityId": "%s"}' % number.encode()))
        >>> [(change.key, change.times) for change in await changes.take()]
        [('10000', 2), ('10001', 1)]
    """

    def __init__(self, *, limit: int = 10_000, clock: Clock | None = None) -> None:
        """Create an empty collection.

        Args:
            limit: changes that are kept.
            clock: for tests.
        """
        expect_count("limit", limit)
        self._limit = limit
        self._clock = clock or SystemClock()
        self._pending: dict[tuple[str | None, str, str | None], Change] = {}
        self._added = anyio.Event()

    def __len__(self) -> int:
        return len(self._pending)

    async def __call__(self, event: WebhookEvent) -> None:
        """Add an event; what makes this a handler."""
        self.add(event)

    def add(self, event: WebhookEvent) -> None:
        """Add what an event names as changed; nothing if it names no resource."""
        if event.resource is None:
            return
        now = self._clock.utc_now()
        events = () if event.name is None else (event.name,)
        change = Change(
            resource=event.resource,
            key=event.key,
            tenant_id=event.tenant_id,
            events=events,
            first_at=now,
            last_at=now,
        )
        self.put_back([change])

    def put_back(self, changes: Iterable[Change]) -> None:
        """Add changes, such as those that were taken and could not be dealt with."""
        for change in changes:
            whole = self._pending.get((change.tenant_id, change.resource, None))
            kept = attrs.evolve(change, key=None) if whole is not None else change
            before = self._pending.get(_identity(kept))
            self._pending[_identity(kept)] = kept if before is None else _merged(before, kept)
        while len(self._pending) > self._limit and self._merge_largest():
            pass
        if self._pending:
            self._added.set()

    async def take(self, *, wait_seconds: float = 0.0) -> Sequence[Change]:
        """Wait for a change, then return all that have come, the oldest first; they are no longer here.

        Args:
            wait_seconds: how long to go on collecting after the first one, so that a burst of webhooks is one batch.

        Examples:
            >>> from vismanet_async.webhooks import parse_event
            >>> changes = Changes()
            >>> changes.add(parse_event(b'{"event": "Customer Changed", "entityId": "10000"}'))
            >>> batch = await changes.take(wait_seconds=0.01)
            >>> manifest = await visma.export(*{change.resource for change in batch}, to="out", incremental=True)
        """
        expect_seconds("wait_seconds", wait_seconds, zero=True)
        while True:
            while not self._pending:
                if self._added.is_set():
                    self._added = anyio.Event()
                await self._added.wait()
            if wait_seconds:
                await self._clock.sleep(wait_seconds)
            taken, self._pending = self._pending, {}
            if taken:  # else another task has taken them meanwhile
                return [*taken.values()]

    @asynccontextmanager
    async def batch(self, *, wait_seconds: float = 0.0) -> AsyncIterator[ChangeBatch]:
        """Wait for changes as `take` does, and put them back if the block does not come to its end.

        So what could not be dealt with, or was cancelled, comes again with the next batch.

        Args:
            wait_seconds: how long to go on collecting after the first one, so that a burst of webhooks is one batch.

        Examples:
            >>> from vismanet_async.webhooks import parse_event
            >>> changes = Changes()
            >>> changes.add(parse_event(b'{"event": "Customer Changed", "entityId": "10000"}'))
            >>> async with changes.batch(wait_seconds=0.01) as batch:
            ...     manifest = await visma.export(*batch.incremental, to="out", incremental=True)
            >>> len(changes)
            0
        """
        taken = await self.take(wait_seconds=wait_seconds)
        try:
            yield ChangeBatch(changes=tuple(taken))
        except BaseException:
            self.put_back(taken)
            raise

    def _merge_largest(self) -> bool:
        """Make one change of all those of one resource; return whether there were several."""
        counts: dict[tuple[str | None, str], int] = {}
        for tenant_id, resource, _ in self._pending:
            counts[tenant_id, resource] = counts.get((tenant_id, resource), 0) + 1
        tenant, name = max(counts, key=counts.__getitem__)
        if counts[tenant, name] == 1:
            return False
        merged: Change | None = None
        for identity, change in [*self._pending.items()]:
            if identity[:2] == (tenant, name):
                del self._pending[identity]
                whole = attrs.evolve(change, key=None)
                merged = whole if merged is None else _merged(merged, whole)
        assert merged is not None
        self._pending[_identity(merged)] = merged
        return True


def _identity(change: Change) -> tuple[str | None, str, str | None]:
    return change.tenant_id, change.resource, change.key


def _merged(before: Change, later: Change) -> Change:
    return attrs.evolve(
        before,
        events=tuple(dict.fromkeys(before.events + later.events)),
        times=before.times + later.times,
        first_at=min(before.first_at, later.first_at),
        last_at=max(before.last_at, later.last_at),
    )

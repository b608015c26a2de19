"""One company (tenant) of the simulated service: its data, its limits, and the operations done on it."""

from __future__ import annotations

from copy import deepcopy
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from vismanet_async._simulator.background import BackgroundQueue
from vismanet_async._simulator.base_rows import invented_uuid
from vismanet_async._simulator.clock import Clock, parse_naive_ms
from vismanet_async._simulator.dataset import World
from vismanet_async._simulator.farm import Server
from vismanet_async._simulator.files import StoredFile, pdf
from vismanet_async._simulator.history import History
from vismanet_async._simulator.limits import Limits
from vismanet_async._simulator.seeding import seeded
from vismanet_async._simulator.shapes import is_slot
from vismanet_async._simulator.tables import SPECS, canonical_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from random import Random

    from vismanet_async._simulator.behaviours import Behaviours
    from vismanet_async._simulator.catalog import Catalog, Operation
    from vismanet_async._simulator.farm import Farm
    from vismanet_async._simulator.messages import Request
    from vismanet_async._simulator.rows import Table

__all__ = ["Call", "Churn", "Company", "Truth", "invented_row"]


_ONE_SERVER = Server()


@frozen
class Call:
    """One operation with its arguments, to be done on one company."""

    company: Company
    operation: Operation
    values: tuple[str, ...]
    request: Request
    in_background: bool = False
    server: Server = _ONE_SERVER
    """The server of the farm that answers, and how."""

    def table(self, name: str) -> Table:
        """Return a table as the server that answers sees it."""
        return self.company.history.seen(self.company.world.table(name), self.server.behind_requests)

    def first(self, name: str) -> str:
        """Return the last value given for a query parameter, or an empty text."""
        low = name.lower()
        return next((value for given, value in reversed(self.request.query) if given.lower() == low), "")


@frozen
class Truth:
    """What a table really holds at this moment.

    Examples:
        >>> truth = sim.truth("customer")
        >>> len(truth), next(iter(truth.rows()))["number"]
        (40, '10000')
    """

    resource: str
    identity: tuple[str, ...]
    keys: list[str]
    """The rows' identities in list order; parts of a compound one joined by `/`."""
    _rows: Callable[[], Iterator[dict[str, Any]]] = field(repr=False)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def total(self) -> int:
        """How many rows there are."""
        return len(self.keys)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows as they are now, as dictionaries with decimals."""
        return self._rows()


@define
class Churn:
    """Changes made by others: so many after every n-th request for the resource."""

    resource: str
    every_requests: int
    add: int = 0
    remove: int = 0
    touch: int = 0
    where: str = "end"
    stamp_offset_seconds: float = 0.0
    visible_after_requests: int = 0
    seen: int = 0
    stopped: bool = False

    def stop(self) -> None:
        """Make no more changes."""
        self.stopped = True


@define(eq=False)
class _Unseen:
    """A write that lists do not show yet."""

    table: Table
    data: dict[str, Any]
    requests_left: int
    where: str = "end"
    row: int | None = None
    version: str = ""
    """The version that the row had when it was changed."""


def _check_place(where: str) -> None:
    if where not in {"end", "start", "random"}:
        raise ValueError(f"where must be end, start or random, not {where!r}")


class Company:
    """A tenant's data and state."""

    def __init__(self, tenant_id: str, *, catalog: Catalog, seed: int, ids: Random, rows: Mapping[str, int],
                 clock: Clock, behaviours: Behaviours, quota: int, quota_window_seconds: float,
                 cache_bytes: int) -> None:  # fmt: skip
        self.tenant_id = tenant_id
        self.clock = clock
        self.behaviours = behaviours
        self.world = World(
            catalog, seed=seed, sizes=rows, clock=clock, time_zone=behaviours.time_zone,
            nested_metadata=behaviours.nested_metadata, cache_bytes=cache_bytes,
        )  # fmt: skip
        self.limits = Limits(clock, behaviours, limit=quota, seconds=quota_window_seconds)
        self.random = seeded(seed, tenant_id, "company")
        self._ids = ids
        self.churns: list[Churn] = []
        self.history = History()
        self.farm: Farm | None = None
        self._unseen: list[_Unseen] = []
        self.translations: dict[tuple[str, str], str] = {}
        self.files: dict[str, StoredFile] = {}
        self._timers: list[tuple[float, int, Callable[[], object]]] = []
        self._timer_count = 0
        self.on_timer: Callable[[], None] = lambda: None
        self.background = BackgroundQueue(self, clock, seeded(seed, tenant_id, "background"))
        self._shuffle = 0

    # -- changes by others --------------------------------------------------------------------------------

    def _table(self, resource: str) -> Table:
        return self.world.table(canonical_name(resource, SPECS))

    def add(self, resource: str, count: int = 1, *, where: str = "end", stamp_offset_seconds: float = 0.0,
            visible_after_requests: int = 0, **values: object) -> list[str]:  # fmt: skip
        """Add rows as another user would; return their keys.

        Args:
            resource: The resource, such as `customer_invoice`.
            count: How many.
            where: Their place in the list: `end`, `start` or `random`.
            stamp_offset_seconds: Their times of change are so far ahead of the clock (negative: behind it).
            visible_after_requests: They are stamped now, and there only after so many more requests for the resource.
            values: Top-level fields to set.

        Raises:
            KeyError: No such resource.
            ValueError: `where` or a field is not known.
        """
        table = self._table(resource)
        _check_place(where)
        unknown = sorted(set(values) - set(table.fields))
        if unknown:
            raise ValueError(f"{resource} has no field {', '.join(unknown)}")
        self._stamp_for_others(stamp_offset_seconds)
        keys = []
        for _ in range(count):
            data = invented_row(table, self.random)
            data.update(values)
            keys.append("/".join(table.key_in(data)))
            self._in_time(_Unseen(table, data, visible_after_requests, where=where))
        return keys

    def remove(self, resource: str, key: str | None = None, *, count: int = 1) -> list[str]:
        """Delete a row by key, or so many seeded-random ones; return the keys.

        Raises:
            KeyError: No such resource or row.
        """
        table = self._table(resource)
        chosen = [self._row(table, key)] if key is not None else self._choose(table, count)
        keys = ["/".join(table.key_of(row)) for row in chosen]
        for row in chosen:
            table.remove(row)
        return keys

    def touch(self, resource: str, key: str | None = None, *, count: int = 1, stamp_offset_seconds: float = 0.0,
              visible_after_requests: int = 0, **values: object) -> list[str]:  # fmt: skip
        """Change rows as another user would: new version, new time of change, and the given fields.

        Args:
            resource: The resource.
            key: Which row; by default so many seeded-random ones.
            count: How many, without a key.
            stamp_offset_seconds: The time of change is so far ahead of the clock (negative: behind it).
            visible_after_requests: The row is stamped now, and changed only after so many more requests for the
                resource, unless somebody else changes or removes it before.
            values: Top-level fields to set.

        Raises:
            KeyError: No such resource or row.
        """
        table = self._table(resource)
        chosen = [self._row(table, key)] if key is not None else self._choose(table, count)
        self._stamp_for_others(stamp_offset_seconds)
        keys = []
        for row in chosen:
            data = table.row(row)
            data.update(values)
            table.stamp(data)
            keys.append("/".join(table.key_in(data)))
            self._in_time(_Unseen(table, data, visible_after_requests, row=row, version=table.version_of(row)))
        return keys

    def truth(self, resource: str) -> Truth:
        """Return what the resource's table holds now."""
        table = self._table(resource)
        rows = list(table.order)
        keys = ["/".join(table.key_of(row)) for row in rows]
        return Truth(table.spec.name, table.spec.key, keys, lambda: (table.row(row) for row in list(table.order)))

    def restamp(self, resource: str) -> None:
        """Set the same time of change for all rows, as an upgrade of the service does (facts 5.11)."""
        self._table(resource).restamp(parse_naive_ms(self.world.now_text()))

    def churn(self, resource: str, *, every_requests: int = 1, add: int = 0, remove: int = 0, touch: int = 0,
              where: str = "end", stamp_offset_seconds: float = 0.0,
              visible_after_requests: int = 0) -> Churn:  # fmt: skip
        """Change the resource, as others would, after every n-th request for it; `.stop()` ends it.

        Rows that are added or touched are stamped and become visible as `add` describes it.
        """
        if every_requests < 1:
            raise ValueError("every_requests must be at least 1")
        _check_place(where)
        made = Churn(
            self._table(resource).spec.name, every_requests, add, remove, touch, where,
            stamp_offset_seconds, visible_after_requests,
        )  # fmt: skip
        self.churns.append(made)
        return made

    def after_request(self, table: str) -> None:
        """Make the changes that are due after a request for this table."""
        for unseen in [one for one in self._unseen if one.table.spec.name == table]:
            unseen.requests_left -= 1
            if unseen.requests_left <= 0:
                self._unseen.remove(unseen)
                self._commit(unseen)
        for churn in self.churns:
            if churn.stopped or churn.resource != table:
                continue
            churn.seen += 1
            if churn.seen % churn.every_requests:
                continue
            written: dict[str, Any] = {
                "stamp_offset_seconds": churn.stamp_offset_seconds,
                "visible_after_requests": churn.visible_after_requests,
            }
            if churn.add:
                self.add(churn.resource, churn.add, where=churn.where, **written)
            if churn.remove:
                self.remove(churn.resource, count=churn.remove)
            if churn.touch:
                self.touch(churn.resource, count=churn.touch, **written)

    def stamp_as(self, server: Server) -> None:
        """Stamp what is written from now on as this server does."""
        self.world.stamp_offset_seconds = self.behaviours.stamp_offset_seconds + server.clock_offset_seconds

    def _stamp_for_others(self, more_seconds: float) -> None:
        """Stamp what is written next as the server does that another user writes through."""
        self.stamp_as(_ONE_SERVER if self.farm is None else self.farm.for_write())
        self.world.stamp_offset_seconds += more_seconds

    def _in_time(self, write: _Unseen) -> None:
        if write.requests_left > 0:
            self._unseen.append(write)
        else:
            self._commit(write)

    def _commit(self, write: _Unseen) -> None:
        """Make a write visible; a change of a row that was changed or removed meanwhile is lost."""
        table, row = write.table, write.row
        if row is None:
            table.insert(write.data, index=self._index(table, write.where))
        elif table.exists(row) and table.version_of(row) == write.version:
            table.replace(row, write.data, to_end=self.behaviours.list_order == "last_modified")

    def _index(self, table: Table, where: str) -> int | None:
        if where == "random":
            return self.random.randrange(len(table) + 1)
        return 0 if where == "start" else None

    def _row(self, table: Table, key: str) -> int:
        row = table.find(key.split("/")) if len(table.spec.key) > 1 else table.find((key,))
        if row is None:
            raise KeyError(f"{table.spec.name} has no row {key!r}")
        return row

    def _choose(self, table: Table, count: int) -> list[int]:
        everything = table.select()
        places = self.random.sample(range(len(everything)), min(count, len(everything)))
        return [everything.ids(place, place + 1)[0] for place in places]

    # -- things that happen later -------------------------------------------------------------------------

    def later(self, seconds: float, action: Callable[[], object]) -> None:
        """Call something once the clock has moved on that far."""
        self.at(self.clock.now() + seconds, action)

    def at(self, when: float, action: Callable[[], object]) -> None:
        """Call something at this time."""
        self._timer_count += 1
        heappush(self._timers, (when, self._timer_count, action))
        self.on_timer()

    def run_due(self) -> None:
        """Call what is due by now, in the order of its time."""
        while self._timers and self._timers[0][0] <= self.clock.now():
            heappop(self._timers)[2]()

    @property
    def next_due(self) -> float | None:
        """When the next thing is due, or None."""
        return self._timers[0][0] if self._timers else None

    # -- files --------------------------------------------------------------------------------------------

    def store_file(self, name: str, data: bytes) -> StoredFile:
        """Keep a file under a new id."""
        stored = StoredFile(self.new_id(), name, data)
        self.files[stored.id] = stored
        return stored

    def file(self, file_id: str) -> StoredFile | None:
        """Return a file by id: an uploaded one, or one that a generated row carries."""
        wanted = file_id.lower()
        generated = self.world.shaper.attachments.get(wanted)
        if wanted not in self.files and generated is not None:
            self.files[wanted] = StoredFile(wanted, generated, pdf(wanted))
        return self.files.get(wanted)

    # -- odds and ends ------------------------------------------------------------------------------------

    def visma_id(self) -> str:
        """Return a reference as error messages and answers carry it."""
        return self.new_id()

    def next_shuffle(self) -> int:
        """Return another step for each unstable list answer."""
        self._shuffle += 1
        return 7 + self._shuffle * 31

    def new_uuid(self) -> str:
        """Return a uuid that belongs to the data: it is decided by the seed."""
        return _uuid(self.random)

    def new_id(self) -> str:
        """Return an id that the server makes: of a job, a file, an action, a request."""
        return _uuid(self._ids)


def invented_row(table: Table, random: Random) -> dict[str, Any]:
    """Return a complete new row, numbered by the series, that is not in the table yet."""
    number = table.next_number()
    spec, base = table.spec, table.base
    row = base.row(random.randrange(base.count)) if base.count else deepcopy(base.variant(spec.dto, 0))
    head, tail = spec.key[:-1], spec.key[-1]
    if "." not in tail:
        row[tail] = int(number) if table.fields[tail]["type"] == "integer" else number
    if spec.types and head:
        row[head[0]] = spec.types[0]
    row = {name: value for name, value in row.items() if not is_slot(value) and name != spec.internal}
    row.update(
        {
            name: invented_uuid(random.getrandbits(32), name)
            for name, facts in table.fields.items()
            if facts.get("format") == "uuid"
        }
    )
    if spec.status and "status" in row:
        row["status"] = spec.status
    table.stamp(row, created=True)
    return row


def _uuid(random: Random) -> str:
    digits = f"{random.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

"""The simulated company: all tables, made on first use, on one seed and one clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vismanet_async._simulator.base_rows import BaseRows, Identity
from vismanet_async._simulator.byte_cache import ByteCache
from vismanet_async._simulator.clock import Clock, naive_text, zone
from vismanet_async._simulator.rows import Table
from vismanet_async._simulator.seeding import seeded
from vismanet_async._simulator.shapes import Shaper
from vismanet_async._simulator.tables import SPECS, canonical_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vismanet_async._simulator.catalog import Catalog
    from vismanet_async._simulator.rows import Listener

__all__ = ["World"]

_REFERRED_ROWS = 500  # lines point into the first so many rows of a table


class World:
    """The tables of one company.

    Args:
        catalog: The facts about shapes.
        seed: Same seed and sizes, same rows.
        sizes: Rows per table where the default does not suit; names as in `tables.canonical_name`.
        clock: Gives the time of changes.
        time_zone: Zone of the naive times that the service writes.
        nested_metadata: Whether nested objects carry a metadata block too.
        cache_bytes: Bound of the cache of encoded pages.
    """

    def __init__(self, catalog: Catalog, *, seed: int, sizes: Mapping[str, int], clock: Clock, time_zone: str,
                 nested_metadata: bool, cache_bytes: int) -> None:  # fmt: skip
        self.catalog = catalog
        self.seed = seed
        self.clock = clock
        self.cache = ByteCache(cache_bytes)
        self.random = seeded(seed, "world")
        self._sizes = {canonical_name(name, SPECS): size for name, size in sizes.items()}
        for name, size in self._sizes.items():
            if size < 0:
                raise ValueError(f"rows of {name} must not be negative")
        self._zone = zone(time_zone)
        self.last_version = 0x8000_0000
        self.stamp_offset_seconds = 0.0
        self._tables: dict[str, Table] = {}
        self.on_write: Listener | None = None
        self.shaper = Shaper(catalog, seed, self, nested_metadata=nested_metadata)

    def table(self, name: str) -> Table:
        """Return the table of this (canonical) name."""
        found = self._tables.get(name)
        if found is None:
            spec = SPECS[name]
            parent = self.table(spec.parent).base if spec.parent else None
            size = len(spec.fixed) if spec.fixed and parent is None else self._sizes.get(name, spec.rows)
            if parent is not None:
                size = min(size, parent.count)
            base = BaseRows(
                spec, seed=self.seed, count=size, shaper=self.shaper, neighbour=self._neighbour, parent=parent
            )
            found = self._tables[name] = Table(
                spec, base, schemas=self.catalog.schemas, shaper=self.shaper,
                next_version=self._next_version, now_text=self.stamp_text,
            )  # fmt: skip
            found.on_write = self.on_write
        return found

    @property
    def tables(self) -> Mapping[str, Table]:
        """The tables that were used so far."""
        return self._tables

    def _next_version(self) -> int:
        self.last_version += 1
        return self.last_version

    def now_text(self) -> str:
        """Return the present as the service writes it: local, without zone."""
        return self.text_of(self.clock.now())

    def stamp_text(self) -> str:
        """Return the time of change that a write carries, as the server that does it has it."""
        return self.text_of(self.clock.now() + self.stamp_offset_seconds)

    def text_of(self, seconds: float) -> str:
        """Return an instant as the service writes it."""
        return naive_text(seconds, self._zone)

    def _neighbour(self, name: str, number: int) -> Identity:
        table = self.table(name)
        row = number % max(1, table.count)
        return table.key_of(row)[-1], table.name_of(row), table.internal_of(row)

    def rows_of(self, table: str) -> int:
        """Return from how many rows of a table those are chosen that other rows name; 1 or more."""
        return max(1, min(self.table(table).count, _REFERRED_ROWS))

    def identity(self, table: str, row: int) -> Identity:
        """Return who a row was before anybody changed it."""
        base = self.table(table).base
        return base.key(row)[-1], base.name(row), base.internal(row)

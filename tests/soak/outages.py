"""Stores that go away for a while, and callers that give up: what is under way then may or may not be done."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import pytest
from attrs import define, field, frozen

from vismanet_async._export.target import conditional, locations
from vismanet_async._export.target.locations import RemotePath
from vismanet_async._jobs.store import StoreNotUsable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from tests.soak.company import Company

__all__ = ["AwayStore", "CutOffError", "Outages", "objects_go_away", "unless_cut_off"]

T = TypeVar("T")
Kind = Literal["jobs", "objects"]
_KINDS: Final[tuple[Kind, ...]] = ("jobs", "objects")
_LOCAL: Final = frozenset({"invalidate_cache", "split_path"})
"""What a filesystem does without its store."""


class CutOffError(Exception):
    """The caller gave up; what it called may have been done."""


async def unless_cut_off(company: Company, kind: str, call: Callable[[], Awaitable[T]]) -> T:
    """Return what is called; now and then its caller gives up in the middle, as one with a timeout does.

    Raises:
        CutOffError: it was cancelled.
    """
    if company.random.random() >= company.cut_off_share:
        return await call()
    with company.clock.move_on_after(company.random.choice((0.0, 1.0, 5.0, 20.0))):
        return await call()
    company.counts[f"cancelled: {kind}"] += 1
    raise CutOffError


@define
class Outages:
    """Which stores are away now."""

    company: Company
    away: set[Kind] = field(factory=set)
    calm: set[Kind] = field(factory=set)
    """Those that stay from now on."""

    async def run(self) -> None:
        """Take both stores away at the beginning, then one after the other, until the task is cancelled."""
        random, sleep = self.company.random, self.company.clock.sleep
        await self._take_away(*_KINDS)  # so that each comes, however quick the machine is
        while True:
            await sleep(random.choice((5, 20, 60)))
            await self._take_away(random.choice(_KINDS))

    async def _take_away(self, *kinds: Kind) -> None:
        """Take stores away until each was missed, and for a while at least."""
        counts, clock = self.company.counts, self.company.clock
        missed = {kind: counts[f"calls in outages: {kind}"] for kind in kinds if kind not in self.calm}
        for kind in missed:
            self.away.add(kind)
            counts[f"outages: {kind}"] += 1
        await clock.sleep(self.company.random.choice((0.5, 5, 20)))
        while any(
            kind in self.away and counts[f"calls in outages: {kind}"] == before for kind, before in missed.items()
        ):
            await clock.sleep(0.5)
        self.away.difference_update(missed)

    def end(self, kind: Kind) -> None:
        """Bring a store back for good."""
        self.calm.add(kind)
        self.away.discard(kind)


@frozen
class AwayStore:
    """A job store that can be away: before a call, or when its answer is due."""

    inner: Any
    outages: Outages

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)

        async def call(*args: Any, **options: Any) -> Any:
            self._look(name)
            done = await found(*args, **options)
            self._look(name)
            return done

        return found if name == "aclose" else call

    def _look(self, name: str) -> None:
        if "jobs" in self.outages.away:
            self.outages.company.counts["calls in outages: jobs"] += 1
            raise StoreNotUsable(f"{name}: the store is away.")


@frozen
class _AwayObjects:
    """The same of an object store, whose errors are its library's own."""

    store: Any
    outages: Outages

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.store, name)
        if name in _LOCAL or not callable(found):
            return found

        def call(*args: Any, **options: Any) -> Any:
            self._look(name)
            done = found(*args, **options)
            self._look(name)
            return done

        return call

    def _look(self, name: str) -> None:
        if "objects" in self.outages.away:
            self.outages.company.counts["calls in outages: objects"] += 1
            raise ConnectionError(f"{name}: the store is away")


@contextmanager
def objects_go_away(outages: Outages) -> Iterator[None]:
    """Have object stores of this process go away, and make conditional writes to its memory atomic, as servers do."""
    real, real_write, one_at_a_time = RemotePath._store, conditional.write_if, threading.Lock()

    def store(self: RemotePath) -> tuple[Any, str]:
        found, path = real(self)
        return _AwayObjects(found, outages), path

    def write_if(*args: Any) -> None:
        with one_at_a_time:
            real_write(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RemotePath, "_store", store)
        patch.setattr(locations, "write_if", write_if)
        yield
